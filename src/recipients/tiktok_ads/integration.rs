//! TikTok Ads against its stand-in: calls of one type, batches, codes that come as successes, and a run.

use super::{
    SECRET,
    audiences::{HASH, WHO, ask, reason, recorder, yaml},
    open, run, subject,
};
use crate::support::bench::Bench;
use serde_json::{Value, json};
use std::fs;
use sunset::{
    catalog::Engine,
    evidence::Grade,
    recipients::{Recipient, State},
    sandbox::{Fault, Sandbox},
};

const MAPPING: &str = "POST /v1.3/segment/mapping/";
const DONE: &str = "{\"code\": 0, \"message\": \"OK\", \"request_id\": \"R1\", \"data\": {}}";

fn tiktok(sandbox: &Sandbox, more: &str) -> Box<dyn Recipient> {
    open(&yaml("tiktok_ads", &sandbox.url("tiktok_ads"), more))
}

fn says(code: u64) -> Fault {
    let body = json!({"code": code, "message": WHO, "request_id": "R1", "data": {}}).to_string();
    Fault { vendor: "tiktok_ads".into(), path: "/v1.3/segment".into(), status: Some(200), body, ..Fault::default() }
}

/// How many identifiers are left in the audience, asked from outside.
async fn left(sandbox: &Sandbox) -> u64 {
    let url = format!("{}/v1.3/dmp/custom_audience/get/", sandbox.url("tiktok_ads"));
    let get = reqwest::Client::new().get(url).header("access-token", "tt_x");
    let body: Value = get.send().await.unwrap().json().await.unwrap();
    body["data"]["list"][0]["audience_details"]["cover_num"].as_u64().unwrap()
}

#[tokio::test]
async fn requests_are_as_documented() {
    let (url, asked) = recorder(DONE).await;
    let people = [
        subject(&[("email", " Mary@Example.com "), ("phone", "090-1234-5678")]),
        subject(&[("email", &HASH.to_uppercase()), ("idfa", "6D92078A-8246-4BA4-AE5B-76104861E7DC")]),
    ];
    let answers = open(&yaml("tiktok_ads", &url, ", country_calling_code: \"81\"")).delete(&people).await;
    assert!(answers.iter().all(|answer| answer.state == State::Confirmed), "{answers:?}");
    assert_eq!(answers[0].request_id.as_deref(), Some("R1"));
    let asked = asked.lock().unwrap().clone();
    let mut bodies = Vec::new();
    for (head, body) in &asked {
        assert!(head.starts_with("POST /v1.3/segment/mapping/ HTTP/1.1\r\n"), "{head}");
        assert!(head.to_lowercase().contains(&format!("\r\naccess-token: tt_{SECRET}").to_lowercase()), "{head}");
        assert!(head.to_lowercase().contains("\r\ncontent-type: application/json"), "{head}");
        bodies.push(serde_json::from_str::<Value>(body).unwrap());
    }
    bodies.sort_by_key(|body| body["id_schema"].to_string());
    let body = |schema: &str, id: &str| {
        json!({
            "advertiser_ids": ["7001"], "action": "delete", "id_schema": [schema],
            "batch_data": [[{"id": id, "audience_ids": ["167290896"]}]],
        })
    };
    // By `printf %s … | sha256sum`. The address and its digest are one identifier.
    let wanted = [
        body("EMAIL_SHA256", HASH),
        body("IDFA_SHA256", &sunset::recipients::hashing::sha256("6d92078a-8246-4ba4-ae5b-76104861e7dc")),
        body("PHONE_SHA256", &sunset::recipients::hashing::sha256("+819012345678")),
    ];
    assert_eq!(bodies, wanted);
}

#[tokio::test]
async fn a_person_leaves_the_audience_and_others_stay() {
    let sandbox = Sandbox::start(0, true).await.unwrap();
    let other = "0".repeat(64);
    let members = json!([format!("EMAIL_SHA256 {HASH}"), format!("EMAIL_SHA256 {other}")]);
    sandbox.seed("tiktok_ads", &json!({"audiences": {"167290896": members}}));
    let answer = ask(&*tiktok(&sandbox, "")).await;
    assert_eq!((&answer.state, answer.grade), (&State::Confirmed, Some(Grade::E2)));
    assert_eq!(left(&sandbox).await, 1);
}

#[tokio::test]
async fn what_is_no_identifier_is_not_sent() {
    let sandbox = Sandbox::start(0, true).await.unwrap();
    let tiktok = tiktok(&sandbox, "");
    let nobody = [
        ("email", "n/a"),
        ("email", "taro"),
        ("email", &HASH[1..]),
        ("phone", "-"),
        ("phone", "n/a"),
        ("idfa", "00000000-0000-0000-0000-000000000000"),
        ("aaid", "abc"),
    ];
    let answers = tiktok.delete(&nobody.map(|pair| subject(&[pair]))).await;
    assert!(answers.iter().all(|answer| matches!(answer.state, State::NotPossible { .. })), "{answers:?}");
    let answers = tiktok.delete(&[subject(&[("phone", "090-1234-5678")])]).await;
    assert!(reason(&answers[0]).contains("set `country_calling_code`"), "{answers:?}");
    assert_eq!(sandbox.arrivals("tiktok_ads").len(), 0);
    // A digest that begins with 0 is no number without its country.
    let answers = tiktok.delete(&[subject(&[("phone", &"0a".repeat(32))])]).await;
    assert_eq!(answers[0].state, State::Confirmed);
}

