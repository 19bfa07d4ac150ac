//! How gently to work: `pace` of the job and of its databases, and the replicas that may not be left behind.

use super::{DatabaseSettings, Reader};
use crate::{catalog::Engine, clock::window::Window, diagnostic::Code, language::format, rules::At};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::Duration,
};

/// How gently to work.
#[derive(Clone, Debug, PartialEq)]
pub struct Pace {
    /// What a batch's changing statement should take.
    pub batch_target: Duration,
    /// How many workers a rule has in each process that is at it.
    pub workers: u16,
    /// No batch has more rows.
    pub batch_rows: u32,
    /// The server ends a statement that takes longer.
    pub statement_timeout: Duration,
    /// The server ends a count that takes longer. Counts change nothing, and a big table has many rows to count.
    pub count_timeout: Duration,
    /// The server ends a wait for a lock that takes longer.
    pub lock_timeout: Duration,
    /// How often a batch is tried again after a deadlock, a serialization failure or a lock time-out.
    pub retries: u32,
    /// A run is refused when a database's clock differs by more.
    pub max_clock_skew: Duration,
    /// Batches begin only in these hours.
    pub window: Option<Window>,
    /// So long after it began, a run begins no batch any more.
    pub run_time: Option<Duration>,
    pub when_time_is_up: WhenTimeIsUp,
    /// No batch waits longer than this for anything but its turn.
    pub max_wait: Duration,
    /// While this file is there, no batch begins.
    pub pause_file: Option<PathBuf>,
    /// No batch begins while a replica is further behind.
    pub max_lag: Duration,
    pub unreachable_replica: UnreachableReplica,
    /// No batch begins while this gives too much.
    pub load: Option<Load>,
    pub rows_per_second: Option<u32>,
    /// The share of its time that a connection may work.
    pub duty_percent: Option<f64>,
    /// The share of its time that a connection may work while others write to the same database.
    pub duty_percent_beside_writers: f64,
    pub yield_to: BTreeSet<Activity>,
}

/// What a run comes to that leaves work for want of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenTimeIsUp {
    #[default]
    Succeed,
    Fail,
}

/// What becomes of a run while a replica does not say how far it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnreachableReplica {
    #[default]
    Pause,
    Ignore,
}

/// What a server may be doing that goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Activity {
    /// A vacuum of the very table.
    Vacuum,
    /// A backup of the server.
    Backup,
}

/// A number that the database tells, and how high it may be.
#[derive(Clone, Debug, PartialEq)]
pub struct Load {
    /// One statement; the last column of its only row is the number.
    pub query: String,
    /// No batch begins while it is above.
    pub most: f64,
    /// Above this, the rule ends.
    pub stop_above: Option<f64>,
}

/// What a database does not share with the rest of its job.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DatabasePace {
    pub window: Option<Window>,
    pub max_lag: Option<Duration>,
    pub unreachable_replica: Option<UnreachableReplica>,
    pub load: Option<Load>,
    pub rows_per_second: Option<u32>,
    pub duty_percent: Option<f64>,
    pub duty_percent_beside_writers: Option<f64>,
    pub yield_to: Option<BTreeSet<Activity>>,
}

/// A copy of a database that other people read.
#[derive(Clone, Debug)]
pub enum Replica {
    /// Asked itself.
    Reached(Box<DatabaseSettings>),
    /// PostgreSQL: the primary is asked about the standby with this `application_name`.
    Standby(String),
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            batch_target: Duration::from_millis(50),
            workers: 1,
            batch_rows: 50_000,
            statement_timeout: Duration::from_secs(30),
            count_timeout: Duration::from_secs(60 * 60),
            lock_timeout: Duration::from_secs(5),
            retries: 5,
            max_clock_skew: Duration::from_secs(60),
            window: None,
            run_time: None,
            when_time_is_up: WhenTimeIsUp::Succeed,
            max_wait: Duration::from_secs(60 * 60),
            pause_file: None,
            max_lag: Duration::from_secs(5),
            unreachable_replica: UnreachableReplica::Pause,
            load: None,
            rows_per_second: None,
            duty_percent: None,
            duty_percent_beside_writers: 50.0,
            yield_to: BTreeSet::new(),
        }
    }
}

impl Pace {
    /// With what a database has of its own.
    #[must_use]
    pub fn of(&self, database: &DatabaseSettings) -> Self {
        let own = database.pace.clone();
        let rows_per_second = own.rows_per_second.or(self.rows_per_second);
        Self {
            window: own.window.or(self.window),
            max_lag: own.max_lag.unwrap_or(self.max_lag),
            unreachable_replica: own.unreachable_replica.unwrap_or(self.unreachable_replica),
            load: own.load,
            rows_per_second,
            // a second's worth at most, or the pace would be one of fits and starts
            batch_rows: rows_per_second.map_or(self.batch_rows, |rows| rows.min(self.batch_rows)),
            duty_percent: own.duty_percent.or(self.duty_percent),
            duty_percent_beside_writers: own.duty_percent_beside_writers.unwrap_or(self.duty_percent_beside_writers),
            yield_to: own.yield_to.unwrap_or_else(|| self.yield_to.clone()),
            ..self.clone()
        }
    }
}

