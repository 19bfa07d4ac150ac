//! Runs with a recipient whose list is made anew from those who stay, on every engine.

use super::{
    run::{is_silent, sandbox},
    yahoo_japan_ads::lists,
};
use crate::support::bench::{Bench, on_every_engine};
use serde_json::{Value, json};
use std::fs;
use sunset::{catalog::Engine, sandbox::Sandbox};

const YAHOO: &str = "yahoo_japan_ads";
const ADD: &str = "POST /AudienceListService/add";
const UPLOAD: &str = "POST /AudienceListService/uploadUserList";

fn settings(bench: &Bench, sandbox: &Sandbox, members: &str) {
    fs::write(bench.path("secret"), "sk_test_planted").unwrap();
    let url = sandbox.url(YAHOO);
    bench.settings(&format!(
        "time_zone: Asia/Tokyo\nrecipients:\n  {YAHOO}:\n    url: {url}\n    token_url: {url}/oauth/v1/token\n    client_id: \
         someone\n    client_secret: \"${{file:secret}}\"\n    refresh_token: \"${{file:secret}}\"\n    account: 12345\n    mode: \
         rebuild\n    list: Members\n    members: {members}\n"
    ));
}

const MEMBERS: &str = "{table: core.t, columns: {email: email, phone: phone}, where: {newsletter: true}}";
const BY_BOTH: &str = "yahoo_japan_ads: {email: email, phone: phone}";

fn rule(recipient: &str) -> String {
    format!(
        "- {{id: t, table: core.t, starting_point: at_day, retention_period: 5 years, disposition: erase, recipients: \
         [{recipient}]}}"
    )
}

async fn table(bench: &Bench) {
    let table =
        "create table t (id {int} primary key, at_day {date}, email {text}, phone {text}, newsletter {boolean})";
    bench.script(table).await;
}

/// Customers with these ids; those who want no newsletter are in no list.
async fn insert(bench: &Bench, ids: impl Iterator<Item = u32>, day: &str, newsletter: bool) {
    let row = |id| format!("({id}, '{day}', 'Planted{id}@Example.jp', '090-0000-{id:05}', {newsletter})");
    let rows: Vec<_> = ids.map(row).collect();
    bench.script(&format!("insert into t values {}", rows.join(", "))).await;
}

async fn company(bench: &Bench) -> Sandbox {
    let sandbox = sandbox().await;
    sandbox.seed(YAHOO, &json!({"lists": [{"id": 7, "name": "Members", "duration": 60, "in_use": true}]}));
    table(bench).await;
    insert(bench, 1..=120, "2025-01-01", true).await;
    insert(bench, 121..=130, "2025-01-01", false).await;
    settings(bench, &sandbox, MEMBERS);
    bench.rules(&rule(BY_BOTH));
    sandbox
}

fn calls(sandbox: &Sandbox, endpoint: &str) -> u64 {
    sandbox.calls(YAHOO).get(endpoint).copied().unwrap_or(0)
}

/// More rows than a page holds are served by one list; it takes the old one's place when somebody lets that go, and then
/// the rows go. Until then everybody can see what is waited for.
async fn one_list_is_made_for_everybody_who_goes(bench: Bench) {
    let sandbox = company(&bench).await;
    insert(&bench, 1001..=11_050, "2001-01-01", true).await;
    let plan = bench.plan();
    let planned = &plan["steps"][0]["recipients"][0]["members"];
    assert_eq!(planned["columns"], json!({"email": "email", "phone": "phone"}));
    assert!(planned["table"].as_str().unwrap().ends_with(".t"), "{planned}");
    let shown = plan["steps"][0]["statements"].as_array().unwrap();
    assert!(shown.iter().any(|statement| statement["purpose"] == "read who stays"), "{shown:?}");
    let said = bench.sunset(&["plan", "--now", bench.now, "--check-recipients"]).expect(0);
    assert!(said.out.contains("all who stay: email (column email), phone (column phone)"), "{}", said.out);
    assert_eq!((calls(&sandbox, ADD), calls(&sandbox, UPLOAD)), (0, 0), "a plan changes nothing");

    let first = bench.run(0);
    assert_eq!(first.line("t"), "explained_rest 0 waiting_for_yahoo_japan_ads=10050");
    assert!(first.rule("t")["message"].as_str().unwrap().contains("Yahoo is receiving the new list"));
    assert_eq!((calls(&sandbox, ADD), calls(&sandbox, UPLOAD)), (1, 1), "once for all pages");
    // Each of the 120 has an address and a number.
    assert_eq!(lists(&sandbox).await, [("Members".to_owned(), 0), ("Members #1".to_owned(), 240)]);

    let second = bench.sunset(&["run", "--now", "2026-11-23"]).expect(0);
    assert!(second.out.contains("point ad groups and other lists at `Members #1`"), "{}", second.out);
    let status = bench.sunset(&["status"]).expect(0);
    assert!(status.out.contains("point ad groups and other lists at `Members #1`"), "{}", status.out);
    sandbox.seed(YAHOO, &json!({"release": true}));
    let third = bench.sunset(&["run", "--now", "2026-11-24T01:00:00"]).expect(0);
    assert_eq!(bench.count("select count(*) from t").await, 130);
    assert_eq!(lists(&sandbox).await, [("Members #1".to_owned(), 240)]);
    assert_eq!(calls(&sandbox, ADD), 1);
    is_silent(&bench, &[&said, &second, &status, &third]);
    assert!(bench.evidence().is_settled());
}

