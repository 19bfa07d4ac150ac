//! What the stand-ins of Google share: the token server, and errors as `google.rpc.Status`.
//!
//! After RFC 6749, RFC 7523 and google-auth 2.62.2. Seed: `{"service_accounts": {"job@project.iam.gserviceaccount.com": "PEM of
//! the RSA public key (PKCS #1)"}, "revoke_tokens": true}`. Any client with any secret but `wrong` may use refresh tokens
//! that begin with `1//`, as Google's do.

use crate::recipients::stand_in::{Request, Response};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use jiff::Timestamp;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

const AUDIENCE: &str = "https://oauth2.googleapis.com/token";

const LASTS: Duration = Duration::from_secs(3599);

#[derive(Default)]
pub struct Access {
    /// To the DER of its public key.
    accounts: BTreeMap<String, Vec<u8>>,
    /// To its scopes and end; without scopes, all.
    tokens: BTreeMap<String, (Option<String>, Instant)>,
    given: u64,
}

impl Access {
    pub fn seed(&mut self, seed: &Value) {
        for (email, pem) in seed["service_accounts"].as_object().into_iter().flatten() {
            let text: String = pem.as_str().unwrap_or_default().lines().filter(|line| !line.starts_with('-')).collect();
            self.accounts.insert(email.clone(), STANDARD.decode(text).unwrap_or_default());
        }
        if seed["revoke_tokens"] == true {
            self.tokens.clear();
        }
    }

    /// `POST /token`.
    pub fn token(&mut self, request: &Request) -> Response {
        const ROUTE: &str = "/token";
        let fails = |status, error: &str, words: &str| {
            Response::json(ROUTE, status, &json!({"error": error, "error_description": words}))
        };
        if request.method != "POST" {
            return fails(405, "invalid_request", "Method not allowed");
        }
        let form = request.form().filter(|_| !request.body.is_empty());
        let Some(form) = form else { return fails(400, "invalid_request", "The body is not a form") };
        let field = |name: &str| {
            let value = form.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
            value.filter(|value| !value.is_empty())
        };
        let scope = match field("grant_type") {
            Some("urn:ietf:params:oauth:grant-type:jwt-bearer") => match field("assertion") {
                None => return fails(400, "invalid_request", "Missing required parameter: assertion"),
                Some(assertion) => match self.scope_of(assertion) {
                    Ok(scope) => Some(scope),
                    Err((error, words)) => return fails(400, error, words),
                },
            },
            Some("refresh_token") => {
                match (field("client_id"), field("client_secret")) {
                    (Some(_), Some(secret)) if secret != "wrong" => {}
                    _ => return fails(401, "invalid_client", "The OAuth client was not found."),
                }
                if !field("refresh_token").is_some_and(|token| token.starts_with("1//")) {
                    return fails(400, "invalid_grant", "Bad Request");
                }
                None
            }
            _ => return fails(400, "unsupported_grant_type", "Invalid grant_type"),
        };
        self.given += 1;
        let token = format!("ya29.sandbox-{}", self.given);
        self.tokens.insert(token.clone(), (scope, request.at + LASTS));
        let body = json!({"access_token": token, "expires_in": LASTS.as_secs(), "token_type": "Bearer"});
        Response::json(ROUTE, 200, &body)
    }

    /// The scope that an assertion asks for, if all of it is in order.
    fn scope_of(&self, assertion: &str) -> Result<String, (&'static str, &'static str)> {
        let bad = |words| ("invalid_grant", words);
        let parts: Vec<&str> = assertion.split('.').collect();
        let [header, claims, signature] = parts[..] else { return Err(bad("Bad Request")) };
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| bad("Bad Request"));
        let json = |part: &str| serde_json::from_slice::<Value>(&decode(part)?).map_err(|_| bad("Bad Request"));
        let (head, body) = (json(header)?, json(claims)?);
        if head["alg"] != "RS256" || head["typ"] != "JWT" {
            return Err(bad("Invalid JWT: Failed audience or algorithm check."));
        }
        let Some(key) = body["iss"].as_str().and_then(|email| self.accounts.get(email)) else {
            return Err(bad("Invalid grant: account not found"));
        };
        let signed = &assertion[..header.len() + 1 + claims.len()];
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key)
            .verify(signed.as_bytes(), &decode(signature)?)
            .map_err(|_| bad("Invalid JWT Signature."))?;
        if body["aud"] != AUDIENCE {
            return Err(bad("Invalid JWT: Failed audience check."));
        }
        let now = Timestamp::now().as_second();
        let (Some(from), Some(until)) = (body["iat"].as_i64(), body["exp"].as_i64()) else {
            return Err(bad("Invalid JWT: Token must be a short-lived token (60 minutes)"));
        };
        if from > now + 60 || until <= now || until - from > 3600 {
            return Err(bad(
                "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe.",
            ));
        }
        match body["scope"].as_str() {
            Some(scope) if !scope.is_empty() => Ok(scope.to_owned()),
            _ => Err(("invalid_scope", "Invalid OAuth scope or ID token audience provided.")),
        }
    }

    /// Whether the call has a token with one of these scopes.
    pub fn admit(&self, route: &'static str, request: &Request, scopes: &[&str]) -> Result<(), Response> {
        let known = request.bearer().and_then(|token| self.tokens.get(token));
        match known.filter(|(_, until)| request.at < *until) {
            None => {
                let message = "Request had invalid authentication credentials.";
                let reason = "ACCESS_TOKEN_EXPIRED";
                Err(error(route, 401, "UNAUTHENTICATED", message, &[info(reason, &json!({}))]))
            }
            Some((Some(scope), _)) if !scope.split(' ').any(|scope| scopes.contains(&scope)) => {
                let message = "Request had insufficient authentication scopes.";
                let reason = "ACCESS_TOKEN_SCOPE_INSUFFICIENT";
                Err(error(route, 403, "PERMISSION_DENIED", message, &[info(reason, &json!({}))]))
            }
            Some(_) => Ok(()),
        }
    }
}

pub fn error(route: &'static str, code: u16, status: &str, message: &str, details: &[Value]) -> Response {
    let mut error = json!({"code": code, "message": message, "status": status});
    if !details.is_empty() {
        error["details"] = details.into();
    }
    Response::json(route, code, &json!({"error": error}))
}

/// The detail `google.rpc.ErrorInfo`.
pub fn info(reason: &str, metadata: &Value) -> Value {
    json!({
        "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "googleapis.com", "metadata": metadata,
    })
}

/// JSON that no message has: its parser knows every name.
pub fn unknown_name(body: &Value, known: &[&str]) -> Option<String> {
    let names = body.as_object()?.keys();
    names.into_iter().find(|name| !known.contains(&name.as_str())).cloned()
}
