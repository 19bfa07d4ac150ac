//! `opendsr`: any processor that speaks OpenDSR 2.0 or what it was called before, OpenCompliance 1.0 and OpenGDPR 0.1
//! (<https://github.com/opengdpr/OpenDSR>: `specification.md`, `security_guidelines.md`, `CHANGELOG.md`).
//!
//! `GET /discovery` tells which identities it takes and where its certificate is; `POST /requests` asks for erasure, under a
//! `subject_request_id` that is chosen here and is the same as long as one asking lasts; `GET /requests/{id}` tells how
//! far it is, until `completed`. Answers are signed, and what is not signed by the processor's certificate is not believed
//! ([`signature`] says what is checked), unless `signatures: unchecked` is set.
//!
//! What the documents leave open, and what is done here: what a processor says to an id that it knows already (after HTTP
//! 400 or 409 its status is looked up); whether an unknown person is an error (`completed` with `results_count` 0 counts as
//! gone); how identifiers are normalized before they are hashed ([`super::identity`]; so `raw` is preferred); that a
//! request was cancelled is a refusal: nobody asks anew without a person's word. The body of a 201 holds the request again (`encoded_request`), which
//! "controllers MUST NOT log or store": it is compared with what was sent and dropped.

pub mod signature;
#[cfg(feature = "demo")]
mod stand_in;

