//! People as arguments name them: `--subject` with `--key`, `--find` or `--find-file`.

use super::Stop;
use crate::{
    catalog::Table,
    cli::PersonArgs,
    job::Job,
    language::shape::nearest,
    plan::{
        self, OpenDatabase,
        subject::{self, Named, NotOne, Person, Values},
    },
    settings::Subject,
};
use std::io::Read as _;

/// A person, with the open database of the home row.
pub(super) struct FoundPerson {
    pub person: Person,
    pub home: OpenDatabase,
    pub table: Table,
    pub values: Values,
}

/// The subject that the arguments name.
///
/// # Errors
/// `sunset.yaml` has no such subject.
pub(super) fn subject_of<'a>(job: &'a Job, name: &str) -> anyhow::Result<&'a Subject> {
    if let Some(subject) = job.settings.subjects.get(name) {
        return Ok(subject);
    }
    let known = || job.settings.subjects.keys().map(String::as_str);
    let help = match nearest(known(), name) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known().next().is_none() => "it has no `subjects` (docs/subjects.md)".to_owned(),
        None => format!("it has {}", known().collect::<Vec<_>>().join(", ")),
    };
    Err(Stop::invalid(format!("subject `{name}` is not in sunset.yaml: {help}")))
}

/// Who is named: a key, or identifiers.
///
/// # Errors
/// Neither is there, or what should have identifiers cannot be read.
pub(super) fn named(args: &PersonArgs, key: &[String]) -> anyhow::Result<Named> {
    if !key.is_empty() {
        return Ok(Named::Key(key.to_vec()));
    }
    let mut lines = Vec::new();
    let mut take = |text: &str| lines.extend(text.lines().map(str::to_owned).filter(|line| !line.trim().is_empty()));
    if let Some(path) = &args.find_file {
        let text = std::fs::read_to_string(path)
            .map_err(|error| Stop::invalid(format!("{} cannot be read: {error}", path.display())))?;
        take(&text);
    }
    for find in &args.find {
        if find != "-" {
            take(find);
            continue;
        }
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .map_err(|error| Stop::invalid(format!("standard input cannot be read: {error}")))?;
        take(&text);
    }
    let mut identifiers = Vec::new();
    for line in lines {
        // a line that is none may be an identifier's value alone, and is not shown
        let Some((name, value)) = line.split_once('=').filter(|(_, value)| !value.trim().is_empty()) else {
            return Err(Stop::invalid(
                "what names a person is written identifier=value, such as email=taro@example.com",
            ));
        };
        identifiers.push((name.trim().to_owned(), value.to_owned()));
    }
    match identifiers.is_empty() {
        true => Err(Stop::invalid("who is meant? name the person with --key, --find or --find-file")),
        false => Ok(Named::Identifiers(identifiers)),
    }
}

/// Why nobody is named for certain, and what to do.
pub(super) fn refused(not_one: &NotOne) -> anyhow::Error {
    match not_one {
        NotOne::Number { number, .. } if *number > 1 => {
            Stop::invalid(format!("{not_one}: add another identifier, or name the person with --key"))
        }
        not_one => Stop::invalid(not_one.to_string()),
    }
}

/// The person, if it is exactly one.
///
/// # Errors
/// It is not, or the home database cannot be asked.
pub(super) async fn locate(job: &Job, subject: &Subject, named: &Named) -> anyhow::Result<FoundPerson> {
    let name = &subject.home.database;
    let Some(settings) = job.settings.databases.get(name) else {
        return Err(Stop::invalid(format!("database `{name}` is not in sunset.yaml")));
    };
    let mut home = plan::open_database(settings, &job.settings.pace).await?;
    let person = match subject::find(subject, &mut home, named).await? {
        Ok(person) => person,
        Err(not_one) => return Err(refused(&not_one)),
    };
    let table = subject::home_of(subject, &home.catalog).map_err(Stop::invalid)?.clone();
    let values = subject::values(subject, &mut home, &person.key).await?.map_err(Stop::invalid)?;
    let values = values.ok_or_else(|| Stop::invalid(format!("{} has no row with this key", subject.home)))?;
    Ok(FoundPerson { person, home, table, values })
}
