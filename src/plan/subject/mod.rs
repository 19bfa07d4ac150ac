//! The person: who a subject of `sunset.yaml` means in the live databases, and which rows are about them.
//!
//! Holds, `sunset why` and whatever else is about people come here. [`find`] turns a key or an identifier into one
//! [`Person`]; [`values`] looks up what the home row says; [`linked`] makes of it the rows of other tables that have the
//! same values, as [`HeldRows`] to be asked for. What belongs to rows over foreign keys is the business of
//! [`Bound`](super::Bound). [`Persons`] does all of this for the holds of a job. Values of people live in memory only.

mod alone;
mod check;
mod persons;
mod values;

pub(super) use alone::Claimed;
pub use check::{check, databases_of};
pub(super) use persons::{FoundPerson, Known};
pub use persons::{Persons, doubts, links_of};
pub use values::{Comparison, Incomparable};

use crate::{
    catalog::{Catalog, Engine, Table, TableKind, TablePath},
    database::{Error, ErrorKind, HeldRows, KeyColumn, Row, Rows, Spelled, spelling, statements},
    language::format,
    plan::open::OpenDatabase,
    settings::{LinkedColumn, Subject, SubjectLink},
    sql::{Sql, Statement},
};
use std::collections::{BTreeMap, BTreeSet};

/// One person.
#[derive(Clone, PartialEq, Eq)]
pub struct Person {
    /// The subject's name in `sunset.yaml`.
    pub subject: String,
    /// The home row's primary key, as the server prints it.
    pub key: Vec<String>,
}

/// Keys may be personal.
impl std::fmt::Debug for Person {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "Person({}, …)", self.subject)
    }
}

/// How somebody is named.
#[derive(Clone, PartialEq, Eq)]
pub enum Named {
    Key(Vec<String>),
    /// By identifiers of the subject, all of which have to be theirs: name and value.
    Identifiers(Vec<(String, String)>),
}

/// Nobody can be named for certain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotOne {
    #[error("the subject `{0}` has no identifier {1}; it has {2}")]
    UnknownIdentifier(String, String, String),
    #[error("the key of {table} has {wanted} values ({names}), {given} given")]
    KeyLength { table: String, wanted: usize, names: String, given: usize },
    /// The number of persons: none, or several.
    #[error("{} of {table} are meant, and one has to be", persons(*number))]
    Number { table: String, number: u64 },
    #[error("{0}")]
    Home(String),
}

fn persons(number: u64) -> String {
    match number {
        0 => "no row".to_owned(),
        number => format!("{number} rows"),
    }
}

/// What a person's home row says in the columns that links compare. `None`: the column has no value.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Values(BTreeMap<String, Option<String>>);

impl std::fmt::Debug for Values {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Values {
    /// What the statement of [`look_up`] has found.
    fn read(engine: Engine, table: &Table, names: &[String], row: Row) -> Self {
        let value = |(name, shown): (&String, Option<String>)| {
            let column = table.column(name)?;
            Some((name.clone(), shown.map(|shown| spelling::read(engine, column, shown))))
        };
        Self(names.iter().zip(row).filter_map(value).collect())
    }

    /// The column's value; empty where it has none.
    pub fn of(&self, column: &str) -> &str {
        self.0.get(column).and_then(Option::as_deref).unwrap_or_default()
    }
}

/// The table that a path of a subject means: the partitioned one for a partition.
///
/// # Errors
/// There is none, or it has no rows of its own, in words.
pub fn table_of<'a>(catalog: &'a Catalog, path: &TablePath) -> Result<&'a Table, String> {
    let table =
        catalog.table(path.schema.as_deref(), &path.table).ok_or_else(|| format!("{path} is no longer there"))?;
    if table.kind == TableKind::View {
        return Err(format!("{path} is a view or foreign table, which has no rows of its own"));
    }
    Ok(table.partition_of.as_ref().and_then(|root| catalog.get(root)).unwrap_or(table))
}

/// The subject's home table.
///
/// # Errors
/// There is none with a primary key, in words.
pub fn home_of<'a>(subject: &Subject, catalog: &'a Catalog) -> Result<&'a Table, String> {
    let table = table_of(catalog, &subject.home)?;
    match table.primary_key.is_empty() {
        true => Err(format!("{} has no primary key", subject.home)),
        false => Ok(table),
    }
}

