//! What the ledger says of a batch that a crash cut off must be true of the rows, whatever was changed between the crash and
//! the next run: rules, days, columns, keys, or the database itself.
//!
//! `SUNSET_TEST_MOMENTS=all` goes through every moment at which a run can die; the usual run takes those around the commit.

use crate::support::bench::{Bench, Call, on_every_engine};
use std::{collections::BTreeMap, fs};
use sunset::{
    catalog::Engine,
    evidence::{
        Evidence,
        tag::{BatchEvidence, TagKey},
    },
    failpoint,
    ledger::{Event, Intent},
};

/// Rows of each rule, due since the day of the run and not a day before.
const ROWS: u64 = 30;
const TODAY: &str = "2026-11-22";
const YESTERDAY: &str = "2026-11-21";
const POINT: &str = "2021-11-21";

const RULES: &str = "
- {id: visits, table: core.visits, starting_point: seen_on, retention_period: 5 years, disposition: erase}
- {id: people, table: core.people, starting_point: left_on, retention_period: 5 years, disposition: anonymize,
   columns: {email: suppress}}
- {id: leads, table: core.leads, starting_point: met_on, retention_period: 5 years, disposition: erase,
   dependents: {core.calls: erase}}";

async fn company(bench: &Bench) {
    bench.settings("time_zone: Asia/Tokyo");
    bench
        .script(
            "create table visits (id {int} primary key, seen_on {date});
             create table people (id {int} primary key, left_on {date}, email {text}, name {text});
             create table leads (id {int} primary key, met_on {date});
             create table calls (id {int} primary key, lead {int} not null, foreign key (lead) references leads (id));
             create index calls_lead on calls (lead)",
        )
        .await;
    bench.rules(RULES);
    // there is a ledger
    bench.run(0);
}

/// Due rows with keys that no row had before.
async fn refill(bench: &Bench, round: u64) {
    let ids = || round * ROWS + 1..=(round + 1) * ROWS;
    let rows = |row: &dyn Fn(u64) -> String| ids().map(row).collect::<Vec<_>>().join(", ");
    bench
        .script(&format!(
            "delete from calls; delete from leads; delete from visits; delete from people;
             insert into visits (id, seen_on) values {};
             insert into leads values {}; insert into calls values {};
             insert into people (id, left_on, email, name) values {}",
            rows(&|id| format!("({id}, '{POINT}')")),
            rows(&|id| format!("({id}, '{POINT}')")),
            rows(&|id| format!("({id}, {id})")),
            rows(&|id| format!("({id}, '{POINT}', 'person{id}@example.com', 'Person {id}')")),
        ))
        .await;
}

/// How many rows the rule has changed.
async fn changed(bench: &Bench, rule: &str) -> u64 {
    match rule {
        "people" => bench.count("select count(*) from people where email is null").await,
        table => ROWS - bench.count(&format!("select count(*) from {table}")).await,
    }
}

/// Makes the table in which batches are noted, with the statement that `sunset grants` prints.
async fn with_batches(bench: &Bench) {
    let printed = bench.sunset(&["grants", "--user", "sunset", "--batches"]).expect(0).out;
    let create = printed.lines().find(|line| line.starts_with("create table")).unwrap();
    bench.script(create.split(" -- ").next().unwrap()).await;
}

/// What is changed between the crash and the next run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meanwhile {
    Nothing,
    LongerPeriod,
    MovedDates,
    EarlierNow,
    PlanOfYesterday,
    OtherColumns,
    ColumnAdded,
    OtherTagKey,
    RenamedRules,
    NoRules,
}

const ALL: [Meanwhile; 10] = [
    Meanwhile::Nothing,
    Meanwhile::LongerPeriod,
    Meanwhile::MovedDates,
    Meanwhile::EarlierNow,
    Meanwhile::PlanOfYesterday,
    Meanwhile::OtherColumns,
    Meanwhile::ColumnAdded,
    Meanwhile::OtherTagKey,
    Meanwhile::RenamedRules,
    Meanwhile::NoRules,
];

fn moments() -> Vec<&'static str> {
    match std::env::var("SUNSET_TEST_MOMENTS") {
        Ok(all) if all == "all" => failpoint::MOMENTS
            .iter()
            .copied()
            .filter(|moment| !moment.ends_with("_call") && *moment != "after_answer" && !moment.ends_with("recovery"))
            .collect(),
        _ => vec!["after_intent", "after_commit"],
    }
}

