//! How many rows a step is about.

use super::{Access, Counts, DependentCount, Starts, access, dependents::Named};
use crate::{
    catalog::{Engine, Table},
    database::{Connection, Dialect, Error, Row, Work, statements},
    rules::Limits,
    sql::Value,
};

/// Below this many rows an exact count is cheaper than a wrong estimate.
const SMALL: u64 = 100_000;

/// Asks for everything that [`Counts`] holds.
pub async fn counts(
    connection: &mut dyn Connection,
    dialect: &dyn Dialect,
    table: &Table,
    work: &Work,
    limits: &Limits,
    thorough: bool,
) -> Result<Counts, Error> {
    let mut counts = recount(connection, dialect, work, thorough).await?;
    counts.table_rows = table.estimated_rows;
    let judged = limits.max_share_percent.is_some() && counts.due > 0;
    // a share is only judged by what was counted
    let many = counts.due > table.estimated_rows / 4;
    if judged || many || (counts.due > 0 && table.estimated_rows < SMALL) {
        counts.table_rows = number(&connection.fetch(&statements::total(dialect, &work.table)).await?, 0);
        counts.table_rows_exact = true;
    }
    Ok(counts)
}

/// Governed rows with a starting point and without one, in a table that is small enough to be read each night.
pub async fn starts(
    connection: &mut dyn Connection,
    dialect: &dyn Dialect,
    table: &Table,
    work: &Work,
) -> Result<Option<Starts>, Error> {
    const MOST: u64 = 1_000_000;
    if table.estimated_rows > MOST {
        return Ok(None);
    }
    let rows = connection.fetch(&statements::starts(dialect, work)).await?;
    let (all, without) = (number(&rows, 0), number(&rows, 1));
    Ok(Some(Starts { with: all.saturating_sub(without), without }))
}

/// Due, overdue, held and waiting rows, and the oldest, in one pass over the due rows; and those without starting point.
/// On a night with nothing due the latter are counted as far as an index can tell them, unless `thorough`.
pub async fn recount(
    connection: &mut dyn Connection,
    dialect: &dyn Dialect,
    work: &Work,
    thorough: bool,
) -> Result<Counts, Error> {
    let mut counts = tally(connection, dialect, work).await?;
    let missing = match thorough || counts.due > 0 {
        true => statements::missing(dialect, work),
        false => statements::plainly_missing(dialect, work),
    };
    if let Some(statement) = missing {
        counts.without_starting_point = Some(number(&connection.fetch(&statement).await?, 0));
    }
    Ok(counts)
}

/// Counts a step's rows without those that have no starting point, which no run touches.
pub async fn tally(connection: &mut dyn Connection, dialect: &dyn Dialect, work: &Work) -> Result<Counts, Error> {
    let rows = connection.fetch(&statements::tally(dialect, work)).await?;
    Ok(Counts {
        due: number(&rows, 0),
        overdue: work.overdue.as_ref().map(|_| number(&rows, 1)),
        held: number(&rows, 2),
        waiting: number(&rows, 3),
        oldest_due: rows.first().and_then(|row| row.get(4).cloned().flatten()),
        overdue_held: number(&rows, 5),
        oldest_overdue: rows.first().and_then(|row| row.get(6).cloned().flatten()),
        ..Counts::default()
    })
}

/// How many rows of each dependent go along.
pub async fn dependents(
    connection: &mut dyn Connection,
    dialect: &dyn Dialect,
    work: &Work,
    named: &[Named],
    due: bool,
) -> Result<Vec<DependentCount>, Error> {
    let mut counts = Vec::with_capacity(named.len());
    for dependent in named {
        let rows = match dependent.work {
            Some(index) if due => {
                let statement = statements::count_dependents(dialect, work, index);
                Some(number(&connection.fetch(&statement).await?, 0))
            }
            Some(_) => Some(0),
            None => None,
        };
        counts.push(DependentCount {
            table: dependent.table.clone(),
            action: dependent.action.clone(),
            through: dependent.through.clone(),
            rows,
        });
    }
    Ok(counts)
}

/// How the server finds the due rows, beside how batches walk.
pub async fn access(
    connection: &mut dyn Connection,
    dialect: &dyn Dialect,
    engine: Engine,
    work: &Work,
    index: Option<&str>,
    walk: &access::Walk,
) -> Result<Access, Error> {
    // the server's plan shows the values that it was made for
    let is_hidden = work.due.args.iter().any(|value| matches!(value, Value::Hidden(_)));
    let statement = statements::explain(dialect, work);
    let has_hidden = statement.args.iter().any(|value| matches!(value, Value::Hidden(_)));
    let rows = match is_hidden {
        true => Vec::new(),
        false => connection.fetch(&statement).await?,
    };
    let (mut explain, used) = access::explained(engine, &rows);
    if has_hidden {
        // what holds keep stands in the conditions
        explain.retain(|line| !access::is_condition(line));
    }
    Ok(Access { index: index.map(str::to_owned), used, walk: walk.words(), explain })
}

/// A rough guess of a run's length, from rates measured on a small server.
#[expect(clippy::cast_precision_loss, reason = "a guess")]
pub fn estimated_seconds(engine: Engine, erase: bool, rows: u64) -> f64 {
    let per_second = match (engine, erase) {
        (Engine::Postgres, true) => 300_000.0,
        (Engine::Postgres, false) => 70_000.0,
        (Engine::Mysql, true) => 100_000.0,
        (Engine::Mysql, false) => 50_000.0,
        (Engine::Sqlite, true) => 300_000.0,
        (Engine::Sqlite, false) => 200_000.0,
    };
    (rows as f64 / per_second * 10.0).ceil() / 10.0
}

fn number(rows: &[Row], column: usize) -> u64 {
    rows.first().and_then(|row| row.get(column)?.as_deref()?.parse().ok()).unwrap_or(0)
}
