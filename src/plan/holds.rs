//! Holds: suspensions of the deletion, as conditions on rows and on what belongs to them.
//!
//! [`bind`] finds the tables of holds in a live schema, under new names too where the engine can tell, and notices those
//! that are gone. The [`Bound`] holds of a database then say of each table which of its rows stay.

mod home_rows;
mod person;
mod requested;

pub(super) use person::home_row;
pub(super) use requested::Spot;

use super::subject::Persons;
use crate::{
    catalog::{Binding, Catalog, Engine, PersonLink, Table, TableKind, TableName},
    database::{
        Belonging, Change, DependentWork, Dialect, Error, ErrorKind, HeldRows, KeyColumn, Link, Row, Rows, statements,
    },
    diagnostic::{Code, Diagnostic, Place},
    job::Job,
    plan::{open::OpenDatabase, path::undeclared, places::Places},
    rules::condition,
    sql::{Sql, Statement},
};
use std::collections::{BTreeMap, BTreeSet};

/// A hold in force, as far as planning needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    pub id: u64,
    pub database: String,
    /// As it was called when the hold was added.
    pub table: TableName,
    pub scope: HoldScope,
    pub matter: String,
    /// What belongs to the rows is not held with them.
    pub only_row: bool,
    /// What the table is found again by; older holds have none.
    pub binding: Option<Binding>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HoldScope {
    /// One row's primary key.
    Key(Vec<String>),
    /// A boolean SQL expression.
    Condition(String),
    /// A person: the subject, the primary key of the home row, and what the subject was when the hold was added. `None`: it
    /// is what it is now.
    Person { subject: String, key: Vec<String>, then: Option<SubjectThen> },
    /// The home row of an open request, by its primary key: other rows are found by it, and so it goes last. It stays alone,
    /// and need not be there. `None`: no key opens the request.
    HomeRow { request: u64, subject: String, key: Option<Vec<String>> },
}

/// What open requests keep has this number in place of a hold's, which begin with 1.
pub const OF_REQUESTS: u64 = 0;

/// A hold's number and matter, or the requests.
pub fn name_of(id: u64, matter: &str) -> String {
    if id == OF_REQUESTS { matter.to_owned() } else { format!("{id} ({matter})") }
}

/// What the subject of a person under a hold was when the hold was added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubjectThen {
    pub links: Vec<PersonLink>,
    /// As `sunset.yaml` had them; older holds do not know.
    pub not_theirs: Option<Vec<String>>,
}

impl Hold {
    /// Its number and matter.
    pub fn name(&self) -> String {
        name_of(self.id, &self.matter)
    }

    /// It is none, but a request whose home row has to stay.
    pub fn is_of_requests(&self) -> bool {
        self.id == OF_REQUESTS
    }
}

/// The holds of one database, found in its schema.
#[derive(Clone, Debug, Default)]
pub struct Bound {
    pub holds: Vec<BoundHold>,
    /// Why holds cannot be applied any more, in words. No rule of the database may do anything then.
    pub lost: Vec<String>,
    /// What somebody should look at.
    pub warnings: Vec<Diagnostic>,
    links: Vec<Tie>,
    /// What links say of rows, where persons have asked for something.
    claims: Vec<requested::Claim>,
    /// What can be about persons at all, where that matters.
    about: requested::About,
}

/// A hold and the tables whose rows it names.
#[derive(Clone, Debug)]
pub struct BoundHold {
    pub id: u64,
    pub matter: String,
    /// Its table, as it is called now; the partitioned one for a partition. For a person, the home table, or elsewhere the
    /// first table that is linked to it.
    pub table: TableName,
    held: Vec<(TableName, HeldRows)>,
    /// Tables whose rows do not come to be held for belonging to others.
    ends: BTreeSet<TableName>,
}

/// Rows of holds that share the tables at which belonging ends.
struct Group<'a> {
    ends: &'a BTreeSet<TableName>,
    rows: Vec<(&'a TableName, HeldRows)>,
}

/// How rows belong to others.
#[derive(Clone, Debug)]
struct Tie {
    link: Link,
    /// A foreign key of the database says so: it knows of it when the row that is referenced goes.
    is_declared: bool,
}

