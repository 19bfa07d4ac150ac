//! What a file may say, as data, and the check of a file against it.
//!
//! A [`Shape`] is the single source for three things: the check here, the JSON Schema for editors
//! ([`schema`](super::schema)) and the reference pages ([`reference`](super::reference)).

use crate::{
    diagnostic::{Code, Diagnostic, Place, Spot, Step},
    language::{format, node::Node},
};

use std::{collections::BTreeSet, ops::Range};

/// What a node may be.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// A map with these keys and no others.
    Map(&'static MapShape),
    /// A map from names of a kind to values of one shape, with at least one entry.
    Named {
        key: &'static Format,
        value: &'static Shape,
    },
    /// A map from names to maps, each of the shape that its name or its key `kind` chooses.
    Kinds(&'static Kinds),
    /// A list with at least so many items.
    List {
        item: &'static Shape,
        least: usize,
        unique: bool,
    },
    /// One of these words.
    Words(&'static [Word]),
    Text(&'static Format),
    /// A whole number.
    Integer(Bounds),
    Number(Bounds),
    Boolean,
    /// Only `true`: the key alone says it.
    True,
    Null,
    /// One of several, told apart by the sort of node.
    Either(&'static [Shape]),
    /// Anything at all.
    Any,
}

/// A map with fixed keys.
#[derive(Clone, Copy, Debug)]
pub struct MapShape {
    /// What it describes, with article: `a rule`.
    pub what: &'static str,
    pub fields: &'static [Field],
    /// If not empty: exactly one of these groups of keys is there, and none of the others' keys. An empty group means
    /// that none need be there.
    pub groups: &'static [&'static [&'static str]],
    /// At least, and at most, so many keys.
    pub count: (usize, usize),
    /// What further keys must look like, and their values; none: there are no further keys.
    pub rest: Option<(&'static Format, &'static Shape)>,
}

/// Maps that come in kinds.
#[derive(Clone, Copy, Debug)]
pub struct Kinds {
    /// What one of them is, with article: `a recipient`.
    pub what: &'static str,
    /// Each kind's name, and its shape, with a key `kind` that takes this name alone.
    pub all: fn() -> &'static [(&'static str, MapShape)],
}

impl Kinds {
    /// The key that names the kind where the name itself does not.
    pub const KEY: &'static str = "kind";

    /// The kind of an entry. A name that is a kind's own means that kind.
    pub fn of(&self, name: &str, node: &Node) -> Option<&'static (&'static str, MapShape)> {
        let find = |name: &str| (self.all)().iter().find(|(kind, _)| *kind == name);
        find(name).or_else(|| find(node.get(Self::KEY)?.as_text()?))
    }
}

impl MapShape {
    pub const fn new(what: &'static str, fields: &'static [Field]) -> Self {
        Self { what, fields, groups: &[], count: (0, usize::MAX), rest: None }
    }

    pub const fn groups(self, groups: &'static [&'static [&'static str]]) -> Self {
        Self { groups, ..self }
    }

    pub const fn rest(self, key: &'static Format, value: &'static Shape) -> Self {
        Self { rest: Some((key, value)), ..self }
    }

    pub const fn count(self, least: usize, most: usize) -> Self {
        Self { count: (least, most), ..self }
    }
}

/// A key of a map.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    pub name: &'static str,
    pub required: bool,
    /// A sentence or two, in Markdown.
    pub doc: &'static str,
    pub shape: Shape,
    /// A value as YAML.
    pub example: &'static str,
}

impl Field {
    pub const fn required(name: &'static str, doc: &'static str, shape: Shape, example: &'static str) -> Self {
        Self { name, required: true, doc, shape, example }
    }

    pub const fn optional(name: &'static str, doc: &'static str, shape: Shape, example: &'static str) -> Self {
        Self { name, required: false, doc, shape, example }
    }
}

/// A word with a meaning.
#[derive(Clone, Copy, Debug)]
pub struct Word {
    pub word: &'static str,
    pub doc: &'static str,
}

/// The numbers that are allowed.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub least: Option<f64>,
    pub most: Option<f64>,
    /// The least number itself is not allowed.
    pub above: bool,
    /// What a number outside is.
    pub code: Code,
}

/// What a text must look like.
#[derive(Clone, Copy, Debug)]
pub struct Format {
    /// With article: `a period`.
    pub what: &'static str,
    pub pattern: Pattern,
    pub example: &'static str,
    /// What a text that does not fit is.
    pub code: Code,
    pub check: fn(&str) -> Result<(), Fault>,
    /// It may hold `${…}`, and its value is shown nowhere.
    pub secret: bool,
}

/// The regular expression (ECMA 262) of the texts that fit, as far as one can tell them.
#[derive(Clone, Copy, Debug)]
pub enum Pattern {
    Fixed(&'static str),
    Made(fn() -> String),
}

/// Why a text does not fit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fault {
    pub problem: String,
    /// What would be right; the format's example by default.
    pub help: Option<String>,
    /// The bytes of the text that are wrong; all by default.
    pub range: Option<Range<usize>>,
}

impl Fault {
    pub fn new(problem: impl Into<String>) -> Self {
        Self { problem: problem.into(), ..Self::default() }
    }

    #[must_use]
    pub fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }
}

