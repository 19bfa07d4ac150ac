//! Subjects held against the live schemas, for `sunset validate`.

use super::{comparisons, home_of, table_of};
use crate::{
    catalog::{Table, TableKind, TablePath},
    diagnostic::{Code, Diagnostic, Place},
    job::Job,
    plan::{
        find::{find_column, find_table},
        indexes,
        open::OpenDatabase,
    },
    settings::Subject,
};
use std::collections::{BTreeMap, BTreeSet};

/// The databases that subjects name.
pub fn databases_of(job: &Job) -> BTreeSet<&str> {
    let named = |subject: &'_ Subject| -> Vec<String> {
        let ends = subject.not_theirs.iter().map(|table| table.database.clone());
        subject.databases().into_iter().map(str::to_owned).chain(ends).collect()
    };
    let named: BTreeSet<String> = job.settings.subjects.values().flat_map(named).collect();
    job.settings.databases.keys().map(String::as_str).filter(|name| named.contains(*name)).collect()
}

/// What is wrong with the subjects, as far as these databases tell.
pub fn check(job: &Job, databases: &BTreeMap<String, OpenDatabase>) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for subject in job.settings.subjects.values() {
        check_subject(subject, databases, &mut found);
    }
    found
}

fn check_subject(subject: &Subject, databases: &BTreeMap<String, OpenDatabase>, found: &mut Vec<Diagnostic>) {
    let mut table = |path: &TablePath, place: Place| -> Option<&Table> {
        let open = databases.get(&path.database)?;
        match find_table(&open.catalog, path, place.clone()) {
            Ok(table) if table.kind == TableKind::View => {
                let message = format!("{path} is a view or foreign table, which has no rows of its own");
                found.push(Diagnostic::error(Code::NotATable, place, message).help("name the table"));
                None
            }
            Ok(_) => table_of(&open.catalog, path).ok(),
            Err(diagnostic) => {
                found.push(diagnostic);
                None
            }
        }
    };
    let ends = subject.place.key("not_theirs");
    for (position, path) in subject.not_theirs.iter().enumerate() {
        table(path, ends.item(position));
    }
    let linked: Vec<_> = subject.links.iter().map(|link| (link, table(&link.table, link.place.clone()))).collect();
    let Some(home) = table(&subject.home, subject.place.key("home")) else { return };
    let Some(open) = databases.get(&subject.home.database) else { return };
    if home_of(subject, &open.catalog).is_err() {
        let message = format!("{} has no primary key, so a person of it has no key", subject.home);
        let place = subject.place.key("home");
        found.push(Diagnostic::error(Code::NoPrimaryKey, place, message).help("give the table a primary key"));
    }
    for (name, identifier) in &subject.identifiers {
        let column = match find_column(home, &identifier.column, identifier.place.clone()) {
            Ok(column) => column,
            Err(diagnostic) => {
                found.push(diagnostic);
                continue;
            }
        };
        let calling_code = subject.country_calling_code.as_deref();
        let (form, engine) = (identifier.form, open.catalog.engine);
        let comparison = super::Comparison { ours: column, theirs: column, form, engine, calling_code };
        if let Err(super::Incomparable(why)) = comparison.check() {
            found.push(
                Diagnostic::error(Code::BadSubject, identifier.place.clone(), why).help("choose another form: `as`"),
            );
        }
        if !home.is_key(std::slice::from_ref(&column.name)) {
            let message = format!(
                "`{}` of {} is not unique: identifier `{name}` may name several persons",
                column.name, home.name
            );
            found.push(
                Diagnostic::warning(Code::SubjectRemark, identifier.place.clone(), message)
                    .help("who is named by it together with another identifier can still be found"),
            );
        }
    }
    for (link, theirs) in linked {
        for column in &link.columns {
            found.extend(find_column(home, &column.ours, column.place.clone()).err());
        }
        let Some(theirs) = theirs else { continue };
        let Some(catalog) = databases.get(&link.table.database).map(|open| &open.catalog) else { continue };
        let before = found.len();
        for column in &link.columns {
            found.extend(find_column(theirs, &column.theirs, column.place.name()).err());
        }
        if found.len() > before || link.columns.iter().any(|column| home.column(&column.ours).is_none()) {
            continue;
        }
        if let Err(why) = comparisons(subject, link, home, (theirs, catalog.engine)) {
            let help = "name columns of the same kind, or another form: `as`";
            found.push(Diagnostic::error(Code::BadSubject, link.place.clone(), why).help(help));
            continue;
        }
        let is_indexed = link.columns.iter().any(|column| {
            let mut leading = theirs.indexes.iter().filter_map(|index| index.columns.first());
            // an expression stands as an empty text
            leading.any(|first| *first == column.theirs || first.is_empty())
        });
        if !is_indexed && indexes::matters(theirs.estimated_rows) {
            let message = format!(
                "no index of {} leads with a column of the link: to find a person's rows, all are read",
                link.table
            );
            let help = "an index on one of the columns, in the form in which they are compared, would end that (docs/subjects.md)";
            found.push(Diagnostic::warning(Code::SubjectRemark, link.place.clone(), message).help(help));
        }
    }
}
