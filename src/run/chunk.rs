//! Chunks: parts of a table that workers lease from the store, one after the other.
//!
//! All workers that are at the same work share one pass through the table, be they of one process or of several on
//! several machines. A chunk is what progress is kept by: after a crash, the next run takes up the pass where it was left.
//! Which rows go is decided by the transactions of the database alone, so that a lease that is lost, or held twice, costs
//! time and never a row.

use super::{
    Failure, Surroundings,
    batch::{Batches, Position, Stretch},
    book::Book,
    worker::{Worker, Workers},
};
use crate::{
    database::Connection,
    failpoint,
    ledger::{self, Seal},
    store::{Holder, NewPass, StoredChunk, StoredPass, Taken},
};
use std::time::{Duration, Instant};

/// Whoever is not heard of for so long is taken for dead, even while his session holds its lock.
const LEASE: Duration = Duration::from_secs(60);

/// A worker that may begin no batch gives its chunk back after so long.
pub(super) const KEPT: Duration = Duration::from_secs(LEASE.as_secs() / 3);

/// One pass through the rule's table, as the store knows it.
pub(super) struct SharedPass {
    stored: StoredPass,
    /// Of rows that the plan counted, where the pass may end with them.
    pub enough: Option<u64>,
    seal: Seal,
    rule: String,
    run: String,
    batch_rows: u32,
}

/// What a worker has leased.
pub(super) struct Chunk {
    stored: StoredChunk,
    /// What is left of it.
    pub stretch: Stretch,
    /// Rows that were disposed of.
    pub rows: u64,
    kept_at: Instant,
}

/// What comes after a chunk.
pub(super) enum Next {
    Chunk(Chunk),
    /// All is handed out; these workers are still at it.
    Wait(Vec<u32>),
    /// All is done; so many rows were disposed of by all together, in chunks that were worked to their ends.
    Over(u64),
}

impl SharedPass {
    /// Begins a pass, or joins the one that is under way. The workers that are at another work, when there are any.
    pub async fn join(
        around: &Surroundings<'_>,
        batches: &mut Batches<'_>,
        workers: &mut Workers<'_>,
        book: &mut Book<'_>,
        first: bool,
    ) -> Result<Result<Self, Vec<u32>>, Failure> {
        let rule = workers.step.rule.as_str();
        batches.measure(workers.first()).await?;
        let ledger = book.ledger();
        let seal = Seal::new(ledger.tag_key()).map_err(ledger::Error::from)?;
        let run = ledger.run().to_owned();
        // what lies behind the rows that the plan counted is counted again, not walked through
        let enough = Some(batches.expected).filter(|rows| first && *rows > 0);
        let (work, sizes) = (batches.digest(), batches.sizes());
        let rest = sealed(&seal, &batches.start())?;
        let new = NewPass { rule, work: &work, rest, sizes: &sizes, enough };
        match ledger.store().join_pass(&new).await.map_err(ledger::Error::from)? {
            Ok(stored) => {
                batches.set_sizes(&stored.sizes);
                let enough = enough.filter(|_| stored.fresh);
                tracing::debug!(rule, pass = stored.id, joined = !stored.fresh, "pass");
                let (rule, batch_rows) = (rule.to_owned(), around.job.settings.pace.batch_rows);
                Ok(Ok(Self { stored, enough, seal, rule, run, batch_rows }))
            }
            Err(workers) => Ok(Err(workers)),
        }
    }

    /// Nobody had begun the pass before.
    pub fn is_fresh(&self) -> bool {
        self.stored.fresh
    }

