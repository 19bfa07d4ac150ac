//! Databases: statements as data, one connection each, one directory per engine.
//!
//! SQL text is made in `<engine>/dialect.rs` and `<engine>/catalog.rs` and nowhere else. Values are always bound,
//! identifiers always quoted; keys travel as text with a cast. The driver in `driver.rs` is generic over sqlx's
//! databases and decides nothing.

use crate::catalog::{Catalog, Engine};
use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub mod dialect;
mod error;
pub mod mysql;
pub mod postgres;
mod sql;
pub mod sqlite;
pub mod statements;
mod work;

pub use dialect::{Dialect, dialect};
pub use error::{Error, ErrorKind};
pub use sql::{PLACEHOLDER, Sql};
pub use work::{Change, Computed, DependentWork, KeyColumn, Link, Point, Work};

/// One SQL statement with its bound values: pure data.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    pub sql: String,
    pub args: Vec<Value>,
}

impl Statement {
    pub fn new(sql: impl Into<String>) -> Self {
        Self { sql: sql.into(), args: Vec::new() }
    }
}

/// A bound value. Keys, dates and numbers travel as `Text`; the SQL casts them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Value {
    Null,
    Text(String),
    /// PostgreSQL only: a `text[]`.
    Texts(Vec<Option<String>>),
    Integer(i64),
    #[serde(skip)]
    Bytes(Vec<u8>),
    /// Bound like the value inside, and shown to nobody: keys of held rows, secrets.
    #[serde(skip)]
    Hidden(Box<Value>),
}

impl std::fmt::Display for Value {
    /// As plans show it.
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Text(text) => f.write_str(text),
            Self::Texts(texts) => write!(f, "{} values", texts.len()),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Bytes(bytes) => write!(f, "{} bytes", bytes.len()),
            Self::Hidden(_) => f.write_str("(hidden)"),
        }
    }
}

/// One result row: every column is selected as text.
pub type Row = Vec<Option<String>>;

/// One server connection. There is no pool: a rule's lock and its batches live and die with one connection, so a lost
/// connection cannot leave one without the other.
#[async_trait]
pub trait Connection: Send {
    /// All rows at once; for small results.
    async fn fetch(&mut self, statement: &Statement) -> Result<Vec<Row>, Error>;

    /// Hands over row by row.
    async fn stream(&mut self, statement: &Statement, each: &mut (dyn FnMut(Row) + Send)) -> Result<(), Error>;

    /// The number of rows that the statement changed.
    async fn execute(&mut self, statement: &Statement) -> Result<u64, Error>;

    /// Opens a transaction (`begin immediate` on SQLite, so that it cannot fail halfway for want of the write lock).
    async fn begin(&mut self) -> Result<(), Error>;

    async fn commit(&mut self) -> Result<(), Error>;

    /// Ends the open transaction without effect. Safe to call when the server has ended it already.
    async fn rollback(&mut self) -> Result<(), Error>;

    /// Says goodbye to the server; dropping does not.
    async fn close(self: Box<Self>);
}

/// One configured database.
#[async_trait]
pub trait Database: Send + Sync {
    /// The name that rules call it by.
    fn name(&self) -> &str;

    fn engine(&self) -> Engine;

    /// A new connection with the session set up: UTC, statement and lock time-outs on the server, READ COMMITTED,
    /// literal backslashes, an application name.
    async fn connect(&self) -> Result<Box<dyn Connection>, Error>;

    /// The live schema, as far as the user may see it.
    async fn catalog(&self, connection: &mut dyn Connection) -> Result<Catalog, Error>;

    /// The server's clock.
    async fn clock(&self, connection: &mut dyn Connection) -> Result<Timestamp, Error>;

    /// Takes a lock that lives as long as the connection (and the returned guard); `None` when somebody has it.
    async fn try_lock(&self, connection: &mut dyn Connection, name: &str) -> Result<Option<LockGuard>, Error>;
}

/// Holds a lock until dropped. Server-side locks end with their connection and need nothing here; SQLite's is a locked
/// file beside the database.
#[derive(Debug)]
pub struct LockGuard(#[expect(dead_code, reason = "held for its lock alone")] Option<std::fs::File>);
