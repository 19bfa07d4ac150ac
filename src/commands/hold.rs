//! `sunset hold add|release|move|list`: suspensions of the deletion.

mod person;

use super::{Stop, console::Console, job as loading};
use crate::{
    catalog::{Binding, Column, ColumnKind, Engine, Table, TableKind, TablePath},
    cli::{Global, HoldAddArgs, HoldCommand, HoldMoveArgs, HoldReleaseArgs},
    database::{ErrorKind, KeyColumn, Row, statements},
    diagnostic::Place,
    evidence::keys::Keys,
    job::Job,
    ledger::Ledger,
    outcome::Outcome,
    output::{self, Format},
    plan::{self, OpenDatabase, subject::Persons},
    rules::condition::{self, Written},
    run,
    store::{self, HoldTarget, NewHold, Store},
};
use jiff::Timestamp;
use std::{fmt::Write as _, sync::Arc};

pub async fn run(global: &Global, command: &HoldCommand, console: &mut Console) -> anyhow::Result<Outcome> {
    let job = loading::load(global, console)?;
    match command {
        HoldCommand::Add(args) => add(&job, args, console).await,
        HoldCommand::Release(args) => release(&job, args, console).await,
        HoldCommand::Move(args) => r#move(&job, args, console).await,
        HoldCommand::List { all } => list(global, &job, *all, console).await,
    }
}

async fn add(job: &Job, args: &HoldAddArgs, console: &mut Console) -> anyhow::Result<Outcome> {
    let Some(table) = &args.table else { return person::add(job, args, console).await };
    let Located { path, mut open, table } = locate(job, table).await?;
    let what = match &args.r#where {
        Some(text) => HoldTarget::Condition(text.clone()),
        None => HoldTarget::Key(args.key.clone()),
    };
    let Meant { table, target, binding } = meant(&mut open, &table, what, console).await?;
    let rows = binding.rows;
    let new = NewHold {
        table: format!("{}.{}", path.database, table.name),
        target,
        matter: args.matter.clone(),
        reason: args.reason.clone(),
        owner: args.owner.clone(),
        review: args.review,
        only_row: args.only_row,
        binding: Some(binding),
    };
    let mut ledger = ledger(job).await?;
    let hold = ledger.add_hold(new).await?;
    ledger.into_store().close().await?;
    console.note(&format!("hold {} is in force: {} in {} whatever the rules say", hold.id, staying(rows), hold.table));
    tell_what_belongs(job, &path.database, &mut open, &hold, console).await;
    console.print(&format!("{}\n", hold.id))?;
    Ok(Outcome::Done)
}

async fn r#move(job: &Job, args: &HoldMoveArgs, console: &mut Console) -> anyhow::Result<Outcome> {
    let mut ledger = ledger(job).await?;
    let known = ledger.store().holds().await?.into_iter().find(|hold| hold.id == args.id);
    let Some(known) = known else {
        let message = format!("no hold {} is in force: `sunset hold list` shows those that are", args.id);
        return Err(Stop::invalid(message));
    };
    let Some(table) = &args.table else { return person::r#move(job, args, known, ledger, console).await };
    let what = match (&args.r#where, args.key.as_slice(), known.target) {
        (Some(text), ..) => HoldTarget::Condition(text.clone()),
        (None, [], Some(HoldTarget::Person { subject, .. })) => {
            let message = format!(
                "hold {} is on a person: name who it is with --subject {subject}, or a row with --key",
                args.id
            );
            return Err(Stop::invalid(message));
        }
        (None, [], Some(target)) => target,
        (None, key, _) => HoldTarget::Key(key.to_vec()),
    };
    let Located { path, mut open, table } = locate(job, table).await?;
    let Meant { table, target, binding } = meant(&mut open, &table, what, console).await?;
    let rows = binding.rows;
    let new = NewHold {
        table: format!("{}.{}", path.database, table.name),
        target,
        matter: known.matter,
        reason: known.reason,
        owner: known.owner,
        review: known.review,
        only_row: known.only_row,
        binding: Some(binding),
    };
    let hold = ledger.move_hold(args.id, new, &args.owner).await?;
    ledger.into_store().close().await?;
    let (id, table) = (hold.id, &hold.table);
    console.note(&format!("hold {id} is in force in the place of hold {}: {} in {table}", args.id, staying(rows)));
    tell_what_belongs(job, &path.database, &mut open, &hold, console).await;
    console.print(&format!("{id}\n"))?;
    Ok(Outcome::Done)
}

fn staying(rows: u64) -> String {
    if rows == 1 { "1 row stays".to_owned() } else { format!("{} rows stay", output::count(rows)) }
}

