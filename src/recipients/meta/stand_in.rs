//! A stand-in of Meta's Marketing API: custom audiences of ad accounts, their users, and sessions.
//!
//! After <https://developers.facebook.com/documentation/ads-commerce/marketing-api/audiences/guides/custom-audiences> and the
//! machine specification in facebook-business-sdk-codegen (v26.0). Any token `EAA…` is known, as parameter or bearer.
//!
//! Seed: `{"accounts": {"1234567890": ["23850000000000001"]}, "audiences": {"23850000000000001": ["<hash>", …]}, "deleted": ["…"],
//! "flagged": ["…"], "app_secret": "…", "samples": 0}`; with an app's secret, its proof is demanded; so many malformed entries
//! are named in an answer (100 by default). `GET /v26.0/{audience}?fields=approximate_count_lower_bound` tells how many values
//! are left.

use crate::recipients::stand_in::{Request, Response, StandIn, Vendor, Window};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

pub static STAND_IN: StandIn = StandIn {
    name: "meta",
    make: || Box::new(Meta::new()),
    settings: "  meta:\n    url: {url}\n    ad_account: act_1234567890\n    access_token: \"${META_TOKEN}\"  # EAA and anything\n",
};

const ANY: &str = "/v26.0/act_{ad_account_id}/usersofanyaudience";
const USERS: &str = "/v26.0/{custom_audience_id}/users";
const SESSIONS: &str = "/v26.0/{custom_audience_id}/sessions";
const NODE: &str = "/v26.0/{id}";
const MOST: usize = 10_000;
const KEYS: [&str; 15] = [
    "EXTERN_ID",
    "EMAIL",
    "PHONE",
    "GEN",
    "DOBY",
    "DOBM",
    "DOBD",
    "LN",
    "FN",
    "FI",
    "CT",
    "ST",
    "ZIP",
    "MADID",
    "COUNTRY",
];

struct Meta {
    /// To their audiences.
    accounts: BTreeMap<String, BTreeSet<String>>,
    /// To the values that their members are known by.
    audiences: BTreeMap<String, BTreeSet<String>>,
    deleted: BTreeSet<String>,
    flagged: BTreeSet<String>,
    /// Audience and number to what is told, and how often somebody looked.
    sessions: BTreeMap<(String, u64), (usize, u32)>,
    app_secret: Option<String>,
    samples: usize,
    window: Option<Window>,
    requests: u64,
}

impl Meta {
    fn new() -> Self {
        let audience = "23850000000000001".to_owned();
        Self {
            accounts: [("1234567890".to_owned(), [audience.clone()].into())].into(),
            audiences: [(audience, BTreeSet::new())].into(),
            deleted: BTreeSet::new(),
            flagged: BTreeSet::new(),
            sessions: BTreeMap::new(),
            app_secret: None,
            samples: 100,
            window: Some(limit()),
            requests: 0,
        }
    }
}

fn limit() -> Window {
    Window::new(5000, Duration::from_secs(60 * 60))
}

impl Vendor for Meta {
    fn answer(&mut self, request: &Request) -> Response {
        self.requests += 1;
        self.checked(request).header("x-fb-trace-id", self.trace())
    }

    fn seed(&mut self, seed: &Value) {
        let texts = |value: &Value| -> BTreeSet<String> {
            value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
        };
        for (account, audiences) in seed["accounts"].as_object().into_iter().flatten() {
            self.accounts.entry(account.clone()).or_default().extend(texts(audiences));
        }
        for (audience, members) in seed["audiences"].as_object().into_iter().flatten() {
            self.audiences.entry(audience.clone()).or_default().extend(texts(members));
        }
        self.deleted.extend(texts(&seed["deleted"]));
        self.flagged.extend(texts(&seed["flagged"]));
        if let Some(secret) = seed["app_secret"].as_str() {
            self.app_secret = Some(secret.to_owned());
        }
        if let Some(samples) = seed["samples"].as_u64() {
            self.samples = usize::try_from(samples).unwrap_or(usize::MAX);
        }
    }

    fn limits(&mut self, on: bool) {
        self.window = on.then(limit);
    }
}

impl Meta {
    fn trace(&self) -> String {
        format!("Atrace{:06}", self.requests)
    }

    fn error(&self, route: &'static str, code: u64, subcode: Option<u64>, message: &str) -> Response {
        let mut error = json!({
            "message": message, "type": "OAuthException", "code": code, "is_transient": false, "fbtrace_id": self.trace(),
        });
        if let Some(subcode) = subcode {
            error["error_subcode"] = subcode.into();
        }
        Response::json(route, 400, &json!({"error": error}))
    }

