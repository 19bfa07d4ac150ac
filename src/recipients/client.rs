//! Calls to a recipient: what is said once for all vendors about connections, time-outs, retries and silence.
//!
//! URLs and bodies hold identifiers, so they reach no log and no message: a call is known by its operation. Redirects are
//! not followed at all, so that nothing goes to a host that the settings do not name. Everything but loopback is `https`.

use super::{
    Members, OpenError, Quotas, RecipientSettings, Sender,
    circuit::Circuit,
    quota::InProcess,
    rate::Limiter,
    retry::{Backoff, LONGEST_REST, Verdict, retry_after},
    token::Tokens,
};
use crate::{http::is_loopback, language::rate::Rate};
use futures_util::{StreamExt as _, stream};
use hyper::body::{Bytes, Frame, SizeHint};
use reqwest::{
    Method, Url,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use std::{
    borrow::Cow,
    convert::Infallible,
    error::Error as _,
    fmt::{self, Write as _},
    pin::Pin,
    sync::Arc,
    task,
    time::{Duration, Instant},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// For one attempt, where settings say nothing.
const TIMEOUT: Duration = Duration::from_secs(30);

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Uploads get time for their length: they are not slower than so many bytes a second.
const SLOWEST: u64 = 256 << 10;

/// No vendor answers with more, in bytes.
const LONGEST_REPLY: usize = 1 << 20;

/// All replies that a process holds are not longer, in bytes.
const ALL_REPLIES: usize = 32 << 20;

/// The room for replies is given out in pieces of so many bytes.
const PIECE: usize = 1 << 10;

/// What all recipients of a run share.
#[derive(Clone, Debug)]
pub struct Plumbing {
    outside: reqwest::Client,
    /// Knows no proxy.
    loopback: reqwest::Client,
    pub backoff: Backoff,
    /// Who stays, for recipients whose lists are rebuilt; without it, such a recipient refuses.
    pub members: Option<Arc<dyn Members>>,
    /// In whose name letters are written; none before [`Plumbing::of`].
    pub sender: Option<Arc<Sender>>,
    /// Counts the calls of a day; in this process alone by default.
    pub quotas: Arc<dyn Quotas>,
    /// The room for replies.
    room: Arc<Semaphore>,
}

impl Plumbing {
    /// # Errors
    /// The system's certificates cannot be read, or the environment names a proxy that is none.
    pub fn new() -> Result<Self, String> {
        // Fails where it is installed already, which is as good: there is one provider in the whole program.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = || {
            reqwest::Client::builder()
                .user_agent(concat!("sunset/", env!("CARGO_PKG_VERSION")))
                .redirect(reqwest::redirect::Policy::none())
                .referer(false)
                .connect_timeout(CONNECT_TIMEOUT)
                .pool_idle_timeout(Duration::from_secs(30))
        };
        let told = |error: reqwest::Error| describe(&error.without_url());
        Ok(Self {
            outside: builder().https_only(true).build().map_err(told)?,
            loopback: builder().no_proxy().build().map_err(told)?,
            backoff: Backoff::default(),
            members: None,
            sender: None,
            quotas: InProcess::new(),
            room: Arc::new(Semaphore::new(ALL_REPLIES / PIECE)),
        })
    }

    /// This plumbing for a job that can write and sign letters.
    #[must_use]
    pub fn of(self, sender: Sender) -> Self {
        Self { sender: Some(Arc::new(sender)), ..self }
    }

    /// What keeps one recipient's documented limits and those of its settings.
    pub fn limiter(&self, settings: &RecipientSettings, documented: &[Rate]) -> Limiter {
        Limiter::new(&settings.name, &settings.rates(documented), self.quotas.clone())
    }

    /// A client for one recipient.
    ///
    /// # Errors
    /// The base URL cannot be used.
    pub fn client(&self, settings: &RecipientSettings, conduct: &Conduct) -> Result<Client, OpenError> {
        let base = settings.url.clone().unwrap_or_else(|| conduct.base.to_owned());
        check_url(&base).map_err(|reason| OpenError { recipient: settings.name.clone(), reason })?;
        Ok(Client {
            recipient: settings.name.clone(),
            base: base.trim_end_matches('/').to_owned(),
            plumbing: self.clone(),
            timeout: settings.timeout.unwrap_or(TIMEOUT),
            limiter: self.limiter(settings, conduct.rates),
            circuit: Circuit::default(),
            judge: conduct.judge,
            also_retry: Vec::new(),
        })
    }
}

/// How one vendor wants to be called.
pub struct Conduct<'a> {
    pub base: &'a str,
    pub rates: &'a [Rate],
    /// [`usual`](super::retry::usual), or the vendor's own.
    pub judge: fn(&Reply) -> Verdict,
}

