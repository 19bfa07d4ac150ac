//! What persons have asked for: which rules answer, as steps of a plan after all others.
//!
//! Each rule that says `on_request: now` gets a step of its own, whose rows are due for being about somebody who asked.
//! Everything else is as it is in the rule's own step: its condition, its dependents, recipients, holds, limits, evidence. The
//! home rows go last, because they tell which other rows are the person's.

mod disclosed;
mod sight;
mod variant;

pub use disclosed::{Disclosed, DisclosedTable, disclosed};
pub(super) use variant::{Variant, spare};

use super::{
    holds::{Bound, Hold, HoldScope, Spot},
    interplay::names::{Live, Names as _},
    open::{OpenDatabase, Unavailable},
    subject::{self, Claimed, Persons},
};
use crate::{
    catalog::{Catalog, TableKind, TableName},
    database::{Connection, Dialect, Error, Work, statements},
    evidence::keys::Keys,
    job::Job,
    rules::{Act, RequestKind},
    sql::Sql,
};
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
    /// Links of which it was known when it was approved that nobody can tell whose rows they find, by table.
    pub unclear: BTreeMap<String, BTreeSet<String>>,
}

impl Request {
    /// Whoever approved it knew of the link.
    fn knows(&self, link: &UnclearLink) -> bool {
        self.unclear.get(&link.table).is_some_and(|known| known.contains(&link.columns))
    }
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
    /// Requests with links of which nobody can tell whose rows they lead to.
    pub shared: BTreeMap<u64, Vec<UnclearLink>>,
    /// Rules that answer requests and cannot be carried out for these, and why.
    pub blocked: Vec<Blocked>,
    /// What each rule that answers does for them.
    pub answers: Vec<Answer>,
}

/// A link of which nobody can tell whose rows it leads to.
#[derive(Clone, Debug)]
pub struct UnclearLink {
    /// `database.schema.table`.
    pub table: String,
    /// The columns that it compares.
    pub columns: String,
    pub why: &'static str,
}

/// A rule that would answer requests, and stands back.
#[derive(Clone, Debug)]
pub struct Blocked {
    pub rule: String,
    pub requests: BTreeSet<u64>,
    pub why: String,
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
    pub turn: Turn,
}

/// When a rule has its turn among those that answer: what it takes may be what other rows are found by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Turn {
    Early,
    /// It changes columns by which rows are found.
    Late,
    /// It takes home rows.
    Home,
}

/// Rows of a request that have not gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Remaining {
    /// Held ones among them, and those that wait.
    pub all: u64,
    /// They wait for dependents that stay.
    pub waiting: u64,
    /// A hold keeps them.
    pub held: u64,
}

impl Remaining {
    /// Rows that could go, now or once a hold is released.
    pub fn left(self) -> u64 {
        self.all.saturating_sub(self.waiting)
    }

    /// Rows that go, once what they wait for has gone.
    pub fn going(self) -> u64 {
        self.all.saturating_sub(self.held)
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
    /// Links of which nobody can tell whose rows they find, by table: `database.schema.table`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unclear: BTreeMap<String, BTreeSet<String>>,
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
        let held = self.work.held.as_ref().unwrap_or(&none);
        let free = held.clone().negated();
        let mut remaining = BTreeMap::new();
        let requests: Vec<_> = self.rows.iter().collect();
        for some in requests.chunks(AT_ONCE) {
            let of_each = some.iter().flat_map(|(_, rows)| {
                let held = Sql::all([*rows, held]).nested();
                [(*rows).clone(), Sql::all([*rows, waiting, &free]).nested(), held]
            });
            let conditions: Vec<_> = of_each.collect();
            let statement = statements::counts(self.dialect, &self.work.table, &due, &conditions);
            let rows = connection.fetch(&statement).await?;
            let counts = rows.into_iter().flatten().map(|text| text.and_then(|text| text.parse().ok()).unwrap_or(0));
            let counts: Vec<u64> = counts.collect();
            let of_each = counts.as_chunks::<3>().0.iter();
            let of_each = of_each.map(|[all, waiting, held]| Remaining { all: *all, waiting: *waiting, held: *held });
            remaining.extend(some.iter().map(|(id, _)| **id).zip(of_each));
        }
        Ok(remaining)
    }

    /// The work without the rows of these requests.
    pub fn without(&self, ids: &BTreeSet<u64>) -> Option<Sql> {
        let rows = self.rows.iter().filter(|(id, _)| ids.contains(id)).map(|(_, rows)| rows.clone().negated());
        let others: Vec<_> = rows.collect();
        (!others.is_empty()).then(|| Sql::all(&others))
    }
}

/// The rows of requests in each database.
pub(super) struct Asking<'a> {
    job: &'a Job,
    pub requested: Requested,
    pub persons: Persons,
    /// The home rows of all open requests: request, database, table and key.
    home_rows: Vec<(u64, String, TableName, Vec<String>)>,
    bound: BTreeMap<String, Bound>,
    /// Rows of all persons with open requests.
    in_sight: BTreeMap<String, Bound>,
}

