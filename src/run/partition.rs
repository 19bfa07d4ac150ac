//! Whole partitions, before rows go one by one.
//!
//! They go under a lock of the table's own, in a session that holds it: whoever gets the lock knows that the session which
//! had it is over, and settles what that has left, be it this rule or another one of the table. What does not go whole
//! after all, for whatever reason, is left to the walk.

mod exchanged;
mod reading;
mod transactional;

use super::{
    Failure, Surroundings,
    chunk::KEPT,
    milliseconds,
    pace::{StepPace, Turns},
    recover::{self, Court},
    report::PartitionReport,
    schema::SchemaWatch,
    worker::{self, Worker},
};
use crate::{
    catalog::{Engine, TableName},
    database::{Connection, Dialect, Error, ErrorKind, Removal, Work, statements},
    failpoint,
    ledger::{self, BatchResult, Event, Ledger},
    plan::{OpenDatabase, PreparedStep, Step, WholePartition},
    sql::Statement,
};
use std::{
    sync::atomic::AtomicBool,
    time::{Duration, Instant},
};

/// How often it is tried to get hold of a partition.
const ATTEMPTS: u32 = 3;

/// How long to wait before another try, or for another run that is at the rule's partitions.
const PAUSE: Duration = Duration::from_millis(200);

/// What came of the partitions that were to go whole.
#[derive(Default)]
pub(super) struct Partitions {
    /// Those that went, in this run.
    pub went: Vec<PartitionReport>,
    /// Those whose rows go one by one after all, and why.
    pub stayed: Vec<(String, String)>,
    /// Tables that are there no more, be it by this run or another.
    pub gone: Vec<TableName>,
    /// Batches that were announced.
    pub batches: u64,
}

impl Partitions {
    pub fn rows(&self) -> u64 {
        self.went.iter().map(|partition| partition.rows).sum()
    }

    /// The step as it is now: with fewer rows.
    pub fn rest_of(&self, step: &Step) -> Step {
        let mut step = step.clone();
        step.counts.due = step.counts.due.saturating_sub(self.rows());
        step.counts.table_rows = step.counts.table_rows.saturating_sub(self.rows());
        step
    }

    /// What is left to do.
    pub fn rest_of_work(&self, ready: &PreparedStep) -> PreparedStep {
        let mut ready = PreparedStep { partitions: Vec::new(), ..ready.clone() };
        ready.work.leaves.retain(|leaf| !self.gone.contains(leaf));
        ready
    }
}

/// What became of one partition.
enum End {
    Went {
        rows: u64,
    },
    /// Another run had it before.
    Gone,
    Stays {
        why: String,
    },
}

/// Removes the partitions that the plan names, and settles what earlier runs have left of others. What came of them is told
/// also when this fails.
pub(super) async fn pass(
    around: &Surroundings<'_>,
    step: &Step,
    ready: &PreparedStep,
    pace: &StepPace<'_>,
    workers: &mut [Worker],
    ledger: &mut Ledger,
    schema: &SchemaWatch<'_>,
) -> (Partitions, Result<(), Failure>) {
    let (mut partitions, database) = (Partitions::default(), schema.database);
    let ended = async {
        let Some(removal) = database.dialect.removal() else { return Ok(()) };
        if ready.partitions.is_empty() && !ready.set_aside && open(ledger, step).await?.is_empty() {
            return Ok(());
        }
        let mut connection = database.database.connect().await?;
        let table = database.catalog.get(&ready.work.table);
        let stored = table.iter().flat_map(|table| &table.columns).filter(|column| !column.generated);
        let columns: Vec<_> = stored.map(|column| column.name.clone()).collect();
        let mut desk = Desk {
            around,
            step,
            work: &ready.work,
            schema,
            dialect: database.dialect,
            court: Court::new(around.job, database, [ready]),
            cluster: recover::history(database, connection.as_mut()).await?,
            columns: &columns,
            connection: connection.as_mut(),
            workers,
            awake: Instant::now(),
            ledger,
            partitions: &mut partitions,
        };
        let ended = desk.work(database, removal, ready, pace.turns()).await;
        connection.close().await;
        ended
    };
    let ended = ended.await;
    (partitions, ended)
}

