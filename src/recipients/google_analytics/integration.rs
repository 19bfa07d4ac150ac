//! Google Analytics against its stand-in.

use super::{
    SECRET, delete_one,
    google::{ACCOUNT, PUBLIC, keeper, key_file, reason, with_account, with_user, yaml},
    plumbing, secret_settings, settings, subject,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use std::time::Duration;
use sunset::{
    clock::period::Period,
    evidence::Grade,
    recipients::{self, Answer, Checked, Recipient, Retention, State, Subject},
    sandbox::{Fault, Sandbox},
};

const KIND: &str = "google_analytics";
const ADMIN: &str = "POST /v1alpha/properties/{property}:submitUserDeletion";
const V3: &str = "POST /analytics/v3/userDeletion/userDeletionRequests:upsert";

async fn sandbox() -> Sandbox {
    Sandbox::start(0, false).await.unwrap()
}

fn admin(sandbox: &Sandbox) -> Box<dyn Recipient> {
    with_user(KIND, &sandbox.url(KIND), "property: 123456789")
}

fn v3(sandbox: &Sandbox, target: &str) -> Box<dyn Recipient> {
    with_user(KIND, &sandbox.url(KIND), &format!("api: user_deletion_v3, {target}"))
}

fn user(id: &str) -> Subject {
    subject(&[("user_id", id)])
}

fn fault() -> Fault {
    Fault { vendor: KIND.into(), path: "/v1alpha".into(), ..Fault::default() }
}

fn is_done(answer: &Answer) -> bool {
    answer.state == State::Confirmed && answer.grade == Some(Grade::E2)
}

#[tokio::test]
async fn every_id_of_a_person_is_asked_for_and_twice_is_as_good_as_once() {
    let sandbox = sandbox().await;
    let analytics = admin(&sandbox);
    let ids = [
        ("user_id", "u-1"),
        ("client_id", "1234567890.1700000000"),
        ("app_instance_id", "02e5a5b2f6f0d8a7e9b1c3d4f5a6b7c8"),
        ("email", " Ta.Ro@GMail.com "),
        ("phone", "+81 90-1234-5678"),
    ];
    let answer = delete_one(&*analytics, subject(&ids)).await;
    assert!(is_done(&answer), "{answer:?}");
    // The only evidence that Google gives.
    assert_eq!(answer.request_id.as_deref(), Some("2026-11-22T02:00:05Z"));
    assert_eq!(sandbox.calls(KIND)[ADMIN], 5);
    assert!(is_done(&delete_one(&*analytics, subject(&ids)).await));
    // The same person twice in a batch takes nothing from the quota.
    let answers = analytics.delete(&[user("u-2"), user("u-3"), user("u-2")]).await;
    assert!(answers.len() == 3 && answers.iter().all(is_done), "{answers:?}");
    assert_eq!(sandbox.calls(KIND)[ADMIN], 12);
    assert_eq!(sandbox.calls(KIND)["POST /token"], 1);
}

#[tokio::test]
async fn the_older_api_takes_ids_alone() {
    let sandbox = sandbox().await;
    sandbox.seed(KIND, &json!({"firebase_projects": ["my-app"]}));
    let property = v3(&sandbox, "property: \"123456789\"");
    assert!(is_done(&delete_one(&*property, subject(&[("user_id", "u-1"), ("client_id", "1.2")])).await));
    assert_eq!(sandbox.calls(KIND)[V3], 2);
    let project = v3(&sandbox, "firebase_project: my-app");
    assert!(is_done(&delete_one(&*project, subject(&[("app_instance_id", "02e5")])).await));
    for (recipient, who) in [
        (&property, subject(&[("user_id", "u-1"), ("email", "taro@example.com")])),
        (&property, subject(&[("phone", "+81901")])),
        (&project, user("u-1")),
    ] {
        let answer = delete_one(&**recipient, who).await;
        assert!(matches!(answer.state, State::Refused { .. }), "{answer:?}");
    }
    assert_eq!(sandbox.calls(KIND)[V3], 3);
}

/// As the discovery documents have it: `analyticsadmin.v1alpha`, revision 20261102, and `analytics.v3`, revision 20190807.
#[tokio::test]
async fn requests_are_those_of_the_discovery_documents() {
    let time = json!({"deletionRequestTime": "2026-11-22T02:30:00.123Z"});
    let (url, seen) = keeper(time.clone()).await;
    let analytics = with_user(KIND, &url, "property: 987, calling_code: 81");
    let who = [("client_id", "1.2"), ("email", "Ta.Ro+News@GoogleMail.com"), ("phone", "(090) 1234-5678")];
    assert!(is_done(&delete_one(&*analytics, subject(&who)).await));
    let seen = seen.lock().unwrap().clone();
    assert_eq!(seen[0].line, "POST /token HTTP/1.1");
    let form =
        format!("grant_type=refresh_token&client_id=sandbox&client_secret={SECRET}&refresh_token=1%2F%2F{SECRET}");
    assert_eq!(seen[0].body, form);
    for (call, body) in seen[1..].iter().zip([
        json!({"clientId": "1.2"}),
        json!({"userProvidedData": "taro+news@googlemail.com"}),
        json!({"userProvidedData": "+819012345678"}),
    ]) {
        assert_eq!(call.line, "POST /v1alpha/properties/987:submitUserDeletion HTTP/1.1");
        assert!(call.headers.contains("authorization: bearer ya29.kept"), "{}", call.headers);
        assert_eq!(call.json(), body);
    }
    assert_eq!(seen.len(), 4);

    let (url, seen) = keeper(time).await;
    let analytics = with_user(KIND, &url, "api: user_deletion_v3, property: 987");
    assert!(is_done(&delete_one(&*analytics, user("u-1")).await));
    let seen = seen.lock().unwrap().clone();
    assert_eq!(seen[1].line, "POST /analytics/v3/userDeletion/userDeletionRequests:upsert HTTP/1.1");
    let body = json!({
        "kind": "analytics#userDeletionRequest", "id": {"type": "USER_ID", "userId": "u-1"}, "propertyId": "987",
    });
    assert_eq!(seen[1].json(), body);
}

#[tokio::test]
async fn a_service_account_signs_for_its_token() {
    let sandbox = sandbox().await;
    sandbox.seed(KIND, &json!({"service_accounts": {ACCOUNT: PUBLIC}}));
    let account = |more: &str| with_account(KIND, &sandbox.url(KIND), more);
    assert!(is_done(&delete_one(&*account("property: 123456789"), user("u-1")).await));
    assert!(is_done(&delete_one(&*account("property: 123456789, api: user_deletion_v3"), user("u-1")).await));

    let (url, seen) = keeper(json!({"deletionRequestTime": "2026-11-22T02:30:00Z"})).await;
    let analytics = with_account(KIND, &url, "property: 1, impersonate: ads@example.com");
    delete_one(&*analytics, user("u-1")).await;
    let body = seen.lock().unwrap()[0].body.clone();
    let assertion =
        body.strip_prefix("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=").unwrap();
    let parts: Vec<Value> = assertion
        .split('.')
        .take(2)
        .map(|part| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap())
        .collect();
    assert_eq!(parts[0], json!({"alg": "RS256", "kid": "key-1", "typ": "JWT"}));
    let (from, until) = (parts[1]["iat"].as_i64().unwrap(), parts[1]["exp"].as_i64().unwrap());
    assert_eq!(until - from, 3600);
    let claims = json!({
        "iss": ACCOUNT, "aud": "https://oauth2.googleapis.com/token", "iat": from, "exp": until,
        "scope": "https://www.googleapis.com/auth/analytics.edit", "sub": "ads@example.com",
    });
    assert_eq!(parts[1], claims);
}

#[tokio::test]
async fn wrong_credentials_ask_once_and_for_nobody() {
    let sandbox = sandbox().await;
    // The stand-in does not know the account.
    let stranger = with_account(KIND, &sandbox.url(KIND), "property: 123456789");
    let answers = stranger.delete(&[user("u-1"), user("u-2"), user("u-3")]).await;
    for answer in &answers {
        assert!(matches!(answer.state, State::Refused { .. }), "{answer:?}");
        assert_eq!(reason(answer), "Google gave no token (HTTP 400, invalid_grant): look at the credentials");
    }
    assert_eq!(sandbox.calls(KIND).into_iter().collect::<Vec<_>>(), [("POST /token".to_owned(), 1)]);
    let error = stranger.check().await.unwrap_err();
    assert!(!error.temporary, "{error}");
    let yaml_of = |secret: &str| {
        let yaml = yaml(KIND, &sandbox.url(KIND), "property: 123456789", "service_account: \"${X}\"");
        recipients::open(&secret_settings(&yaml, secret), &plumbing()).err().unwrap().to_string()
    };
    assert_eq!(yaml_of("hunter2"), "recipient `shop`: `service_account` is not the JSON of a key file");
    let broken = key_file().replace("MII", "hunter2");
    assert!(yaml_of(&broken).contains("private key") && !yaml_of(&broken).contains("hunter2"));
}

#[tokio::test]
async fn what_does_not_fit_into_a_day_waits_for_the_next() {
    let sandbox = Sandbox::start(0, true).await.unwrap();
    sandbox.seed(KIND, &json!({"quota": 3}));
    let people: Vec<Subject> = (0..8).map(|number| user(&format!("u-{number}"))).collect();
    let mut left: Vec<Subject> = people.clone();
    for night in [3, 3, 2] {
        // A run is a process of its own.
        let answers = admin(&sandbox).delete(&left).await;
        let again: Vec<Subject> =
            left.iter().zip(&answers).filter(|(_, answer)| !is_done(answer)).map(|(who, _)| who.clone()).collect();
        assert_eq!(left.len() - again.len(), night);
        for answer in answers.iter().filter(|answer| !is_done(answer)) {
            let State::Unreachable { again_after: Some(after), .. } = &answer.state else { panic!("{answer:?}") };
            assert!(*after > Duration::ZERO && *after <= Duration::from_secs(25 * 3600), "{answer:?}");
        }
        left = again;
        sandbox.seed(KIND, &json!({"new_day": true}));
    }
    assert!(left.is_empty());
    // Once told, it does not ask again for the others: at most the calls that were under way.
    assert!(sandbox.calls(KIND)[ADMIN] <= 8 + 2 * 4, "{:?}", sandbox.calls(KIND));
}

#[tokio::test]
async fn the_limit_of_a_day_is_kept_without_being_told() {
    // The stand-in has no limits, and the pace is lowered: 4 calls a day.
    let sandbox = sandbox().await;
    let analytics = with_user(KIND, &sandbox.url(KIND), "rate: 4 per day, property: 123456789");
    let people: Vec<Subject> = (0..6).map(|number| user(&format!("u-{number}"))).collect();
    let answers = analytics.delete(&people).await;
    assert_eq!(answers.iter().filter(|answer| is_done(answer)).count(), 4);
    for answer in answers.iter().filter(|answer| !is_done(answer)) {
        let State::Unreachable { reason, again_after: Some(after) } = &answer.state else { panic!("{answer:?}") };
        assert!(reason.starts_with("its 4 calls of this day are used up"), "{reason}");
        assert!(*after <= Duration::from_secs(25 * 3600), "{after:?}");
    }
    assert_eq!(sandbox.calls(KIND)[ADMIN], 4);
}

#[tokio::test]
async fn what_passes_is_tried_again() {
    let sandbox = sandbox().await;
    let error = |reason: &str| json!({"error": {"code": 403, "errors": [{"reason": reason}]}}).to_string();
    let faults = [
        Fault { status: Some(429), headers: [("retry-after".into(), "0".into())].into(), ..fault() },
        Fault { status: Some(429), ..fault() },
        Fault { status: Some(403), body: error("rateLimitExceeded"), ..fault() },
        Fault { status: Some(403), body: error("userRateLimitExceeded"), ..fault() },
        Fault { status: Some(500), times: Some(2), ..fault() },
        Fault { break_off: Some("before".into()), ..fault() },
        Fault { break_off: Some("half".into()), ..fault() },
        Fault { break_off: Some("after".into()), ..fault() },
        Fault { vendor: KIND.into(), path: "/token".into(), status: Some(503), ..Fault::default() },
    ];
    for fault in faults {
        let shown = format!("{fault:?}");
        sandbox.fault(fault);
        let answer = delete_one(&*admin(&sandbox), user("u-1")).await;
        assert!(is_done(&answer), "{shown}: {answer:?}");
    }
}

#[tokio::test]
async fn what_stays_wrong_is_told_without_the_id() {
    let sandbox = sandbox().await;
    let body = |code: u16, status: &str, reason: &str| {
        json!({"error": {
            "code": code, "status": status, "message": "taro@example.com is unknown",
            "details": [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason}],
        }})
        .to_string()
    };
    let disabled = body(403, "PERMISSION_DENIED", "SERVICE_DISABLED");
    let cases = [
        (400, body(400, "INVALID_ARGUMENT", "X"), true, "HTTP 400, INVALID_ARGUMENT, X"),
        (
            403,
            json!({"error": {"code": 403, "errors": [{"reason": "insufficientPermissions"}]}}).to_string(),
            true,
            "the account may not do this (HTTP 403), insufficientPermissions",
        ),
        (
            403,
            disabled,
            true,
            "the account may not do this (HTTP 403), PERMISSION_DENIED, SERVICE_DISABLED: the API is not enabled in the project",
        ),
        (404, "<html>".to_owned(), true, "HTTP 404 that is not of this API: look at `url`"),
        (302, String::new(), true, "Google's answer leads elsewhere, which is not followed: look at `url`"),
        (200, "{\"deletionRequestTime\": \"taro@exam".to_owned(), false, "HTTP 200 with an answer that cannot be read"),
        (200, "{}".to_owned(), false, "HTTP 200 with an answer that cannot be read"),
    ];
    for (status, body, refused, words) in cases {
        sandbox.fault(Fault { status: Some(status), body, ..fault() });
        let answer = delete_one(&*admin(&sandbox), subject(&[("email", "taro@example.com")])).await;
        assert_eq!(matches!(answer.state, State::Refused { .. }), refused, "{answer:?}");
        assert_eq!(reason(&answer), words);
    }
    sandbox.fault(Fault { status: Some(500), times: Some(20), ..fault() });
    let answer = delete_one(&*admin(&sandbox), user("u-1")).await;
    assert_eq!(reason(&answer), "HTTP 500 to submit a user deletion");
}

