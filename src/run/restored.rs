//! Databases that were put back from a backup: a run stops before it does anything on one, until a person has looked.
//!
//! A run notes at its end where each database stands ([`note`]), and the next one compares ([`guard`]). Where the positions
//! leave a doubt, the rows decide: a restore brings erased rows back, and a tag tells of each row whether it was erased.
//! [`Returned`] looks at all that were ever erased.

use super::{Surroundings, keys::Reading, report::RuleReport};
use crate::{
    catalog::Table,
    database::{self, Connection, Course, Dialect, ErrorKind},
    evidence::tag::{Tag, TagKey},
    ledger::{self, Event, Ledger, erased, positions::Noted},
    outcome::Stop,
    plan::{self, OpenDatabase, Prepared},
    store::StoredTags,
};
use std::collections::{BTreeMap, BTreeSet};

/// Fewer rows than this say nothing: one may be somebody who came back under the same key.
const FEWEST: u64 = 2;

/// So many tags are held in memory at once: 64 MiB.
const TAGS_AT_ONCE: usize = 4 << 20;

/// Stops a run on a database that does not go on from where the last run left it.
///
/// # Errors
/// [`Stop`] with [`crate::outcome::Outcome::Refused`]; the ledger has said so by then. A database or the store cannot be read.
pub(super) async fn guard(
    prepared: &mut Prepared,
    noted: &BTreeMap<String, Noted>,
    ledger: &mut Ledger,
) -> anyhow::Result<()> {
    let mut refusals = Vec::new();
    for (name, course) in &prepared.courses {
        let (Some(open), Some(noted)) = (prepared.databases.get_mut(name), noted.get(name)) else { continue };
        let what = match course {
            Course::Onward => None,
            Course::Back(what) => Some(what.clone()),
            Course::Doubtful(why) => {
                tracing::info!(database = name, reason = why, "rows are compared with those that were erased last");
                let back = last_are_back(open, noted.restored.unwrap_or(0), ledger).await?;
                back.map(|back| format!("{why}, and {back}"))
            }
        };
        refusals.extend(what.map(|what| plan::refusal(name, noted, &what)));
    }
    if refusals.is_empty() {
        return Ok(());
    }
    let message = refusals.join("; ");
    tracing::error!(reason = message, "run refused");
    let refusal = Event::Refusal { rule: None, reason_code: "restored".to_owned(), message: message.clone() };
    ledger.append(vec![refusal], &[]).await?;
    Err(Stop::refused(message))
}

/// Whether most rows are there that the last run erased from a table, in words.
async fn last_are_back(open: &mut OpenDatabase, since: u64, ledger: &mut Ledger) -> anyhow::Result<Option<String>> {
    let OpenDatabase { database, connection, catalog, dialect, .. } = open;
    for path in erased::tables(ledger.store(), database.name()).await? {
        let Some(table) = table_at(&catalog.tables, database.name(), &path) else { continue };
        let batches = erased::newest(ledger.store(), &path, since, TAGS_AT_ONCE).await?;
        let erased = known_tags(ledger, &batches);
        let rows = erased.iter().map(|(_, tags)| tags.len() as u64).sum::<u64>();
        let mut back = BTreeSet::new();
        match are_there(*dialect, table, connection.as_mut(), &path, &erased, ledger.tag_key(), &mut back).await {
            Ok(()) => {}
            Err(error) if is_of_the_table(&error) => {
                tracing::warn!(table = path, reason = %error, "whether erased rows are there again cannot be seen");
                continue;
            }
            Err(error) => return Err(error.into()),
        }
        let back = back.len() as u64;
        if back >= FEWEST && back > rows / 2 {
            return Ok(Some(format!("{back} of the {rows} rows are there again that a run erased from {path} last")));
        }
    }
    Ok(None)
}

/// A table that this user may not read any more keeps nobody from working on others.
fn is_of_the_table(error: &database::Error) -> bool {
    matches!(error.kind, ErrorKind::Privilege | ErrorKind::Other)
}

fn reading<'a>(dialect: &'a dyn Dialect, table: &'a Table) -> Reading<'a> {
    Reading { dialect, table, part: None, question: None }
}

/// The table with this path, if it is there and its rows have keys.
fn table_at<'a>(tables: &'a [Table], database: &str, path: &str) -> Option<&'a Table> {
    let name = path.strip_prefix(database)?.strip_prefix('.')?;
    tables.iter().find(|table| table.name.to_string() == name && table.key_columns().next().is_some())
}

