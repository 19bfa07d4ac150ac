//! Passes through tables, and the chunks that they are cut into: what several connections, processes and machines share.
//!
//! A chunk is leased to one connection, which is known by its run and by the number of the lock that its session holds in
//! the database it works on. The fence grows with every new holder, so that an old one can change nothing here. What a
//! lost write costs is time, never a row: rows are taken by transactions of their own database.

use super::{Argument, Error, Store, connection::Connection, signed, unsigned};
use std::time::Duration;

/// What a pass begins with.
#[derive(Clone, Debug)]
pub struct NewPass<'a> {
    pub rule: &'a str,
    /// Tells apart what the rule meant at the time: only passes for the same work are shared.
    pub work: &'a str,
    /// Sealed: where the first chunk begins.
    pub rest: Vec<u8>,
    /// Sizes of the table's parts when the pass began.
    pub sizes: &'a str,
    /// The pass is over when so many rows are disposed of; `None` when it has to see the whole table.
    pub enough: Option<u64>,
}

/// A pass that has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredPass {
    pub id: u64,
    /// Nobody had begun it.
    pub fresh: bool,
    pub sizes: String,
}

/// Who works: a run, and the number of the session's lock.
#[derive(Clone, Copy, Debug)]
pub struct Holder<'a> {
    pub run: &'a str,
    pub worker: u32,
}

/// A leased part of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredChunk {
    pub pass: u64,
    pub number: u64,
    pub fence: u64,
    /// Sealed: where its next batch begins.
    pub begin: Vec<u8>,
    /// Sealed: where it ends; `None` at the table's end.
    pub end: Option<Vec<u8>>,
}

/// What there is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// Somebody left it.
    Chunk(StoredChunk),
    /// The next chunk is to be cut off here (sealed), and added with this version.
    Cut { rest: Vec<u8>, version: u64 },
    /// All is handed out; these workers are still at it.
    Wait { workers: Vec<u32> },
    /// So many rows were disposed of.
    Over { disposed: u64 },
}

impl Store {
    /// Joins the rule's pass for the same work, or begins one. The workers that are at another work, when there are any.
    pub(crate) async fn join_pass(&mut self, new: &NewPass<'_>) -> Result<Result<StoredPass, Vec<u32>>, Error> {
        self.begin_lightly().await?;
        let joined = self.join(new).await;
        self.end(joined).await
    }

    /// Ends `done`, a chunk with so many rows, and looks for the next: one that was left, or a new one to be cut.
    pub(crate) async fn take_chunk(
        &mut self,
        pass: u64,
        holder: Holder<'_>,
        lease: Duration,
        done: Option<(&StoredChunk, u64)>,
    ) -> Result<Taken, Error> {
        self.begin_lightly().await?;
        let taken = self.take(signed(pass)?, holder, lease, done).await;
        self.end(taken).await
    }

    /// Adds the chunk that was cut off, and leases it; `None` when somebody else was faster.
    pub(crate) async fn add_chunk(
        &mut self,
        pass: u64,
        version: u64,
        holder: Holder<'_>,
        lease: Duration,
        bounds: (Vec<u8>, Option<Vec<u8>>),
    ) -> Result<Option<StoredChunk>, Error> {
        self.begin_lightly().await?;
        let added = self.add(signed(pass)?, version, holder, lease, bounds).await;
        self.end(added).await
    }

    /// Nothing is left behind the chunks that are handed out.
    pub(crate) async fn nothing_left(&mut self, pass: u64, version: u64) -> Result<(), Error> {
        let sql = "update passes set version = version + 1, rest = null where id = $1 and version = $2";
        self.execute(sql, vec![signed(pass)?.into(), signed(version)?.into()]).await
    }

    /// Keeps a chunk for longer, from its next batch on; false when somebody has taken it over.
    pub(crate) async fn keep_chunk(
        &mut self,
        kept: &StoredChunk,
        begin: Vec<u8>,
        lease: Duration,
    ) -> Result<bool, Error> {
        let until = self.clock().await? + milliseconds(lease);
        let sql = "update chunks set begins = $4, leased_until = $5
                   where pass = $1 and number = $2 and fence = $3 returning number";
        let mut arguments = named(kept)?;
        arguments.extend([begin.into(), until.into()]);
        let row: Option<(i64,)> = self.fetch_one(sql, arguments).await?;
        Ok(row.is_some())
    }

