//! Rules × live schema × clock → a [`Plan`]: what a run would do, as plain data. Planning only reads.
//!
//! [`prepare`] does it all: [`resolve`] turns each rule into a [`Work`] or diagnostics, [`order`] puts the steps in
//! line, [`count`] asks the databases how many rows are concerned, [`guard`] holds the counts against the limits.

mod access;
mod aggregate;
mod assertion;
mod change;
mod condition;
mod count;
mod coverage;
mod dependents;
mod find;
mod guard;
mod holds;
mod indexes;
mod interplay;
mod k_anonymity;
mod members;
mod open;
mod options;
mod order;
mod outlast;
mod overlap;
mod pace;
mod partitions;
mod path;
mod places;
mod prepare;
mod privileges;
mod read_tables;
mod recipients;
mod requests;
mod resolve;
mod resolver;
mod restored;
pub mod reviewed;
pub mod row;
mod sample;
mod schema;
mod shown;
mod starting_point;
pub mod subject;
mod surroundings;
mod timeline;
mod unmatched;

pub use access::Walk;
pub use aggregate::{Groups, PlannedAggregate, groups};
pub use assertion::{
    CheckedAssertion, Retentions, Said, databases_of as databases_of_assertions, last_day, resolve as assertions,
};
pub use count::tally;
pub use coverage::{Accepted, Coverage, Finding, PersonalColumn, Reference, Stale, TableGap, coverage};
pub use find::find_table;
pub use guard::{binds, over_limits, refusals, run_refusals};
pub use holds::{Bound, Hold, HoldScope, OF_REQUESTS, SubjectThen, bind, bind_in, binding, name_of};
pub use indexes::MissingIndex;
pub use interplay::check as check_together;
pub use k_anonymity::{Gate, Measure, PAGE, Passed, PlannedKAnonymity, gate_refusal};
pub use members::{PlannedMembers, resolve as members};
pub use open::{OpenDatabase, Unavailable, open_database, open_databases};
pub use options::{Before, Options};
pub use partitions::{PartitionByRows, PlannedPartition, PlannedPartitions, SetAside, WholePartition};
pub use prepare::{Checked, Prepared, PreparedStep, check, chosen, databases_of, lost_words, prepare};
pub use privileges::{NOTING, Need, noting_batches, privileges};
pub use read_tables::ReadTable;
pub use recipients::{Answered, Answers, Persons, PlannedQuota, PlannedRecipient, StillUsed, compared, is_late};
pub use requests::{
    Answer, Disclosed, DisclosedTable, PlannedRequest, Remaining, Request, Requested, Turn, disclosed,
    read_for_requests,
};
pub use resolve::{Resolved, resolve_rule};
pub use restored::{position, refusal};
pub use schema::PlannedSchema;
pub use surroundings::surroundings;
pub use timeline::{Act, CategoryLife, Timeline, timeline};

use crate::{
    catalog::{Engine, TableName},
    clock::DueDays,
    evidence::Evidence,
    outcome::Outcome,
    rules::{After, Disposition, Limits},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// The version of the plan's own format.
pub const FORMAT: u32 = 1;

/// What a run would do, for people to review and for `run --plan` to repeat exactly.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    pub format: u32,
    /// The version of Sunset that made it.
    pub version: String,
    pub job: String,
    /// The present time that everything in the plan is about.
    pub now: Timestamp,
    pub time_zone: String,
    /// SHA-256 over settings and rule files as they stand on disk.
    pub rules_digest: String,
    /// Server versions by database name.
    pub databases: BTreeMap<String, DatabaseFacts>,
    /// In the order in which they run.
    pub steps: Vec<Step>,
    /// Rules that cannot be planned, with the reason: their database cannot be reached, or refuses what they need.
    pub unplanned: Vec<Unplanned>,
    /// What a run minds beside the rows, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pace: Vec<String>,
    /// What has to hold and no rule can bring about, as it was found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub assertions: Vec<CheckedAssertion>,
    /// Rules that were in a run and are in no file any more, nor among those that are retired.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gone_rules: Vec<String>,
    /// What persons have asked for, and what is done for them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requests: Vec<PlannedRequest>,
    /// Home rows go for them: all rules are chosen.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub takes_home_rows: bool,
    /// The limits of the whole run.
    pub limits: Limits,
    /// Guard rails of the whole run that refuse it.
    pub refusals: Vec<String>,
    /// SHA-256 over what would be executed: statements, tables, cut-offs, holds. Counts are left out.
    pub work_digest: String,
    /// SHA-256 over everything above.
    pub digest: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseFacts {
    pub engine: Engine,
    pub version: String,
}

/// Rules that the plan has no step for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unplanned {
    pub database: String,
    pub rules: Vec<String>,
    pub reason: String,
    /// What that makes of a run.
    pub outcome: Outcome,
}

