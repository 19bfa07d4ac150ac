//! A stand-in of a processor that speaks OpenDSR 2.0, and OpenCompliance 1.0 and OpenGDPR 0.1 by their routes.
//!
//! After `specification.md` and `OpenGDPR_specification.md` of <https://github.com/opengdpr/OpenDSR>. A bearer token begins
//! with `dsr_`. A request is `pending` at the first look, `in_progress` at the second, `completed` from the third on. An id
//! that is known already is an error, which the documents leave open. The keys and certificates are here for everybody to
//! read, under an authority that nobody but a rehearsal trusts.
//!
//! Seed: `{"people": ["taro@example.com"]}` are those of whom something is found (of all, as long as nobody is named);
//! `{"certificate": WORD}`: `rsa`, `expired`, `other_name`, `untrusted`, `self_signed`, or `late` (the right one at the second
//! look); `{"answer": WORD}`: `unsigned`, `bad_signature`, `other_domain`, `within` (the signature as a member of the body),
//! `legacy` (headers of OpenGDPR), `other_request`, `altered`, `no_erasure`, `elsewhere`, `twice` (a known id is accepted again);
//! `{"status": WORD}` puts all requests into this status.

use crate::recipients::stand_in::{Request, Response, StandIn, Vendor};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::{rand::SystemRandom, signature};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

pub static STAND_IN: StandIn = StandIn {
    name: "opendsr",
    make: || Box::<OpenDsr>::default(),
    settings: "  opendsr:\n    url: {url}\n    domain: opendsr.sandbox.example\n    token: \"${OPENDSR_TOKEN}\"  # dsr_ and \
         anything\n    certificate_authority: MIIBXzCCAQWgAwIBAgIUftBC7v6eUy+bbAQOLiwHDoZCdzswCgYIKoZIzj0EAwIwHDEaMBgGA1UEAwwRU2FuZGJveCBhdXRob3JpdHkwIBcNMjAwMTAxMDAwMDAwWhgPMjEyMDAxMDEwMDAwMDBaMBwxGjAYBgNVBAMMEVNhbmRib3ggYXV0aG9yaXR5MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEw/p+BCL8q/lX3+OES7o8TCx56F5eg6ccKWn8OSDhlQAgCjBBX4T5WVtJmAMkYZt2wGVpBJVw5VC1UnSnbzzn8KMjMCEwDwYDVR0TAQH/BAUwAwEB/zAOBgNVHQ8BAf8EBAMCAQYwCgYIKoZIzj0EAwIDSAAwRQIgTyvcqBQId+RPACjsxevPkdFJD+Pt2ZCBs/TNODYuyNMCIQCO+OHXStMSHHqpJDTwbtyUf6enwGyVDcVFUsT7nEc30Q==\n",
};

const DOMAIN: &str = "opendsr.sandbox.example";

const KEY: &str = include_str!("stand_in/key.pem");
const RSA_KEY: &str = include_str!("stand_in/rsa_key.pem");

const TYPES: &[&str] = &[
    "controller_customer_id",
    "android_advertising_id",
    "android_id",
    "email",
    "fire_advertising_id",
    "ios_advertising_id",
    "ios_vendor_id",
    "microsoft_advertising_id",
    "microsoft_publisher_id",
    "roku_publisher_id",
    "roku_advertising_id",
];

#[derive(Default)]
struct OpenDsr {
    people: BTreeSet<String>,
    certificate: String,
    answer: String,
    fetched: u32,
    requests: BTreeMap<String, Kept>,
}

struct Kept {
    looks: u32,
    status: Option<String>,
    found: usize,
}

impl Kept {
    fn status(&self) -> &str {
        self.status.as_deref().unwrap_or(match self.looks {
            0 | 1 => "pending",
            2 => "in_progress",
            _ => "completed",
        })
    }
}

fn error(route: &'static str, status: u16, reason: &str) -> Response {
    let body = json!({"error": {
        "code": status, "message": reason,
        "errors": [{"domain": "Validation", "reason": "IllegalArgumentException", "message": reason}],
    }});
    Response::json(route, status, &body)
}

impl Vendor for OpenDsr {
    fn answer(&mut self, request: &Request) -> Response {
        let segments = request.segments();
        let segments: Vec<_> = segments.iter().map(String::as_str).collect();
        let method = request.method.as_str();
        if (method, &segments[..]) == ("GET", &["certificate.pem"]) {
            self.fetched += 1;
            let headers = vec![("content-type", "application/x-pem-file".to_owned())];
            return Response { status: 200, headers, body: self.pem().into(), route: "/certificate.pem" };
        }
        if !request.bearer().is_some_and(|token| token.starts_with("dsr_")) {
            return error("(token)", 401, "who are you?");
        }
        match (method, &segments[..]) {
            ("GET", ["discovery"]) => self.discovery(request),
            ("POST", ["requests"]) => self.create(request, "/requests", "2.0"),
            ("POST", ["opencompliance_requests"]) => self.create(request, "/opencompliance_requests", "1.0"),
            ("POST", ["opengdpr_requests"]) => self.create(request, "/opengdpr_requests", "0.1"),
            ("GET", ["requests", id]) => self.status("/requests/{id}", id),
            ("GET", ["opencompliance_requests", id]) => self.status("/opencompliance_requests/{id}", id),
            ("GET", ["opengdpr_requests", id]) => self.status("/opengdpr_requests/{id}", id),
            ("DELETE", ["requests", id]) => self.cancel("/requests/{id}", id),
            _ => error("(unknown)", 404, "no such route"),
        }
    }

