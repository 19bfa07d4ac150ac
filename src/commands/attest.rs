//! `sunset attest`: a person says that what no program can check holds, until a day; and the list of what was said.

use super::{Stop, console::Console, job as loading};
use crate::{
    cli::{AttestArgs, Global},
    clock::{self, period::Period},
    evidence::{Attestation, keys::Keys},
    file,
    job::Job,
    language::shape::nearest,
    ledger::Ledger,
    outcome::Outcome,
    output::{self, Format},
    plan,
    rules::{Assertion, Check},
    store::Store,
};
use anyhow::Context as _;
use jiff::{Timestamp, civil::Date};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use std::sync::Arc;

/// An attestation that ends within so many days is shown as due.
const SOON: i32 = 14;

pub async fn run(global: &Global, args: &AttestArgs, console: &mut Console) -> anyhow::Result<Outcome> {
    let job = loading::load(global, console)?;
    if args.list {
        return list(global, &job, console).await;
    }
    let [Some(id), Some(by), Some(evidence)] = [&args.assertion, &args.by, &args.evidence] else {
        return Err(Stop::invalid("name the assertion, --by and --evidence, or ask for --list"));
    };
    if [by, evidence].into_iter().any(|text| text.trim().is_empty()) {
        return Err(Stop::invalid("--by and --evidence say who and what; they are empty"));
    }
    let (assertion, every) = attestable(&job, id)?;
    let now = loading::now(global, &job)?;
    let on = clock::today(now, &job.settings.time_zone);
    let longest = clock::end_of_period(on, every);
    let until = args.until.unwrap_or(longest);
    if until < on || until > longest {
        return Err(Stop::invalid(format!(
            "--until {until} cannot be: `{id}` is attested every {every}, which ends on {longest}, and not in the past"
        )));
    }
    let document = match &args.document {
        None => None,
        Some(path) => {
            let bytes = file::read(path, file::LONGEST_DOCUMENT)
                .with_context(|| format!("{} cannot be read", path.display()))?;
            Some(hex::encode(Sha256::digest(bytes)))
        }
    };
    let attestation =
        Attestation { assertion: id.clone(), at: now, on, by: by.clone(), evidence: evidence.clone(), until, document };
    let keys = Keys::parse(&job.settings.keys)?;
    let store = Store::open(&job.settings.store).await?;
    let mut ledger = Ledger::open(store, keys, &job.settings.name, Arc::new(Timestamp::now)).await?;
    ledger.attest(&assertion.statement, &attestation).await?;
    ledger.into_store().close().await?;
    match global.format {
        Format::Json => console.print(&(serde_json::to_string_pretty(&attestation)? + "\n"))?,
        Format::Text | Format::Markdown | Format::Sarif => {
            console.print(&format!("{id}: {}: attested by {by} until {until}\n", assertion.statement))?;
        }
    }
    Ok(Outcome::Done)
}

/// The assertion of that name, and how often a person attests it.
fn attestable<'a>(job: &'a Job, id: &str) -> anyhow::Result<(&'a Assertion, Period)> {
    match job.assertions().find(|assertion| assertion.id == id) {
        Some(assertion) => match assertion.check {
            Check::AttestedEvery(every) => Ok((assertion, every)),
            Check::NoRows(_) | Check::NoCardNumbers(_) | Check::RetentionAt(_) => {
                Err(Stop::invalid(format!("`{id}` is looked at by every run: nobody can attest it")))
            }
        },
        None => {
            let known = job.assertions().map(|assertion| assertion.id.as_str());
            let help = nearest(known, id).map(|near| format!(": did you mean `{near}`?")).unwrap_or_default();
            Err(Stop::invalid(format!("there is no assertion `{id}`{help}")))
        }
    }
}

#[derive(Debug, Serialize)]
struct Listed {
    assertion: String,
    statement: String,
    every: Period,
    attestation: Option<Attestation>,
    until: Option<Date>,
    standing: Standing,
}

#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Standing {
    Attested,
    /// Ends soon.
    Due,
    Expired,
    Unattested,
}

async fn list(global: &Global, job: &Job, console: &mut Console) -> anyhow::Result<Outcome> {
    let today = clock::today(loading::now(global, job)?, &job.settings.time_zone);
    let mut said = loading::attested(job).await?;
    let listed: Vec<_> = job
        .assertions()
        .filter_map(|assertion| {
            let Check::AttestedEvery(every) = assertion.check else { return None };
            let attestation = said.remove(&assertion.id);
            let until = attestation.as_ref().map(|said| plan::last_day(said, every));
            let standing = match until {
                None => Standing::Unattested,
                Some(until) if until < today => Standing::Expired,
                Some(until) if (until - today).get_days() <= SOON => Standing::Due,
                Some(_) => Standing::Attested,
            };
            let (id, statement) = (assertion.id.clone(), assertion.statement.clone());
            Some(Listed { assertion: id, statement, every, attestation, until, standing })
        })
        .collect();
    match global.format {
        Format::Json => console.print(&(serde_json::to_string_pretty(&listed)? + "\n"))?,
        Format::Text | Format::Markdown | Format::Sarif if listed.is_empty() => {
            console.print("nothing has to be attested\n")?;
        }
        Format::Text | Format::Markdown | Format::Sarif => {
            let dash = || "–".to_owned();
            let rows = listed.iter().map(|Listed { assertion, statement, every, attestation, until, standing }| {
                vec![
                    assertion.clone(),
                    statement.clone(),
                    every.to_string(),
                    attestation.as_ref().map_or_else(dash, |said| said.by.clone()),
                    attestation.as_ref().map_or_else(dash, |said| said.on.to_string()),
                    until.map_or_else(dash, |until| until.to_string()),
                    format!("{standing:?}").to_lowercase(),
                ]
            });
            let head = ["assertion", "statement", "every", "by", "on", "until", "standing"];
            console.print(&output::table(&head, rows.collect()))?;
        }
    }
    Ok(Outcome::Done)
}
