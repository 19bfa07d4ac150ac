//! Where a value or a key stands in a YAML text.

use super::{
    Spot, Step,
    tree::{Content, Tree},
};
use std::{cell::OnceCell, ops::Range};

/// The places in one text, read once however many are asked for.
pub struct Places<'a> {
    source: &'a str,
    tree: OnceCell<Option<Tree>>,
    /// Where each line begins.
    lines: OnceCell<Vec<usize>>,
}

impl<'a> Places<'a> {
    pub fn of(source: &'a str) -> Self {
        Self { source, tree: OnceCell::new(), lines: OnceCell::new() }
    }

    pub fn source(&self) -> &'a str {
        self.source
    }

    /// A scalar of the text as written, without quotes: numbers keep all of their digits.
    pub fn scalar(&self, path: &[Step]) -> Option<&str> {
        match &self.tree()?.node(path)?.content {
            Content::Scalar(text) => Some(text),
            Content::List(_) | Content::Map(_) => None,
        }
    }

    /// The bytes of a spot, or of its nearest parent when it is not in the text. Of a block of several lines, the first.
    pub fn locate(&self, spot: &Spot) -> Range<usize> {
        let source = self.source;
        let (path, name, within) = match spot {
            Spot::File => return 0..0,
            Spot::Bytes(range) => {
                let start = floor(source, range.start);
                return start..floor(source, range.end).max(start);
            }
            Spot::Node(path) => (path, false, None),
            Spot::Name(path) => (path, true, None),
            Spot::Within(path, range) => (path, false, Some(range)),
        };
        let Some(tree) = self.tree() else { return 0..0 };
        if name && let Some(key) = tree.key(path) {
            return scalar_range(source, skip_properties(source, key.start), &key.text);
        }
        let found = (0..=path.len()).rev().find_map(|end| Some((end, tree.node(&path[..end])?)));
        let Some((end, node)) = found else { return 0..0 };
        let start = skip_properties(source, node.start);
        match &node.content {
            Content::Scalar(text) => {
                let whole = scalar_range(source, start, text);
                let part = within.filter(|_| end == path.len());
                part.and_then(|range| part_range(source, whole.clone(), text, range)).unwrap_or(whole)
            }
            Content::List(_) | Content::Map(_) => collection_range(source, start),
        }
    }

    /// Line and column, both from 1; the column in characters.
    pub fn position(&self, index: usize) -> [usize; 2] {
        let (number, line) = self.line(index);
        [number, self.source[line..index].chars().count() + 1]
    }

    /// The lines that a range lies in: the number of the first, from 1, and their bytes.
    pub fn lines(&self, range: &Range<usize>) -> (usize, Range<usize>) {
        let (number, start) = self.line(range.start);
        let end = self.source[range.end..].find('\n').map_or(self.source.len(), |end| range.end + end + 1);
        (number, start..end)
    }

    /// The number of the line that holds a byte, from 1, and where it begins.
    fn line(&self, index: usize) -> (usize, usize) {
        let ends = || self.source.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let lines = self.lines.get_or_init(|| [0].into_iter().chain(ends().map(|(end, _)| end + 1)).collect());
        let number = lines.partition_point(|start| *start <= index).max(1);
        (number, lines[number - 1])
    }

    fn tree(&self) -> Option<&Tree> {
        self.tree.get_or_init(|| Tree::of(self.source)).as_ref()
    }
}

/// Past an anchor or tag before a node.
fn skip_properties(source: &str, mut start: usize) -> usize {
    while source[start..].starts_with(['&', '!']) {
        let rest = &source[start..];
        let word = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let space = rest[word..].find(|c: char| !c.is_whitespace()).unwrap_or(rest.len() - word);
        start += word + space;
    }
    start
}

/// From a scalar's first character, or opening quote, to its end.
fn scalar_range(source: &str, start: usize, text: &str) -> Range<usize> {
    let rest = &source[start..];
    let length = match rest.chars().next() {
        Some('"') => {
            let mut escaped = false;
            let end = rest[1..].find(|c| {
                let end = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                end
            });
            end.map_or(rest.len(), |end| end + 2)
        }
        Some('\'') => {
            let mut end = 1;
            while let Some(quote) = rest[end..].find('\'') {
                end += quote + 1;
                if !rest[end..].starts_with('\'') {
                    break;
                }
                end += 1;
            }
            end
        }
        Some('|' | '>') => block_length(rest),
        // A plain scalar of several lines reads as one line; only its white space differs.
        _ => {
            let mut length = 0;
            for word in text.split_whitespace() {
                length += rest[length..].find(word).map_or(0, |at| at + word.len());
            }
            length
        }
    };
    start..start + length
}

