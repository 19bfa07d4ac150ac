//! Recipients: third parties that got a copy of personal data and are asked to delete theirs.
//!
//! This version knows none. The list of names is what the language checks `recipients` against.

/// The names that rules and settings may use.
pub const NAMES: &[&str] = &[];
