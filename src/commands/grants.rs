//! `sunset grants`: the statements that give a database user what the rules need, and nothing else.
//!
//! The output is SQL for the databases' own clients; what it is for stands in comments.

use super::{Stop, console::Console, job as loading};
use crate::{
    catalog::{Catalog, Engine, TableKind},
    cli::{Global, GrantsArgs},
    clock,
    database::{Privilege, marks},
    diagnostic::Severity,
    evidence::keys::Keys,
    language::shape::nearest,
    outcome::Outcome,
    output::Format,
    plan::{self, Need, Options, Resolved},
    rules::{Act, Rule},
    settings::Subject,
};
use serde::Serialize;
use std::{collections::BTreeSet, fmt::Write as _};

/// What one database user needs in one database.
#[derive(Serialize)]
struct DatabaseGrants {
    database: String,
    engine: Engine,
    version: String,
    user: String,
    grants: Vec<Grant>,
    /// What statements cannot say.
    notes: Vec<String>,
}

#[derive(Serialize)]
struct Grant {
    statement: String,
    why: &'static str,
    rules: Vec<String>,
}

pub async fn run(global: &Global, args: &GrantsArgs, console: &mut Console) -> anyhow::Result<Outcome> {
    if args.user.is_empty() || args.user.chars().any(char::is_control) {
        return Err(Stop::invalid("--user is no user's name"));
    }
    let job = loading::load(global, console)?;
    let known = job.settings.databases.keys().map(String::as_str);
    if let Some(name) = args.database.as_ref().filter(|name| !job.settings.databases.contains_key(*name)) {
        let help = nearest(known, name).map(|near| format!(": did you mean {near}?")).unwrap_or_default();
        return Err(Stop::invalid(format!("database {name} is not in sunset.yaml{help}")));
    }
    let now = loading::now(global, &job)?;
    let pseudonym_key = Keys::parse(&job.settings.keys)?.pseudonym.map(|key| key.secret().to_vec());
    let options = Options { pseudonym_key, ..Options::default() };
    let rules: Vec<&Rule> = job.rules().collect();
    let mut names = plan::databases_of(&job, &rules);
    names.extend(plan::databases_of_assertions(&job));
    let holds = loading::holds(&job).await?;
    let persons = plan::subject::Persons::look_up(&job, &holds).await?;
    names.extend(persons.homes());
    if rules.iter().any(|rule| rule.on_request.act == Act::Now) {
        names.extend(job.settings.subjects.values().flat_map(Subject::databases));
    }
    names.retain(|name| args.database.as_ref().is_none_or(|database| database == name));
    let (mut databases, unavailable) = plan::open_databases(&job, names).await;
    let mut found = Vec::new();
    let members = plan::members(&job, &databases, &rules, &mut found);
    let today = clock::today(now, &job.settings.time_zone);
    let assertions = plan::assertions(&job, &databases, today, &mut found);
    let mut outcome = Outcome::Done;
    for (database, unavailable) in &unavailable {
        console.error(&format!("database {database} is not available: {}", unavailable.reason));
        outcome = outcome.max(if unavailable.temporary { Outcome::Temporary } else { Outcome::Invalid });
    }
    let holds = plan::bind(&job, &mut databases, &holds, &persons).await?;
    let mut all = Vec::new();
    for (name, open) in &databases {
        let Some(holds) = holds.get(name) else { continue };
        let mut resolved: Vec<(&Rule, Resolved)> = Vec::new();
        for rule in rules.iter().filter(|rule| rule.table.database == *name) {
            match plan::resolve_rule(
                rule,
                &plan::surroundings(&job, open, holds, now, options.pseudonym_key.as_deref()),
            ) {
                Ok(fits) => resolved.push((rule, fits)),
                Err(diagnostics) => found.extend(diagnostics),
            }
        }
        let asked_by = |recipient: &str| {
            let rules = rules.iter().filter(|rule| rule.recipients.iter().any(|named| named.name == recipient));
            rules.map(|rule| rule.id.clone()).collect()
        };
        let members = members.iter().filter(|(_, work)| work.database == *name);
        let members: Vec<_> = members.map(|(recipient, work)| (work, asked_by(recipient))).collect();
        let asserted =
            assertions.iter().filter(|task| task.assertion.database() == Some(name.as_str())).collect::<Vec<_>>();
        let batch_rows = job.settings.pace_of(name).batch_rows;
        let mut read = persons.reads(name);
        read.extend(plan::read_for_requests(&job, name, &open.catalog));
        let mut needs = plan::privileges(&open.catalog, &resolved, &members, &asserted, &read, batch_rows);
        let noting: BTreeSet<_> = resolved.iter().map(|(rule, _)| rule.id.clone()).collect();
        let known = marks::table(&open.catalog).cloned();
        let wanted = known.clone().or_else(|| args.batches.then(|| marks::table_name(&open.catalog)));
        let wanted = wanted.filter(|_| !noting.is_empty());
        needs.extend(wanted.iter().flat_map(|table| plan::noting_batches(table, &noting)));
        let made = wanted.filter(|_| known.is_none()).map(|table| Grant {
            statement: marks::create(open.dialect, &table),
            why: plan::NOTING,
            rules: noting.iter().cloned().collect(),
        });
        let grants = needs.iter().filter_map(|need| {
            let statement = open.dialect.grant(&need.privilege, &args.user, &open.catalog.database)?;
            Some(Grant { statement, why: need.why, rules: need.rules.iter().cloned().collect() })
        });
        let grants = made.into_iter().chain(grants);
        all.push(DatabaseGrants {
            database: name.clone(),
            engine: open.catalog.engine,
            version: open.catalog.version.clone(),
            user: args.user.clone(),
            grants: grants.collect(),
            notes: notes(&open.catalog, &needs),
        });
    }
    if found.iter().any(|diagnostic| diagnostic.severity == Severity::Error) {
        console.diagnostics(&found, &job.sources)?;
        return Ok(Outcome::Invalid);
    }
    match global.format {
        Format::Json => console.print(&(serde_json::to_string_pretty(&all)? + "\n"))?,
        Format::Text | Format::Markdown | Format::Sarif => console.print(&text(&all))?,
    }
    Ok(outcome)
}

