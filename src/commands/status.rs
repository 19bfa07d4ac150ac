//! `sunset status`: the last runs, how each rule stands, the ledger's head. Reads the store alone.

use super::{console::Console, job as loading};
use crate::{
    cli::Global,
    clock,
    job::Job,
    ledger::{self, AssertionResult, Entry, Event, RuleResult},
    outcome::Outcome,
    output::{self, Format},
    plan,
    rules::{Assertion, Check},
    run::{BACKLOG, Forecast, RuleProgress},
    standing::{Counted, RunStanding, Snapshot, Standing, Waiting},
    store::{self, Backlog, Pause, PersonRequest, RecipientCount, Store},
};
use jiff::{Timestamp, civil::Date};
use serde::Serialize;
use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

/// How many runs are shown.
const RUNS: usize = 5;

/// How many entries are read back at most: enough for months of nights.
const ENTRIES: u64 = 200_000;

#[derive(Debug, Default, Serialize)]
struct Status {
    job: String,
    /// Newest first.
    runs: Vec<RunStatus>,
    rules: BTreeMap<String, RuleStatus>,
    /// Rules that were in a run and are in no file any more, nor among those that are retired.
    gone_rules: Vec<String>,
    /// Why the last run stopped before it did anything: a database was put back, and nobody has looked at it.
    #[serde(skip_serializing_if = "Option::is_none")]
    restored: Option<String>,
    /// What the last run of each rule left, and when that clears.
    backlog: Option<Forecast>,
    /// No run begins a batch.
    pause: Option<Pause>,
    ledger: Head,
    /// Batches of which nobody knows yet whether they were committed; the next run settles them.
    open_intents: u64,
    holds: u64,
    /// Holds whose review day is past.
    holds_to_review: Vec<u64>,
    /// What persons have asked for and nobody has closed.
    requests: u64,
    requests_overdue: Vec<u64>,
    /// Open for longer than `requests.warn_after`.
    requests_due_soon: Vec<u64>,
    /// By name.
    recipients: Vec<RecipientStatus>,
    /// By id.
    assertions: BTreeMap<String, AssertionStatus>,
}

/// How an assertion stands.
#[derive(Debug, Serialize)]
struct AssertionStatus {
    statement: String,
    /// As the last plan or run found it, or, where people attest it, as it is now; `None`: nobody has looked yet.
    result: Option<AssertionResult>,
    found: Option<String>,
    /// When a plan or run last looked.
    at: Option<Timestamp>,
    /// The last day of the attestation.
    until: Option<Date>,
}

fn assertions(job: &Job, snapshot: &Snapshot, today: Date) -> BTreeMap<String, AssertionStatus> {
    let status = |assertion: &Assertion| {
        let (standing, said) =
            (snapshot.standing.assertions.get(&assertion.id), snapshot.attestations.get(&assertion.id));
        let statement = assertion.statement.clone();
        let at = standing.map(|standing| standing.at);
        match assertion.check {
            Check::AttestedEvery(every) => {
                let until = said.map(|said| plan::last_day(said, every));
                let result = match until {
                    None => AssertionResult::Unattested,
                    Some(until) if until < today => AssertionResult::Expired,
                    Some(_) => AssertionResult::Holds,
                };
                let found = said.map(|said| format!("attested by {} on {}", said.by, said.on));
                AssertionStatus { statement, result: Some(result), found, at, until }
            }
            Check::NoRows(_) | Check::NoCardNumbers(_) | Check::RetentionAt(_) => {
                let result = standing.map(|standing| standing.result);
                AssertionStatus { statement, result, found: standing.map(|known| known.found.clone()), at, until: None }
            }
        }
    };
    job.assertions().map(|assertion| (assertion.id.clone(), status(assertion))).collect()
}

