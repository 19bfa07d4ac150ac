//! Rows that others have locked, or that belong to what they have locked: a run passes them over, tells of them, and takes
//! them when they are free; whoever writes meanwhile is never ended for the sake of a run.

use crate::support::bench::{Bench, Call, mysql, on_every_engine, postgres};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, MySqlConnection, PgConnection, raw_sql};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use sunset::catalog::Engine;

/// A session in whose transaction something is locked.
enum Holder {
    Postgres(PgConnection),
    Mysql(MySqlConnection),
}

impl Holder {
    async fn of(bench: &Bench, sql: &str) -> Self {
        let url = &bench.database.url;
        let mut holder = match bench.engine {
            Engine::Postgres => Self::Postgres(postgres(url).await),
            _ => Self::Mysql(mysql(url).await),
        };
        holder.send("begin").await.unwrap();
        holder.send(&bench.translated(sql)).await.unwrap();
        holder
    }

    async fn send(&mut self, sql: &str) -> Result<(), sqlx::Error> {
        let sql = raw_sql(AssertSqlSafe(sql.to_owned()));
        match self {
            Self::Postgres(session) => session.execute(sql).await.map(drop),
            Self::Mysql(session) => session.execute(sql).await.map(drop),
        }
    }

    async fn let_go(mut self) {
        self.send("rollback").await.unwrap();
    }
}

async fn until(mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..6000 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it never came to that");
}

/// `(1, '2001-01-01'), …` for these keys.
fn values(keys: impl Iterator<Item = u32>, rest: &str) -> String {
    keys.map(|key| format!("({key}, {rest})")).collect::<Vec<_>>().join(", ")
}

/// 3,000 rows that are due, and one that is not.
async fn people(bench: &Bench) {
    bench.script("create table people (id {int} primary key, name {text}, left_on {date})").await;
    people_again(bench).await;
}

async fn people_again(bench: &Bench) {
    let due = values(1..3001, "'Hanako', '2001-01-01'");
    bench
        .script(&format!("insert into people values {due}; insert into people values (9000, 'Taro', '2025-01-01')"))
        .await;
}

/// The same among so many who are not due, with an index on the starting point.
async fn people_among_many(bench: &Bench, many: u32) {
    people(bench).await;
    bench.script("create index people_left on people (left_on)").await;
    for begin in (10_000..10_000 + many).step_by(5000) {
        let young = values(begin..begin + 5000, "'Taro', '2025-01-01'");
        bench.script(&format!("insert into people values {young}")).await;
    }
    bench.script_for("analyze people", "analyze table people", "").await;
}

/// Twenty-one of them, here and there.
const SOME: &str =
    "(7, 8, 9, 300, 301, 555, 700, 900, 1000, 1001, 1203, 1400, 1500, 1700, 1999, 2000, 2100, 2400, 2700, 2999, 3000)";

const ERASE: &str =
    "- {id: people, table: core.people, starting_point: left_on, retention_period: 5 years, disposition: erase}";

const REDACT: &str = "
- {id: people, table: core.people, starting_point: left_on, retention_period: 5 years, disposition: anonymize,
   columns: {name: suppress}}";

/// What one run leaves while others hold some rows, and the next one when they let go.
async fn passes_over(bench: &Bench, left: &str, all: u64) {
    let lock = format!("select * from people where id in {SOME} for update");
    let holder = Holder::of(bench, &lock).await;
    let report = bench.run(75);
    assert_eq!(report.disposed(), all - 21);
    let rule = report.rule("people");
    assert_eq!(rule["result"], "temporary", "{rule}");
    let message = rule["message"].as_str().unwrap();
    assert!(message.contains("others have locked 21 rows"), "{message}");
    assert_eq!(bench.list(left).await, SOME.trim_matches(['(', ')']).replace(',', ""), "{message}");
    holder.let_go().await;
    let report = bench.run_to_the_end();
    assert_eq!(report.disposed(), 21);
    assert_eq!(bench.list(left).await, "");
    let evidence = bench.evidence();
    assert_eq!(evidence.committed_rows(), all);
    assert!(evidence.is_settled());
}

