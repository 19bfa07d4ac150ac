//! Who is asked before rows change: columns against the schema, and what that will take.

use super::{Counts, PlannedMembers, find::find_column, resolve::Resolved};
use crate::{
    catalog::Table,
    clock::period::Period,
    database::{Connection, Dialect, Error, KeyColumn, MembersWork, RecipientWork, Row, Use, Work, statements},
    evidence::{
        Grade,
        tag::{Tag, TagKey},
    },
    plan::resolver::Resolver,
    recipients::{Quota, Subject},
    rules::Rule,
    settings::Settings,
};
use jiff::{Timestamp, tz::TimeZone};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap, HashSet};

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
    /// Rows whose persons the recipient was first asked about longer ago than the deadline; not where that would take
    /// reading too many rows.
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
    /// Rows that stay have the same identifiers: they are not asked about before the last of these goes.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub shared: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde wants it")]
fn is_zero(count: &u64) -> bool {
    *count == 0
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
    pub first_asked_at: Timestamp,
}

/// Identifiers of persons whom rows that stay have too.
#[derive(Default)]
pub struct StillUsed(Vec<(Vec<String>, HashSet<Vec<String>>)>);

impl StillUsed {
    /// Reads those of the rule's disposable rows.
    ///
    /// # Errors
    /// The database fails.
    pub async fn read(
        connection: &mut dyn Connection,
        dialect: &dyn Dialect,
        work: &Work,
        recipient: &RecipientWork,
    ) -> Result<Self, Error> {
        let mut used = Vec::new();
        for one in &recipient.uses {
            let mut found = HashSet::new();
            let mut each = |row: Row| {
                let texts: Vec<_> = row.into_iter().flatten().map(|text| compared(&text)).collect();
                if texts.iter().all(|text| !text.is_empty()) {
                    found.insert(texts);
                }
            };
            connection.stream(&statements::still_used(dialect, work, one), &mut each).await?;
            used.push((one.identifiers.clone(), found));
        }
        Ok(Self(used))
    }

    /// Whether a row that stays needs this person's copy.
    pub fn needs(&self, subject: &Subject) -> bool {
        self.0.iter().any(|(identifiers, found)| {
            let texts: Option<Vec<_>> = identifiers.iter().map(|name| subject.get(name).map(compared)).collect();
            texts.is_some_and(|texts| found.contains(&texts))
        })
    }
}

/// Spellings of one identifier are one.
pub fn compared(text: &str) -> String {
    text.trim().to_lowercase()
}

/// Whether the recipient was first asked longer ago than it may take.
pub fn is_late(deadline: Option<Period>, asked: Timestamp, now: Timestamp, zone: &TimeZone) -> bool {
    deadline.is_some_and(|deadline| deadline.after(asked, zone) < now)
}

/// With more rows than this, their persons are not looked up: a plan takes about as long as counting.
const MOST_ROWS: u64 = 100_000;

/// The persons of the disposable rows, by recipient. Rows are read one by one; what is kept of each is a tag.
async fn persons(
    connection: &mut dyn Connection,
    dialect: &dyn Dialect,
    work: &Work,
    answers: &Answers,
    is_late: &(dyn Fn(&RecipientWork, &Answered) -> bool + Sync),
) -> Result<BTreeMap<String, (Persons, u64)>, Error> {
    let works = work.recipients.iter().filter(|recipient| !recipient.identifiers.is_empty());
    let works: Vec<_> = works.filter_map(|recipient| Some((recipient, answers.known.get(&recipient.name)?))).collect();
    if works.is_empty() {
        return Ok(BTreeMap::new());
    }
    let columns: Vec<_> =
        works.iter().flat_map(|(recipient, _)| &recipient.identifiers).map(|(_, c)| c.clone()).collect();
    let mut used = Vec::new();
    for (recipient, _) in &works {
        used.push(StillUsed::read(connection, dialect, work, recipient).await?);
    }
    // each with whether rows that stay need it
    let mut tags: Vec<HashMap<Tag, bool>> = vec![HashMap::new(); works.len()];
    let mut late = vec![0_u64; works.len()];
    let mut each = |row: Row| {
        let mut texts = row.into_iter();
        for (place, ((recipient, known), tags)) in works.iter().zip(&mut tags).enumerate() {
            let texts = texts.by_ref().take(recipient.identifiers.len());
            let pairs = recipient.identifiers.iter().zip(texts);
            let pairs = pairs.filter_map(|((name, _), text)| Some((name.clone(), text?))).collect();
            let subject = Subject::new(&recipient.name, pairs, &answers.tag_key);
            if !subject.is_empty() {
                tags.entry(subject.tag()).or_insert_with(|| used[place].needs(&subject));
                late[place] += u64::from(known.get(&subject.tag()).is_some_and(|known| is_late(recipient, known)));
            }
        }
    };
    connection.stream(&statements::disposable_columns(dialect, work, &columns), &mut each).await?;
    let counted = works.into_iter().zip(tags).zip(late).map(|(((recipient, known), tags), late)| {
        let mut persons = Persons::default();
        for (tag, is_needed) in tags {
            *match known.get(&tag) {
                Some(known) if known.grade.is_some_and(|grade| grade <= recipient.required) => &mut persons.served,
                Some(known) if !known.is_open => &mut persons.waiting,
                _ if is_needed => &mut persons.shared,
                _ => &mut persons.to_ask,
            } += 1;
        }
        (recipient.name.clone(), (persons, late))
    });
    Ok(counted.collect())
}

