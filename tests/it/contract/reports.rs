//! Reports tell the truth: what the database undoes, what is left and why, what nobody has looked for, what is gone.

use crate::support::bench::{Bench, on_every_engine};
use serde_json::Value as Json;
use sunset::catalog::Engine;

const ERASE: &str =
    "- {id: t, table: core.t, starting_point: ended, retention_period: 1 year, disposition: erase MORE}";

async fn rows(bench: &Bench) {
    bench
        .script(
            "create table t (id {int} primary key, status {text}, name {text}, ended {date});
             insert into t values (1, 'settled', 'Hanako', '2000-01-01'), (2, 'settled', 'Taro', '2000-01-01'),
               (3, 'open', 'Jiro', '2000-01-01')",
        )
        .await;
}

fn rule(bench: &Bench, more: &str) {
    bench.rules(&ERASE.replace(" MORE", more));
}

fn message(report: &crate::support::bench::Report) -> String {
    report.rule("t")["message"].as_str().unwrap_or_default().to_owned()
}

/// Rows that a trigger writes again, with their own key or with another one.
async fn a_trigger_that_writes_rows_again(bench: Bench) {
    if bench.engine == Engine::Mysql {
        // its triggers cannot change the table that they fire for
        return;
    }
    for (job, key, when) in
        [("first", "old.id + 1000", "after"), ("second", "old.id", "after"), ("third", "-old.id", "after")]
    {
        // to one job, a table that is made anew with the keys of erased rows would be a restored one
        let bench = bench.beside(job);
        rows(&bench).await;
        let insert = format!("insert into t values ({key}, old.status, old.name, old.ended)");
        bench
            .script_for(
                &format!(
                    "create or replace function back() returns trigger language plpgsql as
                       $$ begin {insert}; return null; end $$;
                     create trigger back {when} delete on t for each row execute function back()"
                ),
                "",
                &format!("create trigger back {when} delete on t begin {insert}; end"),
            )
            .await;
        rule(&bench, "");
        for _ in 0..2 {
            let report = bench.run(4);
            assert_eq!(report.rule("t")["result"], "failed");
            assert_eq!(report.rule("t")["remaining"]["left_by_failure"], 3, "{report:?}");
            assert!(message(&report).contains("trigger `back`"), "{report:?}");
        }
        assert_eq!(bench.count("select count(*) from t").await, 3);
        bench.script("drop table t").await;
    }
}

/// The same at the end of the transaction.
async fn a_trigger_that_fires_at_the_commit(bench: Bench) {
    if bench.engine != Engine::Postgres {
        return;
    }
    rows(&bench).await;
    bench
        .script(
            "create function back() returns trigger language plpgsql as
               $$ begin insert into t values (old.id + 1000, old.status, old.name, old.ended); return null; end $$;
             create constraint trigger back after delete on t deferrable initially deferred
               for each row execute function back()",
        )
        .await;
    rule(&bench, "");
    let report = bench.run(4);
    assert!(message(&report).contains("trigger `back`"), "{report:?}");
    assert_eq!(bench.count("select count(*) from t").await, 3);
}

/// Values that a trigger changes again never come to rest.
async fn a_trigger_that_rewrites_values(bench: Bench) {
    for value in ["lower(new.name)", "concat(new.name, '!')", "old.name"] {
        if bench.engine == Engine::Sqlite && value.starts_with("concat") {
            continue;
        }
        rows(&bench).await;
        bench
            .script_for(
                &format!(
                    "create or replace function again() returns trigger language plpgsql as
                       $$ begin new.name := {value}; return new; end $$;
                     create trigger again before update on t for each row execute function again()"
                ),
                &format!(
                    "alter table t modify name varchar(80) collate utf8mb4_bin;
                     create trigger again before update on t for each row set new.name = {value}"
                ),
                &format!(
                    "create trigger again after update on t begin update t set name = {value} where id = new.id; end"
                ),
            )
            .await;
        bench.rules(
            "- {id: t, table: core.t, starting_point: ended, retention_period: 1 year, disposition: anonymize,
   columns: {name: {replace: 'ERASED-{key}'}}}",
        );
        for _ in 0..2 {
            let report = bench.run(4);
            let message = message(&report);
            assert!(message.contains("trigger `again`") || message.contains("`name`"), "{value}: {message}");
            assert_eq!(report.rule("t")["remaining"]["left_by_failure"], 3, "{value}: {report:?}");
        }
        bench.script("drop table t").await;
    }
}

