//! Stored values, compared in a form in which the usual spellings of one value are equal, as SQL.
//!
//! The planner makes a [`Spelled`] of a value that it has looked up ([`plan::subject`](crate::plan::subject)): the texts that
//! count as equal once a stored value has been brought into the form. What is written here may take more values for equal
//! than it should, and never fewer: whoever is taken for another one loses the rows that had to stay.

use super::{Dialect, KeyColumn};
use crate::{
    catalog::{Column, ColumnKind, Engine, Operand},
    sql::{PLACEHOLDER, Sql, Value},
};

/// A column that is compared with the spellings of one value.
#[derive(Clone, PartialEq, Eq)]
pub struct Spelled {
    pub column: KeyColumn,
    pub spelling: Spelling,
    /// What a stored value is, once it is brought into the form. Personal.
    pub texts: Vec<String>,
    /// Values that the column's own type takes for equal, as its codec prints them. Personal.
    pub values: Vec<Operand>,
}

/// Into which form a stored value is brought before it is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spelling {
    /// Every sort of blank is a space, and none stands around the text.
    Trimmed,
    /// No blanks, no full width, no capitals.
    Address,
    /// Nothing but digits.
    Digits,
    /// No blanks, no full width, no sign, no zeros in front.
    Number,
    /// No blanks, no capitals, none of `-{}`: hexadecimal digits of a UUID or of bytes.
    Hexadecimal,
    /// The hexadecimal digits of a column of bytes, in small letters.
    Bytes,
}

/// The values are personal.
impl std::fmt::Debug for Spelled {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.debug_struct("Spelled").field("column", &self.column.name).field("spelling", &self.spelling).finish()
    }
}

/// Blanks other than the space: all that Unicode calls white space, which is what is left out of the value that is looked for.
const BLANKS: &str = "\t\n\u{b}\u{c}\r\u{85}\u{a0}\u{1680}\u{2000}\u{2001}\u{2002}\u{2003}\u{2004}\u{2005}\u{2006}\u{2007}\
\u{2008}\u{2009}\u{200a}\u{2028}\u{2029}\u{202f}\u{205f}\u{3000}";
const FULL_DIGITS: &str = "０１２３４５６７８９";

/// Characters of full width, from `！` to `～`.
fn full_width() -> impl Iterator<Item = char> {
    '\u{ff01}'..='\u{ff5e}'
}

/// The character of half width that one of full width stands for.
pub fn half_width(letter: char) -> char {
    match letter {
        '\u{ff01}'..='\u{ff5e}' => u32::from(letter).checked_sub(0xfee0).and_then(char::from_u32).unwrap_or(letter),
        other => other,
    }
}

impl Spelled {
    /// The row called `row` has one of the spellings. False, and not unknown, where the column has no value.
    pub fn sql(&self, dialect: &dyn Dialect, row: &str) -> Sql {
        let column = dialect.column(row, &self.column.name);
        let mut pieces = Vec::new();
        if !self.texts.is_empty() {
            let texts = self.texts.iter().map(|text| Sql::bound(place(dialect), Value::Text(text.clone())));
            let texts: Vec<_> = texts.collect();
            let mut sql = Sql::new(format!("{} in (", self.spelling.sql(dialect, &column, &self.column)));
            sql.append(&Sql::join(&texts, ", ")).push(")");
            pieces.push(sql);
        }
        if !self.values.is_empty() {
            pieces.push(dialect.among(&column, &self.column.codec, &self.values));
        }
        if pieces.is_empty() {
            return Sql::new("1 = 0");
        }
        let mut sql = Sql::new("coalesce(");
        sql.append(&Sql::join(&pieces, " or ")).push(", false)");
        sql.hidden()
    }
}

fn place(dialect: &dyn Dialect) -> String {
    match dialect.engine() {
        Engine::Postgres => format!("{PLACEHOLDER}::text"),
        Engine::Mysql => format!("cast({PLACEHOLDER} as binary)"),
        Engine::Sqlite => PLACEHOLDER.to_string(),
    }
}

/// A value of the column as text, to be brought into a form: bytes as hexadecimal digits in small letters. SQLite tells with
/// a letter in front whether the value is stored as bytes (`b`) or not (`t`), whatever the column's type: see [`read`].
pub fn shown(dialect: &dyn Dialect, row: &str, column: &Column) -> String {
    let (expression, key) = (dialect.column(row, &column.name), KeyColumn::from(column));
    match (column.kind, dialect.engine()) {
        (ColumnKind::Bytes, _) => Spelling::Bytes.sql(dialect, &expression, &key),
        (_, Engine::Sqlite) => format!(
            "case typeof({expression}) when 'null' then null when 'blob' then 'b' || lower(hex({expression})) else 't' || \
             cast({expression} as text) end"
        ),
        _ => as_text(dialect, &expression, &key),
    }
}

/// What [`shown`] shows, so that no two different texts are one, whatever the column's collation.
pub fn shown_apart(dialect: &dyn Dialect, row: &str, column: &Column) -> String {
    let shown = shown(dialect, row, column);
    match dialect.engine() {
        Engine::Postgres => format!("({shown}) collate \"C\""),
        Engine::Mysql => format!("convert({shown} using utf8mb4) collate utf8mb4_bin"),
        // what is computed compares byte by byte
        Engine::Sqlite => shown,
    }
}

