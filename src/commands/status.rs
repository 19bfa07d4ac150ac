//! `sunset status`: the last runs, how each rule stands, the ledger's head. Reads the store alone.

use super::{console::Console, job as loading};
use crate::{
    cli::{Format, Global},
    clock,
    ledger::{self, Entry, Event, RuleResult},
    outcome::Outcome,
    output,
    standing::{Counted, Standing},
    store::{self, RecipientCount, Store},
};
use jiff::Timestamp;
use serde::Serialize;
use std::{collections::BTreeMap, fmt::Write as _};

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
    ledger: Head,
    /// Batches of which nobody knows yet whether they were committed; the next run settles them.
    open_intents: u64,
    holds: u64,
    /// Holds whose review day is past.
    holds_to_review: Vec<u64>,
    /// Persons by recipient and state.
    recipients: Vec<RecipientStatus>,
}

/// How many persons of a recipient are in one state.
#[derive(Debug, Serialize)]
struct RecipientStatus {
    recipient: String,
    state: String,
    persons: u64,
    /// When the first of them was first asked about.
    oldest: Timestamp,
    /// What was said about one of them.
    reason: Option<String>,
}

#[derive(Debug, Serialize)]
struct RunStatus {
    run: String,
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
    let today = clock::today(loading::now(global, &job)?, &job.settings.time_zone);
    let status = match Store::open_existing(&job.settings.store).await {
        Ok(mut store) => {
            let status = read(&mut store, &job.settings.name, today).await?;
            store.close().await?;
            status
        }
        Err(store::Error::Absent(_)) => Status { job: job.settings.name.clone(), ..Status::default() },
        Err(error) => return Err(error.into()),
    };
    match global.format {
        Format::Json => console.print(&(serde_json::to_string_pretty(&status)? + "\n"))?,
        Format::Text | Format::Markdown | Format::Sarif => console.print(&text(&status, &job.settings.time_zone))?,
    }
    Ok(Outcome::Done)
}

async fn read(store: &mut Store, job: &str, today: jiff::civil::Date) -> anyhow::Result<Status> {
    let mut status = Status { job: job.to_owned(), ..Status::default() };
    status.open_intents = store.open_intents().await?.len() as u64;
    let holds = store.holds().await?;
    status.holds = holds.len() as u64;
    status.holds_to_review = holds.iter().filter(|hold| hold.review < today).map(|hold| hold.id).collect();
    let counts = store.recipient_counts().await?;
    status.recipients = counts
        .into_iter()
        .map(|RecipientCount { recipient, state, persons, oldest, reason }| RecipientStatus {
            recipient,
            state,
            persons,
            oldest,
            reason,
        })
        .collect();
    for (rule, standing) in Standing::read(store).await?.rules {
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
    let mut end = last;
    while end > 0 && last - end < ENTRIES {
        let begin = end.saturating_sub(PAGE.into());
        let page = store.entries_after(begin, PAGE).await?;
        for (_, line) in page.into_iter().filter(|(seq, _)| *seq <= end).rev() {
            note(&mut status, Entry::parse(&line)?);
        }
        if status.runs.len() > RUNS && status.runs[RUNS - 1].started.is_some() {
            break;
        }
        end = begin;
    }
    status.runs.truncate(RUNS);
    Ok(status)
}

/// Takes in one entry; newer ones have been taken in before.
fn note(status: &mut Status, Entry { at, run, event, .. }: Entry) {
    match event {
        Event::RunFinished { outcome, disposed, .. } => {
            status.runs.push(RunStatus { run, started: None, finished: Some(at), outcome: Some(outcome), disposed });
        }
        Event::RunStarted { .. } => match status.runs.iter_mut().find(|known| known.run == run) {
            Some(known) => known.started = Some(at),
            None => {
                status.runs.push(RunStatus { run, started: Some(at), finished: None, outcome: None, disposed: 0 });
            }
        },
        Event::RuleFinished { rule, result, disposed, remaining, .. } => {
            let known = status.rules.entry(rule).or_default();
            if known.at.is_none() {
                let (at, result, counted) = (Some(at), Some(result), known.counted);
                *known = RuleStatus { at, result, disposed, remaining, overdue_before: None, counted };
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

fn text(status: &Status, zone: &jiff::tz::TimeZone) -> String {
    let time = |at: Option<Timestamp>| {
        at.map_or_else(|| "–".to_owned(), |at| at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string())
    };
    let mut out = format!("job {}\n\n", status.job);
    if status.runs.is_empty() {
        out.push_str("no runs yet\n");
    }
    let runs = status.runs.iter().map(|run| {
        let outcome = run.outcome.map_or_else(|| "cut off".to_owned(), |outcome| format!("{outcome:?}").to_lowercase());
        vec![run.run.clone(), time(run.started), outcome, output::count(run.disposed)]
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
    if !status.recipients.is_empty() {
        out.push('\n');
        let recipients = status.recipients.iter().map(|known| {
            let state = known.state.replace('_', " ");
            let reason = known.reason.clone().unwrap_or_default();
            vec![known.recipient.clone(), state, output::count(known.persons), time(Some(known.oldest)), reason]
        });
        out.push_str(&output::table(
            &["recipient", "state", "persons", "first asked", "it said"],
            recipients.collect(),
        ));
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
    out
}
