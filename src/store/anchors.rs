//! What places outside have taken of the ledger's checkpoints.

use super::{Error, Store, signed, unsigned};
use jiff::Timestamp;

/// A checkpoint that a place outside has taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnchoredCheckpoint {
    pub size: u64,
    /// The note, with the cosignature where the place is a witness.
    pub note: String,
    pub at: Timestamp,
}

impl Store {
    /// The newest checkpoint that a place has taken.
    pub async fn anchored(&mut self, place: &str) -> Result<Option<AnchoredCheckpoint>, Error> {
        let sql = "select size, note, taken_at from anchored_checkpoints where place = $1";
        let row: Option<(i64, String, i64)> = self.fetch_one(sql, vec![place.into()]).await?;
        let read = |(size, note, at)| {
            let at = Timestamp::from_second(at).map_err(|_| Error::Damaged(format!("it holds the time {at}")))?;
            Ok(AnchoredCheckpoint { size: unsigned(size)?, note, at })
        };
        row.map(read).transpose()
    }

    pub(crate) async fn remember_anchored(
        &mut self,
        place: &str,
        size: u64,
        note: &str,
        at: Timestamp,
    ) -> Result<(), Error> {
        let sql = "insert into anchored_checkpoints (place, size, note, taken_at) values ($1, $2, $3, $4)
                   on conflict (place) do update set size = excluded.size, note = excluded.note, taken_at = excluded.taken_at
                   where anchored_checkpoints.size <= excluded.size";
        self.execute(sql, vec![place.into(), signed(size)?.into(), note.into(), at.as_second().into()]).await
    }
}
