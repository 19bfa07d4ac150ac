//! What came of a run, as data.

use super::{
    forecast::{Forecast, Progress},
    requests::RequestReport,
};
use crate::{
    anchor::Sent,
    catalog::{Engine, TableName},
    database::{dialect, groups::GroupCounts, maintenance::Remains},
    ledger::RuleResult,
    outcome::Outcome,
    plan::{CheckedAssertion, Counts, DatabaseFacts, HeldBy, PlannedAggregate, Starts},
    recipients::Answer,
    rules::{After, Disposition},
    standing::{Durations, RunStanding},
};
use jiff::Timestamp;
use serde::Serialize;
use std::{collections::BTreeMap, time::Duration};

/// The reason of rows that stay because the rule did not come to them.
pub const BACKLOG: &str = "backlog";

/// The reason of rows that stay because the rule failed.
const FAILED: &str = "left_by_failure";

/// The reason of rows that stay because they are more than a limit allows.
const OVER_LIMITS: &str = "over_limits";

/// The reason of rows that stay because a hold cannot be applied any more.
const LOST_HOLD: &str = "held_back_by_lost_hold";

/// The reason of rows that the plan counted and that had gone, or were not due any more, when their turn came.
const NO_LONGER_DUE: &str = "no_longer_due";

#[derive(Clone, Debug, Serialize)]
pub struct RunReport {
    /// The run's id, as the ledger has it.
    pub run: String,
    pub plan_digest: String,
    pub now: Timestamp,
    pub outcome: Outcome,
    /// Rows of the rules' own tables.
    pub disposed: u64,
    pub milliseconds: u64,
    pub rules: Vec<RuleReport>,
    /// What has to hold and no rule can bring about.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub assertions: Vec<CheckedAssertion>,
    /// Rules that were in an earlier run and are in no file any more, nor among those that are retired.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gone_rules: Vec<String>,
    /// What became of work that recipients had accepted before, by their names.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub polled: BTreeMap<String, RecipientReport>,
    /// What persons have asked for, and what was done for them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub requests: Vec<RequestReport>,
    /// Where bytes of rows that went still are, and until when.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub traces: Vec<Traces>,
    /// What was left for want of time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backlog: Option<Forecast>,
    /// What all processes of its group came to, those that have ended by then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupReport>,
    /// The signed checkpoint: worth keeping somewhere else.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub checkpoint: String,
    /// What became of handing it to places outside.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub anchored: Vec<Sent>,
    /// Nothing was changed, and this is what a run would have done beside, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rehearsal: Option<Vec<String>>,
}

/// What is left of rows in one database, after what rules with the same `after` did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Traces {
    pub database: String,
    pub engine: Engine,
    pub after: Option<After>,
    pub rules: Vec<String>,
    pub places: Vec<Remains>,
}

impl Traces {
    /// By database and `after`, for rules with these; each with the engine's version.
    pub fn of<'a>(rules: impl IntoIterator<Item = (&'a str, &'a str, &'a DatabaseFacts, Option<After>)>) -> Vec<Self> {
        let mut all: BTreeMap<(&str, Option<After>), Self> = BTreeMap::new();
        for (rule, database, facts, after) in rules {
            let traces = all.entry((database, after)).or_insert_with(|| Self {
                database: database.to_owned(),
                engine: facts.engine,
                after,
                rules: Vec::new(),
                places: dialect(facts.engine, &facts.version).remains(after),
            });
            traces.rules.push(rule.to_owned());
        }
        all.into_values().collect()
    }
}

/// One summary of several processes that share a night's work.
#[derive(Clone, Debug, Serialize)]
pub struct GroupReport {
    pub name: String,
    /// Those that have ended, this one among them.
    pub processes: u64,
    pub outcome: Outcome,
    /// Rows of the rules' own tables, those among them that a process committed which has not ended, or died.
    pub disposed: u64,
    /// Rows disposed of, by rule.
    pub rules: BTreeMap<String, u64>,
}

impl GroupReport {
    /// Of what the store knows about a run, where it is one of a group.
    pub fn of(run: &RunStanding) -> Option<Self> {
        let group = run.group.as_ref()?;
        Some(Self {
            name: group.name.clone(),
            processes: group.processes.len() as u64,
            outcome: run.outcome,
            disposed: run.disposed,
            rules: group.disposed().into_iter().map(|(rule, rows)| (rule.to_owned(), rows)).collect(),
        })
    }
}

