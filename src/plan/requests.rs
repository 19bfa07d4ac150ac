//! What persons have asked for: which rules answer, as steps of a plan after all others.
//!
//! Each rule that says `on_request: now` gets a step of its own, whose rows are due for being about somebody who asked.
//! Everything else is as it is in the rule's own step: its condition, its dependents, recipients, holds, limits, evidence. The
//! home rows go last, because they tell which other rows are the person's.

use super::{
    holds::{Bound, Hold, HoldScope},
    open::{OpenDatabase, Unavailable, open_databases},
    resolve::{self, Resolved},
    subject::{self, Persons},
    surroundings::{Surroundings, surroundings},
};
use crate::{
    catalog::{Catalog, Table, TableKind, TableName},
    database::{Connection, Dialect, Error, Work, statements},
    diagnostic::Diagnostic,
    evidence::keys::Keys,
    job::Job,
    rules::{Act, Disposition, RequestKind, Rule},
    sql::Sql,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A request that a run serves, as far as planning needs it.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    pub id: u64,
    pub kind: RequestKind,
    /// The subject of `sunset.yaml`.
    pub subject: String,
    pub database: String,
    /// The table of the home row, and its primary key.
    pub table: TableName,
    pub key: Vec<String>,
    /// What told the person when the request was opened, as a tag in hexadecimal, and the key that made it.
    pub identity: String,
    pub tag_key: String,
    /// The company's number for it.
    pub reference: String,
    /// Nothing was left for it when somebody looked last.
    pub is_complete: bool,
}

/// Keys may be personal.
impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.debug_struct("Request").field("id", &self.id).field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// What a plan makes of requests.
#[derive(Clone, Debug, Default)]
pub struct Requested {
    pub requests: Vec<Request>,
    /// Requests of which nobody can tell which rows are theirs, and why.
    pub unclear: BTreeMap<u64, String>,
    /// Requests with rows in databases that cannot be asked, and why.
    pub unavailable: BTreeMap<u64, String>,
    /// Requests with links whose values somebody else has too: tables that these lead to.
    pub shared: BTreeMap<u64, Vec<String>>,
    /// What each rule that answers does for them.
    pub answers: Vec<Answer>,
}

/// A rule that answers requests.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its id in its file.
    pub rule: String,
    pub database: String,
    pub dialect: &'static dyn Dialect,
    pub work: Work,
    /// By request, its rows.
    pub rows: BTreeMap<u64, Sql>,
    /// Rows that had not gone when the plan was made.
    pub before: BTreeMap<u64, Remaining>,
    /// It has a step in the plan.
    pub is_planned: bool,
    /// Its table has the home rows of some of them.
    pub homes: BTreeSet<u64>,
}

/// Rows of a request that have not gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Remaining {
    /// Held ones among them, and those that wait.
    pub all: u64,
    /// They wait for dependents that stay.
    pub waiting: u64,
}

impl Remaining {
    /// Rows that could go.
    pub fn left(self) -> u64 {
        self.all.saturating_sub(self.waiting)
    }
}

/// What is told of a request in a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedRequest {
    pub request: u64,
    pub reference: String,
    pub kind: RequestKind,
    /// Rows that go, by rule.
    pub rows: BTreeMap<String, u64>,
    /// What stands against it, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub obstacles: Vec<String>,
}

/// A statement has room for so many.
const AT_ONCE: usize = 10;

impl Answer {
    /// Rows that have not gone yet, by request.
    ///
    /// # Errors
    /// The database fails.
    pub async fn remaining(&self, connection: &mut dyn Connection) -> Result<BTreeMap<u64, Remaining>, Error> {
        let due = self.work.due_rows();
        let any = statements::any_row(self.dialect, &self.work.table, Some(&due));
        if connection.fetch(&any).await?.is_empty() {
            return Ok(self.rows.keys().map(|id| (*id, Remaining::default())).collect());
        }
        let none = Sql::new("1 = 0");
        let waiting = self.work.waiting.as_ref().unwrap_or(&none);
        let mut remaining = BTreeMap::new();
        let requests: Vec<_> = self.rows.iter().collect();
        for some in requests.chunks(AT_ONCE) {
            let of_each = some.iter().flat_map(|(_, rows)| [(*rows).clone(), Sql::all([*rows, waiting]).nested()]);
            let conditions: Vec<_> = of_each.collect();
            let statement = statements::counts(self.dialect, &self.work.table, &due, &conditions);
            let rows = connection.fetch(&statement).await?;
            let counts = rows.into_iter().flatten().map(|text| text.and_then(|text| text.parse().ok()).unwrap_or(0));
            let counts: Vec<u64> = counts.collect();
            let pairs =
                counts.as_chunks::<2>().0.iter().map(|[all, waiting]| Remaining { all: *all, waiting: *waiting });
            remaining.extend(some.iter().map(|(id, _)| **id).zip(pairs));
        }
        Ok(remaining)
    }

