//! What is asked of everything that reads bytes of strangers: rule files, conditions, plans, ledgers, recipients' replies, and
//! requests to `sunset serve`.
//!
//! Each target reads its input and panics where a promise does not hold. What it returns says in a few words what the input
//! came to; an input that comes to something new is worth changing further. `tests/it/fuzz.rs` calls the targets from a plain
//! runner, and `fuzz/` calls the same ones from `cargo fuzz`.

pub mod conditions;
pub mod ledgers;
pub mod plans;
pub mod replies;
pub mod requests;
pub mod rule_files;

use std::path::{Path, PathBuf};

/// One reader of bytes.
pub struct Target {
    /// The name of its folder in `fuzz/corpus` and of its program in `fuzz/fuzz_targets`.
    pub name: &'static str,
    pub check: fn(&[u8]) -> String,
    /// Further folders with files to begin with, from the root of the repository.
    pub seeds: &'static [&'static str],
    /// What its inputs are made of.
    pub words: &'static [&'static str],
}

pub static TARGETS: &[&Target] =
    &[&rule_files::TARGET, &conditions::TARGET, &plans::TARGET, &ledgers::TARGET, &replies::TARGET, &requests::TARGET];

/// The root of the repository, for whoever includes these files.
pub fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let is_root = |path: &&Path| path.join("jobs/demo").is_dir();
    manifest.ancestors().find(is_root).expect("this is built in the repository").to_owned()
}

/// The message without the values in it: digits, and what stands in quotes.
fn kind(message: &str) -> String {
    let outside = message.split(['`', '"', '\'']).step_by(2).collect::<Vec<_>>().join("…");
    outside.chars().filter(|c| !c.is_ascii_digit()).collect()
}
