//! Several at work on the same rows: two runs, two rules, and the company itself.

use crate::support::{
    bench::{Bench, Call, on_every_engine, signal},
    random::Random,
};
use sqlx::{Connection as _, Executor as _, PgConnection, SqliteConnection, raw_sql};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};
use sunset::catalog::Engine;

const RULE: &str = "- {id: t, table: core.t, starting_point: at_day, retention_period: 5 years, disposition: erase}";

/// A table with so many due rows, and one that is not.
async fn due_rows(bench: &Bench, table: &str, rows: u64) {
    bench.script(&format!("create table {table} (id {{int}} primary key, at_day {{date}}, state {{text}})")).await;
    let values: Vec<_> = (1..=rows).map(|id| format!("({id}, '2001-01-01', 'old')")).collect();
    bench.script(&format!("insert into {table} values (0, '2025-01-01', 'new'), {}", values.join(", "))).await;
}

/// Runs of one job at the same time: each ends well or says that another one is at work, and what is due goes once.
async fn runs_of_one_job(bench: Bench) {
    bench.settings("time_zone: Asia/Tokyo\npace: {batch_rows: 10}");
    due_rows(&bench, "t", 2000).await;
    bench.rules(RULE);
    let runs: Vec<_> = (0..4).map(|_| bench.start(&["run", "--now", bench.now, "--format", "json"])).collect();
    let calls: Vec<_> = runs.into_iter().map(Call::of).collect();
    assert!(calls.iter().any(|call| call.code == 0), "{calls:?}");
    assert!(calls.iter().all(|call| [0, 75].contains(&call.code)), "{calls:?}");
    assert_eq!(bench.list("select id from t").await, "0");
    let evidence = bench.evidence();
    assert!(evidence.is_settled());
    assert_eq!(evidence.committed_rows(), 2000, "rows were counted by two runs");
    bench.run(0);
}

