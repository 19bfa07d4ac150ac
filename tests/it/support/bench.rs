//! A job of a test's own: a database on one engine, a job directory with keys, and the real program to run on them.
//!
//! What the program did is judged by [`Bench::rows`] and its kin, which send SQL written in the test and nothing that
//! Sunset made.

use crate::server::{Scratch, Server};
use serde_json::Value as Json;
use sqlx::{
    AssertSqlSafe, Connection as _, Executor as _, MySqlConnection, PgConnection, Row as _, SqliteConnection, raw_sql,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};
use sunset::{
    catalog::Engine,
    evidence::keys::{KeySettings, Keys},
    ledger::Ledger,
    settings::StoreSettings,
    store::Store,
};

/// Makes of each function one test per engine: `on_every_engine!(a)` gives `a::postgres`, `a::mariadb`, `a::sqlite`, and
/// one for each further server, which `tests/run` runs where that server could be started.
macro_rules! on_every_engine {
    ($($name:ident),* $(,)?) => { $(
        mod $name {
            use crate::{server::Server, support::bench::Bench};

            #[tokio::test]
            async fn postgres() {
                super::$name(Bench::at(Server::Postgres).await).await;
            }

            #[tokio::test]
            async fn mariadb() {
                super::$name(Bench::at(Server::Mariadb).await).await;
            }

            #[tokio::test]
            async fn sqlite() {
                super::$name(Bench::at(Server::Sqlite).await).await;
            }

            #[tokio::test]
            #[ignore = "needs PostgreSQL 18"]
            async fn postgres_18() {
                super::$name(Bench::at(Server::Postgres18).await).await;
            }

            #[tokio::test]
            #[ignore = "needs MySQL 9"]
            async fn mysql_9() {
                super::$name(Bench::at(Server::Mysql9).await).await;
            }

            #[tokio::test]
            #[ignore = "needs MariaDB 11"]
            async fn mariadb_11() {
                super::$name(Bench::at(Server::Mariadb11).await).await;
            }
        }
    )* };
}
pub(crate) use on_every_engine;

/// How rules call the database.
pub const DATABASE: &str = "core";

/// Words in the tests' DDL and what they mean on PostgreSQL, MariaDB and SQLite. MySQL lacks two of MariaDB's types.
const TYPES: [(&str, [&str; 3]); 13] = [
    ("{int}", ["integer", "int", "integer"]),
    ("{bigint}", ["bigint", "bigint", "integer"]),
    // PostgreSQL knows no unsigned ones
    ("{unsigned}", ["numeric(20)", "bigint unsigned", "integer"]),
    ("{text}", ["text", "varchar(190)", "text"]),
    ("{uuid}", ["uuid", "/*M! uuid */ /*!80000 char(36) */", "text"]),
    ("{bytes}", ["bytea", "varbinary(64)", "blob"]),
    ("{numeric}", ["numeric(30,10)", "decimal(30,10)", "numeric"]),
    ("{boolean}", ["boolean", "boolean", "boolean"]),
    ("{date}", ["date", "date", "date"]),
    ("{timestamp}", ["timestamp", "datetime(6)", "timestamp"]),
    ("{timestamptz}", ["timestamptz", "timestamp(6) null", "text"]),
    ("{float}", ["double precision", "double", "real"]),
    ("{inet}", ["inet", "/*M! inet6 */ /*!80000 varchar(39) */", "text"]),
];

/// No call of the program in these tests takes nearly as long.
const DEADLINE: Duration = Duration::from_secs(120);

pub struct Bench {
    pub engine: Engine,
    pub database: Arc<Scratch>,
    directory: tempfile::TempDir,
    name: &'static str,
    keys: String,
    /// What the program finds in its environment, beside the database's URL.
    pub variables: Vec<(&'static str, String)>,
    /// What the program shall take for the present time.
    pub now: &'static str,
}

/// What a call of the program came to.
#[derive(Debug)]
pub struct Call {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Bench {
    pub async fn new(engine: Engine) -> Self {
        Self::on(Arc::new(Scratch::new(engine).await), "bench")
    }

    pub async fn at(server: Server) -> Self {
        Self::on(Arc::new(Scratch::at(server).await), "bench")
    }

    /// Another job on the same database.
    pub fn beside(&self, name: &'static str) -> Self {
        Self::on(Arc::clone(&self.database), name)
    }