/// Writes down where the run leaves its databases. One that does not answer any more is compared with where it stood before.
///
/// # Errors
/// The ledger cannot be written.
pub(super) async fn note(
    around: &Surroundings<'_>,
    prepared: &Prepared,
    rules: &[RuleReport],
    ledger: &mut Ledger,
) -> Result<(), ledger::Error> {
    if around.rehearsal {
        return Ok(());
    }
    let mut noted = Vec::new();
    for (name, open) in &prepared.databases {
        let has_changed = rules.iter().any(|rule| rule.database == *name && rule.disposed > 0);
        let read = async {
            if has_changed {
                open.database.advance().await?;
            }
            let mut connection = open.database.connect_to_count().await?;
            let OpenDatabase { database, catalog, dialect, .. } = open;
            let position = plan::position(around.job, database.as_ref(), *dialect, catalog, connection.as_mut()).await;
            connection.close().await;
            position
        };
        match read.await {
            Ok(position) => noted.push(Event::PositionNoted { database: name.clone(), position }),
            Err(error) => tracing::warn!(database = name, reason = %error, "where the database stands is not known"),
        }
    }
    ledger.append(noted, &[]).await?;
    Ok(())
}

/// Which of all rows that were ever erased from a database are there now.
#[derive(Debug, Default)]
pub struct Returned {
    /// Their tags under the key in use, by `database.schema.table`.
    pub back: BTreeMap<String, BTreeSet<Tag>>,
    /// How many erased rows were looked for.
    pub compared: u64,
    /// Erased rows of which nobody can tell: their tag key or their table is gone, or their evidence is counts.
    pub unknown: u64,
}

impl Returned {
    /// Reads the keys of all tables that rows were erased from.
    ///
    /// # Errors
    /// The database or the store cannot be read.
    pub async fn to(open: &mut OpenDatabase, ledger: &mut Ledger) -> anyhow::Result<Self> {
        let OpenDatabase { database, connection, catalog, dialect, .. } = open;
        let mut found = Self::default();
        for path in erased::tables(ledger.store(), database.name()).await? {
            found.unknown += erased::counted(ledger.store(), &path).await?;
            let table = table_at(&catalog.tables, database.name(), &path);
            let mut after = 0;
            loop {
                let (tags, unknown) = some_erased(ledger, &path, &mut after).await?;
                found.unknown += unknown;
                if tags.is_empty() {
                    break;
                }
                let rows = tags.iter().map(|(_, tags)| tags.len() as u64).sum::<u64>();
                let Some(table) = table else {
                    found.unknown += rows;
                    continue;
                };
                let back = found.back.entry(path.clone()).or_default();
                match are_there(*dialect, table, connection.as_mut(), &path, &tags, ledger.tag_key(), back).await {
                    Ok(()) => found.compared += rows,
                    Err(error) if is_of_the_table(&error) => {
                        tracing::warn!(table = path, reason = %error, "whether erased rows are there cannot be seen");
                        found.unknown += rows;
                    }
                    Err(error) => return Err(error.into()),
                }
            }
        }
        found.back.retain(|_, tags| !tags.is_empty());
        Ok(found)
    }

    /// Numbers of rows by table.
    pub fn numbers(&self) -> BTreeMap<String, u64> {
        self.back.iter().map(|(table, tags)| (table.clone(), tags.len() as u64)).collect()
    }
}

/// Tags of erased rows by the key that made them, each list sorted.
type ErasedTags = Vec<(TagKey, Vec<Tag>)>;

/// The next tags of rows that were erased from a table, and the number of rows whose key is gone.
async fn some_erased(ledger: &mut Ledger, table: &str, after: &mut u64) -> Result<(ErasedTags, u64), ledger::Error> {
    let (mut batches, mut unknown, mut taken) = (Vec::new(), 0, 0);
    while taken < TAGS_AT_ONCE {
        let Some(stored) = erased::next(ledger.store(), table, *after).await? else { break };
        *after = stored.intent;
        let rows = stored.tags.len() / 16;
        match ledger.tag_key_with_id(&stored.tag_key) {
            Some(_) => {
                taken += rows;
                batches.push(stored);
            }
            None => unknown += rows as u64,
        }
    }
    Ok((known_tags(ledger, &batches), unknown))
}

/// The tags of batches whose keys are at hand.
fn known_tags(ledger: &Ledger, batches: &[StoredTags]) -> ErasedTags {
    let mut by_key: BTreeMap<&str, (TagKey, Vec<Tag>)> = BTreeMap::new();
    for stored in batches {
        if let Some(key) = ledger.tag_key_with_id(&stored.tag_key) {
            let (_, tags) = by_key.entry(&stored.tag_key).or_insert_with(|| (key.clone(), Vec::new()));
            tags.extend(stored.tags.as_chunks::<16>().0);
        }
    }
    let mut all: ErasedTags = by_key.into_values().collect();
    for (_, tags) in &mut all {
        tags.sort_unstable();
        tags.dedup();
    }
    all
}

/// Finds the rows of a table among erased ones.
async fn are_there(
    dialect: &dyn Dialect,
    table: &Table,
    connection: &mut dyn Connection,
    path: &str,
    erased: &ErasedTags,
    in_use: &TagKey,
    back: &mut BTreeSet<Tag>,
) -> Result<(), database::Error> {
    let each = |named: &[String], _| {
        if erased.iter().any(|(key, tags)| tags.binary_search(&key.tag(path, named)).is_ok()) {
            back.insert(in_use.tag(path, named));
        }
        true
    };
    reading(dialect, table).each(connection, each).await
}
