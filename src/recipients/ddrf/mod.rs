//! `ddrf`: any recipient that takes part in the IAB Tech Lab's Data Deletion Request Framework, version 1.0
//! (<https://github.com/InteractiveAdvertisingBureau/Data-Subject-Rights>, `Data Deletion Request Framework.md`).
//!
//! The recipient's domain publishes `/dsrdelete.json`: where requests go, which identifiers in which formats it takes, and
//! its keys. For each identifier of a person, the company signs an idJWT (whose data), wraps it into an rqJWT (who asks
//! whom), and posts that. The answer is an acJWT, signed by the recipient, which contains the rqJWT and a result code. Both
//! signatures are verified, and that the rqJWT is about what was asked.
//!
//! The framework ends there: code 0 acknowledges receipt, deletion happens "in a separate flow", and nothing tells its end.
//! So success is evidence of grade E2. The company publishes a `dsrdelete.json` too, for its recipients to find its key:
//! [`document`].
//!
//! What the framework leaves open, and what is done here: how a token is posted (`body`: as it is, with the content type
//! `application/jwt`, or as JSON); how the acJWT comes back (as it is, as a JSON text, or in a JSON object's `acJWT`); whether
//! a repeated `jti` is a replay (the same person's request has the same `jti` each time, so that a recipient can tell);
//! how long `iat` is good (a request refused with code 6 is signed anew once); how identifiers are normalized before they
//! are hashed ([`super::identity`]). The type of `sub` is "string" in the framework's tables and an object in all its
//! examples; the examples are followed.

pub mod jwt;
#[cfg(feature = "demo")]
mod stand_in;

use super::{
    Answer, CheckError, Checked, Facts, Identifiers, Kind, Misfit, Named, OpenError, Plumbing, Recipient,
    RecipientSettings, State, Subject,
    client::{Body, Call, Client, Conduct, Reply, check_url, in_order},
    identity::formatted,
    no_remarks,
    retry::usual,
};
use crate::{
    evidence::Grade,
    language::{
        format,
        shape::{Field, Shape, Word},
    },
};
use jiff::Timestamp;
use jwt::{Fault, PrivateKey};
use reqwest::Url;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::{sync::Arc, time::Duration};
use tokio::{sync::Mutex, time::Instant};

/// Of the format of the data.
const VERSION: &str = "1.0";

/// People asked about at a time.
const AT_ONCE: usize = 16;

/// When a recipient whose `dsrdelete.json` cannot be used is looked at again.
const LATER: Duration = Duration::from_secs(60 * 60);

pub static KIND: Kind = Kind {
    name: "ddrf",
    doc: "A recipient that publishes `/dsrdelete.json` (IAB Data Deletion Request Framework); `url` is the root of its \
          domain. It acknowledges requests and never tells their end.",
    settings: &[
        Field::required(
            "issuer",
            "The company's own domain (eTLD+1), which publishes what `sunset dsrdelete` prints at `/dsrdelete.json`.",
            Shape::Text(&format::SETTING),
            "shop.example",
        ),
        Field::required(
            "private_key",
            "Signs requests: RSA of 2048 bits or more (RS256) or P-256 (ES256), as PEM.",
            Shape::Text(&format::KEY),
            "\"${file:/run/secrets/sunset/ddrf.pem}\"",
        ),
        Field::required("key_id", "The key's name (`kid`).", Shape::Text(&format::SETTING), "\"2026-11\""),
        Field::required(
            "identifiers",
            "The types and formats, as the recipient's `dsrdelete.json` writes them. `sha256`, `sha1` and `md5` are made \
                  here from the column; what has another format is sent as it stands there.",
            Shape::Named { key: &format::IDENTIFIER, value: &Shape::Text(&format::TEXT) },
            "{email: sha256}",
        ),
        Field::optional(
            "domain",
            "The recipient's domain (eTLD+1), which its answers name as issuer; the host of `url` without `www.` by \
                  default.",
            Shape::Text(&format::SETTING),
            "vendor.example",
        ),
        Field::optional(
            "endpoint",
            "Where requests go, if `dsrdelete.json` names an endpoint outside the recipient's domain: the same URL, as a \
                  sign that it is right.",
            Shape::Text(&format::RECIPIENT_URL),
            "https://dsr.processor.example/delete",
        ),
        Field::optional(
            "body",
            "How the signed request is posted, which the framework leaves open; `jwt` by default.",
            Shape::Words(&[
                Word { word: "jwt", doc: "the token as it is, as `application/jwt`" },
                Word { word: "json", doc: "`{\"rqJWT\": \"…\"}`" },
            ]),
            "json",
        ),
        Field::optional(
            "own_endpoint",
            "Where the company itself takes requests, for its own `dsrdelete.json`.",
            Shape::Text(&format::SETTING),
            "https://www.shop.example/dsr/",
        ),
    ],
    identifiers: Identifiers::OfSettings(|settings| {
        settings.options.entries("identifiers").into_iter().map(|(name, _)| Named::required(name)).collect()
    }),
    check,
    facts: |settings| Facts {
        batch: 1,
        // One for each identifier.
        calls: u32::try_from(settings.options.entries("identifiers").len()).unwrap_or(1).max(1),
        rates: settings.rates(&[]),
        grade: Grade::E2,
        deleted: "what the recipient itself decides; it acknowledges that it received the request",
        kept: "unknown: the framework has no answer that tells",
        sources: &["https://github.com/InteractiveAdvertisingBureau/Data-Subject-Rights"],
    },
    remarks: no_remarks,
    open: |settings, plumbing| Ok(Box::new(Ddrf::open(settings, plumbing)?)),
    #[cfg(feature = "demo")]
    stand_in: Some(&stand_in::STAND_IN),
};

