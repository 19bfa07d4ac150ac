//! Notices as files, for whatever carries them on: each file is there in full or not at all.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

#[derive(Clone, Debug)]
pub struct Folder(pub PathBuf);

impl Folder {
    /// Writes the files one after the other; whoever waits for the last finds the others. Those of the same name are
    /// replaced.
    ///
    /// # Errors
    /// The folder is not there, or full, or cannot be written.
    pub async fn put(&self, files: Vec<(String, Vec<u8>)>) -> Result<(), String> {
        let folder = self.0.clone();
        let write = move || -> io::Result<()> {
            for (name, bytes) in &files {
                replace(&folder, name, bytes)?;
            }
            File::open(&folder)?.sync_all()
        };
        let written = tokio::task::spawn_blocking(write).await.map_err(|_| "the files were not written".to_owned())?;
        written.map_err(|error| format!("the folder cannot be written: {}", error.kind()))
    }

    /// Whether files could be written now.
    ///
    /// # Errors
    /// Why not.
    pub async fn check(&self) -> Result<(), String> {
        let folder = self.0.clone();
        let probe = move || {
            let name = partial(&folder, "check");
            open(&name).and_then(|_| fs::remove_file(&name))
        };
        let probed = tokio::task::spawn_blocking(probe).await.map_err(|_| "the folder was not looked at".to_owned())?;
        probed.map_err(|error| format!("the folder cannot be written: {}", error.kind()))
    }
}

/// Hidden, so that nobody carries it on.
fn partial(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!(".{name}.{}.partial", std::process::id()))
}

/// The group may read: whatever carries files on runs as another user.
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o640).open(path)
}

fn replace(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let partial = partial(folder, name);
    let written = open(&partial).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.and_then(|()| fs::rename(&partial, folder.join(name))).inspect_err(|_| {
        // What is left holds references; a full disk may leave nothing else to do.
        let _ = fs::remove_file(&partial);
    })
}