#[tokio::test]
async fn an_expired_token_is_fetched_anew_once() {
    let sandbox = sandbox().await;
    let analytics = admin(&sandbox);
    assert!(is_done(&delete_one(&*analytics, user("u-1")).await));
    sandbox.seed(KIND, &json!({"revoke_tokens": true}));
    assert!(is_done(&delete_one(&*analytics, user("u-2")).await));
    assert_eq!(sandbox.calls(KIND)["POST /token"], 2);
    // Refused for good: two calls, and no more.
    let before = sandbox.calls(KIND)[ADMIN];
    sandbox.fault(Fault { status: Some(401), times: Some(9), ..fault() });
    let answer = delete_one(&*analytics, user("u-3")).await;
    assert_eq!(reason(&answer), "Google does not take the token (HTTP 401)");
    assert_eq!(sandbox.calls(KIND)[ADMIN], before);
    assert_eq!(sandbox.calls(KIND)["POST fault"], 2);
}

#[tokio::test]
async fn rows_that_nobody_could_know_are_told_apart() {
    let sandbox = sandbox().await;
    let analytics = admin(&sandbox);
    let nobody = delete_one(&*analytics, subject(&[("email", "unknown"), ("phone", "-")])).await;
    assert!(matches!(nobody.state, State::NotPossible { .. }), "{nobody:?}");
    // To leave the number out would look as if it had been asked about.
    let national = delete_one(&*analytics, subject(&[("user_id", "u-1"), ("phone", "090-1234-5678")])).await;
    assert_eq!(reason(&national), "the phone number has no calling code; set `calling_code`");
    assert!(!sandbox.calls(KIND).contains_key(ADMIN));
}