fn text(databases: &[DatabaseGrants]) -> String {
    let mut out = String::new();
    for DatabaseGrants { database, version, grants, notes, .. } in databases {
        let _ = writeln!(out, "-- database {database} ({version})");
        notes.iter().for_each(|note| {
            let _ = writeln!(out, "-- {note}");
        });
        for Grant { statement, why, rules } in grants {
            let _ = writeln!(out, "{statement}  -- {why}: {}", rules.join(", "));
        }
        out.push('\n');
    }
    out
}

/// What a person has to know besides the statements.
fn notes(catalog: &Catalog, needs: &[Need]) -> Vec<String> {
    let changed: Vec<_> = needs
        .iter()
        .filter_map(|need| match &need.privilege {
            Privilege::Delete(table) | Privilege::Insert(table, _) | Privilege::Update(table, _) => catalog.get(table),
            Privilege::Connect
            | Privilege::Schema(_)
            | Privilege::Select(_)
            | Privilege::SelectColumns(..)
            | Privilege::Truncate(_)
            | Privilege::Maintain(_)
            | Privilege::Optimize(_)
            | Privilege::Own { .. }
            | Privilege::Exchange(_)
            | Privilege::Aside(_)
            | Privilege::LockTables(_)
            | Privilege::Lock(..) => None,
        })
        .collect();
    let mut notes = Vec::new();
    match catalog.engine {
        Engine::Postgres => {
            notes.push("for a superuser or the tables' owner, connected to this database".to_owned());
            notes.push("the user must see every row: on tables with row level security give it BYPASSRLS".to_owned());
            if changed.iter().any(|table| table.partition_of.is_some() || table.kind == TableKind::Partitioned) {
                notes.push("a new partition needs its own grants: print them again then".to_owned());
            }
            for need in needs {
                match &need.privilege {
                    Privilege::Own { owner, superuser: true } => notes.push(format!(
                        "tables belong to the superuser {}, whom nobody should be one with: give them another owner before \
                         whole partitions can be dropped, or tables vacuumed",
                        owner.escape_debug()
                    )),
                    Privilege::Own { owner, superuser: false } => notes.push(format!(
                        "whoever drops partitions of {0}, or vacuums tables of {0}, may do what that role may \
                         (`partitions: truncate` takes less, and so does PostgreSQL 17)",
                        owner.escape_debug()
                    )),
                    _ => {}
                }
            }
            let mut triggers: Vec<_> = changed
                .iter()
                .flat_map(|table| table.triggers.iter().filter(|trigger| trigger.on_delete || trigger.on_update))
                .map(|trigger| trigger.name.escape_debug().to_string())
                .collect();
            triggers.sort();
            triggers.dedup();
            if !triggers.is_empty() {
                let triggers = triggers.join(", ");
                notes.push(format!("triggers run with this user's rights unless they say otherwise: {triggers}"));
            }
        }
        Engine::Mysql => {
            notes.push("for an administrator; `references` shows every foreign key and allows nothing else".to_owned());
            notes.push(
                "triggers stay unseen, and planning cannot warn of them: that takes `trigger`, which would let the user \
                 make triggers, too"
                    .to_owned(),
            );
            notes.push("foreign keys of a schema that is not listed here stay unseen".to_owned());
            if needs.iter().any(|need| matches!(need.privilege, Privilege::Exchange(_))) {
                notes.push("whoever lets whole partitions go may drop the table, too".to_owned());
            }
        }
        Engine::Sqlite => {
            notes.push("SQLite has no users: the file's permissions decide".to_owned());
            notes.push("let the program's user read and write the database file and its directory,".to_owned());
            notes.push("where SQLite puts its journal and Sunset its lock files (….sunset-….lock)".to_owned());
        }
    }
    notes
}
