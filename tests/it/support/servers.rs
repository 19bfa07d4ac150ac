//! Databases of a test's own, on the servers that `tests/run` starts.
//!
//! ```ignore
//! let Some(database) = fresh_postgres("plan").await else { return };
//! database.load_sql(&dump);
//! let connection = PgConnection::connect(database.url()).await.unwrap();
//! ```
//!
//! Without servers a test fails, since a suite that quietly tests nothing is worse than one that does not run.
//! `SUNSET_TEST_SKIP_SERVERS=1` asks for it to be skipped instead, which is then said on standard error.

use std::env;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use sqlx::{AssertSqlSafe, Connection, MySqlConnection, PgConnection};
use url::Url;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Engine {
    Postgres,
    Mysql,
}

impl Engine {
    fn variable(self) -> &'static str {
        match self {
            Engine::Postgres => "SUNSET_TEST_POSTGRES_URL",
            Engine::Mysql => "SUNSET_TEST_MYSQL_URL",
        }
    }

    /// Runs a statement on the server that `url` names, as its superuser.
    async fn execute(self, url: &str, sql: String) -> sqlx::Result<()> {
        match self {
            Engine::Postgres => {
                let mut connection = PgConnection::connect(url).await?;
                sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await?;
                connection.close().await
            }
            Engine::Mysql => {
                let mut connection = MySqlConnection::connect(url).await?;
                sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await?;
                connection.close().await
            }
        }
    }
}

/// A new and empty PostgreSQL database, or nothing if the tests on servers are to be skipped.
///
/// The label becomes part of the database's name, where it tells a developer which test made it.
pub async fn fresh_postgres(label: &str) -> Option<TestDatabase> {
    TestDatabase::create(Engine::Postgres, label).await
}

/// A new and empty MariaDB (or MySQL) database, or nothing if the tests on servers are to be skipped.
pub async fn fresh_mysql(label: &str) -> Option<TestDatabase> {
    TestDatabase::create(Engine::Mysql, label).await
}

/// The path of one of the real dumps, which are too big for the repository, or nothing if they are not at hand.
pub fn shared_data(file: &str) -> Option<PathBuf> {
    let Ok(folder) = env::var("SUNSET_TEST_SHARED_DATA") else {
        say(&format!("skipped: SUNSET_TEST_SHARED_DATA names no folder with {file}"));
        return None;
    };
    let path = Path::new(&folder).join(file);
    assert!(path.is_file(), "SUNSET_TEST_SHARED_DATA is set, but there is no {}", path.display());
    Some(path)
}

/// A database that is dropped, with whatever the test left in it, when this value is.
#[derive(Debug)]
pub struct TestDatabase {
    engine: Engine,
    name: String,
    url: Url,
    server_url: String,
}

impl TestDatabase {
    async fn create(engine: Engine, label: &str) -> Option<TestDatabase> {
        static COUNT: AtomicU32 = AtomicU32::new(0);

        let server_url = server_url(engine)?;
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("sunset_test_{label}_{}_{count}", process::id());
        assert!(
            name.len() <= 63
                && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_'),
            "{name} has to be a name that needs no quotes"
        );
        let mut url = Url::parse(&server_url).unwrap();
        url.set_path(&name);

        // A killed run on a server that stayed up may have left one of that name.
        let leftover = format!("drop database if exists {name}");
        engine.execute(&server_url, leftover).await.unwrap_or_else(|error| panic!("{}: {error}", engine.variable()));
        engine.execute(&server_url, format!("create database {name}")).await.unwrap();
        Some(TestDatabase { engine, name, url, server_url })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn url(&self) -> &str {
        self.url.as_str()
    }

    /// Runs a file of SQL in the engine's own client, since dumps hold what only that understands: `COPY` with its
    /// data, `DELIMITER`.
    pub fn load_sql(&self, path: &Path) {
        match self.engine {
            Engine::Postgres => self.load_with_psql(path),
            Engine::Mysql => self.load_with_mariadb(path),
        }
    }

    fn load_with_psql(&self, path: &Path) {
        let mut psql = Command::new("psql");
        psql.args(["--no-psqlrc", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1"]);
        psql.arg("--dbname").arg(self.url()).arg("--file").arg(path);
        run_client(psql, "");
    }

    fn load_with_mariadb(&self, path: &Path) {
        let mut mariadb = Command::new("mariadb");
        mariadb.args(["--no-defaults", "--protocol=tcp", "--default-character-set=utf8mb4"]);
        mariadb.arg("--host").arg(self.url.host_str().unwrap());
        mariadb.arg("--port").arg(self.url.port().unwrap_or(3306).to_string());
        mariadb.arg("--user").arg(self.url.username());
        mariadb.arg("--database").arg(&self.name);
        let password = self.url.password().unwrap_or_default();
        assert!(!password.contains('%'), "a password that is encoded in the URL is not supported here");
        mariadb.env("MYSQL_PWD", password);

        // Sakila drops, creates and uses a schema of its own name; it shall be this test's instead.
        let sql = fs::read_to_string(path).unwrap();
        let sql = sql.replace(" sakila;", &format!(" {};", self.name)).replace(" sakila.", &format!(" {}.", self.name));
        run_client(mariadb, &sql);
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let sql = match self.engine {
            Engine::Postgres => format!("drop database {} with (force)", self.name),
            // There is no force here: a transaction that the test left open must not hold up the rest for an hour.
            Engine::Mysql => format!("set lock_wait_timeout = 20; drop database {}", self.name),
        };
        let (engine, server_url) = (self.engine, self.server_url.clone());
        // A thread of its own, because the test's runtime cannot wait for anything while it drops a value.
        let dropping = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(engine.execute(&server_url, sql))
        });
        match dropping.join() {
            Ok(Ok(())) => {}
            Ok(Err(error)) => say(&format!("{} is left behind: {error}", self.name)),
            Err(_) => say(&format!("{} is left behind", self.name)),
        }
    }
}

fn server_url(engine: Engine) -> Option<String> {
    let variable = engine.variable();
    if let Ok(url) = env::var(variable) {
        return Some(url);
    }
    assert!(
        env::var("SUNSET_TEST_SKIP_SERVERS").is_ok_and(|value| value == "1"),
        "{variable} is not set. `tests/run` starts the servers that this test needs; \
         with SUNSET_TEST_SKIP_SERVERS=1 it is skipped"
    );
    say(&format!("skipped: {variable} is not set"));
    None
}

fn run_client(mut client: Command, input: &str) {
    let program = client.get_program().to_owned();
    let mut child = client
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start {}: {error}", program.display()));
    // A client that stops at an error closes its input early; what it has to say about that counts, not the pipe.
    let written = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}: {}", program.display(), String::from_utf8_lossy(&output.stderr));
    written.unwrap();
}

/// Writes to standard error past the capture of `cargo test`, which shows nothing of a test that passes.
pub fn say(message: &str) {
    let test = thread::current().name().unwrap_or("a test").to_owned();
    let _ = writeln!(io::stderr(), "{test}: {message}");
}