fn check(settings: &RecipientSettings) -> Result<(), Misfit> {
    let misfit = |at: &[&'static str], problem: &str, help: &str| {
        Err(Misfit { at: at.to_vec(), problem: problem.to_owned(), help: help.to_owned() })
    };
    if settings.url.is_none() {
        return misfit(
            &[],
            "`url` is missing",
            "name the root of the recipient's domain: `url: https://vendor.example`",
        );
    }
    for key in ["issuer", "domain"] {
        if settings.options.text(key).is_some_and(|text| !is_domain(text)) {
            return misfit(&[key], "this is no domain", "a name such as `shop.example`, without `https://`");
        }
    }
    Ok(())
}

/// At least two labels.
fn is_domain(text: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    text.contains('.') && text.len() <= 253 && text.split('.').all(label)
}

/// The company's own `dsrdelete.json`, from all recipients of this kind that have the same `issuer`: its endpoint, the
/// identifiers that its recipients know people by, and the keys that it signs with.
///
/// # Errors
/// There is no such recipient, a key cannot be read, or the recipients contradict each other.
pub fn document<'a>(recipients: impl IntoIterator<Item = &'a RecipientSettings>) -> Result<Value, String> {
    let (mut issuer, mut endpoint) = (None, None);
    let (mut identifiers, mut keys) = (Vec::<(&str, &str)>::new(), Vec::<Value>::new());
    let agree = |known: &mut Option<&'a str>, text: Option<&'a str>, name: &str| match (&known, text) {
        (Some(known), Some(text)) if *known != text => Err(format!("recipients of kind `ddrf` differ in `{name}`")),
        (None, Some(text)) => {
            *known = Some(text);
            Ok(())
        }
        _ => Ok(()),
    };
    for settings in recipients.into_iter().filter(|settings| settings.kind.name == KIND.name) {
        agree(&mut issuer, settings.options.text("issuer"), "issuer")?;
        agree(&mut endpoint, settings.options.text("own_endpoint"), "own_endpoint")?;
        for pair in settings.options.entries("identifiers") {
            if !identifiers.contains(&pair) {
                identifiers.push(pair);
            }
        }
        let key = own_key(settings).map_err(|error| error.to_string())?.public();
        match keys.iter().find(|known| known["kid"] == key["kid"]) {
            None => keys.push(key),
            Some(known) if *known == key => {}
            Some(_) => return Err("recipients of kind `ddrf` give different keys the same `key_id`".to_owned()),
        }
    }
    if keys.is_empty() {
        return Err("sunset.yaml has no recipient of kind `ddrf`".to_owned());
    }
    let endpoint =
        endpoint.ok_or("no recipient of kind `ddrf` says `own_endpoint`: where the company takes requests")?;
    let identifiers = identifiers.iter().enumerate();
    let identifiers: Vec<_> =
        identifiers.map(|(at, (kind, format))| json!({"id": at + 1, "type": kind, "format": format})).collect();
    Ok(json!({
        "endpoint": endpoint,
        "identifiers": identifiers,
        "publicKey": keys,
        "vendorScriptRequirement": false,
    }))
}

fn own_key(settings: &RecipientSettings) -> Result<PrivateKey, OpenError> {
    let wrong = |reason: String| OpenError { recipient: settings.name.clone(), reason };
    let pem = settings.options.secret("private_key").ok_or_else(|| wrong("there is no `private_key`".to_owned()))?;
    PrivateKey::read(pem.expose_secret(), settings.options.text("key_id").unwrap_or_default()).map_err(wrong)
}

