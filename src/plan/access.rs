//! How batches walk through a table, and whether an index serves the rule.

use crate::{
    catalog::{Catalog, Engine, Table},
    database::{Change, KeyColumn, Row, Work},
};

/// The order in which batches take their rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Walk {
    /// Lists of keys, in the order of the key: for rows with dependents or recipients, for values computed outside,
    /// and on MySQL for rows that are added up.
    Keys,
    /// Lists of keys, in the order of the starting point's index: for a few due rows in a big table.
    StartingPoint(KeyColumn),
    /// Ranges of the key, each read once.
    KeyRanges,
    /// PostgreSQL: ranges of heap blocks. Their rows are changed in so many strides, one after the other: a later one
    /// finds room in the blocks where an earlier one left old versions, so that no row moves and no index changes.
    Blocks { strides: u32 },
}

impl Walk {
    /// For the plan.
    pub fn words(&self) -> String {
        match self {
            Self::Keys => "lists of keys, in key order".to_owned(),
            Self::StartingPoint(column) => format!("lists of keys, along the index on {}", column.name),
            Self::KeyRanges => "ranges of the key".to_owned(),
            Self::Blocks { strides: 1 } => "ranges of heap blocks".to_owned(),
            Self::Blocks { strides } => format!("ranges of heap blocks, in {strides} strides each"),
        }
    }
}

/// Below this share of due rows an index pays; above it, reading everything once does.
const FEW: f64 = 0.05;

/// Below this number of due rows a table grows by too little for strides to pay.
const MANY: u64 = 50_000;

/// The cheapest way that fits, or the one that was reviewed, while that fits: statistics change from hour to hour.
pub fn walk(
    catalog: &Catalog,
    table: &Table,
    work: &Work,
    index: bool,
    due: u64,
    batch_rows: u32,
    reviewed: Option<&str>,
) -> Walk {
    #[expect(clippy::cast_precision_loss, reason = "a share needs no more than 53 bits")]
    let share = due as f64 / table.estimated_rows.max(due).max(1) as f64;
    let Walks { few, some, many } = walks(catalog, work, index, batch_rows);
    if let Some(walk) = few.iter().chain([&some]).chain(&many).find(|walk| reviewed == Some(&walk.words())) {
        return walk.clone();
    }
    few.filter(|_| share < FEW).or(many.filter(|_| due >= MANY)).unwrap_or(some)
}

/// The ways that fit; some night takes the one, some night the other.
pub struct Walks {
    /// For a small share of due rows.
    pub few: Option<Walk>,
    pub some: Walk,
    /// For so many that it matters where their new versions go.
    pub many: Option<Walk>,
}

pub fn walks(catalog: &Catalog, work: &Work, index: bool, batch_rows: u32) -> Walks {
    let mut one_by_one = !work.dependents.is_empty() || !work.recipients.is_empty() || work.watched.is_some();
    // within a statement that waits for a lock, other rows look as they did before it waited
    one_by_one |= catalog.engine == Engine::Mysql && work.asks_others();
    if one_by_one || matches!(work.change, Change::Compute { .. }) {
        return Walks { few: None, some: Walk::Keys, many: None };
    }
    let few = work.point_column.clone().filter(|_| index).map(Walk::StartingPoint);
    // here nothing but a lock on each row tells that those added up are those that go
    if work.aggregate.is_some() && catalog.engine == Engine::Mysql {
        return Walks { few, some: Walk::Keys, many: None };
    }
    // a block cannot be shared between batches
    let by_blocks = batch_rows >= FULL_BLOCK || work.key.is_empty();
    match catalog.engine == Engine::Postgres && has_tid_ranges(&catalog.version) && by_blocks {
        true => {
            let many = stays_in_place(catalog, work).then_some(Walk::Blocks { strides: STRIDES });
            Walks { few, some: Walk::Blocks { strides: 1 }, many }
        }
        false => Walks { few, some: Walk::KeyRanges, many: None },
    }
}

/// No block of 32 KiB, which is the largest that servers are built with, holds more rows.
const FULL_BLOCK: u32 = 1200;

/// Enough that the first stride, which finds no old versions, needs little room.
const STRIDES: u32 = 8;

/// The rule changes columns that no index has: PostgreSQL writes the row's new version into the same block, provided
/// that there is room, and leaves the indexes alone (a heap-only tuple).
fn stays_in_place(catalog: &Catalog, work: &Work) -> bool {
    let Change::Update(columns) = &work.change else { return false };
    // an expression could be of any column
    let changed = |indexed: &String| indexed.is_empty() || columns.iter().any(|(name, _)| name == indexed);
    let mut tables = work.leaves.iter().chain([&work.table]).filter_map(|name| catalog.get(name));
    !work.key.is_empty() && !tables.any(|table| table.indexes.iter().any(|index| index.columns.iter().any(changed)))
}

