//! Batches: each one transaction, with its dependents, announced in the ledger before it commits.
//!
//! The ledger's intent is written while the transaction is open, because only then the rows are known and locked; the
//! commit is the act that cannot be undone. The outcome is written together with the next intent: one disk flush per
//! batch.

use super::{Failure, Progress, milliseconds, pace};
use crate::{
    database::{
        Change, Connection, DependentWork, Dialect, Error, ErrorKind, Row, Sql, Value, Work,
        statements::{self, KeySelection, Range},
    },
    job::Job,
    ledger::{self, BatchEvidence, BatchResult, Event, Intent, Ledger, SettledBy},
    plan::{PreparedStep, Step, Walk},
    rules::Disposition,
    settings::Pace,
};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

/// Works through the due rows of one step, on one connection.
pub(super) struct Worker<'a> {
    step: &'a Step,
    work: &'a Work,
    walk: &'a Walk,
    selection: KeySelection,
    dialect: &'static dyn Dialect,
    connection: Box<dyn Connection>,
    ledger: &'a mut Ledger,
    stop: &'a CancellationToken,
    progress: &'a dyn Progress,
    pace: &'a Pace,
    /// The mark of the holds that the plan knows.
    holds: (u64, u64),
    /// Outcomes that wait for the next flush.
    pending: Vec<Event>,
    batches: u64,
    pub disposed: u64,
    pub dependents: BTreeMap<String, u64>,
}

/// What a batch did inside its open transaction.
struct Changed {
    rows: u64,
    evidence: BatchEvidence,
    /// In the order in which they were changed.
    dependents: Vec<ChangedDependents>,
    /// How long its longest statement took.
    longest: Duration,
    /// Where the next batch begins; `None` when there is no next one.
    next: Option<Position>,
}

/// Rows of another table that went along.
struct ChangedDependents {
    rows: u64,
    disposition: Disposition,
    evidence: BatchEvidence,
}

/// A place in the walk.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Position {
    Start,
    /// After the row with this locator.
    After(Vec<String>),
    /// At the rows with this starting point.
    Point(String),
    /// At this block of the leaf table with this index.
    Block {
        leaf: usize,
        block: u64,
    },
}

impl<'a> Worker<'a> {
    #[expect(clippy::too_many_arguments, reason = "takes the surroundings of a step apart")]
    pub fn new(
        job: &'a Job,
        step: &'a Step,
        ready: &'a PreparedStep,
        dialect: &'static dyn Dialect,
        connection: Box<dyn Connection>,
        ledger: &'a mut Ledger,
        stop: &'a CancellationToken,
        progress: &'a dyn Progress,
        holds: (u64, u64),
    ) -> Self {
        Self {
            step,
            work: &ready.work,
            walk: &ready.walk,
            selection: KeySelection::of(&ready.work),
            dialect,
            connection,
            ledger,
            stop,
            progress,
            pace: &job.settings.pace,
            holds,
            pending: Vec::new(),
            batches: 0,
            disposed: 0,
            dependents: BTreeMap::new(),
        }
    }

    pub fn connection(&mut self) -> &mut dyn Connection {
        self.connection.as_mut()
    }

    pub async fn close(self) {
        self.connection.close().await;
    }

    /// Writes outcomes that no intent has taken along.
    pub async fn flush(&mut self) -> Result<(), Failure> {
        if !self.pending.is_empty() {
            self.ledger.append(std::mem::take(&mut self.pending), &[]).await?;
        }
        Ok(())
    }

