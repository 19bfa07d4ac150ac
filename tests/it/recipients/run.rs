//! Runs that ask recipients first, on every engine: what goes, what waits and why, and what is asked how often.

use crate::metrics::exposed;
use crate::support::bench::{Bench, Call, on_every_engine, signal};
use serde_json::{Value, json};
use std::{fs, sync::LazyLock, thread, time::Duration};
use sunset::sandbox::{Fault, Sandbox};
use tokio::runtime::Runtime;

/// The tests wait for the program and block; the stand-ins go on answering.
pub static SERVERS: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

pub async fn sandbox() -> Sandbox {
    SERVERS.spawn(Sandbox::start(0, false)).await.unwrap().unwrap()
}

/// A job whose customers are known to Stripe and to a vendor described in YAML.
async fn company(bench: &Bench, sandbox: &Sandbox, crm: &str) {
    fs::write(bench.path("stripe_key"), "sk_test_planted").unwrap();
    fs::write(bench.path("crm_key"), "crm_planted").unwrap();
    bench.settings(&format!(
        "time_zone: Asia/Tokyo\nrecipients:\n  stripe: {{api_key: \"${{file:stripe_key}}\", url: \"{}\"}}\n  crm: {{kind: http, \
         url: \"{}\", auth: {{bearer: \"${{file:crm_key}}\"}}, {crm}}}",
        sandbox.url("stripe"),
        sandbox.url("crm")
    ));
    bench.script("create table t (id {int} primary key, at_day {date}, stripe_id {text}, email {text})").await;
}

const AT_ONCE: &str = "delete: {method: DELETE, path: \"/v1/people/{email}\", gone: [404]}";

const LATER: &str = "delete: {method: POST, path: /v1/deletions, json: {email: \"{email}\", reference: \"{reference}\"}, \
                     success: [202], ticket: /job/id}, poll: {path: \"/v1/jobs/{ticket}\", done: {pointer: /status, is: \
                     [done]}, failed: {pointer: /status, is: [failed]}, every: 1 s}";

fn rule(recipients: &str) -> String {
    format!(
        "- {{id: t, table: core.t, starting_point: at_day, retention_period: 5 years, disposition: erase, recipients: \
         [{recipients}]}}"
    )
}

const STRIPE: &str = "stripe: {customer: stripe_id}";
const CRM: &str = "crm: {email: email}";

/// Planted identifiers that no output may hold.
const PLANTED: [&str; 4] = ["cus_planted", "planted@example.com", "sk_test_planted", "crm_planted"];

/// Three customers, one without identifiers, and one whose time has not come.
async fn customers(bench: &Bench) {
    bench
        .script(
            "insert into t values (1, '2001-01-01', 'cus_planted1', '1planted@example.com'),
             (2, '2001-01-01', 'cus_planted2', '2planted@example.com'),
             (3, '2001-01-01', 'cus_planted3', '3planted@example.com'),
             (4, '2001-01-01', null, ''), (5, '2025-01-01', 'cus_planted5', '5planted@example.com')",
        )
        .await;
}

fn seed(sandbox: &Sandbox) {
    sandbox.seed("stripe", &json!({"customers": ["cus_planted1", "cus_planted2", "cus_planted3", "cus_planted5"]}));
}

fn deletions(sandbox: &Sandbox) -> u64 {
    sandbox.calls("stripe").get("DELETE /v1/customers/{customer}").copied().unwrap_or(0)
}

/// Nothing that the program keeps or says holds an identifier or a secret.
pub fn is_silent(bench: &Bench, calls: &[&Call]) {
    let mut texts: Vec<(String, Vec<u8>)> =
        calls.iter().map(|call| ("an output".to_owned(), format!("{}{}", call.out, call.err).into_bytes())).collect();
    texts.push(("the ledger".to_owned(), bench.sunset(&["ledger", "export"]).expect(0).out.into_bytes()));
    for entry in fs::read_dir(bench.path("state")).unwrap() {
        let path = entry.unwrap().path();
        texts.push((path.display().to_string(), fs::read(&path).unwrap()));
    }
    for (place, text) in texts {
        for planted in PLANTED {
            let found = text.windows(planted.len()).any(|window| window == planted.as_bytes());
            assert!(!found, "{planted} is in {place}");
        }
    }
}

