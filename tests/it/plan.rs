//! The plan: the same input gives the same bytes; what was reviewed is what runs, or nothing does; and what reviewers
//! read.

use crate::{
    server::ENGINES,
    support::bench::{Bench, on_every_engine},
};
use serde_json::{Value as Json, json};
use sha2::{Digest as _, Sha256};
use std::{fmt::Write as _, fs};
use sunset::{
    catalog::Engine,
    evidence::keys::{Key, KeyKind, KeySettings, Keys},
    outcome::{Outcome, Stop},
    plan::{Plan, reviewed},
};

/// A small shop, with one rule for each way through a table.
async fn shop(bench: &Bench) {
    bench
        .script(
            "create table customers (id {int} primary key, left_on {date}, status {text}, name {text}, email {text},
               born {date});
             create table orders (id {int} primary key, customer_id {int}, note {text},
               foreign key (customer_id) references customers (id));
             create table items (id {int} primary key, order_id {int} not null,
               foreign key (order_id) references orders (id));
             create table leads (id {int} primary key, met_on {date}, email {text}, done {boolean});
             create table visits (id {int} primary key, seen_at {timestamp}, person {int});
             create table usages (id {int} primary key, used_on {date}, plan {text}, size {int},
               person {int});
             create table totals (month {date} not null, plan {text} not null, usages {int} not null,
               size {bigint} not null, persons {int} not null, primary key (month, plan));
             create index visits_seen_at on visits (seen_at);
             create index orders_customer on orders (customer_id);
             create index items_order on items (order_id);
             insert into customers values (1, '2001-01-01', 'closed', 'Hanako', 'hanako@example.com', '1980-02-03'),
               (2, '2021-11-21', 'closed', 'Taro', 'taro@example.com', null), (3, '2001-01-01', 'open', 'Jiro', null, null),
               (4, null, 'closed', 'Saburo', null, null), (5, '2021-07-01', 'closed', 'Shiro', 's@example.com', null);
             insert into orders values (1, 1, 'a'), (2, 1, 'b'), (3, 3, 'c');
             insert into items values (1, 1), (2, 1), (3, 3);
             insert into leads values (1, '2001-01-01', 'l@example.com', null), (2, '2025-01-01', 'm@example.com', null)",
        )
        .await;
    let visits: Vec<_> = (2..=100).map(|id| format!("({id}, '2026-01-01 12:00:00', {id})")).collect();
    bench.script(&format!("insert into visits values (1, '2001-01-01 12:00:00', 1), {}", visits.join(", "))).await;
    // so that nothing depends on when the server looks at its tables by itself
    bench.script_for("analyze", "analyze table visits", "select 1").await;
    bench.rules(
        r#"
- id: customers
  purpose: contract management
  legal_basis: Civil Code Art. 166
  table: core.customers
  starting_point: {column: left_on, event: contract ended}
  retention_period: 5 years
  regular_deletion_period: 5 years 3 months
  where: {status: [closed, cancelled]}
  disposition: erase
  dependents: {core.orders: erase, core.items: erase}
  limits: {max_rows: 100}
- id: names
  table: core.customers
  starting_point: left_on
  retention_period: {default: 7 years, when: [{if: {fiscal_year_ending_in: loss_years}, use: 10 years}]}
  disposition: anonymize
  where: status = 'open'
  columns: {name: suppress, email: {replace: "gone-{key}@invalid.example"}, born: {generalize: year}}
  dependents: {core.orders: keep}
- {id: leads, table: core.leads, starting_point: met_on, retention_period: 1 year, disposition: pseudonymize,
   marker: done, columns: {email: hash}}
- {id: visits, table: core.visits, starting_point: seen_at, retention_period: 1 year, disposition: unlink,
   columns: [person]}
- id: usages
  table: core.usages
  starting_point: used_on
  retention_period: 1 year
  disposition: erase
  aggregate:
    into: core.totals
    by: {month: {month: used_on}, plan: plan}
    totals: {usages: count, size: {sum: size}}
    smallest_group: {persons: person, at_least: 10, counted_in: persons}"#,
    );
    settings(bench, "");
}

