//! The assertion that no card number is in a database: which columns can hold one, and the search through them.
//!
//! It holds only where everything was looked at. A column that cannot be searched, a table that cannot be read to its end,
//! and a text that is too long make it unknown, and are named.

use super::{Verdict, card_numbers, fails, holds, readable_table};
use crate::{
    catalog::{Codec, Column, ColumnKind, Engine, Table, TableKind, TableName},
    database::{
        self, ErrorKind, KeyColumn, Row,
        scan::{self, Form, Found, Searched},
    },
    diagnostic::Diagnostic,
    plan::{find::find_column, find_table, open::OpenDatabase},
    rules::{Assertion, NoCardNumbers},
};
use std::{collections::BTreeSet, time::Instant};

/// Rows of a page.
const PAGE: u64 = 500;

/// A table without a key cannot be read page by page: so many of its rows at most.
const MOST_WITHOUT_KEY: u64 = 10_000;

/// How many digits the shortest card number has.
const SHORTEST: u32 = 13;

/// How many bits it takes as a number.
const SHORTEST_IN_BITS: i64 = 40;

/// What is looked through.
pub(super) struct Search {
    tables: Vec<Searching>,
    /// Tables and columns that cannot be looked through, and why.
    unseen: Vec<String>,
}

struct Searching {
    table: TableName,
    /// As rules call it.
    path: String,
    /// Empty where it has none.
    key: Vec<KeyColumn>,
    columns: Vec<Searched>,
}

/// What one table came to.
#[derive(Default)]
struct Seen {
    rows: u64,
    /// Rows with a card number, by column.
    cards: Vec<u64>,
    /// Rows whose value is longer than what was looked at, by column.
    cut: Vec<u64>,
    /// Not all rows were read: the number of those that were.
    stopped_at: Option<u64>,
    out_of_time: bool,
}

impl Search {
    /// The columns that it reads, by table.
    pub(super) fn reads(&self) -> Vec<(TableName, Vec<String>)> {
        let of_table = |searching: &Searching| {
            let key = searching.key.iter().map(|column| &column.name);
            let columns = searching.columns.iter().map(|searched| &searched.column.name);
            (searching.table.clone(), key.chain(columns).cloned().collect())
        };
        self.tables.iter().map(of_table).collect()
    }
}

/// The tables that are named, or all that hold rows, with the columns that may hold a card number.
pub(super) fn resolve(
    open: &OpenDatabase,
    assertion: &Assertion,
    no_cards: &NoCardNumbers,
    found: &mut Vec<Diagnostic>,
) -> Search {
    let (catalog, place) = (&open.catalog, assertion.place.key("no_card_numbers"));
    let mut except = BTreeSet::new();
    for (index, (path, column)) in no_cards.except.iter().enumerate() {
        let place = place.key("except").item(index);
        let known = find_table(catalog, path, place.clone()).and_then(|table| {
            find_column(table, column, place)?;
            Ok((&table.name, column.as_str()))
        });
        match known {
            Ok(known) => drop(except.insert(known)),
            Err(diagnostic) => found.push(diagnostic),
        }
    }
    let tables: Vec<&Table> = if no_cards.tables.is_empty() {
        let holds_rows = |table: &&Table| table.kind != TableKind::View || table.holds_copies;
        catalog.tables.iter().filter(holds_rows).filter(|table| table.partition_of.is_none()).collect()
    } else {
        let named = no_cards.tables.iter().enumerate();
        named
            .filter_map(|(index, path)| readable_table(catalog, path, place.key("tables").item(index), found))
            .collect()
    };
    let mut search = Search { tables: Vec::new(), unseen: Vec::new() };
    for table in tables {
        let path = match table.name.schema == catalog.default_schema {
            true => format!("{}.{}", no_cards.database, table.name.name),
            false => format!("{}.{}", no_cards.database, table.name),
        };
        if table.row_security {
            search.unseen.push(format!("{path} (row security hides rows from this user)"));
        }
        let mut columns = Vec::new();
        for column in &table.columns {
            match form(column, catalog.engine) {
                _ if except.contains(&(&table.name, column.name.as_str())) => {}
                Some(Ok(form)) => columns.push(Searched { column: KeyColumn::from(column), form }),
                Some(Err(())) => search.unseen.push(format!("{path}.{} ({})", column.name, column.sql_type)),
                None => {}
            }
        }
        if !columns.is_empty() {
            search.tables.push(Searching { table: table.name.clone(), path, key: key(table), columns });
        }
    }
    search
}

