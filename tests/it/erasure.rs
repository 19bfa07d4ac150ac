//! What is left of a row that went: values are planted, their rows disposed of, and the servers' files searched for them.
//! The tables of `docs/erasure.md` say what is found here, and nothing else.
//!
//! Where the servers' files cannot be read (a server that somebody gave the tests by URL), this is skipped, aloud.

use crate::support::{
    bench::{Bench, mysql},
    random::Random,
    servers::say,
};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, SqliteConnection, raw_sql};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};
use sunset::catalog::Engine;

/// The page that has the tables.
const PAGE: &str = include_str!("../../docs/erasure.md");

/// What a rule may say, as the tables' columns have it.
const AFTERS: [&str; 3] = ["", "vacuum", "rewrite"];

/// Found (or not) by place, for each of the columns.
type Found = BTreeMap<&'static str, Vec<bool>>;

/// A planted word that no other test has.
fn word() -> String {
    let mut random = Random::new(u64::from(std::process::id()));
    format!("planted{:016x}", random.below(u64::MAX - 1) ^ u64::from(std::process::id()) << 32)
}

fn holds(files: &[PathBuf], word: &str) -> bool {
    files.iter().any(|file| match fs::read(file) {
        Ok(bytes) => bytes.windows(word.len()).any(|window| window == word.as_bytes()),
        // a file that has gone meanwhile holds nothing
        Err(_) => false,
    })
}

/// The files of a directory whose names begin so.
fn files(directory: &Path, start: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let named = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(start));
    paths.filter(named).collect()
}

fn rule(bench: &Bench, after: &str) {
    let after = if after.is_empty() { String::new() } else { format!(", after: {after}") };
    bench.rules(&format!(
        "- {{id: people, table: core.people, starting_point: left_on, retention_period: 5 years, disposition: erase{after}}}"
    ));
}

/// Those who are due come first, so that their pages are full of them and not at the end of the file.
async fn people(bench: &Bench, word: &str) {
    people_of(bench, word, "").await;
}

/// The same, where the application begins with these words.
async fn people_of(bench: &Bench, word: &str, words: &str) {
    bench.script(&format!("{words} drop table if exists people")).await;
    bench
        .script_for(
            "create table people (id int primary key, left_on date, email text, letter text)
               with (autovacuum_enabled = off, toast.autovacuum_enabled = off);
             alter table people alter letter set storage external; create index people_email on people (email)",
            "create table people (id int primary key, left_on date, email varchar(100), letter text, key (email))",
            "create table people (id integer primary key, left_on date, email text, letter text);
             create index people_email on people (email)",
        )
        .await;
    let letter = "x".repeat(2500);
    for part in 0..4 {
        let values: Vec<_> = (part * 500..(part + 1) * 500)
            .map(|id| match id < 1000 {
                true => format!("({id}, '2001-01-01', '{word}-{id}', '{word}-{id} {letter}')"),
                false => format!("({id}, '2025-01-01', 'stays-{id}', 'stays-{id} {letter}')"),
            })
            .collect();
        bench.script(&format!("{words} insert into people values {}", values.join(", "))).await;
    }
    bench.made_anew();
}

/// Runs, and sees that the cleaning came to its end.
fn run(bench: &Bench, after: &str) {
    let report = bench.run(0);
    assert_eq!(report.line("people"), "done 1000");
    let maintenance = &report.rule("people")["maintenance"];
    match after {
        "" => assert!(maintenance.is_null(), "{maintenance}"),
        _ => assert!(maintenance["complete"] == true, "{maintenance}"),
    }
    let evidence = bench.evidence();
    let done = evidence.events("maintenance");
    assert_eq!(
        done.iter().filter(|event| event["complete"] == true && event["step"] == after).count() > 0,
        !after.is_empty()
    );
}

/// The tables of the page have a line for each place, with what was found there.
fn compare(found: &Found) {
    let line = |(place, found): (&&str, &Vec<bool>)| {
        let cells: Vec<_> = found.iter().map(|found| if *found { "still there" } else { "gone" }).collect();
        format!("| {place} | {} |", cells.join(" | "))
    };
    let missing: Vec<_> = found.iter().map(line).filter(|line| !PAGE.contains(line.as_str())).collect();
    assert!(missing.is_empty(), "docs/erasure.md does not say:\n{}", missing.join("\n"));
}

