//! GMO Payment Gateway, both types, against their stand-ins: a member is gone where GMO says so, by one code alone, and nowhere else.

use super::{
    SECRET, delete_one, open, plumbing, printed_settings, recorder::Recorder, refused, secret_settings, stand_in,
    subject, unreachable,
};
use serde_json::{Value, json};
use sunset::{
    evidence::Grade,
    recipients::{self, Answer, Checked, Recipient, State},
    sandbox::{Fault, Sandbox},
};

const PROTOCOL: &str = "gmo_payment";
const OPENAPI: &str = "gmo_payment_openapi";

async fn sandbox(more: Value) -> Sandbox {
    let sandbox = Sandbox::start(0, true).await.unwrap();
    let members = json!({
        "member-1": {"name": "TARO", "cards": 3},
        "member-2": {"name": "HANAKO"},
        "member-3": {"name": "A & B = C", "cards": 1, "deleted": true},
        "member 4@example.jp": {"cards": 1},
    });
    sandbox.seed(PROTOCOL, &json!({"members": members}));
    sandbox.seed(PROTOCOL, &more);
    sandbox.seed(OPENAPI, &json!({"members": ["member-1", "member-2"]}));
    sandbox
}

fn protocol_yaml(url: &str) -> String {
    format!("{{kind: gmo_payment, site_id: tsite1, site_password: \"gmo_${{X}}\", url: \"{url}\"}}")
}

fn openapi_yaml(url: &str, more: &str) -> String {
    format!("{{kind: gmo_payment_openapi, shop_id: tshop1, shop_password: \"gmo_${{X}}\", url: \"{url}\"{more}}}")
}

fn protocol(sandbox: &Sandbox) -> Box<dyn Recipient> {
    open(&protocol_yaml(&sandbox.url(PROTOCOL)))
}

fn openapi(sandbox: &Sandbox, more: &str) -> Box<dyn Recipient> {
    open(&openapi_yaml(&sandbox.url(OPENAPI), more))
}

async fn ask(gmo: &dyn Recipient, member: &str) -> Answer {
    let answer = delete_one(gmo, subject(&[("member", member)])).await;
    let text = format!("{answer:?}");
    assert!(!text.contains(SECRET) && !text.contains("http://") && !text.contains(member), "{text}");
    answer
}

fn fault(vendor: &str, path: &str) -> Fault {
    Fault { vendor: vendor.into(), path: path.into(), ..Fault::default() }
}

fn said(path: &str, body: &str) -> Fault {
    Fault { status: Some(200), body: body.into(), ..fault(PROTOCOL, path) }
}

#[tokio::test]
async fn a_member_goes_with_all_cards_and_is_gone_then() {
    let sandbox = sandbox(Value::Null).await;
    let gmo = protocol(&sandbox);
    let answer = ask(&*gmo, "member-1").await;
    assert_eq!((&answer.state, answer.grade), (&State::Confirmed, Some(Grade::E1)));
    let calls = sandbox.calls(PROTOCOL);
    let number = |call: &str| calls[&format!("POST /{call}.idPass")];
    assert_eq!(["SearchMember", "SearchCard", "DeleteCard", "DeleteMember"].map(number), [2, 3, 3, 1]);
    let answer = ask(&*gmo, "member-1").await;
    assert_eq!((&answer.state, answer.grade), (&State::Gone, Some(Grade::E1)));
    // Without cards, and with a name that reads like fields; one that is deleted logically is still there.
    for member in ["member-2", "member-3", "member 4@example.jp"] {
        assert_eq!(ask(&*gmo, member).await.state, State::Confirmed, "{member}");
        assert_eq!(ask(&*gmo, member).await.state, State::Gone, "{member}");
    }
    assert_eq!(ask(&*gmo, "member-9").await.state, State::Gone);
}

#[tokio::test]
async fn what_is_deleted_logically_alone_is_still_there() {
    let sandbox1 = sandbox(json!({"deletes": false})).await;
    unreachable(&ask(&*protocol(&sandbox1), "member-2").await, "still knows the member");
    let sandbox2 = sandbox(json!({"keeps_cards": true})).await;
    refused(&ask(&*protocol(&sandbox2), "member-1").await, "still lists cards");
    // Cards that do not go keep the member.
    let sandbox3 = sandbox(Value::Null).await;
    sandbox3.fault(Fault { times: Some(3), ..said("/DeleteCard", "ErrCode=E01&ErrInfo=E01240002") });
    unreachable(&ask(&*protocol(&sandbox3), "member-1").await, "still lists cards");
    assert_eq!(sandbox3.calls(PROTOCOL).get("POST /DeleteMember.idPass"), None);
}

