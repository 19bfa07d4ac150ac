//! Disposes of half of a big table by hand and with `sunset run`, side by side on the same server, and prints the ratios.
//! Then a run with nothing due.
//!
//! `cargo bench --bench dispose` takes PostgreSQL and MySQL/MariaDB from SUNSET_TEST_POSTGRES_URL and
//! SUNSET_TEST_MYSQL_URL (`tests/servers` starts both) and skips, aloud, what is not there. SQLite needs nothing.
//! SUNSET_BENCH_ROWS (2,000,000) and SUNSET_BENCH_REPEATS (3) change the size; SUNSET_BENCH_CASES names the cases to run
//! by parts of their names, with commas between. pt-archiver is measured where it is installed.

mod cases;
mod database;
mod measure;

use cases::Case;
use database::Error;
use measure::Measured;
use std::time::Duration;

fn main() -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let rows = number("SUNSET_BENCH_ROWS", 2_000_000);
    let repeats = number("SUNSET_BENCH_REPEATS", 3);
    let directory = tempfile::tempdir()?;
    say(&format!("half of {rows} rows, median of {repeats}; ratio = time by hand / time of the rule"));
    say(&format!(
        "{:<34} {:>9} {:>9} {:>6} {:>9} {:>9} {:>8} {:>9} {:>12} {:>12}",
        "", "by hand", "rule", "ratio", "process", "longest", "batches", "peak MiB", "nothing due", "pt-archiver"
    ));
    for case in cases::all(directory.path()) {
        let (mut by_hand, mut runs, mut nothing, mut archiver) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut sizes = Vec::new();
        for _ in 0..repeats {
            runtime.block_on(case.fill(rows))?;
            let before = runtime.block_on(case.size())?;
            by_hand.push(runtime.block_on(case.by_hand(rows))?);
            let after_hand = runtime.block_on(case.size())?;
            runtime.block_on(case.fill(rows))?;
            let job = measure::job(&case, directory.path())?;
            runs.push(measure::run(&job, case.workers)?);
            runtime.block_on(case.check(rows))?;
            let after_rule = runtime.block_on(case.size())?;
            sizes.extend(before.zip(after_hand).zip(after_rule));
            nothing.push(measure::run(&job, case.workers)?.process);
            if case.has_archiver() {
                runtime.block_on(case.fill(rows))?;
                archiver.extend(measure::archiver(&case, directory.path())?);
            }
        }
        report(&case, median(&mut by_hand), runs, median(&mut nothing), archiver);
        sizes.sort_unstable();
        if let Some(((before, by_hand), rule)) = sizes.get(sizes.len() / 2) {
            let size = |(table, indexes): &(i64, i64)| format!("{table} + {indexes}");
            let (before, by_hand, rule) = (size(before), size(by_hand), size(rule));
            say(&format!("    MiB of table + indexes: {before} before, {by_hand} by hand, {rule} by the rule"));
        }
    }
    Ok(())
}

fn report(case: &Case, by_hand: Duration, mut runs: Vec<Measured>, nothing: Duration, mut archiver: Vec<Duration>) {
    runs.sort_by_key(|run| run.rule);
    let longest = runs.iter().map(|run| run.longest_statement).max().unwrap_or_default();
    let peak = runs.iter().map(|run| run.peak_kib).max().unwrap_or_default();
    let middle = &runs[runs.len() / 2];
    let archiver = match archiver.is_empty() {
        true => String::new(),
        false => format!("{:.2?}", median(&mut archiver)),
    };
    say(&format!(
        "{:<34} {:>9.2?} {:>9.2?} {:>6.2} {:>9.2?} {:>9.1?} {:>8} {:>9} {:>12.1?} {archiver:>12}",
        case.name,
        by_hand,
        middle.rule,
        by_hand.as_secs_f64() / middle.rule.as_secs_f64(),
        middle.process,
        longest,
        middle.batches,
        peak / 1024,
        nothing,
    ));
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort();
    times[times.len() / 2]
}

#[expect(clippy::print_stdout, reason = "a benchmark's result")]
fn say(text: &str) {
    println!("{text}");
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}
