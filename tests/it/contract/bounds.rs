//! Limits and reviewed plans bind the run itself: rows become due between plan and run.

use crate::support::{
    bench::{Bench, Call, Report, on_every_engine},
    stopped::changed_at,
};
use std::collections::BTreeMap;

/// Three rows of `second` become due when `first` has disposed of its only row, which the plan did not count.
async fn tables(bench: &Bench) {
    bench
        .script(
            "create table a (id {int} primary key, ended {date});
             create table b (id {int} primary key, ended {date});
             insert into a values (1, '2000-01-01');
             insert into b values (1, '2000-01-01'), (2, '2026-01-01'), (3, '2026-01-01'), (4, '2026-01-01'),
               (5, '2026-01-01')",
        )
        .await;
}

/// A run in which that happens.
async fn moving(bench: &Bench, arguments: &[&str]) -> Call {
    changed_at(bench, "after_commit", arguments, "update b set ended = '2000-01-01' where id < 5").await
}

async fn moving_run(bench: &Bench, code: i32) -> Report {
    let call = moving(bench, &["run", "--now", bench.now, "--format", "json"]).await.expect(code);
    Report(serde_json::from_str(&call.out).unwrap())
}

fn rules(bench: &Bench, limits: &str) {
    let rule = |id: &str, table: &str, more: &str| {
        format!(
            "- {{id: {id}, table: core.{table}, starting_point: ended, retention_period: 5 years, disposition: erase{more}}}\n"
        )
    };
    bench.rules(&(rule("first", "a", "") + &rule("second", "b", limits)));
}

async fn limits_bind_the_run(bench: Bench) {
    tables(&bench).await;
    for (round, limits) in ["{max_rows: 3}", "{max_share: 60%}"].into_iter().enumerate() {
        rules(&bench, &format!(", limits: {limits}"));
        let report = if round == 0 { moving_run(&bench, 3).await } else { bench.run(3) };
        if report.rule("first")["disposed"] == 0 {
            // the first round made the rows due: now the plan counts them
            assert_eq!(report.rule("second")["result"], "refused");
        }
        assert_eq!(report.line("second"), "refused 0 over_limits=4", "{limits}");
        assert_eq!(bench.count("select count(*) from b").await, 5, "{limits}");
    }
    rules(&bench, ", limits: {max_rows: 4}");
    assert_eq!(bench.run_to_the_end().line("second"), "done 4");
}

/// A run does not chase rows that become due while it is at work.
async fn rows_that_become_due_meanwhile_wait(bench: Bench) {
    tables(&bench).await;
    bench.settings("time_zone: Asia/Tokyo\npace: {batch_rows: 1}");
    rules(&bench, ", limits: {max_rows: 3}");
    assert_eq!(moving_run(&bench, 75).await.line("second"), "temporary 1 backlog=3");
    assert_eq!(bench.count("select count(*) from b").await, 4);
    assert!(bench.evidence().is_settled());
    assert_eq!(bench.run(0).line("second"), "done 3");
}

async fn a_reviewed_plan_binds_the_run(bench: Bench) {
    tables(&bench).await;
    rules(&bench, "");
    let path = bench.path("plan.json");
    let path = path.to_str().unwrap();
    bench.sunset(&["plan", "--now", bench.now, "--out", path]).expect(0);
    let call = moving(&bench, &["run", "--plan", path, "--format", "json"]).await.expect(3);
    assert!(call.out.contains("1 were reviewed"), "{call:?}");
    assert_eq!(bench.list("select count(*) from a").await, "0");
    assert_eq!(bench.count("select count(*) from b").await, 5);
}

/// The run's own limit counts everything, whatever rule it is.
async fn the_limit_of_the_run_binds_it(bench: Bench) {
    tables(&bench).await;
    rules(&bench, "");
    bench.settings("time_zone: Asia/Tokyo\nlimits: {max_rows: 4}");
    let report = moving_run(&bench, 3).await;
    assert_eq!([report.line("first"), report.line("second")], ["done 1", "refused 0 over_limits=4"]);
    bench.settings("time_zone: Asia/Tokyo\nlimits: {max_rows: 5}");
    bench.run_to_the_end();
}

/// Processes of a group share what a limit allows.
async fn a_group_shares_its_limits(bench: Bench) {
    tables(&bench).await;
    rules(&bench, ", limits: {max_rows: 4}");
    let night = ["run", "--now", bench.now, "--group", "night"];
    let run = |code| bench.sunset(&night).expect(code);
    moving(&bench, &night).await.expect(0);
    assert_eq!(bench.count("select count(*) from b").await, 1);
    bench.script("insert into b values (6, '2000-01-01')").await;
    run(3);
    assert_eq!(bench.count("select count(*) from b").await, 2);
    bench.sunset(&["run", "--now", bench.now, "--group", "another-night"]).expect(0);
    assert_eq!(bench.count("select count(*) from b").await, 1);
}

