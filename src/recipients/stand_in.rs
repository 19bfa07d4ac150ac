//! What a stand-in of a vendor's API is: it reads a [`Request`] and gives a [`Response`], and keeps its state in memory.
//!
//! A stand-in is in the folder of its connector, and is written from the vendor's documentation alone: its documented
//! errors, and checks of requests as strict as the documentation. It shares no code with the connector, so that both
//! cannot misread the documentation in the same way. `sunset sandbox` serves all of them.

use serde_json::Value;
use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

/// What a kind of recipient is rehearsed with.
pub struct StandIn {
    /// The first segment of its address.
    pub name: &'static str,
    pub make: fn() -> Box<dyn Vendor>,
    /// Its part of `recipients` in `sunset.yaml`, with `{url}` for the base URL.
    pub settings: &'static str,
}

/// One vendor's API.
pub trait Vendor: Send {
    fn answer(&mut self, request: &Request) -> Response;

    /// Puts objects into the state; what `seed` means is the vendor's.
    fn seed(&mut self, seed: &Value);

    /// Whether it keeps the vendor's rate limits; it does by default.
    fn limits(&mut self, on: bool);
}

/// A request, read completely.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    /// Below the vendor's name, still escaped.
    pub path: String,
    /// In their order, unescaped.
    pub query: Vec<(String, String)>,
    /// Names in small letters.
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
    pub at: Instant,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// The path's segments, unescaped.
    pub fn segments(&self) -> Vec<String> {
        self.path.split('/').skip(1).map(unescape).collect()
    }

    /// The body as a form; `None` where its type says something else.
    pub fn form(&self) -> Option<Vec<(String, String)>> {
        if self.body.is_empty() {
            return Some(Vec::new());
        }
        let kind = self.header("content-type").unwrap_or_default();
        kind.starts_with("application/x-www-form-urlencoded").then(|| pairs(&String::from_utf8_lossy(&self.body)))
    }

    /// The body as JSON; `None` where its type says something else, or it is none.
    pub fn json(&self) -> Option<Value> {
        let kind = self.header("content-type").unwrap_or_default();
        if !kind.starts_with("application/json") {
            return None;
        }
        serde_json::from_slice(&self.body).ok()
    }

    /// User and password of HTTP Basic.
    pub fn basic(&self) -> Option<(String, String)> {
        use base64::Engine as _;
        let code = self.header("authorization")?.strip_prefix("Basic ")?;
        let text = base64::engine::general_purpose::STANDARD.decode(code).ok()?;
        let (user, password) = std::str::from_utf8(&text).ok()?.split_once(':')?;
        Some((user.to_owned(), password.to_owned()))
    }

    pub fn bearer(&self) -> Option<&str> {
        self.header("authorization")?.strip_prefix("Bearer ")
    }
}

/// What the vendor answers.
#[derive(Clone, Debug)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
    /// The endpoint as its documentation writes it, for the count.
    pub route: &'static str,
}

impl Response {
    pub fn json(route: &'static str, status: u16, body: &Value) -> Self {
        let headers = vec![("content-type", "application/json".to_owned())];
        Self { status, headers, body: body.to_string().into_bytes(), route }
    }

    pub fn empty(route: &'static str, status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new(), route }
    }

    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// `a=b&c=d`, unescaped.
pub fn pairs(text: &str) -> Vec<(String, String)> {
    let parts = text.split('&').filter(|part| !part.is_empty());
    let pair = |part: &str| {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        (unescape(&name.replace('+', " ")), unescape(&value.replace('+', " ")))
    };
    parts.map(pair).collect()
}

pub fn unescape(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((first, after)) = rest.split_first() {
        let code = (*first == b'%').then(|| after.get(..2)).flatten();
        let code = code.and_then(|code| u8::from_str_radix(std::str::from_utf8(code).ok()?, 16).ok());
        match code {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// So many calls in the last second, for each endpoint.
#[derive(Debug)]
pub struct Window {
    pub most: usize,
    pub length: Duration,
    seen: BTreeMap<&'static str, VecDeque<Instant>>,
}

impl Window {
    pub fn new(most: usize, length: Duration) -> Self {
        Self { most, length, seen: BTreeMap::new() }
    }

    /// Whether this call is over the limit. It counts only if it is not.
    pub fn is_over(&mut self, route: &'static str, at: Instant) -> bool {
        let seen = self.seen.entry(route).or_default();
        while seen.front().is_some_and(|first| at.duration_since(*first) >= self.length) {
            seen.pop_front();
        }
        if seen.len() >= self.most {
            return true;
        }
        seen.push_back(at);
        false
    }
}
