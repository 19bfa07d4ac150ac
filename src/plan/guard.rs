//! Guard rails: limits that a rule or a run must stay under, or nothing is touched.

use super::{Counts, Step};
use crate::rules::Limits;

/// A rule that has not disposed of anything yet may have the wrong column, the wrong unit or the wrong table: without
/// limits of its own it may take this share of a table that has at least so many rows.
const FIRST_SHARE_PERCENT: f64 = 80.0;
pub(super) const FIRST_ROWS: u64 = 100_000;

/// Why a rule's counts are over its limits, in words; empty when they are not.
pub fn refusals(limits: &Limits, counts: &Counts) -> Vec<String> {
    over(limits, counts.disposable(), counts.table_rows, "due")
}

/// Why so many rows of a table with `total` are over the limits, in words; `what` says which rows they are.
pub fn over(limits: &Limits, rows: u64, total: u64, what: &str) -> Vec<String> {
    let mut refusals = Vec::new();
    if let Some(max) = limits.max_rows
        && rows > max
    {
        refusals.push(format!("{rows} rows are {what}, max_rows allows {max}"));
    }
    if let Some(max) = limits.max_share_percent
        && rows > 0
    {
        #[expect(clippy::cast_precision_loss, reason = "a share needs no more than 53 bits")]
        let share = 100.0 * rows as f64 / total.max(rows) as f64;
        if share > max {
            refusals.push(format!(
                "{share:.1} % of the table's {} rows are {what}, max_share allows {max} %",
                total.max(rows)
            ));
        }
    }
    refusals
}

/// What a rule may take that has not disposed of anything yet and has no limits.
pub(super) fn first(limits: &Limits, table_rows: u64) -> Option<Limits> {
    let unlimited = limits.max_rows.is_none() && limits.max_share_percent.is_none();
    let first = Limits { max_share_percent: Some(FIRST_SHARE_PERCENT), ..*limits };
    (unlimited && table_rows >= FIRST_ROWS).then_some(first)
}

/// Why such a rule is refused, and the ways out.
pub(super) fn first_refusals(limits: &Limits, counts: &Counts) -> Vec<String> {
    let Some(first) = first(limits, counts.table_rows) else { return Vec::new() };
    let out =
        "it is the rule's first run: look at the plan, and execute it with `run --plan`, or give the rule `limits`";
    refusals(&first, counts).into_iter().map(|refusal| format!("{refusal} ({out})")).collect()
}

/// The run has to count for the step's sake.
pub fn binds(step: &Step) -> bool {
    step.limits.max_rows.is_some() || step.limits.max_share_percent.is_some() || step.first_run
}

/// Why so many rows are more than a step may change.
pub fn over_limits(step: &Step, rows: u64) -> Vec<String> {
    let total = step.counts.table_rows;
    let limits = if step.first_run { first(&step.limits, total) } else { Some(step.limits) };
    limits.map(|limits| over(&limits, rows, total, "to go by now")).unwrap_or_default()
}

/// Why the run as a whole is over its limit. `rows` counts dependents too.
pub fn run_refusals(limits: &Limits, rows: u64) -> Vec<String> {
    match limits.max_rows {
        Some(max) if rows > max => {
            vec![format!("the run would change {rows} rows, dependents included; its max_rows allows {max}")]
        }
        _ => Vec::new(),
    }
}

/// The rule's own limits; the run's share applies where a rule sets none.
pub fn effective(rule: &Limits, run: &Limits) -> Limits {
    Limits {
        max_rows: rule.max_rows,
        max_share_percent: rule.max_share_percent.or(run.max_share_percent),
        lost_starts: rule.lost_starts.or(run.lost_starts),
    }
}
