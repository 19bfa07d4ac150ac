//! What a run and a plan tell to who collects metrics: text file, Pushgateway, OTLP. All of it must be true, go on from
//! run to run, follow Prometheus' rules, and change nothing about the run when it fails.

use crate::{
    recipients::recorder::Recorder,
    support::{
        bench::{Bench, on_every_engine},
        exposition::Exposition,
    },
};
use jiff::Timestamp;
use serde_json::Value as Json;
use std::{
    collections::BTreeSet,
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
    sync::LazyLock,
};
use sunset::catalog::Engine;
use tokio::runtime::Runtime;

/// The tests wait for the program and block; the servers go on answering.
static SERVERS: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

const RULES: &str = "
- {id: t, table: core.t, starting_point: at_day, retention_period: 1 year, regular_deletion_period: 1 year 1 month,
   disposition: erase}
- {id: u, table: core.u, starting_point: at_day, retention_period: 1 year, disposition: erase, limits: {max_rows: 1}}";

/// On 2026-11-22, of `t` one row is held and overdue, one overdue since 2 November, one due; of `u` two are due.
async fn company(bench: &Bench) {
    bench
        .script(
            "create table t (id {int} primary key, at_day {date}); create table u (id {int} primary key, at_day {date});
             insert into t values (1, '2001-01-01'), (2, '2025-11-10'), (3, '2025-10-01'), (4, '2026-01-01');
             insert into u values (1, '2001-01-01'), (2, '2001-01-01')",
        )
        .await;
    bench.rules(RULES);
}

fn hold(bench: &Bench) {
    let hold = ["hold", "add", "--table", "core.t", "--key", "1", "--matter", "1/26", "--reason", "x", "--owner", "y"];
    bench.sunset(&[hold.as_slice(), &["--review", "2030-01-01"]].concat()).expect(0);
}

/// Calls the program with a metrics file; gives what it wrote.
pub fn exposed(bench: &Bench, arguments: &[&str], code: i32) -> Exposition {
    let path = bench.path("sunset.prom");
    let file = ["--metrics-file", path.to_str().unwrap()];
    bench.sunset(&[arguments, &file].concat()).expect(code);
    let text = fs::read_to_string(&path).unwrap();
    promtool(&text);
    Exposition::parse(&text)
}

/// Prometheus' own word on the text, where the machine has it.
fn promtool(text: &str) {
    let installed = concat!(env!("CARGO_MANIFEST_DIR"), "/target/test-tools/promtool");
    let found = if Path::new(installed).exists() { installed } else { "promtool" };
    let program = std::env::var("SUNSET_TEST_PROMTOOL").unwrap_or_else(|_| found.to_owned());
    let child = Command::new(program).args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let Ok(mut child) = child else {
        let _ = writeln!(std::io::stderr(), "skipped: no promtool here; tests/tools installs it");
        return;
    };
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}\n{text}", String::from_utf8_lossy(&output.stdout));
}

fn seconds_since(time: &str) -> f64 {
    Timestamp::now().duration_since(time.parse().unwrap()).as_secs_f64().max(0.0)
}

async fn a_plan_tells_what_is_due(bench: Bench) {
    company(&bench).await;
    hold(&bench);
    let told = exposed(&bench, &["plan", "--now", "2026-11-22"], 0);
    assert_eq!(told.count("sunset_rule_due_rows{rule=\"t\"}"), 2);
    assert_eq!(told.count("sunset_rule_overdue_rows{rule=\"t\"}"), 1);
    assert_eq!(told.count("sunset_rule_held_rows{rule=\"t\"}"), 1);
    assert_eq!(told.count("sunset_rule_refused_rows{rule=\"t\"}"), 0);
    let overdue = told.value("sunset_rule_oldest_overdue_seconds{rule=\"t\"}");
    assert!((overdue - seconds_since("2026-11-01T15:00:00Z")).abs() < 120.0, "{overdue}");
    assert_eq!(told.count("sunset_rule_due_rows{rule=\"u\"}"), 2);
    assert_eq!(told.count("sunset_rule_refused_rows{rule=\"u\"}"), 2);
    // without a regular deletion period nothing can be overdue, and before the first run nothing succeeded
    for absent in [
        "sunset_rule_overdue_rows{rule=\"u\"}",
        "sunset_rule_oldest_overdue_seconds{rule=\"u\"}",
        "sunset_last_success_timestamp_seconds{rule=\"t\"}",
        "sunset_last_run_exit_code",
    ] {
        assert!(!told.has(absent), "{absent}");
    }
    assert_eq!(told.count("sunset_rows_disposed_total{rule=\"t\",disposition=\"erase\"}"), 0);
}

