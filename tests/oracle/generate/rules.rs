//! Rules: what they begin with, whom they mean, what becomes of rows and of their dependents.

use super::{Dice, Features, Roles};
use crate::oracle::{
    calendar::{Period, Zone},
    language::{
        Action, As, Comparison, Condition, CountedFrom, Disposition, Expression, KeyOf, Literal, Missing, Rule, Source,
        Start, Technique, Test, Through,
    },
    refusal,
    schema::Case,
    value::{Alike, Engine, Kind, Value, decimal},
};
use std::collections::{BTreeMap, BTreeSet};

pub fn make(case: &mut Case, roles: &[Roles], features: Features, dice: &mut Dice) {
    let conflicts = features.conflicts && dice.chance(25);
    let actions = actions(case, roles, dice);
    let ids = dice.shuffled(vec!["a-one", "b-two", "c-three", "d-four", "e-five", "f-six"]);
    let mut erased = BTreeSet::new();
    let mut written = BTreeSet::new();
    for id in ids.into_iter().take(dice.one_of(&[1, 1, 2, 2, 3, 4, 6])) {
        let Some(rule) = rule(case, roles, id, &actions, features, dice) else { continue };
        let erases = matches!(rule.disposition, Disposition::Erase);
        // Each row has one fate, and each column of it one rule.
        if erases && erased.contains(&rule.table) {
            continue;
        }
        let writes = match &rule.disposition {
            Disposition::Erase => Vec::new(),
            Disposition::Anonymize(columns) => columns.iter().map(|(column, _)| (rule.table, *column)).collect(),
            Disposition::Unlink(columns) => columns.iter().map(|column| (rule.table, *column)).collect(),
        };
        if writes.iter().any(|cell| written.contains(cell)) {
            continue;
        }
        let table = rule.table;
        case.rules.push(rule);
        let verdict = refusal::verdict(case);
        if !conflicts
            && (verdict.may.iter().any(|reason| !reason.contains(refusal::UNTYPED)) || !verdict.must.is_empty())
        {
            case.rules.pop();
            continue;
        }
        written.extend(writes);
        if erases {
            erased.insert(table);
        }
    }
    // Its id comes before all others, or behind them.
    let id = dice.one_of(&["a-first", "z-last"]);
    let erasers: Vec<Rule> = case.rules.iter().filter_map(|eraser| afterwards(case, eraser, id)).collect();
    if !erasers.is_empty() && !features.portable && dice.chance(25) {
        let rule = dice.one_of(&erasers);
        let column = refusal::writes(case, &rule);
        let is_read = |other: &Rule| refusal::reads(other).intersection(&column).next().is_some();
        if case.rules.iter().filter(|other| is_read(other)).count() == 1 {
            case.rules.push(rule);
        }
    }
}

/// A rule that empties the day from which an eraser counts, a while after that: the eraser goes first.
fn afterwards(case: &Case, eraser: &Rule, id: &str) -> Option<Rule> {
    let Source::Column(column) = eraser.start.source else { return None };
    let own = &case.tables[eraser.table];
    let is_plain = matches!(&eraser.condition, Condition::Map(tests) if tests.is_empty());
    let erases = matches!(eraser.disposition, Disposition::Erase);
    if !erases || !is_plain || own.columns[column].not_null || eraser.start.missing == Missing::Due {
        return None;
    }
    let mut rule = Rule {
        id: id.into(),
        period: match eraser.period {
            Period::Days(days) => Period::Days(days + 30),
            Period::Months(months) => Period::Months(months + 1),
        },
        disposition: Disposition::Anonymize(vec![(column, Technique::Suppress)]),
        dependents: Vec::new(),
        ..eraser.clone()
    };
    dependents(case, &mut rule, &BTreeMap::new());
    Some(rule)
}

