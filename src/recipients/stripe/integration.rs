//! Stripe against its stand-in: every way to an end, and every error of its table.

use super::{delete_one, most_in_a_second, open, plumbing, secret_settings, subject};
use serde_json::json;
use sunset::{
    evidence::Grade,
    recipients::{self, Answer, Checked, Recipient, State, Subject},
    sandbox::{Fault, Sandbox},
};

async fn sandbox() -> Sandbox {
    Sandbox::start(0, true).await.unwrap()
}

fn stripe(sandbox: &Sandbox, more: &str) -> Box<dyn Recipient> {
    open(&format!("{{kind: stripe, api_key: \"${{X}}\", url: \"{}\"{more}}}", sandbox.url("stripe")))
}

fn customer(id: &str) -> Subject {
    subject(&[("customer", id)])
}

fn reason(answer: &Answer) -> &str {
    match &answer.state {
        State::Refused { reason } | State::NotPossible { reason } | State::Unreachable { reason, .. } => reason,
        state => panic!("{state:?}"),
    }
}

/// Polls until the end, a few times at most.
async fn end_of(stripe: &dyn Recipient, answer: &Answer) -> Answer {
    let mut answer = answer.clone();
    for _ in 0..6 {
        let State::Accepted { poll } = &answer.state else { return answer };
        answer = stripe.poll(std::slice::from_ref(&poll.ticket)).await.remove(0);
    }
    answer
}

#[tokio::test]
async fn a_customer_is_deleted_once_and_gone_afterwards() {
    let sandbox = sandbox().await;
    sandbox.seed("stripe", &json!({"customers": ["cus_1"], "payment_methods": {"pm_1": "cus_1"}}));
    let stripe = stripe(&sandbox, "");
    let answer = delete_one(&*stripe, customer("cus_1")).await;
    assert_eq!((&answer.state, answer.grade), (&State::Confirmed, Some(Grade::E1)));
    assert_eq!(answer.request_id.as_deref(), Some("req_00000000000001"));
    for gone in ["cus_1", "cus_never"] {
        let answer = delete_one(&*stripe, customer(gone)).await;
        assert_eq!((&answer.state, answer.grade), (&State::Gone, Some(Grade::E1)));
    }
    let calls = sandbox.calls("stripe");
    assert_eq!(calls.into_iter().collect::<Vec<_>>(), [("DELETE /v1/customers/{customer}".to_owned(), 3)]);
}

#[tokio::test]
async fn payment_methods_are_detached_and_subscriptions_cancelled_first() {
    // without limits: on a busy machine, calls that started apart arrive together
    let sandbox = Sandbox::start(0, false).await.unwrap();
    let methods: serde_json::Map<_, _> = (0..130).map(|n| (format!("pm_{n:03}"), json!("cus_1"))).collect();
    sandbox.seed(
        "stripe",
        &json!({"customers": ["cus_1", "cus_2"], "payment_methods": methods, "subscriptions": {"sub_1": "cus_1", "sub_2": "cus_2"}}),
    );
    let stripe = stripe(&sandbox, ", detach_payment_methods: true, cancel_subscriptions: true");
    let answer = delete_one(&*stripe, customer("cus_1")).await;
    assert_eq!(answer.state, State::Confirmed, "{answer:?}");
    let calls = sandbox.calls("stripe");
    assert_eq!(calls["GET /v1/customers/{customer}/payment_methods"], 2);
    assert_eq!(calls["POST /v1/payment_methods/{payment_method}/detach"], 130);
    assert_eq!(calls["DELETE /v1/subscriptions/{subscription}"], 1);
}

#[tokio::test]
async fn what_was_detached_or_cancelled_meanwhile_is_no_error() {
    let sandbox = sandbox().await;
    sandbox.seed(
        "stripe",
        &json!({"customers": ["cus_1"], "payment_methods": {"pm_1": "cus_1"}, "subscriptions": {"sub_1": "cus_1"}}),
    );
    // Done, but the answer is lost: the second attempt finds nothing to do. The sandbox replays the first answer of the
    // detachment; a subscription's DELETE has no key.
    for path in ["/v1/payment_methods", "/v1/subscriptions/"] {
        sandbox.fault(Fault {
            vendor: "stripe".into(),
            path: path.into(),
            break_off: Some("after".into()),
            ..Fault::default()
        });
    }
    let stripe = stripe(&sandbox, ", detach_payment_methods: true, cancel_subscriptions: true");
    assert_eq!(delete_one(&*stripe, customer("cus_1")).await.state, State::Confirmed);
}

