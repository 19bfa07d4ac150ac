//! Azure Blob Storage: against Azurite with Microsoft's own library as the other party, and against the sandbox's stand-in for
//! what Azurite does not do: versions, soft delete, policies and holds.

use super::{ask, is_refused, reason};
use crate::{
    recipients::{open, plumbing, recorder::Recorder, secret_settings},
    support::{
        npm,
        python::{self, Running},
    },
};
use serde_json::{Value, json};
use std::{path::PathBuf, process::Command};
use sunset::{
    evidence::Grade,
    recipients::{self, Answer, Checked, Recipient, State},
    sandbox::{Fault, Sandbox},
};

/// Microsoft publishes it for emulators: nothing is protected by it.
const EMULATORS_KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// The stand-in's.
const KEY: &str = "c2FuZGJveA==";

fn with_secret(secret: &str, yaml: &str) -> Box<dyn Recipient> {
    recipients::open(&secret_settings(yaml, secret), &plumbing()).unwrap()
}

/// Azurite (npm) and Microsoft's library (PyPI).
struct Azurite {
    url: String,
    python: PathBuf,
    _server: Running,
}

impl Azurite {
    /// `None` where one of them cannot be installed, which is said.
    async fn start() -> Option<Self> {
        let program = npm::install("azurite-blob", "azurite@3.37.0")?;
        let python = python::library("azure.storage.blob", &["azure-storage-blob==12.31.1"])?.join("python");
        let port = python::free_port();
        let mut command = Command::new(program);
        command.args([
            "--blobHost",
            "127.0.0.1",
            "--inMemoryPersistence",
            "--silent",
            "--disableTelemetry",
            "--blobPort",
        ]);
        let server = python::start(command.arg(port.to_string()), port).await;
        let azurite = Self { url: format!("http://127.0.0.1:{port}/devstoreaccount1"), python, _server: server };
        azurite.microsoft("service.create_container('uploads')");
        Some(azurite)
    }

    /// What Microsoft's own library does and prints.
    fn microsoft(&self, script: &str) -> String {
        let head = format!(
            "import datetime\n\
             from azure.storage.blob import BlobServiceClient, generate_container_sas\n\
             key = '{EMULATORS_KEY}'\n\
             service = BlobServiceClient('{}', credential=key, api_version='2026-06-06')\n\
             uploads = service.get_container_client('uploads')\n\
             def put(*names):\n    for name in names: uploads.upload_blob(name, b'x', overwrite=True)\n\
             def left(): print('|'.join(sorted(blob.name + ('@' if blob.snapshot else '') for blob in uploads.list_blobs(include=['snapshots']))))\n",
            self.url
        );
        let done = Command::new(&self.python).args(["-c", &(head + script)]).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap().trim_matches('\n').to_owned()
    }

    fn container(&self, container: &str, more: &str) -> Box<dyn Recipient> {
        self.with(EMULATORS_KEY, container, &format!("key: \"${{X}}\", {more}"))
    }

    fn with(&self, secret: &str, container: &str, more: &str) -> Box<dyn Recipient> {
        let url = &self.url;
        with_secret(
            secret,
            &format!("{{kind: azure_blob, account: devstoreaccount1, container: {container}, url: \"{url}\", {more}}}"),
        )
    }
}

