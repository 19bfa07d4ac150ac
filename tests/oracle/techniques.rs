//! What becomes of one value: docs/techniques.md, once more.

use super::{
    calendar::{self, DAY, Told, Zone},
    language::Technique,
    value::Value,
};

/// The new value. `key` is the row's primary key as one text, its parts joined with `-`.
pub fn applied(technique: &Technique, value: &Value, key: &str, zone: Zone) -> Value {
    if *value == Value::Null {
        return Value::Null;
    }
    match technique {
        Technique::Suppress => Value::Null,
        Technique::Replace(Value::Text(text)) => Value::Text(text.replace("{key}", key)),
        Technique::Replace(value) => value.clone(),
        Technique::Mask { first, last } => of_text(value, |letters| {
            let kept = if letters.len() <= first + last { (0, 0) } else { (*first, *last) };
            let stars = |(place, letter): (usize, &char)| {
                let stays = place < kept.0 || place >= letters.len() - kept.1;
                if stays { *letter } else { '*' }
            };
            letters.iter().enumerate().map(stars).collect()
        }),
        Technique::Month => coarser(value, zone, |year, month| (year, month)),
        Technique::Year => coarser(value, zone, |year, _| (year, 1)),
        Technique::Decade => coarser(value, zone, |year, _| (year - year.rem_euclid(10), 1)),
        Technique::PostalCode(letters) | Technique::Truncate(letters) => {
            of_text(value, |all| all.iter().take(*letters).collect())
        }
        Technique::Bucket(step) => of_number(value, |number, unit| number - number.rem_euclid(step * unit)),
        Technique::TopCode(top) => of_number(value, |number, unit| number.min(top * unit)),
        Technique::BottomCode(bottom) => of_number(value, |number, unit| number.max(bottom * unit)),
    }
}

fn of_text(value: &Value, change: impl Fn(&[char]) -> String) -> Value {
    match value {
        Value::Text(text) => Value::Text(change(&text.chars().collect::<Vec<char>>())),
        _ => Value::Null,
    }
}

/// The change gets the number and what one is in its unit.
fn of_number(value: &Value, change: impl Fn(i128, i128) -> i128) -> Value {
    match value {
        Value::Int(number) => Value::Int(change(*number, 1)),
        Value::Decimal(hundredths) => Value::Decimal(change(*hundredths, 100)),
        _ => Value::Null,
    }
}

fn coarser(value: &Value, zone: Zone, to: impl Fn(i64, i64) -> (i64, i64)) -> Value {
    let first = |day| {
        let (year, month, _) = calendar::date(day);
        let (year, month) = to(year, month);
        calendar::day(year, month, 1)
    };
    match value {
        Value::Day(day) => Value::Day(first(*day)),
        Value::Wall(moment) => Value::Wall(first(moment.div_euclid(DAY)) * DAY),
        Value::Instant(moment) => Value::Instant(zone.moment_of(first(zone.day_of(*moment)) * DAY)),
        Value::Infinity(_) | Value::ZeroDate => value.clone(),
        // SQLite: the text keeps its form.
        Value::Text(text) => match calendar::read(text, false) {
            Some(Told::Day(day)) => Value::Text(calendar::written(first(day))),
            Some(Told::Wall(moment)) => {
                let between = if text.contains('T') { 'T' } else { ' ' };
                Value::Text(calendar::written_moment(first(moment.div_euclid(DAY)) * DAY, between))
            }
            Some(Told::Instant(_)) | None => Value::Null,
        },
        _ => Value::Null,
    }
}