async fn locked_rows_are_passed_over(bench: Bench) {
    if bench.engine == Engine::Sqlite {
        return;
    }
    people(&bench).await;
    bench.rules(ERASE);
    passes_over(&bench, "select id from people where id < 9000 order by id", 3000).await;
}

async fn locked_rows_keep_their_values(bench: Bench) {
    if bench.engine == Engine::Sqlite {
        return;
    }
    people(&bench).await;
    bench.rules(REDACT);
    passes_over(&bench, "select id from people where id < 9000 and name = 'Hanako' order by id", 3000).await;
    assert_eq!(bench.list("select name from people where id = 9000").await, "Taro");
}

/// The walk goes along an index on the starting point.
async fn few_due_rows_of_many(bench: Bench) {
    if bench.engine == Engine::Sqlite {
        return;
    }
    people_among_many(&bench, 30_000).await;
    bench.rules(ERASE);
    passes_over(&bench, "select id from people where left_on < '2020-01-01' order by id", 3000).await;
    assert_eq!(bench.count("select count(*) from people").await, 30_001);
}

/// Who lets go before the run is over loses nothing by it, and neither does the run.
async fn who_lets_go_in_time_is_waited_for(bench: Bench) {
    if bench.engine == Engine::Sqlite {
        return;
    }
    people(&bench).await;
    bench.settings("time_zone: Asia/Tokyo\npace: {retries: 1000}");
    bench.rules(ERASE);
    let mut holder = Holder::of(&bench, "update people set left_on = '2026-01-01' where id in (5, 6)").await;
    let run = bench.start(&["run", "--now", bench.now]);
    until(async || bench.count("select count(*) from people where id < 9000").await == 2).await;
    holder.send("commit").await.unwrap();
    tokio::task::spawn_blocking(move || Call::of(run)).await.unwrap().expect(0);
    // they are not due any more
    assert_eq!(bench.list("select id from people order by id").await, "5 6 9000");
}

/// A dependent that somebody has locked keeps its parent and all that goes along with it, and nothing else.
async fn a_locked_dependent_holds_its_parent(bench: Bench) {
    if bench.engine == Engine::Sqlite {
        return;
    }
    bench
        .script(
            "create table customers (id {int} primary key, left_on {date});
             create table orders (id {int} primary key, customer_id {int}, foreign key (customer_id) references customers (id));
             create table items (id {int} primary key, order_id {int}, foreign key (order_id) references orders (id));
             create index orders_customer on orders (customer_id);
             create index items_order on items (order_id)",
        )
        .await;
    let customers = values(1..401, "'2001-01-01'");
    let orders = (1..401).map(|key| format!("({key}, {key}), ({}, {key})", key + 1000)).collect::<Vec<_>>().join(", ");
    let items = (1..401).map(|key| format!("({key}, {key})")).collect::<Vec<_>>().join(", ");
    bench
        .script(&format!(
            "insert into customers values {customers}; insert into orders values {orders}; insert into items values {items}"
        ))
        .await;
    // a server that knows nothing of a table's size may read it whole, and meets whatever is locked there
    bench.script_for("analyze customers, orders, items", "analyze table customers, orders, items", "").await;
    bench.rules(
        "
- {id: customers, table: core.customers, starting_point: left_on, retention_period: 5 years, disposition: erase,
   dependents: {core.orders: erase, core.items: erase}}",
    );
    let holder = Holder::of(&bench, "select * from items where id in (3, 250) for update").await;
    let other = Holder::of(&bench, "select * from orders where id = 1077 for update").await;
    let report = bench.run(75);
    assert_eq!(report.disposed(), 397);
    assert_eq!(bench.list("select id from customers order by id").await, "3 77 250");
    assert_eq!(bench.list("select id from orders order by id").await, "3 77 250 1003 1077 1250");
    assert_eq!(bench.list("select id from items order by id").await, "3 77 250");
    holder.let_go().await;
    other.let_go().await;
    let report = bench.run_to_the_end();
    assert_eq!(report.disposed(), 3);
    assert_eq!(report.disposed_with_dependents(), 3 + 6 + 3);
    assert_eq!(bench.count("select count(*) from orders").await + bench.count("select count(*) from items").await, 0);
}

