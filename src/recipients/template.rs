//! Texts with identifiers to be put in: `/people/{email|lower|sha256}`.

use super::phone::{Phone, international, is_calling_code};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256};

/// A text that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Value { name: String, optional: bool, filters: Vec<Filter> },
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Filter {
    Lower,
    Upper,
    Trim,
    /// Digits alone.
    Digits,
    /// A phone number as `+` and digits; with the calling code of numbers that have none.
    E164(Option<String>),
    /// In small hexadecimal digits, like all digests here.
    Sha256,
    Sha1,
    Md5,
    /// With the key of the recipient's settings.
    HmacSha256,
    Base64,
    /// A whole number, which JSON writes without quotes.
    Number,
}

/// The name under which templates find the key of `hmac_sha256`.
pub const HMAC_KEY: &str = "hmac_key";

/// A value that a text cannot do without is not there, or a filter leaves nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing;

impl Template {
    /// `{name}` and `{name|filter|…}` stand for values, `{name?}` for one that may be missing, `{{` and `}}` for the
    /// characters.
    ///
    /// # Errors
    /// What cannot be read, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            literal += &rest[..at];
            let here = &rest[at..];
            rest = if here.starts_with("{{") || here.starts_with("}}") {
                literal.push_str(&here[..1]);
                &here[2..]
            } else if here.starts_with('}') {
                return Err("a `}` without `{`; write `}}` for the character".to_owned());
            } else {
                let end = here.find('}').ok_or("a `{` without `}`; write `{{` for the character")?;
                if !literal.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut literal)));
                }
                parts.push(value(&here[1..end])?);
                &here[end + 1..]
            };
        }
        literal += rest;
        if !literal.is_empty() {
            parts.push(Part::Text(literal));
        }
        Ok(Self(parts))
    }

    /// The names of the values, and whether each may be missing.
    pub fn values(&self) -> impl Iterator<Item = (&str, bool)> {
        self.0.iter().filter_map(|part| match part {
            Part::Value { name, optional, .. } => Some((name.as_str(), *optional)),
            Part::Text(_) => None,
        })
    }

    /// The names of the values.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.values().map(|(name, _)| name)
    }

    /// A value is keyed with the key of the settings.
    pub fn is_keyed(&self) -> bool {
        self.filters().any(|filter| *filter == Filter::HmacSha256)
    }

    /// The whole text is one whole number.
    pub fn is_number(&self) -> bool {
        matches!(self.0.as_slice(), [Part::Value { filters, .. }] if filters.last() == Some(&Filter::Number))
    }

    fn filters(&self) -> impl Iterator<Item = &Filter> {
        self.0.iter().flat_map(|part| match part {
            Part::Value { filters, .. } => filters.as_slice(),
            Part::Text(_) => &[],
        })
    }

    /// The text with its values, each as `escape` makes it; `None` where one is not there that may be missing.
    ///
    /// # Errors
    /// A value is missing, or a filter leaves nothing of it: such a text would name nobody, or everybody.
    pub fn complete<'a>(
        &self,
        value: impl Fn(&str) -> Option<&'a str>,
        escape: fn(&str) -> String,
    ) -> Result<Option<String>, Missing> {
        let mut filled = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => filled += text,
                Part::Value { name, optional, filters } => {
                    let Some(text) = value(name) else {
                        return if *optional { Ok(None) } else { Err(Missing) };
                    };
                    let key = value(HMAC_KEY);
                    let text = filters.iter().try_fold(text.to_owned(), |text, filter| some(filter.apply(&text, key)?));
                    filled += &escape(&text.and_then(some).ok_or(Missing)?);
                }
            }
        }
        Ok(Some(filled))
    }

    /// The text with its values; `None` where one is not there.
    pub fn fill<'a>(&self, value: impl Fn(&str) -> Option<&'a str>, escape: fn(&str) -> String) -> Option<String> {
        self.complete(value, escape).ok().flatten()
    }
}