#[tokio::test]
async fn no_blob_and_no_snapshot_is_left() {
    let Some(azurite) = Azurite::start().await else { return };
    azurite.microsoft(
        "put('id/7.jpg', 'id/7.jpg2', 'id/70.jpg', 'id/7', 'other')\n\
         for name in ['id/7.jpg', 'id/70.jpg']: uploads.get_blob_client(name).create_snapshot()\n\
         uploads.get_blob_client('id/7.jpg').create_snapshot()",
    );
    let documents = azurite.container("uploads", "keys: [\"id/{document}.jpg\"]");
    assert!(matches!(documents.check().await, Ok(Checked::Unproven { .. })));
    assert_eq!(ask(documents.as_ref(), &[("document", "7")]).await, Answer::confirmed(Grade::E1));
    assert_eq!(azurite.microsoft("left()"), "id/7|id/7.jpg2|id/70.jpg|id/70.jpg@|other");
    assert_eq!(ask(documents.as_ref(), &[("document", "7")]).await, Answer::gone(Grade::E1));
    let nowhere = azurite.container("nowhere", "keys: [\"{path}\"]");
    assert_eq!(reason(&ask(nowhere.as_ref(), &[("path", "a")]).await), "there is no such container");
    assert_eq!(nowhere.check().await.unwrap_err().reason, "there is no such container");
    let wrong = azurite.with("d3Jvbmc=", "uploads", "key: \"${X}\", keys: [\"{path}\"]");
    assert!(is_refused(&ask(wrong.as_ref(), &[("path", "other")]).await));
}

#[tokio::test]
async fn everything_below_a_prefix_goes_from_azurite() {
    let Some(azurite) = Azurite::start().await else { return };
    azurite.microsoft(
        "for i in range(130): put(f'exports/1/{i}')\n\
         put('exports/12/a', 'exports/1', 'exports/1x/a', 'scans/1 & 2/ü+%2F 写真.jpg', 'scans/other', 'exports/1/ a ', 'exports/1//b')",
    );
    let exports = azurite.container("uploads", "prefixes: [\"exports/{member}/\"], keys: [\"scans/{scan?}\"]");
    let both = [("member", "1"), ("scan", "1 & 2/ü+%2F 写真.jpg")];
    assert_eq!(ask(exports.as_ref(), &both).await, Answer::confirmed(Grade::E1));
    assert_eq!(azurite.microsoft("left()"), "exports/1|exports/12/a|exports/1x/a|scans/other");
    for member in [".", "..", "a/b", "/", "1/", "/1", "a\\b", "a\nb", "1."] {
        let answer = ask(exports.as_ref(), &[("member", member), ("scan", "other")]).await;
        assert!(is_refused(&answer), "{member}: {answer:?}");
    }
    assert_eq!(azurite.microsoft("left()"), "exports/1|exports/12/a|exports/1x/a|scans/other");
}

#[tokio::test]
async fn leases_and_signatures_of_azurite() {
    let Some(azurite) = Azurite::start().await else { return };
    azurite.microsoft("put('f1', 'f2', 'f3')\nuploads.get_blob_client('f1').acquire_lease()");
    let any = azurite.container("uploads", "keys: [\"{path}\"]");
    let leased = "a file is leased: it stays until whoever holds the lease gives it up";
    assert_eq!(reason(&ask(any.as_ref(), &[("path", "f1")]).await), leased);
    let signature = |permissions: &str| {
        azurite.microsoft(&format!(
            "print(generate_container_sas('devstoreaccount1', 'uploads', account_key=key, permission='{permissions}', \
             expiry=datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)))"
        ))
    };
    let signed = azurite.with(&signature("rldx"), "uploads", "sas: \"${X}\", keys: [\"{path}\"]");
    // Azurite does not tell a container's signature what the account is, without which nothing is proven
    let answer = ask(signed.as_ref(), &[("path", "f2")]).await;
    assert_eq!(reason(&answer), "the account does not say whether it has a hierarchical namespace");
    assert_eq!(azurite.microsoft("left()"), "f1|f3");
    let reading = azurite.with(&signature("rl"), "uploads", "sas: \"${X}\", keys: [\"{path}\"]");
    let answer = ask(reading.as_ref(), &[("path", "f3")]).await;
    assert!(reason(&answer).contains("HTTP 403 AuthorizationPermissionMismatch"), "{answer:?}");
    assert_eq!(azurite.microsoft("left()"), "f1|f3");
}

async fn sandbox(seed: &Value) -> Sandbox {
    let sandbox = Sandbox::start(0, true).await.unwrap();
    sandbox.seed("azure_blob", seed);
    sandbox
}

