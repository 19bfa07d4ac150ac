//! Replicas that lag, stand still, or are not there: real ones of each engine.

use super::{RULE, due_rows, log, waited};
use crate::support::{
    bench::{Bench, Call, signal},
    replicas::Pair,
};
use std::{
    thread,
    time::{Duration, Instant},
};
use sunset::catalog::Engine;

/// One test per engine that has replicas, with the pair for itself.
macro_rules! on_each_pair {
    ($($name:ident),* $(,)?) => { $(
        mod $name {
            use super::Pair;
            use sunset::catalog::Engine;

            #[tokio::test]
            async fn postgres() {
                let (pair, _turn) = Pair::of(Engine::Postgres).await;
                super::$name(pair, pair.bench().await).await;
            }

            #[tokio::test]
            async fn mariadb() {
                let (pair, _turn) = Pair::of(Engine::Mysql).await;
                super::$name(pair, pair.bench().await).await;
            }
        }
    )* };
}

const REPLICA: &str = "replicas: {reports: \"${BENCH_REPLICA}\"}";

async fn stop_replay(pair: &Pair) {
    pair.on_replica(match pair.engine {
        Engine::Postgres => "select pg_wal_replay_pause()",
        _ => "stop slave sql_thread",
    })
    .await;
}

async fn start_replay(pair: &Pair) {
    pair.on_replica(match pair.engine {
        Engine::Postgres => "select pg_wal_replay_resume()",
        _ => "start slave sql_thread",
    })
    .await;
}

/// From now on everything reaches the replica's tables so many seconds late.
async fn delay(pair: &Pair, seconds: u32) {
    match pair.engine {
        Engine::Postgres => {
            pair.on_replica(&format!("alter system set recovery_min_apply_delay = '{seconds} s'")).await;
            pair.on_replica("select pg_reload_conf()").await;
        }
        _ => {
            let sql = format!("stop slave; change master to master_delay = {seconds}; start slave");
            pair.on_replica(&sql).await;
        }
    }
}

/// Until the replica has everything.
fn catch_up(bench: &Bench) {
    let mut call = bench.sunset(&["validate"]);
    for _ in 0..100 {
        if call.code == 0 && !call.err.contains("W0608") {
            return;
        }
        thread::sleep(Duration::from_millis(100));
        call = bench.sunset(&["validate"]);
    }
    panic!("the replica does not come back: {call:?}");
}

async fn a_replica_that_follows(_: &Pair, bench: Bench) {
    due_rows(&bench, 3000).await;
    bench.settings_on("time_zone: Asia/Tokyo\npace: {max_lag: 2 s}", REPLICA);
    assert!(!bench.sunset(&["validate"]).expect(0).err.contains("W0608"));
    let report = bench.run_to_the_end();
    assert_eq!(report.line("t"), "done 3000");
    assert!(report.rule("t")["waited"].is_null(), "{report:?}");
}

/// A replica that applies nothing is behind without bound. The run waits, holds nothing, and goes on with it.
async fn a_replica_that_stands_still(pair: &Pair, bench: Bench) {
    due_rows(&bench, 300).await;
    bench.settings_on("time_zone: Asia/Tokyo\npace: {max_lag: 2 s}", REPLICA);
    catch_up(&bench);
    stop_replay(pair).await;
    let plan = bench.sunset(&["plan", "--now", bench.now]).expect(0);
    assert!(plan.err.contains("replica reports does not follow: its "), "{plan:?}");
    let run = bench.start(&["run", "--now", bench.now, "--format", "json"]);
    thread::sleep(Duration::from_millis(2500));
    assert_eq!(bench.count("select count(*) from t").await, 301, "a batch began");
    match pair.engine {
        Engine::Postgres => {
            let open =
                "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()
                        and state like 'idle in transaction%'";
            assert_eq!(bench.count(open).await, 0, "a transaction is open");
            let locks = "select count(*) from pg_locks join pg_class on pg_class.oid = relation where relname = 't'";
            assert_eq!(bench.count(locks).await, 0, "the table is locked");
        }
        _ => assert_eq!(bench.count("select count(*) from information_schema.innodb_trx").await, 0),
    }
    start_replay(pair).await;
    let call = Call::of(run).expect(0);
    let report: serde_json::Value = serde_json::from_str(&call.out).unwrap();
    assert!(waited(&report["rules"][0], "replica_lag") > 1500, "{report}");
    let reason = if pair.engine == Engine::Postgres { "its replay is paused" } else { "its SQL thread is not running" };
    let told = log(&call);
    assert!(told.iter().any(|line| line.contains("waiting") && line.contains(reason)), "{told:?}");
    assert!(told.iter().any(|line| line.contains("waiting is over")), "{told:?}");
    assert_eq!(bench.count("select count(*) from t").await, 1);
}

