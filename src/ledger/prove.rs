//! Proofs about one row: which batches it was in, and that the ledger has said so since a signed checkpoint.
//!
//! A proof can be checked with public keys alone. That its tag stands for a certain row, only the tag key can tell: once
//! that is destroyed, nobody can.

use super::{
    BatchResult, Entry, Error, Event, PAGE, Result,
    derived::{self, Difference},
    entry, parse,
};
use crate::{
    evidence::{
        checkpoint::{Checkpoint, CheckpointError, VerificationKey},
        merkle::{self, Hash, Tree},
        tag::{self, LEAF, TagKey},
    },
    store::{KeyStatus, Store, StoredCheckpoint},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One batch that had the row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// The id of the tag key.
    pub tag_key: String,
    /// The row's tag, in hexadecimal.
    pub tag: String,
    /// The tag's place among the batch's sorted tags, from 0.
    pub place: u64,
    /// How many tags the batch has.
    pub tags: u64,
    /// The tags of its leaf, 64 at most: those from the last multiple of 64 up to `place` on. In hexadecimal.
    pub leaf: String,
    /// Inclusion proof of the leaf in the intent's root (RFC 9162 §2.1.3), in hexadecimal.
    pub leaf_proof: Vec<String>,
    /// The batch's announcement.
    pub intent: ProvenEntry,
    /// How the batch ended; `None` while nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<ProvenEntry>,
    /// The newest checkpoint; `None` when the ledger has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<String>,
}

/// An entry and why the checkpoint covers it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProvenEntry {
    /// The exact line.
    pub line: String,
    /// Inclusion proof in the checkpoint's root, in hexadecimal; `None` when the entry is newer than the checkpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Vec<String>>,
}

/// What the ledger knows of one row.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Findings {
    /// In the order of the ledger.
    pub proofs: Vec<Proof>,
    /// Ids of the keys that were searched with.
    pub searched: Vec<String>,
    /// Keys that were destroyed: what was tagged with them cannot be known any more, by design.
    pub destroyed: Vec<String>,
    /// Keys that the ledger knows and the caller did not have.
    pub missing: Vec<String>,
    /// Batches on the table whose evidence is the number of their rows alone: nobody can tell whether they had the row.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub counted: Vec<Counted>,
}

impl Findings {
    /// A committed batch had the row.
    pub fn are_evidence(&self) -> bool {
        self.proofs.iter().any(Proof::is_committed)
    }

    /// Checks the proofs as anybody can who has the public keys.
    ///
    /// # Errors
    /// [`Error::Broken`] when one of them proves nothing, for another reason than that no checkpoint covers it yet.
    pub fn check(&self, trusted: &[VerificationKey]) -> Result<()> {
        for proof in &self.proofs {
            match verify_proof(proof, trusted) {
                Ok(_) | Err(ProofError::Uncovered(_)) => {}
                Err(error) => return Err(Error::Broken(format!("a proof from it does not hold: {error}"))),
            }
        }
        Ok(())
    }
}

impl Proof {
    /// The batch was committed.
    fn is_committed(&self) -> bool {
        let outcome = self.outcome.as_ref().and_then(|outcome| Entry::parse(&outcome.line).ok());
        matches!(outcome.map(|entry| entry.event), Some(Event::Outcome { result: BatchResult::Committed, .. }))
    }
}

/// Batches of one rule on one table that were committed and kept counts alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Counted {
    pub rule: String,
    /// `database.schema.table`.
    pub table: String,
    pub batches: u64,
    pub rows: u64,
}

/// Looks for a row under every tag key. `table` is `database.table` (in any schema) or `database.schema.table`; `key`
/// are the primary key's values as the database prints them, in key order.
///
/// # Errors
/// The store cannot be read, or the entries do not have the root that the newest checkpoint names.
pub async fn prove(store: &mut Store, keys: &[TagKey], table: &str, key: &[String]) -> Result<Findings> {
    let mut findings = Findings::default();
    // tags that are missing, or kept in another place, would not be found
    let is_about = |found: &&Difference| found.table.as_ref().is_some_and(|path| names(table, path));
    if let Some(found) = derived::differences(store, keys).await?.iter().find(is_about) {
        let entry = found.entry.unwrap_or_default();
        let message = format!("of the batch of entry {entry}, {}: it may have had the row", found.message);
        return Err(Error::Broken(message));
    }
    for known in store.known_keys().await?.into_iter().filter(|known| known.kind == "tag") {
        match known.status {
            KeyStatus::Destroyed(_) => findings.destroyed.push(known.id),
            KeyStatus::InUse if keys.iter().all(|key| key.id() != known.id) => findings.missing.push(known.id),
            KeyStatus::InUse => {}
        }
    }
    let tables: Vec<String> = store.tagged_tables().await?.into_iter().filter(|path| names(table, path)).collect();
    let mut proofs = Vec::new();
    for tag_key in keys.iter().filter(|key| findings.destroyed.iter().all(|id| id != key.id())) {
        findings.searched.push(tag_key.id().to_owned());
        for table in &tables {
            let tag = tag_key.tag(table, key);
            for intent in store.batches_with(table, tag_key.id(), &tag).await? {
                if let Some(proof) = in_batch(store, tag_key.id(), &tag, intent).await? {
                    proofs.push((intent, proof));
                }
            }
        }
    }
    for table in &tables {
        findings.counted.extend(counted(store, table).await?);
    }
    proofs.sort_by_key(|(intent, _)| *intent);
    findings.proofs = proofs.into_iter().map(|(_, proof)| proof).collect();
    cover(store, &mut findings.proofs).await?;
    Ok(findings)
}

