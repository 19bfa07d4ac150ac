//! How many persons a second recipients can be asked about, against stand-ins on loopback that keep no limit: one call for
//! each person, and batches; and how near to a limit the calls come.
//!
//! `cargo bench --bench recipients`. SUNSET_BENCH_PERSONS (20,000) changes the size.

use std::{
    collections::BTreeMap,
    path::Path,
    time::{Duration, Instant},
};
use sunset::{
    diagnostic::Severity,
    evidence::{
        keys::{Key, KeyKind, KeySettings, Keys},
        tag::TagKey,
    },
    recipients::{self, Plumbing, Recipient, State, Subject},
    sandbox::Sandbox,
    settings::{self, Variable},
};

type Error = Box<dyn std::error::Error>;

fn main() -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(measure())
}

async fn measure() -> Result<(), Error> {
    let persons = std::env::var("SUNSET_BENCH_PERSONS").ok().and_then(|text| text.parse().ok()).unwrap_or(20_000);
    let sandbox = Sandbox::start(0, false).await?;
    let crm = format!(
        "{{kind: http, url: \"{}\", auth: {{bearer: \"${{SECRET}}\"}}, delete: {{method: DELETE, path: \
         \"/v1/people/{{email}}\"}}",
        sandbox.url("crm")
    );
    let hook = format!(
        "{{kind: webhook, url: \"{}/hooks/sunset\", secret: \"${{SECRET}}\", identifiers: [customer], batch: 1000}}",
        sandbox.url("webhook")
    );
    say(&format!("{:<28} {:>10} {:>10} {:>12}", "", "persons", "took", "persons/s"));
    let single = open(&format!("{crm}}}"), "crm_bench")?;
    ask("one call for each person", single.as_ref(), "email", persons).await?;
    let batched = open(&hook, "whsec_c2FuZGJveC13ZWJob29rLXNlY3JldC0wMTIzNDU2Nzg5")?;
    ask("batches of 1,000", batched.as_ref(), "customer", persons * 10).await?;
    let limited = open(&format!("{crm}, rate: 100 per second}}"), "crm_bench")?;
    ask("one each, 100 calls a second", limited.as_ref(), "email", 1000).await?;
    Ok(())
}

/// Asks about so many persons at once, as a run does about a page.
async fn ask(name: &str, recipient: &dyn Recipient, identifier: &str, persons: usize) -> Result<(), Error> {
    let key = key()?;
    let subjects: Vec<_> = (0..persons)
        .map(|n| {
            let person = format!("{name}{n}@example.com").replace(' ', "-");
            Subject::new("shop", BTreeMap::from([(identifier.to_owned(), person)]), &key)
        })
        .collect();
    let began = Instant::now();
    for page in subjects.chunks(10_000) {
        let answers = recipient.delete(page).await;
        if let Some(other) = answers.iter().find(|answer| !matches!(answer.state, State::Confirmed | State::Gone)) {
            return Err(format!("{name}: {other:?}").into());
        }
    }
    let took: Duration = began.elapsed();
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    let rate = persons as f64 / took.as_secs_f64();
    say(&format!("{name:<28} {persons:>10} {took:>10.2?} {rate:>12.0}"));
    Ok(())
}

fn open(yaml: &str, secret: &str) -> Result<Box<dyn Recipient>, Error> {
    let source = format!("time_zone: UTC\ndatabases: {{core: \"sqlite:x\"}}\nrecipients: {{shop: {yaml}}}\n");
    let lookup = |_: &Variable| Some(secret.to_owned());
    let mut found = Vec::new();
    let settings = settings::parse(Path::new("/bench"), "sunset.yaml", &source, &lookup, Severity::Error, &mut found);
    let settings = settings.ok_or_else(|| format!("{found:?}"))?;
    let shop = settings.recipients.get("shop").ok_or("no recipient")?;
    Ok(recipients::open(shop, &Plumbing::new()?)?)
}

fn key() -> Result<TagKey, Error> {
    let text = Key::generate(KeyKind::Tag)?.text();
    let keys = Keys::parse(&KeySettings { tag: vec![text], ..KeySettings::default() })?;
    Ok(keys.tag.first().ok_or("no key")?.clone())
}

#[expect(clippy::print_stdout, reason = "a benchmark's result")]
fn say(text: &str) {
    println!("{text}");
}
