//! A worker's row in the database's table of batches ([`marks`]), where there is such a table and the user may write it.

use super::Failure;
use crate::{
    catalog::TableName,
    database::{Connection, Dialect, Error, ErrorKind, marks},
    plan::OpenDatabase,
};
use sha2::{Digest, Sha256};

/// Where batches of one rule's table are noted.
pub(super) struct MarkTable<'a> {
    dialect: &'static dyn Dialect,
    table: &'a TableName,
}

/// What one worker notes there.
pub(super) struct Mark {
    table: TableName,
    worker: String,
    run: String,
    /// How many batches have been noted, be they committed or not.
    batches: u64,
}

impl<'a> MarkTable<'a> {
    /// The table, unless its owner could run code of his own in this session: on PostgreSQL triggers run with the rights of
    /// whoever writes. Owners of the table that is cleaned can do that anyway.
    pub async fn find(
        database: &'a OpenDatabase,
        connection: &mut dyn Connection,
        cleaned: &TableName,
    ) -> Result<Option<Self>, Failure> {
        let (catalog, dialect) = (&database.catalog, database.dialect);
        let Some(table) = marks::table(catalog) else { return Ok(None) };
        let owner_of = |name: &TableName| catalog.get(name).and_then(|table| table.owner.as_ref());
        let owner = owner_of(table);
        let question = owner
            .filter(|owner| !owner.superuser && Some(*owner) != owner_of(cleaned))
            .and_then(|owner| dialect.trusts(&owner.name));
        if let Some(question) = question
            && connection.fetch(&question).await?.is_empty()
        {
            tracing::warn!(%table, "batches are not noted: the table is not that of an administrator, who should make it");
            return Ok(None);
        }
        Ok(Some(Self { dialect, table }))
    }

    /// Begins a worker's row, which nobody else writes: he has the lock of this name.
    pub async fn begin(&self, connection: &mut dyn Connection, lock: &str, run: &str) -> Result<Option<Mark>, Failure> {
        let mark = Mark { table: self.table.clone(), worker: worker(lock), run: run.to_owned(), batches: 0 };
        let clear = marks::clear(self.dialect, self.table, &mark.worker);
        let begin = marks::begin(self.dialect, self.table, &mark.worker, &mark.name());
        let begun = match connection.execute(&clear).await {
            Ok(_) => connection.execute(&begin).await,
            failed => failed,
        };
        match begun {
            Ok(_) => Ok(Some(mark)),
            Err(error) if is_passing(&error) => Err(error.into()),
            Err(error) => {
                tracing::warn!(table = %self.table, reason = %error, "batches are not noted: see `sunset grants`");
                Ok(None)
            }
        }
    }

    /// Whether a batch was committed whose worker's session is over; `None` where the table does not tell.
    pub async fn tells(
        &self,
        connection: &mut dyn Connection,
        lock: &str,
        mark: &str,
    ) -> Result<Option<bool>, Failure> {
        let row = match connection.fetch(&marks::read(self.dialect, self.table, &worker(lock))).await {
            Ok(rows) => rows.into_iter().flatten().next().flatten(),
            Err(error) if is_passing(&error) => return Err(error.into()),
            Err(_) => None,
        };
        let parts = |name: &str| name.rsplit_once('/').and_then(|(run, n)| Some((run.to_owned(), n.parse().ok()?)));
        let (Some((run, noted)), Some((announced_in, announced))): (Option<(_, u64)>, Option<(_, u64)>) =
            (row.as_deref().and_then(parts), parts(mark))
        else {
            return Ok(None);
        };
        Ok(match noted.cmp(&announced) {
            _ if run != announced_in => None,
            std::cmp::Ordering::Equal => Some(true),
            std::cmp::Ordering::Less => Some(false),
            // the outcome of this one should have been written before
            std::cmp::Ordering::Greater => None,
        })
    }

    /// Removes the row of a worker whose batches are settled.
    pub async fn clear(&self, connection: &mut dyn Connection, lock: &str) -> Result<(), Failure> {
        match connection.execute(&marks::clear(self.dialect, self.table, &worker(lock))).await {
            Err(error) if is_passing(&error) => Err(error.into()),
            // it stays, and the next run of the rule writes over it
            _ => Ok(()),
        }
    }
}

impl Mark {
    /// Notes the next batch in its own transaction, which is open. Gives its name; `None` when somebody has removed the row.
    pub async fn note(
        &mut self,
        connection: &mut dyn Connection,
        dialect: &dyn Dialect,
    ) -> Result<Option<String>, Error> {
        self.batches += 1;
        let name = self.name();
        let changed = connection.execute(&marks::note(dialect, &self.table, &self.worker, &name)).await?;
        Ok((changed == 1).then_some(name))
    }

    /// Removes the row: all batches have come to their end, and the ledger says so.
    pub async fn end(self, connection: &mut dyn Connection, dialect: &dyn Dialect) {
        // what stays, the next run of the rule writes over
        let _ = connection.execute(&marks::clear(dialect, &self.table, &self.worker)).await;
    }

    fn name(&self) -> String {
        format!("{}/{}", self.run, self.batches)
    }
}

/// Whose row it is: names of jobs and rules may be longer than a key, or differ in case alone.
fn worker(lock: &str) -> String {
    hex::encode(&Sha256::digest(lock)[..16])
}

/// The statement may succeed a moment later.
fn is_passing(error: &Error) -> bool {
    matches!(
        error.kind,
        ErrorKind::Transient | ErrorKind::Locked | ErrorKind::StatementTimeout | ErrorKind::Unreachable
    )
}
