//! Holds on persons: `sunset hold add|move --subject`.

use super::{ledger, number};
use crate::{
    cli::{HoldAddArgs, HoldMoveArgs},
    commands::{Stop, console::Console, person},
    database::statements,
    evidence::keys::Keys,
    job::Job,
    ledger::Ledger,
    outcome::Outcome,
    output,
    plan::{
        self, OpenDatabase,
        subject::{self, Named, Persons},
    },
    run,
    store::{Hold, HoldTarget, NewHold},
};
use std::collections::BTreeMap;

pub(super) async fn add(job: &Job, args: &HoldAddArgs, console: &mut Console) -> anyhow::Result<Outcome> {
    let subject = person::subject_of(job, args.person.subject.as_deref().unwrap_or_default())?;
    let named = person::named(&args.person, &args.key)?;
    let (table, target, binding, open) = meant(job, subject, &named, console).await?;
    let new = NewHold {
        table,
        target,
        matter: args.matter.clone(),
        reason: args.reason.clone(),
        owner: args.owner.clone(),
        review: args.review,
        only_row: false,
        binding: Some(binding),
    };
    let mut ledger = ledger(job).await?;
    let hold = ledger.add_hold(new).await?;
    ledger.into_store().close().await?;
    let (id, home) = (hold.id, &hold.table);
    console
        .note(&format!("hold {id} is in force: whatever is about this person of {home} stays whatever the rules say"));
    tell(job, &hold, open, console).await;
    console.print(&format!("{id}\n"))?;
    Ok(Outcome::Done)
}

pub(super) async fn r#move(
    job: &Job,
    args: &HoldMoveArgs,
    known: Hold,
    mut ledger: Ledger,
    console: &mut Console,
) -> anyhow::Result<Outcome> {
    let subject = person::subject_of(job, args.person.subject.as_deref().unwrap_or_default())?;
    let is_named = !args.key.is_empty() || !args.person.find.is_empty() || args.person.find_file.is_some();
    let named = match (is_named, &known.target) {
        (true, _) => person::named(&args.person, &args.key)?,
        (false, Some(HoldTarget::Person { subject: of, key, .. })) if *of == subject.name => Named::Key(key.clone()),
        (false, Some(HoldTarget::Key(key))) => Named::Key(key.clone()),
        (false, _) => return Err(Stop::invalid("who is meant? name the person with --key, --find or --find-file")),
    };
    let (table, target, binding, open) = meant(job, subject, &named, console).await?;
    if !is_named && table != known.table {
        // the same key names somebody else there
        let message = format!(
            "hold {} is on {}, and the home of `{}` is {table}: name the person with --key, --find or --find-file",
            args.id, known.table, subject.name
        );
        return Err(Stop::invalid(message));
    }
    let new = NewHold {
        table,
        target,
        matter: known.matter,
        reason: known.reason,
        owner: known.owner,
        review: known.review,
        only_row: false,
        binding: Some(binding),
    };
    let hold = ledger.move_hold(args.id, new, &args.owner).await?;
    ledger.into_store().close().await?;
    let (id, home) = (hold.id, &hold.table);
    console.note(&format!(
        "hold {id} is in force in the place of hold {}: whatever is about this person of {home} stays",
        args.id
    ));
    tell(job, &hold, open, console).await;
    console.print(&format!("{id}\n"))?;
    Ok(Outcome::Done)
}

type Meant = (String, HoldTarget, crate::catalog::Binding, BTreeMap<String, OpenDatabase>);