/// A block scalar's length: its header and every line that is indented as the first one, or blank.
fn block_length(rest: &str) -> usize {
    let indentation = |line: &str| line.len() - line.trim_start_matches(' ').len();
    let mut lines = rest.split_inclusive('\n');
    let mut length = lines.next().map_or(0, str::len);
    let (mut end, mut least) = (rest[..length].trim_end().len(), None);
    for line in lines {
        if !line.trim().is_empty() {
            if indentation(line) < *least.get_or_insert_with(|| indentation(line)) {
                break;
            }
            end = length + line.trim_end().len();
        }
        length += line.len();
    }
    end
}

/// A flow collection up to its closing bracket, a block collection to the end of its first entry's line; one line.
fn collection_range(source: &str, start: usize) -> Range<usize> {
    let line = source[start..].lines().next().unwrap_or_default();
    let flow = line.starts_with(['[', '{']);
    let (mut depth, mut quote, mut previous) = (0, None, ' ');
    for (at, c) in line.char_indices() {
        match (quote, c) {
            (Some(open), _) if c == open && previous != '\\' => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') if !previous.is_alphanumeric() => quote = Some(c),
            (None, '[' | '{') => depth += 1,
            (None, ']' | '}') => {
                depth -= 1;
                if flow && depth == 0 {
                    return start..start + at + 1;
                }
            }
            (None, '#') if previous == ' ' => return start..start + line[..at].trim_end().len(),
            (None, _) => {}
        }
        previous = c;
    }
    start..start + line.trim_end().len()
}

/// The bytes of `part` of a scalar's decoded `text`, in the source; `None` when the two cannot be matched.
fn part_range(source: &str, whole: Range<usize>, text: &str, part: &Range<usize>) -> Option<Range<usize>> {
    let written = &source[whole.clone()];
    let quote = written.chars().next().filter(|c| matches!(c, '"' | '\''));
    let mut at = match written.chars().next() {
        Some('"' | '\'') => 1,
        Some('|' | '>') => written.find('\n')?,
        _ => 0,
    };
    let (mut from, mut to) = (None, None);
    for (index, c) in text.char_indices() {
        let length = loop {
            let Some(next) = written[at..].chars().next() else {
                // The line break that ends a block is not part of its range.
                if c.is_whitespace() {
                    break 0;
                }
                return None;
            };
            if quote == Some('"') && next == '\\' {
                let (decoded, length) = escape(&written[at..])?;
                match decoded {
                    Some(decoded) if decoded == c => break length,
                    Some(_) => return None,
                    None => at += length,
                }
            } else if quote == Some('\'') && next == '\'' && c == '\'' {
                break 2;
            } else if next == c || (c.is_whitespace() && next.is_whitespace()) {
                break next.len_utf8();
            } else if next.is_whitespace() {
                at += next.len_utf8(); // indentation of the next line
            } else {
                return None;
            }
        };
        if index >= part.start && index < part.end {
            from.get_or_insert(at);
            to = Some(at + length);
        } else if index == part.start {
            (from, to) = (Some(at), Some(at)); // an empty part
        }
        at += length;
    }
    // Beyond the last character: the end of the text.
    let from = from.unwrap_or(at);
    Some(whole.start + from..whole.start + to.unwrap_or(from))
}

