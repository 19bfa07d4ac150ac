//! The ledger without the rest of the job: whoever exports or verifies it needs no secret of a database or a recipient.

use crate::support::bench::Bench;
use std::fs;
use sunset::catalog::Engine;

const RULE: &str = "- {id: t, table: core.t, starting_point: at, retention_period: 5 years, disposition: erase}";

#[tokio::test]
async fn no_secret_of_a_recipient_is_needed() {
    let mut bench = Bench::new(Engine::Sqlite).await;
    bench.script("create table t (id {int} primary key, at {date}); insert into t values (1, '2001-01-01')").await;
    bench.rules(RULE);
    bench.run(0);
    bench.settings(
        "time_zone: Asia/Tokyo\nrecipients:\n  stripe: {api_key: \"${SUNSET_IT_NOWHERE}\"}\n  \
         mail: {kind: stripe, api_key: \"${file:nowhere}\"}\n  \
         crm: {kind: http, url: \"https://${SUNSET_IT_NOWHERE}/\", auth: {bearer: \"${file:nowhere}\"}, \
         delete: {method: DELETE, path: \"/p/{email}\"}}",
    );
    bench.variables = vec![("BENCH_URL", String::new())];
    bench.sunset(&["run", "--now", bench.now]).expect(2);

    let exported = bench.path("ledger.jsonl");
    let exported = exported.to_str().unwrap();
    bench.sunset(&["ledger", "export", "--out", exported]).expect(0);
    let verified = bench.sunset(&["ledger", "verify"]).expect(0);
    assert!(verified.out.contains("\nsound"), "{verified:?}");
    // the keys of the job beside it are trusted
    let verified = bench.sunset(&["ledger", "verify", "--file", exported]).expect(0);
    assert!(!verified.out.contains("no public key was given"), "{verified:?}");
    bench.sunset(&["ledger", "checkpoint"]).expect(0);
    bench.sunset(&["ledger", "prove", "core.t", "1"]).expect(0);
    bench.sunset(&["keys", "list"]).expect(0);

    // what the ledger itself is kept and signed with has to be there
    let settings = fs::read_to_string(bench.path("sunset.yaml")).unwrap();
    let moved = |line: &str| match line.split_once("/signing-") {
        Some((before, key)) => format!("{}${{file:/nowhere/signing-{key}\n", before.split("${").next().unwrap()),
        None => format!("{line}\n"),
    };
    fs::write(bench.path("sunset.yaml"), settings.lines().map(moved).collect::<String>()).unwrap();
    for command in [&["ledger", "verify"][..], &["ledger", "export"], &["keys", "list"]] {
        let refused = bench.sunset(command).expect(2);
        assert!(refused.err.contains("/nowhere/signing-") && !refused.err.contains("is not set"), "{refused:?}");
    }
}

/// A file whose line never ends is not taken into memory.
#[tokio::test]
async fn a_line_without_end_is_no_ledger() {
    let bench = Bench::new(Engine::Sqlite).await;
    let path = bench.path("long.jsonl");
    fs::write(&path, vec![b'a'; 17 * 1024 * 1024]).unwrap();
    let verified = bench.sunset(&["ledger", "verify", "--file", path.to_str().unwrap()]).expect(4);
    assert!(verified.out.contains("this is no ledger: a line is longer than any entry"), "{verified:?}");
}
