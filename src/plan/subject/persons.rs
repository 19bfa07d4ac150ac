//! The persons whom holds are about: looked up when a job is planned, and again while it runs.
//!
//! [`Persons::look_up`] opens the home database of each hold's subject, whether its rules are chosen or not, and keeps the
//! connections: [`Persons::are_unchanged`] asks the same questions again between batches.

use super::{Values, alone::Alone, comparisons, home_of, look_up};
use crate::{
    catalog::{Form, PersonLink, Table, TableName, TablePath},
    database::{Connection, Error, ErrorKind, Row},
    evidence::{keys::Keys, tag::TagKey},
    job::Job,
    plan::{
        HoldScope, SubjectThen,
        holds::{self, Hold},
        open::{OpenDatabase, Unavailable},
        open_database,
        places::Places,
    },
    settings::{Subject, SubjectLink},
    sql::Statement,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

/// The persons of all holds in force.
#[derive(Default)]
pub struct Persons {
    /// The databases of the home tables that can be reached.
    pub(super) homes: BTreeMap<String, OpenDatabase>,
    pub(super) found: Vec<FoundPerson>,
    /// Where the names of the settings lead to.
    pub(in crate::plan) places: Places,
    /// Databases in which nothing may be done since a home cannot be asked.
    pub unavailable: BTreeMap<String, Unavailable>,
    /// When they were last seen to be unchanged.
    looked_at: Option<Instant>,
}

/// The person of one hold.
pub(in crate::plan) struct FoundPerson {
    pub hold: u64,
    /// Databases that have rows of them: by the settings now, and by those of the time when the hold was added.
    pub databases: BTreeSet<String>,
    /// Why the hold cannot be applied any more.
    pub outcome: Result<Known, String>,
    /// What has to stay true for linked rows to be theirs alone, where rows go for that.
    pub(super) alone: Vec<Alone>,
    /// Their home row is at work now, and need not stay as it was.
    is_going: bool,
}

impl FoundPerson {
    fn new(hold: u64, databases: BTreeSet<String>, outcome: Result<Known, String>) -> Self {
        Self { hold, databases, outcome, alone: Vec::new(), is_going: false }
    }
}

/// What is known of a person.
pub(in crate::plan) struct Known {
    pub subject: Subject,
    pub home: Table,
    pub values: Values,
    names: Vec<String>,
    statement: Statement,
    /// What the subject was when the hold was added.
    then: Option<SubjectThen>,
}

impl Known {
    /// The subject's links, each as it was when the hold was added.
    pub fn links(&self) -> impl Iterator<Item = (&SubjectLink, Option<&PersonLink>)> {
        let then = |link: &SubjectLink| self.then.as_ref()?.links.iter().find(|then| is_link(link, then));
        self.subject.links.iter().map(move |link| (link, then(link)))
    }

    /// Tables at which the way over foreign keys ends, now and when the hold was added.
    pub fn ends(&self) -> impl Iterator<Item = &TablePath> {
        self.subject.not_theirs.iter().filter(|path| !self.is_later(path))
    }

    /// Tables that came into `not_theirs` since: the hold does not let go of their rows for that.
    pub fn later_ends(&self) -> impl Iterator<Item = &TablePath> {
        self.subject.not_theirs.iter().filter(|path| self.is_later(path))
    }

    fn is_later(&self, path: &TablePath) -> bool {
        let then = self.then.as_ref().and_then(|then| then.not_theirs.as_ref());
        then.is_some_and(|then| !then.contains(&path.to_string()))
    }
}

/// The settings have the link as it was.
fn is_link(link: &SubjectLink, then: &PersonLink) -> bool {
    link.table.to_string() == then.table && link.words() == then.columns
}

impl Persons {
    /// Looks up the persons of these holds.
    ///
    /// # Errors
    /// The ledger's keys cannot be read.
    pub async fn look_up(job: &Job, all: &[Hold]) -> anyhow::Result<Self> {
        let mut persons = Self::default();
        if all.is_empty() {
            return Ok(persons);
        }
        persons.places = Places::look_up(job, &reached(job, all)).await;
        if !all.iter().any(|hold| matches!(hold.scope, HoldScope::Person { .. })) {
            return Ok(persons);
        }
        let keys = Keys::parse(&job.settings.keys)?.tag;
        for hold in all {
            let HoldScope::Person { subject: name, key, then } = &hold.scope else { continue };
            let subject = job.settings.subjects.get(name);
            let databases: BTreeSet<String> = reached_by(job, hold).map(str::to_owned).collect();
            let Some(subject) = subject else {
                let outcome = Err(format!("its subject `{name}` is not in sunset.yaml"));
                persons.found.push(FoundPerson::new(hold.id, databases, outcome));
                continue;
            };
            let outcome = match persons.open(job, &subject.home.database).await {
                Some(unavailable) => Err(unavailable),
                None => persons.ask(subject, (hold, key), then.as_ref(), &keys).await,
            };
            let outcome = outcome.unwrap_or_else(|unavailable| {
                let reason = format!(
                    "hold {} is on a person of {}, whose database is not available, so nobody can tell which rows are theirs: {}",
                    hold.name(),
                    subject.home,
                    unavailable.reason
                );
                for database in &databases {
                    let unavailable = Unavailable { reason: reason.clone(), temporary: unavailable.temporary };
                    persons.unavailable.entry(database.clone()).or_insert(unavailable);
                }
                Err(format!("its person cannot be looked up: {}", unavailable.reason))
            });
            persons.found.push(FoundPerson::new(hold.id, databases, outcome));
        }
        Ok(persons)
    }

    /// Nothing may be done in databases whose rows may be those of a person who cannot be asked about.
    pub fn close_off(
        &self,
        databases: &mut BTreeMap<String, OpenDatabase>,
        unavailable: &mut BTreeMap<String, Unavailable>,
    ) {
        for (name, why) in &self.unavailable {
            // over whatever name it was opened
            let leads_there =
                |(known, open): &(&String, &OpenDatabase)| self.places.names_of(known, open).contains(name.as_str());
            let closed: Vec<_> = databases.iter().filter(leads_there).map(|(name, _)| name.clone()).collect();
            for name in closed {
                databases.remove(&name);
                unavailable.insert(name, why.clone());
            }
        }
    }

    /// What is known of a hold's person; inside, why the hold cannot be applied any more.
    ///
    /// # Errors
    /// The home database cannot be asked.
    async fn ask(
        &mut self,
        subject: &Subject,
        (hold, key): (&Hold, &[String]),
        then: Option<&SubjectThen>,
        keys: &[TagKey],
    ) -> Result<Result<Known, String>, Unavailable> {
        let Some(home) = self.homes.get_mut(&subject.home.database) else {
            return Ok(Err(format!("its database `{}` is not in sunset.yaml", subject.home.database)));
        };
        match known(subject, home, (hold, key), then, keys).await {
            Ok(outcome) => Ok(outcome),
            Err(error) if matches!(error.kind, ErrorKind::Other | ErrorKind::Constraint) => {
                Ok(Err(format!("its person cannot be looked up any more: {error}")))
            }
            Err(error) => Err(Unavailable {
                temporary: !matches!(error.kind, ErrorKind::Refused | ErrorKind::Privilege),
                reason: error.to_string(),
            }),
        }
    }

    /// Opens a home database. Delivers why it cannot be.
    pub(super) async fn open(&mut self, job: &Job, name: &str) -> Option<Unavailable> {
        if self.homes.contains_key(name) {
            return None;
        }
        let settings = job.settings.databases.get(name)?;
        match open_database(settings, &job.settings.pace).await {
            Ok(open) => {
                self.homes.insert(name.to_owned(), open);
                None
            }
            Err(error) => {
                let temporary = !matches!(error.kind, ErrorKind::Refused | ErrorKind::Privilege);
                Some(Unavailable { reason: error.to_string(), temporary })
            }
        }
    }

    pub(in crate::plan) fn of(&self, hold: u64) -> Option<&FoundPerson> {
        self.found.iter().find(|person| person.hold == hold)
    }

    /// What tells a hold's person from somebody else with the same key.
    ///
    /// # Errors
    /// The home database fails; inside: there is no such row, in words.
    pub(in crate::plan) async fn identity(
        &mut self,
        hold: u64,
        key: &[String],
    ) -> Result<Result<Vec<String>, String>, Error> {
        let person = self.found.iter().find(|person| person.hold == hold);
        let known = match person.map(|person| &person.outcome) {
            Some(Ok(known)) => known,
            Some(Err(why)) => return Ok(Err(why.clone())),
            None => return Ok(Err("nobody has looked for them".to_owned())),
        };
        match self.homes.get_mut(&known.subject.home.database) {
            Some(home) => super::identity(&known.subject, home, key).await,
            None => Ok(Err(format!("database {} is not asked", known.subject.home.database))),
        }
    }

    /// The columns of a database's tables that are read to look the persons up.
    pub fn reads(&self, database: &str) -> Vec<(TableName, Vec<String>)> {
        let known = self.found.iter().filter_map(|person| person.outcome.as_ref().ok());
        let here = known.filter(|known| known.subject.home.database == database);
        let columns = |known: &Known| known.home.primary_key.iter().chain(&known.names).cloned().collect();
        here.map(|known| (known.home.name.clone(), columns(known))).collect()
    }

    /// The databases of the home tables.
    pub fn homes(&self) -> impl Iterator<Item = &str> {
        self.homes.keys().map(String::as_str)
    }

    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// The home rows say what they said when the persons were looked up. Rows of the first database are asked for over this
    /// session, which may have locked the table against all others.
    ///
    /// # Errors
    /// A home database fails.
    pub async fn are_unchanged(&mut self, mut own: Option<(&str, &mut dyn Connection)>) -> Result<bool, Error> {
        for person in self.found.iter().filter(|person| !person.is_going) {
            let Ok(known) = &person.outcome else { continue };
            let name = known.subject.home.database.as_str();
            let Some(home) = self.homes.get_mut(name) else { continue };
            let rows = match &mut own {
                Some((database, connection)) if *database == name => connection.fetch(&known.statement).await?,
                _ => ask_home(home, &known.statement).await?,
            };
            let engine = home.catalog.engine;
            let now = rows.into_iter().next().map(|row| Values::read(engine, &known.home, &known.names, row));
            if now.as_ref() != Some(&known.values) {
                return Ok(false);
            }
        }
        for at in 0..self.found.len() {
            let person = &mut self.found[at];
            if person.is_going {
                continue;
            }
            let look_ups = std::mem::take(&mut person.alone);
            let mut are_true = true;
            for look_up in &look_ups {
                are_true = are_true && self.holds_true(look_up).await?;
            }
            self.found[at].alone = look_ups;
            if !are_true {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The same, where it is longer ago than this that they were looked at.
    ///
    /// # Errors
    /// A home database fails.
    pub async fn are_unchanged_since(&mut self, most: Duration) -> Result<bool, Error> {
        if self.looked_at.is_some_and(|then| then.elapsed() < most) {
            return Ok(true);
        }
        let unchanged = self.are_unchanged(None).await?;
        self.looked_at = unchanged.then(Instant::now);
        Ok(unchanged)
    }

    /// The home rows of these requests are at work from now on.
    pub fn let_go(&mut self, requests: &BTreeSet<u64>) {
        for person in self.found.iter_mut().filter(|person| requests.contains(&person.hold)) {
            person.is_going = true;
        }
    }
}

/// Asks a home database, over another session where the first was ended while a batch took its time.
pub(super) async fn ask_home(home: &mut OpenDatabase, statement: &Statement) -> Result<Vec<Row>, Error> {
    match home.connection.fetch(statement).await {
        Err(error) if error.kind == ErrorKind::Unreachable => {
            home.connection = home.database.connect_to_count().await?;
            home.connection.fetch(statement).await
        }
        rows => rows,
    }
}

/// Holds know nothing to print of persons.
impl std::fmt::Debug for Persons {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.debug_struct("Persons").field("holds", &self.found.len()).finish_non_exhaustive()
    }
}

/// What is known of a hold's person, or why the hold cannot be applied any more.
async fn known(
    subject: &Subject,
    home: &mut OpenDatabase,
    (hold, key): (&Hold, &[String]),
    then: Option<&SubjectThen>,
    keys: &[TagKey],
) -> Result<Result<Known, String>, Error> {
    let (names, statement) = match look_up(subject, home, key) {
        Ok(look_up) => look_up,
        Err(why) => return Ok(Err(why)),
    };
    let table = match home_of(subject, &home.catalog) {
        Ok(table) => table.clone(),
        Err(why) => return Ok(Err(why)),
    };
    if subject.home.database != hold.database {
        return Ok(Err(format!("the home of `{}` is {} now", subject.name, subject.home)));
    }
    match holds::home_row(home, hold).await? {
        Ok(found) if found == table.name => {}
        Ok(found) => {
            return Ok(Err(format!(
                "the home of `{}` is {} now, and the hold is on {found}",
                subject.name, subject.home
            )));
        }
        Err(why) => return Ok(Err(why)),
    }
    let Some(row) = home.connection.fetch(&statement).await?.into_iter().next() else {
        return Ok(Err(format!("{} has no row with its key any more", subject.home)));
    };
    let values = Values::read(home.catalog.engine, &table, &names, row);
    let links = then.map_or(&[][..], |then| &then.links);
    for then in links {
        let Some(link) = subject.links.iter().find(|link| is_link(link, then)) else {
            return Ok(Err(format!(
                "`links` of `{}` does not have {} with {} any more, which the hold was added with",
                subject.name, then.table, then.columns
            )));
        };
        if then.calling_code.is_some() && then.calling_code != calling_code(subject, link) {
            return Ok(Err(format!(
                "`country_calling_code` of `{}` is another one since the hold was added, so {} is linked to other numbers",
                subject.name, then.table
            )));
        }
        let Some(tag_key) = keys.iter().find(|key| key.id() == then.tag_key) else {
            return Ok(Err(format!(
                "`keys.tag` does not have the key {} any more, by which a change of what links {} is noticed",
                then.tag_key, then.table
            )));
        };
        if tag(subject, link, &table, &values, tag_key) != then.tag {
            return Ok(Err(format!(
                "what links {} ({}) has changed in {} since the hold was added: rows with the old value are not found by it",
                then.table, then.columns, subject.home
            )));
        }
    }
    let added = subject.links.iter().find(|link| !links.iter().any(|then| is_link(link, then)));
    if let Some(link) = added.filter(|_| then.is_some()) {
        // without a tag of that time nobody would notice that the value changes
        return Ok(Err(format!(
            "`links` of `{}` has {} with {} now, which the hold was added without",
            subject.name,
            link.table,
            link.words()
        )));
    }
    Ok(Ok(Known { subject: subject.clone(), home: table, values, names, statement, then: then.cloned() }))
}

/// The links of a subject, with tags of the person's values, as a hold keeps them.
pub fn links_of(subject: &Subject, home: &Table, values: &Values, key: &TagKey) -> Vec<PersonLink> {
    let link = |link: &SubjectLink| PersonLink {
        table: link.table.to_string(),
        columns: link.words(),
        tag_key: key.id().to_owned(),
        tag: tag(subject, link, home, values, key),
        calling_code: calling_code(subject, link),
        name: None,
        binding: None,
    };
    subject.links.iter().map(link).collect()
}

/// The subject's, where the link compares phone numbers.
fn calling_code(subject: &Subject, link: &SubjectLink) -> Option<String> {
    let has_phones = link.columns.iter().any(|column| column.form == Form::Phone);
    subject.country_calling_code.clone().filter(|_| has_phones)
}

/// The databases that the person of a hold has rows in: by the settings now, and by those of the time when the hold was added.
fn reached_by<'a>(job: &'a Job, hold: &'a Hold) -> impl Iterator<Item = &'a str> {
    let (subject, then) = match &hold.scope {
        HoldScope::Person { subject, then, .. } => (job.settings.subjects.get(subject), then.as_ref()),
        HoldScope::Key(_) | HoldScope::Condition(_) | HoldScope::HomeRow { .. } => (None, None),
    };
    let links = then.into_iter().flat_map(|then| &then.links);
    let then = links.filter_map(|link| Some(link.table.split_once('.')?.0));
    [hold.database.as_str()].into_iter().chain(then).chain(subject.into_iter().flat_map(|subject| subject.databases()))
}

/// The databases that holds reach.
fn reached<'a>(job: &'a Job, holds: &'a [Hold]) -> BTreeSet<&'a str> {
    holds.iter().flat_map(|hold| reached_by(job, hold)).collect()
}

/// Different spellings of a value have the same tag.
fn tag(subject: &Subject, link: &SubjectLink, home: &Table, values: &Values, key: &TagKey) -> String {
    // the tag is made of what the home table says alone: the other database need not be open
    let plain = |column: &crate::settings::LinkedColumn| {
        let value = values.of(&column.ours);
        match home.column(&column.ours) {
            Some(ours) => super::Comparison {
                ours,
                theirs: ours,
                form: column.form,
                engine: crate::catalog::Engine::Postgres,
                calling_code: subject.country_calling_code.as_deref(),
            }
            .plain(value),
            None => value.to_owned(),
        }
    };
    let (table, words) = (link.table.to_string(), link.words());
    let mut parts = vec!["subject".to_owned(), subject.name.clone(), table, words];
    parts.extend(link.columns.iter().map(plain));
    hex::encode(key.tag("", &parts))
}

/// Columns of links without a value, or whose value is not what its form says, in words without the values.
pub fn doubts(subject: &Subject, home: &Table, values: &Values, open: &BTreeMap<String, OpenDatabase>) -> Vec<String> {
    let mut doubts = BTreeSet::new();
    for link in &subject.links {
        let Some(catalog) = open.get(&link.table.database).map(|open| &open.catalog) else { continue };
        let Ok(theirs) = super::table_of(catalog, &link.table) else { continue };
        let Ok(all) = comparisons(subject, link, home, (theirs, catalog.engine)) else { continue };
        for (column, comparison) in all {
            if values.of(&column.ours).trim().is_empty() {
                doubts.insert(format!(
                    "`{}` of {} has no value for this person, so no row of {} is linked by it",
                    column.ours, subject.home, link.table
                ));
            }
            if comparison.is_doubtful(values.of(&column.ours)) {
                doubts.insert(format!(
                    "`{}` of {} does not look like what `as: {}` says: rows of other tables are only found where they have the same",
                    column.ours,
                    subject.home,
                    column.form.word()
                ));
            }
        }
    }
    doubts.into_iter().collect()
}
