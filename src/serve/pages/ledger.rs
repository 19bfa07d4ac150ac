//! Where the ledger stands, and the last runs.

use super::{Badge, Facts, Frame, Moment, Page, count};
use crate::standing::Snapshot;
use askama::Template;

#[derive(Template)]
#[template(path = "ledger.html")]
struct Ledger {
    frame: Frame,
    head: Option<Head>,
    runs: Vec<Run>,
}

struct Head {
    entries: String,
    hash: String,
    written: Option<Moment>,
    signed: String,
    unsigned: String,
    open_batches: String,
    holds: String,
}

struct Run {
    id: String,
    started: Moment,
    took: String,
    outcome: Badge,
    rules: String,
    disposed: String,
    message: Option<String>,
}

pub(super) fn page(facts: &Facts<'_>) -> Result<String, askama::Error> {
    let page = Ledger {
        frame: Frame::new(Page::Ledger, facts),
        head: facts.snapshot.and_then(|snapshot| head(facts, snapshot)),
        runs: facts.snapshot.map(|snapshot| runs(facts, snapshot)).unwrap_or_default(),
    };
    page.render()
}

fn head(facts: &Facts<'_>, snapshot: &Snapshot) -> Option<Head> {
    let known = &snapshot.ledger;
    Some(Head {
        entries: count(known.sequence),
        hash: known.hash.clone()?,
        written: known.at.map(|at| facts.moment(at)),
        signed: count(known.signed),
        // the entry that says that it was signed comes after it
        unsigned: count(known.sequence.saturating_sub(known.signed)),
        open_batches: count(snapshot.open_intents),
        holds: count(snapshot.holds),
    })
}

fn runs(facts: &Facts<'_>, snapshot: &Snapshot) -> Vec<Run> {
    let run = |run: &crate::standing::RunStanding| Run {
        id: run.group.as_ref().map_or_else(|| run.run.clone(), |group| group.name.clone()),
        started: facts.moment(run.started_at),
        took: facts.language.length(run.ended_at.duration_since(run.started_at)),
        outcome: facts.outcome(run.outcome),
        rules: count(run.rules),
        disposed: count(run.disposed),
        message: run.message.clone(),
    };
    snapshot.standing.runs.iter().map(run).collect()
}