/// Calls one recipient, at its pace.
pub struct Client {
    recipient: String,
    base: String,
    plumbing: Plumbing,
    timeout: Duration,
    limiter: Limiter,
    circuit: Circuit,
    judge: fn(&Reply) -> Verdict,
    also_retry: Vec<u16>,
}

/// A call, as often as it has to be made.
#[derive(Clone)]
pub struct Call {
    /// For log and messages: never an identifier.
    operation: &'static str,
    method: Method,
    /// Absolute, or a path from the base URL; identifiers in it went through [`segment`].
    url: String,
    query: Vec<(String, String)>,
    headers: Vec<(String, SecretString)>,
    auth: Auth,
    body: Body,
}

#[derive(Clone, Default)]
pub enum Auth {
    #[default]
    None,
    Basic(String, SecretString),
    Bearer(SecretString),
    /// A key in a header of its own.
    Header(String, SecretString),
    /// A bearer token that is fetched, and fetched anew when it is refused.
    Tokens(Arc<Tokens>),
    /// Headers made anew for each attempt.
    Signed(Arc<dyn Signer>),
}

/// Makes the headers that prove who calls, for each attempt anew.
pub trait Signer: Send + Sync {
    fn sign(&self, method: &str, url: &Url, body: &Body) -> Vec<(String, SecretString)>;
}

#[derive(Clone, Debug, Default)]
pub enum Body {
    #[default]
    None,
    Json(Value),
    Form(Vec<(String, String)>),
    Raw {
        content_type: Cow<'static, str>,
        bytes: Vec<u8>,
    },
    Upload(Arc<dyn Upload>),
}

/// A body too large to be kept in one piece: it is written while it is sent, for each attempt anew.
pub trait Upload: fmt::Debug + Send + Sync {
    fn content_type(&self) -> &str;

    /// In bytes.
    fn length(&self) -> u64;

    /// The part of this number, from 0 on; none behind the last.
    fn part(&self, number: usize) -> Option<Vec<u8>>;
}

/// An upload on its way.
struct Sending {
    upload: Arc<dyn Upload>,
    next: usize,
    left: u64,
}

impl hyper::body::Body for Sending {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut task::Context<'_>,
    ) -> task::Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let part = self.upload.part(self.next);
        self.next += 1;
        task::Poll::Ready(part.map(|part| {
            self.left = self.left.saturating_sub(part.len() as u64);
            Ok(Frame::data(part.into()))
        }))
    }

    /// The length stands in the request's head.
    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

impl Call {
    pub fn new(operation: &'static str, method: Method, url: impl Into<String>) -> Self {
        let (query, headers, auth, body) = (Vec::new(), Vec::new(), Auth::None, Body::None);
        Self { operation, method, url: url.into(), query, headers, auth, body }
    }

    pub fn get(operation: &'static str, url: impl Into<String>) -> Self {
        Self::new(operation, Method::GET, url)
    }

    pub fn post(operation: &'static str, url: impl Into<String>) -> Self {
        Self::new(operation, Method::POST, url)
    }

    pub fn delete(operation: &'static str, url: impl Into<String>) -> Self {
        Self::new(operation, Method::DELETE, url)
    }

    #[must_use]
    pub fn query(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.query.push((name.into(), value.into()));
        self
    }

    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<SecretString>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    #[must_use]
    pub fn basic(self, user: &str, password: SecretString) -> Self {
        self.auth(Auth::Basic(user.to_owned(), password))
    }

