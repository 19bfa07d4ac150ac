//! The database and the job directory on which cases run, one after the other, and the real program.

use super::{
    generate::NAMES,
    schema::{Case, Edit, Mark, State},
    value::Engine,
    write::{DATABASE, PREPARATION},
};
use crate::server::{Scratch, Server};
use sqlx::{
    AssertSqlSafe, Connection as _, Executor as _, MySqlConnection, PgConnection, Row as _, SqliteConnection, raw_sql,
};
use std::{
    collections::BTreeMap,
    fs,
    io::Read as _,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};
use tokio::runtime::{Builder, Runtime};

/// All that is in the tables, as the engine prints it: table, mark, columns that are not hidden.
pub type Picture = Vec<BTreeMap<Mark, Vec<Option<String>>>>;

pub struct Bench {
    pub engine: Engine,
    runtime: Runtime,
    database: Scratch,
    link: Link,
    directory: tempfile::TempDir,
    binary: PathBuf,
}

enum Link {
    Postgres(PgConnection),
    Maria(MySqlConnection),
    /// Opened for each use, as the file is made anew for each case.
    Sqlite,
}

#[derive(Debug)]
pub struct Call {
    pub code: i32,
    pub out: String,
    pub err: String,
}

/// No call takes nearly as long on so few rows.
const DEADLINE: Duration = Duration::from_secs(90);

const POSTGRES_SESSION: &str = "set client_min_messages = error; set synchronous_commit = off";

const MARIA_SESSION: &str = "set names utf8mb4; set time_zone = '+00:00';\
    set session sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES'; set session explicit_defaults_for_timestamp = 1";

impl Bench {
    /// On the server of this engine that tests run on which do not ask for another.
    pub fn new(engine: Engine) -> Self {
        Self::at(match engine {
            Engine::Postgres => Server::Postgres,
            Engine::Maria => Server::Mariadb,
            Engine::Sqlite => Server::Sqlite,
        })
    }

