//! Recipients: third parties that got a copy of personal data and are asked to delete theirs.
//!
//! A vendor is one folder here: a [`Kind`] (what `sunset.yaml` may say about it, which identifiers it takes, what it
//! promises) and a type that implements [`Recipient`] in `mod.rs`, a stand-in of its API in `stand_in.rs`, and tests in
//! `integration.rs`; and one line in [`KINDS`]. The files beside the folders are shared by all: time-outs, retries, rate limits,
//! tokens and the circuit breaker. A vendor describes a [`client::Call`] and judges the [`client::Reply`].

pub mod answer;
pub mod asking;
mod assertion;
mod audience;
pub mod circuit;
pub mod client;
pub mod criteo;
pub mod ddrf;
mod discreet;
mod echo;
pub mod gmo_payment;
pub mod google;
pub mod google_ads;
pub mod google_analytics;
pub mod hashing;
pub mod http;
pub mod identity;
pub mod language;
pub mod line;
pub mod members;
pub mod meta;
pub mod microsoft_ads;
pub mod mouseflow;
pub mod none;
pub mod notice;
pub mod object_storage;
pub mod opendsr;
pub mod options;
pub mod paypal;
pub mod phone;
pub mod quota;
pub mod rate;
pub mod recipe;
pub mod retention;
pub mod retry;
pub mod sb_payment;
pub mod secrets;
pub mod sender;
#[cfg(feature = "demo")]
pub mod stand_in;
pub mod stripe;
pub mod subject;
pub mod template;
pub mod tiktok_ads;
pub mod token;
mod version;
pub mod webhook;
pub mod x_ads;
pub mod yahoo_japan_ads;

pub use answer::{Answer, Notice, Poll, State};
pub use client::Plumbing;
pub use members::Members;
pub use options::{Misfit, Named, Options, RecipientSettings};
pub use quota::{Quota, Quotas};
pub use retention::Retention;
pub use sender::Sender;
pub use subject::Subject;

use crate::{
    evidence::Grade,
    language::{rate::Rate, shape::Field},
};
use jiff::civil::Date;
use std::fmt;

/// The registry: a line for each kind of recipient. Its names are the words that rules and settings may use.
pub static KINDS: &[&Kind] = &[
    &criteo::KIND,
    &ddrf::KIND,
    &gmo_payment::protocol::KIND,
    &gmo_payment::openapi::KIND,
    &google_ads::KIND,
    &google_analytics::KIND,
    &http::KIND,
    &line::KIND,
    &meta::KIND,
    &microsoft_ads::KIND,
    &mouseflow::KIND,
    &none::KIND,
    &notice::KIND,
    &object_storage::azure_blob::KIND,
    &object_storage::folder::KIND,
    &object_storage::gcs::KIND,
    &object_storage::s3::KIND,
    &opendsr::KIND,
    &paypal::KIND,
    &sb_payment::KIND,
    &stripe::KIND,
    &tiktok_ads::KIND,
    &webhook::KIND,
    &x_ads::KIND,
    &yahoo_japan_ads::KIND,
];

/// The kind of this name.
pub fn kind(name: &str) -> Option<&'static Kind> {
    KINDS.iter().copied().find(|kind| kind.name == name)
}

/// Asks one recipient. A failure is an answer about each subject that it hit, so that nobody forgets who was served.
#[async_trait::async_trait]
pub trait Recipient: Send + Sync {
    /// Asks for deletion: one answer for each subject, in their order. Asking twice is harmless. At most
    /// [`Facts::batch`] subjects go into one call; more may be given.
    async fn delete(&self, subjects: &[Subject]) -> Vec<Answer>;

    /// Hears, before the first [`Recipient::delete`] of a run, of persons whom that run finds due: for recipients with
    /// [`members`], who serve all of them with one piece of work. Only they are told.
    fn announce(&self, _subjects: &[Subject]) {}

    /// Asks what became of accepted work: one answer for each ticket, in their order. Work that goes on is
    /// [`State::Accepted`] again, perhaps with a new ticket. After [`State::Forgotten`] and [`State::Elapsed`] the ticket is
    /// given up, and deletion is asked for anew; after [`State::Refused`] a person has to say so. By default, a ticket is unknown.
    async fn poll(&self, tickets: &[String]) -> Vec<Answer> {
        tickets.iter().map(|_| Answer::refused("this recipient gives no tickets")).collect()
    }

