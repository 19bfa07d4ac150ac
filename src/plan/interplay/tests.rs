//! What the files alone tell, pair by pair.

use super::check;
use crate::{
    diagnostic::{Code, Severity},
    job,
};
use std::fs;

/// The codes that two rules of one table get, each given as its starting point, period and the rest.
fn found(parameters: &str, first: [&str; 3], second: [&str; 3]) -> Vec<Code> {
    let directory = tempfile::Builder::new().prefix("job").tempdir().expect("a directory");
    let rule = |id: &str, [start, period, rest]: [&str; 3]| {
        format!("  - {{id: {id}, table: core.t, starting_point: {start}, retention_period: {period}, {rest}}}\n")
    };
    let rules = format!("category: c\nrules:\n{}{}", rule("first", first), rule("second", second));
    fs::create_dir(directory.path().join("rules")).expect("a directory");
    fs::write(directory.path().join("rules/c.yaml"), rules).expect("a file");
    let settings = format!(
        "time_zone: Asia/Tokyo\ndatabases: {{core: \"sqlite:core.db\"}}\nparameters: {{unused: true, {parameters}}}\n"
    );
    fs::write(directory.path().join("sunset.yaml"), settings).expect("a file");
    let job = job::load(directory.path(), Severity::Error).expect("a job");
    let wrong: Vec<_> = job.diagnostics.iter().filter(|found| found.severity == Severity::Error).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
    check(&job).into_iter().map(|diagnostic| diagnostic.code).collect()
}

const ERASE: &str = "disposition: erase";
const BLANK: &str = "disposition: anonymize, columns: {ended: suppress}";

#[test]
fn periods_are_compared_day_by_day() {
    let pair = |writer: &str, reader: &str| found("", ["ended", writer, BLANK], ["ended", reader, ERASE]);
    for (writer, reader, conflict) in [
        ("1 year", "5 years", true),
        ("5 years", "1 year", false),
        ("1 year", "1 year", false),
        // February is shorter than thirty days, and no month is longer than 31
        ("30 days", "1 month", true),
        ("31 days", "1 month", false),
        ("1 month", "28 days", false),
        ("1 month", "29 days", true),
        ("12 months", "1 year", false),
        ("365 days", "1 year", true),
        ("366 days", "1 year", false),
    ] {
        let expected = if conflict { vec![Code::RuleDestroys] } else { Vec::new() };
        assert_eq!(pair(writer, reader), expected, "{writer} before {reader}");
    }
}

#[test]
fn switches_and_anchors_count() {
    let default = "5 years";
    let loss = "{default: 5 years, when: [{if: {fiscal_year_ending_in: years}, use: 10 years}]}";
    let erase = |period| ["{column: ended, counted_from: {fiscal_year_end: 03-31}}", period, ERASE];
    let blank = |period| ["{column: ended, counted_from: {fiscal_year_end: 03-31}}", period, BLANK];
    let years = "years: [1999-03-31]";
    assert_eq!(found(years, blank(default), erase(default)), []);
    assert_eq!(found(years, blank(default), erase(loss)), [Code::RuleDestroys]);
    assert_eq!(found(years, blank(loss), erase(default)), []);
    assert_eq!(found("years: []", blank(default), erase(loss)), []);
    let law = "{default: 1 year, when: [{if: law, use: 9 years}]}";
    assert_eq!(found("law: true", ["ended", default, BLANK], ["ended", law, ERASE]), [Code::RuleDestroys]);
    assert_eq!(found("law: false", ["ended", default, BLANK], ["ended", law, ERASE]), []);
    // counted from the end of the year it is due later
    let year_end = ["{column: ended, counted_from: calendar_year_end}", "1 year", ERASE];
    assert_eq!(found("", ["ended", "1 year", BLANK], year_end), [Code::RuleDestroys]);
    assert_eq!(found("", ["ended", "2 years", BLANK], year_end), []);
}

#[test]
fn a_rounded_day_is_harmless_where_it_is_due_on_the_same_day() {
    let trim = |unit: &str| format!("disposition: anonymize, columns: {{ended: {{generalize: {unit}}}}}");
    let pair = |unit: &str, start: &str| found("", ["ended", "1 year", &trim(unit)], [start, "5 years", ERASE]);
    assert_eq!(pair("year", "ended"), [Code::RuleDestroys]);
    assert_eq!(pair("month", "ended"), [Code::RuleDestroys]);
    assert_eq!(pair("month", "{column: ended, counted_from: month_end}"), []);
    assert_eq!(pair("year", "{column: ended, counted_from: month_end}"), [Code::RuleDestroys]);
    assert_eq!(pair("year", "{column: ended, counted_from: calendar_year_end}"), []);
    assert_eq!(pair("month", "{column: ended, counted_from: {fiscal_year_end: 03-31, plus: 2 months}}"), []);
    assert_eq!(pair("year", "{column: ended, counted_from: {fiscal_year_end: 03-31}}"), [Code::RuleDestroys]);
    assert_eq!(pair("decade", "{column: ended, counted_from: calendar_year_end}"), [Code::RuleDestroys]);
    // days of another zone
    let zone = "{column: ended, zone: UTC, counted_from: calendar_year_end}";
    assert_eq!(pair("year", zone), [Code::RuleDestroys]);
}