/// Recipients are asked, then the rows go; the ledger says so before and after; nobody is asked twice.
async fn rows_go_when_their_recipients_have_deleted_their_copies(bench: Bench) {
    let sandbox = sandbox().await;
    seed(&sandbox);
    company(&bench, &sandbox, AT_ONCE).await;
    customers(&bench).await;
    bench.rules(&rule(&format!("{STRIPE}, {CRM}")));
    let plan = bench.plan();
    let planned = &plan["steps"][0]["recipients"];
    assert_eq!(planned[0]["sends"], json!({"customer": "stripe_id"}));
    assert_eq!((&planned[0]["subjects"], &planned[0]["require"]), (&json!(4), &json!("E1")));
    assert_eq!(planned[0]["persons"], json!({"to_ask": 3, "served": 0, "waiting": 0}), "one row names nobody");
    assert_eq!(deletions(&sandbox), 0, "a plan asks nobody");
    let run = bench.sunset_with(&["run", "--now", bench.now], &[("SUNSET_LOG", "trace")]).expect(0);
    assert!(run.err.contains("\"called\""), "calls are not in the log: {}", run.err);
    assert_eq!(bench.list("select id from t").await, "5");
    assert_eq!((deletions(&sandbox), sandbox.calls("crm").values().sum::<u64>()), (3, 3));
    let evidence = bench.evidence();
    let asked: Vec<_> =
        evidence.events("asked").into_iter().map(|asked| (&asked["recipient"], &asked["subjects"])).collect();
    assert_eq!(asked, [(&json!("stripe"), &json!(3)), (&json!("crm"), &json!(3))]);
    for (answered, grade) in evidence.events("answered").into_iter().zip(["E1", "E2"]) {
        assert_eq!((&answered["answers"], &answered["grades"]), (&json!({"confirmed": 3}), &json!({grade: 3})));
    }
    assert!(!evidence.events("answered")[0]["request_ids"].as_array().unwrap().is_empty());
    let again = bench.sunset(&["run", "--now", bench.now]).expect(0);
    assert_eq!(deletions(&sandbox), 3);
    let status = bench.sunset(&["status"]).expect(0);
    assert!(status.out.contains("stripe") && status.out.contains("through"), "{status:?}");
    is_silent(&bench, &[&run, &again, &status]);
}

/// Somebody who came back after his row had gone is asked about again.
async fn who_comes_back_is_asked_about_again(bench: Bench) {
    let sandbox = sandbox().await;
    seed(&sandbox);
    company(&bench, &sandbox, AT_ONCE).await;
    bench.rules(&rule(STRIPE));
    bench
        .script("insert into t values (1, '2001-01-01', 'cus_planted1', null), (2, '2001-01-02', 'cus_planted1', null)")
        .await;
    bench.run(0);
    assert_eq!((bench.list("select id from t").await.as_str(), deletions(&sandbox)), ("", 1), "one person, one call");
    bench.script("insert into t values (3, '2001-01-01', 'cus_planted1', null)").await;
    bench.run(0);
    assert_eq!(deletions(&sandbox), 2, "on the same day");
    bench.script("insert into t values (4, '2001-01-01', 'cus_planted1', null)").await;
    bench.sunset(&["run", "--now", "2027-11-22"]).expect(0);
    assert_eq!(deletions(&sandbox), 3);
}