    /// A job on a database that is there already.
    pub fn on(database: Arc<Scratch>, name: &'static str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("rules")).unwrap();
        let mut bench = Self {
            engine: database.engine,
            database,
            directory,
            name,
            keys: String::new(),
            variables: Vec::new(),
            now: "2026-11-22",
        };
        let keys = bench.path("keys");
        let made = bench.sunset(&["keys", "new", "--out", keys.to_str().unwrap()]).expect(0);
        let start = made.out.find("keys:\n").unwrap();
        let end = made.out[start..].find("\n\n").unwrap();
        bench.keys = made.out[start..start + end + 1].to_owned();
        bench.settings("time_zone: Asia/Tokyo");
        bench
    }

    /// The job knows nothing of earlier runs any more. To a job, a table that is made anew with the keys of erased rows is a
    /// restored one.
    pub fn forget(&self) {
        let _ = fs::remove_dir_all(self.path("state"));
    }

    /// Somebody has said that the tables were made anew, with the keys of rows that were erased.
    pub fn made_anew(&self) {
        if self.path("state").exists() {
            let said = ["restored", "core", "--by", "a test", "--reason", "its tables were made anew"];
            self.sunset(&said).expect(0);
        }
    }

    /// A path in the job directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes `sunset.yaml`: databases and keys are added to `yaml`.
    pub fn settings(&self, yaml: &str) {
        self.settings_on(yaml, "");
    }

    /// The same, with more about the database.
    pub fn settings_on(&self, yaml: &str, more: &str) {
        let database = format!("{{url: \"${{BENCH_URL}}\", {more}}}");
        let text = format!("name: {}\n{yaml}\ndatabases: {{{DATABASE}: {database}}}\n{}", self.name, self.keys);
        fs::write(self.path("sunset.yaml"), text).unwrap();
    }

    /// Writes the job's only rule file. `yaml` lists the rules, each beginning with `- id: `.
    pub fn rules(&self, yaml: &str) {
        self.rule_file("category", yaml);
    }

    pub fn rule_file(&self, category: &str, yaml: &str) {
        let rules: String = yaml.trim_matches('\n').lines().map(|line| format!("  {line}\n")).collect();
        let text = format!("category: {category}\nrules:\n{rules}");
        fs::write(self.path("rules").join(format!("{category}.yaml")), text).unwrap();
    }

    /// Runs statements. Words such as `{uuid}` become the engine's types; identifiers stand in double quotes.
    pub async fn script(&self, sql: &str) {
        self.send(&self.translated(sql)).await;
    }

    /// Runs a statement that may fail.
    pub async fn try_script(&self, sql: &str) -> bool {
        let (url, sql) = (self.database.url.as_str(), raw_sql(AssertSqlSafe(sql.to_owned())));
        match self.engine {
            Engine::Postgres => PgConnection::connect(url).await.unwrap().execute(sql).await.is_ok(),
            Engine::Mysql => mysql(url).await.execute(sql).await.is_ok(),
            Engine::Sqlite => SqliteConnection::connect(url).await.unwrap().execute(sql).await.is_ok(),
        }
    }

    /// Runs statements on PostgreSQL, on MariaDB or on SQLite.
    pub async fn script_for(&self, postgres: &str, mariadb: &str, sqlite: &str) {
        let sql = match self.engine {
            Engine::Postgres => postgres,
            Engine::Mysql => mariadb,
            Engine::Sqlite => sqlite,
        };
        self.script(sql).await;
    }

    /// SQL with the engine's types.
    pub fn translated(&self, sql: &str) -> String {
        let index = match self.engine {
            Engine::Postgres => 0,
            Engine::Mysql => 1,
            Engine::Sqlite => 2,
        };
        TYPES.iter().fold(sql.to_owned(), |sql, (word, types)| sql.replace(word, types[index]))
    }

    async fn send(&self, sql: &str) {
        let url = self.database.url.as_str();
        let sql = raw_sql(AssertSqlSafe(sql.to_owned()));
        match self.engine {
            Engine::Postgres => drop(PgConnection::connect(url).await.unwrap().execute(sql).await.unwrap()),
            Engine::Mysql => drop(mysql(url).await.execute(sql).await.unwrap()),
            Engine::Sqlite => {
                let mut connection = SqliteConnection::connect(url).await.unwrap();
                connection.execute(sql).await.unwrap();
                connection.close().await.unwrap();
            }
        }
    }

