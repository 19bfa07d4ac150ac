//! `requests` of `sunset.yaml`: when requests of persons have to be answered.

use crate::{
    catalog::TablePath,
    clock::period::Period,
    rules::{At, by_language, period},
};
use jiff::civil::Date;
use std::collections::BTreeMap;

/// Both periods count from the day on which a request was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestSettings {
    pub deadline: Period,
    pub warn_after: Period,
    /// Who answers, as letters have it: the company and its desk, by language.
    pub from: BTreeMap<String, String>,
    /// Columns whose values are shown to nobody, such as the digest of a password.
    pub withheld: Vec<Withheld>,
    /// How long backups are kept, for letters to say so.
    pub backups: Option<Period>,
}

impl Default for RequestSettings {
    fn default() -> Self {
        Self {
            deadline: Period { years: 0, months: 1, days: 0 },
            warn_after: Period::of_days(14),
            from: BTreeMap::new(),
            withheld: Vec::new(),
            backups: None,
        }
    }
}

impl RequestSettings {
    /// The last day on which a request that was received then is answered in time.
    pub fn due(&self, received: Date) -> Date {
        self.deadline.after_day(received)
    }

    /// Since when it is warned of.
    pub fn warned(&self, received: Date) -> Date {
        self.warn_after.after_day(received)
    }
}

/// A column that is not disclosed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Withheld {
    pub table: TablePath,
    pub column: String,
}

/// `core.customers.password_hash`.
fn column(text: &str) -> Option<Withheld> {
    let (table, column) = text.rsplit_once('.')?;
    Some(Withheld { table: table.parse().ok()?, column: column.to_owned() })
}

pub(super) fn read(at: Option<&At>) -> RequestSettings {
    let default = RequestSettings::default();
    let of = |key: &str| period(&at?.get(key)?);
    RequestSettings {
        deadline: of("deadline").unwrap_or(default.deadline),
        warn_after: of("warn_after").unwrap_or(default.warn_after),
        from: at.and_then(|at| at.get("from")).map(|from| by_language(&from)).unwrap_or_default(),
        withheld: at
            .and_then(|at| at.get("withheld"))
            .iter()
            .flat_map(At::items)
            .filter_map(|at| column(at.text()?))
            .collect(),
        backups: of("backups"),
    }
}
