//! A run that is killed while it settles what an earlier one left open: the ledger stays true, and says each end once.

use crate::support::bench::{Bench, on_every_engine};
use std::collections::BTreeMap;

const RULES: &str = "
- {id: visits, table: core.visits, starting_point: seen_on, retention_period: 5 years, disposition: erase}
- {id: people, table: core.people, starting_point: left_on, retention_period: 5 years, disposition: anonymize,
   columns: {email: suppress}}
- {id: leads, table: core.leads, starting_point: met_on, retention_period: 5 years, disposition: erase,
   dependents: {core.calls: erase}}";

async fn company(bench: &Bench) {
    bench.settings("time_zone: Asia/Tokyo");
    bench
        .script(
            "create table visits (id {int} primary key, seen_on {date});
             create table people (id {int} primary key, left_on {date}, email {text});
             create table leads (id {int} primary key, met_on {date});
             create table calls (id {int} primary key, lead {int} not null, foreign key (lead) references leads (id));
             create index calls_lead on calls (lead)",
        )
        .await;
    bench.rules(RULES);
    bench.run(0);
}

/// Ten rows of each table that are due, with keys that no row had before.
async fn refill(bench: &Bench, round: u64) {
    let rows = |row: &dyn Fn(u64) -> String| (round * 10 + 1..=round * 10 + 10).map(row).collect::<Vec<_>>().join(", ");
    let dated = rows(&|id| format!("({id}, '2001-01-01')"));
    bench
        .script(&format!(
            "insert into visits values {dated}; insert into leads values {dated};
             insert into calls values {}; insert into people values {}",
            rows(&|id| format!("({id}, {id})")),
            rows(&|id| format!("({id}, '2001-01-01', 'person{id}@example.com')")),
        ))
        .await;
}

async fn with_batches(bench: &Bench) {
    let printed = bench.sunset(&["grants", "--user", "sunset", "--batches"]).expect(0).out;
    let create = printed.lines().find(|line| line.starts_with("create table")).unwrap();
    bench.script(create.split(" -- ").next().unwrap()).await;
}

/// Runs, and dies at this moment.
fn die(bench: &Bench, moment: &str, rule: &str) -> i32 {
    let failpoint = format!("{moment}:1");
    bench.sunset_with(&["run", "--now", bench.now, "--rule", rule], &[("SUNSET_FAILPOINT", &failpoint)]).code
}

async fn a_second_kill(bench: Bench) {
    killed_again(&bench).await;
}

async fn a_second_kill_with_the_table_of_batches(bench: Bench) {
    company(&bench).await;
    with_batches(&bench).await;
    rounds(&bench).await;
}

async fn killed_again(bench: &Bench) {
    company(bench).await;
    rounds(bench).await;
}

async fn rounds(bench: &Bench) {
    let mut round = 0;
    for rule in ["visits", "people", "leads"] {
        for first in ["after_intent", "after_commit"] {
            for again in [&["before_recovery"][..], &["after_recovery"], &["before_recovery", "after_recovery"]] {
                refill(bench, round).await;
                round += 1;
                let before = bench.evidence().entries.len();
                assert_eq!(die(bench, first, rule), -1, "{rule} {first}");
                for moment in again {
                    assert_eq!(die(bench, moment, rule), -1, "{rule} {first} {moment}");
                }
                bench.finish();
                let case = format!("{rule} {first} {again:?}");
                told_once(bench, before, rule, first == "after_commit", &case);
                let left = "select (select count(*) from visits) + (select count(*) from leads) + (select count(*) from \
                            calls) + (select count(*) from people where email is not null)";
                assert_eq!(bench.count(left).await, 0, "{case}");
            }
        }
    }
    bench.sunset(&["ledger", "verify"]).expect(0);
}

/// Each batch since then came to one end; that of the killed run to the one that its rows had.
fn told_once(bench: &Bench, before: usize, rule: &str, committed: bool, case: &str) {
    let evidence = bench.evidence();
    assert!(evidence.is_settled(), "{case}");
    let mut ends: BTreeMap<u64, u64> = BTreeMap::new();
    for outcome in evidence.events("outcome") {
        *ends.entry(outcome["intent"].as_u64().unwrap()).or_default() += 1;
    }
    assert!(ends.values().all(|count| *count == 1), "an end is told twice: {case}");
    let killed = &evidence.entries[before]["run"];
    let recovered: Vec<_> = evidence
        .events("outcome")
        .into_iter()
        .filter(|outcome| {
            let intent = usize::try_from(outcome["intent"].as_u64().unwrap()).unwrap();
            evidence.entries[intent - 1]["run"] == *killed && outcome["settled_by"] == "recovery"
        })
        .collect();
    assert!(!recovered.is_empty(), "nothing was left open: {case}");
    let wanted = if committed { "committed" } else { "rolled_back" };
    assert!(recovered.iter().all(|outcome| outcome["result"] == wanted), "{case}: {recovered:?}");
    let rows: u64 = evidence
        .intents
        .iter()
        .filter(|(seq, intent)| **seq > before as u64 && intent["rule"] == rule && intent["along_with"].is_null())
        .filter(|(seq, _)| {
            evidence.events("outcome").iter().any(|end| end["intent"] == **seq && end["result"] == "committed")
        })
        .map(|(_, intent)| intent["rows"].as_u64().unwrap())
        .sum();
    assert_eq!(rows, 10, "rows are told twice, or not at all: {case}");
}

on_every_engine!(a_second_kill, a_second_kill_with_the_table_of_batches);
