//! Guard rails: limits that a rule or a run must stay under, or nothing is touched.

use super::Counts;
use crate::rules::Limits;

/// Why a rule's counts are over its limits, in words; empty when they are not.
pub fn refusals(limits: &Limits, counts: &Counts) -> Vec<String> {
    over(limits, counts.disposable(), counts.table_rows, "due")
}

/// The same for any rows of a table with so many; `what` they are.
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
    Limits { max_rows: rule.max_rows, max_share_percent: rule.max_share_percent.or(run.max_share_percent) }
}
