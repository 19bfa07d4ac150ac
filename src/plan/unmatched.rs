//! Conditions that look like slips of the pen: a value that no row has, a condition that no row meets.

use super::{Counts, condition};
use crate::{
    anonymize::personal,
    catalog::{Literal, Table},
    database::{Connection, Dialect, Error, ErrorKind, KeyColumn, Work, statements},
    diagnostic::Code,
    language::shape::nearest,
    rules::{Condition, Match, Rule},
};

/// In a table with more rows, by the server's estimate, only an index is asked for a value.
const BIG: u64 = 10_000_000;

/// A column with more different values than this has no words that one could have meant.
const WORDS: usize = 100;

/// What a reviewer should look at. Nothing where the table is empty; a row that is at rest already meets the condition too.
pub(super) async fn warnings(
    connection: &mut dyn Connection,
    dialect: &dyn Dialect,
    table: &Table,
    rule: &Rule,
    work: &Work,
    counts: &Counts,
) -> Result<Vec<String>, Error> {
    match look(connection, dialect, table, rule, work, counts).await {
        // a look that takes too long is given up, not the plan
        Err(error) if error.kind == ErrorKind::StatementTimeout => Ok(Vec::new()),
        looked => looked,
    }
}

async fn look(
    connection: &mut dyn Connection,
    dialect: &dyn Dialect,
    table: &Table,
    rule: &Rule,
    work: &Work,
    counts: &Counts,
) -> Result<Vec<String>, Error> {
    let Some(condition) = &rule.condition else { return Ok(Vec::new()) };
    let some = statements::any_row(dialect, &table.name, None);
    if connection.fetch(&some).await?.is_empty() {
        return Ok(Vec::new());
    }
    let mut warnings = Vec::new();
    let row = dialect.row(&table.name);
    let terms: &[(String, Match)] = if let Condition::Data(terms) = condition { terms } else { &[] };
    for (name, test) in terms {
        let (Match::In(values) | Match::NotIn(values)) = test else { continue };
        let Some(column) = table.columns.iter().find(|column| column.name == *name) else { continue };
        let indexed = table.indexes.iter().any(|index| index.columns.first() == Some(name));
        if table.estimated_rows > BIG && !indexed {
            continue;
        }
        for value in values {
            let Some(shown) = shown(value) else { continue };
            let alone = Condition::Data(vec![(name.clone(), Match::In(vec![value.clone()]))]);
            // what does not fit has been told
            let alone = condition::on_rows(dialect, table, &row, &alone, &rule.place, &mut Vec::new());
            let Some(alone) = alone else { continue };
            if !connection.fetch(&statements::any_row(dialect, &table.name, Some(&alone))).await?.is_empty() {
                continue;
            }
            let distinct = statements::distinct(dialect, &table.name, &KeyColumn::from(column), WORDS + 1);
            let words: Vec<_> = connection.fetch(&distinct).await?.into_iter().flatten().flatten().collect();
            let near = nearest(words.iter().map(String::as_str), &shown);
            let near = near.filter(|_| words.len() <= WORDS && !tells_of_a_person(table, name));
            let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            let code = Code::NoSuchValue.as_str();
            warnings.push(format!("{code}: `{name}` is `{shown}` in no row of `{}`{near}", rule.table));
        }
    }
    let known = counts.due > 0 || counts.without_starting_point.is_some_and(|rows| rows > 0);
    if let Some(condition) = work.condition.as_ref().filter(|_| warnings.is_empty() && !known)
        && connection.fetch(&statements::any_row(dialect, &table.name, Some(condition))).await?.is_empty()
    {
        let code = Code::NoSuchValue.as_str();
        warnings.push(format!("{code}: no row of `{}` meets the rule's `where`, and there are rows", rule.table));
    }
    Ok(warnings)
}

/// Its values may tell who somebody is: a plan names none of them.
fn tells_of_a_person(table: &Table, column: &str) -> bool {
    let is_key = || table.indexes.iter().any(|index| index.unique && index.columns == [column]);
    personal(column).is_some() || is_key()
}

/// As it stands in the rule.
fn shown(value: &Literal) -> Option<String> {
    match value {
        Literal::Null => None,
        Literal::Boolean(value) => Some(value.to_string()),
        Literal::Number(text) | Literal::Text(text) => Some(text.clone()),
    }
}
