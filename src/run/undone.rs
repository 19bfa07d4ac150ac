//! Whether the database itself undoes what a batch does: a trigger that writes deleted rows again, or other values than
//! the rule's. That lasts, and no later run would come to an end of it.

use super::{Failure, batch::Batches};
use crate::{
    catalog::{Table, Trigger},
    database::{Change, Connection, Work, statements},
    plan::{self, OpenDatabase, PreparedStep, Step},
};

/// So many rows are tried.
const ROWS: u64 = 100;

/// The failure that tells of it, where rows that are changed once more are due at once. Nothing is left of the trial:
/// its transaction is rolled back. `None` where it shows nothing, or cannot be made now.
pub(super) async fn tried(
    step: &Step,
    ready: &PreparedStep,
    batches: &Batches<'_>,
    database: &OpenDatabase,
) -> Option<Failure> {
    let mut connection = database.database.connect_to_survey().await.ok()?;
    let tried = try_rows(connection.as_mut(), ready, batches, database).await;
    let _ = connection.rollback().await;
    connection.close().await;
    let rows = tried.ok().filter(|rows| *rows > 0)?;
    let (by, erases) = (triggers(step, ready, database), matches!(ready.work.change, Change::Erase));
    let what = match erases {
        true => "of those that were deleted are there again, or others like them in their place".to_owned(),
        false => format!("still have other values than the rule writes in {}", columns(&ready.work)),
    };
    Some(Failure::Undone { rows, what, by })
}

/// How many of a few rows are due again when they have been changed.
async fn try_rows(
    connection: &mut dyn Connection,
    ready: &PreparedStep,
    batches: &Batches<'_>,
    database: &OpenDatabase,
) -> Result<u64, Failure> {
    let (dialect, work) = (database.dialect, &ready.work);
    if let Some(statement) = dialect.one_moment() {
        connection.execute(&statement).await?;
    }
    connection.begin_still().await?;
    let rows = batches.page(connection, None, ROWS).await?;
    let keys: Vec<_> = rows.iter().map(|row| batches.selection().locator(row)).collect();
    if keys.is_empty() {
        return Ok(0);
    }
    let still = statements::select_disposable(dialect, work, &keys);
    // On InnoDB what is changed is the rows as they are now, and what is counted is a snapshot: the rows of the list and
    // all others are counted apart, so that what others write meanwhile looks like nothing that the database undid.
    let mut others = plan::tally(connection, dialect, work).await?.due;
    others = others.saturating_sub(connection.fetch(&still).await?.len() as u64);
    let changed = batches.change_listed(connection, rows).await?;
    if let Some(statement) = dialect.deferred() {
        connection.execute(&statement).await?;
    }
    match work.change {
        Change::Erase => {
            let after = plan::tally(connection, dialect, work).await?.due;
            let same = connection.fetch(&still).await?.len() as u64;
            let unchanged = (keys.len() as u64).saturating_sub(changed);
            let added = after.saturating_sub(same).saturating_sub(others);
            Ok((same.saturating_sub(unchanged) + added).min(changed))
        }
        Change::Update(_) | Change::Compute { .. } => Ok(connection.fetch(&still).await?.len() as u64),
    }
}

/// The triggers that the catalog shows, which may be the cause.
pub(super) fn triggers(step: &Step, ready: &PreparedStep, database: &OpenDatabase) -> String {
    let work = &ready.work;
    let along = work.dependents.iter().map(|dependent| (&dependent.table, matches!(dependent.change, Change::Erase)));
    let changed = std::iter::once((&step.table, matches!(work.change, Change::Erase))).chain(along);
    let named = changed.flat_map(|(name, erases)| {
        let fires = move |trigger: &&Trigger| if erases { trigger.on_delete } else { trigger.on_update };
        let table: Option<&Table> = database.catalog.get(name);
        table.into_iter().flat_map(move |table| table.triggers.iter().filter(fires).map(move |trigger| (name, trigger)))
    });
    let named: Vec<_> = named.map(|(table, trigger)| format!("trigger `{}` of `{table}`", trigger.name)).collect();
    match named.is_empty() {
        true => "the database (a trigger that this user does not see, or what the column makes of values)".to_owned(),
        false => named.join(" or "),
    }
}

/// `` `name` `` or `` `name`, `email` ``.
fn columns(work: &Work) -> String {
    let written: Vec<_> = match &work.change {
        Change::Erase => Vec::new(),
        Change::Update(columns) => columns.iter().map(|(name, _)| name).collect(),
        Change::Compute { computed, sql } => {
            computed.iter().map(|column| &column.column.name).chain(sql.iter().map(|(name, _)| name)).collect()
        }
    };
    written.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
