//! The first batch of a rule whose rows have triggers is executed once without being committed: what rules read must be the
//! same afterwards in every row that the batch does not itself change.
//!
//! Called by [`super::step`] before a rule's first pass. Which tables are compared depends on what the engine tells:
//! PostgreSQL counts the rows that a transaction has changed in each table; elsewhere the triggers' texts name them.

mod bystanders;

use super::{
    Failure, Surroundings,
    batch::{Along, Batches},
    pace,
    schema::SchemaWatch,
    undone,
};
use crate::{
    catalog::{Engine, TableName, reached},
    database::{Change, Connection, ErrorKind, Row},
    plan::{PreparedStep, ReadTable, Step},
    sql::Statement,
};
use bystanders::Bystanders;
use std::collections::{BTreeMap, BTreeSet};

/// So many rows are tried.
const ROWS: u64 = 100;

/// A table with more rows is not read as a whole.
const MOST: u64 = 1_000_000;

/// The first batch of a step whose rows have triggers.
pub(super) struct Trial<'a> {
    step: &'a Step,
    ready: &'a PreparedStep,
    batches: &'a Batches<'a>,
    schema: &'a SchemaWatch<'a>,
    /// Tables whose triggers fire.
    fired: BTreeSet<TableName>,
}

impl<'a> Trial<'a> {
    /// `None` where no trigger fires, or nothing is read that one could change.
    pub fn of(
        step: &'a Step,
        ready: &'a PreparedStep,
        batches: &'a Batches<'a>,
        schema: &'a SchemaWatch<'a>,
    ) -> Option<Self> {
        let fired = fired(ready, schema);
        let is_needed = !fired.is_empty() && !ready.read.is_empty() && step.counts.disposable() > 0;
        is_needed.then_some(Self { step, ready, batches, schema, fired })
    }

    /// Fails when triggers change what rules read, beside the batch's own rows. Nothing is left of it.
    ///
    /// # Errors
    /// [`Failure::Reached`], or the database cannot be asked now.
    pub async fn run(&self, around: &Surroundings<'_>) -> Result<(), Failure> {
        let rule = &self.step.rule;
        let mut attempt = 0;
        loop {
            let mut connection = self.schema.database.database.connect_to_survey().await?;
            let tried = self.attempt(connection.as_mut()).await;
            let _ = connection.rollback().await;
            connection.close().await;
            match tried {
                // what stands against the rows will stand against the batch, which tells of it
                Err(Failure::Kept { .. }) => return Ok(()),
                Err(Failure::Database(error)) if error.kind == ErrorKind::Constraint => return Ok(()),
                Err(Failure::Database(error)) if error.kind == ErrorKind::StatementTimeout => {
                    tracing::warn!(rule, reason = %error, "what triggers change cannot be seen in time");
                    return Ok(());
                }
                Err(failure) if failure.is_worth_another_try() && attempt < around.job.settings.pace.retries => {
                    attempt += 1;
                    tracing::debug!(rule, attempt, reason = %failure, "the first batch is tried once more");
                    tokio::time::sleep(pace::pause(attempt)).await;
                }
                ended => return ended,
            }
        }
    }

    /// In a transaction that is open afterwards.
    async fn attempt(&self, connection: &mut dyn Connection) -> Result<(), Failure> {
        let dialect = self.batches.dialect;
        if let Some(statement) = dialect.one_moment() {
            connection.execute(&statement).await?;
        }
        connection.begin_still().await?;
        let rows = self.batches.page(connection, None, ROWS).await?;
        if rows.is_empty() {
            return Ok(());
        }
        let along = self.batches.along(connection, &rows).await?;
        let suspects = match dialect.rows_changed() {
            Some(statement) => self.counted(connection, &rows, &along, &statement).await?,
            None => self.named(connection).await?,
        };
        let tables: Vec<_> = self.ready.read.iter().filter(|read| suspects.contains(&read.table)).collect();
        let (tables, large): (Vec<_>, Vec<_>) = tables.into_iter().partition(|read| read.rows <= MOST);
        for read in large {
            let table = read.table.to_string();
            tracing::warn!(
                rule = self.step.rule,
                table,
                "too large to see whether triggers change what rules read of it"
            );
        }
        let mut compared = Vec::new();
        for read in tables {
            let own = self.own_changes(read, &rows, &along);
            let Some(own) = own else {
                let table = read.table.to_string();
                tracing::warn!(
                    rule = self.step.rule,
                    table,
                    "what triggers change cannot be told from what the rule does"
                );
                continue;
            };
            let mut bystanders = Bystanders::new(read, own);
            bystanders.read_before(connection, dialect).await?;
            compared.push(bystanders);
        }
        if compared.is_empty() {
            return Ok(());
        }
        self.change(connection, rows).await?;
        for mut bystanders in compared {
            bystanders.read_after(connection, dialect).await?;
            if let Some(what) = bystanders.difference() {
                let triggers = undone::triggers(self.step, self.ready, self.schema.database);
                return Err(Failure::Reached { triggers, what });
            }
        }
        Ok(())
    }

    /// Executes the batch, with all that would happen at its commit.
    async fn change(&self, connection: &mut dyn Connection, rows: Vec<Row>) -> Result<(), Failure> {
        self.batches.change_listed(connection, rows).await?;
        if let Some(statement) = self.batches.dialect.deferred() {
            connection.execute(&statement).await?;
        }
        Ok(())
    }

