//! Bodies of calls: JSON, forms, text and uploads, with the identifiers of one person or of a batch put in.

use super::values::Values;
use crate::{
    language::node::Node,
    recipients::{
        Options,
        client::Body,
        template::{Missing, Template},
    },
};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

pub(super) enum Content {
    None,
    Json(Tree),
    Form(Vec<(String, Template)>),
    Text { content_type: String, text: Template, escape: fn(&str) -> String },
    File(File),
}

/// An upload: one line for each person.
pub(super) struct File {
    field: String,
    name: String,
    content_type: String,
    head: Option<String>,
    line: Template,
    form: Vec<(String, Template)>,
}

/// JSON whose texts are templates.
pub(super) enum Tree {
    Text(Template),
    List(Vec<Tree>),
    /// Keys are templates too.
    Map(Vec<(Template, Tree)>),
    /// A list with one item for each person.
    Each(Box<Tree>),
    Other(Value),
}

/// The key that stands alone in a map for [`Tree::Each`].
const EACH: &str = "each";

impl Content {
    /// The body of a call; the error says what cannot be read, with the key under which it stands.
    pub fn read(call: &Options) -> Result<Self, (&'static str, String)> {
        let at = |key: &'static str| move |problem: String| (key, problem);
        if let Some(node) = call.node("json") {
            return Tree::read(node).map(Self::Json).map_err(at("json"));
        }
        if call.node("form").is_some() {
            return pairs(call, "form").map(Self::Form).map_err(at("form"));
        }
        if let Some(text) = call.inner("text") {
            return Ok(Self::Text {
                content_type: text.text("type").unwrap_or("text/plain").to_owned(),
                text: Template::parse(text.text("text").unwrap_or_default()).map_err(at("text"))?,
                escape: match text.text("escape") {
                    Some("xml") => xml,
                    Some("json") => json,
                    _ => str::to_owned,
                },
            });
        }
        if let Some(file) = call.inner("file") {
            return Ok(Self::File(File {
                field: file.text("field").unwrap_or("file").to_owned(),
                name: file.text("name").unwrap_or("file").to_owned(),
                content_type: file.text("type").unwrap_or("text/csv").to_owned(),
                head: file.text("head").map(str::to_owned),
                line: Template::parse(file.text("line").unwrap_or_default()).map_err(at("file"))?,
                form: pairs(&file, "form").map_err(at("file"))?,
            }));
        }
        Ok(Self::None)
    }

    /// All templates, and whether each is filled for every person of a batch.
    pub fn templates(&self) -> Vec<(&Template, bool)> {
        match self {
            Self::None => Vec::new(),
            Self::Json(tree) => tree.templates(false),
            Self::Form(pairs) => pairs.iter().map(|(_, template)| (template, false)).collect(),
            Self::Text { text, .. } => vec![(text, false)],
            Self::File(file) => {
                let form = file.form.iter().map(|(_, template)| (template, false));
                form.chain([(&file.line, true)]).collect()
            }
        }
    }

    /// The body for these people; the first one's values stand outside of lists over all of them.
    pub fn fill(&self, people: &[Values<'_>]) -> Result<Body, Missing> {
        let first = people.first().ok_or(Missing)?;
        let value = |name: &str| first.get(name);
        Ok(match self {
            Self::None => Body::None,
            Self::Json(tree) => Body::Json(tree.fill(people)?.ok_or(Missing)?),
            Self::Form(pairs) => Body::Form(filled(pairs, first)?),
            Self::Text { content_type, text, escape } => {
                let text = text.complete(value, *escape)?.ok_or(Missing)?;
                Body::Raw { content_type: content_type.clone().into(), bytes: text.into_bytes() }
            }
            Self::File(file) => file.fill(people)?,
        })
    }
}

/// The templates of a map.
pub(super) fn pairs(options: &Options, key: &str) -> Result<Vec<(String, Template)>, String> {
    let entries = options.entries(key).into_iter();
    entries.map(|(name, text)| Ok((name.to_owned(), Template::parse(text)?))).collect()
}

/// The pairs with their values; one that may be missing, and is, is left out.
pub(super) fn filled(pairs: &[(String, Template)], values: &Values<'_>) -> Result<Vec<(String, String)>, Missing> {
    let mut filled = Vec::new();
    for (name, template) in pairs {
        filled.extend(template.complete(|name| values.get(name), str::to_owned)?.map(|text| (name.clone(), text)));
    }
    Ok(filled)
}

impl Tree {
    pub fn read(node: &Node) -> Result<Self, String> {
        Ok(match node {
            Node::Text(text) => Self::Text(Template::parse(text)?),
            Node::List(items) => Self::List(items.iter().map(Self::read).collect::<Result<_, _>>()?),
            Node::Map(entries) => match entries.as_slice() {
                [(key, node)] if key == EACH => Self::Each(Box::new(Self::read(node)?)),
                entries => {
                    let entry = |(key, node): &(String, Node)| Ok((Template::parse(key)?, Self::read(node)?));
                    Self::Map(entries.iter().map(entry).collect::<Result<_, String>>()?)
                }
            },
            node => Self::Other(node.to_json()),
        })
    }

