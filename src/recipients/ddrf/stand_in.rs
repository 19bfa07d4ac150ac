//! A stand-in of a recipient in the IAB Data Deletion Request Framework 1.0: `/dsrdelete.json`, and the endpoint that it names.
//!
//! After `Data Deletion Request Framework.md` of <https://github.com/InteractiveAdvertisingBureau/Data-Subject-Rights>. It
//! takes e-mail addresses as SHA-256 and advertising ids as text. Its keys are here for everybody to read: they sign nothing
//! that anybody may trust.
//!
//! Seed: `{"participants": {"shop.example": {…a dsrdelete.json…}}}`, whose signatures are then checked (as long as nobody is
//! known, nobody's are); `{"answer": WORD}` changes its answers: `es256` signs with the other key, `bare` answers with the token
//! alone, `unpublished` signs with a key that its document does not have, `rotate` publishes that key at the second look,
//! `other_request`, `other_issuer` and `contradiction` lie, `late` finds the first request too old, `script` wants a browser,
//! `elsewhere` names an endpoint of another domain; `{"code": 1}` answers with this result code.

use crate::recipients::stand_in::{Request, Response, StandIn, Vendor};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use ring::{rand::SystemRandom, signature};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{SystemTime, UNIX_EPOCH},
};

pub static STAND_IN: StandIn = StandIn {
    name: "ddrf",
    make: || Box::<Ddrf>::default(),
    settings: "  ddrf:\n    url: {url}\n    domain: vendor.example\n    issuer: shop.example  # the company's own domain\n    \
               private_key: \"${DDRF_KEY}\"  # a PEM: openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256\n    \
               key_id: \"1\"\n    identifiers: {email: sha256}\n",
};

const ISSUER: &str = "vendor.example";
const KEYS: &str = include_str!("stand_in/keys.json");
const RSA: &str = include_str!("stand_in/rsa.pem");
const P256: &str = include_str!("stand_in/p256.pem");

/// Seconds that a request is good for, and that clocks may differ.
const GOOD: u64 = 300;

#[derive(Default)]
struct Ddrf {
    participants: BTreeMap<String, Value>,
    answer: String,
    code: Option<u64>,
    looks: u32,
    requests: u64,
    /// Type and value.
    received: BTreeSet<(String, String)>,
}

impl Vendor for Ddrf {
    fn answer(&mut self, request: &Request) -> Response {
        const ROUTE: &str = "/delete";
        match (request.method.as_str(), request.path.as_str()) {
            ("GET", "/dsrdelete.json") => self.document(request),
            ("POST", ROUTE) => {
                self.requests += 1;
                let Some(token) = token(request) else {
                    return Response::json(ROUTE, 400, &json!({"error": "no rqJWT in the body"}));
                };
                let late = self.answer == "late" && self.requests == 1;
                let result = match self.code {
                    Some(code) => Err((code, "as asked for")),
                    None if late => Err((6, "expired")),
                    None => self.check(&token),
                };
                let code = result.err().unwrap_or((0, "received"));
                let status = if (code.0 == 0) == (self.answer == "contradiction") { 400 } else { 202 };
                let token = self.acknowledge(&token, code);
                if self.answer == "bare" {
                    let headers = vec![("content-type", "application/jwt".to_owned())];
                    return Response { status, headers, body: token.into_bytes(), route: ROUTE };
                }
                Response::json(ROUTE, status, &json!({"acJWT": token}))
            }
            (_, "/dsrdelete.json" | ROUTE) => Response::empty("(method)", 405),
            _ => Response::empty("(unknown)", 404),
        }
    }

    fn seed(&mut self, seed: &Value) {
        for (domain, document) in seed["participants"].as_object().into_iter().flatten() {
            self.participants.insert(domain.clone(), document.clone());
        }
        if let Some(answer) = seed["answer"].as_str() {
            answer.clone_into(&mut self.answer);
        }
        self.code = seed["code"].as_u64().or(self.code);
    }

    /// The framework has none.
    fn limits(&mut self, _on: bool) {}
}

impl Ddrf {
    fn document(&mut self, request: &Request) -> Response {
        self.looks += 1;
        let host = request.header("host").unwrap_or_default();
        let mut keys: Value = serde_json::from_str(KEYS).unwrap_or_default();
        if self.answer == "unpublished" || (self.answer == "rotate" && self.looks == 1) {
            keys = json!([keys[1]]);
        }
        let elsewhere = self.answer == "elsewhere";
        let endpoint = if elsewhere {
            "https://elsewhere.example/delete".to_owned()
        } else {
            format!("http://{host}/ddrf/delete")
        };
        let body = json!({
            "endpoint": endpoint,
            "identifiers": [
                {"id": 1, "type": "email", "format": "sha256"},
                {"id": 2, "type": "idfa", "format": "text"},
            ],
            "publicKey": keys,
            "vendorScriptRequirement": self.answer == "script",
        });
        Response::json("/dsrdelete.json", 200, &body)
    }

