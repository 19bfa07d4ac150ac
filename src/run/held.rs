//! Whom recipients must not be asked about any more: persons of rows that came under a hold after the recipients had been
//! asked.
//!
//! Held rows are not read by the walk, so nobody asks about them anew. Rows that go may have the same identifiers as held
//! ones, in other tables and databases too: these are not asked about either. What was accepted before is another matter:
//! some recipients delete in several steps, and go on whenever somebody looks at the work. So work about a person of a held
//! row is not looked at, and the person stays on lists that are made anew.

use super::Surroundings;
use crate::{
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
    tags: BTreeMap<String, HashSet<Tag>>,
    /// Recipients with rows of which nobody can tell now whether they are held, and why.
    unknown: BTreeMap<String, String>,
}

impl HeldPersons {
    /// A person of a held row is among them.
    pub fn concern(&self, recipient: &str, tags: &[Tag]) -> bool {
        self.tags.get(recipient).is_some_and(|held| tags.iter().any(|tag| held.contains(tag)))
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
        if holds.is_empty() || rules.is_empty() {
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
            let Some(condition) = &resolved.work.held else { continue };
            for work in resolved.work.recipients.iter().filter(|work| !work.identifiers.is_empty()) {
                let tags = held.tags.entry(work.name.clone()).or_default();
                let columns: Vec<_> = work.identifiers.iter().map(|(_, column)| column.clone()).collect();
                let statement = statements::texts_where(open.dialect, &resolved.work.table, &columns, condition);
                let mut take = |row: Row| tags.extend(keys.tag.iter().filter_map(|key| tag_of(work, row.clone(), key)));
                open.connection.stream(&statement, &mut take).await?;
            }
        }
        Ok(held)
    }

    fn cannot_tell(&mut self, rule: &Rule, why: &str) {
        for recipient in &rule.recipients {
            self.unknown.entry(recipient.name.clone()).or_insert_with(|| why.to_owned());
        }
    }
}

/// The person of a row at a recipient; `None` where the row names nobody.
fn tag_of(work: &RecipientWork, row: Row, key: &TagKey) -> Option<Tag> {
    let pairs = work.identifiers.iter().zip(row);
    let identifiers = pairs.filter_map(|((name, _), text)| Some((name.clone(), text?))).collect();
    let subject = Subject::new(&work.name, identifiers, key);
    (!subject.is_empty()).then(|| subject.tag())
}
