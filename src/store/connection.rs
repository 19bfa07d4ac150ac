//! One connection to either engine, behind the same few calls.

use super::Error;
use crate::{database::session, file, settings::StoreSettings};
use secrecy::ExposeSecret;
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection as _, Database, Encode, Executor, FromRow, IntoArguments, Postgres,
    Sqlite, Type,
    postgres::{PgConnectOptions, PgConnection, PgRow},
    sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteRow, SqliteSynchronous},
};
use std::{path::Path, str::FromStr, time::Duration};

/// How long to wait for another process that writes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

pub(super) enum Connection {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

/// A bound value.
pub(super) enum Argument {
    Integer(i64),
    Text(Option<String>),
    Bytes(Option<Vec<u8>>),
}

impl From<i64> for Argument {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<String> for Argument {
    fn from(value: String) -> Self {
        Self::Text(Some(value))
    }
}

impl From<&str> for Argument {
    fn from(value: &str) -> Self {
        Self::Text(Some(value.to_owned()))
    }
}

impl From<Option<String>> for Argument {
    fn from(value: Option<String>) -> Self {
        Self::Text(value)
    }
}

impl From<Vec<u8>> for Argument {
    fn from(value: Vec<u8>) -> Self {
        Self::Bytes(Some(value))
    }
}

impl From<Option<Vec<u8>>> for Argument {
    fn from(value: Option<Vec<u8>>) -> Self {
        Self::Bytes(value)
    }
}

impl Connection {
    pub(super) async fn open(settings: &StoreSettings, create: bool) -> Result<Self, Error> {
        match settings {
            StoreSettings::Sqlite(path) => {
                if create {
                    create_file(path).map_err(|error| match error.kind() {
                        std::io::ErrorKind::StorageFull => Error::Full(format!("{}: {error}", path.display())),
                        _ => Error::Refused(format!("{}: {error}", path.display())),
                    })?;
                } else if !path.exists() {
                    return Err(Error::Absent(path.display().to_string()));
                }
                let options = SqliteConnectOptions::new()
                    .filename(path)
                    .journal_mode(SqliteJournalMode::Wal)
                    .synchronous(SqliteSynchronous::Full)
                    .busy_timeout(BUSY_TIMEOUT)
                    .disable_statement_logging();
                Ok(Self::Sqlite(options.connect().await?))
            }
            StoreSettings::Postgres(url) => {
                let options = PgConnectOptions::from_str(url.expose_secret())?
                    .application_name("sunset store")
                    .extra_float_digits(None)
                    .disable_statement_logging();
                let mut connection = options.connect().await?;
                let mut second = options.connect().await?;
                let shared = session::are_shared(&mut connection, &mut second).await;
                let _ = second.close().await;
                if shared? {
                    return Err(Error::Refused(session::SHARED.to_owned()));
                }
                let mut connection = Self::Postgres(connection);
                // Not at the start: pgbouncer refuses what it does not know there.
                let timeout = BUSY_TIMEOUT.as_millis();
                connection
                    .raw(&format!(
                        "set search_path = sunset, pg_temp; set lock_timeout = {timeout}; \
                         set synchronous_commit = on"
                    ))
                    .await?;
                Ok(connection)
            }
        }
    }

    pub(super) async fn begin(&mut self) -> Result<(), Error> {
        match self {
            Self::Sqlite(_) => self.raw("pragma synchronous = full; begin immediate").await,
            // A lock that every writer takes first and that ends with the transaction; the number is only a name.
            Self::Postgres(_) => self.raw("begin; select pg_advisory_xact_lock(6012954214403)").await,
        }
    }

    /// A transaction that need not be on disk when it ends. SQLite's commits are lighter from here until the next
    /// [`Connection::begin`].
    pub(super) async fn begin_lightly(&mut self) -> Result<(), Error> {
        match self {
            Self::Sqlite(_) => self.raw("pragma synchronous = normal; begin immediate").await,
            Self::Postgres(_) => {
                self.raw("begin; set local synchronous_commit = off; select pg_advisory_xact_lock(6012954214403)").await
            }
        }
    }

    /// Statements without parameters.
    pub(super) async fn raw(&mut self, sql: &str) -> Result<(), Error> {
        let sql = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
        match self {
            Self::Sqlite(connection) => connection.execute(sql).await.map(|_| ())?,
            Self::Postgres(connection) => connection.execute(sql).await.map(|_| ())?,
        }
        Ok(())
    }

    pub(super) async fn execute(&mut self, sql: &'static str, arguments: Vec<Argument>) -> Result<(), Error> {
        match self {
            Self::Sqlite(connection) => connection.execute(bind::<Sqlite>(sql, arguments)).await.map(|_| ())?,
            Self::Postgres(connection) => connection.execute(bind::<Postgres>(sql, arguments)).await.map(|_| ())?,
        }
        Ok(())
    }

    pub(super) async fn fetch<T>(&mut self, sql: &'static str, arguments: Vec<Argument>) -> Result<Vec<T>, Error>
    where
        T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        match self {
            Self::Sqlite(connection) => {
                let rows = connection.fetch_all(bind::<Sqlite>(sql, arguments)).await?;
                Ok(rows.iter().map(T::from_row).collect::<Result<_, _>>()?)
            }
            Self::Postgres(connection) => {
                let rows = connection.fetch_all(bind::<Postgres>(sql, arguments)).await?;
                Ok(rows.iter().map(T::from_row).collect::<Result<_, _>>()?)
            }
        }
    }

    pub(super) async fn close(self) -> Result<(), Error> {
        match self {
            Self::Sqlite(connection) => connection.close().await?,
            Self::Postgres(connection) => connection.close().await?,
        }
        Ok(())
    }
}

fn bind<DB>(sql: &'static str, arguments: Vec<Argument>) -> sqlx::query::Query<'static, DB, DB::Arguments>
where
    DB: Database,
    DB::Arguments: IntoArguments<DB>,
    for<'v> i64: Encode<'v, DB> + Type<DB>,
    for<'v> Option<String>: Encode<'v, DB> + Type<DB>,
    for<'v> Option<Vec<u8>>: Encode<'v, DB> + Type<DB>,
{
    arguments.into_iter().fold(sqlx::query(sql), |query, argument| match argument {
        Argument::Integer(value) => query.bind(value),
        Argument::Text(value) => query.bind(value),
        Argument::Bytes(value) => query.bind(value),
    })
}

/// Makes directory and file so that nobody else can read them; SQLite gives its companion files the same mode.
fn create_file(path: &Path) -> std::io::Result<()> {
    if let Some(directory) = path.parent() {
        file::create_directory(directory)?;
    }
    file::append(path).map(drop)
}
