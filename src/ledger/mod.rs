//! The evidence: append-only, hash-chained, signed, and free of personal data.
//!
//! An [`Entry`] is one line of canonical JSON that names the hash of the line before. All lines together are the leaves
//! of a Merkle tree; a [`Checkpoint`] is its signed root. An [`Intent`] stands in the ledger before its batch commits
//! and holds the Merkle root over the [tags](tag) of the batch's rows; its outcome follows. `docs/ledger.md` has the
//! format, what it promises and what it cannot.

pub mod committed;
pub mod derived;
pub mod entry;
pub mod erased;
pub mod export;
pub mod history;
pub mod positions;
pub mod prove;
pub mod request_history;
pub mod request_proof;
mod requests;
pub mod seal;
pub mod verify;

pub use entry::{AssertionResult, BatchResult, Entry, Event, Intent, Restore, RuleResult, SettledBy, ToldBy};
pub use requests::{Disclosed, RequestProgress, person_of};
pub use seal::{Seal, SealError};

use crate::{
    evidence::tag::Tagging,
    evidence::{
        Attestation, Evidence, Grade,
        checkpoint::{Checkpoint, SignedCheckpoint, VerificationKey},
        keys::{Keys, SigningKey},
        merkle::{Hash, Tree},
        tag::{self, BatchTags, Tag, TagKey},
    },
    outcome::Outcome,
    present,
    store::{self, Hold, KeyStatus, NewHold, Pause, Release, Store, StoredCheckpoint, StoredKey, StoredTags},
};
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Where entries take their time from.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// How many entries are read at once.
const PAGE: u32 = 1000;

/// How many tags one statement keeps.
const RETURNED_AT_ONCE: usize = 10_000;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Entry(#[from] entry::EntryError),
    #[error("there is no {0} key: make one with `sunset keys new --out DIR` and name it in sunset.yaml under keys.{0}")]
    NoKey(&'static str),
    #[error("tag key {id} was destroyed at {at}: take it out of sunset.yaml and make a new one with `sunset keys new`")]
    DestroyedKey { id: String, at: Timestamp },
    #[error("the name {0:?} cannot be signed: it must not be empty nor hold spaces, '+' or control characters")]
    Name(String),
    #[error("the store holds the ledger of job {found:?}, not of {wanted:?}: each job needs a store of its own")]
    OtherJob { found: String, wanted: String },
    #[error(transparent)]
    Seal(#[from] SealError),
    /// Entries or checkpoints are not as they were written.
    #[error("the ledger is broken: {0}; see `sunset ledger verify`")]
    Broken(String),
    /// The caller asked for something that must not be written.
    #[error("the ledger refuses the entry: {0}")]
    Refused(String),
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// What a command that fails with this comes to.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Store(error) => error.outcome(),
            Self::Entry(_) | Self::Seal(_) => Outcome::Unexpected,
            Self::NoKey(_) | Self::DestroyedKey { .. } | Self::Name(_) | Self::OtherJob { .. } => Outcome::Invalid,
            Self::Broken(_) | Self::Refused(_) => Outcome::Refused,
        }
    }
}

/// The ledger, open for one run or command. Other processes may append at the same time: each append waits for its turn
/// and builds on what it finds.
pub struct Ledger {
    store: Store,
    origin: String,
    run: String,
    tag_key: TagKey,
    older_tag_keys: Vec<TagKey>,
    signing_key: SigningKey,
    older_signing_keys: Vec<SigningKey>,
    trusted: Vec<VerificationKey>,
    clock: Clock,
}

/// What somebody received about a deletion notice.
#[derive(Clone, Copy, Debug)]
pub struct Confirmation<'a> {
    /// Its name in the settings.
    pub recipient: &'a str,
    pub notice: &'a str,
    /// The persons that it is about; all of the notice where there are none.
    pub tags: Option<&'a [Tag]>,
    /// Who records it.
    pub by: &'a str,
    /// What was received, in words, without names of the persons.
    pub evidence: &'a str,
    /// SHA-256 of the document.
    pub document: Option<Hash>,
}

