//! Everything that there is about a person, for a disclosure.

use super::{Asking, Request};
use crate::{
    catalog::Table,
    job::Job,
    plan::open::{OpenDatabase, open_databases},
    sql::Sql,
};
use std::collections::BTreeMap;

/// A table with rows about a person.
pub struct DisclosedTable {
    pub database: String,
    pub table: Table,
    /// Rows that are about nobody else.
    pub theirs: Sql,
    /// All rows that are about them.
    pub all: Sql,
}

/// What there is about a person, and where.
pub struct Disclosed {
    pub databases: BTreeMap<String, OpenDatabase>,
    pub tables: Vec<DisclosedTable>,
    /// Tables with rows of which nobody can tell whether they are about somebody else, and why.
    pub shared: Vec<(String, &'static str)>,
}

/// Looks for everything that there is about a person. Inside, why it cannot be told.
///
/// # Errors
/// Keys cannot be read, or a database fails while it is asked.
pub async fn disclosed(job: &Job, request: &Request) -> anyhow::Result<Result<Disclosed, String>> {
    let Some(subject) = job.settings.subjects.get(&request.subject) else {
        return Ok(Err(format!("subject `{}` is not in sunset.yaml", request.subject)));
    };
    let (mut databases, unavailable) = open_databases(job, subject.databases()).await;
    if let Some((name, why)) = unavailable.iter().next() {
        return Ok(Err(format!("database {name} is not available: {}", why.reason)));
    }
    let asking = Asking::of(job, (std::slice::from_ref(request), &[]), &mut databases, &unavailable).await?;
    if let Some(why) = asking.requested.unclear.get(&request.id) {
        return Ok(Err(why.clone()));
    }
    let mut tables = Vec::new();
    for (name, open) in &databases {
        let Some(bound) = asking.bound.get(name) else { continue };
        let (dialect, catalog) = (open.dialect, &open.catalog);
        for table in bound.tables(dialect, catalog) {
            let Some(table) = catalog.get(&table) else { continue };
            let row = dialect.row(&table.name);
            // a disclosure leaves no table out in silence
            let theirs = match bound.theirs(dialect, catalog, table, &row, None) {
                Ok(theirs) => theirs,
                Err(why) => return Ok(Err(why)),
            };
            let all = bound.stays(dialect, catalog, table, &row, None);
            let (Some(theirs), Some(all)) = (theirs, all) else { continue };
            tables.push(DisclosedTable { database: name.clone(), table: table.clone(), theirs, all });
        }
    }
    let shared = asking.requested.shared.get(&request.id).into_iter().flatten();
    let shared = shared.map(|link| (link.table.clone(), link.why)).collect();
    Ok(Ok(Disclosed { databases, tables, shared }))
}
