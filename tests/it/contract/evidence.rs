//! `evidence: counts`: the ledger knows how many rows went and nothing of any of them, and says so wherever it is asked.

use crate::support::bench::{Bench, on_every_engine};
use serde_json::Value as Json;
use std::collections::BTreeMap;
use sunset::{
    catalog::Engine,
    evidence::Evidence,
    ledger::{Event, Intent},
    settings::StoreSettings,
    store::Store,
};

async fn company(bench: &Bench) {
    let old = |ids: std::ops::Range<u32>| ids.map(|id| format!("({id}, '2001-01-01')")).collect::<Vec<_>>().join(", ");
    bench
        .script(&format!(
            "create table visits (id {{int}} primary key, seen_on {{date}});
             create table customers (id {{int}} primary key, left_on {{date}});
             create table orders (id {{int}} primary key, customer_id {{int}} not null,
               foreign key (customer_id) references customers (id));
             create table letters (id {{int}} primary key, sent_on {{date}});
             insert into visits values {}, (1000, '2025-01-01');
             insert into customers values (1, '2001-01-01'), (2, '2001-01-01'), (3, '2025-01-01');
             insert into orders values (1, 1), (2, 1), (3, 3);
             insert into letters values (1, '2001-01-01'), (2, '2001-01-01')",
            old(1..501)
        ))
        .await;
    bench.settings("time_zone: Asia/Tokyo\npace: {batch_rows: 100}");
    bench.rules(
        "
- {id: visits, table: core.visits, starting_point: seen_on, retention_period: 5 years, disposition: erase,
   evidence: counts}
- {id: customers, table: core.customers, starting_point: left_on, retention_period: 5 years, disposition: erase,
   dependents: {core.orders: erase}, evidence: counts}
- {id: letters, table: core.letters, starting_point: sent_on, retention_period: 5 years, disposition: erase,
   evidence: rows}",
    );
}

async fn store(bench: &Bench) -> Store {
    Store::open_existing(&StoreSettings::Sqlite(bench.path("state/sunset.db"))).await.unwrap()
}

async fn counts_alone(bench: Bench) {
    company(&bench).await;
    let report = bench.run_to_the_end();
    assert_eq!(report.line("visits"), "done 500");
    assert_eq!(report.line("customers"), "done 2");
    assert_eq!(report.along("customers", "orders"), 2);
    assert_eq!(bench.list("select id from visits").await, "1000");
    assert_eq!(bench.list("select id from orders").await, "3");

    // no tag of these rows is left anywhere
    let evidence = bench.evidence();
    for intent in evidence.intents.values() {
        let counted = intent["rule"] != "letters";
        assert_eq!(intent["evidence"] == "counts", counted, "{intent}");
        assert_eq!(intent["root"] == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", counted);
    }
    let exported = bench.sunset(&["ledger", "export"]).expect(0).out;
    assert_eq!(exported.lines().filter(|line| line.starts_with("{\"intent\":")).count(), 1, "tags of other rules");
    let mut store = store(&bench).await;
    for seq in evidence.intents.keys() {
        assert_eq!(store.open_tags(*seq).await.unwrap(), None);
    }
    assert_eq!(store.stale_tags().await.unwrap(), 0);

    // and the ledger says so
    let verified = bench.sunset(&["ledger", "verify"]).expect(0).out;
    assert!(verified.contains("504 of these rows are known by number alone"), "{verified}");
    let prove = |table: &str, key: &str, code| bench.sunset(&["ledger", "prove", table, key]).expect(code).out;
    assert!(prove("core.letters", "1", 0).contains("was in 1 batch"));
    let found = prove("core.visits", "7", 4);
    assert!(found.contains("rule visits keeps counts alone") && found.contains("the ledger cannot tell"), "{found}");
    assert!(found.contains("was among the 500 rows"), "{found}");
    let findings = bench.sunset(&["ledger", "prove", "--format", "json", "core.orders", "1"]).expect(4).out;
    let findings: Json = serde_json::from_str(&findings).unwrap();
    assert_eq!(findings["proofs"], serde_json::json!([]));
    assert_eq!(findings["counted"][0]["rows"], 2);
    assert_eq!(findings["counted"][0]["rule"], "customers");
}

/// A batch that was announced, and of which neither the server nor the store knows anything.
async fn what_nobody_can_tell_is_said(bench: Bench) {
    company(&bench).await;
    let schema = match bench.engine {
        Engine::Postgres => "public".to_owned(),
        Engine::Mysql => bench.list("select database()").await,
        Engine::Sqlite => "main".to_owned(),
    };
    let mut ledger = bench.ledger().await;
    let tag_key = ledger.tag_key().id().to_owned();
    let intent = Event::Intent(Intent {
        rule: "visits".into(),
        table: format!("core.{schema}.visits"),
        disposition: "erase".into(),
        batch: 1,
        rows: 17,
        dependents: BTreeMap::new(),
        along_with: None,
        partition: None,
        k_anonymity: None,
        evidence: Evidence::Counts,
        root: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855".into(),
        tag_key,
        transaction: None,
        cluster: None,
        mark: None,
        terms: None,
        worker: 0,
    });
    ledger.append(vec![intent], &[]).await.unwrap();
    ledger.into_store().close().await.unwrap();
    bench.run(0);
    let evidence = bench.evidence();
    let results: Vec<_> = evidence.events("outcome").iter().map(|outcome| outcome["result"].clone()).collect();
    assert_eq!(results.iter().filter(|result| *result == "unknown").count(), 1, "{results:?}");
    let verified = bench.sunset(&["ledger", "verify"]).expect(0).out;
    assert!(verified.contains("1 batches are in doubt"), "{verified}");
    assert_eq!(evidence.committed_rows(), 504);
}

on_every_engine!(counts_alone, what_nobody_can_tell_is_said);
