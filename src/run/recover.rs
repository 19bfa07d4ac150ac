//! Settles batches that an earlier run announced and did not report: were they committed?
//!
//! A batch is one transaction, so all of its rows changed or none. Its session is over: whoever settles it holds the lock
//! that this session held. It is judged by itself, and never by what rules ask for today, which may be another day, other
//! columns or another rule. Three can tell, in this order:
//!
//! 1. what the batch wrote into the database in its own transaction ([`super::mark`]);
//! 2. the server, which knows its transactions by name, as long as it is the same server with the same history;
//! 3. the batch's rows, known by their tags, if all of them say the same: they are there or gone, and of those that stay, the
//!    change has been made or not. That is asked only in the terms in which the batch was announced.
//!
//! Where none of them tells, nobody knows, and the outcome says what was seen of the rows.

use super::{Failure, Surroundings, keys::Reading, mark::MarkTable, worker};
use crate::{
    catalog::{Table, TableName},
    database::{Change, Connection, ErrorKind, KeyColumn, Removal, Work, exchanged, partition, transactional},
    evidence::tag::{self, TagKey},
    failpoint,
    job::Job,
    ledger::{self, BatchResult, Event, Intent, Ledger, SettledBy, ToldBy},
    plan::{self, OpenDatabase, Prepared, PreparedStep},
    rules::Disposition,
    sql::Sql,
    store::StoredTags,
};
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// The rules with batches that somebody announced and of which nobody knows the end: a run may be at them right now.
pub(super) async fn open_rules(ledger: &mut Ledger) -> Result<BTreeSet<String>, ledger::Error> {
    Ok(ledger.open_intents().await?.into_iter().map(|(_, intent)| intent.rule).collect())
}

/// The numbers of the workers that announced open batches of the rule.
pub(super) async fn workers(ledger: &mut Ledger, rule: &str) -> Result<Vec<u32>, ledger::Error> {
    let mut open = ledger.open_intents().await?;
    open.retain(|(_, intent)| intent.rule == rule && is_batch(intent));
    Ok(open.into_iter().map(|(_, intent)| intent.worker).collect::<BTreeSet<_>>().into_iter().collect())
}

/// Whole partitions are settled under a lock of their own.
fn is_batch(intent: &Intent) -> bool {
    intent.partition.is_none()
}

/// What tells of a row whether a batch has changed it, as a digest made with the key of the batch's tags: the table's key, and
/// the condition under which a row is still to be changed. Rows that are erased are there or not, whatever rules say.
pub(super) fn terms(key: &TagKey, table: &str, columns: &[KeyColumn], change: &Change, undone: Option<&Sql>) -> String {
    let asked = match change {
        Change::Erase => None,
        Change::Update(_) | Change::Compute { .. } => undone,
    };
    hex::encode(key.condition_tag(table, &format!("terms {columns:?} {asked:?}")))
}

/// How a batch ended, and why that is known.
pub(super) struct Verdict {
    pub result: BatchResult,
    told_by: Option<ToldBy>,
    found: BTreeMap<String, u64>,
}

impl Verdict {
    fn told(by: ToldBy, committed: bool) -> Self {
        let result = if committed { BatchResult::Committed } else { BatchResult::RolledBack };
        Self { result, told_by: Some(by), found: BTreeMap::new() }
    }

    fn unknown(found: BTreeMap<String, u64>) -> Self {
        Self { result: BatchResult::Unknown, told_by: None, found }
    }

    /// The entry for an intent of the batch; what was found is about the rows of the first one.
    pub fn outcome(&self, intent: u64, is_first: bool) -> Event {
        let found = if is_first { self.found.clone() } else { BTreeMap::new() };
        let (settled_by, told_by) = (SettledBy::Recovery, self.told_by);
        Event::Outcome { intent, result: self.result, milliseconds: 0, settled_by, told_by, found }
    }
}

/// Where the batches of one database are judged.
pub(super) struct Court<'a> {
    pub job: &'a Job,
    pub database: &'a OpenDatabase,
    /// What is done to rows of this database, as far as this run knows.
    pub works: Vec<&'a Work>,
}

