//! What persons have asked for, while a run is at it: whether it still stands, which home rows have to wait, and what was
//! done.

use super::{
    RuleReport, Surroundings,
    holds::{CHANGED, KnownRequests},
};
use crate::{
    clock,
    database::Error,
    evidence::tag::TagKey,
    ledger::{self, Ledger, RequestProgress},
    outcome::Outcome,
    plan::{self, Answer, Hold, HoldScope, OF_REQUESTS, Prepared, PreparedStep, Remaining, Request, Step},
    rules::{RequestKind, id_in_file},
    sql::Sql,
    store::{self, PersonRequest, Served, Store},
};
use jiff::civil::Date;
use serde::Serialize;
use std::collections::BTreeMap;

/// What came of a request in a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RequestReport {
    pub request: u64,
    pub reference: String,
    pub kind: RequestKind,
    pub due: Date,
    /// By rule, rows that went or were changed.
    pub disposed: BTreeMap<String, u64>,
    /// By rule, rows that could go and are still there.
    pub left: BTreeMap<String, u64>,
    /// By rule, rows that wait for dependents that stay.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub waiting: BTreeMap<String, u64>,
    /// Nothing is left that goes before its day.
    pub complete: bool,
    /// It is past its deadline.
    pub overdue: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub obstacles: Vec<String>,
}

impl RequestReport {
    /// What it makes of the run.
    pub fn outcome(&self) -> Outcome {
        if self.overdue { Outcome::Failed } else { Outcome::Done }
    }
}

/// Whether runs carry out what persons ask to have erased or not used any more. They do not yet: it is not proven that they
/// never take a row of somebody else along. Tests of builds with debug assertions say `SUNSET_REQUESTS=carry_out`.
pub fn are_carried_out() -> bool {
    cfg!(debug_assertions) && std::env::var("SUNSET_REQUESTS").is_ok_and(|value| value == "carry_out")
}

/// A statement has room for the values of so many persons.
const MOST_AT_ONCE: usize = 1_000;

/// The requests that a plan takes along: open and approved, with keys that open them.
///
/// # Errors
/// The store cannot be read.
pub async fn requests_in(store: &mut Store, keys: &[TagKey]) -> Result<Vec<Request>, store::Error> {
    let open = if are_carried_out() { store.open_requests().await? } else { Vec::new() };
    let mut served: Vec<_> = open.into_iter().filter(PersonRequest::is_to_be_served).collect();
    served.sort_by_key(|request| (request.complete_at.is_some(), request.due, request.id));
    if let Some(others @ 1..) = served.len().checked_sub(MOST_AT_ONCE) {
        tracing::warn!(others, "more than {MOST_AT_ONCE} requests are open; the others wait for the next run");
    }
    let asked = served.into_iter().take(MOST_AT_ONCE).filter_map(|request| {
        let Some(key) = ledger::person_of(&request, keys) else {
            let (id, key) = (request.id, &request.tag_key);
            tracing::error!(
                request = id,
                key,
                "none of `keys.tag` opens the request, so nothing is done for it: put back its key"
            );
            return None;
        };
        planned_request(key, request)
    });
    Ok(asked.collect())
}

/// The home rows of open requests, which have to stay until what is found by them has gone.
///
/// # Errors
/// The store cannot be read.
pub async fn home_rows_in(store: &mut Store, keys: &[TagKey]) -> Result<Vec<Hold>, store::Error> {
    let open = if are_carried_out() { store.open_requests().await? } else { Vec::new() };
    let waiting = open.into_iter().filter(|request| matches!(request.kind, RequestKind::Erasure | RequestKind::Cease));
    let held = waiting.filter_map(|request| {
        let key = ledger::person_of(&request, keys);
        let (id, matter) = (request.id, format!("request {}", request.id));
        let Request { database, table, subject, .. } = planned_request(Vec::new(), request)?;
        let scope = HoldScope::HomeRow { request: id, subject, key };
        Some(Hold { id: OF_REQUESTS, database, table, scope, matter, only_row: true, binding: None })
    });
    Ok(held.collect())
}

