//! One transaction of the company against one batch with dependents, step by step: what a change that came through asks to
//! stay is there in the end, and so is what it belongs to.

use crate::support::bench::{Bench, Call, mysql, on_every_engine, postgres};
use sqlx::{AssertSqlSafe, Executor as _, raw_sql};
use std::{path::PathBuf, process::Child, time::Duration};
use sunset::catalog::Engine;
use tokio::task::JoinHandle;

/// What the company does, and what is there in the end when that came through.
struct Change {
    sql: &'static str,
    stays: &'static str,
}

/// The state of the tables when nothing came through: customer 3 is not due.
const GONE: &str = "customers 3 | orders 30 | items 300 | payments";

const CHANGES: &[Change] = &[
    // an order comes under a hold
    Change {
        sql: "update orders set disputed = 1 where id = 10",
        stays: "customers 1 3 | orders 10 11 30 | items 100 300 | payments",
    },
    // so does what belongs to it
    Change {
        sql: "update items set disputed = 1 where id = 100",
        stays: "customers 1 3 | orders 10 11 30 | items 100 300 | payments",
    },
    // an order gets a kept row
    Change {
        sql: "insert into payments values (1000, 'a10')",
        stays: "customers 1 3 | orders 10 11 30 | items 100 300 | payments 1000",
    },
    // an order moves to a customer who stays, and with it what belongs to it
    Change {
        sql: "update orders set customer_id = 3 where id = 10",
        stays: "customers 3 | orders 10 30 | items 100 300 | payments",
    },
    // an item moves to an order that stays
    Change {
        sql: "update items set order_id = 30 where id = 100",
        stays: "customers 3 | orders 30 | items 100 300 | payments",
    },
    // a dependent comes from somebody who stays: it goes along
    Change { sql: "update orders set customer_id = 1 where id = 30", stays: "customers 3 | orders | items | payments" },
    // a new dependent: it goes along
    Change { sql: "insert into orders values (12, 'a12', 1, 0)", stays: GONE },
    // the customer is not due any more
    Change {
        sql: "update customers set left_on = '2026-01-01' where id = 1",
        stays: "customers 1 3 | orders 10 11 30 | items 100 300 | payments",
    },
    // somebody else erases it
    Change { sql: "delete from items where id = 100", stays: GONE },
];

/// The same with a starting point in the related rows, which go along.
const RELATED: &[Change] = &[
    Change { sql: "insert into orders values (12, '2026-01-01', 1)", stays: "customers 1 3 | orders 10 11 12 30" },
    Change {
        sql: "update orders set ordered_on = '2026-01-01' where id = 10",
        stays: "customers 1 3 | orders 10 11 30",
    },
    Change { sql: "update orders set ordered_on = null where id = 11", stays: "customers 1 3 | orders 10 11 30" },
    Change { sql: "update orders set customer_id = 3 where id = 11", stays: "customers 3 | orders 11 30" },
];

const RELATED_GONE: &str = "customers 3 | orders 30";

async fn company(bench: &Bench) {
    // the kept rows reference a key that is not the primary one, and would be erased by the database
    bench
        .script(
            "create table customers (id {int} primary key, left_on {date});
             create table orders (id {int} primary key, code varchar(20) not null unique, customer_id {int},
               disputed {int}, foreign key (customer_id) references customers (id));
             create table items (id {int} primary key, order_id {int}, disputed {int},
               foreign key (order_id) references orders (id) on delete cascade);
             create table payments (id {int} primary key, order_code varchar(20),
               foreign key (order_code) references orders (code) on delete cascade);
             create index orders_customer on orders (customer_id);
             create index items_order on items (order_id)",
        )
        .await;
    bench.rules(
        "
- {id: customers, table: core.customers, starting_point: left_on, retention_period: 5 years, disposition: erase,
   dependents: {core.orders: erase, core.items: erase, core.payments: keep}}",
    );
    for table in ["core.orders", "core.items"] {
        let hold = ["hold", "add", "--table", table, "--where", "disputed = 1", "--matter", "7", "--reason", "a claim"];
        bench.sunset(&[&hold[..], &["--owner", "legal@example.com", "--review", "2030-01-01"]].concat()).expect(0);
    }
}

const FILL: &str = "delete from payments; delete from items; delete from orders; delete from customers;
     insert into customers values (1, '2001-01-01'), (2, '2001-01-01'), (3, '2025-01-01');
     insert into orders values (10, 'a10', 1, 0), (11, 'a11', 1, 0), (20, 'a20', 2, 0), (30, 'a30', 3, 0);
     insert into items values (100, 10, 0), (200, 20, 0), (300, 30, 0)";

