//! PayPal and Yahoo! JAPAN Ads against Prism, which nobody here wrote (npm): it answers from the document that the vendor
//! publishes of its API, and tells what in a request that document does not allow.
//!
//! What the vendor does with a request, and whether anything is gone, no document can tell. Tokens are fetched elsewhere, so a
//! server of the test's own stands before Prism, gives a token and writes down what Prism says of everything else.

use super::{open, recorder::is_whole, subject};
use crate::support::{
    npm,
    python::{Running, free_port, start},
    servers::shared_data,
};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

const VERSION: &str = "5.14.2";

/// The program; `None` where it cannot be installed.
fn prism() -> Option<PathBuf> {
    npm::install("prism", &format!("@stoplight/prism-cli@{VERSION}"))
}

/// A request as Prism saw it.
#[derive(Debug)]
struct Seen {
    request: String,
    /// What the document does not allow.
    wrong: Option<String>,
}

/// Servers that answer from documents.
struct Documents {
    url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    _running: Vec<Running>,
}

impl Documents {
    /// Each document is a file; a request goes to the one whose word its path has.
    async fn start(prism: &Path, documents: &[(&'static str, PathBuf)], token: &'static str) -> Self {
        let (mut running, mut ports) = (Vec::new(), Vec::new());
        for (word, file) in documents {
            let port = free_port();
            let mut command = Command::new(prism);
            command.args(["mock", "--errors", "--host", "127.0.0.1", "--port", &port.to_string()]).arg(file);
            running.push(start(&mut command, port).await);
            ports.push((*word, port));
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let kept = seen.clone();
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(passed_on(connection, ports.clone(), token, kept.clone()));
            }
        });
        Self { url, seen, _running: running }
    }

    /// The requests so far, each once; nothing was wrong with any.
    fn asked(&self) -> BTreeSet<String> {
        let seen = std::mem::take(&mut *self.seen.lock().unwrap());
        let wrong: Vec<_> = seen.iter().filter(|seen| seen.wrong.is_some()).collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
        seen.into_iter().map(|seen| seen.request).collect()
    }
}