#[derive(Clone, Debug, Serialize)]
pub struct RuleReport {
    pub rule: String,
    pub database: String,
    pub table: Option<TableName>,
    pub result: RuleResult,
    pub disposed: u64,
    /// Rows of other tables that went along.
    pub dependents: BTreeMap<String, u64>,
    /// Partitions that went whole; their rows are among those disposed of.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub partitions: Vec<PartitionReport>,
    /// Partitions that were to go whole, and whose rows went one by one: name and reason.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub partitions_by_rows: BTreeMap<String, String>,
    /// Where its rows were added up before they went, with the groups of the rows that were due at first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aggregate: Option<PlannedAggregate>,
    /// The groups that its anonymized rows form, where the rule says how large they must be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub k_anonymity: Option<KAnonymityReport>,
    /// What was done about the bytes of rows that went.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maintenance: Option<MaintenanceReport>,
    /// Third parties that were asked, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub recipients: BTreeMap<String, RecipientReport>,
    /// Rows that are due and stay, by reason.
    pub remaining: BTreeMap<String, u64>,
    /// Holds that kept due rows when the plan counted them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub held_by: Vec<HeldBy>,
    /// Rows that the plan counted and this run did not dispose of, by reason.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub fewer: BTreeMap<String, u64>,
    pub milliseconds: u64,
    /// Milliseconds that its batches waited, by throttle. Where each connection has waits of its own, the average.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub waited: BTreeMap<String, u64>,
    /// How long its batches took, from the first lock to the commit.
    #[serde(skip)]
    pub batches: Durations,
    /// The rows as they were counted last: after the work, or, where it did not come to its end, before it.
    #[serde(skip)]
    pub counts: Option<Counts>,
    /// Rows with and without a starting point as the plan counted them.
    #[serde(skip)]
    pub starts: Option<Starts>,
    /// More of them have lost theirs since the last run than may.
    #[serde(skip)]
    pub has_lost_starts: bool,
    /// Why it ended as it did, where that needs words.
    pub message: Option<String>,
    /// At least this, whatever the result says: credentials that are refused are not a failure of the rule.
    #[serde(skip)]
    pub outcome: Outcome,
}

/// A partition that went whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PartitionReport {
    pub name: String,
    pub rows: u64,
}

/// What was found of the groups that anonymized rows form, and what was done about it. Numbers alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct KAnonymityReport {
    pub k: u64,
    pub before: GroupCounts,
    /// What was done with rows of groups that were too small, one after the other.
    pub measures: Vec<MeasureReport>,
    /// The last count; none where rows changed since that nobody has counted.
    pub after: Option<GroupCounts>,
}

/// One thing that was done with rows of groups that are too small.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MeasureReport {
    /// For example `postal_code: removed`.
    pub what: String,
    pub disposition: Disposition,
    pub rows: u64,
}

impl KAnonymityReport {
    pub(super) fn new(k: u64, groups: GroupCounts) -> Self {
        Self { k, before: groups.clone(), measures: Vec::new(), after: Some(groups) }
    }

    /// The last count that there is.
    pub fn last(&self) -> &GroupCounts {
        self.after.as_ref().unwrap_or(&self.before)
    }

    /// Rows that were changed, each as often as that.
    pub fn changed(&self) -> u64 {
        self.measures.iter().map(|measure| measure.rows).sum()
    }

    pub fn erased(&self) -> u64 {
        let erasing = self.measures.iter().filter(|measure| measure.disposition == Disposition::Erase);
        erasing.map(|measure| measure.rows).sum()
    }
}

/// How the cleaning went that a rule asks for after its rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MaintenanceReport {
    pub step: After,
    pub complete: bool,
    /// Why not; the next run tries again.
    pub message: Option<String>,
}

/// The state of persons whom a recipient says not to know any more, where there are too many of them.
pub(super) const DOUBTED: &str = "doubted";

/// What one recipient answered about the rows of a rule.
#[derive(Clone, Debug, Default, Serialize)]
pub struct RecipientReport {
    /// Persons that it was asked about in this run.
    pub asked: u64,
    /// State (`confirmed`, `gone`, `accepted`, `not_possible`, `refused`, `unreachable`) to number of persons;
    /// `nothing_held` to number of rows.
    pub answers: BTreeMap<String, u64>,
    /// Rows that stay because of it.
    pub waiting: u64,
    /// Of those, past the rule's deadline.
    pub past_deadline: u64,
}

impl RecipientReport {
    /// The recipient holds nothing that could be named about so many rows.
    pub fn holds_nothing(&mut self, rows: u64) {
        *self.answers.entry("nothing_held".to_owned()).or_default() += rows;
    }

