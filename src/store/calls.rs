//! How many calls of a day's quota recipients have had.

use super::{Error, Store, signed, unsigned};
use jiff::Timestamp;

impl Store {
    /// Takes up to `wanted` of the `most` calls that a recipient may have on the day that begins then; how many there were.
    pub async fn take_calls(&mut self, recipient: &str, day: Timestamp, most: u32, wanted: u32) -> Result<u32, Error> {
        self.begin().await?;
        let had = self.calls(recipient, day).await?;
        let left = u64::from(most).saturating_sub(had);
        let given = u32::try_from(left).map_or(wanted, |left| left.min(wanted));
        if given > 0 {
            // other days count no more
            let sql = "delete from recipient_calls where recipient = $1 and day <> $2";
            self.execute(sql, vec![recipient.into(), day.as_second().into()]).await?;
            let sql = "insert into recipient_calls (recipient, day, calls) values ($1, $2, $3)
                       on conflict (recipient, day) do update set calls = excluded.calls";
            let calls = signed(had + u64::from(given))?;
            self.execute(sql, vec![recipient.into(), day.as_second().into(), calls.into()]).await?;
        }
        self.commit().await?;
        Ok(given)
    }

    /// Gives back calls that were taken and not made.
    pub async fn give_calls_back(&mut self, recipient: &str, day: Timestamp, calls: u32) -> Result<(), Error> {
        let sql = "update recipient_calls set calls = calls - $3 where recipient = $1 and day = $2 and calls >= $3";
        self.execute(sql, vec![recipient.into(), day.as_second().into(), i64::from(calls).into()]).await
    }

    /// How many calls a recipient has had on the day that begins then.
    pub async fn calls(&mut self, recipient: &str, day: Timestamp) -> Result<u64, Error> {
        let sql = "select calls from recipient_calls where recipient = $1 and day = $2";
        let calls: Option<(i64,)> = self.fetch_one(sql, vec![recipient.into(), day.as_second().into()]).await?;
        Ok(calls.map(|(calls,)| unsigned(calls)).transpose()?.unwrap_or(0))
    }
}
