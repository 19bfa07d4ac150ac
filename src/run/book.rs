//! Keeps the books of a step: announces each batch in the ledger, commits it, writes down what came of it.
//!
//! The ledger's intent is written while the transaction is open, because only then the rows are known and locked; the
//! commit is the act that cannot be undone. The outcome is written together with the next intent: one disk flush per
//! batch.

use super::{
    Failure, Progress,
    batch::{Changed, ChangedDependents},
    milliseconds,
};
use crate::{
    database::{Connection, Dialect, ErrorKind},
    ledger::{self, BatchEvidence, BatchResult, BatchTags, Event, Intent, Ledger, SettledBy},
    plan::Step,
};
use std::collections::BTreeMap;

pub(super) struct Book<'a> {
    step: &'a Step,
    dialect: &'static dyn Dialect,
    ledger: &'a mut Ledger,
    progress: &'a dyn Progress,
    /// Outcomes that wait for the next flush.
    pending: Vec<Event>,
    batches: u64,
    pub disposed: u64,
    pub dependents: BTreeMap<String, u64>,
    /// A whole pass has gone before.
    pub passed: bool,
}

impl<'a> Book<'a> {
    pub fn new(
        step: &'a Step,
        dialect: &'static dyn Dialect,
        ledger: &'a mut Ledger,
        progress: &'a dyn Progress,
    ) -> Self {
        let (pending, dependents) = (Vec::new(), BTreeMap::new());
        Self { step, dialect, ledger, progress, pending, batches: 0, disposed: 0, dependents, passed: false }
    }

    /// The mark of the holds in force.
    pub async fn holds(&mut self) -> Result<(u64, u64), Failure> {
        Ok(self.ledger.store().holds_mark().await.map_err(ledger::Error::from)?)
    }

    /// Announces and commits what `connection` has changed. When this fails, nothing of the batch is left, unless the
    /// connection broke during the commit: then the intent stays open, for the next run to settle.
    pub async fn settle(&mut self, connection: &mut dyn Connection, changed: Changed) -> Result<(), Failure> {
        let Changed { rows, evidence, dependents, longest, began, .. } = changed;
        if rows == 0 {
            connection.rollback().await?;
            return Ok(());
        }
        let along = sums(&dependents);
        let intents = match self.announce(connection, rows, evidence, dependents).await {
            Ok(intents) => intents,
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
        if let Some(result) = result {
            let (milliseconds, settled_by) = (milliseconds(began), SettledBy::Direct);
            let outcome = |intent| Event::Outcome { intent, result, milliseconds, settled_by };
            self.pending.extend(intents.into_iter().map(outcome));
        }
        committed?;
        self.disposed += rows;
        for (table, rows) in along {
            *self.dependents.entry(table).or_default() += rows;
        }
        let (longest_milliseconds, milliseconds) = (longest.as_secs_f64() * 1000.0, milliseconds(began));
        tracing::debug!(rule = self.step.rule, batch = self.batches, rows, longest_milliseconds, milliseconds, "batch");
        self.progress.advance(rows);
        Ok(())
    }

    /// Puts the batch's intents into the ledger, together with what is still to be reported of the batch before.
    async fn announce(
        &mut self,
        connection: &mut dyn Connection,
        rows: u64,
        evidence: BatchEvidence,
        dependents: Vec<ChangedDependents>,
    ) -> Result<Vec<u64>, Failure> {
        let transaction = match self.dialect.transaction_id() {
            Some(statement) => connection.fetch(&statement).await?.into_iter().flatten().next().flatten(),
            None => None,
        };
        self.batches += 1;
        let tags = finish(evidence).await?;
        let main = Intent {
            rule: self.step.rule.clone(),
            table: tags.table.clone(),
            disposition: self.step.disposition.to_string(),
            batch: self.batches,
            rows,
            dependents: sums(&dependents),
            along_with: None,
            root: hex::encode(tags.root),
            tag_key: tags.tag_key.clone(),
            transaction,
        };
        let mut intents = vec![main.clone()];
        let mut all_tags = vec![tags];
        for ChangedDependents { rows, disposition, evidence } in dependents {
            let tags = finish(evidence).await?;
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
        let outcomes = self.pending.len();
        let events = self.pending.iter().cloned().chain(intents.into_iter().map(Event::Intent)).collect();
        let numbers = self.ledger.append(events, &all_tags).await?;
        self.pending.clear();
        Ok(numbers[outcomes..].to_vec())
    }

    /// Writes outcomes that no intent has taken along.
    pub async fn flush(&mut self) -> Result<(), Failure> {
        if !self.pending.is_empty() {
            self.ledger.append(std::mem::take(&mut self.pending), &[]).await?;
        }
        Ok(())
    }
}

/// Sorts and hashes on a thread of its own, while the next batch's rows come in.
async fn finish(evidence: BatchEvidence) -> Result<BatchTags, Failure> {
    let finished = tokio::task::spawn_blocking(move || evidence.finish()).await;
    finished.map_err(|_| ledger::Error::Refused("the row tags could not be computed".to_owned()).into())
}

/// By table.
fn sums(dependents: &[ChangedDependents]) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    for dependent in dependents {
        *sums.entry(dependent.evidence.table().to_owned()).or_default() += dependent.rows;
    }
    sums
}
