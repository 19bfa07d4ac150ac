//! SQLite: connection options, session, lock and clock.

use super::{
    Connection, Database, Error, ErrorKind, LockGuard, Observer, Partitioning, Position, Question, check_parameters,
    digest, driver::Session, malformed, within_timeout,
};
use crate::{
    catalog::{Catalog, Engine},
    file,
    settings::{DatabaseSettings, Pace},
    sql::{Statement, Value},
};
use async_trait::async_trait;
use jiff::Timestamp;
use observe::SqliteObserver;
use sqlx::{ConnectOptions as _, sqlite::SqliteConnectOptions};
use std::{
    fs::{self, TryLockError},
    path::{Path, PathBuf},
    str::FromStr,
};

mod catalog;
mod codec;
pub(super) mod dialect;
mod facts;
mod maintenance;
mod observe;
mod position;
/// The dialect of SQLite.
#[derive(Debug)]
pub struct Sqlite;

pub(super) struct SqliteDatabase {
    name: String,
    options: SqliteConnectOptions,
    /// `None` for a database in memory.
    path: Option<PathBuf>,
}

pub(super) fn open(settings: &DatabaseSettings, url: &str, pace: &Pace) -> Result<SqliteDatabase, Error> {
    check_parameters(url, &["mode"])?;
    let options = SqliteConnectOptions::from_str(url).map_err(|_| malformed("sqlite:path/to/file.db"))?;
    let path = (!url.contains(":memory:") && !url.contains("mode=memory")).then(|| options.get_filename().to_owned());
    let options = options
        .create_if_missing(false)
        .foreign_keys(true)
        .busy_timeout(pace.lock_timeout)
        // What is erased is overwritten, not only unlinked.
        .pragma("secure_delete", "on")
        // Triggers and views, which anybody may have written into the file, call no function with effects outside it.
        .pragma("trusted_schema", "off")
        // 8 MiB of pages, and a checkpoint every 40 MiB: each batch would else write the same index pages anew
        .pragma("cache_size", "-8192")
        .pragma("wal_autocheckpoint", "10000")
        // Rows come from the driver's thread: fewer switches between the two.
        .row_buffer_size(1024)
        .disable_statement_logging();
    Ok(SqliteDatabase { name: settings.name.clone(), options, path })
}

/// Copies the whole database into a file that is empty.
pub(super) fn copy(to: &Path) -> Statement {
    Statement { sql: "vacuum into ?1".to_owned(), args: vec![Value::Text(to.display().to_string())] }
}

#[async_trait]
impl Database for SqliteDatabase {
    fn name(&self) -> &str {
        &self.name
    }

    fn engine(&self) -> Engine {
        Engine::Sqlite
    }

    async fn connect(&self) -> Result<Box<dyn Connection>, Error> {
        if let Some(path) = &self.path
            && !path.exists()
        {
            let message = format!("there is no database file {}: it must exist, Sunset creates none", path.display());
            return Err(Error::new(ErrorKind::Refused, message));
        }
        let place = self.path.as_ref().map_or(":memory:".into(), |path| path.display().to_string());
        within_timeout(&place, async {
            Ok(Box::new(Session::<sqlx::Sqlite>(self.options.connect().await?)) as Box<dyn Connection>)
        })
        .await
    }

    /// Nobody ends a statement here: the library runs in this process.
    async fn connect_to_count(&self) -> Result<Box<dyn Connection>, Error> {
        let mut connection = self.connect().await?;
        connection.execute(&Statement::new("pragma query_only = on")).await?;
        // who reads once through a table finds nothing twice
        connection.execute(&Statement::new("pragma cache_size = -1024")).await?;
        Ok(connection)
    }

    async fn connect_to_survey(&self) -> Result<Box<dyn Connection>, Error> {
        self.connect().await
    }

    async fn observe(&self) -> Result<Box<dyn Observer>, Error> {
        Ok(Box::new(SqliteObserver(self.connect_to_count().await?)))
    }

    async fn catalog(&self, connection: &mut dyn Connection) -> Result<Catalog, Error> {
        catalog::read(connection).await
    }

    async fn partitions(&self, _: &mut dyn Connection, _: &Question<'_>) -> Result<Partitioning, Error> {
        let obstacles = vec!["SQLite has no partitions".to_owned()];
        Ok(Partitioning { obstacles, partitions: Vec::new() })
    }

    /// SQLite has no clock of its own: it runs in this process.
    async fn clock(&self, _: &mut dyn Connection) -> Result<Timestamp, Error> {
        Ok(Timestamp::now())
    }

    async fn position(&self, _: &mut dyn Connection) -> Result<Position, Error> {
        Ok(position::read(self.path.as_deref()))
    }

    async fn advance(&self) -> Result<(), Error> {
        let mut connection = self.connect().await?;
        let advanced = position::advance(connection.as_mut()).await;
        connection.close().await;
        advanced
    }

    /// A locked file beside the database, in the reach of every process that can reach the database.
    async fn try_lock(&self, _: &mut dyn Connection, name: &str) -> Result<Option<LockGuard>, Error> {
        let Some(path) = &self.path else {
            return Err(Error::new(ErrorKind::Other, "a database in memory cannot be locked: use a file"));
        };
        // Of all links that lead to a database there is one lock.
        let mut lock = fs::canonicalize(path).unwrap_or_else(|_| path.clone()).into_os_string();
        lock.push(format!(".sunset-{}.lock", hex::encode(&digest(name)[..8])));
        let failed = |error: std::io::Error| {
            let place = lock.display();
            Error::new(ErrorKind::Other, format!("the lock file {place} cannot be used: {}", error.kind()))
        };
        let file = file::append(Path::new(&lock)).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(LockGuard(Some(file)))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }
}
