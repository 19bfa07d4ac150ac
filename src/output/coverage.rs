//! What `sunset coverage` found, as text and Markdown.

use super::{markdown, table};
use crate::plan::{Accepted, Coverage, Finding, TableGap};
use std::fmt::Write as _;

const HEAD: [&str; 3] = ["where", "what", "why"];
const ACCEPTED: [&str; 4] = ["accepted", "reason", "owner", "until"];

/// One row for each column, table or recipient that nobody answers for.
fn rows(coverage: &Coverage) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for gap in &coverage.gaps {
        match gap {
            Finding::Table(gap) => rows.extend(rows_of(gap)),
            Finding::Recipient { recipient } => {
                let row = ["recipients", recipient, "no rule asks it to delete its copies"];
                rows.push(row.map(str::to_owned).to_vec());
            }
            Finding::Unseen { database } => {
                let row =
                    ["databases", database, "its user does not see all tables (`sunset grants` tells the privilege)"];
                rows.push(row.map(str::to_owned).to_vec());
            }
        }
    }
    rows
}

fn rows_of(gap: &TableGap) -> Vec<Vec<String>> {
    let by = match gap.rules.is_empty() {
        true => "no rule governs the table".to_owned(),
        false => format!("left as it is by {}", gap.rules.join(", ")),
    };
    let columns = gap.columns.iter().map(|found| {
        let why = format!("{by}; {} by its {}", found.data_category, found.because);
        vec![gap.table.clone(), found.column.clone(), why]
    });
    let references = gap.references.iter().map(|reference| {
        let why = format!("{by}; its rows tell of rows of {}", reference.table);
        vec![gap.table.clone(), reference.columns.join(", "), why]
    });
    columns.chain(references).collect()
}

fn accepted(found: &Accepted) -> Vec<String> {
    let until = found.until.map_or_else(|| "–".to_owned(), |until| until.to_string());
    vec![found.what.clone(), found.reason.clone(), found.owner.clone(), until]
}

/// The whole in one sentence.
pub fn summary(coverage: &Coverage) -> String {
    let databases = coverage.databases.len();
    let tables: usize = coverage.databases.values().sum();
    let gaps = rows(coverage).len();
    format!(
        "{tables} tables in {databases} databases: {gaps} gaps, {} accepted, {} accepted that are none",
        coverage.accepted.len(),
        coverage.stale.len()
    )
}

pub(super) fn text(coverage: &Coverage) -> String {
    let mut out = String::new();
    let gaps = rows(coverage);
    if !gaps.is_empty() {
        out.push_str(&table(&HEAD, gaps));
        out.push('\n');
    }
    if !coverage.accepted.is_empty() {
        out.push_str(&table(&ACCEPTED, coverage.accepted.iter().map(accepted).collect()));
        out.push('\n');
    }
    for stale in &coverage.stale {
        let _ = writeln!(out, "accepted and no gap: {}: {}", stale.what, stale.why);
    }
    if !coverage.unreached.is_empty() {
        let _ = writeln!(out, "no subject reaches: {}", coverage.unreached.join(", "));
    }
    let _ = writeln!(out, "{}", summary(coverage));
    out
}

pub(super) fn as_markdown(coverage: &Coverage) -> String {
    let mut out = format!("# Coverage of {} on {}\n\n{}.\n", coverage.job, coverage.today, summary(coverage));
    let gaps = rows(coverage);
    if !gaps.is_empty() {
        let _ = write!(out, "\n## Gaps\n\n{}", markdown::table(&HEAD, gaps));
    }
    if !coverage.accepted.is_empty() {
        let _ = write!(out, "\n## Accepted\n\n{}", markdown::table(&ACCEPTED, coverage.accepted.iter().map(accepted)));
    }
    if !coverage.stale.is_empty() {
        let rows = coverage.stale.iter().map(|stale| vec![stale.what.clone(), stale.why.clone()]);
        let _ = write!(out, "\n## Accepted and no gap\n\n{}", markdown::table(&["accepted", "why not"], rows));
    }
    if !coverage.unreached.is_empty() {
        let rows = coverage.unreached.iter().map(|table| vec![table.clone()]);
        let _ = write!(out, "\n## Personal tables that no subject reaches\n\n{}", markdown::table(&["table"], rows));
    }
    out
}
