//! Who stays with recipients whose lists are made anew: their tables against the schema, ready to be read.

use super::{condition, find::find_column, find_table};
use crate::{
    catalog::TableKind,
    database::{KeyColumn, MembersWork},
    diagnostic::{Code, Diagnostic},
    job::Job,
    plan::open::OpenDatabase,
    recipients::members::Source,
    rules::Rule,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Who stays, as a plan shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedMembers {
    /// `database.schema.table`.
    pub table: String,
    /// Identifier to the column that holds it.
    pub columns: BTreeMap<String, String>,
    /// The server's estimate of all rows of the table.
    pub table_rows: u64,
}

/// The recipients of these rules whose lists are made anew, each once, with the place where those who stay are read.
pub fn sources<'a>(job: &'a Job, rules: &[&'a Rule]) -> impl Iterator<Item = (&'a str, &'a Source)> {
    let names: BTreeSet<_> = rules.iter().flat_map(|rule| &rule.recipients).map(|r| r.name.as_str()).collect();
    names.into_iter().filter_map(|name| Some((name, job.settings.recipients.get(name)?.members.as_ref()?)))
}

/// Holds what the settings say against the schemas of the databases that are open.
///
/// # Errors
/// Everything that does not fit.
pub fn resolve(
    job: &Job,
    databases: &BTreeMap<String, OpenDatabase>,
    rules: &[&Rule],
    found: &mut Vec<Diagnostic>,
) -> BTreeMap<String, MembersWork> {
    let mut works = BTreeMap::new();
    for (name, source) in sources(job, rules) {
        let Some(open) = databases.get(&source.table.database) else { continue };
        works.extend(work(job, name, source, open, found).map(|work| (name.to_owned(), work)));
    }
    works
}

fn work(
    job: &Job,
    name: &str,
    source: &Source,
    open: &OpenDatabase,
    found: &mut Vec<Diagnostic>,
) -> Option<MembersWork> {
    let place = || source.place.key("table");
    let table = find_table(&open.catalog, &source.table, place()).map_err(|error| found.push(error)).ok()?;
    if table.kind == TableKind::View || table.primary_key.is_empty() {
        let message = format!("`{}` has no primary key, so it cannot be read page by page", source.table);
        let help = "name a table with a primary key";
        found.push(Diagnostic::error(Code::NoPrimaryKey, place(), message).help(help));
        return None;
    }
    if table.row_security {
        let message = format!("row security hides rows of `{}` from this database user", source.table);
        let help =
            "give the user BYPASSRLS, or a policy that lets it see every row: whoever is not seen leaves the list";
        found.push(Diagnostic::error(Code::RowSecurity, place(), message).help(help));
    }
    let before = found.len();
    let mut columns = Vec::new();
    for (identifier, column) in &source.columns {
        match find_column(table, column, source.place.key("columns").key(identifier)) {
            Ok(column) => columns.push((identifier.clone(), KeyColumn::from(column))),
            Err(error) => found.push(error),
        }
    }
    let row = open.dialect.row(&table.name);
    let condition = source
        .condition
        .as_ref()
        .map(|condition| condition::on_rows(open.dialect, table, &row, condition, &source.place.key("where"), found));
    if found.len() > before {
        return None;
    }
    let known_as = job.rules().flat_map(|rule| &rule.recipients).filter(|recipient| recipient.name == name);
    let known_as = known_as.map(|recipient| recipient.identifiers.iter().map(|(name, _)| name.clone()).collect());
    Some(MembersWork {
        database: source.table.database.clone(),
        dialect: open.dialect,
        table: table.name.clone(),
        table_rows: table.estimated_rows,
        key: table.key_columns().map(KeyColumn::from).collect(),
        looked_at: condition::columns(source.condition.as_ref(), open.catalog.engine),
        columns,
        known_as: known_as.collect(),
        condition: condition.flatten(),
    })
}

impl MembersWork {
    /// As a plan shows it.
    pub fn planned(&self) -> PlannedMembers {
        PlannedMembers {
            table: format!("{}.{}", self.database, self.table),
            columns: self.columns.iter().map(|(name, column)| (name.clone(), column.name.clone())).collect(),
            table_rows: self.table_rows,
        }
    }
}
