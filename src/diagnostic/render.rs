//! Diagnostics as text the way rustc does, as JSON lines, and as SARIF for a pull request.
//!
//! What users wrote is quoted in all three. In the text for terminals, characters that could steer a terminal or turn
//! the direction of writing are replaced.

use super::{Code, Diagnostic, Places, Severity, Sources};
use annotate_snippets::{Annotation, AnnotationKind, Level, Renderer, Snippet};
use serde_json::{Value, json};
use std::{borrow::Cow, collections::BTreeMap, fmt::Write, ops::Range};

impl Severity {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// The files that were read; any other one is empty.
struct Files<'a> {
    read: BTreeMap<&'a str, Places<'a>>,
    empty: Places<'a>,
}

impl<'a> Files<'a> {
    fn of(sources: &'a Sources) -> Self {
        let read = sources.iter().map(|(file, source)| (file.as_str(), Places::of(source))).collect();
        Self { read, empty: Places::of("") }
    }

    fn get(&self, file: Option<&str>) -> &Places<'a> {
        file.and_then(|file| self.read.get(file)).unwrap_or(&self.empty)
    }
}

/// A diagnostic with its place worked out.
struct Located<'a> {
    diagnostic: &'a Diagnostic,
    file: Option<&'a str>,
    /// Those of an empty text when the file was not read.
    places: &'a Places<'a>,
    range: Range<usize>,
    also: Option<Also<'a>>,
}

/// A further place, worked out too.
struct Also<'a> {
    file: &'a str,
    places: &'a Places<'a>,
    range: Range<usize>,
    label: &'a str,
}

/// In the order of files and positions.
fn located<'a>(diagnostics: &'a [Diagnostic], files: &'a Files<'a>) -> Vec<Located<'a>> {
    let locate = |diagnostic: &'a Diagnostic| {
        let file = diagnostic.place.as_ref().map(|place| place.file.as_str());
        let places = files.get(file);
        let range = diagnostic.place.as_ref().map_or(0..0, |place| places.locate(&place.spot));
        let also = diagnostic.also.as_ref().map(|(place, label)| {
            let places = files.get(Some(&place.file));
            Also { file: &place.file, places, range: places.locate(&place.spot), label }
        });
        Located { diagnostic, file, places, range, also }
    };
    let mut all: Vec<_> = diagnostics.iter().map(locate).collect();
    all.sort_by(|a, b| {
        let key = |located: &Located<'a>| (located.file, located.range.start, located.diagnostic.code);
        key(a).cmp(&key(b))
    });
    all
}

/// The lines of a file that annotations underline. The renderer reads all that it is given, so it gets these alone.
fn snippet<'a>(
    file: &str,
    places: &'a Places<'a>,
    annotations: Vec<(AnnotationKind, Range<usize>, String)>,
) -> Snippet<'a, Annotation<'a>> {
    let ranges = || annotations.iter().map(|(_, range, _)| range);
    let whole =
        ranges().map(|range| range.start).min().unwrap_or(0)..ranges().map(|range| range.end).max().unwrap_or(0);
    let (number, lines) = places.lines(&whole);
    let snippet =
        Snippet::source(harmless_source(&places.source()[lines.clone()])).path(harmless(file)).line_start(number);
    snippet.annotations(annotations.into_iter().map(|(kind, range, label)| {
        let range = range.start - lines.start..range.end - lines.start;
        kind.span(range).label((!label.is_empty()).then_some(label))
    }))
}

/// Nobody reads more in one go: four hundred rules that all claim the same rows are 79,800 errors.
const MOST_IN_TEXT: usize = 5_000;

