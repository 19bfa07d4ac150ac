//! Files in a folder of this machine, or of a share that is mounted there.
//!
//! A symbolic link on the way is not followed: it would lead out of the folder. An empty folder says nothing, for that is
//! what is left of a share that is not mounted.

use super::{KEYS, MOST, PREFIXES, Piece, Pointer, Pointers, Storage, erase};
use crate::{
    evidence::Grade,
    language::{
        format,
        shape::{Field, Shape},
    },
    recipients::{
        Answer, CheckError, Checked, Facts, Identifiers, Kind, OpenError, Plumbing, Recipient, RecipientSettings,
        Subject, client::in_order, no_remarks,
    },
};
use std::{
    fs::{self, File},
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

pub static KIND: Kind = Kind {
    name: "files",
    doc: "Files in a folder, such as scans and exports that rows point at.",
    settings: &[
        Field::required(
            "folder",
            "Where keys and prefixes begin. It must be there and hold something; relative paths start at the job \
                  directory.",
            Shape::Text(&format::PATH),
            "/srv/uploads",
        ),
        KEYS,
        PREFIXES,
    ],
    identifiers: Identifiers::OfPlaces(|settings| {
        Pointers::read(settings).map_or_else(|_| Vec::new(), |pointers| pointers.identifiers())
    }),
    check: |settings| Pointers::read(settings).map(drop),
    facts: |settings| Facts {
        batch: 1,
        calls: 1,
        rates: settings.rates(&[]),
        grade: Grade::E1,
        deleted: "the files that the row points at",
        kept: "copies elsewhere: backups, snapshots of the file system, what other hard links name",
        sources: &[],
    },
    remarks: no_remarks,
    open: |settings, plumbing| Ok(Box::new(Files::open(settings, plumbing)?)),
    #[cfg(feature = "demo")]
    stand_in: None,
};

struct Files {
    folder: Folder,
    pointers: Pointers,
}

#[derive(Clone, Debug)]
struct Folder(PathBuf);

impl Files {
    fn open(settings: &RecipientSettings, plumbing: &Plumbing) -> Result<Self, OpenError> {
        let wrong = |reason: String| OpenError { recipient: settings.name.clone(), reason };
        let pointers = Pointers::read(settings).map_err(|misfit| wrong(misfit.problem))?;
        let folder = settings.options.text("folder").ok_or_else(|| wrong("there is no `folder`".to_owned()))?;
        let folder = match &plumbing.sender {
            Some(sender) => sender.directory.join(folder),
            None => PathBuf::from(folder),
        };
        Ok(Self { folder: Folder(folder), pointers })
    }
}

#[async_trait::async_trait]
impl Recipient for Files {
    async fn delete(&self, subjects: &[Subject]) -> Vec<Answer> {
        let all = subjects.iter().map(|subject| erase(&self.folder, &self.pointers, subject));
        in_order(all.collect(), super::AT_ONCE).await
    }

    async fn check(&self) -> Result<Checked, CheckError> {
        let folder = self.folder.clone();
        let looked = tokio::task::spawn_blocking(move || folder.holds_something()).await;
        match looked.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Ok(()) => {
                Ok(Checked::Unproven { reason: "that files may be erased there shows with the first one".into() })
            }
            Err(error) => Err(CheckError { reason: words(&error), temporary: true }),
        }
    }
}

#[async_trait::async_trait]
impl Storage for Folder {
    async fn left(&self, pointer: &Pointer) -> Result<Vec<Piece>, Answer> {
        let (folder, pointer) = (self.clone(), pointer.clone());
        asked(move || folder.list(&pointer)).await
    }

    async fn erase(&self, piece: &Piece) -> Result<(), Answer> {
        let (folder, piece) = (self.clone(), piece.clone());
        asked(move || folder.remove(&piece.key)).await
    }

    async fn is_there(&self) -> Result<(), Answer> {
        let folder = self.clone();
        asked(move || folder.holds_something()).await
    }
}