impl Reader<'_> {
    pub(super) fn pace(&mut self, at: Option<&At>) -> Pace {
        let default = Pace::default();
        let Some(at) = at else { return default };
        let own = database_pace(at);
        let duration = |key: &str| format::duration(at.get(key)?.text()?);
        let pause_file = at.get("pause_file").and_then(|path| self.expand(&path, &format::PATH));
        Pace {
            batch_target: duration("batch_target").unwrap_or(default.batch_target),
            workers: number(at, "workers").and_then(|workers| workers.try_into().ok()).unwrap_or(default.workers),
            batch_rows: number(at, "batch_rows").unwrap_or(default.batch_rows),
            statement_timeout: duration("statement_timeout").unwrap_or(default.statement_timeout),
            count_timeout: duration("count_timeout").unwrap_or(default.count_timeout),
            lock_timeout: duration("lock_timeout").unwrap_or(default.lock_timeout),
            retries: number(at, "retries").unwrap_or(default.retries),
            max_clock_skew: duration("max_clock_skew").unwrap_or(default.max_clock_skew),
            window: own.window,
            run_time: duration("run_time"),
            when_time_is_up: match at.text_of("when_time_is_up").as_deref() {
                Some("fail") => WhenTimeIsUp::Fail,
                _ => default.when_time_is_up,
            },
            max_wait: duration("max_wait").unwrap_or(default.max_wait),
            pause_file: pause_file.map(|path| self.directory.join(path.text)),
            max_lag: own.max_lag.unwrap_or(default.max_lag),
            unreachable_replica: own.unreachable_replica.unwrap_or(default.unreachable_replica),
            load: None,
            rows_per_second: own.rows_per_second,
            duty_percent: own.duty_percent,
            duty_percent_beside_writers: own.duty_percent_beside_writers.unwrap_or(default.duty_percent_beside_writers),
            yield_to: own.yield_to.unwrap_or_default(),
        }
    }

    /// What a database of this engine has of its own.
    pub(super) fn database_pace(&mut self, at: Option<&At>, engine: Engine) -> DatabasePace {
        let Some(at) = at else { return DatabasePace::default() };
        for item in at.get("yield_to").iter().flat_map(At::items) {
            let help = match (item.text(), engine) {
                (Some("vacuum"), Engine::Mysql) => "a load query can watch its purge instead: see docs/pace.md",
                (Some("vacuum" | "backup"), Engine::Sqlite) => "leave it out",
                _ => continue,
            };
            let message = format!("{engine} shows no {}", item.text().unwrap_or_default());
            self.error(Code::BadPace, item.place, message, help);
        }
        database_pace(at)
    }

    /// The replicas of a database of this engine.
    pub(super) fn replicas(&mut self, at: Option<&At>, engine: Engine) -> BTreeMap<String, Replica> {
        let mut replicas = BTreeMap::new();
        for (name, at) in at.iter().flat_map(|at| at.entries()) {
            if engine == Engine::Sqlite {
                self.error(Code::BadPace, at.place.name(), "SQLite has no replicas", "leave `replicas` out");
                continue;
            }
            if let Some(standby) = at.get("standby") {
                if engine == Engine::Postgres {
                    replicas.extend(standby.text().map(|text| (name.to_owned(), Replica::Standby(text.to_owned()))));
                } else {
                    let message = "only PostgreSQL tells the primary how far its standbys are";
                    self.error(Code::BadPace, standby.place.name(), message, "name the replica by its URL");
                }
                continue;
            }
            let Some(settings) = self.reachable(name, &at) else { continue };
            if settings.engine == engine {
                replicas.insert(name.to_owned(), Replica::Reached(Box::new(settings)));
            } else {
                let message = format!("a replica of {engine} is no {}", settings.engine);
                self.error(Code::BadPace, at.place, message, "name the replica of this very database");
            }
        }
        replicas
    }

    /// What stands at a URL, or at a map with one.
    pub(super) fn reachable(&mut self, name: &str, at: &At) -> Option<DatabaseSettings> {
        let url = if at.text().is_some() { at.clone() } else { at.get("url")? };
        let (engine, url) = self.url(&url)?;
        Some(DatabaseSettings {
            name: name.to_owned(),
            engine,
            url,
            allow_plaintext: matches!(at.node.get("allow_plaintext"), Some(crate::language::node::Node::Bool(true))),
            search_path: at
                .get("search_path")
                .iter()
                .flat_map(At::items)
                .filter_map(|schema| schema.text().map(str::to_owned))
                .collect(),
            replicas: BTreeMap::new(),
            pace: DatabasePace::default(),
        })
    }
}

fn database_pace(at: &At) -> DatabasePace {
    DatabasePace {
        window: at.get("window").and_then(|window| Window::parse(window.text()?)),
        max_lag: at.get("max_lag").and_then(|lag| format::duration(lag.text()?)),
        unreachable_replica: at.text_of("unreachable_replica").map(|word| match word.as_str() {
            "ignore" => UnreachableReplica::Ignore,
            _ => UnreachableReplica::Pause,
        }),
        load: at.get("load").and_then(|load| {
            Some(Load {
                query: load.text_of("query")?,
                most: load.get("most")?.number()?,
                stop_above: load.get("stop_above").and_then(|number| number.number()),
            })
        }),
        rows_per_second: number(at, "rows_per_second"),
        duty_percent: at.get("duty_cycle").and_then(|share| format::percent(share.text()?)),
        duty_percent_beside_writers: at
            .get("duty_cycle_beside_writers")
            .and_then(|share| format::percent(share.text()?)),
        yield_to: at.get("yield_to").map(|list| {
            list.items()
                .filter_map(|item| match item.text()? {
                    "vacuum" => Some(Activity::Vacuum),
                    "backup" => Some(Activity::Backup),
                    _ => None,
                })
                .collect()
        }),
    }
}

fn number(at: &At, key: &str) -> Option<u32> {
    at.get(key)?.integer()?.try_into().ok()
}
