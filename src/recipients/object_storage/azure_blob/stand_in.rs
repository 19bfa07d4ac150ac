//! A stand-in of Azure Blob Storage: lists, deletion, versions, snapshots, soft delete, leases, policies and holds.
//!
//! After the REST documentation of List Blobs, Delete Blob and Shared Key. The account is `examplestore`; its key is any text in base64 whose
//! first bytes are `sandbox`; a shared access signature is `sv=…&sp=…&sig=sandbox`, whose permissions count. The container is `uploads`.
//!
//! Seed: `{"versions": true, "soft_delete": 7, "allow_permanent": true, "hierarchical": true, "page": 2, "days_pass": 8, "blobs": [{"name":
//! "id/7.jpg", "snapshot": true, "lease": true, "legal_hold": true, "until": "Sun, 03 Feb 2041 00:00:00 GMT", "mode": "locked",
//! "policy_of_container": true}]}`. Writing a blob again makes a new version, where the account has them.

use crate::recipients::stand_in::{Request, Response, StandIn, Vendor};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::{SignedDuration, Timestamp};
use ring::hmac;
use serde_json::Value;
use std::fmt::Write as _;

pub static STAND_IN: StandIn = StandIn {
    name: "azure_blob",
    make: || Box::new(AzureBlob::default()),
    settings: "  azure_blob:\n    url: {url}\n    account: examplestore\n    container: uploads\n    keys: [\"id/{document}.jpg\"]\n    key: \
               \"${AZURE_KEY}\"  # c2FuZGJveA==\n",
};

const LIST: &str = "/{container}?comp=list";
const BLOB: &str = "/{container}/{blob}";
const ACCOUNT: &str = "/?restype=account&comp=properties";

/// The key of the account.
const KEY: &[u8] = b"sandbox";

const NAME: &str = "examplestore";

/// One state of a blob.
#[derive(Default)]
struct State {
    name: String,
    version: Option<String>,
    snapshot: Option<String>,
    is_current: bool,
    /// Since when it is soft-deleted.
    deleted: Option<Timestamp>,
    more: Value,
}

#[derive(Default)]
struct AzureBlob {
    states: Vec<State>,
    versions: bool,
    soft_delete: i64,
    allow_permanent: bool,
    hierarchical: bool,
    page: Option<usize>,
    later: SignedDuration,
    written: u32,
}

impl AzureBlob {
    fn now(&self) -> Timestamp {
        Timestamp::now() + self.later
    }

    /// A time that names a version or a snapshot.
    fn moment(&mut self) -> String {
        self.written += 1;
        format!("2026-11-29T01:02:03.{:07}Z", self.written)
    }

    fn write(&mut self, blob: &Value) {
        let name = blob["name"].as_str().unwrap_or_default().to_owned();
        if self.versions {
            for old in self.states.iter_mut().filter(|old| old.name == name) {
                old.is_current = false;
            }
        } else {
            self.states.retain(|old| old.name != name || old.snapshot.is_some() || old.deleted.is_some());
        }
        let version = self.versions.then(|| self.moment());
        self.states.push(State {
            name: name.clone(),
            version,
            is_current: true,
            more: blob.clone(),
            ..State::default()
        });
        if blob["snapshot"] == true {
            let snapshot = Some(self.moment());
            self.states.push(State { name, snapshot, ..State::default() });
        }
    }

