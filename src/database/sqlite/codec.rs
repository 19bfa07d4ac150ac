//! What SQLite's values are. A column's declared type says what is meant; any row may hold something else, so that every
//! value is bound, compared and printed as what it is: a whole number, a floating-point number, a text or bytes.

use crate::{
    catalog::{Affinity, Codec, Collation, ColumnKind, Operand, Values},
    sql::{PLACEHOLDER, Sql, Value},
};

/// SQLite's own rule, in the order of its documentation. In a strict table `ANY` takes values as they are.
pub(super) fn affinity(declared: &str, strict: bool) -> Affinity {
    let declared = declared.to_ascii_uppercase();
    let has = |words: &[&str]| words.iter().any(|word| declared.contains(word));
    if has(&["INT"]) {
        Affinity::Integer
    } else if has(&["CHAR", "CLOB", "TEXT"]) {
        Affinity::Text
    } else if declared.is_empty() || has(&["BLOB"]) || strict && declared == "ANY" {
        Affinity::Blob
    } else if has(&["REAL", "FLOA", "DOUB"]) {
        Affinity::Real
    } else {
        Affinity::Numeric
    }
}

pub(super) fn codec(kind: ColumnKind, declared: &str, affinity: Affinity) -> Codec {
    let values = match kind {
        ColumnKind::Boolean => Values::Boolean,
        ColumnKind::Date => Values::Date { unset: false },
        ColumnKind::DateTime | ColumnKind::Instant => Values::DateTime,
        ColumnKind::Time => Values::Time,
        ColumnKind::Json => Values::Json,
        ColumnKind::Text => Values::Text,
        ColumnKind::Bytes => Values::Any,
        ColumnKind::Integer | ColumnKind::Decimal | ColumnKind::Float => Values::Number,
        _ => Values::Any,
    };
    Codec { affinity: Some(affinity), ..Codec::of(values, declared) }
}

/// The collation that an index of the table's own says of a column.
pub(super) fn collation(name: &str) -> Collation {
    Collation { name: name.to_owned(), character_set: None }
}

/// A value as SQLite stores it.
enum Stored {
    Null,
    Whole(i64),
    Real(f64),
    Text(String),
    Bytes(Vec<u8>),
}

/// A value as text that names it exactly. Numbers stand with all their digits and texts as they are, but for those that
/// could be taken for something else: they stand in quotes, as in SQL. Bytes are `x` and hexadecimal digits; nothing is
/// a single quote.
pub(super) fn key_text(codec: &Codec, expression: &str) -> String {
    let doubtful = match codec.affinity {
        Some(Affinity::RowId) => return format!("cast({expression} as text)"),
        Some(Affinity::Blob) => format!(" or {expression} glob '[-+.0-9]*'"),
        _ => String::new(),
    };
    format!(
        "(case typeof({expression}) when 'text' then case when {expression} glob '''*' or {expression} glob 'x*' and \
         not substr({expression}, 2) glob '*[^0-9A-F]*'{doubtful} then quote({expression}) else {expression} end \
         when 'integer' then cast({expression} as text) when 'real' then printf('%!.17g', {expression}) \
         when 'blob' then 'x' || hex({expression}) else '''' end)"
    )
}

/// The opposite of [`key_text`]. A text that somebody wrote is read as what it looks like.
fn read(codec: &Codec, text: &str) -> Stored {
    if text == "'" {
        return Stored::Null;
    }
    if let Some(inside) = text.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')) {
        return Stored::Text(inside.replace("''", "'"));
    }
    let digits = text.strip_prefix('x').filter(|digits| !digits.bytes().any(|byte| byte.is_ascii_lowercase()));
    if let Some(bytes) = digits.and_then(|digits| hex::decode(digits).ok()) {
        return Stored::Bytes(bytes);
    }
    if codec.affinity == Some(Affinity::Text) {
        return Stored::Text(text.to_owned());
    }
    number(text).unwrap_or_else(|| Stored::Text(text.to_owned()))
}

