//! How a run ends that cannot go on: asked to stop while it starts, no room on a disk, a lock at the very commit.

use crate::support::bench::{Bench, Call, signal};
use sqlx::{Connection as _, Executor as _, sqlite::SqliteConnection};
use std::{fs, net::TcpListener, process::Command, thread, time::Duration};
use sunset::catalog::Engine;

/// Rows that are due.
const ROWS: u64 = 200;

async fn visits(bench: &Bench) {
    bench.script("create table visits (id {int} primary key, seen_on {date}, note {text})").await;
    let rows: Vec<_> = (1..=ROWS).map(|id| format!("({id}, '2001-01-01', '{}')", "x".repeat(500))).collect();
    bench.script(&format!("insert into visits values {}", rows.join(", "))).await;
    bench.rules(
        "- {id: visits, table: core.visits, starting_point: seen_on, retention_period: 5 years, disposition: erase}",
    );
}

/// Whenever it comes, a signal is heard: the run is done, or the next one does it.
#[tokio::test]
async fn a_run_that_is_asked_to_stop_while_it_starts_ends_with_75() {
    let bench = Bench::new(Engine::Sqlite).await;
    visits(&bench).await;
    let mut stopped = 0;
    for milliseconds in (0..40).map(|number| number * 3) {
        let run = bench.start(&["run", "--now", bench.now]);
        // Before that, no line of the program has run.
        while fs::read_to_string(format!("/proc/{}/status", run.id())).is_ok_and(|status| !catches_signals(&status)) {
            thread::sleep(Duration::from_micros(200));
        }
        thread::sleep(Duration::from_millis(milliseconds));
        signal("TERM", run.id());
        let call = Call::of(run);
        assert!([0, 75].contains(&call.code), "after {milliseconds} ms: {call:?}");
        stopped += u64::from(call.code == 75);
    }
    assert!(stopped > 0, "no run was asked early enough");
    bench.finish();
    assert_eq!(bench.count("select count(*) from visits").await, 0);
    assert_eq!(bench.evidence().committed_rows(), ROWS);
}

/// SIGTERM has a handler.
fn catches_signals(status: &str) -> bool {
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let caught = caught.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok());
    caught.is_none_or(|caught| caught & (1 << 14) != 0)
}

/// Other commands end at once.
#[tokio::test]
async fn a_plan_that_is_asked_to_stop_ends_with_75() {
    let bench = Bench::new(Engine::Sqlite).await;
    visits(&bench).await;
    // Another connection keeps the database, so that the plan has to wait.
    let mut other = SqliteConnection::connect(&bench.database.url).await.unwrap();
    other.execute("begin exclusive").await.unwrap();
    let plan = bench.start(&["plan", "--now", bench.now]);
    thread::sleep(Duration::from_millis(500));
    signal("TERM", plan.id());
    Call::of(plan).expect(75);
}

/// A server that has not begun to serve ends at once: whoever started it does not take it for one that did its work.
#[tokio::test]
async fn a_server_that_is_asked_to_stop_while_it_starts_ends_with_75() {
    let mut bench = Bench::new(Engine::Sqlite).await;
    visits(&bench).await;
    bench.settings("time_zone: Asia/Tokyo\nschedule: 30 2 * * *");
    // a database that takes connections and says nothing
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    bench.variables = vec![("BENCH_URL", format!("postgres://sunset@127.0.0.1:{port}/core"))];
    for name in ["TERM", "INT"] {
        let server = bench.start(&["serve", "--listen", "127.0.0.1:0"]);
        let connection = silent.accept().unwrap();
        signal(name, server.id());
        let call = Call::of(server).expect(75);
        assert!(call.err.contains("asked to stop while it started") && !call.err.contains("serving job"), "{call:?}");
        drop(connection);
    }
}

/// A reader keeps SQLite, without a write-ahead log, from committing: the batch is undone, and said to be.
#[tokio::test]
async fn a_commit_that_sqlite_refuses_is_undone_and_said_to_be() {
    let bench = Bench::new(Engine::Sqlite).await;
    bench.settings("time_zone: Asia/Tokyo\npace: {lock_timeout: 1s, batch_rows: 1000}");
    visits(&bench).await;
    let mut reader = SqliteConnection::connect(&bench.database.url).await.unwrap();
    reader.execute("pragma journal_mode = delete").await.unwrap();
    reader.execute("begin; select count(*) from visits").await.unwrap();
    let call = bench.sunset(&["run", "--now", bench.now]).expect(75);
    assert!(call.err.contains("locked by another connection"), "{}", call.err);
    reader.execute("rollback").await.unwrap();
    assert_eq!(bench.count("select count(*) from visits").await, ROWS);
    let evidence = bench.evidence();
    assert_eq!(evidence.committed_rows(), 0);
    assert!(evidence.is_settled());
    bench.finish();
    assert_eq!(bench.count("select count(*) from visits").await, 0);
    assert_eq!(bench.evidence().committed_rows(), ROWS);
}

