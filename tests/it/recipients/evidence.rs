//! Evidence is about this person, this time: what a recipient says of somebody else, of an earlier time, of another account
//! or with a page of a proxy lets no row go.

use super::{recorder::is_whole, run::SERVERS};
use crate::support::bench::{Bench, on_every_engine};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    fs,
    sync::{Arc, Mutex},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

/// What a stand-in got: method, path, headers and body.
type Call = (String, String, String, String);

/// A recipient whose answers the test makes.
struct Stub {
    url: String,
    calls: Arc<Mutex<Vec<Call>>>,
}

/// Status, body and headers.
type Reply = (u16, String, &'static str);

const JSON: &str = "content-type: application/json";
const HTML: &str = "content-type: text/html";
const TEXT: &str = "content-type: text/plain";

fn json_reply(status: u16, body: &Value) -> Reply {
    (status, body.to_string(), JSON)
}

impl Stub {
    async fn start(answer: impl Fn(&str, &str, &str) -> Reply + Send + Sync + 'static) -> Self {
        let calls: Arc<Mutex<Vec<Call>>> = Arc::default();
        let (kept, answer) = (calls.clone(), Arc::new(answer));
        let serve = async move |listener: TcpListener| {
            while let Ok((mut connection, _)) = listener.accept().await {
                let (kept, answer) = (kept.clone(), answer.clone());
                tokio::spawn(async move {
                    let (mut bytes, mut buffer) = (Vec::new(), vec![0; 65_536]);
                    while !is_whole(&bytes) {
                        match connection.read(&mut buffer).await {
                            Ok(0) | Err(_) => return,
                            Ok(read) => bytes.extend_from_slice(&buffer[..read]),
                        }
                    }
                    let text = String::from_utf8(bytes).unwrap();
                    let (head, body) = text.split_once("\r\n\r\n").unwrap();
                    let (first, headers) = head.split_once("\r\n").unwrap();
                    let mut words = first.split(' ').map(str::to_owned);
                    let (method, path) = (words.next().unwrap(), words.next().unwrap());
                    kept.lock().unwrap().push((method.clone(), path.clone(), headers.to_owned(), body.to_owned()));
                    let (status, reply, headers) = answer(&method, &path, body);
                    let length =
                        if status == 204 { String::new() } else { format!("content-length: {}\r\n", reply.len()) };
                    let reply = format!("HTTP/1.1 {status} x\r\n{headers}\r\n{length}connection: close\r\n\r\n{reply}");
                    let _ = connection.write_all(reply.as_bytes()).await;
                });
            }
        };
        let listener = SERVERS.spawn(TcpListener::bind("127.0.0.1:0")).await.unwrap().unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        SERVERS.spawn(async move { serve(listener).await });
        Self { url, calls }
    }

    /// Stripe with these customers, who go when they are deleted.
    async fn stripe(there: &[&str]) -> Self {
        let there: Mutex<Vec<String>> = Mutex::new(there.iter().map(|id| (*id).to_owned()).collect());
        Self::start(move |_, path, _| {
            if path == "/v1/account" {
                return json_reply(200, &json!({"id": "acct_1", "object": "account"}));
            }
            if path == "/v1/customers?limit=1" {
                return json_reply(200, &json!({"object": "list", "data": []}));
            }
            let id = path.rsplit('/').next().unwrap();
            let mut there = there.lock().unwrap();
            match there.iter().position(|known| known == id) {
                Some(at) => {
                    there.remove(at);
                    json_reply(200, &json!({"id": id, "object": "customer", "deleted": true}))
                }
                None => missing(id),
            }
        })
        .await
    }

    fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }

    fn headers(&self, name: &str) -> Vec<String> {
        let value = |call: &Call| {
            call.2.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).map(str::to_owned)
        };
        self.calls().iter().map(|call| value(call).unwrap()).collect()
    }
}

/// Stripe's error about a customer that it does not know.
fn missing(id: &str) -> Reply {
    let message = format!("No such customer: '{id}'");
    let error = json!({"code": "resource_missing", "param": "id", "type": "invalid_request_error", "message": message});
    json_reply(404, &json!({"error": error}))
}

