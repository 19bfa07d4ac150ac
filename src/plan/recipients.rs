//! Who is asked before rows change: columns against the schema, and what that will take.

use super::{Counts, PlannedMembers, find::find_column, resolve::Resolver};
use crate::{
    catalog::Table,
    clock::{self, PointKind},
    database::{Connection, Dialect, Error, KeyColumn, MembersWork, RecipientWork, Row, Sql, Work, statements},
    ledger::{Tag, TagKey},
    recipients::{Grade, Quota, Subject},
    rules::{Period, Rule},
    settings::Settings,
};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashSet};

/// A recipient of a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlannedRecipient {
    /// Its name in the settings.
    pub name: String,
    pub kind: String,
    /// What leaves the house: identifier to the column that holds it. Values are in no plan.
    pub sends: BTreeMap<String, String>,
    pub require: Grade,
    /// In words; none when the recipient may take as long as it likes.
    pub deadline: Option<String>,
    /// Rows that it has to be through with before they go; several may be about one person.
    pub subjects: u64,
    /// The persons of these rows, by how they stand; not where that would take reading too many rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persons: Option<Persons>,
    /// Rows that have been due for longer than the deadline.
    pub late: Option<u64>,
    /// At least so many calls for all who are to be asked about.
    pub calls: u64,
    /// At least so many seconds, by the recipient's rate limits, daily quotas left out.
    pub seconds: u64,
    /// The most calls of a day, and on how many days calls are made at least; none without a daily quota.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<PlannedQuota>,
    /// What goes, in words.
    pub deletes: String,
    /// What stays, in words.
    pub keeps: String,
    /// Who stays, where its list is made anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub members: Option<PlannedMembers>,
}

/// A daily quota, and what it makes of the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedQuota {
    /// Calls a day.
    pub calls: u32,
    /// At least so many days, and as many nightly runs.
    pub days: u64,
}

/// Persons at one recipient.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Persons {
    pub to_ask: u64,
    /// It has been asked about them, to the grade that the rule asks for.
    pub served: u64,
    /// It has been asked about them and is not through, or its evidence is not enough.
    pub waiting: u64,
}

/// What recipients have answered so far, as far as it still counts.
#[derive(Clone, Debug)]
pub struct Answers {
    pub tag_key: TagKey,
    /// By recipient and person; recipients who have been asked about too many persons are not there.
    pub known: BTreeMap<String, BTreeMap<Tag, Answered>>,
}

/// One answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answered {
    pub grade: Option<Grade>,
    /// A run would ask again.
    pub is_open: bool,
}

/// With more rows than this, their persons are not looked up: a plan takes about as long as counting.
const MOST_ROWS: u64 = 100_000;

/// The persons of the disposable rows, by recipient. Rows are read one by one; what is kept of each is a tag.
async fn persons(
    connection: &mut dyn Connection,
    dialect: &dyn Dialect,
    work: &Work,
    answers: &Answers,
) -> Result<BTreeMap<String, Persons>, Error> {
    let works = work.recipients.iter().filter(|recipient| !recipient.identifiers.is_empty());
    let works: Vec<_> = works.filter_map(|recipient| Some((recipient, answers.known.get(&recipient.name)?))).collect();
    if works.is_empty() {
        return Ok(BTreeMap::new());
    }
    let columns: Vec<_> =
        works.iter().flat_map(|(recipient, _)| &recipient.identifiers).map(|(_, c)| c.clone()).collect();
    let mut tags: Vec<HashSet<Tag>> = vec![HashSet::new(); works.len()];
    let mut each = |row: Row| {
        let mut texts = row.into_iter();
        for ((recipient, _), tags) in works.iter().zip(&mut tags) {
            let texts = texts.by_ref().take(recipient.identifiers.len());
            let pairs = recipient.identifiers.iter().zip(texts);
            let pairs = pairs.filter_map(|((name, _), text)| Some((name.clone(), text?))).collect();
            let subject = Subject::new(&recipient.name, pairs, &answers.tag_key);
            if !subject.is_empty() {
                tags.insert(subject.tag());
            }
        }
    };
    connection.stream(&statements::disposable_columns(dialect, work, &columns), &mut each).await?;
    let counted = works.into_iter().zip(tags).map(|((recipient, known), tags)| {
        let mut persons = Persons::default();
        for tag in tags {
            *match known.get(&tag) {
                Some(known) if known.grade.is_some_and(|grade| grade <= recipient.required) => &mut persons.served,
                Some(known) if !known.is_open => &mut persons.waiting,
                _ => &mut persons.to_ask,
            } += 1;
        }
        (recipient.name.clone(), persons)
    });
    Ok(counted.collect())
}

