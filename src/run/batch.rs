//! Batches: each one transaction, with its dependents. This file changes rows inside an open transaction; whether it
//! commits is up to [`super::book`].

mod dependents;

use super::{Failure, Surroundings};
use crate::{
    catalog::TableName,
    database::{
        Change, Connection, Dialect, Error, ErrorKind, KeyColumn, Lock, Row, Work, aggregate,
        statements::{self, KeySelection, Range, RangeStatements, Stride},
    },
    evidence::{
        Evidence,
        tag::{BatchEvidence, BatchTags, TagKey, Tagging},
    },
    failpoint,
    ledger::{self},
    plan::{PreparedStep, Step, Walk},
    rules::Disposition,
    sql::{Sql, Statement},
};
use serde::{Deserialize, Serialize};
use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
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
    /// No transaction changes more, dependents included, but for one row with all that belongs to it.
    most: u64,
    /// The leaf tables' sizes in blocks when the pass began: rows that an update moves behind the end are done.
    leaves: Vec<u64>,
}

/// What a batch did inside its transaction, which is still open.
pub(super) struct Changed {
    pub rows: u64,
    pub tags: BatchTags,
    /// In the order in which they were changed.
    pub dependents: Vec<ChangedDependents>,
    /// How long its longest statement took.
    pub longest: Duration,
    /// Where the stretch's next batch begins; `None` when there is no next one.
    pub next: Option<Position>,
    pub began: Instant,
}

/// Rows of another table that went along.
pub(super) struct ChangedDependents {
    pub rows: u64,
    pub disposition: Disposition,
    pub tags: BatchTags,
}

/// Rows of one table that a batch changes itself.
#[derive(Clone, Debug)]
pub(super) struct Along {
    pub table: TableName,
    /// Their primary keys.
    pub keys: Vec<Vec<String>>,
    /// The columns that it assigns; `None` where the rows go.
    pub written: Option<Vec<String>>,
    /// The table has a primary key; otherwise `keys` tells nothing.
    pub has_names: bool,
}

/// A part of the table that one worker goes through, batch after batch.
#[derive(Clone, Debug)]
pub(super) struct Stretch {
    /// Where the next batch begins.
    pub from: Position,
    /// Where it ends; `None` at the table's end.
    pub to: Option<Position>,
    /// At most so long, in what the walk counts.
    pub size: u64,
}

/// A place in the walk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    /// Amid these blocks: the strides before this one are done.
    Stride {
        leaf: usize,
        from: u64,
        to: u64,
        nth: u32,
    },
}

impl Position {
    /// The key of the row that it comes after.
    fn key(&self) -> Option<&[String]> {
        match self {
            Self::After(key) => Some(key),
            _ => None,
        }
    }
}

/// What the statements of one batch came to.
struct Rows {
    rows: u64,
    tags: BatchTags,
    dependents: Vec<ChangedDependents>,
    longest: Duration,
    next: Option<Position>,
}

impl<'a> Batches<'a> {
    pub fn new(
        around: &Surroundings<'_>,
        step: &'a Step,
        ready: &'a PreparedStep,
        dialect: &'static dyn Dialect,
    ) -> Self {
        Self {
            step,
            work: &ready.work,
            walk: &ready.walk,
            selection: KeySelection::of(&ready.work),
            dialect,
            tag_key: around.tag_key.clone(),
            table: step.full_table(),
            expected: step.counts.disposable(),
            most: most_rows(around, step),
            leaves: Vec::new(),
        }
    }

    /// How long the next batch of a stretch is, where this is wanted; a stride keeps to the range of the first one.
    pub fn size(&self, stretch: &Stretch, wanted: u64) -> u64 {
        match stretch.from {
            Position::Stride { from, to, .. } => to - from,
            _ => wanted.min(stretch.size).max(1),
        }
    }

