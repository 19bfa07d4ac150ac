//! What a letter and a certificate are about: what runs have done for a request, as the ledger tells, and what the person still
//! has, as the databases tell, or as it was seen last where nobody can find the person any more.

use super::plan;
use crate::{
    clock,
    commands::{Stop, console::Console},
    file,
    job::Job,
    ledger::request_history::{RequestHistory, request_history},
    outcome::Outcome,
    rules::Disposition,
    store::{PersonRequest, Staying, Store},
};
use anyhow::Context as _;
use jiff::{Timestamp, civil::Date};
use std::{collections::BTreeMap, path::Path};

/// How a request stands.
pub(super) struct Account {
    pub history: RequestHistory,
    pub stays: Vec<Staying>,
    /// The day on which it was seen what stays, where it cannot be seen any more.
    pub seen: Option<Date>,
    /// By rule, rows that are there and go, or could not go yet.
    pub open: BTreeMap<String, u64>,
    /// Nothing is left that goes before its day: found by a run, and still so as far as anybody can see.
    pub complete_at: Option<Timestamp>,
}

/// Looks at a request; inside, the end of the command where the rules do not fit.
///
/// # Errors
/// A run has not come to its end, so that nobody knows yet what it did; a database or the store cannot be asked.
pub(super) async fn account(
    job: &Job,
    request: &PersonRequest,
    now: Timestamp,
    console: &mut Console,
) -> anyhow::Result<Result<Account, Outcome>> {
    let mut store = Store::open_existing(&job.settings.store).await?;
    let history = request_history(&mut store, request.id).await?;
    store.close().await?;
    if let Some(run) = &history.unfinished {
        return Err(Stop::temporary(format!(
            "run {run} has not come to its end, so it is not known yet what it did for request {}: let it end, or the next \
             `sunset run` go on with it",
            request.id
        )));
    }
    let day = |at: Timestamp| clock::today(at, &job.settings.time_zone);
    let today = day(now);
    if request.is_open() && request.approval.is_none() {
        // nothing is decided, and nobody is told more than that
        return Ok(Ok(Account { history, stays: Vec::new(), seen: None, open: BTreeMap::new(), complete_at: None }));
    }
    if request.is_open() {
        let outlook = match plan::outlook(job, request, now, console).await? {
            Ok(outlook) => outlook,
            Err(stop) => return Ok(Err(stop)),
        };
        if outlook.outcome != Outcome::Done {
            console
                .error("an account of a request is given when all databases that have rows of the person can be asked");
            return Ok(Err(outlook.outcome));
        }
        // whoever is not found has no home row any more, or another one
        if outlook.unclear.is_none() {
            let mut open = outlook.planned.rows;
            open.iter_mut().for_each(|(rule, rows)| *rows = rows.saturating_sub(request.waits(rule)));
            open.retain(|_, rows| *rows > 0);
            let complete_at = request.complete_at.filter(|_| open.is_empty());
            return Ok(Ok(Account { history, stays: outlook.stays, seen: None, open, complete_at }));
        }
        if !request.is_gone() {
            let why = outlook.unclear.unwrap_or_default();
            return Err(Stop::refused(format!("nobody can tell which rows are theirs: {why}")));
        }
    }
    // what was to stay up to a day that has passed went on that day, as far as anybody knows
    let has_erased_home = history
        .by_rule()
        .iter()
        .any(|(_, done)| done.table == request.home && done.disposition == Disposition::Erase.to_string());
    let is_home_gone = request.is_open() || has_erased_home;
    let mut stays = if is_home_gone { request.stays_without_home() } else { request.stays.clone() };
    stays.retain(|staying| staying.until.is_none_or(|until| until > today));
    let seen = request.stays_at.or(request.approval.as_ref().map(|approval| approval.at)).map(day);
    let left = request.served.iter().filter(|(_, served)| served.left > 0);
    let open = left.map(|(rule, served)| (rule.clone(), served.left)).collect();
    Ok(Ok(Account { history, stays, seen, open, complete_at: request.complete_at }))
}

/// Writes a page as text and as HTML; whatever has such a name is replaced, and no link is followed.
///
/// # Errors
/// A file cannot be written.
pub(super) fn write(
    directory: &Path,
    name: &str,
    (text, html): (&str, &str),
    console: &mut Console,
) -> anyhow::Result<()> {
    file::create_directory(directory).with_context(|| format!("{} cannot be made", directory.display()))?;
    for (ending, text) in [("txt", text), ("html", html)] {
        let path = directory.join(format!("{name}.{ending}"));
        file::replace(&path, text.as_bytes()).with_context(|| format!("{} cannot be written", path.display()))?;
        console.note(&format!("written: {}", path.display()));
    }
    Ok(())
}
