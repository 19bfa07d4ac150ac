//! Google Ads against its stand-in: the Data Manager API, and jobs of the Google Ads API.

use super::{
    SECRET, delete_one,
    google::{ACCOUNT, PUBLIC, USER, keeper, reason, with_account, with_user, yaml},
    plumbing, secret_settings, settings, subject,
};
use serde_json::{Value, json};
use std::time::Duration;
use sunset::{
    evidence::Grade,
    recipients::{self, Answer, Checked, Recipient, State, Subject},
    sandbox::{Fault, Sandbox},
};

const KIND: &str = "google_ads";
const REMOVE: &str = "POST /v1/audienceMembers:remove";
const CREATE: &str = "POST /{version}/customers/{customer}/offlineUserDataJobs:create";

/// Made with google-ads-datamanager-util 0.4.0 (`Formatter().process_…(text, Encoding.HEX)`).
const TARO: (&str, &str) =
    (" Taro.Yamada@Example.co.jp ", "ee88fe0f2c99e5f6d29bc9f6647db4253d1be8bd8c39d38dcfcf0cb82886f06e");
const GMAIL: (&str, &str) =
    ("Ta.Ro+News@GMail.com", "d04ccff87030eedf978039d47c67d722447b2120555ace224dc3cabee96b459e");
const PHONE: (&str, &str) = ("+81 90-1234-5678", "3d06a39d40790f11761295e053029378ae28c4b4f6f301693005e079f3d4ca64");
const GIVEN: (&str, &str) = (" Taro ", "8ff52c91ed7d509440aa7fbf04ad60ad554e4a01f101e5222916e70f9f68fb45");
const FAMILY: (&str, &str) = ("YAMADA", "77a5b469f790f5659f272b9cfa4d476649212d3c688c1553530d95fad78fca1a");

async fn sandbox() -> Sandbox {
    Sandbox::start(0, false).await.unwrap()
}

fn manager(sandbox: &Sandbox) -> Box<dyn Recipient> {
    with_user(KIND, &sandbox.url(KIND), "customer: 123-456-7890, user_lists: [10]")
}

/// The job API: the developer token is the one that the stand-in knows.
fn jobs(url: &str, more: &str) -> Box<dyn Recipient> {
    let more = format!("customer: 1234567890, api: offline_user_data_job, developer_token: \"${{X}}\", {more}");
    let user = "client_id: sandbox, client_secret: \"${X}\", refresh_token: \"1//${X}\"";
    let settings = secret_settings(&yaml(KIND, url, &more, user), "sandbox-developer-token");
    recipients::open(&settings, &plumbing()).unwrap()
}

fn email(address: &str) -> Subject {
    subject(&[("email", address)])
}

fn fault(path: &str) -> Fault {
    Fault { vendor: KIND.into(), path: path.into(), ..Fault::default() }
}

async fn members(sandbox: &Sandbox, list: &str) -> Value {
    let url = format!("{}/_members/{list}", sandbox.url(KIND));
    reqwest::get(url).await.unwrap().json().await.unwrap()
}

/// Polls until the end, a few times at most.
async fn ends_of(ads: &dyn Recipient, answers: &[Answer]) -> Vec<Answer> {
    let mut ends = Vec::new();
    for answer in answers {
        let mut answer = answer.clone();
        for _ in 0..6 {
            let State::Accepted { poll } = &answer.state else { break };
            answer = ads.poll(std::slice::from_ref(&poll.ticket)).await.remove(0);
        }
        ends.push(answer);
    }
    ends
}

fn is_done(answer: &Answer) -> bool {
    answer.state == State::Confirmed && answer.grade == Some(Grade::E1)
}