/// A stored request as planning knows it.
pub fn planned_request(key: Vec<String>, stored: PersonRequest) -> Option<Request> {
    let mut parts = stored.home.splitn(3, '.');
    let (database, schema, name) = (parts.next()?, parts.next()?, parts.next()?);
    Some(Request {
        id: stored.id,
        kind: stored.kind,
        subject: stored.subject,
        database: database.to_owned(),
        table: crate::catalog::TableName { schema: schema.to_owned(), name: name.to_owned() },
        key,
        identity: stored.identity,
        tag_key: stored.tag_key,
        reference: stored.reference,
        is_complete: stored.complete_at.is_some(),
        unclear: stored.stays.into_iter().map(|staying| (staying.table, staying.unclear)).collect(),
    })
}

/// What a step does for requests, if it is one for them.
pub(super) enum Turn<'a> {
    /// It is none.
    AsPlanned,
    /// It is one, perhaps without some home rows, which wait.
    Answers(Box<PreparedStep>, KnownRequests<'a>),
    /// Not now, for this reason.
    Later(String),
}

/// What a run has noted of its own work for requests.
#[derive(Default)]
pub(super) struct Noted {
    /// Rows that went, by rule.
    went: BTreeMap<String, u64>,
    /// By request and rule.
    disposed: BTreeMap<u64, BTreeMap<String, u64>>,
}

/// Looks again before a step for requests begins. What the steps before have done is noted before anything goes that it is
/// found by: a run that is cut off later leaves nothing else to tell it from.
///
/// # Errors
/// The store cannot be read, or the ledger cannot be written.
pub(super) async fn turn<'a>(
    around: &Surroundings<'_>,
    prepared: &'a Prepared,
    (step, ready): (&Step, &PreparedStep),
    (rules, noted): (&[RuleReport], &mut Noted),
    ledger: &mut Ledger,
) -> Result<Turn<'a>, ledger::Error> {
    let rule = id_in_file(&step.rule);
    let requested = &prepared.requested;
    let Some(answer) = requested.answers.iter().find(|answer| answer.rule == rule && rule != step.rule) else {
        return Ok(Turn::AsPlanned);
    };
    if around.rehearsal {
        // what was before is undone by now
        return Ok(Turn::AsPlanned);
    }
    let last = requested.requests.iter().map(|request| request.id).max().unwrap_or(0);
    let known = ledger.store().requests_open_up_to(last).await?;
    let known = KnownRequests { last, open: known, persons: &prepared.asking };
    let open = ledger.store().open_requests().await?;
    let is_served = |id: &u64| open.iter().any(|request| request.id == *id && request.is_to_be_served());
    if let Some(closed) = answer.rows.keys().find(|id| !is_served(id)) {
        return Ok(Turn::Later(format!("request {closed} was closed meanwhile; the next run goes on without it")));
    }
    let mut asking = prepared.asking.lock().await;
    match asking.are_unchanged(None).await {
        Ok(true) => {}
        Ok(false) => return Ok(Turn::Later(format!("{CHANGED}; the next run looks again"))),
        Err(error) => return Ok(Turn::Later(format!("a person who has asked cannot be looked up: {error}"))),
    }
    let mut ready = Box::new(ready.clone());
    if answer.turn > plan::Turn::Early {
        let now = remaining(prepared).await;
        note(prepared, &open, &now, Some((rules, noted)), ledger).await?;
        let mut waiting = requested.waits(&now.counted, answer.turn);
        if !now.failed.is_empty() {
            waiting.extend(answer.rows.keys().copied());
        }
        if let Some(others) = answer.without(&waiting) {
            ready.work.condition = Some(Sql::all(ready.work.condition.iter().chain([&others])));
        }
        asking.let_go(&answer.homes.difference(&waiting).copied().collect());
    }
    Ok(Turn::Answers(ready, known))
}

