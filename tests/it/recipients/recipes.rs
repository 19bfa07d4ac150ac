//! Vendors that are described in YAML: those that come with Sunset, what descriptions can say, and a company's own.

use super::{delete_one, recorder::Recorder, secret_settings, settings, subject};
use crate::support::bench::Bench;
use serde_json::json;
use std::fs;
use sunset::{
    catalog::Engine,
    evidence::Grade,
    recipients::{
        self, Plumbing, State,
        recipe::{ExpectedCall, Recipe, SHIPPED},
    },
    sandbox::script::play,
};

fn read(name: &str, text: &str) -> Recipe {
    let mut diagnostics = Vec::new();
    Recipe::read(name, text, &mut diagnostics).unwrap_or_else(|| panic!("{name}: {diagnostics:?}"))
}

/// The problems of all examples.
async fn problems(recipe: &Recipe) -> Vec<String> {
    let mut all = Vec::new();
    for example in &recipe.examples {
        all.extend(play(recipe, example).await.unwrap());
    }
    all
}

/// A recipe with this `http` and these examples.
fn recipe(http: &str, examples: &str) -> Recipe {
    let head = "recipe: x\nvendor: X\nsources: [x]\nchecked: x\ndeleted: x\nkept: x\nsettings: x\n";
    read("x", &format!("{head}http:\n{}\nexamples:\n{}\n", indented(http), indented(examples)))
}

fn indented(yaml: &str) -> String {
    yaml.lines().map(|line| format!("  {line}\n")).collect()
}

async fn holds(http: &str, examples: &str) {
    assert_eq!(problems(&recipe(http, examples)).await, Vec::<String>::new(), "{http}");
}

#[tokio::test]
async fn recipes_that_come_with_sunset_do_what_their_examples_say() {
    for (name, text) in SHIPPED {
        let recipe = read(name, text);
        assert_eq!(recipe.name, *name);
        assert!(recipe.sources.iter().all(|source| source.starts_with("https://")), "{name}");
        assert_eq!(problems(&recipe).await, Vec::<String>::new(), "{name}");
        assert!(
            fs::exists(format!("{}/recipes/{name}.yaml", env!("CARGO_MANIFEST_DIR"))).unwrap(),
            "{name} is the name of its file"
        );
    }
    let files = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/recipes")).unwrap().count();
    assert_eq!(files, SHIPPED.len(), "a recipe has no line in the registry");
}

/// The same calls, with other replies: what proves nothing counts for nothing.
#[tokio::test]
async fn replies_that_prove_nothing_count_for_nothing() {
    for (name, text) in SHIPPED {
        for (status, reply, wanted) in [
            (500, Some(json!({"error": "x"})), &["unreachable"][..]),
            (401, Some(json!({"error": "x"})), &["refused"]),
            (403, None, &["refused"]),
            (302, None, &["refused"]),
            // another API's word for it
            (400, Some(json!({"error": "not found"})), &["refused"]),
        ] {
            let mut recipe = read(name, text);
            recipe.examples.truncate(1);
            let example = &mut recipe.examples[0];
            example.people.truncate(1);
            example.polls.clear();
            example.calls.truncate(1);
            let call = &mut example.calls[0];
            (call.status, call.reply, call.json) = (status, reply, None);
            // an outage is tried several times
            let again = vec![call.clone(); if status == 500 { 3 } else { 0 }];
            example.calls.extend(again);
            let said: Vec<_> =
                problems(&recipe).await.into_iter().filter(|told| told.contains("answers should")).collect();
            let word = said[0].split("and are ").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
            assert!(wanted.contains(&word.as_str()), "{name}: HTTP {status} is {word}");
        }
    }
}