/// Checks a node and everything in it.
pub fn check(shape: &Shape, node: &Node, place: &Place, diagnostics: &mut Vec<Diagnostic>) {
    match (shape, node) {
        (Shape::Map(map), Node::Map(entries)) => check_map(map, entries, place, diagnostics),
        (Shape::Named { key, value }, Node::Map(entries)) => {
            for (index, (name, node)) in entries.iter().enumerate() {
                let entry = place.step(Step::Entry(index));
                if is_duplicate(entries, index) {
                    diagnostics.push(duplicate(name, &entry));
                    continue;
                }
                check_text(key, name, &entry.name(), diagnostics);
                check(value, node, &place.key(name), diagnostics);
            }
            if entries.is_empty() {
                diagnostics.push(Diagnostic::error(Code::MissingKey, place.clone(), "the map is empty"));
            }
        }
        (Shape::Kinds(kinds), Node::Map(entries)) => check_kinds(kinds, entries, place, diagnostics),
        (Shape::List { item, least, unique }, Node::List(items)) => {
            for (index, node) in items.iter().enumerate() {
                if *unique && items[..index].contains(node) {
                    let message = "the list names this twice";
                    diagnostics.push(Diagnostic::error(Code::DuplicateKey, place.item(index), message));
                }
                check(item, node, &place.item(index), diagnostics);
            }
            if items.len() < *least {
                diagnostics.push(Diagnostic::error(Code::MissingKey, place.clone(), "the list is empty"));
            }
        }
        (Shape::Words(words), Node::Text(text)) => {
            if !words.iter().any(|word| word.word == text) {
                diagnostics.push(unknown_word(words.iter().map(|word| word.word), text, place));
            }
        }
        (Shape::Text(format), Node::Text(text)) => check_text(format, text, place, diagnostics),
        (Shape::Integer(bounds), Node::Number(number)) => {
            let value = number.as_f64().unwrap_or(f64::NAN);
            if value.fract() == 0.0 {
                check_bounds(bounds, value, place, diagnostics);
            } else {
                diagnostics.push(wrong_type(shape, node, place));
            }
        }
        (Shape::Number(bounds), Node::Number(number)) => {
            check_bounds(bounds, number.as_f64().unwrap_or(f64::NAN), place, diagnostics);
        }
        (Shape::Boolean, Node::Bool(_))
        | (Shape::True, Node::Bool(true))
        | (Shape::Null, Node::Null)
        | (Shape::Any, _) => {}
        (Shape::Either(shapes), _) => match shapes.iter().find(|shape| shape.takes(node)) {
            Some(Shape::Words(words)) => match node {
                // What is not one of the words may be a key of the map that stands beside them.
                Node::Text(text) if !words.iter().any(|word| word.word == text) => {
                    let keys = shapes.iter().filter_map(|shape| match shape {
                        Shape::Map(map) => Some(map.fields.iter().map(|field| field.name)),
                        _ => None,
                    });
                    let keys: Vec<_> =
                        keys.flatten().filter(|key| !words.iter().any(|word| word.word == *key)).collect();
                    let all = words.iter().map(|word| word.word).chain(keys.iter().copied());
                    let mut diagnostic = unknown_word(all, text, place);
                    if keys.contains(&text.as_str()) {
                        diagnostic.message = format!("`{text}` needs an argument");
                        diagnostic.help = argument_example(shapes, text);
                    }
                    diagnostics.push(diagnostic);
                }
                _ => {}
            },
            Some(shape) => check(shape, node, place, diagnostics),
            None => diagnostics.push(wrong_type(shape, node, place)),
        },
        _ => diagnostics.push(wrong_type(shape, node, place)),
    }
}

