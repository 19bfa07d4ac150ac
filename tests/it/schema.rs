//! The schema changes while a run is at work: what its plan did not know of stops the rule before it can do harm, and what
//! does not matter stops nothing.

use crate::support::{
    bench::{Bench, Call, mysql, on_every_engine, postgres},
    stopped::{self, until},
};
use sqlx::Executor as _;
use sunset::catalog::Engine;
use url::Url;

/// Rows in each batch, and in the table.
const BATCH: u64 = 10;
const ROWS: u64 = 40;

/// Customers who are all due, in batches of ten.
async fn customers(bench: &Bench) {
    bench.settings("time_zone: Asia/Tokyo\npace: {batch_rows: 10}");
    let rows: Vec<_> = (1..=ROWS).map(|id| format!("({id}, '2001-01-01', 'n{id}')")).collect();
    bench
        .script(&format!(
            "create table customers (id {{int}} primary key, left_on {{date}}, name {{text}});
             create table heard (id {{int}});
             insert into customers values {}",
            rows.join(", ")
        ))
        .await;
    bench.rules(
        "- {id: customers, table: core.customers, starting_point: left_on, retention_period: 5 years, disposition: erase}",
    );
}

/// A run that stands still at a moment while these statements are executed.
async fn changed_at(bench: &Bench, moment: &str, change: &str) -> Call {
    stopped::changed_at(bench, moment, &["run", "--now", bench.now], change).await
}

async fn left(bench: &Bench) -> u64 {
    bench.count("select count(*) from customers").await
}

/// The run ended for later, with so many rows left, and a ledger that says so.
async fn judge(bench: &Bench, call: Call, left_over: u64, what: &str) {
    let call = call.expect(75);
    assert!(call.out.contains(what) || call.err.contains(what), "{what}: {call:?}");
    assert_eq!(left(bench).await, left_over, "{call:?}");
    let evidence = bench.evidence();
    assert!(evidence.is_settled());
    assert_eq!(evidence.committed_rows(), ROWS - left_over);
}

/// A foreign key that would take rows along, which no rule names.
const CASCADE: &str = "create table notes (id {int} primary key, customer_id {int},
       foreign key (customer_id) references customers (id) on delete cascade);
     insert into notes select id, id from customers";

async fn cascade_at(bench: &Bench, moment: &str, left_over: u64) {
    customers(bench).await;
    let call = changed_at(bench, moment, CASCADE).await;
    judge(bench, call, left_over, "foreign key").await;
    assert_eq!(bench.count("select count(*) from notes").await, left_over, "nothing went along");
    assert!(bench.refused().contains("E0406"), "the next plan sees the key");
    bench.script("drop table notes").await;
    bench.run(0);
    assert_eq!(left(bench).await, 0);
    assert_eq!(bench.evidence().committed_rows(), ROWS);
}

async fn a_cascade_appears_between_batches(bench: Bench) {
    cascade_at(&bench, "after_commit", ROWS - BATCH).await;
}

/// On SQLite a batch keeps out everybody else from its beginning.
async fn a_cascade_appears_in_a_batch(bench: Bench) {
    if bench.engine != Engine::Sqlite {
        cascade_at(&bench, "before_statement", ROWS).await;
    }
}

/// A trigger that writes elsewhere.
fn trigger(bench: &Bench) -> &'static str {
    match bench.engine {
        Engine::Postgres => {
            "create function hear() returns trigger language plpgsql as
               'begin insert into heard values (old.id); return old; end';
             create trigger hear after delete on customers for each row execute function hear()"
        }
        Engine::Mysql => "create trigger hear after delete on customers for each row insert into heard values (old.id)",
        Engine::Sqlite => "create trigger hear after delete on customers begin insert into heard values (old.id); end",
    }
}

async fn a_trigger_appears_between_batches(bench: Bench) {
    customers(&bench).await;
    let call = changed_at(&bench, "after_commit", trigger(&bench)).await;
    judge(&bench, call, ROWS - BATCH, "trigger `hear`").await;
    assert_eq!(bench.count("select count(*) from heard").await, 0, "what the trigger did was undone");
    // who plans with the trigger knows of it
    bench.run(0);
    assert_eq!(left(&bench).await, 0);
    assert_eq!(bench.count("select count(*) from heard").await, ROWS - BATCH);
}

async fn a_trigger_appears_in_a_batch(bench: Bench) {
    if bench.engine == Engine::Sqlite {
        return;
    }
    customers(&bench).await;
    let call = changed_at(&bench, "before_statement", trigger(&bench)).await;
    judge(&bench, call, ROWS, "trigger `hear`").await;
    assert_eq!(bench.count("select count(*) from heard").await, 0, "what the trigger did was undone");
}

