//! `sunset request proof`: what the ledger has about a request, as one file that is checked offline with public keys alone.

use super::request;
use crate::{
    cli::RequestProofArgs,
    commands::{Stop, console::Console},
    evidence::keys::Keys,
    file,
    job::Job,
    ledger::request_proof::{request_proof, verify_request_proof},
    outcome::Outcome,
    store::Store,
};
use anyhow::Context as _;

pub(super) async fn run(job: &Job, args: &RequestProofArgs, console: &mut Console) -> anyhow::Result<Outcome> {
    let request = request(job, args.id).await?;
    let mut store = Store::open_existing(&job.settings.store).await?;
    let proof = request_proof(&mut store, request.id).await?;
    store.close().await?;
    let trusted = Keys::parse(&job.settings.keys)?.trusted(&job.settings.name);
    let (_, _, uncovered) = verify_request_proof(&proof, &trusted)
        .map_err(|error| Stop::refused(format!("the proof does not hold, so it is not given out: {error}")))?;
    let text = serde_json::to_string_pretty(&proof)? + "\n";
    match &args.out {
        None => console.print(&text)?,
        Some(path) => {
            file::replace(path, text.as_bytes()).with_context(|| format!("{} cannot be written", path.display()))?;
            console.note(&format!("written: {}", path.display()));
        }
    }
    if uncovered > 0 {
        console.note(&format!("{uncovered} entries are not signed yet and prove nothing: the next run signs them"));
    }
    Ok(Outcome::Done)
}
