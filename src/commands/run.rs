//! `sunset run`: dispose of what is due.

use super::{Stop, console::Console, job as loading};
use crate::{
    cli::{Global, RunArgs},
    evidence::keys::Keys,
    file,
    job::Job,
    outcome::Outcome,
    output,
    plan::{self, Plan},
    run::{self, Performed, Request},
    signals::Signals,
};
use jiff::Timestamp;
use std::{path::Path, sync::Arc};

pub async fn run(global: &Global, args: &RunArgs, signals: Signals, console: &mut Console) -> anyhow::Result<Outcome> {
    let stop = signals.into_token();
    let mut job = loading::load(global, console)?;
    job.settings.pace.run_time = args.run_time.or(job.settings.pace.run_time);
    job.settings.pace.workers = args.workers.unwrap_or(job.settings.pace.workers);
    let reviewed = args.plan.as_deref().map(|path| read_plan(path, &job)).transpose()?;
    let now = match (&reviewed, &global.now) {
        (Some(_), Some(_)) => return Err(Stop::invalid("--plan has its own time; leave --now out")),
        (Some(plan), None) => plan.now,
        (None, _) => loading::now(global, &job)?,
    };
    let group = args.group.clone().filter(|group| !group.is_empty() && !args.rehearsal);
    let (rules, tags) = (args.rules.clone(), args.tags.clone());
    // who asks for some rules asks for these
    let assertions = rules.is_empty() && tags.is_empty();
    let request = Request {
        rules,
        tags,
        group,
        assertions,
        person: None,
        reviewed,
        now,
        clock: Arc::new(Timestamp::now),
        rehearsal: args.rehearsal,
    };
    let progress = console.progress();
    let performed = run::perform(&job, request, &stop, progress.as_ref()).await;
    if !args.rehearsal {
        loading::targets(&args.metrics).push_standing(&job, Timestamp::now()).await;
    }
    match performed? {
        Performed::Report(report) => {
            console.print(&output::report(&report, global.format)?)?;
            Ok(report.outcome)
        }
        Performed::Invalid(found) => {
            console.diagnostics(&found, &job.sources)?;
            Ok(Outcome::Invalid)
        }
    }
}

/// The plan that somebody reviewed.
fn read_plan(path: &Path, job: &Job) -> anyhow::Result<Plan> {
    let text = file::read_text(path, file::LONGEST_DOCUMENT)
        .map_err(|error| Stop::invalid(format!("the plan {} cannot be read: {error}", path.display())))?;
    let trusted = Keys::parse(&job.settings.keys)?.trusted(&job.settings.name);
    plan::reviewed::read(&text, &path.display().to_string(), &trusted)
}