    /// The work without the home rows of these requests.
    pub fn without(&self, ids: &BTreeSet<u64>) -> Option<Sql> {
        let homes: Vec<_> = self
            .homes
            .intersection(ids)
            .filter_map(|id| self.rows.get(id))
            .map(|rows| rows.clone().negated())
            .collect();
        (!homes.is_empty()).then(|| Sql::all(&homes))
    }
}

/// A rule as it answers requests, with the position of the rule itself.
pub(super) struct Variant {
    pub position: usize,
    pub rule: Rule,
    pub fits: Resolved,
    pub answer: Answer,
}

/// The rows of requests in each database.
pub(super) struct Asking<'a> {
    job: &'a Job,
    pub requested: Requested,
    pub persons: Persons,
    bound: BTreeMap<String, Bound>,
}

impl<'a> Asking<'a> {
    /// Looks up the persons.
    ///
    /// # Errors
    /// Keys cannot be read, or a database fails while it is asked.
    pub async fn of(
        job: &'a Job,
        requests: &[Request],
        databases: &BTreeMap<String, OpenDatabase>,
        unavailable: &BTreeMap<String, Unavailable>,
    ) -> anyhow::Result<Self> {
        let mut requested = Requested { requests: requests.to_vec(), ..Requested::default() };
        let mut bound: BTreeMap<String, Bound> =
            databases.iter().map(|(name, open)| (name.clone(), Bound::of_requests(job, name, &open.catalog))).collect();
        let asking: Vec<_> = requests.iter().map(as_hold).collect();
        let mut persons = Persons::look_up(job, &asking).await?;
        let keys = Keys::parse(&job.settings.keys)?.tag;
        for request in requests {
            let id = request.id;
            let identity = persons.identity(id, &request.key).await?;
            let key = keys.iter().find(|key| key.id() == request.tag_key);
            let is_theirs = identity.as_ref().ok().zip(key).is_some_and(|(identity, key)| {
                hex::encode(key.identity_tag(&request.subject, identity)) == request.identity
            });
            let shared = persons.shared_links(id).await?;
            let Some(person) = persons.of(id) else { continue };
            if let Some(name) = person.databases.iter().find(|name| !databases.contains_key(*name)) {
                let why = unavailable.get(name).map_or("no rule of this run is about it", |why| why.reason.as_str());
                requested.unavailable.insert(id, format!("database {name} is not asked: {why}"));
            }
            let known = match &person.outcome {
                Ok(_) if !is_theirs => {
                    let why = "what tells who they are has changed in the home row since the request was opened, or somebody else \
                               has its key now; if it is the same person, close the request and open another one";
                    requested.unclear.insert(id, why.to_owned());
                    continue;
                }
                Ok(known) => known,
                Err(why) => {
                    requested.unclear.insert(id, why.clone());
                    continue;
                }
            };
            let tables = known.subject.links.iter().enumerate().filter(|(position, _)| shared.contains(position));
            let tables: Vec<_> = tables.map(|(_, link)| link.table.to_string()).collect();
            if !tables.is_empty() {
                requested.shared.insert(id, tables);
            }
            for (name, open) in databases {
                let Some(bound) = bound.get_mut(name) else { continue };
                let person = (known, request.key.as_slice());
                let added = bound.add_request((id, &request.reference), person, &shared, (job, name, &open.catalog));
                if let Err(why) = added {
                    requested.unclear.insert(id, why);
                }
            }
        }
        // what is unclear in one database goes in none
        let clear: BTreeSet<_> =
            requests.iter().map(|request| request.id).filter(|id| !requested.unclear.contains_key(id)).collect();
        for bound in bound.values_mut() {
            *bound = bound.only(&clear);
        }
        Ok(Self { job, requested, persons, bound })
    }