fn number(text: &str) -> Option<Stored> {
    if let Ok(whole) = text.parse() {
        return Some(Stored::Whole(whole));
    }
    if text.trim_start_matches('-') == "Inf" {
        return Some(Stored::Real(if text.starts_with('-') { f64::NEG_INFINITY } else { f64::INFINITY }));
    }
    let is_number = text.starts_with(|first: char| first.is_ascii_digit() || "+-.".contains(first));
    text.parse().ok().filter(|_| is_number).map(Stored::Real)
}

fn bound(value: Stored) -> Sql {
    match value {
        Stored::Null => Sql::new("null"),
        // a cast alone would convert texts in a column without a type
        Stored::Whole(whole) => Sql::bound(PLACEHOLDER.to_string(), Value::Integer(whole)),
        Stored::Real(real) if real.is_infinite() => Sql::new(if real > 0.0 { "9e999" } else { "-9e999" }),
        Stored::Real(real) => Sql::bound(format!("+cast({PLACEHOLDER} as real)"), Value::Text(exactly(real))),
        Stored::Text(text) => Sql::bound(PLACEHOLDER.to_string(), Value::Text(text)),
        Stored::Bytes(bytes) => Sql::bound(PLACEHOLDER.to_string(), Value::Bytes(bytes)),
    }
}

/// Digits from which SQLite reads the same number.
fn exactly(real: f64) -> String {
    format!("{real:e}")
}

pub(super) fn bind(codec: &Codec, text: &str) -> Sql {
    if codec.affinity == Some(Affinity::RowId) {
        return Sql::bound(format!("cast({PLACEHOLDER} as integer)"), Value::Text(text.to_owned()));
    }
    bound(read(codec, text))
}

/// A literal of a rule.
fn literal(codec: &Codec, operand: &Operand) -> Sql {
    let number = number(&operand.text).filter(|_| operand.number);
    let bytes = || bytes(codec, operand).map(Stored::Bytes);
    bound(number.or_else(bytes).unwrap_or_else(|| Stored::Text(operand.text.clone())))
}

/// `0x` and hexadecimal digits mean bytes in columns that are declared for them. Elsewhere they are a text, as every text is.
fn bytes(codec: &Codec, operand: &Operand) -> Option<Vec<u8>> {
    let declared = codec.cast.to_ascii_lowercase().contains("blob") && !operand.number;
    operand.text.strip_prefix("0x").filter(|_| declared).and_then(|digits| hex::decode(digits).ok())
}

/// A text that was computed for the column: SQLite makes of it what the column's type says.
pub(super) fn new_value(codec: &Codec, text: String) -> Sql {
    let place = match codec.values {
        Values::Number if codec.affinity == Some(Affinity::Integer) => format!("cast({PLACEHOLDER} as integer)"),
        Values::Boolean => format!("cast({PLACEHOLDER} as integer)"),
        Values::Number => format!("cast({PLACEHOLDER} as numeric)"),
        Values::Any => {
            // what was read as `x` and hexadecimal digits is bytes
            let digits = text.strip_prefix('x').filter(|digits| !digits.bytes().any(|byte| byte.is_ascii_lowercase()));
            let content = digits.and_then(|digits| hex::decode(digits).ok());
            let content = content.filter(|_| codec.affinity == Some(Affinity::Blob));
            return bound(content.map_or(Stored::Text(text), Stored::Bytes));
        }
        _ => PLACEHOLDER.to_string(),
    };
    Sql::bound(place, Value::Text(text))
}

