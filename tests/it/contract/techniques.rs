//! A technique rests on every type or is refused: each is applied to a column of each type of each engine, and the night after
//! finds nothing to do.

use crate::support::bench::{Bench, on_every_engine};
use serde_json::Value as Json;
use std::collections::BTreeSet;
use sunset::catalog::Engine;

on_every_engine!(
    every_technique_rests_or_is_refused,
    keys_of_replacements_never_collide,
    spelling_alone_is_a_difference
);

const TECHNIQUES: &[&str] = &[
    "suppress",
    "{replace: \"X\"}",
    "{replace: \"x\"}",
    "{replace: \"\"}",
    "{replace: \"0\"}",
    "{replace: \"0.1\"}",
    "{replace: \"1990\"}",
    "{replace: \"true\"}",
    "{replace: \"1970-01-02\"}",
    "{replace: \"1970-01-02 00:00:00\"}",
    "{replace: \"1970-01-02T00:00:00Z\"}",
    "{replace: \"00000000-0000-0000-0000-000000000000\"}",
    "{replace: \"[]\"}",
    "{replace: \"r{key}\"}",
    "{replace: \"much more than what most of these columns could ever hold of a text\"}",
    "mask",
    "{mask: {keep_first: 1, keep_last: 1}}",
    "{truncate: 1}",
    "{truncate: 3}",
    "{generalize: month}",
    "{generalize: year}",
    "{generalize: decade}",
    "{generalize: {bucket: 10}}",
    "{generalize: {bucket: 7}}",
    "{generalize: {bucket: 0.1}}",
    "{generalize: {bucket: 100000}}",
    "{generalize: {ip_prefix: {v4: 24, v6: 48}}}",
    "{generalize: {postal_code: 2}}",
    "{top_code: 0.1}",
    "{top_code: 0.005}",
    "{top_code: 7}",
    "{top_code: -5}",
    "{bottom_code: 0.1}",
    "{bottom_code: 2000}",
    "{bottom_code: -5}",
];

/// A type with its values in SQL.
type Typed = (&'static str, &'static str);

const TEXTS: &str = "''|' '|'x'|'X'|'ab '|'ab cd'|'Ａé😀'|'e\u{301}e\u{301}'|'12e4567'|'0123'|'2021-03-31'|'1.2.3.4'";
const BIG: &str = "0|1|-1|7|15|-15|9223372036854775807|-9223372036854775808|-9223372036854775807";