    /// The tables in which more rows were changed or erased than the batch itself does: it is executed to see that, and
    /// taken back.
    async fn counted(
        &self,
        connection: &mut dyn Connection,
        rows: &[Row],
        along: &[Along],
        statement: &Statement,
    ) -> Result<BTreeSet<TableName>, Failure> {
        let mut changed: BTreeMap<TableName, i64> = BTreeMap::new();
        self.count(connection, statement, -1, &mut changed).await?;
        connection.execute(&Statement::new("savepoint before_trial")).await?;
        self.change(connection, rows.to_vec()).await?;
        self.count(connection, statement, 1, &mut changed).await?;
        connection.execute(&Statement::new("rollback to savepoint before_trial")).await?;
        let own = [(self.root(&self.ready.work.table), rows.len())];
        let along = along.iter().map(|along| (self.root(&along.table), along.keys.len()));
        for (table, rows) in along.chain(own) {
            *changed.entry(table).or_default() -= i64::try_from(rows).unwrap_or(i64::MAX);
        }
        let mut suspects: BTreeSet<_> =
            changed.into_iter().filter(|(_, rows)| *rows != 0).map(|(table, _)| table).collect();
        suspects.extend(self.updated_along());
        Ok(suspects)
    }

    /// Adds up the rows that were changed or erased in each table, or takes them off.
    async fn count(
        &self,
        connection: &mut dyn Connection,
        statement: &Statement,
        sign: i64,
        changed: &mut BTreeMap<TableName, i64>,
    ) -> Result<(), Failure> {
        for row in connection.fetch(statement).await? {
            if let [Some(schema), Some(name), Some(rows)] = row.as_slice() {
                let table = TableName { schema: schema.clone(), name: name.clone() };
                *changed.entry(self.root(&table)).or_default() += sign * rows.parse::<i64>().unwrap_or(0);
            }
        }
        Ok(())
    }

    /// The tables that triggers name.
    async fn named(&self, connection: &mut dyn Connection) -> Result<BTreeSet<TableName>, Failure> {
        let routines: Vec<_> = match self.batches.dialect.routines() {
            Some(statement) => connection.fetch(&statement).await?.into_iter().flatten().flatten().collect(),
            None => Vec::new(),
        };
        let mut suspects = match reached(&self.schema.database.facts, &self.fired, &routines) {
            Some(reached) => reached,
            None => self.ready.read.iter().map(|read| read.table.clone()).collect(),
        };
        suspects.extend(self.updated_along());
        Ok(suspects)
    }

    /// Triggers may change other columns of rows that are changed along: no name or count shows that.
    fn updated_along(&self) -> impl Iterator<Item = TableName> {
        let changed = self.ready.work.dependents.iter();
        let changed = changed.filter(|dependent| !matches!(dependent.change, Change::Erase));
        changed
            .map(|dependent| &dependent.table)
            .filter(|table| self.fired.contains(*table))
            .map(|table| self.root(table))
    }

    /// Tables of PostgreSQL are counted, and read, with all their partitions.
    fn root(&self, table: &TableName) -> TableName {
        let catalog = &self.schema.database.catalog;
        let root = match catalog.engine {
            Engine::Postgres => catalog.get(table).and_then(|table| table.partition_of.clone()),
            Engine::Mysql | Engine::Sqlite => None,
        };
        root.unwrap_or_else(|| table.clone())
    }

    /// What the batch itself does in a table; `None` where its rows there have no names.
    fn own_changes(&self, read: &ReadTable, rows: &[Row], along: &[Along]) -> Option<Vec<Along>> {
        let mut own = Vec::new();
        if self.root(&self.ready.work.table) == read.table {
            let keys = rows.iter().map(|row| self.batches.selection().key(row)).collect();
            let (table, written) = (read.table.clone(), written(&self.ready.work.change));
            own.push(Along { table, keys, written, has_names: !self.ready.work.key.is_empty() });
        }
        own.extend(along.iter().filter(|along| self.root(&along.table) == read.table).cloned());
        own.iter().all(|own| own.has_names).then_some(own)
    }
}

/// The tables that a batch changes and whose triggers fire for that.
fn fired(ready: &PreparedStep, schema: &SchemaWatch<'_>) -> BTreeSet<TableName> {
    let work = &ready.work;
    let along = work.dependents.iter().map(|dependent| (&dependent.table, &dependent.change));
    let changed = along.chain([(&work.table, &work.change)]);
    let fires = |(name, change): &(&TableName, &Change)| {
        let erases = matches!(change, Change::Erase);
        let table = schema.database.catalog.get(name);
        table.is_some_and(|table| table.triggers.iter().any(|t| if erases { t.on_delete } else { t.on_update }))
    };
    changed.filter(fires).map(|(name, _)| name.clone()).collect()
}

/// The columns that a change assigns; `None` where it erases the rows.
pub(super) fn written(change: &Change) -> Option<Vec<String>> {
    match change {
        Change::Erase => None,
        Change::Update(columns) => Some(columns.iter().map(|(name, _)| name.clone()).collect()),
        Change::Compute { computed, sql } => {
            let computed = computed.iter().map(|column| column.column.name.clone());
            Some(computed.chain(sql.iter().map(|(name, _)| name.clone())).collect())
        }
    }
}
