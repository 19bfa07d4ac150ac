//! The rows that batches have erased, by their tags: to look whether any of them is there again.

use super::{BatchResult, Event, PAGE, Result, parse};
use crate::{
    rules::Disposition,
    store::{Store, StoredTags},
};

/// Tables of a database that batches have erased rows of, as far as row tags tell, as `database.schema.table`.
///
/// # Errors
/// The store cannot be read.
pub async fn tables(store: &mut Store, database: &str) -> Result<Vec<String>> {
    let mut tables = store.tagged_tables().await?;
    tables.retain(|table| table.strip_prefix(database).is_some_and(|rest| rest.starts_with('.')));
    Ok(tables)
}

/// The batches that the last run which erased rows of a table erased from it, the newest first, of those that were announced
/// after entry `since`; no more of them than have `most` rows.
///
/// # Errors
/// The store cannot be read.
pub async fn newest(store: &mut Store, table: &str, since: u64, most: usize) -> Result<Vec<StoredTags>> {
    let (mut batches, mut last_run, mut rows) = (Vec::new(), None, 0);
    let mut before = i64::MAX.unsigned_abs();
    while let Some(stored) = store.tags_before(table, before).await?.filter(|stored| stored.intent > since) {
        before = stored.intent;
        let Some(run) = run_that_erased(store, stored.intent).await? else { continue };
        rows += stored.tags.len() / 16;
        if last_run.get_or_insert_with(|| run.clone()) != &run || rows > most && !batches.is_empty() {
            break;
        }
        batches.push(stored);
    }
    Ok(batches)
}

/// The next batch that has erased rows of a table, after an intent.
///
/// # Errors
/// The store cannot be read.
pub async fn next(store: &mut Store, table: &str, after: u64) -> Result<Option<StoredTags>> {
    let mut after = after;
    while let Some((stored, _)) = store.tags_after(table, after).await? {
        if run_that_erased(store, stored.intent).await?.is_some() {
            return Ok(Some(stored));
        }
        after = stored.intent;
    }
    Ok(None)
}

/// Rows of a table that batches have erased whose evidence is their number alone.
///
/// # Errors
/// The store cannot be read.
pub async fn counted(store: &mut Store, table: &str) -> Result<u64> {
    let (mut rows, mut after) = (0, 0);
    loop {
        let batches = store.counted_batches(table, after, PAGE).await?;
        let Some((last, ..)) = batches.last() else { return Ok(rows) };
        after = *last;
        for (seq, intent, outcome) in &batches {
            let Event::Intent(intent) = parse(*seq, intent)?.event else { continue };
            let is_erased = intent.disposition == Disposition::Erase.to_string();
            if is_erased && outcome.as_deref().map(is_committed).transpose()?.unwrap_or(false) {
                rows += intent.rows;
            }
        }
    }
}

/// The run whose batch this is, if it was committed and erased its rows.
async fn run_that_erased(store: &mut Store, intent: u64) -> Result<Option<String>> {
    let Some(line) = store.entry(intent).await? else { return Ok(None) };
    let entry = parse(intent, &line)?;
    let is_erased = matches!(&entry.event, Event::Intent(of) if of.disposition == Disposition::Erase.to_string());
    let Some(seq) = store.outcome_of(intent).await?.filter(|_| is_erased) else { return Ok(None) };
    let is_committed = store.entry(seq).await?.as_deref().map_or(Ok(false), is_committed)?;
    Ok(is_committed.then_some(entry.run))
}

fn is_committed(line: &str) -> Result<bool> {
    Ok(matches!(parse(0, line)?.event, Event::Outcome { result: BatchResult::Committed, .. }))
}
