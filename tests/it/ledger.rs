//! Store and ledger, on a SQLite file and on PostgreSQL (`SUNSET_TEST_POSTGRES_URL`).

use jiff::Timestamp;
use secrecy::SecretString;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, postgres::PgConnectOptions};
use std::{collections::BTreeMap, future::Future, str::FromStr, sync::Arc};
use sunset::{
    cli::KeyKind,
    ledger::{BatchEvidence, BatchResult, BatchTags, Clock, Entry, Event, Intent, Key, Keys, Ledger, SettledBy},
    settings::{KeySettings, StoreSettings},
    store::{self, HoldTarget, NewHold, Store},
};

/// Keys that are the same in each test process.
pub fn key_settings() -> KeySettings {
    KeySettings {
        tag: vec![Key::generate(KeyKind::Tag).unwrap().text()],
        signing: vec![Key::generate(KeyKind::Signing).unwrap().text()],
        pseudonym: None,
    }
}

fn clock() -> Clock {
    Arc::new(Timestamp::now)
}

async fn open(settings: &StoreSettings, keys: &KeySettings) -> Ledger {
    try_open(settings, keys).await.unwrap()
}

async fn try_open(settings: &StoreSettings, keys: &KeySettings) -> sunset::ledger::Result<Ledger> {
    Ledger::open(Store::open(settings).await?, Keys::parse(keys).unwrap(), "demo", clock()).await
}

/// Runs a test on a new store of each engine.
async fn on_both<F: Future<Output = ()> + Send + 'static>(test: fn(StoreSettings) -> F) {
    let directory = tempfile::tempdir().unwrap();
    test(StoreSettings::Sqlite(directory.path().join("state/sunset.db"))).await;

    let url =
        std::env::var("SUNSET_TEST_POSTGRES_URL").expect("SUNSET_TEST_POSTGRES_URL must name a PostgreSQL server");
    let server = PgConnectOptions::from_str(&url).unwrap();
    let name = format!("sunset_ledger_{:016x}", fastrand());
    let mut connection = server.connect().await.unwrap();
    connection.execute(AssertSqlSafe(format!("create database {name}"))).await.unwrap();
    let url = server.database(&name).to_url_lossy().to_string();
    let result = tokio::spawn(test(StoreSettings::Postgres(url.into()))).await;
    connection.execute(AssertSqlSafe(format!("drop database {name} with (force)"))).await.unwrap();
    connection.close().await.unwrap();
    result.unwrap();
}

fn fastrand() -> u64 {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).unwrap();
    u64::from_le_bytes(bytes)
}

/// A batch of `rows` rows, numbered from `first`.
pub fn batch(ledger: &Ledger, number: u64, first: u64, rows: u64) -> (Event, BatchTags) {
    let key = ledger.tag_key();
    let mut evidence = BatchEvidence::new("core.main.customers", key);
    (first..first + rows).for_each(|id| evidence.push(key.tag("core.main.customers", &[id.to_string()])));
    let tags = evidence.finish();
    let intent = Event::Intent(Intent {
        rule: "lapsed-customers".into(),
        table: "core.main.customers".into(),
        disposition: "erase".into(),
        batch: number,
        rows,
        dependents: BTreeMap::from([("core.main.addresses".into(), 2 * rows)]),
        root: hex::encode(tags.root),
        tag_key: tags.tag_key.clone(),
        transaction: None,
    });
    (intent, tags)
}

pub fn outcome(intent: u64) -> Event {
    Event::Outcome { intent, result: BatchResult::Committed, milliseconds: 12, settled_by: SettledBy::Direct }
}

fn failure(message: &str) -> Event {
    Event::Failure { rule: None, message: message.into() }
}

#[tokio::test]
async fn entries_form_a_chain_and_intents_stay_open_until_their_outcome() {
    on_both(|settings| async move {
        let keys = key_settings();
        let mut ledger = open(&settings, &keys).await;
        let (intent, tags) = batch(&ledger, 1, 1, 5);
        // Entry 1 starts the ledger, 2 and 3 introduce the keys.
        assert_eq!(ledger.append(vec![failure("one"), intent.clone()], Some(&tags)).await.unwrap(), [4, 5]);
        let Event::Intent(expected) = intent.clone() else { panic!() };
        assert_eq!(ledger.open_intents().await.unwrap(), [(5, expected)]);
        assert_eq!(ledger.tags_of(5).await.unwrap().unwrap().tags, tags.tags);
        assert_eq!(ledger.append(vec![outcome(5)], None).await.unwrap(), [6]);
        assert_eq!(ledger.open_intents().await.unwrap(), []);
        assert_eq!(ledger.store().outcome_of(5).await.unwrap(), Some(6));

        // A second outcome, one without intent, and tags that belong to nothing: nothing is written.
        for (events, tags) in [
            (vec![failure("lost"), outcome(5)], None),
            (vec![outcome(4)], None),
            (vec![outcome(77)], None),
            (vec![failure("lost")], Some(&tags)),
            (vec![intent.clone(), batch(&ledger, 2, 9, 1).0], Some(&tags)),
            (vec![batch(&ledger, 2, 9, 5).0], Some(&tags)),
        ] {
            let error = ledger.append(events, tags).await.unwrap_err();
            assert!(error.to_string().starts_with("the ledger refuses the entry: "), "{error}");
        }

        let lines = ledger.store().entries_after(0, 100).await.unwrap();
        let mut previous = hex::encode([0; 32]);
        for (expected, (seq, line)) in (1..).zip(&lines) {
            let entry: Entry = serde_json::from_str(line).unwrap();
            assert_eq!(
                (entry.seq, *seq, &entry.previous, entry.run.as_str()),
                (expected, expected, &previous, ledger.run())
            );
            previous = hex::encode(sunset::ledger::entry::hash(line));
        }
        assert_eq!(lines.len(), 6);
        let signed = ledger.checkpoint().await.unwrap();
        assert_eq!(signed.checkpoint.size, 6);
        assert_eq!(ledger.checkpoint().await.unwrap(), signed, "nothing was added, so there is nothing new to sign");

        // The next run starts with the checkpoint of the one before.
        let mut ledger = open(&settings, &keys).await;
        assert_eq!(ledger.append(vec![failure("next")], None).await.unwrap(), [8]);
        assert_eq!(ledger.checkpoint().await.unwrap().checkpoint.size, 8);
    })
    .await;
}
