//! How long writers of a table take while `sunset run` erases half of it, beside how long they take without it, on the same
//! server; and how many of their transactions the server ends.
//!
//! `cargo bench --bench writers` takes PostgreSQL and MySQL/MariaDB from SUNSET_TEST_POSTGRES_URL and SUNSET_TEST_MYSQL_URL
//! (`tests/servers` starts both) and skips, aloud, what is not there. SQLite needs nothing. SUNSET_BENCH_ROWS (1,000,000) and
//! SUNSET_BENCH_REPEATS (3) change the size; SUNSET_BENCH_CASES names the cases to run by parts of their names, with commas
//! between; SUNSET_BENCH_PACE is the job's `pace`, as YAML; SUNSET_BENCH_THINKS (0) is for how many
//! milliseconds each writer pauses between two transactions.

#[path = "../dispose/database.rs"]
mod database;

use database::{Connection, Engine, Error};
use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// As many sessions write at a time.
const WRITERS: u64 = 4;

/// So long writers are measured alone.
const ALONE: Duration = Duration::from_secs(5);

struct Case {
    name: &'static str,
    engine: Engine,
    url: String,
    /// Each row has a dependent that goes along.
    dependents: bool,
}

/// How long the transactions of all writers took, in order, and how many the server ended.
#[derive(Default)]
struct Writes {
    took: Vec<Duration>,
    ended: u64,
    /// Why, the first time.
    why: Option<String>,
}

fn main() -> Result<(), Error> {
    let rows = number("SUNSET_BENCH_ROWS", 1_000_000);
    let repeats = number("SUNSET_BENCH_REPEATS", 3);
    let directory = tempfile::tempdir()?;
    say(&format!(
        "{WRITERS} writers, half of {rows} rows erased meanwhile, the middle one of {repeats} by its ratio of p99"
    ));
    say(&format!(
        "{:<26} {:>9} {:>9} {:>9} | {:>9} {:>9} {:>9} {:>6} | {:>6} {:>9}",
        "milliseconds", "p50", "p99", "longest", "p50 run", "p99 run", "longest", "ended", "ratio", "run took"
    ));
    for case in cases(directory.path()) {
        let mut measured = Vec::new();
        for _ in 0..repeats {
            fill(&case, rows)?;
            // whoever adds a row takes the next number
            let next = Arc::new(AtomicU64::new(1));
            let alone = write_while(&case, rows, &next, || {
                std::thread::sleep(ALONE);
                Ok(())
            })?;
            let began = Instant::now();
            let beside = write_while(&case, rows, &next, || run(&case, directory.path()))?;
            check(&case)?;
            measured.push((alone, beside, began.elapsed()));
        }
        measured.sort_by(|a, b| ratio(&a.0, &a.1).total_cmp(&ratio(&b.0, &b.1)));
        let ended = measured.iter().map(|(_, beside, _)| beside.ended).sum::<u64>();
        for why in measured.iter().filter_map(|(_, beside, _)| beside.why.as_ref()) {
            say(&format!("    a writer was ended: {why}"));
        }
        let (alone, beside, took) = &measured[measured.len() / 2];
        let ms = |duration: Duration| format!("{:.2}", duration.as_secs_f64() * 1000.0);
        say(&format!(
            "{:<26} {:>9} {:>9} {:>9} | {:>9} {:>9} {:>9} {:>6} | {:>6.2} {:>9.1?}",
            case.name,
            ms(alone.percentile(50)),
            ms(alone.percentile(99)),
            ms(alone.percentile(100)),
            ms(beside.percentile(50)),
            ms(beside.percentile(99)),
            ms(beside.percentile(100)),
            ended,
            ratio(alone, beside),
            took,
        ));
    }
    Ok(())
}

fn ratio(alone: &Writes, beside: &Writes) -> f64 {
    beside.percentile(99).as_secs_f64() / alone.percentile(99).as_secs_f64()
}

impl Writes {
    fn percentile(&self, percent: usize) -> Duration {
        let place = (self.took.len() * percent / 100).min(self.took.len().saturating_sub(1));
        self.took.get(place).copied().unwrap_or_default()
    }
}