/// The rule, among those of `rules`, a committed batch of which had the row since then.
///
/// # Errors
/// The store cannot be read.
pub(super) async fn done_by(
    store: &mut Store,
    keys: &[&TagKey],
    (table, key): (&str, &[String]),
    since: Timestamp,
    rules: &dyn Fn(&str) -> bool,
) -> Result<Option<String>> {
    for tag_key in keys {
        let tag = tag_key.tag(table, key);
        for intent in store.batches_with(table, tag_key.id(), &tag).await? {
            let Some(proof) = in_batch(store, tag_key.id(), &tag, intent).await? else { continue };
            let entry = parse(intent, &proof.intent.line)?;
            let Event::Intent(announced) = entry.event else { continue };
            if entry.at >= since && rules(&announced.rule) && proof.is_committed() {
                return Ok(Some(announced.rule));
            }
        }
    }
    Ok(None)
}

/// What the ledger knows of a table by number alone, by rule.
async fn counted(store: &mut Store, table: &str) -> Result<Vec<Counted>> {
    let mut sums: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    let mut after = 0;
    loop {
        let page = store.counted_batches(table, after, PAGE).await?;
        for (seq, intent, outcome) in &page {
            after = *seq;
            let Event::Intent(intent) = parse(*seq, intent)?.event else { continue };
            let Some(Event::Outcome { result, .. }) =
                outcome.as_deref().map(|line| parse(0, line)).transpose()?.map(|entry| entry.event)
            else {
                continue;
            };
            if result == BatchResult::Committed {
                let (batches, rows) = sums.entry(intent.rule).or_default();
                (*batches, *rows) = (*batches + 1, *rows + intent.rows);
            }
        }
        if page.len() < PAGE as usize {
            break;
        }
    }
    let sum = |(rule, (batches, rows))| Counted { rule, table: table.to_owned(), batches, rows };
    Ok(sums.into_iter().map(sum).collect())
}

/// `table` names the table at `path`, be it with or without its schema.
fn names(table: &str, path: &str) -> bool {
    let parts: Vec<&str> = path.split('.').collect();
    table == path || matches!(parts[..], [database, _, name] if table == format!("{database}.{name}"))
}

/// The proof that the batch has this tag, without its cover by a checkpoint; `None` when the bytes were found across two
/// tags.
async fn in_batch(store: &mut Store, tag_key: &str, tag: &[u8; 16], intent: u64) -> Result<Option<Proof>> {
    let Some(kept) = store.tags(intent).await? else { return Ok(None) };
    let tags = kept.tags.as_chunks::<16>().0;
    let Ok(place) = tags.binary_search(tag) else { return Ok(None) };
    let leaf = place / LEAF;
    let members = &tags[leaf * LEAF..tags.len().min((leaf + 1) * LEAF)];
    let leaves = tag::leaves(&kept.tags);
    let mut path = merkle::Proof::new(merkle::inclusion_ranges(leaf as u64, leaves.len() as u64));
    leaves.for_each(|leaf| path.push(leaf));
    let outcome = match store.outcome_of(intent).await? {
        Some(seq) => Some(line(store, seq).await?),
        None => None,
    };
    Ok(Some(Proof {
        tag_key: tag_key.to_owned(),
        tag: hex::encode(tag),
        place: place as u64,
        tags: tags.len() as u64,
        leaf: hex::encode(members.as_flattened()),
        leaf_proof: path.finish().iter().map(hex::encode).collect(),
        intent: line(store, intent).await?,
        outcome,
        checkpoint: None,
    }))
}

async fn line(store: &mut Store, seq: u64) -> Result<ProvenEntry> {
    let line = store.entry(seq).await?.ok_or_else(|| Error::Broken(format!("entry {seq} is missing")))?;
    Ok(ProvenEntry { line, proof: None })
}

/// Adds the inclusion proofs of all entries, in one pass over the ledger.
async fn cover(store: &mut Store, proofs: &mut [Proof]) -> Result<()> {
    let Some(last) = store.last_checkpoint().await?.filter(|_| !proofs.is_empty()) else { return Ok(()) };
    let mut entries = Vec::new();
    for proof in proofs {
        proof.checkpoint = Some(last.note.clone());
        entries.extend(std::iter::once(&mut proof.intent).chain(&mut proof.outcome));
    }
    include(store, &last, entries).await
}