/// Rows by batch, dependents included.
fn batches(bench: &Bench) -> BTreeMap<(String, u64), u64> {
    let evidence = bench.evidence();
    let mut sums = BTreeMap::new();
    for intent in evidence.committed() {
        let batch = (intent["rule"].as_str().unwrap().to_owned(), intent["batch"].as_u64().unwrap());
        *sums.entry(batch).or_default() += intent["rows"].as_u64().unwrap();
    }
    sums
}

async fn no_transaction_is_larger_than_a_batch_may_be(bench: Bench) {
    bench
        .script(
            "create table customers (id {int} primary key, name {text}, ended {date});
             create table orders (id {int} primary key, customer_id {int},
               foreign key (customer_id) references customers (id));
             create table visits (id {int} primary key, ended {date});
             create table logs (id {int} primary key, name {text}, ended {date})",
        )
        .await;
    for id in 1..=30 {
        bench
            .script(&format!(
                "insert into customers values ({id}, 'n', '2000-01-01');
                 insert into visits values ({id}, '2000-01-01'); insert into logs values ({id}, 'n', '2000-01-01')"
            ))
            .await;
        for order in 0..id % 5 {
            bench.script(&format!("insert into orders values ({}, {id})", id * 10 + order)).await;
        }
    }
    bench
        .script("insert into orders values (1, 30), (2, 30), (3, 30), (4, 30), (5, 30), (6, 30), (7, 30), (8, 30)")
        .await;
    bench.settings("time_zone: Asia/Tokyo\npace: {batch_rows: 7}");
    bench.rules(
        "
- {id: customers, table: core.customers, starting_point: ended, retention_period: 5 years, disposition: erase,
   dependents: {core.orders: erase}}
- {id: visits, table: core.visits, starting_point: ended, retention_period: 5 years, disposition: erase}
- {id: logs, table: core.logs, starting_point: ended, retention_period: 5 years, disposition: anonymize,
   columns: {name: suppress}}",
    );
    bench.run_to_the_end();
    let batches = batches(&bench);
    let large: Vec<_> = batches.iter().filter(|(_, rows)| **rows > 7).collect();
    // one customer with eight orders is one transaction, or none
    assert_eq!(large, [(&("customers".to_owned(), large[0].0.1), &9)]);
    assert_eq!(batches.values().sum::<u64>(), 90 + 60 + 8);
}

/// A rule that has not disposed of anything yet may not take most of a big table, unless somebody says so.
async fn a_first_run_is_careful(bench: Bench) {
    bench.script("create table t (id {int} primary key, ended {date})").await;
    bench
        .script(
            "create table digit (n {int}); insert into digit values (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)",
        )
        .await;
    let number = "a.n + 10 * b.n + 100 * c.n + 1000 * d.n + 10000 * e.n";
    let old = format!(
        "insert into t select {number}, '2000-01-01' from digit a, digit b, digit c, digit d, digit e where e.n < 9"
    );
    let new = format!(
        "insert into t select {number}, '2026-01-01' from digit a, digit b, digit c, digit d, digit e where e.n = 9"
    );
    bench.script(&format!("{old}; {new}")).await;
    let rule = "- {id: t, table: core.t, starting_point: ended, retention_period: 5 years, disposition: erase MORE}";
    bench.rules(&rule.replace(" MORE", ""));
    let report = bench.run(3);
    assert_eq!(report.line("t"), "refused 0 over_limits=90000");
    assert!(report.rule("t")["message"].as_str().unwrap().contains("first run"), "{report:?}");
    // nothing is any different the next night
    bench.run(3);
    // a person has looked
    let path = bench.path("plan.json");
    let path = path.to_str().unwrap();
    bench.sunset(&["plan", "--now", bench.now, "--out", path]).expect(0);
    bench.sunset(&["run", "--plan", path]).expect(0);
    assert_eq!(bench.count("select count(*) from t").await, 10_000);
    // and from then on the rule is known
    bench.script(&old).await;
    bench.run(0);
    bench.script(&old).await;
    bench.rules(&rule.replace("id: t", "id: other").replace(" MORE", ", limits: {max_share: 100%}"));
    bench.run(0);
    assert_eq!(bench.count("select count(*) from t").await, 10_000);
}

on_every_engine!(
    limits_bind_the_run,
    rows_that_become_due_meanwhile_wait,
    a_reviewed_plan_binds_the_run,
    the_limit_of_the_run_binds_it,
    a_group_shares_its_limits,
    no_transaction_is_larger_than_a_batch_may_be,
    a_first_run_is_careful,
);