    fn checked(&mut self, request: &Request) -> Response {
        let Some(form) = request.form() else {
            return self.error("(body)", 100, None, "Unsupported content type in this sandbox");
        };
        let parameters: BTreeMap<String, String> = request.query.iter().cloned().chain(form).collect();
        let token = request.bearer().or_else(|| parameters.get("access_token").map(String::as_str)).unwrap_or_default();
        if !token.starts_with("EAA") {
            return self.error("(token)", 190, None, "Invalid OAuth access token - Cannot parse access token");
        }
        if let Some(secret) = &self.app_secret {
            let given = parameters.get("appsecret_proof").map(String::as_str);
            let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else {
                return self.error("(proof)", 100, None, "Invalid appsecret_proof");
            };
            mac.update(token.as_bytes());
            if given != Some(hex::encode(mac.finalize().into_bytes()).as_str()) {
                return self.error("(proof)", 100, None, "Invalid appsecret_proof provided in the API argument");
            }
        }
        let segments = request.segments();
        let segments: Vec<_> = segments.iter().map(String::as_str).collect();
        match (request.method.as_str(), &segments[..]) {
            ("DELETE", ["v26.0", account, "usersofanyaudience"]) if account.starts_with("act_") => {
                let audiences = self.accounts.get(&account[4..]).cloned();
                match audiences {
                    Some(audiences) => self.remove(ANY, request, &parameters, None, &audiences),
                    None => self.missing(ANY),
                }
            }
            ("DELETE", ["v26.0", audience, "users"]) => {
                let audience = (*audience).to_owned();
                if self.deleted.contains(&audience) {
                    return self.error(USERS, 100, Some(1_487_366), "Custom Audience Has Been Deleted");
                }
                if !self.audiences.contains_key(&audience) {
                    return self.missing(USERS);
                }
                let only = [audience.clone()].into();
                self.remove(USERS, request, &parameters, Some(audience), &only)
            }
            ("GET", ["v26.0", audience, "sessions"]) => self.sessions(audience, &parameters),
            ("GET", ["v26.0", id]) => self.node(id, &parameters),
            _ => self.error("(unknown)", 2500, None, "Unknown path components"),
        }
    }

    fn missing(&self, route: &'static str) -> Response {
        self.error(route, 100, Some(33), "Unsupported request. Object does not exist or cannot be loaded")
    }

    fn node(&self, id: &str, parameters: &BTreeMap<String, String>) -> Response {
        let mut all = match id.strip_prefix("act_") {
            Some(account) if self.accounts.contains_key(account) => json!({"id": id}),
            None if self.audiences.contains_key(id) && !self.deleted.contains(id) => json!({
                "id": id,
                "operation_status": {"code": if self.flagged.contains(id) { 471 } else { 200 }, "description": "status"},
                "approximate_count_lower_bound": self.audiences[id].len(),
            }),
            _ => return self.missing(NODE),
        };
        let fields: Vec<_> = parameters.get("fields").map_or("id", String::as_str).split(',').collect();
        if let Some(map) = all.as_object_mut() {
            map.retain(|key, _| key == "id" || fields.contains(&key.as_str()));
        }
        Response::json(NODE, 200, &all)
    }

    fn sessions(&mut self, audience: &str, parameters: &BTreeMap<String, String>) -> Response {
        if !self.audiences.contains_key(audience) {
            return self.missing(SESSIONS);
        }
        let wanted = parameters.get("session_id").and_then(|id| id.parse::<u64>().ok());
        let mut data = Vec::new();
        for ((of, id), (received, looks)) in &mut self.sessions {
            if of != audience || wanted.is_some_and(|wanted| wanted != *id) {
                continue;
            }
            *looks += 1;
            let mut session = json!({
                "session_id": id.to_string(), "num_received": received.to_string(), "start_time": "1795392000",
                "stage": "processing", "progress": "50",
            });
            if *looks > 1 {
                session["stage"] = "done".into();
                session["progress"] = "100".into();
                session["end_time"] = "1795395600".into();
            }
            data.push(session);
        }
        Response::json(SESSIONS, 200, &json!({"data": data}))
    }

