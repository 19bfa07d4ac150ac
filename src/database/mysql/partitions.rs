//! The partitions of MySQL and MariaDB: what the catalog tells of them, and the statements by which a whole one goes.
//!
//! DDL commits by itself here, and locks are the table's: reading a partition under one would stop the whole table. So
//! its rows change places with an empty table ("aside"), which takes a moment, and are read there.

use super::{
    super::{
        Connection, Dialect as _, Error, ErrorKind, KeyColumn,
        catalog::fields,
        partition::{Partition, Partitioning, Question, aside_names},
    },
    Mysql,
};
use crate::{
    catalog::TableName,
    clock::{Cutoffs, PointKind},
    sql::{PLACEHOLDER, Sql, Statement, Value},
};
use std::collections::BTreeSet;

const TREE: &str = "select cast(partition_name as char), cast(partition_method as char),
        cast(partition_expression as char), cast(partition_description as char), cast(subpartition_name as char)
    from information_schema.partitions where table_schema = ? and table_name = ? and partition_name is not null
    order by partition_ordinal_position";

/// What the user may do, as far as it is not a role's: `*` stands for every table of the database.
const PRIVILEGES: &str = "select '*', cast(privilege_type as char) from information_schema.user_privileges
        where grantee = concat('''', replace(current_user(), '@', '''@'''), '''')
    union all select '*', cast(privilege_type as char) from information_schema.schema_privileges
        where database() like table_schema and grantee = concat('''', replace(current_user(), '@', '''@'''), '''')
    union all select cast(table_name as char), cast(privilege_type as char) from information_schema.table_privileges
        where table_schema = database() and grantee = concat('''', replace(current_user(), '@', '''@'''), '''')
    union all select '*', 'ROLE' from dual where coalesce(nullif(current_role(), 'NONE'), '') <> ''";

/// What the exchange of a partition takes on the table, and on those that its rows stand in meanwhile. Without `trigger`
/// nobody sees that a trigger fires for each row that is deleted.
pub const ON_TABLE: [&str; 5] = ["alter", "create", "drop", "insert", "trigger"];
pub const ON_ASIDE: [&str; 5] = ["select", "alter", "create", "drop", "insert"];

/// Comments of tables that stand aside begin so; the partition's name follows. Another job has another ledger, which
/// does not know what this one has announced: so the job is named first.
fn note(job: &str) -> String {
    format!("sunset, job {job}: rows of partition")
}

/// The server's form of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Counted {
    /// The column's own values.
    Values,
    Days,
    Years,
    Seconds,
    UnixSeconds,
}

pub(super) async fn read(connection: &mut dyn Connection, question: &Question<'_>) -> Result<Partitioning, Error> {
    let table = &question.table.name;
    let args = [&table.schema, &table.name].map(|name| Value::Text(name.clone())).to_vec();
    let mut partitioning = Partitioning::default();
    let mut obstacle = |words: String| partitioning.obstacles.push(words);
    let mut rows: Vec<[String; 5]> = Vec::new();
    for row in connection.fetch(&Statement { sql: TREE.into(), args }).await? {
        rows.push(fields(row)?);
    }
    let Some([_, method, expression, _, subpartition]) = rows.first() else {
        obstacle("the table has no partitions".to_owned());
        return Ok(partitioning);
    };
    let Some(counted) = counted(method, expression, question) else {
        obstacle(format!("it is not partitioned by ranges of {}", question.column.name));
        return Ok(partitioning);
    };
    if !subpartition.is_empty() {
        obstacle("its partitions have subpartitions".to_owned());
        return Ok(partitioning);
    }
    let missing = missing_privileges(connection, question).await?;
    if !missing.is_empty() {
        obstacle(format!("privileges are missing ({}): see `sunset grants`", missing.join(", ")));
    }
    let places = connection.fetch(&places(&rows, counted, question)).await?;
    if places.len() != rows.len() {
        return Err(Error::new(ErrorKind::Other, "the server does not say where all partitions lie"));
    }
    let count = rows.len();
    for (number, ([name, _, _, bound, _], past)) in rows.into_iter().zip(places).enumerate() {
        let [past] = fields(past)?;
        partitioning.partitions.push(Partition {
            name: TableName { schema: table.schema.clone(), name },
            parent: table.clone(),
            leaves: Vec::new(),
            bound: format!("values less than ({bound})"),
            past: past == "1",
            last: number + 1 == count,
            obstacle: None,
        });
    }
    Ok(partitioning)
}

/// What the partitions are ranges of, if that is the starting point.
fn counted(method: &str, expression: &str, question: &Question<'_>) -> Option<Counted> {
    let expression = expression.to_lowercase();
    let column = question.column.name.to_lowercase();
    // MySQL keeps the quotes of the session that made the table
    let is_column = |text: &str| text.trim().trim_matches(['`', '"']) == column;
    let time = matches!(question.kind, PointKind::Date | PointKind::DateTime | PointKind::Instant);
    let epoch = is_epoch(question.kind);
    match method {
        "RANGE COLUMNS" => {
            let first = expression.split(',').next()?;
            (is_column(first) && (time || epoch)).then_some(Counted::Values)
        }
        "RANGE" if is_column(&expression) => epoch.then_some(Counted::Values),
        "RANGE" => {
            let (function, argument) = expression.strip_suffix(')')?.split_once('(')?;
            let counted = match function.trim() {
                "to_days" => Counted::Days,
                "year" => Counted::Years,
                "to_seconds" => Counted::Seconds,
                "unix_timestamp" => Counted::UnixSeconds,
                _ => return None,
            };
            (time && is_column(argument)).then_some(counted)
        }
        _ => None,
    }
}

/// For each partition whether its range is past; the server knows the order of its own values.
fn places(rows: &[[String; 5]], counted: Counted, question: &Question<'_>) -> Statement {
    let mut lower: Option<Sql> = None;
    let mut selects = Vec::new();
    for [_, _, _, bound, _] in rows {
        let upper = end(bound, counted, question.kind);
        let past = upper.as_ref();
        let past = past
            .map_or_else(|| Sql::new("1 = 0"), |upper| self::past(lower.as_ref(), upper, question.past, question.kind));
        let mut select = Sql::new("select cast(case when ");
        select.append(&past.inside(|past| format!("{past} then 1 else 0 end as char)")));
        selects.push(select);
        lower = upper.map(|(sql, _)| sql);
    }
    Mysql { mariadb: true }.finish(Sql::join(&selects, " union all "))
}

/// The upper end of a partition's range as a value to compare, and whether rows may have the value itself.
fn end(bound: &str, counted: Counted, kind: PointKind) -> Option<(Sql, bool)> {
    // of several columns, the first one decides
    let (first, more) = match bound.strip_prefix('\'') {
        Some(rest) => {
            let (value, rest) = rest.split_once('\'')?;
            (value, rest.starts_with(','))
        }
        None => bound.split_once(',').map_or((bound, false), |(first, _)| (first, true)),
    };
    if first.eq_ignore_ascii_case("maxvalue") {
        return None;
    }
    let number = format!("cast({PLACEHOLDER} as signed)");
    let text = match counted {
        Counted::Values if is_epoch(kind) => number,
        Counted::Values => format!("cast({PLACEHOLDER} as datetime(6))"),
        Counted::Days => format!("cast(from_days({number}) as datetime(6))"),
        Counted::Years => format!("cast(makedate({number}, 1) as datetime(6))"),
        Counted::UnixSeconds => format!("cast(from_unixtime({number}) as datetime(6))"),
        // the first day that the calendar has is the 366th
        Counted::Seconds => {
            format!("timestampadd(second, {number} - 366 * 86400, cast('0001-01-01' as datetime(6)))")
        }
    };
    Some((Sql::bound(text, Value::Text(first.to_owned())), more))
}

/// The range from `lower` (from the beginning of time without it) to `upper` lies in one that is past.
fn past(lower: Option<&Sql>, (upper, more): &(Sql, bool), past: &Cutoffs, kind: PointKind) -> Sql {
    let bound = |text: &String, sign: &str| {
        let cast = if is_epoch(kind) { "signed" } else { "datetime(6)" };
        Sql::bound(format!(" {sign} cast({PLACEHOLDER} as {cast})"), Value::Text(text.clone()))
    };
    let ranges: Vec<_> = past
        .ranges
        .iter()
        .map(|range| {
            let mut sql = upper.clone();
            sql.append(&bound(&range.before, if *more { "<" } else { "<=" }));
            match (&range.from, lower) {
                (None, _) => {}
                (Some(_), None) => drop(sql.push(" and 1 = 0")),
                (Some(from), Some(lower)) => drop(sql.push(" and ").append(lower).append(&bound(from, ">="))),
            }
            sql.nested()
        })
        .collect();
    if ranges.is_empty() { Sql::new("1 = 0") } else { Sql::join(&ranges, " or ").nested() }
}

fn is_epoch(kind: PointKind) -> bool {
    matches!(kind, PointKind::EpochSeconds | PointKind::EpochMilliseconds)
}

/// In words, for example `drop on events`.
async fn missing_privileges(connection: &mut dyn Connection, question: &Question<'_>) -> Result<Vec<String>, Error> {
    let mut has = BTreeSet::new();
    for row in connection.fetch(&Statement::new(PRIVILEGES)).await? {
        let [table, privilege] = fields(row)?;
        has.insert((table, privilege.to_lowercase()));
    }
    let may = |table: &str, privilege: &str| {
        let has = |table: &str, privilege: &str| has.contains(&(table.to_owned(), privilege.to_owned()));
        // what a role allows is not listed
        has("*", "role") || has("*", privilege) || has(table, privilege)
    };
    let table = &question.table.name;
    let aside = aside_names(table);
    let needs = ON_TABLE
        .iter()
        .map(|privilege| (&table.name, *privilege))
        .chain(aside.iter().flat_map(|aside| ON_ASIDE.iter().map(move |privilege| (&aside.name, *privilege))));
    let mut missing: Vec<_> = needs
        .filter(|(table, privilege)| !may(table, privilege))
        .map(|(table, privilege)| format!("{privilege} on {table}"))
        .collect();
    if !may("*", "lock tables") {
        missing.push(format!("lock tables on {}", table.schema));
    }
    Ok(missing)
}

const DIALECT: Mysql = Mysql { mariadb: true };

/// A partition as the place that rows are read from.
pub fn partition_of(table: &TableName, partition: &str) -> String {
    format!("{} partition ({})", DIALECT.table(table), DIALECT.quote(partition))
}

/// An empty table like the partitioned one, without partitions; its comment says that nothing stands in it yet.
pub fn make_aside(table: &TableName, aside: &TableName, job: &str) -> Vec<Statement> {
    let (table, aside) = (DIALECT.table(table), DIALECT.table(aside));
    vec![
        Statement::new(format!("create table {aside} like {table}")),
        Statement::new(format!("alter table {aside} comment = {} remove partitioning", DIALECT.literal(&note(job)))),
    ]
}

/// Says in the table's comment which partition's rows it will hold.
pub fn note_aside(aside: &TableName, job: &str, partition: &str) -> Statement {
    let note = DIALECT.literal(&format!("{} {partition}", note(job)));
    Statement::new(format!("alter table {} comment = {note}", DIALECT.table(aside)))
}

/// The comment of a table; no row where there is none of that name.
pub fn read_note(aside: &TableName) -> Statement {
    let sql = format!(
        "select cast(table_comment as char) from information_schema.tables
         where table_schema = {PLACEHOLDER} and table_name = {PLACEHOLDER}"
    );
    let args = [&aside.schema, &aside.name].map(|name| Value::Text(name.clone())).to_vec();
    DIALECT.finish(Sql { text: sql, args })
}

/// The partition that the comment names: empty when there is none yet. `None` for a comment of somebody else's table, or
/// of another job's.
pub fn noted<'a>(comment: &'a str, job: &str) -> Option<&'a str> {
    let rest = comment.strip_prefix(note(job).as_str())?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix(' ') }
}

