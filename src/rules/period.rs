//! Periods: `5 years`, `18 months`, `90 days`, `P5Y3M`.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A length of calendar time of at least zero days. Years and months stay calendar units; weeks are days.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String")]
#[serde(try_from = "String")]
pub struct Period {
    pub years: u16,
    pub months: u16,
    pub days: u32,
}

/// Why a text is not a period, with what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct PeriodError {
    /// For example "`6m` is ambiguous".
    pub problem: String,
    /// For example "write `6 months`; units below a day are not supported".
    pub help: String,
}

impl fmt::Display for Period {
    /// In words: `5 years 3 months`, `0 days`.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let unit = |count: u32, name: &str| match count {
            0 => None,
            1 => Some(format!("1 {name}")),
            _ => Some(format!("{count} {name}s")),
        };
        let parts = [unit(self.years.into(), "year"), unit(self.months.into(), "month"), unit(self.days, "day")];
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        f.write_str(if parts.is_empty() { "0 days" } else { "" })?;
        f.write_str(&parts.join(" "))
    }
}

impl From<Period> for String {
    fn from(period: Period) -> Self {
        period.to_string()
    }
}

impl TryFrom<String> for Period {
    type Error = PeriodError;

    fn try_from(text: String) -> Result<Self, PeriodError> {
        text.parse()
    }
}

impl std::str::FromStr for Period {
    type Err = PeriodError;

    fn from_str(_text: &str) -> Result<Self, PeriodError> {
        todo!()
    }
}