/// One rule on one table.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Step {
    pub rule: String,
    pub category: String,
    pub purpose: Option<String>,
    pub legal_basis: Option<String>,
    pub database: String,
    pub table: TableName,
    pub disposition: Disposition,
    /// What becomes of each column, in words.
    pub techniques: BTreeMap<String, String>,
    pub cut_off: CutOff,
    pub counts: Counts,
    pub dependents: Vec<DependentCount>,
    /// Who deletes a copy first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recipients: Vec<PlannedRecipient>,
    /// How large the groups must be that the anonymized rows form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub k_anonymity: Option<PlannedKAnonymity>,
    pub access: Access,
    /// Where rows are added up before they go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aggregate: Option<PlannedAggregate>,
    /// What becomes of the table's partitions, where the rule says something of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partitions: Option<PlannedPartitions>,
    /// Indexes that would help, where the tables are big enough for it to matter.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing_indexes: Vec<MissingIndex>,
    /// A rough guess, in seconds.
    pub estimated_seconds: f64,
    pub limits: Limits,
    /// The rule has not disposed of anything yet, and nobody has reviewed what it would.
    #[serde(default, skip_serializing_if = "is_false")]
    pub first_run: bool,
    #[serde(default, skip_serializing_if = "Evidence::is_rows")]
    pub evidence: Evidence,
    /// What is done about the bytes of rows that went.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<After>,
    /// Why a guard rail refuses the step; empty when none does.
    pub refusals: Vec<String>,
    /// Those of them that are about holds which cannot be applied any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost_holds: Vec<String>,
    /// Rows that had a starting point at the rule's last run and have none now, beyond what its limits allow.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lost_starts: u64,
    /// What a reviewer should look at.
    pub warnings: Vec<String>,
    /// Holds that can concern the table's rows: number and matter, and the hold's table where that is another one.
    pub holds: Vec<String>,
    /// Holds that keep due rows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held_by: Vec<HeldBy>,
    /// SHA-256 over the schema that the step relies on, without columns and partitions.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub schema: String,
    /// The exact statements, in the order of their first use.
    pub statements: Vec<PlannedStatement>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub samples: Vec<Sample>,
}

/// A hold that keeps rows of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldBy {
    pub hold: u64,
    pub matter: String,
    /// What the hold is on; the rows belong to rows of it, or are rows of it.
    pub table: TableName,
    /// Due rows that it keeps. One row may be kept by several.
    pub rows: u64,
}

/// Since when rows are due.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CutOff {
    /// For people.
    pub words: String,
    /// Starting days whose retention period is over.
    pub due: DueDays,
    /// Starting days whose regular deletion period is over.
    pub overdue: Option<DueDays>,
    /// What a row's starting point is, in words.
    pub starting_point: String,
}

