//! LINE against its stand-in: audiences that are made anew, and audiences that expire.

use super::{
    SECRET, plumbing, printed_settings, recorder::Recorder, refused, settings, stand_in, staying::Staying, subject,
};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::sync::Arc;
use sunset::{
    evidence::Grade,
    recipients::{self, Answer, Checked, Members, Recipient, State, Subject},
    sandbox::{Fault, Sandbox},
};

const BOT: &str = "U0b00000000000000000000000000000b";
const UPLOAD: &str = "POST /v2/bot/audienceGroup/upload/byFile";
const DELETE: &str = "DELETE /v2/bot/audienceGroup/{audienceGroupId}";

fn user(number: usize) -> String {
    format!("U{number:032x}")
}

fn staying(number: usize) -> Arc<Staying> {
    Staying::new("user", (100..100 + number).map(user))
}

const EXPIRE: &str = "mode: expire";
const REBUILD: &str = "mode: rebuild, members: {table: core.t, columns: {user: line}}";

fn yaml(url: &str, more: &str) -> String {
    format!(
        "{{kind: line, channel_access_token: \"line_${{X}}\", bot: {BOT}, audience: Members, url: \"{url}\", {more}}}"
    )
}

fn open_yaml(yaml: &str, members: Option<Arc<dyn Members>>) -> Box<dyn Recipient> {
    let mut plumbing = plumbing();
    plumbing.members = members;
    recipients::open(&settings(yaml), &plumbing).unwrap()
}

fn rebuild(sandbox: &Sandbox, members: &Arc<Staying>) -> Box<dyn Recipient> {
    open_yaml(&yaml(&sandbox.url("line"), REBUILD), Some(members.clone()))
}

fn expire(sandbox: &Sandbox) -> Box<dyn Recipient> {
    open_yaml(&yaml(&sandbox.url("line"), EXPIRE), None)
}

async fn sandbox(seed: &Value) -> Sandbox {
    let sandbox = Sandbox::start(0, true).await.unwrap();
    sandbox.seed("line", &json!({"audiences": [{"id": 7, "name": "Members", "people": 12, "expires": 1_800_000_000}]}));
    sandbox.seed("line", seed);
    sandbox
}

fn person(number: usize) -> Subject {
    subject(&[("user", &user(number))])
}

async fn ask(line: &dyn Recipient) -> Answer {
    let people = [person(1), person(2)];
    line.announce(&people);
    let answers = line.delete(&people).await;
    assert_eq!((answers.len(), &answers[0]), (2, &answers[1]));
    let text = format!("{answers:?}");
    assert!(!text.contains(SECRET) && !text.contains(&user(1)) && !text.contains("http://"), "{text}");
    answers[0].clone()
}

async fn poll(line: &dyn Recipient, ticket: &str) -> Answer {
    let answers = line.poll(&[ticket.to_owned(), ticket.to_owned()]).await;
    assert_eq!((answers.len(), &answers[0]), (2, &answers[1]));
    answers[0].clone()
}

fn ticket(answer: &Answer) -> String {
    let State::Accepted { poll } = &answer.state else { panic!("{answer:?}") };
    poll.ticket.clone()
}

/// Name and number of people of each audience, asked from outside.
async fn audiences(sandbox: &Sandbox) -> Vec<(String, u64)> {
    let url = format!("{}/v2/bot/audienceGroup/list?page=1&size=40", sandbox.url("line"));
    let body: Value = reqwest::Client::new().get(url).bearer_auth("line_x").send().await.unwrap().json().await.unwrap();
    let audience = |it: &Value| (it["description"].as_str().unwrap().to_owned(), it["audienceCount"].as_u64().unwrap());
    let mut all: Vec<_> = body["audienceGroups"].as_array().unwrap().iter().map(audience).collect();
    all.sort();
    all
}

fn named(name: &str, people: u64) -> (String, u64) {
    (name.to_owned(), people)
}

fn calls(sandbox: &Sandbox, call: &str) -> u64 {
    sandbox.calls("line").get(call).copied().unwrap_or_default()
}

