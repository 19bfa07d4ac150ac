//! The pages: what the server and the store know, laid out for people. Data in, HTML out.
//!
//! They work without scripts, load nothing, and hold names of rules, tables and recipients, numbers and times.

mod ledger;
mod overview;
mod recipients;
mod rules;
mod words;

pub use words::{Language, Words};

use super::board::State;
use crate::{ledger::RuleResult, outcome::Outcome, output, standing::Snapshot};
use askama::Template;
use base64::Engine as _;
use jiff::{Timestamp, tz::TimeZone};
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

const STYLE: &str = include_str!("style.css");

/// What a browser may do with the pages: use their own style and show their own icon, and nothing else.
pub static CONTENT_SECURITY_POLICY: LazyLock<String> = LazyLock::new(|| {
    let style = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(STYLE));
    format!(
        "default-src 'none'; style-src 'sha256-{style}'; img-src data:; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    )
});

/// Everything that a page is made of.
pub struct Facts<'a> {
    pub state: &'a State,
    /// `None` when the store cannot be read.
    pub snapshot: Option<&'a Snapshot>,
    pub now: Timestamp,
    pub language: Language,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    Overview,
    Rules,
    Recipients,
    Ledger,
}

impl Page {
    const ALL: [Self; 4] = [Self::Overview, Self::Rules, Self::Recipients, Self::Ledger];

    /// The page at a path.
    pub fn at(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|page| page.path() == path)
    }

    fn path(self) -> &'static str {
        match self {
            Self::Overview => "/",
            Self::Rules => "/rules",
            Self::Recipients => "/recipients",
            Self::Ledger => "/ledger",
        }
    }

    fn title(self, words: &Words) -> &'static str {
        match self {
            Self::Overview => words.overview,
            Self::Rules => words.rules,
            Self::Recipients => words.recipients,
            Self::Ledger => words.ledger,
        }
    }

    /// The page as HTML.
    ///
    /// # Errors
    /// A template cannot be filled.
    pub fn render(self, facts: &Facts<'_>) -> Result<String, askama::Error> {
        match self {
            Self::Overview => overview::page(facts),
            Self::Rules => rules::page(facts),
            Self::Recipients => recipients::page(facts),
            Self::Ledger => ledger::page(facts),
        }
    }
}

/// What all pages have around their content.
struct Frame {
    style: &'static str,
    words: &'static Words,
    lang: &'static str,
    /// Path and tag of the same page in the other language, and that language's name.
    other: (&'static str, &'static str, &'static str),
    title: &'static str,
    job: String,
    /// Path, name, and whether it is this page.
    links: Vec<(&'static str, &'static str, bool)>,
    zone: String,
    version: &'static str,
    loaded: Moment,
    shown: Moment,
    draining: bool,
    store_fault: bool,
}

impl Frame {
    fn new(page: Page, facts: &Facts<'_>) -> Self {
        let (words, other) = (facts.language.words(), facts.language.other());
        Self {
            style: STYLE,
            words,
            lang: facts.language.tag(),
            other: (page.path(), other.tag(), other.name()),
            title: page.title(words),
            job: facts.state.job.settings.name.clone(),
            links: Page::ALL.iter().map(|other| (other.path(), other.title(words), *other == page)).collect(),
            zone: facts.zone().iana_name().unwrap_or("UTC").to_owned(),
            version: env!("CARGO_PKG_VERSION"),
            loaded: facts.moment(facts.state.loaded_at),
            shown: facts.moment(facts.now),
            draining: facts.state.draining,
            store_fault: facts.snapshot.is_none(),
        }
    }
}

/// A time: for machines, for people, and how far away it is.
#[derive(Clone, Debug)]
struct Moment {
    iso: String,
    shown: String,
    relative: String,
}

/// A short word with a colour; the word alone says it too.
#[derive(Clone, Debug)]
struct Badge {
    class: &'static str,
    text: String,
}

impl Facts<'_> {
    fn zone(&self) -> &TimeZone {
        &self.state.job.settings.time_zone
    }

    fn moment(&self, at: Timestamp) -> Moment {
        Moment {
            iso: Timestamp::from_second(at.as_second()).unwrap_or(at).to_string(),
            shown: at.to_zoned(self.zone().clone()).strftime("%Y-%m-%d %H:%M %Z").to_string(),
            relative: self.language.relative(at, self.now),
        }
    }

    fn result(&self, result: RuleResult) -> Badge {
        let class = match result {
            RuleResult::Done | RuleResult::NothingDue | RuleResult::ExplainedRest => "good",
            RuleResult::Temporary | RuleResult::Backlog => "warn",
            RuleResult::Refused | RuleResult::Failed => "bad",
        };
        Badge { class, text: self.language.result(result).to_owned() }
    }

    fn outcome(&self, outcome: Outcome) -> Badge {
        let class = match outcome {
            Outcome::Done => "good",
            Outcome::Temporary | Outcome::Backlog => "warn",
            Outcome::Failed | Outcome::Refused | Outcome::Invalid | Outcome::Found | Outcome::Unexpected => "bad",
        };
        Badge { class, text: self.language.outcome(outcome).to_owned() }
    }

    /// What people call a category, in their language or in any.
    fn category(&self, id: &str) -> String {
        let category = self.state.job.files.iter().map(|file| &file.category).find(|category| category.id == id);
        let title = category.and_then(|category| {
            let wanted = [self.language.tag(), "en"].iter().find_map(|tag| category.title.get(*tag));
            wanted.or_else(|| category.title.values().next())
        });
        title.cloned().unwrap_or_else(|| id.to_owned())
    }
}

/// A page that says only one thing.
#[derive(Template)]
#[template(path = "notice.html")]
struct NoticePage {
    style: &'static str,
    lang: &'static str,
    text: &'static str,
    hint: &'static str,
}

/// A page that says why there is no other.
///
/// # Errors
/// The template cannot be filled.
pub fn notice(language: Language, text: &'static str, hint: &'static str) -> Result<String, askama::Error> {
    NoticePage { style: STYLE, lang: language.tag(), text, hint }.render()
}

fn count(number: u64) -> String {
    output::count(number)
}
