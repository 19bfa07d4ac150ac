//! Files that rows point at: nothing of them is left, and nothing else goes.

#[path = "azure_blob/integration.rs"]
mod azure_blob;
#[path = "gcs/integration.rs"]
mod gcs;

use super::{delete_one, open, plumbing, settings, subject};
use crate::support::{
    bench::Bench,
    python::{self, Running},
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};
use sunset::{
    catalog::Engine,
    evidence::Grade,
    recipients::{self, Answer, Checked, Recipient, State},
};

fn reason(answer: &Answer) -> &str {
    answer.state.reason().unwrap_or_else(|| panic!("{answer:?}"))
}

fn is_refused(answer: &Answer) -> bool {
    matches!(answer.state, State::Refused { .. })
}

async fn ask(recipient: &dyn Recipient, identifiers: &[(&str, &str)]) -> Answer {
    let answer = delete_one(recipient, subject(identifiers)).await;
    let text = format!("{answer:?}");
    assert!(identifiers.iter().all(|(_, identifier)| identifier.len() < 4 || !text.contains(identifier)), "{text}");
    answer
}

/// `moto` (PyPI), an implementation of S3 with versions, locks and holds.
struct Moto {
    url: String,
    python: PathBuf,
    _server: Running,
}

impl Moto {
    /// `None` where it cannot be installed, which is said.
    async fn start() -> Option<Self> {
        let programs = python::install("moto_server", &["moto[s3,server]==5.1.22"])?;
        let port = python::free_port();
        let mut command = Command::new(programs.join("moto_server"));
        let server = python::start(command.args(["-p", &port.to_string()]), port).await;
        let url = format!("http://127.0.0.1:{port}");
        let moto = Self { url, python: programs.join("python"), _server: server };
        moto.boto(
            "for name in ['plain', 'versioned']: s3.create_bucket(Bucket=name)\n\
                   s3.create_bucket(Bucket='locked', ObjectLockEnabledForBucket=True)\n\
                   s3.put_bucket_versioning(Bucket='versioned', VersioningConfiguration={'Status': 'Enabled'})",
        );
        Some(moto)
    }

    /// What Amazon's own library does and prints.
    fn boto(&self, script: &str) -> String {
        let head = format!(
            "import boto3, datetime\n\
             s3 = boto3.client('s3', endpoint_url='{}', region_name='us-east-1', aws_access_key_id='id', aws_secret_access_key='secret')\n\
             def put(bucket, *keys):\n    for key in keys: s3.put_object(Bucket=bucket, Key=key, Body=b'x')\n\
             def left(bucket):\n    \
                 found = []\n    \
                 for page in s3.get_paginator('list_object_versions').paginate(Bucket=bucket):\n        \
                     found += [v['Key'] for v in page.get('Versions', [])] + ['-' + m['Key'] for m in page.get('DeleteMarkers', [])]\n    \
                 print(' '.join(sorted(found)))\n",
            self.url
        );
        let done = Command::new(&self.python).args(["-c", &(head + script)]).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap().trim().to_owned()
    }

    fn bucket(&self, bucket: &str, more: &str) -> Box<dyn Recipient> {
        open(&format!(
            "{{kind: s3, bucket: {bucket}, region: us-east-1, url: \"{}\", access_key_id: \"${{X}}\", secret_access_key: \
             \"${{X}}\", {more}}}",
            self.url
        ))
    }
}

#[tokio::test]
async fn no_version_of_an_object_is_left() {
    let Some(moto) = Moto::start().await else { return };
    let (e1, gone) = (Answer::confirmed(Grade::E1), Answer::gone(Grade::E1));
    for bucket in ["plain", "versioned"] {
        moto.boto(&format!("put('{bucket}', 'id/7.jpg', 'id/7.jpg', 'id/7.jpg2', 'id/70.jpg', 'id/7', 'other')"));
        // what is hidden is there all the same
        moto.boto(&format!("s3.delete_object(Bucket='{bucket}', Key='id/7.jpg')"));
        if bucket == "plain" {
            moto.boto("put('plain', 'id/7.jpg')");
        }
        let documents = moto.bucket(bucket, "keys: [\"id/{document}.jpg\"]");
        assert_eq!(documents.check().await, Ok(Checked::Proven));
        assert_eq!(ask(documents.as_ref(), &[("document", "7")]).await, e1, "{bucket}");
        assert_eq!(moto.boto(&format!("left('{bucket}')")), "id/7 id/7.jpg2 id/70.jpg other", "{bucket}");
        assert_eq!(ask(documents.as_ref(), &[("document", "7")]).await, gone, "{bucket}");
        assert_eq!(ask(documents.as_ref(), &[("document", "nobody")]).await, gone, "{bucket}");
    }
    let nowhere = moto.bucket("nowhere", "keys: [\"{path}\"]");
    assert_eq!(reason(&ask(nowhere.as_ref(), &[("path", "a")]).await), "there is no such bucket");
    assert_eq!(nowhere.check().await.unwrap_err().reason, "there is no such bucket");
}

