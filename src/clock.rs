//! Starting points, periods and cut-offs: calendar arithmetic, no input.
//!
//! Days are counted as in the Japanese Civil Code: the first day is not counted (Art. 140), a period ends with the end
//! of its last day (Art. 141), and a period of months or years ends with the day before the corresponding day, or with
//! the month's last day where there is none (Art. 143). Art. 142 (a last day that is a holiday) concerns acts that are
//! done on business days and moves nothing here. A row is due from 00:00 of the day after, in the job's time zone.
//!
//! The rule is written once, forwards: [`due_from`]. Which rows are due at a given day is found by searching for the
//! last starting day whose due date is not later, never by inverse arithmetic, which leap days and month ends spoil.
//!
//! Nothing here fails: what lies beyond the calendar's end (9999-12-31) is never due, and printed as that day.

use crate::{
    catalog::ColumnKind,
    clock::{
        period::{Parameter, Period, PeriodChoice, Switch},
        starting_point::{Anchor, CountedFrom, Encoding},
    },
};
use jiff::{
    Span, Timestamp,
    civil::{Date, DateTime},
    tz::{AmbiguousOffset, TimeZone},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

pub mod period;
pub mod starting_point;
pub mod window;

#[cfg(test)]
mod tests;

/// The values of `sunset.yaml`'s parameters, by name.
pub type Parameters = BTreeMap<String, Parameter>;

/// The first day that every engine can write; periods that reach back further make nothing due.
const FIRST_DAY: Date = Date::constant(1, 1, 1);

/// The starting days that are due: sorted ranges with at least one day between them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DueDays {
    pub ranges: Vec<DayRange>,
}

/// Days from `from` (or from the beginning of time) through `through`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DayRange {
    pub from: Option<Date>,
    pub through: Date,
}

/// How a starting point is stored, as far as comparing it needs to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PointKind {
    /// A civil day.
    Date,
    /// A civil date and time, in the starting point's zone.
    DateTime,
    /// A point in time.
    Instant,
    /// Whole seconds since 1970-01-01T00:00:00Z.
    EpochSeconds,
    /// Milliseconds since then.
    EpochMilliseconds,
    /// ISO 8601 text without offset, in the starting point's zone.
    IsoText,
    /// ISO 8601 text with an offset.
    IsoTextWithOffset,
}

/// [`DueDays`] as bounds for a column. A value is due when it lies in one of the ranges.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cutoffs {
    pub ranges: Vec<CutoffRange>,
}

/// Values from `from` (or from the beginning of time) up to and not including `before`, as text:
///
/// - for [`PointKind::Date`] `2021-08-20`;
/// - for [`PointKind::DateTime`] `2021-08-20 00:00:00` in the column's zone;
/// - for [`PointKind::Instant`] and [`PointKind::IsoTextWithOffset`] `2021-08-19 15:00:00` in UTC;
/// - for [`PointKind::EpochSeconds`] and [`PointKind::EpochMilliseconds`] a whole number;
/// - for [`PointKind::IsoText`] `2021-08-20` where the cut-off is a midnight in the column's zone: all accepted forms
///   can be compared with it byte by byte, as they are. Otherwise `2021-08-19 15:00:00`, to be compared byte by byte
///   with values whose `T` has become a space.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CutoffRange {
    pub from: Option<String>,
    pub before: String,
}

/// The dates of one row, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Until {
    /// The day that the periods run from; it is not counted itself.
    pub counted_from: Date,
    /// The first day on which the row may and should be disposed of.
    pub due: Date,
    /// The first day on which it is late, where the rule has a regular deletion period.
    pub overdue: Option<Date>,
}

/// The civil day that `now` lies in.
pub fn today(now: Timestamp, zone: &TimeZone) -> Date {
    zone.to_datetime(now).date()
}