/// A row that is about to get a kept dependent is in the way until it has it, and stays then.
async fn a_row_gets_a_kept_dependent_meanwhile(bench: Bench) {
    if bench.engine == Engine::Sqlite {
        return;
    }
    people(&bench).await;
    bench
        .script(
            "create table invoices (id {int} primary key, person_id {int}, foreign key (person_id) references people (id));
             create index invoices_person on invoices (person_id)",
        )
        .await;
    bench.settings("time_zone: Asia/Tokyo\npace: {retries: 1000}");
    bench.rules(
        "
- {id: people, table: core.people, starting_point: left_on, retention_period: 5 years, disposition: erase,
   dependents: {core.invoices: keep}}",
    );
    let mut holder = Holder::of(&bench, "insert into invoices values (1, 1500)").await;
    let run = bench.start(&["run", "--now", bench.now]);
    until(async || bench.count("select count(*) from people where id < 9000").await == 1).await;
    holder.send("commit").await.unwrap();
    tokio::task::spawn_blocking(move || Call::of(run)).await.unwrap().expect(0);
    assert_eq!(bench.list("select id from people order by id").await, "1500 9000");
}

/// Nobody can be passed over where the whole table is locked.
async fn a_locked_table_is_told(bench: Bench) {
    if bench.engine == Engine::Sqlite {
        return;
    }
    people(&bench).await;
    bench.settings("time_zone: Asia/Tokyo\npace: {lock_timeout: 1 s, retries: 2}");
    bench.rules(ERASE);
    // plans can read it
    let lock = match bench.engine {
        Engine::Postgres => "lock table people in exclusive mode",
        _ => "lock tables people read",
    };
    let holder = Holder::of(&bench, lock).await;
    let report = bench.run(75);
    assert_eq!(report.disposed(), 0);
    let message = report.rule("people")["message"].as_str().unwrap().to_owned();
    assert!(message.contains("waited too long for a lock"), "{message}");
    assert_eq!(bench.count("select count(*) from people").await, 3001);
    drop(holder);
    bench.finish();
    assert_eq!(bench.list("select id from people").await, "9000");
}

/// Whoever makes an index lets rows be locked, and not changed: that is no matter of rows.
#[tokio::test]
async fn an_index_that_is_being_made_is_waited_for() {
    let bench = Bench::new(Engine::Postgres).await;
    people(&bench).await;
    bench.settings("time_zone: Asia/Tokyo\npace: {lock_timeout: 1 s, retries: 2}");
    bench.rules(ERASE);
    let holder = Holder::of(&bench, "lock table people in share mode").await;
    let report = bench.run(75);
    assert_eq!(report.disposed(), 0);
    let message = report.rule("people")["message"].as_str().unwrap().to_owned();
    assert!(message.contains("a lock on a whole table"), "{message}");
    holder.let_go().await;
    bench.run(0);
    assert_eq!(bench.list("select id from people").await, "9000");
}

