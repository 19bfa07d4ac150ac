//! What the store derives from the entries, so that it need not read all of them: which batches are open, where row tags
//! are found, the right edges of signed trees, the keys that are known, holds, pauses, attestations, where
//! databases stood, answers.
//!
//! Whoever trusts these trusts the entries, and so they are compared with what follows from the entries. Where they follow
//! wholly, they can be written anew.

use super::{
    Entry, Event, Intent, PAGE, Restore, Result,
    entry::{self, HoldSubject},
    parse,
};
use crate::{
    evidence::{
        Evidence,
        merkle::Tree,
        tag::{Tag, TagKey},
    },
    store::{Hold, HoldTarget, KeyStatus, NotedIntent, Pause, PersonRequest, RequestOutcome, Store, StoredKey},
};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// So many differences tell enough.
const MOST: usize = 100;

/// Something that does not follow from the entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The entry that it is about, where there is one.
    pub entry: Option<u64>,
    /// The table of the batch that it is about, as `database.schema.table`.
    pub table: Option<String>,
    pub message: String,
    /// It follows wholly from the entries: [`repair`] writes it anew.
    pub is_mendable: bool,
}

/// Compares what the store derives with the entries. Holds are compared with their tags as far as `keys` go.
///
/// # Errors
/// The store cannot be read.
pub async fn differences(store: &mut Store, keys: &[TagKey]) -> Result<Vec<Difference>> {
    let mut derived = Derived::default();
    loop {
        derived.read(store).await?;
        let compared = derived.compare(store, keys).await?;
        // whatever was written meanwhile belongs to both
        if store.last_entry().await?.is_none_or(|(seq, _)| seq <= derived.last_entry) {
            let mut found = std::mem::take(&mut derived.found);
            found.extend(compared);
            found.truncate(MOST);
            return Ok(found);
        }
    }
}

/// What follows from the entries that were read.
#[derive(Default)]
struct Derived {
    tree: Tree,
    /// As far as they were read.
    last_entry: u64,
    intents: VecDeque<NotedIntent>,
    last_intent: u64,
    /// Intents that have no outcome yet: the table, and the outcome that the store names.
    open: BTreeMap<u64, (String, Option<u64>)>,
    /// Intents that the store's list does not have.
    unlisted: BTreeSet<u64>,
    keys: BTreeMap<(String, String), KnownKey>,
    holds: BTreeMap<u64, KnownHold>,
    requests: BTreeMap<u64, KnownRequest>,
    /// Who has paused the job, and until when.
    pause: Option<(String, Option<Timestamp>)>,
    /// Assertion to who said it, what was looked at, and the last day.
    attested: BTreeMap<String, (String, String, jiff::civil::Date)>,
    /// Database to the entry that tells where it stands, and the last one about a restore.
    positions: BTreeMap<String, (u64, Option<u64>)>,
    /// Persons that a recipient has confirmed, at most.
    confirmed: BTreeMap<String, u64>,
    found: Vec<Difference>,
}

struct KnownKey {
    public_key: Option<String>,
    introduced: u64,
    destroyed: Option<Timestamp>,
}

struct KnownHold {
    table: String,
    tag: String,
    tag_key: String,
    subject: HoldSubject,
    only_row: bool,
    released: bool,
}

/// What the entries say of a person's request: whose it is, who approved it, the rows that went by rule, and its end.
#[derive(Default, PartialEq)]
struct KnownRequest {
    person: (String, String, String),
    days: (String, String),
    approved_by: Option<String>,
    disposed: BTreeMap<String, u64>,
    is_complete: bool,
    outcome: Option<RequestOutcome>,
}

