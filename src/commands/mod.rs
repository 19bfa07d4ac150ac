//! One file per command, one function each.

pub mod schema;