/// Rows, at the time of planning.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Past the retention period and not yet disposed of; the next three are part of it.
    pub due: u64,
    /// Past the regular deletion period; `None` when the rule has none.
    pub overdue: Option<u64>,
    pub held: u64,
    /// Needed by a dependent that is kept.
    pub waiting: u64,
    /// Not part of `due`.
    pub without_starting_point: Option<u64>,
    /// The earliest starting point among the due rows.
    pub oldest_due: Option<String>,
    /// Of the overdue rows, those that a hold keeps.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub overdue_held: u64,
    /// The earliest starting point among the overdue rows that no hold keeps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_overdue: Option<String>,
    /// All rows of the table: counted where a limit needs it, the server's estimate otherwise.
    pub table_rows: u64,
    pub table_rows_exact: bool,
    /// Governed rows with a starting point and without one, where they were counted: what the next run compares with.
    #[serde(skip)]
    pub starts: Option<Starts>,
}

/// Governed rows that are still to be dealt with, due or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Starts {
    pub with: u64,
    pub without: u64,
}

impl Starts {
    /// Rows that had a starting point then and have none now, at least: there are fewer with one than can be explained, and
    /// more without.
    pub fn lost_since(&self, then: &Self) -> u64 {
        then.with.saturating_sub(self.with).min(self.without.saturating_sub(then.without))
    }
}

impl Step {
    /// `database.schema.table`.
    pub fn full_table(&self) -> String {
        format!("{}.{}", self.database, self.table)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_false(value: &bool) -> bool {
    !value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_zero(rows: &u64) -> bool {
    *rows == 0
}

impl Counts {
    /// What a run would dispose of.
    pub fn disposable(&self) -> u64 {
        self.due.saturating_sub(self.held).saturating_sub(self.waiting)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DependentCount {
    pub table: TableName,
    /// `erase`, `keep`, `unlink` or `anonymize`.
    pub action: String,
    /// The chain of foreign key columns that leads to the rule's table.
    pub through: String,
    /// Rows that would be changed along; `None` for kept ones.
    pub rows: Option<u64>,
}

/// How the due rows are found and walked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// The index that serves the starting point, if there is one.
    pub index: Option<String>,
    /// The server's own plan names an index for the due rows.
    pub used: Option<String>,
    /// In words: the order in which batches walk through the table.
    pub walk: String,
    /// The server's plan, costs left out.
    pub explain: Vec<String>,
}

/// A statement as it is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedStatement {
    pub purpose: String,
    pub sql: String,
    /// Bound values; keys of held rows and secrets are left out.
    pub values: Vec<String>,
}

/// One row, masked before, as it would be after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// By column: the form of the value before (letters, digits and signs replaced), and the value after.
    pub columns: BTreeMap<String, (Option<String>, Option<String>)>,
}

impl Plan {
    /// Fills both digests in.
    fn seal(&mut self) -> anyhow::Result<()> {
        let steps: Vec<_> = self
            .steps
            .iter()
            .map(|step| {
                serde_json::json!({
                    "rule": step.rule, "database": step.database, "table": step.table,
                    "disposition": step.disposition, "cut_off": step.cut_off, "limits": step.limits,
                    "dependents": step.dependents.iter().map(|d| (&d.table, &d.action, &d.through)).collect::<Vec<_>>(),
                    "statements": step.statements, "holds": step.holds,
                    "recipients": step.recipients.iter().map(|r| (&r.name, &r.sends, r.require)).collect::<Vec<_>>(),
                })
            })
            .collect();
        let mut work = serde_json::json!({
            "format": self.format, "job": self.job, "now": self.now, "time_zone": self.time_zone,
            "rules_digest": self.rules_digest, "limits": self.limits, "steps": steps,
        });
        if !self.requests.is_empty() {
            let requests: Vec<_> = self.requests.iter().map(|asked| (asked.request, asked.kind)).collect();
            work["requests"] = serde_json::json!(requests);
        }
        self.work_digest = digest(&work)?;
        self.digest = self.compute_digest()?;
        Ok(())
    }

    /// What [`Plan::digest`] must be.
    pub fn compute_digest(&self) -> anyhow::Result<String> {
        reviewed::digest_of(serde_json::to_value(self)?)
    }
}

fn digest(value: &serde_json::Value) -> anyhow::Result<String> {
    Ok(hex::encode(Sha256::digest(serde_json_canonicalizer::to_vec(value)?)))
}
