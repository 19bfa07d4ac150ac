//! Triggers of a rule's tables that change what rules read: seen in the first batch, before anything is committed. Harmless
//! ones stop nothing.

use crate::support::bench::{Bench, Report, on_every_engine};
use sunset::catalog::Engine;

const RULES: &str = "
- {id: ended, table: core.ended, starting_point: at, retention_period: 5 years, disposition: erase,
   dependents: {core.parts: erase}}
- {id: others, table: core.others, starting_point: at, retention_period: 5 years, disposition: erase}
- {id: blank, table: core.blank, starting_point: at, retention_period: 5 years, disposition: anonymize,
   columns: {name: suppress}, dependents: {core.notes: {anonymize: {text: suppress}}}}
- {id: notes, table: core.notes, starting_point: at, retention_period: 9 years, disposition: erase}";

const TABLES: &str = "
create table ended (id {int} primary key, at {date}, name {text});
create table parts (id {int} primary key, ended_id {int}, foreign key (ended_id) references ended (id));
create index parts_ended on parts (ended_id);
create table others (id {int} primary key, at {date}, name {text});
create table blank (id {int} primary key, at {date}, name {text});
create table notes (id {int} primary key, at {date}, text {text}, blank_id {int}, foreign key (blank_id) references blank (id));
create index notes_blank on notes (blank_id);
create table heard (id {int}, word {text});
insert into ended values (1, '2001-01-01', 'a'), (2, '2001-01-01', 'b'), (3, '2026-01-01', 'c');
insert into parts values (10, 1), (11, 2), (30, 3);
insert into others values (1, '2026-01-01', 'a'), (2, '2026-02-01', 'b');
insert into blank values (1, '2001-01-01', 'a'), (2, '2026-01-01', 'b');
insert into notes values (1, '2020-01-01', 'x', 1), (2, '2021-01-01', 'y', 2)";

async fn company(bench: &Bench) {
    bench.script(TABLES).await;
    bench.rules(RULES);
}

/// Makes a trigger of this name that executes a statement; `{old}` is the row before.
async fn trigger(bench: &Bench, name: &str, when: &str, table: &str, statement: &str) {
    let body = statement.replace("{old}", "old");
    let sql = match bench.engine {
        Engine::Postgres => {
            let gives = if when.contains("delete") { "old" } else { "new" };
            format!(
                "create function {name}() returns trigger language plpgsql as $$ begin {body}; return {gives}; end $$;
                 create trigger {name} {when} on {table} for each row execute function {name}()"
            )
        }
        Engine::Mysql => format!("create trigger {name} {when} on {table} for each row {body}"),
        Engine::Sqlite => format!("create trigger {name} {when} on {table} begin {body}; end"),
    };
    bench.script(&sql).await;
}

async fn drop(bench: &Bench, name: &str, table: &str) {
    bench
        .script_for(
            &format!("drop trigger {name} on {table}; drop function {name}()"),
            &format!("drop trigger {name}"),
            &format!("drop trigger {name}"),
        )
        .await;
}

const STATE: &str = "select 'ended', id, at, name from ended union all select 'parts', id, null, null from parts
    union all select 'others', id, at, name from others union all select 'notes', id, at, text from notes
    union all select 'heard', id, null, word from heard order by 1, 2";

/// The run fails with these words about the rule, and leaves the rule's tables and the ledger as they were.
async fn refused(bench: &Bench, rule: &str, words: &[&str]) -> Report {
    let before = bench.lines(STATE).await;
    let call = bench.sunset(&["run", "--now", bench.now, "--rule", rule, "--format", "json"]).expect(4);
    let report = Report(serde_json::from_str(&call.out).unwrap());
    assert_eq!(report.rule(rule)["result"], "failed");
    let message = report.rule(rule)["message"].as_str().unwrap();
    for word in words {
        assert!(message.contains(word), "{word}: {message}");
    }
    assert_eq!(bench.lines(STATE).await, before, "{message}");
    let evidence = bench.evidence();
    assert!(evidence.is_settled());
    assert_eq!(evidence.rows_of(report.run()), 0);
    assert!(evidence.events("failure").iter().any(|event| event["message"] == message), "the ledger says so");
    report
}

