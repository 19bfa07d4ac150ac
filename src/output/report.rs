//! What came of a run, as text.

use super::{
    assertions,
    forecast::forecast,
    numbers::{count, group_counts, seconds, small_groups},
    table,
};
use crate::{
    anchor::Sent,
    database::maintenance::Remains,
    ledger::RuleResult,
    plan::{OF_REQUESTS, PlannedRequest, name_of},
    run::{MaintenanceReport, PartitionReport, RecipientReport, RequestReport, RuleReport, RunReport, Traces},
};
use std::{collections::BTreeMap, fmt::Write as _};

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
        // nobody could count what cannot be planned
        if rule.table.is_some() { count(rule.remaining.values().sum()) } else { "unknown".to_owned() },
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

/// `3 held (hold 1 (2026-17) on public.customers), 5 needed by kept dependents`.
pub(super) fn remaining(rule: &RuleReport) -> String {
    let (requests, holds): (Vec<_>, Vec<_>) = rule.held_by.iter().partition(|held| held.hold == OF_REQUESTS);
    let holds = holds.into_iter().map(|held| format!("{} on {}", name_of(held.hold, &held.matter), held.table));
    let holds: Vec<_> = holds.collect();
    let holds = (!holds.is_empty()).then(|| format!("hold {}", holds.join(", ")));
    let by: Vec<_> = holds.into_iter().chain(requests.into_iter().map(|held| held.matter.clone())).collect();
    let part = |(reason, rows): (&String, &u64)| {
        let words = by_reason_and_count(reason, *rows);
        match reason.as_str() {
            HELD if !by.is_empty() => format!("{words} by {}", by.join(", ")),
            _ => words,
        }
    };
    rule.remaining.iter().map(part).collect::<Vec<_>>().join(", ")
}

/// `of the rows that were planned: 2 no longer due`; nothing where all of them went, or the rows that stay tell it.
pub(super) fn fewer(rule: &RuleReport) -> Option<String> {
    let told = rule.fewer.iter().all(|(reason, rows)| rule.remaining.get(reason) == Some(rows));
    let parts: Vec<_> = rule.fewer.iter().map(|(reason, rows)| by_reason_and_count(reason, *rows)).collect();
    (!told).then(|| format!("of the rows that were planned: {}", parts.join(", ")))
}

/// `2 no longer due`.
fn by_reason_and_count(reason: &str, rows: u64) -> String {
    format!("{} {}", count(rows), reason.replace('_', " "))
}

/// The reason of rows that a hold keeps.
const HELD: &str = "held";