impl<'a> Court<'a> {
    pub fn new(job: &'a Job, database: &'a OpenDatabase, steps: impl IntoIterator<Item = &'a PreparedStep>) -> Self {
        let works_of = |step: &'a PreparedStep| {
            let measures = step.gate.iter().flat_map(|gate| &gate.measures).map(|measure| &measure.work);
            std::iter::once(&step.work).chain(measures)
        };
        Self { job, database, works: steps.into_iter().flat_map(works_of).collect() }
    }

    /// Settles the open batches of a rule's workers, whose locks are held. What nobody can tell stays open if it `may_wait`:
    /// then a run that knows more comes to it.
    pub async fn settle(
        &self,
        connection: &mut dyn Connection,
        rule: &str,
        workers: &[u32],
        may_wait: bool,
        ledger: &mut Ledger,
    ) -> Result<(), Failure> {
        // asked under their locks: another run may have settled it a moment before
        let mut open = ledger.open_intents().await?;
        open.retain(|(_, intent)| intent.rule == rule && is_batch(intent) && workers.contains(&intent.worker));
        if !open.is_empty() {
            failpoint::reach("before_recovery");
        }
        let mut waits = BTreeSet::new();
        // what went along came to the same end as the rows that it went with, whose intent stands before
        for batch in open.chunk_by(|_, (_, next)| next.along_with.is_some()) {
            let (seq, intent) = &batch[0];
            let verdict = self.judge(connection, *seq, intent, ledger).await?;
            if may_wait && verdict.result == BatchResult::Unknown {
                waits.insert(intent.worker);
                continue;
            }
            let (result, told_by, found) = (verdict.result, verdict.told_by, &verdict.found);
            tracing::warn!(
                rule,
                intent = seq,
                rows = intent.rows,
                ?result,
                ?told_by,
                ?found,
                "settled what a crash left open"
            );
            let outcomes = batch.iter().map(|(own, _)| verdict.outcome(*own, own == seq));
            // all at once: were only the first settled, nobody could tell the others' end any more
            match ledger.append(outcomes.collect(), &[]).await {
                // another run beside this one came first, with the same locks a moment before: the batch has its outcome
                Err(ledger::Error::Refused(_)) if !ledger.open_intents().await?.iter().any(|(own, _)| own == seq) => {}
                settled => drop(settled?),
            }
            failpoint::reach("after_recovery");
        }
        for (_, intent) in open.iter().filter(|(_, intent)| intent.mark.is_some()) {
            if waits.insert(intent.worker)
                && let Some(marks) = self.marks(connection, intent).await?
            {
                marks.clear(connection, &worker::lock_name(&self.job.settings.name, rule, intent.worker)).await?;
            }
        }
        Ok(())
    }

    /// What became of a batch, or of a partition.
    pub async fn judge(
        &self,
        connection: &mut dyn Connection,
        seq: u64,
        intent: &Intent,
        ledger: &mut Ledger,
    ) -> Result<Verdict, Failure> {
        if let Some(mark) = &intent.mark
            && let Some(marks) = self.marks(connection, intent).await?
        {
            let lock = worker::lock_name(&self.job.settings.name, &intent.rule, intent.worker);
            if let Some(committed) = marks.tells(connection, &lock, mark).await? {
                return Ok(Verdict::told(ToldBy::Mark, committed));
            }
        }
        if let Some(committed) = self.by_transaction(connection, intent).await? {
            return Ok(Verdict::told(ToldBy::Transaction, committed));
        }
        match &intent.partition {
            None => self.by_rows(connection, seq, intent, None, ledger).await,
            Some(partition) => self.by_partition(connection, seq, intent, partition, ledger).await,
        }
    }

    async fn marks(&self, connection: &mut dyn Connection, intent: &Intent) -> Result<Option<MarkTable<'a>>, Failure> {
        match self.table(intent) {
            Some(table) => MarkTable::find(self.database, connection, &table.name).await,
            None => Ok(None),
        }
    }

    /// The table that the batch was about, if it is still there.
    fn table(&self, intent: &Intent) -> Option<&'a Table> {
        let name = intent.table.strip_prefix(self.database.database.name())?.strip_prefix('.')?;
        self.database.catalog.tables.iter().find(|table| table.name.to_string() == name)
    }

    /// Asks the server by the transaction's name, where that is its own.
    async fn by_transaction(&self, connection: &mut dyn Connection, intent: &Intent) -> Result<Option<bool>, Failure> {
        let (Some(id), Some(cluster)) = (&intent.transaction, &intent.cluster) else { return Ok(None) };
        let dialect = self.database.dialect;
        let Some(statement) = dialect.transaction_status(id) else { return Ok(None) };
        if history(self.database, connection).await?.as_ref() != Some(cluster) {
            return Ok(None);
        }
        let status = match connection.fetch(&statement).await {
            Ok(rows) => rows.into_iter().flatten().next().flatten(),
            // a name that the server has not come to yet, or is too old for it
            Err(error) if error.kind == ErrorKind::Other => None,
            Err(error) => return Err(error.into()),
        };
        Ok(match status.as_deref() {
            Some("committed") => Some(true),
            Some("aborted") => Some(false),
            _ => None,
        })
    }

    /// Looks at the batch's rows: those of the table, or of a part of it.
    async fn by_rows(
        &self,
        connection: &mut dyn Connection,
        seq: u64,
        intent: &Intent,
        part: Option<String>,
        ledger: &mut Ledger,
    ) -> Result<Verdict, Failure> {
        let nothing = || Ok(Verdict::unknown(BTreeMap::new()));
        let Some(stored) = ledger.tags_of(seq).await? else { return nothing() };
        if intent.evidence.is_rows() && hex::encode(tag::root_of_tags(&stored.tags)) != intent.root {
            return nothing();
        }
        let (Some(key), Some(table)) = (ledger.tag_key_with_id(&intent.tag_key).cloned(), self.table(intent)) else {
            return nothing();
        };
        let columns: Vec<_> = table.key_columns().map(KeyColumn::from).collect();
        let is_erased = intent.disposition == Disposition::Erase.to_string();
        let same = |terms: &String| intent.terms.as_ref() == Some(terms);
        let work = self.works.iter().find(|work| {
            let undone = work.undone.as_ref();
            work.table == table.name && same(&terms(&key, &intent.table, &columns, &work.change, undone))
        });
        let question = if is_erased { None } else { work.and_then(|work| work.undone.as_ref()) };
        let seen = self.look(connection, table, part, question, &intent.table, &key, &stored).await?;
        if is_erased {
            let is_told = same(&terms(&key, &intent.table, &columns, &Change::Erase, None));
            return match (seen.there, seen.not_there) {
                (_, 0) => Ok(Verdict::told(ToldBy::Rows, false)),
                (0, _) if is_told && !ledger.are_taken_again(&stored, &intent.table).await? => {
                    Ok(Verdict::told(ToldBy::Rows, true))
                }
                _ => Ok(Verdict::unknown(seen.found())),
            };
        }
        match (question, seen.unchanged, seen.not_there) {
            (Some(_), unchanged, 0) if unchanged == seen.there => Ok(Verdict::told(ToldBy::Rows, false)),
            (Some(_), 0, 0) if !ledger.are_taken_again(&stored, &intent.table).await? => {
                Ok(Verdict::told(ToldBy::Rows, true))
            }
            (Some(_), ..) => Ok(Verdict::unknown(seen.found_changed())),
            (None, ..) => Ok(Verdict::unknown(seen.found())),
        }
    }

    /// Reads the keys of a table, and knows the batch's rows among them by their tags.
    #[expect(clippy::too_many_arguments, reason = "a table, what is asked of it, and whose rows are meant")]
    async fn look(
        &self,
        connection: &mut dyn Connection,
        table: &Table,
        part: Option<String>,
        question: Option<&Sql>,
        full_table: &str,
        tag_key: &TagKey,
        stored: &StoredTags,
    ) -> Result<Seen, Failure> {
        let tags: HashSet<&[u8]> = stored.tags.chunks_exact(16).collect();
        let mut seen = Seen { there: 0, unchanged: 0, not_there: tags.len() as u64 };
        let each = |named: &[String], is_unchanged| {
            if tags.contains(tag_key.tag(full_table, named).as_slice()) {
                seen.there += 1;
                seen.not_there = seen.not_there.saturating_sub(1);
                seen.unchanged += u64::from(is_unchanged);
            }
            seen.not_there > 0
        };
        Reading { dialect: self.database.dialect, table, part, question }.each(connection, each).await?;
        Ok(seen)
    }

    /// A partition that was to go whole: its rows stand aside, or they are where they were, or they are gone. The first of
    /// its intents speaks for all.
    async fn by_partition(
        &self,
        connection: &mut dyn Connection,
        seq: u64,
        intent: &Intent,
        name: &str,
        ledger: &mut Ledger,
    ) -> Result<Verdict, Failure> {
        let Some(table) = self.table(intent) else { return Ok(Verdict::unknown(BTreeMap::new())) };
        let dialect = self.database.dialect;
        let (part, rows) = match dialect.removal() {
            Some(Removal::Exchanged) => {
                if stands_aside(connection, self.database, &table.name).await? {
                    return Ok(Verdict::told(ToldBy::Rows, false));
                }
                let part = exchanged::partition_of(&table.name, name);
                let rows = connection.fetch(&exchanged::any_row(&part)).await;
                (part, rows)
            }
            _ => {
                let (schema, name) = name.split_once('.').unwrap_or_default();
                let partition = TableName { schema: schema.to_owned(), name: name.to_owned() };
                let rows = connection.fetch(&transactional::any_row(&partition)).await;
                (dialect.target(&partition), rows)
            }
        };
        let (part, is_empty) = match rows {
            Ok(rows) => (Some(part), rows.is_empty()),
            // it is there no more
            Err(error) if error.kind == ErrorKind::Other => (None, true),
            Err(error) => return Err(error.into()),
        };
        match (intent.has_tags(), is_empty) {
            (true, _) => self.by_rows(connection, seq, intent, part, ledger).await,
            (false, true) => Ok(Verdict::told(ToldBy::Rows, true)),
            // rows that came later cannot be told from those that were meant
            (false, false) => Ok(Verdict::unknown(BTreeMap::new())),
        }
    }
}

