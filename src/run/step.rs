//! One step: workers, recovery, passes, verification, and the words for what came of it.

use super::{
    Failure, RuleReport, Surroundings, aggregate,
    batch::Batches,
    book::Book,
    chunk::SharedPass,
    k_anonymity,
    locked::{self, SetAside},
    maintenance, milliseconds, outward, partition,
    report::BACKLOG,
    schema::SchemaWatch,
    trial::Trial,
    undone, verify,
    walk::{self, End},
    worker::Workers,
};
use crate::{
    catalog::TableName,
    ledger::{self, Event, Ledger, RuleResult},
    outcome::Outcome,
    plan::{self, OpenDatabase, PreparedStep, Step},
    rules::Limits,
};
use std::{
    collections::BTreeMap,
    sync::atomic::AtomicBool,
    time::{Duration, Instant},
};

/// Runs a step to its end; `is_open` when the ledger has batches of the rule that nobody has settled. Only a ledger that
/// cannot be written is an error here.
pub(super) async fn run(
    around: &Surroundings<'_>,
    step: &Step,
    ready: &PreparedStep,
    database: &OpenDatabase,
    is_open: bool,
    ledger: &mut Ledger,
) -> anyhow::Result<RuleReport> {
    let began = Instant::now();
    let mut report = RuleReport::new(&step.rule, &step.database, RuleResult::Done);
    report.table = Some(step.table.clone());
    report.counts = Some(step.counts.clone());
    report.held_by.clone_from(&step.held_by);
    report.starts = step.counts.starts;
    report.has_lost_starts = step.lost_starts > 0;

    if !step.refusals.is_empty() {
        let message = step.refusals.join("; ");
        tracing::error!(rule = step.rule, reason = message, "rule refused");
        let refusal = Event::Refusal {
            rule: Some(step.rule.clone()),
            reason_code: if step.lost_holds.is_empty() { "limits" } else { "holds" }.to_owned(),
            message: message.clone(),
        };
        report.result = RuleResult::Refused;
        report.message = Some(message);
        report.remaining = verify::reasons(&step.counts);
        match step.lost_holds.is_empty() {
            true => report.leave(step.counts.disposable()),
            false => report.hold_back(step.counts.disposable()),
        }
        report.explain(&step.counts);
        ledger.append(vec![started(step), refusal, finished(&report)], &[]).await?;
        return Ok(report);
    }
    let is_gate_open = step.k_anonymity.as_ref().is_some_and(plan::PlannedKAnonymity::is_open);
    if step.counts.due == 0 && !is_open && !ready.set_aside && !is_gate_open {
        // the plan's count is the verification: there was nothing to change since
        report.remaining = verify::reasons(&step.counts);
        report.result = if report.remaining.is_empty() { RuleResult::NothingDue } else { RuleResult::ExplainedRest };
        let lost = lost_starts(step, &mut report);
        tracing::info!(rule = step.rule, "nothing due");
        let mut events = vec![started(step)];
        events.extend(k_anonymity::stands(step, &mut report));
        events.extend(lost);
        if ready.rule.after.is_some() {
            // an earlier run may have left it undone
            ledger.append(std::mem::take(&mut events), &[]).await?;
            clean_up(around, step, ready, database, &[], ledger, &mut report).await?;
        }
        report.milliseconds = milliseconds(began);
        events.push(finished(&report));
        ledger.append(events, &[]).await?;
        k_anonymity::note(around, ready, &report, ledger).await?;
        return Ok(report);
    }

    ledger.append(vec![started(step)], &[]).await?;
    tracing::info!(rule = step.rule, table = %step.table, due = step.counts.due, "rule started");
    around.progress.begin(&step.rule, step.counts.disposable());
    let mut gone = Vec::new();
    let schema = SchemaWatch::new(&ready.schema, database);
    let mut ended = work(around, step, ready, &schema, ledger, &mut report, &mut gone).await;
    if let Err(failure) = &ended
        && failure.may_come_of_the_schema()
        && let Err(changed @ Failure::SchemaChanged { .. }) = schema.look_once_more().await
    {
        // what the plan did not know of tells more than what it did
        tracing::warn!(rule = step.rule, reason = %failure, "the schema has changed under a batch that failed");
        ended = Err(changed);
    }
    schema.close().await;
    if ended.is_ok() {
        ended = clean_up(around, step, ready, database, &gone, ledger, &mut report).await.map_err(Failure::from);
    }
    around.progress.end();
    let mut events = Vec::new();
    if let Err(failure) = ended {
        let result = failure.result();
        // under whatever result, rows that a changed schema left are for a later run
        report.result = if failure.is_of_the_schema() { RuleResult::Temporary } else { result };
        count_left(around, step, ready, database, &failure, &mut report).await;
        report.result = result;
        let message = match &failure {
            Failure::Kept { .. } => format!("{failure} ({})", undone::triggers(step, ready, database)),
            _ => failure.to_string(),
        };
        report.message = Some(message.clone());
        let rule = Some(step.rule.clone());
        if failure.is_for_want_of_time() {
            tracing::warn!(rule, reason = message, "rule ended with work left");
        } else {
            tracing::error!(rule, reason = message, result = ?report.result, "rule ended early");
            events.push(match failure {
                Failure::Refused(_) => Event::Refusal { rule, reason_code: "limits".to_owned(), message },
                Failure::SchemaChanged { unseen, .. } if unseen > 0 => {
                    Event::Refusal { rule, reason_code: "schema".to_owned(), message }
                }
                _ => Event::Failure { rule, message },
            });
        }
    }
    report.explain(&step.counts);
    events.extend(lost_starts(step, &mut report));
    report.milliseconds = milliseconds(began);
    events.push(finished(&report));
    ledger.append(events, &[]).await?;
    tracing::info!(rule = step.rule, disposed = report.disposed, result = ?report.result, "rule finished");
    Ok(report)
}

