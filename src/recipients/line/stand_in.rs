//! A stand-in of LINE's Messaging API: audiences of channels, uploads, deletion, and whose token it is.
//!
//! After `manage-audience.yml` and `messaging-api.yml` of <https://github.com/line/line-openapi>. A token `line_…` is of a channel of the
//! bot `U0b…`, one that begins with `line_second_` of another channel of the same bot, and one that begins with `line_stranger_` of
//! another bot. A channel sees and changes its own audiences alone.
//!
//! Seed: `{"audiences": [{"id": 7, "name": "Members", "people": 3, "expires": 1800000000, "status": "READY", "createRoute": "OA_MANAGER",
//! "type": "CLICK", "ifa": true}], "looks": 2, "fate": "FAILED", "sticky": true}`. An upload is in progress for so many looks at the list
//! and ends as `fate`; when `sticky`, a deleted audience stays. An audience of the seed is of the first channel.

use crate::recipients::stand_in::{Request, Response, StandIn, Vendor, Window};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

pub static STAND_IN: StandIn = StandIn {
    name: "line",
    make: || Box::new(Line::new()),
    settings: "  line:\n    url: {url}\n    channel_access_token: \"line_${LINE_TOKEN}\"\n    bot: U0b00000000000000000000000000000b\n    \
               audience: Members\n    mode: expire\n",
};

const BOT: &str = "U0b00000000000000000000000000000b";
const STRANGER: &str = "U0c00000000000000000000000000000c";

const LIST: &str = "/v2/bot/audienceGroup/list";
const ONE: &str = "/v2/bot/audienceGroup/{audienceGroupId}";
const UPLOAD: &str = "/v2/bot/audienceGroup/upload/byFile";

/// When what is uploaded here expires: in 2100.
const LATE: i64 = 4_102_444_800;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Channel {
    First,
    Second,
    Stranger,
}

struct Line {
    audiences: BTreeMap<u64, Audience>,
    looks: u32,
    fate: String,
    sticky: bool,
    requests: u64,
    window: Option<Window>,
}

struct Audience {
    channel: Channel,
    name: String,
    kind: String,
    route: String,
    ifa: bool,
    status: String,
    /// Until it is no longer in progress.
    looks: u32,
    expires: Option<i64>,
    count: u64,
    job: Option<String>,
}

impl Audience {
    fn json(&self, id: u64) -> Value {
        let permission = if self.route == "MESSAGING_API" { "READ_WRITE" } else { "READ" };
        let mut value = json!({
            "audienceGroupId": id, "createRoute": self.route, "type": self.kind, "description": self.name, "status": self.status,
            "audienceCount": self.count, "created": 1_608_617_466, "permission": permission, "isIfaAudience": self.ifa,
        });
        if let Some(expires) = self.expires {
            value["expireTimestamp"] = json!(expires);
        }
        value
    }
}

impl Line {
    fn new() -> Self {
        Self {
            audiences: BTreeMap::new(),
            looks: 0,
            fate: "READY".to_owned(),
            sticky: false,
            requests: 0,
            window: Some(limit()),
        }
    }

    fn list(&mut self, channel: Channel, request: &Request) -> Response {
        let known = ["page", "size", "includesExternalPublicGroups", "description", "status", "createRoute"];
        let get = |wanted: &str| request.query.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
        let number = |wanted: &str, usual: usize, most: usize| match get(wanted) {
            None => Some(usual),
            Some(text) => text.parse().ok().filter(|number| (1..=most).contains(number)),
        };
        let (page, size) = (get("page").and_then(|_| number("page", 1, usize::MAX)), number("size", 20, 40));
        let (Some(page), Some(size)) = (page, size) else { return error(LIST, 400, "INVALID_PAGE") };
        if request.query.iter().any(|(name, _)| !known.contains(&name.as_str())) {
            return error(LIST, 400, "INVALID_PARAMETER");
        }
        let every = get("includesExternalPublicGroups") != Some("false");
        let fate = self.fate.clone();
        for audience in self.audiences.values_mut().filter(|audience| audience.status == "IN_PROGRESS") {
            match audience.looks {
                0 => audience.status.clone_from(&fate),
                _ => audience.looks -= 1,
            }
        }
        let is_seen = |audience: &Audience| {
            audience.channel == channel
                || every && channel != Channel::Stranger && audience.channel != Channel::Stranger
        };
        let all: Vec<_> = self.audiences.iter().filter(|(_, audience)| is_seen(audience)).collect();
        let shown: Vec<_> = all.iter().skip((page - 1) * size).take(size).map(|(id, it)| it.json(**id)).collect();
        let body = json!({
            "audienceGroups": shown, "hasNextPage": page * size < all.len(), "totalCount": all.len(), "page": page, "size": size,
            "readWriteAudienceGroupTotalCount": all.len(),
        });
        Response::json(LIST, 200, &body)
    }