#[tokio::test]
async fn everything_below_a_prefix_goes() {
    let Some(moto) = Moto::start().await else { return };
    moto.boto(
        "for i in range(130): put('versioned', f'exports/1/{i}', f'exports/1/{i}')\n\
         s3.delete_object(Bucket='versioned', Key='exports/1/5')\n\
         put('versioned', 'exports/12/a', 'exports/1', 'exports/1x/a', 'scans/1 & 2/ü+%2F 写真.jpg', 'scans/other')",
    );
    let exports = moto.bucket("versioned", "prefixes: [\"exports/{member}/\"], keys: [\"scans/{scan?}\"]");
    let both = [("member", "1"), ("scan", "1 & 2/ü+%2F 写真.jpg")];
    assert_eq!(ask(exports.as_ref(), &both).await, Answer::confirmed(Grade::E1));
    assert_eq!(moto.boto("left('versioned')"), "exports/1 exports/12/a exports/1x/a scans/other");
    assert_eq!(ask(exports.as_ref(), &[("member", "12")]).await, Answer::confirmed(Grade::E1));
    assert_eq!(moto.boto("left('versioned')"), "exports/1 exports/1x/a scans/other");
    // what would lead elsewhere is not asked
    for member in [".", "..", "a/b", "/", "1/", "/1", "a\\b", "a\nb"] {
        let answer = ask(exports.as_ref(), &[("member", member), ("scan", "other")]).await;
        assert!(is_refused(&answer), "{member}: {answer:?}");
    }
    for scan in ["../other", "a//b", "other/", "/other", "./other", "a/../other"] {
        let answer = ask(exports.as_ref(), &[("member", "1"), ("scan", scan)]).await;
        assert!(is_refused(&answer), "{scan}: {answer:?}");
    }
    let answer = ask(exports.as_ref(), &[("scan", "other")]).await;
    assert!(matches!(answer.state, State::NotPossible { .. }), "{answer:?}");
    assert_eq!(moto.boto("left('versioned')"), "exports/1 exports/1x/a scans/other");
}

#[tokio::test]
async fn locks_are_explained() {
    let Some(moto) = Moto::start().await else { return };
    moto.boto(
        "put('locked', 'kh', 'kc', 'kg', 'kg')\n\
         until = datetime.datetime(2041, 2, 3)\n\
         s3.put_object_legal_hold(Bucket='locked', Key='kh', LegalHold={'Status': 'ON'})\n\
         for key, mode in [('kc', 'COMPLIANCE'), ('kg', 'GOVERNANCE')]: s3.put_object_retention(Bucket='locked', Key=key, Retention={'Mode': \
         mode, 'RetainUntilDate': until})",
    );
    let documents = moto.bucket("locked", "keys: [\"{path}\"]");
    for (key, words) in [
        ("kh", "a legal hold lies on a file: it stays until somebody takes the hold away"),
        ("kc", "a file is locked until 2041-02-03, and nobody can delete it before"),
        (
            "kg",
            "a file is locked in governance mode until 2041-02-03: wait, or set `bypass_governance` and allow \
             `s3:BypassGovernanceRetention`",
        ),
    ] {
        let answer = ask(documents.as_ref(), &[("path", key)]).await;
        assert_eq!((reason(&answer), is_refused(&answer)), (words, true));
    }
    let bypass = moto.bucket("locked", "bypass_governance: true, keys: [\"{path}\"]");
    assert_eq!(ask(bypass.as_ref(), &[("path", "kg")]).await, Answer::confirmed(Grade::E1));
    assert!(is_refused(&ask(bypass.as_ref(), &[("path", "kh")]).await));
    assert!(is_refused(&ask(bypass.as_ref(), &[("path", "kc")]).await));
    assert_eq!(moto.boto("left('locked')"), "kc kh");
}