    /// Whether whoever asks is the account, or has the permission.
    fn admit(&self, route: &'static str, request: &Request, permission: char) -> Result<(), Response> {
        if request.header("x-ms-version").is_none_or(|version| version < "2020-02-10") {
            return Err(failed(route, 400, "InvalidHeaderValue"));
        }
        if let Some(signature) = value(request, "sig") {
            let permissions = value(request, "sp").unwrap_or_default();
            return match (signature == "sandbox", permissions.contains(permission)) {
                (true, true) => Ok(()),
                (true, false) => Err(failed(route, 403, "AuthorizationPermissionMismatch")),
                (false, _) => Err(failed(route, 403, "AuthenticationFailed")),
            };
        }
        if request.bearer().is_some_and(|token| token == "sandbox") {
            return Ok(());
        }
        if request.bearer().is_some() {
            return Err(failed(route, 401, "InvalidAuthenticationInfo"));
        }
        let given = request.header("authorization").and_then(|text| text.strip_prefix("SharedKey examplestore:"));
        let given = given.and_then(|code| STANDARD.decode(code).ok()).unwrap_or_default();
        match hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, KEY), to_sign(request).as_bytes(), &given) {
            Ok(()) => Ok(()),
            Err(_) => Err(failed(route, 403, "AuthenticationFailed")),
        }
    }

    fn forget_what_is_over(&mut self) {
        let (now, kept) = (self.now(), SignedDuration::from_hours(24 * self.soft_delete));
        self.states.retain(|state| state.deleted.is_none_or(|since| since + kept > now));
    }

    fn list(&mut self, request: &Request) -> Response {
        if let Err(response) = self.admit(LIST, request, 'l') {
            return response;
        }
        let known =
            ["restype", "comp", "prefix", "delimiter", "marker", "maxresults", "include", "timeout", "sv", "sp", "sig"];
        let unknown = request.query.iter().any(|(name, _)| !known.contains(&name.as_str()));
        if unknown || value(request, "restype") != Some("container") {
            return failed(LIST, 400, "InvalidQueryParameterValue");
        }
        self.forget_what_is_over();
        let include: Vec<&str> = value(request, "include").unwrap_or_default().split(',').collect();
        let prefix = value(request, "prefix").unwrap_or_default();
        let listed = |state: &&State| {
            state.name.starts_with(prefix)
                && (state.snapshot.is_none() || include.contains(&"snapshots"))
                && (state.version.is_none() || state.is_current || include.contains(&"versions"))
                && (state.deleted.is_none() || include.contains(&"deleted") && !self.hierarchical)
        };
        let mut found: Vec<&State> = self.states.iter().filter(listed).collect();
        found.sort_by(|a, b| (&a.name, &a.snapshot, &a.version).cmp(&(&b.name, &b.snapshot, &b.version)));
        let first = value(request, "marker").and_then(|marker| marker.parse().ok()).unwrap_or(0);
        let most = value(request, "maxresults").and_then(|most| most.parse().ok()).unwrap_or(5000);
        let page = self.page.unwrap_or(5000).min(most);
        let mut xml = format!(
            "\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?><EnumerationResults ServiceEndpoint=\"https://x/\" \
             ContainerName=\"uploads\"><Prefix>{}</Prefix><Blobs>",
            escaped(prefix)
        );
        for state in found.iter().skip(first).take(page) {
            xml.push_str("<Blob>");
            state.show(&mut xml, self.now(), self.soft_delete);
            xml.push_str("</Blob>");
        }
        let next = if first + page < found.len() { (first + page).to_string() } else { String::new() };
        let _ = write!(xml, "</Blobs><NextMarker>{next}</NextMarker></EnumerationResults>");
        Response { body: xml.into_bytes(), ..Response::empty(LIST, 200) }.header("content-type", "application/xml")
    }

    /// The place of the state that a request names, deleted or not.
    fn find(&self, request: &Request, name: &str) -> Option<usize> {
        let (snapshot, version) = (value(request, "snapshot"), value(request, "versionid"));
        let fits = |state: &State| match (snapshot, version) {
            (Some(snapshot), _) => state.snapshot.as_deref() == Some(snapshot),
            (None, Some(version)) => state.version.as_deref() == Some(version),
            (None, None) => state.snapshot.is_none() && state.is_current,
        };
        self.states.iter().position(|state| state.name == name && fits(state))
    }

    fn delete(&mut self, request: &Request, name: &str) -> Response {
        let is_of_version = value(request, "versionid").is_some();
        let is_permanent = value(request, "deletetype").is_some();
        let permission = if is_permanent {
            'y'
        } else if is_of_version {
            'x'
        } else {
            'd'
        };
        if let Err(response) = self.admit(BLOB, request, permission) {
            return response;
        }
        self.forget_what_is_over();
        let named = value(request, "snapshot").is_some() || is_of_version;
        let snapshots = request.header("x-ms-delete-snapshots");
        if named && snapshots.is_some() || is_permanent && (!named || value(request, "deletetype") != Some("permanent"))
        {
            return failed(BLOB, 400, "InvalidQueryParameterValue");
        }
        let Some(at) = self.find(request, name) else { return failed(BLOB, 404, "BlobNotFound") };
        let now = self.now();
        if is_permanent {
            return match (self.allow_permanent, self.states[at].deleted) {
                (true, Some(_)) => {
                    self.states.remove(at);
                    Response::empty(BLOB, 202)
                }
                _ => failed(BLOB, 409, "OperationNotAllowed"),
            };
        }
        let found = &self.states[at];
        if found.deleted.is_some() {
            return failed(BLOB, 404, "BlobNotFound");
        }
        if is_of_version && found.is_current {
            return failed(BLOB, 403, "OperationNotAllowedOnRootBlob");
        }
        if found.more["legal_hold"] == true {
            return failed(BLOB, 409, "BlobImmutableDueToLegalHold");
        }
        if found.more["until"].is_string() || found.more["policy_of_container"] == true {
            return failed(BLOB, 409, "BlobImmutableDueToPolicy");
        }
        if found.more["lease"] == true && !named && request.header("x-ms-lease-id").is_none() {
            return failed(BLOB, 412, "LeaseIdMissing");
        }
        let is_snapshot = |state: &State| state.name == name && state.snapshot.is_some() && state.deleted.is_none();
        if !named && snapshots != Some("include") && self.states.iter().any(is_snapshot) {
            return failed(BLOB, 409, "SnapshotsPresent");
        }
        let goes: Vec<bool> =
            self.states.iter().enumerate().map(|(i, state)| i == at || !named && is_snapshot(state)).collect();
        for (state, _) in self.states.iter_mut().zip(&goes).filter(|(_, goes)| **goes) {
            if !named && state.version.is_some() {
                // it becomes a previous version
                state.is_current = false;
            } else {
                state.deleted = Some(now);
            }
        }
        self.forget_what_is_over();
        Response::empty(BLOB, 202)
    }

    fn head(&mut self, request: &Request, name: &str) -> Response {
        if let Err(response) = self.admit(BLOB, request, 'r') {
            return Response { body: Vec::new(), ..response };
        }
        let Some(at) = self.find(request, name) else { return Response::empty(BLOB, 404) };
        let more = &self.states[at].more;
        let mut response =
            Response::empty(BLOB, 200).header("x-ms-legal-hold", (more["legal_hold"] == true).to_string());
        if let Some(until) = more["until"].as_str() {
            response = response.header("x-ms-immutability-policy-until-date", until);
            response = response.header("x-ms-immutability-policy-mode", more["mode"].as_str().unwrap_or("locked"));
        }
        response
    }
}