/// A replica that follows late: batches come no faster than it does.
async fn a_replica_that_lags(pair: &Pair, bench: Bench) {
    due_rows(&bench, 3000).await;
    bench.settings_on("time_zone: Asia/Tokyo\npace: {max_lag: 1 s, rows_per_second: 1000}", REPLICA);
    catch_up(&bench);
    delay(pair, 4).await;
    let call = bench.sunset(&["run", "--now", bench.now, "--format", "json"]);
    delay(pair, 0).await;
    let call = call.expect(0);
    let report: serde_json::Value = serde_json::from_str(&call.out).unwrap();
    assert!(waited(&report["rules"][0], "replica_lag") > 1000, "{report}");
    let told = log(&call);
    let behind = |line: &String| line.contains("replica reports is ") && line.contains("s behind, max_lag is 1s");
    assert!(told.iter().any(behind), "{told:?}");
    catch_up(&bench);
}

async fn a_wait_that_is_too_long(pair: &Pair, bench: Bench) {
    due_rows(&bench, 10).await;
    bench.rules(&format!("{RULE}\n{}", RULE.replace("id: t,", "id: again,").replace("core.t", "core.u")));
    bench.script("create table u (id {int} primary key, at_day {date}); insert into u values (1, '2001-01-01')").await;
    bench.settings_on("time_zone: Asia/Tokyo\npace: {max_wait: 3 s}", REPLICA);
    catch_up(&bench);
    stop_replay(pair).await;
    let began = Instant::now();
    let report = bench.run(75);
    start_replay(pair).await;
    // the second rule does not wait as long again
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
    for (rule, left) in [("t", 10), ("again", 1)] {
        assert_eq!(report.line(rule), format!("temporary 0 backlog={left}"));
    }
    let message = |rule| report.rule(rule)["message"].as_str().unwrap();
    assert!(message("again").contains("which is all that max_wait allows"), "{report:?}");
    assert!(!message("t").contains("waited"), "{report:?}");
    catch_up(&bench);
    assert_eq!(bench.run_to_the_end().disposed(), 11);
}

/// Ctrl-C and SIGTERM do not wait for a replica.
async fn a_stop_while_waiting(pair: &Pair, bench: Bench) {
    due_rows(&bench, 10).await;
    bench.settings_on("time_zone: Asia/Tokyo", REPLICA);
    catch_up(&bench);
    stop_replay(pair).await;
    let run = bench.start(&["run", "--now", bench.now]);
    thread::sleep(Duration::from_millis(1500));
    let began = Instant::now();
    signal("INT", run.id());
    let call = Call::of(run);
    start_replay(pair).await;
    call.expect(75);
    assert!(began.elapsed() < Duration::from_secs(1), "a stop took {:?}", began.elapsed());
    assert!(bench.evidence().is_settled());
    catch_up(&bench);
}

async fn a_replica_that_is_not_there(pair: &Pair, mut bench: Bench) {
    due_rows(&bench, 10).await;
    let scheme = if pair.engine == Engine::Postgres { "postgres" } else { "mysql" };
    bench.variables = vec![("BENCH_REPLICA", format!("{scheme}://user:hunter2@127.0.0.1:1/none"))];
    bench.settings_on("time_zone: Asia/Tokyo\npace: {max_wait: 1 s}", REPLICA);
    let plan = bench.sunset(&["plan", "--now", bench.now]).expect(0);
    assert!(plan.err.contains("W0608") && plan.err.contains("a run waits for it, up to 1s"), "{plan:?}");
    let report = bench.run(75);
    let message = report.rule("t")["message"].as_str().unwrap();
    assert!(message.starts_with("replica reports does not say how far it is: "), "{message}");
    bench.settings_on("time_zone: Asia/Tokyo\npace: {unreachable_replica: ignore}", REPLICA);
    let call = bench.sunset(&["run", "--now", bench.now]).expect(0);
    assert!(log(&call).iter().any(|line| line.contains("going on without it")), "{call:?}");
    assert!(!format!("{plan:?}{report:?}{call:?}").contains("hunter2"), "a password is shown");
}

/// Packets go there and nothing comes back: that is no answer either, and holds up no stop.
async fn a_replica_that_says_nothing(pair: &Pair, mut bench: Bench) {
    due_rows(&bench, 10).await;
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let scheme = if pair.engine == Engine::Postgres { "postgres" } else { "mysql" };
    let url = format!("{scheme}://user:hunter2@{}/none", silent.local_addr().unwrap());
    bench.variables = vec![("BENCH_REPLICA", url)];
    bench.settings_on("time_zone: Asia/Tokyo\npace: {max_wait: 7 s}", REPLICA);
    let report = bench.run(75);
    assert_eq!(report.line("t"), "temporary 0 backlog=10");
    let message = report.rule("t")["message"].as_str().unwrap();
    assert!(message.contains("does not say how far it is: no answer within 5 seconds (waited"), "{message}");
    let run = bench.start(&["run", "--now", bench.now]);
    // planning has asked once, too: the run is at its own question
    thread::sleep(Duration::from_secs(8));
    let began = Instant::now();
    signal("TERM", run.id());
    Call::of(run).expect(75);
    assert!(began.elapsed() < Duration::from_secs(1), "a stop took {:?}", began.elapsed());
    assert_eq!(bench.count("select count(*) from t").await, 11);
}

