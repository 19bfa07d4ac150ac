//! Batches: each one transaction, with its dependents. This file changes rows inside an open transaction; whether it
//! commits is up to [`super::book`].

use super::{Failure, Surroundings};
use crate::{
    database::{
        Change, Connection, DependentWork, Dialect, Error, ErrorKind, Row, Sql, Statement, Value, Work,
        statements::{self, KeySelection, Range},
    },
    ledger::{BatchEvidence, TagKey},
    plan::{PreparedStep, Step, Walk},
    rules::Disposition,
};
use std::{
    borrow::Cow,
    time::{Duration, Instant},
};

/// Changes the due rows of one step, batch by batch, on connections that it is given.
pub(super) struct Batches<'a> {
    step: &'a Step,
    pub work: &'a Work,
    pub walk: &'a Walk,
    selection: KeySelection,
    pub dialect: &'static dyn Dialect,
    tag_key: TagKey,
    /// `database.schema.table`.
    table: String,
    /// Rows that the plan counted.
    pub expected: u64,
    /// The leaf tables' sizes in blocks, taken once: rows that an update moves behind the end are done.
    leaves: Vec<u64>,
}

/// What a batch did inside its transaction, which is still open.
pub(super) struct Changed {
    pub rows: u64,
    pub evidence: BatchEvidence,
    /// In the order in which they were changed.
    pub dependents: Vec<ChangedDependents>,
    /// How long its longest statement took.
    pub longest: Duration,
    /// Where it began.
    pub position: Position,
    /// Where the next batch begins; `None` when there is no next one.
    pub next: Option<Position>,
    pub began: Instant,
}

/// Rows of another table that went along.
pub(super) struct ChangedDependents {
    pub rows: u64,
    pub disposition: Disposition,
    pub evidence: BatchEvidence,
}

/// A place in the walk.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Position {
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

/// What the statements of one batch came to.
struct Rows {
    rows: u64,
    evidence: BatchEvidence,
    dependents: Vec<ChangedDependents>,
    longest: Duration,
    next: Option<Position>,
}

impl<'a> Batches<'a> {
    /// Asks for the sizes that a walk by blocks needs.
    pub async fn new(
        around: &Surroundings<'_>,
        step: &'a Step,
        ready: &'a PreparedStep,
        dialect: &'static dyn Dialect,
        connection: &mut dyn Connection,
    ) -> Result<Self, Failure> {
        let mut leaves = Vec::new();
        if ready.walk == Walk::Blocks {
            for leaf in &ready.work.leaves {
                let Some(statement) = dialect.blocks(leaf) else { continue };
                let rows = connection.fetch(&statement).await?;
                leaves.push(rows.into_iter().flatten().next().flatten().and_then(|n| n.parse().ok()).unwrap_or(0));
            }
        }
        Ok(Self {
            step,
            work: &ready.work,
            walk: &ready.walk,
            selection: KeySelection::of(&ready.work),
            dialect,
            tag_key: around.tag_key.clone(),
            table: step.full_table(),
            expected: step.counts.disposable(),
            leaves,
        })
    }

    /// Where a pass through the table begins.
    pub fn start(&self) -> Position {
        if *self.walk == Walk::Blocks { Position::Block { leaf: 0, block: 0 } } else { Position::Start }
    }

    /// Batches follow each other without looking at what the one before did, so two can be under way at once.
    pub fn can_overlap(&self) -> bool {
        matches!(self.walk, Walk::KeyRanges | Walk::Blocks)
    }

    /// Opens a transaction and changes the next rows in it. When that fails, the transaction is undone.
    pub async fn change(
        &self,
        connection: &mut dyn Connection,
        position: &Position,
        size: u64,
    ) -> Result<Changed, Failure> {
        let began = Instant::now();
        connection.begin().await?;
        match self.rows(connection, position, size).await {
            Ok(Rows { rows, evidence, dependents, longest, next }) => {
                Ok(Changed { rows, evidence, dependents, longest, position: position.clone(), next, began })
            }
            Err(failure) => {
                // the first error tells more; a broken connection has rolled back by itself
                let _ = connection.rollback().await;
                Err(failure)
            }
        }
    }

