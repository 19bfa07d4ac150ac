//! Verification: everything that can be recomputed is, from the exported lines and public keys alone.
//!
//! The lines pass by once; only the tree's edge, the open intents and the findings are kept.

use super::{
    BatchResult, Entry, Event, Result,
    derived::{self, Difference},
    entry::{self, FORMAT},
    export::{CheckpointLine, Export, Header, TagsLine},
};
use crate::{
    evidence::{
        Evidence,
        checkpoint::{Checkpoint, VerificationKey},
        merkle::{Hash, Tree},
        tag::{self, TagKey},
    },
    store::Store,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use jiff::Timestamp;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    io::{BufRead, Read as _},
};

/// No more findings are kept; the others are counted.
const MOST_FINDINGS: usize = 1000;

/// A clock that goes back by less is not worth a note: several machines may write.
const CLOCK_TOLERANCE_SECONDS: f64 = 1.0;

/// What verification found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The job whose ledger it is.
    pub origin: String,
    pub entries: u64,
    /// Checkpoints whose signature, size and root are right.
    pub checkpoints: u64,
    /// Batches that were announced.
    pub batches: u64,
    /// Rows in batches that were committed.
    pub rows: u64,
    /// Of these, rows of which the ledger keeps the number alone: none of them can be proven by itself.
    pub counted_rows: u64,
    /// Batches of which nobody can tell any more whether they were committed.
    pub unknown: u64,
    /// The newest right checkpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub covered: Option<Covered>,
    /// Checkpoints kept elsewhere that this ledger contains.
    #[serde(skip_serializing_if = "is_none")]
    pub contained: u64,
    /// Entries after it: nobody has vouched for them yet.
    pub uncovered: u64,
    /// Intents without outcome.
    pub open_intents: Vec<u64>,
    /// What is wrong. Empty when the ledger is as it was written.
    pub problems: Vec<Finding>,
    /// What is not wrong but worth knowing.
    pub notes: Vec<Finding>,
    /// Problems and notes beyond those listed.
    pub unlisted: u64,
    /// Problems of what the store derives from the entries, which `--repair` mends.
    #[serde(skip_serializing_if = "is_none")]
    pub mendable: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_none(count: &u64) -> bool {
    *count == 0
}

/// How far a checkpoint reaches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Covered {
    pub size: u64,
    /// In hexadecimal.
    pub root: String,
    pub at: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The line in the export, from 1; `None` for the whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// The entry's number, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry: Option<u64>,
    pub message: String,
}

impl Report {
    /// Nothing is wrong, and a checkpoint vouches for it.
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty() && !self.is_unsigned()
    }

    /// No checkpoint vouches for any of it: anybody could have written it.
    pub fn is_unsigned(&self) -> bool {
        self.checkpoints == 0
    }

    /// All that is wrong is in tables that can be written anew from the entries.
    pub fn is_mendable(&self) -> bool {
        self.mendable > 0 && self.mendable == self.problems.len() as u64 + self.unlisted
    }
}

/// The signed note of a checkpoint that was kept elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalNote {
    /// Where, as it follows "the checkpoint kept": `elsewhere`, `by anchor officer`.
    pub kept: String,
    pub note: String,
}

/// An intent whose tags have to be the next line.
struct AwaitedTags {
    intent: u64,
    rows: u64,
    root: String,
}

/// Takes the lines of an export in order.
pub struct Verifier {
    trusted: Vec<VerificationKey>,
    /// Not read yet.
    external_notes: Vec<ExternalNote>,
    /// Those of more entries than have passed, with where they are kept.
    external: Vec<(String, Checkpoint)>,
    report: Report,
    line: u64,
    header: Option<Header>,
    seq: u64,
    previous: Hash,
    last_at: Option<Timestamp>,
    tree: Tree,
    introduced: Vec<String>,
    /// Intents that may still come to an outcome, with their rows, and whether these are only counted.
    open: BTreeMap<u64, (u64, bool)>,
    tags: Option<AwaitedTags>,
    /// The size and the note's hash of the checkpoint in the line before.
    checkpoint: Option<(u64, String)>,
    /// The caller gave keys to trust.
    has_keys: bool,
    /// What was said tells all: nothing more is looked at.
    is_over: bool,
}