impl KnownRequest {
    fn stored(request: &PersonRequest) -> Self {
        let disposed = request.served.iter().filter(|(_, served)| served.rows > 0);
        Self {
            person: (request.subject.clone(), request.tag.clone(), request.tag_key.clone()),
            days: (request.received.to_string(), request.due.to_string()),
            approved_by: request.approval.as_ref().map(|approval| approval.by.clone()),
            disposed: disposed.map(|(rule, served)| (rule.clone(), served.rows)).collect(),
            is_complete: request.complete_at.is_some(),
            outcome: request.closing.as_ref().map(|closing| closing.outcome),
        }
    }
}

impl Derived {
    /// Goes on to the newest entry.
    async fn read(&mut self, store: &mut Store) -> Result<()> {
        loop {
            let page = store.entries_after(self.last_entry, PAGE).await?;
            if page.is_empty() {
                return Ok(());
            }
            for (seq, line) in page {
                // gaps and lines that cannot be read are for the verification of the entries to find
                let entry = parse(seq, &line).ok();
                if matches!(entry, Some(Entry { event: Event::Checkpointed { .. }, .. })) {
                    self.edge(store).await?;
                }
                self.tree.push(entry::hash(&line));
                self.last_entry = seq;
                if let Some(entry) = entry {
                    self.event(store, seq, entry.at, entry.event).await?;
                }
            }
        }
    }

    async fn event(&mut self, store: &mut Store, seq: u64, at: Timestamp, event: Event) -> Result<()> {
        match event {
            Event::Intent(intent) => self.intent(store, seq, &intent).await?,
            Event::Outcome { intent, .. } => {
                if let Some((table, noted)) = self.open.remove(&intent)
                    && noted != Some(seq)
                {
                    let message = "the store's list of batches does not have its outcome";
                    self.differs(Some(intent), Some(table), message, true);
                }
            }
            Event::KeyIntroduced { kind, id, public_key } => {
                self.keys.insert((kind, id), KnownKey { public_key, introduced: seq, destroyed: None });
            }
            Event::TagKeyDestroyed { id, .. } => {
                if let Some(key) = self.keys.get_mut(&("tag".to_owned(), id)) {
                    key.destroyed = Some(at);
                }
            }
            Event::HoldAdded { hold, table, tag, tag_key, subject, only_row, .. } => {
                self.holds.insert(hold, KnownHold { table, tag, tag_key, subject, only_row, released: false });
            }
            Event::HoldReleased { hold, .. } => {
                if let Some(hold) = self.holds.get_mut(&hold) {
                    hold.released = true;
                }
            }
            Event::RequestOpened { request, person, tag, tag_key, received, due, .. } => {
                let (person, days) = ((person, tag, tag_key), (received.to_string(), due.to_string()));
                self.requests.insert(request, KnownRequest { person, days, ..KnownRequest::default() });
            }
            Event::RequestApproved { request, by, .. } => {
                if let Some(request) = self.requests.get_mut(&request) {
                    request.approved_by = Some(by);
                }
            }
            Event::RequestServed { request, disposed, complete, .. } => {
                if let Some(request) = self.requests.get_mut(&request) {
                    for (rule, rows) in disposed.into_iter().filter(|(_, rows)| *rows > 0) {
                        *request.disposed.entry(rule).or_default() += rows;
                    }
                    request.is_complete = complete;
                }
            }
            Event::RequestDisclosed { request, .. } => {
                if let Some(request) = self.requests.get_mut(&request) {
                    request.is_complete = true;
                }
            }
            Event::RequestClosed { request, outcome, .. } => {
                if let Some(request) = self.requests.get_mut(&request) {
                    request.outcome = Some(outcome);
                }
            }
            Event::Paused { by, until, .. } => self.pause = Some((by, until)),
            Event::Resumed { .. } => self.pause = None,
            Event::Attested { assertion, by, evidence, until, .. } => {
                self.attested.insert(assertion, (by, evidence, until));
            }
            Event::PositionNoted { database, .. } => {
                let restored = self.positions.get(&database).and_then(|(_, restored)| *restored);
                self.positions.insert(database, (seq, restored));
            }
            Event::Restored(Restore { database, .. }) => {
                self.positions.insert(database, (seq, Some(seq)));
            }
            Event::Answered { recipient, answers, .. } => {
                let settled = ["confirmed", "gone"].iter().filter_map(|state| answers.get(*state)).sum::<u64>();
                *self.confirmed.entry(recipient).or_default() += settled;
            }
            Event::NoticeConfirmed { recipient, subjects, .. } => {
                *self.confirmed.entry(recipient).or_default() += subjects;
            }
            _ => {}
        }
        Ok(())
    }