/// Rows that have not gone, by rule and request, and rules whose rows nobody can count.
struct Counted {
    counted: BTreeMap<String, BTreeMap<u64, Remaining>>,
    failed: BTreeMap<String, String>,
}

async fn remaining(prepared: &Prepared) -> Counted {
    let mut all = Counted { counted: BTreeMap::new(), failed: BTreeMap::new() };
    for answer in &prepared.requested.answers {
        match count(prepared, answer).await {
            Ok(rows) => drop(all.counted.insert(answer.rule.clone(), rows)),
            Err(error) => drop(all.failed.insert(answer.rule.clone(), error.to_string())),
        }
    }
    all
}

async fn count(prepared: &Prepared, answer: &Answer) -> Result<BTreeMap<u64, Remaining>, Error> {
    let Some(open) = prepared.databases.get(&answer.database) else { return Ok(BTreeMap::new()) };
    let mut connection = open.database.connect_to_count().await?;
    let rows = answer.remaining(connection.as_mut()).await;
    connection.close().await;
    rows
}

/// Notes what is there before the first step. A run that was cut off has noted nothing of what it did: that is seen from what
/// it had found.
///
/// # Errors
/// The ledger cannot be written.
pub(super) async fn begin(
    around: &Surroundings<'_>,
    prepared: &Prepared,
    ledger: &mut Ledger,
) -> Result<(), ledger::Error> {
    if around.rehearsal || prepared.requested.requests.is_empty() {
        return Ok(());
    }
    let answers = &prepared.requested.answers;
    let counted = answers.iter().map(|answer| (answer.rule.clone(), answer.before.clone())).collect();
    let now = Counted { counted, failed: BTreeMap::new() };
    let stored = ledger.store().open_requests().await?;
    note(prepared, &stored, &now, None, ledger).await.map(drop)
}

/// Notes what the run has done for each request, and tells of those that are past their deadlines.
///
/// # Errors
/// The ledger cannot be written.
pub(super) async fn conclude(
    around: &Surroundings<'_>,
    prepared: &Prepared,
    (rules, mut noted): (&[RuleReport], Noted),
    ledger: &mut Ledger,
) -> Result<Vec<RequestReport>, ledger::Error> {
    if around.rehearsal {
        return Ok(Vec::new());
    }
    let stored = ledger.store().open_requests().await?;
    if stored.is_empty() {
        return Ok(Vec::new());
    }
    let now = remaining(prepared).await;
    for (rule, reason) in &now.failed {
        tracing::warn!(rule, reason, "what is left for requests cannot be counted");
    }
    let mut standing = note(prepared, &stored, &now, Some((rules, &mut noted)), ledger).await?;
    let today = clock::today(around.now, &around.job.settings.time_zone);
    let mut reports = Vec::new();
    for request in stored {
        let overdue = request.due < today;
        let progress = standing.remove(&request.id);
        if progress.is_none() && !overdue {
            continue;
        }
        if overdue {
            tracing::error!(request = request.id, due = %request.due, "a person's request is past its deadline");
        }
        let planned = prepared.plan.requests.iter().find(|planned| planned.request == request.id);
        let RequestProgress { left, waiting, complete, .. } = progress.unwrap_or_default();
        let disposed = noted.disposed.remove(&request.id).unwrap_or_default();
        reports.push(RequestReport {
            request: request.id,
            reference: request.reference,
            kind: request.kind,
            due: request.due,
            disposed,
            left,
            waiting,
            complete: complete || request.complete_at.is_some(),
            overdue,
            obstacles: planned.map(|planned| planned.obstacles.clone()).unwrap_or_default(),
        });
    }
    Ok(reports)
}

