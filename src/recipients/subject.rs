//! One person at one recipient.

use crate::{
    evidence::tag::{Tag, TagKey},
    recipients::asking::Asking,
};
use sha2::{Digest as _, Sha256};
use std::{collections::BTreeMap, fmt};

/// Whom a recipient is asked about: identifiers as texts, by the names that the recipient's kind gives them.
#[derive(Clone, PartialEq, Eq)]
pub struct Subject {
    identifiers: BTreeMap<String, String>,
    tag: Tag,
    /// What the person is asked about in: see [`Subject::request`].
    request: Tag,
}

impl Subject {
    /// `recipient` is its name in `sunset.yaml`. Blanks around an identifier are no part of it, and what is empty is left
    /// out: it identifies nobody.
    pub fn new(recipient: &str, identifiers: BTreeMap<String, String>, key: &TagKey) -> Self {
        let trimmed = identifiers.into_iter().map(|(name, text)| (name, text.trim().to_owned()));
        let identifiers: BTreeMap<_, _> = trimmed.filter(|(_, text)| !text.is_empty()).collect();
        let tag = key.subject_tag(recipient, &identifiers);
        Self { identifiers, tag, request: tag }
    }

    /// A person without a tag: of an example, or nobody at all.
    pub fn without_tag(identifiers: BTreeMap<String, String>) -> Self {
        Self { identifiers, tag: Tag::default(), request: Tag::default() }
    }

    /// This person in one asking. A person who comes back after a row has gone is asked about in another one.
    #[must_use]
    pub fn asked_in(mut self, asking: &Asking) -> Self {
        let digest = Sha256::new()
            .chain_update(self.tag)
            .chain_update(asking.since.as_second().to_be_bytes())
            .chain_update(asking.number.to_be_bytes())
            .finalize();
        self.request.copy_from_slice(&digest[..self.tag.len()]);
        self
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

    /// Names what is asked about the person now, as 32 hexadecimal digits: the same for each call of one asking, in this
    /// run and the next, and another once the row has gone and the person has come back. A recipient that remembers
    /// requests must not take the second for the first.
    pub fn request(&self) -> String {
        hex::encode(self.request)
    }
}

/// A UUID of version 4 in form that is made of a text: the same text gives the same one, which does not tell the text.
pub fn uuid(text: &str) -> String {
    let mut bytes = Sha256::digest(text);
    bytes[6] = bytes[6] & 0x0F | 0x40;
    bytes[8] = bytes[8] & 0x3F | 0x80;
    let text = hex::encode(&bytes[..16]);
    format!("{}-{}-{}-{}-{}", &text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..])
}

/// Names alone.
impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let names: Vec<_> = self.identifiers.keys().collect();
        f.debug_struct("Subject").field("identifiers", &names).finish_non_exhaustive()
    }
}
