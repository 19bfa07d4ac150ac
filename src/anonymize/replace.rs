//! Replacement: one constant for all rows, with the row's key in it where values must differ.
//!
//! In columns of other types than text the constant must be a value of that type; it is brought to the form in which
//! servers print it, so that the comparison with what is stored comes to rest.

use super::{Context, Family, Misfit, Sql, kept_as_text, number};
use crate::{
    catalog::{Column, ColumnKind, Engine, Table},
    diagnostic::Code,
    sql::{PLACEHOLDER, Value},
};
use jiff::{
    Timestamp,
    civil::{Date, DateTime},
};

/// The text, with `{key}` for the row's primary key.
pub(super) struct Replacement<'a>(pub &'a str);

const KEY: &str = "{key}";

impl Replacement<'_> {
    /// The constant in the server's form, or what the column needs instead.
    fn constant(&self, column: &Column, engine: Engine) -> Result<String, String> {
        let text = self.0;
        let needs = |what: &str| Err(what.to_owned());
        match column.kind {
            ColumnKind::Text => Ok(text.to_owned()),
            ColumnKind::Integer | ColumnKind::Decimal if number::fits(text, column, engine) => Ok(text.to_owned()),
            ColumnKind::Integer => needs("a whole number within the column's range"),
            ColumnKind::Decimal => needs("a number of the column's precision"),
            ColumnKind::Float => match text.parse::<f64>() {
                Ok(number) if number.is_finite() && number::fits(&number::literal(number), column, engine) => {
                    Ok(number::literal(number::stored(number, column, engine)))
                }
                _ => needs("a number that the column can hold"),
            },
            ColumnKind::Boolean => match (text, engine) {
                ("true" | "false", Engine::Postgres) => Ok(text.to_owned()),
                ("true", _) => Ok("1".into()),
                ("false", _) => Ok("0".into()),
                _ => needs("`true` or `false`"),
            },
            ColumnKind::Date => match text.parse::<Date>() {
                Ok(date) if date.to_string() == text => Ok(text.to_owned()),
                _ => needs("a date such as 1970-01-01"),
            },
            ColumnKind::DateTime => match text.parse::<DateTime>() {
                Ok(civil) => Ok(civil.strftime("%F %T").to_string()),
                _ => needs("a date and time such as 1970-01-01 00:00:00"),
            },
            ColumnKind::Instant => match text.parse::<Timestamp>() {
                // Seconds since 1970: the range of MySQL's `timestamp` is the narrowest.
                Ok(instant) if engine == Engine::Mysql && !(1..=0x7FFF_FFFF).contains(&instant.as_second()) => {
                    needs("a point in time between 1970-01-01T00:00:01Z and 2038-01-19T03:14:07Z")
                }
                Ok(instant) if engine == Engine::Postgres => Ok(instant.strftime("%F %T+00").to_string()),
                Ok(instant) => Ok(instant.strftime("%F %T").to_string()),
                _ => needs("a point in time such as 1970-01-02T00:00:00Z"),
            },
            ColumnKind::Uuid => match uuid(text) {
                Some(uuid) => Ok(uuid),
                None => needs("a UUID such as 00000000-0000-0000-0000-000000000000"),
            },
            ColumnKind::Enumeration if column.words.iter().any(|word| word == text) => Ok(text.to_owned()),
            ColumnKind::Enumeration => Err(format!("one of its words: {}", column.words.join(", "))),
            ColumnKind::Json if ["{}", "[]", "null", "\"\""].contains(&text) => Ok(text.to_owned()),
            ColumnKind::Json => needs("`{}`, `[]`, `null` or `\"\"`: other JSON has more than one form"),
            ColumnKind::Bytes | ColumnKind::Time | ColumnKind::Inet | ColumnKind::Other => {
                needs("`suppress`: it cannot hold a replacement")
            }
        }
    }

    /// The replacement for one row.
    fn with_key(&self, row_key: &str) -> String {
        self.0.replace(KEY, row_key)
    }
}