/// The first instant of a civil day: its midnight, or where the clocks skip that, the moment they skip. A day that was
/// skipped as a whole begins with the next. Where clocks are set back over midnight the day begins at its first one.
pub fn start_of_day(date: Date, zone: &TimeZone) -> Timestamp {
    let midnight = date.at(0, 0, 0, 0);
    let instant = match zone.to_ambiguous_timestamp(midnight).offset() {
        AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(midnight),
        AmbiguousOffset::Fold { before, .. } => before.to_timestamp(midnight),
        // Read with the old offset, midnight lies at the skip or after it, and no other transition between.
        AmbiguousOffset::Gap { before, .. } => before.to_timestamp(midnight).map(|after_skip| {
            let search_before = after_skip.checked_add(jiff::SignedDuration::from_nanos(1)).unwrap_or(after_skip);
            zone.preceding(search_before).next().map_or(after_skip, |skip| skip.timestamp())
        }),
    };
    instant.unwrap_or(if date < FIRST_DAY { Timestamp::MIN } else { Timestamp::MAX })
}

/// The last day of a period whose starting point lies on `start`.
pub fn end_of_period(start: Date, period: Period) -> Date {
    last_day(start, period).unwrap_or(Date::MAX)
}

/// The day that periods run from when the starting point lies on `start`.
pub fn counted_day(start: Date, counted_from: &CountedFrom) -> Date {
    anchored(start, counted_from).unwrap_or(Date::MAX)
}

/// The first day on which a row that starts on `start` is due.
pub fn due_from(start: Date, counted_from: &CountedFrom, period: Period) -> Date {
    due(start, counted_from, period).unwrap_or(Date::MAX)
}

/// The period that holds for rows whose starting point lies on `start`. A switch whose parameter is not declared is
/// off; the rules' checks refuse it before.
pub fn period_on(start: Date, choice: &PeriodChoice, parameters: &Parameters) -> Period {
    let is_on = |switch: &Switch| match switch {
        Switch::Parameter(name) => matches!(parameters.get(name), Some(Parameter::Flag(true))),
        Switch::FiscalYearEndingIn(_) => fiscal_years(switch, parameters).any(|year| year.contains(start)),
    };
    choice.when.iter().find(|(switch, _)| is_on(switch)).map_or(choice.default, |(_, period)| *period)
}

/// All starting days that are due on `today`.
pub fn due_days(counted_from: &CountedFrom, choice: &PeriodChoice, parameters: &Parameters, today: Date) -> DueDays {
    // Between two of these days the period does not change.
    let mut changes: Vec<Date> = choice
        .when
        .iter()
        .flat_map(|(switch, _)| fiscal_years(switch, parameters))
        .flat_map(|year| year.from.into_iter().chain(year.through.tomorrow().ok()))
        .collect();
    changes.sort();
    changes.dedup();

    let starts = std::iter::once(None).chain(changes.iter().copied().map(Some));
    let ends = changes.iter().map(|change| change.yesterday().unwrap_or(Date::MIN)).chain([Date::MAX]);
    let mut ranges: Vec<DayRange> = Vec::new();
    for (from, end) in starts.zip(ends) {
        let period = period_on(from.unwrap_or(Date::MIN), choice, parameters);
        let Some(last) = last_due(counted_from, period, today) else { continue };
        let through = last.min(end);
        if from.is_some_and(|from| from > through) {
            continue;
        }
        match ranges.last_mut() {
            Some(previous) if previous.through.tomorrow().ok() == from => previous.through = through,
            _ => ranges.push(DayRange { from, through }),
        }
    }
    DueDays { ranges }
}

/// When a row that starts on `start` is due, and when it is overdue.
pub fn until(
    start: Date,
    counted_from: &CountedFrom,
    retention: &PeriodChoice,
    regular_deletion: Option<&PeriodChoice>,
    parameters: &Parameters,
) -> Until {
    let after = |choice| due_from(start, counted_from, period_on(start, choice, parameters));
    Until {
        counted_from: counted_day(start, counted_from),
        due: after(retention),
        overdue: regular_deletion.map(after),
    }
}

/// Due days in words, for example `starting points through 2021-08-19 (5 years, first day not counted; Asia/Tokyo)`.
pub fn explain(
    days: &DueDays,
    counted_from: &CountedFrom,
    choice: &PeriodChoice,
    parameters: &Parameters,
    zone: &TimeZone,
) -> String {
    let ranges: Vec<_> = days
        .ranges
        .iter()
        .map(|range| match range.from {
            Some(from) => format!("{from} through {}", range.through),
            None => format!("through {}", range.through),
        })
        .collect();
    let points = if ranges.is_empty() { "no starting points yet".into() } else { ranges.join(", ") };
    let points = if ranges.is_empty() { points } else { format!("starting points {points}") };
    let zone = zone.iana_name().unwrap_or("fixed offset");
    format!("{points} ({}{}, first day not counted; {zone})", words(choice, parameters), counted_words(counted_from))
}

