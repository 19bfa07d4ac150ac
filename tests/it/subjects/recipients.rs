//! What recipients hear of a held person: nothing, whatever database the rows are in and whatever they had accepted before.

use super::{Company, SUBJECTS};
use crate::support::bench::{Bench, on_every_engine};
use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    net::TcpListener,
    sync::{Arc, Mutex},
    thread,
};

/// A recipient that accepts work and is never done with it. It keeps what it is asked: method, path, and body.
struct Crm {
    url: String,
    calls: Arc<Mutex<Vec<String>>>,
    /// The number of each person's work: tickets repeat nothing of who it is about.
    jobs: Arc<Mutex<BTreeMap<String, usize>>>,
}

impl Crm {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let calls: Arc<Mutex<Vec<String>>> = Arc::default();
        let jobs: Arc<Mutex<BTreeMap<String, usize>>> = Arc::default();
        let (kept, numbers) = (calls.clone(), jobs.clone());
        thread::spawn(move || {
            for mut connection in listener.incoming().map_while(Result::ok) {
                let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
                let text = loop {
                    let read = connection.read(&mut buffer).unwrap_or(0);
                    bytes.extend_from_slice(&buffer[..read]);
                    let text = String::from_utf8_lossy(&bytes).into_owned();
                    let length = text
                        .to_lowercase()
                        .split("content-length: ")
                        .nth(1)
                        .map_or(0, |rest| rest.split("\r\n").next().unwrap().trim().parse().unwrap());
                    let body = text.split_once("\r\n\r\n").map(|(_, body)| body.len());
                    if read == 0 || body.is_some_and(|body| body >= length) {
                        break text;
                    }
                };
                let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                let first = head.lines().next().unwrap().rsplit_once(' ').unwrap().0;
                let reply = match first.starts_with("POST") {
                    true => {
                        let who = body.split("who\":\"").nth(1).unwrap().split('"').next().unwrap();
                        let mut numbers = numbers.lock().unwrap();
                        let next = numbers.len() + 100;
                        let number = *numbers.entry(who.to_owned()).or_insert(next);
                        format!("{{\"id\": \"job-{number}\"}}")
                    }
                    false => "{\"status\": \"working\"}".to_owned(),
                };
                kept.lock().unwrap().push(format!("{first} {body}"));
                let length = reply.len();
                let head =
                    format!("HTTP/1.1 202 Accepted\r\ncontent-type: application/json\r\ncontent-length: {length}");
                let _ = write!(connection, "{head}\r\nconnection: close\r\n\r\n{reply}");
            }
        });
        Self { url, calls, jobs }
    }

    /// Somebody looked at the work about this person.
    fn is_looked_at(&self, heard: &[String], who: &str) -> bool {
        let path = format!("GET /jobs/job-{} ", self.jobs.lock().unwrap()[who]);
        heard.iter().any(|call| call.starts_with(&path))
    }

    /// What was asked since the last time.
    fn heard(&self) -> Vec<String> {
        let mut heard = std::mem::take(&mut *self.calls.lock().unwrap());
        heard.sort();
        heard
    }
}

const RULES: &str = "
- {id: customers, table: core.customers, starting_point: left_on, retention_period: 5 years, disposition: erase,
   dependents: {core.contracts: erase, core.plans: keep}, recipients: [crm: {who: customer_no}]}
- {id: profiles, table: web.marketing_profiles, starting_point: seen_on, retention_period: 1 year, disposition: erase,
   dependents: {web.profile_events: erase}, recipients: [crm: {who: ref}]}
";

async fn company(core: Bench) -> (Company, Crm) {
    let (company, crm) = (Company::of(core).await, Crm::start());
    company.fill().await;
    // a plan would keep the customer
    company.core.script("update contracts set plan_id = null; delete from plans").await;
    company.web.script("alter table marketing_profiles add column ref {text}").await;
    company.web.script("update marketing_profiles set ref = concat('p-', id)").await;
    let jobs = "delete: {method: POST, path: /jobs, json: {who: \"{who}\"}, ticket: /id}, poll: {path: \"/jobs/{ticket}\", \
                done: {pointer: /status, is: [done]}, every: 1 s}";
    company.settings(&format!("recipients: {{crm: {{kind: http, url: \"{}\", {jobs}}}}}{SUBJECTS}", crm.url));
    company.core.rules(RULES);
    (company, crm)
}

async fn nobody_is_asked_about_a_held_person(core: Bench) {
    let (company, crm) = company(core).await;
    company.hold(&["--key", "1"]);
    company.run(&[]);
    let heard = crm.heard().join("\n");
    for (who, is_asked) in
        [("C-001", false), ("p-1", false), ("p-4", false), ("C-002", true), ("p-2", true), ("p-3", true)]
    {
        assert_eq!(heard.contains(who), is_asked, "{who}: {heard}");
    }
    assert!(company.left().await.contains("customers 1 "));
}

