//! `sunset demo`: everything once, on an invented company in a new directory.
//!
//! The demo types what its reader could type: each step is a command line that is printed, parsed and dispatched like
//! any other.

use super::{Stop, console::Console, job as loading};
use crate::{
    cli::{Cli, DemoArgs, Global},
    clock,
    demo::{self, Snapshot, Story},
    file,
    job::Job,
    outcome::Outcome,
    output::{self, Format},
    sandbox::Sandbox,
    signals::Signals,
};
use anyhow::Context as _;
use clap::Parser as _;
use jiff::{Timestamp, ToSpan as _};
use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

pub async fn run(global: &Global, args: &DemoArgs, console: &mut Console) -> anyhow::Result<Outcome> {
    if global.format != Format::Text {
        return Err(Stop::invalid("the demo is for people: it knows the format text alone"));
    }
    let began = Instant::now();
    let directory = new_directory(args.dir.as_deref())?;
    // recipients are stand-ins in this process: the demo talks to nobody else
    let sandbox = Sandbox::start(0, true).await.context("no port of 127.0.0.1 can be used")?;
    let address = sandbox.address();
    demo::lay_out(&directory, &address.to_string())?;
    let global = Global { jobs: directory.clone(), rules_digest: None, ..global.clone() };
    let job = loading::load(&global, console)?;
    let today = clock::today(loading::now(&global, &job)?, &job.settings.time_zone);
    demo::found_company(&directory, args.customers, today).await?;
    let shown = Story::DueToday.customer_id();
    let before = demo::look_at(&directory, shown).await?;
    console.print(&introduction(&job, &before, began))?;

    let review = today.saturating_add(6.months()).to_string();
    let suing = Story::Lawsuit.customer_id().to_string();
    let hold = [
        "hold",
        "add",
        "--subject",
        "customer",
        "--key",
        &suing,
        "--matter",
        "2026-wa-1234",
        "--reason",
        "lawsuit over a deposit",
        "--owner",
        "legal",
        "--review",
        &review,
    ];
    let steps: [(&str, &[&str]); 5] = [
        ("One customer is suing: whatever the rules say, everything that is about them stays", &hold),
        ("What would go? (a dry run; without --brief it explains each rule)", &["plan", "--brief"]),
        ("Do it", &["run"]),
        ("Is the evidence whole?", &["ledger", "verify"]),
        ("The next night: nothing is due, and what stays is explained", &["run"]),
    ];
    let mut outcome = Outcome::Done;
    for (title, words) in steps {
        console.print(&format!("{}{}\n", heading(title), prompt(&global, words)))?;
        outcome = outcome.max(step(&global, words).await?);
        if outcome > Outcome::Done {
            return Ok(outcome);
        }
    }

    let after = demo::look_at(&directory, shown).await?;
    console.print(&what_is_left(&before, &after, shown))?;
    let calls: u64 = sandbox.calls("meta").values().sum();
    console.print(&what_recipients_heard(calls))?;
    console.print(&what_next(&global))?;
    console.print(&again(&global, address.port()))?;
    Ok(outcome)
}

/// The directory that the demo may fill.
fn new_directory(wanted: Option<&Path>) -> anyhow::Result<PathBuf> {
    let path = match wanted {
        Some(path) => path.to_owned(),
        None => {
            let name = format!("sunset-demo-{}-{}", Timestamp::now().strftime("%Y%m%dT%H%M%S"), std::process::id());
            std::env::temp_dir().join(name)
        }
    };
    let cannot = || format!("{} cannot be used", path.display());
    if path.exists() && fs::read_dir(&path).with_context(cannot)?.next().is_some() {
        return Err(Stop::invalid(format!("{} is not empty: name a directory that does not exist", path.display())));
    }
    file::create_directory(&path).with_context(cannot)?;
    path.canonicalize().with_context(cannot)
}

/// Does what a command line says.
async fn step(global: &Global, words: &[&str]) -> anyhow::Result<Outcome> {
    let command = Cli::try_parse_from(std::iter::once(&"sunset").chain(words))?.command;
    // a command within a command: the future would hold itself
    Ok(Box::pin(super::dispatch(Cli { global: global.clone(), command }, Signals::listen()?)).await)
}

fn heading(title: &str) -> String {
    format!("\n== {title}\n\n")
}

