//! Rows about persons who have asked for something, as conditions on rows.
//!
//! A hold may keep a row too many; a request may not take one too many. So only what the schema and the settings say for
//! certain counts: the home row, rows that links find by values that nobody else has, and what belongs to these over
//! declared foreign keys. A row that belongs to somebody else as well is nobody's to have erased, whoever that is: a person of any
//! subject, also one who has asked for nothing.

use super::{Bound, BoundHold, root, ties};
use crate::{
    catalog::{Catalog, Table, TableKind, TableName, TablePath},
    database::{Belonging, Dialect, HeldRows, KeyColumn, Link, Rows, statements},
    job::Job,
    plan::{
        places::Places,
        subject::{self, Claimed, Known},
    },
    sql::Sql,
};
use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
};

/// What can be about persons in a database, whoever they are.
#[derive(Clone, Debug, Default)]
pub(super) struct About {
    /// Home tables and linked ones of all subjects, and whatever leads to these over foreign keys.
    tables: BTreeSet<TableName>,
    /// Home tables: their rows are persons, and parts of nobody.
    homes: BTreeSet<TableName>,
    /// Columns by which subjects link rows, by their table and names.
    columns: BTreeMap<(TableName, Vec<String>), Vec<KeyColumn>>,
    /// Foreign keys that lead to tables out of sight, by their columns.
    blind: BTreeSet<(TableName, Vec<String>)>,
    /// Tables that others inherit from: a key into one says nothing of the others' rows.
    parents: BTreeSet<TableName>,
    /// Tables that inherit from such as can be about persons: their rows are rows of these too.
    heirs: BTreeSet<TableName>,
    /// What all subjects have in `not_theirs`: keys into it say nothing, whoever it is about.
    not_anybodys: BTreeSet<TableName>,
    /// Tables that rows are found by in columns that the database computes, from whatever other ones.
    computed: BTreeSet<TableName>,
    /// Why nobody can tell whose any row is.
    unclear: Option<String>,
}

/// The database in which requests are looked at.
#[derive(Clone, Copy)]
pub(in crate::plan) struct Spot<'a> {
    pub job: &'a Job,
    pub name: &'a str,
    pub catalog: &'a Catalog,
    /// All names that lead to it.
    pub names: &'a BTreeSet<&'a str>,
    pub places: &'a Places,
}

impl<'a> Spot<'a> {
    /// The table that a path means here; `None`: it is in another database, or out of sight.
    fn table(self, path: &TablePath) -> Option<&'a Table> {
        if !self.names.contains(path.database.as_str()) {
            return None;
        }
        let found = match path.database == self.name {
            true => self.catalog.table(path.schema.as_deref(), &path.table),
            false => self.places.table(path, self.catalog),
        };
        found.filter(|table| table.kind != TableKind::View).map(|table| root(self.catalog, table))
    }

    /// Why the rows of a path of the settings cannot be told; `None` where they can, or it is in another database.
    fn doubt<'c>(self, path: &TablePath, mut columns: impl Iterator<Item = &'c String>) -> Option<String> {
        if !self.names.contains(path.database.as_str()) {
            return None;
        }
        let found = match path.database == self.name {
            true => self.catalog.table(path.schema.as_deref(), &path.table),
            false => self.places.table(path, self.catalog),
        };
        let why = match found {
            None => "is not there".to_owned(),
            Some(table) if table.kind == TableKind::View => "is a view".to_owned(),
            Some(table) => format!("has no column `{}`", columns.find(|name| table.column(name).is_none())?),
        };
        Some(format!("{path} {why}"))
    }
}

