//! The order of steps: a rule on a referencing table before the rule on the table it references, so that rows which
//! wait for their kept dependents go in the same night.

use crate::catalog::{Catalog, TableName};
use std::collections::{BTreeMap, BTreeSet};

/// What the order is decided on.
pub struct Item<'a> {
    pub rule: &'a str,
    pub database: &'a str,
    pub table: &'a TableName,
}

/// Positions of `items` in the order in which they should run. Rules that do not depend on each other keep the order of
/// their ids; circles are broken there too.
pub fn order(items: &[Item], catalogs: &BTreeMap<String, &Catalog>) -> Vec<usize> {
    let mut left: BTreeSet<(&str, usize)> = items.iter().enumerate().map(|(i, item)| (item.rule, i)).collect();
    let mut order = Vec::with_capacity(items.len());
    while !left.is_empty() {
        let blocked = |index: usize| {
            left.iter().any(|&(_, other)| other != index && references(&items[other], &items[index], catalogs))
        };
        let next = left.iter().find(|(_, index)| !blocked(*index)).or_else(|| left.first()).copied();
        let Some(next) = next else { break };
        left.remove(&next);
        order.push(next.1);
    }
    order
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