    /// All columns of all rows as text; `NULL` where there is no value.
    pub async fn rows(&self, sql: &str) -> Vec<Vec<String>> {
        let url = self.database.url.as_str();
        let sql = raw_sql(AssertSqlSafe(sql.to_owned()));
        // Statements without parameters come back in the servers' text form, which needs no knowledge of types.
        macro_rules! texts {
            ($rows:expr) => {
                $rows
                    .iter()
                    .map(|row| {
                        (0..row.len())
                            .map(|index| row.get_unchecked::<Option<String>, _>(index).unwrap_or("NULL".into()))
                            .collect()
                    })
                    .collect()
            };
        }
        match self.engine {
            Engine::Postgres => texts!(PgConnection::connect(url).await.unwrap().fetch_all(sql).await.unwrap()),
            Engine::Mysql => texts!(mysql(url).await.fetch_all(sql).await.unwrap()),
            Engine::Sqlite => {
                let mut connection = SqliteConnection::connect(url).await.unwrap();
                let rows = connection.fetch_all(sql).await.unwrap();
                connection.close().await.unwrap();
                texts!(rows)
            }
        }
    }

    /// The rows of `rows`, each as one text: `1|Hanako|NULL`.
    pub async fn lines(&self, sql: &str) -> Vec<String> {
        self.rows(sql).await.into_iter().map(|row| row.join("|")).collect()
    }

    /// The lines in one: `1 2 3`.
    pub async fn list(&self, sql: &str) -> String {
        self.lines(sql).await.join(" ")
    }

    /// One number.
    pub async fn count(&self, sql: &str) -> u64 {
        self.list(sql).await.parse().unwrap()
    }

    /// A call of the program that is still to be started.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sunset"));
        command.arg("--jobs").arg(self.directory.path()).args(arguments);
        command.env("BENCH_URL", &self.database.url).envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.env_remove("SUNSET_LOG").env_remove("SUNSET_JOBS");
        if !self.variables.iter().any(|(name, _)| *name == "SUNSET_PRESENT") {
            // tests go through years that are still to come, and must not depend on the day on which they run
            command.env("SUNSET_PRESENT", "2099-01-01T00:00:00Z");
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Calls the program and waits for its end.
    pub fn sunset(&self, arguments: &[&str]) -> Call {
        Call::of(self.start(arguments))
    }

    /// The same with these variables.
    pub fn sunset_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Call {
        Call::of(self.command(arguments).envs(variables.iter().copied()).spawn().unwrap())
    }

    /// Starts the program.
    pub fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments).spawn().unwrap()
    }

    /// `sunset run`, which must end with this code; gives the report.
    pub fn run(&self, code: i32) -> Report {
        let call = self.sunset(&["run", "--now", self.now, "--format", "json"]).expect(code);
        Report(serde_json::from_str(&call.out).unwrap_or_else(|error| panic!("no report ({error}): {call:?}")))
    }

    /// `sunset plan`, as JSON.
    pub fn plan(&self) -> Json {
        let call = self.sunset(&["plan", "--now", self.now, "--format", "json"]).expect(0);
        serde_json::from_str(&call.out).unwrap()
    }

    /// Runs until one ends well. A server may need a moment to notice that a client is gone, and keeps its locks till then.
    pub fn finish(&self) -> Call {
        for _ in 0..150 {
            let call = self.sunset(&["run", "--now", self.now]);
            if call.code != 75 {
                return call.expect(0);
            }
            thread::sleep(Duration::from_millis(200));
        }
        panic!("a later run never came through")
    }

    /// Runs, which must go well, and once more, which must find nothing due and change nothing; gives the first report.
    pub fn run_to_the_end(&self) -> Report {
        let report = self.run(0);
        let again = self.run(0);
        assert_eq!(again.disposed(), 0, "a second run found something to do: {again:?}");
        for rule in again.rules() {
            let result = rule["result"].as_str().unwrap();
            assert!(["nothing_due", "explained_rest"].contains(&result), "after a second run: {rule}");
        }
        let evidence = self.evidence();
        assert!(evidence.is_settled());
        assert_eq!(evidence.rows_of(report.run()), report.disposed_with_dependents(), "ledger and report differ");
        report
    }

    /// The codes of the diagnostics with which `plan` and `run` refuse the rules, both with exit code 2.
    pub fn refused(&self) -> BTreeSet<String> {
        let codes = |command: &str| -> BTreeSet<String> {
            let call = self.sunset(&[command, "--now", self.now, "--format", "json"]).expect(2);
            let lines = call.out.lines().map(|line| serde_json::from_str::<Json>(line).unwrap());
            lines
                .filter(|diagnostic| diagnostic["severity"] == "error")
                .map(|diagnostic| diagnostic["code"].as_str().unwrap().to_owned())
                .collect()
        };
        let found = codes("plan");
        assert_eq!(found, codes("run"), "plan and run refuse for different reasons");
        assert_eq!(found, codes("validate"), "validate and run refuse for different reasons");
        found
    }

