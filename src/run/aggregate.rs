//! Which groups rows may be added to, before the first of them goes.

use super::{Failure, Surroundings, book::Book, walk, worker::Workers};
use crate::{
    database::{AggregateWork, Connection, Error, aggregate},
    failpoint,
    ledger::Event,
    plan::{self, Groups, OpenDatabase, PreparedStep, Step},
};
use std::sync::atomic::AtomicBool;

/// Lets the groups into the target that are large enough, and writes down how many are not. Where the rule adds nothing up,
/// it does nothing.
pub(super) async fn survey(
    around: &Surroundings<'_>,
    step: &Step,
    ready: &PreparedStep,
    database: &OpenDatabase,
    workers: &mut Workers<'_>,
    book: &mut Book<'_>,
) -> Result<Option<Groups>, Failure> {
    let Some(aggregate) = &ready.work.aggregate else { return Ok(None) };
    if around.stop.is_cancelled() {
        return Err(Failure::Interrupted);
    }
    // it writes, so it begins when a batch may
    walk::wait(&mut workers.all, book, &mut book.pace.turns(), &AtomicBool::new(false)).await?;
    let mut connection = database.database.connect_to_survey().await?;
    let surveyed = admit(connection.as_mut(), database, ready, aggregate).await;
    connection.close().await;
    let groups = surveyed?;
    let into = format!("{}.{}", step.database, aggregate.into);
    let Groups { kept, suppressed, rows_left_out } = groups;
    tracing::info!(rule = step.rule, into, kept, suppressed, rows_left_out, "groups surveyed");
    let (rule, smallest_group) = (step.rule.clone(), aggregate.at_least);
    let event = Event::Surveyed { rule, into, smallest_group, kept, suppressed, rows_left_out };
    book.ledger().append(vec![event], &[]).await?;
    Ok(Some(groups))
}

async fn admit(
    connection: &mut dyn Connection,
    database: &OpenDatabase,
    ready: &PreparedStep,
    aggregate: &AggregateWork,
) -> Result<Groups, Error> {
    let (dialect, work) = (database.dialect, &ready.work);
    failpoint::reach("before_survey");
    connection.execute(&aggregate::survey(dialect, work, aggregate)).await?;
    failpoint::reach("after_survey");
    plan::groups(connection, dialect, work, aggregate).await
}
