//! Databases: statements as data, one connection each, one directory per engine.
//!
//! SQL text is made in `<engine>/dialect.rs` and `<engine>/catalog.rs` and nowhere else. Values are always bound,
//! identifiers always quoted; keys travel as text with a cast. The driver in `driver.rs` is generic over sqlx's
//! databases and decides nothing.
//!
//! A rule's lock lives in the server's session, so Sunset needs a direct connection or a pooler in session mode;
//! behind a pooler in transaction mode (PgBouncer, RDS Proxy) locks and session settings get lost.

use crate::{
    catalog::{Catalog, Engine},
    settings::{DatabaseSettings, Pace},
    sql::Statement,
};
use async_trait::async_trait;
use jiff::Timestamp;
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};
use std::{net::IpAddr, path::Path, time::Duration};

pub mod aggregate;
mod belonging;
mod catalog;
pub mod dialect;
mod driver;
mod error;
pub mod facts;
mod grants;
pub mod groups;
pub mod maintenance;
pub mod marks;
mod mysql;
mod names;
mod observe;
pub mod partition;
mod position;
mod postgres;
pub mod rehearsal;
pub mod scan;
pub mod spelling;
mod sqlite;
pub mod statements;
mod work;

pub use aggregate::{AddedUp, AggregateWork, Arithmetic};
pub use belonging::{Belonging, HeldRows, Recursion, Rows};
pub use dialect::{Dialect, Lock};
pub use error::{Error, ErrorKind};
pub use facts::FactScope;
pub use grants::Privilege;
pub use mysql::partitions as exchanged;
pub use observe::{Observer, Replication, promptly};
pub use partition::{Partition, Partitioning, Question, Removal};
pub use position::{Course, Position};
pub use postgres::partitions as transactional;
pub(crate) use postgres::session;
pub use spelling::{Spelled, Spelling};
pub use work::{
    Change, Computed, DependentWork, Guard, KeyColumn, Link, MembersWork, Point, RecipientWork, Use, Watched, Work,
};

/// The dialect of a server that calls itself `version`.
pub fn dialect(engine: Engine, version: &str) -> &'static dyn Dialect {
    match engine {
        Engine::Postgres => &postgres::Postgres,
        Engine::Mysql if version.contains("MariaDB") => &mysql::Mysql { mariadb: true },
        Engine::Mysql => &mysql::Mysql { mariadb: false },
        Engine::Sqlite => &sqlite::Sqlite,
    }
}

/// One result row: every column is selected as text.
pub type Row = Vec<Option<String>>;

/// A result row whose columns are known by name, each value as the text in which the server prints it.
pub type NamedRow = Vec<(String, Option<String>)>;

/// One server connection. There is no pool: a rule's lock and its batches live and die with one connection, so a lost
/// connection cannot leave one without the other.
#[async_trait]
pub trait Connection: Send {
    /// All rows at once; for small results.
    async fn fetch(&mut self, statement: &Statement) -> Result<Vec<Row>, Error>;

    /// Hands over row by row.
    async fn stream(&mut self, statement: &Statement, each: &mut (dyn FnMut(Row) + Send)) -> Result<(), Error>;

    /// The rows of a statement whose columns nobody knows beforehand: what servers tell of themselves, and a load query
    /// of the settings. It takes no values.
    async fn named(&mut self, sql: &str) -> Result<Vec<NamedRow>, Error>;

    /// The number of rows that the statement changed.
    async fn execute(&mut self, statement: &Statement) -> Result<u64, Error>;

    /// Opens a transaction (`begin immediate` on SQLite, so that it cannot fail halfway for want of the write lock).
    async fn begin(&mut self) -> Result<(), Error>;

    /// Opens a transaction in which a statement changes exactly the rows that one before it, with the same condition,
    /// has read: PostgreSQL at REPEATABLE READ, where a row that somebody else changed meanwhile is a serialization
    /// failure; SQLite has one writer. On MySQL, which locks what it reads for that, the same as [`Connection::begin`].
    async fn begin_still(&mut self) -> Result<(), Error>;

    /// Ends the open transaction for good. An error other than [`ErrorKind::Unreachable`] is the server's word that it has
    /// not; with that kind, nobody knows.
    async fn commit(&mut self) -> Result<(), Error>;

    /// Ends the open transaction without effect. Safe to call when the server has ended it already.
    async fn rollback(&mut self) -> Result<(), Error>;

    /// Says goodbye to the server; dropping does not.
    async fn close(self: Box<Self>);
}

/// What a session is for: how long its statements may take depends on it, and whether they may write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Change,
    /// Reads for as long as a count may take, and writes little.
    Survey,
    Count,
    /// Asks how the server does, while batches wait for the answer.
    Observe,
}

impl Purpose {
    fn may_write(self) -> bool {
        matches!(self, Self::Change | Self::Survey)
    }
}

/// What the server is told to end.
#[derive(Clone, Copy, Debug)]
struct Timeouts {
    statement: Duration,
    count: Duration,
    lock: Duration,
}

impl Timeouts {
    fn new(pace: &Pace) -> Self {
        Self { statement: pace.statement_timeout, count: pace.count_timeout, lock: pace.lock_timeout }
    }

    /// How long a session's statements may take.
    fn of(&self, purpose: Purpose) -> Duration {
        match purpose {
            Purpose::Change => self.statement,
            Purpose::Count | Purpose::Survey => self.count,
            Purpose::Observe => self.statement.min(observe::PATIENCE),
        }
    }
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

    /// A new connection for statements that only read: `count_timeout` is their limit, and the session cannot write.
    async fn connect_to_count(&self) -> Result<Box<dyn Connection>, Error>;

