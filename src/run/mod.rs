//! Executes a plan: the only part of Sunset that changes other people's data.
//!
//! First of all, what earlier runs left open is settled ([`recover`]). For each step: engage [`worker`]s, settle what those
//! have left whose numbers they got, have recipients delete their
//! copies ([`outward`]), work through the due rows chunk by chunk and batch by batch ([`walk`], [`chunk`], [`batch`],
//! [`book`]), count again ([`verify`]), write down what came of it. A failing step does not stop the others.

mod aggregate;
mod allowance;
mod batch;
mod book;
mod chunk;
mod contention;
mod forecast;
mod held;
mod holds;
mod k_anonymity;
mod keys;
mod locked;
mod maintenance;
mod mark;
mod members;
mod note;
mod outward;
mod pace;
mod partition;
mod perform;
mod quotas;
mod recover;
mod rehearsal;
mod report;
mod requests;
mod restored;
mod retentions;
mod schema;
mod step;
mod trial;
mod undone;
mod verify;
mod walk;
mod worker;

pub use forecast::{Behind, Forecast, Progress as RuleProgress};
pub use note::{add_plan, plan as note_plan};
pub use outward::Recipients;
pub use perform::{Performed, Request, check_present, holds_in, outcome_of, perform, planned_hold};
pub use report::{
    BACKLOG, GroupReport, KAnonymityReport, MaintenanceReport, MeasureReport, PartitionReport, RecipientReport,
    RuleReport, RunReport, Traces,
};
pub use requests::{RequestReport, are_carried_out, home_rows_in, planned_request, requests_in};
pub use restored::Returned;
pub use retentions::retentions;

use crate::{
    catalog::Engine,
    database::Error as DatabaseError,
    evidence::tag::TagKey,
    failpoint,
    job::Job,
    ledger::{self, AssertionResult, Event, Ledger, RuleResult},
    outcome::Outcome,
    plan::{OpenDatabase, Plan, Prepared, Unplanned},
    settings::WhenTimeIsUp,
};
use allowance::RunAllowance;
use holds::KnownHolds;
use jiff::Timestamp;
use pace::Pace;
use requests::Turn;
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

/// Hears how far a run is. Called between batches, never while a transaction is open.
pub trait Progress: Send + Sync {
    /// A rule begins, with this many rows to dispose of.
    fn begin(&self, rule: &str, rows: u64);
    /// So many more rows are done.
    fn advance(&self, rows: u64);
    /// The rule ended.
    fn end(&self);
    /// No batch begins, for this reason, and that for so long already. Called again and again.
    fn wait(&self, _reason: &str, _waited: Duration) {}
    /// The wait is over.
    fn go_on(&self) {}
}

/// Tells nobody.
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _rule: &str, _rows: u64) {}
    fn advance(&self, _rows: u64) {}
    fn end(&self) {}
}

