//! The gate behind an anonymizing rule: groups of its rows that are too small. What becomes of them is judged by SQL written
//! here, and by a second reading of the rule in a few lines of Rust.

use crate::support::{
    bench::{Bench, Call, on_every_engine},
    random::Random,
};
use std::collections::{BTreeMap, BTreeSet};
use sunset::catalog::Engine;

async fn people(bench: &Bench, rows: &[&str]) {
    bench
        .script(
            "create table people (id {int} primary key, left_on {date}, name {text}, born {date}, sex {text},
               postal {text}, arrears {text})",
        )
        .await;
    fill(bench, rows).await;
}

/// `born, sex, postal, arrears` in SQL, numbered from 1; all of them are due.
async fn fill(bench: &Bench, rows: &[&str]) {
    let rows: Vec<_> =
        rows.iter().enumerate().map(|(i, row)| format!("({}, '2001-01-01', 'Hanako', {row})", i + 1)).collect();
    bench.script(&format!("insert into people values {}", rows.join(", "))).await;
}

fn rule(bench: &Bench, gate: &str, more: &str) {
    bench.rules(&format!(
        "
- id: people
  table: core.people
  starting_point: left_on
  retention_period: 5 years
  disposition: anonymize
  columns: {{name: suppress, born: {{generalize: year}}, postal: {{mask: {{keep_first: 3}}}}}}
  k_anonymity: {gate}
  {more}"
    ));
}

const GATE: &str = "{quasi_identifiers: [born, sex, postal], k: 3, then: [{postal: suppress}, {born: suppress}]}";

/// Every path: a group of k, one that grows when the postal code goes, one that needs the year of birth too, and one person.
const COMPANY: &[&str] = &[
    "'1980-02-03', 'f', '1600022', 'no'",
    "'1980-05-06', 'f', '1600023', 'no'",
    "'1980-11-11', 'f', '1609999', 'no'",
    "'1980-02-03', 'm', '1600022', 'no'",
    "'1980-02-04', 'm', '1600022', 'no'",
    "'1980-02-05', 'm', '5300001', 'no'",
    "'1990-02-03', 'f', '1000001', 'no'",
    "'1990-03-03', 'f', '1000002', 'no'",
    "'1991-02-03', 'f', '1000003', 'no'",
    "'1970-02-03', 'x', '9000001', 'no'",
];

const COMPANY_AFTER: &[&str] = &[
    "1|NULL|1980-01-01|f|160****",
    "2|NULL|1980-01-01|f|160****",
    "3|NULL|1980-01-01|f|160****",
    "4|NULL|1980-01-01|m|NULL",
    "5|NULL|1980-01-01|m|NULL",
    "6|NULL|1980-01-01|m|NULL",
    "7|NULL|NULL|f|NULL",
    "8|NULL|NULL|f|NULL",
    "9|NULL|NULL|f|NULL",
];

const ALL: &str = "select id, name, born, sex, postal from people order by id";

