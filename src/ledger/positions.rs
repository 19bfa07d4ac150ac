//! Where databases stood at the end of their last runs.

use super::{Error, Event, Restore, Result, parse};
use crate::{database::Position, store::Store};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// Where a database stood last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Noted {
    pub position: Position,
    pub at: Timestamp,
    /// The run or command that says so.
    pub run: String,
    /// The last entry in which a person let runs go on after a restore.
    pub restored: Option<u64>,
}

/// Of each database that a run has noted, by its name in the settings.
///
/// # Errors
/// The store cannot be read, or an entry that it names is about something else.
pub async fn read(store: &mut Store) -> Result<BTreeMap<String, Noted>> {
    let mut all = BTreeMap::new();
    for noted in store.positions().await? {
        let seq = noted.entry;
        let line = store.entry(seq).await?.ok_or_else(|| Error::Broken(format!("entry {seq} is missing")))?;
        let entry = parse(seq, &line)?;
        let position = match entry.event {
            Event::PositionNoted { database, position } | Event::Restored(Restore { database, position, .. })
                if database == noted.database =>
            {
                position
            }
            _ => return Err(Error::Broken(format!("entry {seq} does not tell where {} stands", noted.database))),
        };
        let (at, run, restored) = (entry.at, entry.run, noted.restored);
        all.insert(noted.database, Noted { position, at, run, restored });
    }
    Ok(all)
}