    /// The edge that is kept with a checkpoint of the entries so far.
    async fn edge(&mut self, store: &mut Store) -> Result<()> {
        let size = self.tree.size();
        if store.edge_at(size).await?.is_some_and(|edge| edge != self.tree.edge()) {
            self.differs(Some(size), None, "the edge that is kept with the checkpoint after it is another", true);
        }
        Ok(())
    }

    async fn intent(&mut self, store: &mut Store, seq: u64, intent: &Intent) -> Result<()> {
        let mut noted = None;
        while let Some(next) = self.next_intent(store).await?.filter(|next| next.seq <= seq) {
            self.take_intent();
            if next.seq == seq {
                noted = Some(next);
                break;
            }
            self.differs(Some(next.seq), None, "the store's list of batches has it, and it is no intent", true);
        }
        let table = || Some(intent.table.clone());
        let Some(noted) = noted else {
            self.differs(Some(seq), table(), "the store's list of batches does not have it", true);
            self.unlisted.insert(seq);
            return Ok(());
        };
        let of_counts = (intent.evidence == Evidence::Counts).then_some(&intent.table);
        if noted.counted.as_ref() != of_counts {
            self.differs(Some(seq), table(), "the store's list of batches says another thing of its evidence", true);
        }
        match &noted.tags {
            None if intent.has_tags() => {
                self.differs(Some(seq), table(), "its row tags are not in the store", false);
            }
            Some(_) if !intent.has_tags() => {
                self.differs(Some(seq), table(), "the store has row tags of it, and it has none", false);
            }
            Some(tags) if (&tags.0, &tags.1) != (&intent.table, &intent.tag_key) => {
                self.differs(Some(seq), table(), "its row tags are kept under another table or key", true);
            }
            _ => {}
        }
        self.open.insert(seq, (intent.table.clone(), noted.outcome));
        Ok(())
    }

    fn take_intent(&mut self) {
        if let Some(taken) = self.intents.pop_front() {
            self.last_intent = taken.seq;
        }
    }

    /// The store's next intent, if there is one.
    async fn next_intent(&mut self, store: &mut Store) -> Result<Option<NotedIntent>> {
        if self.intents.is_empty() {
            self.intents = store.intents_after(self.last_intent, PAGE).await?.into();
        }
        Ok(self.intents.front().cloned())
    }

