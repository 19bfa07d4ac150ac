//! Primary keys of every type: found, walked over in batches, named in the ledger.

use super::fates_come_true;
use crate::support::bench::{Bench, DATABASE, on_every_engine};
use sunset::catalog::Engine;

/// Keys of one type, in a table alone (walked by ranges) and in one with dependents (walked by lists of keys), in
/// batches of two. `keys` are SQL literals; `shown` is the first of them as the database prints it.
pub(super) async fn keys_of_a_type(bench: Bench, column: &str, keys: &[&str], shown: &str) {
    bench.settings("time_zone: Asia/Tokyo\npace: {batch_rows: 2}");
    let without_rowid = if bench.engine == Engine::Sqlite { " without rowid" } else { "" };
    let child = column.replace(" primary key", "");
    bench
        .script(&format!(
            "create table alone (k {column}, ended_on {{date}}, fate {{text}}){without_rowid};
             create table parent (k {column}, ended_on {{date}}, fate {{text}});
             create table child (id {{int}} primary key, k {child}, fate {{text}}, foreign key (k) references parent (k))"
        ))
        .await;
    for (i, key) in keys.iter().enumerate() {
        // the first goes, every third stays
        let (day, fate) = if i % 3 == 1 { ("2021-11-22", "stays") } else { ("2021-11-21", "goes") };
        bench
            .script(&format!(
                "insert into alone values ({key}, '{day}', '{fate}');
                 insert into parent values ({key}, '{day}', '{fate}');
                 insert into child values ({i}, {key}, '{fate}')"
            ))
            .await;
    }
    bench.rules(
        "
- {id: alone, table: core.alone, starting_point: ended_on, retention_period: 5 years, disposition: erase}
- id: parent
  table: core.parent
  starting_point: ended_on
  retention_period: 5 years
  disposition: erase
  dependents: {core.child: erase}",
    );
    fates_come_true(&bench, &["alone", "parent", "child"]).await;
    for table in ["alone", "parent"] {
        assert_eq!(bench.proven(&format!("{DATABASE}.{table}"), &[shown]), 1, "{table} {shown}");
        assert_eq!(bench.proven(&format!("{DATABASE}.{table}"), &["nothing of the sort"]), 0);
    }
}

async fn integer_keys(bench: Bench) {
    let keys = ["-2147483648", "-1", "0", "1", "2", "10", "11", "2147483647"];
    keys_of_a_type(bench, "{int} primary key", &keys, "-2147483648").await;
}

async fn big_keys(bench: Bench) {
    // neighbours that are the same number as a double
    let keys =
        ["9007199254740992", "9007199254740993", "9007199254740994", "-9223372036854775808", "9223372036854775807"];
    keys_of_a_type(bench, "{bigint} primary key", &keys, "9007199254740992").await;
}

async fn unsigned_keys(bench: Bench) {
    let mut keys = vec!["9223372036854775807", "9223372036854775806", "9223372036854775805", "0"];
    if bench.engine != Engine::Sqlite {
        keys.extend(["18446744073709551615", "18446744073709551614", "18446744073709551613"]);
    }
    keys_of_a_type(bench, "{unsigned} primary key", &keys, "9223372036854775807").await;
}

async fn uuid_keys(bench: Bench) {
    let keys: Vec<_> = (0..7).map(|i| format!("'{i}f0c1a5e-00{i}0-4000-8000-00000000000{}'", 9 - i)).collect();
    let keys: Vec<_> = keys.iter().map(String::as_str).collect();
    let shown = keys[0].trim_matches('\'').to_owned();
    keys_of_a_type(bench, "{uuid} primary key", &keys, &shown).await;
}

