//! Runs that end in the middle: killed, asked to stop, cut off from their database. Whatever the moment, the next run
//! brings database and ledger to where they would be without it.
//!
//! `SUNSET_TEST_KILLS` asks for more kills per case (there are nine cases of kills: 12 each make more than a hundred,
//! 120 more than a thousand, which is for nights), `SUNSET_TEST_SEED` for other moments.

use crate::{
    server::Scratch,
    support::{
        bench::{Bench, Call, on_every_engine, signal},
        random::{Random, variable},
    },
};
use std::{
    thread,
    time::{Duration, Instant},
};
use sunset::catalog::Engine;

/// Rows that come with each refill, in each of the three tables of rules.
const ROWS: u64 = 1500;

/// Three rules, each with its own way through the table: by ranges, by keys with dependents, by keys with values
/// computed outside (where the engine cannot compute them).
async fn company(bench: &Bench) {
    company_with(bench, "rows").await;
}

/// `evidence` is what the rules ask for.
async fn company_with(bench: &Bench, evidence: &str) {
    settings(bench, 20);
    bench
        .script(
            "create table visits (id {int} primary key, seen_on {date});
             create table customers (id {int} primary key, left_on {date});
             create table orders (id {int} primary key, customer_id {int} not null,
               foreign key (customer_id) references customers (id));
             create index orders_customer on orders (customer_id);
             create table people (id {int} primary key, left_on {date}, email {text}, done {boolean});
             insert into visits values (0, '2025-01-01'); insert into customers values (0, '2025-01-01');
             insert into orders values (0, 0); insert into people values (0, '2025-01-01', 'taro@example.com', null)",
        )
        .await;
    bench.rules(
        &"
- {id: visits, table: core.visits, starting_point: seen_on, retention_period: 5 years, disposition: erase,
   evidence: EVIDENCE}
- id: customers
  table: core.customers
  starting_point: left_on
  retention_period: 5 years
  disposition: erase
  dependents: {core.orders: erase}
  evidence: EVIDENCE
- id: people
  table: core.people
  starting_point: left_on
  retention_period: 5 years
  disposition: pseudonymize
  marker: done
  columns: {email: hash}
  evidence: EVIDENCE"
            .replace("EVIDENCE", evidence),
    );
}

fn settings(bench: &Bench, batch_rows: u32) {
    let store = if bench.variables.is_empty() { "" } else { "store: {url: \"${STORE_URL}\"}" };
    bench.settings(&format!("time_zone: Asia/Tokyo\npace: {{batch_rows: {batch_rows}}}\n{store}"));
}

/// Adds due rows with new keys: `round` counts from 0.
async fn refill(bench: &Bench, round: u64) {
    let first = round * ROWS + 1;
    let rows = |row: &dyn Fn(u64) -> String| (first..first + ROWS).map(row).collect::<Vec<_>>().join(", ");
    bench
        .script(&format!(
            "insert into visits values {}; insert into customers values {}; insert into orders values {};
             insert into people values {}",
            rows(&|id| format!("({id}, '2001-01-01')")),
            rows(&|id| format!("({id}, '2001-01-01')")),
            rows(&|id| format!("({id}, {id})")),
            rows(&|id| format!("({id}, '2001-01-01', 'person{id}@example.com', null)")),
        ))
        .await;
}

/// After `rounds` refills and any number of runs, the last of them whole: everything is as one run would have left it.
async fn all_is_done_once(bench: &Bench, rounds: u64) {
    all_is_counted_once(bench, rounds).await;
    let mut random = Random::new(rounds);
    for table in ["core.visits", "core.customers", "core.orders", "core.people"] {
        for _ in 0..3 {
            let key = (1 + random.below(rounds * ROWS)).to_string();
            assert_eq!(bench.proven(table, &[&key]), 1, "{table} {key}");
        }
        assert_eq!(bench.proven(table, &["0"]), 0);
    }
}

async fn all_is_counted_once(bench: &Bench, rounds: u64) {
    assert_eq!(bench.lines("select * from visits").await, ["0|2025-01-01"]);
    assert_eq!(bench.lines("select * from customers").await, ["0|2025-01-01"]);
    assert_eq!(bench.lines("select * from orders").await, ["0|0"]);
    let due = rounds * ROWS;
    assert_eq!(bench.count("select count(*) from people").await, due + 1);
    assert_eq!(bench.list("select id from people where email like '%@%'").await, "0");
    assert_eq!(bench.count("select count(distinct email) from people where done").await, due);

    let evidence = bench.evidence();
    assert!(evidence.is_settled(), "a batch is left of which nobody knows what became");
    assert_eq!(evidence.committed_rows(), 3 * due, "rows lost or counted twice");
    assert_eq!(evidence.committed_dependents(), due, "dependents lost or counted twice");
    let report = bench.run(0);
    assert_eq!(report.disposed(), 0);
}

async fn killed_at_any_moment(bench: Bench) {
    company(&bench).await;
    let rounds = kill_at_any_moment(&bench).await;
    all_is_done_once(&bench, rounds).await;
}

