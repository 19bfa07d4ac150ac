//! What the scheduler lets run.

use super::{board::Running, thread};
use crate::{
    job::Job,
    ledger::{Clock, RuleResult},
    outcome::Outcome,
    push::Targets,
    run::{self, Performed, Request, outcome_of},
    standing::Standing,
    store::{self, Store},
};
use async_trait::async_trait;
use jiff::Timestamp;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use tokio_util::sync::CancellationToken;

/// Runs rules. In production the real thing; in tests of the scheduler something that only takes time.
#[async_trait]
pub trait Runner: Send + Sync + 'static {
    /// When a run about each rule last began that came to an end, whoever ran it.
    async fn served(&self, job: &Job) -> Result<BTreeMap<String, Timestamp>, store::Error>;

    /// Remembers the schedules of rules, and since when each of them has been known.
    async fn take_schedules(
        &self,
        job: &Job,
        schedules: &BTreeMap<String, String>,
        now: Timestamp,
    ) -> Result<BTreeMap<String, Timestamp>, store::Error>;

    /// Runs these rules, at the time `now`. When `stop` is cancelled, it ends soon.
    async fn run(&self, job: Arc<Job>, running: Arc<Running>, now: Timestamp, stop: CancellationToken) -> Ended;
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    pub outcome: Outcome,
    /// Rules that another try may help.
    pub temporary: BTreeSet<String>,
}

/// Runs for real.
pub struct Disposer {
    /// Where the ledger takes its time from.
    pub clock: Clock,
    /// Who is told how the job stands, after each run.
    pub targets: Targets,
}

#[async_trait]
impl Runner for Disposer {
    async fn served(&self, job: &Job) -> Result<BTreeMap<String, Timestamp>, store::Error> {
        let mut store = match Store::open_existing(&job.settings.store).await {
            Err(store::Error::Absent(_)) => return Ok(BTreeMap::new()),
            opened => opened?,
        };
        let standing = Standing::read(&mut store).await;
        store.close().await?;
        Ok(standing?.rules.into_iter().filter_map(|(rule, standing)| Some((rule, standing.served_at?))).collect())
    }

    async fn take_schedules(
        &self,
        job: &Job,
        schedules: &BTreeMap<String, String>,
        now: Timestamp,
    ) -> Result<BTreeMap<String, Timestamp>, store::Error> {
        let mut store = Store::open(&job.settings.store).await?;
        let mut known = BTreeMap::new();
        let changed =
            Standing::change(&mut store, now, |standing| known = standing.take_schedules(schedules, now)).await;
        store.close().await?;
        changed.map(|()| known)
    }

    async fn run(&self, job: Arc<Job>, running: Arc<Running>, now: Timestamp, stop: CancellationToken) -> Ended {
        let rules = running.rules.clone();
        // whole seconds: plans and ledger entries show them in full
        let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
        let request = Request {
            rules,
            tags: Vec::new(),
            group: None,
            assertions: true,
            person: None,
            reviewed: None,
            now,
            clock: self.clock.clone(),
            rehearsal: false,
        };
        let performed = {
            let (job, running) = (job.clone(), running.clone());
            thread::on_its_own(move || async move { run::perform(&job, request, &stop, running.as_ref()).await }).await
        };
        let performed = performed.unwrap_or_else(|panic| Err(anyhow::Error::new(panic).context("the run broke down")));
        self.targets.push_standing(&job, (self.clock)()).await;
        let all = || running.rules.iter().cloned().collect();
        match performed {
            Ok(Performed::Report(report)) => {
                let temporary = report.rules.iter().filter(|rule| rule.result == RuleResult::Temporary);
                Ended { outcome: report.outcome, temporary: temporary.map(|rule| rule.rule.clone()).collect() }
            }
            Ok(Performed::Invalid(found)) => {
                for diagnostic in &found {
                    tracing::error!(code = diagnostic.code.as_str(), reason = diagnostic.message, "rules do not fit");
                }
                Ended { outcome: Outcome::Invalid, temporary: BTreeSet::new() }
            }
            Err(error) => {
                let outcome = outcome_of(&error);
                tracing::error!(reason = format!("{error:#}"), code = outcome.code(), "run failed");
                let temporary = if outcome == Outcome::Temporary { all() } else { BTreeSet::new() };
                Ended { outcome, temporary }
            }
        }
    }
}
