//! `sunset validate`: settings and rules, against the live schemas unless told otherwise.

use super::{console::Console, job as loading};
use crate::{
    cli::{Global, ValidateArgs},
    clock,
    diagnostic::{Code, Diagnostic, Place, Severity},
    evidence::keys::Keys,
    job,
    outcome::Outcome,
    output::Format,
    plan::{self, Options},
};

pub async fn run(global: &Global, args: &ValidateArgs, console: &mut Console) -> anyhow::Result<Outcome> {
    let absent = if args.offline { Severity::Warning } else { Severity::Error };
    let job = match job::load(&global.jobs, absent) {
        Ok(job) => job,
        Err(unusable) => {
            console.diagnostics(&unusable.diagnostics, &unusable.sources)?;
            return Ok(Outcome::Invalid);
        }
    };
    let now = loading::now(global, &job)?;
    let mut found = job.diagnostics.clone();
    found.extend(job.remarks(clock::today(now, &job.settings.time_zone)));
    found.extend(plan::check_together(&job));
    plan::chosen(&job, &args.rules, &args.tags, &mut found);
    let mut outcome = Outcome::Done;
    let mut databases = 0;
    if !args.offline && !has_errors(&found) {
        let pseudonym_key = Keys::parse(&job.settings.keys)?.pseudonym.map(|key| key.secret().to_vec());
        let holds = loading::holds(&job).await?;
        let before = loading::before(&job).await?;
        let gone = before.gone(&job);
        let options = Options { pseudonym_key, before: Some(before), ..Options::default() };
        found.extend(gone.iter().map(|rule| {
            let message = format!("rule `{rule}` was in a run and is in no file any more: its rows stay");
            let warning = Diagnostic::warning(Code::GoneRule, Place::file(job::RULES_DIRECTORY), message);
            warning.help(format!("put it back, or add it to `retired` in {}", job::SETTINGS_FILE))
        }));
        let checked = plan::check(&job, &holds, now, &options).await?;
        found.extend(checked.diagnostics);
        databases = checked.databases;
        for (database, unavailable) in checked.unavailable {
            console.error(&format!("database {database} is not available: {}", unavailable.reason));
            outcome = outcome.max(if unavailable.temporary { Outcome::Temporary } else { Outcome::Invalid });
        }
    }
    console.diagnostics(&found, &job.sources)?;
    if has_errors(&found) {
        return Ok(Outcome::Invalid);
    }
    loading::check_digest(global, &job)?;
    if console.format == Format::Text && outcome == Outcome::Done {
        let rules = job.rules().count();
        let against = match args.offline {
            true => "not checked against databases".to_owned(),
            false => format!("they fit {databases} databases"),
        };
        console.note(&format!("{rules} rules are valid; {against}"));
    }
    Ok(outcome)
}

fn has_errors(found: &[Diagnostic]) -> bool {
    found.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
}
