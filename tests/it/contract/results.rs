//! What the program says of a run: result words, exit codes, what the ledger holds; and what databases do on their own.

use super::fates_come_true;
use crate::support::bench::{Bench, on_every_engine};
use sunset::catalog::Engine;

async fn nothing_due(bench: Bench) {
    bench
        .script(
            "create table t (id {int} primary key, at_day {date}); insert into t values (1, '2025-01-01'), (2, null)",
        )
        .await;
    let rule = "- {id: t, table: core.t, retention_period: 5 years, disposition: erase, starting_point: POINT}";
    bench.rules(&rule.replace("POINT", "{column: at_day, missing: ignore}"));
    assert_eq!(bench.run(0).line("t"), "nothing_due 0");
    bench.rules(&rule.replace("POINT", "at_day"));
    assert_eq!(bench.run(0).line("t"), "explained_rest 0 without_starting_point=1");
    let evidence = bench.evidence();
    assert_eq!((evidence.intents.len(), evidence.events("run_finished").len()), (0, 2));
}

/// A trigger keeps a row that was to go: the rule fails, the database stays as it was, the other rule goes on.
async fn a_trigger_that_keeps_rows(bench: Bench) {
    bench
        .script(
            "create table kept (id {int} primary key, at_day {date});
             create table other (id {int} primary key, at_day {date});
             insert into kept values (1, '2001-01-01'), (2, '2001-01-01');
             insert into other values (1, '2001-01-01')",
        )
        .await;
    bench
        .script_for(
            "create function keep() returns trigger language plpgsql as 'begin if old.id = 2 then return null; end if;
               return old; end';
             create trigger keep before delete on kept for each row execute function keep()",
            "create trigger keep_it before delete on kept for each row
               begin if old.id = 2 then signal sqlstate '45000' set message_text = 'no'; end if; end",
            "create trigger keep before delete on kept when old.id = 2 begin select raise(ignore); end",
        )
        .await;
    bench.rules(
        "
- {id: kept, table: core.kept, starting_point: at_day, retention_period: 5 years, disposition: erase}
- {id: other, table: core.other, starting_point: at_day, retention_period: 5 years, disposition: erase}",
    );
    let report = bench.run(4);
    assert_eq!(report.rule("kept")["result"], "failed");
    assert!(report.rule("kept")["message"].is_string(), "{report:?}");
    assert_eq!(report.line("other"), "done 1");
    assert_eq!(bench.list("select max(id) from kept").await, "2");
    let gone = 2 - bench.count("select count(*) from kept").await;
    assert_eq!(bench.evidence().committed_rows(), 1 + gone);
    bench.run(4);
}

/// A constraint that Sunset cannot know of beforehand.
async fn a_constraint_that_objects(bench: Bench) {
    bench
        .script(
            "create table people (id {int} primary key, at_day {date}, name {text} check (name <> 'erased'));
             insert into people values (1, '2001-01-01', 'Hanako')",
        )
        .await;
    bench.rules(
        "
- {id: people, table: core.people, starting_point: at_day, retention_period: 5 years, disposition: anonymize,
   columns: {name: {replace: erased}}}",
    );
    assert_eq!(bench.run(4).line("people"), "failed 0 left_by_failure=1");
    assert_eq!(bench.list("select name from people").await, "Hanako");
    let evidence = bench.evidence();
    assert!(evidence.is_settled() && evidence.committed_rows() == 0);
    assert_eq!(evidence.events("failure").len(), 1);
}

/// Rows that a trigger writes when others go are not Sunset's business; that they are there must not confuse it.
async fn a_trigger_that_writes_elsewhere(bench: Bench) {
    bench
        .script(
            "create table t (id {int} primary key, at_day {date}, fate {text}); create table log (id {int});
             insert into t values (1, '2001-01-01', 'goes'), (2, '2025-01-01', 'stays'), (3, '2001-01-01', 'goes')",
        )
        .await;
    bench
        .script_for(
            "create function note() returns trigger language plpgsql as
               'begin insert into log values (old.id); return old; end';
             create trigger note after delete on t for each row execute function note()",
            "create trigger note after delete on t for each row insert into log values (old.id)",
            "create trigger note after delete on t begin insert into log values (old.id); end",
        )
        .await;
    bench.rules("- {id: t, table: core.t, starting_point: at_day, retention_period: 5 years, disposition: erase}");
    fates_come_true(&bench, &["t"]).await;
    assert_eq!(bench.count("select count(*) from log").await, 2);
}