/// More rows of one day are locked than a batch holds; the others of that day go.
async fn many_locked_rows_with_one_starting_point(bench: Bench) {
    if bench.engine == Engine::Sqlite {
        return;
    }
    people_among_many(&bench, 70_000).await;
    bench.settings("time_zone: Asia/Tokyo\npace: {batch_rows: 50}");
    bench.rules(ERASE);
    let many = (1..201).map(|key| key.to_string()).collect::<Vec<_>>().join(", ");
    let holder = Holder::of(&bench, &format!("select * from people where id in ({many}) for update")).await;
    let report = bench.run(75);
    assert_eq!(report.disposed(), 2800, "{report:?}");
    holder.let_go().await;
    assert_eq!(bench.run(0).disposed(), 200);
    assert_eq!(bench.count("select count(*) from people").await, 70_001);
}

/// A rehearsal does not say that rows would go which are in the way.
async fn a_rehearsal_tells_of_locked_rows(bench: Bench) {
    if bench.engine == Engine::Sqlite {
        return;
    }
    people(&bench).await;
    bench.rules(ERASE);
    let holder = Holder::of(&bench, "select * from people where id in (5, 6) for update").await;
    let call = bench.sunset(&["run", "--rehearsal", "--now", bench.now]).expect(75);
    assert!(format!("{}{}", call.out, call.err).contains("others have locked 2 rows"), "{call:?}");
    holder.let_go().await;
    bench.sunset(&["run", "--rehearsal", "--now", bench.now]).expect(0);
    assert_eq!(bench.count("select count(*) from people").await, 3001);
}

/// Writers that take the rows in the order opposite to a run's, many at a time: none of them is ended by the server, and
/// none waits for long.
async fn no_writer_is_ended_for_a_run(bench: Bench) {
    if bench.engine == Engine::Sqlite {
        return;
    }
    people(&bench).await;
    bench
        .script(
            "create table notes (id {int} primary key, person_id {int}, words {text},
               foreign key (person_id) references people (id));
             create index notes_person on notes (person_id)",
        )
        .await;
    let notes = (1..3001).map(|key| format!("({key}, {key}, 'a')")).collect::<Vec<_>>().join(", ");
    bench.script(&format!("insert into notes values {notes}")).await;
    bench.settings("time_zone: Asia/Tokyo\npace: {retries: 1000, batch_rows: 200}");
    bench.rules(
        "
- {id: people, table: core.people, starting_point: left_on, retention_period: 5 years, disposition: erase,
   dependents: {core.notes: erase}}",
    );
    let over = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..4_u32)
        .map(|writer| {
            let (over, engine, url) = (over.clone(), bench.engine, bench.database.url.clone());
            tokio::spawn(async move {
                let mut session = match engine {
                    Engine::Postgres => Holder::Postgres(postgres(&url).await),
                    _ => Holder::Mysql(mysql(&url).await),
                };
                let mut round = writer;
                while !over.load(Ordering::Relaxed) {
                    round = (round * 31 + 17) % 2900;
                    session.send("begin").await?;
                    session.send(&format!("update notes set words = 'b' where id = {}", round + 100)).await?;
                    session.send(&format!("update people set name = 'Jiro' where id = {}", round + 60)).await?;
                    session.send(&format!("update people set name = 'Jiro' where id = {}", round + 1)).await?;
                    session.send("commit").await?;
                }
                Ok::<_, sqlx::Error>(())
            })
        })
        .collect();
    let run = bench.start(&["run", "--now", bench.now]);
    let call = tokio::task::spawn_blocking(move || Call::of(run)).await.unwrap();
    over.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.unwrap().unwrap();
    }
    call.expect(0);
    assert_eq!(bench.list("select id from people").await, "9000");
    assert_eq!(bench.count("select count(*) from notes").await, 0);
}