/// What is no proof before a deletion is none after it.
#[tokio::test]
async fn one_code_alone_proves_absence() {
    for (body, words) in [
        ("ErrCode=E01|E01&ErrInfo=E01390002|E01240002", "E01390002, E01240002"),
        ("ErrCode=E01|E01&ErrInfo=E01390002|E01390002", "E01390002, E01390002"),
        ("ErrCode=E01&ErrInfo=E01240002", "E01240002"),
        ("ErrCode=E01&ErrInfo=E01220008", "E01220008"),
        ("ErrCode=E99&ErrInfo=E99999999", "E99999999"),
        ("MemberID=member-10&MemberName=&DeleteFlag=0", "another member"),
    ] {
        let sandbox = sandbox(Value::Null).await;
        let gmo = protocol(&sandbox);
        sandbox.fault(said("/SearchMember", body));
        refused(&ask(&*gmo, "member-2").await, words);
        assert_eq!(sandbox.calls(PROTOCOL).get("POST /DeleteMember.idPass"), None, "{body}");
        // The first look-up is the stand-in's, the second one is not.
        let server = Recorder::start(&[
            (200, "MemberID=member-2&MemberName=&DeleteFlag=0"),
            (200, "ErrCode=E01&ErrInfo=E01240002"),
            (200, "MemberID=member-2"),
            (200, body),
        ])
        .await;
        refused(&ask(&*open(&protocol_yaml(&server.url)), "member-2").await, words);
    }
    for body in ["", "{}", "gone", "ErrInfo=E01390002", "ErrCode=E01&ErrInfo=E01390002&MemberID=member-2", "<html>"] {
        let sandbox = sandbox(Value::Null).await;
        sandbox.fault(said("/SearchMember", body));
        let answer = ask(&*protocol(&sandbox), "member-2").await;
        assert!(matches!(answer.state, State::Unreachable { .. }), "{body}: {answer:?}");
    }
    for status in [201, 204, 302, 400, 404] {
        let sandbox = sandbox(Value::Null).await;
        sandbox.fault(Fault { status: Some(status), ..said("/SearchMember", "ErrCode=E01&ErrInfo=E01390002") });
        let answer = ask(&*protocol(&sandbox), "member-2").await;
        assert!(matches!(answer.state, State::Unreachable { .. } | State::Refused { .. }), "{status}: {answer:?}");
    }
}

#[tokio::test]
async fn a_reply_about_another_member_or_card_is_an_error() {
    for (path, body, words) in [
        ("/DeleteMember", "MemberID=member-2", "another member"),
        ("/DeleteCard", "CardSeq=7", "another card"),
        ("/DeleteCard", "MemberID=member-1", "another card"),
        ("/DeleteMember", "ErrCode=E01&ErrInfo=E01000000", "E01000000"),
        ("/SearchCard", "CardSeq=0|1&DeleteFlag=0", "not known"),
        ("/SearchCard", "ErrCode=E01|E01&ErrInfo=E01390002|E01240002", "E01390002, E01240002"),
    ] {
        let sandbox = sandbox(Value::Null).await;
        sandbox.fault(said(path, body));
        refused(&ask(&*protocol(&sandbox), "member-1").await, words);
    }
    let sandbox = sandbox(Value::Null).await;
    sandbox.fault(said("/DeleteMember", "OK"));
    let answer = ask(&*protocol(&sandbox), "member-1").await;
    assert!(matches!(answer.state, State::Unreachable { .. }), "{answer:?}");
}

#[tokio::test]
async fn an_answer_that_was_lost_does_no_harm() {
    let sandbox = sandbox(Value::Null).await;
    for path in ["/DeleteCard", "/DeleteMember"] {
        sandbox.fault(Fault { break_off: Some("after".into()), ..fault(PROTOCOL, path) });
    }
    sandbox.fault(said("/SearchMember", "ErrCode=E92&ErrInfo=E92000001"));
    sandbox.fault(Fault { status: Some(503), ..fault(PROTOCOL, "/SearchCard") });
    assert_eq!(ask(&*protocol(&sandbox), "member-1").await.state, State::Confirmed);
    sandbox.fault(Fault { times: Some(99), ..said("/SearchMember", "ErrCode=E91&ErrInfo=E91099999") });
    assert!(matches!(ask(&*protocol(&sandbox), "member-2").await.state, State::Unreachable { .. }));
}

