//! Primary keys of types that few tables have for one, and SQLite's keys that hold anything at all.

use super::{fates_come_true, keys::keys_of_a_type};
use crate::support::bench::{Bench, on_every_engine};
use sunset::catalog::Engine;

/// Words are walked in the order of their positions, which is not that of their letters.
async fn word_keys(bench: Bench) {
    if bench.engine == Engine::Postgres {
        bench.script("create type phase as enum ('new', 'old', 'archived', 'z', 'b')").await;
    }
    let column = match bench.engine {
        Engine::Postgres => "phase primary key",
        Engine::Mysql => "enum('new', 'old', 'archived', 'z', 'b') primary key",
        Engine::Sqlite => "text primary key",
    };
    keys_of_a_type(bench, column, &["'new'", "'b'", "'z'", "'old'", "'archived'"], "new").await;
}

async fn float_keys(bench: Bench) {
    // SQLite itself does not read each digit of numbers that are still greater or smaller
    let (great, small) = if bench.engine == Engine::Sqlite { ("-1e40", "5e-40") } else { ("-1e300", "5e-324") };
    let keys = ["0.1e0", "0.30000000000000004e0", "0.3e0", great, small, "123456789.125e0", "1e15"];
    let shown = if bench.engine == Engine::Sqlite { "0.10000000000000001" } else { "0.1" };
    keys_of_a_type(bench, "{float} primary key", &keys, shown).await;
}

/// Thirty-two bits, of which MySQL shows six digits.
async fn single_float_keys(bench: Bench) {
    let (column, shown) = match bench.engine {
        Engine::Postgres => ("real primary key", "0.1"),
        Engine::Mysql => ("float primary key", "0.10000000149011612"),
        Engine::Sqlite => return,
    };
    keys_of_a_type(bench, column, &["0.1", "16777216", "16777214", "0.3", "1234567"], shown).await;
}

async fn padded_keys(bench: Bench) {
    if bench.engine == Engine::Sqlite {
        return;
    }
    keys_of_a_type(bench, "char(8) primary key", &["'a'", "'b  '", "'ab'", "'b c'", "'x'", "''"], "a").await;
}

async fn unusual_keys(bench: Bench) {
    let kinds: &[(&str, &[&str], &str)] = match bench.engine {
        Engine::Postgres => &[
            ("oid", &["1", "4294967295", "7", "12"], "1"),
            ("inet", &["'10.0.0.1'", "'10.0.0.0/8'", "'::1'", "'10.0.0.2'"], "10.0.0.1/32"),
            ("name", &["'a'", "'B'", "'c'", "'é'"], "a"),
            ("\"char\"", &["'a'", "'B'", "'c'", "'~'"], "a"),
            ("bit(3)", &["'101'", "'000'", "'111'", "'001'"], "101"),
            ("interval", &["'1 day'", "'-3 hours'", "'2 years'", "'5 minutes'"], "1 day"),
            ("time", &["'10:00'", "'23:59:59.5'", "'00:00'", "'10:00:01'"], "10:00:00"),
            ("integer[]", &["'{1,2}'", "'{}'", "'{1}'", "'{3}'"], "{1,2}"),
            ("macaddr", &["'08:00:2b:01:02:03'", "'00:00:00:00:00:01'", "'ff:00:00:00:00:01'"], "08:00:2b:01:02:03"),
            (
                "timestamptz",
                &["'2020-01-01 00:00:00.000001+00'", "'infinity'", "'-infinity'", "'1960-01-01 00:00+00'"],
                "2020-01-01 00:00:00.000001+00",
            ),
        ],
        Engine::Mysql => &[
            ("year", &["2001", "1901", "2155", "1970"], "2001"),
            ("time(6)", &["'10:00:00.000001'", "'-838:00:00'", "'838:59:59'", "'00:00:00'"], "10:00:00.000001"),
            ("set('b', 'a', 'c')", &["'b'", "'a,c'", "'c'", "''"], "b"),
            ("inet4", &["'10.0.0.1'", "'9.255.0.0'", "'10.0.0.10'", "'0.0.0.0'"], "10.0.0.1"),
            (
                "datetime(6)",
                &["'2020-01-01 00:00:00.000001'", "'0000-00-00'", "'1000-01-01'", "'9999-12-31'"],
                "2020-01-01 00:00:00.000001",
            ),
            ("varchar(40) character set latin1 collate latin1_german2_ci", &["'a'", "'äx'", "'b'", "'ad'"], "a"),
            ("varchar(40) character set utf8mb4 collate utf8mb4_unicode_ci", &["'a'", "'-'", "'b '", "'Åd'"], "a"),
        ],
        Engine::Sqlite => &[
            ("", &["3", "'3'", "3.5", "x'33'", "'x33'", "'''quoted'''", "'text'", "-7"], "3"),
            ("numeric", &["3", "0.1", "'12-B'", "x'78'", "9007199254740993", "1e30"], "3"),
            ("text", &["'a'", "x'61'", "'x61'", "'X'", "''''"], "a"),
            (
                "uuid",
                &["'1f0c1a5e-0010-4000-8000-000000000009'", "'e'", "'2f0c'"],
                "1f0c1a5e-0010-4000-8000-000000000009",
            ),
            ("blob", &["x'00'", "'1f0c'", "x'ff'", "12"], "x00"),
            ("varchar(9) collate rtrim", &["'a '", "'b'", "'c  '", "'A'"], "a "),
        ],
    };
    for (column, keys, shown) in kinds {
        keys_of_a_type(Bench::new(bench.engine).await, &format!("{column} primary key"), keys, shown).await;
    }
}

