//! The order of steps: who reads goes before who writes, so that within a run every rule sees the rows as they were when
//! it began; apart from that a rule on a referencing table goes before the rule on the table it references, so that rows
//! which wait for their kept dependents go in the same night.

use crate::{
    catalog::{Catalog, TableName},
    plan::interplay::conflict::{Because, Precedence},
};
use std::collections::{BTreeMap, BTreeSet};

/// What the order is decided on.
pub struct Item<'a> {
    pub rule: &'a str,
    pub database: &'a str,
    pub table: &'a TableName,
}

/// Two rules of which each would have to go before the other, by their positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Circle(pub usize, pub usize);

/// Positions of `items` in the order in which they should run. What reads goes before what writes, always; where that
/// leaves a choice, the rest of `precedence`, then the foreign keys, then the order of the ids. `kept`: positions of a rule
/// that erases from a table, and of another one whose rows wait for that table's.
///
/// # Errors
/// No order lets every rule that reads go before those that write.
pub fn order(
    items: &[Item],
    catalogs: &BTreeMap<String, &Catalog>,
    precedence: &[Precedence],
    kept: &[(usize, usize)],
) -> Result<Vec<usize>, Circle> {
    let precedes = |first: usize, then: usize, because: Because| {
        precedence.iter().any(|one| one.first == first && one.then == then && one.because >= because)
    };
    if let Some(&(child, parent)) = kept.iter().find(|(child, parent)| precedes(*parent, *child, Because::Needed)) {
        return Err(Circle(parent, child));
    }
    let mut left: BTreeSet<(&str, usize)> = items.iter().enumerate().map(|(i, item)| (item.rule, i)).collect();
    let mut order = Vec::with_capacity(items.len());
    while !left.is_empty() {
        let behind = |index: usize, comes_first: &dyn Fn(usize) -> bool| {
            left.iter().any(|&(_, other)| other != index && comes_first(other))
        };
        let written = |index| behind(index, &|other| precedes(other, index, Because::Read));
        let touched = |index| behind(index, &|other| precedes(other, index, Because::Trigger));
        let referenced = |index| behind(index, &|other| references(&items[other], &items[index], catalogs));
        let counted = |index| behind(index, &|other| precedes(other, index, Because::Counted));
        let tests: [&dyn Fn(usize) -> bool; 4] = [&written, &touched, &referenced, &counted];
        // as many of the tests as can be met, the weightiest first
        let free = |tests: &[&dyn Fn(usize) -> bool]| {
            left.iter().find(|(_, index)| tests.iter().all(|test| !test(*index))).copied()
        };
        let Some(next) = (1..=tests.len()).rev().find_map(|most| free(&tests[..most])) else {
            let left: Vec<_> = left.iter().map(|(_, index)| *index).collect();
            return Err(circle(&left, &|first, then| precedes(first, then, Because::Read)));
        };
        left.remove(&next);
        order.push(next.1);
    }
    Ok(order)
}

/// Two neighbours on a circle. There is one: each of those left comes behind another one.
fn circle(left: &[usize], precedes: &dyn Fn(usize, usize) -> bool) -> Circle {
    let mut way: Vec<usize> = left.iter().take(1).copied().collect();
    while let Some(&last) = way.last() {
        let first = left.iter().copied().find(|first| *first != last && precedes(*first, last));
        match first {
            Some(first) if !way.contains(&first) => way.push(first),
            Some(first) => return Circle(first, last),
            None => break,
        }
    }
    Circle(way.first().copied().unwrap_or_default(), way.last().copied().unwrap_or_default())
}

/// A foreign key of `from`'s table points at `to`'s table, directly or over other tables.
fn references(from: &Item, to: &Item, catalogs: &BTreeMap<String, &Catalog>) -> bool {
    if from.database != to.database || from.table == to.table {
        return false;
    }
    let Some(catalog) = catalogs.get(from.database) else { return false };
    let mut seen = BTreeSet::new();
    let mut open = vec![from.table];
    while let Some(table) = open.pop() {
        if !seen.insert(table) {
            continue;
        }
        for key in catalog.get(table).into_iter().flat_map(|table| &table.foreign_keys) {
            if key.references == *to.table {
                return true;
            }
            open.push(&key.references);
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ordered(rules: &[&str], before: &[(usize, usize, Because)]) -> Result<Vec<usize>, Circle> {
        let table = TableName { schema: "s".into(), name: "t".into() };
        let items: Vec<_> = rules.iter().map(|rule| Item { rule, database: "core", table: &table }).collect();
        let precedence: Vec<_> =
            before.iter().map(|&(first, then, because)| Precedence { first, then, because }).collect();
        order(&items, &BTreeMap::new(), &precedence, &[])
    }

    #[test]
    fn readers_go_first_and_the_rest_by_their_ids() {
        assert_eq!(ordered(&["b", "a", "c"], &[]), Ok(vec![1, 0, 2]));
        assert_eq!(ordered(&["b", "a", "c"], &[(2, 1, Because::Needed)]), Ok(vec![0, 2, 1]));
        assert_eq!(ordered(&["a", "b", "c"], &[(1, 0, Because::Read), (2, 1, Because::Needed)]), Ok(vec![2, 1, 0]));
    }

    #[test]
    fn what_weighs_less_gives_way() {
        let both = [(1, 0, Because::Needed), (0, 1, Because::Counted)];
        assert_eq!(ordered(&["a", "b"], &both), Ok(vec![1, 0]));
        assert_eq!(ordered(&["a", "b"], &[(1, 0, Because::Trigger), (0, 1, Because::Trigger)]), Ok(vec![0, 1]));
        assert_eq!(ordered(&["a", "b"], &[(1, 0, Because::Counted)]), Ok(vec![1, 0]));
    }

    #[test]
    fn a_circle_names_two_rules_on_it() {
        let circle = [(0, 1, Because::Read), (1, 2, Because::Needed), (2, 0, Because::Needed), (2, 3, Because::Read)];
        let Err(Circle(first, then)) = ordered(&["a", "b", "c", "d"], &circle) else { panic!("there is an order") };
        assert!(circle.iter().any(|(a, b, _)| (*a, *b) == (first, then)), "{first} {then}");
    }
}
