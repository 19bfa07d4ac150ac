//! The ledger as JSON Lines, to be verified by others.
//!
//! The first line is a header. Then come the entries exactly as they were hashed; the row tags of a batch follow its
//! intent, a checkpoint follows the last entry that it covers. Each line is canonical JSON and each kind begins with a
//! key of its own, so the first characters tell what a line is.

use super::{Error, Event, PAGE, Result, entry, parse};
use crate::store::{Store, StoredTags};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// The first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// [`entry::FORMAT`].
    pub format: String,
    /// The public keys that the ledger has introduced, oldest first, as `sunset keys list` prints them.
    pub keys: Vec<String>,
    pub origin: String,
}

/// A signed checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointLine {
    /// The signed note.
    pub checkpoint: String,
}

/// The row tags of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagsLine {
    /// The number of the intent.
    pub intent: u64,
    /// Base64 of the sorted tags, 16 bytes each.
    pub tags: String,
}

/// Gives the lines one after the other, as the ledger was when it started. Holds one page of entries and the tags of one
/// batch.
pub struct Export<'a> {
    store: &'a mut Store,
    /// Lines that are ready.
    ready: VecDeque<String>,
    /// Entries that were read and not given yet.
    page: VecDeque<(u64, String)>,
    /// The number of the newest entry given.
    given: u64,
    /// The newest entry and checkpoint to give.
    last_entry: u64,
    last_checkpoint: u64,
    next_checkpoint: Option<(u64, String)>,
}

impl<'a> Export<'a> {
    /// # Errors
    /// The ledger's first entry cannot be read.
    pub async fn new(store: &'a mut Store) -> Result<Self> {
        // In this order no checkpoint can cover entries that are not given.
        let last_checkpoint = store.last_checkpoint().await?.map_or(0, |checkpoint| checkpoint.size);
        let last_entry = store.last_entry().await?.map_or(0, |(seq, _)| seq);
        let origin = match store.entry(1).await? {
            Some(line) => match parse(1, &line)?.event {
                Event::LedgerStarted { origin, .. } => origin,
                _ => return Err(Error::Broken("entry 1 does not start a ledger".into())),
            },
            None => return Err(Error::Broken("it has no first entry: nothing was ever written".into())),
        };
        let known = store.known_keys().await?;
        let keys =
            known.into_iter().filter(|key| key.introduced <= last_entry).filter_map(|key| key.public_key).collect();
        let header = write(&Header { format: entry::FORMAT.into(), keys, origin })?;
        let next_checkpoint = store.checkpoint_after(0).await?;
        Ok(Self {
            store,
            ready: VecDeque::from([header]),
            page: VecDeque::new(),
            given: 0,
            last_entry,
            last_checkpoint,
            next_checkpoint,
        })
    }

    /// The number of the newest entry that is exported.
    pub fn last_entry(&self) -> u64 {
        self.last_entry
    }

    /// The next line, without line break; `None` after the last.
    pub async fn next(&mut self) -> Result<Option<String>> {
        if let Some(line) = self.ready.pop_front() {
            return Ok(Some(line));
        }
        if self.page.is_empty() && self.given < self.last_entry {
            self.page = self.store.entries_after(self.given, PAGE).await?.into();
        }
        let entry = self.page.pop_front().filter(|(seq, _)| *seq <= self.last_entry);
        // A checkpoint of entries that are gone is given all the same: it shows that they were there.
        let upcoming = entry.as_ref().map_or(u64::MAX, |(seq, _)| *seq);
        if let Some((size, note)) = self.next_checkpoint.take_if(|(size, _)| *size < upcoming)
            && size <= self.last_checkpoint
        {
            self.next_checkpoint = self.store.checkpoint_after(size).await?;
            if let Some(entry) = entry {
                self.page.push_front(entry);
            }
            return Ok(Some(write(&CheckpointLine { checkpoint: note })?));
        }
        let Some((seq, line)) = entry else { return Ok(None) };
        self.given = seq;
        // Within a text the quotes would be escaped.
        if line.contains(r#""type":"intent""#)
            && let Some(StoredTags { intent, tags, .. }) = self.store.tags(seq).await?
        {
            self.ready.push_back(write(&TagsLine { intent, tags: BASE64_STANDARD.encode(tags) })?);
        }
        Ok(Some(line))
    }
}

fn write(line: &impl Serialize) -> Result<String> {
    serde_json_canonicalizer::to_string(line).map_err(|_| Error::Broken("a line cannot be written".into()))
}