/// SQLite's row ids are in order; a key's columns may hold anything there.
fn key(table: &Table) -> Vec<KeyColumn> {
    match &table.rowid {
        Some(rowid) => {
            vec![KeyColumn { name: rowid.clone(), codec: Codec::row_id() }]
        }
        None => table.key_columns().map(KeyColumn::from).collect(),
    }
}

/// How a column is looked through: `None` where its values are too short for a card number or have none of its digits, an
/// error where nobody can look.
fn form(column: &Column, engine: Engine) -> Option<Result<Form, ()>> {
    if engine == Engine::Sqlite {
        // the declared type keeps no value out
        return Some(Ok(Form::Any));
    }
    let sql_type = column.sql_type.to_ascii_lowercase();
    let long_enough = column.max_length.is_none_or(|length| length >= SHORTEST);
    match column.kind {
        ColumnKind::Text | ColumnKind::Json => long_enough.then_some(Ok(Form::Text)),
        ColumnKind::Bytes => long_enough.then_some(Ok(Form::Bytes)),
        ColumnKind::Enumeration => {
            let word = |word: &String| word.chars().count() >= SHORTEST as usize;
            column.words.iter().any(word).then_some(Ok(Form::Text))
        }
        ColumnKind::Integer => {
            let name = sql_type.split(['(', ' ']).next().unwrap_or_default();
            let short = ["tinyint", "smallint", "mediumint", "int", "integer", "oid", "year"];
            (!short.contains(&name)).then_some(Ok(Form::Number))
        }
        ColumnKind::Decimal => {
            whole_digits(&sql_type).is_none_or(|digits| digits >= i64::from(SHORTEST)).then_some(Ok(Form::Number))
        }
        ColumnKind::Float => Some(Ok(Form::Number)),
        ColumnKind::Boolean
        | ColumnKind::Date
        | ColumnKind::DateTime
        | ColumnKind::Instant
        | ColumnKind::Time
        | ColumnKind::Uuid
        | ColumnKind::Inet => None,
        ColumnKind::Other => Some(match engine {
            Engine::Postgres if sql_type == "money" => Ok(Form::Number),
            // what is in them shows as hexadecimal digits
            Engine::Postgres if sql_type.starts_with("bytea") => Err(()),
            Engine::Postgres if sql_type.starts_with("bit") => match whole_digits(&sql_type) {
                Some(bits) if bits < SHORTEST_IN_BITS => return None,
                _ => Err(()),
            },
            // every type of PostgreSQL has a text: arrays, ranges, rows, XML, what extensions bring
            Engine::Postgres => Ok(Form::Text),
            _ if sql_type.starts_with("bit") => Ok(Form::Number),
            _ if sql_type.starts_with("set(") => Ok(Form::Text),
            _ => Err(()),
        }),
    }
}

/// The digits before the point of `numeric(20,4)`; `None` where nothing limits them.
fn whole_digits(sql_type: &str) -> Option<i64> {
    let (_, arguments) = sql_type.split_once('(')?;
    let (arguments, _) = arguments.split_once(')')?;
    let (digits, scale) = arguments.split_once(',').unwrap_or((arguments, "0"));
    Some(digits.trim().parse::<i64>().ok()? - scale.trim().parse::<i64>().ok()?)
}