    /// Proves the credentials without deleting anything.
    async fn check(&self) -> Result<Checked, CheckError>;

    /// The account that the credentials belong to, as the recipient names it; by default, it has no interface that tells.
    async fn account(&self) -> Result<Option<String>, CheckError> {
        Ok(None)
    }

    /// How long it keeps data by its own settings; by default, it has no interface that tells.
    async fn retention(&self) -> Result<Option<Retention>, CheckError> {
        Ok(None)
    }
}

/// What a check without deletion can tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Checked {
    /// The credentials work.
    Proven,
    /// The vendor has no call that proves them without effect: why.
    Unproven { reason: String },
}

/// The credentials do not work, or nobody answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct CheckError {
    /// Without secrets and identifiers.
    pub reason: String,
    /// Trying again may help.
    pub temporary: bool,
}

/// One kind of recipient.
pub struct Kind {
    /// As `sunset.yaml` writes it: small letters, digits and `_`.
    pub name: &'static str,
    /// One line in Markdown.
    pub doc: &'static str,
    /// Its keys in `sunset.yaml`, beside the common ones (`kind`, `url`, `timeout`, `rate`). A field whose text has the format
    /// [`KEY`](crate::language::format::KEY) is a secret.
    pub settings: &'static [Field],
    pub identifiers: Identifiers,
    /// What the shapes of `settings` cannot tell.
    pub check: fn(&RecipientSettings) -> Result<(), Misfit>,
    /// What can be used and is worth a look, on this day.
    pub remarks: fn(&RecipientSettings, Date) -> Vec<Misfit>,
    /// As documented, for these settings; with empty options, for the default.
    pub facts: fn(&RecipientSettings) -> Facts,
    /// Does no input or output.
    pub open: Open,
    /// What answers in the vendor's place in rehearsals, in the demo and in tests.
    #[cfg(feature = "demo")]
    pub stand_in: Option<&'static stand_in::StandIn>,
}

/// For [`Kind::remarks`], where there is nothing to say.
fn no_remarks(_: &RecipientSettings, _: Date) -> Vec<Misfit> {
    Vec::new()
}

/// Makes the client of a recipient from its settings.
pub type Open = fn(&RecipientSettings, &Plumbing) -> Result<Box<dyn Recipient>, OpenError>;

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// Which identifiers a rule may map to columns.
pub enum Identifiers {
    Fixed {
        all: &'static [Identifier],
        /// Each group names identifiers of which the rule gives at least one.
        any_of: &'static [&'static [&'static str]],
    },
    /// The settings name them; the rule gives all that are required.
    OfSettings(fn(&RecipientSettings) -> Vec<Named>),
    /// The settings name them for each of several places: two rows with the same identifiers point at the same place.
    OfPlaces(fn(&RecipientSettings) -> Vec<Vec<Named>>),
}

/// An identifier that a recipient knows people by.
#[derive(Clone, Copy, Debug)]
pub struct Identifier {
    pub name: &'static str,
    pub doc: &'static str,
    /// For the drafts of rules and the pages.
    pub example: &'static str,
}

/// What is known about a recipient of a kind.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// The most subjects in one call.
    pub batch: usize,
    /// Calls that one batch takes at least.
    pub calls: u32,
    /// The documented limits, lowered by `rate`.
    pub rates: Vec<Rate>,
    /// The best evidence that it can give.
    pub grade: Grade,
    /// What goes, in words.
    pub deleted: &'static str,
    /// What stays, in words.
    pub kept: &'static str,
    pub sources: &'static [&'static str],
}

/// The settings cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("recipient `{recipient}`: {reason}")]
pub struct OpenError {
    pub recipient: String,
    /// Without secrets.
    pub reason: String,
}

/// Makes the client of a recipient: no call is made yet. Its answers do not repeat what it was sent.
///
/// # Errors
/// A secret is not there, or the base URL cannot be used.
pub fn open(settings: &RecipientSettings, plumbing: &Plumbing) -> Result<Box<dyn Recipient>, OpenError> {
    let recipient = (settings.kind.open)(settings, plumbing)?;
    Ok(Box::new(discreet::Discreet::new(recipient, settings)))
}
