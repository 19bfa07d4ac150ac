//! The servers that tests run on, and a database of its own for each test, dropped afterwards.

use secrecy::SecretString;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, MySqlConnection, PgConnection, SqliteConnection};
use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};
use sunset::{
    catalog::Engine,
    database::{Connection, Database, Row, open},
    settings::{DatabaseSettings, Pace},
    sql::{Statement, Value},
};

pub const ENGINES: [Engine; 3] = [Engine::Postgres, Engine::Mysql, Engine::Sqlite];

/// What a test can run on. `tests/servers` starts them; the last three where they can be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    Postgres,
    Mariadb,
    Sqlite,
    Postgres18,
    Mysql9,
    Mariadb11,
}

impl Server {
    pub fn engine(self) -> Engine {
        match self {
            Self::Postgres | Self::Postgres18 => Engine::Postgres,
            Self::Mariadb | Self::Mysql9 | Self::Mariadb11 => Engine::Mysql,
            Self::Sqlite => Engine::Sqlite,
        }
    }

    /// The superuser's URL: empty for SQLite, which has no server.
    fn url(self) -> String {
        let variable = match self {
            Self::Postgres => "SUNSET_TEST_POSTGRES_URL",
            Self::Mariadb => "SUNSET_TEST_MYSQL_URL",
            Self::Postgres18 => "SUNSET_TEST_POSTGRES_18_URL",
            Self::Mysql9 => "SUNSET_TEST_MYSQL_9_URL",
            Self::Mariadb11 => "SUNSET_TEST_MARIADB_11_URL",
            Self::Sqlite => return String::new(),
        };
        std::env::var(variable).unwrap_or_else(|_| panic!("{variable} must name a server for the tests"))
    }
}

pub struct Scratch {
    pub engine: Engine,
    pub url: String,
    /// The database that creates and drops this one.
    pub admin: String,
    pub name: String,
    directory: Option<tempfile::TempDir>,
}

impl Scratch {
    pub async fn new(engine: Engine) -> Self {
        Self::at(usual(engine)).await
    }

    pub async fn at(server: Server) -> Self {
        Self::beside(server.engine(), server.url()).await
    }

    /// On the server of this database.
    pub async fn beside(engine: Engine, admin: String) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("sunset_it_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let (admin, url, directory) = match engine {
            Engine::Sqlite => {
                let directory = tempfile::tempdir().unwrap();
                let path = directory.path().join("test.db");
                std::fs::File::create(&path).unwrap();
                (String::new(), format!("sqlite:{}", path.display()), Some(directory))
            }
            _ => {
                let (head, _) = admin.split_at(admin.rfind('/').unwrap());
                let url = format!("{head}/{name}");
                (admin, url, None)
            }
        };
        let scratch = Self { engine, url, admin, name, directory };
        if scratch.directory.is_none() {
            execute(engine, &scratch.admin, &format!("create database {}", scratch.name)).await;
        }
        scratch
    }

    /// One that somebody else made, and drops.
    pub fn existing(engine: Engine, url: &str) -> Self {
        Self { engine, url: url.to_owned(), admin: String::new(), name: String::new(), directory: None }
    }

    /// Runs any number of statements.
    pub async fn script(&self, sql: &str) {
        execute(self.engine, &self.url, sql).await;
    }

    pub fn database(&self) -> Box<dyn Database> {
        self.paced(&Pace::default())
    }

    pub fn paced(&self, pace: &Pace) -> Box<dyn Database> {
        open(&settings(self.engine, &self.url), pace).unwrap()
    }

    pub async fn connect(&self) -> Box<dyn Connection> {
        self.database().connect().await.unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if self.directory.is_some() || self.admin.is_empty() {
            return;
        }
        let force = if self.engine == Engine::Postgres { " with (force)" } else { "" };
        let sql = format!("drop database {}{force}", self.name);
        let (engine, admin) = (self.engine, self.admin.clone());
        // A runtime cannot be entered twice in one thread.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(execute(engine, &admin, &sql));
        });
        let _ = dropping.join();
    }
}

/// The server of an engine that tests run on which do not ask for another.
fn usual(engine: Engine) -> Server {
    match engine {
        Engine::Postgres => Server::Postgres,
        Engine::Mysql => Server::Mariadb,
        Engine::Sqlite => Server::Sqlite,
    }
}

/// The URL of the server under test.
pub fn server(engine: Engine) -> String {
    usual(engine).url()
}

pub fn settings(engine: Engine, url: &str) -> DatabaseSettings {
    DatabaseSettings {
        name: "core".into(),
        engine,
        url: SecretString::from(url),
        allow_plaintext: false,
        search_path: Vec::new(),
        replicas: Default::default(),
        pace: Default::default(),
    }
}

/// A pace whose time-outs a test can wait for.
pub fn impatient() -> Pace {
    Pace { statement_timeout: Duration::from_secs(1), lock_timeout: Duration::from_millis(400), ..Pace::default() }
}

pub async fn execute(engine: Engine, url: &str, sql: &str) {
    let sql = AssertSqlSafe(sql.to_owned());
    match engine {
        Engine::Postgres => drop(PgConnection::connect(url).await.unwrap().execute(sqlx::raw_sql(sql)).await.unwrap()),
        Engine::Mysql => drop(MySqlConnection::connect(url).await.unwrap().execute(sqlx::raw_sql(sql)).await.unwrap()),
        Engine::Sqlite => {
            let mut connection = SqliteConnection::connect(url).await.unwrap();
            connection.execute(sqlx::raw_sql(sql)).await.unwrap();
            connection.close().await.unwrap();
        }
    }
}

pub fn statement(sql: &str, args: impl IntoIterator<Item = Value>) -> Statement {
    Statement { sql: sql.into(), args: args.into_iter().collect() }
}

pub fn text(value: &str) -> Value {
    Value::Text(value.into())
}

pub fn row<const N: usize>(values: [&str; N]) -> Row {
    values.into_iter().map(|value| Some(value.to_owned())).collect()
}