    /// What is compared as a whole, once all entries are read.
    async fn compare(&mut self, store: &mut Store, keys: &[TagKey]) -> Result<Vec<Difference>> {
        let mut whole = Self::default();
        let size = self.last_entry;
        for (seq, (table, noted)) in &self.open {
            if noted.is_some_and(|outcome| outcome <= size) {
                let message = "the store's list of batches has an outcome for it, and there is none";
                whole.differs(Some(*seq), Some(table.clone()), message, true);
            }
        }
        while let Some(next) = self.next_intent(store).await?.filter(|next| next.seq <= size) {
            self.take_intent();
            whole.differs(Some(next.seq), None, "the store's list of batches has it, and it is no intent", true);
        }
        for seq in store.tags_of_no_intent().await?.into_iter().filter(|seq| !self.unlisted.contains(seq)) {
            whole.differs(Some(seq), None, "the store has row tags of it, and it is no intent", false);
        }
        if store.edge_at(self.tree.size()).await?.is_some_and(|edge| edge != self.tree.edge()) {
            whole.differs(Some(size), None, "the edge that is kept with the checkpoint after it is another", true);
        }
        self.compare_keys(&store.known_keys().await?, &mut whole);
        let in_force: BTreeSet<_> = store.holds().await?.into_iter().map(|hold| hold.id).collect();
        self.compare_holds(&store.all_holds().await?, &in_force, keys, &mut whole);
        self.compare_requests(&store.all_requests().await?, &mut whole);
        self.compare_pause(store.last_pause().await?.as_ref(), &mut whole);
        let attested = store.attestations().await?;
        let attested: BTreeMap<_, _> =
            attested.into_iter().map(|(id, said)| (id, (said.by, said.evidence, said.until))).collect();
        for id in self.attested.keys().chain(attested.keys()) {
            if self.attested.get(id) != attested.get(id) {
                whole.differs(
                    None,
                    None,
                    &format!("the store has another attestation of {id} than the entries"),
                    false,
                );
            }
        }
        let noted = store.positions().await?.into_iter().map(|noted| (noted.database, (noted.entry, noted.restored)));
        let noted: BTreeMap<_, _> = noted.filter(|(_, (entry, _))| *entry <= size).collect();
        for name in self.positions.keys().chain(noted.keys()).collect::<BTreeSet<_>>() {
            if self.positions.get(name) != noted.get(name) {
                let message = format!("the store says another thing of where database {name} stood than the entries");
                whole.differs(None, None, &message, true);
            }
        }
        for count in store.recipient_counts().await? {
            let most = self.confirmed.get(&count.recipient).copied().unwrap_or(0);
            if ["confirmed", "gone"].contains(&count.state.as_str()) && count.persons > most {
                let message = format!(
                    "the store has {} persons as {} by {}, and the entries tell of {most} at most",
                    count.persons, count.state, count.recipient
                );
                whole.differs(None, None, &message, false);
            }
        }
        Ok(whole.found)
    }

    fn compare_keys(&self, known: &[StoredKey], whole: &mut Self) {
        let same = |key: &StoredKey, introduced: &KnownKey| {
            let destroyed = matches!(key.status, KeyStatus::Destroyed(_));
            key.public_key == introduced.public_key
                && key.introduced == introduced.introduced
                && destroyed == introduced.destroyed.is_some()
        };
        for key in known.iter().filter(|key| key.introduced <= self.last_entry) {
            let introduced = self.keys.get(&(key.kind.clone(), key.id.clone()));
            if !introduced.is_some_and(|introduced| same(key, introduced)) {
                let message = format!("the store says another thing of {} key {} than the entries", key.kind, key.id);
                whole.differs(None, None, &message, true);
            }
        }
        for (kind, id) in self.keys.keys() {
            if !known.iter().any(|key| key.kind == *kind && key.id == *id) {
                whole.differs(None, None, &format!("the store does not know {kind} key {id}"), true);
            }
        }
    }

    fn compare_holds(&self, stored: &[Hold], in_force: &BTreeSet<u64>, keys: &[TagKey], whole: &mut Self) {
        for hold in stored {
            let Some(known) = self.holds.get(&hold.id) else {
                whole.differs(None, None, &format!("the store has hold {}, and no entry adds it", hold.id), false);
                continue;
            };
            let tag_key = keys.iter().find(|key| key.id() == known.tag_key);
            let tag = tag_key.zip(hold.target.as_ref()).map(|(key, target)| tag_of_hold(key, &hold.table, target));
            let other = tag.is_some_and(|(tag, subject)| hex::encode(tag) != known.tag || subject != known.subject);
            if other || hold.table != known.table || hold.only_row != known.only_row {
                whole.differs(None, None, &format!("hold {} is not on what its entry says", hold.id), false);
            }
            if in_force.contains(&hold.id) == known.released || hold.release.is_some() != known.released {
                let says = if known.released { "released" } else { "in force" };
                whole.differs(None, None, &format!("hold {} is {says}, and the store says otherwise", hold.id), false);
            }
        }
        for id in self.holds.keys().filter(|id| !stored.iter().any(|hold| hold.id == **id)) {
            whole.differs(None, None, &format!("an entry adds hold {id}, and the store does not have it"), false);
        }
    }

