//! What runs have committed, as their batches in the ledger tell: also those of runs that never came to their end.

use super::{BatchResult, Error, Event, parse};
use crate::store::Store;
use std::collections::BTreeMap;

/// Entries of one read.
const PAGE: u32 = 1000;

/// Rows of the rules' own tables that these runs have committed, by run and rule. A run is known by the number of its
/// first entry.
///
/// # Errors
/// The store cannot be read, or an entry in it cannot.
pub async fn committed(
    store: &mut Store,
    runs: &BTreeMap<String, u64>,
) -> Result<BTreeMap<String, BTreeMap<String, u64>>, Error> {
    let mut committed = BTreeMap::new();
    let mut open = BTreeMap::new();
    let Some(first) = runs.values().min() else { return Ok(committed) };
    let mut seen = first.saturating_sub(1);
    loop {
        let page = store.entries_after(seen, PAGE).await?;
        let Some((last, _)) = page.last() else { break };
        seen = *last;
        for (seq, line) in page {
            let entry = parse(seq, &line)?;
            match entry.event {
                Event::Intent(intent) if intent.along_with.is_none() && runs.contains_key(&entry.run) => {
                    open.insert(seq, (entry.run, intent.rule, intent.rows));
                }
                // whoever has found it out
                Event::Outcome { intent, result, .. } => {
                    if let (Some((run, rule, rows)), BatchResult::Committed) = (open.remove(&intent), result) {
                        let rules: &mut BTreeMap<String, u64> = committed.entry(run).or_default();
                        *rules.entry(rule).or_default() += rows;
                    }
                }
                _ => {}
            }
        }
    }
    Ok(committed)
}
