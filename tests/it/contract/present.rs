//! The present: a run takes no future time for it.

use crate::support::bench::{Bench, on_every_engine};

/// What the program takes for its machine's clock in these tests.
const PRESENT: (&str, &str) = ("SUNSET_PRESENT", "2026-11-22T03:00:00Z");

async fn letters(bench: &mut Bench) {
    bench.variables.push((PRESENT.0, PRESENT.1.to_owned()));
    bench
        .script(
            "create table letters (id {int} primary key, sent_on {date});
             insert into letters values (1, '2001-01-01'), (2, '2026-11-01')",
        )
        .await;
    bench.rules(
        "- {id: letters, table: core.letters, starting_point: sent_on, retention_period: 5 years, disposition: erase}",
    );
}

async fn a_run_of_the_future_is_refused(mut bench: Bench) {
    letters(&mut bench).await;
    for now in ["2099-01-01", "2031-11-02T00:00:00+09:00", "2026-11-22T12:02:00+09:00", "9999-12-30"] {
        for words in [&["run"][..], &["run", "--rule", "letters"], &["serve", "--listen", "127.0.0.1:0"]] {
            let call = bench.sunset(&[&["--now", now], words].concat()).expect(3);
            assert!(call.err.contains("future") && call.err.contains("2026-11-22"), "{call:?}");
        }
    }
    assert_eq!(bench.list("select id from letters order by id").await, "1 2");
    assert!(!bench.path("state").exists(), "a store was made");
    // clocks differ by seconds
    bench.sunset(&["run", "--now", "2026-11-22T12:00:30+09:00"]).expect(0);
    assert_eq!(bench.list("select id from letters").await, "2");
}

/// A plan for a later day is a question, and an answer to it is no permission.
async fn a_reviewed_plan_of_the_future_is_refused(mut bench: Bench) {
    letters(&mut bench).await;
    let path = bench.path("plan.json");
    let path = path.to_str().unwrap();
    let plan = bench.sunset(&["plan", "--now", "2031-11-02", "--out", path, "--format", "json"]).expect(0);
    let plan: serde_json::Value = serde_json::from_str(&plan.out).unwrap();
    assert_eq!(plan["steps"][0]["counts"]["due"], 2);
    bench.sunset(&["run", "--plan", path]).expect(3);
    assert_eq!(bench.list("select id from letters order by id").await, "1 2");
    bench.sunset(&["run", "--plan", path, "--now", "2026-11-22"]).expect(2);
}

on_every_engine!(a_run_of_the_future_is_refused, a_reviewed_plan_of_the_future_is_refused);
