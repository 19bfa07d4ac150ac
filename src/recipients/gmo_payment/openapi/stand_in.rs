//! A stand-in of GMO Payment Gateway's OpenAPI type: members of a shop, tokens, and idempotency keys.
//!
//! After GMO's document of the API, version 1.3.1. Any shop's id and password but those that contain `wrong` are known, and every token
//! that it gave. What is said of a member that is not known is nowhere documented: here it is `invalid_parameter`.
//!
//! Seed: `{"members": ["m-1"], "slow": true}`. When `slow`, a member stays for a while after its deletion was accepted.

use crate::recipients::stand_in::{Request, Response, StandIn, Vendor};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

pub static STAND_IN: StandIn = StandIn {
    name: "gmo_payment_openapi",
    make: || Box::new(GmoOpenApi::default()),
    settings: "  gmo_payment_openapi:\n    url: {url}\n    token_url: {url}/token\n    shop_id: tshop1\n    shop_password: \
               \"${GMO_SHOP_PASSWORD}\"  # anything without \"wrong\" in it\n",
};

#[derive(Default)]
struct GmoOpenApi {
    members: BTreeSet<String>,
    slow: bool,
    tokens: u64,
    /// Key to what was asked with it, and the reply.
    replies: BTreeMap<String, (Vec<u8>, Response)>,
}

impl GmoOpenApi {
    /// Somebody's password, or a token that was given here.
    fn knows(&self, request: &Request) -> bool {
        let token = |token: &str| {
            token.strip_prefix("gmo_token_").and_then(|number| number.parse().ok()).is_some_and(|it| self.tokens >= it)
        };
        knows_password(request) || request.bearer().is_some_and(token)
    }

    fn delete(&mut self, route: &'static str, request: &Request) -> Response {
        let Some(key) = request.header("idempotency-key").filter(|key| is_uuid(key)).map(str::to_owned) else {
            return problem(route, 400, "invalid_header");
        };
        if let Some((body, reply)) = self.replies.get(&key) {
            return if *body == request.body { reply.clone() } else { problem(route, 409, "conflict") };
        }
        let reply = match member(request) {
            Some(id) if self.members.contains(&id) => {
                if !self.slow {
                    self.members.remove(&id);
                }
                Response::json(route, 202, &json!({"memberId": id, "deletedCards": [], "deletedWallets": []}))
            }
            _ => problem(route, 400, "invalid_parameter"),
        };
        self.replies.insert(key, (request.body.clone(), reply.clone()));
        reply
    }
}

fn knows_password(request: &Request) -> bool {
    request.basic().is_some_and(|(shop, password)| {
        !shop.is_empty() && !password.is_empty() && !shop.contains("wrong") && !password.contains("wrong")
    })
}

/// The only parameter of the body.
fn member(request: &Request) -> Option<String> {
    let body = request.json()?;
    let id = body["memberId"].as_str().filter(|_| body.as_object().is_some_and(|body| body.len() == 1))?;
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"@_.- ".contains(&byte);
    (matches!(id.len(), 1..=60) && id.bytes().all(is_letter)).then(|| id.to_owned())
}

fn is_uuid(text: &str) -> bool {
    let lengths: Vec<_> = text.split('-').map(str::len).collect();
    let digits = text.bytes().filter(|byte| *byte != b'-').all(|byte| byte.is_ascii_hexdigit());
    lengths == [8, 4, 4, 4, 12] && digits && text.as_bytes()[14] == b'4' && b"89ab".contains(&text.as_bytes()[19])
}

impl Vendor for GmoOpenApi {
    fn answer(&mut self, request: &Request) -> Response {
        if request.method != "POST" {
            return problem("(unknown)", 405, "method_not_allowed");
        }
        if request.path == "/token" {
            let form = request.form().unwrap_or_default();
            let word = |name: &str, value: &str| (name.to_owned(), value.to_owned());
            return match (
                knows_password(request),
                form == [word("grant_type", "client_credentials"), word("scope", "openapi")],
            ) {
                (false, _) => problem("/token", 401, "unauthorized_request"),
                (_, false) => problem("/token", 400, "invalid_parameter"),
                _ => {
                    self.tokens += 1;
                    let token = format!("gmo_token_{}", self.tokens);
                    let body = json!({"access_token": token, "expires_in": "3600", "scope": "openapi", "token_type": "bearer"});
                    Response::json("/token", 201, &body)
                }
            };
        }
        let route = match request.path.as_str() {
            "/member/delete" => "/member/delete",
            "/member/inquiry" => "/member/inquiry",
            _ => "(unknown)",
        };
        if !self.knows(request) {
            return problem(route, 401, "unauthorized_request");
        }
        if request.json().is_none() {
            return problem(route, 415, "unsupported_media_type");
        }
        match route {
            "/member/delete" => self.delete(route, request),
            "/member/inquiry" => match member(request).filter(|id| self.members.contains(id)) {
                Some(id) => Response::json(route, 200, &json!({"memberId": id, "memberName": "TARO MIHON"})),
                None => problem(route, 400, "invalid_parameter"),
            },
            _ => problem(route, 404, "resource_not_found"),
        }
    }

    fn seed(&mut self, seed: &Value) {
        let members = seed["members"].as_array().into_iter().flatten().filter_map(Value::as_str);
        self.members.extend(members.map(str::to_owned));
        self.slow = seed["slow"].as_bool().unwrap_or(self.slow);
    }

    /// The limit of calls at a time is not published.
    fn limits(&mut self, _: bool) {}
}

fn problem(route: &'static str, status: u16, title: &str) -> Response {
    let body = json!({"title": title, "detail": "in the sandbox", "instance": route});
    let mut response = Response::json(route, status, &body);
    response.headers = vec![("content-type", "application/problem+json".to_owned())];
    response
}
