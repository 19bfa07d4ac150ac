//! Whether what one rule writes takes away what another one needs.

use super::{
    life::{How, Life, Need, What, Write},
    timing::{Calendar, same_due},
};
use crate::{
    anonymize::{Generalize, Technique},
    catalog::Literal,
    clock::starting_point::Encoding,
    plan::overlap::holds,
    rules::{CalendarUnit, Condition, Match},
};
use jiff::civil::Date;

/// What a write does to a need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    /// They have nothing to do with each other.
    None,
    /// The reader decides the same before and after; within a run it goes first all the same.
    Order,
    /// The reader can no longer do what it is for.
    Destroyed,
    /// The reader can no longer do what it is for, even if it was first.
    DestroyedAtAnyTime,
}

/// Held against each other as data. Who acts first, and whether any row is concerned, is for others to say.
pub fn harm(writer: &Life, write: &Write, reader: &Life, need: &Need, calendar: &Calendar) -> Harm {
    if write.table != need.table {
        return Harm::None;
    }
    let own_row = !need.related && !write.along;
    match (&write.column, &need.column) {
        (None, None) => Harm::Destroyed,
        // a row that is gone needs nothing; but whoever was to be asked about it is not asked any more
        (None, Some(column)) if !need.related => match &need.what {
            What::Identifier { .. } if asked_by(writer, need, own_row, column) => Harm::None,
            What::Identifier { .. } => Harm::Destroyed,
            _ => Harm::None,
        },
        (Some(written), Some(needed)) if written == needed => match &write.how {
            How::Change(Technique::Copy(_)) | How::Total => Harm::Order,
            How::Mark => match need.what {
                What::Marker => Harm::Destroyed,
                _ => Harm::Order,
            },
            How::Change(technique) => changed(writer, technique, reader, need, own_row, calendar),
            How::Erase | How::EraseFew => Harm::None,
        },
        _ => Harm::None,
    }
}

/// The writer itself has the recipient asked before it changes the row.
fn asked_by(writer: &Life, need: &Need, own_row: bool, column: &str) -> bool {
    match &need.what {
        What::Identifier { recipient, identifier } => own_row && writer.asks(recipient, identifier, column),
        _ => false,
    }
}

fn changed(
    writer: &Life,
    technique: &Technique,
    reader: &Life,
    need: &Need,
    own_row: bool,
    calendar: &Calendar,
) -> Harm {
    let column = need.column.as_deref().unwrap_or_default();
    let keeps = match &need.what {
        What::Start => keeps_start(technique, reader, calendar),
        What::Where(tests) => keeps_decision(technique, tests, &domain(writer, column, own_row)),
        What::Identifier { .. } if asked_by(writer, need, own_row, column) => return Harm::None,
        What::Identifier { .. } => false,
        What::Group(Some(unit)) => match technique {
            Technique::Generalize(Generalize::Month) => *unit != CalendarUnit::Day,
            Technique::Generalize(Generalize::Year) => *unit == CalendarUnit::Year,
            _ => false,
        },
        What::Marker => return Harm::DestroyedAtAnyTime,
        What::Telling | What::Through | What::WhereSql | What::Group(None) | What::Sum | What::Copied => false,
    };
    if keeps { Harm::Order } else { Harm::Destroyed }
}

/// The reader is due on the same day, whatever day it was.
fn keeps_start(technique: &Technique, reader: &Life, calendar: &Calendar) -> bool {
    let point = &reader.rule.starting_point;
    let job = calendar.settings.time_zone.iana_name();
    // days of the column are days of the job
    let one_zone = point.zone.is_none() || point.zone.as_deref() == job;
    if !one_zone || !matches!(point.encoding, None | Some(Encoding::IsoText)) {
        return false;
    }
    let Technique::Generalize(generalize) = technique else { return false };
    first_day(generalize, Date::MAX).is_some()
        && same_due(reader, calendar, |day| first_day(generalize, day).unwrap_or(day))
}

