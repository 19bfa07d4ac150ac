//! Faults at chosen moments: a process that dies there, a full disk, a lease that runs out under its worker. (Those at
//! random moments are in [`super::crash`].)

use crate::recipients::run::sandbox;
use crate::support::bench::{Bench, Call, on_every_engine};
use std::{
    collections::BTreeSet,
    fs,
    process::{Command, Stdio},
    time::Duration,
};
use sunset::{catalog::Engine, failpoint::MOMENTS, sandbox::Sandbox};

/// Rows of each table that come with a refill.
const ROWS: u64 = 40;

/// A rule for each way of working: by ranges, by keys with dependents, after a recipient.
async fn company(bench: &Bench, sandbox: &Sandbox) {
    fs::write(bench.path("crm_key"), "crm_planted").unwrap();
    bench.settings(&format!(
        "time_zone: Asia/Tokyo\npace: {{batch_rows: 10}}\nrecipients:\n  crm: {{kind: http, url: \"{}\", auth: \
         {{bearer: \"${{file:crm_key}}\"}}, grade: E1, delete: {{method: DELETE, path: \"/v1/people/{{email}}\", gone: [404]}}}}",
        sandbox.url("crm")
    ));
    bench
        .script(
            "create table visits (id {int} primary key, seen_on {date});
             create table customers (id {int} primary key, left_on {date});
             create table orders (id {int} primary key, customer_id {int} not null,
               foreign key (customer_id) references customers (id));
             create table members (id {int} primary key, left_on {date}, email {text});
             insert into visits values (0, '2025-01-01'); insert into customers values (0, '2025-01-01');
             insert into orders values (0, 0); insert into members values (0, '2025-01-01', '0@example.com')",
        )
        .await;
    bench.rules(
        "
- {id: visits, table: core.visits, starting_point: seen_on, retention_period: 5 years, disposition: erase}
- {id: customers, table: core.customers, starting_point: left_on, retention_period: 5 years, disposition: erase,
   dependents: {core.orders: erase}}
- {id: members, table: core.members, starting_point: left_on, retention_period: 5 years, disposition: erase,
   recipients: [crm: {email: email}]}",
    );
}

async fn refill(bench: &Bench, round: u64) {
    let first = round * ROWS + 1;
    let rows = |row: &dyn Fn(u64) -> String| (first..first + ROWS).map(row).collect::<Vec<_>>().join(", ");
    bench
        .script(&format!(
            "insert into visits values {}; insert into customers values {}; insert into orders values {};
             insert into members values {}",
            rows(&|id| format!("({id}, '2001-01-01')")),
            rows(&|id| format!("({id}, '2001-01-01')")),
            rows(&|id| format!("({id}, {id})")),
            rows(&|id| format!("({id}, '2001-01-01', '{id}@example.com')")),
        ))
        .await;
}

/// As after `rounds` undisturbed runs: database, ledger, and what the recipient was asked.
async fn all_is_done_once(bench: &Bench, sandbox: &Sandbox, rounds: u64, most_calls: u64) {
    assert_eq!(bench.lines("select * from visits").await, ["0|2025-01-01"]);
    assert_eq!(bench.lines("select * from customers").await, ["0|2025-01-01"]);
    assert_eq!(bench.lines("select * from orders").await, ["0|0"]);
    assert_eq!(bench.list("select id from members").await, "0");
    let evidence = bench.evidence();
    assert!(evidence.is_settled(), "a batch is left of which nobody knows what became");
    assert_eq!(evidence.committed_rows(), 3 * rounds * ROWS, "rows lost or counted twice");
    assert_eq!(evidence.committed_dependents(), rounds * ROWS, "dependents lost or counted twice");
    bench.sunset(&["ledger", "verify"]).expect(0);
    let calls: u64 = sandbox.calls("crm").values().sum();
    assert!((rounds * ROWS..=most_calls).contains(&calls), "{calls} calls about {} persons", rounds * ROWS);
}

