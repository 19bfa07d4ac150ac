//! Partitions that are tables of their own, on a server whose transactions cover the schema: lock, read, announce, remove,
//! commit. Whatever happens, it is gone with all its rows and their announcement stands, or nothing has happened.
//!
//! The partition's rows are locked against changes while they are read, which nobody else's statements mind unless they
//! change rows of this very partition, or of all partitions: who does is let through, and the partition is tried again.
//! Only for the moment of the removal the whole table is locked (by PostgreSQL, for the parent's list of partitions); that
//! lock is waited for but a blink, so that nobody queues up behind it.

use super::{
    ATTEMPTS, Desk, End, Failure, is_busy, is_unreachable, pause,
    reading::{Read, Source},
    refused,
};
use crate::{
    catalog::TableName,
    database::{Error, ErrorKind, partition, transactional},
    failpoint,
    ledger::BatchResult,
    plan::WholePartition,
    rules::Partitions,
    sql::Statement,
};
use std::time::{Duration, Instant};

/// The first wait for the table's lock is this long; the next ones are longer.
const BLINK: Duration = Duration::from_millis(50);

/// How often the table's lock is tried for, before the partition is let go.
const BLINKS: u32 = 6;

/// Why an attempt did not remove the partition, while nothing is wrong.
enum Obstacle {
    /// The partition is there no more.
    Gone,
    /// In words.
    Other(String),
}

impl Desk<'_> {
    pub(super) async fn remove_in_transaction(&mut self, whole: &WholePartition) -> Result<End, Failure> {
        let mut attempt = 1;
        loop {
            let began = Instant::now();
            let mut intents = Vec::new();
            self.connection.begin().await?;
            let ended = self.attempt(whole, &mut intents).await;
            let committed = match ended {
                Ok(Ok(rows)) => self.connection.commit().await.map(|()| rows).map_err(Failure::from),
                Ok(Err(obstacle)) => {
                    self.undo(&intents, began).await?;
                    return Ok(match obstacle {
                        Obstacle::Gone => End::Gone,
                        Obstacle::Other(why) => End::Stays { why },
                    });
                }
                Err(failure) => Err(failure),
            };
            match committed {
                Ok(rows) => {
                    failpoint::reach("partition_committed");
                    self.close_intents(&intents, BatchResult::Committed, began).await?;
                    return Ok(End::Went { rows });
                }
                // nobody knows whether it was committed, or nothing was and nobody can say so: the next run settles it
                Err(failure) if is_unreachable(&failure) => return Err(failure),
                Err(failure) => {
                    self.undo(&intents, began).await?;
                    if !is_busy(&failure) || attempt >= ATTEMPTS {
                        return Ok(End::Stays { why: refused(failure)? });
                    }
                }
            }
            attempt += 1;
            pause(self.around).await?;
        }
    }

    async fn undo(&mut self, intents: &[u64], began: Instant) -> Result<(), Failure> {
        self.connection.rollback().await?;
        self.close_intents(intents, BatchResult::RolledBack, began).await
    }

    /// Everything but the commit.
    async fn attempt(
        &mut self,
        whole: &WholePartition,
        intents: &mut Vec<u64>,
    ) -> Result<Result<u64, Obstacle>, Failure> {
        let partition = &whole.partition;
        let name = &partition.name;
        if self.connection.fetch(&transactional::look(name)).await?.is_empty() {
            return Ok(Err(Obstacle::Gone));
        }
        let wait = self.around.job.settings.pace.lock_timeout.min(Duration::from_secs(1));
        self.run(&transactional::wait_at_most(wait.as_millis())).await?;
        self.run(&transactional::lock(name)).await?;
        failpoint::reach("partition_locked");
        // what was planned may have changed until the lock was there
        let look = self.connection.fetch(&transactional::look(name)).await?;
        let [parent_schema, parent, bound, beside] = match look.into_iter().next().map(<[Option<String>; 4]>::try_from)
        {
            Some(Ok(fields)) => fields.map(Option::unwrap_or_default),
            _ => return Ok(Err(Obstacle::Gone)),
        };
        let parent = TableName { schema: parent_schema, name: parent };
        let mut leaves = Vec::new();
        for row in self.connection.fetch(&transactional::leaves(name)).await? {
            if let [Some(schema), Some(name)] = row.as_slice() {
                leaves.push(TableName { schema: schema.clone(), name: name.clone() });
            }
        }
        let mut planned = partition.leaves.clone();
        planned.sort();
        leaves.sort();
        if parent != partition.parent || bound != partition.bound || leaves != planned {
            return Ok(Err(Obstacle::Other("it is not the partition any more that was planned for".to_owned())));
        }
        if beside == "1" {
            return Ok(Err(Obstacle::Other("it is the last partition".to_owned())));
        }

        let transaction = match self.dialect.transaction_id() {
            Some(statement) => self.connection.fetch(&statement).await?.into_iter().flatten().next().flatten(),
            None => None,
        };
        let mut sources = Vec::new();
        for leaf in &leaves {
            let blocks = match self.dialect.blocks(leaf) {
                Some(statement) => self.connection.fetch(&statement).await?.into_iter().flatten().next().flatten(),
                None => None,
            };
            let blocks = Some(blocks.and_then(|blocks| blocks.parse().ok()).unwrap_or(0));
            sources.push(Source { text: partition::source(self.dialect, self.work, leaf), blocks });
        }
        let announced = self.announce(&name.to_string(), whole.rows, &sources, &leaves, transaction, intents).await?;
        let rows = match announced {
            Read::All(rows) => rows,
            Read::Kept(kept) => return Ok(Err(Obstacle::Other(format!("{kept} of its rows stay, or wait")))),
        };
        self.remove(name, &leaves).await?;
        failpoint::reach("partition_removed");
        Ok(Ok(rows))
    }

    /// Takes the table's lock in several short waits: whoever comes meanwhile queues up behind a wait, so none is long.
    async fn remove(&mut self, name: &TableName, leaves: &[TableName]) -> Result<(), Failure> {
        let how = self.step.partitions.as_ref().map_or(Partitions::Rows, |planned| planned.how);
        let remove = transactional::remove(name, how);
        let mut wait = BLINK;
        for blink in 1..=BLINKS {
            self.run(&Statement::new("savepoint before_removal")).await?;
            self.run(&transactional::wait_at_most(wait.as_millis())).await?;
            match self.connection.execute(&remove).await {
                Ok(_) => return Ok(()),
                Err(Error { kind: ErrorKind::Transient | ErrorKind::Locked, .. }) if blink < BLINKS => {
                    self.run(&Statement::new("rollback to savepoint before_removal")).await?;
                    self.let_through(leaves).await?;
                    pause(self.around).await?;
                    wait = (wait * 3 / 2).min(4 * BLINK);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}
