//! Conditions (`where`) as SQL, checked against the columns.

use super::find::find_column;
use crate::{
    catalog::{Codec, Column, Engine, Literal, Misfit, Operand, Reading, Table},
    database::Dialect,
    diagnostic::{Code, Diagnostic, Place},
    rules::{Condition, Match, condition},
    sql::Sql,
};

/// A condition on the rows of a table that a statement calls `row`. `place` is where it stands; what does not fit goes
/// to `found`.
pub(super) fn on_rows(
    dialect: &dyn Dialect,
    table: &Table,
    row: &str,
    condition: &Condition,
    place: &Place,
    found: &mut Vec<Diagnostic>,
) -> Option<Sql> {
    match condition {
        Condition::Data(terms) => {
            let mut pieces = Vec::new();
            for (name, test) in terms {
                match find_column(table, name, place.key(name).name()) {
                    Ok(column) => pieces.extend(term(dialect, row, column, test, &place.key(name), found)),
                    Err(error) => found.push(error),
                }
            }
            Some(Sql::all(&pieces))
        }
        Condition::Sql(text) => sql_condition(dialect, table, row, text, place).map_err(|error| found.push(error)).ok(),
    }
}

/// The columns that a condition names; none where there is none, or where it cannot be read, which is told elsewhere.
pub(super) fn columns(condition: Option<&Condition>, engine: Engine) -> Vec<String> {
    match condition {
        Some(Condition::Data(terms)) => terms.iter().map(|(column, _)| column.clone()).collect(),
        Some(Condition::Sql(text)) => {
            let expression = condition::check(text, engine);
            let named = expression.iter().flat_map(condition::Expression::columns);
            named.map(|column| column.name.clone()).collect()
        }
        None => Vec::new(),
    }
}

fn term(
    dialect: &dyn Dialect,
    row: &str,
    column: &Column,
    test: &Match,
    place: &Place,
    found: &mut Vec<Diagnostic>,
) -> Option<Sql> {
    let here = dialect.column(row, &column.name);
    let codec = &column.codec;
    let ranged = !matches!(test, Match::In(_) | Match::NotIn(_));
    let mut read = |literal: &Literal| -> Option<Reading> {
        let refuse = |misfit: Misfit| {
            let message = format!("{}: column `{}` is of type {}", misfit.problem, column.name, type_name(column));
            let error = Diagnostic::error(Code::ConditionType, place.clone(), message);
            found.push(misfit.help.into_iter().fold(error, Diagnostic::help));
        };
        codec.read(literal, ranged).map_err(refuse).ok()
    };
    match test {
        Match::LessThan(value) => read(value).map(|value| below(dialect, &here, codec, &value, "<")),
        Match::AtMost(value) => read(value).map(|value| below(dialect, &here, codec, &value, "<=")),
        Match::MoreThan(value) => read(value).map(|value| above(dialect, &here, codec, &value, ">")),
        Match::AtLeast(value) => read(value).map(|value| above(dialect, &here, codec, &value, ">=")),
        Match::In(values) | Match::NotIn(values) => {
            let null = values.contains(&Literal::Null);
            let readings: Vec<_> =
                values.iter().filter(|value| **value != Literal::Null).map(read).collect::<Option<_>>()?;
            Some(match test {
                Match::In(_) => among(dialect, &here, codec, &readings, null),
                _ => not_among(dialect, &here, codec, &readings),
            })
        }
    }
}

/// A column without a type has none to name.
fn type_name(column: &Column) -> &str {
    if column.sql_type.is_empty() { "any (it is declared without one)" } else { &column.sql_type }
}

/// Some value at all, since every value of the column stands so to the literal.
fn any_value(here: &str) -> Sql {
    Sql::new(format!("{here} is not null"))
}

fn nothing() -> Sql {
    Sql::new("1 = 0")
}

