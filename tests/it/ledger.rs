//! Store and ledger, on a SQLite file and on PostgreSQL (`SUNSET_TEST_POSTGRES_URL`).

use futures_util::FutureExt;
use jiff::Timestamp;
use proptest::prelude::*;
use secrecy::{ExposeSecret, SecretString};
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, Executor, postgres::PgConnectOptions, sqlite::SqliteConnectOptions,
};
use std::{
    collections::BTreeMap,
    future::Future,
    os::unix::fs::PermissionsExt,
    path::Path,
    str::FromStr,
    sync::{Arc, OnceLock},
};
use sunset::{
    cli::{KeysCommand, LedgerCommand, RowArgs},
    commands,
    evidence::{
        Evidence,
        checkpoint::VerificationKey,
        keys::{Key, KeyKind, KeySettings, Keys},
        tag::{BatchEvidence, BatchTags, Tagging},
    },
    ledger::{
        BatchResult, Clock, Entry, Error, Event, Intent, Ledger, SettledBy, ToldBy, entry,
        export::Export,
        prove::{prove, verify_proof},
        verify::{ExternalNote, Report, Verifier, verify_lines, verify_store},
    },
    outcome::Outcome,
    output::Format,
    settings::{Pace, ServeSettings, Settings, StoreSettings},
    store::{self, HoldTarget, NewHold, Store},
};

/// New keys.
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
pub async fn on_both<F: Future<Output = ()> + Send + 'static>(test: fn(StoreSettings) -> F) {
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
        along_with: None,
        partition: None,
        k_anonymity: None,
        evidence: Evidence::Rows,
        dependents: BTreeMap::from([("core.main.addresses".into(), 2 * rows)]),
        root: hex::encode(tags.root),
        tag_key: tags.tag_key.clone(),
        transaction: None,
        cluster: None,
        mark: None,
        terms: None,
        worker: 0,
    });
    (intent, tags)
}

pub fn outcome(intent: u64) -> Event {
    Event::ended(intent, BatchResult::Committed, 12)
}

fn failure(message: &str) -> Event {
    Event::Failure { rule: None, message: message.into() }
}

/// A worker that is taken for dead settles its batch a moment after a recovery has: the recovery's word stands.
#[tokio::test]
async fn an_outcome_that_a_recovery_has_written_is_left_out() {
    on_both(|settings| async move {
        let mut ledger = open(&settings, &key_settings()).await;
        let (intent, tags) = batch(&ledger, 1, 1, 5);
        assert_eq!(ledger.append(vec![intent], &[tags]).await.unwrap(), [4]);
        let settled_by = SettledBy::Recovery;
        let (result, told_by, found) = (BatchResult::Committed, Some(ToldBy::Rows), BTreeMap::new());
        let recovered = Event::Outcome { intent: 4, result, milliseconds: 0, settled_by, told_by, found };
        assert_eq!(ledger.append(vec![recovered.clone()], &[]).await.unwrap(), [5]);
        assert_eq!(ledger.append(vec![outcome(4), failure("next")], &[]).await.unwrap(), [0, 6]);
        ledger.append(vec![recovered], &[]).await.unwrap_err();
        assert_eq!(ledger.store().outcome_of(4).await.unwrap(), Some(5));
        assert_eq!(ledger.store().entries_after(0, 100).await.unwrap().len(), 6);
    })
    .await;
}

