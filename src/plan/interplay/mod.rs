//! Rules together: what each of them reads and writes, whether one destroys what another still needs over a row's life,
//! and in which order they go within a run.
//!
//! [`check`] holds the files against each other; `prepare` does it again with the live schemas, asks the database where
//! only rows can tell, and orders the steps. What is decided is written down in docs/rules-together.md.

mod ask;
pub(super) mod conflict;
mod harm;
pub(super) mod life;
pub(super) mod names;
#[cfg(test)]
mod tests;
mod timing;

use super::{
    overlap::{self, Overlap},
    read_tables::Needs,
    resolve::Resolved,
};
use crate::{
    database,
    diagnostic::Diagnostic,
    job::Job,
    plan::{
        interplay::{conflict::Precedence, life::Life},
        open::OpenDatabase,
    },
    rules::Rule,
    settings::Settings,
};
use conflict::interplay;
use names::{Files, Live};
use std::collections::BTreeMap;
use timing::Calendar;

/// What the files alone tell of rules that cannot stand together.
pub fn check(job: &Job) -> Vec<Diagnostic> {
    let names = Files(&job.settings);
    let lives: Vec<_> = job.rules().filter_map(|rule| Life::of(rule, &names, None)).collect();
    let mut found = Vec::new();
    for (i, a) in lives.iter().enumerate() {
        let others = lives[i + 1..].iter().filter(|b| overlap::overlap(a, b, &names) == Overlap::Yes);
        found.extend(others.map(|b| overlap::diagnostic(a.rule, b.rule)));
    }
    let interplay = interplay(&lives, &names, &Calendar::new(&job.settings), true);
    let sure = interplay.conflicts.iter().filter(|conflict| conflict.meet == Overlap::Yes);
    found.extend(sure.map(|conflict| conflict.diagnostic(&lives)));
    found
}

/// What the live schemas and rows tell of rules together.
#[derive(Debug, Default)]
pub struct Together {
    /// Rules that cannot stand together.
    pub found: Vec<Diagnostic>,
    /// Positions among the rules.
    pub order: Vec<Precedence>,
    /// By position: columns of the rule's table that rules read, and that the rule itself leaves as they are.
    pub read: Vec<Vec<String>>,
    /// What all rules read, whichever rule changes it.
    pub needs: Needs,
}

/// Holds the rules against each other with the live schemas at hand, and asks the databases where only rows can tell.
///
/// # Errors
/// A database fails.
pub async fn together(
    databases: &mut BTreeMap<String, OpenDatabase>,
    resolved: &[(&Rule, Resolved)],
    settings: &Settings,
) -> Result<Together, database::Error> {
    let (lives, positions, interplay, overlaps) = {
        let names = Live(databases);
        let lives = resolved
            .iter()
            .enumerate()
            .filter_map(|(position, (rule, resolved))| Some((Life::of(rule, &names, Some(resolved))?, position)));
        let (lives, positions): (Vec<_>, Vec<_>) = lives.unzip();
        let mut overlaps = Vec::new();
        for (i, a) in lives.iter().enumerate() {
            for (j, b) in lives.iter().enumerate().skip(i + 1) {
                match overlap::overlap(a, b, &names) {
                    Overlap::No => {}
                    decided => overlaps.push((i, j, decided)),
                }
            }
        }
        let interplay = interplay(&lives, &names, &Calendar::new(settings), false);
        (lives, positions, interplay, overlaps)
    };
    let mut found = Vec::new();
    for (i, j, decided) in overlaps {
        let (a, b) = (lives[i].rule, lives[j].rule);
        let statement = (decided == Overlap::Ask).then(|| ask::one_row(databases, a, b)).flatten();
        if decided == Overlap::Yes || is_there(databases, &a.table.database, statement).await? {
            found.push(overlap::diagnostic(a, b));
        }
    }
    let mut told = Vec::new();
    for conflict in &interplay.conflicts {
        if told.contains(&(conflict.writer, conflict.reader)) {
            continue;
        }
        let statement = (conflict.meet == Overlap::Ask).then(|| ask::meeting(databases, conflict, &lives)).flatten();
        let database = &lives[conflict.reader].rule.table.database;
        if conflict.meet == Overlap::Yes || is_there(databases, database, statement).await? {
            told.push((conflict.writer, conflict.reader));
            found.push(conflict.diagnostic(&lives));
        }
    }
    let mut order: Vec<_> = interplay
        .order
        .into_iter()
        .map(|one| Precedence { first: positions[one.first], then: positions[one.then], ..one })
        .collect();
    order.sort();
    order.dedup();
    let mut read = vec![Vec::new(); resolved.len()];
    for (life, position) in lives.iter().zip(&positions) {
        let written = |name: &String| {
            life.writes.iter().any(|write| write.table == life.table && write.column.as_ref() == Some(name))
        };
        let needs = lives.iter().flat_map(|life| &life.needs).filter(|need| need.table == life.table);
        let columns = needs.filter_map(|need| need.column.clone()).filter(|name| !written(name));
        read[*position] = columns.collect();
    }
    let mut needs = Needs::new();
    for need in lives.iter().flat_map(|life| &life.needs) {
        // rows that tell something are needed by being there
        needs.entry(need.table.clone()).or_default().extend(need.column.clone());
    }
    Ok(Together { found, order, read, needs })
}

/// The statement delivers a row. What cannot be asked has been told to be wrong.
async fn is_there(
    databases: &mut BTreeMap<String, OpenDatabase>,
    database: &str,
    statement: Option<crate::sql::Statement>,
) -> Result<bool, database::Error> {
    let (Some(statement), Some(open)) = (statement, databases.get_mut(database)) else { return Ok(false) };
    Ok(!open.connection.fetch(&statement).await?.is_empty())
}
