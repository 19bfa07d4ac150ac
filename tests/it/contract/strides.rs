//! Many rows changed in place on PostgreSQL: in strides, a share of each range's rows at a time.

use crate::support::bench::Bench;
use std::time::Duration;
use sunset::catalog::Engine;

const RULE: &str = "
- {id: people, table: core.people, starting_point: left_on, retention_period: 5 years, disposition: anonymize,
   columns: {name: suppress, note: {replace: \"\"}}}";

/// 60,000 due rows, every seventh row not due; keys of one kind.
async fn people(key: &str, expression: &str) -> Bench {
    let bench = Bench::new(Engine::Postgres).await;
    bench
        .script(&format!(
            "create table people (id {key} primary key, name text, note text, left_on date, fate text)
               with (autovacuum_enabled = off);
             insert into people select {expression}, 'name of ' || i, repeat('x', 150),
               case when i % 7 = 0 then date '2025-01-01' else date '2001-01-01' end,
               case when i % 7 = 0 then 'stays' else 'goes' end from generate_series(1, 70000) i;
             create index people_left_on on people (left_on)"
        ))
        .await;
    bench.script("vacuum analyze people").await;
    bench.settings("time_zone: Asia/Tokyo");
    bench.rules(RULE);
    bench
}

async fn check(bench: &Bench) {
    let done = "name is null and note = ''";
    assert_eq!(bench.count(&format!("select count(*) from people where fate = 'goes' and {done}")).await, 60_000);
    assert_eq!(
        bench.count(&format!("select count(*) from people where fate = 'stays' and not ({done})")).await,
        10_000
    );
    let evidence = bench.evidence();
    assert!(evidence.is_settled());
    assert_eq!(evidence.committed_rows(), 60_000, "every row once");
}

/// How much tables grow depends on what else goes on in the whole server: `benches/dispose` measures it.
#[tokio::test]
async fn rows_of_any_key_are_changed_once() {
    for (key, expression) in [("bigint", "i - 35000"), ("uuid", "md5(i::text)::uuid"), ("text", "'T-' || i")] {
        let bench = people(key, expression).await;
        assert_eq!(bench.plan()["steps"][0]["access"]["walk"], "ranges of heap blocks, in 8 strides each", "{key}");
        assert_eq!(bench.run_to_the_end().disposed(), 60_000, "{key}");
        check(&bench).await;
        let sizes: Vec<_> = bench.evidence().committed().map(|intent| intent["rows"].as_u64().unwrap()).collect();
        // eight batches for each range, of about as many rows each
        assert_eq!(sizes.len() % 8, 0, "{key}: {sizes:?}");
        let (least, most) = (sizes[..8].iter().min(), sizes[..8].iter().max());
        assert!(most.unwrap() < &(least.unwrap() * 2), "{key}: {sizes:?}");
    }
}

/// A changed column that an index has needs a new entry there, wherever the row lies: nothing is to be gained.
#[tokio::test]
async fn indexed_columns_and_few_rows_are_changed_at_once() {
    let bench = people("bigint", "i").await;
    bench.script("create index people_name on people (name)").await;
    assert_eq!(bench.plan()["steps"][0]["access"]["walk"], "ranges of heap blocks");
    bench.script("drop index people_name; create index people_name on people (lower(note))").await;
    assert_eq!(bench.plan()["steps"][0]["access"]["walk"], "ranges of heap blocks");
    bench.script("drop index people_name; delete from people where id > 50000").await;
    assert_eq!(bench.plan()["steps"][0]["access"]["walk"], "ranges of heap blocks");
}

/// Killed between two strides, the next run goes on amid the range.
#[tokio::test]
async fn a_kill_between_strides_loses_nothing() {
    let bench = people("bigint", "i").await;
    for death in ["after_commit:3", "after_intent:5", "after_statement:4", "after_commit:11"] {
        let mut call = bench.sunset_with(&["run", "--now", bench.now], &[("SUNSET_FAILPOINT", death)]);
        while call.code == 75 {
            // the dead one's session still holds its locks
            std::thread::sleep(Duration::from_millis(100));
            call = bench.sunset_with(&["run", "--now", bench.now], &[("SUNSET_FAILPOINT", death)]);
        }
        assert_eq!(call.code, -1, "{death}: {call:?}");
    }
    let mut call = bench.sunset(&["run", "--now", bench.now]);
    while call.code == 75 {
        std::thread::sleep(Duration::from_millis(100));
        call = bench.sunset(&["run", "--now", bench.now]);
    }
    assert_eq!(call.code, 0, "{call:?}");
    check(&bench).await;
}
