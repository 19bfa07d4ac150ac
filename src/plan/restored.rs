//! Whether a database is still the one that the last run left: it goes on from where it stood, or it was put back.

use super::OpenDatabase;
use crate::{
    catalog::{Catalog, Engine},
    database::{self, Connection, Course, Database, Dialect, Position},
    job::Job,
    ledger::positions::Noted,
};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// So many bytes of a digest tell a table: each run notes one for each.
const DIGEST: usize = 4;

/// Where a database stands.
///
/// # Errors
/// It does not answer. What it does not tell is no error.
pub async fn position(
    job: &Job,
    database: &dyn Database,
    dialect: &dyn Dialect,
    catalog: &Catalog,
    connection: &mut dyn Connection,
) -> Result<Position, database::Error> {
    let mut position = database.position(connection).await?;
    // SQLite's tables keep nothing that an ordinary vacuum does not change
    if catalog.engine != Engine::Sqlite {
        position.tables = tables(job, database.name(), dialect, catalog, connection).await?;
    }
    Ok(position)
}

/// Digests that tell the tables that rules govern from tables that are made in their place.
async fn tables(
    job: &Job,
    database: &str,
    dialect: &dyn Dialect,
    catalog: &Catalog,
    connection: &mut dyn Connection,
) -> Result<BTreeSet<String>, database::Error> {
    let governed = job.rules().map(|rule| &rule.table).filter(|table| table.database == database);
    let found = governed.filter_map(|table| catalog.table(table.schema.as_deref(), &table.table));
    let names: BTreeSet<_> = found.map(|table| &table.name).collect();
    let mut digests = BTreeSet::new();
    for name in names {
        let told = connection.fetch(&dialect.table_identity(name)).await?.into_iter().flatten().next().flatten();
        if let Some(identity) = told {
            digests.insert(hex::encode(&Sha256::digest(format!("{name} {identity}"))[..DIGEST]));
        }
    }
    Ok(digests)
}

/// What has become of the databases that a run has noted, where they do not simply go on.
pub(super) async fn courses(
    job: &Job,
    databases: &mut BTreeMap<String, OpenDatabase>,
    noted: &BTreeMap<String, Noted>,
) -> Result<BTreeMap<String, Course>, database::Error> {
    let mut courses = BTreeMap::new();
    for (name, open) in databases {
        let Some(noted) = noted.get(name) else { continue };
        let OpenDatabase { database, connection, catalog, dialect, .. } = open;
        let now = position(job, database.as_ref(), *dialect, catalog, connection.as_mut()).await?;
        match now.since(&noted.position) {
            Course::Onward => {}
            course => drop(courses.insert(name.clone(), course)),
        }
    }
    Ok(courses)
}

/// Why nothing is done, and the way out, for each database that is certainly not the one that the last run left.
pub(super) fn refusals(courses: &BTreeMap<String, Course>, noted: &BTreeMap<String, Noted>) -> Vec<String> {
    let back = courses.iter().filter_map(|(name, course)| match course {
        Course::Back(what) => Some(refusal(name, noted.get(name)?, what)),
        Course::Onward | Course::Doubtful(_) => None,
    });
    back.collect()
}

/// Why nothing is done, and the way out.
pub fn refusal(database: &str, noted: &Noted, what: &str) -> String {
    format!(
        "database `{database}` does not go on from where it stood on {at:.0} ({run}): {what}. It was put back to an earlier \
         state, or is another one. Nothing is done until somebody has looked: `sunset restored {database} --by … --reason …` \
         lets runs go on (docs/restore.md)",
        at = noted.at,
        run = noted.run,
    )
}
