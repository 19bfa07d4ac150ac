//! `sunset serve`: run rules by their schedules, and show how the job stands over HTTP.

use super::{Stop, console::Console, job as loading};
use crate::{
    cli::{Global, MetricsArgs, ServeArgs},
    job::Job,
    outcome::Outcome,
    rules::Rule,
    run,
    serve::{
        self, Start,
        access::Access,
        reload::{self, Fingerprint},
    },
    signals::Signals,
};
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;
use tokio::net::TcpListener;

pub async fn run(
    global: &Global,
    args: &ServeArgs,
    mut signals: Signals,
    console: &mut Console,
) -> anyhow::Result<Outcome> {
    let ready = tokio::select! {
        biased;
        () = signals.next() => return Err(Stop::temporary("asked to stop while it started: nothing was begun")),
        ready = prepare(global, args, console) => ready?,
    };
    let address = ready.listener.local_addr()?;
    let scheduled = |rule: &&Rule| rule.schedule.is_some() || ready.job.settings.schedule.is_some();
    let scheduled = ready.job.rules().filter(scheduled).count();
    if scheduled == 0 {
        console.note("no rule has a schedule: nothing will run; add `schedule` to sunset.yaml or to rules");
    }
    tracing::info!(%address, job = ready.job.settings.name, scheduled, "serving");
    console.note(&format!("serving job {} on http://{address}/", ready.job.settings.name));
    serve::serve(Start {
        directory: global.jobs.clone(),
        digest: global.rules_digest.clone(),
        signals,
        fingerprint: ready.fingerprint,
        job: ready.job,
        listener: ready.listener,
        access: ready.access,
        ahead: ready.ahead,
        drain: args.drain,
        targets: loading::targets(&MetricsArgs::default()),
    })
    .await
}

/// What a server begins with.
struct Ready {
    fingerprint: Fingerprint,
    job: Arc<Job>,
    listener: TcpListener,
    access: Access,
    ahead: SignedDuration,
}

/// Reads the job, holds it against the world, and takes the address.
async fn prepare(global: &Global, args: &ServeArgs, console: &mut Console) -> anyhow::Result<Ready> {
    let access = Access::choose(args.listen, args.token_file.clone()).map_err(Stop::invalid)?;
    // before the files are read: what changes meanwhile is read again
    let fingerprint = Fingerprint::of(&global.jobs);
    let job = loading::load(global, console)?;
    let now = loading::now(global, &job)?;
    // each run would be refused
    run::check_present(&job, now)?;
    let job = reload::check(job, global.rules_digest.clone(), now).await.map_err(|unfit| {
        let message = format!("the job in {} cannot be served\n{}", global.jobs.display(), unfit.text.trim_end());
        anyhow::Error::new(Stop { outcome: unfit.outcome, message })
    })?;
    let listener = TcpListener::bind(args.listen)
        .await
        .map_err(|error| Stop::invalid(format!("--listen {} cannot be used: {error}", args.listen)))?;
    let ahead = match global.now {
        Some(_) => now.duration_since(Timestamp::now()),
        None => SignedDuration::ZERO,
    };
    Ok(Ready { fingerprint, job, listener, access, ahead })
}