async fn small_groups_are_suppressed_then_erased(bench: Bench) {
    people(&bench, COMPANY).await;
    // neither is due: both stay as they are, and are in no group
    bench
        .script(
            "insert into people values (100, '2025-01-01', 'Taro', '1970-02-03', 'x', '9000001', null),
               (101, null, 'Jiro', '1970-02-03', 'x', '9000001', null)",
        )
        .await;
    rule(&bench, GATE, "");
    let report = bench.run_to_the_end();
    let mut expected = COMPANY_AFTER.to_vec();
    expected.extend(["100|Taro|1970-02-03|x|9000001", "101|Jiro|1970-02-03|x|9000001"]);
    assert_eq!(bench.lines(ALL).await, expected);

    // ten were anonymized, then seven lost their postal code, four their year, and one went
    assert_eq!(report.line("people"), "explained_rest 22 without_starting_point=1");
    let gate = &report.rule("people")["k_anonymity"];
    assert_eq!(gate["before"]["below"], 5);
    assert_eq!(gate["before"]["rows_below"], 7);
    assert_eq!(gate["before"]["smallest"], 1);
    assert_eq!(gate["after"]["below"], 0);
    assert_eq!(gate["after"]["smallest"], 3);
    assert_eq!(gate["after"]["rows"], 9);
    let rows: Vec<_> = gate["measures"].as_array().unwrap().iter().map(|measure| &measure["rows"]).collect();
    assert_eq!(rows, [7, 4, 1]);

    let evidence = bench.evidence();
    let event = evidence.events("k_anonymity")[0];
    assert_eq!(event["suppressed"]["postal: removed"], 7);
    assert_eq!(event["suppressed"]["born: removed"], 4);
    assert_eq!((&event["erased"], &event["smallest"], &event["ok"]), (&1.into(), &3.into(), &true.into()));
    let told: BTreeSet<_> = evidence.committed().filter_map(|intent| intent["k_anonymity"].as_str()).collect();
    assert_eq!(told, BTreeSet::from(["postal: removed", "born: removed", "erased"]));
    let dispositions = evidence.committed().filter(|intent| intent["k_anonymity"] == "erased");
    assert_eq!(dispositions.map(|intent| intent["disposition"].as_str().unwrap()).collect::<Vec<_>>(), ["erase"]);
    for (id, batches) in [("1", 1), ("4", 2), ("7", 3), ("10", 4), ("100", 0)] {
        assert_eq!(bench.proven("core.people", &[id]), batches, "{id}");
    }
    // with a dash: digests and identifiers may have any four digits
    for value in ["1970-", "1980-", "Hanako", "1600022", "160****"] {
        let ledger = evidence.entries.iter().map(ToString::to_string).collect::<String>();
        assert!(!ledger.contains(value), "the ledger has a value: {value}");
    }
}

/// Where a row cannot go, because another table needs it, nothing of it is left that could tell who it was.
async fn rows_that_others_need_lose_every_quasi_identifier(bench: Bench) {
    people(&bench, COMPANY).await;
    bench
        .script("create table orders (id {int} primary key, person {int}, foreign key (person) references people (id))")
        .await;
    bench.script("insert into orders values (1, 10), (2, 1)").await;
    let gate = GATE.replace("k: 3", "k: 3, at_last: suppress");
    rule(&bench, &gate, "dependents: {core.orders: keep}");
    let report = bench.run_to_the_end();
    let mut expected = COMPANY_AFTER.to_vec();
    expected.push("10|NULL|NULL|NULL|NULL");
    assert_eq!(bench.lines(ALL).await, expected);
    assert_eq!(report.line("people"), "done 22");
    let gate = &report.rule("people")["k_anonymity"];
    assert_eq!((&gate["after"]["below"], &gate["after"]["smallest"]), (&0.into(), &3.into()));
    let event = &bench.evidence().events("k_anonymity")[0].clone();
    assert_eq!(event["suppressed"]["every quasi-identifier: removed"], 1);
    assert_eq!((&event["erased"], &event["ok"]), (&0.into(), &true.into()));
    let plan = bench.sunset(&["plan", "--now", bench.now]).expect(0).out;
    assert!(plan.contains("at last: every quasi-identifier removed") && plan.contains("none is too small"), "{plan}");
    assert_eq!(bench.run(0).disposed(), 0);

    // a column that has to have a value cannot lose it
    bench
        .script("create table strict (id {int} primary key, left_on {date}, sex varchar(9) not null, name {text})")
        .await;
    bench.rules(
        "
- id: strict
  table: core.strict
  starting_point: left_on
  retention_period: 5 years
  disposition: anonymize
  columns: {name: suppress}
  k_anonymity: {quasi_identifiers: [sex], k: 3, at_last: suppress}
",
    );
    let call = bench.sunset(&["validate"]).expect(2);
    assert!(call.err.contains("`sex`") && call.err.contains("null"), "{}", call.err);
}

/// No value is a value of its own, and rows without any of them are a group like others.
async fn nulls_are_a_value(bench: Bench) {
    people(
        &bench,
        &[
            "null, 'f', null, null",
            "null, 'f', null, null",
            "null, null, null, null",
            "null, null, '1600022', null",
            "'1980-01-01', null, null, null",
        ],
    )
    .await;
    let gate = "{quasi_identifiers: [born, sex, postal], k: 2, then: [{postal: suppress}]}";
    rule(&bench, gate, "");
    bench.run_to_the_end();
    assert_eq!(
        bench.lines(ALL).await,
        ["1|NULL|NULL|f|NULL", "2|NULL|NULL|f|NULL", "3|NULL|NULL|NULL|NULL", "4|NULL|NULL|NULL|NULL"]
    );
}