/// A recipient that is down keeps its rows and no others; what was settled meanwhile is not repeated.
async fn a_recipient_that_is_down_keeps_its_rows_alone(bench: Bench) {
    let sandbox = sandbox().await;
    seed(&sandbox);
    company(&bench, &sandbox, AT_ONCE).await;
    customers(&bench).await;
    bench.script("create table other (id {int} primary key, at_day {date})").await;
    bench.script("insert into other values (1, '2001-01-01')").await;
    bench.rules(&format!(
        "{}\n- {{id: other, table: core.other, starting_point: at_day, retention_period: 5 years, disposition: erase}}",
        rule(&format!("{STRIPE}, {CRM}"))
    ));
    let down = Fault { vendor: "crm".to_owned(), status: Some(503), times: Some(1000), ..Fault::default() };
    sandbox.fault(down);
    let report = bench.run(75);
    assert_eq!(report.rule("t")["remaining"], json!({"waiting_for_crm": 3}));
    assert_eq!(report.rule("other")["disposed"], 1);
    assert_eq!(bench.list("select id from t order by id").await, "1 2 3 5", "only the one whom crm does not know");
    assert_eq!(deletions(&sandbox), 3);
    // the stand-in is up again
    let up = self::sandbox().await;
    company_again(&bench, &sandbox, &up);
    bench.run(0);
    assert_eq!(bench.list("select id from t").await, "5");
    assert_eq!(deletions(&sandbox), 3, "Stripe had answered");
}

/// The same settings with another stand-in for the vendor.
fn company_again(bench: &Bench, from: &Sandbox, to: &Sandbox) {
    let settings = fs::read_to_string(bench.path("sunset.yaml")).unwrap();
    fs::write(bench.path("sunset.yaml"), settings.replace(&from.url("crm"), &to.url("crm"))).unwrap();
}

/// Plan, status and `why` tell who is asked, who is served and who is waited for, and never who that is.
async fn everybody_can_see_how_recipients_stand(bench: Bench) {
    let sandbox = sandbox().await;
    seed(&sandbox);
    company(&bench, &sandbox, LATER).await;
    customers(&bench).await;
    // Two rows of one person.
    bench.script("insert into t values (6, '2021-11-10', 'cus_planted1', '1planted@example.com')").await;
    bench.rules(&rule(&format!("{STRIPE}, crm: {{email: email, require: E1, deadline: 30 days}}")));
    let why = |key: &str, now: &str| bench.sunset(&["why", "core.t", key, "--now", now]).expect(0);
    assert!(why("1", bench.now).out.contains("crm: not asked yet; the rule asks for E1"));
    bench.run(0);
    let planned = bench.plan()["steps"][0]["recipients"].clone();
    assert_eq!(planned[0]["persons"], json!({"to_ask": 0, "served": 3, "waiting": 0}));
    assert_eq!(planned[1]["persons"], json!({"to_ask": 0, "served": 0, "waiting": 3}));
    assert_eq!((&planned[1]["subjects"], &planned[1]["calls"]), (&json!(4), &json!(0)), "row 4 went");
    let plan = bench.sunset(&["plan", "--now", bench.now]).expect(0);
    assert!(plan.out.contains("stripe: 0 persons in 0 calls"), "{}", plan.out);
    assert!(plan.out.contains("3 persons asked and served before"), "{}", plan.out);
    assert!(plan.out.contains("3 persons asked and waited for before"), "{}", plan.out);
    // A newcomer is asked about; whoever was refused would be, too.
    bench.script("insert into t values (7, '2001-01-01', 'cus_planted7', '7planted@example.com')").await;
    assert_eq!(bench.plan()["steps"][0]["recipients"][1]["persons"], json!({"to_ask": 1, "served": 0, "waiting": 3}));

    let why = why("1", "2026-11-22T01:00:00");
    for words in [
        "recipient       stripe: confirmed on 2026-11-22 (E1): served",
        "recipient       crm: accepted on 2026-11-22 (E2); the rule asks for E1; looked at again after 2026-11-22 00:00",
    ] {
        assert!(why.out.contains(words), "{}", why.out);
    }
    let call = bench.sunset(&["why", "core.t", "1", "--now", bench.now, "--format", "json"]).expect(0);
    let json: Value = serde_json::from_str(&call.out).unwrap();
    let recipients = &json["rules"][0]["recipients"];
    assert_eq!((&recipients[0]["state"], &recipients[0]["is_served"]), (&json!("confirmed"), &json!(true)));
    assert_eq!((&recipients[1]["grade"], &recipients[1]["is_served"]), (&json!("E2"), &json!(false)));
    assert_eq!(bench.list("select id from t where id = 4").await, "");

    let status = bench.sunset(&["status", "--format", "json"]).expect(0);
    let json: Value = serde_json::from_str(&status.out).unwrap();
    let crm = json["recipients"].as_array().unwrap().iter().find(|known| known["recipient"] == "crm").unwrap();
    assert_eq!((&crm["persons"], &crm["pending"], &crm["open"]), (&json!({"accepted": 3}), &json!(3), &json!(0)));
    assert_eq!(crm["rows"], json!({"t": {"rows": 4, "past_deadline": 0}}));
    assert_eq!(crm["waiting_since"], "2026-11-21T15:00:00Z");
    let text = bench.sunset(&["status"]).expect(0);
    let line = text.out.lines().find(|line| line.trim_start().starts_with("crm")).unwrap();
    let cells: Vec<_> = line.split_whitespace().collect();
    assert_eq!(cells, ["crm", "0", "3", "0", "2026-11-22", "00:00:00", "4", "0", "0"]);
    is_silent(&bench, &[&plan, &why, &call, &status, &text]);
}

