//! What evidence is made of: keys, tags of rows, Merkle trees, signed checkpoints, and the grades that tell how well a
//! deletion is proven. Nothing here is stored; the [`ledger`](crate::ledger) keeps it.

pub mod checkpoint;
pub mod cosignature;
pub mod keys;
pub mod merkle;
pub mod tag;

use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};
use std::fmt;

/// How well it is proven that a copy is gone. The smaller the number, the better the evidence; a rule that asks for one is content with a better one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Grade {
    /// The recipient's system reports a terminal state: deleted, removed, redacted.
    E1,
    /// The recipient has accepted the request; nothing tells its end.
    E2,
    /// A written confirmation or certificate of a person.
    E3,
    /// A notice was sent; nobody has answered.
    E4,
    /// Nothing is held that a request could name, or only the person's own browser can end it.
    E5,
}

impl fmt::Display for Grade {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::E1 => "E1",
            Self::E2 => "E2",
            Self::E3 => "E3",
            Self::E4 => "E4",
            Self::E5 => "E5",
        })
    }
}

/// What the ledger keeps of the rows of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// A keyed tag of each row, so that each can be proven.
    #[default]
    Rows,
    /// Their number.
    Counts,
}

impl Evidence {
    pub fn is_rows(&self) -> bool {
        *self == Self::Rows
    }
}

/// What a person has said of an assertion.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attestation {
    pub assertion: String,
    pub at: Timestamp,
    /// The day on which it was said, in the job's time zone.
    pub on: Date,
    pub by: String,
    /// What was looked at, in words.
    pub evidence: String,
    /// The last day on which it counts.
    pub until: Date,
    /// SHA-256 of a document, in hexadecimal; the document itself is kept elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<String>,
}