fn below(dialect: &dyn Dialect, here: &str, codec: &Codec, value: &Reading, operator: &str) -> Sql {
    match value {
        Reading::Value(operand) => dialect.compare(here, codec, operator, operand),
        Reading::Above(operand) => dialect.compare(here, codec, "<=", operand),
        Reading::AboveAll => any_value(here),
        Reading::BelowAll | Reading::Truth(_) => nothing(),
    }
}

fn above(dialect: &dyn Dialect, here: &str, codec: &Codec, value: &Reading, operator: &str) -> Sql {
    match value {
        Reading::Value(operand) => dialect.compare(here, codec, operator, operand),
        Reading::Above(operand) => dialect.compare(here, codec, ">", operand),
        Reading::BelowAll => any_value(here),
        Reading::AboveAll | Reading::Truth(_) => nothing(),
    }
}

/// The values among the readings, and the truths. No value of the column is equal to any other reading.
fn told_apart(readings: &[Reading]) -> (Vec<Operand>, Vec<bool>) {
    let (mut operands, mut truths) = (Vec::new(), Vec::new());
    for reading in readings {
        match reading {
            Reading::Value(operand) => operands.push(operand.clone()),
            Reading::Truth(truth) => truths.push(*truth),
            Reading::Above(_) | Reading::BelowAll | Reading::AboveAll => {}
        }
    }
    (operands, truths)
}

/// The column holds one of the values.
fn among(dialect: &dyn Dialect, here: &str, codec: &Codec, readings: &[Reading], null: bool) -> Sql {
    let (operands, truths) = told_apart(readings);
    let mut terms = Vec::new();
    if !operands.is_empty() {
        terms.push(dialect.among(here, codec, &operands));
    }
    terms.extend(truths.iter().map(|truth| dialect.truth(here, *truth)));
    if null {
        terms.push(Sql::new(format!("{here} is null")));
    }
    if terms.is_empty() { nothing() } else { Sql::join(&terms, " or ").nested() }
}

/// The column holds a value, and none of these. What is not true is false, and not anything else: a number that is
/// neither 1 nor 0 tells nothing.
fn not_among(dialect: &dyn Dialect, here: &str, codec: &Codec, readings: &[Reading]) -> Sql {
    let (operands, truths) = told_apart(readings);
    let mut terms = Vec::new();
    if !operands.is_empty() || truths.is_empty() {
        terms.push(dialect.not_among(here, codec, &operands));
    }
    for reading in readings {
        if let Reading::Above(operand) = reading {
            // whatever can be compared with it at all
            let sides = ["<=", ">"].map(|operator| dialect.compare(here, codec, operator, operand));
            terms.push(Sql::join(&sides, " or ").nested());
        }
    }
    if !truths.is_empty() {
        let others: Vec<_> = [true, false]
            .iter()
            .filter(|truth| !truths.contains(truth))
            .map(|truth| dialect.truth(here, *truth))
            .collect();
        terms.push(if others.is_empty() { nothing() } else { Sql::join(&others, " or ") });
    }
    Sql::join(&terms, " and ").nested()
}

/// A condition written as SQL, on rows called `row`.
fn sql_condition(
    dialect: &dyn Dialect,
    table: &Table,
    row: &str,
    text: &str,
    place: &Place,
) -> Result<Sql, Diagnostic> {
    let expression = condition::check(text, dialect.engine()).map_err(|mut errors| {
        let error = errors.swap_remove(0);
        let place = place.within(error.range);
        let diagnostic = Diagnostic::error(Code::BadCondition, place, error.problem);
        error.help.into_iter().fold(diagnostic, Diagnostic::help)
    })?;
    if let Some(column) = expression.stranger(&table.name.name) {
        let message = format!("a condition knows only the columns of `{}`", table.name);
        return Err(Diagnostic::error(Code::BadCondition, place.within(column.range.clone()), message));
    }
    for column in expression.columns() {
        if !dialect.has_column(table, &column.name) {
            find_column(table, &column.name, place.within(column.range.clone()))?;
        }
    }
    Ok(dialect.condition(&expression, row))
}
