//! The live schema as data: tables, columns, keys, foreign keys, as a database reports them.

use serde::{Deserialize, Serialize};
use std::fmt;

mod codec;
mod decimal;
mod fact;
mod form;
mod path;
mod reach;

pub use codec::{Affinity, Codec, Collation, Literal, Misfit, Operand, Reading, Values};
pub use decimal::Decimal;
pub use fact::{Fact, FactKind, Facts};
pub use form::{Form, PersonLink};
pub use path::TablePath;
pub use reach::reached;

/// A kind of database server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    Postgres,
    /// MySQL and MariaDB.
    Mysql,
    Sqlite,
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::Postgres => "PostgreSQL",
            Self::Mysql => "MySQL",
            Self::Sqlite => "SQLite",
        })
    }
}

/// Everything that planning needs to know of one database.
#[derive(Clone, Debug)]
pub struct Catalog {
    pub engine: Engine,
    /// What the server calls itself, for example `PostgreSQL 15.18` or `10.11.14-MariaDB`.
    pub version: String,
    /// The database's own name on its server; empty for SQLite.
    pub database: String,
    /// The schema that a table name without schema means: PostgreSQL's first search path entry, MySQL's database,
    /// SQLite's `main`.
    pub default_schema: String,
    /// Sorted by schema and name.
    pub tables: Vec<Table>,
    /// Foreign keys may exist that the connected user cannot see: MySQL shows those of a table only to users with some
    /// privilege on it.
    pub hides_foreign_keys: bool,
    /// MySQL: those of the tables that are of other databases, and that rows here belong to. They are there to tell whether
    /// rows are held.
    pub outside: Vec<TableName>,
}

/// A table's schema and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TableName {
    pub schema: String,
    pub name: String,
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.name)
    }
}

/// What stands behind a table name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TableKind {
    /// A table that holds rows. SQLite tables with a `rowid` are `Plain` too, see [`Table::rowid`].
    Plain,
    /// A partitioned table: its rows live in [`Table::partitions`].
    Partitioned,
    /// A view, foreign or virtual table: no rows of its own.
    View,
}

#[derive(Clone, Debug)]
pub struct Table {
    pub name: TableName,
    pub kind: TableKind,
    /// In the order of the table.
    pub columns: Vec<Column>,
    /// Column names of the primary key, in key order; empty when there is none.
    pub primary_key: Vec<String>,
    /// Foreign keys of this table, sorted by name. Those declared on partitions alone are lifted to the root table.
    pub foreign_keys: Vec<ForeignKey>,
    pub indexes: Vec<Index>,
    pub triggers: Vec<Trigger>,
    /// PostgreSQL: leaf partitions (all levels), sorted. MySQL: empty, its partitions are not tables.
    pub partitions: Vec<TableName>,
    /// The root table when this is a partition.
    pub partition_of: Option<TableName>,
    /// PostgreSQL: the tables that it inherits from, directly; partitions do not count.
    pub inherits: Vec<TableName>,
    /// PostgreSQL: whose it is.
    pub owner: Option<Owner>,
    /// Row security applies to the connected user: rows may be invisible.
    pub row_security: bool,
    /// Rows can be read of it although it is a [`View`](TableKind::View): a materialized view, a foreign or virtual table.
    pub holds_copies: bool,
    /// Why a change of its rows would not be what it claims: old versions are kept, or nothing can be rolled back.
    pub obstacle: Option<String>,
    /// SQLite: the name under which the table's row id can be addressed (`rowid`, `_rowid_` or `oid`, one that no
    /// column hides). `None` on `WITHOUT ROWID` tables and on other engines.
    pub rowid: Option<String>,
    /// The server's own estimate; 0 when it has none.
    pub estimated_rows: u64,
    /// What its author says of it; empty where nothing is said (SQLite has no comments).
    pub comment: String,
}

/// A role that a table belongs to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owner {
    pub name: String,
    /// It may do anything.
    pub superuser: bool,
}

#[derive(Clone, Debug)]
pub struct Column {
    pub name: String,
    /// The type as the server prints it and accepts it in a cast, e.g. `numeric(5,2)`, `bigint(20) unsigned`. A
    /// PostgreSQL domain keeps its own (quoted) name.
    pub sql_type: String,
    /// What sort of value it holds; for a domain, that of its base type.
    pub kind: ColumnKind,
    /// How its values compare, are bound and printed.
    pub codec: Codec,
    pub nullable: bool,
    /// Computed by the database from other columns (an identity or auto-increment column is not).
    pub generated: bool,
    /// The database writes the present into it whenever its row changes (MySQL's `on update current_timestamp`).
    pub touched: bool,
    /// A new row gets a value without being given one, be it from a default or a counter.
    pub has_default: bool,
    /// The greatest number of characters (text) or bytes (binary), where limited.
    pub max_length: Option<u32>,
    /// The words of an enumeration type; empty for other types.
    pub words: Vec<String>,
    /// What its author says of it; empty where nothing is said.
    pub comment: String,
}

/// What tells a table and some of its columns from all others, so that they are found again under other names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// The database's own identity, where it has one: only there do tables keep theirs when they are renamed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// The table's.
    pub table: String,
    /// Columns by the names that they had, each with its identity where it has one.
    pub columns: Vec<(String, Option<String>)>,
    /// How many rows were meant when it was made.
    pub rows: u64,
    /// The partitions that the table had then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub partitions: Vec<TableName>,
}

