//! `sunset hold add|release|list`: suspensions of the deletion.

use super::{Stop, console::Console, job as loading};
use crate::{
    catalog::Table,
    cli::{Format, Global, HoldAddArgs, HoldCommand, HoldReleaseArgs},
    database::{KeyColumn, statements},
    diagnostic::Place,
    job::Job,
    ledger::{Keys, Ledger},
    outcome::Outcome,
    output,
    plan::{self, OpenDatabase},
    rules::{TablePath, condition},
    store::{self, HoldTarget, NewHold, Store},
};
use jiff::Timestamp;
use std::{fmt::Write as _, sync::Arc};

pub async fn run(global: &Global, command: &HoldCommand, console: &mut Console) -> anyhow::Result<Outcome> {
    let job = loading::load(global, console)?;
    match command {
        HoldCommand::Add(args) => add(&job, args, console).await,
        HoldCommand::Release(args) => release(&job, args, console).await,
        HoldCommand::List { all } => list(global, &job, *all, console).await,
    }
}

async fn add(job: &Job, args: &HoldAddArgs, console: &mut Console) -> anyhow::Result<Outcome> {
    let Located { path, mut open, table } = locate(job, &args.table).await?;
    let full_table = format!("{}.{}", path.database, table.name);
    let (target, rows) = match &args.r#where {
        Some(text) => {
            let rows = rows_that_meet(&mut open, &table, text).await?;
            (HoldTarget::Condition(text.clone()), rows)
        }
        None => {
            check_key(&table, &args.key)?;
            let Some(key) = plan::row::find(&mut open, &table, &args.key).await? else {
                return Err(Stop::invalid(format!("{full_table} has no row with this key")));
            };
            (HoldTarget::Key(key), 1)
        }
    };
    let mut ledger = ledger(job).await?;
    let new = NewHold {
        table: full_table.clone(),
        target,
        matter: args.matter.clone(),
        reason: args.reason.clone(),
        owner: args.owner.clone(),
        review: args.review,
    };
    let hold = ledger.add_hold(new).await?;
    ledger.into_store().close().await?;
    let stay = if rows == 1 { "1 row stays".to_owned() } else { format!("{} rows stay", output::count(rows)) };
    console.note(&format!("hold {} is in force: {stay} in {full_table} whatever the rules say", hold.id));
    console.print(&format!("{}\n", hold.id))?;
    Ok(Outcome::Done)
}

async fn release(job: &Job, args: &HoldReleaseArgs, console: &mut Console) -> anyhow::Result<Outcome> {
    let mut ledger = ledger(job).await?;
    let hold = ledger.release_hold(args.id, &args.reason, &args.owner).await?;
    ledger.into_store().close().await?;
    console.note(&format!("hold {} on {} is released: its rows follow their rules again", hold.id, hold.table));
    Ok(Outcome::Done)
}