impl State {
    fn show(&self, xml: &mut String, now: Timestamp, kept: i64) {
        let mut element = |name: &str, text: &str| {
            let _ = write!(xml, "<{name}>{}</{name}>", escaped(text));
        };
        element("Name", &self.name);
        if self.deleted.is_some() {
            element("Deleted", "true");
        }
        if let Some(snapshot) = &self.snapshot {
            element("Snapshot", snapshot);
        }
        if let Some(version) = &self.version {
            element("VersionId", version);
        }
        if self.version.is_some() && self.is_current {
            element("IsCurrentVersion", "true");
        }
        xml.push_str("<Properties><Etag>0x1</Etag><BlobType>BlockBlob</BlobType>");
        if let Some(since) = self.deleted {
            let left = (SignedDuration::from_hours(24 * kept) - now.duration_since(since)).as_hours() / 24;
            let since = since.strftime("%a, %d %b %Y %H:%M:%S GMT");
            let _ = write!(xml, "<DeletedTime>{since}</DeletedTime>");
            let _ = write!(xml, "<RemainingRetentionDays>{left}</RemainingRetentionDays>");
        }
        xml.push_str("</Properties>");
    }
}

impl Vendor for AzureBlob {
    fn answer(&mut self, request: &Request) -> Response {
        let segments = request.segments();
        let container = segments.first().map(String::as_str).unwrap_or_default();
        let name = segments.get(1..).unwrap_or_default().join("/");
        if value(request, "restype") == Some("account") {
            return match self.admit(ACCOUNT, request, 'r') {
                Ok(()) => Response::empty(ACCOUNT, 200)
                    .header("x-ms-account-kind", "StorageV2")
                    .header("x-ms-is-hns-enabled", self.hierarchical.to_string()),
                Err(response) => response,
            };
        }
        match (request.method.as_str(), container, name.as_str()) {
            // who asks is looked at first
            (_, other, _) if other != "uploads" => match self.admit(LIST, request, 'l') {
                Ok(()) => failed(LIST, 404, "ContainerNotFound"),
                Err(response) => response,
            },
            ("GET", _, "") if value(request, "comp") == Some("list") => self.list(request),
            ("DELETE", _, name) if !name.is_empty() => self.delete(request, name),
            ("HEAD", _, name) if !name.is_empty() => self.head(request, name),
            _ => failed("(unknown)", 400, "UnsupportedHttpVerb"),
        }
    }

