//! A folder: one file for each checkpoint, under `<origin>/<size>.checkpoint`.

use super::{Failure, Keeper, agree};
use crate::file;
use async_trait::async_trait;
use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

pub(super) struct Folder {
    path: PathBuf,
    origin: String,
}

/// What a file's name ends in.
pub(super) const ENDING: &str = ".checkpoint";

/// The name of a checkpoint's file: names in alphabetical order are sizes in order.
pub(super) fn file_name(size: u64) -> String {
    format!("{size:020}{ENDING}")
}

/// The size that a file's name says; `None` where it is no checkpoint's.
pub(super) fn size_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(ENDING)?;
    (digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().ok()).flatten()
}

impl Folder {
    pub fn new(path: &Path, origin: &str) -> Self {
        Self { path: path.to_owned(), origin: origin.to_owned() }
    }

    /// Where this ledger's checkpoints are.
    fn own(&self) -> PathBuf {
        self.path.join(&self.origin)
    }

    /// A folder that is not there is a share that is not mounted: an empty one in its place would say nothing.
    fn is_there(&self) -> Result<(), Failure> {
        match fs::metadata(&self.path) {
            Ok(found) if found.is_dir() => Ok(()),
            Ok(_) => Err(Failure::Invalid(format!("{} is no folder", self.path.display()))),
            Err(error) => Err(self.failed(&error)),
        }
    }

    fn failed(&self, error: &io::Error) -> Failure {
        Failure::Temporary(format!("{}: {error}", self.path.display()))
    }

    fn write(&self, size: u64, note: &str) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(self.own())?;
        let path = self.own().join(file_name(size));
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        let written = file.write_all(note.as_bytes()).and_then(|()| file.sync_all());
        if written.is_err() {
            // half a checkpoint would be taken for a contradiction
            let _ = fs::remove_file(&path);
        }
        written?;
        fs::File::open(self.own())?.sync_all()
    }
}

#[async_trait]
impl Keeper for Folder {
    async fn sizes(&self) -> Result<Vec<u64>, Failure> {
        self.is_there()?;
        let entries = match fs::read_dir(self.own()) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(self.failed(&error)),
        };
        let mut sizes = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|error| self.failed(&error))?;
            sizes.extend(entry.file_name().to_str().and_then(size_of));
        }
        sizes.sort_unstable();
        Ok(sizes)
    }

    async fn notes(&self, size: u64) -> Result<Vec<String>, Failure> {
        let note = file::read_text(&self.own().join(file_name(size)), file::LONGEST_SECRET)
            .map_err(|error| self.failed(&error))?;
        Ok(vec![note])
    }

    async fn keep(&self, size: u64, note: &str) -> Result<(), Failure> {
        self.is_there()?;
        match self.write(size, note) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => agree(&self.notes(size).await?, size, note),
            Err(error) => Err(self.failed(&error)),
        }
    }
}