/// The row waits for its file.
#[tokio::test]
async fn a_row_goes_after_its_file() {
    let Some(moto) = Moto::start().await else { return };
    moto.boto(
        "put('versioned', 'id/1.jpg', 'id/1.jpg', 'id/2.jpg', 'id/3.jpg')\n\
         s3.delete_object(Bucket='versioned', Key='id/1.jpg')",
    );
    let mut bench = Bench::new(Engine::Sqlite).await;
    bench.variables = vec![("UPLOADS_ID", "id".to_owned()), ("UPLOADS_SECRET", "secret".to_owned())];
    bench.script("create table t (id {int} primary key, on_day {date} not null, document {text})").await;
    bench
        .script("insert into t values (1, '2001-01-01', 'id/1.jpg'), (2, '2026-11-01', 'id/2.jpg'), (3, '2001-01-01', null)")
        .await;
    let settings = |bucket: &str| {
        format!(
            "time_zone: Asia/Tokyo\nlimits: {{max_share: 100%}}\nrecipients: {{uploads: {{kind: s3, bucket: {bucket}, region: \
             us-east-1, url: \"{}\", access_key_id: \"${{UPLOADS_ID}}\", secret_access_key: \"${{UPLOADS_SECRET}}\", keys: \
             [\"{{path}}\"], max_gone: 100%}}}}",
            moto.url
        )
    };
    bench.rules(
        "- {id: t, table: core.t, starting_point: on_day, retention_period: 5 years, disposition: erase, recipients: [{uploads: \
         {path: document}}]}",
    );
    bench.settings(&settings("nowhere"));
    bench.run(4);
    assert_eq!(bench.list("select id from t order by id").await, "1 2", "a row without a file waits for nothing");
    bench.settings(&settings("versioned"));
    bench.run(0);
    assert_eq!(bench.list("select id from t order by id").await, "2");
    assert_eq!(moto.boto("left('versioned')"), "id/2.jpg id/3.jpg");
}

/// A file that a row points at which is not due stays, whatever else the two rows point at.
#[tokio::test]
async fn a_file_that_is_still_used_stays() {
    let bench = Bench::new(Engine::Sqlite).await;
    bench.script("create table t (id {int} primary key, on_day {date} not null, document {text}, member {text})").await;
    bench
        .script(
            "insert into t values (1, '2001-01-01', 'shared', 'a'), (2, '2026-11-01', 'shared', 'b'),
               (3, '2001-01-01', 'own', 'c'), (4, '2001-01-01', 'd1', 'd'), (5, '2026-11-01', 'd2', 'd')",
        )
        .await;
    let folder = bench.path("uploads");
    for member in ["a", "b", "c", "d"] {
        fs::create_dir_all(folder.join("exports").join(member)).unwrap();
        fs::write(folder.join("exports").join(member).join("x"), "x").unwrap();
    }
    fs::create_dir(folder.join("id")).unwrap();
    for document in ["shared", "own", "d1", "d2"] {
        fs::write(folder.join("id").join(document), "x").unwrap();
    }
    bench.settings(
        "time_zone: Asia/Tokyo\nlimits: {max_share: 100%}\nrecipients: {uploads: {kind: files, folder: uploads, keys: \
         [\"id/{document}\"], prefixes: [\"exports/{member}/\"]}}",
    );
    bench.rules(
        "- {id: t, table: core.t, starting_point: on_day, retention_period: 5 years, disposition: erase, recipients: [{uploads: \
         {document: document, member: member}}]}",
    );
    bench.sunset(&["run", "--now", bench.now]);
    assert_eq!(bench.list("select id from t order by id").await, "1 2 4 5");
    let left: Vec<_> = tree(&folder).into_iter().filter(|path| folder.join(path).is_file()).collect();
    assert_eq!(left, ["exports/a/x", "exports/b/x", "exports/d/x", "id/d1", "id/d2", "id/shared"]);
}

fn files(folder: &Path, more: &str) -> Box<dyn Recipient> {
    open(&format!("{{kind: files, folder: {}, {more}}}", folder.display()))
}

/// What lies in a folder, without what only leads there.
fn tree(folder: &Path) -> Vec<String> {
    let mut all = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            all.push(path.strip_prefix(folder).unwrap().display().to_string());
            if path.is_dir() && !path.is_symlink() {
                open.push(path);
            }
        }
    }
    all.sort();
    all
}

