//! The pages in a real browser: `tests/browser/check.mjs` looks at them, `tests/tools` installs what that takes.

use super::{Server, company};
use crate::support::bench::Bench;
use std::{io::Write as _, path::Path, process::Command};
use sunset::catalog::Engine;

/// A job whose pages show as much as possible: rules that ran, failed, and never ran; recipients; long names.
async fn full_company() -> Bench {
    let bench = company(Engine::Sqlite).await;
    bench.settings(
        "time_zone: Asia/Tokyo\nschedule: 30 2 * * *\nrecipients:\n  shop: {kind: none, reason: \"no copy\"}\n  \
         a_recipient_with_quite_a_long_name: {kind: webhook, url: \"http://127.0.0.1:9\", secret: \"${file:secret}\", \
         identifiers: [customer]}",
    );
    std::fs::write(bench.path("secret"), "0123456789abcdef0123456789abcdef").unwrap();
    bench.script("create table u (id {int} primary key, at_day {date}, email {text}); insert into u values (1, '2001-01-01', 'a@example.com'), (2, '2001-01-01', 'b@example.com')").await;
    bench.rules(
        "
- {id: t, table: core.t, starting_point: at_day, retention_period: 1 year, regular_deletion_period: 2 years, disposition: \
         erase, recipients: [{shop: {}}]}
- {id: a-rule-with-a-name-that-is-longer-than-most, table: core.u, starting_point: at_day, retention_period: 1 year,
   regular_deletion_period: 2 years, disposition: erase, limits: {max_rows: 1}}",
    );
    bench.sunset(&["run", "--now", "2026-11-21"]).expect(3);
    bench
}

#[tokio::test]
async fn pages_are_readable_on_a_phone_and_for_everybody() {
    let check = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser/check.mjs");
    let modules = check.with_file_name("node_modules");
    let browser = std::env::var("SUNSET_TEST_BROWSER").unwrap_or_else(|_| "/usr/bin/chromium".to_owned());
    if !modules.exists() || !Path::new(&browser).exists() {
        let _ = writeln!(std::io::stderr(), "skipped: no browser here; tests/tools installs it");
        return;
    }
    let bench = full_company().await;
    let server = Server::start(&bench, &["--now", "2026-11-22T12:00:00+09:00"]);
    bench.rules("- {id: t, tabel: core.t}");
    server.signal("HUP");
    server.until("the fault is seen", |server| server.get("/").body.contains("<details>"));
    let mut command = Command::new("node");
    command.arg(&check).arg(format!("http://{}", server.address)).arg(&browser);
    command.args(std::env::var("SUNSET_TEST_SCREENSHOTS").ok());
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("32 pages looked at, 0 findings"), "{text}");
}
