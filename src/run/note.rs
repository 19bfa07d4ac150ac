//! Notes in the store how the job stands after a run or a plan, for metrics and pages.

use super::{GroupReport, KAnonymityReport, RuleReport, RunReport};
use crate::{
    ledger::{self, RuleResult, committed::committed},
    outcome::Outcome,
    plan::{CheckedAssertion, Counts, Plan, Prepared, PreparedStep, Starts, row::overdue_since},
    rules::{Disposition, id_in_file},
    settings::Settings,
    standing::{
        AssertionStanding, Counted, Group, LastRun, Process, RecipientStanding, RuleStanding, RunStanding, Share,
        Standing, Waiting,
    },
    store::{self, Store},
};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// No message is kept longer, in characters.
const LONGEST_MESSAGE: usize = 500;

/// When a run took place, by the clock that its ledger has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    pub started_at: Timestamp,
    pub ended_at: Timestamp,
}

/// The group that a process says it belongs to, with itself in it.
fn group(together: Option<Together>, run: &str, outcome: Outcome, rules: &[RuleReport]) -> Option<Group> {
    let Together { name, unreported } = together?;
    let share = |rule: &RuleReport| (rule.rule.clone(), Share { outcome: rule.outcome(), disposed: rule.disposed });
    let process = Process { outcome, rules: rules.iter().map(share).collect() };
    Some(Group { name, processes: [(run.to_owned(), process)].into(), unreported })
}

/// The group of a run, with what others of it have done and not reported.
pub(super) struct Together {
    name: String,
    unreported: BTreeMap<String, BTreeMap<String, u64>>,
}

impl Together {
    /// `own` is a run that comes to a report of its own.
    pub(super) async fn of(store: &mut Store, name: String, own: Option<&str>) -> Result<Self, ledger::Error> {
        let standing = Standing::read(store).await?;
        let known = standing.group(&name).and_then(|run| run.group.as_ref());
        let runs = store.grouped_runs(&name).await?.into_iter();
        let is_reported = |run: &str| own == Some(run) || known.is_some_and(|group| group.is_reported(run));
        let runs = runs.filter(|(run, _)| !is_reported(run)).collect();
        let unreported = committed(store, &runs).await?;
        Ok(Self { name, unreported })
    }
}

/// Notes a run that came to a report.
pub(super) async fn run(
    store: &mut Store,
    settings: &Settings,
    steps: &[PreparedStep],
    report: &mut RunReport,
    together: Option<Together>,
    times: Times,
) -> Result<(), store::Error> {
    let group = group(together, &report.run, report.outcome, &report.rules);
    let name = group.as_ref().map(|group| group.name.clone());
    let mut summary = None;
    let edit = |standing: &mut Standing| {
        note_assertions(standing, &report.assertions, times.ended_at);
        for rule in &report.rules {
            let ready = steps.iter().find(|ready| ready.rule.id == rule.rule);
            // how a rule stands is told of its days; requests are told of by themselves
            if id_in_file(&rule.rule) == rule.rule {
                let known = standing.rules.entry(rule.rule.clone()).or_default();
                note_rule(known, settings, ready, rule, &report.run, times);
                note_starts(known, report, rule);
            } else if let Some(ready) = ready {
                let known = standing.rules.entry(id_in_file(&rule.rule).to_owned()).or_default();
                *known.disposed.entry(ready.rule.disposition.to_string()).or_default() += rule.disposed;
            }
            standing.batches.entry(rule.database.clone()).or_default().merge(&rule.batches);
            for waiting in standing.recipients.values_mut() {
                waiting.waiting.remove(&rule.rule);
            }
            for (name, asked) in &rule.recipients {
                let recipient = standing.recipients.entry(name.clone()).or_default();
                add_calls(recipient, &asked.answers);
                let waiting = Waiting { rows: asked.waiting, past_deadline: asked.past_deadline };
                if waiting != Waiting::default() {
                    recipient.waiting.insert(rule.rule.clone(), waiting);
                }
            }
        }
        for (name, asked) in &report.polled {
            add_calls(standing.recipients.entry(name.clone()).or_default(), &asked.answers);
        }
        let run = RunStanding {
            run: report.run.clone(),
            started_at: times.started_at,
            ended_at: times.ended_at,
            outcome: report.outcome,
            disposed: report.disposed,
            rules: report.rules.len() as u64,
            message: None,
            group,
        };
        standing.add_run(run);
        summary = name.and_then(|name| standing.group(&name)).and_then(GroupReport::of);
    };
    Standing::change(store, times.ended_at, edit).await?;
    report.group = summary;
    Ok(())
}

/// Notes a run that came to no report.
pub(super) async fn failure(
    store: &mut Store,
    run: &str,
    together: Option<Together>,
    rules: usize,
    outcome: Outcome,
    message: String,
    times: Times,
) -> Result<(), store::Error> {
    let run = RunStanding {
        run: run.to_owned(),
        started_at: times.started_at,
        ended_at: times.ended_at,
        outcome,
        disposed: 0,
        rules: rules as u64,
        message: Some(shortened(message)),
        group: group(together, run, outcome, &[]),
    };
    Standing::change(store, times.ended_at, |standing| standing.add_run(run)).await
}

