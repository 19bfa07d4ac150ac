//! Criteo against its stand-in: tokens, each type of identifier, invalid ones, and every error of its table.

use super::{
    SECRET,
    audiences::{HASH, WHO, ask, reason, recorder, yaml},
    open, subject,
};
use serde_json::{Value, json};
use std::time::Duration;
use sunset::{
    evidence::Grade,
    recipients::{Checked, Recipient, State},
    sandbox::{Fault, Sandbox},
};

const LIST: &str = "PATCH /2027-01/marketing-solutions/audience-segments/{audience-segment-id}/contact-list";
const UUID: &str = "38400000-8cf0-11bd-b23e-10b96e40000d";

async fn sandbox() -> Sandbox {
    Sandbox::start(0, true).await.unwrap()
}

fn criteo(sandbox: &Sandbox, more: &str) -> Box<dyn Recipient> {
    open(&yaml("criteo", &sandbox.url("criteo"), more))
}

async fn left(sandbox: &Sandbox) -> Value {
    let client = reqwest::Client::new();
    let url = sandbox.url("criteo");
    let form = [("grant_type", "client_credentials"), ("client_id", "x"), ("client_secret", "criteo_x")];
    let token = client.post(format!("{url}/oauth2/token")).form(&form).send().await.unwrap();
    let token = token.json::<Value>().await.unwrap()["access_token"].as_str().unwrap().to_owned();
    let url = format!("{url}/2027-01/marketing-solutions/audience-segments/123456/contact-list/statistics");
    let answer = client.get(url).bearer_auth(token).send().await.unwrap();
    answer.json::<Value>().await.unwrap()["data"]["attributes"]["numberOfIdentifiers"].clone()
}

#[tokio::test]
async fn each_identifier_is_removed() {
    let sandbox = sandbox().await;
    let phone = "f3a47ce5ce3d4ca8ad15225a245b2759022f79489f5c62719b8c9490f7aab90e";
    sandbox.seed("criteo", &json!({"segments": {"123456": [HASH, phone, UUID, "Xi1T0hN6Gk", "k-1234", "other"]}}));
    let person = subject(&[
        ("email", " Mary@example.com"),
        ("phone", "098765-43210"),
        ("madid", UUID),
        ("identity_link", "Xi1T0hN6Gk"),
        ("gum", "k-1234"),
    ]);
    let criteo = criteo(&sandbox, ", gum_caller_id: 17, country_calling_code: \"91\"");
    let answers = criteo.delete(&[person]).await;
    assert_eq!((&answers[0].state, answers[0].grade), (&State::Confirmed, Some(Grade::E2)));
    assert_eq!(left(&sandbox).await, 1);
    assert_eq!(sandbox.calls("criteo")[LIST], 5);
    assert_eq!(sandbox.calls("criteo")["POST /oauth2/token"], 2);
}

#[tokio::test]
async fn addresses_leave_in_the_form_that_was_uploaded() {
    for (form, known) in [
        ("raw", WHO),
        ("sha256", HASH),
        ("md5", "c96da02bba97aedfd26136e980ae3761"),
        ("sha256_of_md5", "e6820556aab2a0a4d24e2f798605ccb41780586275fc786353f5692c246b17ee"),
    ] {
        let sandbox = sandbox().await;
        sandbox.seed("criteo", &json!({"segments": {"123456": [known]}}));
        let criteo = criteo(&sandbox, &format!(", email_form: {form}"));
        assert_eq!(ask(&*criteo).await.state, State::Confirmed);
        assert_eq!(left(&sandbox).await, 0, "{form}");
    }
}

