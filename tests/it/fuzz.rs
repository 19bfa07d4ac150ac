//! Fuzzing on the stable toolchain: what `tests/fuzz` asks, held against inputs that are changed over and over.
//!
//! Each target runs in a process of its own with bounded memory, so that an abort is a finding like any other. First comes
//! everything in its folder of `fuzz/corpus` as it is, then changes of that for SUNSET_FUZZ_SECONDS (10 by default);
//! SUNSET_TEST_SEED=2 changes it in other ways. What breaks a promise is kept under `target/fuzz`, and
//! `SUNSET_FUZZ_INPUT=target/fuzz/… cargo test --test it fuzz::one_process -- --ignored --nocapture` shows it again. A finding
//! that is mended goes into the corpus.

mod mutate;

use crate::support::{
    bench::Bench,
    random::{Random, variable},
};
use mutate::Mutator;
use std::{
    collections::HashSet,
    env, fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};
use sunset::catalog::Engine;
use targets::{TARGETS, Target};

#[path = "../fuzz/mod.rs"]
mod targets;

/// Of address space, in KiB; a runtime's threads reserve much of it and use little.
const MOST_MEMORY: u64 = 6 * 1024 * 1024;

/// No input takes longer, by far, in a build that is not optimized.
const LONGEST: Duration = Duration::from_secs(20);

/// Inputs that came to something new and are changed further.
const MOST_INPUTS: usize = 4_000;

fn found(target: &str) -> PathBuf {
    targets::root().join("target/fuzz").join(target)
}

/// Runs one target in another process, and keeps the input that ended it.
fn holds(name: &str) {
    let folder = found(name);
    fs::create_dir_all(&folder).unwrap();
    let now = folder.join(format!("now-{}", std::process::id()));
    let seconds = variable("SUNSET_FUZZ_SECONDS", 10);
    let limited = format!("ulimit -v {MOST_MEMORY}; exec \"$0\" \"$@\"");
    let mut child = Command::new("sh")
        .args(["-c", &limited])
        .arg(env::current_exe().unwrap())
        .args(["fuzz::one_process", "--exact", "--ignored", "--nocapture"])
        .env("SUNSET_FUZZ_TARGET", name)
        .env("SUNSET_FUZZ_SECONDS", seconds.to_string())
        .env("SUNSET_FUZZ_NOW", &now)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(fs::File::create(folder.join("said")).unwrap())
        .spawn()
        .unwrap();
    // the corpus comes before the time begins, and the last input may take its time
    let deadline = Instant::now() + Duration::from_secs(seconds) + 6 * LONGEST;
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break Some(status),
            None if Instant::now() > deadline => {
                child.kill().unwrap();
                child.wait().unwrap();
                break None;
            }
            None => thread::sleep(Duration::from_millis(50)),
        }
    };
    let said = fs::read_to_string(folder.join("said")).unwrap_or_default();
    if status.is_some_and(|status| status.success()) {
        let _ = fs::remove_file(&now);
        let _ = writeln!(std::io::stderr(), "{}", said.trim());
        return;
    }
    let kept =
        folder.join(format!("broken-{:016x}", fs::read(&now).map(|input| fingerprint(&input)).unwrap_or_default()));
    let _ = fs::rename(&now, &kept);
    let how = status.map_or("it came to no end".to_owned(), |status| status.to_string());
    panic!("{name}: {how}; the input is {}\n{said}", kept.display());
}

fn fingerprint(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The process in which a target runs, started by [`holds`].
#[test]
#[ignore = "is a part of the other tests"]
fn one_process() {
    if let Ok(path) = env::var("SUNSET_FUZZ_INPUT") {
        let path = targets::root().join(path);
        let is_of = |target: &&&Target| path.components().any(|part| part.as_os_str() == target.name);
        let target = TARGETS.iter().find(is_of).expect("the path names a target's folder");
        let came_to = (target.check)(&fs::read(&path).unwrap());
        let _ = writeln!(std::io::stderr(), "{came_to}");
        return;
    }
    let Ok(name) = env::var("SUNSET_FUZZ_TARGET") else { return };
    let target = TARGETS.iter().find(|target| target.name == name).unwrap();
    let now = PathBuf::from(env::var("SUNSET_FUZZ_NOW").unwrap());
    let check = |input: &[u8]| {
        fs::write(&now, input).unwrap();
        let begun = Instant::now();
        let came_to = (target.check)(input);
        assert!(begun.elapsed() < LONGEST, "it took {:?}", begun.elapsed());
        came_to
    };
    let mut inputs = seeds(target);
    let mut known: HashSet<String> = inputs.iter().map(|input| check(input)).collect();
    let (begun, seconds) = (Instant::now(), variable("SUNSET_FUZZ_SECONDS", 10));
    let salt = fingerprint(name.as_bytes());
    let mut mutator = Mutator { random: Random::new(salt), words: target.words };
    let mut count = inputs.len() as u64;
    while begun.elapsed() < Duration::from_secs(seconds) {
        let input = mutator.change(&inputs);
        let came_to = check(&input);
        count += 1;
        if inputs.len() < MOST_INPUTS && known.insert(came_to) {
            inputs.push(input);
        }
    }
    let ends = known.len();
    let _ = writeln!(std::io::stderr(), "{name}: {count} inputs in {:.0?}, {ends} different ends", begun.elapsed());
}

/// The files of the corpus and of the target's other folders, in the order of their names.
fn seeds(target: &Target) -> Vec<Vec<u8>> {
    let own = format!("fuzz/corpus/{}", target.name);
    let folders = [own.as_str()].into_iter().chain(target.seeds.iter().copied());
    let files: Vec<_> = folders.flat_map(|folder| files(&targets::root().join(folder))).collect();
    assert!(!files.is_empty(), "{} has nothing to begin with", target.name);
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> =
        fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).filter(|path| path.is_file()).collect();
    files.sort();
    files
}