#[tokio::test]
async fn credentials_are_proven_and_wrong_ones_stop() {
    let sandbox = sandbox(Value::Null).await;
    let yaml = protocol_yaml(&sandbox.url(PROTOCOL));
    assert_eq!(open(&yaml).check().await, Ok(Checked::Proven));
    // Another site has no such member, which is no proof: it does not come to that.
    for wrong in [yaml.replace("tsite1", "tsite2"), yaml.replace("gmo_$", "wrong_$")] {
        let wrong = open(&wrong);
        let error = wrong.check().await.unwrap_err();
        assert!(error.reason.contains("E01210002") && !error.temporary, "{error}");
        refused(&ask(&*wrong, "member-2").await, "does not accept the site's id and password");
    }
    sandbox.fault(Fault { status: Some(500), times: Some(99), ..fault(PROTOCOL, "") });
    assert!(open(&yaml).check().await.unwrap_err().temporary);
    let shop = openapi_yaml(&sandbox.url(OPENAPI), "");
    let token = format!(", authentication: token, token_url: \"{}/token\"", sandbox.url(OPENAPI));
    for more in ["", token.as_str()] {
        let yaml = openapi_yaml(&sandbox.url(OPENAPI), more);
        assert_eq!(open(&yaml).check().await, Ok(Checked::Proven));
        let wrong = open(&yaml.replace("gmo_$", "wrong_$"));
        let error = wrong.check().await.unwrap_err();
        assert!(error.reason.contains("HTTP 401") && !error.temporary, "{error}");
        refused(&ask(&*wrong, "member-2").await, "HTTP 401");
    }
    sandbox.fault(Fault {
        status: Some(400),
        body: "{\"title\": \"invalid_contract\"}".into(),
        ..fault(OPENAPI, "/member")
    });
    let error = open(&shop).check().await.unwrap_err();
    assert!(error.reason.contains("invalid_contract") && !error.temporary, "{error}");
}

#[tokio::test]
async fn what_is_no_members_id_is_not_asked_about() {
    let sandbox = sandbox(Value::Null).await;
    let long = "a".repeat(61);
    for text in ["a/b", "山田", "a|b", "a%40b", "a+b", "taro&SiteID=x", "a=b", "a\nb", "a\tb", "..", "- -", &long] {
        for gmo in [protocol(&sandbox), openapi(&sandbox, "")] {
            let answer = delete_one(&*gmo, subject(&[("member", text)])).await;
            refused(&answer, "no id of a member");
        }
    }
    for gmo in [protocol(&sandbox), openapi(&sandbox, "")] {
        assert!(matches!(delete_one(&*gmo, subject(&[])).await.state, State::NotPossible { .. }));
    }
    assert_eq!((sandbox.arrivals(PROTOCOL).len(), sandbox.arrivals(OPENAPI).len()), (0, 0));
    // The longest that can be one.
    assert_eq!(ask(&*protocol(&sandbox), &long[1..]).await.state, State::Gone);
}

#[tokio::test]
async fn the_other_type_accepts_and_proves_nothing() {
    let sandbox = sandbox(Value::Null).await;
    let token = format!(", authentication: token, token_url: \"{}/token\"", sandbox.url(OPENAPI));
    for (member, more) in [("member-1", ""), ("member-2", token.as_str())] {
        let gmo = openapi(&sandbox, more);
        // The key is the same in one asking, so the second reply is the first one again.
        for _ in 0..2 {
            let answer = ask(&*gmo, member).await;
            assert_eq!((&answer.state, answer.grade), (&State::Confirmed, Some(Grade::E2)));
        }
    }
    // One that is not there is never taken for gone: a wrong id is answered in the same way.
    refused(&ask(&*openapi(&sandbox, ""), "member-9").await, "HTTP 400, invalid_parameter");
}

#[tokio::test]
async fn a_look_up_can_contradict_what_was_accepted() {
    let sandbox = sandbox(Value::Null).await;
    sandbox.seed(OPENAPI, &json!({"slow": true}));
    unreachable(&ask(&*openapi(&sandbox, ""), "member-1").await, "still shows");
    // One that is not answered contradicts nothing.
    sandbox.fault(Fault { status: Some(500), times: Some(99), ..fault(OPENAPI, "/member/inquiry") });
    let answer = ask(&*openapi(&sandbox, ""), "member-2").await;
    assert_eq!((&answer.state, answer.grade), (&State::Confirmed, Some(Grade::E2)));
}