    #[must_use]
    pub fn auth(self, auth: Auth) -> Self {
        Self { auth, ..self }
    }

    #[must_use]
    pub fn body(self, body: Body) -> Self {
        Self { body, ..self }
    }
}

/// What came back.
#[derive(Clone)]
pub struct Reply {
    pub status: u16,
    headers: HeaderMap,
    pub body: Vec<u8>,
    /// The room that the body takes, until the last copy is gone.
    _room: Option<Arc<OwnedSemaphorePermit>>,
}

impl Reply {
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// `None` where the body is no JSON.
    pub fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    /// The body is a page for people, as proxies and servers make for addresses that they do not know: no API's answer.
    pub fn is_page(&self) -> bool {
        let html = self.header("content-type").is_some_and(|kind| kind.to_ascii_lowercase().contains("html"));
        let begin: Vec<u8> = self.body.iter().copied().skip_while(u8::is_ascii_whitespace).take(14).collect();
        let begin = begin.to_ascii_lowercase();
        let is_tag = [&b"<!doctype html"[..], b"<html", b"<head", b"<body"].iter().any(|tag| begin.starts_with(tag));
        is_tag || html && begin.starts_with(b"<")
    }

    /// A header's text for the ledger: short, and printable ASCII alone.
    pub fn id(&self, header: &str) -> Option<String> {
        const LONGEST: usize = 128;
        let text = self.header(header)?;
        (!text.is_empty() && text.len() <= LONGEST && text.bytes().all(|byte| byte.is_ascii_graphic()))
            .then(|| text.to_owned())
    }

    /// A reply for tests of classification.
    #[cfg(test)]
    pub fn for_test(status: u16, headers: &[(&str, &str)], body: &str) -> Self {
        let pair = |(name, value): &(&str, &str)| {
            (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap())
        };
        Self { status, headers: headers.iter().map(pair).collect(), body: body.as_bytes().to_vec(), _room: None }
    }
}

/// No reply that says anything about the subject.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Failure {
    /// Without URL, body and secrets.
    pub reason: String,
    /// What the vendor or the circuit breaker asks for.
    pub again_after: Option<Duration>,
    /// Of the last reply, if there was one.
    pub status: Option<u16>,
    /// Trying again will not help: the credentials are refused, or the call cannot be sent as it is meant.
    pub lasting: bool,
}

impl Failure {
    fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), again_after: None, status: None, lasting: false }
    }

    /// The call is not made, now or later.
    fn lasting(reason: impl Into<String>) -> Self {
        Self { lasting: true, ..Self::new(reason) }
    }

    fn after(self, again_after: Option<Duration>) -> Self {
        Self { again_after, ..self }
    }
}

impl Client {
    /// The recipient's name in the settings.
    pub fn recipient(&self) -> &str {
        &self.recipient
    }

    /// Where paths begin; without a slash at its end.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// These statuses mean "later", whatever else they mean to the judge.
    #[must_use]
    pub fn also_retry(self, statuses: &[u16]) -> Self {
        Self { also_retry: statuses.to_vec(), ..self }
    }

    fn verdict(&self, reply: &Reply) -> Verdict {
        if self.also_retry.contains(&reply.status) {
            return Verdict::Retry { after: retry_after(reply) };
        }
        (self.judge)(reply)
    }