#[tokio::test]
async fn credentials_are_proven_where_a_call_can() {
    let sandbox = sandbox().await;
    assert_eq!(admin(&sandbox).check().await, Ok(Checked::Proven));
    let other = with_user(KIND, &sandbox.url(KIND), "property: 5");
    assert_eq!(other.check().await.unwrap_err().reason, "the account may not do this (HTTP 403), PERMISSION_DENIED");
    assert!(matches!(v3(&sandbox, "property: 123456789").check().await, Ok(Checked::Unproven { .. })));
    assert!(!sandbox.calls(KIND).contains_key(ADMIN) && !sandbox.calls(KIND).contains_key(V3));
}

#[test]
fn facts_are_those_of_the_documentation() {
    let facts = |more: &str| {
        let settings = settings(&yaml(KIND, "http://127.0.0.1:1", more, super::google::USER));
        (settings.kind.facts)(&settings)
    };
    let day = sunset::language::rate::Rate::per_day(500).in_zone("America/Los_Angeles");
    let admin = facts("property: 1");
    assert_eq!((admin.batch, admin.grade), (1, Grade::E2));
    assert_eq!(admin.rates, [sunset::language::rate::Rate::per_minute(180), day]);
    let older = facts("property: 1, api: user_deletion_v3");
    let second = sunset::language::rate::Rate::new(3, Duration::from_secs(2));
    assert_eq!(older.rates, [second, day]);
}