/// What a hold on the person is, after the check that all tables of the subject can be asked; and the databases that could
/// be reached.
async fn meant(
    job: &Job,
    subject: &crate::settings::Subject,
    named: &Named,
    console: &mut Console,
) -> anyhow::Result<Meant> {
    let mut found = person::locate(job, subject, named).await?;
    let (mut open, unavailable) = plan::open_databases(job, subject.databases()).await;
    for (name, why) in &unavailable {
        console.error(&format!(
            "what stays in database {name} cannot be counted, and its tables are not found again under other names until the \
             hold is moved: {}",
            why.reason
        ));
    }
    for doubt in subject::doubts(subject, &found.table, &found.values, &open) {
        console.note(&doubt);
    }
    let keys = Keys::parse(&job.settings.keys)?;
    let tag_key = keys.tag.first().ok_or_else(|| Stop::invalid("`keys.tag` in sunset.yaml is missing"))?;
    let mut links = subject::links_of(subject, &found.table, &found.values, tag_key);
    for (link, noted) in subject.links.iter().zip(&mut links) {
        let Some(database) = open.get_mut(&link.table.database) else { continue };
        let unusable = |why| {
            Stop::invalid(format!("`links` of subject `{}` cannot be used: {why}; see `sunset validate`", subject.name))
        };
        let theirs = subject::table_of(&database.catalog, &link.table).map_err(unusable)?.clone();
        let engine = database.catalog.engine;
        let person = (&found.table, &found.values);
        let rows = subject::linked_rows(subject, link, person, (&theirs, engine)).map_err(unusable)?;
        let rows = match rows {
            Some(held) => {
                let condition = held.rows.sql(database.dialect, &database.dialect.row(&theirs.name));
                let statement = statements::count_where(database.dialect, &theirs.name, &condition.hidden());
                // whoever cannot count them is told so when all are counted
                database.connection.fetch(&statement).await.map_or(0, number)
            }
            None => 0,
        };
        let columns: Vec<_> = link.columns.iter().map(|column| column.theirs.clone()).collect();
        noted.binding = Some(plan::binding(database, &theirs, &columns, rows).await?);
        noted.name = Some(theirs.name);
    }
    let binding = plan::binding(&mut found.home, &found.table, &found.table.primary_key, 1).await?;
    let table = format!("{}.{}", subject.home.database, found.table.name);
    let not_theirs = Some(subject.not_theirs.iter().map(ToString::to_string).collect());
    let target = HoldTarget::Person { subject: subject.name.clone(), key: found.person.key, links, not_theirs };
    Ok((table, target, binding, open))
}

/// The hold is in force; what goes wrong while its rows are counted does not change that.
async fn tell(job: &Job, hold: &Hold, mut open: BTreeMap<String, OpenDatabase>, console: &mut Console) {
    let Some(planned) = run::planned_hold(hold.clone()) else { return };
    let holds = [planned];
    let persons = match Persons::look_up(job, &holds).await {
        Ok(persons) => persons,
        Err(error) => return console.error(&format!("what stays cannot be counted: {error:#}")),
    };
    for (name, open) in &mut open {
        let bound = match plan::bind_in(job, name, open, &holds, &persons).await {
            Ok(bound) => bound,
            Err(error) => {
                console.error(&format!("what stays in database {name} cannot be counted: {error}"));
                continue;
            }
        };
        if !bound.lost.is_empty() {
            bound.lost.iter().for_each(|lost| console.error(lost));
            continue;
        }
        let (dialect, catalog) = (open.dialect, &open.catalog);
        let mut found = Vec::new();
        for table in bound.tables(dialect, catalog) {
            let Some(of) = catalog.get(&table) else { continue };
            let Some(stays) = bound.stays(dialect, catalog, of, &dialect.row(&table), None) else { continue };
            match open.connection.fetch(&statements::count_where(dialect, &table, &stays)).await {
                Ok(rows) => match number(rows) {
                    0 => {}
                    rows => found.push(format!("{} of {table}", output::count(rows))),
                },
                Err(error) => {
                    console.error(&format!("rows of {name}.{table} stay too, and cannot be counted: {error}"));
                }
            }
        }
        console.note(&match found.as_slice() {
            [] => format!("in {name}: no row now; those that come to be theirs will stay"),
            found => format!("in {name}: {}", found.join(", ")),
        });
    }
}
