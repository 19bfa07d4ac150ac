//! What Sunset itself keeps: ledger entries, row tags, checkpoints, keys, holds, and what recipients have answered, and how often they
//! were called.
//!
//! A SQLite file by default, PostgreSQL (schema `sunset`) by URL. Both speak the same SQL here: parameters are `$1`,
//! numbers are `bigint`, times are RFC 3339 texts; `connection` hides the rest. Every change is made between
//! `begin` and `commit`, one writer at a time over all processes, so that what is read inside is
//! what the change builds on. The ledger's meaning lives in [`crate::ledger`]; this module only keeps it.

mod anchors;
mod attestations;
mod calls;
mod chunks;
mod connection;
mod derived;
mod entries;
mod error;
mod holds;
mod k_anonymity;
mod keys;
mod maintenance;
mod migrations;
mod pauses;
mod positions;
mod recipients;
mod requests;
mod standing;
mod taken;

pub use anchors::AnchoredCheckpoint;
pub use chunks::{Holder, NewPass, StoredChunk, StoredPass, Taken};
pub use derived::NotedIntent;
pub use entries::{StoredCheckpoint, StoredTags};
pub use error::Error;
pub use holds::{Hold, HoldTarget, NewHold, Release};
pub use keys::{KeyStatus, StoredKey};
pub use pauses::Pause;
pub use positions::NotedPosition;
pub use recipients::{Backlog, Pending, RecipientCount, Remembered, StoredNotice, Validity};

pub use requests::{Approval, Closing, Identified, NewRequest, PersonRequest, RequestOutcome, Served, Staying};

use crate::settings::StoreSettings;
use connection::{Argument, Connection};
use sqlx::{FromRow, postgres::PgRow, sqlite::SqliteRow};

/// An open store: one connection.
///
/// SQLite's file is created with mode 0600 in a directory with mode 0700, runs in WAL mode and is synced to disk at
/// each commit. PostgreSQL needs a direct connection or session pooling.
pub struct Store {
    connection: Connection,
    /// A transaction is open, or was when its future was dropped.
    dirty: bool,
}

impl Store {
    /// Opens the store, creates it where there is none and brings its tables up to date.
    pub async fn open(settings: &StoreSettings) -> Result<Self, Error> {
        let mut store = Self { connection: Connection::open(settings, true).await?, dirty: false };
        store.migrate().await?;
        Ok(store)
    }

    /// Opens a store that exists already and changes nothing: for commands that only read.
    ///
    /// # Errors
    /// [`Error::Absent`] where no store is; it is not created.
    pub async fn open_existing(settings: &StoreSettings) -> Result<Self, Error> {
        let mut store = Self { connection: Connection::open(settings, false).await?, dirty: false };
        store.require_current_tables(settings).await?;
        Ok(store)
    }

    /// Opens a transaction and waits for its turn: only one process writes at a time.
    pub(crate) async fn begin(&mut self) -> Result<(), Error> {
        if self.dirty {
            // Fails where the future was dropped before the transaction had begun. A broken connection will show below.
            let _ = self.rollback().await;
        }
        self.dirty = true;
        self.connection.begin().await
    }

    /// Begins a transaction whose work may be lost when the machine fails, and is only done again then.
    pub(crate) async fn begin_lightly(&mut self) -> Result<(), Error> {
        if self.dirty {
            let _ = self.rollback().await;
        }
        self.dirty = true;
        self.connection.begin_lightly().await
    }

    /// Makes everything since [`Store::begin`] permanent, on disk.
    pub(crate) async fn commit(&mut self) -> Result<(), Error> {
        self.connection.raw("commit").await?;
        self.dirty = false;
        Ok(())
    }

    /// Undoes everything since [`Store::begin`].
    pub(crate) async fn rollback(&mut self) -> Result<(), Error> {
        let undone = self.connection.raw("rollback").await;
        self.dirty = false;
        undone
    }

    /// Says goodbye to the server; dropping does not.
    pub async fn close(self) -> Result<(), Error> {
        self.connection.close().await
    }

    async fn execute(&mut self, sql: &'static str, arguments: Vec<Argument>) -> Result<(), Error> {
        self.connection.execute(sql, arguments).await
    }

    async fn fetch<T>(&mut self, sql: &'static str, arguments: Vec<Argument>) -> Result<Vec<T>, Error>
    where
        T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        self.connection.fetch(sql, arguments).await
    }

    async fn fetch_one<T>(&mut self, sql: &'static str, arguments: Vec<Argument>) -> Result<Option<T>, Error>
    where
        T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        Ok(self.fetch(sql, arguments).await?.pop())
    }
}

/// Numbers are kept as `bigint`.
fn signed(number: u64) -> Result<i64, Error> {
    i64::try_from(number).map_err(|_| Error::Damaged(format!("{number} is too large a number to keep")))
}

/// The way back.
fn unsigned(number: i64) -> Result<u64, Error> {
    u64::try_from(number).map_err(|_| Error::Damaged(format!("it holds the number {number}, which cannot be")))
}
