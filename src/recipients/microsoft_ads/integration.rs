//! Microsoft Advertising against its stand-in: tokens, items of one type, errors by index, and a run.

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
    recipients::{Recipient, State, hashing::sha256},
    sandbox::{Fault, Sandbox},
};

const APPLY: &str = "POST /CampaignManagement/v13/CustomerListUserData/Apply";

fn microsoft(sandbox: &Sandbox, more: &str) -> Box<dyn Recipient> {
    open(&yaml("microsoft_ads", &sandbox.url("microsoft_ads"), more))
}

fn says(status: u16, body: &Value) -> Fault {
    let (vendor, path) = ("microsoft_ads".into(), "/CampaignManagement".into());
    Fault { vendor, path, status: Some(status), body: body.to_string(), ..Fault::default() }
}

#[tokio::test]
async fn requests_are_as_documented() {
    let (url, asked) = recorder("{\"access_token\": \"t-1\", \"expires_in\": 3600, \"PartialErrors\": []}").await;
    let people = [
        subject(&[("email", " Mary@Example.com "), ("crm", " U-1 ")]),
        subject(&[("email", &HASH.to_uppercase()), ("phone", "090-1234-5678")]),
    ];
    let more = ", country_calling_code: \"81\", phone_form: digits";
    let answers = open(&yaml("microsoft_ads", &url, more)).delete(&people).await;
    assert!(answers.iter().all(|answer| answer.state == State::Confirmed), "{answers:?}");
    let asked = asked.lock().unwrap().clone();
    let (token, form) = &asked[0];
    assert!(token.starts_with("POST /common/oauth2/v2.0/token HTTP/1.1\r\n"), "{token}");
    let wanted = format!(
        "grant_type=refresh_token&client_id=app&refresh_token=ms_{SECRET}&scope=https%3A%2F%2Fads.microsoft.com%2Fmsads.manage+offline_access"
    );
    assert_eq!(*form, wanted);
    let mut bodies = Vec::new();
    for (head, body) in &asked[1..] {
        assert!(head.starts_with("POST /CampaignManagement/v13/CustomerListUserData/Apply HTTP/1.1\r\n"), "{head}");
        let head = head.to_lowercase();
        for header in [
            "authorization: bearer t-1",
            "customerid: 11",
            "customeraccountid: 22",
            &format!("developertoken: {SECRET}"),
        ] {
            assert!(head.contains(&format!("\r\n{header}")), "{header} in {head}");
        }
        bodies.push(serde_json::from_str::<Value>(body).unwrap());
    }
    bodies.sort_by_key(ToString::to_string);
    let body = |kind: &str, item: &str| {
        json!({"CustomerListUserData": {
            "ActionType": "Remove", "AudienceId": "801", "CustomerListItemSubType": kind, "CustomerListItems": [item],
        }})
    };
    assert_eq!(bodies, [body("CRM", "U-1"), body("Email", HASH), body("Phone", &sha256("819012345678"))]);
}

#[tokio::test]
async fn a_wrong_item_does_not_keep_the_others_from_being_done() {
    let sandbox = Sandbox::start(0, true).await.unwrap();
    // The stand-in takes no CRM id of more than 100 characters.
    let ids: Vec<_> = (0..5).map(|n| if n % 2 == 1 { "p".repeat(101 + n) } else { format!("u-{n}") }).collect();
    let people: Vec<_> = ids.iter().map(|id| subject(&[("crm", id)])).collect();
    sandbox.seed("microsoft_ads", &json!({"lists": {"801": ["CRM u-0", "CRM u-2", "CRM u-4", "CRM u-6"]}}));
    let answers = microsoft(&sandbox, "").delete(&people).await;
    for (n, answer) in answers.iter().enumerate() {
        if n % 2 == 1 {
            assert_eq!(reason(answer), "Microsoft refuses the item, code 4602, CustomerListItemInvalid");
            assert!(matches!(answer.state, State::Refused { .. }));
        } else {
            assert_eq!((&answer.state, answer.grade), (&State::Confirmed, Some(Grade::E2)));
            assert!(answer.request_id.is_some());
        }
    }
    assert_eq!(sandbox.calls("microsoft_ads")[APPLY], 2);
    // An index of nobody, and none at all, tell nothing about anybody.
    for error in [json!({"Index": 9, "Code": 4602}), json!({"Code": 4602}), Value::Null, json!({"Index": -1})] {
        sandbox.fault(says(200, &json!({"PartialErrors": [error]})));
        let answer = ask(&*microsoft(&sandbox, "")).await;
        assert!(matches!(answer.state, State::Unreachable { .. }), "{error}: {answer:?}");
    }
    // An error of the item that passes.
    sandbox.fault(says(200, &json!({"PartialErrors": [{"Index": 0, "Code": 117}]})));
    assert!(matches!(ask(&*microsoft(&sandbox, "")).await.state, State::Unreachable { .. }));
    // Each call finds another item wrong: it does not go on for ever.
    sandbox.fault(Fault { times: Some(999), ..says(200, &json!({"PartialErrors": [{"Index": 0, "Code": 4602}]})) });
    let people: Vec<_> = (0..100).map(|n| subject(&[("crm", &format!("v-{n}"))])).collect();
    let answers = microsoft(&sandbox, "").delete(&people).await;
    assert_eq!(answers.iter().filter(|answer| matches!(answer.state, State::Refused { .. })).count(), 16);
    assert!(answers.iter().all(|answer| !matches!(answer.state, State::Confirmed | State::Gone)));
}