#[tokio::test]
async fn a_new_audience_takes_the_old_ones_place() {
    let sandbox = sandbox(&json!({"looks": 1})).await;
    let staying = staying(20);
    // Somebody who goes, and whose row is still among those who stay.
    staying.people.lock().unwrap().push(user(1));
    let line = rebuild(&sandbox, &staying);
    assert_eq!(line.check().await, Ok(Checked::Proven));
    assert_eq!(line.account().await, Ok(Some(BOT.to_owned())));
    let answer = ask(&*line).await;
    assert_eq!(answer.grade, Some(Grade::E2));
    assert_eq!(audiences(&sandbox).await, [named("Members", 12), named("Members #1", 20)]);
    // The old one stays until the new one is ready.
    let ticket = ticket(&answer);
    let line = rebuild(&sandbox, &staying);
    sandbox.seed("line", &json!({"looks": 5}));
    let answer = loop {
        let answer = poll(&*line, &ticket).await;
        if !matches!(answer.state, State::Accepted { .. }) {
            break answer;
        }
        assert_eq!(calls(&sandbox, DELETE), 0);
    };
    assert_eq!((&answer.state, answer.grade), (&State::Confirmed, Some(Grade::E1)));
    assert_eq!(audiences(&sandbox).await, [named("Members #1", 20)]);
    // The next run goes on from there.
    let line = rebuild(&sandbox, &staying);
    staying.people.lock().unwrap().truncate(10);
    let again = self::ticket(&ask(&*line).await);
    while matches!(poll(&*line, &again).await.state, State::Accepted { .. }) {}
    assert_eq!(audiences(&sandbox).await, [named("Members #2", 10)]);
}

#[tokio::test]
async fn an_upload_is_made_once_for_a_run_and_found_by_the_next() {
    let sandbox = sandbox(&json!({})).await;
    let staying = staying(8);
    let line = rebuild(&sandbox, &staying);
    line.announce(&[person(1), person(2), person(3)]);
    let first = ticket(&line.delete(&[person(1), person(2)]).await[0]);
    let second = ticket(&line.delete(&[person(3)]).await[0]);
    assert_eq!((calls(&sandbox, UPLOAD), &first), (1, &second));
    // After a crash, the same people give the same audience.
    let line = rebuild(&sandbox, &staying);
    assert_eq!((ticket(&ask(&*line).await), calls(&sandbox, UPLOAD)), (first, 1));
    // Who was not announced makes another one only if the people differ.
    staying.people.lock().unwrap().push(user(9));
    let line = rebuild(&sandbox, &staying);
    assert_eq!(line.delete(&[person(4)]).await.len(), 1);
    assert_eq!(calls(&sandbox, UPLOAD), 2);
}

#[tokio::test]
async fn without_the_new_audience_in_the_list_nothing_is_proven() {
    let sandbox = sandbox(&json!({})).await;
    let staying = staying(8);
    let ticket = ticket(&ask(&*rebuild(&sandbox, &staying)).await);
    // Another channel of the same bot has neither audience, and LINE says so of each.
    let other = yaml(&sandbox.url("line"), REBUILD).replace("line_$", "line_second_$");
    let other = open_yaml(&other, Some(staying.clone()));
    assert!(matches!(poll(&*other, &ticket).await.state, State::Forgotten { .. }));
    refused(&ask(&*other).await, "no audience of the name");
    // A token of another bot is not used at all.
    let stranger = yaml(&sandbox.url("line"), REBUILD).replace("line_$", "line_stranger_$");
    let stranger = open_yaml(&stranger, Some(staying.clone()));
    refused(&poll(&*stranger, &ticket).await, "official account U0c");
    refused(&ask(&*stranger).await, "official account U0c");
    let error = stranger.check().await.unwrap_err();
    assert!(error.reason.contains("official account") && !error.temporary, "{error}");
    assert_eq!((calls(&sandbox, UPLOAD), calls(&sandbox, DELETE)), (1, 0));
    // A ticket of another time, and one that is none.
    for wrong in ["999/1", "7", "x/y", "", "expire/7/1"] {
        let answer = poll(&*rebuild(&sandbox, &staying), wrong).await;
        assert!(matches!(answer.state, State::Forgotten { .. }), "{wrong}: {answer:?}");
    }
}

