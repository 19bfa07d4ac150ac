//! Recipes: vendors that are described in YAML, for recipients of the kind [`http`](super::http).
//!
//! Those that come with Sunset are files in `recipes/`; a company adds its own in `recipes/` of the job directory. A recipe
//! says where it comes from, what goes and what stays, and has examples: who is asked about, which calls that makes, and what
//! their replies mean. `sunset recipes test` plays them.

use super::http;
use crate::{
    diagnostic::{Code, Diagnostic, Place, Severity},
    language::{
        node::Node,
        shape::{self, Shape},
    },
    recipients::language::{RECIPE, recipient_of_kind},
    rules::At,
};
use serde_json::Value;
use std::collections::BTreeMap;

/// A recipe, read.
#[derive(Clone, Debug)]
pub struct Recipe {
    pub name: String,
    pub vendor: String,
    pub sources: Vec<String>,
    /// How it was checked, in words.
    pub checked: String,
    pub deleted: String,
    pub kept: String,
    /// What the company sets, in words.
    pub settings: String,
    /// The keys of an `http` recipient.
    pub http: Node,
    pub examples: Vec<Example>,
}

/// People who are asked about, and what comes of it.
#[derive(Clone, Debug)]
pub struct Example {
    /// Values of `with`.
    pub with: Vec<(String, String)>,
    /// Identifiers by name.
    pub people: Vec<BTreeMap<String, String>>,
    pub calls: Vec<ExpectedCall>,
    /// The words of the answers, one for each person.
    pub answers: Vec<String>,
    pub polls: Vec<ExpectedPoll>,
}

/// A look at the accepted work of an example's first person.
#[derive(Clone, Debug)]
pub struct ExpectedPoll {
    pub calls: Vec<ExpectedCall>,
    pub answer: String,
}

/// A call that has to be made, and its reply.
#[derive(Clone, Debug)]
pub struct ExpectedCall {
    pub method: String,
    /// With its parameters, as they are sent.
    pub path: String,
    /// Headers that have to be there.
    pub headers: Vec<(String, String)>,
    /// The body as JSON, as a form or as text; what is not said may be anything.
    pub json: Option<Value>,
    pub form: Option<Vec<(String, String)>>,
    pub text: Option<String>,
    pub status: u16,
    pub reply: Option<Value>,
}

/// Where a company's own recipes are, in the job directory.
pub const DIRECTORY: &str = "recipes";

/// The recipes that come with Sunset: a line for each.
pub static SHIPPED: &[(&str, &str)] = &[
    ("amplitude", include_str!("../../recipes/amplitude.yaml")),
    ("braze", include_str!("../../recipes/braze.yaml")),
    ("elasticsearch", include_str!("../../recipes/elasticsearch.yaml")),
    ("hubspot", include_str!("../../recipes/hubspot.yaml")),
    ("intercom", include_str!("../../recipes/intercom.yaml")),
    ("klaviyo", include_str!("../../recipes/klaviyo.yaml")),
    ("mailchimp", include_str!("../../recipes/mailchimp.yaml")),
    ("mixpanel", include_str!("../../recipes/mixpanel.yaml")),
    ("opensearch", include_str!("../../recipes/opensearch.yaml")),
    ("salesforce", include_str!("../../recipes/salesforce.yaml")),
    ("segment", include_str!("../../recipes/segment.yaml")),
    ("sendgrid", include_str!("../../recipes/sendgrid.yaml")),
    ("shopify", include_str!("../../recipes/shopify.yaml")),
    ("zendesk", include_str!("../../recipes/zendesk.yaml")),
];

/// A recipe that comes with Sunset: its file's text.
pub fn shipped(name: &str) -> Option<&'static str> {
    SHIPPED.iter().find_map(|(known, text)| (*known == name).then_some(*text))
}