/// Rows that have lost their starting points would stay for ever: whatever else went well, a person has to look.
fn lost_starts(step: &Step, report: &mut RuleReport) -> Option<Event> {
    if step.lost_starts == 0 {
        return None;
    }
    let message = plan::lost_words(step.lost_starts);
    tracing::error!(rule = step.rule, rows = step.lost_starts, "rows have lost their starting points");
    if matches!(report.result, RuleResult::Done | RuleResult::NothingDue | RuleResult::ExplainedRest) {
        report.result = RuleResult::Failed;
    }
    report.outcome = report.outcome.max(Outcome::Failed);
    report.add_message(message.clone());
    Some(Event::Failure { rule: Some(step.rule.clone()), message })
}

/// What is left after a failure is counted like what is left after the work, where that is possible; else it is what the
/// plan counted without what went.
async fn count_left(
    around: &Surroundings<'_>,
    step: &Step,
    ready: &PreparedStep,
    database: &OpenDatabase,
    failure: &Failure,
    report: &mut RuleReport,
) {
    if report.k_anonymity.is_some() || report.remaining.contains_key(BACKLOG) {
        // that was counted when the rows had gone
        return;
    }
    let counted = match failure.is_unreachable() || around.stop.is_cancelled() || around.undoes(database) {
        true => None,
        false => verify::count(database, &ready.work, &step.counts).await.ok(),
    };
    let counts = counted.unwrap_or_else(|| {
        let due = step.counts.due.saturating_sub(report.disposed);
        // the oldest go first
        let overdue = step.counts.overdue.map(|overdue| overdue.saturating_sub(report.disposed));
        plan::Counts { due, overdue, ..step.counts.clone() }
    });
    report.remaining = verify::reasons(&counts);
    report.leave(counts.disposable());
    report.counts = Some(counts);
}