/// Notes what a plan counted.
///
/// # Errors
/// The store cannot be written.
pub async fn plan(store: &mut Store, settings: &Settings, prepared: &Prepared) -> Result<(), store::Error> {
    Standing::change(store, prepared.plan.now, |standing| add_plan(standing, settings, prepared)).await
}

/// Adds what a plan counted.
pub fn add_plan(standing: &mut Standing, settings: &Settings, prepared: &Prepared) {
    let Plan { steps, now, refusals, assertions, .. } = &prepared.plan;
    note_assertions(standing, assertions, *now);
    for (step, ready) in steps.iter().zip(&prepared.steps).filter(|(step, _)| id_in_file(&step.rule) == step.rule) {
        let refused = !step.refusals.is_empty() || !refusals.is_empty();
        let known = standing.rules.entry(step.rule.clone()).or_default();
        known.counted = Some(counted(settings, ready, &step.counts, refused, *now));
    }
}

fn note_assertions(standing: &mut Standing, checked: &[CheckedAssertion], at: Timestamp) {
    for CheckedAssertion { assertion, result, found, .. } in checked {
        let known = AssertionStanding { at, result: *result, found: shortened(found.clone()) };
        standing.assertions.insert(assertion.clone(), known);
    }
}

fn note_rule(
    known: &mut RuleStanding,
    settings: &Settings,
    ready: Option<&PreparedStep>,
    report: &RuleReport,
    run: &str,
    times: Times,
) {
    let (result, started_at) = (report.result, times.started_at);
    match result {
        RuleResult::Done | RuleResult::NothingDue | RuleResult::ExplainedRest => {
            known.succeeded_at = Some(times.ended_at);
        }
        RuleResult::Refused | RuleResult::Failed | RuleResult::Temporary => {
            *known.failures.entry(result).or_default() += 1;
        }
        // neither: nothing went wrong, and not all is done
        RuleResult::Backlog => {}
    }
    if result != RuleResult::Temporary {
        known.served_at = Some(started_at);
    }
    if let Some(ready) = ready {
        let erased = report.k_anonymity.as_ref().map_or(0, KAnonymityReport::erased);
        *known.disposed.entry(ready.rule.disposition.to_string()).or_default() += report.disposed - erased;
        if erased > 0 {
            *known.disposed.entry(Disposition::Erase.to_string()).or_default() += erased;
        }
        if let Some(counts) = &report.counts {
            let refused = result == RuleResult::Refused;
            known.counted = Some(counted(settings, ready, counts, refused, times.ended_at));
        }
    }
    known.last = Some(LastRun {
        run: run.to_owned(),
        started_at,
        result,
        disposed: report.disposed,
        message: report.message.clone().map(shortened),
    });
}

/// What the next run compares with. A rule that has lost starting points is judged by what was before, until somebody has
/// allowed it.
fn note_starts(known: &mut RuleStanding, report: &RunReport, rule: &RuleReport) {
    let Some(now) = rule.starts else { return };
    let Some(table) = rule.table.as_ref().map(|table| format!("{}.{table}", rule.database)) else { return };
    // rows of the table that went, under whatever rule: at least so many fewer are there now
    let same = |other: &&RuleReport| other.database == rule.database && other.table == rule.table;
    let own: u64 = report.rules.iter().filter(same).map(|other| other.disposed).sum();
    let along: u64 = report.rules.iter().filter_map(|other| other.dependents.get(&table)).sum();
    let gone = own + along;
    known.starts = match known.starts {
        Some(then) if rule.has_lost_starts => Some(Starts { with: then.with.saturating_sub(gone), ..then }),
        _ => Some(Starts { with: now.with.saturating_sub(gone), ..now }),
    };
}

fn counted(settings: &Settings, ready: &PreparedStep, counts: &Counts, refused: bool, at: Timestamp) -> Counted {
    let overdue = counts.overdue.map(|overdue| overdue.saturating_sub(counts.overdue_held));
    let since = |point: &String| overdue_since(settings, &ready.rule, ready.work.point.kind, point);
    Counted {
        at,
        due: counts.due.saturating_sub(counts.held),
        overdue,
        held: counts.held,
        refused: if refused { counts.disposable() } else { 0 },
        overdue_since: counts.oldest_overdue.as_ref().filter(|_| overdue > Some(0)).and_then(since),
    }
}

/// What a recipient holds nothing of is no call.
fn add_calls(recipient: &mut RecipientStanding, answers: &std::collections::BTreeMap<String, u64>) {
    for (answer, persons) in answers.iter().filter(|(answer, _)| *answer != "nothing_held") {
        *recipient.calls.entry(answer.clone()).or_default() += persons;
    }
}

fn shortened(message: String) -> String {
    match message.char_indices().nth(LONGEST_MESSAGE) {
        Some((end, _)) => format!("{} …", &message[..end]),
        None => message,
    }
}