    /// Makes the call, again where that may help.
    ///
    /// # Errors
    /// Nobody answered, or with nothing but "later", or with a page for people; the circuit is open; a quota is used up; no token
    /// was given.
    pub async fn send(&self, call: &Call) -> Result<Reply, Failure> {
        let url = self.url(call)?;
        let headers = headers(&call.headers)?;
        self.circuit
            .admit()
            .map_err(|wait| Failure::new("not asked: it has not answered for some time").after(Some(wait)))?;
        let backoff = self.plumbing.backoff;
        let (mut attempt, mut refused) = (1, None);
        loop {
            self.limiter.turn().await.map_err(|wait| Failure::new(wait.reason).after(wait.after))?;
            let token = match &call.auth {
                Auth::Tokens(tokens) => Some(tokens.token(self, refused.as_ref()).await?),
                _ => None,
            };
            let began = Instant::now();
            let result = self.attempt(call, &url, &headers, token.as_deref()).await;
            let status = result.as_ref().ok().map(|reply| reply.status);
            tracing::debug!(
                recipient = self.recipient,
                operation = call.operation,
                attempt,
                status,
                milliseconds = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
                "called"
            );
            let (failure, after, down) = match result {
                Err(reason) => (Failure::new(reason), None, true),
                Ok(reply) => match self.verdict(&reply) {
                    Verdict::Refresh if token.is_some() && refused.is_none() => {
                        refused = token;
                        continue;
                    }
                    // An outage is one, whatever else the reply says: nobody reads an answer into it.
                    Verdict::Final | Verdict::Refresh if reply.status >= 500 => {
                        self.circuit.failed();
                        let failure = Failure::new(format!("HTTP {} to {}", reply.status, call.operation));
                        return Err(Failure { status: Some(reply.status), ..failure }.after(retry_after(&reply)));
                    }
                    // A proxy's, which says nothing about anybody, whatever its status is.
                    Verdict::Final | Verdict::Refresh if reply.is_success() && reply.is_page() => {
                        self.circuit.answered();
                        let reason =
                            format!("HTTP {} with a page, which is no answer of an API: look at `url`", reply.status);
                        return Err(Failure { status: Some(reply.status), ..Failure::new(reason) });
                    }
                    Verdict::Final | Verdict::Refresh => {
                        self.circuit.answered();
                        return Ok(reply);
                    }
                    Verdict::Retry { after } => {
                        let failure = Failure::new(format!("HTTP {} to {}", reply.status, call.operation));
                        let after = after.map(|after| after.min(LONGEST_REST));
                        (Failure { status: Some(reply.status), ..failure }, after, reply.status >= 500)
                    }
                },
            };
            if let Some(after) = after {
                // All calls share the limit, so all wait, and those of later runs too.
                self.limiter.rest(after);
                if after > backoff.patience {
                    self.limiter.keep_rest(after).await;
                }
            }
            if attempt >= backoff.attempts || after.is_some_and(|after| after > backoff.patience) {
                if down {
                    self.circuit.failed();
                } else {
                    self.circuit.answered();
                }
                return Err(failure.after(after));
            }
            tokio::time::sleep(after.unwrap_or_else(|| backoff.pause(attempt))).await;
            attempt += 1;
        }
    }