/// A refusal is a matter for a person: exit code 4, and what was said.
async fn a_refusal_is_told(bench: Bench) {
    let sandbox = sandbox().await;
    company(&bench, &sandbox, AT_ONCE).await;
    customers(&bench).await;
    fs::write(bench.path("crm_key"), "wrong_planted").unwrap();
    bench.rules(&rule(CRM));
    let report = bench.run(4);
    assert_eq!(report.rule("t")["remaining"], json!({"waiting_for_crm": 3}));
    let message = report.rule("t")["message"].as_str().unwrap();
    assert!(message.contains("3 refused") && message.contains("401"), "{message}");
    let checked = bench.sunset(&["plan", "--now", bench.now, "--check-recipients"]);
    assert_eq!(bench.list("select id from t order by id").await, "1 2 3 5");
    is_silent(&bench, &[&checked]);
}

/// Accepted work is polled on later runs; a rule may be content with acceptance.
async fn accepted_work_is_polled(bench: Bench) {
    let sandbox = sandbox().await;
    company(&bench, &sandbox, LATER).await;
    customers(&bench).await;
    bench.rules(&rule("crm: {email: email, require: E1}"));
    let report = bench.run(0);
    assert_eq!(report.rule("t")["result"], "explained_rest");
    assert_eq!(report.rule("t")["remaining"], json!({"waiting_for_crm": 3}));
    let posts = || sandbox.calls("crm").get("POST /v1/deletions").copied().unwrap_or(0);
    assert_eq!(posts(), 3);
    bench.sunset(&["run", "--now", "2026-11-23"]).expect(0);
    assert_eq!(bench.list("select id from t order by id").await, "1 2 3 5", "the vendor is still at it");
    bench.sunset(&["run", "--now", "2026-11-24"]).expect(0);
    assert_eq!((bench.list("select id from t").await.as_str(), posts()), ("5", 3));
    assert!(bench.evidence().is_settled());
}

/// Who was asked, what is pending, what waits and what waits too long, as metrics.
#[tokio::test]
async fn metrics_tell_what_recipients_still_have_to_do() {
    let (bench, sandbox) = (Bench::new(sunset::catalog::Engine::Sqlite).await, sandbox().await);
    company(&bench, &sandbox, LATER).await;
    customers(&bench).await;
    bench.rules(&rule("crm: {email: email, require: E1, deadline: 30 days}"));
    let told = exposed(&bench, &["run", "--now", "2026-10-01"], 0);
    assert_eq!(told.count("sunset_recipient_calls_total{recipient=\"crm\",outcome=\"accepted\"}"), 3);
    assert_eq!(told.count("sunset_recipient_calls_total{recipient=\"stripe\",outcome=\"accepted\"}"), 0);
    assert_eq!(told.count("sunset_recipient_pending{recipient=\"crm\"}"), 3);
    assert_eq!(told.count("sunset_recipient_waiting_rows{recipient=\"crm\"}"), 3);
    assert_eq!(told.count("sunset_recipient_past_deadline{recipient=\"crm\"}"), 0);
    // the vendor is still at it, and then done: polls are calls too
    let told = exposed(&bench, &["run", "--now", "2026-11-23"], 4);
    assert_eq!(told.count("sunset_recipient_past_deadline{recipient=\"crm\"}"), 3);
    let told = exposed(&bench, &["run", "--now", "2026-11-24"], 0);
    assert_eq!(bench.list("select id from t").await, "5");
    assert_eq!(told.count("sunset_recipient_calls_total{recipient=\"crm\",outcome=\"confirmed\"}"), 3);
    for none in ["pending", "waiting_rows", "past_deadline"] {
        assert_eq!(told.count(&format!("sunset_recipient_{none}{{recipient=\"crm\"}}")), 0, "{none}");
    }
}