    /// Goes through the table once.
    pub async fn pass(&mut self) -> Result<(), Failure> {
        let most = u64::from(self.pace.batch_rows);
        let most = self.dialect.most_keys(&self.work.locator()).map_or(most, |keys| {
            if matches!(self.walk, Walk::Keys | Walk::StartingPoint(_)) { most.min(keys) } else { most }
        });
        let first = if *self.walk == Walk::Blocks { 16 } else { 1000 };
        let mut size = pace::Size::new(first, most, self.pace.batch_target);
        let leaves = self.leaves().await?;
        let mut position =
            if *self.walk == Walk::Blocks { Position::Block { leaf: 0, block: 0 } } else { Position::Start };
        let mut attempt = 0;
        loop {
            if self.stop.is_cancelled() {
                return Err(Failure::Interrupted);
            }
            if self.ledger.store().holds_mark().await.map_err(ledger::Error::from)? != self.holds {
                return Err(Failure::HoldsChanged);
            }
            match self.batch(&position, size.current(), &leaves).await {
                Ok((longest, next)) => {
                    attempt = 0;
                    size.took(longest);
                    match next {
                        // many rows may share a starting point; a key that leads back to itself would never end
                        Some(next) if next == position && matches!(next, Position::After(_)) => {
                            return Err(Failure::Stuck);
                        }
                        Some(next) => position = next,
                        None => return Ok(()),
                    }
                }
                Err(Failure::Database(error)) if is_worth_another_try(&error) && attempt < self.pace.retries => {
                    attempt += 1;
                    size.shrink();
                    tracing::warn!(rule = self.step.rule, attempt, reason = %error, "batch is tried again, smaller");
                    tokio::time::sleep(pace::pause(attempt)).await;
                }
                Err(failure) => return Err(failure),
            }
        }
    }

    /// The leaf tables with their sizes in blocks, taken once: rows that an update moves behind the end are done.
    async fn leaves(&mut self) -> Result<Vec<u64>, Failure> {
        let mut sizes = Vec::new();
        if *self.walk == Walk::Blocks {
            for leaf in &self.work.leaves {
                let Some(statement) = self.dialect.blocks(leaf) else { continue };
                let rows = self.connection.fetch(&statement).await?;
                sizes.push(rows.into_iter().flatten().next().flatten().and_then(|n| n.parse().ok()).unwrap_or(0));
            }
        }
        Ok(sizes)
    }

    /// One transaction. Gives the time of its longest statement, and where the next one begins.
    async fn batch(
        &mut self,
        position: &Position,
        size: u64,
        leaves: &[u64],
    ) -> Result<(Duration, Option<Position>), Failure> {
        let began = Instant::now();
        self.connection.begin().await?;
        let changed = match self.change(position, size, leaves).await {
            Ok(changed) => changed,
            Err(failure) => {
                // the first error tells more; a broken connection has rolled back by itself
                let _ = self.connection.rollback().await;
                return Err(failure);
            }
        };
        let Changed { rows, evidence, dependents, longest, next } = changed;
        if rows == 0 {
            self.connection.rollback().await?;
            return Ok((longest, next));
        }
        let along = sums(&dependents);
        let intents = match self.announce(rows, evidence, dependents).await {
            Ok(intents) => intents,
            Err(failure) => {
                let _ = self.connection.rollback().await;
                return Err(failure);
            }
        };
        let committed = self.connection.commit().await;
        // A server that answers has decided. One that does not leaves the intent open, for the next run to settle.
        let result = match &committed {
            Ok(()) => Some(BatchResult::Committed),
            Err(error) if error.kind != ErrorKind::Unreachable => Some(BatchResult::RolledBack),
            Err(_) => None,
        };
        if let Some(result) = result {
            let (milliseconds, settled_by) = (milliseconds(began), SettledBy::Direct);
            let outcome = |intent| Event::Outcome { intent, result, milliseconds, settled_by };
            self.pending.extend(intents.into_iter().map(outcome));
        }
        committed?;
        self.disposed += rows;
        for (table, rows) in along {
            *self.dependents.entry(table).or_default() += rows;
        }
        let longest_milliseconds = longest.as_secs_f64() * 1000.0;
        let milliseconds = milliseconds(began);
        tracing::debug!(rule = self.step.rule, batch = self.batches, rows, longest_milliseconds, milliseconds, "batch");
        self.progress.advance(rows);
        Ok((longest, next))
    }