    async fn rows(&self, connection: &mut dyn Connection, position: &Position, size: u64) -> Result<Rows, Failure> {
        match self.walk {
            Walk::Keys | Walk::StartingPoint(_) => self.change_keys(connection, position, size).await,
            Walk::KeyRanges => self.change_key_range(connection, position, size).await,
            Walk::Blocks => self.change_blocks(connection, position, size).await,
        }
    }

    /// Takes and locks a list of rows, changes what references them, then them.
    async fn change_keys(
        &self,
        connection: &mut dyn Connection,
        position: &Position,
        size: u64,
    ) -> Result<Rows, Failure> {
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
        let rows = watch.time(connection.fetch(&statement)).await?;
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
        let mut changed = Rows {
            rows: 0,
            evidence: BatchEvidence::new(&self.table, &self.tag_key),
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
            let counted = watch.time(connection.fetch(&statements::count_keys(dialect, work, &keys))).await?;
            let still = counted.into_iter().flatten().next().flatten().and_then(|count| count.parse().ok());
            if still != Some(chosen) {
                let message = "starting points moved while their rows were being locked";
                return Err(Error::new(ErrorKind::Transient, message).into());
            }
        }
        for row in &rows {
            changed.evidence.push(self.tag_key.tag(&self.table, &self.selection.key(row)));
        }
        for dependent in &work.dependents {
            let along = watch.time(self.change_dependents(connection, dependent, &rows)).await?;
            if along.rows > 0 {
                changed.dependents.push(along);
            }
        }
        changed.rows = match &work.change {
            Change::Compute { .. } => watch.time(self.change_computed(connection, &rows)).await?,
            _ => watch.time(connection.execute(&statements::change_keys(dialect, work, &keys))).await?,
        };
        if changed.rows != chosen {
            return Err(Failure::Kept { kept: chosen.abs_diff(changed.rows), chosen });
        }
        changed.longest = watch.longest;
        Ok(changed)
    }