#[test]
fn other_days_and_rows_without_one_are_in_no_order() {
    assert_eq!(found("", ["created", "9 years", BLANK], ["ended", "1 year", ERASE]), [Code::RuleDestroys]);
    let at_once = "{column: ended, missing: due}";
    let blank = "disposition: anonymize, columns: {status: suppress}";
    let asks = "where: {status: closed}, disposition: erase";
    assert_eq!(found("", [at_once, "9 years", blank], ["ended", "1 year", asks]), [Code::RuleDestroys]);
    assert_eq!(found("", ["ended", "9 years", blank], ["ended", "1 year", asks]), []);
}

#[test]
fn conditions_that_exclude_each_other_meet_nowhere() {
    let blank = |condition: &str| format!("where: {{{condition}}}, {BLANK}");
    let erase = |condition: &str| format!("where: {{{condition}}}, {ERASE}");
    let pair = |a: &str, b: &str| found("", ["ended", "1 year", &blank(a)], ["ended", "5 years", &erase(b)]);
    assert_eq!(pair("status: open", "status: closed"), []);
    assert_eq!(pair("status: [open, closed]", "status: closed"), [Code::RuleDestroys]);
    assert_eq!(pair("country: JP", "status: closed"), [Code::RuleDestroys]);
    // the database has to say whether these are one word
    assert_eq!(pair("status: CLOSED", "status: closed"), []);
}

#[test]
fn who_erases_first_leaves_nothing_to_the_other() {
    let blank = "disposition: anonymize, columns: {name: suppress}";
    assert_eq!(found("", ["ended", "1 year", ERASE], ["ended", "5 years", blank]), []);
    assert_eq!(found("", ["ended", "5 years", ERASE], ["ended", "1 year", blank]), []);
    assert_eq!(found("", ["created", "5 years", ERASE], ["ended", "1 year", blank]), []);
    assert_eq!(found("", ["ended", "1 year", ERASE], ["created", "9 years", ERASE]), [Code::OverlappingRules]);
}

#[test]
fn totals_and_copies_need_their_columns() {
    let adds = "disposition: erase, aggregate: {into: core.totals, by: {month: {month: used}, plan: plan}, totals: {mb: {sum: mb}}, \
                smallest_group: {persons: person, at_least: 2, counted_in: persons}}";
    let pair = |columns: &str| {
        let change = format!("disposition: anonymize, columns: {{{columns}}}");
        found("", ["ended", "1 year", &change], ["ended", "2 years", adds])
    };
    assert_eq!(pair("mb: suppress"), [Code::RuleDestroys]);
    assert_eq!(pair("plan: suppress"), [Code::RuleDestroys]);
    assert_eq!(pair("person: suppress"), [Code::RuleDestroys]);
    assert_eq!(pair("used: {generalize: year}"), [Code::RuleDestroys]);
    assert_eq!(pair("used: {generalize: month}"), []);
    assert_eq!(pair("other: suppress"), []);
    let copies = "disposition: anonymize, columns: {other: suppress, kept: {copy: seen}}";
    let blank = "disposition: anonymize, columns: {seen: suppress}";
    assert_eq!(found("", ["ended", "1 year", blank], ["ended", "2 years", copies]), [Code::RuleDestroys]);
    assert_eq!(found("", ["ended", "2 years", blank], ["ended", "1 year", copies]), []);
}

#[test]
fn numbers_are_compared_where_their_bounds_allow_it() {
    let code = |technique: &str| format!("disposition: anonymize, columns: {{age: {technique}}}");
    let asks = |test: &str| format!("where: {{age: {test}}}, disposition: erase");
    let pair = |technique: &str, test: &str| {
        found("", ["ended", "1 year", &code(technique)], ["ended", "5 years", &asks(test)]).is_empty()
    };
    assert!(pair("{top_code: 90}", "{less_than: 90}") && pair("{top_code: 90}", "{at_least: 90}"));
    assert!(!pair("{top_code: 90}", "{more_than: 90}") && !pair("{top_code: 90}", "{at_most: 100}"));
    assert!(pair("{top_code: 90}", "[3, 4]") && !pair("{top_code: 90}", "[90]"));
    assert!(pair("{bottom_code: 5}", "{at_most: 5}") && !pair("{bottom_code: 5}", "{less_than: 5}"));
    assert!(pair("{generalize: {bucket: 10}}", "{less_than: 20}"));
    assert!(
        !pair("{generalize: {bucket: 10}}", "{less_than: 25}") && !pair("{generalize: {bucket: 10}}", "{at_most: 20}")
    );
    assert!(pair("{generalize: {bucket: 10}}", "{at_least: 30}") && !pair("suppress", "{at_least: 30}"));
}
