//! Runs that stand still at a moment (`src/failpoint.rs`) while something else happens.

use super::bench::{Bench, Call};
use std::{fs, time::Duration};

/// Waits until something holds.
pub async fn until(mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..6000 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it never came to that");
}

/// A call of the program that stands still when it is at this moment for the first time, while these statements are
/// executed.
pub async fn changed_at(bench: &Bench, moment: &str, arguments: &[&str], change: &str) -> Call {
    let file = bench.path("stopped");
    let stop = format!("{moment}:{}", file.display());
    let run = bench.command(arguments).env("SUNSET_STOP", stop).spawn().unwrap();
    until(async || file.exists()).await;
    bench.script(change).await;
    fs::remove_file(&file).unwrap();
    tokio::task::spawn_blocking(move || Call::of(run)).await.unwrap()
}
