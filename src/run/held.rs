//! Whom recipients must not be asked about any more: persons of rows that came under a hold after the recipients had been
//! asked.
//!
//! Held rows are not read by the walk, so nobody asks about them anew. Rows that go may have the same identifiers as held
//! ones, in other tables and databases too: these are not asked about either. What was accepted before is another matter:
//! some recipients delete in several steps, and go on whenever somebody looks at the work. So work about a person of a held
//! row is not looked at, and the person stays on lists that are made anew.

use super::Surroundings;
use crate::{
    catalog::TableName,
    database::{RecipientWork, Row, statements},
    evidence::{
        keys::Keys,
        tag::{Tag, TagKey},
    },
    plan::{self, Hold, subject::Persons},
    recipients::Subject,
    rules::Rule,
};
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// The persons of held rows, by recipient.
#[derive(Default)]
pub(super) struct HeldPersons {
    /// Of their identifiers, of some of them, and of spellings of these.
    tags: BTreeMap<String, HashSet<Tag>>,
    /// Names and values, in the form in which they are compared. In memory alone.
    identifiers: BTreeMap<String, HashSet<(String, String)>>,
    /// Where their identifiers were read; `None` without holds.
    sources: Option<BTreeMap<String, BTreeSet<String>>>,
    /// Recipients with rows of which nobody can tell now whether they are held, and why.
    unknown: BTreeMap<String, String>,
}

impl HeldPersons {
    /// A person of a held row is among them.
    pub fn concern(&self, recipient: &str, tags: &[Tag]) -> bool {
        self.tags.get(recipient).is_some_and(|held| tags.iter().any(|tag| held.contains(tag)))
    }

    /// The person has an identifier of a held row: one in common is enough.
    pub fn need(&self, subject: &Subject, recipient: &str) -> bool {
        let is_held =
            |held: &HashSet<_>, (name, text): (&str, &str)| held.contains(&(name.to_owned(), plan::compared(text)));
        self.identifiers.get(recipient).is_some_and(|held| subject.identifiers().any(|one| is_held(held, one)))
    }

    /// Whom work is about can be told, if they were read from these: held rows were looked for there as well.
    pub fn know(&self, recipient: &str, from: &BTreeSet<Option<String>>) -> bool {
        let Some(sources) = &self.sources else { return true };
        let is_read = |from: &str| sources.get(recipient).is_some_and(|sources| sources.contains(from));
        from.iter().all(|from| from.as_deref().is_some_and(is_read))
    }

    /// Everybody at these recipients may be held.
    pub fn nobody_knows(recipients: &BTreeSet<String>, why: &str) -> Self {
        Self { unknown: recipients.iter().map(|name| (name.clone(), why.to_owned())).collect(), ..Self::default() }
    }

    /// Why nobody can tell.
    pub fn unknown(&self, recipient: &str) -> Option<&str> {
        self.unknown.get(recipient).map(String::as_str)
    }