use super::{
    Answer, CheckError, Checked, Facts, Identifier, Identifiers, Kind, Misfit, OpenError, Plumbing, Recipient,
    RecipientSettings, Subject,
    client::{Auth, Body, Call, Client, Conduct, Reply, check_url, in_order},
    identity::formatted,
    no_remarks,
    retry::usual,
    subject::uuid,
};
use crate::{
    evidence::Grade,
    language::{
        format,
        node::Node,
        shape::{Field, Shape, Word},
    },
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use reqwest::Url;
use serde_json::{Map, Value, json};
use signature::{Authorities, Fault, Processor};
use std::{sync::Arc, time::Duration};
use tokio::{sync::Mutex, time::Instant};

/// People asked about at a time.
const AT_ONCE: usize = 16;

/// Between two looks at a request: until the time that the processor expects, within these bounds.
const SOONEST: Duration = Duration::from_secs(60);
const LATEST: Duration = Duration::from_secs(24 * 60 * 60);
/// Where the processor expects nothing, or that time has passed.
const USUAL: Duration = Duration::from_secs(60 * 60);

/// When a processor that cannot be spoken to is tried again.
const LATER: Duration = Duration::from_secs(60 * 60);

/// A request that was cancelled keeps its id.
const MOST_REQUESTS: u32 = 5;

/// In the order in which they are chosen: what needs no guess at the other's normalization first.
const FORMATS: &[&str] = &["raw", "sha256", "sha1", "md5"];

/// The id of no request.
const NOBODY: &str = "00000000-0000-4000-8000-000000000000";

const NAMES: &[&str] = &[
    "controller_customer_id",
    "android_advertising_id",
    "android_id",
    "email",
    "fire_advertising_id",
    "ios_advertising_id",
    "ios_vendor_id",
    "microsoft_advertising_id",
    "microsoft_publisher_id",
    "roku_publisher_id",
    "roku_advertising_id",
];

const fn identifier(name: &'static str, doc: &'static str, example: &'static str) -> Identifier {
    Identifier { name, doc, example }
}

const DEVICE: &str = "6d92078a-8246-4ba4-ae5b-76104861e7dc";

pub static KIND: Kind = Kind {
    name: "opendsr",
    doc: "A processor that speaks OpenDSR (formerly OpenCompliance and OpenGDPR); `url` is its base URL with the version: \
          `https://opendsr.processor.example/v2`.",
    settings: &[
        Field::optional(
            "regulation",
            "The law that the request is under; `gdpr` by default.",
            Shape::Words(&[Word { word: "gdpr", doc: "GDPR" }, Word { word: "ccpa", doc: "CCPA" }]),
            "ccpa",
        ),
        Field::optional(
            "names",
            "Which of the framework's names and bodies the processor knows; `opendsr` by default.",
            Shape::Words(&[
                Word { word: "opendsr", doc: "OpenDSR 2.0: `/requests`" },
                Word { word: "opencompliance", doc: "OpenCompliance 1.0: `/opencompliance_requests`" },
                Word { word: "opengdpr", doc: "OpenGDPR 0.1: `/opengdpr_requests`, without `regulation`" },
            ]),
            "opengdpr",
        ),
        Field::optional(
            "path",
            "Another path of requests, from the base URL, than the framework's.",
            Shape::Text(&format::SETTING),
            "/opendsr_requests",
        ),
        Field::optional("token", "A bearer token.", Shape::Text(&format::KEY), "\"${OPENDSR_TOKEN}\""),
        Field::optional("user", "The user for HTTP Basic, with `password`.", Shape::Text(&format::SETTING), "sunset"),
        Field::optional(
            "password",
            "The password for HTTP Basic.",
            Shape::Text(&format::KEY),
            "\"${OPENDSR_PASSWORD}\"",
        ),
        Field::optional(
            "format",
            "The format to send identifiers in, if the processor takes it; what needs no hashing (`raw`) by default. How to \
             normalize before hashing is not documented: mail addresses are written small, and white space around goes.",
            Shape::Words(&[
                Word { word: "raw", doc: "as it is" },
                Word { word: "sha256", doc: "SHA-256" },
                Word { word: "sha1", doc: "SHA-1" },
                Word { word: "md5", doc: "MD5" },
            ]),
            "sha256",
        ),
        Field::optional(
            "domain",
            "The processor's domain, which it signs for; the host of `url` by default.",
            Shape::Text(&format::SETTING),
            "opendsr.processor.example",
        ),
        Field::optional(
            "signatures",
            "Whether answers must be signed; `required` by default.",
            Shape::Words(&[
                Word { word: "required", doc: "what the processor's certificate has not signed is not believed" },
                Word {
                    word: "unchecked",
                    doc: "for processors that do not sign: the connection alone (TLS) tells who answers",
                },
            ]),
            "unchecked",
        ),
        Field::optional(
            "certificate_authority",
            "Who vouches for the processor's certificate, as PEM or base64; the system's authorities by default.",
            Shape::Text(&format::SETTING),
            "\"${file:/etc/sunset/authority.pem}\"",
        ),
        Field::optional(
            "callbacks",
            "URLs that the processor is asked to call when a request's status changes, beside being polled.",
            Shape::List { item: &Shape::Text(&format::SETTING), least: 1, unique: true },
            "[\"https://dsr.shop.example/opendsr_callbacks\"]",
        ),
        Field::optional(
            "property_id",
            "For processors that still want OpenGDPR's field of this name.",
            Shape::Text(&format::SETTING),
            "id123456789",
        ),
        Field::optional(
            "extensions",
            "Processor-specific parts of the request, by processor domain; the same for everybody.",
            Shape::Named { key: &format::TEXT, value: &Shape::Any },
            "{opendsr.processor.example: {property_id: \"1234\"}}",
        ),
    ],
    identifiers: Identifiers::Fixed {
        all: &[
            identifier("controller_customer_id", "The company's own id of the customer.", "10293"),
            identifier("android_advertising_id", "Google's advertising id.", DEVICE),
            identifier("android_id", "Android's id of the device.", "9774d56d682e549c"),
            identifier("email", "The mail address.", "taro@example.com"),
            identifier("fire_advertising_id", "Amazon Fire's advertising id.", DEVICE),
            identifier("ios_advertising_id", "Apple's advertising id (IDFA).", DEVICE),
            identifier("ios_vendor_id", "Apple's id for the vendor (IDFV).", DEVICE),
            identifier("microsoft_advertising_id", "Windows' advertising id.", DEVICE),
            identifier("microsoft_publisher_id", "Windows' id for the publisher.", DEVICE),
            identifier("roku_publisher_id", "Roku's id for the publisher.", DEVICE),
            identifier("roku_advertising_id", "Roku's advertising id.", DEVICE),
        ],
        any_of: &[NAMES],
    },
    check,
    facts: |settings| Facts {
        batch: 1,
        // The request, and one look at the end.
        calls: 2,
        rates: settings.rates(&[]),
        grade: Grade::E1,
        deleted: "what the contract with the processor says; it reports when the request is completed",
        kept: "what the contract with the processor lets it keep",
        sources: &[
            "https://github.com/opengdpr/OpenDSR/blob/master/specification.md",
            "https://github.com/opengdpr/OpenDSR/blob/master/security_guidelines.md",
        ],
    },
    remarks: no_remarks,
    open: |settings, plumbing| Ok(Box::new(OpenDsr::open(settings, plumbing)?)),
    #[cfg(feature = "demo")]
    stand_in: Some(&stand_in::STAND_IN),
};

fn check(settings: &RecipientSettings) -> Result<(), Misfit> {
    let misfit = |at: &[&'static str], problem: &str, help: &str| {
        Err(Misfit { at: at.to_vec(), problem: problem.to_owned(), help: help.to_owned() })
    };
    let options = &settings.options;
    let is_given = |key: &str| options.text(key).is_some();
    if settings.url.is_none() {
        let help = "name the base URL with the version: `url: https://opendsr.processor.example/v2`";
        return misfit(&[], "`url` is missing", help);
    }
    if is_given("user") != is_given("password") {
        return misfit(&[], "`user` and `password` belong together", "give both");
    }
    if is_given("token") && is_given("user") {
        return misfit(&["token"], "two ways to prove who calls", "`token`, or `user` with `password`");
    }
    if options.text("path").is_some_and(|path| !path.starts_with('/')) {
        return misfit(&["path"], "the path does not begin with `/`", "for example `/opendsr_requests`");
    }
    if options.texts("callbacks").iter().any(|url| check_url(url).is_err()) {
        return misfit(&["callbacks"], "this is no `https` URL", "for example `https://dsr.shop.example/callbacks`");
    }
    Ok(())
}

/// How far a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// `pending` and `in_progress`, until the time that the processor expects.
    Working(Option<Timestamp>),
    /// `completed`; whether the processor says that it found nothing.
    Completed {
        nothing: bool,
    },
    Cancelled,
}

