//! Lets rules run when their time comes: agenda, clock and runner together.

use super::{
    agenda::{Agenda, Entry, Start},
    board::{Board, Running},
    clock::Clock,
    runner::{Ended, Runner},
};
use crate::{job::Job, outcome::Outcome};
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    future,
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::watch,
    task::{Id, JoinError, JoinSet},
};
use tokio_util::sync::CancellationToken;

/// The store has so long to tell who was served.
const PATIENCE: Duration = Duration::from_secs(10);

pub struct Scheduler {
    clock: Arc<dyn Clock>,
    runner: Arc<dyn Runner>,
    board: Arc<Board>,
    stop: CancellationToken,
    job: Arc<Job>,
    agenda: Agenda,
    runs: JoinSet<Ended>,
    going: HashMap<Id, Going>,
}

struct Going {
    starts: Vec<Start>,
    running: Arc<Running>,
}

impl Scheduler {
    pub async fn new(
        clock: Arc<dyn Clock>,
        runner: Arc<dyn Runner>,
        board: Arc<Board>,
        stop: CancellationToken,
    ) -> Self {
        let job = board.read().job;
        let now = clock.now();
        let mut dealt = take_schedules(runner.as_ref(), &job, &agenda(&job, &BTreeMap::new(), now), now).await;
        dealt.extend(served(runner.as_ref(), &job).await);
        let agenda = agenda(&job, &dealt, now);
        Self { clock, runner, board, stop, job, agenda, runs: JoinSet::new(), going: HashMap::new() }
    }

    /// Runs until it is told to stop, and then until the runs that are going have ended. Changed jobs come through
    /// `jobs`.
    pub async fn run(mut self, mut jobs: watch::Receiver<Arc<Job>>) {
        let mut armed: Option<Timestamp> = None;
        let mut alarm: BoxFuture<'static, ()> = Box::pin(future::pending());
        loop {
            self.start_what_is_due().await;
            self.board.change(|state| state.show(&self.agenda));
            let next = self.agenda.next();
            if next != armed {
                let clock = self.clock.clone();
                alarm = match next {
                    Some(at) => Box::pin(async move { clock.wait_until(at).await }),
                    None => Box::pin(future::pending()),
                };
                armed = next;
            }
            tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                Some(ended) = self.runs.join_next_with_id() => self.note_end(ended),
                Ok(()) = jobs.changed() => {
                    let job = jobs.borrow_and_update().clone();
                    self.replace(job).await;
                }
                () = &mut alarm => armed = None,
            }
        }
        self.board.change(|state| state.draining = true);
        while let Some(ended) = self.runs.join_next_with_id().await {
            self.note_end(ended);
        }
    }

    async fn replace(&mut self, job: Arc<Job>) {
        let now = self.clock.now();
        self.agenda.replace(agenda(&job, &BTreeMap::new(), now));
        // for the next start: this agenda knows by itself what has come since
        take_schedules(self.runner.as_ref(), &job, &self.agenda, now).await;
        self.job = job;
    }

    async fn start_what_is_due(&mut self) {
        if self.agenda.next().is_none_or(|next| next > self.clock.now()) {
            return;
        }
        let served = served(self.runner.as_ref(), &self.job).await;
        let now = self.clock.now();
        self.agenda.note_served(&served, now);
        let busy: BTreeSet<_> = self.going.values().flat_map(|going| going.running.rules.iter().cloned()).collect();
        let taken = self.agenda.take(now, &busy);
        for skip in taken.skip {
            let (scheduled, why) = (skip.scheduled, skip.why.word());
            tracing::warn!(rule = skip.rule, %scheduled, why, "rule skipped");
            self.board.change(|state| state.skip(skip));
        }
        if !taken.start.is_empty() {
            self.start(taken.start, now);
        }
    }

    fn start(&mut self, starts: Vec<Start>, now: Timestamp) {
        let rules: Vec<_> = starts.iter().map(|start| start.rule.clone()).collect();
        let late = starts.iter().map(|start| now.duration_since(start.scheduled).as_secs()).max().unwrap_or(0);
        let attempt = starts.iter().map(|start| start.attempt).max().unwrap_or(0);
        tracing::info!(rules = rules.join(","), late, attempt, "scheduled run begins");
        let running = Arc::new(Running::new(rules, now));
        let (job, runner, stop) = (self.job.clone(), self.runner.clone(), self.stop.child_token());
        let task = {
            let running = running.clone();
            self.runs.spawn(async move { runner.run(job, running, now, stop).await })
        };
        self.board.change(|state| state.running.push(running.clone()));
        self.going.insert(task.id(), Going { starts, running });
    }

    fn note_end(&mut self, ended: Result<(Id, Ended), JoinError>) {
        let (id, ended) = match ended {
            Ok(ended) => ended,
            Err(error) => {
                tracing::error!(%error, "run broke down");
                (error.id(), Ended { outcome: Outcome::Unexpected, temporary: BTreeSet::new() })
            }
        };
        let Some(Going { starts, running }) = self.going.remove(&id) else { return };
        self.board.change(|state| state.running.retain(|other| !Arc::ptr_eq(other, &running)));
        let now = self.clock.now();
        tracing::info!(rules = running.rules.join(","), code = ended.outcome.code(), "scheduled run ended");
        for start in starts.iter().filter(|start| ended.temporary.contains(&start.rule)) {
            match self.agenda.try_again(start, now) {
                Some(at) => tracing::warn!(rule = start.rule, %at, "rule is tried again"),
                None => tracing::warn!(rule = start.rule, "rule waits for its next time: it would be too late"),
            }
        }
    }
}

/// Whoever does not know takes it that nobody was served: at worst a run finds nothing to do.
async fn served(runner: &dyn Runner, job: &Job) -> BTreeMap<String, Timestamp> {
    match tokio::time::timeout(PATIENCE, runner.served(job)).await {
        Ok(Ok(served)) => served,
        Ok(Err(error)) => {
            tracing::warn!(reason = %error, "the store does not tell when rules last ran");
            BTreeMap::new()
        }
        Err(_) => {
            tracing::warn!("the store does not tell in time when rules last ran");
            BTreeMap::new()
        }
    }
}

/// Whoever cannot write it down takes it that rules which never ran have missed nothing.
async fn take_schedules(
    runner: &dyn Runner,
    job: &Job,
    agenda: &Agenda,
    now: Timestamp,
) -> BTreeMap<String, Timestamp> {
    let schedules = agenda.schedules();
    match tokio::time::timeout(PATIENCE, runner.take_schedules(job, &schedules, now)).await {
        Ok(Ok(known)) => known,
        Ok(Err(error)) => {
            tracing::warn!(reason = %error, "the store does not take the schedules: a first run that is missed is not caught up");
            BTreeMap::new()
        }
        Err(_) => {
            tracing::warn!(
                "the store does not take the schedules in time: a first run that is missed is not caught up"
            );
            BTreeMap::new()
        }
    }
}

fn agenda(job: &Job, served: &BTreeMap<String, Timestamp>, now: Timestamp) -> Agenda {
    let rules = job.rules().map(|rule| {
        let database = job.settings.databases.get(&rule.table.database);
        let window = database.and_then(|database| database.pace.window).or(job.settings.pace.window);
        Entry { rule: &rule.id, schedule: rule.schedule.as_deref(), window }
    });
    Agenda::new(&job.settings, rules, served, now)
}

#[cfg(test)]
mod tests;