    /// Gives a chunk back whose next batch begins here, with so many rows disposed of.
    pub(crate) async fn leave_chunk(&mut self, left: &StoredChunk, begin: Vec<u8>, rows: u64) -> Result<(), Error> {
        let sql = "update chunks set begins = $4, leased_until = 0 where pass = $1 and number = $2 and fence = $3";
        let mut arguments = named(left)?;
        arguments.push(begin.into());
        self.execute(sql, arguments).await?;
        self.add_disposed(signed(left.pass)?, rows).await
    }

    /// A worker is no more: whatever it had can be taken.
    pub(crate) async fn leave_all_of(&mut self, rule: &str, worker: u32) -> Result<(), Error> {
        let sql = "update chunks set leased_until = 0, fence = fence + 1
                   where worker = $2 and leased_until > 0 and pass in (select id from passes where rule = $1)";
        self.execute(sql, vec![rule.into(), i64::from(worker).into()]).await
    }

    /// Ends a pass before all of its chunks are done.
    pub(crate) async fn end_pass(&mut self, pass: u64) -> Result<(), Error> {
        let pass = signed(pass)?;
        self.execute("update passes set is_over = 1, rest = null where id = $1", vec![pass.into()]).await?;
        self.execute("delete from chunks where pass = $1", vec![pass.into()]).await
    }

    async fn join(&mut self, new: &NewPass<'_>) -> Result<Result<StoredPass, Vec<u32>>, Error> {
        let sql = "select id, work, sizes from passes where rule = $1 and is_over = 0";
        let open: Option<(i64, String, String)> = self.fetch_one(sql, vec![new.rule.into()]).await?;
        if let Some((id, work, sizes)) = open {
            if work == new.work {
                return Ok(Ok(StoredPass { id: unsigned(id)?, fresh: false, sizes }));
            }
            let workers = self.workers_at(id).await?;
            if !workers.is_empty() {
                return Ok(Err(workers));
            }
        }
        let chunks = "delete from chunks where pass in (select id from passes where rule = $1)";
        self.execute(chunks, vec![new.rule.into()]).await?;
        let id: Option<(i64,)> = self.fetch_one("select coalesce(max(id), 0) + 1 from passes", vec![]).await?;
        let id = id.map_or(1, |(id,)| id);
        self.execute("delete from passes where rule = $1", vec![new.rule.into()]).await?;
        let sql = "insert into passes (id, rule, work, rest, version, sizes, enough, disposed, is_over)
                   values ($1, $2, $3, $4, 0, $5, $6, 0, 0)";
        let enough = new.enough.map_or(Ok(UNKNOWN), signed)?;
        let (rest, sizes) = (new.rest.clone().into(), new.sizes.into());
        self.execute(sql, vec![id.into(), new.rule.into(), new.work.into(), rest, sizes, enough.into()]).await?;
        Ok(Ok(StoredPass { id: unsigned(id)?, fresh: true, sizes: new.sizes.to_owned() }))
    }

    async fn take(
        &mut self,
        pass: i64,
        holder: Holder<'_>,
        lease: Duration,
        done: Option<(&StoredChunk, u64)>,
    ) -> Result<Taken, Error> {
        if let Some((chunk, rows)) = done {
            let sql = "delete from chunks where pass = $1 and number = $2 and fence = $3";
            self.execute(sql, named(chunk)?).await?;
            self.add_disposed(pass, rows).await?;
        }
        let sql = "select rest, version, enough, disposed, is_over from passes where id = $1";
        let found: Option<PassRow> = self.fetch_one(sql, vec![pass.into()]).await?;
        let Some((rest, version, enough, disposed, is_over)) = found else { return Ok(Taken::Over { disposed: 0 }) };
        let now = self.clock().await?;
        if is_over == 0 && (enough == UNKNOWN || disposed < enough) {
            let sql = "update chunks set fence = fence + 1, run = $3, worker = $4, leased_until = $5
                       where pass = $1 and number =
                             (select min(number) from chunks where pass = $1 and leased_until <= $2)
                       returning number, fence, begins, ends";
            let (run, worker) = (holder.run.into(), i64::from(holder.worker).into());
            let until = (now + milliseconds(lease)).into();
            let left = self.fetch_one(sql, vec![pass.into(), now.into(), run, worker, until]).await?;
            if let Some(left) = left {
                return chunk(pass, left).map(Taken::Chunk);
            }
            if let Some(rest) = rest {
                return Ok(Taken::Cut { rest, version: unsigned(version)? });
            }
            let workers = self.workers_at(pass).await?;
            if !workers.is_empty() {
                return Ok(Taken::Wait { workers });
            }
        }
        self.execute("update passes set is_over = 1, rest = null where id = $1", vec![pass.into()]).await?;
        Ok(Taken::Over { disposed: unsigned(disposed)? })
    }