    /// Rows are changed by where they lie, at one moment, and need not be locked before.
    pub fn goes_by_ranges(&self) -> bool {
        matches!(self.walk, Walk::KeyRanges | Walk::Blocks { .. })
    }

    /// Rows are taken in the order of their starting points.
    pub fn goes_by_points(&self) -> bool {
        matches!(self.walk, Walk::StartingPoint(_))
    }

    /// The longest batch with at most so many rows, in what the walk counts.
    pub fn largest(&self, rows: u32) -> u64 {
        let most = u64::from(rows);
        match self.walk {
            // after a stretch without due rows a batch must not take in more of a dense one than it may
            Walk::Blocks { .. } => (most * self.strides() / self.rows_per_block()).max(1),
            Walk::KeyRanges => most,
            Walk::Keys | Walk::StartingPoint(_) => {
                self.dialect.most_keys(&self.work.locator()).map_or(most, |listed| listed.min(most))
            }
        }
    }

    /// How many batches go through the same range.
    pub fn strides(&self) -> u64 {
        match self.walk {
            Walk::Blocks { strides } => u64::from(*strides),
            _ => 1,
        }
    }

    /// Asks for the sizes that a walk by blocks needs, before a pass.
    pub async fn measure(&mut self, connection: &mut dyn Connection) -> Result<(), Failure> {
        self.leaves.clear();
        if !matches!(self.walk, Walk::Blocks { .. }) {
            return Ok(());
        }
        for leaf in &self.work.leaves {
            let Some(statement) = self.dialect.blocks(leaf) else { continue };
            let rows = connection.fetch(&statement).await?;
            self.leaves.push(rows.into_iter().flatten().next().flatten().and_then(|n| n.parse().ok()).unwrap_or(0));
        }
        Ok(())
    }

    /// Where a pass through the table begins.
    pub fn start(&self) -> Position {
        match self.walk {
            Walk::Blocks { .. } => Position::Block { leaf: 0, block: 0 },
            _ => Position::Start,
        }
    }

    /// How many rows a heap block may hold, judged by the table as a whole; as many as 8 KiB hold of short ones where
    /// nobody knows.
    pub fn rows_per_block(&self) -> u64 {
        const SHORT: u64 = 64;
        match (self.step.counts.table_rows, self.leaves.iter().sum::<u64>()) {
            (0, _) | (_, 0) => SHORT,
            // some blocks are fuller than others
            (rows, blocks) => (rows * 5 / 4).div_ceil(blocks),
        }
    }

    /// The leaf tables' sizes in blocks, as texts that [`Batches::set_sizes`] reads.
    pub fn sizes(&self) -> String {
        self.leaves.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
    }

    /// Takes the sizes that the leaf tables had when the pass began: positions refer to them.
    pub fn set_sizes(&mut self, sizes: &str) {
        self.leaves = sizes.split(',').filter_map(|size| size.parse().ok()).collect();
    }

    /// Tells this work from what the rule meant at other times: only for the same rows, and with the same key for
    /// positions and tags, a pass is shared. Keyed, since holds name rows.
    pub fn digest(&self) -> String {
        let rows = self.work.disposable_rows();
        // positions name leaf tables by their place in the list
        let parts =
            (&self.walk.words(), &rows.text, format!("{:?}", rows.args), &self.step.disposition, &self.work.leaves);
        hex::encode(self.tag_key.condition_tag(&self.table, &format!("{parts:?} {:?}", self.step.techniques)))
    }

    /// How long a chunk is where no batch is longer than `batch`: long enough that leasing it costs nothing beside working on it, short enough that several
    /// workers end at about the same time.
    pub fn chunk(&self, batch: u64) -> u64 {
        const PARTS: u64 = 32;
        // many of the batches that the settings allow, and no more than a few seconds of work
        let (length, least, most) = match self.walk {
            Walk::Blocks { .. } => (self.leaves.iter().sum::<u64>(), 128, 8192),
            Walk::Keys | Walk::KeyRanges => (self.step.counts.table_rows, 10_000, 500_000),
            Walk::StartingPoint(_) => return u64::MAX,
        };
        (length / PARTS).clamp(least.min(20 * batch), most)
    }

