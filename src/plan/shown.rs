//! The statements that a plan shows, with words in place of the keys that only a batch knows.

use super::{PlannedStatement, access::Walk};
use crate::{
    database::{
        self, Change, DependentWork, Dialect, KeyColumn, Lock, MembersWork, Work,
        statements::{self, KeySelection, Range, RangeStatements, Stride},
    },
    sql::Statement,
};
use std::collections::BTreeMap;

/// Every statement that the step would send, with words in place of the keys that only a batch knows.
pub(super) fn planned_statements(
    dialect: &dyn Dialect,
    work: &Work,
    walk: &Walk,
    members: &BTreeMap<String, MembersWork>,
) -> Vec<PlannedStatement> {
    let selection = KeySelection::of(work);
    let key = |columns: usize| vec!["(key)".to_owned(); columns];
    let keys = [key(work.locator().len())];
    let mut shown: Vec<(&str, Statement)> = vec![("count what is due", statements::tally(dialect, work))];
    if let Some(missing) = statements::missing(dialect, work) {
        shown.push(("count what has no starting point", missing));
    }
    let after = key(work.locator().len());
    if let Some(aggregate) = &work.aggregate {
        shown.push(("let large enough groups in", database::aggregate::survey(dialect, work, aggregate)));
        shown.push(("count groups", database::aggregate::tally(dialect, work, aggregate)));
    }
    match walk {
        Walk::Keys if !work.recipients.is_empty() => {
            let page = statements::page(dialect, work, &selection, work.disposable_rows(), Some(&after), 1000);
            shown.push(("read whose recipients are to be served", page));
            for members in work.recipients.iter().filter_map(|recipient| members.get(&recipient.name)) {
                let after = key(members.key.len());
                shown.push(("read who stays", statements::members(members, Some(&after), 1000)));
            }
            let chosen = statements::select_chosen(dialect, work, &selection, &keys, Some(Lock::Waiting));
            shown.push(("take a batch of those who are served", chosen));
        }
        Walk::Keys => {
            shown.push(("find where a chunk ends", statements::boundary(dialect, work, Some(&after), None, 10_000)));
            let (bounds, lock) = (Some(after.as_slice()), Some(work.lock()));
            let take = statements::select_keys(dialect, work, &selection, bounds, bounds, 1000, lock);
            shown.push(("take a batch", take));
        }
        Walk::StartingPoint(column) => {
            let (from, lock) = (Some("(starting point)"), Some(work.lock()));
            let statement = statements::select_by_point(dialect, work, column, &selection, from, 1000, lock);
            shown.push(("take a batch", statement));
        }
        Walk::KeyRanges => {
            let range = Range::Keys { after: Some(after.clone()), through: Some(after.clone()) };
            let boundary = statements::boundary(dialect, work, Some(&after), None, 1000);
            shown.push(("find where a batch ends", boundary));
            shown.extend(range_statements(dialect, work, &range));
        }
        Walk::Blocks { strides } => {
            // the same for each partition, by its own name: those come and go
            let stride = Stride { of: *strides, nth: 0 };
            let range = Range::Blocks { leaf: work.table.clone(), from: 0, to: 64, stride };
            shown.extend(range_statements(dialect, work, &range));
        }
    }
    if work.lock() == Lock::AtOnce && !dialect.lock_rows(Lock::Free).is_empty() {
        let free = statements::select_chosen(dialect, work, &selection, &keys, Some(Lock::Free));
        shown.push(("take those of its rows that nobody else has locked", free));
    }
    if let (Some(aggregate), Walk::Keys | Walk::StartingPoint(_)) = (&work.aggregate, walk) {
        shown.push((ADD, database::aggregate::add_keys(dialect, work, aggregate, &keys)));
    }
    for dependent in &work.dependents {
        shown.extend(dependent_statements(dialect, dependent, work.lock()));
    }
    match (walk, &work.change) {
        (Walk::Keys | Walk::StartingPoint(_), Change::Compute { computed, .. }) => {
            let values: Vec<_> = computed
                .iter()
                .map(|column| dialect.new_value(&column.column.codec, "(pseudonym)".to_owned()))
                .collect();
            shown.push(("change a row", statements::change_one(dialect, work, &keys[0], &values)));
        }
        (Walk::Keys | Walk::StartingPoint(_), _) => {
            shown.push(("change a batch", statements::change_keys(dialect, work, &keys)));
        }
        _ => {}
    }
    shown.into_iter().map(|(purpose, statement)| planned(purpose, &statement)).collect()
}

fn range_statements(dialect: &dyn Dialect, work: &Work, range: &Range) -> Vec<(&'static str, Statement)> {
    let add = work.aggregate.as_ref().map(|aggregate| {
        let statement = database::aggregate::add_range(dialect, work, aggregate, range);
        (ADD, statement)
    });
    let mut shown = match statements::range(dialect, work, range, work.lock()) {
        RangeStatements::Returning(take) | RangeStatements::Counted(take) => vec![("change a batch", take)],
        RangeStatements::Locked { select, change } | RangeStatements::Packed { select, change, plain: None } => {
            vec![("take a batch", select), ("change a batch", change)]
        }
        RangeStatements::Packed { select, change, plain: Some(plain) } => vec![
            ("take a batch", select),
            ("change a batch", change),
            ("change a batch in which every starting point can be read", plain),
        ],
    };
    let before = shown.iter().position(|(purpose, _)| *purpose == "change a batch").unwrap_or(0);
    shown.splice(before..before, add);
    shown
}

/// Between taking a batch and changing it.
const ADD: &str = "add a batch up";

/// What changes the rows of a dependent.
pub(super) fn dependent_statements(
    dialect: &dyn Dialect,
    dependent: &DependentWork,
    lock: Lock,
) -> Vec<(&'static str, Statement)> {
    let key = |columns: &[KeyColumn]| [vec!["(key)".to_owned(); columns.len()]];
    let keys = key(dependent.referenced());
    let names = key(&dependent.key);
    match dependent.goes_by_name(dialect, lock) {
        true => vec![
            ("look its dependents up", statements::dependent_keys(dialect, dependent, &keys, true)),
            ("take its dependents", statements::lock_named(dialect, dependent, (&names, &keys), true, lock)),
            ("change its dependents", statements::change_named(dialect, dependent, &names)),
        ],
        false => vec![("change its dependents", statements::change_dependents(dialect, dependent, &keys))],
    }
}

pub(super) fn planned(purpose: &str, statement: &Statement) -> PlannedStatement {
    let values = statement.args.iter().map(ToString::to_string).collect();
    PlannedStatement { purpose: purpose.to_owned(), sql: statement.sql.clone(), values }
}