    /// Reads the held rows of all rules that name one of these recipients, whether they are run or not.
    ///
    /// # Errors
    /// A database fails while it is asked, or keys cannot be read.
    pub async fn of(around: &Surroundings<'_>, recipients: &BTreeSet<String>, holds: &[Hold]) -> anyhow::Result<Self> {
        let mut held = Self::default();
        let job = around.job;
        let names = |rule: &&Rule| rule.recipients.iter().any(|recipient| recipients.contains(&recipient.name));
        let rules: Vec<_> = job.rules().filter(names).collect();
        if holds.is_empty() {
            return Ok(held);
        }
        let mut sources: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        if rules.is_empty() {
            held.sources = Some(sources);
            return Ok(held);
        }
        let keys = Keys::parse(&job.settings.keys)?;
        let pseudonym_key = keys.pseudonym.as_ref().map(|key| key.secret().to_vec());
        let names = rules.iter().map(|rule| rule.table.database.as_str()).collect();
        let (mut databases, mut unavailable) = plan::open_databases(job, names).await;
        let persons = Persons::look_up(job, holds).await?;
        persons.close_off(&mut databases, &mut unavailable);
        let bound = plan::bind(job, &mut databases, holds, &persons).await?;
        for rule in rules {
            let name = &rule.table.database;
            let (Some(open), Some(bound)) = (databases.get_mut(name), bound.get(name)) else {
                held.cannot_tell(rule, &format!("database {name} is not available"));
                continue;
            };
            if let Some(lost) = bound.lost.first() {
                held.cannot_tell(rule, lost);
                continue;
            }
            let surroundings = plan::surroundings(job, open, bound, around.now, pseudonym_key.as_deref());
            let Ok(resolved) = plan::resolve_rule(rule, &surroundings) else {
                held.cannot_tell(rule, &format!("rule {} does not fit its table", rule.id));
                continue;
            };
            let named = || resolved.work.recipients.iter().filter(|work| !work.identifiers.is_empty());
            for work in named() {
                let source = source(name, &resolved.work.table, work);
                sources.entry(work.name.clone()).or_default().insert(source);
            }
            let Some(condition) = &resolved.work.held else { continue };
            for work in named() {
                let tags = held.tags.entry(work.name.clone()).or_default();
                let identifiers = held.identifiers.entry(work.name.clone()).or_default();
                let columns: Vec<_> = work.identifiers.iter().map(|(_, column)| column.clone()).collect();
                let statement = statements::texts_where(open.dialect, &resolved.work.table, &columns, condition);
                let mut take = |row: Row| {
                    let person = person_of(work, row);
                    for key in &keys.tag {
                        tags.extend(tags_of(&work.name, &person, key));
                    }
                    identifiers.extend(person.into_iter().map(|(name, text)| (name, plan::compared(&text))));
                };
                open.connection.stream(&statement, &mut take).await?;
            }
        }
        held.sources = Some(sources);
        Ok(held)
    }

    fn cannot_tell(&mut self, rule: &Rule, why: &str) {
        for recipient in &rule.recipients {
            self.unknown.entry(recipient.name.clone()).or_insert_with(|| why.to_owned());
        }
    }
}

/// Where the identifiers of persons are read: the table, and the column of each.
pub(super) fn source(database: &str, table: &TableName, work: &RecipientWork) -> String {
    let columns: Vec<_> = work.identifiers.iter().map(|(name, column)| format!("{name} = {}", column.name)).collect();
    format!("{database}.{table}: {}", columns.join(", "))
}

/// What a row says of its person.
fn person_of(work: &RecipientWork, row: Row) -> BTreeMap<String, String> {
    let pairs = work.identifiers.iter().zip(row);
    let texts = pairs.filter_map(|((name, _), text)| Some((name.clone(), text?.trim().to_owned())));
    texts.filter(|(_, text)| !text.is_empty()).collect()
}

/// More identifiers than these are only looked for together, and one by one.
const MOST_IDENTIFIERS: usize = 4;

/// The tags under which a person of a held row may have been asked about: by all identifiers or by some of them, as they
/// stand in the row and as they are compared. What was asked by identifiers that the row does not have is not found.
fn tags_of(recipient: &str, person: &BTreeMap<String, String>, key: &TagKey) -> HashSet<Tag> {
    let number = person.len();
    let all = || (0..number).map(|at| 1_usize << at).chain([(1 << number) - 1]).collect::<Vec<_>>();
    let choices = if number > MOST_IDENTIFIERS { all() } else { (1..1 << number).collect() };
    let mut tags = HashSet::new();
    for chosen in choices {
        let some = || person.iter().enumerate().filter(|(at, _)| chosen >> at & 1 == 1).map(|(_, one)| one);
        for is_compared in [false, true] {
            let spelled = |text: &String| if is_compared { plan::compared(text) } else { text.clone() };
            let identifiers: BTreeMap<_, _> = some().map(|(name, text)| (name.clone(), spelled(text))).collect();
            let subject = Subject::new(recipient, identifiers, key);
            tags.extend((!subject.is_empty()).then(|| subject.tag()));
        }
    }
    tags
}