#[tokio::test]
async fn people_leave_the_list_and_the_end_is_looked_for() {
    let sandbox = sandbox().await;
    let list = json!({"members": [TARO.1, GMAIL.1, "0".repeat(64)]});
    sandbox.seed(KIND, &json!({"customers": {"1234567890": {"10": list}}}));
    let ads = manager(&sandbox);
    // the last two are the first one, in another row and in another hand
    let people = [TARO.0, GMAIL.0, "never@example.com", TARO.0, "taro.yamada@example.CO.JP"].map(email);
    let answers = ads.delete(&people).await;
    assert_eq!(sandbox.calls(KIND)[REMOVE], 1);
    let tickets: Vec<String> = answers
        .iter()
        .map(|answer| {
            assert_eq!(answer.grade, Some(Grade::E2));
            let State::Accepted { poll } = &answer.state else { panic!("{answer:?}") };
            assert_eq!(poll.again_after, Duration::from_secs(30 * 60));
            poll.ticket.clone()
        })
        .collect();
    assert_eq!(tickets, ["rm-000002/0/0", "rm-000002/1/0", "rm-000002/2/0", "rm-000002/0/0", "rm-000002/0/0"]);
    // One look for all of them, and twice the pause after it.
    let looked = ads.poll(&tickets).await;
    assert_eq!(sandbox.calls(KIND)["GET /v1/requestStatus:retrieve"], 1);
    let State::Accepted { poll } = &looked[1].state else { panic!("{looked:?}") };
    assert_eq!((poll.ticket.as_str(), poll.again_after), ("rm-000002/1/1", Duration::from_secs(60 * 60)));
    let ends = ends_of(&*ads, &looked).await;
    assert!(ends.iter().all(is_done), "{ends:?}");
    assert_eq!(ends[0].request_id.as_deref(), Some("rm-000002"));
    assert_eq!(members(&sandbox, "1234567890/10").await, json!(["0".repeat(64)]));
    // Who is in no list any more is removed without an error.
    let again = ends_of(&*ads, &ads.delete(&people).await).await;
    assert!(again.iter().all(is_done), "{again:?}");
}

/// As `datamanager.v1`, revision 20261106, has it.
#[tokio::test]
async fn a_removal_is_that_of_the_discovery_document() {
    let (url, seen) = keeper(json!({"requestId": "r-1"})).await;
    let more = "customer: 123-456-7890, login_customer: 987-654-3210, user_lists: [10, \"11\"]";
    let ads = with_user(KIND, &url, more);
    let who = [
        ("email", GMAIL.0),
        ("phone", PHONE.0),
        ("given_name", GIVEN.0),
        ("family_name", FAMILY.0),
        ("region_code", "jp"),
        ("postal_code", " 100-0001 "),
    ];
    delete_one(&*ads, subject(&who)).await;
    ads.poll(&["r-1/0/0".to_owned()]).await;
    let seen = seen.lock().unwrap().clone();
    assert_eq!(seen[1].line, "POST /v1/audienceMembers:remove HTTP/1.1");
    assert!(
        seen[1].headers.contains("authorization: bearer ya29.kept") && !seen[1].headers.contains("developer-token")
    );
    let destination = |list: &str| {
        json!({
            "operatingAccount": {"accountType": "GOOGLE_ADS", "accountId": "1234567890"},
            "loginAccount": {"accountType": "GOOGLE_ADS", "accountId": "9876543210"},
            "productDestinationId": list,
        })
    };
    let address = json!({"givenName": GIVEN.1, "familyName": FAMILY.1, "regionCode": "JP", "postalCode": "100-0001"});
    let expected = json!({
        "destinations": [destination("10"), destination("11")],
        "audienceMembers": [{"userData": {"userIdentifiers": [
            {"emailAddress": GMAIL.1}, {"phoneNumber": PHONE.1}, {"address": address},
        ]}}],
        "encoding": "HEX",
    });
    assert_eq!(seen[1].json(), expected);
    assert_eq!(seen[2].line, "GET /v1/requestStatus:retrieve?requestId=r-1 HTTP/1.1");
}

#[tokio::test]
async fn lists_of_other_types_take_their_own_identifiers() {
    let sandbox = sandbox().await;
    let device = "38400000-8cf0-11bd-b23e-10b96e40000d";
    let lists = json!({"20": {"type": "MOBILE", "members": [device]}, "30": {"type": "USER", "members": ["u-1"]}});
    sandbox.seed(KIND, &json!({"customers": {"1234567890": lists}}));
    for (list, name, id) in [("20", "mobile_id", device), ("30", "user_id", "u-1")] {
        let ads = with_user(KIND, &sandbox.url(KIND), &format!("customer: 1234567890, user_lists: [{list}]"));
        let ends = ends_of(&*ads, &ads.delete(&[subject(&[(name, id)])]).await).await;
        assert!(is_done(&ends[0]), "{ends:?}");
        assert_eq!(members(&sandbox, &format!("1234567890/{list}")).await, json!([]));
    }
    let ads = manager(&sandbox);
    let mixed = delete_one(&*ads, subject(&[("email", TARO.0), ("user_id", "u-1")])).await;
    assert!(matches!(mixed.state, State::Refused { .. }), "{mixed:?}");
    let wrong = delete_one(&*ads, subject(&[("user_id", "u-1")])).await;
    assert_eq!(reason(&wrong), "HTTP 400, INVALID_ARGUMENT, INVALID_USER_LIST_TYPE");
    let nobody = delete_one(&*ads, subject(&[("email", "unknown"), ("phone", "-"), ("given_name", "Taro")])).await;
    assert!(matches!(nobody.state, State::NotPossible { .. }), "{nobody:?}");
    let national = delete_one(&*ads, subject(&[("phone", "090-1234-5678")])).await;
    assert!(matches!(national.state, State::Refused { .. }), "{national:?}");
}

