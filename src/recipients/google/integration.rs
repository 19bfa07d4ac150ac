//! What the tests of Google's connectors share: credentials, and a server that keeps what it is sent.

use super::{plumbing, secret_settings};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use sunset::recipients::{self, Answer, Recipient, State};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

/// The variables of a refresh token; the token's own begins as Google's do.
pub const USER: &str = "client_id: sandbox, client_secret: \"${X}\", refresh_token: \"1//${X}\"";

pub const ACCOUNT: &str = "job@project.iam.gserviceaccount.com";

const PRIVATE: &str = include_str!("keys/test-only.key.pem");

pub const PUBLIC: &str = include_str!("keys/test-only.pub.pem");

/// The text of a service account's key file.
pub fn key_file() -> String {
    json!({"type": "service_account", "client_email": ACCOUNT, "private_key_id": "key-1", "private_key": PRIVATE})
        .to_string()
}

/// The kind with these settings beside URLs, with a user's credentials.
pub fn with_user(kind: &str, url: &str, more: &str) -> Box<dyn Recipient> {
    super::open(&yaml(kind, url, more, USER))
}

/// The same with a service account.
pub fn with_account(kind: &str, url: &str, more: &str) -> Box<dyn Recipient> {
    let yaml = yaml(kind, url, more, "service_account: \"${X}\"");
    recipients::open(&secret_settings(&yaml, &key_file()), &plumbing()).unwrap()
}

pub fn yaml(kind: &str, url: &str, more: &str, credentials: &str) -> String {
    format!("{{kind: {kind}, url: \"{url}\", token_url: \"{url}/token\", {more}, {credentials}}}")
}

pub fn reason(answer: &Answer) -> &str {
    match &answer.state {
        State::Refused { reason }
        | State::NotPossible { reason }
        | State::Unreachable { reason, .. }
        | State::Forgotten { reason } => reason,
        state => panic!("{state:?}"),
    }
}

/// One request as it came: its first line, headers and body.
#[derive(Clone, Debug)]
pub struct Seen {
    pub line: String,
    pub headers: String,
    pub body: String,
}

impl Seen {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// Gives a token to everybody, answers everything else with `answer`, and keeps what it was sent.
pub async fn keeper(answer: Value) -> (String, Arc<Mutex<Vec<Seen>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let kept = seen.clone();
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let mut text = Vec::new();
            let request = loop {
                let mut part = [0; 4096];
                let read = connection.read(&mut part).await.unwrap();
                text.extend_from_slice(&part[..read]);
                let whole = String::from_utf8(text.clone()).unwrap();
                let Some((head, body)) = whole.split_once("\r\n\r\n") else { continue };
                let length = head
                    .lines()
                    .find_map(|line| line.to_lowercase().strip_prefix("content-length: ").map(str::to_owned));
                if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                    let (line, headers) = head.split_once("\r\n").unwrap();
                    break Seen { line: line.to_owned(), headers: headers.to_lowercase(), body: body.to_owned() };
                }
            };
            let body = match request.line.contains("/token") {
                true => json!({"access_token": "ya29.kept", "expires_in": 3599, "token_type": "Bearer"}),
                false => answer.clone(),
            };
            kept.lock().unwrap().push(request);
            let body = body.to_string();
            let head =
                format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n", body.len());
            connection.write_all(format!("{head}connection: close\r\n\r\n{body}").as_bytes()).await.unwrap();
        }
    });
    (url, seen)
}
