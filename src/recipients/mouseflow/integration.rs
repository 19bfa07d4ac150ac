//! Mouseflow against its stand-in: every way to an end, and nobody else's recordings.

use super::{SECRET, delete_one, open, plumbing, recorder::Recorder, secret_settings, subject};
use serde_json::{Value, json};
use sunset::{
    evidence::Grade,
    recipients::{self, Answer, Checked, Recipient, State},
    sandbox::{Fault, Sandbox},
};

const ONE: &str = "/websites/{website}/recordings/{recording}";
const LIST: &str = "/websites/{website}/recordings";

async fn sandbox(more: Value) -> Sandbox {
    let sandbox = Sandbox::start(0, true).await.unwrap();
    let recording = |visitor: &str, name: &str, member: &str| json!({"visitor": visitor, "name": name, "variables": {"member": member}});
    let recordings = json!({
        "shop": {
            "r1": recording("visitor-1", "Taro", "hash-1"),
            "r2": recording("visitor-1", "", "hash-1"),
            "r3": recording("visitor-10", "Hanako", "hash-2"),
            "r4": recording("visitor-4", "", ""),
        },
        "blog": {"b1": recording("visitor-1", "", "hash-1"), "b2": recording("visitor-5", "", "hash-5")},
    });
    sandbox.seed("mouseflow", &json!({"recordings": recordings}));
    sandbox.seed("mouseflow", &more);
    sandbox
}

fn yaml(url: &str) -> String {
    format!(
        "{{kind: mouseflow, user: \"${{X}}\", api_key: \"${{X}}\", datacenter: eu, websites: [shop, blog], variable: member, url: \
         \"{url}\"}}"
    )
}

fn mouseflow(sandbox: &Sandbox) -> Box<dyn Recipient> {
    open(&yaml(&sandbox.url("mouseflow")))
}

async fn ask(mouseflow: &dyn Recipient, identifiers: &[(&str, &str)]) -> Answer {
    let answer = delete_one(mouseflow, subject(identifiers)).await;
    let text = format!("{answer:?}");
    assert!(!text.contains(SECRET) && !text.contains("http://"), "{text}");
    assert!(identifiers.iter().all(|(_, identifier)| !text.contains(identifier)), "{text}");
    answer
}

fn reason(answer: &Answer) -> &str {
    match &answer.state {
        State::Refused { reason } | State::NotPossible { reason } | State::Unreachable { reason, .. } => reason,
        state => panic!("{state:?}"),
    }
}

fn fault(method: &str) -> Fault {
    Fault { vendor: "mouseflow".into(), method: Some(method.into()), ..Fault::default() }
}

#[tokio::test]
async fn recordings_with_the_variable_go_on_all_websites() {
    let sandbox = sandbox(Value::Null).await;
    let mouseflow = mouseflow(&sandbox);
    let answer = ask(&*mouseflow, &[("variable", "hash-1")]).await;
    assert_eq!((&answer.state, answer.grade), (&State::Confirmed, Some(Grade::E1)));
    let calls = sandbox.calls("mouseflow");
    assert_eq!((calls[&format!("DELETE {ONE}")], calls[&format!("GET {LIST}")]), (3, 4));
    assert_eq!(ask(&*mouseflow, &[("variable", "hash-1")]).await.state, State::Gone);
    assert_eq!(ask(&*mouseflow, &[("variable", "hash-2")]).await.state, State::Confirmed);
}

#[tokio::test]
async fn a_visitor_is_the_one_to_the_letter() {
    let sandbox = sandbox(Value::Null).await;
    let mouseflow = mouseflow(&sandbox);
    // A search finds visitor-10 too.
    assert_eq!(ask(&*mouseflow, &[("visitor", "visitor-1")]).await.state, State::Confirmed);
    assert_eq!(sandbox.calls("mouseflow")[&format!("DELETE {ONE}")], 3);
    assert_eq!(ask(&*mouseflow, &[("visitor", "Hanako")]).await.state, State::Confirmed);
    assert_eq!(ask(&*mouseflow, &[("visitor", "visitor-1")]).await.state, State::Gone);
}

#[tokio::test]
async fn a_filter_that_is_ignored_costs_nobody_their_recordings() {
    let sandbox = sandbox(json!({"deaf": true})).await;
    let mouseflow = mouseflow(&sandbox);
    assert_eq!(ask(&*mouseflow, &[("variable", "hash-9")]).await.state, State::Gone);
    assert_eq!(ask(&*mouseflow, &[("visitor", "visitor-9")]).await.state, State::Gone);
    assert_eq!(sandbox.calls("mouseflow").get(&format!("DELETE {ONE}")), None);
    // More than one list holds: nobody can tell whether the person is behind its end.
    let many: serde_json::Map<_, _> =
        (0..1200).map(|n| (format!("m{n}"), json!({"visitor": format!("w{n}")}))).collect();
    sandbox.seed("mouseflow", &json!({"recordings": {"shop": many}}));
    let answer = ask(&*mouseflow, &[("visitor", "visitor-9")]).await;
    assert!(
        matches!(&answer.state, State::Refused { reason } if reason.contains("is the filter understood")),
        "{answer:?}"
    );
}

#[tokio::test]
async fn more_than_a_list_holds_goes_list_by_list() {
    let many: serde_json::Map<_, _> = (0..1010).map(|n| (format!("m{n}"), json!({"visitor": "often"}))).collect();
    let sandbox = sandbox(json!({"recordings": {"shop": many}})).await;
    assert_eq!(ask(&*mouseflow(&sandbox), &[("visitor", "often")]).await.state, State::Confirmed);
    assert_eq!(sandbox.calls("mouseflow")[&format!("DELETE {ONE}")], 1010);
}

