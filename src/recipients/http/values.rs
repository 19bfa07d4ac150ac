//! What templates find by name: a person's identifiers, what a look-up has found, values of the settings.

use crate::recipients::Subject;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

/// The name of the request, as templates know it.
pub(super) const REFERENCE: &str = "reference";

/// The values of one person.
#[derive(Clone)]
pub(super) struct Values<'a> {
    pub subject: &'a Subject,
    pub reference: String,
    /// Of the settings: `with`, and the key of HMACs.
    pub constants: &'a BTreeMap<String, String>,
    /// What a look-up has found.
    pub found: BTreeMap<String, String>,
}

impl<'a> Values<'a> {
    pub fn of(subject: &'a Subject, constants: &'a BTreeMap<String, String>) -> Self {
        Self { subject, reference: subject.request(), constants, found: BTreeMap::new() }
    }

    /// What a look-up has found goes before everything else, and an identifier last.
    pub fn get(&self, name: &str) -> Option<&str> {
        if name == REFERENCE {
            return Some(&self.reference);
        }
        let known = self.found.get(name).or_else(|| self.constants.get(name)).map(String::as_str);
        known.or_else(|| self.subject.get(name))
    }
}

/// The name of a request about several people: the same for the same people.
pub(super) fn common_reference(people: &[Values<'_>]) -> String {
    match people {
        [person] => person.reference.clone(),
        people => {
            let mut digest = Sha256::new();
            people.iter().for_each(|person| digest.update(&person.reference));
            hex::encode(&digest.finalize()[..16])
        }
    }
}