    /// What the ends of accepted work make of the run, whether the rows have gone by then or not.
    pub fn outcome_of_polls(&self) -> Outcome {
        let has = |state: &str| self.answers.contains_key(state);
        match () {
            () if has(DOUBTED) => Outcome::Refused,
            () if has("refused") || has("not_possible") => Outcome::Failed,
            () if has("unreachable") => Outcome::Temporary,
            () => Outcome::Done,
        }
    }

    /// So many persons are said to be gone, and so many are that nobody believes it.
    pub(super) fn doubt(&mut self, persons: u64) {
        self.asked += persons;
        *self.answers.entry(DOUBTED.to_owned()).or_default() += persons;
    }

    /// Adds answers.
    pub fn note(&mut self, answers: &[Answer]) {
        self.asked += answers.len() as u64;
        for answer in answers {
            *self.answers.entry(answer.state.word().to_owned()).or_default() += 1;
        }
    }
}

impl RuleReport {
    pub fn new(rule: &str, database: &str, result: RuleResult) -> Self {
        Self {
            rule: rule.to_owned(),
            database: database.to_owned(),
            table: None,
            result,
            disposed: 0,
            dependents: BTreeMap::new(),
            partitions: Vec::new(),
            partitions_by_rows: BTreeMap::new(),
            aggregate: None,
            k_anonymity: None,
            maintenance: None,
            recipients: BTreeMap::new(),
            remaining: BTreeMap::new(),
            held_by: Vec::new(),
            fewer: BTreeMap::new(),
            milliseconds: 0,
            waited: BTreeMap::new(),
            batches: Durations::default(),
            counts: None,
            starts: None,
            has_lost_starts: false,
            message: None,
            outcome: Outcome::Done,
        }
    }

    /// Says one thing more.
    pub(super) fn add_message(&mut self, words: String) {
        self.message = Some(match self.message.take() {
            Some(message) => format!("{message}; {words}"),
            None => words,
        });
    }

    /// So many due rows stay, for the reason that the result gives.
    pub(super) fn leave(&mut self, rows: u64) {
        let reason = match self.result {
            RuleResult::Refused => OVER_LIMITS,
            RuleResult::Backlog | RuleResult::Temporary => BACKLOG,
            RuleResult::Failed | RuleResult::Done | RuleResult::NothingDue | RuleResult::ExplainedRest => FAILED,
        };
        if rows > 0 {
            self.remaining.entry(reason.to_owned()).or_insert(rows);
        }
    }

    /// So many due rows stay, since a hold cannot be applied any more.
    pub(super) fn hold_back(&mut self, rows: u64) {
        if rows > 0 {
            self.remaining.insert(LOST_HOLD.to_owned(), rows);
        }
    }

    /// Says of the rows that the plan counted, and that the run did not dispose of, why: by reason those that stay beyond
    /// what the plan knew, and those that were not due any more when their turn came.
    pub(super) fn explain(&mut self, planned: &Counts) {
        let mut fewer = planned.disposable().saturating_sub(self.disposed);
        let known = super::verify::reasons(planned);
        let mut reasons = BTreeMap::new();
        for (reason, rows) in &self.remaining {
            let rows = rows.saturating_sub(known.get(reason).copied().unwrap_or(0)).min(fewer);
            if rows > 0 {
                fewer -= rows;
                reasons.insert(reason.clone(), rows);
            }
        }
        if fewer > 0 {
            reasons.insert(NO_LONGER_DUE.to_owned(), fewer);
        }
        self.fewer = reasons;
    }

    /// Due rows that the run did not come to.
    pub fn left(&self) -> u64 {
        self.remaining.get(BACKLOG).copied().unwrap_or(0)
    }

    pub(super) fn progress(&self) -> Progress<'_> {
        let took = Duration::from_millis(self.milliseconds);
        Progress { rule: &self.rule, left: self.left(), disposed: self.disposed, took }
    }

    /// What the rule's result makes of the whole run.
    pub fn outcome(&self) -> Outcome {
        let result = match self.result {
            RuleResult::Done | RuleResult::NothingDue | RuleResult::ExplainedRest => Outcome::Done,
            RuleResult::Refused => Outcome::Refused,
            RuleResult::Failed => Outcome::Failed,
            RuleResult::Temporary => Outcome::Temporary,
            RuleResult::Backlog => Outcome::Backlog,
        };
        result.max(self.outcome)
    }
}
