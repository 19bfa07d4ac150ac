//! Workers: the connections that change a rule's rows, each with a numbered lock of its own.
//!
//! The lock belongs to the session that does the work. Whoever holds the lock of a number knows that the session which had
//! it before is over, and with it every batch that it announced: nothing else tells that for certain, neither a time nor a
//! heartbeat. So a dead worker's batches are settled, and its chunks given back, by whoever gets its lock.

use super::{
    Failure, Surroundings,
    contention::Contention,
    mark::{Mark, MarkTable},
    recover::{self, Court},
};
use crate::{
    catalog::Engine,
    database::{Connection, LockGuard},
    ledger::{self, Ledger},
    plan::{OpenDatabase, PreparedStep, Step, Walk},
};

/// So many workers of all processes together may be at one rule.
const MOST: u32 = 256;

/// Each worker keeps two sessions busy: while one announces and commits, the other one changes rows. Not where rows are
/// changed in strides: what one session has open keeps the server from clearing away the old versions that the next stride
/// of another one wants the room of.
fn sessions(walk: &Walk) -> usize {
    match walk {
        Walk::Blocks { strides } if *strides > 1 => 1,
        _ => 2,
    }
}

pub(super) struct Worker {
    pub connection: Box<dyn Connection>,
    /// The number of its lock.
    pub number: u32,
    /// The server and the history to which its names of transactions belong.
    pub cluster: Option<String>,
    /// What each batch writes into the database in its own transaction, where there is a table for it.
    pub mark: Option<Mark>,
    /// What it has seen of others who write.
    pub contention: Contention,
    _lock: LockGuard,
}

/// The lock of a rule's worker. As long as its session lives, nobody else gets it.
pub(super) fn lock_name(job: &str, rule: &str, number: u32) -> String {
    format!("sunset/{job}/{rule}/{number}")
}

/// The lock of whoever removes partitions of a table, `schema.name`.
pub(super) fn partitions_lock_name(table: &str) -> String {
    format!("sunset/partitions/{table}")
}

/// The workers of this process for one rule.
pub(super) struct Workers<'a> {
    pub step: &'a Step,
    database: &'a OpenDatabase,
    court: Court<'a>,
    /// Nothing lasts: batches are not noted either.
    undoes: bool,
    /// In the order of their numbers; at least one.
    pub all: Vec<Worker>,
}

impl<'a> Workers<'a> {
    /// Connects, and takes the first locks that are free: one where the work cannot be shared.
    ///
    /// # Errors
    /// [`Failure::Locked`] when another process is at a rule that cannot be shared, or too many are.
    pub async fn new(
        around: &Surroundings<'a>,
        step: &'a Step,
        ready: &'a PreparedStep,
        database: &'a OpenDatabase,
    ) -> Result<Self, Failure> {
        let work = &ready.work;
        // who adds to the same totals waits for the other, or fails
        let alone = !work.recipients.is_empty() || work.aggregate.is_some();
        let shared = database.catalog.engine != Engine::Sqlite && !alone;
        let (wanted, most) = match shared {
            true => (sessions(&ready.walk) * usize::from(around.workers), MOST),
            false => (1, 1),
        };
        let (court, undoes) = (Court::new(around.job, database, [ready]), around.undoes(database));
        let mut workers = Self { step, database, court, undoes, all: Vec::new() };
        let mut free = 0..most;
        while workers.all.len() < wanted {
            let mut connection = database.database.connect().await?;
            let mut taken = None;
            for number in free.by_ref() {
                let lock = database.database.try_lock(connection.as_mut(), &workers.lock(number)).await?;
                if let Some(lock) = lock {
                    taken = Some((number, lock));
                    break;
                }
            }
            let Some((number, lock)) = taken else { break };
            workers.all.push(Worker {
                connection,
                number,
                cluster: None,
                mark: None,
                contention: Contention::default(),
                _lock: lock,
            });
        }
        if workers.all.is_empty() { Err(Failure::Locked) } else { Ok(workers) }
    }

    fn lock(&self, number: u32) -> String {
        lock_name(&self.court.job.settings.name, &self.step.rule, number)
    }

    /// The first worker's connection.
    pub fn first(&mut self) -> &mut dyn Connection {
        self.all[0].connection.as_mut()
    }

    /// Has each worker know the sessions of all, and whether it may see others who write.
    pub async fn look_for_others(&mut self) -> Result<(), Failure> {
        let dialect = self.database.dialect;
        let mut own = Vec::new();
        if let Some(statement) = dialect.session_number() {
            for worker in &mut self.all {
                let rows = worker.connection.fetch(&statement).await?;
                own.extend(rows.into_iter().flatten().flatten().filter_map(|number| number.parse::<i64>().ok()));
            }
        }
        for worker in &mut self.all {
            worker.contention.begin(&own, worker.connection.as_mut(), dialect).await?;
        }
        Ok(())
    }

    /// At the beginning: settles what those have left open, and gives their chunks back, whose numbers this process has
    /// now or whose locks nobody holds.
    pub async fn succeed(&mut self, ledger: &mut Ledger) -> Result<(), Failure> {
        let own: Vec<u32> = self.all.iter().map(|worker| worker.number).collect();
        let mut others = recover::workers(ledger, &self.step.rule).await?;
        others.retain(|number| !own.contains(number));
        self.settle(ledger, &own).await?;
        self.bury(ledger, &others).await?;
        self.begin(ledger.run()).await
    }

    /// Asks what recovery may need of this run: whose names transactions have, and rows for the batches' marks.
    async fn begin(&mut self, run: &str) -> Result<(), Failure> {
        let first = self.all[0].connection.as_mut();
        let cluster = recover::history(self.database, first).await?;
        let marks = match self.undoes {
            true => None,
            false => MarkTable::find(self.database, first, &self.step.table).await?,
        };
        for worker in &mut self.all {
            worker.cluster.clone_from(&cluster);
            if let Some(marks) = &marks {
                let lock = lock_name(&self.court.job.settings.name, &self.step.rule, worker.number);
                worker.mark = marks.begin(worker.connection.as_mut(), &lock, run).await?;
            }
        }
        Ok(())
    }

    /// Does the same for those of these workers of other processes who are no more.
    pub async fn bury(&mut self, ledger: &mut Ledger, others: &[u32]) -> Result<(), Failure> {
        if others.is_empty() {
            return Ok(());
        }
        // a session of its own, which holds the locks of the dead until all is settled
        let mut probe = self.database.database.connect().await?;
        let (mut dead, mut locks) = (Vec::new(), Vec::new());
        for number in others {
            let lock = self.database.database.try_lock(probe.as_mut(), &self.lock(*number)).await?;
            if let Some(lock) = lock {
                dead.push(*number);
                locks.push(lock);
            }
        }
        let settled = self.settle(ledger, &dead).await;
        probe.close().await;
        settled
    }

    async fn settle(&mut self, ledger: &mut Ledger, dead: &[u32]) -> Result<(), Failure> {
        let connection = self.all[0].connection.as_mut();
        self.court.settle(connection, &self.step.rule, dead, false, ledger).await?;
        for number in dead {
            ledger.store().leave_all_of(&self.step.rule, *number).await.map_err(ledger::Error::from)?;
        }
        Ok(())
    }

    /// Ends the sessions, and with them their locks. The ledger has the outcomes of all batches.
    pub async fn close(self) {
        for mut worker in self.all {
            if let Some(mark) = worker.mark {
                mark.end(worker.connection.as_mut(), self.database.dialect).await;
            }
            worker.connection.close().await;
        }
    }
}
