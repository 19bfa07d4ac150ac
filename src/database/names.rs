//! The names that catalogs hold. An error of MySQL shows these and no others: its messages have names and values in the same
//! places, and a trigger may write whatever it likes into them.

use crate::catalog::Table;
use std::{
    collections::BTreeSet,
    sync::{PoisonError, RwLock},
};

/// In small letters: servers differ in how they write a name.
static KNOWN: RwLock<BTreeSet<String>> = RwLock::new(BTreeSet::new());

/// Remembers the names of a table, and of all that is declared on it.
pub(super) fn learn(table: &Table) {
    let declared = table.indexes.iter().map(|index| &index.name).chain(table.foreign_keys.iter().map(|key| &key.name));
    let columns = table.columns.iter().map(|column| &column.name);
    learn_all([&table.name.schema, &table.name.name].into_iter().chain(columns).chain(declared));
}

pub(super) fn learn_all<'a>(names: impl IntoIterator<Item = &'a String>) {
    let mut known = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
    known.extend(names.into_iter().map(|name| name.to_lowercase()));
}

/// Each part of a name, which dots part, is known.
pub(super) fn are_known(name: &str) -> bool {
    let known = KNOWN.read().unwrap_or_else(PoisonError::into_inner);
    known.contains(&name.to_lowercase()) || name.split('.').all(|part| known.contains(&part.to_lowercase()))
}
