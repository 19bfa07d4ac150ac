//! Keeps the books of a step: announces each batch in the ledger, commits it, writes down what came of it.
//!
//! The ledger's intent is written while the transaction is open, because only then the rows are known and locked; the
//! commit is the act that cannot be undone. The outcome is written together with the next intent: one disk flush per
//! batch. Several workers share one book: while one commits, another one's batch is announced, and whoever gets hold of
//! the book announces for all who wait.

use super::{
    Failure, Progress, Surroundings,
    allowance::Allowance,
    batch::{Changed, ChangedDependents},
    contention::Seen,
    holds::KnownHolds,
    milliseconds,
    pace::StepPace,
    recover,
    schema::SchemaWatch,
    worker::Worker,
};
use crate::{
    database::{Dialect, ErrorKind, Work},
    evidence::tag::BatchTags,
    failpoint,
    ledger::{self, BatchResult, Event, Intent, Ledger},
    plan::Step,
    standing::Durations,
    store::Store,
};
use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError},
};
use tokio::sync::{Mutex, MutexGuard, oneshot};

pub(super) struct Book<'a> {
    step: &'a Step,
    dialect: &'static dyn Dialect,
    progress: &'a dyn Progress,
    /// What its batches do with rows of groups that are too small.
    k_anonymity: Option<String>,
    /// By what a row tells whether a batch has changed it.
    terms: String,
    /// What the rule may change; measures about small groups have been judged by themselves.
    allowance: Option<Allowance<'a>>,
    /// The holds that the plan knows.
    holds: KnownHolds<'a>,
    /// Whether the schema is the planned one.
    pub schema: &'a SchemaWatch<'a>,
    /// What is asked before each batch.
    pub pace: StepPace<'a>,
    pages: Mutex<Pages<'a>>,
    /// Batches whose workers wait until they are announced.
    waiting: std::sync::Mutex<Vec<Announcement>>,
}

/// A batch that is to be announced.
struct Announcement {
    intents: Vec<Intent>,
    tags: Vec<BatchTags>,
    done: oneshot::Sender<Announced>,
}

/// The batch's number and those of its intents in the ledger.
type Announced = Result<(u64, Vec<u64>), Arc<Failure>>;