/// Logs, which other work on the server overwrites, maybe at once: found at some time.
#[derive(Default)]
struct Logs(BTreeMap<&'static str, bool>);

impl Logs {
    fn look(&mut self, place: &'static str, files: &[PathBuf], word: &str) {
        let found = self.0.entry(place).or_default();
        *found = *found || holds(files, word);
    }

    /// The tables of the page have a line for each.
    fn compare(&self) {
        for (place, found) in &self.0 {
            assert!(found, "nothing was found in: {place}");
            let line = format!("| {place} | until overwritten | until overwritten | until overwritten |");
            assert!(PAGE.contains(&line), "docs/erasure.md does not say: {line}");
        }
    }
}

#[tokio::test]
async fn postgres() {
    let bench = Bench::new(Engine::Postgres).await;
    let data = PathBuf::from(bench.list("show data_directory").await);
    if fs::read_dir(data.join("base")).is_err() {
        return say(&format!("skipped: {} cannot be read", data.display()));
    }
    let word = word();
    let (mut found, mut logs) = (Found::new(), Logs::default());
    let mut look = || logs.look("write-ahead log (`pg_wal`)", &files(&data.join("pg_wal"), "0"), &word);
    for after in AFTERS {
        people(&bench, &word).await;
        look();
        bench.script("analyze people; checkpoint").await;
        rule(&bench, after);
        let places = |names: Vec<String>| -> Vec<PathBuf> { names.iter().map(|name| data.join(name)).collect() };
        let table = places(bench.lines("select pg_relation_filepath('people')").await);
        assert!(holds(&table, &word), "what was planted cannot be found");
        run(&bench, after);
        look();
        bench.script("checkpoint").await;
        // a rewritten table has other files
        let table = places(bench.lines("select pg_relation_filepath('people')").await);
        let index = places(bench.lines("select pg_relation_filepath('people_email')").await);
        let toast = "select pg_relation_filepath(reltoastrelid) from pg_class where oid = 'people'::regclass";
        let toast = places(bench.lines(toast).await);
        let database = "select oid::text from pg_database where datname = current_database()";
        let all = files(&data.join("base").join(bench.list(database).await), "");
        let statistics = format!(
            "select count(*) from pg_stats where histogram_bounds::text like '%{word}%' or most_common_vals::text like '%{word}%'"
        );
        let mut note = |place, is| found.entry(place).or_insert_with(Vec::new).push(is);
        note("table (heap)", holds(&table, &word));
        note("indexes", holds(&index, &word));
        note("TOAST", holds(&toast, &word));
        note("statistics (`pg_stats`)", bench.count(&statistics).await > 0);
        note("any file of the database", holds(&all, &word));
    }
    compare(&found);
    logs.compare();
}

/// An older snapshot keeps dead rows alive: the cleaning says so, and the next run tries again.
#[tokio::test]
async fn an_older_snapshot_is_in_the_way() {
    let bench = Bench::new(Engine::Postgres).await;
    people(&bench, "somebody").await;
    rule(&bench, "vacuum");
    let mut other = PgConnection::connect(&bench.database.url).await.unwrap();
    other.execute(raw_sql("begin isolation level repeatable read; select 1")).await.unwrap();
    let report = bench.run(0);
    assert_eq!(report.line("people"), "done 1000");
    let maintenance = &report.rule("people")["maintenance"];
    assert_eq!(maintenance["complete"], false);
    assert!(maintenance["message"].as_str().unwrap().contains("an older transaction"), "{maintenance}");
    let shown = bench.sunset(&["run", "--now", bench.now]).expect(0).out;
    assert!(shown.contains("people: vacuum is not through, the next run tries again"), "{shown}");
    other.execute(raw_sql("rollback")).await.unwrap();
    // nothing is due any more, and what is owed is done all the same; then no more
    assert_eq!(bench.run(0).rule("people")["maintenance"]["complete"], true);
    assert!(bench.run(0).rule("people")["maintenance"].is_null());
    assert_eq!(bench.evidence().events("maintenance").len(), 3);
}

#[tokio::test]
async fn mariadb() {
    let bench = Bench::new(Engine::Mysql).await;
    let data = PathBuf::from(bench.list("select @@datadir").await);
    let schema = bench.list("select database()").await;
    if fs::read_dir(data.join(&schema)).is_err() {
        return say(&format!("skipped: {} cannot be read", data.display()));
    }
    let word = word();
    let (mut found, mut logs) = (Found::new(), Logs::default());
    let mut look = || {
        let undo = [files(&data, "ibdata"), files(&data, "undo")].concat();
        logs.look("undo log and doublewrite buffer (`ibdata1`, `undo…`)", &undo, &word);
        logs.look("redo log (`ib_logfile0`)", &files(&data, "ib_logfile"), &word);
    };
    for (scrubbed, afters) in [(false, &AFTERS[..]), (true, &AFTERS[1..2])] {
        let scrub = |on| format!("set global innodb_immediate_scrub_data_uncompressed = {on}");
        bench.script(&scrub(scrubbed)).await;
        for after in afters {
            people(&bench, &word).await;
            look();
            write_out(&bench).await;
            assert!(holds(&files(&data.join(&schema), "people.ibd"), &word), "what was planted cannot be found");
            rule(&bench, after);
            run(&bench, after);
            look();
            if after.is_empty() {
                // purge works in its own time; what it does alone is what is looked for
                tokio::time::sleep(Duration::from_secs(3)).await;
            }
            write_out(&bench).await;
            let table = holds(&files(&data.join(&schema), "people.ibd"), &word);
            if scrubbed {
                found.insert("pages of the table, where `innodb_immediate_scrub_data_uncompressed` is on", vec![table]);
                continue;
            }
            found.entry("pages of the table and its indexes").or_default().push(table);
        }
        bench.script(&scrub(false)).await;
    }
    compare(&found);
    logs.compare();
}

/// A partition that goes whole takes its files along.
#[tokio::test]
async fn a_partition_leaves_nothing() {
    let word = word();
    for engine in [Engine::Postgres, Engine::Mysql] {
        let bench = Bench::new(engine).await;
        let data = match engine {
            Engine::Postgres => {
                let database = "select oid::text from pg_database where datname = current_database()";
                let data = PathBuf::from(bench.list("show data_directory").await);
                data.join("base").join(bench.list(database).await)
            }
            _ => PathBuf::from(bench.list("select @@datadir").await).join(bench.list("select database()").await),
        };
        if fs::read_dir(&data).is_err() {
            say(&format!("skipped: {} cannot be read", data.display()));
            continue;
        }
        bench
            .script_for(
                "create table people (id int, left_on date, email text, primary key (id, left_on))
                   partition by range (left_on);
                 create table p2001 partition of people for values from ('2001-01-01') to ('2002-01-01');
                 create table p2025 partition of people for values from ('2025-01-01') to ('2026-01-01')",
                "create table people (id int, left_on date, email varchar(100), primary key (id, left_on))
                   partition by range columns (left_on) (
                     partition p2001 values less than ('2002-01-01'), partition p2025 values less than ('2026-01-01'))",
                "",
            )
            .await;
        let values: Vec<_> = (0..1000).map(|id| format!("({id}, '2001-05-05', '{word}-{id}')")).collect();
        bench.script(&format!("insert into people values {}", values.join(", "))).await;
        match engine {
            Engine::Postgres => bench.script("checkpoint").await,
            _ => write_out(&bench).await,
        }
        assert!(holds(&files(&data, ""), &word), "what was planted cannot be found");
        bench.rules(
            "- {id: people, table: core.people, starting_point: left_on, retention_period: 5 years, disposition: erase,
   partitions: drop}",
        );
        let report = bench.run(0);
        assert_eq!(report.rule("people")["partitions"][0]["rows"], 1000, "{report:?}");
        assert!(!holds(&files(&data, ""), &word), "{engine:?}: something is left in {}", data.display());
    }
}

