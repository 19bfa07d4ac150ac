//! `sunset pause` and `sunset resume`: no run of the job begins a batch, on whatever machine, until somebody lets it.

use super::{Stop, console::Console, job as loading};
use crate::{
    cli::{Global, PauseArgs, ResumeArgs},
    evidence::keys::Keys,
    job::Job,
    ledger::Ledger,
    outcome::Outcome,
    store::Store,
};
use jiff::{Timestamp, civil};
use std::sync::Arc;

pub async fn pause(global: &Global, args: &PauseArgs, console: &mut Console) -> anyhow::Result<Outcome> {
    let job = loading::load(global, console)?;
    let now = Timestamp::now();
    let until = args.until.as_deref().map(|text| until(text, &job, now)).transpose()?;
    let mut ledger = open(&job).await?;
    ledger.pause(args.reason.clone(), args.by.clone(), until).await?;
    ledger.into_store().close().await?;
    let until = match until {
        Some(until) => until.to_zoned(job.settings.time_zone.clone()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string(),
        None => "`sunset resume`".to_owned(),
    };
    console.note(&format!("{} is paused: no run begins a batch until {until}", job.settings.name));
    Ok(Outcome::Done)
}

pub async fn resume(global: &Global, args: &ResumeArgs, console: &mut Console) -> anyhow::Result<Outcome> {
    let job = loading::load(global, console)?;
    let mut ledger = open(&job).await?;
    let resumed = ledger.resume(args.by.clone()).await?;
    ledger.into_store().close().await?;
    match resumed {
        Some(pause) => console.note(&format!("{} goes on; {} had paused it", job.settings.name, pause.by)),
        None => console.note(&format!("{} is not paused", job.settings.name)),
    }
    Ok(Outcome::Done)
}

/// A time of day, which is the next one; or a day or time as `--now` takes it.
fn until(text: &str, job: &Job, now: Timestamp) -> anyhow::Result<Timestamp> {
    let zone = &job.settings.time_zone;
    let until = match text.parse::<civil::Time>() {
        Ok(time) => {
            let here = now.to_zoned(zone.clone());
            let today = here.with().time(time).build()?;
            if today > here { today } else { here.tomorrow()?.with().time(time).build()? }.timestamp()
        }
        Err(_) => loading::moment(text, zone)?.ok_or_else(|| {
            Stop::invalid(format!("--until {text:?} is no time: write 06:00, 2026-11-22 or 2026-11-22T06:00:00+09:00"))
        })?,
    };
    match until > now {
        true => Ok(until),
        false => Err(Stop::invalid(format!("--until {text:?} is past"))),
    }
}

async fn open(job: &Job) -> anyhow::Result<Ledger> {
    let store = Store::open(&job.settings.store).await?;
    let keys = Keys::parse(&job.settings.keys)?;
    Ok(Ledger::open(store, keys, &job.settings.name, Arc::new(Timestamp::now)).await?)
}
