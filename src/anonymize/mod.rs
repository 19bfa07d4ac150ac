//! Techniques: what becomes of a column's value. One file per family.
//!
//! Every technique but the keyed ones has a fixpoint, `f(f(x)) = f(x)`, so "not yet done" can be asked in SQL:
//! `column is distinct from f(column)`.
//!
//! # What holds for all of them
//!
//! - NULL stays NULL: there is nothing in it to remove. (`copy` is no technique that removes anything: it keeps a value
//!   that another column loses.)
//! - A value that a technique cannot read (a number in an SQLite date column, `unknown` in a column of IP addresses)
//!   becomes NULL. A column that refuses NULL then fails the statement, loudly; nothing personal is kept in silence.
//! - The SQL gives the column's type and never shortens a text to make it fit.
//! - The same function exists in Rust ([`Technique::apply`]): for samples, for the tests, and for keyed techniques on an
//!   engine that cannot compute them.

use crate::{
    catalog::{Column, ColumnKind, Engine, Table},
    clock::starting_point::Source,
    diagnostic::Code,
    sql::Sql,
};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

mod code;
mod copy;
mod further;
mod generalize;
mod keyed;
mod mask;
mod number;
mod personal;
mod replace;
mod suppress;
mod truncate;

pub use personal::{Certainty, Personal, names_one, names_people, personal, points_at_people};

#[cfg(test)]
mod tests;

/// What becomes of one column (names after ISO/IEC 20889).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Technique {
    /// Null.
    Suppress,
    /// A constant text; `{key}` in it stands for the row's primary key.
    Replace(String),
    /// Stars in place of all characters but some.
    Mask(Mask),
    Generalize(Generalize),
    /// The first characters only.
    Truncate(Truncate),
    /// Numbers above become this one.
    TopCode(f64),
    /// Numbers below become this one.
    BottomCode(f64),
    /// Keyed hash (HMAC-SHA-256), in hexadecimal. Pseudonymization only.
    Hash(Hash),
    /// A token of a fixed form, from a keyed hash. Pseudonymization only.
    Tokenize(Tokenize),
    /// The value of another column of the row, or of related rows, is kept in this one.
    Copy(Source),
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mask {
    #[serde(default)]
    pub keep_first: u32,
    #[serde(default)]
    pub keep_last: u32,
}

/// To what a value is coarsened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Generalize {
    /// Dates: the month's first day.
    Month,
    /// Dates: the year's first day.
    Year,
    /// Dates: the first day of the decade.
    Decade,
    /// Numbers: the greatest multiple of this one that is not above.
    Bucket(f64),
    /// IP addresses: this many leading bits of IPv4, and of IPv6.
    IpPrefix { v4: u8, v6: u8 },
    /// Postal codes: this many leading characters.
    PostalCode(u32),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Truncate {
    pub length: u32,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hash {}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tokenize {
    #[serde(default)]
    pub prefix: String,
    /// Hexadecimal characters after the prefix, 8 to 64.
    pub length: u32,
}

/// Why a technique does not fit a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    pub code: Code,
    /// Lowercase, for example ``column `email` holds at most 20 characters, and the replacement may have 37``.
    pub problem: String,
    /// What would be right.
    pub help: String,
}

/// What a technique needs to know besides the column.
#[derive(Clone)]
pub struct Context<'a> {
    pub engine: Engine,
    /// The column in SQL, quoted and qualified.
    pub column_sql: String,
    /// SQL for the row's primary key as text: see [`key_text`].
    pub key_sql: String,
    /// The secret of keyed techniques.
    pub pseudonym_key: Option<&'a [u8]>,
    /// Equal values get equal pseudonyms within one scope, and unrelated ones in different scopes.
    pub scope: String,
    /// SQL for the value that `copy` takes.
    pub copied: Option<String>,
    /// The job's zone, in which points in time have their month and year.
    pub zone: TimeZone,
}

/// One family of techniques. What holds for all families is checked and done once, in [`Technique`].
trait Family {
    /// Words for plan and report, for example `first 3 characters kept, rest masked`.
    fn label(&self) -> String;

    /// What stands against it in this column.
    fn misfits(&self, column: &Column, table: &Table, engine: Engine) -> Vec<Misfit>;

    /// Its SQL; `None` where this engine has none, or the key is missing.
    fn expression(&self, column: &Column, context: &Context) -> Option<Sql>;

    /// The new value of a value that is not null, as the engine prints it.
    fn apply(&self, value: &str, column: &Column, row_key: &str, context: &Context) -> Option<String>;

    /// Different values can become equal.
    fn merges_values(&self) -> bool {
        true
    }

    /// It depends on a secret, and whoever has that can link pseudonym and person.
    fn is_keyed(&self) -> bool {
        false
    }
}

