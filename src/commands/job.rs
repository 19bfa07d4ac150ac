//! What most commands begin with: the job directory, the present time, the holds in force.

use super::{Stop, console::Console};
use crate::{
    cli::{Global, MetricsArgs},
    clock,
    diagnostic::{Code, Diagnostic, Severity, Step},
    evidence::{Attestation, keys::Keys},
    job::{self, Job, Unusable},
    ledger,
    plan::{Answered, Answers, Before, Hold, Request},
    push::{Otlp, Targets},
    run,
    standing::Standing,
    store::{self, Remembered, Store},
};
use jiff::{Timestamp, civil, tz::TimeZone};
use std::collections::{BTreeMap, BTreeSet};

/// Reads the job directory and shows what is wrong with it.
///
/// # Errors
/// Something is: [`Stop`] with [`Outcome::Invalid`](crate::outcome::Outcome::Invalid); or its files are not those that
/// `--rules-digest` expects.
pub fn load(global: &Global, console: &mut Console) -> anyhow::Result<Job> {
    usable(global, usable_job(job::load(&global.jobs, Severity::Error)), console)
}

/// Reads the job directory for a command that reaches neither databases nor recipients: their variables need not be there.
///
/// # Errors
/// As [`load`].
pub fn load_ledger(global: &Global, console: &mut Console) -> anyhow::Result<Job> {
    usable(global, ledger_job(global), console)
}

/// The job of [`load_ledger`], if there is one that can be used; nothing is said about another.
pub fn ledger_beside(global: &Global) -> Option<Job> {
    ledger_job(global).ok()
}

/// What only databases and recipients are reached with.
const NOT_THE_LEDGERS: &[&str] = &["databases", "recipients"];

fn ledger_job(global: &Global) -> Result<Job, Unusable> {
    let needs = |diagnostic: &Diagnostic| match diagnostic.place.as_ref().and_then(|place| place.steps().first()) {
        Some(Step::Key(section)) => !NOT_THE_LEDGERS.contains(&section.as_str()),
        _ => true,
    };
    let told = |diagnostics: Vec<Diagnostic>| -> Vec<Diagnostic> {
        let is_absent = |found: &Diagnostic| found.code == Code::MissingVariable && found.severity == Severity::Warning;
        let kept = diagnostics.into_iter().filter(|found| !is_absent(found) || needs(found));
        kept.map(|found| if is_absent(&found) { Diagnostic { severity: Severity::Error, ..found } } else { found })
            .collect()
    };
    usable_job(match job::load(&global.jobs, Severity::Warning) {
        Ok(mut job) => {
            job.diagnostics = told(job.diagnostics);
            Ok(job)
        }
        Err(unusable) => Err(Unusable { diagnostics: told(unusable.diagnostics), sources: unusable.sources }),
    })
}

fn usable_job(loaded: Result<Job, Unusable>) -> Result<Job, Unusable> {
    match loaded {
        Ok(job) if job.has_errors() => Err(Unusable { diagnostics: job.diagnostics, sources: job.sources }),
        loaded => loaded,
    }
}

/// The job, if its files are those that are expected; else what is wrong is shown.
fn usable(global: &Global, loaded: Result<Job, Unusable>, console: &mut Console) -> anyhow::Result<Job> {
    match loaded {
        Ok(job) => {
            check_digest(global, &job)?;
            Ok(job)
        }
        Err(Unusable { diagnostics, sources }) => {
            console.diagnostics(&diagnostics, &sources)?;
            Err(Stop::invalid(format!("the job in {} cannot be used", global.jobs.display())))
        }
    }
}

/// The files must be those that somebody released: whoever mounts them may have changed them since.
///
/// # Errors
/// They are not the ones of `--rules-digest`.
pub fn check_digest(global: &Global, job: &Job) -> anyhow::Result<()> {
    let found = job.digest();
    match &global.rules_digest {
        Some(expected) if !expected.eq_ignore_ascii_case(&found) => Err(Stop::refused(format!(
            "settings and rules in {} have the digest {found}, --rules-digest expects {expected}: they were changed since \
             they were released, or are not completely rolled out",
            global.jobs.display()
        ))),
        _ => Ok(()),
    }
}

/// The present time, or what `--now` says: a day (its first moment), a local time, or a time with offset.
///
/// # Errors
/// `--now` is none of these.
pub fn now(global: &Global, job: &Job) -> anyhow::Result<Timestamp> {
    // whole seconds: plans and ledger entries show them in full
    let Some(text) = &global.now else { return Ok(Timestamp::from_second(Timestamp::now().as_second())?) };
    moment(text, &job.settings.time_zone)?.ok_or_else(|| {
        Stop::invalid(format!(
            "--now {text:?} is no time: write 2026-11-22, 2026-11-22T02:30:00 or 2026-11-22T02:30:00+09:00"
        ))
    })
}