impl Folder {
    fn holds_something(&self) -> io::Result<()> {
        let mut entries = fs::read_dir(&self.0)?;
        let empty = || io::Error::new(ErrorKind::NotFound, "the folder is empty: is the share mounted?");
        entries.next().ok_or_else(empty)?.map(drop)
    }

    /// The path of something in the folder; `None` where nothing lies there.
    fn place(&self, key: &str) -> io::Result<Option<PathBuf>> {
        let mut path = self.0.clone();
        let mut pieces = key.split('/').filter(|piece| !piece.is_empty()).peekable();
        while let Some(piece) = pieces.next() {
            path.push(piece);
            let kind = match fs::symlink_metadata(&path) {
                Ok(metadata) => metadata.file_type(),
                Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                    return Ok(None);
                }
                Err(error) => return Err(error),
            };
            if kind.is_symlink() && pieces.peek().is_some() {
                return Err(io::Error::other("a symbolic link stands on the way, which is not followed"));
            }
        }
        Ok(Some(path))
    }

    fn list(&self, pointer: &Pointer) -> io::Result<Vec<Piece>> {
        let (Pointer::Key(key) | Pointer::Prefix(key)) = pointer;
        let Some(path) = self.place(key)? else { return Ok(Vec::new()) };
        let kind = fs::symlink_metadata(&path)?.file_type();
        let piece = |key: &str| Piece { key: key.trim_end_matches('/').to_owned(), version: None };
        match pointer {
            Pointer::Key(_) if kind.is_dir() => Err(io::Error::other("a folder lies where a file should")),
            Pointer::Key(key) => Ok(vec![piece(key)]),
            Pointer::Prefix(_) if kind.is_symlink() => {
                Err(io::Error::other("a symbolic link stands on the way, which is not followed"))
            }
            Pointer::Prefix(_) if !kind.is_dir() => Ok(Vec::new()),
            Pointer::Prefix(key) => {
                let mut found = Vec::new();
                below(&path, key.trim_end_matches('/'), &mut found)?;
                Ok(found.iter().map(|key| piece(key)).collect())
            }
        }
    }

    /// Erases a file, or a folder that is empty, and makes sure that it stays erased.
    fn remove(&self, key: &str) -> io::Result<()> {
        let Some(path) = self.place(key)? else { return Ok(()) };
        let removed = match fs::symlink_metadata(&path)?.is_dir() {
            true => fs::remove_dir(&path),
            false => fs::remove_file(&path),
        };
        match removed {
            // Somebody wrote into it: the next round sees that.
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::DirectoryNotEmpty) => Ok(()),
            Err(error) => Err(error),
            Ok(()) => path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all()),
        }
    }
}

/// Everything below a folder, and then the folder itself.
fn below(path: &Path, key: &str, found: &mut Vec<String>) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_str().ok_or_else(|| io::Error::other("a file's name is no UTF-8"))?;
        let key = format!("{key}/{name}");
        if entry.file_type()?.is_dir() {
            below(&entry.path(), &key, found)?;
        } else {
            found.push(key);
        }
        if found.len() > MOST {
            return Ok(());
        }
    }
    found.push(key.to_owned());
    Ok(())
}

/// Asks the file system, which may take its time.
async fn asked<T: Send + 'static>(ask: impl FnOnce() -> io::Result<T> + Send + 'static) -> Result<T, Answer> {
    let answer = tokio::task::spawn_blocking(ask).await.unwrap_or_else(|error| Err(io::Error::other(error)));
    answer.map_err(|error| match error.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem | ErrorKind::Other => {
            Answer::refused(words(&error))
        }
        _ => Answer::unreachable(words(&error), None),
    })
}

/// Without the path, which names a person.
fn words(error: &io::Error) -> String {
    let ours = error.get_ref().map(ToString::to_string);
    ours.unwrap_or_else(|| format!("the folder cannot be worked on: {}", error.kind()))
}
