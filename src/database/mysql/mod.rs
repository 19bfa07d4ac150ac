//! MySQL and MariaDB: connection options, session, lock and clock.

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
use observe::MysqlObserver;
use sqlx::{
    ConnectOptions as _, MySql,
    mysql::{MySqlConnectOptions, MySqlSslMode},
};
use std::str::FromStr;

mod catalog;
mod codec;
pub(super) mod dialect;
mod facts;
mod maintenance;
mod observe;
pub mod partitions;
mod position;
pub(super) mod transactions;

const PARAMETERS: &[&str] =
    &["ssl-mode", "sslmode", "ssl-ca", "sslca", "ssl-cert", "sslcert", "ssl-key", "sslkey", "socket"];

/// Strict, literal backslashes, `||` concatenates (the driver's default too), `"` quotes strings as usual here.
/// Zero dates are let through: an existing `0000-00-00` must not keep its row from being changed.
const SQL_MODE: &str =
    "STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT,NO_ENGINE_SUBSTITUTION";

/// What a server may give its sessions otherwise: results that end early without a word, so that a hold or a foreign key is
/// not seen; a condition `is null` that finds the row inserted last; commits that begin another transaction, or end the
/// session.
const DEFAULTS: &str =
    "sql_select_limit = 18446744073709551615, sql_auto_is_null = 0, completion_type = 'NO_CHAIN', sql_safe_updates = 0";
/// MySQL, or MariaDB, which differs in little.
#[derive(Debug)]
pub struct Mysql {
    pub mariadb: bool,
}

pub(super) struct MysqlDatabase {
    name: String,
    options: MySqlConnectOptions,
    database: String,
    /// Where it is, without user and password.
    place: String,
    timeouts: Timeouts,
}

pub(super) fn open(settings: &DatabaseSettings, url: &str, pace: &Pace) -> Result<MysqlDatabase, Error> {
    const EXAMPLE: &str = "mysql://user:password@host:3306/database?ssl-mode=VERIFY_IDENTITY";
    check_parameters(url, PARAMETERS)?;
    let url = url.strip_prefix("mariadb://").map_or(url.to_owned(), |rest| format!("mysql://{rest}"));
    let options = MySqlConnectOptions::from_str(&url).map_err(|_| malformed(EXAMPLE))?;
    let database = options.get_database().ok_or_else(|| malformed(EXAMPLE))?.to_owned();
    // The URL parser leaves an IPv6 address in its brackets, which no resolver understands.
    let host = options.get_host().trim_matches(['[', ']']).to_owned();
    let mut options = options.host(&host).disable_statement_logging();

    let place = match options.get_socket() {
        Some(socket) => format!("{}/{database}", socket.display()),
        None => format!("{host}:{}/{database}", options.get_port()),
    };
    if options.get_socket().is_none() && !is_loopback(&host) {
        if !parameters(&url).any(|(name, _)| matches!(name, "sslmode" | "ssl-mode")) {
            options = options.ssl_mode(MySqlSslMode::VerifyIdentity);
        }
        let plain = matches!(options.get_ssl_mode(), MySqlSslMode::Disabled | MySqlSslMode::Preferred);
        if plain && !settings.allow_plaintext {
            return Err(plaintext("ssl-mode=VERIFY_IDENTITY"));
        }
    }
    Ok(MysqlDatabase { name: settings.name.clone(), options, database, place, timeouts: Timeouts::new(pace) })
}

impl MysqlDatabase {
    /// A new session, and whether the server is MariaDB. One that observes may meet a binary log of any format: a replica's.
    async fn connected(&self, purpose: Purpose) -> Result<(Session<MySql>, bool), Error> {
        within_timeout(&self.place, async {
            let mut session = Session::<MySql>(self.options.connect().await?);
            session.execute(&Statement::new(format!("set session {DEFAULTS}"))).await?;
            let variables = session
                .fetch(&Statement::new("show variables where variable_name in ('version', 'log_bin', 'binlog_format')"))
                .await?;
            let variable = |name: &str| {
                variables.iter().find(|row| row[0].as_deref() == Some(name)).and_then(|row| row[1].as_deref())
            };
            if purpose != Purpose::Observe {
                check_binary_log(variable("log_bin"), variable("binlog_format"))?;
            }
            let mariadb = variable("version").is_some_and(|version| version.contains("MariaDB"));
            session.execute(&self.session(mariadb, purpose)).await?;
            Ok((session, mariadb))
        })
        .await
    }

