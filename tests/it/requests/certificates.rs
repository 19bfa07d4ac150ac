//! Certificates of what a request had erased: from a sound ledger alone, with each run, rule and method as they were.

use super::{RULES, approve, company, open};
use crate::{
    subjects::{Company, SUBJECTS},
    support::bench::Bench,
};
use std::{fs, os::unix::fs::symlink};
use sunset::catalog::Engine;

const FROM: &str = "requests:\n  from: {en: \"Example K.K., privacy desk\", ja: \"株式会社Example お問い合わせ窓口\"}\n  backups: 35 days\n";

/// A company in which customer 2 has asked.
async fn asked() -> Company {
    let company = company(Bench::new(Engine::Sqlite).await).await;
    company.settings(&format!("{SUBJECTS}{FROM}"));
    company.core.rules(RULES);
    let id = open(&company, "erasure", &["--key", "2"]);
    approve(&company, &id);
    company
}

fn certificate(company: &Company, code: i32) -> String {
    let call = company.core.sunset(&["request", "certificate", "1", "--now", company.core.now]).expect(code);
    call.out + &call.err
}

#[tokio::test]
async fn a_certificate_tells_what_the_ledger_tells() {
    let company = asked().await;
    let nothing = certificate(&company, 3);
    assert!(nothing.contains("not sound") || nothing.contains("nothing to certify"), "{nothing}");
    company.run(&[]).expect(0);
    let page = certificate(&company, 0);
    for text in [
        "個人データ消去証明書 / Certificate of erasure of personal data",
        "main.customers · 1件 / 1 row · 付随 / along with them: 1 row",
        "tickets: 行の削除 / rows deleted from the live database",
        "found no row left that goes before its day",
        "officer@example.com",
        "株式会社Example お問い合わせ窓口",
    ] {
        assert!(page.replace("1件 / ", "").contains(&text.replace("1件 / ", "")), "{text}: {page}");
    }
    super::names_nobody(&company, &[&page]);
    // what was done stays what it was, whatever the rules say now
    company.core.rules(&RULES.replace("disposition: erase", "disposition: anonymize, columns: {id: suppress}"));
    let later = company.core.sunset(&["request", "certificate", "1", "--now", company.core.now]);
    assert!(later.code != 0 || later.out.contains("tickets: 行の削除"), "{}", later.out);
}

#[tokio::test]
async fn nothing_is_certified_from_a_ledger_that_is_not_sound() {
    for change in [
        "update entries set line = replace(line, 'officer@example.com', 'the boss')",
        "delete from entries where seq > 12",
        "update person_requests set request = replace(request, '\"rows\":1', '\"rows\":2000')",
        "update checkpoints set note = replace(note, 'bench', 'other')",
    ] {
        let company = asked().await;
        company.run(&[]).expect(0);
        change_store(&company, change);
        let page = certificate(&company, 3);
        assert!(page.contains("not sound") || page.contains("ledger"), "{change}: {page}");
    }
}

/// Changes the store behind the program's back.
fn change_store(company: &Company, change: &str) {
    let path = company.core.path("state/sunset.db");
    let script =
        "import sqlite3, sys\nstore = sqlite3.connect(sys.argv[1])\nstore.execute(sys.argv[2])\nstore.commit()";
    let call = std::process::Command::new("python3").args(["-c", script]).arg(&path).arg(change).output().unwrap();
    assert!(call.status.success(), "{change}: {}", String::from_utf8_lossy(&call.stderr));
}

/// Wherever a run is cut off, the rows are certified once, with the run that took them.
#[tokio::test]
async fn rows_of_a_run_that_was_cut_off_are_certified_with_it() {
    for number in 1..=4 {
        let company = asked().await;
        let run = ["run", "--now", company.core.now];
        let point = format!("after_commit:{number}");
        company.core.sunset_with(&run, &[("SUNSET_FAILPOINT", point.as_str())]);
        let unfinished = company.core.sunset(&["request", "certificate", "1", "--now", company.core.now]);
        assert_ne!(unfinished.code, 0, "{point}: {}", unfinished.out);
        company.run(&[]).expect(0);
        let page = certificate(&company, 0);
        let runs = company.core.evidence();
        let first = runs.events("intent")[0]["run"].as_str().unwrap_or_default().to_owned();
        assert!(page.contains(&first), "{point}: {first}: {page}");
        let served = page.lines().filter(|line| line.contains("Sunset ") && line.contains("run "));
        let rows: u64 =
            served.filter_map(|line| line.split("件 / ").next()?.rsplit(' ').next()?.parse::<u64>().ok()).sum();
        assert_eq!(rows, 4, "{point}: {page}");
    }
}

