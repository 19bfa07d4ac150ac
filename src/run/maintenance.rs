//! After the rows: the cleaning of the bytes that they leave behind, where the rule asks for it.
//!
//! What is owed stands in the store from before the first row goes until the cleaning is through, so that a run which ends in
//! between leaves it to the next.

use super::{Failure, Surroundings, chunk::KEPT, k_anonymity, milliseconds, report::MaintenanceReport};
use crate::{
    catalog::TableName,
    database::{Connection, ErrorKind, maintenance::MaintenanceStep},
    ledger::{self, Event, Ledger},
    outcome::Outcome,
    plan::{OpenDatabase, PreparedStep, Step},
    rules::After,
};
use std::{
    collections::BTreeSet,
    sync::atomic::AtomicBool,
    time::{Duration, Instant},
};

const PAUSE: Duration = Duration::from_millis(200);

/// Why it did not come to its end.
enum End {
    Complete,
    /// In words, and what that makes of the run.
    Incomplete(String, Outcome),
}

/// Notes what will be owed for the rows that the step is about to dispose of.
pub(super) async fn owe(
    step: &Step,
    ready: &PreparedStep,
    database: &OpenDatabase,
    ledger: &mut Ledger,
) -> Result<(), Failure> {
    if ready.rule.after.is_none() {
        return Ok(());
    }
    let work = &ready.work;
    let mut tables: BTreeSet<TableName> = work.dependents.iter().map(|dependent| dependent.table.clone()).collect();
    tables.extend(k_anonymity::tables(ready).cloned());
    let partitioned = work.leaves.iter().any(|leaf| *leaf != work.table);
    match database.dialect.holding(&work.table, &work.disposable_rows()).filter(|_| partitioned) {
        None => drop(tables.insert(work.table.clone())),
        Some(statement) => {
            let mut connection = database.database.connect_to_count().await?;
            for row in connection.fetch(&statement).await? {
                if let [Some(schema), Some(name)] = row.as_slice() {
                    tables.insert(TableName { schema: schema.clone(), name: name.clone() });
                }
            }
            connection.close().await;
        }
    }
    Ok(ledger.store().owe_maintenance(&step.rule, &tables).await.map_err(ledger::Error::from)?)
}

/// Cleans up what the rule owes, and writes down how that went. Tables in `gone` have taken their rows with them.
pub(super) async fn perform(
    around: &Surroundings<'_>,
    step: &Step,
    ready: &PreparedStep,
    database: &OpenDatabase,
    gone: &[TableName],
    ledger: &mut Ledger,
) -> Result<Option<(MaintenanceReport, Outcome)>, ledger::Error> {
    let Some(after) = ready.rule.after else { return Ok(None) };
    let Some(mut tables) = ledger.store().owed_maintenance().await?.remove(&step.rule) else { return Ok(None) };
    tables.retain(|table| !gone.contains(table) && database.catalog.get(table).is_some());
    let tables: Vec<_> = tables.into_iter().collect();
    let began = Instant::now();
    let end = match turn(around, step, ready, ledger).await {
        Ok(()) => clean(around, step, database, after, &tables).await,
        Err(failure) => Err(failure),
    };
    let (complete, message, outcome) = match end {
        Ok(End::Complete) => (true, None, Outcome::Done),
        Ok(End::Incomplete(why, outcome)) => (false, Some(why), outcome),
        Err(failure) => (false, Some(failure.to_string()), outcome_of(&failure)),
    };
    tracing::info!(rule = step.rule, step = %after, complete, message, "maintenance");
    let event = Event::Maintenance {
        rule: step.rule.clone(),
        step: after.to_string(),
        tables: tables.iter().map(ToString::to_string).collect(),
        complete,
        message: message.clone(),
        milliseconds: milliseconds(began),
    };
    ledger.append(vec![event], &[]).await?;
    if complete {
        ledger.store().maintenance_done(&step.rule).await?;
    }
    Ok(Some((MaintenanceReport { step: after, complete, message }, outcome)))
}

/// The hours and whatever else batches wait for hold for this, too.
async fn turn(
    around: &Surroundings<'_>,
    step: &Step,
    ready: &PreparedStep,
    ledger: &mut Ledger,
) -> Result<(), Failure> {
    let pace = around.pace.of(step, &ready.work, around.stop, around.progress);
    let (mut turns, alone) = (pace.turns(), AtomicBool::new(false));
    while turns.next_within(&alone, KEPT).await?.is_none() {
        // the store's session is not to fall asleep
        ledger.store().holds_mark().await.map_err(ledger::Error::from)?;
    }
    Ok(())
}

async fn clean(
    around: &Surroundings<'_>,
    step: &Step,
    database: &OpenDatabase,
    after: After,
    tables: &[TableName],
) -> Result<End, Failure> {
    let mut connection = database.database.connect().await?;
    let name = format!("sunset/{}/{}/maintenance", around.job.settings.name, step.rule);
    let Some(_lock) = database.database.try_lock(connection.as_mut(), &name).await? else {
        return Ok(End::Incomplete("another run is at it".to_owned(), Outcome::Done));
    };
    let dialect = database.dialect;
    if let Some(statement) = dialect.not_maintained(tables) {
        let names: Vec<_> = connection.fetch(&statement).await?.into_iter().flatten().flatten().collect();
        if !names.is_empty() {
            let why = format!("this database user may not do it on {}: see `sunset grants`", names.join(", "));
            return Ok(End::Incomplete(why, Outcome::Failed));
        }
    }
    if let Some(statement) = dialect.unlimited() {
        connection.execute(&statement).await?;
    }
    let root = database.catalog.get(&step.table).filter(|table| !table.partitions.is_empty()).map(|table| &table.name);
    let mut left = Vec::new();
    for part in dialect.maintenance(after, tables, root) {
        // what is given up here changes no row: the server may go on with it
        let performed = tokio::select! {
            () = around.stop.cancelled() => Err(Failure::Interrupted),
            performed = perform_step(connection.as_mut(), &part) => performed,
        };
        if let Some(why) = performed? {
            left.push(why);
            if part.required {
                break;
            }
        }
    }
    connection.close().await;
    Ok(match left.is_empty() {
        true => End::Complete,
        // somebody else is in the way, who will not be for ever: the next run tries again
        false => End::Incomplete(left.join("; "), Outcome::Done),
    })
}

/// One step; why it is not through.
async fn perform_step(connection: &mut dyn Connection, part: &MaintenanceStep) -> Result<Option<String>, Failure> {
    let began = Instant::now();
    loop {
        let rows = connection.fetch(&part.statement).await?;
        match (part.judge)(&rows) {
            Some(_) if began.elapsed() < part.patience => tokio::time::sleep(PAUSE).await,
            judged => return Ok(judged),
        }
    }
}

/// What a failure here makes of a run whose rows are gone.
fn outcome_of(failure: &Failure) -> Outcome {
    match failure {
        Failure::Database(error) => match error.kind {
            ErrorKind::Transient
            | ErrorKind::Locked
            | ErrorKind::StatementTimeout
            | ErrorKind::Unreachable
            | ErrorKind::Full => Outcome::Temporary,
            ErrorKind::Refused | ErrorKind::Privilege | ErrorKind::Constraint | ErrorKind::Other => Outcome::Failed,
        },
        Failure::TimeIsUp(_) => Outcome::Done,
        _ => Outcome::Temporary,
    }
}
