//! One call as the settings describe it: how it is made, and what its reply means.

use super::{
    Misfit, OURS,
    content::{Content, filled, pairs},
    test::{Tests, text_of},
    values::{Values, common_reference},
};
use crate::{
    evidence::Grade,
    language::node::Node,
    recipients::{
        Answer, Options,
        client::{Call, Reply, segment},
        template::{HMAC_KEY, Missing, Template},
    },
};
use reqwest::Method;
use serde_json::Value;
use std::collections::BTreeMap;

pub(super) struct Described {
    operation: &'static str,
    method: Method,
    path: Template,
    query: Vec<(String, Template)>,
    headers: Vec<(String, Template)>,
    content: Content,
    success: Vec<u16>,
    gone: Vec<u16>,
    pub retry: Vec<u16>,
    confirmed: Option<Tests>,
    nobody: Option<Tests>,
    refused: Option<Tests>,
    pub ticket: Option<String>,
    request_id: Option<String>,
}

/// What a reply means.
pub(super) enum Meaning {
    /// It did what was asked, or took it up.
    Success {
        body: Option<Value>,
        status: u16,
    },
    Gone,
    Refused {
        reason: String,
        whom: Whom,
    },
    /// It is no answer that can be read: to be asked again.
    Unreachable(String),
}

/// Whom a refusal is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whom {
    /// These people: others may be taken.
    These,
    /// Everybody: the credentials, or the address, are wrong.
    Everybody,
}

