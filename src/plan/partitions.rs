//! Which partitions of a rule's table go whole, and why the others do not.
//!
//! A partition goes whole if its range lies wholly before the cut-off and every row in it is disposable: what is held,
//! needed, or without starting point keeps it, and so does whatever sees rows go one by one (triggers, subscribers).

use super::Resolved;
use crate::{
    catalog::{Catalog, Table, TableName},
    database::{
        Connection, Database, Dialect, Error, ErrorKind, Partition, Partitioning, Question, Removal, Work, exchanged,
        partition, transactional,
    },
    rules::{Partitions, Rule},
    settings::Settings,
    sql::Statement,
};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

/// What becomes of a table's partitions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedPartitions {
    pub how: Partitions,
    /// Those that go whole.
    pub whole: Vec<PlannedPartition>,
    /// Statements before the first of them, and after the last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<String>,
    /// Those that lie wholly before the cut-off and hold rows that go one by one, or stay.
    pub by_rows: Vec<PartitionByRows>,
    /// Why none goes whole, whatever its rows.
    pub obstacles: Vec<String>,
    /// Rows that an earlier run has set aside, and about which it could not decide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set_aside: Option<SetAside>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedPartition {
    pub name: String,
    /// As the server writes it.
    pub bound: String,
    pub rows: u64,
    /// The statements that make it go; in between, its rows are read.
    pub statements: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionByRows {
    pub name: String,
    /// `None` where nobody counted.
    pub rows: Option<u64>,
    pub why: String,
}

/// A table with rows of a partition, left by a run that ended in the middle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetAside {
    pub table: TableName,
    pub rows: u64,
}

/// A partition that goes whole, for the run.
#[derive(Clone, Debug)]
pub struct WholePartition {
    pub partition: Partition,
    pub rows: u64,
}

/// What [`plan`] is asked about.
pub(super) struct Subject<'a> {
    pub rule: &'a Rule,
    pub resolved: &'a Resolved,
    pub table: &'a Table,
    pub catalog: &'a Catalog,
    pub job: &'a Settings,
    /// There are rows to dispose of.
    pub disposable: bool,
}

/// Reads how the table is partitioned, and counts the rows of partitions that may go whole. Nothing, where the rule has no
/// use for it.
pub(super) async fn plan(
    database: &dyn Database,
    connection: &mut dyn Connection,
    dialect: &dyn Dialect,
    subject: &Subject<'_>,
) -> Result<Option<(PlannedPartitions, Vec<WholePartition>)>, Error> {
    let Subject { rule, resolved, table, catalog, disposable, .. } = *subject;
    let mut planned = PlannedPartitions { how: rule.partitions, ..PlannedPartitions::default() };
    let mut whole = Vec::new();
    planned.set_aside = set_aside(connection, dialect, catalog, table).await?;
    if rule.partitions == Partitions::Rows || !disposable {
        return Ok(planned.set_aside.is_some().then_some((planned, whole)));
    }
    let Partitioning { obstacles, partitions } = match partitioning(database, connection, subject).await {
        Ok(partitioning) => partitioning,
        Err(error) if error.kind == ErrorKind::Unreachable => return Err(error),
        // a server that only speaks the protocol
        Err(error) => Partitioning {
            obstacles: vec![format!("the server does not tell its partitions: {error}")],
            partitions: Vec::new(),
        },
    };
    planned.obstacles = obstacles;
    planned.obstacles.extend(obstacles_of(catalog, table));
    if let Some(aggregate) = &resolved.work.aggregate {
        planned.obstacles.push(format!("each batch is added up in {} before its rows go", aggregate.into));
    }
    if !planned.obstacles.is_empty() {
        return Ok(Some((planned, whole)));
    }
    // a parent that goes takes its children with it
    let mut gone: Vec<TableName> = Vec::new();
    for partition in partitions.into_iter().filter(|partition| partition.past) {
        if gone.contains(&partition.parent) {
            gone.push(partition.name);
            continue;
        }
        let name = partition.name.name.clone();
        let refused = match (&partition.obstacle, partition.last) {
            (Some(obstacle), _) => Some(obstacle.clone()),
            (None, true) => Some("no partition lies higher, so new rows may be meant for it".to_owned()),
            (None, false) => None,
        };
        if let Some(why) = refused {
            planned.by_rows.push(PartitionByRows { name, rows: None, why });
            continue;
        }
        let (rows, disposable) = count(connection, dialect, &resolved.work, &partition).await?;
        if rows == 0 {
            continue;
        }
        if disposable < rows {
            let why = format!("{} of its rows stay, or wait", rows - disposable);
            planned.by_rows.push(PartitionByRows { name, rows: Some(rows), why });
            continue;
        }
        let statements = statements(dialect, subject, &partition);
        planned.whole.push(PlannedPartition { name, bound: partition.bound.clone(), rows, statements });
        gone.push(partition.name.clone());
        whole.push(WholePartition { partition, rows });
    }
    (planned.before, planned.after) = frame(dialect, subject, &whole);
    Ok(Some((planned, whole)))
}

