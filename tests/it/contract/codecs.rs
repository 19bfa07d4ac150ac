//! Values of every type as `where` compares them. Each table of values says in which order they stand; what a rule means
//! is worked out from that order, and never asked of a server.

use super::fates_come_true;
use crate::support::bench::{Bench, on_every_engine};
use std::fmt::Write as _;
use sunset::catalog::Engine;

/// A value's place among the others. Literals between two values have odd places.
type Place = i32;

struct Sort<'a> {
    column: &'a str,
    /// SQL literals. Without a place: nobody can tell what it is, so it meets no condition.
    values: &'a [(&'a str, Option<Place>)],
    /// As YAML writes them.
    literals: &'a [(&'a str, Place)],
    ordered: bool,
}

/// Whether a value at one place meets a test with a literal at another.
type Holds = fn(Place, Place) -> bool;

impl Sort<'_> {
    async fn check(&self, bench: &Bench) {
        let tests: [(&str, Holds); 6] = [
            ("[LITERAL]", |value, literal| value == literal),
            ("{not: LITERAL}", |value, literal| value != literal),
            ("{less_than: LITERAL}", |value, literal| value < literal),
            ("{at_most: LITERAL}", |value, literal| value <= literal),
            ("{more_than: LITERAL}", |value, literal| value > literal),
            ("{at_least: LITERAL}", |value, literal| value >= literal),
        ];
        let tests = &tests[..if self.ordered { 6 } else { 2 }];
        let (mut script, mut rules, mut tables) = (String::new(), String::new(), Vec::new());
        for (literal, place) in self.literals {
            for (test, holds) in tests {
                let table = format!("t{}", tables.len());
                let _ = write!(
                    script,
                    "create table {table} (id {{int}} primary key, v {}, ended_on {{date}}, fate {{text}});
                     insert into {table} values (-1, null, '2001-01-01', 'stays');",
                    self.column
                );
                for (id, (value, at)) in self.values.iter().enumerate() {
                    let fate = if at.is_some_and(|at| holds(at, *place)) { "goes" } else { "stays" };
                    let _ = write!(script, "insert into {table} values ({id}, {value}, '2001-01-01', '{fate}');");
                }
                let _ = writeln!(
                    rules,
                    "- {{id: {table}, table: core.{table}, starting_point: ended_on, retention_period: 5 years,
                        disposition: erase, where: {{v: {}}}}}",
                    test.replace("LITERAL", literal)
                );
                tables.push(table);
            }
        }
        bench.script(&script).await;
        bench.rules(&rules);
        fates_come_true(bench, &tables.iter().map(String::as_str).collect::<Vec<_>>()).await;
        let drops: String = tables.iter().map(|table| format!("drop table {table};")).collect();
        bench.script(&drops).await;
        bench.forget();
    }
}

async fn integers(bench: Bench) {
    Sort {
        column: "{bigint}",
        values: &[
            ("-9223372036854775808", Some(0)),
            ("-1", Some(2)),
            ("0", Some(4)),
            ("9007199254740992", Some(6)),
            ("9007199254740993", Some(8)),
            ("9223372036854775807", Some(10)),
        ],
        literals: &[
            ("-9223372036854775808", 0),
            ("-0.5", 3),
            ("0", 4),
            ("\"0\"", 4),
            ("0.0", 4),
            ("9007199254740993", 8),
            ("9007199254740992.5", 7),
            ("9223372036854775808", 11),
            ("\"-99999999999999999999999\"", -1),
        ],
        ordered: true,
    }
    .check(&bench)
    .await;
    if bench.engine == Engine::Mysql {
        Sort {
            column: "bigint unsigned",
            values: &[("0", Some(0)), ("9223372036854775808", Some(2)), ("18446744073709551615", Some(4))],
            literals: &[
                ("-1", -1),
                ("9223372036854775808", 2),
                ("\"18446744073709551615\"", 4),
                ("\"18446744073709551616\"", 5),
            ],
            ordered: true,
        }
        .check(&bench)
        .await;
    }
}