impl Status {
    /// `None` where the document has no such status.
    fn read(body: &Value) -> Option<Self> {
        Some(match body["request_status"].as_str()? {
            "pending" | "in_progress" => {
                Self::Working(body["expected_completion_time"].as_str().and_then(|time| time.parse().ok()))
            }
            "completed" => Self::Completed { nothing: body["results_count"] == 0 },
            "cancelled" => Self::Cancelled,
            _ => return None,
        })
    }

    /// What it means for the people of the request.
    pub fn answer(self, request: &str, now: Timestamp) -> Answer {
        match self {
            Self::Working(expected) => Answer::accepted(request, pause(expected, now)),
            Self::Completed { nothing: true } => Answer::gone(Grade::E1),
            Self::Completed { nothing: false } => Answer::confirmed(Grade::E1),
            Self::Cancelled => Answer::refused("the processor has cancelled the request"),
        }
        .request_id(Some(request.to_owned()))
    }
}

fn pause(expected: Option<Timestamp>, now: Timestamp) -> Duration {
    let left = expected.and_then(|expected| Duration::try_from(expected.duration_since(now)).ok());
    left.map_or(USUAL, |left| left.clamp(SOONEST, LATEST))
}

/// Small letters, version 4.
fn is_uuid(text: &str) -> bool {
    let fits = |(at, byte): (usize, u8)| match at {
        8 | 13 | 18 | 23 => byte == b'-',
        14 => byte == b'4',
        _ => byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte),
    };
    text.len() == 36 && text.bytes().enumerate().all(fits)
}

struct OpenDsr {
    client: Client,
    auth: Auth,
    regulation: Option<String>,
    version: &'static str,
    path: String,
    format: String,
    domain: String,
    /// `None` where signatures are not checked.
    authorities: Option<Authorities>,
    callbacks: Vec<String>,
    property: Option<String>,
    extensions: Option<Value>,
    /// And when it was read.
    discovery: Mutex<Option<(Arc<Discovery>, Instant)>>,
}

struct Discovery {
    /// Identity type and format; `None` where the processor has no such document.
    identities: Option<Vec<(String, String)>>,
    processor: Option<Processor>,
}

