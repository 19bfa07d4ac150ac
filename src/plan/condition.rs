//! Conditions (`where`) as SQL, checked against the columns.

use super::find::find_column;
use crate::{
    catalog::{Column, ColumnKind, Engine, Table},
    database::{Dialect, KeyColumn, Sql, Value},
    diagnostic::{Code, Diagnostic, Place},
    rules::{Condition, Literal, Match, condition},
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
    let cast = dialect.cast(&KeyColumn::from(column));
    let mut bind = |literal: &Literal| -> Option<Sql> {
        let text = literal_for(column, literal).map_err(|problem| {
            let message = format!("{problem}: column `{}` is of type {}", column.name, column.sql_type);
            found.push(Diagnostic::error(Code::ConditionType, place.clone(), message));
        });
        text.ok().map(|text| Sql::bound(cast.clone(), Value::Text(text)))
    };
    let comparison = |operator: &str, value: Option<Sql>| {
        value.map(|value| {
            let mut sql = Sql::new(format!("{here} {operator} "));
            sql.append(&value);
            sql
        })
    };
    match test {
        Match::LessThan(value) => comparison("<", bind(value)),
        Match::AtMost(value) => comparison("<=", bind(value)),
        Match::MoreThan(value) => comparison(">", bind(value)),
        Match::AtLeast(value) => comparison(">=", bind(value)),
        Match::In(values) | Match::NotIn(values) => {
            let negative = matches!(test, Match::NotIn(_));
            let null = values.contains(&Literal::Null);
            let values: Vec<_> =
                values.iter().filter(|value| **value != Literal::Null).map(bind).collect::<Option<_>>()?;
            let mut terms = Vec::new();
            if !values.is_empty() {
                let mut sql = Sql::new(format!("{here} {} (", if negative { "not in" } else { "in" }));
                sql.append(&Sql::join(&values, ", ")).push(")");
                terms.push(sql);
            }
            if negative {
                // a row without a value is in doubt, and rows in doubt stay
                terms.push(Sql::new(format!("{here} is not null")));
            } else if null {
                terms.push(Sql::new(format!("{here} is null")));
            }
            Some(Sql::join(&terms, if negative { " and " } else { " or " }).nested())
        }
    }
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

/// The text to bind for a literal, if the column can hold it.
fn literal_for(column: &Column, literal: &Literal) -> Result<String, String> {
    let fits = |ok: bool, text: &str| if ok { Ok(text.to_owned()) } else { Err(format!("`{text}` cannot stand here")) };
    match (literal, column.kind) {
        (Literal::Null, _) => Err("null cannot be compared".to_owned()),
        // every engine reads these as truth, and SQLite reads the word `true` as 0
        (Literal::Boolean(value), ColumnKind::Boolean | ColumnKind::Integer) => Ok(i32::from(*value).to_string()),
        (Literal::Boolean(value), _) => Err(format!("`{value}` cannot stand here")),
        (Literal::Number(text), ColumnKind::Integer) => fits(text.parse::<i128>().is_ok(), text),
        (Literal::Number(text), ColumnKind::Decimal | ColumnKind::Float | ColumnKind::Text | ColumnKind::Other) => {
            Ok(text.clone())
        }
        (Literal::Number(text), _) => fits(false, text),
        (Literal::Text(text), ColumnKind::Integer | ColumnKind::Decimal | ColumnKind::Float) => {
            fits(text.parse::<f64>().is_ok(), text)
        }
        (Literal::Text(text), ColumnKind::Boolean) => match text.as_str() {
            "true" => Ok("1".to_owned()),
            "false" => Ok("0".to_owned()),
            _ => fits(false, text),
        },
        (Literal::Text(text), ColumnKind::Date) => fits(text.parse::<jiff::civil::Date>().is_ok(), text),
        (Literal::Text(text), ColumnKind::Enumeration) if !column.words.is_empty() => {
            let known = column.words.contains(text);
            fits(known, text).map_err(|problem| format!("{problem}, only {} can", column.words.join(", ")))
        }
        (Literal::Text(text), _) => Ok(text.clone()),
    }
}