#[tokio::test]
async fn an_example_that_does_not_hold_is_told() {
    let mut recipe = read("intercom", SHIPPED.iter().find(|(name, _)| *name == "intercom").unwrap().1);
    recipe.examples.truncate(1);
    let right = recipe.clone();
    let change = |with: fn(&mut ExpectedCall)| {
        let mut changed = right.clone();
        with(&mut changed.examples[0].calls[1]);
        changed
    };
    for (changed, told) in [
        (change(|call| "PUT".clone_into(&mut call.method)), "the method should be PUT, and is DELETE"),
        (change(|call| "/contacts/x".clone_into(&mut call.path)), "the path should be /contacts/x"),
        (change(|call| call.headers.push(("X-A".into(), "1".into()))), "the header `X-A` should be 1, and is absent"),
        (change(|call| call.json = Some(json!({}))), "the body should be {}, and is no JSON"),
        (change(|call| call.status = 400), "the answers should be confirmed, and are refused"),
    ] {
        let found = problems(&changed).await;
        assert!(found.iter().any(|problem| problem.contains(told)), "{told}: {found:?}");
    }
    let mut more = right.clone();
    let call = more.examples[0].calls[1].clone();
    more.examples[0].calls.push(call);
    assert!(problems(&more).await[0].ends_with("was not called"));
}

#[tokio::test]
async fn bodies_of_every_sort() {
    holds(
        "delete: {method: POST, path: /x, form: {id: \"{id}\", phone: \"{phone?|e164:81}\"}}",
        "- {people: [{id: \"a&b\"}], calls: [{method: POST, path: /x, form: {id: \"a&b\"}, reply: {status: 200}}], answers: [confirmed]}\n\
         - {people: [{id: a, phone: 090-1234-5678}], calls: [{method: POST, path: /x, form: {id: a, phone: \"+819012345678\"}, reply: {status: 200}}], answers: [confirmed]}",
    )
    .await;
    holds(
        "delete: {method: POST, path: /x, text: {type: application/xml, text: \"<id>{id}</id>\", escape: xml}}",
        "- {people: [{id: \"<a>&\"}], calls: [{method: POST, path: /x, headers: {content-type: application/xml}, text: \"<id>&lt;a&gt;&amp;</id>\", reply: {status: 200}}], answers: [confirmed]}",
    )
    .await;
    holds(
        "delete: {method: POST, path: \"/x/{id}\", json: {id: \"{id|number}\", inner: {email: \"{email?}\"}, all: [\"{email?}\", fixed]}}",
        "- {people: [{id: \"42\"}], calls: [{method: POST, path: /x/42, json: {id: 42, all: [fixed]}, reply: {status: 200}}], answers: [confirmed]}\n\
         - {people: [{id: \"7\", email: a@b}], calls: [{method: POST, path: /x/7, json: {id: 7, inner: {email: a@b}, all: [a@b, fixed]}, reply: {status: 200}}], answers: [confirmed]}\n\
         - {people: [{id: seven}], calls: [], answers: [not_possible]}",
    )
    .await;
}

#[tokio::test]
async fn a_file_has_a_line_for_each_person() {
    let recorder = Recorder::start(&[(200, "{}")]).await;
    let yaml = format!(
        "{{kind: http, url: \"{}\", batch: 10, delete: {{method: POST, path: /x, file: {{field: f, name: ids.csv, head: email, \
         line: \"{{email|lower}}\", form: {{action: REMOVE}}}}}}}}",
        recorder.url
    );
    let http = recipients::open(&settings(&yaml), &Plumbing::new().unwrap()).unwrap();
    let people = ["A@x", "b\nc@x", "c@x"].map(|email| subject(&[("email", email)]));
    let answers = http.delete(&people).await;
    let words: Vec<_> = answers.iter().map(|answer| answer.state.word()).collect();
    // a line break would make somebody else of the rest
    assert_eq!(words, ["confirmed", "not_possible", "confirmed"]);
    let sent = recorder.requests().concat();
    assert!(sent.contains("name=\"action\"\r\n\r\nREMOVE\r\n"), "{sent}");
    assert!(
        sent.contains("name=\"f\"; filename=\"ids.csv\"\r\ncontent-type: text/csv\r\n\r\nemail\na@x\nc@x\n"),
        "{sent}"
    );
}

#[tokio::test]
async fn a_batch_that_is_refused_is_asked_in_halves() {
    let call = |ids: &str, status: u16| {
        format!("{{method: POST, path: /x, json: {{ids: [{ids}]}}, reply: {{status: {status}, json: {{}}}}}}")
    };
    let calls =
        [call("a, b, c, d", 400), call("a, b", 200), call("c, d", 400), call("c", 400), call("d", 200)].join(", ");
    holds(
        "batch: 100\nat_once: 1\ndelete: {method: POST, path: /x, json: {ids: {each: \"{id}\"}}}",
        &format!(
            "- {{people: [{{id: a}}, {{id: b}}, {{id: c}}, {{id: d}}], calls: [{calls}], answers: [confirmed, confirmed, refused, confirmed]}}\n\
             - {{people: [{{id: a}}, {{id: b}}], calls: [{}], answers: [refused, refused]}}",
            // whom it asks for makes no difference
            call("a, b", 401)
        ),
    )
    .await;
}

