//! What all rules of a job read in one database, and rows under a hold: what a trigger must leave alone in rows that no rule
//! is changing.

use super::resolve::Resolved;
use crate::{
    catalog::{Engine, TableName},
    database::KeyColumn,
    plan::{holds::Bound, interplay::names::TableId, open::OpenDatabase},
    sql::Sql,
};
use std::collections::{BTreeMap, BTreeSet};

/// A table that rules read.
#[derive(Clone, Debug)]
pub struct ReadTable {
    pub table: TableName,
    /// The primary key.
    pub key: Vec<KeyColumn>,
    /// What rules read of its rows.
    pub columns: Vec<KeyColumn>,
    /// These rows alone; `None`: all.
    pub only: Option<Sql>,
    /// The server's own estimate.
    pub rows: u64,
}

/// Columns by table, in the form in which the engine compares names.
pub type Needs = BTreeMap<TableId, BTreeSet<String>>;

/// The tables of a database that rules read; `needs` holds what they need in any.
pub fn read_tables(open: &OpenDatabase, needs: &Needs, resolved: &[&Resolved]) -> Vec<ReadTable> {
    let catalog = &open.catalog;
    let mut columns: BTreeMap<&TableName, BTreeSet<String>> = BTreeMap::new();
    for table in &catalog.tables {
        let TableName { schema, name } = table.name.clone();
        let id = TableId { database: open.identity.clone(), schema, name };
        if let Some(read) = needs.get(&id) {
            columns.entry(&table.name).or_default().extend(read.iter().cloned());
        }
    }
    // what holds are on, among others
    for (name, read) in resolved.iter().flat_map(|resolved| &resolved.looked_at) {
        columns.entry(name).or_default().extend(read.iter().cloned());
    }
    let is_same = |known: &str, read: &str| match catalog.engine {
        Engine::Postgres => known == read,
        Engine::Mysql | Engine::Sqlite => known.to_lowercase() == read.to_lowercase(),
    };
    let tables = columns.into_iter().filter_map(|(name, read)| {
        let table = catalog.get(name)?;
        let is_read = |column: &&crate::catalog::Column| read.iter().any(|read| is_same(&column.name, read));
        Some(ReadTable {
            table: name.clone(),
            key: table.key_columns().map(KeyColumn::from).collect(),
            columns: table.columns.iter().filter(is_read).map(KeyColumn::from).collect(),
            only: None,
            rows: table.estimated_rows,
        })
    });
    tables.collect()
}

/// The held rows of a database: nothing may become of them, whether rules read their tables or not.
pub fn held_rows(open: &OpenDatabase, holds: &Bound) -> Vec<ReadTable> {
    let (dialect, catalog) = (open.dialect, &open.catalog);
    let tables = holds.tables(dialect, catalog).into_iter().filter_map(|name| {
        let table = catalog.get(&name)?;
        Some(ReadTable {
            key: table.key_columns().map(KeyColumn::from).collect(),
            columns: table.columns.iter().map(KeyColumn::from).collect(),
            only: Some(holds.stays(dialect, catalog, table, &dialect.row(&name), None)?),
            rows: table.estimated_rows,
            table: name,
        })
    });
    tables.collect()
}
