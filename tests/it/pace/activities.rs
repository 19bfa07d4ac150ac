//! Vacuums and backups that go first: real ones.

use super::{due_rows, waits};
use crate::support::{bench::Bench, replicas::Pair};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, MySqlConnection, PgConnection};
use std::{
    process::{Command, Stdio},
    time::Duration,
};
use sunset::catalog::Engine;

/// A vacuum that takes minutes, of a table with many pages.
struct Vacuum {
    running: tokio::task::JoinHandle<()>,
    url: String,
    table: &'static str,
}

impl Vacuum {
    async fn of(bench: &Bench, table: &'static str) -> Self {
        bench
            .script(&format!(
                "create table if not exists {table} (id int primary key, at_day date);
                 insert into {table} select number, '2025-01-01' from generate_series(100000, 160000) number"
            ))
            .await;
        let url = bench.database.url.clone();
        let mut connection = PgConnection::connect(&url).await.unwrap();
        connection.execute("set vacuum_cost_delay = 100").await.unwrap();
        connection.execute("set vacuum_cost_limit = 1").await.unwrap();
        let running = tokio::spawn(async move {
            // it is cancelled in the end
            let _ = connection.execute(AssertSqlSafe(format!("vacuum {table}"))).await;
        });
        let sees = "select count(*) from pg_stat_progress_vacuum where datname = current_database()";
        while bench.count(sees).await == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Self { running, url, table }
    }

    async fn end(self) {
        let mut connection = PgConnection::connect(&self.url).await.unwrap();
        let sql = format!(
            "select pg_cancel_backend(pid) from pg_stat_progress_vacuum where relid = '{}'::regclass",
            self.table
        );
        connection.execute(AssertSqlSafe(sql)).await.unwrap();
        self.running.await.unwrap();
    }
}

#[tokio::test]
async fn a_vacuum_of_the_table_goes_first() {
    let bench = Bench::new(Engine::Postgres).await;
    due_rows(&bench, 100).await;
    bench.settings_on("time_zone: Asia/Tokyo\npace: {yield_to: [vacuum]}", "");
    let vacuum = Vacuum::of(&bench, "t").await;
    waits(&bench, "vacuum", "a vacuum of public.t is under way (", async || vacuum.end().await).await;
}

#[tokio::test]
async fn a_vacuum_of_a_partition_goes_first() {
    let bench = Bench::new(Engine::Postgres).await;
    bench
        .script(
            "create table t (id int, at_day date, primary key (id, at_day)) partition by range (at_day);
             create table old partition of t for values from (minvalue) to ('2020-01-01');
             create table new partition of t for values from ('2020-01-01') to (maxvalue);
             insert into t values (1, '2001-01-01')",
        )
        .await;
    bench.rules(super::RULE);
    bench.settings_on("time_zone: Asia/Tokyo\npace: {yield_to: [vacuum]}", "");
    let vacuum = Vacuum::of(&bench, "new").await;
    waits(&bench, "vacuum", "a vacuum of public.new is under way (", async || vacuum.end().await).await;
}

#[tokio::test]
async fn a_vacuum_of_another_table_is_no_matter() {
    let bench = Bench::new(Engine::Postgres).await;
    due_rows(&bench, 100).await;
    bench.settings_on("time_zone: Asia/Tokyo\npace: {yield_to: [vacuum]}", "");
    let vacuum = Vacuum::of(&bench, "other").await;
    let report = bench.run(0);
    vacuum.end().await;
    assert!(report.rule("t")["waited"].is_null(), "{report:?}");
}

#[tokio::test]
async fn a_base_backup_goes_first() {
    let (pair, _turn) = Pair::of(Engine::Postgres).await;
    let bench = pair.bench().await;
    due_rows(&bench, 100).await;
    bench.settings_on("time_zone: Asia/Tokyo", "pace: {yield_to: [backup]}");
    let directory = tempfile::tempdir().unwrap();
    let url = bench.database.url.rsplit_once('/').unwrap().0.to_owned();
    let mut backup = Command::new("pg_basebackup")
        .args(["--dbname", &url, "--max-rate", "32k", "--checkpoint", "fast", "--wal-method", "none", "--pgdata"])
        .arg(directory.path().join("backup"))
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while bench.count("select count(*) from pg_stat_progress_basebackup").await == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    waits(&bench, "backup", "a base backup is running (", async || {
        backup.kill().unwrap();
        backup.wait().unwrap();
    })
    .await;
}

/// As `mariadb-backup` does it.
#[tokio::test]
async fn a_backups_lock_goes_first() {
    let (pair, _turn) = Pair::of(Engine::Mysql).await;
    let bench = pair.bench().await;
    due_rows(&bench, 100).await;
    bench.settings_on("time_zone: Asia/Tokyo", "pace: {yield_to: [backup]}");
    let instrument = |enabled: &str| {
        format!(
            "update performance_schema.setup_instruments set enabled = '{enabled}'
             where name = 'wait/lock/metadata/sql/mdl'"
        )
    };
    // the server's default
    pair.on_primary(&instrument("NO")).await;
    let blind = bench.sunset(&["validate"]).expect(0);
    assert!(blind.err.contains("does not show this user the locks of backups"), "{blind:?}");
    pair.on_primary(&instrument("YES")).await;
    assert!(!bench.sunset(&["validate"]).expect(0).err.contains("W0608"));
    let mut backup = MySqlConnection::connect(&bench.database.url).await.unwrap();
    backup.execute("backup stage start").await.unwrap();
    waits(&bench, "backup", "a backup holds its lock", async || {
        backup.execute("backup stage end").await.unwrap();
    })
    .await;
    // the lock of older tools
    bench.script("insert into t values (1, '2001-01-01')").await;
    backup.execute("flush tables with read lock").await.unwrap();
    waits(&bench, "backup", "a backup holds its lock", async || {
        backup.execute("unlock tables").await.unwrap();
    })
    .await;
    // and writers are no backup
    bench
        .script("insert into t values (1, '2001-01-01'); create table u (id int primary key); insert into u values (2)")
        .await;
    let mut writer = MySqlConnection::connect(&bench.database.url).await.unwrap();
    writer.execute("begin").await.unwrap();
    writer.execute("update u set id = 3").await.unwrap();
    assert_eq!(bench.run(0).line("t"), "done 1");
}

/// What `mariadb-dump` sends.
#[tokio::test]
async fn a_dump_goes_first() {
    let bench = Bench::new(Engine::Mysql).await;
    due_rows(&bench, 100).await;
    bench.settings_on("time_zone: Asia/Tokyo", "pace: {yield_to: [backup]}");
    let mut dump = MySqlConnection::connect(&bench.database.url).await.unwrap();
    let id: u64 = sqlx::query_scalar("select connection_id()").fetch_one(&mut dump).await.unwrap();
    let dumping = tokio::spawn(async move {
        let _ = dump.execute(sqlx::raw_sql("SELECT /*!40001 SQL_NO_CACHE */ `id`, sleep(600) FROM `t` limit 1")).await;
    });
    waits(&bench, "backup", "a dump is running", async || bench.script(&format!("kill {id}")).await).await;
    dumping.await.unwrap();
}
