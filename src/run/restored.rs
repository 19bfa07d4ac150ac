//! Databases that were put back from a backup: a run stops before it does anything on one, until a person has looked.
//!
//! A run notes at its end where each database stands ([`note`]), and the next one compares ([`guard`]). Where the positions
//! leave a doubt, the rows decide: a restore brings erased rows back, and a tag tells of each row whether it was erased.
//! [`Returned`] looks at all that were ever erased.

use super::{Surroundings, keys::Reading, report::RuleReport};
use crate::{
    catalog::Table,
    database::{self, Connection, Course, Dialect},
    evidence::tag::{Tag, TagKey},
    ledger::{self, Event, Ledger, erased, positions::Noted},
    outcome::Stop,
    plan::{self, OpenDatabase, Prepared},
};
use std::collections::{BTreeMap, BTreeSet, HashSet};

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
                let back = newest_are_back(open, noted.restored.unwrap_or(0), ledger).await?;
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

/// Whether most rows that the newest batch of a table erased are there, in words.
async fn newest_are_back(open: &mut OpenDatabase, since: u64, ledger: &mut Ledger) -> anyhow::Result<Option<String>> {
    let OpenDatabase { database, connection, catalog, dialect, .. } = open;
    for path in erased::tables(ledger.store(), database.name()).await? {
        let Some(table) = table_at(&catalog.tables, database.name(), &path) else { continue };
        let Some(stored) = erased::newest(ledger.store(), &path, since).await? else { continue };
        let Some(key) = ledger.tag_key_with_id(&stored.tag_key) else { continue };
        let tags: HashSet<&[u8]> = stored.tags.chunks_exact(16).collect();
        let (all, mut back) = (tags.len() as u64, 0);
        let each = |named: &[String], _| {
            back += u64::from(tags.contains(key.tag(&path, named).as_slice()));
            back < all
        };
        reading(*dialect, table).each(connection.as_mut(), each).await?;
        if back >= FEWEST && back > all / 2 {
            let seq = stored.intent;
            return Ok(Some(format!(
                "{back} of the {all} rows of {path} that a batch erased (entry {seq}) are there again"
            )));
        }
    }
    Ok(None)
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
                match table {
                    Some(table) => {
                        let back = found.back.entry(path.clone()).or_default();
                        are_there(*dialect, table, connection.as_mut(), &path, &tags, ledger.tag_key(), back).await?;
                        found.compared += rows;
                    }
                    None => found.unknown += rows,
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

/// The next tags of rows that were erased from a table, by the key that made them, each list sorted; and the number of rows
/// whose key is gone.
async fn some_erased(
    ledger: &mut Ledger,
    table: &str,
    after: &mut u64,
) -> Result<(Vec<(TagKey, Vec<Tag>)>, u64), ledger::Error> {
    let (mut by_key, mut unknown, mut taken): (BTreeMap<String, (TagKey, Vec<Tag>)>, _, _) = (BTreeMap::new(), 0, 0);
    while taken < TAGS_AT_ONCE {
        let Some(stored) = erased::next(ledger.store(), table, *after).await? else { break };
        *after = stored.intent;
        let (tags, _) = stored.tags.as_chunks::<16>();
        match ledger.tag_key_with_id(&stored.tag_key) {
            Some(key) => {
                let (_, known) = by_key.entry(stored.tag_key.clone()).or_insert_with(|| (key.clone(), Vec::new()));
                known.extend(tags);
                taken += tags.len();
            }
            None => unknown += tags.len() as u64,
        }
    }
    let mut all: Vec<_> = by_key.into_values().collect();
    for (_, tags) in &mut all {
        tags.sort_unstable();
        tags.dedup();
    }
    Ok((all, unknown))
}

/// Finds the rows of a table among erased ones.
async fn are_there(
    dialect: &dyn Dialect,
    table: &Table,
    connection: &mut dyn Connection,
    path: &str,
    erased: &[(TagKey, Vec<Tag>)],
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
