//! A stand-in of Stripe: customers, payment methods, subscriptions, redaction jobs.
//!
//! After <https://docs.stripe.com/api> and the types of stripe-python 16.1.0b1. Seed: `{"customers": ["cus_1", …], "payment_methods":
//! {"pm_1": "cus_1"}, "subscriptions": {"sub_1": "cus_1"}, "blocked": {"cus_1": "ch_1"}, "nameless": ["cus_2"]}`; what is
//! `blocked` cannot be redacted because of that charge, and nothing says to whom the charge belongs.

use crate::recipients::stand_in::{Request, Response, StandIn, Vendor, Window};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

pub static STAND_IN: StandIn = StandIn {
    name: "stripe",
    make: || Box::new(Stripe::new()),
    settings: "  stripe:\n    url: {url}\n    api_key: \"${STRIPE_KEY}\"  # sk_test_ and anything\n",
};

/// An idempotency key has at most so many characters.
const LONGEST_KEY: usize = 255;

struct Stripe {
    /// To whether it is deleted.
    customers: BTreeMap<String, bool>,
    redacted: BTreeSet<String>,
    /// To the customer that it is attached to.
    payment_methods: BTreeMap<String, Option<String>>,
    /// To customer, and whether it is cancelled.
    subscriptions: BTreeMap<String, (String, bool)>,
    blocked: BTreeMap<String, String>,
    jobs: BTreeMap<String, Job>,
    /// Idempotency key to the request and its answer.
    keys: BTreeMap<String, (String, Response)>,
    window: Option<Window>,
    requests: u64,
}

struct Job {
    customers: Vec<String>,
    status: &'static str,
    looks: u32,
    /// Code and object.
    errors: Vec<(&'static str, String, &'static str)>,
}

impl Stripe {
    fn new() -> Self {
        Self {
            customers: BTreeMap::new(),
            redacted: BTreeSet::new(),
            payment_methods: BTreeMap::new(),
            subscriptions: BTreeMap::new(),
            blocked: BTreeMap::new(),
            jobs: BTreeMap::new(),
            keys: BTreeMap::new(),
            window: Some(limit()),
            requests: 0,
        }
    }
}

/// A sandbox takes 25 requests a second at each endpoint.
fn limit() -> Window {
    Window::new(25, Duration::from_secs(1))
}

fn error(route: &'static str, status: u16, kind: &str, code: Option<&str>, message: &str) -> Response {
    let mut error = json!({"type": kind, "message": message});
    if let Some(code) = code {
        error["code"] = code.into();
    }
    Response::json(route, status, &json!({"error": error}))
}

fn invalid(route: &'static str, message: &str) -> Response {
    error(route, 400, "invalid_request_error", None, message)
}

fn missing(route: &'static str, what: &str, id: &str) -> Response {
    error(route, 404, "invalid_request_error", Some("resource_missing"), &format!("No such {what}: '{id}'"))
}

impl Vendor for Stripe {
    fn answer(&mut self, request: &Request) -> Response {
        self.requests += 1;
        let id = format!("req_{:014}", self.requests);
        let response = self.checked(request);
        let response = match request.header("idempotency-key") {
            Some(key) if request.method == "POST" => response.header("idempotency-key", key),
            _ => response,
        };
        response.header("request-id", id)
    }

    fn seed(&mut self, seed: &Value) {
        let texts = |key: &str| -> Vec<(String, String)> {
            let entries = seed[key].as_object().into_iter().flatten();
            entries.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
        };
        for customer in seed["customers"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            self.customers.insert(customer.to_owned(), false);
        }
        self.payment_methods.extend(texts("payment_methods").into_iter().map(|(method, to)| (method, Some(to))));
        self.subscriptions.extend(texts("subscriptions").into_iter().map(|(name, of)| (name, (of, false))));
        self.blocked.extend(texts("blocked"));
    }

    fn limits(&mut self, on: bool) {
        self.window = on.then(limit);
    }
}

