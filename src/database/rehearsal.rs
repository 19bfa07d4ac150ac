//! A database on which nothing lasts: each transaction is rolled back where it would be committed, and what would last
//! without one is refused.

use super::{
    Connection, Database, Dialect, Error, ErrorKind, LockGuard, NamedRow, Observer, Partitioning, Position, Question,
    Row,
};
use crate::{
    catalog::{Catalog, Engine},
    sql::Statement,
};
use async_trait::async_trait;
use jiff::Timestamp;

/// Statements that change nothing, and those that servers end a transaction for.
const READING: [&str; 4] = ["select", "show", "explain", "set"];
const ENDING: [&str; 17] = [
    "alter", "analyze", "begin", "call", "commit", "create", "drop", "flush", "grant", "lock", "optimize", "rename",
    "revoke", "start", "truncate", "unlock", "vacuum",
];

/// Wraps a database for a rehearsal.
pub struct Rehearsed {
    pub inner: Box<dyn Database>,
    pub dialect: &'static dyn Dialect,
}

impl Rehearsed {
    fn undoing(&self, inner: Box<dyn Connection>) -> Box<dyn Connection> {
        Box::new(Undoing { inner, dialect: self.dialect, is_open: false })
    }
}

struct Undoing {
    inner: Box<dyn Connection>,
    dialect: &'static dyn Dialect,
    is_open: bool,
}

impl Undoing {
    fn check(&self, sql: &str) -> Result<(), Error> {
        let word = sql.trim_start_matches(['(', ' ', '\n']).split(|c: char| !c.is_ascii_alphabetic()).next();
        let word = word.unwrap_or_default().to_ascii_lowercase();
        let allowed = if self.is_open { !ENDING.contains(&word.as_str()) } else { READING.contains(&word.as_str()) };
        if allowed {
            return Ok(());
        }
        let message = format!("a rehearsal cannot undo a statement that begins with `{word}`, so it is not sent");
        Err(Error::new(ErrorKind::Refused, message))
    }
}

#[async_trait]
impl Connection for Undoing {
    async fn fetch(&mut self, statement: &Statement) -> Result<Vec<Row>, Error> {
        self.check(&statement.sql)?;
        self.inner.fetch(statement).await
    }

    async fn stream(&mut self, statement: &Statement, each: &mut (dyn FnMut(Row) + Send)) -> Result<(), Error> {
        self.check(&statement.sql)?;
        self.inner.stream(statement, each).await
    }

    async fn named(&mut self, sql: &str) -> Result<Vec<NamedRow>, Error> {
        self.check(sql)?;
        self.inner.named(sql).await
    }

    async fn execute(&mut self, statement: &Statement) -> Result<u64, Error> {
        self.check(&statement.sql)?;
        self.inner.execute(statement).await
    }

    async fn begin(&mut self) -> Result<(), Error> {
        self.inner.begin().await?;
        self.is_open = true;
        Ok(())
    }

    async fn begin_still(&mut self) -> Result<(), Error> {
        self.inner.begin_still().await?;
        self.is_open = true;
        Ok(())
    }

    async fn commit(&mut self) -> Result<(), Error> {
        let ended = match self.dialect.deferred() {
            Some(statement) => self.inner.execute(&statement).await.map(drop),
            None => Ok(()),
        };
        self.rollback().await?;
        ended
    }

    async fn rollback(&mut self) -> Result<(), Error> {
        self.is_open = false;
        self.inner.rollback().await
    }

    async fn close(self: Box<Self>) {
        self.inner.close().await;
    }
}

#[async_trait]
impl Database for Rehearsed {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn engine(&self) -> Engine {
        self.inner.engine()
    }

    async fn connect(&self) -> Result<Box<dyn Connection>, Error> {
        Ok(self.undoing(self.inner.connect().await?))
    }

    async fn connect_to_count(&self) -> Result<Box<dyn Connection>, Error> {
        self.inner.connect_to_count().await
    }

    async fn connect_to_survey(&self) -> Result<Box<dyn Connection>, Error> {
        Ok(self.undoing(self.inner.connect_to_survey().await?))
    }

    async fn observe(&self) -> Result<Box<dyn Observer>, Error> {
        self.inner.observe().await
    }

    async fn catalog(&self, connection: &mut dyn Connection) -> Result<Catalog, Error> {
        self.inner.catalog(connection).await
    }

    async fn partitions(
        &self,
        connection: &mut dyn Connection,
        question: &Question<'_>,
    ) -> Result<Partitioning, Error> {
        self.inner.partitions(connection, question).await
    }

    async fn clock(&self, connection: &mut dyn Connection) -> Result<Timestamp, Error> {
        self.inner.clock(connection).await
    }

    async fn position(&self, connection: &mut dyn Connection) -> Result<Position, Error> {
        self.inner.position(connection).await
    }

    async fn try_lock(&self, connection: &mut dyn Connection, name: &str) -> Result<Option<LockGuard>, Error> {
        self.inner.try_lock(connection, name).await
    }
}