#[tokio::test]
async fn credentials_are_proven_and_wrong_ones_refused() {
    let sandbox = sandbox().await;
    sandbox.seed("stripe", &json!({"customers": ["cus_1"]}));
    assert_eq!(stripe(&sandbox, "").check().await, Ok(Checked::Proven));
    assert_eq!(stripe(&sandbox, ", mode: redaction").check().await, Ok(Checked::Proven));
    let yaml = format!("{{kind: stripe, api_key: \"${{X}}\", url: \"{}\"}}", sandbox.url("stripe"));
    let with = |key: &str| recipients::open(&secret_settings(&yaml, key), &plumbing()).unwrap();
    let error = with("nonsense").check().await.unwrap_err();
    assert!(error.reason.contains("does not know the key") && !error.temporary, "{error}");
    let answer = delete_one(&*with("nonsense"), customer("cus_1")).await;
    assert!(reason(&answer).contains("HTTP 401"), "{answer:?}");
    // A key of the other mode finds nothing, which is no proof that nothing is there.
    let answer = delete_one(&*with("sk_live_x"), customer("cus_1")).await;
    assert!(matches!(&answer.state, State::Refused { reason } if reason.contains("other mode")), "{answer:?}");
}

#[tokio::test]
async fn a_page_of_somebody_else_is_no_proof() {
    let sandbox = sandbox().await;
    let stripe = stripe(&sandbox, "");
    for (status, body) in [
        (404, "<html>not found</html>"),
        (404, "{}"),
        (403, "{}"),
        (400, "{\"error\": {\"type\": \"invalid_request_error\", \"param\": \"id\"}}"),
    ] {
        sandbox.fault(Fault { vendor: "stripe".into(), status: Some(status), body: body.into(), ..Fault::default() });
        let answer = delete_one(&*stripe, customer("cus_1")).await;
        assert!(matches!(answer.state, State::Refused { .. }), "{status} {body}: {answer:?}");
    }
    for body in ["{\"id\": \"cus_1\"", "{\"id\": \"cus_1\", \"deleted\": false}", ""] {
        sandbox.fault(Fault { vendor: "stripe".into(), status: Some(200), body: body.into(), ..Fault::default() });
        let answer = delete_one(&*stripe, customer("cus_1")).await;
        assert!(matches!(answer.state, State::Unreachable { .. }), "{body}: {answer:?}");
    }
}

#[tokio::test]
async fn the_vendors_own_word_on_retries_wins() {
    let sandbox = sandbox().await;
    sandbox.seed("stripe", &json!({"customers": ["cus_1"]}));
    let stripe = stripe(&sandbox, "");
    let told = |word: &str, status| {
        let headers = [("stripe-should-retry".to_owned(), word.to_owned())].into();
        Fault { vendor: "stripe".into(), status: Some(status), headers, body: "{}".into(), ..Fault::default() }
    };
    // An outage is one, though asking again at once would not help.
    sandbox.fault(told("false", 500));
    assert!(matches!(delete_one(&*stripe, customer("cus_1")).await.state, State::Unreachable { .. }));
    assert_eq!(sandbox.arrivals("stripe").len(), 1);
    sandbox.fault(told("true", 400));
    sandbox.fault(Fault { vendor: "stripe".into(), status: Some(409), ..Fault::default() });
    assert_eq!(delete_one(&*stripe, customer("cus_1")).await.state, State::Confirmed);
    assert_eq!(sandbox.arrivals("stripe").len(), 4);
}