struct Ddrf {
    client: Client,
    issuer: String,
    key: PrivateKey,
    /// Type and format.
    identifiers: Vec<(String, String)>,
    /// The recipient's.
    domain: String,
    endpoint: Option<String>,
    json: bool,
    /// And when it was read.
    discovery: Mutex<Option<(Arc<Discovery>, Instant)>>,
}

/// A `dsrdelete.json`.
struct Discovery {
    endpoint: String,
    /// Type and format.
    identifiers: Vec<(String, String)>,
    keys: Vec<Value>,
    script: bool,
}

/// A signed request about one identifier.
struct Request {
    id: String,
    subject: Value,
    token: String,
}

/// What the acknowledgement said, or why nothing can be said.
enum Acknowledged {
    /// Result code and the acknowledgement's own id.
    Code(u64, Option<String>),
    /// It proves nothing.
    Unproven(&'static str),
    /// It is not signed with a key that is known.
    Unsigned(Fault),
}

impl Ddrf {
    fn open(settings: &RecipientSettings, plumbing: &Plumbing) -> Result<Self, OpenError> {
        let wrong = |reason: &str| OpenError { recipient: settings.name.clone(), reason: reason.to_owned() };
        let options = &settings.options;
        let url = settings.url.as_deref().ok_or_else(|| wrong("there is no `url`"))?;
        let host = Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
        let domain = options.text("domain").unwrap_or(host.strip_prefix("www.").unwrap_or(&host));
        let identifiers = options.entries("identifiers").into_iter();
        Ok(Self {
            client: plumbing.client(settings, &Conduct { base: url, rates: &[], judge: usual })?,
            issuer: options.text("issuer").ok_or_else(|| wrong("there is no `issuer`"))?.to_owned(),
            key: own_key(settings)?,
            identifiers: identifiers.map(|(kind, format)| (kind.to_owned(), format.to_owned())).collect(),
            domain: domain.to_owned(),
            endpoint: options.text("endpoint").map(str::to_owned),
            json: options.text("body") == Some("json"),
            discovery: Mutex::new(None),
        })
    }

    /// The recipient's document, read once; again if it was read before `newer_than`.
    async fn discovery(&self, newer_than: Option<Instant>) -> Result<Arc<Discovery>, Box<Answer>> {
        let mut known = self.discovery.lock().await;
        if let Some((discovery, at)) = &*known
            && newer_than.is_none_or(|newer_than| *at >= newer_than)
        {
            return Ok(discovery.clone());
        }
        let call = Call::get("read dsrdelete.json", "/dsrdelete.json").header("accept", "application/json".to_owned());
        let reply = self.client.send(&call).await.map_err(|failure| Box::new(failure.into()))?;
        let discovery = Arc::new(self.read(&reply).map_err(Box::new)?);
        *known = Some((discovery.clone(), Instant::now()));
        Ok(discovery)
    }

    fn read(&self, reply: &Reply) -> Result<Discovery, Answer> {
        if !reply.is_success() {
            let reason = format!("HTTP {} instead of a dsrdelete.json: look at `url`", reply.status);
            return Err(Answer::unreachable(reason, Some(LATER)));
        }
        let body = reply.json().unwrap_or_default();
        let unusable = || Answer::unreachable("its dsrdelete.json is none", Some(LATER));
        let list = |name: &str| body[name].as_array().ok_or_else(unusable);
        let identifiers = list("identifiers")?.iter();
        let pair = |identifier: &Value| {
            Some((identifier["type"].as_str()?.to_owned(), identifier["format"].as_str()?.to_owned()))
        };
        let endpoint = body["endpoint"].as_str().ok_or_else(unusable)?;
        if self.endpoint.as_deref() != Some(endpoint) && !self.is_own(endpoint) {
            return Err(Answer::refused(
                "its dsrdelete.json names an endpoint outside its domain; if that is right, write it as `endpoint`",
            ));
        }
        Ok(Discovery {
            endpoint: endpoint.to_owned(),
            identifiers: identifiers.filter_map(pair).collect(),
            keys: list("publicKey")?.iter().filter(|key| jwt::is_usable(key)).cloned().collect(),
            script: body["vendorScriptRequirement"].as_bool().ok_or_else(unusable)?,
        })
    }

