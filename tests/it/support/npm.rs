//! Programs from npm that nobody here wrote, which tests talk to: as [`python`](super::python) has those from PyPI.

use super::python::{INSTALLING, quietly};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::PoisonError,
};

/// A program of a package, as `npm` names it with its version; `None` where it cannot be installed.
#[expect(clippy::print_stdout, reason = "whoever runs the tests reads what is skipped")]
pub fn install(program: &str, package: &str) -> Option<PathBuf> {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(program);
    let file = directory.join("node_modules/.bin").join(program);
    let _alone = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
    let is_there = file.exists() || {
        fs::create_dir_all(&directory).unwrap();
        let options = ["install", "--no-audit", "--no-fund", "--silent", "--prefix"];
        quietly(Command::new("npm").args(options).arg(&directory).arg(package))
    };
    if !is_there {
        println!("SKIPPED: {program} cannot be installed (npm and a registry are needed)");
    }
    is_there.then_some(file)
}
