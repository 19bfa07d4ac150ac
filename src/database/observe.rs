//! What a server says of itself to somebody who minds others: how far its replicas are, what else it is at, its load.

use super::{Connection, Error, ErrorKind, NamedRow};
use crate::{catalog::TableName, settings::Activity};
use async_trait::async_trait;
use std::{collections::BTreeSet, time::Duration};

/// A statement of an observer takes no longer: what is asked once a second must not become a load itself.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// Waits for an answer, but no longer than an observer's statement may take.
///
/// # Errors
/// Who does not answer in time cannot be reached; or the question's own.
pub async fn promptly<T>(asking: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    tokio::time::timeout(PATIENCE, asking).await.unwrap_or_else(|_| {
        let message = format!("no answer within {} seconds", PATIENCE.as_secs());
        Err(Error::new(ErrorKind::Unreachable, message))
    })
}

/// One connection that only reads, in a session that cannot write.
#[async_trait]
pub trait Observer: Send {
    /// The last column of a query's only row.
    ///
    /// # Errors
    /// There are more rows, or none, or it is no number.
    async fn number(&mut self, query: &str) -> Result<f64, Error>;

    /// The end of the primary's write-ahead log, in bytes; `None` where replicas tell their lag themselves.
    async fn position(&mut self) -> Result<Option<u64>, Error>;

    /// What this server says of itself as a replica; `None` when it is none.
    async fn replication(&mut self) -> Result<Option<Replication>, Error>;

    /// What this server, a primary, says of the standby with this name; `None` when there is no such one.
    async fn standby(&mut self, name: &str) -> Result<Option<Replication>, Error>;

    /// The vacuums of these tables that are under way, in words.
    async fn vacuums(&mut self, tables: &[TableName]) -> Result<Vec<String>, Error>;

    /// The backups of this server that are under way and can be seen, in words.
    async fn backups(&mut self) -> Result<Vec<String>, Error>;

    /// What keeps this user from seeing these, in words, with the remedy.
    async fn blind_spots(&mut self, activities: &BTreeSet<Activity>) -> Result<Vec<String>, Error>;
}

/// How far a replica is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replication {
    /// The end of what it has applied of the primary's log, in bytes.
    pub position: Option<u64>,
    /// The age of the last change that it has applied. Where there is a position, that says whether there is anything
    /// left to apply.
    pub behind: Option<Duration>,
    /// It applies nothing at all, for this reason.
    pub stopped: Option<String>,
}

/// The number in the last column of the only row. The value itself is not shown: it may be anything.
pub(super) async fn number(connection: &mut dyn Connection, query: &str) -> Result<f64, Error> {
    let rows = connection.named(query).await?;
    let wrong = |message: String| Error::new(ErrorKind::Other, message);
    let [row] = rows.as_slice() else {
        return Err(wrong(format!("the query gives {} rows, not one", rows.len())));
    };
    let (name, value) = row.last().ok_or_else(|| wrong("the query gives no column".to_owned()))?;
    let number = value.as_deref().and_then(|value| value.trim().parse::<f64>().ok());
    number
        .filter(|number| number.is_finite())
        .ok_or_else(|| wrong(format!("column {name:?} of the query is no number")))
}

/// The value of a column, by its name.
pub(super) fn column<'r>(row: &'r NamedRow, names: &[&str]) -> Option<&'r str> {
    let (_, value) = row.iter().find(|(name, _)| names.iter().any(|wanted| name.eq_ignore_ascii_case(wanted)))?;
    value.as_deref()
}
