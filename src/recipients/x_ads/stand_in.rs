//! A stand-in of the X Ads API: custom audiences and their users, behind OAuth 1.0a.
//!
//! After <https://developer.x.com/en/docs/x-ads-api/audiences/api-reference/custom-audience-users> and RFC 5849. Any consumer
//! key `ck_…` and access token `at_…` is known; the secret of each is the same text with `_secret` behind it. Signatures are
//! checked, a nonce counts once, and a timestamp may be five minutes off.
//!
//! Seed: `{"audiences": {"18ce54d4x5t/1hr8o": ["<hash>", …]}, "deleted": ["18ce54d4x5t/1hr8o"], "miscount": 1}`; so many of the next
//! calls that remove somebody are counted wrong. `GET …/custom_audiences/{id}` shows how many users are left as `audience_size`.

use crate::recipients::stand_in::{Request, Response, StandIn, Vendor, Window};
use base64::Engine as _;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha1::Sha1;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

pub static STAND_IN: StandIn = StandIn {
    name: "x_ads",
    make: || Box::new(XAds::new()),
    settings: "  x_ads:\n    url: {url}\n    account: 18ce54d4x5t\n    audience: 1hr8o\n    consumer_key: \"${X_CONSUMER_KEY}\"  # \
               ck_ and anything; its secret is the same with _secret behind it\n    consumer_secret: \
               \"${X_CONSUMER_SECRET}\"\n    access_token: \"${X_ACCESS_TOKEN}\"  # at_ and anything\n    access_token_secret: \
               \"${X_ACCESS_TOKEN_SECRET}\"\n",
};

const MOST_OPERATIONS: usize = 2500;
const MOST_BYTES: usize = 5_000_000;
const USERS: &str = "/12/accounts/:account_id/custom_audiences/:custom_audience_id/users";
const AUDIENCE: &str = "/12/accounts/:account_id/custom_audiences/:custom_audience_id";

struct XAds {
    /// `account/audience` to the hashes of its users.
    audiences: BTreeMap<String, BTreeSet<String>>,
    deleted: BTreeSet<String>,
    nonces: BTreeSet<String>,
    miscount: u64,
    window: Option<Window>,
    requests: u64,
}

impl XAds {
    fn new() -> Self {
        let demo = [("18ce54d4x5t/1hr8o".to_owned(), BTreeSet::new())];
        Self {
            audiences: demo.into(),
            deleted: BTreeSet::new(),
            nonces: BTreeSet::new(),
            miscount: 0,
            window: Some(limit()),
            requests: 0,
        }
    }
}

fn limit() -> Window {
    Window::new(1500, Duration::from_secs(60))
}

fn error(route: &'static str, status: u16, code: &str, message: &str) -> Response {
    Response::json(route, status, &json!({"errors": [{"code": code, "message": message}], "request": {"params": {}}}))
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

impl Vendor for XAds {
    fn answer(&mut self, request: &Request) -> Response {
        self.requests += 1;
        let id = format!("{:016x}", self.requests);
        self.checked(request).header("x-transaction-id", id)
    }

    fn seed(&mut self, seed: &Value) {
        for (name, users) in seed["audiences"].as_object().into_iter().flatten() {
            let users = users.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned);
            self.audiences.entry(name.clone()).or_default().extend(users);
        }
        for name in seed["deleted"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            self.deleted.insert(name.to_owned());
        }
        if let Some(miscount) = seed["miscount"].as_u64() {
            self.miscount = miscount;
        }
    }

    fn limits(&mut self, on: bool) {
        self.window = on.then(limit);
    }
}

impl XAds {
    fn checked(&mut self, request: &Request) -> Response {
        if let Err(why) = self.prove(request) {
            return error("(signature)", 401, "UNAUTHORIZED_ACCESS", why);
        }
        let segments = request.segments();
        let segments: Vec<_> = segments.iter().map(String::as_str).collect();
        match (request.method.as_str(), &segments[..]) {
            ("POST", ["12", "accounts", account, "custom_audiences", audience, "users"]) => {
                self.users(request, &format!("{account}/{audience}"))
            }
            ("GET", ["12", "accounts", account, "custom_audiences", audience]) => {
                self.audience(request, &format!("{account}/{audience}"), audience)
            }
            _ => error("(unknown)", 404, "ROUTE_NOT_FOUND", "The requested resource could not be found"),
        }
    }

