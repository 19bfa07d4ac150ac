//! Which keys the ledger knows and which were destroyed on purpose. No secrets.

use super::{Error, Store, signed, unsigned};
use jiff::Timestamp;

/// A key that the ledger has introduced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredKey {
    /// `tag` or `signing`.
    pub kind: String,
    pub id: String,
    /// A signing key's public part.
    pub public_key: Option<String>,
    /// The number of the entry that introduced it.
    pub introduced: u64,
    pub status: KeyStatus,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyStatus {
    InUse,
    Destroyed(Timestamp),
}

/// Kind, id, public key, introducing entry, time of destruction.
type KeyRow = (String, String, Option<String>, i64, Option<String>);

impl Store {
    /// All keys that the ledger has introduced, oldest first.
    pub async fn known_keys(&mut self) -> Result<Vec<StoredKey>, Error> {
        let sql = "select kind, id, public_key, introduced, destroyed_at from known_keys order by introduced";
        let rows: Vec<KeyRow> = self.fetch(sql, vec![]).await?;
        rows.into_iter()
            .map(|(kind, id, public_key, introduced, destroyed_at)| {
                let status = match destroyed_at {
                    None => KeyStatus::InUse,
                    Some(time) => KeyStatus::Destroyed(
                        time.parse().map_err(|_| Error::Damaged(format!("key {id} was destroyed at no known time")))?,
                    ),
                };
                Ok(StoredKey { kind, id, public_key, introduced: unsigned(introduced)?, status })
            })
            .collect()
    }

    pub(crate) async fn add_key(
        &mut self,
        kind: &str,
        id: &str,
        public_key: Option<String>,
        introduced: u64,
    ) -> Result<(), Error> {
        let sql = "insert into known_keys (kind, id, public_key, introduced) values ($1, $2, $3, $4)";
        self.execute(sql, vec![kind.into(), id.into(), public_key.into(), signed(introduced)?.into()]).await
    }

    /// False when the store knows no such tag key or it was destroyed before.
    pub(crate) async fn mark_tag_key_destroyed(&mut self, id: &str, at: Timestamp) -> Result<bool, Error> {
        let sql = "update known_keys set destroyed_at = $2
                   where kind = 'tag' and id = $1 and destroyed_at is null returning id";
        let row: Option<(String,)> = self.fetch_one(sql, vec![id.into(), at.to_string().into()]).await?;
        Ok(row.is_some())
    }
}
