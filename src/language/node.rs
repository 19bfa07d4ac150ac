//! A YAML text as a tree that keeps what a plain deserializer loses: the order of keys, and keys that stand twice.

use crate::diagnostic::{Code, Diagnostic, Place, Spot, floor, without_byte_order_mark};
use serde::de::{DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, Visitor};
use std::{cell::Cell, fmt};

/// More values than any rule file has; what aliases repeat counts each time.
const MOST_NODES: usize = 100_000;

/// A YAML value.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    Null,
    Bool(bool),
    Number(serde_json::Number),
    Text(String),
    List(Vec<Node>),
    /// In the order of the file; a key that stands twice is here twice.
    Map(Vec<(String, Node)>),
}

impl Node {
    /// Reads the one document that `source` holds.
    ///
    /// # Errors
    ///
    /// What is not YAML, what is more than one document, and what aliases blow up.
    pub fn parse(file: &str, source: &str) -> Result<Self, Box<Diagnostic>> {
        let count = Cell::new(0);
        let (mark, text) = without_byte_order_mark(source);
        Build(&count).deserialize(serde_yaml::Deserializer::from_str(text)).map_err(|error| {
            let spot = error.location().map_or(Spot::File, |at| {
                let start = floor(source, mark + at.index());
                Spot::Bytes(start..start + source[start..].chars().next().map_or(0, char::len_utf8))
            });
            let place = Place { file: file.to_owned(), spot };
            let message = plain(&error.to_string());
            let (message, help) = match message.as_str() {
                "recursion limit exceeded" => (
                    "the file is nested more than 128 levels deep".to_owned(),
                    Some("no rule is nested so deep: look for brackets that are not closed".to_owned()),
                ),
                "repetition limit exceeded" => {
                    ("aliases repeat too much".to_owned(), Some("write the values out".to_owned()))
                }
                message if message.contains("more than one document") => (
                    "the file holds more than one YAML document".to_owned(),
                    Some("remove the `---` between them, or make two files".to_owned()),
                ),
                message if message.contains("found character that cannot start any token") => (
                    "this character cannot begin a value".to_owned(),
                    Some("indent with spaces, and put text that begins with a special character in quotes".to_owned()),
                ),
                message if message.contains("mapping values are not allowed") => (
                    "a `: ` where no key can stand".to_owned(),
                    Some("put text that holds `: ` in quotes, and check the indentation".to_owned()),
                ),
                message => (message.to_owned(), None),
            };
            let diagnostic = Diagnostic::error(Code::Syntax, place, message);
            Box::new(Diagnostic { help, ..diagnostic })
        })
    }

    /// The value under `key` (the first one, should it be there twice).
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.entries().iter().find_map(|(name, node)| (name == key).then_some(node))
    }

    /// The entries of a map; none for other nodes.
    pub fn entries(&self) -> &[(String, Self)] {
        if let Self::Map(entries) = self { entries } else { &[] }
    }

    /// The items of a list; none for other nodes.
    pub fn items(&self) -> &[Self] {
        if let Self::List(items) = self { items } else { &[] }
    }

    pub fn as_text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// What sort of node it is, with article.
    pub fn sort(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(true) => "`true`",
            Self::Bool(false) => "`false`",
            Self::Number(_) => "a number",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }

    /// This node as JSON. Of a key that stands twice, the last value remains.
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Null => serde_json::Value::Null,
            Self::Bool(value) => (*value).into(),
            Self::Number(number) => serde_json::Value::Number(number.clone()),
            Self::Text(text) => text.as_str().into(),
            Self::List(items) => items.iter().map(Self::to_json).collect(),
            Self::Map(entries) => entries.iter().map(|(key, node)| (key.clone(), node.to_json())).collect(),
        }
    }
}

/// What is put before our own messages: the library writes the path to the node before it, which is shown by the place.
const OURS: char = '\u{1}';