/// Who is meant. `home` is the database of the subject's home table.
///
/// # Errors
/// The database fails; inside: it is not exactly one person.
pub async fn find(subject: &Subject, home: &mut OpenDatabase, named: &Named) -> Result<Result<Person, NotOne>, Error> {
    let OpenDatabase { connection, catalog, dialect, .. } = home;
    let table = match home_of(subject, catalog) {
        Ok(table) => table,
        Err(why) => return Ok(Err(NotOne::Home(why))),
    };
    let key: Vec<_> = table.key_columns().map(KeyColumn::from).collect();
    let row = dialect.row(&table.name);
    let condition = match named {
        Named::Key(values) if values.len() == key.len() => dialect.one_of(&row, &key, std::slice::from_ref(values)),
        Named::Key(values) => {
            let names: Vec<_> = key.iter().map(|column| column.name.as_str()).collect();
            let (wanted, names, given) = (key.len(), names.join(", "), values.len());
            return Ok(Err(NotOne::KeyLength { table: table.name.to_string(), wanted, names, given }));
        }
        Named::Identifiers(identifiers) => {
            let mut pieces = Vec::new();
            for (name, value) in identifiers {
                let Some(identifier) = subject.identifiers.get(name) else {
                    let known =
                        subject.identifiers.keys().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
                    // what is no name may be a value
                    let is_name = (format::NAME.check)(name).is_ok();
                    let name = if is_name { format!("`{name}`") } else { "of that name".to_owned() };
                    return Ok(Err(NotOne::UnknownIdentifier(subject.name.clone(), name, known)));
                };
                let Some(column) = table.column(&identifier.column) else {
                    let why = format!("column `{}` is not in {}", identifier.column, table.name);
                    return Ok(Err(NotOne::Home(why)));
                };
                let calling_code = subject.country_calling_code.as_deref();
                let (form, engine) = (identifier.form, catalog.engine);
                let written = written(column);
                let comparison = Comparison { ours: &written, theirs: column, form, engine, calling_code };
                pieces.push(match comparison.spelled(value) {
                    Some(spelled) => spelled.sql(*dialect, &row),
                    None => Sql::new("1 = 0"),
                });
            }
            Sql::all(&pieces)
        }
    };
    let condition = condition.hidden();
    let found = connection.fetch(&statements::keys_where(*dialect, &table.name, &key, &condition, 2)).await;
    let found = match found {
        // the server cannot read the text as a key
        Err(error) if error.kind == ErrorKind::Other && matches!(named, Named::Key(_)) => Vec::new(),
        found => found?,
    };
    if let [one] = found.as_slice() {
        let key = one.iter().map(|value| value.clone().unwrap_or_default()).collect();
        return Ok(Ok(Person { subject: subject.name.clone(), key }));
    }
    let number = match found.is_empty() {
        true => 0,
        false => {
            let count = connection.fetch(&statements::count_where(*dialect, &table.name, &condition)).await?;
            count.into_iter().flatten().next().flatten().and_then(|text| text.parse().ok()).unwrap_or(2)
        }
    };
    Ok(Err(NotOne::Number { table: table.name.to_string(), number }))
}

/// A column that has what somebody writes: text.
fn written(column: &crate::catalog::Column) -> crate::catalog::Column {
    let codec = crate::catalog::Codec::of(crate::catalog::Values::Text, "text");
    crate::catalog::Column { codec, kind: crate::catalog::ColumnKind::Text, ..column.clone() }
}

/// The statement that reads what a person's home row says in the columns that links compare.
fn look_up(subject: &Subject, home: &OpenDatabase, key: &[String]) -> Result<(Vec<String>, Statement), String> {
    let table = home_of(subject, &home.catalog)?;
    let key_columns: Vec<_> = table.key_columns().map(KeyColumn::from).collect();
    if key_columns.len() != key.len() {
        return Err(format!("its key does not fit the primary key of {}", subject.home));
    }
    let mut names: Vec<_> =
        subject.links.iter().flat_map(|link| &link.columns).map(|column| column.ours.clone()).collect();
    names.sort();
    names.dedup();
    let mut columns = Vec::new();
    for name in &names {
        let column =
            table.column(name).ok_or_else(|| format!("column `{name}` of {} is no longer there", subject.home))?;
        columns.push(column);
    }
    Ok((names, statements::shown_where(home.dialect, &table.name, &columns, (&key_columns, key))))
}

