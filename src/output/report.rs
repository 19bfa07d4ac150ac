//! What came of a run, as text.

use super::{
    numbers::{count, seconds},
    table,
};
use crate::{
    ledger::RuleResult,
    run::{PartitionReport, RecipientReport, RuleReport, RunReport},
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
    }
}

/// `3 held, 5 needed by kept dependents`.
pub(super) fn remaining(rule: &RuleReport) -> String {
    let parts: Vec<_> =
        rule.remaining.iter().map(|(reason, rows)| format!("{} {}", count(*rows), reason.replace('_', " "))).collect();
    parts.join(", ")
}

/// `partitions went whole: p2001 (1,234 rows), p2002 (12 rows)`, and why others did not.
pub(super) fn partitions(rule: &RuleReport) -> Vec<String> {
    let went = rule.partitions.iter().map(|PartitionReport { name, rows }| format!("{name} ({} rows)", count(*rows)));
    let went: Vec<_> = went.collect();
    let went = (!went.is_empty()).then(|| format!("partitions went whole: {}", went.join(", ")));
    let stayed = rule.partitions_by_rows.iter();
    let stayed = stayed.map(|(name, why)| format!("rows of partition {name} went one by one: {why}"));
    went.into_iter().chain(stayed).collect()
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
        for words in partitions(rule) {
            let _ = writeln!(out, "\n{}: {words}", rule.rule);
        }
        let left = remaining(rule);
        if !left.is_empty() {
            let _ = writeln!(out, "\n{}: rows stay: {left}", rule.rule);
        }
        if let Some(message) = &rule.message {
            let _ = writeln!(out, "\n{}: {message}", rule.rule);
        }
    }
    let _ = writeln!(
        out,
        "\n{} rows disposed of; ledger checkpoint:\n\n{}",
        count(report.disposed),
        report.checkpoint.trim_end()
    );
    out
}
