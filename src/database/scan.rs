//! The statements of assertions: rows that must not be there, and texts to look through.

use super::{Dialect, KeyColumn};
use crate::{
    catalog::{Engine, TableName},
    sql::{Sql, Statement},
};

/// No more characters of a text are looked at, and no more bytes.
pub const LONGEST: u32 = 20_000;

/// Numbers below have fewer digits than a card.
const LEAST_NUMBER: u64 = 1_000_000_000_000;

/// A column to look through.
#[derive(Clone, Debug)]
pub struct Searched {
    pub column: KeyColumn,
    pub form: Form,
}

/// What a column holds, as far as looking through it is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Text,
    Number,
    Bytes,
    /// SQLite: each value is what it is.
    Any,
}

/// A value that may hold a card number. Servers leave out texts with too few digits and numbers that are too small.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub form: Form,
    /// Characters, a number as it is printed, or hexadecimal digits.
    pub text: String,
    /// There is more that was not sent.
    pub cut: bool,
}

impl Found {
    /// Of what [`texts`] has in a column's place.
    pub fn read(sent: &str) -> Option<Self> {
        let mut characters = sent.chars();
        let (form, cut) = match characters.next()? {
            't' => (Form::Text, false),
            'T' => (Form::Text, true),
            'n' => (Form::Number, false),
            'b' => (Form::Bytes, false),
            'B' => (Form::Bytes, true),
            _ => return None,
        };
        Some(Self { form, text: characters.as_str().to_owned(), cut })
    }
}

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

/// The rows before this key, the highest key first: the key's columns, then for each column what [`Found::read`] takes, null
/// where there is nothing to look at. Without a key, any rows.
pub fn texts(
    dialect: &dyn Dialect,
    table: &TableName,
    key: &[KeyColumn],
    columns: &[Searched],
    before: Option<&[String]>,
    limit: u64,
) -> Statement {
    let row = dialect.row(table);
    let searched = |searched: &Searched| value(dialect, &dialect.column(&row, &searched.column.name), searched);
    let named = |column: &KeyColumn| dialect.key_text(&dialect.column(&row, &column.name), column);
    let list: Vec<_> = key.iter().map(named).chain(columns.iter().map(searched)).collect();
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

/// A value with a letter before it that tells its form: a capital where it was cut, and what was cut off is worth a look.
fn value(dialect: &dyn Dialect, value: &str, searched: &Searched) -> String {
    let engine = dialect.engine();
    let tagged = |tag: &str, text: &str| match engine {
        Engine::Mysql => format!("concat({tag}, {text})"),
        Engine::Postgres | Engine::Sqlite => format!("{tag} || {text}"),
    };
    let text = |text: &str| {
        // a number may lie across the cut
        let rest = dialect.has_digits(&format!("substr({text}, {})", LONGEST - 100));
        let length = if engine == Engine::Sqlite { "length" } else { "char_length" };
        let tag = format!("case when {length}({text}) > {LONGEST} and {rest} then 'T' else 't' end");
        let shown = tagged(&tag, &format!("substr({text}, 1, {LONGEST})"));
        format!("case when {} then {shown} end", dialect.has_digits(text))
    };
    let number =
        |size: &str, text: &str| format!("case when {size} >= {LEAST_NUMBER} then {} end", tagged("'n'", text));
    let bytes = |shown: &str| {
        let length = if engine == Engine::Sqlite { "length" } else { "octet_length" };
        tagged(&format!("case when {length}({value}) > {LONGEST} then 'B' else 'b' end"), shown)
    };
    match searched.form {
        Form::Text => text(&dialect.text(value, &searched.column)),
        Form::Number => match engine {
            Engine::Mysql => number(&format!("({value} + 0)"), &dialect.text(value, &searched.column)),
            _ if searched.column.codec.cast == "money" => {
                number(&format!("{value}::numeric"), &format!("({value}::numeric)::text"))
            }
            _ => number(value, &dialect.text(value, &searched.column)),
        },
        Form::Bytes => match engine {
            Engine::Postgres => bytes(&format!("encode(substr({value}, 1, {LONGEST}), 'hex')")),
            _ => bytes(&format!("hex(substr({value}, 1, {LONGEST}))")),
        },
        Form::Any => format!(
            "case typeof({value}) when 'text' then {} when 'blob' then {} when 'integer' then {} when 'real' then {} end",
            text(value),
            bytes(&format!("hex(substr({value}, 1, {LONGEST}))")),
            number(value, &format!("cast({value} as text)")),
            number(
                value,
                &format!("printf('%!.0f', case when {value} = round({value}) and {value} < 1e19 then {value} end)")
            ),
        ),
    }
}

/// The columns, compared from the first to the last, lie before this key. Written out, because not every server walks
/// along an index for a comparison of rows.
fn lies_before(dialect: &dyn Dialect, row: &str, columns: &[KeyColumn], key: &[String]) -> Sql {
    let compare = |index: usize, operator: &str| {
        let column = &columns[index];
        let mut sql = Sql::new(format!("{} {operator} ", dialect.column(row, &column.name)));
        sql.append(&dialect.bind(&column.codec, key.get(index).map_or("", String::as_str)));
        sql
    };
    let alternatives = (0..columns.len()).map(|index| {
        let pieces: Vec<_> = (0..index).map(|index| compare(index, "=")).chain([compare(index, "<")]).collect();
        Sql::join(&pieces, " and ").nested()
    });
    let any = Sql::join(&alternatives.collect::<Vec<_>>(), " or ").nested();
    Sql::join(&[compare(0, "<="), any], " and ")
}