/// The text of a parser's error without path and positions.
fn plain(message: &str) -> String {
    let begin = message.rfind(OURS).map(|at| at + 1).or_else(|| message.find("invalid type: ")).unwrap_or(0);
    let mut parts = message[begin..].split(" at line ");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        text += part
            .trim_start_matches(|c: char| c.is_ascii_digit())
            .trim_start_matches(" column ")
            .trim_start_matches(|c: char| c.is_ascii_digit());
    }
    text
}

fn refuse<E: Error>(message: &str) -> E {
    E::custom(format!("{OURS}{message}"))
}

/// Makes a [`Node`] of whatever comes.
#[derive(Clone, Copy)]
struct Build<'a>(&'a Cell<usize>);

impl<'de> DeserializeSeed<'de> for Build<'_> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        self.0.set(self.0.get() + 1);
        if self.0.get() > MOST_NODES {
            return Err(refuse(&format!("the file holds more than {MOST_NODES} values, aliases written out")));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Build<'_> {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_u128<E: Error>(self, _: u128) -> Result<Node, E> {
        Err(refuse("a whole number of more than 19 digits: put it in quotes"))
    }

    fn visit_i128<E: Error>(self, _: i128) -> Result<Node, E> {
        self.visit_u128(0)
    }

    fn visit_unit<E: Error>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_none<E: Error>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Number(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Node, E> {
        let number = serde_json::Number::from_f64(value);
        number.map(Node::Number).ok_or_else(|| refuse("infinity and NaN are not numbers to work with"))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element_seed(self)? {
            items.push(item);
        }
        Ok(Node::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key_seed(Key)? {
            entries.push((key, map.next_value_seed(self)?));
        }
        Ok(Node::Map(entries))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, _: A) -> Result<Node, A::Error> {
        Err(refuse("tags such as `!name` have no meaning here"))
    }
}

/// Reads a key as it is written.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<String, E> {
        Ok(key.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_duplicate_keys_and_order() {
        let node = Node::parse("", "b: 1\na: 2\nb: 3\n").expect("yaml");
        assert_eq!(node.entries().iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), ["b", "a", "b"]);
    }

    fn error(source: &str) -> (String, Spot) {
        let error = *Node::parse("a.yaml", source).expect_err(source);
        (error.message, error.place.expect("a place").spot)
    }

    #[test]
    fn syntax_errors_have_their_place() {
        let (_, spot) = error("é: 1\nb: [1, 2\nc: @x\n");
        let Spot::Bytes(range) = spot else { panic!("{spot:?}") };
        assert!(range.start >= 6, "{range:?}");
        assert_eq!(error("a: @x\n").1, Spot::Bytes(3..4));
        assert_eq!(error("a: b: c\n").0, "a `: ` where no key can stand");
        assert_eq!(error("a: 1\n---\nb: 2\n").0, "the file holds more than one YAML document");
        assert_eq!(error("a: *b\n"), ("unknown anchor".to_owned(), Spot::Bytes(3..4)));
        assert!(error("a: !secret x\n").0.contains("tags"));
        assert_eq!(error("x:\n  [a]: 1\n").0, "invalid type: sequence, expected a key");
        assert_eq!(
            error("a: [1, 99999999999999999999]\n").0,
            "a whole number of more than 19 digits: put it in quotes"
        );
        assert!(error("a: .nan\n").0.starts_with("infinity and NaN"));
        assert_eq!(error("a: {b: 1\n").0, "did not find expected ',' or '}', while parsing a flow mapping");
    }

    #[test]
    fn aliases_that_blow_up_are_errors() {
        let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
        for level in 1..9 {
            let item = format!("*a{}", level - 1);
            bomb += &format!("a{level}: &a{level} [{}]\n", vec![item; 10].join(","));
        }
        assert!(error(&bomb).0.contains("aliases"));
        // Few jumps to a long list: the library's own limit lets this through.
        let wide = format!("a: &a [{}]\nb: [{}]\n", vec!["x"; 5000].join(","), vec!["*a"; 5000].join(","));
        assert!(error(&wide).0.contains("more than 100000 values"));
        let deep = "[".repeat(10_000);
        assert!(Node::parse("", &deep).is_err());
    }
}