async fn a_run_tells_what_it_did(bench: Bench) {
    company(&bench).await;
    hold(&bench);
    let began = Timestamp::now().to_string();
    for round in 1..=2 {
        let told = exposed(&bench, &["run", "--now", "2026-11-22"], 3);
        assert_eq!(told.count("sunset_rows_disposed_total{rule=\"t\",disposition=\"erase\"}"), 2);
        assert_eq!(told.count("sunset_rule_due_rows{rule=\"t\"}"), 0);
        assert_eq!(told.count("sunset_rule_overdue_rows{rule=\"t\"}"), 0);
        assert_eq!(told.count("sunset_rule_oldest_overdue_seconds{rule=\"t\"}"), 0);
        assert_eq!(told.count("sunset_rule_held_rows{rule=\"t\"}"), 1);
        assert_eq!(told.count("sunset_rule_due_rows{rule=\"u\"}"), 2);
        assert_eq!(told.count("sunset_rule_refused_rows{rule=\"u\"}"), 2);
        // counters go on where the run before ended
        assert_eq!(told.count("sunset_rule_failures_total{rule=\"u\",result=\"refused\"}"), round);
        assert_eq!(told.count("sunset_rule_failures_total{rule=\"t\",result=\"failed\"}"), 0);
        assert_eq!(told.count("sunset_last_run_exit_code"), 3);
        for time in ["sunset_last_run_timestamp_seconds", "sunset_last_success_timestamp_seconds{rule=\"t\"}"] {
            let ago = seconds_since("1970-01-01T00:00:00Z") - told.value(time);
            assert!((-1.0..=seconds_since(&began) + 1.0).contains(&ago), "{time}, {ago} s ago");
        }
        assert!(!told.has("sunset_last_success_timestamp_seconds{rule=\"u\"}"));
        let batches = told.count("sunset_batch_duration_seconds_count{database=\"core\"}");
        let sum = told.value("sunset_batch_duration_seconds_sum{database=\"core\"}");
        let duration = told.value("sunset_run_duration_seconds");
        assert!((1..=2).contains(&batches) && sum > 0.0 && duration > 0.0, "{batches} {sum} {duration}");
        let entries = i64::try_from(bench.evidence().entries.len()).unwrap();
        assert_eq!(told.count("sunset_ledger_head_sequence"), entries);
    }
    let told = exposed(&bench, &["run", "--now", "2026-11-22"], 3);
    let known = ["database", "disposition", "le", "outcome", "recipient", "result", "rule", "version"];
    let unknown: BTreeSet<_> = told.labels().into_iter().filter(|label| !known.contains(&label.as_str())).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

on_every_engine!(a_plan_tells_what_is_due, a_run_tells_what_it_did);

#[tokio::test]
async fn a_plan_at_the_present_time_is_kept_for_others_to_show() {
    let bench = Bench::new(Engine::Sqlite).await;
    company(&bench).await;
    // before the first run there is no store, and a dry run makes none
    exposed(&bench, &["plan"], 0);
    assert!(!bench.path("state").exists());
    hold(&bench);
    bench.sunset(&["plan", "--now", "2000-01-01"]).expect(0);
    let status = |bench: &Bench| -> Json {
        serde_json::from_str(&bench.sunset(&["status", "--format", "json"]).expect(0).out).unwrap()
    };
    assert_eq!(status(&bench)["rules"]["u"], Json::Null, "a plan for another time says nothing of today");
    bench.sunset(&["plan"]).expect(0);
    let known = status(&bench);
    assert_eq!(known["rules"]["u"]["counted"]["due"], 2, "{known}");
    let at: Timestamp = known["rules"]["u"]["counted"]["at"].as_str().unwrap().parse().unwrap();
    assert!(Timestamp::now().duration_since(at).as_secs() < 120);
}

#[tokio::test]
async fn a_store_on_a_server_keeps_the_same() {
    let mut bench = Bench::new(Engine::Postgres).await;
    bench.variables = vec![("STORE_URL", bench.database.url.clone())];
    bench.settings("time_zone: Asia/Tokyo\nstore: {url: \"${STORE_URL}\"}");
    company(&bench).await;
    hold(&bench);
    bench.sunset(&["plan"]).expect(0);
    for round in 1..=2 {
        let told = exposed(&bench, &["run", "--now", "2026-11-22"], 3);
        assert_eq!(told.count("sunset_rows_disposed_total{rule=\"t\",disposition=\"erase\"}"), 2);
        assert_eq!(told.count("sunset_rule_held_rows{rule=\"t\"}"), 1);
        assert_eq!(told.count("sunset_rule_failures_total{rule=\"u\",result=\"refused\"}"), round);
    }
    let status = bench.sunset(&["status"]).expect(0).out;
    assert!(status.contains("refused"), "{status}");
}

#[tokio::test]
async fn runs_that_come_to_no_report_are_told_too() {
    let bench = Bench::new(Engine::Sqlite).await;
    company(&bench).await;
    bench.rules("- {id: t, table: core.nowhere, starting_point: at_day, retention_period: 1 year, disposition: erase}");
    let told = exposed(&bench, &["run", "--now", "2026-11-22"], 2);
    assert_eq!(told.count("sunset_last_run_exit_code"), 2);
    assert!(!told.has("sunset_rule_due_rows{rule=\"u\"}"), "a rule that the job has no more");
}

#[tokio::test]
async fn a_gateway_and_a_collector_get_the_same() {
    let mut bench = Bench::new(Engine::Sqlite).await;
    company(&bench).await;
    let gateway = SERVERS.spawn(Recorder::start(&[(200, "")])).await.unwrap();
    let collector = SERVERS.spawn(Recorder::start(&[(200, "{}")])).await.unwrap();
    bench.variables = vec![
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url.clone()),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20token-of-the-collector".to_owned()),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test".to_owned()),
    ];
    let told = {
        let path = bench.path("sunset.prom");
        let arguments = ["run", "--now", "2026-11-22", "--metrics-file", path.to_str().unwrap(), "--pushgateway"];
        let call = bench.sunset(&[arguments.as_slice(), &[&gateway.url]].concat()).expect(3);
        assert!(!call.err.contains("metrics"), "{}", call.err);
        Exposition::parse(&fs::read_to_string(path).unwrap())
    };

    let requests = gateway.requests();
    let [put] = requests.as_slice() else { panic!("{requests:?}") };
    let (head, body) = put.split_once("# HELP").unwrap();
    assert_eq!(head.lines().next(), Some("PUT /metrics/job/bench"));
    assert!(head.contains("content-type: text/plain; version=0.0.4"), "{head}");
    assert_eq!(Exposition::parse(&format!("# HELP{body}")).0.len(), told.0.len());

    let requests = collector.requests();
    let [post] = requests.as_slice() else { panic!("{requests:?}") };
    assert!(post.starts_with("POST /v1/metrics\nauthorization: Bearer token-of-the-collector\n"), "{post}");
    let body: Json = serde_json::from_str(&post[post.find('{').unwrap()..]).unwrap();
    let resource = &body["resourceMetrics"][0]["resource"]["attributes"];
    let attribute = |key: &str| {
        let known = resource.as_array().unwrap().iter().find(|attribute| attribute["key"] == key);
        known.unwrap_or_else(|| panic!("no {key}"))["value"]["stringValue"].as_str().unwrap().to_owned()
    };
    assert_eq!(attribute("service.name"), "sunset");
    assert_eq!(attribute("service.instance.id"), "bench");
    assert_eq!(attribute("deployment.environment"), "test");
    let metrics = body["resourceMetrics"][0]["scopeMetrics"][0]["metrics"].as_array().unwrap();
    let metric = |name: &str| metrics.iter().find(|metric| metric["name"] == name).unwrap();
    let disposed = metric("sunset_rows_disposed_total");
    assert_eq!(disposed["sum"]["aggregationTemporality"], 2);
    assert_eq!(disposed["sum"]["isMonotonic"], true);
    let point = disposed["sum"]["dataPoints"].as_array().unwrap().iter().find(|point| point["asInt"] == "3");
    let point = point.unwrap_or_else(|| panic!("{disposed}"));
    assert_eq!(point["attributes"][0]["value"]["stringValue"], "t");
    let time = |key: &str| point[key].as_str().unwrap().parse::<u128>().unwrap();
    assert!(time("startTimeUnixNano") <= time("timeUnixNano"));
    let batches = &metric("sunset_batch_duration_seconds")["histogram"]["dataPoints"][0];
    let (bounds, counts) = (batches["explicitBounds"].as_array().unwrap(), batches["bucketCounts"].as_array().unwrap());
    assert_eq!(bounds.len() + 1, counts.len());
    let count: u64 = counts.iter().map(|count| count.as_str().unwrap().parse::<u64>().unwrap()).sum();
    assert_eq!(batches["count"].as_str().unwrap(), count.to_string());
    assert_eq!(metric("sunset_last_run_exit_code")["gauge"]["dataPoints"][0]["asInt"], "3");
}

