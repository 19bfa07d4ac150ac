//! What the ledger tells of a request: who approved it, and each time that a run did something for it.
//!
//! A served entry names rows by rule. Which batches these rows were in tells the batches' own entries: those of the rule's
//! steps for requests since the request was approved or served last, whichever run committed them. A run that was cut off
//! leaves its batches to the entry of the next one.

use super::{BatchResult, Entry, Event, Intent, PAGE, Result, parse};
use crate::{
    rules::{Disposition, id_in_file},
    store::{RequestOutcome, Store},
};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// What the ledger has about a request.
#[derive(Clone, Debug, Default)]
pub struct RequestHistory {
    /// Numbers of the entries.
    pub entries: Vec<u64>,
    pub approved: Vec<(Timestamp, String)>,
    /// Each time that something was noted as done.
    pub done: Vec<Done>,
    /// How the request ended.
    pub closed: Option<(Timestamp, RequestOutcome)>,
    /// Runs that did something for it.
    pub runs: BTreeMap<String, KnownRun>,
    /// A run that has not come to its end and may have done something for it that is not noted yet.
    pub unfinished: Option<String>,
}

/// A run, as its first entry tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownRun {
    pub version: String,
    pub plan_digest: String,
}

/// Rows that were noted at one moment as gone or changed.
#[derive(Clone, Debug)]
pub struct Done {
    pub at: Timestamp,
    /// The runs that committed them.
    pub runs: BTreeSet<String>,
    /// By rule, as it was then.
    pub rules: BTreeMap<String, DoneBy>,
}

/// What a rule did for a request, and what the rule was when it did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DoneBy {
    pub rows: u64,
    /// `database.schema.table`.
    pub table: String,
    pub category: String,
    pub disposition: String,
    pub legal_basis: String,
    /// Rows of other tables that were erased or changed with them.
    pub along: BTreeMap<String, u64>,
    /// The batches had rows of other persons' requests too, and `along` is about all of them.
    pub is_shared: bool,
}

/// A batch of a step for requests that was committed, and the run.
struct Batch {
    run: String,
    intent: Intent,
}

/// Reads what the ledger has about a request.
///
/// # Errors
/// The store cannot be read, or an entry cannot.
pub async fn request_history(store: &mut Store, id: u64) -> Result<RequestHistory> {
    let mut reading = Reading::default();
    let mut after = 0;
    loop {
        let page = store.entries_after(after, PAGE).await?;
        let Some((last, _)) = page.last() else { break };
        after = *last;
        // reading each entry in full would take long
        let is_about = |line: &str| {
            ["\"request\"", "@request\"", "\"run_started\"", "\"run_finished\""].iter().any(|word| line.contains(word))
        };
        for (seq, line) in page.iter().filter(|(_, line)| is_about(line)) {
            let entry = parse(*seq, line)?;
            match entry.event {
                Event::Intent(intent) if id_in_file(&intent.rule) != intent.rule => {
                    reading.announced(*seq, entry.run, intent, store.outcome_of(*seq).await?);
                }
                _ => {
                    if matches!(&entry.event, Event::RequestServed { request, .. } if *request == id) {
                        reading.settle(store, *seq).await?;
                    }
                    reading.take(*seq, entry, id);
                }
            }
        }
    }
    Ok(reading.end())
}

/// Rows of batches that rules had for requests and that an entry after this one says were committed: that entry, the rule in its
/// file, and the number.
pub(super) async fn batches(store: &mut Store, mut after: u64) -> Result<Vec<(u64, String, u64)>> {
    let mut all = Vec::new();
    loop {
        let page = store.settled_after(after, PAGE).await?;
        let Some((last, ..)) = page.last() else { return Ok(all) };
        after = *last;
        for (outcome, seq, line) in page.iter().filter(|(.., line)| line.contains("@request\"")) {
            if let Event::Intent(intent) = parse(*seq, line)?.event
                && is_of_request(&intent)
                && is_committed(store, *seq).await? == Some(true)
            {
                all.push((*outcome, id_in_file(&intent.rule).to_owned(), intent.rows));
            }
        }
    }
}

/// Rows of the rule's own table that it had for requests.
fn is_of_request(intent: &Intent) -> bool {
    // what small groups are told of are rows that the rule has changed before
    id_in_file(&intent.rule) != intent.rule && intent.along_with.is_none() && intent.k_anonymity.is_none()
}

async fn is_committed(store: &mut Store, intent: u64) -> Result<Option<bool>> {
    let Some(seq) = store.outcome_of(intent).await? else { return Ok(None) };
    let Some(line) = store.entry(seq).await? else { return Ok(None) };
    let Event::Outcome { result, .. } = parse(seq, &line)?.event else { return Ok(None) };
    Ok(Some(result == BatchResult::Committed))
}

#[derive(Default)]
struct Reading {
    history: RequestHistory,
    runs: BTreeMap<String, KnownRun>,
    /// Rules of steps for requests, as they were announced last.
    rules: BTreeMap<String, DoneBy>,
    /// Batches by their intents, with the entries that settle them.
    announced: BTreeMap<u64, (u64, Batch)>,
    /// Committed ones since the request was approved or served last.
    batches: Vec<Batch>,
    /// Runs with batches that may have been for the request, as long as they have not ended.
    at_work: BTreeSet<String>,
}