#[tokio::test]
async fn files_replace_links_and_follow_none() {
    let company = asked().await;
    company.run(&[]).expect(0);
    let (out, other) = (company.core.path("out"), company.core.path("other"));
    fs::create_dir(&out).unwrap();
    fs::write(&other, "what was there").unwrap();
    symlink(&other, out.join("certificate-1.txt")).unwrap();
    let arguments = ["request", "certificate", "1", "--out", out.to_str().unwrap(), "--now", company.core.now];
    company.core.sunset(&arguments).expect(0);
    assert_eq!(fs::read_to_string(&other).unwrap(), "what was there");
    let page = fs::read_to_string(out.join("certificate-1.html")).unwrap();
    assert!(page.contains("個人データ消去証明書") && !page.contains("taro"), "{page}");
}

#[tokio::test]
async fn what_people_say_is_one_line() {
    let company = company(Bench::new(Engine::Sqlite).await).await;
    for reference in ["R\n8. Verification", "R\u{1b}[31m", "R\u{202e}x", " "] {
        let open =
            ["request", "open", "--kind", "erasure", "--subject", "customer", "--received", "2026-11-20", "--key", "2"];
        let identified = ["--identified-by", "desk", "--identified-how", "called", "--reference", reference];
        company.core.sunset(&[&open[..], &identified].concat()).expect(2);
    }
}

/// A proof holds anywhere with the public key alone, and no longer once a letter of it is another one.
#[tokio::test]
async fn a_proof_is_checked_with_the_public_key_alone() {
    let company = asked().await;
    company.core.sunset(&["request", "proof", "1"]).expect(3);
    company.run(&[]).expect(0);
    let file = company.core.path("proof.json");
    company.core.sunset(&["request", "proof", "1", "--out", file.to_str().unwrap()]).expect(0);
    let text = fs::read_to_string(&file).unwrap();
    super::names_nobody(&company, &[&text]);
    let keys = company.core.sunset(&["keys", "list"]).expect(0).out;
    let key =
        keys.split_whitespace().find(|word| word.matches('+').count() >= 2 && word.starts_with("bench+")).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let check = |text: &str, key: &str| {
        let copy = elsewhere.path().join("copy.json");
        fs::write(&copy, text).unwrap();
        crate::support::command::sunset(
            elsewhere.path(),
            "",
            &["ledger", "verify", "--proof", copy.to_str().unwrap(), "--key", key],
        )
    };
    let held = check(&text, key);
    assert_eq!(held.code, 0, "{}{}", held.out, held.err);
    for words in [
        "request 1 of erasure is opened",
        "approved by officer@example.com",
        "1 by tickets",
        "ended: committed",
        "the proof holds",
    ] {
        assert!(held.out.contains(words), "{words}: {}", held.out);
    }
    let mut proof: serde_json::Value = serde_json::from_str(&text).unwrap();
    let entries = proof["entries"].as_array().unwrap().len();
    for at in 0..entries {
        let line = proof["entries"][at]["line"].as_str().unwrap().to_owned();
        proof["entries"][at]["line"] = line.replacen("2026", "2025", 1).into();
        let changed = check(&proof.to_string(), key);
        assert_eq!(changed.code, 4, "entry {at}: {}{}", changed.out, changed.err);
        proof["entries"][at]["line"] = line.into();
    }
    proof["request"] = 2.into();
    assert_eq!(check(&proof.to_string(), key).code, 4, "it is the proof of another request");
    let other = "bench+c2f9a5f6+AcO8qyA0nq1SoZ6Zs2Zz1v2m7hZl0o3W2B2u1Zc8oX5E";
    assert_ne!(check(&text, other).code, 0);
    assert_eq!(check("{}", key).code, 2);
}