/// Reads a path, which begins with `/`.
fn path(options: &Options, at: &[&'static str]) -> Result<Template, Misfit> {
    let at: Vec<_> = at.iter().copied().chain(["path"]).collect();
    let text = options.text("path").unwrap_or_default();
    if !text.starts_with('/') {
        let (problem, help) = ("the path does not begin with `/`", "write it from the base URL, `/v1/people`");
        return Err(Misfit { at, problem: problem.to_owned(), help: help.to_owned() });
    }
    Template::parse(text).map_err(|problem| Misfit { at, problem, help: "for example `/v1/people/{email}`".to_owned() })
}

impl Described {
    /// Reads a call. `at` leads to it.
    pub fn read(operation: &'static str, call: &Options, at: &[&'static str]) -> Result<Self, Misfit> {
        let misfit = |key: &'static str, problem: String| Misfit {
            at: at.iter().copied().chain([key]).collect(),
            problem,
            help: "for example `{email}`; `{{` stands for `{`".to_owned(),
        };
        let statuses = |key: &str| -> Vec<u16> {
            let items = call.node(key).map(Node::items).unwrap_or_default();
            let number =
                |node: &Node| if let Node::Number(number) = node { number.as_u64()?.try_into().ok() } else { None };
            items.iter().filter_map(number).collect()
        };
        let default = if operation == "delete" { Method::DELETE } else { Method::GET };
        Ok(Self {
            operation,
            method: call.text("method").and_then(|method| method.parse().ok()).unwrap_or(default),
            path: path(call, at)?,
            query: pairs(call, "query").map_err(|problem| misfit("query", problem))?,
            headers: pairs(call, "headers").map_err(|problem| misfit("headers", problem))?,
            content: Content::read(call).map_err(|(key, problem)| misfit(key, problem))?,
            success: statuses("success"),
            gone: statuses("gone"),
            retry: statuses("retry"),
            confirmed: Tests::read(call, "confirmed", at)?,
            nobody: Tests::read(call, "nobody", at)?,
            refused: Tests::read(call, "refused", at)?,
            ticket: call.text("ticket").map(str::to_owned),
            request_id: call.text("request_id").map(str::to_owned),
        })
    }

    /// All templates, and whether each is filled for every person of a batch.
    fn templates(&self) -> Vec<(&Template, bool)> {
        let pairs = self.query.iter().chain(&self.headers).map(|(_, template)| (template, false));
        let tests = [&self.confirmed, &self.nobody, &self.refused].into_iter().flatten();
        let tests = tests.flat_map(Tests::templates).map(|template| (template, false));
        [(&self.path, false)].into_iter().chain(pairs).chain(self.content.templates()).chain(tests).collect()
    }

    /// The names that the call needs, by whether all that use it can do without; and those that stand for one person alone.
    pub fn names(&self) -> (BTreeMap<&str, bool>, Vec<&str>) {
        let (mut all, mut singular) = (BTreeMap::new(), Vec::new());
        for (template, each) in self.templates() {
            for (name, optional) in template.values().filter(|(name, _)| !OURS.contains(name)) {
                *all.entry(name).or_insert(true) &= optional;
                if !each {
                    singular.push(name);
                }
            }
            if template.is_keyed() {
                all.insert(HMAC_KEY, false);
            }
        }
        (all, singular)
    }

    /// The call for these people.
    pub fn call(&self, people: &[Values<'_>]) -> Result<Call, Missing> {
        let mut people = people.to_vec();
        let reference = common_reference(&people);
        if let Some(first) = people.first_mut() {
            first.reference = reference;
        }
        let first = people.first().ok_or(Missing)?;
        let value = |name: &str| first.get(name);
        let path = self.path.complete(value, segment)?.ok_or(Missing)?;
        let mut call = Call::new(self.operation, self.method.clone(), path);
        for (name, text) in filled(&self.query, first)? {
            call = call.query(name, text);
        }
        for (name, text) in filled(&self.headers, first)? {
            call = call.header(name, text);
        }
        Ok(call.body(self.content.fill(&people)?))
    }

    /// What the reply means for these people.
    pub fn judge(&self, reply: &Reply, people: &[Values<'_>]) -> Meaning {
        let body = reply.json();
        let value = |name: &str| people.first().and_then(|person| person.get(name));
        let success = if self.success.is_empty() { reply.is_success() } else { self.success.contains(&reply.status) };
        let is_gone = self.gone.contains(&reply.status);
        let any = |tests: &Option<Tests>| tests.as_ref().is_some_and(|tests| tests.any(body.as_ref(), &value));
        if reply.is_page() && (success || is_gone) {
            let reason = format!("HTTP {} with a page, which is no answer of an API: look at `url`", reply.status);
            Meaning::Refused { reason, whom: Whom::Everybody }
        } else if is_gone && (reply.body.is_empty() || body.is_some()) || any(&self.nobody) {
            Meaning::Gone
        } else if any(&self.refused) {
            Meaning::Refused { reason: format!("HTTP {} with an error in its body", reply.status), whom: Whom::These }
        } else if !success {
            let whom = if matches!(reply.status, 401 | 403 | 300..=399) { Whom::Everybody } else { Whom::These };
            Meaning::Refused { reason: words_of(reply), whom }
        } else if self.confirmed.as_ref().is_some_and(|tests| !tests.all(body.as_ref(), &value)) {
            Meaning::Unreachable(format!("HTTP {} without the confirmation that is asked for", reply.status))
        } else {
            Meaning::Success { body, status: reply.status }
        }
    }

    /// The recipient's own name for the call.
    pub fn request_id(&self, reply: &Reply) -> Option<String> {
        self.request_id.as_ref().and_then(|header| reply.id(header))
    }

    /// The name of the accepted work.
    pub fn ticket_in(&self, body: Option<&Value>) -> Option<String> {
        const LONGEST: usize = 200;
        let ticket = body?.pointer(self.ticket.as_ref()?).and_then(text_of)?;
        (!ticket.is_empty() && ticket.len() <= LONGEST).then_some(ticket)
    }
}

impl Meaning {
    /// The answer where there is nothing more to do.
    pub fn answer(self) -> Answer {
        match self {
            Self::Success { .. } => Answer::confirmed(Grade::E1),
            Self::Gone => Answer::gone(Grade::E1),
            Self::Refused { reason, .. } => Answer::refused(reason),
            Self::Unreachable(reason) => Answer::unreachable(reason, None),
        }
    }
}

/// The status alone: nobody knows what else is in the reply.
pub(super) fn words_of(reply: &Reply) -> String {
    match reply.status {
        401 => "the credentials are refused (HTTP 401)".to_owned(),
        403 => "the credentials do not allow this (HTTP 403)".to_owned(),
        300..=399 => format!("HTTP {}: a redirect, which is not followed; look at `url`", reply.status),
        status => format!("HTTP {status}"),
    }
}
