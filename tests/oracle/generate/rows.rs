//! Rows on and around every boundary, and values that are easily misread.

use super::{Dice, Edits, Features, Roles, boundary};
use crate::oracle::{
    calendar::{self, DAY, Day, SECOND, Zone},
    language::{As, Rule, Source},
    meaning::{Meaning, counted},
    night,
    schema::{Case, Edit, MARK, Mark, Rival, Row},
    value::{Alike, Engine, Kind, Value, WORDS},
};
use std::collections::BTreeMap;

pub fn make(case: &mut Case, roles: &[Roles], features: Features, dice: &mut Dice) {
    case.rows = vec![BTreeMap::new(); case.tables.len()];
    for table in 0..case.tables.len() {
        let count = dice.one_of(&[3, 5, 8, 12, 20]);
        for mark in 1..=count {
            let row = row(case, roles, table, mark, features, dice);
            case.rows[table].insert(mark, row);
            if !night::is_sound(case, &case.rows) {
                case.rows[table].remove(&mark);
            }
        }
    }
}

/// Changes by an application between two nights.
pub fn edits(case: &Case, roles: &[Roles], features: Features, dice: &mut Dice) -> Edits {
    let mut edits = Vec::new();
    for _ in 0..dice.below(5) {
        let table = dice.below(case.tables.len());
        let marks: Vec<Mark> = case.rows[table].keys().copied().collect();
        let edit = match dice.below(4) {
            0 => {
                let mark = 1000 + dice.range(0, 500);
                Edit::Insert { table, row: row(case, roles, table, mark, features, dice) }
            }
            _ if marks.is_empty() => continue,
            1 => Edit::Delete { table, mark: dice.one_of(&marks) },
            2 => {
                let (column, reading) = dice.one_of(&roles[table].times);
                let value = time_value(case, table, column, reading, features, false, dice);
                Edit::Set { table, mark: dice.one_of(&marks), column, value }
            }
            _ => {
                let columns = [roles[table].conditions.clone(), roles[table].changed.clone()].concat();
                let column = dice.one_of(&columns);
                let value = if roles[table].changed.contains(&column) {
                    changed_value(case.engine, case.tables[table].columns[column].kind, dice)
                } else {
                    condition_value(case.engine, case.tables[table].columns[column].kind, dice)
                };
                Edit::Set { table, mark: dice.one_of(&marks), column, value }
            }
        };
        edits.push(edit);
    }
    edits
}

/// One change that meets a run: of a row's time, of what conditions look at, of what a row references; a new row, or one
/// less.
pub fn rival(case: &Case, roles: &[Roles], features: Features, dice: &mut Dice) -> Option<Rival> {
    let moment = dice.one_of(&[
        "before_statement",
        "before_statement",
        "before_keys",
        "after_keys",
        "after_keys",
        "dependents_locked",
        "after_statement",
        "after_commit",
    ]);
    let outlooks = Meaning { case, mutant: None }.of_night(&case.rows, case.nights.len() - 1);
    let due: Vec<(usize, Mark)> = case
        .rules
        .iter()
        .zip(&outlooks)
        .flat_map(|(rule, outlook)| outlook.due.keys().map(|mark| (rule.table, *mark)))
        .collect();
    for _ in 0..20 {
        // Mostly of what is about to go, and of what belongs to it.
        let (table, marks) = if !due.is_empty() && dice.chance(60) {
            let (table, mark) = dice.one_of(&due);
            (table, vec![mark])
        } else {
            let table = dice.below(case.tables.len());
            (table, case.rows[table].keys().copied().collect())
        };
        let own = &case.tables[table];
        let edit = match dice.below(6) {
            0 | 1 => {
                let mark = 2000 + dice.range(0, 500);
                Edit::Insert { table, row: row(case, roles, table, mark, features, dice) }
            }
            _ if marks.is_empty() => continue,
            2 => Edit::Delete { table, mark: dice.one_of(&marks) },
            3 => {
                let Some(foreign) = own.foreign.iter().find(|foreign| foreign.columns.len() == 1) else { continue };
                let parents: Vec<&Row> = case.rows[foreign.table].values().collect();
                if parents.is_empty() {
                    continue;
                }
                let value = dice.one_of(&parents)[foreign.to[0]].clone();
                Edit::Set { table, mark: dice.one_of(&marks), column: foreign.columns[0], value }
            }
            4 if !roles[table].conditions.is_empty() => {
                let column = dice.one_of(&roles[table].conditions);
                let value = condition_value(case.engine, own.columns[column].kind, dice);
                Edit::Set { table, mark: dice.one_of(&marks), column, value }
            }
            _ => {
                let (column, reading) = dice.one_of(&roles[table].times);
                let value = time_value(case, table, column, reading, features, false, dice);
                Edit::Set { table, mark: dice.one_of(&marks), column, value }
            }
        };
        let fits = !night::edited(case, &mut case.rows.clone(), std::slice::from_ref(&edit)).is_empty();
        if fits {
            return Some(Rival { moment, edit });
        }
    }
    None
}

