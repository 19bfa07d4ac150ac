//! The rule language, pure: what a file may say, where each value stands in the text, and what it means.
//!
//! Nothing here reads a file, a clock, an environment variable or a database.

pub mod format;
pub mod language;
pub mod node;
pub mod period;
pub mod rule;
pub mod schedule;
pub mod shape;

pub use period::Period;
pub use rule::*;
