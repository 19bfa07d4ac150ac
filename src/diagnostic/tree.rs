//! A YAML text as a tree of positions.
//!
//! What a text means is decided by [`Node`](crate::rules::Node) alone; this tree only tells where that stands.

use super::{Step, without_byte_order_mark};
use saphyr_parser::{Event, Parser, ScalarStyle, Span, StrInput};
use std::{collections::BTreeMap, rc::Rc};

/// Deeper texts are refused when they are read.
const DEEPEST: usize = 200;

/// The nodes of one document.
pub(super) struct Tree {
    root: Rc<Spotted>,
}

/// A node, and the byte at which it begins.
pub(super) struct Spotted {
    pub start: usize,
    pub content: Content,
}

pub(super) enum Content {
    /// Decoded, whatever its type.
    Scalar(String),
    List(Vec<Rc<Spotted>>),
    Map(Vec<(Key, Rc<Spotted>)>),
}

/// The key of a map's entry.
pub(super) struct Key {
    pub start: usize,
    pub text: String,
}

impl Tree {
    /// `None` where the text is not YAML.
    pub fn of(source: &str) -> Option<Self> {
        let (mark, text) = without_byte_order_mark(source);
        let ends = [source.len()];
        let bytes = text.char_indices().map(|(byte, _)| mark + byte).chain(ends).collect();
        let mut reader =
            Reader { source, events: Parser::new_from_str(text), bytes, anchors: BTreeMap::new(), depth: 0 };
        loop {
            match reader.next()? {
                (Event::StreamStart | Event::DocumentStart(_), _) => {}
                (event, start) => return Some(Self { root: reader.node(event, start)? }),
            }
        }
    }

    /// The node that a path leads to; `None` where there is none.
    pub fn node(&self, path: &[Step]) -> Option<&Spotted> {
        path.iter().try_fold(&*self.root, |node, step| match (&node.content, step) {
            (Content::List(items), Step::Item(index)) => items.get(*index).map(|item| &**item),
            (Content::Map(entries), Step::Key(_) | Step::Entry(_)) => Some(&*entry(entries, step)?.1),
            _ => None,
        })
    }

    /// The key of the entry that a path leads to.
    pub fn key(&self, path: &[Step]) -> Option<&Key> {
        let (step, parent) = path.split_last()?;
        match &self.node(parent)?.content {
            Content::Map(entries) => Some(&entry(entries, step)?.0),
            Content::Scalar(_) | Content::List(_) => None,
        }
    }
}

fn entry<'a>(entries: &'a [(Key, Rc<Spotted>)], step: &Step) -> Option<&'a (Key, Rc<Spotted>)> {
    match step {
        Step::Key(name) => entries.iter().find(|(key, _)| key.text == *name),
        Step::Entry(index) => entries.get(*index),
        Step::Item(_) => None,
    }
}

/// Makes the tree from the parser's events.
struct Reader<'a> {
    source: &'a str,
    events: Parser<'a, StrInput<'a>>,
    /// The byte of each character, and of the end: the parser counts characters.
    bytes: Vec<usize>,
    /// An alias is the node that bears its anchor, so that what aliases repeat is kept once.
    anchors: BTreeMap<usize, Rc<Spotted>>,
    depth: usize,
}

impl<'a> Reader<'a> {
    /// The next event, and the byte where it begins.
    fn next(&mut self) -> Option<(Event<'a>, usize)> {
        let (event, Span { start, .. }) = self.events.next()?.ok()?;
        Some((event, *self.bytes.get(start.index())?))
    }

    fn node(&mut self, event: Event<'a>, mut start: usize) -> Option<Rc<Spotted>> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return None;
        }
        let (content, anchor) = match event {
            Event::Alias(anchor) => {
                self.depth -= 1;
                return self.anchors.get(&anchor).cloned();
            }
            Event::Scalar(text, style, anchor, _) => {
                if matches!(style, ScalarStyle::Literal | ScalarStyle::Folded) {
                    start = self.header(start);
                }
                (Content::Scalar(text.into_owned()), anchor)
            }
            Event::SequenceStart(anchor, _) => {
                let mut items = Vec::new();
                loop {
                    match self.next()? {
                        (Event::SequenceEnd, _) => break,
                        (event, start) => items.push(self.node(event, start)?),
                    }
                }
                (Content::List(items), anchor)
            }
            Event::MappingStart(anchor, _) => {
                let mut entries = Vec::new();
                loop {
                    let key = match self.next()? {
                        (Event::MappingEnd, _) => break,
                        (event, start) => self.node(event, start)?,
                    };
                    let Content::Scalar(text) = &key.content else { return None };
                    let key = Key { start: key.start, text: text.clone() };
                    let (event, start) = self.next()?;
                    entries.push((key, self.node(event, start)?));
                }
                (Content::Map(entries), anchor)
            }
            _ => return None,
        };
        self.depth -= 1;
        let node = Rc::new(Spotted { start, content });
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Some(node)
    }

    /// The `|` or `>` of a block whose text begins at `start`: in the last line before it that is not blank.
    fn header(&self, start: usize) -> usize {
        if self.source[start..].starts_with(['|', '>']) {
            return start;
        }
        let before = self.source[..start].trim_end();
        let line = before.rfind('\n').map_or(0, |end| end + 1);
        let is_header = |at: &usize| {
            let rest =
                before[at + 1..].trim_start_matches(|c: char| c.is_ascii_digit() || "+-".contains(c)).trim_start();
            rest.is_empty() || rest.starts_with('#')
        };
        let found = before[line..].match_indices(['|', '>']).map(|(at, _)| line + at).find(is_header);
        found.unwrap_or(start)
    }
}
