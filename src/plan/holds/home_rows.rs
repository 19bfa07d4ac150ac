//! The home rows of open requests: they stay, as if a hold were on each of them alone, until what is found by them has gone.

use super::{Bound, BoundHold, Hold, HoldScope, OF_REQUESTS, lost, root};
use crate::{
    catalog::{Catalog, TableName},
    database::{HeldRows, KeyColumn, Rows},
};
use std::collections::{BTreeMap, BTreeSet};

/// By home table, requests and the keys of their home rows.
pub(super) type HomeRows = BTreeMap<TableName, Vec<(u64, Vec<String>)>>;

/// Adds the home row of a request to those of its table.
///
/// # Errors
/// Nobody can tell which row it is, in words.
pub(super) fn home_row_of_request(
    rows: &mut HomeRows,
    hold: &Hold,
    key: Option<&[String]>,
    is_own: bool,
    catalog: &Catalog,
) -> Result<(), String> {
    let HoldScope::HomeRow { request, .. } = hold.scope else { return Ok(()) };
    let Some(key) = key else {
        return Err(lost(hold, "none of `keys.tag` opens it: put back its key, or close the request"));
    };
    let Some(table) = catalog.get(&hold.table).map(|table| root(catalog, table)) else {
        // over another name the table may be out of sight
        let why = format!("{}.{} is no longer there: close the request", hold.database, hold.table);
        return if is_own { Err(lost(hold, &why)) } else { Ok(()) };
    };
    if table.primary_key.len() != key.len() {
        let why = format!("its key does not fit the primary key of {}: close the request", table.name);
        return Err(lost(hold, &why));
    }
    rows.entry(table.name.clone()).or_default().push((request, key.to_vec()));
    Ok(())
}

impl Bound {
    /// The home rows of open requests stay, each alone.
    pub(super) fn keep_home_rows(&mut self, rows: HomeRows, catalog: &Catalog) {
        let requests: BTreeSet<u64> = rows.values().flatten().map(|(request, _)| *request).collect();
        let matter = named(&requests);
        for (table, rows) in rows {
            let Some(known) = catalog.get(&table) else { continue };
            let columns = known.key_columns().map(KeyColumn::from).collect();
            let keys = rows.into_iter().map(|(_, key)| key).collect();
            let held = HeldRows { rows: Rows::Keys(columns, keys), alone: true };
            let held = vec![(table.clone(), held)];
            self.holds.push(BoundHold { id: OF_REQUESTS, matter: matter.clone(), table, held, ends: BTreeSet::new() });
        }
    }

    /// The same without the home rows of these requests, which may go now: by table, their keys.
    pub(in crate::plan) fn without_home_rows(&self, going: &BTreeSet<(&TableName, &[String])>) -> Self {
        let mut bound = self.clone();
        for hold in bound.holds.iter_mut().filter(|hold| hold.id == OF_REQUESTS) {
            for (_, held) in &mut hold.held {
                if let Rows::Keys(_, keys) = &mut held.rows {
                    keys.retain(|key| !going.contains(&(&hold.table, key.as_slice())));
                }
            }
            hold.held.retain(|(_, held)| !matches!(&held.rows, Rows::Keys(_, keys) if keys.is_empty()));
        }
        bound.holds.retain(|hold| !hold.held.is_empty());
        bound
    }

    /// The holds, each once. What requests keep is one of them.
    pub(in crate::plan) fn each(&self) -> impl Iterator<Item = &BoundHold> {
        let is_first = |position: usize, id: u64| self.holds[..position].iter().all(|other| other.id != id);
        self.holds.iter().enumerate().filter(move |(at, hold)| is_first(*at, hold.id)).map(|(_, hold)| hold)
    }
}

/// Requests, few of them by their numbers.
fn named(requests: &BTreeSet<u64>) -> String {
    const SHOWN: usize = 5;
    let mut names: Vec<_> = requests.iter().take(SHOWN).map(u64::to_string).collect();
    if let Some(others @ 1..) = requests.len().checked_sub(SHOWN) {
        names.push(format!("{others} others"));
    }
    match (names.pop(), names.is_empty()) {
        (Some(last), true) => format!("request {last}"),
        (last, _) => format!("requests {} and {}", names.join(", "), last.unwrap_or_default()),
    }
}
