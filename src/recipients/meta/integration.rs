//! Meta against its stand-in: one audience and all, malformed entries, sessions, and every error of its table.

use super::{
    SECRET,
    audiences::{HASH, WHO, ask, reason, recorder, yaml},
    open, plumbing, settings, subject,
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};
use sunset::{
    evidence::Grade,
    recipients::{self, Checked, Recipient, State},
    sandbox::{Fault, Sandbox},
};

const AUDIENCE: &str = "23850000000000001";
const ONE: &str = ", audience: \"23850000000000001\"";

async fn sandbox() -> Sandbox {
    Sandbox::start(0, true).await.unwrap()
}

fn meta(sandbox: &Sandbox, more: &str) -> Box<dyn Recipient> {
    open(&yaml("meta", &sandbox.url("meta"), more))
}

async fn left(sandbox: &Sandbox, audience: &str) -> Value {
    let url = format!("{}/v26.0/{audience}?fields=approximate_count_lower_bound", sandbox.url("meta"));
    let answer = reqwest::Client::new().get(url).bearer_auth("EAA").send().await.unwrap();
    answer.json::<Value>().await.unwrap()["approximate_count_lower_bound"].clone()
}

fn unescaped(text: &str) -> BTreeMap<String, String> {
    url::form_urlencoded::parse(text.as_bytes()).into_owned().collect()
}

#[tokio::test]
async fn a_person_leaves_all_audiences_or_one() {
    let sandbox = sandbox().await;
    let other = "23850000000000002";
    let phone = "1ef970831d7963307784fa8688e8fce101a15685d62aa765fed23f3a2c576a4e";
    sandbox.seed(
        "meta",
        &json!({"accounts": {"1234567890": [other]}, "audiences": {AUDIENCE: [HASH, phone, "u-9"], other: [HASH, phone]}}),
    );
    assert_eq!(ask(&*meta(&sandbox, ONE)).await.state, State::Confirmed);
    assert_eq!((left(&sandbox, AUDIENCE).await, left(&sandbox, other).await), (json!(2), json!(2)));
    let person = subject(&[("email", WHO), ("phone", "+1 (555) 987-6543")]);
    let answers = meta(&sandbox, "").delete(&[person]).await;
    assert_eq!(answers[0].state, State::Confirmed);
    assert_eq!(answers[0].request_id.as_deref(), Some("Atrace000004"));
    assert_eq!((left(&sandbox, AUDIENCE).await, left(&sandbox, other).await), (json!(1), json!(0)));
    let calls = sandbox.calls("meta");
    assert_eq!(calls["DELETE /v26.0/act_{ad_account_id}/usersofanyaudience"], 1);
    assert_eq!(calls["DELETE /v26.0/{custom_audience_id}/users"], 1);
}

#[tokio::test]
async fn requests_are_as_documented() {
    let (url, asked) = recorder("{\"audience_id\": \"1\", \"num_received\": 2, \"num_invalid_entries\": 0}").await;
    let people = [
        subject(&[("email", " Mary@Example.com "), ("country", "JP")]),
        subject(&[("email", WHO), ("phone", "090-1234-5678"), ("extern_id", "U 1"), ("last_name", "O'Neil")]),
    ];
    let more = ", app_secret: \"${X}\", country_calling_code: \"81\"";
    let answers = open(&yaml("meta", &url, more)).delete(&people).await;
    assert!(answers.iter().all(|answer| answer.state == State::Confirmed), "{answers:?}");
    let (head, body) = asked.lock().unwrap().pop().unwrap();
    assert!(head.starts_with("DELETE /v26.0/act_1234567890/usersofanyaudience HTTP/1.1\r\n"), "{head}");
    let head = head.to_lowercase();
    assert!(head.contains("\r\ncontent-type: application/x-www-form-urlencoded"), "{head}");
    assert!(head.contains(&format!("\r\nauthorization: bearer eaa{}", SECRET.to_lowercase())), "{head}");
    let form = unescaped(&body);
    assert_eq!(form.keys().collect::<Vec<_>>(), ["appsecret_proof", "payload"]);
    // HMAC-SHA256 of `EAAsk_test_crm_hunter2` with the key `sk_test_crm_hunter2`.
    assert_eq!(form["appsecret_proof"], "7754b895092199afe4cbb0ffb7f474fb581171e2195baa6a0aa667a1465a3c26");
    let wanted = json!({
        "schema": ["EXTERN_ID", "EMAIL", "PHONE", "LN", "COUNTRY"],
        "data": [
            ["", HASH, "", "", "9732c83e3e03fffde2ee65a9d826df8c4dd623c27fb92b952fe62a02f0726f87"],
            ["U 1", HASH, "0ad07193350775c6d4377f8b039d32877e66c69a454ed886b05279771c0fca0b", "67a42a846e98e3c1a96cd6ba14883a5ea05990cd93964ce8b832aa9497ca785c", ""],
        ],
    });
    assert_eq!(serde_json::from_str::<Value>(&form["payload"]).unwrap(), wanted);
    assert!(!body.contains("session"));
}

