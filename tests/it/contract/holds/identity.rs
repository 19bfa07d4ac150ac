//! A hold is bound to a table, not to a name: it goes on under another name, or nothing is done until somebody has looked.

use super::hold;
use crate::support::bench::{Bench, Call, on_every_engine};
use sunset::catalog::Engine;

const RULE: &str =
    "- {id: orders, table: core.TABLE, starting_point: ended, retention_period: 1 year, disposition: erase}
- {id: others, table: core.other, starting_point: ended, retention_period: 1 year, disposition: erase}";

async fn two_tables(bench: &Bench) {
    bench
        .script(
            "create table orders (id {int} primary key, kind {text}, ended {date});
             create table other (id {int} primary key, ended {date});
             insert into orders values (1, 'disputed', '2001-01-01'), (2, 'plain', '2001-01-01');
             insert into other values (1, '2001-01-01')",
        )
        .await;
    rules(bench, "orders");
}

fn rules(bench: &Bench, table: &str) {
    bench.rules(&RULE.replace("TABLE", table));
}

/// Nothing is done in the whole database, and the message names the hold.
async fn refused(bench: &Bench, id: &str, what: &str) -> Call {
    let run = bench.sunset(&["run", "--now", bench.now]).expect(3);
    let text = format!("{}{}", run.out, run.err);
    assert!(text.contains(&format!("hold {id} (2026-17)")) && text.contains(what), "{text}");
    assert_eq!(bench.count("select count(*) from other").await, 1, "a rule on another table ran all the same");
    let plan = bench.sunset(&["plan", "--now", bench.now]).expect(0);
    assert!(plan.out.contains(&format!("hold {id} (2026-17)")), "{plan:?}");
    let entries = bench.evidence();
    let refusals = entries.events("refusal");
    assert!(refusals.iter().all(|refusal| refusal["reason_code"] == "holds") && !refusals.is_empty());
    run
}

async fn a_renamed_table_is_followed_or_refused(bench: Bench) {
    two_tables(&bench).await;
    let id = hold(&bench, "core.orders", &["--key", "1"]);
    bench.script("alter table orders rename to sales").await;
    rules(&bench, "sales");
    if bench.engine == Engine::Postgres {
        bench.run_to_the_end();
        assert_eq!(bench.list("select id from sales").await, "1");
        return;
    }
    refused(&bench, &id, "no longer there").await;
    assert_eq!(bench.count("select count(*) from sales").await, 2);
    let moved = bench.sunset(&["hold", "move", &id, "--table", "core.sales", "--owner", "legal"]).expect(0);
    assert_ne!(moved.out.trim(), id, "a run that began before must see that something changed");
    bench.run_to_the_end();
    assert_eq!(bench.list("select id from sales").await, "1");
}

/// The name is taken by another table, with the same columns and other rows, or none.
async fn a_table_that_took_the_name_is_not_mistaken(bench: Bench) {
    for what in [["--key", "1"], ["--where", "kind = 'disputed'"]] {
        let bench = Bench::new(bench.engine).await;
        two_tables(&bench).await;
        let id = hold(&bench, "core.orders", &what);
        bench
            .script(
                "alter table orders rename to sales;
                 create table orders (id {int} primary key, kind {text}, ended {date})",
            )
            .await;
        rules(&bench, "sales");
        if bench.engine == Engine::Postgres {
            bench.run(0);
            assert_eq!(bench.list("select id from sales").await, "1");
            continue;
        }
        if bench.engine == Engine::Mysql && what[0] == "--where" {
            // its tables are told apart by the second in which they were made
            std::thread::sleep(std::time::Duration::from_secs(1));
            bench
                .script("drop table orders; create table orders (id {int} primary key, kind {text}, ended {date})")
                .await;
        }
        refused(&bench, &id, "").await;
        assert_eq!(bench.count("select count(*) from sales").await, 2);
    }
}

async fn renamed_columns_are_followed_or_refused(bench: Bench) {
    two_tables(&bench).await;
    let key = hold(&bench, "core.orders", &["--key", "1"]);
    hold(&bench, "core.orders", &["--where", "kind = 'disputed'"]);
    bench.script("alter table orders rename column id to number; alter table orders rename column kind to sort").await;
    if bench.engine == Engine::Postgres {
        bench.script("insert into orders values (3, 'disputed', '2001-01-01')").await;
        bench.run(0);
        assert_eq!(bench.list("select number from orders order by number").await, "1 3");
        bench.script("alter table orders drop column sort").await;
        bench.script("insert into other values (1, '2001-01-01')").await;
        refused(&bench, "2", "no longer there").await;
        return;
    }
    refused(&bench, &key, "no longer there").await;
}

async fn a_table_made_anew_or_without_the_row_is_refused(bench: Bench) {
    two_tables(&bench).await;
    let id = hold(&bench, "core.orders", &["--key", "1"]);
    bench.script("drop table orders; create table orders (id {int} primary key, kind {text}, ended {date})").await;
    bench.script("insert into orders values (1, 'disputed', '2001-01-01'), (2, 'plain', '2001-01-01')").await;
    // the same row in a table made anew: it is the one that is meant
    bench.script("delete from other").await;
    bench.run(0);
    assert_eq!(bench.list("select id from orders").await, "1");
    bench.script("insert into other values (1, '2001-01-01'); update orders set id = 7").await;
    refused(&bench, &id, "no row with its key").await;
    bench.script("drop table orders").await;
    bench.rules(
        "- {id: others, table: core.other, starting_point: ended, retention_period: 1 year, disposition: erase}",
    );
    refused(&bench, &id, "no longer there").await;
    bench.sunset(&["hold", "release", &id, "--reason", "gone", "--owner", "legal"]).expect(0);
    bench.run_to_the_end();
    assert_eq!(bench.count("select count(*) from other").await, 0);
}

/// A hold whose database the settings do not have any more.
async fn a_database_that_is_gone_is_refused(bench: Bench) {
    two_tables(&bench).await;
    let id = hold(&bench, "core.orders", &["--key", "1"]);
    let settings = std::fs::read_to_string(bench.path("sunset.yaml")).unwrap();
    std::fs::write(bench.path("sunset.yaml"), settings.replace("databases: {core:", "databases: {main:")).unwrap();
    bench.rules(&RULE.replace("TABLE", "orders").replace("core.", "main."));
    let run = bench.sunset(&["run", "--now", bench.now]).expect(3);
    assert!(format!("{}{}", run.out, run.err).contains(&format!("hold {id} (2026-17)")), "{run:?}");
    assert_eq!(bench.count("select count(*) from orders").await, 2);
}

async fn a_table_of_another_schema_is_followed(bench: Bench) {
    if bench.engine != Engine::Postgres {
        return;
    }
    two_tables(&bench).await;
    hold(&bench, "core.orders", &["--key", "1"]);
    bench.script("create schema archive; alter table orders set schema archive").await;
    rules(&bench, "archive.orders");
    bench.run_to_the_end();
    assert_eq!(bench.list("select id from archive.orders").await, "1");
}

on_every_engine!(
    a_renamed_table_is_followed_or_refused,
    a_table_that_took_the_name_is_not_mistaken,
    renamed_columns_are_followed_or_refused,
    a_table_made_anew_or_without_the_row_is_refused,
    a_database_that_is_gone_is_refused,
    a_table_of_another_schema_is_followed,
);
