//! X Ads against its stand-in: signatures, batches that fail as a whole, counts, and every error of its table.

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

const USERS: &str = "POST /12/accounts/:account_id/custom_audiences/:custom_audience_id/users";

async fn sandbox() -> Sandbox {
    Sandbox::start(0, true).await.unwrap()
}

fn x_ads(sandbox: &Sandbox, more: &str) -> Box<dyn Recipient> {
    open(&yaml("x_ads", &sandbox.url("x_ads"), more))
}

fn fault(status: u16, body: &Value) -> Fault {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    Fault { vendor: "x_ads".into(), status: Some(status), body, ..Fault::default() }
}

#[tokio::test]
async fn requests_are_as_documented() {
    let (url, asked) = recorder("{\"data\": {\"success_count\": 2, \"total_count\": 2}}").await;
    let people = [
        subject(&[("email", " Mary@Example.com "), ("partner_user_id", "P-1"), ("x_id", "783214")]),
        subject(&[("phone", "+1 (123) 456-7890"), ("handle", " @JacK"), ("device_id", "ABC-1")]),
    ];
    let answers = open(&yaml("x_ads", &url, "")).delete(&people).await;
    assert!(answers.iter().all(|answer| answer.state == State::Confirmed), "{answers:?}");
    let (head, body) = asked.lock().unwrap().pop().unwrap();
    let line = "POST /12/accounts/18ce54d4x5t/custom_audiences/1hr8o/users HTTP/1.1\r\n";
    assert!(head.starts_with(line), "{head}");
    assert!(head.to_lowercase().contains("\r\ncontent-type: application/json\r\n"), "{head}");
    let header = head.lines().find_map(|line| line.strip_prefix("authorization: OAuth ")).unwrap();
    let names: Vec<_> = header.split(", ").map(|part| part.split_once('=').unwrap().0).collect();
    assert_eq!(
        names,
        [
            "oauth_consumer_key",
            "oauth_nonce",
            "oauth_signature_method",
            "oauth_timestamp",
            "oauth_token",
            "oauth_version",
            "oauth_signature"
        ]
    );
    assert!(!header.contains(&format!("{SECRET}_secret")), "{header}");
    let users = [
        // X's own examples: the phone number's hash is that of `+11234567890`.
        json!({"email": [HASH], "twitter_id": ["5cc31b18415f5f10852da93111a3101cd898a52863d169d586cdb67c309a687b"], "partner_user_id": ["P-1"]}),
        json!({
            "phone_number": ["1fa6b8d986d9b9cd01bf36951815158bbde9f520c0567c835dfe34783d0a4231"],
            "handle": ["31611159e7e6ff7843ea4627745e89225fc866621cfcfdbd40871af4413747cc"],
            "device_id": ["65397a5f96c8faed6bed9b822eb437bf8d75b866ec66fd795b55139b2acba2c5"],
        }),
    ];
    let wanted = users.map(|user| json!({"operation_type": "Delete", "params": {"users": [user]}}));
    assert_eq!(serde_json::from_str::<Value>(&body).unwrap(), json!(wanted));
}

#[tokio::test]
async fn a_wrong_operation_does_not_keep_the_others_from_being_done() {
    let sandbox = sandbox().await;
    let hashes = json!([
        "5473acc6e44a77757af6e917b55faa8c867033f838c5a4f07c65d35aae326f29",
        "4a30277a7ca42298f0e1467c1d1044ded6823764d15b633c926bcb8d3b04253a"
    ]);
    sandbox.seed("x_ads", &json!({"audiences": {"18ce54d4x5t/1hr8o": hashes}}));
    // The stand-in takes no partner's id of more than 200 characters.
    let long = "p".repeat(201);
    let people: Vec<_> = (0..4)
        .map(|n| {
            let email = format!("{n}@example.com");
            let mut pairs = vec![("email", email.as_str())];
            if n == 1 || n == 3 {
                pairs.push(("partner_user_id", &long));
            }
            subject(&pairs)
        })
        .collect();
    let answers = x_ads(&sandbox, "").delete(&people).await;
    for (n, answer) in answers.iter().enumerate() {
        match n {
            1 | 3 => assert!(reason(answer).contains("INVALID_PARAMETER, parameter partner_user_id"), "{answer:?}"),
            _ => assert_eq!((&answer.state, answer.grade), (&State::Confirmed, Some(Grade::E2))),
        }
    }
    assert_eq!(sandbox.calls("x_ads")[USERS], 2);
    // The other form that errors may have.
    let body = json!({"operation_errors": [{"index": 2, "code": "MISSING_PARAMETER", "message": WHO}]});
    sandbox.fault(fault(400, &body));
    let people: Vec<_> = (0..4).map(|n| subject(&[("email", &format!("{n}@example.com"))])).collect();
    let answers = x_ads(&sandbox, "").delete(&people).await;
    let refused: Vec<_> = answers.iter().map(|answer| matches!(answer.state, State::Refused { .. })).collect();
    assert_eq!(refused, [false, false, true, false]);
    // An index of nobody does not lead to calls without end.
    sandbox.fault(fault(400, &json!({"operation_errors": [{"index": 9, "code": "X"}]})));
    assert!(matches!(ask(&*x_ads(&sandbox, "")).await.state, State::Unreachable { .. }));
}