    /// Puts the batch's intents into the ledger, together with what is still to be reported of the batch before.
    async fn announce(
        &mut self,
        rows: u64,
        evidence: BatchEvidence,
        dependents: Vec<ChangedDependents>,
    ) -> Result<Vec<u64>, Failure> {
        let transaction = match self.dialect.transaction_id() {
            Some(statement) => self.connection.fetch(&statement).await?.into_iter().flatten().next().flatten(),
            None => None,
        };
        self.batches += 1;
        let tags = evidence.finish();
        let main = Intent {
            rule: self.step.rule.clone(),
            table: tags.table.clone(),
            disposition: self.step.disposition.to_string(),
            batch: self.batches,
            rows,
            dependents: sums(&dependents),
            along_with: None,
            root: hex::encode(tags.root),
            tag_key: tags.tag_key.clone(),
            transaction,
        };
        let mut intents = vec![main.clone()];
        let mut all_tags = vec![tags];
        for ChangedDependents { rows, disposition, evidence } in dependents {
            let tags = evidence.finish();
            intents.push(Intent {
                table: tags.table.clone(),
                disposition: disposition.to_string(),
                rows,
                dependents: BTreeMap::new(),
                along_with: Some(main.table.clone()),
                root: hex::encode(tags.root),
                ..main.clone()
            });
            if tags.count > 0 {
                all_tags.push(tags);
            }
        }
        let (outcomes, announced) = (self.pending.len(), intents.len());
        let events = self.pending.iter().cloned().chain(intents.into_iter().map(Event::Intent)).collect();
        let numbers = self.ledger.append(events, &all_tags).await?;
        self.pending.clear();
        debug_assert_eq!(numbers.len(), outcomes + announced);
        Ok(numbers[outcomes..].to_vec())
    }

    async fn change(&mut self, position: &Position, size: u64, leaves: &[u64]) -> Result<Changed, Failure> {
        match self.walk {
            Walk::Keys | Walk::StartingPoint(_) => self.change_keys(position, size).await,
            Walk::KeyRanges => self.change_key_range(position, size).await,
            Walk::Blocks => self.change_blocks(position, size, leaves).await,
        }
    }

    /// Takes and locks a list of rows, changes what references them, then them.
    async fn change_keys(&mut self, position: &Position, size: u64) -> Result<Changed, Failure> {
        let (dialect, work) = (self.dialect, self.work);
        let statement = match (self.walk, position) {
            (Walk::StartingPoint(column), Position::Point(from)) => {
                statements::select_by_point(dialect, work, column, &self.selection, Some(from), size)
            }
            (Walk::StartingPoint(column), _) => {
                statements::select_by_point(dialect, work, column, &self.selection, None, size)
            }
            (_, Position::After(after)) => statements::select_keys(dialect, work, &self.selection, Some(after), size),
            _ => statements::select_keys(dialect, work, &self.selection, None, size),
        };
        let mut watch = Stopwatch::default();
        let rows = watch.time(self.connection.fetch(&statement)).await?;
        let next = match (self.walk, rows.last()) {
            (_, None) => None,
            _ if (rows.len() as u64) < size => None,
            (Walk::StartingPoint(column), Some(last)) => self
                .selection
                .position(&column.name)
                .and_then(|index| last[index].clone())
                .map(Position::Point)
                .or(Some(Position::Start)),
            (_, Some(last)) => Some(Position::After(self.selection.locator(last))),
        };
        let mut changed = Changed {
            rows: 0,
            evidence: BatchEvidence::new(self.step.full_table(), self.ledger.tag_key()),
            dependents: Vec::new(),
            longest: Duration::ZERO,
            next,
        };
        if rows.is_empty() {
            changed.longest = watch.longest;
            return Ok(changed);
        }
        let keys: Vec<_> = rows.iter().map(|row| self.selection.locator(row)).collect();
        let chosen = rows.len() as u64;
        // Whoever added a related row just before the lock may have moved a starting point; behind the lock nobody can.
        // This is the last moment to see it, because dependents go first. Where one writer keeps out all others (SQLite)
        // there is nothing to see.
        if work.point.related && !work.dependents.is_empty() && !dialect.lock_rows().is_empty() {
            let counted = watch.time(self.connection.fetch(&statements::count_keys(dialect, work, &keys))).await?;
            let still = counted.into_iter().flatten().next().flatten().and_then(|count| count.parse().ok());
            if still != Some(chosen) {
                let message = "starting points moved while their rows were being locked";
                return Err(Error::new(ErrorKind::Transient, message).into());
            }
        }
        let table = self.step.full_table();
        for row in &rows {
            changed.evidence.push(self.ledger.tag_key().tag(&table, &self.selection.key(row)));
        }
        for dependent in &work.dependents {
            let along = watch.time(self.change_dependents(dependent, &rows)).await?;
            if along.rows > 0 {
                changed.dependents.push(along);
            }
        }
        changed.rows = match &work.change {
            Change::Compute { .. } => watch.time(self.change_computed(&rows)).await?,
            _ => watch.time(self.connection.execute(&statements::change_keys(dialect, work, &keys))).await?,
        };
        if changed.rows != chosen {
            return Err(Failure::Kept { kept: chosen.abs_diff(changed.rows), chosen });
        }
        changed.longest = watch.longest;
        Ok(changed)
    }

