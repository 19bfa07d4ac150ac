//! The integration tests: one binary, because each would link every database driver again.
//!
//! `tests/run` runs them, with the servers that they need.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where, and stop")]

mod aggregate;
mod anchors;
mod assertions;
mod attackers;
mod catalog;
mod concurrency;
mod contract;
mod coverage;
mod crash;
mod demo;
mod derived;
mod driver;
mod endings;
mod erasure;
#[path = "../estate/mod.rs"]
mod estate;
mod faults;
mod files;
mod fuzz;
mod grants;
mod init;
mod interleaving;
mod k_anonymity;
mod layers;
mod ledger;
mod ledger_alone;
mod locked;
mod metrics;
mod mobile_planning;
#[path = "../oracle/mod.rs"]
mod oracle;
mod pace;
mod partitions;
mod plan;
mod privacy;
mod real_data;
mod recipients;
mod recovery;
mod recovery_killed;
mod requests;
mod restore;
mod rules;
mod schema;
mod serve;
mod server;
mod sessions;
mod subjects;
mod support;
mod support_check;
mod techniques;
mod triggers;
