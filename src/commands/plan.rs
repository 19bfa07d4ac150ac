//! `sunset plan`: what a run would do. Changes no database; writes the file that `--out` names, and notes in the store
//! what it counted.

use super::{Stop, console::Console, job as loading};
use crate::{
    cli::{Global, PlanArgs},
    clock,
    evidence::keys::Keys,
    file,
    job::Job,
    outcome::Outcome,
    output::{self, Format, PlanStyle},
    plan::{self, Options, Plan, Prepared, Said},
    push::Targets,
    recipients::Checked,
    rules::Rule,
    run::{self, Recipients},
    settings::Settings,
    standing::Snapshot,
    store::{self, Store},
};
use anyhow::Context as _;
use jiff::Timestamp;

pub async fn run(global: &Global, args: &PlanArgs, console: &mut Console) -> anyhow::Result<Outcome> {
    let job = loading::load(global, console)?;
    let now = loading::now(global, &job)?;
    if args.timeline {
        return timeline(&job, args, now, console);
    }
    let holds = loading::holds(&job).await?;
    let keys = Keys::parse(&job.settings.keys)?;
    let pseudonym_key = keys.pseudonym.as_ref().map(|key| key.secret().to_vec());
    let answers = loading::answers(&job, &keys, now).await?;
    // who asks about some rules asks about these
    let said = match args.rules.is_empty() && args.tags.is_empty() {
        true => {
            let retentions = if args.check_recipients { Some(run::retentions(&job, &keys).await) } else { None };
            Some(Said { attested: loading::attested(&job).await?, retentions })
        }
        false => None,
    };
    let options = Options {
        rules: args.rules.clone(),
        tags: args.tags.clone(),
        samples: args.sample,
        thorough: true,
        pseudonym_key,
        said,
        answers,
        before: Some(loading::before(&job).await?),
        requests: loading::requests(&job, &keys).await?,
        ..Options::default()
    };
    let prepared = match plan::prepare(&job, &holds, now, &options).await? {
        Ok(prepared) => prepared,
        Err(found) => {
            console.diagnostics(&found, &job.sources)?;
            return Ok(Outcome::Invalid);
        }
    };
    let mut warnings = job.remarks(clock::today(now, &job.settings.time_zone));
    warnings.extend(prepared.warnings.iter().cloned());
    if console.format == Format::Text && !warnings.is_empty() && !console.quiet {
        console.diagnostics(&warnings, &job.sources)?;
    }
    let plan = &prepared.plan;
    let style = PlanStyle { brief: args.brief, sql: args.sql, explain: args.sql || global.verbose > 0 };
    console.print(&output::plan(plan, global.format, style)?)?;
    if let Some(path) = &args.out {
        let key = keys.signing.first();
        let text = plan::reviewed::write(plan, key)?;
        file::write(path, text.as_bytes())
            .with_context(|| format!("the plan cannot be written to {}", path.display()))?;
        let (path, next) = (path.display(), "execute it with: sunset run --plan");
        console.note(&match key {
            Some(_) => format!("plan written to {path}; {next} {path}"),
            None => format!("plan written to {path}, to be read only: there is no key that signs it (`keys.signing`)"),
        });
    }
    if global.now.is_none() {
        note(&job, &prepared).await;
    }
    tell(&job, &prepared, &loading::targets(&args.metrics)).await;
    let checked = if args.check_recipients {
        check_recipients(&job.settings, &keys, &prepared, console).await?
    } else {
        Outcome::Done
    };
    Ok(outcome(plan).max(checked))
}

/// Shows what rules do when. No database is asked.
fn timeline(job: &Job, args: &PlanArgs, now: Timestamp, console: &mut Console) -> anyhow::Result<Outcome> {
    let mut found = Vec::new();
    let chosen: Vec<_> =
        plan::chosen(job, &args.rules, &args.tags, &mut found).into_iter().map(|rule| rule.id.clone()).collect();
    if !found.is_empty() {
        console.diagnostics(&found, &job.sources)?;
        return Ok(Outcome::Invalid);
    }
    let starting_day = args.starting.unwrap_or_else(|| clock::today(now, &job.settings.time_zone));
    let timeline = plan::timeline(&job.files, &|rule: &Rule| chosen.contains(&rule.id), &job.settings, starting_day);
    console.print(&output::timeline(&timeline, console.format)?)?;
    Ok(Outcome::Done)
}

/// Tells what was counted to who collects metrics, also where there is no store yet to note it in.
async fn tell(job: &Job, prepared: &Prepared, targets: &Targets) {
    if targets.is_empty() {
        return;
    }
    let mut snapshot = match Snapshot::of(&job.settings.store).await {
        Ok(snapshot) => snapshot,
        Err(store::Error::Absent(_)) => Snapshot::default(),
        Err(error) => {
            tracing::warn!(reason = %error, "no metrics: the store cannot be read");
            return;
        }
    };
    run::add_plan(&mut snapshot.standing, &job.settings, prepared);
    targets.push(job, &snapshot, Timestamp::now()).await;
}

/// Lets metrics and pages show what was counted, where there is a store already: a dry run makes none.
async fn note(job: &Job, prepared: &Prepared) {
    let noted = async {
        let mut store = Store::open_existing(&job.settings.store).await?;
        run::note_plan(&mut store, &job.settings, prepared).await?;
        store.close().await
    };
    match noted.await {
        Ok(()) | Err(store::Error::Absent(_)) => {}
        Err(error) => tracing::info!(reason = %error, "metrics and pages cannot show what was counted"),
    }
}

/// Proves the credentials of the recipients in the plan, as far as each of them allows it.
async fn check_recipients(
    settings: &Settings,
    keys: &Keys,
    prepared: &Prepared,
    console: &mut Console,
) -> anyhow::Result<Outcome> {
    let recipients =
        Recipients::to_check(settings, keys, prepared).map_err(|error| Stop::invalid(error.to_string()))?;
    let mut outcome = Outcome::Done;
    for (name, recipient) in recipients.iter() {
        let words = match recipient.check().await {
            Ok(Checked::Proven) => match recipient.account().await {
                Ok(Some(account)) => format!("the credentials work, for the account {account}"),
                Ok(None) => "the credentials work".to_owned(),
                Err(error) => format!("the credentials work; which account they are of cannot be seen: {error}"),
            },
            Ok(Checked::Unproven { reason }) => format!("not proven: {reason}"),
            Err(error) => {
                outcome = outcome.max(if error.temporary { Outcome::Temporary } else { Outcome::Invalid });
                format!("failed: {error}")
            }
        };
        console.note(&format!("recipient {name}: {words}"));
    }
    Ok(outcome)
}

/// A dry run refuses nothing, but a plan that lacks rules is not whole, and an assertion that fails wants a person.
fn outcome(plan: &Plan) -> Outcome {
    let assertions = plan.assertions.iter().map(|assertion| assertion.outcome);
    plan.unplanned.iter().map(|unplanned| unplanned.outcome).chain(assertions).max().unwrap_or_default()
}
