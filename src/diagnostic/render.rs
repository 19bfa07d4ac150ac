//! Diagnostics as text the way rustc does, as JSON lines, and as SARIF for a pull request.
//!
//! What users wrote is quoted in all three. In the text for terminals, characters that could steer a terminal or turn
//! the direction of writing are replaced.

use super::{Code, Diagnostic, Severity, Sources, locate};
use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use serde_json::{Value, json};
use std::{borrow::Cow, fmt::Write, ops::Range};

impl Severity {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// A diagnostic with its place worked out.
struct Located<'a> {
    diagnostic: &'a Diagnostic,
    file: Option<&'a str>,
    /// Empty when the file was not read.
    source: &'a str,
    range: Range<usize>,
    also: Option<Also<'a>>,
}

/// A further place, worked out too.
struct Also<'a> {
    file: &'a str,
    source: &'a str,
    range: Range<usize>,
    label: &'a str,
}

/// In the order of files and positions.
fn located<'a>(diagnostics: &'a [Diagnostic], sources: &'a Sources) -> Vec<Located<'a>> {
    let locate = |diagnostic: &'a Diagnostic| {
        let file = diagnostic.place.as_ref().map(|place| place.file.as_str());
        let source = file.and_then(|file| sources.get(file)).map_or("", String::as_str);
        let range = diagnostic.place.as_ref().map_or(0..0, |place| locate(source, &place.spot));
        let also = diagnostic.also.as_ref().map(|(place, label)| {
            let source = sources.get(&place.file).map_or("", String::as_str);
            Also { file: &place.file, source, range: locate(source, &place.spot), label }
        });
        Located { diagnostic, file, source, range, also }
    };
    let mut all: Vec<_> = diagnostics.iter().map(locate).collect();
    all.sort_by(|a, b| {
        let key = |located: &Located<'a>| (located.file, located.range.start, located.diagnostic.code);
        key(a).cmp(&key(b))
    });
    all
}

/// As rustc would print it, each with the line of its file, and a [`summary`] at the end; nothing when there are none.
pub fn render_text(diagnostics: &[Diagnostic], sources: &Sources, colour: bool) -> String {
    if diagnostics.is_empty() {
        return String::new();
    }
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    let mut text = String::new();
    for Located { diagnostic, file, source, range, also } in located(diagnostics, sources) {
        let level = match diagnostic.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let message = harmless(&diagnostic.message);
        let label = harmless(&diagnostic.label);
        let help = diagnostic.help.as_deref().map(harmless);
        let title = level.primary_title(message).id(diagnostic.code.as_str());
        let mut group = annotate_snippets::Group::with_title(title);
        let (also_here, also_elsewhere) = match also {
            Some(also) if Some(also.file) == file => (Some(also), None),
            also => (None, also),
        };
        let further = |also: &Also| {
            let label = harmless(also.label);
            AnnotationKind::Context.span(also.range.clone()).label((!label.is_empty()).then_some(label))
        };
        match file {
            Some(file) if range.is_empty() && range.start == 0 => {
                group = group.element(annotate_snippets::Origin::path(harmless(file)));
            }
            Some(file) => {
                let annotation = AnnotationKind::Primary.span(range).label((!label.is_empty()).then_some(label));
                let snippet = Snippet::source(harmless_source(source)).path(harmless(file)).annotation(annotation);
                group = group.element(snippet.annotations(also_here.as_ref().map(further)));
            }
            None => {}
        }
        if let Some(also) = &also_elsewhere {
            let snippet = Snippet::source(harmless_source(also.source)).path(harmless(also.file));
            group = group.element(snippet.annotation(further(also)));
        }
        group = group.elements(help.map(|help| Level::HELP.message(help)));
        let _ = writeln!(text, "{}\n", renderer.render(&[group]));
    }
    let _ = writeln!(text, "{}", summary(diagnostics));
    text
}

/// For example `3 errors, 1 warning`.
pub fn summary(diagnostics: &[Diagnostic]) -> String {
    let count = |severity: Severity| {
        let count = diagnostics.iter().filter(|diagnostic| diagnostic.severity == severity).count();
        let ending = if count == 1 { "" } else { "s" };
        (count > 0).then(|| format!("{count} {}{ending}", severity.as_str()))
    };
    let counts: Vec<_> = [count(Severity::Error), count(Severity::Warning)].into_iter().flatten().collect();
    if counts.is_empty() { "no errors".to_owned() } else { counts.join(", ") }
}