/// Partitions of the step's table that were announced, of which nobody knows whether they went: number and intent.
async fn open(ledger: &mut Ledger, step: &Step) -> Result<Vec<(u64, ledger::Intent)>, Failure> {
    let table = step.full_table();
    let mut open = ledger.open_intents().await?;
    open.retain(|(_, intent)| intent.table == table && intent.partition.is_some());
    Ok(open)
}

/// # Errors
/// [`Failure::Interrupted`] when the run was asked to stop.
async fn pause(around: &Surroundings<'_>) -> Result<(), Failure> {
    tokio::select! {
        () = around.stop.cancelled() => Err(Failure::Interrupted),
        () = tokio::time::sleep(PAUSE) => Ok(()),
    }
}

/// Where partitions are read, announced and removed: one session.
struct Desk<'a> {
    around: &'a Surroundings<'a>,
    step: &'a Step,
    work: &'a Work,
    schema: &'a SchemaWatch<'a>,
    dialect: &'static dyn Dialect,
    /// Where it is judged what became of partitions.
    court: Court<'a>,
    /// The server and the history to which its names of transactions belong.
    cluster: Option<String>,
    /// Columns that have values of their own.
    columns: &'a [String],
    connection: &'a mut dyn Connection,
    /// They wait meanwhile.
    workers: &'a mut [Worker],
    /// When these have last said something.
    awake: Instant,
    ledger: &'a mut Ledger,
    partitions: &'a mut Partitions,
}