impl Verifier {
    /// `trusted` are the public keys whose signatures count; where there are none, the keys that the lines themselves
    /// introduce must do, and the report says so. `external_notes` are checkpoints kept elsewhere, which the ledger must
    /// contain.
    pub fn new(trusted: Vec<VerificationKey>, external_notes: Vec<ExternalNote>) -> Self {
        Self {
            has_keys: !trusted.is_empty(),
            is_over: false,
            trusted,
            external_notes,
            external: Vec::new(),
            report: Report::default(),
            line: 0,
            header: None,
            seq: 0,
            previous: entry::no_entry(),
            last_at: None,
            tree: Tree::default(),
            introduced: Vec::new(),
            open: BTreeMap::new(),
            tags: None,
            checkpoint: None,
        }
    }

    /// Takes the next line, without its line break.
    pub fn line(&mut self, line: &[u8]) {
        self.line += 1;
        if self.is_over {
            return;
        }
        if line.ends_with(b"\r") {
            return self.give_up(
                "its lines end in CR LF and not in LF: something has changed them on the way, so get the file anew",
            );
        }
        let Ok(line) = std::str::from_utf8(line) else {
            return self.problem("it is not UTF-8");
        };
        if line.starts_with(r#"{"format":"#) && self.line > 1 {
            self.give_up("another ledger begins here: two files were joined, so verify each by itself");
        } else if self.line == 1 && !line.starts_with(r#"{"format":"#) {
            self.give_up("this is no exported ledger: its first line is not a ledger's header");
        } else if self.line == 1 {
            self.header(line);
        } else if line.starts_with(r#"{"checkpoint":"#) {
            self.checkpoint(line);
        } else if line.starts_with(r#"{"intent":"#) {
            self.tags(line);
        } else {
            self.entry(line);
        }
    }

    /// What was found, once all lines have passed.
    pub fn finish(mut self) -> Report {
        if self.is_over {
            self.report.entries = self.tree.size();
            return self.report;
        }
        self.missing_tags();
        self.line = 0;
        if self.header.as_ref().is_some_and(|header| header.keys != self.introduced) {
            self.problem("the header's public keys are not those that the entries introduce");
        }
        let entries = self.tree.size();
        if entries == 0 {
            self.problem("there are no entries");
        }
        for (kept, Checkpoint { size, .. }) in std::mem::take(&mut self.external) {
            self.problem(&format!("the checkpoint kept {kept} covers {size} entries: the newest were cut off"));
        }
        self.report.uncovered = entries - self.report.covered.as_ref().map_or(0, |covered| covered.size);
        self.report.entries = entries;
        if self.has_keys && self.report.is_unsigned() && self.report.problems.is_empty() {
            self.problem("no checkpoint is signed with a key that is trusted: nobody vouches for any of it");
        }
        self.report.open_intents = self.open.keys().copied().collect();
        self.report
    }

    fn header(&mut self, line: &str) {
        let Some(header) = self.read::<Header>(line, "the header") else { return };
        if header.format != FORMAT {
            let message = format!("the format is {:?}, but this program knows {FORMAT:?} only", header.format);
            self.problem(&message);
        }
        self.report.origin.clone_from(&header.origin);
        if self.trusted.is_empty() {
            self.trusted = header.keys.iter().filter_map(|key| key.parse().ok()).collect();
            self.note("no public key was given: signatures are checked with the keys that the ledger itself brings");
        }
        for ExternalNote { kept, note } in std::mem::take(&mut self.external_notes) {
            match Checkpoint::verify(&note, &self.trusted) {
                Ok(checkpoint) if checkpoint.origin != header.origin => self.problem(&format!(
                    "the checkpoint kept {kept} is of job {:?}, not of {:?}",
                    checkpoint.origin, header.origin
                )),
                Ok(checkpoint) => self.external.push((kept, checkpoint)),
                Err(error) => self.problem(&format!("the checkpoint kept {kept} cannot be used: {error}")),
            }
        }
        self.header = Some(header);
    }

    fn entry(&mut self, line: &str) {
        self.missing_tags();
        let hash = entry::hash(line);
        let checkpoint = self.checkpoint.take();
        let expected = self.seq.saturating_add(1);
        self.seq = expected;
        if let Some(entry) = self.read::<Entry>(line, "the entry") {
            self.seq = entry.seq;
            if entry.seq != expected {
                self.problem(&format!("entry {expected} is missing or out of place"));
            }
            if entry.previous != hex::encode(self.previous) {
                self.problem("it does not follow from the entry before: its previous hash is another");
            }
            self.time(entry.at);
            self.event(entry.event, checkpoint);
        }
        self.previous = hash;
        self.tree.push(hash);
        let size = self.tree.size();
        for (kept, external) in self.external.extract_if(.., |(_, external)| external.size == size).collect::<Vec<_>>()
        {
            match external.root == self.tree.root() {
                true => self.report.contained += 1,
                false => self.problem(&format!("the checkpoint kept {kept} has another root for these {size} entries")),
            }
        }
    }

