//! Whether what links rows to a person is that person's alone, for whatever takes rows away.
//!
//! A hold may find a row too many, so [`linked`](super::linked) compares values broadly. Whoever has rows erased may not: the
//! values that such rows really have are read, and each is looked up in the home tables, the way back. Only where exactly this
//! person is found do the rows count, and only those with exactly these values.

use super::{Comparison, FoundPerson, Known, Persons, home_of, linked, table_of, values::trimmed};
use crate::{
    anonymize::Technique,
    catalog::{Column, ColumnKind, Table, TablePath},
    database::{Error, KeyColumn, Rows, Spelled, Spelling, spelling, statements},
    job::Job,
    plan::{
        interplay::names::{Live, Names as _},
        open::OpenDatabase,
    },
    rules::Dependent,
    settings::{Subject, SubjectLink},
    sql::{Sql, Statement},
};
use std::collections::{BTreeMap, BTreeSet};

/// More values than these under one link of one person are not looked up: nobody spells a value in so many ways.
const MOST_VALUES: usize = 64;
/// Servers do not know the capitals of letters that are not ASCII alike.
const MOST_FOREIGN_LETTERS: usize = 4;

/// What a link says of one person.
pub(in crate::plan) enum Claimed {
    /// These rows, if any, have values that nobody else has.
    Theirs(Option<Rows>),
    /// Nobody can tell whose the rows are.
    Unclear(&'static str),
}

/// A look-up that tells whether a value is still one person's alone.
pub(super) struct Alone {
    /// The database of the home table that is asked.
    database: String,
    statement: Statement,
    whose: Whose,
}

/// Who may be found by a value.
#[derive(Clone)]
enum Whose {
    Nobodys,
    /// This row is found, and no other.
    Only(Vec<String>),
    /// No other row is found.
    OnlyOrNobodys(Vec<String>),
}

impl Whose {
    fn is_right(&self, found: &[Vec<String>]) -> bool {
        match (self, found) {
            (Self::Nobodys | Self::OnlyOrNobodys(_), []) => true,
            (Self::Only(key) | Self::OnlyOrNobodys(key), [one]) => key == one,
            _ => false,
        }
    }
}

impl Persons {
    /// What the links of a request's person say, by their positions. The look-ups that this rests on are kept, and asked anew by
    /// [`Persons::are_unchanged`].
    ///
    /// # Errors
    /// A database fails; inside: nobody can tell which rows are theirs, in words.
    pub(in crate::plan) async fn claim(
        &mut self,
        job: &Job,
        (request, key): (u64, &[String]),
        databases: &mut BTreeMap<String, OpenDatabase>,
    ) -> Result<Result<BTreeMap<usize, Claimed>, String>, Error> {
        let Some(at) = self.found.iter().position(|person| person.hold == request) else {
            return Ok(Ok(BTreeMap::new()));
        };
        let Ok(known) = &self.found[at].outcome else { return Ok(Ok(BTreeMap::new())) };
        let subject = known.subject.clone();
        let (mut claimed, mut kept) = (BTreeMap::new(), Vec::new());
        for (position, link) in subject.links.iter().enumerate() {
            if !databases.contains_key(&link.table.database) {
                continue;
            }
            let doubtful = is_doubtful(job, databases, &subject, link);
            let FoundPerson { outcome: Ok(known), .. } = &self.found[at] else { break };
            let Some(open) = databases.get_mut(&link.table.database) else { continue };
            let table = match table_of(&open.catalog, &link.table) {
                Ok(table) => table.clone(),
                Err(why) => return Ok(Err(why)),
            };
            let (engine, dialect) = (open.catalog.engine, open.dialect);
            let is_home = |other: &Subject| {
                let names = Live(databases);
                names.table(&other.home).is_some_and(|home| Some(home) == names.table(&link.table))
            };
            if job.settings.subjects.values().any(is_home) {
                claimed.insert(position, Claimed::Unclear("its rows are persons themselves"));
                continue;
            }
            let held = match linked(known, link, &table, engine) {
                Ok(Some(held)) => held,
                Ok(None) => {
                    claimed.insert(position, Claimed::Theirs(None));
                    continue;
                }
                Err(why) => return Ok(Err(why)),
            };
            if let Some(why) = doubt_of_home(known, link, &doubtful) {
                claimed.insert(position, Claimed::Unclear(why));
                continue;
            }
            let condition = held.rows.sql(dialect, &dialect.row(&table.name));
            let Some(open) = databases.get_mut(&link.table.database) else { continue };
            let own = match values_of(open, &table, link, &condition).await? {
                Ok(values)
                    if values.iter().flatten().any(|value| doubtful.theirs.iter().any(|made| made.fits(value))) =>
                {
                    Err("a rule writes such values into their column")
                }
                values => values,
            };
            let values = match own {
                Ok(values) => values,
                Err(why) => {
                    claimed.insert(position, Claimed::Unclear(why));
                    continue;
                }
            };
            let mut look_ups = Vec::new();
            let mut unclear = None;
            for other in job.settings.subjects.values() {
                if let Some(unavailable) = self.open(job, &other.home.database).await {
                    return Ok(Err(format!(
                        "{} cannot be asked whether somebody there has the same values: {}",
                        other.home, unavailable.reason
                    )));
                }
                let same = Live(databases).table(&link.table);
                let is_own = |at: usize| other.name == subject.name && at == position;
                let links = other.links.iter().enumerate().filter(|(at, theirs)| {
                    // another link of the person's own compares the same column with another one of theirs; one by other columns
                    // is asked for row by row
                    let is_another = other.name != subject.name || names_of(theirs) == names_of(link);
                    !is_own(*at) && is_another && same.is_some() && Live(databases).table(&theirs.table) == same
                });
                for (_, theirs) in links.collect::<Vec<_>>() {
                    let Some(open) = databases.get_mut(&link.table.database) else { continue };
                    let whose = match other.name == subject.name {
                        true => Whose::OnlyOrNobodys(key.to_vec()),
                        false => Whose::Nobodys,
                    };
                    match values_of(open, &table, theirs, &condition).await? {
                        Ok(values) => look_ups.push((other, theirs, values, whose)),
                        Err(why) => unclear = Some(why),
                    }
                }
            }
            look_ups.push((&subject, link, values.clone(), Whose::Only(key.to_vec())));
            let mut alone = Vec::new();
            for (subject, link, values, whose) in look_ups {
                match self.look_back(subject, (link, &table), &values, &whose) {
                    Ok(found) => alone.extend(found),
                    Err(why) => unclear = Some(why),
                }
            }
            for look_up in &alone {
                if unclear.is_none() && !self.holds_true(look_up).await? {
                    unclear = Some("somebody else has such a value too");
                }
            }
            claimed.insert(
                position,
                match unclear {
                    Some(why) => Claimed::Unclear(why),
                    None => {
                        kept.extend(alone);
                        let Rows::Spelled(broad) = held.rows else { continue };
                        Claimed::Theirs(Some(Rows::Spelled(
                            broad.into_iter().chain(exactly(&table, link, &values)).collect(),
                        )))
                    }
                },
            );
        }
        self.found[at].alone = kept;
        Ok(Ok(claimed))
    }