    /// RFC 5849, section 3.2.
    fn prove(&mut self, request: &Request) -> Result<(), &'static str> {
        let header = request.header("authorization").and_then(|header| header.strip_prefix("OAuth "));
        let mut given = BTreeMap::new();
        for part in header.ok_or("no OAuth header")?.split(',') {
            let (name, value) = part.trim().split_once('=').ok_or("a parameter without value")?;
            let value =
                value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).ok_or("a value without quotes")?;
            if given.insert(decode(name), decode(value)).is_some() {
                return Err("a parameter twice");
            }
        }
        let signature = given.remove("oauth_signature").ok_or("no signature")?;
        let get = |name: &str| given.get(name).map(String::as_str).ok_or("a parameter is missing");
        if get("oauth_signature_method")? != "HMAC-SHA1" || get("oauth_version")? != "1.0" {
            return Err("another method");
        }
        let (consumer, token) = (get("oauth_consumer_key")?, get("oauth_token")?);
        if !consumer.starts_with("ck_") || !token.starts_with("at_") {
            return Err("unknown key or token");
        }
        let second = get("oauth_timestamp")?.parse::<u64>().map_err(|_| "a timestamp that is none")?;
        if second.abs_diff(now()) > 300 {
            return Err("a timestamp out of bounds");
        }
        let mut all: Vec<(String, String)> =
            given.iter().chain(request.query.iter().map(|(name, value)| (name, value))).map(encode_pair).collect();
        all.sort();
        let all = all.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&");
        let host = request.header("host").ok_or("no host")?;
        let base = [request.method.clone(), format!("http://{host}/x_ads{}", request.path), all];
        let base = base.iter().map(|part| encode(part)).collect::<Vec<_>>().join("&");
        let key = format!("{}_secret&{}_secret", encode(consumer), encode(token));
        let mut mac = Hmac::<Sha1>::new_from_slice(key.as_bytes()).map_err(|_| "a key that cannot be used")?;
        mac.update(base.as_bytes());
        if base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes()) != signature {
            return Err("the signature does not match");
        }
        let nonce = get("oauth_nonce")?;
        if nonce.is_empty() || !self.nonces.insert(format!("{second} {nonce}")) {
            return Err("a nonce that was used");
        }
        Ok(())
    }

    fn audience(&self, request: &Request, name: &str, id: &str) -> Response {
        let deleted = self.deleted.contains(name);
        let with_deleted = request.query.iter().any(|(name, value)| name == "with_deleted" && value == "true");
        match self.audiences.get(name) {
            Some(users) if !deleted || with_deleted => Response::json(
                AUDIENCE,
                200,
                &json!({
                    "request": {"params": {"custom_audience_id": id}},
                    "data_type": "custom_audience",
                    "data": {"id": id, "name": "sandbox", "audience_size": users.len(), "deleted": deleted},
                }),
            ),
            _ => error(AUDIENCE, 404, "NOT_FOUND", "Custom audience not found"),
        }
    }

    fn users(&mut self, request: &Request, name: &str) -> Response {
        if let Some(window) = &mut self.window
            && window.is_over(USERS, request.at)
        {
            let response = error(USERS, 429, "TOO_MANY_REQUESTS", "Too many requests");
            return response
                .header("x-rate-limit-limit", "1500")
                .header("x-rate-limit-remaining", "0")
                .header("x-rate-limit-reset", (now() + 60).to_string());
        }
        if self.deleted.contains(name) || !self.audiences.contains_key(name) {
            return error(USERS, 404, "NOT_FOUND", "Custom audience not found");
        }
        if request.body.len() > MOST_BYTES {
            return error(USERS, 413, "PAYLOAD_TOO_LARGE", "The body is too large");
        }
        let Some(Value::Array(operations)) = request.json() else {
            return error(USERS, 400, "INVALID_PARAMETER", "The body has to be a JSON array of operations");
        };
        if operations.is_empty() || operations.len() > MOST_OPERATIONS {
            return error(USERS, 400, "INVALID_PARAMETER", "Between 1 and 2500 operations are allowed");
        }
        let wrong: Vec<Value> =
            operations.iter().map(|operation| wrong_in(operation).map_or(json!([]), |at| json!([at]))).collect();
        if wrong.iter().any(|errors| *errors != json!([])) {
            let body = json!({"errors": [], "operation_errors": wrong, "request": {"params": {}}});
            return Response::json(USERS, 400, &body);
        }
        for operation in &operations {
            let users = operation["params"]["users"].as_array().into_iter().flatten();
            let values = users.filter_map(Value::as_object).flat_map(|user| user.values()).filter_map(Value::as_array);
            let values: BTreeSet<String> = values.flatten().filter_map(Value::as_str).map(str::to_owned).collect();
            let members = self.audiences.entry(name.to_owned()).or_default();
            match operation["operation_type"].as_str() {
                Some("Delete") => members.retain(|member| !values.contains(member)),
                _ => members.extend(values),
            }
        }
        let total = operations.len() - usize::from(self.miscount > 0);
        self.miscount = self.miscount.saturating_sub(1);
        Response::json(
            USERS,
            200,
            &json!({"data": {"success_count": total, "total_count": total}, "request": {"params": {}}}),
        )
    }
}

/// What is wrong in an operation, if anything is.
fn wrong_in(operation: &Value) -> Option<Value> {
    let wrong = |parameter: &str, message: &str| {
        Some(json!({"code": "INVALID_PARAMETER", "message": message, "parameter": parameter}))
    };
    let only = |value: &Value, known: &[&str]| {
        value.as_object().is_some_and(|map| map.keys().all(|key| known.contains(&key.as_str())))
    };
    if !only(operation, &["operation_type", "params"])
        || !only(&operation["params"], &["effective_at", "expires_at", "users"])
    {
        return wrong("params", "Expected operation_type and params");
    }
    if !matches!(operation["operation_type"].as_str(), Some("Update" | "Delete")) {
        return wrong("operation_type", "Expected Update or Delete");
    }
    let users = operation["params"]["users"].as_array();
    for user in users.filter(|users| !users.is_empty())? {
        let Some(user) = user.as_object().filter(|user| !user.is_empty()) else {
            return wrong("users", "Expected an object with identifiers");
        };
        for (key, values) in user {
            let hashed = matches!(key.as_str(), "email" | "phone_number" | "device_id" | "handle" | "twitter_id");
            if !hashed && key != "partner_user_id" {
                return wrong("users", "Unknown identifier");
            }
            let digits = |text: &str| {
                text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
            };
            let good = |value: &Value| {
                value.as_str().is_some_and(|text| !text.is_empty() && text.len() <= 200 && (!hashed || digits(text)))
            };
            if !values.as_array().is_some_and(|values| !values.is_empty() && values.iter().all(good)) {
                return wrong(key, "Expected a list of values, hashed with SHA256");
            }
        }
    }
    None
}

fn encode_pair((name, value): (&String, &String)) -> (String, String) {
    (encode(name), encode(value))
}

fn encode(text: &str) -> String {
    let escape = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(escape).collect()
}

fn decode(text: &str) -> String {
    crate::recipients::stand_in::unescape(text)
}
