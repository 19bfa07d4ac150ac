//! A stand-in of PayPal: payment tokens, subscriptions, invoices.
//!
//! After the OpenAPI documents of <https://github.com/paypal/paypal-rest-api-specifications>. Any client id and secret but those
//! that contain `wrong` get a token. Seed: `{"payment_tokens": {"tok_00001": "customer_1"}, "subscriptions": {"I-1": "ACTIVE"},
//! "invoices": {"INV2-1": {"status": "DRAFT", "to": ["a@example.com"]}}, "closed_accounts": ["I-1"], "expire_tokens": true,
//! "brief_invoices": true, "allowed": 5}`. With `brief_invoices`, searches leave recipients out; `allowed` is how many calls are answered before 429.

use crate::recipients::stand_in::{Request, Response, StandIn, Vendor};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

pub static STAND_IN: StandIn = StandIn {
    name: "paypal",
    make: || Box::new(PayPal::default()),
    settings: "  paypal:\n    url: {url}\n    client_id: \"${PAYPAL_CLIENT_ID}\"  # anything without \"wrong\" in it\n    \
               client_secret: \"${PAYPAL_CLIENT_SECRET}\"\n",
};

/// "Typically nine hours".
const LASTS: Duration = Duration::from_secs(9 * 60 * 60);

#[derive(Default)]
struct PayPal {
    bearers: BTreeMap<String, Instant>,
    given: u64,
    /// To their customer.
    payment_tokens: BTreeMap<String, String>,
    /// To their status.
    subscriptions: BTreeMap<String, String>,
    /// To status and recipients.
    invoices: BTreeMap<String, (String, Vec<String>)>,
    /// Subscriptions whose buyers closed their accounts.
    closed: BTreeSet<String>,
    brief_invoices: bool,
    allowed: Option<u64>,
    requests: u64,
}

fn error(route: &'static str, status: u16, name: &str, issue: Option<&str>) -> Response {
    let mut body = json!({"name": name, "message": "See the documentation.", "debug_id": "b1d1f06c7246c"});
    if let Some(issue) = issue {
        body["details"] = json!([{"issue": issue, "description": "See the documentation."}]);
    }
    Response::json(route, status, &body)
}

fn invalid(route: &'static str, issue: &str) -> Response {
    error(route, 400, "INVALID_REQUEST", Some(issue))
}

fn missing(route: &'static str) -> Response {
    error(route, 404, "RESOURCE_NOT_FOUND", Some("INVALID_RESOURCE_ID"))
}

impl Vendor for PayPal {
    fn answer(&mut self, request: &Request) -> Response {
        self.requests += 1;
        let id = format!("f{:012x}", self.requests);
        self.routed(request).header("paypal-debug-id", id)
    }

    fn seed(&mut self, seed: &Value) {
        let texts = |key: &str| -> Vec<(String, String)> {
            let entries = seed[key].as_object().into_iter().flatten();
            entries.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
        };
        self.payment_tokens.extend(texts("payment_tokens"));
        self.subscriptions.extend(texts("subscriptions"));
        for (id, invoice) in seed["invoices"].as_object().into_iter().flatten() {
            let to = invoice["to"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned);
            let status = invoice["status"].as_str().unwrap_or("DRAFT").to_owned();
            self.invoices.insert(id.clone(), (status, to.collect()));
        }
        let closed = seed["closed_accounts"].as_array().into_iter().flatten().filter_map(Value::as_str);
        self.closed.extend(closed.map(str::to_owned));
        if seed["expire_tokens"] == Value::Bool(true) {
            self.bearers.clear();
        }
        self.brief_invoices |= seed["brief_invoices"] == Value::Bool(true);
        self.allowed = seed["allowed"].as_u64().or(self.allowed);
    }

    /// PayPal publishes no limit; `allowed` stands for one.
    fn limits(&mut self, _: bool) {}
}

