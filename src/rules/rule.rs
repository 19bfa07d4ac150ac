//! A rule file after every check that needs no database.

use super::{Aggregate, Assertion, KAnonymity};
use crate::{
    anonymize::Technique,
    catalog::{ForeignKey, Literal, TablePath},
    clock::{
        period::{Period, PeriodChoice},
        starting_point::{CountedFrom, Encoding, Source, Zero},
    },
    diagnostic::Place,
    evidence::{Evidence, Grade},
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt};

/// One file of `rules/`: a data category with its rules.
#[derive(Clone, Debug)]
pub struct RuleFile {
    /// The file's path as shown to people.
    pub file: String,
    pub category: Category,
    pub rules: Vec<Rule>,
    pub assertions: Vec<Assertion>,
}

/// A data category: what ISO/IEC 27555 calls a cluster of PII.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Category {
    /// The file's `category`, unique in the job.
    pub id: String,
    /// By language tag (`en`, `ja`, …); a plain string in the file stands under `en`.
    pub title: BTreeMap<String, String>,
    pub owner: Option<String>,
    /// Keys of the fideslang taxonomy, for example `user.contact.email`.
    pub data_categories: Vec<String>,
}

/// Which rows are past their time, and what becomes of them.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Unique in the job; kebab-case.
    pub id: String,
    /// The id of its [`Category`].
    pub category: String,
    pub purpose: Option<String>,
    pub legal_basis: Option<String>,
    pub table: TablePath,
    /// Which rows, where other tables inherit from the table.
    pub covers: Option<Covers>,
    pub starting_point: StartingPoint,
    pub retention_period: PeriodChoice,
    pub regular_deletion_period: Option<PeriodChoice>,
    pub condition: Option<Condition>,
    pub disposition: Disposition,
    /// What becomes of each column (anonymize, pseudonymize); for `unlink`, each with [`Technique::Suppress`].
    pub columns: Vec<(String, Technique)>,
    /// The column that tells a row already done, for techniques without a fixpoint.
    pub marker: Option<String>,
    /// How large the groups must be that the anonymized rows form.
    pub k_anonymity: Option<KAnonymity>,
    /// Every table that references this one, directly or through another dependent that is erased.
    pub dependents: Vec<RuleDependent>,
    /// Third parties that delete their copies before a row changes, in the order of the file.
    pub recipients: Vec<RuleRecipient>,
    pub limits: Limits,
    pub partitions: Partitions,
    /// What is kept of the rows that go.
    pub aggregate: Option<Aggregate>,
    pub evidence: Evidence,
    pub after: Option<After>,
    /// Five-field cron expression, checked.
    pub schedule: Option<String>,
    pub on_request: OnRequest,
    /// Words to choose rules by.
    pub tags: Vec<String>,
    /// The rule's node in its file.
    pub place: Place,
}

/// Whom a rule asks to delete a copy, and how it knows the person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleRecipient {
    /// Its name in `sunset.yaml`.
    pub name: String,
    /// Identifier to the column of the rule's table that holds it.
    pub identifiers: Vec<(String, String)>,
    /// The best that the recipient can give, where nothing is said: see `RecipientSettings::required`.
    pub require: Option<Grade>,
    /// Counted from the first request.
    pub deadline: Option<Period>,
    /// Ask even where a row that stays has the same identifier.
    pub asks_shared: bool,
    /// The recipient's node in its file.
    pub place: Place,
}

/// What the request of a person means for the rows that are about them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OnRequest {
    pub act: Act,
    /// Only these rows go now; the others wait until they are due.
    pub condition: Option<Condition>,
    /// The requests that it is about. Empty: erasure.
    pub kinds: Vec<RequestKind>,
    /// Why rows stay, or may go, in words for the person: by language tag, as titles are.
    pub reason: BTreeMap<String, String>,
}

/// When a row goes whose person asks for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    Now,
    /// Its retention period is a duty to keep.
    #[default]
    WhenDue,
}

/// What a person can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum RequestKind {
    /// The data is to go (消去).
    Erasure,
    /// The data is not to be used any more (利用停止).
    Cease,
    /// The data is to be shown (開示).
    Disclosure,
    /// The data is to be put right (訂正).
    Correction,
}

impl RequestKind {
    /// As it is written.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Erasure => "erasure",
            Self::Cease => "cease",
            Self::Disclosure => "disclosure",
            Self::Correction => "correction",
        }
    }
}

/// What the ids of rules end with where they act on request.
pub const ON_REQUEST: &str = "@request";

impl Rule {
    /// Rows may go at such a request before they are due.
    pub fn answers(&self, kind: RequestKind) -> bool {
        let kinds = &self.on_request.kinds;
        self.on_request.act == Act::Now && (kinds.contains(&kind) || kinds.is_empty() && kind == RequestKind::Erasure)
    }

    /// Whatever its rows are, they go at such a request.
    pub fn answers_at_once(&self, kind: RequestKind) -> bool {
        self.answers(kind) && self.on_request.condition.is_none()
    }