#[tokio::test]
async fn what_is_answered_to_be_deleted_may_still_be_listed() {
    let sandbox = sandbox(&json!({"sticky": true})).await;
    let line = rebuild(&sandbox, &staying(8));
    let ticket = ticket(&ask(&*line).await);
    let answer = poll(&*line, &ticket).await;
    assert!(
        matches!(&answer.state, State::Accepted { poll } if poll.reason.as_deref().unwrap().contains("still lists")),
        "{answer:?}"
    );
    sandbox.seed("line", &json!({"sticky": false}));
    assert_eq!(poll(&*line, &ticket).await.state, State::Confirmed);
    // An old one that somebody else deleted in between is no error.
    let absent =
        "{\"message\": \"audience group not found\", \"details\": [{\"message\": \"AUDIENCE_GROUP_NOT_FOUND\"}]}";
    sandbox.seed("line", &json!({"audiences": [{"id": 7, "name": "Members", "people": 12}], "sticky": true}));
    sandbox.fault(Fault {
        vendor: "line".into(),
        method: Some("DELETE".into()),
        status: Some(400),
        body: absent.into(),
        ..Fault::default()
    });
    // It is the list that decides.
    assert!(matches!(poll(&*line, &ticket).await.state, State::Accepted { .. }));
}

#[tokio::test]
async fn an_audience_that_line_does_not_take_is_told() {
    let sandbox = sandbox(&json!({"fate": "FAILED"})).await;
    let line = rebuild(&sandbox, &staying(3));
    let ticket = ticket(&ask(&*line).await);
    refused(&poll(&*line, &ticket).await, "too few people");
    assert_eq!(audiences(&sandbox).await, [named("Members", 12)]);
}

#[tokio::test]
async fn what_was_made_elsewhere_can_only_be_read() {
    for own in [
        json!({"createRoute": "OA_MANAGER"}),
        json!({"createRoute": "AD_MANAGER"}),
        json!({"createRoute": "POINT_AD"}),
        json!({"type": "CLICK"}),
        json!({"ifa": true}),
    ] {
        let mut audience = json!({"id": 7, "name": "MEMBERS", "people": 12, "expires": 1_800_000_000});
        audience.as_object_mut().unwrap().extend(own.as_object().unwrap().clone());
        let sandbox = sandbox(&json!({"audiences": [audience]})).await;
        for line in [rebuild(&sandbox, &staying(8)), expire(&sandbox)] {
            let answer = ask(&*line).await;
            assert!(
                matches!(&answer.state, State::NotPossible { reason } if reason.contains("where it was made")),
                "{own}: {answer:?}"
            );
        }
        assert_eq!(calls(&sandbox, UPLOAD), 0);
    }
}

#[tokio::test]
async fn whoever_cannot_be_read_stops_the_upload() {
    let sandbox = sandbox(&json!({})).await;
    let broken = Staying::broken("user", (0..20).map(user));
    let answer = ask(&*rebuild(&sandbox, &broken)).await;
    assert!(matches!(answer.state, State::Unreachable { .. }), "{answer:?}");
    refused(&ask(&*rebuild(&sandbox, &staying(0))).await, "nobody would stay");
    let line = open_yaml(&yaml(&sandbox.url("line"), REBUILD), None);
    refused(&ask(&*line).await, "nothing says who stays");
    assert!(line.check().await.is_err());
    assert_eq!(calls(&sandbox, UPLOAD), 0);
}

#[tokio::test]
async fn a_row_without_a_user_id_is_told_and_the_others_are_served() {
    let sandbox = sandbox(&json!({})).await;
    let line = rebuild(&sandbox, &staying(8));
    let people = [subject(&[("user", "n/a")]), person(1), subject(&[]), subject(&[("user", "@216ru")])];
    let answers = line.delete(&people).await;
    refused(&answers[0], "no user id");
    assert!(matches!(answers[1].state, State::Accepted { .. }));
    assert!(matches!(answers[2].state, State::NotPossible { .. }));
    refused(&answers[3], "no user id");
    assert_eq!(line.delete(&people[2..]).await.len(), 2);
    assert_eq!(calls(&sandbox, UPLOAD), 1);
}