async fn partitioning(
    database: &dyn Database,
    connection: &mut dyn Connection,
    subject: &Subject<'_>,
) -> Result<Partitioning, Error> {
    let Subject { rule, resolved, table, job, .. } = subject;
    let Some(column) = &resolved.point_column else {
        let obstacles = vec!["the starting point is no column of the table".to_owned()];
        return Ok(Partitioning { obstacles, partitions: Vec::new() });
    };
    let zone = rule.starting_point.zone.as_ref().and_then(|name| TimeZone::get(name).ok());
    let kind = resolved.work.point.kind;
    let past = resolved.cut_off.due.cutoffs(kind, &job.time_zone, zone.as_ref().unwrap_or(&job.time_zone));
    let question = Question { table, column, kind, past: &past, how: rule.partitions };
    database.partitions(connection, &question).await
}

/// What has to see each row go.
fn obstacles_of(catalog: &Catalog, table: &Table) -> Vec<String> {
    let mut obstacles = Vec::new();
    for trigger in table.triggers.iter().filter(|trigger| trigger.on_delete) {
        obstacles.push(format!("trigger {} fires for rows that are deleted, and would not for this", trigger.name));
    }
    for (child, key) in catalog.referencing(&table.name) {
        obstacles.push(format!("foreign key {} of {} points at the table", key.name, child.name));
    }
    obstacles
}

/// All rows of a partition, and the disposable ones.
async fn count(
    connection: &mut dyn Connection,
    dialect: &dyn Dialect,
    work: &Work,
    partition: &Partition,
) -> Result<(u64, u64), Error> {
    let sources: Vec<_> = match dialect.removal() {
        Some(Removal::Transactional) => {
            partition.leaves.iter().map(|leaf| partition::source(dialect, work, leaf)).collect()
        }
        _ => vec![exchanged::partition_of(&work.table, &partition.name.name)],
    };
    let mut sums = (0, 0);
    for source in sources {
        let rows = connection.fetch(&partition::tally(dialect, work, &source)).await?;
        let number = |column: usize| -> u64 {
            rows.first().and_then(|row| row.get(column)?.as_deref()?.parse().ok()).unwrap_or(0)
        };
        sums = (sums.0 + number(0), sums.1 + number(1));
    }
    Ok(sums)
}

/// The statements that make a partition go.
fn statements(dialect: &dyn Dialect, subject: &Subject<'_>, partition: &Partition) -> Vec<String> {
    let (table, how) = (subject.table, subject.rule.partitions);
    let name = &partition.name;
    texts(match dialect.removal() {
        Some(Removal::Transactional) => vec![transactional::lock(name), transactional::remove(name, how)],
        Some(Removal::Exchanged) => {
            let [aside, _] = partition::aside_names(&table.name);
            let mut list = vec![
                exchanged::note_aside(&aside, &subject.job.name, &name.name),
                exchanged::exchange(&table.name, &name.name, &aside),
                exchanged::empty(&aside),
            ];
            if how == Partitions::Drop {
                list.push(exchanged::lock(&[&table.name]));
                list.push(exchanged::drop_partition(&table.name, &name.name));
                list.push(exchanged::unlock());
            }
            list
        }
        None => Vec::new(),
    })
}

/// Those before the first partition and after the last.
fn frame(dialect: &dyn Dialect, subject: &Subject<'_>, whole: &[WholePartition]) -> (Vec<String>, Vec<String>) {
    let table = subject.table;
    if dialect.removal() != Some(Removal::Exchanged) || whole.is_empty() {
        return (Vec::new(), Vec::new());
    }
    let [aside, _] = partition::aside_names(&table.name);
    let before = exchanged::make_aside(&table.name, &aside, &subject.job.name);
    (texts(before), texts(vec![exchanged::drop_table(&aside)]))
}

fn texts(statements: Vec<Statement>) -> Vec<String> {
    statements.into_iter().map(|statement| statement.sql).collect()
}

/// The table with rows of a partition that an earlier run left behind.
async fn set_aside(
    connection: &mut dyn Connection,
    dialect: &dyn Dialect,
    catalog: &Catalog,
    table: &Table,
) -> Result<Option<SetAside>, Error> {
    if dialect.removal() != Some(Removal::Exchanged) {
        return Ok(None);
    }
    let names = partition::aside_names(&table.name);
    let Some(aside) = names.iter().find(|name| catalog.get(name).is_some()) else { return Ok(None) };
    let rows = connection.fetch(&crate::database::statements::total(dialect, aside)).await?;
    let rows = rows.into_iter().flatten().next().flatten().and_then(|count| count.parse().ok()).unwrap_or(0);
    Ok(Some(SetAside { table: aside.clone(), rows }))
}
