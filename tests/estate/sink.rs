//! Where rows go: one connection, rows collected in memory and sent in bulk (COPY to PostgreSQL, inserts of many rows
//! elsewhere), parents before children. Memory stays flat: what is collected is sent when it is a few megabytes.

use jiff::civil::{Date, DateTime};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, MySqlConnection, PgConnection, SqliteConnection, raw_sql};
use std::{collections::BTreeMap, fmt::Write as _};

/// A value of a column.
#[derive(Clone, Debug)]
pub enum Cell {
    Null,
    Number(i64),
    Text(String),
    Bytes(Vec<u8>),
    Truth(bool),
    /// A time of Tokyo in a column that knows its zone.
    Instant(DateTime),
}

macro_rules! from {
    ($($kind:ty: $value:ident => $cell:expr),* $(,)?) => { $(
        impl From<$kind> for Cell {
            fn from($value: $kind) -> Self {
                $cell
            }
        }
    )* };
}
from! {
    i64: value => Cell::Number(value),
    u32: value => Cell::Number(i64::from(value)),
    bool: value => Cell::Truth(value),
    String: value => Cell::Text(value),
    &str: value => Cell::Text(value.to_owned()),
    Vec<u8>: value => Cell::Bytes(value),
    Date: value => Cell::Text(value.to_string()),
    DateTime: value => Cell::Text(value.strftime("%Y-%m-%d %H:%M:%S%.f").to_string()),
}

impl<T: Into<Self>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// The cells of a row, in the order of the table's columns.
macro_rules! row {
    ($($value:expr),* $(,)?) => { [$($crate::estate::sink::Cell::from($value)),*] };
}
pub(crate) use row;

enum To {
    Postgres(PgConnection),
    Mariadb(MySqlConnection),
    Sqlite(SqliteConnection),
}

pub struct Sink {
    to: To,
    /// In the order in which they are sent.
    tables: Vec<(&'static str, Table)>,
    collected: usize,
}

#[derive(Default)]
struct Table {
    /// Pieces of text, each small enough for one statement.
    pieces: Vec<String>,
    ids: i64,
    rows: u64,
}

const PIECE: usize = 1 << 19;
const MOST: usize = 1 << 23;

impl Sink {
    /// `tables`: parents before children.
    pub async fn open(url: &str, tables: &[&'static str]) -> sqlx::Result<Self> {
        let mut to = match url.split(':').next() {
            Some("postgres" | "postgresql") => To::Postgres(PgConnection::connect(url).await?),
            Some("mysql" | "mariadb") => To::Mariadb(MySqlConnection::connect(url).await?),
            _ => To::Sqlite(SqliteConnection::connect(url).await?),
        };
        if let To::Mariadb(connection) = &mut to {
            let modes = "set sql_mode = 'STRICT_ALL_TABLES,NO_BACKSLASH_ESCAPES', foreign_key_checks = 0";
            connection.execute(raw_sql(AssertSqlSafe(modes.to_owned()))).await?;
        }
        let tables = tables.iter().map(|name| (*name, Table::default())).collect();
        Ok(Self { to, tables, collected: 0 })
    }

    pub async fn script(&mut self, sql: &str) -> sqlx::Result<()> {
        let sql = raw_sql(AssertSqlSafe(sql.to_owned()));
        match &mut self.to {
            To::Postgres(connection) => connection.execute(sql).await.map(|_| ()),
            To::Mariadb(connection) => connection.execute(sql).await.map(|_| ()),
            To::Sqlite(connection) => connection.execute(sql).await.map(|_| ()),
        }
    }

    fn table(&mut self, name: &str) -> &mut Table {
        let table = self.tables.iter_mut().find(|(known, _)| *known == name);
        &mut table.unwrap_or_else(|| panic!("no table {name}")).1
    }

    /// The number of the table's next row.
    pub fn id(&mut self, table: &str) -> i64 {
        let table = self.table(table);
        table.ids += 1;
        table.ids
    }

    pub fn put(&mut self, table: &str, cells: &[Cell]) {
        let mut line = String::with_capacity(cells.len() * 16);
        match self.to {
            To::Postgres(_) => copied(&mut line, cells),
            To::Mariadb(_) | To::Sqlite(_) => inserted(&mut line, cells),
        }
        self.collected += line.len();
        let table = self.table(table);
        table.rows += 1;
        match table.pieces.last_mut() {
            Some(piece) if piece.len() < PIECE => piece.push_str(&line),
            _ => table.pieces.push(line),
        }
    }

    /// Sends what is collected if it is much.
    pub async fn breathe(&mut self) -> sqlx::Result<()> {
        if self.collected > MOST { self.flush().await } else { Ok(()) }
    }

    pub async fn flush(&mut self) -> sqlx::Result<()> {
        self.collected = 0;
        let pieces: Vec<_> = self
            .tables
            .iter_mut()
            .flat_map(|(name, table)| std::mem::take(&mut table.pieces).into_iter().map(|piece| (*name, piece)))
            .collect();
        if pieces.is_empty() {
            return Ok(());
        }
        self.script("begin").await?;
        for (name, piece) in pieces {
            match &mut self.to {
                To::Postgres(connection) => {
                    let mut copy = connection.copy_in_raw(&format!("copy {name} from stdin")).await?;
                    copy.send(piece.into_bytes()).await?;
                    copy.finish().await?;
                }
                To::Mariadb(_) | To::Sqlite(_) => {
                    let rows = piece.trim_end_matches(['\n', ',']);
                    self.script(&format!("insert into {name} values {rows}")).await?;
                }
            }
        }
        self.script("commit").await
    }

    /// Sends the rest; rows by table.
    pub async fn finish(mut self) -> sqlx::Result<BTreeMap<&'static str, u64>> {
        self.flush().await?;
        let analyze: String = match &self.to {
            To::Postgres(_) | To::Sqlite(_) => "analyze".to_owned(),
            To::Mariadb(_) => {
                format!("analyze table {}", self.tables.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", "))
            }
        };
        self.script(&analyze).await?;
        match self.to {
            To::Postgres(connection) => connection.close().await?,
            To::Mariadb(connection) => connection.close().await?,
            To::Sqlite(connection) => connection.close().await?,
        }
        Ok(self.tables.into_iter().map(|(name, table)| (name, table.rows)).collect())
    }
}

