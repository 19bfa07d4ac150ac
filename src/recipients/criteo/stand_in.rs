//! A stand-in of Criteo's Marketing Solutions API: tokens, and the contact lists of audience segments.
//!
//! After criteo-api-marketingsolutions-sdk 2027.1.0 and <https://developers.criteo.com/marketing-solutions/docs/contact-list>. Any client
//! id and a secret `criteo_…` get a token for 15 minutes.
//!
//! Seed: `{"segments": {"123456": ["<identifier>", …]}, "removed_segments": ["123456"], "expire_tokens": true, "samples": 0}`; so
//! many invalid identifiers are named in an answer (100 by default). `GET …/contact-list/statistics` tells how many identifiers
//! are left.

use crate::recipients::stand_in::{Request, Response, StandIn, Vendor, Window};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

pub static STAND_IN: StandIn = StandIn {
    name: "criteo",
    make: || Box::new(Criteo::new()),
    settings: "  criteo:\n    url: {url}\n    audience: \"123456\"\n    client_id: sandbox\n    client_secret: \
               \"${CRITEO_SECRET}\"  # criteo_ and anything\n",
};

const LASTS: Duration = Duration::from_secs(15 * 60);
const MOST: usize = 50_000;
const MINUTE: Duration = Duration::from_secs(60);
const TOKEN: &str = "/oauth2/token";
const LIST: &str = "/2027-01/marketing-solutions/audience-segments/{audience-segment-id}/contact-list";
const STATISTICS: &str = "/2027-01/marketing-solutions/audience-segments/{audience-segment-id}/contact-list/statistics";

struct Criteo {
    segments: BTreeMap<String, BTreeSet<String>>,
    tokens: BTreeMap<String, Instant>,
    issued: u64,
    samples: usize,
    window: Option<Window>,
    requests: u64,
}

impl Criteo {
    fn new() -> Self {
        Self {
            segments: [("123456".to_owned(), BTreeSet::new())].into(),
            tokens: BTreeMap::new(),
            issued: 0,
            samples: 100,
            window: Some(Window::new(250, MINUTE)),
            requests: 0,
        }
    }
}

impl Vendor for Criteo {
    fn answer(&mut self, request: &Request) -> Response {
        self.requests += 1;
        let segments = request.segments();
        let segments: Vec<_> = segments.iter().map(String::as_str).collect();
        if let ("POST", ["oauth2", "token"]) = (request.method.as_str(), &segments[..]) {
            return self.token(request);
        }
        let until = request.bearer().and_then(|token| self.tokens.get(token));
        if until.is_none_or(|until| request.at >= *until) {
            return self.error("(token)", 401, "authorization", "authorization-token-invalid");
        }
        if let Some(window) = &mut self.window
            && window.is_over("", request.at)
        {
            let reset = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()) + 60;
            let response = self.error("(limit)", 429, "quota", "too-many-requests");
            return response
                .header("x-ratelimit-limit", "250")
                .header("x-ratelimit-remaining", "0")
                .header("x-ratelimit-reset", reset.to_string());
        }
        match (request.method.as_str(), &segments[..]) {
            ("PATCH", ["2027-01", "marketing-solutions", "audience-segments", id, "contact-list"]) => {
                self.amend(request, id)
            }
            ("GET", ["2027-01", "marketing-solutions", "audience-segments", id, "contact-list", "statistics"]) => {
                match self.segments.get(*id) {
                    Some(list) => Response::json(
                        STATISTICS,
                        200,
                        &json!({
                            "data": {
                                "id": id, "type": "ContactListStatistics",
                                "attributes": {"numberOfIdentifiers": list.len(), "numberOfMatches": 0, "matchRate": 0.0},
                            },
                            "errors": [], "warnings": [],
                        }),
                    ),
                    None => self.error(STATISTICS, 404, "validation", "audience-invalid"),
                }
            }
            _ => Response::json("(unknown)", 404, &json!({"message": "no Route matched with those values"})),
        }
    }

    fn seed(&mut self, seed: &Value) {
        for (id, list) in seed["segments"].as_object().into_iter().flatten() {
            let list = list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned);
            self.segments.entry(id.clone()).or_default().extend(list);
        }
        for id in seed["removed_segments"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            self.segments.remove(id);
        }
        if seed["expire_tokens"] == Value::Bool(true) {
            self.tokens.clear();
        }
        if let Some(samples) = seed["samples"].as_u64() {
            self.samples = usize::try_from(samples).unwrap_or(usize::MAX);
        }
    }

    fn limits(&mut self, on: bool) {
        self.window = on.then(|| Window::new(250, MINUTE));
    }
}