impl Resolver<'_, '_> {
    /// The rule's recipients with their columns.
    pub(super) fn recipients(&mut self, table: &Table, point: &Sql, kind: PointKind) -> Vec<RecipientWork> {
        let (rule, around) = (self.rule, self.around);
        let mut works = Vec::new();
        for recipient in &rule.recipients {
            let mut identifiers = Vec::new();
            for (identifier, column) in &recipient.identifiers {
                let found = find_column(table, column, recipient.place.key(identifier));
                let Some(column) = self.keep(found) else { continue };
                identifiers.push((identifier.clone(), KeyColumn::from(column)));
            }
            let Some(settings) = around.settings.recipients.get(&recipient.name) else { continue };
            let late = recipient.deadline.map(|deadline| {
                let today = clock::today(around.now, &around.settings.time_zone);
                let counted_from = &rule.starting_point.counted_from;
                let parameters = &around.settings.parameters;
                let days = clock::due_days(counted_from, &rule.retention_period, parameters, before(today, deadline));
                self.past(point, kind, &days)
            });
            let required = settings.required(recipient);
            works.push(RecipientWork { name: recipient.name.clone(), identifiers, required, late });
        }
        works
    }
}

/// The day that lies a period before another.
fn before(day: Date, period: Period) -> Date {
    let span = jiff::Span::new()
        .try_years(period.years)
        .and_then(|span| span.try_months(period.months))
        .and_then(|span| span.try_days(period.days));
    span.and_then(|span| day.checked_sub(span)).unwrap_or(Date::MIN)
}

/// What is known of persons beyond the rule's rows.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// Those who stay with recipients whose lists are made anew, by recipient.
    pub members: &'a BTreeMap<String, MembersWork>,
    pub answers: Option<&'a Answers>,
}

/// What serving the recipients of a step will take.
pub async fn planned(
    connection: &mut dyn Connection,
    dialect: &dyn Dialect,
    settings: &Settings,
    rule: &Rule,
    work: &Work,
    known: Known<'_>,
    counts: &Counts,
) -> Result<Vec<PlannedRecipient>, Error> {
    let mut planned = Vec::new();
    let persons = match known.answers.filter(|_| counts.disposable() <= MOST_ROWS) {
        Some(answers) => persons(connection, dialect, work, answers).await?,
        None => BTreeMap::new(),
    };
    for (recipient, rules) in work.recipients.iter().zip(&rule.recipients) {
        let Some(settings) = settings.recipients.get(&recipient.name) else { continue };
        let facts = (settings.kind.facts)(settings);
        let subjects = counts.disposable();
        let persons = persons.get(&recipient.name).copied();
        let to_ask = persons.map_or(subjects, |persons| persons.to_ask);
        let calls = to_ask.div_ceil(facts.batch.max(1) as u64) * u64::from(facts.calls);
        let seconds = |rate: &crate::recipients::Rate| {
            calls.saturating_mul(rate.per.as_secs().max(1)) / u64::from(rate.calls.max(1))
        };
        let late = match &recipient.late {
            Some(late) if subjects > 0 => {
                let rows = connection.fetch(&statements::count_disposable(dialect, work, late)).await?;
                rows.into_iter().flatten().next().flatten().and_then(|count| count.parse().ok())
            }
            Some(_) => Some(0),
            None => None,
        };
        planned.push(PlannedRecipient {
            name: recipient.name.clone(),
            kind: settings.kind.name.to_owned(),
            sends: recipient.identifiers.iter().map(|(name, column)| (name.clone(), column.name.clone())).collect(),
            require: recipient.required,
            deadline: rules.deadline.map(|deadline| deadline.to_string()),
            subjects,
            persons,
            late,
            calls,
            seconds: facts.rates.iter().filter(|rate| !rate.is_quota()).map(seconds).max().unwrap_or(0),
            quota: Quota::of(&facts.rates)
                .map(|quota| PlannedQuota { calls: quota.calls, days: calls.div_ceil(u64::from(quota.calls.max(1))) }),
            deletes: facts.deleted.to_owned(),
            keeps: facts.kept.to_owned(),
            members: known.members.get(&recipient.name).map(MembersWork::planned),
        });
    }
    Ok(planned)
}