    /// The job's ledger, to write what a crashed run would have written.
    pub async fn ledger(&self) -> Ledger {
        let key = |kind: &str| {
            let mut files = fs::read_dir(self.path("keys")).unwrap().map(|file| file.unwrap().path());
            let path = files.find(|path| path.file_name().unwrap().to_str().unwrap().starts_with(kind)).unwrap();
            vec![fs::read_to_string(path).unwrap().trim().to_owned().into()]
        };
        let settings = KeySettings { tag: key("tag"), signing: key("signing"), pseudonym: None };
        let store = Store::open(&StoreSettings::Sqlite(self.path("state/sunset.db"))).await.unwrap();
        Ledger::open(store, Keys::parse(&settings).unwrap(), self.name, Arc::new(jiff::Timestamp::now)).await.unwrap()
    }

    /// The ledger, verified and read.
    pub fn evidence(&self) -> Evidence {
        let call = self.sunset(&["ledger", "verify", "--format", "json"]);
        let verified: Json = serde_json::from_str(&call.out).unwrap_or_else(|error| panic!("{error}: {call:?}"));
        // before the first run has come to its end, nothing is signed
        let is_unsigned = verified["checkpoints"] == 0 && verified["problems"] == serde_json::json!([]);
        call.expect(if is_unsigned { 4 } else { 0 });
        let exported = self.sunset(&["ledger", "export"]).expect(0).out;
        let evidence = Evidence::read(&exported);
        let rows = evidence.committed_rows() + evidence.committed_dependents();
        assert_eq!(verified["rows"], rows, "verify and export count different rows");
        let announced =
            |intent: &Json| intent["dependents"].as_object().unwrap().values().filter_map(Json::as_u64).sum::<u64>();
        assert_eq!(evidence.committed().map(announced).sum::<u64>(), evidence.committed_dependents());
        evidence
    }

    /// How many committed batches held the row with this key.
    pub fn proven(&self, table: &str, key: &[&str]) -> usize {
        // keys may begin with a dash
        let call = self.sunset(&[&["ledger", "prove", "--format", "json", "--", table], key].concat());
        let findings: Json = serde_json::from_str(&call.out).unwrap_or_else(|error| panic!("{error}: {call:?}"));
        let committed = |proof: &&Json| {
            let line = proof["outcome"]["line"].as_str().unwrap_or_default();
            line.contains(r#""result":"committed""#)
        };
        let proofs = findings["proofs"].as_array().unwrap().iter().filter(committed).count();
        call.expect(if proofs == 0 { 4 } else { 0 });
        proofs
    }

    /// The job directory.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }
}

/// A session in which double quotes surround identifiers, as elsewhere, and zero dates can be written on MySQL too.
pub async fn mysql(url: &str) -> MySqlConnection {
    let mut connection = MySqlConnection::connect(url).await.unwrap();
    let sql = "set names utf8mb4; set time_zone = '+00:00'; set session sql_mode = concat(replace(replace(\
               @@sql_mode, 'NO_ZERO_IN_DATE', ''), 'NO_ZERO_DATE', ''), ',ANSI_QUOTES,NO_BACKSLASH_ESCAPES')";
    connection.execute(raw_sql(sql)).await.unwrap();
    connection
}

/// A session of a test's own.
pub async fn postgres(url: &str) -> PgConnection {
    PgConnection::connect(url).await.unwrap()
}

/// Sends a signal to a process that a test started.
pub fn signal(name: &str, process: u32) {
    let sent = Command::new("kill").args(["-s", name, &process.to_string()]).stderr(Stdio::null()).status().unwrap();
    // one that has just ended cannot be signalled any more
    let _ = sent;
}

impl Call {
    /// Waits for the end, which must come within minutes: a run that hangs should fail its test, not the whole suite.
    pub fn of(child: Child) -> Self {
        let (id, (ended, end)) = (child.id(), mpsc::channel::<()>());
        let watch = thread::spawn(move || {
            if end.recv_timeout(DEADLINE) == Err(mpsc::RecvTimeoutError::Timeout) {
                signal("KILL", id);
            }
        });
        let output = child.wait_with_output().unwrap();
        drop(ended);
        watch.join().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        // -1 stands for a process that a signal ended
        Self { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
    }

    /// The call ended with this code.
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "exit code\n--- stdout\n{}\n--- stderr\n{}", self.out, self.err);
        self
    }
}

/// What `sunset run --format json` printed.
#[derive(Debug)]
pub struct Report(pub Json);

impl Report {
    pub fn disposed(&self) -> u64 {
        self.0["disposed"].as_u64().unwrap()
    }