#[tokio::test]
async fn files_of_a_folder_go() {
    let directory = tempfile::tempdir().unwrap();
    let (folder, outside) = (directory.path().join("uploads"), directory.path().join("outside"));
    for path in ["7", "7/deep/deeper", "70", "id"] {
        fs::create_dir_all(folder.join(path)).unwrap();
    }
    fs::create_dir(&outside).unwrap();
    for file in ["7/a", "7/deep/b", "7/deep/deeper/c", "70/a", "id/7.jpg", "id/7.jpg2"] {
        fs::write(folder.join(file), "x").unwrap();
    }
    fs::write(outside.join("kept"), "x").unwrap();
    std::os::unix::fs::symlink(&outside, folder.join("7/link")).unwrap();
    std::os::unix::fs::symlink(&outside, folder.join("w")).unwrap();

    let both = files(&folder, "keys: [\"id/{who}.jpg\"], prefixes: [\"{who}/\"]");
    assert_eq!(ask(both.as_ref(), &[("who", "7")]).await, Answer::confirmed(Grade::E1));
    assert_eq!(tree(&folder), ["70", "70/a", "id", "id/7.jpg2", "w"]);
    assert_eq!(tree(&outside), ["kept"], "a symbolic link was followed");
    assert_eq!(ask(both.as_ref(), &[("who", "7")]).await, Answer::gone(Grade::E1));

    let any = files(&folder, "keys: [\"{path}\"]");
    for path in ["../outside/kept", "..", ".", "id/../70/a", "/70/a", "70/", "70//a"] {
        assert!(is_refused(&ask(any.as_ref(), &[("path", path)]).await), "{path}");
    }
    let link = ask(any.as_ref(), &[("path", "w/kept")]).await;
    assert_eq!(reason(&link), "a symbolic link stands on the way, which is not followed");
    let below = ask(files(&folder, "prefixes: [\"{path}/\"]").as_ref(), &[("path", "w")]).await;
    assert_eq!(reason(&below), "a symbolic link stands on the way, which is not followed");
    assert_eq!(reason(&ask(any.as_ref(), &[("path", "70")]).await), "a folder lies where a file should");
    assert_eq!(ask(any.as_ref(), &[("path", "70/a/b")]).await, Answer::gone(Grade::E1));
    assert_eq!(tree(&folder), ["70", "70/a", "id", "id/7.jpg2", "w"]);
    assert_eq!(tree(&outside), ["kept"]);
    // the link itself is a file of the folder
    assert_eq!(ask(any.as_ref(), &[("path", "w")]).await, Answer::confirmed(Grade::E1));
    assert_eq!(tree(&outside), ["kept"]);
}

/// A share that is not mounted is an empty folder.
#[tokio::test]
async fn an_empty_folder_says_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let folder = directory.path().join("share");
    let any = files(&folder, "keys: [\"{path}\"]");
    let absent = ask(any.as_ref(), &[("path", "a")]).await;
    assert!(matches!(absent.state, State::Unreachable { .. }), "{absent:?}");
    fs::create_dir(&folder).unwrap();
    let empty = ask(any.as_ref(), &[("path", "a")]).await;
    assert_eq!(reason(&empty), "the folder is empty: is the share mounted?");
    assert!(matches!(empty.state, State::Unreachable { .. }) && any.check().await.is_err());
    // the last file goes, which is no empty share
    fs::write(folder.join("a"), "x").unwrap();
    assert_eq!(ask(any.as_ref(), &[("path", "a")]).await, Answer::confirmed(Grade::E1));
}

#[test]
fn templates_that_would_take_too_much_are_refused() {
    let problem = |more: &str| {
        let yaml = format!("{{kind: files, folder: /srv, {more}}}");
        let read = std::panic::catch_unwind(|| settings(&yaml));
        read.map_or_else(
            |told| told.downcast_ref::<String>().cloned().unwrap_or_default(),
            |read| recipients::open(&read, &plumbing()).map_or_else(|error| error.reason, |_| "fine".to_owned()),
        )
    };
    for (more, words) in [
        ("", "there is neither `keys` nor `prefixes`"),
        ("prefixes: [\"exports/\"]", "`exports/` holds no identifier: everybody's would go"),
        ("keys: [\"all.zip\"]", "`all.zip` holds no identifier: everybody's would go"),
        ("prefixes: [\"exports/{who}\"]", "`exports/{who}` does not end with `/`"),
        ("keys: [\"exports/{who}/\"]", "`exports/{who}/` ends with `/`"),
    ] {
        assert!(problem(more).contains(words), "{more}: {}", problem(more));
    }
    assert_eq!(problem("prefixes: [\"exports/{who|lower}/\"]"), "fine");
}
