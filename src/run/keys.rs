//! Reads the keys of all rows of a table, page by page.

use crate::{
    catalog::{Codec, Table},
    database::{Connection, Dialect, Error, KeyColumn, statements::Sight},
    sql::Sql,
};

/// How many keys are looked at per statement.
const PAGE: u64 = 10_000;

/// What is read.
pub(super) struct Reading<'a> {
    pub dialect: &'a dyn Dialect,
    pub table: &'a Table,
    /// Where only a part of the table is meant, as it stands after `from`.
    pub part: Option<String>,
    /// What is asked of each row.
    pub question: Option<&'a Sql>,
}

impl Reading<'_> {
    /// Hands over the key of each row as the database prints it, and the answer, until `each` has seen enough.
    pub async fn each(
        self,
        connection: &mut dyn Connection,
        mut each: impl FnMut(&[String], bool) -> bool,
    ) -> Result<(), Error> {
        let Self { dialect, table, part, question } = self;
        let key: Vec<_> = table.key_columns().map(KeyColumn::from).collect();
        let locator = match &table.rowid {
            Some(name) => vec![KeyColumn { name: name.clone(), codec: Codec::row_id() }],
            None => key.clone(),
        };
        let from = part.unwrap_or_else(|| dialect.target(&table.name));
        let sight = Sight { table: &table.name, from, locator: &locator, key: &key, question };
        let mut after: Option<Vec<String>> = None;
        loop {
            let rows = connection.fetch(&sight.page(dialect, after.as_deref(), PAGE)).await?;
            for row in &rows {
                let text = |value: &Option<String>| value.clone().unwrap_or_default();
                let named: Vec<_> = row[locator.len()..row.len() - 1].iter().map(text).collect();
                if !each(&named, row.last().and_then(Option::as_deref) == Some("1")) {
                    return Ok(());
                }
            }
            match rows.last() {
                Some(last) if rows.len() as u64 == PAGE => {
                    after = Some(last[..locator.len()].iter().map(|value| value.clone().unwrap_or_default()).collect());
                }
                _ => return Ok(()),
            }
        }
    }
}