#[tokio::test]
async fn counts_have_to_be_those_of_the_people() {
    let sandbox = sandbox().await;
    sandbox.seed("x_ads", &json!({"miscount": 1}));
    let answer = ask(&*x_ads(&sandbox, "")).await;
    assert_eq!(answer.state, State::Confirmed);
    assert_eq!(answer.request_id.as_deref(), Some("0000000000000002"));
    sandbox.seed("x_ads", &json!({"miscount": 99}));
    let answer = ask(&*x_ads(&sandbox, "")).await;
    assert!(
        matches!(&answer.state, State::Unreachable { reason, .. } if reason.contains("did not count")),
        "{answer:?}"
    );
    assert_eq!(sandbox.calls("x_ads")[USERS], 2 + 4);
}

#[tokio::test]
async fn batches_are_as_large_as_allowed() {
    let sandbox = Sandbox::start(0, false).await.unwrap();
    let people: Vec<_> = (0..6000).map(|n| subject(&[("email", &format!("{n}@example.com"))])).collect();
    let answers = x_ads(&sandbox, "").delete(&people).await;
    assert!(answers.len() == 6000 && answers.iter().all(|answer| answer.state == State::Confirmed));
    assert_eq!(sandbox.calls("x_ads")[USERS], 3);
    // 3,000 bytes each: the body ends before the number does. (The stand-in refuses the ids, but not the bodies.)
    let long = |n: usize| format!("{n}{}", "p".repeat(3000));
    let people: Vec<_> = (0..2500).map(|n| subject(&[("partner_user_id", &long(n))])).collect();
    let answers = x_ads(&sandbox, "").delete(&people).await;
    assert!(answers.iter().all(|answer| reason(answer).contains("INVALID_PARAMETER")), "{:?}", answers[0]);
    assert_eq!(sandbox.calls("x_ads")[USERS], 3 + 2);
}

#[tokio::test]
async fn a_deleted_audience_is_gone_and_an_unknown_one_is_a_mistake() {
    let sandbox = sandbox().await;
    sandbox.seed("x_ads", &json!({"audiences": {"18ce54d4x5t/2abc": [HASH]}, "deleted": ["18ce54d4x5t/2abc"]}));
    let other = |id: &str| open(&yaml("x_ads", &sandbox.url("x_ads"), "").replace("1hr8o", id));
    let answer = ask(&*other("2abc")).await;
    assert_eq!((&answer.state, answer.grade), (&State::Confirmed, Some(Grade::E1)));
    assert!(reason(&ask(&*other("3xyz")).await).contains("no such audience"));
    assert!(other("3xyz").check().await.unwrap_err().reason.contains("no such audience"));
    assert_eq!(other("1hr8o").check().await, Ok(Checked::Proven));
}

#[tokio::test]
async fn errors_mean_what_the_table_says() {
    let sandbox = sandbox().await;
    for (status, code, words) in [
        (400, "INVALID_PARAMETER", "HTTP 400, code INVALID_PARAMETER"),
        (401, "UNAUTHORIZED_ACCESS", "does not know the keys"),
        (403, "UNAUTHORIZED_CLIENT_APPLICATION", "not admitted"),
    ] {
        sandbox.fault(fault(status, &json!({"errors": [{"code": code, "message": WHO}], "request": {}})));
        let answer = ask(&*x_ads(&sandbox, "")).await;
        assert!(matches!(&answer.state, State::Refused { reason } if reason.contains(words)), "{code}: {answer:?}");
    }
    // A success that names errors is none.
    let body = json!({"data": {"success_count": 1, "total_count": 1}, "errors": [{"code": "X"}]});
    sandbox.fault(Fault { times: Some(4), ..fault(200, &body) });
    assert!(matches!(ask(&*x_ads(&sandbox, "")).await.state, State::Unreachable { .. }));
    // The account's own limit is over at a second since 1970.
    let reset = jiff::Timestamp::now().as_second() + 3000;
    let headers = [("x-rate-limit-reset", "1".to_owned()), ("x-account-rate-limit-reset", reset.to_string())];
    let headers = headers.map(|(name, text)| (name.to_owned(), text)).into();
    sandbox.fault(Fault { headers, ..fault(429, &Value::Null) });
    let State::Unreachable { again_after: Some(after), .. } = ask(&*x_ads(&sandbox, "")).await.state else { panic!() };
    assert!((2990..=3000).contains(&after.as_secs()), "{after:?}");
}

#[tokio::test]
async fn the_limit_is_kept() {
    let sandbox = sandbox().await;
    let x_ads = x_ads(&sandbox, "");
    let begin = std::time::Instant::now();
    for _ in 0..26 {
        assert_eq!(ask(&*x_ads).await.state, State::Confirmed);
    }
    // 1,500 a minute are 25 a second.
    assert!(begin.elapsed() >= Duration::from_secs(1), "{:?}", begin.elapsed());
}