/// What a generalization makes of a day.
fn first_day(generalize: &Generalize, day: Date) -> Option<Date> {
    match generalize {
        Generalize::Month => Some(day.first_of_month()),
        Generalize::Year => Some(day.first_of_year()),
        Generalize::Decade => Date::new(day.year() - day.year().rem_euclid(10), 1, 1).ok(),
        Generalize::Bucket(_) | Generalize::IpPrefix { .. } | Generalize::PostalCode(_) => None,
    }
}

/// The values that the writer's rows have in this column, where its own condition lists them.
fn domain<'a>(writer: &Life<'a>, column: &str, own_row: bool) -> Option<Vec<&'a Literal>> {
    let Some(Condition::Data(terms)) = writer.rule.condition.as_ref().filter(|_| own_row) else { return None };
    terms.iter().find_map(|(name, test)| match test {
        Match::In(values) if name.eq_ignore_ascii_case(column) => Some(values.iter().collect()),
        _ => None,
    })
}

/// Every value passes all tests after the technique just if it did before.
fn keeps_decision(technique: &Technique, tests: &[Match], domain: &Option<Vec<&Literal>>) -> bool {
    let pass = |value: &Literal| {
        let results: Vec<_> = tests.iter().map(|test| holds(test, value)).collect();
        if results.contains(&Some(false)) {
            return Some(false);
        }
        results.iter().all(|result| *result == Some(true)).then_some(true)
    };
    if let Some(values) = domain {
        let same = values.iter().all(|value| {
            let after = after(technique, value).and_then(|after| pass(&after));
            after.is_some() && after == pass(value)
        });
        if same {
            return true;
        }
    }
    tests.iter().all(|test| keeps_test(technique, test))
}

/// What becomes of a value, where that can be told.
fn after(technique: &Technique, value: &Literal) -> Option<Literal> {
    match (technique, value) {
        (Technique::Suppress, _) | (_, Literal::Null) => Some(Literal::Null),
        (Technique::Replace(text), _) if !text.contains('{') => Some(Literal::Text(text.clone())),
        _ => None,
    }
}

fn keeps_test(technique: &Technique, test: &Match) -> bool {
    let null_only = |values: &[Literal]| values.iter().all(|value| *value == Literal::Null);
    let number = |value: &Literal| match value {
        Literal::Number(text) | Literal::Text(text) => text.parse::<f64>().ok(),
        _ => None,
    };
    match (technique, test) {
        // there is a value after just if there was one before
        (
            Technique::Replace(_)
            | Technique::Mask(_)
            | Technique::Truncate(_)
            | Technique::TopCode(_)
            | Technique::BottomCode(_)
            | Technique::Hash(_)
            | Technique::Tokenize(_),
            Match::In(values) | Match::NotIn(values),
        ) if null_only(values) => true,
        (Technique::TopCode(limit), Match::LessThan(value) | Match::AtLeast(value)) => {
            number(value).is_some_and(|value| value <= *limit)
        }
        (Technique::TopCode(limit), Match::AtMost(value) | Match::MoreThan(value)) => {
            number(value).is_some_and(|value| value < *limit)
        }
        (Technique::TopCode(limit), Match::In(values) | Match::NotIn(values)) => {
            values.iter().all(|value| *value == Literal::Null || number(value).is_some_and(|value| value < *limit))
        }
        (Technique::BottomCode(limit), Match::LessThan(value) | Match::AtLeast(value)) => {
            number(value).is_some_and(|value| value > *limit)
        }
        (Technique::BottomCode(limit), Match::AtMost(value) | Match::MoreThan(value)) => {
            number(value).is_some_and(|value| value >= *limit)
        }
        (Technique::BottomCode(limit), Match::In(values) | Match::NotIn(values)) => {
            values.iter().all(|value| *value == Literal::Null || number(value).is_some_and(|value| value > *limit))
        }
        (
            Technique::Generalize(generalize),
            Match::LessThan(Literal::Text(text)) | Match::AtLeast(Literal::Text(text)),
        ) => {
            let day = text.parse::<Date>().ok();
            day.is_some_and(|day| first_day(generalize, day) == Some(day))
        }
        (Technique::Generalize(Generalize::Bucket(step)), Match::LessThan(value) | Match::AtLeast(value)) => {
            number(value).is_some_and(|value| *step >= 1.0 && step.fract() == 0.0 && value % step == 0.0)
        }
        _ => false,
    }
}
