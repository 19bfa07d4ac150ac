//! `subjects` of `sunset.yaml`: who the data is about, and what says that rows of several tables are about one person.
//!
//! Read here; held against the live schemas by [`plan::subject`](crate::plan::subject).

use super::{DatabaseSettings, Reader};
use crate::{
    catalog::{Form, TablePath},
    diagnostic::{Code, Place},
    language::shape::nearest,
    recipients::phone,
    rules::At,
};
use std::collections::{BTreeMap, BTreeSet};

/// A sort of people.
#[derive(Clone, Debug)]
pub struct Subject {
    pub name: String,
    /// One row for each person.
    pub home: TablePath,
    /// How somebody is named.
    pub identifiers: BTreeMap<String, Identifier>,
    /// Tables with rows about the same person that no foreign key leads to. One table may stand here more than once.
    pub links: Vec<SubjectLink>,
    /// Tables at which the way over foreign keys ends.
    pub not_theirs: Vec<TablePath>,
    /// Of phone numbers without one, as digits.
    pub country_calling_code: Option<String>,
    pub place: Place,
}

/// A column of the home table by which somebody is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identifier {
    pub column: String,
    pub form: Form,
    pub place: Place,
}

/// Rows of a table are the person's if all of these columns are equal.
#[derive(Clone, Debug)]
pub struct SubjectLink {
    pub table: TablePath,
    pub columns: Vec<LinkedColumn>,
    pub place: Place,
}

/// A column of another table, and the one of the home table that it equals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkedColumn {
    pub theirs: String,
    pub ours: String,
    pub form: Form,
    pub place: Place,
}

impl Subject {
    /// The databases that have rows of the person, as far as the settings tell.
    pub fn databases(&self) -> BTreeSet<&str> {
        let links = self.links.iter().map(|link| link.table.database.as_str());
        links.chain([self.home.database.as_str()]).collect()
    }

    /// The tables of `not_theirs` in a database.
    pub fn ends_in<'a>(&'a self, database: &'a str) -> impl Iterator<Item = &'a TablePath> {
        self.not_theirs.iter().filter(move |table| table.database == database)
    }
}

impl SubjectLink {
    /// What is compared, in words: `requester_email = email (email)`.
    pub fn words(&self) -> String {
        let words = |column: &LinkedColumn| format!("{} = {} ({})", column.theirs, column.ours, column.form.word());
        self.columns.iter().map(words).collect::<Vec<_>>().join(", ")
    }
}

