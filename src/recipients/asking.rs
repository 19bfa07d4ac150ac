//! One asking of a person, over as many calls and runs as it takes.

use jiff::Timestamp;

/// One asking of a person: it goes on, over as many calls as it takes, until its answers end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asking {
    /// Seconds are kept.
    pub since: Timestamp,
    /// From 1 on.
    pub number: u64,
    /// What was known before of the same person, whether it still counts or not.
    pub before: Option<String>,
}

impl Asking {
    /// That the recipient knows the person no more is what was to be expected: it has said before that it is through with
    /// the person, it has erased the copy and kept it for a time that is over, or a run that asked it was killed before it
    /// kept the answer.
    pub fn explains_gone(&self) -> bool {
        self.before.as_deref().is_some_and(|before| [ASKED, "confirmed", "gone", "elapsed"].contains(&before))
    }
}

/// The state of a person about whom a call may be on its way.
pub const ASKED: &str = "asked";