/// A run rests while others write, and says so; alone it does not.
async fn a_run_rests_beside_writers(bench: Bench) {
    people(&bench).await;
    bench.script("create table others (id {int} primary key, words {text}); insert into others values (1, 'a')").await;
    // between two batches SQLite's writer finds room
    bench.settings("time_zone: Asia/Tokyo\npace: {batch_rows: 100, rows_per_second: 3000}");
    bench.rules(ERASE);
    let over = Arc::new(AtomicBool::new(false));
    let (stop, url, engine) = (over.clone(), bench.database.url.clone(), bench.engine);
    let writer = tokio::spawn(async move {
        // in a transaction that has written nearly all the time; on SQLite again and again, since nobody else could write then
        for round in 0.. {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            // SQLite writes nothing where nothing changes
            let update = format!("update others set words = '{round}' where id = 1");
            if engine == Engine::Sqlite {
                let mut session = sqlx::SqliteConnection::connect(&url).await?;
                session.execute(raw_sql("pragma busy_timeout = 30000")).await?;
                session.execute(raw_sql(AssertSqlSafe(update))).await?;
                session.close().await?;
            } else {
                let mut session = match engine {
                    Engine::Postgres => Holder::Postgres(postgres(&url).await),
                    _ => Holder::Mysql(mysql(&url).await),
                };
                session.send("begin").await?;
                session.send(&update).await?;
                tokio::time::sleep(Duration::from_millis(300)).await;
                session.send("commit").await?;
            }
        }
        Ok::<_, sqlx::Error>(())
    });
    let run = bench.start(&["run", "--now", bench.now, "--format", "json"]);
    let call = tokio::task::spawn_blocking(move || Call::of(run)).await.unwrap().expect(0);
    over.store(true, Ordering::Relaxed);
    writer.await.unwrap().unwrap();
    let report: serde_json::Value = serde_json::from_str(&call.out).unwrap();
    let waited = &report["rules"][0]["waited"]["beside_writers"];
    assert!(waited.as_u64().is_some_and(|milliseconds| milliseconds > 0), "{report}");
    assert_eq!(bench.list("select id from people").await, "9000");

    bench.script("delete from people").await;
    people_again(&bench).await;
    let report = bench.run(0);
    assert_eq!(report.disposed(), 3000);
    assert!(report.rule("people")["waited"]["beside_writers"].is_null(), "{report:?}");
}

/// On PostgreSQL locking takes a privilege that erasing does not.
#[tokio::test]
async fn who_may_not_lock_rows_passes_over_them_too() {
    let bench = Bench::new(Engine::Postgres).await;
    people(&bench).await;
    bench.rules(ERASE);
    let role = format!("{}_eraser", bench.database.url.rsplit('/').next().unwrap());
    bench
        .script(&format!(
            "create role {role} login password 'geheim'; grant select, delete on people to {role};
             grant connect on database {} to {role}",
            bench.database.url.rsplit('/').next().unwrap()
        ))
        .await;
    let mut url = url::Url::parse(&bench.database.url).unwrap();
    url.set_username(&role).unwrap();
    url.set_password(Some("geheim")).unwrap();
    let holder = Holder::of(&bench, "select * from people where id in (5, 1700) for update").await;
    let mut command = bench.command(&["run", "--now", bench.now]);
    let run = command.env("BENCH_URL", url.as_str()).spawn().unwrap();
    let call = tokio::task::spawn_blocking(move || Call::of(run)).await.unwrap().expect(75);
    assert!(call.out.contains("others have locked 2 rows"), "{call:?}");
    assert_eq!(bench.list("select id from people order by id").await, "5 1700 9000");
    holder.let_go().await;
    bench.run(0);
    bench.script(&format!("drop owned by {role}; drop role {role}")).await;
    assert_eq!(bench.list("select id from people").await, "9000");
}

on_every_engine!(
    locked_rows_are_passed_over,
    locked_rows_keep_their_values,
    few_due_rows_of_many,
    who_lets_go_in_time_is_waited_for,
    a_locked_dependent_holds_its_parent,
    a_row_gets_a_kept_dependent_meanwhile,
    a_locked_table_is_told,
    a_rehearsal_tells_of_locked_rows,
    no_writer_is_ended_for_a_run,
    a_run_rests_beside_writers,
    many_locked_rows_with_one_starting_point,
);
