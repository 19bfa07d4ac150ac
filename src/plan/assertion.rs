//! Assertions held against the databases and against what people have attested. Reading only; what is told are numbers of
//! rows and names of columns, never a value.

use super::{condition, find::find_column, find_table};
use crate::{
    catalog::{Catalog, Column, ColumnKind, Engine, Table, TableName},
    clock::{
        self, PointKind,
        period::{Period, PeriodChoice},
        starting_point::CountedFrom,
    },
    database::{self, scan},
    diagnostic::{Code, Diagnostic, Place},
    evidence::Attestation,
    job::Job,
    ledger::AssertionResult,
    outcome::Outcome,
    plan::open::{OpenDatabase, Unavailable},
    recipients::{CheckError, Retention},
    rules::{Assertion, Check, NoRows, RetentionAt},
    sql::{Sql, Statement, Value},
};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

mod card_numbers;
mod cards;

/// Rows that must not be there are counted up to this number.
const MOST_COUNTED: u64 = 1000;

/// How long recipients keep data, by name, as they have told; or why they have not.
pub type Retentions = BTreeMap<String, Result<Option<Retention>, CheckError>>;

/// What others have said that assertions are about.
#[derive(Clone, Debug, Default)]
pub struct Said {
    /// By people, by assertion.
    pub attested: BTreeMap<String, Attestation>,
    /// By recipients; `None`: nobody has asked them, and these assertions are left out.
    pub retentions: Option<Retentions>,
}

/// What came of an assertion.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckedAssertion {
    pub assertion: String,
    pub category: String,
    pub statement: String,
    pub result: AssertionResult,
    /// In words.
    pub found: String,
    /// The last day of an attestation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Date>,
    /// What that makes of a plan or a run.
    pub outcome: Outcome,
}

/// The last day on which an attestation counts: the one that was said, or sooner where the rule has become stricter.
pub fn last_day(attestation: &Attestation, every: Period) -> Date {
    attestation.until.min(clock::end_of_period(attestation.on, every))
}

/// An assertion that fits its database.
pub struct Task<'a> {
    pub assertion: &'a Assertion,
    look: Look,
}

enum Look {
    Count {
        statement: Statement,
        reads: (TableName, Vec<String>),
    },
    Cards(cards::Search),
    /// What others have said, people or recipients.
    Said,
    /// Its database is not open.
    Closed,
}

/// The databases that the job's assertions are about.
pub fn databases_of(job: &Job) -> BTreeSet<&str> {
    job.assertions().filter_map(Assertion::database).collect()
}

/// Holds the assertions against the schemas of the databases that are open.
pub fn resolve<'a>(
    job: &'a Job,
    databases: &BTreeMap<String, OpenDatabase>,
    today: Date,
    found: &mut Vec<Diagnostic>,
) -> Vec<Task<'a>> {
    let look = |assertion: &Assertion, found: &mut Vec<Diagnostic>| {
        let Some(name) = assertion.database() else { return Some(Look::Said) };
        let Some(open) = databases.get(name) else { return Some(Look::Closed) };
        let errors = found.len();
        let look = match &assertion.check {
            Check::NoRows(no_rows) => count(job, open, assertion, no_rows, today, found),
            Check::NoCardNumbers(no_cards) => Some(Look::Cards(cards::resolve(open, assertion, no_cards, found))),
            Check::RetentionAt(_) | Check::AttestedEvery(_) => Some(Look::Said),
        };
        look.filter(|_| found.len() == errors)
    };
    job.assertions().filter_map(|assertion| Some(Task { assertion, look: look(assertion, found)? })).collect()
}

impl Task<'_> {
    /// The columns that it reads, by table.
    pub fn reads(&self) -> Vec<(TableName, Vec<String>)> {
        match &self.look {
            Look::Count { reads, .. } => vec![reads.clone()],
            Look::Cards(search) => search.reads(),
            Look::Said | Look::Closed => Vec::new(),
        }
    }
}

