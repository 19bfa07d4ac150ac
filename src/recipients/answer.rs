//! What a recipient answers about one person.

use super::client::Failure;
use crate::evidence::Grade;
use jiff::Timestamp;
use std::time::Duration;

/// One answer about one subject. Its texts go into ledger and reports: they never hold an identifier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub state: State,
    /// The evidence reached so far; none where nothing was.
    pub grade: Option<Grade>,
    /// The recipient's own name for the call, to ask its support about.
    pub request_id: Option<String>,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// The recipient has done it.
    Confirmed,
    /// There was nothing any more, which is as good.
    Gone,
    /// The recipient works on it.
    Accepted { poll: Poll },
    /// The recipient cannot do this: nobody can ask, or it keeps the data by law.
    NotPossible { reason: String },
    /// The recipient refuses, and would refuse this request again.
    Refused { reason: String },
    /// Nobody knows; to be asked again. To a poll: the ticket stays.
    Unreachable { reason: String, again_after: Option<Duration> },
    /// To a poll: the recipient knows nothing of the work any more. Deletion is asked for anew.
    Forgotten { reason: String },
    /// To a poll: the time is over for which the recipient keeps what it has erased. Nothing should be left, but only asking
    /// anew, with the person's identifiers, proves that; to be gone is what is expected then.
    Elapsed,
}

/// How to learn the end of accepted work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Poll {
    /// Names the work at the recipient, never a person. Subjects of one job may share one.
    pub ticket: String,
    /// Not before this has passed.
    pub again_after: Duration,
    /// The work waits for a person who got a letter.
    pub notice: Option<Notice>,
    /// What it waits for, where the connector knows.
    pub reason: Option<String>,
}

/// A deletion notice that was sent, and that somebody has to confirm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// What both sides call it by.
    pub id: String,
    /// When the recipient is reminded, if nobody has confirmed.
    pub due: Timestamp,
    /// A reminder was sent just now.
    pub reminded: bool,
}

impl Answer {
    pub fn confirmed(grade: Grade) -> Self {
        Self { state: State::Confirmed, grade: Some(grade), request_id: None }
    }

    pub fn gone(grade: Grade) -> Self {
        Self { state: State::Gone, grade: Some(grade), request_id: None }
    }

    /// Acceptance itself is evidence of grade E2.
    pub fn accepted(ticket: impl Into<String>, again_after: Duration) -> Self {
        let poll = Poll { ticket: ticket.into(), again_after, notice: None, reason: None };
        Self { state: State::Accepted { poll }, grade: Some(Grade::E2), request_id: None }
    }

    /// A notice went out, which is evidence of grade E4; a person's confirmation will be better.
    pub fn noticed(ticket: impl Into<String>, again_after: Duration, notice: Notice) -> Self {
        let poll = Poll { ticket: ticket.into(), again_after, notice: Some(notice), reason: None };
        Self { state: State::Accepted { poll }, grade: Some(Grade::E4), request_id: None }
    }

    pub fn not_possible(reason: impl Into<String>) -> Self {
        Self { state: State::NotPossible { reason: reason.into() }, grade: Some(Grade::E5), request_id: None }
    }

    pub fn refused(reason: impl Into<String>) -> Self {
        Self { state: State::Refused { reason: reason.into() }, grade: None, request_id: None }
    }

    pub fn unreachable(reason: impl Into<String>, again_after: Option<Duration>) -> Self {
        Self { state: State::Unreachable { reason: reason.into(), again_after }, grade: None, request_id: None }
    }

    /// The recipient knows nothing of work that it had accepted.
    pub fn forgotten(reason: impl Into<String>) -> Self {
        Self { state: State::Forgotten { reason: reason.into() }, grade: None, request_id: None }
    }

    /// The one that counts of two answers about one person: the one that is further from letting the row go. A refusal counts
    /// more than no answer, for a person has to mend it and has to hear of it the same night.
    #[must_use]
    pub fn or_worse(self, other: Self) -> Self {
        if self.state.rank() < other.state.rank() { other } else { self }
    }

    #[must_use]
    pub fn request_id(self, request_id: Option<String>) -> Self {
        Self { request_id, ..self }
    }

    /// What accepted work waits for.
    #[must_use]
    pub fn waiting_for(mut self, reason: impl Into<String>) -> Self {
        if let State::Accepted { poll } = &mut self.state {
            poll.reason = Some(reason.into());
        }
        self
    }

    /// The deletion notice that went out.
    pub fn notice(&self) -> Option<&Notice> {
        if let State::Accepted { poll } = &self.state { poll.notice.as_ref() } else { None }
    }

    /// The evidence is at least what a rule asks for: the row may go.
    pub fn satisfies(&self, required: Grade) -> bool {
        self.grade.is_some_and(|grade| grade <= required)
    }
}

impl State {
    /// The greater, the further the row is from going.
    fn rank(&self) -> u8 {
        match self {
            Self::Gone => 0,
            Self::Confirmed => 1,
            Self::Accepted { .. } => 2,
            Self::NotPossible { .. } => 3,
            Self::Unreachable { .. } | Self::Forgotten { .. } | Self::Elapsed => 4,
            Self::Refused { .. } => 5,
        }
    }

    /// Why it is not done, where that was said.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::NotPossible { reason }
            | Self::Refused { reason }
            | Self::Unreachable { reason, .. }
            | Self::Forgotten { reason } => Some(reason),
            Self::Accepted { poll } => poll.reason.as_deref(),
            Self::Confirmed | Self::Gone | Self::Elapsed => None,
        }
    }

    /// The word for ledger, store and metrics.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Gone => "gone",
            Self::Accepted { .. } => "accepted",
            Self::NotPossible { .. } => "not_possible",
            Self::Refused { .. } => "refused",
            Self::Unreachable { .. } => "unreachable",
            Self::Forgotten { .. } => "forgotten",
            Self::Elapsed => "elapsed",
        }
    }
}

/// A call that got no usable reply. What will not get one tomorrow either is a refusal.
impl From<Failure> for Answer {
    fn from(failure: Failure) -> Self {
        if failure.lasting {
            return Self::refused(failure.reason);
        }
        Self::unreachable(failure.reason, failure.again_after)
    }
}