#[tokio::test]
async fn a_property_tells_how_long_it_keeps_data() {
    let sandbox = sandbox().await;
    let analytics = admin(&sandbox);
    let kept = |event: u16, user: u16| {
        let months = |months| Period { months, ..Period::default() };
        vec![("event data", months(event)), ("user data", months(user))]
    };
    let told = analytics.retention().await.unwrap().unwrap();
    assert_eq!(told, Retention { kept: kept(2, 2), prolonged_by: None });
    let longer = json!({"eventDataRetention": "FOURTEEN_MONTHS", "resetUserDataOnNewActivity": true});
    sandbox.seed(KIND, &json!({"retention": longer}));
    let told = analytics.retention().await.unwrap().unwrap();
    assert_eq!(told, Retention { kept: kept(14, 2), prolonged_by: Some("new activity of the user") });
    // a word that is not documented is no length of time
    sandbox.seed(KIND, &json!({"retention": {"userDataRetention": "RETENTION_DURATION_UNSPECIFIED"}}));
    assert!(!analytics.retention().await.unwrap_err().temporary);
    sandbox.fault(Fault { status: Some(503), times: Some(20), ..fault() });
    assert!(analytics.retention().await.unwrap_err().temporary);
    // the older API has no such call
    assert_eq!(v3(&sandbox, "property: 123456789").retention().await, Ok(None));
}
