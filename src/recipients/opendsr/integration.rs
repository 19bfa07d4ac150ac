//! OpenDSR against its stand-in, its signatures against Python's `cryptography`.

use super::{delete_one, plumbing, printed_settings, secret_settings, stand_in, subject};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::time::Duration;
use sunset::{
    evidence::Grade,
    recipients::{
        self, Answer, Checked, Recipient, State, Subject,
        opendsr::{
            Status,
            signature::{Authorities, Fault as Untrusted, Processor, Rejection, callback},
        },
    },
    sandbox::{Fault, Sandbox},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

const WHO: &str = "Taro.Yamada@example.co.jp";
const TOKEN: &str = "dsr_hunter2";
/// Signatures over `body` by the keys of the stand-in, made with `cryptography` 50.0.2.
const SIGNATURES: &str = include_str!("stand_in/signatures.json");
const AUTHORITY: &str = include_str!("stand_in/authority.pem");
const CERTIFICATE: &str = include_str!("stand_in/certificate.pem");
const RSA_CERTIFICATE: &str = include_str!("stand_in/rsa_certificate.pem");
const DOMAIN: &str = "opendsr.sandbox.example";
const ADDRESS: &str = "https://examplecontroller.com/OpenCompliance_callbacks";

fn authority() -> String {
    AUTHORITY.lines().filter(|line| !line.starts_with('-')).collect()
}

fn with_token(url: &str, token: &str, more: &str) -> Box<dyn Recipient> {
    let yaml = format!(
        "{{kind: opendsr, url: \"{url}\", token: \"${{X}}\", domain: {DOMAIN}, certificate_authority: \"{}\"{more}}}",
        authority()
    );
    recipients::open(&secret_settings(&yaml, token), &plumbing()).unwrap()
}

async fn sandbox() -> Sandbox {
    Sandbox::start(0, true).await.unwrap()
}

fn open(sandbox: &Sandbox, more: &str) -> Box<dyn Recipient> {
    with_token(&sandbox.url("opendsr"), TOKEN, more)
}

fn seed(sandbox: &Sandbox, seed: Value) {
    sandbox.seed("opendsr", &seed);
}

fn person() -> Subject {
    subject(&[("email", WHO)])
}

fn quiet(answer: Answer) -> Answer {
    let text = format!("{answer:?}").to_lowercase();
    for secret in ["yamada", TOKEN, "http://"] {
        assert!(!text.contains(secret), "{text}");
    }
    answer
}

async fn ask(recipient: &dyn Recipient) -> Answer {
    quiet(delete_one(recipient, person()).await)
}

async fn poll(recipient: &dyn Recipient, ticket: &str) -> Answer {
    quiet(recipient.poll(&[ticket.to_owned()]).await.remove(0))
}

fn ticket(answer: &Answer) -> String {
    let State::Accepted { poll } = &answer.state else { panic!("{answer:?}") };
    poll.ticket.clone()
}

fn reason(answer: &Answer) -> &str {
    match &answer.state {
        State::Refused { reason } | State::NotPossible { reason } | State::Unreachable { reason, .. } => reason,
        state => panic!("{state:?}"),
    }
}

#[tokio::test]
async fn a_request_is_polled_to_its_end() {
    for (names, route) in [
        ("", "/requests"),
        (", names: opencompliance", "/opencompliance_requests"),
        (", names: opengdpr, property_id: id123", "/opengdpr_requests"),
    ] {
        let sandbox = sandbox().await;
        let opendsr = open(&sandbox, names);
        let answer = ask(&*opendsr).await;
        let ticket = ticket(&answer);
        assert_eq!(answer.grade, Some(Grade::E2));
        assert_eq!(answer.request_id.as_ref(), Some(&ticket));
        // Pending, then in progress.
        for _ in 0..2 {
            let answer = poll(&*opendsr, &ticket).await;
            let State::Accepted { poll } = &answer.state else { panic!("{answer:?}") };
            assert!((Duration::from_secs(1)..=Duration::from_secs(61)).contains(&poll.again_after));
        }
        let answer = poll(&*opendsr, &ticket).await;
        assert_eq!((&answer.state, answer.grade), (&State::Confirmed, Some(Grade::E1)));
        let calls = sandbox.calls("opendsr");
        assert_eq!(calls[&format!("POST {route}")], 1);
        assert_eq!(calls[&format!("GET {route}/{{id}}")], 3);
        assert_eq!((calls["GET /discovery"], calls["GET /certificate.pem"]), (1, 1));
    }
}

#[tokio::test]
async fn whom_nobody_knows_is_gone() {
    let sandbox = sandbox().await;
    seed(&sandbox, json!({"people": ["somebody@example.com"]}));
    let opendsr = open(&sandbox, "");
    let ticket = ticket(&ask(&*opendsr).await);
    poll(&*opendsr, &ticket).await;
    poll(&*opendsr, &ticket).await;
    let answer = poll(&*opendsr, &ticket).await;
    assert_eq!((answer.state, answer.grade), (State::Gone, Some(Grade::E1)));
}

#[tokio::test]
async fn a_repeated_request_is_found_again() {
    for word in ["", "twice"] {
        let sandbox = sandbox().await;
        seed(&sandbox, json!({"answer": word}));
        // Done, but the answer is lost.
        sandbox.fault(Fault {
            vendor: "opendsr".into(),
            path: "/requests".into(),
            break_off: Some("after".into()),
            ..Fault::default()
        });
        let first = ticket(&ask(&*open(&sandbox, "")).await);
        // So does the next run.
        let next = open(&sandbox, "");
        assert_eq!(ticket(&ask(&*next).await), first);
        if word.is_empty() {
            seed(&sandbox, json!({"status": "completed"}));
            assert_eq!(ask(&*next).await.state, State::Confirmed);
        }
    }
}

#[tokio::test]
async fn what_was_cancelled_is_refused() {
    let sandbox = sandbox().await;
    let opendsr = open(&sandbox, "");
    let first = ticket(&ask(&*opendsr).await);
    seed(&sandbox, json!({"status": "cancelled"}));
    let cancelled = poll(&*opendsr, &first).await;
    assert!(matches!(&cancelled.state, State::Refused { reason } if reason.contains("cancelled")), "{cancelled:?}");
    // A person has said that it is asked for anew.
    let second = ticket(&ask(&*opendsr).await);
    assert_ne!(first, second);
    assert!(matches!(poll(&*opendsr, &second).await.state, State::Accepted { .. }));
    let unknown = poll(&*opendsr, "a7551968-d5d6-44b2-9831-815ac9017798").await;
    assert!(matches!(&unknown.state, State::Forgotten { reason } if reason.contains("knows no such request")));
    assert!(matches!(poll(&*opendsr, "../discovery").await.state, State::Refused { .. }));
}

/// What goes over the wire.
#[tokio::test]
async fn the_request_is_as_the_document_writes_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v2", listener.local_addr().unwrap());
    let discovery = json!({
        "api_version": "2.0", "supported_subject_request_types": ["erasure"],
        "supported_identities": [
            {"identity_type": "email", "identity_format": "raw"}, {"identity_type": "email", "identity_format": "sha256"},
            {"identity_type": "ios_advertising_id", "identity_format": "md5"},
        ],
    });
    let answers = [("200 OK", discovery.to_string()), ("201 Created", "{}".to_owned())];
    let server = tokio::spawn(async move {
        let mut requests = Vec::new();
        for (status, answer) in answers {
            let (mut connection, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            let complete = |request: &[u8]| {
                let text = String::from_utf8_lossy(request).to_lowercase();
                let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                length.is_none_or(|length| body.len() >= length.parse::<usize>().unwrap())
            };
            while !complete(&request) {
                connection.read_buf(&mut request).await.unwrap();
            }
            let reply =
                format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{answer}", answer.len());
            connection.write_all(reply.as_bytes()).await.unwrap();
            requests.push(String::from_utf8(request).unwrap());
        }
        requests
    });
    let more = ", signatures: unchecked, format: sha256, regulation: ccpa, callbacks: [\"https://shop.example/c\"], \
                extensions: {opendsr.mparticle.com: {mpids: [1]}}";
    let opendsr = with_token(&url, TOKEN, more);
    let who = subject(&[
        ("email", WHO),
        ("ios_advertising_id", "6D92078A-8246-4BA4-AE5B-76104861E7DC"),
        ("android_id", "9774d56d682e549c"),
    ]);
    let id = ticket(&quiet(delete_one(&*opendsr, who).await));
    let requests = server.await.unwrap();
    assert!(requests[0].starts_with("GET /v2/discovery HTTP/1.1\r\n"), "{}", requests[0]);
    let (head, body) = requests[1].split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /v2/requests HTTP/1.1\r\n"), "{head}");
    for line in ["content-type: application/json", "accept: application/json", "authorization: Bearer dsr_hunter2"] {
        assert!(head.lines().any(|header| header == line), "{head}");
    }
    let body: Value = serde_json::from_str(body).unwrap();
    let submitted: Timestamp = body["submitted_time"].as_str().unwrap().parse().unwrap();
    assert!((Timestamp::now().as_second() - submitted.as_second()).abs() < 60);
    assert_eq!(
        body,
        json!({
            "regulation": "ccpa",
            "subject_request_id": id,
            "subject_request_type": "erasure",
            "submitted_time": body["submitted_time"],
            // The processor knows no Android ids. `printf %s taro.yamada@example.co.jp | sha256sum`, and `md5sum` of the IDFA.
            "subject_identities": [
                {"identity_type": "email", "identity_value": "ee88fe0f2c99e5f6d29bc9f6647db4253d1be8bd8c39d38dcfcf0cb82886f06e", "identity_format": "sha256"},
                {"identity_type": "ios_advertising_id", "identity_value": "f2d1311ca5c1ecb214c19a26e9ddbad0", "identity_format": "md5"},
            ],
            "api_version": "2.0",
            "status_callback_urls": ["https://shop.example/c"],
            "extensions": {"opendsr.mparticle.com": {"mpids": [1]}},
        })
    );
}

#[tokio::test]
async fn what_is_not_signed_is_not_believed() {
    for (word, expected) in [
        ("unsigned", "no signature"),
        ("bad_signature", "the signature is not valid"),
        ("other_domain", "another processor's domain"),
        ("other_request", "receipt is for another request"),
        ("altered", "something else than what was sent"),
    ] {
        let sandbox = sandbox().await;
        seed(&sandbox, json!({"answer": word}));
        let answer = ask(&*open(&sandbox, "")).await;
        assert!(matches!(&answer.state, State::Unreachable { reason, .. } if reason.contains(expected)), "{answer:?}");
        assert_eq!(answer.grade, None);
        if word == "unsigned" {
            let answer = ask(&*open(&sandbox, ", signatures: unchecked")).await;
            assert!(matches!(answer.state, State::Accepted { .. }), "{answer:?}");
        }
    }
    // So it is with the end.
    let sandbox = sandbox().await;
    let opendsr = open(&sandbox, "");
    let ticket = ticket(&ask(&*opendsr).await);
    seed(&sandbox, json!({"status": "completed", "answer": "bad_signature"}));
    let answer = poll(&*opendsr, &ticket).await;
    assert!(matches!(&answer.state, State::Unreachable { reason, .. } if reason.contains("not valid")), "{answer:?}");
}

#[tokio::test]
async fn signatures_come_in_several_ways() {
    for more in [
        json!({"answer": "legacy"}),
        json!({"answer": "within"}),
        json!({"certificate": "rsa"}),
        json!({"certificate": "late"}),
    ] {
        let sandbox = sandbox().await;
        seed(&sandbox, more.clone());
        let answer = ask(&*open(&sandbox, "")).await;
        assert!(matches!(answer.state, State::Accepted { .. }), "{more}: {answer:?}");
        let fetched = sandbox.calls("opendsr")["GET /certificate.pem"];
        assert_eq!(fetched, if more["certificate"] == "late" { 2 } else { 1 }, "{more}");
    }
}

#[tokio::test]
async fn certificates_that_nobody_vouches_for_are_refused() {
    for (word, expected) in [
        ("expired", "it has expired"),
        ("other_name", "not for the processor's domain"),
        ("untrusted", "no trusted authority issued it"),
        ("self_signed", "no trusted authority issued it"),
    ] {
        let sandbox = sandbox().await;
        seed(&sandbox, json!({"certificate": word}));
        let opendsr = open(&sandbox, "");
        let answer = ask(&*opendsr).await;
        assert!(matches!(&answer.state, State::Unreachable { reason, .. } if reason.contains(expected)), "{answer:?}");
        // Nothing about anybody left the house.
        assert!(!sandbox.calls("opendsr").contains_key("POST /requests"));
        assert!(opendsr.check().await.unwrap_err().reason.contains(expected));
    }
    for (word, expected) in [("elsewhere", "on another host"), ("no_erasure", "no requests for erasure")] {
        let sandbox = sandbox().await;
        seed(&sandbox, json!({"answer": word}));
        let answer = ask(&*open(&sandbox, "")).await;
        assert!(matches!(&answer.state, State::Refused { reason } if reason.contains(expected)), "{answer:?}");
    }
}

#[tokio::test]
async fn identities_that_it_does_not_take_are_not_sent() {
    let sandbox = sandbox().await;
    let opendsr = open(&sandbox, ", format: sha1");
    let answers = opendsr.delete(&[subject(&[("roku_publisher_id", "r1")]), subject(&[]), person()]).await;
    assert!(reason(&answers[0]).contains("takes none of the identifiers"));
    assert!(matches!(answers[1].state, State::NotPossible { .. }));
    // It does not take SHA-1: the address goes as it is.
    assert!(matches!(answers[2].state, State::Accepted { .. }));
    assert_eq!(sandbox.calls("opendsr")["POST /requests"], 1);
}

#[tokio::test]
async fn credentials() {
    let sandbox = sandbox().await;
    let checked = open(&sandbox, "").check().await.unwrap();
    assert!(matches!(checked, Checked::Unproven { reason } if reason.contains("not refused")));
    let wrong = with_token(&sandbox.url("opendsr"), "expired", "");
    let error = wrong.check().await.unwrap_err();
    assert!(error.reason.contains("HTTP 401") && !error.temporary, "{error}");
    let answer = ask(&*wrong).await;
    assert!(matches!(&answer.state, State::Refused { reason } if reason.contains("HTTP 401")), "{answer:?}");
}

#[tokio::test]
async fn faults_on_the_way() {
    let fault = |path: &str| Fault { vendor: "opendsr".into(), path: path.into(), ..Fault::default() };
    for path in ["/discovery", "/certificate.pem", "/requests"] {
        for fault in [
            Fault { status: Some(500), times: Some(2), ..fault(path) },
            Fault { status: Some(429), ..fault(path) },
            Fault { status: Some(429), headers: [("retry-after".into(), "0".into())].into(), ..fault(path) },
            Fault { break_off: Some("before".into()), ..fault(path) },
            Fault { break_off: Some("half".into()), ..fault(path) },
        ] {
            let shown = format!("{fault:?}");
            let sandbox = sandbox().await;
            sandbox.fault(fault);
            let answer = ask(&*open(&sandbox, "")).await;
            assert!(matches!(answer.state, State::Accepted { .. }), "{shown}: {answer:?}");
        }
    }
    let said = |path: &str, status, body: &str| Fault {
        status: Some(status),
        body: body.into(),
        times: Some(9),
        ..fault(path)
    };
    for (fault, refused, expected) in [
        (said("/discovery", 500, ""), false, "HTTP 500 to discovery"),
        (said("/discovery", 404, ""), true, "HTTP 404 to discovery"),
        (said("/discovery", 200, "<html>"), false, "HTTP 200 with a page"),
        (said("/certificate.pem", 404, ""), false, "certificate is not where"),
        (said("/certificate.pem", 200, "-----BEGIN NOTHING-----"), false, "it is none"),
        (said("/requests", 500, ""), false, "HTTP 500 to ask for erasure"),
        (said("/requests", 201, "{}"), false, "no signature"),
        (
            said("/requests", 400, "{\"error\": {\"message\": \"taro.yamada@example.co.jp\"}}"),
            true,
            "HTTP 400 to the request",
        ),
        (said("/requests", 401, ""), true, "HTTP 401"),
        (said("/requests", 403, ""), true, "HTTP 403"),
        (said("/requests", 404, ""), true, "look at `url`"),
        (said("/requests", 302, ""), true, "leads elsewhere"),
    ] {
        let shown = format!("{fault:?}");
        let sandbox = sandbox().await;
        sandbox.fault(fault);
        let answer = ask(&*open(&sandbox, "")).await;
        assert!(reason(&answer).contains(expected), "{shown}: {answer:?}");
        assert_eq!(matches!(answer.state, State::Refused { .. }), refused, "{shown}: {answer:?}");
    }
    let sandbox = sandbox().await;
    let wait = [("retry-after".into(), "3600".into())].into();
    sandbox.fault(Fault { headers: wait, ..said("/requests", 429, "") });
    let answer = ask(&*open(&sandbox, "")).await;
    let State::Unreachable { again_after: Some(after), .. } = answer.state else { panic!("{answer:?}") };
    assert!(after > Duration::from_secs(3500));
}

/// As `sunset sandbox` prints them.
#[tokio::test]
async fn the_settings_of_the_rehearsal_work() {
    let sandbox = sandbox().await;
    let printed = stand_in("opendsr").settings.replace("{url}", &sandbox.url("opendsr"));
    let opendsr = recipients::open(&printed_settings(&printed, "opendsr", TOKEN), &plumbing()).unwrap();
    assert!(matches!(ask(&*opendsr).await.state, State::Accepted { .. }));
}

fn processor(certificate: &str) -> Processor {
    Processor::new(DOMAIN, certificate.as_bytes(), Authorities::read(AUTHORITY).unwrap()).unwrap()
}

fn now() -> Timestamp {
    "2026-11-22T02:30:00Z".parse().unwrap()
}

#[test]
fn callbacks_are_those_that_others_sign() {
    let vectors: Value = serde_json::from_str(SIGNATURES).unwrap();
    let body = vectors["body"].as_str().unwrap().as_bytes();
    let done = Status::Completed { nothing: false };
    for (name, certificate, prefix) in [
        // In lines, as the document's examples are.
        ("rsa", RSA_CERTIFICATE, "x-opendsr"),
        ("rsa_pss", RSA_CERTIFICATE, "x-opencompliance"),
        ("ecdsa", CERTIFICATE, "x-opengdpr"),
    ] {
        let header = |asked: &str| match asked.strip_prefix(prefix)? {
            "-processor-domain" => Some("OpenDSR.sandbox.example"),
            "-signature" => vectors[name].as_str(),
            _ => None,
        };
        let processors = [processor(certificate)];
        let taken = callback(&processors, header, body, ADDRESS, now()).unwrap();
        assert_eq!(taken.request, "a7551968-d5d6-44b2-9831-815ac9017798");
        assert_eq!(taken.status, done, "{name}");
        assert_eq!(taken.status.answer(&taken.request, now()).state, State::Confirmed);
        let rejected = |body: &[u8], address, now| callback(&processors, header, body, address, now).unwrap_err();
        assert_eq!(rejected(&body[1..], ADDRESS, now()), Rejection::Signature);
        assert_eq!(rejected(body, "https://examplecontroller.com/other", now()), Rejection::Address);
        let later = "2126-01-01T00:00:00Z".parse().unwrap();
        assert_eq!(rejected(body, ADDRESS, later), Rejection::Certificate);
        assert_eq!(rejected(body, ADDRESS, "2019-12-31T00:00:00Z".parse().unwrap()), Rejection::Certificate);
        assert_eq!(callback(&[], header, body, ADDRESS, now()), Err(Rejection::Unknown));
    }
    let statuses =
        [Rejection::Unknown, Rejection::Certificate, Rejection::Signature, Rejection::Body, Rejection::Address];
    assert_eq!(statuses.map(Rejection::status), [401, 401, 400, 400, 400]);
}

#[test]
fn a_signature_is_of_one_key_and_one_text() {
    let vectors: Value = serde_json::from_str(SIGNATURES).unwrap();
    let body = vectors["body"].as_str().unwrap().as_bytes();
    let verify = |certificate: &str, domain: Option<&'static str>, signature: Option<&str>| {
        let header = |asked: &str| match asked {
            "x-opendsr-processor-domain" => domain,
            "x-opendsr-signature" => signature,
            _ => None,
        };
        processor(certificate).verify(header, body, now())
    };
    let (rsa, ecdsa) = (vectors["rsa"].as_str(), vectors["ecdsa"].as_str());
    assert_eq!(verify(RSA_CERTIFICATE, Some(DOMAIN), rsa), Ok(()));
    assert_eq!(verify(CERTIFICATE, Some(DOMAIN), rsa), Err(Untrusted::Signature));
    assert_eq!(verify(RSA_CERTIFICATE, Some(DOMAIN), ecdsa), Err(Untrusted::Signature));
    assert_eq!(verify(CERTIFICATE, Some(DOMAIN), Some("no base64!")), Err(Untrusted::Signature));
    assert_eq!(verify(CERTIFICATE, Some(DOMAIN), None), Err(Untrusted::Unsigned));
    assert_eq!(verify(CERTIFICATE, None, ecdsa), Err(Untrusted::Unsigned));
    assert_eq!(verify(CERTIFICATE, Some("opendsr.other.example"), ecdsa), Err(Untrusted::Domain));
    let other =
        Processor::new("opendsr.other.example", CERTIFICATE.as_bytes(), Authorities::read(&authority()).unwrap());
    assert!(matches!(other.unwrap().check(now()), Err(Untrusted::Certificate(_))));
    assert!(matches!(
        Processor::new(DOMAIN, b"no PEM", Authorities::read(AUTHORITY).unwrap()),
        Err(Untrusted::Certificate(_))
    ));
    assert!(Authorities::read("nonsense").is_err());
}

#[test]
fn looks_are_neither_too_early_nor_too_late() {
    for (expected, seconds) in [
        (Some("2026-11-22T02:00:00Z"), 60 * 60),
        (Some("2026-11-22T02:30:10Z"), 60),
        (Some("2026-11-22T05:30:00Z"), 3 * 60 * 60),
        (Some("2027-11-22T02:30:00Z"), 24 * 60 * 60),
        (None, 60 * 60),
    ] {
        let status = Status::Working(expected.map(|time| time.parse().unwrap()));
        let State::Accepted { poll } = status.answer("x", now()).state else { panic!("{expected:?}") };
        assert_eq!(poll.again_after, Duration::from_secs(seconds), "{expected:?}");
    }
}