/// `added up in core.public.usage_monthly: 12 groups`.
pub(super) fn added_up(rule: &RuleReport) -> Option<String> {
    let planned = rule.aggregate.as_ref()?;
    let groups = group_counts(&planned.groups, planned.at_least);
    Some(format!("added up in {}.{}: {groups}", rule.database, planned.into))
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

/// `k-anonymity (k 10): 30 rows in 4 groups, the smallest of 2; …`, and what was done about it.
pub(super) fn k_anonymity(rule: &RuleReport) -> Vec<String> {
    let Some(gate) = &rule.k_anonymity else { return Vec::new() };
    let mut lines = vec![format!("k-anonymity (k {}): {}", count(gate.k), small_groups(&gate.before))];
    lines.extend(gate.measures.iter().map(|done| format!("k-anonymity: {} rows, {}", count(done.rows), done.what)));
    match &gate.after {
        _ if gate.measures.is_empty() => {}
        Some(after) => lines.push(format!("k-anonymity: afterwards {}", small_groups(after))),
        None => lines.push("k-anonymity: nobody counted afterwards".to_owned()),
    }
    lines
}

/// `vacuum done`, or why not.
pub(super) fn maintenance(rule: &RuleReport) -> Option<String> {
    let MaintenanceReport { step, complete, message } = rule.maintenance.as_ref()?;
    Some(match (complete, message) {
        (true, _) => format!("{step} done"),
        (false, Some(why)) => format!("{step} is not through, the next run tries again: {why}"),
        (false, None) => format!("{step} is not through, the next run tries again"),
    })
}

/// One line for each recipient that told what became of work that it had accepted before.
pub fn polled(report: &RunReport) -> impl Iterator<Item = String> {
    report.polled.iter().map(|(recipient, asked)| {
        let parts = asked.answers.iter().map(|(state, persons)| by_reason_and_count(state, *persons));
        let mut line = format!("{recipient}, of work that it had accepted: {}", parts.collect::<Vec<_>>().join(", "));
        if asked.answers.contains_key("refused") {
            let _ = write!(line, "; `sunset ask-again {recipient}` gives up what it refused");
        }
        line
    })
}

/// What was done for requests of persons, one line each.
pub(super) fn requests(all: &[RequestReport]) -> impl Iterator<Item = String> {
    let rules = |rows: &BTreeMap<String, u64>| {
        rows.iter().map(|(rule, rows)| format!("{} by {rule}", count(*rows))).collect::<Vec<_>>().join(", ")
    };
    all.iter().map(move |report| {
        let mut line = format!("request {} ({}): ", report.request, report.reference);
        let done = if report.disposed.is_empty() {
            "this run did nothing for it".to_owned()
        } else {
            format!("done: {}", rules(&report.disposed))
        };
        line += &done;
        if !report.left.is_empty() {
            let _ = write!(line, "; left: {}", rules(&report.left));
        }
        if !report.waiting.is_empty() {
            let _ = write!(line, "; waiting for dependents that stay: {}", rules(&report.waiting));
        }
        if report.complete {
            line += "; nothing is left that goes before its day";
        }
        for obstacle in &report.obstacles {
            let _ = write!(line, "; {obstacle}");
        }
        if report.overdue {
            let _ = write!(line, "; it was to be answered by {}", report.due);
        }
        line
    })
}

/// What is to be done for requests of persons, one line each.
pub(super) fn planned_requests(all: &[PlannedRequest]) -> impl Iterator<Item = String> {
    all.iter().map(|planned| {
        let rows: Vec<_> = planned.rows.iter().map(|(rule, rows)| format!("{} by {rule}", count(*rows))).collect();
        let rows = if rows.is_empty() { "nothing goes before its day".to_owned() } else { rows.join(", ") };
        let obstacles: String = planned.obstacles.iter().map(|why| format!("; {why}")).collect();
        format!("request {} ({}): {rows}{obstacles}", planned.request, planned.reference)
    })
}

/// One line for each rule that was in a run and is in no file any more.
pub fn gone_rules(rules: &[String]) -> impl Iterator<Item = String> {
    rules.iter().map(|rule| {
        format!(
            "{rule}: it was in a run and is in no file any more, so that its rows stay: put it back, or add it to `retired` in \
             sunset.yaml"
        )
    })
}

/// Where bytes are, and until when, one line each.
pub(super) fn traces(all: &[Traces], title: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for (number, Traces { database, engine, after, rules, places }) in all.iter().enumerate() {
        if number == 0 {
            lines.push(String::new());
            lines.push(format!("{title}, and until when (docs/erasure.md)"));
        }
        let after = after.map(|after| format!(", after {after}")).unwrap_or_default();
        lines.push(format!("  {database} ({engine}){after}: {}", rules.join(", ")));
        lines.extend(places.iter().map(|Remains { place, until }| format!("    {place}: until {until}")));
    }
    lines
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
    let mut out = match report.rehearsal {
        Some(_) => format!("rehearsal for {:.0}: nothing was changed\n\n", report.now),
        None => format!("run {}\n\n", report.run),
    };
    out.push_str(&table(&HEAD, report.rules.iter().map(row).collect()));
    for rule in &report.rules {
        for (recipient, asked) in &rule.recipients {
            let _ = writeln!(out, "\n{}: {}", rule.rule, answers(recipient, asked));
        }
        let words = added_up(rule).into_iter().chain(partitions(rule));
        for words in words.chain(k_anonymity(rule)).chain(maintenance(rule)) {
            let _ = writeln!(out, "\n{}: {words}", rule.rule);
        }
        let left = remaining(rule);
        if !left.is_empty() {
            let _ = writeln!(out, "\n{}: rows stay: {left}", rule.rule);
        }
        if let Some(fewer) = fewer(rule) {
            let _ = writeln!(out, "\n{}: {fewer}", rule.rule);
        }
        if let Some(waited) = waited(rule) {
            let _ = writeln!(out, "\n{}: waited: {waited}", rule.rule);
        }
        if let Some(message) = &rule.message {
            let _ = writeln!(out, "\n{}: {message}", rule.rule);
        }
    }
    for words in report.rehearsal.iter().flatten() {
        let _ = writeln!(out, "\n{words}");
    }
    for line in polled(report).chain(requests(&report.requests)).chain(gone_rules(&report.gone_rules)) {
        let _ = writeln!(out, "\n{line}");
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
    if report.rehearsal.is_some() {
        let _ =
            writeln!(out, "\n{} rows would have been disposed of; all of them are still there", count(report.disposed));
        return out;
    }
    for line in traces(&report.traces, "what is left of rows that went") {
        let _ = writeln!(out, "{line}");
    }
    let _ = writeln!(
        out,
        "\n{} rows disposed of; ledger checkpoint:\n\n{}",
        count(report.disposed),
        report.checkpoint.trim_end()
    );
    for sent in &report.anchored {
        let _ = writeln!(out, "{}", anchored(sent));
    }
    out
}

/// What became of handing the checkpoint to a place outside.
pub(super) fn anchored(sent: &Sent) -> String {
    let Sent { anchor, size, message, .. } = sent;
    match message {
        None => format!("anchor `{anchor}` has the checkpoint of {} entries", count(*size)),
        Some(message) => format!("the checkpoint of {} entries was not taken: {message}", count(*size)),
    }
}
