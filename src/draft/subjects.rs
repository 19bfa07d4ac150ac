//! Who the data is about: a proposal of `subjects`, as a comment that a person turns into settings.
//!
//! A home table is one whose rows have an address or a phone number and belong to no other such table. Columns of the same sort
//! in tables that no foreign key leads to become links.

use super::{Drafter, personal_column, scalar};
use crate::{
    anonymize::names_people,
    catalog::{Catalog, ColumnKind, ForeignKey, Table, TableKind, TableName},
    language::format,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

/// The proposal, line by line behind `# `; empty where no table seems to have one row for each person.
pub(super) fn subjects(catalog: &Catalog, database: &str) -> String {
    let drafter = Drafter { catalog, database };
    let homes: Vec<_> = catalog.tables.iter().filter(|table| is_home(catalog, table)).collect();
    let mut out = String::new();
    let mut names = BTreeSet::new();
    for home in &homes {
        let path = drafter.path(home);
        if (format::TABLE.check)(&path).is_err() {
            continue;
        }
        let one = singular(&drafter.name(home, &BTreeSet::new()));
        let mut free = (2..).map(|number| format!("{one}_{number}"));
        let mut name = one.clone();
        while !names.insert(name.clone()) {
            name = free.next().unwrap_or_default();
        }
        let _ = writeln!(out, "  {name}:\n    home: {}  # one row for each person?", scalar(&path));
        let identifiers = contacts(home);
        out.push_str("    identifiers:\n");
        for (contact, columns) in &identifiers {
            for (number, column) in columns.iter().enumerate() {
                let label =
                    if number == 0 { contact.form.to_owned() } else { format!("{}_{}", contact.form, number + 1) };
                let _ = writeln!(out, "      {label}: {{column: {}, as: {}}}", scalar(column), contact.form);
            }
        }
        if identifiers.keys().any(|contact| contact.form == "phone") {
            out.push_str("    country_calling_code:  # of phone numbers that have none, such as \"81\"\n");
        }
        let reached = reached(catalog, &home.name);
        let links = catalog.tables.iter().filter(|table| !reached.contains(&table.name) && !is_home(catalog, table));
        let links: Vec<String> = links.filter_map(|table| link(&drafter, table, &identifiers)).collect();
        if !links.is_empty() {
            let _ = writeln!(
                out,
                "    links:  # the same person, where no foreign key says so\n{}",
                links.concat().trim_end()
            );
        }
    }
    out
}

/// What names a person: addresses and phone numbers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Contact {
    /// As `as` calls it, and an identifier.
    form: &'static str,
}

/// The columns of a table that have some.
fn contacts(table: &Table) -> BTreeMap<Contact, Vec<&str>> {
    let mut all: BTreeMap<Contact, Vec<&str>> = BTreeMap::new();
    for column in &table.columns {
        let form = match personal_column(table, column).map(|found| found.data_category) {
            Some("user.contact.email") => "email",
            Some("user.contact.phone_number") => "phone",
            _ => continue,
        };
        if column.kind == ColumnKind::Text {
            all.entry(Contact { form }).or_default().push(&column.name);
        }
    }
    all
}

fn has_rows_of_its_own(catalog: &Catalog, table: &Table) -> bool {
    table.kind != TableKind::View && table.partition_of.is_none() && !catalog.outside.contains(&table.name)
}

/// Its rows can be persons: a place has a phone number too.
fn is_candidate(catalog: &Catalog, table: &Table) -> bool {
    let contacts = contacts(table);
    let is_of_people = names_people(&table.name.name) || contacts.keys().any(|contact| contact.form == "email");
    has_rows_of_its_own(catalog, table) && !table.primary_key.is_empty() && !contacts.is_empty() && is_of_people
}

fn is_home(catalog: &Catalog, table: &Table) -> bool {
    let belongs = |key: &ForeignKey| {
        key.references != table.name && catalog.get(&key.references).is_some_and(|to| is_candidate(catalog, to))
    };
    is_candidate(catalog, table)
        && !table.foreign_keys.iter().any(belongs)
        && (catalog.referencing(&table.name).next().is_some() || names_people(&table.name.name))
}

/// Tables with rows that belong to rows of this one, and it.
fn reached(catalog: &Catalog, home: &TableName) -> BTreeSet<TableName> {
    let (mut open, mut seen) = (vec![home.clone()], BTreeSet::new());
    while let Some(name) = open.pop() {
        open.extend(
            catalog.referencing(&name).map(|(table, _)| table.name.clone()).filter(|table| !seen.contains(table)),
        );
        seen.insert(name);
    }
    seen
}

/// A link by the first column of a sort that both tables have.
fn link(drafter: &Drafter, table: &Table, ours: &BTreeMap<Contact, Vec<&str>>) -> Option<String> {
    let path = drafter.path(table);
    if !has_rows_of_its_own(drafter.catalog, table) || (format::TABLE.check)(&path).is_err() {
        return None;
    }
    contacts(table).into_iter().find_map(|(contact, theirs)| {
        let (ours, theirs) = (ours.get(&contact)?.first()?, theirs.first()?);
        let (path, theirs, ours) = (scalar(&path), scalar(theirs), scalar(ours));
        Some(format!("      {path}: {{{theirs}: {{column: {ours}, as: {}}}}}\n", contact.form))
    })
}

/// `customers` are a `customer` each.
fn singular(name: &str) -> String {
    match name.strip_suffix("ies") {
        Some(start) if !start.is_empty() => format!("{start}y"),
        _ => name.strip_suffix('s').filter(|rest| !rest.is_empty() && !rest.ends_with('s')).unwrap_or(name).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::singular;

    #[test]
    fn one_of_many() {
        let names = ["customers", "companies", "address", "staff", "s"];
        assert_eq!(names.map(singular), ["customer", "company", "address", "staff", "s"]);
    }
}