/// One JSON object per line. Lines and columns begin with 1; columns count characters (Unicode code points), and the
/// end's column is that of the first character behind. Without a place in a file they are `null`. `also` is there where
/// a second place has to do with it.
pub fn render_json(diagnostics: &[Diagnostic], sources: &Sources) -> String {
    let mut text = String::new();
    for found in located(diagnostics, sources) {
        let Located { diagnostic, file, source, range, also } = &found;
        let ends = |source: &str, range: &Range<usize>| match source.is_empty() {
            true => [[Value::Null, Value::Null], [Value::Null, Value::Null]],
            false => [position(source, range.start), position(source, range.end)],
        };
        let [[line, column], [end_line, end_column]] = ends(source, range);
        let mut object = json!({
            "code": diagnostic.code.as_str(),
            "severity": diagnostic.severity.as_str(),
            "message": diagnostic.message,
            "file": file,
            "line": line,
            "column": column,
            "end_line": end_line,
            "end_column": end_column,
            "label": diagnostic.label,
            "help": diagnostic.help,
        });
        if let Some(also) = also {
            let [[line, column], [end_line, end_column]] = ends(also.source, &also.range);
            object["also"] = json!({
                "file": also.file,
                "line": line,
                "column": column,
                "end_line": end_line,
                "end_column": end_column,
                "label": also.label,
            });
        }
        let _ = writeln!(text, "{object}");
    }
    text
}

/// A SARIF 2.1.0 log, for code scanning in a pull request.
pub fn render_sarif(diagnostics: &[Diagnostic], sources: &Sources) -> String {
    let level = |code: Code| if code.as_str().starts_with('W') { "warning" } else { "error" };
    let rules: Vec<_> = Code::ALL
        .iter()
        .map(|code| {
            json!({
                "id": code.as_str(),
                "name": format!("{code:?}"),
                "shortDescription": { "text": code.description() },
                "defaultConfiguration": { "level": level(*code) },
            })
        })
        .collect();
    let result = |found: Located| {
        let Located { diagnostic, file, source, range, also } = found;
        let detail = [Some(diagnostic.label.as_str()).filter(|label| !label.is_empty()), diagnostic.help.as_deref()];
        let text =
            [Some(diagnostic.message.as_str())].into_iter().chain(detail).flatten().collect::<Vec<_>>().join("\n");
        let mut result = json!({
            "ruleId": diagnostic.code.as_str(),
            "ruleIndex": Code::ALL.iter().position(|code| *code == diagnostic.code),
            "level": diagnostic.severity.as_str(),
            "message": { "text": text },
        });
        let physical = |file: &str, source: &str, range: &Range<usize>| {
            let mut place = json!({ "artifactLocation": { "uri": uri(file) } });
            if !source.is_empty() {
                let [line, column] = position(source, range.start);
                let [end_line, end_column] = position(source, range.end);
                place["region"] =
                    json!({ "startLine": line, "startColumn": column, "endLine": end_line, "endColumn": end_column });
            }
            place
        };
        if let Some(file) = file {
            result["locations"] = json!([{ "physicalLocation": physical(file, source, &range) }]);
        }
        if let Some(also) = also {
            let place = physical(also.file, also.source, &also.range);
            result["relatedLocations"] = json!([{ "physicalLocation": place, "message": { "text": also.label } }]);
        }
        result
    };
    let results: Vec<_> = located(diagnostics, sources).into_iter().map(result).collect();
    let log = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": { "name": "sunset", "version": env!("CARGO_PKG_VERSION"), "rules": rules } },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    });
    format!("{log:#}\n")
}

/// Line and column, both from 1; the column in characters.
fn position(source: &str, index: usize) -> [Value; 2] {
    let before = &source[..index];
    let line = before.rfind('\n').map_or(0, |end| end + 1);
    [before.matches('\n').count() + 1, before[line..].chars().count() + 1].map(Value::from)
}

/// A relative path as a URI reference.
fn uri(path: &str) -> String {
    let mut uri = String::new();
    for byte in path.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'/' | b'-' | b'.' | b'_' | b'~' => uri.push(byte.into()),
            _ => {
                let _ = write!(uri, "%{byte:02X}");
            }
        }
    }
    uri
}

/// Control characters, and those that turn the direction of writing.
fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Text of ours that quotes text of others.
fn harmless(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut harmless, c| {
        if is_harmful(c) {
            harmless.extend(c.escape_default());
        } else {
            harmless.push(c);
        }
        harmless
    })
}

