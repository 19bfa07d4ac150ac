//! Rows about persons who have asked for something, as conditions on rows.
//!
//! A hold may keep a row too many; a request may not take one too many. So only what the schema and the settings say for
//! certain counts: the home row, rows that links find by values that nobody else has, and what belongs to these over
//! declared foreign keys. A row that belongs to somebody else as well is nobody's to have erased.

use super::{Bound, BoundHold, ties};
use crate::{
    catalog::{Catalog, Table, TableName},
    database::{Belonging, Dialect, HeldRows, KeyColumn, Rows, statements},
    job::Job,
    plan::{
        places::Places,
        subject::{self, Claimed, Known},
    },
    sql::Sql,
};
use std::collections::{BTreeMap, BTreeSet};

impl Bound {
    /// No request yet: how rows of a database belong to others, by declared foreign keys.
    pub(in crate::plan) fn of_requests(job: &Job, database: &str, catalog: &Catalog) -> Self {
        let mut links = ties(job, &BTreeSet::from([database]), &Places::default(), catalog);
        links.retain(|tie| tie.is_declared);
        Self { links, ..Self::default() }
    }

    /// Adds a request. `claimed` is what the subject's links say, by their positions.
    ///
    /// # Errors
    /// Nobody can tell for certain which rows are theirs, in words.
    pub(in crate::plan) fn add_request(
        &mut self,
        (id, reference): (u64, &str),
        (known, key): (&Known, &[String]),
        claimed: &BTreeMap<usize, Claimed>,
        (job, database, catalog): (&Job, &str, &Catalog),
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
        for other in job.settings.subjects.values().filter(|other| other.home.database == database) {
            // a row that is a person itself is a part of nobody
            if let Ok(table) = subject::table_of(catalog, &other.home) {
                ends.insert(table.name.clone());
            }
        }
        let links = subject.links.iter().enumerate().filter(|(_, link)| link.table.database == database);
        for (position, link) in links {
            let table = subject::table_of(catalog, &link.table)?;
            let linked = match claimed.get(&position) {
                Some(Claimed::Theirs(rows)) => rows.clone(),
                Some(Claimed::Unclear(_)) | None => None,
            };
            let columns: Vec<_> = link.columns.iter().filter_map(|column| table.column(&column.theirs)).collect();
            let columns = columns.into_iter().map(KeyColumn::from).collect();
            let rows = linked.iter().cloned().collect();
            self.claims.push(Claim { request: id, table: table.name.clone(), link: position, columns, rows });
            held.extend(linked.map(|rows| (table.name.clone(), HeldRows { rows, alone: false })));
        }
        if let Some((table, _)) = held.first() {
            let table = table.clone();
            self.holds.push(BoundHold { id, matter: reference.to_owned(), table, held, ends });
        }
        Ok(())
    }

    /// The requests that have rows here.
    pub(in crate::plan) fn requests(&self) -> impl Iterator<Item = u64> + use<'_> {
        self.holds.iter().map(|hold| hold.id)
    }

    /// Only these requests.
    pub(in crate::plan) fn only(&self, ids: &BTreeSet<u64>) -> Self {
        let holds = self.holds.iter().filter(|hold| ids.contains(&hold.id)).cloned().collect();
        let claims = self.claims.iter().filter(|claim| ids.contains(&claim.request)).cloned().collect();
        Self { holds, claims, ..self.clone() }
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
            Theirs { bound: self, belonging: &belonging, dialect, levels: 0 }.of(table, row)
        });
        super::any(pieces)
    }
}

/// No row's way to a person is longer than this.
const MOST_LEVELS: usize = 8;

/// What a link says of rows of a table: which of them have the values of somebody who asks.
#[derive(Clone, Debug)]
pub(super) struct Claim {
    request: u64,
    table: TableName,
    /// Its place among those of the subject.
    link: usize,
    columns: Vec<KeyColumn>,
    /// None where the values are somebody else's too, or there are none.
    rows: Vec<Rows>,
}

/// The rows of persons of one group of requests.
#[derive(Clone, Copy)]
struct Theirs<'a, 'b> {
    bound: &'b Bound,
    belonging: &'b Belonging<'a>,
    dialect: &'b dyn Dialect,
    /// How far the row is from the one that is asked about.
    levels: usize,
}

impl<'a> Theirs<'a, '_> {
    /// A row that is named itself or references one of theirs, references none that is not, and has nobody else's value in a
    /// column that links. Keys that lie on a circle say nothing: an answer to somebody's message is not theirs for that.
    fn of(self, table: &'a TableName, row: &str) -> Option<Sql> {
        if self.levels > MOST_LEVELS {
            return None;
        }
        let next = Self { levels: self.levels + 1, ..self };
        let mut ways: Vec<_> = self.belonging.names(table, row).into_iter().collect();
        let mut others = Vec::new();
        let links: Vec<_> = self.belonging.upwards(table).filter(|link| !self.belonging.is_circular(link)).collect();
        for link in links {
            let above = statements::alias(table, format!("theirs{}", self.levels));
            let on = self.dialect.refers(row, &link.columns, &above, &link.referenced);
            let start = format!("exists (select 1 from {} as {above} where {on}", self.dialect.table(&link.to));
            let theirs = next.of(&link.to, &above);
            if let Some(theirs) = &theirs {
                let mut way = Sql::new(format!("{start} and "));
                way.append(theirs).push(")");
                ways.push(way);
            }
            let mut other = Sql::new(format!("not {start}"));
            if let Some(theirs) = theirs {
                other.push(" and ").append(&theirs.negated());
            }
            other.push(")");
            others.push(other);
        }
        let way = super::any(ways)?;
        let pieces: Vec<_> =
            [way].into_iter().chain(others).chain(self.bound.unclaimed(self.dialect, table, row)).collect();
        Some(Sql::all(&pieces).nested())
    }
}

impl Bound {
    /// For each link of a table: the row has the values of somebody who asks, or none.
    fn unclaimed(&self, dialect: &dyn Dialect, table: &TableName, row: &str) -> Vec<Sql> {
        let links: BTreeSet<_> =
            self.claims.iter().filter(|claim| claim.table == *table).map(|claim| claim.link).collect();
        let one = |link: usize| {
            let claims = || self.claims.iter().filter(move |claim| claim.table == *table && claim.link == link);
            let mut all: Vec<Rows> = Vec::new();
            for rows in claims().flat_map(|claim| &claim.rows) {
                if !all.iter_mut().any(|known| known.join(rows)) {
                    all.push(rows.clone());
                }
            }
            let rows = all.into_iter().map(|rows| rows.sql(dialect, row));
            let empty = claims().next().map(|claim| {
                let columns = claim.columns.iter().map(|column| {
                    let value = dialect.column(row, &column.name);
                    Sql::new(format!("({value} is null or {} = '')", dialect.text(&value, column)))
                });
                Sql::all(&columns.collect::<Vec<_>>()).nested()
            });
            super::any(rows.chain(empty))
        };
        links.into_iter().filter_map(one).collect()
    }
}
