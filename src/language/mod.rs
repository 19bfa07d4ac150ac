//! How any YAML of ours is read: nodes with their places, shapes that a file is checked against, and the formats of texts.
//!
//! What a table of shapes says is checked, printed as JSON Schema and printed as a page. What a file means is said by
//! [`rules`](crate::rules) and [`settings`](crate::settings).

pub mod format;
pub mod node;
pub mod rate;
pub mod reference;
pub mod schedule;
pub mod schema;
pub mod shape;
