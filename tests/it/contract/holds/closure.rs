//! Random schemas, rows and holds: what belongs to held rows is worked out here by following every key of every row, and
//! the program's run must leave exactly those rows as they were.

use super::hold;
use crate::support::bench::{Bench, on_every_engine};
use std::collections::BTreeSet;
use sunset::catalog::Engine;

/// Cases on each engine; `SUNSET_TEST_CASES` asks for others.
const CASES: u64 = 6;

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}

/// A table whose key is one number, or a number and a text; what it references, by name of the column.
struct Table {
    is_composite: bool,
    keys: Vec<usize>,
    rows: Vec<Row>,
}

/// One row: its group, which conditions ask for, and the rows that it references, by position.
struct Row {
    group: u64,
    references: Vec<Option<usize>>,
}

fn invent(random: &mut Random) -> Vec<Table> {
    let count = 2 + usize::try_from(random.below(4)).unwrap();
    let mut tables: Vec<Table> = (0..count)
        .map(|_| {
            let keys = (0..random.below(3)).map(|_| usize::try_from(random.below(count as u64)).unwrap()).collect();
            Table { is_composite: random.once_in(3), keys, rows: Vec::new() }
        })
        .collect();
    let lengths: Vec<u64> = (0..count).map(|_| 3 + random.below(8)).collect();
    for (table, length) in tables.iter_mut().zip(&lengths) {
        for _ in 0..*length {
            let references = table.keys.iter().map(|to| {
                let row = usize::try_from(random.below(lengths[*to])).unwrap();
                (!random.once_in(3)).then_some(row)
            });
            let references = references.collect();
            table.rows.push(Row { group: random.below(4), references });
        }
    }
    tables
}

/// The columns of a key: of the table itself with `k`, of a reference with its own name before.
fn columns(table: &Table, name: &str) -> Vec<String> {
    match table.is_composite {
        true => vec![format!("{name}1"), format!("{name}2")],
        false => vec![format!("{name}1")],
    }
}

fn values(table: &Table, row: usize) -> Vec<String> {
    match table.is_composite {
        true => vec![(row / 2).to_string(), format!("'k{row}'")],
        false => vec![row.to_string()],
    }
}

fn key_types(table: &Table, name: &str, more: &str) -> String {
    let types = ["{int}", "varchar(9)"];
    let columns = columns(table, name);
    columns.iter().zip(types).map(|(column, kind)| format!("{column} {kind}{more}, ")).collect()
}

async fn build(bench: &Bench, tables: &[Table]) {
    let key = |number: usize, from: &str, to: usize| {
        let (own, theirs) = (columns(&tables[to], from).join(", "), columns(&tables[to], "k").join(", "));
        (format!("foreign key ({own}) references t{to} ({theirs})"), number)
    };
    let mut later = Vec::new();
    for (number, table) in tables.iter().enumerate() {
        let own = key_types(table, "k", " not null");
        let references: String = table
            .keys
            .iter()
            .enumerate()
            .map(|(place, to)| key_types(&tables[*to], &format!("r{place}_"), ""))
            .collect();
        let keys: Vec<_> =
            table.keys.iter().enumerate().map(|(place, to)| key(number, &format!("r{place}_"), *to)).collect();
        // SQLite adds no key later, and does not ask for the table that it references
        let inline: String = match bench.engine {
            Engine::Sqlite => keys.iter().map(|(key, _)| format!(", {key}")).collect(),
            _ => String::new(),
        };
        later.extend(keys);
        let primary = columns(table, "k").join(", ");
        bench
            .script(&format!(
                "create table t{number} ({own}{references} grp {{int}}, ended {{date}}, note {{text}}, \
                 primary key ({primary}){inline})"
            ))
            .await;
    }
    if bench.engine != Engine::Sqlite {
        for (key, number) in later {
            bench.script(&format!("alter table t{number} add {key}")).await;
        }
    }
    for (number, table) in tables.iter().enumerate() {
        let rows: Vec<_> = table
            .rows
            .iter()
            .enumerate()
            .map(|(row, facts)| format!("({}, {}, '2001-01-01', 'x')", values(table, row).join(", "), facts.group))
            .collect();
        let names = columns(table, "k").join(", ");
        bench.script(&format!("insert into t{number} ({names}, grp, ended, note) values {}", rows.join(", "))).await;
    }
    for (number, table) in tables.iter().enumerate() {
        for (row, facts) in table.rows.iter().enumerate() {
            for (place, (to, referenced)) in table.keys.iter().zip(&facts.references).enumerate() {
                let Some(referenced) = referenced else { continue };
                let set = columns(&tables[*to], &format!("r{place}_"));
                let set: Vec<_> = set
                    .iter()
                    .zip(values(&tables[*to], *referenced))
                    .map(|(name, value)| format!("{name} = {value}"))
                    .collect();
                let this: Vec<_> = columns(table, "k")
                    .iter()
                    .zip(values(table, row))
                    .map(|(name, value)| format!("{name} = {value}"))
                    .collect();
                bench.script(&format!("update t{number} set {} where {}", set.join(", "), this.join(" and "))).await;
            }
        }
    }
}

