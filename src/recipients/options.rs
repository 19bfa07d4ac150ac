//! What `sunset.yaml` says about one recipient.

use super::{Identifiers, Kind, members::Source};
use crate::{
    clock::period::Period,
    diagnostic::Place,
    evidence::Grade,
    language::{node::Node, rate::Rate},
    recipients::secrets::secrets_of,
    rules::{At, RuleRecipient},
};
use jiff::{Timestamp, tz::TimeZone};
use secrecy::SecretString;
use std::{fmt, time::Duration};

/// How long an answer counts while its row stays, where settings say nothing: longer than what other recipients of the row
/// usually take, and than monthly runs are apart.
const VALID_FOR: Period = Period::of_days(90);

/// Where settings say nothing.
const MAX_GONE_PERCENT: f64 = 20.0;

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
    /// How long an answer counts while the row that it was for stays.
    pub valid_for: Option<Period>,
    /// The largest share of persons of a run whom the recipient may say not to know any more.
    pub max_gone_percent: Option<f64>,
    /// Who stays, where its lists are made anew.
    pub members: Option<Source>,
    /// The kind's own keys.
    pub options: Options,
}

impl RecipientSettings {
    /// A recipient about which nothing is said.
    pub fn bare(kind: &'static Kind) -> Self {
        let options = Options(Node::Map(Vec::new()));
        Self {
            name: kind.name.to_owned(),
            kind,
            url: None,
            timeout: None,
            rate: None,
            valid_for: None,
            max_gone_percent: None,
            members: None,
            options,
        }
    }

    /// Whoever was settled before this moment is asked about anew.
    pub fn valid_since(&self, now: Timestamp, zone: &TimeZone) -> Timestamp {
        self.valid_for.unwrap_or(VALID_FOR).before(now, zone)
    }

    /// More persons than this share of a run's must not be gone already, in percent.
    pub fn max_gone(&self) -> f64 {
        self.max_gone_percent.unwrap_or(MAX_GONE_PERCENT)
    }

    /// The identifiers that two rows share when they are about the same person: each of them alone, or, where only the
    /// settings know what they mean, all of them together; where they name places, all that one place needs.
    pub fn tell_persons_apart(&self, given: &[&str]) -> Vec<Vec<String>> {
        /// Many have the same.
        const NOBODYS_OWN: &[&str] = &["postal_code", "name"];
        let own = |name: &&str| match &self.kind.identifiers {
            Identifiers::Fixed { any_of, .. } => any_of.concat().contains(name) && !NOBODYS_OWN.contains(name),
            Identifiers::OfSettings(_) | Identifiers::OfPlaces(_) => true,
        };
        let names: Vec<String> = given.iter().copied().filter(own).map(str::to_owned).collect();
        match &self.kind.identifiers {
            Identifiers::Fixed { .. } => names.into_iter().map(|name| vec![name]).collect(),
            Identifiers::OfSettings(_) if names.is_empty() => Vec::new(),
            Identifiers::OfSettings(_) => vec![names],
            Identifiers::OfPlaces(places) => {
                let names = |place: Vec<Named>| place.into_iter().map(|named| named.name).collect::<Vec<_>>();
                let places = places(self).into_iter().map(names);
                places.filter(|names| names.iter().all(|name| given.contains(&name.as_str()))).collect()
            }
        }
    }

    /// The identifiers that the settings name.
    fn named(&self) -> Vec<Named> {
        let all = match &self.kind.identifiers {
            Identifiers::Fixed { .. } => Vec::new(),
            Identifiers::OfSettings(names) => names(self),
            Identifiers::OfPlaces(places) => places(self).concat(),
        };
        let mut named: Vec<Named> = Vec::new();
        for one in all {
            match named.iter_mut().find(|known| known.name == one.name) {
                Some(known) => known.required |= one.required,
                None => named.push(one),
            }
        }
        named
    }

    /// What stands in the kind's own keys and is a secret, or may be.
    pub fn secrets(&self) -> Vec<String> {
        /// What is shorter is a word such as `GET`.
        const SHORTEST: usize = 6;
        let at = At { node: &self.options.0, place: Place::root("") };
        let secrets = secrets_of(self.kind.settings, &at);
        secrets.iter().filter_map(At::text).filter(|text| text.len() >= SHORTEST).map(str::to_owned).collect()
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
            Identifiers::OfSettings(_) | Identifiers::OfPlaces(_) => {
                self.named().into_iter().map(|named| named.name).collect()
            }
        }
    }

    /// The first group of identifiers that has none among `given`: one of them is missing.
    pub fn missing(&self, given: &[&str]) -> Option<Vec<String>> {
        let of = |named: Vec<Named>| named.into_iter().map(|named| named.name).collect::<Vec<_>>();
        let groups: Vec<Vec<String>> = match &self.kind.identifiers {
            Identifiers::Fixed { any_of, .. } => {
                any_of.iter().map(|group| group.iter().map(|name| (*name).to_owned()).collect()).collect()
            }
            Identifiers::OfSettings(_) | Identifiers::OfPlaces(_) => {
                let (required, optional): (Vec<_>, Vec<_>) = self.named().into_iter().partition(|named| named.required);
                // where all of them may be missing, one of them may not
                let any = (required.is_empty() && !optional.is_empty()).then(|| of(optional));
                required.into_iter().map(|named| vec![named.name]).chain(any).collect()
            }
        };
        groups.into_iter().find(|group| !group.iter().any(|name| given.contains(&name.as_str())))
    }
}

/// An identifier that settings name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    pub name: String,
    /// Nobody can be asked about without it.
    pub required: bool,
}

impl Named {
    pub fn required(name: impl Into<String>) -> Self {
        Self { name: name.into(), required: true }
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