fn container(sandbox: &Sandbox, more: &str) -> Box<dyn Recipient> {
    with(sandbox, KEY, &format!("key: \"${{X}}\", {more}"))
}

fn with(sandbox: &Sandbox, secret: &str, more: &str) -> Box<dyn Recipient> {
    let url = sandbox.url("azure_blob");
    with_secret(
        secret,
        &format!("{{kind: azure_blob, account: examplestore, container: uploads, url: \"{url}\", {more}}}"),
    )
}

fn deletions(sandbox: &Sandbox) -> u64 {
    sandbox.calls("azure_blob").get("DELETE /{container}/{blob}").copied().unwrap_or_default()
}

fn days(answer: &Answer) -> f64 {
    let State::Accepted { poll } = &answer.state else { panic!("{answer:?}") };
    assert_eq!(answer.grade, Some(Grade::E2));
    poll.again_after.as_secs_f64() / 86_400.0
}

#[tokio::test]
async fn no_version_is_left() {
    let blobs = json!([{"name": "a"}, {"name": "a", "snapshot": true}, {"name": "a"}, {"name": "ab"}]);
    for page in [1, 5000] {
        let sandbox = sandbox(&json!({"versions": true, "page": page, "blobs": blobs})).await;
        let any = container(&sandbox, "keys: [\"{path}\"]");
        assert_eq!(ask(any.as_ref(), &[("path", "a")]).await, Answer::confirmed(Grade::E1));
        assert_eq!(deletions(&sandbox), 4, "the blob with its snapshot, and three versions");
        assert_eq!(ask(any.as_ref(), &[("path", "a")]).await, Answer::gone(Grade::E1));
        assert_eq!(ask(any.as_ref(), &[("path", "ab")]).await, Answer::confirmed(Grade::E1));
    }
}

#[tokio::test]
async fn what_the_accounts_soft_delete_keeps_is_not_gone() {
    for versions in [false, true] {
        let blobs = json!([{"name": "p/a", "snapshot": true}, {"name": "p/a"}, {"name": "p/b"}]);
        let sandbox = sandbox(&json!({"versions": versions, "soft_delete": 7, "blobs": blobs})).await;
        let below = container(&sandbox, "prefixes: [\"{who}/\"]");
        let answer = ask(below.as_ref(), &[("who", "p")]).await;
        assert!((5.9..7.1).contains(&days(&answer)), "{answer:?}");
        let said = answer.state.reason().unwrap();
        assert!(said.starts_with("erased, but the account's soft delete keeps it until 20"), "{said}");
        let State::Accepted { poll } = &answer.state else { panic!() };
        let polled = below.poll(&[poll.ticket.clone(), "0/1".to_owned()]).await;
        assert_eq!((&polled[0].state, polled[1].state.word()), (&State::Elapsed, "forgotten"));
        let before = deletions(&sandbox);
        // the last hours count as a day
        sandbox.seed("azure_blob", &json!({"days_pass": 6}));
        assert!((0.9..1.1).contains(&days(&ask(below.as_ref(), &[("who", "p")]).await)));
        sandbox.seed("azure_blob", &json!({"days_pass": 2}));
        assert_eq!(ask(below.as_ref(), &[("who", "p")]).await, Answer::gone(Grade::E1));
        assert_eq!(deletions(&sandbox), before, "what is deleted is not deleted again");
    }
}

