//! The targets of `tests/fuzz`, for `cargo fuzz`.

#[path = "../tests/fuzz/mod.rs"]
pub mod targets;