fn row(case: &Case, roles: &[Roles], table: usize, mark: Mark, features: Features, dice: &mut Dice) -> Row {
    let own = &case.tables[table];
    let mut row = vec![Value::Null; own.columns.len()];
    row[MARK] = Value::Int(mark.into());
    for (place, &column) in own.key.iter().enumerate() {
        // Of a key of several columns, the first alone does not tell rows apart.
        let told = if place == 0 && own.key.len() > 1 { 1 + mark % 3 } else { mark };
        row[column] = key_value(own.columns[column].kind, told);
    }
    for (column, _) in own.columns.iter().enumerate().filter(|(_, column)| column.unique) {
        row[column] = Value::Int(i128::from(mark) + 10_000);
    }
    for &(column, reading) in &roles[table].times {
        let hostile = !own.columns[column].not_null;
        row[column] = time_value(case, table, column, reading, features, hostile, dice);
    }
    for &column in &roles[table].conditions {
        row[column] =
            if dice.chance(15) { Value::Null } else { condition_value(case.engine, own.columns[column].kind, dice) };
    }
    for &column in &roles[table].changed {
        row[column] =
            if dice.chance(15) { Value::Null } else { changed_value(case.engine, own.columns[column].kind, dice) };
    }
    for foreign in &own.foreign {
        let nullable = !own.columns[foreign.columns[0]].not_null;
        if nullable && dice.chance(20) {
            continue;
        }
        let parents: Vec<&Row> = case.rows[foreign.table].values().collect();
        if foreign.table == table && (parents.is_empty() || dice.chance(25)) {
            // its own root
            for (&column, &to) in foreign.columns.iter().zip(&foreign.to) {
                row[column] = row[to].clone();
            }
            continue;
        }
        if parents.is_empty() {
            continue;
        }
        let parent = dice.one_of(&parents);
        for (&column, &to) in foreign.columns.iter().zip(&foreign.to) {
            row[column] = spelled(case.engine, own.columns[column].kind, &parent[to], dice);
        }
    }
    row
}

/// The same key to the database, perhaps spelled in another way.
fn spelled(engine: Engine, kind: Kind, value: &Value, dice: &mut Dice) -> Value {
    let Value::Text(text) = value else { return value.clone() };
    if dice.chance(60) {
        return value.clone();
    }
    let other = match (kind, engine) {
        (Kind::Text(Alike::Loose), _) => text.to_ascii_uppercase(),
        (Kind::Text(Alike::Other), Engine::Sqlite) => format!("{text} "),
        (Kind::Text(Alike::Other), _) => text.to_ascii_uppercase(),
        _ => text.clone(),
    };
    Value::Text(other)
}

fn key_value(kind: Kind, mark: Mark) -> Value {
    let number = i128::from(mark);
    let hostile = ["k", "K'", "b\\s", "ü%", "a\"q", "漢字", "x_y", "z z"];
    match kind {
        Kind::Int if mark % 5 == 4 => Value::Int(-number),
        Kind::Big if mark % 3 == 0 => Value::Int(9_007_199_254_740_992 + number),
        Kind::Big if mark % 3 == 1 => Value::Int(i128::from(i64::MAX) - number),
        Kind::Unsigned if mark % 2 == 0 => Value::Int(i128::from(u64::MAX) - number),
        Kind::Int | Kind::Big | Kind::Unsigned => Value::Int(number),
        Kind::Decimal => Value::Decimal(number * 10 + 1),
        Kind::Double => Value::Real(f64::from(i32::try_from(mark).unwrap()) * 0.1 + 0.2),
        Kind::Text(_) => Value::Text(format!("{}{mark}", hostile[usize::try_from(mark).unwrap() % hostile.len()])),
        Kind::Char | Kind::Untyped | Kind::Bool => Value::Text(format!("{mark:x}")),
        Kind::Enum => Value::text(WORDS[usize::try_from(mark).unwrap() % WORDS.len()]),
        Kind::Date => Value::Day(10_957 + mark),
        Kind::Wall => Value::Wall((10_957 + mark) * DAY + mark),
        Kind::Instant => Value::Instant((10_957 + mark) * DAY),
        Kind::Uuid => Value::Text(format!("00000000-0000-4000-8000-{mark:012x}")),
        Kind::Bytes => Value::Bytes(vec![u8::try_from(mark % 256).unwrap(), 0, 255, u8::try_from(mark / 256).unwrap()]),
    }
}