/// Looks. What cannot be read is told beside what was found elsewhere.
///
/// # Errors
/// The database fails in a way that may pass.
pub(super) async fn look(
    open: &mut OpenDatabase,
    search: &Search,
    no_cards: &NoCardNumbers,
) -> Result<Verdict, database::Error> {
    let began = Instant::now();
    let (mut rows, mut cards, mut partly, mut late) = (0_u64, Vec::new(), Vec::new(), Vec::new());
    let mut unseen = search.unseen.clone();
    for searching in &search.tables {
        let path = &searching.path;
        let seen = match look_through(open, searching, no_cards, began).await {
            Ok(seen) => seen,
            Err(error) if matches!(error.kind, ErrorKind::Privilege | ErrorKind::Other | ErrorKind::Constraint) => {
                let columns: Vec<_> = searching.columns.iter().map(|searched| searched.column.name.as_str()).collect();
                unseen.push(format!("{path}.{} ({error})", columns.join(", ")));
                continue;
            }
            Err(error) => return Err(error),
        };
        rows += seen.rows;
        for ((searched, found), cut) in searching.columns.iter().zip(seen.cards).zip(seen.cut) {
            let name = &searched.column.name;
            if found > 0 {
                cards.push(format!("{path}.{name} ({found} rows)"));
            }
            if cut > 0 {
                unseen.push(format!("{path}.{name} (beyond {} characters or bytes, {cut} rows)", scan::LONGEST));
            }
        }
        if seen.out_of_time {
            late.push(path.clone());
        }
        match seen.stopped_at {
            Some(most) if most < no_cards.rows => {
                unseen.push(format!("{path} (more than {most} rows, and no primary key to page by)"));
            }
            Some(most) => partly.push(format!("{most} of {path}")),
            None => {}
        }
    }
    let mut words = format!("{rows} rows of {} tables looked at", search.tables.len());
    if !partly.is_empty() {
        words += &format!("; no more than {}", partly.join(", "));
    }
    let unknown = |found: String| fails(crate::ledger::AssertionResult::Unknown, found);
    Ok(if !cards.is_empty() {
        let found = format!("looks like card numbers: {}; {words}", cards.join(", "));
        fails(crate::ledger::AssertionResult::Fails, found)
    } else if !late.is_empty() {
        let late = late.join(", ");
        unknown(format!("time was over before the end of {late}; {words}: give it more `time`, or name `tables`"))
    } else if !unseen.is_empty() {
        let unseen = unseen.join(", ");
        unknown(format!("not looked at: {unseen}; {words}: look there yourself, and name the columns in `except`"))
    } else {
        holds(words)
    })
}

async fn look_through(
    open: &mut OpenDatabase,
    searching: &Searching,
    no_cards: &NoCardNumbers,
    began: Instant,
) -> Result<Seen, database::Error> {
    let Searching { table, key, columns, .. } = searching;
    let most = if key.is_empty() { no_cards.rows.min(MOST_WITHOUT_KEY) } else { no_cards.rows };
    let mut seen = Seen { cards: vec![0; columns.len()], cut: vec![0; columns.len()], ..Seen::default() };
    let mut before: Option<Vec<String>> = None;
    loop {
        if began.elapsed() >= no_cards.time {
            seen.out_of_time = true;
            return Ok(seen);
        }
        // without a key, one more tells whether there are more
        let limit = if key.is_empty() { most + 1 } else { PAGE.min(most - seen.rows) };
        let statement = scan::texts(open.dialect, table, key, columns, before.as_deref(), limit);
        let mut page = open.connection.fetch(&statement).await?;
        let is_last = (page.len() as u64) < limit;
        if key.is_empty() && !is_last {
            page.pop();
        }
        seen.rows += page.len() as u64;
        page.iter().for_each(|row| seen.take(&row[key.len().min(row.len())..]));
        if is_last {
            return Ok(seen);
        }
        if seen.rows >= most || key.is_empty() {
            seen.stopped_at = Some(most);
            return Ok(seen);
        }
        before = page.last().map(|row| key_of(row, key.len()));
    }
}

fn key_of(row: &Row, columns: usize) -> Vec<String> {
    row.iter().take(columns).map(|key| key.clone().unwrap_or_default()).collect()
}

impl Seen {
    fn take(&mut self, values: &[Option<String>]) {
        for (index, value) in values.iter().enumerate() {
            let Some(value) = value else { continue };
            match Found::read(value) {
                Some(found) => {
                    self.cards[index] += u64::from(is_card(&found));
                    self.cut[index] += u64::from(found.cut);
                }
                None => self.cut[index] += 1,
            }
        }
    }
}

fn is_card(found: &Found) -> bool {
    match found.form {
        Form::Text | Form::Any => card_numbers::contains(&found.text),
        Form::Number => card_numbers::is_number(&found.text),
        Form::Bytes => hex::decode(&found.text).is_ok_and(|bytes| card_numbers::in_bytes(&bytes)),
    }
}
