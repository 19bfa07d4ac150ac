//! The lives of categories, as text.

use crate::plan::{Act, Timeline};
use std::fmt::Write as _;

pub fn text(timeline: &Timeline) -> String {
    let mut text = format!("rows whose time begins on {} ({})\n", timeline.starting_day, timeline.time_zone);
    for life in &timeline.categories {
        let title = life.title.get("en").map(|title| format!(": {title}")).unwrap_or_default();
        let _ = writeln!(text, "\n{}{title}", life.category);
        for act in &life.acts {
            let _ = writeln!(text, "  {}  {}", act.due, sentence(act));
            for line in details(act) {
                let _ = writeln!(text, "              {line}");
            }
        }
    }
    text
}

/// What happens on the day.
fn sentence(act: &Act) -> String {
    let some = if act.conditional { "some rows of " } else { "" };
    let late = act.overdue.map(|day| format!("; late from {day} on")).unwrap_or_default();
    format!(
        "{} {some}{} ({}, {} after {}{late})",
        act.disposition, act.table, act.rule, act.retention_period, act.starting_point
    )
}

fn details(act: &Act) -> Vec<String> {
    let listed = |map: &std::collections::BTreeMap<String, String>, separator: &str| {
        map.iter().map(|(name, what)| format!("{name}{separator}{what}")).collect::<Vec<_>>().join(", ")
    };
    let mut lines = Vec::new();
    if !act.recipients.is_empty() {
        lines.push(format!("asked before: {}", act.recipients.join(", ")));
    }
    if !act.columns.is_empty() {
        lines.push(listed(&act.columns, ": "));
    }
    if !act.dependents.is_empty() {
        lines.push(format!("along: {}", listed(&act.dependents, " ")));
    }
    lines
}
