//! Rows that others have locked. A batch that meets one waits for nobody: it is undone, and its rows are changed in parts,
//! which get smaller around what is in the way. What is in the way is set aside, and tried again when the pass is over.
//!
//! So a batch that holds locks does not wait for a writer who waits for it, but for the moments that docs/pace.md names.

use super::{Failure, batch::Batches, book::Book, chunk::KEPT, pace, worker::Worker};
use crate::{
    database::{ErrorKind, Lock, Row},
    sql::Statement,
};
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError, atomic::AtomicBool},
    time::Duration,
};

/// A statement waits no longer for a lock. PostgreSQL looks for deadlocks when somebody has waited for a second: a writer who
/// has waited for a batch for just so long may still find one.
const HURRIED: Duration = Duration::from_millis(10);

/// So many rows of a part are changed in one transaction at most.
const PART: u64 = 1000;

/// So many rows are remembered. Those beyond are met by the next pass.
const MOST: usize = 10_000;

/// So many times in a pass a row is found to be in the way by trying it alone. After that, parts that meet what others have
/// locked are set aside as a whole.
const ALONE: u64 = 1000;

/// The rows of a pass that were in the way.
#[derive(Default)]
pub(super) struct SetAside(Mutex<Rows>);

#[derive(Default)]
struct Rows {
    /// The user may change rows and not lock them: then only a change that fails tells of a lock.
    cannot_lock: bool,
    /// By their locators: a walk may meet a row again.
    rows: BTreeMap<Vec<String>, Row>,
    /// That were tried alone.
    alone: u64,
}

/// What parts of a batch came to.
pub(super) enum Parted {
    /// So many rows were changed; the others are set aside, or not due any more.
    Done(u64),
    /// No batch may begin any more.
    Stopped,
}

/// Has the workers' sessions wait hardly at all for locks of rows, or as long as the settings say.
pub(super) async fn hurry(
    batches: &Batches<'_>,
    workers: &mut [Worker],
    book: &Book<'_>,
    hurried: bool,
) -> Result<(), Failure> {
    if batches.work.lock() != Lock::AtOnce {
        return Ok(());
    }
    let patience = if hurried { HURRIED } else { book.pace.settings.lock_timeout };
    let statement: Option<Statement> = batches.dialect.wait_for_rows(patience);
    for worker in workers {
        if let Some(statement) = &statement {
            worker.connection.execute(statement).await?;
        }
    }
    Ok(())
}

impl SetAside {
    /// Changes these rows in parts, and sets aside those that are in the way.
    ///
    /// # Errors
    /// Somebody has locked a table: then the batch has to wait. Or what any batch may fail with.
    pub async fn part(
        &self,
        batches: &Batches<'_>,
        book: &Book<'_>,
        worker: &mut Worker,
        turns: &mut pace::Turns<'_, '_>,
        over: &AtomicBool,
        rows: &[Row],
    ) -> Result<Parted, Failure> {
        let retries = book.pace.settings.retries;
        let length = usize::try_from(batches.largest(book.pace.settings.batch_rows).min(PART)).unwrap_or(1);
        let mut parts: Vec<&[Row]> = rows.chunks(length.max(1)).rev().collect();
        let (mut changed, mut attempt) = (0, 0);
        while let Some(part) = parts.pop() {
            match turns.next_within(over, KEPT).await? {
                Some(true) => {}
                Some(false) => return Ok(Parted::Stopped),
                None => {
                    parts.push(part);
                    continue;
                }
            }
            let lock = (!self.rows().cannot_lock).then_some(Lock::Free);
            match change(batches, book, worker, part, lock).await {
                Ok(places) => {
                    changed += places.len() as u64;
                    attempt = 0;
                    let left = part.iter().enumerate().filter(|(place, _)| !places.contains(place));
                    self.add(batches, left.map(|(_, row)| row));
                }
                Err(failure) if failure.is_locked() && (part.len() == 1 || self.rows().alone >= ALONE) => {
                    self.rows().alone += 1;
                    self.add(batches, part);
                }
                Err(failure) if is_too_much(&failure) && part.len() > 1 => {
                    let (first, second) = part.split_at(part.len() / 2);
                    parts.extend([second, first]);
                }
                Err(Failure::Database(error))
                    if error.kind == ErrorKind::Privilege && lock.is_some() && batches.goes_by_ranges() =>
                {
                    self.rows().cannot_lock = true;
                    parts.push(part);
                }
                Err(failure) if !failure.is_locked() && failure.is_worth_another_try() && attempt < retries => {
                    attempt += 1;
                    parts.push(part);
                    tokio::time::sleep(pace::pause(attempt)).await;
                }
                Err(failure) => return Err(failure),
            }
        }
        turns.ended();
        Ok(Parted::Done(changed))
    }