async fn work(
    around: &Surroundings<'_>,
    step: &Step,
    ready: &PreparedStep,
    schema: &SchemaWatch<'_>,
    ledger: &mut Ledger,
    report: &mut RuleReport,
    gone: &mut Vec<TableName>,
) -> Result<(), Failure> {
    let database = schema.database;
    let mut workers = Workers::new(around, step, ready, database).await?;
    let dialect = database.dialect;
    workers.succeed(ledger).await?;
    schema.look_at_all(workers.first()).await?;

    judge_again(database, step, ready).await?;
    maintenance::owe(step, ready, database, ledger).await?;
    k_anonymity::reopen(ready, ledger).await?;
    let pace = around.pace.of(step, &ready.work, around.stop, around.progress);
    let passed = partition::pass(around, step, ready, &pace, &mut workers.all, ledger, schema).await;
    let (partitions, ended) = passed;
    report.disposed = partitions.rows();
    report.partitions.clone_from(&partitions.went);
    report.waited = pace.waited();
    gone.clone_from(&partitions.gone);
    report.partitions_by_rows.extend(partitions.stayed.iter().cloned());
    ended?;
    let (step, ready) = (&partitions.rest_of(step), &partitions.rest_of_work(ready));
    let mut batches = Batches::new(around, step, ready, dialect);
    let mut book = Book::new(around, step, &ready.work, pace, schema, ledger, partitions.batches);
    if let Some(trial) = Trial::of(step, ready, &batches, schema) {
        walk::wait(&mut workers.all, &book, &mut book.pace.turns(), &AtomicBool::new(false)).await?;
        trial.run(around).await?;
    }
    // A pass can leave rows that only then could go: kept for the sake of others that went, or due since a moment. Each
    // has to leave fewer than the one before, so that a writer who is faster than the run does not keep it for ever.
    let mut counts = step.counts.clone();
    let (mut first, mut was_idle) = (true, false);
    let mut waiting = outward::Waiting::default();
    loop {
        // all that there was to do may have gone with its partitions: that is counted, and nothing walked through
        if counts.disposable() == 0 && partitions.rows() > 0 {
            counts = verify::count(database, &ready.work, &step.counts).await?;
            if counts.disposable() == 0 {
                break;
            }
        }
        // nothing was due: the groups of what was done before are the work
        if step.counts.due == 0 && ready.gate.is_some() {
            break;
        }
        let due = counts.due;
        let surveyed = aggregate::survey(around, step, ready, database, &mut workers, &mut book).await;
        if let (Ok(Some(groups)), None) = (&surveyed, &report.aggregate) {
            let planned = step.aggregate.clone();
            report.aggregate = planned.map(|planned| plan::PlannedAggregate { groups: *groups, ..planned });
        }
        let ended = match surveyed {
            Err(failure) => Err(failure),
            Ok(_) if ready.work.recipients.is_empty() => {
                share(around, &mut batches, &mut workers, &mut book, first).await
            }
            Ok(_) => {
                let worker = &mut workers.all[0];
                let passed =
                    outward::pass(around, step, &batches, worker, &book, dialect, &mut report.recipients).await;
                // who was asked and did not do it is not asked twice in a night
                passed.map(|rows| waiting = rows).map(|()| Passed::LAST)
            }
        };
        book.flush().await?;
        first = false;
        {
            let pages = book.pages().await;
            report.disposed = partitions.rows() + pages.disposed;
            report.dependents.clone_from(&pages.dependents);
            report.batches.clone_from(&pages.durations);
            report.waited = book.pace.waited();
        }
        if around.undoes(database) {
            if let rows @ 1.. = ended?.in_the_way {
                return Err(Failure::InTheWay { rows });
            }
            // the rows are there again: a count would find them
            counts.due = counts.held + counts.waiting;
            break;
        }
        // all may be done all the same, by this process or by others
        let (passed, late) = match ended {
            Err(failure) if failure.is_for_want_of_time() && (report.disposed > 0 || step.counts.disposable() == 0) => {
                (Passed::LAST, Some(failure))
            }
            ended => (ended?, None),
        };
        let counted = verify::count(database, &ready.work, &step.counts).await;
        counts = match (late, counted) {
            (None, counted) => counted?,
            (Some(_), Ok(counts)) if counts.disposable() == 0 => counts,
            (Some(failure), counted) => {
                if let Ok(counts) = counted {
                    report.remaining.insert(BACKLOG.to_owned(), counts.disposable());
                    report.counts = Some(counts);
                }
                return Err(failure);
            }
        };
        let left = counts.disposable();
        if left > 0 && passed.in_the_way > 0 && (passed.in_the_way >= left || passed.is_idle && was_idle) {
            return Err(Failure::InTheWay { rows: left });
        }
        if left == 0 || passed.is_last || passed.is_idle && was_idle {
            break;
        }
        was_idle = passed.is_idle;
        if was_idle {
            // what became due behind the pass is there for the next one
            continue;
        }
        if counts.due >= due && passed.is_whole {
            let undone = undone::tried(step, ready, &batches, database).await;
            return Err(undone.unwrap_or(match passed.in_the_way {
                0 => Failure::Outpaced { left },
                rows => Failure::InTheWay { rows },
            }));
        }
    }
    let announced = book.announced().await;
    drop(book);
    // what was counted was counted under the schema that was planned
    schema.look_at_all(workers.first()).await?;
    let left = waiting.explain(counts.disposable());
    let verdict = waiting.judge(&batches, &mut report.recipients);
    report.remaining = verify::reasons(&counts);
    report.remaining.extend(waiting.reasons());
    report.counts = Some(counts);
    report.result = match (left, report.remaining.is_empty()) {
        _ if verdict.failed => RuleResult::Failed,
        _ if verdict.temporary => RuleResult::Temporary,
        (0, true) => RuleResult::Done,
        (0, false) => RuleResult::ExplainedRest,
        _ => RuleResult::Failed,
    };
    report.message = (!verdict.words.is_empty()).then(|| verdict.words.join("; "));
    let verification = Event::Verification {
        rule: step.rule.clone(),
        remaining_due: left,
        explained: report.remaining.clone(),
        ok: left == 0,
    };
    ledger.append(vec![verification], &[]).await?;
    if left > 0 {
        report.remaining.insert("unexplained".to_owned(), left);
        report.message = Some(format!("{left} rows are still due and nothing explains them"));
    } else {
        k_anonymity::keep(around, step, ready, schema, &mut workers, announced, ledger, report).await?;
    }
    workers.close().await;
    Ok(())
}