impl<'a> Asking<'a> {
    /// Looks up the persons.
    ///
    /// # Errors
    /// Keys cannot be read, or a database fails while it is asked.
    pub async fn of(
        job: &'a Job,
        (requests, holds): (&[Request], &[Hold]),
        databases: &mut BTreeMap<String, OpenDatabase>,
        unavailable: &BTreeMap<String, Unavailable>,
    ) -> anyhow::Result<Self> {
        let mut requested = Requested { requests: requests.to_vec(), ..Requested::default() };
        let asking: Vec<_> = requests.iter().map(as_hold).collect();
        let mut persons = Persons::look_up(job, &asking).await?;
        let mut bound = BTreeMap::new();
        let is_open = holds.iter().any(|hold| matches!(hold.scope, HoldScope::HomeRow { .. }));
        for (name, open) in databases.iter().filter(|_| is_open || !requests.is_empty()) {
            let names = persons.places.names_of(name, open);
            let spot = Spot { job, name, catalog: &open.catalog, names: &names, places: &persons.places };
            bound.insert(name.clone(), Bound::of_requests(spot));
        }
        let keys = Keys::parse(&job.settings.keys)?.tag;
        for request in requests {
            let id = request.id;
            let identity = persons.identity(id, &request.key).await?;
            let key = keys.iter().find(|key| key.id() == request.tag_key);
            let is_theirs = identity.as_ref().ok().zip(key).is_some_and(|(identity, key)| {
                hex::encode(key.identity_tag(&request.subject, identity)) == request.identity
            });
            let claimed = persons.claim(job, (id, &request.key), databases).await?;
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
            let same_home = job.settings.subjects.values().find(|other| {
                other.name != known.subject.name
                    && Live(databases).table(&other.home) == Live(databases).table(&known.subject.home)
            });
            if let Some(other) = same_home {
                let why = "has the same home table, and links of its own: give one subject the links of both";
                requested.unclear.insert(id, format!("subject `{}` {why}", other.name));
                continue;
            }
            let claimed = match claimed {
                Ok(claimed) => claimed,
                Err(why) => {
                    requested.unclear.insert(id, why);
                    continue;
                }
            };
            let unclear = claimed.iter().filter_map(|(position, claimed)| match claimed {
                Claimed::Unclear(why) => {
                    let link = known.subject.links.get(*position)?;
                    let database = &link.table.database;
                    let table = subject::table_of(&databases.get(database)?.catalog, &link.table).ok()?;
                    let (table, columns) = (format!("{database}.{}", table.name), link.words());
                    Some(UnclearLink { table, columns, why })
                }
                Claimed::Theirs(_) => None,
            });
            let unclear: Vec<_> = unclear.collect();
            if !unclear.is_empty() {
                requested.shared.insert(id, unclear);
            }
            for (name, open) in databases.iter() {
                let Some(bound) = bound.get_mut(name) else { continue };
                let person = (known, request.key.as_slice());
                let names = persons.places.names_of(name, open);
                let spot = Spot { job, name, catalog: &open.catalog, names: &names, places: &persons.places };
                let added = bound.add_request((id, &request.reference), person, &claimed, spot);
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
        let home_rows = holds.iter().filter_map(|hold| match &hold.scope {
            HoldScope::HomeRow { request, key: Some(key), .. } => {
                Some((*request, hold.database.clone(), hold.table.clone(), key.clone()))
            }
            _ => None,
        });
        let in_sight = sight::in_sight(job, holds, databases).await?;
        Ok(Self { job, requested, home_rows: home_rows.collect(), persons, bound, in_sight })
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
                let rows = answer.before.get(&id).map(|rows| rows.going()).filter(|rows| *rows > 0)?;
                Some((answer.rule.clone(), rows))
            });
            let unclear = requested.unclear.get(&id).map(|why| format!("nobody can tell which rows are theirs: {why}"));
            let shared = requested.shared.get(&id).into_iter().flatten();
            let shared = shared.map(|link| {
                let UnclearLink { table, columns, why } = link;
                let is_new = "; the home row waits until somebody approves the request with that";
                let then = if request.knows(link) { "" } else { is_new };
                format!("rows of {table} that a link ({columns}) finds stay: {why}{then}")
            });
            let blocked = requested.blocked.iter().filter(|blocked| blocked.requests.contains(&id));
            let blocked = blocked.map(|blocked| format!("rule {} is not carried out: {}", blocked.rule, blocked.why));
            let unavailable = requested.unavailable.get(&id).cloned();
            let mut links: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
            for link in requested.shared.get(&id).into_iter().flatten() {
                links.entry(link.table.clone()).or_default().insert(link.columns.clone());
            }
            PlannedRequest {
                request: id,
                reference: request.reference.clone(),
                kind: request.kind,
                rows: rows.collect(),
                unclear: links,
                obstacles: unclear.into_iter().chain(unavailable).chain(shared).chain(blocked).collect(),
            }
        });
        planned.collect()
    }
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
    /// Requests of which rows are left that are found by what a step of this turn takes: it has to wait.
    pub fn waits(&self, remaining: &BTreeMap<String, BTreeMap<u64, Remaining>>, turn: Turn) -> BTreeSet<u64> {
        let earlier = self.answers.iter().filter(|answer| answer.turn < turn);
        let waiting = earlier.flat_map(|answer| {
            let rows = remaining.get(&answer.rule).into_iter().flatten();
            // those that wait for others, or are held, would be lost sight of as well
            rows.filter(|(_, rows)| rows.all > 0).map(|(id, _)| *id)
        });
        let blocked = self.blocked.iter().flat_map(|blocked| blocked.requests.iter().copied());
        // whoever approved it did not know that these rows are lost sight of when the home row goes
        let news = self.requests.iter().filter(|request| {
            let mut unclear = self.shared.get(&request.id).into_iter().flatten();
            unclear.any(|link| !request.knows(link))
        });
        let news = news.map(|request| request.id);
        waiting.chain(self.unavailable.keys().copied()).chain(blocked).chain(news).collect()
    }
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
