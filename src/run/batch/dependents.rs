//! What goes along with a batch's rows: locked level by level, looked at again behind the locks, and changed deepest first.

use super::{Along, Batches, ChangedDependents, Stopwatch, finish, unreadable};
use crate::{
    database::{
        Change, Connection, DependentWork, Error, Guard, KeyColumn, Lock, Row,
        statements::{self, KeySelection},
    },
    evidence::tag::BatchEvidence,
    failpoint,
    run::{Failure, trial::written},
    sql::Statement,
};

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
        lock: Lock,
        watch: &mut Stopwatch,
    ) -> Result<Vec<Row>, Failure> {
        failpoint::reach("after_keys");
        let (dialect, work) = (self.dialect, self.work);
        // where one writer keeps out all others (SQLite), nothing changes between two statements
        if rows.is_empty() || dialect.lock_rows(lock).is_empty() {
            return Ok(rows);
        }
        let again = work.asks_others();
        let locators: Vec<_> = rows.iter().map(|row| self.selection.locator(row)).collect();
        for guard in work.guards.iter().filter(|guard| guard.links.is_empty()) {
            self.guard(connection, guard, &work.locator(), &locators, lock, watch).await?;
        }
        for dependent in work.dependents.iter().rev() {
            let referenced = dependent.referenced();
            let keys = self.referenced_keys(&rows, referenced);
            if again || work.leads_on(dependent) {
                for keys in self.portions(referenced, &keys) {
                    if dependent.goes_by_name(dialect, lock) {
                        watch.time(self.named(connection, dependent, keys, false, lock)).await?;
                        continue;
                    }
                    let statement = statements::lock_dependents(dialect, dependent, keys, lock.along());
                    watch.time(connection.stream(&statement, &mut |_| ())).await?;
                }
            }
            for guard in work.guards.iter().filter(|guard| guard.links == dependent.links) {
                self.guard(connection, guard, referenced, &keys, lock, watch).await?;
            }
        }
        failpoint::reach("dependents_locked");
        if !again {
            return Ok(rows);
        }
        let rows = watch.time(self.still_disposable(connection, rows)).await?;
        failpoint::reach("asked_again");
        Ok(rows)
    }

    /// Locks rows by another key of theirs too, since whoever comes to reference them locks only that.
    async fn guard(
        &self,
        connection: &mut dyn Connection,
        guard: &Guard,
        columns: &[KeyColumn],
        keys: &[Vec<String>],
        lock: Lock,
        watch: &mut Stopwatch,
    ) -> Result<(), Failure> {
        for keys in self.portions(columns, keys) {
            let read = statements::guarded_keys(self.dialect, guard, columns, keys);
            let found = watch.time(connection.fetch(&read)).await?;
            let values: Vec<Vec<String>> =
                found.into_iter().filter_map(|row| row.into_iter().collect::<Option<Vec<_>>>()).collect();
            for values in self.portions(&guard.columns, &values) {
                let statement = statements::lock_guarded(self.dialect, guard, values, lock.along());
                watch.time(connection.stream(&statement, &mut |_| ())).await?;
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
    pub(super) fn portions<'k>(
        &self,
        columns: &[KeyColumn],
        keys: &'k [Vec<String>],
    ) -> std::slice::Chunks<'k, Vec<String>> {
        let most = self.dialect.most_keys(columns).and_then(|most| usize::try_from(most).ok());
        keys.chunks(most.unwrap_or(keys.len()).max(1))
    }

    /// Changes the rows of a dependent that lead to `rows`.
    pub(super) async fn change_dependents(
        &self,
        connection: &mut dyn Connection,
        dependent: &DependentWork,
        rows: &[Row],
        lock: Lock,
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
            let mut changed = 0;
            if dependent.goes_by_name(self.dialect, lock) {
                let rows = self.named(connection, dependent, keys, true, lock).await?;
                let names: Vec<_> = rows.iter().map(|row| selection.key(row)).collect();
                rows.into_iter().for_each(&mut take);
                for names in self.portions(&dependent.key, &names) {
                    changed += connection.execute(&statements::change_named(self.dialect, dependent, names)).await?;
                }
            } else if self.dialect.returns(erase) {
                connection.stream(&change, &mut take).await?;
                changed = taken;
            } else {
                let select = statements::select_dependents(self.dialect, dependent, keys, lock.along());
                self.take(connection, &select, &mut take).await?;
                changed = if taken > 0 { connection.execute(&change).await? } else { 0 };
            }
            if changed != taken {
                return Err(Failure::Kept { kept: taken.abs_diff(changed), chosen: taken });
            }
            count += taken;
        }
        Ok(ChangedDependents { rows: count, disposition: dependent.disposition, tags: finish(evidence).await? })
    }

    /// Looks up the rows of a dependent that lead to these keys, and locks them by their own keys; `undone`: only what is
    /// still to be changed. What has come to lead elsewhere in between is left out; nothing can have come, since what it
    /// would lead to is locked.
    async fn named(
        &self,
        connection: &mut dyn Connection,
        dependent: &DependentWork,
        keys: &[Vec<String>],
        undone: bool,
        lock: Lock,
    ) -> Result<Vec<Row>, Error> {
        let selection = KeySelection::names(&dependent.key);
        let look_up = statements::dependent_keys(self.dialect, dependent, keys, undone);
        let names: Vec<_> = connection.fetch(&look_up).await?.iter().map(|row| selection.key(row)).collect();
        let mut rows = Vec::new();
        for names in self.portions(&dependent.key, &names) {
            let take = statements::lock_named(self.dialect, dependent, (names, keys), undone, lock.along());
            rows.extend(connection.fetch(&take).await?);
        }
        Ok(rows)
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
                    let select = statements::dependent_keys(self.dialect, dependent, parents, true);
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
