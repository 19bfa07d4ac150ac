//! Which of two rules acts first on a row: decided for every starting day, by the clock that plans and runs use.

use super::life::{Life, Start};
use crate::{
    clock::{due_from, period::Parameter, period_on, starting_point::Pick},
    rules::Missing,
    settings::Settings,
};
use jiff::{ToSpan, civil::Date};

/// Whether a rule may change something before another one that needs it acts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Before {
    /// It is due on the same day at the earliest.
    Never,
    /// A row for which it is due first.
    Here(Example),
    /// Their times begin with different things, or one of them begins at once where there is nothing.
    Anywhere,
}

/// One row's days.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    pub start: Date,
    /// The rule that writes is due.
    pub writer: Date,
    /// The rule that needs what is written is due.
    pub reader: Date,
}

/// How the days relate on which the two rules' times begin, for the rows concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relation {
    Same,
    /// The writer's is not before the reader's.
    NotBefore,
    Unknown,
}

/// The starting days that rules are compared on, under a job's settings.
pub struct Calendar<'a> {
    pub settings: &'a Settings,
    days: Vec<Date>,
}

impl<'a> Calendar<'a> {
    pub fn new(settings: &'a Settings) -> Self {
        Self { settings, days: days(settings) }
    }

    /// The day on which a rule is due for a row whose time begins on `start`.
    fn due(&self, life: &Life, start: Date) -> Date {
        let period = period_on(start, &life.rule.retention_period, &self.settings.parameters);
        due_from(start, &life.rule.starting_point.counted_from, period)
    }

    /// The due day for each of the starting days. A rule is compared with many others, so it keeps them.
    fn due_days<'l>(&self, life: &'l Life) -> &'l [Date] {
        life.due_days.get_or_init(|| self.days.iter().map(|day| self.due(life, *day)).collect())
    }
}

/// Whether `writer` may act before `reader` on rows that are connected like this.
pub fn before(writer: &Life, reader: &Life, linked: Linked, calendar: &Calendar) -> Before {
    let at_once = |life: &Life| life.rule.starting_point.missing == Missing::Due;
    let relation = relation(&writer.start, &reader.start, linked);
    if relation == Relation::Unknown || (at_once(writer) && !at_once(reader)) {
        return Before::Anywhere;
    }
    let mut found = None;
    // the writer's time may begin later than the reader's: the earliest day on which it is due from here on
    let mut earliest = Date::MAX;
    let days = calendar.days.iter().zip(calendar.due_days(writer)).zip(calendar.due_days(reader));
    for ((&start, &writing), &reading) in days.rev() {
        earliest = earliest.min(writing);
        let first = if relation == Relation::Same { writing } else { earliest };
        if first < reading {
            found = Some(Example { start, writer: first, reader: reading });
        }
    }
    found.map_or(Before::Never, Before::Here)
}

/// How the rows of two rules are connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Linked {
    /// They are the same row.
    OneRow,
    /// The writer's row tells when the reader's time begins.
    Telling,
    /// The reader's row, or one that tells when its time begins, goes along with the writer's, by the key that the reader's
    /// starting point uses.
    Along,
    /// By something else.
    Otherwise,
}

fn relation(writer: &Start, reader: &Start, linked: Linked) -> Relation {
    let same_value = writer.table == reader.table
        && writer.column == reader.column
        && writer.encoding == reader.encoding
        && writer.zone == reader.zone;
    if !same_value {
        return Relation::Unknown;
    }
    match (linked, writer.pick, reader.pick) {
        (Linked::OneRow, None, None) => Relation::Same,
        (Linked::OneRow, Some(a), Some(b)) if a == b && writer.path == reader.path => Relation::Same,
        // the row with the latest value goes last, the one with the earliest first: the day that both go by is one
        (Linked::Telling | Linked::Along, None, Some(_)) => Relation::Same,
        // whatever goes along began no later than the latest of them
        (Linked::Along, Some(Pick::Latest), None) => Relation::NotBefore,
        _ => Relation::Unknown,
    }
}

/// A starting day moved by a technique makes a rule due on the same day as before.
pub fn same_due(life: &Life, calendar: &Calendar, moved: impl Fn(Date) -> Date) -> bool {
    let days = calendar.days.iter().zip(calendar.due_days(life));
    days.into_iter().all(|(&start, &due)| due == calendar.due(life, moved(start)))
}

/// Enough starting days for everything that the calendar can make of periods: a span with every sort of leap year, and
/// the years around those that switches name.
fn days(settings: &Settings) -> Vec<Date> {
    let mut spans = vec![(day(2016), day(2033))];
    for list in settings.parameters.values() {
        if let Parameter::Days(list) = list {
            spans.extend(list.iter().map(|last| (day(last.year() - 2), day(last.year() + 3))));
        }
    }
    spans.sort();
    let mut all: Vec<Date> = Vec::new();
    for (from, through) in spans {
        let mut next = all.last().map_or(from, |last| from.max(*last + 1.day()));
        while next <= through {
            all.push(next);
            next += 1.day();
        }
    }
    all
}

fn day(year: i16) -> Date {
    Date::new(year.clamp(1, 9990), 1, 1).unwrap_or(Date::MAX)
}
