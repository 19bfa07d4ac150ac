//! What persons have asked for, while a run is at it: whether it still stands, which home rows have to wait, and what was
//! done.

use super::Surroundings;
use crate::{
    clock,
    database::Error,
    evidence::tag::TagKey,
    ledger::{self, Ledger, RequestProgress},
    outcome::Outcome,
    plan::{Answer, Prepared, PreparedStep, Request, Step},
    rules::{RequestKind, id_in_file},
    sql::Sql,
    store::{self, PersonRequest, Store},
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

/// The requests that a plan takes along: open and approved, with keys that open them.
///
/// # Errors
/// The store cannot be read.
pub async fn requests_in(store: &mut Store, keys: &[TagKey]) -> Result<Vec<Request>, store::Error> {
    let open = store.open_requests().await?;
    let served = open.into_iter().filter(PersonRequest::is_to_be_served);
    let asked = served.filter_map(|request| {
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
        reference: stored.reference,
        is_complete: stored.complete_at.is_some(),
    })
}

/// What a step does for requests, if it is one for them.
pub(super) enum Turn {
    /// It is none, or may go on as it was planned.
    AsPlanned,
    /// Some home rows wait.
    With(Box<PreparedStep>),
    /// Not now, for this reason.
    Later(String),
}

/// Looks again before a step for requests begins.
///
/// # Errors
/// The store cannot be read.
pub(super) async fn turn(
    around: &Surroundings<'_>,
    prepared: &Prepared,
    step: &Step,
    ready: &PreparedStep,
    ledger: &mut Ledger,
) -> Result<Turn, ledger::Error> {
    let rule = id_in_file(&step.rule);
    let requested = &prepared.requested;
    let Some(answer) = requested.answers.iter().find(|answer| answer.rule == rule && rule != step.rule) else {
        return Ok(Turn::AsPlanned);
    };
    if around.rehearsal {
        // what was before is undone by now
        return Ok(Turn::AsPlanned);
    }
    let open = ledger.store().open_requests().await?;
    let is_served = |id: &u64| open.iter().any(|request| request.id == *id && request.is_to_be_served());
    if let Some(closed) = answer.rows.keys().find(|id| !is_served(id)) {
        return Ok(Turn::Later(format!("request {closed} was closed meanwhile; the next run goes on without it")));
    }
    if answer.homes.is_empty() {
        let unchanged = prepared.asking.lock().await.are_unchanged(None).await;
        return Ok(match unchanged {
            Ok(true) => Turn::AsPlanned,
            Ok(false) => Turn::Later(
                "what links the rows of a person who has asked was changed meanwhile; the next run looks again"
                    .to_owned(),
            ),
            Err(error) => Turn::Later(format!("a person who has asked cannot be looked up: {error}")),
        });
    }
    let left = left(prepared).await;
    let mut waiting = requested.waits(&left.counted);
    if !left.failed.is_empty() {
        waiting.extend(answer.homes.iter().copied());
    }
    Ok(match answer.without(&waiting) {
        None => Turn::AsPlanned,
        Some(others) => {
            let mut ready = ready.clone();
            ready.work.condition = Some(Sql::all(ready.work.condition.iter().chain([&others])));
            Turn::With(Box::new(ready))
        }
    })
}

/// Rows that have not gone, by rule and request, and rules whose rows nobody can count.
struct Left {
    counted: BTreeMap<String, BTreeMap<u64, u64>>,
    failed: BTreeMap<String, String>,
}

async fn left(prepared: &Prepared) -> Left {
    let mut left = Left { counted: BTreeMap::new(), failed: BTreeMap::new() };
    for answer in &prepared.requested.answers {
        match count(prepared, answer).await {
            Ok(rows) => drop(left.counted.insert(answer.rule.clone(), rows)),
            Err(error) => drop(left.failed.insert(answer.rule.clone(), error.to_string())),
        }
    }
    left
}

async fn count(prepared: &Prepared, answer: &Answer) -> Result<BTreeMap<u64, u64>, Error> {
    let Some(open) = prepared.databases.get(&answer.database) else { return Ok(BTreeMap::new()) };
    let mut connection = open.database.connect_to_count().await?;
    let rows = answer.left(connection.as_mut()).await;
    connection.close().await;
    rows
}

/// Notes what the run has done for each request, and tells of those that are past their deadlines.
///
/// # Errors
/// The ledger cannot be written.
pub(super) async fn conclude(
    around: &Surroundings<'_>,
    prepared: &Prepared,
    ledger: &mut Ledger,
) -> Result<Vec<RequestReport>, ledger::Error> {
    if around.rehearsal {
        return Ok(Vec::new());
    }
    let known = ledger.store().open_requests().await?;
    if known.is_empty() {
        return Ok(Vec::new());
    }
    let requested = &prepared.requested;
    let left = left(prepared).await;
    let today = clock::today(around.now, &around.job.settings.time_zone);
    let (mut all, mut reports) = (Vec::new(), Vec::new());
    for request in known {
        let id = request.id;
        let (mut disposed, mut rest, mut is_known) = (BTreeMap::new(), BTreeMap::new(), true);
        for answer in requested.answers.iter().filter(|answer| answer.rows.contains_key(&id)) {
            let before = answer.before.get(&id).copied().unwrap_or(0);
            let now = left.counted.get(&answer.rule).and_then(|counts| counts.get(&id)).copied();
            is_known &= now.is_some();
            let now = now.unwrap_or(before);
            if before > now {
                disposed.insert(answer.rule.clone(), before - now);
            }
            if now > 0 {
                rest.insert(answer.rule.clone(), now);
            }
        }
        let is_asked = requested.requests.iter().any(|asked| asked.id == id);
        let is_clear = !requested.unclear.contains_key(&id) && !requested.unavailable.contains_key(&id);
        // nobody finds the person once the home row is gone: what was complete then stays so
        let was_complete = request.complete_at.is_some();
        let complete = match is_asked && is_clear && is_known {
            true => rest.is_empty(),
            false => was_complete,
        };
        let rows_left = |served: &BTreeMap<String, store::Served>| -> BTreeMap<String, u64> {
            let left = served.iter().filter(|(_, served)| served.left > 0);
            left.map(|(rule, served)| (rule.clone(), served.left)).collect()
        };
        let is_news = !disposed.is_empty() || complete != was_complete || rest != rows_left(&request.served);
        if is_asked && is_clear && is_news {
            let (disposed, left) = (disposed.clone(), rest.clone());
            all.push(RequestProgress { request: id, disposed, left, complete });
        }
        let overdue = request.due < today;
        if is_asked || overdue {
            let obstacles = prepared.plan.requests.iter().find(|planned| planned.request == id);
            let obstacles = obstacles.map(|planned| planned.obstacles.clone()).unwrap_or_default();
            reports.push(RequestReport {
                request: id,
                reference: request.reference,
                kind: request.kind,
                due: request.due,
                disposed,
                left: rest,
                complete,
                overdue,
                obstacles,
            });
        }
    }
    for (rule, reason) in &left.failed {
        tracing::warn!(rule, reason, "what is left for requests cannot be counted");
    }
    if !all.is_empty() {
        ledger.serve_requests(all).await?;
    }
    for late in reports.iter().filter(|report| report.overdue) {
        tracing::error!(request = late.request, due = %late.due, "a person's request is past its deadline");
    }
    Ok(reports)
}