    fn seed(&mut self, seed: &Value) {
        let set = |flag: &mut bool, name: &str| *flag = seed[name].as_bool().unwrap_or(*flag);
        set(&mut self.versions, "versions");
        set(&mut self.allow_permanent, "allow_permanent");
        set(&mut self.hierarchical, "hierarchical");
        self.soft_delete = seed["soft_delete"].as_i64().unwrap_or(self.soft_delete);
        if let Some(page) = seed["page"].as_u64().and_then(|page| usize::try_from(page).ok()) {
            self.page = Some(page);
        }
        if let Some(days) = seed["days_pass"].as_i64() {
            self.later += SignedDuration::from_hours(24 * days);
        }
        for blob in seed["blobs"].as_array().into_iter().flatten() {
            self.write(blob);
        }
    }

    /// The limits are those of the account's bandwidth.
    fn limits(&mut self, _: bool) {}
}

/// The text that Shared Key signs, of a request without a body.
fn to_sign(request: &Request) -> String {
    let standard = [
        "content-encoding",
        "content-language",
        "content-length",
        "content-md5",
        "content-type",
        "date",
        "if-modified-since",
        "if-match",
        "if-none-match",
        "if-unmodified-since",
        "range",
    ];
    let mut text = format!("{}\n", request.method);
    for name in standard {
        let value = request.header(name).filter(|value| !(name == "content-length" && *value == "0"));
        let _ = writeln!(text, "{}", value.unwrap_or_default());
    }
    for (name, value) in request.headers.iter().filter(|(name, _)| name.starts_with("x-ms-")) {
        let _ = writeln!(text, "{name}:{value}");
    }
    let _ = write!(text, "/{NAME}/azure_blob{}", request.path);
    let mut query = request.query.clone();
    query.sort();
    for (name, value) in query {
        let _ = write!(text, "\n{}:{value}", name.to_lowercase());
    }
    text
}

fn value<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    request.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

fn failed(route: &'static str, status: u16, code: &str) -> Response {
    let xml =
        format!("<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>{code}</Code><Message>no</Message></Error>");
    let response = Response { body: xml.into_bytes(), ..Response::empty(route, status) };
    response.header("x-ms-error-code", code).header("content-type", "application/xml")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