/// A trigger that keeps rows: the batch fails, and the reason is the trigger that nobody planned with.
async fn a_trigger_that_objects_appears(bench: Bench) {
    customers(&bench).await;
    let objects = match bench.engine {
        Engine::Postgres => {
            "create function no() returns trigger language plpgsql as 'begin raise exception ''no''; end';
             create trigger no before delete on customers for each row execute function no()"
        }
        Engine::Mysql => {
            "create trigger no before delete on customers for each row signal sqlstate '45000' set message_text = 'no'"
        }
        Engine::Sqlite => "create trigger no before delete on customers begin select raise(abort, 'no'); end",
    };
    let call = changed_at(&bench, "after_commit", objects).await;
    judge(&bench, call, ROWS - BATCH, "trigger `no`").await;
    // the trigger is known now, and stands against the rule for good
    bench.run(4);
}

async fn a_trigger_on_a_dependent_appears(bench: Bench) {
    customers(&bench).await;
    bench
        .script(
            "create table orders (id {int} primary key, customer_id {int},
               foreign key (customer_id) references customers (id));
             create index orders_customer on orders (customer_id);
             insert into orders select id, id from customers",
        )
        .await;
    bench.rules(
        "- {id: customers, table: core.customers, starting_point: left_on, retention_period: 5 years, disposition: erase,
   dependents: {core.orders: erase}}",
    );
    let change = trigger(&bench).replace("on customers", "on orders");
    let call = changed_at(&bench, "after_commit", &change).await.expect(75);
    assert!(call.out.contains("trigger `hear`") || call.err.contains("trigger `hear`"), "{call:?}");
    assert_eq!(bench.count("select count(*) from heard").await, 0);
    assert_eq!(left(&bench).await, bench.count("select count(*) from orders").await);
    bench.run(0);
    assert_eq!(left(&bench).await, 0);
}

/// What does not decide which rows go stops nothing.
async fn changes_that_do_not_matter(bench: Bench) {
    customers(&bench).await;
    let comment = match bench.engine {
        Engine::Postgres => "comment on table customers is 'people'; comment on column customers.name is 'who';",
        Engine::Mysql => "alter table customers comment 'people';",
        Engine::Sqlite => "analyze;",
    };
    let change = format!(
        "create index customers_name on customers (name); alter table customers add column town {{text}};
         create table towns (id {{int}} primary key, mayor {{int}}, foreign key (mayor) references towns (id)); {comment}"
    );
    changed_at(&bench, "after_commit", &change).await.expect(0);
    assert_eq!(left(&bench).await, 0);
    assert!(bench.evidence().is_settled());
}

/// A column of the rule becomes another one.
async fn a_column_changes(bench: Bench) {
    customers(&bench).await;
    let change = match bench.engine {
        Engine::Postgres => "alter table customers alter left_on type timestamptz",
        Engine::Mysql => "alter table customers modify left_on datetime(6)",
        Engine::Sqlite => return,
    };
    let call = changed_at(&bench, "after_commit", change).await;
    judge(&bench, call, ROWS - BATCH, "column `left_on`").await;
    bench.run(0);
    assert_eq!(left(&bench).await, 0);
}

/// Where partitions are tables, the new one is not among those that the run walks through. On MariaDB a run reaches its rows
/// all the same, and tells of it at its end, if not before.
async fn a_partition_appears(bench: Bench) {
    if bench.engine == Engine::Sqlite {
        return;
    }
    bench.settings("time_zone: Asia/Tokyo\npace: {batch_rows: 10}");
    let rows: Vec<_> = (1..=ROWS).map(|id| format!("({id}, '2001-01-01', 1)")).collect();
    let rows = rows.join(", ");
    bench
        .script_for(
            &format!(
                "create table customers (id int, left_on date, part int, primary key (id, part)) partition by list (part);
                 create table part_1 partition of customers for values in (1);
                 create table part_2 (like customers);
                 insert into customers values {rows}"
            ),
            &format!(
                "create table customers (id int, left_on date, part int, primary key (id, part))
                   partition by list (part) (partition part_1 values in (1));
                 insert into customers values {rows}"
            ),
            "",
        )
        .await;
    bench.rules(
        "- {id: customers, table: core.customers, starting_point: left_on, retention_period: 5 years, disposition: erase}",
    );
    let change = match bench.engine {
        Engine::Postgres => {
            "insert into part_2 values (100, '2001-01-01', 2); alter table customers attach partition part_2 for values in (2)"
        }
        _ => {
            "alter table customers add partition (partition part_2 values in (2));
             insert into customers values (100, '2001-01-01', 2)"
        }
    };
    let call = changed_at(&bench, "after_commit", change).await;
    judge_partitioned(&bench, call).await;
}

async fn judge_partitioned(bench: &Bench, call: Call) {
    let call = call.expect(75);
    assert!(call.out.contains("part_2") || call.err.contains("part_2"), "{call:?}");
    if bench.engine == Engine::Postgres {
        assert_eq!(left(bench).await, ROWS - BATCH + 1, "{call:?}");
    }
    bench.run(0);
    assert_eq!(left(bench).await, 0);
    assert!(bench.evidence().is_settled());
    assert_eq!(bench.evidence().committed_rows(), ROWS + 1);
}