impl OpenDsr {
    fn open(settings: &RecipientSettings, plumbing: &Plumbing) -> Result<Self, OpenError> {
        let wrong = |reason: String| OpenError { recipient: settings.name.clone(), reason };
        let options = &settings.options;
        let url = settings.url.as_deref().ok_or_else(|| wrong("there is no `url`".to_owned()))?;
        let host = host(url).unwrap_or_default();
        let auth = match (options.secret("token"), options.text("user"), options.secret("password")) {
            (Some(token), ..) => Auth::Bearer(token),
            (None, Some(user), Some(password)) => Auth::Basic(user.to_owned(), password),
            _ => Auth::None,
        };
        let (version, path) = match options.text("names") {
            Some("opengdpr") => ("0.1", "/opengdpr_requests"),
            Some("opencompliance") => ("1.0", "/opencompliance_requests"),
            _ => ("2.0", "/requests"),
        };
        let authorities = match (options.text("signatures"), options.text("certificate_authority")) {
            (Some("unchecked"), _) => None,
            (_, Some(text)) => Some(Authorities::read(text).map_err(wrong)?),
            (_, None) => Some(Authorities::of_system().map_err(wrong)?),
        };
        let own = |key: &str| options.text(key).map(str::to_owned);
        Ok(Self {
            client: plumbing.client(settings, &Conduct { base: url, rates: &[], judge: usual })?,
            auth,
            regulation: (version != "0.1").then(|| own("regulation").unwrap_or_else(|| "gdpr".to_owned())),
            version,
            path: own("path").unwrap_or_else(|| path.to_owned()),
            format: own("format").unwrap_or_else(|| "raw".to_owned()),
            domain: own("domain").unwrap_or(host),
            authorities,
            callbacks: options.texts("callbacks").into_iter().map(str::to_owned).collect(),
            property: own("property_id"),
            extensions: options.node("extensions").map(Node::to_json),
            discovery: Mutex::new(None),
        })
    }

    async fn send(&self, call: Call) -> Result<Reply, Box<Answer>> {
        let call = call.header("accept", "application/json".to_owned()).auth(self.auth.clone());
        self.client.send(&call).await.map_err(|failure| Box::new(failure.into()))
    }

    /// The processor's own description, read once; again if it was read before `newer_than`.
    async fn discovery(&self, newer_than: Option<Instant>) -> Result<Arc<Discovery>, Box<Answer>> {
        let mut known = self.discovery.lock().await;
        if let Some((discovery, at)) = &*known
            && newer_than.is_none_or(|newer_than| *at >= newer_than)
        {
            return Ok(discovery.clone());
        }
        let discovery = Arc::new(self.discover().await?);
        *known = Some((discovery.clone(), Instant::now()));
        Ok(discovery)
    }

    async fn discover(&self) -> Result<Discovery, Box<Answer>> {
        let later = |reason: &str| Box::new(Answer::unreachable(reason, Some(LATER)));
        let reply = self.send(Call::get("discovery", "/discovery")).await?;
        if reply.status == 404 && self.authorities.is_none() {
            return Ok(Discovery { identities: None, processor: None });
        }
        if !reply.is_success() {
            return Err(Box::new(refusal(&reply, "discovery")));
        }
        let body = reply.json().unwrap_or_default();
        let (Some(identities), Some(kinds)) =
            (body["supported_identities"].as_array(), body["supported_subject_request_types"].as_array())
        else {
            return Err(later("what it says to discovery cannot be read"));
        };
        if !kinds.iter().any(|kind| kind == "erasure") {
            return Err(Box::new(Answer::refused("the processor takes no requests for erasure")));
        }
        let pair = |identity: &Value| {
            Some((identity["identity_type"].as_str()?.to_owned(), identity["identity_format"].as_str()?.to_owned()))
        };
        let identities = identities.iter().filter_map(pair).collect();
        let Some(authorities) = &self.authorities else {
            return Ok(Discovery { identities: Some(identities), processor: None });
        };
        let url = body["processor_certificate"].as_str().ok_or_else(|| later("discovery names no certificate"))?;
        // "The domain MUST match that of the discovery callback."
        if host(url) != host(self.client.base()) {
            return Err(Box::new(Answer::refused("discovery names a certificate on another host")));
        }
        // Whoever may ask reads it without credentials.
        let call = Call::get("fetch the certificate", url);
        let reply = self.client.send(&call).await.map_err(|failure| Box::new(Answer::from(failure)))?;
        if !reply.is_success() {
            return Err(later("the processor's certificate is not where discovery says"));
        }
        let processor = Processor::new(&self.domain, &reply.body, authorities.clone());
        let processor = processor.and_then(|processor| processor.check(Timestamp::now()).map(|()| processor));
        let processor = processor.map_err(|fault| later(&fault.to_string()))?;
        Ok(Discovery { identities: Some(identities), processor: Some(processor) })
    }

