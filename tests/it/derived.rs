//! What the store derives from the ledger's entries is trusted by runs and proofs, so that `verify` compares it with them, and
//! mends it on request. And files that are no ledger, or two, are told in one sentence.

use crate::support::bench::{Bench, Call};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, SqliteConnection, raw_sql};
use std::{fs, process::Command};
use sunset::catalog::Engine;

/// A job whose ledger has batches, a hold in force, and two checkpoints.
async fn job() -> Bench {
    let bench = Bench::new(Engine::Sqlite).await;
    bench
        .script(
            "create table visits (id integer primary key, seen_on date);
             insert into visits values (1, '2001-01-01'), (2, '2001-01-01'), (3, '2025-01-01')",
        )
        .await;
    bench.rules(
        "- {id: visits, table: core.visits, starting_point: seen_on, retention_period: 5 years, disposition: erase}",
    );
    bench.run(0);
    let row = ["hold", "add", "--table", "core.visits", "--key", "3"];
    let why = ["--matter", "27 O 1", "--reason", "suit", "--owner", "legal@example.com", "--review", "2030-01-01"];
    bench.sunset(&[&row[..], &why[..]].concat()).expect(0);
    bench.run(0);
    bench
}

/// Changes the store behind the program's back.
async fn tamper(bench: &Bench, sql: &str) {
    let url = format!("sqlite:{}", bench.path("state/sunset.db").display());
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    connection.execute(raw_sql(AssertSqlSafe(sql.to_owned()))).await.unwrap();
    connection.close().await.unwrap();
}

fn verify(bench: &Bench, more: &[&str], code: i32) -> Call {
    bench.sunset(&[&["ledger", "verify"], more].concat()).expect(code)
}

#[tokio::test]
async fn what_follows_from_the_entries_is_compared_and_mended() {
    let bench = job().await;
    verify(&bench, &[], 0);
    let changes = [
        ("update intents set outcome = null", "does not have its outcome", true),
        ("delete from intents", "list of batches does not have it", true),
        ("insert into intents (seq) values (1)", "it is no intent", true),
        ("update intents set counted = table_path from row_tags where intent = seq", "its evidence", true),
        ("update row_tags set table_path = 'core.main.orders'", "under another table or key", true),
        ("update row_tags set tag_key = '00000000'", "under another table or key", true),
        ("update checkpoints set edge = zeroblob(length(edge))", "edge that is kept", false),
        ("delete from known_keys where kind = 'tag'", "does not know tag key", false),
        ("delete from positions", "where database core stood", false),
        ("update known_keys set destroyed_at = '2026-01-01T00:00:00Z' where kind = 'tag'", "tag key", false),
    ];
    for (change, words, hides) in changes {
        tamper(&bench, change).await;
        let told = verify(&bench, &[], 4).out;
        assert!(told.contains(words) && told.contains("--repair"), "{change}: {told}");
        if hides && !change.starts_with("insert") {
            let proof = bench.sunset(&["ledger", "prove", "core.visits", "1"]);
            assert_eq!(proof.code, 3, "{change}: {proof:?}");
            assert!(proof.err.contains("may have had the row"), "{change}: {proof:?}");
        }
        let mended = verify(&bench, &["--repair"], 0).out;
        assert!(mended.contains("was written anew"), "{change}: {mended}");
        let told = verify(&bench, &[], 0).out;
        assert!(told.contains("sound") && !told.contains("written anew"), "{change}: {told}");
        bench.sunset(&["ledger", "prove", "core.visits", "1"]).expect(0);
        bench.run(0);
    }
}

