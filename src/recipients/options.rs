//! What `sunset.yaml` says about one recipient.

use super::{Grade, Identifiers, Kind, Rate, members::Source};
use crate::rules::{RuleRecipient, node::Node};
use secrecy::SecretString;
use std::{fmt, time::Duration};

/// A recipient of the job, after all checks.
#[derive(Clone, Debug)]
pub struct RecipientSettings {
    /// The name that rules use.
    pub name: String,
    pub kind: &'static Kind,
    /// Instead of the vendor's base URL; without a slash at its end.
    pub url: Option<String>,
    /// For one attempt of one call.
    pub timeout: Option<Duration>,
    /// Lower than the documented limits.
    pub rate: Option<Rate>,
    /// Who stays, where its lists are made anew.
    pub members: Option<Source>,
    /// The kind's own keys.
    pub options: Options,
}

impl RecipientSettings {
    /// A recipient about which nothing is said.
    pub fn bare(kind: &'static Kind) -> Self {
        let options = Options(Node::Map(Vec::new()));
        Self { name: kind.name.to_owned(), kind, url: None, timeout: None, rate: None, members: None, options }
    }

    /// The documented limits and the settings' own.
    pub fn rates(&self, documented: &[Rate]) -> Vec<Rate> {
        documented.iter().copied().chain(self.rate).collect()
    }

    /// The grade to reach where a rule asks for none.
    pub fn best_grade(&self) -> Grade {
        (self.kind.facts)(self).grade
    }

    /// What a rule asks of this recipient.
    pub fn required(&self, rule: &RuleRecipient) -> Grade {
        rule.require.unwrap_or_else(|| self.best_grade())
    }

    /// The names that a rule may map to columns.
    pub fn identifiers(&self) -> Vec<String> {
        match &self.kind.identifiers {
            Identifiers::Fixed { all, .. } => all.iter().map(|identifier| identifier.name.to_owned()).collect(),
            Identifiers::OfSettings(names) => names(self),
        }
    }

    /// The first group of identifiers that has none among `given`: one of them is missing.
    pub fn missing(&self, given: &[&str]) -> Option<Vec<String>> {
        let groups: Vec<Vec<String>> = match &self.kind.identifiers {
            Identifiers::Fixed { any_of, .. } => {
                any_of.iter().map(|group| group.iter().map(|name| (*name).to_owned()).collect()).collect()
            }
            Identifiers::OfSettings(names) => names(self).into_iter().map(|name| vec![name]).collect(),
        };
        groups.into_iter().find(|group| !group.iter().any(|name| given.contains(&name.as_str())))
    }
}

/// The kind's own keys, checked against its fields, with variables put in.
#[derive(Clone)]
pub struct Options(Node);

impl Options {
    pub fn new(node: Node) -> Self {
        Self(node)
    }

    /// As it stands there.
    pub fn node(&self, key: &str) -> Option<&Node> {
        self.0.get(key)
    }

    pub fn text(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.as_text()
    }

    pub fn secret(&self, key: &str) -> Option<SecretString> {
        self.text(key).map(Into::into)
    }

    /// `false` where it is not said.
    pub fn flag(&self, key: &str) -> bool {
        matches!(self.0.get(key), Some(Node::Bool(true)))
    }

    /// A whole number.
    pub fn number(&self, key: &str) -> Option<u64> {
        if let Node::Number(number) = self.0.get(key)? { number.as_u64() } else { None }
    }

    /// The texts of a list, or the one text that stands instead.
    pub fn texts(&self, key: &str) -> Vec<&str> {
        match self.0.get(key) {
            Some(Node::Text(text)) => vec![text],
            Some(node) => node.items().iter().filter_map(Node::as_text).collect(),
            None => Vec::new(),
        }
    }

    /// The texts of a map.
    pub fn entries(&self, key: &str) -> Vec<(&str, &str)> {
        let entries = self.0.get(key).map(Node::entries).unwrap_or_default();
        entries.iter().filter_map(|(name, node)| Some((name.as_str(), node.as_text()?))).collect()
    }

    /// The map under a key.
    pub fn inner(&self, key: &str) -> Option<Self> {
        self.0.get(key).filter(|node| matches!(node, Node::Map(_))).cloned().map(Self)
    }
}

/// The keys alone: their values may be secrets.
impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_set().entries(self.0.entries().iter().map(|(key, _)| key)).finish()
    }
}

/// A value that does not fit, found by a kind's own check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// The keys that lead to it, from the recipient's map.
    pub at: Vec<&'static str>,
    /// Without the value.
    pub problem: String,
    pub help: String,
}
