//! Tests of replies: whether something stands at a place of the JSON, or does not.

use super::Misfit;
use crate::{
    language::node::Node,
    recipients::{Options, template::Template},
};
use serde_json::Value;

/// One test.
pub(super) struct Test {
    pointer: String,
    wanted: Wanted,
}

enum Wanted {
    OneOf(Vec<Value>),
    NoneOf(Vec<Value>),
    Absent(bool),
    Empty(bool),
    Equals(Template),
    AtLeast(f64),
    AtMost(f64),
}

/// Tests in one place of the settings.
#[derive(Default)]
pub(super) struct Tests(Vec<Test>);

impl Tests {
    /// `None` where there are none. `at` leads to them.
    pub fn read(options: &Options, key: &'static str, at: &[&'static str]) -> Result<Option<Self>, Misfit> {
        let tests = match options.node(key) {
            None => return Ok(None),
            Some(Node::List(items)) => items.iter().map(Test::read).collect::<Result<_, String>>(),
            Some(node) => Test::read(node).map(|test| vec![test]),
        };
        let at = at.iter().copied().chain([key]).collect();
        let help = "for example `{pointer: /status, is: [done]}`".to_owned();
        tests.map(|tests| Some(Self(tests))).map_err(|problem| Misfit { at, problem, help })
    }

    /// The templates of values that must stand somewhere.
    pub fn templates(&self) -> impl Iterator<Item = &Template> {
        self.0.iter().filter_map(|test| if let Wanted::Equals(template) = &test.wanted { Some(template) } else { None })
    }

    /// All of them hold. A body that is no JSON holds nothing.
    pub fn all<'a>(&self, body: Option<&Value>, value: &impl Fn(&str) -> Option<&'a str>) -> bool {
        body.is_some_and(|body| self.0.iter().all(|test| test.holds(body, value)))
    }

    /// One of them holds.
    pub fn any<'a>(&self, body: Option<&Value>, value: &impl Fn(&str) -> Option<&'a str>) -> bool {
        body.is_some_and(|body| self.0.iter().any(|test| test.holds(body, value)))
    }
}

impl Test {
    fn read(node: &Node) -> Result<Self, String> {
        let number = |node: &Node| if let Node::Number(number) = node { number.as_f64() } else { None };
        let values = |node: &Node| node.items().iter().map(Node::to_json).collect();
        let truth = |node: &Node| matches!(node, Node::Bool(true));
        let pointer = node.get("pointer").and_then(Node::as_text).ok_or("a test needs `pointer`")?.to_owned();
        let wanted = node.entries().iter().find_map(|(key, node)| match key.as_str() {
            "is" => Some(Ok(Wanted::OneOf(values(node)))),
            "is_not" => Some(Ok(Wanted::NoneOf(values(node)))),
            "absent" => Some(Ok(Wanted::Absent(truth(node)))),
            "empty" => Some(Ok(Wanted::Empty(truth(node)))),
            "equals" => Some(Template::parse(node.as_text().unwrap_or_default()).map(Wanted::Equals)),
            "at_least" => Some(number(node).map(Wanted::AtLeast).ok_or_else(String::new)),
            "at_most" => Some(number(node).map(Wanted::AtMost).ok_or_else(String::new)),
            _ => None,
        });
        let wanted = wanted.ok_or("a test says what must stand at its pointer")??;
        Ok(Self { pointer, wanted })
    }

    fn holds<'a>(&self, body: &Value, value: &impl Fn(&str) -> Option<&'a str>) -> bool {
        let found = body.pointer(&self.pointer);
        match &self.wanted {
            Wanted::OneOf(values) => found.is_some_and(|found| values.contains(found)),
            // nothing is no other value: whoever means that says `absent`
            Wanted::NoneOf(values) => found.is_some_and(|found| !values.contains(found)),
            Wanted::Absent(absent) => found.is_none() == *absent,
            Wanted::Empty(empty) => found.is_none_or(is_empty) == *empty,
            Wanted::Equals(template) => {
                let wanted = template.fill(value, str::to_owned);
                wanted.is_some() && wanted == found.and_then(text_of)
            }
            Wanted::AtLeast(least) => found.and_then(Value::as_f64).is_some_and(|number| number >= *least),
            Wanted::AtMost(most) => found.and_then(Value::as_f64).is_some_and(|number| number <= *most),
        }
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(entries) => entries.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// A text, or a number as text.
pub(super) fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn holds(test: &str, body: &Value) -> bool {
        let test = Test::read(&Node::parse("", test).unwrap()).unwrap();
        test.holds(body, &|name| (name == "email").then_some("a@example.com"))
    }

    #[test]
    fn each_test_looks_at_its_place() {
        let body = json!({"status": "done", "count": 2, "errors": [], "none": null, "email": "a@example.com", "id": 7});
        for (test, expected) in [
            ("{pointer: /status, is: [done, gone]}", true),
            ("{pointer: /status, is: [open]}", false),
            ("{pointer: /count, is: [2]}", true),
            ("{pointer: /status, is_not: [failed]}", true),
            ("{pointer: /absent, is_not: [failed]}", false),
            ("{pointer: /absent, absent: true}", true),
            ("{pointer: /none, absent: true}", false),
            ("{pointer: /status, absent: false}", true),
            ("{pointer: /errors, empty: true}", true),
            ("{pointer: /none, empty: true}", true),
            ("{pointer: /absent, empty: true}", true),
            ("{pointer: /status, empty: false}", true),
            ("{pointer: /errors, empty: false}", false),
            ("{pointer: /email, equals: \"{email}\"}", true),
            ("{pointer: /status, equals: \"{email}\"}", false),
            ("{pointer: /absent, equals: \"{nobody}\"}", false),
            ("{pointer: /id, equals: \"7\"}", true),
            ("{pointer: /count, at_least: 2}", true),
            ("{pointer: /count, at_most: 1}", false),
            ("{pointer: /status, at_most: 1}", false),
        ] {
            assert_eq!(holds(test, &body), expected, "{test}");
        }
    }

    #[test]
    fn a_body_that_is_no_json_holds_nothing() {
        let absent = Tests(vec![Test { pointer: "/error".to_owned(), wanted: Wanted::Absent(true) }]);
        assert!(!absent.all(None, &|_| None));
        assert!(!absent.any(None, &|_| None));
    }
}
