//! What goes along with a batch's rows: locked level by level, looked at again behind the locks, and changed deepest first.

use super::{Along, Batches, ChangedDependents, Stopwatch, finish, unreadable};
use crate::{
    database::{
        Change, Connection, DependentWork, Error, Guard, KeyColumn, Row, Statement,
        statements::{self, KeySelection},
    },
    failpoint,
    ledger::BatchEvidence,
    run::{Failure, trial::written},
};
use std::collections::BTreeSet;

impl Batches<'_> {
    /// Locks what goes along with these rows, which are locked already, and delivers those of them that may still go.
    ///
    /// The statement that locked the rows saw the others (dependents, those that are kept, those that tell a starting
    /// point) as they stood before it waited. Behind all locks nobody can give a row a kept dependent any more, nor put
    /// a dependent under a hold or take it away: what a new statement sees then is how it stays.
    pub(super) async fn secure(
        &self,
        connection: &mut dyn Connection,
        rows: Vec<Row>,
        watch: &mut Stopwatch,
    ) -> Result<Vec<Row>, Failure> {
        failpoint::reach("after_keys");
        let (dialect, work) = (self.dialect, self.work);
        // where one writer keeps out all others (SQLite), nothing changes between two statements
        if rows.is_empty() || dialect.lock_rows().is_empty() {
            return Ok(rows);
        }
        let again = work.asks_others();
        let locators: Vec<_> = rows.iter().map(|row| self.selection.locator(row)).collect();
        for guard in work.guards.iter().filter(|guard| guard.links.is_empty()) {
            self.guard(connection, guard, &work.locator(), &locators, watch).await?;
        }
        for dependent in work.dependents.iter().rev() {
            let referenced = dependent.referenced();
            let keys = self.referenced_keys(&rows, referenced);
            if again || work.leads_on(dependent) {
                for keys in self.portions(referenced, &keys) {
                    let lock = statements::lock_dependents(dialect, dependent, keys);
                    watch.time(connection.stream(&lock, &mut |_| ())).await?;
                }
            }
            for guard in work.guards.iter().filter(|guard| guard.links == dependent.links) {
                self.guard(connection, guard, referenced, &keys, watch).await?;
            }
        }
        failpoint::reach("dependents_locked");
        if !again {
            return Ok(rows);
        }
        let mut still = BTreeSet::new();
        for locators in self.portions(&work.locator(), &locators) {
            let select = statements::select_disposable(dialect, work, locators);
            let found = watch.time(connection.fetch(&select)).await?;
            still.extend(
                found.into_iter().map(|row| row.into_iter().map(Option::unwrap_or_default).collect::<Vec<_>>()),
            );
        }
        failpoint::reach("asked_again");
        let mut locators = locators.iter();
        Ok(rows.into_iter().filter(|_| locators.next().is_some_and(|locator| still.contains(locator))).collect())
    }

    /// Locks rows by another key of theirs too, since whoever comes to reference them locks only that.
    async fn guard(
        &self,
        connection: &mut dyn Connection,
        guard: &Guard,
        columns: &[KeyColumn],
        keys: &[Vec<String>],
        watch: &mut Stopwatch,
    ) -> Result<(), Failure> {
        for keys in self.portions(columns, keys) {
            let read = statements::guarded_keys(self.dialect, guard, columns, keys);
            let found = watch.time(connection.fetch(&read)).await?;
            let values: Vec<Vec<String>> =
                found.into_iter().filter_map(|row| row.into_iter().collect::<Option<Vec<_>>>()).collect();
            for values in self.portions(&guard.columns, &values) {
                let lock = statements::lock_guarded(self.dialect, guard, values);
                watch.time(connection.stream(&lock, &mut |_| ())).await?;
            }
        }
        Ok(())
    }

    /// The values of these columns of the rows; rows without a value in one of them are referenced by nothing.
    fn referenced_keys(&self, rows: &[Row], columns: &[KeyColumn]) -> Vec<Vec<String>> {
        let key =
            |row: &Row| columns.iter().map(|column| row[self.selection.key_position(&column.name)?].clone()).collect();
        rows.iter().filter_map(key).collect()
    }

    /// As many keys as a statement may list at a time.
    fn portions<'k>(&self, columns: &[KeyColumn], keys: &'k [Vec<String>]) -> std::slice::Chunks<'k, Vec<String>> {
        let most = self.dialect.most_keys(columns).and_then(|most| usize::try_from(most).ok());
        keys.chunks(most.unwrap_or(keys.len()).max(1))
    }

    /// Changes the rows of a dependent that lead to `rows`.
    pub(super) async fn change_dependents(
        &self,
        connection: &mut dyn Connection,
        dependent: &DependentWork,
        rows: &[Row],
    ) -> Result<ChangedDependents, Failure> {
        let referenced = dependent.referenced();
        let keys = self.referenced_keys(rows, referenced);
        let table = format!("{}.{}", self.step.database, dependent.table);
        let selection = KeySelection::names(&dependent.key);
        let tag_key = &self.tag_key;
        let mut evidence = BatchEvidence::new(&table, tag_key);
        let mut count = 0;
        let erase = matches!(dependent.change, Change::Erase);
        for keys in self.portions(referenced, &keys) {
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
        Ok(ChangedDependents { rows: count, disposition: dependent.disposition, tags: finish(evidence).await? })
    }

    /// The rows of dependents that a batch of these rows would change along, as they stand now.
    pub async fn along(&self, connection: &mut dyn Connection, rows: &[Row]) -> Result<Vec<Along>, Failure> {
        let mut all = Vec::new();
        for dependent in &self.work.dependents {
            let selection = KeySelection::names(&dependent.key);
            let referenced = dependent.referenced();
            let mut keys = Vec::new();
            if !dependent.key.is_empty() {
                let parents = self.referenced_keys(rows, referenced);
                for parents in self.portions(referenced, &parents) {
                    let select = statements::dependent_keys(self.dialect, dependent, parents);
                    connection.stream(&select, &mut |row| keys.push(selection.key(&row))).await?;
                }
            }
            let (table, written) = (dependent.table.clone(), written(&dependent.change));
            all.push(Along { table, keys, written, has_names: !dependent.key.is_empty() });
        }
        Ok(all)
    }

    /// Hands over the rows of a select that may be packed.
    async fn take(
        &self,
        connection: &mut dyn Connection,
        select: &Statement,
        each: &mut (dyn FnMut(Row) + Send),
    ) -> Result<(), Error> {
        if self.dialect.packed(&[], &[]).is_none() {
            return connection.stream(select, each).await;
        }
        let packed = connection.fetch(select).await?.into_iter().flatten().next().flatten().unwrap_or_default();
        let rows: Vec<Row> = serde_json::from_str(&packed).map_err(|_| unreadable())?;
        rows.into_iter().for_each(each);
        Ok(())
    }
}