    pub fn run(&self) -> &str {
        self.0["run"].as_str().unwrap()
    }

    /// Rows of the rules' own tables and of their dependents.
    pub fn disposed_with_dependents(&self) -> u64 {
        let along = self.rules().iter().flat_map(|rule| rule["dependents"].as_object().unwrap().values());
        self.disposed() + along.map(|rows| rows.as_u64().unwrap()).sum::<u64>()
    }

    pub fn rules(&self) -> &Vec<Json> {
        self.0["rules"].as_array().unwrap()
    }

    pub fn rule(&self, id: &str) -> &Json {
        self.rules().iter().find(|rule| rule["rule"] == id).unwrap_or_else(|| panic!("no rule {id} in {self:?}"))
    }

    /// `done 3`, `explained_rest 2 held=1`: the rule's result, rows disposed of, rows that stay by reason.
    pub fn line(&self, id: &str) -> String {
        let rule = self.rule(id);
        let mut line = format!("{} {}", rule["result"].as_str().unwrap(), rule["disposed"]);
        for (reason, rows) in rule["remaining"].as_object().unwrap() {
            line += &format!(" {reason}={rows}");
        }
        line
    }

    /// Rows of a dependent that went along.
    pub fn along(&self, id: &str, table: &str) -> u64 {
        let dependents = self.rule(id)["dependents"].as_object().unwrap();
        let named = |full: &&String| full.rsplit('.').next() == Some(table);
        dependents.keys().filter(named).map(|full| dependents[full].as_u64().unwrap()).sum()
    }
}

/// The entries of an exported ledger, after what must hold for any of them has been checked.
#[derive(Debug)]
pub struct Evidence {
    pub entries: Vec<Json>,
    /// Number of the intent and its entry.
    pub intents: BTreeMap<u64, Json>,
    /// Number of the intent, and whether it was committed.
    pub outcomes: BTreeMap<u64, bool>,
}

impl Evidence {
    fn read(exported: &str) -> Self {
        let mut evidence = Self { entries: Vec::new(), intents: BTreeMap::new(), outcomes: BTreeMap::new() };
        for line in exported.lines() {
            let line: Json = serde_json::from_str(line).unwrap();
            if line.get("seq").is_none() {
                continue;
            }
            let (seq, event) = (line["seq"].as_u64().unwrap(), &line["event"]);
            assert_eq!(seq, evidence.entries.len() as u64 + 1, "the ledger has a gap");
            match event["type"].as_str().unwrap() {
                "intent" => drop(evidence.intents.insert(seq, event.clone())),
                "outcome" => {
                    let intent = event["intent"].as_u64().unwrap();
                    let committed = event["result"] == "committed";
                    assert!(evidence.intents.contains_key(&intent), "outcome {seq} is of no intent");
                    assert!(evidence.outcomes.insert(intent, committed).is_none(), "intent {intent} settled twice");
                }
                _ => {}
            }
            evidence.entries.push(line);
        }
        evidence
    }

    pub fn committed(&self) -> impl Iterator<Item = &Json> {
        self.intents.iter().filter(|(seq, _)| self.outcomes.get(seq) == Some(&true)).map(|(_, intent)| intent)
    }

    /// Rows of the rules' own tables in committed batches.
    pub fn committed_rows(&self) -> u64 {
        self.committed().filter(|intent| intent["along_with"].is_null()).map(rows).sum()
    }

    /// Rows of other tables that went with them.
    pub fn committed_dependents(&self) -> u64 {
        self.committed().filter(|intent| !intent["along_with"].is_null()).map(rows).sum()
    }

    /// Rows of all tables in the committed batches of one run.
    pub fn rows_of(&self, run: &str) -> u64 {
        let of_run = |seq: &u64| self.entries[usize::try_from(*seq).unwrap() - 1]["run"] == run;
        let intents = self.intents.iter().filter(|(seq, _)| of_run(seq) && self.outcomes.get(seq) == Some(&true));
        intents.map(|(_, intent)| rows(intent)).sum()
    }

    /// Every batch has come to an end that somebody knows.
    pub fn is_settled(&self) -> bool {
        self.intents.keys().all(|intent| self.outcomes.contains_key(intent))
    }

    /// The events of one type.
    pub fn events(&self, kind: &str) -> Vec<&Json> {
        self.entries.iter().map(|entry| &entry["event"]).filter(|event| event["type"] == kind).collect()
    }
}

fn rows(intent: &Json) -> u64 {
    intent["rows"].as_u64().unwrap()
}