/// Several runs come upon what a killed one left open: one of them settles it, the others find it settled.
async fn runs_after_a_crash(bench: Bench) {
    bench.settings("time_zone: Asia/Tokyo\npace: {batch_rows: 10}");
    due_rows(&bench, "t", 1).await;
    bench.script("create table parts (id {int} primary key, t_id {int}, foreign key (t_id) references t (id))").await;
    bench.rules(&format!("{}, dependents: {{core.parts: erase}}}}", RULE.trim_end_matches('}')));
    let mut random = Random::new(5);
    let mut open = 0;
    for attempt in 1..=40 {
        let first = attempt * 10_000;
        let values: Vec<_> = (first..first + 1000).map(|id| format!("({id}, '2001-01-01', 'old')")).collect();
        bench.script(&format!("insert into t values {}", values.join(", "))).await;
        let all = bench.count("select count(*) from t").await;
        let run = bench.start(&["run", "--now", bench.now]);
        for _ in 0..500 {
            if bench.count("select count(*) from t").await < all {
                break;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        thread::sleep(Duration::from_millis(random.below(20)));
        signal("KILL", run.id());
        Call::of(run);
        // a server notices after a moment that the killed one is gone
        thread::sleep(Duration::from_millis(300));
        if bench.evidence().is_settled() {
            continue;
        }
        open += 1;
        // little is left, so that runs follow each other closely
        bench.script(&format!("delete from t where id > 0 and id < {}", first + 900)).await;
        let runs: Vec<_> = (0..8)
            .map(|_| {
                thread::sleep(Duration::from_millis(random.below(30)));
                bench.start(&["run", "--now", bench.now])
            })
            .collect();
        for call in runs.into_iter().map(Call::of) {
            assert!([0, 75].contains(&call.code), "{call:?}");
        }
        if open == 4 {
            break;
        }
    }
    assert!(open > 0, "no kill left a batch open");
    while bench.sunset(&["run", "--now", bench.now]).code == 75 {
        thread::sleep(Duration::from_millis(300));
    }
    assert!(bench.evidence().is_settled());
    assert_eq!(bench.list("select id from t").await, "0");
}

/// A table that is cut into several chunks.
async fn many_rows(bench: &Bench, rows: u64) {
    bench.script("create table t (code {text} primary key, at_day {date})").await;
    more_rows(bench, 0, rows).await;
}

async fn more_rows(bench: &Bench, first: u64, rows: u64) {
    let codes: Vec<_> = (first..first + rows).map(|id| format!("('taro.{id:06}@example.jp', '2001-01-01')")).collect();
    for values in codes.chunks(5000) {
        bench.script(&format!("insert into t values {}", values.join(", "))).await;
    }
}

/// Runs that are started together share the work: each takes chunks, all end well, every row goes once.
async fn runs_share_the_work(bench: Bench) {
    if bench.engine == Engine::Sqlite {
        return;
    }
    bench.settings("time_zone: Asia/Tokyo\npace: {batch_rows: 300, workers: 2}");
    many_rows(&bench, 60_000).await;
    bench.rules(RULE);
    let arguments = [&["run"][..], &["run", "--workers", "1"], &["run", "--workers", "4"]];
    let all = ["--group", "night-7", "--now", bench.now, "--format", "json"];
    let runs = arguments.map(|arguments| bench.start(&[arguments, &all].concat()));
    let reports: Vec<serde_json::Value> =
        runs.map(|run| serde_json::from_str(&Call::of(run).expect(0).out).unwrap()).into();
    let disposed: Vec<u64> = reports.iter().map(|report| report["disposed"].as_u64().unwrap()).collect();
    assert_eq!(disposed.iter().sum::<u64>(), 60_000, "{disposed:?}");
    assert!(disposed.iter().filter(|rows| **rows > 0).count() > 1, "one run did it all: {disposed:?}");
    let evidence = bench.evidence();
    assert!(evidence.is_settled());
    assert_eq!(evidence.committed_rows(), 60_000);
    assert_eq!(bench.count("select count(*) from t").await, 0);

    // one summary: the last report has it, and status
    let last = reports.iter().find(|report| report["group"]["processes"] == 3).expect("nobody was the last");
    let expected = serde_json::json!({
        "name": "night-7", "processes": 3, "outcome": "done", "disposed": 60_000, "rules": {"t": 60_000},
    });
    assert_eq!(last["group"], expected);
    bench.sunset_with(&["run", "--now", bench.now], &[("SUNSET_GROUP", "")]).expect(0);
    bench.sunset_with(&["run", "--now", bench.now], &[("SUNSET_GROUP", "two words")]).expect(2);
    let status: serde_json::Value =
        serde_json::from_str(&bench.sunset(&["status", "--format", "json"]).expect(0).out).unwrap();
    let runs = status["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 2, "{runs:?}");
    assert_eq!((&runs[0]["group"], &runs[0]["disposed"]), (&serde_json::Value::Null, &0.into()));
    assert_eq!((&runs[1]["group"], &runs[1]["disposed"]), (&serde_json::json!(["night-7", 3]), &60_000.into()));
    assert!(bench.sunset(&["status"]).expect(0).out.contains("night-7 (3 processes)"));
}

/// A run that is killed leaves chunks and an open batch: the run beside it settles and finishes them, and the store
/// never holds a key that can be read.
async fn a_dead_runs_chunks_are_taken_over(bench: Bench) {
    if bench.engine == Engine::Sqlite {
        return;
    }
    bench.settings("time_zone: Asia/Tokyo\npace: {batch_rows: 200}");
    many_rows(&bench, 60_000).await;
    bench.rules(RULE);
    let run = ["run", "--group", "night-8", "--now", bench.now];
    let [first, second] = [(), ()].map(|()| bench.start(&run));
    while bench.count("select count(*) from t").await > 50_000 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    signal("KILL", first.id());
    for file in std::fs::read_dir(bench.path("state")).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(12).any(|window| window == b"@example.jp\"" || window.starts_with(b"taro.0")));
    }
    assert_eq!(Call::of(first).code, -1, "it was through before it could be killed");
    Call::of(second).expect(0);
    let evidence = bench.evidence();
    assert!(evidence.is_settled());
    assert_eq!(evidence.committed_rows(), 60_000);
    assert_eq!(bench.count("select count(*) from t").await, 0);
    // the dead one wrote no report, and its part is in the summary
    let status = bench.sunset(&["status", "--format", "json"]).expect(0).out;
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["runs"].as_array().unwrap().len(), 1, "{status:#}");
    assert_eq!(status["runs"][0]["group"], serde_json::json!(["night-8", 1]));
    assert_eq!(status["runs"][0]["disposed"], 60_000);
}