pub fn condition_value(engine: Engine, kind: Kind, dice: &mut Dice) -> Value {
    match kind {
        Kind::Int => Value::Int(dice.one_of(&[-1, 0, 1, 5, 10, 100, i128::from(i32::MAX)])),
        Kind::Big => {
            Value::Int(dice.one_of(&[0, 7, 1 << 53, (1 << 53) + 1, i128::from(i64::MAX), i128::from(i64::MIN), -1]))
        }
        Kind::Unsigned => Value::Int(dice.one_of(&[0, 7, 1 << 53, (1 << 53) + 1, 1 << 63, i128::from(u64::MAX)])),
        Kind::Decimal if engine == Engine::Sqlite => Value::Real(dice.one_of(&[0.0, 0.01, -0.01, 1.5, 10.25, 99.99])),
        Kind::Decimal => Value::Decimal(dice.one_of(&[0, 0, 1, 1, -1, 149, 150, 1025, 9_999, 100_000_000_000_000_001])),
        Kind::Double => Value::Real(dice.one_of(&[0.0, -0.0, 0.1, 0.1 + 0.2, 0.3, 5.0, -1.5, 1e300])),
        Kind::Bool => Value::Bool(dice.chance(50)),
        Kind::Text(_) => Value::text(dice.one_of(&[
            "", "a", "A", "á", "a ", "Ab", "ab", "o'x", "b\\x", "50%", "a_b", "漢字", "null", "\"q\"", "1", "01",
            "b\\\\x01",
        ])),
        Kind::Char => Value::text(dice.one_of(&["", "a", "A", "ab", "abcd", "o'x", "1", "b\\"])),
        Kind::Enum => Value::text(dice.one_of(&WORDS)),
        Kind::Date => {
            let day = dice.one_of(&[18_321, 18_322, 18_628, 20_000]);
            if engine == Engine::Sqlite { Value::Text(calendar::written(day)) } else { Value::Day(day) }
        }
        Kind::Wall => Value::Wall(20_000 * DAY + dice.range(0, 2) * SECOND),
        Kind::Instant => Value::Instant(20_000 * DAY + dice.range(0, 2) * SECOND),
        Kind::Uuid => Value::Text(format!("00000000-0000-4000-8000-{:012x}", dice.below(3))),
        Kind::Bytes => Value::Bytes(vec![0, u8::try_from(dice.below(3)).unwrap()]),
        Kind::Untyped => {
            dice.one_of(&[Value::Int(3), Value::Int(500), Value::text("3"), Value::text("x"), Value::Int(5)])
        }
    }
}

fn changed_value(engine: Engine, kind: Kind, dice: &mut Dice) -> Value {
    match kind {
        Kind::Text(_) => Value::text(dice.one_of(&[
            "",
            "a",
            "Hanako",
            "山田 花子",
            "o'er \\ %",
            "***",
            "a*",
            "123-4567",
            " lead",
            "x\"y",
            "e\u{301}a",
            "😀😀😀😀",
        ])),
        Kind::Date | Kind::Wall => {
            let day = dice.one_of(&[0, -1, 18_262, 18_292, 18_321, 10_957, 11_016, 19_782, 14_000]);
            let wall = day * DAY + dice.one_of(&[0, 12 * 3600 * SECOND, 86_399 * SECOND]);
            match (kind, engine) {
                (Kind::Date, Engine::Sqlite) => Value::Text(calendar::written(day)),
                (_, Engine::Sqlite) => Value::Text(calendar::written_moment(wall, dice.one_of(&[' ', 'T']))),
                (Kind::Date, _) => Value::Day(day),
                _ => Value::Wall(wall),
            }
        }
        _ => Value::Int(dice.one_of(&[-11, -10, -1, 0, 5, 7, 9, 10, 90, 91, 2_000_000_000])),
    }
}

/// Rules that look at a column, with their boundary on one of the nights.
fn boundaries(case: &Case, table: usize, column: usize, dice: &mut Dice) -> Option<(Day, Rule)> {
    let looks = |rule: &&Rule| match rule.start.source {
        Source::Column(own) => rule.table == table && own == column,
        Source::Related { table: other, column: theirs, .. } => other == table && theirs == column,
    };
    let rules: Vec<&Rule> = case.rules.iter().filter(looks).collect();
    if rules.is_empty() {
        return None;
    }
    let rule = dice.one_of(&rules);
    let now = dice.one_of(&case.nights).now;
    let day = boundary(|day| rule.period.over(counted(&rule.start, day)) <= now, now)?;
    Some((day, rule.clone()))
}