/// What becomes of the rows behind each key, the same for all rules.
fn actions(case: &Case, roles: &[Roles], dice: &mut Dice) -> BTreeMap<KeyOf, Action> {
    let mut actions = BTreeMap::new();
    for (table, own) in case.tables.iter().enumerate() {
        for (number, foreign) in own.foreign.iter().enumerate() {
            let nullable = foreign.columns.iter().all(|&column| !own.columns[column].not_null);
            let action = match dice.below(8) {
                0..=2 if foreign.table != table => Action::Erase,
                3 | 4 if nullable => Action::Unlink,
                5 if !roles[table].changed.is_empty() && nullable => {
                    // What pointed at an erased row has to point at nothing.
                    let columns = foreign.columns.iter().chain([&roles[table].changed[0]]);
                    Action::Anonymize(columns.map(|&column| (column, Technique::Suppress)).collect())
                }
                _ => Action::Keep,
            };
            actions.insert(KeyOf { table, number }, action);
        }
    }
    actions
}

fn rule(
    case: &Case,
    roles: &[Roles],
    id: &str,
    actions: &BTreeMap<KeyOf, Action>,
    features: Features,
    dice: &mut Dice,
) -> Option<Rule> {
    let table = dice.below(case.tables.len());
    let start = start(case, roles, table, dice);
    let period = if dice.chance(40) {
        Period::Days(dice.one_of(&[1, 7, 30, 42, 90, 365]))
    } else {
        Period::Months(dice.one_of(&[1, 2, 3, 6, 12, 12, 13, 24, 36, 60, 84]))
    };
    let changed = &roles[table].changed;
    let disposition = match dice.below(10) {
        0..=5 => Disposition::Erase,
        6..=8 => Disposition::Anonymize(techniques(case, table, changed, dice)),
        _ => Disposition::Unlink(vec![unlinked(case, table, changed, dice)]),
    };
    let mut rule = Rule {
        id: id.into(),
        table,
        start,
        period,
        condition: condition(case, roles, table, features, dice),
        disposition,
        dependents: Vec::new(),
        max_rows: None,
    };
    dependents(case, &mut rule, actions);
    // Before keys could be named one by one, a table stood for its only key.
    let tables: BTreeSet<usize> = rule.dependents.iter().map(|(key, _)| key.table).collect();
    let several = tables.len() < rule.dependents.len();
    let single = |key: &KeyOf| case.foreign(*key).columns.len() == 1;
    if several && !(features.by_key && rule.dependents.iter().all(|(key, _)| single(key))) {
        return None;
    }
    Some(rule)
}

/// A column that may become null: one that links, or another.
fn unlinked(case: &Case, table: usize, changed: &[usize], dice: &mut Dice) -> usize {
    let own = &case.tables[table];
    let links = own.foreign.iter().filter(|foreign| foreign.columns.len() == 1).map(|foreign| foreign.columns[0]);
    let mut columns: Vec<usize> = links.filter(|&column| !own.columns[column].not_null).collect();
    if columns.is_empty() || dice.chance(30) {
        columns.extend(changed);
    }
    dice.one_of(&columns)
}

/// Names every key that leads to what the rule disposes of.
fn dependents(case: &Case, rule: &mut Rule, actions: &BTreeMap<KeyOf, Action>) {
    let erases = matches!(rule.disposition, Disposition::Erase);
    let mut changed = vec![rule.table];
    let mut at = 0;
    while at < changed.len() {
        for key in case.keys_to(changed[at]) {
            let action = if erases { actions[&key].clone() } else { Action::Keep };
            if matches!(action, Action::Erase) && !changed.contains(&key.table) {
                changed.push(key.table);
            }
            if rule.dependents.iter().all(|(named, _)| *named != key) {
                rule.dependents.push((key, action));
            }
        }
        at += 1;
    }
}