    /// Values that the engine cannot compute are computed here and written row by row.
    async fn change_computed(&mut self, rows: &[Row]) -> Result<u64, Error> {
        let Change::Compute { computed, .. } = &self.work.change else { return Ok(0) };
        let mut count = 0;
        for row in rows {
            let values: Vec<_> = computed
                .iter()
                .map(|column| {
                    let old = self.selection.position(&column.column.name).and_then(|index| row[index].as_deref());
                    match old.and_then(|old| (column.function)(old)) {
                        Some(new) => Sql::bound(self.dialect.cast(&column.column), Value::Text(new)),
                        None => Sql::new("null"),
                    }
                })
                .collect();
            let key = self.selection.locator(row);
            count += self.connection.execute(&statements::change_one(self.dialect, self.work, &key, &values)).await?;
        }
        Ok(count)
    }

    /// Changes the rows of a dependent that lead to `rows`.
    async fn change_dependents(
        &mut self,
        dependent: &DependentWork,
        rows: &[Row],
    ) -> Result<ChangedDependents, Failure> {
        let referenced = &dependent.links[dependent.links.len() - 1].referenced;
        let keys: Vec<Vec<String>> = rows
            .iter()
            .filter_map(|row| {
                referenced.iter().map(|column| row[self.selection.position(&column.name)?].clone()).collect()
            })
            .collect();
        let table = format!("{}.{}", self.step.database, dependent.table);
        let selection = KeySelection::names(&dependent.key);
        let tag_key = self.ledger.tag_key();
        let mut evidence = BatchEvidence::new(&table, tag_key);
        let mut count = 0;
        let erase = matches!(dependent.change, Change::Erase);
        let chunk = self.dialect.most_keys(referenced).map_or(keys.len(), |most| usize::try_from(most).unwrap_or(1000));
        for keys in keys.chunks(chunk.max(1)) {
            let change = statements::change_dependents(self.dialect, dependent, keys);
            if dependent.key.is_empty() {
                count += self.connection.execute(&change).await?;
                continue;
            }
            let mut taken = 0;
            let mut take = |row: Row| {
                taken += 1;
                evidence.push(tag_key.tag(&table, &selection.key(&row)));
            };
            if self.dialect.returns(erase) {
                self.connection.stream(&change, &mut take).await?;
            } else {
                let select = statements::select_dependents(self.dialect, dependent, keys);
                self.connection.stream(&select, &mut take).await?;
                let changed = if taken > 0 { self.connection.execute(&change).await? } else { 0 };
                if changed != taken {
                    return Err(Failure::Kept { kept: taken.abs_diff(changed), chosen: taken });
                }
            }
            count += taken;
        }
        Ok(ChangedDependents { rows: count, disposition: dependent.disposition, evidence })
    }

