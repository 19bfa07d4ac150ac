//! Proof for a person: what the ledger has about their request, with the evidence that a signed checkpoint covers each entry.
//! One file, which anybody checks with public keys alone, offline.

use super::{
    Entry, Error, Event, PAGE, Result, parse,
    prove::{ProofError, ProvenEntry, include, verify_entry},
    request_history::request_history,
};
use crate::{
    evidence::checkpoint::{Checkpoint, VerificationKey},
    rules::ON_REQUEST,
    store::Store,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What a proof's file says that it is.
pub const FORMAT: &str = "sunset-request-proof/1";

/// The entries about a request, and why a checkpoint covers them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestProof {
    pub format: String,
    /// The ledger's name.
    pub origin: String,
    pub request: u64,
    /// The newest signed checkpoint, which covers all entries that have a proof.
    pub checkpoint: String,
    /// The request's own entries, the runs that did something for it, and their steps for requests by these rules: announcements
    /// and outcomes of batches, and who was asked. In the order of the ledger.
    pub entries: Vec<ProvenEntry>,
}

/// Collects the entries about a request.
///
/// # Errors
/// The store cannot be read, nothing is signed yet, or the entries do not have the root that was signed.
pub async fn request_proof(store: &mut Store, id: u64) -> Result<RequestProof> {
    let history = request_history(store, id).await?;
    let last = store.last_checkpoint().await?;
    let last =
        last.ok_or_else(|| Error::Broken("nothing is signed yet: `sunset run` ends with a checkpoint".to_owned()))?;
    let own: BTreeSet<_> = history.entries.iter().copied().collect();
    let rules: BTreeSet<String> =
        history.done.iter().flat_map(|done| done.rules.keys()).map(|rule| format!("\"{rule}{ON_REQUEST}\"")).collect();
    let mut found: BTreeMap<u64, String> = BTreeMap::new();
    let mut after = 0;
    loop {
        let page = store.entries_after(after, PAGE).await?;
        let Some((seq, _)) = page.last() else { break };
        after = *seq;
        for (seq, line) in page {
            let is_of_rule = || rules.iter().any(|rule| line.contains(rule.as_str()));
            let is_of_run = || line.contains("\"run_started\"") || line.contains("\"run_finished\"");
            if !own.contains(&seq) && !is_of_rule() && !is_of_run() {
                continue;
            }
            let entry = parse(seq, &line)?;
            if !own.contains(&seq) && !history.runs.contains_key(&entry.run) {
                continue;
            }
            if matches!(entry.event, Event::Intent(_))
                && let Some(outcome) = store.outcome_of(seq).await?
                && let Some(line) = store.entry(outcome).await?
            {
                found.insert(outcome, line);
            }
            found.insert(seq, line);
        }
    }
    let mut entries: Vec<_> = found.into_values().map(|line| ProvenEntry { line, proof: None }).collect();
    include(store, &last, entries.iter_mut().collect()).await?;
    let origin = last.note.lines().next().unwrap_or_default().to_owned();
    Ok(RequestProof { format: FORMAT.to_owned(), origin, request: id, checkpoint: last.note, entries })
}

/// Checks a proof as anybody can who has the public keys. Gives the checkpoint and the entries that it covers; those that are newer
/// prove nothing, and their number is told.
///
/// # Errors
/// [`ProofError`] says what does not hold.
pub fn verify_request_proof(
    proof: &RequestProof,
    trusted: &[VerificationKey],
) -> Result<(Checkpoint, Vec<Entry>, usize), ProofError> {
    if proof.format != FORMAT {
        return Err(ProofError::Form("it is no proof of a request in a format that is known here"));
    }
    let checkpoint = Checkpoint::verify(&proof.checkpoint, trusted)?;
    let (mut covered, mut uncovered, mut last) = (Vec::new(), 0, 0);
    for proven in &proof.entries {
        let entry = match verify_entry(proven, &checkpoint, "an entry") {
            Err(ProofError::Uncovered(_)) => {
                uncovered += 1;
                continue;
            }
            entry => entry?,
        };
        if entry.seq <= last {
            return Err(ProofError::Wrong("its entries are not in the order of the ledger"));
        }
        last = entry.seq;
        covered.push(entry);
    }
    let is_of_request =
        |entry: &Entry| matches!(&entry.event, Event::RequestOpened { request, .. } if *request == proof.request);
    if !covered.iter().any(is_of_request) {
        return Err(ProofError::Wrong("it does not have the entry with which the request was opened"));
    }
    Ok((checkpoint, covered, uncovered))
}

/// An entry in a few words; none for those that only frame others.
pub fn words(entry: &Entry) -> Option<String> {
    let rows = |rows: &BTreeMap<String, u64>| {
        rows.iter().map(|(rule, rows)| format!("{rows} by {rule}")).collect::<Vec<_>>().join(", ")
    };
    let text = match &entry.event {
        Event::RequestOpened { request, kind, received, .. } => {
            format!("request {request} of {} is opened, received {received}", kind.word())
        }
        Event::RequestApproved { request, by, .. } => format!("request {request} is approved by {by}"),
        Event::RequestServed { request, disposed, complete, .. } if !disposed.is_empty() => {
            let end = if *complete { "; nothing is left that goes before its day" } else { "" };
            format!("request {request}: {} rows went or were changed{end}", rows(disposed))
        }
        Event::RequestServed { request, complete: true, .. } => {
            format!("request {request}: nothing is left that goes before its day")
        }
        Event::RequestClosed { request, outcome, .. } => format!("request {request} is closed: {}", outcome.word()),
        Event::Intent(intent) => {
            format!("batch of {}: {} of {} rows of {}", intent.rule, intent.disposition, intent.rows, intent.table)
        }
        Event::Outcome { intent, result, .. } => {
            format!("the batch of entry {intent} ended: {}", serde_json::to_value(result).ok()?.as_str()?)
        }
        Event::RunStarted { version, .. } => format!("run {} of Sunset {version} begins", entry.run),
        _ => return None,
    };
    Some(format!("entry {}, {:.0}: {text}", entry.seq, entry.at))
}
