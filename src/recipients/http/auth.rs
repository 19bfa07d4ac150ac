//! How an `http` recipient is told who calls.

use crate::recipients::{
    Options,
    assertion::{self, Assertion, private_key},
    client::{Auth, Body, Call, Client, Failure, Signer},
    template::Template,
    token::{FormGrant, TokenSource, Tokens, read_token},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use reqwest::Url;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use std::{sync::Arc, time::Duration};

/// The credentials that settings give.
///
/// # Errors
/// They are not there, or cannot be read; in words without them.
pub(super) fn credentials(auth: &Options) -> Result<Auth, String> {
    let absent = || "the credentials are not there".to_owned();
    if let Some(token) = auth.secret("bearer") {
        return Ok(Auth::Bearer(token));
    }
    if let Some(basic) = auth.inner("basic") {
        let user = basic.text("user").ok_or_else(absent)?.to_owned();
        return Ok(Auth::Basic(user, basic.secret("password").ok_or_else(absent)?));
    }
    if let Some(header) = auth.inner("header") {
        let value = header.secret("value").ok_or_else(absent)?;
        let prefix = header.text("prefix").unwrap_or_default();
        let value = format!("{prefix}{}", value.expose_secret()).into();
        return Ok(Auth::Header(header.text("name").ok_or_else(absent)?.to_owned(), value));
    }
    if let Some(oauth) = auth.inner("oauth") {
        return oauth_tokens(&oauth).ok_or_else(absent);
    }
    if let Some(jwt) = auth.inner("jwt") {
        return assertion_tokens(&jwt);
    }
    let signature = auth.inner("signature").ok_or_else(absent)?;
    Ok(Auth::Signed(Arc::new(Signature::read(&signature)?)))
}

fn oauth_tokens(oauth: &Options) -> Option<Auth> {
    let (id, secret) = (oauth.text("client_id")?.to_owned(), oauth.secret("client_secret")?);
    let mut form = match oauth.secret("refresh_token") {
        Some(token) => {
            vec![("grant_type".to_owned(), SecretString::from("refresh_token")), ("refresh_token".to_owned(), token)]
        }
        None => vec![("grant_type".to_owned(), SecretString::from("client_credentials"))],
    };
    form.extend(oauth.secret("scope").map(|scope| ("scope".to_owned(), scope)));
    let mut basic = Some((id.clone(), secret.clone()));
    if oauth.flag("in_form") {
        basic = None;
        form.extend([("client_id".to_owned(), id.into()), ("client_secret".to_owned(), secret)]);
    }
    let url = oauth.text("token_url")?.to_owned();
    Some(Auth::Tokens(Arc::new(Tokens::new(FormGrant { url, basic, form }))))
}

/// Tokens for signed assertions.
struct AssertionGrant {
    url: String,
    assertion: Assertion,
}

#[async_trait::async_trait]
impl TokenSource for AssertionGrant {
    async fn fetch(&self, client: &Client) -> Result<(SecretString, Duration), Failure> {
        let signed = self.assertion.sign(Timestamp::now());
        let signed = signed.map_err(|reason| Failure { reason, again_after: None, status: None, lasting: true })?;
        let form = [("grant_type", assertion::GRANT_TYPE), ("assertion", &signed)];
        let form = form.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        read_token(&client.send(&Call::post("token", &self.url).body(Body::Form(form))).await?)
    }
}

fn assertion_tokens(jwt: &Options) -> Result<Auth, String> {
    let key = jwt.secret("key").ok_or("the credentials are not there")?;
    let key = private_key(key.expose_secret()).map_err(|reason| format!("the private key of `jwt` {reason}"))?;
    let text = |name: &str| jwt.text(name).map(str::to_owned);
    let url = text("token_url").ok_or("`token_url` is not there")?;
    let assertion = Assertion {
        issuer: text("issuer").unwrap_or_default(),
        subject: text("subject"),
        audience: text("audience").unwrap_or_else(|| url.clone()),
        scope: text("scope"),
        key_id: text("key_id"),
        key,
    };
    Ok(Auth::Tokens(Arc::new(Tokens::new(AssertionGrant { url, assertion }))))
}

/// Signs each request.
struct Signature {
    header: String,
    prefix: String,
    time_header: Option<String>,
    key: SecretString,
    text: Template,
    is_base64: bool,
}

/// What a signature can be over.
const PARTS: [&str; 5] = ["method", "target", "body", "body_sha256", "time"];

impl Signature {
    fn read(options: &Options) -> Result<Self, String> {
        let text = Template::parse(&options.text("text").unwrap_or_default().replace("\\n", "\n"))?;
        if let Some(name) = text.names().find(|name| !PARTS.contains(name)) {
            return Err(format!("a signature knows {}, not `{name}`", PARTS.join(", ")));
        }
        Ok(Self {
            header: options.text("header").unwrap_or_default().to_owned(),
            prefix: options.text("prefix").unwrap_or_default().to_owned(),
            time_header: options.text("time_header").map(str::to_owned),
            key: options.secret("key").ok_or("the credentials are not there")?,
            text,
            is_base64: options.text("encoding") == Some("base64"),
        })
    }
}

impl Signer for Signature {
    fn sign(&self, method: &str, url: &Url, body: &Body) -> Vec<(String, SecretString)> {
        let body = match body {
            Body::Json(value) => value.to_string().into_bytes(),
            Body::Raw { bytes, .. } => bytes.clone(),
            Body::Form(pairs) => {
                // written as a URL's query is
                let mut form = url.clone();
                form.query_pairs_mut().clear().extend_pairs(pairs);
                form.query().unwrap_or_default().as_bytes().to_vec()
            }
            Body::None | Body::Upload(_) => Vec::new(),
        };
        let target = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
        let (text, digest) = (String::from_utf8_lossy(&body).into_owned(), hex::encode(Sha256::digest(&body)));
        let time = Timestamp::now().as_second().to_string();
        let part = |name: &str| match name {
            "method" => Some(method),
            "target" => Some(target.as_str()),
            "body" => Some(text.as_str()),
            "body_sha256" => Some(digest.as_str()),
            _ => Some(time.as_str()),
        };
        // an empty body is one all the same
        let signed = match text.is_empty() {
            true => self
                .text
                .fill(|name| if name == "body" { Some("\0") } else { part(name) }, str::to_owned)
                .map(|text| text.replace('\0', "")),
            false => self.text.fill(part, str::to_owned),
        };
        let (Some(signed), Ok(mut mac)) = (signed, Hmac::<Sha256>::new_from_slice(self.key.expose_secret().as_bytes()))
        else {
            return Vec::new();
        };
        mac.update(signed.as_bytes());
        let signature = mac.finalize().into_bytes();
        let signature = if self.is_base64 { BASE64_STANDARD.encode(signature) } else { hex::encode(signature) };
        let mut headers = vec![(self.header.clone(), SecretString::from(format!("{}{signature}", self.prefix)))];
        headers.extend(self.time_header.clone().map(|header| (header, SecretString::from(time.clone()))));
        headers
    }
}
