//! Runs the program, or pt-archiver, and looks at the clock and at the memory.

use crate::{cases::Case, database::Error};
use std::{
    fs,
    io::{ErrorKind, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// What one execution of `sunset run` came to.
pub struct Measured {
    /// The rule: recovery, batches, verification.
    pub rule: Duration,
    /// The whole process: rules, plan, ledger, all.
    pub process: Duration,
    pub longest_statement: Duration,
    pub peak_kib: u64,
    pub batches: usize,
}

fn sunset() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_sunset"))
}

/// A job directory with one rule; its store is new for each run of the benchmark.
pub fn job(case: &Case, directory: &Path) -> Result<PathBuf, Error> {
    let job = directory.join("job");
    let _ = fs::remove_dir_all(&job);
    fs::create_dir_all(job.join("rules"))?;
    let status =
        Command::new(sunset()).args(["keys", "new", "--out"]).arg(job.join("keys")).stdout(Stdio::null()).status()?;
    if !status.success() {
        return Err("sunset keys new failed".into());
    }
    let key = |kind: &str| -> Result<String, Error> {
        let files = fs::read_dir(job.join("keys"))?.filter_map(Result::ok);
        let mut names = files.filter_map(|file| file.file_name().into_string().ok());
        names.find(|name| name.starts_with(kind)).ok_or_else(|| "a key is missing".into())
    };
    let settings = format!(
        "name: bench\ntime_zone: UTC\ndatabases:\n  core: \"${{BENCH_URL}}\"\nkeys:\n  tag: \"${{file:keys/{}}}\"\n  \
         signing: \"${{file:keys/{}}}\"\n",
        key("tag")?,
        key("signing")?
    );
    fs::write(job.join("sunset.yaml"), settings)?;
    fs::write(job.join("url"), &case.url)?;
    fs::write(job.join("rules/bench.yaml"), case.rule())?;
    Ok(job)
}

pub fn run(job: &Path, workers: u16) -> Result<Measured, Error> {
    let began = Instant::now();
    let mut child = Command::new(sunset())
        .args(["run", "-vv", "--format", "json", "--now", "2026-01-01", "--workers", &workers.to_string(), "--jobs"])
        .arg(job)
        .env("BENCH_URL", fs::read_to_string(job.join("url"))?)
        .stdout(Stdio::piped())
        .stderr(fs::File::create(job.join("log"))?)
        .spawn()?;
    let status = PathBuf::from(format!("/proc/{}/status", child.id()));
    let mut peak_kib = 0;
    let exit = loop {
        if let Some(exit) = child.try_wait()? {
            break exit;
        }
        let text = fs::read_to_string(&status).unwrap_or_default();
        let high = text.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
        peak_kib = peak_kib.max(high.unwrap_or(0));
        std::thread::sleep(Duration::from_millis(5));
    };
    let process = began.elapsed();
    let mut report = String::new();
    if let Some(mut out) = child.stdout.take() {
        out.read_to_string(&mut report)?;
    }
    let log = fs::read_to_string(job.join("log"))?;
    if !exit.success() {
        return Err(format!("sunset run failed: {report}{log}").into());
    }
    let report: serde_json::Value = serde_json::from_str(&report)?;
    let rule = Duration::from_millis(report["rules"][0]["milliseconds"].as_u64().unwrap_or(0));
    let lines = log.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let times: Vec<_> = lines.filter_map(|line| line["longest_milliseconds"].as_f64()).collect();
    let longest_statement = Duration::from_secs_f64(times.iter().copied().fold(0.0, f64::max) / 1000.0);
    Ok(Measured { rule, process, longest_statement, peak_kib, batches: times.len() })
}

/// pt-archiver at its best; nothing where it is not installed.
pub fn archiver(case: &Case, directory: &Path) -> Result<Option<Duration>, Error> {
    let rest = case.url.trim_start_matches("mysql://");
    let (login, place) = rest.split_once('@').ok_or("the URL has no user")?;
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    let (host, database) = place.split_once('/').ok_or("the URL has no database")?;
    let (host, port) = host.split_once(':').unwrap_or((host, "3306"));
    // the password goes through a file, where no list of processes shows it
    let file = directory.join("client.cnf");
    let mut options = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&file)?;
    writeln!(options, "[client]\nuser={user}\npassword={password}\nhost={host}\nport={port}")?;
    let source = format!("F={},D={database},t=sunset_bench", file.display());
    let due = Case::where_due();
    let began = Instant::now();
    let called = Command::new("pt-archiver")
        .args(["--source", &source, "--purge", "--where", &due, "--no-check-charset", "--no-version-check"])
        .args(["--limit", "1000", "--bulk-delete", "--commit-each"])
        .stdin(Stdio::null())
        .output();
    match called {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
        Ok(output) if output.status.success() => Ok(Some(began.elapsed())),
        Ok(output) => Err(format!("pt-archiver failed: {}", String::from_utf8_lossy(&output.stderr)).into()),
    }
}