#[tokio::test]
async fn only_the_documented_acceptance_counts() {
    let sandbox = sandbox(Value::Null).await;
    let gmo = openapi(&sandbox, "");
    let own = "{\"memberId\": \"member-1\"}";
    for (status, body) in [(200, own), (204, ""), (202, ""), (202, "{}"), (202, "[]"), (202, "{\"memberId\": 1}")] {
        sandbox.fault(Fault { status: Some(status), body: body.into(), ..fault(OPENAPI, "/member/delete") });
        let answer = ask(&*gmo, "member-1").await;
        assert!(matches!(answer.state, State::Unreachable { .. }), "{status} {body}: {answer:?}");
    }
    for (status, body, words) in [
        (202, "{\"memberId\": \"member-10\"}", "another member"),
        (302, own, "leads elsewhere"),
        (400, "{\"title\": \"resource_not_found\", \"detail\": \"member-1\"}", "resource_not_found"),
        (404, "{\"title\": \"resource_not_found\"}", "look at `url`"),
        (404, "<html>no</html>", "look at `url`"),
        (403, own, "HTTP 403"),
    ] {
        sandbox.fault(Fault { status: Some(status), body: body.into(), ..fault(OPENAPI, "/member/delete") });
        refused(&ask(&*gmo, "member-1").await, words);
    }
    for status in [409, 429, 503] {
        sandbox.fault(Fault { status: Some(status), ..fault(OPENAPI, "/member/delete") });
    }
    assert_eq!(ask(&*gmo, "member-1").await.state, State::Confirmed);
}

#[tokio::test]
async fn the_settings_that_the_sandbox_prints_can_be_used() {
    let sandbox = sandbox(Value::Null).await;
    for entry in [stand_in("gmo_payment"), stand_in("gmo_payment_openapi")] {
        let name = entry.name;
        let printed = entry.settings.replace("{url}", &sandbox.url(name));
        let settings = printed_settings(&printed, name, "secret");
        let gmo = recipients::open(&settings, &plumbing()).unwrap();
        assert_eq!(gmo.check().await, Ok(Checked::Proven), "{name}");
        assert_eq!(ask(&*gmo, "member-2").await.state, State::Confirmed, "{name}");
    }
}

/// The order of GMO's own recorded calls is another; the fields are these.
#[tokio::test]
async fn requests_are_as_documented() {
    let server = Recorder::start(&[
        (200, "MemberID=m@x&MemberName=&DeleteFlag=0"),
        (200, "CardSeq=4&DefaultFlag=0&CardName=&CardNo=*1&Expire=1405&HolderName=&DeleteFlag=0"),
        (200, "CardSeq=4"),
        (200, "CardSeq=4&DefaultFlag=0&CardName=&CardNo=*1&Expire=1405&HolderName=&DeleteFlag=1"),
        (200, "MemberID=m@x"),
        (200, "ErrCode=E01&ErrInfo=E01390002"),
        (200, "ErrCode=E01|E01&ErrInfo=E01390002|E01240002"),
    ])
    .await;
    let gmo = recipients::open(&secret_settings(&protocol_yaml(&server.url), "p"), &plumbing()).unwrap();
    assert_eq!(delete_one(&*gmo, subject(&[("member", "m@x")])).await.state, State::Confirmed);
    let call = |path: &str, more: &str| {
        let own = "SiteID=tsite1&SitePass=gmo_p&MemberID=m%40x";
        format!("POST /{path}.idPass\ncontent-type: application/x-www-form-urlencoded\n{own}{more}")
    };
    let expected = [
        call("SearchMember", ""),
        call("SearchCard", "&SeqMode=1"),
        call("DeleteCard", "&SeqMode=1&CardSeq=4"),
        call("SearchCard", "&SeqMode=1"),
        call("DeleteMember", ""),
        call("SearchMember", ""),
        call("SearchCard", "&SeqMode=1"),
    ];
    assert_eq!(server.requests(), expected);
    // Base64 was made with coreutils.
    let server =
        Recorder::start(&[(202, "{\"memberId\": \"m@x\"}"), (400, "{\"title\": \"invalid_parameter\"}")]).await;
    let gmo = recipients::open(&secret_settings(&openapi_yaml(&server.url, ""), "p"), &plumbing()).unwrap();
    assert_eq!(delete_one(&*gmo, subject(&[("member", "m@x")])).await.state, State::Confirmed);
    let rest = "authorization: Basic dHNob3AxOmdtb19w\ncontent-type: application/json\n{\"memberId\":\"m@x\"}";
    assert_eq!(server.requests(), ["delete", "inquiry"].map(|call| format!("POST /member/{call}\n{rest}")));
}