fn types(engine: Engine) -> Vec<Typed> {
    match engine {
        Engine::Postgres => vec![
            ("text", TEXTS),
            ("varchar(30)", TEXTS),
            ("char(10)", TEXTS),
            ("citext", TEXTS),
            ("text collate blind", TEXTS),
            ("name", TEXTS),
            ("short_text", "'a'|'abcd'"),
            ("\"char\"", "'a'|'Z'"),
            ("smallint", "0|-32768|32767|15|-15"),
            ("integer", "0|-2147483648|2147483647|15|-15"),
            ("bigint", BIG),
            ("numeric", "0|0.05|0.10|-0.15|1e30|'NaN'|'Infinity'|'-Infinity'|15.5"),
            ("numeric(4,2)", "0|0.01|0.1|-0.05|99.99|-99.99|15.5"),
            ("numeric(5,-2)", "0|100|-100|9999900|-9999900"),
            ("numeric(3,5)", "0|0.00999|-0.00999|0.005"),
            ("amount", "0|0.01|-15.5|99.99"),
            ("real", "0|0.1|0.2|-0.1|1e30|'NaN'|'Infinity'|'-Infinity'|15.5|16777217"),
            ("double precision", "0|0.1|0.2|-0.1|1e300|'NaN'|'Infinity'|'-Infinity'|15.5|8.999999999999998"),
            ("ratio", "0|0.1|15.5|16777217"),
            ("boolean", "true|false"),
            ("date", "'2021-03-31'|'infinity'|'-infinity'|'0044-03-15 BC'|'0001-05-05'|'1970-01-01'"),
            ("timestamp", "'2021-03-31 12:30:00.5'|'infinity'|'-infinity'|'0044-03-15 01:00:00 BC'"),
            ("timestamp(0)", "'2021-03-31 12:30:00'"),
            ("timestamptz", "'2021-03-31 15:30:00+00'|'2021-02-28 15:00:00+00'|'infinity'|'-infinity'"),
            ("time", "'12:30:00'"),
            ("interval", "'1 day'"),
            ("uuid", "'123e4567-e89b-12d3-a456-426614174000'"),
            ("inet", "'203.0.113.7'|'10.1.2.3/8'|'2001:db8::7'"),
            ("cidr", "'203.0.113.0/24'|'10.0.0.0/8'|'2001:db8::/32'"),
            ("json", "'{}'|'{ }'|'[1, 2]'|'null'"),
            ("jsonb", "'{}'|'[1, 2]'|'null'"),
            ("bytea", "'\\x00ff'|''"),
            ("word", "'x'|'X'|'0'"),
            ("text[]", "'{a,b}'"),
            ("bit(4)", "B'1010'"),
            ("int4range", "'[1,5)'"),
        ],
        Engine::Mysql => vec![
            ("varchar(30)", TEXTS),
            ("varchar(30) collate utf8mb4_general_ci", TEXTS),
            ("varchar(30) collate utf8mb4_bin", TEXTS),
            ("varchar(30) collate utf8mb4_unicode_520_nopad_ci", TEXTS),
            ("varchar(30) character set utf16", TEXTS),
            ("varchar(3)", "''|'x'|'abc'"),
            ("char(10)", TEXTS),
            ("char(10) collate utf8mb4_bin", TEXTS),
            ("text", TEXTS),
            ("longtext", TEXTS),
            ("tinyint", "0|-128|127|15|-15"),
            ("tinyint unsigned", "0|255|15"),
            ("int", "0|-2147483648|2147483647|15|-15"),
            ("bigint", BIG),
            ("bigint unsigned", "0|15|18446744073709551615"),
            ("int(5) unsigned zerofill", "0|15|4294967295"),
            ("year", "0|1901|1999|2155"),
            ("decimal(4,2)", "0|0.01|0.1|-0.05|99.99|-99.99|15.5"),
            ("decimal(4,2) unsigned", "0|0.01|0.1|99.99|15.5"),
            ("decimal(30,10)", "0|0.0000000001|-0.05|12345678901234567890.5"),
            ("float", "0|0.1|0.2|-0.1|1e30|15.5|16777216"),
            ("float unsigned", "0|0.1|0.2|15.5"),
            ("float(7,4)", "0|0.1|0.2|-0.1|15.5"),
            ("double", "0|0.1|0.2|-0.1|1e300|15.5|8.999999999999998"),
            ("double(10,2)", "0|0.1|0.2|-0.01|15.5"),
            ("boolean", "true|false"),
            ("date", "'2021-03-31'|'1000-01-01'|'9999-12-31'"),
            ("datetime", "'2021-03-31 12:30:00'"),
            ("datetime(6)", "'2021-03-31 12:30:00.5'"),
            ("timestamp null", "'2021-03-31 12:30:00'|'1970-01-02 00:00:00'"),
            ("time", "'12:30:00'"),
            ("uuid", "'123e4567-e89b-12d3-a456-426614174000'"),
            ("inet6", "'2001:db8::7'|'::ffff:1.2.3.4'"),
            ("json", "'{}'|'{ }'|'[1, 2]'"),
            ("varbinary(10)", "x'00ff'"),
            ("blob", "x'00ff'"),
            ("enum('x', 'abc', '0', '')", "'x'|'abc'|'0'|''"),
            ("set('x', 'abc')", "'x'|'x,abc'|''"),
            ("bit(4)", "b'1010'"),
            ("geometry", "point(1, 2)"),
        ],
        Engine::Sqlite => {
            // a value of each sort in a column of each
            const ANY: &str = "''|'x'|'X'|'ab '|'Ａé😀'|'12e4567'|'0123'|'2021-03-31'|'2021-03-31T12:30:00Z'|x'61626364'|0|1|-1|15|-15|\
                               9223372036854775807|-9223372036854775808|-9223372036854775807|0.1|0.05|-0.1|15.5|1e300|9e999|-9e999|8.999999999999998";
            [
                "",
                "text",
                "varchar(3)",
                "text collate nocase",
                "text collate rtrim",
                "char(5)",
                "uuid",
                "integer",
                "bigint",
                "real",
                "float",
                "numeric",
                "numeric(4,2)",
                "boolean",
                "date",
                "datetime",
                "timestamp",
                "time",
                "json",
                "blob",
                "string",
            ]
            .map(|sql_type| (sql_type, ANY))
            .to_vec()
        }
    }
}

/// Columns that diagnostics are about.
fn refused_columns(out: &str) -> BTreeSet<usize> {
    let diagnostics = out.lines().filter_map(|line| serde_json::from_str::<Json>(line).ok());
    let errors = diagnostics.filter(|diagnostic| diagnostic["severity"] == "error");
    let column = |diagnostic: Json| {
        let message = diagnostic["message"].as_str().unwrap();
        assert!(!diagnostic["help"].as_str().unwrap_or_default().is_empty(), "no way out: {diagnostic}");
        let (_, rest) = message.split_once("`v").unwrap_or_else(|| panic!("no column: {message}"));
        rest.split('`').next().unwrap().parse().unwrap()
    };
    errors.map(column).collect()
}

