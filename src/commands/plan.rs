//! `sunset plan`: what a run would do. Reads, and writes nothing but the file that `--out` names.

use super::{Stop, console::Console, job as loading};
use crate::{
    cli::{Format, Global, PlanArgs},
    ledger::Keys,
    outcome::Outcome,
    output::{self, PlanStyle},
    plan::{self, Options, Plan, Prepared},
    recipients::Checked,
    run::Recipients,
    settings::Settings,
};
use anyhow::Context as _;

pub async fn run(global: &Global, args: &PlanArgs, console: &mut Console) -> anyhow::Result<Outcome> {
    let job = loading::load(global, console)?;
    let now = loading::now(global, &job)?;
    let holds = loading::holds(&job).await?;
    let keys = Keys::parse(&job.settings.keys)?;
    let pseudonym_key = keys.pseudonym.as_ref().map(|key| key.secret().to_vec());
    let options = Options {
        rules: args.rules.clone(),
        samples: args.sample,
        thorough: true,
        pseudonym_key,
        ..Options::default()
    };
    let prepared = match plan::prepare(&job, &holds, now, &options).await? {
        Ok(prepared) => prepared,
        Err(found) => {
            console.diagnostics(&found, &job.sources)?;
            return Ok(Outcome::Invalid);
        }
    };
    if console.format == Format::Text && !prepared.warnings.is_empty() && !console.quiet {
        console.diagnostics(&prepared.warnings, &job.sources)?;
    }
    let plan = &prepared.plan;
    let style = PlanStyle { brief: args.brief, sql: args.sql, explain: args.sql || global.verbose > 0 };
    console.print(&output::plan(plan, global.format, style)?)?;
    if let Some(path) = &args.out {
        let text = serde_json::to_string_pretty(plan)? + "\n";
        std::fs::write(path, text).with_context(|| format!("the plan cannot be written to {}", path.display()))?;
        console.note(&format!("plan written to {}; execute it with: sunset run --plan {0}", path.display()));
    }
    let checked = if args.check_recipients {
        check_recipients(&job.settings, &keys, &prepared, console).await?
    } else {
        Outcome::Done
    };
    Ok(outcome(plan).max(checked))
}

/// Proves the credentials of the recipients in the plan, as far as each of them allows it.
async fn check_recipients(
    settings: &Settings,
    keys: &Keys,
    prepared: &Prepared,
    console: &mut Console,
) -> anyhow::Result<Outcome> {
    let recipients = Recipients::open(settings, keys, prepared).map_err(|error| Stop::invalid(error.to_string()))?;
    let mut outcome = Outcome::Done;
    for (name, recipient) in recipients.iter() {
        let words = match recipient.check().await {
            Ok(Checked::Proven) => "the credentials work".to_owned(),
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

/// A dry run refuses nothing, but a plan that lacks rules is not whole.
fn outcome(plan: &Plan) -> Outcome {
    plan.unplanned.iter().map(|unplanned| unplanned.outcome).max().unwrap_or_default()
}