#[tokio::test]
async fn requests_are_as_documented() {
    let (url, asked) = recorder(
        "{\"access_token\": \"t-1\", \"expires_in\": 900, \"data\": {\"attributes\": {\"nbValidIdentifiers\": 1, \
         \"nbInvalidIdentifiers\": 0}}, \"errors\": [], \"warnings\": []}",
    )
    .await;
    let criteo = open(&yaml("criteo", &url, ", gum_caller_id: 17"));
    let person = || subject(&[("gum", "k-1234")]);
    // The same person twice is one identifier.
    let answers = criteo.delete(&[person(), person()]).await;
    assert!(answers.iter().all(|answer| answer.state == State::Confirmed), "{answers:?}");
    let asked = asked.lock().unwrap().clone();
    let [(token, form), (head, body)] = &asked[..] else { panic!("{asked:?}") };
    assert!(token.starts_with("POST /oauth2/token HTTP/1.1\r\n"), "{token}");
    assert!(token.to_lowercase().contains("\r\ncontent-type: application/x-www-form-urlencoded"), "{token}");
    assert_eq!(*form, format!("grant_type=client_credentials&client_id=shop&client_secret=criteo_{SECRET}"));
    let line = "PATCH /2027-01/marketing-solutions/audience-segments/123456/contact-list HTTP/1.1\r\n";
    assert!(head.starts_with(line), "{head}");
    assert!(head.to_lowercase().contains("\r\nauthorization: bearer t-1"), "{head}");
    assert!(head.to_lowercase().contains("\r\ncontent-type: application/json"), "{head}");
    let wanted = json!({"data": {"type": "ContactlistAmendment", "attributes": {
        "operation": "remove", "identifierType": "gum", "identifiers": ["k-1234"], "gumCallerId": 17,
    }}});
    assert_eq!(serde_json::from_str::<Value>(body).unwrap(), wanted);
}

#[tokio::test]
async fn an_expired_token_is_fetched_anew() {
    let sandbox = sandbox().await;
    let criteo = criteo(&sandbox, "");
    assert_eq!(ask(&*criteo).await.state, State::Confirmed);
    sandbox.seed("criteo", &json!({"expire_tokens": true}));
    assert_eq!(ask(&*criteo).await.state, State::Confirmed);
    assert_eq!(sandbox.calls("criteo")["POST /oauth2/token"], 2);
    // A token that stays refused is not fetched for ever.
    let body =
        json!({"errors": [{"type": "authorization", "code": "authorization-token-expired", "traceId": "0a-1f"}]});
    sandbox.fault(Fault {
        vendor: "criteo".into(),
        path: "/2027-01".into(),
        status: Some(401),
        body: body.to_string(),
        times: Some(99),
        ..Fault::default()
    });
    let answer = ask(&*criteo).await;
    assert!(reason(&answer).contains("authorization-token-expired"), "{answer:?}");
    assert_eq!(answer.request_id.as_deref(), Some("0a-1f"));
    assert_eq!(sandbox.calls("criteo")["POST /oauth2/token"], 3);
}

#[tokio::test]
async fn an_invalid_identifier_is_refused_alone() {
    for samples in [100, 1, 0] {
        let sandbox = Sandbox::start(0, false).await.unwrap();
        sandbox.seed("criteo", &json!({"samples": samples}));
        let people: Vec<_> = (0..8)
            .map(|n| {
                let id = if n == 3 || n == 4 { format!("no-{n}") } else { UUID.replace("00d", &format!("00{n}")) };
                // An address that is removed does not make up for the device that is not.
                subject(&[("madid", id.as_str()), ("email", WHO)])
            })
            .collect();
        let answers = criteo(&sandbox, "").delete(&people).await;
        for (n, answer) in answers.iter().enumerate() {
            match n {
                3 | 4 => assert!(reason(answer).contains("invalid"), "{samples} {n}: {answer:?}"),
                _ => assert_eq!(answer.state, State::Confirmed, "{samples} {n}"),
            }
        }
        let calls = sandbox.calls("criteo")[LIST];
        assert!(if samples == 100 { calls == 2 } else { (3..=12).contains(&calls) }, "{samples}: {calls}");
    }
}

