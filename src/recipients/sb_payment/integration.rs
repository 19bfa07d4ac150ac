//! SB Payment Service against its stand-in: a customer is gone where a look-up says so, and nowhere else.

use super::{
    SECRET, delete_one, open, plumbing, printed_settings, recorder::Recorder, refused, secret_settings, stand_in,
    subject, unreachable,
};
use serde_json::{Value, json};
use sha1::{Digest as _, Sha1};
use sunset::{
    evidence::Grade,
    recipients::{self, Answer, Checked, Recipient, State},
    sandbox::{Fault, Sandbox},
};

const NAME: &str = "sb_payment";
const DELETE: &str = "MG02-00103-101";
const LOOK_UP: &str = "MG02-00104-101";

async fn sandbox(more: Value) -> Sandbox {
    let sandbox = Sandbox::start(0, true).await.unwrap();
    sandbox.seed(NAME, &json!({"customers": ["c-1", "c-2", "taro@example.jp"]}));
    sandbox.seed(NAME, &more);
    sandbox
}

fn yaml(url: &str) -> String {
    format!(
        "{{kind: sb_payment, merchant_id: \"30001\", service_id: \"001\", hash_key: \"sbps_${{X}}\", url: \"{url}\"}}"
    )
}

fn sb_payment(sandbox: &Sandbox) -> Box<dyn Recipient> {
    open(&yaml(&sandbox.url(NAME)))
}

async fn ask(recipient: &dyn Recipient, customer: &str) -> Answer {
    let answer = delete_one(recipient, subject(&[("customer", customer)])).await;
    let text = format!("{answer:?}");
    assert!(!text.contains(SECRET) && !text.contains("http://") && !text.contains(customer), "{text}");
    answer
}

fn reply(id: Option<&str>, result: &str, code: &str) -> String {
    let id = id.map(|id| format!(" id=\"{id}\"")).unwrap_or_default();
    format!(
        "<?xml version='1.0' encoding='Shift_JIS' ?>\n<sps-api-response{id}><res_result>{result}</res_result>\
         <res_err_code>{code}</res_err_code></sps-api-response>"
    )
}

fn ok(id: &str) -> String {
    reply(Some(id), "OK", "")
}

fn ng(code: &str) -> String {
    reply(None, "NG", code)
}

/// Answers with these, one after the other, all with HTTP 200.
async fn answers(replies: &[&str]) -> Answer {
    let replies: Vec<_> = replies.iter().map(|body| (200, *body)).collect();
    let server = Recorder::start(&replies).await;
    ask(&*open(&yaml(&server.url)), "c-1").await
}

#[tokio::test]
async fn a_customer_is_deleted_and_gone_then() {
    let sandbox = sandbox(Value::Null).await;
    let recipient = sb_payment(&sandbox);
    for customer in ["c-1", "taro@example.jp"] {
        let answer = ask(&*recipient, customer).await;
        assert_eq!((&answer.state, answer.grade), (&State::Confirmed, Some(Grade::E1)));
        assert!(answer.request_id.unwrap().starts_with("B30001001MG0200103101"));
        let answer = ask(&*recipient, customer).await;
        assert_eq!((&answer.state, answer.grade), (&State::Gone, Some(Grade::E1)));
    }
    let calls = sandbox.calls(NAME);
    assert_eq!((calls[&format!("POST {DELETE}")], calls[&format!("POST {LOOK_UP}")]), (2, 6));
}

#[tokio::test]
async fn the_deletions_own_word_proves_nothing() {
    let sandbox = sandbox(json!({"sticky": true})).await;
    unreachable(&ask(&*sb_payment(&sandbox), "c-1").await, "still knows the customer");
    // Whatever is no proof before a deletion is none after it.
    for (last, words) in [
        (ng("10195003"), "10195003"),
        (ng("10183999"), "10183999"),
        (ng("70195999"), "70195999"),
        (reply(Some(DELETE), "NG", "10195999"), "another request"),
        (reply(Some(DELETE), "OK", ""), "another request"),
        (reply(None, "OK", ""), "another request"),
    ] {
        refused(&answers(&[&last]).await, words);
        refused(&answers(&[&ok(LOOK_UP), &ok(DELETE), &last]).await, words);
    }
    for last in ["", "10195999", "{\"res_err_code\": \"10195999\"}", "<res_err_code>10195999</res_err_code>"] {
        unreachable(&answers(&[last]).await, "cannot be read");
        unreachable(&answers(&[&ok(LOOK_UP), &ok(DELETE), last]).await, "cannot be read");
    }
    for (deletion, words) in
        [(ng("10105003"), "10105003"), (ok(LOOK_UP), "another request"), (ng("K9PK1234"), "K9PK1234")]
    {
        refused(&answers(&[&ok(LOOK_UP), &deletion]).await, words);
    }
    // Somebody else was faster.
    let gone = ng("10195999");
    assert_eq!(answers(&[&ok(LOOK_UP), &gone, &gone]).await.state, State::Confirmed);
}

#[tokio::test]
async fn a_status_other_than_200_is_no_answer() {
    for status in [201, 302, 400, 403, 404] {
        let sandbox = sandbox(Value::Null).await;
        sandbox.fault(Fault { vendor: NAME.into(), status: Some(status), body: ng("10195999"), ..Fault::default() });
        let answer = ask(&*sb_payment(&sandbox), "c-1").await;
        assert!(matches!(answer.state, State::Unreachable { .. } | State::Refused { .. }), "{status}: {answer:?}");
    }
}