    /// The rules that answer, each against its table. `needs`: the first rule needs what the second one changes.
    pub fn variants(
        &self,
        resolved: &[(&Rule, Resolved)],
        databases: &BTreeMap<String, OpenDatabase>,
        holds: &BTreeMap<String, Bound>,
        needs: &dyn Fn(usize, usize) -> bool,
        (now, pseudonym_key): (Timestamp, Option<&[u8]>),
        found: &mut Vec<Diagnostic>,
    ) -> Vec<Variant> {
        let rules: Vec<_> = resolved.iter().map(|(rule, _)| *rule).collect();
        let mut variants = Vec::new();
        for (position, (rule, natural)) in resolved.iter().enumerate() {
            let name = &rule.table.database;
            let (Some(open), Some(held), Some(bound)) = (databases.get(name), holds.get(name), self.bound.get(name))
            else {
                continue;
            };
            let asked = self.requested.requests.iter().filter(|request| rule.answers(request.kind));
            let asked: Vec<_> = asked.collect();
            let bound = bound.only(&asked.iter().map(|request| request.id).collect());
            if bound.is_empty() {
                continue;
            }
            let kinds: BTreeSet<_> = asked.iter().map(|request| request.kind).collect();
            let kinds: Vec<_> = kinds.into_iter().collect();
            let variant = rule.on_request(&rules, &kinds);
            let around =
                Surroundings { requested: Some(&bound), ..surroundings(self.job, open, held, now, pseudonym_key) };
            let mut fits = match resolve::resolve_rule(&variant, &around) {
                Ok(fits) => fits,
                Err(diagnostics) => {
                    found.extend(diagnostics);
                    continue;
                }
            };
            for (at, (other, theirs)) in resolved.iter().enumerate() {
                let is_kept = rule.disposition == Disposition::Erase || needs(at, position);
                let is_about = at != position
                    && other.table.database == *name
                    && theirs.work.table == fits.work.table
                    && !kinds.iter().all(|kind| other.answers_at_once(*kind));
                if is_kept && is_about {
                    spare(&mut fits.work, &kept_by(&theirs.work).negated());
                }
            }
            let Some(table) = open.catalog.get(&natural.work.table) else { continue };
            let row = open.dialect.row(&table.name);
            // among rows that are due: a row of two who both asked counts for both
            let rows = asked.iter().filter_map(|request| {
                Some((request.id, bound.stays(open.dialect, &open.catalog, table, &row, Some(request.id))?))
            });
            let is_home = |request: &&&Request| request.database == *name && request.table == table.name;
            let homes = asked.iter().filter(is_home).map(|request| request.id).collect();
            let answer = Answer {
                rule: rule.id.clone(),
                database: name.clone(),
                dialect: open.dialect,
                work: fits.work.clone(),
                rows: rows.collect(),
                before: BTreeMap::new(),
                is_planned: false,
                homes,
            };
            variants.push(Variant { position, rule: variant, fits, answer });
        }
        variants
    }

    /// Home rows that no rule may take yet, since other rows are still found by them.
    pub fn home_rows(&self, database: &str, work: &Work, open: &OpenDatabase) -> Option<Sql> {
        let bound = self.bound.get(database)?;
        let waiting = self
            .requested
            .requests
            .iter()
            .filter(|request| !request.is_complete && request.database == database && request.table == work.table);
        let waiting: BTreeSet<_> = waiting.map(|request| request.id).collect();
        let table = open.catalog.get(&work.table)?;
        let bound = bound.only(&waiting);
        bound.theirs(open.dialect, &open.catalog, table, &open.dialect.row(&table.name), None)
    }

    fn has_rows(&self, id: u64) -> bool {
        self.requested.answers.iter().any(|answer| answer.before.get(&id).is_some_and(|rows| rows.all > 0))
    }

    /// What the plan tells of each request.
    pub fn planned(&self) -> Vec<PlannedRequest> {
        let requested = &self.requested;
        let told = requested.requests.iter().filter(|request| !request.is_complete || self.has_rows(request.id));
        let planned = told.map(|request| {
            let id = request.id;
            let rows = requested.answers.iter().filter_map(|answer| {
                let rows = answer.before.get(&id).map(|rows| rows.all).filter(|rows| *rows > 0)?;
                Some((answer.rule.clone(), rows))
            });
            let unclear = requested.unclear.get(&id).map(|why| format!("nobody can tell which rows are theirs: {why}"));
            let shared = requested.shared.get(&id).map(|tables| {
                format!("rows of {} are found by a value that somebody else has too, and stay", tables.join(", "))
            });
            let unavailable = requested.unavailable.get(&id).cloned();
            PlannedRequest {
                request: id,
                reference: request.reference.clone(),
                kind: request.kind,
                rows: rows.collect(),
                obstacles: unclear.into_iter().chain(unavailable).chain(shared).collect(),
            }
        });
        planned.collect()
    }
}

/// Rows that another rule keeps: it governs them, has not been carried out on them, and they are not due.
fn kept_by(work: &Work) -> Sql {
    let not_due = work.due.clone().negated();
    Sql::all(work.claimed().chain([&not_due])).nested()
}

/// These rows only.
pub(super) fn spare(work: &mut Work, spared: &Sql) {
    work.condition = Some(Sql::all(work.condition.iter().chain([spared])));
}

