//! Goes through a table: each worker leases a chunk, changes its due rows batch after batch, and takes the next one, while
//! the others do the same elsewhere.

use super::{
    Failure,
    batch::{Batches, Position},
    book::Book,
    chunk::{Chunk, KEPT, Next, SharedPass},
    contention::Rest,
    locked::{Parted, SetAside},
    pace,
    worker::Worker,
};
use crate::{
    database::{ErrorKind, Lock, statements},
    plan::Walk,
    settings,
};
use futures_util::future::join_all;
use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

/// How a pass ended for the workers of this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The whole pass is over; so many rows were disposed of by all who shared it, as far as they have said.
    Over(u64),
    /// These workers of other processes are still at it.
    Others(Vec<u32>),
}

/// Works at a pass until there is nothing left to take.
///
/// # Errors
/// The first failure of a worker; the others have ended their batches by then, and left their chunks.
pub(super) async fn pass(
    batches: &Batches<'_>,
    workers: &mut [Worker],
    book: &Book<'_>,
    shared: &SharedPass,
    aside: &SetAside,
) -> Result<End, Failure> {
    let begun = book.pages().await.disposed;
    let pass = Pass {
        batches,
        book,
        shared,
        aside,
        size: Mutex::new(first_size(batches, &book.pace.settings)),
        over: AtomicBool::new(false),
        enough: shared.enough.map(|enough| enough + begun),
    };
    // no worker is given up in the middle of a statement: each comes to its end
    let ends: Vec<Result<End, Failure>> = join_all(workers.iter_mut().map(|worker| pass.work(worker))).await;
    let mut others = Vec::new();
    let mut over = None;
    for end in ends {
        match end? {
            End::Over(disposed) => over = over.max(Some(disposed)),
            End::Others(numbers) => others.extend(numbers),
        }
    }
    if pass.is_over() {
        shared.end(book).await?;
        return Ok(End::Over(book.pages().await.disposed - begun));
    }
    // who found nothing to take while a colleague was still at work has nothing to wait for
    others.retain(|number| workers.iter().all(|worker| worker.number != *number));
    Ok(over.map_or(End::Others(others), End::Over))
}

/// What the workers of one process share.
struct Pass<'a, 'ledger> {
    batches: &'a Batches<'a>,
    book: &'a Book<'ledger>,
    shared: &'a SharedPass,
    aside: &'a SetAside,
    size: Mutex<pace::Size>,
    /// A worker failed, or all that there was to do is done: the others stop after their batch.
    over: AtomicBool,
    /// Rows disposed of in all when nothing is left.
    enough: Option<u64>,
}

impl Pass<'_, '_> {
    /// Chunk after chunk, until there are none.
    async fn work(&self, worker: &mut Worker) -> Result<End, Failure> {
        let mut turns = self.book.pace.turns();
        let mut chunk = None;
        let (mut attempt, mut since) = (0, None);
        loop {
            chunk = match self.shared.next(self.batches, self.book, worker, chunk).await {
                Ok(Next::Chunk(chunk)) => Some(chunk),
                Ok(Next::Wait(workers)) => return Ok(End::Others(workers)),
                Ok(Next::Over(disposed)) => return Ok(End::Over(disposed)),
                // somebody has locked the table for a moment
                Err(failure) if failure.is_locked() => {
                    let paused = self.pause_before_another_try(failure, true, &mut attempt, &mut since).await;
                    paused.map_err(|failure| self.stop(failure))?;
                    chunk = None;
                    continue;
                }
                Err(failure) => return Err(self.stop(failure)),
            };
            let Some(current) = &mut chunk else { continue };
            if let Err(failure) = self.book.schema.look_before_chunk(worker.connection.as_mut()).await {
                let _ = self.shared.leave(self.book, current).await;
                if failure.is_locked() {
                    let paused = self.pause_before_another_try(failure, true, &mut attempt, &mut since).await;
                    paused.map_err(|failure| self.stop(failure))?;
                    chunk = None;
                    continue;
                }
                return Err(self.stop(failure));
            }
            (attempt, since) = (0, None);
            match self.chunk(worker, current, &mut turns).await {
                Ok(true) => {}
                Ok(false) => {
                    // not worked to its end: somebody else has it, nobody needs it any more, or no batch may begin here
                    self.shared.leave(self.book, current).await?;
                    chunk = None;
                    self.book.flush().await?;
                    match wait(std::slice::from_mut(worker), self.book, &mut turns, &self.over).await {
                        Ok(true) => {}
                        Ok(false) => return Ok(End::Others(Vec::new())),
                        Err(failure) => return Err(self.stop(failure)),
                    }
                }
                Err(failure) => {
                    // the first failure tells more
                    let _ = self.shared.leave(self.book, current).await;
                    return Err(self.stop(failure));
                }
            }
        }
    }

