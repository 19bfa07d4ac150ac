//! PostgreSQL: connection options, session, lock and clock.

use super::{
    Connection, Database, Error, ErrorKind, LockGuard, Observer, Partitioning, Position, Purpose, Question, Timeouts,
    check_parameters, digest, driver::Session, is_loopback, malformed, parameters, plaintext, scalar, timestamp,
    within_timeout,
};
use crate::{
    catalog::{Catalog, Engine},
    settings::{DatabaseSettings, Pace},
    sql::{Statement, Value},
};
use async_trait::async_trait;
use jiff::Timestamp;
use observe::PostgresObserver;
use sqlx::{
    ConnectOptions as _,
    postgres::{PgConnectOptions, PgSslMode},
};
use std::{str::FromStr, time::Duration};
use tokio::sync::OnceCell;

mod catalog;
mod codec;
pub(super) mod dialect;
mod facts;
mod maintenance;
mod observe;
pub mod partitions;
mod position;
pub(crate) mod session;

const PARAMETERS: &[&str] = &[
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "options",
];
/// The dialect of PostgreSQL.
#[derive(Debug)]
pub struct Postgres;

pub(super) struct PostgresDatabase {
    name: String,
    options: PgConnectOptions,
    /// Where it is, without user and password.
    place: String,
    timeouts: Timeouts,
    /// Schemas that the session looks names up in, after the server's own.
    search_path: Vec<String>,
    /// Known once nothing stands between that shares sessions: the schemas that names without one are in.
    path_before: OnceCell<Vec<String>>,
}

pub(super) fn open(settings: &DatabaseSettings, url: &str, pace: &Pace) -> Result<PostgresDatabase, Error> {
    check_parameters(url, PARAMETERS)?;
    let options = PgConnectOptions::from_str(url)
        .map_err(|_| malformed("postgres://user:password@host:5432/database?sslmode=verify-full"))?;
    // The URL parser leaves an IPv6 address in its brackets, which no resolver understands.
    let host = options.get_host().trim_matches(['[', ']']).to_owned();
    let database = options.get_database().unwrap_or_default().to_owned();
    // pgbouncer refuses what it does not know at the start, and this among it: it is set afterwards
    let mut options =
        options.host(&host).application_name("sunset").extra_float_digits(None).disable_statement_logging();

    let place = match options.get_socket() {
        Some(socket) => format!("{}:{}/{database}", socket.display(), options.get_port()),
        None => format!("{host}:{}/{database}", options.get_port()),
    };
    if options.get_socket().is_none() && !host.starts_with('/') && !is_loopback(&host) {
        if !parameters(url).any(|(name, _)| matches!(name, "sslmode" | "ssl-mode")) {
            options = options.ssl_mode(PgSslMode::VerifyFull);
        }
        let plain = matches!(options.get_ssl_mode(), PgSslMode::Disable | PgSslMode::Allow | PgSslMode::Prefer);
        if plain && !settings.allow_plaintext {
            return Err(plaintext("sslmode=verify-full"));
        }
    }
    Ok(PostgresDatabase {
        name: settings.name.clone(),
        options,
        place,
        timeouts: Timeouts::new(pace),
        search_path: settings.search_path.clone(),
        path_before: OnceCell::new(),
    })
}

impl PostgresDatabase {
    async fn connected(&self, purpose: Purpose) -> Result<Session<sqlx::Postgres>, Error> {
        within_timeout(&self.place, async {
            let mut session = Session::<sqlx::Postgres>(self.options.connect().await?);
            let before = self.path_before.get_or_try_init(|| self.looked_at(&mut session)).await?;
            session::resolve_in_catalog(&mut session, &self.search_path, before).await?;
            session.fetch(&self.session(purpose)).await?;
            Ok(session)
        })
        .await
    }

    /// What has to be known before anything is set in a session: that it is nobody else's, and its search path.
    async fn looked_at(&self, session: &mut Session<sqlx::Postgres>) -> Result<Vec<String>, Error> {
        let mut second = Session::<sqlx::Postgres>(self.options.connect().await?);
        let shared = session::are_shared(&mut session.0, &mut second.0).await;
        Box::new(second).close().await;
        if shared? {
            return Err(Error::new(ErrorKind::Refused, session::SHARED));
        }
        session::search_path(session).await
    }