    /// Cuts off the stretch of this size that begins at a position; `None` behind the end.
    pub async fn cut(
        &self,
        connection: &mut dyn Connection,
        from: Position,
        size: u64,
    ) -> Result<Option<Stretch>, Failure> {
        let (from, to) = match (self.walk, from) {
            (Walk::StartingPoint(_), from) => (from, None),
            (Walk::Keys | Walk::KeyRanges, from) => {
                let to = self.boundary(connection, &from, None, size).await?;
                (from, to)
            }
            (Walk::Blocks { .. }, from) => {
                let (mut leaf, mut block) = match from {
                    Position::Block { leaf, block } => (leaf, block),
                    _ => (0, 0),
                };
                while leaf < self.leaves.len() && block >= self.leaves[leaf] {
                    (leaf, block) = (leaf + 1, 0);
                }
                if leaf >= self.leaves.len() {
                    return Ok(None);
                }
                let to = block.saturating_add(size).min(self.leaves[leaf]);
                (Position::Block { leaf, block }, Some(Position::Block { leaf, block: to }))
            }
        };
        Ok(Some(Stretch { from, to, size }))
    }

    /// Opens a transaction and changes the next rows of a stretch in it. When that fails, the transaction is undone.
    pub async fn change(
        &self,
        connection: &mut dyn Connection,
        stretch: &Stretch,
        size: u64,
    ) -> Result<Changed, Failure> {
        let began = Instant::now();
        match self.walk {
            Walk::KeyRanges | Walk::Blocks { .. } => connection.begin_still().await?,
            Walk::Keys | Walk::StartingPoint(_) => connection.begin().await?,
        }
        failpoint::reach("before_statement");
        let changed = self.rows(connection, stretch, size).await;
        failpoint::reach("after_statement");
        match changed.and_then(|changed| self.within_limit(changed)) {
            Ok(Rows { rows, tags, dependents, longest, next }) => {
                Ok(Changed { rows, tags, dependents, longest, next, began })
            }
            Err(failure) => {
                // the first error tells more; a broken connection has rolled back by itself
                let _ = connection.rollback().await;
                Err(failure)
            }
        }
    }

    /// Ranges may have grown since they were cut, keys may be ordered otherwise than ranges say, and nobody knows beforehand
    /// how many dependents go along.
    fn within_limit(&self, changed: Rows) -> Result<Rows, Failure> {
        let rows = changed.rows + changed.dependents.iter().map(|dependent| dependent.rows).sum::<u64>();
        match rows > self.most && changed.rows > 1 {
            true => Err(Failure::TooLarge { rows, most: self.most }),
            false => Ok(changed),
        }
    }

    async fn rows(&self, connection: &mut dyn Connection, stretch: &Stretch, size: u64) -> Result<Rows, Failure> {
        match self.walk {
            Walk::Keys | Walk::StartingPoint(_) => self.change_keys(connection, stretch, size).await,
            Walk::KeyRanges | Walk::Blocks { .. } => {
                let mut watch = Stopwatch::default();
                let (range, next) = self.next_range(connection, stretch, size, &mut watch).await?;
                self.change_range(connection, &range, next, watch).await
            }
        }
    }

    /// The rows that the next batch of a stretch would change, and where the walk goes on behind them; nothing is locked.
    pub async fn candidates(
        &self,
        connection: &mut dyn Connection,
        stretch: &Stretch,
        size: u64,
    ) -> Result<(Vec<Row>, Option<Position>), Failure> {
        match self.walk {
            Walk::Keys | Walk::StartingPoint(_) => {
                let rows = connection.fetch(&self.next_keys(stretch, size, None)).await?;
                let next = self.after(&rows, size);
                Ok((rows, next))
            }
            Walk::KeyRanges | Walk::Blocks { .. } => {
                let (range, next) = self.next_range(connection, stretch, size, &mut Stopwatch::default()).await?;
                let select = statements::select_range(self.dialect, self.work, &self.selection, &range);
                Ok((connection.fetch(&select).await?, next))
            }
        }
    }

