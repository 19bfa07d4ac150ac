//! Pauses of the whole job: somebody wants no batch to begin, on whatever machine.

use super::{Error, Store};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A pause of the job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    pub since: Timestamp,
    /// Who answers for it.
    pub by: String,
    pub reason: Option<String>,
    /// Until somebody ends it, where there is none.
    pub until: Option<Timestamp>,
}

impl Pause {
    /// One that nobody has ended may have ended by itself.
    pub fn is_in_force(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

impl Store {
    /// The last pause, where nobody has ended it.
    pub async fn last_pause(&mut self) -> Result<Option<Pause>, Error> {
        let sql = "select pause from pauses where ended_at is null order by id desc limit 1";
        let Some((text,)) = self.fetch_one::<(String,)>(sql, vec![]).await? else { return Ok(None) };
        serde_json::from_str(&text).map(Some).map_err(|_| Error::Damaged("a pause cannot be read".to_owned()))
    }

    /// The pause that is in force at this time.
    pub async fn pause(&mut self, now: Timestamp) -> Result<Option<Pause>, Error> {
        Ok(self.last_pause().await?.filter(|pause| pause.is_in_force(now)))
    }

    /// Begins a pause, in place of the one that is in force. The ledger calls this together with its entry.
    pub(crate) async fn add_pause(&mut self, pause: &Pause) -> Result<(), Error> {
        self.end_pauses(pause.since).await?;
        let highest: Option<(Option<i64>,)> = self.fetch_one("select max(id) from pauses", vec![]).await?;
        let id = highest.and_then(|(id,)| id).unwrap_or(0) + 1;
        let text = serde_json::to_string(pause).map_err(|_| Error::Failed("a pause cannot be written".to_owned()))?;
        self.execute("insert into pauses (id, pause) values ($1, $2)", vec![id.into(), text.into()]).await
    }

    /// Ends the pause in force, if there is one.
    pub(crate) async fn end_pauses(&mut self, at: Timestamp) -> Result<(), Error> {
        let sql = "update pauses set ended_at = $1 where ended_at is null";
        self.execute(sql, vec![at.to_string().into()]).await
    }
}
