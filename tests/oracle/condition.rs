//! Whether a row meets a condition: yes, no, or nobody knows.

#![expect(clippy::manual_try_fold, reason = "unknown does not end a search: what follows may still decide")]

use super::{
    calendar::{self, Told},
    language::{Comparison, Condition, Expression, Literal, Test},
    schema::{Row, Table},
    value::{Engine, Kind, Value},
};
use std::cmp::Ordering;

/// Nothing stands for "not known".
pub type Truth = Option<bool>;

fn and(left: Truth, right: Truth) -> Truth {
    match (left, right) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), Some(true)) => Some(true),
        _ => None,
    }
}

fn or(left: Truth, right: Truth) -> Truth {
    not(and(not(left), not(right)))
}

fn not(truth: Truth) -> Truth {
    truth.map(|truth| !truth)
}

impl Condition {
    pub fn holds(&self, table: &Table, row: &Row, engine: Engine) -> Truth {
        match self {
            Condition::Map(tests) => tests.iter().fold(Some(true), |truth, (column, test)| {
                and(truth, test.holds(table.columns[*column].kind, &row[*column], engine))
            }),
            Condition::Sql(expression) => expression.holds(table, row, engine),
        }
    }

    pub fn columns(&self) -> Vec<usize> {
        match self {
            Condition::Map(tests) => tests.iter().map(|(column, _)| *column).collect(),
            Condition::Sql(expression) => expression.columns(),
        }
    }
}

impl Test {
    fn holds(&self, kind: Kind, value: &Value, engine: Engine) -> Truth {
        let equals = |kind, value: &Value, literal: &Literal, engine| match is_comparable(value, literal) {
            true => equals(kind, value, literal, engine),
            false => None,
        };
        match self {
            Test::OneOf(literals) => literals.iter().fold(Some(false), |truth, literal| match literal {
                Literal::Null => or(truth, Some(*value == Value::Null)),
                other => or(truth, equals(kind, value, other, engine)),
            }),
            // Rows without a value are not among them.
            Test::Not(literals) => {
                let none = literals.iter().filter(|literal| **literal != Literal::Null);
                let none =
                    none.fold(Some(true), |truth, literal| and(truth, not(equals(kind, value, literal, engine))));
                and(Some(*value != Value::Null), none)
            }
            Test::Compare(_, literal) if !is_comparable(value, literal) => None,
            Test::Compare(comparison, literal) => compares(kind, value, *comparison, literal, engine),
        }
    }
}

/// In a map, numbers are compared with numbers alone and texts with texts. Conditions in SQL compare as the database does.
fn is_comparable(value: &Value, literal: &Literal) -> bool {
    match value {
        Value::Text(_) => !matches!(literal, Literal::Number(_)),
        Value::Int(_) | Value::Real(_) => !matches!(literal, Literal::Text(_)),
        _ => true,
    }
}

impl Expression {
    pub fn holds(&self, table: &Table, row: &Row, engine: Engine) -> Truth {
        let kind = |column: usize| table.columns[column].kind;
        match self {
            Expression::And(left, right) => and(left.holds(table, row, engine), right.holds(table, row, engine)),
            Expression::Or(left, right) => or(left.holds(table, row, engine), right.holds(table, row, engine)),
            Expression::Not(inner) => not(inner.holds(table, row, engine)),
            Expression::IsNull(column) => Some(row[*column] == Value::Null),
            Expression::Equals(column, literal) => equals(kind(*column), &row[*column], literal, engine),
            Expression::Compare(column, comparison, literal) => {
                compares(kind(*column), &row[*column], *comparison, literal, engine)
            }
            Expression::In(column, literals) => literals
                .iter()
                .fold(Some(false), |truth, literal| or(truth, equals(kind(*column), &row[*column], literal, engine))),
        }
    }

    pub fn columns(&self) -> Vec<usize> {
        match self {
            Expression::And(left, right) | Expression::Or(left, right) => [left.columns(), right.columns()].concat(),
            Expression::Not(inner) => inner.columns(),
            Expression::IsNull(column)
            | Expression::Equals(column, _)
            | Expression::Compare(column, _, _)
            | Expression::In(column, _) => vec![*column],
        }
    }
}

fn equals(kind: Kind, value: &Value, literal: &Literal, engine: Engine) -> Truth {
    compared(kind, value, literal, engine).map(|order| order == Ordering::Equal)
}

fn compares(kind: Kind, value: &Value, comparison: Comparison, literal: &Literal, engine: Engine) -> Truth {
    compared(kind, value, literal, engine).map(|order| match comparison {
        Comparison::LessThan => order == Ordering::Less,
        Comparison::AtMost => order != Ordering::Greater,
        Comparison::MoreThan => order == Ordering::Greater,
        Comparison::AtLeast => order != Ordering::Less,
    })
}

/// How a column's value compares with a literal, by the column's own rules.
fn compared(kind: Kind, value: &Value, literal: &Literal, engine: Engine) -> Option<Ordering> {
    match (value, literal) {
        (Value::Null, _) | (_, Literal::Null) => None,
        (Value::Int(number), Literal::Number(text)) => Some((number * 1_000_000).cmp(&millionths(text))),
        (Value::Decimal(hundredths), Literal::Number(text)) => Some((hundredths * 10_000).cmp(&millionths(text))),
        (Value::Real(number), Literal::Number(text)) => number.partial_cmp(&text.parse().unwrap()),
        (Value::Bool(truth), Literal::Bool(literal)) => Some(truth.cmp(literal)),
        (Value::Text(_), Literal::Text(text)) => kind.compare(engine, value, &Value::text(text)),
        (Value::Day(_) | Value::Wall(_) | Value::Infinity(_), Literal::Text(text)) => {
            match calendar::read(text, false)? {
                Told::Day(day) if kind == Kind::Date => kind.compare(engine, value, &Value::Day(day)),
                Told::Day(day) => kind.compare(engine, value, &Value::Wall(day * calendar::DAY)),
                Told::Wall(moment) | Told::Instant(moment) => kind.compare(engine, value, &Value::Wall(moment)),
            }
        }
        // SQLite's columns without a type: every number is less than any text.
        (Value::Text(_), Literal::Number(_)) if kind == Kind::Untyped => Some(Ordering::Greater),
        (Value::Int(_) | Value::Real(_), Literal::Text(_)) if kind == Kind::Untyped => Some(Ordering::Less),
        (value, literal) => panic!("the generator compares {value:?} of {kind:?} with {literal:?}"),
    }
}

/// A number with up to six digits after the point.
fn millionths(text: &str) -> i128 {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    sign * format!("{whole}{fraction:0<6}").parse::<i128>().unwrap()
}