    /// Those of these rows that are disposable at this moment; nothing is locked.
    pub async fn still_disposable(&self, connection: &mut dyn Connection, rows: Vec<Row>) -> Result<Vec<Row>, Failure> {
        let locators: Vec<_> = rows.iter().map(|row| self.selection.locator(row)).collect();
        let mut still: BTreeSet<Vec<String>> = BTreeSet::new();
        for locators in self.portions(&self.work.locator(), &locators) {
            let select = statements::select_disposable(self.dialect, self.work, locators);
            let found = connection.fetch(&select).await?;
            still.extend(found.into_iter().map(|row| row.into_iter().map(Option::unwrap_or_default).collect()));
        }
        let mut locators = locators.iter();
        Ok(rows.into_iter().filter(|_| locators.next().is_some_and(|locator| still.contains(locator))).collect())
    }

    /// Opens a transaction and changes these rows in it, as far as they are still disposable and their recipients still
    /// know them by what they were served with. Delivers which rows changed, by their place in the list.
    ///
    /// Without a lock they are changed as ranges are: at one moment, at which nothing else may change them.
    pub async fn change_chosen(
        &self,
        connection: &mut dyn Connection,
        chosen: &[&Row],
        lock: Option<Lock>,
    ) -> Result<(Changed, Vec<usize>), Failure> {
        let began = Instant::now();
        match lock {
            Some(_) => connection.begin().await?,
            None => connection.begin_still().await?,
        }
        let changed = self.chosen_rows(connection, chosen, lock).await;
        match changed.and_then(|(changed, places)| Ok((self.within_limit(changed)?, places))) {
            Ok((Rows { rows, tags, dependents, longest, next }, places)) => {
                Ok((Changed { rows, tags, dependents, longest, next, began }, places))
            }
            Err(failure) => {
                let _ = connection.rollback().await;
                Err(failure)
            }
        }
    }

    async fn chosen_rows(
        &self,
        connection: &mut dyn Connection,
        chosen: &[&Row],
        lock: Option<Lock>,
    ) -> Result<(Rows, Vec<usize>), Failure> {
        let keys: Vec<_> = chosen.iter().map(|row| self.selection.locator(row)).collect();
        let statement = statements::select_chosen(self.dialect, self.work, &self.selection, &keys, lock);
        let mut watch = Stopwatch::default();
        // no row is in the way of a statement that leaves out those that are locked, or locks none: the table is
        let of_the_table = |error: Error| match error.kind {
            ErrorKind::Locked if lock != Some(Lock::Waiting) => Error { kind: ErrorKind::Transient, ..error },
            _ => error,
        };
        if lock != Some(Lock::Waiting)
            && let Some(statement) = self.dialect.table_locks(&self.work.changed_tables())
            && connection.fetch(&statement).await?.into_iter().flatten().flatten().any(|number| number != "0")
        {
            return Err(Error::new(ErrorKind::Transient, "waited too long for a lock on a whole table").into());
        }
        let rows = watch.time(connection.fetch(&statement)).await.map_err(of_the_table)?;
        let mut rows = match lock {
            Some(lock) => self.secure(connection, rows, lock, &mut watch).await?,
            None => rows,
        };
        let places: BTreeMap<_, _> = keys.into_iter().enumerate().map(|(place, key)| (key, place)).collect();
        let mut kept = Vec::new();
        rows.retain(|row| {
            let place = places.get(&self.selection.locator(row)).copied();
            let same = place.is_some_and(|place| self.identifiers(row).eq(self.identifiers(chosen[place])));
            kept.extend(place.filter(|_| same));
            same
        });
        let lock = lock.unwrap_or(Lock::AtOnce);
        Ok((self.change_rows(connection, rows, None, lock, watch).await?, kept))
    }

