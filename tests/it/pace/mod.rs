//! The pace: what makes a run wait or end before its next batch, and what it says of that.

use crate::support::bench::{Bench, Call, on_every_engine, signal};
use serde_json::Value as Json;
use std::{
    fs, thread,
    time::{Duration, Instant},
};
use sunset::catalog::Engine;

mod activities;
mod replicas;
mod several;

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

/// The log's lines, in JSON.
fn log(call: &Call) -> Vec<String> {
    call.err.lines().filter(|line| line.starts_with('{')).map(str::to_owned).collect()
}

/// A run that is at work, or waits.
struct Running(std::process::Child);

impl Running {
    fn start(bench: &Bench) -> Self {
        Self(bench.start(&["run", "--now", bench.now, "--format", "json"]))
    }

    /// Its report, when it has ended with this code, and what it logged.
    fn end(self, code: i32) -> (Json, Vec<String>) {
        let call = Call::of(self.0).expect(code);
        (serde_json::from_str(&call.out).unwrap(), log(&call))
    }
}

/// The run waits while something is the case, and says why; then it goes on to its end.
async fn waits(bench: &Bench, throttle: &str, reason: &str, over: impl AsyncFnOnce()) {
    let all = bench.count("select count(*) from t").await;
    let run = Running::start(bench);
    thread::sleep(Duration::from_millis(2200));
    assert_eq!(bench.count("select count(*) from t").await, all, "a batch began");
    over().await;
    let (report, log) = run.end(0);
    let rule = &report["rules"][0];
    assert_eq!(rule["result"], "done", "{report}");
    assert!(waited(rule, throttle) > 1000, "{report}");
    let told = |line: &String| line.contains("\"waiting\"") && line.contains(throttle) && line.contains(reason);
    assert!(log.iter().any(told), "{log:?}");
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

/// A number that the database tells.
async fn a_load(bench: Bench) {
    due_rows(&bench, 100).await;
    bench
        .script("create table load_now (name {text}, number {numeric}); insert into load_now values ('x', 50.5)")
        .await;
    let load = |most: &str| format!("pace: {{load: {{query: \"select name, number from load_now\", {most}}}}}");
    bench.settings_on("time_zone: Asia/Tokyo", &load("most: 40, stop_above: 50"));
    let report = bench.run(75);
    assert_eq!(report.line("t"), "temporary 0 backlog=100");
    assert!(report.rule("t")["message"].as_str().unwrap().contains("the load is 50.5"), "{report:?}");
    bench.settings_on("time_zone: Asia/Tokyo", &load("most: 40"));
    waits(&bench, "load", "the load is 50.5, at most 40 is allowed", async || {
        bench.script("update load_now set number = 40").await;
    })
    .await;
}

/// What is no number is told where it stands, before anything is touched; and a query cannot write.
async fn a_load_that_is_none(bench: Bench) {
    due_rows(&bench, 1).await;
    let writes = if bench.engine == Engine::Sqlite { "delete from t returning 1" } else { "delete from t" };
    for (query, problem) in [
        ("selekt 1", "the load query does not work: "),
        ("select 'hanako'", "is no number"),
        ("select 1 where 1 = 0", "gives 0 rows, not one"),
        ("select 1 union all select 2", "gives 2 rows, not one"),
        (writes, "the load query does not work: "),
    ] {
        bench.settings_on("time_zone: Asia/Tokyo", &format!("pace: {{load: {{query: \"{query}\", most: 1}}}}"));
        assert_eq!(bench.refused(), ["E0208".to_owned()].into(), "{query}");
        let call = bench.sunset(&["validate"]).expect(2);
        assert!(call.err.contains(problem) && !call.err.contains("is no number: hanako"), "{query}: {call:?}");
        assert!(call.err.contains("sunset.yaml:"), "{call:?}");
    }
    assert_eq!(bench.count("select count(*) from t").await, 2);
    // servers tell of themselves in their own ways
    let query = match bench.engine {
        Engine::Postgres => "select count(*) from pg_stat_activity where state = 'active'",
        Engine::Mysql => "show global status like 'Threads_running'",
        Engine::Sqlite => "select count(*) from t",
    };
    bench.settings_on("time_zone: Asia/Tokyo", &format!("pace: {{load: {{query: \"{query}\", most: 1000}}}}"));
    assert_eq!(bench.run(0).line("t"), "done 1");
}

async fn a_pause_file(bench: Bench) {
    due_rows(&bench, 100).await;
    pace(&bench, "pause_file: pause, max_wait: 10 s");
    fs::write(bench.path("pause"), "index rebuild\n").unwrap();
    waits(&bench, "pause_file", "is there: index rebuild", async || fs::remove_file(bench.path("pause")).unwrap())
        .await;
    // whoever pauses for longer than a run waits leaves a backlog, and no failure
    bench.script("insert into t values (1, '2001-01-01')").await;
    pace(&bench, "pause_file: pause, max_wait: 1 s");
    fs::write(bench.path("pause"), "").unwrap();
    assert_eq!(bench.run(0).line("t"), "backlog 0 backlog=1");
}

/// The pause is in the store: whoever runs the job sees it, and the ledger knows who it was.
async fn a_paused_job(bench: Bench) {
    due_rows(&bench, 100).await;
    bench.run(0);
    bench.script("insert into t values (1, '2001-01-01'), (2, '2001-01-01')").await;
    pace(&bench, "max_wait: 20 s");
    bench.sunset(&["pause", "--by", "hanako", "--reason", "index rebuild", "--until", "2001-01-01"]).expect(2);
    bench.sunset(&["pause", "--by", "hanako", "--until", "soon"]).expect(2);
    bench.sunset(&["pause", "--by", "hanako", "--reason", "index rebuild"]).expect(0);
    let status = bench.sunset(&["status"]).expect(0).out;
    assert!(status.contains("paused by hanako since ") && status.contains(": index rebuild"), "{status}");
    waits(&bench, "pause", "the job is paused by hanako: index rebuild", async || {
        bench.sunset(&["resume", "--by", "taro"]).expect(0);
    })
    .await;
    let call = bench.sunset(&["resume", "--by", "taro"]).expect(0);
    assert!(call.err.contains("is not paused"), "{call:?}");
    assert!(!bench.sunset(&["status"]).expect(0).out.contains("paused"));
    let evidence = bench.evidence();
    let paused = evidence.events("paused");
    assert_eq!((paused[0]["by"].as_str(), paused[0]["reason"].as_str()), (Some("hanako"), Some("index rebuild")));
    assert_eq!(evidence.events("resumed").len(), 1);
    assert_eq!(evidence.events("resumed")[0]["by"], "taro");
    // a pause that ends by itself
    bench.script("insert into t values (1, '2001-01-01')").await;
    let soon = (jiff::Timestamp::now() + jiff::SignedDuration::from_secs(4)).to_string();
    bench.sunset(&["pause", "--by", "hanako", "--until", &soon]).expect(0);
    assert_eq!(bench.run(0).line("t"), "done 1");
}

/// What was left is told with a forecast, in the report and in the status.
async fn a_backlog(bench: Bench) {
    due_rows(&bench, 6000).await;
    bench.settings("time_zone: Asia/Tokyo\npace: {rows_per_second: 500, run_time: 3 s}\nschedule: 0 2 * * *");
    let call = bench.sunset(&["run", "--now", bench.now]).expect(0);
    let left = bench.count("select count(*) from t where id > 0").await;
    assert!((1..6000).contains(&left), "{call:?}");
    let words = format!("due rows were not come to: t {} (at ", sunset::output::count(left));
    assert!(call.out.contains(&words) && call.out.contains("clear them, the last on 20"), "{call:?}");
    let status = bench.sunset(&["status"]).expect(0).out;
    assert!(status.contains(&words) && status.contains("backlog"), "{status}");
    let status: Json = serde_json::from_str(&bench.sunset(&["status", "--format", "json"]).expect(0).out).unwrap();
    let backlog = &status["backlog"];
    assert_eq!((backlog["rows"].as_u64(), backlog["rules"]["t"]["rows"].as_u64()), (Some(left), Some(left)));
    let (runs, rate) = (backlog["runs"].as_u64().unwrap(), backlog["rules"]["t"]["rows_per_second"].as_f64().unwrap());
    // rows, over rows a second, over seconds a run
    #[expect(clippy::cast_precision_loss, reason = "thousands")]
    let expected = left as f64 / rate / 3.0;
    #[expect(clippy::cast_precision_loss, reason = "a handful")]
    let runs = runs as f64;
    assert!(runs >= expected && runs < expected + 1.0, "{backlog}");
    let finished = bench.evidence();
    let finished = finished.events("rule_finished");
    assert!(finished[0]["waited"]["rows_per_second"].as_u64().unwrap() > 0, "{finished:?}");
}

/// The plan shows what a run would mind, and takes it into account.
async fn a_plan_at_a_pace(bench: Bench) {
    due_rows(&bench, 3000).await;
    bench.settings_on(
        "time_zone: Asia/Tokyo\npace: {run_time: 2 h, pause_file: /run/sunset/pause, duty_cycle: 50%, when_time_is_up: fail}",
        "pace: {window: \"02:00-05:00\", rows_per_second: 10, load: {query: \"select 1\", most: 40, stop_above: 200}}",
    );
    let plan = bench.plan();
    let lines: Vec<_> = plan["pace"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
    assert_eq!(
        lines,
        [
            "begins no batch after 2h",
            "pauses while /run/sunset/pause is there",
            "core: begins batches only in the window 02:00-05:00 (Asia/Tokyo)",
            "core: waits while its load is above 40, ends a rule above 200: select 1",
            "core: at most 10 rows a second",
            "core: works 50 % of the time",
            "fails when time is up and work is left",
        ]
    );
    assert_eq!(plan["steps"][0]["estimated_seconds"].as_f64(), Some(300.0));
    let text = bench.sunset(&["plan", "--now", bench.now]).expect(0).out;
    assert!(text.contains("pace: core: at most 10 rows a second\n"), "{text}");
    assert!(bench.sunset(&["plan", "--now", bench.now, "--format", "markdown"]).expect(0).out.contains("## Pace"));
}

on_every_engine!(
    a_rate,
    a_runs_time,
    a_window,
    a_load,
    a_load_that_is_none,
    a_pause_file,
    a_paused_job,
    a_backlog,
    a_plan_at_a_pace,
);