/// Cleans up after the rows, where the rule asks for it.
async fn clean_up(
    around: &Surroundings<'_>,
    step: &Step,
    ready: &PreparedStep,
    database: &OpenDatabase,
    gone: &[TableName],
    ledger: &mut Ledger,
    report: &mut RuleReport,
) -> Result<(), ledger::Error> {
    if let Some((done, outcome)) = maintenance::perform(around, step, ready, database, gone, ledger).await? {
        report.maintenance = Some(done);
        report.outcome = report.outcome.max(outcome);
    }
    Ok(())
}

/// Rows that waited for their dependents when the plan was made may be free to go by now, since the steps before this
/// one took the dependents: the limits are held against them too.
async fn judge_again(database: &OpenDatabase, step: &Step, ready: &PreparedStep) -> Result<(), Failure> {
    if step.counts.waiting == 0 || step.limits == Limits::default() {
        return Ok(());
    }
    let counts = verify::count(database, &ready.work, &step.counts).await?;
    let counts = plan::Counts { table_rows: step.counts.table_rows, ..counts };
    match plan::refusals(&step.limits, &counts).as_slice() {
        [] => Ok(()),
        refusals => Err(Failure::Refused(refusals.join("; "))),
    }
}

/// What a pass came to.
struct Passed {
    /// Another one would find nothing more to do.
    is_last: bool,
    /// It disposed of nothing.
    is_idle: bool,
    /// It saw the table from its beginning; what others had begun before did not.
    is_whole: bool,
    /// Rows that others have locked, with what goes along, since they were first tried.
    in_the_way: u64,
}

impl Passed {
    const LAST: Self = Self { is_last: true, is_idle: false, is_whole: true, in_the_way: 0 };
}

/// One pass, shared with whoever is at the same work. Ends when the whole pass is over.
async fn share(
    around: &Surroundings<'_>,
    batches: &mut Batches<'_>,
    workers: &mut Workers<'_>,
    book: &mut Book<'_>,
    first: bool,
) -> Result<Passed, Failure> {
    let shared = match SharedPass::join(around, batches, workers, book, first).await? {
        Ok(shared) => shared,
        Err(others) => {
            workers.bury(book.ledger(), &others).await?;
            let joined = SharedPass::join(around, batches, workers, book, first).await?;
            joined.map_err(|_| Failure::OtherWork)?
        }
    };
    workers.look_for_others().await?;
    let aside = SetAside::default();
    loop {
        locked::hurry(batches, &mut workers.all, book, true).await?;
        let passed = walk::pass(batches, &mut workers.all, book, &shared, &aside).await;
        let (mut in_the_way, mut again) = (0, 0);
        let passed = match passed {
            Ok(End::Over(disposed)) => {
                let before = book.pages().await.disposed;
                let tried = aside.again(batches, book, &mut workers.all[0]).await;
                again = book.pages().await.disposed - before;
                tried.map(|rows| in_the_way = rows).map(|()| End::Over(disposed))
            }
            passed => passed,
        };
        // the first failure tells more
        let slowed = locked::hurry(batches, &mut workers.all, book, false).await;
        match passed.and_then(|end| slowed.map(|()| end))? {
            End::Over(disposed) => {
                let is_whole = shared.is_fresh();
                let disposed = disposed + again;
                return Ok(Passed { is_last: false, is_idle: is_whole && disposed == 0, is_whole, in_the_way });
            }
            End::Others(others) => {
                book.flush().await?;
                workers.bury(book.ledger(), &others).await?;
                walk::wait(&mut workers.all, book, &mut book.pace.turns(), &AtomicBool::new(false)).await?;
                tokio::select! {
                    () = around.stop.cancelled() => return Err(Failure::Interrupted),
                    () = tokio::time::sleep(WAIT) => {}
                }
            }
        }
    }
}

/// How long to wait for workers of other processes, before asking again whether they are through or dead.
const WAIT: Duration = Duration::from_millis(200);

fn started(step: &Step) -> Event {
    Event::RuleStarted {
        rule: step.rule.clone(),
        category: step.category.clone(),
        table: step.full_table(),
        disposition: step.disposition.to_string(),
        cut_off: step.cut_off.words.clone(),
        due: step.counts.due,
        overdue: step.counts.overdue,
        held: step.counts.held,
        waiting: step.counts.waiting,
        without_starting_point: step.counts.without_starting_point.unwrap_or(0),
        purpose: step.purpose.clone().unwrap_or_default(),
        legal_basis: step.legal_basis.clone().unwrap_or_default(),
        techniques: step.techniques.clone(),
    }
}

fn finished(report: &RuleReport) -> Event {
    Event::RuleFinished {
        rule: report.rule.clone(),
        result: report.result,
        disposed: report.disposed,
        remaining: report.remaining.clone().into_iter().collect::<BTreeMap<_, _>>(),
        milliseconds: report.milliseconds,
        waited: report.waited.clone(),
    }
}