fn cases(directory: &Path) -> Vec<Case> {
    let wanted = std::env::var("SUNSET_BENCH_CASES").unwrap_or_default();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.split(',').any(|part| name.contains(part));
    let mut cases = Vec::new();
    let servers = [
        ("PostgreSQL", Engine::Postgres, std::env::var("SUNSET_TEST_POSTGRES_URL").ok()),
        ("MySQL/MariaDB", Engine::Mysql, std::env::var("SUNSET_TEST_MYSQL_URL").ok()),
        ("SQLite", Engine::Sqlite, Some(format!("sqlite:{}", directory.join("bench.db").display()))),
    ];
    for (name, engine, url) in servers {
        let Some(url) = url else {
            say(&format!("{name} is skipped: no URL in the environment"));
            continue;
        };
        for (name, dependents) in match engine {
            Engine::Postgres => [("PostgreSQL", false), ("PostgreSQL, dependents", true)],
            Engine::Mysql => [("MySQL/MariaDB", false), ("MySQL/MariaDB, dependents", true)],
            Engine::Sqlite => [("SQLite", false), ("SQLite, dependents", true)],
        } {
            cases.push(Case { name, engine, url: url.clone(), dependents });
        }
    }
    cases.retain(|case| is_wanted(case.name));
    cases
}

/// Every other row is due.
fn fill(case: &Case, rows: u64) -> Result<(), Error> {
    let numbers = match case.engine {
        Engine::Postgres => format!("generate_series(1, {rows}) n"),
        Engine::Mysql | Engine::Sqlite => {
            format!(
                "(with recursive s(n) as (select 1 union all select n + 1 from s where n < {rows}) select n from s) s"
            )
        }
    };
    let mut statements = match case.engine {
        Engine::Postgres => Vec::new(),
        Engine::Mysql => vec!["set session max_recursive_iterations = 100000000".to_owned()],
        Engine::Sqlite => vec!["pragma journal_mode = wal".to_owned(), "pragma synchronous = normal".to_owned()],
    };
    for table in ["writers_notes", "writers_people"] {
        statements.push(format!("drop table if exists {table}"));
    }
    statements.push("create table writers_people (id integer primary key, name varchar(60), left_on date)".to_owned());
    statements.push(format!(
        "insert into writers_people select n, 'somebody whose name is this', \
         case when n % 2 = 0 then '{}' else '{}' end{} from {numbers}",
        "2001-01-01",
        "2025-12-01",
        if case.engine == Engine::Postgres { "::date" } else { "" },
    ));
    if case.dependents {
        statements.push(
            "create table writers_notes (id integer primary key, person_id integer, words varchar(60), \
             foreign key (person_id) references writers_people (id))"
                .to_owned(),
        );
        statements.push(format!("insert into writers_notes select n, n, 'a note' from {numbers}"));
        statements.push("create index writers_notes_person on writers_notes (person_id)".to_owned());
    }
    match case.engine {
        Engine::Postgres => {
            statements.extend(["vacuum analyze writers_people".to_owned(), "checkpoint".to_owned()]);
            if case.dependents {
                statements.push("vacuum analyze writers_notes".to_owned());
            }
        }
        Engine::Mysql => statements.push("analyze table writers_people".to_owned()),
        Engine::Sqlite => statements.push("analyze".to_owned()),
    }
    runtime()?.block_on(async {
        let mut connection = Connection::open(case.engine, &case.url).await?;
        connection.execute(&statements).await?;
        Ok(())
    })
}

/// All that was due is gone.
fn check(case: &Case) -> Result<(), Error> {
    let due = "select count(*) from writers_people where left_on < '2010-01-01'";
    let left = runtime()?.block_on(async { Connection::open(case.engine, &case.url).await?.number(due).await })?;
    if left == 0 { Ok(()) } else { Err(format!("{left} rows that are due are still there").into()) }
}

fn runtime() -> Result<tokio::runtime::Runtime, Error> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

/// What writers met while something else went on.
fn write_while(
    case: &Case,
    rows: u64,
    next: &Arc<AtomicU64>,
    work: impl FnOnce() -> Result<(), Error>,
) -> Result<Writes, Error> {
    let over = Arc::new(AtomicBool::new(false));
    let threads: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (over, next, engine, url) = (over.clone(), next.clone(), case.engine, case.url.clone());
            let dependents = case.dependents;
            std::thread::spawn(move || -> Result<Writes, String> {
                let runtime = runtime().map_err(|error| error.to_string())?;
                let written = runtime.block_on(write(engine, &url, dependents, rows, writer, &over, &next));
                written.map_err(|error| error.to_string())
            })
        })
        .collect();
    std::thread::sleep(Duration::from_millis(200));
    let worked = work();
    over.store(true, Ordering::Relaxed);
    let mut all = Writes::default();
    for thread in threads {
        let writes = thread.join().map_err(|_| "a writer panicked")??;
        all.took.extend(writes.took);
        all.ended += writes.ended;
        all.why = all.why.or(writes.why);
    }
    worked?;
    all.took.sort_unstable();
    Ok(all)
}

