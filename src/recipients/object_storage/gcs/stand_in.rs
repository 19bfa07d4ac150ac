//! A stand-in of Google Cloud Storage's JSON API: lists of generations, their deletion, soft delete, holds and retention.
//!
//! After the discovery document `storage:v1`, revision 20261009: a parameter that a method does not have is refused. Tokens are
//! [`google`](crate::recipients::google::stand_in)'s. The bucket `uploads` keeps versions and has soft delete for seven days; `plain` has neither.
//!
//! Seed: `{"objects": [{"bucket": "uploads", "name": "id/7.jpg", "temporaryHold": true, "eventBasedHold": true,
//! "retentionExpirationTime": "2041-02-03T00:00:00Z", "retention": {"mode": "Locked", "retainUntilTime": "…"}}], "days_pass": 8,
//! "pause_hard_deletions": true, "page": 2, "restore": true}`. Writing an object again makes a new generation; `page` is how many are on one;
//! `restore` brings back what soft delete keeps.

use crate::recipients::{
    google::stand_in::{Access, error},
    stand_in::{Request, Response, StandIn, Vendor},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

pub static STAND_IN: StandIn = StandIn {
    name: "gcs",
    make: || Box::new(Gcs::new()),
    settings: "  gcs:\n    url: {url}\n    token_url: {url}/token\n    bucket: uploads\n    keys: [\"id/{document}.jpg\"]\n    client_id: \
               sandbox\n    client_secret: \"${GOOGLE_CLIENT_SECRET}\"\n    refresh_token: \"${GOOGLE_REFRESH_TOKEN}\"  # 1// and anything\n",
};

const LIST: &str = "/storage/v1/b/{bucket}/o";
const OBJECT: &str = "/storage/v1/b/{bucket}/o/{object}";
const BUCKET: &str = "/storage/v1/b/{bucket}";

const READ: &[&str] = &[
    "https://www.googleapis.com/auth/devstorage.read_only",
    "https://www.googleapis.com/auth/devstorage.read_write",
    "https://www.googleapis.com/auth/devstorage.full_control",
    "https://www.googleapis.com/auth/cloud-platform",
];
const WRITE: &[&str] = &[
    "https://www.googleapis.com/auth/devstorage.read_write",
    "https://www.googleapis.com/auth/devstorage.full_control",
    "https://www.googleapis.com/auth/cloud-platform",
];

/// Every method has these.
const COMMON: &[&str] = &["alt", "fields", "prettyPrint", "quotaUser", "userProject"];

const SOFT_DELETE: SignedDuration = SignedDuration::from_hours(7 * 24);

struct Generation {
    bucket: String,
    name: String,
    number: u64,
    is_live: bool,
    /// Since when it is soft-deleted, and until when.
    deleted: Option<(Timestamp, Timestamp)>,
    /// Holds and retention as they were seeded.
    more: Value,
}

struct Gcs {
    access: Access,
    generations: Vec<Generation>,
    last: u64,
    page: usize,
    later: SignedDuration,
    is_paused: bool,
}

impl Gcs {
    fn new() -> Self {
        let (access, generations) = (Access::default(), Vec::new());
        let later = SignedDuration::ZERO;
        Self { access, generations, last: 1_796_031_493_162_000, page: 1000, later, is_paused: false }
    }

    fn now(&self) -> Timestamp {
        Timestamp::now() + self.later
    }

    fn write(&mut self, object: &Value) {
        let text = |key: &str, other: &str| object[key].as_str().unwrap_or(other).to_owned();
        let (bucket, name) = (text("bucket", "uploads"), text("name", "id/7.jpg"));
        for old in self.generations.iter_mut().filter(|old| old.bucket == bucket && old.name == name) {
            old.is_live = false;
        }
        if bucket == "plain" {
            self.generations.retain(|old| old.bucket != bucket || old.name != name);
        }
        self.last += 1;
        let number = self.last;
        self.generations.push(Generation { bucket, name, number, is_live: true, deleted: None, more: object.clone() });
    }

    fn list(&mut self, request: &Request, bucket: &str) -> Response {
        let mut known = vec![
            "delimiter",
            "endOffset",
            "filter",
            "includeFoldersAsPrefixes",
            "includeTrailingDelimiter",
            "matchGlob",
            "maxResults",
        ];
        known.extend(["pageToken", "prefix", "projection", "softDeleted", "startOffset", "versions"]);
        if let Err(response) = self.admit(LIST, request, READ, &known, bucket) {
            return response;
        }
        let is = |name: &str| value(request, name) == Some("true");
        if is("versions") && is("softDeleted") {
            return older(LIST, 400, "invalid", "versions and softDeleted cannot be used together");
        }
        let most = value(request, "maxResults").map_or(Ok(1000), str::parse::<usize>);
        let (Ok(most), Ok(first)) = (most, value(request, "pageToken").map_or(Ok(0), str::parse::<usize>)) else {
            return older(LIST, 400, "invalid", "Invalid value");
        };
        let prefix = value(request, "prefix").unwrap_or_default();
        let (now, is_paused) = (self.now(), self.is_paused);
        self.generations.retain(|one| is_paused || one.deleted.is_none_or(|(_, until)| until > now));
        let listed = |one: &&Generation| {
            let wanted = match one.deleted {
                Some(_) => is("softDeleted"),
                None => !is("softDeleted") && (one.is_live || is("versions")),
            };
            wanted && one.bucket == bucket && one.name.starts_with(prefix)
        };
        let mut found: Vec<&Generation> = self.generations.iter().filter(listed).collect();
        found.sort_by(|a, b| (&a.name, a.number).cmp(&(&b.name, b.number)));
        let page = most.min(self.page);
        let items: Vec<_> = found.iter().skip(first).take(page).map(|one| one.shown()).collect();
        let mut answer = json!({"kind": "storage#objects"});
        // an empty list is left out
        if !items.is_empty() {
            answer["items"] = items.into();
        }
        if first + page < found.len() {
            answer["nextPageToken"] = (first + page).to_string().into();
        }
        Response::json(LIST, 200, &answer)
    }

    fn delete(&mut self, request: &Request, bucket: &str, name: &str) -> Response {
        const KNOWN: &[&str] = &[
            "generation",
            "ifGenerationMatch",
            "ifGenerationNotMatch",
            "ifMetagenerationMatch",
            "ifMetagenerationNotMatch",
        ];
        if let Err(response) = self.admit(OBJECT, request, WRITE, KNOWN, bucket) {
            return response;
        }
        let now = self.now();
        let Some(at) = self.find(request, bucket, name) else { return no_object(bucket, name) };
        let found = &mut self.generations[at];
        let time = |text: &Value| text.as_str().and_then(|text| text.parse::<Timestamp>().ok());
        if found.more["temporaryHold"] == true || found.more["eventBasedHold"] == true {
            return older(OBJECT, 403, "objectUnderActiveHold", "Object is under active hold and cannot be deleted.");
        }
        let until = time(&found.more["retentionExpirationTime"]).max(time(&found.more["retention"]["retainUntilTime"]));
        if until.is_some_and(|until| until > now) {
            return older(OBJECT, 403, "retentionPolicyNotMet", "Object is subject to a retention policy.");
        }
        if value(request, "generation").is_none() && bucket == "uploads" {
            // it becomes noncurrent
            found.is_live = false;
        } else if bucket == "plain" {
            self.generations.remove(at);
        } else {
            found.deleted = Some((now, now + SOFT_DELETE));
        }
        Response::empty(OBJECT, 204)
    }

    /// Of all generations, the live one, or the one that the request names.
    fn find(&self, request: &Request, bucket: &str, name: &str) -> Option<usize> {
        let number = value(request, "generation");
        let fits = |one: &Generation| match number {
            Some(number) => one.number.to_string() == number,
            None => one.is_live,
        };
        let is_it = |one: &Generation| one.bucket == bucket && one.name == name && one.deleted.is_none() && fits(one);
        self.generations.iter().position(is_it)
    }

    fn admit(
        &self,
        route: &'static str,
        request: &Request,
        scopes: &[&str],
        known: &[&str],
        bucket: &str,
    ) -> Result<(), Response> {
        self.access.admit(route, request, scopes)?;
        if let Some((name, _)) =
            request.query.iter().find(|(name, _)| !known.contains(&name.as_str()) && !COMMON.contains(&name.as_str()))
        {
            return Err(older(route, 400, "invalidParameter", &format!("Unknown name \"{name}\"")));
        }
        if bucket == "forbidden" {
            return Err(older(route, 403, "forbidden", "sandbox does not have storage.objects access to the bucket."));
        }
        match ["uploads", "plain"].contains(&bucket) {
            true => Ok(()),
            false => Err(older(route, 404, "notFound", "The specified bucket does not exist.")),
        }
    }
}

impl Generation {
    fn shown(&self) -> Value {
        let mut shown = json!({
            "kind": "storage#object", "bucket": self.bucket, "name": self.name, "generation": self.number.to_string(), "size": "1",
        });
        for key in ["temporaryHold", "eventBasedHold", "retentionExpirationTime", "retention"] {
            if !self.more[key].is_null() {
                shown[key] = self.more[key].clone();
            }
        }
        if let Some((since, until)) = self.deleted {
            shown["softDeleteTime"] = since.to_string().into();
            shown["hardDeleteTime"] = until.to_string().into();
        }
        shown
    }
}

impl Vendor for Gcs {
    fn answer(&mut self, request: &Request) -> Response {
        let segments = request.segments();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        match (request.method.as_str(), &segments[..]) {
            (_, ["token"]) => self.access.token(request),
            ("GET", ["storage", "v1", "b", bucket, "o"]) => self.list(request, bucket),
            ("DELETE", ["storage", "v1", "b", bucket, "o", name]) => self.delete(request, bucket, name),
            ("GET", ["storage", "v1", "b", bucket, "o", name]) => {
                let known = ["generation", "projection", "softDeleted", "restoreToken"];
                if let Err(response) = self.admit(OBJECT, request, READ, &known, bucket) {
                    return response;
                }
                match self.find(request, bucket, name) {
                    Some(at) => Response::json(OBJECT, 200, &self.generations[at].shown()),
                    None => no_object(bucket, name),
                }
            }
            ("GET", ["storage", "v1", "b", bucket]) => {
                if let Err(response) =
                    self.admit(BUCKET, request, READ, &["projection", "generation", "softDeleted"], bucket)
                {
                    return response;
                }
                let seconds = if *bucket == "uploads" { SOFT_DELETE.as_secs() } else { 0 };
                let policy = json!({"retentionDurationSeconds": seconds.to_string()});
                Response::json(
                    BUCKET,
                    200,
                    &json!({"kind": "storage#bucket", "name": bucket, "softDeletePolicy": policy}),
                )
            }
            _ => error("(unknown)", 404, "NOT_FOUND", "Method not found.", &[]),
        }
    }

    fn seed(&mut self, seed: &Value) {
        self.access.seed(seed);
        for object in seed["objects"].as_array().into_iter().flatten() {
            self.write(object);
        }
        if let Some(days) = seed["days_pass"].as_i64() {
            self.later += SignedDuration::from_hours(24 * days);
        }
        if let Some(page) = seed["page"].as_u64().and_then(|page| usize::try_from(page).ok()) {
            self.page = page.max(1);
        }
        if let Some(is_paused) = seed["pause_hard_deletions"].as_bool() {
            self.is_paused = is_paused;
        }
        if seed["restore"] == true {
            let restored = std::mem::take(&mut self.generations);
            for mut one in restored {
                if one.deleted.take().is_some() {
                    self.last += 1;
                    (one.number, one.is_live) = (self.last, true);
                }
                self.generations.push(one);
            }
        }
    }

    /// No rate limit is documented.
    fn limits(&mut self, _: bool) {}
}

fn value<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    request.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

fn no_object(bucket: &str, name: &str) -> Response {
    older(OBJECT, 404, "notFound", &format!("No such object: {bucket}/{name}"))
}

/// The form of errors of this API.
fn older(route: &'static str, code: u16, reason: &str, message: &str) -> Response {
    let errors = json!([{"domain": "global", "reason": reason, "message": message}]);
    Response::json(route, code, &json!({"error": {"code": code, "message": message, "errors": errors}}))
}