/// How a recipient stands.
#[derive(Debug, Default, Serialize)]
struct RecipientStatus {
    recipient: String,
    /// Persons by state: everybody whom it was ever asked about.
    persons: BTreeMap<String, u64>,
    /// Persons whom it works on, or who wait for a confirmation in writing.
    pending: u64,
    /// Persons who are asked about again: refused, or no answer.
    open: u64,
    /// When the first of these two was first asked about.
    waiting_since: Option<Timestamp>,
    /// What was said about one of them.
    reason: Option<String>,
    /// By rule, the rows that the last run left waiting for it.
    rows: BTreeMap<String, Waiting>,
    /// Deletion notices that nobody has confirmed completely, and those of them whose day has passed.
    open_notices: u64,
    overdue_notices: u64,
}

impl RecipientStatus {
    fn waiting_rows(&self) -> u64 {
        self.rows.values().map(|waiting| waiting.rows).sum()
    }

    fn past_deadline(&self) -> u64 {
        self.rows.values().map(|waiting| waiting.past_deadline).sum()
    }
}

/// Everything that is known of recipients, put together by name.
fn recipients(snapshot: &Snapshot, now: Timestamp) -> Vec<RecipientStatus> {
    let mut all: BTreeMap<String, RecipientStatus> = BTreeMap::new();
    let mut of = |name: &str, note: &mut dyn FnMut(&mut RecipientStatus)| {
        let status = all.entry(name.to_owned()).or_default();
        name.clone_into(&mut status.recipient);
        note(status);
    };
    for RecipientCount { recipient, state, persons, reason, .. } in &snapshot.recipients {
        of(recipient, &mut |status| {
            status.persons.insert(state.clone(), *persons);
            // in the order of the alphabet, the worst comes last
            if ["accepted", "refused", "unreachable"].contains(&state.as_str()) && reason.is_some() {
                status.reason.clone_from(reason);
            }
        });
    }
    for Backlog { recipient, pending, open, oldest } in &snapshot.backlogs {
        of(recipient, &mut |status| {
            (status.pending, status.open, status.waiting_since) = (*pending, *open, *oldest);
        });
    }
    for (recipient, standing) in &snapshot.standing.recipients {
        of(recipient, &mut |status| status.rows.clone_from(&standing.waiting));
    }
    for notice in snapshot.notices.iter().filter(|notice| notice.open > 0) {
        of(&notice.recipient, &mut |status| {
            status.open_notices += 1;
            status.overdue_notices += u64::from(notice.due_at <= now);
        });
    }
    all.into_values().collect()
}

#[derive(Debug, Serialize)]
struct RunStatus {
    /// Of a group the last one that began.
    run: String,
    /// The group that it belongs to, and how many of its processes have ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<(String, usize)>,
    started: Option<Timestamp>,
    finished: Option<Timestamp>,
    /// `None`: it was cut off.
    outcome: Option<Outcome>,
    disposed: u64,
}

#[derive(Debug, Default, Serialize)]
struct RuleStatus {
    at: Option<Timestamp>,
    result: Option<RuleResult>,
    disposed: u64,
    remaining: BTreeMap<String, u64>,
    milliseconds: u64,
    /// When the rule last ran, before it did anything.
    overdue_before: Option<u64>,
    /// What a plan or run counted last.
    counted: Option<Counted>,
}

#[derive(Debug, Default, Serialize)]
struct Head {
    entries: u64,
    hash: Option<String>,
    checkpoint_size: Option<u64>,
}