    /// The URL as it is sent.
    ///
    /// A parser takes dot segments out of a path, however they are escaped. The call would then be about something else: about
    /// all people instead of one. So each segment has to be there as it was written.
    fn url(&self, call: &Call) -> Result<Url, Failure> {
        let text = if call.url.starts_with('/') { format!("{}{}", self.base, call.url) } else { call.url.clone() };
        let mut url = check_url(&text).map_err(Failure::lasting)?;
        if !keeps_segments(&text, &url) {
            return Err(Failure::lasting("not asked: an identifier cannot stand in the path of the call"));
        }
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&call.query);
        }
        Ok(url)
    }

    async fn attempt(
        &self,
        call: &Call,
        url: &Url,
        headers: &HeaderMap,
        token: Option<&SecretString>,
    ) -> Result<Reply, String> {
        let http = if is_loopback(url) { &self.plumbing.loopback } else { &self.plumbing.outside };
        let timeout = match &call.body {
            Body::Upload(upload) => self.timeout + Duration::from_secs(upload.length() / SLOWEST),
            _ => self.timeout,
        };
        let mut request = http.request(call.method.clone(), url.clone()).timeout(timeout);
        let mut headers = headers.clone();
        request = match (&call.auth, token) {
            (Auth::Basic(user, password), _) => request.basic_auth(user, Some(password.expose_secret())),
            (Auth::Bearer(token), _) | (_, Some(token)) => request.bearer_auth(token.expose_secret()),
            (Auth::Header(name, key), None) => {
                insert(&mut headers, name, key)?;
                request
            }
            (Auth::Signed(signer), None) => {
                for (name, value) in signer.sign(call.method.as_str(), url, &call.body) {
                    insert(&mut headers, &name, &value)?;
                }
                request
            }
            (Auth::None | Auth::Tokens(_), None) => request,
        };
        request = match &call.body {
            Body::None => request,
            Body::Json(value) => request.json(value),
            Body::Form(pairs) => request.form(pairs),
            Body::Raw { content_type, bytes } => {
                request.header("content-type", content_type.as_ref()).body(bytes.clone())
            }
            Body::Upload(upload) => {
                let sending = Sending { upload: upload.clone(), next: 0, left: upload.length() };
                request.header("content-type", upload.content_type()).body(reqwest::Body::wrap(sending))
            }
        };
        let told = |error: reqwest::Error| match error.is_timeout() && !error.is_connect() {
            true => format!("no answer within {} s", timeout.as_secs_f64()),
            false => describe(&error.without_url()),
        };
        let mut response = request.headers(headers).send().await.map_err(told)?;
        let length = response.content_length().and_then(|length| usize::try_from(length).ok());
        if length.is_some_and(|length| length > LONGEST_REPLY) {
            return Err("the answer is too long".to_owned());
        }
        let mut room = self.room(length.unwrap_or(LONGEST_REPLY), timeout).await?;
        let mut body = Vec::new();
        while let Some(part) = response.chunk().await.map_err(told)? {
            body.extend_from_slice(&part);
            if body.len() > LONGEST_REPLY {
                return Err("the answer is too long".to_owned());
            }
        }
        // Less may have come than there was room for.
        let spare = room.num_permits().saturating_sub(body.len().div_ceil(PIECE));
        drop(room.split(spare));
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Reply { status, headers, body, _room: Some(Arc::new(room)) })
    }

    /// Room for a reply of this length. Waits for others to go.
    async fn room(&self, length: usize, timeout: Duration) -> Result<OwnedSemaphorePermit, String> {
        let pieces = u32::try_from(length.div_ceil(PIECE)).unwrap_or(u32::MAX);
        let room = tokio::time::timeout(timeout, self.plumbing.room.clone().acquire_many_owned(pieces)).await;
        room.ok().and_then(Result::ok).ok_or_else(|| "there is no room for the answer beside others".to_owned())
    }
}

/// The headers of a call.
///
/// # Errors
/// A value would not arrive as it is: recipients cut off blanks at its ends, and read letters beyond ASCII in one encoding or
/// another.
fn headers(pairs: &[(String, SecretString)]) -> Result<HeaderMap, Failure> {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        let text = value.expose_secret();
        if text.trim() != text || !text.is_ascii() {
            let reason =
                format!("not asked: the value of the header `{name}` has blanks at an end, or letters beyond ASCII");
            return Err(Failure::lasting(reason));
        }
        insert(&mut headers, name, value).map_err(|reason| Failure::lasting(format!("not asked: {reason}")))?;
    }
    Ok(headers)
}

fn insert(headers: &mut HeaderMap, name: &str, value: &SecretString) -> Result<(), String> {
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| "a header's name cannot be sent".to_owned())?;
    let mut value = HeaderValue::from_str(value.expose_secret())
        .map_err(|_| format!("the value of the header `{name}` cannot be sent"))?;
    value.set_sensitive(true);
    headers.insert(name, value);
    Ok(())
}

/// What went wrong, with its deepest cause where that is about the connection. The library's words hold no body, and the
/// URL has been taken out.
fn describe(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no connection in time".to_owned();
    }
    if error.is_connect() {
        let mut cause = error.source();
        while let Some(deeper) = cause.and_then(std::error::Error::source) {
            cause = Some(deeper);
        }
        return cause.map_or_else(|| "no connection".to_owned(), |cause| format!("no connection: {cause}"));
    }
    if error.is_builder() {
        return "the call cannot be sent".to_owned();
    }
    "the connection broke off".to_owned()
}

/// `https`, or loopback; no user in it, no query, no fragment of its own.
///
/// # Errors
/// Why not, without the text: it may hold a secret.
pub fn check_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|_| "the URL cannot be read".to_owned())?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("the URL holds a user or password".to_owned());
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        "http" => Err("the URL is `http`: personal data leave this machine over `https` alone".to_owned()),
        _ => Err("the URL is not `https`".to_owned()),
    }
}

