//! How long a recipient keeps data by its own settings, where an interface tells.

use crate::clock::period::Period;

/// What a recipient tells of its own settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Each kind of data, in words, and how long it is kept.
    pub kept: Vec<(&'static str, Period)>,
    /// What makes it longer than that, in words.
    pub prolonged_by: Option<&'static str>,
}