/// A file's text with the same positions. The renderer itself shows ASCII control characters as symbols.
fn harmless_source(source: &str) -> Cow<'_, str> {
    if !source.chars().any(|c| !c.is_ascii() && is_harmful(c)) {
        return source.into();
    }
    let replace = |c: char| match c.len_utf8() {
        2 if is_harmful(c) => '¿',
        3 if is_harmful(c) => '\u{fffd}',
        _ => c,
    };
    source.chars().map(replace).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::{Place, Spot};

    fn source() -> Sources {
        let text =
            "category: 顧客\nrules:\n  - titel: \"契約者\u{1b}[31m\u{9b}1m\" # 日本\n    tabel: core.customers\n";
        Sources::from([("rules/customers.yaml".to_owned(), text.to_owned())])
    }

    fn diagnostics() -> Vec<Diagnostic> {
        let rule = Place::root("rules/customers.yaml").key("rules").item(0);
        vec![
            Diagnostic::error(Code::UnknownKey, rule.key("tabel").name(), "unknown key `tabel`")
                .label("not a key of a rule")
                .help("did you mean `table`?"),
            Diagnostic::warning(Code::NothingNamed, rule.key("titel"), "title \u{1b}[2J never used").label("here"),
            Diagnostic::error(Code::Unreadable, Place::file("rules/a b.yaml"), "cannot be read"),
        ]
    }

    #[test]
    fn text_looks_as_rustc_has_it() {
        // Control characters make the text no YAML; the spot must be found anyway.
        let mut sources = source();
        sources.values_mut().for_each(|text| *text = text.replace(['\u{1b}', '\u{9b}'], ""));
        insta::assert_snapshot!(render_text(&diagnostics(), &sources, false));
    }

    #[test]
    fn terminals_cannot_be_steered() {
        let sources = source();
        let text = &sources["rules/customers.yaml"];
        let start = text.find("契約者").expect("the title");
        let spot = Spot::Bytes(start..start + "契約者".len());
        let place = Place { file: "rules/customers.yaml".to_owned(), spot };
        let rendered = render_text(&[Diagnostic::error(Code::Syntax, place, "x\u{202e}y\u{1b}")], &sources, false);
        assert!(!rendered.chars().any(|c| c != '\n' && is_harmful(c)), "{rendered:?}");
        insta::assert_snapshot!(rendered);
        assert!(render_text(&diagnostics(), &sources, true).contains("\u{1b}[1m"), "colour is still there");
    }

    #[test]
    fn json_is_one_object_a_line() {
        let mut sources = source();
        sources.values_mut().for_each(|text| *text = text.replace(['\u{1b}', '\u{9b}'], ""));
        insta::assert_snapshot!(render_json(&diagnostics(), &sources));
    }

    #[test]
    fn sarif_names_every_code() {
        let log: Value = serde_json::from_str(&render_sarif(&diagnostics(), &Sources::new())).expect("JSON");
        assert_eq!(log["runs"][0]["tool"]["driver"]["rules"].as_array().map(Vec::len), Some(Code::ALL.len()));
        let uri = &log["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"];
        assert_eq!(uri, "rules/a%20b.yaml");
        for (index, code) in Code::ALL.iter().enumerate() {
            assert!(!Code::ALL[..index].iter().any(|other| other.as_str() == code.as_str()), "{code:?} stands twice");
        }
    }

    #[test]
    fn a_second_place_is_underlined_in_its_own_file_or_another() {
        let mut sources = source();
        sources.values_mut().for_each(|text| *text = text.replace(['\u{1b}', '\u{9b}'], ""));
        sources.insert("rules/orders.yaml".to_owned(), "category: orders\n".to_owned());
        let rule = Place::root("rules/customers.yaml").key("rules").item(0);
        let first = Diagnostic::error(Code::RuleDestroys, rule.key("tabel"), "rule `a` destroys what rule `b` needs")
            .label("here")
            .help("look at both");
        let both = [
            first.clone().also(rule.key("titel"), "needed in the same file"),
            first.also(Place::root("rules/orders.yaml").key("category"), "needed in another file"),
        ];
        let text = render_text(&both, &sources, false);
        for part in
            ["here", "needed in the same file", "needed in another file", "rules/orders.yaml", "help: look at both"]
        {
            assert!(text.contains(part), "{part}: {text}");
        }
        let json = render_json(&both, &sources);
        let also: Vec<Value> =
            json.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")["also"].clone()).collect();
        assert_eq!([&also[0]["file"], &also[0]["line"]], [&json!("rules/customers.yaml"), &json!(3)]);
        assert_eq!(
            [&also[1]["file"], &also[1]["label"]],
            [&json!("rules/orders.yaml"), &json!("needed in another file")]
        );
        let log: Value = serde_json::from_str(&render_sarif(&both, &sources)).expect("JSON");
        let related = |index: usize| &log["runs"][0]["results"][index]["relatedLocations"][0];
        assert_eq!(related(0)["message"]["text"], "needed in the same file");
        assert_eq!(related(1)["physicalLocation"]["artifactLocation"]["uri"], "rules/orders.yaml");
    }

    #[test]
    fn counts_in_words() {
        assert_eq!(summary(&diagnostics()), "2 errors, 1 warning");
        assert_eq!(summary(&[]), "no errors");
    }
}
