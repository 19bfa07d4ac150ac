//! Rule files and settings as people write them: what is said about bad ones, and that editors are told the same.

use proptest::prelude::*;
use serde_json::{Value, json};
use std::{collections::BTreeMap, fs, path::Path, sync::LazyLock};
use sunset::{
    cli::SchemaKind,
    clock::period::Parameter,
    commands,
    diagnostic::{Code, Diagnostic, Severity, Sources, render_text},
    language::node::Node,
    rules::{self, RuleFile},
    settings,
};

fn fixtures(directory: &str, kind: &str) -> Vec<(String, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/fixtures").join(directory);
    let entries = fs::read_dir(path).expect("fixtures").map(|entry| entry.expect("a fixture").path());
    let mut files: Vec<_> =
        entries.filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(kind))).collect();
    files.sort();
    assert!(!files.is_empty());
    let name = |path: &Path| path.file_stem().expect("a name").to_string_lossy().into_owned();
    files.iter().map(|path| (name(path), fs::read_to_string(path).expect("a fixture"))).collect()
}

fn parameters() -> BTreeMap<String, Parameter> {
    let (flag, days) = (Parameter::Flag(true), Parameter::Days(Vec::new()));
    let year_end = Parameter::DayOfYear { month: 9, day: 30 };
    [
        ("law", &flag),
        ("data_sim_law", &flag),
        ("losses", &days),
        ("loss_fiscal_years", &days),
        ("fiscal_year_end", &year_end),
    ]
    .map(|(name, parameter)| (name.to_owned(), parameter.clone()))
    .into()
}

fn parse(source: &str) -> (Option<RuleFile>, Vec<Diagnostic>) {
    let mut diagnostics = Vec::new();
    let file = rules::parse("rules/file.yaml", source, &parameters(), &mut diagnostics);
    (file, diagnostics)
}

#[test]
fn mistakes_are_shown_where_they_are() {
    for (name, source) in fixtures("rules", "bad") {
        let (_, diagnostics) = parse(&source);
        let sources = Sources::from([("rules/file.yaml".to_owned(), source)]);
        assert!(diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error), "{name}");
        insta::assert_snapshot!(name, render_text(&diagnostics, &sources, false));
    }
}

#[test]
fn good_files_are_read_completely() {
    for (name, source) in fixtures("rules", "good") {
        let (file, diagnostics) = parse(&source);
        assert_eq!(diagnostics, [], "{name}");
        insta::assert_debug_snapshot!(name, file.expect("a rule file"));
    }
}

#[test]
fn rules_without_errors_are_returned_beside_others() {
    for (name, source) in fixtures("rules", "bad") {
        let ids: Vec<_> = parse(&source).0.iter().flat_map(|file| &file.rules).map(|rule| rule.id.clone()).collect();
        let expected: &[&str] = match name.as_str() {
            "bad-dispositions" => &["fine"],
            "bad-periods" => &["slack"],
            _ => &[],
        };
        assert_eq!(ids, expected, "{name}");
    }
}

/// What no schema can say.
const BEYOND_SCHEMA: &[Code] = &[
    Code::SecretInRules,
    Code::MissingVariable,
    Code::BadUrl,
    Code::BadPace,
    Code::PeriodOrder,
    Code::BadCondition,
    Code::UnknownParameter,
    Code::FalseDisposition,
    Code::MissingColumns,
    Code::NoFixpoint,
    Code::BadAggregate,
    Code::UnknownRecipient,
    Code::UnknownDatabase,
    Code::BadSubject,
    Code::BadRecipient,
    Code::NoPath,
    Code::NotADependent,
    Code::MarkerColumn,
    Code::KAnonymity,
    // Of these, it tells the form: not ranges that run backwards, leap years and names of zones.
    Code::BadSchedule,
    Code::BadDate,
    Code::UnknownTimeZone,
];

struct Language {
    schema: jsonschema::Validator,
    check: fn(&str) -> Vec<Diagnostic>,
}

static RULES: LazyLock<Language> = LazyLock::new(Language::rules);
static SETTINGS: LazyLock<Language> = LazyLock::new(Language::settings);

