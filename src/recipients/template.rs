//! Texts with identifiers to be put in: `/people/{email|lower|sha256}`.

use sha2::{Digest, Sha256};

/// A text that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Value { name: String, filters: Vec<Filter> },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Filter {
    Lower,
    Trim,
    /// Digits alone.
    Digits,
    /// In small hexadecimal digits.
    Sha256,
}

impl Template {
    /// `{name}` and `{name|filter|…}` stand for values, `{{` and `}}` for the characters.
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

    /// The names of the values.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| if let Part::Value { name, .. } = part { Some(name.as_str()) } else { None })
    }

    /// The text with its values, each as `escape` makes it; `None` where one is missing, or where a filter leaves nothing of
    /// it: such a text would name nobody, or everybody.
    pub fn fill<'a>(&self, value: impl Fn(&str) -> Option<&'a str>, escape: fn(&str) -> String) -> Option<String> {
        let mut filled = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => filled += text,
                Part::Value { name, filters } => {
                    let text =
                        filters.iter().try_fold(value(name)?.to_owned(), |text, filter| some(filter.apply(&text)));
                    filled += &escape(&some(text?)?);
                }
            }
        }
        Some(filled)
    }
}

fn some(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

fn value(inside: &str) -> Result<Part, String> {
    let mut words = inside.split('|').map(str::trim);
    let name = words.next().unwrap_or_default();
    let small = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.chars().all(small) {
        return Err("an identifier's name has small letters, digits and `_`; write `{{` for the character".to_owned());
    }
    let filter = |word: &str| match word {
        "lower" => Ok(Filter::Lower),
        "trim" => Ok(Filter::Trim),
        "digits" => Ok(Filter::Digits),
        "sha256" => Ok(Filter::Sha256),
        _ => Err("the filters are `lower`, `trim`, `digits` and `sha256`".to_owned()),
    };
    Ok(Part::Value { name: name.to_owned(), filters: words.map(filter).collect::<Result<_, _>>()? })
}

impl Filter {
    fn apply(self, text: &str) -> String {
        match self {
            Self::Lower => text.to_lowercase(),
            Self::Trim => text.trim().to_owned(),
            Self::Digits => text.chars().filter(char::is_ascii_digit).collect(),
            Self::Sha256 => hex::encode(Sha256::digest(text)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(template: &str) -> Option<String> {
        let value = |name: &str| match name {
            "email" => Some(" A@Example.com"),
            "phone" => Some("+81 90-1234"),
            "unknown" => Some("n/a"),
            "blank" => Some(" \t"),
            _ => None,
        };
        Template::parse(template).unwrap().fill(value, str::to_owned)
    }

    #[test]
    fn values_go_through_their_filters() {
        assert_eq!(fill("x/{email|trim|lower}/{{y}}").as_deref(), Some("x/a@example.com/{y}"));
        assert_eq!(fill("{phone | digits}").as_deref(), Some("81901234"));
        let hash = "fe2b0e6fb1ce8ff3f2e6ae4d0e1b6cb1bd1ba28f8b9a8bd8c2a9ef0c1a6e2a38";
        assert_eq!(fill("{email|trim|lower|sha256}").map(|text| text.len()), Some(hash.len()));
        assert_eq!(fill("{name}"), None);
        assert_eq!(fill(""), Some(String::new()));
    }

    #[test]
    fn a_value_of_which_nothing_is_left_is_missing() {
        for empty in [
            "{unknown|digits}",
            "x{unknown|digits}y",
            "{unknown|digits|sha256}",
            "{blank|trim}",
            "{blank|trim|lower|sha256}",
        ] {
            assert_eq!(fill(empty), None, "{empty}");
        }
        assert_eq!(fill("{unknown|lower}").as_deref(), Some("n/a"));
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        for wrong in ["{", "}", "{}", "{Email}", "{email|md5}", "{email", "a}b"] {
            Template::parse(wrong).unwrap_err();
        }
    }
}
