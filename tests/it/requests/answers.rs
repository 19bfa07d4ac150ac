//! What people are told: deadlines, mistakes, letters, files of a disclosure.

use super::{RULES, approve, company, open, try_to_open};
use crate::{
    subjects::{Company, SUBJECTS},
    support::bench::Bench,
};
use jiff::ToSpan as _;
use std::{fs, os::unix::fs::PermissionsExt as _};
use sunset::catalog::Engine;

async fn of_sqlite() -> Company {
    company(Bench::new(Engine::Sqlite).await).await
}

const FROM: &str = "requests:\n  from: {en: \"Example K.K., privacy desk\", ja: \"株式会社Example お問い合わせ窓口\"}\n  backups: 35 days\n";

#[tokio::test]
async fn whoever_is_not_one_person_is_refused() {
    let company = of_sqlite().await;
    company.core.script("insert into customers (id, email) values (4, ' HANAKO@example.com')").await;
    for (who, why) in [
        (&["--find", "email=hanako@example.com"][..], "2 rows of main.customers are meant"),
        (&["--find", "email=nobody@example.com"], "no row of main.customers are meant"),
        (
            &["--find", "phone= ０９０ 1234 5678", "--find", "email=hanako@example.com"],
            "no row of main.customers are meant",
        ),
        (&["--key", "99"], "no row of main.customers are meant"),
        (&["--find", "mail=hanako@example.com"], "no identifier `mail`"),
    ] {
        let call = try_to_open(&company, "erasure", who).expect(2);
        assert!(call.err.contains(why), "{who:?}: {}", call.err);
        assert!(!call.err.contains("@example.com"), "{}", call.err);
    }
    open(&company, "erasure", &["--find", "phone=+81 90 1234 5678"]);
    let twice = try_to_open(&company, "erasure", &["--key", "1"]).expect(3);
    assert!(twice.err.contains("request 1 (2026-D-17) of this person is open already"), "{}", twice.err);
    open(&company, "disclosure", &["--key", "1"]);
    let unapproved = company.core.sunset(&["request", "run", "1", "--now", company.core.now]).expect(3);
    assert!(unapproved.err.contains("nobody has approved request 1"), "{}", unapproved.err);
}

#[tokio::test]
async fn many_are_opened_together_or_not_at_all() {
    let company = of_sqlite().await;
    let file = company.core.path("requests.csv");
    let head = "kind,subject,received,reference,identified_by,identified_how,email,phone\n";
    let write = |lines: &str| fs::write(&file, format!("\u{feff}{head}{lines}")).unwrap();
    let call = || {
        let arguments = ["request", "open", "--file", file.to_str().unwrap(), "--now", company.core.now];
        company.core.sunset(&arguments)
    };
    write(
        "erasure,customer,2026-11-20,A-1,desk,called,hanako@example.com,\n\
         erase,customer,2026-11-20,A-2,desk,called,hanako@example.com,\n\
         erasure,customer,2026-13-20,A-3,desk,called,hanako@example.com,\n\
         erasure,customer,2026-11-20,A-4,desk,called,,\n\
         erasure,customer,2026-11-20,A-5,desk,called,nobody@example.com,\n\
         erasure,visitor,2026-11-20,A-6,desk,called,nobody@example.com,\n\
         erasure,customer,2027-11-20,A-7,desk,called,hanako@example.com,\n\
         erasure,customer\n",
    );
    insta::assert_snapshot!(
        "mistakes_of_a_file",
        call().expect(2).err.replace(&file.display().to_string(), "requests.csv")
    );
    assert_eq!(company.core.sunset(&["request", "list"]).expect(0).out, "no requests\n");
    write(
        "erasure,customer,2026-11-20,A-1,desk,called,hanako@example.com,\n\
         cease,customer,2026-11-20,\"A-2, second\",desk,called,,090-1234-5678\n",
    );
    assert_eq!(call().expect(0).out, "1\n2\n");
    call().expect(3);
}