#[tokio::test]
async fn sessions_are_polled_to_the_end() {
    let sandbox = sandbox().await;
    sandbox.seed("meta", &json!({"audiences": {AUDIENCE: [HASH]}}));
    let meta = meta(&sandbox, &format!("{ONE}, sessions: true"));
    let answer = ask(&*meta).await;
    let State::Accepted { poll } = &answer.state else { panic!("{answer:?}") };
    assert_eq!((answer.grade, poll.again_after), (Some(Grade::E2), Duration::from_secs(2 * 60 * 60)));
    assert!(poll.ticket.bytes().all(|byte| byte.is_ascii_digit()));
    let tickets = [poll.ticket.clone(), "17".to_owned(), WHO.to_owned()];
    let answers = meta.poll(&tickets).await;
    assert!(matches!(&answers[0].state, State::Accepted { poll } if poll.ticket == tickets[0]), "{answers:?}");
    assert!(matches!(answers[1].state, State::Forgotten { .. }), "{answers:?}");
    assert!(matches!(answers[2].state, State::Refused { .. }), "{answers:?}");
    let answers = meta.poll(&tickets[..1]).await;
    assert_eq!((&answers[0].state, answers[0].grade), (&State::Confirmed, Some(Grade::E1)));
    // An audience without sessions knows no tickets.
    let answers = super::meta::meta(&sandbox, ONE).poll(&tickets[..1]).await;
    assert!(matches!(answers[0].state, State::Refused { .. }), "{answers:?}");
}

#[tokio::test]
async fn a_malformed_entry_is_refused_alone() {
    for samples in [100, 1, 0] {
        let sandbox = Sandbox::start(0, false).await.unwrap();
        sandbox.seed("meta", &json!({"samples": samples}));
        // The stand-in finds advertising ids malformed that are no UUID.
        let people: Vec<_> = (0..6)
            .map(|n| {
                let email = format!("{n}@example.com");
                let mut pairs = vec![("email", email.as_str())];
                if n == 2 || n == 5 {
                    pairs.push(("madid", if n == 2 { "none" } else { "unknown" }));
                }
                subject(&pairs)
            })
            .collect();
        let answers = meta(&sandbox, "").delete(&people).await;
        for (n, answer) in answers.iter().enumerate() {
            match n {
                2 | 5 => assert!(matches!(answer.state, State::Refused { .. }), "{samples} {n}: {answer:?}"),
                _ => assert_eq!(answer.state, State::Confirmed, "{samples} {n}"),
            }
        }
        let calls = sandbox.calls("meta")["DELETE /v26.0/act_{ad_account_id}/usersofanyaudience"];
        assert!(if samples == 100 { calls == 1 } else { (2..=11).contains(&calls) }, "{samples}: {calls}");
    }
}

#[tokio::test]
async fn batches_are_as_large_as_allowed() {
    let sandbox = Sandbox::start(0, false).await.unwrap();
    let people: Vec<_> = (0..25_000).map(|n| subject(&[("extern_id", &n.to_string())])).collect();
    let answers = meta(&sandbox, "").delete(&people).await;
    assert_eq!(answers.len(), 25_000);
    assert!(answers.iter().all(|answer| answer.state == State::Confirmed));
    assert_eq!(sandbox.calls("meta")["DELETE /v26.0/act_{ad_account_id}/usersofanyaudience"], 3);
}

