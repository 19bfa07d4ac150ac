//! A vendor described in YAML alone.

use super::{delete_one, open, plumbing, settings, subject};
use serde_json::json;
use sunset::{
    evidence::Grade,
    recipients::{self, Checked, State},
    sandbox::{Fault, Sandbox},
};

async fn sandbox() -> Sandbox {
    Sandbox::start(0, true).await.unwrap()
}

fn simple(sandbox: &Sandbox, more: &str) -> String {
    format!(
        "{{kind: http, url: \"{}\", auth: {{bearer: \"${{X}}\"}}, check: /v1/me, {more} delete: {{method: DELETE, path: \
         \"/v1/people/{{email|trim|lower}}\", gone: [404], request_id: x-request-id}}}}",
        sandbox.url("crm")
    )
}

#[tokio::test]
async fn success_gone_and_grade_are_what_the_settings_say() {
    let sandbox = sandbox().await;
    // A status alone proves no end: any server may answer 204.
    for (more, grade) in [("", Grade::E2), ("grade: E1,", Grade::E2)] {
        let settings = settings(&simple(&sandbox, more));
        assert_eq!(settings.identifiers(), ["email"]);
        assert_eq!(settings.best_grade(), grade);
    }
    let tested =
        simple(&sandbox, "grade: E1,").replace("delete: {", "delete: {confirmed: {pointer: /deleted, is: [true]}, ");
    assert_eq!(settings(&tested).best_grade(), Grade::E1);
    // The stand-in takes tokens that begin with `crm_`.
    let crm = open_with(&simple(&sandbox, "grade: E1,"), "crm_1");
    assert_eq!(crm.check().await, Ok(Checked::Proven));
    let answer = delete_one(&*crm, subject(&[("email", " A/b@Example.com ")])).await;
    assert_eq!((&answer.state, answer.grade), (&State::Confirmed, Some(Grade::E2)), "{answer:?}");
    assert!(answer.request_id.is_some());
    let answer = delete_one(&*crm, subject(&[("email", "a/b@example.com")])).await;
    assert_eq!(answer.state, State::Gone);
    let answer = delete_one(&*crm, subject(&[("phone", "1")])).await;
    assert!(matches!(answer.state, State::NotPossible { .. }), "{answer:?}");
    let wrong = open_with(&simple(&sandbox, ""), "wrong");
    assert!(wrong.check().await.is_err());
    let answer = delete_one(&*wrong, subject(&[("email", "c@example.com")])).await;
    assert!(matches!(&answer.state, State::Refused { reason } if reason.contains("401")), "{answer:?}");
}

fn open_with(yaml: &str, secret: &str) -> Box<dyn recipients::Recipient> {
    recipients::open(&super::secret_settings(yaml, secret), &plumbing()).unwrap()
}

fn with_jobs(sandbox: &Sandbox) -> String {
    format!(
        "{{kind: http, url: \"{}\", auth: {{oauth: {{token_url: /oauth/token, client_id: me, client_secret: \"${{X}}\"}}}}, \
         delete: {{method: POST, path: /v1/deletions, json: {{email: \"{{email}}\", reference: \"{{reference}}\"}}, success: \
         [202], ticket: /job/id}}, poll: {{path: \"/v1/jobs/{{ticket}}\", done: {{pointer: /status, is: [done]}}, failed: \
         {{pointer: /status, is: [failed]}}, every: 1 s}}}}",
        sandbox.url("crm")
    )
}

