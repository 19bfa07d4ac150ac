//! `sunset why TABLE KEY`: which rules and holds govern one row, and until when it stays.

use super::{
    Stop,
    console::Console,
    hold::{self, Located},
    job as loading,
};
use crate::{
    cli::{Format, Global, RowArgs},
    job::Job,
    ledger::Keys,
    outcome::Outcome,
    plan::{
        Hold, HoldScope, Options,
        row::{State, Verdict, verdicts},
    },
    rules::Rule,
};
use std::fmt::Write as _;

pub async fn run(global: &Global, args: &RowArgs, console: &mut Console) -> anyhow::Result<Outcome> {
    let job = loading::load(global, console)?;
    let now = loading::now(global, &job)?;
    let holds = loading::holds(&job).await?;
    let Located { path, mut open, table } = hold::locate(&job, &args.table).await?;
    hold::check_key(&table, &args.key)?;
    let rules: Vec<&Rule> = job
        .rules()
        .filter(|rule| {
            rule.table.database == path.database
                && open
                    .catalog
                    .table(rule.table.schema.as_deref(), &rule.table.table)
                    .is_some_and(|t| t.name == table.name)
        })
        .collect();
    let pseudonym_key = Keys::parse(&job.settings.keys)?.pseudonym.map(|key| key.secret().to_vec());
    let options = Options { pseudonym_key, ..Options::default() };
    let found = match verdicts(&job, &mut open, &rules, &holds, &args.key, now, &options).await? {
        Ok(Some(found)) => found,
        Ok(None) => {
            return Err(Stop::invalid(format!(
                "{} has no row with this key; `sunset ledger prove` tells whether it was disposed of",
                args.table
            )));
        }
        Err(diagnostics) => {
            console.diagnostics(&diagnostics, &job.sources)?;
            return Ok(Outcome::Invalid);
        }
    };
    let concerned: Vec<&Hold> = holds
        .iter()
        .filter(|hold| hold.database == path.database && hold.table == table.name && concerns(hold, &args.key))
        .collect();
    match global.format {
        Format::Json => {
            let matters: Vec<_> = concerned.iter().map(|hold| (hold.id, &hold.matter)).collect();
            let value = serde_json::json!({"table": args.table, "rules": found, "holds": matters});
            console.print(&(serde_json::to_string_pretty(&value)? + "\n"))?;
        }
        Format::Text | Format::Markdown | Format::Sarif => {
            console.print(&text(&job, &args.table, &found, &concerned))?;
        }
    }
    Ok(Outcome::Done)
}

/// Holds on conditions may concern the row; the verdict's `held` says whether one does.
fn concerns(hold: &Hold, key: &[String]) -> bool {
    match &hold.scope {
        HoldScope::Key(held) => held == key,
        HoldScope::Condition(_) => true,
    }
}

fn text(job: &Job, table: &str, found: &[Verdict], holds: &[&Hold]) -> String {
    let mut out = String::new();
    if found.is_empty() {
        let _ = writeln!(out, "no rule governs {table}");
    }
    for verdict in found {
        let _ = writeln!(out, "rule {} ({}): {}", verdict.rule, verdict.disposition, words(verdict));
        let start = verdict.starting_point.as_deref().unwrap_or("none");
        let _ = writeln!(out, "  starting point  {}: {start}", verdict.starts);
        if let Some(until) = verdict.until {
            let _ = writeln!(out, "  counted from    the day after {}", until.counted_from);
            let _ = writeln!(out, "  due from        {}", until.due);
            if let Some(overdue) = until.overdue {
                let _ = writeln!(out, "  overdue from    {overdue}");
            }
        }
        if let Some(rule) = job.rules().find(|rule| rule.id == verdict.rule)
            && let Some(legal_basis) = &rule.legal_basis
        {
            let _ = writeln!(out, "  legal basis     {legal_basis}");
        }
        if verdict.held {
            for hold in holds {
                let _ = writeln!(out, "  hold            {} ({})", hold.id, hold.matter);
            }
            if holds.is_empty() {
                let _ = writeln!(out, "  hold            on a dependent of it");
            }
        }
    }
    out
}

fn words(verdict: &Verdict) -> String {
    let due = verdict.until.map(|until| until.due.to_string()).unwrap_or_default();
    let obstacle = match (verdict.held, verdict.waiting) {
        (true, _) => ", but a hold keeps it",
        (false, true) => ", but a kept dependent still needs it",
        (false, false) => "",
    };
    match verdict.state {
        State::NotGoverned => "does not govern it: its condition does not hold".to_owned(),
        State::AlreadyDone => "has been carried out on it".to_owned(),
        State::WithoutStartingPoint => "has no starting point: its time has not begun".to_owned(),
        State::Kept => format!("it stays until {due}"),
        State::Due => format!("it has been due since {due}{obstacle}"),
        State::Overdue => format!("it is overdue; it has been due since {due}{obstacle}"),
    }
}