    /// The body of a reply that the processor has signed.
    async fn believed(&self, reply: &Reply, began: Instant) -> Result<Value, Box<Answer>> {
        let mut result = self.verify(reply, &*self.discovery(None).await?);
        if matches!(result, Err(Fault::Signature | Fault::Certificate(_))) {
            // Perhaps with a certificate that is new.
            result = self.verify(reply, &*self.discovery(Some(began)).await?);
        }
        if let Err(fault) = result {
            return Err(Box::new(Answer::unreachable(format!("its answer is not to be believed: {fault}"), None)));
        }
        let body = reply.json().filter(Value::is_object);
        body.ok_or_else(|| {
            Box::new(Answer::unreachable(format!("HTTP {} with an answer that cannot be read", reply.status), None))
        })
    }

    fn verify(&self, reply: &Reply, discovery: &Discovery) -> Result<(), Fault> {
        match (&discovery.processor, &self.authorities) {
            (Some(processor), _) => processor.verify(|name| reply.header(name), &reply.body, Timestamp::now()),
            (None, None) => Ok(()),
            (None, Some(_)) => Err(Fault::Unsigned),
        }
    }

    /// `subject_identities`: each of the row's that the processor takes, in a format that it takes.
    fn identities(&self, subject: &Subject, discovery: &Discovery) -> Vec<Value> {
        let chosen = |name: &str| {
            let Some(identities) = &discovery.identities else { return Some(self.format.as_str()) };
            let takes = |format: &&str| identities.iter().any(|(taken, known)| taken == name && known == *format);
            [self.format.as_str()].into_iter().chain(FORMATS.iter().copied()).find(takes)
        };
        let identity = |(name, text): (&str, &str)| {
            let format = chosen(name)?;
            Some(json!({
                "identity_type": name,
                "identity_value": formatted(name, format, text),
                "identity_format": format,
            }))
        };
        subject.identifiers().filter_map(identity).collect()
    }

    fn body(&self, id: &str, identities: Vec<Value>) -> Value {
        let mut body = Map::new();
        if let Some(regulation) = &self.regulation {
            body.insert("regulation".to_owned(), regulation.as_str().into());
        }
        body.insert("subject_request_id".to_owned(), id.into());
        body.insert("subject_request_type".to_owned(), "erasure".into());
        let now = Timestamp::now().as_second();
        let now = Timestamp::from_second(now).unwrap_or_default();
        body.insert("submitted_time".to_owned(), now.to_string().into());
        body.insert("subject_identities".to_owned(), identities.into());
        body.insert("api_version".to_owned(), self.version.into());
        if !self.callbacks.is_empty() {
            body.insert("status_callback_urls".to_owned(), self.callbacks.clone().into());
        }
        if let Some(property) = &self.property {
            body.insert("property_id".to_owned(), property.as_str().into());
        }
        if let Some(extensions) = &self.extensions {
            body.insert("extensions".to_owned(), extensions.clone());
        }
        body.into()
    }

    async fn ask(&self, subject: &Subject) -> Result<Answer, Box<Answer>> {
        if subject.is_empty() {
            return Ok(Answer::not_possible("the row has no identifier"));
        }
        let identities = self.identities(subject, &*self.discovery(None).await?);
        if identities.is_empty() {
            return Ok(Answer::refused("the processor takes none of the identifiers that the rule gives"));
        }
        for number in 1..=MOST_REQUESTS {
            let began = Instant::now();
            let id = own_id(subject, number);
            let bytes = self.body(&id, identities.clone()).to_string().into_bytes();
            let call = Call::post("ask for erasure", &self.path);
            let body = Body::Raw { content_type: "application/json".into(), bytes: bytes.clone() };
            let reply = self.send(call.body(body)).await?;
            match reply.status {
                200..=299 => {
                    let body = self.believed(&reply, began).await?;
                    return Ok(self.receipt(&body, &id, &bytes));
                }
                // Either there is something wrong with it, or it is known already.
                400 | 409 => match self.look(&id).await {
                    Ok(Some(Status::Cancelled)) => {}
                    Ok(Some(status)) => return Ok(status.answer(&id, Timestamp::now())),
                    Ok(None) => return Ok(refusal(&reply, "the request")),
                    Err(answer) if matches!(answer.state, super::State::Refused { .. }) => {
                        return Ok(refusal(&reply, "the request"));
                    }
                    Err(answer) => return Ok(*answer),
                },
                _ => return Ok(refusal(&reply, "the request")),
            }
        }
        Ok(Answer::unreachable("every request was cancelled", Some(LATEST)))
    }

