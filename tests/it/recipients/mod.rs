//! Recipients: the connectors against the sandbox's stand-ins, with faults, and what is remembered of their answers.

mod audiences;
#[path = "../../../src/recipients/criteo/integration.rs"]
mod criteo;
#[path = "../../../src/recipients/ddrf/integration.rs"]
mod ddrf;
mod echoes;
mod evidence;
mod faults;
mod folders;
#[path = "../../../src/recipients/gmo_payment/integration.rs"]
mod gmo_payment;
#[path = "../../../src/recipients/google/integration.rs"]
mod google;
#[path = "../../../src/recipients/google_ads/integration.rs"]
mod google_ads;
#[path = "../../../src/recipients/google_analytics/integration.rs"]
mod google_analytics;
mod hostile_identifiers;
#[path = "../../../src/recipients/http/integration.rs"]
mod http;
mod language;
#[path = "../../../src/recipients/line/integration.rs"]
mod line;
mod localstripe;
#[path = "../../../src/recipients/meta/integration.rs"]
mod meta;
#[path = "../../../src/recipients/microsoft_ads/integration.rs"]
mod microsoft_ads;
#[path = "../../../src/recipients/mouseflow/integration.rs"]
mod mouseflow;
#[path = "../../../src/recipients/notice/integration.rs"]
mod notice;
#[path = "../../../src/recipients/object_storage/integration.rs"]
mod object_storage;
#[path = "../../../src/recipients/opendsr/integration.rs"]
mod opendsr;
#[path = "../../../src/recipients/paypal/integration.rs"]
mod paypal;
mod prism;
mod quota;
mod rebuild;
mod recipes;
pub mod recorder;
pub mod run;
#[path = "../../../src/recipients/sb_payment/integration.rs"]
mod sb_payment;
mod staying;
mod store;
#[path = "../../../src/recipients/stripe/integration.rs"]
mod stripe;
#[path = "../../../src/recipients/tiktok_ads/integration.rs"]
mod tiktok_ads;
#[path = "../../../src/recipients/webhook/integration.rs"]
mod webhook;
#[path = "../../../src/recipients/x_ads/integration.rs"]
mod x_ads;
#[path = "../../../src/recipients/yahoo_japan_ads/integration.rs"]
mod yahoo_japan_ads;

use crate::ledger::key_settings;
use std::{
    collections::BTreeMap,
    path::Path,
    sync::LazyLock,
    time::{Duration, Instant},
};
use sunset::{
    diagnostic::{Severity, Sources, render_text},
    evidence::{keys::Keys, tag::TagKey},
    recipients::{self, Answer, Plumbing, Recipient, RecipientSettings, State, Subject, stand_in::StandIn},
    settings,
};

/// Stands for every variable. Whoever finds it in an output has found a leak.
pub const SECRET: &str = "sk_test_crm_hunter2";

pub static KEY: LazyLock<TagKey> = LazyLock::new(|| Keys::parse(&key_settings()).unwrap().tag[0].clone());

/// The settings of the recipient `shop`, from what stands behind `recipients: {shop: `.
pub fn settings(yaml: &str) -> RecipientSettings {
    secret_settings(yaml, SECRET)
}

pub fn secret_settings(yaml: &str, secret: &str) -> RecipientSettings {
    settings_with(yaml, |_| secret.to_owned())
}

pub fn settings_with(yaml: &str, value: impl Fn(&settings::Variable) -> String) -> RecipientSettings {
    read_settings(&format!("  {{shop: {yaml}}}\n"), "shop", value)
}

/// The settings of one recipient, from what stands below `recipients:`.
pub fn printed_settings(yaml: &str, name: &str, secret: &str) -> RecipientSettings {
    read_settings(yaml, name, |_| secret.to_owned())
}

/// The stand-in of a kind of recipient.
pub fn stand_in(kind: &str) -> &'static StandIn {
    recipients::kind(kind).and_then(|kind| kind.stand_in).unwrap()
}

fn read_settings(yaml: &str, name: &str, value: impl Fn(&settings::Variable) -> String) -> RecipientSettings {
    let source = format!("time_zone: UTC\ndatabases: {{core: \"sqlite:x\"}}\nrecipients:\n{yaml}");
    let mut diagnostics = Vec::new();
    // a company's own recipes are files too, and there are none
    let lookup = |variable: &settings::Variable| match variable {
        settings::Variable::File(path) if path.parent()?.ends_with("recipes") => None,
        variable => Some(value(variable)),
    };
    let read =
        settings::parse(Path::new("/jobs/demo"), "sunset.yaml", &source, &lookup, Severity::Error, &mut diagnostics);
    let sources = Sources::from([("sunset.yaml".to_owned(), source)]);
    let mut read = read.unwrap_or_else(|| panic!("{}", render_text(&diagnostics, &sources, false)));
    read.recipients.remove(name).unwrap()
}

/// Somebody listens from the first call on. Without, a test that reads the log could find nothing in it: what was first
/// logged while nobody listened may be taken for never wanted.
static LISTENING: LazyLock<()> = LazyLock::new(|| {
    let everything =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(std::io::sink).finish();
    let _ = tracing::subscriber::set_global_default(everything);
});

/// Waits little between attempts.
pub fn plumbing() -> Plumbing {
    LazyLock::force(&LISTENING);
    let mut plumbing = Plumbing::new().unwrap();
    plumbing.backoff.first = Duration::from_millis(2);
    plumbing.backoff.longest = Duration::from_millis(10);
    plumbing.backoff.patience = Duration::from_secs(2);
    plumbing
}

pub fn open(yaml: &str) -> Box<dyn Recipient> {
    recipients::open(&settings(yaml), &plumbing()).unwrap()
}

/// A subject by the pairs of identifier and text.
pub fn subject(identifiers: &[(&str, &str)]) -> Subject {
    let pairs = identifiers.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
    Subject::new("shop", pairs.collect::<BTreeMap<_, _>>(), &KEY)
}

/// It is refused, for this reason.
pub fn refused(answer: &Answer, words: &str) {
    assert!(matches!(&answer.state, State::Refused { reason } if reason.contains(words)), "{words}: {answer:?}");
}

/// It is not known what came of it, for this reason.
pub fn unreachable(answer: &Answer, words: &str) {
    assert!(
        matches!(&answer.state, State::Unreachable { reason, .. } if reason.contains(words)),
        "{words}: {answer:?}"
    );
}

pub async fn delete_one(recipient: &dyn Recipient, subject: Subject) -> Answer {
    let mut answers = recipient.delete(&[subject]).await;
    assert_eq!(answers.len(), 1);
    answers.remove(0)
}

/// The most that came within one second.
pub fn most_in_a_second(arrivals: &[Instant]) -> usize {
    let within = |first: usize| arrivals[first..].partition_point(|at| *at < arrivals[first] + Duration::from_secs(1));
    (0..arrivals.len()).map(within).max().unwrap_or_default()
}
