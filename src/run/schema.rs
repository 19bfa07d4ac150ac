//! Whether the schema is still the one that was planned.
//!
//! A batch is looked at when its statements have been executed and before it commits: what they met, be it a foreign key that
//! cascades or a trigger, is in the schema then, and the locks that they took keep out what is not (docs/schema-changes.md).
//! On MySQL a look at a schema of thousands of tables takes long: it is not taken in every batch then, and what batches did
//! without one is told.

use super::Failure;
use crate::{
    catalog::Engine,
    database::{Connection, Dialect, Error, ErrorKind, FactScope, facts},
    plan::{OpenDatabase, PlannedSchema},
};
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// A look that takes no longer is taken in each batch.
const SHORT: Duration = Duration::from_millis(20);

/// Longer ones take no more than this part of the time.
const PART: u32 = 20;

/// How often it was looked before it is known how long that takes: the first look finds nothing in the server's caches.
const KNOWN: u32 = 3;

/// Compares the schema with the one that a step was planned with. Shared by the step's workers.
pub(super) struct SchemaWatch<'a> {
    planned: &'a PlannedSchema,
    pub database: &'a OpenDatabase,
    state: Mutex<State>,
}

/// How much is looked at, where the engine makes a difference.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// What may take rows along.
    Harmful,
    All,
}

#[derive(Default)]
struct State {
    /// A session of its own, where a batch's session sees the schema as it was when its transaction began.
    connection: Option<Box<dyn Connection>>,
    /// When the last look ended.
    ended: Option<Instant>,
    /// When the last one at everything ended, and how long it took.
    whole: Option<(Instant, Duration)>,
    /// How long the shortest of the others took, and how many there were.
    shortest: Duration,
    looks: u32,
    /// The engine's own number of the schema that was found to be the same.
    version: Option<String>,
    /// Batches that were committed since the last look.
    unseen: u64,
}

impl State {
    /// Looking at everything once more would take too much of the time.
    fn is_whole_recent(&self) -> bool {
        self.whole.is_some_and(|(ended, took)| ended.elapsed() < took * PART)
    }
}

impl<'a> SchemaWatch<'a> {
    pub fn new(planned: &'a PlannedSchema, database: &'a OpenDatabase) -> Self {
        Self { planned, database, state: Mutex::default() }
    }

    pub fn dialect(&self) -> &'static dyn Dialect {
        self.database.dialect
    }

    /// Not each batch can wait for a look.
    fn is_slow(&self, state: &State) -> bool {
        let engine = self.database.catalog.engine;
        engine == Engine::Mysql && state.looks >= KNOWN && state.shortest > SHORT
    }

    /// A batch does not look at everything: that was done a moment ago, or takes too long while its rows are locked.
    fn is_brief(&self, state: &State) -> bool {
        let is_long = state.whole.is_some_and(|(_, took)| took > SHORT);
        self.database.catalog.engine == Engine::Mysql && (is_long || state.is_whole_recent())
    }

    /// Looks at the schema on behalf of a batch that has changed its rows and not committed. False where it is left to
    /// another batch, because looks take long.
    ///
    /// # Errors
    /// [`Failure::SchemaChanged`], or the database fails.
    pub async fn look_in_batch(&self, connection: &mut dyn Connection) -> Result<bool, Failure> {
        let mut state = self.state.lock().await;
        if self.is_slow(&state) && state.ended.is_some_and(|ended| ended.elapsed() < state.shortest * PART) {
            return Ok(false);
        }
        self.look(&mut state, connection, Extent::Harmful).await.map(|()| true)
    }

    /// Looks at the schema before a chunk begins, as far as its batches do not.
    ///
    /// # Errors
    /// As [`SchemaWatch::look_in_batch`].
    pub async fn look_before_chunk(&self, connection: &mut dyn Connection) -> Result<(), Failure> {
        let mut state = self.state.lock().await;
        if self.is_slow(&state) {
            self.look(&mut state, connection, Extent::Harmful).await?;
        }
        if self.is_brief(&state) && !state.is_whole_recent() {
            self.look(&mut state, connection, Extent::All).await?;
        }
        Ok(())
    }

    /// Looks at all that matters, between batches.
    ///
    /// # Errors
    /// As [`SchemaWatch::look_in_batch`].
    pub async fn look_at_all(&self, connection: &mut dyn Connection) -> Result<(), Failure> {
        let mut state = self.state.lock().await;
        state.version = None;
        self.look(&mut state, connection, Extent::All).await
    }

    /// Looks whether the schema has changed, in a session of its own.
    ///
    /// # Errors
    /// As [`SchemaWatch::look_in_batch`].
    pub async fn look_once_more(&self) -> Result<(), Failure> {
        let mut connection = self.database.database.connect_to_count().await?;
        let looked = self.look_at_all(connection.as_mut()).await;
        connection.close().await;
        looked
    }

    /// A batch was committed without a look.
    pub async fn note_unseen(&self) {
        self.state.lock().await.unseen += 1;
    }

    async fn look(&self, state: &mut State, connection: &mut dyn Connection, extent: Extent) -> Result<(), Failure> {
        let dialect = self.database.dialect;
        if self.database.catalog.engine == Engine::Postgres {
            self.connect(state).await?;
        }
        let (began, mut is_whole) = (Instant::now(), false);
        let version = match dialect.schema_version() {
            Some(statement) => connection.fetch(&statement).await?.into_iter().flatten().next().flatten(),
            None => None,
        };
        if version.is_none() || version != state.version {
            let PlannedSchema { tables, changed, schemas, facts: planned } = self.planned;
            let is_brief = extent == Extent::Harmful && self.is_brief(state);
            let scope = match is_brief {
                true => FactScope::Harmful { tables: changed, schemas },
                false => FactScope::Tables(tables),
            };
            let now = match &mut state.connection {
                Some(own) => match facts::read(own.as_mut(), dialect, &scope).await {
                    // it may have stood idle for as long as the run waited
                    Err(error) if error.kind == ErrorKind::Unreachable => {
                        state.connection = None;
                        facts::read(self.connect(state).await?, dialect, &scope).await?
                    }
                    read => read?,
                },
                None => facts::read(connection, dialect, &scope).await?,
            };
            let differences = if is_brief { now.added_since(planned) } else { now.differences_from(planned) };
            let differences: Vec<_> = differences.into_iter().take(MOST).collect();
            if !differences.is_empty() {
                return Err(Failure::SchemaChanged { what: differences.join(", "), unseen: state.unseen });
            }
            state.version = version;
            is_whole = !is_brief;
        }
        let took = began.elapsed();
        if is_whole {
            state.whole = Some((Instant::now(), took));
        } else {
            state.shortest = if state.looks == 0 { took } else { state.shortest.min(took) };
            state.looks += 1;
        }
        state.ended = Some(Instant::now());
        state.unseen = 0;
        Ok(())
    }

    /// A transaction at REPEATABLE READ sees the schema as it was when it began, and not what was changed while a
    /// statement of it waited for a lock.
    async fn connect<'s>(&self, state: &'s mut State) -> Result<&'s mut dyn Connection, Error> {
        let connection = match state.connection.take() {
            Some(connection) => connection,
            None => {
                let mut connection = self.database.database.connect_to_count().await?;
                if let Some(statement) = self.database.dialect.reads_facts_often() {
                    connection.fetch(&statement).await?;
                }
                connection
            }
        };
        Ok(state.connection.insert(connection).as_mut())
    }

    /// Ends the session.
    pub async fn close(self) {
        if let Some(connection) = self.state.into_inner().connection {
            connection.close().await;
        }
    }
}