    /// The look-ups in a subject's home table of all values that a row of the linked table may have.
    fn look_back(
        &mut self,
        subject: &Subject,
        (link, theirs): (&SubjectLink, &Table),
        values: &[Vec<String>],
        whose: &Whose,
    ) -> Result<Vec<Alone>, &'static str> {
        let database = &subject.home.database;
        let Some(home) = self.homes.get(database) else { return Err("a home table is not there") };
        let Ok(table) = home_of(subject, &home.catalog) else { return Err("a home table is not there") };
        if table.row_security {
            return Err("row security hides persons of a home table");
        }
        let (dialect, engine) = (home.dialect, home.catalog.engine);
        let row = dialect.row(&table.name);
        let key: Vec<_> = table.key_columns().map(KeyColumn::from).collect();
        let mut look_ups = Vec::new();
        for combination in combinations(values) {
            let mut pieces = Vec::new();
            for (column, value) in link.columns.iter().zip(&combination) {
                let (Some(ours), Some(theirs)) = (table.column(&column.ours), theirs.column(&column.theirs)) else {
                    return Err("a column is not there");
                };
                if value
                    .chars()
                    .filter(|letter| letter.is_alphabetic() && !letter.is_ascii() && has_case(*letter))
                    .count()
                    > MOST_FOREIGN_LETTERS
                    || value.chars().any(is_odd)
                {
                    return Err("a value has capitals that servers compare differently");
                }
                let calling_code = subject.country_calling_code.as_deref();
                // the way back: the other table's value is looked for in the home table
                let comparison = Comparison { ours: theirs, theirs: ours, form: column.form, engine, calling_code };
                pieces.extend(comparison.spelled(value).map(|spelled| spelled.sql(dialect, &row)));
            }
            match (pieces.len() == link.columns.len(), whose) {
                (true, _) => {
                    let condition = Sql::all(&pieces).hidden();
                    let statement = statements::keys_where(dialect, &table.name, &key, &condition, 2);
                    look_ups.push(Alone { database: database.clone(), statement, whose: whose.clone() });
                }
                // no row of that home table can have it
                (false, Whose::Nobodys | Whose::OnlyOrNobodys(_)) => {}
                (false, Whose::Only(_)) => return Err("a value of theirs is none in the home table"),
            }
        }
        Ok(look_ups)
    }

