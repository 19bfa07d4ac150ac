//! What the rules say of one row: which govern it, what holds it, until when it stays.

use super::{
    holds::Bound,
    resolve::{self, Resolved},
};
use crate::{
    catalog::{Table, TableName},
    clock::{self, PointKind, Until},
    database::{Change, DependentWork, Error, KeyColumn, statements},
    diagnostic::Diagnostic,
    evidence::Grade,
    job::Job,
    plan::{open::OpenDatabase, options::Options, surroundings::surroundings},
    rules::{Disposition, Rule},
    settings::Settings,
    sql::Sql,
};
use jiff::{
    Timestamp,
    civil::{Date, DateTime},
    tz::TimeZone,
};
use serde::Serialize;
use std::collections::BTreeMap;

/// What one rule says of a row.
#[derive(Serialize)]
pub struct Verdict {
    pub rule: String,
    pub disposition: Disposition,
    /// What the starting point is, in words.
    pub starts: String,
    /// As the server prints it.
    pub starting_point: Option<String>,
    /// Its dates; `None` without a starting point.
    pub until: Option<Until>,
    pub state: State,
    pub held: bool,
    /// The holds that do, and how.
    pub holds: Vec<Concern>,
    /// A kept dependent still needs it.
    pub waiting: bool,
    /// How the rule's recipients know the row's person.
    #[serde(skip)]
    pub persons: Vec<Person>,
}

/// A hold that keeps a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Concern {
    pub hold: u64,
    pub matter: String,
    /// What the hold is on.
    pub table: TableName,
    pub how: How,
}

/// How a hold comes to keep a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// It is on the row.
    Itself,
    /// It is on a row that this one belongs to.
    Belongs,
    /// It keeps a row that would be changed along with this one, or lose its link to it.
    Dependent,
}

/// A row's person at one recipient.
pub struct Person {
    pub recipient: String,
    /// The grade that the rule asks for.
    pub required: Grade,
    /// Identifiers by their names. They are shown nowhere.
    pub identifiers: BTreeMap<String, String>,
    /// There is nothing to ask by, about anybody.
    pub holds_nothing: bool,
}

/// Where the row stands under a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// The rule's condition does not hold for it.
    NotGoverned,
    /// The rule has been carried out on it.
    AlreadyDone,
    WithoutStartingPoint,
    /// Its retention period runs.
    Kept,
    Due,
    Overdue,
}

/// The verdicts of all rules on the row's table; `None` when there is no such row.
///
/// # Errors
/// The database fails, or (inside) rules do not fit it.
pub async fn verdicts(
    job: &Job,
    open: &mut OpenDatabase,
    rules: &[&Rule],
    holds: &Bound,
    key: &[String],
    now: Timestamp,
    options: &Options,
) -> Result<Result<Option<Vec<Verdict>>, Vec<Diagnostic>>, Error> {
    let mut verdicts = Vec::new();
    for rule in rules {
        let resolved =
            match resolve::resolve_rule(rule, &surroundings(job, open, holds, now, options.pseudonym_key.as_deref())) {
                Ok(resolved) => resolved,
                Err(found) => return Ok(Err(found)),
            };
        let statement = statements::verdict(open.dialect, &resolved.work, key);
        let Some(row) = open.connection.fetch(&statement).await?.into_iter().next() else { return Ok(Ok(None)) };
        let persons = persons(open, &resolved, key).await?;
        let verdict = verdict(job, rule, &resolved, &row);
        let (change, along) = (&resolved.work.change, resolved.work.dependents.as_slice());
        let holds = match (verdict.held, open.catalog.get(&resolved.work.table).cloned()) {
            (true, Some(table)) => concerns(open, holds, &table, key, Some((change, along))).await?,
            _ => Vec::new(),
        };
        verdicts.push(Verdict { persons, holds, ..verdict });
    }
    Ok(Ok(Some(verdicts)))
}

/// The holds that keep a row, whatever is done to it, or from this change of it.
///
/// # Errors
/// The database fails.
pub async fn concerns(
    open: &mut OpenDatabase,
    holds: &Bound,
    table: &Table,
    key: &[String],
    changed: Option<(&Change, &[DependentWork])>,
) -> Result<Vec<Concern>, Error> {
    let (dialect, catalog) = (open.dialect, &open.catalog);
    let row = dialect.row(&table.name);
    let columns: Vec<_> = table.key_columns().map(KeyColumn::from).collect();
    let mut found = Vec::new();
    for hold in holds.each() {
        let none = || Sql::new("1 = 0");
        let itself = holds.names(dialect, catalog, table, &row, hold.id);
        let belongs = holds.stays(dialect, catalog, table, &row, Some(hold.id));
        let along = changed
            .and_then(|(change, along)| holds.concerns(dialect, catalog, (table, &row), change, along, Some(hold.id)));
        if belongs.is_none() && along.is_none() {
            continue;
        }
        let conditions = [itself, belongs, along].map(|condition| condition.unwrap_or_else(none));
        let statement = statements::flags(dialect, &table.name, (&columns, key), &conditions);
        let flags = open.connection.fetch(&statement).await?.into_iter().next().unwrap_or_default();
        let hows = [How::Itself, How::Belongs, How::Dependent].into_iter().zip(flags);
        let how = hows.into_iter().find(|(_, flag)| flag.as_deref() == Some("1")).map(|(how, _)| how);
        let (hold, matter, table) = (hold.id, &hold.matter, &hold.table);
        found.extend(how.map(|how| Concern { hold, matter: matter.clone(), table: table.clone(), how }));
    }
    Ok(found)
}