/// Everything that belongs to these rows, over as many rows as it takes.
fn closure(tables: &[Table], mut held: BTreeSet<(usize, usize)>) -> BTreeSet<(usize, usize)> {
    loop {
        let mut more = held.clone();
        for (number, table) in tables.iter().enumerate() {
            for (row, facts) in table.rows.iter().enumerate() {
                let mut references = table.keys.iter().zip(&facts.references);
                if references.any(|(to, referenced)| referenced.is_some_and(|row| held.contains(&(*to, row)))) {
                    more.insert((number, row));
                }
            }
        }
        if more.len() == held.len() {
            return held;
        }
        held = more;
    }
}

async fn exactly_what_belongs_stays(bench: Bench) {
    let engine = bench.engine;
    drop(bench);
    let cases = std::env::var("SUNSET_TEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(CASES);
    for case in 0..cases {
        let mut random = Random(case.wrapping_mul(0x9E37_79B9_7F4A_7C15) + 7);
        let tables = invent(&mut random);
        let bench = Bench::new(engine).await;
        build(&bench, &tables).await;
        let rules: String = (0..tables.len())
            .map(|number| {
                let from = |other: &usize| tables[*other].keys.contains(&number);
                let kept: Vec<_> = (0..tables.len()).filter(from).map(|other| format!("core.t{other}: keep")).collect();
                format!(
                    "- {{id: rule-{number}, table: core.t{number}, starting_point: ended, retention_period: 1 year, \
                     disposition: anonymize, columns: {{note: suppress}}{}}}\n",
                    if kept.is_empty() { String::new() } else { format!(", dependents: {{{}}}", kept.join(", ")) }
                )
            })
            .collect();
        bench.rules(&rules);
        let (mut shared, mut alone) = (BTreeSet::new(), BTreeSet::new());
        for _ in 0..1 + random.below(3) {
            let number = usize::try_from(random.below(tables.len() as u64)).unwrap();
            let table = &tables[number];
            let name = format!("core.t{number}");
            let is_alone = random.once_in(4);
            let mut what: Vec<String> = Vec::new();
            let rows: Vec<usize> = if random.once_in(3) {
                let group = random.below(4);
                what.extend(["--where".to_owned(), format!("grp = {group}")]);
                (0..table.rows.len()).filter(|row| table.rows[*row].group == group).collect()
            } else {
                let row = usize::try_from(random.below(table.rows.len() as u64)).unwrap();
                for value in values(table, row) {
                    what.extend(["--key".to_owned(), value.trim_matches('\'').to_owned()]);
                }
                vec![row]
            };
            if is_alone {
                what.push("--only-row".to_owned());
            }
            hold(&bench, &name, &what.iter().map(String::as_str).collect::<Vec<_>>());
            let set = if is_alone { &mut alone } else { &mut shared };
            set.extend(rows.into_iter().map(|row| (number, row)));
        }
        let held: BTreeSet<_> = closure(&tables, shared).union(&alone).copied().collect();
        let report = bench.run(0);
        for (number, table) in tables.iter().enumerate() {
            let texts: Vec<_> = columns(table, "k");
            let sql = format!("select {} from t{number} where note is not null", texts.join(", "));
            let left: BTreeSet<Vec<String>> = bench.rows(&sql).await.into_iter().collect();
            let wanted: BTreeSet<Vec<String>> = held
                .iter()
                .filter(|(of, _)| *of == number)
                .map(|(_, row)| values(table, *row).iter().map(|value| value.trim_matches('\'').to_owned()).collect())
                .collect();
            assert_eq!(left, wanted, "case {case}, table t{number}: {report:?}");
            let counted = report.rule(&format!("rule-{number}"))["remaining"]["held"].as_u64().unwrap_or(0);
            assert_eq!(counted, wanted.len() as u64, "case {case}, table t{number}");
        }
    }
}

on_every_engine!(exactly_what_belongs_stays);