    fn remove(
        &mut self,
        route: &'static str,
        request: &Request,
        parameters: &BTreeMap<String, String>,
        audience: Option<String>,
        audiences: &BTreeSet<String>,
    ) -> Response {
        if let Some(window) = &mut self.window
            && window.is_over("", request.at)
        {
            let usage =
                json!({"1": [{"type": "custom_audience", "call_count": 100, "estimated_time_to_regain_access": 60}]});
            let response = self.error(route, 80003, None, "There have been too many calls to this ad-account");
            return response.header("x-business-use-case-usage", usage.to_string());
        }
        if audiences.iter().any(|audience| self.flagged.contains(audience)) && audience.is_some() {
            return self.error(route, 100, Some(1_713_230), "Invalid parameter");
        }
        let known = ["payload", "session", "namespace", "access_token", "appsecret_proof"];
        if parameters.keys().any(|name| !known.contains(&name.as_str())) {
            return self.error(route, 100, None, "Unknown parameter");
        }
        let read =
            |name: &str| parameters.get(name).map(|text| serde_json::from_str::<Value>(text).unwrap_or_default());
        let Some(Value::Object(payload)) = read("payload") else {
            return self.error(route, 100, None, "The parameter payload is required and has to be an object");
        };
        let session = read("session");
        let number = match &session {
            None => None,
            Some(session) => {
                let id = session["session_id"].as_u64().filter(|id| (1..=i64::MAX.cast_unsigned()).contains(id));
                let good = session["batch_seq"].as_u64().is_some_and(|sequence| sequence > 0);
                match id.filter(|_| good && session["last_batch_flag"].is_boolean()) {
                    Some(id) => Some(id),
                    None => return self.error(route, 100, None, "Invalid session"),
                }
            }
        };
        let schema: Vec<&str> = match payload.get("schema") {
            Some(Value::Array(keys)) => keys.iter().filter_map(Value::as_str).collect(),
            Some(Value::String(key)) => vec![key.strip_suffix("_SHA256").unwrap_or(key)],
            _ => Vec::new(),
        };
        let distinct: BTreeSet<_> = schema.iter().collect();
        if schema.is_empty() || distinct.len() < schema.len() || schema.iter().any(|key| !KEYS.contains(key)) {
            return self.error(route, 100, None, "Invalid schema");
        }
        let rows = payload.get("data").and_then(Value::as_array).cloned().unwrap_or_default();
        if rows.len() > MOST {
            return self.error(route, 105, None, "The number of parameters exceeded the maximum for this operation");
        }
        let cells = |row: &Value| -> Option<Vec<String>> {
            let cells = match row {
                Value::String(text) => vec![text.clone()],
                Value::Array(cells) => {
                    cells.iter().map(|cell| cell.as_str().map(str::to_owned)).collect::<Option<_>>()?
                }
                _ => return None,
            };
            (cells.len() == schema.len()).then_some(cells)
        };
        let Some(rows) = rows.iter().map(cells).collect::<Option<Vec<_>>>().filter(|rows| !rows.is_empty()) else {
            return self.error(route, 100, None, "Data is missing or does not match schema");
        };
        let mut malformed = Vec::new();
        for row in &rows {
            let good = schema.iter().zip(row).all(|(key, cell)| is_well_formed(key, cell));
            if !good || row.iter().all(String::is_empty) {
                malformed.push(row.clone());
                continue;
            }
            for audience in audiences {
                if let Some(members) = self.audiences.get_mut(audience) {
                    members.retain(|member| !row.contains(member));
                }
            }
        }
        if let (Some(number), Some(audience)) = (number, &audience) {
            self.sessions.insert((audience.clone(), number), (rows.len(), 0));
        }
        let samples: BTreeMap<String, String> = malformed
            .iter()
            .take(self.samples)
            .enumerate()
            .map(|(index, row)| (index.to_string(), json!(row).to_string()))
            .collect();
        let mut body = json!({
            "session_id": number.unwrap_or(1), "num_received": rows.len(), "num_invalid_entries": malformed.len(),
            "invalid_entry_samples": samples,
        });
        if let Some(audience) = audience {
            body["audience_id"] = audience.into();
        }
        Response::json(route, 200, &body)
    }
}

/// As the guide wants each column: hashed in small digits, except the two kinds of ids.
fn is_well_formed(key: &str, cell: &str) -> bool {
    let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    match key {
        _ if cell.is_empty() => true,
        "EXTERN_ID" => true,
        "MADID" => cell.len() == 36 && cell.bytes().all(|byte| byte == b'-' || digit(byte)),
        _ => cell.len() == 64 && cell.bytes().all(digit),
    }
}