/// Work that the recipient has forgotten is asked for anew.
async fn forgotten_work_is_asked_for_anew(bench: Bench) {
    let (first, second) = (sandbox().await, sandbox().await);
    company(&bench, &first, LATER).await;
    customers(&bench).await;
    bench.rules(&rule("crm: {email: email, require: E1}"));
    bench.run(0);
    company_again(&bench, &first, &second);
    let mut days = (23..=28).map(|day| format!("2026-11-{day}"));
    let gone = days.find(|day| {
        let call = bench.sunset(&["run", "--now", day]);
        assert!([0, 4, 75].contains(&call.code), "{call:?}");
        second.calls("crm").get("POST /v1/deletions").is_some_and(|posts| *posts == 3)
    });
    assert!(gone.is_some(), "tickets that nobody knows are polled for ever: {:?}", second.calls("crm"));
}

async fn acceptance_may_be_enough(bench: Bench) {
    let sandbox = sandbox().await;
    company(&bench, &sandbox, LATER).await;
    customers(&bench).await;
    bench.rules(&rule("crm: {email: email, require: E2}"));
    bench.run(0);
    assert_eq!(bench.list("select id from t").await, "5");
}

/// Whoever takes longer than the rule allows is named, in plan, report and exit code.
async fn a_deadline_is_held_against_the_recipient(bench: Bench) {
    let sandbox = sandbox().await;
    company(&bench, &sandbox, LATER).await;
    customers(&bench).await;
    bench.script("insert into t values (6, '2021-11-10', null, '6planted@example.com')").await;
    bench.rules(&rule("crm: {email: email, require: E1, deadline: 30 days}"));
    assert_eq!(bench.plan()["steps"][0]["recipients"][0]["late"], 0, "nobody has been asked yet");
    bench.sunset(&["run", "--now", "2026-10-01"]).expect(0);
    assert_eq!(bench.plan()["steps"][0]["recipients"][0]["late"], 3, "the newcomer is not");
    let report = bench.run(4);
    assert_eq!(report.rule("t")["recipients"]["crm"]["past_deadline"], 3);
    assert!(report.rule("t")["message"].as_str().unwrap().contains("past its deadline"));
}

/// A letter is confirmed by a person: then the rows go, and nobody is written to again.
async fn a_letter_is_confirmed_by_a_person(bench: Bench) {
    fs::create_dir(bench.path("out")).unwrap();
    bench.settings(
        "time_zone: Asia/Tokyo\nrecipients:\n  collector: {kind: notice, addressee: Example Collection Inc., sender: \
         Example Shop Inc., folder: out}",
    );
    bench.script("create table t (id {int} primary key, at_day {date}, contract {text})").await;
    bench.script("insert into t values (1, '2001-01-01', 'K-1'), (2, '2001-01-01', 'K-2')").await;
    bench.rules(&rule("collector: {contract: contract, require: E3}"));
    let report = bench.run(0);
    assert_eq!(report.rule("t")["remaining"], json!({"waiting_for_collector": 2}));
    let list = bench.sunset(&["--format", "json", "--now", bench.now, "confirm", "--list"]).expect(0);
    let list: Value = serde_json::from_str(&list.out).unwrap();
    let id = list[0]["id"].as_str().unwrap();
    let why = bench.sunset(&["why", "core.t", "1", "--now", bench.now]).expect(0);
    assert!(
        why.out.contains(&format!("(E4); the rule asks for E3; notice {id}, to be confirmed by 20")),
        "{}",
        why.out
    );
    let overdue = |now: &str| {
        let status = bench.sunset(&["status", "--now", now, "--format", "json"]).expect(0);
        let status: Value = serde_json::from_str(&status.out).unwrap();
        let known = &status["recipients"][0];
        (known["open_notices"].as_u64().unwrap(), known["overdue_notices"].as_u64().unwrap())
    };
    assert_eq!((overdue(bench.now), overdue("2027-11-22")), ((1, 0), (1, 1)));
    let confirm = ["confirm", "collector", "--notice", id, "--by", "office", "--evidence", "letter 17", "--all"];
    bench.sunset(&confirm).expect(0);
    bench.run(0);
    assert_eq!(bench.list("select id from t").await, "");
    assert_eq!(fs::read_dir(bench.path("out")).unwrap().count(), 3, "one letter, its signature, its references");
    assert!(bench.evidence().is_settled());
}