    fn seed(&mut self, seed: &Value) {
        let people = seed["people"].as_array().into_iter().flatten().filter_map(Value::as_str);
        self.people.extend(people.map(str::to_owned));
        if let Some(certificate) = seed["certificate"].as_str() {
            certificate.clone_into(&mut self.certificate);
        }
        if let Some(answer) = seed["answer"].as_str() {
            answer.clone_into(&mut self.answer);
        }
        if let Some(status) = seed["status"].as_str() {
            self.requests.values_mut().for_each(|kept| kept.status = Some(status.to_owned()));
        }
    }

    /// "All Parties MUST make best efforts to not throttle": there are none.
    fn limits(&mut self, _on: bool) {}
}

impl OpenDsr {
    fn pem(&self) -> &'static str {
        match self.certificate.as_str() {
            "rsa" => include_str!("stand_in/rsa_certificate.pem"),
            "expired" => include_str!("stand_in/expired.pem"),
            "other_name" => include_str!("stand_in/other_name.pem"),
            "untrusted" => include_str!("stand_in/untrusted.pem"),
            "self_signed" => include_str!("stand_in/self_signed.pem"),
            // A good one, of the key that is not in use any more.
            "late" if self.fetched == 1 => include_str!("stand_in/rsa_certificate.pem"),
            _ => include_str!("stand_in/certificate.pem"),
        }
    }

    fn discovery(&self, request: &Request) -> Response {
        let host = match self.answer.as_str() {
            "elsewhere" => "https://elsewhere.example".to_owned(),
            _ => format!("http://{}/opendsr", request.header("host").unwrap_or_default()),
        };
        let identity = |kind: &str, format: &str| json!({"identity_type": kind, "identity_format": format});
        let body = json!({
            "api_version": "2.0",
            "supported_identities": [
                identity("email", "raw"),
                identity("email", "sha256"),
                identity("controller_customer_id", "raw"),
                identity("ios_advertising_id", "md5"),
            ],
            "supported_subject_request_types": if self.answer == "no_erasure" { json!(["access"]) } else { json!(["erasure"]) },
            "processor_certificate": format!("{host}/certificate.pem"),
        });
        Response::json("/discovery", 200, &body)
    }

    fn create(&mut self, request: &Request, route: &'static str, version: &str) -> Response {
        let Some(body) = request.json().filter(Value::is_object) else {
            return error(route, 400, "the body is no JSON");
        };
        if let Err(reason) = check(&body, version) {
            return error(route, 400, &reason);
        }
        let id = body["subject_request_id"].as_str().unwrap_or_default().to_owned();
        if self.requests.contains_key(&id) && self.answer != "twice" {
            return error(route, 400, "subject_request_id is known already");
        }
        let identities = body["subject_identities"].as_array().into_iter().flatten();
        let found = |identity: &&Value| {
            self.people.is_empty() || identity["identity_value"].as_str().is_some_and(|text| self.people.contains(text))
        };
        let found = identities.filter(found).count();
        self.requests.entry(id.clone()).or_insert(Kept { looks: 0, status: None, found });
        let (mut sent, mut named) = (request.body.clone(), id);
        match self.answer.as_str() {
            "altered" => sent = b"{}".to_vec(),
            "other_request" => named = "a7551968-d5d6-44b2-9831-815ac9017798".to_owned(),
            _ => {}
        }
        let body = json!({
            "controller_id": "shop",
            "expected_completion_time": soon(),
            "received_time": "2026-11-22T02:30:00Z",
            "encoded_request": STANDARD.encode(sent),
            "subject_request_id": named,
        });
        self.signed(Response::json(route, 201, &body))
    }

    fn status(&mut self, route: &'static str, id: &str) -> Response {
        let Some(kept) = self.requests.get_mut(id) else { return error(route, 404, "no such request") };
        kept.looks += 1;
        let mut body = json!({
            "controller_id": "shop",
            "expected_completion_time": soon(),
            "subject_request_id": id,
            "request_status": kept.status(),
            "api_version": "2.0",
        });
        if kept.status() == "completed" {
            body["results_count"] = kept.found.into();
        }
        self.signed(Response::json(route, 200, &body))
    }

    fn cancel(&mut self, route: &'static str, id: &str) -> Response {
        let Some(kept) = self.requests.get_mut(id) else { return error(route, 404, "no such request") };
        if kept.status() != "pending" {
            return error(route, 400, "only what is pending can be cancelled");
        }
        kept.status = Some("cancelled".to_owned());
        let body = json!({"controller_id": "shop", "received_time": "2026-11-22T02:30:00Z", "subject_request_id": id});
        self.signed(Response::json(route, 202, &body))
    }

    fn signed(&self, mut response: Response) -> Response {
        let mut text = self.sign(&response.body).unwrap_or_default();
        match self.answer.as_str() {
            "unsigned" => return response,
            "bad_signature" => text = self.sign(b"something else").unwrap_or_default(),
            "within" => {
                let body = String::from_utf8_lossy(&response.body);
                let body = format!("{},\"processor_signature\":\"{text}\"}}", &body[..body.len() - 1]);
                // The signature is over the rest, as it would stand without this member.
                response.body = body.into_bytes();
                return response.header("x-opendsr-processor-domain", DOMAIN);
            }
            _ => {}
        }
        let domain = if self.answer == "other_domain" { "opendsr.other.example" } else { DOMAIN };
        match self.answer.as_str() {
            "legacy" => response.header("x-opengdpr-processor-domain", domain).header("x-opengdpr-signature", text),
            _ => response.header("x-opendsr-processor-domain", domain).header("x-opendsr-signature", text),
        }
    }

    fn sign(&self, body: &[u8]) -> Option<String> {
        let random = SystemRandom::new();
        let mark = if self.certificate == "rsa" {
            let pair = signature::RsaKeyPair::from_pkcs8(&der(RSA_KEY)).ok()?;
            let mut mark = vec![0; pair.public().modulus_len()];
            pair.sign(&signature::RSA_PKCS1_SHA256, &random, body, &mut mark).ok()?;
            mark
        } else {
            let algorithm = &signature::ECDSA_P256_SHA256_ASN1_SIGNING;
            let pair = signature::EcdsaKeyPair::from_pkcs8(algorithm, &der(KEY), &random).ok()?;
            pair.sign(&random, body).ok()?.as_ref().to_vec()
        };
        Some(STANDARD.encode(mark))
    }
}

