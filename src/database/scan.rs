//! The statements of assertions: rows that must not be there, and texts to look through.

use super::{Dialect, KeyColumn, Sql, Statement, Value};
use crate::catalog::TableName;

/// No more characters of a text are looked at.
const LONGEST: u32 = 20_000;

/// One number: the rows that meet the condition, up to one more than `most`.
pub fn count(dialect: &dyn Dialect, table: &TableName, condition: &Sql, most: u64) -> Statement {
    let mut sql = Sql::new(format!(
        "select {} from (select 1 as one from {} where ",
        dialect.shown("count(*)"),
        dialect.target(table)
    ));
    sql.append(condition).push(&format!(" limit {}) found", most + 1));
    dialect.finish(sql)
}

/// The rows before this key, the highest key first: the key's columns, then each text that has enough digits for a card
/// number. Without a key, any rows.
pub fn texts(
    dialect: &dyn Dialect,
    table: &TableName,
    key: &[KeyColumn],
    columns: &[KeyColumn],
    before: Option<&[String]>,
    limit: u64,
) -> Statement {
    let row = dialect.row(table);
    let text = |column: &KeyColumn| dialect.text(&dialect.column(&row, &column.name), column);
    let digits = |column: &KeyColumn| {
        let text = text(column);
        format!("case when {} then substr({text}, 1, {LONGEST}) end", dialect.has_digits(&text))
    };
    let list: Vec<_> = key.iter().map(text).chain(columns.iter().map(digits)).collect();
    let mut sql = Sql::new(format!("select {} from {}", list.join(", "), dialect.target(table)));
    if let Some(before) = before {
        sql.push(" where ").append(&lies_before(dialect, &row, key, before));
    }
    if !key.is_empty() {
        let order: Vec<_> = key.iter().map(|column| format!("{} desc", dialect.column(&row, &column.name))).collect();
        sql.push(&format!(" order by {}", order.join(", ")));
    }
    sql.push(&format!(" limit {limit}"));
    dialect.finish(sql)
}

/// The columns, compared from the first to the last, lie before this key. Written out, because not every server walks
/// along an index for a comparison of rows.
fn lies_before(dialect: &dyn Dialect, row: &str, columns: &[KeyColumn], key: &[String]) -> Sql {
    let compare = |index: usize, operator: &str| {
        let column = &columns[index];
        let value = Value::Text(key.get(index).cloned().unwrap_or_default());
        Sql::bound(format!("{} {operator} {}", dialect.column(row, &column.name), dialect.cast(column)), value)
    };
    let alternatives = (0..columns.len()).map(|index| {
        let pieces: Vec<_> = (0..index).map(|index| compare(index, "=")).chain([compare(index, "<")]).collect();
        Sql::join(&pieces, " and ").nested()
    });
    let any = Sql::join(&alternatives.collect::<Vec<_>>(), " or ").nested();
    Sql::join(&[compare(0, "<="), any], " and ")
}