/// All leaves of a partitioned table, some of them partitioned again.
async fn partitioned_tables(bench: Bench) {
    if bench.engine == Engine::Sqlite {
        return;
    }
    bench
        .script_for(
            "create table t (id int, at_day date, fate text, primary key (id, at_day)) partition by range (at_day);
             create table t_old partition of t for values from (minvalue) to ('2010-01-01') partition by range (id);
             create table t_old_low partition of t_old for values from (minvalue) to (100);
             create table t_old_high partition of t_old for values from (100) to (maxvalue);
             create table t_new partition of t for values from ('2010-01-01') to ('2023-01-01');
             create table t_rest partition of t default;
             create table logs (id int primary key, t_id int, t_day date, fate text,
               foreign key (t_id, t_day) references t (id, at_day))",
            "create table t (id int, at_day date, fate text, primary key (id, at_day)) partition by range (year(at_day))
               (partition old values less than (2010), partition new values less than (2023),
                partition rest values less than maxvalue);
             create table logs (id int primary key, t_id int, t_day date, fate text)",
            "",
        )
        .await;
    bench
        .script(
            "insert into t values (1, '2001-01-01', 'goes'), (200, '2001-01-01', 'goes'), (2, '2021-11-21', 'goes'),
               (3, '2021-11-22', 'stays'), (4, '2025-01-01', 'stays'), (5, '2015-01-01', 'goes')",
        )
        .await;
    let rule = "- {id: t, table: core.t, starting_point: at_day, retention_period: 5 years, disposition: erase,
                   DEPENDENTS}";
    if bench.engine == Engine::Postgres {
        bench.script("insert into logs values (1, 200, '2001-01-01', 'goes'), (2, 3, '2021-11-22', 'stays')").await;
        bench.rules(&rule.replace("DEPENDENTS", "dependents: {core.logs: erase}"));
        fates_come_true(&bench, &["t", "logs"]).await;
        bench
            .script("drop table logs; insert into t values (7, '1999-01-01', 'goes'), (300, '1999-01-01', 'goes')")
            .await;
    }
    // and without dependents, which is another way through the table
    bench.rules(&rule.replace("DEPENDENTS", "limits: {max_rows: 1000}"));
    fates_come_true(&bench, &["t"]).await;
}

/// The exit codes of commands that are called the wrong way.
async fn wrong_calls(bench: Bench) {
    bench.script("create table t (id {int} primary key, at_day {date})").await;
    bench.rules("- {id: t, table: core.t, starting_point: at_day, retention_period: 5 years, disposition: erase}");
    for arguments in [
        &["run", "--rule", "nobody"][..],
        &["run", "--now", "yesterday"],
        &["run", "--plan", "/nowhere/plan.json"],
        &["run", "--format", "xml"],
        &["erase", "everything"],
        &[],
    ] {
        bench.sunset(arguments).expect(2);
    }
    bench.settings("time_zone: Mars/Olympus");
    bench.sunset(&["run"]).expect(2);
}

/// A database that is not there, or lets nobody in.
async fn databases_out_of_reach(bench: Bench) {
    bench.script("create table t (id {int} primary key, at_day {date})").await;
    bench.rules("- {id: t, table: core.t, starting_point: at_day, retention_period: 5 years, disposition: erase}");
    let url = &bench.database.url;
    let (unreachable, refusing) = match bench.engine {
        Engine::Postgres => {
            ("postgres://u:p@127.0.0.1:1/x".to_owned(), url.replace("://postgres:", "://postgres:wrong"))
        }
        Engine::Mysql => ("mysql://u:p@127.0.0.1:1/x".to_owned(), url.replace("://root:", "://root:wrong")),
        Engine::Sqlite => return,
    };
    let call = bench.sunset_with(&["run", "--format", "json"], &[("BENCH_URL", &unreachable)]).expect(75);
    assert!(call.out.contains("\"temporary\""), "{call:?}");
    let call = bench.sunset_with(&["run", "--format", "json"], &[("BENCH_URL", &refusing)]).expect(2);
    let password = refusing.split(['/', '@']).nth(2).unwrap().split_once(':').unwrap().1;
    assert!(!call.out.contains(password) && !call.err.contains(password), "a password is shown");
}

on_every_engine!(
    nothing_due,
    a_trigger_that_keeps_rows,
    a_constraint_that_objects,
    a_trigger_that_writes_elsewhere,
    partitioned_tables,
    wrong_calls,
    databases_out_of_reach,
);
