//! Assertions: what does not hold is told, with an exit code that a person notices, and keeps no rule from its work.

use crate::support::bench::{Bench, on_every_engine};
use serde_json::Value as Json;
use sha2::{Digest as _, Sha256};
use std::fs;
use sunset::catalog::Engine;

on_every_engine!(
    rows_that_must_not_be_there,
    card_numbers,
    whatever_the_column_is,
    where_nobody_can_look,
    keys_of_several_columns,
    attestations,
);

const RULE: &str = "
- id: visits
  table: core.visits
  starting_point: seen_on
  retention_period: 1 year
  disposition: erase
";

async fn visits(bench: &Bench) {
    bench.script("create table visits (id {int} primary key, seen_on {date}, note varchar(200))").await;
    bench
        .script("insert into visits values (1, '2020-01-01', 'a'), (2, '2026-11-01', null), (3, '2020-05-05', null)")
        .await;
    bench.rules(RULE);
}

/// Writes a second rule file, with assertions alone.
fn assertions(bench: &Bench, yaml: &str) {
    let list: String = yaml.trim_matches('\n').lines().map(|line| format!("  {line}\n")).collect();
    fs::write(bench.path("rules").join("promises.yaml"), format!("category: promises\nassertions:\n{list}")).unwrap();
}

/// `sunset plan`, as JSON, whatever the assertions say.
fn planned(bench: &Bench, code: i32) -> Json {
    let call = bench.sunset(&["plan", "--now", bench.now, "--format", "json"]).expect(code);
    serde_json::from_str(&call.out).unwrap()
}

/// `id result`, and what was found, of the plan's assertions.
fn found(plan: &Json) -> Vec<(String, String)> {
    let text = |value: &Json| value.as_str().unwrap().to_owned();
    let line = |one: &Json| (format!("{} {}", text(&one["assertion"]), text(&one["result"])), text(&one["found"]));
    plan["assertions"].as_array().unwrap().iter().map(line).collect()
}

#[track_caller]
fn expect(plan: &Json, wanted: &[(&str, &str)]) {
    let wanted: Vec<_> = wanted.iter().map(|(result, found)| ((*result).to_owned(), (*found).to_owned())).collect();
    assert_eq!(found(plan), wanted);
}