/// Finds the tables of all holds in the schemas of open databases.
///
/// # Errors
/// A database fails while it is asked.
pub async fn bind(
    job: &Job,
    databases: &mut BTreeMap<String, OpenDatabase>,
    holds: &[Hold],
    persons: &Persons,
) -> Result<BTreeMap<String, Bound>, Error> {
    let mut all = BTreeMap::new();
    for (name, open) in databases {
        let bound = bind_in(job, name, open, holds, persons).await?;
        all.insert(name.clone(), bound);
    }
    Ok(all)
}

/// The same for one database.
///
/// # Errors
/// The database fails while it is asked.
pub async fn bind_in(
    job: &Job,
    database: &str,
    open: &mut OpenDatabase,
    holds: &[Hold],
    persons: &Persons,
) -> Result<Bound, Error> {
    let mut bound = Bound::default();
    let names = persons.places.names_of(database, open);
    let is_here = |name: &str| names.contains(name);
    let reaches = |hold: &&Hold| {
        let person = || persons.of(hold.id).is_some_and(|person| person.databases.iter().any(|name| is_here(name)));
        is_here(&hold.database) || person()
    };
    let own: Vec<_> = holds.iter().filter(reaches).collect();
    if !own.is_empty() {
        let OpenDatabase { connection, catalog, dialect, .. } = open;
        let here = Here { database, names: &names, places: &persons.places };
        let mut binder = Binder { connection: connection.as_mut(), catalog, dialect: *dialect, identity: None };
        binder.identity = binder.database_identity().await;
        let mut rows_of_requests = home_rows::HomeRows::new();
        for hold in own {
            let found = match &hold.scope {
                HoldScope::HomeRow { key, .. } => {
                    let is_own = hold.database == database;
                    bound.lost.extend(
                        home_rows::home_row_of_request(&mut rows_of_requests, hold, key.as_deref(), is_own, catalog)
                            .err(),
                    );
                    continue;
                }
                HoldScope::Person { .. } => {
                    binder.find_person(hold, here, persons.of(hold.id), &mut bound.warnings).await?
                }
                // whoever reaches it over its own name sees it
                HoldScope::Key(_) | HoldScope::Condition(_)
                    if hold.database != database && binder.is_apart(&hold.table).await? =>
                {
                    Ok(None)
                }
                HoldScope::Key(_) | HoldScope::Condition(_) => binder.find(hold, &mut bound.warnings).await?.map(Some),
            };
            match found {
                Ok(found) => bound.holds.extend(found),
                Err(why) => bound.lost.push(lost(hold, &why)),
            }
        }
        let leads_out_of_sight = |table: &Table| {
            let mut keys = table.foreign_keys.iter();
            keys.find(|key| catalog.get(&key.references).is_none())
                .map(|key| (table.name.clone(), key.references.clone()))
        };
        if catalog.engine == Engine::Mysql
            && let Some((from, to)) = catalog.tables.iter().find_map(leads_out_of_sight)
            && let Some(hold) = holds.iter().find(|hold| reaches(hold) && hold.database != database)
        {
            let why = format!("rows of {from} belong to rows of {to}, which the user of `{database}` does not see");
            bound.lost.push(lost(hold, &why));
        }
        bound.keep_home_rows(rows_of_requests, catalog);
        let inherited = binder.inheritance().await?;
        bound.links = ties(job, &names, &persons.places, catalog);
        inherit(&mut bound, catalog, &inherited);
    }
    let missing = |hold: &Hold| {
        let known = |name: &str| job.settings.databases.contains_key(name);
        let of_person = persons.of(hold.id).into_iter().flat_map(|person| &person.databases);
        let name = [&hold.database].into_iter().chain(of_person).find(|name| !known(name))?;
        Some(lost(hold, &format!("its database `{name}` is not in sunset.yaml")))
    };
    bound.lost.extend(holds.iter().filter_map(missing));
    Ok(bound)
}