/// A small disk of its own, where this machine lets a test mount one.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn new(size: &str) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        let mounted =
            mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(directory.path()).output();
        if mounted.is_ok_and(|mounted| mounted.status.success()) {
            return Some(Self(directory));
        }
        crate::support::servers::say("SKIPPED: a full disk, since this user may not mount one");
        None
    }

    fn fill(&self) {
        let _ = fs::write(self.0.path().join("ballast"), vec![0; 64 << 20]);
    }

    fn empty(&self) {
        fs::remove_file(self.0.path().join("ballast")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

#[tokio::test]
async fn a_store_without_room_is_named() {
    let Some(disk) = SmallDisk::new("4m") else { return };
    let bench = Bench::new(Engine::Sqlite).await;
    visits(&bench).await;
    let store = disk.0.path().join("state/sunset.db");
    bench.settings(&format!("time_zone: Asia/Tokyo\nstore: {{path: \"{}\"}}", store.display()));
    disk.fill();
    let call = bench.sunset(&["run", "--now", bench.now]).expect(75);
    assert!(call.err.contains("the store") && call.err.contains("full"), "{}", call.err);
    assert_eq!(bench.count("select count(*) from visits").await, ROWS);
    disk.empty();
    bench.sunset(&["run", "--now", bench.now]).expect(0);
    bench.script("insert into visits values (0, '2001-01-01', 'x')").await;
    disk.fill();
    let call = bench.sunset(&["run", "--now", bench.now]).expect(75);
    assert!(call.err.contains("the store") && call.err.contains("full"), "{}", call.err);
    disk.empty();
    bench.finish();
    assert_eq!(bench.count("select count(*) from visits").await, 0);
}

#[tokio::test]
async fn a_database_without_room_is_named() {
    let Some(disk) = SmallDisk::new("2m") else { return };
    let bench = Bench::new(Engine::Sqlite).await;
    visits(&bench).await;
    let original = bench.database.url.trim_start_matches("sqlite:").trim_start_matches("//");
    let moved = disk.0.path().join("core.db");
    bench.script("pragma wal_checkpoint(truncate)").await;
    fs::copy(original.split('?').next().unwrap(), &moved).unwrap();
    disk.fill();
    let url = format!("sqlite:{}", moved.display());
    let call = bench.sunset_with(&["run", "--now", bench.now], &[("BENCH_URL", &url)]).expect(75);
    assert!(call.err.contains("full") || call.err.contains("cannot be read or written"), "{}", call.err);
    let rows = || async {
        let mut connection = SqliteConnection::connect(&url).await.unwrap();
        sqlx::query_scalar::<_, i64>("select count(*) from visits").fetch_one(&mut connection).await.unwrap()
    };
    disk.empty();
    assert_eq!(rows().await, i64::try_from(ROWS).unwrap());
    bench.sunset_with(&["run", "--now", bench.now], &[("BENCH_URL", &url)]).expect(0);
    assert_eq!(rows().await, 0);
}

/// Whichever way two runs reach a database, one lock keeps them apart.
#[tokio::test]
async fn a_database_that_is_reached_through_a_link_has_one_lock() {
    let bench = Bench::new(Engine::Sqlite).await;
    visits(&bench).await;
    bench.sunset(&["run", "--now", bench.now]).expect(0);
    let file = bench.database.url.trim_start_matches("sqlite:").trim_start_matches("//");
    let file = std::path::Path::new(file.split('?').next().unwrap());
    let locks = |directory: &std::path::Path| {
        let names = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.ends_with(".lock")).count()
    };
    let before = locks(file.parent().unwrap());
    let elsewhere = tempfile::tempdir().unwrap();
    let link = elsewhere.path().join("linked.db");
    std::os::unix::fs::symlink(file, &link).unwrap();
    bench.script("insert into visits values (0, '2001-01-01', 'x')").await;
    let url = format!("sqlite:{}", link.display());
    bench.sunset_with(&["run", "--now", bench.now], &[("BENCH_URL", &url)]).expect(0);
    assert_eq!(bench.count("select count(*) from visits").await, 0);
    assert_eq!((locks(elsewhere.path()), locks(file.parent().unwrap())), (0, before));
}