    fn one(&mut self, channel: Channel, method: &str, id: &str) -> Response {
        let found = id.parse::<u64>().ok().filter(|id| self.audiences.get(id).is_some_and(|it| it.channel == channel));
        let Some(id) = found else { return error(ONE, 400, "AUDIENCE_GROUP_NOT_FOUND") };
        let audience = &self.audiences[&id];
        match method {
            "GET" => {
                let job = audience.job.iter().map(|description| {
                    json!({
                        "audienceGroupJobId": id + 1, "audienceGroupId": id, "description": description, "type": "DIFF_ADD",
                        "jobStatus": "FINISHED", "audienceCount": audience.count, "created": 1_608_617_472,
                    })
                });
                let body = json!({"audienceGroup": audience.json(id), "jobs": job.collect::<Vec<_>>()});
                Response::json(ONE, 200, &body)
            }
            "DELETE" if audience.route != "MESSAGING_API" => error(ONE, 403, "NO_PERMISSION"),
            "DELETE" => {
                if !self.sticky {
                    self.audiences.remove(&id);
                }
                Response::json(ONE, 200, &json!({}))
            }
            _ => error(ONE, 405, "METHOD_NOT_ALLOWED"),
        }
    }

    fn upload(&mut self, channel: Channel, request: &Request) -> Response {
        if let Some(window) = &mut self.window
            && window.is_over(UPLOAD, request.at)
        {
            return error(UPLOAD, 429, "TOO_MANY_REQUESTS");
        }
        let Some(form) = parts(request) else { return error(UPLOAD, 400, "INVALID_FORM") };
        let get = |name: &str| form.get(name).map(String::as_str);
        let name = get("description").unwrap_or_default();
        let taken = self
            .audiences
            .values()
            .any(|audience| audience.channel == channel && audience.name.to_lowercase() == name.to_lowercase());
        if name.is_empty() || name.chars().count() > 120 || taken {
            return error(UPLOAD, 400, "INVALID_DESCRIPTION");
        }
        let is_id = |line: &str| {
            line.len() == 33 && line.starts_with('U') && line[1..].bytes().all(|byte| byte.is_ascii_hexdigit())
        };
        let lines: Vec<_> = get("file").unwrap_or_default().lines().collect();
        let different: BTreeSet<_> = lines.iter().collect();
        let known = ["description", "isIfaAudience", "uploadDescription", "file"];
        if get("isIfaAudience") != Some("false")
            || form.keys().any(|name| !known.contains(&name.as_str()))
            || lines.len() > 1_500_000
            || !lines.iter().all(|line| is_id(line))
        {
            return error(UPLOAD, 400, "INVALID_FILE");
        }
        let id = 1_000_000_000_000 + self.requests;
        let audience = Audience {
            channel,
            name: name.to_owned(),
            kind: "UPLOAD".to_owned(),
            route: "MESSAGING_API".to_owned(),
            ifa: false,
            status: "IN_PROGRESS".to_owned(),
            looks: self.looks,
            expires: Some(LATE),
            count: different.len() as u64,
            job: get("uploadDescription").map(str::to_owned),
        };
        let mut body = audience.json(id);
        if let Some(body) = body.as_object_mut() {
            body.remove("status");
            body.remove("audienceCount");
        }
        self.audiences.insert(id, audience);
        Response::json(UPLOAD, 202, &body)
    }
}