/// What is wrong with a request, without quoting it.
fn check(body: &Value, version: &str) -> Result<(), String> {
    const KNOWN: &[&str] = &[
        "regulation",
        "subject_request_id",
        "subject_request_type",
        "submitted_time",
        "subject_identities",
        "api_version",
        "status_callback_urls",
        "extensions",
    ];
    let mut members = body.as_object().into_iter().flatten().map(|(name, _)| name.as_str());
    let old = version == "0.1";
    let known = |name: &str| KNOWN.contains(&name) || (old && name == "property_id");
    if !members.all(known) {
        return Err("an unknown field".to_owned());
    }
    match (old, body["regulation"].as_str()) {
        (true, None) | (false, Some("gdpr" | "ccpa")) => {}
        _ => return Err("regulation field is required, and unknown before 1.0".to_owned()),
    }
    let id = body["subject_request_id"].as_str().unwrap_or_default();
    let groups: Vec<_> = id.split('-').collect();
    let small = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let lengths: Vec<_> = groups.iter().map(|group| group.len()).collect();
    if lengths != [8, 4, 4, 4, 12]
        || !groups.iter().all(|group| group.bytes().all(small))
        || !groups[2].starts_with('4')
        || !groups[3].starts_with(['8', '9', 'a', 'b'])
    {
        return Err("subject_request_id must be a lowercase v4 UUID".to_owned());
    }
    if body["subject_request_type"] != "erasure" {
        return Err("subject_request_type is not supported".to_owned());
    }
    let time = body["submitted_time"].as_str().unwrap_or_default();
    if time.len() < 20 || time.parse::<jiff::Timestamp>().is_err() {
        return Err("submitted_time must be an RFC 3339 date".to_owned());
    }
    if body.get("api_version").is_some_and(|given| given != version) {
        return Err("api_version is not supported".to_owned());
    }
    let urls = body["status_callback_urls"].as_array().into_iter().flatten();
    if urls.into_iter().any(|url| !url.as_str().is_some_and(|url| url.starts_with("https://"))) {
        return Err("status_callback_urls must be https".to_owned());
    }
    let identities = body["subject_identities"].as_array().filter(|identities| !identities.is_empty());
    for identity in identities.ok_or("subject_identities field is required")? {
        let text = |name: &str| identity[name].as_str().unwrap_or_default();
        let value = text("identity_value");
        let digits = |length: usize| value.len() == length && value.bytes().all(small);
        let fits = match text("identity_format") {
            "raw" => !value.is_empty(),
            "sha1" => digits(40),
            "md5" => digits(32),
            "sha256" => digits(64),
            _ => false,
        };
        if !TYPES.contains(&text("identity_type")) || !fits || identity.as_object().is_none_or(|all| all.len() != 3) {
            return Err("an identity is not as it should be".to_owned());
        }
    }
    Ok(())
}

fn soon() -> String {
    let now = jiff::Timestamp::now().as_second();
    jiff::Timestamp::from_second(now + 60).unwrap_or_default().to_string()
}

/// What a PEM holds.
fn der(pem: &str) -> Vec<u8> {
    let lines = pem.lines().filter(|line| !line.starts_with('-'));
    STANDARD.decode(lines.collect::<String>()).unwrap_or_default()
}
