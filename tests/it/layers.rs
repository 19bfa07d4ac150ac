//! The layers of the library: what a module imports lies below it, so that a reader who goes down never has to come up again.
//!
//! `docs/architecture.md` shows the list; `SUNSET_UPDATE_DOCS=1` writes it anew.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// From the top down: a module, and what it is for. Modules of one group do not import each other.
const LAYERS: &[&[(&str, &str)]] = &[
    &[("commands", "one file for each command: arguments in, words and an exit code out")],
    &[
        ("cli", "what may stand on the command line"),
        ("demo", "the invented company"),
        ("serve", "the server that keeps the schedules, and its pages"),
    ],
    &[("push", "hands metrics to whoever collects them"), ("sandbox", "serves the stand-ins of the recipients")],
    &[("output", "plans, reports and metrics as people and machines read them")],
    &[("run", "carries out a plan: the only layer that writes to the databases")],
    &[("standing", "how the job stands, as of its last runs")],
    &[
        ("plan", "what a run would do: reads, counts, refuses, and writes nothing"),
        ("draft", "proposes a job for a schema"),
    ],
    &[("anchor", "checkpoints that are kept outside"), ("job", "reads a job directory")],
    &[("ledger", "appends, verifies, proves and exports entries")],
    &[("store", "keeps what has to last: ledger, holds, answers of recipients, leases")],
    &[("database", "the engines: connections, catalogs, dialects, statements")],
    &[("settings", "what `sunset.yaml` means")],
    &[("recipients", "third parties, one folder for each vendor")],
    &[("rules", "what a rule file means")],
    &[
        ("anonymize", "techniques, in SQL and in Rust"),
        ("evidence", "keys, tags, Merkle trees, checkpoints, grades"),
        ("language", "how any YAML of ours is read: nodes, shapes, formats"),
    ],
    &[("clock", "periods, starting points and cut-offs: calendar arithmetic")],
    &[
        ("catalog", "a schema as data, and how the values of a column compare"),
        ("sql", "statements as data"),
        ("diagnostic", "a mistake and its place in a file"),
    ],
    &[("signals", "the signals that end a process")],
    &[
        ("failpoint", "places where a test ends the process"),
        ("file", "files that are written as a whole"),
        ("http", "a client that keeps secrets off plain connections"),
        ("outcome", "exit codes"),
        ("present", "the present time"),
        ("s3", "requests to buckets"),
    ],
];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if name.ends_with(".rs") && !["integration.rs", "tests.rs"].contains(&name.as_str()) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The code of a file without its comments and its unit tests.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let text = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    let lines = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

/// The modules of the library that a text names, as `crate::module` or in the braces of `crate::{module, …}`.
fn imported(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for after in code.split("crate::").skip(1) {
        let Some(list) = after.strip_prefix('{') else {
            found.push(word(after));
            continue;
        };
        let (mut depth, mut start) = (0, 0);
        for (at, character) in list.char_indices() {
            match character {
                '{' => depth += 1,
                ',' if depth == 0 => {
                    found.push(word(&list[start..at]));
                    start = at + 1;
                }
                '}' if depth == 0 => {
                    found.push(word(&list[start..at]));
                    break;
                }
                '}' => depth -= 1,
                _ => {}
            }
        }
    }
    found.retain(|name| !name.is_empty());
    found
}

fn word(text: &str) -> String {
    text.trim_start().chars().take_while(|character| character.is_alphanumeric() || *character == '_').collect()
}

#[test]
fn braces_and_paths_are_read() {
    let code = "use crate::{a::{b, c}, d, e as f,\n};\nuse crate::g::h;\nlet x = crate::i();";
    assert_eq!(imported(code), ["a", "d", "e", "g", "i"]);
}

#[test]
fn imports_point_down() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let depth: BTreeMap<_, _> = LAYERS
        .iter()
        .enumerate()
        .flat_map(|(depth, group)| group.iter().map(move |(name, _)| (*name, depth)))
        .collect();
    let mut upwards = Vec::new();
    let mut arrows = 0;
    for path in sources(&source) {
        let place = path.strip_prefix(&source).unwrap();
        let own = place.iter().next().unwrap().to_string_lossy().replace(".rs", "");
        if ["lib", "main"].contains(&own.as_str()) {
            continue;
        }
        let own_depth = depth.get(own.as_str()).unwrap_or_else(|| panic!("the list of layers has no `{own}`"));
        for name in imported(&code(&path)) {
            if name == own {
                continue;
            }
            arrows += 1;
            let is_lower = depth.get(name.as_str()).is_none_or(|other| other > own_depth);
            if !is_lower {
                upwards.push(format!("{} imports {name}", place.display()));
            }
        }
    }
    assert!(arrows > 500, "only {arrows} imports were found");
    assert_eq!(upwards, [""; 0]);
}

#[test]
fn the_page_shows_the_layers() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/architecture.md");
    let text = fs::read_to_string(&page).unwrap();
    let (begin, end) = ("<!-- layers -->\n", "<!-- /layers -->\n");
    let (before, rest) = text.split_once(begin).unwrap();
    let (_, after) = rest.split_once(end).unwrap();
    let rows = LAYERS.iter().flat_map(|group| {
        group.iter().enumerate().map(|(at, (name, purpose))| {
            let mark = if at == 0 { "" } else { "beside it: " };
            format!("- {mark}`{name}`: {purpose}\n")
        })
    });
    let wanted = format!("{before}{begin}{}{end}{after}", rows.collect::<String>());
    if std::env::var_os("SUNSET_UPDATE_DOCS").is_some() {
        fs::write(&page, &wanted).unwrap();
    } else {
        assert!(text == wanted, "docs/architecture.md is out of date: run the tests with SUNSET_UPDATE_DOCS=1");
    }
}
