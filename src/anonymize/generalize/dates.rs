//! Dates and times: the first day of their month, year or decade, at 00:00.
//!
//! Points in time have their month in the job's zone. MySQL needs its time zone tables for that
//! (`mysql_tzinfo_to_sql`), unless the zone has not changed its offset since 1970, as Asia/Tokyo has not; without them the
//! value becomes NULL.
//!
//! SQLite stores text. `2021-03-31`, `2021-03-31 12:30:00` and `2021-03-31T12:30:00Z` keep their form, offsets
//! included, and have their month as written; what is not written like this, numbers too, becomes NULL. MySQL's zero
//! dates hold nothing and stay.

use super::super::{Context, Family, Misfit, Sql};
use crate::{
    catalog::{Column, ColumnKind, Engine, Table},
    sql::Value,
};
use jiff::{
    Timestamp,
    civil::{Date, DateTime, Time},
    tz::TimeZone,
};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Unit {
    Month,
    Year,
    Decade,
}

impl Unit {
    /// For `date_trunc`.
    fn word(self) -> &'static str {
        match self {
            Self::Month => "month",
            Self::Year => "year",
            Self::Decade => "decade",
        }
    }

    /// How much of `2021-03-31` stays, and what follows it.
    fn split(self) -> (usize, &'static str) {
        match self {
            Self::Month => (7, "-01"),
            Self::Year => (4, "-01-01"),
            Self::Decade => (3, "0-01-01"),
        }
    }

    fn first_day(self, date: Date) -> Date {
        let (year, month) = match self {
            Self::Month => (date.year(), date.month()),
            Self::Year => (date.year(), 1),
            Self::Decade => (date.year().div_euclid(10) * 10, 1),
        };
        Date::new(year, month, 1).unwrap_or(Date::MIN)
    }
}

impl Family for Unit {
    fn label(&self) -> String {
        format!("first day of the {}", self.word())
    }

    fn misfits(&self, column: &Column, _: &Table, _: Engine) -> Vec<Misfit> {
        match column.kind {
            ColumnKind::Date | ColumnKind::DateTime | ColumnKind::Instant => Vec::new(),
            ColumnKind::Text => {
                let help = "use `truncate` (`{length: 7}` keeps the year and month of 2021-03-31), or `suppress`";
                vec![Misfit::kind(column, "a date or a time", help)]
            }
            _ => vec![Misfit::kind(column, "a date or a time", "use `suppress`")],
        }
    }

    fn expression(&self, column: &Column, context: &Context) -> Option<Sql> {
        let value = &context.column_sql;
        match context.engine {
            Engine::Postgres => Some(self.in_postgres(column, context)),
            Engine::Mysql => Some(self.in_mysql(column, context)),
            Engine::Sqlite => {
                let (length, rest) = self.split();
                Some(Sql::new(format!(
                    "case when typeof({value}) = 'text' and datetime({value}) is not null \
                     and {value} glob '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*' \
                     and (length({value}) = 10 or substr({value}, 11) glob '[ T][0-9][0-9]:[0-9][0-9]*') \
                     then substr({value}, 1, {length}) || '{rest}' || case when length({value}) = 10 then '' \
                     else substr({value}, 11, 1) || '00:00:00' || case when {value} glob '*[Zz]' then substr({value}, -1) \
                     when {value} glob '*[-+][0-9][0-9]:[0-9][0-9]' then substr({value}, -6) else '' end end end"
                )))
            }
        }
    }

    fn apply(&self, value: &str, column: &Column, _: &str, context: &Context) -> Option<String> {
        match (context.engine, column.kind) {
            (Engine::Postgres, _) if value.ends_with("infinity") => Some(value.to_owned()),
            (Engine::Mysql, _) if value.starts_with("0000-00-00") => Some(value.to_owned()),
            (Engine::Sqlite, _) => self.apply_to_text(value),
            (_, ColumnKind::Date) => Some(self.first_day(value.parse().ok()?).to_string()),
            (_, ColumnKind::DateTime) => {
                let civil: DateTime = value.parse().ok()?;
                Some(format!("{} 00:00:00", self.first_day(civil.date())))
            }
            (engine, _) => {
                let instant: Timestamp = match engine {
                    Engine::Postgres => value.parse().ok()?,
                    _ => TimeZone::UTC.to_timestamp(value.parse().ok()?).ok()?,
                };
                let first_day = self.first_day(context.zone.to_datetime(instant).date());
                let mut first = first_day.to_zoned(context.zone.clone()).ok()?.timestamp();
                if engine == Engine::Mysql {
                    first = first.max(Timestamp::from_second(1).ok()?);
                }
                let offset = if engine == Engine::Postgres { "+00" } else { "" };
                Some(format!("{}{offset}", first.strftime("%F %T")))
            }
        }
    }
}