/// What a collation takes for equal is not: a spelling alone can tell somebody.
/// A type, three values that all differ, and one that is equal to the first however it is written.
type Values = (&'static str, [&'static str; 3], &'static str);

async fn values_are_told_apart_beyond_what_is_printed(bench: Bench) {
    let types: &[Values] = match bench.engine {
        Engine::Postgres => &[
            ("double precision", ["35.68123456789012", "35.68123456789013", "0"], "35.68123456789012"),
            ("double precision", ["0", "5e-324", "1"], "'-0'"),
            ("real", ["0.1", "0.10000001", "1"], "0.1"),
            ("numeric", ["0.1", "0.10000000000000000000001", "1"], "0.10"),
            ("double precision[]", ["'{35.68123456789012}'", "'{35.68123456789013}'", "'{}'"], "'{35.68123456789012}'"),
            ("interval", ["'1 month'", "'30 days'", "'1 day'"], "'1 mon'"),
            (
                "timestamptz",
                ["'2020-01-01 00:00:00.000001+00'", "'2020-01-01 00:00:00+00'", "null"],
                "'2020-01-01 09:00:00.000001+09'",
            ),
        ],
        Engine::Mysql => &[
            ("double", ["35.68123456789012", "35.68123456789013", "0"], "35.68123456789012"),
            ("double", ["0", "5e-324", "1"], "-0e0"),
            ("float", ["0.1", "0.10000001", "1"], "0.1"),
            ("bit(64)", ["255", "254", "128"], "b'11111111'"),
            ("varbinary(9)", ["x'ff'", "x'fe'", "x'80'"], "x'FF'"),
            ("geometry", ["point(1, 255)", "point(1, 254)", "point(1, 1)"], "point(1, 255)"),
            ("varchar(20) collate utf8mb4_general_ci", ["'Tokyo'", "'tokyo'", "'Tokyo '"], "'Tokyo'"),
            ("datetime(6)", ["'2020-01-01 00:00:00.000001'", "'2020-01-01'", "null"], "'2020-01-01 00:00:00.000001'"),
        ],
        Engine::Sqlite => &[
            ("real", ["35.68123456789012", "35.68123456789013", "0"], "35.68123456789012"),
            ("real", ["0.0", "5e-324", "1"], "-0.0"),
            ("", ["1", "1.0", "'1'"], "1"),
            ("blob", ["'ab'", "x'6162'", "'AB'"], "'ab'"),
            ("text collate nocase", ["'Tokyo'", "'tokyo'", "'Tokyo '"], "'Tokyo'"),
            ("integer", ["9007199254740993", "9007199254740992", "0"], "9007199254740993"),
        ],
    };
    if bench.engine == Engine::Postgres {
        bench.script("create extension if not exists citext").await;
    }
    for (sql_type, values, equal) in types {
        bench.script("drop table if exists t").await;
        bench
            .script(&format!("create table t (id {{int}} primary key, name {{text}}, v {sql_type}, ended {{date}})"))
            .await;
        for (id, value) in values.iter().chain([equal]).enumerate() {
            bench.script(&format!("insert into t values ({id}, 'x', {value}, '2000-01-01')")).await;
        }
        bench.made_anew();
        bench.rules(
            "
- id: a
  table: core.t
  starting_point: ended
  retention_period: 1 year
  disposition: anonymize
  columns: {name: suppress}
  k_anonymity: {quasi_identifiers: [v], k: 2}",
        );
        bench.run(0);
        assert_eq!(bench.list("select id from t order by id").await, "0 3", "{sql_type}: {values:?} and {equal}");
    }
}

async fn spellings_are_told_apart(bench: Bench) {
    people(
        &bench,
        &["null, 'F', null, null", "null, 'F', null, null", "null, 'f', null, null", "null, 'F ', null, null"],
    )
    .await;
    rule(&bench, "{quasi_identifiers: [sex], k: 2}", "");
    bench.run_to_the_end();
    assert_eq!(bench.list("select id from people order by id").await, "1 2");
}