impl Family for Replacement<'_> {
    fn label(&self) -> String {
        match self.0 {
            "" => "emptied".into(),
            text => format!("replaced with `{text}`"),
        }
    }

    fn misfits(&self, column: &Column, table: &Table, engine: Engine) -> Vec<Misfit> {
        let Self(text) = *self;
        let name = &column.name;
        let refuse = |needed: String, help: &str| {
            let problem = format!("column `{name}` is {}, which `{text}` does not fit", column.sql_type);
            vec![Misfit { code: Code::TechniqueType, problem, help: format!("{help}{needed}") }]
        };
        if column.kind != ColumnKind::Text {
            return match self.constant(column, engine) {
                _ if text.contains(KEY) => refuse(String::new(), "`{key}` can stand in text columns alone"),
                Err(needed) => refuse(needed, "use "),
                Ok(_) => Vec::new(),
            };
        }
        if let Some(misfit) = kept_as_text(column, engine)
            .filter(|_| text.bytes().any(|byte| byte.is_ascii_digit()) || text.contains(KEY))
        {
            return vec![misfit];
        }
        // Such columns lose trailing spaces, so the stored value would never be the replacement.
        let sql_type = column.sql_type.to_ascii_lowercase();
        let is_padded = ["char(", "character(", "bpchar"].iter().any(|padded| sql_type.starts_with(padded));
        if is_padded && text.ends_with(' ') && engine != Engine::Sqlite {
            return refuse(String::new(), "remove the spaces at its end: the column does not keep them");
        }
        let Some(key_length) = key_length(table, engine).or((!text.contains(KEY)).then_some(0)) else {
            // How long the keys get is not known here; the server refuses what is too long.
            return Vec::new();
        };
        let keys = text.matches(KEY).count();
        let longest = text.chars().count() - keys * KEY.len() + keys * key_length;
        Misfit::length(column, longest, "shorten the text").into_iter().collect()
    }

    fn expression(&self, column: &Column, context: &Context) -> Option<Sql> {
        let value = &context.column_sql;
        let constant = self.constant(column, context.engine).ok()?;
        let mut args = Vec::new();
        let new = if column.kind == ColumnKind::Text {
            let mut parts = Vec::new();
            for (index, part) in constant.split(KEY).enumerate() {
                if index > 0 {
                    parts.push(context.key_sql.clone());
                }
                if !part.is_empty() {
                    parts.push(placeholder(context.engine).to_owned());
                    args.push(Value::Text(part.to_owned()));
                }
            }
            match (parts.as_slice(), context.engine) {
                ([], _) => "''".to_owned(),
                ([part], _) => part.clone(),
                (_, Engine::Mysql) => format!("concat({})", parts.join(", ")),
                _ => parts.join(" || "),
            }
        } else {
            args.push(Value::Text(constant));
            typed(column, context.engine)
        };
        Some(Sql { text: format!("case when {value} is not null then {new} end"), args })
    }

    fn apply(&self, _: &str, column: &Column, row_key: &str, context: &Context) -> Option<String> {
        match column.kind {
            ColumnKind::Text => Some(self.with_key(row_key)),
            _ => self.constant(column, context.engine).ok(),
        }
    }

    fn merges_values(&self) -> bool {
        !self.0.contains(KEY)
    }
}

fn placeholder(engine: Engine) -> &'static str {
    match engine {
        // Otherwise PostgreSQL cannot tell the type of a bare parameter.
        Engine::Postgres => "\u{1}::text",
        Engine::Mysql | Engine::Sqlite => "\u{1}",
    }
}

/// A bound text as a value of the column's type.
fn typed(column: &Column, engine: Engine) -> String {
    let sql_type = &column.sql_type;
    match (engine, column.kind) {
        // the parentheses keep it apart from the bounds of a walk, which are written anew as numbers
        (Engine::Postgres, _) => format!("({PLACEHOLDER}::text)::{sql_type}"),
        (Engine::Mysql, ColumnKind::Integer) if sql_type.ends_with("unsigned") => {
            format!("cast({PLACEHOLDER} as unsigned)")
        }
        (Engine::Mysql, ColumnKind::Integer | ColumnKind::Boolean) => format!("cast({PLACEHOLDER} as signed)"),
        (Engine::Mysql, ColumnKind::Decimal) => {
            format!("cast({PLACEHOLDER} as {})", sql_type.split(')').next().unwrap_or(sql_type).to_owned() + ")")
        }
        (Engine::Mysql, ColumnKind::Float) => format!("({PLACEHOLDER} + 0e0)"),
        (Engine::Mysql, ColumnKind::Date) => format!("cast({PLACEHOLDER} as date)"),
        (Engine::Mysql, ColumnKind::DateTime | ColumnKind::Instant) => format!("cast({PLACEHOLDER} as datetime)"),
        (Engine::Sqlite, ColumnKind::Integer | ColumnKind::Boolean) => format!("cast({PLACEHOLDER} as integer)"),
        (Engine::Sqlite, ColumnKind::Decimal) => format!("cast({PLACEHOLDER} as numeric)"),
        (Engine::Sqlite, ColumnKind::Float) => format!("cast({PLACEHOLDER} as real)"),
        _ => PLACEHOLDER.to_string(),
    }
}

/// The greatest number of characters that a row's key has as text ([`key_text`](super::key_text)); `None` when unknown.
fn key_length(table: &Table, engine: Engine) -> Option<usize> {
    let is_composite = table.primary_key.len() > 1;
    let part = |column: &Column| match (column.kind, column.max_length) {
        (_, Some(length)) if is_composite => Some(2 * length as usize),
        (_, Some(length)) => Some(length as usize),
        (ColumnKind::Integer, None) => Some(
            match column.sql_type.to_ascii_lowercase().as_str() {
                "smallint" if engine == Engine::Postgres => 6,
                "integer" if engine == Engine::Postgres => 11,
                other if engine == Engine::Mysql && other.starts_with("int") => 11,
                _ => 20,
            } + usize::from(is_composite),
        ),
        // four hyphens, and two
        (ColumnKind::Uuid, None) => Some(if is_composite { 40 } else { 36 }),
        (ColumnKind::Date, None) => Some(if is_composite { 12 } else { 10 }),
        _ => None,
    };
    let parts: Vec<_> = table.key_columns().map(part).collect::<Option<_>>()?;
    let joints = parts.len().checked_sub(1)?;
    Some(parts.iter().sum::<usize>() + joints)
}

/// A UUID in the form that servers print.
fn uuid(text: &str) -> Option<String> {
    let groups: Vec<_> = text.split('-').map(str::len).collect();
    let is_uuid = groups == [8, 4, 4, 4, 12] && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit());
    is_uuid.then(|| text.to_ascii_lowercase())
}
