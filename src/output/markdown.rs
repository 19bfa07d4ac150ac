//! Plans and reports as Markdown, for pull requests and minutes.

use super::{
    PlanStyle,
    assertions::lines,
    forecast::forecast,
    numbers::count,
    plan::{self, asked, due, found_by, sent, stay, time},
    report as text,
};
use crate::{
    plan::{CheckedAssertion, Plan},
    run::{RunReport, Traces},
};
use std::fmt::Write as _;

/// A cell's text: pipes and line breaks would end it.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace(['\n', '\r'], " ")
}

pub(super) fn table(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut out = format!("| {} |\n|{}\n", head.join(" | "), " --- |".repeat(head.len()));
    for row in rows {
        let cells: Vec<_> = row.iter().map(|text| cell(text)).collect();
        let _ = writeln!(out, "| {} |", cells.join(" | "));
    }
    out
}

fn assertions(out: &mut String, checked: &[CheckedAssertion]) {
    if !checked.is_empty() {
        out.push_str("\n## Assertions\n\n");
    }
    for line in lines(checked) {
        let _ = writeln!(out, "- {}", cell(&line));
    }
}

pub(super) fn plan(plan: &Plan, style: PlanStyle) -> String {
    let mut out = format!("# Plan of {} for {}\n\n", plan.job, time(plan));
    out.push_str(&table(&plan::HEAD, plan.steps.iter().map(plan::row)));
    for step in plan.steps.iter().filter(|_| !style.brief) {
        let _ = writeln!(out, "\n## {}\n", step.rule);
        let mut item = |name: &str, text: &str| {
            let _ = writeln!(out, "- **{name}**: {text}");
        };
        item("what", &format!("{} rows of `{}`", step.disposition, step.full_table()));
        item("starts", &step.cut_off.starting_point);
        item("cut-off", &step.cut_off.words);
        item("due", &due(step));
        if let Some(oldest) = &step.counts.oldest_due {
            item("oldest due", oldest);
        }
        for (column, technique) in &step.techniques {
            item("column", &format!("`{column}`: {technique}"));
        }
        for dependent in &step.dependents {
            let rows = dependent
                .rows
                .map_or_else(|| "kept".to_owned(), |rows| format!("{} {}", dependent.action, count(rows)));
            item("along", &format!("`{}`: {rows} (through {})", dependent.table, dependent.through));
        }
        for recipient in &step.recipients {
            item("asked first", &format!("{}. It {}.", asked(recipient), sent(recipient)));
            if let Some(members) = &recipient.members {
                item("asked first", &format!("{} {}.", recipient.name, stay(members)));
            }
        }
        for text in plan::k_anonymity(step) {
            item("k-anonymity", &text);
        }
        for hold in plan::holds(step) {
            item("hold", &hold);
        }
        for text in step.aggregate.iter().flat_map(|planned| plan::added_up(planned, &step.database)) {
            item("added up", &text);
        }
        item("found by", &found_by(step));
        for text in plan::partitions(step) {
            item("partitions", &text);
        }
        for missing in &step.missing_indexes {
            item("index", &format!("`{}` would help: {}", missing.sql, missing.why));
        }
        for warning in &step.warnings {
            item("warning", warning);
        }
        for refusal in &step.refusals {
            item("refused", refusal);
        }
        if style.sql {
            for (purpose, statements) in plan::partition_statements(step) {
                let _ = writeln!(out, "\n{purpose}:\n\n```sql\n{}\n```", statements.join(";\n"));
            }
            for statement in &step.statements {
                let _ = writeln!(out, "\n{}:\n\n```sql\n{}\n```", statement.purpose, statement.sql);
            }
        }
    }
    if !plan.pace.is_empty() {
        out.push_str("\n## Pace\n\n");
    }
    for line in &plan.pace {
        let _ = writeln!(out, "- {}", cell(line));
    }
    assertions(&mut out, &plan.assertions);
    for line in text::planned_requests(&plan.requests).chain(text::gone_rules(&plan.gone_rules)) {
        let _ = writeln!(out, "\n{}", cell(&line));
    }
    for unplanned in &plan.unplanned {
        let _ = writeln!(out, "\n**Not planned**: {} ({})", unplanned.rules.join(", "), cell(&unplanned.reason));
    }
    for refusal in &plan.refusals {
        let _ = writeln!(out, "\n**Refused**: {refusal}");
    }
    if !style.brief {
        out.push_str(&traces(&plan::traces(plan), "What would be left of rows that go"));
    }
    let _ = writeln!(out, "\nDigest `{}`", plan.digest);
    out
}

fn traces(all: &[Traces], title: &str) -> String {
    let lines = text::traces(all, title);
    if lines.is_empty() { String::new() } else { format!("\n```text{}\n```\n", lines.join("\n")) }
}

pub(super) fn report(report: &RunReport) -> String {
    let mut out = match report.rehearsal {
        Some(_) => format!("# Rehearsal for {:.0}: nothing was changed\n\n", report.now),
        None => format!("# Run {}\n\n", report.run),
    };
    out.push_str(&table(&text::HEAD, report.rules.iter().map(text::row)));
    for rule in &report.rules {
        let words = text::added_up(rule).into_iter().chain(text::partitions(rule));
        for words in words.chain(text::k_anonymity(rule)).chain(text::maintenance(rule)) {
            let _ = writeln!(out, "\n- `{}`: {}", rule.rule, cell(&words));
        }
        let left = text::remaining(rule);
        if !left.is_empty() {
            let _ = writeln!(out, "\n- `{}`: rows stay: {left}", rule.rule);
        }
        if let Some(fewer) = text::fewer(rule) {
            let _ = writeln!(out, "\n- `{}`: {fewer}", rule.rule);
        }
        if let Some(waited) = text::waited(rule) {
            let _ = writeln!(out, "\n- `{}`: waited: {waited}", rule.rule);
        }
        if let Some(message) = &rule.message {
            let _ = writeln!(out, "\n- `{}`: {}", rule.rule, cell(message));
        }
    }
    for words in report.rehearsal.iter().flatten() {
        let _ = writeln!(out, "\n- {}", cell(words));
    }
    let asked_for = text::requests(&report.requests);
    for line in text::polled(report).chain(asked_for).chain(text::gone_rules(&report.gone_rules)) {
        let _ = writeln!(out, "\n- {}", cell(&line));
    }
    assertions(&mut out, &report.assertions);
    if let Some(left) = &report.backlog {
        let _ = writeln!(out, "\n{}", cell(&forecast(left)));
    }
    if report.rehearsal.is_some() {
        let _ = writeln!(out, "\n{} rows would have been disposed of.", count(report.disposed));
        return out;
    }
    out.push_str(&traces(&report.traces, "What is left of rows that went"));
    let _ =
        writeln!(out, "\n{} rows disposed of.\n\n```\n{}\n```", count(report.disposed), report.checkpoint.trim_end());
    for sent in &report.anchored {
        let _ = writeln!(out, "\n{}", cell(&text::anchored(sent)));
    }
    out
}
