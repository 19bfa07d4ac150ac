//! Deletion notices: letters, files, reminders, and what people confirm.

use super::{plumbing, secret_settings, settings, subject};
use crate::{
    ledger::{key_settings, on_both},
    support::command::{Called, sunset},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use ed25519_dalek::{Signature, VerifyingKey};
use jiff::{Timestamp, ToSpan as _, civil::Date, tz::TimeZone};
use sha2::{Digest as _, Sha256};
use std::{collections::BTreeMap, fs, path::Path, time::Duration};
use sunset::{
    evidence::{
        Grade,
        keys::{Key, KeyKind, KeySettings, Keys},
    },
    ledger::Event,
    recipients::{self, Answer, Checked, Notice, Plumbing, Poll, Recipient, Sender, State, Subject},
    sandbox::{Fault, Sandbox},
    settings::StoreSettings,
    store::{Remembered, Store, Validity},
};

const PARTIES: &str = "addressee: Example Collection Inc., sender: \"Example Shop Inc., Privacy Office\"";

/// What must stand in no answer.
const WHO: &str = "taro.yamada@example.co.jp";

async fn sandbox() -> Sandbox {
    Sandbox::start(0, true).await.unwrap()
}

fn sender(directory: &Path, keys: &KeySettings) -> Sender {
    Sender {
        job: "demo".into(),
        directory: directory.to_owned(),
        time_zone: TimeZone::get("Asia/Tokyo").unwrap(),
        signing_key: Keys::parse(keys).unwrap().signing.first().cloned(),
    }
}

fn written_by(directory: &Path, keys: &KeySettings) -> Plumbing {
    plumbing().of(sender(directory, keys))
}

fn by_mail(sandbox: &Sandbox, to: &str, secret: &str, more: &str) -> Box<dyn Recipient> {
    let port = sandbox.mail_address().port();
    let yaml = format!(
        "{{kind: notice, {PARTIES}, email: {{to: {to}, from: \"Privacy Office <privacy@shop.example>\", server: 127.0.0.1, port: \
         {port}, tls: none, user: sunset, password: \"${{X}}\"}}{more}}}"
    );
    recipients::open(&secret_settings(&yaml, secret), &written_by(Path::new("/"), &key_settings())).unwrap()
}

fn people() -> [Subject; 3] {
    [
        subject(&[("contract", "K-0042"), ("email", WHO)]),
        subject(&[("contract", "K-0043, old")]),
        subject(&[("contract", " ")]),
    ]
}

fn today() -> Date {
    Timestamp::now().to_zoned(TimeZone::get("Asia/Tokyo").unwrap()).date()
}

fn poll(answer: &Answer) -> (&Poll, &Notice) {
    let State::Accepted { poll } = &answer.state else { panic!("{answer:?}") };
    (poll, poll.notice.as_ref().unwrap())
}

fn reason(answer: &Answer) -> &str {
    let text = format!("{answer:?}");
    assert!(!text.contains("yamada") && !text.contains("collector.example") && !text.contains("smtp_"), "{text}");
    match &answer.state {
        State::Refused { reason } | State::NotPossible { reason } | State::Unreachable { reason, .. } => reason,
        state => panic!("{state:?}"),
    }
}

#[tokio::test]
async fn a_letter_says_who_what_and_until_when() {
    let sandbox = sandbox().await;
    let collector = by_mail(&sandbox, "[privacy@collector.example, dpo@collector.example]", "smtp_1", "");
    assert_eq!(collector.check().await, Ok(Checked::Proven));
    let people = people();
    let answers = collector.delete(&people).await;
    assert_eq!(reason(&answers[2]), "the row has no identifier");
    assert_eq!(answers[0], answers[1]);
    let (work, notice) = poll(&answers[0]);
    assert_eq!((answers[0].grade, answers[0].request_id.as_deref()), (Some(Grade::E4), Some("SB000001")));
    let due = today() + 30.days();
    assert_eq!(notice.due.to_zoned(TimeZone::get("Asia/Tokyo").unwrap()).date(), due);
    assert!(!notice.reminded && notice.id.starts_with(&today().strftime("%Y%m%d-").to_string()));
    assert!(
        work.again_after > Duration::from_secs(29 * 24 * 3600)
            && work.again_after <= Duration::from_secs(31 * 24 * 3600)
    );

    let [mail] = &sandbox.mail()[..] else { panic!("{:?}", sandbox.mail()) };
    assert_eq!(mail.from, "privacy@shop.example");
    assert_eq!(mail.to, ["privacy@collector.example", "dpo@collector.example"]);
    let id = &notice.id;
    for line in [
        format!("Subject: Deletion notice {id}, due {due}\r\n"),
        format!("Message-ID: <{id}.shop.sunset@shop.example>\r\n"),
        "Auto-Submitted: auto-generated\r\n".to_owned(),
        "To: privacy@collector.example, dpo@collector.example\r\n".to_owned(),
    ] {
        assert!(mail.message.contains(&line), "{line}\n{}", mail.message);
    }
    let csv = format!(
        "sunset_reference,contract,email\r\n{},K-0042,{WHO}\r\n{},\"K-0043, old\",\r\n",
        people[0].reference(),
        people[1].reference()
    );
    let parts = parts(&mail.message);
    assert_eq!(parts.len(), 3);
    let letter = &parts[0].1;
    let hash = hex::encode(Sha256::digest(&csv));
    for line in [
        "Example Collection Inc.".to_owned(),
        "Example Shop Inc., Privacy Office".to_owned(),
        "personal data of 2 persons".to_owned(),
        format!("Notice:   {id}"),
        format!("Due:      {due}"),
        format!("SHA-256:  {hash}"),
    ] {
        assert!(letter.contains(&line), "{line}\n{letter}");
    }
    assert!(!letter.contains(WHO) && !letter.contains("K-0042"));
    assert!(
        parts[1].0.contains(&format!("filename=\"{id}.csv\"")) && parts[1].0.contains("text/csv"),
        "{}",
        parts[1].0
    );
    assert_eq!(parts[1].1, csv);
    assert!(parts[2].0.contains(&format!("filename=\"{id}.note\"")) && parts[2].1.contains(&format!("sha256 {hash}")));

    // The same persons on the same day: the same notice.
    let again = collector.delete(&people).await;
    assert_eq!(self::poll(&again[0]).1, notice);
}

/// Head and text of each part, decoded.
fn parts(message: &str) -> Vec<(String, String)> {
    let (_, rest) = message.split_once("boundary=\"").unwrap();
    let boundary = format!("--{}", rest.split_once('"').unwrap().0);
    let whole = message.split(&boundary).skip(1).filter(|part| !part.starts_with("--"));
    whole
        .map(|part| {
            let (head, body) = part.split_once("\r\n\r\n").unwrap();
            let body = body.strip_suffix("\r\n").unwrap();
            let encoding = head.lines().find_map(|line| line.strip_prefix("Content-Transfer-Encoding: ")).unwrap();
            let text = match encoding {
                "7bit" => body.to_owned(),
                "base64" => String::from_utf8(BASE64_STANDARD.decode(body.replace("\r\n", "")).unwrap()).unwrap(),
                "quoted-printable" => quoted_printable(body),
                other => panic!("{other}"),
            };
            (head.to_owned(), text)
        })
        .collect()
}

fn quoted_printable(text: &str) -> String {
    let (mut bytes, text) = (Vec::new(), text.replace("=\r\n", ""));
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first == b'=' {
            bytes.push(u8::from_str_radix(std::str::from_utf8(&after[..2]).unwrap(), 16).unwrap());
            rest = &after[2..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn a_large_batch_becomes_several_notices() {
    let sandbox = sandbox().await;
    let collector = by_mail(&sandbox, "a@collector.example", "smtp_1", ", batch: 2, format: json, due: 2 weeks");
    let people: Vec<_> = (0..5).map(|number| subject(&[("reference", &format!("r-{number}"))])).collect();
    let answers = collector.delete(&people).await;
    let ids: Vec<_> = answers.iter().map(|answer| poll(answer).1.id.as_str()).collect();
    assert!(ids[0] == ids[1] && ids[1] != ids[2] && ids[2] == ids[3] && ids[3] != ids[4], "{ids:?}");
    assert_eq!(sandbox.mail().len(), 3);
    let file = &parts(&sandbox.mail()[2].message)[1].1;
    let wanted = serde_json::json!({
        "notice": ids[4], "sent": today(), "due": today() + 14.days(),
        "subjects": [{"sunset_reference": people[4].reference(), "reference": "r-4"}],
    });
    assert_eq!(serde_json::from_str::<serde_json::Value>(file).unwrap(), wanted);
}

#[tokio::test]
async fn whatever_the_mail_server_does_is_told_without_addresses() {
    let sandbox = sandbox().await;
    let fault = |verb: &str| Fault { vendor: "smtp".into(), method: Some(verb.into()), ..Fault::default() };
    let status =
        |verb, status, times| Fault { status: Some(status), times: Some(times), body: WHO.into(), ..fault(verb) };
    let ask = async |faults: &[Fault], to: &str, secret: &str| {
        faults.iter().for_each(|fault| sandbox.fault(fault.clone()));
        let answer = by_mail(&sandbox, to, secret, ", timeout: 300 ms").delete(&people()).await.remove(0);
        let url = format!("http://{}/_sandbox/faults", sandbox.address());
        reqwest::Client::new().delete(url).send().await.unwrap();
        answer
    };
    let to = "a@collector.example";
    // Those that pass.
    for passing in [
        status("CONNECT", 421, 1),
        status("MAIL", 450, 2),
        status("RCPT", 451, 1),
        status("END", 452, 1),
        Fault { break_off: Some("before".into()), ..fault("DATA") },
        Fault { delay_milliseconds: 900, ..fault("EHLO") },
    ] {
        let (before, shown) = (sandbox.mail().len(), format!("{passing:?}"));
        assert_eq!(ask(&[passing], to, "smtp_1").await.grade, Some(Grade::E4), "{shown}");
        assert_eq!(sandbox.mail().len(), before + 1, "{shown}");
    }
    // Nobody knows whether the letter was taken: it comes twice, under one id.
    let before = sandbox.mail().len();
    ask(&[Fault { break_off: Some("after".into()), ..fault("END") }], to, "smtp_1").await;
    let mails = sandbox.mail();
    let id = |mail: &str| mail.lines().find(|line| line.starts_with("Message-ID")).unwrap().to_owned();
    assert_eq!(mails.len(), before + 2);
    assert_eq!(id(&mails[before].message), id(&mails[before + 1].message));
    // Those that stay.
    for (faults, to, secret, wanted, word) in [
        (vec![], to, "wrong", "the mail server refuses the credentials (SMTP 535)", "refused"),
        (vec![], "nobody@collector.example", "smtp_1", "the mail server refuses the letter (SMTP 550)", "refused"),
        (vec![status("END", 554, 9)], to, "smtp_1", "the mail server refuses the letter (SMTP 554)", "refused"),
        (
            vec![status("RCPT", 450, 99)],
            to,
            "smtp_1",
            "the mail server takes the letter later (SMTP 450)",
            "unreachable",
        ),
        (
            vec![Fault { break_off: Some("before".into()), times: Some(99), ..fault("MAIL") }],
            to,
            "smtp_1",
            "no connection to the mail server, or it broke off",
            "unreachable",
        ),
        (
            vec![Fault { delay_milliseconds: 900, times: Some(99), ..fault("MAIL") }],
            to,
            "smtp_1",
            "the mail server gives no answer in time",
            "unreachable",
        ),
    ] {
        let answer = ask(&faults, to, secret).await;
        assert_eq!((reason(&answer), answer.state.word()), (wanted, word), "{faults:?}");
    }
    let error = by_mail(&sandbox, to, "wrong", "").check().await.unwrap_err();
    assert_eq!((error.reason.as_str(), error.temporary), ("the mail server refuses the credentials (SMTP 535)", false));
}

#[tokio::test]
async fn a_server_without_tls_gets_nothing_where_tls_is_asked_for() {
    let sandbox = sandbox().await;
    let port = sandbox.mail_address().port();
    for (tls, wanted) in [
        ("starttls", "the mail server does not offer what is needed to sign in or to send this"),
        ("implicit", "no connection to the mail server, or it broke off"),
    ] {
        let yaml = format!(
            "{{kind: notice, {PARTIES}, timeout: 300 ms, email: {{to: a@b.example, from: c@d.example, server: localhost, port: {port}, tls: {tls}}}}}"
        );
        let answer = recipients::open(&settings(&yaml), &plumbing()).unwrap().delete(&people()).await.remove(0);
        assert_eq!(reason(&answer), wanted);
    }
    assert_eq!(sandbox.calls("smtp").get("MAIL"), None);
    let yaml = format!(
        "{{kind: notice, {PARTIES}, email: {{to: a@b.example, from: c@d.example, server: smtp.example.com, tls: none}}}}"
    );
    let error = recipients::open(&settings(&yaml), &plumbing()).err().unwrap();
    assert_eq!(error.reason, "`email.tls: none` is for loopback alone");
}

#[tokio::test]
async fn whoever_is_late_is_reminded_and_nobody_else() {
    let sandbox = sandbox().await;
    let collector = by_mail(&sandbox, "a@collector.example", "smtp_1", ", remind: 1 week");
    let day = |day: Date| day.strftime("%Y%m%d").to_string();
    let id = format!("{}-0123456789", day(today() - 40.days()));
    let ticket = |due: Date| format!("{id}/{}/125", day(due));
    let tickets = [ticket(today()), ticket(today() - 1.day()), ticket(today() - 8.days()), "no ticket".to_owned()];
    let answers = collector.poll(&tickets).await;
    let hours = |answer: &Answer| poll(answer).0.again_after.as_secs() / 3600;
    assert_eq!(answers[..3].iter().map(|answer| poll(answer).1.reminded).collect::<Vec<_>>(), [false, true, true]);
    assert!(answers.iter().zip(&tickets).take(3).all(|(answer, ticket)| poll(answer).0.ticket == *ticket));
    assert!(hours(&answers[0]) < 24 && (6 * 24..7 * 24).contains(&hours(&answers[1])), "{answers:?}");
    assert_eq!(reason(&answers[3]), "the ticket is none of a notice");
    let mails = sandbox.mail();
    assert_eq!(mails.len(), 2);
    for (mail, number) in mails.iter().zip([1, 2]) {
        for line in [
            format!("Subject: Reminder {number}: deletion notice {id}, due"),
            format!("Message-ID: <{id}.reminder-{number}.shop.sunset@shop.example>\r\n"),
            format!("In-Reply-To: <{id}.shop.sunset@shop.example>\r\n"),
        ] {
            assert!(mail.message.contains(&line), "{line}\n{}", mail.message);
        }
    }
    // A reminder that does not go out changes nothing.
    let broken = by_mail(&sandbox, "nobody@collector.example", "smtp_1", "");
    let answer = broken.poll(&tickets[1..2]).await.remove(0);
    assert_eq!((hours(&answer), poll(&answer).1.reminded, &poll(&answer).0.ticket), (1, false, &tickets[1]));
}

#[tokio::test]
async fn files_are_signed_and_whole() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("out")).unwrap();
    let keys = key_settings();
    let yaml = format!("{{kind: notice, {PARTIES}, folder: out, language: ja}}");
    let collector = recipients::open(&settings(&yaml), &written_by(directory.path(), &keys)).unwrap();
    assert_eq!(collector.check().await, Ok(Checked::Proven));
    let who = [subject(&[("contract", "K-1"), ("name", "山田 太郎")]), subject(&[("contract", "=1+1")])];
    let answers = collector.delete(&who).await;
    collector.delete(&who).await;
    let id = &poll(&answers[0]).1.id;
    let mut names: Vec<_> = fs::read_dir(directory.path().join("out"))
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, [format!("{id}.csv"), format!("{id}.note"), format!("{id}.txt")]);
    let read = |extension: &str| fs::read_to_string(directory.path().join(format!("out/{id}.{extension}"))).unwrap();
    let csv = read("csv");
    let wanted = format!(
        "\u{feff}sunset_reference,contract,name\r\n{},K-1,山田 太郎\r\n{},'=1+1,\r\n",
        who[0].reference(),
        who[1].reference()
    );
    assert_eq!(csv, wanted);
    let letter = read("txt");
    let due = today() + 30.days();
    for line in [
        "Example Collection Inc. 御中".to_owned(),
        format!("通知番号: {id}"),
        format!("期限:     {due}"),
        "2 名".to_owned(),
    ] {
        assert!(letter.contains(&line), "{line}\n{letter}");
    }
    assert!(!letter.contains("山田"));

    // The signature, checked without our code: a signed note's last line is name, key's hash and Ed25519 over the text.
    let note = read("note");
    let (body, signature) = note.split_once("\n\n").unwrap();
    let body = format!("{body}\n");
    let hash = hex::encode(Sha256::digest(&csv));
    let today = today();
    assert_eq!(
        body,
        format!(
            "sunset-notice/1\njob demo\nrecipient shop\nnotice {id}\nsent {today}\ndue {due}\npersons 2\nfile {id}.csv\nsha256 {hash}\n"
        )
    );
    let encoded = signature.trim_end().strip_prefix("\u{2014} demo ").unwrap();
    let signature = BASE64_STANDARD.decode(encoded).unwrap();
    let public = Keys::parse(&keys).unwrap().signing[0].verification_key("demo").to_string();
    let public = BASE64_STANDARD.decode(public.splitn(3, '+').nth(2).unwrap()).unwrap();
    let public = VerifyingKey::from_bytes(public[1..].try_into().unwrap()).unwrap();
    public.verify_strict(body.as_bytes(), &Signature::from_slice(&signature[4..]).unwrap()).unwrap();

    // A reminder is a file, too.
    let late = format!("{id}/{}/2", (today - 1.day()).strftime("%Y%m%d"));
    assert!(poll(&collector.poll(&[late]).await[0]).1.reminded);
    assert!(read("reminder-1.txt").contains("督促"));
}

#[tokio::test]
async fn a_folder_that_cannot_be_used_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let yaml = format!("{{kind: notice, {PARTIES}, folder: nowhere}}");
    let error = recipients::open(&settings(&yaml), &plumbing()).err().unwrap();
    assert_eq!(error.reason, "the job has no signing key to sign files with");
    let unsigned = KeySettings { signing: Vec::new(), ..key_settings() };
    recipients::open(&settings(&yaml), &written_by(directory.path(), &unsigned)).err().unwrap();
    let collector = recipients::open(&settings(&yaml), &written_by(directory.path(), &key_settings())).unwrap();
    let answer = collector.delete(&people()).await.remove(0);
    assert_eq!(reason(&answer), "the folder cannot be written: entity not found");
    assert!(collector.check().await.unwrap_err().temporary);
}