/// Has the server write the table's pages to its file.
async fn write_out(bench: &Bench) {
    let mut connection = mysql(&bench.database.url).await;
    connection.execute(raw_sql("flush tables people for export")).await.unwrap();
    connection.execute(raw_sql("unlock tables")).await.unwrap();
}

#[tokio::test]
async fn sqlite() {
    let bench = Bench::new(Engine::Sqlite).await;
    let path = PathBuf::from(bench.database.url.strip_prefix("sqlite:").unwrap());
    let (directory, name) = (path.parent().unwrap(), path.file_name().unwrap().to_str().unwrap());
    let word = word();
    let mut found = Found::new();
    bench.script("pragma journal_mode = wal").await;
    // somebody has the file open all the time: the last one to leave would bring the log into it
    let mut other = SqliteConnection::connect(&bench.database.url).await.unwrap();
    other.execute(raw_sql("select count(*) from sqlite_master")).await.unwrap();
    for after in AFTERS {
        people(&bench, &word).await;
        other.execute(raw_sql(AssertSqlSafe("pragma wal_checkpoint(passive)"))).await.unwrap();
        assert!(holds(std::slice::from_ref(&path), &word), "what was planted cannot be found");
        rule(&bench, after);
        run(&bench, after);
        let mut note = |place, is| found.entry(place).or_default().push(is);
        note("database file, beside a write-ahead log", holds(std::slice::from_ref(&path), &word));
        note("write-ahead log (`….db-wal`)", holds(&files(directory, &format!("{name}-wal")), &word));
    }
    other.close().await.unwrap();

    // pages that were split keep copies, unless the application overwrites them, too
    bench.script("pragma journal_mode = delete").await;
    for (words, place) in [
        ("", "database file, without a write-ahead log"),
        (
            "pragma secure_delete = on;",
            "database file, without a write-ahead log, where the application sets `secure_delete`, too",
        ),
    ] {
        bench.script("vacuum").await;
        for after in AFTERS {
            people_of(&bench, &word, words).await;
            assert!(holds(std::slice::from_ref(&path), &word), "what was planted cannot be found");
            rule(&bench, after);
            run(&bench, after);
            found.entry(place).or_default().push(holds(&files(directory, name), &word));
        }
    }
    compare(&found);
}