#[tokio::test]
async fn entries_form_a_chain_and_intents_stay_open_until_their_outcome() {
    on_both(|settings| async move {
        let keys = key_settings();
        let mut ledger = open(&settings, &keys).await;
        let (intent, tags) = batch(&ledger, 1, 1, 5);
        // Entry 1 starts the ledger, 2 and 3 introduce the keys.
        assert_eq!(
            ledger.append(vec![failure("one"), intent.clone()], std::slice::from_ref(&tags)).await.unwrap(),
            [4, 5]
        );
        let Event::Intent(expected) = intent.clone() else { panic!() };
        assert_eq!(ledger.open_intents().await.unwrap(), [(5, expected)]);
        assert_eq!(ledger.tags_of(5).await.unwrap().unwrap().tags, tags.tags);
        assert_eq!(ledger.append(vec![outcome(5)], &[]).await.unwrap(), [6]);
        assert_eq!(ledger.open_intents().await.unwrap(), []);
        assert_eq!(ledger.store().outcome_of(5).await.unwrap(), Some(6));

        // A second outcome, one without intent, and tags that belong to nothing: nothing is written.
        for (events, tags) in [
            (vec![failure("lost"), outcome(5)], &[][..]),
            (vec![outcome(4)], &[]),
            (vec![outcome(77)], &[]),
            (vec![failure("lost")], std::slice::from_ref(&tags)),
            (vec![intent.clone(), batch(&ledger, 2, 9, 1).0], std::slice::from_ref(&tags)),
            (vec![batch(&ledger, 2, 9, 5).0], std::slice::from_ref(&tags)),
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
        assert_eq!(ledger.append(vec![failure("next")], &[]).await.unwrap(), [8]);
        assert_eq!(ledger.checkpoint().await.unwrap().checkpoint.size, 8);
    })
    .await;
}

/// A batch whose evidence is the number of its rows, with tags for recovery.
fn counted(ledger: &Ledger, rows: u64) -> (Event, BatchTags) {
    let key = ledger.tag_key();
    let mut evidence = BatchEvidence::new("core.main.customers", key).with(Tagging::UntilSettled);
    (0..rows).for_each(|id| evidence.push(key.tag("core.main.customers", &[id.to_string()])));
    let tags = evidence.finish();
    let (Event::Intent(intent), _) = batch(ledger, 1, 0, rows) else { panic!() };
    (Event::Intent(Intent { evidence: Evidence::Counts, root: hex::encode(tags.root), ..intent }), tags)
}

#[tokio::test]
async fn tags_for_recovery_are_forgotten_with_the_outcome() {
    on_both(|settings| async move {
        let keys = key_settings();
        let mut ledger = open(&settings, &keys).await;
        let (intent, tags) = counted(&ledger, 5);
        let (proven, lasting) = batch(&ledger, 2, 100, 3);
        let numbers = ledger.append(vec![intent.clone(), proven], &[tags.clone(), lasting.clone()]).await.unwrap();
        let [first, second] = numbers[..] else { panic!() };
        assert_eq!(ledger.tags_of(first).await.unwrap().unwrap().tags, tags.tags);
        assert_eq!(ledger.tags_of(second).await.unwrap().unwrap().tags, lasting.tags);
        // none of them need be there
        let third = ledger.append(vec![intent.clone()], &[]).await.unwrap()[0];
        assert_eq!(ledger.tags_of(third).await.unwrap(), None);

        // such an intent names no root, and no other brings tags that are forgotten
        let Event::Intent(honest) = intent.clone() else { panic!() };
        let claiming = Event::Intent(Intent { root: hex::encode(lasting.root), rows: 3, ..honest.clone() });
        let plain = Event::Intent(Intent { evidence: Evidence::Rows, ..honest });
        for (intent, tags) in [(claiming, lasting.clone()), (plain, tags.clone()), (intent, lasting.clone())] {
            ledger.append(vec![intent], &[tags]).await.unwrap_err();
        }

        ledger.append(vec![outcome(first), outcome(second)], &[]).await.unwrap();
        assert_eq!(ledger.tags_of(first).await.unwrap(), None);
        assert_eq!(ledger.tags_of(second).await.unwrap().unwrap().tags, lasting.tags);
        ledger.append(vec![outcome(third)], &[]).await.unwrap();
        ledger.into_store().close().await.unwrap();

        let report = verify(&settings, &keys).await;
        assert!(report.problems.is_empty(), "{report:?}");
        assert_eq!((report.rows, report.counted_rows), (13, 10));
        let sql = "insert into open_tags (intent, tag_key, tags) select min(seq), 'x', min('y') from intents";
        let bytes = "insert into open_tags (intent, tag_key, tags) select min(seq), 'x', '\\x79'::bytea from intents";
        meddle(&settings, if matches!(settings, StoreSettings::Sqlite(_)) { sql } else { bytes }).await;
        let report = verify(&settings, &keys).await;
        assert!(report.problems[0].message.contains("keeps row tags of 1 batches"), "{report:?}");
    })
    .await;
}

async fn export(store: &mut Store) -> String {
    let mut export = Export::new(store).await.unwrap();
    let mut text = String::new();
    while let Some(line) = export.next().await.unwrap() {
        text += &line;
        text.push('\n');
    }
    text
}

fn trusted(keys: &KeySettings) -> Vec<VerificationKey> {
    Keys::parse(keys).unwrap().trusted("demo")
}

async fn verify(settings: &StoreSettings, keys: &KeySettings) -> Report {
    let mut store = Store::open_existing(settings).await.unwrap();
    verify_store(&mut store, Verifier::new(trusted(keys), vec![]), &[]).await.unwrap()
}

fn hold(target: HoldTarget) -> NewHold {
    NewHold {
        table: "core.main.customers".into(),
        target,
        matter: "2026-17".into(),
        reason: "claim of Jane Doe".into(),
        owner: "legal@example.com".into(),
        review: "2027-01-31".parse().unwrap(),
        only_row: false,
        binding: None,
    }
}

/// One batch with its outcome.
async fn dispose(ledger: &mut Ledger, number: u64, first: u64, rows: u64) -> u64 {
    let (intent, tags) = batch(ledger, number, first, rows);
    let intent = ledger.append(vec![intent], std::slice::from_ref(&tags)).await.unwrap()[0];
    ledger.append(vec![outcome(intent)], &[]).await.unwrap();
    intent
}

/// A ledger of three runs with two signing keys, and what it looks like from outside.
struct Fixture {
    keys: KeySettings,
    export: String,
    /// The newest checkpoint.
    note: String,
}

fn fixture() -> &'static Fixture {
    static FIXTURE: OnceLock<Fixture> = OnceLock::new();
    FIXTURE.get_or_init(|| {
        let directory = tempfile::tempdir().unwrap();
        let settings = StoreSettings::Sqlite(directory.path().join("sunset.db"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut keys = key_settings();
            let mut note = String::new();
            for run in 0..3 {
                if run == 1 {
                    keys.signing.insert(0, Key::generate(KeyKind::Signing).unwrap().text());
                }
                let mut ledger = open(&settings, &keys).await;
                ledger.append(vec![failure("naïve \u{1f600} \"退会\" \\ \u{7}")], &[]).await.unwrap();
                ledger.add_hold(hold(HoldTarget::Key(vec![format!("{run}")]))).await.unwrap();
                for number in 0..2 {
                    dispose(&mut ledger, number, 100 * run + 10 * number, 3).await;
                }
                note = ledger.checkpoint().await.unwrap().note;
            }
            Fixture { export: export(&mut Store::open(&settings).await.unwrap()).await, keys, note }
        })
    })
}