fn time_value(
    case: &Case,
    table: usize,
    column: usize,
    reading: Option<As>,
    features: Features,
    hostile: bool,
    dice: &mut Dice,
) -> Value {
    let kind = case.tables[table].columns[column].kind;
    let related = |rule: &Rule| matches!(rule.start.source, Source::Related { table: other, column: theirs, .. } if other == table && theirs == column);
    let is_related = case.rules.iter().any(related);
    if hostile && dice.chance(12) {
        return Value::Null;
    }
    if hostile
        && dice.chance(12)
        && (features.related_hostile || !is_related)
        && let Some(value) = hostile_time(case.engine, kind, reading, features, dice)
    {
        return value;
    }
    let found = boundaries(case, table, column, dice);
    let zone = found.as_ref().and_then(|(_, rule)| rule.start.zone).unwrap_or(case.zone);
    let day = match found {
        Some((day, _)) if dice.chance(70) => day + dice.one_of(&[-1, 0, 0, 1, 1, 2]),
        Some((day, _)) => dice.one_of(&[day - 400, day + 31, day - 31, 11_016, 18_321, case.nights[0].now, day + 1000]),
        None => dice.one_of(&[11_016, 18_321, 19_782, 20_500]),
    };
    let of_day = dice.one_of(&[0, 1, 12 * 3600 * SECOND, 15 * 3600 * SECOND, DAY - SECOND, DAY - 1]);
    of_time(case, kind, reading, case.zone.moment_of(day * DAY + of_day), zone, features, dice)
}

fn hostile_time(engine: Engine, kind: Kind, reading: Option<As>, features: Features, dice: &mut Dice) -> Option<Value> {
    let unreadable =
        ["", "never", "2001-02-30", "21.11.2001", "2001-13-01", " 2001-01-01", "2001-01-01x", "2001-01-01 25:00:00"];
    match (kind, reading, engine) {
        _ if features.portable => None,
        (_, Some(As::EpochSeconds | As::EpochMilliseconds), _) => features.epoch_zero.then_some(Value::Int(0)),
        (Kind::Text(_), Some(As::IsoTextWithOffset), Engine::Maria) if !features.unreadable_offsets => None,
        (Kind::Text(_), _, _) => Some(Value::text(dice.one_of(&unreadable))),
        (Kind::Date | Kind::Wall | Kind::Instant, _, Engine::Postgres) => Some(Value::Infinity(dice.chance(50))),
        (Kind::Date | Kind::Wall, _, Engine::Maria) => Some(Value::ZeroDate),
        (Kind::Date | Kind::Wall, _, Engine::Sqlite) => Some(match dice.below(4) {
            0 => Value::Int(20_011_121),
            1 => Value::Bytes(b"2001-01-01".to_vec()),
            _ => Value::text(dice.one_of(&unreadable)),
        }),
        _ => None,
    }
}

/// A moment, in the form that the column has.
fn of_time(
    case: &Case,
    kind: Kind,
    reading: Option<As>,
    moment: i64,
    zone: Zone,
    features: Features,
    dice: &mut Dice,
) -> Value {
    let wall = zone.wall_of(moment);
    match (kind, reading) {
        (_, Some(As::EpochSeconds)) => Value::Int(moment.div_euclid(SECOND).into()),
        (_, Some(As::EpochMilliseconds)) => Value::Int(moment.div_euclid(1000).into()),
        (Kind::Text(_), Some(As::IsoTextWithOffset)) => {
            let (offset, hours) = dice.one_of(&[("Z", 0), ("+09:00", 9), ("+0900", 9), ("-05:00", -5), ("+14:00", 14)]);
            let local = moment + hours * 3600 * SECOND;
            Value::Text(format!(
                "{}{offset}",
                calendar::written_moment(local - local.rem_euclid(SECOND), dice.one_of(&['T', ' ']))
            ))
        }
        (Kind::Text(_), _) | (Kind::Date | Kind::Wall | Kind::Instant, None) if kind_is_text(case.engine, kind) => {
            let seconds = wall - wall.rem_euclid(SECOND);
            let between = dice.one_of(&['T', ' ']);
            match dice.below(5) {
                0 | 1 => Value::Text(calendar::written(wall.div_euclid(DAY))),
                2 if features.short_texts => {
                    let text = calendar::written_moment(wall - wall.rem_euclid(60 * SECOND), between);
                    Value::Text(text.strip_suffix(":00").unwrap().to_owned())
                }
                3 => Value::Text(calendar::written_moment(wall, between)),
                _ => Value::Text(calendar::written_moment(seconds, between)),
            }
        }
        (Kind::Date, _) => Value::Day(case.zone.day_of(moment)),
        (Kind::Instant, _) => Value::Instant(moment),
        _ => Value::Wall(wall),
    }
}

fn kind_is_text(engine: Engine, kind: Kind) -> bool {
    engine == Engine::Sqlite || matches!(kind, Kind::Text(_))
}