impl Ledger {
    /// Opens the ledger for writing, under a new run id. `origin` is the job's name.
    ///
    /// # Errors
    /// A key is missing or was destroyed; the store belongs to another job; the newest checkpoint is not signed by a
    /// key of `keys` or covers more entries than there are. The rest of the ledger is not read: see [`verify`].
    pub async fn open(mut store: Store, keys: Keys, origin: &str, clock: Clock) -> Result<Self> {
        if origin.is_empty() || origin.contains(|c: char| c.is_whitespace() || c.is_control() || c == '+') {
            return Err(Error::Name(origin.to_owned()));
        }
        let trusted = keys.trusted(origin);
        let (mut tag, mut signing) = (keys.tag.into_iter(), keys.signing.into_iter());
        let tag_key = tag.next().ok_or(Error::NoKey("tag"))?;
        let signing_key = signing.next().ok_or(Error::NoKey("signing"))?;
        let older_tag_keys: Vec<TagKey> = tag.collect();
        refuse_destroyed(std::iter::once(&tag_key).chain(&older_tag_keys), &store.known_keys().await?)?;
        if let Some(line) = store.entry(1).await? {
            match parse(1, &line)?.event {
                Event::LedgerStarted { origin: found, .. } if found == origin => {}
                Event::LedgerStarted { origin: found, .. } => {
                    return Err(Error::OtherJob { found, wanted: origin.to_owned() });
                }
                _ => return Err(Error::Broken("entry 1 does not start a ledger".into())),
            }
        }
        let run = run_id(clock())?;
        let mut ledger = Self {
            store,
            origin: origin.to_owned(),
            run,
            tag_key,
            older_tag_keys,
            signing_key,
            older_signing_keys: signing.collect(),
            trusted,
            clock,
        };
        ledger.signed_tree().await?;
        Ok(ledger)
    }

    /// The id that entries written by this process carry: its start in UTC and six random digits.
    pub fn run(&self) -> &str {
        &self.run
    }

    /// Where entries take their time from.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The key for the tags of new batches.
    pub fn tag_key(&self) -> &TagKey {
        &self.tag_key
    }

    /// The key with this id, be it the one in use or an older one.
    pub fn tag_key_with_id(&self, id: &str) -> Option<&TagKey> {
        std::iter::once(&self.tag_key).chain(&self.older_tag_keys).find(|key| key.id() == id)
    }

    /// The job's name, which checkpoints carry.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The keys whose checkpoints are believed.
    pub fn trusted(&self) -> &[VerificationKey] {
        &self.trusted
    }

    /// The store that the ledger stands on.
    pub fn store(&mut self) -> &mut Store {
        &mut self.store
    }

    /// Gives the store back.
    pub fn into_store(self) -> Store {
        self.store
    }

    /// Appends entries in one transaction, which is on disk when this returns, and gives their numbers. `tags` belong
    /// to the intents among the events, in their order; intents over rows without a key have none, and those whose
    /// evidence is counts have at most some that are forgotten with their outcome. An outcome that a
    /// recovery has written meanwhile is left out, and has 0 for a number.
    ///
    /// # Errors
    /// [`Error::Refused`] when an outcome names no intent, or tags do not fit the intent; nothing is written then.
    pub async fn append(&mut self, events: Vec<Event>, tags: &[BatchTags]) -> Result<Vec<u64>> {
        self.store.begin().await?;
        let written = self.write(events, tags).await;
        self.end(written).await
    }

    /// Signs the ledger as it is now and keeps the note. Where nothing has been added since the last, gives that.
    ///
    /// # Errors
    /// [`Error::Broken`] when an entry since the last checkpoint does not follow from the one before: a broken chain is
    /// never signed.
    pub async fn checkpoint(&mut self) -> Result<SignedCheckpoint> {
        self.store.begin().await?;
        let signed = self.sign().await;
        self.end(signed).await
    }

    /// Intents without outcome, oldest first: batches of which nobody knows yet whether they were committed.
    pub async fn open_intents(&mut self) -> Result<Vec<(u64, Intent)>> {
        let mut intents = Vec::new();
        for seq in self.store.open_intents().await? {
            let line = self.store.entry(seq).await?.ok_or_else(|| Error::Broken(format!("entry {seq} is missing")))?;
            match parse(seq, &line)?.event {
                Event::Intent(intent) => intents.push((seq, intent)),
                _ => return Err(Error::Broken(format!("entry {seq} is not an intent"))),
            }
        }
        Ok(intents)
    }