#[tokio::test]
async fn versions_may_be_erased_for_good() {
    let seed = json!({"versions": true, "soft_delete": 7, "allow_permanent": true, "blobs": [{"name": "a", "snapshot": true}, {"name": "a"}]});
    let sandbox = sandbox(&seed).await;
    let any = container(&sandbox, "permanent: true, keys: [\"{path}\"]");
    assert_eq!(ask(any.as_ref(), &[("path", "a")]).await, Answer::confirmed(Grade::E1));
    assert_eq!(ask(any.as_ref(), &[("path", "a")]).await, Answer::gone(Grade::E1));
    // a blob without versions stays until its day
    sandbox.seed("azure_blob", &json!({"versions": false, "blobs": [{"name": "b"}]}));
    assert!(days(&ask(any.as_ref(), &[("path", "b")]).await) > 5.9);
    sandbox.seed("azure_blob", &json!({"versions": true, "allow_permanent": false, "blobs": [{"name": "c"}]}));
    let answer = ask(any.as_ref(), &[("path", "c")]).await;
    let words = "what soft delete keeps cannot be erased (HTTP 409 OperationNotAllowed): allow permanent deletion in the account and to the \
                 credentials, or leave `permanent` out";
    assert_eq!((reason(&answer), is_refused(&answer)), (words, true));
}

#[tokio::test]
async fn policies_and_holds_are_explained() {
    let until = "Sun, 03 Feb 2041 00:00:00 GMT";
    let sandbox = sandbox(&json!({"versions": true, "blobs": [
        {"name": "h", "legal_hold": true},
        {"name": "l", "until": until, "mode": "locked"},
        {"name": "u", "until": until, "mode": "unlocked"},
        {"name": "c", "policy_of_container": true},
        {"name": "x", "lease": true},
    ]}))
    .await;
    let any = container(&sandbox, "keys: [\"{path}\"]");
    for (key, words) in [
        ("h", "a legal hold lies on a file: it stays until somebody takes the hold away"),
        ("l", "a file is locked until 2041-02-03, and nobody can delete it before"),
        (
            "u",
            "a policy keeps a file until 2041-02-03: wait, or let somebody take the policy away, which is not locked",
        ),
        (
            "c",
            "a policy of the container keeps a file, and Azure does not say until when: look at the container's policies",
        ),
        ("x", "a file is leased: it stays until whoever holds the lease gives it up"),
    ] {
        let answer = ask(any.as_ref(), &[("path", key)]).await;
        assert_eq!((reason(&answer), is_refused(&answer)), (words, true));
    }
}

/// Lists of such an account do not show what soft delete keeps.
#[tokio::test]
async fn a_hierarchical_account_proves_nothing() {
    let sandbox = sandbox(&json!({"hierarchical": true, "soft_delete": 7, "blobs": [{"name": "f1"}]})).await;
    let any = container(&sandbox, "keys: [\"{path}\"]");
    let words =
        "the account has a hierarchical namespace, where files that soft delete keeps cannot be seen: not supported";
    for path in ["f1", "nobody"] {
        let answer = ask(any.as_ref(), &[("path", path)]).await;
        assert_eq!((reason(&answer), is_refused(&answer)), (words, true));
    }
    assert_eq!(any.check().await.unwrap_err().reason, words);
}