/// Held rows are nobody's business.
async fn nobody_is_asked_about_held_rows(bench: Bench) {
    let sandbox = sandbox().await;
    seed(&sandbox);
    company(&bench, &sandbox, AT_ONCE).await;
    customers(&bench).await;
    bench.rules(&rule(STRIPE));
    let hold = [
        "hold",
        "add",
        "--table",
        "core.t",
        "--key",
        "1",
        "--matter",
        "m",
        "--reason",
        "r",
        "--owner",
        "o",
        "--review",
        "2030-01-01",
    ];
    bench.sunset(&hold).expect(0);
    bench.run(0);
    assert_eq!((bench.list("select id from t order by id").await.as_str(), deletions(&sandbox)), ("1 5", 2));
}

/// Killed while a recipient is at it: the next run asks again and finds it gone.
async fn a_killed_run_is_taken_up(bench: Bench) {
    let sandbox = sandbox().await;
    seed(&sandbox);
    company(&bench, &sandbox, AT_ONCE).await;
    customers(&bench).await;
    bench.rules(&rule(STRIPE));
    let slow = Fault { vendor: "stripe".to_owned(), times: Some(2), delay_milliseconds: 60_000, ..Fault::default() };
    sandbox.fault(slow);
    let mut run = bench.start(&["run", "--now", bench.now]);
    for _ in 0..1000 {
        if deletions(&sandbox) >= 1 {
            break;
        }
        thread::sleep(Duration::from_millis(10));
    }
    signal("KILL", run.id());
    run.wait().unwrap();
    assert_eq!(bench.list("select id from t order by id").await, "1 2 3 4 5");
    bench.run(0);
    assert_eq!(bench.list("select id from t").await, "5");
    assert!(deletions(&sandbox) <= 6, "each at most twice: {}", deletions(&sandbox));
    assert!(bench.evidence().is_settled());
}

/// Columns that are not there are found at planning, with their place.
async fn columns_of_recipients_are_checked(bench: Bench) {
    let sandbox = sandbox().await;
    company(&bench, &sandbox, AT_ONCE).await;
    bench.rules(&rule("stripe: {customer: stripe_idd}"));
    let call = bench.sunset(&["plan", "--now", bench.now, "--format", "json"]).expect(2);
    let mut found = call.out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let error = found.find(|diagnostic| diagnostic["severity"] == "error").unwrap();
    assert_eq!(error["help"], "did you mean `stripe_id`?", "{error}");
}

on_every_engine!(
    rows_go_when_their_recipients_have_deleted_their_copies,
    who_comes_back_is_asked_about_again,
    a_recipient_that_is_down_keeps_its_rows_alone,
    everybody_can_see_how_recipients_stand,
    a_refusal_is_told,
    accepted_work_is_polled,
    forgotten_work_is_asked_for_anew,
    acceptance_may_be_enough,
    a_deadline_is_held_against_the_recipient,
    a_letter_is_confirmed_by_a_person,
    nobody_is_asked_about_held_rows,
    a_killed_run_is_taken_up,
    columns_of_recipients_are_checked,
);
