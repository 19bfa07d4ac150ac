//! One step: lock, recovery, batches, verification, and the words for what came of it.

use super::{
    Failure, RuleReport, Surroundings, batch::Batches, book::Book, milliseconds, outward, recover, verify, walk,
};
use crate::{
    catalog::Engine,
    database::{Connection, Dialect, LockGuard},
    ledger::{Event, Ledger, RuleResult},
    plan::{self, OpenDatabase, PreparedStep, Step},
    rules::Limits,
};
use std::{collections::BTreeMap, time::Instant};

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

    if !step.refusals.is_empty() {
        let message = step.refusals.join("; ");
        tracing::error!(rule = step.rule, reason = message, "rule refused");
        let refusal = Event::Refusal {
            rule: Some(step.rule.clone()),
            reason_code: "limits".to_owned(),
            message: message.clone(),
        };
        report.result = RuleResult::Refused;
        report.message = Some(message);
        ledger.append(vec![started(step), refusal, finished(&report)], &[]).await?;
        return Ok(report);
    }
    if step.counts.due == 0 && !is_open {
        // the plan's count is the verification: there was nothing to change since
        report.remaining = verify::reasons(&step.counts);
        report.result = if report.remaining.is_empty() { RuleResult::NothingDue } else { RuleResult::ExplainedRest };
        report.milliseconds = milliseconds(began);
        tracing::info!(rule = step.rule, "nothing due");
        ledger.append(vec![started(step), finished(&report)], &[]).await?;
        return Ok(report);
    }

    ledger.append(vec![started(step)], &[]).await?;
    tracing::info!(rule = step.rule, table = %step.table, due = step.counts.due, "rule started");
    around.progress.begin(&step.rule, step.counts.disposable());
    let ended = work(around, step, ready, database, ledger, &mut report).await;
    around.progress.end();
    let mut events = Vec::new();
    if let Err(failure) = ended {
        report.result = failure.result();
        if let Some(counts) = &mut report.counts {
            // nobody counted since: what is gone is known, and the oldest go first
            counts.due = counts.due.saturating_sub(report.disposed);
            counts.overdue = counts.overdue.map(|overdue| overdue.saturating_sub(report.disposed));
        }
        report.message = Some(failure.to_string());
        tracing::error!(rule = step.rule, reason = %failure, result = ?report.result, "rule ended early");
        let (rule, message) = (Some(step.rule.clone()), failure.to_string());
        events.push(match failure {
            Failure::Refused(_) => Event::Refusal { rule, reason_code: "limits".to_owned(), message },
            _ => Event::Failure { rule, message },
        });
    }
    report.milliseconds = milliseconds(began);
    events.push(finished(&report));
    ledger.append(events, &[]).await?;
    tracing::info!(rule = step.rule, disposed = report.disposed, result = ?report.result, "rule finished");
    Ok(report)
}

async fn work(
    around: &Surroundings<'_>,
    step: &Step,
    ready: &PreparedStep,
    database: &OpenDatabase,
    ledger: &mut Ledger,
    report: &mut RuleReport,
) -> Result<(), Failure> {
    let (mut connections, _locks) = connect(around, step, database).await?;
    let dialect = database.dialect;
    recover::settle(connections[0].as_mut(), dialect, step, &ready.work, ledger).await?;

    judge_again(connections[0].as_mut(), step, ready, dialect).await?;
    let batches = Batches::new(around, step, ready, dialect, connections[0].as_mut()).await?;
    if !batches.can_be_shared() {
        connections.truncate(1);
    }
    let book = Book::new(around, step, dialect, ledger);
    // A pass can leave rows that only then could go: kept for the sake of others that went, or due since a moment. Each
    // has to leave fewer than the one before, so that a writer who is faster than the run does not keep it for ever.
    let mut counts = step.counts.clone();
    let mut first = true;
    let mut waiting = outward::Waiting::default();
    loop {
        let (before, due) = (report.disposed, counts.due);
        let ended = match ready.work.recipients.is_empty() {
            true => walk::pass(around, &batches, &mut connections, &book, first).await,
            false => {
                let connection = connections[0].as_mut();
                let passed = outward::pass(around, step, &batches, connection, &book, &mut report.recipients).await;
                passed.map(|rows| waiting = rows)
            }
        };
        book.flush().await?;
        first = false;
        {
            let pages = book.pages().await;
            report.disposed = pages.disposed;
            report.dependents.clone_from(&pages.dependents);
            report.batches.clone_from(&pages.durations);
        }
        ended?;
        counts = verify::count(connections[0].as_mut(), dialect, &ready.work, &step.counts).await?;
        let (left, done) = (counts.disposable(), report.disposed - before);
        // who was asked and did not do it is not asked twice in a night
        if left == 0 || done == 0 || !ready.work.recipients.is_empty() {
            break;
        }
        if counts.due >= due {
            return Err(Failure::Outpaced { left });
        }
    }
    drop(book);
    let left = waiting.explain(counts.disposable());
    let verdict = waiting.judge(connections[0].as_mut(), dialect, &batches, &mut report.recipients).await?;
    for connection in connections {
        connection.close().await;
    }
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
    }
    Ok(())
}

/// Rows that waited for their dependents when the plan was made may be free to go by now, since the steps before this
/// one took the dependents: the limits are held against them too.
async fn judge_again(
    connection: &mut dyn Connection,
    step: &Step,
    ready: &PreparedStep,
    dialect: &dyn Dialect,
) -> Result<(), Failure> {
    if step.counts.waiting == 0 || step.limits == Limits::default() {
        return Ok(());
    }
    let counts = plan::tally(connection, dialect, &ready.work).await?;
    let counts = plan::Counts { table_rows: step.counts.table_rows, ..counts };
    match plan::refusals(&step.limits, &counts).as_slice() {
        [] => Ok(()),
        refusals => Err(Failure::Refused(refusals.join("; "))),
    }
}

/// The connections that change rows, each with a lock of its own: whoever holds all locks of a rule knows that every
/// session which worked on it is over. SQLite knows one writer at a time.
async fn connect(
    around: &Surroundings<'_>,
    step: &Step,
    database: &OpenDatabase,
) -> Result<(Vec<Box<dyn Connection>>, Vec<LockGuard>), Failure> {
    let number = if database.catalog.engine == Engine::Sqlite { 1 } else { 2 };
    let (mut connections, mut locks) = (Vec::new(), Vec::new());
    for index in 0..number {
        let mut connection = database.database.connect().await?;
        let name = format!("sunset/{}/{}/{index}", around.job.settings.name, step.rule);
        let lock = database.database.try_lock(connection.as_mut(), &name).await?;
        locks.push(lock.ok_or(Failure::Locked)?);
        connections.push(connection);
    }
    Ok((connections, locks))
}

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
    }
}