/// What a hold on these columns of a table is found again by, and how many rows it is about.
///
/// # Errors
/// The database fails while it is asked.
pub async fn binding(open: &mut OpenDatabase, table: &Table, columns: &[String], rows: u64) -> Result<Binding, Error> {
    let OpenDatabase { connection, catalog, dialect, .. } = open;
    let mut binder = Binder { connection: connection.as_mut(), catalog, dialect: *dialect, identity: None };
    let database = binder.database_identity().await;
    let identity = binder.text(&dialect.table_identity(&table.name)).await?.unwrap_or_default();
    let known = binder.columns(&table.name).await?;
    let columns = columns.iter().map(|name| (name.clone(), known.get(name).cloned())).collect();
    Ok(Binding { database, table: identity, columns, rows, partitions: table.partitions.clone() })
}

fn lost(hold: &Hold, why: &str) -> String {
    let (name, id) = (hold.name(), hold.id);
    match &hold.scope {
        HoldScope::Person { subject, .. } => format!(
            "hold {name} on a person ({subject}): {why}; nothing is done in any database that has their rows until `sunset \
             hold move {id} --subject {subject} …` names the person anew, or `sunset hold release {id}` ends it"
        ),
        HoldScope::HomeRow { .. } => {
            let matter = &hold.matter;
            format!(
                "{matter}: {why}, so nothing is done in the database: a rule could take the row by which theirs are found"
            )
        }
        HoldScope::Key(_) | HoldScope::Condition(_) => format!(
            "hold {name} on {}.{}: {why}; nothing is done in the database until `sunset hold move {id} --table …` names the \
             table that has its rows now, or `sunset hold release {id}` ends it",
            hold.database, hold.table
        ),
    }
}

/// The table that holds of a partition are about.
fn root<'a>(catalog: &'a Catalog, table: &'a Table) -> &'a Table {
    table.partition_of.as_ref().and_then(|root| catalog.get(root)).unwrap_or(table)
}

/// The database in which holds are looked for.
#[derive(Clone, Copy)]
struct Here<'a> {
    /// The name over which it was opened.
    database: &'a str,
    /// All names that lead to it.
    names: &'a BTreeSet<&'a str>,
    places: &'a Places,
}

/// A table as it is called now.
struct Located<'a> {
    /// The partitioned one for a partition.
    table: &'a Table,
    /// Another table that has its name.
    namesake: Option<&'a Table>,
    /// Columns by the names that they had, each with the name that it has now.
    columns: Vec<(String, String)>,
    /// The table is the one that was meant, with all of its rows.
    is_certain: bool,
}

struct Binder<'a> {
    connection: &'a mut dyn crate::database::Connection,
    catalog: &'a Catalog,
    dialect: &'static dyn Dialect,
    /// The database's.
    identity: Option<String>,
}

impl<'a> Binder<'a> {
    /// A server that does not tell it is one without.
    async fn database_identity(&mut self) -> Option<String> {
        let statement = self.dialect.database_identity()?;
        self.text(&statement).await.ok().flatten()
    }

    async fn text(&mut self, statement: &Statement) -> Result<Option<String>, Error> {
        Ok(self.connection.fetch(statement).await?.into_iter().flatten().next().flatten())
    }

    /// MySQL: a table of another database of the server, and no row here belongs to one of it. One that is not there where
    /// others of its database are known may have another name now.
    async fn is_apart(&mut self, name: &TableName) -> Result<bool, Error> {
        if self.catalog.engine != Engine::Mysql || self.catalog.get(name).is_some() {
            return Ok(false);
        }
        let is_schema_known = self.catalog.tables.iter().any(|table| table.name.schema == name.schema);
        Ok(!is_schema_known || self.text(&self.dialect.table_identity(name)).await?.is_some())
    }

    /// Identities of a table's columns by name.
    async fn columns(&mut self, table: &TableName) -> Result<BTreeMap<String, String>, Error> {
        let Some(statement) = self.dialect.column_identities(table) else { return Ok(BTreeMap::new()) };
        let rows = self.connection.fetch(&statement).await?;
        Ok(rows.into_iter().filter_map(|row| pair(&row, 0)).collect())
    }

