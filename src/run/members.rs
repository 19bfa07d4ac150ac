//! Reads those who stay with recipients whose lists are made anew, page by page, and leaves out whoever is to go.
//!
//! To go are those whom the recipient has been asked about, as long as that counts: their rows may still be there, because
//! another recipient keeps them or because its own answer is not the last one. Whom the run itself asks about, the
//! recipient leaves out: it is told before ([`Recipient::announce`](crate::recipients::Recipient::announce)).

use crate::{
    database::{self, Connection, Database, Error, MembersWork, Row, statements},
    evidence::tag::{Tag, TagKey},
    plan::Prepared,
    recipients::{Members, Subject, members::Page},
    settings::Settings,
};
use async_trait::async_trait;
use std::{
    collections::{BTreeMap, HashSet},
    fmt,
    sync::{Mutex, PoisonError},
};

/// Rows read at a time.
const PAGE: u64 = 5000;

/// All recipients' sources of those who stay.
#[derive(Debug)]
pub(super) struct Staying {
    sources: BTreeMap<String, Source>,
    tag_key: TagKey,
}

struct Source {
    work: MembersWork,
    database: Box<dyn Database>,
    /// Open from the first page to the last.
    connection: tokio::sync::Mutex<Option<Box<dyn Connection>>>,
    /// Whom the recipient has been asked about.
    leaving: Mutex<HashSet<Tag>>,
}

impl Staying {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// A database's URL cannot be used.
    pub fn new(settings: &Settings, prepared: &Prepared, tag_key: TagKey) -> Result<Self, Error> {
        let mut sources = BTreeMap::new();
        for (recipient, work) in &prepared.members {
            let Some(database) = settings.databases.get(&work.database) else { continue };
            let source = Source {
                work: work.clone(),
                database: database::open(database, &settings.pace)?,
                connection: tokio::sync::Mutex::default(),
                leaving: Mutex::default(),
            };
            sources.insert(recipient.clone(), source);
        }
        Ok(Self { sources, tag_key })
    }

    /// There is a source for this recipient.
    pub fn serves(&self, recipient: &str) -> bool {
        self.sources.contains_key(recipient)
    }

    /// These persons have been asked about.
    pub fn leave_out(&self, recipient: &str, tags: impl IntoIterator<Item = Tag>) {
        if let Some(source) = self.sources.get(recipient) {
            source.leaving.lock().unwrap_or_else(PoisonError::into_inner).extend(tags);
        }
    }

    /// The person was asked about, by the identifiers of any rule.
    fn leaves(&self, recipient: &str, source: &Source, member: &BTreeMap<String, String>) -> bool {
        let leaving = source.leaving.lock().unwrap_or_else(PoisonError::into_inner);
        !leaving.is_empty()
            && source.work.known_as.iter().any(|names| {
                let known = member.iter().filter(|(name, _)| names.contains(*name));
                let known = known.map(|(name, text)| (name.clone(), text.clone())).collect();
                leaving.contains(&Subject::new(recipient, known, &self.tag_key).tag())
            })
    }
}

#[async_trait]
impl Members for Staying {
    async fn page(&self, recipient: &str, after: Option<&str>) -> Result<Page, String> {
        let source = self.sources.get(recipient).ok_or("no table is named")?;
        let after: Option<Vec<String>> = after.map(serde_json::from_str).transpose().map_err(|_| "no such page")?;
        let rows = source.rows(after.as_deref()).await.map_err(|error| error.to_string())?;
        let next = rows.last().filter(|_| rows.len() as u64 == PAGE).map(|row| {
            let key: Vec<_> =
                row[..source.work.key.len()].iter().map(|text| text.clone().unwrap_or_default()).collect();
            serde_json::json!(key).to_string()
        });
        let mut members: Vec<_> = rows.into_iter().map(|row| source.member(row)).collect();
        members.retain(|member| !self.leaves(recipient, source, member));
        Ok(Page { members, next })
    }
}

impl Source {
    async fn rows(&self, after: Option<&[String]>) -> Result<Vec<Row>, Error> {
        let mut slot = self.connection.lock().await;
        let mut connection = match slot.take() {
            Some(connection) => connection,
            None => self.database.connect().await?,
        };
        let rows = connection.fetch(&statements::members(&self.work, after, PAGE)).await?;
        match rows.len() as u64 == PAGE {
            true => *slot = Some(connection),
            false => connection.close().await,
        }
        Ok(rows)
    }

    /// The identifiers of a row.
    fn member(&self, row: Row) -> BTreeMap<String, String> {
        let texts = row.into_iter().skip(self.work.key.len());
        let named = self.work.columns.iter().zip(texts);
        named.filter_map(|((name, _), text)| Some((name.clone(), text?))).collect()
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Source").field("table", &self.work.table).finish_non_exhaustive()
    }
}