    async fn add(
        &mut self,
        pass: i64,
        version: u64,
        holder: Holder<'_>,
        lease: Duration,
        (begin, end): (Vec<u8>, Option<Vec<u8>>),
    ) -> Result<Option<StoredChunk>, Error> {
        let sql = "update passes set version = version + 1, rest = $3
                   where id = $1 and version = $2 and is_over = 0 returning version";
        let cut = self.fetch_one(sql, vec![pass.into(), signed(version)?.into(), end.clone().into()]).await?;
        let Some((number,)): Option<(i64,)> = cut else { return Ok(None) };
        let until = self.clock().await? + milliseconds(lease);
        let sql = "insert into chunks (pass, number, fence, begins, ends, run, worker, leased_until)
                   values ($1, $2, 1, $3, $4, $5, $6, $7)";
        let (run, worker) = (holder.run.into(), i64::from(holder.worker).into());
        let (begins, ends) = (begin.clone().into(), end.clone().into());
        self.execute(sql, vec![pass.into(), number.into(), begins, ends, run, worker, until.into()]).await?;
        chunk(pass, (number, 1, begin, end)).map(Some)
    }

    async fn workers_at(&mut self, pass: i64) -> Result<Vec<u32>, Error> {
        let now = self.clock().await?;
        let sql = "select distinct worker from chunks where pass = $1 and leased_until > $2 order by worker";
        let rows: Vec<(i64,)> = self.fetch(sql, vec![pass.into(), now.into()]).await?;
        Ok(rows.into_iter().filter_map(|(worker,)| u32::try_from(worker).ok()).collect())
    }

    async fn add_disposed(&mut self, pass: i64, rows: u64) -> Result<(), Error> {
        let sql = "update passes set disposed = disposed + $2 where id = $1";
        self.execute(sql, vec![pass.into(), signed(rows)?.into()]).await
    }

    /// The store's own clock, the same for all who lease from it: milliseconds since 1970.
    async fn clock(&mut self) -> Result<i64, Error> {
        let sql = match self.connection {
            Connection::Sqlite(_) => "select cast((julianday('now') - 2440587.5) * 86400000 as integer)",
            Connection::Postgres(_) => "select (extract(epoch from clock_timestamp()) * 1000)::bigint",
        };
        let now: Option<(i64,)> = self.fetch_one(sql, vec![]).await?;
        Ok(now.map_or(0, |(now,)| now))
    }

    /// Commits what went well, undoes what did not.
    async fn end<T>(&mut self, worked: Result<T, Error>) -> Result<T, Error> {
        match worked {
            Ok(value) => {
                self.commit().await?;
                Ok(value)
            }
            Err(error) => {
                let _ = self.rollback().await;
                Err(error)
            }
        }
    }
}

/// A pass that has to see the whole table.
const UNKNOWN: i64 = -1;

/// `rest`, `version`, `enough`, `disposed`, `is_over`.
type PassRow = (Option<Vec<u8>>, i64, i64, i64, i64);

fn named(chunk: &StoredChunk) -> Result<Vec<Argument>, Error> {
    [chunk.pass, chunk.number, chunk.fence].into_iter().map(|number| Ok(signed(number)?.into())).collect()
}

fn chunk(pass: i64, (number, fence, begin, end): (i64, i64, Vec<u8>, Option<Vec<u8>>)) -> Result<StoredChunk, Error> {
    let (pass, number, fence) = (unsigned(pass)?, unsigned(number)?, unsigned(fence)?);
    Ok(StoredChunk { pass, number, fence, begin, end })
}

fn milliseconds(lease: Duration) -> i64 {
    i64::try_from(lease.as_millis()).unwrap_or(i64::MAX / 2)
}