/// In another table of the job, before and after the row.
async fn a_trigger_that_moves_another_rules_starting_point(bench: Bench) {
    company(&bench).await;
    for when in ["before delete", "after delete"] {
        trigger(&bench, "older", when, "ended", "update others set at = '2001-01-01' where id = 2").await;
        refused(&bench, "ended", &["trigger `older`", "`at`", "others`"]).await;
        drop(&bench, "older", "ended").await;
    }
    assert_eq!(bench.run_to_the_end().line("ended"), "done 2");
    assert_eq!(bench.count("select count(*) from others").await, 2);
}

/// In other rows of the table itself, which MySQL's triggers cannot change.
async fn a_trigger_that_moves_starting_points_of_its_table(bench: Bench) {
    if bench.engine == Engine::Mysql {
        return;
    }
    company(&bench).await;
    for when in ["before delete", "after delete"] {
        trigger(&bench, "older", when, "ended", "update ended set at = '2001-01-01' where id = 3").await;
        refused(&bench, "ended", &["trigger `older`", "`at`", "ended`"]).await;
        drop(&bench, "older", "ended").await;
    }
    assert_eq!(bench.run_to_the_end().line("ended"), "done 2");
}

/// Once for the statement.
#[tokio::test]
async fn a_trigger_of_statements() {
    let bench = Bench::new(Engine::Postgres).await;
    company(&bench).await;
    for when in ["before", "after"] {
        bench
            .script(&format!(
                "create function older() returns trigger language plpgsql as
                   $$ begin execute 'upd' || 'ate others set at = ''2001-01-01'' where id = 2'; return null; end $$;
                 create trigger older {when} delete on ended for each statement execute function older()"
            ))
            .await;
        refused(&bench, "ended", &["trigger `older`", "`at`", "others`"]).await;
        drop(&bench, "older", "ended").await;
    }
    // it waits for the end of the transaction
    bench
        .script(
            "create function older() returns trigger language plpgsql as
               $$ begin update others set at = '2001-01-01' where id = 2; return null; end $$;
             create constraint trigger older after delete on ended deferrable initially deferred
               for each row execute function older()",
        )
        .await;
    refused(&bench, "ended", &["trigger `older`", "`at`", "others`"]).await;
}

/// A row that had to stay would go without any rule.
async fn a_trigger_that_erases_rows_of_another_rule(bench: Bench) {
    company(&bench).await;
    trigger(&bench, "gone", "after delete", "ended", "delete from others where id = 2").await;
    refused(&bench, "ended", &["trigger `gone`", "removes rows", "others`"]).await;
}

async fn a_trigger_of_a_dependent(bench: Bench) {
    company(&bench).await;
    trigger(&bench, "older", "after delete", "parts", "update others set at = '2001-01-01' where id = 2").await;
    refused(&bench, "ended", &["trigger `older`", "`at`", "others`"]).await;
}

/// Rows that are changed along, in a column that the rule does not write.
async fn a_trigger_of_a_dependent_that_is_changed(bench: Bench) {
    company(&bench).await;
    match bench.engine {
        Engine::Postgres => {
            let body = "new.at := '2026-01-01'";
            trigger(&bench, "newer", "before update", "notes", body).await;
        }
        Engine::Mysql => trigger(&bench, "newer", "before update", "notes", "set new.at = '2026-01-01'").await,
        Engine::Sqlite => {
            let body = "update notes set at = '2026-01-01' where id = new.id";
            trigger(&bench, "newer", "after update of text", "notes", body).await;
        }
    }
    refused(&bench, "blank", &["trigger `newer`", "`at`", "notes`"]).await;
    drop(&bench, "newer", "notes").await;
    assert_eq!(bench.run_to_the_end().line("blank"), "done 1");
    assert_eq!(bench.list("select at from notes order by id").await, "2020-01-01 2021-01-01");
}

