//! What the tests share.

pub mod bench;
pub mod command;
pub mod exposition;
pub mod npm;
pub mod python;
pub mod random;
pub mod replicas;
pub mod servers;
pub mod stopped;