const LOOK_UP: &str = "look_up: {method: GET, path: /people, query: {email: \"{email}\"}, list: /data, where: {pointer: /email, equals: \
                       \"{email}\"}, take: {person: /id}, most: 2, next: {pointer: /next, query: cursor}}\n\
                       delete:\n- {method: DELETE, path: \"/people/{person}\", gone: [404]}\n\
                       - {method: DELETE, path: \"/trash/{person}\", gone: [404]}";

fn found(path: &str, data: &str) -> String {
    format!("{{method: GET, path: \"{path}\", reply: {{status: 200, json: {data}}}}}")
}

fn deleted(path: &str, status: u16) -> String {
    format!("{{method: DELETE, path: {path}, reply: {{status: {status}}}}}")
}

#[tokio::test]
async fn what_a_look_up_finds_is_deleted_and_nobody_else() {
    let person = "{id: 1, email: a@x}";
    for (calls, answer) in [
        // on two pages, with others between
        (
            vec![
                found("/people?email=a%40x", &format!("{{data: [{person}, {{id: 9, email: z@x}}], next: p2}}")),
                found("/people?email=a%40x&cursor=p2", "{data: [{id: 2, email: a@x}]}"),
                deleted("/people/1", 204),
                deleted("/trash/1", 204),
                deleted("/people/2", 204),
                deleted("/trash/2", 204),
            ],
            "confirmed",
        ),
        // an earlier night came half-way
        (
            vec![
                found("/people?email=a%40x", &format!("{{data: [{person}]}}")),
                deleted("/people/1", 404),
                deleted("/trash/1", 204),
            ],
            "confirmed",
        ),
        (
            vec![
                found("/people?email=a%40x", &format!("{{data: [{person}]}}")),
                deleted("/people/1", 404),
                deleted("/trash/1", 404),
            ],
            "gone",
        ),
        // the first step alone is not the end
        (
            vec![
                found("/people?email=a%40x", &format!("{{data: [{person}]}}")),
                deleted("/people/1", 204),
                deleted("/trash/1", 403),
            ],
            "refused",
        ),
        // the recipient knows no such parameter, and gives everybody
        (vec![found("/people?email=a%40x", "{data: [{id: 8, email: y@x}, {id: 9, email: z@x}]}")], "gone"),
        // more than a person has
        (
            vec![found(
                "/people?email=a%40x",
                "{data: [{id: 1, email: a@x}, {id: 2, email: a@x}, {id: 3, email: a@x}]}",
            )],
            "refused",
        ),
        // no list at all is no proof that nobody is there
        (vec![found("/people?email=a%40x", "{error: x}")], "unreachable"),
        (vec![found("/people?email=a%40x", "{data: [{email: a@x}]}")], "unreachable"),
    ] {
        let example = format!("- {{people: [{{email: a@x}}], calls: [{}], answers: [{answer}]}}", calls.join(", "));
        holds(LOOK_UP, &example).await;
    }
}

/// What is looked up stands in a path: an id of dots would leave it.
#[tokio::test]
async fn what_a_look_up_finds_does_not_leave_its_path() {
    for id in ["..", ".", "a/../b", "%2e%2e"] {
        let calls = [found("/people?email=a%40x", &format!("{{data: [{{id: \"{id}\", email: a@x}}]}}"))];
        let recipe = recipe(
            LOOK_UP,
            &format!("- {{people: [{{email: a@x}}], calls: [{}], answers: [refused]}}", calls.join(", ")),
        );
        let found = problems(&recipe).await;
        let is_escaped = id.contains(['/', '%']);
        let asked = found.iter().any(|problem| problem.contains("was called, and nothing more is expected"));
        assert_eq!(asked, is_escaped, "{id}: {found:?}");
        assert!(
            !found.iter().any(|problem| problem.contains("DELETE /people/ ") || problem.contains("DELETE / ")),
            "{found:?}"
        );
    }
}

