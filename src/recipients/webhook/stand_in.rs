//! A system of the company's own behind a webhook (Standard Webhooks): people by `customer`, deleted on signed
//! requests.
//!
//! - The secret is `whsec_` and the base64 of `sandbox-webhook-secret-0123456789`; a signature must be right, and its
//!   time within five minutes.
//! - `POST /hooks/sunset`: `deletion.requested` deletes; `check` does nothing. The same `webhook-id` gives the same
//!   answer again.
//! - `GET /hooks/jobs/{id}`: `pending` at the first look, then `deleted`.
//!
//! Seed: `{"mode": "all"}` (204, by default), `"each"` (200 with results), `"later"` (202 with a status URL),
//! `"elsewhere"` (202 with one of another host), `"vague"` (200 without results), `"partial"` (200 with results for all
//! but the last); `{"customers": {"42": {"status": "kept", "reason": "law"}}}` for results; `{"forget_jobs": true}`.

use crate::recipients::stand_in::{Request, Response, StandIn, Vendor};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::Sha256;
use std::collections::{BTreeMap, BTreeSet};

pub static STAND_IN: StandIn = StandIn {
    name: "webhook",
    make: || Box::new(Own { mode: "all".to_owned(), ..Own::default() }),
    settings: "  webhook:\n    url: {url}/hooks/sunset\n    # whsec_c2FuZGJveC13ZWJob29rLXNlY3JldC0wMTIzNDU2Nzg5\n    secret: \
               \"${WEBHOOK_SECRET}\"\n    identifiers: [customer]\n",
};

const SECRET: &[u8] = b"sandbox-webhook-secret-0123456789";
const TOLERANCE: i64 = 5 * 60;
const HOOK: &str = "/hooks/sunset";
const JOB: &str = "/hooks/jobs/{id}";

#[derive(Default)]
struct Own {
    mode: String,
    /// What is answered about a customer, where it is not `deleted`.
    special: BTreeMap<String, Value>,
    deleted: BTreeSet<String>,
    /// Message id to answer.
    answered: BTreeMap<String, Response>,
    /// Looks so far.
    jobs: BTreeMap<String, u32>,
}

impl Vendor for Own {
    fn answer(&mut self, request: &Request) -> Response {
        let route = if request.path == HOOK { HOOK } else { JOB };
        let Some(id) = verified(request) else {
            return Response::json(route, 401, &json!({"error": "the signature is wrong"}));
        };
        let number = self.answered.len() + self.jobs.len();
        let response = match (request.method.as_str(), request.path.strip_prefix("/hooks/jobs/")) {
            ("POST", None) if request.path == HOOK => self.post(request, &id),
            ("GET", Some(job)) if request.body.is_empty() => self.job(job),
            _ => Response::json(route, 404, &json!({"error": "nothing is here"})),
        };
        response.header("x-request-id", format!("own-{number}"))
    }

    fn seed(&mut self, seed: &Value) {
        if let Some(mode) = seed["mode"].as_str() {
            self.mode = mode.to_owned();
        }
        for (customer, result) in seed["customers"].as_object().into_iter().flatten() {
            self.special.insert(customer.clone(), result.clone());
        }
        if seed["forget_jobs"] == Value::Bool(true) {
            self.jobs.clear();
        }
    }

    fn limits(&mut self, _: bool) {}
}

/// The message's id, if the signature is right.
fn verified(request: &Request) -> Option<String> {
    let (id, time) = (request.header("webhook-id")?, request.header("webhook-timestamp")?);
    let seconds: i64 = time.parse().ok()?;
    if (Timestamp::now().as_second() - seconds).abs() > TOLERANCE {
        return None;
    }
    let signatures = request.header("webhook-signature")?.split(' ');
    let right = signatures.filter_map(|signature| signature.strip_prefix("v1,")).any(|signature| {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(SECRET) else { return false };
        mac.update([id.as_bytes(), b".", time.as_bytes(), b".", &request.body].concat().as_slice());
        BASE64_STANDARD.decode(signature).is_ok_and(|signature| mac.verify_slice(&signature).is_ok())
    });
    right.then(|| id.to_owned())
}

impl Own {
    fn post(&mut self, request: &Request, id: &str) -> Response {
        let wrong = |what: &str| Response::json(HOOK, 400, &json!({"error": what}));
        let Some(body) = request.json() else { return wrong("the body is no JSON") };
        if request.header("idempotency-key") != Some(id) {
            return wrong("idempotency-key and webhook-id differ");
        }
        match body["type"].as_str() {
            Some("check") => return Response::empty(HOOK, 204),
            Some("deletion.requested") => {}
            _ => return wrong("the type is unknown"),
        }
        if let Some(answer) = self.answered.get(id) {
            return answer.clone();
        }
        let mut subjects = Vec::new();
        for subject in body["data"]["subjects"].as_array().into_iter().flatten() {
            let identifiers = subject["identifiers"].as_object();
            let customer =
                identifiers.filter(|identifiers| identifiers.len() == 1).and_then(|map| map["customer"].as_str());
            let (Some(reference), Some(customer)) = (subject["reference"].as_str(), customer) else {
                return wrong("each subject has a reference and the identifier `customer`");
            };
            if reference.len() != 32 {
                return wrong("a reference has 32 digits");
            }
            subjects.push((reference.to_owned(), customer.to_owned()));
        }
        if subjects.is_empty() {
            return wrong("there are no subjects");
        }
        let job = format!("job-{}", self.jobs.len() + 1);
        let answer = match self.mode.as_str() {
            "later" => {
                self.jobs.insert(job.clone(), 0);
                Response::empty(HOOK, 202).header("location", format!("{}/hooks/jobs/{job}", base(request)))
            }
            "elsewhere" => Response::empty(HOOK, 202).header("location", "https://elsewhere.example/jobs/1"),
            "vague" => Response::json(HOOK, 200, &json!({"message": "thank you"})),
            "each" | "partial" => {
                let told = subjects.len() - usize::from(self.mode == "partial");
                let results: Vec<_> =
                    subjects[..told].iter().map(|(reference, customer)| self.result(reference, customer)).collect();
                Response::json(HOOK, 200, &json!({"results": results}))
            }
            _ => Response::empty(HOOK, 204),
        };
        self.deleted.extend(subjects.into_iter().map(|(_, customer)| customer));
        self.answered.insert(id.to_owned(), answer.clone());
        answer
    }

    fn result(&self, reference: &str, customer: &str) -> Value {
        let mut result = match self.special.get(customer) {
            Some(special) => special.clone(),
            None if self.deleted.contains(customer) => json!({"status": "gone"}),
            None => json!({"status": "deleted"}),
        };
        result["reference"] = reference.into();
        result
    }

    fn job(&mut self, job: &str) -> Response {
        let Some(looks) = self.jobs.get_mut(job) else {
            return Response::json(JOB, 410, &json!({"error": "not known any more"}));
        };
        *looks += 1;
        let status = if *looks == 1 { "pending" } else { "deleted" };
        Response::json(JOB, 200, &json!({"status": status})).header("retry-after", "30")
    }
}

/// Where this vendor is served.
fn base(request: &Request) -> String {
    format!("http://{}/webhook", request.header("host").unwrap_or_default())
}