impl PayPal {
    fn routed(&mut self, request: &Request) -> Response {
        let segments = request.segments();
        let segments: Vec<_> = segments.iter().map(String::as_str).collect();
        let method = request.method.as_str();
        if (method, &segments[..]) == ("POST", &["v1", "oauth2", "token"]) {
            return self.token(request);
        }
        let known = request.bearer().and_then(|token| self.bearers.get(token)).is_some_and(|until| request.at < *until);
        if !known {
            let body = json!({"error": "invalid_token", "error_description": "Token signature verification failed"});
            return Response::json("(token)", 401, &body);
        }
        if let Some(allowed) = &mut self.allowed {
            if *allowed == 0 {
                return error("(limit)", 429, "RATE_LIMIT_REACHED", None);
            }
            *allowed -= 1;
        }
        match (method, &segments[..]) {
            ("GET", ["v3", "vault", "payment-tokens"]) => self.list(request),
            (_, ["v3", "vault", "payment-tokens", id]) => self.payment_token(method, id),
            (_, ["v1", "billing", "subscriptions", id]) if method == "GET" => {
                let route = "/v1/billing/subscriptions/{id}";
                match self.subscriptions.get(*id) {
                    Some(status) => Response::json(route, 200, &json!({"id": id, "status": status})),
                    None => missing(route),
                }
            }
            ("POST", ["v1", "billing", "subscriptions", id, "cancel"]) => self.cancel(request, id),
            (_, ["v2", "invoicing", "invoices", id]) => self.invoice(method, id),
            ("POST", ["v2", "invoicing", "search-invoices"]) => self.search(request),
            _ => error("(unknown)", 404, "NOT_FOUND", None),
        }
    }

    fn token(&mut self, request: &Request) -> Response {
        let route = "/v1/oauth2/token";
        let Some((id, secret)) = request.basic() else {
            return Response::json(route, 401, &json!({"error": "invalid_client"}));
        };
        if id.is_empty() || secret.is_empty() || id.contains("wrong") || secret.contains("wrong") {
            let body = json!({"error": "invalid_client", "error_description": "Client Authentication failed"});
            return Response::json(route, 401, &body);
        }
        let form = request.form().unwrap_or_default();
        if form != [("grant_type".to_owned(), "client_credentials".to_owned())] {
            return Response::json(route, 400, &json!({"error": "unsupported_grant_type"}));
        }
        self.given += 1;
        let token = format!("A21AA{:020}", self.given);
        self.bearers.insert(token.clone(), request.at + LASTS);
        let body = json!({
            "scope": "https://uri.paypal.com/services/vault/payment-tokens/readwrite https://uri.paypal.com/services/subscriptions",
            "access_token": token, "token_type": "Bearer", "app_id": "APP-80W284485P519543T", "expires_in": LASTS.as_secs(),
        });
        Response::json(route, 200, &body)
    }

    fn list(&self, request: &Request) -> Response {
        let route = "/v3/vault/payment-tokens";
        let known = ["customer_id", "page_size", "page", "total_required"];
        if request.query.iter().any(|(name, _)| !known.contains(&name.as_str())) {
            return invalid(route, "INVALID_PARAMETER_SYNTAX");
        }
        let get = |wanted: &str| request.query.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
        let Some(customer) = get("customer_id").filter(|id| is_id(id)) else {
            return invalid(route, "INVALID_PARAMETER_VALUE");
        };
        let number = |name, default| get(name).map_or(Ok(default), str::parse::<usize>);
        // The document allows five at most.
        let (Ok(size @ 1..=5), Ok(page @ 1..)) = (number("page_size", 5), number("page", 1)) else {
            return invalid(route, "INVALID_PARAMETER_VALUE");
        };
        let all: Vec<_> = self.payment_tokens.iter().filter(|(_, of)| *of == customer).map(|(id, _)| id).collect();
        let shown: Vec<_> = all.iter().skip((page - 1) * size).take(size).collect();
        let shown: Vec<_> = shown
            .iter()
            .map(|id| json!({"id": id, "customer": {"id": customer}, "payment_source": {"card": {}}}))
            .collect();
        let mut body = json!({"customer": {"id": customer}, "payment_tokens": shown, "links": []});
        if get("total_required") == Some("true") {
            body["total_items"] = all.len().into();
            body["total_pages"] = all.len().div_ceil(size).into();
        }
        Response::json(route, 200, &body)
    }

    fn payment_token(&mut self, method: &str, id: &str) -> Response {
        let route = "/v3/vault/payment-tokens/{id}";
        if !is_id(id) {
            return invalid(route, "INVALID_PARAMETER_VALUE");
        }
        match (method, self.payment_tokens.get(id)) {
            (_, None) => error(route, 404, "RESOURCE_NOT_FOUND", Some("TOKEN_NOT_FOUND")),
            ("DELETE", Some(_)) => {
                self.payment_tokens.remove(id);
                Response::empty(route, 204)
            }
            ("GET", Some(of)) => Response::json(route, 200, &json!({"id": id, "customer": {"id": of}})),
            _ => error(route, 405, "METHOD_NOT_SUPPORTED", None),
        }
    }