/// What [`shown`] shows, without the letter of SQLite. Bytes that were stored as a text are that text.
pub fn read(engine: Engine, column: &Column, shown: String) -> String {
    if engine != Engine::Sqlite || column.kind == ColumnKind::Bytes {
        return shown;
    }
    match (shown.strip_prefix('t'), shown.strip_prefix('b')) {
        (Some(text), _) => text.to_owned(),
        (None, Some(digits)) => {
            let text = hex::decode(digits).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            text.unwrap_or_else(|| digits.to_owned())
        }
        (None, None) => shown,
    }
}

/// SQLite stores whatever it is given, whatever the column's type: bytes that were stored as a text are that text.
fn as_text(dialect: &dyn Dialect, expression: &str, column: &KeyColumn) -> String {
    match dialect.engine() {
        Engine::Sqlite => format!("cast({expression} as text)"),
        Engine::Postgres | Engine::Mysql => dialect.text(expression, column),
    }
}

impl Spelling {
    /// The stored value in this form.
    fn sql(self, dialect: &dyn Dialect, expression: &str, column: &KeyColumn) -> String {
        let text = || as_text(dialect, expression, column);
        let engine = dialect.engine();
        match (self, engine) {
            (Self::Bytes, Engine::Postgres) => format!("encode({expression}, 'hex')"),
            (Self::Bytes, Engine::Mysql) => format!("cast(lower(hex({expression})) as binary)"),
            (Self::Bytes, Engine::Sqlite) => format!("lower(hex({expression}))"),
            (_, Engine::Postgres) => self.on_postgres(&text()),
            (_, Engine::Mysql) => {
                // functions on texts compare as some collation does; on bytes they do not
                let binary = |text: &str| format!("cast({text} as binary)");
                let text = match self {
                    Self::Address | Self::Hexadecimal => binary(&format!("lower({})", text())),
                    _ => binary(&text()),
                };
                let replaced = self.replaced(dialect, &text);
                match self {
                    Self::Digits => binary(&format!("regexp_replace(convert({replaced} using utf8mb4), '[^0-9]', '')")),
                    Self::Number => format!("trim(leading '0' from trim(leading '+' from {replaced}))"),
                    Self::Trimmed => format!("trim({replaced})"),
                    _ => replaced,
                }
            }
            (_, Engine::Sqlite) => {
                let text = match self {
                    Self::Address | Self::Hexadecimal => format!("lower({})", text()),
                    _ => text(),
                };
                let replaced = self.replaced(dialect, &text);
                match self {
                    Self::Number => format!("ltrim({replaced}, '+0')"),
                    Self::Trimmed => format!("trim({replaced})"),
                    _ => replaced,
                }
            }
        }
    }

    fn on_postgres(self, text: &str) -> String {
        let literal = |text: &str| format!("'{}'", text.replace('\'', "''"));
        // what stands in the first list and has nothing at its place in the second goes
        let translate =
            |text: &str, from: &str, to: &str| format!("translate({text}, {}, {})", literal(from), literal(to));
        let width = |text: &str, and: &str| {
            let (from, to): (String, String) = full_width().map(|letter| (letter, half_width(letter))).unzip();
            translate(text, &format!("{from}{and}"), &to)
        };
        match self {
            Self::Trimmed => format!("btrim({})", translate(text, BLANKS, &" ".repeat(BLANKS.chars().count()))),
            Self::Address => format!("lower({})", width(text, &format!(" {BLANKS}"))),
            Self::Digits => {
                let digits = translate(text, FULL_DIGITS, "0123456789");
                format!("regexp_replace({digits} collate \"C\", '[^0-9]', '', 'g')")
            }
            Self::Number => format!("ltrim({}, '+0')", width(text, &format!(" {BLANKS}"))),
            Self::Hexadecimal | Self::Bytes => format!("lower({})", translate(text, &format!("-{{}} {BLANKS}"), "")),
        }
    }

    /// On engines that replace one text at a time.
    fn replaced(self, dialect: &dyn Dialect, text: &str) -> String {
        let blanks = |to: &'static str| BLANKS.chars().map(move |blank| (blank, to.to_owned()));
        let space = || std::iter::once((' ', String::new()));
        let letters: Vec<(char, String)> = match self {
            Self::Trimmed => blanks(" ").collect(),
            // capitals of full width are letters that SQLite does not know to be capitals
            Self::Address => {
                let width = full_width().map(|letter| (letter, half_width(letter).to_ascii_lowercase().to_string()));
                width.chain(blanks("")).chain(space()).collect()
            }
            Self::Digits | Self::Number => {
                let digits = FULL_DIGITS.chars().map(|letter| (letter, half_width(letter).to_string()));
                let signs = if self == Self::Digits && dialect.engine() == Engine::Sqlite { SIGNS } else { "" };
                let signs = signs.chars().chain("＋".chars()).map(|sign| (sign, String::new()));
                digits.chain(signs).chain(blanks("")).chain(space()).collect()
            }
            Self::Hexadecimal | Self::Bytes => {
                "-{}".chars().map(|sign| (sign, String::new())).chain(blanks("")).chain(space()).collect()
            }
        };
        let replace = |text: String, (letter, to): (char, String)| {
            format!("replace({text}, {}, {})", dialect.literal(&letter.to_string()), dialect.literal(&to))
        };
        letters.into_iter().fold(text.to_owned(), replace)
    }
}

/// What groups the digits of phone numbers, and stands before and behind them.
const SIGNS: &str = "+-()./·‐‑‒–—―−ー－ｰ（）．／・telTEL:：\u{200b}\u{200e}\u{200f}\u{202a}\u{202c}\u{feff}";