/// Adds the inclusion proofs of these entries, as far as the checkpoint covers them.
///
/// # Errors
/// The store cannot be read, or the entries do not have the root that was signed.
pub(super) async fn include(store: &mut Store, last: &StoredCheckpoint, all: Vec<&mut ProvenEntry>) -> Result<()> {
    let mut entries = Vec::new();
    for entry in all {
        let seq = parse(0, &entry.line)?.seq;
        if (1..=last.size).contains(&seq) {
            entries.push((entry, merkle::Proof::new(merkle::inclusion_ranges(seq - 1, last.size))));
        }
    }
    let mut tree = Tree::default();
    while tree.size() < last.size {
        let page = store.entries_after(tree.size(), PAGE).await?;
        if page.is_empty() {
            return Err(Error::Broken(format!("a checkpoint covers {} entries, but there are fewer", last.size)));
        }
        for (_, line) in page.iter().take(usize::try_from(last.size - tree.size()).unwrap_or(usize::MAX)) {
            let leaf = entry::hash(line);
            tree.push(leaf);
            entries.iter_mut().for_each(|(_, path)| path.push(leaf));
        }
    }
    if Tree::from_edge(last.size, &last.edge).is_none_or(|signed| signed.root() != tree.root()) {
        return Err(Error::Broken(format!("the first {} entries are not those that were signed", last.size)));
    }
    for (entry, path) in entries {
        entry.proof = Some(path.finish().iter().map(hex::encode).collect());
    }
    Ok(())
}

/// Why a proof proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    #[error("the proof cannot be read: {0}")]
    Form(&'static str),
    #[error("no checkpoint covers {0} yet")]
    Uncovered(&'static str),
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error("{0}")]
    Wrong(&'static str),
}

/// Checks a proof with public keys alone: the row's tag is in the batch's root, intent and outcome are in the ledger
/// that the checkpoint vouches for, and the outcome is that of the intent. Gives the checkpoint.
///
/// # Errors
/// [`ProofError`] says what does not hold.
pub fn verify_proof(proof: &Proof, trusted: &[VerificationKey]) -> Result<Checkpoint, ProofError> {
    let note = proof.checkpoint.as_deref().ok_or(ProofError::Uncovered("the batch"))?;
    let checkpoint = Checkpoint::verify(note, trusted)?;
    let entry = verify_entry(&proof.intent, &checkpoint, "the intent")?;
    let Event::Intent(intent) = entry.event else { return Err(ProofError::Wrong("the entry is not an intent")) };
    let tag = hex::decode(&proof.tag).map_err(|_| ProofError::Form("the tag is not hexadecimal"))?;
    let leaf = hex::decode(&proof.leaf).map_err(|_| ProofError::Form("the leaf is not hexadecimal"))?;
    let root = hash(&intent.root)?;
    if tag.len() != 16 || intent.tag_key != proof.tag_key || intent.rows != proof.tags {
        return Err(ProofError::Wrong("the tag is not one of this intent's"));
    }
    let in_leaf = usize::try_from(proof.place % LEAF as u64).ok().and_then(|place| leaf.chunks(16).nth(place));
    if proof.place >= proof.tags || in_leaf != Some(tag.as_slice()) {
        return Err(ProofError::Wrong("the tag is not in its leaf"));
    }
    let (place, leaves) = (proof.place / LEAF as u64, proof.tags.div_ceil(LEAF as u64));
    if !merkle::verify_inclusion(merkle::leaf(&leaf), place, leaves, &hashes(&proof.leaf_proof)?, &root) {
        return Err(ProofError::Wrong("the tag is not in the batch"));
    }
    if let Some(outcome) = &proof.outcome {
        let outcome = verify_entry(outcome, &checkpoint, "the outcome")?;
        if !matches!(outcome.event, Event::Outcome { intent, .. } if intent == entry.seq) {
            return Err(ProofError::Wrong("the outcome is that of another batch"));
        }
    }
    Ok(checkpoint)
}

pub(super) fn verify_entry(
    entry: &ProvenEntry,
    checkpoint: &Checkpoint,
    what: &'static str,
) -> Result<Entry, ProofError> {
    let path = hashes(entry.proof.as_deref().ok_or(ProofError::Uncovered(what))?)?;
    let read = Entry::parse(&entry.line).map_err(|_| ProofError::Form("an entry cannot be read"))?;
    let index = read.seq.checked_sub(1).ok_or(ProofError::Form("an entry has the number 0"))?;
    if merkle::verify_inclusion(entry::hash(&entry.line), index, checkpoint.size, &path, &checkpoint.root) {
        Ok(read)
    } else {
        Err(ProofError::Wrong("an entry is not in the ledger that the checkpoint vouches for"))
    }
}

fn hashes(texts: &[String]) -> Result<Vec<Hash>, ProofError> {
    texts.iter().map(|text| hash(text)).collect()
}

fn hash(text: &str) -> Result<Hash, ProofError> {
    let malformed = ProofError::Form("a hash is not 32 bytes in hexadecimal");
    hex::decode(text).ok().and_then(|bytes| bytes.try_into().ok()).ok_or(malformed)
}