#[tokio::test]
async fn an_audience_is_waited_for_until_it_expires() {
    let later = Timestamp::now().as_second() + 1000 * 24 * 3600;
    let seed = json!({"audiences": [
        {"id": 7, "name": "Members", "expires": later - 9999},
        {"id": 8, "name": "members #1", "expires": later},
        {"id": 9, "name": "Members #2", "expires": 1_600_000_000, "status": "EXPIRED"},
        {"id": 10, "name": "Members only", "expires": later + 9999},
    ]});
    let sandbox = sandbox(&seed).await;
    let line = expire(&sandbox);
    assert_eq!(line.check().await, Ok(Checked::Proven));
    let answer = ask(&*line).await;
    // Nothing was asked of LINE, so acceptance is no evidence: the row stays.
    assert_eq!(answer.grade, None);
    let ticket = ticket(&answer);
    assert_eq!(ticket, format!("expire/8/{later}"));
    assert_eq!(poll(&*line, &ticket).await.grade, None);
    // Prolonged.
    sandbox.seed("line", &json!({"audiences": [{"id": 8, "name": "members #1", "expires": later + 100}]}));
    assert_eq!(self::ticket(&poll(&*line, &ticket).await), format!("expire/8/{}", later + 100));
    sandbox
        .seed("line", &json!({"audiences": [{"id": 8, "name": "members #1", "expires": later, "status": "EXPIRED"}]}));
    let answer = poll(&*line, &ticket).await;
    assert_eq!((&answer.state, answer.grade), (&State::Confirmed, Some(Grade::E2)));
    // What the list does not show is not believed before its time, and is after it.
    assert!(matches!(poll(&*line, &format!("expire/99/{later}")).await.state, State::Forgotten { .. }));
    let answer = poll(&*line, "expire/99/1700000000").await;
    assert_eq!((&answer.state, answer.grade), (&State::Confirmed, Some(Grade::E2)));
    assert_eq!((calls(&sandbox, UPLOAD), calls(&sandbox, DELETE)), (0, 0));
}

#[tokio::test]
async fn an_audience_without_an_end_is_told() {
    let sandbox = sandbox(&json!({"audiences": [{"id": 7, "name": "Members"}]})).await;
    refused(&ask(&*expire(&sandbox)).await, "does not say when");
}

#[tokio::test]
async fn a_list_is_read_to_its_end() {
    let many: Vec<_> = (100..180).map(|id| json!({"id": id, "name": format!("Other {id}"), "expires": 1})).collect();
    let sandbox = sandbox(&json!({"audiences": many})).await;
    sandbox.seed("line", &json!({"audiences": [{"id": 900, "name": "Members #3", "expires": 1_900_000_000}]}));
    assert_eq!(ticket(&ask(&*expire(&sandbox)).await), "expire/900/1900000000");
    assert_eq!(calls(&sandbox, "GET /v2/bot/audienceGroup/list"), 3);
}

#[tokio::test]
async fn lists_that_cannot_be_read_prove_nothing() {
    let info = format!("{{\"userId\": \"{BOT}\"}}");
    let own = "{\"audienceGroupId\": 7, \"createRoute\": \"MESSAGING_API\", \"type\": \"UPLOAD\", \"description\": \"Members\", \"status\": \
               \"READY\", \"permission\": \"READ_WRITE\", \"isIfaAudience\": false}";
    for list in [
        String::new(),
        "{}".to_owned(),
        "[]".to_owned(),
        "{\"audienceGroups\": []}".to_owned(),
        "{\"audienceGroups\": [{}], \"hasNextPage\": false}".to_owned(),
        format!("{{\"audienceGroups\": [{own}], \"hasNextPage\": null}}"),
        // For ever more.
        format!("{{\"audienceGroups\": [{own}], \"hasNextPage\": true}}"),
    ] {
        let server = Recorder::start(&[(200, info.as_str()), (200, list.as_str())]).await;
        let answer = poll(&*open_yaml(&yaml(&server.url, EXPIRE), None), "expire/99/1700000000").await;
        assert!(matches!(answer.state, State::Unreachable { .. }), "{list}: {answer:?}");
    }
}

#[tokio::test]
async fn credentials_that_are_wrong_stop_and_outages_pass() {
    let sandbox = sandbox(&json!({})).await;
    let wrong = open_yaml(&yaml(&sandbox.url("line"), EXPIRE).replace("line_$", "$"), None);
    refused(&ask(&*wrong).await, "HTTP 401");
    assert!(!wrong.check().await.unwrap_err().temporary);
    let fault = |status| Fault { vendor: "line".into(), status: Some(status), ..Fault::default() };
    sandbox.fault(fault(503));
    sandbox.fault(fault(429));
    assert!(matches!(ask(&*expire(&sandbox)).await.state, State::Accepted { .. }));
    sandbox.fault(Fault { times: Some(99), ..fault(500) });
    assert!(matches!(ask(&*expire(&sandbox)).await.state, State::Unreachable { .. }));
}

#[tokio::test]
async fn the_settings_that_the_sandbox_prints_can_be_used() {
    let sandbox = sandbox(&json!({})).await;
    let printed = stand_in("line").settings.replace("{url}", &sandbox.url("line"));
    let line = recipients::open(&printed_settings(&printed, "line", "secret"), &plumbing()).unwrap();
    assert_eq!(line.check().await, Ok(Checked::Proven));
}