/// What was seen of a batch's rows.
struct Seen {
    there: u64,
    /// Of those, rows that are still to be changed.
    unchanged: u64,
    not_there: u64,
}

impl Seen {
    fn found(&self) -> BTreeMap<String, u64> {
        numbers([("there", self.there), ("not_there", self.not_there)])
    }

    fn found_changed(&self) -> BTreeMap<String, u64> {
        let changed = self.there - self.unchanged;
        numbers([("changed", changed), ("unchanged", self.unchanged), ("not_there", self.not_there)])
    }
}

fn numbers<const N: usize>(numbers: [(&str, u64); N]) -> BTreeMap<String, u64> {
    numbers.into_iter().filter(|(_, rows)| *rows > 0).map(|(what, rows)| (what.to_owned(), rows)).collect()
}

/// The server and the history to which its names of transactions belong; `None` where it does not say.
pub(super) async fn history(
    database: &OpenDatabase,
    connection: &mut dyn Connection,
) -> Result<Option<String>, Failure> {
    let Some(statement) = database.dialect.history() else { return Ok(None) };
    match connection.fetch(&statement).await {
        Ok(rows) => Ok(rows.into_iter().flatten().next().flatten()),
        Err(error) if matches!(error.kind, ErrorKind::Other | ErrorKind::Privilege) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// MariaDB, MySQL: rows of a partition stand in a table of their own, so they have not gone.
async fn stands_aside(
    connection: &mut dyn Connection,
    database: &OpenDatabase,
    table: &TableName,
) -> Result<bool, Failure> {
    for aside in partition::aside_names(table) {
        let is_there = !connection.fetch(&exchanged::read_note(&aside)).await?.is_empty();
        if is_there && !connection.fetch(&exchanged::any_row(&database.dialect.table(&aside))).await?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The workers that announced open batches, by rule, and by table where partitions went whole.
type Groups = BTreeMap<(String, Option<String>), BTreeSet<u32>>;

/// Before the first step: settles what whoever is gone has left open, of any rule, be it in this run, in another one or in
/// no file any more. Later steps may change rows that tell of it.
///
/// # Errors
/// The ledger cannot be used. What a database cannot tell now is left to the rule's own step, or to the next run.
pub(super) async fn settle_all(
    around: &Surroundings<'_>,
    prepared: &Prepared,
    ledger: &mut Ledger,
) -> Result<(), ledger::Error> {
    let mut left: BTreeMap<String, Groups> = BTreeMap::new();
    for (_, intent) in ledger.open_intents().await? {
        let database = intent.table.split('.').next().unwrap_or_default().to_owned();
        let of = (intent.rule.clone(), intent.partition.is_some().then(|| intent.table.clone()));
        left.entry(database).or_default().entry(of).or_default().insert(intent.worker);
    }
    let known: BTreeSet<_> = around.job.rules().map(|rule| rule.id.as_str()).collect();
    for (name, groups) in left {
        let opened;
        let database = match (prepared.databases.get(&name), around.job.settings.databases.get(&name)) {
            (Some(open), _) => open,
            (None, None) => {
                forget(&name, ledger).await?;
                continue;
            }
            // a run of these rules comes to it
            (None, Some(_)) if groups.keys().all(|(rule, _)| known.contains(rule.as_str())) => continue,
            (None, Some(settings)) => match plan::open_database(settings, &around.job.settings.pace).await {
                Ok(database) => {
                    opened = database;
                    &opened
                }
                Err(error) => {
                    tracing::warn!(database = name, reason = %error, "open batches of rules that are gone stay open");
                    continue;
                }
            },
        };
        let steps = prepared.steps.iter().zip(&prepared.plan.steps).filter(|(_, step)| step.database == name);
        let court = Court::new(around.job, database, steps.map(|(ready, _)| ready));
        for ((rule, partitioned), workers) in groups {
            let is_in_files = known.contains(rule.as_str());
            let is_in_run = prepared.steps.iter().any(|ready| ready.rule.id == rule);
            let settled = match &partitioned {
                None => court.settle_free(&rule, &workers, is_in_files && !is_in_run, ledger).await,
                // rules of the table settle it when they come to its partitions
                Some(table) if prepared.plan.steps.iter().any(|step| step.full_table() == *table) => Ok(()),
                Some(_) if is_in_files => Ok(()),
                Some(table) => court.settle_partitions(table, ledger).await,
            };
            match settled {
                Ok(()) => {}
                Err(Failure::Ledger(error)) => return Err(error),
                Err(failure) => {
                    tracing::warn!(rule, reason = %failure, "what a crash left open cannot be settled now");
                }
            }
        }
    }
    Ok(())
}

impl Court<'_> {
    /// Settles the batches of those of a rule's workers whose locks nobody holds.
    async fn settle_free(
        &self,
        rule: &str,
        workers: &BTreeSet<u32>,
        may_wait: bool,
        ledger: &mut Ledger,
    ) -> Result<(), Failure> {
        // a session of its own, which holds the locks of the dead until all is settled
        let mut probe = self.database.database.connect().await?;
        let (mut dead, mut locks) = (Vec::new(), Vec::new());
        for number in workers {
            let name = worker::lock_name(&self.job.settings.name, rule, *number);
            if let Some(lock) = self.database.database.try_lock(probe.as_mut(), &name).await? {
                dead.push(*number);
                locks.push(lock);
            }
        }
        let settled = self.settle(probe.as_mut(), rule, &dead, may_wait, ledger).await;
        probe.close().await;
        settled
    }

    /// Settles partitions of a table that no rule is about any more.
    async fn settle_partitions(&self, table: &str, ledger: &mut Ledger) -> Result<(), Failure> {
        let mut probe = self.database.database.connect().await?;
        let name = table.strip_prefix(self.database.database.name()).unwrap_or_default().trim_start_matches('.');
        let lock = self.database.database.try_lock(probe.as_mut(), &worker::partitions_lock_name(name)).await?;
        let settled = match &lock {
            None => Ok(()),
            Some(_) => {
                let mut open = ledger.open_intents().await?;
                open.retain(|(_, intent)| intent.table == table && intent.partition.is_some());
                self.settle_announced(probe.as_mut(), &open, ledger).await
            }
        };
        probe.close().await;
        settled
    }

    async fn settle_announced(
        &self,
        connection: &mut dyn Connection,
        open: &[(u64, Intent)],
        ledger: &mut Ledger,
    ) -> Result<(), Failure> {
        for announced in by_partition(open) {
            let (seq, intent) = &announced[0];
            let verdict = self.judge(connection, *seq, intent, ledger).await?;
            let (rule, partition, result) = (&intent.rule, &intent.partition, verdict.result);
            tracing::warn!(rule, partition, intent = seq, ?result, "settled what a crash left of a partition");
            let outcomes = announced.iter().map(|(own, _)| verdict.outcome(*own, own == seq));
            ledger.append(outcomes.collect(), &[]).await?;
        }
        Ok(())
    }
}

/// The intents of each partition: they come to the same end.
pub(super) fn by_partition(open: &[(u64, Intent)]) -> impl Iterator<Item = &[(u64, Intent)]> {
    open.chunk_by(|(_, a), (_, b)| (&a.partition, &a.transaction) == (&b.partition, &b.transaction))
}

/// The settings have no such database any more: nobody can be asked what became of its batches.
async fn forget(database: &str, ledger: &mut Ledger) -> Result<(), ledger::Error> {
    let open = ledger.open_intents().await?;
    let verdict = Verdict::unknown(BTreeMap::new());
    let of_database = open.iter().filter(|(_, intent)| intent.table.split('.').next() == Some(database));
    let outcomes: Vec<_> = of_database.map(|(seq, _)| verdict.outcome(*seq, true)).collect();
    tracing::warn!(
        database,
        batches = outcomes.len(),
        "the settings have no such database: nobody can tell what became of these"
    );
    ledger.append(outcomes, &[]).await?;
    Ok(())
}
