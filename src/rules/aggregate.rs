//! What is kept of rows that are erased: totals of groups, in a table of their own.

use super::{Disposition, parse::At};
use crate::{
    catalog::TablePath,
    diagnostic::{Code, Diagnostic, Place},
};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Rows are added up in another table before they go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aggregate {
    /// A table of the same database, whose rows are groups.
    pub into: TablePath,
    /// The target's columns that tell groups apart, each with what it is of a row.
    pub by: Vec<(String, GroupedBy)>,
    /// The target's columns that rows are added to.
    pub totals: Vec<(String, Total)>,
    pub smallest_group: SmallestGroup,
    /// The aggregate's node in its file.
    pub place: Place,
}

/// What of a row tells its group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupedBy {
    Column(String),
    /// The first day of the year or month that a column's time lies in, or its day.
    Calendar(CalendarUnit, String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CalendarUnit {
    Year,
    Month,
    Day,
}

impl CalendarUnit {
    pub const ALL: [Self; 3] = [Self::Year, Self::Month, Self::Day];

    /// Its word in rules, which is SQL's too.
    pub fn word(self) -> &'static str {
        match self {
            Self::Year => "year",
            Self::Month => "month",
            Self::Day => "day",
        }
    }
}

/// What is added up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Total {
    /// The rows.
    Count,
    /// The numbers in this column.
    Sum(String),
}

/// Totals of a few persons tell of each of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmallestGroup {
    /// The column that tells persons apart.
    pub persons: String,
    /// A group of fewer persons is left out.
    pub at_least: u64,
    /// The target's column that keeps the number of persons.
    pub counted_in: String,
}

impl GroupedBy {
    /// The column of the rule's table.
    pub fn column(&self) -> &str {
        match self {
            Self::Column(column) | Self::Calendar(_, column) => column,
        }
    }
}

impl fmt::Display for GroupedBy {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Column(column) => f.write_str(column),
            Self::Calendar(unit, column) => write!(f, "{} of {column}", unit.word()),
        }
    }
}

impl fmt::Display for Total {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Count => f.write_str("count of rows"),
            Self::Sum(column) => write!(f, "sum of {column}"),
        }
    }
}

impl Aggregate {
    /// The target's columns that are written, each with the place that names it.
    pub fn columns(&self) -> impl Iterator<Item = (&str, Place)> {
        let under = |key: &str, name: &str| self.place.key(key).key(name).name();
        let by = self.by.iter().map(move |(name, _)| (name.as_str(), under("by", name)));
        let totals = self.totals.iter().map(move |(name, _)| (name.as_str(), under("totals", name)));
        let counted_in = self.smallest_group.counted_in.as_str();
        by.chain(totals).chain([(counted_in, self.place.key("smallest_group").key("counted_in"))])
    }

    /// Reads what a rule says. What the language's shape has refused already is passed over in silence.
    pub(super) fn read(
        at: &At,
        table: Option<&TablePath>,
        disposition: Option<Disposition>,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Option<Self> {
        let mut error = |place: Place, message: String, help: &str| {
            diagnostics.push(Diagnostic::error(Code::BadAggregate, place, message).help(help));
        };
        if let Some(disposition) = disposition.filter(|disposition| *disposition != Disposition::Erase) {
            let message = format!("`{disposition}` leaves the rows, which nobody has to add up");
            error(at.place.name(), message, "leave `aggregate` out, or write `disposition: erase`");
        }
        let smallest_group = at.get("smallest_group")?;
        let named = |key: &str| at.get(key).map(|map| map.entries().collect::<Vec<_>>()).unwrap_or_default();
        let aggregate = Self {
            into: at.get("into")?.text()?.parse().ok()?,
            by: named("by").iter().filter_map(|(name, at)| Some(((*name).to_owned(), grouped_by(at)?))).collect(),
            totals: named("totals").iter().filter_map(|(name, at)| Some(((*name).to_owned(), total(at)?))).collect(),
            smallest_group: SmallestGroup {
                persons: smallest_group.text_of("persons")?,
                at_least: smallest_group.get("at_least")?.integer()?,
                counted_in: smallest_group.text_of("counted_in")?,
            },
            place: at.place.clone(),
        };
        if let Some(table) = table {
            if table.database != aggregate.into.database {
                let message = format!("`{}` is in another database than `{table}`", aggregate.into);
                let help = "no transaction spans two databases: name a table of the same one";
                error(at.place.key("into"), message, help);
            } else if *table == aggregate.into {
                let message = "rows cannot be added up in the table that they are erased from".to_owned();
                error(at.place.key("into"), message, "name a table of its own");
            }
        }
        let mut seen: Vec<&str> = Vec::new();
        for (name, place) in aggregate.columns() {
            if seen.contains(&name) {
                error(place, format!("`{name}` is named twice"), "give each number a column of its own");
            }
            seen.push(name);
        }
        Some(aggregate)
    }
}

fn grouped_by(at: &At) -> Option<GroupedBy> {
    if let Some(column) = at.text() {
        return Some(GroupedBy::Column(column.to_owned()));
    }
    CalendarUnit::ALL.into_iter().find_map(|unit| Some(GroupedBy::Calendar(unit, at.text_of(unit.word())?)))
}

fn total(at: &At) -> Option<Total> {
    match at.text() {
        Some("count") => Some(Total::Count),
        Some(_) => None,
        None => Some(Total::Sum(at.text_of("sum")?)),
    }
}