#[tokio::test]
async fn errors_in_bodies_of_200_are_refusals() {
    let http = "delete: {method: POST, path: /graphql, json: {id: \"{id}\"}, nobody: {pointer: /data/errors/0/code, is: [NONE]}, refused: \
                [{pointer: /errors, empty: false}, {pointer: /data/errors, empty: false}], confirmed: {pointer: /data/id, equals: \"{id}\"}}";
    for (reply, answer) in [
        ("{data: {id: a, errors: []}}", "confirmed"),
        ("{data: {id: null, errors: [{code: NONE}]}}", "gone"),
        ("{data: {id: null, errors: [{code: BUSY}]}}", "refused"),
        ("{errors: [{message: x}]}", "refused"),
        // it is about somebody else
        ("{data: {id: b, errors: []}}", "unreachable"),
        ("{}", "unreachable"),
    ] {
        let call = format!("{{method: POST, path: /graphql, reply: {{status: 200, json: {reply}}}}}");
        holds(http, &format!("- {{people: [{{id: a}}], calls: [{call}], answers: [{answer}]}}")).await;
    }
}

fn open_at(url: &str, more: &str, secret: &str) -> Box<dyn recipients::Recipient> {
    let yaml = format!("{{kind: http, url: \"{url}\", {more} delete: {{method: DELETE, path: \"/x/{{id}}\"}}}}");
    recipients::open(&secret_settings(&yaml, secret), &Plumbing::new().unwrap()).unwrap()
}

#[tokio::test]
async fn tokens_by_refresh_token_and_by_assertion() {
    let token = r#"{"access_token": "t1", "expires_in": 3600}"#;
    let recorder = Recorder::start(&[(200, token), (204, "")]).await;
    let auth = "auth: {oauth: {token_url: /token, client_id: me, client_secret: \"${X}\", refresh_token: \"${X}\", in_form: true, scope: s}},";
    let answer = delete_one(&*open_at(&recorder.url, auth, "r1"), subject(&[("id", "1")])).await;
    assert_eq!(answer.state, State::Confirmed, "{answer:?}");
    let sent = recorder.requests();
    assert!(
        sent[0].contains("grant_type=refresh_token&refresh_token=r1&scope=s&client_id=me&client_secret=r1"),
        "{sent:?}"
    );
    assert!(sent[1].contains("authorization: Bearer t1"), "{sent:?}");

    let recorder = Recorder::start(&[(200, token), (204, "")]).await;
    let key = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/recipients/ddrf/keys/rsa.pem")).unwrap();
    let auth = "auth: {jwt: {token_url: /token, issuer: me, subject: you, audience: them, key_id: k1, key: \"${X}\"}},";
    let answer = delete_one(&*open_at(&recorder.url, auth, &key), subject(&[("id", "1")])).await;
    assert_eq!(answer.state, State::Confirmed, "{answer:?}");
    let sent = recorder.requests();
    assert!(
        sent[0].contains("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion="),
        "{sent:?}"
    );
    let claims = sent[0].split("assertion=").nth(1).unwrap().split('.').nth(1).unwrap().to_owned();
    let claims = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, claims).unwrap();
    let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!((&claims["iss"], &claims["sub"], &claims["aud"]), (&json!("me"), &json!("you"), &json!("them")));
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 3600);
}

/// `printf 'DELETE\n/x/1\n' | openssl dgst -sha256 -hmac secret`
#[tokio::test]
async fn requests_are_signed() {
    let recorder = Recorder::start(&[(204, "")]).await;
    let auth = "auth: {signature: {header: Authorization, prefix: \"HMAC \", key: \"${X}\", text: \"{method}\\\\n{target}\\\\n{body}\"}},";
    let answer = delete_one(&*open_at(&recorder.url, auth, "secret"), subject(&[("id", "1")])).await;
    assert_eq!(answer.state, State::Confirmed, "{answer:?}");
    let sent = recorder.requests();
    assert!(sent[0].contains(SIGNED), "{sent:?}");
}

const SIGNED: &str = "authorization: HMAC c92c2227b8340b958a332d055f214a65f5b582958fc5d9f5edbfc8c90343a5fc";