#[tokio::test]
async fn errors_mean_what_the_table_says() {
    let sandbox = sandbox().await;
    let fault = |code: u64, subcode: u64, headers: &[(&str, &str)]| {
        let error = json!({"error": {
            "message": "m", "type": "OAuthException", "code": code, "error_subcode": subcode, "fbtrace_id": "AbC_-9",
        }});
        sandbox.fault(Fault {
            vendor: "meta".into(),
            status: Some(400),
            headers: headers.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect(),
            body: error.to_string(),
            ..Fault::default()
        });
    };
    for code in [1, 2, 341, 368, 5000, 4, 17, 613, 80003] {
        fault(code, 0, &[]);
        assert_eq!(ask(&*meta(&sandbox, "")).await.state, State::Confirmed, "{code}");
    }
    for (code, subcode, words) in [
        (100, 0, "parameter"),
        (100, 33, "no such ad account"),
        (100, 1_713_230, "flagged"),
        (105, 0, "too many parameters"),
        (190, 463, "access token"),
        (200, 1_870_090, "Terms"),
        (294, 0, "ads_management"),
        (2650, 0, "could not change"),
        (2655, 0, "code 2655"),
        (1_487_301, 0, "not shared"),
    ] {
        fault(code, subcode, &[]);
        let answer = ask(&*meta(&sandbox, "")).await;
        assert!(matches!(&answer.state, State::Refused { reason } if reason.contains(words)), "{code}: {answer:?}");
        assert_eq!(answer.request_id.as_deref(), Some("AbC_-9"));
    }
    // The vendor asks for 19 minutes.
    let usage = "{\"1\": [{\"type\": \"custom_audience\", \"estimated_time_to_regain_access\": 19}]}";
    fault(80003, 0, &[("x-business-use-case-usage", usage)]);
    let answer = ask(&*meta(&sandbox, "")).await;
    let State::Unreachable { again_after: Some(after), .. } = answer.state else { panic!("{answer:?}") };
    assert_eq!(after, Duration::from_secs(19 * 60));
}

#[tokio::test]
async fn what_became_of_an_audience_is_told() {
    let sandbox = sandbox().await;
    let [deleted, flagged] = ["23850000000000003", "23850000000000004"];
    let audiences = json!({deleted: [HASH], flagged: [HASH]});
    sandbox.seed("meta", &json!({"audiences": audiences, "deleted": [deleted], "flagged": [flagged]}));
    let one = |id: &str| meta(&sandbox, &format!(", audience: \"{id}\""));
    let answer = ask(&*one(deleted)).await;
    assert_eq!((&answer.state, answer.grade), (&State::Confirmed, Some(Grade::E1)));
    for (id, words) in [(flagged, "flagged"), ("99", "no such ad account or audience")] {
        assert!(reason(&ask(&*one(id)).await).contains(words));
        let error = one(id).check().await.unwrap_err();
        assert!(error.reason.contains(words) && !error.temporary, "{error}");
    }
    assert_eq!(meta(&sandbox, ONE).check().await, Ok(Checked::Proven));
    let error = meta(&sandbox, "").delete(&[]).await;
    assert!(error.is_empty());
}

#[tokio::test]
async fn the_apps_secret_is_proven() {
    let sandbox = sandbox().await;
    sandbox.seed("meta", &json!({"app_secret": SECRET}));
    let with = meta(&sandbox, ", app_secret: \"${X}\"");
    assert_eq!(with.check().await, Ok(Checked::Proven));
    assert_eq!(ask(&*with).await.state, State::Confirmed);
    assert!(reason(&ask(&*meta(&sandbox, "")).await).contains("parameter"));
}

#[test]
fn settings_name_one_target() {
    let check = |more: &str| {
        let settings = settings(&format!("{{kind: meta, access_token: \"${{X}}\", {more}}}"));
        recipients::open(&settings, &plumbing()).map(drop)
    };
    for good in ["ad_account: act_1", "ad_account: \"1\"", "audience: \"1\", sessions: true"] {
        check(good).unwrap();
    }
    let facts = |more: &str| {
        let settings = settings(&format!("{{kind: meta, access_token: \"${{X}}\", {more}}}"));
        (settings.kind.facts)(&settings)
    };
    assert_eq!((facts("ad_account: act_1").grade, facts("ad_account: act_1").batch), (Grade::E2, 10_000));
    assert_eq!(facts("audience: \"1\", sessions: true").grade, Grade::E1);
}
