//! Several workers and several processes under one pace.

use super::{RULE, Running, due_rows, log, waited};
use crate::support::bench::{Bench, Call, signal};
use std::{
    fs, thread,
    time::{Duration, Instant},
};
use sunset::catalog::Engine;

/// Many blocks, so that there are chunks for everybody.
async fn wide_rows(bench: &Bench, rows: u64) {
    bench.script("create table t (id int primary key, at_day date, wide text)").await;
    bench
        .script(&format!(
            "insert into t select number, '2001-01-01', repeat('x', 700) from generate_series(1, {rows}) number"
        ))
        .await;
    bench.rules(RULE);
}

fn start(bench: &Bench, workers: &str) -> std::process::Child {
    bench.start(&["run", "--now", bench.now, "--format", "json", "--workers", workers])
}

/// A rate is one of all workers together, and no batch goes over it.
#[tokio::test]
async fn workers_share_a_rate() {
    let bench = Bench::new(Engine::Postgres).await;
    wide_rows(&bench, 4000).await;
    bench.settings("time_zone: Asia/Tokyo\npace: {rows_per_second: 1000, batch_rows: 50}");
    let began = Instant::now();
    let call = Call::of(start(&bench, "4")).expect(0);
    let took = began.elapsed();
    assert!(took > Duration::from_millis(2900), "4,000 rows in {took:?}");
    assert_eq!(bench.count("select count(*) from t").await, 0);
    let report: serde_json::Value = serde_json::from_str(&call.out).unwrap();
    // on the average of eight connections, which also wait for each other; a busy machine is slower than the rate by itself
    let waited = report["rules"][0]["waited"]["rows_per_second"].as_u64().unwrap_or(0);
    assert!(waited > 1000 || took > Duration::from_millis(3900), "{took:?}: {report}");
}

/// All workers wait, hold no lock on the table, and end at once when they are asked to.
#[tokio::test]
async fn workers_wait_together() {
    let bench = Bench::new(Engine::Postgres).await;
    wide_rows(&bench, 20_000).await;
    bench.settings("time_zone: Asia/Tokyo\npace: {rows_per_second: 4000, pause_file: pause}");
    let run = start(&bench, "3");
    while bench.count("select count(*) from t").await == 20_000 {
        thread::sleep(Duration::from_millis(20));
    }
    fs::write(bench.path("pause"), "deploy").unwrap();
    // an answer holds for a second
    thread::sleep(Duration::from_millis(1500));
    let left = bench.count("select count(*) from t").await;
    assert!(left > 0, "the run was over before the pause");
    thread::sleep(Duration::from_millis(1500));
    assert_eq!(bench.count("select count(*) from t").await, left, "a batch began");
    let locks = "select count(*) from pg_locks join pg_class on pg_class.oid = relation where relname = 't'";
    assert_eq!(bench.count(locks).await, 0, "the table is locked");
    let began = Instant::now();
    signal("TERM", run.id());
    let call = Call::of(run).expect(75);
    assert!(began.elapsed() < Duration::from_secs(1), "a stop took {:?}", began.elapsed());
    // one wait, whatever the number of workers
    let waits = log(&call).iter().filter(|line| line.contains("\"waiting\"") && line.contains("pause_file")).count();
    assert_eq!(waits, 1, "{call:?}");
    assert!(bench.evidence().is_settled());
    fs::remove_file(bench.path("pause")).unwrap();
    bench.settings("time_zone: Asia/Tokyo");
    bench.run(0);
    assert_eq!((bench.count("select count(*) from t").await, bench.evidence().committed_rows()), (0, 20_000));
}

/// Two processes: one may begin no batch, and the other one does all the work, that of the first one's chunks, too.
#[tokio::test]
async fn who_waits_keeps_no_chunk_from_others() {
    let bench = Bench::new(Engine::Postgres).await;
    wide_rows(&bench, 20_000).await;
    bench.settings("time_zone: Asia/Tokyo\npace: {rows_per_second: 4000, pause_file: pause}");
    let held_up = start(&bench, "2");
    while bench.count("select count(*) from t").await == 20_000 {
        thread::sleep(Duration::from_millis(5));
    }
    fs::write(bench.path("pause"), "").unwrap();
    thread::sleep(Duration::from_millis(1500));
    let left = bench.count("select count(*) from t").await;
    assert!(left > 0, "the run was over before the pause");
    // as on a machine that does not have the file
    bench.settings("time_zone: Asia/Tokyo");
    let call = Call::of(start(&bench, "1")).expect(0);
    let report: serde_json::Value = serde_json::from_str(&call.out).unwrap();
    assert_eq!((report["rules"][0]["result"].as_str(), report["disposed"].as_u64()), (Some("done"), Some(left)));
    fs::remove_file(bench.path("pause")).unwrap();
    let first: serde_json::Value = serde_json::from_str(&Call::of(held_up).expect(0).out).unwrap();
    assert_eq!((first["rules"][0]["result"].as_str(), first["disposed"].as_u64()), (Some("done"), Some(20_000 - left)));
    assert_eq!(bench.evidence().committed_rows(), 20_000);
}

/// A pause reaches every process that shares the store, on whatever machine.
#[tokio::test]
async fn a_pause_reaches_all_processes() {
    let mut bench = Bench::new(Engine::Postgres).await;
    bench.variables.push(("STORE_URL", bench.database.url.clone()));
    due_rows(&bench, 30_000).await;
    bench.settings("time_zone: Asia/Tokyo\nstore: {url: \"${STORE_URL}\"}\npace: {rows_per_second: 3000}");
    let runs = [Running::start(&bench), Running::start(&bench)];
    while bench.count("select count(*) from t").await > 28_000 {
        thread::sleep(Duration::from_millis(20));
    }
    bench.sunset(&["pause", "--by", "hanako"]).expect(0);
    thread::sleep(Duration::from_millis(1500));
    let left = bench.count("select count(*) from t").await;
    assert!(left > 1, "the runs were over before the pause");
    thread::sleep(Duration::from_millis(1500));
    assert_eq!(bench.count("select count(*) from t").await, left, "a batch began");
    bench.sunset(&["resume", "--by", "hanako"]).expect(0);
    for (report, log) in runs.map(|run| run.end(0)) {
        assert!(waited(&report["rules"][0], "pause") > 2000, "{report}");
        assert!(log.iter().any(|line| line.contains("the job is paused by hanako")), "{log:?}");
    }
    assert_eq!(bench.count("select count(*) from t").await, 1);
    assert_eq!(bench.evidence().committed_rows(), 30_000);
}
