//! Entries: what can happen, and the exact line that stands for it.
//!
//! Nothing here names a person: rows appear as counts and as Merkle roots over keyed tags.

use crate::{
    database::Position,
    evidence::{
        Evidence,
        merkle::{self, Hash},
    },
    outcome::Outcome,
    rules::RequestKind,
    store::RequestOutcome,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The format's name, in the ledger's first entry and in exports.
pub const FORMAT: &str = "sunset-ledger/2";

/// An entry about a recipient's answers names no more calls.
pub const MOST_REQUEST_IDS: usize = 20;

/// One entry of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// 1 for the first; without gaps.
    pub seq: u64,
    /// When it was written, by the writer's clock; RFC 3339 in UTC with microseconds.
    #[serde(with = "microseconds")]
    pub at: Timestamp,
    /// The run or command that wrote it.
    pub run: String,
    pub event: Event,
    /// The hash of the entry before, in hexadecimal; 64 zeros in the first.
    pub previous: String,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// Always the first entry.
    LedgerStarted {
        format: String,
        origin: String,
    },
    /// Comes right after the entries that a checkpoint covers: the checkpoint belongs to the chain.
    Checkpointed {
        size: u64,
        /// SHA-256 of the signed note, in hexadecimal.
        note: String,
    },
    KeyIntroduced {
        kind: String,
        id: String,
        /// For signing keys, as `sunset keys list` prints it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        public_key: Option<String>,
    },
    /// From here on nobody can tell which rows the tags made with it stood for.
    TagKeyDestroyed {
        id: String,
        reason: String,
        owner: String,
    },
    RunStarted {
        job: String,
        /// Of this program.
        version: String,
        /// What the run took for the present time.
        #[serde(with = "microseconds")]
        now: Timestamp,
        time_zone: String,
        plan_digest: String,
        rules_digest: String,
        rules: Vec<String>,
        /// Database name to server version.
        databases: BTreeMap<String, String>,
        /// What the processes call themselves that share a night's work.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        group: Option<String>,
    },
    RuleStarted {
        rule: String,
        category: String,
        table: String,
        disposition: String,
        cut_off: String,
        due: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        overdue: Option<u64>,
        held: u64,
        waiting: u64,
        without_starting_point: u64,
        purpose: String,
        legal_basis: String,
        /// Column name to the technique's label.
        techniques: BTreeMap<String, String>,
    },
    /// The rows of a partition are about to stand in a table of their own, until it is decided whether they go.
    PartitionSetAside {
        rule: String,
        /// `database.schema.table`.
        table: String,
        partition: String,
        /// The table, as `schema.table`.
        aside: String,
    },
    /// They are back, because some of them stay.
    PartitionReturned {
        rule: String,
        table: String,
        partition: String,
    },
    /// The rule's rows are about to be added up before they go. A group with a row in the target, or with enough persons for
    /// one, is kept; the others are not.
    Surveyed {
        rule: String,
        /// `database.schema.table` of the target.
        into: String,
        /// Persons.
        smallest_group: u64,
        kept: u64,
        suppressed: u64,
        /// Rows that go uncounted: their groups are suppressed, or they belong to none.
        rows_left_out: u64,
    },
    Intent(Intent),
    Outcome {
        /// The number of the intent.
        intent: u64,
        result: BatchResult,
        milliseconds: u64,
        settled_by: SettledBy,
        /// What a recovery has it from; none where nothing could tell.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        told_by: Option<ToldBy>,
        /// What was seen of the batch's rows, to number of rows, where that settles nothing.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        found: BTreeMap<String, u64>,
    },
    /// A recipient is about to be asked; written before the call. There may be no answer to it: then the process ended,
    /// and the next run asks again.
    Asked {
        /// None for polls: accepted work may be about rows of several rules.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rule: Option<String>,
        /// Its name in the settings.
        recipient: String,
        /// `delete` or `poll`.
        operation: String,
        subjects: u64,
        /// Merkle root over the sorted tags of the subjects, in hexadecimal.
        root: String,
        /// The id of the key that made the tags.
        tag_key: String,
    },
    /// What the recipient said; written after the call.
    Answered {
        /// The number of the entry that announced the call.
        asked: u64,
        recipient: String,
        /// State (`confirmed`, `gone`, `accepted`, `not_possible`, `refused`, `unreachable`) to number of subjects.
        answers: BTreeMap<String, u64>,
        /// Grade of evidence (`E1` …) to number of subjects.
        grades: BTreeMap<String, u64>,
        /// The recipient's own names for the calls, at most [`MOST_REQUEST_IDS`], each once.
        request_ids: Vec<String>,
        milliseconds: u64,
    },
    /// Somebody has recorded that a recipient confirmed a deletion notice in writing.
    NoticeConfirmed {
        recipient: String,
        notice: String,
        /// Those that are confirmed with this.
        subjects: u64,
        /// Those of the notice that nobody has confirmed yet.
        open: u64,
        /// Merkle root over the sorted tags of the confirmed subjects, in hexadecimal.
        root: String,
        /// Grade of evidence: `E3`.
        grade: String,
        /// Who recorded it.
        by: String,
        /// What was received, in words.
        evidence: String,
        /// SHA-256 of the document, in hexadecimal; the document itself is kept elsewhere.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        document: Option<String>,
    },
    /// A person has said that work which a recipient had accepted and then refused is given up: whose rows are still there
    /// are asked about anew.
    AskedAgain {
        recipient: String,
        /// Persons whom it was about.
        subjects: u64,
        /// Who said so.
        by: String,
        reason: String,
    },
    /// What a rule asks for `after` its rows went: their bytes were cleaned up, or it was tried.
    Maintenance {
        rule: String,
        /// `vacuum` or `rewrite`.
        step: String,
        /// `schema.table` of those that hold rows.
        tables: Vec<String>,
        complete: bool,
        /// Why not.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
        milliseconds: u64,
    },
    RuleFinished {
        rule: String,
        result: RuleResult,
        disposed: u64,
        /// Reason to number of rows.
        remaining: BTreeMap<String, u64>,
        milliseconds: u64,
        /// Throttle to milliseconds that batches waited for it.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        waited: BTreeMap<String, u64>,
    },
    /// The rows were counted again after the work.
    Verification {
        rule: String,
        remaining_due: u64,
        /// Reason to number of rows.
        explained: BTreeMap<String, u64>,
        ok: bool,
    },
    /// The groups that anonymized rows form by their quasi-identifiers were counted after the work. Numbers alone.
    KAnonymity {
        rule: String,
        quasi_identifiers: Vec<String>,
        /// So many rows a group has at least.
        k: u64,
        /// Sensitive column to the least number of different values in a group.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        l_diversity: BTreeMap<String, u64>,
        /// The rows of the smallest group, before anything was done about it.
        smallest_before: u64,
        /// Groups that were too small, or had too few different values, and their rows.
        below_before: u64,
        rows_below_before: u64,
        /// What was suppressed further, to number of rows.
        suppressed: BTreeMap<String, u64>,
        /// Rows that went because their group was still too small.
        erased: u64,
        rows: u64,
        groups: u64,
        smallest: u64,
        below: u64,
        rows_below: u64,
        /// Of those, rows that a hold keeps as they are.
        held: u64,
        /// None is too small, but for held rows.
        ok: bool,
    },
    Refusal {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rule: Option<String>,
        reason_code: String,
        message: String,
    },
    Failure {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rule: Option<String>,
        message: String,
    },
    RunFinished {
        outcome: Outcome,
        disposed: u64,
        milliseconds: u64,
    },
    HoldAdded {
        hold: u64,
        /// `database.schema.table`.
        table: String,
        matter: String,
        /// The row's tag or the condition's, in hexadecimal.
        tag: String,
        tag_key: String,
        subject: HoldSubject,
        owner: String,
        review: jiff::civil::Date,
        /// What belongs to its rows is not held with them.
        #[serde(default, skip_serializing_if = "is_false")]
        only_row: bool,
    },
    /// No run begins a batch from here on.
    Paused {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        by: String,
        /// Until somebody ends it, where there is none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
    },
    Resumed {
        by: String,
    },
    HoldReleased {
        hold: u64,
        table: String,
        matter: String,
        owner: String,
    },
    /// Somebody asks for their data to go, or to be shown. Who it is stands here as a tag.
    RequestOpened {
        request: u64,
        kind: RequestKind,
        /// The subject of `sunset.yaml`, and the table of the home row as `database.schema.table`.
        person: String,
        table: String,
        /// The person's, in hexadecimal.
        tag: String,
        tag_key: String,
        received: jiff::civil::Date,
        due: jiff::civil::Date,
        /// The company's number for it.
        reference: String,
        /// Who has seen to it that it is the person, and how.
        identified_by: String,
        identified_how: String,
    },
    /// Runs take the request along from here on.
    RequestApproved {
        request: u64,
        by: String,
        /// Rows of the person that stay all the same, by table.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        stays: BTreeMap<String, u64>,
    },
    /// What a run did for a request, by rule: rows that went or were changed, and rows that could go and are still there.
    RequestServed {
        request: u64,
        disposed: BTreeMap<String, u64>,
        left: BTreeMap<String, u64>,
        /// Rows that wait for dependents that stay.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        waiting: BTreeMap<String, u64>,
        /// Nothing is left that goes before its day.
        complete: bool,
    },
    /// What is held about the person was written down for them. The data itself is nowhere here.
    RequestDisclosed {
        request: u64,
        /// By table.
        rows: BTreeMap<String, u64>,
        /// Rows that are about somebody else as well, and were left out.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        left_out: BTreeMap<String, u64>,
        /// SHA-256 of the list of the files' own, in hexadecimal.
        digest: String,
    },
    RequestClosed {
        request: u64,
        outcome: RequestOutcome,
        by: String,
        reason: String,
    },
    /// Where a database stands at the end of a run: the next one compares.
    PositionNoted {
        /// Its name in the settings.
        database: String,
        position: Position,
    },
    /// A person has looked at a database that was put back to an earlier state, or is another one, and lets runs go on from
    /// where it stands.
    Restored(Restore),
    /// It was looked again whether erased rows are there.
    RestoreChecked {
        database: String,
        by: String,
        back: BTreeMap<String, u64>,
        compared: u64,
        #[serde(default, skip_serializing_if = "is_zero")]
        unknown: u64,
    },
    /// A person says that an assertion holds that no program can check.
    Attested {
        assertion: String,
        statement: String,
        by: String,
        /// What was looked at, in words.
        evidence: String,
        /// The last day on which it counts.
        until: jiff::civil::Date,
        /// SHA-256 of a document, in hexadecimal.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        document: Option<String>,
    },
    /// A run has looked whether an assertion holds.
    AssertionChecked {
        assertion: String,
        result: AssertionResult,
        /// Numbers of rows, names of tables and columns, or who attested it.
        found: String,
    },
}

