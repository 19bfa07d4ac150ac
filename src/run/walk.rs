//! Goes through a table, batch after batch. Where batches do not depend on each other, the next one's rows are changed
//! on a second connection while the last one is announced and committed: disk flushes and statements overlap.

use super::{
    Failure, Surroundings,
    batch::{Batches, Changed, Position},
    book::Book,
    pace,
};
use crate::{
    database::{Connection, ErrorKind},
    plan::Walk,
};

/// As many rows as a heap block of 8 KiB holds when they are short.
const ROWS_PER_BLOCK: u64 = 64;

/// One pass through the table, on one connection or two.
pub(super) async fn pass(
    around: &Surroundings<'_>,
    batches: &Batches<'_>,
    connections: &mut [Box<dyn Connection>],
    book: &mut Book<'_>,
) -> Result<(), Failure> {
    let pace = &around.job.settings.pace;
    let mut size = first_size(batches, pace);
    let mut position = batches.start();
    let mut attempt = 0;
    // the connection for the next batch, and what the other one has changed and not committed
    let mut turn = 0;
    let mut open: Option<Changed> = None;
    loop {
        match must_stop(around, book).await {
            Ok(()) => {}
            // what is changed and not committed may be what the new hold is about
            Err(Failure::HoldsChanged) => {
                if open.is_some() {
                    connections[1 - turn].rollback().await?;
                }
                return Err(Failure::HoldsChanged);
            }
            Err(failure) => {
                settle(connections, turn, open, book).await?;
                return Err(failure);
            }
        }
        let (changed, settled) = match open.take() {
            Some(before) => {
                let redo = before.position.clone();
                let (this, other) = pair(connections, turn);
                let changing = batches.change(this, &position, size.current());
                let (changed, settled) = tokio::join!(changing, book.settle(other, before));
                (changed, settled.map_err(|failure| (failure, redo)))
            }
            None => (batches.change(connections[turn].as_mut(), &position, size.current()).await, Ok(())),
        };
        let mut failed = None;
        if let Err((failure, redo)) = settled {
            // the batch before did not commit: this one waits until that one is done again
            if changed.is_ok() {
                let _ = connections[turn].rollback().await;
            }
            position = redo;
            failed = Some(failure);
        }
        let failure = match (failed, changed) {
            (Some(failure), _) | (None, Err(failure)) => failure,
            (None, Ok(changed)) => {
                attempt = 0;
                size.took(changed.longest);
                let next = changed.next.clone();
                // many rows may share a starting point; a key that leads back to itself would never end
                let stuck = matches!(&next, Some(next @ Position::After(_)) if *next == position);
                if connections.len() > 1 && changed.rows > 0 {
                    open = Some(changed);
                    turn = 1 - turn;
                } else {
                    book.settle(connections[turn].as_mut(), changed).await?;
                }
                let done = book.disposed + open.as_ref().map_or(0, |open| open.rows) >= batches.expected;
                match next {
                    // all that the plan counted is done: what lies behind is counted, not walked through
                    Some(_) if done && !book.passed => return settle(connections, turn, open, book).await,
                    Some(_) if stuck => {
                        settle(connections, turn, open, book).await?;
                        return Err(Failure::Stuck);
                    }
                    Some(next) => position = next,
                    None => return settle(connections, turn, open, book).await,
                }
                continue;
            }
        };
        match &failure {
            failure if is_worth_another_try(failure) && attempt < pace.retries => {
                attempt += 1;
                size.shrink();
                tracing::warn!(attempt, reason = %failure, "batch is tried again, smaller");
                tokio::time::sleep(pace::pause(attempt)).await;
            }
            _ => return Err(failure),
        }
    }
}

/// Commits what the connection whose turn it is not has changed.
async fn settle(
    connections: &mut [Box<dyn Connection>],
    turn: usize,
    open: Option<Changed>,
    book: &mut Book<'_>,
) -> Result<(), Failure> {
    match open {
        Some(changed) => book.settle(connections[1 - turn].as_mut(), changed).await,
        None => Ok(()),
    }
}

/// Somebody asked to stop, or holds are not what the plan knows.
async fn must_stop(around: &Surroundings<'_>, book: &mut Book<'_>) -> Result<(), Failure> {
    if around.stop.is_cancelled() {
        return Err(Failure::Interrupted);
    }
    if book.holds().await? != around.holds {
        return Err(Failure::HoldsChanged);
    }
    Ok(())
}

fn pair(connections: &mut [Box<dyn Connection>], turn: usize) -> (&mut dyn Connection, &mut dyn Connection) {
    let (first, second) = connections.split_at_mut(1);
    let (first, second) = (first[0].as_mut(), second[0].as_mut());
    if turn == 0 { (first, second) } else { (second, first) }
}

fn first_size(batches: &Batches<'_>, pace: &crate::settings::Pace) -> pace::Size {
    let most = u64::from(pace.batch_rows);
    let keys = matches!(batches.walk, Walk::Keys | Walk::StartingPoint(_));
    let listed = batches.dialect.most_keys(&batches.work.locator()).filter(|_| keys);
    match batches.walk {
        // after a stretch without due rows a batch must not take in more of a dense one than it may
        Walk::Blocks => pace::Size::new(16, (most / ROWS_PER_BLOCK).max(1), pace.batch_target),
        _ => pace::Size::new(1000, listed.map_or(most, |listed| listed.min(most)), pace.batch_target),
    }
}

fn is_worth_another_try(failure: &Failure) -> bool {
    match failure {
        Failure::Database(error) => matches!(error.kind, ErrorKind::Transient | ErrorKind::StatementTimeout),
        // a row may have begun to wait for another between being chosen and being changed; a trigger stays
        Failure::Kept { .. } => true,
        _ => false,
    }
}