/// A key that SQLite lets be null: such rows go like others, and the run comes to its end.
async fn keys_that_are_null(bench: Bench) {
    if bench.engine != Engine::Sqlite {
        return;
    }
    bench.settings("time_zone: Asia/Tokyo\npace: {batch_rows: 2}");
    bench
        .script(
            "create table alone (k text primary key, ended_on date, fate text);
             create table pair (a integer, b text, ended_on date, fate text, primary key (a, b));
             create table parent (k text primary key, ended_on date, fate text);
             create table child (id integer primary key, k text references parent (k), fate text);
             insert into alone values ('a', '2001-01-01', 'goes'), (null, '2001-01-01', 'goes'),
               (null, '2001-01-01', 'goes'), (null, '2026-01-01', 'stays'), ('b', '2026-01-01', 'stays'),
               ('c', '2001-01-01', 'goes');
             insert into parent select * from alone;
             insert into pair values (1, null, '2001-01-01', 'goes'), (null, 'x', '2001-01-01', 'goes'),
               (null, null, '2026-01-01', 'stays'), (2, 'x', '2001-01-01', 'goes');
             insert into child values (1, 'a', 'goes'), (2, null, 'stays'), (3, 'b', 'stays')",
        )
        .await;
    bench.rules(
        "
- {id: pair, table: core.pair, starting_point: ended_on, retention_period: 5 years, disposition: erase}
- {id: alone, table: core.alone, starting_point: ended_on, retention_period: 5 years, disposition: erase}
- id: parent
  table: core.parent
  starting_point: ended_on
  retention_period: 5 years
  disposition: erase
  dependents: {core.child: erase}",
    );
    fates_come_true(&bench, &["pair", "alone", "parent", "child"]).await;
}

/// Floating-point keys of every size, with all their digits: each is found again.
async fn real_keys_of_every_size(bench: Bench) {
    if bench.engine != Engine::Sqlite {
        return;
    }
    bench.settings("time_zone: Asia/Tokyo\npace: {batch_rows: 300}");
    bench
        .script(
            "create table t (k real primary key, ended_on date, fate text) without rowid;
             create table u (id integer primary key, k real references t (k), fate text);
             with recursive n (i) as (select 1 union all select i + 1 from n where i < 4000)
             insert or ignore into t select random() / 7.0 * (case i % 6 when 0 then 1e-50 when 1 then 1e-30
               when 2 then 1e-19 when 3 then 1e-9 when 4 then 1 else 1e20 end),
               '2001-01-01', 'goes' from n;
             insert into u select null, k, 'goes' from t;
             insert into t values (0.5, '2026-11-01', 'stays');
             insert into u values (9999, 0.5, 'stays')",
        )
        .await;
    bench.rules(
        "
- id: t
  table: core.t
  starting_point: ended_on
  retention_period: 5 years
  disposition: erase
  dependents: {core.u: erase}",
    );
    fates_come_true(&bench, &["t", "u"]).await;
}