async fn odd_text_keys(bench: Bench) {
    let keys = [
        r#"'it''s \ 100% "_" $1 ? ; --'"#,
        "'%'",
        "'退会 👩‍👩‍👧 ｶﾅ'",
        "'back\\slash\\'",
        "'{\"json\": [1, null]}'",
        "''",
        "'   leading'",
        "'line\nbreak\ttab'",
        "'xFF'",
        "'null'",
        "'NULL'",
        "'Ω≈ç'",
    ];
    // case tells `null` from `NULL`
    let column =
        if bench.engine == Engine::Mysql { "{text} collate utf8mb4_bin primary key" } else { "{text} primary key" };
    keys_of_a_type(bench, column, &keys, r#"it's \ 100% "_" $1 ? ; --"#).await;
}

async fn text_keys_that_ignore_case(bench: Bench) {
    if bench.engine == Engine::Postgres {
        let collation = "create collation folded (provider = icu, locale = 'und-u-ks-level2', deterministic = false)";
        bench.script(collation).await;
    }
    let column = match bench.engine {
        Engine::Postgres => "text collate folded primary key",
        Engine::Mysql => "varchar(40) character set utf8mb4 collate utf8mb4_general_ci primary key",
        Engine::Sqlite => "text collate nocase primary key",
    };
    keys_of_a_type(bench, column, &["'Hanako'", "'TARO'", "'jiro'", "'Ångström'", "'z'", "'Y'", "'b '"], "Hanako")
        .await;
}

async fn numeric_keys(bench: Bench) {
    let mut keys = vec!["1.5000000000", "-3", "0", "100.25", "7"];
    let mut shown = "1.5000000000";
    if bench.engine == Engine::Sqlite {
        shown = "1.5";
    } else {
        // more digits than a double holds
        keys.extend(["12345678901234567890.0000000001", "12345678901234567890.0000000002"]);
    }
    keys_of_a_type(bench, "{numeric} primary key", &keys, shown).await;
}

async fn binary_keys(bench: Bench) {
    let bytes = ["00ff", "", "00", "ff00", "5c27", "e38182", "78"];
    let literals: Vec<_> = bytes
        .iter()
        .map(|hex| if bench.engine == Engine::Postgres { format!("'\\x{hex}'") } else { format!("x'{hex}'") })
        .collect();
    let keys: Vec<_> = literals.iter().map(String::as_str).collect();
    let shown = match bench.engine {
        Engine::Postgres => "\\x00ff",
        Engine::Mysql => "00FF",
        Engine::Sqlite => "x00FF",
    };
    keys_of_a_type(bench, "{bytes} primary key", &keys, shown).await;
}

async fn date_keys(bench: Bench) {
    let keys = ["'2001-02-03'", "'1969-12-31'", "'2038-01-20'", "'2024-02-29'"];
    keys_of_a_type(bench, "{date} primary key", &keys, "2001-02-03").await;
}

async fn composite_keys(bench: Bench) {
    bench.settings("time_zone: Asia/Tokyo\npace: {batch_rows: 2}");
    let without_rowid = if bench.engine == Engine::Sqlite { " without rowid" } else { "" };
    bench
        .script(&format!(
            "create table alone (shop {{int}}, code {{text}}, on_day {{date}}, ended_on {{date}}, fate {{text}},
               primary key (shop, code, on_day)){without_rowid};
             create table parent (shop {{int}}, code {{text}}, ended_on {{date}}, fate {{text}},
               primary key (shop, code));
             create table child (id {{int}} primary key, shop {{int}}, code {{text}}, fate {{text}},
               foreign key (shop, code) references parent (shop, code))"
        ))
        .await;
    for shop in 1..=3 {
        for (i, code) in ["a", "b, \"c\"", "1", "あ"].iter().enumerate() {
            let (day, fate) = if (shop + i) % 3 == 0 { ("2021-11-22", "stays") } else { ("2021-11-21", "goes") };
            let id = shop * 10 + i;
            bench
                .script(&format!(
                    "insert into alone values ({shop}, '{code}', '2020-01-01', '{day}', '{fate}');
                     insert into alone values ({shop}, '{code}', '2020-01-02', '2021-11-21', 'goes');
                     insert into parent values ({shop}, '{code}', '{day}', '{fate}');
                     insert into child values ({id}, {shop}, '{code}', '{fate}')"
                ))
                .await;
        }
    }
    // points at nothing, because one of its columns is null
    bench.script("insert into child values (1, 1, null, 'stays')").await;
    bench.rules(
        "
- {id: alone, table: core.alone, starting_point: ended_on, retention_period: 5 years, disposition: erase}
- id: parent
  table: core.parent
  starting_point: ended_on
  retention_period: 5 years
  disposition: erase
  dependents: {core.child: erase}",
    );
    fates_come_true(&bench, &["alone", "parent", "child"]).await;
    assert_eq!(bench.proven("core.alone", &["1", "b, \"c\"", "2020-01-02"]), 1);
    assert_eq!(bench.proven("core.parent", &["1", "あ"]), 1);
}

on_every_engine!(
    integer_keys,
    big_keys,
    unsigned_keys,
    uuid_keys,
    odd_text_keys,
    text_keys_that_ignore_case,
    numeric_keys,
    binary_keys,
    date_keys,
    composite_keys,
);
