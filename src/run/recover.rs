//! Settles batches that an earlier run announced and did not report: were they committed?
//!
//! A batch is one transaction, so all of its rows changed or none. The rule's lock is held here, and the lock's session
//! was the batch's: whatever it did is over.

use super::Failure;
use crate::{
    database::{
        Connection, Dialect, Work,
        statements::{self, KeySelection},
    },
    ledger::{BatchResult, Event, Intent, Ledger, SettledBy},
    plan::Step,
};
use std::collections::HashSet;

/// How many keys are looked at per statement.
const PAGE: u64 = 10_000;

/// Finds out what became of each of these batches and writes it down.
pub(super) async fn settle(
    connection: &mut dyn Connection,
    dialect: &dyn Dialect,
    step: &Step,
    work: &Work,
    open: Vec<(u64, Intent)>,
    ledger: &mut Ledger,
) -> Result<(), Failure> {
    // what went along came to the same end as the rows that it went with, whose intent stands before
    let mut batch = None;
    for (seq, intent) in open {
        let committed = match (batch, by_transaction(connection, dialect, &intent).await?) {
            (_, Some(committed)) => committed,
            (Some((number, committed)), None) if intent.along_with.is_some() && number == intent.batch => committed,
            _ => by_rows(connection, dialect, step, work, seq, &intent, ledger).await?,
        };
        batch = Some((intent.batch, committed));
        let result = if committed { BatchResult::Committed } else { BatchResult::RolledBack };
        tracing::warn!(rule = step.rule, intent = seq, rows = intent.rows, ?result, "settled what a crash left open");
        let settled_by = SettledBy::Recovery;
        ledger.append(vec![Event::Outcome { intent: seq, result, milliseconds: 0, settled_by }], &[]).await?;
    }
    Ok(())
}

/// Asks the server by the transaction's name; `None` when it has none or is forgotten.
async fn by_transaction(
    connection: &mut dyn Connection,
    dialect: &dyn Dialect,
    intent: &Intent,
) -> Result<Option<bool>, Failure> {
    let Some(statement) = intent.transaction.as_deref().and_then(|id| dialect.transaction_status(id)) else {
        return Ok(None);
    };
    let status = connection.fetch(&statement).await?.into_iter().flatten().next().flatten();
    Ok(match status.as_deref() {
        Some("committed") => Some(true),
        Some("aborted") => Some(false),
        _ => None,
    })
}

/// Looks whether rows of the batch are still due: then it was rolled back.
async fn by_rows(
    connection: &mut dyn Connection,
    dialect: &dyn Dialect,
    step: &Step,
    work: &Work,
    seq: u64,
    intent: &Intent,
    ledger: &mut Ledger,
) -> Result<bool, Failure> {
    let Some(stored) = ledger.tags_of(seq).await? else { return Ok(false) };
    let tags: HashSet<&[u8]> = stored.tags.chunks_exact(16).collect();
    let Some(key) = ledger.tag_key_with_id(&intent.tag_key) else {
        // without the key nobody can tell; a row that is still there is due and will be done anyway
        return Ok(true);
    };
    let selection = KeySelection::of(work);
    let table = step.full_table();
    let mut after: Option<Vec<String>> = None;
    loop {
        let statement = statements::page(dialect, work, &selection, after.as_deref(), PAGE);
        let rows = connection.fetch(&statement).await?;
        if rows.iter().any(|row| tags.contains(key.tag(&table, &selection.key(row)).as_slice())) {
            return Ok(false);
        }
        match rows.last() {
            Some(last) if rows.len() as u64 == PAGE => after = Some(selection.locator(last)),
            _ => return Ok(true),
        }
    }
}
