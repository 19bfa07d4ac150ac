//! Goes through a table, batch after batch. Where it can be cut into stretches, several connections are at it at once:
//! each takes the next stretch, changes its due rows, announces and commits them, while the others do the same elsewhere.

use super::{
    Failure, Surroundings,
    batch::{Batches, Position, Stretch},
    book::Book,
    pace,
};
use crate::{
    database::{Connection, ErrorKind},
    plan::Walk,
    settings,
};
use futures_util::future::join_all;
use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

/// One pass through the table, on as many connections as there are.
///
/// # Errors
/// The first failure of a connection; the others have ended their batches by then.
pub(super) async fn pass(
    around: &Surroundings<'_>,
    batches: &Batches<'_>,
    connections: &mut [Box<dyn Connection>],
    book: &Book<'_>,
    first: bool,
) -> Result<(), Failure> {
    let pass = Pass {
        around,
        batches,
        book,
        size: Mutex::new(first_size(batches, &book.pace.settings)),
        rest: tokio::sync::Mutex::new(Some(batches.start())),
        over: AtomicBool::new(false),
        enough: first.then_some(batches.expected),
    };
    // no connection is given up in the middle of a statement: each comes to its end
    let ends = join_all(connections.iter_mut().map(|connection| pass.work(connection.as_mut()))).await;
    ends.into_iter().collect()
}

/// What the connections share.
struct Pass<'a, 'ledger> {
    around: &'a Surroundings<'a>,
    batches: &'a Batches<'a>,
    book: &'a Book<'ledger>,
    size: Mutex<pace::Size>,
    /// Where the next stretch begins; `None` when all is handed out.
    rest: tokio::sync::Mutex<Option<Position>>,
    /// A connection failed, or all that there was to do is done: the others stop after their batch.
    over: AtomicBool,
    /// All that the plan counted: what lies behind it is counted again, not walked through.
    enough: Option<u64>,
}

impl Pass<'_, '_> {
    /// Batches, one after the other, until there are none.
    async fn work(&self, connection: &mut dyn Connection) -> Result<(), Failure> {
        let pace = &self.around.job.settings.pace;
        let mut turns = self.book.pace.turns();
        let mut stretch = None;
        let mut attempt = 0;
        while turns.next(&self.over).await? {
            match self.batch(connection, &mut stretch).await {
                Ok(true) => attempt = 0,
                Ok(false) => return Ok(()),
                Err(failure) if is_worth_another_try(&failure) && attempt < pace.retries => {
                    attempt += 1;
                    self.size().shrink();
                    tracing::warn!(attempt, reason = %failure, "batch is tried again, smaller");
                    tokio::time::sleep(pace::pause(attempt)).await;
                }
                Err(failure) => {
                    self.over.store(true, Ordering::Relaxed);
                    return Err(failure);
                }
            }
        }
        Ok(())
    }

    /// One batch of the connection's stretch, or of the next one; false when there is none.
    async fn batch(&self, connection: &mut dyn Connection, stretch: &mut Option<Stretch>) -> Result<bool, Failure> {
        if stretch.is_none() {
            *stretch = self.next_stretch(connection).await?;
        }
        let Some(current) = stretch else { return Ok(false) };
        let size = self.size().current().min(current.size);
        let changed = self.batches.change(connection, current, size).await?;
        self.size().took(size, changed.longest);
        let next = changed.next.clone();
        self.book.settle(connection, changed).await?;
        if let Some(enough) = self.enough
            && self.book.pages().await.disposed >= enough
        {
            self.over.store(true, Ordering::Relaxed);
        }
        // many rows may share a starting point; a key that leads back to itself would never end
        if matches!(&next, Some(next @ Position::After(_)) if *next == current.from) {
            return Err(Failure::Stuck);
        }
        *stretch = next.map(|from| Stretch { from, ..current.clone() });
        Ok(true)
    }

    async fn next_stretch(&self, connection: &mut dyn Connection) -> Result<Option<Stretch>, Failure> {
        let mut rest = self.rest.lock().await;
        let Some(from) = rest.clone() else { return Ok(None) };
        let size = self.size().current();
        let stretch = self.batches.cut(connection, from, size).await?;
        *rest = stretch.as_ref().and_then(|stretch| stretch.to.clone());
        Ok(stretch)
    }

    fn size(&self) -> MutexGuard<'_, pace::Size> {
        self.size.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn first_size(batches: &Batches<'_>, pace: &settings::Pace) -> pace::Size {
    let most = u64::from(pace.batch_rows);
    let keys = matches!(batches.walk, Walk::Keys | Walk::StartingPoint(_));
    let listed = batches.dialect.most_keys(&batches.work.locator()).filter(|_| keys);
    match batches.walk {
        // after a stretch without due rows a batch must not take in more of a dense one than it may
        Walk::Blocks => pace::Size::new(64, (most / batches.rows_per_block()).max(1), pace.batch_target),
        _ => pace::Size::new(1000, listed.map_or(most, |listed| listed.min(most)), pace.batch_target),
    }
}

pub(super) fn is_worth_another_try(failure: &Failure) -> bool {
    match failure {
        Failure::Database(error) => matches!(error.kind, ErrorKind::Transient | ErrorKind::StatementTimeout),
        // a row may have begun to wait for another between being chosen and being changed; a trigger stays
        Failure::Kept { .. } => true,
        _ => false,
    }
}
