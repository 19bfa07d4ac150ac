//! Checkpoints that are kept outside: a ledger that was cut back, replaced or written anew is noticed, and no row goes.

use crate::support::{
    bench::{Bench, Call},
    python::{self, quietly},
};
use std::{fs, path::Path, process::Command};
use sunset::catalog::Engine;

const RULES: &str = "
- id: old
  table: core.t
  starting_point: {column: on_day}
  retention_period: 5 years
  disposition: erase";

const SETTINGS: &str = "time_zone: Asia/Tokyo\nlimits: {max_share: 100%}";

async fn job() -> Bench {
    let bench = Bench::new(Engine::Sqlite).await;
    bench.script("create table t (id {int} primary key, on_day {date} not null)").await;
    bench.rules(RULES);
    bench
}

/// One more row is due.
async fn due(bench: &Bench) {
    bench.script("insert into t select coalesce(max(id), 0) + 1, '2001-01-01' from t").await;
}

fn run(bench: &Bench) -> Call {
    bench.sunset(&["run", "--now", bench.now])
}

fn store(bench: &Bench) -> std::path::PathBuf {
    bench.path("state")
}

fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    fs::create_dir(to).unwrap();
    for file in fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

/// What every place has to notice. `anchor` is the setting.
async fn every_other_history_is_refused(bench: &Bench, anchor: &str) {
    let with_anchor = format!("{SETTINGS}\nanchor: {anchor}");
    bench.settings(&with_anchor);
    due(bench).await;
    let first = run(bench).expect(0);
    assert!(first.out.contains("has the checkpoint of"), "{first:?}");
    copy(&store(bench), &bench.path("yesterday"));
    due(bench).await;
    run(bench).expect(0);
    copy(&store(bench), &bench.path("newest"));
    due(bench).await;
    bench.sunset(&["ledger", "verify"]).expect(0);

    // the store is yesterday's
    copy(&bench.path("yesterday"), &store(bench));
    let older = run(bench).expect(3);
    assert!(older.err.contains("older copy"), "{older:?}");
    let told = bench.sunset(&["ledger", "verify"]).expect(4);
    assert!(told.out.contains("problem: "), "{told:?}");

    // it is gone, and a new one would begin
    fs::remove_dir_all(store(bench)).unwrap();
    let gone = run(bench).expect(3);
    assert!(gone.err.contains("anchor `place`"), "{gone:?}");

    // it was written anew without the anchor, and has more entries now
    fs::remove_dir_all(store(bench)).unwrap();
    bench.settings(SETTINGS);
    for _ in 0..4 {
        run(bench).expect(0);
        due(bench).await;
    }
    bench.settings(&with_anchor);
    let second = run(bench).expect(3);
    assert!(second.err.contains("second history"), "{second:?}");
    bench.sunset(&["ledger", "verify"]).expect(4);
    assert_eq!(bench.count("select count(*) from t").await, 1, "a row went under a history that was refused");

    copy(&bench.path("newest"), &store(bench));
    run(bench).expect(0);
    bench.sunset(&["ledger", "verify"]).expect(0);
    assert_eq!(bench.count("select count(*) from t").await, 0);
}

#[tokio::test]
async fn a_folder_notices() {
    let bench = job().await;
    let folder = bench.path("outside");
    let anchor = "{place: {kind: folder, path: outside}}";

    // a share that is not mounted says nothing, and nothing is begun
    bench.settings(&format!("{SETTINGS}\nanchor: {anchor}"));
    due(&bench).await;
    let absent = run(&bench).expect(75);
    assert!(absent.err.contains("anchor `place`"), "{absent:?}");
    assert_eq!(bench.count("select count(*) from t").await, 1);

    fs::create_dir(&folder).unwrap();
    every_other_history_is_refused(&bench, anchor).await;
    let kept: Vec<_> = fs::read_dir(folder.join("bench")).unwrap().map(|file| file.unwrap().path()).collect();
    assert_eq!(kept.len(), 3, "{kept:?}");
    let told = bench.sunset(&["ledger", "verify"]).expect(0);
    assert!(told.out.contains("it contains the 3 checkpoints that are kept elsewhere"), "{told:?}");

    // one that was changed is found, be it an old one
    let oldest = kept.iter().min().unwrap();
    let right = fs::read_to_string(oldest).unwrap();
    fs::write(oldest, right.replacen("time 20", "time 19", 1)).unwrap();
    bench.sunset(&["ledger", "verify"]).expect(4);
    fs::write(oldest, right).unwrap();

    // all of them are gone
    fs::remove_dir_all(folder.join("bench")).unwrap();
    let emptied = run(&bench).expect(3);
    assert!(emptied.err.contains("has none of them any more"), "{emptied:?}");
}