    fn session(&self, mariadb: bool, purpose: Purpose) -> Statement {
        let patience = self.timeouts.of(purpose);
        // Both servers take lock time-outs in whole seconds. MySQL ends only SELECTs that take too long.
        let lock = self.timeouts.lock.as_secs_f64().ceil().max(1.0);
        // A recursive query that ends too early, which MariaDB does with a warning only, would not see all held rows.
        let recursion = if mariadb { "max_recursive_iterations" } else { "cte_max_recursion_depth" };
        let (statement, transaction, idle) = match mariadb {
            true => {
                let idle = self.timeouts.statement.as_secs().max(60);
                let statement = format!("max_statement_time = {}", patience.as_secs_f64());
                (statement, "tx", format!(", idle_transaction_timeout = {idle}"))
            }
            false => {
                let statement = format!("max_execution_time = {}", patience.as_millis());
                (statement, "transaction", String::new())
            }
        };
        let read_only = if purpose.may_write() { String::new() } else { format!(", {transaction}_read_only = 1") };
        Statement::new(format!(
            "set session sql_mode = '{SQL_MODE}', {statement}, {transaction}_isolation = 'READ-COMMITTED'{read_only}{idle}, \
             innodb_lock_wait_timeout = {lock}, lock_wait_timeout = {lock}, autocommit = 1, foreign_key_checks = 1, \
             wait_timeout = 28800, {recursion} = 4294967295"
        ))
    }
}

/// Row changes under READ COMMITTED cannot be written to a binary log of statements: each would fail with error 1665.
fn check_binary_log(log: Option<&str>, format: Option<&str>) -> Result<(), Error> {
    match (log, format) {
        (Some("ON" | "1"), Some("STATEMENT")) => Err(Error::new(
            ErrorKind::Refused,
            "binlog_format is STATEMENT, which cannot record deletions under READ COMMITTED: set it to ROW or MIXED",
        )),
        _ => Ok(()),
    }
}

#[async_trait]
impl Database for MysqlDatabase {
    fn name(&self) -> &str {
        &self.name
    }

    fn engine(&self) -> Engine {
        Engine::Mysql
    }

    async fn connect(&self) -> Result<Box<dyn Connection>, Error> {
        Ok(Box::new(self.connected(Purpose::Change).await?.0))
    }

    async fn connect_to_count(&self) -> Result<Box<dyn Connection>, Error> {
        Ok(Box::new(self.connected(Purpose::Count).await?.0))
    }

    async fn connect_to_survey(&self) -> Result<Box<dyn Connection>, Error> {
        Ok(Box::new(self.connected(Purpose::Survey).await?.0))
    }

    async fn observe(&self) -> Result<Box<dyn Observer>, Error> {
        let (session, mariadb) = self.connected(Purpose::Observe).await?;
        Ok(Box::new(MysqlObserver { connection: Box::new(session), mariadb }))
    }

    async fn catalog(&self, connection: &mut dyn Connection) -> Result<Catalog, Error> {
        catalog::read(connection, &self.database).await
    }

    async fn partitions(
        &self,
        connection: &mut dyn Connection,
        question: &Question<'_>,
    ) -> Result<Partitioning, Error> {
        partitions::read(connection, question).await
    }

    async fn clock(&self, connection: &mut dyn Connection) -> Result<Timestamp, Error> {
        let statement = Statement::new("select cast(cast(unix_timestamp(sysdate(6)) * 1000000 as signed) as char)");
        timestamp(scalar(connection, &statement).await?)
    }

    async fn position(&self, connection: &mut dyn Connection) -> Result<Position, Error> {
        position::read(connection).await
    }

    /// `get_lock` is per server, so the database is part of the lock's name. (In a Galera or InnoDB cluster it is per
    /// node: all runs must use the same one.)
    async fn try_lock(&self, connection: &mut dyn Connection, name: &str) -> Result<Option<LockGuard>, Error> {
        let mut name = format!("sunset/{}/{name}", self.database);
        // The server refuses longer names.
        if name.chars().count() > 64 {
            name = format!("sunset/{}", hex::encode(&digest(&name)[..28]));
        }
        let statement = Statement { sql: "select cast(get_lock(?, 0) as char)".into(), args: vec![Value::Text(name)] };
        match scalar(connection, &statement).await?.as_deref() {
            Some("1") => Ok(Some(LockGuard(None))),
            Some("0") => Ok(None),
            _ => Err(Error::new(ErrorKind::Other, "the server does not say whether the lock is free")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_binary_log_of_statements_is_refused() {
        assert!(check_binary_log(Some("ON"), Some("STATEMENT")).is_err());
        assert!(check_binary_log(Some("ON"), Some("ROW")).is_ok());
        assert!(check_binary_log(Some("OFF"), Some("STATEMENT")).is_ok());
        assert!(check_binary_log(None, None).is_ok());
    }
}