    /// Which tables inherit from which.
    async fn inheritance(&mut self) -> Result<Vec<(TableName, TableName)>, Error> {
        let Some(statement) = self.dialect.inheritance() else { return Ok(Vec::new()) };
        let name = |(schema, name)| TableName { schema, name };
        let rows = self.connection.fetch(&statement).await?;
        Ok(rows.iter().filter_map(|row| Some((name(pair(row, 0)?), name(pair(row, 2)?)))).collect())
    }

    /// The table with an identity of this database.
    async fn with_identity(&mut self, identity: &str) -> Result<Option<&'a Table>, Error> {
        let Some(statement) = self.dialect.table_with_identity(identity) else { return Ok(None) };
        let rows = self.connection.fetch(&statement).await?;
        let (name, catalog) = (rows.first().and_then(|row| pair(row, 0)), self.catalog);
        Ok(name.and_then(|(schema, name)| catalog.get(&TableName { schema, name })))
    }

    /// A table that had this name, and its columns, as they are called now, or why they are not there. Without a binding the
    /// columns are `columns`, or else the primary key.
    async fn locate(
        &mut self,
        wanted: &TableName,
        binding: Option<&Binding>,
        columns: Option<Vec<String>>,
    ) -> Result<Result<Located<'a>, String>, Error> {
        let catalog = self.catalog;
        let named = catalog.get(wanted).filter(|table| table.kind != TableKind::View);
        let follows = binding.filter(|binding| binding.database.is_some() && binding.database == self.identity);
        let followed = match follows {
            Some(binding) => self.with_identity(&binding.table).await?,
            None => None,
        };
        let Some(table) = followed.or(named) else { return Ok(Err("the table is no longer there".to_owned())) };
        // what stands under the name may be another table than the one that was meant
        let mut is_certain = match (binding, follows) {
            (_, Some(_)) => followed.is_some(),
            (Some(binding), None) => {
                let identity = self.text(&self.dialect.table_identity(&table.name)).await?;
                binding.database.is_none() && identity.as_deref() == Some(&binding.table)
            }
            (None, None) => false,
        };
        let unbound = || {
            let names = columns.unwrap_or_else(|| table.primary_key.clone());
            names.into_iter().map(|name| (name, None)).collect()
        };
        let known = if followed.is_some() { self.columns(&table.name).await? } else { BTreeMap::new() };
        let mut names = Vec::new();
        for (name, identity) in binding.map_or_else(unbound, |binding| binding.columns.clone()) {
            let same = known.iter().find(|(_, known)| Some(*known) == identity.as_ref()).map(|(name, _)| name.clone());
            is_certain &= same.is_some() || known.is_empty();
            let by_name = || self.dialect.has_column(table, &name).then(|| name.clone());
            match same.or_else(by_name) {
                Some(now) => names.push((name, now)),
                None => return Ok(Err(format!("column `{name}` of {} is no longer there", table.name))),
            }
        }
        let table = root(catalog, table);
        // a partition that was detached has taken its rows along
        let then = binding.into_iter().flat_map(|binding| &binding.partitions);
        is_certain &= then.into_iter().all(|part| table.partitions.contains(part));
        let namesake = named.map(|named| root(catalog, named)).filter(|named| named.name != table.name);
        Ok(Ok(Located { table, namesake, columns: names, is_certain }))
    }

    /// The hold's table and columns as they are called now, or why it cannot be applied.
    async fn find(&mut self, hold: &Hold, warnings: &mut Vec<Diagnostic>) -> Result<Result<BoundHold, String>, Error> {
        let (mut expression, mut columns) = (None, None);
        if let HoldScope::Condition(text) = &hold.scope {
            match condition::check(text, self.catalog.engine) {
                Ok(checked) => {
                    columns = Some(checked.columns().iter().map(|column| column.name.clone()).collect());
                    expression = Some(checked);
                }
                Err(errors) => {
                    let problem = errors.first().map_or("", |error| &error.problem);
                    return Ok(Err(format!("its condition cannot be read: {problem}")));
                }
            }
        }
        let located = self.locate(&hold.table, hold.binding.as_ref(), columns).await?;
        let Located { table, namesake, columns: names, is_certain } = match located {
            Ok(located) => located,
            Err(why) => return Ok(Err(why)),
        };
        let rows = match (&hold.scope, expression) {
            (HoldScope::HomeRow { .. }, _) => return Ok(Err("it is of a request".to_owned())),
            (HoldScope::Key(values) | HoldScope::Person { key: values, .. }, _) => {
                let columns: Vec<_> =
                    names.iter().filter_map(|(_, now)| table.column(now)).map(KeyColumn::from).collect();
                if columns.len() != values.len() || columns.is_empty() {
                    return Ok(Err(format!("it does not fit the primary key of {}", table.name)));
                }
                Rows::Keys(columns, vec![values.clone()])
            }
            (HoldScope::Condition(_), Some(expression)) => {
                Rows::Condition(expression, names.into_iter().filter(|(old, now)| old != now).collect())
            }
            (HoldScope::Condition(_), None) => return Ok(Err("its condition cannot be read".to_owned())),
        };
        if let Some(why) = self.holds_nothing(hold, &table.name, &rows, is_certain).await? {
            return Ok(Err(why));
        }
        let held = HeldRows { rows, alone: hold.only_row };
        let mut tables = vec![(table.name.clone(), held.clone())];
        if let Some(other) = namesake {
            tables.extend(self.namesake(hold, table, other, held, warnings));
        }
        let (id, matter) = (hold.id, hold.matter.clone());
        Ok(Ok(BoundHold { id, matter, table: table.name.clone(), held: tables, ends: BTreeSet::new() }))
    }

    /// The hold's table has another name now, and another table has the old one: one of them has the rows.
    fn namesake(
        &self,
        hold: &Hold,
        table: &Table,
        other: &Table,
        held: HeldRows,
        warnings: &mut Vec<Diagnostic>,
    ) -> Option<(TableName, HeldRows)> {
        let fits = match &held.rows {
            Rows::Keys(columns, _) => columns.iter().all(|column| other.column(&column.name).is_some()),
            Rows::Condition(expression, renamed) => {
                let now = |name: &String| renamed.get(name).unwrap_or(name).clone();
                expression.columns().iter().all(|column| self.dialect.has_column(other, &now(&column.name)))
            }
            Rows::Spelled(_) => false,
        };
        let message = format!(
            "hold {}: its table is called {} now, and {} is another one{}",
            hold.name(),
            table.name,
            other.name,
            if fits { ": it is applied to both" } else { "" }
        );
        warnings.push(
            Diagnostic::warning(Code::HoldInDoubt, Place::file("holds"), message)
                .help(format!("`sunset hold move {} --table …` names the one that is meant", hold.id)),
        );
        fits.then(|| (other.name.clone(), held))
    }

    /// Why nothing is held any more that was meant; `is_certain`: the table is the one that was meant.
    async fn holds_nothing(
        &mut self,
        hold: &Hold,
        table: &TableName,
        rows: &Rows,
        is_certain: bool,
    ) -> Result<Option<String>, Error> {
        let was_empty = hold.binding.as_ref().is_none_or(|binding| binding.rows == 0);
        let is_key = matches!(rows, Rows::Keys(..));
        let condition = rows.sql(self.dialect, &self.dialect.row(table));
        let statement = match is_key || !is_certain && !was_empty {
            true => statements::any_row(self.dialect, table, Some(&condition)),
            // it can be read, and nobody waits for a table to be read through
            false => self.dialect.explain(&statements::any_row(self.dialect, table, Some(&condition))),
        };
        let found = match self.connection.fetch(&statement).await {
            Ok(rows) => rows,
            Err(error) if matches!(error.kind, ErrorKind::Other | ErrorKind::Constraint) => {
                return Ok(Some(format!("it cannot be applied to {table} any more: {error}")));
            }
            Err(error) => return Err(error),
        };
        Ok(match (found.is_empty(), is_key) {
            (false, _) => None,
            (true, true) => Some(format!("{table} has no row with its key any more")),
            (true, false) => Some(format!(
                "{table} may be another table than the one that was meant, and no row of it meets the condition"
            )),
        })
    }
}