    pub fn at(server: Server) -> Self {
        let engine = match server.engine() {
            sunset::catalog::Engine::Postgres => Engine::Postgres,
            sunset::catalog::Engine::Mysql => Engine::Maria,
            sunset::catalog::Engine::Sqlite => Engine::Sqlite,
        };
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let (database, link) = runtime.block_on(async {
            let database = Scratch::at(server).await;
            let url = &database.url;
            let link = match engine {
                Engine::Postgres => {
                    let mut connection = PgConnection::connect(url).await.unwrap();
                    connection.execute(raw_sql(POSTGRES_SESSION)).await.unwrap();
                    connection.execute(raw_sql(PREPARATION)).await.unwrap();
                    Link::Postgres(connection)
                }
                Engine::Maria => {
                    let mut connection = MySqlConnection::connect(url).await.unwrap();
                    connection.execute(raw_sql(MARIA_SESSION)).await.unwrap();
                    Link::Maria(connection)
                }
                Engine::Sqlite => Link::Sqlite,
            };
            (database, link)
        });
        let directory = tempfile::tempdir().unwrap();
        let binary = std::env::var("SUNSET_TEST_BINARY").unwrap_or_else(|_| env!("CARGO_BIN_EXE_sunset").into());
        let mut bench = Self { engine, runtime, database, link, directory, binary: binary.into() };
        fs::write(bench.path("sunset.yaml"), "time_zone: UTC\ndatabases: {}\n").unwrap();
        let keys = bench.path("keys");
        let made = bench.sunset(&["keys", "new", "--out", keys.to_str().unwrap()]);
        assert!(made.code == 0, "no keys: {made:?}");
        for file in fs::read_dir(&keys).unwrap() {
            let file = file.unwrap().path();
            let name = file.file_name().unwrap().to_str().unwrap().split_once('-').unwrap().0.to_owned();
            fs::rename(&file, keys.join(format!("{name}.key"))).unwrap();
        }
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Makes tables, rows and job of a case; the error is the database's.
    pub fn set_up(&mut self, case: &Case) -> Result<(), String> {
        let statements: String = case.sql().into_iter().map(|statement| statement + ";\n").collect();
        self.set_up_with(case.zone.name(), case.workers, case.rule_files(), &statements)
    }

    pub fn set_up_with(
        &mut self,
        zone: &str,
        workers: u32,
        rules: Vec<(String, String)>,
        statements: &str,
    ) -> Result<(), String> {
        let _ = fs::remove_dir_all(self.path("state"));
        let _ = fs::remove_dir_all(self.path("rules"));
        fs::create_dir(self.path("rules")).unwrap();
        for (name, text) in rules {
            fs::write(self.path("rules").join(name), text).unwrap();
        }
        let workers = if self.engine == Engine::Sqlite { 1 } else { workers };
        let keys =
            ["tag", "signing", "pseudonym"].map(|key| format!("  {key}: \"${{file:keys/{key}.key}}\"\n")).concat();
        let settings = format!(
            "name: oracle\ntime_zone: {zone}\ndatabases: {{{DATABASE}: \"${{ORACLE_URL}}\"}}\n\
             limits: {{max_share: 100%}}\npace: {{workers: {workers}}}\nkeys:\n{keys}"
        );
        fs::write(self.path("sunset.yaml"), settings).unwrap();
        self.empty()?;
        // One transaction for all rows; MariaDB ends it by itself where tables are made.
        let (first, last) = match self.engine {
            Engine::Maria => ("set autocommit = 0", "commit;\nset autocommit = 1"),
            Engine::Postgres | Engine::Sqlite => ("begin", "commit"),
        };
        let sent = self.send(&format!("{first};\n{statements}{last};\n"));
        if sent.is_err() && self.engine == Engine::Maria {
            let _ = self.send_once("set autocommit = 1");
        }
        sent
    }

    /// Takes away what the case before has left.
    fn empty(&mut self) -> Result<(), String> {
        match self.engine {
            // Much cheaper than another database, or schema, for each case.
            Engine::Postgres => {
                let tables = NAMES.join(", ");
                let functions: Vec<String> = NAMES.iter().map(|name| format!("{name}_seen()")).collect();
                self.send(&format!(
                    "drop table if exists {tables}, trail cascade; drop function if exists {};",
                    functions.join(", ")
                ))
            }
            Engine::Maria => self.send(&format!(
                "set foreign_key_checks = 0; drop table if exists {}, trail; set foreign_key_checks = 1",
                NAMES.join(", ")
            )),
            Engine::Sqlite => {
                let path = self.database.url.trim_start_matches("sqlite:").to_owned();
                for end in ["", "-wal", "-shm", "-journal"] {
                    let _ = fs::remove_file(format!("{path}{end}"));
                }
                fs::File::create(&path).map(drop).map_err(|error| error.to_string())
            }
        }
    }

    pub fn send(&mut self, sql: &str) -> Result<(), String> {
        let statements = raw_sql(AssertSqlSafe(sql.to_owned()));
        let url = &self.database.url;
        let sent = self.runtime.block_on(async {
            match &mut self.link {
                Link::Postgres(connection) => connection.execute(statements).await.map(drop),
                Link::Maria(connection) => connection.execute(statements).await.map(drop),
                Link::Sqlite => {
                    let mut connection = SqliteConnection::connect(url).await?;
                    connection.execute(raw_sql("pragma synchronous = off")).await?;
                    let sent = connection.execute(statements).await.map(drop);
                    connection.close().await?;
                    sent
                }
            }
        });
        sent.map_err(|error| {
            if self.engine == Engine::Postgres {
                // A transaction that failed half-way.
                let _ = self.send_once("rollback");
            }
            format!("{error}\n{sql}")
        })
    }

    fn send_once(&mut self, sql: &'static str) -> Result<(), sqlx::Error> {
        self.runtime.block_on(async {
            match &mut self.link {
                Link::Postgres(connection) => connection.execute(raw_sql(sql)).await.map(drop),
                Link::Maria(connection) => connection.execute(raw_sql(sql)).await.map(drop),
                Link::Sqlite => Ok(()),
            }
        })
    }

    pub fn edit(&mut self, case: &Case, edits: &[Edit]) -> Result<(), String> {
        for edit in edits {
            self.send(&case.edit(edit))?;
        }
        Ok(())
    }

    /// Everything that is in the tables.
    pub fn picture(&mut self, case: &Case) -> Picture {
        (0..case.tables.len())
            .map(|table| if case.tables[table].hidden { BTreeMap::new() } else { self.rows(&case.query(table)) })
            .collect()
    }

    pub fn rows(&mut self, sql: &str) -> BTreeMap<Mark, Vec<Option<String>>> {
        let query = raw_sql(AssertSqlSafe(sql.to_owned()));
        let url = &self.database.url;
        macro_rules! texts {
            ($rows:expr) => {
                $rows
                    .iter()
                    .map(|row| {
                        let texts: Vec<Option<String>> =
                            (0..row.len()).map(|index| row.get_unchecked::<Option<String>, _>(index)).collect();
                        (texts[0].as_ref().unwrap().parse::<Mark>().unwrap(), texts)
                    })
                    .collect()
            };
        }
        self.runtime.block_on(async {
            match &mut self.link {
                Link::Postgres(connection) => texts!(connection.fetch_all(query).await.unwrap()),
                Link::Maria(connection) => texts!(connection.fetch_all(query).await.unwrap()),
                Link::Sqlite => {
                    let mut connection = SqliteConnection::connect(url).await.unwrap();
                    let rows = connection.fetch_all(query).await.unwrap();
                    connection.close().await.unwrap();
                    texts!(rows)
                }
            }
        })
    }

    pub fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments).spawn().unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.arg("--jobs").arg(self.directory.path()).args(arguments);
        command.env("ORACLE_URL", &self.database.url).env_remove("SUNSET_LOG").env_remove("SUNSET_JOBS");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs the program, and at this moment a statement in another session. The statement has changed its row (true) or not
    /// (false), or the moment did not come.
    pub fn met_by(&mut self, arguments: &[&str], moment: &str, sql: String) -> (Call, Option<bool>) {
        /// Longer than a statement takes that waits for nobody.
        const ALONE: Duration = Duration::from_millis(40);
        let file = self.path("stopped");
        let _ = fs::remove_file(&file);
        let mut child =
            self.command(arguments).env("SUNSET_STOP", format!("{moment}:{}", file.display())).spawn().unwrap();
        let begun = Instant::now();
        while !file.exists() && begun.elapsed() < DEADLINE && child.try_wait().unwrap().is_none() {
            thread::sleep(Duration::from_millis(2));
        }
        let rival = file.exists().then(|| {
            let (engine, url) = (self.engine, self.database.url.clone());
            let rival = thread::spawn(move || alone(engine, &url, sql));
            let waited = Instant::now();
            while waited.elapsed() < ALONE && !rival.is_finished() {
                thread::sleep(Duration::from_millis(2));
            }
            let _ = fs::remove_file(&file);
            rival
        });
        let call = Call::of(child);
        (call, rival.map(|rival| rival.join().unwrap()))
    }