async fn each_group_has_several_sensitive_values(bench: Bench) {
    people(
        &bench,
        &[
            "'1980-01-01', 'a', null, 'yes'",
            "'1980-01-01', 'a', null, 'yes'",
            "'1980-01-01', 'a', null, 'yes'",
            "'1980-01-01', 'b', null, 'yes'",
            "'1980-01-01', 'b', null, 'no'",
            "'1980-01-01', 'c', null, 'no'",
            "'1980-01-01', 'c', null, null",
            "'1980-01-01', 'd', null, 'yes'",
            "'1981-01-01', 'd', null, 'no'",
        ],
    )
    .await;
    let gate = "{quasi_identifiers: [born, sex], k: 2, l_diversity: {arrears: 2}, then: [{born: suppress}]}";
    rule(&bench, gate, "");
    let report = bench.run_to_the_end();
    assert_eq!(report.rule("people")["k_anonymity"]["before"]["below"], 4);
    assert_eq!(
        bench.lines("select id, born, sex, arrears from people order by id").await,
        ["4|1980-01-01|b|yes", "5|1980-01-01|b|no", "8|NULL|d|yes", "9|NULL|d|no"]
    );
}

fn hold(bench: &Bench, key: &str) -> String {
    let arguments = ["hold", "add", "--table", "core.people", "--matter", "2026-17", "--reason", "lawsuit"];
    let more = ["--owner", "legal@example.com", "--review", "2027-01-01", "--key", key];
    bench.sunset(&[arguments.as_slice(), more.as_slice()].concat()).expect(0).out.trim().to_owned()
}

async fn held_rows_stay_as_they_are(mut bench: Bench) {
    let alike = "'1980-02-03', 'f', '1600022', 'no'";
    people(&bench, &[alike, alike, alike, alike]).await;
    rule(&bench, GATE, "");
    // one that is held and not done is in no group
    let first = hold(&bench, "1");
    assert_eq!(bench.run_to_the_end().line("people"), "explained_rest 3 held=1");
    assert_eq!(
        bench.lines(ALL).await,
        [
            "1|Hanako|1980-02-03|f|1600022",
            "2|NULL|1980-01-01|f|160****",
            "3|NULL|1980-01-01|f|160****",
            "4|NULL|1980-01-01|f|160****"
        ]
    );

    // one that is done already counts for its group and is not touched: a hold makes nobody else's row go
    hold(&bench, "2");
    bench.sunset(&["hold", "release", &first, "--reason", "settled", "--owner", "legal@example.com"]).expect(0);
    assert_eq!(bench.run_to_the_end().line("people"), "done 1");
    assert_eq!(bench.list("select count(*) from people where postal = '160****'").await, "4");

    bench.script("delete from people where id in (3, 4)").await;
    bench.now = "2026-12-22";
    let report = bench.run(0);
    assert_eq!(report.line("people"), "explained_rest 3 held_in_small_groups=1");
    assert_eq!(bench.lines(ALL).await, ["2|NULL|1980-01-01|f|160****"]);
    assert_eq!(bench.run(0).line("people"), "explained_rest 0 held_in_small_groups=1");
}

async fn dependents_go_with_what_is_erased(bench: Bench) {
    people(&bench, &["'1980-02-03', 'f', '1600022', 'no'", "'1970-02-03', 'm', '5300001', 'no'"]).await;
    bench
        .script(
            "create table notes (id {int} primary key, person_id {int} not null, foreign key (person_id) references people (id));
             create table visits (id {int} primary key, person_id {int}, foreign key (person_id) references people (id));
             insert into visits values (1, 1)",
        )
        .await;
    let fates = "dependents: {core.notes: erase, core.visits: unlink}";
    let strict = "{quasi_identifiers: [born], k: 2, at_last: fail}";
    rule(&bench, strict, fates);
    assert_eq!(bench.run(4).line("people"), "failed 2 in_small_groups=2");
    assert_eq!(bench.lines("select person_id from visits").await, ["NULL"]);
    // what came since goes with the row
    bench.script("insert into notes values (1, 1), (2, 2); insert into visits values (2, 2)").await;
    rule(&bench, "{quasi_identifiers: [born], k: 2}", fates);
    let report = bench.run_to_the_end();
    assert_eq!(report.line("people"), "done 2");
    assert_eq!((report.along("people", "notes"), report.along("people", "visits")), (2, 1));
    assert_eq!(bench.count("select count(*) from people").await, 0);
    assert_eq!(bench.count("select count(*) from notes").await, 0);
    assert_eq!(bench.lines("select id, person_id from visits order by id").await, ["1|NULL", "2|NULL"]);
    assert_eq!(bench.proven("core.notes", &["2"]), 1);
}