/// Workers find at once that dependents make their batches too large: each makes its own smaller, whatever its colleagues
/// did to the common size meanwhile.
async fn batches_with_dependents_shrink_beside_each_other(bench: Bench) {
    bench.settings("time_zone: Asia/Tokyo\npace: {batch_rows: 20}");
    bench
        .script(
            "create table customers (id {int} primary key, left_on {date});
             create table orders (id {int} primary key, customer_id {int} not null,
               foreign key (customer_id) references customers (id));
             create index orders_customer on orders (customer_id)",
        )
        .await;
    bench.rules(
        "- {id: customers, table: core.customers, starting_point: left_on, retention_period: 5 years,
            disposition: erase, dependents: {core.orders: erase}}",
    );
    for round in 0..2 {
        let rows = |row: &dyn Fn(u64) -> String| (1..=2000).map(row).collect::<Vec<_>>().join(", ");
        bench
            .script(&format!(
                "insert into customers values {}; insert into orders values {}",
                rows(&|id| format!("({id}, '2001-01-01')")),
                rows(&|id| (0..3).map(|n| format!("({}, {id})", 10 * id + n)).collect::<Vec<_>>().join(", ")),
            ))
            .await;
        bench.sunset(&["run", "--workers", "8", "--now", bench.now]).expect(0);
        assert_eq!(bench.count("select count(*) from orders").await, 0, "round {round}");
    }
}

/// A run is killed, and the table grows before the next one, which takes up the pass and sees the new rows too.
async fn a_pass_that_was_left_is_taken_up(bench: Bench) {
    bench.settings("time_zone: Asia/Tokyo\npace: {batch_rows: 200}");
    many_rows(&bench, 30_000).await;
    bench.rules(RULE);
    let run = bench.start(&["run", "--now", bench.now]);
    while bench.count("select count(*) from t").await > 28_000 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    signal("KILL", run.id());
    assert_eq!(Call::of(run).code, -1, "it was through before it could be killed");
    more_rows(&bench, 30_000, 30_000).await;
    bench.run_to_the_end();
    assert_eq!(bench.count("select count(*) from t").await, 0);
    let evidence = bench.evidence();
    assert!(evidence.is_settled());
    assert_eq!(evidence.committed_rows(), 60_000);
}

/// A run dies at the last part of the table, which grows before the next one: the part is longer than it was when it
/// was cut, and no batch takes the rest of it at once.
async fn a_part_grows_after_it_was_cut(bench: Bench) {
    bench.settings("time_zone: Asia/Tokyo\npace: {batch_rows: 7}");
    due_rows(&bench, "t", 200).await;
    bench.rules(RULE);
    let run = ["run", "--workers", "1", "--now", bench.now];
    // parts of 140 rows are 20 batches
    bench.sunset_with(&run, &[("SUNSET_FAILPOINT", "before_statement:22")]).expect(-1);
    // about 4,530 rows make parts of 141: 20 batches and one row
    let grown: Vec<_> = (201..=4680).map(|id| format!("({id}, '2001-01-01', 'old')")).collect();
    bench.script(&format!("insert into t values {}", grown.join(", "))).await;
    bench.sunset(&run).expect(0);
    assert_eq!(bench.list("select id from t").await, "0");
    assert!(bench.evidence().is_settled());
}

/// While a run is at a rule, another one with another cut-off leaves it alone.
async fn other_work_is_not_shared(bench: Bench) {
    if bench.engine == Engine::Sqlite {
        return;
    }
    bench.settings("time_zone: Asia/Tokyo\npace: {batch_rows: 200}");
    many_rows(&bench, 30_000).await;
    bench.rules(RULE);
    let run = bench.start(&["run", "--now", bench.now]);
    while bench.count("select count(*) from t").await == 30_000 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let other = bench.sunset(&["run", "--now", "2026-11-29"]).expect(75);
    assert!(other.out.contains("another run is at this rule, with other settings"), "{other:?}");
    Call::of(run).expect(0);
    assert_eq!(bench.evidence().committed_rows(), 30_000);
}

/// Two jobs, each with a ledger of its own, on the same table.
async fn two_jobs_on_one_table(bench: Bench) {
    bench.settings("time_zone: Asia/Tokyo\npace: {batch_rows: 10}");
    due_rows(&bench, "t", 2000).await;
    bench.rules(RULE);
    let other = bench.beside("other");
    other.rules(RULE);
    let runs = [&bench, &other].map(|bench| bench.start(&["run", "--now", bench.now]));
    for call in runs.map(Call::of) {
        assert!([0, 75].contains(&call.code), "{call:?}");
    }
    for bench in [&bench, &other] {
        bench.run(0);
    }
    assert_eq!(bench.list("select id from t").await, "0");
    assert_eq!(bench.evidence().committed_rows() + other.evidence().committed_rows(), 2000);
}