/// For the statements of the session from here on: seconds that they wait for a table's metadata. MySQL takes no 0.
pub fn wait_at_most(seconds: u64) -> Statement {
    let seconds = match seconds {
        0 => "if(version() like '%MariaDB%', 0, 1)".to_owned(),
        seconds => seconds.to_string(),
    };
    Statement::new(format!("set session lock_wait_timeout = {seconds}"))
}

pub fn exchange(table: &TableName, partition: &str, aside: &TableName) -> Statement {
    let (table, partition, aside) = (DIALECT.table(table), DIALECT.quote(partition), DIALECT.table(aside));
    Statement::new(format!("alter table {table} exchange partition {partition} with table {aside}"))
}

/// Rows that came to the partition while its own stood aside join them. What was copied before a crash is there already.
pub fn join(table: &TableName, partition: &str, aside: &TableName, columns: &[String]) -> Statement {
    let columns = columns.iter().map(|column| DIALECT.quote(column)).collect::<Vec<_>>().join(", ");
    let (aside, partition) = (DIALECT.table(aside), partition_of(table, partition));
    Statement::new(format!("insert ignore into {aside} ({columns}) select {columns} from {partition}"))
}

/// A row where the table has one that the partition has not.
pub fn not_in_partition(aside: &TableName, table: &TableName, partition: &str, key: &[KeyColumn]) -> Statement {
    let column = |row: &str, column: &KeyColumn| DIALECT.column(row, &column.name);
    let equal: Vec<_> = key.iter().map(|key| format!("{} = {}", column("`b`", key), column("`a`", key))).collect();
    Statement::new(format!(
        "select '1' from {} as `a` where not exists (select 1 from {} as `b` where {}) limit 1",
        DIALECT.table(aside),
        partition_of(table, partition),
        equal.join(" and ")
    ))
}