impl Recipe {
    /// Reads a recipe. `file` is the path shown to people. What is wrong goes to `diagnostics`; then there is none.
    pub fn read(file: &str, source: &str, diagnostics: &mut Vec<Diagnostic>) -> Option<Self> {
        let node = match Node::parse(file, source) {
            Ok(node) => node,
            Err(error) => {
                diagnostics.push(*error);
                return None;
            }
        };
        let root = At { node: &node, place: Place::root(file) };
        let mut found = Vec::new();
        shape::check(&RECIPE, &node, &root.place, &mut found);
        if let Some(http) = root.get("http") {
            if let Some(shape) = recipient_of_kind(http::KIND.name) {
                shape::check(&Shape::Map(shape), http.node, &http.place, &mut found);
            }
            if let Some(recipe) = http.get("recipe") {
                let message = "a recipe is not made of another one";
                found.push(Diagnostic::error(Code::BadRecipient, recipe.place, message).help("take `recipe` away"));
            }
        }
        let is_wrong = found.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
        diagnostics.append(&mut found);
        if is_wrong {
            return None;
        }
        let text = |key: &str| root.text_of(key).unwrap_or_default();
        Some(Self {
            name: text("recipe"),
            vendor: text("vendor"),
            sources: texts(root.get("sources").as_ref()),
            checked: text("checked"),
            deleted: text("deleted"),
            kept: text("kept"),
            settings: text("settings"),
            http: root.get("http").map_or(Node::Null, |http| http.node.clone()),
            examples: root.get("examples").iter().flat_map(At::items).map(|at| example(&at)).collect(),
        })
    }

    /// The recipe's keys under those of the settings, which go before; maps of texts are joined.
    pub fn under(&self, own: Vec<(String, Node)>) -> Vec<(String, Node)> {
        const JOINED: &[&str] = &["with", "headers"];
        let mut all = own;
        for (key, node) in self.http.entries() {
            match all.iter_mut().find(|(known, _)| known == key) {
                None => all.push((key.clone(), node.clone())),
                Some((_, Node::Map(entries))) if JOINED.contains(&key.as_str()) => {
                    let more =
                        node.entries().iter().filter(|(name, _)| !entries.iter().any(|(known, _)| known == name));
                    let more: Vec<_> = more.cloned().collect();
                    entries.extend(more);
                }
                Some(_) => {}
            }
        }
        all
    }
}

fn texts(at: Option<&At>) -> Vec<String> {
    at.into_iter().flat_map(At::items).filter_map(|at| at.text().map(str::to_owned)).collect()
}

fn pairs(at: Option<&At>) -> Vec<(String, String)> {
    let entries = at.into_iter().flat_map(At::entries);
    entries.filter_map(|(name, at)| Some((name.to_owned(), at.text()?.to_owned()))).collect()
}

fn example(at: &At) -> Example {
    let poll = |at: At| ExpectedPoll { calls: calls(&at), answer: at.text_of("answer").unwrap_or_default() };
    Example {
        with: pairs(at.get("with").as_ref()),
        people: at.get("people").iter().flat_map(At::items).map(|at| pairs(Some(&at)).into_iter().collect()).collect(),
        calls: calls(at),
        answers: texts(at.get("answers").as_ref()),
        polls: at.get("polls").iter().flat_map(At::items).map(poll).collect(),
    }
}

fn calls(at: &At) -> Vec<ExpectedCall> {
    let call = |at: At| {
        let reply = at.get("reply");
        let status = reply.as_ref().and_then(|reply| reply.get("status")).and_then(|status| match status.node {
            Node::Number(number) => u16::try_from(number.as_u64()?).ok(),
            _ => None,
        });
        ExpectedCall {
            method: at.text_of("method").unwrap_or_default(),
            path: at.text_of("path").unwrap_or_default(),
            headers: pairs(at.get("headers").as_ref()),
            json: at.get("json").map(|json| json.node.to_json()),
            form: at.get("form").map(|form| pairs(Some(&form))),
            text: at.text_of("text"),
            status: status.unwrap_or(200),
            reply: reply.and_then(|reply| reply.get("json").map(|json| json.node.to_json())),
        }
    };
    at.get("calls").iter().flat_map(At::items).map(call).collect()
}