/// Two rules on one table, one run each: the rows of both go, and neither touches the other's.
async fn two_rules_on_one_table(bench: Bench) {
    bench.settings("time_zone: Asia/Tokyo\npace: {batch_rows: 10}");
    due_rows(&bench, "t", 2000).await;
    bench.script("update t set state = 'odd' where id % 2 = 1").await;
    bench.rules(
        "
- {id: old, table: core.t, starting_point: at_day, retention_period: 5 years, disposition: erase, where: {state: old}}
- {id: odd, table: core.t, starting_point: at_day, retention_period: 5 years, disposition: erase, where: {state: odd}}",
    );
    let runs = ["old", "odd"].map(|rule| bench.start(&["run", "--now", bench.now, "--rule", rule]));
    for call in runs.map(Call::of) {
        // SQLite has one writer at a time: whoever waits too long for it says so
        assert!([0, 75].contains(&call.code), "{call:?}");
    }
    bench.run(0);
    assert_eq!(bench.list("select id from t").await, "0");
    assert_eq!(bench.evidence().committed_rows(), 2000);
}

/// The company moves rows over the line in both directions while a run is at work. A row that has been taken back is
/// there afterwards; what is due at the end goes with the next run.
async fn writers_meanwhile(bench: Bench) {
    bench.settings("time_zone: Asia/Tokyo\npace: {batch_rows: 10, lock_timeout: 10 s}");
    due_rows(&bench, "t", 3000).await;
    bench.rules(
        "- {id: t, table: core.t, starting_point: at_day, retention_period: 5 years, disposition: erase,
                    where: {state: [old, new]}}",
    );
    let stop = Arc::new(AtomicBool::new(false));
    let (flag, engine, url) = (stop.clone(), bench.engine, bench.database.url.clone());
    let writer = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(take_back(engine, &url, &flag))
    });
    let call = bench.sunset(&["run", "--now", bench.now, "--format", "json"]);
    stop.store(true, Ordering::Relaxed);
    let taken_back = writer.join().unwrap();
    assert!([0, 75].contains(&call.code), "{call:?}");
    assert!(!taken_back.is_empty(), "the writer came too late to take anything back");
    let left = bench.lines("select id from t where state = 'taken back' order by id").await;
    let expected: Vec<_> = taken_back.iter().map(ToString::to_string).collect();
    assert_eq!(left, expected, "rows were disposed of that were not due any more");
    bench.run(0);
    assert_eq!(bench.count("select count(*) from t where state = 'old'").await, 0);
    let gone = 3000 - expected.len() as u64;
    let added = bench.count("select count(*) from t where id > 100000").await;
    assert_eq!(added, 0, "rows that became due meanwhile are left");
    let evidence = bench.evidence();
    assert!(evidence.is_settled() && evidence.committed_rows() >= gone);
}

/// Takes rows back from the end of the table, one after another, and adds due ones; gives the keys of those that it got.
async fn take_back(engine: Engine, url: &str, stop: &AtomicBool) -> Vec<u64> {
    let mut taken = Vec::new();
    let mut id = 3000;
    while !stop.load(Ordering::Relaxed) && id > 0 {
        let back = format!("update t set state = 'taken back' where id = {id}");
        let add = format!("insert into t values ({}, '2001-01-01', 'old')", 100_000 + id);
        if affected(engine, url, &back).await == Some(1) {
            taken.push(id);
        }
        affected(engine, url, &add).await;
        id -= 1;
    }
    taken.sort_unstable();
    taken
}

/// Rows that a statement changed; nothing when the database was busy.
async fn affected(engine: Engine, url: &str, sql: &str) -> Option<u64> {
    let sql = raw_sql(sqlx::AssertSqlSafe(sql.to_owned()));
    match engine {
        Engine::Postgres => {
            let mut connection = PgConnection::connect(url).await.unwrap();
            connection.execute(sql).await.ok().map(|result| result.rows_affected())
        }
        Engine::Mysql => {
            let mut connection = crate::support::bench::mysql(url).await;
            connection.execute(sql).await.ok().map(|result| result.rows_affected())
        }
        Engine::Sqlite => {
            let mut connection = SqliteConnection::connect(url).await.unwrap();
            connection.execute(sql).await.ok().map(|result| result.rows_affected())
        }
    }
}

