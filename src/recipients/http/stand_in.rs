//! An invented vendor for recipients of the kind `http`: people, jobs, a token that expires.
//!
//! - `DELETE /v1/people/{email}` (bearer `crm_…`): 204, 404 for an unknown person. Any person is known once.
//! - `POST /v1/deletions` with JSON `{"email": …, "reference": …}`: 202 `{"job": {"id": …}}`; the same reference gives the same job.
//! - `GET /v1/jobs/{id}`: `{"status": "working"}`, from the second look `"done"`; a person whose address begins with `refuse`
//!   ends as `"failed"`.
//! - `POST /oauth/token` with client credentials: a token for two minutes.
//! - `GET /v1/me` proves a token.

use crate::recipients::stand_in::{Request, Response, StandIn, Vendor};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

pub static STAND_IN: StandIn = StandIn {
    name: "crm",
    make: || Box::new(Crm::default()),
    settings: "  crm:\n    kind: http\n    url: {url}\n    auth: {bearer: \"${CRM_TOKEN}\"}  # crm_ and anything\n    \
               check: /v1/me\n    delete: {method: DELETE, path: \"/v1/people/{email}\", gone: [404]}\n",
};

#[derive(Default)]
struct Crm {
    gone: BTreeSet<String>,
    jobs: BTreeMap<String, (String, u32)>,
    references: BTreeMap<String, String>,
    tokens: BTreeMap<String, Instant>,
}

impl Vendor for Crm {
    fn answer(&mut self, request: &Request) -> Response {
        let segments = request.segments();
        let segments: Vec<_> = segments.iter().map(String::as_str).collect();
        let id = format!("crm-{}-{}", self.gone.len(), self.jobs.len());
        let response = match (request.method.as_str(), &segments[..]) {
            ("POST", ["oauth", "token"]) => self.token(request),
            _ if !self.is_known(request) => Response::json("(refused)", 401, &json!({"error": "invalid_token"})),
            ("GET", ["v1", "me"]) => Response::json("/v1/me", 200, &json!({"name": "sandbox"})),
            ("DELETE", ["v1", "people", person]) => {
                let route = "/v1/people/{email}";
                match self.gone.insert((*person).to_owned()) {
                    true => Response::empty(route, 204),
                    false => Response::json(route, 404, &json!({"error": "unknown_person"})),
                }
            }
            ("POST", ["v1", "deletions"]) => self.deletion(request),
            ("GET", ["v1", "jobs", job]) => self.job(job),
            _ => Response::json("(unknown)", 404, &json!({"error": "no_such_endpoint"})),
        };
        response.header("x-request-id", id)
    }

    fn seed(&mut self, seed: &Value) {
        let names = |key: &str| seed[key].as_array().cloned().unwrap_or_default();
        for person in names("gone") {
            self.gone.extend(person.as_str().map(str::to_owned));
        }
        if seed["expire_tokens"] == Value::Bool(true) {
            self.tokens.clear();
        }
    }

    fn limits(&mut self, _: bool) {}
}

impl Crm {
    fn is_known(&self, request: &Request) -> bool {
        request.bearer().is_some_and(|token| {
            token.starts_with("crm_") || self.tokens.get(token).is_some_and(|until| request.at < *until)
        }) || request.header("x-api-key").is_some_and(|key| key.starts_with("crm_"))
            || request.basic().is_some_and(|(_, password)| password.starts_with("crm_"))
    }

    fn token(&mut self, request: &Request) -> Response {
        const LASTS: Duration = Duration::from_secs(120);
        let route = "/oauth/token";
        let secret = request.basic().is_some_and(|(_, secret)| secret.starts_with("crm_"));
        let form = request.form().unwrap_or_default();
        let grant = form.iter().any(|(name, value)| name == "grant_type" && value == "client_credentials");
        if !secret || !grant {
            return Response::json(route, 401, &json!({"error": "invalid_client"}));
        }
        let token = format!("token-{}", self.tokens.len() + 1);
        self.tokens.insert(token.clone(), request.at + LASTS);
        Response::json(
            route,
            200,
            &json!({"access_token": token, "token_type": "Bearer", "expires_in": LASTS.as_secs()}),
        )
    }

    fn deletion(&mut self, request: &Request) -> Response {
        let route = "/v1/deletions";
        let Some(body) = request.json() else {
            return Response::json(route, 400, &json!({"error": "not_json"}));
        };
        let (Some(email), Some(reference)) = (body["email"].as_str(), body["reference"].as_str()) else {
            return Response::json(route, 400, &json!({"error": "email and reference are needed"}));
        };
        let number = self.jobs.len() + 1;
        let job = self.references.entry(reference.to_owned()).or_insert_with(|| format!("job-{number}")).clone();
        self.jobs.entry(job.clone()).or_insert_with(|| (email.to_owned(), 0));
        Response::json(route, 202, &json!({"job": {"id": job}}))
    }

    fn job(&mut self, job: &str) -> Response {
        let route = "/v1/jobs/{id}";
        let Some((email, looks)) = self.jobs.get_mut(job) else {
            return Response::json(route, 404, &json!({"error": "unknown_job"}));
        };
        *looks += 1;
        let status = match (*looks, email.starts_with("refuse")) {
            (0 | 1, _) => "working",
            (_, true) => "failed",
            (_, false) => "done",
        };
        Response::json(route, 200, &json!({"status": status}))
    }
}