    /// Batch after batch; false when it is left before its end.
    async fn chunk(
        &self,
        worker: &mut Worker,
        chunk: &mut Chunk,
        turns: &mut pace::Turns<'_, '_>,
    ) -> Result<bool, Failure> {
        let (mut attempt, mut since) = (0, None);
        // who waits for longer keeps nothing from those who need not wait
        while turns.next_within(&self.over, KEPT).await? == Some(true) {
            if !self.shared.keep(self.book, chunk).await? {
                return Ok(false);
            }
            // colleagues change the common size meanwhile: what failed is judged by what it was
            let size = self.batches.size(&chunk.stretch, self.size().current());
            match self.batch(worker, chunk, size).await {
                Ok((more, rest)) => {
                    (attempt, since) = (0, None);
                    turns.ended();
                    if let Some(Rest { long, beside_writers }) = rest {
                        tokio::time::sleep(long).await;
                        if beside_writers {
                            self.book.pace.rested("beside_writers", long);
                        }
                    }
                    if !more {
                        return Ok(true);
                    }
                }
                Err(Failure::TooLarge { rows, most }) => {
                    if !self.shorten(chunk, size, rows, most) {
                        return Err(Failure::TooLarge { rows, most });
                    }
                    tracing::debug!(rows, most, "batch is made again, smaller");
                }
                Err(failure) if failure.is_locked() && self.batches.work.lock() == Lock::AtOnce => {
                    self.size().crowded();
                    match self.pass_over(worker, chunk, size, turns, failure).await {
                        Ok(Some(true)) => (attempt, since) = (0, None),
                        Ok(Some(false)) => return Ok(true),
                        Ok(None) => return Ok(false),
                        Err(failure) => {
                            self.pause_before_another_try(failure, true, &mut attempt, &mut since).await?;
                        }
                    }
                }
                Err(failure) => {
                    let locked = failure.is_locked();
                    self.pause_before_another_try(failure, locked, &mut attempt, &mut since).await?;
                    self.size().shrink();
                }
            }
        }
        Ok(false)
    }

    /// Changes the rows of the batch of this size, which met some that others have locked, without those; false when it was
    /// the chunk's last, `None` when no batch may begin any more.
    async fn pass_over(
        &self,
        worker: &mut Worker,
        chunk: &mut Chunk,
        size: u64,
        turns: &mut pace::Turns<'_, '_>,
        met: Failure,
    ) -> Result<Option<bool>, Failure> {
        // a walk along the starting point comes by the rows of one point that are set aside again and again
        let before = self.aside.count();
        let wanted = if self.batches.goes_by_points() { size + before as u64 } else { size };
        let (rows, next) = self.batches.candidates(worker.connection.as_mut(), &chunk.stretch, wanted).await?;
        let rows = self.aside.others(self.batches, rows);
        let parted = self.aside.part(self.batches, self.book, worker, turns, &self.over, &rows).await?;
        let Parted::Done(changed) = parted else { return Ok(None) };
        // more rows with one starting point are in the way than are remembered: nothing leads past them
        if changed == 0 && self.aside.count() == before && next.as_ref() == Some(&chunk.stretch.from) {
            return Err(met);
        }
        chunk.rows += changed;
        self.go_on(chunk, size, changed, next).await.map(Some)
    }

    /// The next batch of a chunk, of this size; false when it was the last. And how long to rest after it.
    async fn batch(&self, worker: &mut Worker, chunk: &mut Chunk, size: u64) -> Result<(bool, Option<Rest>), Failure> {
        let dialect = self.batches.dialect;
        let changed = self.batches.change(worker.connection.as_mut(), &chunk.stretch, size).await?;
        self.size().took(size, changed.longest);
        let (rows, next, began) = (changed.rows, changed.next.clone(), changed.began);
        let seen = self.book.settle(worker, changed).await?;
        let duty_percent = self.book.pace.settings.duty_percent_beside_writers;
        let rest =
            worker.contention.heed(dialect, seen, began.elapsed(), duty_percent, &mut self.size(), Instant::now());
        chunk.rows += rows;
        Ok((self.go_on(chunk, size, rows, next).await?, rest))
    }