/// `at_last: fail`: the rows stay, the rule fails, and that every night, also when nothing is due.
async fn a_gate_can_fail(bench: Bench) {
    people(&bench, COMPANY).await;
    rule(&bench, "{quasi_identifiers: [born, sex, postal], k: 3, then: [{postal: suppress}], at_last: fail}", "");
    let report = bench.run(4);
    assert_eq!(report.line("people"), "failed 17 in_small_groups=4");
    let message = report.rule("people")["message"].as_str().unwrap();
    assert_eq!(message, "4 anonymized rows are in groups that are too small (k is 3)");
    assert_eq!(bench.count("select count(*) from people").await, 10);
    assert_eq!(bench.run(4).line("people"), "failed 0 in_small_groups=4");
    assert!(bench.evidence().events("k_anonymity").iter().all(|event| event["ok"] == false));
}

/// Nobody counts again while nothing has changed, but for once a week.
async fn a_passed_gate_is_counted_again_after_a_week(mut bench: Bench) {
    people(&bench, COMPANY).await;
    rule(&bench, GATE, "");
    bench.run_to_the_end();
    bench.script("delete from people where id = 1").await;
    bench.now = "2026-11-28";
    let report = bench.run(0);
    assert_eq!(report.line("people"), "nothing_due 0");
    assert!(report.rule("people")["k_anonymity"].is_null(), "{report:?}");
    // who looks by hand is told
    assert_eq!(bench.plan()["steps"][0]["k_anonymity"]["groups"]["rows_below"], 2);
    // another k asks another question
    rule(&bench, &GATE.replace("k: 3", "k: 2"), "");
    assert_eq!(bench.run(0).rule("people")["k_anonymity"]["after"]["below"], 0);
    rule(&bench, GATE, "");
    bench.now = "2026-11-30";
    // (1980, f, no code) are two now; without the year they join those of row 7
    assert_eq!(bench.run(0).line("people"), "done 4");
    assert_eq!(bench.count("select count(*) from people where born is null and sex = 'f'").await, 5);
    assert_eq!(bench.run(0).line("people"), "nothing_due 0");
}

/// The rule's limits hold for what the gate would do.
async fn limits_hold_for_small_groups(bench: Bench) {
    people(&bench, COMPANY).await;
    rule(&bench, "{quasi_identifiers: [born, sex, postal], k: 3, at_last: fail}", "");
    bench.run(4);
    for limits in ["limits: {max_rows: 6}", "limits: {max_share: 60%}"] {
        rule(&bench, GATE, limits);
        let report = bench.run(3);
        assert_eq!(report.line("people"), "refused 0 in_small_groups=7", "{report:?}");
    }
    bench.settings("time_zone: Asia/Tokyo\nlimits: {max_rows: 6}");
    rule(&bench, GATE, "");
    let report = bench.run(3);
    let message = &report.rule("people")["message"];
    assert_eq!(message, "7 rows are anonymized and in groups that are too small, max_rows allows 6");
    bench.settings("time_zone: Asia/Tokyo");
    assert_eq!(bench.count("select count(*) from people where postal is null").await, 0);
    rule(&bench, GATE, "limits: {max_rows: 7, max_share: 70%}");
    assert_eq!(bench.run_to_the_end().line("people"), "done 12");
    assert_eq!(bench.lines(ALL).await, COMPANY_AFTER);
}

