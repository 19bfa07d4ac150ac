//! What came of a run, as data.

use crate::{catalog::TableName, ledger::RuleResult, outcome::Outcome};
use jiff::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;

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
    /// The signed checkpoint: worth keeping somewhere else.
    pub checkpoint: String,
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
    /// Rows that are due and stay, by reason.
    pub remaining: BTreeMap<String, u64>,
    pub milliseconds: u64,
    /// Why it ended as it did, where that needs words.
    pub message: Option<String>,
    /// At least this, whatever the result says: credentials that are refused are not a failure of the rule.
    #[serde(skip)]
    pub outcome: Outcome,
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
            remaining: BTreeMap::new(),
            milliseconds: 0,
            message: None,
            outcome: Outcome::Done,
        }
    }

    /// What the rule's result makes of the whole run.
    pub fn outcome(&self) -> Outcome {
        let result = match self.result {
            RuleResult::Done | RuleResult::NothingDue | RuleResult::ExplainedRest => Outcome::Done,
            RuleResult::Refused => Outcome::Refused,
            RuleResult::Failed => Outcome::Failed,
            RuleResult::Temporary => Outcome::Temporary,
        };
        result.max(self.outcome)
    }
}
