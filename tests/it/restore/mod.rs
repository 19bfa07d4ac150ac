//! Databases that are put back from a backup, really: the next run stops before it does anything, until somebody has looked.
//! And ordinary life, in which none does.

mod backups;

use crate::{
    recipients::run::sandbox,
    support::bench::{Bench, Call, DATABASE, on_every_engine},
};
use backups::{Backup, file, one_by_one};
use serde_json::json;
use std::fs;
use sunset::catalog::Engine;

const RULE: &str = "- {id: t, table: core.t, starting_point: at_day, retention_period: 5 years, disposition: erase}";

/// Five rows are due, two are not.
async fn customers(bench: &Bench) {
    bench
        .script(
            "create table t (id {int} primary key, at_day {date}, email {text});
             insert into t values (1, '2001-01-01', 'a'), (2, '2001-01-01', 'b'), (3, '2001-01-02', 'c'),
             (4, '2001-01-03', 'd'), (5, '2001-01-04', 'e'), (6, '2025-01-01', 'f'), (7, '2025-01-02', 'g')",
        )
        .await;
    bench.rules(RULE);
}

fn ids() -> &'static str {
    "select id from t order by id"
}

/// The run touches nothing and says whom it waits for.
async fn stops(bench: &Bench, left: &str) -> Call {
    let entries = bench.evidence().intents.len();
    let call = bench.sunset(&["run", "--now", bench.now]).expect(3);
    assert!(call.err.contains("sunset restored core --by"), "{}", call.err);
    assert_eq!(bench.list(ids()).await, left, "the run touched something");
    let evidence = bench.evidence();
    assert_eq!(evidence.intents.len(), entries, "a batch was announced");
    let refusals = evidence.events("refusal");
    assert_eq!(refusals.last().unwrap()["reason_code"], "restored");
    let status = bench.sunset(&["status"]).expect(0);
    assert!(status.out.contains("refused: database `core`"), "{status:?}");
    call
}

fn accept(bench: &Bench) -> Call {
    let why = ["--by", "dba@example.com", "--reason", "disk failure, backup of the night before"];
    bench.sunset(&[&["restored", DATABASE][..], &why].concat()).expect(0)
}

fn check(bench: &Bench, code: i32) -> Call {
    bench.sunset(&["restored", DATABASE, "--by", "dba@example.com", "--check"]).expect(code)
}

/// The whole way: a run, a restore, a run that stops, a person who looks, a run that erases again, the proof.
async fn a_restored_database_stops_the_next_run(bench: Bench) {
    customers(&bench).await;
    let backup = Backup::of(&bench).await;
    assert_eq!(bench.run(0).disposed(), 5);
    backup.restore(&bench).await;
    stops(&bench, "1 2 3 4 5 6 7").await;
    stops(&bench, "1 2 3 4 5 6 7").await;
    check(&bench, 4);
    let told = accept(&bench).out;
    assert!(told.contains("5 of 5 erased rows are there again") && told.contains("--check"), "{told}");
    let status = bench.sunset(&["status"]).expect(0);
    assert!(!status.out.contains("refused"), "{status:?}");
    assert_eq!(bench.run(0).disposed(), 5);
    assert_eq!(bench.list(ids()).await, "6 7");
    let proof = check(&bench, 0).out;
    assert!(proof.contains("none of 5 erased rows is there"), "{proof}");
    assert_eq!(bench.run(0).disposed(), 0);
    let evidence = bench.evidence();
    let restored = evidence.events("restored");
    assert_eq!(restored[0]["by"], "dba@example.com");
    assert_eq!(restored[0]["back"].as_object().unwrap().values().collect::<Vec<_>>(), [&json!(5)]);
    assert_eq!(evidence.events("restore_checked").last().unwrap()["back"], json!({}));
    backup.forget(&bench).await;
}

/// A dump that is played back over the tables of the database leaves its log where it was; the rows tell.
async fn tables_that_are_made_anew_with_erased_rows_stop_the_next_run(bench: Bench) {
    customers(&bench).await;
    // the last batch has one row
    bench.settings("time_zone: Asia/Tokyo\npace: {batch_rows: 2}");
    let backup = Backup::of(&bench).await;
    bench.run(0);
    backup.replay(&bench).await;
    let told = stops(&bench, "1 2 3 4 5 6 7").await.err;
    if bench.engine != Engine::Sqlite {
        assert!(
            told.contains("the tables that rules govern were made anew, and 5 of the 5 rows are there again"),
            "{told}"
        );
    }
    accept(&bench);
    assert_eq!(bench.run(0).disposed(), 5);
    backup.forget(&bench).await;
}