impl About {
    fn of(spot: Spot<'_>, links: &[Link]) -> Self {
        let mut about = Self::default();
        let mut not_theirs: Option<BTreeSet<TableName>> = None;
        for subject in spot.job.settings.subjects.values() {
            let own: BTreeSet<_> =
                subject.not_theirs.iter().filter_map(|path| Some(spot.table(path)?.name.clone())).collect();
            not_theirs = Some(not_theirs.map_or_else(|| own.clone(), |all| all.intersection(&own).cloned().collect()));
            let ours = subject.links.iter().flat_map(|link| &link.columns).map(|column| &column.ours);
            let home = spot.doubt(&subject.home, ours);
            let mut doubts = home.into_iter().chain(
                subject
                    .links
                    .iter()
                    .filter_map(|link| spot.doubt(&link.table, link.columns.iter().map(|column| &column.theirs))),
            );
            if let Some(why) = doubts.next() {
                let name = &subject.name;
                about.unclear = Some(format!("whom subject `{name}` means cannot be told: {why}"));
            }
            if let Some(home) = spot.table(&subject.home) {
                about.homes.insert(home.name.clone());
                about.tables.insert(home.name.clone());
            }
            for link in &subject.links {
                let Some(table) = spot.table(&link.table) else { continue };
                let names: Vec<_> = link.columns.iter().map(|column| column.theirs.clone()).collect();
                let columns = names.iter().filter_map(|name| table.column(name)).map(KeyColumn::from).collect();
                if names.iter().filter_map(|name| table.column(name)).any(|column| column.generated) {
                    about.computed.insert(table.name.clone());
                }
                about.columns.insert((table.name.clone(), names), columns);
                about.tables.insert(table.name.clone());
            }
        }
        about.not_anybodys = not_theirs.unwrap_or_default();
        for table in spot.catalog.tables.iter().filter(|table| table.kind != TableKind::View) {
            let table_name = &root(spot.catalog, table).name;
            for key in &table.foreign_keys {
                let columns = &key.referenced_columns;
                // several rows may be meant where nothing says that there is one
                let is_one = |to: &Table| {
                    to.is_key(columns)
                        || !to.primary_key.is_empty() && to.primary_key.iter().all(|own| columns.contains(own))
                };
                if key.columns.iter().filter_map(|name| table.column(name)).any(|column| column.generated) {
                    about.computed.insert(table_name.clone());
                }
                if spot.catalog.get(&key.references).is_some_and(is_one) {
                    continue;
                }
                about.blind.insert((table_name.clone(), key.columns.clone()));
                about.tables.insert(table_name.clone());
            }
            if !spot.catalog.heirs(&table.name).is_empty() && table.partitions.is_empty() {
                about.parents.insert(table.name.clone());
            }
        }
        let mut is_new = true;
        while is_new {
            let before = about.tables.len();
            let reached = links.iter().filter(|link| about.tables.contains(&link.to)).map(|link| link.from.clone());
            let reached: Vec<_> = reached.collect();
            about.tables.extend(reached);
            is_new = about.tables.len() > before;
        }
        let hidden = spot.catalog.tables.iter().find(|table| table.row_security && about.tables.contains(&table.name));
        if let Some(table) = hidden {
            let name = &table.name;
            about.unclear = Some(format!("row security hides rows of {name}, which may be about somebody else"));
        }
        let heirs = about.tables.iter().flat_map(|table| spot.catalog.heirs(table)).map(|heir| heir.name.clone());
        about.heirs = heirs.collect();
        about
    }
}