/// What a hold is about, after the check that it can hold something.
struct Meant {
    /// The partitioned table for a partition.
    table: Table,
    target: HoldTarget,
    binding: Binding,
}

async fn meant(
    open: &mut OpenDatabase,
    named: &Table,
    target: HoldTarget,
    console: &mut Console,
) -> anyhow::Result<Meant> {
    if named.kind == TableKind::View {
        let message = format!("{} is a view or foreign table, which has no rows to hold: name the table", named.name);
        return Err(Stop::invalid(message));
    }
    let root = named.partition_of.as_ref().and_then(|root| open.catalog.get(root)).cloned();
    let (target, columns, rows, table) = match target {
        HoldTarget::Person { .. } => return Err(Stop::invalid("a hold on a person has no table of its own")),
        HoldTarget::Condition(text) => {
            if let Some(root) = &root {
                console
                    .note(&format!("{} is a partition: the condition holds for all rows of {}", named.name, root.name));
            }
            let table = root.unwrap_or_else(|| named.clone());
            let (columns, rows) = rows_that_meet(open, &table, &text).await?;
            if rows == 0 {
                let name = &table.name;
                console.note(&format!("no row of {name} meets the condition now; rows that come to meet it will stay"));
            }
            (HoldTarget::Condition(text), columns, rows, table)
        }
        HoldTarget::Key(key) => {
            check_key(named, &key)?;
            let none = || Stop::invalid(format!("{} has no row with this key", named.name));
            let key = match plan::row::find(open, named, &key).await {
                Ok(key) => key.ok_or_else(none)?,
                // the server cannot read it as a key
                Err(error) if error.kind == ErrorKind::Other => return Err(none()),
                Err(error) => return Err(error.into()),
            };
            (HoldTarget::Key(key), named.primary_key.clone(), 1, root.unwrap_or_else(|| named.clone()))
        }
    };
    let binding = plan::binding(open, &table, &columns, rows).await?;
    Ok(Meant { table, target, binding })
}

/// The hold is in force; what goes wrong while its rows are counted does not change that.
async fn tell_what_belongs(
    job: &Job,
    database: &str,
    open: &mut OpenDatabase,
    hold: &store::Hold,
    console: &mut Console,
) {
    let Some(planned) = run::planned_hold(hold.clone()) else { return };
    let table = planned.table.clone();
    let bound = match plan::bind_in(job, database, open, &[planned], &Persons::default()).await {
        Ok(bound) => bound,
        Err(error) => {
            console.error(&format!("what belongs to its rows cannot be counted: {error}"));
            return;
        }
    };
    bound.lost.iter().for_each(|lost| console.error(lost));
    let mut found = Vec::new();
    let (dialect, catalog) = (open.dialect, &open.catalog);
    for name in bound.tables(dialect, catalog).into_iter().filter(|name| *name != table || hold.only_row) {
        let Some(other) = catalog.get(&name) else { continue };
        let Some(stays) = bound.stays(dialect, catalog, other, &dialect.row(&name), None) else { continue };
        match open.connection.fetch(&statements::count_where(dialect, &name, &stays)).await {
            Ok(rows) if name != table => match number(rows) {
                0 => {}
                rows => found.push(format!("{} of {name}", output::count(rows))),
            },
            Ok(_) => {}
            Err(error) => {
                console
                    .error(&format!("rows of {name} that belong to it are held too, and cannot be counted: {error}"));
            }
        }
    }
    if hold.only_row {
        console.note("what belongs to it is not held (--only-row)");
        return;
    }
    match found.as_slice() {
        [] => console.note("no row belongs to it now; those that come to belong to it will stay"),
        found => console.note(&format!("rows that belong to it stay too: {}", found.join(", "))),
    }
    let elsewhere: Vec<_> =
        job.settings.databases.keys().map(String::as_str).filter(|name| *name != database).collect();
    if !elsewhere.is_empty() {
        let names = elsewhere.join(", ");
        console.note(&format!("keys do not connect databases: what is in {names} needs holds of its own"));
    }
}

fn number(rows: Vec<Row>) -> u64 {
    rows.into_iter().flatten().next().flatten().and_then(|count| count.parse().ok()).unwrap_or(0)
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
            Some(HoldTarget::Person { subject, key, .. }) => format!("the person {} ({subject})", key.join(", ")),
            None => "released".to_owned(),
        };
        let alone = if hold.only_row { ", and not what belongs to them" } else { "" };
        let late = if hold.release.is_none() && hold.review < today { " (past)" } else { "" };
        let _ = writeln!(out, "{}  {}: {scope}{alone}", hold.id, hold.table);
        let _ = writeln!(out, "   matter {}; {}", hold.matter, hold.reason);
        let _ = writeln!(out, "   owner {}; review on {}{late}", hold.owner, hold.review);
        if let Some(release) = &hold.release {
            let _ = writeln!(out, "   released by {}: {}", release.by, release.reason);
        }
    }
    out
}

