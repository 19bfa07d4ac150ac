//! One step: lock, recovery, batches, verification, and the words for what came of it.

use super::{Failure, Progress, RuleReport, batch::Worker, milliseconds, recover, verify};
use crate::{
    job::Job,
    ledger::{Event, Intent, Ledger, RuleResult},
    plan::{OpenDatabase, PreparedStep, Step},
};
use std::{collections::BTreeMap, time::Instant};
use tokio_util::sync::CancellationToken;

/// Runs a step to its end. Only a ledger that cannot be written is an error here.
#[expect(clippy::too_many_arguments, reason = "the whole surroundings of a step")]
pub(super) async fn run(
    job: &Job,
    step: &Step,
    ready: &PreparedStep,
    database: &OpenDatabase,
    open: Vec<(u64, Intent)>,
    ledger: &mut Ledger,
    stop: &CancellationToken,
    progress: &dyn Progress,
    holds: (u64, u64),
) -> anyhow::Result<RuleReport> {
    let began = Instant::now();
    let mut report = RuleReport::new(&step.rule, &step.database, RuleResult::Done);
    report.table = Some(step.table.clone());

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
    if step.counts.due == 0 && open.is_empty() {
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
    progress.begin(&step.rule, step.counts.disposable());
    let ended = work(job, step, ready, database, open, ledger, stop, progress, holds, &mut report).await;
    progress.end();
    let mut events = Vec::new();
    if let Err(failure) = ended {
        report.result = failure.result();
        report.message = Some(failure.to_string());
        tracing::error!(rule = step.rule, reason = %failure, result = ?report.result, "rule ended early");
        events.push(Event::Failure { rule: Some(step.rule.clone()), message: failure.to_string() });
    }
    report.milliseconds = milliseconds(began);
    events.push(finished(&report));
    ledger.append(events, &[]).await?;
    tracing::info!(rule = step.rule, disposed = report.disposed, result = ?report.result, "rule finished");
    Ok(report)
}

#[expect(clippy::too_many_arguments, reason = "the whole surroundings of a step")]
async fn work(
    job: &Job,
    step: &Step,
    ready: &PreparedStep,
    database: &OpenDatabase,
    open: Vec<(u64, Intent)>,
    ledger: &mut Ledger,
    stop: &CancellationToken,
    progress: &dyn Progress,
    holds: (u64, u64),
    report: &mut RuleReport,
) -> Result<(), Failure> {
    let mut connection = database.database.connect().await?;
    let name = format!("sunset/{}/{}", job.settings.name, step.rule);
    let Some(_lock) = database.database.try_lock(connection.as_mut(), &name).await? else {
        return Err(Failure::Locked);
    };
    recover::settle(connection.as_mut(), database.dialect, step, &ready.work, open, ledger).await?;

    let mut worker = Worker::new(job, step, ready, database.dialect, connection, ledger, stop, progress, holds);
    // Rows that others let become due while a pass went by are left to a next one; few passes, since a writer that is
    // faster than the run must not keep it for ever.
    let mut counts = step.counts.clone();
    for _ in 0..3 {
        let before = worker.disposed;
        let ended = worker.pass().await;
        worker.flush().await?;
        report.disposed = worker.disposed;
        report.dependents.clone_from(&worker.dependents);
        ended?;
        counts = verify::count(worker.connection(), database.dialect, &ready.work).await?;
        if counts.disposable() == 0 || worker.disposed == before {
            break;
        }
    }
    let left = counts.disposable();
    report.remaining = verify::reasons(&counts);
    report.result = match (left, report.remaining.is_empty()) {
        (0, true) => RuleResult::Done,
        (0, false) => RuleResult::ExplainedRest,
        _ => RuleResult::Failed,
    };
    let verification = Event::Verification {
        rule: step.rule.clone(),
        remaining_due: left,
        explained: report.remaining.clone(),
        ok: left == 0,
    };
    worker.close().await;
    ledger.append(vec![verification], &[]).await?;
    if left > 0 {
        report.remaining.insert("unexplained".to_owned(), left);
        report.message = Some(format!("{left} rows are still due and nothing explains them"));
    }
    Ok(())
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