/// A child belongs to the row that the database's own foreign key leads to, whatever the types of the two columns.
async fn foreign_keys_between_unlike_columns(bench: Bench) {
    let (parent, child, rows): (&str, &str, &[(&str, &str)]) = match bench.engine {
        Engine::Postgres => {
            bench
                .script("create collation folded (provider = icu, locale = 'und-u-ks-level2', deterministic = false)")
                .await;
            ("text collate folded", "varchar(20) collate \"C\"", &[("'A-1'", "'a-1'"), ("'B-2'", "'B-2'")])
        }
        Engine::Mysql => (
            "varchar(20) collate utf8mb4_general_ci",
            "varchar(30) collate utf8mb4_general_ci",
            &[("'A-1'", "'a-1'"), ("'B-2'", "'b-2 '")],
        ),
        Engine::Sqlite => ("text collate nocase", "text", &[("'A-1'", "'a-1'"), ("'B-2'", "'b-2'")]),
    };
    for action in ["keep", "erase"] {
        bench
            .script(&format!(
                "create table p (k {parent} primary key, ended_on {{date}}, fate {{text}});
                 create table c (id {{int}} primary key, p {child}, fate {{text}}, foreign key (p) references p (k))"
            ))
            .await;
        let fate = if action == "keep" { "stays" } else { "goes" };
        let (due, other) = (rows[0], rows[1]);
        bench
            .script(&format!(
                "insert into p values ({}, '2001-01-01', '{fate}'), ('free', '2001-01-01', 'goes'),
                   ({}, '2026-01-01', 'stays');
                 insert into c values (1, {}, '{fate}'), (2, {}, 'stays')",
                due.0, other.0, due.1, other.1
            ))
            .await;
        bench.rules(&format!(
            "- {{id: p, table: core.p, starting_point: ended_on, retention_period: 5 years, disposition: erase,
                dependents: {{core.c: {action}}}}}"
        ));
        fates_come_true(&bench, &["p", "c"]).await;
        bench.script("drop table c; drop table p").await;
    }
}

/// SQLite converts what refers as the column that it refers to would store it.
async fn foreign_keys_between_affinities(bench: Bench) {
    if bench.engine != Engine::Sqlite {
        return;
    }
    for (parent, child, due, kept, reference, deleted) in [
        ("text", "integer", "'12-B'", "'12'", "12", true),
        // SQLite itself takes these for referenced, and refuses to delete them
        ("text", "integer", "'012'", "'12'", "12", false),
        ("text", "numeric", "'1.50'", "'1.5'", "1.5", false),
        ("blob", "integer", "'12'", "12", "12", false),
        ("text", "", "'7x'", "'7'", "7", true),
        ("integer", "text", "13", "12", "'12'", true),
        ("text", "text collate nocase", "'a'", "'A'", "'A'", true),
        ("text collate rtrim", "text", "'b'", "'a'", "'a  '", true),
    ] {
        for action in ["keep", "erase"] {
            bench
                .script(&format!(
                    "create table p (k {parent} primary key, ended_on date, fate text) without rowid;
                     create table c (id integer primary key, p {child} references p (k), fate text);
                     insert into p values ({due}, '2001-01-01', 'goes'), ({kept}, '2026-01-01', 'stays');
                     insert into c values (1, {reference}, 'stays')"
                ))
                .await;
            bench.rules(&format!(
                "- {{id: p, table: core.p, starting_point: ended_on, retention_period: 5 years, disposition: erase,
                    dependents: {{core.c: {action}}}}}"
            ));
            if deleted {
                fates_come_true(&bench, &["p", "c"]).await;
            } else {
                bench.run(4);
                assert_eq!(bench.count("select (select count(*) from p) + (select count(*) from c)").await, 3);
            }
            bench.script("drop table c; drop table p").await;
        }
    }
}

/// What refers to a row by a value of another type goes along with it.
async fn dependents_of_another_affinity(bench: Bench) {
    if bench.engine != Engine::Sqlite {
        return;
    }
    for (child, due, reference) in [
        ("integer", "'12'", "12"),
        ("numeric", "'1.5'", "1.5"),
        ("real", "'2.0'", "2"),
        ("", "'7'", "7"),
        ("blob", "'7'", "7"),
        ("text", "'a'", "'a'"),
    ] {
        bench
            .script(&format!(
                "create table p (k text primary key, ended_on date, fate text) without rowid;
                 create table c (id integer primary key, p {child} references p (k), fate text);
                 insert into p values ({due}, '2001-01-01', 'goes'), ('x', '2026-01-01', 'stays');
                 insert into c values (1, {reference}, 'goes'), (2, 'x', 'stays'), (3, null, 'stays')"
            ))
            .await;
        bench.rules(
            "- {id: p, table: core.p, starting_point: ended_on, retention_period: 5 years, disposition: erase,
                dependents: {core.c: erase}}",
        );
        fates_come_true(&bench, &["p", "c"]).await;
        bench.script("drop table c; drop table p").await;
    }
}

on_every_engine!(
    word_keys,
    float_keys,
    single_float_keys,
    padded_keys,
    unusual_keys,
    keys_that_are_null,
    real_keys_of_every_size,
    foreign_keys_between_unlike_columns,
    foreign_keys_between_affinities,
    dependents_of_another_affinity,
);
