//! The pace of a run: what is asked before each batch, so that a run stops before the next one and says why.
//!
//! A [`Throttle`] knows one reason to wait; each has a file of its own and a line in one of the registries below. Those of
//! the job and of a database are made once for a run and shared by all its connections; their answers are kept for a
//! while, since a batch takes less time than a question. They ask over connections of their own. Between two batches no
//! transaction is open, so nobody waits for a run that waits.

mod backup;
mod duty_cycle;
mod load;
mod pause_file;
mod paused;
mod replica_lag;
mod rows_per_second;
mod run_time;
mod size;
mod turns;
mod vacuum;
mod watch;
mod window;

#[cfg(test)]
mod tests;

pub(super) use size::{Size, pause};
pub(super) use turns::{StepPace, Turns};

use super::{Failure, Progress};
use crate::{
    catalog::TableName,
    database::{Error, ErrorKind, Work},
    ledger::Clock,
    plan::Step,
    settings::{DatabaseSettings, Pace as Settings, Settings as JobSettings, StoreSettings},
};
use async_trait::async_trait;
use jiff::{SignedDuration, tz::TimeZone};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::{sync::Mutex, time::Instant};
use tokio_util::sync::CancellationToken;
use watch::Watch;

/// Throttles of the whole job, in the order in which they are asked.
const OF_THE_JOB: &[Open] = &[run_time::open, paused::open, pause_file::open];

/// Throttles of a database.
const OF_A_DATABASE: &[Open] =
    &[window::open, replica_lag::open, load::open, backup::open, rows_per_second::open, duty_cycle::open];

/// Throttles of a table, made anew for each step.
const OF_A_TABLE: &[Open] = &[vacuum::open];

/// Makes a throttle; none where the settings do not ask for it. Connects to nothing.
type Open = fn(&Setup<'_>) -> Option<Box<dyn Throttle>>;

/// What throttles are made of.
struct Setup<'a> {
    /// With what the database has of its own, for those of a database.
    pace: Settings,
    zone: &'a TimeZone,
    /// Where the job's own things are kept.
    store: Option<&'a StoreSettings>,
    clock: &'a Clock,
    /// When the run began.
    began: Instant,
    /// For those of a database or a table.
    server: Option<Server<'a>>,
    /// For those of a table: the rule's, and those that hold its rows.
    tables: &'a [TableName],
}

#[derive(Clone, Copy)]
struct Server<'a> {
    settings: &'a DatabaseSettings,
    watch: &'a Arc<Watch>,
}

/// A reason to wait.
#[async_trait]
trait Throttle: Send {
    /// What reports call it.
    fn name(&self) -> &'static str;

    /// How long an answer holds.
    fn interval(&self) -> Duration {
        Duration::from_secs(1)
    }

    /// It shapes the pace of every batch, and its waits are short: not worth a line in the log, nor an end of patience.
    fn is_steady(&self) -> bool {
        false
    }

    /// What a rule comes to that has waited too long for this.
    fn impatience(&self, reason: String) -> Failure {
        Failure::Throttled(reason)
    }

    /// A batch has changed so many rows. Steady ones are told.
    fn note(&mut self, _rows: u64) {}

    /// Whether a batch may begin.
    async fn ask(&mut self, turn: &Turn) -> Result<Answer, Failure>;
}

/// The connection that would begin a batch.
#[derive(Clone, Debug, Default)]
struct Turn {
    /// When its last batch ended, and how long that took.
    last: Option<(Instant, Duration)>,
}

/// Whether a batch may begin.
#[derive(Clone, Debug, PartialEq)]
enum Answer {
    Go,
    /// Not yet, for this reason; `until` where that is known.
    Wait {
        reason: String,
        until: Option<Instant>,
    },
    /// No batch begins any more; what is left is backlog.
    TimeIsUp(String),
    /// The rule ends, and is worth another try later.
    Stop(String),
}

/// A throttle with its last answer.
struct Slot {
    is_steady: bool,
    asked: Mutex<Asked>,
}