/// The same where the ledger keeps counts alone: no row tells what became of a batch.
async fn killed_with_counts_alone(bench: Bench) {
    company_with(&bench, "counts").await;
    let rounds = kill_at_any_moment(&bench).await;
    all_is_counted_once(&bench, rounds).await;
}

/// Kills runs on refilled tables, and lets the last one end. Gives the number of refills.
async fn kill_at_any_moment(bench: &Bench) -> u64 {
    let kills = variable("SUNSET_TEST_KILLS", 12);
    refill(bench, 0).await;
    // how long a run takes is known after one that nobody disturbed
    let began = Instant::now();
    bench.run(0);
    let whole = u64::try_from(began.elapsed().as_millis()).unwrap();
    let mut random = Random::new(match bench.engine {
        Engine::Postgres => 11,
        Engine::Mysql => 12,
        Engine::Sqlite => 13,
    });
    let (mut killed, mut rounds) = (0, 1);
    while killed < kills {
        refill(bench, rounds).await;
        rounds += 1;
        // once or twice in a row, so that a recovery is killed as well
        for _ in 0..2 {
            let workers = ["1", "2", "4"][usize::try_from(random.below(3)).unwrap()];
            let start = || bench.start(&["run", "--now", bench.now, "--workers", workers]);
            let run = start();
            // now and then, another one shares the work and takes over what the killed one leaves
            let beside = (random.below(3) == 0).then(start);
            thread::sleep(Duration::from_millis(random.below(whole)));
            signal("KILL", run.id());
            if Call::of(run).code == -1 {
                killed += 1;
            }
            if let Some(call) = beside.map(Call::of) {
                assert!([0, 75].contains(&call.code), "{call:?}");
            }
        }
        assert!(rounds < 20 * kills + 20, "runs end before they can be killed");
    }
    bench.finish();
    rounds
}

/// The same with the ledger in a PostgreSQL database, where several machines can reach it.
async fn killed_with_a_shared_store(mut bench: Bench) {
    let store = Scratch::new(Engine::Postgres).await;
    bench.variables = vec![("STORE_URL", store.url.clone())];
    killed_at_any_moment(bench).await;
}

/// Waits until a run has disposed of something; gives how many rows are left.
async fn under_way(bench: &Bench, sql: &str, all: u64) -> u64 {
    for _ in 0..2000 {
        let left = bench.count(sql).await;
        if left < all {
            return left;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("the run disposes of nothing")
}

async fn asked_to_stop(bench: Bench) {
    company(&bench).await;
    settings(&bench, 1);
    refill(&bench, 0).await;
    // the rule on customers runs first or second; its rows go one by one
    let run = bench.start(&["run", "--now", bench.now, "--rule", "customers"]);
    under_way(&bench, "select count(*) from customers", ROWS + 1).await;
    signal("TERM", run.id());
    let call = Call::of(run).expect(75);
    assert!(call.out.contains("interrupted"), "{call:?}");
    let left = bench.count("select count(*) from customers").await;
    assert!(left > 1, "there was no middle to stop in");
    let evidence = bench.evidence();
    assert!(evidence.is_settled(), "a run that stops in an orderly way leaves nothing open");
    assert_eq!(evidence.committed_rows(), ROWS + 1 - left);
    settings(&bench, 500);
    bench.finish();
    all_is_done_once(&bench, 1).await;
}

async fn cut_off_from_the_database(bench: Bench) {
    if bench.engine == Engine::Sqlite {
        return;
    }
    company(&bench).await;
    settings(&bench, 1);
    refill(&bench, 0).await;
    let mut random = Random::new(7);
    for round in 0..3 {
        let left = bench.count("select count(*) from customers").await;
        let run = bench.start(&["run", "--now", bench.now, "--rule", "customers"]);
        under_way(&bench, "select count(*) from customers", left).await;
        thread::sleep(Duration::from_millis(random.below(50)));
        cut_off(&bench).await;
        let call = Call::of(run).expect(75);
        assert!(call.out.contains("try again"), "round {round}: {call:?}");
    }
    settings(&bench, 500);
    bench.finish();
    all_is_done_once(&bench, 1).await;
}

/// Ends all of Sunset's sessions on the server.
async fn cut_off(bench: &Bench) {
    if bench.engine == Engine::Postgres {
        let sql = "select pg_terminate_backend(pid) from pg_stat_activity
                   where datname = current_database() and application_name = 'sunset'";
        bench.rows(sql).await;
        return;
    }
    let sessions = "select id from information_schema.processlist where db = database() and id <> connection_id()";
    for session in bench.lines(sessions).await {
        // one that has ended meanwhile is no error here
        bench.try_script(&format!("kill {session}")).await;
    }
}

on_every_engine!(
    killed_at_any_moment,
    killed_with_a_shared_store,
    killed_with_counts_alone,
    asked_to_stop,
    cut_off_from_the_database,
);