/// Somebody holds a lock for longer than a run waits: it gives up for this time, and has done no half of a batch.
async fn a_lock_that_is_not_let_go(bench: Bench) {
    bench.settings("time_zone: Asia/Tokyo\npace: {lock_timeout: 300 ms, retries: 1, batch_rows: 10}");
    due_rows(&bench, "t", 20).await;
    bench
        .script(
            "create table parts (id {int} primary key, t_id {int}, foreign key (t_id) references t (id));
             insert into parts values (1, 1), (2, 2), (15, 15)",
        )
        .await;
    bench.rules(&format!("{}, dependents: {{core.parts: erase}}}}", RULE.trim_end_matches('}')));
    let lock = Lock::on(&bench, "update t set state = 'locked' where id = 15").await;
    let report = bench.run(75);
    assert_eq!(report.rule("t")["result"], "temporary");
    // batches before the locked row may have gone, each with its dependents
    let left = bench.lines("select id from t where id > 0 order by id").await;
    assert!(left.contains(&"15".to_owned()));
    let orphans = "select count(*) from parts where t_id not in (select id from t)";
    assert_eq!(bench.count(orphans).await, 0);
    let evidence = bench.evidence();
    assert!(evidence.is_settled());
    assert_eq!(evidence.committed_rows(), 20 - left.len() as u64);
    lock.release().await;
    assert_eq!(bench.run_to_the_end().disposed(), left.len() as u64);
    assert_eq!(bench.count("select count(*) from parts").await, 0);
}

/// A transaction that stays open.
enum Lock {
    Postgres(PgConnection),
    Mysql(sqlx::MySqlConnection),
    Sqlite(SqliteConnection),
}

impl Lock {
    async fn on(bench: &Bench, sql: &'static str) -> Self {
        let url = bench.database.url.as_str();
        match bench.engine {
            Engine::Postgres => {
                let mut connection = PgConnection::connect(url).await.unwrap();
                connection.execute("begin").await.unwrap();
                connection.execute(sql).await.unwrap();
                Self::Postgres(connection)
            }
            Engine::Mysql => {
                let mut connection = crate::support::bench::mysql(url).await;
                connection.execute("begin").await.unwrap();
                connection.execute(sql).await.unwrap();
                Self::Mysql(connection)
            }
            Engine::Sqlite => {
                let mut connection = SqliteConnection::connect(url).await.unwrap();
                connection.execute("begin immediate").await.unwrap();
                connection.execute(sql).await.unwrap();
                Self::Sqlite(connection)
            }
        }
    }

    async fn release(self) {
        match self {
            Self::Postgres(mut connection) => drop(connection.execute("rollback").await.unwrap()),
            Self::Mysql(mut connection) => drop(connection.execute("rollback").await.unwrap()),
            Self::Sqlite(mut connection) => drop(connection.execute("rollback").await.unwrap()),
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// A hold that is set while a run is at work: from the moment that the command has ended, its row stays.
async fn a_hold_meanwhile(bench: Bench) {
    bench.settings("time_zone: Asia/Tokyo\npace: {batch_rows: 1}");
    due_rows(&bench, "t", 1500).await;
    bench.script("create table parts (id {int} primary key, t_id {int}, foreign key (t_id) references t (id))").await;
    // with dependents, rows go one by one
    bench.rules(&format!("{}, dependents: {{core.parts: erase}}}}", RULE.trim_end_matches('}')));
    let run = bench.start(&["run", "--now", bench.now]);
    while bench.count("select count(*) from t").await == 1501 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let hold = ["hold", "add", "--table", "core.t", "--key", "1500", "--matter", "m", "--reason", "r", "--owner", "o"];
    let held = bench.sunset(&[&hold[..], &["--review", "2027-01-01"]].concat());
    let there = bench.count("select count(*) from t where id = 1500").await;
    let call = Call::of(run);
    assert!(held.code == 0 && there == 1, "the hold came too late to prove anything: {held:?} {call:?}");
    assert_eq!(bench.count("select count(*) from t where id = 1500").await, 1, "a held row is gone");
    bench.run(0);
    assert_eq!(bench.list("select id from t order by id").await, "0 1500");
}

on_every_engine!(
    runs_of_one_job,
    runs_after_a_crash,
    runs_share_the_work,
    a_dead_runs_chunks_are_taken_over,
    a_pass_that_was_left_is_taken_up,
    batches_with_dependents_shrink_beside_each_other,
    a_part_grows_after_it_was_cut,
    other_work_is_not_shared,
    two_jobs_on_one_table,
    two_rules_on_one_table,
    writers_meanwhile,
    a_lock_that_is_not_let_go,
    a_hold_meanwhile,
);
