//! Erases half of a big table with one single DELETE, and with `sunset run`, side by side on the same server, and prints
//! the ratios. Then a run with nothing due.
//!
//! `cargo bench --bench erase` takes PostgreSQL and MySQL/MariaDB from SUNSET_TEST_POSTGRES_URL and
//! SUNSET_TEST_MYSQL_URL (`tests/servers` starts both) and skips, aloud, what is not there. SQLite needs nothing.
//! SUNSET_BENCH_ROWS (1,000,000) and SUNSET_BENCH_REPEATS (3) change the size; SUNSET_BENCH_ENGINES chooses.

use sqlx::{AssertSqlSafe, Connection as _, Executor as _, MySqlConnection, PgConnection, SqliteConnection};
use std::{
    fs,
    io::Read as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

type Error = Box<dyn std::error::Error>;

/// One engine with one layout of its dates.
struct Case {
    name: &'static str,
    engine: &'static str,
    url: String,
    scattered: bool,
}

/// What one execution of `sunset run` came to.
struct Measured {
    /// The rule: recovery, batches, verification.
    rule: Duration,
    /// The whole process: rules, plan, ledger, all.
    process: Duration,
    longest_statement: Duration,
    peak_kib: u64,
    batches: usize,
}

fn main() -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let rows = number("SUNSET_BENCH_ROWS", 1_000_000);
    let repeats = number("SUNSET_BENCH_REPEATS", 3);
    let directory = tempfile::tempdir()?;
    say(&format!(
        "erase half of {rows} rows, median of {repeats}; ratio = time of the single DELETE / time of the rule"
    ));
    say(&format!(
        "{:<24} {:>10} {:>10} {:>7} {:>10} {:>10} {:>8} {:>9} {:>12}",
        "", "single", "rule", "ratio", "process", "longest", "batches", "peak MiB", "nothing due"
    ));
    for case in cases(directory.path()) {
        let mut singles = Vec::new();
        let mut runs = Vec::new();
        let mut nothing = Vec::new();
        for _ in 0..repeats {
            runtime.block_on(fill(&case, rows))?;
            singles.push(runtime.block_on(single(&case))?);
            runtime.block_on(fill(&case, rows))?;
            let job = job(&case, directory.path())?;
            runs.push(run(&job)?);
            runtime.block_on(check(&case, rows))?;
            nothing.push(run(&job)?.process);
        }
        singles.sort();
        nothing.sort();
        runs.sort_by_key(|run| run.rule);
        let (single, nothing) = (singles[singles.len() / 2], nothing[nothing.len() / 2]);
        let longest = runs.iter().map(|run| run.longest_statement).max().unwrap_or_default();
        let peak = runs.iter().map(|run| run.peak_kib).max().unwrap_or_default();
        let median = &runs[runs.len() / 2];
        say(&format!(
            "{:<24} {:>10.2?} {:>10.2?} {:>7.2} {:>10.2?} {:>10.1?} {:>8} {:>9} {:>12.1?}",
            case.name,
            single,
            median.rule,
            single.as_secs_f64() / median.rule.as_secs_f64(),
            median.process,
            longest,
            median.batches,
            peak / 1024,
            nothing,
        ));
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "a benchmark's result")]
fn say(text: &str) {
    println!("{text}");
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn cases(directory: &Path) -> Vec<Case> {
    let chosen = std::env::var("SUNSET_BENCH_ENGINES").unwrap_or_else(|_| "postgres mysql sqlite".to_owned());
    let mut cases = Vec::new();
    for (engine, variable) in [("postgres", "SUNSET_TEST_POSTGRES_URL"), ("mysql", "SUNSET_TEST_MYSQL_URL")] {
        match std::env::var(variable) {
            Ok(url) if chosen.contains(engine) => {
                let names = if engine == "postgres" {
                    ["PostgreSQL, table order", "PostgreSQL, scattered"]
                } else {
                    ["MySQL, table order", "MySQL, scattered"]
                };
                cases.push(Case { name: names[0], engine, url: url.clone(), scattered: false });
                cases.push(Case { name: names[1], engine, url, scattered: true });
            }
            Ok(_) => {}
            Err(_) => say(&format!("skipped {engine}: {variable} is not set")),
        }
    }
    if chosen.contains("sqlite") {
        let url = format!("sqlite:{}", directory.join("bench.sqlite").display());
        cases.push(Case { name: "SQLite, table order", engine: "sqlite", url: url.clone(), scattered: false });
        cases.push(Case { name: "SQLite, scattered", engine: "sqlite", url, scattered: true });
    }
    cases
}

/// A fresh table: half of its rows from 2015, half from 2025.
async fn fill(case: &Case, rows: u64) -> Result<(), Error> {
    // spread by a multiplication modulo the number of rows, so that neighbours in the table have distant dates
    let place = if case.scattered { format!("((i::bigint * 7919) % {rows})") } else { "i".to_owned() };
    let half = rows / 2;
    match case.engine {
        "postgres" => {
            let mut connection = PgConnection::connect(&case.url).await?;
            let sql = format!(
                "set client_min_messages = error; drop table if exists sunset_bench;
                 create table sunset_bench (id bigint primary key, email text, payload text, created_at timestamptz);
                 insert into sunset_bench select i, 'user' || i || '@example.com', repeat('x', 200),
                     case when {place} < {half} then timestamptz '2015-01-01' else timestamptz '2025-06-01' end
                         + ({place} % {half}) * interval '10 seconds'
                     from generate_series(0, {rows} - 1) i;
                 create index on sunset_bench (created_at)"
            );
            connection.execute(AssertSqlSafe(sql)).await?;
            connection.execute("vacuum analyze sunset_bench").await?;
            connection.execute("checkpoint").await?;
        }
        "mysql" => {
            let mut connection = MySqlConnection::connect(&case.url).await?;
            let place = place.replace("i::bigint", "seq").replace('i', "seq");
            for sql in [
                "drop table if exists sunset_bench".to_owned(),
                "create table sunset_bench (id bigint primary key, email varchar(100), payload text,
                 created_at datetime, key (created_at))"
                    .to_owned(),
                format!(
                    "insert into sunset_bench select seq, concat('user', seq, '@example.com'), repeat('x', 200),
                     if({place} < {half}, '2015-01-01', '2025-06-01') + interval ({place} % {half}) * 10 second
                     from seq_0_to_{}",
                    rows - 1
                ),
                "analyze table sunset_bench".to_owned(),
            ] {
                connection.execute(AssertSqlSafe(sql)).await?;
            }
        }
        _ => {
            let path = case.url.trim_start_matches("sqlite:");
            for suffix in ["", "-wal", "-shm"] {
                let _ = fs::remove_file(format!("{path}{suffix}"));
            }
            let mut connection = SqliteConnection::connect(&format!("{}?mode=rwc", case.url)).await?;
            let place = place.replace("i::bigint", "i");
            let sql = format!(
                "pragma journal_mode = wal;
                 create table sunset_bench (id integer primary key, email text, payload text, created_at datetime);
                 with recursive n(i) as (select 0 union all select i + 1 from n where i < {rows} - 1)
                 insert into sunset_bench select i, 'user' || i || '@example.com',
                     replace(hex(zeroblob(100)), '00', 'xx'),
                     datetime(case when {place} < {half} then '2015-01-01' else '2025-06-01' end,
                         (({place} % {half}) * 10) || ' seconds') from n;
                 create index sunset_bench_created_at on sunset_bench (created_at);
                 analyze; pragma wal_checkpoint(truncate)"
            );
            connection.execute(AssertSqlSafe(sql)).await?;
            connection.close().await?;
        }
    }
    Ok(())
}