#[tokio::test]
async fn a_notice_is_remembered_until_it_is_confirmed() {
    on_both(|settings| async move {
        let mut store = Store::open(&settings).await.unwrap();
        let now: Timestamp = "2026-11-22T02:30:00Z".parse().unwrap();
        let tags = ["a", "b", "c"].map(|id| subject(&[("contract", id)]).tag());
        let due = now + 240.hours();
        let answer = |reminded| {
            let notice = Notice { id: "20261122-aa".into(), due, reminded };
            Answer::noticed("20261122-aa/20261202/3", Duration::from_secs(10), notice)
        };
        let batch = |answer: &Answer, at| tags.map(|tag| Remembered::new(tag, "delete", answer, at));
        store.remember("shop", &batch(&answer(false), now)).await.unwrap();
        let later = now + 11.hours();
        assert_eq!(store.pending("shop", later).await.unwrap()[0].tags.len(), 3);
        let known = &store.remembered("shop", &tags, Validity::ALWAYS).await.unwrap()[&tags[0]];
        assert_eq!((known.notice.as_deref(), known.due_at, known.reminded_at), (Some("20261122-aa"), Some(due), None));
        assert_eq!((known.grade, known.settled_at), (Some(Grade::E4), None));
        store.remember("shop", &batch(&answer(true), later)).await.unwrap();
        // What a later answer does not know stays known.
        store.remember("shop", &batch(&answer(false), later + 1.hour())).await.unwrap();
        store.remember("shop", &batch(&Answer::unreachable("down", None), later + 2.hours())).await.unwrap();
        let [notice] = &store.notices().await.unwrap()[..] else { panic!("not one notice") };
        assert_eq!((notice.recipient.as_str(), notice.persons, notice.open), ("shop", 3, 3));
        assert_eq!((notice.sent_at, notice.due_at, notice.reminded_at), (now, due, Some(later)));
        assert_eq!(notice.confirmed_at, None);
    })
    .await;
}