fn check(export: &[u8]) -> Report {
    verify_lines(export, Verifier::new(trusted(&fixture().keys), vec![])).unwrap()
}

fn elsewhere(note: String) -> ExternalNote {
    ExternalNote { kept: "elsewhere".to_owned(), note }
}

/// Also against the newest checkpoint, kept elsewhere.
fn check_anchored(export: &[u8]) -> Report {
    verify_lines(export, Verifier::new(trusted(&fixture().keys), vec![elsewhere(fixture().note.clone())])).unwrap()
}

fn join(lines: &[&str]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

#[test]
fn an_exported_ledger_verifies_with_public_keys_alone() {
    let report = check_anchored(fixture().export.as_bytes());
    assert_eq!((&report.problems[..], &report.notes[..]), (&[][..], &[][..]));
    assert_eq!((report.origin.as_str(), report.checkpoints, report.batches, report.rows), ("demo", 3, 6, 18));
    assert_eq!((report.uncovered, report.covered.unwrap().size), (0, report.entries));
    // Without keys it says on whose word the signatures were believed.
    let report = verify_lines(fixture().export.as_bytes(), Verifier::new(vec![], vec![])).unwrap();
    assert!(report.is_sound());
    assert!(report.notes[0].message.starts_with("no public key was given"));
}

#[test]
fn a_ledger_holds_no_key_and_no_reason_of_a_hold() {
    assert!(!fixture().export.contains("Jane"));
    for key in fixture().keys.tag.iter().chain(&fixture().keys.signing) {
        assert!(!fixture().export.contains(key.expose_secret().rsplit(':').next().unwrap()));
    }
}

#[test]
fn every_lost_line_is_found() {
    let lines: Vec<&str> = fixture().export.lines().collect();
    for place in 0..lines.len() {
        let mut fewer = lines.clone();
        fewer.remove(place);
        let report = check(join(&fewer).as_bytes());
        if place == lines.len() - 1 {
            // The newest checkpoint is missing: its entries are there, but nobody vouches for them.
            assert!(report.is_sound() && report.uncovered > 0);
        } else {
            assert!(!report.is_sound(), "line {}", place + 1);
        }
    }
}

#[test]
fn a_ledger_that_was_cut_back_is_found_by_a_checkpoint_kept_elsewhere() {
    let lines: Vec<&str> = fixture().export.lines().collect();
    let last_entry = lines.len() - 1;
    for length in 0..lines.len() {
        let report = check_anchored(join(&lines[..length]).as_bytes());
        // With all entries there, only the signature's own copy is missing.
        assert_eq!(report.is_sound(), length == last_entry, "{length} lines");
    }
    // Without it, a ledger that ends with an older checkpoint is what it once was: nothing can be found.
    let older = lines.iter().rposition(|line| line.contains("checkpointed")).unwrap();
    let report = check(join(&lines[..older]).as_bytes());
    assert!(report.problems.iter().all(|problem| problem.message.contains("header's public keys")), "{report:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn flipped_bits_are_found(flips in prop::collection::vec((0_usize..1_000_000, 0_u8..8), 1..4)) {
        let export = fixture().export.as_bytes();
        let mut forged = export.to_vec();
        for (place, bit) in flips {
            forged[place % export.len()] ^= 1 << bit;
        }
        prop_assert!(forged == export || !check(&forged).is_sound());
    }

    #[test]
    fn repeated_moved_and_foreign_lines_are_found(from in 0_usize..1000, to in 0_usize..1000, foreign in "[ -~]{0,40}") {
        let lines: Vec<&str> = fixture().export.lines().collect();
        let (from, to) = (from % lines.len(), to % (lines.len() + 1));
        let mut repeated = lines.clone();
        repeated.insert(to, lines[from]);
        prop_assert!(!check(join(&repeated).as_bytes()).is_sound());
        let mut moved = lines.clone();
        let line = moved.remove(from);
        moved.insert(to.min(moved.len()), line);
        prop_assert!(moved == lines || !check(join(&moved).as_bytes()).is_sound());
        let mut inserted = lines.clone();
        inserted.insert(to, &foreign);
        prop_assert!(!check(join(&inserted).as_bytes()).is_sound());
    }

    #[test]
    fn lost_and_inserted_bytes_are_found(place in 0_usize..1_000_000, length in 1_usize..300, inserted in prop::collection::vec(any::<u8>(), 1..5)) {
        let export = fixture().export.as_bytes();
        let place = place % export.len();
        let end = (place + length).min(export.len());
        let fewer = [&export[..place], &export[end..]].concat();
        // Whole lines at the end are another test's matter.
        prop_assume!(!(end == export.len() && (place == 0 || export[place - 1] == b'\n')));
        prop_assert!(!check(&fewer).is_sound());
        let more = [&export[..place], &inserted, &export[place..]].concat();
        prop_assert!(!check(&more).is_sound());
    }

    /// Whatever the lines are, verification ends without a panic.
    #[test]
    fn any_text_gets_a_report(lines in prop::collection::vec(prop_oneof![any::<String>(), "\\{\"(at|intent|checkpoint|format)\":[0-9]{1,20}\\}"], 0..5)) {
        let text = lines.join("\n");
        prop_assert!(!check(text.as_bytes()).is_sound());
    }
}

/// Writes the lines of entries anew from `place` on, with each naming the hash of the one before: what somebody can do
/// who has no signing key.
fn chain_again(lines: &mut [String], place: usize) {
    for later in place..lines.len() {
        let Ok(mut entry) = Entry::parse(&lines[later]) else { continue };
        let before = lines[..later].iter().rfind(|line| Entry::parse(line).is_ok()).unwrap();
        entry.previous = hex::encode(entry::hash(before));
        lines[later] = entry.line().unwrap();
    }
}

#[test]
fn a_forged_entry_in_an_unbroken_chain_is_found_by_the_signed_root() {
    let mut lines: Vec<String> = fixture().export.lines().map(str::to_owned).collect();
    let place = lines.iter().position(|line| line.contains("\"matter\":\"2026-17\"")).unwrap();
    lines[place] = lines[place].replace("2026-17", "2026-18");
    chain_again(&mut lines, place + 1);
    let report = check(lines.iter().map(|line| format!("{line}\n")).collect::<String>().as_bytes());
    let messages: Vec<&str> = report.problems.iter().map(|problem| problem.message.as_str()).collect();
    assert!(messages.iter().all(|message| message.contains("another root")), "{messages:?}");
    assert_eq!(messages.len(), 3, "each of the three checkpoints");
}

#[test]
fn signatures_of_a_key_that_is_not_trusted_do_not_count() {
    let other = key_settings();
    let report = verify_lines(fixture().export.as_bytes(), Verifier::new(trusted(&other), vec![])).unwrap();
    assert_eq!((report.problems.len(), report.checkpoints), (3, 0));
    assert!(report.problems[0].message.contains("none of the trusted keys signed it"), "{report:?}");
    // With the older of two keys, the newer one's checkpoints are named.
    let older = KeySettings { signing: vec![fixture().keys.signing[1].clone()], ..KeySettings::default() };
    let report = verify_lines(fixture().export.as_bytes(), Verifier::new(trusted(&older), vec![])).unwrap();
    assert_eq!((report.problems.len(), report.checkpoints), (2, 1));
}

#[test]
fn the_same_content_in_another_spelling_is_found() {
    for (canonical, other) in [
        ("naïve", "na\\u00efve"),
        ("naïve", "nai\u{308}ve"),
        ("退会", "\\u9000\\u4f1a"),
        ("\"rows\":3", "\"rows\":3.0"),
        ("\"rows\":3", "\"rows\": 3"),
        ("\"seq\":1}", "\"seq\":1,\"seq\":1}"),
        ("\"seq\":1}", "\"seq\":1,\"zest\":1}"),
        (".", ".0"),
    ] {
        let forged = fixture().export.replacen(canonical, other, 1);
        assert_ne!(forged, fixture().export, "{canonical}");
        assert!(!check(forged.as_bytes()).is_sound(), "{other}");
    }
    // Header, row tags and checkpoints are not in the chain: their spelling is all that is checked.
    for start in ["{\"format\":", "{\"intent\":", "{\"checkpoint\":"] {
        let forged = fixture().export.replacen(start, &format!("{start} "), 1);
        let report = check(forged.as_bytes());
        assert_eq!(report.problems.len(), 1, "{start}");
        assert!(report.problems[0].message.ends_with("is not written in canonical JSON"), "{report:?}");
    }
    let with_carriage_returns = fixture().export.replace('\n', "\r\n");
    assert!(!check(with_carriage_returns.as_bytes()).is_sound());
}

#[test]
fn a_checkpoint_of_another_history_is_found() {
    let keys = Keys::parse(&fixture().keys).unwrap();
    let mut tree = sunset::evidence::merkle::Tree::default();
    tree.push([1; 32]);
    let checkpoint =
        sunset::evidence::checkpoint::Checkpoint::new("demo", &tree, "2026-11-22T00:00:00Z".parse().unwrap());
    let note = checkpoint.sign(&keys.signing[0]).note;
    let report =
        verify_lines(fixture().export.as_bytes(), Verifier::new(keys.trusted("demo"), vec![elsewhere(note)])).unwrap();
    assert_eq!(report.problems.len(), 1);
    assert!(report.problems[0].message.contains("kept elsewhere has another root for these 1 entries"));
}

#[test]
fn a_checkpoint_that_was_signed_again_is_found() {
    let keys = Keys::parse(&fixture().keys).unwrap();
    let lines: Vec<&str> = fixture().export.lines().collect();
    let place = lines.iter().position(|line| line.starts_with("{\"checkpoint\":")).unwrap();
    let note = serde_json::from_str::<BTreeMap<String, String>>(lines[place]).unwrap()["checkpoint"].clone();
    let mut checkpoint = sunset::evidence::checkpoint::Checkpoint::verify(&note, &keys.trusted("demo")).unwrap();
    checkpoint.at = "2001-01-01T00:00:00Z".parse().unwrap();
    let note = checkpoint.sign(&keys.signing[1]).note;
    let forged = serde_json::to_string(&BTreeMap::from([("checkpoint", note)])).unwrap();
    let mut lines = lines.clone();
    lines[place] = &forged;
    let report = check(join(&lines).as_bytes());
    assert_eq!(report.problems.len(), 1, "{report:?}");
    assert_eq!(report.problems[0].message, "it does not name the checkpoint before it");
}

#[tokio::test]
async fn writers_at_the_same_time_keep_one_chain() {
    on_both(|settings| async move {
        let keys = key_settings();
        let tasks: Vec<_> = (0..4)
            .map(|task| {
                let (settings, keys) = (settings.clone(), keys.clone());
                tokio::spawn(async move {
                    let mut ledger = open(&settings, &keys).await;
                    for number in 0..15 {
                        dispose(&mut ledger, number, 1000 * task + 10 * number, 2).await;
                        // SQLite has no queue: without a pause, one writer may find the store locked until it gives up
                        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
                        if number % 5 == task {
                            ledger.checkpoint().await.unwrap();
                        }
                    }
                    ledger.checkpoint().await.unwrap();
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        let report = verify(&settings, &keys).await;
        assert!(report.is_sound(), "{report:?}");
        assert_eq!((report.batches, report.rows, report.uncovered), (60, 120, 0));
    })
    .await;
}

#[tokio::test]
async fn an_append_that_is_dropped_halfway_leaves_nothing() {
    on_both(|settings| async move {
        let keys = key_settings();
        let mut ledger = open(&settings, &keys).await;
        ledger.append(vec![failure("first")], &[]).await.unwrap();
        for polls in 1..30 {
            let mut append = Box::pin(ledger.append(vec![failure("dropped")], &[]));
            let mut done = None;
            for _ in 0..polls {
                done = (&mut append).now_or_never();
                if done.is_some() {
                    break;
                }
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
            drop(append);
            if done.is_none() {
                ledger.append(vec![failure("kept")], &[]).await.unwrap();
            }
        }
        ledger.checkpoint().await.unwrap();
        assert!(verify(&settings, &keys).await.is_sound());
    })
    .await;
}

#[tokio::test]
async fn a_store_that_is_not_there_is_not_created_by_reading() {
    on_both(|settings| async move {
        let error = Store::open_existing(&settings).await.err().unwrap();
        assert!(matches!(error, store::Error::Absent(_)), "{error}");
        assert!(error.to_string().contains("the first `sunset run` makes it"), "{error}");
        if let StoreSettings::Sqlite(path) = &settings {
            assert!(!path.parent().unwrap().exists());
        }
        let error = Store::open_existing(&settings).await.err().unwrap();
        assert!(matches!(error, store::Error::Absent(_)), "{error}");
    })
    .await;
}

#[tokio::test]
async fn nobody_else_may_read_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state/deep/sunset.db");
    let mut ledger = open(&StoreSettings::Sqlite(path.clone()), &key_settings()).await;
    ledger.append(vec![failure("one")], &[]).await.unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    for name in ["sunset.db", "sunset.db-wal", "sunset.db-shm"] {
        assert_eq!(mode(&path.with_file_name(name)), 0o600, "{name}");
    }
}

#[tokio::test]
async fn a_store_that_cannot_be_opened_says_why_without_its_url() {
    let open = async |url: String| Store::open(&StoreSettings::Postgres(SecretString::from(url))).await.err().unwrap();
    let error = open("postgres://me:secret-word@127.0.0.1:1/x".into()).await;
    assert_eq!(error.outcome(), Outcome::Temporary, "{error}");
    assert!(!format!("{error} {error:?}").contains("secret-word"));
    let error = open("postgres://me:secret-word@[broken".into()).await;
    assert_eq!(error.outcome(), Outcome::Invalid, "{error}");
    assert!(!format!("{error} {error:?}").contains("secret-word"));
    let url =
        std::env::var("SUNSET_TEST_POSTGRES_URL").expect("SUNSET_TEST_POSTGRES_URL must name a PostgreSQL server");
    let error = open(PgConnectOptions::from_str(&url).unwrap().database("no_such").to_url_lossy().to_string()).await;
    assert_eq!(error.outcome(), Outcome::Invalid, "{error}");
}

#[tokio::test]
async fn a_store_belongs_to_one_job() {
    on_both(|settings| async move {
        let keys = key_settings();
        open(&settings, &keys).await.append(vec![failure("one")], &[]).await.unwrap();
        let store = Store::open(&settings).await.unwrap();
        let error = Ledger::open(store, Keys::parse(&keys).unwrap(), "other", clock()).await.err().unwrap();
        assert!(matches!(error, Error::OtherJob { .. }), "{error}");
        for name in ["", "two words", "a+b", "line\nbreak"] {
            let store = Store::open(&settings).await.unwrap();
            let error = Ledger::open(store, Keys::parse(&keys).unwrap(), name, clock()).await.err().unwrap();
            assert!(matches!(error, Error::Name(_)), "{error}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_destroyed_key_is_refused_everywhere() {
    on_both(|settings| async move {
        let mut keys = key_settings();
        let old = Keys::parse(&keys).unwrap().tag[0].id().to_owned();
        let mut first = open(&settings, &keys).await;
        dispose(&mut first, 1, 1, 3).await;

        keys.tag.insert(0, Key::generate(KeyKind::Tag).unwrap().text());
        let mut ledger = open(&settings, &keys).await;
        let row = ["2".to_owned()];
        let tag_keys = Keys::parse(&keys).unwrap().tag;
        let found = prove(ledger.store(), &tag_keys, "core.customers", &row).await.unwrap();
        assert_eq!(found.proofs.len(), 1);
        ledger.destroy_tag_key(&old, "rotation", "privacy@example.com").await.unwrap();
        let error = ledger.destroy_tag_key("00000000", "rotation", "privacy@example.com").await.unwrap_err();
        assert!(matches!(error, Error::DestroyedKey { .. }), "it is still configured here: {error}");

        let error = try_open(&settings, &keys).await.err().unwrap();
        assert!(matches!(&error, Error::DestroyedKey { id, .. } if *id == old), "{error}");
        assert_eq!(error.outcome(), Outcome::Invalid);
        // A process that was at work with it all the time.
        let error = first.append(vec![failure("late")], &[]).await.unwrap_err();
        assert!(matches!(&error, Error::DestroyedKey { id, .. } if *id == old), "{error}");

        let found = prove(first.store(), &tag_keys, "core.customers", &row).await.unwrap();
        assert_eq!((found.proofs.len(), found.destroyed), (0, vec![old]));
        keys.tag.pop();
        let mut ledger = open(&settings, &keys).await;
        let error = ledger.destroy_tag_key("00000000", "rotation", "privacy@example.com").await.unwrap_err();
        assert!(error.to_string().contains("knows no tag key 00000000"), "{error}");
        ledger.checkpoint().await.unwrap();
        assert!(verify(&settings, &keys).await.is_sound());
    })
    .await;
}

#[tokio::test]
async fn holds_are_kept_until_released_and_then_forget_their_row() {
    on_both(|settings| async move {
        let keys = key_settings();
        let mut ledger = open(&settings, &keys).await;
        let one = ledger.add_hold(hold(HoldTarget::Key(vec!["42".into(), "a".into()]))).await.unwrap();
        let two = ledger.add_hold(hold(HoldTarget::Condition("status = 'open'".into()))).await.unwrap();
        assert_eq!((one.id, two.id), (1, 2));
        assert_eq!(ledger.store().holds().await.unwrap(), [one, two.clone()]);
        let released = ledger.release_hold(1, "settled", "legal@example.com").await.unwrap();
        assert_eq!(
            (released.target.clone(), released.release.as_ref().unwrap().by.as_str()),
            (None, "legal@example.com")
        );
        for id in [1, 7] {
            let error = ledger.release_hold(id, "again", "x").await.unwrap_err();
            assert!(error.to_string().contains(&format!("no hold {id} is in force")), "{error}");
        }
        assert_eq!(ledger.store().holds().await.unwrap(), std::slice::from_ref(&two));
        assert_eq!(ledger.store().all_holds().await.unwrap(), [released, two]);
        assert_eq!(ledger.add_hold(hold(HoldTarget::Key(vec!["43".into()]))).await.unwrap().id, 3);
        assert!(!format!("{:?}", hold(HoldTarget::Key(vec!["secret".into()]))).contains("secret"));
    })
    .await;
}

#[tokio::test]
async fn a_proof_holds_with_public_keys_alone_and_no_other_does() {
    on_both(|settings| async move {
        let keys = key_settings();
        let mut ledger = open(&settings, &keys).await;
        // several leaves of tags each, the last one not full
        for number in 0..5 {
            dispose(&mut ledger, number, 1000 * number, 700).await;
        }
        ledger.checkpoint().await.unwrap();
        let tag_keys = Keys::parse(&keys).unwrap().tag;
        for id in 2000..2700 {
            let found = prove(ledger.store(), &tag_keys, "core.customers", &[id.to_string()]).await.unwrap();
            verify_proof(&found.proofs[0], &trusted(&keys)).unwrap();
        }
        for table in ["core.customers", "core.main.customers"] {
            for (id, expected) in [("2323", 1), ("2800", 0), ("-1", 0)] {
                let found = prove(ledger.store(), &tag_keys, table, &[id.to_owned()]).await.unwrap();
                assert_eq!(found.proofs.len(), expected, "{table} {id}");
            }
        }
        assert_eq!(prove(ledger.store(), &tag_keys, "core.other", &["2323".to_owned()]).await.unwrap().proofs, []);

        let found = prove(ledger.store(), &tag_keys, "core.customers", &["2323".to_owned()]).await.unwrap();
        let proof = &found.proofs[0];
        assert_eq!(verify_proof(proof, &trusted(&keys)).unwrap().size, 13);
        let text = serde_json::to_string(proof).unwrap();
        assert_eq!(serde_json::from_str::<sunset::ledger::prove::Proof>(&text).unwrap(), *proof);
        verify_proof(proof, &trusted(&key_settings())).unwrap_err();
        let forgeries: [fn(&mut sunset::ledger::prove::Proof); 12] = [
            |proof| proof.tag = "00".repeat(16),
            |proof| proof.place = (proof.place + 1) % 700,
            |proof| proof.place = (proof.place + 64) % 700,
            |proof| proof.tags += 1,
            |proof| proof.leaf.truncate(proof.leaf.len() - 32),
            |proof| proof.leaf = proof.tag.repeat(64),
            |proof| proof.tag_key = "00000000".into(),
            |proof| proof.leaf_proof[0] = "00".repeat(32),
            |proof| proof.intent.line = proof.intent.line.replace("erase", "other"),
            |proof| proof.intent.proof.as_mut().unwrap()[0] = "00".repeat(32),
            |proof| proof.outcome = Some(proof.intent.clone()),
            |proof| proof.checkpoint = proof.checkpoint.as_ref().map(|note| note.replace("\n13\n", "\n14\n")),
        ];
        for (forge, number) in forgeries.into_iter().zip(0..) {
            let mut forged = proof.clone();
            forge(&mut forged);
            assert!(verify_proof(&forged, &trusted(&keys)).is_err(), "forgery {number}");
        }

        // Newer than the checkpoint.
        dispose(&mut ledger, 9, 9000, 1).await;
        let found = prove(ledger.store(), &tag_keys, "core.customers", &["9000".to_owned()]).await.unwrap();
        let error = verify_proof(&found.proofs[0], &trusted(&keys)).unwrap_err();
        assert_eq!(error.to_string(), "no checkpoint covers the intent yet");
    })
    .await;
}

/// Changes a store behind the ledger's back.
async fn meddle(settings: &StoreSettings, sql: &'static str) {
    match settings {
        StoreSettings::Sqlite(path) => {
            let mut connection = SqliteConnectOptions::new().filename(path).connect().await.unwrap();
            connection.execute(sql).await.unwrap();
            connection.close().await.unwrap();
        }
        StoreSettings::Postgres(url) => {
            let options = PgConnectOptions::from_str(url.expose_secret()).unwrap();
            let mut connection = options.options([("search_path", "sunset")]).connect().await.unwrap();
            connection.execute(sql).await.unwrap();
            connection.close().await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_store_that_was_meddled_with_is_found_and_never_signed() {
    on_both(|settings| async move {
        let keys = key_settings();
        let mut ledger = open(&settings, &keys).await;
        dispose(&mut ledger, 1, 1, 3).await;
        let size = ledger.checkpoint().await.unwrap().checkpoint.size;
        let mut failures = Vec::new();
        for number in 0..3 {
            failures.push(ledger.append(vec![failure(&format!("number {number}"))], &[]).await.unwrap()[0]);
        }
        assert_eq!((size, &failures[..]), (5, &[7, 8, 9][..]));
        assert!(verify(&settings, &keys).await.is_sound());
        let problem = async || verify(&settings, &keys).await.problems.first().map(|problem| problem.message.clone());

        meddle(&settings, "update intents set outcome = null").await;
        assert!(problem().await.unwrap().contains("does not have its outcome"));
        meddle(&settings, "update intents set outcome = 5").await;
        assert_eq!(problem().await, None);

        meddle(&settings, "update entries set line = replace(line, 'number 1', 'number 7')").await;
        assert!(problem().await.unwrap().contains("does not follow from the entry before"));
        let error = ledger.checkpoint().await.unwrap_err();
        assert!(error.to_string().contains("entry 9 does not follow"), "{error}");
        meddle(&settings, "update entries set line = replace(line, 'number 7', 'number 1')").await;
        assert_eq!(problem().await, None);

        meddle(&settings, "delete from entries where seq = 8").await;
        assert!(problem().await.unwrap().contains("entry 8 is missing"));
        assert!(ledger.checkpoint().await.unwrap_err().to_string().contains("entry 8 is missing"));

        meddle(&settings, "delete from row_tags").await;
        assert!(problem().await.unwrap().contains("the row tags of entry 4 are missing"));

        meddle(&settings, "delete from entries where seq > 4").await;
        let error = try_open(&settings, &keys).await.err().unwrap();
        assert!(error.to_string().contains("the checkpoint of 5 entries: there are fewer entries"), "{error}");
        ledger.append(vec![failure("late")], &[]).await.unwrap_err();
        let report = verify(&settings, &keys).await;
        assert!(
            report.problems.iter().any(|problem| problem.message.contains("covers 5 entries, but 4 stand before")),
            "{report:?}"
        );
    })
    .await;
}

fn settings(directory: &Path, keys: KeySettings) -> Settings {
    Settings {
        subjects: BTreeMap::new(),
        requests: sunset::settings::RequestSettings::default(),
        accepted_gaps: Vec::new(),
        retired: std::collections::BTreeSet::new(),
        unresolved: std::collections::BTreeSet::new(),
        name: "demo".into(),
        directory: directory.to_owned(),
        time_zone: jiff::tz::TimeZone::UTC,
        databases: BTreeMap::new(),
        parameters: BTreeMap::new(),
        recipients: BTreeMap::new(),
        limits: sunset::rules::Limits::default(),
        pace: Pace::default(),
        store: StoreSettings::Sqlite(directory.join("state/sunset.db")),
        anchors: Vec::new(),
        keys,
        schedule: None,
        serve: ServeSettings::default(),
    }
}

#[tokio::test]
async fn the_commands_work_together() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let mut out = Vec::new();
    let new = KeysCommand::New { out: path("keys"), kind: vec![] };
    commands::keys::run(&new, None, Format::Text, &mut out).await.unwrap();
    let text = String::from_utf8(std::mem::take(&mut out)).unwrap();
    let mut read = BTreeMap::new();
    for file in std::fs::read_dir(path("keys")).unwrap() {
        let file = file.unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let secret = std::fs::read_to_string(file.path()).unwrap();
        assert!(!text.contains(secret.trim()));
        assert!(text.contains(&format!("${{file:{}}}", file.path().canonicalize().unwrap().display())), "{text}");
        read.insert(secret.split(':').next().unwrap().to_owned(), SecretString::from(secret));
    }
    let keys = KeySettings {
        tag: vec![read["sunset-tag-key"].clone()],
        signing: vec![read["sunset-signing-key"].clone()],
        pseudonym: Some(read["sunset-pseudonym-key"].clone()),
    };
    let settings = settings(directory.path(), keys.clone());
    let verify = LedgerCommand::Verify { file: None, proof: None, keys: vec![], checkpoint: None, repair: false };
    let error = commands::ledger::run(&verify, Some(&settings), Format::Text, &mut out).await.unwrap_err();
    assert!(error.to_string().contains("there is no store at"), "{error}");
    assert!(!path("state").exists());

    let mut ledger = open(&settings.store, &keys).await;
    dispose(&mut ledger, 1, 1, 3).await;
    ledger.checkpoint().await.unwrap();
    let ledger_command = async |command: LedgerCommand, settings: Option<&Settings>| {
        let mut out = Vec::new();
        let outcome = commands::ledger::run(&command, settings, Format::Text, &mut out).await.unwrap();
        (outcome, String::from_utf8(out).unwrap())
    };
    let (outcome, text) = ledger_command(verify, Some(&settings)).await;
    assert!(outcome == Outcome::Done && text.ends_with("sound\n"), "{text}");
    let (_, note) = ledger_command(LedgerCommand::Checkpoint, Some(&settings)).await;
    std::fs::write(path("note"), note).unwrap();
    ledger_command(LedgerCommand::Export { out: Some(path("ledger.jsonl")) }, Some(&settings)).await;
    let (_, text) = ledger_command(LedgerCommand::Export { out: None }, Some(&settings)).await;
    assert_eq!(text, std::fs::read_to_string(path("ledger.jsonl")).unwrap());
    let public = trusted(&keys)[0].to_string();
    let verify_file = |file: &str| LedgerCommand::Verify {
        proof: None,
        file: Some(path(file)),
        keys: vec![public.clone()],
        checkpoint: Some(path("note")),
        repair: false,
    };
    let (outcome, text) = ledger_command(verify_file("ledger.jsonl"), None).await;
    assert!(outcome == Outcome::Done && text.ends_with("sound\n"), "{text}");
    std::fs::write(path("forged"), std::fs::read_to_string(path("ledger.jsonl")).unwrap().replace("erase", "abuse"))
        .unwrap();
    let (outcome, text) = ledger_command(verify_file("forged"), None).await;
    assert!(outcome == Outcome::Failed && text.contains("problem: line 7, entry 5: it does not follow"), "{text}");
    let row = RowArgs { table: "core.customers".into(), key: vec!["2".into()] };
    let (_, text) = ledger_command(LedgerCommand::Prove(row), Some(&settings)).await;
    assert!(text.starts_with("this row of core.main.customers was in 1 batch\n"), "{text}");
    let row = RowArgs { table: "core.customers".into(), key: vec!["4".into()] };
    let (_, text) = ledger_command(LedgerCommand::Prove(row), Some(&settings)).await;
    assert!(text.starts_with("the ledger knows no batch with this row"), "{text}");

    let keys_command = async |command: KeysCommand, settings: &Settings| {
        let mut out = Vec::new();
        commands::keys::run(&command, Some(settings), Format::Text, &mut out).await?;
        anyhow::Ok(String::from_utf8(out)?)
    };
    let id = Keys::parse(&keys).unwrap().tag[0].id().to_owned();
    let destroy = || KeysCommand::Destroy { id: id.clone(), reason: "old".into(), owner: "me".into() };
    let error = keys_command(destroy(), &settings).await.unwrap_err();
    assert!(error.to_string().contains("is in use: make another"), "{error}");
    let mut rotated = settings.clone();
    rotated.keys.tag.insert(0, Key::generate(KeyKind::Tag).unwrap().text());
    let text = keys_command(destroy(), &rotated).await.unwrap();
    assert!(text.contains("take the key out of keys.tag"), "{text}");
    let text = keys_command(KeysCommand::List, &rotated).await.unwrap();
    assert!(text.contains(&format!("tag        {id}  destroyed ")) && text.contains(&public), "{text}");
}
