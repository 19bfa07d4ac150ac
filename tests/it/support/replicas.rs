//! Replicas of their own for the tests of what a run does when they lag, started when the first test asks for them.

use super::bench::Bench;
use crate::server::{Scratch, execute};
use std::{
    process::{Command, Stdio},
    sync::{Arc, LazyLock},
};
use sunset::catalog::Engine;
use tokio::sync::{Mutex, MutexGuard};

/// A primary and its replica. They stop when this process is gone.
pub struct Pair {
    pub engine: Engine,
    primary: String,
    replica: String,
    /// A test that lets the replica lag has it for itself.
    turn: Mutex<()>,
}

static POSTGRES: LazyLock<Pair> = LazyLock::new(|| Pair::start(Engine::Postgres));
static MARIADB: LazyLock<Pair> = LazyLock::new(|| Pair::start(Engine::Mysql));

impl Pair {
    /// The engine's pair, for the caller alone as long as the guard lives.
    pub async fn of(engine: Engine) -> (&'static Self, MutexGuard<'static, ()>) {
        let pair = tokio::task::spawn_blocking(move || match engine {
            Engine::Postgres => &*POSTGRES,
            Engine::Mysql => &*MARIADB,
            Engine::Sqlite => unreachable!("SQLite has no replicas"),
        });
        let pair = pair.await.unwrap();
        (pair, pair.turn.lock().await)
    }

    fn start(engine: Engine) -> Self {
        let (servers, variables) = match engine {
            Engine::Postgres => {
                (["postgres", "standby"], ["SUNSET_TEST_POSTGRES_URL", "SUNSET_TEST_POSTGRES_STANDBY_URL"])
            }
            _ => (["mariadb", "replica"], ["SUNSET_TEST_MYSQL_URL", "SUNSET_TEST_MYSQL_REPLICA_URL"]),
        };
        let directory = format!("/tmp/sunset-{}-{}", servers[1], std::process::id());
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/servers");
        let mut command = Command::new(script);
        command.args(["start", &directory]).args(servers).stdin(Stdio::null());
        let output = command.env("SUNSET_TEST_OWNER", std::process::id().to_string()).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(output.status.success(), "no {servers:?}: {}", text(&output.stderr));
        let out = text(&output.stdout);
        let url = |variable: &str| {
            let (_, rest) = out.split_once(&format!("{variable}='")).unwrap_or_else(|| panic!("no {variable}: {out}"));
            rest.split('\'').next().unwrap().to_owned()
        };
        Self { engine, primary: url(variables[0]), replica: url(variables[1]), turn: Mutex::new(()) }
    }

    /// A job on a database of its own on the primary, with the replica's URL in `BENCH_REPLICA`.
    pub async fn bench(&self) -> Bench {
        let scratch = Scratch::beside(self.engine, self.primary.clone()).await;
        let (replica, _) = self.replica.split_at(self.replica.rfind('/').unwrap());
        let name = if self.engine == Engine::Postgres { "postgres" } else { "mysql" };
        let mut bench = Bench::on(Arc::new(scratch), "bench");
        bench.variables.push(("BENCH_REPLICA", format!("{replica}/{name}")));
        bench
    }

    /// Runs statements on the replica.
    pub async fn on_replica(&self, sql: &str) {
        execute(self.engine, &self.replica.replace("sunset_test", self.system_database()), sql).await;
    }

    /// Runs statements on the primary.
    pub async fn on_primary(&self, sql: &str) {
        execute(self.engine, &self.primary, sql).await;
    }

    fn system_database(&self) -> &'static str {
        if self.engine == Engine::Postgres { "postgres" } else { "mysql" }
    }
}
