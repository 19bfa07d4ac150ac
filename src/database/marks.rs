//! The database's own word on what became of a batch.
//!
//! A database may have a table [`NAME`]. Each worker keeps one row in it, and each batch writes its name into that row, in
//! its own transaction. Whoever asks later, when the worker's session is over, finds the batch's name there if the batch was
//! committed, and an earlier one of the same run if it was not. A backup that is restored brings rows and word back
//! together.

use super::Dialect;
use crate::{
    catalog::{Catalog, TableKind, TableName},
    sql::{PLACEHOLDER, Sql, Statement, Value},
};

/// The table's name, in the schema that names without schema mean.
pub const NAME: &str = "sunset_batches";

/// Its columns: whose row it is, the last batch that was committed, and when that was.
pub const COLUMNS: [&str; 3] = ["worker", "batch", "at"];

/// The table, where the database has it.
pub fn table(catalog: &Catalog) -> Option<&TableName> {
    let table = catalog.table(None, NAME).filter(|table| table.kind == TableKind::Plain)?;
    COLUMNS.iter().all(|name| table.column(name).is_some()).then_some(&table.name)
}

/// Where the table stands, or would.
pub fn table_name(catalog: &Catalog) -> TableName {
    TableName { schema: catalog.default_schema.clone(), name: NAME.to_owned() }
}

/// The statement that makes it.
pub fn create(dialect: &dyn Dialect, table: &TableName) -> String {
    let [worker, batch, at] = COLUMNS;
    format!(
        "create table {} ({worker} varchar(64) not null primary key, {batch} varchar(64) not null, {at} timestamp not null);",
        dialect.table(table)
    )
}

/// The worker's row, with a batch that no batch has for a name.
pub fn begin(dialect: &dyn Dialect, table: &TableName, worker: &str, batch: &str) -> Statement {
    let [row, last, at] = COLUMNS.map(|name| dialect.quote(name));
    let mut sql = Sql::new(format!("insert into {} ({row}, {last}, {at}) values (", dialect.table(table)));
    sql.append(&text(worker)).push(", ").append(&text(batch)).push(", current_timestamp)");
    dialect.finish(sql)
}

/// The batch whose transaction is open is the worker's last one. Changes one row, or none if somebody has removed it.
pub fn note(dialect: &dyn Dialect, table: &TableName, worker: &str, batch: &str) -> Statement {
    let [row, last, at] = COLUMNS.map(|name| dialect.quote(name));
    let mut sql = Sql::new(format!("update {} set {at} = current_timestamp, {last} = ", dialect.table(table)));
    sql.append(&text(batch)).push(&format!(" where {row} = ")).append(&text(worker));
    dialect.finish(sql)
}

/// The worker's last batch; no row where nothing is known of the worker.
pub fn read(dialect: &dyn Dialect, table: &TableName, worker: &str) -> Statement {
    let [row, last, _] = COLUMNS.map(|name| dialect.quote(name));
    let mut sql = Sql::new(format!("select {} from {} where {row} = ", dialect.shown(&last), dialect.table(table)));
    sql.append(&text(worker));
    dialect.finish(sql)
}

/// The worker's batches are settled.
pub fn clear(dialect: &dyn Dialect, table: &TableName, worker: &str) -> Statement {
    let mut sql = Sql::new(format!("delete from {} where {} = ", dialect.table(table), dialect.quote(COLUMNS[0])));
    sql.append(&text(worker));
    dialect.finish(sql)
}

fn text(value: &str) -> Sql {
    Sql::bound(PLACEHOLDER.to_string(), Value::Text(value.to_owned()))
}