impl Desk<'_> {
    /// Each partition has a turn, as batches have.
    async fn work(
        &mut self,
        database: &OpenDatabase,
        removal: Removal,
        ready: &PreparedStep,
        mut turns: Turns<'_, '_>,
    ) -> Result<(), Failure> {
        let name = worker::partitions_lock_name(&self.work.table.to_string());
        let _lock = loop {
            self.turn(&mut turns).await?;
            match database.database.try_lock(self.connection, &name).await? {
                Some(lock) => break lock,
                // another run removes the same ones; its rows are not to be waited for one by one
                None => pause(self.around).await?,
            }
        };
        self.settle(removal).await?;
        if removal == Removal::Exchanged {
            self.clear_aside(ready).await?;
        }
        for whole in &ready.partitions {
            self.turn(&mut turns).await?;
            let name = whole.partition.name.name.clone();
            // as many as were planned; rows that came meanwhile count for the next one
            let allowance = self.around.allowance.of(self.step);
            allowance.take(self.ledger.store(), whole.rows, 0).await?;
            let end = match removal {
                Removal::Transactional => self.remove_in_transaction(whole).await?,
                Removal::Exchanged => self.remove_by_exchange(whole).await?,
            };
            if !matches!(end, End::Went { .. }) {
                allowance.give_back(self.ledger.store(), whole.rows, 0).await?;
            }
            turns.ended();
            self.note(&name, whole, end);
        }
        if removal == Removal::Exchanged {
            self.drop_aside().await?;
        }
        Ok(())
    }

    /// Waits until a partition may go. Sessions that are silent for minutes may be ended, and with them their locks.
    async fn turn(&mut self, turns: &mut Turns<'_, '_>) -> Result<(), Failure> {
        let alone = AtomicBool::new(false);
        while turns.next_within(&alone, KEPT).await?.is_none() {
            self.connection.fetch(&statements::nothing()).await?;
            self.keep_awake().await?;
            self.check_holds().await?;
        }
        Ok(())
    }

    /// Has the workers' sessions say something, if they have been silent for long.
    async fn keep_awake(&mut self) -> Result<(), Failure> {
        if self.awake.elapsed() >= KEPT {
            for worker in &mut *self.workers {
                worker.connection.fetch(&statements::nothing()).await?;
            }
            self.awake = Instant::now();
        }
        Ok(())
    }

    async fn check_holds(&mut self) -> Result<(), Failure> {
        // a transaction that takes a partition away has locked what its rows refer to against all other sessions
        let is_locked = self.dialect.engine() == Engine::Postgres;
        let own = is_locked.then_some((self.step.database.as_str(), &mut *self.connection as &mut dyn Connection));
        self.around.holds.check_over(self.ledger.store(), own).await
    }

    fn note(&mut self, name: &str, whole: &WholePartition, end: End) {
        let rule = &self.step.rule;
        match end {
            End::Went { rows } => {
                tracing::info!(rule, partition = name, rows, "partition gone");
                self.around.progress.advance(rows);
                self.partitions.went.push(PartitionReport { name: name.to_owned(), rows });
                if self.is_dropped() {
                    self.partitions.gone.extend(whole.partition.leaves.iter().cloned());
                }
            }
            End::Gone => {
                tracing::info!(rule, partition = name, "partition was gone already");
                self.partitions.gone.extend(whole.partition.leaves.iter().cloned());
            }
            End::Stays { why } => {
                tracing::warn!(rule, partition = name, reason = why, "rows of the partition go one by one");
                self.partitions.stayed.push((name.to_owned(), why));
            }
        }
    }

    fn is_dropped(&self) -> bool {
        self.step.partitions.as_ref().is_some_and(|planned| planned.how == crate::rules::Partitions::Drop)
    }

    fn check_stop(&self) -> Result<(), Failure> {
        if self.around.stop.is_cancelled() { Err(Failure::Interrupted) } else { Ok(()) }
    }

    async fn run(&mut self, statement: &Statement) -> Result<(), Failure> {
        self.connection.execute(statement).await?;
        Ok(())
    }

    /// Finds out what became of partitions that a run announced which is over.
    async fn settle(&mut self, removal: Removal) -> Result<(), Failure> {
        let open = open(self.ledger, self.step).await?;
        if open.is_empty() {
            return Ok(());
        }
        failpoint::reach("before_partition_recovery");
        for announced in recover::by_partition(&open) {
            let (seq, intent) = &announced[0];
            let verdict = self.court.judge(self.connection, *seq, intent, self.ledger).await?;
            let result = verdict.result;
            tracing::warn!(rule = intent.rule, intent = seq, ?result, "settled what a crash left of a partition");
            if let (BatchResult::Committed, Removal::Exchanged, Some(partition)) = (result, removal, &intent.partition)
            {
                self.drop_if_empty(partition).await?;
            }
            let outcomes = announced.iter().map(|(own, _)| verdict.outcome(*own, own == seq));
            self.ledger.append(outcomes.collect(), &[]).await?;
        }
        Ok(())
    }

    /// The partition is gone, or not: what was announced has come to this end.
    async fn close_intents(&mut self, intents: &[u64], result: BatchResult, began: Instant) -> Result<(), Failure> {
        failpoint::reach("before_partition_outcome");
        if !intents.is_empty() {
            let outcome = |intent: &u64| Event::ended(*intent, result, milliseconds(began));
            self.ledger.append(intents.iter().map(outcome).collect(), &[]).await?;
        }
        Ok(())
    }
}

/// What a partition stays for, when the database refuses it. A connection that is gone ends the step.
fn refused(failure: Failure) -> Result<String, Failure> {
    match failure {
        Failure::Database(error) if error.kind != ErrorKind::Unreachable => Ok(error.to_string()),
        failure => Err(failure),
    }
}

fn is_busy(failure: &Failure) -> bool {
    matches!(failure, Failure::Database(Error { kind: ErrorKind::Transient | ErrorKind::Locked, .. }))
}

fn is_unreachable(failure: &Failure) -> bool {
    matches!(failure, Failure::Database(Error { kind: ErrorKind::Unreachable, .. }))
}