pub async fn run(global: &Global, console: &mut Console) -> anyhow::Result<Outcome> {
    let job = loading::load(global, console)?;
    let now = loading::now(global, &job)?;
    let today = clock::today(now, &job.settings.time_zone);
    let status = match Store::open_existing(&job.settings.store).await {
        Ok(mut store) => {
            let mut status = read(&mut store, &job, now, today).await?;
            let present = Timestamp::now();
            status.pause = store.pause(present).await?;
            status.backlog = forecast(&status, &job, present);
            store.close().await?;
            status
        }
        Err(store::Error::Absent(_)) => Status {
            job: job.settings.name.clone(),
            assertions: assertions(&job, &Snapshot::default(), today),
            ..Status::default()
        },
        Err(error) => return Err(error.into()),
    };
    match global.format {
        Format::Json => console.print(&(serde_json::to_string_pretty(&status)? + "\n"))?,
        Format::Text | Format::Markdown | Format::Sarif => console.print(&text(&status, &job.settings.time_zone))?,
    }
    Ok(if status.requests_overdue.is_empty() { Outcome::Done } else { Outcome::Failed })
}

async fn read(store: &mut Store, job: &Job, now: Timestamp, today: Date) -> anyhow::Result<Status> {
    let mut status = Status { job: job.settings.name.clone(), ..Status::default() };
    status.open_intents = store.open_intents().await?.len() as u64;
    let holds = store.holds().await?;
    status.holds = holds.len() as u64;
    status.holds_to_review = holds.iter().filter(|hold| hold.review < today).map(|hold| hold.id).collect();
    let requests = store.open_requests().await?;
    status.requests = requests.len() as u64;
    let ids = |which: &dyn Fn(&PersonRequest) -> bool| -> Vec<u64> {
        requests.iter().filter(|request| which(request)).map(|request| request.id).collect()
    };
    status.requests_overdue = ids(&|request| request.due < today);
    let is_warned =
        |request: &PersonRequest| job.settings.requests.warned(request.received) <= today && request.due >= today;
    status.requests_due_soon = ids(&is_warned);
    let snapshot = Snapshot::read(store).await?;
    status.recipients = recipients(&snapshot, now);
    status.assertions = assertions(job, &snapshot, today);
    status.gone_rules = snapshot.standing.before().gone(job);
    let Standing { rules, runs: groups, .. } = snapshot.standing;
    for (rule, standing) in rules {
        if let Some(counted) = standing.counted {
            status.rules.entry(rule).or_default().counted = Some(counted);
        }
    }
    status.ledger.checkpoint_size = store.last_checkpoint().await?.map(|checkpoint| checkpoint.size);
    let Some((last, line)) = store.last_entry().await? else { return Ok(status) };
    status.ledger.entries = last;
    status.ledger.hash = Some(hex::encode(ledger::entry::hash(&line)));

    // backwards, page by page, until enough runs are complete
    const PAGE: u32 = 1000;
    let (mut end, mut restored) = (last, None);
    while end > 0 && last - end < ENTRIES {
        let begin = end.saturating_sub(PAGE.into());
        let page = store.entries_after(begin, PAGE).await?;
        for (_, line) in page.into_iter().filter(|(seq, _)| *seq <= end).rev() {
            let entry = Entry::parse(&line)?;
            restored = restored.or_else(|| stopped(&entry.event));
            note(&mut status, entry, &groups);
        }
        if status.runs.len() > RUNS && status.runs[RUNS - 1].started.is_some() {
            break;
        }
        end = begin;
    }
    status.runs.truncate(RUNS);
    status.restored = restored.flatten();
    Ok(status)
}

/// Puts what a group has done in the place of what one of its processes did.
fn sum_up(run: &mut RunStatus, group: &RunStanding) {
    run.group = group.group.as_ref().map(|group| (group.name.clone(), group.processes.len()));
    run.disposed = group.disposed;
    run.outcome = Some(group.outcome);
    run.started = Some(group.started_at);
    run.finished = Some(group.ended_at);
}

/// Why runs stop on a restored database, where an entry says that they do or that they go on.
fn stopped(event: &Event) -> Option<Option<String>> {
    match event {
        Event::Refusal { rule: None, reason_code, message } if reason_code == "restored" => Some(Some(message.clone())),
        Event::RunStarted { .. } | Event::Restored(_) => Some(None),
        _ => None,
    }
}