struct Asked {
    throttle: Box<dyn Throttle>,
    answer: Option<(Instant, Answer)>,
    /// Somebody has waited too long for it; whoever comes next does not wait as long again.
    is_given_up: bool,
}

/// The pace of a run.
pub(super) struct Pace<'a> {
    settings: &'a JobSettings,
    clock: Clock,
    began: Instant,
    job: Vec<Arc<Slot>>,
    databases: BTreeMap<String, OfDatabase>,
}

struct OfDatabase {
    /// With what the database has of its own.
    pace: Settings,
    watch: Arc<Watch>,
    slots: Vec<Arc<Slot>>,
}

impl<'a> Pace<'a> {
    /// `clock` tells what time it really is, `began` when the run began.
    pub fn new(settings: &'a JobSettings, clock: Clock, began: Instant) -> Self {
        let mut pace = Self { settings, clock, began, job: Vec::new(), databases: BTreeMap::new() };
        pace.job = made(OF_THE_JOB, &pace.setup(settings.pace.clone()));
        for database in settings.databases.values() {
            let own = settings.pace.of(database);
            let watch = Arc::new(Watch::new(database, &own));
            let server = Some(Server { settings: database, watch: &watch });
            let slots = made(OF_A_DATABASE, &Setup { server, ..pace.setup(own.clone()) });
            pace.databases.insert(database.name.clone(), OfDatabase { pace: own, watch, slots });
        }
        pace
    }

    /// The pace of one step.
    pub fn of<'s>(
        &self,
        step: &'s Step,
        work: &Work,
        stop: &'s CancellationToken,
        progress: &'s dyn Progress,
    ) -> StepPace<'s> {
        let tables: Vec<_> = work.leaves.iter().chain([&work.table]).cloned().collect();
        let mut slots = self.job.clone();
        let mut settings = self.settings.pace.clone();
        if let Some(OfDatabase { pace, watch, slots: own }) = self.databases.get(&step.database)
            && let Some(database) = self.settings.databases.get(&step.database)
        {
            let server = Some(Server { settings: database, watch });
            slots.extend(made(OF_A_TABLE, &Setup { server, tables: &tables, ..self.setup(pace.clone()) }));
            slots.extend(own.iter().cloned());
            settings = pace.clone();
        }
        StepPace::new(&step.rule, settings, slots, stop, progress)
    }

    fn setup(&self, pace: Settings) -> Setup<'_> {
        let (zone, clock, began) = (&self.settings.time_zone, &self.clock, self.began);
        Setup { pace, zone, store: Some(&self.settings.store), clock, began, server: None, tables: &[] }
    }
}

fn made(throttles: &[Open], setup: &Setup<'_>) -> Vec<Arc<Slot>> {
    throttles.iter().filter_map(|open| open(setup)).map(|throttle| Arc::new(Slot::new(throttle))).collect()
}

/// A question that failed like this may be answered in a moment.
fn is_passing(error: &Error) -> bool {
    matches!(
        error.kind,
        ErrorKind::Transient | ErrorKind::Locked | ErrorKind::StatementTimeout | ErrorKind::Unreachable
    )
}

impl Slot {
    fn new(throttle: Box<dyn Throttle>) -> Self {
        let is_steady = throttle.is_steady();
        Self { is_steady, asked: Mutex::new(Asked { throttle, answer: None, is_given_up: false }) }
    }
}

impl Asked {
    /// What the throttle says, or has said a moment ago.
    async fn answer(&mut self, turn: &Turn) -> Result<Answer, Failure> {
        if let Some((at, answer)) = &self.answer
            && at.elapsed() < self.throttle.interval()
        {
            return Ok(answer.clone());
        }
        let answer = self.throttle.ask(turn).await?;
        self.answer = Some((Instant::now(), answer.clone()));
        if answer == Answer::Go {
            self.is_given_up = false;
        }
        Ok(answer)
    }
}

/// `2h 30m`, without fractions of a second.
fn words(duration: Duration) -> String {
    let seconds = i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    format!("{:#}", SignedDuration::from_secs(seconds))
}