fn count(
    job: &Job,
    open: &OpenDatabase,
    assertion: &Assertion,
    no_rows: &NoRows,
    today: Date,
    found: &mut Vec<Diagnostic>,
) -> Option<Look> {
    let place = assertion.place.key("no_rows");
    let table = readable_table(&open.catalog, &no_rows.table, place.key("table"), found)?;
    let (dialect, row) = (open.dialect, open.dialect.row(&table.name));
    let condition = no_rows.condition.as_ref();
    let mut all: Vec<Sql> = condition
        .and_then(|condition| condition::on_rows(dialect, table, &row, condition, &place.key("where"), found))
        .into_iter()
        .collect();
    let mut reads = condition::columns(condition, open.catalog.engine);
    for (name, period) in &no_rows.older_than {
        let place = place.key("older_than").key(name);
        let column = find_column(table, name, place.name()).map_err(|error| found.push(error)).ok()?;
        let Some(kind) = point_kind(open.catalog.engine, column) else {
            let message = format!("`{name}` has the type {}, which holds no point in time", column.sql_type);
            found.push(Diagnostic::error(Code::StartingPointType, place, message).help("take a date or a timestamp"));
            continue;
        };
        let periods = PeriodChoice { default: *period, when: Vec::new() };
        let days = clock::due_days(&CountedFrom::default(), &periods, &BTreeMap::new(), today);
        let zone = &job.settings.time_zone;
        let point = Sql::new(dialect.column(&row, name));
        let ranges = days.cutoffs(kind, zone, zone).ranges.into_iter().map(|range| {
            let mut past = dialect.comparable(&point, kind, range.before.contains(' '));
            past.append(&Sql::bound(format!(" < {}", dialect.bound(kind)), Value::Text(range.before)));
            past
        });
        let past = Sql::join(&ranges.collect::<Vec<_>>(), " or ").nested();
        all.push(Sql::join([&past, &dialect.readable(&point, kind)], " and ").nested());
        reads.push(name.clone());
    }
    let statement = scan::count(dialect, &table.name, &Sql::all(&all), MOST_COUNTED);
    Some(Look::Count { statement, reads: (table.name.clone(), reads) })
}

/// SQLite has no types for time: the declared one tells what is meant.
fn point_kind(engine: Engine, column: &Column) -> Option<PointKind> {
    match (engine, column.kind) {
        (Engine::Sqlite, ColumnKind::Date | ColumnKind::DateTime) => Some(PointKind::IsoText),
        (_, kind) => PointKind::of(kind, None),
    }
}

/// A table whose rows the user can see.
fn readable_table<'a>(
    catalog: &'a Catalog,
    path: &crate::catalog::TablePath,
    place: Place,
    found: &mut Vec<Diagnostic>,
) -> Option<&'a Table> {
    let table = find_table(catalog, path, place.clone()).map_err(|error| found.push(error)).ok()?;
    if table.row_security {
        let message = format!("row security hides rows of `{path}` from this database user");
        let help = "give the user BYPASSRLS, or a policy that lets it see every row: what is not seen is not checked";
        found.push(Diagnostic::error(Code::RowSecurity, place, message).help(help));
        return None;
    }
    Some(table)
}

