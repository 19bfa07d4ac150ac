//! Others who write while a batch is at work, as the batch's own session sees them before it commits: so that the batches
//! after it get smaller, and leave room between them.

use super::pace;
use crate::database::{Connection, Dialect, Error, ErrorKind};
use std::time::Duration;

/// Where who waits cannot be seen, batches aim at this when others write.
const CROWDED_TARGET: Duration = Duration::from_millis(10);

/// So long nobody of this run writes then between two batches, at least.
const ROOM: Duration = Duration::from_millis(10);

/// Every so many batches others get room to be seen.
const PROBE_EVERY: u32 = 20;

/// Whoever waits for SQLite's lock looks again after pauses of up to this, for the first tenth of a second.
const PROBE: Duration = Duration::from_millis(25);

/// What one session knows of others.
#[derive(Default)]
pub(super) struct Contention {
    /// The user may not see them, or nobody has asked yet whether it may.
    sees: Option<bool>,
    /// What differs when others have written.
    version: Option<String>,
    batches: u32,
}

impl Contention {
    /// Asks outside any transaction whether the question can be asked: one that fails would undo the batch.
    ///
    /// # Errors
    /// The connection is broken.
    pub async fn begin(&mut self, connection: &mut dyn Connection, dialect: &dyn Dialect) -> Result<(), Error> {
        if self.sees.is_some() {
            return Ok(());
        }
        self.sees = match self.ask(connection, dialect).await {
            Ok(_) => Some(true),
            Err(error) if error.kind == ErrorKind::Unreachable => return Err(error),
            Err(error) => {
                tracing::debug!(reason = %error, "who waits for a batch cannot be seen");
                Some(false)
            }
        };
        Ok(())
    }

    /// Others wait for what the open transaction has locked, or have written since the last one.
    ///
    /// # Errors
    /// The transaction cannot go on.
    pub async fn look(&mut self, connection: &mut dyn Connection, dialect: &dyn Dialect) -> Result<bool, Error> {
        match self.sees {
            Some(true) => self.ask(connection, dialect).await,
            _ => Ok(false),
        }
    }

    async fn ask(&mut self, connection: &mut dyn Connection, dialect: &dyn Dialect) -> Result<bool, Error> {
        if let Some(statement) = dialect.waiting_sessions() {
            let waiting = connection.fetch(&statement).await?.into_iter().flatten().next().flatten();
            return Ok(waiting.is_some_and(|waiting| waiting != "0"));
        }
        let Some(statement) = dialect.written_by_others() else { return Ok(false) };
        let version = connection.fetch(&statement).await?.into_iter().flatten().next().flatten();
        let before = std::mem::replace(&mut self.version, version);
        Ok(before.is_some() && before != self.version)
    }

    /// What a batch that met others, or did not, means for those after it; how long nobody of this run shall write now.
    pub fn heed(
        &mut self,
        dialect: &dyn Dialect,
        crowded: bool,
        took: Duration,
        size: &mut pace::Size,
    ) -> Option<Duration> {
        self.batches = self.batches.wrapping_add(1);
        let is_seen = dialect.waiting_sessions().is_some();
        match (crowded, is_seen) {
            (true, true) => {
                size.crowded();
                None
            }
            (true, false) => {
                size.aim_at(CROWDED_TARGET);
                Some(took.max(ROOM))
            }
            (false, true) => None,
            // who finds no room is not seen
            (false, false) => {
                let probes = dialect.written_by_others().is_some() && self.batches.is_multiple_of(PROBE_EVERY);
                probes.then_some(PROBE)
            }
        }
    }
}