async fn told_truly(bench: Bench) {
    cut_off_and_changed(&bench, false).await;
}

async fn told_truly_by_the_table_of_batches(bench: Bench) {
    cut_off_and_changed(&bench, true).await;
}

async fn cut_off_and_changed(bench: &Bench, noted: bool) {
    company(bench).await;
    if noted {
        with_batches(bench).await;
    }
    let mut round = 0;
    let mut seen = 0;
    // a killed run settles what the one before has left: one rule at a time
    let rules = ["visits", "people", "leads"];
    let cases = ALL.into_iter().flat_map(|meanwhile| {
        moments().into_iter().flat_map(move |moment| rules.map(|rule| (meanwhile, moment, rule)))
    });
    for (meanwhile, moment, rule) in cases {
        refill(bench, round).await;
        round += 1;
        bench.rules(RULES);
        let settings = fs::read_to_string(bench.path("sunset.yaml")).unwrap();
        let plan = bench.path("plan.json");
        bench.sunset(&["plan", "--now", YESTERDAY, "--out", plan.to_str().unwrap()]).expect(0);
        let before = bench.evidence().entries.len();
        let killed = format!("{moment}:1");
        bench.sunset_with(&["run", "--now", TODAY, "--rule", rule], &[("SUNSET_FAILPOINT", &killed)]);
        let truth = changed(bench, rule).await;
        apply(bench, meanwhile, round).await;
        let plan = plan.to_str().unwrap();
        let next: &[&str] = match meanwhile {
            Meanwhile::EarlierNow => &["run", "--now", "2026-11-01"],
            Meanwhile::PlanOfYesterday => &["run", "--plan", plan],
            _ => &["run", "--now", TODAY],
        };
        let call = bench.sunset(next);
        assert_eq!(call.code, 0, "{meanwhile:?} {moment} {rule}: {call:?}");
        seen += check(bench, before, truth, noted, meanwhile, moment);
        fs::write(bench.path("sunset.yaml"), settings).unwrap();
    }
    assert!(seen >= ALL.len() * 3, "too few batches were cut off: {seen}");
    if noted {
        // a worker that died before its first batch leaves its row, and the rule's next run writes over it
        let left = bench.lines("select batch from sunset_batches").await;
        let rows = left.len();
        assert!(
            rows <= 2 * rules.len() && left.iter().all(|batch| batch.ends_with("/0")),
            "rows of settled batches stay: {left:?}"
        );
    }
}

async fn apply(bench: &Bench, meanwhile: Meanwhile, round: u64) {
    match meanwhile {
        Meanwhile::Nothing | Meanwhile::EarlierNow | Meanwhile::PlanOfYesterday => {}
        Meanwhile::LongerPeriod => bench.rules(&RULES.replace("5 years", "50 years")),
        Meanwhile::MovedDates => {
            bench
                .script(
                    "update visits set seen_on = '2026-01-01'; update people set left_on = '2026-01-01';
                     update leads set met_on = '2026-01-01'",
                )
                .await;
        }
        Meanwhile::OtherColumns => {
            bench.rules(&RULES.replace("{email: suppress}", "{email: suppress, name: suppress}"));
        }
        Meanwhile::ColumnAdded => {
            let add = |table| format!("alter table {table} add column more_{round} {{text}};");
            bench.script(&(add("visits") + &add("people"))).await;
        }
        Meanwhile::OtherTagKey => {
            let keys = bench.path("other-keys");
            let made = bench.sunset(&["keys", "new", "--out", keys.to_str().unwrap()]).expect(0).out;
            let tag = |text: &str| {
                text.lines().find(|line| line.contains("${file:") && line.contains("/tag-")).unwrap().to_owned()
            };
            let settings = fs::read_to_string(bench.path("sunset.yaml")).unwrap();
            let settings = settings.replace(&tag(&settings), &tag(&made));
            fs::write(bench.path("sunset.yaml"), settings).unwrap();
        }
        Meanwhile::RenamedRules => bench.rules(&RULES.replace("{id: ", "{id: new-")),
        Meanwhile::NoRules => {
            bench.rules(
                "- {id: calls, table: core.people, starting_point: left_on, retention_period: 90 years,\n   \
                 disposition: erase}",
            );
        }
    }
}