impl Stripe {
    fn checked(&mut self, request: &Request) -> Response {
        let key = request.bearer().map(str::to_owned).or_else(|| request.basic().map(|(user, _)| user));
        match key {
            Some(key) if key.starts_with("sk_test_") || key.starts_with("rk_test_") => {}
            Some(key) if key.starts_with("sk_live_") => {
                let message = "No such customer; a similar object exists in test mode, but a live mode key was used";
                return error("(key)", 404, "invalid_request_error", Some("resource_missing"), message);
            }
            _ => return error("(key)", 401, "invalid_request_error", None, "Invalid API Key provided"),
        }
        let Some(form) = request.form() else {
            return invalid(
                "(body)",
                "Invalid request (check that your POST content type is application/x-www-form-urlencoded)",
            );
        };
        let Some(key) = request.header("idempotency-key").filter(|_| request.method == "POST") else {
            return self.routed(request, &form);
        };
        if key.len() > LONGEST_KEY {
            return error("(key)", 400, "idempotency_error", None, "Idempotency keys have at most 255 characters");
        }
        let asked = format!("{} {} {form:?}", request.method, request.path);
        if let Some((first, response)) = self.keys.get(key) {
            if *first == asked {
                return response.clone().header("idempotent-replayed", "true");
            }
            let message =
                "Keys for idempotent requests can only be used with the same parameters they were first used with.";
            return error("(key)", 400, "idempotency_error", None, message);
        }
        let response = self.routed(request, &form);
        if response.status != 429 {
            self.keys.insert(key.to_owned(), (asked, response.clone()));
        }
        response
    }