fn start(case: &Case, roles: &[Roles], table: usize, dice: &mut Dice) -> Start {
    let mut related = Vec::new();
    for (other, own) in case.tables.iter().enumerate() {
        for foreign in own.foreign.iter().filter(|foreign| foreign.columns.len() == 1) {
            if foreign.table == table && other != table {
                related.push((other, Through::Theirs(foreign.columns[0])));
            }
            if other == table && foreign.table != table {
                related.push((foreign.table, Through::Ours(foreign.columns[0])));
            }
        }
    }
    let (source, reading, kind) = if !related.is_empty() && dice.chance(25) {
        let (other, through) = dice.one_of(&related);
        let (column, reading) = dice.one_of(&roles[other].times);
        let latest = dice.chance(75);
        (Source::Related { table: other, column, through, latest }, reading, case.tables[other].columns[column].kind)
    } else {
        let (column, reading) = dice.one_of(&roles[table].times);
        (Source::Column(column), reading, case.tables[table].columns[column].kind)
    };
    let zoned = reading == Some(As::IsoText) || reading.is_none() && kind == Kind::Wall;
    let counted_from = match dice.below(12) {
        0 => Some(CountedFrom::MonthEnd),
        1 => Some(CountedFrom::CalendarYearEnd),
        2 => {
            let (month, day) = dice.one_of(&[(3, 31), (12, 31), (2, 28), (2, 29), (6, 30)]);
            let plus = dice.chance(50).then(|| Period::Months(dice.one_of(&[1, 2, 3])));
            Some(CountedFrom::FiscalYearEnd { month, day, plus })
        }
        _ => None,
    };
    let own = matches!(source, Source::Column(_));
    Start {
        source,
        reading,
        zone: (zoned && dice.chance(40)).then(|| dice.one_of(&[Zone::Utc, Zone::Tokyo, Zone::Paris])),
        counted_from,
        missing: match dice.below(10) {
            0 => Missing::Ignore,
            1 | 2 if own => Missing::Due,
            _ => Missing::Report,
        },
    }
}

fn techniques(case: &Case, table: usize, changed: &[usize], dice: &mut Dice) -> Vec<(usize, Technique)> {
    let own = &case.tables[table];
    // On MariaDB, a key of 80 characters would make the text too long for its column.
    let short = |kind: Kind| kind == Kind::Int || kind == Kind::Text(Alike::Exact) && case.engine != Engine::Maria;
    let keyed = own.key.iter().all(|&column| short(own.columns[column].kind));
    let mut columns = Vec::new();
    for &column in changed {
        if !columns.is_empty() && dice.chance(40) {
            continue;
        }
        let technique = match own.columns[column].kind {
            Kind::Text(_) => match dice.below(7) {
                0 => Technique::Suppress,
                1 if keyed => Technique::Replace(Value::text("erased-{key}@invalid.example")),
                2 => Technique::Replace(Value::text("o'er \\ %")),
                3 => Technique::Mask { first: 0, last: 0 },
                4 => Technique::Mask { first: dice.below(3), last: dice.below(3) },
                5 => Technique::PostalCode(dice.one_of(&[1, 3])),
                _ => Technique::Truncate(dice.one_of(&[1, 2, 10])),
            },
            Kind::Date | Kind::Wall => {
                dice.one_of(&[Technique::Suppress, Technique::Month, Technique::Year, Technique::Decade])
            }
            _ => match dice.below(5) {
                0 => Technique::Suppress,
                1 => Technique::Bucket(dice.one_of(&[1, 7, 10, 1000])),
                2 => Technique::TopCode(dice.one_of(&[0, 90])),
                3 => Technique::BottomCode(dice.one_of(&[0, 5])),
                _ => Technique::Replace(Value::Int(7)),
            },
        };
        columns.push((column, technique));
    }
    columns
}

fn condition(case: &Case, roles: &[Roles], table: usize, features: Features, dice: &mut Dice) -> Condition {
    let columns = dice.shuffled(roles[table].conditions.clone());
    if columns.is_empty() || dice.chance(40) {
        return Condition::Map(Vec::new());
    }
    let untyped = |column: usize| case.tables[table].columns[column].kind == Kind::Untyped;
    if dice.chance(35) && !untyped(columns[0]) {
        return Condition::Sql(expression(case, table, columns[0], features, dice));
    }
    let mut tests = Vec::new();
    for column in columns.into_iter().take(dice.one_of(&[1, 2])) {
        let kind = case.tables[table].columns[column].kind;
        let several = |dice: &mut Dice| -> Vec<Literal> {
            let mut literals: Vec<Literal> =
                (0..dice.one_of(&[1, 1, 2, 3])).map(|_| literal(case.engine, kind, dice)).collect();
            // What a list of numbers and texts means in a column without a type, nothing says.
            let sort = std::mem::discriminant(&literals[0]);
            literals.retain(|literal| std::mem::discriminant(literal) == sort);
            literals
        };
        let test = match dice.below(6) {
            0 | 1 => {
                let mut literals = several(dice);
                if dice.chance(15) {
                    literals.push(Literal::Null);
                }
                Test::OneOf(literals)
            }
            2 => Test::Not(several(dice)),
            3 if dice.chance(40) => Test::Not(vec![Literal::Null]),
            _ if ordered(case.engine, kind) => Test::Compare(comparison(dice), literal(case.engine, kind, dice)),
            _ => Test::Not(several(dice)),
        };
        tests.push((column, test));
    }
    Condition::Map(tests)
}