async fn a_run_without_time_leaves_the_gate_to_the_next(bench: Bench) {
    people(&bench, COMPANY).await;
    bench.settings("time_zone: Asia/Tokyo\npace: {run_time: 1 ms}");
    rule(&bench, GATE, "");
    bench.run(0);
    bench.settings("time_zone: Asia/Tokyo");
    let report = bench.run_to_the_end();
    assert_eq!(report.line("people"), "done 22");
    assert_eq!(bench.lines(ALL).await, COMPANY_AFTER);
}

/// Whatever the moment at which a run dies, the next one brings rows and ledger to where they would be without it.
async fn a_run_that_dies_is_made_good(bench: Bench) {
    people(&bench, COMPANY).await;
    bench.settings("time_zone: Asia/Tokyo\npace: {batch_rows: 2}");
    rule(&bench, GATE, "evidence: rows");
    bench.script("delete from people").await;
    let mut moments: Vec<String> = ["before_groups:1", "after_groups:1"].into_iter().map(str::to_owned).collect();
    moments.extend((1..=3).map(|n| format!("after_measure:{n}")));
    for moment in ["before_intent", "after_intent", "after_commit"] {
        moments.extend([2, 4, 6, 8, 9].map(|n| format!("{moment}:{n}")));
    }
    let (mut died, mut rounds) = (0, 0);
    for moment in moments {
        bench.script("delete from people").await;
        fill(&bench, COMPANY).await;
        let call = bench.sunset_with(&["run", "--now", bench.now], &[("SUNSET_FAILPOINT", &moment)]);
        died += u32::from(call.code != 0);
        rounds += 1;
        bench.finish();
        assert_eq!(bench.lines(ALL).await, COMPANY_AFTER, "after {moment}");
        let evidence = bench.evidence();
        assert!(evidence.is_settled(), "after {moment}");
        assert_eq!(evidence.committed_rows(), 22 * rounds, "rows lost or counted twice after {moment}");
        assert_eq!(bench.run(0).disposed(), 0, "after {moment}");
    }
    assert!(died >= 14, "only {died} of {rounds} runs died");
}

/// The same where the ledger keeps counts alone.
async fn counts_alone_are_settled_too(bench: Bench) {
    people(&bench, COMPANY).await;
    bench.settings("time_zone: Asia/Tokyo\npace: {batch_rows: 2}");
    rule(&bench, GATE, "evidence: counts");
    for (round, moment) in (1..).zip(["after_intent:7", "after_commit:7", "after_commit:10", "after_intent:12"]) {
        bench.script("delete from people").await;
        fill(&bench, COMPANY).await;
        bench.sunset_with(&["run", "--now", bench.now], &[("SUNSET_FAILPOINT", moment)]);
        bench.finish();
        assert_eq!(bench.lines(ALL).await, COMPANY_AFTER, "after {moment}");
        let evidence = bench.evidence();
        assert!(evidence.is_settled());
        assert_eq!(evidence.committed_rows(), 22 * round, "after {moment}");
    }
}

/// Two runs at once: each row is changed once by each measure, and neither stands in the other's way for good.
async fn two_runs_at_once(bench: Bench) {
    people(&bench, COMPANY).await;
    bench.settings("time_zone: Asia/Tokyo\npace: {batch_rows: 2}");
    rule(&bench, GATE, "");
    for round in 1..=4 {
        bench.script("delete from people").await;
        fill(&bench, COMPANY).await;
        let both = [(); 2].map(|()| bench.start(&["run", "--now", bench.now]));
        for call in both.map(Call::of) {
            assert!([0, 75].contains(&call.code), "{call:?}");
        }
        bench.finish();
        assert_eq!(bench.lines(ALL).await, COMPANY_AFTER);
        let evidence = bench.evidence();
        assert!(evidence.is_settled());
        assert_eq!(evidence.committed_rows(), 22 * round, "a row was changed twice");
    }
}

