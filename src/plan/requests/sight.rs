//! Rows of persons with open requests, approved or not: rules that change what rows are found by leave them alone, or nobody would
//! find them when the request is carried out.

use crate::{
    job::Job,
    plan::{
        OpenDatabase,
        holds::{Bound, Hold, HoldScope, bind_in},
        subject::Persons,
    },
    rules::{Dependent, Disposition, Rule},
};
use std::collections::BTreeMap;

/// By database, the rows of persons whose home rows these holds keep; a row too many does no harm here.
///
/// # Errors
/// A database fails while it is asked, or the ledger's keys cannot be read.
pub(super) async fn in_sight(
    job: &Job,
    holds: &[Hold],
    databases: &mut BTreeMap<String, OpenDatabase>,
) -> anyhow::Result<BTreeMap<String, Bound>> {
    let whole: Vec<_> = holds.iter().filter_map(whole).collect();
    if whole.is_empty() || !job.rules().any(|rule| rule.disposition != Disposition::Erase || cuts(rule)) {
        return Ok(BTreeMap::new());
    }
    let persons = Persons::look_up(job, &whole).await?;
    let mut bound = BTreeMap::new();
    for (name, open) in databases {
        bound.insert(name.clone(), bind_in(job, name, open, &whole, &persons).await?);
    }
    Ok(bound)
}

/// A hold on the person, as far as it is known who that is.
fn whole(home_row: &Hold) -> Option<Hold> {
    let HoldScope::HomeRow { request, subject, key: Some(key) } = &home_row.scope else { return None };
    let scope = HoldScope::Person { subject: subject.clone(), key: key.clone(), then: None };
    Some(Hold { id: *request, scope, only_row: false, ..home_row.clone() })
}

/// The rule unlinks rows, or changes some along.
pub(super) fn cuts(rule: &Rule) -> bool {
    rule.dependents.iter().any(|one| matches!(one.fate, Dependent::Unlink | Dependent::Anonymize(_)))
}