/// Why a step ended early.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error(transparent)]
    Ledger(#[from] ledger::Error),
    /// Somebody asked the run to stop; work is left.
    #[error("interrupted; the rest waits for the next run")]
    Interrupted,
    /// No batch may begin any more; what is left is for the next run.
    #[error("{0}; the rest waits for the next run")]
    TimeIsUp(String),
    /// What has to be waited for takes too long.
    #[error("{0}; the rest waits for the next run")]
    Throttled(String),
    #[error("holds were added or released meanwhile; the next run honours them")]
    HoldsChanged,
    /// What the home row of a held person says, or the row itself.
    #[error(
        "what links the rows of a person under a hold was changed meanwhile; the next run tells what is to be done"
    )]
    PersonChanged,
    /// A request that the step answers, or what tells whose rows are theirs.
    #[error("{0}; the next run looks again")]
    RequestsChanged(String),
    /// The schema is not the one that was planned. The batch that met it was undone; others may have been committed since
    /// it was last looked at.
    #[error("the schema changed while the rule was at work: {what}; {}", schema_words(*unseen))]
    SchemaChanged { what: String, unseen: u64 },
    /// A guard rail, on counts taken when earlier steps had made more rows free to go.
    #[error("{0}")]
    Refused(String),
    #[error("another run is at this rule, which only one can be at")]
    Locked,
    /// Others have locked rows that are due, or what goes along with them.
    #[error("others have locked {rows} rows, or what goes along with them; they wait for the next run")]
    InTheWay { rows: u64 },
    /// Its settings, its holds or its day are others.
    #[error("another run is at this rule, with other settings, holds or another cut-off")]
    OtherWork,
    /// What several workers did together failed.
    #[error(transparent)]
    Shared(Arc<Failure>),
    /// A trigger or rule of the database keeps rows that were to go.
    #[error("{kept} of {chosen} rows did not change: a trigger or rule of the database keeps them")]
    Kept { kept: u64, chosen: u64 },
    /// A trigger changes what rules read of the very rows.
    #[error("trigger {triggers} changes `{column}`, which rules read, whenever a row changes: the batch was undone")]
    Touched { triggers: String, column: String },
    /// A trigger changes what rules read of rows that the rule leaves alone.
    #[error("{triggers} {what}: the first batch was undone; change the trigger, or take the rule away")]
    Reached { triggers: String, what: String },
    /// What the run did is undone at once, and would be each night.
    #[error("{rows} rows {what}: {by} undoes it; take that away or change it, or take the rule away")]
    Undone { rows: u64, what: String, by: String },
    /// Others let rows become due as fast as the run disposes of them.
    #[error("{left} rows became due while the run was at work; they wait for the next run")]
    Outpaced { left: u64 },
    /// Others keep changing the rows whose groups are too small.
    #[error("{left} rows of groups that are too small change while the run is at work; they wait for the next run")]
    Restless { left: u64 },
    /// A batch took more rows than it may.
    #[error("a batch would change {rows} rows, dependents included; batch_rows allows {most}")]
    TooLarge { rows: u64, most: u64 },
    /// The next batch would begin where this one did.
    #[error("the database does not order the table's keys in a way that a run can follow")]
    Stuck,
}

/// What may have gone that the plan did not know of.
fn schema_words(unseen: u64) -> String {
    match unseen {
        0 => "the next run plans with the new one".to_owned(),
        batches => format!(
            "batches committed since it was last looked at: {batches}; see whether anything went along that the plan did not \
             name, before the next run plans with the new one"
        ),
    }
}

impl Surroundings<'_> {
    /// Each batch on this database is rolled back.
    fn undoes(&self, database: &OpenDatabase) -> bool {
        self.rehearsal && database.catalog.engine != Engine::Sqlite
    }
}

impl Failure {
    /// There was work left to do, and no time.
    fn is_for_want_of_time(&self) -> bool {
        matches!(self, Self::TimeIsUp(_))
    }

    /// The database does not answer.
    fn is_unreachable(&self) -> bool {
        match self {
            Self::Database(error) => error.kind == crate::database::ErrorKind::Unreachable,
            Self::Shared(failure) => failure.is_unreachable(),
            _ => false,
        }
    }

    /// Somebody else has locked a row, or more.
    fn is_locked(&self) -> bool {
        matches!(self, Self::Database(error) if error.kind == crate::database::ErrorKind::Locked)
    }

    /// This batch, or a smaller one, may go through in a moment.
    fn is_worth_another_try(&self) -> bool {
        use crate::database::ErrorKind;
        match self {
            Self::Database(error) => {
                matches!(error.kind, ErrorKind::Transient | ErrorKind::Locked | ErrorKind::StatementTimeout)
            }
            // a row may have begun to wait for another between being chosen and being changed; a trigger stays
            Self::Kept { .. } => true,
            Self::Shared(failure) => failure.is_worth_another_try(),
            _ => false,
        }
    }

    /// The schema is not the one that was planned.
    fn is_of_the_schema(&self) -> bool {
        matches!(self, Self::SchemaChanged { .. })
    }

    /// Something in the database stood against a batch, which the plan may not know of.
    fn may_come_of_the_schema(&self) -> bool {
        match self {
            Self::Database(error) => error.kind != crate::database::ErrorKind::Unreachable,
            Self::Kept { .. }
            | Self::Touched { .. }
            | Self::Reached { .. }
            | Self::Undone { .. }
            | Self::Outpaced { .. }
            | Self::Stuck => true,
            Self::Shared(failure) => failure.may_come_of_the_schema(),
            _ => false,
        }
    }