/// The command line as one would type it here: with the program by the name that it was called by.
fn prompt(global: &Global, words: &[&str]) -> String {
    let jobs = global.jobs.display().to_string();
    let program = std::env::args().next().unwrap_or_else(|| "sunset".to_owned());
    let mut line = format!("$ {} --jobs {}", quoted(&program), quoted(&jobs));
    if let Some(now) = &global.now {
        let _ = write!(line, " --now {}", quoted(now));
    }
    for word in words {
        let _ = write!(line, " {}", quoted(word));
    }
    line + "\n"
}

/// A word for the shell.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,=+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

fn count(rows: i64) -> String {
    output::count(u64::try_from(rows).unwrap_or(0))
}

fn introduction(job: &Job, company: &Snapshot, began: Instant) -> String {
    let rows = company.rows.iter().map(|(_, rows)| rows).sum();
    format!(
        "Sakura Router Rental, an invented company: {} rows in {} tables, made in {}\n\
         {}\n  sunset.yaml  settings\n  rules/       {} rules in {} files, one file per data category: read them\n  \
         keys/        made just now\n  {}      the company's database (SQLite)\n",
        count(rows),
        company.rows.len(),
        output::seconds(began.elapsed().as_secs_f64()),
        job.directory.display(),
        job.rules().count(),
        job.files.len(),
        demo::DATABASE,
    )
}

fn what_is_left(before: &Snapshot, after: &Snapshot, customer: u32) -> String {
    let mut out = heading("What is left");
    let both = before.rows.iter().zip(&after.rows);
    let rows = both.map(|((table, before), (_, after))| {
        vec![(*table).to_owned(), count(*before), count(*after), count(before - after)]
    });
    out.push_str(&output::table(&["table", "rows before", "now", "erased"], rows.collect()));
    let _ = writeln!(out, "\nCustomer {customer} left five years and a day ago:\n");
    let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "null".to_owned());
    let both = before.customer.iter().zip(&after.customer);
    let rows = both.map(|((column, before), (_, after))| vec![(*column).to_owned(), shown(before), shown(after)]);
    out.push_str(&output::table(&["column", "before", "now"], rows.collect()));
    let suing = Story::Lawsuit.customer_id();
    let _ = writeln!(out, "\nCustomer {suing} left six years ago and is suing. The evidence is still there:\n");
    let both = before.evidence.iter().zip(&after.evidence);
    let rows = both.map(|((table, before), (_, after))| vec![(*table).to_owned(), count(*before), count(*after)]);
    out.push_str(&output::table(&["rows of the customer in", "before", "now"], rows.collect()));
    out
}

fn what_recipients_heard(calls: u64) -> String {
    format!(
        "\n{}Before former customers changed here, Meta (a stand-in in this process) took them out of its audiences; calls: {calls}.\n\
         It got hashes; the ledger has counts and keyed tags.\n",
        heading("What recipients heard").trim_start_matches('\n')
    )
}

/// How to go on once this process and its stand-ins are gone.
fn again(global: &Global, port: u16) -> String {
    let port = port.to_string();
    let program = std::env::args().next().unwrap_or_else(|| "sunset".to_owned());
    format!(
        "# the next night, with the stand-ins of the recipients running beside it\n$ {} sandbox --port {port} &\n{}",
        quoted(&program),
        prompt(global, &["run"])
    )
}

fn what_next(global: &Global) -> String {
    let mut out = heading("Try next");
    let [tomorrow, suing, missing] =
        [Story::DueTomorrow, Story::Lawsuit, Story::RouterMissing].map(|story| story.customer_id().to_string());
    let gone = Story::LongGone.customer_id().to_string();
    let lines: [(&str, &[&str]); 7] = [
        ("each rule in words, with the exact SQL", &["plan", "--sql"]),
        ("a customer whose time ends tomorrow", &["why", "core.customers", &tomorrow]),
        ("the one who is suing", &["why", "core.customers", &suing]),
        ("one who never sent the router back", &["why", "core.customers", &missing]),
        ("the holds in force", &["hold", "list"]),
        ("was this contract disposed of, and when?", &["ledger", "prove", "core.contracts", &gone]),
        ("the last runs", &["status"]),
    ];
    for (what, words) in lines {
        let _ = write!(out, "# {what}\n{}", prompt(global, words));
    }
    out
}