/// What sort of value a column holds, as far as Sunset has to tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnKind {
    Integer,
    Decimal,
    Float,
    Boolean,
    Text,
    Bytes,
    Date,
    /// Date and time without zone: PostgreSQL `timestamp`, MySQL `datetime`.
    DateTime,
    /// A point in time: PostgreSQL `timestamptz`, MySQL `timestamp`.
    Instant,
    Time,
    Uuid,
    /// An IP address or network.
    Inet,
    Json,
    Enumeration,
    /// Anything else: arrays, geometry, ranges, …
    Other,
}

/// What the database does to a row when the row it references goes, or changes the referenced value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReferentialAction {
    NoAction,
    Restrict,
    Cascade,
    SetNull,
    SetDefault,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignKey {
    pub name: String,
    pub columns: Vec<String>,
    pub references: TableName,
    /// Same length and order as `columns`.
    pub referenced_columns: Vec<String>,
    /// The partition of `references` that the key is declared to point at; that table itself elsewhere.
    pub target: TableName,
    pub on_delete: ReferentialAction,
    pub on_update: ReferentialAction,
    /// `match full`: either all columns have a value or none has.
    pub match_full: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    pub name: String,
    /// Leading to trailing; an expression stands as an empty string.
    pub columns: Vec<String>,
    pub unique: bool,
    /// It covers only the rows of a condition.
    pub partial: bool,
    /// PostgreSQL: its texts are in the order of their bytes (collation `C`). Elsewhere the order is the column's own.
    pub bytewise: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trigger {
    pub name: String,
    pub on_delete: bool,
    pub on_update: bool,
}

impl Catalog {
    /// The table with this schema (or in the default schema) and name; exact spelling.
    pub fn table(&self, schema: Option<&str>, name: &str) -> Option<&Table> {
        let schema = schema.unwrap_or(&self.default_schema);
        self.tables.iter().find(|table| table.name.name == name && table.name.schema == schema)
    }

    /// The table with this full name.
    pub fn get(&self, name: &TableName) -> Option<&Table> {
        self.tables.iter().find(|table| table.name == *name)
    }

    /// Foreign keys of other tables (and of this one) that point at rows of `name`, partitions left out. Those of a
    /// partitioned table point at the rows of its partitions.
    pub fn referencing<'a>(&'a self, name: &'a TableName) -> impl Iterator<Item = (&'a Table, &'a ForeignKey)> {
        let table = self.get(name);
        let root = table.and_then(|table| table.partition_of.as_ref());
        let points_here = move |key: &&ForeignKey| match root {
            None => key.references == *name,
            Some(root) => key.references == *root && (key.target == *root || self.share_rows(&key.target, name)),
        };
        let tables = self.tables.iter().filter(|table| table.partition_of.is_none());
        tables.flat_map(move |table| table.foreign_keys.iter().filter(points_here).map(move |key| (table, key)))
    }

    /// One of two partitions of the same table is the other, or lies in it.
    fn share_rows(&self, one: &TableName, other: &TableName) -> bool {
        let holds = |outer: &TableName, inner: &TableName| {
            self.get(outer).is_some_and(|table| {
                let leaves = self.get(inner).map(|inner| inner.partitions.as_slice()).unwrap_or_default();
                table.partitions.contains(inner)
                    || !leaves.is_empty() && leaves.iter().all(|leaf| table.partitions.contains(leaf))
            })
        };
        one == other || holds(one, other) || holds(other, one)
    }

    /// The tables that inherit from this one, directly or over others.
    pub fn heirs<'a>(&'a self, name: &'a TableName) -> Vec<&'a Table> {
        let mut heirs: Vec<&Table> = Vec::new();
        let mut open = vec![name];
        while let Some(name) = open.pop() {
            for table in self.tables.iter().filter(|table| table.inherits.contains(name)) {
                if !heirs.iter().any(|known| known.name == table.name) {
                    heirs.push(table);
                    open.push(&table.name);
                }
            }
        }
        heirs
    }
}

impl Table {
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The key's columns, in key order.
    pub fn key_columns(&self) -> impl Iterator<Item = &Column> {
        self.primary_key.iter().filter_map(|name| self.column(name))
    }

    /// An index whose leading columns are `columns`, in any order among themselves, and that covers all rows.
    pub fn index_on(&self, columns: &[String]) -> Option<&Index> {
        self.indexes_on(columns).next()
    }

    /// All of them.
    pub fn indexes_on<'a, 'c>(&'a self, columns: &'c [String]) -> impl Iterator<Item = &'a Index> + use<'a, 'c> {
        self.indexes.iter().filter(move |index| {
            !index.partial
                && index.columns.len() >= columns.len()
                && columns.iter().all(|column| index.columns[..columns.len()].contains(column))
        })
    }

    /// No two rows have the same values in these columns.
    pub fn is_key(&self, columns: &[String]) -> bool {
        self.indexes
            .iter()
            .any(|index| index.unique && !index.partial && index.columns.iter().all(|column| columns.contains(column)))
    }

    /// A unique index or the primary key has this column in it.
    pub fn is_unique(&self, column: &str) -> bool {
        self.indexes.iter().any(|index| index.unique && index.columns.iter().any(|name| name == column))
    }
}