const NOW: &str = "2026-11-22";

async fn table(bench: &Bench, rows: &[(u32, &str, &str)]) {
    bench.script("create table t (id {int} primary key, who {text}, ended {date})").await;
    insert(bench, rows).await;
}

async fn insert(bench: &Bench, rows: &[(u32, &str, &str)]) {
    let rows: Vec<_> = rows.iter().map(|(id, who, ended)| format!("({id}, '{who}', '{ended}')")).collect();
    bench.script(&format!("insert into t values {}", rows.join(", "))).await;
}

fn rule(recipients: &str) -> String {
    format!(
        "- {{id: r, table: core.t, starting_point: ended, retention_period: 1 year, disposition: erase, recipients: \
         [{recipients}]}}"
    )
}

fn stripe(bench: &Bench, stub: &Stub, more: &str) {
    fs::write(bench.path("stripe_key"), "sk_test_planted").unwrap();
    bench.settings(&format!(
        "time_zone: UTC\nrecipients:\n  stripe: {{api_key: \"${{file:stripe_key}}\", url: \"{}\"{more}}}",
        stub.url
    ));
    bench.rules(&rule("stripe: {customer: who}"));
}

fn webhooks(bench: &Bench, stub: &Stub, names: &[&str]) {
    fs::write(bench.path("secret"), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
    let one = |name: &&str| {
        let url = &stub.url;
        format!(
            "  {name}: {{kind: webhook, url: \"{url}/{name}\", identifiers: [email], secret: \"${{file:secret}}\"}}\n"
        )
    };
    bench.settings(&format!("time_zone: UTC\nrecipients:\n{}", names.iter().map(one).collect::<String>()));
}

async fn left(bench: &Bench) -> String {
    bench.list("select id from t order by id").await
}

/// A receiver that repeats its answer to a request that it knows has to take the second for another.
async fn who_comes_back_is_another_request(bench: Bench) {
    let stub = Stub::start(|_, _, _| (204, String::new(), TEXT)).await;
    webhooks(&bench, &stub, &["crm"]);
    bench.rules(&rule("crm: {email: who}"));
    table(&bench, &[(1, "a@mail.example", "2018-01-01")]).await;
    bench.sunset(&["run", "--now", NOW]).expect(0);
    // on the same day, to the second
    insert(&bench, &[(2, "a@mail.example", "2018-01-01")]).await;
    bench.sunset(&["run", "--now", NOW]).expect(0);
    insert(&bench, &[(3, "a@mail.example", "2024-01-01")]).await;
    bench.sunset(&["run", "--now", "2026-11-25"]).expect(0);
    let mut ids = stub.headers("webhook-id");
    let references: Vec<_> = stub.calls().iter().map(|call| call.3.clone()).collect();
    assert!(references[0] != references[1] && references[1] != references[2], "{references:?}");
    ids.sort();
    ids.dedup();
    assert_eq!((ids.len(), left(&bench).await.as_str()), (3, ""));
}

/// What one recipient confirmed long ago is asked again when the other one agrees at last.
async fn a_confirmation_ends_some_time_after_it_was_given(bench: Bench) {
    let agrees = Arc::new(Mutex::new(false));
    let asks = agrees.clone();
    let stub = Stub::start(move |_, path, _| {
        let status = if path == "/a" || *asks.lock().unwrap() { 204 } else { 403 };
        (status, String::new(), TEXT)
    })
    .await;
    webhooks(&bench, &stub, &["a", "b"]);
    bench.rules(&rule("a: {email: who}, b: {email: who}"));
    table(&bench, &[(1, "a@mail.example", "2018-01-01")]).await;
    let asked = |path: &str| stub.calls().iter().filter(|call| call.1 == path).count();
    bench.sunset(&["run", "--now", "2020-11-22"]).expect(4);
    bench.sunset(&["run", "--now", "2020-11-30"]).expect(4);
    assert_eq!((asked("/a"), asked("/b"), left(&bench).await.as_str()), (1, 2, "1"));
    *agrees.lock().unwrap() = true;
    bench.sunset(&["run", "--now", "2021-03-01"]).expect(0);
    assert_eq!((asked("/a"), left(&bench).await.as_str()), (2, ""));
    let ids = |path: &str| {
        let of_path = stub.calls().into_iter().zip(stub.headers("webhook-id")).filter(|(call, _)| call.1 == path);
        of_path.map(|(_, id)| id).collect::<BTreeSet<_>>().len()
    };
    assert_eq!((ids("/a"), ids("/b")), (2, 1), "one is asked anew, the other is asked the same again");
}

/// Blanks are cut off; what is no id of a customer is not sent, and its row stays.
async fn what_is_no_identifier_confirms_nothing(bench: Bench) {
    let stub = Stub::stripe(&["cus_A1", "cus_B2", "cus_C3"]).await;
    stripe(&bench, &stub, "");
    let rows = [
        (1, "cus_A1 ", "2018-01-01"),
        (2, "n/a", "2018-01-01"),
        (3, "a@mail.example", "2018-01-01"),
        (4, "cus_", "2018-01-01"),
        (5, "cus_../B2", "2018-01-01"),
        (6, "\tcus_B2", "2018-01-01"),
        (7, "pi_123", "2018-01-01"),
        (8, "cus_C3", "2026-11-01"),
    ];
    table(&bench, &rows).await;
    let report = bench.sunset(&["run", "--now", NOW]).expect(4);
    assert!(report.out.contains("names nobody"), "{report:?}");
    let mut asked: Vec<_> = stub.calls().into_iter().map(|call| call.1).collect();
    asked.sort();
    assert_eq!(asked, ["/v1/customers/cus_A1", "/v1/customers/cus_B2"]);
    assert_eq!(left(&bench).await, "2 3 4 5 7 8");
}

/// Each answer to one customer, and the code that the run ends with; the row stays.
#[tokio::test]
async fn only_stripes_own_word_about_this_customer_counts() {
    let deleted = |id: &str| json_reply(200, &json!({"id": id, "object": "customer", "deleted": true}));
    let error = |error: &Value| json_reply(404, &json!({"error": error}));
    let unrecognized = json!({"type": "invalid_request_error", "message": "Unrecognized request URL"});
    let uncoded = json!({"type": "invalid_request_error", "message": "No such customer: 'cus_A1'"});
    let page = (404, "<html>\r\n<head><title>404 Not Found</title></head></html>".to_owned(), HTML);
    let kept = json!({"id": "cus_A1", "object": "customer", "deleted": false});
    let cases = [
        ("an unknown address", error(&unrecognized), 4),
        ("an error without a code", error(&uncoded), 4),
        ("a page", page, 4),
        ("the deletion of another customer", deleted("cus_B2"), 4),
        ("the absence of another customer", missing("cus_B2"), 4),
        ("a customer that is not deleted", json_reply(200, &kept), 75),
        ("a failure", json_reply(500, &json!({"error": {"type": "api_error"}})), 75),
        ("wrong credentials", json_reply(401, &json!({"error": {"type": "invalid_request_error"}})), 4),
    ];
    for (what, reply, code) in cases {
        let bench = Bench::new(sunset::catalog::Engine::Sqlite).await;
        let stub = Stub::start(move |_, _, _| reply.clone()).await;
        stripe(&bench, &stub, "");
        table(&bench, &[(1, "cus_A1", "2018-01-01")]).await;
        let run = bench.sunset(&["run", "--now", NOW]);
        assert_eq!((run.code, left(&bench).await.as_str()), (code, "1"), "{what}: {run:?}");
    }
}

/// A key of another account is noticed before anybody is asked about; a check shows whose it is.
#[tokio::test]
async fn a_key_of_another_account_asks_about_nobody() {
    let bench = Bench::new(sunset::catalog::Engine::Sqlite).await;
    let stub = Stub::stripe(&["cus_A1"]).await;
    stripe(&bench, &stub, ", account: acct_2");
    table(&bench, &[(1, "cus_A1", "2018-01-01")]).await;
    bench.sunset(&["run", "--now", NOW]).expect(4);
    assert_eq!((stub.calls().len(), left(&bench).await.as_str()), (1, "1"), "the account alone is looked at");
    bench.sunset(&["plan", "--now", NOW, "--check-recipients"]).expect(2);
    stripe(&bench, &stub, ", account: acct_1");
    let checked = bench.sunset(&["plan", "--now", NOW, "--check-recipients"]).expect(0);
    assert!(checked.err.contains("for the account acct_1"), "{checked:?}");
    bench.sunset(&["run", "--now", NOW]).expect(0);
    assert_eq!(left(&bench).await, "");
}

/// Whoever is due and knows nobody: the rule stops, night after night, until a person says that it is right.
async fn a_recipient_that_knows_nobody_is_not_believed(bench: Bench) {
    let stub = Stub::stripe(&[]).await;
    stripe(&bench, &stub, "");
    let rows: Vec<_> = (1..=40).map(|id| (id, format!("cus_X{id}"))).collect();
    let rows: Vec<_> = rows.iter().map(|(id, who)| (*id, who.as_str(), "2018-01-01")).collect();
    table(&bench, &rows).await;
    for _ in 0..2 {
        let run = bench.sunset(&["run", "--now", NOW]).expect(3);
        assert!(run.out.contains("max_gone") || run.err.contains("max_gone"), "{run:?}");
        assert_eq!(bench.list("select count(*) from t").await, "40");
    }
    assert!(bench.evidence().is_settled());
    stripe(&bench, &stub, ", max_gone: \"100 %\"");
    bench.sunset(&["run", "--now", NOW]).expect(0);
    assert_eq!(left(&bench).await, "");
}

/// A few who are gone are nothing to wonder about; more than the share are.
#[tokio::test]
async fn a_share_of_persons_may_be_gone() {
    for (known, more, code) in
        [(16, "", 0), (15, "", 3), (15, ", max_gone: \"25 %\"", 0), (0, "", 3), (1, ", max_gone: \"99 %\"", 0)]
    {
        let bench = Bench::new(sunset::catalog::Engine::Sqlite).await;
        let ids: Vec<_> = (1..=20).map(|id| format!("cus_X{id}")).collect();
        let there: Vec<_> = ids.iter().take(known).map(String::as_str).collect();
        let stub = Stub::stripe(&there).await;
        stripe(&bench, &stub, more);
        let rows: Vec<_> = ids.iter().zip(1..).map(|(who, id)| (id, who.as_str(), "2018-01-01")).collect();
        table(&bench, &rows).await;
        let run = bench.sunset(&["run", "--now", NOW]);
        assert_eq!(run.code, code, "{known} of 20, {more}: {run:?}");
        assert_eq!(bench.list("select count(*) from t").await, if code == 0 { "0" } else { "20" });
    }
}

/// A copy that a row which stays needs is nobody's to delete, and the plan says so; the last row takes it along.
async fn a_copy_goes_with_the_last_row_that_uses_it(bench: Bench) {
    let stub = Stub::stripe(&["cus_A1", "cus_C3"]).await;
    stripe(&bench, &stub, "");
    let rows = [(1, "cus_A1", "2018-01-01"), (2, " CUS_A1 ", "2026-11-01"), (3, "cus_C3", "2018-01-01")];
    table(&bench, &rows).await;
    insert(&bench, &[(4, "cus_A1", "2018-06-01")]).await;
    let plan = bench.sunset(&["plan", "--now", NOW, "--format", "json"]).expect(0);
    let plan: Value = serde_json::from_str(&plan.out).unwrap();
    let persons = &plan["steps"][0]["recipients"][0]["persons"];
    assert_eq!(persons, &json!({"to_ask": 1, "served": 0, "waiting": 0, "shared": 1}));
    let run = bench.sunset(&["run", "--now", NOW, "--format", "json"]).expect(0);
    let report: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(report["rules"][0]["remaining"], json!({"waiting_for_stripe": 2}));
    assert_eq!((stub.calls().len(), left(&bench).await.as_str()), (1, "1 2 4"));
    // Two rules for the rows of one customer do not wait for each other.
    let other =
        rule("stripe: {customer: who}").replace("id: r,", "id: s,").replace("1 year,", "3 years, where: {id: 4},");
    let own = rule("stripe: {customer: who}").replace("1 year,", "1 year, where: {id: {not: 4}},");
    bench.script("update t set who = 'cus_A1' where id = 2").await;
    bench.rules(&format!("{own}\n{other}"));
    bench.sunset(&["run", "--now", "2027-12-01"]).expect(0);
    assert_eq!((stub.calls().len(), left(&bench).await.as_str()), (2, ""));
}

/// The rule may say that the rows that stay do without the copy.
async fn a_rule_may_ask_all_the_same(bench: Bench) {
    let stub = Stub::stripe(&["cus_A1"]).await;
    stripe(&bench, &stub, "");
    bench.rules(&rule("stripe: {customer: who, shared: ask}"));
    table(&bench, &[(1, "cus_A1", "2018-01-01"), (2, "cus_A1", "2026-11-01")]).await;
    bench.sunset(&["run", "--now", NOW]).expect(0);
    assert_eq!((stub.calls().len(), left(&bench).await.as_str()), (1, "2"));
}

/// Another table of the database needs the copy, too.
async fn a_copy_may_be_needed_by_another_table(bench: Bench) {
    let stub = Stub::stripe(&["cus_A1", "cus_B2"]).await;
    stripe(&bench, &stub, "");
    table(&bench, &[(1, "cus_A1", "2018-01-01"), (2, "cus_B2", "2018-01-01")]).await;
    bench.script("create table u (id {int} primary key, payer {text}, ended {date})").await;
    bench.script("insert into u values (1, 'cus_A1', '2026-11-01'), (2, 'cus_B2', '2018-01-01')").await;
    let of_u = rule("stripe: {customer: payer}").replace("id: r, table: core.t", "id: u, table: core.u");
    bench.rules(&format!("{}\n{of_u}", rule("stripe: {customer: who}")));
    bench.sunset(&["run", "--now", NOW]).expect(0);
    assert_eq!((left(&bench).await.as_str(), bench.list("select id from u").await.as_str()), ("1", "1"));
    assert_eq!(stub.calls().len(), 1);
}

const JOBS: &str = "delete: {method: POST, path: /jobs, json: {who: \"{who}\", reference: \"{reference}\"}, ticket: /id}, \
                    poll: {path: \"/jobs/{ticket}\", done: {pointer: /status, is: [done]}, failed: {pointer: /status, is: \
                    [failed]}, every: 1 s}";

/// Work that failed is told on the same night, whether its row waits for it or has gone; it is asked for anew on a person's
/// word alone.
async fn accepted_work_that_failed_is_told(bench: Bench) {
    let status = Arc::new(Mutex::new((200, "working")));
    let told = status.clone();
    let stub = Stub::start(move |method, _, _| {
        let (code, status) = *told.lock().unwrap();
        if method == "POST" {
            json_reply(202, &json!({"id": "job-1"}))
        } else {
            json_reply(code, &json!({"status": status}))
        }
    })
    .await;
    let posts = || stub.calls().iter().filter(|call| call.0 == "POST").count();
    bench.settings(&format!("time_zone: UTC\nrecipients: {{crm: {{kind: http, url: \"{}\", {JOBS}}}}}", stub.url));
    bench.rules(&rule("crm: {who: who}"));
    table(&bench, &[(1, "ann", "2018-01-01")]).await;
    bench.sunset(&["run", "--now", NOW]).expect(0);
    *status.lock().unwrap() = (200, "failed");
    let run = bench.sunset(&["run", "--now", "2026-11-23", "--format", "json"]).expect(4);
    let report: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(report["polled"]["crm"]["answers"], json!({"refused": 1}));
    // The recipient forgets the work; that it failed is not forgotten.
    *status.lock().unwrap() = (404, "unknown");
    bench.sunset(&["run", "--now", "2026-11-24"]).expect(4);
    assert_eq!((posts(), left(&bench).await.as_str()), (1, "1"));
    bench.sunset(&["ask-again", "crm", "--by", "office", "--reason", "mended"]).expect(0);
    bench.sunset(&["ask-again", "crm", "--by", "office", "--reason", "mended"]).expect(3);
    *status.lock().unwrap() = (200, "working");
    bench.sunset(&["run", "--now", "2026-11-25"]).expect(0);
    let bodies: Vec<_> = stub.calls().into_iter().filter(|call| call.0 == "POST").map(|call| call.3).collect();
    assert_eq!(bodies.len(), 2);
    assert_ne!(bodies[0], bodies[1], "a new request");
    // An outage is no end: the work is looked at again and not asked for anew.
    *status.lock().unwrap() = (503, "down");
    bench.sunset(&["run", "--now", "2026-11-26"]).expect(75);
    assert_eq!(posts(), 2);
    *status.lock().unwrap() = (200, "done");
    bench.sunset(&["run", "--now", "2026-11-27"]).expect(0);
    assert_eq!((posts(), left(&bench).await.as_str()), (2, ""));
    // Whose row went on acceptance alone is told of, too.
    bench.rules(&rule("crm: {who: who, require: E2}"));
    *status.lock().unwrap() = (200, "working");
    insert(&bench, &[(2, "bob", "2018-01-01")]).await;
    bench.sunset(&["run", "--now", "2026-11-28"]).expect(0);
    assert_eq!(left(&bench).await, "");
    *status.lock().unwrap() = (200, "failed");
    bench.sunset(&["run", "--now", "2026-11-29"]).expect(4);
    assert!(bench.evidence().is_settled());
}

/// A deadline counts from the first request, whatever the row's age.
async fn a_deadline_counts_from_the_first_request(bench: Bench) {
    let stub = Stub::start(|method, _, _| match method {
        "POST" => json_reply(202, &json!({"id": "job-1"})),
        _ => json_reply(200, &json!({"status": "working"})),
    })
    .await;
    bench.settings(&format!("time_zone: UTC\nrecipients: {{crm: {{kind: http, url: \"{}\", {JOBS}}}}}", stub.url));
    bench.rules(&rule("crm: {who: who, deadline: 10 days}"));
    table(&bench, &[(1, "ann", "2001-01-01")]).await;
    bench.sunset(&["run", "--now", NOW]).expect(0);
    bench.sunset(&["run", "--now", "2026-12-02"]).expect(0);
    bench.sunset(&["run", "--now", "2026-12-03"]).expect(4);
    let plan = bench.sunset(&["plan", "--now", "2026-12-03", "--format", "json"]).expect(0);
    let plan: Value = serde_json::from_str(&plan.out).unwrap();
    assert_eq!(plan["steps"][0]["recipients"][0]["late"], 1);
}

/// A letter is a request from the day on which it went out.
async fn a_first_letter_is_not_late(bench: Bench) {
    bench.settings(
        "time_zone: UTC\nrecipients:\n  collector: {kind: notice, addressee: Example Collection Inc., sender: Example Shop Inc., folder: out}",
    );
    bench.rules(&rule("collector: {contract: who, deadline: 10 days}"));
    table(&bench, &[(1, "K-1", "2001-01-01")]).await;
    bench.sunset(&["run", "--now", "2026-11-01"]).expect(75);
    bench.sunset(&["run", "--now", "2026-11-12"]).expect(4);
    fs::create_dir(bench.path("out")).unwrap();
    bench.sunset(&["run", "--now", "2026-11-22"]).expect(0);
    bench.sunset(&["run", "--now", "2026-12-01"]).expect(0);
    bench.sunset(&["run", "--now", "2026-12-03"]).expect(4);
}

/// A page of a server is neither a person who is gone nor one who was deleted.
#[tokio::test]
async fn a_page_is_no_answer() {
    let page = "<!DOCTYPE html>\n<html><head><title>nginx</title></head></html>";
    let cases = [
        ("nginx does not know the address", (404, page.to_owned(), HTML), 4, "1"),
        ("a plain 404", (404, "404 page not found\n".to_owned(), TEXT), 4, "1"),
        ("a page about maintenance", (200, page.to_owned(), HTML), 75, "1"),
        ("an empty 404", (404, String::new(), TEXT), 0, ""),
        ("the vendor's 404", (404, "{\"error\": \"unknown\"}".to_owned(), JSON), 0, ""),
        ("success", (200, "OK".to_owned(), HTML), 0, ""),
    ];
    for (what, reply, code, rest) in cases {
        let bench = Bench::new(sunset::catalog::Engine::Sqlite).await;
        let stub = Stub::start(move |_, _, _| reply.clone()).await;
        bench.settings(&format!(
            "time_zone: UTC\nrecipients: {{crm: {{kind: http, url: \"{}\", grade: E1, delete: {{method: DELETE, path: \"/p/{{who}}\", gone: \
             [404]}}}}}}",
            stub.url
        ));
        bench.rules(&rule("crm: {who: who}"));
        table(&bench, &[(1, "ann", "2018-01-01")]).await;
        let run = bench.sunset(&["run", "--now", NOW]);
        assert_eq!((run.code, left(&bench).await.as_str()), (code, rest), "{what}: {run:?}");
    }
}

/// A pause that a recipient asks for is kept by the next run; a token endpoint that answers with a page is an outage, one
/// that refuses the credentials is not.
#[tokio::test]
async fn failures_mean_the_same_everywhere() {
    let token = "auth: {oauth: {token_url: /token, client_id: me, client_secret: \"${file:key}\"}}, ";
    let page = (200, "<html>We are back soon</html>".to_owned(), HTML);
    let denied = json_reply(400, &json!({"error": "invalid_client"}));
    for (what, auth, reply, code) in [
        ("a token endpoint with a page", token, page.clone(), 75),
        ("a token endpoint that is down", token, (502, "<html>Bad gateway</html>".to_owned(), HTML), 75),
        ("a client that the token endpoint does not know", token, denied, 4),
        ("wrong credentials", "", json_reply(401, &json!({})), 4),
        ("missing rights", "", json_reply(403, &json!({})), 4),
        ("an outage", "", json_reply(500, &json!({})), 75),
        ("no implementation", "", json_reply(501, &json!({})), 75),
    ] {
        let bench = Bench::new(sunset::catalog::Engine::Sqlite).await;
        let stub = Stub::start(move |_, _, _| reply.clone()).await;
        fs::write(bench.path("key"), "planted").unwrap();
        bench.settings(&format!(
            "time_zone: UTC\nrecipients: {{crm: {{kind: http, url: \"{}\", {auth}delete: {{method: DELETE, path: \"/p/{{who}}\"}}}}}}",
            stub.url
        ));
        bench.rules(&rule("crm: {who: who}"));
        table(&bench, &[(1, "ann", "2018-01-01")]).await;
        let run = bench.sunset(&["run", "--now", NOW]);
        assert_eq!((run.code, left(&bench).await.as_str()), (code, "1"), "{what}: {run:?}");
    }
}

on_every_engine!(
    who_comes_back_is_another_request,
    a_confirmation_ends_some_time_after_it_was_given,
    what_is_no_identifier_confirms_nothing,
    a_recipient_that_knows_nobody_is_not_believed,
    a_copy_goes_with_the_last_row_that_uses_it,
    a_rule_may_ask_all_the_same,
    a_copy_may_be_needed_by_another_table,
    accepted_work_that_failed_is_told,
    a_deadline_counts_from_the_first_request,
    a_first_letter_is_not_late,
);

/// A recipient that asks for an hour of rest is left alone by the run after, too.
#[tokio::test]
async fn a_pause_that_a_recipient_asks_for_is_kept() {
    let bench = Bench::new(sunset::catalog::Engine::Sqlite).await;
    let stub = Stub::start(|_, _, _| (429, String::new(), "retry-after: 3600")).await;
    bench.settings(&format!(
        "time_zone: UTC\nrecipients: {{crm: {{kind: http, url: \"{}\", delete: {{method: DELETE, path: \"/p/{{who}}\"}}}}}}",
        stub.url
    ));
    bench.rules(&rule("crm: {who: who}"));
    table(&bench, &[(1, "ann", "2018-01-01")]).await;
    for (now, calls) in [("2026-11-22T01:00:00", 1), ("2026-11-22T01:50:00", 1), ("2026-11-22T02:10:00", 2)] {
        let run = bench.sunset(&["run", "--now", now]).expect(75);
        assert_eq!(stub.calls().len(), calls, "{now}: {run:?}");
    }
}