impl Technique {
    fn family(&self) -> Box<dyn Family + '_> {
        match self {
            Self::Suppress => Box::new(suppress::Suppression),
            Self::Replace(text) => Box::new(replace::Replacement(text)),
            Self::Mask(mask) => Box::new(mask::Masking(mask)),
            Self::Generalize(generalize) => generalize::family(generalize),
            Self::Truncate(truncate) => Box::new(truncate::Truncation { length: truncate.length, of: "" }),
            Self::TopCode(limit) => Box::new(code::Coding { side: code::Side::Top, limit: *limit }),
            Self::BottomCode(limit) => Box::new(code::Coding { side: code::Side::Bottom, limit: *limit }),
            Self::Hash(Hash {}) => Box::new(keyed::Pseudonym::hash()),
            Self::Tokenize(tokenize) => Box::new(keyed::Pseudonym::token(tokenize)),
            Self::Copy(source) => Box::new(copy::Copying(source)),
        }
    }

    /// Words for plan and report, for example `first 3 characters kept, rest masked`.
    pub fn label(&self) -> String {
        self.family().label()
    }

    /// Applying it twice is applying it once.
    pub fn has_fixpoint(&self) -> bool {
        !self.is_keyed()
    }

    /// It depends on a secret: pseudonymization, never anonymization.
    pub fn is_keyed(&self) -> bool {
        self.family().is_keyed()
    }

    /// The engine can compute it. SQLite has no hash function; keyed values come from [`Self::apply`] there.
    pub fn in_sql(&self, engine: Engine) -> bool {
        !self.is_keyed() || engine != Engine::Sqlite
    }

    /// Everything that stands against this technique in this column; empty when it fits.
    pub fn fits(&self, column: &Column, table: &Table, engine: Engine) -> Vec<Misfit> {
        let name = &column.name;
        let mut misfits = Vec::new();
        let mut refuse = |code, problem, help: &str| misfits.push(Misfit { code, problem, help: help.to_owned() });
        if table.primary_key.contains(name) {
            let problem = format!("column `{name}` belongs to the primary key");
            refuse(Code::KeyColumn, problem, "leave it as it is, or erase the row");
        }
        if column.generated {
            let problem = format!("column `{name}` is computed by the database");
            refuse(Code::GeneratedColumn, problem, "name the columns that it is computed from");
        }
        let foreign_key = table.foreign_keys.iter().find(|key| key.columns.contains(name));
        if let (Some(key), false) = (foreign_key, *self == Self::Suppress) {
            let problem = format!("column `{name}` is part of the foreign key `{}`", key.name);
            refuse(Code::ReferencingColumn, problem, "use `suppress`: no other value has a row to point at");
        }
        let family = self.family();
        if table.is_unique(name) && family.merges_values() {
            let problem = format!("column `{name}` is unique, and this technique can make values equal");
            refuse(Code::UniqueColumn, problem, "use `suppress`, or `replace` with `{key}` in the text");
        }
        misfits.extend(family.misfits(column, table, engine));
        misfits
    }

    /// SQL for the new value. `None` when it cannot be computed in SQL ([`Self::in_sql`]), when a keyed technique has
    /// no key, or when the technique does not fit the column.
    pub fn expression(&self, column: &Column, context: &Context) -> Option<Sql> {
        self.family().expression(column, context)
    }

    /// A condition that is true for rows whose value is not yet at the fixpoint, and false (never null) for the
    /// others. `None` without fixpoint: the rule's marker column has to tell.
    pub fn pending(&self, column: &Column, context: &Context) -> Option<Sql> {
        if *self == Self::Suppress {
            return Some(Sql::new(format!("{} is not null", context.column_sql)));
        }
        let new = self.expression(column, context).filter(|_| self.has_fixpoint())?;
        Some(Sql { text: differs(&context.column_sql, &new.text, column, context.engine), args: new.args })
    }

    /// What the value becomes, with values as the engine prints them in a session in UTC. `row_key` is the row's
    /// primary key as [`Context::key_sql`] gives it. Text is exact on every engine; a number can have other trailing
    /// zeros than the engine would print.
    pub fn apply(&self, value: Option<&str>, column: &Column, row_key: &str, context: &Context) -> Option<String> {
        self.family().apply(value?, column, row_key, context)
    }
}

