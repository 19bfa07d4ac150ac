//! A system of one's own behind a signed webhook.

use super::{delete_one, plumbing, secret_settings, subject};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::json;
use sha2::Sha256;
use std::{collections::BTreeMap, time::Duration};
use sunset::{
    evidence::Grade,
    recipients::{self, Answer, Checked, Recipient, State, Subject},
    sandbox::{Fault, Sandbox},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

/// The base64 of `sandbox-webhook-secret-0123456789`.
const SECRET: &str = "whsec_c2FuZGJveC13ZWJob29rLXNlY3JldC0wMTIzNDU2Nzg5";

async fn sandbox(mode: &str) -> Sandbox {
    let sandbox = Sandbox::start(0, true).await.unwrap();
    sandbox.seed("webhook", &json!({"mode": mode}));
    sandbox
}

fn open(sandbox: &Sandbox, more: &str, secret: &str) -> Box<dyn Recipient> {
    open_at(&format!("{}/hooks/sunset", sandbox.url("webhook")), more, secret)
}

fn open_at(url: &str, more: &str, secret: &str) -> Box<dyn Recipient> {
    let yaml = format!("{{kind: webhook, url: \"{url}\", secret: \"${{X}}\", identifiers: [customer]{more}}}");
    recipients::open(&secret_settings(&yaml, secret), &plumbing()).unwrap()
}

fn customers(ids: &[&str]) -> Vec<Subject> {
    ids.iter().map(|id| subject(&[("customer", id)])).collect()
}

fn reason(answer: &Answer) -> &str {
    match &answer.state {
        State::Refused { reason }
        | State::NotPossible { reason }
        | State::Unreachable { reason, .. }
        | State::Forgotten { reason } => reason,
        state => panic!("{state:?}"),
    }
}

fn calls(sandbox: &Sandbox) -> u64 {
    sandbox.calls("webhook").values().sum()
}

#[tokio::test]
async fn the_request_is_as_documented() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let (mut connection, _) = listener.accept().await.unwrap();
        let mut bytes = Vec::new();
        while !bytes.ends_with(b".requested\"}") {
            let mut part = [0; 4096];
            let length = connection.read(&mut part).await.unwrap();
            bytes.extend_from_slice(&part[..length]);
        }
        connection.write_all(b"HTTP/1.1 204 No Content\r\nx-request-id: own-1\r\n\r\n").await.unwrap();
        String::from_utf8(bytes).unwrap()
    });
    let people = customers(&["42", "ä\""]);
    let answers = open_at(&url, "", SECRET).delete(&people).await;
    let wanted = Answer::confirmed(Grade::E1).request_id(Some("own-1".into()));
    assert_eq!(answers, [wanted.clone(), wanted]);
    let request = server.await.unwrap();
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /hook HTTP/1.1\r\n"), "{head}");
    let headers: BTreeMap<_, _> = head.lines().skip(1).map(|line| line.split_once(": ").unwrap()).collect();
    assert_eq!(headers["content-type"], "application/json");
    assert_eq!(headers["idempotency-key"], headers["webhook-id"]);
    assert_eq!(
        body,
        format!(
            "{{\"data\":{{\"recipient\":\"shop\",\"subjects\":[{{\"identifiers\":{{\"customer\":\"42\"}},\"reference\":\"{}\"}},\
             {{\"identifiers\":{{\"customer\":\"ä\\\"\"}},\"reference\":\"{}\"}}]}},\"type\":\"deletion.requested\"}}",
            people[0].reference(),
            people[1].reference()
        )
    );
    let mut mac = Hmac::<Sha256>::new_from_slice(b"sandbox-webhook-secret-0123456789").unwrap();
    mac.update(format!("{}.{}.{body}", headers["webhook-id"], headers["webhook-timestamp"]).as_bytes());
    let signature = BASE64_STANDARD.encode(mac.finalize().into_bytes());
    assert_eq!(headers["webhook-signature"], format!("v1,{signature}"));
}