    /// Sets what the server knows of these settings: servers that only speak PostgreSQL's protocol lack some.
    fn session(&self, purpose: Purpose) -> Statement {
        let idle = self.timeouts.statement.max(Duration::from_secs(60));
        let mut settings = vec![
            ("statement_timeout", self.timeouts.of(purpose).as_millis().to_string()),
            ("lock_timeout", self.timeouts.lock.as_millis().to_string()),
            ("idle_in_transaction_session_timeout", idle.as_millis().to_string()),
            ("default_transaction_isolation", "read committed".into()),
            ("standard_conforming_strings", "on".into()),
            ("bytea_output", "hex".into()),
            // all digits that tell one value from the next
            ("extra_float_digits", "2".into()),
            ("IntervalStyle", "postgres".into()),
            // Notices hold whatever a trigger's author printed, and the driver logs them.
            ("client_min_messages", "error".into()),
            // A batch's plan depends on its bounds, and planning costs little beside it; compiling it would cost more.
            ("plan_cache_mode", "force_custom_plan".into()),
            ("jit", "off".into()),
        ];
        if !purpose.may_write() {
            settings.push(("default_transaction_read_only", "on".into()));
        }
        let rows: Vec<_> =
            (0..settings.len()).map(|index| format!("(${}, ${})", 2 * index + 1, 2 * index + 2)).collect();
        Statement {
            sql: format!(
                "select set_config(known.name, wanted.value, false) from (values {}) wanted (name, value) \
                 join pg_settings known on lower(known.name) = lower(wanted.name)",
                rows.join(", ")
            ),
            args: settings
                .into_iter()
                .flat_map(|(name, value)| [Value::Text(name.into()), Value::Text(value)])
                .collect(),
        }
    }
}

#[async_trait]
impl Database for PostgresDatabase {
    fn name(&self) -> &str {
        &self.name
    }

    fn engine(&self) -> Engine {
        Engine::Postgres
    }

    async fn connect(&self) -> Result<Box<dyn Connection>, Error> {
        Ok(Box::new(self.connected(Purpose::Change).await?))
    }

    async fn connect_to_count(&self) -> Result<Box<dyn Connection>, Error> {
        Ok(Box::new(self.connected(Purpose::Count).await?))
    }

    async fn connect_to_survey(&self) -> Result<Box<dyn Connection>, Error> {
        Ok(Box::new(self.connected(Purpose::Survey).await?))
    }

    async fn observe(&self) -> Result<Box<dyn Observer>, Error> {
        Ok(Box::new(PostgresObserver(Box::new(self.connected(Purpose::Observe).await?))))
    }

    async fn catalog(&self, connection: &mut dyn Connection) -> Result<Catalog, Error> {
        let default_schema = self.path_before.get().and_then(|path| path.first());
        let default_schema = default_schema.cloned().unwrap_or_else(|| "public".to_owned());
        catalog::read(connection, default_schema).await
    }

    async fn partitions(
        &self,
        connection: &mut dyn Connection,
        question: &Question<'_>,
    ) -> Result<Partitioning, Error> {
        partitions::read(connection, question).await
    }

    async fn clock(&self, connection: &mut dyn Connection) -> Result<Timestamp, Error> {
        let statement = Statement::new("select (extract(epoch from clock_timestamp()) * 1000000)::bigint::text");
        timestamp(scalar(connection, &statement).await?)
    }

    async fn position(&self, connection: &mut dyn Connection) -> Result<Position, Error> {
        position::read(connection).await
    }

    /// An advisory lock, within this database.
    async fn try_lock(&self, connection: &mut dyn Connection, name: &str) -> Result<Option<LockGuard>, Error> {
        let [a, b, c, d, e, f, g, h, ..] = digest(name);
        let key = i64::from_be_bytes([a, b, c, d, e, f, g, h]);
        let statement =
            Statement { sql: "select pg_try_advisory_lock($1)::text".into(), args: vec![Value::Integer(key)] };
        match scalar(connection, &statement).await?.as_deref() {
            Some("true") => Ok(Some(LockGuard(None))),
            Some("false") => Ok(None),
            _ => Err(Error::new(ErrorKind::Other, "the server does not say whether the lock is free")),
        }
    }
}