/// Compares what is there with what was there, and notes what has changed. `done`: what the run's steps have done, and what of
/// that is noted. Gives how each request that the plan knows stands.
async fn note(
    prepared: &Prepared,
    stored: &[PersonRequest],
    now: &Counted,
    done: Option<(&[RuleReport], &mut Noted)>,
    ledger: &mut Ledger,
) -> Result<BTreeMap<u64, RequestProgress>, ledger::Error> {
    let requested = &prepared.requested;
    let (rules, mut unused) = (done.as_ref().map_or(&[][..], |(rules, _)| *rules), Noted::default());
    let noted = done.map_or(&mut unused, |(_, noted)| noted);
    let of_requests = rules.iter().filter(|report| id_in_file(&report.rule) != report.rule);
    let mut went = BTreeMap::new();
    for report in of_requests {
        let rule = id_in_file(&report.rule).to_owned();
        let before = noted.went.insert(rule.clone(), report.disposed).unwrap_or(0);
        went.insert(rule, report.disposed.saturating_sub(before));
    }
    let mut all: BTreeMap<u64, RequestProgress> = BTreeMap::new();
    for asked in &requested.requests {
        let Some(request) = stored.iter().find(|request| request.id == asked.id) else { continue };
        let was_complete = request.complete_at.is_some();
        let mut progress = RequestProgress { request: asked.id, complete: was_complete, ..RequestProgress::default() };
        if requested.unclear.contains_key(&asked.id) {
            // nobody finds the person once the home row is gone or changed, which comes last, after all else was noted
            if !was_complete && let Some(rule) = ledger.done_to_home(request, &asked.key).await? {
                progress.disposed = BTreeMap::from([(rule, 1)]);
                progress.complete = true;
            }
        } else {
            let mut is_known = !requested.unavailable.contains_key(&asked.id);
            for answer in requested.answers.iter().filter(|answer| answer.rows.contains_key(&asked.id)) {
                let rule = answer.rule.clone();
                let served = request.served.get(&rule);
                let all = |served: &Served| served.left + served.waiting;
                let before = served.map(|served| Remaining { all: all(served), waiting: served.waiting, held: 0 });
                let rows = now.counted.get(&rule).and_then(|counts| counts.get(&asked.id)).copied();
                is_known &= rows.is_some();
                let rows = rows.or(before).unwrap_or_default();
                let gone = before.map_or(0, |before| before.all.saturating_sub(rows.all));
                // rows that came meanwhile hide others that went, and rows whose day had come went for that
                let gone = match (went.get(&rule), answer.rows.len()) {
                    (Some(went), 1) => *went,
                    (Some(went), _) => gone.min(*went),
                    (None, _) => gone,
                };
                progress.disposed.extend((gone > 0).then(|| (rule.clone(), gone)));
                progress.left.extend((rows.left() > 0).then(|| (rule.clone(), rows.left())));
                progress.waiting.extend((rows.waiting > 0).then_some((rule, rows.waiting)));
            }
            progress.complete = if is_known { progress.left.is_empty() } else { was_complete };
        }
        all.insert(asked.id, progress);
    }
    ledger.only_committed(stored, &mut all).await?;
    let mut news = Vec::new();
    for request in stored {
        let Some(progress) = all.get(&request.id) else { continue };
        let same = |rows: &BTreeMap<String, u64>, of: fn(&Served) -> u64| {
            let known = request.served.iter().map(|(rule, served)| (rule.clone(), of(served)));
            known.filter(|(_, rows)| *rows > 0).collect::<BTreeMap<_, _>>() == *rows
        };
        let is_news = !progress.disposed.is_empty()
            || progress.complete != request.complete_at.is_some()
            || !same(&progress.left, |served| served.left)
            || !same(&progress.waiting, |served| served.waiting);
        if is_news {
            news.push(progress.clone());
        }
        let disposed = noted.disposed.entry(request.id).or_default();
        for (rule, rows) in &progress.disposed {
            *disposed.entry(rule.clone()).or_default() += rows;
        }
    }
    if !news.is_empty() {
        ledger.serve_requests(news).await?;
    }
    Ok(all)
}