fn pair(row: &Row, at: usize) -> Option<(String, String)> {
    Some((row.get(at)?.clone()?, row.get(at + 1)?.clone()?))
}

/// How rows belong to others: by foreign keys, and by what rules look through.
fn ties(job: &Job, names: &BTreeSet<&str>, places: &Places, catalog: &Catalog) -> Vec<Tie> {
    let mut ties = Vec::new();
    for table in catalog.tables.iter().filter(|table| table.partition_of.is_none() && table.kind != TableKind::View) {
        for key in &table.foreign_keys {
            let Some(to) = catalog.get(&key.references).map(|to| root(catalog, to)) else { continue };
            ties.extend(tie(table, &key.columns, to, &key.referenced_columns, true));
        }
    }
    for rule in job.rules().filter(|rule| names.contains(rule.table.database.as_str())) {
        let Some(table) = places.table(&rule.table, catalog) else { continue };
        let Some((related, way)) = undeclared(rule, table, places, catalog) else { continue };
        let (table, related) = (root(catalog, table), root(catalog, related));
        let tells = |of: &Table, column: &KeyColumn| {
            of.primary_key == [column.name.clone()]
                || of
                    .indexes
                    .iter()
                    .any(|index| index.unique && !index.partial && index.columns == [column.name.clone()])
        };
        for (theirs, ours) in way.pairs() {
            let (here, there) = (tells(table, &ours), tells(related, &theirs));
            // where neither tells one row, each may be meant
            if here || !there {
                ties.extend(tie(
                    related,
                    std::slice::from_ref(&theirs.name),
                    table,
                    std::slice::from_ref(&ours.name),
                    false,
                ));
            }
            if there || !here {
                ties.extend(tie(
                    table,
                    std::slice::from_ref(&ours.name),
                    related,
                    std::slice::from_ref(&theirs.name),
                    false,
                ));
            }
        }
    }
    ties
}