/// What came back and is not due, or is held, is told by the proof.
async fn the_proof_tells_of_rows_that_stay(bench: Bench) {
    customers(&bench).await;
    let backup = Backup::of(&bench).await;
    bench.run(0);
    backup.restore(&bench).await;
    accept(&bench);
    let row = ["hold", "add", "--table", "core.t", "--key", "3"];
    let why = ["--matter", "27 O 1", "--reason", "suit", "--owner", "legal@example.com", "--review", "2030-01-01"];
    bench.sunset(&[&row[..], &why[..]].concat()).expect(0);
    assert_eq!(bench.run(0).disposed(), 4);
    let told = check(&bench, 4).out;
    assert!(told.contains("1 of 5 erased rows are there again"), "{told}");
    backup.forget(&bench).await;
}

/// A plan says what a run would refuse, where the position alone tells.
async fn a_plan_and_validate_tell_of_it(bench: Bench) {
    if bench.engine == Engine::Mysql {
        return;
    }
    customers(&bench).await;
    let backup = Backup::of(&bench).await;
    bench.run(0);
    assert_eq!(bench.plan()["refusals"], json!([]));
    backup.restore(&bench).await;
    let refusals = bench.plan()["refusals"].to_string();
    assert!(refusals.contains("sunset restored core"), "{refusals}");
    let warned = bench.sunset(&["validate"]).expect(0);
    assert!(warned.err.contains("W0616"), "{warned:?}");
    accept(&bench);
    assert_eq!(bench.plan()["refusals"], json!([]));
    backup.forget(&bench).await;
}

/// Whoever has confirmed is not asked again about rows that a restore brought back; whoever registers anew is.
async fn recipients_are_not_asked_twice_about_rows_that_came_back(bench: Bench) {
    let sandbox = sandbox().await;
    sandbox.seed("stripe", &json!({"customers": ["cus_1", "cus_2", "cus_3"]}));
    fs::write(bench.path("stripe_key"), "sk_test_planted").unwrap();
    bench.settings(&format!(
        "time_zone: Asia/Tokyo\nrecipients:\n  stripe: {{api_key: \"${{file:stripe_key}}\", url: \"{}\"}}",
        sandbox.url("stripe")
    ));
    bench
        .script(
            "create table t (id {int} primary key, at_day {date}, stripe_id {text});
             insert into t values (1, '2001-01-01', 'cus_1'), (2, '2001-01-01', 'cus_2'), (3, '2025-01-01', 'cus_3')",
        )
        .await;
    let rule = RULE.trim_end_matches('}');
    bench.rules(&format!("{rule}, recipients: [stripe: {{customer: stripe_id}}]}}"));
    let asked = || sandbox.calls("stripe").get("DELETE /v1/customers/{customer}").copied().unwrap_or(0);
    let backup = Backup::of(&bench).await;
    bench.run(0);
    assert_eq!(asked(), 2);
    backup.restore(&bench).await;
    stops(&bench, "1 2 3").await;
    accept(&bench);
    assert_eq!(bench.run(0).disposed(), 2);
    assert_eq!(asked(), 2, "nobody is asked twice");
    bench.script("insert into t values (1, '2001-01-01', 'cus_1')").await;
    assert_eq!(bench.run(0).disposed(), 1);
    assert_eq!(asked(), 3, "who registers anew is asked about anew");
    backup.forget(&bench).await;
}

/// Writes, maintenance, changes of the schema, rehearsals: nothing of it is a restore.
async fn ordinary_life_raises_no_alarm(bench: Bench) {
    customers(&bench).await;
    bench.run(0);
    let maintain: &[&str] = match bench.engine {
        Engine::Postgres => &["vacuum full", "cluster t using t_pkey", "checkpoint", "select pg_switch_wal()"],
        Engine::Mysql => &["optimize table t", "alter table t engine = InnoDB", "flush tables"],
        Engine::Sqlite => &["vacuum", "pragma journal_mode = wal", "pragma wal_checkpoint(truncate)", "vacuum"],
    };
    for round in 0..3 {
        let first = 100 + 10 * round;
        bench
            .script(&format!(
                "insert into t values ({first}, '2001-01-01', 'h'), ({}, '2001-01-01', 'i'), ({}, '2026-01-01', 'j')",
                first + 1,
                first + 2
            ))
            .await;
        one_by_one(&bench, maintain).await;
        assert_eq!(bench.run(0).disposed(), 2);
        bench.sunset(&["run", "--rehearsal", "--now", bench.now]).expect(0);
        assert_eq!(bench.plan()["refusals"], json!([]));
    }
    // a table that others copied and renamed has the rows that it had
    let keys = if bench.engine == Engine::Sqlite { "id integer primary key" } else { "id int primary key" };
    bench
        .script(&format!(
            "create table u ({keys}, at_day {{date}}, email {{text}}); insert into u select * from t; drop table t;
             alter table u rename to t"
        ))
        .await;
    bench.run(0);
    // one who came back under the same key after that is no restore
    bench.script("insert into t values (120, '2001-01-01', 'h')").await;
    assert_eq!(bench.run(0).disposed(), 1);
    let told = check(&bench, 0).out;
    assert!(told.starts_with("core: none of "), "{told}");
}