#[tokio::test]
async fn deadlines_are_told_of() {
    let company = of_sqlite().await;
    open(&company, "erasure", &["--key", "2"]);
    let status = |now: &str, code: i32| company.core.sunset(&["status", "--now", now]).expect(code).out;
    assert!(status("2026-11-22", 0).contains("1 requests of persons are open"));
    assert!(status("2026-12-05", 0).contains("request 1 is to be answered soon"));
    assert!(status("2026-12-21", 4).contains("request 1 is past its deadline"));
    company.core.sunset(&["request", "list", "--now", "2026-12-21"]).expect(4);
    let run = company.core.sunset(&["run", "--now", "2026-12-21"]).expect(4);
    assert!(
        run.out.contains("request 1 (2026-D-17): this run did nothing for it; it was to be answered by 2026-12-20"),
        "{}",
        run.out
    );
    let withdraw = ["request", "close", "1", "--outcome", "withdrawn", "--by", "officer", "--reason", "by phone"];
    company.core.sunset(&withdraw).expect(0);
    company.core.sunset(&["run", "--now", "2026-12-21"]).expect(0);
    status("2026-12-21", 0);
}

#[tokio::test]
async fn letters_say_what_was_done_and_what_stays() {
    let company = of_sqlite().await;
    company.settings(&format!("{SUBJECTS}{FROM}"));
    let rules = RULES.replace(
        "dependents: {core.contracts: erase, core.plans: keep}",
        "dependents: {core.contracts: keep, core.plans: keep}",
    );
    company
        .core
        .script("alter table contracts add column ended_on date; update contracts set ended_on = '2026-03-31'")
        .await;
    company.core.rules(&format!(
        "{rules}
- {{id: contracts, table: core.contracts, starting_point: ended_on, retention_period: 10 years, disposition: erase,
   on_request: {{act: when_due, reason: {{en: Books are kept for ten years, ja: 会計帳簿は10年間保存します}}}}}}
"
    ));
    let id = open(&company, "erasure", &["--key", "2"]);
    let letter = |language: &str| {
        let arguments = ["request", "letter", &id, "--language", language, "--now", company.core.now];
        company.core.sunset(&arguments).expect(0).out
    };
    insta::assert_snapshot!("receipt", letter("en") + "\n" + &letter("ja"));
    let plan = company.core.sunset(&["request", "plan", &id, "--now", company.core.now]).expect(0).out;
    insta::assert_snapshot!("plan", super::plain(&company, &plan));
    approve(&company, &id);
    company.core.sunset(&["request", "run", &id, "--now", company.core.now]).expect(0);
    // the day of the work is the day on which the test runs
    let today = jiff::Zoned::now().in_tz("Asia/Tokyo").unwrap().date();
    let without_day = |text: String| {
        let (en, ja) = (today.strftime("%-d %B %Y").to_string(), today.strftime("%Y年%-m月%-d日").to_string());
        let text = text.replace(&en, "TODAY").replace(&ja, "TODAY");
        let last = today.checked_add(35.days()).unwrap();
        let (en, ja) = (last.strftime("%-d %B %Y").to_string(), last.strftime("%Y年%-m月%-d日").to_string());
        text.replace(&en, "BACKUPS").replace(&ja, "BACKUPS")
    };
    insta::assert_snapshot!("answer", without_day(letter("en") + "\n" + &letter("ja")));
    let out = company.core.path("letters");
    let arguments = ["request", "letter", &id, "--out", out.to_str().unwrap(), "--now", company.core.now];
    company.core.sunset(&arguments).expect(0);
    let page = fs::read_to_string(out.join("request-1-ja.html")).unwrap();
    assert!(page.contains("<li>") && page.contains("会計帳簿は10年間保存します"), "{page}");
    for banned in ["完全に", "一切", "復元不可能", "すべて"] {
        assert!(!page.contains(banned), "{banned}");
    }
    // whoever answers has to be known
    company.settings(SUBJECTS);
    company.core.sunset(&["request", "letter", &id, "--now", company.core.now]).expect(2);
}