fn tie(from: &Table, columns: &[String], to: &Table, referenced: &[String], is_declared: bool) -> Option<Tie> {
    let of = |table: &Table, names: &[String]| -> Option<Vec<KeyColumn>> {
        names.iter().map(|name| table.column(name).map(KeyColumn::from)).collect()
    };
    let (columns, referenced) = (of(from, columns)?, of(to, referenced)?);
    let link = Link { from: from.name.clone(), columns, to: to.name.clone(), referenced };
    (link.columns.len() == link.referenced.len() && !link.columns.is_empty()).then_some(Tie { link, is_declared })
}

/// Rows of a table that inherits from another one are rows of that one too: what holds there, holds for them, and what
/// holds them, holds where they are seen through the other one.
fn inherit(bound: &mut Bound, catalog: &Catalog, inherited: &[(TableName, TableName)]) {
    for (child, parent) in inherited {
        for hold in &mut bound.holds {
            let above: Vec<_> = hold.held.iter().filter(|(table, _)| table == parent).cloned().collect();
            hold.held.extend(above.into_iter().map(|(_, rows)| (child.clone(), rows)));
        }
    }
    let own: Vec<_> =
        bound.links.iter().filter(|tie| inherited.iter().any(|(_, above)| tie.link.from == *above)).cloned().collect();
    for (child, parent) in inherited {
        let copies = own.iter().filter(|tie| tie.link.from == *parent).cloned();
        bound.links.extend(copies.map(|mut tie| {
            tie.link.from = child.clone();
            tie
        }));
        let (Some(below), Some(above)) = (catalog.get(child), catalog.get(parent)) else { continue };
        bound.links.extend(tie(above, &above.primary_key, below, &above.primary_key, true));
    }
}

impl Bound {
    /// There are none that concern anything.
    pub fn is_empty(&self) -> bool {
        self.holds.is_empty()
    }

