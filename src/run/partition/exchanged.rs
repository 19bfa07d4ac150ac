//! Partitions of MySQL and MariaDB, where a change of the schema commits by itself and a lock is the whole table's.
//!
//! The rows of a partition change places with an empty table, "out", which takes a moment. There they are read and
//! announced, where nobody comes any more; then the table is emptied. If it turns out that a row must stay, all of them go
//! back. What state a crash left is seen from the tables alone: the comment of "out" names the partition, and rows in it
//! have not gone; a table "back" is on its way home.

use super::{
    ATTEMPTS, Desk, End, Failure, PAUSE, is_busy, is_unreachable, pause,
    reading::{Read, Source},
    refused,
};
use crate::{
    catalog::TableName,
    database::{exchanged, partition},
    failpoint,
    ledger::{BatchResult, Event},
    plan::{PreparedStep, WholePartition},
    rules::Partitions,
};
use std::time::Instant;

/// Seconds to wait for the table's metadata: none at first, since whoever comes meanwhile queues up behind the wait.
const WAITS: [u64; 6] = [0, 0, 0, 1, 1, 1];

/// How often it is tried to lock the table for rows that come back. If that fails, the next run brings them back.
const RETURNS: u32 = 30;

impl Desk<'_> {
    fn names(&self) -> (TableName, TableName) {
        let [out, back] = partition::aside_names(&self.work.table);
        (out, back)
    }

    /// The comment of a table: `None` when there is none of that name.
    async fn note_of(&mut self, table: &TableName) -> Result<Option<String>, Failure> {
        let row = self.connection.fetch(&exchanged::read_note(table)).await?.into_iter().next();
        Ok(row.map(|row| row.into_iter().next().flatten().unwrap_or_default()))
    }

    async fn has_rows(&mut self, place: &str) -> Result<bool, Failure> {
        Ok(!self.connection.fetch(&exchanged::any_row(place)).await?.is_empty())
    }

    /// Brings what an earlier run left aside to its end: rows that may all go, go; others come back.
    pub(super) async fn clear_aside(&mut self, ready: &PreparedStep) -> Result<(), Failure> {
        let (out, back) = self.names();
        if let Some(note) = self.note_of(&back).await? {
            let partition = self.own(&back, &note).await?;
            tracing::warn!(rule = self.step.rule, partition, "brings back what an earlier run set aside");
            self.bring_home(&partition, &back).await?;
        }
        let Some(note) = self.note_of(&out).await? else { return Ok(()) };
        let partition = self.own(&out, &note).await?;
        if partition.is_empty() || !self.has_rows(&self.dialect.table(&out)).await? {
            return self.run(&exchanged::drop_table(&out)).await;
        }
        tracing::warn!(rule = self.step.rule, partition, "an earlier run set rows of a partition aside");
        match ready.rule.partitions {
            // what goes from there is not added up
            _ if ready.work.aggregate.is_some() => self.give_back(&partition, &out).await?,
            Partitions::Rows => self.give_back(&partition, &out).await?,
            Partitions::Drop | Partitions::Truncate => {
                let end = self.dispose(&partition, 0, &out).await?;
                if let End::Went { rows } = end {
                    self.around.progress.advance(rows);
                    self.partitions.went.push(super::PartitionReport { name: partition, rows });
                }
            }
        }
        self.drop_aside().await
    }

    /// The partition that a comment names. Only a table whose making was cut short has another one: then it is empty.
    async fn own(&mut self, table: &TableName, note: &str) -> Result<String, Failure> {
        match exchanged::noted(note, &self.around.job.settings.name) {
            Some(partition) => Ok(partition.to_owned()),
            None if self.has_rows(&self.dialect.table(table)).await? => Err(Failure::Refused(format!(
                "table {table} is not one that a run of this job has set aside: let that one settle it, or rename it"
            ))),
            None => Ok(String::new()),
        }
    }

    /// Keeps all others from these tables, once there is a moment for it: each try waits a second at most, since whoever
    /// comes meanwhile queues up behind it.
    async fn lock(&mut self, tables: &[&TableName], tries: u32) -> Result<(), Failure> {
        self.run(&exchanged::wait_at_most(1)).await?;
        for attempt in 1..=tries {
            match self.run(&exchanged::lock(tables)).await {
                Err(failure) if is_busy(&failure) && attempt < tries => tokio::time::sleep(PAUSE).await,
                ended => return ended,
            }
        }
        Ok(())
    }

    pub(super) async fn remove_by_exchange(&mut self, whole: &WholePartition) -> Result<End, Failure> {
        let partition = whole.partition.name.name.as_str();
        let (out, _) = self.names();
        match self.exchange(partition, &out).await {
            Ok(()) => {}
            Err(failure) => {
                let why = refused(failure)?;
                return Ok(End::Stays { why });
            }
        }
        failpoint::reach("partition_exchanged");
        self.dispose(partition, whole.rows, &out).await
    }

    /// Sets the rows of a partition aside: "out" is there, and empty.
    async fn exchange(&mut self, partition: &str, out: &TableName) -> Result<(), Failure> {
        let table = self.work.table.clone();
        if self.note_of(out).await?.is_none() {
            for statement in exchanged::make_aside(&table, out, &self.around.job.settings.name) {
                self.run(&statement).await?;
            }
        }
        self.run(&exchanged::note_aside(out, &self.around.job.settings.name, partition)).await?;
        let event = Event::PartitionSetAside {
            rule: self.step.rule.clone(),
            table: self.step.full_table(),
            partition: partition.to_owned(),
            aside: out.to_string(),
        };
        self.ledger.append(vec![event], &[]).await?;
        failpoint::reach("partition_locked");
        let mut tries = WAITS.into_iter();
        let usual = self.around.job.settings.pace.lock_timeout.as_secs().max(1);
        while let Some(wait) = tries.next() {
            self.run(&exchanged::wait_at_most(wait)).await?;
            let exchanged = self.run(&exchanged::exchange(&table, partition, out)).await;
            self.run(&exchanged::wait_at_most(usual)).await?;
            match exchanged {
                Err(failure) if is_busy(&failure) && tries.len() > 0 => pause(self.around).await?,
                ended => return ended,
            }
        }
        Ok(())
    }

    /// Reads, announces and removes what stands aside; or brings it back.
    async fn dispose(&mut self, partition: &str, rows: u64, out: &TableName) -> Result<End, Failure> {
        let began = Instant::now();
        let mut intents = Vec::new();
        let source = Source { text: partition::source(self.dialect, self.work, out), blocks: None };
        let read = self.announce(partition, rows, &[source], &[], None, &mut intents).await;
        let failure = match read {
            Ok(Read::All(rows)) => match self.empty(partition, out).await {
                Ok(()) => {
                    failpoint::reach("partition_committed");
                    self.close_intents(&intents, BatchResult::Committed, began).await?;
                    return Ok(End::Went { rows });
                }
                Err(failure) => failure,
            },
            Ok(Read::Kept(kept)) => {
                self.close_intents(&intents, BatchResult::RolledBack, began).await?;
                self.give_back(partition, out).await?;
                return Ok(End::Stays { why: format!("{kept} of its rows stay, or wait") });
            }
            Err(failure) => failure,
        };
        // without a connection, nothing can be brought back: the next run sees what stands aside
        if is_unreachable(&failure) {
            return Err(failure);
        }
        self.close_intents(&intents, BatchResult::RolledBack, began).await?;
        self.give_back(partition, out).await?;
        refused(failure).map(|why| End::Stays { why })
    }

    /// After this, nothing comes back.
    async fn empty(&mut self, partition: &str, out: &TableName) -> Result<(), Failure> {
        if let Err(failure) = self.run(&exchanged::empty(out)).await {
            // it may be done all the same: what became of the rows is for the table to say
            if is_unreachable(&failure) || self.has_rows(&self.dialect.table(out)).await? {
                return Err(failure);
            }
        }
        failpoint::reach("partition_removed");
        self.drop_if_empty(partition).await
    }

    /// The rows that stand aside return to their partition.
    async fn give_back(&mut self, partition: &str, out: &TableName) -> Result<(), Failure> {
        let (_, back) = self.names();
        self.run(&exchanged::rename(out, &back)).await?;
        failpoint::reach("partition_returns");
        self.bring_home(partition, &back).await
    }

    /// They, and those that came to the partition meanwhile: they join them, and all change places with the partition
    /// together. What is left in "back" then are copies.
    async fn bring_home(&mut self, partition: &str, back: &TableName) -> Result<(), Failure> {
        let table = self.work.table.clone();
        // a partition may be big, and nobody finds its rows until they are back: this may take as long as it takes
        if let Some(unlimited) = self.dialect.unlimited() {
            self.run(&unlimited).await?;
        }
        // a crash may have come after the exchange: then what stands in "back" stands in the partition too
        let lost = exchanged::not_in_partition(back, &table, partition, &self.work.key);
        if !self.connection.fetch(&lost).await?.is_empty() {
            self.lock(&[&table, back], RETURNS).await?;
            let joined = self.run(&exchanged::join(&table, partition, back, self.columns)).await;
            let ended = match joined {
                Ok(()) => self.run(&exchanged::exchange(&table, partition, back)).await,
                failed => failed,
            };
            self.run(&exchanged::unlock()).await?;
            ended?;
            failpoint::reach("partition_returned");
        }
        self.run(&exchanged::drop_table(back)).await?;
        let event = Event::PartitionReturned {
            rule: self.step.rule.clone(),
            table: self.step.full_table(),
            partition: partition.to_owned(),
        };
        self.ledger.append(vec![event], &[]).await?;
        Ok(())
    }

    /// When all are through, the empty table goes.
    pub(super) async fn drop_aside(&mut self) -> Result<(), Failure> {
        let (out, _) = self.names();
        match self.note_of(&out).await? {
            Some(_) => self.run(&exchanged::drop_table(&out)).await,
            None => Ok(()),
        }
    }

    /// With `drop`, the partition goes, which is empty but for rows that came meanwhile. Before the outcome is written: so
    /// whoever settles what a crash left comes here, too.
    pub(super) async fn drop_if_empty(&mut self, partition: &str) -> Result<(), Failure> {
        if !self.is_dropped() {
            return Ok(());
        }
        // it is empty: it may stay
        if let Err(failure) = self.drop_one(partition).await {
            let why = refused(failure)?;
            tracing::warn!(rule = self.step.rule, partition, reason = why, "an empty partition stays");
        }
        Ok(())
    }

    /// Locked, so that no row comes between looking and dropping.
    async fn drop_one(&mut self, name: &str) -> Result<(), Failure> {
        let table = self.work.table.clone();
        self.lock(&[&table], ATTEMPTS).await?;
        let ended = match self.has_rows(&exchanged::partition_of(&table, name)).await {
            Ok(false) => self.run(&exchanged::drop_partition(&table, name)).await,
            Ok(true) => Ok(()),
            Err(failure) => Err(failure),
        };
        self.run(&exchanged::unlock()).await?;
        ended
    }
}