impl Event {
    /// How a batch ended, in the words of the process that did it.
    pub fn ended(intent: u64, result: BatchResult, milliseconds: u64) -> Self {
        let (settled_by, told_by, found) = (SettledBy::Direct, None, BTreeMap::new());
        Self::Outcome { intent, result, milliseconds, settled_by, told_by, found }
    }
}

/// What a person says of a database that was restored, and what was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restore {
    pub database: String,
    /// Runs go on from here.
    pub position: Position,
    /// Who has looked.
    pub by: String,
    pub reason: String,
    /// Rows that were erased and are there again, by `database.schema.table`.
    pub back: BTreeMap<String, u64>,
    /// Erased rows whose tags were compared.
    pub compared: u64,
    /// Erased rows of which nobody can tell: their tag key or their table is gone, or their evidence is counts.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unknown: u64,
}

/// What a batch is about to do; written before it commits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    pub rule: String,
    /// `database.schema.table`.
    pub table: String,
    pub disposition: String,
    /// The batch's number within rule and run.
    pub batch: u64,
    pub rows: u64,
    /// Other tables' rows that go with them: table to number of rows. Each has an intent of its own after this one.
    pub dependents: BTreeMap<String, u64>,
    /// For rows that go along: the table of the rule. Intents of one batch come to the same end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub along_with: Option<String>,
    /// The partition that goes whole, of which these are rows. A big one is announced in several intents, which come to
    /// the same end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<String>,
    /// What is done with rows of groups that are too small, after the rule has anonymized them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub k_anonymity: Option<String>,
    /// `counts` where the rule asks for no more evidence than the number of rows: no row of the batch can be proven.
    #[serde(default, skip_serializing_if = "Evidence::is_rows")]
    pub evidence: Evidence,
    /// Merkle root over the sorted row tags, in hexadecimal.
    pub root: String,
    /// The id of the key that made the tags.
    pub tag_key: String,
    /// The server's name for the transaction, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction: Option<String>,
    /// Whose name that is: the server and its history. Any other one may have given the name to another transaction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// What the batch writes into the database in its own transaction, where the database has a table for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<String>,
    /// A keyed digest of what tells of a row whether this was done to it: the table's key, and what changes. Only as long as
    /// it is the same can the rows be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terms: Option<String>,
    /// The number of the rule's lock that the session held: while somebody holds it, the batch may still be under way.
    #[serde(default, skip_serializing_if = "is_first")]
    pub worker: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks like this")]