/// Compares what the ledger says of the run that began after so many entries with what had become of the rows when it was
/// killed; how many batches a recovery has settled.
fn check(bench: &Bench, before: usize, changed: u64, noted: bool, meanwhile: Meanwhile, moment: &str) -> usize {
    let evidence = bench.evidence();
    let killed = &evidence.entries[before]["run"];
    let outcomes: BTreeMap<_, _> =
        evidence.events("outcome").into_iter().map(|outcome| (outcome["intent"].as_u64().unwrap(), outcome)).collect();
    let (mut recovered, mut committed, mut unknown) = (0, 0, 0);
    for (seq, intent) in &evidence.intents {
        if evidence.entries[usize::try_from(*seq).unwrap() - 1]["run"] != *killed {
            continue;
        }
        let case = format!("{meanwhile:?} {moment} noted {noted}: {intent}");
        let outcome = outcomes.get(seq).unwrap_or_else(|| panic!("open for ever: {case}"));
        let (case, rule) = (format!("{case} {outcome}"), intent["rule"].as_str().unwrap());
        let rows = if intent["along_with"].is_null() { intent["rows"].as_u64().unwrap() } else { 0 };
        match outcome["result"].as_str().unwrap() {
            "committed" => committed += rows,
            "rolled_back" => {}
            _ => {
                unknown += rows;
                let keyless = meanwhile == Meanwhile::OtherTagKey;
                let otherwise = rule == "people" && matches!(meanwhile, Meanwhile::OtherColumns | Meanwhile::NoRules);
                assert!(!noted && bench.engine != Engine::Postgres, "somebody could have told: {case}");
                assert!(keyless || otherwise, "the rows could have told: {case}");
                if otherwise && rows > 0 {
                    assert_eq!(outcome["found"]["there"], rows, "{case}");
                }
            }
        }
        if outcome["settled_by"] == "recovery" {
            recovered += 1;
            let told = outcome["told_by"].as_str();
            match (noted, bench.engine) {
                (true, _) => assert_eq!(told, Some("mark"), "{case}"),
                (false, Engine::Postgres) => assert_eq!(told, Some("transaction"), "{case}"),
                _ => assert_ne!(told, Some("mark"), "{case}"),
            }
        }
    }
    let case = format!("{meanwhile:?} {moment} noted {noted}: {changed} rows had changed, {committed} committed");
    assert!((committed..=committed + unknown).contains(&changed), "{case}, {unknown} unknown");
    recovered
}

/// Without the table's rows, or the table, the batch is judged like any other.
async fn a_table_of_batches_that_was_emptied(bench: Bench) {
    company(&bench).await;
    with_batches(&bench).await;
    for (round, undo) in ["delete from sunset_batches", "drop table sunset_batches"].into_iter().enumerate() {
        for moment in ["after_intent:1", "after_commit:1"] {
            refill(&bench, 2 * round as u64 + u64::from(moment == "after_commit:1")).await;
            let before = bench.evidence().entries.len();
            let failpoint = [("SUNSET_FAILPOINT", moment)];
            assert_eq!(bench.sunset_with(&["run", "--now", TODAY, "--rule", "visits"], &failpoint).code, -1);
            let truth = changed(&bench, "visits").await;
            bench.try_script(undo).await;
            bench.sunset(&["run", "--now", TODAY]).expect(0);
            assert_eq!(check(&bench, before, truth, false, Meanwhile::Nothing, moment), 1);
        }
    }
}

/// Somebody else deletes, or puts back, some of the rows: nobody can tell then, and what was seen is recorded.
async fn some_rows_say_one_thing_and_some_another(bench: Bench) {
    if bench.engine == Engine::Postgres {
        return;
    }
    company(&bench).await;
    refill(&bench, 0).await;
    let changes = [
        ("visits", "delete from visits where id <= 10"),
        ("people", "delete from people where id <= 10; update people set email = null where id = 11"),
    ];
    for (rule, change) in changes {
        let failpoint = [("SUNSET_FAILPOINT", "after_intent:1")];
        assert_eq!(bench.sunset_with(&["run", "--now", TODAY, "--rule", rule], &failpoint).code, -1);
        bench.script(change).await;
        bench.sunset(&["run", "--now", TODAY, "--rule", rule]).expect(0);
    }
    let evidence = bench.evidence();
    let found = |rule: &str| {
        let (seq, _) = evidence.intents.iter().find(|(_, intent)| intent["rule"] == rule).unwrap();
        let outcomes = evidence.events("outcome");
        let outcome = outcomes.into_iter().find(|outcome| outcome["intent"] == *seq).unwrap();
        assert_eq!(outcome["result"], "unknown");
        outcome["found"].clone()
    };
    assert_eq!(found("visits"), serde_json::json!({"there": 20, "not_there": 10}));
    assert_eq!(found("people"), serde_json::json!({"changed": 1, "unchanged": 19, "not_there": 10}));
}