/// What one worker at a time writes.
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
    /// So many batches were announced before.
    pub fn new(
        around: &'a Surroundings<'a>,
        step: &'a Step,
        work: &Work,
        pace: StepPace<'a>,
        schema: &'a SchemaWatch<'a>,
        ledger: &'a mut Ledger,
        batches: u64,
    ) -> Self {
        let (dependents, durations) = (BTreeMap::new(), Durations::default());
        let pages = Pages { ledger, pending: Vec::new(), batches, disposed: 0, dependents, durations };
        let waiting = std::sync::Mutex::default();
        let (progress, holds, pages) = (around.progress, around.holds, Mutex::new(pages));
        let allowance = Some(around.allowance.of(step));
        let (table, undone) = (step.full_table(), work.undone.as_ref());
        let terms = recover::terms(&around.tag_key, &table, &work.key, &work.change, undone);
        let dialect = schema.dialect();
        Self { step, dialect, progress, k_anonymity: None, terms, allowance, holds, schema, pace, pages, waiting }
    }

    /// For batches that do this with rows of groups that are too small.
    pub fn for_groups(self, measure: &str) -> Self {
        Self { k_anonymity: Some(measure.to_owned()), allowance: None, ..self }
    }

    /// How many batches the step has announced.
    pub async fn announced(&self) -> u64 {
        self.pages().await.batches
    }

    /// Rows that batches have changed, and rows of other tables that went along.
    pub async fn changed(&self) -> (u64, BTreeMap<String, u64>) {
        let pages = self.pages().await;
        (pages.disposed, pages.dependents.clone())
    }

    /// The ledger, while nobody else has the book.
    pub fn ledger(&mut self) -> &mut Ledger {
        self.pages.get_mut().ledger
    }

    pub async fn pages(&self) -> MutexGuard<'_, Pages<'a>> {
        self.pages.lock().await
    }

    /// Fails when holds are not what the plan knows.
    pub async fn check_holds(&self) -> Result<(), Failure> {
        self.pages().await.check_holds(self.holds).await
    }

    /// Announces and commits what a worker has changed. When this fails, nothing of the batch is left, unless the
    /// connection broke during the commit: then the intent stays open, for the next run to settle. Delivers what it saw of
    /// others.
    pub async fn settle(&self, worker: &mut Worker, changed: Changed) -> Result<Seen, Failure> {
        let connection = worker.connection.as_mut();
        let Changed { rows, tags, dependents, longest, began, .. } = changed;
        if rows == 0 {
            connection.rollback().await?;
            return Ok(Seen::default());
        }
        // the statements have met whatever they met, and hold their locks
        let looked = match self.schema.look_in_batch(connection).await {
            Ok(looked) => looked,
            Err(failure) => {
                let _ = connection.rollback().await;
                return Err(failure);
            }
        };
        let along = sums(&dependents);
        let all_along = along.values().sum();
        if let Err(failure) = self.take(rows, all_along).await {
            let _ = worker.connection.rollback().await;
            return Err(failure);
        }
        let (batch, intents) = match self.announce(worker, rows, tags, dependents).await {
            Ok(announced) => announced,
            Err(failure) => {
                let _ = worker.connection.rollback().await;
                self.give_back(rows, all_along).await?;
                return Err(failure);
            }
        };
        // as late as can be: whoever has come to wait for the batch still does
        let seen = worker.contention.look(worker.connection.as_mut(), self.dialect).await;
        let committed = match &seen {
            Ok(_) => worker.connection.commit().await,
            Err(error) => {
                let undone = worker.connection.rollback().await;
                undone.and(Err(error.clone()))
            }
        };
        failpoint::reach("after_commit");
        // A server that answers has decided.
        let result = match &committed {
            Ok(()) => Some(BatchResult::Committed),
            Err(error) if error.kind != ErrorKind::Unreachable => Some(BatchResult::RolledBack),
            Err(_) => None,
        };
        let milliseconds = milliseconds(began);
        let mut pages = self.pages().await;
        if let Some(result) = result {
            let outcome = |intent| Event::ended(intent, result, milliseconds);
            pages.pending.extend(intents.into_iter().map(outcome));
        }
        if let (Err(_), Some(_), Some(allowance)) = (&committed, result, &self.allowance) {
            allowance.give_back(pages.store(), rows, all_along).await?;
        }
        committed?;
        if !looked {
            self.schema.note_unseen().await;
        }
        pages.disposed += rows;
        pages.durations.add(began.elapsed());
        for (table, rows) in along {
            *pages.dependents.entry(table).or_default() += rows;
        }
        drop(pages);
        let longest_milliseconds = longest.as_secs_f64() * 1000.0;
        tracing::debug!(rule = self.step.rule, batch, rows, longest_milliseconds, milliseconds, "batch");
        self.progress.advance(rows);
        self.pace.note(rows).await;
        Ok(seen.unwrap_or_default())
    }

    /// Takes the rows of a batch from what the run may change.
    async fn take(&self, rows: u64, along: u64) -> Result<(), Failure> {
        match &self.allowance {
            Some(allowance) => allowance.take(self.pages().await.store(), rows, along).await,
            None => Ok(()),
        }
    }

    async fn give_back(&self, rows: u64, along: u64) -> Result<(), Failure> {
        match &self.allowance {
            Some(allowance) => allowance.give_back(self.pages().await.store(), rows, along).await,
            None => Ok(()),
        }
    }

    /// Puts the batch's intents into the ledger, together with what is still to be reported of batches before. Delivers
    /// the batch's number and the intents'.
    async fn announce(
        &self,
        worker: &mut Worker,
        rows: u64,
        tags: BatchTags,
        dependents: Vec<ChangedDependents>,
    ) -> Result<(u64, Vec<u64>), Failure> {
        let transaction = match self.dialect.transaction_id() {
            Some(statement) => worker.connection.fetch(&statement).await?.into_iter().flatten().next().flatten(),
            None => None,
        };
        let mark = match &mut worker.mark {
            Some(mark) => mark.note(worker.connection.as_mut(), self.dialect).await?,
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
            partition: None,
            k_anonymity: self.k_anonymity.clone(),
            evidence: self.step.evidence,
            root: hex::encode(tags.root),
            tag_key: tags.tag_key.clone(),
            cluster: transaction.as_ref().and_then(|_| worker.cluster.clone()),
            transaction,
            mark,
            terms: Some(self.terms.clone()),
            worker: worker.number,
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
                terms: None,
                root: hex::encode(tags.root),
                ..main.clone()
            });
            if tags.count > 0 {
                all_tags.push(tags);
            }
        }
        let (done, announced) = oneshot::channel();
        self.queue().push(Announcement { intents, tags: all_tags, done });
        let mut pages = self.pages().await;
        let queue = std::mem::take(&mut *self.queue());
        failpoint::reach("before_intent");
        pages.announce(self.holds, queue).await;
        drop(pages);
        failpoint::reach("after_intent");
        // written by this worker or by one who had the book before
        match announced.await {
            Ok(announced) => announced.map_err(Failure::Shared),
            Err(_) => Err(ledger::Error::Refused("a batch was never announced".to_owned()).into()),
        }
    }

    fn queue(&self) -> std::sync::MutexGuard<'_, Vec<Announcement>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes outcomes that no intent has taken along.
    pub async fn flush(&self) -> Result<(), Failure> {
        let mut pages = self.pages().await;
        if !pages.pending.is_empty() {
            let pending = std::mem::take(&mut pages.pending);
            failpoint::reach("before_outcome");
            pages.ledger.append(pending, &[]).await?;
            failpoint::reach("after_outcome");
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
    pub async fn check_holds(&mut self, holds: KnownHolds<'_>) -> Result<(), Failure> {
        holds.check(self.store()).await
    }

    /// Announces these batches, all at once, and tells their workers.
    async fn announce(&mut self, holds: KnownHolds<'_>, mut queue: Vec<Announcement>) {
        if queue.is_empty() {
            return;
        }
        match self.write(holds, &mut queue).await {
            Ok(announced) => {
                for (announcement, announced) in queue.into_iter().zip(announced) {
                    let _ = announcement.done.send(Ok(announced));
                }
            }
            Err(failure) => {
                let failure = Arc::new(failure);
                for announcement in queue {
                    let _ = announcement.done.send(Err(failure.clone()));
                }
            }
        }
    }

    async fn write(
        &mut self,
        holds: KnownHolds<'_>,
        queue: &mut [Announcement],
    ) -> Result<Vec<(u64, Vec<u64>)>, Failure> {
        // the last moment at which a new hold can still keep the rows
        self.check_holds(holds).await?;
        let mut events = self.pending.clone();
        let mut tags = Vec::new();
        for (announcement, batch) in queue.iter_mut().zip(self.batches + 1..) {
            for intent in &mut announcement.intents {
                intent.batch = batch;
            }
            events.extend(announcement.intents.iter().cloned().map(Event::Intent));
            tags.append(&mut announcement.tags);
        }
        let numbers = self.ledger.append(events, &tags).await?;
        let mut numbers = numbers.into_iter().skip(self.pending.len());
        self.pending.clear();
        let mut announced = Vec::new();
        for announcement in queue {
            self.batches += 1;
            announced.push((self.batches, numbers.by_ref().take(announcement.intents.len()).collect()));
        }
        Ok(announced)
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