/// A column of a list of keys in JSON: its SQL, and what makes a key's text the JSON that it is read from.
pub(super) fn in_list(codec: &Codec, position: usize, keys: &[Vec<String>]) -> (String, Vec<serde_json::Value>) {
    use serde_json::json;
    let texts = keys.iter().filter_map(|key| key.get(position));
    let field = format!("json_extract(value, '$[{position}]')");
    if codec.affinity == Some(Affinity::RowId) {
        return (format!("cast({field} as integer)"), texts.map(|text| json!(text)).collect());
    }
    let mut bytes = false;
    let values = texts
        .map(|text| match read(codec, text) {
            Stored::Null => serde_json::Value::Null,
            Stored::Whole(whole) => json!(whole),
            Stored::Real(real) if real.is_infinite() => json!({ "r": if real > 0.0 { "9e999" } else { "-9e999" } }),
            Stored::Real(real) => json!({ "r": exactly(real) }),
            Stored::Text(text) => json!(text),
            Stored::Bytes(content) => json!({ "x": hex::encode_upper(content) }),
        })
        .inspect(|value| bytes |= value.is_object())
        .collect();
    // JSON has no bytes, and its numbers are not all of SQLite's
    let sql = match bytes {
        true => format!(
            "coalesce(unhex(json_extract(value, '$[{position}].x')), cast(json_extract(value, '$[{position}].r') as \
             real), {field})"
        ),
        false => field,
    };
    (sql, values)
}

/// A column as it compares with the one that it refers to. SQLite's foreign keys convert the referring value as the
/// referenced column would store it, and take that column's collation; a comparison of two columns may convert either.
pub(super) fn referring(column: &str, codec: &Codec, referenced: &Codec) -> String {
    let (own, other) = (codec.affinity, referenced.affinity);
    // what is converted has no collation of its own
    let (value, own_collation) = match other {
        Some(Affinity::Text) if own != Some(Affinity::Text) => {
            let text = format!("case when typeof({column}) in ('integer', 'real') then cast({column} as text)");
            (format!("({text} else {column} end)"), None)
        }
        // a sign takes the column's own conversion away
        Some(Affinity::Blob) if own != Some(Affinity::Blob) => (format!("+{column}"), codec.collation.as_ref()),
        _ => (column.to_owned(), codec.collation.as_ref()),
    };
    match &referenced.collation {
        Some(other) if own_collation.is_none_or(|own| !own.name.eq_ignore_ascii_case(&other.name)) => {
            format!("{value} collate {}", other.name)
        }
        _ => value,
    }
}

/// The words that applications store for true and false, where SQLite's numbers 1 and 0 are not what they wrote.
const TRUTHS: [&str; 2] = [
    "0, '0', 'f', 'F', 'false', 'FALSE', 'False', 'n', 'N', 'no', 'NO', 'No', 'off', 'OFF', 'Off'",
    "1, '1', 't', 'T', 'true', 'TRUE', 'True', 'y', 'Y', 'yes', 'YES', 'Yes', 'on', 'ON', 'On'",
];

pub(super) fn truth(column: &str, value: bool) -> Sql {
    Sql::new(format!("{column} in ({})", TRUTHS[usize::from(value)]))
}

/// The column compares so. Numbers sort before texts, and texts before bytes: what is of another sort is not compared.
pub(super) fn compare(column: &str, codec: &Codec, operator: &str, operand: &Operand) -> Sql {
    if let Some(moment) = Moment::of(codec, column) {
        let mut sql = Sql::new(format!("{} {operator} ", moment.comparable));
        sql.append(&moment.bound(&operand.text)).push(" and ").push(&moment.readable);
        return sql.nested();
    }
    let mut sql = Sql::new(format!("{column} {operator} "));
    sql.append(&literal(codec, operand));
    let rises = operator.starts_with('>');
    match (operand.number, codec.affinity) {
        (true, _) if rises => drop(sql.push(&format!(" and {column} < ''"))),
        (false, Some(Affinity::Text)) if !rises => {}
        (false, _) => {
            let sort = if bytes(codec, operand).is_some() { "blob" } else { "text" };
            sql.push(&format!(" and typeof({column}) = '{sort}'"));
        }
        _ => {}
    }
    sql
}