    /// Whether a URL is at the host that was asked, or below the recipient's domain.
    fn is_own(&self, endpoint: &str) -> bool {
        let host = |text: &str| check_url(text).ok().and_then(|url| url.host_str().map(str::to_owned));
        let Some(found) = host(endpoint) else { return false };
        let below = found.strip_suffix(&self.domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
        Some(&found) == host(self.client.base()).as_ref() || (below && is_domain(&self.domain))
    }

    /// `iat` is now; all else is the same each time.
    fn request(&self, subject: &Subject, kind: &str, format: &str, text: &str) -> Result<Request, String> {
        let about = json!({
            "identifierValue": formatted(kind, format, text),
            "identifierType": kind,
            "identifierFormat": format,
        });
        let now = Timestamp::now().as_second();
        let claims = |id: String| json!({"version": VERSION, "jti": id, "iss": self.issuer, "sub": about, "iat": now});
        let identity = self.key.sign(&claims(own_id(subject, "idJWT", kind)))?;
        let id = own_id(subject, "rqJWT", kind);
        let mut claims = claims(id.clone());
        claims["idJWT"] = identity.into();
        Ok(Request { id, subject: about, token: self.key.sign(&claims)? })
    }

    async fn ask_about(&self, subject: &Subject, kind: &str, format: &str, text: &str) -> Answer {
        let began = Instant::now();
        let mut discovery = match self.discovery(None).await {
            Ok(discovery) => discovery,
            Err(answer) => return *answer,
        };
        if let Some(answer) = untakeable(&discovery, kind, format) {
            return answer;
        }
        // Code 6 is about the time of signing.
        for last in [false, true] {
            let request = match self.request(subject, kind, format, text) {
                Ok(request) => request,
                Err(reason) => return Answer::unreachable(reason, None),
            };
            let call = Call::post("ask for deletion", &discovery.endpoint).body(match self.json {
                true => Body::Json(json!({"rqJWT": request.token})),
                false => {
                    Body::Raw { content_type: "application/jwt".into(), bytes: request.token.clone().into_bytes() }
                }
            });
            let reply = match self.client.send(&call).await {
                Ok(reply) => reply,
                Err(failure) => return failure.into(),
            };
            let mut acknowledged = self.acknowledged(&reply, &request, &discovery.keys);
            if matches!(acknowledged, Acknowledged::Unsigned(Fault::UnknownKey | Fault::Signature)) {
                // Perhaps with a key that was published meanwhile.
                discovery = match self.discovery(Some(began)).await {
                    Ok(discovery) => discovery,
                    Err(answer) => return *answer,
                };
                acknowledged = self.acknowledged(&reply, &request, &discovery.keys);
            }
            if !last && matches!(acknowledged, Acknowledged::Code(6, _)) {
                continue;
            }
            return judged(&reply, acknowledged);
        }
        Answer::unreachable("its clock and ours differ (result code 6)", Some(LATER))
    }

    fn acknowledged(&self, reply: &Reply, request: &Request, keys: &[Value]) -> Acknowledged {
        let Some(token) = token_of(&reply.body) else { return Acknowledged::Unsigned(Fault::Malformed) };
        let claims = match jwt::verify(&token, keys) {
            Ok(claims) => claims,
            Err(fault) => return Acknowledged::Unsigned(fault),
        };
        if claims["version"].as_str().is_none_or(|version| !version.starts_with("1.")) {
            return Acknowledged::Unproven("is of a version that is not known");
        }
        if claims["iss"].as_str().is_none_or(|issuer| !issuer.eq_ignore_ascii_case(&self.domain)) {
            return Acknowledged::Unproven("names another issuer than the recipient's domain (`domain`)");
        }
        if !claims["jti"].is_string() || !claims["iat"].is_number() {
            return Acknowledged::Unproven("lacks `jti` or `iat`");
        }
        let own = jwt::verify(claims["rqJWT"].as_str().unwrap_or_default(), &[self.key.public()]);
        // Another token with the same id is an earlier attempt of the same request.
        let Some(own) = own.ok().filter(|own| own["jti"] == request.id && own["sub"] == request.subject) else {
            return Acknowledged::Unproven("is not about the request that was sent");
        };
        let id = claims["jti"].as_str().filter(|id| id.len() <= 128 && id.bytes().all(|byte| byte.is_ascii_graphic()));
        // Nothing that could be somebody's name.
        let id = id.filter(|id| !id.contains('@') && own["sub"]["identifierValue"] != **id);
        match claims["raResultCode"].as_u64() {
            Some(code) => Acknowledged::Code(code, id.map(str::to_owned)),
            None => Acknowledged::Unproven("has no result code"),
        }
    }
}

/// The recipient says beforehand that it would refuse this.
fn untakeable(discovery: &Discovery, kind: &str, format: &str) -> Option<Answer> {
    if discovery.script {
        return Some(Answer::not_possible(
            "the recipient takes requests only through its script in the person's own browser (vendorScriptRequirement)",
        ));
    }
    let mut formats = discovery.identifiers.iter().filter(|(taken, _)| taken == kind).map(|(_, format)| format);
    let first = formats.clone().next();
    match first {
        None => Some(Answer::refused(format!("its dsrdelete.json does not take `{kind}`"))),
        Some(_) if formats.any(|taken| taken == format) => None,
        Some(_) => Some(Answer::refused(format!("its dsrdelete.json does not take `{kind}` as `{format}`"))),
    }
}

/// The acJWT in a reply: alone, as a JSON text, or in a JSON object.
fn token_of(body: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?.trim();
    match serde_json::from_str::<Value>(text) {
        Ok(Value::String(token)) => Some(token),
        Ok(object) => object["acJWT"].as_str().map(str::to_owned),
        Err(_) => (!text.is_empty()).then(|| text.to_owned()),
    }
}

/// What the framework's result codes mean. Their texts (`raResultString`) may hold identifiers, so they are not shown.
fn judged(reply: &Reply, acknowledged: Acknowledged) -> Answer {
    let status = reply.status;
    let refused = |code: u64, words: &str| Answer::refused(format!("result code {code}: {words}"));
    match acknowledged {
        Acknowledged::Code(code, id) => match code {
            0 if reply.is_success() => Answer::confirmed(Grade::E2),
            0 => Answer::unreachable(format!("HTTP {status} with result code 0, which contradict each other"), None),
            1 => refused(1, "the request lacks fields that the recipient wants"),
            2 => refused(2, "the signature is not valid to it: look at the company's own dsrdelete.json and `key_id`"),
            3 => refused(3, "the token is not valid to it"),
            4 => refused(4, "it does not take this type of identifier"),
            5 => refused(5, "the identifier does not have the format that it wants"),
            6 => Answer::unreachable("result code 6: its clock and ours differ", Some(LATER)),
            code => refused(code, "not one of the framework's"),
        }
        .request_id(id),
        Acknowledged::Unproven(_) | Acknowledged::Unsigned(_) if !reply.is_success() => match status {
            300..=399 => Answer::refused("the endpoint leads elsewhere, which is not followed"),
            _ => Answer::refused(format!("HTTP {status} without an acknowledgement that can be verified")),
        },
        Acknowledged::Unproven(why) => Answer::unreachable(format!("the acknowledgement {why}"), None),
        Acknowledged::Unsigned(fault) => {
            Answer::unreachable(format!("the acknowledgement cannot be verified: {fault}"), None)
        }
    }
}

/// A request's id. It depends on the asking and the identifier alone, and tells nothing of either.
fn own_id(subject: &Subject, token: &str, kind: &str) -> String {
    let digest = Sha256::digest(format!("ddrf/{token}/{}/{kind}", subject.request()));
    hex::encode(&digest[..16])
}

#[async_trait::async_trait]
impl Recipient for Ddrf {
    async fn delete(&self, subjects: &[Subject]) -> Vec<Answer> {
        let ask = async |subject: &Subject| {
            let mut answers = Vec::new();
            for (kind, format) in &self.identifiers {
                if let Some(text) = subject.get(kind) {
                    answers.push(self.ask_about(subject, kind, format, text).await);
                }
            }
            answers
                .into_iter()
                .reduce(Answer::or_worse)
                .unwrap_or_else(|| Answer::not_possible("the row has no identifier"))
        };
        in_order(subjects.iter().map(ask).collect(), AT_ONCE).await
    }

    async fn check(&self) -> Result<Checked, CheckError> {
        let told = |answer: Box<Answer>| match answer.state {
            State::Unreachable { reason, again_after } => CheckError { reason, temporary: again_after != Some(LATER) },
            State::Refused { reason } | State::NotPossible { reason } => CheckError { reason, temporary: false },
            state => CheckError { reason: state.word().to_owned(), temporary: false },
        };
        let discovery = self.discovery(None).await.map_err(told)?;
        if let Some(answer) = self.identifiers.iter().find_map(|(kind, format)| untakeable(&discovery, kind, format)) {
            return Err(told(Box::new(answer)));
        }
        if discovery.keys.is_empty() {
            let reason = "its dsrdelete.json has no key for RS256 or ES256, so no acknowledgement could be verified";
            return Err(CheckError { reason: reason.to_owned(), temporary: false });
        }
        let reason = "its dsrdelete.json takes what would be sent; the framework has no call that proves the key without \
                      effect";
        Ok(Checked::Unproven { reason: reason.to_owned() })
    }
}