fn limit() -> Window {
    Window::new(60, Duration::from_secs(60))
}

/// The fields of a form in parts; `None` where it is none, or a field stands there twice.
fn parts(request: &Request) -> Option<BTreeMap<String, String>> {
    let boundary = request.header("content-type")?.strip_prefix("multipart/form-data; boundary=")?;
    let text = std::str::from_utf8(&request.body).ok()?;
    let text = text.strip_prefix(&format!("--{boundary}\r\n"))?.strip_suffix(&format!("\r\n--{boundary}--\r\n"))?;
    let mut fields = BTreeMap::new();
    for part in text.split(&format!("\r\n--{boundary}\r\n")) {
        let (head, body) = part.split_once("\r\n\r\n")?;
        let (_, rest) = head.split_once("form-data; name=\"")?;
        let (name, rest) = rest.split_once('"')?;
        if (name == "file") != rest.contains("Content-Type: text/plain") {
            return None;
        }
        if fields.insert(name.to_owned(), body.to_owned()).is_some() {
            return None;
        }
    }
    Some(fields)
}

fn error(route: &'static str, status: u16, detail: &str) -> Response {
    Response::json(route, status, &json!({"message": "in the sandbox", "details": [{"message": detail}]}))
}

impl Vendor for Line {
    fn answer(&mut self, request: &Request) -> Response {
        self.requests += 1;
        let channel = match request.bearer() {
            Some(token) if token.starts_with("line_stranger_") => Channel::Stranger,
            Some(token) if token.starts_with("line_second_") => Channel::Second,
            Some(token) if token.starts_with("line_") => Channel::First,
            _ => {
                let message =
                    "Authentication failed. Confirm that the access token in the authorization header is valid.";
                return Response::json("(token)", 401, &json!({"message": message}));
            }
        };
        let segments = request.segments();
        let segments: Vec<_> = segments.iter().map(String::as_str).collect();
        let response = match (request.method.as_str(), &segments[..]) {
            ("GET", ["v2", "bot", "info"]) => {
                let bot = if channel == Channel::Stranger { STRANGER } else { BOT };
                let body = json!({
                    "userId": bot, "basicId": "@216ru", "displayName": "Sandbox", "chatMode": "bot", "markAsReadMode": "auto",
                });
                Response::json("/v2/bot/info", 200, &body)
            }
            ("GET", ["v2", "bot", "audienceGroup", "list"]) => self.list(channel, request),
            ("POST", ["v2", "bot", "audienceGroup", "upload", "byFile"]) => self.upload(channel, request),
            (method, ["v2", "bot", "audienceGroup", id]) => self.one(channel, method, id),
            _ => Response::json("(unknown)", 404, &json!({"message": "Not found"})),
        };
        response.header("x-line-request-id", format!("00000000-0000-4000-8000-{:012}", self.requests))
    }

    fn seed(&mut self, seed: &Value) {
        for audience in seed["audiences"].as_array().into_iter().flatten() {
            let word = |name: &str, usual: &str| audience[name].as_str().unwrap_or(usual).to_owned();
            let new = Audience {
                channel: Channel::First,
                name: word("name", ""),
                kind: word("type", "UPLOAD"),
                route: word("createRoute", "MESSAGING_API"),
                ifa: audience["ifa"] == Value::Bool(true),
                status: word("status", "READY"),
                looks: 0,
                expires: audience["expires"].as_i64(),
                count: audience["people"].as_u64().unwrap_or_default(),
                job: None,
            };
            self.audiences.insert(audience["id"].as_u64().unwrap_or_default(), new);
        }
        self.looks = seed["looks"].as_u64().and_then(|looks| u32::try_from(looks).ok()).unwrap_or(self.looks);
        if let Some(fate) = seed["fate"].as_str() {
            fate.clone_into(&mut self.fate);
        }
        self.sticky = seed["sticky"].as_bool().unwrap_or(self.sticky);
    }

    fn limits(&mut self, on: bool) {
        self.window = on.then(limit);
    }
}
