//! `sunset coverage`: personal data and recipients that no rule governs. Reads schemas, never a row.

use super::{console::Console, job as loading};
use crate::{
    cli::Global,
    clock,
    outcome::Outcome,
    output::{self, Format},
    plan,
};
use std::collections::BTreeMap;

pub async fn run(global: &Global, console: &mut Console) -> anyhow::Result<Outcome> {
    let job = loading::load(global, console)?;
    let today = clock::today(loading::now(global, &job)?, &job.settings.time_zone);
    let names = job.settings.databases.keys().map(String::as_str).collect();
    let (databases, unavailable) = plan::open_databases(&job, names).await;
    let mut outcome = Outcome::Done;
    for (database, unavailable) in &unavailable {
        console.error(&format!("database {database} is not available: {}", unavailable.reason));
        outcome = outcome.max(if unavailable.temporary { Outcome::Temporary } else { Outcome::Invalid });
    }
    let catalogs: BTreeMap<_, _> = databases.iter().map(|(name, open)| (name.as_str(), &open.catalog)).collect();
    let coverage = match plan::coverage(&job, &catalogs, today) {
        Ok(coverage) => coverage,
        Err(found) => {
            console.diagnostics(&found, &job.sources)?;
            return Ok(Outcome::Invalid);
        }
    };
    match global.format {
        Format::Sarif => console.diagnostics(&coverage.diagnostics(), &job.sources)?,
        format => console.print(&output::coverage(&coverage, format)?)?,
    }
    Ok(outcome.max(if coverage.has_gaps() { Outcome::Found } else { Outcome::Done }))
}
