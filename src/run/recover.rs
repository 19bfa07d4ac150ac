//! Settles batches that an earlier run announced and did not report: were they committed?
//!
//! A batch is one transaction, so all of its rows changed or none. The lock of the worker that announced it is held here,
//! and that lock's session was the batch's: whatever it did is over.

use super::Failure;
use crate::{
    database::{
        Connection, Dialect, Work,
        statements::{self, KeySelection},
    },
    failpoint,
    ledger::{self, BatchResult, Event, Intent, Ledger, SettledBy},
    plan::{PreparedStep, Step},
};
use std::collections::{BTreeSet, HashSet};

/// How many keys are looked at per statement.
const PAGE: u64 = 10_000;

/// The rules with batches that somebody announced and of which nobody knows the end: a run may be at them right now.
pub(super) async fn open_rules(ledger: &mut Ledger) -> Result<BTreeSet<String>, ledger::Error> {
    Ok(ledger.open_intents().await?.into_iter().map(|(_, intent)| intent.rule).collect())
}

/// The numbers of the workers that announced open batches of the rule.
pub(super) async fn workers(ledger: &mut Ledger, rule: &str) -> Result<Vec<u32>, ledger::Error> {
    let mut open = ledger.open_intents().await?;
    open.retain(|(_, intent)| intent.rule == rule && is_batch(intent));
    Ok(open.into_iter().map(|(_, intent)| intent.worker).collect::<BTreeSet<_>>().into_iter().collect())
}

/// Whole partitions are settled where they go.
fn is_batch(intent: &Intent) -> bool {
    intent.partition.is_none()
}

/// Finds out what became of each open batch of these workers and writes it down. What is open is asked under their
/// locks: another run may have settled it a moment before.
pub(super) async fn settle(
    connection: &mut dyn Connection,
    dialect: &dyn Dialect,
    step: &Step,
    ready: &PreparedStep,
    workers: &[u32],
    ledger: &mut Ledger,
) -> Result<(), Failure> {
    let mut open = ledger.open_intents().await?;
    open.retain(|(_, intent)| intent.rule == step.rule && is_batch(intent) && workers.contains(&intent.worker));
    // what went along came to the same end as the rows that it went with, whose intent stands before
    if !open.is_empty() {
        failpoint::reach("before_recovery");
    }
    for batch in open.chunk_by(|_, (_, next)| next.along_with.is_some()) {
        let (seq, intent) = &batch[0];
        let committed = match by_transaction(connection, dialect, intent).await? {
            Some(committed) => Some(committed),
            None => match work_of(ready, intent) {
                Some(work) => by_rows(connection, dialect, step, work, *seq, intent, ledger).await?,
                None => None,
            },
        };
        let result = match committed {
            Some(true) => BatchResult::Committed,
            Some(false) => BatchResult::RolledBack,
            None => BatchResult::Unknown,
        };
        tracing::warn!(rule = step.rule, intent = seq, rows = intent.rows, ?result, "settled what a crash left open");
        let settled_by = SettledBy::Recovery;
        let outcome = |(seq, _): &(u64, Intent)| Event::Outcome { intent: *seq, result, milliseconds: 0, settled_by };
        // all at once: were only the first settled, nobody could tell the others' end any more
        ledger.append(batch.iter().map(outcome).collect(), &[]).await?;
        failpoint::reach("after_recovery");
    }
    Ok(())
}

/// What the batch was about; `None` when the rule has no such measure any more.
fn work_of<'a>(ready: &'a PreparedStep, intent: &Intent) -> Option<&'a Work> {
    let Some(label) = &intent.k_anonymity else { return Some(&ready.work) };
    let measures = ready.gate.iter().flat_map(|gate| &gate.measures);
    measures.map(|measure| (&measure.label, &measure.work)).find(|(known, _)| *known == label).map(|(_, work)| work)
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

/// Looks whether rows of the batch are still due: then it was rolled back. `None` when there is nothing to compare them
/// with: the evidence is their number alone.
async fn by_rows(
    connection: &mut dyn Connection,
    dialect: &dyn Dialect,
    step: &Step,
    work: &Work,
    seq: u64,
    intent: &Intent,
    ledger: &mut Ledger,
) -> Result<Option<bool>, Failure> {
    let Some(stored) = ledger.tags_of(seq).await? else { return Ok(intent.evidence.is_rows().then_some(false)) };
    let tags: HashSet<&[u8]> = stored.tags.chunks_exact(16).collect();
    let Some(key) = ledger.tag_key_with_id(&intent.tag_key) else {
        // without the key nobody can tell; a row that is still there is due and will be done anyway
        return Ok(Some(true));
    };
    let selection = KeySelection::of(work);
    let table = step.full_table();
    let mut after: Option<Vec<String>> = None;
    loop {
        let statement = statements::page(dialect, work, &selection, work.due_rows(), after.as_deref(), PAGE);
        let rows = connection.fetch(&statement).await?;
        if rows.iter().any(|row| tags.contains(key.tag(&table, &selection.key(row)).as_slice())) {
            return Ok(Some(false));
        }
        match rows.last() {
            Some(last) if rows.len() as u64 == PAGE => after = Some(selection.locator(last)),
            _ => return Ok(Some(true)),
        }
    }
}
