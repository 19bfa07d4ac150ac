//! What the tests share.

pub mod bench;
pub mod command;
pub mod random;
pub mod servers;
