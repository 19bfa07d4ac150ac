//! What a database user has to be allowed, as data; [`Dialect::grant`](super::Dialect::grant) says it in SQL.

use crate::catalog::TableName;
use std::collections::BTreeSet;

/// Something that a database user may do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Privilege {
    /// Open a session.
    Connect,
    /// Name the tables of a schema, and see their keys.
    Schema(String),
    /// Read a table.
    Select(TableName),
    /// Read some columns of a table.
    SelectColumns(TableName, BTreeSet<String>),
    Delete(TableName),
    /// Add rows to a table, with values in these columns.
    Insert(TableName, BTreeSet<String>),
    /// Change some columns of a table.
    Update(TableName, BTreeSet<String>),
    /// Empty a table at once.
    Truncate(TableName),
    /// Remove tables of this owner, which takes being one with him. Nobody should be one with a superuser.
    Own {
        owner: String,
        superuser: bool,
    },
    /// PostgreSQL 17: vacuum a table.
    Maintain(TableName),
    /// MySQL: write a table anew.
    Optimize(TableName),
    /// MySQL: exchange, empty and remove partitions of a table, and see whether it has triggers.
    Exchange(TableName),
    /// MySQL: make, read and remove a table that rows of a partition stand in meanwhile.
    Aside(TableName),
    /// MySQL: keep others from tables of a schema.
    LockTables(String),
    /// Keep rows from changing until they are deleted. Where that takes the right to change a column, it is this one.
    Lock(TableName, String),
}