/// Looks. An assertion that nobody can check is told with the reason, and does not stop the others.
pub async fn check(
    tasks: &[Task<'_>],
    databases: &mut BTreeMap<String, OpenDatabase>,
    unavailable: &BTreeMap<String, Unavailable>,
    said: &Said,
    today: Date,
) -> Vec<CheckedAssertion> {
    let mut checked = Vec::new();
    for Task { assertion, look } in tasks {
        let open = assertion.database().and_then(|name| databases.get_mut(name));
        let verdict = match (look, open, &assertion.check) {
            (Look::Count { statement, .. }, Some(open), _) => {
                counted(open, statement).await.unwrap_or_else(|e| failed(&e))
            }
            (Look::Cards(search), Some(open), Check::NoCardNumbers(no_cards)) => {
                cards::look(open, search, no_cards).await.unwrap_or_else(|error| failed(&error))
            }
            (_, _, Check::AttestedEvery(every)) => {
                let said = said.attested.get(&assertion.id);
                let until = said.map(|said| last_day(said, *every));
                attestation(&assertion.id, said, until, today)
            }
            (_, _, Check::RetentionAt(at)) => match &said.retentions {
                Some(told) => retention(at, told.get(&at.recipient), today),
                None => continue,
            },
            _ => {
                let why = assertion.database().and_then(|name| unavailable.get(name));
                let outcome = if why.is_some_and(|why| why.temporary) { Outcome::Temporary } else { Outcome::Invalid };
                let found = why.map_or_else(|| "its database is not open".to_owned(), |why| why.reason.clone());
                Verdict { result: AssertionResult::Unknown, found, until: None, outcome }
            }
        };
        let Verdict { result, found, until, outcome } = verdict;
        let (id, category, statement) = (&assertion.id, &assertion.category, &assertion.statement);
        checked.push(CheckedAssertion {
            assertion: id.clone(),
            category: category.clone(),
            statement: statement.clone(),
            result,
            found,
            until,
            outcome,
        });
    }
    checked
}

struct Verdict {
    result: AssertionResult,
    found: String,
    until: Option<Date>,
    outcome: Outcome,
}

fn holds(found: String) -> Verdict {
    Verdict { result: AssertionResult::Holds, found, until: None, outcome: Outcome::Done }
}

fn fails(result: AssertionResult, found: String) -> Verdict {
    Verdict { result, found, until: None, outcome: Outcome::Failed }
}

fn failed(error: &database::Error) -> Verdict {
    let outcome = match error.kind.outcome() {
        Outcome::Temporary => Outcome::Temporary,
        _ => Outcome::Failed,
    };
    Verdict { outcome, ..fails(AssertionResult::Unknown, error.to_string()) }
}

fn attestation(id: &str, said: Option<&Attestation>, until: Option<Date>, today: Date) -> Verdict {
    let (Some(said), Some(until)) = (said, until) else {
        let found = format!("nobody has attested it: `sunset attest {id} --by … --evidence …`");
        return fails(AssertionResult::Unattested, found);
    };
    // who said it stands in the store and the ledger; this goes into logs
    let found = format!("attested on {}, until {until}", said.on);
    match until < today {
        true => Verdict { until: Some(until), ..fails(AssertionResult::Expired, found) },
        false => Verdict { until: Some(until), ..holds(found) },
    }
}

/// Held against what the recipient has told of its settings.
fn retention(at: &RetentionAt, told: Option<&Result<Option<Retention>, CheckError>>, today: Date) -> Verdict {
    let unknown = |found: String| fails(AssertionResult::Unknown, found);
    let retention = match told {
        Some(Ok(Some(retention))) => retention,
        Some(Err(error)) => {
            let outcome = if error.temporary { Outcome::Temporary } else { Outcome::Failed };
            return Verdict { outcome, ..unknown(format!("{} does not tell: {error}", at.recipient)) };
        }
        Some(Ok(None)) | None => {
            let (name, help) = (&at.recipient, "let a person say it: `attested_every`");
            return unknown(format!("{name} has no interface that tells: {help}"));
        }
    };
    let kept = retention.kept.iter().map(|(what, period)| format!("{what}: {period}"));
    let mut found = kept.collect::<Vec<_>>().join(", ");
    if let Some(prolonged_by) = retention.prolonged_by {
        found += &format!(", prolonged by {prolonged_by}");
    }
    let ends = |period| clock::end_of_period(today, period);
    let is_longer = retention.kept.iter().any(|(_, period)| ends(*period) > ends(at.at_most));
    match is_longer || retention.prolonged_by.is_some() {
        true => fails(AssertionResult::Fails, found),
        false => holds(found),
    }
}

async fn counted(open: &mut OpenDatabase, statement: &Statement) -> Result<Verdict, database::Error> {
    let rows = open.connection.fetch(statement).await?;
    let count = rows.first().and_then(|row| row.first()?.as_ref()?.parse::<u64>().ok());
    Ok(match count {
        Some(0) => holds("no such row".to_owned()),
        Some(rows) if rows > MOST_COUNTED => {
            fails(AssertionResult::Fails, format!("more than {MOST_COUNTED} such rows"))
        }
        Some(rows) => fails(AssertionResult::Fails, format!("{rows} such rows")),
        None => fails(AssertionResult::Unknown, "the server counted nothing".to_owned()),
    })
}