    /// The texts by which recipients know the row's person.
    fn identifiers<'row>(&'row self, row: &'row Row) -> impl Iterator<Item = Option<&'row str>> {
        let columns = self.work.recipients.iter().flat_map(|recipient| &recipient.identifiers);
        columns.map(|(_, column)| self.column(row, &column.name))
    }

    /// The columns that rows are read with.
    pub fn selection(&self) -> &KeySelection {
        &self.selection
    }

    /// The text of a column that the selection delivers.
    fn column<'row>(&self, row: &'row Row, name: &str) -> Option<&'row str> {
        self.selection.position(name).and_then(|position| row.get(position)?.as_deref())
    }

    /// The next disposable rows after one, with all columns that serving and changing them takes; nothing is locked.
    pub async fn page(
        &self,
        connection: &mut dyn Connection,
        after: Option<&Row>,
        limit: u64,
    ) -> Result<Vec<Row>, Failure> {
        let after = after.map(|row| self.selection.locator(row));
        let rows = self.work.disposable_rows();
        let page = statements::page(self.dialect, self.work, &self.selection, rows, after.as_deref(), limit);
        Ok(connection.fetch(&page).await?)
    }

    /// Takes and locks a list of rows, changes what references them, then them.
    async fn change_keys(
        &self,
        connection: &mut dyn Connection,
        stretch: &Stretch,
        size: u64,
    ) -> Result<Rows, Failure> {
        let lock = self.work.lock();
        let statement = self.next_keys(stretch, size, Some(lock));
        let mut watch = Stopwatch::default();
        failpoint::reach("before_keys");
        let rows = watch.time(connection.fetch(&statement)).await?;
        let next = self.after(&rows, size);
        let rows = self.secure(connection, rows, lock, &mut watch).await?;
        self.change_rows(connection, rows, next, lock, watch).await
    }

    /// What reads the next disposable rows of a stretch.
    fn next_keys(&self, stretch: &Stretch, size: u64, lock: Option<Lock>) -> Statement {
        let (dialect, work) = (self.dialect, self.work);
        match (self.walk, &stretch.from) {
            (Walk::StartingPoint(column), Position::Point(from)) => {
                statements::select_by_point(dialect, work, column, &self.selection, Some(from), size, lock)
            }
            (Walk::StartingPoint(column), _) => {
                statements::select_by_point(dialect, work, column, &self.selection, None, size, lock)
            }
            (_, from) => {
                let (after, through) = (from.key(), stretch.to.as_ref().and_then(Position::key));
                statements::select_keys(dialect, work, &self.selection, after, through, size, lock)
            }
        }
    }

    /// Where the walk goes on behind these rows, of which so many were asked for.
    fn after(&self, rows: &[Row], size: u64) -> Option<Position> {
        match (self.walk, rows.last()) {
            (_, None) => None,
            _ if (rows.len() as u64) < size => None,
            (Walk::StartingPoint(column), Some(last)) => self
                .selection
                .key_position(&column.name)
                .and_then(|index| last[index].clone())
                .map(Position::Point)
                .or(Some(Position::Start)),
            (_, Some(last)) => Some(Position::After(self.selection.locator(last))),
        }
    }

    /// Changes these rows in the transaction that is open, and before them what references them; how many changed.
    pub async fn change_listed(&self, connection: &mut dyn Connection, rows: Vec<Row>) -> Result<u64, Failure> {
        Ok(self.change_rows(connection, rows, None, Lock::Waiting, Stopwatch::default()).await?.rows)
    }

    /// Changes rows that are locked, and before them what references them.
    async fn change_rows(
        &self,
        connection: &mut dyn Connection,
        rows: Vec<Row>,
        next: Option<Position>,
        lock: Lock,
        mut watch: Stopwatch,
    ) -> Result<Rows, Failure> {
        if rows.is_empty() {
            return Ok(self.no_rows(watch, next));
        }
        let (dialect, work) = (self.dialect, self.work);
        let keys: Vec<_> = rows.iter().map(|row| self.selection.locator(row)).collect();
        let chosen = rows.len() as u64;
        let mut evidence = self.evidence();
        if self.tagging() != Tagging::Without {
            for row in &rows {
                evidence.push(self.tag_key.tag(&self.table, &self.selection.key(row)));
            }
        }
        // all of them are locked: what is added is what goes, or nothing is
        let add = work.aggregate.as_ref().map(|aggregate| aggregate::add_keys(dialect, work, aggregate, &keys));
        self.add_up(connection, add.as_ref(), &mut watch).await?;
        let before = watch.time(self.watched(connection, &keys)).await?;
        let mut dependents = Vec::new();
        for dependent in &work.dependents {
            let along = watch.time(self.change_dependents(connection, dependent, &rows, lock)).await?;
            if along.rows > 0 && !dependent.own {
                dependents.push(along);
            }
        }
        failpoint::reach("dependents_changed");
        let changed = match &work.change {
            Change::Compute { .. } => watch.time(self.change_computed(connection, &rows)).await?,
            _ => watch.time(connection.execute(&statements::change_keys(dialect, work, &keys))).await?,
        };
        if changed != chosen {
            return Err(Failure::Kept { kept: chosen.abs_diff(changed), chosen });
        }
        let after = watch.time(self.watched(connection, &keys)).await?;
        self.compare(&before, &after)?;
        Ok(Rows { rows: changed, tags: finish(evidence).await?, dependents, longest: watch.longest, next })
    }

    /// What rules read of these rows, where triggers fire for them; by locator.
    async fn watched(
        &self,
        connection: &mut dyn Connection,
        keys: &[Vec<String>],
    ) -> Result<BTreeMap<Vec<Option<String>>, Row>, Error> {
        let Some(watched) = &self.work.watched else { return Ok(BTreeMap::new()) };
        let rows = connection.fetch(&statements::watched_columns(self.dialect, self.work, watched, keys)).await?;
        let locator = self.work.locator().len();
        Ok(rows.into_iter().map(|mut row| (row.drain(..locator).collect(), row)).collect())
    }

    /// A trigger has changed what a rule reads: nothing of that may stay.
    fn compare(
        &self,
        before: &BTreeMap<Vec<Option<String>>, Row>,
        after: &BTreeMap<Vec<Option<String>>, Row>,
    ) -> Result<(), Failure> {
        let Some(watched) = &self.work.watched else { return Ok(()) };
        for (key, was) in before {
            let differs =
                |(place, _): &(usize, &KeyColumn)| after.get(key).and_then(|is| is.get(*place)) != was.get(*place);
            if let Some((_, column)) = watched.columns.iter().enumerate().find(differs) {
                let (triggers, column) = (watched.triggers.join(", "), column.name.clone());
                return Err(Failure::Touched { triggers, column });
            }
        }
        Ok(())
    }

    /// Adds rows that are about to go to the totals of their groups.
    async fn add_up(
        &self,
        connection: &mut dyn Connection,
        statement: Option<&Statement>,
        watch: &mut Stopwatch,
    ) -> Result<(), Error> {
        let Some(statement) = statement else { return Ok(()) };
        failpoint::reach("before_totals");
        watch.time(connection.execute(statement)).await?;
        failpoint::reach("after_totals");
        Ok(())
    }

    /// Counts alone are evidence enough where the rule says so; then recovery asks the server about the transaction, or
    /// where that cannot be asked, needs tags until it is settled.
    fn tagging(&self) -> Tagging {
        match (self.work.evidence, self.dialect.transaction_id()) {
            (Evidence::Rows, _) => Tagging::Lasting,
            (Evidence::Counts, Some(_)) => Tagging::Without,
            (Evidence::Counts, None) => Tagging::UntilSettled,
        }
    }

    fn evidence(&self) -> BatchEvidence {
        BatchEvidence::new(&self.table, &self.tag_key).with(self.tagging())
    }

    fn no_rows(&self, watch: Stopwatch, next: Option<Position>) -> Rows {
        let tags = self.evidence().finish();
        Rows { rows: 0, tags, dependents: Vec::new(), longest: watch.longest, next }
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
                        Some(new) => self.dialect.new_value(&column.column.codec, new),
                        None => Sql::new("null"),
                    }
                })
                .collect();
            let key = self.selection.locator(row);
            count += connection.execute(&statements::change_one(self.dialect, self.work, &key, &values)).await?;
        }
        Ok(count)
    }

    /// Where the next batch of a stretch lies, and where the walk goes on behind it.
    async fn next_range(
        &self,
        connection: &mut dyn Connection,
        stretch: &Stretch,
        size: u64,
        watch: &mut Stopwatch,
    ) -> Result<(Range, Option<Position>), Failure> {
        if let Walk::Blocks { strides } = self.walk {
            return self.next_blocks(stretch, size, *strides);
        }
        let next = match size < stretch.size {
            true => watch.time(self.boundary(connection, &stretch.from, stretch.to.as_ref(), size)).await?,
            false => None,
        };
        let through = next.as_ref().or(stretch.to.as_ref()).and_then(Position::key);
        let range = Range::Keys { after: stretch.from.key().map(<[_]>::to_vec), through: through.map(<[_]>::to_vec) };
        Ok((range, next))
    }

    /// The position so many rows on; `None` where fewer are left.
    async fn boundary(
        &self,
        connection: &mut dyn Connection,
        from: &Position,
        to: Option<&Position>,
        size: u64,
    ) -> Result<Option<Position>, Error> {
        let (after, through) = (from.key(), to.and_then(Position::key));
        let boundary = statements::boundary(self.dialect, self.work, after, through, size);
        let rows = connection.fetch(&boundary).await?;
        let key = |row: Row| row.into_iter().map(Option::unwrap_or_default).collect();
        Ok(rows.into_iter().next().map(key).map(Position::After))
    }

    /// A range of heap blocks of one leaf table, or a stride of it.
    fn next_blocks(&self, stretch: &Stretch, size: u64, strides: u32) -> Result<(Range, Option<Position>), Failure> {
        let Some(Position::Block { block: end, .. }) = stretch.to else { return Err(Failure::Stuck) };
        let (leaf, from, to, nth) = match stretch.from {
            Position::Block { leaf, block } => (leaf, block, block.saturating_add(size).min(end), 0),
            Position::Stride { leaf, from, to, nth } => (leaf, from, to, nth),
            _ => return Err(Failure::Stuck),
        };
        let next = match nth + 1 < strides {
            true => Some(Position::Stride { leaf, from, to, nth: nth + 1 }),
            false => (to < end).then_some(Position::Block { leaf, block: to }),
        };
        let stride = Stride { of: strides, nth };
        Ok((Range::Blocks { leaf: self.work.leaves[leaf].clone(), from, to, stride }, next))
    }

    async fn change_range(
        &self,
        connection: &mut dyn Connection,
        range: &Range,
        next: Option<Position>,
        mut watch: Stopwatch,
    ) -> Result<Rows, Failure> {
        let mut evidence = self.evidence();
        let mut rows = 0;
        let names = KeySelection::names(&self.work.key);
        let mut take = |row: Row| {
            rows += 1;
            evidence.push(self.tag_key.tag(&self.table, &names.key(&row)));
        };
        let add = self.work.aggregate.as_ref();
        let add = add.map(|aggregate| aggregate::add_range(self.dialect, self.work, aggregate, range));
        match statements::range(self.dialect, self.work, range, self.work.lock()) {
            RangeStatements::Counted(change) => {
                self.add_up(connection, add.as_ref(), &mut watch).await?;
                rows = watch.time(connection.execute(&change)).await?;
            }
            RangeStatements::Returning(change) => {
                self.add_up(connection, add.as_ref(), &mut watch).await?;
                watch.time(connection.stream(&change, &mut take)).await?;
            }
            RangeStatements::Packed { select, change, plain } => {
                let statements = Packed { select, add, change, plain };
                return self.change_packed(connection, &statements, next, watch).await;
            }
            RangeStatements::Locked { select, change } => {
                watch.time(connection.stream(&select, &mut take)).await?;
                if rows > 0 {
                    self.add_up(connection, add.as_ref(), &mut watch).await?;
                    let changed = watch.time(connection.execute(&change)).await?;
                    if changed != rows {
                        return Err(Failure::Kept { kept: rows.abs_diff(changed), chosen: rows });
                    }
                }
            }
        }
        Ok(Rows { rows, tags: finish(evidence).await?, dependents: Vec::new(), longest: watch.longest, next })
    }

    /// Tags the rows of a packed list while the server changes them.
    async fn change_packed(
        &self,
        connection: &mut dyn Connection,
        statements: &Packed,
        next: Option<Position>,
        mut watch: Stopwatch,
    ) -> Result<Rows, Failure> {
        let Packed { select, add, change, plain } = statements;
        let mut columns = watch.time(connection.fetch(select)).await?.into_iter().flatten();
        let packed = columns.next().flatten();
        let plainly: Option<u64> = columns.next().flatten().and_then(|count| count.parse().ok());
        let Some(packed) = packed.filter(|packed| packed != "[]") else {
            return Ok(self.no_rows(watch, next));
        };
        let change = match plain {
            Some(plain) if Some(length(&packed)?) == plainly => plain,
            _ => change,
        };
        self.add_up(connection, add.as_ref(), &mut watch).await?;
        let (table, key, mut evidence) = (self.table.clone(), self.tag_key.clone(), self.evidence());
        let tagging = tokio::task::spawn_blocking(move || {
            let keys: Vec<Vec<Text>> = serde_json::from_str(&packed)?;
            keys.iter().for_each(|row| evidence.push(key.tag(&table, row)));
            Ok::<_, serde_json::Error>(evidence.finish())
        });
        let changed = watch.time(connection.execute(change)).await?;
        let tags = tagging.await.ok().and_then(Result::ok).ok_or_else(unreadable)?;
        if changed != tags.count {
            return Err(Failure::Kept { kept: tags.count.abs_diff(changed), chosen: tags.count });
        }
        Ok(Rows { rows: changed, tags, dependents: Vec::new(), longest: watch.longest, next })
    }
}

/// As the pace of the step's database says.
fn most_rows(around: &Surroundings<'_>, step: &Step) -> u64 {
    u64::from(around.job.settings.pace_of(&step.database).batch_rows)
}

/// The statements of a range whose keys are read in one text.
struct Packed {
    select: Statement,
    add: Option<Statement>,
    change: Statement,
    plain: Option<Statement>,
}

/// A text that borrows from a packed list where nothing in it is escaped.
#[derive(serde::Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl AsRef<str> for Text<'_> {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// How many keys a packed list holds.
fn length(packed: &str) -> Result<u64, Error> {
    let keys: Vec<serde::de::IgnoredAny> = serde_json::from_str(packed).map_err(|_| unreadable())?;
    Ok(keys.len() as u64)
}

/// Sorts and hashes on a thread of its own.
async fn finish(evidence: BatchEvidence) -> Result<BatchTags, Failure> {
    let finished = tokio::task::spawn_blocking(move || evidence.finish()).await;
    finished.map_err(|_| ledger::Error::Refused("the row tags could not be computed".to_owned()).into())
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
