//! Holds: suspensions of the deletion, as conditions on rows.

use crate::{
    catalog::{Catalog, Table, TableName},
    database::{Dialect, KeyColumn, Sql},
    rules::condition,
};

/// A hold in force, as far as planning needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    pub id: u64,
    pub database: String,
    pub table: TableName,
    pub scope: HoldScope,
    pub matter: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HoldScope {
    /// One row's primary key.
    Key(Vec<String>),
    /// A boolean SQL expression.
    Condition(String),
}

/// One of the holds concerns the row called `row`; `None` when there are none on the table. Keys are hidden from plans.
///
/// # Errors
/// A hold's condition no longer fits the table: its number and what is wrong.
pub fn held(
    dialect: &dyn Dialect,
    catalog: &Catalog,
    table: &Table,
    holds: &[&Hold],
    row: &str,
) -> Result<Option<Sql>, String> {
    let key: Vec<KeyColumn> = table.key_columns().map(KeyColumn::from).collect();
    let mut keys = Vec::new();
    let mut pieces = Vec::new();
    for hold in holds {
        match &hold.scope {
            HoldScope::Key(values) if values.len() == key.len() => keys.push(values.clone()),
            HoldScope::Key(_) => {
                return Err(format!("hold {} does not fit the primary key of {}", hold.id, table.name));
            }
            HoldScope::Condition(text) => {
                let expression = condition::check(text, catalog.engine)
                    .map_err(|errors| format!("hold {}: {}", hold.id, errors.first().map_or("", |e| &e.problem)))?;
                let unknown = expression.columns().iter().find(|column| !dialect.has_column(table, &column.name));
                if let Some(column) = unknown {
                    return Err(format!("hold {}: column `{}` is not in {}", hold.id, column.name, table.name));
                }
                let mut condition = dialect.condition(&expression, row);
                condition.text = format!("coalesce({}, false)", condition.text);
                pieces.push(condition);
            }
        }
    }
    if !keys.is_empty() {
        pieces.insert(0, dialect.one_of(row, &key, &keys).hidden());
    }
    Ok((!pieces.is_empty()).then(|| Sql::join(&pieces, " or ").nested()))
}