async fn decimals(bench: Bench) {
    Sort {
        column: "decimal(4, 2)",
        values: &[("-0.01", Some(0)), ("0.00", Some(2)), ("0.01", Some(4)), ("1.50", Some(6)), ("99.99", Some(8))],
        literals: &[
            ("-0.005", 1),
            ("0", 2),
            ("0.005", 3),
            ("0.004999999999999999999999999999999999", 3),
            ("0.01", 4),
            ("\"1.5\"", 6),
            ("1.500", 6),
            ("99.995", 9),
            ("1000", 9),
        ],
        ordered: true,
    }
    .check(&bench)
    .await;
}

async fn floats(bench: Bench) {
    // what is printed as 0.1 is meant by 0.1, in either precision
    let column = match bench.engine {
        Engine::Postgres => "real",
        Engine::Mysql => "float",
        Engine::Sqlite => "real",
    };
    let single = bench.engine != Engine::Sqlite;
    let more = if single { ("16777217", 7) } else { ("16777216.5", 7) };
    Sort {
        column,
        values: &[("-0.5", Some(0)), ("0.1", Some(2)), ("0.25", Some(4)), ("16777216", Some(6)), ("16777218", Some(8))],
        literals: &[("-0.5", 0), ("0.1", 2), ("0.1000000000000000000000001", 3), ("0.25", 4), more, ("16777218", 8)],
        ordered: true,
    }
    .check(&bench)
    .await;
    Sort {
        column: "{float}",
        values: &[("0.1e0", Some(0)), ("0.30000000000000004e0", Some(2)), ("1e300", Some(4))],
        literals: &[("0.1", 0), ("0.3", 1), ("0.30000000000000004", 2), ("0.300000000000000040001", 3)],
        ordered: true,
    }
    .check(&bench)
    .await;
}

async fn booleans(bench: Bench) {
    Sort {
        column: "{boolean}",
        values: &[("true", Some(2)), ("false", Some(0))],
        literals: &[("true", 2), ("false", 0)],
        ordered: false,
    }
    .check(&bench)
    .await;
    // truth in a column of numbers: what is neither 1 nor 0 tells nothing
    Sort {
        column: "{int}",
        values: &[("1", Some(2)), ("0", Some(0)), ("2", None), ("-1", None)],
        literals: &[("true", 2), ("false", 0)],
        ordered: false,
    }
    .check(&bench)
    .await;
    if bench.engine == Engine::Sqlite {
        for column in ["boolean", "bool", "integer", ""] {
            Sort {
                column,
                values: &[
                    ("1", Some(2)),
                    ("'t'", Some(2)),
                    ("'TRUE'", Some(2)),
                    ("'true'", Some(2)),
                    ("'yes'", Some(2)),
                    ("'1'", Some(2)),
                    ("0", Some(0)),
                    ("'f'", Some(0)),
                    ("'false'", Some(0)),
                    ("'N'", Some(0)),
                    ("''", None),
                    ("'maybe'", None),
                    ("2", None),
                    ("x'01'", None),
                ],
                literals: &[("true", 2), ("false", 0)],
                ordered: false,
            }
            .check(&bench)
            .await;
        }
    }
}

async fn texts(bench: Bench) {
    let column = match bench.engine {
        Engine::Postgres => "text collate \"C\"",
        Engine::Mysql => "varchar(40) collate utf8mb4_bin",
        Engine::Sqlite => "text",
    };
    Sort {
        column,
        values: &[("''", Some(0)), ("'100'", Some(2)), ("'20'", Some(4)), ("'A'", Some(6)), ("'a'", Some(8))],
        literals: &[("\"\"", 0), ("\"100\"", 2), ("\"20\"", 4), ("A", 6), ("a", 8), ("\"1\"", 1)],
        ordered: true,
    }
    .check(&bench)
    .await;
    let column = match bench.engine {
        Engine::Postgres => {
            let collation =
                "create collation folded (provider = icu, locale = 'und-u-ks-level1', deterministic = false)";
            bench.script(collation).await;
            "text collate folded"
        }
        Engine::Mysql => "varchar(40) character set utf8mb4 collate utf8mb4_general_ci",
        Engine::Sqlite => "text collate nocase",
    };
    // accents count for nothing but on SQLite, which does not know of them
    let accent = if bench.engine == Engine::Sqlite { 6 } else { 2 };
    Sort {
        column,
        values: &[("'Bob'", Some(2)), ("'BOB'", Some(2)), ("'B\u{f3}b'", Some(accent)), ("'bobby'", Some(4))],
        literals: &[("bob", 2), ("bobby", 4), ("BOBBY", 4)],
        ordered: false,
    }
    .check(&bench)
    .await;
}