/// Rows have gone by then: the run says that nobody outside has the checkpoint, and the next one makes up for it.
#[tokio::test]
async fn a_checkpoint_that_is_not_taken_is_told_and_made_up_for() {
    let bench = job().await;
    let folder = bench.path("outside");
    fs::create_dir(&folder).unwrap();
    bench.settings(&format!("{SETTINGS}\nanchor: {{place: {{kind: folder, path: outside}}}}"));
    // the folder of this ledger cannot be made
    fs::write(folder.join("bench"), "in the way").unwrap();
    due(&bench).await;
    let told = run(&bench).expect(75);
    assert_eq!(bench.count("select count(*) from t").await, 1, "it could not be compared: {told:?}");
    fs::remove_file(folder.join("bench")).unwrap();
    run(&bench).expect(0);
    assert_eq!(fs::read_dir(folder.join("bench")).unwrap().count(), 1);

    // nobody can write there any more, and what is there is still read
    let sealed = folder.join("bench");
    if !quietly(Command::new("chattr").arg("+i").arg(&sealed)) {
        println!("SKIPPED: a folder cannot be made immutable here (chattr, as root)");
        return;
    }
    due(&bench).await;
    let told = run(&bench);
    quietly(Command::new("chattr").arg("-i").arg(&sealed));
    let told = told.expect(75);
    assert!(told.out.contains("was not taken: anchor `place`"), "{told:?}");
    assert_eq!(bench.count("select count(*) from t").await, 0);
    run(&bench).expect(0);
    assert_eq!(fs::read_dir(&sealed).unwrap().count(), 2);
}

#[tokio::test]
async fn a_repository_notices() {
    let bench = job().await;
    let repository = bench.path("audit.git");
    if !quietly(Command::new("git").args(["init", "--bare", "--quiet"]).arg(&repository)) {
        println!("SKIPPED: git is not installed");
        return;
    }
    let url = repository.display();
    every_other_history_is_refused(&bench, &format!("{{place: {{kind: repository, url: \"{url}\"}}}}")).await;
    let mut log = Command::new("git");
    let log = log.arg("--git-dir").arg(&repository).args(["log", "--oneline", "sunset"]).output().unwrap();
    assert_eq!(String::from_utf8(log.stdout).unwrap().lines().count(), 3);
}

/// Against `moto` (PyPI), an implementation of S3 with versions and object lock.
#[tokio::test]
async fn a_bucket_notices() {
    let Some(programs) = python::install("moto_server", &["moto[s3,server]==5.1.22"]) else { return };
    let port = python::free_port();
    let mut command = Command::new(programs.join("moto_server"));
    let _server = python::start(command.args(["-p", &port.to_string()]), port).await;
    let make = format!(
        "import boto3\n\
         s3 = boto3.client('s3', endpoint_url='http://127.0.0.1:{port}', region_name='ap-northeast-1', aws_access_key_id='id', aws_secret_access_key='secret')\n\
         s3.create_bucket(Bucket='audit', ObjectLockEnabledForBucket=True, CreateBucketConfiguration={{'LocationConstraint': 'ap-northeast-1'}})\n"
    );
    assert!(quietly(Command::new(programs.join("python")).args(["-c", &make])));
    let mut bench = job().await;
    bench.variables = vec![("ANCHOR_ID", "id".to_owned()), ("ANCHOR_SECRET", "secret".to_owned())];
    let anchor = format!(
        "{{place: {{kind: bucket, bucket: audit, region: ap-northeast-1, url: \"http://127.0.0.1:{port}\", prefix: a/, \
         access_key_id: \"${{ANCHOR_ID}}\", secret_access_key: \"${{ANCHOR_SECRET}}\", lock_for: 10 years}}}}"
    );
    every_other_history_is_refused(&bench, &anchor).await;

    // what is hidden behind a delete marker is read all the same, and its lock holds
    let hide = format!(
        "import boto3, sys\n\
         s3 = boto3.client('s3', endpoint_url='http://127.0.0.1:{port}', region_name='ap-northeast-1', aws_access_key_id='id', aws_secret_access_key='secret')\n\
         kept = s3.list_object_versions(Bucket='audit')['Versions']\n\
         assert len(kept) == 3, kept\n\
         for version in kept:\n    \
             assert version['Key'].startswith('a/bench/0000'), version\n    \
             lock = s3.head_object(Bucket='audit', Key=version['Key'], VersionId=version['VersionId'])\n    \
             assert lock['ObjectLockMode'] == 'COMPLIANCE' and lock['ObjectLockRetainUntilDate'].year > 2035, lock\n    \
             try:\n        \
                 s3.delete_object(Bucket='audit', Key=version['Key'], VersionId=version['VersionId'])\n        \
                 raise SystemExit('a locked version went')\n    \
             except s3.exceptions.ClientError: pass\n    \
             s3.delete_object(Bucket='audit', Key=version['Key'])\n"
    );
    let hidden = Command::new(programs.join("python")).args(["-c", &hide]).output().unwrap();
    assert!(hidden.status.success(), "{}", String::from_utf8_lossy(&hidden.stderr));
    let told = bench.sunset(&["ledger", "verify"]).expect(0);
    assert!(told.out.contains("it contains the 3 checkpoints that are kept elsewhere"), "{told:?}");
    run(&bench).expect(0);
}