    fn cancel(&mut self, request: &Request, id: &str) -> Response {
        let route = "/v1/billing/subscriptions/{id}/cancel";
        let Some(body) = request.json() else { return invalid(route, "MALFORMED_REQUEST_JSON") };
        match body["reason"].as_str().map(|reason| reason.chars().count()) {
            None => return invalid(route, "MISSING_REQUIRED_PARAMETER"),
            Some(0) => return invalid(route, "INVALID_STRING_MIN_LENGTH"),
            Some(1..=128) => {}
            Some(_) => return invalid(route, "INVALID_STRING_MAX_LENGTH"),
        }
        if body.as_object().is_none_or(|body| body.len() != 1) {
            return invalid(route, "INVALID_PARAMETER_SYNTAX");
        }
        if self.closed.contains(id) {
            return error(route, 422, "UNPROCESSABLE_ENTITY", Some("USER_ACCOUNT_CLOSED"));
        }
        match self.subscriptions.get_mut(id) {
            None => missing(route),
            Some(status) if matches!(status.as_str(), "ACTIVE" | "SUSPENDED") => {
                "CANCELLED".clone_into(status);
                Response::empty(route, 204)
            }
            Some(_) => error(route, 422, "UNPROCESSABLE_ENTITY", Some("SUBSCRIPTION_STATUS_INVALID")),
        }
    }

    fn invoice(&mut self, method: &str, id: &str) -> Response {
        let route = "/v2/invoicing/invoices/{id}";
        match (method, self.invoices.get(id)) {
            (_, None) => missing(route),
            ("GET", Some(invoice)) => Response::json(route, 200, &shown(id, invoice, true)),
            ("DELETE", Some((status, _))) if matches!(status.as_str(), "DRAFT" | "SCHEDULED") => {
                self.invoices.remove(id);
                Response::empty(route, 204)
            }
            ("DELETE", Some(_)) => error(route, 400, "INVALID_REQUEST", Some("CANNOT_DELETE_SENT_INVOICE")),
            _ => error(route, 405, "METHOD_NOT_SUPPORTED", None),
        }
    }

    fn search(&self, request: &Request) -> Response {
        let route = "/v2/invoicing/search-invoices";
        let Some(body) = request.json() else { return invalid(route, "MALFORMED_REQUEST_JSON") };
        let get = |wanted: &str| request.query.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
        let number = |name, default| get(name).map_or(Ok(default), str::parse::<usize>);
        let (Ok(size @ 1..=100), Ok(page @ 1..=1000)) = (number("page_size", 20), number("page", 1)) else {
            return invalid(route, "INVALID_PARAMETER_VALUE");
        };
        let email = body["recipient_email"].as_str().unwrap_or_default().to_lowercase();
        let statuses: Vec<_> = body["status"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        // Nothing says that the address is compared as a whole, so here it is not.
        let fits = |(status, to): &(String, Vec<String>)| {
            (statuses.is_empty() || statuses.contains(&status.as_str()))
                && to.iter().any(|to| to.to_lowercase().contains(&email))
        };
        let all: Vec<_> = self.invoices.iter().filter(|(_, invoice)| fits(invoice)).collect();
        let items = all.iter().skip((page - 1) * size).take(size);
        let items: Vec<_> = items.map(|(id, invoice)| shown(id, invoice, !self.brief_invoices)).collect();
        let mut body = json!({"items": items, "links": []});
        if get("total_required") == Some("true") {
            body["total_items"] = all.len().into();
            body["total_pages"] = all.len().div_ceil(size).into();
        }
        Response::json(route, 200, &body)
    }
}

fn shown(id: &str, (status, to): &(String, Vec<String>), whole: bool) -> Value {
    let mut invoice = json!({"id": id, "status": status, "detail": {"currency_code": "JPY"}});
    if whole {
        let to: Vec<_> = to.iter().map(|to| json!({"billing_info": {"email_address": to}})).collect();
        invoice["primary_recipients"] = to.into();
    }
    invoice
}

/// Of the vault: `^[0-9a-zA-Z_-]+$`, 7 to 36 characters.
fn is_id(text: &str) -> bool {
    (7..=36).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}