#[test]
fn rule_files() {
    holds("rule_files");
}

#[test]
fn conditions() {
    holds("conditions");
}

#[test]
fn plans() {
    holds("plans");
}

#[test]
fn ledgers() {
    holds("ledgers");
}

#[test]
fn replies() {
    holds("replies");
}

#[test]
fn requests() {
    holds("requests");
}

/// The signed plan and the sound ledger of the corpus are that for this version; else nothing that is changed about them
/// would tell anything. `SUNSET_UPDATE_CORPUS=1` makes them anew.
#[tokio::test]
async fn what_is_changed_was_whole() {
    if env::var("SUNSET_UPDATE_CORPUS").is_ok() {
        make_anew().await;
        return;
    }
    let text = targets::plans::SIGNED;
    sunset::plan::reviewed::read(text, "plan.json", &[targets::plans::key()]).unwrap();
    let verifier = sunset::ledger::verify::Verifier::new(vec![targets::plans::key()], Vec::new());
    let report = sunset::ledger::verify::verify_lines(targets::ledgers::SOUND.as_bytes(), verifier).unwrap();
    assert!(report.is_sound() && report.checkpoints > 1, "{report:?}");
    // each target is run by a test above, and by a program of `fuzz/`
    for target in TARGETS {
        let program = targets::root().join(format!("fuzz/fuzz_targets/{}.rs", target.name));
        assert!(program.is_file(), "{} is missing", program.display());
    }
}

async fn make_anew() {
    let bench = Bench::new(Engine::Sqlite).await;
    bench
        .script(
            "create table t (id {int} primary key, on_day {date}, name {text});
             insert into t values (1, '2001-01-01', 'a'), (2, '2001-01-01', 'b'), (3, '2025-01-01', 'c');
             create table u (id {int} primary key, on_day {date}, name {text});
             insert into u values (1, '2001-01-01', 'a'), (2, '2024-01-01', 'b')",
        )
        .await;
    bench.rules(
        "- {id: t, table: core.t, starting_point: on_day, retention_period: 5 years, disposition: erase}
- {id: u, table: core.u, starting_point: on_day, retention_period: 5 years, disposition: anonymize, columns: {name: suppress}}",
    );
    let folder = targets::root().join("fuzz/corpus");
    let plan = bench.path("plan.json");
    bench.sunset(&["plan", "--now", bench.now, "--out", plan.to_str().unwrap()]).expect(0);
    fs::copy(plan, folder.join("plans/signed.json")).unwrap();
    bench.run(0);
    bench.script("insert into t values (4, '2001-01-01', 'd'), (5, '2001-01-01', 'e')").await;
    bench.sunset(&["run", "--now", "2026-11-23"]).expect(0);
    bench.sunset(&["hold", "add", "core.u", "--key", "2", "--reference", "2026-wa-1", "--reason", "a suit"]);
    bench.sunset(&["run", "--now", "2030-11-23"]).expect(0);
    let ledger = bench.path("ledger.jsonl");
    bench.sunset(&["ledger", "export", "--out", ledger.to_str().unwrap()]).expect(0);
    fs::copy(&ledger, folder.join("ledgers/sound.jsonl")).unwrap();
    let header = fs::read_to_string(&ledger).unwrap();
    let header: serde_json::Value = serde_json::from_str(header.lines().next().unwrap()).unwrap();
    fs::write(folder.join("key.pub"), format!("{}\n", header["keys"][0].as_str().unwrap())).unwrap();
}
