//! The pace of a run: what is asked before each batch, so that a run stops before the next one and says why.
//!
//! A [`Throttle`] knows one reason to wait; each has a file of its own and a line in one of the registries below. Those of
//! the job and of a database are made once for a run and shared by all its connections; their answers are kept for a
//! while, since a batch takes less time than a question. They ask over connections of their own. Between two batches no
//! transaction is open, so nobody waits for a run that waits.

mod duty_cycle;
mod rows_per_second;
mod run_time;
mod size;
mod turns;
mod window;

#[cfg(test)]
mod tests;

pub(super) use size::{Size, pause};
pub(super) use turns::{StepPace, Turns};

use super::{Failure, Progress};
use crate::{
    ledger::Clock,
    plan::Step,
    settings::{DatabaseSettings, Pace as Settings, Settings as JobSettings},
};
use async_trait::async_trait;
use jiff::{SignedDuration, tz::TimeZone};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::{sync::Mutex, time::Instant};
use tokio_util::sync::CancellationToken;

/// Throttles of the whole job, in the order in which they are asked.
const OF_THE_JOB: &[Open] = &[run_time::open];

/// Throttles of a database.
const OF_A_DATABASE: &[Open] = &[window::open, rows_per_second::open, duty_cycle::open];

/// Makes a throttle; none where the settings do not ask for it. Connects to nothing.
type Open = fn(&Setup<'_>) -> Option<Box<dyn Throttle>>;

/// What throttles are made of.
struct Setup<'a> {
    /// With what the database has of its own, for those of a database.
    pace: Settings,
    zone: &'a TimeZone,
    clock: &'a Clock,
    /// When the run began.
    began: Instant,
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

/// Settings that can be read and that no throttle of this version heeds. A run with them is refused: whoever names a
/// replica relies on it.
pub(super) fn unheeded(settings: &JobSettings) -> Vec<&'static str> {
    let mut named = Vec::new();
    if settings.pace.pause_file.is_some() {
        named.push("pace.pause_file");
    }
    if !settings.pace.yield_to.is_empty() {
        named.push("pace.yield_to");
    }
    for database in settings.databases.values() {
        if !database.replicas.is_empty() {
            named.push("replicas");
        }
        if database.pace.load.is_some() {
            named.push("pace.load");
        }
        if database.pace.yield_to.is_some() {
            named.push("pace.yield_to");
        }
    }
    named.sort_unstable();
    named.dedup();
    named
}

/// The pace of a run.
pub(super) struct Pace {
    job: Vec<Arc<Slot>>,
    databases: BTreeMap<String, (Settings, Vec<Arc<Slot>>)>,
}

impl Pace {
    /// `clock` tells what time it really is, `began` when the run began.
    pub fn new(settings: &JobSettings, clock: &Clock, began: Instant) -> Self {
        let setup = |pace| Setup { pace, zone: &settings.time_zone, clock, began };
        let of_database = |database: &DatabaseSettings| {
            let setup = setup(settings.pace.of(database));
            let slots = made(OF_A_DATABASE, &setup);
            (database.name.clone(), (setup.pace, slots))
        };
        Self {
            job: made(OF_THE_JOB, &setup(settings.pace.clone())),
            databases: settings.databases.values().map(of_database).collect(),
        }
    }

    /// The pace of one step.
    pub fn of<'a>(&self, step: &'a Step, stop: &'a CancellationToken, progress: &'a dyn Progress) -> StepPace<'a> {
        let (settings, slots) = self.databases.get(&step.database).cloned().unwrap_or_default();
        StepPace::new(&step.rule, settings, self.job.iter().cloned().chain(slots).collect(), stop, progress)
    }
}

fn made(throttles: &[Open], setup: &Setup<'_>) -> Vec<Arc<Slot>> {
    throttles.iter().filter_map(|open| open(setup)).map(|throttle| Arc::new(Slot::new(throttle))).collect()
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
