//! Persons as Meta knows them: normalized and hashed.

use crate::recipients::{hashing::sha256, phone};

/// Meta's key and our name, in the order of the columns.
pub(super) const KEYS: &[(&str, &str)] = &[
    ("EXTERN_ID", "extern_id"),
    ("EMAIL", "email"),
    ("PHONE", "phone"),
    ("MADID", "madid"),
    ("FN", "first_name"),
    ("FI", "first_initial"),
    ("LN", "last_name"),
    ("GEN", "gender"),
    ("DOBY", "birth_year"),
    ("DOBM", "birth_month"),
    ("DOBD", "birth_day"),
    ("CT", "city"),
    ("ST", "state"),
    ("ZIP", "zip"),
    ("COUNTRY", "country"),
];

/// A value as Meta wants it before hashing; `None` where nothing usable is left.
pub(super) fn normalized(key: &str, text: &str, country: Option<&str>, calling_code: Option<&str>) -> Option<String> {
    let small = text.trim().to_lowercase();
    let roman = || small.chars().filter(char::is_ascii_lowercase).collect::<String>();
    let name = || small.chars().filter(|c| c.is_ascii_lowercase() || !(c.is_ascii() || c.is_whitespace())).collect();
    let digits = || small.chars().filter(char::is_ascii_digit).collect::<String>();
    let two = |most: u8| {
        let number = digits().parse::<u8>().ok().filter(|number| (1..=most).contains(number))?;
        Some(format!("{number:02}"))
    };
    let value = match key {
        "EXTERN_ID" => text.to_owned(),
        "PHONE" => phone::international(text, calling_code).number()?,
        "FN" | "LN" => name(),
        "FI" => name().chars().take(1).collect(),
        "GEN" => small.chars().next().filter(|c| matches!(c, 'm' | 'f'))?.to_string(),
        "DOBY" => Some(digits()).filter(|year| year.len() == 4)?,
        "DOBM" => two(12)?,
        "DOBD" => two(31)?,
        "CT" | "ST" => roman(),
        "ZIP" => {
            let code: String = small.chars().filter(|c| !(c.is_whitespace() || *c == '-')).collect();
            let american = country.is_some_and(|country| country.trim().eq_ignore_ascii_case("us"));
            if american { code.chars().take(5).collect() } else { code }
        }
        "COUNTRY" => Some(roman()).filter(|country| country.len() == 2)?,
        _ => small,
    };
    (!value.is_empty()).then_some(value)
}

/// What is sent of a value.
pub(super) fn column(key: &str, text: &str, country: Option<&str>, calling_code: Option<&str>) -> Option<String> {
    let value = normalized(key, text, country, calling_code)?;
    Some(if matches!(key, "EXTERN_ID" | "MADID") { value } else { sha256(&value) })
}