    /// What it makes of the rule.
    fn result(&self) -> RuleResult {
        use crate::database::ErrorKind;
        match self {
            Self::Refused(_) => RuleResult::Refused,
            Self::SchemaChanged { unseen, .. } if *unseen > 0 => RuleResult::Refused,
            Self::TimeIsUp(_) => RuleResult::Backlog,
            Self::Interrupted
            | Self::Throttled(_)
            | Self::Outpaced { .. }
            | Self::Restless { .. }
            | Self::Locked
            | Self::InTheWay { .. }
            | Self::OtherWork
            | Self::HoldsChanged
            | Self::PersonChanged
            | Self::RequestsChanged(_)
            | Self::SchemaChanged { .. } => RuleResult::Temporary,
            Self::Shared(failure) => failure.result(),
            Self::Database(error) => match error.kind {
                ErrorKind::Transient
                | ErrorKind::Locked
                | ErrorKind::StatementTimeout
                | ErrorKind::Unreachable
                | ErrorKind::Full => RuleResult::Temporary,
                ErrorKind::Refused | ErrorKind::Privilege | ErrorKind::Constraint | ErrorKind::Other => {
                    RuleResult::Failed
                }
            },
            Self::Ledger(error) if error.outcome() == Outcome::Temporary => RuleResult::Temporary,
            Self::Ledger(_)
            | Self::Kept { .. }
            | Self::Touched { .. }
            | Self::Reached { .. }
            | Self::Undone { .. }
            | Self::TooLarge { .. }
            | Self::Stuck => RuleResult::Failed,
        }
    }
}

/// What every step of a run works with.
struct Surroundings<'a> {
    job: &'a Job,
    stop: &'a CancellationToken,
    progress: &'a dyn Progress,
    /// The holds that the plan knows.
    holds: KnownHolds<'a>,
    tag_key: TagKey,
    /// What the run takes for the present time.
    now: Timestamp,
    /// Its id.
    run: String,
    recipients: &'a Recipients,
    /// What the run may still change.
    allowance: RunAllowance,
    /// Nothing lasts: servers undo each batch.
    rehearsal: bool,
    /// How many workers a rule has in this process.
    workers: u16,
    pace: Pace<'a>,
}

