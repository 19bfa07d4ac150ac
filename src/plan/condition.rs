//! A rule's `where` as SQL, checked against the columns.

use super::{
    find::find_column,
    resolve::{Resolver, Surroundings},
};
use crate::{
    catalog::{Column, ColumnKind, Table},
    database::{KeyColumn, Sql, Value},
    diagnostic::{Code, Diagnostic, Place},
    rules::{Condition, Literal, Match, Rule, condition},
};

impl Resolver<'_, '_> {
    /// The rule's condition on rows called `row`.
    pub(super) fn condition(&mut self, table: &Table, row: &str, condition: &Condition) -> Option<Sql> {
        let place = self.rule.place.key("where");
        match condition {
            Condition::Data(terms) => {
                let terms: Vec<_> = terms
                    .iter()
                    .filter_map(|(name, test)| {
                        let column = find_column(table, name, place.key(name).name());
                        let column = self.keep(column)?;
                        self.term(row, column, test, &place.key(name))
                    })
                    .collect();
                Some(Sql::all(&terms))
            }
            Condition::Sql(text) => self.keep(sql_condition(self.around, table, row, text, &place)),
        }
    }

    fn term(&mut self, row: &str, column: &Column, test: &Match, place: &Place) -> Option<Sql> {
        let dialect = self.around.dialect;
        let here = dialect.column(row, &column.name);
        let cast = dialect.cast(&KeyColumn::from(column));
        let mut bind = |literal: &Literal| -> Option<Sql> {
            let text = literal_for(column, literal).map_err(|problem| {
                let message = format!("{problem}: column `{}` is of type {}", column.name, column.sql_type);
                self.found.push(Diagnostic::error(Code::ConditionType, place.clone(), message));
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
}

/// A rule's condition on its table's rows; `None` when it does not fit (which `resolve_rule` reports).
pub(super) fn rule_condition(around: &Surroundings, table: &Table, rule: &Rule) -> Option<Sql> {
    let row = around.dialect.row(&table.name);
    match &rule.condition {
        None => Some(Sql::all([])),
        Some(condition) => Resolver { rule, around, found: &mut Vec::new(), missing_indexes: Vec::new() }
            .condition(table, &row, condition),
    }
}

/// A condition written as SQL, on rows called `row`.
pub(super) fn sql_condition(
    around: &Surroundings,
    table: &Table,
    row: &str,
    text: &str,
    place: &Place,
) -> Result<Sql, Diagnostic> {
    let expression = condition::check(text, around.catalog.engine).map_err(|mut errors| {
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
        if !around.dialect.has_column(table, &column.name) {
            find_column(table, &column.name, place.within(column.range.clone()))?;
        }
    }
    Ok(around.dialect.condition(&expression, row))
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