    /// Goes on behind a batch of this size, which changed so many rows; false when it was the chunk's last.
    async fn go_on(&self, chunk: &mut Chunk, size: u64, rows: u64, next: Option<Position>) -> Result<bool, Failure> {
        if self.enough.is_some_and(|_| rows > 0) && self.has_enough().await {
            self.over.store(true, Ordering::Relaxed);
        }
        let Some(next) = next else { return Ok(false) };
        // many rows may share a starting point; a key that leads back to itself would never end
        if matches!(&next, Position::After(_)) && next == chunk.stretch.from {
            return Err(Failure::Stuck);
        }
        if !matches!(next, Position::Stride { .. }) {
            chunk.stretch.size = chunk.stretch.size.saturating_sub(size).max(1);
        }
        chunk.stretch.from = next;
        Ok(true)
    }

    /// # Errors
    /// The failure, where it is not worth another try, or was too often. What somebody has locked is worth as much time as
    /// a session would otherwise wait for it.
    async fn pause_before_another_try(
        &self,
        failure: Failure,
        locked: bool,
        attempt: &mut u32,
        since: &mut Option<Instant>,
    ) -> Result<(), Failure> {
        let pace = &self.book.pace.settings;
        let since = since.get_or_insert_with(Instant::now);
        let patient = locked && since.elapsed() < pace.lock_timeout * (pace.retries + 1);
        if !self.is_worth_another_try(&failure) || *attempt >= pace.retries && !patient {
            return Err(failure);
        }
        *attempt += 1;
        tracing::warn!(attempt, reason = %failure, "batch is tried again, smaller");
        tokio::time::sleep(pace::pause(*attempt)).await;
        Ok(())
    }

    /// A foreign key may stand against it because a row got a kept dependent since the batch began: the next one sees that.
    fn is_worth_another_try(&self, failure: &Failure) -> bool {
        let constraint = matches!(failure, Failure::Database(error) if error.kind == ErrorKind::Constraint);
        failure.is_worth_another_try() || constraint && self.batches.work.waiting.is_some()
    }

    /// Makes the next batch of the chunk shorter than the one of this size, which was too large by so much; false where
    /// it cannot be.
    fn shorten(&self, chunk: &mut Chunk, size: u64, rows: u64, most: u64) -> bool {
        let stretch = &mut chunk.stretch;
        match stretch.from {
            Position::Stride { leaf, from, to, .. } => {
                if to - from <= 1 {
                    return false;
                }
                // what earlier strides have done is no work any more
                stretch.from = Position::Block { leaf, block: from };
            }
            // what was taken for the rest of the chunk has grown since it was cut: its bound tells its end, its length does not
            _ if matches!(self.batches.walk, Walk::KeyRanges) && size >= stretch.size && stretch.size < u64::MAX => {
                stretch.size = u64::MAX;
                return true;
            }
            _ if size <= 1 => return false,
            _ => {}
        }
        self.size().limit(size, rows, most);
        true
    }

    async fn has_enough(&self) -> bool {
        let disposed = self.book.pages().await.disposed;
        self.enough.is_some_and(|enough| disposed >= enough)
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    fn stop(&self, failure: Failure) -> Failure {
        self.over.store(true, Ordering::Relaxed);
        failure
    }

    fn size(&self) -> MutexGuard<'_, pace::Size> {
        self.size.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits until work may begin; false when `over` is or becomes true. Sessions that are silent for minutes may be ended by
/// something between here and the servers, and with them their locks: so they are not silent.
pub(super) async fn wait(
    workers: &mut [Worker],
    book: &Book<'_>,
    turns: &mut pace::Turns<'_, '_>,
    over: &AtomicBool,
) -> Result<bool, Failure> {
    loop {
        if let Some(ready) = turns.ready_within(over, KEPT).await? {
            return Ok(ready);
        }
        for worker in &mut *workers {
            worker.connection.fetch(&statements::nothing()).await?;
        }
        book.check_holds().await?;
    }
}

/// Where batches begin: small, since the first one is a probe.
pub(super) fn first_size(batches: &Batches<'_>, pace: &settings::Pace) -> pace::Size {
    let first = if matches!(batches.walk, Walk::Blocks { .. }) { 64 * batches.strides() } else { 1000 };
    pace::Size::new(first, batches.largest(pace.batch_rows), pace.batch_target)
}