#[tokio::test]
async fn whoever_does_not_take_metrics_changes_nothing_about_the_run() {
    let mut bench = Bench::new(Engine::Sqlite).await;
    company(&bench).await;
    bench.rules("- {id: t, table: core.t, starting_point: at_day, retention_period: 1 year, disposition: erase}");
    let refuses =
        SERVERS.spawn(Recorder::start(&[(500, "no"), (200, "{\"partialSuccess\": {\"rejectedDataPoints\": \"3\"}}")]));
    let refuses = refuses.await.unwrap();
    bench.variables = vec![("OTEL_EXPORTER_OTLP_ENDPOINT", refuses.url.clone())];
    let file = bench.path("no/such/directory/sunset.prom");
    // a port that nobody listens on
    let arguments =
        ["run", "--now", "2026-11-22", "--pushgateway", "http://user:hunter2@127.0.0.1:9/", "--metrics-file"];
    let call = bench.sunset(&[arguments.as_slice(), &[file.to_str().unwrap()]].concat()).expect(0);
    for warning in ["the metrics file cannot be written", "the Pushgateway did not", "the OTLP endpoint did not"] {
        assert!(call.err.contains(warning), "no `{warning}` in {}", call.err);
    }
    assert!(!call.err.contains("hunter2"), "{}", call.err);
    assert!(call.err.contains("HTTP status 500"), "{}", call.err);
    let again = bench.sunset(&["run", "--now", "2026-11-22"]).expect(0);
    assert!(again.err.contains("it rejected 3 data points"), "{}", again.err);
    assert_eq!(bench.count("select count(*) from t").await, 1);
}