#[tokio::test]
async fn batches_are_as_large_as_allowed() {
    let sandbox = Sandbox::start(0, false).await.unwrap();
    let people: Vec<_> = (0..60_000).map(|n| subject(&[("email", &format!("{n}@example.com"))])).collect();
    let answers = criteo(&sandbox, "").delete(&people).await;
    assert_eq!(answers.len(), 60_000);
    assert!(answers.iter().all(|answer| answer.state == State::Confirmed));
    assert_eq!(sandbox.calls("criteo")[LIST], 2);
}

#[tokio::test]
async fn errors_mean_what_the_table_says() {
    let sandbox = sandbox().await;
    for (status, kind, code, words) in [
        (400, "validation", "identifiers-invalid", "type validation, code identifiers-invalid"),
        (403, "access-control", "access-denied", "may not do this"),
        (404, "validation", "something-else", "code something-else"),
        (200, "deprecation", "version-over", "code version-over"),
    ] {
        let body = json!({"errors": [{"type": kind, "code": code, "title": WHO, "detail": WHO}]});
        sandbox.fault(Fault {
            vendor: "criteo".into(),
            path: "/2027-01".into(),
            status: Some(status),
            body: body.to_string(),
            ..Fault::default()
        });
        let answer = ask(&*criteo(&sandbox, "")).await;
        assert!(matches!(&answer.state, State::Refused { reason } if reason.contains(words)), "{code}: {answer:?}");
    }
    // A count that does not fit is no success.
    let attributes = json!({"nbValidIdentifiers": 0, "nbInvalidIdentifiers": 0});
    let body = json!({"data": {"attributes": attributes}, "errors": []}).to_string();
    sandbox.fault(Fault {
        vendor: "criteo".into(),
        path: "/2027-01".into(),
        status: Some(200),
        body,
        ..Fault::default()
    });
    assert!(matches!(ask(&*criteo(&sandbox, "")).await.state, State::Unreachable { .. }));
    // The limit is over at a second since 1970.
    let reset = jiff::Timestamp::now().as_second() + 3000;
    let headers = [("x-ratelimit-reset".to_owned(), reset.to_string())].into();
    let fault =
        Fault { vendor: "criteo".into(), path: "/2027-01".into(), status: Some(429), headers, ..Fault::default() };
    sandbox.fault(fault);
    let State::Unreachable { again_after: Some(after), .. } = ask(&*criteo(&sandbox, "")).await.state else { panic!() };
    assert!((2990..=3000).contains(&after.as_secs()), "{after:?}");
}

#[tokio::test]
async fn a_segment_that_is_not_there_is_gone_only_if_somebody_says_so() {
    let sandbox = sandbox().await;
    sandbox.seed("criteo", &json!({"removed_segments": ["123456"]}));
    let strict = criteo(&sandbox, "");
    assert!(reason(&ask(&*strict).await).contains("audience_deleted: true"));
    assert!(strict.check().await.unwrap_err().reason.contains("no such audience"));
    let told = criteo(&sandbox, ", audience_deleted: true");
    let answer = ask(&*told).await;
    assert_eq!((&answer.state, answer.grade), (&State::Confirmed, Some(Grade::E2)));
    assert_eq!(told.check().await, Ok(Checked::Proven));
}

#[tokio::test]
async fn a_cookie_id_needs_its_caller() {
    let sandbox = sandbox().await;
    let answers = criteo(&sandbox, "").delete(&[subject(&[("gum", "k-1"), ("email", WHO)])]).await;
    assert!(reason(&answers[0]).contains("gum_caller_id"), "{answers:?}");
    // The address is removed all the same.
    assert_eq!(sandbox.calls("criteo")[LIST], 1);
}

#[tokio::test]
async fn the_limit_is_kept() {
    let sandbox = sandbox().await;
    let criteo = criteo(&sandbox, "");
    let begin = std::time::Instant::now();
    for _ in 0..5 {
        assert_eq!(ask(&*criteo).await.state, State::Confirmed);
    }
    // Six calls with the one for the token, 0.24 s apart.
    assert!(begin.elapsed() >= Duration::from_millis(5 * 240), "{:?}", begin.elapsed());
}