/// The persons of requests are looked up as those of holds are.
fn as_hold(request: &Request) -> Hold {
    Hold {
        id: request.id,
        database: request.database.clone(),
        table: request.table.clone(),
        scope: HoldScope::Person { subject: request.subject.clone(), key: request.key.clone(), then: None },
        matter: request.reference.clone(),
        only_row: false,
        binding: None,
    }
}

impl Requested {
    /// Requests of which rows are left that are found by the home row: it has to wait.
    pub fn waits(&self, remaining: &BTreeMap<String, BTreeMap<u64, Remaining>>) -> BTreeSet<u64> {
        let waiting = self.answers.iter().flat_map(|answer| {
            let rows = remaining.get(&answer.rule).into_iter().flatten();
            rows.filter(|(id, rows)| rows.left() > 0 && !answer.homes.contains(id)).map(|(id, _)| *id)
        });
        waiting.chain(self.unavailable.keys().copied()).collect()
    }
}

/// A table with rows about a person.
pub struct DisclosedTable {
    pub database: String,
    pub table: Table,
    /// Rows that are about nobody else.
    pub theirs: Sql,
    /// All rows that are about them.
    pub all: Sql,
}

/// What there is about a person, and where.
pub struct Disclosed {
    pub databases: BTreeMap<String, OpenDatabase>,
    pub tables: Vec<DisclosedTable>,
    /// Tables with rows that are found by a value which somebody else has too.
    pub shared: Vec<String>,
}

/// Looks for everything that there is about a person. Inside, why it cannot be told.
///
/// # Errors
/// Keys cannot be read, or a database fails while it is asked.
pub async fn disclosed(job: &Job, request: &Request) -> anyhow::Result<Result<Disclosed, String>> {
    let Some(subject) = job.settings.subjects.get(&request.subject) else {
        return Ok(Err(format!("subject `{}` is not in sunset.yaml", request.subject)));
    };
    let (databases, unavailable) = open_databases(job, subject.databases()).await;
    if let Some((name, why)) = unavailable.iter().next() {
        return Ok(Err(format!("database {name} is not available: {}", why.reason)));
    }
    let asking = Asking::of(job, std::slice::from_ref(request), &databases, &unavailable).await?;
    if let Some(why) = asking.requested.unclear.get(&request.id) {
        return Ok(Err(why.clone()));
    }
    let mut tables = Vec::new();
    for (name, open) in &databases {
        let Some(bound) = asking.bound.get(name) else { continue };
        let (dialect, catalog) = (open.dialect, &open.catalog);
        for table in bound.tables(dialect, catalog) {
            let Some(table) = catalog.get(&table) else { continue };
            let row = dialect.row(&table.name);
            let theirs = bound.theirs(dialect, catalog, table, &row, None);
            let all = bound.stays(dialect, catalog, table, &row, None);
            let (Some(theirs), Some(all)) = (theirs, all) else { continue };
            tables.push(DisclosedTable { database: name.clone(), table: table.clone(), theirs, all });
        }
    }
    let shared = asking.requested.shared.get(&request.id).cloned().unwrap_or_default();
    Ok(Ok(Disclosed { databases, tables, shared }))
}

/// The columns of a database's tables that are read to tell which rows are about a person who asks, where rules answer.
pub fn read_for_requests(job: &Job, database: &str, catalog: &Catalog) -> Vec<(TableName, Vec<String>)> {
    if !job.rules().any(|rule| rule.on_request.act == Act::Now) {
        return Vec::new();
    }
    let mut read = Vec::new();
    for subject in job.settings.subjects.values() {
        if subject.home.database == database
            && let Ok(home) = subject::home_of(subject, catalog)
        {
            let ours = subject.links.iter().flat_map(|link| &link.columns).map(|column| column.ours.clone());
            read.push((home.name.clone(), home.primary_key.iter().cloned().chain(ours).collect()));
        }
        for link in subject.links.iter().filter(|link| link.table.database == database) {
            if let Ok(table) = subject::table_of(catalog, &link.table) {
                read.push((table.name.clone(), link.columns.iter().map(|column| column.theirs.clone()).collect()));
            }
        }
    }
    // whatever references these, and what references that
    let mut reached: BTreeSet<TableName> = read.iter().map(|(table, _)| table.clone()).collect();
    let mut is_new = true;
    while is_new {
        is_new = false;
        for table in catalog.tables.iter().filter(|table| table.kind != TableKind::View) {
            for key in table.foreign_keys.iter().filter(|key| reached.contains(&key.references)) {
                let known = (table.name.clone(), key.columns.clone());
                if !read.contains(&known) {
                    read.push(known);
                    read.push((key.references.clone(), key.referenced_columns.clone()));
                    is_new = true;
                }
            }
        }
        reached.extend(read.iter().map(|(table, _)| table.clone()));
    }
    read
}