/// The primary itself is no replica.
async fn a_server_that_is_no_replica(_: &Pair, mut bench: Bench) {
    due_rows(&bench, 10).await;
    bench.variables = vec![("BENCH_REPLICA", bench.database.url.clone())];
    bench.settings_on("time_zone: Asia/Tokyo\npace: {max_wait: 1 s}", REPLICA);
    assert!(bench.sunset(&["validate"]).err.contains("reports is no replica just now"));
    let report = bench.run(75);
    assert!(report.rule("t")["message"].as_str().unwrap().contains("it is no replica"), "{report:?}");
}

on_each_pair!(
    a_replica_that_follows,
    a_replica_that_stands_still,
    a_replica_that_lags,
    a_wait_that_is_too_long,
    a_stop_while_waiting,
    a_replica_that_is_not_there,
    a_replica_that_says_nothing,
    a_server_that_is_no_replica,
);

/// PostgreSQL's primary knows its standbys by name, and may be asked in their place.
#[tokio::test]
async fn a_standby_that_the_primary_tells_of() {
    let (pair, _turn) = Pair::of(Engine::Postgres).await;
    let bench = pair.bench().await;
    due_rows(&bench, 3000).await;
    let standby = |name: &str| format!("replicas: {{reports: {{standby: {name}}}}}");
    let settings = "time_zone: Asia/Tokyo\npace: {max_lag: 1 s, max_wait: 5 s, rows_per_second: 500}";
    bench.settings_on(settings, &standby("nobody"));
    let report = bench.run(75);
    assert!(report.rule("t")["message"].as_str().unwrap().contains("knows no standby \"nobody\""), "{report:?}");
    bench.settings_on(settings, &standby("sunset_standby"));
    catch_up(&bench);
    // it stays connected and goes on receiving; what it has replayed stands still
    stop_replay(pair).await;
    let report = bench.run(75);
    start_replay(pair).await;
    let message = report.rule("t")["message"].as_str().unwrap();
    assert!(message.starts_with("replica reports is ") && message.contains("s behind"), "{message}");
    assert!(report.disposed() > 0, "it was not behind from the start");
    assert!(waited(report.rule("t"), "replica_lag") > 4000, "{report:?}");
    catch_up(&bench);
    bench.settings_on("time_zone: Asia/Tokyo\npace: {max_lag: 1 s}", &standby("sunset_standby"));
    assert_eq!(bench.run(0).rule("t")["result"], "done");
}

/// A replica's user needs the rights that docs/pace.md names, and no others.
#[tokio::test]
async fn a_replicas_user_needs_no_more_than_documented() {
    for engine in [Engine::Postgres, Engine::Mysql] {
        let (pair, _turn) = Pair::of(engine).await;
        let mut bench = pair.bench().await;
        due_rows(&bench, 10).await;
        bench.settings_on("time_zone: Asia/Tokyo", REPLICA);
        catch_up(&bench);
        let user = format!("sunset_looker_{}", std::process::id());
        let (rights, database) = match engine {
            Engine::Postgres => (format!("create role {user} login password 'looks'"), "postgres"),
            _ => (
                format!("create user {user} identified by 'looks'; grant slave monitor on *.* to {user}"),
                "information_schema",
            ),
        };
        pair.on_primary(&rights).await;
        let (scheme, rest) = bench.variables[0].1.split_once("://").unwrap();
        let (place, _) = rest.split_once('@').unwrap().1.split_once('/').unwrap();
        bench.variables = vec![("BENCH_REPLICA", format!("{scheme}://{user}:looks@{place}/{database}"))];
        catch_up(&bench);
        assert_eq!(bench.run(0).line("t"), "done 10");
        pair.on_primary(&format!("drop {} {user}", if engine == Engine::Postgres { "role" } else { "user" })).await;
    }
}

/// A user without rights on statistics is told what to grant, before a run waits for nothing.
#[tokio::test]
async fn a_user_who_may_not_see_standbys() {
    let (pair, _turn) = Pair::of(Engine::Postgres).await;
    let bench = pair.bench().await;
    due_rows(&bench, 10).await;
    let role = format!("sunset_blind_{}", std::process::id());
    pair.on_primary(&format!("create role {role} login password 'blind'")).await;
    bench.script(&format!("grant select, delete on t to {role}")).await;
    let place = bench.database.url.split_once('@').unwrap().1;
    let url = format!("postgres://{role}:blind@{place}");
    let more = "replicas: {near: {standby: sunset_standby}}, pace: {yield_to: [vacuum]}";
    bench.settings_on("time_zone: Asia/Tokyo", more);
    let call = bench.sunset_with(&["validate"], &[("BENCH_URL", &url)]).expect(0);
    bench.script(&format!("drop owned by {role}")).await;
    pair.on_primary(&format!("drop role {role}")).await;
    assert!(call.err.contains("shows nothing of the standby: grant the user pg_read_all_stats"), "{call:?}");
    assert!(call.err.contains("the user cannot see vacuums: grant it pg_read_all_stats"), "{call:?}");
}
