//! `sunset request open|list|show|plan|approve|run|letter|certificate|proof|close`: what persons ask for, and what is done about it.

mod account;
mod certificate;
mod disclose;
mod letter;
mod open;
mod plan;
mod proof;

use super::{Stop, console::Console, job as loading};
use crate::{
    cli::{Global, RequestApproveArgs, RequestCloseArgs, RequestCommand},
    clock,
    evidence::keys::Keys,
    job::Job,
    ledger::Ledger,
    outcome::Outcome,
    output::{self, Format},
    rules::RequestKind,
    run::{self, Performed},
    signals::Signals,
    store::{self, PersonRequest, Store},
};
use jiff::{Timestamp, civil::Date};
use std::{fmt::Write as _, sync::Arc};

pub async fn run(global: &Global, command: &RequestCommand, console: &mut Console) -> anyhow::Result<Outcome> {
    let job = loading::load(global, console)?;
    match command {
        RequestCommand::Open(args) => open::run(global, &job, args, console).await,
        RequestCommand::List { all } => list(global, &job, *all, console).await,
        RequestCommand::Show { id } => show(global, &job, *id, console).await,
        RequestCommand::Plan { id } => plan::run(global, &job, *id, console).await,
        RequestCommand::Approve(args) => approve(global, &job, args, console).await,
        // it may be stopped, and so has an end of its own
        RequestCommand::Run { .. } => Ok(Outcome::Unexpected),
        RequestCommand::Letter(args) => letter::run(global, &job, args, console).await,
        RequestCommand::Certificate(args) => certificate::run(global, &job, args, console).await,
        RequestCommand::Proof(args) => proof::run(&job, args, console).await,
        RequestCommand::Disclose(args) => disclose::run(global, &job, args, console).await,
        RequestCommand::Close(args) => close(global, &job, args, console).await,
    }
}

/// `sunset request run`: what one request asks for, and nothing else.
pub async fn serve(global: &Global, id: u64, signals: Signals, console: &mut Console) -> anyhow::Result<Outcome> {
    let stop = signals.into_token();
    let job = loading::load(global, console)?;
    let request = request(&job, id).await?;
    if !request.is_to_be_served() {
        return Err(Stop::refused(match request.closing {
            Some(closing) => format!("request {id} is closed since {}", closing.at),
            None => format!(
                "nobody has approved request {id}: see `sunset request plan {id}`, then `sunset request approve {id}`"
            ),
        }));
    }
    let wanted = run::Request {
        rules: Vec::new(),
        tags: Vec::new(),
        group: None,
        assertions: false,
        person: Some(id),
        reviewed: None,
        now: loading::now(global, &job)?,
        clock: Arc::new(Timestamp::now),
        rehearsal: false,
    };
    let progress = console.progress();
    match run::perform(&job, wanted, &stop, progress.as_ref()).await? {
        Performed::Report(report) => {
            console.print(&output::report(&report, global.format)?)?;
            Ok(report.outcome)
        }
        Performed::Invalid(found) => {
            console.diagnostics(&found, &job.sources)?;
            Ok(Outcome::Invalid)
        }
    }
}

async fn approve(
    global: &Global,
    job: &Job,
    args: &RequestApproveArgs,
    console: &mut Console,
) -> anyhow::Result<Outcome> {
    let asked = request(job, args.id).await?;
    let now = loading::now(global, job)?;
    if matches!(asked.kind, RequestKind::Erasure | RequestKind::Cease) && !run::are_carried_out() {
        let (id, kind) = (asked.id, asked.kind.word());
        return Err(Stop::refused(format!(
            "requests of {kind} are recorded and planned, and not carried out by this version: `sunset request plan {id}` shows \
             what its rules would let go; do it by hand, and close the request"
        )));
    }
    // what stays cannot be found any more once the home row is gone
    let outlook = match plan::outlook(job, &asked, now, console).await? {
        Ok(outlook) => outlook,
        Err(stop) => return Ok(stop),
    };
    if let Some(why) = &outlook.unclear {
        return Err(Stop::refused(format!("nobody can tell which rows are theirs: {why}")));
    }
    if outlook.outcome != Outcome::Done {
        console.error("a request is approved when all databases that have rows of the person can be asked");
        return Ok(outlook.outcome);
    }
    let mut ledger = ledger(job).await?;
    let request = ledger.approve_request(args.id, &args.by, outlook.stays).await?;
    ledger.into_store().close().await?;
    console.note(&format!("request {} is approved: the next run takes it along", request.id));
    Ok(Outcome::Done)
}

async fn close(global: &Global, job: &Job, args: &RequestCloseArgs, console: &mut Console) -> anyhow::Result<Outcome> {
    let stays = last_look(global, job, args.id, console).await;
    let mut ledger = ledger(job).await?;
    let request = ledger.close_request(args.id, args.outcome, (&args.by, &args.reason), stays).await?;
    ledger.into_store().close().await?;
    console.note(&format!(
        "request {} is closed ({}); the key of its person is forgotten",
        request.id,
        args.outcome.word()
    ));
    if request.complete_at.is_none() && args.outcome == store::RequestOutcome::Done {
        console.note("no run has found that nothing is left to be done for it");
    }
    Ok(Outcome::Done)
}