/// Executes all steps of a plan, in their order.
///
/// # Errors
/// The ledger cannot be written. Whatever goes wrong with a rule alone is in the report.
#[expect(clippy::too_many_arguments, reason = "a run with all that it works with")]
async fn execute(
    job: &Job,
    prepared: &Prepared,
    group: Option<String>,
    allowance: RunAllowance,
    rehearsal: bool,
    recipients: &Recipients,
    ledger: &mut Ledger,
    stop: &CancellationToken,
    progress: &dyn Progress,
) -> anyhow::Result<RunReport> {
    let began = Instant::now();
    let plan = &prepared.plan;
    tracing::info!(run = ledger.run(), plan = plan.digest, steps = plan.steps.len(), "run started");
    ledger.append(vec![started(plan, group)], &[]).await?;
    let assertions = assertions(plan);
    if !assertions.is_empty() {
        ledger.append(assertions, &[]).await?;
    }

    for rule in &plan.gone_rules {
        tracing::warn!(rule, "the rule was in a run and is in no file any more: put it back, or add it to `retired`");
    }
    let holds = KnownHolds { mark: prepared.holds, persons: &prepared.persons, requests: None };
    let (tag_key, now, run) = (ledger.tag_key().clone(), plan.now, ledger.run().to_owned());
    let workers = job.settings.pace.workers;
    let pace = Pace::new(&job.settings, ledger.clock().clone(), prepared.began.into());
    let mut around =
        Surroundings { job, stop, progress, holds, tag_key, now, run, recipients, allowance, rehearsal, workers, pace };
    recover::settle_all(&around, prepared, ledger).await?;
    let (mut rules, mut polled, mut noted) = (Vec::new(), BTreeMap::new(), requests::Noted::default());
    for unplanned in &plan.unplanned {
        rules.extend(skip(ledger, unplanned).await?);
    }
    if plan.refusals.is_empty() {
        polled = outward::poll(&around, ledger).await?;
        outward::announce(&around, prepared, ledger).await?;
        requests::begin(&around, prepared, ledger).await?;
        let open = recover::open_rules(ledger).await?;
        for (step, ready) in plan.steps.iter().zip(&prepared.steps) {
            let is_open = open.contains(&step.rule);
            let database = prepared.databases.get(&step.database);
            let Some(database) = database else { continue };
            if let Some(first) = rules.iter().find(|rule| ready.behind.contains(&rule.rule) && !has_done_its_part(rule))
            {
                let report = wait_for(ledger, step, first).await?;
                rules.push(report);
                continue;
            }
            let report = match requests::turn(&around, prepared, (step, ready), (&rules, &mut noted), ledger).await? {
                Turn::AsPlanned => step::run(&around, step, ready, database, is_open, ledger).await?,
                Turn::Answers(ready, known) => {
                    around.holds.requests = Some(known);
                    let report = step::run(&around, step, &ready, database, is_open, ledger).await?;
                    around.holds.requests = None;
                    report
                }
                Turn::Later(why) => put_off(ledger, step, RuleResult::Temporary, why).await?,
            };
            rules.push(report);
        }
    } else {
        rules.extend(refuse_run(ledger, plan).await?);
    }

    let asked_for = requests::conclude(&around, prepared, (&rules, noted), ledger).await?;
    recipients.close().await;
    if job.settings.pace.when_time_is_up == WhenTimeIsUp::Fail {
        let late = rules.iter_mut().filter(|rule| rule.result == RuleResult::Backlog);
        late.for_each(|rule| rule.outcome = Outcome::Failed);
    }
    let asserted = plan.assertions.iter().map(|assertion| assertion.outcome);
    let asked = polled.values().map(RecipientReport::outcome_of_polls);
    let asked = asked.chain(asked_for.iter().map(RequestReport::outcome));
    let outcome = rules.iter().map(RuleReport::outcome).chain(asserted).chain(asked).max().unwrap_or_default();
    let disposed = rules.iter().map(|rule| rule.disposed).sum();
    let went = rules.iter().filter(|rule| rule.disposed > 0).filter_map(|rule| {
        let step = plan.steps.iter().find(|step| step.rule == rule.rule)?;
        let cleaned = rule.maintenance.as_ref().filter(|maintenance| maintenance.complete).map(|done| done.step);
        Some((rule.rule.as_str(), step.database.as_str(), plan.databases.get(&step.database)?, cleaned))
    });
    let traces = Traces::of(went);
    restored::note(&around, prepared, &rules, ledger).await?;
    let milliseconds = milliseconds(began);
    ledger.append(vec![Event::RunFinished { outcome, disposed, milliseconds }], &[]).await?;
    let progress: Vec<_> = rules.iter().map(RuleReport::progress).collect();
    let backlog = Forecast::of(&progress, &job.settings, (ledger.clock())());
    failpoint::reach("before_checkpoint");
    let checkpoint = ledger.checkpoint().await?;
    failpoint::reach("after_checkpoint");
    tracing::info!(run = ledger.run(), disposed, milliseconds, code = outcome.code(), "run finished");
    Ok(RunReport {
        run: ledger.run().to_owned(),
        plan_digest: plan.digest.clone(),
        now: plan.now,
        outcome,
        disposed,
        milliseconds,
        rules,
        assertions: plan.assertions.clone(),
        gone_rules: plan.gone_rules.clone(),
        polled,
        requests: asked_for,
        traces,
        backlog,
        group: None,
        checkpoint: checkpoint.note,
        anchored: Vec::new(),
        rehearsal: None,
    })
}

fn started(plan: &Plan, group: Option<String>) -> Event {
    Event::RunStarted {
        job: plan.job.clone(),
        version: plan.version.clone(),
        now: plan.now,
        time_zone: plan.time_zone.clone(),
        plan_digest: plan.digest.clone(),
        rules_digest: plan.rules_digest.clone(),
        rules: plan.steps.iter().map(|step| step.rule.clone()).collect(),
        databases: plan.databases.iter().map(|(name, facts)| (name.clone(), facts.version.clone())).collect(),
        group,
    }
}