fn settings(bench: &Bench, more: &str) {
    bench.settings(&format!("time_zone: Asia/Tokyo\nparameters: {{loss_years: [2018-03-31]}}\n{more}"));
}

/// What differs from one machine and one day to the next, taken out.
fn steady(bench: &Bench, text: &str, plan: &Json) -> String {
    let mut text = text.to_owned();
    for digest in ["digest", "work_digest", "rules_digest"] {
        text = text.replace(plan[digest].as_str().unwrap(), &format!("({digest})"));
    }
    let version = plan["databases"]["core"]["version"].as_str().unwrap();
    text = text.replace(version, "(version)").replace(plan["version"].as_str().unwrap(), "(sunset)");
    if bench.engine == Engine::Mysql {
        let schema = bench.database.url.rsplit('/').next().unwrap();
        text = text.replace(schema, "shop");
    }
    text
}

async fn the_same_input_gives_the_same_bytes(bench: Bench) {
    shop(&bench).await;
    for format in ["json", "text", "markdown"] {
        let arguments = ["plan", "--now", bench.now, "--format", format, "--sql", "--sample", "2"];
        let first = bench.sunset(&arguments).expect(0).out;
        let elsewhere =
            bench.sunset_with(&arguments, &[("TZ", "America/New_York"), ("LANG", "ja_JP.UTF-8")]).expect(0).out;
        assert_eq!(first, elsewhere, "{format}");
    }
    // and a plan changes nothing
    assert_eq!(bench.count("select count(*) from customers").await, 5);
    assert!(!bench.path("state").exists(), "a plan made a store");
}

#[tokio::test]
async fn statements() {
    for engine in ENGINES {
        statements_of(Bench::new(engine).await).await;
    }
}

async fn statements_of(bench: Bench) {
    shop(&bench).await;
    let plan = bench.plan();
    let mut text = String::new();
    for step in plan["steps"].as_array().unwrap() {
        let _ = writeln!(text, "# {} ({})\n", step["rule"].as_str().unwrap(), step["access"]["walk"].as_str().unwrap());
        for statement in step["statements"].as_array().unwrap() {
            let _ = writeln!(text, "-- {}", statement["purpose"].as_str().unwrap());
            let _ = writeln!(text, "{}", statement["sql"].as_str().unwrap());
            let values: Vec<_> = statement["values"].as_array().unwrap().iter().filter_map(Json::as_str).collect();
            let _ = writeln!(text, "-- with {}\n", values.join(", "));
        }
    }
    let engine = format!("{:?}", bench.engine).to_lowercase();
    insta::assert_snapshot!(format!("statements_{engine}"), steady(&bench, &text, &plan));
}

#[tokio::test]
async fn plans_to_read() {
    let bench = Bench::new(Engine::Sqlite).await;
    shop(&bench).await;
    let plan = bench.plan();
    for (name, arguments) in [
        // not of `leads`: even the form of a pseudonym depends on the key
        ("plan_text", &["--sql", "--sample", "2", "--rule", "customers", "--rule", "names", "--rule", "visits"][..]),
        ("plan_markdown", &["--format", "markdown"]),
        ("plan_json", &["--format", "json"]),
    ] {
        let call = bench.sunset(&[&["plan", "--now", bench.now, "--quiet"], arguments].concat()).expect(0);
        let mut text = steady(&bench, &call.out, &plan);
        if name == "plan_text" {
            // another plan, with another digest
            let digest = text.rfind("digest ").unwrap();
            text.truncate(digest);
        }
        insta::assert_snapshot!(name, text);
    }
}

/// Writes a plan and gives its path.
fn reviewed(bench: &Bench) -> String {
    let path = bench.path("plan.json").to_str().unwrap().to_owned();
    bench.sunset(&["plan", "--now", bench.now, "--out", &path]).expect(0);
    path
}

