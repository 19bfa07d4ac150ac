//! Indexes that are not there and would help, with the statement that makes each.

use crate::{
    catalog::{Engine, Table, TableName},
    diagnostic::{Code, Diagnostic, Place},
    plan::surroundings::Surroundings,
};
use serde::{Deserialize, Serialize};

/// Below this many rows a table is read as fast as its index is looked up.
const MATTERS: u64 = 10_000;

/// An index that would help.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingIndex {
    pub table: TableName,
    pub columns: Vec<String>,
    /// The statement that makes it without stopping the table's writers, where the engine can.
    pub sql: String,
    /// What it costs that it is not there.
    pub why: String,
}

impl MissingIndex {
    /// The warning that stands in the rule's text.
    pub fn warning(&self, code: Code, place: Place, message: String) -> Diagnostic {
        Diagnostic::warning(code, place, message).help(format!("{}; `{}` would end that", self.why, self.sql))
    }
}

/// The index on these columns, unless there is one, or the table is too small for one to matter. (A size that the server
/// does not know may be any.)
pub fn missing(around: &Surroundings, table: &Table, columns: &[String], why: &str) -> Option<MissingIndex> {
    missing_for(around, table, columns, false, why)
}

/// The index that a look-up by these columns lacks. `bytewise` says that texts are compared byte by byte.
pub fn missing_for(
    around: &Surroundings,
    table: &Table,
    columns: &[String],
    bytewise: bool,
    why: &str,
) -> Option<MissingIndex> {
    let bytewise = bytewise && around.catalog.engine == Engine::Postgres;
    let small = table.estimated_rows > 0 && !matters(table.estimated_rows);
    if small || serves(around, table, columns, bytewise) {
        return None;
    }
    let sql = around.dialect.create_index(table, columns, bytewise);
    Some(MissingIndex { table: table.name.clone(), columns: columns.to_vec(), sql, why: why.to_owned() })
}

/// A table with so many rows is worth an index.
pub fn matters(rows: u64) -> bool {
    rows >= MATTERS
}

/// The table has such an index, or each of its partitions does.
fn serves(around: &Surroundings, table: &Table, columns: &[String], bytewise: bool) -> bool {
    let has = |table: &Table| table.indexes_on(columns).any(|index| index.bytewise || !bytewise);
    let leaves = || table.partitions.iter().map(|name| around.catalog.get(name));
    has(table) || (!table.partitions.is_empty() && leaves().all(|leaf| leaf.is_some_and(has)))
}