/// Takes in one entry; newer ones have been taken in before. Processes of a group are one run.
fn note(status: &mut Status, Entry { at, run, event, .. }: Entry, groups: &[RunStanding]) {
    let group = groups.iter().find(|known| known.group.as_ref().is_some_and(|group| group.has(&run)));
    let name = group.and_then(|known| known.group.as_ref()).map(|group| group.name.as_str());
    let same = |known: &RunStatus| match (&known.group, name) {
        (Some((known, _)), Some(name)) => known == name,
        _ => known.run == run,
    };
    match event {
        Event::RunFinished { outcome, disposed, .. } if !status.runs.iter().any(same) => {
            let outcome = Some(outcome);
            let mut known = RunStatus { run, group: None, started: None, finished: Some(at), outcome, disposed };
            group.into_iter().for_each(|group| sum_up(&mut known, group));
            status.runs.push(known);
        }
        Event::RunStarted { .. } => match status.runs.iter_mut().find(|known| same(known)) {
            Some(known) => known.started = known.started.filter(|_| name.is_some()).or(Some(at)),
            None => {
                let started = Some(at);
                status.runs.push(RunStatus { run, group: None, started, finished: None, outcome: None, disposed: 0 });
            }
        },
        Event::RuleFinished { rule, result, disposed, remaining, milliseconds, .. } => {
            let together = group.and_then(|known| known.group.as_ref()?.disposed().get(rule.as_str()).copied());
            let known = status.rules.entry(rule).or_default();
            if known.at.is_none() {
                let (at, result, counted) = (Some(at), Some(result), known.counted);
                let overdue_before = None;
                let disposed = together.unwrap_or(disposed);
                *known = RuleStatus { at, result, disposed, remaining, milliseconds, overdue_before, counted };
            }
        }
        Event::RuleStarted { rule, overdue, .. } => {
            let known = status.rules.entry(rule).or_default();
            if known.overdue_before.is_none() {
                known.overdue_before = overdue;
            }
        }
        _ => {}
    }
}

/// Of the rules that the job still has.
fn forecast(status: &Status, job: &Job, now: Timestamp) -> Option<Forecast> {
    let progress = job.rules().filter_map(|rule| {
        let known = status.rules.get(&rule.id)?;
        Some(RuleProgress {
            rule: &rule.id,
            left: known.remaining.get(BACKLOG).copied().unwrap_or(0),
            disposed: known.disposed,
            took: Duration::from_millis(known.milliseconds),
        })
    });
    Forecast::of(&progress.collect::<Vec<_>>(), &job.settings, now)
}