impl Language {
    fn rules() -> Self {
        Self { schema: validator(SchemaKind::Rules), check: |source| parse(source).1 }
    }

    fn settings() -> Self {
        let check = |source: &str| {
            let mut diagnostics = Vec::new();
            let lookup = |_: &settings::Variable| Some("postgres://localhost/core".to_owned());
            settings::parse(Path::new("/jobs/demo"), "sunset.yaml", source, &lookup, Severity::Error, &mut diagnostics);
            diagnostics
        };
        Self { schema: validator(SchemaKind::Settings), check }
    }

    /// What the schema refuses, the parser refuses; what the parser refuses, the schema refuses if it can.
    fn agrees(&self, value: &Value) -> Result<(), String> {
        let source = value.to_string();
        let diagnostics = (self.check)(&source);
        let errors: Vec<_> = diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).collect();
        let accepted = self.schema.is_valid(value);
        if !accepted && errors.is_empty() {
            let why: Vec<_> = self.schema.iter_errors(value).map(|error| error.to_string()).collect();
            return Err(format!("only the schema refuses {source}: {why:?}"));
        }
        match errors.iter().find(|error| !BEYOND_SCHEMA.contains(&error.code)) {
            Some(error) if accepted => Err(format!("only the parser refuses {source}: {error:?}")),
            _ => Ok(()),
        }
    }
}

fn validator(kind: SchemaKind) -> jsonschema::Validator {
    let schema: Value = serde_json::from_str(&commands::schema::run(kind)).expect("JSON");
    assert_eq!(jsonschema::meta::validate(&schema).map_err(|error| error.to_string()), Ok(()));
    jsonschema::validator_for(&schema).expect("a schema")
}

fn json_of(source: &str) -> Option<Value> {
    Some(Node::parse("", source).ok()?.to_json())
}

/// Every value of the tree, by its JSON pointer.
fn pointers(value: &Value, at: &str, all: &mut Vec<String>) {
    all.push(at.to_owned());
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| {
            pointers(value, &format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")), all);
        }),
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(index, value)| pointers(value, &format!("{at}/{index}"), all));
        }
        _ => {}
    }
}

/// The file with one mistake: a key left out, a key misspelt, a value of another type.
fn mutations(good: &Value) -> Vec<Value> {
    let mut all = Vec::new();
    pointers(good, "", &mut all);
    let others = [
        json!(null),
        json!(true),
        json!(false),
        json!(7),
        json!(-1),
        json!(0),
        json!(7.5),
        json!(1e9),
        json!("zzz"),
        json!(""),
        json!(" "),
        json!("5 years"),
        json!("erase"),
        json!([]),
        json!(["a"]),
        json!(["a", "a"]),
        json!([[]]),
        json!({}),
        json!({"a": "b"}),
        json!({"a": 1}),
        json!({"default": "1 year"}),
        json!({"mask": {"keep_first": 1}}),
    ];
    let mut mutations = Vec::new();
    let mut change = |change: &dyn Fn(&mut Value)| {
        let mut value = good.clone();
        change(&mut value);
        mutations.push(value);
    };
    for pointer in &all {
        for other in &others {
            change(&|value| *value.pointer_mut(pointer).expect("a value") = other.clone());
        }
        let Some(Value::Object(map)) = good.pointer(pointer) else { continue };
        for key in map.keys() {
            let object = |value: &mut Value| value.pointer_mut(pointer).and_then(Value::as_object_mut).cloned();
            change(&|value| {
                let mut map = object(value).expect("a map");
                map.remove(key);
                *value.pointer_mut(pointer).expect("a map") = Value::Object(map);
            });
            for wrong in [format!("{key}x"), key.to_uppercase(), String::new(), "${X}".to_owned()] {
                change(&|value| {
                    let mut map = object(value).expect("a map");
                    let inner = map.remove(key).expect("a value");
                    map.insert(wrong.clone(), inner);
                    *value.pointer_mut(pointer).expect("a map") = Value::Object(map);
                });
            }
            change(&|value| {
                let mut map = object(value).expect("a map");
                map.insert("surplus".to_owned(), json!("x"));
                *value.pointer_mut(pointer).expect("a map") = Value::Object(map);
            });
        }
    }
    mutations
}