/// Against `aics-witness` (PyPI), a witness of the C2SP protocol.
#[tokio::test]
async fn a_witness_notices() {
    // it is said to need Python 3.12, and runs with 3.11
    let package = ["--ignore-requires-python", "aics-witness==0.1.0"];
    let Some(programs) = python::install("aics-witness", &package) else { return };
    let (bench, port) = (job().await, python::free_port());
    let directory = bench.path("witness");
    fs::create_dir(&directory).unwrap();
    let config = directory.join("witness.json");
    let witness = |arguments: &[&str]| {
        let mut command = Command::new(programs.join("aics-witness"));
        command.env("AICS_WITNESS_CONFIG", &config).args(arguments);
        command
    };
    let made = witness(&["init", "--name", "witness.example/w1"]).output().unwrap();
    let made = String::from_utf8(made.stdout).unwrap();
    let key = made.split_whitespace().find(|word| word.starts_with("witness.example/w1+")).unwrap().to_owned();
    let listed = bench.sunset(&["keys", "list"]).expect(0).out;
    let own = listed.split_whitespace().find(|word| word.starts_with("bench+")).unwrap();
    assert!(quietly(&mut witness(&["add-log", "--origin", "bench", "--vkey", own])));
    let text = fs::read_to_string(&config).unwrap();
    let mut settings: serde_json::Value = serde_json::from_str(&text).unwrap();
    settings["logs"][0]["extension_lines"] = true.into();
    fs::write(&config, settings.to_string()).unwrap();
    let _server = python::start(&mut witness(&["serve", "--listen", &format!("127.0.0.1:{port}")]), port).await;

    let anchor = format!("{{place: {{kind: witness, url: \"http://127.0.0.1:{port}\", key: \"{key}\"}}}}");
    every_other_history_is_refused(&bench, &anchor).await;
    let cosigned = bench.sunset(&["ledger", "checkpoint"]).expect(0).out;
    assert!(
        cosigned.contains("\n\u{2014} bench ") && cosigned.contains("\n\u{2014} witness.example/w1 "),
        "{cosigned}"
    );

    // another key than the one that signs
    let other = format!("{SETTINGS}\nanchor: {}", anchor.replace(&key, OTHER_WITNESS));
    bench.settings(&other);
    let told = run(&bench).expect(2);
    assert!(told.err.contains("no cosignature of the key"), "{told:?}");
}

/// Of a key that nobody has.
const OTHER_WITNESS: &str = "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2";

/// A URL that cannot be used is found before anything is done, and whoever looks at the metrics sees it too.
#[tokio::test]
async fn an_anchor_that_cannot_be_used_is_noted() {
    let bench = job().await;
    due(&bench).await;
    fs::write(bench.path("id"), "id").unwrap();
    bench.settings(&format!(
        "{SETTINGS}\nanchor: {{place: {{kind: bucket, bucket: audit, region: x, url: \"http://storage.invalid\", \
         access_key_id: \"${{file:id}}\", secret_access_key: \"${{file:id}}\"}}}}"
    ));
    let metrics = bench.path("metrics");
    let told = bench.sunset(&["run", "--now", bench.now, "--metrics-file", metrics.to_str().unwrap()]).expect(2);
    assert!(told.err.contains("anchor `place` of sunset.yaml"), "{told:?}");
    let metrics = fs::read_to_string(metrics).unwrap();
    assert!(metrics.contains("\nsunset_last_run_exit_code 2\n"), "{metrics}");
    assert_eq!(bench.count("select count(*) from t").await, 1);
}