impl Resolver<'_, '_> {
    /// The rule's recipients with their columns.
    pub(super) fn recipients(&mut self, table: &Table) -> Vec<RecipientWork> {
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
            let (required, deadline) = (settings.required(recipient), recipient.deadline);
            // what else may need the copy is seen when all rules are resolved
            let (name, uses) = (recipient.name.clone(), Vec::new());
            works.push(RecipientWork { name, identifiers, required, deadline, uses });
        }
        works
    }
}

/// Finds where persons whom a rule asks recipients about may still be needed: in its own table, and in those of the other
/// rules of its database that ask the same recipient by the same identifiers, whether they run or not.
pub(super) fn find_uses(resolved: &mut [(&Rule, Resolved)], settings: &Settings) {
    let mut found = Vec::new();
    for (position, (rule, fits)) in resolved.iter().enumerate() {
        for (place, (asked, recipient)) in rule.recipients.iter().zip(&fits.work.recipients).enumerate() {
            let Some(settings) = settings.recipients.get(&recipient.name).filter(|_| !asked.asks_shared) else {
                continue;
            };
            let given: Vec<_> = recipient.identifiers.iter().map(|(name, _)| name.as_str()).collect();
            let groups = settings.tell_persons_apart(&given);
            let uses = groups.into_iter().flat_map(|group| uses_of(position, recipient, group, resolved)).collect();
            found.push((position, place, uses));
        }
    }
    for (position, place, uses) in found {
        resolved[position].1.work.recipients[place].uses = uses;
    }
}

fn uses_of(
    position: usize,
    recipient: &RecipientWork,
    identifiers: Vec<String>,
    resolved: &[(&Rule, Resolved)],
) -> Vec<Use> {
    let database = &resolved[position].0.table.database;
    let Some(own) = columns_of(recipient, &identifiers) else { return Vec::new() };
    let mut uses: Vec<Use> = Vec::new();
    for (_, fits) in resolved.iter().filter(|(rule, _)| rule.table.database == *database) {
        let asked = fits.work.recipients.iter().filter(|other| other.name == recipient.name);
        for columns in asked.filter_map(|other| columns_of(other, &identifiers)) {
            let known = uses.iter().position(|known| known.table == fits.work.table && known.columns == columns);
            let known = known.unwrap_or_else(|| {
                let (identifiers, own, table) = (identifiers.clone(), own.clone(), fits.work.table.clone());
                uses.push(Use { identifiers, own, table, columns, free: Vec::new() });
                uses.len() - 1
            });
            let free = std::iter::once(fits.work.disposable_rows()).chain(fits.work.done_rows());
            uses[known].free.extend(free);
        }
    }
    uses
}

/// The columns that hold these identifiers; `None` where one of them has none.
fn columns_of(recipient: &RecipientWork, identifiers: &[String]) -> Option<Vec<KeyColumn>> {
    let column = |name: &String| Some(recipient.identifiers.iter().find(|(known, _)| known == name)?.1.clone());
    identifiers.iter().map(column).collect()
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
    (rule, now): (&Rule, Timestamp),
    work: &Work,
    known: Known<'_>,
    counts: &Counts,
) -> Result<Vec<PlannedRecipient>, Error> {
    let mut planned = Vec::new();
    let persons = match known.answers.filter(|_| counts.disposable() <= MOST_ROWS) {
        Some(answers) => {
            let is_late = |recipient: &RecipientWork, known: &Answered| {
                is_late(recipient.deadline, known.first_asked_at, now, &settings.time_zone)
            };
            persons(connection, dialect, work, answers, &is_late).await?
        }
        None => BTreeMap::new(),
    };
    for (recipient, rules) in work.recipients.iter().zip(&rule.recipients) {
        let Some(settings) = settings.recipients.get(&recipient.name) else { continue };
        let facts = (settings.kind.facts)(settings);
        let subjects = counts.disposable();
        let counted = persons.get(&recipient.name).copied();
        let (persons, late) = (counted.map(|(persons, _)| persons), counted.map(|(_, late)| late));
        let to_ask = persons.map_or(subjects, |persons| persons.to_ask);
        let calls = to_ask.div_ceil(facts.batch.max(1) as u64) * u64::from(facts.calls);
        let seconds = |rate: &crate::language::rate::Rate| {
            calls.saturating_mul(rate.per.as_secs().max(1)) / u64::from(rate.calls.max(1))
        };
        planned.push(PlannedRecipient {
            name: recipient.name.clone(),
            kind: settings.kind.name.to_owned(),
            sends: recipient.identifiers.iter().map(|(name, column)| (name.clone(), column.name.clone())).collect(),
            require: recipient.required,
            deadline: rules.deadline.map(|deadline| deadline.to_string()),
            subjects,
            persons,
            late: late.filter(|_| rules.deadline.is_some()),
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