async fn what_does_not_fit_is_refused(bench: Bench) {
    people(&bench, &["'1980-01-01', 'f', null, null", "'1980-01-01', 'f', null, null"]).await;
    bench
        .script(
            "create table visits (id {int} primary key, person_id {int}, foreign key (person_id) references people (id));
             create table cards (id {int} primary key, left_on {date}, number {text} unique, born {date} not null,
               town {text}, noted {text})",
        )
        .await;
    let mut told = Vec::new();
    let cards = |columns: &str, gate: &str, more: &str| {
        format!(
            "- {{id: cards, table: core.cards, starting_point: left_on, retention_period: 5 years,
                disposition: anonymize, columns: {columns}, k_anonymity: {gate} {more}}}"
        )
    };
    let rules = [
        cards("{noted: suppress}", "{quasi_identifiers: [towm], k: 2}", ""),
        cards("{noted: suppress}", "{quasi_identifiers: [id, town], k: 2}", ""),
        cards("{noted: suppress}", "{quasi_identifiers: [number], k: 2}", ""),
        cards("{noted: suppress}", "{quasi_identifiers: [town], k: 2, l_diversity: {note: 2}}", ""),
        cards("{noted: suppress}", "{quasi_identifiers: [born], k: 2, then: [{born: suppress}]}", ""),
        cards("{noted: suppress}", "{quasi_identifiers: [born], k: 2, then: [{born: mask}]}", ""),
        cards("{noted: suppress}", "{quasi_identifiers: [town], k: 2}", ", where: {noted: x}"),
        cards("{noted: suppress}", "{quasi_identifiers: [town], k: 2}", ", where: \"noted = 'x'\""),
        cards("{left_on: suppress}", "{quasi_identifiers: [town], k: 2}", ""),
        cards(
            "{born: {generalize: year}}",
            "{quasi_identifiers: [born], k: 2, then: [{born: {replace: \"1970-05-05\"}}]}",
            "",
        ),
        "- {id: people, table: core.people, starting_point: left_on, retention_period: 5 years,
            disposition: anonymize, columns: {name: suppress}, k_anonymity: {quasi_identifiers: [sex], k: 2},
            dependents: {core.visits: keep}}"
            .to_owned(),
        "- {id: people, table: core.people, starting_point: left_on, retention_period: 5 years,
            disposition: anonymize, columns: {name: suppress}, k_anonymity: {quasi_identifiers: [sex], k: 2},
            dependents: {core.visits: {anonymize: {id: suppress}}}}"
            .to_owned(),
    ];
    for rule in rules {
        bench.rules(&rule);
        let codes: Vec<_> = bench.refused().into_iter().collect();
        let call = bench.sunset(&["validate"]);
        let first = format!("{}{}", call.out, call.err);
        let first = first.lines().find(|line| line.contains("error")).unwrap_or_default();
        // what follows names the database
        let first = first.split(" in table").next().unwrap_or_default();
        told.push(format!("{}: {first}", codes.join(" ")));
    }
    // the same words on every engine
    insta::assert_snapshot!("k_anonymity_refusals", told.join("\n"));

    let fits = [
        cards("{left_on: {generalize: month}, noted: suppress}", "{quasi_identifiers: [town], k: 2}", ""),
        cards(
            "{born: {generalize: year}}",
            "{quasi_identifiers: [born], k: 2, then: [{born: {replace: \"1970-01-01\"}}]}",
            "",
        ),
        "- {id: people, table: core.people, starting_point: left_on, retention_period: 5 years,
            disposition: anonymize, columns: {name: suppress},
            k_anonymity: {quasi_identifiers: [sex], k: 2, at_last: fail}, dependents: {core.visits: keep}}"
            .to_owned(),
    ];
    for rule in fits {
        bench.rules(&rule);
        bench.run(0);
    }
}

type Person = (Option<i32>, Option<String>, Option<String>);

/// The rule of [`whatever_the_rows_no_group_is_too_small`], read once more.
fn model(mut people: BTreeMap<u32, Person>, k: usize) -> BTreeMap<u32, Person> {
    let cut = |text: &Option<String>, length: usize| text.as_ref().map(|text| text.chars().take(length).collect());
    let measures: [&dyn Fn(&Person) -> Person; 4] = [
        &|(born, sex, postal)| (*born, sex.clone(), cut(postal, 2)),
        &|(born, sex, postal)| (*born, sex.clone(), cut(postal, 1)),
        &|(born, sex, _)| (born.map(|year| year - year % 10), sex.clone(), None),
        &|(_, sex, postal)| (None, sex.clone(), postal.clone()),
    ];
    for (number, measure) in measures.iter().enumerate() {
        let mut sizes: BTreeMap<Person, usize> = BTreeMap::new();
        people.values().for_each(|person| *sizes.entry(person.clone()).or_default() += 1);
        for person in people.values_mut().filter(|person| number == 0 || sizes[person] < k) {
            *person = measure(person);
        }
    }
    let mut sizes: BTreeMap<Person, usize> = BTreeMap::new();
    people.values().for_each(|person| *sizes.entry(person.clone()).or_default() += 1);
    people.retain(|_, person| sizes[person] >= k);
    people
}