/// One escape of a double-quoted scalar: the character that it stands for (a line break stands for none), its length.
fn escape(written: &str) -> Option<(Option<char>, usize)> {
    let kind = written.chars().nth(1)?;
    let digits = |count: usize| {
        let code = u32::from_str_radix(written.get(2..2 + count)?, 16).ok()?;
        Some((Some(char::from_u32(code)?), 2 + count))
    };
    let simple = |c| Some((Some(c), 2));
    match kind {
        'x' => digits(2),
        'u' => digits(4),
        'U' => digits(8),
        'n' => simple('\n'),
        't' | '\t' => simple('\t'),
        'r' => simple('\r'),
        '0' => simple('\0'),
        'a' => simple('\x07'),
        'b' => simple('\x08'),
        'v' => simple('\x0b'),
        'f' => simple('\x0c'),
        'e' => simple('\x1b'),
        'N' => simple('\u{85}'),
        '_' => simple('\u{a0}'),
        'L' => simple('\u{2028}'),
        'P' => simple('\u{2029}'),
        '\n' => Some((None, 2)),
        other => Some((Some(other), 1 + other.len_utf8())),
    }
}

/// The length of the mark that some editors put before UTF-8 text, and the text.
pub(crate) fn without_byte_order_mark(source: &str) -> (usize, &str) {
    source.strip_prefix('\u{feff}').map_or((0, source), |text| (source.len() - text.len(), text))
}