impl Bound {
    /// No request yet: how rows of a database belong to others, by declared foreign keys.
    pub(in crate::plan) fn of_requests(spot: Spot<'_>) -> Self {
        let mut links = ties(spot.job, &BTreeSet::from([spot.name]), &Places::default(), spot.catalog);
        links.retain(|tie| tie.is_declared);
        let plain: Vec<_> = links.iter().map(|tie| tie.link.clone()).collect();
        Self { links, about: About::of(spot, &plain), ..Self::default() }
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
        spot: Spot<'_>,
    ) -> Result<(), String> {
        if let Some(why) = &self.about.unclear {
            return Err(why.clone());
        }
        let subject = &known.subject;
        let mut held = Vec::new();
        let is_own = |path: &TablePath| path.database == spot.name;
        // whoever is referred to by somebody is not a part of them, and no person is a part of another
        let mut ends = self.about.homes.clone();
        for path in &subject.not_theirs {
            match spot.table(path) {
                Some(table) => drop(ends.insert(table.name.clone())),
                None if is_own(path) => return Err(format!("`not_theirs`: {path} is no table that is there")),
                None => {}
            }
        }
        match spot.table(&subject.home) {
            Some(home) if home.primary_key.len() == key.len() => {
                let columns: Vec<_> = home.key_columns().map(KeyColumn::from).collect();
                let rows = Rows::Keys(columns, vec![key.to_vec()]);
                held.push((home.name.clone(), HeldRows { rows, alone: false }));
            }
            Some(_) => return Err(format!("the key does not fit {}", subject.home)),
            None if is_own(&subject.home) => return Err(format!("{} is no longer there", subject.home)),
            None => {}
        }
        for (position, link) in subject.links.iter().enumerate() {
            let Some(table) = spot.table(&link.table) else {
                if is_own(&link.table) {
                    subject::table_of(spot.catalog, &link.table)?;
                }
                continue;
            };
            let linked = match claimed.get(&position) {
                // rows of home tables are persons, whoever has their values
                Some(Claimed::Theirs(rows)) if !self.about.homes.contains(&table.name) => rows.clone(),
                Some(Claimed::Theirs(_) | Claimed::Unclear(_)) | None => None,
            };
            let columns = link.columns.iter().map(|column| column.theirs.clone()).collect();
            self.claims.push(Claim { request: id, table: table.name.clone(), columns, rows: linked.clone() });
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

    /// Rows are found by this column: a subject links by it, or it references what can be about a person.
    pub(in crate::plan) fn finds_by(&self, table: &TableName, column: &str) -> bool {
        // what a computed column is made of is not known
        let links = self.about.computed.contains(table)
            || self.about.columns.keys().any(|(of, columns)| of == table && columns.iter().any(|own| own == column));
        let keys = self.links.iter().map(|tie| &tie.link).filter(|link| self.about.tables.contains(&link.to));
        let mut keys = keys.filter(|link| link.from == *table).flat_map(|link| &link.columns);
        links || keys.any(|own| own.name == column)
    }

    /// Rows of a table called `row` that are about persons who have asked, and about nobody else. `None`: no row can be.
    ///
    /// # Errors
    /// It is too far from a row to its person, or too many ways lead there.
    pub(in crate::plan) fn theirs(
        &self,
        dialect: &dyn Dialect,
        catalog: &Catalog,
        table: &Table,
        row: &str,
        only: Option<u64>,
    ) -> Result<Option<Sql>, String> {
        let table = &root(catalog, table).name;
        if self.about.heirs.contains(table) {
            return Err(format!(
                "rows of {table} are also rows of what it inherits from: whose they are cannot be told"
            ));
        }
        let groups = self.groups(only);
        let is_too_far = Cell::new(false);
        let pieces = groups.iter().filter_map(|group| {
            let belonging = self.belonging(dialect, catalog, group);
            let (bound, ends) = (self, group.ends);
            let theirs =
                Theirs { bound, belonging: &belonging, ends, dialect, levels: 0, circles: 0, is_too_far: &is_too_far };
            theirs.of(table, row)
        });
        let found = super::any(pieces.collect::<Vec<_>>());
        match is_too_far.get() || found.as_ref().is_some_and(|sql| sql.text.len() > MOST_LETTERS) {
            true => Err(format!("from rows of {table} it is too far to a person, over too many ways")),
            false => Ok(found),
        }
    }
}

/// No row's way to a person is longer than this.
const MOST_LEVELS: usize = 16;
/// Nor a condition than this.
const MOST_LETTERS: usize = 200_000;

/// What a link says of rows of a table: which of them have the values of somebody who asks.
#[derive(Clone, Debug)]
pub(super) struct Claim {
    request: u64,
    table: TableName,
    /// Of the link.
    columns: Vec<String>,
    /// None where the values may be somebody else's too, or there are none.
    rows: Option<Rows>,
}

/// The rows of persons of one group of requests.
#[derive(Clone, Copy)]
struct Theirs<'a, 'b> {
    bound: &'a Bound,
    belonging: &'b Belonging<'a>,
    /// Tables whose rows are not theirs for belonging to others.
    ends: &'a BTreeSet<TableName>,
    dialect: &'b dyn Dialect,
    /// How far the row is from the one that is asked about.
    levels: usize,
    /// How many keys on a circle were gone along. Behind the second one such keys are left out.
    circles: u8,
    is_too_far: &'b Cell<bool>,
}

impl<'a> Theirs<'a, '_> {
    /// A row that is named itself or references one of theirs, references none that is or could be somebody else's, and has nobody
    /// else's value in a column that links. A key of a table to itself says nothing: an answer to somebody's message is not
    /// theirs for that. Neither does one on a circle, but what it leads to may not be somebody else's.
    fn of(self, table: &'a TableName, row: &str) -> Option<Sql> {
        let about = &self.bound.about;
        if self.levels > MOST_LEVELS {
            self.is_too_far.set(true);
            return None;
        }
        if self.levels > 0 && (about.parents.contains(table) || about.heirs.contains(table)) {
            return None;
        }
        let named = self.belonging.names(table, row);
        if about.homes.contains(table) {
            return named;
        }
        let mut ways: Vec<_> = named.into_iter().collect();
        let mut others = Vec::new();
        let mut number = 0_usize;
        for link in self.keys(table) {
            let is_circular = self.is_circular(link);
            if is_circular && self.circles > 1 {
                continue;
            }
            number += 1;
            let next = Self { levels: self.levels + 1, circles: self.circles + u8::from(is_circular), ..self };
            let above = statements::alias(table, format!("theirs{}", self.levels));
            let on = self.dialect.refers(row, &link.columns, &above, &link.referenced);
            let start = format!("exists (select 1 from {} as {above} where {on}", self.dialect.table(&link.to));
            let way = next.of(&link.to, &above).map(|theirs| {
                let mut way = Sql::new(format!("{start} and "));
                way.append(&theirs).push(")");
                way
            });
            // no such row, or one of theirs
            let none = Sql::new(format!("not {start})"));
            others.push(match &way {
                Some(way) => Sql::join([&none, way], " or ").nested(),
                None => none,
            });
            let is_way = !is_circular && !self.ends.contains(table) && self.leads_on(&link.to);
            ways.extend(way.filter(|_| is_way));
        }
        let only_way = number == 1 && ways.len() == 1 && !self.names_any(table);
        let way = super::any(ways)?;
        let rest = if only_way { Vec::new() } else { others };
        let own = self.unclaimed(table, row).into_iter().chain(self.in_sight(table, row));
        let pieces: Vec<_> = [way].into_iter().chain(rest).chain(own).collect();
        Some(Sql::all(&pieces).nested())
    }

    fn names_any(&self, table: &TableName) -> bool {
        self.belonging.names(table, "t").is_some()
    }

    /// Keys that lead to what can be about persons, but not to the table itself, nor to what `not_theirs` of all subjects names:
    /// that says of nobody whose the row is.
    fn keys(&self, table: &TableName) -> Vec<&'a Link> {
        let about = &self.bound.about;
        let is_told = |to: &TableName| {
            about.tables.contains(to) && (about.homes.contains(to) || !about.not_anybodys.contains(to))
        };
        let keys = self.bound.links.iter().map(|tie| &tie.link);
        keys.filter(|link| link.from == *table && link.to != *table && is_told(&link.to)).collect()
    }