/// What was found of the assertions. One that does not hold stops no rule, and somebody has to hear of it.
fn assertions(plan: &Plan) -> Vec<Event> {
    let checked = plan.assertions.iter().map(|checked| {
        let (assertion, result, found) = (checked.assertion.clone(), checked.result, checked.found.clone());
        if result != AssertionResult::Holds {
            tracing::error!(assertion, reason = found, "assertion {result}");
        }
        Event::AssertionChecked { assertion, result, found }
    });
    checked.collect()
}

/// Writes down rules that could not be planned.
async fn skip(ledger: &mut Ledger, unplanned: &Unplanned) -> anyhow::Result<Vec<RuleReport>> {
    let Unplanned { database, reason, outcome, .. } = unplanned;
    let mut reports = Vec::new();
    for rule in &unplanned.rules {
        tracing::error!(rule, database, reason, "rule cannot be planned");
        let result = if *outcome == Outcome::Temporary { RuleResult::Temporary } else { RuleResult::Failed };
        let mut report = RuleReport::new(rule, database, result);
        report.message = Some(reason.clone());
        report.outcome = *outcome;
        let failure = Event::Failure { rule: Some(rule.clone()), message: reason.clone() };
        let finished = Event::RuleFinished {
            rule: rule.clone(),
            result,
            disposed: 0,
            remaining: BTreeMap::new(),
            milliseconds: 0,
            waited: BTreeMap::new(),
        };
        ledger.append(vec![failure, finished], &[]).await?;
        reports.push(report);
    }
    Ok(reports)
}

/// Whatever is left of its rows stays for a reason.
fn has_done_its_part(rule: &RuleReport) -> bool {
    matches!(rule.result, RuleResult::Done | RuleResult::NothingDue | RuleResult::ExplainedRest)
}

/// Writes down a rule that would destroy what an earlier one still needs, which has not come to its end.
async fn wait_for(ledger: &mut Ledger, step: &crate::plan::Step, first: &RuleReport) -> anyhow::Result<RuleReport> {
    let message = format!("rule {} still needs what this one would change, and did not come to its end", first.rule);
    put_off(ledger, step, first.result, message).await
}

/// Writes down a rule that does nothing in this run.
async fn put_off(
    ledger: &mut Ledger,
    step: &crate::plan::Step,
    result: RuleResult,
    message: String,
) -> anyhow::Result<RuleReport> {
    tracing::error!(rule = step.rule, reason = message, "rule waits");
    let mut report = RuleReport::new(&step.rule, &step.database, result);
    report.table = Some(step.table.clone());
    report.counts = Some(step.counts.clone());
    report.message = Some(message.clone());
    report.remaining.insert(BACKLOG.to_owned(), step.counts.disposable());
    let failure = Event::Failure { rule: Some(step.rule.clone()), message };
    let finished = Event::RuleFinished {
        rule: step.rule.clone(),
        result,
        disposed: 0,
        remaining: report.remaining.clone(),
        milliseconds: 0,
        waited: BTreeMap::new(),
    };
    ledger.append(vec![failure, finished], &[]).await?;
    Ok(report)
}

/// The run's own guard rail: nothing is touched.
async fn refuse_run(ledger: &mut Ledger, plan: &Plan) -> anyhow::Result<Vec<RuleReport>> {
    let message = plan.refusals.join("; ");
    tracing::error!(reason = message, "run refused");
    let refusal = Event::Refusal { rule: None, reason_code: "run_limits".to_owned(), message: message.clone() };
    ledger.append(vec![refusal], &[]).await?;
    let report = |step: &crate::plan::Step| {
        let mut report = RuleReport::new(&step.rule, &step.database, RuleResult::Refused);
        report.table = Some(step.table.clone());
        report.message = Some(message.clone());
        report.counts = Some(step.counts.clone());
        report.remaining = verify::reasons(&step.counts);
        report.leave(step.counts.disposable());
        report.explain(&step.counts);
        report
    };
    Ok(plan.steps.iter().map(report).collect())
}

fn milliseconds(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