/// The periods in force: `7 years, or 10 years in the fiscal year ending 2021-03-31`.
fn words(choice: &PeriodChoice, parameters: &Parameters) -> String {
    let mut exceptions = String::new();
    for (switch, period) in &choice.when {
        match switch {
            Switch::Parameter(name) if parameters.get(name) == Some(&Parameter::Flag(true)) => {
                return format!("{period} as {name} is on{exceptions}");
            }
            Switch::Parameter(_) => {}
            Switch::FiscalYearEndingIn(_) => {
                let years: Vec<_> = fiscal_years(switch, parameters).map(|year| year.through.to_string()).collect();
                match years.as_slice() {
                    [] => {}
                    [year] => exceptions += &format!(", or {period} in the fiscal year ending {year}"),
                    _ => exceptions += &format!(", or {period} in the fiscal years ending {}", years.join(", ")),
                }
            }
        }
    }
    format!("{}{exceptions}", choice.default)
}

fn counted_words(counted_from: &CountedFrom) -> String {
    let anchor = match counted_from.anchor {
        Anchor::Day => String::new(),
        Anchor::MonthEnd => " from the end of the month".into(),
        Anchor::CalendarYearEnd => " from the end of the calendar year".into(),
        Anchor::FiscalYearEnd { month, day } => format!(" from the end of the fiscal year ({month:02}-{day:02})"),
    };
    match counted_from.plus {
        None => anchor,
        Some(plus) if anchor.is_empty() => format!(" after {plus}"),
        Some(plus) => format!("{anchor} plus {plus}"),
    }
}

impl DayRange {
    /// Whether the day lies in the range.
    pub fn contains(&self, day: Date) -> bool {
        self.from.is_none_or(|from| from <= day) && day <= self.through
    }
}

impl DueDays {
    /// Whether a row that starts on this day is due.
    pub fn contains(&self, start: Date) -> bool {
        self.ranges.iter().any(|range| range.contains(start))
    }

    /// The days as bounds for a column. Days are those of `job_zone`; `column_zone` is the zone of stored times that
    /// have none, and says nothing of the other kinds.
    pub fn cutoffs(&self, kind: PointKind, job_zone: &TimeZone, column_zone: &TimeZone) -> Cutoffs {
        let bound = |first_day: Date| {
            let instant = start_of_day(first_day, job_zone);
            // In one zone the bound is midnight on the wall clock, even where that midnight was skipped: the column
            // holds what somebody wrote, and that day is on it.
            let civil = || match job_zone == column_zone {
                true => first_day.at(0, 0, 0, 0),
                false => column_zone.to_datetime(instant),
            };
            match kind {
                PointKind::Date => first_day.to_string(),
                PointKind::DateTime => civil_text(civil()),
                PointKind::Instant | PointKind::IsoTextWithOffset => civil_text(TimeZone::UTC.to_datetime(instant)),
                PointKind::EpochSeconds => instant.as_second().to_string(),
                PointKind::EpochMilliseconds => instant.as_millisecond().to_string(),
                PointKind::IsoText => match civil() {
                    midnight if midnight.time() == jiff::civil::Time::midnight() => midnight.date().to_string(),
                    civil => civil_text(civil),
                },
            }
        };
        let ranges = self.ranges.iter().map(|range| CutoffRange {
            from: range.from.map(bound),
            before: bound(range.through.tomorrow().unwrap_or(Date::MAX)),
        });
        Cutoffs { ranges: ranges.collect() }
    }
}

impl PointKind {
    /// How a column of this kind holds its starting point; `None` when it holds no point in time.
    pub fn of(kind: ColumnKind, encoding: Option<Encoding>) -> Option<Self> {
        match (kind, encoding) {
            (ColumnKind::Date, None) => Some(Self::Date),
            (ColumnKind::DateTime, None) => Some(Self::DateTime),
            (ColumnKind::Instant, None) => Some(Self::Instant),
            (ColumnKind::Integer | ColumnKind::Decimal | ColumnKind::Float, Some(Encoding::EpochSeconds)) => {
                Some(Self::EpochSeconds)
            }
            (ColumnKind::Integer | ColumnKind::Decimal | ColumnKind::Float, Some(Encoding::EpochMilliseconds)) => {
                Some(Self::EpochMilliseconds)
            }
            (ColumnKind::Text, Some(Encoding::IsoText)) => Some(Self::IsoText),
            (ColumnKind::Text, Some(Encoding::IsoTextWithOffset)) => Some(Self::IsoTextWithOffset),
            _ => None,
        }
    }
}