/// What a rule that fails leaves is counted.
async fn rows_that_a_failure_leaves(bench: Bench) {
    rows(&bench).await;
    bench.script("insert into t values (4, 'open', 'Saburo', null)").await;
    bench
        .script_for(
            "create function no() returns trigger language plpgsql as
               $$ begin if old.id = 2 then raise exception 'no'; end if; return old; end $$;
             create trigger no before delete on t for each row execute function no()",
            "create trigger no before delete on t for each row
               begin if old.id = 2 then signal sqlstate '45000'; end if; end",
            "create trigger no before delete on t when old.id = 2 begin select raise(abort, 'no'); end",
        )
        .await;
    rule(&bench, "");
    let hold = ["hold", "add", "--table", "core.t", "--key", "3", "--matter", "m", "--reason", "r"];
    bench.sunset(&[&hold[..], &["--owner", "o", "--review", "2027-01-01"]].concat()).expect(0);
    assert_eq!(bench.run(4).line("t"), "failed 0 held=1 left_by_failure=2 without_starting_point=1");
    bench.settings("time_zone: Asia/Tokyo\npace: {batch_rows: 1}");
    assert_eq!(bench.run(4).line("t"), "failed 1 held=1 left_by_failure=1 without_starting_point=1");
    assert_eq!(bench.list("select id from t order by id").await, "2 3 4");
}

/// A row that was planned and went by itself is no row that was disposed of.
async fn rows_that_are_no_longer_due(bench: Bench) {
    if bench.engine == Engine::Mysql {
        return;
    }
    rows(&bench).await;
    bench
        .script_for(
            "create function along() returns trigger language plpgsql as
               $$ begin delete from t where id = old.id + 1; return null; end $$;
             create trigger along after delete on t for each row execute function along()",
            "",
            "create trigger along after delete on t begin delete from t where id = old.id + 1; end",
        )
        .await;
    rule(&bench, "");
    bench.settings("time_zone: Asia/Tokyo\npace: {batch_rows: 1}");
    let report = bench.run(0);
    let rule = report.rule("t");
    let fewer = &rule["fewer"]["no_longer_due"];
    assert_eq!(rule["disposed"].as_u64().unwrap() + fewer.as_u64().unwrap(), 3, "{report:?}");
    assert_eq!(bench.count("select count(*) from t").await, 0);
}

fn warnings(bench: &Bench) -> Vec<String> {
    let plan = bench.plan();
    let all = plan["steps"][0]["warnings"].as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned());
    all.filter(|text| text.starts_with("W0610")).collect()
}

async fn conditions_that_no_row_meets(bench: Bench) {
    rows(&bench).await;
    let told = |condition: &str| {
        rule(&bench, &format!(", where: {condition}"));
        warnings(&bench)
    };
    for condition in [
        "{status: [settled]}",
        "{status: [settled, open]}",
        "{status: {not: [open]}}",
        "{status: settled, name: Taro}",
        "\"status = 'settled' and name = 'Taro'\"",
    ] {
        assert_eq!(told(condition), Vec::<String>::new(), "{condition}");
    }
    for (condition, near) in [
        ("{status: [setled]}", Some("`settled`")),
        ("{status: [settled, opne]}", Some("`open`")),
        ("{status: {not: [opn]}}", Some("`open`")),
        ("{status: [cancelled]}", None),
        ("\"status = 'Settled.'\"", None),
        ("{status: open, name: Taro}", None),
    ] {
        let found = told(condition);
        assert_eq!(found.len(), 1, "{condition}: {found:?}");
        assert_eq!(near.map(|near| found[0].contains(near)), near.map(|_| true), "{condition}: {found:?}");
    }
    // a run is none the worse for it
    rule(&bench, ", where: {status: [setled]}");
    assert_eq!(bench.run(0).line("t"), "nothing_due 0");
    bench.script("delete from t").await;
    assert_eq!(warnings(&bench), Vec::<String>::new(), "an empty table");
}

/// Rows that a rule has dealt with meet its condition all the same.
async fn rows_at_rest_meet_their_condition(bench: Bench) {
    rows(&bench).await;
    bench.rules(
        "- {id: t, table: core.t, starting_point: ended, retention_period: 1 year, disposition: anonymize,
   where: \"status = 'settled'\", columns: {name: suppress}}",
    );
    assert_eq!(bench.run(0).line("t"), "done 2");
    assert_eq!(warnings(&bench), Vec::<String>::new());
}

