//! Reads the facts about a schema that plans rely on.

use super::{Connection, Dialect, Error, ErrorKind, catalog::fields};
use crate::catalog::{Fact, FactKind, Facts, TableName};

/// Which facts are asked for.
#[derive(Clone, Copy, Debug)]
pub enum FactScope<'a> {
    /// Those about all tables, without their columns.
    Everything,
    /// Those about these tables, their partitions, and the foreign keys that lead from them or to them.
    Tables {
        tables: &'a [TableName],
        /// MySQL: only foreign keys of tables in these schemas; `None` for all.
        schemas: Option<&'a [String]>,
    },
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