    fn compare_requests(&self, stored: &[PersonRequest], whole: &mut Self) {
        for request in stored {
            let message = match self.requests.get(&request.id) {
                None => format!("the store has request {}, and no entry opens it", request.id),
                Some(known) if *known != KnownRequest::stored(request) => {
                    format!("the store says another thing of request {} than the entries", request.id)
                }
                Some(_) => continue,
            };
            whole.differs(None, None, &message, false);
        }
        for id in self.requests.keys().filter(|id| !stored.iter().any(|request| request.id == **id)) {
            whole.differs(None, None, &format!("an entry opens request {id}, and the store does not have it"), false);
        }
    }

    fn compare_pause(&self, stored: Option<&Pause>, whole: &mut Self) {
        let stored = stored.map(|pause| (pause.by.clone(), pause.until));
        if stored != self.pause {
            whole.differs(None, None, "the store and the entries do not agree on whether the job is paused", false);
        }
    }

    fn differs(&mut self, entry: Option<u64>, table: Option<String>, message: &str, is_mendable: bool) {
        if self.found.len() < MOST {
            self.found.push(Difference { entry, table, message: message.to_owned(), is_mendable });
        }
    }
}

/// Writes anew what follows wholly from the entries: the list of batches, where row tags are found, edges, keys, where
/// databases stood. Nobody else writes meanwhile. The entries are believed: they must have been verified.
///
/// # Errors
/// The store cannot be written; nothing is changed then.
pub async fn repair(store: &mut Store) -> Result<()> {
    store.begin().await?;
    match rewrite(store).await {
        Ok(()) => Ok(store.commit().await?),
        Err(error) => {
            let _ = store.rollback().await;
            Err(error)
        }
    }
}

async fn rewrite(store: &mut Store) -> Result<()> {
    store.forget_intents().await?;
    store.forget_keys().await?;
    store.forget_positions().await?;
    let mut tree = Tree::default();
    loop {
        let page = store.entries_after(tree.size(), PAGE).await?;
        for (seq, line) in &page {
            let entry = parse(*seq, line)?;
            store.write_edge(tree.size(), tree.edge()).await?;
            tree.push(entry::hash(line));
            match entry.event {
                Event::Intent(Intent { evidence, table, tag_key, .. }) => {
                    store.write_tags_place(*seq, &table, &tag_key).await?;
                    store.add_intent(*seq, (evidence == Evidence::Counts).then_some(table)).await?;
                }
                Event::Outcome { intent, .. } => {
                    store.settle_intent(intent, *seq).await?;
                }
                Event::PositionNoted { database, .. } => store.keep_position(&database, *seq, false).await?,
                Event::Restored(Restore { database, .. }) => store.keep_position(&database, *seq, true).await?,
                Event::KeyIntroduced { kind, id, public_key } => store.add_key(&kind, &id, public_key, *seq).await?,
                Event::TagKeyDestroyed { id, .. } => {
                    store.mark_tag_key_destroyed(&id, entry.at).await?;
                }
                _ => {}
            }
        }
        if page.is_empty() {
            break;
        }
    }
    store.write_edge(tree.size(), tree.edge()).await?;
    Ok(())
}
/// What an entry says of a hold's target: without the secret nobody can tell which rows it is about.
pub(super) fn tag_of_hold(key: &TagKey, table: &str, target: &HoldTarget) -> (Tag, HoldSubject) {
    match target {
        HoldTarget::Key(row) => (key.tag(table, row), HoldSubject::Row),
        HoldTarget::Condition(sql) => (key.condition_tag(table, sql), HoldSubject::Condition),
        HoldTarget::Person { subject, key: row, .. } => (key.person_tag(table, subject, row), HoldSubject::Person),
    }
}