#[tokio::test]
async fn only_an_empty_list_is_proof() {
    let sandbox1 = sandbox(json!({"sticky": true})).await;
    let answer = ask(&*mouseflow(&sandbox1), &[("variable", "hash-1")]).await;
    assert!(
        matches!(&answer.state, State::Unreachable { reason, again_after: Some(_) } if reason.contains("still lists")),
        "{answer:?}"
    );
    let sandbox2 = sandbox(json!({"undeletable": true})).await;
    let answer = ask(&*mouseflow(&sandbox2), &[("variable", "hash-1")]).await;
    assert!(matches!(&answer.state, State::Refused { reason } if reason.contains("may not delete")), "{answer:?}");
}

#[tokio::test]
async fn credentials_are_proven_and_wrong_ones_told() {
    let sandbox = sandbox(Value::Null).await;
    let yaml = yaml(&sandbox.url("mouseflow"));
    assert_eq!(open(&yaml).check().await, Ok(Checked::Proven));
    let wrong = recipients::open(&secret_settings(&yaml, "wrong"), &plumbing()).unwrap();
    let error = wrong.check().await.unwrap_err();
    assert!(error.reason.contains("HTTP 401") && !error.temporary, "{error}");
    assert!(reason(&ask(&*wrong, &[("visitor", "visitor-1")]).await).contains("HTTP 401"));
    // A website that is not there is a mistake in the settings.
    let error = open(&yaml.replace("[shop, blog]", "[shop, news]")).check().await.unwrap_err();
    assert!(error.reason.contains("no such website"), "{error}");
}

#[tokio::test]
async fn errors_are_told_and_what_passes_is_waited_for() {
    let sandbox = sandbox(Value::Null).await;
    let mouseflow = mouseflow(&sandbox);
    for (status, words) in
        [(400, "HTTP 400"), (403, "HTTP 403"), (405, "privacy@mouseflow.com"), (302, "leads elsewhere")]
    {
        sandbox.fault(Fault { status: Some(status), body: "visitor-1".into(), ..fault("DELETE") });
        let answer = ask(&*mouseflow, &[("visitor", "visitor-1")]).await;
        assert!(matches!(&answer.state, State::Refused { reason } if reason.contains(words)), "{answer:?}");
    }
    for body in ["", "{\"count\": 1", "[]", "{\"recordings\": [{}]}"] {
        sandbox.fault(Fault { status: Some(200), body: body.into(), ..fault("GET") });
        let answer = ask(&*mouseflow, &[("visitor", "visitor-1")]).await;
        assert!(matches!(answer.state, State::Unreachable { .. }), "{body}: {answer:?}");
    }
    let after = |seconds: &str| [("retry-after".to_owned(), seconds.to_owned())].into();
    sandbox.fault(Fault { status: Some(500), times: Some(2), ..fault("GET") });
    sandbox.fault(Fault { status: Some(429), ..fault("DELETE") });
    sandbox.fault(Fault { status: Some(429), headers: after("1"), ..fault("DELETE") });
    sandbox.fault(Fault { break_off: Some("after".into()), ..fault("DELETE") });
    sandbox.fault(Fault { break_off: Some("half".into()), ..fault("GET") });
    assert_eq!(ask(&*mouseflow, &[("visitor", "visitor-1")]).await.state, State::Confirmed);
    sandbox.fault(Fault { status: Some(429), headers: after("3600"), ..fault("GET") });
    let answer = ask(&*mouseflow, &[("visitor", "visitor-1")]).await;
    assert!(matches!(answer.state, State::Unreachable { again_after: Some(_), .. }), "{answer:?}");
}

#[tokio::test]
async fn what_cannot_be_asked_for_is_not_asked() {
    let sandbox = sandbox(Value::Null).await;
    let mouseflow = mouseflow(&sandbox);
    let answer = ask(&*mouseflow, &[("variable", "a,member=hash-2")]).await;
    assert!(matches!(answer.state, State::Refused { .. }), "{answer:?}");
    assert!(matches!(ask(&*mouseflow, &[]).await.state, State::NotPossible { .. }));
    assert_eq!(sandbox.arrivals("mouseflow").len(), 0);
}

/// As mousepy 0.0.9 sends them; Base64 was made with coreutils.
#[tokio::test]
async fn requests_are_as_documented() {
    let list = "{\"count\": 1, \"recordings\": [{\"id\": 17}]}";
    let recorder = Recorder::start(&[
        (200, list),
        (200, "{\"id\": 17, \"variables\": [\"member=a b\"]}"),
        (200, ""),
        (200, "{\"count\": 0, \"recordings\": []}"),
    ])
    .await;
    let yaml =
        yaml(&recorder.url).replace("\"${X}\", api_key", "me@example.jp, api_key").replace("[shop, blog]", "[shop]");
    let mouseflow = recipients::open(&secret_settings(&yaml, "key"), &plumbing()).unwrap();
    assert_eq!(delete_one(&*mouseflow, subject(&[("variable", "a b")])).await.state, State::Confirmed);
    let who = "authorization: Basic bWVAZXhhbXBsZS5qcDprZXk=\n";
    let expected = [
        format!("GET /websites/shop/recordings?limit=1000&vars=member%3Da+b\n{who}"),
        format!("GET /websites/shop/recordings/17\n{who}"),
        format!("DELETE /websites/shop/recordings/17\n{who}"),
        format!("GET /websites/shop/recordings?limit=1000&vars=member%3Da+b\n{who}"),
    ];
    assert_eq!(recorder.requests(), expected);
}