#[tokio::test]
async fn customers_are_redacted_ten_at_a_time() {
    let sandbox = sandbox().await;
    let ids: Vec<_> = (0..23).map(|n| format!("cus_{n:02}")).collect();
    sandbox.seed("stripe", &json!({ "customers": ids }));
    let stripe = stripe(&sandbox, ", mode: redaction");
    let subjects: Vec<_> = ids.iter().map(|id| customer(id)).chain([customer("cus_00")]).collect();
    let answers = stripe.delete(&subjects).await;
    assert_eq!(answers.len(), 24);
    assert!(answers.iter().all(|answer| answer.grade == Some(Grade::E2)), "{answers:?}");
    assert_eq!(sandbox.calls("stripe")["POST /v1/privacy/redaction_jobs"], 3);
    for answer in &answers {
        assert_eq!(end_of(&*stripe, answer).await.state, State::Confirmed);
    }
    // Once more, as after a crash: the same keys give the same jobs.
    let again = stripe.delete(&subjects[..10]).await;
    assert!(
        again.iter().all(|answer| answer.state == State::Confirmed || answer.grade == Some(Grade::E2)),
        "{again:?}"
    );
}

#[tokio::test]
async fn what_blocks_a_redaction_is_told_and_the_others_go_on() {
    let sandbox = sandbox().await;
    sandbox.seed("stripe", &json!({
        "customers": ["cus_1", "cus_2", "cus_3", "cus_4"], "blocked": {"cus_2": "ch_90days"}, "payment_methods": {"pm_1": "cus_3"},
    }));
    let stripe = stripe(&sandbox, ", mode: redaction");
    let subjects = ["cus_1", "cus_2", "cus_3", "cus_4"].map(customer);
    let answers = stripe.delete(&subjects).await;
    for (index, answer) in answers.iter().enumerate() {
        if matches!(index, 1 | 2) {
            assert!(reason(answer).contains("90 days"), "{answer:?}");
            assert!(matches!(answer.state, State::Unreachable { again_after: Some(_), .. }));
        } else {
            assert_eq!(end_of(&*stripe, answer).await.state, State::Confirmed);
        }
    }
    // Without what blocks, the same customer goes: the cancelled job's key gives no new job, so a further one is used.
    let freed = open(&format!(
        "{{kind: stripe, mode: redaction, detach_payment_methods: true, api_key: \"${{X}}\", url: \"{}\"}}",
        sandbox.url("stripe")
    ));
    let answer = delete_one(&*freed, customer("cus_3")).await;
    assert_eq!(end_of(&*freed, &answer).await.state, State::Confirmed, "{answer:?}");
}

#[tokio::test]
async fn unknown_jobs_and_foreign_tickets_are_not_believed() {
    let sandbox = sandbox().await;
    let stripe = stripe(&sandbox, ", mode: redaction");
    let answers = stripe.poll(&["prj_unknown".to_owned(), "a/b c".to_owned()]).await;
    assert!(matches!(answers[0].state, State::Forgotten { .. }), "{answers:?}");
    assert!(matches!(answers[1].state, State::Refused { .. }), "{answers:?}");
}

#[tokio::test]
async fn the_limit_is_kept() {
    let sandbox = sandbox().await;
    let ids: Vec<_> = (0..76).map(|n| format!("cus_{n:02}")).collect();
    sandbox.seed("stripe", &json!({ "customers": ids }));
    let stripe = stripe(&sandbox, "");
    let subjects: Vec<_> = ids.iter().map(|id| customer(id)).collect();
    let answers = stripe.delete(&subjects).await;
    assert!(answers.iter().all(|answer| answer.state == State::Confirmed));
    // The limit holds where calls leave. On a busy machine some are late and meet others where they arrive: the stand-in
    // answers 429 to what is over there, and those are asked again. Without a limit there would be dozens.
    let arrivals = sandbox.arrivals("stripe");
    assert!((76..84).contains(&arrivals.len()), "{} calls", arrivals.len());
    assert!(most_in_a_second(&arrivals) <= 30);
}

#[tokio::test]
async fn a_row_without_a_customer_cannot_be_asked_about() {
    let sandbox = sandbox().await;
    for more in ["", ", mode: redaction"] {
        let answer = delete_one(&*stripe(&sandbox, more), customer("")).await;
        assert_eq!((reason(&answer), answer.grade), ("the row has no customer id", Some(Grade::E5)));
    }
    assert_eq!(sandbox.arrivals("stripe").len(), 0);
}