#[tokio::test]
async fn a_batch_that_is_refused_is_asked_about_in_halves() {
    let sandbox = Sandbox::start(0, false).await.unwrap();
    let people: Vec<_> = (0..2500).map(|n| subject(&[("email", &format!("{n}@example.com"))])).collect();
    let answers = tiktok(&sandbox, "").delete(&people).await;
    assert!(answers.len() == 2500 && answers.iter().all(|answer| answer.state == State::Confirmed));
    assert_eq!(sandbox.calls("tiktok_ads")[MAPPING], 3);
    // Whole, then a half of four, then one of two: one person alone is refused.
    for _ in 0..3 {
        sandbox.fault(says(40002));
    }
    let answers = tiktok(&sandbox, "").delete(&people[..4]).await;
    let refused: Vec<_> = answers.iter().map(|answer| matches!(answer.state, State::Refused { .. })).collect();
    assert_eq!(refused.iter().filter(|refused| **refused).count(), 1, "{answers:?}");
    assert!(answers.iter().zip(&refused).all(|(answer, refused)| *refused || answer.state == State::Confirmed));
    // It does not go on for ever.
    sandbox.fault(Fault { times: Some(99_999), ..says(40002) });
    let before = sandbox.arrivals("tiktok_ads").len();
    let answers = tiktok(&sandbox, "").delete(&people[..1000]).await;
    assert!(answers.iter().all(|answer| !matches!(answer.state, State::Confirmed | State::Gone)));
    assert_eq!(sandbox.arrivals("tiktok_ads").len() - before, 64);
}

#[tokio::test]
async fn codes_mean_what_is_said_of_them() {
    let sandbox = Sandbox::start(0, true).await.unwrap();
    for (code, words) in [(40105, "access token"), (40001, "may not do this"), (40002, "code 40002"), (1, "code 1")] {
        sandbox.fault(says(code));
        let answer = ask(&*tiktok(&sandbox, "")).await;
        assert!(matches!(&answer.state, State::Refused { reason } if reason.contains(words)), "{code}: {answer:?}");
    }
    for code in [40100, 50000] {
        sandbox.fault(Fault { times: Some(2), ..says(code) });
        assert_eq!(ask(&*tiktok(&sandbox, "")).await.state, State::Confirmed, "{code} passes");
        sandbox.fault(Fault { times: Some(4), ..says(code) });
        let answer = ask(&*tiktok(&sandbox, "")).await;
        assert!(matches!(answer.state, State::Unreachable { .. }), "{code} stays: {answer:?}");
    }
    let other = yaml("tiktok_ads", &sandbox.url("tiktok_ads"), "").replace("7001", "7002");
    let error = open(&other).check().await.unwrap_err();
    assert!(error.reason.contains("may not do this") && !error.temporary, "{error:?}");
}

/// A row goes after TikTok has said that it is done, and not before.
#[tokio::test]
async fn a_row_goes_when_tiktok_has_answered() {
    let bench = Bench::new(Engine::Sqlite).await;
    let sandbox = run::sandbox().await;
    fs::write(bench.path("key"), "tt_planted").unwrap();
    bench.settings(&format!(
        "time_zone: UTC\nrecipients: {{ads: {{kind: tiktok_ads, url: \"{}\", access_token: \"${{file:key}}\", advertiser: \"7001\", \
         audience: \"167290896\"}}}}",
        sandbox.url("tiktok_ads")
    ));
    bench.script("create table t (id {int} primary key, at_day {date}, email {text})").await;
    bench.script("insert into t values (1, '2001-01-01', '1planted@example.com')").await;
    bench.rules(
        "- {id: t, table: core.t, starting_point: at_day, retention_period: 5 years, disposition: erase, recipients: [ads: {email: \
         email}]}",
    );
    let html = Fault { body: "<html>0</html>".into(), ..says(0) };
    for fault in [says(40100), html, Fault { body: "{\"code\": 0}".into(), ..says(0) }] {
        sandbox.fault(Fault { times: Some(99), ..fault });
        let run = bench.sunset(&["run", "--now", bench.now]).expect(75);
        assert_eq!(bench.list("select id from t").await, "1", "{run:?}");
        sandbox.clear_faults();
    }
    bench.script("insert into t values (2, '2001-01-01', 'n/a')").await;
    bench.sunset(&["run", "--now", bench.now]).expect(4);
    assert_eq!(bench.list("select id from t").await, "2", "who has no address is not asked about");
    assert_eq!(sandbox.calls("tiktok_ads")[MAPPING], 1);
    run::is_silent(&bench, &[]);
}
