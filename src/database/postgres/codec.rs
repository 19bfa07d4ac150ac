//! What PostgreSQL's values are, from its catalog of types.

use crate::{
    catalog::{Codec, Collation, Values},
    sql::{PLACEHOLDER, Sql, Value},
};

/// What `pg_attribute` and `pg_type` say of a column.
pub(super) struct Told<'a> {
    /// The base type's name where it is one of the system, `enum`, `text` for an extension's text type, else empty. A
    /// domain's base type is that of the innermost domain.
    pub base: &'a str,
    /// The base type without a length or scale, as a cast takes it.
    pub cast: &'a str,
    /// The base type has an order.
    pub ordered: bool,
    /// The collation, quoted.
    pub collation: &'a str,
}

pub(super) fn codec(told: &Told<'_>, words: &[String]) -> Codec {
    let integer = |least: i128, most: i128| Values::Integer { least, most };
    let values = match told.base {
        "int2" => integer(i16::MIN.into(), i16::MAX.into()),
        "int4" => integer(i32::MIN.into(), i32::MAX.into()),
        "int8" => integer(i64::MIN.into(), i64::MAX.into()),
        "oid" => integer(0, u32::MAX.into()),
        "numeric" => Values::Decimal { scale: None, whole_digits: None },
        "float4" => Values::Float { single: true },
        "float8" => Values::Float { single: false },
        "bool" => Values::Boolean,
        "text" | "varchar" | "bpchar" | "name" | "char" => Values::Text,
        "bytea" => Values::Bytes { prefix: "\\x" },
        "date" => Values::Date { unset: false },
        "timestamp" => Values::DateTime,
        "timestamptz" => Values::Instant,
        "time" => Values::Time,
        "uuid" => Values::Uuid,
        "inet" | "cidr" => Values::Inet,
        "json" | "jsonb" => Values::Json,
        "bit" | "varbit" => Values::BitText,
        "enum" => Values::Words { words: words.to_vec(), by_position: true },
        _ => Values::Other,
    };
    let is_text = values == Values::Text;
    let cast = match told.cast {
        // a cast to `name` would cut, and this compares as the column does
        "character varying" | "name" => "text",
        other => other,
    };
    Codec {
        collation: is_text.then(|| Collation { name: told.collation.to_owned(), character_set: None }),
        comparable: told.ordered && values != Values::Json,
        ..Codec::of(values, cast)
    }
}

/// What follows a placeholder for a text.
pub(super) fn cast(codec: &Codec) -> String {
    match codec.cast.as_str() {
        "text" => "::text".to_owned(),
        name => format!("::text::{name}"),
    }
}

/// What follows a placeholder for an array of texts.
pub(super) fn array_cast(codec: &Codec) -> String {
    match codec.cast.as_str() {
        "text" => "::text[]".to_owned(),
        name => format!("::text[]::{name}[]"),
    }
}

pub(super) fn bind(codec: &Codec, text: &str) -> Sql {
    Sql::bound(format!("{PLACEHOLDER}{}", cast(codec)), Value::Text(text.to_owned()))
}

/// The integers whose lowest bits can be asked for.
pub(super) fn has_bits(codec: &Codec) -> bool {
    matches!(codec.values, Values::Integer { .. }) && codec.cast != "oid"
}

/// A column as it compares with the one that it refers to: the server takes the referenced column's collation for its
/// foreign keys, and refuses to choose between two.
pub(super) fn referring(column: &str, codec: &Codec, referenced: &Codec) -> String {
    let own_type = |codec: &Codec| codec.values == Values::Text && !matches!(codec.cast.as_str(), "text" | "bpchar");
    let mut sql = column.to_owned();
    if own_type(referenced) && codec.cast != referenced.cast {
        sql = format!("{sql}::{}", referenced.cast);
    }
    match (&codec.collation, &referenced.collation) {
        (Some(own), Some(other)) if own.name != other.name && !other.name.is_empty() => {
            format!("{sql} collate {}", other.name)
        }
        _ => sql,
    }
}
