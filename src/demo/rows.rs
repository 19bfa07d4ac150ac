//! Rows on their way into a table: inserted many at a time, so that a company is there in seconds.

use jiff::civil::{Date, DateTime};
use sqlx::{AssertSqlSafe, SqliteConnection};

/// SQLite takes no more values in one statement than 32,766.
const VALUES: usize = 8_000;

pub enum Value {
    Null,
    Number(i64),
    Word(&'static str),
    Text(String),
}

/// A table that is being filled. Never holds more than one statement's rows.
pub struct Rows {
    table: &'static str,
    columns: &'static [&'static str],
    values: Vec<Value>,
    /// So many rows have been added: also the last row's id.
    pub count: u32,
}

impl Rows {
    /// `columns` without the `id`, which is the row's number.
    pub fn new(table: &'static str, columns: &'static [&'static str]) -> Self {
        Self { table, columns, values: Vec::with_capacity(VALUES), count: 0 }
    }

    /// Adds a row and gives its id.
    pub fn add<const COLUMNS: usize>(&mut self, row: [Value; COLUMNS]) -> u32 {
        debug_assert_eq!(COLUMNS, self.columns.len(), "{}", self.table);
        self.count += 1;
        self.values.push(self.count.into());
        self.values.extend(row);
        self.count
    }

    /// Inserts what is there, if it is enough for a statement or the `last` of it.
    pub async fn insert(&mut self, connection: &mut SqliteConnection, last: bool) -> sqlx::Result<()> {
        let width = self.columns.len() + 1;
        let full = VALUES / width * width;
        while self.values.len() >= full || (last && !self.values.is_empty()) {
            let rest = self.values.split_off(full.min(self.values.len()));
            let row = format!("(?{})", ", ?".repeat(width - 1));
            let rows = vec![row; self.values.len() / width].join(", ");
            let sql = format!("insert into {} (id, {}) values {rows}", self.table, self.columns.join(", "));
            let mut query = sqlx::query(AssertSqlSafe(sql));
            for value in std::mem::replace(&mut self.values, rest) {
                query = match value {
                    Value::Null => query.bind(None::<i64>),
                    Value::Number(number) => query.bind(number),
                    Value::Word(word) => query.bind(word),
                    Value::Text(text) => query.bind(text),
                };
            }
            query.execute(&mut *connection).await?;
        }
        Ok(())
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Number(number.into())
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<&'static str> for Value {
    fn from(word: &'static str) -> Self {
        Self::Word(word)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Date> for Value {
    fn from(date: Date) -> Self {
        Self::Text(date.to_string())
    }
}

impl From<DateTime> for Value {
    fn from(time: DateTime) -> Self {
        Self::Text(time.strftime("%F %T").to_string())
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}
