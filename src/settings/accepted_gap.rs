//! `accepted_gaps` of `sunset.yaml`: personal data without a rule that somebody answers for.

use crate::{catalog::TablePath, diagnostic::Place, rules::At};
use jiff::civil::Date;

/// One entry of the list.
#[derive(Clone, Debug)]
pub struct AcceptedGap {
    pub gap: Gap,
    pub reason: String,
    pub owner: String,
    /// The last day on which it is accepted.
    pub until: Option<Date>,
    /// The entry's node in `sunset.yaml`.
    pub place: Place,
}

/// What no rule governs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gap {
    /// With no columns: the table references people and has no personal column of its own.
    Table { table: TablePath, columns: Vec<String> },
    /// Its name in `sunset.yaml`.
    Recipient(String),
}

pub(super) fn read_all(at: Option<&At>) -> Vec<AcceptedGap> {
    at.into_iter().flat_map(At::items).filter_map(|entry| read(&entry)).collect()
}

/// `None` where the shape has refused it.
fn read(at: &At) -> Option<AcceptedGap> {
    let gap = match at.text_of("table") {
        Some(table) => Gap::Table {
            table: table.parse().ok()?,
            columns: at
                .get("columns")
                .iter()
                .flat_map(At::items)
                .filter_map(|at| at.text().map(str::to_owned))
                .collect(),
        },
        None => Gap::Recipient(at.text_of("recipient")?),
    };
    let until = at.text_of("until").and_then(|day| day.parse().ok());
    Some(AcceptedGap {
        gap,
        reason: at.text_of("reason")?,
        owner: at.text_of("owner")?,
        until,
        place: at.place.clone(),
    })
}
