//! `sunset run`: dispose of what is due.

use super::{Stop, console::Console, job as loading};
use crate::{
    cli::{Global, RunArgs},
    job::Job,
    ledger::{Keys, Ledger},
    outcome::Outcome,
    output,
    plan::{self, Options, Plan, Prepared},
    run::{self, Recipients},
    store::Store,
};
use anyhow::Context as _;
use jiff::{SignedDuration, Timestamp};
use std::{path::Path, sync::Arc};
use tokio_util::sync::CancellationToken;

pub async fn run(global: &Global, args: &RunArgs, console: &mut Console) -> anyhow::Result<Outcome> {
    let job = loading::load(global, console)?;
    let stop = stop_on_signal()?;
    let reviewed = args.plan.as_deref().map(read_plan).transpose()?;
    let now = match (&reviewed, &global.now) {
        (Some(_), Some(_)) => return Err(Stop::invalid("--plan has its own time; leave --now out")),
        (Some(plan), None) => plan.now,
        (None, _) => loading::now(global, &job)?,
    };
    let rules = match &reviewed {
        Some(plan) => plan.steps.iter().map(|step| step.rule.clone()).collect(),
        None => args.rules.clone(),
    };

    let keys = Keys::parse(&job.settings.keys)?;
    let pseudonym_key = keys.pseudonym.as_ref().map(|key| key.secret().to_vec());
    let store = Store::open(&job.settings.store).await?;
    let mut ledger = Ledger::open(store, keys, &job.settings.name, Arc::new(Timestamp::now)).await?;
    let holds = loading::holds_in(ledger.store()).await?;

    let steps = reviewed.iter().flat_map(|plan| &plan.steps);
    let walks = steps.map(|step| (step.rule.clone(), step.access.walk.clone())).collect();
    let options = Options { rules, samples: 0, thorough: false, walks, pseudonym_key };
    let mut prepared = match plan::prepare(&job, &holds, now, &options).await? {
        Ok(prepared) => prepared,
        Err(found) => {
            console.diagnostics(&found, &job.sources)?;
            return Ok(Outcome::Invalid);
        }
    };
    check_clocks(&job, &mut prepared).await?;
    if let Some(reviewed) = &reviewed {
        compare(reviewed, &prepared.plan)?;
    }
    let keys = Keys::parse(&job.settings.keys)?;
    let recipients =
        Recipients::open(&job.settings, &keys, &prepared).map_err(|error| Stop::invalid(error.to_string()))?;
    let progress = console.progress();
    let report = run::execute(&job, &prepared, &recipients, &mut ledger, &stop, progress.as_ref()).await?;
    ledger.into_store().close().await?;
    console.print(&output::report(&report, global.format)?)?;
    Ok(report.outcome)
}

/// The plan that somebody reviewed.
fn read_plan(path: &Path) -> anyhow::Result<Plan> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Stop::invalid(format!("the plan {} cannot be read: {error}", path.display())))?;
    let plan: Plan = serde_json::from_str(&text)
        .map_err(|error| Stop::invalid(format!("{} is not a plan of this version: {error}", path.display())))?;
    if plan.format != plan::FORMAT {
        let message =
            format!("{} has plan format {}, this version knows {}", path.display(), plan.format, plan::FORMAT);
        return Err(Stop::invalid(message));
    }
    if plan.compute_digest()? != plan.digest {
        let message = format!("{} was changed after it was made: its digest does not fit", path.display());
        return Err(Stop::refused(message));
    }
    Ok(plan)
}

/// What would be executed must be what was reviewed, and no more of it.
fn compare(reviewed: &Plan, fresh: &Plan) -> anyhow::Result<()> {
    if reviewed.work_digest != fresh.work_digest {
        let differing: Vec<_> = reviewed
            .steps
            .iter()
            .filter(|step| {
                fresh.steps.iter().find(|other| other.rule == step.rule).is_none_or(|other| {
                    other.statements != step.statements || other.holds != step.holds || other.limits != step.limits
                })
            })
            .map(|step| step.rule.as_str())
            .collect();
        let what = match differing.as_slice() {
            [] => "settings or rule files".to_owned(),
            rules => format!("rules {}", rules.join(", ")),
        };
        return Err(Stop::refused(format!(
            "what would run is not what was reviewed: {what} changed since; make a new plan and review it"
        )));
    }
    for step in &reviewed.steps {
        let now = fresh.steps.iter().find(|other| other.rule == step.rule).map_or(0, |other| other.counts.disposable());
        if now > step.counts.disposable() {
            return Err(Stop::refused(format!(
                "rule `{}` would dispose of {now} rows, {} were reviewed; make a new plan and review it",
                step.rule,
                step.counts.disposable()
            )));
        }
    }
    Ok(())
}

/// A clock that is wrong deletes too early or too late.
async fn check_clocks(job: &Job, prepared: &mut Prepared) -> anyhow::Result<()> {
    let most = SignedDuration::try_from(job.settings.pace.max_clock_skew).context("max_clock_skew is too long")?;
    for (name, open) in &mut prepared.databases {
        let theirs = open.database.clock(open.connection.as_mut()).await?;
        let skew = theirs.duration_since(Timestamp::now()).abs();
        if skew > most {
            return Err(Stop::refused(format!(
                "the clock of database {name} differs from this machine's by {} s, max_clock_skew allows {} s: \
                 set the wrong one right",
                skew.as_secs(),
                most.as_secs()
            )));
        }
    }
    Ok(())
}

/// Cancelled by SIGTERM and SIGINT: the open batch is finished, nothing new is begun.
fn stop_on_signal() -> anyhow::Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    let stop = CancellationToken::new();
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let token = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::warn!("asked to stop; the open batch is finished first");
        token.cancel();
    });
    Ok(stop)
}
