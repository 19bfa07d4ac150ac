//! The pace: what makes a run wait or end before its next batch, and what it says of that.

use crate::support::bench::{Bench, Call, on_every_engine, signal};
use serde_json::Value as Json;
use std::{
    thread,
    time::{Duration, Instant},
};

const RULE: &str = "- {id: t, table: core.t, starting_point: at_day, retention_period: 5 years, disposition: erase}";

/// A table with so many due rows, and one that is not.
async fn due_rows(bench: &Bench, rows: u64) {
    bench.script("create table t (id {int} primary key, at_day {date})").await;
    let values: Vec<_> = (1..=rows).map(|id| format!("({id}, '2001-01-01')")).collect();
    bench.script(&format!("insert into t values (0, '2025-01-01'), {}", values.join(", "))).await;
    bench.rules(RULE);
}

/// The settings of a job with this pace.
fn pace(bench: &Bench, pace: &str) {
    bench.settings(&format!("time_zone: Asia/Tokyo\npace: {{{pace}}}"));
}

/// `HH:MM` in the job's zone, so many minutes from now.
fn wall_clock(minutes: i64) -> String {
    let then = jiff::Timestamp::now() + jiff::SignedDuration::from_mins(minutes);
    then.in_tz("Asia/Tokyo").unwrap().strftime("%H:%M").to_string()
}

/// Milliseconds that the rule waited for this.
fn waited(rule: &Json, throttle: &str) -> u64 {
    rule["waited"][throttle].as_u64().unwrap_or_else(|| panic!("no wait for {throttle}: {rule}"))
}

async fn a_rate(bench: Bench) {
    pace(&bench, "rows_per_second: 1000");
    due_rows(&bench, 5000).await;
    let began = Instant::now();
    let report = bench.run_to_the_end();
    // nobody waits after the last batches, one on each connection
    assert!(began.elapsed() > Duration::from_secs(3), "5,000 rows in {:?}", began.elapsed());
    assert_eq!(report.line("t"), "done 5000");
    assert!(waited(report.rule("t"), "rows_per_second") > 1500);
}

/// Time that is up is no failure, and what is left is told.
async fn a_runs_time(bench: Bench) {
    pace(&bench, "rows_per_second: 500, run_time: 3 s");
    due_rows(&bench, 3000).await;
    let report = bench.run(0);
    let rule = report.rule("t");
    assert_eq!(
        (rule["result"].as_str(), report.0["outcome"].as_str()),
        (Some("backlog"), Some("backlog")),
        "{report:?}"
    );
    let left = bench.count("select count(*) from t where id > 0").await;
    assert!(left > 0 && report.disposed() > 0);
    assert_eq!(rule["remaining"], serde_json::json!({"backlog": left}));
    assert!(rule["message"].as_str().unwrap().contains("the run has used its time of 3s"), "{rule}");
    assert!(bench.evidence().is_settled());
    // an argument goes over the settings, and the settings may want to see a failure
    pace(&bench, "rows_per_second: 1, run_time: 1 h, when_time_is_up: fail");
    let call = bench.sunset(&["run", "--now", bench.now, "--for", "2s"]).expect(4);
    assert!(call.out.contains("backlog"), "{call:?}");
    bench.sunset(&["run", "--for", "soon"]).expect(2);
    bench.settings("time_zone: Asia/Tokyo");
    assert_eq!(bench.run_to_the_end().rule("t")["result"], "done");
}

async fn a_window(bench: Bench) {
    due_rows(&bench, 10).await;
    pace(&bench, &format!("window: \"{}-{}\"", wall_clock(120), wall_clock(180)));
    let report = bench.run(0);
    assert_eq!(report.line("t"), "backlog 0 backlog=10");
    assert!(report.rule("t")["message"].as_str().unwrap().contains("is closed until"), "{report:?}");
    // one that opens soon is waited for, and a stop ends that at once
    pace(&bench, &format!("window: \"{}-{}\"", wall_clock(5), wall_clock(180)));
    let run = bench.start(&["run", "--now", bench.now]);
    thread::sleep(Duration::from_millis(1500));
    let began = Instant::now();
    signal("TERM", run.id());
    Call::of(run).expect(75);
    assert!(began.elapsed() < Duration::from_secs(2), "a stop took {:?}", began.elapsed());
    pace(&bench, &format!("window: \"{}-{}\"", wall_clock(-60), wall_clock(60)));
    assert_eq!(bench.run(0).line("t"), "done 10");
}

/// What no throttle heeds is refused, not disregarded.
async fn what_is_not_heeded_is_refused(bench: Bench) {
    pace(&bench, "pause_file: pause");
    due_rows(&bench, 1).await;
    let call = bench.sunset(&["run", "--now", bench.now]).expect(2);
    assert!(call.err.contains("does not heed pace.pause_file yet"), "{call:?}");
    assert_eq!(bench.count("select count(*) from t").await, 2);
}

on_every_engine!(a_rate, a_runs_time, a_window, what_is_not_heeded_is_refused);