impl Reader<'_> {
    pub(super) fn subjects(
        &mut self,
        at: Option<&At>,
        databases: &BTreeMap<String, DatabaseSettings>,
        unresolved: &BTreeSet<String>,
    ) -> BTreeMap<String, Subject> {
        let mut subjects = BTreeMap::new();
        for (name, at) in at.into_iter().flat_map(At::entries) {
            let Some(subject) = read(name, &at) else { continue };
            self.check_subject(&subject, &at, databases, unresolved);
            subjects.insert(name.to_owned(), subject);
        }
        subjects
    }

    fn check_subject(
        &mut self,
        subject: &Subject,
        at: &At,
        databases: &BTreeMap<String, DatabaseSettings>,
        unresolved: &BTreeSet<String>,
    ) {
        let not_theirs = at.get("not_theirs");
        let ends =
            subject.not_theirs.iter().zip(not_theirs.iter().flat_map(At::items)).map(|(path, at)| (path, at.place));
        let links = subject.links.iter().map(|link| (&link.table, link.place.name()));
        let named = [(&subject.home, at.place.key("home"))].into_iter().chain(links).chain(ends);
        for (path, place) in named {
            if databases.contains_key(&path.database) || unresolved.contains(&path.database) {
                continue;
            }
            let known = databases.keys().map(String::as_str).chain(unresolved.iter().map(String::as_str));
            let near = nearest(known.clone(), &path.database).map(|near| format!("did you mean `{near}`?"));
            let help = near.unwrap_or_else(|| format!("the databases are {}", known.collect::<Vec<_>>().join(", ")));
            let message = format!("database `{}` is not in the settings", path.database);
            self.error(Code::UnknownDatabase, place, message, help);
        }
        if let Some(end) = subject.not_theirs.iter().position(|end| *end == subject.home)
            && let Some(at) = not_theirs.iter().flat_map(At::items).nth(end)
        {
            let message = format!("the home table of `{}` cannot be a table that is not theirs", subject.name);
            self.error(Code::BadSubject, at.place, message, "take it out of `not_theirs`");
        }
        for link in subject.links.iter().filter(|link| link.table == subject.home) {
            let message = format!("`{}` is the home table, whose rows are one person each", link.table);
            self.error(Code::BadSubject, link.place.name(), message, "links lead to other tables");
        }
        let forms = subject.identifiers.values().map(|identifier| (identifier.form, &identifier.place));
        let columns = subject.links.iter().flat_map(|link| &link.columns);
        let phone =
            forms.chain(columns.map(|column| (column.form, &column.place))).find(|(form, _)| *form == Form::Phone);
        match (&subject.country_calling_code, phone) {
            (None, Some((_, place))) => {
                let message = format!("phone numbers of `{}` need `country_calling_code`", subject.name);
                let help =
                    "numbers are written with and without their country: for example `country_calling_code: \"81\"`";
                self.error(Code::BadSubject, place.clone(), message, help);
            }
            (Some(code), _) if !phone::is_calling_code(code) => {
                let message = format!("no country has the calling code `{code}`");
                self.error(Code::BadSubject, at.place.key("country_calling_code"), message, "for example `\"81\"`");
            }
            _ => {}
        }
    }
}

/// `None` where the shape has refused it.
fn read(name: &str, at: &At) -> Option<Subject> {
    let identifiers = at.get("identifiers");
    let identifiers = identifiers.iter().flat_map(At::entries).filter_map(|(name, at)| {
        let (column, form) = column(&at, Form::named(name))?;
        let form = form.unwrap_or(Form::Text);
        Some((name.to_owned(), Identifier { column, form, place: at.place }))
    });
    let identifiers: BTreeMap<String, Identifier> = identifiers.collect();
    // what people are found by as an address is compared as one
    let form_of = |column: &str| {
        let same = identifiers.values().find(|identifier| identifier.column == column);
        same.map_or(Form::Text, |identifier| identifier.form)
    };
    let mut links = Vec::new();
    for (table, at) in at.get("links").iter().flat_map(At::entries) {
        let Ok(table) = table.parse::<TablePath>() else { continue };
        let several: Vec<_> = at.items().collect();
        for at in if several.is_empty() { vec![at] } else { several } {
            let columns = at.entries().filter_map(|(theirs, at)| {
                let (ours, form) = column(&at, None)?;
                let form = form.unwrap_or_else(|| form_of(&ours));
                Some(LinkedColumn { theirs: theirs.to_owned(), ours, form, place: at.place })
            });
            links.push(SubjectLink { table: table.clone(), columns: columns.collect(), place: at.place.clone() });
        }
    }
    let not_theirs = at.get("not_theirs");
    let not_theirs = not_theirs.iter().flat_map(At::items).filter_map(|at| at.text()?.parse().ok()).collect();
    Some(Subject {
        name: name.to_owned(),
        home: at.text_of("home")?.parse().ok()?,
        identifiers,
        links,
        not_theirs,
        country_calling_code: at.text_of("country_calling_code"),
        place: at.place.clone(),
    })
}

/// A column, and its form; `short` where the column stands alone.
fn column(at: &At, short: Option<Form>) -> Option<(String, Option<Form>)> {
    match at.text() {
        Some(column) => Some((column.to_owned(), short)),
        None => Some((at.text_of("column")?, at.text_of("as").and_then(|word| Form::named(&word)))),
    }
}