fn text(status: &Status, zone: &jiff::tz::TimeZone) -> String {
    let time = |at: Option<Timestamp>| {
        at.map_or_else(|| "–".to_owned(), |at| at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string())
    };
    let mut out = format!("job {}\n\n", status.job);
    if let Some(Pause { since, by, reason, until }) = &status.pause {
        let until = until.map(|until| format!(", until {}", time(Some(until)))).unwrap_or_default();
        let reason = reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        let _ = writeln!(out, "paused by {by} since {}{until}{reason}\n", time(Some(*since)));
    }
    if let Some(restored) = &status.restored {
        let _ = writeln!(out, "refused: {restored}\n");
    }
    if status.runs.is_empty() {
        out.push_str("no runs yet\n");
    }
    let runs = status.runs.iter().map(|run| {
        let outcome = run.outcome.map_or_else(|| "cut off".to_owned(), |outcome| format!("{outcome:?}").to_lowercase());
        let name = match &run.group {
            Some((name, processes)) => format!("{name} ({processes} processes)"),
            None => run.run.clone(),
        };
        vec![name, time(run.started), outcome, output::count(run.disposed)]
    });
    out.push_str(&output::table(&["run", "started", "outcome", "disposed"], runs.collect()));
    out.push('\n');
    let rules = status.rules.iter().map(|(rule, status)| {
        let left: Vec<_> = status
            .remaining
            .iter()
            .map(|(why, rows)| format!("{} {}", output::count(*rows), why.replace('_', " ")))
            .collect();
        vec![
            rule.clone(),
            time(status.at),
            match (status.result, status.at, status.overdue_before) {
                (Some(result), ..) => output::result(result),
                (None, None, None) => "–",
                (None, ..) => "cut off",
            }
            .to_owned(),
            output::count(status.disposed),
            status.overdue_before.map_or_else(|| "–".to_owned(), output::count),
            status.counted.map_or_else(|| "–".to_owned(), |counted| output::count(counted.due)),
            status.counted.and_then(|counted| counted.overdue).map_or_else(|| "–".to_owned(), output::count),
            time(status.counted.map(|counted| counted.at)),
            left.join(", "),
        ]
    });
    let head = ["rule", "last run", "result", "disposed", "overdue before", "due", "overdue", "counted", "left"];
    out.push_str(&output::table(&head, rules.collect()));
    if let Some(left) = &status.backlog {
        let _ = writeln!(out, "\n{}", output::forecast(left));
    }
    for line in output::gone_rules(&status.gone_rules) {
        let _ = writeln!(out, "\n{line}");
    }
    if !status.recipients.is_empty() {
        out.push('\n');
        let row = |known: &RecipientStatus| {
            let through: u64 = ["confirmed", "gone"].iter().filter_map(|state| known.persons.get(*state)).sum();
            let since = known.waiting_since.map_or_else(|| "–".to_owned(), |at| time(Some(at)));
            let numbers = [through, known.pending, known.open].map(output::count);
            let rows = [known.waiting_rows(), known.past_deadline(), known.overdue_notices].map(output::count);
            let name = [known.recipient.clone()];
            name.into_iter().chain(numbers).chain([since]).chain(rows).collect()
        };
        let head = [
            "recipient",
            "through",
            "pending",
            "to ask again",
            "waiting since",
            "rows waiting",
            "past deadline",
            "overdue notices",
        ];
        out.push_str(&output::table(&head, status.recipients.iter().map(row).collect()));
        for known in status.recipients.iter().filter(|known| known.pending + known.open > 0) {
            if let Some(reason) = &known.reason {
                let _ = writeln!(out, "{}: it said: {reason}", known.recipient);
            }
        }
    }
    if !status.assertions.is_empty() {
        out.push('\n');
        let rows = status.assertions.iter().map(|(id, known)| {
            let result = known.result.map_or_else(|| "–".to_owned(), |result| result.to_string());
            let until = known.until.map_or_else(|| "–".to_owned(), |until| until.to_string());
            let found = known.found.clone().unwrap_or_default();
            vec![id.clone(), result, time(known.at), until, known.statement.clone(), found]
        });
        let head = ["assertion", "result", "looked", "until", "statement", "found"];
        out.push_str(&output::table(&head, rows.collect()));
    }
    let _ = writeln!(
        out,
        "\nledger: {} entries, signed through {}",
        status.ledger.entries,
        status.ledger.checkpoint_size.unwrap_or(0)
    );
    if status.open_intents > 0 {
        let _ = writeln!(out, "{} batches were cut off; the next run settles them", status.open_intents);
    }
    if status.holds > 0 {
        let _ = writeln!(out, "{} holds in force", status.holds);
    }
    for hold in &status.holds_to_review {
        let _ = writeln!(out, "hold {hold} is past its review day");
    }
    if status.requests > 0 {
        let _ = writeln!(out, "{} requests of persons are open", status.requests);
    }
    for request in &status.requests_overdue {
        let _ = writeln!(out, "request {request} is past its deadline: see `sunset request show {request}`");
    }
    for request in &status.requests_due_soon {
        let _ = writeln!(out, "request {request} is to be answered soon");
    }
    out
}