    /// What the holds of a group say.
    fn belonging<'a>(&'a self, dialect: &'a dyn Dialect, catalog: &'a Catalog, group: &'a Group<'a>) -> Belonging<'a> {
        let held = group.rows.iter().map(|(table, rows)| (*table, rows));
        let links = self.links.iter().map(|tie| &tie.link).filter(|link| !group.ends.contains(&link.from));
        Belonging::new(dialect, held, links, &catalog.tables)
    }

    /// Rows of one hold, or of all of them; single keys of a table are asked for together.
    fn groups(&self, only: Option<u64>) -> Vec<Group<'_>> {
        let mut all: Vec<Group> = Vec::new();
        for hold in self.holds.iter().filter(|hold| only.is_none_or(|id| hold.id == id)) {
            let position = all.iter().position(|group| *group.ends == hold.ends);
            let position = position.unwrap_or_else(|| {
                all.push(Group { ends: &hold.ends, rows: Vec::new() });
                all.len() - 1
            });
            let rows = &mut all[position].rows;
            for (table, held) in &hold.held {
                let mut same = rows.iter_mut().filter(|(other, known)| *other == table && known.alone == held.alone);
                if !same.any(|(_, known)| known.rows.join(&held.rows)) {
                    rows.push((table, held.clone()));
                }
            }
        }
        all
    }

    /// Rows of a table called `row` that stay: a hold is on them, or they belong to a held row. `None`: no row can.
    pub fn stays(
        &self,
        dialect: &dyn Dialect,
        catalog: &Catalog,
        table: &Table,
        row: &str,
        only: Option<u64>,
    ) -> Option<Sql> {
        let table = &root(catalog, table).name;
        any(self.groups(only).iter().filter_map(|group| self.belonging(dialect, catalog, group).stays(table, row)))
    }

    /// Rows that this hold names itself.
    pub fn names(&self, dialect: &dyn Dialect, catalog: &Catalog, table: &Table, row: &str, id: u64) -> Option<Sql> {
        let table = &root(catalog, table).name;
        any(self.groups(Some(id)).iter().filter_map(|group| self.belonging(dialect, catalog, group).names(table, row)))
    }

    /// Rows that a change must leave alone: they stay, or a row does that would be changed along with them, or the change
    /// would cut the link of a row that stays.
    pub fn concerns(
        &self,
        dialect: &dyn Dialect,
        catalog: &Catalog,
        (table, row): (&Table, &str),
        change: &Change,
        dependents: &[DependentWork],
        only: Option<u64>,
    ) -> Option<Sql> {
        let mut pieces = Vec::new();
        for group in &self.groups(only) {
            let belonging = self.belonging(dialect, catalog, group);
            pieces.extend(self.untouchable(&belonging, dialect, catalog, &table.name, (table, row), (change, None)));
            for dependent in dependents {
                let Some(child) = catalog.get(&dependent.table) else { continue };
                let name = statements::alias(&table.name, "k0");
                // the row over which it goes along is the rule's own, or another dependent
                let changed = (&dependent.change, dependent.links.first());
                let along = self.untouchable(&belonging, dialect, catalog, &table.name, (child, &name), changed);
                if !along.is_empty() {
                    let along = Sql::join(&along, " or ").nested();
                    pieces.push(statements::exists_dependent(dialect, &table.name, &dependent.links, Some(&along)));
                }
            }
        }
        any(pieces)
    }

    fn untouchable<'a>(
        &'a self,
        belonging: &Belonging<'a>,
        dialect: &dyn Dialect,
        catalog: &'a Catalog,
        target: &TableName,
        (table, row): (&'a Table, &str),
        (change, over): (&Change, Option<&Link>),
    ) -> Vec<Sql> {
        let name = &root(catalog, table).name;
        let mut pieces: Vec<_> = belonging.stays_but(name, row, over).into_iter().collect();
        for tie in self.links.iter().filter(|tie| tie.link.to == *name && cuts(change, tie)) {
            let below = statements::alias(target, "linked");
            let Some(stays) = belonging.stays(&tie.link.from, &below) else { continue };
            let on = dialect.refers(&below, &tie.link.columns, row, &tie.link.referenced);
            let mut sql =
                Sql::new(format!("exists (select 1 from {} as {below} where {on} and ", dialect.table(&tie.link.from)));
            sql.append(&stays).push(")");
            pieces.push(sql);
        }
        pieces
    }

    /// Holds that can concern rows of these tables: those on the tables themselves, and those that rows come under because
    /// they belong to others.
    pub fn on(&self, dialect: &dyn Dialect, catalog: &Catalog, tables: &[&Table]) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for hold in &self.holds {
            let tables: Vec<_> = tables.iter().map(|table| &root(catalog, table).name).collect();
            let itself = hold.held.iter().any(|(table, _)| tables.contains(&table));
            let leads = |group: &Group| {
                let belonging = self.belonging(dialect, catalog, group);
                tables.iter().any(|table| belonging.upwards(table).next().is_some())
            };
            if hold.id == OF_REQUESTS {
                names.extend((itself && !names.contains(&hold.matter)).then(|| hold.matter.clone()));
            } else if itself || self.groups(Some(hold.id)).iter().any(leads) {
                let on = if itself { String::new() } else { format!(" on {}", hold.table) };
                names.push(format!("{}{on}", name_of(hold.id, &hold.matter)));
            }
        }
        names
    }

    /// Links over which rows of these tables can come to be held, and whether the query goes along them downwards.
    pub fn links(&self, dialect: &dyn Dialect, catalog: &Catalog, tables: &[&Table]) -> Vec<(Link, bool)> {
        let mut links: Vec<(Link, bool)> = Vec::new();
        for group in &self.groups(None) {
            let belonging = self.belonging(dialect, catalog, group);
            for table in tables {
                for link in belonging.reach(&root(catalog, table).name) {
                    if !links.iter().any(|(known, _)| known == link) {
                        links.push((link.clone(), belonging.leads_back(&link.to)));
                    }
                }
            }
        }
        links
    }

    /// Tables with row security that are read to see which rows a change must leave alone: a row over which others belong to
    /// a held one, or that would lose its link, may be out of sight.
    pub fn hidden<'a>(
        &self,
        dialect: &dyn Dialect,
        catalog: &'a Catalog,
        tables: &[&Table],
        change: &Change,
    ) -> Vec<&'a Table> {
        let links = self.links(dialect, catalog, tables);
        let between = links.iter().flat_map(|(link, _)| [&link.from, &link.to]);
        let changed: Vec<_> = tables.iter().map(|table| &root(catalog, table).name).collect();
        let kept = self.tables(dialect, catalog);
        let cut = self.links.iter().filter(|tie| changed.contains(&&tie.link.to) && cuts(change, tie));
        let cut = cut.map(|tie| &tie.link.from).filter(|from| kept.contains(from));
        let mut hidden: Vec<_> = between.chain(cut).filter_map(|name| catalog.get(name)).collect();
        hidden.retain(|table| table.row_security);
        hidden.sort_by_key(|table| &table.name);
        hidden.dedup_by_key(|table| &table.name);
        hidden
    }

    /// Columns that tell which rows of a table are held.
    pub fn columns(&self, table: &TableName) -> BTreeSet<String> {
        let held = self.holds.iter().flat_map(|hold| &hold.held).filter(|(held, _)| held == table);
        held.flat_map(|(_, held)| held.rows.columns()).collect()
    }

    /// Tables that have rows which a hold keeps, as far as the schema can tell.
    pub fn tables(&self, dialect: &dyn Dialect, catalog: &Catalog) -> Vec<TableName> {
        let mut tables = BTreeSet::new();
        for group in &self.groups(None) {
            tables.extend(self.belonging(dialect, catalog, group).tables().into_iter().cloned());
        }
        tables.into_iter().collect()
    }
}

/// One of these holds.
fn any(pieces: impl IntoIterator<Item = Sql>) -> Option<Sql> {
    let mut pieces: Vec<_> = pieces.into_iter().collect();
    match pieces.len() {
        0 | 1 => pieces.pop(),
        _ => Some(Sql::join(&pieces, " or ").nested()),
    }
}

/// A change of a row takes from rows that reference it what they reference. What foreign keys say is seen to: a dependent
/// is named, and goes along or stands against it.
fn cuts(change: &Change, tie: &Tie) -> bool {
    let touched = |columns: &[(String, Sql)]| {
        columns.iter().any(|(name, _)| tie.link.referenced.iter().any(|column| column.name == *name))
    };
    match change {
        Change::Erase => !tie.is_declared,
        Change::Update(columns) => touched(columns),
        Change::Compute { computed, sql } => {
            let computed = || computed.iter().map(|column| &column.column.name);
            touched(sql) || computed().any(|name| tie.link.referenced.iter().any(|column| column.name == *name))
        }
    }
}