struct Job {
    directory: tempfile::TempDir,
    store: StoreSettings,
    keys: KeySettings,
}

impl Job {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("rules")).unwrap();
        let keys = key_settings();
        let text = |kind: KeyKind, file: &str| {
            let key = Key::generate(kind).unwrap();
            key.write(&directory.path().join(file)).unwrap();
            key.text()
        };
        let keys = KeySettings {
            tag: vec![text(KeyKind::Tag, "tag.key")],
            signing: vec![text(KeyKind::Signing, "signing.key")],
            ..keys
        };
        let at = directory.path().display();
        let settings = format!(
            "name: demo\ntime_zone: Asia/Tokyo\ndatabases: {{core: \"sqlite:core.db\"}}\nstore: {{path: state.db}}\nkeys:\n  tag: \
             [\"${{file:{at}/tag.key}}\"]\n  signing: [\"${{file:{at}/signing.key}}\"]\nrecipients:\n  shop: {{kind: notice, {PARTIES}, folder: out}}\n"
        );
        fs::write(directory.path().join("sunset.yaml"), settings).unwrap();
        let rule = "category: a\nrules:\n  - {id: a, table: core.t, starting_point: c, retention_period: 1 year, disposition: erase, \
                    recipients: [{shop: {contract: c}}]}\n";
        fs::write(directory.path().join("rules/a.yaml"), rule).unwrap();
        let store = StoreSettings::Sqlite(directory.path().join("state.db"));
        Self { directory, store, keys }
    }

    fn call(&self, arguments: &[&str]) -> Called {
        sunset(self.directory.path(), "", arguments)
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.directory.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Sends a notice about these contracts and remembers it, as a run does.
    async fn notice(&self, contracts: &[&str], at: Timestamp) -> (Vec<Subject>, String) {
        let key = Keys::parse(&self.keys).unwrap().tag[0].clone();
        let people: Vec<_> = contracts
            .iter()
            .map(|contract| {
                let identifiers = BTreeMap::from([("contract".to_owned(), (*contract).to_owned())]);
                Subject::new("shop", identifiers, &key)
            })
            .collect();
        fs::create_dir_all(self.directory.path().join("out")).unwrap();
        let yaml = format!("{{kind: notice, {PARTIES}, folder: out}}");
        let collector = recipients::open(&settings(&yaml), &written_by(self.directory.path(), &self.keys)).unwrap();
        let answers = collector.delete(&people).await;
        let mut store = Store::open(&self.store).await.unwrap();
        let known: Vec<_> = people
            .iter()
            .zip(&answers)
            .map(|(person, answer)| Remembered::new(person.tag(), "delete", answer, at))
            .collect();
        store.remember("shop", &known).await.unwrap();
        store.close().await.unwrap();
        let id = poll(&answers[0]).1.id.clone();
        (people, id)
    }
}