async fn list(global: &Global, job: &Job, all: bool, console: &mut Console) -> anyhow::Result<Outcome> {
    let holds = match Store::open_existing(&job.settings.store).await {
        Ok(mut store) => {
            let holds = if all { store.all_holds().await? } else { store.holds().await? };
            store.close().await?;
            holds
        }
        Err(store::Error::Absent(_)) => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    match global.format {
        Format::Json => console.print(&(serde_json::to_string_pretty(&holds)? + "\n"))?,
        Format::Text | Format::Markdown | Format::Sarif => {
            let today = crate::clock::today(loading::now(global, job)?, &job.settings.time_zone);
            console.print(&text(&holds, today))?;
        }
    }
    Ok(Outcome::Done)
}

fn text(holds: &[store::Hold], today: jiff::civil::Date) -> String {
    if holds.is_empty() {
        return "no holds\n".to_owned();
    }
    let mut out = String::new();
    for hold in holds {
        let scope = match &hold.target {
            Some(HoldTarget::Key(key)) => format!("the row {}", key.join(", ")),
            Some(HoldTarget::Condition(condition)) => format!("rows where {condition}"),
            None => "released".to_owned(),
        };
        let late = if hold.release.is_none() && hold.review < today { " (past)" } else { "" };
        let _ = writeln!(out, "{}  {}: {scope}", hold.id, hold.table);
        let _ = writeln!(out, "   matter {}; {}", hold.matter, hold.reason);
        let _ = writeln!(out, "   owner {}; review on {}{late}", hold.owner, hold.review);
        if let Some(release) = &hold.release {
            let _ = writeln!(out, "   released by {}: {}", release.by, release.reason);
        }
    }
    out
}

async fn rows_that_meet(open: &mut OpenDatabase, table: &Table, text: &str) -> anyhow::Result<u64> {
    let expression = condition::check(text, open.catalog.engine).map_err(|errors| {
        let problems: Vec<_> = errors.iter().map(|error| error.problem.as_str()).collect();
        Stop::invalid(format!("--where cannot be used: {}", problems.join("; ")))
    })?;
    if let Some(unknown) = expression.columns().iter().find(|column| !open.dialect.has_column(table, &column.name)) {
        return Err(Stop::invalid(format!("column `{}` is not in {}", unknown.name, table.name)));
    }
    let dialect = open.dialect;
    let condition = dialect.condition(&expression, &dialect.row(&table.name));
    let statement = statements::count_where(dialect, &table.name, &condition);
    let rows = open.connection.fetch(&statement).await?;
    Ok(rows.into_iter().flatten().next().flatten().and_then(|count| count.parse().ok()).unwrap_or(0))
}

/// A table that an argument names, in its open database.
pub(super) struct Located {
    pub path: TablePath,
    pub open: OpenDatabase,
    pub table: Table,
}

/// Finds the table that `database.table` or `database.schema.table` means.
///
/// # Errors
/// It is not written so, or there is no such database or table, or the database cannot be reached.
pub(super) async fn locate(job: &Job, text: &str) -> anyhow::Result<Located> {
    let parts: Vec<_> = text.split('.').collect();
    let path = match parts.as_slice() {
        [database, table] => TablePath { database: (*database).to_owned(), schema: None, table: (*table).to_owned() },
        [database, schema, table] => TablePath {
            database: (*database).to_owned(),
            schema: Some((*schema).to_owned()),
            table: (*table).to_owned(),
        },
        _ => return Err(Stop::invalid(format!("{text:?} is no table: write database.table or database.schema.table"))),
    };
    let Some(settings) = job.settings.databases.get(&path.database) else {
        let known: Vec<_> = job.settings.databases.keys().map(String::as_str).collect();
        let message = format!("database `{}` is not in sunset.yaml, which has {}", path.database, known.join(", "));
        return Err(Stop::invalid(message));
    };
    let open = plan::open_database(settings, &job.settings.pace).await?;
    let table = plan::find_table(&open.catalog, &path, Place::file("TABLE")).map_err(|diagnostic| {
        Stop::invalid(format!("{}; {}", diagnostic.message, diagnostic.help.unwrap_or_default()))
    })?;
    let table = table.clone();
    Ok(Located { path, open, table })
}

/// One value for each column of the primary key.
pub(super) fn check_key(table: &Table, key: &[String]) -> anyhow::Result<()> {
    let columns: Vec<KeyColumn> = table.key_columns().map(KeyColumn::from).collect();
    if columns.is_empty() {
        return Err(Stop::invalid(format!("{} has no primary key", table.name)));
    }
    if columns.len() != key.len() {
        let names: Vec<_> = columns.iter().map(|column| column.name.as_str()).collect();
        let (wanted, given) = (columns.len(), key.len());
        let message = format!("the key of {} has {wanted} values ({}), {given} given", table.name, names.join(", "));
        return Err(Stop::invalid(message));
    }
    Ok(())
}

async fn ledger(job: &Job) -> anyhow::Result<Ledger> {
    let store = Store::open(&job.settings.store).await?;
    let keys = Keys::parse(&job.settings.keys)?;
    Ok(Ledger::open(store, keys, &job.settings.name, Arc::new(Timestamp::now)).await?)
}
