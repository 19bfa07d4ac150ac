//! Daily quotas: what one run has used, the next run of that day does not have.

use super::run::{is_silent, sandbox};
use crate::{
    ledger::on_both,
    support::bench::{Bench, Call, on_every_engine},
};
use jiff::Timestamp;
use serde_json::json;
use std::{fs, thread, time::Duration};
use sunset::{
    sandbox::{Fault, Sandbox},
    store::Store,
};

const GOOGLE: &str = "google_analytics";

async fn company(bench: &Bench, recipient: &str, secret: &str, persons: u32) {
    fs::write(bench.path("secret"), secret).unwrap();
    bench.settings(&format!("time_zone: Asia/Tokyo\nrecipients:\n  {recipient}\n"));
    bench.script("create table t (id {int} primary key, at_day {date}, email {text})").await;
    let rows: Vec<_> = (1..=persons).map(|id| format!("({id}, '2001-01-01', '{id}planted@example.com')")).collect();
    bench.script(&format!("insert into t values {}", rows.join(", "))).await;
    let name = recipient.split(':').next().unwrap();
    bench.rules(&format!(
        "- {{id: t, table: core.t, starting_point: at_day, retention_period: 5 years, disposition: erase, recipients: \
         [{name}: {{email: email}}]}}"
    ));
}

fn deletions(sandbox: &Sandbox) -> u64 {
    sandbox.calls(GOOGLE).get("POST /v1alpha/properties/{property}:submitUserDeletion").copied().unwrap_or(0)
}

fn run(bench: &Bench, now: &str, code: i32) -> Call {
    bench.sunset(&["run", "--now", now]).expect(code)
}

/// The quota's day is California's: two runs of one such day share it, whatever the date in Tokyo.
async fn a_quota_is_used_over_several_nights(bench: Bench) {
    let sandbox = sandbox().await;
    let url = sandbox.url(GOOGLE);
    let google = format!(
        "{GOOGLE}: {{url: \"{url}\", token_url: \"{url}/token\", client_id: someone, client_secret: \"${{file:secret}}\", \
         refresh_token: \"${{file:secret}}\", property: \"123456789\", rate: 3 per day}}"
    );
    company(&bench, &google, "1//sk_test_planted", 8).await;
    let plan = bench.sunset(&["plan", "--now", "2026-11-22T03:00:00"]).expect(0);
    assert!(plan.out.contains("8 persons in 8 calls"), "{}", plan.out);
    assert!(plan.out.contains("at least 3 nights at 3 calls a day"), "{}", plan.out);
    let planned = &bench.plan()["steps"][0]["recipients"][0];
    assert_eq!(planned["quota"], json!({"calls": 3, "days": 3}));

    let first = run(&bench, "2026-11-22T03:00:00", 75);
    assert!(
        first.out.contains("5 google analytics") || first.out.contains("waiting for google analytics"),
        "{}",
        first.out
    );
    let words = "its 3 calls of this day are used up; the next day begins at 2026-11-22T08:00:00Z";
    assert!(first.out.contains(words), "{}", first.out);
    assert_eq!((deletions(&sandbox), bench.count("select count(*) from t").await), (3, 5));
    // Afternoon in Tokyo, and still the day before in California.
    let second = run(&bench, "2026-11-22T16:00:00", 75);
    assert_eq!((deletions(&sandbox), bench.count("select count(*) from t").await), (3, 5));
    let status = bench.sunset(&["status"]).expect(0);
    assert!(status.out.contains("its 3 calls of this day are used up"), "{}", status.out);
    let third = run(&bench, "2026-11-22T18:00:00", 75);
    assert_eq!((deletions(&sandbox), bench.count("select count(*) from t").await), (6, 2));
    let fourth = run(&bench, "2026-11-23T18:00:00", 0);
    assert_eq!((deletions(&sandbox), bench.count("select count(*) from t").await), (8, 0));
    is_silent(&bench, &[&plan, &first, &second, &third, &fourth, &status]);
}

/// Killed between two calls, with a block of calls taken: the day's other runs never go over the quota.
async fn a_killed_run_has_used_what_it_took(bench: Bench) {
    let sandbox = sandbox().await;
    let delete = "delete: {method: DELETE, path: \"/v1/people/{email}\", gone: [404]}";
    let crm = format!(
        "crm: {{kind: http, url: \"{}\", auth: {{bearer: \"${{file:secret}}\"}}, rate: 200 per day, {delete}}}",
        sandbox.url("crm")
    );
    company(&bench, &crm, "crm_planted", 250).await;
    let calls = || sandbox.calls("crm").get("DELETE /v1/people/{email}").copied().unwrap_or(0);
    sandbox.fault(Fault { vendor: "crm".into(), times: Some(40), delay_milliseconds: 60_000, ..Fault::default() });
    let mut killed = bench.start(&["run", "--now", bench.now]);
    for _ in 0..1000 {
        if sandbox.arrivals("crm").len() >= 5 {
            break;
        }
        thread::sleep(Duration::from_millis(10));
    }
    let lost = sandbox.arrivals("crm").len() as u64;
    killed.kill().unwrap();
    killed.wait().unwrap();
    sandbox.clear_faults();
    run(&bench, bench.now, 75);
    let asked = calls();
    assert!(asked <= 200 - lost && asked >= 200 - lost - 20, "{asked} after {lost}");
    run(&bench, bench.now, 75);
    assert_eq!(calls(), asked);
    // what the killed run had sent may have been read, and counted, after the kill: nobody heard those answers
    let gone = 250 - bench.count("select count(*) from t").await;
    assert!(gone <= asked && gone + 8 >= asked, "{gone} of {asked}");
}

/// Whoever takes first has it, and nobody gets more than there is.
#[tokio::test]
async fn runs_at_once_share_a_day() {
    on_both(|settings| async move {
        let day: Timestamp = "2026-11-22T08:00:00Z".parse().unwrap();
        drop(Store::open(&settings).await.unwrap());
        let takers = (0..4).map(|_| {
            let settings = settings.clone();
            tokio::spawn(async move {
                let mut store = Store::open_existing(&settings).await.unwrap();
                let mut taken = 0;
                loop {
                    match store.take_calls("shop", day, 100, 7).await.unwrap() {
                        0 => return taken,
                        calls => taken += calls,
                    }
                }
            })
        });
        let mut sum = 0;
        for taker in takers.collect::<Vec<_>>() {
            sum += taker.await.unwrap();
        }
        assert_eq!(sum, 100);
        let mut store = Store::open_existing(&settings).await.unwrap();
        store.give_calls_back("shop", day, 5).await.unwrap();
        assert_eq!(store.take_calls("shop", day, 100, 7).await.unwrap(), 5);
        assert_eq!(store.take_calls("other", day, 100, 7).await.unwrap(), 7);
        let next = day + jiff::SignedDuration::from_hours(24);
        assert_eq!(store.take_calls("shop", next, 100, 7).await.unwrap(), 7);
        assert_eq!(store.calls("shop", next).await.unwrap(), 7);
    })
    .await;
}

on_every_engine!(a_quota_is_used_over_several_nights, a_killed_run_has_used_what_it_took);