#[tokio::test]
async fn batches_are_as_large_as_allowed() {
    let sandbox = Sandbox::start(0, true).await.unwrap();
    let people: Vec<_> = (0..2500).map(|n| subject(&[("email", &format!("{n}@example.com"))])).collect();
    let answers = microsoft(&sandbox, "").delete(&people).await;
    assert!(answers.len() == 2500 && answers.iter().all(|answer| answer.state == State::Confirmed));
    assert_eq!(sandbox.calls("microsoft_ads")[APPLY], 3);
}

#[tokio::test]
async fn what_is_no_identifier_is_not_sent() {
    let sandbox = Sandbox::start(0, true).await.unwrap();
    let plain = microsoft(&sandbox, "");
    let nobody = [("email", "n/a"), ("email", "taro"), ("phone", "-"), ("crm", "n/a"), ("crm", "--")];
    let answers = plain.delete(&nobody.map(|pair| subject(&[pair]))).await;
    assert!(answers.iter().all(|answer| matches!(answer.state, State::NotPossible { .. })), "{answers:?}");
    for (phone, words) in [("+81 90-1234-5678", "set `phone_form`"), ("090-1234-5678", "set `country_calling_code`")] {
        let answers = plain.delete(&[subject(&[("phone", phone)])]).await;
        assert!(matches!(&answers[0].state, State::Refused { reason } if reason.contains(words)), "{answers:?}");
    }
    assert_eq!(sandbox.arrivals("microsoft_ads").len(), 0);
    // A digest needs neither; and who has a number in an unknown form is not served by the address alone.
    let answers = plain.delete(&[subject(&[("phone", &"0a".repeat(32))])]).await;
    assert_eq!(answers[0].state, State::Confirmed);
    let answers = plain.delete(&[subject(&[("email", WHO), ("phone", "+819012345678")])]).await;
    assert!(matches!(answers[0].state, State::Refused { .. }), "{answers:?}");
}

#[tokio::test]
async fn tokens_and_codes_mean_what_is_said_of_them() {
    let sandbox = Sandbox::start(0, true).await.unwrap();
    let recipient = microsoft(&sandbox, "");
    assert_eq!(ask(&*recipient).await.state, State::Confirmed);
    sandbox.seed("microsoft_ads", &json!({"expire_tokens": true}));
    assert_eq!(ask(&*recipient).await.state, State::Confirmed);
    assert_eq!(sandbox.calls("microsoft_ads")["POST /common/oauth2/v2.0/token"], 2);
    let error = |code: u64| json!({"Errors": [{"Code": code, "ErrorCode": "AName", "Message": WHO}]});
    for status in [200, 400] {
        sandbox.fault(Fault { times: Some(2), ..says(status, &error(117)) });
        assert_eq!(ask(&*recipient).await.state, State::Confirmed, "{status}");
        sandbox.fault(says(status, &error(105)));
        let answer = ask(&*recipient).await;
        let words = format!("HTTP {status}, code 105, AName");
        assert!(matches!(&answer.state, State::Refused { reason } if *reason == words), "{answer:?}");
    }
    for body in [json!({}), json!({"PartialErrors": null}), json!({"PartialErrors": {}})] {
        sandbox.fault(says(200, &body));
        let answer = ask(&*recipient).await;
        assert!(matches!(answer.state, State::Unreachable { .. }), "{body}: {answer:?}");
    }
    let other = yaml("microsoft_ads", &sandbox.url("microsoft_ads"), "").replace("801", "802");
    let error = open(&other).check().await.unwrap_err();
    assert!(error.reason.contains("no such customer list") && !error.temporary, "{error:?}");
    assert!(matches!(ask(&*open(&other)).await.state, State::Refused { .. }));
}

/// A row goes after Microsoft has said that it is done, and not before.
#[tokio::test]
async fn a_row_goes_when_microsoft_has_answered() {
    let bench = Bench::new(Engine::Sqlite).await;
    let sandbox = run::sandbox().await;
    fs::write(bench.path("key"), "ms_planted").unwrap();
    bench.settings(&format!(
        "time_zone: UTC\nrecipients: {{ads: {{kind: microsoft_ads, url: \"{0}\", token_url: \"{0}/common/oauth2/v2.0/token\", \
         developer_token: \"${{file:key}}\", client_id: app, refresh_token: \"${{file:key}}\", customer: \"11\", account: \"22\", \
         audience: \"801\"}}}}",
        sandbox.url("microsoft_ads")
    ));
    bench.script("create table t (id {int} primary key, at_day {date}, email {text})").await;
    bench.script("insert into t values (1, '2001-01-01', '1planted@example.com')").await;
    bench.rules(
        "- {id: t, table: core.t, starting_point: at_day, retention_period: 5 years, disposition: erase, recipients: [ads: {email: \
         email}]}",
    );
    for body in [json!({}), json!({"PartialErrors": null}), json!({"Errors": [{"Code": 117}]})] {
        sandbox.fault(Fault { times: Some(99), ..says(200, &body) });
        let run = bench.sunset(&["run", "--now", bench.now]).expect(75);
        assert_eq!(bench.list("select id from t").await, "1", "{body}: {run:?}");
        sandbox.clear_faults();
    }
    bench.script("insert into t values (2, '2001-01-01', 'n/a')").await;
    bench.sunset(&["run", "--now", bench.now]).expect(4);
    assert_eq!(bench.list("select id from t").await, "2", "who has no address is not asked about");
    assert_eq!(sandbox.calls("microsoft_ads")[APPLY], 1);
    run::is_silent(&bench, &[]);
}