    /// A 201: it must be about what was sent.
    fn receipt(&self, body: &Value, id: &str, sent: &[u8]) -> Answer {
        let other = |what: &str| Answer::unreachable(format!("its receipt is for {what}"), None);
        let checked = self.authorities.is_some();
        if body["subject_request_id"] != id && (checked || !body["subject_request_id"].is_null()) {
            return other("another request");
        }
        let encoded = body["encoded_request"].as_str();
        let decoded = encoded.and_then(|text| STANDARD.decode(text.split_whitespace().collect::<String>()).ok());
        let same = |decoded: &Vec<u8>| {
            decoded == sent
                || serde_json::from_slice::<Value>(decoded).ok() == serde_json::from_slice::<Value>(sent).ok()
        };
        match decoded {
            Some(decoded) if !same(&decoded) => return other("something else than what was sent"),
            None if checked => return other("nothing: `encoded_request` is missing"),
            _ => {}
        }
        let expected = body["expected_completion_time"].as_str().and_then(|time| time.parse().ok());
        Status::Working(expected).answer(id, Timestamp::now())
    }

    /// How far a request is; `None` where the processor does not know it.
    async fn look(&self, id: &str) -> Result<Option<Status>, Box<Answer>> {
        let began = Instant::now();
        let reply = self.send(Call::get("look at a request", format!("{}/{id}", self.path))).await?;
        match reply.status {
            200..=299 => {}
            400 | 404 | 410 => return Ok(None),
            _ => return Err(Box::new(refusal(&reply, "the look at a request"))),
        }
        let body = self.believed(&reply, began).await?;
        if body["subject_request_id"] != id {
            return Err(Box::new(Answer::unreachable("its status is of another request", None)));
        }
        let unknown = || Box::new(Answer::unreachable("a request in an unknown state", Some(LATEST)));
        Status::read(&body).map(Some).ok_or_else(unknown)
    }
}

/// A reply that is no success. The processor's message may hold identifiers, in spite of §7.6.
fn refusal(reply: &Reply, what: &str) -> Answer {
    Answer::refused(match reply.status {
        300..=399 => format!("the answer to {what} leads elsewhere, which is not followed: look at `url`"),
        401 => "the processor does not know who calls (HTTP 401): look at the credentials".to_owned(),
        403 => "the processor does not allow this (HTTP 403)".to_owned(),
        404 => format!("HTTP 404 to {what}: look at `url`, `names` and `path`"),
        status => format!("HTTP {status} to {what}"),
    })
}

fn host(url: &str) -> Option<String> {
    Url::parse(url).ok()?.host_str().map(str::to_ascii_lowercase)
}

/// A UUID of version 4 in form; the same as long as the asking lasts, and nobody can tell whose it is.
fn own_id(subject: &Subject, number: u32) -> String {
    uuid(&format!("opendsr/{number}/{}", subject.request()))
}

#[async_trait::async_trait]
impl Recipient for OpenDsr {
    async fn delete(&self, subjects: &[Subject]) -> Vec<Answer> {
        let ask = async |subject: &Subject| self.ask(subject).await.unwrap_or_else(|answer| *answer);
        in_order(subjects.iter().map(ask).collect(), AT_ONCE).await
    }

    async fn poll(&self, tickets: &[String]) -> Vec<Answer> {
        let look = async |ticket: &String| {
            if !is_uuid(ticket) {
                return Answer::refused("this is no request");
            }
            match self.look(ticket).await {
                Ok(Some(status)) => status.answer(ticket, Timestamp::now()),
                Ok(None) => Answer::forgotten("the processor knows no such request; a new one will be made"),
                Err(answer) => *answer,
            }
        };
        in_order(tickets.iter().map(look).collect(), AT_ONCE).await
    }

    async fn check(&self) -> Result<Checked, CheckError> {
        let error = |answer: Box<Answer>| match answer.state {
            super::State::Unreachable { reason, again_after } => {
                CheckError { reason, temporary: again_after != Some(LATER) }
            }
            super::State::Refused { reason } | super::State::NotPossible { reason } => {
                CheckError { reason, temporary: false }
            }
            state => CheckError { reason: state.word().to_owned(), temporary: false },
        };
        self.discovery(None).await.map_err(error)?;
        // Nobody's request: whoever may not ask is told so, and who may finds none.
        self.look(NOBODY).await.map_err(error)?;
        let reason = "discovery answers, and a look at a request that does not exist was not refused; no call proves more \
                      without effect";
        Ok(Checked::Unproven { reason: reason.to_owned() })
    }
}