async fn a_reviewed_plan_runs(bench: Bench) {
    shop(&bench).await;
    let path = reviewed(&bench);
    // other statistics would make another plan today; what was reviewed runs all the same
    bench.script_for("delete from visits where id > 3; analyze", "delete from visits where id > 3", "select 1").await;
    // fewer rows than were reviewed are fine
    bench.script("update customers set status = 'open' where id = 2").await;
    let call = bench.sunset(&["run", "--plan", &path, "--format", "json"]).expect(0);
    let report: Json = serde_json::from_str(&call.out).unwrap();
    assert_eq!(bench.evidence().events("run_started")[0]["plan_digest"], report["plan_digest"]);
    assert_eq!(bench.list("select id from customers order by id").await, "2 3 4");
    assert_eq!(bench.list("select id from orders").await, "3");
    assert_eq!(bench.list("select person from visits where id = 1").await, "NULL");
    // once more is not wrong, only idle
    let call = bench.sunset(&["run", "--plan", &path, "--format", "json"]).expect(0);
    assert_eq!(serde_json::from_str::<Json>(&call.out).unwrap()["disposed"], 0);
}

async fn another_plan_does_not_run(bench: Bench) {
    shop(&bench).await;
    let path = reviewed(&bench);
    let rules = fs::read_to_string(bench.path("rules/category.yaml")).unwrap();
    let plan = fs::read_to_string(&path).unwrap();
    let refused = |why: &str| {
        let call = bench.sunset(&["run", "--plan", &path]);
        assert_eq!(call.code, 3, "{why}: {call:?}");
    };

    fs::write(bench.path("rules/category.yaml"), rules.replace("5 years 3 months", "5 years 4 months")).unwrap();
    refused("a rule was changed");
    fs::write(bench.path("rules/category.yaml"), format!("{rules}\n# a word more\n")).unwrap();
    refused("a rule file was touched");
    fs::write(bench.path("rules/category.yaml"), &rules).unwrap();

    settings(&bench, "limits: {max_rows: 1000000}");
    refused("the settings were changed");
    settings(&bench, "");

    fs::write(&path, plan.replacen("\"due\": 3", "\"due\": 30", 1)).unwrap();
    assert_ne!(plan, fs::read_to_string(&path).unwrap());
    refused("the plan was changed");
    fs::write(&path, &plan[..plan.len() / 2]).unwrap();
    bench.sunset(&["run", "--plan", &path]).expect(2);
    fs::write(&path, &plan).unwrap();

    let hold = ["hold", "add", "--table", "core.customers", "--key", "1", "--matter", "m", "--reason", "r"];
    let hold = bench.sunset(&[&hold[..], &["--owner", "o", "--review", "2027-01-01"]].concat()).expect(0).out;
    refused("there is a hold more");
    bench.sunset(&["hold", "release", hold.trim(), "--reason", "r", "--owner", "o"]).expect(0);

    bench.script("insert into customers values (9, '2001-01-01', 'closed', 'Goro', null, null)").await;
    refused("there are more rows");
    bench.script("delete from customers where id = 9").await;

    bench.script("alter table orders add column extra {int}").await;
    assert_eq!(bench.count("select count(*) from customers").await, 5);
    assert_eq!(bench.count("select count(*) from items").await, 3);
    bench.sunset(&["run", "--plan", &path]).expect(0);
    assert_eq!(bench.list("select id from customers order by id").await, "3 4");
}

