//! Yahoo! JAPAN Ads against its stand-in: lists that expire, and lists that are rebuilt.

use super::{SECRET, plumbing, recorder::Recorder, secret_settings, settings, staying::Staying, subject};
use serde_json::{Value, json};
use std::sync::Arc;
use sunset::{
    evidence::Grade,
    recipients::{self, Answer, Checked, Members, Recipient, State, Subject},
    sandbox::{Fault, Sandbox},
};

/// `stay-0@example.jp` and so on.
fn addresses(number: usize) -> impl Iterator<Item = String> {
    (0..number).map(|number| format!("stay-{number}@example.jp"))
}

fn staying(number: usize) -> Arc<Staying> {
    Staying::new("email", addresses(number))
}

const EXPIRY: &str = "mode: expiry, period: 90 days";
const REBUILD: &str = "mode: rebuild, list: Members, members: {table: core.t, columns: {email: email}}";

fn yaml(url: &str, mode: &str) -> String {
    format!(
        "{{kind: yahoo_japan_ads, client_id: \"${{X}}\", client_secret: \"${{X}}\", refresh_token: \"${{X}}\", account: 12345, url: \
         \"{url}\", token_url: \"{url}/oauth/v1/token\", {mode}}}"
    )
}

fn open(sandbox: &Sandbox, mode: &str, members: Option<Arc<dyn Members>>) -> Box<dyn Recipient> {
    let mut plumbing = plumbing();
    plumbing.members = members;
    recipients::open(&settings(&yaml(&sandbox.url("yahoo_japan_ads"), mode)), &plumbing).unwrap()
}

async fn sandbox(seed: &Value) -> Sandbox {
    let sandbox = Sandbox::start(0, true).await.unwrap();
    sandbox.seed("yahoo_japan_ads", seed);
    sandbox
}

fn person(number: usize) -> Subject {
    subject(&[("email", &format!("leaves-{number}@example.jp"))])
}

fn fault(path: &str) -> Fault {
    let path = format!("/AudienceListService/{path}");
    Fault { vendor: "yahoo_japan_ads".into(), path, ..Fault::default() }
}

