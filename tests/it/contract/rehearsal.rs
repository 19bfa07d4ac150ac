//! A rehearsal says what a run would do, for whatever day, and changes nothing.

use crate::support::bench::{Bench, on_every_engine};
use serde_json::Value as Json;
use std::fs;

const TABLES: [&str; 5] = ["customers", "orders", "letters", "notes", "monthly"];

async fn company(bench: &mut Bench) {
    fs::create_dir(bench.path("tmp")).unwrap();
    let tmp = bench.path("tmp").to_str().unwrap().to_owned();
    bench.variables.push(("TMPDIR", tmp));
    bench.variables.push(("SUNSET_PRESENT", "2026-11-22T03:00:00Z".to_owned()));
    fs::write(bench.path("crm_key"), "crm_planted").unwrap();
    // nobody answers there
    bench.settings(
        "time_zone: Asia/Tokyo\nrecipients:\n  crm: {kind: http, url: \"http://127.0.0.1:1\", auth: {bearer: \
         \"${file:crm_key}\"}, grade: E1, delete: {method: DELETE, path: \"/v1/people/{email}\", gone: [404]}}",
    );
    bench
        .script(
            "create table customers (id {int} primary key, email {text}, ended {date});
             create table orders (id {int} primary key, customer_id {int},
               foreign key (customer_id) references customers (id));
             create table letters (id {int} primary key, body {text}, ended {date});
             create table notes (id {int} primary key, body {text}, ended {date});
             create index notes_ended on notes (ended);
             create table monthly (month {text} primary key, rows_count {bigint});
             insert into customers values (1, 'a@example.com', '2020-01-01'), (2, 'b@example.com', '2020-01-01'),
               (3, 'c@example.com', '2026-01-01');
             insert into orders values (1, 1), (2, 1), (3, 3);
             insert into letters values (1, 'a', '2020-01-01'), (2, 'b', '2026-01-01'), (3, 'c', '2026-01-01')",
        )
        .await;
    for id in 0..200 {
        let day = if id < 3 { "2020-01-01" } else { "2026-06-01" };
        bench.script(&format!("insert into notes values ({id}, 'n', '{day}')")).await;
    }
    bench.rules(
        "
- {id: customers, table: core.customers, starting_point: ended, retention_period: 5 years, disposition: erase,
   dependents: {core.orders: erase}, recipients: [crm: {email: email}], after: vacuum}
- {id: letters, table: core.letters, starting_point: ended, retention_period: 5 years, disposition: anonymize,
   columns: {body: suppress}}
- {id: notes, table: core.notes, starting_point: ended, retention_period: 5 years, disposition: erase}",
    );
}

async fn everything(bench: &Bench) -> Vec<Vec<String>> {
    let mut all = Vec::new();
    for table in TABLES {
        all.push(bench.lines(&format!("select * from {table} order by 1")).await);
    }
    all
}

fn disposed(report: &Json) -> Vec<(String, u64)> {
    let rule = |rule: &Json| (rule["rule"].as_str().unwrap().to_owned(), rule["disposed"].as_u64().unwrap());
    let mut disposed: Vec<_> = report["rules"].as_array().unwrap().iter().map(rule).collect();
    disposed.sort();
    disposed
}

fn expected(customers: u64, letters: u64, notes: u64) -> Vec<(String, u64)> {
    [("customers", customers), ("letters", letters), ("notes", notes)]
        .map(|(rule, rows)| (rule.to_owned(), rows))
        .into()
}

async fn a_rehearsal_changes_nothing(mut bench: Bench) {
    company(&mut bench).await;
    let hold = ["hold", "add", "--table", "core.letters", "--key", "2", "--matter", "m", "--reason", "r"];
    bench.sunset(&[&hold[..], &["--owner", "o", "--review", "2027-01-01"]].concat()).expect(0);
    let (before, ledger) = (everything(&bench).await, bench.sunset(&["ledger", "export"]).expect(0).out);
    for (now, rows) in [("2026-11-22", expected(2, 1, 3)), ("2031-07-01", expected(3, 2, 200))] {
        for workers in ["1", "4"] {
            let words = ["run", "--rehearsal", "--now", now, "--workers", workers, "--format", "json"];
            let call = bench.sunset(&words).expect(0);
            let report: Json = serde_json::from_str(&call.out).unwrap();
            assert_eq!(disposed(&report), rows, "{now}: {call:?}");
            assert!(report["rehearsal"].as_array().unwrap().iter().any(|note| note.as_str().unwrap().contains("crm")));
            assert!(report.get("checkpoint").is_none());
            assert_eq!(report["rules"][0]["dependents"].as_object().unwrap().len(), 1, "{call:?}");
        }
        let text = bench.sunset(&["run", "--rehearsal", "--now", now]).expect(0).out;
        assert!(text.starts_with("rehearsal for") && text.contains("all of them are still there"), "{text}");
        assert_eq!(everything(&bench).await, before, "{now}");
    }
    assert_eq!(bench.sunset(&["ledger", "export"]).expect(0).out.lines().count(), ledger.lines().count());
    assert_eq!(fs::read_dir(bench.path("tmp")).unwrap().count(), 0, "copies are left");
    // and a run is none the wiser
    bench.sunset(&["run", "--now", "2031-07-01"]).expect(3);
    bench.sunset(&["run", "--rule", "notes", "--now", "2026-11-22"]).expect(0);
    assert_eq!(bench.count("select count(*) from notes").await, 197);
}

/// A job that has never run has no store, and gets none.
async fn a_rehearsal_leaves_no_store(mut bench: Bench) {
    company(&mut bench).await;
    bench.sunset(&["run", "--rehearsal", "--now", "2031-07-01"]).expect(0);
    assert!(!bench.path("state").exists());
    let path = bench.path("plan.json");
    let path = path.to_str().unwrap();
    bench.sunset(&["plan", "--now", "2031-07-01", "--out", path]).expect(0);
    bench.sunset(&["run", "--plan", path]).expect(3);
    bench.sunset(&["run", "--plan", path, "--rehearsal"]).expect(0);
    assert_eq!(bench.count("select count(*) from notes").await, 200);
}

on_every_engine!(a_rehearsal_changes_nothing, a_rehearsal_leaves_no_store);