pub(super) fn among(column: &str, codec: &Codec, operands: &[Operand]) -> Sql {
    let Some(moment) = Moment::of(codec, column) else {
        let values: Vec<_> = operands.iter().map(|operand| literal(codec, operand)).collect();
        return listed(column, "in", &values);
    };
    let values: Vec<_> = operands.iter().map(|operand| moment.bound(&operand.text)).collect();
    let mut sql = listed(&moment.comparable, "in", &values);
    sql.push(" and ").push(&moment.readable);
    sql.nested()
}

pub(super) fn not_among(column: &str, codec: &Codec, operands: &[Operand]) -> Sql {
    if operands.is_empty() {
        return Sql::new(format!("{column} is not null"));
    }
    if let Some(moment) = Moment::of(codec, column) {
        let values: Vec<_> = operands.iter().map(|operand| moment.bound(&operand.text)).collect();
        let mut sql = listed(&moment.comparable, "not in", &values);
        sql.push(" and ").push(&moment.readable);
        return sql.nested();
    }
    let of = |number: bool, is_bytes: bool| -> Vec<Sql> {
        let sort = |operand: &&Operand| operand.number == number && bytes(codec, operand).is_some() == is_bytes;
        operands.iter().filter(sort).map(|operand| literal(codec, operand)).collect()
    };
    let (numbers, texts, bytes) = (of(true, false), of(false, false), of(false, true));
    let mut sorts = Vec::new();
    if !numbers.is_empty() {
        let mut sql = listed(column, "not in", &numbers);
        sql.push(&format!(" and typeof({column}) in ('integer', 'real')"));
        sorts.push(sql);
    }
    if !texts.is_empty() {
        let mut sql = listed(column, "not in", &texts);
        sql.push(&format!(" and typeof({column}) = 'text'"));
        if !numbers.is_empty() {
            sql.push(&format!(" and {column} not glob '[-+.0-9]*'"));
        }
        sorts.push(sql);
    }
    if !bytes.is_empty() {
        let mut sql = listed(column, "not in", &bytes);
        sql.push(&format!(" and typeof({column}) = 'blob'"));
        sorts.push(sql);
    }
    match sorts.len() {
        1 => sorts.remove(0),
        _ => Sql::join(&sorts, " or ").nested(),
    }
}

fn listed(column: &str, operator: &str, values: &[Sql]) -> Sql {
    let mut sql = Sql::new(format!("{column} {operator} ("));
    sql.append(&Sql::join(values, ", ")).push(")");
    sql
}

/// A day or a time that is stored as text.
struct Moment {
    /// Of one form, whatever the form of the text.
    comparable: String,
    /// The text tells a day or a time.
    readable: String,
}

impl Moment {
    fn of(codec: &Codec, column: &str) -> Option<Self> {
        let comparable = match codec.values {
            Values::Date { .. } => format!("substr({column}, 1, 10)"),
            Values::DateTime => {
                format!("replace({column} || substr(' 00:00:00.000000', length({column}) - 9), 'T', ' ')")
            }
            _ => return None,
        };
        Some(Self { comparable, readable: tells_time(column) })
    }

    fn bound(&self, text: &str) -> Sql {
        let day_alone = self.comparable.starts_with("substr");
        let text = match text.split_once('.') {
            _ if day_alone => text.to_owned(),
            Some((time, fraction)) => format!("{time}.{fraction:0<6}"),
            None => format!("{text}.000000"),
        };
        Sql::bound(PLACEHOLDER.to_string(), Value::Text(text))
    }
}

/// A text without offset that tells a day or a time.
pub(super) fn tells_time(text: &str) -> String {
    // what ends in a zone of its own cannot take another `Z`
    format!(
        "coalesce(case length({text}) when 10 then date({text}) else date({text} || 'Z') end = substr({text}, 1, 10), 0)"
    )
}