async fn ask(yahoo: &dyn Recipient) -> Answer {
    let answers = yahoo.delete(&[person(1), person(2)]).await;
    assert_eq!((answers.len(), &answers[0]), (2, &answers[1]));
    let text = format!("{answers:?}");
    assert!(!text.contains(SECRET) && !text.contains("leaves") && !text.contains("http://"), "{text}");
    answers[0].clone()
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

fn members(duration: u64) -> Value {
    json!({"lists": [{"id": 7, "name": "Members", "duration": duration}]})
}

/// Names and number of rows of all lists, asked from outside.
pub async fn lists(sandbox: &Sandbox) -> Vec<(String, u64)> {
    // It installs what the client needs.
    drop(plumbing());
    let (client, url) = (reqwest::Client::new(), sandbox.url("yahoo_japan_ads"));
    let form = [("grant_type", "refresh_token"), ("client_id", "x"), ("client_secret", "x"), ("refresh_token", "x")];
    let token: Value =
        client.post(format!("{url}/oauth/v1/token")).form(&form).send().await.unwrap().json().await.unwrap();
    let get =
        client.post(format!("{url}/AudienceListService/get")).bearer_auth(token["access_token"].as_str().unwrap());
    let get = get.header("x-z-base-account-id", "1").json(&json!({"accountId": 1}));
    let body: Value = get.send().await.unwrap().json().await.unwrap();
    let list = |value: &Value| {
        let list = &value["audienceList"];
        (list["audienceListName"].as_str().unwrap().to_owned(), list["reach"].as_u64().unwrap())
    };
    body["rval"]["values"].as_array().unwrap().iter().map(list).collect()
}

#[tokio::test]
async fn lists_that_forget_sooner_than_the_period_hold_nobody() {
    let sandbox = sandbox(&members(89)).await;
    let yahoo = open(&sandbox, EXPIRY, None);
    let answer = ask(&*yahoo).await;
    assert_eq!((&answer.state, answer.grade), (&State::Confirmed, Some(Grade::E2)));
    assert!(answer.request_id.is_some());
    // One call proves it for all.
    assert_eq!(sandbox.calls("yahoo_japan_ads")["POST /AudienceListService/get"], 1);
    sandbox.seed("yahoo_japan_ads", &json!({"lists": [{"id": 8, "name": "Others", "duration": 90}]}));
    let answer = ask(&*yahoo).await;
    assert!(
        matches!(&answer.state, State::Refused { reason } if reason.contains("list 8 forgets after 90 days")),
        "{answer:?}"
    );
    assert!(yahoo.delete(&[]).await.is_empty());
}

#[tokio::test]
async fn every_page_of_lists_is_looked_at() {
    let mut all: Vec<_> = (0..1200).map(|n| json!({"id": n + 1, "name": format!("L{n}"), "duration": 30})).collect();
    let sandbox = sandbox(&json!({"lists": all})).await;
    let yahoo = open(&sandbox, EXPIRY, None);
    assert_eq!(ask(&*yahoo).await.state, State::Confirmed);
    assert_eq!(sandbox.calls("yahoo_japan_ads")["POST /AudienceListService/get"], 2);
    all = vec![json!({"id": 5000, "name": "Last", "duration": 180})];
    sandbox.seed("yahoo_japan_ads", &json!({"lists": all}));
    assert!(reason(&ask(&*yahoo).await).contains("list 5000"));
}

#[tokio::test]
async fn a_list_that_does_not_say_when_it_forgets_proves_nothing() {
    let sandbox = sandbox(&members(30)).await;
    let yahoo = open(&sandbox, EXPIRY, None);
    let body = json!({"errors": null, "rid": "r", "rval": {"totalNumEntries": 1, "values": [
        {"operationSucceeded": true, "audienceList": {"audienceListId": 3, "audienceListContent": {"audienceListType": "CUSTOMER_DATA"}}},
    ]}});
    sandbox.fault(Fault { status: Some(200), body: body.to_string(), ..fault("get") });
    let answer = ask(&*yahoo).await;
    assert!(matches!(&answer.state, State::Refused { reason } if reason.contains("does not say")), "{answer:?}");
}

#[tokio::test]
async fn a_list_is_rebuilt_and_the_old_one_removed() {
    let sandbox = sandbox(&members(60)).await;
    sandbox.seed("yahoo_japan_ads", &json!({"looks": 2}));
    let staying = staying(150);
    // A source that still knows one who leaves: they are left out all the same.
    staying.people.lock().unwrap().push(" Leaves-1@Example.jp".to_owned());
    let yahoo = open(&sandbox, REBUILD, Some(staying));
    let answer = ask(&*yahoo).await;
    assert_eq!(answer.grade, Some(Grade::E2));
    let ticket = ticket(&answer);
    assert_eq!(lists(&sandbox).await, [("Members".to_owned(), 0), ("Members #1".to_owned(), 150)]);
    let answers = yahoo.poll(&[ticket.clone(), ticket.clone()]).await;
    assert!(answers.iter().all(|answer| matches!(answer.state, State::Accepted { .. })), "{answers:?}");
    // One look for both.
    assert_eq!(sandbox.calls("yahoo_japan_ads")["POST /AudienceListService/getUploadUserListStatus"], 1);
    let answers = yahoo.poll(std::slice::from_ref(&ticket)).await;
    assert_eq!((&answers[0].state, answers[0].grade), (&State::Confirmed, Some(Grade::E1)));
    assert_eq!(lists(&sandbox).await, [("Members #1".to_owned(), 150)]);
    assert_eq!(yahoo.poll(&[ticket]).await[0].state, State::Confirmed);
}

/// Everybody is announced, page by page, and then asked about, page by page: one list.
#[tokio::test]
async fn one_list_serves_all_pages_of_those_who_go() {
    let sandbox = sandbox(&members(60)).await;
    let staying = staying(120);
    for number in 0..30 {
        staying.people.lock().unwrap().push(format!("leaves-{number}@example.jp"));
    }
    let yahoo = open(&sandbox, REBUILD, Some(staying));
    let pages: Vec<Vec<_>> = (0..3).map(|page| (page * 10..page * 10 + 10).map(person).collect()).collect();
    pages.iter().for_each(|page| yahoo.announce(page));
    let mut tickets = Vec::new();
    for page in &pages {
        tickets.extend(yahoo.delete(page).await.iter().map(ticket));
    }
    tickets.dedup();
    assert_eq!(tickets.len(), 1, "{tickets:?}");
    assert_eq!(sandbox.calls("yahoo_japan_ads")["POST /AudienceListService/uploadUserList"], 1);
    assert_eq!(lists(&sandbox).await[1], ("Members #1".to_owned(), 120));
    // Somebody of whom nobody has heard goes too: the list that is there would still hold them.
    let answer = yahoo.delete(&[subject(&[("email", "stay-5@example.jp")])]).await.remove(0);
    assert!(ticket(&answer).contains("/2/"), "{answer:?}");
    assert_eq!(lists(&sandbox).await[2], ("Members #2".to_owned(), 119));
}

#[tokio::test]
async fn what_a_crash_left_behind_is_gone_on_with() {
    let sandbox = sandbox(&members(60)).await;
    sandbox.seed("yahoo_japan_ads", &json!({"looks": 3}));
    let staying = staying(120);
    // The list is made, and its upload is lost on the way.
    sandbox.fault(Fault { break_off: Some("before".into()), times: Some(4), ..fault("uploadUserList") });
    let answer = ask(&*open(&sandbox, REBUILD, Some(staying.clone()))).await;
    assert!(matches!(answer.state, State::Unreachable { .. }), "{answer:?}");
    // The upload is made, and nobody knows: the next run finds it.
    let first = ask(&*open(&sandbox, REBUILD, Some(staying.clone()))).await;
    let second = ask(&*open(&sandbox, REBUILD, Some(staying.clone()))).await;
    assert_eq!(ticket(&first), ticket(&second));
    let calls = sandbox.calls("yahoo_japan_ads");
    assert_eq!((calls["POST /AudienceListService/add"], calls["POST /AudienceListService/uploadUserList"]), (1, 1));
    // Somebody new came meanwhile: a newer list, and both answers hold once it is there.
    staying.people.lock().unwrap().push("new@example.jp".to_owned());
    let yahoo = open(&sandbox, REBUILD, Some(staying));
    let third = ask(&*yahoo).await;
    assert_ne!(ticket(&first), ticket(&third));
    let mut answers = Vec::new();
    for _ in 0..3 {
        answers = yahoo.poll(&[ticket(&third), ticket(&first)]).await;
    }
    assert!(answers.iter().all(|answer| answer.state == State::Confirmed), "{answers:?}");
    assert_eq!(lists(&sandbox).await, [("Members #2".to_owned(), 121)]);
}

#[tokio::test]
async fn an_older_list_of_the_same_rows_is_not_taken() {
    let sandbox = sandbox(&members(60)).await;
    let staying = staying(110);
    let yahoo = open(&sandbox, REBUILD, Some(staying.clone()));
    ask(&*yahoo).await;
    staying.people.lock().unwrap().push("comes.and.goes@example.jp".to_owned());
    ask(&*yahoo).await;
    staying.people.lock().unwrap().pop();
    let answer = yahoo.delete(&[subject(&[("email", "comes.and.goes@example.jp")])]).await.remove(0);
    assert!(ticket(&answer).contains("/3/"), "{answer:?}");
    assert_eq!(yahoo.poll(&[ticket(&answer)]).await[0].state, State::Confirmed);
    assert_eq!(lists(&sandbox).await, [("Members #3".to_owned(), 110)]);
}

#[tokio::test]
async fn a_list_in_use_waits_for_somebody() {
    let seed = json!({"lists": [{"id": 7, "name": "Members", "duration": 60, "in_use": true}]});
    let sandbox = sandbox(&seed).await;
    let yahoo = open(&sandbox, REBUILD, Some(staying(100)));
    let ticket = ticket(&ask(&*yahoo).await);
    let answer = yahoo.poll(std::slice::from_ref(&ticket)).await.remove(0);
    let State::Accepted { poll } = &answer.state else { panic!("{answer:?}") };
    assert_eq!((poll.again_after.as_secs(), &poll.ticket), (24 * 60 * 60, &ticket));
    let words = "an older list is still in use: point ad groups and other lists at `Members #1`";
    assert_eq!(poll.reason.as_deref(), Some(words));
    sandbox.seed("yahoo_japan_ads", &json!({"release": true}));
    assert_eq!(yahoo.poll(&[ticket]).await[0].state, State::Confirmed);
}

#[tokio::test]
async fn an_upload_that_fails_is_made_again() {
    for fate in ["FAILED", "INVALID_FILE"] {
        let sandbox = sandbox(&members(60)).await;
        sandbox.seed("yahoo_japan_ads", &json!({"fate": fate}));
        let yahoo = open(&sandbox, REBUILD, Some(staying(100)));
        let first = ticket(&ask(&*yahoo).await);
        let answer = yahoo.poll(&[first]).await.remove(0);
        assert!(reason(&answer).contains(fate), "{answer:?}");
        // The old list is still there, and the broken one is not.
        assert_eq!(lists(&sandbox).await, [("Members".to_owned(), 0)]);
        sandbox.seed("yahoo_japan_ads", &json!({"fate": "RECEIVED"}));
        let again = ticket(&ask(&*yahoo).await);
        assert_eq!(yahoo.poll(&[again]).await[0].state, State::Confirmed);
    }
}

#[tokio::test]
async fn the_lists_of_another_account_prove_nothing() {
    let own = sandbox(&members(60)).await;
    let ticket = ticket(&ask(&*open(&own, REBUILD, Some(staying(100)))).await);
    let other = sandbox(&json!({"lists": [{"id": 8, "name": "Others", "duration": 60}]})).await;
    let answer = open(&other, REBUILD, Some(staying(100))).poll(&[ticket]).await.remove(0);
    assert!(matches!(answer.state, State::Forgotten { .. }), "{answer:?}");
    assert_eq!(lists(&other).await, [("Others".to_owned(), 0)]);
}

#[tokio::test]
async fn a_list_that_comes_from_line_is_changed_there() {
    for kind in ["LINE_OA_FRIEND", "LINE_OA_BLOCK", "BUSINESS_MANAGER", "MIGRATED_LINE_AUDIENCE"] {
        let sandbox = sandbox(&json!({"lists": [{"id": 7, "name": "Members", "type": kind}]})).await;
        let answer = ask(&*open(&sandbox, REBUILD, Some(staying(100)))).await;
        let State::Refused { reason } = &answer.state else { panic!("{answer:?}") };
        assert!(reason.contains("comes from LINE") && reason.contains("change it there"), "{kind}: {reason}");
        assert_eq!(lists(&sandbox).await, [("Members".to_owned(), 0)]);
        // It has no duration that Yahoo would prove.
        assert_eq!(ask(&*open(&sandbox, EXPIRY, None)).await.grade, Some(Grade::E2));
    }
}

#[tokio::test]
async fn a_list_is_never_rebuilt_from_half_of_those_who_stay() {
    let sandbox = sandbox(&members(60)).await;
    let broken = Staying::broken("email", addresses(200));
    let answer = ask(&*open(&sandbox, REBUILD, Some(broken))).await;
    assert!(matches!(&answer.state, State::Unreachable { reason, .. } if reason.contains("broke off")), "{answer:?}");
    let answer = ask(&*open(&sandbox, REBUILD, Some(staying(99)))).await;
    assert!(matches!(&answer.state, State::Refused { reason } if reason.contains("only 99 rows")), "{answer:?}");
    let without = open(&sandbox, REBUILD, None);
    assert!(reason(&ask(&*without).await).contains("nothing says who stays"));
    assert!(!without.check().await.unwrap_err().temporary);
    let other = open(&sandbox, &REBUILD.replace("list: Members", "list: Membres"), Some(staying(100)));
    assert!(reason(&ask(&*other).await).contains("no customer data list of the name"));
    // Nothing was changed by any of these.
    assert_eq!(lists(&sandbox).await, [("Members".to_owned(), 0)]);
    let nobody = other.delete(&[subject(&[("idfa", "6D92078A-8246-4BA4-AE5B-76104861E7DC")])]).await;
    assert!(matches!(nobody[0].state, State::NotPossible { .. }), "{nobody:?}");
}

#[tokio::test]
async fn errors_are_told_by_their_codes() {
    let sandbox = sandbox(&members(60)).await;
    let yahoo = open(&sandbox, REBUILD, Some(staying(100)));
    let whole = |code: &str| {
        json!({"errors": [{"code": code, "message": "leaves-1@example.jp"}], "rid": "r1", "rval": null}).to_string()
    };
    let one = |code: &str| {
        let value = json!({"operationSucceeded": false, "errors": [{"code": code, "message": "leaves-1@example.jp"}]});
        json!({"errors": null, "rid": "r1", "rval": {"values": [value]}}).to_string()
    };
    let told = [
        ("get", 400, whole("0114"), "HTTP 400, error 0114"),
        ("get", 403, whole("0098"), "no permission (0098)"),
        ("get", 200, whole("F0001"), "HTTP 200, error F0001"),
        ("get", 200, one("E0001"), "a list cannot be read, error E0001"),
        ("get", 302, String::new(), "leads elsewhere"),
        ("add", 200, one("210001"), "the new list was not made, error 210001"),
        ("uploadUserList", 200, whole("0200"), "a test account cannot do this (0200)"),
        ("uploadUserList", 200, one("290001"), "the upload was refused, error 290001"),
    ];
    for (method, status, body, words) in told {
        sandbox.fault(Fault { status: Some(status), body, ..fault(method) });
        let answer = ask(&*yahoo).await;
        assert!(matches!(&answer.state, State::Refused { reason } if reason.contains(words)), "{words}: {answer:?}");
    }
    for body in ["", "{\"rval\"", "{}", "[]", "{\"errors\": null, \"rval\": null}"] {
        sandbox.fault(Fault { status: Some(200), body: body.into(), ..fault("get") });
        let answer = ask(&*yahoo).await;
        assert!(matches!(answer.state, State::Unreachable { .. }), "{body}: {answer:?}");
    }
    let ticket = ticket(&ask(&*yahoo).await);
    sandbox.fault(Fault { status: Some(200), body: one("219999"), ..fault("remove") });
    let answer = yahoo.poll(std::slice::from_ref(&ticket)).await.remove(0);
    assert!(reason(&answer).contains("not removed, error 219999"), "{answer:?}");
    // Somebody removed it meanwhile.
    for gone in ["I0001", "110005"] {
        sandbox.fault(Fault { status: Some(200), body: one(gone), ..fault("remove") });
        assert_eq!(yahoo.poll(std::slice::from_ref(&ticket)).await[0].state, State::Confirmed);
    }
    let answer = yahoo.poll(&["nonsense".to_owned()]).await.remove(0);
    assert!(matches!(answer.state, State::Refused { .. }), "{answer:?}");
}

#[tokio::test]
async fn what_passes_is_waited_for() {
    let sandbox = sandbox(&members(60)).await;
    let yahoo = open(&sandbox, EXPIRY, None);
    let error = |code: &str| json!({"errors": [{"code": code}], "rval": null}).to_string();
    let after = |seconds: &str| [("retry-after".to_owned(), seconds.to_owned())].into();
    for fault in [
        Fault { status: Some(403), body: error("0003"), times: Some(2), ..fault("get") },
        Fault { status: Some(200), body: error("0003"), ..fault("get") },
        Fault { status: Some(500), body: error("0002"), times: Some(3), ..fault("get") },
        Fault { status: Some(503), body: error("0099"), ..fault("get") },
        Fault { status: Some(429), ..fault("get") },
        Fault { status: Some(429), headers: after("1"), ..fault("get") },
        Fault { break_off: Some("half".into()), ..fault("get") },
        Fault { break_off: Some("before".into()), ..fault("get") },
    ] {
        sandbox.fault(fault);
        assert_eq!(ask(&*yahoo).await.state, State::Confirmed);
    }
    sandbox.fault(Fault { status: Some(403), body: error("0003"), times: Some(4), ..fault("get") });
    let answer = ask(&*yahoo).await;
    assert!(matches!(&answer.state, State::Unreachable { reason, .. } if reason.contains("HTTP 403")), "{answer:?}");
}

#[tokio::test]
async fn an_expired_token_is_fetched_anew_and_wrong_credentials_are_told() {
    let sandbox = sandbox(&members(60)).await;
    let yahoo = open(&sandbox, EXPIRY, None);
    assert_eq!(yahoo.check().await, Ok(Checked::Proven));
    sandbox.seed("yahoo_japan_ads", &json!({"expire_tokens": true}));
    assert_eq!(ask(&*yahoo).await.state, State::Confirmed);
    assert_eq!(sandbox.calls("yahoo_japan_ads")["POST /oauth/v1/token"], 2);
    let yaml = yaml(&sandbox.url("yahoo_japan_ads"), EXPIRY);
    let wrong = recipients::open(&secret_settings(&yaml, "wrong"), &plumbing()).unwrap();
    assert!(!wrong.check().await.unwrap_err().temporary);
    assert!(matches!(ask(&*wrong).await.state, State::Refused { .. }));
    sandbox.seed("yahoo_japan_ads", &json!({"forbidden": true}));
    assert!(yahoo.check().await.unwrap_err().reason.contains("0098"));
}

/// Form, fields and headers from `design/v19`; the digests of the rows were made with coreutils.
#[tokio::test]
async fn requests_are_as_documented() {
    let list = json!({"audienceListId": 7, "audienceListName": "Members", "audienceListContent": {
        "audienceListType": "CUSTOMER_DATA", "customerDataAudienceList": {"dataDuration": 60}}});
    let rval = |values: Value| {
        json!({"errors": null, "rid": "r", "rval": {"totalNumEntries": 1, "values": values}}).to_string()
    };
    let recorder = Recorder::start(&[
        (200, "{\"access_token\": \"T\", \"expires_in\": \"3600\"}"),
        (200, &rval(json!([{"operationSucceeded": true, "audienceList": list}]))),
        (200, &rval(json!([{"operationSucceeded": true, "audienceList": {"audienceListId": 9}}]))),
        (
            200,
            &rval(json!([{"operationSucceeded": true, "uploadJob": {"uploadJobId": "j1", "jobStatus": "RECEIVING"}}])),
        ),
    ])
    .await;
    let mut plumbing = plumbing();
    plumbing.members = Some(staying(100));
    let mode = format!("{REBUILD}, base_account: 99");
    let yahoo = recipients::open(&secret_settings(&yaml(&recorder.url, &mode), "k"), &plumbing).unwrap();
    let answer = yahoo.delete(&[person(1)]).await.remove(0);
    assert_eq!(ticket(&answer), "9/1/j1");
    let requests = recorder.requests();
    assert_eq!(requests.len(), 4);
    let head = "authorization: Bearer T\ncontent-type: application/json\nx-z-base-account-id: 99";
    assert_eq!(
        requests[0],
        "POST /oauth/v1/token\ncontent-type: application/x-www-form-urlencoded\n\
         grant_type=refresh_token&client_id=k&client_secret=k&refresh_token=k"
    );
    assert_eq!(
        requests[1],
        format!(
            "POST /AudienceListService/get\n{head}\n{{\"accountId\":12345,\"audienceListTypes\":[\"CUSTOMER_DATA\"],\
             \"includeDetail\":true,\"numberResults\":1000,\"startIndex\":1}}"
        )
    );
    let (before, after) = requests[2].split_once("\"description\":\"sunset ").unwrap();
    assert_eq!(
        before,
        format!(
            "POST /AudienceListService/add\n{head}\n{{\"accountId\":12345,\"operand\":[{{\"accountId\":12345,\
             \"audienceListContent\":{{\"audienceListType\":\"CUSTOMER_DATA\",\"customerDataAudienceList\":{{\"dataDuration\":60}}}},\
             \"audienceListName\":\"Members #1\","
        )
    );
    // The first half of the file's own digest.
    assert_eq!(after, "f7488438cef60042e9e9e7d53c57b90c\"}]}");
    let (head, rows) = requests[3].split_once("\r\n\r\n").unwrap();
    assert_eq!(
        head,
        "POST /AudienceListService/uploadUserList?accountId=12345&audienceListId=9&uploadType=MAIL_ADDRESS_AND_PHONE_NUMBER&\
         compressType=NONE\nauthorization: Bearer T\ncontent-type: multipart/form-data; boundary=sunset-8f2d1c5b7e9a4036\n\
         x-z-base-account-id: 99\n--sunset-8f2d1c5b7e9a4036\r\nContent-Disposition: form-data; name=\"file\"; \
         filename=\"members.txt\"\r\nContent-Type: text/plain"
    );
    let rows = rows.strip_suffix("\r\n--sunset-8f2d1c5b7e9a4036--\r\n").unwrap();
    assert_eq!(rows.lines().count(), 100);
    assert!(rows.starts_with("01438af96cbdd86c43916eb73b0fc2dd6d2461658f689915f86695f72ef587d2\n02a11a4450df5d93630a0d3d95601ca7a3c8237d7b9926ea57bb0dc219371a90\n"));
}