/// One writer: changes a row anywhere in the table and adds one, transaction after transaction.
async fn write(
    engine: Engine,
    url: &str,
    dependents: bool,
    rows: u64,
    writer: u64,
    over: &AtomicBool,
    next: &AtomicU64,
) -> Result<Writes, Error> {
    let mut connection = Connection::open(engine, url).await?;
    let (begin, settings) = match engine {
        Engine::Sqlite => ("begin immediate", "pragma busy_timeout = 30000"),
        _ => ("begin", "select 1"),
    };
    connection.execute(&[settings.to_owned()]).await?;
    let thinks = Duration::from_millis(number("SUNSET_BENCH_THINKS", 0));
    let mut writes = Writes::default();
    let mut random = 0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(writer + 1 + next.fetch_add(1, Ordering::Relaxed));
    while !over.load(Ordering::Relaxed) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let (row, added) = (random % rows + 1, 2 * rows + next.fetch_add(1, Ordering::Relaxed));
        let changed = match dependents && random & 1024 == 0 {
            true => format!("update writers_notes set words = 'another' where id = {row}"),
            false => format!("update writers_people set name = 'somebody else' where id = {row}"),
        };
        let added = format!("insert into writers_people values ({added}, 'new', '2025-12-31')");
        let began = Instant::now();
        let statements = [begin.to_owned(), changed, added, "commit".to_owned()];
        match connection.execute(&statements).await {
            Ok(_) => writes.took.push(began.elapsed()),
            Err(error) => {
                writes.ended += 1;
                writes.why.get_or_insert_with(|| error.to_string());
                let _ = connection.execute(&["rollback".to_owned()]).await;
            }
        }
        if thinks > Duration::ZERO {
            tokio::time::sleep(thinks).await;
        }
    }
    Ok(writes)
}

/// `sunset run` with a rule that erases what is due.
fn run(case: &Case, directory: &Path) -> Result<(), Error> {
    let job = directory.join("job");
    let _ = fs::remove_dir_all(&job);
    fs::create_dir_all(job.join("rules"))?;
    let sunset = || Command::new(env!("CARGO_BIN_EXE_sunset"));
    let made = sunset().args(["keys", "new", "--out"]).arg(job.join("keys")).stdout(Stdio::null()).status()?;
    if !made.success() {
        return Err("sunset keys new failed".into());
    }
    let key = |kind: &str| -> Result<String, Error> {
        let files = fs::read_dir(job.join("keys"))?.filter_map(Result::ok);
        let mut names = files.filter_map(|file| file.file_name().into_string().ok());
        names.find(|name| name.starts_with(kind)).ok_or_else(|| "a key is missing".into())
    };
    let pace = std::env::var("SUNSET_BENCH_PACE").unwrap_or_else(|_| "{}".to_owned());
    fs::write(
        job.join("sunset.yaml"),
        format!(
            "name: bench\ntime_zone: UTC\npace: {pace}\ndatabases:\n  core: \"${{BENCH_URL}}\"\nkeys:\n  \
             tag: \"${{file:keys/{}}}\"\n  signing: \"${{file:keys/{}}}\"\n",
            key("tag")?,
            key("signing")?
        ),
    )?;
    let dependents = if case.dependents { "\n    dependents: {core.writers_notes: erase}" } else { "" };
    fs::write(
        job.join("rules/bench.yaml"),
        format!(
            "category: bench\nrules:\n  - id: writers\n    table: core.writers_people\n    starting_point: left_on\n    \
             retention_period: 10 years\n    disposition: erase{dependents}\n"
        ),
    )?;
    let output = sunset()
        .args(["run", "--quiet", "--now", "2026-01-01", "--jobs"])
        .arg(&job)
        .env("BENCH_URL", &case.url)
        .output()?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!(
            "sunset run failed: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        )
        .into()),
    }
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