/// Some recipients go on deleting whenever somebody looks at the work.
async fn accepted_work_about_a_held_person_is_left_alone(core: Bench) {
    let (company, crm) = company(core).await;
    company.run(&[]);
    let asked = crm.heard().join("\n");
    assert!(["C-001", "p-1", "p-4", "p-2"].iter().all(|who| asked.contains(who)), "{asked}");

    let hold = company.hold(&["--key", "1"]);
    // a run of one database's rules looks at the rows of the other one, too
    for run in [&["run", "--now", "2026-11-23"][..], &["run", "--now", "2026-11-24", "--rule", "customers"]] {
        company.core.sunset(run);
        let heard = crm.heard();
        assert!(["p-2", "p-3", "C-002"].iter().all(|who| crm.is_looked_at(&heard, who)), "{heard:?}");
        assert!(!["C-001", "p-1", "p-4"].iter().any(|who| crm.is_looked_at(&heard, who)), "{heard:?}");
        assert!(!heard.iter().any(|call| call.starts_with("POST")), "{heard:?}");
    }

    company.core.sunset(&["hold", "release", &hold, "--reason", "r", "--owner", "o"]).expect(0);
    company.core.sunset(&["run", "--now", "2026-11-25"]);
    let heard = crm.heard();
    assert!(["C-001", "p-1", "p-4"].iter().all(|who| crm.is_looked_at(&heard, who)), "{heard:?}");
}

/// Rows of others that go may name a held person to the recipient.
async fn nobody_is_asked_about_a_held_person_over_rows_of_others(core: Bench) {
    let (company, crm) = company(core).await;
    company.helpdesk.script("create table guests (id {int} primary key, who {text}, day {date})").await;
    company.helpdesk.script("insert into guests values (1, 'C-001', '2001-01-01'), (2, 'C-009', '2001-01-01')").await;
    company.core.rules(&format!(
        "{RULES}\n- {{id: guests, table: helpdesk.guests, starting_point: day, retention_period: 1 year, disposition: erase, recipients: [crm: {{who: who}}]}}"
    ));
    company.hold(&["--key", "1"]);
    company.core.sunset(&["run", "--now", company.core.now, "--rule", "guests"]);
    assert_eq!(crm.heard(), ["POST /jobs {\"who\":\"C-009\"}"]);
}

/// Other letters and blanks, in another database: it is the same person to the recipient.
async fn another_spelling_is_the_same_person(core: Bench) {
    let (company, crm) = company(core).await;
    company.helpdesk.script("create table guests (id {int} primary key, who {text}, day {date})").await;
    company.helpdesk.script("insert into guests values (1, ' c-001', '2001-01-01'), (2, 'C-009', '2001-01-01')").await;
    company.core.rules(&format!(
        "{RULES}\n- {{id: guests, table: helpdesk.guests, starting_point: day, retention_period: 1 year, disposition: erase, \
         recipients: [crm: {{who: who, shared: ask}}]}}"
    ));
    company.hold(&["--key", "1"]);
    company.core.sunset(&["run", "--now", company.core.now, "--rule", "guests"]);
    assert_eq!(crm.heard(), ["POST /jobs {\"who\":\"C-009\"}"]);
}

/// The rule that asked is not there any more, or reads something else: nobody can tell whom its work is about.
async fn accepted_work_of_rules_that_changed_is_left_alone(core: Bench) {
    let (company, crm) = company(core).await;
    company.run(&[]);
    assert!(crm.heard().join("\n").contains("C-001"));
    let hold = company.hold(&["--key", "1"]);
    for (day, rules) in [
        ("2026-11-23", RULES.replace(", recipients: [crm: {who: customer_no}]", "")),
        ("2026-11-24", RULES.replace("{who: customer_no}", "{who: phone}")),
    ] {
        company.core.rules(&rules);
        company.core.sunset(&["run", "--now", day]);
        let heard = crm.heard();
        assert!(["p-2", "p-3"].iter().all(|who| crm.is_looked_at(&heard, who)), "{heard:?}");
        assert!(!["C-001", "C-002", "p-1"].iter().any(|who| crm.is_looked_at(&heard, who)), "{heard:?}");
    }
    company.core.sunset(&["hold", "release", &hold, "--reason", "r", "--owner", "o"]).expect(0);
    company.core.sunset(&["run", "--now", "2026-11-25"]);
    let heard = crm.heard();
    assert!(["C-001", "C-002", "p-1"].iter().all(|who| crm.is_looked_at(&heard, who)), "{heard:?}");
}

on_every_engine!(
    another_spelling_is_the_same_person,
    accepted_work_of_rules_that_changed_is_left_alone,
    nobody_is_asked_about_a_held_person_over_rows_of_others,
    nobody_is_asked_about_a_held_person,
    accepted_work_about_a_held_person_is_left_alone
);