/// As rustc would print it, each with the line of its file, and a [`summary`] at the end; nothing when there are none.
pub fn render_text(diagnostics: &[Diagnostic], sources: &Sources, colour: bool) -> String {
    if diagnostics.is_empty() {
        return String::new();
    }
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    let mut text = String::new();
    let files = Files::of(sources);
    let shown = diagnostics.len().min(MOST_IN_TEXT);
    for Located { diagnostic, file, places, range, also } in located(&diagnostics[..shown], &files) {
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
        let further = |also: Also| (AnnotationKind::Context, also.range, harmless(also.label));
        match file {
            Some(file) if range.is_empty() && range.start == 0 => {
                group = group.element(annotate_snippets::Origin::path(harmless(file)));
            }
            Some(file) => {
                let primary = [(AnnotationKind::Primary, range, label)];
                let annotations = primary.into_iter().chain(also_here.map(further)).collect();
                group = group.element(snippet(file, places, annotations));
            }
            None => {}
        }
        if let Some(also) = also_elsewhere {
            group = group.element(snippet(also.file, also.places, vec![further(also)]));
        }
        group = group.elements(help.map(|help| Level::HELP.message(help)));
        let _ = writeln!(text, "{}\n", renderer.render(&[group]));
    }
    if shown < diagnostics.len() {
        let _ = writeln!(text, "{shown} are shown; `--format json` shows all\n");
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
    let files = Files::of(sources);
    for found in located(diagnostics, &files) {
        let Located { diagnostic, file, places, range, also } = &found;
        let ends = |places: &Places, range: &Range<usize>| match places.source().is_empty() {
            true => [[Value::Null, Value::Null], [Value::Null, Value::Null]],
            false => [range.start, range.end].map(|index| places.position(index).map(Value::from)),
        };
        let [[line, column], [end_line, end_column]] = ends(places, range);
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
            let [[line, column], [end_line, end_column]] = ends(also.places, &also.range);
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
        let Located { diagnostic, file, places, range, also } = found;
        let detail = [Some(diagnostic.label.as_str()).filter(|label| !label.is_empty()), diagnostic.help.as_deref()];
        let text =
            [Some(diagnostic.message.as_str())].into_iter().chain(detail).flatten().collect::<Vec<_>>().join("\n");
        let mut result = json!({
            "ruleId": diagnostic.code.as_str(),
            "ruleIndex": Code::ALL.iter().position(|code| *code == diagnostic.code),
            "level": diagnostic.severity.as_str(),
            "message": { "text": text },
        });
        let physical = |file: &str, places: &Places, range: &Range<usize>| {
            let mut place = json!({ "artifactLocation": { "uri": uri(file) } });
            if !places.source().is_empty() {
                let [line, column] = places.position(range.start);
                let [end_line, end_column] = places.position(range.end);
                place["region"] =
                    json!({ "startLine": line, "startColumn": column, "endLine": end_line, "endColumn": end_column });
            }
            place
        };
        if let Some(file) = file {
            result["locations"] = json!([{ "physicalLocation": physical(file, places, &range) }]);
        }
        if let Some(also) = also {
            let place = physical(also.file, also.places, &also.range);
            result["relatedLocations"] = json!([{ "physicalLocation": place, "message": { "text": also.label } }]);
        }
        result
    };
    let files = Files::of(sources);
    let results: Vec<_> = located(diagnostics, &files).into_iter().map(result).collect();
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
    fn thousands_of_mistakes_in_one_file_are_shown() {
        let rule = |number: usize| format!("  - id: r{number}\n    tabel: core.customers # 顧客\n    period: 6m\n");
        let text = format!("rules:\n{}", (0..2000).map(rule).collect::<String>());
        let sources = Sources::from([("a.yaml".to_owned(), text)]);
        let wrong = |number: usize| {
            let rule = Place::root("a.yaml").key("rules").item(number);
            [
                Diagnostic::error(Code::UnknownKey, rule.key("tabel").name(), "a"),
                Diagnostic::error(Code::BadPeriod, rule.key("period"), "b").also(rule.key("id"), "c"),
            ]
        };
        let diagnostics: Vec<_> = (0..2000).flat_map(wrong).collect();
        let text = render_text(&diagnostics, &sources, false);
        assert!(
            text.contains("--> a.yaml:6001:13") && text.ends_with("4000 errors\n"),
            "{}",
            &text[text.len() - 500..]
        );
        let last: Value = serde_json::from_str(render_json(&diagnostics, &sources).lines().last().unwrap()).unwrap();
        assert_eq!(last["line"], 6001);
        assert_eq!(last["also"]["line"], 5999);
    }

    #[test]
    fn a_text_ends_and_says_so() {
        let found = (0..MOST_IN_TEXT + 7).map(|_| Diagnostic::warning(Code::UnknownKey, Place::file("a.yaml"), "a"));
        let text = render_text(&found.collect::<Vec<_>>(), &Sources::new(), false);
        assert_eq!(text.matches("warning[").count(), MOST_IN_TEXT);
        assert!(text.ends_with("5000 are shown; `--format json` shows all\n\n5007 warnings\n"));
    }

    #[test]
    fn counts_in_words() {
        assert_eq!(summary(&diagnostics()), "2 errors, 1 warning");
        assert_eq!(summary(&[]), "no errors");
    }
}