/// What the person's home row says now; `None` without such a row.
///
/// # Errors
/// The database fails, or (inside) the schema has no such table or column, in words.
pub async fn values(
    subject: &Subject,
    home: &mut OpenDatabase,
    key: &[String],
) -> Result<Result<Option<Values>, String>, Error> {
    let (names, statement) = match look_up(subject, home, key) {
        Ok(look_up) => look_up,
        Err(why) => return Ok(Err(why)),
    };
    let row = home.connection.fetch(&statement).await?.into_iter().next();
    let table = match home_of(subject, &home.catalog) {
        Ok(table) => table,
        Err(why) => return Ok(Err(why)),
    };
    Ok(Ok(row.map(|row| Values::read(home.catalog.engine, table, &names, row))))
}

/// What tells the person of a home row from somebody else who gets the row's key: the values of all columns that identify or
/// link people, each with its name. Empty where the row has none of them.
///
/// # Errors
/// The database fails, or (inside) there is no such row or column, in words.
pub async fn identity(
    subject: &Subject,
    home: &mut OpenDatabase,
    key: &[String],
) -> Result<Result<Vec<String>, String>, Error> {
    let table = match home_of(subject, &home.catalog) {
        Ok(table) => table,
        Err(why) => return Ok(Err(why)),
    };
    let identifiers = subject.identifiers.values().map(|identifier| &identifier.column);
    let linking = subject.links.iter().flat_map(|link| &link.columns).map(|column| &column.ours);
    // whoever gets the key has what the key says
    let tells = |name: &&String| !table.primary_key.contains(name);
    let names: BTreeSet<_> = identifiers.chain(linking).filter(tells).collect();
    let mut columns = Vec::new();
    for name in &names {
        match table.column(name) {
            Some(column) => columns.push(column),
            None => return Ok(Err(format!("column `{name}` of {} is no longer there", subject.home))),
        }
    }
    let key_columns: Vec<_> = table.key_columns().map(KeyColumn::from).collect();
    let statement = statements::shown_where(home.dialect, &table.name, &columns, (&key_columns, key));
    let Some(row) = home.connection.fetch(&statement).await?.into_iter().next() else {
        return Ok(Err(format!("{} has no row with its key any more", subject.home)));
    };
    let values = names.iter().zip(row).filter_map(|(name, value)| Some((name, value?)));
    let values = values.filter(|(_, value)| !value.trim().is_empty());
    Ok(Ok(values.map(|(name, value)| format!("{name}={value}")).collect()))
}

/// The columns that a link compares, of an open database.
///
/// # Errors
/// A table or column is not there, or they cannot be compared, in words.
pub fn comparisons<'a>(
    subject: &'a Subject,
    link: &'a SubjectLink,
    home: &'a Table,
    (theirs, engine): (&'a Table, Engine),
) -> Result<Vec<(&'a LinkedColumn, Comparison<'a>)>, String> {
    let mut comparisons = Vec::new();
    for column in &link.columns {
        let gone = |name: &str, table: &TablePath| format!("column `{name}` of {table} is no longer there");
        let ours = home.column(&column.ours).ok_or_else(|| gone(&column.ours, &subject.home))?;
        let theirs = theirs.column(&column.theirs).ok_or_else(|| gone(&column.theirs, &link.table))?;
        let calling_code = subject.country_calling_code.as_deref();
        let comparison = Comparison { ours, theirs, form: column.form, engine, calling_code };
        comparison.check().map_err(|Incomparable(why)| format!("{}: {why}", link.table))?;
        comparisons.push((column, comparison));
    }
    Ok(comparisons)
}

/// The rows of the linked table with the person's values. `None` where no row can have them: a value is none.
///
/// # Errors
/// As [`comparisons`].
pub fn linked_rows(
    subject: &Subject,
    link: &SubjectLink,
    (home, values): (&Table, &Values),
    (theirs, engine): (&Table, Engine),
) -> Result<Option<HeldRows>, String> {
    let mut columns: Vec<Spelled> = Vec::new();
    for (column, comparison) in comparisons(subject, link, home, (theirs, engine))? {
        match comparison.spelled(values.of(&column.ours)) {
            Some(spelled) => columns.push(spelled),
            None => return Ok(None),
        }
    }
    Ok(Some(HeldRows { rows: Rows::Spelled(columns), alone: false }))
}

/// The same for a person who has been looked up.
pub(super) fn linked(
    known: &Known,
    link: &SubjectLink,
    theirs: &Table,
    engine: Engine,
) -> Result<Option<HeldRows>, String> {
    linked_rows(&known.subject, link, (&known.home, &known.values), (theirs, engine))
}