    /// The row tags of the batch that this intent announced, be they evidence or kept until its outcome.
    pub async fn tags_of(&mut self, intent: u64) -> Result<Option<StoredTags>> {
        match self.store.tags(intent).await? {
            Some(tags) => Ok(Some(tags)),
            None => Ok(self.store.open_tags(intent).await?),
        }
    }

    /// A batch that was announced after this one, and not rolled back, has one of its rows too, or may have.
    pub async fn are_taken_again(&mut self, of: &StoredTags, table: &str) -> Result<bool> {
        let mut after = of.intent;
        while let Some((later, outcome)) = self.store.tags_after(table, after).await? {
            after = later.intent;
            let outcome = outcome.map(|line| parse(0, &line)).transpose()?.map(|entry| entry.event);
            if matches!(outcome, Some(Event::Outcome { result: BatchResult::RolledBack, .. })) {
                continue;
            }
            if later.tag_key != of.tag_key || tag::share_one(&of.tags, &later.tags) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Adds a hold: what it is about goes into the store, that there is one into the ledger.
    pub async fn add_hold(&mut self, new: NewHold) -> Result<Hold> {
        self.store.begin().await?;
        let added = self.write_hold(new).await;
        self.end(added).await
    }

    /// Puts a hold in the place of another one, with nothing between them.
    ///
    /// # Errors
    /// [`Error::Refused`] when no such hold is in force.
    pub async fn move_hold(&mut self, id: u64, new: NewHold, owner: &str) -> Result<Hold> {
        self.store.begin().await?;
        let moved = async {
            let hold = self.write_hold(new).await?;
            self.write_release(id, &format!("moved: see hold {}", hold.id), owner).await?;
            Ok(hold)
        };
        let moved = moved.await;
        self.end(moved).await
    }

    /// Ends a hold; its row's key is forgotten.
    ///
    /// # Errors
    /// [`Error::Refused`] when no such hold is in force.
    pub async fn release_hold(&mut self, id: u64, reason: &str, owner: &str) -> Result<Hold> {
        self.store.begin().await?;
        let released = self.write_release(id, reason, owner).await;
        self.end(released).await
    }

    /// Pauses the job: no run begins a batch until somebody resumes it, or until then.
    pub async fn pause(&mut self, reason: Option<String>, by: String, until: Option<Timestamp>) -> Result<()> {
        self.store.begin().await?;
        let pause = Pause { since: now(&self.clock), by, reason, until };
        let paused = self.write_pause(pause).await;
        self.end(paused).await
    }

    /// Ends the pause in force; gives it, or `None` where there is none.
    pub async fn resume(&mut self, by: String) -> Result<Option<Pause>> {
        self.store.begin().await?;
        let resumed = self.write_resumption(by).await;
        self.end(resumed).await
    }

    /// Records what a person said of an assertion, in store and ledger.
    pub async fn attest(&mut self, statement: &str, attestation: &Attestation) -> Result<()> {
        self.store.begin().await?;
        let attested = self.write_attestation(statement, attestation).await;
        self.end(attested).await
    }

    /// Records a written confirmation of a deletion notice, in store and ledger. Gives the number of persons that are
    /// confirmed with it, and of those that are still open.
    ///
    /// # Errors
    /// [`Error::Refused`] when the recipient got no such notice, a tag is none of its persons, or all are settled
    /// already.
    pub async fn confirm_notice(&mut self, confirmation: &Confirmation<'_>) -> Result<(u64, u64)> {
        self.store.begin().await?;
        let confirmed = self.write_confirmation(confirmation).await;
        self.end(confirmed).await
    }

    /// Gives up work that a recipient had accepted and then refused, in store and ledger. Gives the number of persons.
    ///
    /// # Errors
    /// [`Error::Refused`] when there is no such work.
    pub async fn ask_again(&mut self, recipient: &str, by: &str, reason: &str) -> Result<u64> {
        self.store.begin().await?;
        let given_up = self.write_asking_again(recipient, by, reason).await;
        self.end(given_up).await
    }

    /// Records that a person has looked at a restored database, in store and ledger: runs go on from where it stands. What
    /// recipients have confirmed of rows that came back counts once more, by `database.schema.table`.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn accept_restore(&mut self, restore: Restore, returned: &BTreeMap<String, BTreeSet<Tag>>) -> Result<()> {
        self.store.begin().await?;
        let accepted = self.write_restore(restore, returned).await;
        self.end(accepted).await
    }

    /// Notes that a tag key is destroyed: from now on no ledger opens with it. Whoever has its text must delete it.
    ///
    /// # Errors
    /// [`Error::Refused`] when the ledger knows no such key or it is destroyed already.
    pub async fn destroy_tag_key(&mut self, id: &str, reason: &str, owner: &str) -> Result<()> {
        self.store.begin().await?;
        let destroyed = self.write_destruction(id, reason, owner).await;
        self.end(destroyed).await
    }

    async fn write_hold(&mut self, new: NewHold) -> Result<Hold> {
        let (tag, subject) = derived::tag_of_hold(&self.tag_key, &new.table, &new.target);
        let hold = self.store.add_hold(new, (self.clock)()).await?;
        let event = Event::HoldAdded {
            hold: hold.id,
            table: hold.table.clone(),
            matter: hold.matter.clone(),
            tag: hex::encode(tag),
            tag_key: self.tag_key.id().to_owned(),
            subject,
            owner: hold.owner.clone(),
            review: hold.review,
            only_row: hold.only_row,
        };
        self.write(vec![event], &[]).await?;
        Ok(hold)
    }

    async fn write_release(&mut self, id: u64, reason: &str, owner: &str) -> Result<Hold> {
        let release = Release { at: (self.clock)(), by: owner.to_owned(), reason: reason.to_owned() };
        let hold = self.store.release_hold(id, release).await?;
        let hold = hold.ok_or_else(|| {
            Error::Refused(format!("no hold {id} is in force: `sunset hold list` shows those that are"))
        })?;
        let (table, matter) = (hold.table.clone(), hold.matter.clone());
        self.write(vec![Event::HoldReleased { hold: id, table, matter, owner: owner.to_owned() }], &[]).await?;
        Ok(hold)
    }

    async fn write_pause(&mut self, pause: Pause) -> Result<()> {
        self.store.add_pause(&pause).await?;
        let Pause { reason, by, until, .. } = pause;
        self.write(vec![Event::Paused { reason, by, until }], &[]).await?;
        Ok(())
    }

    async fn write_resumption(&mut self, by: String) -> Result<Option<Pause>> {
        let at = now(&self.clock);
        let pause = self.store.pause(at).await?;
        if pause.is_some() {
            self.store.end_pauses(at).await?;
            self.write(vec![Event::Resumed { by }], &[]).await?;
        }
        Ok(pause)
    }

    async fn write_attestation(&mut self, statement: &str, attestation: &Attestation) -> Result<()> {
        self.store.keep_attestation(attestation).await?;
        let Attestation { assertion, by, evidence, until, document, .. } = attestation.clone();
        let event = Event::Attested { assertion, statement: statement.to_owned(), by, evidence, until, document };
        self.write(vec![event], &[]).await?;
        Ok(())
    }

    async fn write_confirmation(&mut self, confirmation: &Confirmation<'_>) -> Result<(u64, u64)> {
        let Confirmation { recipient, notice, tags, .. } = *confirmation;
        let persons = self.store.persons_of_notice(recipient, notice).await?;
        if persons.is_empty() {
            let fix = "`sunset confirm --list` shows those that went out";
            return Err(Error::Refused(format!("`{recipient}` got no notice {notice}: {fix}")));
        }
        let wanted: BTreeSet<Tag> =
            tags.map_or_else(|| persons.keys().copied().collect(), |tags| tags.iter().copied().collect());
        if wanted.iter().any(|tag| !persons.contains_key(tag)) {
            return Err(Error::Refused(format!("notice {notice} does not name all of these persons")));
        }
        let open = persons.values().filter(|settled| !**settled).count() as u64;
        let now: Vec<Tag> = wanted.into_iter().filter(|tag| persons.get(tag) == Some(&false)).collect();
        if now.is_empty() {
            return Err(Error::Refused(format!("notice {notice}: all of these persons are settled already")));
        }
        let subjects = now.len() as u64;
        self.store.settle_notice(recipient, notice, &now, present::now()).await?;
        let event = Event::NoticeConfirmed {
            recipient: recipient.to_owned(),
            notice: notice.to_owned(),
            subjects,
            open: open - subjects,
            root: hex::encode(tag::root_of_tags(now.as_flattened())),
            grade: Grade::E3.to_string(),
            by: confirmation.by.to_owned(),
            evidence: confirmation.evidence.to_owned(),
            document: confirmation.document.map(hex::encode),
        };
        self.write(vec![event], &[]).await?;
        Ok((subjects, open - subjects))
    }

    async fn write_asking_again(&mut self, recipient: &str, by: &str, reason: &str) -> Result<u64> {
        let subjects = self.store.give_up_refused(recipient).await?;
        if subjects == 0 {
            let fix = "`sunset status` shows how recipients stand";
            return Err(Error::Refused(format!("`{recipient}` has refused nothing that it had accepted: {fix}")));
        }
        let (recipient, by, reason) = (recipient.to_owned(), by.to_owned(), reason.to_owned());
        self.write(vec![Event::AskedAgain { recipient, subjects, by, reason }], &[]).await?;
        Ok(subjects)
    }

    async fn write_restore(&mut self, restore: Restore, returned: &BTreeMap<String, BTreeSet<Tag>>) -> Result<()> {
        self.store.forget_returned(&restore.database).await?;
        for (table, tags) in returned {
            let tags: Vec<_> = tags.iter().copied().collect();
            for some in tags.chunks(RETURNED_AT_ONCE) {
                self.store.add_returned(table, some).await?;
            }
        }
        self.write(vec![Event::Restored(restore)], &[]).await?;
        Ok(())
    }

    async fn write_destruction(&mut self, id: &str, reason: &str, owner: &str) -> Result<()> {
        let (id, reason, owner) = (id.to_owned(), reason.to_owned(), owner.to_owned());
        self.write(vec![Event::TagKeyDestroyed { id: id.clone(), reason, owner }], &[]).await?;
        if self.store.mark_tag_key_destroyed(&id, (self.clock)()).await? {
            Ok(())
        } else {
            let fix = "`sunset keys list` shows those that it knows";
            Err(Error::Refused(format!("the ledger knows no tag key {id}, or it is destroyed already: {fix}")))
        }
    }

    /// Commits what went well, undoes what did not.
    async fn end<T>(&mut self, result: Result<T>) -> Result<T> {
        match result {
            Ok(value) => {
                self.store.commit().await?;
                Ok(value)
            }
            Err(error) => {
                // The first error tells more; an open transaction is undone at the next beginning as well.
                let _ = self.store.rollback().await;
                Err(error)
            }
        }
    }

    /// Writes entries within the open transaction, led by those that the ledger itself owes.
    async fn write(&mut self, events: Vec<Event>, tags: &[BatchTags]) -> Result<Vec<u64>> {
        let tags = paired(&events, tags)?;
        let mut head = match self.store.last_entry().await? {
            Some((seq, line)) => (seq, entry::hash(&line)),
            None => {
                let started = Event::LedgerStarted { format: entry::FORMAT.into(), origin: self.origin.clone() };
                self.write_one((0, entry::no_entry()), started, None).await?
            }
        };
        if let Some((size, note)) = self.store.checkpoint_after(head.0 - 1).await? {
            if size != head.0 {
                return Err(Error::Broken(format!("a checkpoint covers {size} entries, but there are {}", head.0)));
            }
            let note = hex::encode(Sha256::digest(note));
            head = self.write_one(head, Event::Checkpointed { size, note }, None).await?;
        }
        head = self.introduce_keys(head).await?;
        let mut numbers = Vec::with_capacity(events.len());
        let settles = events.iter().any(|event| matches!(event, Event::Outcome { .. }));
        for (event, own) in events.into_iter().zip(tags) {
            if let Event::Outcome { intent, settled_by: SettledBy::Direct, .. } = &event
                && self.was_recovered(*intent).await?
            {
                numbers.push(0);
                continue;
            }
            head = self.write_one(head, event, own).await?;
            numbers.push(head.0);
        }
        if settles {
            self.store.forget_settled_tags().await?;
        }
        Ok(numbers)
    }

    /// A recovery has found out how the batch of this intent ended.
    async fn was_recovered(&mut self, intent: u64) -> Result<bool> {
        let Some(seq) = self.store.outcome_of(intent).await? else { return Ok(false) };
        let Some(line) = self.store.entry(seq).await? else { return Ok(false) };
        Ok(matches!(parse(seq, &line)?.event, Event::Outcome { settled_by: SettledBy::Recovery, .. }))
    }

    /// Names keys that the ledger has not seen before, so that their public parts are covered by the chain.
    async fn introduce_keys(&mut self, mut head: (u64, Hash)) -> Result<(u64, Hash)> {
        let known = self.store.known_keys().await?;
        let tags = std::iter::once(&self.tag_key).chain(&self.older_tag_keys);
        // Somebody may have destroyed one while this process was at work.
        refuse_destroyed(tags.clone(), &known)?;
        let signing = std::iter::once(&self.signing_key).chain(&self.older_signing_keys);
        let all: Vec<(&str, String, Option<String>)> = tags
            .map(|key| ("tag", key.id().to_owned(), None))
            .chain(
                signing
                    .map(|key| ("signing", key.id().to_owned(), Some(key.verification_key(&self.origin).to_string()))),
            )
            .filter(|(kind, id, _)| !known.iter().any(|key| key.kind == *kind && key.id == *id))
            .collect();
        for (kind, id, public_key) in all {
            let event = Event::KeyIntroduced { kind: kind.to_owned(), id: id.clone(), public_key: public_key.clone() };
            head = self.write_one(head, event, None).await?;
            self.store.add_key(kind, &id, public_key, head.0).await?;
        }
        Ok(head)
    }

    /// Writes one entry after `head` and gives the new head.
    async fn write_one(&mut self, head: (u64, Hash), event: Event, tags: Option<&BatchTags>) -> Result<(u64, Hash)> {
        let seq = head.0 + 1;
        let entry = Entry { seq, at: now(&self.clock), run: self.run.clone(), event, previous: hex::encode(head.1) };
        let line = entry.line()?;
        self.store.add_entry(seq, &line).await?;
        match entry.event {
            Event::Intent(Intent { evidence, table, .. }) => {
                let counted = (evidence == Evidence::Counts).then_some(table);
                self.store.add_intent(seq, counted).await?;
                match tags {
                    Some(BatchTags { tagging: Tagging::Lasting, table, tag_key, tags, .. }) => {
                        self.store.add_tags(seq, table, tag_key, tags.clone()).await?;
                    }
                    Some(BatchTags { tagging: Tagging::UntilSettled, tag_key, tags, .. }) => {
                        self.store.add_open_tags(seq, tag_key, tags.clone()).await?;
                    }
                    Some(BatchTags { tagging: Tagging::Without, .. }) | None => {}
                }
            }
            Event::PositionNoted { database, .. } => self.store.keep_position(&database, seq, false).await?,
            Event::Restored(Restore { database, .. }) => self.store.keep_position(&database, seq, true).await?,
            Event::RunStarted { group: Some(group), .. } => {
                self.store.add_grouped_run(&group, &entry.run, seq).await?;
            }
            Event::Outcome { intent, .. } if !self.store.settle_intent(intent, seq).await? => {
                return Err(Error::Refused(format!("entry {intent} is not an intent without outcome")));
            }
            _ => {}
        }
        Ok((seq, entry::hash(&line)))
    }

    /// Signs within the open transaction.
    async fn sign(&mut self) -> Result<SignedCheckpoint> {
        let (mut tree, last) = self.signed_tree().await?;
        let mut previous = match tree.size() {
            0 => entry::no_entry(),
            size => entry::hash(&self.store.entry(size).await?.unwrap_or_default()),
        };
        loop {
            let page = self.store.entries_after(tree.size(), PAGE).await?;
            for (seq, line) in &page {
                if *seq != tree.size() + 1 {
                    return Err(Error::Broken(format!("entry {} is missing", tree.size() + 1)));
                }
                if parse(*seq, line)?.previous != hex::encode(previous) {
                    return Err(Error::Broken(format!("entry {seq} does not follow from the one before")));
                }
                previous = entry::hash(line);
                tree.push(previous);
            }
            if page.is_empty() {
                break;
            }
        }
        match last {
            Some(last) if last.checkpoint.size == tree.size() => Ok(last),
            _ => {
                let signed = Checkpoint::new(&self.origin, &tree, now(&self.clock)).sign(&self.signing_key);
                let (size, edge, note) = (tree.size(), tree.edge(), signed.note.clone());
                self.store.add_checkpoint(&StoredCheckpoint { size, note, edge }).await?;
                Ok(signed)
            }
        }
    }

    /// The tree as far as it is signed. Its kept edge is believed because its root is the signed one.
    async fn signed_tree(&mut self) -> Result<(Tree, Option<SignedCheckpoint>)> {
        let Some(StoredCheckpoint { size, note, edge }) = self.store.last_checkpoint().await? else {
            return Ok((Tree::default(), None));
        };
        let broken = |what: &dyn std::fmt::Display| Error::Broken(format!("the checkpoint of {size} entries: {what}"));
        let checkpoint = Checkpoint::verify(&note, &self.trusted).map_err(|error| broken(&error))?;
        let tree = Tree::from_edge(size, &edge).ok_or_else(|| broken(&"its tree does not fit its size"))?;
        if checkpoint.origin != self.origin || checkpoint.size != size || checkpoint.root != tree.root() {
            return Err(broken(&"its tree is not the one that was signed"));
        }
        match self.store.last_entry().await? {
            Some((seq, _)) if seq >= size => Ok((tree, Some(SignedCheckpoint { checkpoint, note }))),
            _ => Err(broken(&"there are fewer entries; newer ones were cut off")),
        }
    }
}

/// The present time in whole microseconds.
fn now(clock: &Clock) -> Timestamp {
    clock().round(jiff::Unit::Microsecond).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// A destroyed key makes no more tags, and none is looked up with it.
fn refuse_destroyed<'a>(keys: impl Iterator<Item = &'a TagKey>, known: &[StoredKey]) -> Result<()> {
    for key in keys {
        let status = known.iter().find(|known| known.kind == "tag" && known.id == key.id()).map(|known| known.status);
        if let Some(KeyStatus::Destroyed(at)) = status {
            return Err(Error::DestroyedKey { id: key.id().to_owned(), at });
        }
    }
    Ok(())
}

/// The tags of each event: those of an intent that names their root, and those that an intent over mere counts brings
/// along. Tags come with exactly one intent, in the same order, and fit it.
fn paired<'t>(events: &[Event], tags: &'t [BatchTags]) -> Result<Vec<Option<&'t BatchTags>>> {
    let refused = |why: &str| Error::Refused(why.to_owned());
    let mut left = tags.iter().filter(|tags| tags.tagging != Tagging::Without).peekable();
    let mut pairs = Vec::with_capacity(events.len());
    for event in events {
        let own = match event {
            Event::Intent(intent) if intent.has_tags() => {
                Some(left.next().ok_or_else(|| refused("tags come with their intents, in the same order"))?)
            }
            Event::Intent(intent) if intent.evidence == Evidence::Counts => {
                left.next_if(|tags| tags.tagging == Tagging::UntilSettled && tags.table == intent.table)
            }
            _ => None,
        };
        if let (Event::Intent(intent), Some(tags)) = (event, own)
            && (intent.root != hex::encode(tags.root)
                || intent.rows != tags.count
                || intent.table != tags.table
                || intent.tag_key != tags.tag_key
                || intent.evidence.is_rows() != (tags.tagging == Tagging::Lasting))
        {
            return Err(refused("the tags do not fit their intent"));
        }
        pairs.push(own);
    }
    match left.next() {
        None => Ok(pairs),
        Some(_) => Err(refused("tags come with their intents, in the same order")),
    }
}

fn parse(seq: u64, line: &str) -> Result<Entry> {
    Entry::parse(line).map_err(|_| Error::Broken(format!("entry {seq} cannot be read")))
}

/// A run's id: its start in UTC and six random hexadecimal digits.
fn run_id(start: Timestamp) -> Result<String> {
    let mut random = [0; 3];
    getrandom::fill(&mut random).map_err(|_| Error::Refused("the system gives no random bytes".into()))?;
    Ok(format!("{}-{}", start.strftime("%Y%m%dT%H%M%SZ"), hex::encode(random)))
}