    fn time(&mut self, at: Timestamp) {
        if let Some(last) = self.last_at {
            let seconds = last.duration_since(at).as_secs_f64();
            if seconds > CLOCK_TOLERANCE_SECONDS {
                self.note(&format!("the clock went back by {seconds} s"));
            }
        }
        self.last_at = Some(at);
    }

    /// `checkpoint` is the size and the note's hash of the checkpoint in the line before.
    fn event(&mut self, event: Event, checkpoint: Option<(u64, String)>) {
        match (checkpoint, &event) {
            (Some((size, note)), Event::Checkpointed { size: named, note: hash })
                if *named == size && *hash == note => {}
            (Some(_), _) => self.problem("it does not name the checkpoint before it"),
            (None, Event::Checkpointed { size, .. }) => {
                self.problem(&format!("the checkpoint of {size} entries that it names is missing"));
            }
            (None, _) => {}
        }
        let first = self.tree.size() == 0;
        match event {
            Event::LedgerStarted { format, origin } if first && format == FORMAT && origin == self.report.origin => {}
            Event::LedgerStarted { .. } if first => self.problem("it starts another ledger than the header says"),
            Event::LedgerStarted { .. } => self.problem("a ledger starts in the middle"),
            _ if first => self.problem("the first entry does not start a ledger"),
            Event::KeyIntroduced { public_key, .. } => self.introduced.extend(public_key),
            Event::Intent(intent) => {
                self.report.batches += 1;
                let counted = intent.evidence == Evidence::Counts;
                self.open.insert(self.seq, (intent.rows, counted));
                if counted && intent.has_tags() {
                    self.problem("it says that it keeps counts alone, and names a root of row tags");
                } else if intent.has_tags() {
                    self.tags = Some(AwaitedTags { intent: self.seq, rows: intent.rows, root: intent.root });
                }
            }
            Event::Outcome { intent, result, .. } => match self.open.remove(&intent) {
                Some((rows, counted)) if result == BatchResult::Committed => {
                    self.report.rows = self.report.rows.saturating_add(rows);
                    let counted = if counted { rows } else { 0 };
                    self.report.counted_rows = self.report.counted_rows.saturating_add(counted);
                }
                Some(_) if result == BatchResult::Unknown => self.report.unknown += 1,
                Some(_) => {}
                None => self.problem(&format!("entry {intent} is not an intent without outcome")),
            },
            _ => {}
        }
    }

    fn checkpoint(&mut self, line: &str) {
        self.missing_tags();
        let Some(CheckpointLine { checkpoint: note }) = self.read(line, "the checkpoint") else { return };
        if self.checkpoint.is_some() {
            self.problem("two checkpoints stand at one place");
        }
        if note.lines().count() != 6 {
            self.problem("the checkpoint has more than one signature: Sunset writes one");
        }
        self.checkpoint = Some((self.tree.size(), hex::encode(Sha256::digest(&note))));
        match Checkpoint::verify(&note, &self.trusted) {
            Err(error) => self.problem(&format!("the checkpoint is not valid: {error}")),
            Ok(Checkpoint { origin, .. }) if origin != self.report.origin => {
                self.problem(&format!("the checkpoint is of job {origin:?}"));
            }
            Ok(Checkpoint { size, .. }) if size != self.tree.size() => {
                let entries = self.tree.size();
                self.problem(&format!("the checkpoint covers {size} entries, but {entries} stand before it"));
            }
            Ok(Checkpoint { root, .. }) if root != self.tree.root() => {
                self.problem("the checkpoint has another root: an entry before it was changed");
            }
            Ok(Checkpoint { size, root, at, .. }) => {
                self.report.checkpoints += 1;
                self.report.covered = Some(Covered { size, root: hex::encode(root), at });
            }
        }
    }

    fn tags(&mut self, line: &str) {
        let awaited = self.tags.take();
        let Some(TagsLine { intent, tags }) = self.read(line, "the row tags") else { return };
        let Some(awaited) = awaited.filter(|awaited| awaited.intent == intent) else {
            return self.problem(&format!("row tags of entry {intent} stand in the wrong place"));
        };
        match BASE64_STANDARD.decode(tags) {
            Ok(tags) if !tags.len().is_multiple_of(16) => self.problem("the row tags are cut off"),
            Ok(tags) if hex::encode(tag::root_of_tags(&tags)) != awaited.root => {
                self.problem("the row tags do not have the root that their intent names");
            }
            Ok(tags) if tags.len() as u64 / 16 != awaited.rows => {
                self.problem("there are more or fewer row tags than rows in their intent");
            }
            Ok(tags) if !tags.as_chunks::<16>().0.is_sorted() => self.problem("the row tags are not sorted"),
            Ok(_) => {}
            Err(_) => self.problem("the row tags are not base64"),
        }
    }