    /// Tries the rows again that were in the way, with longer and longer pauses. Delivers how many still are.
    ///
    /// # Errors
    /// Time is up, somebody asked the run to stop, or what any batch may fail with.
    pub async fn again(&self, batches: &Batches<'_>, book: &Book<'_>, worker: &mut Worker) -> Result<u64, Failure> {
        let (mut turns, over) = (book.pace.turns(), AtomicBool::new(false));
        let mut attempt = 0;
        loop {
            let rows = std::mem::take(&mut *self.rows());
            self.rows().cannot_lock = rows.cannot_lock;
            // who is not due any more was not in the way
            let still: Vec<_> = rows.rows.into_values().collect();
            let seen = batches.still_disposable(worker.connection.as_mut(), still.clone()).await;
            let is_last = attempt >= book.pace.settings.retries;
            let still = match seen {
                Err(failure) if failure.is_locked() && !is_last => still,
                seen => seen?,
            };
            if still.is_empty() || is_last {
                return Ok(still.len() as u64);
            }
            attempt += 1;
            tracing::debug!(rows = still.len(), attempt, "rows that others have locked are tried again");
            tokio::time::sleep(pace::pause(attempt)).await;
            match self.part(batches, book, worker, &mut turns, &over, &still).await {
                // a table is locked: those that have gone meanwhile are not due any more
                Err(failure) if failure.is_worth_another_try() => self.add(batches, &still),
                parted => {
                    parted?;
                }
            }
        }
    }

    fn add<'r>(&self, batches: &Batches<'_>, rows: impl IntoIterator<Item = &'r Row>) {
        let mut aside = self.rows();
        for row in rows {
            let locator = batches.selection().locator(row);
            if aside.rows.len() < MOST {
                aside.rows.insert(locator, row.clone());
            }
        }
    }

    /// How many rows are set aside.
    pub fn count(&self) -> usize {
        self.rows().rows.len()
    }

    /// Those of these rows that are not set aside.
    pub fn others(&self, batches: &Batches<'_>, rows: Vec<Row>) -> Vec<Row> {
        let aside = self.rows();
        rows.into_iter().filter(|row| !aside.rows.contains_key(&batches.selection().locator(row))).collect()
    }

    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Changes those of these rows that nobody else has locked, with all that goes along; their places in the list.
async fn change(
    batches: &Batches<'_>,
    book: &Book<'_>,
    worker: &mut Worker,
    part: &[Row],
    lock: Option<Lock>,
) -> Result<Vec<usize>, Failure> {
    let rows: Vec<&Row> = part.iter().collect();
    let (changed, places) = batches.change_chosen(worker.connection.as_mut(), &rows, lock).await?;
    book.settle(worker, changed).await?;
    Ok(places)
}

/// Fewer rows at a time may do.
fn is_too_much(failure: &Failure) -> bool {
    match failure {
        Failure::TooLarge { .. } => true,
        Failure::Database(error) => matches!(error.kind, ErrorKind::Locked | ErrorKind::StatementTimeout),
        _ => false,
    }
}