    pub fn sunset(&mut self, arguments: &[&str]) -> Call {
        Call::of(self.start(arguments))
    }

    /// Starts a run, kills it after a while, and runs again until one is not told to come back later.
    pub fn killed_and_again(&mut self, arguments: &[&str], after: Duration) -> Call {
        let mut child = self.start(arguments);
        thread::sleep(after);
        let _ = child.kill();
        let _ = child.wait();
        let mut call = self.sunset(arguments);
        for _ in 0..100 {
            // A server may need a moment to see that its client is gone.
            if call.code != 75 {
                break;
            }
            thread::sleep(Duration::from_millis(100));
            call = self.sunset(arguments);
        }
        call
    }

    /// Whether the program sees the rows that the interpreter sees.
    pub fn agrees(&mut self, case: &Case, state: &State) -> Result<Picture, String> {
        let picture = self.picture(case);
        for (table, rows) in picture.iter().enumerate() {
            let marks: Vec<&Mark> = rows.keys().collect();
            if !case.tables[table].hidden && marks != state[table].keys().collect::<Vec<&Mark>>() {
                return Err(format!("{} has the rows {marks:?}", case.tables[table].name));
            }
        }
        Ok(picture)
    }
}

/// Runs a statement in a session of its own; whether it came through and found its row.
fn alone(engine: Engine, url: &str, sql: String) -> bool {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let sql = raw_sql(AssertSqlSafe(sql));
    runtime.block_on(async {
        match engine {
            Engine::Postgres => {
                let mut connection = PgConnection::connect(url).await.unwrap();
                connection.execute(sql).await.is_ok_and(|done| done.rows_affected() > 0)
            }
            Engine::Maria => {
                let mut connection = MySqlConnection::connect(url).await.unwrap();
                connection.execute(raw_sql(MARIA_SESSION)).await.unwrap();
                connection.execute(sql).await.is_ok_and(|done| done.rows_affected() > 0)
            }
            Engine::Sqlite => {
                let mut connection = SqliteConnection::connect(url).await.unwrap();
                let done = connection.execute(sql).await.is_ok_and(|done| done.rows_affected() > 0);
                connection.close().await.unwrap();
                done
            }
        }
    })
}

impl Call {
    fn of(mut child: Child) -> Self {
        let mut out = child.stdout.take().unwrap();
        let mut err = child.stderr.take().unwrap();
        let reading = thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = err.read_to_end(&mut bytes);
            bytes
        });
        let printing = thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = out.read_to_end(&mut bytes);
            bytes
        });
        let begun = Instant::now();
        let code = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status.code().unwrap_or(-1);
            }
            if begun.elapsed() > DEADLINE {
                let _ = child.kill();
            }
            thread::sleep(Duration::from_millis(2));
        };
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self { code, out: text(printing.join().unwrap()), err: text(reading.join().unwrap()) }
    }
}