#[tokio::test]
async fn all_are_deleted_and_the_same_request_has_the_same_id() {
    let sandbox = sandbox("each").await;
    let own = open(&sandbox, "", SECRET);
    assert_eq!(own.check().await, Ok(Checked::Proven));
    let people = customers(&["1", "2"]);
    let first = own.delete(&people).await;
    assert!(
        first.iter().all(|answer| answer.state == State::Confirmed && answer.grade == Some(Grade::E1)),
        "{first:?}"
    );
    // The stand-in would answer `gone` to another id.
    let again = own.delete(&people).await;
    assert!(again.iter().all(|answer| answer.state == State::Confirmed), "{again:?}");
    let other = delete_one(&*own, subject(&[("customer", "1")])).await;
    assert_eq!(other.state, State::Gone);
    let nobody = delete_one(&*own, subject(&[("customer", " ")])).await;
    assert_eq!(nobody.state, State::NotPossible { reason: "the row has no identifier".into() });
}

#[tokio::test]
async fn each_person_has_an_answer_of_its_own() {
    let sandbox = sandbox("each").await;
    let special = json!({
        "1": {"status": "kept", "reason": "law"},
        "2": {"status": "refused", "reason": "in_use"},
        "3": {"status": "failed", "reason": "taro.yamada@example.co.jp"},
        "4": {"status": "pending", "status_url": "/webhook/hooks/jobs/job-7"},
        "5": {"status": "pending", "status_url": "https://elsewhere.example/1"},
        "6": {"status": "perhaps"},
    });
    sandbox.seed("webhook", &json!({"customers": special}));
    let answers = open(&sandbox, "", SECRET).delete(&customers(&["0", "1", "2", "3", "4", "5", "6"])).await;
    let words: Vec<_> = answers.iter().map(|answer| answer.state.word()).collect();
    let wanted = ["confirmed", "not_possible", "refused", "unreachable", "accepted", "unreachable", "unreachable"];
    assert_eq!(words, wanted);
    assert_eq!(reason(&answers[1]), "it must be kept by law");
    assert_eq!(reason(&answers[2]), "it is in use");
    assert_eq!(reason(&answers[3]), "the system gives no reason that is known");
    let State::Accepted { poll } = &answers[4].state else { panic!("{answers:?}") };
    assert_eq!(poll.ticket, format!("{}/hooks/jobs/job-7", sandbox.url("webhook")));
    assert_eq!(poll.again_after, Duration::from_secs(600));
}

#[tokio::test]
async fn whom_the_answer_leaves_out_is_asked_again() {
    let sandbox = sandbox("partial").await;
    let answers = open(&sandbox, "", SECRET).delete(&customers(&["1", "2"])).await;
    assert_eq!(answers[0].state, State::Confirmed);
    assert_eq!(reason(&answers[1]), "the answer leaves this person out");
    sandbox.seed("webhook", &json!({"mode": "vague"}));
    let answer = delete_one(&*open(&sandbox, "", SECRET), subject(&[("customer", "3")])).await;
    assert_eq!(reason(&answer), "HTTP 200 without the results that are asked for");
}

#[tokio::test]
async fn accepted_work_is_polled_to_its_end() {
    let sandbox = sandbox("later").await;
    let own = open(&sandbox, ", batch: 2, poll_every: 5 min", SECRET);
    let answers = own.delete(&customers(&["1", "2", "3"])).await;
    let tickets: Vec<_> = answers
        .iter()
        .map(|answer| match &answer.state {
            State::Accepted { poll } => {
                assert_eq!(poll.again_after, Duration::from_secs(300));
                poll.ticket.clone()
            }
            state => panic!("{state:?}"),
        })
        .collect();
    assert_eq!((&tickets[0], answers[0].grade), (&tickets[1], Some(Grade::E2)));
    assert_ne!(tickets[0], tickets[2]);
    let ticket = std::slice::from_ref(&tickets[0]);
    let State::Accepted { poll } = own.poll(ticket).await.remove(0).state else { panic!("no pending work") };
    assert_eq!((&poll.ticket, poll.again_after), (&tickets[0], Duration::from_secs(30)));
    let end = own.poll(ticket).await.remove(0);
    assert_eq!((end.state, end.grade), (State::Confirmed, Some(Grade::E1)));
    sandbox.seed("webhook", &json!({"forget_jobs": true, "mode": "elsewhere"}));
    assert!(reason(&own.poll(ticket).await[0]).contains("a new request will be made"));
    let answer = delete_one(&*own, subject(&[("customer", "9")])).await;
    assert_eq!(reason(&answer), "HTTP 202 without a status URL below the same host");
    let before = calls(&sandbox);
    assert!(reason(&own.poll(&["https://elsewhere.example/jobs/1".into()]).await[0]).contains("another host"));
    assert_eq!(calls(&sandbox), before);
}