/// A day (its first moment), a local time, or a time with offset, in whole seconds; `None` where it is none of these.
///
/// # Errors
/// It lies outside the calendar.
pub fn moment(text: &str, zone: &TimeZone) -> anyhow::Result<Option<Timestamp>> {
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return Ok(Some(Timestamp::from_second(timestamp.as_second())?));
    }
    if let Ok(local) = text.parse::<civil::DateTime>()
        && (text.contains('T') || text.contains(' '))
    {
        return Ok(Some(local.to_zoned(zone.clone())?.timestamp()));
    }
    Ok(text.parse::<civil::Date>().ok().map(|date| clock::start_of_day(date, zone)))
}

/// Who gets metrics, by arguments and environment. A variable that cannot be read is a warning.
pub fn targets(args: &MetricsArgs) -> Targets {
    let otlp = Otlp::from_environment(&|name| std::env::var(name).ok()).unwrap_or_else(|reason| {
        tracing::warn!(reason, "no metrics over OTLP");
        None
    });
    Targets { file: args.metrics_file.clone(), pushgateway: args.pushgateway.clone(), otlp }
}

/// What the recipients that rules name have answered, as far as it still counts; `None` without a key for tags.
///
/// # Errors
/// The store cannot be read.
pub async fn answers(job: &Job, keys: &Keys, now: Timestamp) -> anyhow::Result<Option<Answers>> {
    /// Whoever has been asked about more persons is left out: their tags would take more than a few megabytes.
    const MOST: u32 = 100_000;

    let Some(tag_key) = keys.tag.first().cloned() else { return Ok(None) };
    let names: BTreeSet<_> = job.rules().flat_map(|rule| &rule.recipients).map(|named| &named.name).collect();
    if names.is_empty() {
        return Ok(None);
    }
    let mut known: BTreeMap<String, BTreeMap<_, _>> = BTreeMap::new();
    match Store::open_existing(&job.settings.store).await {
        Ok(mut store) => {
            for name in names {
                let Some(settings) = job.settings.recipients.get(name) else { continue };
                let since = settings.valid_since(now, &job.settings.time_zone);
                let Some(all) = store.all_remembered(name, since, MOST).await? else { continue };
                let answered = |one: Remembered| {
                    let (is_open, first_asked_at) = (one.is_open(), one.first_asked_at);
                    (one.tag, Answered { grade: one.grade, is_open, first_asked_at })
                };
                known.insert(name.clone(), all.into_iter().map(answered).collect());
            }
            store.close().await?;
        }
        Err(store::Error::Absent(_)) => known.extend(names.into_iter().map(|name| (name.clone(), BTreeMap::new()))),
        Err(error) => return Err(error.into()),
    }
    Ok(Some(Answers { tag_key, known }))
}

/// What earlier runs have left in the store; nothing when the job has none yet.
///
/// # Errors
/// The store cannot be read.
pub async fn before(job: &Job) -> anyhow::Result<Before> {
    match Store::open_existing(&job.settings.store).await {
        Ok(mut store) => {
            let positions = ledger::positions::read(&mut store).await?;
            let standing = Standing::read(&mut store).await?;
            store.close().await?;
            Ok(Before { positions, ..standing.before() })
        }
        Err(store::Error::Absent(_)) => Ok(Before::default()),
        Err(error) => Err(error.into()),
    }
}

/// What people have attested; nothing when the job has no store yet.
///
/// # Errors
/// The store cannot be read.
pub async fn attested(job: &Job) -> anyhow::Result<BTreeMap<String, Attestation>> {
    match Store::open_existing(&job.settings.store).await {
        Ok(mut store) => {
            let attested = store.attestations().await?;
            store.close().await?;
            Ok(attested)
        }
        Err(store::Error::Absent(_)) => Ok(BTreeMap::new()),
        Err(error) => Err(error.into()),
    }
}

/// What persons have asked for and somebody approved; nothing when the job has no store yet.
///
/// # Errors
/// The store cannot be read.
pub async fn requests(job: &Job, keys: &Keys) -> anyhow::Result<Vec<Request>> {
    match Store::open_existing(&job.settings.store).await {
        Ok(mut store) => {
            let requests = run::requests_in(&mut store, &keys.tag).await?;
            store.close().await?;
            Ok(requests)
        }
        Err(store::Error::Absent(_)) => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

/// The holds in force, with the home rows of open requests; none when the job has no store yet.
///
/// # Errors
/// The store cannot be read.
pub async fn holds(job: &Job) -> anyhow::Result<Vec<Hold>> {
    match Store::open_existing(&job.settings.store).await {
        Ok(mut store) => {
            let mut holds = run::holds_in(&mut store).await?;
            let keys = Keys::parse(&job.settings.keys)?.tag;
            holds.extend(run::home_rows_in(&mut store, &keys).await?);
            store.close().await?;
            Ok(holds)
        }
        Err(store::Error::Absent(_)) => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}
