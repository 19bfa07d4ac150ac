//! Requests of persons, over three databases of three engines: what a rule lets go goes, everything else stays, nobody else
//! loses a row, and nothing names the person.

use crate::{
    subjects::{Company, plain},
    support::bench::{Bench, Call, on_every_engine},
};
use std::fs;
use sunset::catalog::Engine;

mod answers;
mod certificates;
mod others;
mod safety;
mod whose;

/// Rows of nobody are due, and all of them may go when their person asks.
pub const RULES: &str = "
- {id: customers, table: core.customers, starting_point: left_on, retention_period: 5 years, disposition: erase, on_request: now,
   dependents: {core.contracts: erase, core.plans: keep}}
- {id: profiles, table: web.marketing_profiles, starting_point: seen_on, retention_period: 1 year, disposition: erase,
   on_request: now, dependents: {web.profile_events: keep}}
- {id: events, table: web.profile_events, starting_point: happened_on, retention_period: 6 months, disposition: erase,
   on_request: {act: now}}
- {id: tickets, table: helpdesk.tickets, starting_point: closed_on, retention_period: 3 years, disposition: erase, on_request: now,
   dependents: {helpdesk.messages: erase}}
";

pub const NOT_DUE: &str = "customers 1 2 3 | contracts 10 11 20 30 | plans 1 | marketing_profiles 1 2 3 4 5 | profile_events 10 20 40 \
                       | tickets 1 2 3 4 5 6 | messages 10 20 30 50";

/// Runs do not carry requests out yet, but for tests.
pub fn carries_out(bench: &mut Bench) {
    bench.variables.push(("SUNSET_REQUESTS", "carry_out".to_owned()));
}

#[tokio::test]
async fn requests_are_recorded_and_planned_and_not_carried_out() {
    let mut company = company(Bench::new(Engine::Sqlite).await).await;
    company.core.variables.pop();
    let id = open(&company, "erasure", &["--key", "2"]);
    company.core.sunset(&["request", "plan", &id, "--now", company.core.now]).expect(0);
    let refused = company.core.sunset(&["request", "approve", &id, "--by", "officer"]).expect(3);
    assert!(refused.err.contains("are recorded and planned, and not carried out by this version"), "{}", refused.err);
    company.run(&[]).expect(0);
    assert_eq!(company.left().await, NOT_DUE);
}

/// A company none of whose rows are due.
pub async fn company(core: Bench) -> Company {
    let mut company = Company::of(core).await;
    carries_out(&mut company.core);
    company.fill().await;
    company.core.script("update customers set left_on = '2026-06-01'").await;
    company.web.script("update marketing_profiles set seen_on = '2026-06-01'").await;
    company.web.script("update profile_events set happened_on = '2026-06-01'").await;
    company.helpdesk.script("update tickets set closed_on = '2026-06-01'").await;
    company.core.rules(RULES);
    company
}

/// Opens a request of that kind and gives its number.
pub fn open(company: &Company, kind: &str, who: &[&str]) -> String {
    try_to_open(company, kind, who).expect(0).out.trim().to_owned()
}

pub fn try_to_open(company: &Company, kind: &str, who: &[&str]) -> Call {
    let request = [
        "request",
        "open",
        "--kind",
        kind,
        "--subject",
        "customer",
        "--received",
        "2026-11-20",
        "--reference",
        "2026-D-17",
        "--identified-by",
        "desk@example.com",
        "--identified-how",
        "called back",
        "--now",
        company.core.now,
    ];
    company.core.sunset(&[&request[..], who].concat())
}

pub fn approve(company: &Company, id: &str) {
    let approve = ["request", "approve", id, "--by", "officer@example.com", "--now", company.core.now];
    company.core.sunset(&approve).expect(0);
}

