//! `sunset validate`: settings and rules, against the live schemas unless told otherwise.

use super::{console::Console, job as loading};
use crate::{
    cli::{Format, Global, ValidateArgs},
    diagnostic::{Diagnostic, Severity},
    job::{self, Secrets},
    ledger::Keys,
    outcome::Outcome,
    plan::{self, Options},
};

pub async fn run(global: &Global, args: &ValidateArgs, console: &mut Console) -> anyhow::Result<Outcome> {
    let secrets = if args.offline { Secrets::Optional } else { Secrets::Required };
    let loaded = job::load(&global.jobs, secrets);
    let mut found = loaded.diagnostics;
    let mut outcome = Outcome::Done;
    let mut databases = 0;
    if let Some(job) = &loaded.job {
        found.extend(plan::overlaps(job.rules()));
        if !args.offline && !has_errors(&found) {
            let pseudonym_key = Keys::parse(&job.settings.keys)?.pseudonym.map(|key| key.secret().to_vec());
            let options = Options { pseudonym_key, ..Options::default() };
            let checked = plan::check(job, &loading::holds(job).await?, loading::now(global, job)?, &options).await?;
            found.extend(checked.diagnostics);
            databases = checked.databases;
            for (database, unavailable) in checked.unavailable {
                console.error(&format!("database {database} is not available: {}", unavailable.reason));
                outcome = outcome.max(if unavailable.temporary { Outcome::Temporary } else { Outcome::Invalid });
            }
        }
    }
    console.diagnostics(&found, &loaded.sources)?;
    if has_errors(&found) || loaded.job.is_none() {
        return Ok(Outcome::Invalid);
    }
    if console.format == Format::Text && outcome == Outcome::Done {
        let rules = loaded.job.as_ref().map_or(0, |job| job.rules().count());
        let against = if args.offline { "not checked against databases".to_owned() } else { format!("they fit {databases} databases") };
        console.note(&format!("{rules} rules are valid; {against}"));
    }
    Ok(outcome)
}

fn has_errors(found: &[Diagnostic]) -> bool {
    found.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
}