/// A database that nobody has noted is noted; so is one that a person has accepted without being asked.
async fn a_restore_can_be_told_before_a_run_notices(bench: Bench) {
    customers(&bench).await;
    let told = accept(&bench).out;
    assert!(told.contains("none of 0 erased rows is there"), "{told}");
    let backup = Backup::of(&bench).await;
    bench.run(0);
    backup.restore(&bench).await;
    accept(&bench);
    assert_eq!(bench.run(0).disposed(), 5);
    backup.forget(&bench).await;
}

on_every_engine!(
    a_restored_database_stops_the_next_run,
    tables_that_are_made_anew_with_erased_rows_stop_the_next_run,
    the_proof_tells_of_rows_that_stay,
    a_plan_and_validate_tell_of_it,
    recipients_are_not_asked_twice_about_rows_that_came_back,
    ordinary_life_raises_no_alarm,
    a_restore_can_be_told_before_a_run_notices,
);

/// With a write-ahead log the header's counter moves only when the first page does; a run makes sure that it has.
#[tokio::test]
async fn a_copy_of_a_file_with_a_write_ahead_log_is_told() {
    let bench = Bench::new(Engine::Sqlite).await;
    customers(&bench).await;
    one_by_one(&bench, &["pragma journal_mode = wal", "pragma wal_checkpoint(truncate)", "pragma user_version = 7"])
        .await;
    let backup = Backup::of(&bench).await;
    assert_eq!(bench.run(0).disposed(), 5);
    assert_eq!(bench.list("pragma user_version").await, "7");
    backup.restore(&bench).await;
    stops(&bench, "1 2 3 4 5 6 7").await;
}

/// A file that is moved is the same file, whatever its number on the new volume.
#[tokio::test]
async fn a_file_that_is_moved_goes_on() {
    let bench = Bench::new(Engine::Sqlite).await;
    customers(&bench).await;
    bench.run(0);
    let (here, there) = (file(&bench), bench.path("moved.db"));
    fs::copy(&here, &there).unwrap();
    fs::remove_file(&here).unwrap();
    fs::rename(&there, &here).unwrap();
    assert_eq!(bench.run(0).disposed(), 0);
}

/// A user who may not see the cluster's number knows the rest.
#[tokio::test]
async fn what_a_user_may_not_see_is_unknown() {
    let mut bench = Bench::new(Engine::Postgres).await;
    customers(&bench).await;
    let user = format!("{}_user", bench.database.name);
    bench
        .script(&format!(
            "create role {user} login password 'planted'; grant select, delete, update on t to {user};
             revoke execute on function pg_control_system() from public"
        ))
        .await;
    let (_, place) = bench.database.url.split_once('@').unwrap();
    bench.variables.push(("BENCH_URL", format!("postgres://{user}:planted@{place}")));
    assert_eq!(bench.run(0).disposed(), 5);
    assert_eq!(bench.run(0).disposed(), 0);
    // tables that no rule governs any more
    bench
        .script(&format!(
            "create table u (id int primary key, at_day date); insert into u values (1, '2001-01-01'), (2, '2001-01-01');
             grant select, delete on u to {user}"
        ))
        .await;
    bench.rules(&format!("{RULE}\n{}", RULE.replace("id: t", "id: u").replace("core.t", "core.u")));
    assert_eq!(bench.run(0).disposed(), 2);
    bench
        .script(&format!("revoke all on u from {user}; insert into u values (1, '2001-01-01'), (2, '2001-01-01')"))
        .await;
    bench.rules(RULE);
    assert_eq!(bench.run(0).disposed(), 0);
    let told = accept(&bench).out;
    assert!(told.contains("of 2 erased rows nobody can tell"), "{told}");
    let evidence = bench.evidence();
    let noted = &evidence.events("position_noted")[0]["position"];
    assert!(noted["cluster"].is_null() && noted["log"].is_u64() && noted["number"].is_string(), "{noted}");
    bench.script(&format!("drop owned by {user}; drop role {user}")).await;
}

/// A restore stops the whole run, rules on other databases included.
#[tokio::test]
async fn the_whole_run_stops() {
    let bench = Bench::new(Engine::Sqlite).await;
    customers(&bench).await;
    let other = bench.path("other.db");
    fs::copy(file(&bench), &other).unwrap();
    let settings = fs::read_to_string(bench.path("sunset.yaml")).unwrap();
    let more = format!("databases: {{other: {{url: \"sqlite:{}\"}}, ", other.display());
    fs::write(bench.path("sunset.yaml"), settings.replace("databases: {", &more)).unwrap();
    let other_rule = RULE.replace("id: t", "id: other").replace("core.t", "other.t");
    bench.rules(&format!("{RULE}\n{other_rule}"));
    let backup = Backup::of(&bench).await;
    assert_eq!(bench.run(0).disposed(), 10);
    backup.restore(&bench).await;
    stops(&bench, "1 2 3 4 5 6 7").await;
}