fn some(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

fn value(inside: &str) -> Result<Part, String> {
    let mut words = inside.split('|').map(str::trim);
    let name = words.next().unwrap_or_default();
    let (name, optional) = name.strip_suffix('?').map_or((name, false), |name| (name, true));
    let small = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.chars().all(small) {
        return Err("an identifier's name has small letters, digits and `_`; write `{{` for the character".to_owned());
    }
    Ok(Part::Value { name: name.to_owned(), optional, filters: words.map(Filter::parse).collect::<Result<_, _>>()? })
}

impl Filter {
    /// For the pages: every filter and what it does.
    pub const ALL: &str = "`lower`, `upper`, `trim`, `digits`, `e164` (a phone number with `+`; `e164:81` for those without a \
                           calling code), `sha256`, `sha1`, `md5`, `hmac_sha256` (with the setting `hmac_key`), `base64`, \
                           `number` (without quotes in JSON)";

    fn parse(word: &str) -> Result<Self, String> {
        Ok(match word {
            "lower" => Self::Lower,
            "upper" => Self::Upper,
            "trim" => Self::Trim,
            "digits" => Self::Digits,
            "e164" => Self::E164(None),
            "sha256" => Self::Sha256,
            "sha1" => Self::Sha1,
            "md5" => Self::Md5,
            "hmac_sha256" => Self::HmacSha256,
            "base64" => Self::Base64,
            "number" => Self::Number,
            word => match word.strip_prefix("e164:") {
                Some(code) if is_calling_code(code) => Self::E164(Some(code.to_owned())),
                Some(_) => return Err("`e164:` needs the calling code of a country, such as `e164:81`".to_owned()),
                None => return Err(format!("the filters are {}", Self::ALL)),
            },
        })
    }

    /// `None` where the text cannot be what the filter makes.
    fn apply(&self, text: &str, key: Option<&str>) -> Option<String> {
        Some(match self {
            Self::Lower => text.to_lowercase(),
            Self::Upper => text.to_uppercase(),
            Self::Trim => text.trim().to_owned(),
            Self::Digits => text.chars().filter(char::is_ascii_digit).collect(),
            Self::E164(country) => match international(text, country.as_deref()) {
                Phone::Number(number) => format!("+{number}"),
                Phone::National | Phone::Nothing => return None,
            },
            Self::Sha256 => hex::encode(Sha256::digest(text)),
            Self::Sha1 => hex::encode(Sha1::digest(text)),
            Self::Md5 => hex::encode(Md5::digest(text)),
            Self::HmacSha256 => {
                let mut mac = Hmac::<Sha256>::new_from_slice(key?.as_bytes()).ok()?;
                mac.update(text.as_bytes());
                hex::encode(mac.finalize().into_bytes())
            }
            Self::Base64 => BASE64_STANDARD.encode(text),
            Self::Number => text.parse::<i64>().ok()?.to_string(),
        })
    }
}

/// What filters there are, for the pages.
pub const FILTERS: &str = Filter::ALL;

#[cfg(test)]
mod tests {
    use super::*;

    fn complete(template: &str) -> Result<Option<String>, Missing> {
        let value = |name: &str| match name {
            "email" => Some(" A@Example.com"),
            "phone" => Some("+81 90-1234-5678"),
            "national" => Some("090-1234-5678"),
            "number" => Some("0042"),
            "unknown" => Some("n/a"),
            "blank" => Some(" \t"),
            HMAC_KEY => Some("key"),
            _ => None,
        };
        Template::parse(template).unwrap().complete(value, str::to_owned)
    }

    fn fill(template: &str) -> Option<String> {
        complete(template).ok().flatten()
    }

    #[test]
    fn values_go_through_their_filters() {
        assert_eq!(fill("x/{email|trim|lower}/{{y}}").as_deref(), Some("x/a@example.com/{y}"));
        assert_eq!(fill("{phone | digits}").as_deref(), Some("819012345678"));
        assert_eq!(fill("{email|trim|upper}").as_deref(), Some("A@EXAMPLE.COM"));
        assert_eq!(fill("{phone|e164}").as_deref(), Some("+819012345678"));
        assert_eq!(fill("{national|e164:81}").as_deref(), Some("+819012345678"));
        assert_eq!(fill("{number|number}").as_deref(), Some("42"));
        assert_eq!(fill("{email|trim|base64}").as_deref(), Some("QUBFeGFtcGxlLmNvbQ=="));
        assert_eq!(fill("{name}"), None);
        assert_eq!(fill(""), Some(String::new()));
    }

    #[test]
    fn digests_are_those_of_other_tools() {
        // printf %s taro@example.com | sha256sum, and so on; the last one by openssl dgst -hmac key
        let digest = |filter: &str| {
            let template = Template::parse(&format!("{{email|{filter}}}")).unwrap();
            let value = |name: &str| Some(if name == HMAC_KEY { "key" } else { "taro@example.com" });
            template.fill(value, str::to_owned).unwrap()
        };
        assert_eq!(digest("sha256"), "3df36ef44a86ba6433126b5899410e5cd481163a0f05fa83eef3edf60abe58ac");
        assert_eq!(digest("sha1"), "1e0cd865f9b7148086c8d1a9d85c646e52fba864");
        assert_eq!(digest("md5"), "258fe44af56b618ac3b0f9618c70d048");
        assert_eq!(digest("hmac_sha256"), "223f676d7b35bf0b538dcddcf97e43eb7d1e20c4b3723c10d272cc5b70149562");
    }

    #[test]
    fn a_value_of_which_nothing_is_left_is_missing() {
        for empty in [
            "{unknown|digits}",
            "x{unknown|digits}y",
            "{unknown|digits|sha256}",
            "{blank|trim}",
            "{blank|trim|lower|sha256}",
            // no calling code, and none is known
            "{national|e164}",
            "{unknown|number}",
            "{absent}",
            "{blank?|trim}",
        ] {
            assert_eq!(complete(empty), Err(Missing), "{empty}");
        }
        assert_eq!(fill("{unknown|lower}").as_deref(), Some("n/a"));
        assert_eq!(complete("{absent?|lower}"), Ok(None));
        assert_eq!(complete("{email?|trim|lower}"), Ok(Some("a@example.com".to_owned())));
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        for wrong in ["{", "}", "{}", "{Email}", "{email|md4}", "{email", "a}b", "{email|e164:}", "{email|e164:JP}"] {
            Template::parse(wrong).unwrap_err();
        }
        assert!(Template::parse("{customer|number}").unwrap().is_number());
        assert!(!Template::parse("x{customer|number}").unwrap().is_number());
    }
}
