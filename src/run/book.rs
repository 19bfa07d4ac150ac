//! Keeps the books of a step: announces each batch in the ledger, commits it, writes down what came of it.
//!
//! The ledger's intent is written while the transaction is open, because only then the rows are known and locked; the
//! commit is the act that cannot be undone. The outcome is written together with the next intent: one disk flush per
//! batch. Several connections share one book: while one commits, another one's batch is announced.

use super::{
    Failure, Progress, Surroundings,
    batch::{Changed, ChangedDependents},
    milliseconds,
};
use crate::{
    database::{Connection, Dialect, ErrorKind},
    ledger::{self, BatchResult, BatchTags, Event, Intent, Ledger, SettledBy},
    plan::Step,
    standing::Durations,
    store::Store,
};
use std::collections::BTreeMap;
use tokio::sync::{Mutex, MutexGuard};

pub(super) struct Book<'a> {
    step: &'a Step,
    dialect: &'static dyn Dialect,
    progress: &'a dyn Progress,
    /// The mark of the holds that the plan knows.
    holds: (u64, u64),
    pages: Mutex<Pages<'a>>,
}

/// What one connection at a time writes.
pub(super) struct Pages<'a> {
    ledger: &'a mut Ledger,
    /// Outcomes that wait for the next flush.
    pending: Vec<Event>,
    batches: u64,
    pub disposed: u64,
    pub dependents: BTreeMap<String, u64>,
    pub durations: Durations,
}

impl<'a> Book<'a> {
    pub fn new(
        around: &Surroundings<'a>,
        step: &'a Step,
        dialect: &'static dyn Dialect,
        ledger: &'a mut Ledger,
    ) -> Self {
        let (dependents, durations) = (BTreeMap::new(), Durations::default());
        let pages = Pages { ledger, pending: Vec::new(), batches: 0, disposed: 0, dependents, durations };
        Self { step, dialect, progress: around.progress, holds: around.holds, pages: Mutex::new(pages) }
    }

    pub async fn pages(&self) -> MutexGuard<'_, Pages<'a>> {
        self.pages.lock().await
    }

    /// Announces and commits what `connection` has changed. When this fails, nothing of the batch is left, unless the
    /// connection broke during the commit: then the intent stays open, for the next run to settle.
    pub async fn settle(&self, connection: &mut dyn Connection, changed: Changed) -> Result<(), Failure> {
        let Changed { rows, tags, dependents, longest, began, .. } = changed;
        if rows == 0 {
            connection.rollback().await?;
            return Ok(());
        }
        let along = sums(&dependents);
        let (batch, intents) = match self.announce(connection, rows, tags, dependents).await {
            Ok(announced) => announced,
            Err(failure) => {
                let _ = connection.rollback().await;
                return Err(failure);
            }
        };
        let committed = connection.commit().await;
        // A server that answers has decided.
        let result = match &committed {
            Ok(()) => Some(BatchResult::Committed),
            Err(error) if error.kind != ErrorKind::Unreachable => Some(BatchResult::RolledBack),
            Err(_) => None,
        };
        let milliseconds = milliseconds(began);
        let mut pages = self.pages().await;
        if let Some(result) = result {
            let settled_by = SettledBy::Direct;
            let outcome = |intent| Event::Outcome { intent, result, milliseconds, settled_by };
            pages.pending.extend(intents.into_iter().map(outcome));
        }
        committed?;
        pages.disposed += rows;
        pages.durations.add(began.elapsed());
        for (table, rows) in along {
            *pages.dependents.entry(table).or_default() += rows;
        }
        drop(pages);
        let longest_milliseconds = longest.as_secs_f64() * 1000.0;
        tracing::debug!(rule = self.step.rule, batch, rows, longest_milliseconds, milliseconds, "batch");
        self.progress.advance(rows);
        Ok(())
    }

    /// Puts the batch's intents into the ledger, together with what is still to be reported of batches before. Delivers
    /// the batch's number and the intents'.
    async fn announce(
        &self,
        connection: &mut dyn Connection,
        rows: u64,
        tags: BatchTags,
        dependents: Vec<ChangedDependents>,
    ) -> Result<(u64, Vec<u64>), Failure> {
        let transaction = match self.dialect.transaction_id() {
            Some(statement) => connection.fetch(&statement).await?.into_iter().flatten().next().flatten(),
            None => None,
        };
        let main = Intent {
            rule: self.step.rule.clone(),
            table: tags.table.clone(),
            disposition: self.step.disposition.to_string(),
            batch: 0,
            rows,
            dependents: sums(&dependents),
            along_with: None,
            evidence: self.step.evidence,
            root: hex::encode(tags.root),
            tag_key: tags.tag_key.clone(),
            transaction,
        };
        let mut intents = vec![main.clone()];
        let mut all_tags = vec![tags];
        for ChangedDependents { rows, disposition, tags } in dependents {
            intents.push(Intent {
                table: tags.table.clone(),
                disposition: disposition.to_string(),
                rows,
                dependents: BTreeMap::new(),
                along_with: Some(main.table.clone()),
                root: hex::encode(tags.root),
                ..main.clone()
            });
            if tags.count > 0 {
                all_tags.push(tags);
            }
        }
        self.pages().await.announce(self.holds, intents, &all_tags).await
    }

    /// Writes outcomes that no intent has taken along.
    pub async fn flush(&self) -> Result<(), Failure> {
        let mut pages = self.pages().await;
        if !pages.pending.is_empty() {
            let pending = std::mem::take(&mut pages.pending);
            pages.ledger.append(pending, &[]).await?;
        }
        Ok(())
    }
}

impl Pages<'_> {
    pub fn ledger(&mut self) -> &mut Ledger {
        self.ledger
    }

    pub fn store(&mut self) -> &mut Store {
        self.ledger.store()
    }

    /// Fails when holds are not what the plan knows.
    pub async fn check_holds(&mut self, holds: (u64, u64)) -> Result<(), Failure> {
        match self.store().holds_mark().await.map_err(ledger::Error::from)? == holds {
            true => Ok(()),
            false => Err(Failure::HoldsChanged),
        }
    }

    async fn announce(
        &mut self,
        holds: (u64, u64),
        mut intents: Vec<Intent>,
        tags: &[BatchTags],
    ) -> Result<(u64, Vec<u64>), Failure> {
        // the last moment at which a new hold can still keep the rows
        self.check_holds(holds).await?;
        self.batches += 1;
        for intent in &mut intents {
            intent.batch = self.batches;
        }
        let outcomes = self.pending.len();
        let events = self.pending.iter().cloned().chain(intents.into_iter().map(Event::Intent)).collect();
        let numbers = self.ledger.append(events, tags).await?;
        self.pending.clear();
        Ok((self.batches, numbers[outcomes..].to_vec()))
    }
}

/// By table.
fn sums(dependents: &[ChangedDependents]) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    for dependent in dependents {
        *sums.entry(dependent.tags.table.clone()).or_default() += dependent.rows;
    }
    sums
}
