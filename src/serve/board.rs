//! What the server knows about itself: written by the scheduler and by whoever reloads, read by pages and metrics.

use super::agenda::{Agenda, Skip, Why};
use crate::{job::Job, run::Progress};
use jiff::Timestamp;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

pub struct Board(Mutex<State>);

#[derive(Clone)]
pub struct State {
    /// The rules and settings in force.
    pub job: Arc<Job>,
    /// Since when.
    pub loaded_at: Timestamp,
    /// Why changed files are not in force.
    pub fault: Option<Fault>,
    /// By rule: its schedule, and when it comes next.
    pub next: BTreeMap<String, (String, Option<Timestamp>)>,
    pub running: Vec<Arc<Running>>,
    /// How often a rule did not begin although its time had come.
    pub skipped: BTreeMap<(String, Why), u64>,
    /// By rule, the newest of these.
    pub last_skips: BTreeMap<String, Skip>,
    /// Nothing new begins any more.
    pub draining: bool,
}

/// Files that changed and cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub since: Timestamp,
    /// Diagnostics, as `sunset validate` prints them.
    pub text: String,
}

/// A run that is going.
#[derive(Debug)]
pub struct Running {
    pub rules: Vec<String>,
    pub since: Timestamp,
    step: Mutex<Option<Step>>,
}

/// How far the rule at work is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub rule: String,
    pub rows: u64,
    pub done: u64,
}

impl Board {
    pub fn new(job: Arc<Job>, now: Timestamp) -> Self {
        Self(Mutex::new(State {
            job,
            loaded_at: now,
            fault: None,
            next: BTreeMap::new(),
            running: Vec::new(),
            skipped: BTreeMap::new(),
            last_skips: BTreeMap::new(),
            draining: false,
        }))
    }

    /// Everything as it is now.
    pub fn read(&self) -> State {
        self.state().clone()
    }

    pub fn change(&self, edit: impl FnOnce(&mut State)) {
        edit(&mut self.state());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // whoever panicked left nothing half done: every change is one assignment
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes over what the agenda says of the job's rules.
    pub fn show(&mut self, agenda: &Agenda) {
        let known = |rule: &str| Some((agenda.schedule_of(rule)?.to_owned(), agenda.next_of(rule)));
        let rules = self.job.rules().filter_map(|rule| Some((rule.id.clone(), known(&rule.id)?)));
        self.next = rules.collect();
    }

    pub fn skip(&mut self, skip: Skip) {
        *self.skipped.entry((skip.rule.clone(), skip.why)).or_default() += 1;
        self.last_skips.insert(skip.rule.clone(), skip);
    }
}

impl Running {
    pub fn new(rules: Vec<String>, since: Timestamp) -> Self {
        Self { rules, since, step: Mutex::new(None) }
    }

    pub fn step(&self) -> Option<Step> {
        self.current().clone()
    }

    fn current(&self) -> MutexGuard<'_, Option<Step>> {
        self.step.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress for Running {
    fn begin(&self, rule: &str, rows: u64) {
        *self.current() = Some(Step { rule: rule.to_owned(), rows, done: 0 });
    }

    fn advance(&self, rows: u64) {
        if let Some(step) = self.current().as_mut() {
            step.done += rows;
        }
    }

    fn end(&self) {
        *self.current() = None;
    }
}