/// A row while the place has one.
pub fn any_row(place: &str) -> Statement {
    Statement::new(format!("select '1' from {place} limit 1"))
}

pub fn empty(aside: &TableName) -> Statement {
    Statement::new(format!("truncate table {}", DIALECT.table(aside)))
}

pub fn drop_table(aside: &TableName) -> Statement {
    Statement::new(format!("drop table {}", DIALECT.table(aside)))
}

pub fn rename(from: &TableName, to: &TableName) -> Statement {
    Statement::new(format!("rename table {} to {}", DIALECT.table(from), DIALECT.table(to)))
}

/// Nobody else comes to these tables until [`unlock`].
pub fn lock(tables: &[&TableName]) -> Statement {
    let tables: Vec<_> = tables.iter().map(|table| format!("{} write", DIALECT.table(table))).collect();
    Statement::new(format!("lock tables {}", tables.join(", ")))
}

pub fn unlock() -> Statement {
    Statement::new("unlock tables")
}

pub fn drop_partition(table: &TableName, partition: &str) -> Statement {
    Statement::new(format!("alter table {} drop partition {}", DIALECT.table(table), DIALECT.quote(partition)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_say_whose_rows_stand_aside() {
        let aside = TableName { schema: "s".into(), name: "a".into() };
        assert_eq!(
            note_aside(&aside, "demo", "p'1").sql,
            "alter table `s`.`a` comment = 'sunset, job demo: rows of partition p''1'"
        );
        assert_eq!(noted("sunset, job demo: rows of partition p'1", "demo"), Some("p'1"));
        assert_eq!(noted("sunset, job demo: rows of partition", "demo"), Some(""));
        assert_eq!(noted("sunset, job demonstration: rows of partition p", "demo"), None);
        assert_eq!(noted("people's logins", "demo"), None);
    }

    #[test]
    fn ends_of_ranges_are_values_of_the_column() {
        let text = |bound: &str, counted, kind| end(bound, counted, kind).map(|(sql, more)| (sql.args, more));
        let value = |text: &str| vec![Value::Text(text.to_owned())];
        assert_eq!(text("MAXVALUE", Counted::Days, PointKind::Date), None);
        assert_eq!(text("738000", Counted::Days, PointKind::Date), Some((value("738000"), false)));
        assert_eq!(text("'2020-01-01'", Counted::Values, PointKind::Date), Some((value("2020-01-01"), false)));
        assert_eq!(text("'2020-01-01',5", Counted::Values, PointKind::Date), Some((value("2020-01-01"), true)));
        assert_eq!(text("1600000000,'x'", Counted::Values, PointKind::EpochSeconds), Some((value("1600000000"), true)));
        assert_eq!(text("MAXVALUE,MAXVALUE", Counted::Values, PointKind::Date), None);
    }
}
