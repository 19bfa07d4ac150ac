//! Others who write while a batch is at work, as the batch's own session sees them before it commits: so that the batches
//! after it get smaller, and leave room between them.

use super::pace;
use crate::database::{Connection, Dialect, Error, ErrorKind};
use std::time::{Duration, Instant};

/// What batches aim at while others write.
const SHARED_TARGET: Duration = Duration::from_millis(5);

/// A session rests at least so long, while others write.
const LEAST_REST: Duration = Duration::from_millis(5);

/// Others who were seen are minded for so many batches.
const MINDED: u32 = 20;

/// Where others are seen only when they find room to write, they get some this often.
const PROBE_EVERY: Duration = Duration::from_secs(2);

/// Whoever waits for SQLite's lock looks again after pauses of up to this.
const PROBE: Duration = Duration::from_millis(100);

/// What one session knows of others.
#[derive(Default)]
pub(super) struct Contention {
    /// The user may see them.
    sees: bool,
    /// The sessions of this run.
    own: Vec<i64>,
    /// What differs when others have written.
    version: Option<String>,
    /// When others last had room.
    probed: Option<Instant>,
    /// Others are minded for so many more batches.
    minded: u32,
}

/// What a batch saw of others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// Somebody waits for what it has locked.
    waits: bool,
    /// Somebody writes, or has written since the batch before.
    writes: bool,
}

/// A pause after a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rest {
    pub long: Duration,
    /// Others write; else they only get room to be seen.
    pub beside_writers: bool,
}

impl Contention {
    /// Whether others can be seen beside these sessions of this run: asked outside any transaction, which a question that
    /// fails would undo.
    ///
    /// # Errors
    /// The connection is broken.
    pub async fn begin(
        &mut self,
        own: &[i64],
        connection: &mut dyn Connection,
        dialect: &dyn Dialect,
    ) -> Result<(), Error> {
        self.own = own.to_vec();
        self.sees = match self.ask(connection, dialect).await {
            Ok(_) => true,
            Err(error) if error.kind == ErrorKind::Unreachable => return Err(error),
            Err(error) => {
                tracing::debug!(reason = %error, "who else writes cannot be seen");
                false
            }
        };
        Ok(())
    }

    /// What the open transaction sees of others.
    ///
    /// # Errors
    /// The transaction cannot go on.
    pub async fn look(&mut self, connection: &mut dyn Connection, dialect: &dyn Dialect) -> Result<Seen, Error> {
        match self.sees {
            true => self.ask(connection, dialect).await,
            false => Ok(Seen::default()),
        }
    }

    async fn ask(&mut self, connection: &mut dyn Connection, dialect: &dyn Dialect) -> Result<Seen, Error> {
        if let Some(statement) = dialect.other_writers(&self.own) {
            let row = connection.fetch(&statement).await?.into_iter().next().unwrap_or_default();
            let is_some = |place: usize| row.get(place).is_some_and(|number| number.as_deref() != Some("0"));
            let (waits, writes) = (is_some(0), is_some(1));
            return Ok(Seen { waits, writes: waits || writes });
        }
        let Some(statement) = dialect.written_by_others() else { return Ok(Seen::default()) };
        let version = connection.fetch(&statement).await?.into_iter().flatten().next().flatten();
        let before = std::mem::replace(&mut self.version, version);
        Ok(Seen { waits: false, writes: before.is_some() && before != self.version })
    }

    /// What a batch that saw others, or did not, means for those after it. How long this session shall rest now, where it may
    /// work for this share of its time beside others.
    pub fn heed(
        &mut self,
        dialect: &dyn Dialect,
        seen: Seen,
        took: Duration,
        duty_percent: f64,
        size: &mut pace::Size,
        now: Instant,
    ) -> Option<Rest> {
        self.minded = if seen.writes { MINDED } else { self.minded.saturating_sub(1) };
        if seen.waits {
            size.crowded();
        }
        if duty_percent >= 100.0 {
            return None;
        }
        size.aim_at((self.minded > 0).then_some(SHARED_TARGET));
        let probed = *self.probed.get_or_insert(now);
        if self.minded > 0 {
            self.probed = Some(now);
            let long = took.mul_f64((100.0 - duty_percent) / duty_percent).max(LEAST_REST);
            return Some(Rest { long, beside_writers: true });
        }
        if dialect.written_by_others().is_none() || now.saturating_duration_since(probed) < PROBE_EVERY {
            return None;
        }
        self.probed = Some(now);
        Some(Rest { long: PROBE, beside_writers: false })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{catalog::Engine, database::dialect};

    const TOOK: Duration = Duration::from_millis(4);

    #[test]
    fn others_are_minded_for_a_while() {
        let (dialect, mut contention) = (dialect(Engine::Postgres, ""), Contention::default());
        let mut size = pace::Size::new(1000, 10_000, Duration::from_millis(50));
        let mut heed = |seen, percent| contention.heed(dialect, seen, TOOK, percent, &mut size, Instant::now());
        let writes = Seen { waits: false, writes: true };
        assert_eq!(heed(Seen::default(), 25.0), None);
        let rest = |long| Some(Rest { long, beside_writers: true });
        assert_eq!(heed(writes, 25.0), rest(3 * TOOK));
        assert_eq!(heed(writes, 80.0), rest(LEAST_REST));
        assert_eq!(heed(writes, 100.0), None);
        for _ in 1..MINDED {
            assert_eq!(heed(Seen::default(), 25.0), rest(3 * TOOK));
        }
        assert_eq!(heed(Seen::default(), 25.0), None);
    }

    #[test]
    fn sqlites_others_get_room_to_be_seen() {
        let (dialect, mut contention) = (dialect(Engine::Sqlite, ""), Contention::default());
        let mut size = pace::Size::new(1000, 10_000, Duration::from_millis(50));
        let began = Instant::now();
        let mut heed = |seconds| {
            let now = began + Duration::from_secs(seconds);
            contention.heed(dialect, Seen::default(), TOOK, 25.0, &mut size, now)
        };
        let room = Some(Rest { long: PROBE, beside_writers: false });
        assert_eq!([0, 1, 2, 3, 4].map(&mut heed), [None, None, room, None, room]);
    }
}