async fn padded_texts(bench: Bench) {
    if bench.engine == Engine::Sqlite {
        return;
    }
    Sort {
        column: "char(5)",
        values: &[("'ab'", Some(2)), ("'ab   '", Some(2)), ("'abc'", Some(4)), ("'AB'", None)],
        literals: &[("ab", 2), ("\"ab  \"", 2), ("abc", 4)],
        ordered: false,
    }
    .check_without_doubt(&bench)
    .await;
}

impl Sort<'_> {
    /// Leaves out the values that have no place.
    async fn check_without_doubt(&self, bench: &Bench) {
        let values: Vec<_> = self.values.iter().filter(|(_, place)| place.is_some()).copied().collect();
        Sort { values: &values, ..*self }.check(bench).await;
    }
}

async fn words(bench: Bench) {
    let column = match bench.engine {
        Engine::Postgres => {
            bench.script("create type phase as enum ('new', 'old', 'archived')").await;
            bench.script("create domain life as phase; create domain inner_life as life").await;
            "inner_life"
        }
        Engine::Mysql => "enum('new', 'old', 'archived')",
        Engine::Sqlite => return,
    };
    Sort {
        column,
        values: &[("'new'", Some(0)), ("'old'", Some(2)), ("'archived'", Some(4))],
        literals: &[("new", 0), ("old", 2), ("archived", 4)],
        ordered: bench.engine == Engine::Postgres,
    }
    .check(&bench)
    .await;
    if bench.engine == Engine::Mysql {
        Sort {
            column: "set('a', 'b', 'c')",
            values: &[("''", Some(0)), ("'a'", Some(2)), ("'a,c'", Some(4)), ("'c'", Some(6))],
            literals: &[("\"\"", 0), ("a", 2), ("\"a,c\"", 4), ("\"c,a\"", 4), ("c", 6)],
            ordered: false,
        }
        .check(&bench)
        .await;
    }
}

async fn bits(bench: Bench) {
    if bench.engine == Engine::Mysql {
        Sort {
            column: "bit(4), index (v)",
            values: &[("b'0'", Some(0)), ("b'101'", Some(2)), ("b'1111'", Some(4))],
            literals: &[("0", 0), ("5", 2), ("5.5", 3), ("15", 4), ("16", 5), ("-1", -1)],
            ordered: true,
        }
        .check(&bench)
        .await;
    }
    if bench.engine == Engine::Postgres {
        Sort {
            column: "bit(4)",
            values: &[("'0000'", Some(0)), ("'0101'", Some(2)), ("'1111'", Some(4))],
            literals: &[("\"0000\"", 0), ("\"0101\"", 2), ("\"1111\"", 4)],
            ordered: true,
        }
        .check(&bench)
        .await;
    }
}