/// The greatest character boundary that is not above `index`.
pub(crate) fn floor(source: &str, index: usize) -> usize {
    (0..=index.min(source.len())).rev().find(|&index| source.is_char_boundary(index)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::node::Node;
    use proptest::prelude::*;

    fn locate(source: &str, spot: &Spot) -> Range<usize> {
        Places::of(source).locate(spot)
    }

    fn key(name: &str) -> Step {
        Step::Key(name.to_owned())
    }

    fn text<'a>(source: &'a str, spot: &Spot) -> &'a str {
        &source[locate(source, spot)]
    }

    #[test]
    fn finds_values_keys_and_items() {
        let source = "version: 1\nrules:\n  - id: a # é first\n    title: 契約者 # 日本\n    table: \"usrs\"  # quoted\n    \
                      columns: { emial: nullify, 'name': redact }\n    list: [a, bb, 'c,c']\n  - id: b\n    when: 5 years\n";
        let rule = |index: usize, rest: &[Step]| [&[key("rules"), Step::Item(index)], rest].concat();
        let node = |path: Vec<Step>| text(source, &Spot::Node(path));
        let name = |path: Vec<Step>| text(source, &Spot::Name(path));
        assert_eq!(node(vec![key("version")]), "1");
        assert_eq!(node(rule(0, &[key("table")])), "\"usrs\"");
        assert_eq!(node(rule(0, &[key("title")])), "契約者");
        assert_eq!(name(rule(0, &[key("title")])), "title");
        assert_eq!(node(rule(0, &[key("columns"), key("emial")])), "nullify");
        assert_eq!(name(rule(0, &[key("columns"), key("emial")])), "emial");
        assert_eq!(name(rule(0, &[key("columns"), Step::Entry(1)])), "'name'");
        assert_eq!(node(rule(0, &[key("columns")])), "{ emial: nullify, 'name': redact }");
        assert_eq!(node(rule(0, &[key("list"), Step::Item(2)])), "'c,c'");
        assert_eq!(node(rule(0, &[key("list")])), "[a, bb, 'c,c']");
        assert_eq!(node(rule(1, &[key("when")])), "5 years");
        assert_eq!(node(rule(1, &[])), "id: b");
        assert_eq!(node(rule(0, &[])), "id: a");
        assert_eq!(node(vec![]), "version: 1");
    }

    #[test]
    fn what_is_not_there_has_its_parents_place() {
        let source = "rules:\n  - id: a\n";
        let path = vec![key("rules"), Step::Item(0), key("table"), key("deeper")];
        assert_eq!(text(source, &Spot::Node(path.clone())), "id: a");
        assert_eq!(text(source, &Spot::Name(path)), "id: a");
        assert_eq!(locate("", &Spot::Node(vec![key("a")])), 0..0);
    }

    #[test]
    fn finds_the_second_of_two_equal_keys() {
        let source = "a: 1\nb: 2\na: 3\n";
        let range = locate(source, &Spot::Name(vec![Step::Entry(2)]));
        assert_eq!((range.start, &source[range]), (10, "a"));
        assert_eq!(text(source, &Spot::Node(vec![Step::Entry(2)])), "3");
        assert_eq!(text(source, &Spot::Node(vec![key("a")])), "1");
    }

    #[test]
    fn finds_part_of_a_scalar_however_it_is_written() {
        for source in [
            "where: status = 'x' and bad = 1\n",
            "where: \"status = 'x' and bad = 1\"\n",
            "where: \"stat\\u0075s = 'x' \\\n    and bad = 1\"\n",
            "where: 'status = ''x'' and bad = 1'\n",
            "where:\n  status = 'x'\n  and bad\n  = 1\n",
            "where: |\n  status = 'x'\n    and bad = 1\n",
            "where: >-\n\n  status = 'x'\n  and bad = 1\nother: 1\n",
            "where: &anchor\n  status = 'x' and bad = 1\n",
            "\u{feff}where: status = '契約' and bad = 1\n",
            "{where: status = 'x' and bad = 1, other: 2}\n",
        ] {
            let node = Node::parse("a.yaml", source).expect(source);
            let value = node.get("where").and_then(Node::as_text).expect(source);
            for word in ["bad", "and", "= 1", "status ="] {
                let start = value.find(word).expect(source);
                let spot = Spot::Within(vec![key("where")], start..start + word.len());
                let found =
                    text(source, &spot).replace("\\u0075", "u").split_whitespace().collect::<Vec<_>>().join(" ");
                assert_eq!(found, word, "{source}");
            }
            let end = Spot::Within(vec![key("where")], value.trim_end().len()..value.trim_end().len());
            assert!(locate(source, &end).start >= source.find("= 1").unwrap_or(0), "{source}");
        }
    }

    #[test]
    fn block_scalars_end_where_they_end() {
        let source = "a:\n  - b: |\n      one\n\n      two\n    c: 3\n";
        let spot = Spot::Node(vec![key("a"), Step::Item(0), key("b")]);
        assert_eq!(text(source, &spot), "|\n      one\n\n      two");
    }

    #[test]
    fn numbers_keep_their_digits() {
        let source = "a: 12345678901234567890.123456789\nb: 007\n";
        assert_eq!(Places::of(source).scalar(&[key("a")]), Some("12345678901234567890.123456789"));
        assert_eq!(Node::parse("", source).expect("yaml").get("b"), Some(&Node::Text("007".to_owned())));
    }

    /// Both parsers see the same scalars at the same paths.
    fn assert_found(places: &Places, node: &Node, path: &mut Vec<Step>) {
        match node {
            Node::List(items) => items.iter().enumerate().for_each(|(index, item)| {
                path.push(Step::Item(index));
                assert_found(places, item, path);
                path.pop();
            }),
            Node::Map(entries) => entries.iter().enumerate().for_each(|(index, (_, value))| {
                path.push(Step::Entry(index));
                assert_found(places, value, path);
                path.pop();
            }),
            Node::Text(text) => assert_eq!(places.scalar(path), Some(text.as_str()), "{path:?}"),
            Node::Null | Node::Bool(_) | Node::Number(_) => assert!(places.scalar(path).is_some(), "{path:?}"),
        }
    }

    #[test]
    fn finds_every_scalar_of_the_jobs_in_this_repository() {
        let jobs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("jobs");
        let mut files = 0;
        for job in std::fs::read_dir(jobs).expect("jobs").map(|entry| entry.expect("a job").path()) {
            let rules = std::fs::read_dir(job.join("rules")).expect("rules").map(|entry| entry.expect("a file").path());
            for file in rules.chain([job.join("sunset.yaml")]) {
                let source = std::fs::read_to_string(&file).expect("a text");
                let node = Node::parse("", &source).expect("YAML");
                assert_found(&Places::of(&source), &node, &mut Vec::new());
                files += 1;
            }
        }
        assert!(files > 10, "{files}");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(source in "[ -~\n\u{e9}\u{3042}]{0,80}") {
            if let Ok(node) = Node::parse("", &source) {
                for (index, (name, _)) in node.entries().iter().enumerate() {
                    for spot in [
                        Spot::Node(vec![Step::Entry(index)]),
                        Spot::Name(vec![Step::Entry(index)]),
                        Spot::Name(vec![key(name)]),
                        Spot::Within(vec![Step::Entry(index)], 1..3),
                    ] {
                        let _ = &source[locate(&source, &spot)];
                    }
                }
            }
        }
    }
}
