//! The postcondition: after the work the same predicate is counted again, and what remains must have a reason.

use crate::{
    catalog::TableName,
    database::{Error, ErrorKind, Work, statements},
    plan::{self, Counts, OpenDatabase},
};
use std::collections::BTreeMap;

/// Counts what is due now. Rows without starting point are those that the plan counted: the run does not touch them.
pub async fn count(database: &OpenDatabase, work: &Work, planned: &Counts) -> Result<Counts, Error> {
    let mut connection = database.database.connect_to_count().await?;
    let counts = plan::tally(connection.as_mut(), database.dialect, work).await?;
    connection.close().await;
    Ok(Counts { without_starting_point: planned.without_starting_point, ..counts })
}

/// All rows of a table.
pub async fn total(database: &OpenDatabase, table: &TableName) -> Result<u64, Error> {
    let mut connection = database.database.connect_to_count().await?;
    let rows = connection.fetch(&statements::total(database.dialect, table)).await?;
    connection.close().await;
    let total = rows.into_iter().flatten().next().flatten().and_then(|number| number.parse().ok());
    total.ok_or_else(|| Error::new(ErrorKind::Other, "the server's count of the table's rows cannot be read"))
}

/// Why rows stay that are past their time, or whose time is unknown.
pub fn reasons(counts: &Counts) -> BTreeMap<String, u64> {
    let reasons = [
        ("held", counts.held),
        ("needed_by_kept_dependents", counts.waiting),
        ("without_starting_point", counts.without_starting_point.unwrap_or(0)),
    ];
    reasons.into_iter().filter(|(_, rows)| *rows > 0).map(|(reason, rows)| (reason.to_owned(), rows)).collect()
}
