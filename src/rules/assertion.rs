//! Assertions: what has to hold and no rule can bring about, because it is a setting elsewhere, or must not happen at
//! all.

use super::{At, Condition, condition_of};
use crate::{
    catalog::TablePath,
    clock::period::Period,
    diagnostic::{Diagnostic, Place, Places},
    language::format,
    rules::period,
};
use std::time::Duration;

/// Of each table, so many rows are looked at where nothing is said.
const ROWS: u64 = 100_000;

/// For so long a database is looked at where nothing is said.
const TIME: Duration = Duration::from_secs(60);

#[derive(Clone, Debug)]
pub struct Assertion {
    /// Unique among the job's rules and assertions.
    pub id: String,
    /// The id of its [`Category`](super::Category).
    pub category: String,
    /// What holds, in words.
    pub statement: String,
    pub legal_basis: Option<String>,
    pub check: Check,
    /// The assertion's node in its file.
    pub place: Place,
}

/// How it is found out.
#[derive(Clone, Debug)]
pub enum Check {
    NoRows(NoRows),
    NoCardNumbers(NoCardNumbers),
    RetentionAt(RetentionAt),
    /// A person says so, and again before this is over.
    AttestedEvery(Period),
}

/// A table has no such row.
#[derive(Clone, Debug)]
pub struct NoRows {
    pub table: TablePath,
    pub condition: Option<Condition>,
    /// Columns whose time lies so far back.
    pub older_than: Vec<(String, Period)>,
}

/// Text columns hold no card numbers, as far as rows and time allow to look.
#[derive(Clone, Debug)]
pub struct NoCardNumbers {
    pub database: String,
    /// Only these; all that hold rows where it is empty.
    pub tables: Vec<TablePath>,
    /// Columns that are not looked at.
    pub except: Vec<(TablePath, String)>,
    /// Of each table.
    pub rows: u64,
    /// For all tables.
    pub time: Duration,
}

/// A recipient keeps data no longer, by its own settings.
#[derive(Clone, Debug)]
pub struct RetentionAt {
    /// Its name in the settings.
    pub recipient: String,
    pub at_most: Period,
}

impl Assertion {
    /// The database that it is about, if it is about one.
    pub fn database(&self) -> Option<&str> {
        match &self.check {
            Check::NoRows(no_rows) => Some(&no_rows.table.database),
            Check::NoCardNumbers(no_cards) => Some(&no_cards.database),
            Check::RetentionAt(_) | Check::AttestedEvery(_) => None,
        }
    }

    /// Reads what the shape has not refused; `source` is the file's text.
    pub(super) fn read(at: &At, places: &Places, diagnostics: &mut Vec<Diagnostic>) -> Option<Self> {
        let check = if let Some(at) = at.get("no_rows") {
            let table: TablePath = at.get("table")?.text()?.parse().ok()?;
            let condition = at.get("where");
            let condition = condition.and_then(|condition| condition_of(&condition, &table, places, diagnostics));
            let older_than = at.get("older_than");
            let older_than = older_than.iter().flat_map(At::entries);
            let older_than = older_than.filter_map(|(column, at)| Some((column.to_owned(), period(&at)?))).collect();
            Check::NoRows(NoRows { table, condition, older_than })
        } else if let Some(at) = at.get("no_card_numbers") {
            let texts =
                |key| at.get(key).iter().flat_map(At::items).filter_map(|at| Some(at.text()?.to_owned())).collect();
            let (tables, except): (Vec<String>, Vec<String>) = (texts("tables"), texts("except"));
            let column = |text: &String| {
                let (table, column) = text.rsplit_once('.')?;
                Some((table.parse().ok()?, column.to_owned()))
            };
            Check::NoCardNumbers(NoCardNumbers {
                database: at.text_of("database")?,
                tables: tables.iter().filter_map(|table| table.parse().ok()).collect(),
                except: except.iter().filter_map(column).collect(),
                rows: at.get("rows").and_then(|rows| rows.integer()).unwrap_or(ROWS),
                time: at.get("time").and_then(|time| format::duration(time.text()?)).unwrap_or(TIME),
            })
        } else if let Some(at) = at.get("retention_at") {
            Check::RetentionAt(RetentionAt {
                recipient: at.text_of("recipient")?,
                at_most: period(&at.get("at_most")?)?,
            })
        } else {
            Check::AttestedEvery(period(&at.get("attested_every")?)?)
        };
        Some(Self {
            id: at.text_of("id")?,
            category: String::new(),
            statement: at.text_of("statement")?,
            legal_basis: at.text_of("legal_basis"),
            check,
            place: at.place.clone(),
        })
    }
}
