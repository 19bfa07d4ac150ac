//! Whatever goes wrong on the way: an answer about each subject, and no word of whom it was about.

use super::{SECRET, delete_one, open, plumbing, settings, subject};
use std::time::{Duration, Instant};
use sunset::{
    recipients::{self, Answer, Recipient, State},
    sandbox::{Fault, Sandbox},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

const WHO: &str = "taro.yamada@example.co.jp";

fn crm(url: &str, more: &str) -> Box<dyn Recipient> {
    open(&yaml(url, more))
}

fn yaml(url: &str, more: &str) -> String {
    format!(
        "{{kind: http, url: \"{url}\", auth: {{header: {{name: X-Api-Key, value: \"crm_${{X}}\"}}}}, {more} delete: {{method: \
         DELETE, path: \"/v1/people/{{email}}\", gone: [404]}}}}"
    )
}

async fn ask(crm: &dyn Recipient) -> Answer {
    let answer = delete_one(crm, subject(&[("email", WHO)])).await;
    let text = format!("{answer:?}");
    assert!(!text.contains("yamada") && !text.contains(SECRET) && !text.contains("http://"), "{text}");
    answer
}

fn fault() -> Fault {
    Fault { vendor: "crm".into(), ..Fault::default() }
}

#[tokio::test]
async fn a_fault_that_passes_is_not_noticed() {
    let sandbox = Sandbox::start(0, true).await.unwrap();
    let url = sandbox.url("crm");
    let faults = [
        Fault { status: Some(500), times: Some(2), ..fault() },
        Fault { status: Some(503), headers: [("retry-after".into(), "0".into())].into(), ..fault() },
        Fault { status: Some(429), ..fault() },
        Fault { break_off: Some("before".into()), ..fault() },
        Fault {
            break_off: Some("half".into()),
            status: Some(200),
            body: "{\"a\": \"bbbbbbbbbbbbbbbbbbb\"}".into(),
            ..fault()
        },
        Fault { delay_milliseconds: 600, ..fault() },
    ];
    for fault in faults {
        let shown = format!("{fault:?}");
        sandbox.fault(fault);
        let answer = ask(&*crm(&url, "timeout: 300 ms,")).await;
        assert!(matches!(answer.state, State::Confirmed | State::Gone), "{shown}: {answer:?}");
    }
}

#[tokio::test]
async fn a_fault_that_stays_is_told() {
    let sandbox = Sandbox::start(0, true).await.unwrap();
    let url = sandbox.url("crm");
    let faults = [
        (Fault { status: Some(500), times: Some(99), ..fault() }, "HTTP 500"),
        (Fault { status: Some(429), times: Some(99), ..fault() }, "HTTP 429"),
        (Fault { break_off: Some("before".into()), times: Some(99), ..fault() }, "broke off"),
        (
            Fault {
                break_off: Some("half".into()),
                status: Some(200),
                body: "{\"a\": 1}".into(),
                times: Some(99),
                ..fault()
            },
            "broke off",
        ),
        (Fault { delay_milliseconds: 500, times: Some(99), ..fault() }, "no answer within 0.2 s"),
    ];
    for (fault, words) in faults {
        sandbox.fault(fault);
        let answer = ask(&*crm(&url, "timeout: 200 ms,")).await;
        assert!(
            matches!(&answer.state, State::Unreachable { reason, .. } if reason.contains(words)),
            "{words}: {answer:?}"
        );
        let _ = reqwest::Client::new().delete(url.replace("/crm", "/_sandbox/faults")).send().await.unwrap();
    }
    drop(sandbox);
    let answer = ask(&*crm("http://127.0.0.1:1", "")).await;
    assert!(matches!(&answer.state, State::Unreachable { reason, .. } if reason.contains("refused")), "{answer:?}");
}

#[tokio::test]
async fn a_pause_that_is_asked_for_is_kept() {
    let sandbox = Sandbox::start(0, true).await.unwrap();
    let after =
        |text: &str| Fault { status: Some(429), headers: [("retry-after".into(), text.into())].into(), ..fault() };
    sandbox.fault(after("1"));
    let crm = crm(&sandbox.url("crm"), "");
    let begin = Instant::now();
    assert_eq!(ask(&*crm).await.state, State::Confirmed);
    assert!(begin.elapsed() >= Duration::from_secs(1));
    // Longer than anybody's patience: later.
    sandbox.fault(after("3600"));
    let answer = ask(&*crm).await;
    let State::Unreachable { again_after: Some(after), .. } = answer.state else { panic!("{answer:?}") };
    assert!(after > Duration::from_secs(3500), "{after:?}");
    // The whole recipient is left alone, without another call.
    let calls = sandbox.arrivals("crm").len();
    assert!(matches!(ask(&*crm).await.state, State::Unreachable { again_after: Some(_), .. }));
    assert_eq!(sandbox.arrivals("crm").len(), calls);
}

#[tokio::test]
async fn who_does_not_answer_is_not_asked_a_thousand_times() {
    let sandbox = Sandbox::start(0, true).await.unwrap();
    sandbox.fault(Fault { status: Some(500), times: Some(100_000), ..fault() });
    let crm = crm(&sandbox.url("crm"), "at_once: 1,");
    let people: Vec<_> = (0..200).map(|n| subject(&[("email", &format!("{n}@example.com"))])).collect();
    let answers = crm.delete(&people).await;
    assert!(answers.iter().all(|answer| matches!(answer.state, State::Unreachable { .. })));
    // Five calls of four attempts each.
    assert_eq!(sandbox.arrivals("crm").len(), 20);
}

#[tokio::test]
async fn redirects_are_not_followed() {
    // Another port is another server; it would get the key.
    let other = Sandbox::start(0, true).await.unwrap();
    let sandbox = Sandbox::start(0, true).await.unwrap();
    for status in [301, 302, 303, 307, 308] {
        let headers = [("location".to_owned(), format!("{}/v1/me", other.url("crm")))].into();
        sandbox.fault(Fault { status: Some(status), headers, ..fault() });
        let answer = ask(&*crm(&sandbox.url("crm"), "")).await;
        assert!(matches!(&answer.state, State::Refused { reason } if reason.contains("redirect")), "{answer:?}");
    }
    assert_eq!(other.arrivals("crm").len(), 0);
}

#[tokio::test]
async fn an_answer_without_end_is_cut_off() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = [0; 4096];
                let _ = connection.read(&mut request).await.unwrap();
                connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\n").await.unwrap();
                while connection.write_all(&[b'x'; 65_536]).await.is_ok() {}
            });
        }
    });
    let answer = ask(&*crm(&url, "")).await;
    assert!(matches!(&answer.state, State::Unreachable { reason, .. } if reason.contains("too long")), "{answer:?}");
}

#[test]
fn what_is_shown_of_settings_and_subjects_is_no_secret() {
    let settings = settings(&yaml("http://127.0.0.1:1", ""));
    assert!(!format!("{settings:?}").contains(SECRET), "{settings:?}");
    let person = subject(&[("email", WHO)]);
    assert_eq!(format!("{person:?}"), "Subject { identifiers: [\"email\"], .. }");
    assert_eq!(person, subject(&[("email", &format!(" {WHO}\u{3000}"))]), "blanks around are no part of it");
    assert_eq!(person, subject(&[("email", WHO), ("phone", " ")]));
    assert_ne!(person.tag(), subject(&[("mail", WHO)]).tag());
    recipients::open(&settings, &plumbing()).unwrap();
}