#[tokio::test]
async fn a_member_that_makes_a_request_invalid_does_not_keep_the_others() {
    let sandbox = sandbox().await;
    sandbox.seed(KIND, &json!({"customers": {"1234567890": {"20": {"type": "MOBILE"}}}}));
    let ads = with_user(KIND, &sandbox.url(KIND), "customer: 1234567890, user_lists: [20]");
    let devices = ["38400000-8cf0-11bd-b23e-10b96e40000d", "secret-device", "38400000-8cf0-11bd-b23e-10b96e40000e"];
    let answers = ads.delete(&devices.map(|id| subject(&[("mobile_id", id)]))).await;
    assert_eq!(reason(&answers[1]), "HTTP 400, INVALID_ARGUMENT, INVALID_MOBILE_ID_FORMAT");
    assert_eq!(sandbox.calls(KIND)[REMOVE], 2);
    // The third is the second of the new request.
    let State::Accepted { poll } = &answers[2].state else { panic!("{answers:?}") };
    assert!(poll.ticket.ends_with("/1/0"), "{}", poll.ticket);
    assert!(is_done(&ends_of(&*ads, &answers).await[2]));
}

#[tokio::test]
async fn of_a_partial_success_only_the_named_records_are_left() {
    let sandbox = sandbox().await;
    let internal = "PROCESSING_ERROR_REASON_INTERNAL_ERROR";
    sandbox.seed(KIND, &json!({"fail": {TARO.1: internal}}));
    let ads = manager(&sandbox);
    let people = [email("a@example.com"), email(TARO.0), email("b@example.com")];
    let ends = ends_of(&*ads, &ads.delete(&people).await).await;
    assert!(is_done(&ends[0]) && is_done(&ends[2]), "{ends:?}");
    assert!(matches!(ends[1].state, State::Unreachable { .. }) && reason(&ends[1]).contains(internal), "{ends:?}");
    // Where nobody says which, all of them are asked again.
    sandbox.seed(KIND, &json!({"name_records": false}));
    let ends = ends_of(&*ads, &ads.delete(&people).await).await;
    assert!(ends.iter().all(|end| matches!(end.state, State::Unreachable { .. })), "{ends:?}");
    // A form that is wrong would be wrong again.
    sandbox.seed(KIND, &json!({"fail": {TARO.1: "PROCESSING_ERROR_REASON_INVALID_FORMAT"}, "name_records": true}));
    let ends = ends_of(&*ads, &ads.delete(&people[1..2]).await).await;
    assert!(matches!(ends[0].state, State::Refused { .. }), "{ends:?}");
}