#[tokio::test]
async fn faults_that_pass_are_not_noticed_and_those_that_stay_are_told() {
    let sandbox = sandbox("all").await;
    let fault = || Fault { vendor: "webhook".into(), ..Fault::default() };
    let status = |status, times| Fault { status: Some(status), times: Some(times), ..fault() };
    let mut number = 0;
    for passing in [
        status(500, 2),
        status(429, 1),
        status(409, 1),
        Fault { headers: [("retry-after".into(), "1".into())].into(), ..status(429, 1) },
        Fault { break_off: Some("after".into()), ..fault() },
    ] {
        let shown = format!("{passing:?}");
        sandbox.fault(passing);
        number += 1;
        let answer = delete_one(&*open(&sandbox, "", SECRET), subject(&[("customer", &number.to_string())])).await;
        assert_eq!(answer.state, State::Confirmed, "{shown}");
    }
    for (staying, wanted, word) in [
        (status(500, 99), "HTTP 500 to delete", "unreachable"),
        (
            Fault { headers: [("retry-after".into(), "9999".into())].into(), ..status(429, 1) },
            "HTTP 429 to delete",
            "unreachable",
        ),
        (status(400, 1), "HTTP 400", "refused"),
        (status(401, 1), "the signature is refused (HTTP 401): look at `secret` and the clock", "refused"),
        (status(404, 1), "HTTP 404: nothing is there; look at `url`", "refused"),
        (status(422, 1), "the request is refused (HTTP 422), or its id was used for another", "refused"),
        (status(302, 1), "HTTP 302: a redirect, which is not followed; look at `url`", "refused"),
        (status(206, 1), "HTTP 206 is no answer to a deletion", "unreachable"),
        (
            Fault { body: "{\"results\": [{".into(), ..status(200, 1) },
            "HTTP 200 without the results that are asked for",
            "unreachable",
        ),
        (
            Fault { break_off: Some("half".into()), times: Some(99), ..fault() },
            "the connection broke off",
            "unreachable",
        ),
        (Fault { delay_milliseconds: 2000, times: Some(99), ..fault() }, "no answer within 0.3 s", "unreachable"),
    ] {
        reqwest::Client::new().delete(format!("http://{}/_sandbox/faults", sandbox.address())).send().await.unwrap();
        sandbox.seed("webhook", &json!({"mode": "each"}));
        sandbox.fault(staying);
        number += 1;
        let own = open(&sandbox, ", timeout: 300 ms", SECRET);
        let answer = delete_one(&*own, subject(&[("customer", &format!("yamada-{number}"))])).await;
        assert_eq!((reason(&answer), answer.state.word()), (wanted, word));
        assert!(!format!("{answer:?}").contains("yamada"));
    }
}

#[tokio::test]
async fn a_wrong_secret_is_told_and_both_secrets_sign() {
    let sandbox = sandbox("all").await;
    let wrong = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let answer = delete_one(&*open(&sandbox, "", wrong), subject(&[("customer", "1")])).await;
    assert_eq!(answer.state.word(), "refused");
    let error = open(&sandbox, "", wrong).check().await.unwrap_err();
    assert!(error.reason.contains("HTTP 401") && !error.temporary, "{error:?}");
    // The secret in force stands second.
    let yaml = format!(
        "{{kind: webhook, url: \"{}/hooks/sunset\", secret: \"${{X}}AAA=\", next_secret: \"${{X}}\", identifiers: [customer]}}",
        sandbox.url("webhook")
    );
    let error = recipients::open(&secret_settings(&yaml, "short"), &plumbing()).err().unwrap().to_string();
    assert_eq!(error, "recipient `shop`: a secret is not 24 to 64 bytes in base64, with `whsec_` before them or not");
    let yaml = yaml.replace("${X}AAA=", "${file:x}");
    let settings = super::settings_with(&yaml, |variable| match variable {
        sunset::settings::Variable::File(_) => wrong.to_owned(),
        sunset::settings::Variable::Environment(_) => SECRET.to_owned(),
    });
    let own = recipients::open(&settings, &plumbing()).unwrap();
    assert_eq!(own.check().await, Ok(Checked::Proven));
}