/// Over the trigger of a table that nobody reads.
async fn a_trigger_behind_a_trigger(bench: Bench) {
    company(&bench).await;
    trigger(&bench, "hear", "after delete", "ended", "insert into heard values (old.id, 'gone')").await;
    trigger(&bench, "older", "after insert", "heard", "update others set at = '2001-01-01' where id = 2").await;
    refused(&bench, "ended", &["trigger `hear`", "`at`", "others`"]).await;
}

/// Over a routine, whose text nobody may see.
#[tokio::test]
async fn a_trigger_that_calls_a_routine() {
    let bench = Bench::new(Engine::Mysql).await;
    company(&bench).await;
    bench.script("create procedure older() modifies sql data update others set at = '2001-01-01' where id = 2").await;
    trigger(&bench, "calling", "after delete", "ended", "call older()").await;
    refused(&bench, "ended", &["trigger `calling`", "`at`", "others`"]).await;
    drop(&bench, "calling", "ended").await;
    bench
        .script(
            "create function older_still() returns int modifies sql data begin
               update others set at = '2001-01-01' where id = 2; return 1; end",
        )
        .await;
    trigger(&bench, "calling", "after delete", "ended", "set @ignored = older_still()").await;
    refused(&bench, "ended", &["trigger `calling`", "`at`", "others`"]).await;
}

/// Triggers that write what no rule reads, and that add rows.
async fn harmless_triggers(bench: Bench) {
    company(&bench).await;
    let heard = "insert into heard values (old.id, 'gone')";
    let renamed = "update others set name = 'z' where id = 2";
    let added = "insert into others values (old.id + 1000, '2026-05-05', 'new')";
    for (name, statement) in [("hearing", heard), ("renaming", renamed), ("adding", added)] {
        trigger(&bench, name, "after delete", "ended", statement).await;
    }
    trigger(&bench, "hearing_parts", "before delete", "parts", heard).await;
    trigger(&bench, "hearing_blank", "after update", "blank", "insert into heard values (old.id, 'blank')").await;
    trigger(&bench, "hearing_notes", "before update", "notes", "insert into heard values (old.id, 'note')").await;
    let report = bench.run_to_the_end();
    assert_eq!(report.line("ended"), "done 2");
    assert_eq!(report.line("blank"), "done 1");
    assert_eq!(bench.list("select id from others order by id").await, "1 2 1001 1002");
    assert_eq!(bench.list("select name from others where id = 2").await, "z");
    assert_eq!(bench.count("select count(*) from heard").await, 6, "each row is heard of once");
}

/// Two rules on one table, of which one has a trigger's column.
async fn a_trigger_that_moves_rows_under_another_rule(bench: Bench) {
    company(&bench).await;
    bench.rules(&format!(
        "{RULES}
- {{id: named, table: core.others, starting_point: at, retention_period: 1 year, disposition: anonymize,
   columns: {{name: suppress}}, where: {{name: special}}}}"
    ));
    trigger(&bench, "renaming", "after delete", "ended", "update others set name = 'special' where id = 2").await;
    refused(&bench, "ended", &["trigger `renaming`", "`name`", "others`"]).await;
}

on_every_engine!(
    a_trigger_that_moves_another_rules_starting_point,
    a_trigger_that_moves_starting_points_of_its_table,
    a_trigger_that_erases_rows_of_another_rule,
    a_trigger_of_a_dependent,
    a_trigger_of_a_dependent_that_is_changed,
    a_trigger_behind_a_trigger,
    harmless_triggers,
    a_trigger_that_moves_rows_under_another_rule,
);
