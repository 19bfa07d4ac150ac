//! A recipient that repeats in its answers what it was sent, in every form: nothing of it is printed or kept.

use crate::support::bench::Bench;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use sha2::{Digest as _, Sha256};
use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};
use sunset::catalog::Engine;

/// What a recipient may make of a text.
const FORMS: [fn(&str) -> String; 9] = [
    str::to_owned,
    str::to_uppercase,
    |text| text.bytes().map(|byte| format!("%{byte:02x}")).collect(),
    |text| text.chars().map(|c| format!("\\u{:04x}", u32::from(c))).collect(),
    |text| BASE64_STANDARD.encode(text),
    |text| BASE64_STANDARD.encode(format!("id={text}")),
    |text| hex::encode(text),
    |text| hex::encode(Sha256::digest(text)),
    |text| hex::encode_upper(Sha256::digest(text)),
];

/// Answers each call with a name for it that is the person, or the key of the call, in the next form.
fn answer(stream: TcpStream, number: usize, said: &Mutex<BTreeSet<String>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut first, mut token, mut length) = (String::new(), String::new(), 0);
    reader.read_line(&mut first)?;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim().split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "authorization" => value.trim_start_matches("Bearer ").clone_into(&mut token),
            "content-length" => length = value.parse().unwrap(),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let person = first.split(' ').nth(1).unwrap().rsplit('/').next().unwrap().replace("%40", "@");
    let text = if number.is_multiple_of(2) { &person } else { &token };
    let form = FORMS[number / 2 % FORMS.len()](text);
    said.lock().unwrap().insert(form.clone());
    let status = ["200 OK", "400 Bad Request", "200 OK"][number % 3];
    let reply = format!("{{\"ticket\": \"{form}\"}}").replace('\\', "\\\\");
    let mut stream = stream;
    write!(
        stream,
        "HTTP/1.1 {status}\r\nx-request-id: {form}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: \
         close\r\n\r\n{reply}",
        reply.len()
    )
}

/// What was repeated, as it was.
fn repeating() -> (String, Arc<Mutex<BTreeSet<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let said = Arc::new(Mutex::new(BTreeSet::new()));
    let all = Arc::clone(&said);
    thread::spawn(move || {
        for (number, stream) in listener.incoming().flatten().enumerate() {
            let _ = answer(stream, number, &all);
        }
    });
    (url, said)
}

#[tokio::test]
async fn what_a_recipient_repeats_is_neither_printed_nor_kept() {
    for ticket in ["", ", ticket: /ticket"] {
        let bench = Bench::new(Engine::Sqlite).await;
        let (url, said) = repeating();
        fs::write(bench.path("crm_key"), "sk_live_zzqcanarykey").unwrap();
        let poll = if ticket.is_empty() {
            ""
        } else {
            ", poll: {path: \"/v1/jobs/{ticket}\", done: {pointer: /state, is: [done]}, every: 1 h}"
        };
        bench.settings(&format!(
            "time_zone: Asia/Tokyo\nrecipients:\n  crm: {{kind: http, url: \"{url}\", auth: {{bearer: \"${{file:crm_key}}\"}}, \
             delete: {{method: DELETE, path: \"/v1/people/{{email}}\", request_id: x-request-id{ticket}}}{poll}}}"
        ));
        let people: Vec<_> =
            (0..36).map(|id| format!("({id}, '2001-01-01', 'zzq.person{id}@secret.example')")).collect();
        bench.script("create table members (id {int} primary key, left_on {date}, email {text})").await;
        bench.script(&format!("insert into members values {}", people.join(", "))).await;
        bench.rules(
            "- {id: members, table: core.members, starting_point: left_on, retention_period: 5 years, disposition: erase,
   recipients: [crm: {email: email, require: E2}]}",
        );
        let mut written = Vec::new();
        for arguments in [
            &["run", "--now", bench.now][..],
            &["run", "--now", bench.now, "--format", "json"],
            &["status"],
            &["status", "--format", "json"],
            &["ledger", "export"],
            &["plan", "--now", bench.now, "--check-recipients"],
        ] {
            let call =
                bench.sunset_with(&[arguments, &["-vv"]].concat(), &[("SUNSET_LOG", "trace,hyper::proto=trace")]);
            assert!([0, 4, 75].contains(&call.code), "{call:?}");
            written.extend([call.out.into_bytes(), call.err.into_bytes()]);
        }
        for entry in fs::read_dir(bench.path("state")).unwrap() {
            written.push(fs::read(entry.unwrap().path()).unwrap());
        }
        let said = said.lock().unwrap();
        assert!(said.len() >= 18, "{}", said.len());
        let redacted = b"[redacted]";
        assert!(written.iter().any(|bytes| bytes.windows(redacted.len()).any(|window| window == redacted)));
        for bytes in &written {
            let text = String::from_utf8_lossy(bytes).to_lowercase();
            for form in said.iter().map(String::as_str).chain(["zzq.person", "zzqcanary"]) {
                let found = text.find(&form.to_lowercase());
                let around = |at: usize| {
                    text[..at].chars().rev().take(150).collect::<String>().chars().rev().collect::<String>()
                };
                assert_eq!(found.map(around), None, "{form}");
            }
        }
    }
}