    /// Whoever is found is the one who may be.
    pub(super) async fn holds_true(&mut self, look_up: &Alone) -> Result<bool, Error> {
        let Some(home) = self.homes.get_mut(&look_up.database) else { return Ok(false) };
        let found = super::persons::ask_home(home, &look_up.statement).await?;
        let found = found.into_iter().map(|row| row.into_iter().map(Option::unwrap_or_default).collect::<Vec<_>>());
        Ok(look_up.whose.is_right(&found.collect::<Vec<_>>()))
    }
}

/// What the rows have in the columns of a link, each combination once. Rows without any value are left out.
async fn values_of(
    open: &mut OpenDatabase,
    table: &Table,
    link: &SubjectLink,
    condition: &Sql,
) -> Result<Result<Vec<Vec<String>>, &'static str>, Error> {
    let columns: Vec<&Column> = link.columns.iter().filter_map(|column| table.column(&column.theirs)).collect();
    if columns.len() != link.columns.len() {
        return Ok(Err("a column is not there"));
    }
    let statement = statements::distinct_shown(open.dialect, &table.name, &columns, condition, MOST_VALUES + 1);
    let rows = open.connection.fetch(&statement).await?;
    if rows.len() > MOST_VALUES {
        return Ok(Err("their values are spelled in too many ways"));
    }
    let engine = open.catalog.engine;
    let read = |(column, shown): (&&Column, Option<String>)| spelling::read(engine, column, shown.unwrap_or_default());
    let values = rows.into_iter().map(|row| columns.iter().zip(row).map(read).collect::<Vec<_>>());
    let values: BTreeSet<_> = values.filter(|values| values.iter().all(|value| !trimmed(value).is_empty())).collect();
    Ok(Ok(values.into_iter().collect()))
}

/// The columns that a link compares with those of the home table.
fn names_of(link: &SubjectLink) -> BTreeSet<&str> {
    link.columns.iter().map(|column| column.theirs.as_str()).collect()
}

/// Every combination of the columns' values.
fn combinations(values: &[Vec<String>]) -> Vec<Vec<String>> {
    let columns = values.first().map_or(0, Vec::len);
    let mut all = vec![Vec::new()];
    for column in 0..columns {
        let of_column: BTreeSet<_> = values.iter().map(|row| &row[column]).collect();
        all = all
            .into_iter()
            .flat_map(|start| {
                of_column.iter().map(move |value| start.iter().cloned().chain([(*value).clone()]).collect())
            })
            .take(MOST_VALUES * MOST_VALUES)
            .collect();
    }
    if columns == 0 { Vec::new() } else { all }
}

/// The columns have exactly these values.
fn exactly(table: &Table, link: &SubjectLink, values: &[Vec<String>]) -> Vec<Spelled> {
    let columns = link.columns.iter().enumerate().filter_map(|(position, column)| {
        let column = table.column(&column.theirs)?;
        let spelling = if column.kind == ColumnKind::Bytes { Spelling::Bytes } else { Spelling::Trimmed };
        let texts: BTreeSet<_> = values.iter().map(|row| trimmed(&row[position])).collect();
        Some(Spelled {
            column: KeyColumn::from(column),
            spelling,
            texts: texts.into_iter().collect(),
            values: Vec::new(),
        })
    });
    columns.collect()
}

/// It is no small or capital letter of the usual sort: it would not come back from the other one.
fn is_odd(letter: char) -> bool {
    let small: String = letter.to_lowercase().collect();
    let capital: String = letter.to_uppercase().collect();
    let back = small.to_uppercase() == capital && capital.to_lowercase() == small;
    let is_one = small == letter.to_string() || capital == letter.to_string();
    !(letter.is_ascii() || back && is_one)
}

fn has_case(letter: char) -> bool {
    letter.to_uppercase().next() != Some(letter) || letter.to_lowercase().next() != Some(letter)
}

/// What rules write into the columns of a link: who has such a value may have it from there.
struct Doubtful {
    /// By column of the home table.
    ours: Vec<(String, Made)>,
    theirs: Vec<Made>,
}