fn is_first(worker: &u32) -> bool {
    *worker == 0
}

impl Intent {
    /// Rows of a table without a primary key have no tags, nor those of a rule that keeps counts alone: their root is
    /// the empty tree's.
    pub fn has_tags(&self) -> bool {
        self.root != hex::encode(merkle::Tree::default().root())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BatchResult {
    Committed,
    RolledBack,
    /// Nobody can tell: neither the database nor the rows.
    Unknown,
}

/// What told a recovery how a batch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToldBy {
    /// What the batch wrote into the database in its own transaction.
    Mark,
    /// The server, which knows its transactions by name.
    Transaction,
    /// All of the batch's rows alike.
    Rows,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SettledBy {
    /// The process that did it.
    Direct,
    /// A later one, by looking at what became of the rows.
    Recovery,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleResult {
    Done,
    NothingDue,
    /// Rows are left that are due, and each has a reason.
    ExplainedRest,
    Refused,
    Failed,
    Temporary,
    /// Time was up, or somebody paused the job: work is left, and nothing went wrong.
    Backlog,
}

/// What came of looking whether an assertion holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AssertionResult {
    Holds,
    Fails,
    /// What a person said counts no longer.
    Expired,
    /// No person has said it yet.
    Unattested,
    /// Nobody could tell.
    Unknown,
}

impl std::fmt::Display for AssertionResult {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str(match self {
            Self::Holds => "holds",
            Self::Fails => "fails",
            Self::Expired => "expired",
            Self::Unattested => "unattested",
            Self::Unknown => "unknown",
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldSubject {
    Row,
    Condition,
    /// A row of a subject's home table, and whatever else is about the same person.
    Person,
}

/// An entry cannot be written so that it can be read again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an entry cannot be written: {0}")]
pub struct EntryError(String);

impl Entry {
    /// The entry as one line of canonical JSON (RFC 8785), without line break: the bytes that are hashed.
    ///
    /// # Errors
    /// A number is above 2^53, which canonical JSON cannot hold exactly.
    pub fn line(&self) -> Result<String, EntryError> {
        let line = serde_json_canonicalizer::to_string(self).map_err(|error| EntryError(error.to_string()))?;
        match Self::parse(&line) {
            Ok(read) if read == *self => Ok(line),
            Ok(_) => Err(EntryError("a number is above 2^53 or a time is finer than microseconds".into())),
            Err(_) => Err(EntryError("a number is above 2^53".into())),
        }
    }

    /// Reads a line; whether it is canonical is not asked here.
    pub fn parse(line: &str) -> serde_json::Result<Self> {
        serde_json::from_str(line)
    }
}

/// The hash of an entry's line: SHA-256 over a zero byte and the line. It is the leaf's hash in the ledger's tree too.
pub fn hash(line: &str) -> Hash {
    merkle::leaf(line.as_bytes())
}

/// What the first entry has for the hash of the one before.
pub fn no_entry() -> Hash {
    [0; 32]
}

/// Times with exactly six digits of the second.
mod microseconds {
    use jiff::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{time:.6}"))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        Timestamp::deserialize(deserializer)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_false(value: &bool) -> bool {
    !*value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_zero(rows: &u64) -> bool {
    *rows == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(event: Event) -> Entry {
        Entry {
            seq: 2,
            at: "2026-11-22T02:30:00.5Z".parse().unwrap(),
            run: "20261122T023000Z-0a1b2c".into(),
            event,
            previous: hex::encode(no_entry()),
        }
    }

    #[test]
    fn a_line_is_canonical_json() {
        let event = Event::Failure { rule: None, message: "naïve \u{1f600} \u{7} \"quoted\" 退会".into() };
        let line = entry(event.clone()).line().unwrap();
        assert_eq!(
            line,
            "{\"at\":\"2026-11-22T02:30:00.500000Z\",\"event\":{\"message\":\"naïve \u{1f600} \\u0007 \\\"quoted\\\" \
             退会\",\"type\":\"failure\"},\"previous\":\
             \"0000000000000000000000000000000000000000000000000000000000000000\",\
             \"run\":\"20261122T023000Z-0a1b2c\",\"seq\":2}"
        );
        assert_eq!(Entry::parse(&line).unwrap(), entry(event));
    }

    #[test]
    fn numbers_that_json_cannot_hold_are_refused() {
        let finished = |disposed| entry(Event::RunFinished { outcome: Outcome::Done, disposed, milliseconds: 1 });
        finished((1 << 53) - 1).line().unwrap();
        finished((1 << 53) + 1).line().unwrap_err();
        finished(u64::MAX).line().unwrap_err();
    }
}
