//! The files of a job as the program meets them: links, pipes and devices in the job directory, and the modes of what it
//! writes.

use crate::support::bench::Bench;
use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
    process::{Command, Stdio},
};
use sunset::catalog::Engine;

const KEY: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIcanary\n-----END PRIVATE KEY-----\n";

async fn job() -> Bench {
    let bench = Bench::new(Engine::Sqlite).await;
    bench
        .script(
            "create table visits (id {int} primary key, seen_on {date}); insert into visits values (1, '2001-01-01')",
        )
        .await;
    bench.rules(
        "- {id: visits, table: core.visits, starting_point: seen_on, retention_period: 5 years, disposition: erase}",
    );
    bench
}

#[tokio::test]
async fn nothing_is_read_that_is_not_a_file_of_the_job() {
    let bench = job().await;
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("key.pem"), KEY).unwrap();
    let settings = fs::read_to_string(bench.path("sunset.yaml")).unwrap();
    let make_pipe = |path: &Path| assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
    let link = |to: &Path, path: &Path| symlink(to, path).unwrap();
    for file in ["sunset.yaml", "rules/b.yaml"] {
        let path = bench.path(file);
        let makers: [(&str, &dyn Fn()); 5] = [
            ("a link outside", &|| link(&outside.path().join("key.pem"), &path)),
            ("a device", &|| link(Path::new("/dev/zero"), &path)),
            ("a pipe", &|| make_pipe(&path)),
            ("a key", &|| fs::write(&path, KEY).unwrap()),
            ("a long file", &|| fs::write(&path, "#".repeat(10 << 20)).unwrap()),
        ];
        for (what, make) in makers {
            let _ = fs::remove_file(&path);
            make();
            for format in ["text", "json", "sarif"] {
                let call = bench.sunset(&["validate", "--offline", "--format", format]).expect(2);
                assert!(!format!("{call:?}").contains("canary"), "{file} is {what}: {call:?}");
            }
            bench.sunset(&["run", "--now", bench.now]).expect(2);
        }
        fs::remove_file(&path).unwrap();
        fs::write(bench.path("sunset.yaml"), &settings).unwrap();
    }
    bench.sunset(&["run", "--now", bench.now, "--plan", "/dev/zero"]).expect(2);
    bench.sunset(&["validate", "--offline"]).expect(0);
}

/// As Kubernetes mounts a ConfigMap.
#[tokio::test]
async fn what_kubernetes_mounts_is_read() {
    let bench = job().await;
    let rules = bench.path("rules");
    let version = rules.join("..2026_11_22_03_00_00.1234");
    fs::create_dir(&version).unwrap();
    fs::rename(rules.join("category.yaml"), version.join("category.yaml")).unwrap();
    symlink("..2026_11_22_03_00_00.1234", rules.join("..data")).unwrap();
    symlink("..data/category.yaml", rules.join("category.yaml")).unwrap();
    bench.sunset(&["run", "--now", bench.now]).expect(0);
    assert_eq!(bench.count("select count(*) from visits").await, 0);
}

/// Every file that the program makes, below `directory`.
fn made(directory: &Path, known: &[std::path::PathBuf], found: &mut Vec<(std::path::PathBuf, u32)>) {
    for entry in fs::read_dir(directory).unwrap().map(Result::unwrap).filter(|entry| !known.contains(&entry.path())) {
        let metadata = entry.metadata().unwrap();
        found.push((entry.path(), metadata.permissions().mode() & 0o777));
        if metadata.is_dir() {
            made(&entry.path(), known, found);
        }
    }
}

#[tokio::test]
async fn what_is_written_is_its_owners_whatever_the_umask() {
    for umask in ["000", "022", "277"] {
        let bench = job().await;
        let directory = bench.directory().to_owned();
        let known = ["sunset.yaml", "rules", "keys"].map(|name| directory.join(name));
        let with_umask = |arguments: &[&str]| {
            let call = bench.command(arguments);
            let mut shell = Command::new("sh");
            shell.args(["-c", "umask $0; exec \"$@\"", umask]).arg(call.get_program()).args(call.get_args());
            shell.envs(call.get_envs().filter_map(|(name, value)| Some((name, value?))));
            let ended = shell.stdout(Stdio::null()).stderr(Stdio::piped()).output().unwrap();
            assert_eq!(ended.status.code(), Some(0), "{arguments:?}: {}", String::from_utf8_lossy(&ended.stderr));
        };
        let path = |name: &str| directory.join(name).display().to_string();
        with_umask(&["plan", "--now", bench.now, "--out", &path("plan.json")]);
        with_umask(&["run", "--now", bench.now]);
        with_umask(&["ledger", "export", "--out", &path("ledger.jsonl")]);
        with_umask(&["keys", "new", "--out", &path("new/keys")]);
        if umask != "277" {
            with_umask(&["demo", "--dir", &path("demo"), "--customers", "100"]);
        }
        let mut found = Vec::new();
        made(&directory, &known, &mut found);
        assert!(found.len() > 6, "{found:?}");
        for (path, mode) in found {
            let expected = if path.is_dir() { 0o700 } else { 0o600 };
            assert_eq!(mode, expected, "umask {umask}: {}", path.display());
        }
    }
}
