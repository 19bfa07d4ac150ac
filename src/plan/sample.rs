//! Examples for reviewers: the form of a value before, without the value, and what would stand there after.

use super::Sample;
use crate::{
    catalog::Table,
    database::{Change, Connection, Dialect, Error, KeyColumn, Work, statements},
    sql::Value,
};

/// Up to `limit` rows that a run would change.
pub async fn samples(
    connection: &mut dyn Connection,
    dialect: &dyn Dialect,
    table: &Table,
    work: &Work,
    limit: u32,
) -> Result<Vec<Sample>, Error> {
    let changed = |name: &str| match &work.change {
        Change::Erase => !table.primary_key.iter().any(|key| key == name),
        Change::Update(columns) => columns.iter().any(|(column, _)| column == name),
        Change::Compute { computed, sql } => {
            computed.iter().any(|c| c.column.name == name) || sql.iter().any(|(column, _)| column == name)
        }
    };
    let columns: Vec<KeyColumn> =
        table.columns.iter().filter(|column| changed(&column.name)).map(KeyColumn::from).collect();
    let rows = connection.fetch(&statements::sample(dialect, work, &columns, limit)).await?;
    let samples = rows.into_iter().map(|row| {
        let values = &row[work.key.len()..];
        let (before, after) = values.split_at(columns.len().min(values.len()));
        let columns = columns.iter().enumerate().map(|(i, column)| {
            let old = before.get(i).cloned().flatten();
            let computed = match &work.change {
                Change::Compute { computed, .. } => computed.iter().find(|c| c.column.name == column.name),
                _ => None,
            };
            let new = match computed {
                Some(computed) => old.as_deref().and_then(|old| (computed.function)(old)),
                None => after.get(i).cloned().flatten(),
            };
            // a pseudonym is shown as a form too: whoever has the key could relate it
            let keyed = match &work.change {
                Change::Update(columns) | Change::Compute { sql: columns, .. } => columns
                    .iter()
                    .any(|(name, sql)| *name == column.name && sql.args.iter().any(|v| matches!(v, Value::Hidden(_)))),
                Change::Erase => false,
            };
            let new = if keyed || computed.is_some() { new.as_deref().map(form) } else { new };
            (column.name.clone(), (old.as_deref().map(form), new))
        });
        Sample { columns: columns.collect() }
    });
    Ok(samples.collect())
}

/// What a text looks like, without what it says: letters become `x`, digits `9`, other letters `字`; signs stay. Long
/// texts are cut, since length tells too.
fn form(text: &str) -> String {
    let mut form: String = text
        .chars()
        .take(24)
        .map(|character| match character {
            c if c.is_ascii_digit() => '9',
            c if c.is_ascii_alphabetic() => 'x',
            c if c.is_alphanumeric() => '字',
            c if c.is_control() => ' ',
            c => c,
        })
        .collect();
    if text.chars().count() > 24 {
        form.push('…');
    }
    form
}