/// A batch waits for a lock while the schema is changed behind it: its transaction sees the schema as it was, its statement
/// meets the new one.
#[tokio::test]
async fn a_batch_waits_behind_the_change() {
    let bench = Bench::new(Engine::Postgres).await;
    customers(&bench).await;
    // whole heap blocks, and one moment for all statements of a batch
    bench.settings("time_zone: Asia/Tokyo");
    for change in [
        "create table notes (id int primary key, customer_id int references customers on delete cascade);
         insert into notes select id, id from customers",
        "create function hear() returns trigger language plpgsql as
           'begin insert into heard values (old.id); return old; end';
         create trigger hear after delete on customers for each row execute function hear()",
    ] {
        let mut other = postgres(&bench.database.url).await;
        other.execute("begin").await.unwrap();
        other.execute(sqlx::raw_sql(change)).await.unwrap();
        let run = bench.start(&["run", "--now", bench.now]);
        let run = tokio::task::spawn_blocking(move || Call::of(run));
        let waits =
            "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
        until(async || run.is_finished() || bench.count(waits).await > 0).await;
        other.execute("commit").await.unwrap();
        run.await.unwrap().expect(75);
        assert_eq!(left(&bench).await, ROWS);
        assert_eq!(bench.count("select count(*) from heard").await, 0);
        assert_eq!(bench.evidence().committed_rows(), 0);
        bench.script("drop table if exists notes").await;
    }
    bench.run(0);
    assert_eq!(left(&bench).await, 0);
}

/// Row security hides the rows that are left: what nobody sees is not said to be done.
#[tokio::test]
async fn row_security_appears() {
    let mut bench = Bench::new(Engine::Postgres).await;
    customers(&bench).await;
    let role = format!("reader_{}", std::process::id());
    bench
        .script(&format!("create role {role} login password 'x'; grant all on all tables in schema public to {role}"))
        .await;
    let mut url = Url::parse(&bench.database.url).unwrap();
    url.set_username(&role).unwrap();
    url.set_password(Some("x")).unwrap();
    bench.variables.push(("BENCH_URL", url.to_string()));
    let call = changed_at(&bench, "after_commit", "alter table customers enable row level security").await;
    judge(&bench, call, ROWS - BATCH, "row security").await;
    bench.refused();
    bench.script("alter table customers disable row level security").await;
    bench.run(0);
    assert_eq!(left(&bench).await, 0);
    bench.script(&format!("drop owned by {role}; drop role {role}")).await;
}

/// A plan that was reviewed carries the schema that it relies on.
async fn a_reviewed_plan_keeps_its_schema(bench: Bench) {
    customers(&bench).await;
    let plan = bench.path("plan.json");
    let plan = plan.to_str().unwrap();
    bench.sunset(&["plan", "--now", bench.now, "--out", plan]).expect(0);
    bench.script("create index customers_name on customers (name)").await;
    bench.script(trigger(&bench)).await;
    let call = bench.sunset(&["run", "--plan", plan]).expect(3);
    assert!(call.err.contains("schema"), "{call:?}");
    assert_eq!(left(&bench).await, ROWS);
    let drop = if bench.engine == Engine::Postgres { "drop trigger hear on customers" } else { "drop trigger hear" };
    bench.script(drop).await;
    bench.sunset(&["run", "--plan", plan]).expect(0);
    assert_eq!(left(&bench).await, 0);
}

/// A child in another schema of the server, which no plan has seen, takes rows along.
#[tokio::test]
async fn a_key_from_another_schema_is_told_at_the_end() {
    let bench = Bench::new(Engine::Mysql).await;
    customers(&bench).await;
    let here = bench.list("select database()").await;
    let there = format!("{here}_beside");
    let mut other = mysql(&bench.database.url).await;
    other
        .execute(sqlx::raw_sql(sqlx::AssertSqlSafe(format!(
            "drop database if exists {there}; create database {there}"
        ))))
        .await
        .unwrap();
    let change = format!(
        "create table {there}.notes (id int primary key, customer_id int,
           foreign key (customer_id) references {here}.customers (id) on delete cascade)"
    );
    let call = changed_at(&bench, "after_commit", &change).await;
    other.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(format!("drop database {there}")))).await.unwrap();
    let call = call.expect(75);
    assert!(call.out.contains("foreign key") || call.err.contains("foreign key"), "{call:?}");
    assert!(bench.evidence().is_settled());
}

on_every_engine!(
    a_cascade_appears_between_batches,
    a_cascade_appears_in_a_batch,
    a_trigger_appears_between_batches,
    a_trigger_appears_in_a_batch,
    a_trigger_that_objects_appears,
    a_trigger_on_a_dependent_appears,
    changes_that_do_not_matter,
    a_column_changes,
    a_partition_appears,
    a_reviewed_plan_keeps_its_schema,
);
