//! The IAB Data Deletion Request Framework against its stand-in, and its tokens against PyJWT's.

use super::{delete_one, plumbing, printed_settings, secret_settings, stand_in, subject};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use std::time::Duration;
use sunset::{
    evidence::Grade,
    recipients::{
        self, Answer, Checked, Recipient, RecipientSettings, State, Subject,
        ddrf::{
            self,
            jwt::{self, Fault as Invalid, PrivateKey},
        },
    },
    sandbox::{Fault, Sandbox},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

const RSA: &str = include_str!("keys/rsa.pem");
const P256: &str = include_str!("keys/p256.pem");
/// Tokens of PyJWT 2.15.1 by the same keys, and the keys as it writes them.
const PYJWT: &str = include_str!("keys/pyjwt.json");

const WHO: &str = "Taro.Yamada@example.co.jp";
/// `printf %s taro.yamada@example.co.jp | sha256sum`
const HASHED: &str = "ee88fe0f2c99e5f6d29bc9f6647db4253d1be8bd8c39d38dcfcf0cb82886f06e";

fn settings_at(url: &str, key: &str, more: &str) -> RecipientSettings {
    let yaml = format!(
        "{{kind: ddrf, url: \"{url}\", issuer: shop.example, domain: vendor.example, private_key: \"${{X}}\", key_id: \
         \"2026-11\", own_endpoint: \"https://shop.example/dsr/\"{more}}}"
    );
    secret_settings(&yaml, key)
}

fn settings(sandbox: &Sandbox, key: &str, more: &str) -> RecipientSettings {
    settings_at(&sandbox.url("ddrf"), key, more)
}

const EMAIL: &str = ", identifiers: {email: sha256}";

fn open(settings: &RecipientSettings) -> Box<dyn Recipient> {
    recipients::open(settings, &plumbing()).unwrap()
}

/// A stand-in that knows the company by the document that it publishes.
async fn acquainted(key: &str, more: &str) -> (Sandbox, Box<dyn Recipient>) {
    let sandbox = Sandbox::start(0, true).await.unwrap();
    let settings = settings(&sandbox, key, more);
    let document = ddrf::document([&settings]).unwrap();
    sandbox.seed("ddrf", &json!({"participants": {"shop.example": document}}));
    (sandbox, open(&settings))
}

fn person() -> Subject {
    subject(&[("email", WHO)])
}

async fn ask(ddrf: &dyn Recipient, subject: Subject) -> Answer {
    let answer = delete_one(ddrf, subject).await;
    let text = format!("{answer:?}").to_lowercase();
    for secret in ["yamada", HASHED, "http://", "private key-"] {
        assert!(!text.contains(secret), "{text}");
    }
    answer
}

fn reason(answer: &Answer) -> &str {
    match &answer.state {
        State::Refused { reason } | State::NotPossible { reason } | State::Unreachable { reason, .. } => reason,
        state => panic!("{state:?}"),
    }
}

#[test]
fn tokens_and_keys_are_those_of_pyjwt() {
    let vectors: Value = serde_json::from_str(PYJWT).unwrap();
    let keys = vectors["keys"].as_array().unwrap();
    let expected = json!({
        "version": "1.0", "rqJWT": "original_jwt_information", "jti": "6G7H8J", "iss": "vendor2.com", "iat": 1_693_459_424,
        "raResultCode": 4, "raResultString": "Unsupported identifier type: phone",
    });
    for (name, pem, published) in [("rs256", RSA, &keys[0]), ("es256", P256, &keys[1])] {
        let theirs = vectors[name].as_str().unwrap();
        assert_eq!(jwt::verify(theirs, keys), Ok(expected.clone()));
        let key = PrivateKey::read(pem, "abc123").unwrap();
        for (member, value) in published.as_object().unwrap() {
            assert_eq!(key.public()[member], *value, "{member}");
        }
        let ours = key.sign(&expected).unwrap();
        assert_eq!(jwt::verify(&ours, keys), Ok(expected.clone()));
        if name == "rs256" {
            // RS256 has one signature for a text.
            assert_eq!(ours, theirs);
        }
    }
}

/// RFC 7515, appendix A.3, with the key that is the example of the framework's document too.
#[test]
fn the_example_of_the_standard_is_valid() {
    let key = json!({
        "kty": "EC", "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    });
    let token = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb29\
                 0Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    assert_eq!(jwt::verify(token, std::slice::from_ref(&key)).unwrap()["iss"], "joe");
    let forged = token.replace("eyJpc3Mi", "eyJpc3Nj");
    assert!(matches!(jwt::verify(&forged, &[key]), Err(Invalid::Malformed | Invalid::Signature)));
}

#[test]
fn no_token_is_taken_that_its_key_did_not_sign() {
    let vectors: Value = serde_json::from_str(PYJWT).unwrap();
    let keys = vectors["keys"].as_array().unwrap();
    let token = vectors["rs256"].as_str().unwrap();
    let parts: Vec<_> = token.split('.').collect();
    let with_header =
        |header: &Value| format!("{}.{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), parts[1], parts[2]);
    let verify = |token: &str| jwt::verify(token, keys);
    assert_eq!(verify(&with_header(&json!({"alg": "none", "kid": "abc123"}))), Err(Invalid::Algorithm));
    assert_eq!(verify(&with_header(&json!({"alg": "HS256", "kid": "abc123"}))), Err(Invalid::Algorithm));
    assert_eq!(verify(&with_header(&json!({"alg": "RS256", "kid": "other"}))), Err(Invalid::UnknownKey));
    assert_eq!(verify(&with_header(&json!({"alg": "RS256", "kid": "abc123", "x": 1}))), Err(Invalid::Signature));
    assert_eq!(verify(&with_header(&json!({"alg": "RS256", "crit": ["b64"]}))), Err(Invalid::Malformed));
    // An RSA token for which only a key on P-256 is known.
    assert_eq!(jwt::verify(token, &keys[1..]), Err(Invalid::UnknownKey));
    // A key that says that it is for something else.
    let mut encrypts = keys[0].clone();
    encrypts["use"] = "enc".into();
    assert_eq!(jwt::verify(token, &[encrypts]), Err(Invalid::UnknownKey));
    for nothing in ["", ".", "a.b", "e30.e30.e30.e30", "e30.W10.AAAA", "e 30.e30.AAAA"] {
        assert_eq!(verify(nothing), Err(Invalid::Malformed), "{nothing}");
    }
    let changed = token.replace(parts[1], &URL_SAFE_NO_PAD.encode("{\"raResultCode\":0}"));
    assert_eq!(verify(&changed), Err(Invalid::Signature));
}

#[test]
fn keys_that_cannot_sign_are_named_without_showing_them() {
    for (pem, expected) in [
        ("hunter2", "no PEM"),
        ("-----BEGIN PRIVATE KEY-----\naHVudGVyMg==\n-----END PRIVATE KEY-----\n", "not an RSA key"),
        ("-----BEGIN EC PRIVATE KEY-----\naHVudGVyMg==\n-----END EC PRIVATE KEY-----\n", "PKCS #8"),
    ] {
        let error = PrivateKey::read(pem, "1").err().unwrap();
        assert!(error.contains(expected) && !error.contains("hunter2") && !error.contains("aHVud"), "{error}");
    }
}

#[tokio::test]
async fn a_receipt_is_acceptance_and_no_more() {
    for (key, body) in [(RSA, ""), (P256, ""), (P256, ", body: json")] {
        let (sandbox, ddrf) = acquainted(key, &format!("{EMAIL}{body}")).await;
        let answer = ask(&*ddrf, person()).await;
        assert_eq!((&answer.state, answer.grade), (&State::Confirmed, Some(Grade::E2)), "{answer:?}");
        assert_eq!(answer.request_id.as_deref(), Some("ack-1"));
        // The document is read once, and asking again is harmless.
        assert_eq!(ask(&*ddrf, person()).await.state, State::Confirmed);
        let calls = sandbox.calls("ddrf");
        assert_eq!((calls["GET /dsrdelete.json"], calls["POST /delete"]), (1, 2));
    }
}

#[tokio::test]
async fn each_identifier_is_a_request_of_its_own() {
    let (sandbox, ddrf) = acquainted(P256, ", identifiers: {email: sha256, idfa: text}").await;
    let both = subject(&[("email", WHO), ("idfa", "6D92078A-8246-4BA4-AE5B-76104861E7DC")]);
    let answers = ddrf.delete(&[both, person(), subject(&[])]).await;
    assert_eq!(answers[0].state, State::Confirmed);
    assert_eq!(answers[1].state, State::Confirmed);
    assert!(matches!(answers[2].state, State::NotPossible { .. }));
    assert_eq!(sandbox.calls("ddrf")["POST /delete"], 3);
    // One that is refused spoils the person's answer.
    let answer = ask(&*ddrf, subject(&[("email", WHO), ("idfa", "short")])).await;
    assert_eq!(reason(&answer), "result code 5: the identifier does not have the format that it wants");
}

/// What goes over the wire, byte by byte where it is fixed.
#[tokio::test]
async fn the_request_is_as_the_framework_writes_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let document = json!({
        "endpoint": format!("{url}/in"), "identifiers": [{"id": 1, "type": "email", "format": "sha256"}],
        "publicKey": [], "vendorScriptRequirement": false,
    });
    let answers = [document.to_string(), String::new()];
    let server = tokio::spawn(async move {
        let mut requests = Vec::new();
        for answer in answers {
            let (mut connection, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            let complete = |request: &[u8]| {
                let text = String::from_utf8_lossy(request).to_lowercase();
                let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                length.is_none_or(|length| body.len() >= length.parse::<usize>().unwrap())
            };
            while !complete(&request) {
                connection.read_buf(&mut request).await.unwrap();
            }
            let reply =
                format!("HTTP/1.1 202 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{answer}", answer.len());
            connection.write_all(reply.as_bytes()).await.unwrap();
            requests.push(String::from_utf8(request).unwrap());
        }
        requests
    });
    let answer = ask(&*open(&settings_at(&url, P256, EMAIL)), person()).await;
    assert!(reason(&answer).contains("it is no JSON Web Token"), "{answer:?}");
    let requests = server.await.unwrap();
    assert!(requests[0].starts_with("GET /dsrdelete.json HTTP/1.1\r\n"));
    let (head, token) = requests[1].split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /in HTTP/1.1\r\n") && head.contains("content-type: application/jwt\r\n"), "{head}");
    let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    assert_eq!(String::from_utf8(header).unwrap(), r#"{"alg":"ES256","kid":"2026-11","typ":"JWT"}"#);
    let key = PrivateKey::read(P256, "2026-11").unwrap().public();
    let request = jwt::verify(token, std::slice::from_ref(&key)).unwrap();
    let identity = jwt::verify(request["idJWT"].as_str().unwrap(), &[key]).unwrap();
    for token in [&request, &identity] {
        assert_eq!(token["version"], "1.0");
        assert_eq!(token["iss"], "shop.example");
        assert_eq!(
            token["sub"],
            json!({"identifierValue": HASHED, "identifierType": "email", "identifierFormat": "sha256"})
        );
        assert!(token["iat"].is_u64());
        assert_eq!(token["jti"].as_str().unwrap().len(), 32);
    }
    assert_ne!(request["jti"], identity["jti"]);
    assert_eq!(identity.as_object().unwrap().keys().collect::<Vec<_>>(), ["iat", "iss", "jti", "sub", "version"]);
    assert_eq!(request.as_object().unwrap().len(), 6);
}

#[tokio::test]
async fn every_result_code_is_told_in_words() {
    for (code, words) in [
        (1, "lacks fields"),
        (2, "own dsrdelete.json"),
        (3, "token is not valid"),
        (4, "this type"),
        (5, "format"),
        (42, "not one of the framework's"),
    ] {
        let (sandbox, ddrf) = acquainted(P256, EMAIL).await;
        sandbox.seed("ddrf", &json!({"code": code}));
        let answer = ask(&*ddrf, person()).await;
        assert!(matches!(&answer.state, State::Refused { reason } if reason.contains(words)), "{answer:?}");
        assert_eq!(answer.request_id.as_deref(), Some("ack-1"));
        assert_eq!(answer.grade, None);
    }
    // Too late is late once.
    let (sandbox, ddrf) = acquainted(P256, EMAIL).await;
    sandbox.seed("ddrf", &json!({"answer": "late"}));
    assert_eq!(ask(&*ddrf, person()).await.state, State::Confirmed);
    assert_eq!(sandbox.calls("ddrf")["POST /delete"], 2);
    sandbox.seed("ddrf", &json!({"code": 6}));
    let answer = ask(&*ddrf, person()).await;
    assert!(matches!(&answer.state, State::Unreachable { reason, .. } if reason.contains("clock")), "{answer:?}");
    assert_eq!(sandbox.calls("ddrf")["POST /delete"], 4);
}

#[tokio::test]
async fn a_key_that_nobody_published_is_refused() {
    let sandbox = Sandbox::start(0, true).await.unwrap();
    let known = ddrf::document([&settings(&sandbox, RSA, EMAIL)]).unwrap();
    sandbox.seed("ddrf", &json!({"participants": {"shop.example": known}}));
    let answer = ask(&*open(&settings(&sandbox, P256, EMAIL)), person()).await;
    assert!(reason(&answer).starts_with("result code 2"), "{answer:?}");
}

#[tokio::test]
async fn acknowledgements_are_verified() {
    for (word, expected) in [
        ("unpublished", "the key that it names is not published"),
        ("other_request", "not about the request"),
        ("other_issuer", "another issuer"),
        ("contradiction", "contradict each other"),
    ] {
        let (sandbox, ddrf) = acquainted(P256, EMAIL).await;
        sandbox.seed("ddrf", &json!({"answer": word}));
        let answer = ask(&*ddrf, person()).await;
        assert!(matches!(&answer.state, State::Unreachable { reason, .. } if reason.contains(expected)), "{answer:?}");
        assert_eq!(answer.grade, None);
    }
    for word in ["es256", "bare", "rotate"] {
        let (sandbox, ddrf) = acquainted(P256, EMAIL).await;
        sandbox.seed("ddrf", &json!({"answer": word}));
        // The document is read here; a key that it lacks may be in it later.
        ddrf.check().await.unwrap();
        assert_eq!(ask(&*ddrf, person()).await.state, State::Confirmed, "{word}");
        let looks = sandbox.calls("ddrf")["GET /dsrdelete.json"];
        assert_eq!(looks, if word == "rotate" { 2 } else { 1 }, "{word}");
    }
}

#[tokio::test]
async fn what_the_document_does_not_take_is_not_sent() {
    for (word, identifiers, expected) in [
        ("script", "{email: sha256}", "script"),
        ("", "{email: sha1}", "does not take `email` as `sha1`"),
        ("", "{phone: sha256}", "does not take `phone`"),
        ("elsewhere", "{email: sha256}", "outside its domain"),
    ] {
        let (sandbox, ddrf) = acquainted(P256, &format!(", identifiers: {identifiers}")).await;
        sandbox.seed("ddrf", &json!({"answer": word}));
        let answer = ask(&*ddrf, subject(&[("email", WHO), ("phone", "+81312345678")])).await;
        assert!(matches!(answer.state, State::Refused { .. } | State::NotPossible { .. }), "{answer:?}");
        assert!(reason(&answer).contains(expected), "{answer:?}");
        assert!(!sandbox.calls("ddrf").contains_key("POST /delete"));
        let error = ddrf.check().await.unwrap_err();
        assert!(error.reason.contains(expected) && !error.temporary, "{error}");
    }
    let (_sandbox, ddrf) = acquainted(P256, EMAIL).await;
    let checked = ddrf.check().await.unwrap();
    assert!(matches!(checked, Checked::Unproven { reason } if reason.contains("takes what would be sent")));
}

#[tokio::test]
async fn faults_on_the_way() {
    let fault = || Fault { vendor: "ddrf".into(), ..Fault::default() };
    // What passes.
    for fault in [
        Fault { status: Some(500), ..fault() },
        Fault { status: Some(429), headers: [("retry-after".into(), "0".into())].into(), ..fault() },
        Fault { status: Some(429), path: "/delete".into(), ..fault() },
        Fault { status: Some(503), path: "/delete".into(), times: Some(2), ..fault() },
        Fault { break_off: Some("before".into()), path: "/delete".into(), ..fault() },
        Fault { break_off: Some("half".into()), path: "/delete".into(), ..fault() },
        Fault { break_off: Some("after".into()), path: "/delete".into(), ..fault() },
    ] {
        let shown = format!("{fault:?}");
        let (sandbox, ddrf) = acquainted(P256, EMAIL).await;
        sandbox.fault(fault);
        assert_eq!(ask(&*ddrf, person()).await.state, State::Confirmed, "{shown}");
    }
    // What stays. The words: what is known, and nothing more.
    let get = |status, body: &str| Fault { status: Some(status), body: body.into(), times: Some(9), ..fault() };
    let post = |status, body: &str| Fault { path: "/delete".into(), ..get(status, body) };
    for (fault, refused, expected) in [
        (get(404, ""), false, "instead of a dsrdelete.json"),
        (get(200, "<html>"), false, "HTTP 200 with a page"),
        (get(200, "{\"endpoint\": \"x\"}"), false, "dsrdelete.json is none"),
        (get(500, ""), false, "HTTP 500 to read dsrdelete.json"),
        (post(500, ""), false, "HTTP 500 to ask for deletion"),
        (post(429, ""), false, "HTTP 429"),
        (post(202, ""), false, "no JSON Web Token"),
        (post(202, "{\"acJWT\": "), false, "no JSON Web Token"),
        (post(202, "{\"status\": \"ok\"}"), false, "no JSON Web Token"),
        (post(400, "taro.yamada@example.co.jp is unknown"), true, "HTTP 400 without an acknowledgement"),
        (post(401, ""), true, "HTTP 401"),
        (post(302, ""), true, "leads elsewhere"),
    ] {
        let shown = format!("{fault:?}");
        let (sandbox, ddrf) = acquainted(P256, EMAIL).await;
        sandbox.fault(fault);
        let answer = ask(&*ddrf, person()).await;
        assert!(reason(&answer).contains(expected), "{shown}: {answer:?}");
        assert_eq!(matches!(answer.state, State::Refused { .. }), refused, "{shown}: {answer:?}");
    }
    let (sandbox, ddrf) = acquainted(P256, EMAIL).await;
    sandbox.fault(Fault { headers: [("retry-after".into(), "3600".into())].into(), ..post(429, "") });
    let answer = ask(&*ddrf, person()).await;
    let State::Unreachable { again_after: Some(after), .. } = answer.state else { panic!("{answer:?}") };
    assert!(after > Duration::from_secs(3500));
}

/// As `sunset sandbox` prints them.
#[tokio::test]
async fn the_settings_of_the_rehearsal_work() {
    let sandbox = Sandbox::start(0, true).await.unwrap();
    let printed = stand_in("ddrf").settings.replace("{url}", &sandbox.url("ddrf"));
    let ddrf = recipients::open(&printed_settings(&printed, "ddrf", P256), &plumbing()).unwrap();
    assert_eq!(ask(&*ddrf, person()).await.state, State::Confirmed);
}

#[test]
fn the_own_document_is_what_the_framework_asks_for() {
    let one = settings_at("https://vendor.example", P256, EMAIL);
    let document = ddrf::document([&one, &one]).unwrap();
    let vectors: Value = serde_json::from_str(PYJWT).unwrap();
    let mut key = vectors["keys"][1].clone();
    key["kid"] = "2026-11".into();
    key["alg"] = "ES256".into();
    assert_eq!(
        document,
        json!({
            "endpoint": "https://shop.example/dsr/",
            "identifiers": [{"id": 1, "type": "email", "format": "sha256"}],
            "publicKey": [key],
            "vendorScriptRequirement": false,
        })
    );
    assert!(!document.to_string().contains("\"d\""));
    let other_key = settings_at("https://other.example", RSA, EMAIL);
    assert!(ddrf::document([&one, &other_key]).unwrap_err().contains("same `key_id`"));
    assert!(ddrf::document([]).unwrap_err().contains("no recipient of kind `ddrf`"));
}

const RULE: &str = "category: a\nrules:\n  - {id: a, table: core.t, starting_point: c, retention_period: 1 year, disposition: \
                    erase, recipients: [{ddrf: {email: e}}]}\n";

#[test]
fn the_command_prints_the_document_and_no_private_key() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("rules")).unwrap();
    std::fs::write(directory.path().join("key.pem"), P256).unwrap();
    std::fs::write(directory.path().join("rules/a.yaml"), RULE).unwrap();
    let yaml = "name: demo\ntime_zone: UTC\ndatabases: {core: \"sqlite:x\"}\nrecipients: {ddrf: {url: \"https://vendor.example\", issuer: \
                shop.example, private_key: \"${file:key.pem}\", key_id: \"2026-11\", identifiers: {email: sha256}";
    let print = |more: &str| {
        std::fs::write(directory.path().join("sunset.yaml"), format!("{yaml}{more}}}}}\n")).unwrap();
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_sunset"));
        command.arg("dsrdelete").arg("--jobs").arg(directory.path()).output().unwrap()
    };
    let output = print(", own_endpoint: \"https://shop.example/dsr/\"");
    let text = String::from_utf8_lossy(&output.stdout);
    let printed: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{output:?}"));
    let expected = ddrf::document([&settings_at("https://vendor.example", P256, EMAIL)]).unwrap();
    assert_eq!(printed, expected);
    assert!(!text.contains("PRIVATE"));
    let output = print("");
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("own_endpoint"), "{output:?}");
}