    fn missing_tags(&mut self) {
        if let Some(AwaitedTags { intent, .. }) = self.tags.take() {
            self.problem(&format!("the row tags of entry {intent} are missing before this"));
        }
    }

    /// Reads a line of canonical JSON. Writing it again must give the same bytes.
    fn read<T: Serialize + for<'de> serde::Deserialize<'de>>(&mut self, line: &str, what: &str) -> Option<T> {
        match serde_json::from_str::<T>(line) {
            Ok(value) => {
                if serde_json_canonicalizer::to_string(&value).ok().as_deref() != Some(line) {
                    self.problem(&format!("{what} is not written in canonical JSON"));
                }
                Some(value)
            }
            Err(error) => {
                self.problem(&format!("{what} cannot be read: {error}"));
                None
            }
        }
    }

    /// One sentence tells more than all that would follow from it.
    fn give_up(&mut self, message: &str) {
        self.is_over = true;
        self.report.problems.clear();
        self.problem(message);
    }

    fn problem(&mut self, message: &str) {
        let finding = self.finding(message);
        if self.report.problems.len() < MOST_FINDINGS {
            self.report.problems.push(finding);
        } else {
            self.report.unlisted += 1;
        }
    }

    fn note(&mut self, message: &str) {
        let finding = self.finding(message);
        if self.report.notes.len() < MOST_FINDINGS {
            self.report.notes.push(finding);
        } else {
            self.report.unlisted += 1;
        }
    }

    fn finding(&self, message: &str) -> Finding {
        Finding {
            line: (self.line > 0).then_some(self.line),
            entry: (self.seq > 0 && self.line > 0).then_some(self.seq),
            message: message.to_owned(),
        }
    }
}

/// In bytes; entries have some thousands. What is longer is not held in memory.
const LONGEST_LINE: u64 = 16 * 1024 * 1024;

/// Verifies an exported ledger.
///
/// # Errors
/// The lines cannot be read at all; whatever is wrong with them stands in the report.
pub fn verify_lines(mut lines: impl BufRead, mut verifier: Verifier) -> std::io::Result<Report> {
    let mut line = Vec::new();
    while lines.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line)? > 0 {
        if line.len() as u64 == LONGEST_LINE {
            verifier.give_up("this is no ledger: a line is longer than any entry");
            return Ok(verifier.finish());
        }
        let whole = line.pop_if(|last| *last == b'\n').is_some();
        verifier.line(&line);
        if !whole && !verifier.is_over {
            verifier.problem("the last line has no line break: the file was cut off");
        }
        line.clear();
    }
    if verifier.line == 0 {
        verifier.give_up("this is no ledger: it is empty");
    }
    Ok(verifier.finish())
}

/// Verifies the ledger in a store, and that what the store derives from its entries follows from them. Holds are compared
/// with their tags as far as `keys` go.
///
/// # Errors
/// The store cannot be read, or the ledger has no first entry.
pub async fn verify_store(store: &mut Store, mut verifier: Verifier, keys: &[TagKey]) -> Result<Report> {
    let mut export = Export::new(store).await?;
    while let Some(line) = export.next().await? {
        verifier.line(line.as_bytes());
    }
    verifier.line = 0;
    // no run has come to its end yet where nothing is signed: that is said, and it is no problem
    verifier.has_keys = false;
    let stale = store.stale_tags().await?;
    if stale > 0 {
        verifier.problem(&format!("the store keeps row tags of {stale} batches whose evidence is counts alone"));
    }
    for Difference { entry, message, is_mendable, .. } in derived::differences(store, keys).await? {
        let finding = Finding { line: None, entry, message };
        verifier.report.problems.push(finding);
        verifier.report.mendable += u64::from(is_mendable);
    }
    // the header's keys are the store's own list: what is wrong with it was told
    if let Some(header) = &mut verifier.header {
        header.keys.clone_from(&verifier.introduced);
    }
    let mendable = verifier.report.mendable;
    let mut report = verifier.finish();
    report.mendable = mendable;
    Ok(report)
}
