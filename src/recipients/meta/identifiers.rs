//! Persons as Meta knows them: normalized as its own library does it (facebook_business 26.0.3, `Normalize`), and hashed.
//!
//! A name goes without punctuation, as Meta's guide to custom audiences has it; the library leaves it there. The guide wants
//! cities and states in the letters a to z alone, which leaves nothing of 東京; here as in the library, other letters stay.

use crate::recipients::{
    hashing::{digest, sha256},
    phone,
};

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
        "EMAIL" => Some(small.clone()).filter(|address| is_address(address))?,
        "PHONE" => phone::international(text, calling_code).number()?,
        "FN" | "LN" | "CT" | "ST" => name(),
        "FI" => name().chars().take(1).collect(),
        "GEN" => small.chars().next().filter(|c| matches!(c, 'm' | 'f'))?.to_string(),
        "DOBY" => Some(digits()).filter(|year| year.len() == 4)?,
        "DOBM" => two(12)?,
        "DOBD" => two(31)?,
        // what stands before the hyphen, for every country
        "ZIP" => {
            let code: String = small.split('-').take(1).flat_map(str::chars).filter(|c| !c.is_whitespace()).collect();
            let american = country.is_some_and(|country| country.trim().eq_ignore_ascii_case("us"));
            if american { code.chars().take(5).collect() } else { code }
        }
        "COUNTRY" => Some(roman()).filter(|country| country.len() == 2)?,
        _ => small,
    };
    (!value.is_empty()).then_some(value)
}

/// An address has a host with a point in it.
fn is_address(text: &str) -> bool {
    let parts = text.split_once('@').and_then(|(user, host)| Some((user, host.rsplit_once('.')?)));
    let whole = parts.is_some_and(|(user, (host, end))| ![user, host, end].contains(&""));
    whole && !text.contains(char::is_whitespace)
}

/// What is sent of a value: its digest, but for ids. A digest is not hashed again.
pub(super) fn column(key: &str, text: &str, country: Option<&str>, calling_code: Option<&str>) -> Option<String> {
    let is_id = matches!(key, "EXTERN_ID" | "MADID");
    if let Some(digest) = digest(text).filter(|_| !is_id) {
        return Some(digest);
    }
    let value = normalized(key, text, country, calling_code)?;
    Some(if is_id { value } else { sha256(&value) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipients::identity::vectors;

    #[test]
    fn identifiers_are_normalized_as_metas_library_does_it() {
        // without a country, the library takes what stands after the 0 for a whole number: somebody else's
        let ours = ["090-1234-5678", "xx"];
        let mut checked = 0;
        for vector in vectors::of("facebook_business").filter(|vector| !ours.contains(&vector.text.as_str())) {
            let key = match vector.field.as_str() {
                "em" => "EMAIL",
                "ph" => "PHONE",
                "zp" => "ZIP",
                "country" => "COUNTRY",
                other => &other.to_uppercase(),
            };
            let wanted = vector.wanted.clone().map(|wanted| digest(&wanted).unwrap_or_else(|| sha256(&wanted)));
            assert!(KEYS.iter().any(|(known, _)| *known == key), "{key}");
            assert_eq!(column(key, &vector.text, None, None), wanted, "{key} {}", vector.text);
            checked += 1;
        }
        assert!(checked > 40, "{checked}");
        for nobody in ["a b@example.com", "taro@example", "taro@.", "@example.com", "taro"] {
            assert_eq!(column("EMAIL", nobody, None, None), None, "{nobody}");
        }
    }
}
