//! What was found of the assertions, one line each.

use crate::plan::CheckedAssertion;

/// `no-card-numbers: fails: …`; those that need a person first.
pub(super) fn lines(checked: &[CheckedAssertion]) -> Vec<String> {
    let mut checked: Vec<_> = checked.iter().collect();
    checked.sort_by_key(|one| (std::cmp::Reverse(one.outcome), &one.assertion));
    let line =
        |one: &&CheckedAssertion| format!("{}: {}: {} ({})", one.assertion, one.result, one.statement, one.found);
    checked.iter().map(line).collect()
}
