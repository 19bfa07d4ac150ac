//! `sunset restored`: a person has looked at a database that was put back from a backup, and lets runs go on with it. Tells
//! which of all rows that were ever erased from it are there again, and proves later that none is.

use super::{Stop, console::Console, job as loading};
use crate::{
    cli::{Global, RestoredArgs},
    evidence::{keys::Keys, tag::Tag},
    job::Job,
    language::shape::nearest,
    ledger::{Event, Ledger, Restore},
    outcome::Outcome,
    output::{self, Format},
    plan,
    run::Returned,
    store::Store,
};
use jiff::Timestamp;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    sync::Arc,
};

pub async fn run(global: &Global, args: &RestoredArgs, console: &mut Console) -> anyhow::Result<Outcome> {
    let job = loading::load(global, console)?;
    let RestoredArgs { database: name, by, reason, .. } = args;
    if [Some(by), reason.as_ref()].into_iter().flatten().any(|text| text.trim().is_empty()) {
        return Err(Stop::invalid("--by and --reason say who and why; they are empty"));
    }
    let Some(settings) = job.settings.databases.get(name) else {
        let known = job.settings.databases.keys().map(String::as_str);
        let help = nearest(known, name).map(|near| format!(": did you mean `{near}`?")).unwrap_or_default();
        return Err(Stop::invalid(format!("sunset.yaml has no database `{name}`{help}")));
    };
    let keys = Keys::parse(&job.settings.keys)?;
    let store = Store::open(&job.settings.store).await?;
    let mut ledger = Ledger::open(store, keys, &job.settings.name, Arc::new(Timestamp::now)).await?;
    let mut open = plan::open_database(settings, &job.settings.pace).await?;
    // first where it stands: what comes while rows are read is compared by the next run
    let plan::OpenDatabase { database, connection, catalog, dialect, .. } = &mut open;
    let position = plan::position(&job, database.as_ref(), *dialect, catalog, connection.as_mut()).await?;
    let returned = Returned::to(&mut open, &mut ledger).await?;
    let (back, compared, unknown) = (returned.numbers(), returned.compared, returned.unknown);
    let (database, by) = (name.clone(), by.clone());
    let mut outcome = Outcome::Done;
    match reason {
        Some(reason) => {
            let reason = reason.clone();
            let restore = Restore { database, position, by, reason, back: back.clone(), compared, unknown };
            ledger.accept_restore(restore, &asked_about(&job, &open, returned)).await?;
        }
        None => {
            let event = Event::RestoreChecked { database, by, back: back.clone(), compared, unknown };
            ledger.append(vec![event], &[]).await?;
            outcome = if back.is_empty() { Outcome::Done } else { Outcome::Failed };
        }
    }
    ledger.into_store().close().await?;
    open.connection.close().await;
    match global.format {
        Format::Json => {
            let report = serde_json::json!({
                "database": name, "back": back, "compared": compared, "unknown": unknown,
            });
            console.print(&format!("{report:#}\n"))?;
        }
        Format::Text | Format::Markdown | Format::Sarif => {
            console.print(&text(name, &back, (compared, unknown), reason.is_some()))?;
        }
    }
    Ok(outcome)
}

/// Rows that are there again of whose persons rules ask recipients.
fn asked_about(job: &Job, open: &plan::OpenDatabase, returned: Returned) -> BTreeMap<String, BTreeSet<Tag>> {
    let name = open.database.name();
    let rules = job.rules().filter(|rule| rule.table.database == name && !rule.recipients.is_empty());
    let tables = rules.filter_map(|rule| open.catalog.table(rule.table.schema.as_deref(), &rule.table.table));
    let paths: BTreeSet<_> = tables.map(|table| format!("{name}.{}", table.name)).collect();
    returned.back.into_iter().filter(|(path, _)| paths.contains(path)).collect()
}

fn text(database: &str, back: &BTreeMap<String, u64>, (compared, unknown): (u64, u64), goes_on: bool) -> String {
    let mut out = String::new();
    let rows: u64 = back.values().sum();
    let _ = match rows {
        0 => writeln!(out, "{database}: none of {} is there", erased(compared)),
        rows => writeln!(out, "{database}: {} of {} are there again", output::count(rows), erased(compared)),
    };
    for (table, rows) in back {
        let _ = writeln!(out, "  {table}: {}", output::count(*rows));
    }
    if unknown > 0 {
        let _ = writeln!(out, "of {} nobody can tell (docs/restore.md)", erased(unknown));
    }
    if goes_on && rows > 0 {
        out += "the next run erases them again where they are due; then look again with --check\n";
    }
    out
}

fn erased(rows: u64) -> String {
    match rows {
        1 => "1 erased row".to_owned(),
        rows => format!("{} erased rows", output::count(rows)),
    }
}
