//! A stand-in of Google Analytics: `submitUserDeletion` of the Admin API, and the User Deletion API v3.
//!
//! After the discovery documents `analyticsadmin.v1alpha` and `analytics.v3`, and their pages of quotas. There is one property,
//! 123456789. Seed: `{"properties": ["987"], "firebase_projects": ["my-app"], "quota": 500, "new_day": true,
//! "retention": {"eventDataRetention": "TWO_MONTHS"}}`, and what [`google`](crate::recipients::google::stand_in) says.

use crate::recipients::{
    google::stand_in::{Access, error, info, unknown_name},
    stand_in::{Request, Response, StandIn, Vendor, Window},
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

pub static STAND_IN: StandIn = StandIn {
    name: "google_analytics",
    make: || Box::new(GoogleAnalytics::new()),
    settings: "  google_analytics:\n    url: {url}\n    token_url: {url}/token\n    property: 123456789\n    client_id: \
               sandbox\n    client_secret: \"${GOOGLE_CLIENT_SECRET}\"  # anything\n    refresh_token: \
               \"${GOOGLE_REFRESH_TOKEN}\"  # 1// and anything\n",
};

const ADMIN: &str = "/v1alpha/properties/{property}:submitUserDeletion";
const PROPERTY: &str = "/v1alpha/properties/{property}";
const RETENTION: &str = "/v1alpha/properties/{property}/dataRetentionSettings";
const V3: &str = "/analytics/v3/userDeletion/userDeletionRequests:upsert";

struct GoogleAnalytics {
    access: Access,
    properties: BTreeSet<String>,
    projects: BTreeSet<String>,
    /// Property or project to the deletions of this day.
    today: BTreeMap<String, u32>,
    quota: u32,
    limits: bool,
    writes: Window,
    queries: Window,
    deletions: u64,
    /// `DataRetentionSettings`, without their name.
    retention: Value,
}

impl GoogleAnalytics {
    fn new() -> Self {
        Self {
            access: Access::default(),
            properties: BTreeSet::from(["123456789".to_owned()]),
            projects: BTreeSet::new(),
            today: BTreeMap::new(),
            quota: 500,
            limits: true,
            writes: Window::new(180, Duration::from_secs(60)),
            queries: Window::new(3, Duration::from_secs(2)),
            deletions: 0,
            retention: json!({"eventDataRetention": "TWO_MONTHS", "userDataRetention": "TWO_MONTHS"}),
        }
    }

    /// Whether the day's quota of this property is used up; counts if not.
    fn is_used_up(&mut self, target: &str) -> bool {
        let used = self.today.entry(target.to_owned()).or_default();
        if self.limits && *used >= self.quota {
            return true;
        }
        *used += 1;
        false
    }

    fn time(&mut self) -> String {
        self.deletions += 1;
        format!("2026-11-22T02:{:02}:{:02}.000Z", self.deletions / 60 % 60, self.deletions % 60)
    }

    fn admin(&mut self, request: &Request, property: &str) -> Response {
        if let Err(response) = self.access.admit(ADMIN, request, &["https://www.googleapis.com/auth/analytics.edit"]) {
            return response;
        }
        let invalid = |message: &str| error(ADMIN, 400, "INVALID_ARGUMENT", message, &[]);
        let Some(body) = request.json().filter(Value::is_object) else {
            return invalid("Invalid JSON payload received.");
        };
        if let Some(name) = unknown_name(&body, &["userId", "clientId", "appInstanceId", "userProvidedData"]) {
            return invalid(&format!("Invalid JSON payload received. Unknown name \"{name}\": Cannot find field."));
        }
        let given: Vec<_> = body.as_object().into_iter().flatten().collect();
        let [(name, Value::String(text))] = given[..] else { return invalid("Exactly one id must be given.") };
        if text.is_empty() || (name == "userProvidedData" && !is_normalized(text)) {
            return invalid("The id is not valid.");
        }
        if !self.properties.contains(property) {
            return error(ADMIN, 403, "PERMISSION_DENIED", "The caller does not have permission", &[]);
        }
        if self.limits && self.writes.is_over(ADMIN, request.at) {
            let limit =
                json!({"quota_limit": "WritesPerMinutePerUserPerProject", "quota_unit": "1/min/{project}/{user}"});
            let details = [info("RATE_LIMIT_EXCEEDED", &limit)];
            return error(ADMIN, 429, "RESOURCE_EXHAUSTED", "Quota exceeded for quota metric 'Writes'", &details);
        }
        if self.is_used_up(property) {
            let limit = json!({"quota_limit": "UserDeletionsPerDayPerProperty", "quota_limit_value": "500"});
            let details = [info("RATE_LIMIT_EXCEEDED", &limit)];
            return error(
                ADMIN,
                429,
                "RESOURCE_EXHAUSTED",
                "Quota exceeded for quota metric 'User deletions'",
                &details,
            );
        }
        Response::json(ADMIN, 200, &json!({"deletionRequestTime": self.time()}))
    }

    /// Whoever may edit may read.
    fn read(
        &mut self,
        route: &'static str,
        request: &Request,
        property: &str,
        body: impl Fn(&Self) -> Value,
    ) -> Response {
        const SCOPES: &[&str] =
            &["https://www.googleapis.com/auth/analytics.edit", "https://www.googleapis.com/auth/analytics.readonly"];
        match self.access.admit(route, request, SCOPES) {
            Err(response) => response,
            Ok(()) if !self.properties.contains(property) => {
                error(route, 403, "PERMISSION_DENIED", "The caller does not have permission", &[])
            }
            Ok(()) => Response::json(route, 200, &body(self)),
        }
    }

    fn v3(&mut self, request: &Request) -> Response {
        if let Err(response) =
            self.access.admit(V3, request, &["https://www.googleapis.com/auth/analytics.user.deletion"])
        {
            return response;
        }
        let Some(body) = request.json().filter(Value::is_object) else { return older(V3, 400, "parseError") };
        let known = ["kind", "id", "propertyId", "webPropertyId", "firebaseProjectId"];
        if unknown_name(&body, &known).is_some() || unknown_name(&body["id"], &["type", "userId"]).is_some() {
            return older(V3, 400, "invalidParameter");
        }
        if !(body["kind"].is_null() || body["kind"] == "analytics#userDeletionRequest") {
            return older(V3, 400, "invalidParameter");
        }
        let kind = body["id"]["type"].as_str().unwrap_or_default();
        if body["id"]["userId"].as_str().is_none_or(str::is_empty) {
            return older(V3, 400, "required");
        }
        let target = match (body["propertyId"].as_str(), body["firebaseProjectId"].as_str()) {
            (Some(property), None) if body["webPropertyId"].is_null() => {
                if !["CLIENT_ID", "USER_ID", "APP_INSTANCE_ID"].contains(&kind) {
                    return older(V3, 400, "invalidParameter");
                }
                if !self.properties.contains(property) {
                    return older(V3, 403, "insufficientPermissions");
                }
                property.to_owned()
            }
            (None, Some(project)) if body["webPropertyId"].is_null() => {
                if kind != "APP_INSTANCE_ID" {
                    return older(V3, 400, "invalidParameter");
                }
                if !self.projects.contains(project) {
                    return older(V3, 403, "insufficientPermissions");
                }
                project.to_owned()
            }
            _ => return older(V3, 400, "invalidParameter"),
        };
        if self.limits && self.queries.is_over(V3, request.at) {
            return older(V3, 403, "rateLimitExceeded");
        }
        if self.is_used_up(&target) {
            return older(V3, 403, "dailyLimitExceeded");
        }
        let mut answer = body;
        answer["kind"] = "analytics#userDeletionRequest".into();
        answer["deletionRequestTime"] = self.time().into();
        Response::json(V3, 200, &answer)
    }
}

impl Vendor for GoogleAnalytics {
    fn answer(&mut self, request: &Request) -> Response {
        let segments = request.segments();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        match (request.method.as_str(), &segments[..]) {
            (_, ["token"]) => self.access.token(request),
            ("POST", ["v1alpha", "properties", name]) => match name.strip_suffix(":submitUserDeletion") {
                Some(property) => self.admin(request, property),
                None => error("(unknown)", 404, "NOT_FOUND", "Method not found.", &[]),
            },
            ("GET", ["v1alpha", "properties", property]) => {
                self.read(PROPERTY, request, property, |_| json!({"name": format!("properties/{property}")}))
            }
            // a truth value that is false is left out, as in all of Google's answers
            ("GET", ["v1alpha", "properties", property, "dataRetentionSettings"]) => {
                self.read(RETENTION, request, property, |analytics| {
                    let mut settings = analytics.retention.clone();
                    settings["name"] = format!("properties/{property}/dataRetentionSettings").into();
                    settings
                })
            }
            ("POST", ["analytics", "v3", "userDeletion", "userDeletionRequests:upsert"]) => self.v3(request),
            _ => error("(unknown)", 404, "NOT_FOUND", "Method not found.", &[]),
        }
    }

    fn seed(&mut self, seed: &Value) {
        self.access.seed(seed);
        let texts = |key: &str| -> Vec<String> {
            seed[key].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
        };
        self.properties.extend(texts("properties"));
        self.projects.extend(texts("firebase_projects"));
        if let Some(quota) = seed["quota"].as_u64().and_then(|quota| u32::try_from(quota).ok()) {
            self.quota = quota;
        }
        for (key, value) in seed["retention"].as_object().into_iter().flatten() {
            self.retention[key] = value.clone();
        }
        if seed["new_day"] == true {
            self.today.clear();
        }
    }

    fn limits(&mut self, on: bool) {
        self.limits = on;
    }
}

/// The older form of Google's errors.
fn older(route: &'static str, code: u16, reason: &str) -> Response {
    let errors =
        json!([{"domain": if code == 403 { "usageLimits" } else { "global" }, "reason": reason, "message": reason}]);
    Response::json(route, code, &json!({"error": {"code": code, "message": reason, "errors": errors}}))
}

/// One e-mail address or phone number as the discovery document describes it.
fn is_normalized(text: &str) -> bool {
    if let Some(digits) = text.strip_prefix('+') {
        return !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    }
    let Some((user, domain)) = text.split_once('@') else { return false };
    let small = !text.contains(|c: char| c.is_uppercase() || c.is_whitespace());
    small && !(domain == "gmail.com" || domain == "googlemail.com") || (small && !user.contains('.'))
}