/// The process dies at each moment, on its first and on a later visit there.
async fn dies_at_every_moment(bench: Bench) {
    let sandbox = sandbox().await;
    company(&bench, &sandbox).await;
    let mut died = BTreeSet::new();
    let (mut rounds, mut deaths) = (0, 0);
    for moment in MOMENTS {
        for visit in [1, 3] {
            refill(&bench, rounds).await;
            rounds += 1;
            // a recovery needs a death before it
            if moment.ends_with("_recovery") {
                let call = bench.sunset_with(&["run", "--now", bench.now], &[("SUNSET_FAILPOINT", "after_commit:2")]);
                assert_eq!(call.code, -1, "{call:?}");
                deaths += 1;
            }
            let failpoint = format!("{moment}:{visit}");
            let workers = if visit == 1 { "1" } else { "2" };
            let arguments = ["run", "--now", bench.now, "--workers", workers];
            let mut call = bench.sunset_with(&arguments, &[("SUNSET_FAILPOINT", &failpoint)]);
            while call.code == 75 {
                // the dead one's session still holds its locks
                std::thread::sleep(Duration::from_millis(100));
                call = bench.sunset_with(&arguments, &[("SUNSET_FAILPOINT", &failpoint)]);
            }
            assert!([-1, 0].contains(&call.code), "{failpoint}: {call:?}");
            if call.code == -1 {
                died.insert(*moment);
                deaths += 1;
            }
            bench.finish();
        }
    }
    assert_eq!(died.len(), MOMENTS.len(), "some moments never came: {died:?}");
    all_is_done_once(&bench, &sandbox, rounds, rounds * ROWS + deaths * ROWS).await;
}

/// The disk with the ledger is full: nothing is disposed of that the ledger does not have, and a later run goes on.
async fn a_full_disk(bench: Bench) {
    let sandbox = sandbox().await;
    company(&bench, &sandbox).await;
    refill(&bench, 0).await;
    bench.sunset(&["run", "--now", bench.now]).expect(0);
    // no file may grow beyond what the store has now and a little more
    let size = fs::metadata(bench.path("state/sunset.db-wal")).map_or(0, |file| file.len());
    let stored = fs::metadata(bench.path("state/sunset.db")).unwrap().len().max(size);
    let mut full = 0;
    for (round, kib) in (1..).zip([0, 16, 32, 64]) {
        refill(&bench, round).await;
        let limit = (stored / 1024 + kib).to_string();
        let call = limited(&bench, &limit);
        assert!([0, 75].contains(&call.code), "{call:?}");
        assert!(call.code == 0 || call.err.contains("full"), "{call:?}");
        full += u64::from(call.code != 0);
        bench.finish();
    }
    assert!(full > 0, "the disk was never full");
    all_is_done_once(&bench, &sandbox, 5, 5 * ROWS + full * ROWS).await;
}

/// A run whose files end at this size, in KiB.
fn limited(bench: &Bench, kib: &str) -> Call {
    let mut command = Command::new("bash");
    // without the signal, a write beyond the limit fails as on a full disk
    command.args(["-c", "trap '' XFSZ; ulimit -f $0; exec \"$@\"", kib]);
    let run = bench.command(&["run", "--now", bench.now]);
    command.arg(run.get_program()).args(run.get_args());
    command.envs(run.get_envs().filter_map(|(name, value)| Some((name, value?))));
    if let Some(directory) = run.get_current_dir() {
        command.current_dir(directory);
    }
    Call::of(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
}

/// A lease runs out while its worker is alive (it was suspended, or a clock jumped): somebody else takes the chunk too,
/// and still every row goes once.
async fn a_lease_that_runs_out_under_its_worker(bench: Bench) {
    if bench.engine == Engine::Sqlite {
        return;
    }
    let sandbox = sandbox().await;
    company(&bench, &sandbox).await;
    for round in 0..20 {
        refill(&bench, round).await;
    }
    let runs = [(), ()].map(|()| bench.start(&["run", "--now", bench.now, "--rule", "visits"]));
    let store = format!("sqlite:{}", bench.path("state/sunset.db").display());
    let mut expired = 0;
    for _ in 0..60 {
        expired += expire(&store).await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for call in runs.map(Call::of) {
        assert!([0, 75].contains(&call.code), "{call:?}");
    }
    assert!(expired > 0, "no lease was there to run out");
    bench.finish();
    all_is_done_once(&bench, &sandbox, 20, 20 * ROWS).await;
}

/// Lets every lease run out; gives how many there were.
async fn expire(store: &str) -> u64 {
    use sqlx::{Connection as _, Executor as _};
    let Ok(mut connection) = sqlx::SqliteConnection::connect(store).await else { return 0 };
    let expired = connection.execute("update chunks set leased_until = 1 where leased_until > 1").await;
    expired.map_or(0, |result| result.rows_affected())
}

on_every_engine!(dies_at_every_moment, a_full_disk, a_lease_that_runs_out_under_its_worker);