    /// The next chunk for a worker, who is through with `done`.
    pub async fn next(
        &self,
        batches: &Batches<'_>,
        book: &Book<'_>,
        worker: &mut Worker,
        mut done: Option<Chunk>,
    ) -> Result<Next, Failure> {
        let holder = Holder { run: &self.run, worker: worker.number };
        loop {
            failpoint::reach("before_lease");
            let ended = done.as_ref().map(|chunk| (&chunk.stored, chunk.rows));
            let taken = book.pages().await.store().take_chunk(self.stored.id, holder, LEASE, ended).await;
            let taken = taken.map_err(ledger::Error::from)?;
            done = None;
            failpoint::reach("after_lease");
            let (rest, version) = match taken {
                Taken::Chunk(stored) => return self.opened(stored, batches).map(Next::Chunk),
                Taken::Wait { workers } => return Ok(Next::Wait(workers)),
                Taken::Over { disposed } => return Ok(Next::Over(disposed)),
                Taken::Cut { rest, version } => (self.position(&rest)?, version),
            };
            // cut with nothing locked: whoever is slower finds that the rest has moved on, and asks again
            let chunk = self.cut(batches, book, worker.connection.as_mut(), holder, rest, version).await?;
            if let Some(chunk) = chunk {
                return Ok(Next::Chunk(chunk));
            }
        }
    }

    async fn cut(
        &self,
        batches: &Batches<'_>,
        book: &Book<'_>,
        connection: &mut dyn Connection,
        holder: Holder<'_>,
        rest: Position,
        version: u64,
    ) -> Result<Option<Chunk>, Failure> {
        let cut = batches.cut(connection, rest, self.length(batches)).await?;
        let mut pages = book.pages().await;
        let Some(stretch) = cut else {
            pages.store().nothing_left(self.stored.id, version).await.map_err(ledger::Error::from)?;
            return Ok(None);
        };
        let end = stretch.to.as_ref().map(|to| sealed(&self.seal, to)).transpose()?;
        let bounds = (sealed(&self.seal, &stretch.from)?, end);
        let added = pages.store().add_chunk(self.stored.id, version, holder, LEASE, bounds).await;
        let added = added.map_err(ledger::Error::from)?;
        Ok(added.map(|stored| Chunk { stored, stretch, rows: 0, kept_at: Instant::now() }))
    }

    /// Keeps a chunk while it is being worked at; false when somebody has taken it over.
    pub async fn keep(&self, book: &Book<'_>, chunk: &mut Chunk) -> Result<bool, Failure> {
        if chunk.kept_at.elapsed() < KEPT {
            return Ok(true);
        }
        let begin = sealed(&self.seal, &chunk.stretch.from)?;
        let kept = book.pages().await.store().keep_chunk(&chunk.stored, begin, LEASE).await;
        chunk.kept_at = Instant::now();
        Ok(kept.map_err(ledger::Error::from)?)
    }

    /// Leaves the rest of a chunk to others, or to the next run.
    pub async fn leave(&self, book: &Book<'_>, chunk: &Chunk) -> Result<(), Failure> {
        let begin = sealed(&self.seal, &chunk.stretch.from)?;
        let left = book.pages().await.store().leave_chunk(&chunk.stored, begin, chunk.rows).await;
        Ok(left.map_err(ledger::Error::from)?)
    }

    /// The pass need not go on: all that there was to do is done.
    pub async fn end(&self, book: &Book<'_>) -> Result<(), Failure> {
        Ok(book.pages().await.store().end_pass(self.stored.id).await.map_err(ledger::Error::from)?)
    }

    fn length(&self, batches: &Batches<'_>) -> u64 {
        batches.chunk(batches.largest(self.batch_rows))
    }

    fn opened(&self, stored: StoredChunk, batches: &Batches<'_>) -> Result<Chunk, Failure> {
        let from = self.position(&stored.begin)?;
        let to = stored.end.as_deref().map(|end| self.position(end)).transpose()?;
        tracing::info!(rule = self.rule, chunk = stored.number, "takes up a chunk that was left");
        let stretch = Stretch { from, to, size: self.length(batches) };
        Ok(Chunk { stored, stretch, rows: 0, kept_at: Instant::now() })
    }

    fn position(&self, sealed: &[u8]) -> Result<Position, Failure> {
        let position = self.seal.open(sealed).and_then(|text| serde_json::from_str(&text).ok());
        position.ok_or_else(|| ledger::Error::Broken("a chunk's bounds cannot be opened".to_owned()).into())
    }
}

fn sealed(seal: &Seal, position: &Position) -> Result<Vec<u8>, Failure> {
    let text = serde_json::to_string(position).map_err(|error| ledger::Error::Refused(error.to_string()))?;
    Ok(seal.seal(&text).map_err(ledger::Error::from)?)
}