impl Shape {
    /// The sort of node is right, whatever is in it.
    pub fn takes(&self, node: &Node) -> bool {
        match self {
            Self::Map(_) | Self::Named { .. } | Self::Kinds(_) => matches!(node, Node::Map(_)),
            Self::List { .. } => matches!(node, Node::List(_)),
            Self::Words(_) | Self::Text(_) => matches!(node, Node::Text(_)),
            Self::Integer(_) | Self::Number(_) => matches!(node, Node::Number(_)),
            Self::Boolean | Self::True => matches!(node, Node::Bool(_)),
            Self::Null => matches!(node, Node::Null),
            Self::Either(shapes) => shapes.iter().any(|shape| shape.takes(node)),
            Self::Any => true,
        }
    }

    /// In words, with article.
    pub fn describe(&self) -> String {
        match self {
            Self::Map(map) => format!("a map ({})", map.what),
            Self::Named { key, .. } => format!("a map from {}", key.what),
            Self::Kinds(kinds) => format!("a map from names, each to {}", kinds.what),
            Self::List { item, .. } => format!("a list (each {})", item.describe()),
            Self::Words(words) => {
                let words: Vec<_> = words.iter().map(|word| format!("`{}`", word.word)).collect();
                words.join(", ")
            }
            Self::Text(format) => format.what.to_owned(),
            Self::Integer(bounds) => format!("a whole number{}", bounds.describe()),
            Self::Number(bounds) => format!("a number{}", bounds.describe()),
            Self::Boolean => "`true` or `false`".to_owned(),
            Self::True => "`true`".to_owned(),
            Self::Null => "`null`".to_owned(),
            Self::Either(shapes) => shapes.iter().map(Self::describe).collect::<Vec<_>>().join(", or "),
            Self::Any => "anything".to_owned(),
        }
    }

    pub fn example(&self) -> Option<String> {
        match self {
            Self::Text(format) => Some(format.example.to_owned()),
            Self::Words(words) => words.first().map(|word| word.word.to_owned()),
            Self::List { item, .. } => item.example().map(|example| format!("[{example}]")),
            Self::Either(shapes) => shapes.iter().find_map(Self::example),
            _ => None,
        }
    }
}

impl Bounds {
    fn describe(&self) -> String {
        match (self.least, self.most) {
            (Some(least), Some(most)) => format!(" from {least} to {most}"),
            (Some(least), None) if self.above => format!(" above {least}"),
            (Some(least), None) => format!(" of at least {least}"),
            (None, Some(most)) => format!(" of at most {most}"),
            (None, None) => String::new(),
        }
    }
}

fn check_map(map: &MapShape, entries: &[(String, Node)], place: &Place, diagnostics: &mut Vec<Diagnostic>) {
    let (mut meant, mut known) = (Vec::new(), BTreeSet::new());
    for (index, (name, node)) in entries.iter().enumerate() {
        let entry = place.step(Step::Entry(index)).name();
        if is_duplicate(entries, index) {
            diagnostics.push(duplicate(name, &entry));
        } else if let Some(field) = map.fields.iter().find(|field| field.name == name) {
            known.insert(field.name);
            check(&field.shape, node, &place.key(name), diagnostics);
        } else if let Some((format, shape)) = map.rest {
            check_text(format, name, &entry, diagnostics);
            check(shape, node, &place.key(name), diagnostics);
        } else {
            let label = format!("not a key of {}", map.what);
            let diagnostic = Diagnostic::error(Code::UnknownKey, entry, format!("unknown key `{name}`")).label(label);
            let absent = map.fields.iter().map(|field| field.name).filter(|field| !has(entries, field));
            let help = match nearest(absent, name) {
                Some(field) => {
                    meant.push(field);
                    format!("did you mean `{field}`?")
                }
                None if name == "<<" => "merge keys have no meaning here; write the keys out".to_owned(),
                None => format!("the keys are {}", list(map.fields.iter().map(|field| field.name))),
            };
            diagnostics.push(diagnostic.help(help));
        }
    }
    // A misspelled key is one mistake, not two.
    let absent = |name: &&str| !has(entries, name) && !meant.contains(name);
    for field in map.fields.iter().filter(|field| field.required && absent(&field.name)) {
        let message = format!("`{}` is missing", field.name);
        let diagnostic = Diagnostic::error(Code::MissingKey, place.clone(), message);
        let diagnostic = diagnostic.label(format!("{} needs `{}`", map.what, field.name));
        diagnostics.push(diagnostic.help(format!("for example `{}: {}`", field.name, field.example)));
    }
    // An unknown key may be any of those that seem to be missing.
    if entries.iter().all(|(name, _)| known.contains(name.as_str())) {
        check_groups(map, entries, place, diagnostics);
        let (least, most) = map.count;
        if known.len() < least || known.len() > most {
            let names = list(map.fields.iter().map(|field| field.name));
            let wanted = if most == 1 { "exactly one" } else { "at least one" };
            let message = format!("{} takes {wanted} of {names}", map.what);
            diagnostics.push(Diagnostic::error(Code::MissingKey, place.clone(), message));
        }
    }
}