fn names_nobody(company: &Company, texts: &[&str]) {
    let store = String::from_utf8_lossy(&fs::read(company.core.path("state/sunset.db")).unwrap()).to_lowercase();
    let ledger = company.core.sunset(&["ledger", "export"]).expect(0).out;
    for text in texts.iter().copied().chain([store.as_str(), ledger.as_str()]) {
        let text = text.to_lowercase();
        for canary in ["taro", "hanako", "9012345678", "1234-5678", "c-001", "c-002"] {
            assert!(!text.contains(canary), "{canary} is shown: {text}");
        }
    }
}

async fn what_is_asked_for_goes_in_every_database(core: Bench) {
    let company = company(core).await;
    let id = open(&company, "erasure", &["--find", "email= HANAKO@example.com"]);
    let plan = company.core.sunset(&["request", "plan", &id, "--now", company.core.now]).expect(0);
    // nobody has approved it yet
    company.run(&[]).expect(0);
    assert_eq!(company.left().await, NOT_DUE);
    approve(&company, &id);
    let run = company.run(&[]).expect(0);
    assert_eq!(
        company.left().await,
        "customers 1 3 | contracts 10 11 30 | plans 1 | marketing_profiles 1 3 4 5 | profile_events 10 40 | tickets 1 3 4 5 6 \
         | messages 10 30 50"
    );
    assert!(
        run.out.contains("request 1 (2026-D-17): done: 1 by customers, 1 by events, 1 by profiles, 1 by tickets"),
        "{}",
        run.out
    );
    assert!(run.out.contains("nothing is left that goes before its day"), "{}", run.out);
    let again = company.run(&[]).expect(0);
    assert_eq!(again.out.matches("done:").count(), 0, "{}", again.out);
    let listed = company.core.sunset(&["request", "list", "--now", company.core.now]).expect(0).out;
    assert_eq!(listed.trim(), "1  erasure of a customer: 2026-D-17, received 2026-11-20, due 2026-12-20: carried out");
    let shown = company.core.sunset(&["request", "show", &id, "--now", company.core.now]).expect(0).out;
    let close = ["request", "close", &id, "--outcome", "done", "--by", "officer@example.com", "--reason", "answered"];
    company.core.sunset(&close).expect(0);
    names_nobody(&company, &[&plan.out, &run.out, &shown]);
    let evidence = company.core.evidence();
    assert!(evidence.is_settled());
    let served = evidence.events("request_served").len();
    assert_eq!(served, 3, "what was found, what was done before the home row had its turn, and that");
    company.core.sunset(&close).expect(3);
}

/// What another row needs, and what a hold keeps, stays; nobody else's rows go.
async fn what_must_stay_stays(core: Bench) {
    let company = company(core).await;
    company.hold(&["--key", "2"]);
    for who in [&["--key", "1"], &["--key", "2"]] {
        let id = open(&company, "erasure", who);
        approve(&company, &id);
    }
    company.run(&[]).expect(0);
    assert_eq!(
        company.left().await,
        "customers 1 2 3 | contracts 10 11 20 30 | plans 1 | marketing_profiles 2 3 5 | profile_events 20 | tickets 2 5 6 \
         | messages 20 50",
        "customer 1 is needed by a plan that they made, customer 2 is held"
    );
    let shown = company.core.sunset(&["request", "list", "--format", "json", "--now", company.core.now]).expect(0).out;
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown[0]["served"]["customers"]["waiting"], 1);
    assert!(shown[0]["complete_at"].is_string() && shown[1]["complete_at"].is_null(), "{shown}");
    let release = ["hold", "release", "1", "--reason", "settled", "--owner", "legal@example.com"];
    company.core.sunset(&release).expect(0);
    company.core.script("delete from contracts where plan_id = 1; delete from plans").await;
    company.run(&[]).expect(0);
    assert_eq!(
        company.left().await,
        "customers 3 | contracts 30 | plans | marketing_profiles 3 5 | profile_events | tickets 5 6 | messages 50"
    );
    let listed = company.core.sunset(&["request", "list", "--now", company.core.now]).expect(0).out;
    assert_eq!(listed.matches("carried out").count(), 2, "{listed}");
}

on_every_engine!(what_is_asked_for_goes_in_every_database, what_must_stay_stays);
