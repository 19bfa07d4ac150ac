//! Where a row's starting point stands, how it is written there, and the day from which a period runs.

use super::period::Period;
use crate::catalog::TablePath;
use serde::{Deserialize, Serialize};

/// Where the starting point stands, or a value that `copy` takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    Column(String),
    /// The latest or earliest value of a column in a related table. With `Latest`, a related row without a value
    /// means that the time has not begun.
    Related {
        pick: Pick,
        table: TablePath,
        column: String,
        through: String,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pick {
    Latest,
    Earliest,
}

/// How a column of integers or text holds time (`as:` in the rule).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// Seconds since 1970-01-01T00:00:00Z.
    EpochSeconds,
    /// Milliseconds since then.
    EpochMilliseconds,
    /// `2026-11-22`, `2026-11-22 02:30:00` or `2026-11-22T02:30:00`, without offset, in the starting point's zone.
    IsoText,
    /// `2026-11-22T02:30:00Z`, or with an offset such as `+09:00`.
    IsoTextWithOffset,
}

/// What 0 means in a column that counts time from 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Zero {
    /// There is no starting point, as with null.
    #[default]
    Never,
    /// 1970-01-01T00:00:00Z.
    Epoch,
}

/// From which day on the period runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountedFrom {
    pub anchor: Anchor,
    pub plus: Option<Period>,
}

/// The day that a starting point is moved to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Anchor {
    /// The day itself.
    #[default]
    Day,
    MonthEnd,
    CalendarYearEnd,
    /// The last day of the fiscal year that the day lies in. The 28th and 29th of February both mean its last day.
    FiscalYearEnd {
        month: i8,
        day: i8,
    },
}