fn check_kinds(kinds: &Kinds, entries: &[(String, Node)], place: &Place, diagnostics: &mut Vec<Diagnostic>) {
    let names = || (kinds.all)().iter().map(|(kind, _)| *kind);
    for (index, (name, node)) in entries.iter().enumerate() {
        let entry = place.step(Step::Entry(index));
        if is_duplicate(entries, index) {
            diagnostics.push(duplicate(name, &entry));
            continue;
        }
        check_text(&format::NAME, name, &entry.name(), diagnostics);
        let place = place.key(name);
        match (kinds.of(name, node), node) {
            (Some((_, map)), Node::Map(entries)) => check_map(map, entries, &place, diagnostics),
            (Some((_, map)), _) => diagnostics.push(wrong_kind(map.what, node, &place)),
            (None, Node::Map(_)) => match node.get(Kinds::KEY) {
                Some(Node::Text(text)) => diagnostics.push(unknown_word(names(), text, &place.key(Kinds::KEY))),
                Some(node) => {
                    let message = format!("expected a kind's name, found {}", node.sort());
                    diagnostics.push(Diagnostic::error(Code::WrongType, place.key(Kinds::KEY), message));
                }
                None => {
                    let message = format!("unknown recipient `{name}`");
                    let help = match nearest(names(), name) {
                        Some(kind) => format!("did you mean `{kind}`?"),
                        None => format!("give it a `kind`: {}", list(names())),
                    };
                    diagnostics.push(Diagnostic::error(Code::UnknownRecipient, place.name(), message).help(help));
                }
            },
            (None, _) => diagnostics.push(wrong_kind(kinds.what, node, &place)),
        }
    }
    if entries.is_empty() {
        diagnostics.push(Diagnostic::error(Code::MissingKey, place.clone(), "the map is empty"));
    }
}

fn wrong_kind(what: &str, node: &Node, place: &Place) -> Diagnostic {
    let message = format!("expected a map ({what}), found {}", node.sort());
    Diagnostic::error(Code::WrongType, place.clone(), message).label(format!("this is {}", node.sort()))
}

fn check_groups(map: &MapShape, entries: &[(String, Node)], place: &Place, diagnostics: &mut Vec<Diagnostic>) {
    if map.groups.is_empty() {
        return;
    }
    let all: Vec<_> = map.groups.iter().copied().flatten().copied().collect();
    let present: Vec<_> = all.iter().copied().filter(|key| has(entries, key)).collect();
    let stranger = |group: &&[&str]| present.iter().copied().find(|key| !group.contains(key));
    let complete = |group: &&[&str]| group.iter().all(|key| has(entries, key));
    if map.groups.iter().any(|group| complete(group) && stranger(group).is_none()) {
        return;
    }
    let choices = map.groups.iter().filter(|group| !group.is_empty());
    let choices: Vec<_> =
        choices.map(|group| group.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(" with ")).collect();
    let help = format!("{} takes {}", map.what, choices.join(", or "));
    let whole = map.groups.iter().find(|group| !group.is_empty() && complete(group));
    diagnostics.push(match (whole.and_then(|group| Some((group, stranger(group)?))), present.first()) {
        (Some((group, key)), _) => {
            let message = format!("`{key}` cannot stand beside `{}`", group[0]);
            Diagnostic::error(Code::UnknownKey, place.key(key).name(), message).help(help)
        }
        (None, Some(key)) => {
            let group = map.groups.iter().find(|group| group.contains(key)).copied().unwrap_or_default();
            let missing = group.iter().find(|key| !has(entries, key)).unwrap_or(key);
            let message = format!("`{key}` needs `{missing}`");
            Diagnostic::error(Code::MissingKey, place.key(key).name(), message).help(help)
        }
        (None, None) => Diagnostic::error(Code::MissingKey, place.clone(), help),
    });
}