async fn whatever_the_rows_no_group_is_too_small(bench: Bench) {
    people(&bench, COMPANY).await;
    bench.settings("time_zone: Asia/Tokyo\npace: {batch_rows: 7}");
    let mut random = Random::new(0x6B);
    for case in 0..6 {
        let number = u32::try_from(5 + random.below(90)).unwrap();
        let k = usize::try_from(2 + random.below(6)).unwrap();
        let (years, codes) = (1 + random.below(25), 1 + random.below(30));
        let some = |random: &mut Random, value: String| (random.below(12) > 0).then_some(value);
        let people: BTreeMap<u32, Person> = (1..=number)
            .map(|id| {
                let born = (random.below(10) > 0).then(|| i32::try_from(1970 + random.below(years)).unwrap());
                let sex = ["f", "m", "F"][usize::try_from(random.below(3)).unwrap()].to_owned();
                let (sex, postal) = (some(&mut random, sex), format!("{:03}", 100 + 7 * random.below(codes)));
                (id, (born, sex, some(&mut random, postal)))
            })
            .collect();
        let sql = |value: Option<String>| value.map_or("null".to_owned(), |value| format!("'{value}'"));
        let rows: Vec<_> = people
            .values()
            .map(|(born, sex, postal)| {
                let born = sql(born.map(|year| format!("{year}-01-01")));
                format!("{born}, {}, {}, null", sql(sex.clone()), sql(postal.clone()))
            })
            .collect();
        bench.script("delete from people").await;
        fill(&bench, &rows.iter().map(String::as_str).collect::<Vec<_>>()).await;
        bench.rules(&format!(
            "
- id: people
  table: core.people
  starting_point: left_on
  retention_period: 5 years
  disposition: anonymize
  columns: {{name: suppress, born: {{generalize: year}}, postal: {{generalize: {{postal_code: 2}}}}}}
  k_anonymity:
    quasi_identifiers: [born, sex, postal]
    k: {k}
    then: [{{postal: {{truncate: 1}}}}, {{born: {{generalize: decade}}, postal: suppress}}, {{born: suppress}}]"
        ));
        bench.run_to_the_end();
        let small = format!(
            "select count(*) from (select 1 as one from people group by born, cast(sex as {}), postal
             having count(*) < {k}) as small",
            if bench.engine == sunset::catalog::Engine::Mysql { "binary" } else { "char" }
        );
        assert_eq!(bench.count(&small).await, 0, "case {case}: a group is smaller than {k}");
        let expected: Vec<_> = model(people, k)
            .into_iter()
            .map(|(id, (born, sex, postal))| {
                let shown = |value: Option<String>| value.unwrap_or("NULL".to_owned());
                let born = shown(born.map(|year| format!("{year}-01-01")));
                format!("{id}|NULL|{born}|{}|{}", shown(sex), shown(postal))
            })
            .collect();
        assert_eq!(bench.lines(ALL).await, expected, "case {case}: k is {k}");
    }
}

on_every_engine!(
    small_groups_are_suppressed_then_erased,
    rows_that_others_need_lose_every_quasi_identifier,
    nulls_are_a_value,
    spellings_are_told_apart,
    values_are_told_apart_beyond_what_is_printed,
    each_group_has_several_sensitive_values,
    held_rows_stay_as_they_are,
    dependents_go_with_what_is_erased,
    a_gate_can_fail,
    a_passed_gate_is_counted_again_after_a_week,
    limits_hold_for_small_groups,
    a_run_without_time_leaves_the_gate_to_the_next,
    a_run_that_dies_is_made_good,
    counts_alone_are_settled_too,
    two_runs_at_once,
    what_does_not_fit_is_refused,
    whatever_the_rows_no_group_is_too_small,
);