/// What the person still has, as long as they can be found: the letter tells it later. Nothing where it cannot be looked at; the
/// letter then tells what was known before, with its day.
async fn last_look(global: &Global, job: &Job, id: u64, console: &mut Console) -> Option<Vec<store::Staying>> {
    let request = request(job, id).await.ok()?;
    let is_of_rules = matches!(request.kind, RequestKind::Erasure | RequestKind::Cease);
    if !is_of_rules || !request.is_open() {
        return None;
    }
    let outlook = match loading::now(global, job) {
        Ok(now) => plan::outlook(job, &request, now, console).await,
        Err(error) => Err(error),
    };
    match outlook {
        Ok(Ok(outlook)) if outlook.outcome == Outcome::Done && outlook.unclear.is_none() => Some(outlook.stays),
        Ok(Ok(outlook)) if outlook.unclear.is_some() && request.is_gone() => Some(request.stays_without_home()),
        _ => {
            console.note("what the person still has cannot be looked at; letters tell what was known before");
            None
        }
    }
}

async fn list(global: &Global, job: &Job, all: bool, console: &mut Console) -> anyhow::Result<Outcome> {
    let requests = requests(job, all).await?;
    let today = clock::today(loading::now(global, job)?, &job.settings.time_zone);
    match global.format {
        Format::Json => console.print(&(serde_json::to_string_pretty(&shown(&requests, today))? + "\n"))?,
        Format::Text | Format::Markdown | Format::Sarif => {
            let mut out = String::new();
            for request in &requests {
                let _ = writeln!(out, "{}", line(job, request, today));
            }
            console.print(if out.is_empty() { "no requests\n" } else { &out })?;
        }
    }
    let overdue = requests.iter().any(|request| request.is_open() && request.due < today);
    Ok(if overdue { Outcome::Failed } else { Outcome::Done })
}

async fn show(global: &Global, job: &Job, id: u64, console: &mut Console) -> anyhow::Result<Outcome> {
    let request = request(job, id).await?;
    let today = clock::today(loading::now(global, job)?, &job.settings.time_zone);
    match global.format {
        Format::Json => console.print(&(serde_json::to_string_pretty(&shown(&[request], today))? + "\n"))?,
        Format::Text | Format::Markdown | Format::Sarif => console.print(&text(job, &request, today))?,
    }
    Ok(Outcome::Done)
}

/// Requests as they are shown: what is sealed stays in the store.
fn shown(requests: &[PersonRequest], today: Date) -> serde_json::Value {
    let shown = requests.iter().map(|request| {
        let mut value = serde_json::to_value(PersonRequest { sealed: None, ..request.clone() }).unwrap_or_default();
        value["overdue"] = (request.is_open() && request.due < today).into();
        value
    });
    shown.collect()
}

/// How a request stands, in a few words.
fn state(job: &Job, request: &PersonRequest, today: Date) -> String {
    let words = match (&request.closing, request.complete_at, &request.approval) {
        (Some(closing), ..) => return format!("closed ({})", closing.outcome.word()),
        (None, Some(_), _) => "carried out",
        (None, None, Some(_)) => "approved",
        (None, None, None) => "open",
    };
    match () {
        () if request.due < today => format!("{words}, OVERDUE"),
        () if job.settings.requests.warned(request.received) <= today => format!("{words}, due soon"),
        () => words.to_owned(),
    }
}

fn line(job: &Job, request: &PersonRequest, today: Date) -> String {
    let PersonRequest { id, kind, subject, received, due, reference, .. } = request;
    let state = state(job, request, today);
    format!("{id}  {} of a {subject}: {reference}, received {received}, due {due}: {state}", kind.word())
}

fn text(job: &Job, request: &PersonRequest, today: Date) -> String {
    let mut out = String::new();
    let zone = &job.settings.time_zone;
    let day = |at: Timestamp| clock::today(at, zone);
    let _ = writeln!(out, "{}", line(job, request, today));
    let identified = &request.identified;
    let _ =
        writeln!(out, "   opened on {}; identified by {}: {}", day(request.opened_at), identified.by, identified.how);
    if let Some(approval) = &request.approval {
        let _ = writeln!(out, "   approved on {} by {}", day(approval.at), approval.by);
    }
    for (rule, served) in &request.served {
        let at = served.at.map(|at| format!(", last on {}", day(at))).unwrap_or_default();
        let _ = writeln!(out, "   rule {rule}: {} rows done, {} left{at}", served.rows, served.left);
    }
    if let Some(at) = request.complete_at {
        let _ = writeln!(out, "   nothing is left since {} that goes before its day", day(at));
    }
    if let Some(closing) = &request.closing {
        let _ = writeln!(out, "   closed on {} by {}: {}", day(closing.at), closing.by, closing.reason);
    }
    out
}

/// The open requests, or all of them; none when the job has no store yet.
async fn requests(job: &Job, all: bool) -> anyhow::Result<Vec<PersonRequest>> {
    match Store::open_existing(&job.settings.store).await {
        Ok(mut store) => {
            let requests = if all { store.all_requests().await? } else { store.open_requests().await? };
            store.close().await?;
            Ok(requests)
        }
        Err(store::Error::Absent(_)) => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

async fn request(job: &Job, id: u64) -> anyhow::Result<PersonRequest> {
    let found = requests(job, true).await?.into_iter().find(|request| request.id == id);
    found.ok_or_else(|| Stop::invalid(format!("there is no request {id}: `sunset request list --all` shows all")))
}

async fn ledger(job: &Job) -> anyhow::Result<Ledger> {
    let store = Store::open(&job.settings.store).await?;
    let keys = Keys::parse(&job.settings.keys)?;
    Ok(Ledger::open(store, keys, &job.settings.name, Arc::new(Timestamp::now)).await?)
}