/// What identifies the row's person at the rule's recipients.
async fn persons(open: &mut OpenDatabase, resolved: &Resolved, key: &[String]) -> Result<Vec<Person>, Error> {
    let mut persons = Vec::new();
    for work in &resolved.work.recipients {
        let columns: Vec<_> = work.identifiers.iter().map(|(_, column)| column.clone()).collect();
        let texts = match columns.is_empty() {
            true => Vec::new(),
            false => {
                let statement = statements::row_columns(open.dialect, &resolved.work, &columns, key);
                open.connection.fetch(&statement).await?.into_iter().next().unwrap_or_default()
            }
        };
        let pairs = work.identifiers.iter().zip(texts);
        persons.push(Person {
            recipient: work.name.clone(),
            required: work.required,
            identifiers: pairs.filter_map(|((name, _), text)| Some((name.clone(), text?))).collect(),
            holds_nothing: columns.is_empty(),
        });
    }
    Ok(persons)
}

/// The key of an existing row as the server prints it.
///
/// # Errors
/// The database fails.
pub async fn find(
    open: &mut OpenDatabase,
    table: &crate::catalog::Table,
    key: &[String],
) -> Result<Option<Vec<String>>, Error> {
    let columns: Vec<_> = table.key_columns().map(KeyColumn::from).collect();
    let statement = statements::find_row(open.dialect, &table.name, &columns, key);
    let row = open.connection.fetch(&statement).await?.into_iter().next();
    Ok(row.map(|row| row.into_iter().map(Option::unwrap_or_default).collect()))
}

fn verdict(job: &Job, rule: &Rule, resolved: &Resolved, row: &[Option<String>]) -> Verdict {
    let flag = |index: usize| row.get(index).cloned().flatten().as_deref() == Some("1");
    let starting_point = row.first().cloned().flatten();
    let state = match () {
        () if !flag(1) => State::NotGoverned,
        () if !flag(2) => State::AlreadyDone,
        () if flag(4) => State::Overdue,
        () if flag(3) => State::Due,
        () if flag(5) => State::WithoutStartingPoint,
        () => State::Kept,
    };
    let zone = &job.settings.time_zone;
    let column_zone = rule.starting_point.zone.as_ref().and_then(|name| TimeZone::get(name).ok());
    let day = starting_point
        .as_deref()
        .filter(|_| !flag(5))
        .and_then(|text| day(text, resolved.work.point.kind, zone, column_zone.as_ref().unwrap_or(zone)));
    let until = day.map(|start| {
        let (retention, deletion) = (&rule.retention_period, rule.regular_deletion_period.as_ref());
        clock::until(start, &rule.starting_point.counted_from, retention, deletion, &job.settings.parameters)
    });
    Verdict {
        rule: rule.id.clone(),
        disposition: rule.disposition,
        starts: resolved.cut_off.starting_point.clone(),
        starting_point,
        until,
        state,
        held: flag(6),
        holds: Vec::new(),
        waiting: flag(7),
        persons: Vec::new(),
    }
}

/// Since when a row is overdue whose starting point the server prints like this; `None` where that cannot be read.
pub fn overdue_since(settings: &Settings, rule: &Rule, kind: PointKind, starting_point: &str) -> Option<Timestamp> {
    let zone = &settings.time_zone;
    let column_zone = rule.starting_point.zone.as_ref().and_then(|name| TimeZone::get(name).ok());
    let start = day(starting_point, kind, zone, column_zone.as_ref().unwrap_or(zone))?;
    let (retention, deletion) = (&rule.retention_period, rule.regular_deletion_period.as_ref());
    let until = clock::until(start, &rule.starting_point.counted_from, retention, deletion, &settings.parameters);
    until.overdue.map(|day| clock::start_of_day(day, zone))
}

/// The civil day, in the job's zone, of a starting point as the server prints it.
fn day(text: &str, kind: PointKind, job_zone: &TimeZone, column_zone: &TimeZone) -> Option<Date> {
    let head: String = text.chars().take(19).collect::<String>().replace('T', " ");
    let local = || -> Option<DateTime> {
        head.parse().ok().or_else(|| head.get(..10)?.parse::<Date>().ok().map(DateTime::from))
    };
    match kind {
        PointKind::Date => head.get(..10)?.parse().ok(),
        PointKind::DateTime | PointKind::IsoText if job_zone == column_zone => local().map(DateTime::date),
        PointKind::DateTime | PointKind::IsoText => {
            Some(job_zone.to_datetime(local()?.to_zoned(column_zone.clone()).ok()?.timestamp()).date())
        }
        PointKind::Instant | PointKind::EpochSeconds | PointKind::EpochMilliseconds => {
            Some(job_zone.to_datetime(local()?.to_zoned(TimeZone::UTC).ok()?.timestamp()).date())
        }
        PointKind::IsoTextWithOffset => {
            let instant: Timestamp = text.replacen(' ', "T", 1).parse().ok()?;
            Some(job_zone.to_datetime(instant).date())
        }
    }
}