#[tokio::test]
async fn credentials_are_told_apart() {
    let sandbox = sandbox(&json!({"blobs": [{"name": "a"}, {"name": "b"}, {"name": "c"}]})).await;
    let wrong = with(&sandbox, "d3Jvbmc=", "key: \"${X}\", keys: [\"{path}\"]");
    assert_eq!(reason(&ask(wrong.as_ref(), &[("path", "a")]).await), "it does not accept the credentials");
    assert!(!wrong.check().await.unwrap_err().temporary);
    let signature = |permissions: &str| format!("?sv=2023-11-03&sp={permissions}&sig=sandbox");
    let signed = with(&sandbox, &signature("rldx"), "sas: \"${X}\", keys: [\"{path}\"]");
    assert_eq!(ask(signed.as_ref(), &[("path", "a")]).await, Answer::confirmed(Grade::E1));
    for (permissions, path) in [("ldx", "c"), ("rdx", "b"), ("rlx", "b")] {
        let signed = with(&sandbox, &signature(permissions), "sas: \"${X}\", keys: [\"{path}\"]");
        let answer = ask(signed.as_ref(), &[("path", path)]).await;
        assert!(reason(&answer).contains("AuthorizationPermissionMismatch"), "{permissions}: {answer:?}");
        let is_about_the_account = reason(&answer).starts_with("what kind of account it is cannot be read");
        assert_eq!(is_about_the_account, permissions == "ldx", "{permissions}: {answer:?}");
    }
    // an application's token
    let tokens = Recorder::start(&[(200, r#"{"access_token": "sandbox", "expires_in": 3600}"#)]).await;
    let application = |tokens: &str| {
        let more = format!(
            "tenant: t, client_id: i, client_secret: \"${{X}}\", token_url: \"{tokens}\", keys: [\"{{path}}\"]"
        );
        with(&sandbox, "secret", &more)
    };
    assert_eq!(ask(application(&tokens.url).as_ref(), &[("path", "b")]).await, Answer::confirmed(Grade::E1));
    let form = "grant_type=client_credentials&client_id=i&client_secret=secret&scope=https%3A%2F%2Fstorage.azure.com%2F.default";
    assert!(tokens.requests()[0].ends_with(form), "{:?}", tokens.requests());
    let tokens = Recorder::start(&[(400, r#"{"error": "invalid_client"}"#)]).await;
    assert!(is_refused(&ask(application(&tokens.url).as_ref(), &[("path", "a")]).await));
    // what cannot be a key or a signature is not sent at all
    for (secret, what) in [("not base64!", "key"), ("sv=1&sp=rl", "sas")] {
        let yaml = format!("{{kind: azure_blob, account: a, container: c, {what}: \"${{X}}\", keys: [\"{{path}}\"]}}");
        let error = recipients::open(&secret_settings(&yaml, secret), &plumbing()).err().unwrap();
        assert!(error.reason.contains(what) && !error.reason.contains(secret), "{error}");
    }
}

/// What is no list of this container and prefix proves nothing.
#[tokio::test]
async fn only_its_own_empty_list_is_an_end() {
    let sandbox = sandbox(&json!({"blobs": [{"name": "f1"}]})).await;
    let any = container(&sandbox, "keys: [\"{path}\"]");
    let fault = |status: u16, method: &str, body: &str| {
        sandbox.fault(Fault {
            vendor: "azure_blob".to_owned(),
            method: Some(method.to_owned()),
            path: "/uploads".to_owned(),
            times: Some(if status >= 500 { 9 } else { 1 }),
            status: Some(status),
            body: body.to_owned(),
            ..Fault::default()
        });
    };
    let list = |container: &str, prefix: &str, blobs: &str| {
        format!(
            "<EnumerationResults ContainerName=\"{container}\"><Prefix>{prefix}</Prefix><Blobs>{blobs}</Blobs><NextMarker/></EnumerationResults>"
        )
    };
    let other = list("uploads", "f1", "<Blob><Name>b</Name></Blob><Blob><Name>f</Name></Blob>");
    for (status, body, words, refused) in [
        (200, String::new(), "an answer that cannot be read", false),
        (200, "<html></html>".to_owned(), "a page", false),
        (200, "{}".to_owned(), "an answer that cannot be read", false),
        (200, "<EnumerationResults/>".to_owned(), "an answer that cannot be read", false),
        (200, list("other", "f1", ""), "an answer that cannot be read", false),
        (200, list("uploads", "b", ""), "an answer that cannot be read", false),
        (200, list("uploads", "f1", "")[..60].to_owned(), "an answer that cannot be read", false),
        (200, other, "other files", true),
        (404, "<html></html>".to_owned(), "without Azure's code", true),
        (404, "<Error><Code>ContainerNotFound</Code></Error>".to_owned(), "there is no such container", true),
        (409, "<Error><Code>ContainerBeingDeleted</Code></Error>".to_owned(), "HTTP 409 ContainerBeingDeleted", true),
        (503, "<Error><Code>ServerBusy</Code></Error>".to_owned(), "HTTP 503", false),
    ] {
        fault(status, "GET", &body);
        let answer = ask(any.as_ref(), &[("path", "f1")]).await;
        assert!(reason(&answer).contains(words), "{status} {body}: {answer:?}");
        assert_eq!(is_refused(&answer), refused, "{status} {body}: {answer:?}");
        sandbox.clear_faults();
    }
    assert_eq!(deletions(&sandbox), 0);
    fault(404, "DELETE", "<html></html>");
    assert!(is_refused(&ask(any.as_ref(), &[("path", "f1")]).await));
    assert_eq!(ask(any.as_ref(), &[("path", "f1")]).await, Answer::confirmed(Grade::E1));
}

/// Nothing is kept that does not say for how long.
#[tokio::test]
async fn a_deleted_blob_without_an_end_is_not_gone() {
    let sandbox = sandbox(&json!({})).await;
    let any = container(&sandbox, "keys: [\"{path}\"]");
    let body = "<EnumerationResults ContainerName=\"uploads\"><Prefix>a</Prefix><Blobs><Blob><Name>a</Name><Deleted>true</Deleted>\
                <Properties/></Blob></Blobs><NextMarker/></EnumerationResults>";
    let fault = Fault {
        vendor: "azure_blob".to_owned(),
        path: "/uploads".to_owned(),
        times: Some(2),
        status: Some(200),
        ..Fault::default()
    };
    sandbox.fault(Fault { body: body.to_owned(), ..fault });
    let answer = ask(any.as_ref(), &[("path", "a")]).await;
    assert!(matches!(answer.state, State::Unreachable { .. }), "{answer:?}");
}

#[tokio::test]
async fn a_blobs_slashes_stay_and_a_prefix_is_one_parameter() {
    let answer = r#"<EnumerationResults ContainerName="uploads"><Prefix>a b/c?+%2F写</Prefix><Blobs><Blob><Name>a b/c?+%2F写</Name></Blob></Blobs></EnumerationResults>"#;
    let server = Recorder::start(&[(200, answer), (202, ""), (200, "")]).await;
    let yaml = format!(
        "{{kind: azure_blob, account: a, container: uploads, url: \"{}\", sas: \"${{X}}\", keys: [\"{{path}}\"]}}",
        server.url
    );
    let any = with_secret("sv=2023-11-03&sig=a%2Fb", &yaml);
    ask(any.as_ref(), &[("path", "a b/c?+%2F写")]).await;
    let lines: Vec<String> =
        server.requests().iter().map(|request| request.lines().next().unwrap().to_owned()).collect();
    let sas = "sv=2023-11-03&sig=a%2Fb";
    assert_eq!(
        lines[..2],
        [
            format!(
                "GET /uploads?restype=container&comp=list&include=snapshots%2Cversions%2Cdeleted&maxresults=250&\
                 prefix=a%20b%2Fc%3F%2B%252F%E5%86%99&{sas}"
            ),
            format!("DELETE /uploads/a%20b/c%3F%2B%252F%E5%86%99?{sas}"),
        ]
    );
}

#[test]
fn settings_are_checked() {
    let problem = |yaml: &str| {
        let told = std::panic::catch_unwind(|| open(yaml));
        told.map_or_else(|told| told.downcast_ref::<String>().cloned().unwrap_or_default(), |_| "fine".to_owned())
    };
    for (more, words) in [
        ("account: a", "nothing proves who calls"),
        ("account: a, key: \"${X}\", sas: \"${X}\"", "more than one proof"),
        ("account: a, key: \"${X}\", client_id: a", "more than one proof"),
        ("account: a, client_id: a", "an application takes"),
        ("account: A/b, key: \"${X}\"", "no account has this name"),
    ] {
        let told = problem(&format!("{{kind: azure_blob, container: c, keys: [\"{{path}}\"], {more}}}"));
        assert!(told.contains(words), "{more}: {told}");
    }
    let told = problem("{kind: azure_blob, account: a, container: a/b, key: \"${X}\", keys: [\"{path}\"]}");
    assert!(told.contains("no container has this name"), "{told}");
}