/// The path of `text`, which `url` was read from, has the same segments in both, and the same of them are empty.
fn keeps_segments(text: &str, url: &Url) -> bool {
    let after_host = text.split_once("://").map_or("", |(_, rest)| rest);
    let path = after_host.find('/').map_or("/", |at| &after_host[at..]);
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let (written, read): (Vec<_>, Vec<_>) = (path.split('/').collect(), url.path().split('/').collect());
    written.len() == read.len() && written.iter().zip(&read).all(|(a, b)| a.is_empty() == b.is_empty())
}

/// A text as one segment of a path, or a value in a query: everything but letters, digits and `-._~` is escaped.
///
/// An empty text, `.` and `..` cannot be a segment. They become a dot segment, and [`Client::send`] refuses such a path.
pub fn segment(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    if escaped.is_empty() { ".".to_owned() } else { escaped }
}

/// Waits for all, so many at once; the results stand in the order of the futures.
pub async fn in_order<F: Future>(futures: Vec<F>, at_once: usize) -> Vec<F::Output> {
    stream::iter(futures).buffered(at_once.max(1)).collect().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_and_loopback() {
        for good in ["https://api.example.com", "http://127.0.0.1:8420/x", "http://[::1]:1", "http://localhost"] {
            check_url(good).unwrap();
        }
        for bad in [
            "http://example.com",
            "http://127.0.0.1.example.com",
            "http://localhost.example.com",
            "ftp://127.0.0.1",
            "https://user:password@example.com",
            "http://10.0.0.1",
            "example.com",
        ] {
            check_url(bad).unwrap_err();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn all_replies_together_have_so_much_room() {
        let plumbing = Plumbing::new().unwrap();
        let settings = RecipientSettings::bare(super::super::kind("stripe").unwrap());
        let conduct = Conduct { base: "https://api.example.com", rates: &[], judge: super::super::retry::usual };
        let (one, other) =
            (plumbing.client(&settings, &conduct).unwrap(), plumbing.client(&settings, &conduct).unwrap());
        let mut held = Vec::new();
        for client in [&one, &other].into_iter().cycle().take(32) {
            held.push(client.room(LONGEST_REPLY, TIMEOUT).await.unwrap());
        }
        assert!(other.room(1, TIMEOUT).await.is_err());
        held.pop();
        held.push(other.room(LONGEST_REPLY, TIMEOUT).await.unwrap());
    }

    #[test]
    fn a_segment_stays_one() {
        assert_eq!(segment("a/b?c=d&e f#é"), "a%2Fb%3Fc%3Dd%26e%20f%23%C3%A9");
        assert_eq!(segment("cus_1-2.3~"), "cus_1-2.3~");
    }

    #[test]
    fn a_path_that_a_parser_would_change_is_not_sent() {
        let kept = |base: &str, path: &str| {
            let text = format!("{base}{path}");
            keeps_segments(&text, &Url::parse(&text).unwrap())
        };
        for base in ["https://api.example.com", "https://api.example.com:8443/v1", "https://api.example.com/v1/x"] {
            for name in ["", ".", ".."] {
                for around in [("/people/", ""), ("/people/", "/orders"), ("/", "/people"), ("/", "")] {
                    let path = format!("{}{}{}", around.0, segment(name), around.1);
                    assert!(!kept(base, &path), "{base}{path}");
                }
            }
            for written in ["/people/%2e", "/people/%2E%2e/x", "/people/.%2e", "/a/./b", "/../x", "/a\\b"] {
                assert!(!kept(base, written), "{base}{written}");
            }
            for name in
                ["...", "a/b", "a\\b", "%2e%2e", "%", "日本 語", " ", "\t", "a?b#c", ".a", "a.", ";", "\0", "//"]
            {
                let path = format!("/people/{}/x?y=/z/#/../", segment(name));
                assert!(kept(base, &path), "{base}{path}");
            }
            assert!(kept(base, "/people/é/"));
        }
    }
}