async fn days_and_times(bench: Bench) {
    let text = bench.engine == Engine::Sqlite;
    let doubt: &[(&str, Option<Place>)] = &[("''", None), ("'soon'", None), ("'2021-02-30'", None)];
    let with = |values: &[(&'static str, Option<Place>)]| -> Vec<(&'static str, Option<Place>)> {
        values.iter().copied().chain(doubt.iter().copied().filter(|_| text)).collect()
    };
    Sort {
        column: "{date}",
        values: &with(&[("'2020-02-29'", Some(0)), ("'2020-03-01'", Some(2)), ("'2021-01-01'", Some(4))]),
        literals: &[("\"2020-02-29\"", 0), ("2020-03-01", 2), ("2021-01-02", 5)],
        ordered: true,
    }
    .check(&bench)
    .await;
    let mut values = with(&[
        ("'2020-02-29 00:00:00'", Some(0)),
        ("'2020-02-29 15:00:00'", Some(2)),
        ("'2020-02-29 15:00:00.000001'", Some(4)),
        ("'2020-03-01 00:00:00'", Some(6)),
    ]);
    if text {
        values.extend([("'2020-02-29'", Some(0)), ("'2020-02-29T15:00'", Some(2)), ("'2020-02-29 15:00'", Some(2))]);
    }
    Sort {
        column: "{timestamp}",
        values: &values,
        literals: &[
            ("\"2020-02-29\"", 0),
            ("\"2020-02-29T15:00:00\"", 2),
            ("\"2020-02-29 15:00\"", 2),
            ("\"2020-02-29 15:00:00.0000005\"", 3),
            ("\"2020-02-29 15:00:00.000001\"", 4),
            ("\"2020-03-01\"", 6),
        ],
        ordered: true,
    }
    .check(&bench)
    .await;
    if !text {
        Sort {
            column: "{timestamptz}",
            values: &[("'2020-02-29 00:00:00'", Some(0)), ("'2020-02-29 15:00:00'", Some(2))],
            literals: &[("\"2020-02-29T09:00:00+09:00\"", 0), ("\"2020-02-29 15:00:00Z\"", 2)],
            ordered: true,
        }
        .check(&bench)
        .await;
    }
}

/// Whatever SQLite keeps in a column that is declared without a type.
async fn untyped_columns(bench: Bench) {
    if bench.engine != Engine::Sqlite {
        return;
    }
    for column in ["", "blob", "numeric", "money", "integer"] {
        let own = |text: &'static str| if matches!(column, "" | "blob") { (text, None) } else { (text, Some(2)) };
        Sort {
            column,
            values: &[
                ("3", Some(2)),
                ("3.0", Some(2)),
                own("'3'"),
                ("4", Some(4)),
                ("4.5", Some(5)),
                ("500", Some(8)),
                ("'open'", None),
                ("x'33'", None),
            ],
            literals: &[("3", 2), ("3.0", 2), ("10", 7), ("4.5", 5), ("-1", -1)],
            ordered: true,
        }
        .check(&bench)
        .await;
    }
    Sort {
        column: "",
        values: &[("'open'", Some(4)), ("'closed'", Some(2)), ("3", None), ("x'6F70656E'", None)],
        literals: &[("open", 4), ("closed", 2)],
        ordered: true,
    }
    .check(&bench)
    .await;
    // a text is a text, whatever its letters
    Sort {
        column: "",
        values: &[
            ("'x'", Some(2)),
            ("'x6F'", Some(4)),
            ("'y'", Some(6)),
            ("'0x6f'", Some(0)),
            ("x''", None),
            ("x'6F'", None),
        ],
        literals: &[("x", 2), ("x6F", 4), ("\"0x6f\"", 0)],
        ordered: true,
    }
    .check(&bench)
    .await;
    Sort {
        column: "blob",
        values: &[("x'6F'", Some(2)), ("x'6F00'", Some(4)), ("'0x6f'", None), ("'x6F'", None)],
        literals: &[("\"0x6f\"", 2), ("\"0x6F00\"", 4)],
        ordered: true,
    }
    .check(&bench)
    .await;
}

async fn what_cannot_be_compared_is_refused(bench: Bench) {
    bench
        .script(
            "create table t (id {int} primary key, v {text}, d {date}, b {boolean}, ended_on {date});
             insert into t values (1, '20', '2001-01-01', true, '2001-01-01')",
        )
        .await;
    for condition in [
        "{v: 100}",
        "{v: {at_least: 100}}",
        "{v: {not: 100}}",
        "{v: true}",
        "{d: soon}",
        "{d: 5}",
        "{d: \"2020-02-30\"}",
        "{b: t}",
        "{b: {less_than: true}}",
        "{id: {less_than: true}}",
        "{id: {less_than: \"5x\"}}",
        "{id: \" 5\"}",
    ] {
        bench.rules(&format!(
            "
- {{id: t, table: core.t, starting_point: ended_on, retention_period: 5 years, disposition: erase,
   where: {condition}}}"
        ));
        let call = bench.sunset(&["run"]).expect(2);
        assert!(call.err.contains("E0"), "{condition}: {}", call.err);
    }
}

on_every_engine!(
    integers,
    decimals,
    floats,
    booleans,
    texts,
    padded_texts,
    words,
    bits,
    days_and_times,
    untyped_columns,
    what_cannot_be_compared_is_refused,
);