#[tokio::test]
async fn a_companys_own_recipe_stands_beside_its_rules() {
    let bench = Bench::new(Engine::Sqlite).await;
    bench.script("create table t (id {int} primary key, on_day {date}, email {text})").await;
    bench.settings("time_zone: UTC\nrecipients: {crm: {kind: http, recipe: our-crm}, desk: {kind: http, recipe: zendesk, url: \"https://x.zendesk.com\"}}");
    bench.rules(
        "- id: r\n  table: core.t\n  starting_point: {column: on_day}\n  retention_period: 5 years\n  disposition: erase\n  recipients: [{crm: {email: email}}]",
    );
    let absent = bench.sunset(&["validate"]).expect(2);
    assert!(absent.err.contains("there is no recipe `our-crm`"), "{absent:?}");
    fs::create_dir(bench.path("recipes")).unwrap();
    let own = "recipe: our-crm\nvendor: Ours\nsources: [the wiki]\nchecked: in staging\ndeleted: all\nkept: nothing\nsettings: nothing\n\
               http:\n  url: https://crm.example.com\n  delete: {method: DELETE, path: \"/people/{email}\"}\n\
               examples:\n- {people: [{email: a@x}], calls: [{method: DELETE, path: /people/a%40x, reply: {status: 204}}], answers: [confirmed]}\n";
    fs::write(bench.path("recipes/our-crm.yaml"), own).unwrap();
    bench.sunset(&["validate"]).expect(0);
    let listed = bench.sunset(&["recipes"]).expect(0);
    assert!(listed.out.lines().any(|line| line.contains("our-crm") && line.contains("this job")), "{listed:?}");
    let played = bench.sunset(&["recipes", "test", "our-crm"]).expect(0);
    assert_eq!(played.out, "our-crm: example 1 holds\n");
    assert_eq!(bench.sunset(&["recipes", "show", "our-crm"]).expect(0).out, own);

    fs::write(bench.path("recipes/our-crm.yaml"), own.replace("/people/a%40x", "/people/a")).unwrap();
    bench.sunset(&["recipes", "test"]).expect(4);
    fs::write(bench.path("recipes/our-crm.yaml"), own.replace("{email}\"", "{Email}\"")).unwrap();
    let wrong = bench.sunset(&["validate"]).expect(2);
    assert!(wrong.err.contains("an identifier's name has small letters"), "{wrong:?}");
    fs::write(bench.path("recipes/our-crm.yaml"), own.replace("vendor", "vednor")).unwrap();
    let wrong = bench.sunset(&["recipes"]).expect(2);
    assert!(wrong.out.contains("recipes/our-crm.yaml") && wrong.out.contains("vednor"), "{wrong:?}");
    bench.sunset(&["recipes", "show", "nobody"]).expect(2);
    // what the company's own files say is part of what is released
    let digest = |text: &str| {
        fs::write(bench.path("recipes/our-crm.yaml"), text).unwrap();
        let lines =
            "cd \"$1\" && LC_ALL=C sha256sum recipes/*.yaml rules/*.yaml sunset.yaml | sha256sum | cut -d' ' -f1";
        let printed =
            std::process::Command::new("sh").args(["-c", lines, "sh"]).arg(bench.directory()).output().unwrap();
        String::from_utf8(printed.stdout).unwrap().trim().to_owned()
    };
    let released = digest(own);
    bench.sunset(&["validate", "--rules-digest", &released]).expect(0);
    digest(&own.replace("gone", "done").replace("/people/{email}", "/persons/{email}"));
    bench.sunset(&["validate", "--rules-digest", &released]).expect(3);
}

#[tokio::test]
async fn settings_go_before_the_recipe() {
    let settings = settings("{kind: http, recipe: mailchimp, url: \"https://us1.example.com\", with: {list: l}}");
    assert_eq!(settings.identifiers(), ["email"]);
    assert_eq!(settings.url.as_deref(), Some("https://us1.example.com"));
    assert_eq!(settings.best_grade(), Grade::E2);
    let settings = super::settings("{kind: http, recipe: amplitude}");
    assert_eq!((settings.best_grade(), (settings.kind.facts)(&settings).batch), (Grade::E1, 100));
}
