//! What MySQL's and MariaDB's values are, from `information_schema.columns`.

use crate::{
    catalog::{Codec, Collation, ColumnKind, Values},
    sql::{PLACEHOLDER, Sql, Value},
};

/// What the server says of a column.
pub(super) struct Told<'a> {
    pub kind: ColumnKind,
    /// Such as `decimal`.
    pub data_type: &'a str,
    /// Such as `decimal(10,2)` or `bigint(20) unsigned`.
    pub sql_type: &'a str,
    pub collation: &'a str,
    pub character_set: &'a str,
    pub words: &'a [String],
}

pub(super) fn codec(told: &Told<'_>) -> Codec {
    let whole = |bits: u32| match told.sql_type.contains("unsigned") {
        true => Values::Integer { least: 0, most: (1 << bits) - 1 },
        false => Values::Integer { least: -(1 << (bits - 1)), most: (1 << (bits - 1)) - 1 },
    };
    let arguments = told.sql_type.find('(').zip(told.sql_type.find(')')).map(|(a, b)| &told.sql_type[a..=b]);
    let argument = |position: usize| -> Option<i64> {
        arguments?.trim_matches(['(', ')']).split(',').nth(position)?.trim().parse().ok()
    };
    let values = match told.data_type {
        "tinyint" => whole(8),
        "smallint" => whole(16),
        "mediumint" => whole(24),
        "int" => whole(32),
        "bigint" => whole(64),
        "year" => Values::Integer { least: 1901, most: 2155 },
        "decimal" => {
            let (digits, scale) = (argument(0).unwrap_or(65), argument(1).unwrap_or(0));
            Values::Decimal { scale: Some(scale), whole_digits: Some(digits - scale) }
        }
        "float" => Values::Float { single: true },
        "double" => Values::Float { single: false },
        "bit" => Values::Bits { most: (1 << argument(0).unwrap_or(1).clamp(1, 64)) - 1 },
        "enum" => Values::Words { words: told.words.to_vec(), by_position: false },
        "set" => Values::WordSet(told.words.to_vec()),
        "date" => Values::Date { unset: true },
        "datetime" => Values::DateTime,
        "timestamp" => Values::Instant,
        "time" => Values::Time,
        _ => match told.kind {
            ColumnKind::Text => Values::Text,
            ColumnKind::Bytes => Values::Bytes { prefix: "" },
            ColumnKind::Uuid => Values::Uuid,
            ColumnKind::Inet => Values::Inet,
            ColumnKind::Json => Values::Json,
            _ => Values::Other,
        },
    };
    let cast = match &values {
        Values::Integer { least: 0, .. } | Values::Bits { .. } | Values::Words { .. } | Values::WordSet(_) => {
            "unsigned".to_owned()
        }
        Values::Integer { .. } => "signed".to_owned(),
        Values::Decimal { .. } => format!("decimal{}", arguments.unwrap_or("(65,30)")),
        Values::Float { .. } => "double".to_owned(),
        Values::Date { .. } => "date".to_owned(),
        Values::DateTime | Values::Instant => "datetime(6)".to_owned(),
        Values::Time => "time(6)".to_owned(),
        _ => String::new(),
    };
    let is_text = values == Values::Text;
    let comparable = !matches!(values, Values::Json | Values::Other);
    let collation = is_text
        .then(|| Collation { name: told.collation.to_owned(), character_set: Some(told.character_set.to_owned()) });
    Codec { collation, comparable, ..Codec::of(values, cast) }
}

/// A value as text.
pub(super) fn text(codec: &Codec, expression: &str) -> String {
    match codec.values {
        Values::Bytes { .. } => format!("hex({expression})"),
        Values::Bits { .. } => format!("cast({expression} + 0 as char)"),
        _ => format!("cast({expression} as char)"),
    }
}

/// The value as text with every digit, for keys. MySQL shows only six digits of a `float`.
pub(super) fn key_text(codec: &Codec, expression: &str) -> String {
    match codec.values {
        Values::Float { single: true } => format!("cast(cast({expression} as double) as char)"),
        _ => text(codec, expression),
    }
}

pub(super) fn bind(codec: &Codec, text: &str, mariadb: bool) -> Sql {
    // MySQL does not look texts that are cast to numbers up in an index: it reads, and locks, the whole table
    if matches!(codec.values, Values::Integer { .. })
        && let Ok(number) = text.parse::<i64>()
        && number.to_string() == text
    {
        return Sql::bound(PLACEHOLDER.to_string(), Value::Integer(number));
    }
    let position = |words: &[String], word: &str| words.iter().position(|known| known == word);
    let text = match &codec.values {
        // the server sorts words by their position, and compares them so with a number only; what is no word has none
        Values::Words { words, .. } => {
            position(words, text).map_or_else(|| unknown(text), |position| (position + 1).to_string())
        }
        Values::WordSet(words) => {
            let chosen: Option<Vec<_>> =
                text.split(',').filter(|word| !word.is_empty()).map(|word| position(words, word)).collect();
            let sum = chosen.map(|chosen| chosen.iter().map(|position| 1_u64 << position).sum::<u64>());
            sum.map_or_else(|| unknown(text), |sum| sum.to_string())
        }
        _ => text.to_owned(),
    };
    Sql::bound(place(codec, mariadb), Value::Text(text))
}

/// A value that is none of the words of an enumeration: the server stores it as nothing, with the position 0.
fn unknown(text: &str) -> String {
    if text.is_empty() { "0".to_owned() } else { text.to_owned() }
}

fn place(codec: &Codec, mariadb: bool) -> String {
    if matches!(codec.values, Values::Bytes { .. }) {
        return format!("unhex({PLACEHOLDER})");
    }
    // MySQL makes 2^63 - 1 of greater texts
    if !mariadb && matches!(codec.values, Values::Integer { least: 0, .. }) {
        return format!("cast({PLACEHOLDER} as decimal(20))");
    }
    if !codec.cast.is_empty() {
        return format!("cast({PLACEHOLDER} as {})", codec.cast);
    }
    // text of the connection: a column of other characters would be compared in the connection's order, not its own
    match &codec.collation {
        Some(Collation { name, character_set: Some(characters), .. }) if !characters.starts_with("utf8") => {
            format!("convert({PLACEHOLDER} using {characters}) collate {name}")
        }
        _ => PLACEHOLDER.to_string(),
    }
}

/// What is computed for a column, to be stored in it.
pub(super) fn new_value(codec: &Codec, text: String, mariadb: bool) -> Sql {
    let place = match &codec.values {
        Values::Words { .. } | Values::WordSet(_) | Values::Text => PLACEHOLDER.to_string(),
        _ => place(codec, mariadb),
    };
    Sql::bound(place, Value::Text(text))
}