    /// Changes what is due between two keys.
    async fn change_key_range(&mut self, position: &Position, size: u64) -> Result<Changed, Failure> {
        let after = match position {
            Position::After(key) => Some(key.clone()),
            _ => None,
        };
        let boundary = statements::boundary(self.dialect, self.work, after.as_deref(), size);
        let mut watch = Stopwatch::default();
        let rows = watch.time(self.connection.fetch(&boundary)).await?;
        let through: Option<Vec<String>> =
            rows.into_iter().next().map(|row| row.into_iter().map(Option::unwrap_or_default).collect());
        let next = through.clone().map(Position::After);
        self.change_range(&Range::Keys { after, through }, next, watch).await
    }

    /// Changes what is due in a range of heap blocks of one leaf table.
    async fn change_blocks(&mut self, position: &Position, size: u64, leaves: &[u64]) -> Result<Changed, Failure> {
        let (mut leaf, mut block) = match position {
            Position::Block { leaf, block } => (*leaf, *block),
            _ => (0, 0),
        };
        while leaf < leaves.len() && block >= leaves[leaf] {
            (leaf, block) = (leaf + 1, 0);
        }
        if leaf >= leaves.len() {
            let evidence = BatchEvidence::new(self.step.full_table(), self.ledger.tag_key());
            return Ok(Changed { rows: 0, evidence, dependents: Vec::new(), longest: Duration::ZERO, next: None });
        }
        let to = (block + size).min(leaves[leaf]);
        let range = Range::Blocks { leaf: self.work.leaves[leaf].clone(), from: block, to };
        self.change_range(&range, Some(Position::Block { leaf, block: to }), Stopwatch::default()).await
    }

    async fn change_range(
        &mut self,
        range: &Range,
        next: Option<Position>,
        mut watch: Stopwatch,
    ) -> Result<Changed, Failure> {
        let table = self.step.full_table();
        let key = self.ledger.tag_key();
        let mut evidence = BatchEvidence::new(&table, key);
        let mut rows = 0;
        let selection = &self.selection;
        let mut take = |row: Row| {
            rows += 1;
            evidence.push(key.tag(&table, &selection.key(&row)));
        };
        let change = statements::change_range(self.dialect, self.work, selection, range);
        if self.dialect.returns(matches!(self.work.change, Change::Erase)) {
            watch.time(self.connection.stream(&change, &mut take)).await?;
        } else {
            let select = statements::select_range(self.dialect, self.work, selection, range);
            watch.time(self.connection.stream(&select, &mut take)).await?;
            if rows > 0 {
                let changed = watch.time(self.connection.execute(&change)).await?;
                if changed != rows {
                    return Err(Failure::Kept { kept: rows.abs_diff(changed), chosen: rows });
                }
            }
        }
        Ok(Changed { rows, evidence, dependents: Vec::new(), longest: watch.longest, next })
    }
}

/// By table.
fn sums(dependents: &[ChangedDependents]) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    for dependent in dependents {
        *sums.entry(dependent.evidence.table().to_owned()).or_default() += dependent.rows;
    }
    sums
}

fn is_worth_another_try(error: &Error) -> bool {
    matches!(error.kind, ErrorKind::Transient | ErrorKind::StatementTimeout)
}

/// Keeps the longest of several times.
#[derive(Default)]
struct Stopwatch {
    longest: Duration,
}

impl Stopwatch {
    async fn time<T>(&mut self, future: impl Future<Output = T>) -> T {
        let began = Instant::now();
        let value = future.await;
        self.longest = self.longest.max(began.elapsed());
        value
    }
}
