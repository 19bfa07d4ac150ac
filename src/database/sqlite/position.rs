//! Where a SQLite database stands: the changes that its file's header counts.
//!
//! Source: SQLite's page on its file format, §1.3.7 "File change counter". With a write-ahead log the counter moves only when
//! the first page changes, and stands in the log until a checkpoint brings it into the file. It never goes back.

use crate::{
    database::{Connection, Error, position::Position},
    sql::Statement,
};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    os::unix::fs::{FileExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// Files that were looked into stay open: closing one would end all locks that the process has on it, under the feet of its
/// connections (SQLite's "How To Corrupt An SQLite Database File", §2.2).
static OPEN: Mutex<BTreeMap<PathBuf, Open>> = Mutex::new(BTreeMap::new());

struct Open {
    /// Device and number: another file may come to stand under the same path.
    identity: (u64, u64),
    file: File,
}

pub(super) fn read(path: Option<&Path>) -> Position {
    let counter = path.and_then(|path| changes(path).ok()).flatten();
    Position { log: counter.map(u64::from), ..Position::default() }
}

/// `None` for a file that is no database yet.
fn changes(path: &Path) -> io::Result<Option<u32>> {
    let path = fs::canonicalize(path)?;
    let found = fs::metadata(&path)?;
    let identity = (found.dev(), found.ino());
    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    if open.get(&path).is_none_or(|open| open.identity != identity) {
        let file = File::open(&path)?;
        open.insert(path.clone(), Open { identity, file });
    }
    let Some(Open { file, .. }) = open.get(&path) else { return Ok(None) };
    let mut header = [0; 28];
    match file.read_exact_at(&mut header, 0) {
        Ok(()) if header.starts_with(MAGIC) => {}
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => return Err(error),
        _ => return Ok(None),
    }
    let [.., a, b, c, d] = header;
    Ok(Some(u32::from_be_bytes([a, b, c, d])))
}

/// Moves the counter where it does not move with each transaction: a number of the first page, which is the application's, is
/// written anew as it is.
pub(super) async fn advance(connection: &mut dyn Connection) -> Result<(), Error> {
    if pragma(connection, "pragma journal_mode").await?.as_deref() != Some("wal") {
        return Ok(());
    }
    connection.begin().await?;
    if let Some(version) = pragma(connection, "pragma user_version").await?.and_then(|text| text.parse::<i32>().ok()) {
        connection.execute(&Statement::new(format!("pragma user_version = {version}"))).await?;
    }
    connection.commit().await?;
    pragma(connection, "pragma wal_checkpoint(passive)").await?;
    Ok(())
}

async fn pragma(connection: &mut dyn Connection, sql: &str) -> Result<Option<String>, Error> {
    Ok(connection.named(sql).await?.into_iter().flatten().next().and_then(|(_, value)| value))
}