async fn a_rule_that_is_gone_is_named(bench: Bench) {
    rows(&bench).await;
    bench.script("create table u (id {int} primary key, ended {date})").await;
    let other = "- {id: u, table: core.u, starting_point: ended, retention_period: 1 year, disposition: erase}";
    bench.rules(&format!("{}\n{other}", ERASE.replace(" MORE", "")));
    bench.run(0);
    bench.rules(other);
    let named = |bench: &Bench| -> Vec<bool> {
        let json = |words: &[&str]| -> Json {
            serde_json::from_str(&bench.sunset(&[words, &["--format", "json"]].concat()).expect(0).out).unwrap()
        };
        let is_named = |json: Json| json["gone_rules"] == serde_json::json!(["t"]);
        let plan = ["plan", "--now", bench.now];
        let text = bench.sunset(&plan).expect(0).out;
        let valid = bench.sunset(&["validate"]).expect(0);
        vec![
            is_named(json(&plan)),
            is_named(json(&["run", "--now", bench.now])),
            is_named(json(&["status"])),
            text.contains("t: it was in a run"),
            (valid.out + &valid.err).contains("rule `t` was in a run"),
            bench.sunset(&["status"]).expect(0).out.contains("t: it was in a run"),
        ]
    };
    assert_eq!(named(&bench), [true; 6]);
    bench.settings("time_zone: Asia/Tokyo\nretired: [t]");
    assert_eq!(named(&bench), [false; 6]);
}

/// A row that had a starting point at the last run and has none now would stay for ever.
async fn rows_that_lose_their_starting_points(bench: Bench) {
    rows(&bench).await;
    bench
        .script(
            "insert into t values (10, 'open', 'a', '2026-01-01'), (11, 'open', 'b', '2026-01-01'),
               (12, 'open', 'c', '2026-01-01'), (13, 'open', 'd', null)",
        )
        .await;
    rule(&bench, "");
    assert_eq!(bench.run(0).line("t"), "explained_rest 3 without_starting_point=1");
    // rows that are new without one have lost nothing, nor have those that get one, or go by themselves
    bench.script("insert into t values (14, 'open', 'e', null); update t set ended = '2026-02-01' where id = 13").await;
    bench.script("delete from t where id = 12").await;
    bench.run(0);
    bench.script("update t set ended = null where id in (10, 11)").await;
    for _ in 0..2 {
        let report = bench.run(4);
        assert_eq!(report.rule("t")["result"], "failed");
        assert!(message(&report).contains("2 rows had a starting point"), "{report:?}");
    }
    rule(&bench, ", limits: {lost_starts: 1}");
    // rows that are due go all the same
    bench.script("insert into t values (15, 'open', 'f', '2001-01-01')").await;
    rule(&bench, "");
    assert_eq!(bench.run(4).rule("t")["disposed"], 1);
    rule(&bench, ", limits: {lost_starts: 2}");
    bench.run(0);
    rule(&bench, "");
    bench.run(0);
}

/// Nobody knows what there would be to do.
async fn an_unreachable_database_is_not_nothing_to_do(bench: Bench) {
    let unreachable = match bench.engine {
        Engine::Postgres => "postgres://u:p@127.0.0.1:1/x",
        Engine::Mysql => "mysql://u:p@127.0.0.1:1/x",
        Engine::Sqlite => "sqlite:/nowhere/at/all.db",
    };
    rule(&bench, "");
    for words in [&["plan", "--now", bench.now][..], &["run", "--now", bench.now]] {
        for format in ["text", "json", "markdown"] {
            let words = [words, &["--format", format]].concat();
            let call = bench.sunset_with(&words, &[("BENCH_URL", unreachable)]);
            assert!(call.code != 0, "{call:?}");
            let said = call.out.to_lowercase() + &call.err.to_lowercase();
            assert!(!said.contains("nothing to do") && !said.contains("nothing due"), "{call:?}");
        }
    }
}

on_every_engine!(
    a_trigger_that_writes_rows_again,
    a_trigger_that_fires_at_the_commit,
    a_trigger_that_rewrites_values,
    rows_that_a_failure_leaves,
    rows_that_are_no_longer_due,
    conditions_that_no_row_meets,
    rows_at_rest_meet_their_condition,
    a_rule_that_is_gone_is_named,
    rows_that_lose_their_starting_points,
    an_unreachable_database_is_not_nothing_to_do,
);
