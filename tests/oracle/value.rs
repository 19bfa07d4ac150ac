//! Values, the kinds of columns that hold them, and how the column itself compares them.

use super::calendar::{self, DAY, Day, Moment};
use std::{cmp::Ordering, fmt::Write as _};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Engine {
    Postgres,
    Maria,
    Sqlite,
}

impl Engine {
    /// A column as text.
    pub fn text(self, column: &str) -> String {
        match self {
            Engine::Postgres => format!("{column}::text"),
            Engine::Maria => format!("cast({column} as char)"),
            Engine::Sqlite => format!("cast({column} as text)"),
        }
    }
}

/// What sort of column it is; see [`Kind::declared`] for what that is on an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Int,
    Big,
    /// To 2^64 - 1 (MariaDB).
    Unsigned,
    /// Two digits after the point.
    Decimal,
    Double,
    Bool,
    Text(Alike),
    /// Four characters, filled up with blanks.
    Char,
    /// One of [`WORDS`], in that order.
    Enum,
    Date,
    /// A timestamp without zone.
    Wall,
    /// A point in time.
    Instant,
    Uuid,
    Bytes,
    /// No type at all (SQLite).
    Untyped,
}

/// Which texts are alike to a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alike {
    /// Only equal ones; on MariaDB, whose collation pads, also those that differ in blanks at the end.
    Exact,
    /// `citext`, `utf8mb4_general_ci`, `nocase`.
    Loose,
    /// A nondeterministic ICU collation, `utf8mb4_unicode_ci`, `rtrim`.
    Other,
}

/// Words of enumerations: their order is not that of their letters.
pub const WORDS: [&str; 4] = ["new", "old", "archived", "Zapped"];

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    Int(i128),
    /// Hundredths.
    Decimal(i128),
    Real(f64),
    Bool(bool),
    Text(String),
    Day(Day),
    Wall(Moment),
    Instant(Moment),
    /// Later or earlier than any day (PostgreSQL).
    Infinity(bool),
    /// `0000-00-00` (MariaDB).
    ZeroDate,
    Bytes(Vec<u8>),
}

impl Kind {
    /// Its type in SQL.
    pub fn declared(self, engine: Engine) -> &'static str {
        use Alike::{Exact, Loose, Other};
        use Engine::{Maria, Postgres, Sqlite};
        match (self, engine) {
            (Kind::Int, Postgres | Sqlite) => "integer",
            (Kind::Int, Maria) => "int",
            (Kind::Big, _) => "bigint",
            (Kind::Unsigned, _) => "bigint unsigned",
            (Kind::Decimal, _) => "decimal(20,2)",
            (Kind::Double, Postgres) => "double precision",
            (Kind::Double, Maria) => "double",
            (Kind::Double, Sqlite) => "real",
            (Kind::Bool, _) => "boolean",
            (Kind::Text(Exact), Postgres | Sqlite) => "text",
            (Kind::Text(Exact), Maria) => "varchar(80) character set utf8mb4 collate utf8mb4_bin",
            (Kind::Text(Loose), Postgres) => "citext",
            (Kind::Text(Loose), Maria) => "varchar(80) character set utf8mb4 collate utf8mb4_general_ci",
            (Kind::Text(Loose), Sqlite) => "text collate nocase",
            (Kind::Text(Other), Postgres) => "text collate alike",
            (Kind::Text(Other), Maria) => "varchar(80) character set utf8mb4 collate utf8mb4_unicode_ci",
            (Kind::Text(Other), Sqlite) => "text collate rtrim",
            (Kind::Char, Maria) => "char(4) character set utf8mb4 collate utf8mb4_bin",
            (Kind::Char, _) => "char(4)",
            (Kind::Enum, Postgres) => "word",
            (Kind::Enum, Maria) => "enum('new', 'old', 'archived', 'Zapped')",
            (Kind::Enum, Sqlite) => "text",
            (Kind::Date, _) => "date",
            (Kind::Wall, Postgres) => "timestamp",
            (Kind::Wall, Maria) => "datetime(6)",
            (Kind::Wall, Sqlite) => "datetime",
            (Kind::Instant, Postgres) => "timestamptz",
            (Kind::Instant, _) => "timestamp(6)",
            (Kind::Uuid, _) => "uuid",
            (Kind::Bytes, Postgres) => "bytea",
            (Kind::Bytes, Maria) => "varbinary(20)",
            (Kind::Bytes, Sqlite) => "blob",
            (Kind::Untyped, _) => "",
        }
    }

    /// How two values of such a column compare; nothing if one of them is null.
    pub fn compare(self, engine: Engine, left: &Value, right: &Value) -> Option<Ordering> {
        match (left, right) {
            (Value::Null, _) | (_, Value::Null) => None,
            (Value::Text(left), Value::Text(right)) => Some(self.folded(engine, left).cmp(&self.folded(engine, right))),
            (Value::Real(left), Value::Real(right)) => left.partial_cmp(right),
            (Value::Bool(left), Value::Bool(right)) => Some(left.cmp(right)),
            (Value::Bytes(left), Value::Bytes(right)) => Some(left.cmp(right)),
            _ => match (exact(left), exact(right)) {
                (Some(left), Some(right)) => Some(left.cmp(&right)),
                // SQLite: numbers before texts before bytes
                _ => Some(rank(left).cmp(&rank(right))),
            },
        }
    }

    pub fn alike(self, engine: Engine, left: &Value, right: &Value) -> bool {
        self.compare(engine, left, right) == Some(Ordering::Equal)
    }

    /// A text that is equal for all texts that are alike to the column.
    fn folded(self, engine: Engine, text: &str) -> String {
        use Alike::{Exact, Loose, Other};
        match (self, engine) {
            (Kind::Uuid, _) => text.to_ascii_lowercase(),
            (Kind::Char, Engine::Postgres | Engine::Maria) => text.trim_end_matches(' ').to_owned(),
            (Kind::Text(Exact), Engine::Maria) | (Kind::Text(Other), Engine::Sqlite) => {
                text.trim_end_matches(' ').to_owned()
            }
            (Kind::Text(Loose), Engine::Sqlite) => text.to_ascii_lowercase(),
            (Kind::Text(Loose), Engine::Postgres) => text.to_lowercase(),
            (Kind::Text(Loose | Other), Engine::Maria) => plain(text.trim_end_matches(' ')),
            (Kind::Text(Other), Engine::Postgres) => plain(text),
            _ => text.to_owned(),
        }
    }
}