/// TID range scans came with PostgreSQL 14; servers that only speak its protocol have no heap blocks.
fn has_tid_ranges(version: &str) -> bool {
    version
        .strip_prefix("PostgreSQL ")
        .and_then(|rest| rest.split(|c: char| !c.is_ascii_digit()).next())
        .and_then(|major| major.parse::<u32>().ok())
        .is_some_and(|major| major >= 14)
}

/// The lines of the server's plan, and the first index in them.
pub fn explained(engine: Engine, rows: &[Row]) -> (Vec<String>, Option<String>) {
    match engine {
        Engine::Postgres => {
            let lines: Vec<_> = rows.iter().filter_map(|row| row.first().cloned().flatten()).collect();
            let used = lines.iter().find_map(|line| {
                let rest = line.split_once("Index Scan using ").or_else(|| line.split_once("Index Scan on "));
                let rest = rest.or_else(|| line.split_once("Index Only Scan using "))?.1;
                Some(rest.split(" on ").next().unwrap_or(rest).trim().to_owned())
            });
            (lines, used)
        }
        Engine::Mysql => {
            let text = rows.iter().filter_map(|row| row.first().cloned().flatten()).collect::<String>();
            let plan: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
            let mut lines = Vec::new();
            tables(&plan, &mut lines);
            let used =
                lines.first().and_then(|(_, access, key)| key.clone().filter(|_| !WHOLE.contains(&access.as_str())));
            let line = |(table, access, key): &(String, String, Option<String>)| match key {
                Some(key) => format!("{table}: {access} on {key}"),
                None => format!("{table}: {access}"),
            };
            (lines.iter().map(line).collect(), used)
        }
        Engine::Sqlite => {
            let lines: Vec<_> = rows.iter().filter_map(|row| row.last().cloned().flatten()).collect();
            let used = lines.iter().find_map(|line| {
                if !line.starts_with("SEARCH t ") {
                    return None;
                }
                let rest = line.split_once("INDEX ").map_or("the primary key", |(_, rest)| rest);
                Some(rest.split(" (").next().unwrap_or(rest).to_owned())
            });
            (lines, used)
        }
    }
}

/// A line of PostgreSQL's plan that shows a condition, with its values: `Filter: (id = 42)`, `Index Cond: …`.
pub fn is_condition(line: &str) -> bool {
    let label = line.trim_start().split_once(": ").map_or("", |(label, _)| label);
    label.ends_with("Filter") || label.ends_with("Cond") || label.ends_with("Key") || label == "Output"
}

/// Access types that read everything, a table or an index of it, in both forms of MySQL's JSON plan.
const WHOLE: [&str; 5] = ["ALL", "index", "table", "index_scan", "covering_index_scan"];

/// Every table access of MySQL's JSON plan: table, access type, key. MySQL 9 has another form of it.
fn tables(value: &serde_json::Value, found: &mut Vec<(String, String, Option<String>)>) {
    match value {
        serde_json::Value::Object(map) => {
            if let (Some(table), Some(access)) = (map.get("table_name"), map.get("access_type")) {
                let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
                let access = map.get("index_access_type").unwrap_or(access);
                let key = map.get("key").or_else(|| map.get("index_name"));
                found.push((text(table), text(access), key.map(text)));
            }
            map.values().for_each(|value| tables(value, found));
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| tables(item, found)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_a_json_plan_name_the_index() {
        let used = |plan: &str| explained(Engine::Mysql, &[vec![Some(plan.to_owned())]]);
        let first = r#"{"query_block": {"table": {"table_name": "t", "access_type": "range", "key": "at"}}}"#;
        assert_eq!(used(first), (vec!["t: range on at".to_owned()], Some("at".to_owned())));
        let second = r#"{"query_plan": {"inputs": [{"table_name": "t", "access_type": "index", "index_name": "at",
            "index_access_type": "index_range_scan"}], "access_type": "filter"}}"#;
        assert_eq!(used(second), (vec!["t: index_range_scan on at".to_owned()], Some("at".to_owned())));
        for whole in [
            r#"{"query_block": {"table": {"table_name": "t", "access_type": "index", "key": "at"}}}"#,
            r#"{"query_plan": {"table_name": "t", "access_type": "table"}}"#,
            r#"{"query_plan": {"table_name": "t", "access_type": "index", "index_name": "at", "index_access_type": "index_scan"}}"#,
        ] {
            assert_eq!(used(whole).1, None, "{whole}");
        }
    }
}