fn check_text(format: &Format, text: &str, place: &Place, diagnostics: &mut Vec<Diagnostic>) {
    if !format.secret
        && let Some(start) = text.find("${")
    {
        let end = text[start..].find('}').map_or(text.len(), |end| start + end + 1);
        let place = if is_name(place) { place.clone() } else { place.within(start..end) };
        let message = "variables have no place here";
        diagnostics.push(Diagnostic::error(Code::SecretInRules, place, message).help(
            "only URLs, paths and keys in sunset.yaml take `${…}`: what decides over rows must stand in the reviewed file",
        ));
        return;
    }
    if let Err(fault) = (format.check)(text) {
        let place = match fault.range {
            Some(range) if !is_name(place) => place.within(range),
            _ => place.clone(),
        };
        let help = fault.help.unwrap_or_else(|| format!("for example `{}`", format.example));
        diagnostics.push(
            Diagnostic::error(format.code, place, fault.problem).label(format!("not {}", format.what)).help(help),
        );
    }
}

/// A key is being checked, not a value.
fn is_name(place: &Place) -> bool {
    matches!(place.spot, Spot::Name(_))
}

fn check_bounds(bounds: &Bounds, value: f64, place: &Place, diagnostics: &mut Vec<Diagnostic>) {
    let low = bounds.least.is_some_and(|least| value < least || (bounds.above && value <= least));
    if low || bounds.most.is_some_and(|most| value > most) {
        let message = format!("expected a number{}, found {value}", bounds.describe());
        diagnostics.push(Diagnostic::error(bounds.code, place.clone(), message));
    }
}

fn wrong_type(shape: &Shape, node: &Node, place: &Place) -> Diagnostic {
    let message = format!("expected {}, found {}", shape.describe(), node.sort());
    let diagnostic =
        Diagnostic::error(Code::WrongType, place.clone(), message).label(format!("this is {}", node.sort()));
    match (shape.example(), node) {
        (Some(_), Node::Number(_) | Node::Bool(_)) if matches!(shape, Shape::Text(format) if format.code == Code::WrongType) => {
            diagnostic.help("put it in quotes to make it text")
        }
        (Some(example), _) => diagnostic.help(format!("for example `{example}`")),
        (None, _) => diagnostic,
    }
}

/// A word or key that is not one of `words`.
pub fn unknown_word<'a>(words: impl Iterator<Item = &'a str> + Clone, text: &str, place: &Place) -> Diagnostic {
    let help = match nearest(words.clone(), text) {
        Some(word) => format!("did you mean `{word}`?"),
        None => format!("one of {}", list(words)),
    };
    Diagnostic::error(Code::UnknownWord, place.clone(), format!("unknown word `{text}`")).help(help)
}

fn argument_example(shapes: &[Shape], key: &str) -> Option<String> {
    let fields = shapes.iter().find_map(|shape| if let Shape::Map(map) = shape { Some(map.fields) } else { None })?;
    let field = fields.iter().find(|field| field.name == key)?;
    Some(format!("for example `{{{key}: {}}}`", field.example))
}

/// The name that was probably meant.
pub fn nearest<'a>(names: impl IntoIterator<Item = &'a str>, wrong: &str) -> Option<&'a str> {
    let wrong = wrong.to_lowercase();
    let distance = |name: &str| strsim::damerau_levenshtein(&name.to_lowercase(), &wrong);
    let near = names.into_iter().map(|name| (distance(name), name));
    near.filter(|(distance, name)| *distance <= (name.chars().count() / 3).clamp(1, 3)).min().map(|(_, name)| name)
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn has(entries: &[(String, Node)], key: &str) -> bool {
    entries.iter().any(|(name, _)| name == key)
}

fn is_duplicate(entries: &[(String, Node)], index: usize) -> bool {
    has(&entries[..index], &entries[index].0)
}

fn duplicate(name: &str, place: &Place) -> Diagnostic {
    let place = place.name();
    Diagnostic::error(Code::DuplicateKey, place, format!("`{name}` stands twice"))
        .label("the second")
        .help("remove one of them")
}
