//! Counterexamples that were found once, as small as they got: `cases/*.case`, each on the engine where it was found.
//!
//! A case is what the oracle prints: SQL, rule files (`--- rules/c0.yaml`), the job's zone, and the calls. Each line of
//! `--- left` names a table and the marks (or the numbers of `trail`) that are there in the end.

use super::{bench::Bench, value::Engine};
use std::{collections::BTreeMap, fs, path::Path};

#[test]
fn what_was_found_once_stays_mended() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle/cases");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    let mut benches = BTreeMap::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let engine = match text.lines().next() {
            Some("--- postgres") => Engine::Postgres,
            Some("--- mariadb") => Engine::Maria,
            Some("--- sqlite") => Engine::Sqlite,
            first => panic!("{}: {first:?} is no engine", file.display()),
        };
        let bench = benches.entry(engine).or_insert_with(|| Bench::new(engine));
        if let Err(message) = replay(bench, &text) {
            panic!("{}: {message}", file.display());
        }
    }
}

fn replay(bench: &mut Bench, text: &str) -> Result<(), String> {
    let (mut sql, mut rules, mut zone) = (String::new(), Vec::new(), "UTC");
    let (mut calls, mut left) = (Vec::new(), Vec::new());
    let mut part = "";
    for line in text.lines().skip(1) {
        match line.strip_prefix("--- ") {
            Some(title) => {
                part = title;
                match title.split_once(' ') {
                    Some(("zone", name)) => zone = name,
                    Some(("run", day)) => calls.push(day),
                    _ => {}
                }
                if let Some(name) = title.strip_prefix("rules/") {
                    rules.push((name.to_owned(), String::new()));
                }
            }
            None if part.starts_with("rules/") => rules.last_mut().unwrap().1 += &format!("{line}\n"),
            None if part == "left" => left.push(line),
            None => sql += &format!("{line}\n"),
        }
    }
    bench.set_up_with(zone, 1, rules, &sql)?;
    for day in calls {
        let call = bench.sunset(&["run", "--now", day]);
        if call.code != 0 {
            return Err(format!("{call:?}"));
        }
    }
    for line in left {
        let (table, marks) = line.split_once(':').ok_or("a table and its marks")?;
        let column = bench.engine.text(if table == "trail" { "what" } else { "mark" });
        let there = bench.rows(&format!("select {column} from {table}"));
        let there: Vec<String> = there.keys().map(ToString::to_string).collect();
        if there.join(" ") != marks.trim() {
            return Err(format!("{table} has {there:?} and should have {marks}"));
        }
    }
    Ok(())
}
