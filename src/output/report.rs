//! What came of a run, as text.

use super::{
    assertions,
    forecast::forecast,
    numbers::{count, seconds},
    table,
};
use crate::{
    ledger::RuleResult,
    run::{RecipientReport, RuleReport, RunReport},
};
use std::fmt::Write as _;

pub(super) const HEAD: [&str; 7] = ["rule", "table", "result", "disposed", "along", "left", "took"];

pub(super) fn row(rule: &RuleReport) -> Vec<String> {
    #[expect(clippy::cast_precision_loss, reason = "a duration")]
    let took = rule.milliseconds as f64 / 1000.0;
    vec![
        rule.rule.clone(),
        rule.table.as_ref().map_or_else(|| rule.database.clone(), |table| format!("{}.{}", rule.database, table.name)),
        result(rule.result).to_owned(),
        count(rule.disposed),
        count(rule.dependents.values().sum()),
        count(rule.remaining.values().sum()),
        seconds(took),
    ]
}

/// A rule's result in words.
pub fn result(result: RuleResult) -> &'static str {
    match result {
        RuleResult::Done => "done",
        RuleResult::NothingDue => "nothing due",
        RuleResult::ExplainedRest => "explained rest",
        RuleResult::Refused => "refused",
        RuleResult::Failed => "failed",
        RuleResult::Temporary => "try again",
        RuleResult::Backlog => "backlog",
    }
}

/// `3 held, 5 needed by kept dependents`.
pub(super) fn remaining(rule: &RuleReport) -> String {
    let parts: Vec<_> =
        rule.remaining.iter().map(|(reason, rows)| format!("{} {}", count(*rows), reason.replace('_', " "))).collect();
    parts.join(", ")
}

/// `10.0 s replica lag, 2.0 s load`; nothing where nothing was waited for.
pub(super) fn waited(rule: &RuleReport) -> Option<String> {
    #[expect(clippy::cast_precision_loss, reason = "a duration")]
    let part = |(throttle, milliseconds): (&String, &u64)| {
        format!("{} {}", seconds(*milliseconds as f64 / 1000.0), throttle.replace('_', " "))
    };
    let parts: Vec<_> = rule.waited.iter().map(part).collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// `stripe about 12 persons: 10 confirmed, 2 gone`.
pub(super) fn answers(recipient: &str, report: &RecipientReport) -> String {
    let parts: Vec<_> = report
        .answers
        .iter()
        .map(|(state, number)| format!("{} {}", count(*number), state.replace('_', " ")))
        .collect();
    match report.asked {
        0 => format!("{recipient}, asked about nobody: {}", parts.join(", ")),
        asked => format!("{recipient}, asked about {} persons: {}", count(asked), parts.join(", ")),
    }
}

pub(super) fn text(report: &RunReport) -> String {
    let mut out = format!("run {}\n\n", report.run);
    out.push_str(&table(&HEAD, report.rules.iter().map(row).collect()));
    for rule in &report.rules {
        for (recipient, asked) in &rule.recipients {
            let _ = writeln!(out, "\n{}: {}", rule.rule, answers(recipient, asked));
        }
        let left = remaining(rule);
        if !left.is_empty() {
            let _ = writeln!(out, "\n{}: rows stay: {left}", rule.rule);
        }
        if let Some(waited) = waited(rule) {
            let _ = writeln!(out, "\n{}: waited: {waited}", rule.rule);
        }
        if let Some(message) = &rule.message {
            let _ = writeln!(out, "\n{}: {message}", rule.rule);
        }
    }
    if !report.assertions.is_empty() {
        out.push('\n');
    }
    for line in assertions::lines(&report.assertions) {
        let _ = writeln!(out, "assertion {line}");
    }
    if let Some(left) = &report.backlog {
        let _ = writeln!(out, "\n{}", forecast(left));
    }
    if let Some(group) = &report.group {
        let _ = writeln!(
            out,
            "\ngroup {}: {} processes have ended, {} rows disposed of together: {}",
            group.name,
            count(group.processes),
            count(group.disposed),
            format!("{:?}", group.outcome).to_lowercase(),
        );
    }
    let _ = writeln!(
        out,
        "\n{} rows disposed of; ledger checkpoint:\n\n{}",
        count(report.disposed),
        report.checkpoint.trim_end()
    );
    out
}
