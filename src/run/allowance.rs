//! How many rows a run may still change. Limits and a reviewed plan bind the run itself, and not only what was counted
//! when it was planned: rows may have become due since, or have been made due by a rule before this one.

use super::Failure;
use crate::{
    ledger,
    plan::{self, Plan, Step},
    rules::Limits,
    store::Store,
};
use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

/// Stands for the whole run among the names of rules.
const RUN: &str = "";

/// What a run may change in all.
pub(super) struct RunAllowance {
    /// Of the whole run; dependents count.
    limits: Limits,
    /// Rows that were reviewed, by rule.
    reviewed: Option<BTreeMap<String, u64>>,
    /// Processes that share a night's work share its limits.
    group: Option<String>,
    /// Taken by this process, by rule.
    taken: Mutex<BTreeMap<String, u64>>,
}

/// What one rule may change.
#[derive(Clone, Copy)]
pub(super) struct Allowance<'a> {
    run: &'a RunAllowance,
    step: &'a Step,
}

impl RunAllowance {
    pub fn new(limits: Limits, reviewed: Option<&Plan>, group: Option<String>) -> Self {
        let of = |step: &Step| (step.rule.clone(), step.counts.disposable());
        let reviewed = reviewed.map(|plan| plan.steps.iter().map(of).collect());
        Self { limits, reviewed, group, taken: Mutex::default() }
    }

    pub fn of<'a>(&'a self, step: &'a Step) -> Allowance<'a> {
        Allowance { run: self, step }
    }

    /// Notes rows, and delivers how many there are of that name now.
    async fn add(&self, store: &mut Store, name: &str, rows: i64) -> Result<u64, ledger::Error> {
        match &self.group {
            Some(group) => Ok(store.take_rows(group, name, rows).await?),
            None => {
                let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
                let known = taken.entry(name.to_owned()).or_default();
                *known = known.saturating_add_signed(rows);
                Ok(*known)
            }
        }
    }
}

impl Allowance<'_> {
    /// Takes rows of the rule's own table, and `along` of others, for a batch that is about to be committed.
    ///
    /// # Errors
    /// [`Failure::Refused`] when that is more than the run may change; then nothing is taken.
    pub async fn take(&self, store: &mut Store, rows: u64, along: u64) -> Result<(), Failure> {
        let Self { run, step } = self;
        let mut refusals = Vec::new();
        let own = self.run.reviewed.is_some() || plan::binds(step);
        if own {
            let taken = run.add(store, &step.rule, signed(rows)).await?;
            refusals.extend(plan::over_limits(step, taken));
            let reviewed = run.reviewed.as_ref().map(|reviewed| reviewed.get(&step.rule).copied().unwrap_or(0));
            if let Some(reviewed) = reviewed.filter(|reviewed| taken > *reviewed) {
                refusals.push(format!("{taken} rows would have gone, {reviewed} were reviewed"));
            }
        }
        if run.limits.max_rows.is_some() {
            let taken = run.add(store, RUN, signed(rows + along)).await?;
            refusals.extend(plan::run_refusals(&run.limits, taken));
        }
        if refusals.is_empty() {
            return Ok(());
        }
        self.give_back(store, rows, along).await?;
        Err(Failure::Refused(format!("{}: the last batch was undone", refusals.join("; "))))
    }

    /// The batch was rolled back.
    pub async fn give_back(&self, store: &mut Store, rows: u64, along: u64) -> Result<(), Failure> {
        let Self { run, step } = self;
        if run.reviewed.is_some() || plan::binds(step) {
            run.add(store, &step.rule, -signed(rows)).await?;
        }
        if run.limits.max_rows.is_some() {
            run.add(store, RUN, -signed(rows + along)).await?;
        }
        Ok(())
    }
}

fn signed(rows: u64) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}