    /// What belongs to rows of the table belongs to their person.
    fn leads_on(&self, to: &TableName) -> bool {
        self.bound.about.homes.contains(to) || !self.ends.contains(to)
    }

    /// What the key leads to can lead back.
    fn is_circular(&self, link: &Link) -> bool {
        let (mut open, mut seen) = (vec![&link.to], BTreeSet::new());
        while let Some(table) = open.pop() {
            if *table == link.from {
                return true;
            }
            if seen.insert(table) && !self.bound.about.homes.contains(table) {
                open.extend(self.keys(table).into_iter().map(|link| &link.to));
            }
        }
        false
    }

    /// Keys that lead out of sight have no value.
    fn in_sight(&self, table: &TableName, row: &str) -> Vec<Sql> {
        let blind = self.bound.about.blind.iter().filter(|(of, _)| of == table);
        let empty = blind.map(|(_, columns)| {
            let columns = columns.iter().map(|name| Sql::new(format!("{} is null", self.dialect.column(row, name))));
            Sql::join(&columns.collect::<Vec<_>>(), " or ").nested()
        });
        empty.collect()
    }

    /// For each link of any subject: the row has the values of somebody who asks, or none.
    fn unclaimed(&self, table: &TableName, row: &str) -> Vec<Sql> {
        let links = self.bound.about.columns.iter().filter(|((of, _), _)| of == table);
        let one = |((_, names), columns): (&(TableName, Vec<String>), &Vec<KeyColumn>)| {
            let claims = self.bound.claims.iter().filter(|claim| claim.table == *table && claim.columns == *names);
            let mut all: Vec<Rows> = Vec::new();
            for rows in claims.filter_map(|claim| claim.rows.as_ref()) {
                if !all.iter_mut().any(|known| known.join(rows)) {
                    all.push(rows.clone());
                }
            }
            let rows = all.into_iter().map(|rows| rows.sql(self.dialect, row));
            let empty = columns.iter().map(|column| {
                let value = self.dialect.column(row, &column.name);
                Sql::new(format!("({value} is null or trim({}) = '')", self.dialect.text(&value, column)))
            });
            super::any(rows.chain([Sql::all(&empty.collect::<Vec<_>>()).nested()]))
        };
        links.filter_map(one).collect()
    }
}