/// A name of a transaction tells nothing on another server, nor after a backup was restored.
async fn a_transaction_of_another_server(bench: Bench) {
    if bench.engine != Engine::Postgres {
        return;
    }
    company(&bench).await;
    refill(&bench, 0).await;
    let mut ledger = bench.ledger().await;
    let own = bench.list("select system_identifier || '/00000001' from pg_control_system()").await;
    let committed = bench.list("select pg_current_xact_id()::text").await;
    let announce = |cluster: &str, transaction: &str, ids: std::ops::RangeInclusive<u64>, batch| {
        let key: &TagKey = ledger.tag_key();
        let table = "core.public.visits";
        let mut evidence = BatchEvidence::new(table, key);
        ids.clone().for_each(|id| evidence.push(key.tag(table, &[id.to_string()])));
        let tags = evidence.finish();
        let intent = Intent {
            rule: "visits".into(),
            table: table.into(),
            disposition: "erase".into(),
            batch,
            rows: tags.count,
            dependents: BTreeMap::new(),
            along_with: None,
            partition: None,
            k_anonymity: None,
            evidence: Evidence::Rows,
            root: hex::encode(tags.root),
            tag_key: tags.tag_key.clone(),
            transaction: Some(transaction.to_owned()),
            cluster: Some(cluster.to_owned()),
            mark: None,
            terms: None,
            worker: 0,
        };
        (Event::Intent(intent), tags)
    };
    // committed elsewhere; the next timeline of this server; a name that this server has not come to
    let batches = [
        announce("1/00000001", &committed, 1..=10, 1),
        announce(&own.replace("/00000001", "/00000002"), &committed, 11..=20, 2),
        announce(&own, "4611686018427387904", 21..=30, 3),
    ];
    let (events, tags): (Vec<_>, Vec<_>) = batches.into_iter().unzip();
    ledger.append(events, &tags).await.unwrap();
    ledger.into_store().close().await.unwrap();
    bench.sunset(&["run", "--now", YESTERDAY]).expect(0);
    let evidence = bench.evidence();
    let outcomes = evidence.events("outcome");
    let results: Vec<_> = outcomes.iter().map(|outcome| (&outcome["result"], &outcome["told_by"])).collect();
    assert_eq!(results.len(), 3);
    assert!(results.iter().all(|(result, by)| *result == "rolled_back" && *by == "rows"), "{results:?}");
}

/// A table that anybody could have made, with triggers that would run with the rights of this session, is left alone.
async fn a_table_of_batches_of_somebody_else(bench: Bench) {
    if bench.engine != Engine::Postgres {
        return;
    }
    company(&bench).await;
    refill(&bench, 0).await;
    let role = format!("stranger_{}", bench.database.name);
    bench.script(&format!("create role {role}; grant create, usage on schema public to {role}")).await;
    bench
        .script(&format!(
            "set role {role};
             create table sunset_batches (worker varchar(64) primary key, batch varchar(64), at timestamp);
             create function spring() returns trigger language plpgsql as 'begin delete from calls; return new; end';
             create trigger spring before insert or update on sunset_batches for each row execute function spring()"
        ))
        .await;
    let call: Call = bench.sunset(&["run", "--now", TODAY, "--rule", "visits"]).expect(0);
    let calls = bench.count("select count(*) from calls").await;
    bench.script(&format!("drop table sunset_batches; drop owned by {role}; drop role {role}")).await;
    assert_eq!(calls, ROWS);
    assert!(call.err.contains("batches are not noted"), "{call:?}");
}

on_every_engine!(
    told_truly,
    told_truly_by_the_table_of_batches,
    a_table_of_batches_that_was_emptied,
    some_rows_say_one_thing_and_some_another,
    a_transaction_of_another_server,
    a_table_of_batches_of_somebody_else,
);