/// What everybody would write by hand.
async fn single(case: &Case) -> Result<Duration, Error> {
    let began;
    match case.engine {
        "postgres" => {
            let mut connection = PgConnection::connect(&case.url).await?;
            began = Instant::now();
            connection.execute("delete from sunset_bench where created_at < '2021-01-01'").await?;
        }
        "mysql" => {
            let mut connection = MySqlConnection::connect(&case.url).await?;
            began = Instant::now();
            connection.execute("delete from sunset_bench where created_at < '2021-01-01'").await?;
        }
        _ => {
            let mut connection = SqliteConnection::connect(&case.url).await?;
            // as Sunset has it, so that both write the same bytes
            connection.execute("pragma secure_delete = on").await?;
            began = Instant::now();
            connection.execute("delete from sunset_bench where created_at < '2021-01-01'").await?;
        }
    }
    Ok(began.elapsed())
}

/// Half of the rows are left, and none of them is old.
async fn check(case: &Case, rows: u64) -> Result<(), Error> {
    let sql =
        "select count(*), coalesce(sum(case when created_at < '2021-01-01' then 1 else 0 end), 0) from sunset_bench";
    let (left, old): (i64, i64) = match case.engine {
        "postgres" => sqlx::query_as(sql).fetch_one(&mut PgConnection::connect(&case.url).await?).await?,
        "mysql" => {
            let sql = sql.replace("coalesce(sum", "cast(coalesce(sum").replace(" end), 0)", " end), 0) as signed)");
            sqlx::query_as(AssertSqlSafe(sql)).fetch_one(&mut MySqlConnection::connect(&case.url).await?).await?
        }
        _ => sqlx::query_as(sql).fetch_one(&mut SqliteConnection::connect(&case.url).await?).await?,
    };
    let expected = i64::try_from(rows - rows / 2)?;
    if (left, old) == (expected, 0) { Ok(()) } else { Err(format!("{left} rows left, {old} of them old").into()) }
}

fn sunset() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_sunset"))
}

/// A job directory with one rule; its store is new for each run of the benchmark.
fn job(case: &Case, directory: &Path) -> Result<PathBuf, Error> {
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
        "name: bench\ntime_zone: UTC\ndatabases:\n  core: \"${{BENCH_URL}}\"\nkeys:\n  tag: \"${{file:keys/{}}}\"\n  signing: \"${{file:keys/{}}}\"\n",
        key("tag")?,
        key("signing")?
    );
    fs::write(job.join("sunset.yaml"), settings)?;
    fs::write(job.join("url"), &case.url)?;
    let rule = "category: bench\nrules:\n  - id: old\n    table: core.sunset_bench\n    starting_point: created_at\n    retention_period: 5 years\n    disposition: erase\n";
    fs::write(job.join("rules/bench.yaml"), rule)?;
    Ok(job)
}

fn run(job: &Path) -> Result<Measured, Error> {
    let began = Instant::now();
    let mut child = Command::new(sunset())
        .args(["run", "-vv", "--format", "json", "--now", "2026-01-01", "--jobs"])
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
    if !exit.success() {
        return Err(format!("sunset run failed: {report}{}", fs::read_to_string(job.join("log"))?).into());
    }
    let report: serde_json::Value = serde_json::from_str(&report)?;
    let rule = Duration::from_millis(report["rules"][0]["milliseconds"].as_u64().unwrap_or(0));
    let log = fs::read_to_string(job.join("log"))?;
    let lines = log.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let times: Vec<_> = lines.filter_map(|line| line["longest_milliseconds"].as_f64()).collect();
    let longest_statement = Duration::from_secs_f64(times.iter().copied().fold(0.0, f64::max) / 1000.0);
    Ok(Measured { rule, process, longest_statement, peak_kib, batches: times.len() })
}
