//! What a command came to, and the one place where that becomes an exit code.
//!
//! The codes are a contract with Kubernetes' `podFailurePolicy`: see the README.

use serde::{Deserialize, Serialize};
use std::process::ExitCode;

/// How a command ended. Ordered: when several parts end differently, the greatest is the whole's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Everything is done, or there was nothing to do.
    #[default]
    Done,
    /// Time was up, or somebody paused the job: work is left for the next run, and nothing went wrong. Trying again at
    /// once would not help.
    Backlog,
    /// Work is left that may succeed when tried again: database down, lock held, interrupted.
    Temporary,
    /// Some rules failed for good; the others finished.
    Failed,
    /// A guard rail refused: a person must decide.
    Refused,
    /// Arguments, rules, settings or credentials are wrong: trying again will not help.
    Invalid,
    /// What the command looks for is there: `coverage` tells of gaps.
    Found,
    /// Nobody foresaw it.
    Unexpected,
}

impl Outcome {
    /// The number that the process ends with.
    pub const fn code(self) -> u8 {
        match self {
            Self::Done | Self::Backlog => 0,
            Self::Found | Self::Unexpected => 1,
            Self::Invalid => 2,
            Self::Refused => 3,
            Self::Failed => 4,
            Self::Temporary => 75,
        }
    }
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        Self::from(outcome.code())
    }
}

/// A command cannot go on, and it is known what that means for whoever called.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Stop {
    pub outcome: Outcome,
    pub message: String,
}

impl Stop {
    /// Arguments, rules, settings or credentials are wrong.
    pub fn invalid(message: impl Into<String>) -> anyhow::Error {
        Self { outcome: Outcome::Invalid, message: message.into() }.into()
    }

    /// Trying again may help.
    pub fn temporary(message: impl Into<String>) -> anyhow::Error {
        Self { outcome: Outcome::Temporary, message: message.into() }.into()
    }

    /// A person must decide.
    pub fn refused(message: impl Into<String>) -> anyhow::Error {
        Self { outcome: Outcome::Refused, message: message.into() }.into()
    }
}