#[tokio::test]
async fn what_does_not_follow_wholly_is_found_and_not_mended() {
    let changes = [
        ("delete from row_tags", "row tags"),
        ("update holds set released_at = '2026-01-01T00:00:00Z'", "hold 1 is in force"),
        ("delete from holds", "an entry adds hold 1"),
        ("update holds set hold = replace(hold, '\"3\"', '\"7\"')", "hold 1 is not on what its entry says"),
        (
            "insert into pauses (id, pause) values (1, '{\"since\":\"2026-01-01T00:00:00Z\",\"by\":\"x\",\"reason\":null,\
             \"until\":null}')",
            "paused",
        ),
        (
            "insert into recipient_answers (recipient, tag, operation, state, first_asked_at, settled_at)
             values ('stripe', '00', 'delete', 'confirmed', 0, 0)",
            "1 persons as confirmed by stripe",
        ),
    ];
    for (change, words) in changes {
        let bench = job().await;
        tamper(&bench, change).await;
        let told = verify(&bench, &["--repair"], 4).out;
        assert!(told.contains(words) && !told.contains("written anew"), "{change}: {told}");
    }
}

/// Whether nothing is known of a row, or tags are missing, is not the same.
#[tokio::test]
async fn a_row_without_evidence_is_not_one_whose_evidence_is_missing() {
    let bench = job().await;
    let unknown = bench.sunset(&["ledger", "prove", "core.visits", "3"]).expect(4);
    assert!(unknown.out.contains("knows no batch with this row"), "{unknown:?}");
    tamper(&bench, "delete from row_tags").await;
    let missing = bench.sunset(&["ledger", "prove", "core.visits", "1"]).expect(3);
    assert!(missing.err.contains("its row tags are not in the store"), "{missing:?}");
}

#[tokio::test]
async fn a_file_that_is_no_ledger_is_told_in_one_sentence() {
    let bench = job().await;
    let exported = bench.sunset(&["ledger", "export"]).expect(0).out;
    let files = [
        (exported.replace('\n', "\r\n"), "CR LF"),
        (format!("{exported}{exported}"), "another ledger begins here"),
        (String::new(), "it is empty"),
        ("name: demo\nrules: []\n".to_owned(), "this is no exported ledger"),
    ];
    for (text, words) in files {
        let path = bench.path("exported.jsonl");
        fs::write(&path, text).unwrap();
        let told = verify(&bench, &["--file", path.to_str().unwrap()], 4).out;
        assert!(told.contains(words) && told.contains("not sound: 1 problem"), "{told}");
    }
}

#[tokio::test]
async fn a_ledger_that_nobody_signed_is_not_sound() {
    let bench = job().await;
    let exported = bench.sunset(&["ledger", "export"]).expect(0).out;
    let signed = exported.find("{\"checkpoint\":").unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let path = elsewhere.path().join("exported.jsonl");
    fs::write(&path, &exported[..signed]).unwrap();
    let file = ["--file", path.to_str().unwrap()];
    // no job is there, and no key was given
    let mut alone = Command::new(env!("CARGO_BIN_EXE_sunset"));
    alone.current_dir(elsewhere.path()).args(["ledger", "verify"]).args(file).env_remove("SUNSET_JOBS");
    let unsigned = alone.output().unwrap();
    let told = String::from_utf8(unsigned.stdout).unwrap();
    assert_eq!(unsigned.status.code(), Some(4), "{told}");
    assert!(told.contains("unsigned: ") && !told.contains("problem"), "{told}");
    let signed_by_nobody = verify(&bench, &file, 4).out;
    assert!(signed_by_nobody.contains("no checkpoint is signed with a key that is trusted"), "{signed_by_nobody}");
}

/// Somebody else's ledger under the job's name: in the job's directory its own keys count.
#[tokio::test]
async fn a_file_is_held_against_the_keys_of_the_job_that_it_is_verified_in() {
    let (bench, other) = (job().await, job().await);
    let path = bench.path("exported.jsonl");
    let file = ["--file", path.to_str().unwrap()];
    fs::write(&path, bench.sunset(&["ledger", "export"]).expect(0).out).unwrap();
    let told = verify(&bench, &file, 0).out;
    assert!(!told.contains("no public key was given"), "{told}");
    fs::write(&path, other.sunset(&["ledger", "export"]).expect(0).out).unwrap();
    assert!(verify(&bench, &file, 4).out.contains("the checkpoint is not valid"));
}