#[tokio::test]
async fn a_person_records_what_was_confirmed() {
    let job = Job::new();
    assert_eq!(job.call(&["confirm", "--list"]).done(), "no notices\n");
    let (people, id) = job.notice(&["K-1", "K-2", "K-3", "K-4"], Timestamp::now()).await;
    let list = |more: &[&str]| {
        let arguments = [&["--format", "json", "confirm", "--list"], more].concat();
        serde_json::from_str::<serde_json::Value>(&job.call(&arguments).done()).unwrap()
    };
    let due = today() + 30.days();
    let on = |day: Date| day.to_string();
    for (now, standing) in [(today(), "open"), (due - 7.days(), "due"), (due, "due"), (due + 1.day(), "overdue")] {
        let listed = list(&["--now", &on(now)]);
        assert_eq!((&listed[0]["standing"], &listed[0]["due"]), (&standing.into(), &on(due).into()), "{listed}");
    }
    let shown = job.call(&["confirm", "--list", "--now", &on(due + 1.day())]).done();
    assert!(shown.contains(&id) && shown.contains("overdue"), "{shown}");
    assert_eq!(list(&["other"]), serde_json::json!([]));

    let record = |more: &[&str]| {
        let base = ["confirm", "shop", "--notice", &id, "--by", "privacy office", "--evidence", "letter 17"];
        job.call(&[&base[..], more].concat())
    };
    // By our reference as the notice had it, and by the contract alone.
    let some = job.write("some.csv", &format!("sunset_reference,contract\r\n{},K-1\r\n\r\n", people[0].reference()));
    let other = job.write("other.txt", "K-2\n");
    let wrong = job.write("wrong.txt", &format!("{}\nK-9\n{}\n", people[2].reference(), "0".repeat(32)));
    let certificate = job.write("certificate.pdf", "deleted");
    let refused = record(&["--references", &wrong]);
    assert_eq!(refused.code, 2);
    assert!(
        refused.err.contains("nobody of this notice stands in line 2, 3") && !refused.err.contains("K-9"),
        "{}",
        refused.err
    );
    let said = record(&["--references", &some, "--document", &certificate]).done();
    assert_eq!(said, format!("notice {id}: 1 person confirmed by `shop` (E3), 3 still open\n"));
    assert_eq!(record(&["--references", &some]).code, 3);
    record(&["--references", &other]).done();
    assert_eq!(list(&[])[0]["open"], 2);
    let said = record(&["--all"]).done();
    assert_eq!(said, format!("notice {id}: 2 persons confirmed by `shop` (E3), nobody is left open\n"));
    assert_eq!(record(&["--all"]).code, 3);
    assert_eq!(list(&[]), serde_json::json!([]));
    assert_eq!(list(&["--all"])[0]["standing"], "confirmed");
    for wrong in [
        &["confirm", "shop", "--notice", "20260101-00", "--by", "a", "--evidence", "b", "--all"][..],
        &["confirm", "other", "--notice", &id, "--by", "a", "--evidence", "b", "--all"],
    ] {
        let refused = job.call(wrong);
        assert!(refused.code == 3 && refused.err.contains("`sunset confirm --list` shows"), "{refused:?}");
    }
    for missing in
        [&["confirm", "shop"][..], &["confirm", "shop", "--notice", &id, "--by", " ", "--evidence", "b", "--all"]]
    {
        assert_eq!(job.call(missing).code, 2);
    }

    let mut store = Store::open_existing(&job.store).await.unwrap();
    let tags: Vec<_> = people.iter().map(Subject::tag).collect();
    let settled = store.settled("shop", &tags, Validity::ALWAYS).await.unwrap();
    assert!(settled.values().all(|known| known.state == "confirmed" && known.grade == Some(Grade::E3)));
    assert_eq!((settled.len(), store.pending("shop", Timestamp::MAX).await.unwrap().len()), (4, 0));
    let entries = store.entries_after(0, 1000).await.unwrap();
    let events = entries.iter().map(|(_, line)| sunset::ledger::Entry::parse(line).unwrap().event);
    let confirmed: Vec<_> = events.filter(|event| matches!(event, Event::NoticeConfirmed { .. })).collect();
    assert_eq!(confirmed.len(), 3);
    let mut leaf = Sha256::new();
    leaf.update([0]);
    leaf.update(people[0].tag());
    assert_eq!(
        confirmed[0],
        Event::NoticeConfirmed {
            recipient: "shop".into(),
            notice: id.clone(),
            subjects: 1,
            open: 3,
            root: hex::encode(leaf.finalize()),
            grade: "E3".into(),
            by: "privacy office".into(),
            evidence: "letter 17".into(),
            document: Some(hex::encode(Sha256::digest("deleted"))),
        }
    );
    let whole: String = entries.into_iter().map(|(_, line)| line).collect();
    assert!(!whole.contains("K-1") && !whole.contains(&people[0].reference()));
    // no run has signed it yet
    let verified = job.call(&["ledger", "verify"]);
    assert!(verified.code == 4 && verified.out.contains("unsigned"), "{}", verified.out);
}
