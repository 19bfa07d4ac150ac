//! The part of a schema that one rule's plan relies on, so that its run can see whether it is still the same.

use super::{holds::Bound, resolve::Resolved};
use crate::{
    catalog::{Catalog, Engine, Facts, TableName},
    database::{Connection, Dialect, Error, ErrorKind, FactScope, Work, facts},
};
use std::collections::BTreeSet;

/// What a rule's plan relies on.
#[derive(Clone, Debug, Default)]
pub struct PlannedSchema {
    /// The rule's table, what goes along or is kept, and what is read to decide.
    pub tables: Vec<TableName>,
    /// Those of them that the rule changes.
    pub changed: Vec<TableName>,
    /// Where foreign keys were found that lead from these tables or to them.
    pub schemas: Vec<String>,
    pub facts: Facts,
}

/// Reads what the plan of a rule relies on. `known` was read before the catalog: whatever has come since then, the rule may
/// have been planned without.
///
/// # Errors
/// The database fails, or its schema has changed since.
pub async fn read(
    connection: &mut dyn Connection,
    dialect: &dyn Dialect,
    catalog: &Catalog,
    known: &Facts,
    resolved: &Resolved,
    holds: &Bound,
) -> Result<PlannedSchema, Error> {
    let tables = tables(catalog, resolved, holds);
    let facts = facts::read(connection, dialect, &FactScope::Tables(&tables)).await?;
    let is_known_of = |schema: &str| catalog.engine != Engine::Mysql || schema == catalog.default_schema;
    let read_before = Facts(facts.0.iter().filter(|fact| is_known_of(&fact.table.schema)).cloned().collect());
    if let Some(added) = read_before.added_since(known).into_iter().next() {
        let message = format!("the schema has changed while the rule was planned: {added}; plan again");
        return Err(Error::new(ErrorKind::Transient, message));
    }
    let schemas: BTreeSet<_> = facts.0.iter().map(|fact| fact.table.schema.clone()).collect();
    let along = works(resolved).into_iter().flat_map(|work| &work.dependents).map(|dependent| &dependent.table);
    let changed: BTreeSet<_> = along.chain([&resolved.work.table]).cloned().collect();
    let (changed, schemas) = (changed.into_iter().collect(), schemas.into_iter().collect());
    Ok(PlannedSchema { tables, changed, schemas, facts })
}

/// What the rule does, with what is done about groups that are too small.
fn works(resolved: &Resolved) -> Vec<&Work> {
    let measures = resolved.gate.iter().flat_map(|gate| &gate.measures).map(|measure| &measure.work);
    measures.chain([&resolved.work]).collect()
}

/// The tables whose schema decides which rows go, and what goes along.
fn tables(catalog: &Catalog, resolved: &Resolved, holds: &Bound) -> Vec<TableName> {
    let work = &resolved.work;
    let works = works(resolved);
    let along = works.iter().flat_map(|work| &work.dependents);
    let linked = along.flat_map(|dependent| &dependent.links).flat_map(|link| [&link.from, &link.to]);
    let mut tables: BTreeSet<&TableName> = linked.collect();
    tables.extend(works.iter().flat_map(|work| work.leaves.iter().chain([&work.table])));
    tables.extend(resolved.dependents.iter().map(|named| &named.table));
    tables.extend(resolved.looked_at.iter().map(|(table, _)| table));
    tables.extend(holds.holds.iter().map(|hold| &hold.table));
    tables.extend(work.aggregate.iter().map(|aggregate| &aggregate.into));
    let roots: Vec<_> = tables.iter().filter_map(|table| catalog.get(table)?.partition_of.as_ref()).collect();
    tables.extend(roots);
    tables.into_iter().cloned().collect()
}