    /// A new connection for a statement that reads as much as a count does and writes little: `count_timeout` is its limit, and
    /// the session can write.
    async fn connect_to_survey(&self) -> Result<Box<dyn Connection>, Error>;

    /// A new connection that only looks: its session cannot write, and its statements may take a few seconds.
    async fn observe(&self) -> Result<Box<dyn Observer>, Error>;

    /// The live schema, as far as the user may see it.
    async fn catalog(&self, connection: &mut dyn Connection) -> Result<Catalog, Error>;

    /// How a table is partitioned, and which partitions could go whole.
    async fn partitions(&self, connection: &mut dyn Connection, question: &Question<'_>)
    -> Result<Partitioning, Error>;

    /// The server's clock.
    async fn clock(&self, connection: &mut dyn Connection) -> Result<Timestamp, Error>;

    /// Which database it is, and how far its history has come. What the server does not tell is left open.
    async fn position(&self, connection: &mut dyn Connection) -> Result<Position, Error>;

    /// Makes sure that the position is another one than before the last change, where the engine does not by itself.
    async fn advance(&self) -> Result<(), Error> {
        Ok(())
    }

    /// Takes a lock that lives as long as the connection (and the returned guard); `None` when somebody has it.
    async fn try_lock(&self, connection: &mut dyn Connection, name: &str) -> Result<Option<LockGuard>, Error>;
}

/// Holds a lock until dropped. Server-side locks end with their connection and need nothing here; SQLite's is a locked
/// file beside the database.
#[derive(Debug)]
pub struct LockGuard(#[expect(dead_code, reason = "held for its lock alone")] Option<std::fs::File>);

/// A host that does not answer must not hang the night.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The database that `settings` describe. Reads the URL and connects to nothing.
///
/// Fails with [`ErrorKind::Refused`] when the URL is malformed, has a parameter that nobody would obey, or asks for
/// plain TCP to another machine without `allow_plaintext`. Without an explicit mode, TLS with a verified host name is
/// used for every host but this one.
pub fn open(settings: &DatabaseSettings, pace: &Pace) -> Result<Box<dyn Database>, Error> {
    let url = settings.url.expose_secret();
    let opened: Result<Box<dyn Database>, Error> = match settings.engine {
        Engine::Postgres => postgres::open(settings, url, pace).map(|database| Box::new(database) as _),
        Engine::Mysql => mysql::open(settings, url, pace).map(|database| Box::new(database) as _),
        Engine::Sqlite => sqlite::open(settings, url, pace).map(|database| Box::new(database) as _),
    };
    opened.map_err(|error| error.at(format_args!("database {}", settings.name)))
}

/// Copies a whole SQLite database into an empty file.
///
/// # Errors
/// It cannot be read, or the file cannot be written. Databases on servers are not copied.
pub async fn copy(settings: &DatabaseSettings, pace: &Pace, to: &Path) -> Result<(), Error> {
    let database = open(settings, pace)?;
    if database.engine() != Engine::Sqlite {
        return Err(Error::new(ErrorKind::Refused, "only SQLite databases are copied"));
    }
    let mut connection = database.connect().await?;
    connection.execute(&sqlite::copy(to)).await?;
    connection.close().await;
    Ok(())
}

/// Fails unless every parameter of the URL is in `known`: the drivers ignore what they do not know, and a misspelt
/// `sslmode` must not go unnoticed. (The odd one is not quoted: after a `?` in a password it would be the password.)
fn check_parameters(url: &str, known: &[&str]) -> Result<(), Error> {
    match parameters(url).all(|(name, _)| known.contains(&name)) {
        true => Ok(()),
        false => {
            let message = format!("the URL has an unknown parameter; these can be set: {}", known.join(", "));
            Err(Error::new(ErrorKind::Refused, message))
        }
    }
}

/// Names and raw values after the URL's `?`.
fn parameters(url: &str) -> impl Iterator<Item = (&str, &str)> {
    let query = url.split_once('?').map(|(_, query)| query).unwrap_or_default();
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

fn malformed(example: &str) -> Error {
    let message = format!("the URL is not valid; write it as {example}, with % escapes for special characters");
    Error::new(ErrorKind::Refused, message)
}

fn plaintext(mode: &str) -> Error {
    let message = format!(
        "the URL allows plain TCP to another machine: set {mode}, or allow_plaintext: true if the network is trusted"
    );
    Error::new(ErrorKind::Refused, message)
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Waits for a new connection, but not for ever.
async fn within_timeout<T>(place: &str, connecting: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    match tokio::time::timeout(CONNECT_TIMEOUT, connecting).await {
        Ok(result) => result.map_err(|error| error.at(place)),
        Err(_) => {
            let message = format!("{place}: no answer within {} seconds", CONNECT_TIMEOUT.as_secs());
            Err(Error::new(ErrorKind::Unreachable, message))
        }
    }
}

/// The first column of the first row.
async fn scalar(connection: &mut dyn Connection, statement: &Statement) -> Result<Option<String>, Error> {
    let rows = connection.fetch(statement).await?;
    Ok(rows.into_iter().next().and_then(|row| row.into_iter().next()).flatten())
}

/// A moment from a server's count of microseconds since 1970.
fn timestamp(microseconds: Option<String>) -> Result<Timestamp, Error> {
    microseconds
        .and_then(|text| text.parse().ok())
        .and_then(|microseconds| Timestamp::from_microsecond(microseconds).ok())
        .ok_or_else(|| Error::new(ErrorKind::Other, "the server's clock cannot be read"))
}

/// A lock's name as 32 bytes, for servers and file systems that limit names.
fn digest(name: &str) -> [u8; 32] {
    Sha256::digest(name.as_bytes()).into()
}