/// The columns that a condition names, and how many rows meet it.
async fn rows_that_meet(open: &mut OpenDatabase, table: &Table, text: &str) -> anyhow::Result<(Vec<String>, u64)> {
    let expression = condition::check(text, open.catalog.engine).map_err(|errors| {
        let problems: Vec<_> = errors.iter().map(|error| error.problem.as_str()).collect();
        Stop::invalid(format!("--where cannot be used: {}", problems.join("; ")))
    })?;
    if expression.stranger(&table.name.name).is_some() {
        return Err(Stop::invalid(format!("--where knows only the columns of {}", table.name)));
    }
    if let Some(unknown) = expression.columns().iter().find(|column| !open.dialect.has_column(table, &column.name)) {
        return Err(Stop::invalid(format!("column `{}` is not in {}", unknown.name, table.name)));
    }
    let engine = open.catalog.engine;
    let column = |name: &str| table.columns.iter().find(|column| column.name.eq_ignore_ascii_case(name));
    let misfit = |name: &str, value: Written| column(name).and_then(|column| misfit(column, value, engine));
    if let Some(why) = expression.contradiction(&misfit) {
        return Err(Stop::invalid(format!("no row can ever meet the condition: {why}")));
    }
    let dialect = open.dialect;
    let condition = dialect.condition(&expression, &dialect.row(&table.name));
    let statement = statements::count_where(dialect, &table.name, &condition);
    let rows = open.connection.fetch(&statement).await.map_err(|error| match error.kind {
        // the server does not understand it, or a value in it
        ErrorKind::Other | ErrorKind::Constraint => Stop::invalid(format!("--where cannot be used: {error}")),
        _ => error.into(),
    })?;
    let mut columns: Vec<_> = expression.columns().iter().map(|column| column.name.clone()).collect();
    columns.sort();
    columns.dedup();
    Ok((columns, number(rows)))
}

/// Why a column cannot hold a value. SQLite's columns can hold any.
fn misfit(column: &Column, value: Written, engine: Engine) -> Option<String> {
    let because = |why: &str| Some(format!("`{}` ({}) cannot be {value}: {why}", column.name, column.sql_type));
    let text = match value {
        _ if engine == Engine::Sqlite => return None,
        Written::Text(text) | Written::Number(text) => text.trim_end(),
        Written::Boolean(_) => return None,
    };
    match column.kind {
        ColumnKind::Enumeration if !column.words.is_empty() && !text.is_empty() => {
            let known = |word: &str| column.words.iter().any(|known| known.trim_end().eq_ignore_ascii_case(word));
            let is_known = match column.sql_type.starts_with("set") {
                true => text.split(',').all(known),
                false => known(text),
            };
            // MySQL also knows words by their numbers
            let is_number = matches!(value, Written::Number(_)) && engine == Engine::Mysql;
            (!is_known && !is_number).then(|| because(&format!("it knows {}", column.words.join(", "))))?
        }
        ColumnKind::Integer => {
            let Ok(number) = text.parse::<f64>() else { return because("it is no number") };
            let within = whole_numbers(&column.sql_type).is_none_or(|(least, most)| number >= least && number <= most);
            let is_whole = number.fract().abs() < f64::EPSILON;
            if is_whole && within { None } else { because("it takes whole numbers of its size") }
        }
        ColumnKind::Decimal | ColumnKind::Float if text.parse::<f64>().is_err() => because("it is no number"),
        ColumnKind::Text => {
            let most = column.max_length.and_then(|most| usize::try_from(most).ok())?;
            (text.chars().count() > most).then(|| because("it is too long"))?
        }
        ColumnKind::Date | ColumnKind::DateTime | ColumnKind::Instant if engine == Engine::Mysql => {
            let is_day = text.get(..10).is_some_and(|day| day.parse::<jiff::civil::Date>().is_ok());
            let is_close = text.starts_with(|c: char| c.is_ascii_digit());
            if is_day || is_close { None } else { because("it is no date") }
        }
        _ => None,
    }
}

/// The least and the greatest number that a type holds.
fn whole_numbers(sql_type: &str) -> Option<(f64, f64)> {
    let name = sql_type.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
    let bits = match name {
        "tinyint" => 8,
        "smallint" | "year" => 16,
        "mediumint" => 24,
        "int" | "integer" => 32,
        "bigint" => 64,
        _ => return None,
    };
    match sql_type.contains("unsigned") {
        true => Some((0.0, 2_f64.powi(bits))),
        false => Some((-(2_f64.powi(bits - 1)), 2_f64.powi(bits - 1))),
    }
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