async fn rows_that_must_not_be_there(bench: Bench) {
    visits(&bench).await;
    bench
        .script("create table backups (id {int} primary key, taken_on {date}, taken_at {timestamp}, deleted {boolean})")
        .await;
    assertions(
        &bench,
        "
- id: no-old-backups
  statement: no backup is older than 35 days
  no_rows: {table: core.backups, where: {deleted: false}, older_than: {taken_on: 35 days}}
- id: no-old-times
  statement: the same, by the clock
  no_rows: {table: core.backups, where: {deleted: false}, older_than: {taken_at: 35 days}}
- id: no-notes
  statement: nobody writes notes
  no_rows: {table: core.visits, where: \"note is not null\"}
",
    );
    // due as a rule would count it: 35 days after 18 October are over with 22 November
    bench
        .script(
            "insert into backups values (1, '2026-10-18', '2026-10-18 09:00:00', false), (2, '2026-10-17', '2026-10-17 23:59:59', true),
             (3, null, null, false)",
        )
        .await;
    let holds = [
        ("no-old-backups holds", "no such row"),
        ("no-old-times holds", "no such row"),
        ("no-notes fails", "1 such rows"),
    ];
    expect(&planned(&bench, 4), &holds);
    let grants = bench.sunset(&["grants", "--user", "sunset"]).expect(0).out;
    assert!(bench.engine == Engine::Sqlite || grants.contains("no-old-backups"), "{grants}");

    // the rule does its work all the same, and with it the note goes
    let report = bench.run(4);
    assert_eq!(report.disposed(), 2);
    assert_eq!(bench.list("select id from visits").await, "2");
    let ledger = bench.sunset(&["ledger", "export"]).expect(0).out;
    assert!(
        ledger.contains(r#""assertion":"no-notes","found":"1 such rows","result":"fails","type":"assertion_checked""#)
    );
    bench.sunset(&["ledger", "verify"]).expect(0);
    assert_eq!(bench.run(0).disposed(), 0);

    bench.script("update backups set deleted = false where id = 2").await;
    let fails = [
        ("no-old-backups fails", "1 such rows"),
        ("no-old-times fails", "1 such rows"),
        ("no-notes holds", "no such row"),
    ];
    expect(&planned(&bench, 4), &fails);
    let status = bench.sunset(&["status", "--format", "json"]).expect(0).out;
    let status: Json = serde_json::from_str(&status).unwrap();
    assert_eq!(status["assertions"]["no-notes"]["result"], "holds");
    assert_eq!(status["assertions"]["no-notes"]["found"], "no such row");
    // who asks for some rules asks for these
    bench.sunset(&["run", "--rule", "visits", "--now", bench.now]).expect(0);

    for (wrong, code) in [
        ("{table: core.backup, where: {deleted: false}}", "E0402"),
        ("{table: core.backups, where: {gone: false}}", "E0403"),
        ("{table: core.backups, older_than: {deleted: 35 days}}", "E0404"),
        ("{table: cores.backups, where: {deleted: false}}", "E0401"),
        ("{table: core.backups}", "E0104"),
    ] {
        assertions(&bench, &format!("- id: a\n  statement: s\n  no_rows: {wrong}"));
        let call = bench.sunset(&["validate"]).expect(2);
        assert!(call.err.contains(&format!("error[{code}]")), "{wrong}: {}", call.err);
        bench.sunset(&["run", "--now", bench.now]).expect(2);
    }
    assertions(&bench, "- id: a\n  statement: s\n  retention_at: {recipient: nobody, at_most: 2 months}");
    assert!(bench.sunset(&["validate"]).expect(2).err.contains("unknown recipient `nobody`"));
    assertions(&bench, "- id: visits\n  statement: s\n  attested_every: 1 year");
    assert!(bench.sunset(&["validate", "--offline"]).expect(2).err.contains("error[E0306]"));
}

async fn card_numbers(bench: Bench) {
    visits(&bench).await;
    bench
        .script(
            "create table inquiries (id {int} primary key, body {text}, code varchar(12), parcel varchar(40));
             create table logs (line {text});
             create table texts (id {int} primary key, note {text})",
        )
        .await;
    bench
        .script(
            "insert into inquiries values (1, 'my card is 4111 1111 1111 1111, exp 12/28', null, '4222222222222'),
                (2, 'カード ５５５５－５５５５－５５５５－４４４４', null, null), (3, 'tel 090-1234-5678, IMEI 356938035643809', '411111111111', null),
                (4, '4111 1111 1111 1112', null, null);
             insert into logs values ('ok'), ('pan=378282246310005');
             insert into texts values (1, '4111111111111111')",
        )
        .await;
    for id in 2..1300 {
        if id % 100 == 0 {
            let rows: Vec<_> =
                (id..id + 100).map(|id| format!("({id}, 'nothing but text 1234567812345678')")).collect();
            bench.script(&format!("insert into texts values {}", rows.join(", "))).await;
        }
    }
    let all = "- id: cards\n  statement: no card numbers\n  no_card_numbers: {database: core";
    assertions(&bench, &format!("{all}}}"));
    let plan = planned(&bench, 4);
    let found = found(&plan);
    let wanted = "looks like card numbers: core.inquiries.body (2 rows), core.inquiries.parcel (1 rows), core.logs.line (1 rows), \
                  core.texts.note (1 rows); 1210 rows of 4 tables looked at";
    assert_eq!(found, [("cards fails".to_owned(), wanted.to_owned())]);

    // no value anywhere
    let report = bench.run(4);
    assert_eq!(report.disposed(), 2);
    let ledger = bench.sunset(&["ledger", "export"]).expect(0).out;
    let status = bench.sunset(&["status"]).expect(0).out;
    let shown = format!("{plan}{report:?}{ledger}{status}");
    // parts that no digest has by chance
    for value in ["1111 1111", "411111111111", "５５５５", "４４４４", "378282246310005", "4222222222222"] {
        assert!(!shown.contains(value), "{value} is shown");
    }

    // bounded: the lowest keys are not seen, and that is told
    assertions(&bench, &format!("{all}, tables: [core.texts], rows: 700}}"));
    let words = "700 rows of 1 tables looked at; no more than 700 of core.texts";
    expect(&planned(&bench, 0), &[("cards holds", words)]);
    // all of them, page by page, and only once
    assertions(&bench, &format!("{all}, tables: [core.texts], rows: 1201}}"));
    let words = "looks like card numbers: core.texts.note (1 rows); 1201 rows of 1 tables looked at; no more than \
                 1201 of core.texts";
    expect(&planned(&bench, 4), &[("cards fails", words)]);
    assertions(
        &bench,
        &format!(
            "{all}, tables: [core.inquiries], except: [core.inquiries.body, core.inquiries.code, core.inquiries.parcel]}}"
        ),
    );
    // SQLite keeps any value in any column
    let words =
        if bench.engine == Engine::Sqlite { "4 rows of 1 tables looked at" } else { "0 rows of 0 tables looked at" };
    expect(&planned(&bench, 0), &[("cards holds", words)]);
}

const CARDS: &str = "- id: cards\n  statement: none\n  no_card_numbers: {database: core}";

/// A card number in a column of each type is found, and what only looks so is not.
async fn whatever_the_column_is(bench: Bench) {
    let card = "4111111111111111";
    // a type, a value with a card number, one without
    let columns: &[(&str, &str, &str)] = match bench.engine {
        Engine::Postgres => &[
            ("text[]", "'{4111111111111111}'", "'{4111}'"),
            ("text[][]", "'{{a,b},{c,4111 1111 1111 1111}}'", "null"),
            ("bigint", "4111111111111111", "1695300000000"),
            ("bigint[]", "'{1,4111111111111111}'", "'{1}'"),
            ("numeric", "4111111111111111.00", "4111111111111111.50"),
            ("numeric(16)", "4111111111111111", "-1"),
            ("double precision", "4111111111111111", "35.68123456789012"),
            ("money", "'4111111111111111.00'", "12.50"),
            ("json", "'{\"a\": [{\"b\": \"4111\\u00a01111\\u00a01111\\u00a01111\"}]}'", "'{\"a\": 1}'"),
            ("jsonb", "'{\"a\": [4111111111111111]}'", "'[]'"),
            ("xml", "'<a>4111 1111 1111 1111</a>'", "'<a/>'"),
            ("pair", "'(1,4111111111111111)'", "'(1,x)'"),
            ("int8range", "'[4111111111111111,4111111111111112)'", "'[1,2)'"),
            ("long_word", "'pan 4111111111111111'", "'x'"),
            ("code", "'4111-1111-1111-1111'", "'x'"),
            ("bytea", "convert_to('4111111111111111', 'UTF8')", "'\\x00ff'"),
            ("citext", "'4111111111111111'", "'x'"),
            ("hstore", "'a=>4111111111111111'", "'a=>1'"),
            ("name", "'4111111111111111'", "'x'"),
            ("char(40)", "'4111\t1111\t1111\t1111'", "'x'"),
            ("text generated always as (a || ' ' || b) stored", "", ""),
        ],
        Engine::Mysql => &[
            ("bigint", "4111111111111111", "1695300000000"),
            ("bigint unsigned", "4111111111111111", "18446744073709551615"),
            ("decimal(20,2)", "4111111111111111", "4111111111111111.50"),
            ("double", "4111111111111111", "35.68123456789012"),
            ("json", "'{\"a\": [{\"b\": \"4111\\u00a01111\\u00a01111\\u00a01111\"}]}'", "'{}'"),
            ("blob", "'4111111111111111'", "x'00ff'"),
            ("varbinary(60)", "'4111 1111 1111 1111'", "x'00ff'"),
            ("enum('x', 'pan 4111111111111111')", "2", "1"),
            ("set('x', '4111111111111111')", "3", "1"),
            ("bit(64)", "4111111111111111", "1"),
            ("varchar(40) character set latin1", "'4111 1111 1111 1111'", "'x'"),
            ("varchar(40) character set utf16", "'4111 1111 1111 1111'", "'x'"),
            ("longtext", "'4111\t1111\t1111\t1111'", "'x'"),
            ("varchar(60) generated always as (concat(a, ' ', b)) virtual", "", ""),
        ],
        Engine::Sqlite => &[
            ("", "'4111111111111111'", "'x'"),
            ("integer", "4111111111111111", "1695300000000"),
            ("integer", "'4111 1111 1111 1111'", "'x'"),
            ("real", "4111111111111111.0", "35.68123456789012"),
            ("real", "'4111-1111-1111-1111'", "1e300"),
            ("blob", "cast('4111111111111111' as blob)", "x'00ff'"),
            ("text", "cast('4111111111111111' as blob)", "x'00ff'"),
            ("date", "'4111111111111111'", "'2026-11-22 10:11:12.123456'"),
            ("boolean", "'4111111111111111'", "1"),
            ("json", "'{\"b\": \"4111\\u00a01111\\u00a01111\\u00a01111\"}'", "'{}'"),
            ("text generated always as (a || ' ' || b) virtual", "", ""),
        ],
    };
    bench.rules(RULE);
    bench.script("create table visits (id {int} primary key, seen_on {date})").await;
    assertions(&bench, CARDS);
    if bench.engine == Engine::Postgres {
        bench
            .script(
                "create extension if not exists citext; create extension if not exists hstore;
                 create type pair as (n int, v text); create domain code as varchar(40);
                 create type long_word as enum ('x', 'pan 4111111111111111')",
            )
            .await;
    }
    for (sql_type, with, without) in columns {
        let two_more = "a varchar(12), b varchar(12)";
        bench.script(&format!("create table t (id {{int}} primary key, {two_more}, v {sql_type})")).await;
        let values = |value: &str| match value {
            "" => "insert into t (id, a, b) values (1, '4111 1111', '1111 1111')".to_owned(),
            value => format!("insert into t values (1, null, null, {value})"),
        };
        bench.script(&values(with)).await;
        let seen = found(&planned(&bench, 4));
        assert_eq!(seen[0].0, "cards fails", "{sql_type}: {with}: {seen:?}");
        assert!(seen[0].1.contains("core.t.v (1 rows)"), "{sql_type}: {with}: {seen:?}");
        assert!(!seen[0].1.contains(card));
        bench.script("delete from t").await;
        if !without.is_empty() {
            bench.script(&values(without)).await;
        }
        let seen = found(&planned(&bench, 0));
        assert_eq!(seen[0].0, "cards holds", "{sql_type}: {without}: {seen:?}");
        bench.script("drop table t").await;
    }
}

/// It does not hold of what was not looked at.
async fn where_nobody_can_look(bench: Bench) {
    bench.rules(RULE);
    bench.script("create table visits (id {int} primary key, seen_on {date})").await;
    assertions(&bench, CARDS);
    let unknown = |bench: &Bench, names: &str| {
        let seen = found(&planned(bench, 4));
        assert!(seen[0].0 == "cards unknown" && seen[0].1.contains(names), "{names}: {seen:?}");
    };
    // a text that goes on with digits beyond what is looked at; one that goes on without them is none
    bench
        .script(&format!(
            "create table t (id {{int}} primary key, v {})",
            match bench.engine {
                Engine::Mysql => "longtext",
                _ => "text",
            }
        ))
        .await;
    let long = "x".repeat(30_000);
    bench.script(&format!("insert into t values (1, '{long} 4111 1111 1111 1111')")).await;
    unknown(&bench, "core.t.v (beyond 20000 characters");
    bench.script(&format!("update t set v = '4111 1111 1111 1112 {long}'")).await;
    assert_eq!(found(&planned(&bench, 0))[0].0, "cards holds");
    bench.script("drop table t").await;
    match bench.engine {
        Engine::Postgres => {
            bench.script("create materialized view m as select 1 as id, '4111111111111111'::text as v").await;
            let seen = found(&planned(&bench, 4));
            assert!(seen[0].1.contains("core.m.v (1 rows)"), "{seen:?}");
            bench
                .script("drop materialized view m; create table t (id int primary key, v bytea[], w bit varying)")
                .await;
            unknown(&bench, "core.t.v (bytea[]), core.t.w (bit varying)");
            assertions(&bench, &CARDS.replace("core}", "core, except: [core.t.v, core.t.w]}"));
            assert_eq!(found(&planned(&bench, 0))[0].0, "cards holds");
            bench.script("drop table t").await;
            // nobody is there to read the rows of
            bench
                .script(
                    "create extension file_fdw; create server files foreign data wrapper file_fdw;
                     create foreign table f (v text) server files options (filename '/nowhere/at/all')",
                )
                .await;
            assertions(&bench, CARDS);
            unknown(&bench, "core.f.v");
        }
        Engine::Mysql => {
            bench.script("create table t (id int primary key, v geometry)").await;
            unknown(&bench, "core.t.v (geometry)");
            bench.script("drop table t; create table t (v varchar(20))").await;
            bench.script("insert into t values ('x')").await;
            for _ in 0..14 {
                bench.script("insert into t select * from t").await;
            }
            unknown(&bench, "core.t (more than 10000 rows");
        }
        Engine::Sqlite => {
            bench.script("create virtual table f using fts5(v); insert into f values ('4111 1111 1111 1111')").await;
            let seen = found(&planned(&bench, 4));
            assert!(seen[0].1.contains("core.f.v (1 rows)"), "{seen:?}");
        }
    }
}

/// Pages go on where the page before ended, whatever the key is made of.
async fn keys_of_several_columns(bench: Bench) {
    visits(&bench).await;
    bench.script("create table t (a {int}, b varchar(20), note varchar(40), primary key (a, b))").await;
    for a in 0..12 {
        let rows: Vec<_> = (0..100).map(|b| format!("({a}, 'k''{b}', '4111-1111-1111-1111')")).collect();
        bench.script(&format!("insert into t values {}", rows.join(", "))).await;
    }
    assertions(&bench, "- id: cards\n  statement: none\n  no_card_numbers: {database: core, tables: [core.t]}");
    let plan = planned(&bench, 4);
    let words = &found(&plan)[0].1;
    assert!(words.contains("t.note (1200 rows); 1200 rows of 1 tables looked at"), "{words}");
}

async fn attestations(bench: Bench) {
    visits(&bench).await;
    assertions(
        &bench,
        "
- id: analytics-retention
  statement: Google Analytics keeps event data for two months
  attested_every: 3 months
- id: no-notes
  statement: none
  no_rows: {table: core.visits, where: {note: b}}
",
    );
    let unattested = "nobody has attested it: `sunset attest analytics-retention --by … --evidence …`";
    expect(&planned(&bench, 4), &[("analytics-retention unattested", unattested), ("no-notes holds", "no such row")]);
    assert_eq!(bench.run(4).disposed(), 2);

    let attest = |arguments: &[&str], code| {
        let start = ["attest", "--now", "2026-11-22"];
        bench.sunset(&[&start, arguments].concat()).expect(code)
    };
    let said = ["analytics-retention", "--by", "H. Sato", "--evidence", "Admin: 2 months"];
    attest(&["analytic-retention", "--by", "a", "--evidence", "b"], 2);
    attest(&["no-notes", "--by", "a", "--evidence", "b"], 2);
    attest(&["analytics-retention", "--by", "a", "--evidence", " "], 2);
    attest(&[&said[..], &["--until", "2027-02-23"]].concat(), 2);
    attest(&[&said[..], &["--until", "2026-11-21"]].concat(), 2);
    let list = |now: &str| bench.sunset(&["attest", "--list", "--now", now]).expect(0).out;
    assert!(list("2026-11-22").contains("unattested"));
    fs::write(bench.path("proof.png"), "proof").unwrap();
    let document = bench.path("proof.png");
    let out = attest(&[&said[..], &["--document", document.to_str().unwrap()]].concat(), 0).out;
    assert_eq!(
        out,
        "analytics-retention: Google Analytics keeps event data for two months: attested by H. Sato until 2027-02-22\n"
    );
    bench.run(0);
    let words = "attested on 2026-11-22, until 2027-02-22";
    expect(&planned(&bench, 0), &[("analytics-retention holds", words), ("no-notes holds", "no such row")]);
    assert!(list("2026-11-22").contains(" attested"));
    assert!(list("2027-02-10").contains(" due"));
    bench.sunset(&["run", "--now", "2027-02-22"]).expect(0);
    let expired = bench.sunset(&["run", "--now", "2027-02-23"]).expect(4).out;
    assert!(expired.contains("assertion analytics-retention: expired: Google Analytics keeps"), "{expired}");
    assert!(list("2027-02-23").contains("expired"));
    let status = bench.sunset(&["status", "--now", "2027-02-23", "--format", "json"]).expect(0).out;
    let status: Json = serde_json::from_str(&status).unwrap();
    assert_eq!(status["assertions"]["analytics-retention"]["result"], "expired");

    // a stricter rule ends it sooner
    assertions(&bench, "- id: analytics-retention\n  statement: s\n  attested_every: 1 day");
    bench.sunset(&["run", "--now", "2026-11-24"]).expect(4);
    let ledger = bench.sunset(&["ledger", "export"]).expect(0).out;
    let digest = hex::encode(Sha256::digest("proof"));
    assert!(ledger.contains(&format!(r#""document":"{digest}""#)), "{ledger}");
    assert!(ledger.contains(r#""by":"H. Sato""#) && ledger.contains(r#""until":"2027-02-22""#), "{ledger}");
    bench.sunset(&["ledger", "verify"]).expect(0);

    // metrics tell it without anybody looking
    let metrics = bench.path("metrics.prom");
    bench.sunset(&["run", "--now", "2026-11-22", "--metrics-file", metrics.to_str().unwrap()]).expect(0);
    let metrics = fs::read_to_string(metrics).unwrap();
    assert!(metrics.contains("sunset_assertion_holds{assertion=\"analytics-retention\"}"), "{metrics}");
    assert!(
        metrics.contains("sunset_attestation_end_timestamp_seconds{assertion=\"analytics-retention\"}"),
        "{metrics}"
    );
}
