//! The commands: one file and one function each. They print to the writer that they are given and nowhere else.

pub mod keys;
pub mod ledger;