fn civil_text(civil: DateTime) -> String {
    format!("{} {:02}:{:02}:{:02}", civil.date(), civil.hour(), civil.minute(), civil.second())
}

/// [`end_of_period`], or `None` beyond the calendar.
fn last_day(start: Date, period: Period) -> Option<Date> {
    let months = i32::from(period.years) * 12 + i32::from(period.months);
    let end_of_months = if months == 0 {
        start
    } else {
        let first_counted = start.tomorrow().ok()?;
        let month = i32::from(first_counted.year()) * 12 + i32::from(first_counted.month()) - 1 + months;
        let (year, month) = (i16::try_from(month.div_euclid(12)).ok()?, i8::try_from(month.rem_euclid(12) + 1).ok()?);
        match Date::new(year, month, first_counted.day()) {
            Ok(corresponding) => corresponding.yesterday().ok()?,
            Err(_) => Date::new(year, month, 1).ok()?.last_of_month(),
        }
    };
    end_of_months.checked_add(Span::new().try_days(period.days).ok()?).ok()
}

/// [`counted_day`], or `None` beyond the calendar.
fn anchored(start: Date, counted_from: &CountedFrom) -> Option<Date> {
    let anchor = match counted_from.anchor {
        Anchor::Day => start,
        Anchor::MonthEnd => start.last_of_month(),
        Anchor::CalendarYearEnd => start.last_of_year(),
        Anchor::FiscalYearEnd { month, day } => {
            let this_year = closing_day(start.year(), month, day)?;
            if start <= this_year { this_year } else { closing_day(start.year().checked_add(1)?, month, day)? }
        }
    };
    counted_from.plus.map_or(Some(anchor), |plus| last_day(anchor, plus))
}

/// [`due_from`], or `None` beyond the calendar.
fn due(start: Date, counted_from: &CountedFrom, period: Period) -> Option<Date> {
    last_day(anchored(start, counted_from)?, period)?.tomorrow().ok()
}

/// The last starting day that is due on `today`. Exact, because [`due`] never decreases from one day to the next.
fn last_due(counted_from: &CountedFrom, period: Period, today: Date) -> Option<Date> {
    let is_due = |start| due(start, counted_from, period).is_some_and(|due| due <= today);
    if today <= FIRST_DAY || !is_due(FIRST_DAY) {
        return None;
    }
    // No row is due on its first day.
    let (mut last_due, mut first_not_due) = (FIRST_DAY, today);
    loop {
        let days = (first_not_due - last_due).get_days();
        if days <= 1 {
            return Some(last_due);
        }
        let middle = last_due.saturating_add(Span::new().days(days / 2));
        *(if is_due(middle) { &mut last_due } else { &mut first_not_due }) = middle;
    }
}

/// The last day of the fiscal year that ends in `year`. The 28th and 29th of February both mean its last day.
fn closing_day(year: i16, month: i8, day: i8) -> Option<Date> {
    let first_of_month = Date::new(year, month, 1).ok()?;
    if month == 2 && day >= 28 {
        return Some(first_of_month.last_of_month());
    }
    Date::new(year, month, day.clamp(1, first_of_month.days_in_month())).ok()
}

/// The fiscal years that a switch names.
fn fiscal_years<'a>(switch: &Switch, parameters: &'a Parameters) -> impl Iterator<Item = DayRange> + use<'a> {
    let last_days = match switch {
        Switch::FiscalYearEndingIn(name) => match parameters.get(name) {
            Some(Parameter::Days(days)) => days.as_slice(),
            _ => &[],
        },
        Switch::Parameter(_) => &[],
    };
    last_days.iter().filter_map(|last| {
        let previous = closing_day(last.year().checked_sub(1)?, last.month(), last.day())?;
        let through = closing_day(last.year(), last.month(), last.day())?;
        Some(DayRange { from: Some(previous.tomorrow().ok()?), through })
    })
}