    /// The rule as it acts on rows of persons who asked for it: by an id of its own, whatever the time. Dependents that have
    /// rules of their own (`own_rules` gives their ids, and whether they answer too) wait for these, unless the rule overrides
    /// them; what would only be unlinked waits for rules that answer, which would not find it any more.
    #[must_use]
    pub fn on_request(&self, own_rules: &dyn Fn(&TablePath) -> Vec<(String, bool)>) -> Self {
        let mut rule = self.clone();
        rule.id += ON_REQUEST;
        rule.regular_deletion_period = None;
        rule.partitions = Partitions::Rows;
        for dependent in &mut rule.dependents {
            let is_unlinked = dependent.fate == Dependent::Unlink;
            let waits = |(id, answers): &(String, bool)| {
                *id != self.id && !dependent.overrides.contains(id) && (*answers || !is_unlinked)
            };
            if own_rules(&dependent.table).iter().any(waits) {
                dependent.fate = Dependent::Keep;
            }
        }
        rule
    }
}

/// The id of the rule in its file.
pub fn id_in_file(id: &str) -> &str {
    id.strip_suffix(ON_REQUEST).unwrap_or(id)
}

/// When a row's time begins.
#[derive(Clone, Debug)]
pub struct StartingPoint {
    pub source: Source,
    /// What happened then, in words, for reports.
    pub event: Option<String>,
    /// How the column holds time, where its type does not tell.
    pub encoding: Option<Encoding>,
    /// What the number 0 means, where a number tells the time.
    pub zero: Zero,
    /// The zone of times without one; the job's by default. IANA name, checked.
    pub zone: Option<String>,
    pub counted_from: CountedFrom,
    /// The parameter that `counted_from` took its fiscal year from.
    pub fiscal_year_of: Option<String>,
    pub missing: Missing,
}

/// What is done with rows that have no starting point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    /// They are counted and named in plan and report; they stay.
    #[default]
    Report,
    /// They stay, uncounted.
    Ignore,
    /// They are due at once.
    Due,
}

/// Which rows besides their age.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// `where: {status: [closed, cancelled], country: JP}`: all of them hold.
    Data(Vec<(String, Match)>),
    /// One boolean SQL expression. Parsed once more, in the engine's dialect, at planning.
    Sql(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Match {
    /// One of these values; `Literal::Null` among them means "or has none".
    In(Vec<Literal>),
    /// None of these.
    NotIn(Vec<Literal>),
    LessThan(Literal),
    AtMost(Literal),
    MoreThan(Literal),
    AtLeast(Literal),
}

/// What becomes of a due row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Disposition {
    /// The row goes.
    Erase,
    /// The row stays and no longer relates to a person.
    Anonymize,
    /// The row stays; whoever has the key can relate it.
    Pseudonymize,
    /// The row stays and its link to a person goes: the named columns become null.
    Unlink,
}

impl fmt::Display for Disposition {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::Erase => "erase",
            Self::Anonymize => "anonymize",
            Self::Pseudonymize => "pseudonymize",
            Self::Unlink => "unlink",
        })
    }
}

/// What a rule says of the rows of one table that reference a disposed row.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleDependent {
    pub table: TablePath,
    /// The foreign key's columns, or its name alone; empty: whatever key leads from the table.
    pub by: Vec<String>,
    pub fate: Dependent,
    /// Rules of that table which may keep its rows for longer, and are overruled.
    pub overrides: Vec<String>,
    /// The dependent's node in its file.
    pub place: Place,
}

impl RuleDependent {
    /// The foreign key is one of those that are meant.
    pub fn means(&self, key: &ForeignKey) -> bool {
        let columns = || self.by.len() == key.columns.len() && self.by.iter().all(|name| key.columns.contains(name));
        self.by.is_empty() || columns() || self.by == [key.name.as_str()]
    }
}

/// What becomes of the rows that reference a disposed row.
#[derive(Clone, Debug, PartialEq)]
pub enum Dependent {
    /// They go in the same transaction.
    Erase,
    /// They stay; with `erase`, the referenced row waits until none is left.
    Keep,
    /// Their referencing columns become null.
    Unlink,
    /// These columns of theirs are anonymized in the same transaction.
    Anonymize(Vec<(String, Technique)>),
}

/// Which rows a rule is about where other tables inherit from its table (PostgreSQL).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Covers {
    /// Those of the table itself.
    Only,
    /// Those of the tables that inherit from it, too.
    Tree,
}

/// What becomes of a partition of which every row is to go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Partitions {
    /// Its rows go one by one.
    #[default]
    Rows,
    /// It is removed with them.
    Drop,
    /// It is emptied at once.
    Truncate,
}

/// What is done about the bytes of rows that went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum After {
    /// The engine's own cleaning, which stops nobody.
    Vacuum,
    /// The table is written anew.
    Rewrite,
}

impl fmt::Display for After {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::Vacuum => "vacuum",
            Self::Rewrite => "rewrite",
        })
    }
}

/// Guard rails: over one of them, nothing is touched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    pub max_rows: Option<u64>,
    /// Of the table's rows, 0 to 100.
    pub max_share_percent: Option<f64>,
    /// Rows that may have lost their starting points since the last run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost_starts: Option<u64>,
}