#[tokio::test]
async fn what_passes_is_waited_for() {
    for code in ["10180999", "10190999", "10196999", "99992999"] {
        unreachable(&answers(&[&ng(code)]).await, code);
    }
    let sandbox = sandbox(Value::Null).await;
    let fault = || Fault { vendor: NAME.into(), ..Fault::default() };
    sandbox.fault(Fault { status: Some(503), ..fault() });
    sandbox.fault(Fault { break_off: Some("after".into()), ..fault() });
    sandbox.fault(Fault { break_off: Some("after".into()), ..fault() });
    assert_eq!(ask(&*sb_payment(&sandbox), "c-1").await.state, State::Confirmed);
}

#[tokio::test]
async fn credentials_are_proven_and_wrong_ones_stop() {
    let sandbox = sandbox(Value::Null).await;
    let yaml = yaml(&sandbox.url(NAME));
    assert_eq!(open(&yaml).check().await, Ok(Checked::Proven));
    let own = yaml.replace(", url:", ", user: \"30001001\", password: \"other_${X}\", url:");
    for (wrong, words) in [
        (yaml.replace("sbps_$", "wrong_$"), "HTTP 401"),
        (yaml.replace("\"001\"", "\"002\""), "HTTP 401"),
        // A password that is not the key, which the hash codes show.
        (own, "10109025"),
        (yaml.replace(", url:", ", user: \"30001001\", url:").replace("\"001\"", "\"002\""), "10114001"),
    ] {
        let wrong = open(&wrong);
        let error = wrong.check().await.unwrap_err();
        assert!(error.reason.contains(words) && !error.temporary, "{error}");
        refused(&ask(&*wrong, "c-1").await, "does not accept");
    }
    sandbox.fault(Fault { vendor: NAME.into(), status: Some(500), times: Some(99), ..Fault::default() });
    assert!(open(&yaml).check().await.unwrap_err().temporary);
}

#[tokio::test]
async fn what_is_no_customers_id_is_not_asked_about() {
    let sandbox = sandbox(Value::Null).await;
    let recipient = sb_payment(&sandbox);
    let long = "a".repeat(65);
    for text in
        ["山田", "a<b", "a&b", "</cust_code>", "\"", "a'b", "a\\b", "a~b", "a b", "a\nb", "a\0b", "..", "-", &long]
    {
        let answer = delete_one(&*recipient, subject(&[("customer", text)])).await;
        refused(&answer, "no id of a customer");
    }
    assert!(matches!(delete_one(&*recipient, subject(&[])).await.state, State::NotPossible { .. }));
    assert_eq!(sandbox.arrivals(NAME).len(), 0);
    assert_eq!(ask(&*recipient, &long[1..]).await.state, State::Gone);
}

#[tokio::test]
async fn the_settings_that_the_sandbox_prints_can_be_used() {
    let sandbox = sandbox(Value::Null).await;
    let printed = stand_in(NAME).settings.replace("{url}", &sandbox.url(NAME));
    let recipient = recipients::open(&printed_settings(&printed, NAME, "secret"), &plumbing()).unwrap();
    assert_eq!(recipient.check().await, Ok(Checked::Proven));
    assert_eq!(ask(&*recipient, "c-2").await.state, State::Confirmed);
}

/// Fields, their order and the hash code as they were recorded at the test system.
#[tokio::test]
async fn requests_are_as_recorded() {
    let (looked, deleted, gone) = (ok(LOOK_UP), ok(DELETE), ng("10195999"));
    let server = Recorder::start(&[(200, &looked), (200, &deleted), (200, &gone)]).await;
    let recipient = recipients::open(&secret_settings(&yaml(&server.url), "k"), &plumbing()).unwrap();
    assert_eq!(delete_one(&*recipient, subject(&[("customer", "c-1")])).await.state, State::Confirmed);
    let requests = server.requests();
    for (request, (id, own, values)) in requests.iter().zip([
        (LOOK_UP, "<response_info_type>2</response_info_type>", "30001001c-1020"),
        (DELETE, "", "30001001c-100"),
        (LOOK_UP, "<response_info_type>2</response_info_type>", "30001001c-1020"),
    ]) {
        let (_, rest) = request.split_once("<request_date>").unwrap();
        let (date, _) = rest.split_once('<').unwrap();
        assert!(date.len() == 14 && date.bytes().all(|byte| byte.is_ascii_digit()), "{date}");
        let code = hex::encode(Sha1::digest(format!("{values}{date}600sbps_k")));
        // Base64 was made with coreutils.
        let expected = format!(
            "POST /api/xmlapi.do\nauthorization: Basic MzAwMDEwMDE6c2Jwc19r\ncontent-type: text/xml; charset=Shift_JIS\n\
             <?xml version=\"1.0\" encoding=\"Shift_JIS\"?><sps-api-request id=\"{id}\"><merchant_id>30001</merchant_id>\
             <service_id>001</service_id><cust_code>c-1</cust_code><sps_cust_info_return_flg>0</sps_cust_info_return_flg>{own}\
             <encrypted_flg>0</encrypted_flg><request_date>{date}</request_date><limit_second>600</limit_second>\
             <sps_hashcode>{code}</sps_hashcode></sps-api-request>"
        );
        assert_eq!(*request, expected);
    }
    assert_eq!(requests.len(), 3);
}