    fn templates(&self, each: bool) -> Vec<(&Template, bool)> {
        match self {
            Self::Text(template) => vec![(template, each)],
            Self::List(items) => items.iter().flat_map(|item| item.templates(each)).collect(),
            Self::Map(entries) => {
                entries.iter().flat_map(|(key, tree)| [(key, each)].into_iter().chain(tree.templates(each))).collect()
            }
            Self::Each(tree) => tree.templates(true),
            Self::Other(_) => Vec::new(),
        }
    }

    /// `None` where an identifier is not there that may be missing.
    fn fill(&self, people: &[Values<'_>]) -> Result<Option<Value>, Missing> {
        let first = people.first().ok_or(Missing)?;
        Ok(Some(match self {
            Self::Text(template) => match template.complete(|name| first.get(name), str::to_owned)? {
                Some(text) if template.is_number() => text.parse::<i64>().map_err(|_| Missing)?.into(),
                Some(text) => text.into(),
                None => return Ok(None),
            },
            Self::List(items) => {
                let items: Result<Vec<_>, _> = items.iter().map(|item| item.fill(people)).collect();
                Value::Array(items?.into_iter().flatten().collect())
            }
            Self::Map(entries) => {
                let mut filled = serde_json::Map::new();
                for (key, tree) in entries {
                    let key = key.complete(|name| first.get(name), str::to_owned)?.ok_or(Missing)?;
                    filled.extend(tree.fill(people)?.map(|value| (key, value)));
                }
                // what held nothing but identifiers that are not there is not there either
                if filled.is_empty() && !entries.is_empty() {
                    return Ok(None);
                }
                Value::Object(filled)
            }
            Self::Each(tree) => {
                let mut all = Vec::new();
                for person in people {
                    all.push(tree.fill(std::slice::from_ref(person))?.ok_or(Missing)?);
                }
                Value::Array(all)
            }
            Self::Other(value) => value.clone(),
        }))
    }
}

impl File {
    /// A multipart form (RFC 7578). Its boundary comes from its content, so that the same call has the same body.
    fn fill(&self, people: &[Values<'_>]) -> Result<Body, Missing> {
        let first = people.first().ok_or(Missing)?;
        let mut lines: Vec<String> = self.head.iter().cloned().collect();
        for person in people {
            let line = self.line.complete(|name| person.get(name), str::to_owned)?.ok_or(Missing)?;
            // a line break in an identifier would make a person of its own
            if line.contains(['\n', '\r']) {
                return Err(Missing);
            }
            lines.push(line);
        }
        let content = lines.join("\n") + "\n";
        let boundary = format!("sunset-{}", hex::encode(&Sha256::digest(&content)[..16]));
        let mut body = String::new();
        for (name, text) in filled(&self.form, first)? {
            body += &format!("--{boundary}\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{text}\r\n");
        }
        let (field, name, kind) = (&self.field, &self.name, &self.content_type);
        body += &format!(
            "--{boundary}\r\ncontent-disposition: form-data; name=\"{field}\"; filename=\"{name}\"\r\ncontent-type: \
             {kind}\r\n\r\n{content}\r\n--{boundary}--\r\n"
        );
        let content_type = format!("multipart/form-data; boundary={boundary}").into();
        Ok(Body::Raw { content_type, bytes: body.into_bytes() })
    }
}

fn xml(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&apos;")
}

/// As inside of a JSON text: without its quotes.
fn json(text: &str) -> String {
    let quoted = Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}
