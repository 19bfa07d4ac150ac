//! Evidence grades: how well it is proven that a recipient's copy is gone.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The smaller the number, the better the evidence; a rule that asks for one is content with a better one.
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