#[tokio::test]
async fn accepted_work_is_polled_to_its_end() {
    let sandbox = sandbox().await;
    let crm = open_with(&with_jobs(&sandbox), "crm_secret");
    let people = ["a@example.com", "refuse@example.com"].map(|email| subject(&[("email", email)]));
    let answers = crm.delete(&people).await;
    let again = crm.delete(&people).await;
    assert_eq!(
        answers.iter().map(|answer| &answer.state).collect::<Vec<_>>(),
        again.iter().map(|answer| &answer.state).collect::<Vec<_>>()
    );
    let tickets: Vec<_> = answers
        .iter()
        .map(|answer| match &answer.state {
            State::Accepted { poll } => poll.ticket.clone(),
            state => panic!("{state:?}"),
        })
        .collect();
    assert!(crm.poll(&tickets).await.iter().all(|answer| answer.grade == Some(Grade::E2)));
    let ends = crm.poll(&tickets).await;
    assert_eq!((&ends[0].state, ends[0].grade), (&State::Confirmed, Some(Grade::E1)));
    assert!(matches!(ends[1].state, State::Refused { .. }), "{ends:?}");
    assert!(matches!(crm.poll(&["job-99".to_owned()]).await[0].state, State::Forgotten { .. }));
    assert_eq!(sandbox.calls("crm")["POST /oauth/token"], 1);
}

#[tokio::test]
async fn a_token_that_is_refused_is_fetched_anew_once() {
    let sandbox = sandbox().await;
    let crm = open_with(&with_jobs(&sandbox), "crm_secret");
    let person = || subject(&[("email", "a@example.com")]);
    delete_one(&*crm, person()).await;
    sandbox.seed("crm", &json!({"expire_tokens": true}));
    let answer = delete_one(&*crm, person()).await;
    assert!(matches!(answer.state, State::Accepted { .. }), "{answer:?}");
    assert_eq!(sandbox.calls("crm")["POST /oauth/token"], 2);
    // One that stays refused is not fetched for ever.
    let refused =
        Fault { vendor: "crm".into(), path: "/v1".into(), status: Some(401), times: Some(5), ..Fault::default() };
    sandbox.fault(refused);
    assert!(matches!(delete_one(&*crm, person()).await.state, State::Refused { .. }));
    assert_eq!(sandbox.calls("crm")["POST /oauth/token"], 3);
    let wrong = open_with(&with_jobs(&sandbox), "wrong");
    let answer = delete_one(&*wrong, person()).await;
    assert!(matches!(&answer.state, State::Refused { reason } if reason.contains("credentials")), "{answer:?}");
}

#[tokio::test]
async fn each_way_to_prove_who_calls() {
    let sandbox = sandbox().await;
    for auth in [
        "{bearer: \"${X}\"}",
        "{header: {name: X-Api-Key, value: \"${X}\"}}",
        "{basic: {user: me, password: \"${X}\"}}",
    ] {
        let crm = open_with(&simple(&sandbox, "").replace("{bearer: \"${X}\"}", auth), "crm_1");
        assert_eq!(crm.check().await, Ok(Checked::Proven), "{auth}");
    }
}

#[tokio::test]
async fn tests_of_replies_decide() {
    let sandbox = sandbox().await;
    let yaml = format!(
        "{{kind: http, url: \"{}\", delete: {{method: POST, path: /x, form: {{id: \"{{id|sha256}}\"}}, success: [200], retry: \
         [418], confirmed: {{pointer: /ok, is: [true]}}, nobody: {{pointer: /error, is: [unknown]}}}}}}",
        sandbox.url("crm")
    );
    let crm = open(&yaml);
    for (status, body, word) in [
        (200, "{\"ok\": true}", "confirmed"),
        (200, "{\"ok\": false}", "unreachable"),
        (200, "not json", "unreachable"),
        (400, "{\"error\": \"unknown\"}", "gone"),
        (400, "{\"error\": \"other\"}", "refused"),
        (204, "", "refused"),
    ] {
        sandbox.fault(Fault { vendor: "crm".into(), status: Some(status), body: body.into(), ..Fault::default() });
        let answer = delete_one(&*crm, subject(&[("id", "1")])).await;
        assert_eq!(answer.state.word(), word, "{status} {body}: {answer:?}");
    }
    sandbox.fault(Fault { vendor: "crm".into(), status: Some(418), ..Fault::default() });
    sandbox.fault(Fault { vendor: "crm".into(), status: Some(200), body: "{\"ok\": true}".into(), ..Fault::default() });
    assert_eq!(delete_one(&*crm, subject(&[("id", "1")])).await.state, State::Confirmed);
}