async fn related_company(bench: &Bench) {
    bench
        .script(
            "create table customers (id {int} primary key);
             create table orders (id {int} primary key, ordered_on {date}, customer_id {int},
               foreign key (customer_id) references customers (id));
             create index orders_customer on orders (customer_id)",
        )
        .await;
    bench.rules(
        "
- {id: customers, table: core.customers, retention_period: 5 years, disposition: erase, limits: {lost_starts: 9},
   starting_point: {latest: core.orders.ordered_on, through: customer_id}, dependents: {core.orders: erase}}",
    );
}

const RELATED_FILL: &str = "delete from orders; delete from customers;
     insert into customers values (1), (2), (3);
     insert into orders values (10, '2001-01-01', 1), (11, '2002-01-01', 1), (20, '2001-01-01', 2),
       (30, '2025-01-01', 3)";

async fn state(bench: &Bench, tables: &[&str]) -> String {
    let mut state = Vec::new();
    for table in tables {
        let keys = bench.list(&format!("select id from {table} order by id")).await;
        state.push(format!("{table} {keys}").trim_end().to_owned());
    }
    state.join(" | ")
}

/// Sends statements on a session of their own; how many rows they changed, or that they were refused.
fn send(bench: &Bench, sql: String) -> JoinHandle<Option<u64>> {
    let (engine, url) = (bench.engine, bench.database.url.clone());
    tokio::spawn(async move {
        let sql = raw_sql(AssertSqlSafe(sql));
        match engine {
            Engine::Postgres => postgres(&url).await.execute(sql).await.ok().map(|done| done.rows_affected()),
            _ => mysql(&url).await.execute(sql).await.ok().map(|done| done.rows_affected()),
        }
    })
}

/// Somebody waits for a lock in this database.
async fn is_waited(bench: &Bench) -> bool {
    if bench.engine == Engine::Postgres {
        let waiting =
            "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
        return bench.count(waiting).await > 0;
    }
    // the tables of information_schema are copies, which are not made anew while somebody keeps reading them
    let sessions = bench.lines("select id from information_schema.processlist where db = database()").await;
    let status = bench.rows("show engine innodb status").await.concat().join(" ");
    let waits = |transaction: &str| {
        let of = |session: &String| transaction.contains(&format!("thread id {session},"));
        transaction.contains("LOCK WAIT") && sessions.iter().any(of)
    };
    status.split("---TRANSACTION").any(waits)
}

async fn until(mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..6000 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it never came to that");
}

/// Starts a run that stops at a moment; the file that holds it there.
fn stopped_run(bench: &Bench, moment: &str) -> (Child, PathBuf) {
    let file = bench.path("stopped");
    let stop = format!("{moment}:{}", file.display());
    let mut command = bench.command(&["run", "--now", bench.now]);
    (command.env("SUNSET_STOP", stop).spawn().unwrap(), file)
}

/// The change comes while the batch is at a moment: it goes through at once, or waits for the batch.
async fn at_moment(bench: &Bench, moment: &str, sql: &str) -> (Call, bool) {
    let (run, file) = stopped_run(bench, moment);
    until(async || file.exists()).await;
    let change = send(bench, sql.to_owned());
    until(async || change.is_finished() || is_waited(bench).await).await;
    std::fs::remove_file(&file).unwrap();
    let call = tokio::task::spawn_blocking(move || Call::of(run)).await.unwrap();
    (call, change.await.unwrap().is_some_and(|rows| rows > 0))
}

/// The change is made before the run begins, and committed while the run waits for it, or is through.
async fn while_waited_for(bench: &Bench, sql: &str) -> (Call, bool) {
    let url = bench.database.url.clone();
    let (sql, finish) = (raw_sql(AssertSqlSafe(format!("begin; {sql}"))), raw_sql("commit"));
    let run = || {
        let run = bench.start(&["run", "--now", bench.now]);
        tokio::task::spawn_blocking(move || Call::of(run))
    };
    let call = if bench.engine == Engine::Postgres {
        let mut session = postgres(&url).await;
        session.execute(sql).await.unwrap();
        let run = run();
        until(async || run.is_finished() || is_waited(bench).await).await;
        session.execute(finish).await.unwrap();
        run
    } else {
        let mut session = mysql(&url).await;
        session.execute(sql).await.unwrap();
        let run = run();
        until(async || run.is_finished() || is_waited(bench).await).await;
        session.execute(finish).await.unwrap();
        run
    };
    (call.await.unwrap(), true)
}