/// A line of PostgreSQL's text format.
fn copied(line: &mut String, cells: &[Cell]) {
    for (at, cell) in cells.iter().enumerate() {
        if at > 0 {
            line.push('\t');
        }
        match cell {
            Cell::Null => line.push_str("\\N"),
            Cell::Number(number) => write!(line, "{number}").unwrap(),
            Cell::Truth(truth) => line.push(if *truth { 't' } else { 'f' }),
            Cell::Instant(time) => write!(line, "{time}+09").unwrap(),
            Cell::Bytes(bytes) => {
                line.push_str("\\\\x");
                bytes.iter().for_each(|byte| write!(line, "{byte:02x}").unwrap());
            }
            Cell::Text(text) => text.chars().for_each(|letter| match letter {
                '\\' => line.push_str("\\\\"),
                '\n' => line.push_str("\\n"),
                '\t' => line.push_str("\\t"),
                '\r' => line.push_str("\\r"),
                _ => line.push(letter),
            }),
        }
    }
    line.push('\n');
}

/// `(1,'x'),` of an insert.
fn inserted(line: &mut String, cells: &[Cell]) {
    for (at, cell) in cells.iter().enumerate() {
        line.push(if at == 0 { '(' } else { ',' });
        match cell {
            Cell::Null => line.push_str("null"),
            Cell::Number(number) => write!(line, "{number}").unwrap(),
            Cell::Truth(truth) => line.push(if *truth { '1' } else { '0' }),
            Cell::Instant(time) => write!(line, "'{time}+09:00'").unwrap(),
            Cell::Bytes(bytes) => {
                line.push_str("x'");
                bytes.iter().for_each(|byte| write!(line, "{byte:02x}").unwrap());
                line.push('\'');
            }
            Cell::Text(text) => {
                line.push('\'');
                line.push_str(&text.replace('\'', "''"));
                line.push('\'');
            }
        }
    }
    line.push_str("),\n");
}