    /// The framework's result codes.
    fn check(&mut self, token: &str) -> Result<(), (u64, &'static str)> {
        let request = self.open(token)?;
        let identity = request["idJWT"].as_str().ok_or((1, "idJWT is required"))?;
        let identity = self.open(identity)?;
        let subject = &request["sub"];
        let text = |name: &str| subject[name].as_str().ok_or((1, "sub lacks a member"));
        let (value, kind, format) = (text("identifierValue")?, text("identifierType")?, text("identifierFormat")?);
        if identity["sub"]["identifierType"] != kind {
            return Err((1, "idJWT is about another identifier"));
        }
        let hexadecimal = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        match (kind, format) {
            ("email", "sha256") if value.len() == 64 && value.bytes().all(hexadecimal) => {}
            ("idfa", "text") if value.len() == 36 => {}
            ("email" | "idfa", _) => return Err((5, "Incorrect identifier format")),
            _ => return Err((4, "Unsupported identifier type")),
        }
        self.received.insert((kind.to_owned(), value.to_owned()));
        Ok(())
    }

    /// The claims of a token of a requester.
    fn open(&self, token: &str) -> Result<Value, (u64, &'static str)> {
        const NO_TOKEN: (u64, &str) = (3, "Invalid JWT Token");
        let parts: Vec<_> = token.split('.').collect();
        let [header, claims, mark] = parts[..] else { return Err(NO_TOKEN) };
        let read = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|_| NO_TOKEN);
        let json = |text: &str| serde_json::from_slice::<Value>(&read(text)?).map_err(|_| NO_TOKEN);
        let (header, claims, mark, signed) = (json(header)?, json(claims)?, read(mark)?, format!("{header}.{claims}"));
        if header["typ"] != "JWT" {
            return Err(NO_TOKEN);
        }
        let words = ["version", "jti", "iss"];
        if words.iter().any(|name| !claims[name].is_string())
            || claims["version"] != "1.0"
            || !claims["sub"].is_object()
        {
            return Err((1, "Malformed Request"));
        }
        let at = claims["iat"].as_u64().ok_or((1, "iat is required"))?;
        if at.abs_diff(seconds()) > GOOD {
            return Err((6, "Invalid Timestamp"));
        }
        if self.participants.is_empty() {
            return Ok(claims);
        }
        let document = claims["iss"].as_str().and_then(|issuer| self.participants.get(issuer));
        let keys =
            document.and_then(|document| document["publicKey"].as_array()).ok_or((2, "Nobody knows the issuer"))?;
        let key = keys.iter().find(|key| key["kid"] == header["kid"]).ok_or((2, "No such key"))?;
        let part = |name: &str| read(key[name].as_str().unwrap_or_default());
        let valid =
            match (header["alg"].as_str(), key["kty"].as_str()) {
                (Some("RS256"), Some("RSA")) => signature::RsaPublicKeyComponents { n: part("n")?, e: part("e")? }
                    .verify(&signature::RSA_PKCS1_2048_8192_SHA256, signed.as_bytes(), &mark),
                (Some("ES256"), Some("EC")) => {
                    let mut point = vec![4];
                    point.extend(part("x")?);
                    point.extend(part("y")?);
                    signature::UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, point)
                        .verify(signed.as_bytes(), &mark)
                }
                _ => return Err((2, "Invalid Signature")),
            };
        valid.map_err(|_| (2, "Invalid Signature"))?;
        Ok(claims)
    }

    fn acknowledge(&self, request: &str, (code, words): (u64, &str)) -> String {
        let request = if self.answer == "other_request" { "e30.e30.AAAA" } else { request };
        let issuer = if self.answer == "other_issuer" { "other.example" } else { ISSUER };
        let claims = json!({
            "version": "1.0",
            "rqJWT": request,
            "jti": format!("ack-{}", self.requests),
            "iss": issuer,
            "iat": seconds(),
            "raResultCode": code,
            "raResultString": words,
        });
        let es256 = self.answer == "es256";
        let header = match es256 {
            true => json!({"typ": "JWT", "alg": "ES256", "kid": "sandbox-p256"}),
            false => json!({"typ": "JWT", "alg": "RS256", "kid": "sandbox-rsa"}),
        };
        let coded = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", coded(&header), coded(&claims));
        let mark = if es256 { with_p256(signed.as_bytes()) } else { with_rsa(signed.as_bytes()) };
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mark.unwrap_or_default()))
    }
}

/// The body: the token itself, or in a JSON object. The framework leaves that open.
fn token(request: &Request) -> Option<String> {
    match request.header("content-type")? {
        "application/jwt" => String::from_utf8(request.body.clone()).ok(),
        _ => request.json()?["rqJWT"].as_str().map(str::to_owned),
    }
}

fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// What a PEM holds.
fn der(pem: &str) -> Vec<u8> {
    let lines = pem.lines().filter(|line| !line.starts_with('-'));
    STANDARD.decode(lines.collect::<String>()).unwrap_or_default()
}

fn with_rsa(text: &[u8]) -> Option<Vec<u8>> {
    let pair = signature::RsaKeyPair::from_pkcs8(&der(RSA)).ok()?;
    let mut mark = vec![0; pair.public().modulus_len()];
    pair.sign(&signature::RSA_PKCS1_SHA256, &SystemRandom::new(), text, &mut mark).ok()?;
    Some(mark)
}

fn with_p256(text: &[u8]) -> Option<Vec<u8>> {
    let random = SystemRandom::new();
    let algorithm = &signature::ECDSA_P256_SHA256_FIXED_SIGNING;
    let pair = signature::EcdsaKeyPair::from_pkcs8(algorithm, &der(P256), &random).ok()?;
    Some(pair.sign(&random, text).ok()?.as_ref().to_vec())
}
