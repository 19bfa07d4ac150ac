//! Rule files and settings: nothing breaks the reader, every mistake can be shown, and a file that is written again, as
//! JSON, means the same.

use super::Target;
use std::{collections::BTreeMap, path::Path};
use sunset::{
    diagnostic::{Diagnostic, Severity, Sources, render_json, render_sarif, render_text},
    language::node::Node,
    rules::{self, RuleFile},
    settings,
};

pub static TARGET: Target = Target {
    name: "rule_files",
    check,
    seeds: &["jobs/demo/rules", "jobs/mobile-planning/rules", "jobs/demo", "tests/it/fixtures/rules", "recipes"],
    words: &[
        "rules:",
        "- {id: a, table: core.t",
        "starting_point:",
        "retention_period: 5 years",
        "disposition: erase",
        "where:",
        "columns:",
        "dependents:",
        "recipients:",
        "when:",
        "if:",
        "use:",
        "latest:",
        "through:",
        "through: [a, b]",
        "&a ",
        "*a",
        "<<: *a",
        "!!binary",
        "|\n",
        ">-\n",
        "? ",
        "---\n",
        "...\n",
        "%YAML 1.1\n",
        "[",
        "]",
        "{",
        "}",
        "${HOME}",
        "\u{feff}",
        "0x10",
        "1e999",
        "-.inf",
        "~",
        "null",
        "'",
        "\"",
        "\\u0000",
        ": ",
        "# ",
        "\t",
        "\r\n",
        "\u{85}",
        "日本",
        "databases:",
        "time_zone: UTC",
        "keys:",
        "limits:",
        "pace:",
        "99999999999999999999 years",
        "0 days",
        "* * * * *",
    ],
};

const FILE: &str = "rules/a.yaml";

fn check(input: &[u8]) -> String {
    let Ok(text) = std::str::from_utf8(input) else { return "not UTF-8".to_owned() };
    let (read, found) = read(text);
    show(FILE, text, text, &found);
    let is_whole = !found.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
    // a key that stands twice is a mistake, and JSON has no place for it
    if is_whole && let (Some(read), Ok(node)) = (&read, Node::parse(FILE, text)) {
        let again = json(&node);
        let (other, found) = self::read(&again);
        let other = other.unwrap_or_else(|| panic!("written as JSON it cannot be read: {found:?}\n{again}"));
        assert_eq!(format!("{read:?}"), format!("{other:?}"), "written as JSON it means something else\n{again}");
    }
    settings(text);
    let mut codes: Vec<_> = found.iter().map(|diagnostic| diagnostic.code.as_str()).collect();
    codes.sort_unstable();
    codes.dedup();
    format!("{} rules {codes:?}", read.map_or(0, |file| file.rules.len()).min(1))
}

/// In the order of the file.
fn json(node: &Node) -> String {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    match node {
        Node::List(items) => format!("[{}]", items.iter().map(json).collect::<Vec<_>>().join(", ")),
        Node::Map(entries) => {
            let entry = |(key, node): &(String, Node)| format!("{}: {}", quoted(key), json(node));
            format!("{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(", "))
        }
        node => node.to_json().to_string(),
    }
}

fn read(text: &str) -> (Option<RuleFile>, Vec<Diagnostic>) {
    let mut found = Vec::new();
    let read = rules::parse(FILE, text, &BTreeMap::new(), &mut found);
    (read, found)
}

/// The same text as `sunset.yaml`.
fn settings(text: &str) {
    let mut found = Vec::new();
    let lookup = |_: &settings::Variable| None;
    settings::parse(Path::new("/jobs/demo"), "sunset.yaml", text, &lookup, Severity::Warning, &mut found);
    let shown = settings::redact(text);
    assert_eq!(shown.len(), text.len(), "what is shown instead of a secret moves what stands behind it");
    show("sunset.yaml", text, &shown, &found);
}

/// Mistakes are shown in every form.
fn show(file: &str, text: &str, shown: &str, found: &[Diagnostic]) {
    assert!(found.len() <= text.len() + 1, "more mistakes than characters: {}", found.len());
    let sources = Sources::from([(file.to_owned(), shown.to_owned())]);
    render_text(found, &sources, true);
    for rendered in [render_json(found, &sources), render_sarif(found, &sources)] {
        let lines = rendered.lines().filter(|line| !line.is_empty());
        let whole = serde_json::from_str::<serde_json::Value>(&rendered).is_ok();
        let each = || lines.map(serde_json::from_str::<serde_json::Value>).all(|line| line.is_ok());
        assert!(whole || each(), "this is no JSON: {rendered}");
    }
}