/// One request: answered with a token, or by Prism.
async fn passed_on(
    mut connection: TcpStream,
    ports: Vec<(&'static str, u16)>,
    token: &'static str,
    kept: Arc<Mutex<Vec<Seen>>>,
) {
    let bytes = read(&mut connection).await;
    let text = String::from_utf8(bytes).unwrap();
    let mut words = text.split(' ');
    let (method, path) = (words.next().unwrap(), words.next().unwrap());
    if path.ends_with(token) {
        let body = r#"{"access_token":"t","token_type":"Bearer","expires_in":3600}"#;
        let head = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}", body.len());
        connection.write_all(format!("{head}\r\nconnection: close\r\n\r\n{body}").as_bytes()).await.unwrap();
        return;
    }
    let port = ports.iter().find(|(word, _)| path.contains(word)).unwrap_or_else(|| panic!("{method} {path}")).1;
    let mut inner = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let head: Vec<_> = head.lines().filter(|line| !line.to_ascii_lowercase().starts_with("connection:")).collect();
    let request = format!("{}\r\nconnection: close\r\n\r\n{body}", head.join("\r\n"));
    inner.write_all(request.as_bytes()).await.unwrap();
    let mut reply = Vec::new();
    inner.read_to_end(&mut reply).await.unwrap();
    let shown = String::from_utf8_lossy(&reply);
    // that the documents' own examples of replies are not what they allow is no fault of the request
    let is_wrong = shown.starts_with("HTTP/1.1 4") || shown.contains(r#"["request""#);
    let violations = shown.lines().find(|line| line.to_ascii_lowercase().starts_with("sl-violations:"));
    let wrong = is_wrong.then(|| violations.or(shown.lines().last()).unwrap_or_default().to_owned());
    kept.lock().unwrap().push(Seen { request: format!("{method} {path}"), wrong });
    connection.write_all(&reply).await.unwrap();
}

async fn read(connection: &mut TcpStream) -> Vec<u8> {
    let (mut bytes, mut buffer) = (Vec::new(), vec![0; 65_536]);
    while !is_whole(&bytes) {
        let read = connection.read(&mut buffer).await.unwrap();
        assert_ne!(read, 0, "half a request");
        bytes.extend_from_slice(&buffer[..read]);
    }
    bytes
}

#[tokio::test]
async fn paypals_documents_allow_every_request() {
    let (Some(vault), Some(prism)) = (shared_data("openapi/paypal_vault_payment_tokens_v3.json"), prism()) else {
        return;
    };
    let of = |name: &str| vault.with_file_name(name);
    let documents = [
        ("/v3/vault/", vault.clone()),
        ("/v1/billing/", of("paypal_billing_subscriptions_v1.json")),
        ("/v2/invoicing/", of("paypal_invoicing_v2.json")),
    ];
    let documents = Documents::start(&prism, &documents, "/v1/oauth2/token").await;
    let settings = format!("{{kind: paypal, client_id: a, client_secret: \"${{X}}\", url: \"{}\"}}", documents.url);
    let paypal = open(&settings);
    for (identifier, value, wanted) in [
        ("payment_token", "8kk8451t", "DELETE /v3/vault/payment-tokens/8kk8451t"),
        ("customer", "customer_4029352050", "GET /v3/vault/payment-tokens?customer_id=customer_4029352050"),
        ("subscription", "I-BW452GLLEP1G", "POST /v1/billing/subscriptions/I-BW452GLLEP1G/cancel"),
        ("invoice", "INV2-C82X-JNN9-Y6S5-CNXW", "DELETE /v2/invoicing/invoices/INV2-C82X-JNN9-Y6S5-CNXW"),
        ("email", "taro@example.jp", "POST /v2/invoicing/search-invoices"),
    ] {
        paypal.delete(&[subject(&[(identifier, value)])]).await;
        let asked = documents.asked();
        assert!(asked.iter().any(|request| request.starts_with(wanted)), "{identifier}: {asked:?}");
    }
    // the check can fail: nobody has a token of two letters
    let call = reqwest::Client::new().delete(format!("{}/v3/vault/payment-tokens/aa", documents.url));
    call.bearer_auth("t").send().await.unwrap();
    let seen = documents.seen.lock().unwrap();
    assert!(seen.iter().any(|seen| seen.wrong.as_ref().is_some_and(|wrong| wrong.contains("minLength"))), "{seen:?}");
}

/// The document is a part of a larger one: what it names and does not bring is put beside it.
#[tokio::test]
async fn yahoos_document_allows_every_request() {
    let (Some(route), Some(prism)) = (shared_data("openapi/yahoo_v19/Route.yaml"), prism()) else { return };
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("v19");
    let lists = route.with_file_name("audiencelist");
    fs::create_dir_all(own.join("audiencelist")).unwrap();
    fs::copy(&route, own.join("Route.yaml")).unwrap();
    for file in fs::read_dir(lists).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), own.join("audiencelist").join(file.file_name())).unwrap();
    }
    for status in ["400", "401", "403", "500", "503"] {
        let reply = format!("Response{status}:\n  description: a failure\n");
        fs::write(folder.path().join(format!("Response{status}.yaml")), reply).unwrap();
    }
    for place in [folder.path(), &own] {
        fs::write(place.join("Error.yaml"), "Error:\n  type: object\n").unwrap();
    }
    let documents = [("/AudienceListService/", own.join("Route.yaml"))];
    let documents = Documents::start(&prism, &documents, "/oauth/v1/token").await;
    let settings = format!(
        "{{kind: yahoo_japan_ads, client_id: \"${{X}}\", client_secret: \"${{X}}\", refresh_token: \"${{X}}\", account: 12345, \
         url: \"{0}\", token_url: \"{0}/oauth/v1/token\", mode: expiry, period: 90 days}}",
        documents.url
    );
    open(&settings).delete(&[subject(&[("email", "taro@example.jp")])]).await;
    assert_eq!(documents.asked(), ["POST /AudienceListService/get".to_owned()].into());
    let call = reqwest::Client::new().post(format!("{}/AudienceListService/get", documents.url));
    call.bearer_auth("t").header("content-type", "application/json").body("{}").send().await.unwrap();
    let seen = documents.seen.lock().unwrap();
    assert!(seen[0].wrong.is_some(), "no account is named: {seen:?}");
}
