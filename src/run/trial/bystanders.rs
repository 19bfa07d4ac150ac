//! The rows of one table that a batch does not itself change, before and after it: a hash for each row's key, and one sum of
//! hashes for each column, so that memory does not grow with what stands in them.

use crate::{
    database::{Connection, Dialect, Error, Row, statements},
    plan::ReadTable,
    run::batch::Along,
    sql::Statement,
};
use std::{
    collections::{BTreeMap, HashSet},
    hash::{DefaultHasher, Hash, Hasher},
};

pub(super) struct Bystanders<'a> {
    read: &'a ReadTable,
    /// By the hash of a key that the batch changes itself: the columns that it may write; `None` where the row goes.
    own: BTreeMap<u64, Option<Vec<usize>>>,
    /// Rows that were there before.
    keys: HashSet<u64>,
    before: Sums,
    after: Sums,
}

/// What was read in one go.
#[derive(Default)]
struct Sums {
    rows: u64,
    columns: Vec<u64>,
}

impl<'a> Bystanders<'a> {
    pub fn new(read: &'a ReadTable, changes: Vec<Along>) -> Self {
        let mut own: BTreeMap<u64, Option<Vec<usize>>> = BTreeMap::new();
        for change in changes {
            let columns = change.written.map(|written| {
                let is_written = |(_, column): &(usize, &crate::database::KeyColumn)| written.contains(&column.name);
                let written = read.columns.iter().enumerate().filter(is_written);
                written.map(|(place, _)| place).collect::<Vec<_>>()
            });
            for key in change.keys {
                let key = hash(&key.into_iter().map(Some).collect::<Row>());
                let entry = own.entry(key).or_insert_with(|| Some(Vec::new()));
                match (entry.as_mut(), &columns) {
                    (Some(known), Some(columns)) => known.extend(columns),
                    // whatever else is done to it, it goes
                    _ => *entry = None,
                }
            }
        }
        Self { read, own, keys: HashSet::new(), before: Sums::default(), after: Sums::default() }
    }

    pub async fn read_before(&mut self, connection: &mut dyn Connection, dialect: &dyn Dialect) -> Result<(), Error> {
        let statement = self.statement(dialect);
        let (own, keys, width) = (&self.own, &mut self.keys, self.read.key.len());
        let mut sums = Sums::of(self.read);
        let mut each = |row: Row| {
            let key = hash(&row[..width]);
            keys.insert(key);
            sums.add(key, &row[width..], own.get(&key));
        };
        connection.stream(&statement, &mut each).await?;
        self.before = sums;
        Ok(())
    }

    pub async fn read_after(&mut self, connection: &mut dyn Connection, dialect: &dyn Dialect) -> Result<(), Error> {
        let statement = self.statement(dialect);
        let (own, keys, width) = (&self.own, &self.keys, self.read.key.len());
        let mut sums = Sums::of(self.read);
        let mut each = |row: Row| {
            let key = hash(&row[..width]);
            // a new row takes nothing away from those that were there
            if width == 0 || keys.contains(&key) {
                sums.add(key, &row[width..], own.get(&key));
            }
        };
        connection.stream(&statement, &mut each).await?;
        self.after = sums;
        Ok(())
    }

    fn statement(&self, dialect: &dyn Dialect) -> Statement {
        let ReadTable { table, key, columns, only, .. } = self.read;
        statements::whole_table(dialect, table, key, columns, only.as_ref())
    }

    /// What has changed in rows that the batch leaves alone, in words.
    pub fn difference(&self) -> Option<String> {
        let table = &self.read.table;
        if self.after.rows < self.before.rows {
            let rows = self.before.rows - self.after.rows;
            let what = if self.read.only.is_some() { "are under a hold" } else { "the rule leaves" };
            return Some(format!("removes rows of `{table}` that {what} ({rows} in the first batch)"));
        }
        let columns = self.before.columns.iter().zip(&self.after.columns).zip(&self.read.columns);
        let changed: Vec<_> = columns
            .filter(|((before, after), _)| before != after)
            .map(|(_, column)| format!("`{}`", column.name))
            .collect();
        let why = if self.read.only.is_some() { "in rows under a hold" } else { "which rules read" };
        (!changed.is_empty()).then(|| format!("changes {} of `{table}`, {why}", changed.join(", ")))
    }
}

impl Sums {
    fn of(read: &ReadTable) -> Self {
        Self { rows: 0, columns: vec![0; read.columns.len()] }
    }

    /// Adds a row; of one that the batch changes itself, only what it does not write.
    fn add(&mut self, key: u64, values: &[Option<String>], own: Option<&Option<Vec<usize>>>) {
        let written: &[usize] = match own {
            Some(None) => return,
            Some(Some(written)) => written,
            None => &[],
        };
        self.rows += 1;
        for (place, (sum, value)) in self.columns.iter_mut().zip(values).enumerate() {
            if !written.contains(&place) {
                *sum = sum.wrapping_add(hash(&(key, value)));
            }
        }
    }
}

fn hash(value: &(impl Hash + ?Sized)) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(key: &str, value: &str) -> (u64, Row) {
        (hash(&[Some(key.to_owned())][..]), vec![Some(value.to_owned())])
    }

    #[test]
    fn sums_tell_values_that_change_places() {
        let sum = |rows: &[(u64, Row)]| {
            let mut sums = Sums { rows: 0, columns: vec![0] };
            rows.iter().for_each(|(key, values)| sums.add(*key, values, None));
            sums.columns[0]
        };
        let straight = sum(&[row("1", "a"), row("2", "b")]);
        assert_eq!(straight, sum(&[row("2", "b"), row("1", "a")]), "in whatever order");
        assert_ne!(straight, sum(&[row("1", "b"), row("2", "a")]));
    }

    #[test]
    fn what_the_batch_does_itself_is_left_out() {
        let mut sums = Sums { rows: 0, columns: vec![0, 0] };
        let values = [Some("a".to_owned()), Some("b".to_owned())];
        sums.add(1, &values, Some(&None));
        assert_eq!((sums.rows, sums.columns.clone()), (0, vec![0, 0]));
        sums.add(1, &values, Some(&Some(vec![0])));
        assert_eq!((sums.rows, sums.columns[0]), (1, 0));
        assert_ne!(sums.columns[1], 0);
    }
}
