//! `sunset ask-again`: gives up work that a recipient had accepted and then refused. A run never does that by itself: the
//! same request would be refused again, and nobody would hear of it.

use super::{Stop, console::Console, job as loading};
use crate::{
    cli::{AskAgainArgs, Global},
    evidence::keys::Keys,
    ledger::Ledger,
    outcome::Outcome,
    output::{self, Format},
    store::Store,
};
use jiff::Timestamp;
use std::sync::Arc;

pub async fn run(global: &Global, args: &AskAgainArgs, console: &mut Console) -> anyhow::Result<Outcome> {
    let job = loading::load(global, console)?;
    let AskAgainArgs { recipient, by, reason } = args;
    if [by, reason].into_iter().any(|text| text.trim().is_empty()) {
        return Err(Stop::invalid("--by and --reason say who and why; they are empty"));
    }
    let (keys, store) = (Keys::parse(&job.settings.keys)?, Store::open(&job.settings.store).await?);
    let mut ledger = Ledger::open(store, keys, &job.settings.name, Arc::new(Timestamp::now)).await?;
    let persons = ledger.ask_again(recipient, by, reason).await?;
    ledger.into_store().close().await?;
    match global.format {
        Format::Json => {
            let report = serde_json::json!({"recipient": recipient, "persons": persons});
            console.print(&format!("{report:#}\n"))?;
        }
        Format::Text | Format::Markdown | Format::Sarif => {
            let persons = output::persons(persons);
            console.print(&format!(
                "{recipient}: what it refused is given up; {persons} will be asked about anew, if their rows are still there\n"
            ))?;
        }
    }
    Ok(Outcome::Done)
}