/// Without accents and capitals, for the few letters that the tests use.
fn plain(text: &str) -> String {
    text.chars()
        .map(|letter| match letter {
            'á' | 'Á' | 'à' | 'ä' | 'Ä' => 'a',
            'é' | 'É' | 'è' => 'e',
            'ü' | 'Ü' => 'u',
            _ => letter.to_ascii_lowercase(),
        })
        .collect()
}

/// A number of hundredths, days or microseconds that orders values of one sort.
fn exact(value: &Value) -> Option<i128> {
    match value {
        Value::Int(number) => Some(number * 100),
        Value::Decimal(hundredths) => Some(*hundredths),
        Value::Day(day) => Some(i128::from(*day) * i128::from(DAY)),
        Value::Wall(moment) | Value::Instant(moment) => Some(i128::from(*moment)),
        Value::Infinity(later) => Some(if *later { i128::MAX } else { i128::MIN }),
        Value::ZeroDate => Some(i128::MIN + 1),
        Value::Null | Value::Real(_) | Value::Bool(_) | Value::Text(_) | Value::Bytes(_) => None,
    }
}

fn rank(value: &Value) -> u8 {
    match value {
        Value::Text(_) => 1,
        Value::Bytes(_) => 2,
        _ => 0,
    }
}

impl Value {
    pub fn text(text: impl Into<String>) -> Value {
        Value::Text(text.into())
    }

    /// The value as a literal of the engine's SQL.
    pub fn literal(&self, engine: Engine) -> String {
        match self {
            Value::Null => "null".into(),
            Value::Int(number) => number.to_string(),
            Value::Decimal(hundredths) => decimal(*hundredths),
            Value::Real(number) if engine == Engine::Postgres => format!("'{number:e}'"),
            Value::Real(number) => format!("{number:e}"),
            Value::Bool(truth) if engine == Engine::Sqlite => u8::from(*truth).to_string(),
            Value::Bool(truth) => truth.to_string(),
            Value::Text(text) => format!("'{}'", text.replace('\'', "''")),
            Value::Day(day) => format!("'{}'", calendar::written(*day)),
            Value::Wall(moment) => format!("'{}'", calendar::written_moment(*moment, ' ')),
            Value::Instant(moment) => {
                let offset = if engine == Engine::Postgres { "+00" } else { "" };
                format!("'{}{offset}'", calendar::written_moment(*moment, ' '))
            }
            Value::Infinity(later) => (if *later { "'infinity'" } else { "'-infinity'" }).into(),
            Value::ZeroDate => "'0000-00-00'".into(),
            Value::Bytes(bytes) => {
                let digits = bytes.iter().fold(String::new(), |mut text, byte| {
                    let _ = write!(text, "{byte:02x}");
                    text
                });
                if engine == Engine::Postgres { format!("'\\x{digits}'") } else { format!("x'{digits}'") }
            }
        }
    }

    /// What [`super::bench`] reads of a value that a rule has written.
    pub fn printed(&self, kind: Kind, engine: Engine) -> Option<String> {
        if engine == Engine::Sqlite {
            return Some(match self {
                Value::Null => "NULL".into(),
                // SQLite's own way of writing numbers with a fraction
                Value::Real(number) => format!("{number:?}"),
                other => other.literal(engine),
            });
        }
        match self {
            Value::Null => None,
            Value::Text(text) if kind == Kind::Char && engine == Engine::Postgres => Some(format!("{text:<4}")),
            Value::Text(text) => Some(text.clone()),
            Value::Real(number) => Some(number.to_string()),
            Value::Wall(moment) if engine == Engine::Maria => Some(with_fraction(*moment)),
            Value::Instant(moment) if engine == Engine::Maria => Some(with_fraction(*moment)),
            Value::Bool(truth) if engine == Engine::Maria => Some(u8::from(*truth).to_string()),
            other => Some(other.literal(engine).trim_matches('\'').to_owned()),
        }
    }
}

fn with_fraction(moment: Moment) -> String {
    let text = calendar::written_moment(moment, ' ');
    if text.contains('.') { text } else { format!("{text}.000000") }
}

pub fn decimal(hundredths: i128) -> String {
    let sign = if hundredths < 0 { "-" } else { "" };
    let digits = hundredths.unsigned_abs();
    format!("{sign}{}.{:02}", digits / 100, digits % 100)
}
