//! Rows about persons who have asked for something, as conditions on rows.
//!
//! A hold may keep a row too many; a request may not take one too many. So only what the schema and the settings say for
//! certain counts: the home row, rows that links find by values that nobody else has, and what belongs to these over
//! declared foreign keys. A row that belongs to somebody else as well is nobody's to have erased.

use super::{Bound, BoundHold, Group, ties};
use crate::{
    catalog::{Catalog, Table, TableName},
    database::{Belonging, Dialect, HeldRows, KeyColumn, Rows, statements},
    job::Job,
    plan::{
        places::Places,
        subject::{self, Known},
    },
    sql::Sql,
};
use std::collections::BTreeSet;

impl Bound {
    /// No request yet: how rows of a database belong to others, by declared foreign keys.
    pub(in crate::plan) fn of_requests(job: &Job, database: &str, catalog: &Catalog) -> Self {
        let mut links = ties(job, &BTreeSet::from([database]), &Places::default(), catalog);
        links.retain(|tie| tie.is_declared);
        Self { links, ..Self::default() }
    }

    /// Adds a request. `shared` are positions of the subject's links whose values somebody else has too.
    ///
    /// # Errors
    /// Nobody can tell for certain which rows are theirs, in words.
    pub(in crate::plan) fn add_request(
        &mut self,
        (id, reference): (u64, &str),
        (known, key): (&Known, &[String]),
        shared: &BTreeSet<usize>,
        (database, catalog): (&str, &Catalog),
    ) -> Result<(), String> {
        let subject = &known.subject;
        let mut held = Vec::new();
        let mut ends = BTreeSet::new();
        for path in subject.ends_in(database) {
            let table = subject::table_of(catalog, path).map_err(|why| format!("`not_theirs`: {why}"))?;
            ends.insert(table.name.clone());
        }
        if subject.home.database == database {
            let home = subject::home_of(subject, catalog)?;
            let columns: Vec<_> = home.key_columns().map(KeyColumn::from).collect();
            let rows = Rows::Keys(columns, vec![key.to_vec()]);
            held.push((home.name.clone(), HeldRows { rows, alone: false }));
            // whoever is referred to by somebody is not a part of them
            ends.insert(home.name.clone());
        }
        let links = subject.links.iter().enumerate().filter(|(_, link)| link.table.database == database);
        for (_, link) in links.filter(|(position, _)| !shared.contains(position)) {
            let theirs = subject::table_of(catalog, &link.table)?;
            let rows = subject::linked(known, link, theirs, catalog.engine)?;
            held.extend(rows.map(|rows| (theirs.name.clone(), rows)));
        }
        if let Some((table, _)) = held.first() {
            let table = table.clone();
            self.holds.push(BoundHold { id, matter: reference.to_owned(), table, held, ends });
        }
        Ok(())
    }

    /// Only these requests.
    pub(in crate::plan) fn only(&self, ids: &BTreeSet<u64>) -> Self {
        let holds = self.holds.iter().filter(|hold| ids.contains(&hold.id)).cloned().collect();
        Self { holds, ..self.clone() }
    }

    /// Rows of a table called `row` that are about persons who have asked, and about nobody else. `None`: no row can be.
    pub(in crate::plan) fn theirs(
        &self,
        dialect: &dyn Dialect,
        catalog: &Catalog,
        table: &Table,
        row: &str,
        only: Option<u64>,
    ) -> Option<Sql> {
        let table = &super::root(catalog, table).name;
        let groups = self.groups(only);
        let pieces = groups.iter().filter_map(|group| {
            let belonging = self.belonging(dialect, catalog, group);
            let rows = Theirs { belonging: &belonging, group, dialect, levels: 0 };
            rows.of(table, row).map(|theirs| theirs.sql)
        });
        super::any(pieces)
    }
}

/// No row's way to a person is longer than this.
const MOST_LEVELS: usize = 8;

/// The rows of persons of one group of requests.
#[derive(Clone, Copy)]
struct Theirs<'a, 'b> {
    belonging: &'b Belonging<'a>,
    group: &'b Group<'a>,
    dialect: &'b dyn Dialect,
    /// How far the row is from the one that is asked about.
    levels: usize,
}

/// A condition.
struct Condition {
    sql: Sql,
    /// It says no more than that the row belongs to a person.
    is_plain: bool,
}

impl<'a> Theirs<'a, '_> {
    fn of(self, table: &'a TableName, row: &str) -> Option<Condition> {
        if self.levels > MOST_LEVELS {
            return Some(Condition { sql: Sql::new("1 = 0"), is_plain: false });
        }
        let sql = self.belonging.stays(table, row)?;
        let is_named = self.group.rows.iter().any(|(named, _)| *named == table);
        // what it references on a circle is one of several ways to the person, and none that tells of somebody else
        let links: Vec<_> = self.belonging.upwards(table).filter(|link| !self.belonging.is_circular(link)).collect();
        let next = Self { levels: self.levels + 1, ..self };
        let mut is_plain = links.len() <= 1 && !(is_named && !links.is_empty());
        let mut pieces = vec![sql];
        for link in links {
            // no table has this name that a statement could mean
            let above = statements::alias(table, format!("theirs{}", self.levels));
            let theirs = next.of(&link.to, &above);
            if is_plain && theirs.as_ref().is_some_and(|theirs| theirs.is_plain) {
                continue;
            }
            is_plain = false;
            let on = self.dialect.refers(row, &link.columns, &above, &link.referenced);
            let mut others =
                Sql::new(format!("not exists (select 1 from {} as {above} where {on}", self.dialect.table(&link.to)));
            if let Some(theirs) = theirs {
                others.push(" and ").append(&theirs.sql.negated());
            }
            others.push(")");
            pieces.push(others);
        }
        let sql = if pieces.len() == 1 { pieces.remove(0) } else { Sql::all(&pieces).nested() };
        Some(Condition { sql, is_plain })
    }
}