/// Whoever waits for an answer comes into no newer list, unless a hold says that the recipient's copy has to stay too.
async fn who_waits_stays_out_of_newer_lists(bench: Bench) {
    let sandbox = company(&bench).await;
    insert(&bench, 200..=201, "2001-01-01", true).await;
    bench.run(0);
    assert_eq!(lists(&sandbox).await[1], ("Members #1".to_owned(), 240));
    let hold = ["hold", "add", "--table", "core.t", "--key", "200", "--matter", "m", "--reason", "r", "--owner", "o"];
    bench.sunset(&[&hold[..], &["--review", "2030-01-01"]].concat()).expect(0);
    insert(&bench, 202..=202, "2001-01-01", true).await;
    // One who has nothing to be found by, and one who comes.
    bench.script("insert into t values (203, '2001-01-01', '', null, true)").await;
    insert(&bench, 300..=300, "2025-01-01", true).await;
    bench.sunset(&["run", "--now", "2026-11-23"]).expect(0);
    assert_eq!(lists(&sandbox).await[2], ("Members #2".to_owned(), 244), "120, who is held, and who comes");
    assert_eq!(bench.list("select id from t where id > 199 order by id").await, "200 201 202 300");
}

/// A recipient whose members cannot be read is asked nothing, and the others' rules go on.
async fn members_that_cannot_be_read_keep_their_rules_waiting(bench: Bench) {
    let sandbox = company(&bench).await;
    insert(&bench, 200..=201, "2001-01-01", true).await;
    settings(&bench, &sandbox, &MEMBERS.replace("core.t", "crm.public.t"));
    let text = fs::read_to_string(bench.path("sunset.yaml")).unwrap();
    let url = "postgres://nobody@127.0.0.1:1/crm";
    fs::write(bench.path("sunset.yaml"), text.replace("databases: {", &format!("databases: {{crm: \"{url}\", ")))
        .unwrap();
    bench.script("create table other (id {int} primary key, at_day {date})").await;
    bench.script("insert into other values (1, '2001-01-01')").await;
    let other =
        "- {id: other, table: core.other, starting_point: at_day, retention_period: 5 years, disposition: erase}";
    bench.rules(&format!("{}\n{other}", rule(BY_BOTH)));
    let report = bench.run(75);
    assert_eq!(report.line("t"), "temporary 0");
    assert_eq!(report.line("other"), "done 1");
    assert_eq!(calls(&sandbox, ADD), 0);
}

/// What the settings say of those who stay is held against the schema, and mistakes are shown where they stand.
async fn members_are_checked_against_the_schema(bench: Bench) {
    let sandbox = company(&bench).await;
    bench.script("create table plain (email {text}, phone {text})").await;
    for (members, code, words) in [
        (MEMBERS.replace("core.t", "core.tt"), "E0402", "table `core.tt` does not exist"),
        (MEMBERS.replace("email: email", "email: mail"), "E0403", "column `mail` is not in table"),
        (MEMBERS.replace("newsletter: true", "news: true"), "E0403", "column `news` is not in table"),
        (MEMBERS.replace("{newsletter: true}", "news = 1"), "E0403", "column `news` is not in table"),
        (MEMBERS.replace("newsletter: true", "at_day: true"), "", "`true` cannot stand here"),
        ("{table: core.plain, columns: {email: email, phone: phone}}".to_owned(), "", "has no primary key"),
    ] {
        settings(&bench, &sandbox, &members);
        for command in ["plan", "run", "validate"] {
            let call = bench.sunset(&[command, "--now", bench.now, "--format", "json"]).expect(2);
            let all: Vec<Value> = call.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            let error = all.iter().find(|found| found["severity"] == "error").unwrap();
            assert!(error["message"].as_str().unwrap().contains(words), "{command}, {members}: {error}");
            assert!(error["code"].as_str().unwrap().contains(code), "{command}, {members}: {error}");
            assert_eq!(error["file"], "sunset.yaml");
            assert!(error["line"].as_u64().unwrap() > 10, "{error}");
        }
    }
}

/// A user may read of those who stay what is read of them.
async fn grants_cover_those_who_stay(bench: Bench) {
    let sandbox = company(&bench).await;
    bench
        .script("create table people (id {int} primary key, mail {text}, phone {text}, keen {int}, secret {text})")
        .await;
    let members = "{table: core.people, columns: {email: mail, phone: phone}, where: keen > 3}";
    settings(&bench, &sandbox, members);
    let call = bench.sunset(&["grants", "--user", "night"]).expect(0);
    let line = call.out.lines().find(|line| line.contains("people")).unwrap_or_default();
    let wanted = match bench.engine {
        Engine::Sqlite => "",
        Engine::Postgres => "grant select (\"id\", \"keen\", \"mail\", \"phone\") on",
        Engine::Mysql => "grant select (`id`, `keen`, `mail`, `phone`) on",
    };
    assert!(line.starts_with(wanted), "{}", call.out);
    let call = bench.sunset(&["grants", "--user", "night", "--database", "core"]).expect(0);
    assert!(call.out.contains(line), "{}", call.out);
}

on_every_engine!(
    grants_cover_those_who_stay,
    one_list_is_made_for_everybody_who_goes,
    who_waits_stays_out_of_newer_lists,
    members_that_cannot_be_read_keep_their_rules_waiting,
    members_are_checked_against_the_schema,
);
