//! Sunset: a retention and deletion batch job runner.
//!
//! # The path of a row, from rule to ledger
//!
//! 1. [`rules`] reads `rules/*.yaml` and [`settings`] reads `sunset.yaml`. Every mistake becomes a [`diagnostic`]
//!    that knows where it stands in the text.
//! 2. [`clock`] turns a period and `now` into the days that are past: the cut-off.
//! 3. [`database`] connects and reads the live schema into a [`catalog`].
//! 4. [`plan`] joins rules, catalog and clock into a `Plan`: plain data with the exact SQL, counts and guard rails.
//!    Planning only reads.
//! 5. [`run`] executes a plan in batches, one transaction each. Before a batch commits, the [`ledger`] holds its
//!    intent; afterwards its outcome. [`anonymize`] gives each technique its SQL and its fixpoint.
//! 6. When all batches are done the same predicate is counted again: what remains must be explained.
//! 7. [`ledger`] entries are hash-chained and signed; [`store`] keeps them, together with holds and row tags.
//! 8. [`output`] renders plans and reports; [`outcome`] turns them into an exit code.
//!
//! Dependencies point downwards, as `docs/architecture.md` lists them and a test holds them to. Rules do no input or
//! output, planning only reads, only `run` writes.

pub mod anchor;
pub mod anonymize;
pub mod catalog;
pub mod cli;
pub mod clock;
pub mod commands;
pub mod database;
#[cfg(feature = "demo")]
pub mod demo;
pub mod diagnostic;
pub mod draft;
pub mod evidence;
pub mod failpoint;
pub mod file;
pub mod http;
pub mod job;
pub mod language;
pub mod ledger;
pub mod outcome;
pub mod output;
pub mod plan;
pub mod present;
pub mod push;
pub mod recipients;
pub mod rules;
pub mod run;
pub mod s3;
#[cfg(feature = "demo")]
pub mod sandbox;
pub mod serve;
pub mod settings;
pub mod signals;
pub mod sql;
pub mod standing;
pub mod store;