#[test]
fn editors_and_parser_agree() {
    for (directory, language) in [("rules", &RULES), ("settings", &SETTINGS)] {
        let mut disagreements = Vec::new();
        let mut count = 0;
        for (name, source) in fixtures(directory, "") {
            let Some(value) = json_of(&source) else { continue };
            disagreements.extend(language.agrees(&value).err());
            if name.starts_with("good") {
                assert!(language.schema.is_valid(&value), "{name}");
                let mutations = mutations(&value);
                count += mutations.len();
                disagreements.extend(mutations.iter().filter_map(|value| language.agrees(value).err()));
            }
        }
        assert!(count > 500, "{count} mutations");
        assert_eq!(disagreements.iter().take(5).collect::<Vec<_>>(), Vec::<&String>::new(), "{}", disagreements.len());
    }
}

#[test]
fn a_schema_that_knew_less_would_be_noticed() {
    let mut language = Language::rules();
    language.schema = jsonschema::validator_for(&json!({})).expect("a schema");
    assert!(language.agrees(&json!({"category": "a", "rules": []})).is_err());
    language.schema = jsonschema::validator_for(&json!(false)).expect("a schema");
    let good = fixtures("rules", "good").remove(0).1;
    assert!(language.agrees(&json_of(&good).expect("YAML")).is_err());
}

fn rule(key: &str, value: &Value) -> Value {
    let mut rule = json!({
        "id": "a", "table": "core.t", "starting_point": "c", "retention_period": "1 year", "disposition": "erase",
    });
    rule[key] = value.clone();
    json!({"category": "a", "rules": [rule]})
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Texts close to what the formats take.
    #[test]
    fn formats_and_patterns_agree(
        periods in prop::collection::vec("( ?[Pp]?[0-9]{1,5} ?(years?|Y|mo|M|months|w|weeks?|[Dd]|days|h)[ ,]{0,2}(and ?)?){1,4}", 20),
        crons in prop::collection::vec("([0-9]{1,2}|\\*|[0-9]-[0-9]{1,2}|\\*/[0-9]{1,2}|[1-5]-6/2|mon|JAN|1,2)( ([0-9]{1,2}|\\*|1-12|\\*/[0-9]|sun|feb|[0-6])){3,5}", 20),
        tables in prop::collection::vec("[a-z_A-Z0-9-]{1,6}([.][a-z\"' é]{0,4}){0,4}", 20),
        shares in prop::collection::vec("[0-9]{1,3}(\\.[0-9]{0,7})? ?%?", 20),
        days in prop::collection::vec("[0-3][0-9]-[0-3][0-9]", 20),
        templates in prop::collection::vec("[a{}]{0,3}(\\{key\\})?[{}k]{0,2}", 20),
    ) {
        let agrees = |value: Value| RULES.agrees(&value).map_err(TestCaseError::fail);
        for text in &periods { agrees(rule("retention_period", &json!(text)))?; }
        for text in &crons { agrees(rule("schedule", &json!(text)))?; }
        for text in &tables { agrees(rule("table", &json!(text)))?; agrees(rule("id", &json!(text)))?; }
        for text in &shares { agrees(rule("limits", &json!({"max_share": text})))?; }
        for text in &days {
            agrees(rule("starting_point", &json!({"column": "c", "counted_from": {"fiscal_year_end": text}})))?;
        }
        for text in &templates { agrees(rule("columns", &json!({"c": {"replace": text}})))?; }
    }

    #[test]
    fn durations_and_patterns_agree(texts in prop::collection::vec("[0-9]{0,7} ?(ms|s|secs?|min|minutes?|h|hour|m|d)?", 40)) {
        for text in texts {
            let value = json!({"time_zone": "UTC", "databases": {"a": "${X}"}, "pace": {"lock_timeout": text}});
            SETTINGS.agrees(&value).map_err(TestCaseError::fail)?;
        }
    }
}