#[tokio::test]
async fn a_disclosure_has_everything_of_one_person() {
    let company = of_sqlite().await;
    company.settings(&format!("{SUBJECTS}{FROM}  withheld: [core.customers.member_hash]\n"));
    let id = open(&company, "disclosure", &["--key", "1"]);
    let out = company.core.path("files");
    let disclose =
        ["request", "disclose", &id, "--out", out.to_str().unwrap(), "--language", "en", "--now", company.core.now];
    company.core.sunset(&disclose).expect(3);
    approve(&company, &id);
    let call = company.core.sunset(&disclose).expect(0);
    let names: Vec<_> = fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(names.len(), 8 + 1, "{names:?}");
    for path in &names {
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let json: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(out.join("disclosure.json")).unwrap()).unwrap();
    let rows: Vec<_> =
        json["tables"].as_array().unwrap().iter().map(|table| table["rows"].as_array().unwrap().len()).collect();
    assert_eq!(rows.iter().sum::<usize>(), 1 + 2 + 2 + 2 + 3 + 2, "{json:#}");
    let all: String = names.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    for canary in ["Taro.Yamada@Example.com", "090-1234-5678", "ｔａｒｏ.Yamada＠example.com", "C-001"] {
        assert!(all.contains(canary), "{canary}");
    }
    for other in ["hanako", "C-002", "bb22", "aa11\",\"C"] {
        assert!(!all.contains(other), "{other}");
    }
    let entries = company.core.sunset(&["ledger", "export"]).expect(0).out + &call.err;
    assert!(entries.contains("request_disclosed") && !entries.to_lowercase().contains("taro"), "{entries}");
    company.core.evidence();
    company.core.sunset(&disclose).expect(2);
}

/// Somebody else has the key of the person who asked: nothing of theirs is shown or planned.
#[tokio::test]
async fn whoever_gets_the_key_is_somebody_else() {
    let company = of_sqlite().await;
    let id = open(&company, "disclosure", &["--key", "2"]);
    approve(&company, &id);
    let erasure = open(&company, "erasure", &["--key", "2"]);
    company.core.script("update customers set email = 'saburo@example.com', customer_no = 'C-9' where id = 2").await;
    let out = company.core.path("files");
    let disclose = ["request", "disclose", &id, "--out", out.to_str().unwrap(), "--now", company.core.now];
    let refused = company.core.sunset(&disclose).expect(75);
    assert!(refused.err.contains("somebody else has its key now"), "{}", refused.err);
    assert!(!out.exists());
    let plan = company.core.sunset(&["request", "plan", &erasure, "--now", company.core.now]).expect(0).out;
    assert!(plan.contains("somebody else has its key now") && plan.contains("now:\n  nothing"), "{plan}");
    company.core.sunset(&["request", "approve", &erasure, "--by", "officer", "--now", company.core.now]).expect(3);
}

#[tokio::test]
async fn rules_that_cannot_answer_are_refused() {
    let company = of_sqlite().await;
    let rules = "
- {id: profiles, table: web.marketing_profiles, starting_point: seen_on, retention_period: 2 years, disposition: erase,
   on_request: {act: when_due, where: {id: 1}, kinds: [cease]}}
- {id: tickets, table: helpdesk.tickets, starting_point: closed_on, retention_period: 3 years, disposition: anonymize,
   columns: {requester_email: suppress}, k_anonymity: {quasi_identifiers: [closed_on], k: 5}, on_request: now}
";
    company.core.rules(rules);
    let call = company.core.sunset(&["validate", "--offline"]).expect(2);
    insta::assert_snapshot!("refused_rules", call.err + &call.out);
}