/// Values that a technique makes of others.
enum Made {
    /// Any value may be one.
    Any,
    /// It has stars.
    Masked,
    /// It begins and ends so.
    Constant(String, String),
}

impl Made {
    /// What different values can become.
    fn by(technique: &Technique) -> Option<Self> {
        match technique {
            // nothing is left to link by, or as much as before
            Technique::Suppress | Technique::Hash(_) => None,
            Technique::Mask(_) => Some(Self::Masked),
            Technique::Replace(text) => {
                let text = trimmed(text).to_lowercase();
                let (start, end) =
                    text.split_once("{key}").map_or((text.as_str(), None), |(start, end)| (start, Some(end)));
                Some(Self::Constant(start.to_owned(), end.unwrap_or(start).to_owned()))
            }
            Technique::Generalize(_)
            | Technique::Truncate(_)
            | Technique::TopCode(_)
            | Technique::BottomCode(_)
            | Technique::Tokenize(_)
            | Technique::Copy(_) => Some(Self::Any),
        }
    }

    fn fits(&self, value: &str) -> bool {
        let value = trimmed(value).to_lowercase();
        match self {
            Self::Any => true,
            Self::Masked => value.contains('*'),
            Self::Constant(start, end) => value.starts_with(start.as_str()) && value.ends_with(end.as_str()),
        }
    }
}

fn is_doubtful(
    job: &Job,
    databases: &BTreeMap<String, OpenDatabase>,
    subject: &Subject,
    link: &SubjectLink,
) -> Doubtful {
    let made = |path: &TablePath, column: &str| -> Vec<Made> {
        let names = Live(databases);
        let (table, column) = (names.table(path), names.column(path, column));
        let is_same = |other: &TablePath| table.is_some() && names.table(other) == table || *other == *path;
        let is_column = |of: &TablePath, name: &str| names.column(of, name) == column;
        let mut made = Vec::new();
        for rule in job.rules() {
            if is_same(&rule.table) {
                let own = rule.columns.iter().filter(|(name, _)| is_column(&rule.table, name));
                made.extend(own.filter_map(|(_, technique)| Made::by(technique)));
            }
            for dependent in rule.dependents.iter().filter(|dependent| is_same(&dependent.table)) {
                let Dependent::Anonymize(columns) = &dependent.fate else { continue };
                let own = columns.iter().filter(|(name, _)| is_column(&dependent.table, name));
                made.extend(own.filter_map(|(_, technique)| Made::by(technique)));
            }
        }
        made
    };
    let ours = link
        .columns
        .iter()
        .flat_map(|column| made(&subject.home, &column.ours).into_iter().map(|made| (column.ours.clone(), made)));
    let theirs = link.columns.iter().flat_map(|column| made(&link.table, &column.theirs));
    Doubtful { ours: ours.collect(), theirs: theirs.collect() }
}

fn doubt_of_home(known: &Known, link: &SubjectLink, doubtful: &Doubtful) -> Option<&'static str> {
    let is_made = |column: &str| {
        let value = known.values.of(column);
        doubtful.ours.iter().any(|(name, made)| name == column && made.fits(value))
    };
    link.columns.iter().any(|column| is_made(&column.ours)).then_some("a rule writes such values into the home table")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::anonymize::Mask;

    #[test]
    fn what_a_rule_writes_may_be_anybodys() {
        let fits = |technique: &Technique, value: &str| Made::by(technique).is_some_and(|made| made.fits(value));
        let replace = |text: &str| Technique::Replace(text.to_owned());
        assert!(fits(&replace("Gone"), " gone ") && !fits(&replace("gone"), "gone by"));
        assert!(fits(&replace("u{key}@x.jp"), "u42@x.jp") && !fits(&replace("u{key}@x.jp"), "taro@x.jp"));
        assert!(fits(&Technique::Mask(Mask::default()), "***1234") && !fits(&Technique::Mask(Mask::default()), "1234"));
        assert!(!fits(&Technique::Suppress, "x"));
    }

    #[test]
    fn letters_that_do_not_come_back_are_odd() {
        assert!(['\u{212a}', 'ß', 'İ', 'ſ'].into_iter().all(is_odd));
        assert!(!['k', 'ä', 'Ä', '山', 'Ж', 'Ａ'].into_iter().any(is_odd));
    }

    #[test]
    fn each_column_may_have_each_of_its_values() {
        let row = |texts: [&str; 2]| texts.map(str::to_owned).to_vec();
        assert_eq!(combinations(&[row(["a", "1"]), row(["b", "2"])]).len(), 4);
        assert_eq!(combinations(&[]), Vec::<Vec<String>>::new());
    }
}
