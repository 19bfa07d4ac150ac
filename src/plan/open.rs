//! Connects to databases and reads their schemas.

use crate::{
    catalog::{Catalog, Facts},
    database::{self, Connection, Database, Dialect, ErrorKind, FactScope},
    job::Job,
};
use std::collections::{BTreeMap, BTreeSet};

/// A database that is connected, with its schema.
pub struct OpenDatabase {
    pub database: Box<dyn Database>,
    pub connection: Box<dyn Connection>,
    pub catalog: Catalog,
    /// What the schema had before the catalog was read.
    pub facts: Facts,
    pub dialect: &'static dyn Dialect,
    /// Tells the database: entries of the settings that lead to one database have one identity.
    pub identity: String,
}

/// Why a database cannot be planned for.
#[derive(Clone, Debug)]
pub struct Unavailable {
    pub reason: String,
    pub temporary: bool,
}

/// Connects to databases, by name. Those that cannot be reached are told apart.
pub async fn open_databases(
    job: &Job,
    names: BTreeSet<&str>,
) -> (BTreeMap<String, OpenDatabase>, BTreeMap<String, Unavailable>) {
    let (mut open, mut unavailable) = (BTreeMap::new(), BTreeMap::new());
    for name in names {
        // loading has refused names that the settings do not know
        let Some(settings) = job.settings.databases.get(name) else { continue };
        match open_database(settings, &job.settings.pace).await {
            Ok(database) => {
                open.insert(name.to_owned(), database);
            }
            Err(error) => {
                let temporary = !matches!(error.kind, ErrorKind::Refused | ErrorKind::Privilege);
                unavailable.insert(name.to_owned(), Unavailable { reason: error.to_string(), temporary });
            }
        }
    }
    (open, unavailable)
}

/// What [`OpenDatabase::identity`] of a database is.
///
/// # Errors
/// It cannot be reached.
pub async fn whereabouts(
    settings: &crate::settings::DatabaseSettings,
    pace: &crate::settings::Pace,
) -> Result<String, database::Error> {
    let database = database::open(settings, pace)?;
    let mut connection = database.connect_to_count().await?;
    let identity = identity(settings, connection.as_mut(), database::dialect(database.engine(), "")).await;
    connection.close().await;
    Ok(identity)
}

async fn identity(
    settings: &crate::settings::DatabaseSettings,
    connection: &mut dyn Connection,
    dialect: &dyn Dialect,
) -> String {
    // servers that only speak an engine's protocol may not know what they are asked here
    let told = connection.named(dialect.whereabouts()).await.unwrap_or_default();
    let told: Vec<_> = told.into_iter().flatten().filter_map(|(_, value)| value).collect();
    if told.is_empty() { settings.name.clone() } else { told.join("/") }
}

/// Connects to one database and reads its schema.
pub async fn open_database(
    settings: &crate::settings::DatabaseSettings,
    pace: &crate::settings::Pace,
) -> Result<OpenDatabase, database::Error> {
    let database = database::open(settings, pace)?;
    let mut connection = database.connect_to_count().await?;
    let engine = database.engine();
    // what comes while the catalog is read may be in it or not: it counts as new
    let facts =
        database::facts::read(connection.as_mut(), database::dialect(engine, ""), &FactScope::Everything).await?;
    let catalog = database.catalog(connection.as_mut()).await?;
    let dialect = database::dialect(engine, &catalog.version);
    let identity = identity(settings, connection.as_mut(), dialect).await;
    Ok(OpenDatabase { database, connection, catalog, facts, dialect, identity })
}