impl Reading {
    fn announced(&mut self, seq: u64, run: String, intent: Intent, outcome: Option<u64>) {
        if !self.history.approved.is_empty() && self.history.closed.is_none() {
            self.at_work.insert(run.clone());
            // one without outcome is settled by the next run
            self.announced.insert(seq, (outcome.unwrap_or(u64::MAX), Batch { run, intent }));
        }
    }

    /// The batches of which entries up to this one say that they were committed, and that are not counted yet.
    async fn settle(&mut self, store: &mut Store, seq: u64) -> Result<()> {
        let settled: Vec<u64> =
            self.announced.iter().filter(|(_, (outcome, _))| *outcome < seq).map(|(intent, _)| *intent).collect();
        for intent in settled {
            let Some((_, batch)) = self.announced.remove(&intent) else { continue };
            if is_committed(store, intent).await? == Some(true) {
                self.batches.push(batch);
            }
        }
        Ok(())
    }

    fn take(&mut self, seq: u64, entry: Entry, id: u64) {
        match entry.event {
            Event::RunStarted { version, plan_digest, .. } => {
                self.runs.insert(entry.run, KnownRun { version, plan_digest });
                return;
            }
            Event::RunFinished { .. } => {
                // a later run settles and notes what an earlier one left
                self.at_work.clear();
                return;
            }
            Event::RuleStarted { rule, category, table, disposition, legal_basis, .. } => {
                if id_in_file(&rule) != rule {
                    let rule = id_in_file(&rule).to_owned();
                    let known = DoneBy { table, category, disposition, legal_basis, ..DoneBy::default() };
                    self.rules.insert(rule, known);
                }
                return;
            }
            Event::RequestApproved { request, by, .. } if request == id => {
                self.history.approved.push((entry.at, by));
            }
            Event::RequestServed { request, disposed, .. } if request == id => {
                if !disposed.is_empty() {
                    let done = self.done(entry.at, &entry.run, &disposed);
                    self.history.done.push(done);
                }
                // what was cut off before is noted with it
                self.at_work.retain(|run| *run == entry.run);
                self.batches.clear();
            }
            Event::RequestClosed { request, outcome, .. } if request == id => {
                self.history.closed = Some((entry.at, outcome));
            }
            Event::RequestOpened { request, .. } | Event::RequestDisclosed { request, .. } if request == id => {}
            _ => return,
        }
        self.history.entries.push(seq);
    }

    fn done(&self, at: Timestamp, run: &str, disposed: &BTreeMap<String, u64>) -> Done {
        let (mut runs, mut rules) = (BTreeSet::new(), BTreeMap::new());
        for (rule, rows) in disposed {
            let own = self.batches.iter().filter(|batch| id_in_file(&batch.intent.rule) == rule);
            let (mut all, mut along) = (0, BTreeMap::new());
            for Batch { run, intent } in own {
                runs.insert(run.clone());
                match &intent.along_with {
                    None if is_of_request(intent) => all += intent.rows,
                    Some(_) if intent.disposition != Disposition::Unlink.to_string() => {
                        *along.entry(intent.table.clone()).or_default() += intent.rows;
                    }
                    _ => {}
                }
            }
            let known = self.rules.get(rule).cloned().unwrap_or_default();
            rules.insert(rule.clone(), DoneBy { rows: *rows, along, is_shared: all != *rows, ..known });
        }
        if runs.is_empty() {
            runs.insert(run.to_owned());
        }
        Done { at, runs, rules }
    }

    fn end(mut self) -> RequestHistory {
        let named: BTreeSet<_> = self.history.done.iter().flat_map(|done| &done.runs).collect();
        let runs = self.runs.iter().filter(|(run, _)| named.contains(run));
        let runs = runs.map(|(run, known)| (run.clone(), known.clone())).collect();
        self.history.runs = runs;
        self.history.unfinished = self.at_work.into_iter().next();
        self.history
    }
}

impl RequestHistory {
    /// Some run has erased or changed a row for it.
    pub fn is_done(&self) -> bool {
        !self.done.is_empty()
    }

    /// What each rule did, over all runs. A rule that was changed between two of them is there twice.
    pub fn by_rule(&self) -> Vec<(String, DoneBy)> {
        let mut all: Vec<(String, DoneBy)> = Vec::new();
        for (rule, one) in self.done.iter().flat_map(|done| &done.rules) {
            let same = all.iter_mut().find(|(id, known)| {
                id == rule
                    && (&known.table, &known.category, &known.disposition, &known.legal_basis)
                        == (&one.table, &one.category, &one.disposition, &one.legal_basis)
            });
            match same {
                Some((_, known)) => {
                    known.rows += one.rows;
                    known.is_shared |= one.is_shared;
                    for (table, rows) in &one.along {
                        *known.along.entry(table.clone()).or_default() += rows;
                    }
                }
                None => all.push((rule.clone(), one.clone())),
            }
        }
        all
    }

    /// When a row went or was changed last.
    pub fn last_at(&self) -> Option<Timestamp> {
        self.done.last().map(|done| done.at)
    }

    /// A row was erased, and not only changed.
    pub fn has_erased(&self) -> bool {
        let mut rules = self.done.iter().flat_map(|done| done.rules.values());
        rules.any(|rule| rule.disposition == Disposition::Erase.to_string())
    }
}