async fn judge(
    bench: &Bench,
    tables: &[&str],
    case: &str,
    call: &Call,
    came_through: bool,
    change: &Change,
    gone: &str,
) {
    assert!([0, 75].contains(&call.code), "{case}: {call:?}");
    let wanted = if came_through { change.stays } else { gone };
    // whatever stays is there after the first run; what had to wait for the company goes with the next one
    let first = state(bench, tables).await;
    for (there, stays) in first.split(" | ").zip(wanted.split(" | ")) {
        let there: Vec<_> = there.split(' ').collect();
        assert!(stays.split(' ').all(|key| there.contains(&key)), "{case}, through: {came_through}: {first}");
    }
    bench.run(0);
    assert_eq!(state(bench, tables).await, wanted, "{case}, through: {came_through}");
}

const TABLES: &[&str] = &["customers", "orders", "items", "payments"];
const RELATED_TABLES: &[&str] = &["customers", "orders"];

async fn every_change_at(bench: &Bench, moment: &str) {
    if bench.engine == Engine::Sqlite {
        return;
    }
    company(bench).await;
    for change in CHANGES {
        bench.script(FILL).await;
        let (call, came_through) = at_moment(bench, moment, change.sql).await;
        judge(bench, TABLES, change.sql, &call, came_through, change, GONE).await;
    }
}

async fn before_the_keys_are_read(bench: Bench) {
    every_change_at(&bench, "before_keys").await;
}

async fn before_dependents_are_locked(bench: Bench) {
    every_change_at(&bench, "after_keys").await;
}

async fn after_dependents_are_locked(bench: Bench) {
    every_change_at(&bench, "dependents_locked").await;
}

async fn after_it_was_asked_again(bench: Bench) {
    every_change_at(&bench, "asked_again").await;
}

async fn before_the_parents_go(bench: Bench) {
    every_change_at(&bench, "dependents_changed").await;
}

async fn while_a_lock_is_waited_for(bench: Bench) {
    if bench.engine == Engine::Sqlite {
        return;
    }
    company(&bench).await;
    for change in CHANGES {
        bench.script(FILL).await;
        let (call, came_through) = while_waited_for(&bench, change.sql).await;
        judge(&bench, TABLES, change.sql, &call, came_through, change, GONE).await;
    }
}

async fn a_related_starting_point_moves(bench: Bench) {
    if bench.engine == Engine::Sqlite {
        return;
    }
    related_company(&bench).await;
    for change in RELATED {
        for moment in ["before_keys", "after_keys", "dependents_locked", "asked_again", "dependents_changed"] {
            bench.script(RELATED_FILL).await;
            let (call, came_through) = at_moment(&bench, moment, change.sql).await;
            let case = format!("{} at {moment}", change.sql);
            judge(&bench, RELATED_TABLES, &case, &call, came_through, change, RELATED_GONE).await;
        }
        bench.script(RELATED_FILL).await;
        let (call, came_through) = while_waited_for(&bench, change.sql).await;
        judge(&bench, RELATED_TABLES, change.sql, &call, came_through, change, RELATED_GONE).await;
    }
}

/// What was due is due no more when the pass comes to it, and another row becomes due behind the pass: the same run finds it.
#[tokio::test]
async fn a_row_becomes_due_behind_a_pass_that_finds_nothing() {
    let bench = Bench::new(Engine::Postgres).await;
    bench
        .script("create table t (id integer primary key, at date, pad text); insert into t values (1, '2001-01-01')")
        .await;
    bench.rules("- {id: t, table: core.t, starting_point: at, retention_period: 5 years, disposition: erase}");
    // behind the heap blocks that the table had when the pass began
    let change = "update t set at = '2026-01-01' where id = 1;
         insert into t select n, '2026-01-01', repeat('x', 1000) from generate_series(100, 400) n;
         insert into t values (2, '2001-01-01')";
    let (call, came_through) = at_moment(&bench, "before_statement", change).await;
    assert!(came_through, "{call:?}");
    call.expect(0);
    assert_eq!(bench.count("select count(*) from t where at < '2020-01-01'").await, 0);
    assert_eq!(bench.count("select count(*) from t").await, 302);
}

on_every_engine!(
    before_the_keys_are_read,
    before_dependents_are_locked,
    after_dependents_are_locked,
    after_it_was_asked_again,
    before_the_parents_go,
    while_a_lock_is_waited_for,
    a_related_starting_point_moves,
);
