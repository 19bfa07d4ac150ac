//! One person at one recipient.

use crate::ledger::tag::{Tag, TagKey};
use std::{collections::BTreeMap, fmt};

/// Whom a recipient is asked about: identifiers as texts, by the names that the recipient's kind gives them.
#[derive(Clone, PartialEq, Eq)]
pub struct Subject {
    identifiers: BTreeMap<String, String>,
    tag: Tag,
}

impl Subject {
    /// `recipient` is its name in `sunset.yaml`. What is empty is left out: it identifies nobody.
    pub fn new(recipient: &str, identifiers: BTreeMap<String, String>, key: &TagKey) -> Self {
        let identifiers: BTreeMap<_, _> = identifiers.into_iter().filter(|(_, text)| !text.trim().is_empty()).collect();
        let tag = key.subject_tag(recipient, &identifiers);
        Self { identifiers, tag }
    }

    /// The identifier of this name; `None` where the row has none.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.identifiers.get(name).map(String::as_str)
    }

    /// In the order of their names.
    pub fn identifiers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.identifiers.iter().map(|(name, text)| (name.as_str(), text.as_str()))
    }

    /// A row without any identifier: there is nobody to ask about.
    pub fn is_empty(&self) -> bool {
        self.identifiers.is_empty()
    }

    /// What is remembered of the person: HMAC over recipient and identifiers with the ledger's key.
    pub fn tag(&self) -> Tag {
        self.tag
    }

    /// The tag as 32 hexadecimal digits: a name for the person that tells a recipient nothing.
    pub fn reference(&self) -> String {
        hex::encode(self.tag)
    }

    /// The same for the same person and operation, in this run and the next: at most 64 characters.
    pub fn idempotency_key(&self, operation: &str) -> String {
        let operation: String = operation.chars().filter(char::is_ascii_alphanumeric).take(24).collect();
        format!("sunset-{operation}-{}", self.reference())
    }
}

/// Names alone.
impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let names: Vec<_> = self.identifiers.keys().collect();
        f.debug_struct("Subject").field("identifiers", &names).finish_non_exhaustive()
    }
}