/// So many differences are told.
const MOST: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ledger::RuleResult,
        plan::open_database,
        settings::{DatabasePace, DatabaseSettings, Pace},
        sql::Statement,
    };
    use std::collections::BTreeMap;

    const KEY: &str =
        "create table notes (id integer primary key, customer integer references customers on delete cascade)";

    async fn watched(directory: &tempfile::TempDir) -> (OpenDatabase, PlannedSchema) {
        let path = directory.path().join("core.db");
        std::fs::File::create(&path).unwrap();
        let settings = DatabaseSettings {
            name: "core".to_owned(),
            engine: Engine::Sqlite,
            url: format!("sqlite:{}", path.display()).into(),
            allow_plaintext: false,
            search_path: Vec::new(),
            replicas: BTreeMap::new(),
            pace: DatabasePace::default(),
        };
        let open = open_database(&settings, &Pace::default()).await.unwrap();
        let mut connection = open.database.connect().await.unwrap();
        let sql = "create table customers (id integer primary key)";
        connection.execute(&Statement::new(sql)).await.unwrap();
        let tables = vec![crate::catalog::TableName { schema: "main".to_owned(), name: "customers".to_owned() }];
        let facts = facts::read(connection.as_mut(), open.dialect, &FactScope::Tables(&tables)).await.unwrap();
        connection.close().await;
        (open, PlannedSchema { changed: tables.clone(), tables, schemas: vec!["main".to_owned()], facts })
    }

    /// What was committed without a look may have taken rows along that no plan knew of: a person has to see to it.
    #[tokio::test]
    async fn batches_without_a_look_are_told() {
        let directory = tempfile::tempdir().unwrap();
        let (open, planned) = watched(&directory).await;
        let watch = SchemaWatch::new(&planned, &open);
        let mut connection = open.database.connect().await.unwrap();
        assert!(watch.look_in_batch(connection.as_mut()).await.unwrap());
        watch.note_unseen().await;
        watch.note_unseen().await;
        // a look that finds nothing vouches for those before it
        watch.look_at_all(connection.as_mut()).await.unwrap();
        watch.note_unseen().await;
        connection.execute(&Statement::new(KEY)).await.unwrap();
        let failure = watch.look_in_batch(connection.as_mut()).await.unwrap_err();
        assert_eq!(failure.result(), RuleResult::Refused);
        let words = failure.to_string();
        assert!(words.contains("foreign key") && words.contains("since it was last looked at: 1;"), "{words}");
    }

    /// Where each batch was looked at, nothing has gone under the new schema: the next run plans with it.
    #[tokio::test]
    async fn a_change_that_no_batch_met_is_for_the_next_run() {
        let directory = tempfile::tempdir().unwrap();
        let (open, planned) = watched(&directory).await;
        let watch = SchemaWatch::new(&planned, &open);
        let mut connection = open.database.connect().await.unwrap();
        for harmless in ["create table others (id integer)", "create index i on customers (id)"] {
            connection.execute(&Statement::new(harmless)).await.unwrap();
            assert!(watch.look_in_batch(connection.as_mut()).await.unwrap(), "{harmless}");
        }
        connection.execute(&Statement::new(KEY)).await.unwrap();
        assert_eq!(watch.look_once_more().await.unwrap_err().result(), RuleResult::Temporary);
    }
}
