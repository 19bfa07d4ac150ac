//! PayPal against its stand-in: every way to an end, and every error of its table.

use super::{SECRET, delete_one, open, plumbing, recorder::Recorder, secret_settings, subject};
use serde_json::json;
use std::time::{Duration, Instant};
use sunset::{
    evidence::Grade,
    recipients::{self, Answer, Checked, Recipient, State},
    sandbox::{Fault, Sandbox},
};

async fn sandbox() -> Sandbox {
    Sandbox::start(0, true).await.unwrap()
}

fn yaml(url: &str) -> String {
    format!("{{kind: paypal, client_id: \"${{X}}\", client_secret: \"${{X}}\", url: \"{url}\"}}")
}

fn paypal(sandbox: &Sandbox) -> Box<dyn Recipient> {
    open(&yaml(&sandbox.url("paypal")))
}

fn fault(path: &str) -> Fault {
    Fault { vendor: "paypal".into(), path: path.into(), ..Fault::default() }
}

async fn ask(paypal: &dyn Recipient, identifiers: &[(&str, &str)]) -> Answer {
    let answer = delete_one(paypal, subject(identifiers)).await;
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

#[tokio::test]
async fn all_payment_tokens_of_a_customer_go_and_nobody_elses() {
    let sandbox = sandbox().await;
    let mut tokens: serde_json::Map<_, _> = (0..13).map(|n| (format!("token_{n:03}"), json!("customer_1"))).collect();
    tokens.insert("token_of_another".into(), json!("customer_2"));
    sandbox.seed("paypal", &json!({"payment_tokens": tokens}));
    let paypal = paypal(&sandbox);
    let answer = ask(&*paypal, &[("customer", "customer_1")]).await;
    assert_eq!((&answer.state, answer.grade), (&State::Confirmed, Some(Grade::E1)));
    assert!(answer.request_id.is_some(), "{answer:?}");
    let calls = sandbox.calls("paypal");
    assert_eq!(calls["DELETE /v3/vault/payment-tokens/{id}"], 13);
    // Three pages that move up.
    assert_eq!(calls["GET /v3/vault/payment-tokens"], 3);
    assert_eq!(calls["POST /v1/oauth2/token"], 1);
    assert_eq!(ask(&*paypal, &[("customer", "customer_1")]).await.state, State::Gone);
    assert_eq!(ask(&*paypal, &[("customer", "customer_2")]).await.state, State::Confirmed);
}

#[tokio::test]
async fn a_token_goes_once_and_is_gone_afterwards() {
    let sandbox = sandbox().await;
    sandbox.seed("paypal", &json!({"payment_tokens": {"8kk8451t": "customer_1"}}));
    let paypal = paypal(&sandbox);
    assert_eq!(ask(&*paypal, &[("payment_token", "8kk8451t")]).await.state, State::Confirmed);
    assert_eq!(ask(&*paypal, &[("payment_token", "8kk8451t")]).await.state, State::Gone);
    // Done, but the answer is lost: the second attempt finds it gone.
    sandbox.seed("paypal", &json!({"payment_tokens": {"8kk8451u": "customer_1"}}));
    sandbox.fault(Fault { break_off: Some("after".into()), ..fault("/v3/vault") });
    assert_eq!(ask(&*paypal, &[("payment_token", "8kk8451u")]).await.state, State::Gone);
}

#[tokio::test]
async fn an_identifier_of_somebody_else_stays_here() {
    let sandbox = sandbox().await;
    let paypal = paypal(&sandbox);
    for identifier in [("customer", "taro@example.jp"), ("payment_token", "short"), ("customer", "../../v1/x")] {
        let answer = ask(&*paypal, &[identifier]).await;
        assert!(matches!(answer.state, State::Refused { .. }), "{answer:?}");
    }
    assert_eq!(sandbox.arrivals("paypal").len(), 0);
}

#[tokio::test]
async fn subscriptions_are_cancelled_once() {
    let sandbox = sandbox().await;
    let states = json!({
        "I-ACTIVE": "ACTIVE", "I-SUSPENDED": "SUSPENDED", "I-CANCELLED": "CANCELLED", "I-EXPIRED": "EXPIRED",
        "I-PENDING": "APPROVAL_PENDING", "I-CLOSED": "ACTIVE",
    });
    sandbox.seed("paypal", &json!({"subscriptions": states, "closed_accounts": ["I-CLOSED"]}));
    let paypal = paypal(&sandbox);
    for (id, state) in [
        ("I-ACTIVE", State::Confirmed),
        ("I-ACTIVE", State::Gone),
        ("I-SUSPENDED", State::Confirmed),
        ("I-CANCELLED", State::Gone),
        ("I-EXPIRED", State::Gone),
        ("I-NEVER", State::Gone),
    ] {
        assert_eq!(ask(&*paypal, &[("subscription", id)]).await.state, state, "{id}");
    }
    let answer = ask(&*paypal, &[("subscription", "I-PENDING")]).await;
    assert!(matches!(answer.state, State::Unreachable { again_after: Some(_), .. }), "{answer:?}");
    let answer = ask(&*paypal, &[("subscription", "I-CLOSED")]).await;
    assert_eq!(reason(&answer), "HTTP 422, UNPROCESSABLE_ENTITY, USER_ACCOUNT_CLOSED");
    assert_eq!(answer.request_id.as_deref(), Some("b1d1f06c7246c"));
}

#[tokio::test]
async fn drafts_go_and_sent_invoices_stay() {
    let sandbox = sandbox().await;
    let invoices = json!({
        "INV2-1": {"status": "DRAFT", "to": ["taro@example.jp"]},
        "INV2-2": {"status": "SCHEDULED", "to": ["TARO@example.jp"]},
        "INV2-3": {"status": "PAID", "to": ["taro@example.jp"]},
        // A search that compares parts finds these too.
        "INV2-4": {"status": "DRAFT", "to": ["kintaro@example.jp"]},
        "INV2-5": {"status": "DRAFT", "to": ["hanako@example.jp"]},
    });
    sandbox.seed("paypal", &json!({"invoices": invoices}));
    let paypal = paypal(&sandbox);
    assert_eq!(ask(&*paypal, &[("email", "taro@example.jp")]).await.state, State::Confirmed);
    assert_eq!(ask(&*paypal, &[("email", "taro@example.jp")]).await.state, State::Gone);
    assert_eq!(sandbox.calls("paypal")["DELETE /v2/invoicing/invoices/{id}"], 2);
    let answer = ask(&*paypal, &[("invoice", "INV2-3")]).await;
    assert!(reason(&answer).contains("was sent") && answer.grade == Some(Grade::E5), "{answer:?}");
    // Searches that leave recipients out: each invoice is looked at.
    sandbox.seed(
        "paypal",
        &json!({"brief_invoices": true, "invoices": {
            "INV2-6": {"status": "DRAFT", "to": ["taro@example.jp", "hanako@example.jp"]},
            "INV2-7": {"status": "DRAFT", "to": ["taro@example.jp"]},
        }}),
    );
    let answer = ask(&*paypal, &[("email", "taro@example.jp")]).await;
    assert!(reason(&answer).contains("addressed to others too"), "{answer:?}");
    assert_eq!(sandbox.calls("paypal")["DELETE /v2/invoicing/invoices/{id}"], 4);
    for left in ["INV2-4", "INV2-5", "INV2-6"] {
        assert_eq!(ask(&*paypal, &[("invoice", left)]).await.state, State::Confirmed, "{left}");
    }
    assert_eq!(ask(&*paypal, &[("invoice", "INV2-7")]).await.state, State::Gone);
}

#[tokio::test]
async fn drafts_are_found_on_all_pages() {
    let sandbox = sandbox().await;
    let invoices: serde_json::Map<_, _> =
        (0..130).map(|n| (format!("INV2-{n}"), json!({"status": "DRAFT", "to": ["taro@example.jp"]}))).collect();
    sandbox.seed("paypal", &json!({"invoices": invoices}));
    assert_eq!(ask(&*paypal(&sandbox), &[("email", "taro@example.jp")]).await.state, State::Confirmed);
    let calls = sandbox.calls("paypal");
    assert_eq!((calls["POST /v2/invoicing/search-invoices"], calls["DELETE /v2/invoicing/invoices/{id}"]), (2, 130));
}

#[tokio::test]
async fn what_paypal_keeps_by_law_is_recorded() {
    let sandbox = sandbox().await;
    sandbox.seed("paypal", &json!({"payment_tokens": {"8kk8451t": "customer_1"}}));
    let paypal = paypal(&sandbox);
    let answer = ask(&*paypal, &[("payment", "2GG279541U471931P")]).await;
    assert!(reason(&answer).contains("keeps payments by law"), "{answer:?}");
    assert_eq!(answer.grade, Some(Grade::E5));
    assert_eq!(sandbox.arrivals("paypal").len(), 0);
    // What can go does.
    let answer = ask(&*paypal, &[("payment", "2GG279541U471931P"), ("payment_token", "8kk8451t")]).await;
    assert!(reason(&answer).starts_with("what can be deleted is; PayPal keeps payments by law"), "{answer:?}");
    assert_eq!(ask(&*paypal, &[("payment_token", "8kk8451t")]).await.state, State::Gone);
    assert!(matches!(ask(&*paypal, &[]).await.state, State::NotPossible { .. }));
}

#[tokio::test]
async fn one_failing_part_does_not_stop_the_others() {
    let sandbox = sandbox().await;
    sandbox.seed("paypal", &json!({"payment_tokens": {"8kk8451t": "customer_1"}, "subscriptions": {"I-1": "ACTIVE"}}));
    let paypal = paypal(&sandbox);
    sandbox.fault(Fault { status: Some(403), body: "{\"name\": \"NOT_AUTHORIZED\"}".into(), ..fault("/v1/billing") });
    let both = [("subscription", "I-1"), ("payment_token", "8kk8451t")];
    let answer = ask(&*paypal, &both).await;
    assert_eq!(reason(&answer), "the app may not do this (HTTP 403), NOT_AUTHORIZED");
    assert_eq!(ask(&*paypal, &[("payment_token", "8kk8451t")]).await.state, State::Gone);
    assert_eq!(ask(&*paypal, &both).await.state, State::Confirmed);
}

#[tokio::test]
async fn an_expired_token_is_fetched_anew_and_wrong_credentials_are_told() {
    let sandbox = sandbox().await;
    let paypal = paypal(&sandbox);
    assert_eq!(paypal.check().await, Ok(Checked::Proven));
    assert_eq!(ask(&*paypal, &[("payment_token", "8kk8451t")]).await.state, State::Gone);
    sandbox.seed("paypal", &json!({"expire_tokens": true}));
    assert_eq!(ask(&*paypal, &[("payment_token", "8kk8451t")]).await.state, State::Gone);
    assert_eq!(sandbox.calls("paypal")["POST /v1/oauth2/token"], 2);
    let wrong = recipients::open(&secret_settings(&yaml(&sandbox.url("paypal")), "wrong"), &plumbing()).unwrap();
    let error = wrong.check().await.unwrap_err();
    assert!(error.reason.contains("look at the credentials") && !error.temporary, "{error}");
    let answer = ask(&*wrong, &[("payment_token", "8kk8451t")]).await;
    assert!(matches!(&answer.state, State::Refused { reason } if reason.contains("HTTP 401")), "{answer:?}");
}

#[tokio::test]
async fn an_answer_of_somebody_else_is_no_proof() {
    let sandbox = sandbox().await;
    let paypal = paypal(&sandbox);
    paypal.check().await.unwrap();
    let replies = [
        (404, "<html>not found</html>", "not PayPal's"),
        (404, "{\"name\": \"NOT_FOUND\", \"message\": \"8kk8451t\"}", "HTTP 404, NOT_FOUND"),
        (
            400,
            "{\"name\": \"INVALID_REQUEST\", \"details\": [{\"issue\": \"X_Y\", \"value\": \"8kk8451t\"}]}",
            "INVALID_REQUEST, X_Y",
        ),
        (307, "", "leads elsewhere"),
    ];
    for (status, body, words) in replies {
        sandbox.fault(Fault { status: Some(status), body: body.into(), ..fault("/v3/") });
        let answer = ask(&*paypal, &[("payment_token", "8kk8451t")]).await;
        assert!(matches!(&answer.state, State::Refused { reason } if reason.contains(words)), "{answer:?}");
    }
    for body in ["{\"payment_tokens\": [", "{}", "[]", "{\"payment_tokens\": [{}]}"] {
        sandbox.fault(Fault { status: Some(200), body: body.into(), ..fault("/v3/") });
        let answer = ask(&*paypal, &[("customer", "customer_1")]).await;
        assert!(matches!(answer.state, State::Unreachable { .. }), "{body}: {answer:?}");
    }
}

#[tokio::test]
async fn what_passes_is_waited_for() {
    let sandbox = sandbox().await;
    let paypal = paypal(&sandbox);
    paypal.check().await.unwrap();
    let half = Some("half".to_owned());
    let limit = "{\"name\": \"RATE_LIMIT_REACHED\"}";
    for fault in [
        Fault { status: Some(429), body: limit.into(), ..fault("/v3/") },
        Fault { status: Some(500), times: Some(3), ..fault("/v3/") },
        Fault { status: Some(503), ..fault("/v3/") },
        Fault { status: Some(200), break_off: half, body: "{\"payment_tokens\": []}".into(), ..fault("/v3/") },
    ] {
        sandbox.fault(fault);
        assert_eq!(ask(&*paypal, &[("customer", "customer_1")]).await.state, State::Gone);
    }
    let after = |seconds: &str| Fault {
        status: Some(429),
        body: limit.into(),
        headers: [("retry-after".to_owned(), seconds.to_owned())].into(),
        ..fault("/v3/")
    };
    sandbox.fault(after("1"));
    let begin = Instant::now();
    assert_eq!(ask(&*paypal, &[("customer", "customer_1")]).await.state, State::Gone);
    assert!(begin.elapsed() >= Duration::from_secs(1));
    sandbox.seed("paypal", &json!({"allowed": 0}));
    let answer = ask(&*paypal, &[("customer", "customer_1")]).await;
    assert!(matches!(&answer.state, State::Unreachable { reason, .. } if reason.contains("HTTP 429")), "{answer:?}");
}

/// Form and header names from the OpenAPI documents; the pair `client:secret` in Base64 was made with coreutils.
#[tokio::test]
async fn requests_are_as_documented() {
    let token = "{\"access_token\": \"A21\", \"expires_in\": 32400}";
    let recorder =
        Recorder::start(&[(200, token), (204, ""), (200, "{\"total_items\": 0}"), (200, "{\"total_items\": 0}")]).await;
    let settings = secret_settings(
        &format!(
            "{{kind: paypal, client_id: client, client_secret: \"${{X}}\", url: \"{}\", reason: Ende}}",
            recorder.url
        ),
        "secret",
    );
    let paypal = recipients::open(&settings, &plumbing()).unwrap();
    let who = [("subscription", "I-BW452GLLEP1G"), ("customer", "customer_4029352050"), ("email", "taro+1@example.jp")];
    assert_eq!(delete_one(&*paypal, subject(&who)).await.state, State::Confirmed);
    let expected = [
        "POST /v1/oauth2/token\nauthorization: Basic Y2xpZW50OnNlY3JldA==\ncontent-type: application/x-www-form-urlencoded\n\
         grant_type=client_credentials",
        "POST /v1/billing/subscriptions/I-BW452GLLEP1G/cancel\nauthorization: Bearer A21\ncontent-type: application/json\n\
         {\"reason\":\"Ende\"}",
        "GET /v3/vault/payment-tokens?customer_id=customer_4029352050&page_size=5&page=1&total_required=true\n\
         authorization: Bearer A21\n",
        "POST /v2/invoicing/search-invoices?page=1&page_size=100&total_required=true\nauthorization: Bearer A21\n\
         content-type: application/json\n{\"recipient_email\":\"taro+1@example.jp\",\"status\":[\"DRAFT\",\"SCHEDULED\"]}",
    ];
    assert_eq!(recorder.requests(), expected);
}