async fn every_technique_rests_or_is_refused(bench: Bench) {
    if bench.engine == Engine::Postgres {
        bench
            .script(
                "create extension if not exists citext; create domain short_text as varchar(4);
                 create domain amount as numeric(6,2); create domain ratio as real; create type word as enum ('x', 'X', '0');
                 create collation blind (provider = icu, locale = 'und-u-ks-level1', deterministic = false)",
            )
            .await;
    }
    // MySQL lacks some of MariaDB's types and collations
    let missing: &[&str] = match bench.engine {
        Engine::Mysql if !bench.list("select version()").await.contains("MariaDB") => &["uuid", "inet6", "nopad"],
        _ => &[],
    };
    let mut applied = 0;
    for (sql_type, values) in types(bench.engine) {
        if missing.iter().any(|missing| sql_type.contains(missing)) {
            continue;
        }
        let columns: Vec<_> = (0..TECHNIQUES.len()).map(|index| format!("v{index} {sql_type}")).collect();
        bench.script("drop table if exists t").await;
        bench.script(&format!("create table t (id {{int}} primary key, ended {{date}}, {})", columns.join(", "))).await;
        for (id, value) in values.split('|').enumerate() {
            let all = vec![value; TECHNIQUES.len()].join(", ");
            bench.script(&format!("insert into t values ({id}, '2000-01-01', {all})")).await;
        }
        let rule = |refused: &BTreeSet<usize>| {
            let techniques = TECHNIQUES.iter().enumerate().filter(|(index, _)| !refused.contains(index));
            let columns: String = techniques.map(|(index, technique)| format!("    v{index}: {technique}\n")).collect();
            format!(
                "- id: a\n  table: core.t\n  starting_point: ended\n  retention_period: 1 year\n  disposition: anonymize\n  columns:\n{columns}"
            )
        };
        bench.rules(&rule(&BTreeSet::new()));
        let planned = bench.sunset(&["plan", "--now", bench.now, "--format", "json"]);
        let refused = if planned.code == 2 { refused_columns(&planned.out) } else { BTreeSet::new() };
        assert!(refused.len() < TECHNIQUES.len() && !refused.contains(&0), "{sql_type}: {planned:?}");
        applied += TECHNIQUES.len() - refused.len();
        bench.rules(&rule(&refused));
        let call = bench.sunset(&["run", "--now", bench.now, "--format", "json"]);
        assert_eq!(call.code, 0, "{sql_type}: first night: {call:?}");
        let call = bench.sunset(&["run", "--now", bench.now, "--format", "json"]);
        let again: Json = serde_json::from_str(&call.out).unwrap_or_default();
        if call.code != 0 || again["disposed"] != 0 {
            panic!("{sql_type}: second night: {call:?}\n{:?}", bench.lines("select * from t").await);
        }
    }
    assert!(applied > 150, "{applied} is less than what should fit");
}

/// Two rows never get the same text, whatever their keys are.
async fn keys_of_replacements_never_collide(bench: Bench) {
    let keys = [
        ("a", "b-c"),
        ("a-b", "c"),
        ("a~1b", "c"),
        ("a", "b~1c"),
        ("a~", "b"),
        ("a~0", "b"),
        ("-", "~"),
        ("~", "-"),
        ("-", "-"),
    ];
    bench
        .script("create table t (a varchar(9) not null, b varchar(9) not null, ended {date}, mail varchar(90) unique, primary key (a, b))")
        .await;
    for (number, (a, b)) in keys.iter().enumerate() {
        bench
            .script(&format!("insert into t values ('{a}', '{b}', '2000-01-01', 'person{number}@mail.example')"))
            .await;
    }
    let rule = "
- id: a
  table: core.t
  starting_point: ended
  retention_period: 1 year
  disposition: anonymize
  columns: {mail: {replace: \"erased-{key}@invalid.example\"}}";
    bench.rules(rule);
    let report = bench.run_to_the_end();
    assert_eq!(report.disposed(), keys.len() as u64);
    assert_eq!(bench.count("select count(distinct mail) from t").await, keys.len() as u64);
    assert_eq!(bench.list("select mail from t where a = 'a' and b = 'b-c'").await, "erased-a-b~1c@invalid.example");
    // a single key stays as it is
    bench.script("drop table t").await;
    bench.script("create table t (a varchar(9) primary key, ended {date}, mail varchar(90) unique)").await;
    bench.script("insert into t values ('x-~y', '2000-01-01', 'person@mail.example')").await;
    bench.rules(rule);
    bench.run_to_the_end();
    assert_eq!(bench.list("select mail from t").await, "erased-x-~y@invalid.example");
}

/// What a collation takes for equal is not what the technique would have made.
async fn spelling_alone_is_a_difference(bench: Bench) {
    let text = match bench.engine {
        Engine::Postgres => "text collate blind",
        Engine::Mysql => "varchar(40) collate utf8mb4_general_ci",
        Engine::Sqlite => "text collate nocase",
    };
    if bench.engine == Engine::Postgres {
        bench
            .script("create collation blind (provider = icu, locale = 'und-u-ks-level1', deterministic = false)")
            .await;
    }
    bench.script(&format!("create table t (id {{int}} primary key, ended {{date}}, name {text})")).await;
    bench
        .script("insert into t values (1, '2000-01-01', 'ROSE'), (2, '2000-01-01', 'rose'), (3, '2000-01-01', 'Rosé')")
        .await;
    bench.rules(
        "
- id: a
  table: core.t
  starting_point: ended
  retention_period: 1 year
  disposition: anonymize
  columns: {name: {replace: rose}}",
    );
    assert_eq!(bench.run_to_the_end().disposed(), 2);
    assert_eq!(bench.list("select name from t order by id").await, "rose rose rose");
}