#[tokio::test]
async fn tags_choose_rules() {
    let bench = Bench::new(Engine::Sqlite).await;
    shop(&bench).await;
    let path = bench.path("rules/category.yaml");
    let rules = fs::read_to_string(&path).unwrap();
    let rules = rules.replace("- id: names\n", "- id: names\n    tags: [nightly, heavy]\n");
    let rules = rules.replace("- {id: leads,", "- {id: leads, tags: [nightly],");
    fs::write(&path, rules).unwrap();
    let chosen = |arguments: &[&str]| {
        let call = bench.sunset(&[&["plan", "--now", bench.now, "--format", "json"], arguments].concat()).expect(0);
        let plan: Json = serde_json::from_str(&call.out).unwrap();
        let mut rules: Vec<_> = plan["steps"].as_array().unwrap().iter().map(|step| step["rule"].to_string()).collect();
        rules.sort();
        rules.join(" ").replace('"', "")
    };
    assert_eq!(chosen(&["--tag", "nightly"]), "leads names");
    assert_eq!(chosen(&["--tag", "heavy"]), "names");
    assert_eq!(chosen(&["--tag", "heavy", "--tag", "nightly", "--rule", "visits"]), "leads names visits");
    for command in ["plan", "run", "validate"] {
        let call = bench.sunset(&[command, "--tag", "nighly"]).expect(2);
        assert!(call.err.contains("no rule bears the tag `nighly`") && call.err.contains("`nightly`?"), "{call:?}");
    }
    bench.sunset(&["validate", "--tag", "heavy"]).expect(0);
    bench.sunset(&["run", "--now", bench.now, "--tag", "nightly"]).expect(0);
    assert_eq!(bench.list("select id from customers order by id").await, "1 2 3 4 5");
    assert_eq!(bench.list("select name from customers where id = 3").await, "NULL");
}

#[tokio::test]
async fn other_files_than_expected_are_refused() {
    let bench = Bench::new(Engine::Sqlite).await;
    shop(&bench).await;
    bench.rule_file(
        "another",
        "- {id: x, table: core.leads, starting_point: met_on, retention_period: 90 years, disposition: erase}",
    );
    // as a person or a chart computes it
    let script = "LC_ALL=C; export LC_ALL; sha256sum rules/*.yaml sunset.yaml | sha256sum | cut -d' ' -f1";
    let sum = std::process::Command::new("sh").args(["-c", script]).current_dir(bench.directory()).output().unwrap();
    let digest = String::from_utf8(sum.stdout).unwrap().trim().to_owned();
    let commands = [&["validate", "--offline"][..], &["plan"], &["run"], &["status"]];
    for command in commands {
        bench.sunset(&[command, &["--rules-digest", &digest.to_uppercase()]].concat()).expect(0);
        bench.sunset_with(command, &[("SUNSET_RULES_DIGEST", &digest)]).expect(0);
    }
    let rules = fs::read_to_string(bench.path("rules/another.yaml")).unwrap();
    fs::write(bench.path("rules/another.yaml"), rules + "\n").unwrap();
    for command in commands {
        let call = bench.sunset_with(command, &[("SUNSET_RULES_DIGEST", &digest)]).expect(3);
        assert!(call.err.contains(&format!("--rules-digest expects {digest}")), "{call:?}");
    }
}

on_every_engine!(the_same_input_gives_the_same_bytes, a_reviewed_plan_runs, another_plan_does_not_run,);

/// Every place of a JSON text, as a pointer.
fn pointers(value: &Json, at: &str, all: &mut Vec<String>) {
    all.push(at.to_owned());
    match value {
        Json::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| pointers(item, &format!("{at}/{index}"), all));
        }
        Json::Object(entries) => entries.iter().for_each(|(key, entry)| {
            pointers(entry, &format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")), all);
        }),
        _ => {}
    }
}

/// The value as somebody could change it who wants other things to happen.
fn changed(value: &Json) -> Vec<Json> {
    match value {
        Json::Null => vec![json!(1), json!("a"), json!([])],
        Json::Bool(value) => vec![json!(!value), Json::Null],
        Json::Number(number) => {
            let more = number.as_u64().map_or(json!(1.5), |number| json!(number + 1));
            vec![more, json!(0.123_456_789), Json::Null]
        }
        Json::String(text) => vec![json!(format!("{text} ")), json!(""), Json::Null],
        Json::Array(items) => {
            let (mut more, fewer) = (items.clone(), items.iter().skip(1).cloned().collect::<Vec<_>>());
            more.push(items.first().cloned().unwrap_or_else(|| json!("x")));
            let turned: Vec<_> = items.iter().rev().cloned().collect();
            vec![json!(more), json!(fewer), json!(turned), Json::Null]
        }
        Json::Object(entries) => {
            let mut more = entries.clone();
            more.insert("added".to_owned(), json!(1));
            let fewer: serde_json::Map<_, _> = entries.clone().into_iter().skip(1).collect();
            vec![json!(more), json!(fewer)]
        }
    }
}