impl Criteo {
    fn error(&self, route: &'static str, status: u16, kind: &str, code: &str) -> Response {
        let trace = format!("{:032x}", self.requests);
        let error = json!({
            "traceId": trace, "traceIdentifier": trace, "type": kind, "code": code, "title": "a title",
            "detail": "a detail", "instance": "@request",
        });
        Response::json(route, status, &json!({"errors": [error], "warnings": []}))
    }

    fn token(&mut self, request: &Request) -> Response {
        let is_form = request.header("content-type") == Some("application/x-www-form-urlencoded");
        let form = request.form().filter(|_| is_form).unwrap_or_default();
        let get = |wanted: &str| form.iter().find(|(name, _)| name == wanted).map_or("", |(_, value)| value.as_str());
        if get("grant_type") != "client_credentials" {
            return Response::json(TOKEN, 400, &json!({"error": "unsupported_grant_type"}));
        }
        if get("client_id").is_empty() || !get("client_secret").starts_with("criteo_") {
            return Response::json(TOKEN, 401, &json!({"error": "invalid_client"}));
        }
        self.issued += 1;
        let token = format!("criteo-token-{}", self.issued);
        self.tokens.insert(token.clone(), request.at + LASTS);
        let body = json!({
            "access_token": token, "token_type": "Bearer", "expires_in": LASTS.as_secs(), "refresh_token": null,
        });
        Response::json(TOKEN, 200, &body)
    }

    fn amend(&mut self, request: &Request, id: &str) -> Response {
        let invalid = |sandbox: &Self, code: &str| sandbox.error(LIST, 400, "validation", code);
        let Some(body) = request.json() else { return invalid(self, "json-serialization-error") };
        let keys = |value: &Value| value.as_object().map(|map| map.keys().cloned().collect::<Vec<_>>());
        if keys(&body) != Some(vec!["data".to_owned()])
            || keys(&body["data"]) != Some(vec!["attributes".to_owned(), "type".to_owned()])
            || body["data"]["type"] != "ContactlistAmendment"
        {
            return invalid(self, "request-body-invalid");
        }
        let attributes = &body["data"]["attributes"];
        let known = ["operation", "identifierType", "identifiers", "gumCallerId"];
        if keys(attributes).is_none_or(|keys| keys.iter().any(|key| !known.contains(&key.as_str()))) {
            return invalid(self, "request-body-invalid");
        }
        let (Some(operation @ ("add" | "remove")), Some(identifiers)) =
            (attributes["operation"].as_str(), attributes["identifiers"].as_array())
        else {
            return invalid(self, "contact-list-operation-invalid");
        };
        let kind = attributes["identifierType"].as_str().unwrap_or_default();
        if !matches!(kind, "email" | "madid" | "identityLink" | "gum" | "phoneNumber") {
            return invalid(self, "identifier-type-invalid");
        }
        if (kind == "gum") != attributes["gumCallerId"].is_u64() {
            return invalid(self, "gum-caller-id-invalid");
        }
        if identifiers.is_empty() || identifiers.len() > MOST || !identifiers.iter().all(Value::is_string) {
            return invalid(self, "identifiers-invalid");
        }
        let (good, bad): (Vec<&str>, Vec<&str>) =
            identifiers.iter().filter_map(Value::as_str).partition(|identifier| is_valid(kind, identifier));
        let Some(list) = self.segments.get_mut(id) else {
            return self.error(LIST, 404, "validation", "audience-invalid");
        };
        for identifier in &good {
            match operation {
                "add" => list.insert((*identifier).to_owned()),
                _ => list.remove(*identifier),
            };
        }
        let samples: Vec<_> = bad.iter().take(self.samples).collect();
        let attributes = json!({
            "contactListId": id, "operation": operation, "requestDate": "2026-11-22T02:30:00.000Z",
            "identifierType": kind, "nbValidIdentifiers": good.len(), "nbInvalidIdentifiers": bad.len(),
            "sampleInvalidIdentifiers": samples,
        });
        let data = json!({"type": "ContactlistAmendment", "attributes": attributes});
        Response::json(LIST, 200, &json!({"data": data, "errors": [], "warnings": []}))
    }
}

fn is_valid(kind: &str, identifier: &str) -> bool {
    let digits = |length: usize| identifier.len() == length && identifier.bytes().all(|byte| byte.is_ascii_hexdigit());
    match kind {
        "email" => identifier.contains('@') || digits(32) || digits(64),
        "phoneNumber" => digits(64) || identifier.starts_with('+'),
        "madid" => {
            let parts: Vec<_> = identifier.split('-').map(str::len).collect();
            parts == [8, 4, 4, 4, 12] && identifier.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
        }
        _ => !identifier.trim().is_empty(),
    }
}