#[tokio::test]
async fn faults_that_pass_are_not_noticed_and_others_are_told() {
    let sandbox = sandbox().await;
    let aborted = json!({"error": {"code": 409, "status": "ABORTED"}}).to_string();
    for fault in [
        Fault { status: Some(409), body: aborted, ..fault("/v1") },
        Fault { status: Some(429), headers: [("retry-after".into(), "0".into())].into(), ..fault("/v1") },
        Fault { status: Some(429), ..fault("/v1") },
        Fault { status: Some(503), times: Some(2), ..fault("/v1") },
        Fault { status: Some(500), ..fault("/v1") },
        Fault { break_off: Some("half".into()), ..fault("/v1") },
        Fault { status: Some(401), ..fault("/v1") },
    ] {
        let shown = format!("{fault:?}");
        sandbox.fault(fault);
        let answer = delete_one(&*manager(&sandbox), email(TARO.0)).await;
        assert!(matches!(answer.state, State::Accepted { .. }), "{shown}: {answer:?}");
    }
    let denied = json!({"error": {"code": 403, "status": "PERMISSION_DENIED", "message": TARO.1}}).to_string();
    for (status, body, words) in [
        (403, denied.as_str(), "the account may not do this (HTTP 403), PERMISSION_DENIED"),
        (200, "{\"requestId\": \"r", "HTTP 200 with an answer that cannot be read"),
        (200, "{}", "the answer names no request"),
        (404, "", "HTTP 404 that is not of this API: look at `url`"),
    ] {
        sandbox.fault(Fault { status: Some(status), body: body.to_owned(), ..fault("/v1") });
        let answer = delete_one(&*manager(&sandbox), email(TARO.0)).await;
        assert_eq!(reason(&answer), words);
        let shown = format!("{answer:?}");
        assert!(!shown.contains(TARO.1) && !shown.contains("amada") && !shown.contains(SECRET), "{shown}");
    }
    // The vendor's own pause is longer than anybody waits.
    let details = json!([{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "3600s"}]);
    let body = json!({"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "details": details}}).to_string();
    sandbox.fault(Fault { status: Some(429), body, ..fault("/v1") });
    let answer = delete_one(&*manager(&sandbox), email(TARO.0)).await;
    let State::Unreachable { again_after, .. } = answer.state else { panic!("{answer:?}") };
    assert_eq!(again_after, Some(Duration::from_secs(3600)));
}

#[tokio::test]
async fn a_request_that_google_forgot_is_made_anew() {
    let sandbox = sandbox().await;
    let ads = manager(&sandbox);
    let answers = ads.delete(&[email(TARO.0)]).await;
    sandbox.seed(KIND, &json!({"forget_requests": true}));
    let ends = ends_of(&*ads, &answers).await;
    assert_eq!(reason(&ends[0]), "Google knows no such request; a new one will be made");
    let strange = ads.poll(&["customers/1/offlineUserDataJobs/2".to_owned(), "x".to_owned()]).await;
    assert!(strange.iter().all(|answer| matches!(answer.state, State::Unreachable { .. })), "{strange:?}");
}

#[tokio::test]
async fn wrong_credentials_leave_all_as_it_is() {
    let sandbox = sandbox().await;
    let more = "customer: 1234567890, user_lists: [10]";
    let stranger = with_account(KIND, &sandbox.url(KIND), more);
    let answers = stranger.delete(&[email(TARO.0), email(GMAIL.0)]).await;
    assert!(answers.iter().all(|answer| matches!(answer.state, State::Refused { .. })), "{answers:?}");
    assert_eq!(sandbox.calls(KIND).into_iter().collect::<Vec<_>>(), [("POST /token".to_owned(), 1)]);
    sandbox.seed(KIND, &json!({"service_accounts": {ACCOUNT: PUBLIC}}));
    let known = with_account(KIND, &sandbox.url(KIND), more);
    assert!(matches!(delete_one(&*known, email(TARO.0)).await.state, State::Accepted { .. }));
    let other = with_user(KIND, &sandbox.url(KIND), "customer: 5, user_lists: [10]");
    assert!(!other.check().await.unwrap_err().temporary);
    // The check names a list, and removes nobody.
    let before = members(&sandbox, "1234567890/10").await;
    assert_eq!(manager(&sandbox).check().await, Ok(Checked::Proven));
    assert_eq!(members(&sandbox, "1234567890/10").await, before);
    let list = with_user(KIND, &sandbox.url(KIND), "customer: 1234567890, user_lists: [99]");
    assert_eq!(list.check().await.unwrap_err().reason, "HTTP 400, INVALID_ARGUMENT, INVALID_USER_LIST_ID");
}

#[tokio::test]
async fn a_batch_goes_in_requests_of_ten_thousand() {
    let sandbox = sandbox().await;
    let people: Vec<Subject> = (0..10_001).map(|number| email(&format!("person{number}@example.com"))).collect();
    let ads = manager(&sandbox);
    let answers = ads.delete(&people).await;
    assert!(answers.iter().all(|answer| matches!(answer.state, State::Accepted { .. })));
    assert_eq!(sandbox.calls(KIND)[REMOVE], 2);
    let State::Accepted { poll } = &answers[10_000].state else { panic!() };
    assert!(poll.ticket.ends_with("/0/0"), "{}", poll.ticket);
}

#[tokio::test]
async fn a_job_is_created_filled_and_run_for_each_list() {
    let sandbox = sandbox().await;
    let list = json!({"members": [TARO.1]});
    sandbox.seed(KIND, &json!({"customers": {"1234567890": {"10": list, "11": list}}}));
    let ads = jobs(&sandbox.url(KIND), "user_lists: [10, 11]");
    let answers = ads.delete(&[email(TARO.0), email("b@example.com")]).await;
    let State::Accepted { poll } = &answers[0].state else { panic!("{answers:?}") };
    let names = "customers/1234567890/offlineUserDataJobs/1,customers/1234567890/offlineUserDataJobs/2";
    assert_eq!(poll.ticket, names);
    let ends = ends_of(&*ads, &answers).await;
    assert!(ends.iter().all(is_done), "{ends:?}");
    for list in ["10", "11"] {
        assert_eq!(members(&sandbox, &format!("1234567890/{list}")).await, json!([]));
    }
    sandbox.seed(KIND, &json!({"fail_jobs": true}));
    let ends = ends_of(&*ads, &ads.delete(&[email("c@example.com")]).await).await;
    assert_eq!(reason(&ends[0]), "the job failed");
}

/// As `services/types/offline_user_data_job_service.py` of google-ads 34.0.0 (v26) has it, in the JSON of protobuf.
#[tokio::test]
async fn a_job_is_that_of_googles_own_types() {
    let (url, seen) = keeper(json!({"resourceName": "customers/1234567890/offlineUserDataJobs/5"})).await;
    let ads = jobs(&url, "user_lists: [10], login_customer: 987-654-3210");
    let who = [("email", " Ta.Ro@GMail.com"), ("phone", PHONE.0)];
    let answer = delete_one(&*ads, subject(&who)).await;
    assert!(matches!(answer.state, State::Accepted { .. }), "{answer:?}");
    let seen = seen.lock().unwrap().clone();
    let lines: Vec<&str> = seen.iter().map(|call| call.line.as_str()).collect();
    let job = "/v26/customers/1234567890/offlineUserDataJobs";
    assert_eq!(
        lines[1..],
        [
            format!("POST {job}:create HTTP/1.1"),
            format!("POST {job}/5:addOperations HTTP/1.1"),
            format!("POST {job}/5:run HTTP/1.1"),
        ]
    );
    for call in &seen[1..] {
        for header in ["developer-token: sandbox-developer-token", "login-customer-id: 9876543210"] {
            assert!(call.headers.contains(header), "{}", call.headers);
        }
    }
    let created = seen[1].json();
    let external = created["job"]["externalId"].as_str().unwrap();
    assert!(external.parse::<i64>().unwrap() > 0);
    let expected = json!({"job": {
        "type": "CUSTOMER_MATCH_USER_LIST", "externalId": external,
        "customerMatchUserListMetadata": {"userList": "customers/1234567890/userLists/10"},
    }});
    assert_eq!(created, expected);
    let expected = json!({
        "operations": [{"remove": {"userIdentifiers": [
            // `printf ta.ro@gmail.com | sha256sum`
            {"hashedEmail": "fc43cf112018eef0d4217407a336892b0c2d8d9221dd49e1cce063e7f9224160"},
            {"hashedPhoneNumber": PHONE.1},
        ]}}],
        "enablePartialFailure": true,
    });
    assert_eq!(seen[2].json(), expected);
    assert_eq!(seen[3].json(), json!({}));
}

#[tokio::test]
async fn a_job_that_broke_off_is_found_by_its_external_id() {
    let job = |number: u8| format!("customers/1234567890/offlineUserDataJobs/{number}");
    // Created, filled, or run, and nobody heard of it: the call is made again, and there is one job.
    for path in ["offlineUserDataJobs:create", "offlineUserDataJobs/1:addOperations", "offlineUserDataJobs/1:run"] {
        let sandbox = sandbox().await;
        let ads = jobs(&sandbox.url(KIND), "user_lists: [10]");
        let path = format!("/v26/customers/1234567890/{path}");
        sandbox.fault(Fault { break_off: Some("after".into()), ..fault(&path) });
        let answers = ads.delete(&[email(TARO.0)]).await;
        let State::Accepted { poll } = &answers[0].state else { panic!("{path}: {answers:?}") };
        assert_eq!(poll.ticket, job(1), "{path}");
        assert!(is_done(&ends_of(&*ads, &answers).await[0]), "{path}");
    }
    // The run ended before its job was started: the next run takes it over.
    let sandbox = sandbox().await;
    let ads = jobs(&sandbox.url(KIND), "user_lists: [10]");
    let path = format!("/v26/{}:run", job(1));
    sandbox.fault(Fault { status: Some(500), times: Some(4), ..fault(&path) });
    assert!(matches!(delete_one(&*ads, email(TARO.0)).await.state, State::Unreachable { .. }));
    let ads = jobs(&sandbox.url(KIND), "user_lists: [10]");
    // A job that runs or has ended is not taken over: nobody remembers which of its operations were refused.
    for number in 1..=5 {
        let answer = delete_one(&*ads, email(TARO.0)).await;
        let State::Accepted { poll } = &answer.state else { panic!("{answer:?}") };
        assert_eq!(poll.ticket, job(number));
    }
}

#[tokio::test]
async fn operations_that_fail_are_told_apart() {
    let sandbox = sandbox().await;
    let ads = jobs(&sandbox.url(KIND), "user_lists: [10]");
    sandbox.seed(KIND, &json!({"refuse": {TARO.1: "INVALID_ENCODING"}}));
    for at in 0..2 {
        let mut people = vec![email("a@example.com"), email("b@example.com")];
        people.insert(at, email(TARO.0));
        let answers = ads.delete(&people).await;
        assert_eq!(reason(&answers[at]), "Google Ads refused the removal: INVALID_ENCODING");
        let accepted = answers.iter().filter(|answer| matches!(answer.state, State::Accepted { .. })).count();
        assert_eq!(accepted, 2, "{answers:?}");
    }
    // A job with nothing in it is not run.
    let runs = sandbox.calls(KIND)["POST /{version}/{job}:run"];
    let answer = delete_one(&*ads, email(TARO.0)).await;
    assert!(matches!(answer.state, State::Refused { .. }), "{answer:?}");
    assert_eq!(sandbox.calls(KIND)["POST /{version}/{job}:run"], runs);
}

#[tokio::test]
async fn the_job_apis_errors_are_read() {
    let sandbox = sandbox().await;
    let url = sandbox.url(KIND);
    let body = |family: &str, code: &str| {
        json!({"error": {"code": 400, "status": "INVALID_ARGUMENT", "message": TARO.1, "details": [{"errors": [{
            "errorCode": {family: code}, "message": TARO.1,
        }]}]}})
        .to_string()
    };
    for (family, code) in
        [("databaseError", "CONCURRENT_MODIFICATION"), ("quotaError", "RESOURCE_TEMPORARILY_EXHAUSTED")]
    {
        sandbox.fault(Fault { status: Some(400), body: body(family, code), ..fault("/v26") });
        let answer = delete_one(&*jobs(&url, "user_lists: [10]"), email(&format!("{code}@example.com"))).await;
        assert!(matches!(answer.state, State::Accepted { .. }), "{answer:?}");
    }
    sandbox.fault(Fault { status: Some(400), body: body("requestError", "INVALID_CUSTOMER_ID"), ..fault("/v26") });
    let answer = delete_one(&*jobs(&url, "user_lists: [10]"), email(TARO.0)).await;
    assert_eq!(reason(&answer), "HTTP 400, INVALID_ARGUMENT, INVALID_CUSTOMER_ID");
    sandbox.seed(KIND, &json!({"allowlisted": false}));
    let answer = delete_one(&*jobs(&url, "user_lists: [10]"), email(TARO.0)).await;
    assert!(reason(&answer).ends_with("use `api: data_manager`"), "{answer:?}");
    assert!(jobs(&url, "user_lists: [10]").check().await.is_err());
    sandbox.seed(KIND, &json!({"allowlisted": true}));
    let before = sandbox.calls(KIND)[CREATE];
    assert_eq!(jobs(&url, "user_lists: [10]").check().await, Ok(Checked::Proven));
    assert_eq!(sandbox.calls(KIND)[CREATE], before + 1);
    let answer = delete_one(&*jobs(&url, "user_lists: [99]"), email(TARO.0)).await;
    assert_eq!(reason(&answer), "HTTP 400, INVALID_ARGUMENT, INVALID_USER_LIST_ID");
}

#[test]
fn facts_are_those_of_the_documentation() {
    let facts = |more: &str| {
        let settings = settings(&yaml(KIND, "http://127.0.0.1:1", more, USER));
        (settings.kind.facts)(&settings)
    };
    let manager = facts("customer: 1, user_lists: [1]");
    assert_eq!((manager.batch, manager.calls, manager.grade), (10_000, 2, Grade::E1));
    assert_eq!(
        manager.rates,
        [
            sunset::language::rate::Rate::per_minute(300),
            sunset::language::rate::Rate::per_day(100_000).in_zone("America/Los_Angeles")
        ]
    );
    let jobs = facts("customer: 1, user_lists: [1, 2], api: offline_user_data_job, developer_token: \"${X}\"");
    assert_eq!((jobs.batch, jobs.calls), (10_000, 8));
}