    fn routed(&mut self, request: &Request, form: &[(String, String)]) -> Response {
        let segments = request.segments();
        let segments: Vec<_> = segments.iter().map(String::as_str).collect();
        let method = request.method.as_str();
        let (route, known): (&'static str, &[&str]) = match (method, &segments[..]) {
            ("GET", ["v1", "customers"]) => ("/v1/customers", &["limit", "starting_after", "ending_before", "email"]),
            ("GET" | "DELETE", ["v1", "customers", _]) => ("/v1/customers/{customer}", &[]),
            ("GET", ["v1", "customers", _, "payment_methods"]) => {
                ("/v1/customers/{customer}/payment_methods", &["limit", "starting_after", "ending_before", "type"])
            }
            ("GET", ["v1", "payment_methods", _]) => ("/v1/payment_methods/{payment_method}", &[]),
            ("POST", ["v1", "payment_methods", _, "detach"]) => ("/v1/payment_methods/{payment_method}/detach", &[]),
            ("GET", ["v1", "subscriptions"]) => {
                ("/v1/subscriptions", &["limit", "starting_after", "ending_before", "customer", "status"])
            }
            ("GET", ["v1", "subscriptions", _]) => ("/v1/subscriptions/{subscription}", &[]),
            ("DELETE", ["v1", "subscriptions", _]) => ("/v1/subscriptions/{subscription}", &["invoice_now", "prorate"]),
            ("GET", ["v1", "privacy", "redaction_jobs"]) => {
                ("/v1/privacy/redaction_jobs", &["limit", "starting_after", "ending_before", "status"])
            }
            ("POST", ["v1", "privacy", "redaction_jobs"]) => {
                ("/v1/privacy/redaction_jobs", &["objects[customers][]", "validation_behavior"])
            }
            ("GET", ["v1", "privacy", "redaction_jobs", _]) => ("/v1/privacy/redaction_jobs/{job}", &[]),
            ("POST", ["v1", "privacy", "redaction_jobs", _, "run"]) => ("/v1/privacy/redaction_jobs/{job}/run", &[]),
            ("POST", ["v1", "privacy", "redaction_jobs", _, "cancel"]) => {
                ("/v1/privacy/redaction_jobs/{job}/cancel", &[])
            }
            ("POST", ["v1", "privacy", "redaction_jobs", _, "validate"]) => {
                ("/v1/privacy/redaction_jobs/{job}/validate", &[])
            }
            ("GET", ["v1", "privacy", "redaction_jobs", _, "validation_errors"]) => {
                ("/v1/privacy/redaction_jobs/{job}/validation_errors", &["limit", "starting_after", "ending_before"])
            }
            _ => {
                let message = format!("Unrecognized request URL ({method})");
                return error("(unknown)", 404, "invalid_request_error", None, &message);
            }
        };
        if let Some(window) = &mut self.window
            && window.is_over(route, request.at)
        {
            let response = error(route, 429, "invalid_request_error", Some("rate_limit"), "Too many requests");
            return response.header("stripe-rate-limited-reason", "endpoint-rate");
        }
        let parameters: Vec<_> = request.query.iter().chain(form).cloned().collect();
        if let Some((name, _)) = parameters.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            let message = format!("Received unknown parameter: {name}");
            return error(route, 400, "invalid_request_error", Some("parameter_unknown"), &message);
        }
        let limit =
            parameters.iter().find(|(name, _)| name == "limit").map_or(Ok(10), |(_, limit)| limit.parse::<usize>());
        let Ok(limit @ 1..=100) = limit else { return invalid(route, "Invalid limit: must be from 1 to 100") };
        let after = parameters.iter().find(|(name, _)| name == "starting_after").map(|(_, id)| id.as_str());
        let parameter =
            |wanted: &str| parameters.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
        match (method, &segments[..]) {
            ("GET", ["v1", "customers"]) => {
                let all = self.customers.iter().filter(|(_, deleted)| !**deleted);
                page(route, all.map(|(id, _)| json!({"id": id, "object": "customer"})), limit, after)
            }
            (_, ["v1", "customers", id]) => self.customer(route, method, id),
            (_, ["v1", "customers", id, "payment_methods"]) => {
                if self.customers.get(*id) != Some(&false) {
                    return missing(route, "customer", id);
                }
                let own = self.payment_methods.iter().filter(|(_, of)| of.as_deref() == Some(*id));
                page(route, own.map(|(id, of)| method_of(id, of.as_deref())), limit, after)
            }
            (_, ["v1", "payment_methods", id, ..]) => self.payment_method(route, method, id),
            (_, ["v1", "subscriptions"]) => {
                let customer = parameter("customer").unwrap_or_default();
                let own = self.subscriptions.iter().filter(|(_, (of, over))| of == customer && !over);
                page(route, own.map(|(id, _)| subscription(id, customer, false)), limit, after)
            }
            (_, ["v1", "subscriptions", id]) => self.subscription(route, method, id),
            (_, ["v1", "privacy", "redaction_jobs", rest @ ..]) => {
                let version = request.header("stripe-version").unwrap_or_default();
                if !version.ends_with(".preview") {
                    let message = format!("Unrecognized request URL ({method})");
                    return error(route, 404, "invalid_request_error", None, &message);
                }
                match rest {
                    [] if method == "POST" => self.create(route, &parameters),
                    [] => page(route, self.jobs.iter().map(|(id, job)| shown(id, job)), limit, after),
                    [id, rest @ ..] => self.job(route, method, id, rest.first().copied(), limit, after),
                }
            }
            _ => invalid(route, "Unrecognized request"),
        }
    }

    fn customer(&mut self, route: &'static str, method: &str, id: &str) -> Response {
        match (method, self.customers.get_mut(id)) {
            ("DELETE", Some(deleted @ false)) => {
                *deleted = true;
                self.payment_methods.values_mut().filter(|of| of.as_deref() == Some(id)).for_each(|of| *of = None);
                self.subscriptions.values_mut().filter(|(of, _)| of == id).for_each(|(_, over)| *over = true);
                Response::json(route, 200, &json!({"id": id, "object": "customer", "deleted": true}))
            }
            ("GET", Some(true)) => {
                Response::json(route, 200, &json!({"id": id, "object": "customer", "deleted": true}))
            }
            ("GET", Some(false)) => Response::json(route, 200, &json!({"id": id, "object": "customer"})),
            _ => missing(route, "customer", id),
        }
    }

    fn payment_method(&mut self, route: &'static str, method: &str, id: &str) -> Response {
        match (method, self.payment_methods.get_mut(id)) {
            (_, None) => missing(route, "PaymentMethod", id),
            ("GET", Some(of)) => Response::json(route, 200, &method_of(id, of.as_deref())),
            (_, Some(of @ Some(_))) => {
                *of = None;
                Response::json(route, 200, &method_of(id, None))
            }
            (_, Some(None)) => invalid(
                route,
                "The payment method you provided is not attached to a customer so detachment is impossible.",
            ),
        }
    }

    fn subscription(&mut self, route: &'static str, method: &str, id: &str) -> Response {
        match (method, self.subscriptions.get_mut(id)) {
            ("GET", Some((of, over))) => Response::json(route, 200, &subscription(id, of, *over)),
            ("DELETE", Some((of, over @ false))) => {
                *over = true;
                Response::json(route, 200, &subscription(id, of, true))
            }
            _ => missing(route, "subscription", id),
        }
    }

    fn create(&mut self, route: &'static str, parameters: &[(String, String)]) -> Response {
        let customers = parameters.iter().filter(|(name, _)| name == "objects[customers][]");
        let customers: Vec<_> = customers.map(|(_, id)| id.clone()).collect();
        match customers.len() {
            0 => {
                return error(
                    route,
                    400,
                    "invalid_request_error",
                    Some("parameter_missing"),
                    "Missing required param: objects.",
                );
            }
            1..=10 => {}
            _ => return invalid(route, "A job takes at most 10 objects"),
        }
        if let Some(unknown) = customers.iter().find(|id| !self.customers.contains_key(*id)) {
            return missing(route, "customer", unknown);
        }
        let id = format!("prj_{:04}", self.jobs.len() + 1);
        let job = Job { customers, status: "validating", looks: 0, errors: Vec::new() };
        let body = shown(&id, &job);
        self.jobs.insert(id, job);
        Response::json(route, 200, &body)
    }

    /// What keeps a job's customers from being redacted.
    fn errors(&self, id: &str, customers: &[String]) -> Vec<(&'static str, String, &'static str)> {
        let mut errors = Vec::new();
        for customer in customers {
            let own = self.payment_methods.iter().filter(|(_, of)| of.as_ref() == Some(customer));
            errors.extend(own.map(|(method, _)| ("invalid_state", method.clone(), "payment_method")));
            let active = self.subscriptions.iter().filter(|(_, (of, over))| of == customer && !over);
            errors.extend(active.map(|(subscription, _)| ("invalid_state", subscription.clone(), "subscription")));
            errors.extend(self.blocked.get(customer).map(|charge| ("invalid_state", charge.clone(), "charge")));
            let others =
                self.jobs.iter().filter(|(other, job)| *other != id && !matches!(job.status, "canceled" | "succeeded"));
            if others.into_iter().any(|(_, job)| job.customers.contains(customer)) {
                errors.push(("locked_by_other_job", customer.clone(), "customer"));
            }
        }
        errors
    }

    fn job(
        &mut self,
        route: &'static str,
        method: &str,
        id: &str,
        action: Option<&str>,
        limit: usize,
        after: Option<&str>,
    ) -> Response {
        let Some(customers) = self.jobs.get(id).map(|job| job.customers.clone()) else {
            return missing(route, "redaction job", id);
        };
        let errors = self.errors(id, &customers);
        let Some(job) = self.jobs.get_mut(id) else { return missing(route, "redaction job", id) };
        match (method, action, job.status) {
            ("GET", None, status) => {
                job.looks += 1;
                match status {
                    "validating" if errors.is_empty() => job.status = "ready",
                    "validating" => (job.status, job.errors) = ("failed", errors),
                    "redacting" if job.looks > 2 => {
                        job.status = "succeeded";
                        self.redacted.extend(customers);
                    }
                    _ => {}
                }
            }
            ("GET", Some(_), _) => {
                let all = job.errors.iter().enumerate().map(|(number, (code, object, kind))| {
                    json!({
                        "id": format!("prve_{id}_{number:03}"),
                        "object": "privacy.redaction_job_validation_error",
                        "code": code,
                        "message": format!("{object} cannot be redacted"),
                        "erroring_object": {"id": object, "object_type": kind},
                    })
                });
                return page(route, all, limit, after);
            }
            (_, Some("run"), "ready") => job.status = "redacting",
            (_, Some("cancel"), "ready" | "failed") => job.status = "canceled",
            (_, Some("validate"), "failed") => job.status = "validating",
            (_, _, status) => return invalid(route, &format!("This is not possible while the job is {status}")),
        }
        Response::json(route, 200, &shown(id, job))
    }
}

fn method_of(id: &str, customer: Option<&str>) -> Value {
    json!({"id": id, "object": "payment_method", "customer": customer})
}

fn subscription(id: &str, customer: &str, over: bool) -> Value {
    json!({"id": id, "object": "subscription", "customer": customer, "status": if over { "canceled" } else { "active" }})
}

fn shown(id: &str, job: &Job) -> Value {
    json!({
        "id": id, "object": "privacy.redaction_job", "created": 1, "livemode": false, "status": job.status,
        "validation_behavior": "error", "objects": {"customers": job.customers},
    })
}

/// A page of a list, as all of Stripe's lists.
fn page(route: &'static str, all: impl Iterator<Item = Value>, limit: usize, after: Option<&str>) -> Response {
    let all: Vec<Value> = all.collect();
    let start = match after {
        None => 0,
        Some(after) => match all.iter().position(|object| object["id"] == after) {
            Some(at) => at + 1,
            None => return missing(route, "object", after),
        },
    };
    let data: Vec<_> = all.iter().skip(start).take(limit).cloned().collect();
    let more = all.len() > start + data.len();
    Response::json(route, 200, &json!({"object": "list", "url": route, "has_more": more, "data": data}))
}
