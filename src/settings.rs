//! `sunset.yaml`: databases, time zone, limits, pace, keys, store. The only place where secrets come in.
//!
//! `${NAME}` takes an environment variable, `${file:/path}` a file's content without its last line break. Neither is
//! ever echoed: values that held one are kept as [`SecretString`].

use crate::{
    catalog::Engine,
    rules::{Limits, Parameter},
};
use jiff::tz::TimeZone;
use secrecy::SecretString;
use std::{collections::BTreeMap, path::PathBuf, time::Duration};

/// The settings after all checks.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The job's name: the ledger's origin and the first part of every lock's name.
    pub name: String,
    /// The directory that holds `sunset.yaml`; relative paths start here.
    pub directory: PathBuf,
    pub time_zone: TimeZone,
    pub databases: BTreeMap<String, DatabaseSettings>,
    pub parameters: BTreeMap<String, Parameter>,
    /// For a whole run.
    pub limits: Limits,
    pub pace: Pace,
    pub store: StoreSettings,
    pub keys: KeySettings,
    /// Five-field cron expression for rules without their own.
    pub schedule: Option<String>,
}

/// How to reach one database.
#[derive(Clone, Debug)]
pub struct DatabaseSettings {
    pub name: String,
    pub engine: Engine,
    /// `postgres://…`, `mysql://…`, `mariadb://…` or `sqlite:path`, with the TLS parameters of the engine's own users.
    /// A relative SQLite path starts at the job directory.
    pub url: SecretString,
    /// Plain TCP to another machine is refused unless this is set.
    pub allow_plaintext: bool,
}

/// How gently to work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pace {
    /// What a batch's changing statement should take.
    pub batch_target: Duration,
    /// No batch has more rows.
    pub batch_rows: u32,
    /// The server ends a statement that takes longer.
    pub statement_timeout: Duration,
    /// The server ends a wait for a lock that takes longer.
    pub lock_timeout: Duration,
    /// How often a batch is tried again after a deadlock, a serialization failure or a lock time-out.
    pub retries: u32,
    /// A run is refused when a database's clock differs by more.
    pub max_clock_skew: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            batch_target: Duration::from_millis(50),
            batch_rows: 50_000,
            statement_timeout: Duration::from_secs(30),
            lock_timeout: Duration::from_secs(5),
            retries: 5,
            max_clock_skew: Duration::from_secs(60),
        }
    }
}

/// Where ledger, holds and row tags are kept.
#[derive(Clone, Debug)]
pub enum StoreSettings {
    /// A SQLite file; `sunset.db` in the job directory's `state/` by default.
    Sqlite(PathBuf),
    Postgres(SecretString),
}

/// The keys of ledger and pseudonyms. The first of each list is in use, the others are older ones.
#[derive(Clone, Debug, Default)]
pub struct KeySettings {
    /// Each a text as `sunset keys` writes it.
    pub tag: Vec<SecretString>,
    pub signing: Vec<SecretString>,
    /// For `hash` and `tokenize`.
    pub pseudonym: Option<SecretString>,
}
