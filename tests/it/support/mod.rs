//! What the tests share.

pub mod bench;
pub mod python;
pub mod command;
pub mod exposition;
pub mod random;
pub mod replicas;
pub mod servers;
pub mod stopped;
