//! Reads the facts about a schema that plans rely on.

use super::{Connection, Dialect, Error, ErrorKind, catalog::fields};
use crate::catalog::{Fact, FactKind, Facts, TableName};

/// Which facts are asked for.
#[derive(Clone, Copy, Debug)]
pub enum FactScope<'a> {
    /// Those about all tables, without their columns.
    Everything,
    /// Those about these tables, their partitions, and the foreign keys that lead from them or to them.
    Tables(&'a [TableName]),
    /// MySQL, where asking for all of it takes long: what would take rows along, or change them, when rows of these tables
    /// change. Foreign keys only of tables in these schemas.
    Harmful { tables: &'a [TableName], schemas: &'a [String] },
}

/// The facts as they are now, in one statement.
///
/// # Errors
/// The database fails.
pub async fn read(
    connection: &mut dyn Connection,
    dialect: &dyn Dialect,
    scope: &FactScope<'_>,
) -> Result<Facts, Error> {
    let mut facts = Facts::default();
    for row in connection.fetch(&dialect.facts(scope)).await? {
        let [kind, schema, name, own, definition] = fields(row)?;
        let kind = FactKind::named(&kind)
            .ok_or_else(|| Error::new(ErrorKind::Other, "the schema holds a thing of an unknown kind"))?;
        facts.0.insert(Fact { kind, table: TableName { schema, name }, name: own, definition });
    }
    Ok(facts)
}