/// A condition that tells whether two values of a column differ: null-safe, and byte by byte for text, whatever the
/// collation.
pub fn differs(old: &str, new: &str, column: &Column, engine: Engine) -> String {
    use ColumnKind::{Enumeration, Inet, Json, Other, Text, Uuid};
    match (engine, column.kind) {
        // `json` and some other types have no equality; `citext` and non-deterministic collations have too much of
        // it; `char(n)` loses its padding here.
        (Engine::Postgres, Text | Json | Other) => {
            format!(r#"(({old})::text collate "C" is distinct from ({new})::text collate "C")"#)
        }
        (Engine::Postgres, _) => format!("(({old}) is distinct from ({new}))"),
        (Engine::Mysql, Text | Json | Other | Enumeration | Uuid | Inet) => {
            let bytes = |sql| format!("cast(convert({sql} using utf8mb4) as binary)");
            format!("(not ({} <=> {}))", bytes(old), bytes(new))
        }
        (Engine::Mysql, _) => format!("(not (({old}) <=> ({new})))"),
        (Engine::Sqlite, _) => format!("({old} is not ({new}) collate binary)"),
    }
}

/// A value in forms by which rows are grouped so that what differs is told apart, whatever the collation; nulls stay null.
/// Numbers are told apart by their value: what a server prints may leave digits out.
pub fn told_apart(value: &str, column: &Column, engine: Engine) -> Vec<String> {
    use ColumnKind::{Enumeration, Inet, Json, Other, Text, Uuid};
    match (engine, column.kind) {
        (Engine::Postgres, Text | Json | Other) => vec![format!(r#"({value})::text collate "C""#)],
        // bits and shapes are no text
        (Engine::Mysql, Other) if column.words.is_empty() => vec![format!("hex({value})")],
        (Engine::Mysql, Text | Json | Other | Enumeration | Uuid | Inet) => {
            vec![format!("cast(convert({value} using utf8mb4) as binary)")]
        }
        (Engine::Postgres | Engine::Mysql, _) => vec![value.to_owned()],
        // 1 and 1.0 are equal, and can be told apart
        (Engine::Sqlite, _) => vec![format!("{value} collate binary"), format!("typeof({value})")],
    }
}

/// The expressions by which values are grouped where those that the database takes for equal count as one. As little as
/// possible is told apart.
pub fn counted_as_one(value: &str, column: &Column, engine: Engine) -> String {
    match (engine, column.kind) {
        // these have no equality of their own
        (Engine::Postgres, ColumnKind::Json | ColumnKind::Other) => format!("({value})::text"),
        _ => value.to_owned(),
    }
}

/// A row's key as one text, of its parts as texts. A single part stays as it is. Of several, `~` becomes `~0` and `-` becomes
/// `~1` in each before a `-` joins them: no two keys give the same text.
pub fn key_text(parts: &[String], engine: Engine) -> String {
    let parts = parts.iter().map(|part| {
        if parts.len() == 1 {
            return part.clone();
        }
        // not by a collation under which other characters are equal to these
        let part = if engine == Engine::Postgres { format!(r#"({part}) collate "C""#) } else { part.clone() };
        format!("replace(replace({part}, '~', '~0'), '-', '~1')")
    });
    let parts: Vec<_> = parts.collect();
    match engine {
        Engine::Mysql => format!("concat_ws('-', {})", parts.join(", ")),
        Engine::Postgres | Engine::Sqlite => parts.join(" || '-' || "),
    }
}

impl Context<'_> {
    /// The column's value as text, as its client would read it.
    fn text(&self) -> String {
        match self.engine {
            Engine::Postgres => format!("{}::text", self.column_sql),
            Engine::Mysql => self.column_sql.clone(),
            Engine::Sqlite => format!("cast({} as text)", self.column_sql),
        }
    }
}

impl Misfit {
    /// The technique needs another sort of column.
    fn kind(column: &Column, needed: &str, help: &str) -> Self {
        let problem = format!("column `{}` is {} and this technique needs {needed}", column.name, column.sql_type);
        Self { code: Code::TechniqueType, problem, help: help.to_owned() }
    }

    /// The new text can be longer than the column.
    fn length(column: &Column, longest: usize, help: &str) -> Option<Self> {
        let most = most_characters(column).filter(|most| longest > *most as usize)?;
        let name = &column.name;
        let problem = format!("column `{name}` holds at most {most} characters, and the new value can have {longest}");
        Some(Self { code: Code::TooLong, problem, help: help.to_owned() })
    }
}

/// The greatest number of characters that a column takes, where limited. PostgreSQL's `name` and `"char"` cut off what is
/// longer, in silence; a character may take four bytes of `name`.
fn most_characters(column: &Column) -> Option<u32> {
    match column.sql_type.as_str() {
        "name" => Some(15),
        "\"char\"" => Some(1),
        _ => column.max_length,
    }
}

/// The misfit of a technique that gives texts which may read as numbers: SQLite turns these into numbers in a column that was
/// declared with a word such as `uuid`, which means nothing to it.
fn kept_as_text(column: &Column, engine: Engine) -> Option<Misfit> {
    let declared = column.sql_type.to_ascii_uppercase();
    let is_text = ["CHAR", "CLOB", "TEXT", "BLOB"].iter().any(|word| declared.contains(word)) || declared.is_empty();
    let needed = "a column that keeps texts of digits as texts";
    (engine == Engine::Sqlite && column.kind == ColumnKind::Text && !is_text)
        .then(|| Misfit::kind(column, needed, "declare it `text`, or use `suppress` or `mask`"))
}

/// The misfit of a technique that works on text, if the column holds none.
fn text_only(column: &Column) -> Option<Misfit> {
    let help = "use `suppress`, `generalize` or, with a value of the column's type, `replace`";
    (column.kind != ColumnKind::Text).then(|| Misfit::kind(column, "text", help))
}

/// A number of characters, as far as every engine can count: texts are not longer than a gigabyte.
fn count(characters: u32) -> u32 {
    characters.min(1 << 30)
}