/// Whatever is changed in a plan's file, and even if the digests are made anew: it does not run.
#[tokio::test]
async fn a_changed_plan_is_refused_whatever_was_changed() {
    let bench = Bench::new(Engine::Sqlite).await;
    shop(&bench).await;
    let path = reviewed(&bench);
    let text = fs::read_to_string(&path).unwrap();
    let job = sunset::job::load(bench.directory(), sunset::diagnostic::Severity::Warning).unwrap();
    let trusted = Keys::parse(&job.settings.keys).unwrap().trusted(&job.settings.name);
    let written = |plan: &Json| serde_json::to_string_pretty(plan).unwrap() + "\n";
    let read = |plan: &Json| reviewed::read(&written(plan), "plan.json", &trusted);
    let plan: Json = serde_json::from_str(&text).unwrap();
    read(&plan).unwrap();
    // what says the same in other characters may show a person something else: of a key that stands twice, the first value
    let twice = text.replacen('{', "{\n  \"now\": \"1999-01-01T00:00:00Z\",", 1);
    for edited in [twice, plan.to_string(), text.replace('\n', "\r\n"), format!("{text} ")] {
        assert!(reviewed::read(&edited, "plan.json", &trusted).is_err(), "{edited}");
    }

    let mut all = Vec::new();
    pointers(&plan, "", &mut all);
    assert!(all.len() > 300, "{}", all.len());
    let mut tried = 0;
    for pointer in &all {
        for other in changed(plan.pointer(pointer).unwrap()) {
            let mut edited = plan.clone();
            *edited.pointer_mut(pointer).unwrap() = other.clone();
            if edited == plan || !edited.is_object() {
                continue;
            }
            for resealed in [false, true] {
                if resealed && pointer != "/digest" {
                    edited["digest"] = json!(digest_of(&edited));
                }
                let Err(error) = read(&edited) else { panic!("{pointer} became {other}, and nobody minded") };
                let stop = error.downcast_ref::<Stop>().unwrap_or_else(|| panic!("{error}"));
                assert!(matches!(stop.outcome, Outcome::Refused | Outcome::Invalid), "{pointer}: {stop}");
                tried += 1;
            }
        }
    }
    assert!(tried > 1500, "{tried}");

    // a signature of somebody else, and of another job
    let key = Key::generate(KeyKind::Signing).unwrap().text();
    let other = Keys::parse(&KeySettings { signing: vec![key], ..KeySettings::default() }).unwrap();
    let plan: Plan = read(&plan).unwrap();
    let forged = reviewed::write(&plan, other.signing.first()).unwrap();
    assert!(reviewed::read(&forged, "plan.json", &trusted).is_err());
    fs::write(&path, forged).unwrap();
    let call = bench.sunset(&["run", "--plan", &path]).expect(3);
    assert!(call.err.contains("none of the trusted keys signed it"), "{}", call.err);
    fs::write(&path, reviewed::write(&plan, None).unwrap()).unwrap();
    let call = bench.sunset(&["run", "--plan", &path]).expect(3);
    assert!(call.err.contains("is not signed"), "{}", call.err);
    assert_eq!(bench.count("select count(*) from customers").await, 5);
}

/// What an attacker can compute as well.
fn digest_of(plan: &Json) -> String {
    let mut plan = plan.clone();
    let fields = plan.as_object_mut().unwrap();
    fields.remove("digest");
    fields.remove("signature");
    hex::encode(Sha256::digest(serde_json_canonicalizer::to_vec(&plan).unwrap()))
}
