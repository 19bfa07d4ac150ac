//! Google Cloud Storage: against Google's own testbench, which its client libraries are tested with, and against the sandbox's
//! stand-in for what the testbench does not do: holds, retention, permissions, and days that pass.

use super::{ask, is_refused, reason};
use crate::{
    recipients::{delete_one, google::USER, open, recorder::Recorder, subject},
    support::{
        bench::Bench,
        python::{self, Running},
        servers::say,
    },
};
use serde_json::{Value, json};
use std::{path::PathBuf, process::Command, time::Duration};
use sunset::{
    catalog::Engine,
    evidence::Grade,
    recipients::{Answer, Checked, Recipient, State},
    sandbox::{Fault, Sandbox},
};

/// Google's testbench with Google's own library (PyPI) as the other party. The testbench is in no registry of packages:
/// SUNSET_TEST_GCS_TESTBENCH names a checkout of it (googleapis/storage-testbench at v0.63.0).
struct Testbench {
    url: String,
    tokens: Recorder,
    python: PathBuf,
    _server: Running,
}

impl Testbench {
    /// `None` where it is not there or cannot be installed, which is said.
    async fn start() -> Option<Self> {
        let Ok(checkout) = std::env::var("SUNSET_TEST_GCS_TESTBENCH") else {
            say("skipped: SUNSET_TEST_GCS_TESTBENCH names no checkout of Google's storage-testbench");
            return None;
        };
        let python = python::library("testbench", &[&checkout, "google-cloud-storage==3.17.1"])?.join("python");
        let port = python::free_port();
        let serve =
            format!("import testbench, waitress; waitress.serve(testbench.run(), host='127.0.0.1', port={port})");
        let server = python::start(Command::new(&python).args(["-c", &serve]), port).await;
        let tokens = Recorder::start(&[(200, r#"{"access_token": "t", "expires_in": 3600}"#)]).await;
        let bench = Self { url: format!("http://127.0.0.1:{port}"), tokens, python, _server: server };
        bench.google(
            "client.create_bucket('plain')\n\
             soft = client.bucket('soft'); soft.versioning_enabled = True; soft.soft_delete_policy.retention_duration_seconds = 604800\n\
             client.create_bucket(soft)\n\
             versioned = client.bucket('versioned'); versioned.versioning_enabled = True; client.create_bucket(versioned)",
        );
        Some(bench)
    }

    /// What Google's own library does and prints.
    fn google(&self, script: &str) -> String {
        let head = format!(
            "import warnings; warnings.simplefilter('ignore')\n\
             from google.cloud import storage\n\
             from google.auth.credentials import AnonymousCredentials\n\
             client = storage.Client(project='p', credentials=AnonymousCredentials(), client_options={{'api_endpoint': '{}'}})\n\
             def put(bucket, *names):\n    for name in names: client.bucket(bucket).blob(name).upload_from_string('x')\n\
             def left(bucket, **which): print(' '.join(sorted(blob.name for blob in client.list_blobs(bucket, **which))))\n",
            self.url
        );
        let done = Command::new(&self.python).args(["-c", &(head + script)]).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap().trim().to_owned()
    }

    fn bucket(&self, bucket: &str, more: &str) -> Box<dyn Recipient> {
        let (url, tokens) = (&self.url, &self.tokens.url);
        open(&format!("{{kind: gcs, bucket: {bucket}, url: \"{url}\", token_url: \"{tokens}\", {USER}, {more}}}"))
    }
}

#[tokio::test]
async fn no_generation_of_an_object_is_left() {
    let Some(bench) = Testbench::start().await else { return };
    for bucket in ["plain", "versioned"] {
        bench.google(&format!("put('{bucket}', 'id/7.jpg', 'id/7.jpg', 'id/7.jpg2', 'id/70.jpg', 'id/7', 'other')"));
        let documents = bench.bucket(bucket, "keys: [\"id/{document}.jpg\"]");
        assert!(matches!(documents.check().await, Ok(Checked::Unproven { .. })));
        assert_eq!(ask(documents.as_ref(), &[("document", "7")]).await, Answer::confirmed(Grade::E1), "{bucket}");
        assert_eq!(
            bench.google(&format!("left('{bucket}', versions=True)")),
            "id/7 id/7.jpg2 id/70.jpg other",
            "{bucket}"
        );
        assert_eq!(ask(documents.as_ref(), &[("document", "7")]).await, Answer::gone(Grade::E1), "{bucket}");
        assert_eq!(ask(documents.as_ref(), &[("document", "nobody")]).await, Answer::gone(Grade::E1), "{bucket}");
    }
    let nowhere = bench.bucket("nowhere", "keys: [\"{path}\"]");
    assert_eq!(reason(&ask(nowhere.as_ref(), &[("path", "a")]).await), "there is no such bucket");
    assert_eq!(nowhere.check().await.unwrap_err().reason, "there is no such bucket");
}

/// A generation that is not live is there all the same, and what soft delete keeps is not gone.
#[tokio::test]
async fn what_soft_delete_keeps_is_not_gone() {
    let Some(bench) = Testbench::start().await else { return };
    bench.google(
        "put('soft', 'exports/1/a', 'exports/1/a', 'exports/1/b', 'exports/12/a', 'exports/1', 'scans/1 & 2/ü+%2F 写真.jpg')\n\
         client.bucket('soft').blob('exports/1/b').delete()",
    );
    let exports = bench.bucket("soft", "prefixes: [\"exports/{member}/\"], keys: [\"scans/{scan?}\"]");
    let both = [("member", "1"), ("scan", "1 & 2/ü+%2F 写真.jpg")];
    let answer = ask(exports.as_ref(), &both).await;
    let State::Accepted { poll } = &answer.state else { panic!("{answer:?}") };
    assert_eq!(answer.grade, Some(Grade::E2));
    let days = poll.again_after.as_secs_f64() / 86_400.0;
    assert!((6.9..7.1).contains(&days), "{days}");
    let day = (jiff::Timestamp::now() + poll.again_after).strftime("%Y-%m-%d").to_string();
    assert_eq!(poll.reason, Some(format!("erased, but the bucket's soft delete keeps it until {day}")));
    assert_eq!(bench.google("left('soft', versions=True)"), "exports/1 exports/12/a");
    let kept = "exports/1/a exports/1/a exports/1/b scans/1 & 2/ü+%2F 写真.jpg";
    assert_eq!(bench.google("left('soft', soft_deleted=True)"), kept);
    let state = exports.poll(std::slice::from_ref(&poll.ticket)).await.remove(0).state;
    assert_eq!(state, State::Elapsed);
    // whoever asks anew before learns the same
    assert!(matches!(ask(exports.as_ref(), &both).await.state, State::Accepted { .. }));
    // what would lead elsewhere is not asked
    for member in [".", "..", "a/b", "/", "1/", "/1", "a\\b", "a\nb"] {
        let answer = ask(exports.as_ref(), &[("member", member)]).await;
        assert!(is_refused(&answer), "{member}: {answer:?}");
    }
    assert_eq!(bench.google("left('soft', versions=True)"), "exports/1 exports/12/a");
}

async fn sandbox(seed: &Value) -> Sandbox {
    let sandbox = Sandbox::start(0, true).await.unwrap();
    sandbox.seed("gcs", seed);
    sandbox
}

fn bucket(sandbox: &Sandbox, bucket: &str, more: &str) -> Box<dyn Recipient> {
    let url = sandbox.url("gcs");
    open(&format!("{{kind: gcs, bucket: {bucket}, url: \"{url}\", token_url: \"{url}/token\", {USER}, {more}}}"))
}

fn objects(names: &[&str]) -> Value {
    json!({"objects": names.iter().map(|name| json!({"name": name})).collect::<Vec<_>>()})
}

fn deletions(sandbox: &Sandbox) -> u64 {
    sandbox.calls("gcs").get("DELETE /storage/v1/b/{bucket}/o/{object}").copied().unwrap_or_default()
}

#[tokio::test]
async fn the_day_comes_when_nothing_is_kept() {
    let sandbox = sandbox(&objects(&["id/7.jpg", "id/7.jpg", "id/7.jpg2"])).await;
    sandbox.seed("gcs", &json!({"page": 1}));
    let documents = bucket(&sandbox, "uploads", "keys: [\"id/{document}.jpg\"]");
    let who = [("document", "7")];
    let first = ask(documents.as_ref(), &who).await;
    let State::Accepted { poll } = &first.state else { panic!("{first:?}") };
    assert_eq!(deletions(&sandbox), 2, "each generation is deleted, and nothing else");
    // somebody brings it back: it is erased once more
    sandbox.seed("gcs", &json!({"restore": true}));
    let again = ask(documents.as_ref(), &who).await;
    assert!(matches!(again.state, State::Accepted { .. }) && deletions(&sandbox) == 4, "{again:?}");
    // hard deletions are paused: the time comes and proves nothing
    sandbox.seed("gcs", &json!({"pause_hard_deletions": true, "days_pass": 8}));
    let paused = ask(documents.as_ref(), &who).await;
    assert!(matches!(paused.state, State::Accepted { .. }), "{paused:?}");
    sandbox.seed("gcs", &json!({"pause_hard_deletions": false}));
    assert_eq!(ask(documents.as_ref(), &who).await, Answer::gone(Grade::E1));
    // a ticket says nothing of another bucket
    let tickets = [poll.ticket.clone(), "x".to_owned()];
    let states = |answers: Vec<Answer>| answers.into_iter().map(|answer| answer.state.word()).collect::<Vec<_>>();
    assert_eq!(states(documents.poll(&tickets).await), ["elapsed", "forgotten"]);
    let other = bucket(&sandbox, "plain", "keys: [\"id/{document}.jpg\"]");
    assert_eq!(states(other.poll(&tickets).await), ["forgotten", "forgotten"]);
    assert!(!poll.ticket.contains("jpg") && !poll.ticket.contains("uploads"), "{}", poll.ticket);
}

#[tokio::test]
async fn a_bucket_without_soft_delete_has_nothing_left_at_once() {
    let seed = json!({"objects": [{"bucket": "plain", "name": "id/7.jpg"}, {"bucket": "plain", "name": "id/70.jpg"}]});
    let sandbox = sandbox(&seed).await;
    let documents = bucket(&sandbox, "plain", "keys: [\"id/{document}.jpg\"]");
    assert_eq!(ask(documents.as_ref(), &[("document", "7")]).await, Answer::confirmed(Grade::E1));
    assert_eq!(ask(documents.as_ref(), &[("document", "7")]).await, Answer::gone(Grade::E1));
    assert_eq!(deletions(&sandbox), 1);
}

#[tokio::test]
async fn holds_and_retention_are_explained() {
    let sandbox = sandbox(&json!({"objects": [
        {"name": "t", "temporaryHold": true, "retentionExpirationTime": "2041-02-03T00:00:00Z"},
        {"name": "e", "eventBasedHold": true},
        {"name": "p", "retentionExpirationTime": "2041-02-03T01:00:00.123Z"},
        {"name": "l", "retention": {"mode": "Locked", "retainUntilTime": "2041-02-03T00:00:00Z"}},
        {"name": "u", "retention": {"mode": "Unlocked", "retainUntilTime": "2041-02-03T00:00:00Z"}},
        {"name": "past", "retentionExpirationTime": "2021-02-03T00:00:00Z"},
    ]}))
    .await;
    let any = bucket(&sandbox, "uploads", "keys: [\"{path}\"]");
    for (key, words) in [
        ("t", "a temporary hold lies on a file: it stays until somebody takes the hold away"),
        ("e", "an event-based hold lies on a file: it stays until somebody takes the hold away"),
        ("p", "the bucket's retention policy keeps a file until 2041-02-03"),
        ("l", "a file is locked until 2041-02-03, and nobody can delete it before"),
        ("u", "a file's retention lasts until 2041-02-03: wait, or let somebody who may override it take it away"),
    ] {
        let answer = ask(any.as_ref(), &[("path", key)]).await;
        assert_eq!((reason(&answer), is_refused(&answer)), (words, true));
    }
    assert!(matches!(ask(any.as_ref(), &[("path", "past")]).await.state, State::Accepted { .. }));
}

/// What is no list of this bucket proves nothing, and what is refused says why.
#[tokio::test]
async fn only_its_own_empty_list_is_an_end() {
    let sandbox = sandbox(&objects(&["f1"])).await;
    let any = bucket(&sandbox, "uploads", "keys: [\"{path}\"]");
    let fault = |status: u16, path: &str, method: &str, body: &str| {
        sandbox.fault(Fault {
            vendor: "gcs".to_owned(),
            method: Some(method.to_owned()),
            path: path.to_owned(),
            times: Some(if status >= 500 { 9 } else { 1 }),
            status: Some(status),
            body: body.to_owned(),
            ..Fault::default()
        });
    };
    let list = "/storage/v1/b/uploads/o";
    for (status, body, words, refused) in [
        (200, "{}", "an answer that cannot be read", false),
        (200, r#"{"kind": "storage#objects", "items": {}}"#, "an answer that cannot be read", false),
        (200, r#"{"kind": "storage#buckets"}"#, "an answer that cannot be read", false),
        (200, "<html></html>", "a page", false),
        (200, r#"{"kind": "storage#objects", "items": [{"name": "b", "generation": "1"}]}"#, "other files", true),
        (200, r#"{"kind": "storage#objects", "items": [{"name": "f1"}]}"#, "other files", true),
        (404, "<html></html>", "not of this API", true),
        (404, "{}", "not of this API", true),
        (404, r#"{"error": {"code": 404}}"#, "there is no such bucket", true),
        (
            403,
            r#"{"error": {"code": 403, "errors": [{"reason": "forbidden"}]}}"#,
            "it has to list and delete objects",
            true,
        ),
        (503, "{}", "HTTP 503", false),
    ] {
        fault(status, list, "GET", body);
        let answer = ask(any.as_ref(), &[("path", "f1")]).await;
        assert!(reason(&answer).contains(words), "{status} {body}: {answer:?}");
        assert_eq!(is_refused(&answer), refused, "{status} {body}: {answer:?}");
        sandbox.clear_faults();
    }
    assert_eq!(deletions(&sandbox), 0);
    // of a deletion, only Google's own 404 says that somebody was faster
    fault(404, list, "DELETE", "<html></html>");
    assert!(is_refused(&ask(any.as_ref(), &[("path", "f1")]).await));
    fault(403, list, "DELETE", r#"{"error": {"code": 403, "errors": [{"reason": "forbidden"}]}}"#);
    let answer = ask(any.as_ref(), &[("path", "f1")]).await;
    assert!(reason(&answer).contains("may not do this (HTTP 403), forbidden"), "{answer:?}");
    assert!(matches!(ask(any.as_ref(), &[("path", "f1")]).await.state, State::Accepted { .. }));
    let forbidden = bucket(&sandbox, "forbidden", "keys: [\"{path}\"]");
    assert!(is_refused(&ask(forbidden.as_ref(), &[("path", "f1")]).await));
    assert!(!forbidden.check().await.unwrap_err().temporary);
}

/// The list of soft-deleted files is a proof of its own.
#[tokio::test]
async fn without_the_list_of_soft_deleted_files_nothing_is_gone() {
    let gone = r#"{"kind": "storage#objects"}"#;
    let token = r#"{"access_token": "t", "expires_in": 3600}"#;
    for (status, soft) in [
        (200, "{}"),
        (200, r#"{"kind": "storage#objects", "items": [{"name": "a", "generation": "1"}]}"#),
        (400, r#"{"error": {"code": 400}}"#),
        (403, r#"{"error": {"code": 403}}"#),
        (404, r#"{"error": {"code": 404}}"#),
    ] {
        // after 400, the bucket is looked at, and this is no bucket
        let server = Recorder::start(&[(200, token), (200, gone), (status, soft)]).await;
        let url = &server.url;
        let any = open(&format!(
            "{{kind: gcs, bucket: uploads, url: \"{url}\", token_url: \"{url}\", {USER}, keys: [\"{{path}}\"]}}"
        ));
        let answer = delete_one(any.as_ref(), subject(&[("path", "a")])).await;
        assert!(
            matches!(answer.state, State::Refused { .. } | State::Unreachable { .. }),
            "{status} {soft}: {answer:?}"
        );
    }
}

/// Requests as the discovery document has them, and a service account's token.
#[tokio::test]
async fn an_object_is_one_segment_and_a_prefix_one_parameter() {
    let server = Recorder::start(&[
        (200, r#"{"access_token": "t", "expires_in": 3600}"#),
        (200, r#"{"kind": "storage#objects", "items": [{"name": "a b/c?+%2F写", "generation": "17"}]}"#),
        (204, ""),
        (200, r#"{"kind": "storage#objects"}"#),
    ])
    .await;
    let url = &server.url;
    let any = open(&format!(
        "{{kind: gcs, bucket: uploads, url: \"{url}\", token_url: \"{url}\", {USER}, keys: [\"{{path}}\"]}}"
    ));
    let answer = delete_one(any.as_ref(), subject(&[("path", "a b/c?+%2F写")])).await;
    assert_eq!(answer, Answer::confirmed(Grade::E1));
    let lines: Vec<String> =
        server.requests().iter().map(|request| request.lines().next().unwrap().to_owned()).collect();
    let fields = "fields=kind%2CnextPageToken%2Citems%28name%2Cgeneration%2ChardDeleteTime%29&maxResults=250";
    let list =
        |which: &str| format!("GET /storage/v1/b/uploads/o?prefix=a+b%2Fc%3F%2B%252F%E5%86%99&{which}=true&{fields}");
    assert_eq!(
        lines[1..],
        [
            list("versions"),
            "DELETE /storage/v1/b/uploads/o/a%20b%2Fc%3F%2B%252F%E5%86%99?generation=17".to_owned(),
            list("versions"),
            list("softDeleted"),
        ]
    );
}

/// The row waits for its file until the day on which nothing is kept, and nobody doubts then that all are gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_waits_until_its_file_is_gone() {
    let sandbox = sandbox(&objects(&["id/1.jpg", "id/2.jpg", "id/3.jpg", "id/4.jpg"])).await;
    let mut bench = Bench::new(Engine::Sqlite).await;
    bench.variables = vec![("X", "secret".to_owned()), ("Y", "1//token".to_owned())];
    bench.script("create table t (id {int} primary key, on_day {date} not null, document {text})").await;
    bench
        .script(
            "insert into t values (1, '2001-01-01', 'id/1.jpg'), (2, '2001-01-01', 'id/2.jpg'), (3, '2001-01-01', 'id/3.jpg'),
               (4, '2026-11-01', 'id/4.jpg')",
        )
        .await;
    let url = sandbox.url("gcs");
    bench.settings(&format!(
        "time_zone: Asia/Tokyo\nlimits: {{max_share: 100%}}\nrecipients: {{uploads: {{kind: gcs, bucket: uploads, url: \"{url}\", \
         token_url: \"{url}/token\", client_id: a, client_secret: \"${{X}}\", refresh_token: \"${{Y}}\", keys: [\"{{path}}\"]}}}}"
    ));
    bench.rules(
        "- {id: t, table: core.t, starting_point: on_day, retention_period: 5 years, disposition: erase, recipients: [{uploads: \
         {path: document}}]}",
    );
    let days_ago =
        |days: u64| (jiff::Timestamp::now() - Duration::from_secs(days * 86_400)).strftime("%Y-%m-%d").to_string();
    bench.sunset(&["run", "--now", &days_ago(9)]).expect(0);
    assert_eq!(bench.list("select id from t order by id").await, "1 2 3 4");
    assert_eq!(deletions(&sandbox), 3);
    // some days later nobody is asked, and the rows wait
    bench.sunset(&["run", "--now", &days_ago(5)]).expect(0);
    assert_eq!((bench.list("select id from t order by id").await, deletions(&sandbox)), ("1 2 3 4".to_owned(), 3));
    sandbox.seed("gcs", &json!({"days_pass": 8}));
    bench.sunset(&["run", "--now", &days_ago(0)]).expect(0);
    assert_eq!(bench.list("select id from t order by id").await, "4");
    assert_eq!(deletions(&sandbox), 3);
}
