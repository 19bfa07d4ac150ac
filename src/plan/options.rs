//! What a plan is asked for, and what is known of earlier runs.

use super::{Starts, assertion::Said, k_anonymity::Passed, recipients::Answers, requests::Request};
use crate::{job::Job, ledger::positions::Noted};
use std::collections::{BTreeMap, BTreeSet};

/// What a plan is asked for.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Only these rules, and those that bear one of `tags`; all of them when both are empty.
    pub rules: Vec<String>,
    pub tags: Vec<String>,
    /// Examples per step.
    pub samples: u32,
    /// Look at every row for a starting point that cannot be read, even with nothing due.
    pub thorough: bool,
    /// How the batches of a reviewed plan walk, in its words, by rule.
    pub walks: BTreeMap<String, String>,
    /// The secret of keyed techniques.
    pub pseudonym_key: Option<Vec<u8>>,
    /// What others have said that assertions are about; `None`: assertions are not looked at.
    pub said: Option<Said>,
    /// What recipients have answered, to tell who is still to be asked about; `None` when nobody wants to know.
    pub answers: Option<Answers>,
    /// Gates that were passed before, by rule.
    pub passed: BTreeMap<String, Passed>,
    /// What persons have asked for and somebody approved.
    pub requests: Vec<Request>,
    /// Nothing but what they ask for.
    pub on_request_only: bool,
    /// Home rows may go for them; `None`: as long as all rules are chosen.
    pub takes_home_rows: Option<bool>,
    /// What earlier runs have left in the store; `None` where nobody asks what was before.
    pub before: Option<Before>,
}

/// What is known of earlier runs.
#[derive(Clone, Debug, Default)]
pub struct Before {
    /// Rules that have disposed of rows.
    pub disposed: BTreeSet<String>,
    /// Rows with and without a starting point after the last run, by rule.
    pub starts: BTreeMap<String, Starts>,
    /// Rules that were in a run.
    pub ran: BTreeSet<String>,
    /// Where databases stood last, by their names.
    pub positions: BTreeMap<String, Noted>,
    /// What the run executes was reviewed by a person.
    pub reviewed: bool,
}

impl Before {
    /// Rules that were in a run and are in no file any more, although nobody has retired them.
    pub fn gone(&self, job: &Job) -> Vec<String> {
        let is_known = |id: &&String| job.rules().all(|rule| rule.id != **id) && !job.settings.retired.contains(*id);
        self.ran.iter().filter(is_known).cloned().collect()
    }
}