fn comparison(dice: &mut Dice) -> Comparison {
    dice.one_of(&[Comparison::LessThan, Comparison::AtMost, Comparison::MoreThan, Comparison::AtLeast])
}

/// Whether the tests know the order of such a column's values.
fn ordered(engine: Engine, kind: Kind) -> bool {
    match kind {
        Kind::Int | Kind::Big | Kind::Unsigned | Kind::Decimal | Kind::Double | Kind::Text(Alike::Exact) => true,
        Kind::Date => engine != Engine::Sqlite,
        Kind::Bool
        | Kind::Text(_)
        | Kind::Char
        | Kind::Enum
        | Kind::Wall
        | Kind::Instant
        | Kind::Uuid
        | Kind::Bytes
        | Kind::Untyped => false,
    }
}

pub fn expression(case: &Case, table: usize, column: usize, features: Features, dice: &mut Dice) -> Expression {
    let kind = case.tables[table].columns[column].kind;
    // Over an index, MariaDB finds 0.01 where a column of two decimals is compared with 0.005. Rules that write it so fail:
    // what is found does not change.
    let decimals = kind == Kind::Decimal && case.engine == Engine::Maria;
    let literal = |engine: Engine, kind: Kind, dice: &mut Dice| loop {
        match literal(engine, kind, dice) {
            Literal::Number(text) if decimals && text.split_once('.').is_some_and(|(_, digits)| digits.len() > 2) => {}
            other => return other,
        }
    };
    let one = |dice: &mut Dice| match dice.below(4) {
        0 => Expression::IsNull(column),
        1 => Expression::In(column, vec![literal(case.engine, kind, dice), literal(case.engine, kind, dice)]),
        2 if ordered(case.engine, kind) => {
            Expression::Compare(column, comparison(dice), literal(case.engine, kind, dice))
        }
        _ => Expression::Equals(column, literal(case.engine, kind, dice)),
    };
    let _ = features;
    match dice.below(5) {
        0 => Expression::And(Box::new(one(dice)), Box::new(Expression::Not(Box::new(one(dice))))),
        1 => Expression::Or(Box::new(one(dice)), Box::new(one(dice))),
        2 => Expression::Not(Box::new(one(dice))),
        _ => one(dice),
    }
}

/// A word of a condition: one of the values that rows have, or one beside them.
fn literal(engine: Engine, kind: Kind, dice: &mut Dice) -> Literal {
    let beside: &[&str] = match kind {
        Kind::Decimal => &["0.005", "0.015", "1.499999"],
        Kind::Double => &["0.3", "0.1", "-0.5"],
        _ => &[],
    };
    if !beside.is_empty() && dice.chance(60) {
        return Literal::Number(dice.one_of(beside).into());
    }
    loop {
        return match super::rows::condition_value(engine, kind, dice) {
            Value::Int(number) => Literal::Number(number.to_string()),
            Value::Decimal(hundredths) => Literal::Number(decimal(hundredths)),
            // Not all that a float holds can be written as a plain number.
            Value::Real(number) if number.abs() > 1e15 || number == 0.0 && number.is_sign_negative() => continue,
            Value::Real(number) => Literal::Number(number.to_string()),
            Value::Bool(truth) => Literal::Bool(truth),
            Value::Text(text) => Literal::Text(text),
            Value::Day(day) => Literal::Text(crate::oracle::calendar::written(day)),
            _ => continue,
        };
    }
}