    /// Values that the engine cannot compute are computed here and written row by row.
    async fn change_computed(&self, connection: &mut dyn Connection, rows: &[Row]) -> Result<u64, Error> {
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
            count += connection.execute(&statements::change_one(self.dialect, self.work, &key, &values)).await?;
        }
        Ok(count)
    }

    /// Changes the rows of a dependent that lead to `rows`.
    async fn change_dependents(
        &self,
        connection: &mut dyn Connection,
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
        let tag_key = &self.tag_key;
        let mut evidence = BatchEvidence::new(&table, tag_key);
        let mut count = 0;
        let erase = matches!(dependent.change, Change::Erase);
        let chunk = self.dialect.most_keys(referenced).map_or(keys.len(), |most| usize::try_from(most).unwrap_or(1000));
        for keys in keys.chunks(chunk.max(1)) {
            let change = statements::change_dependents(self.dialect, dependent, keys);
            if dependent.key.is_empty() {
                count += connection.execute(&change).await?;
                continue;
            }
            let mut taken = 0;
            let mut take = |row: Row| {
                taken += 1;
                evidence.push(tag_key.tag(&table, &selection.key(&row)));
            };
            if self.dialect.returns(erase) {
                connection.stream(&change, &mut take).await?;
            } else {
                let select = statements::select_dependents(self.dialect, dependent, keys);
                self.take(connection, &select, &mut take).await?;
                let changed = if taken > 0 { connection.execute(&change).await? } else { 0 };
                if changed != taken {
                    return Err(Failure::Kept { kept: taken.abs_diff(changed), chosen: taken });
                }
            }
            count += taken;
        }
        Ok(ChangedDependents { rows: count, disposition: dependent.disposition, evidence })
    }

    /// Hands over the rows of a select that may be packed.
    async fn take(
        &self,
        connection: &mut dyn Connection,
        select: &Statement,
        each: &mut (dyn FnMut(Row) + Send),
    ) -> Result<(), Error> {
        if self.dialect.packed("").is_none() {
            return connection.stream(select, each).await;
        }
        let packed = connection.fetch(select).await?.into_iter().flatten().next().flatten().unwrap_or_default();
        let rows: Vec<Row> = serde_json::from_str(&packed).map_err(|_| unreadable())?;
        rows.into_iter().for_each(each);
        Ok(())
    }

    /// Changes what is due between two keys.
    async fn change_key_range(
        &self,
        connection: &mut dyn Connection,
        position: &Position,
        size: u64,
    ) -> Result<Rows, Failure> {
        let after = match position {
            Position::After(key) => Some(key.clone()),
            _ => None,
        };
        let boundary = statements::boundary(self.dialect, self.work, after.as_deref(), size);
        let mut watch = Stopwatch::default();
        let rows = watch.time(connection.fetch(&boundary)).await?;
        let through: Option<Vec<String>> =
            rows.into_iter().next().map(|row| row.into_iter().map(Option::unwrap_or_default).collect());
        let next = through.clone().map(Position::After);
        self.change_range(connection, &Range::Keys { after, through }, next, watch).await
    }

    /// Changes what is due in a range of heap blocks of one leaf table.
    async fn change_blocks(
        &self,
        connection: &mut dyn Connection,
        position: &Position,
        size: u64,
    ) -> Result<Rows, Failure> {
        let (mut leaf, mut block) = match position {
            Position::Block { leaf, block } => (*leaf, *block),
            _ => (0, 0),
        };
        while leaf < self.leaves.len() && block >= self.leaves[leaf] {
            (leaf, block) = (leaf + 1, 0);
        }
        if leaf >= self.leaves.len() {
            let evidence = BatchEvidence::new(&self.table, &self.tag_key);
            return Ok(Rows { rows: 0, evidence, dependents: Vec::new(), longest: Duration::ZERO, next: None });
        }
        let to = (block + size).min(self.leaves[leaf]);
        let range = Range::Blocks { leaf: self.work.leaves[leaf].clone(), from: block, to };
        self.change_range(connection, &range, Some(Position::Block { leaf, block: to }), Stopwatch::default()).await
    }

    async fn change_range(
        &self,
        connection: &mut dyn Connection,
        range: &Range,
        next: Option<Position>,
        mut watch: Stopwatch,
    ) -> Result<Rows, Failure> {
        // a range is found again by its bounds: only what names a row is asked for
        let selection = KeySelection::names(&self.work.key);
        let change = statements::change_range(self.dialect, self.work, &selection, range);
        let select = statements::select_range(self.dialect, self.work, &selection, range);
        let mut evidence = BatchEvidence::new(&self.table, &self.tag_key);
        let mut rows = 0;
        let mut take = |row: Row| {
            rows += 1;
            evidence.push(self.tag_key.tag(&self.table, &selection.key(&row)));
        };
        if self.dialect.returns(matches!(self.work.change, Change::Erase)) {
            watch.time(connection.stream(&change, &mut take)).await?;
        } else if self.dialect.packed("").is_some() {
            return self.change_packed(connection, &select, &change, next, watch).await;
        } else {
            watch.time(connection.stream(&select, &mut take)).await?;
            if rows > 0 {
                let changed = watch.time(connection.execute(&change)).await?;
                if changed != rows {
                    return Err(Failure::Kept { kept: rows.abs_diff(changed), chosen: rows });
                }
            }
        }
        Ok(Rows { rows, evidence, dependents: Vec::new(), longest: watch.longest, next })
    }

    /// Tags the rows of a packed list while the server changes them.
    async fn change_packed(
        &self,
        connection: &mut dyn Connection,
        select: &Statement,
        change: &Statement,
        next: Option<Position>,
        mut watch: Stopwatch,
    ) -> Result<Rows, Failure> {
        let packed = watch.time(connection.fetch(select)).await?.into_iter().flatten().next().flatten();
        let (table, key) = (self.table.clone(), self.tag_key.clone());
        let tagging = tokio::task::spawn_blocking(move || {
            let mut evidence = BatchEvidence::new(&table, &key);
            let keys: Vec<Vec<Cow<str>>> = serde_json::from_str(packed.as_deref().unwrap_or("[]"))?;
            keys.iter().for_each(|row| evidence.push(key.tag(&table, row)));
            Ok::<_, serde_json::Error>((keys.len() as u64, evidence))
        });
        let changed = watch.time(connection.execute(change)).await?;
        let (rows, evidence) = tagging.await.ok().and_then(Result::ok).ok_or_else(unreadable)?;
        if changed != rows {
            return Err(Failure::Kept { kept: rows.abs_diff(changed), chosen: rows });
        }
        Ok(Rows { rows, evidence, dependents: Vec::new(), longest: watch.longest, next })
    }
}

fn unreadable() -> Error {
    Error::new(ErrorKind::Other, "the server's list of keys cannot be read")
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