impl Unit {
    fn in_postgres(self, column: &Column, context: &Context) -> Sql {
        let (value, sql_type, word) = (&context.column_sql, &column.sql_type, self.word());
        if column.kind == ColumnKind::Instant {
            let text = format!("date_trunc('{word}', {value}, \u{1}::text)::{sql_type}");
            return Sql { text, args: vec![Value::Text(zone_name(&context.zone))] };
        }
        // Without the cast a date would be taken for a point in time in the session's zone.
        Sql::new(format!("date_trunc('{word}', {value}::timestamp)::{sql_type}"))
    }

    fn in_mysql(self, column: &Column, context: &Context) -> Sql {
        let value = &context.column_sql;
        let first_day = |value: &str| match self {
            Self::Month => format!("date_format({value}, '%Y-%m-01')"),
            Self::Year => format!("date_format({value}, '%Y-01-01')"),
            Self::Decade => format!("concat(left(date_format({value}, '%Y'), 3), '0-01-01')"),
        };
        let zero = format!("year({value}) = 0 and month({value}) = 0 and day({value}) = 0");
        let (first, args) = match column.kind {
            ColumnKind::Date => (format!("cast({} as date)", first_day(value)), Vec::new()),
            ColumnKind::DateTime => (format!("cast({} as datetime)", first_day(value)), Vec::new()),
            _ => {
                let local = first_day(&format!("convert_tz({value}, '+00:00', \u{1})"));
                let first = format!("convert_tz(cast({local} as datetime), \u{1}, '+00:00')");
                let zone = Value::Text(constant_offset(&context.zone).unwrap_or_else(|| zone_name(&context.zone)));
                // The first second that a `timestamp` can hold; the first months of 1970 begin before it in the east.
                (format!("greatest({first}, timestamp '1970-01-01 00:00:01')"), vec![zone.clone(), zone])
            }
        };
        Sql { text: format!("case when {zero} then {value} else {first} end"), args }
    }

    /// As the expression for SQLite does it.
    fn apply_to_text(self, value: &str) -> Option<String> {
        let (date, time) = value.split_at_checked(10)?;
        let is_date = date.bytes().enumerate().all(|(index, byte)| match index {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
        // SQLite lets any month have 31 days.
        let within = |range: std::ops::Range<usize>, most: u8| {
            date[range].parse().is_ok_and(|number: u8| (1..=most).contains(&number))
        };
        if !is_date || !within(5..7, 12) || !within(8..10, 31) {
            return None;
        }
        let (length, rest) = self.split();
        let first_day = format!("{}{rest}", &date[..length]);
        if time.is_empty() {
            return Some(first_day);
        }
        let offset = match time.len().checked_sub(6).and_then(|start| time.split_at_checked(start)) {
            _ if time.ends_with(['Z', 'z']) => &time[time.len() - 1..],
            Some((_, offset)) if offset.starts_with(['+', '-']) => offset,
            _ => "",
        };
        let (separator, clock) = time.strip_suffix(offset)?.split_at_checked(1)?;
        let is_time = [" ", "T"].contains(&separator) && clock.trim_end().parse::<Time>().is_ok();
        is_time.then(|| format!("{first_day}{separator}00:00:00{offset}"))
    }
}

/// The zone as servers know it.
fn zone_name(zone: &TimeZone) -> String {
    zone.iana_name().unwrap_or("UTC").to_owned()
}

/// The zone's offset as `+09:00`, if it has had the same one since 1970.
fn constant_offset(zone: &TimeZone) -> Option<String> {
    if zone.following(Timestamp::UNIX_EPOCH).next().is_some() {
        return None;
    }
    let minutes = zone.to_offset(Timestamp::UNIX_EPOCH).seconds() / 60;
    let sign = if minutes < 0 { '-' } else { '+' };
    Some(format!("{sign}{:02}:{:02}", minutes.abs() / 60, minutes.abs() % 60))
}
