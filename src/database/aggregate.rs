//! Rows that are added up before they go, as SQL. Pure: no server is asked.
//!
//! A survey lets the groups into the target that have enough persons, with nothing in their totals. Each batch then adds
//! exactly the rows that it erases, in its own transaction, to those groups that are there. So a group that is too small
//! never gets a row, and every other row is counted once, whatever moment a run ends at.

use super::{
    Dialect, KeyColumn, Work,
    statements::{self, Range},
};
use crate::{
    catalog::TableName,
    sql::{PLACEHOLDER, Sql, Statement, Value},
};

mod arithmetic;

pub use arithmetic::{Arithmetic, MOST_PLACES};

/// Where a rule's rows are added up, and how.
#[derive(Clone, Debug)]
pub struct AggregateWork {
    pub into: TableName,
    /// Columns of the target, and what they are of a row of the rule's table: null where the row belongs to no group.
    pub by: Vec<(String, Sql)>,
    pub totals: Vec<AddedUp>,
    /// The column of the rule's table that tells persons apart.
    pub persons: String,
    /// A group has so many.
    pub at_least: u64,
    /// The column of the target that keeps their number.
    pub counted_in: String,
}

/// A total.
#[derive(Clone, Debug)]
pub struct AddedUp {
    /// The target's column.
    pub into: String,
    /// The column of the rule's table whose sum is added; without one, the number of rows.
    pub summed: Option<KeyColumn>,
    pub arithmetic: Arithmetic,
}

/// Lets the groups of the disposable rows into the target that have enough persons. Another time it does nothing but raise
/// numbers of persons: of rows that are half gone it counts too few, never too many.
pub fn survey(dialect: &dyn Dialect, work: &Work, aggregate: &AggregateWork) -> Statement {
    let AggregateWork { into, by, totals, at_least, counted_in, .. } = aggregate;
    let quoted = |name: &String| dialect.quote(name);
    let key: Vec<_> = by.iter().map(|(name, _)| quoted(name)).collect();
    let columns = key.iter().cloned().chain(totals.iter().map(|total| quoted(&total.into))).chain([quoted(counted_in)]);
    let columns: Vec<_> = columns.collect();
    let groups = numbered("r.k", by.len()).join(", ");
    let zeros = ", 0".repeat(totals.len());
    let mut sql = Sql::new(format!(
        "insert into {} ({}) select {groups}{zeros}, count(distinct r.p) from (",
        dialect.table(into),
        columns.join(", ")
    ));
    sql.append(&rows(dialect, &work.table, "", aggregate, &work.disposable_rows(), false)).push(") as r where ");
    sql.push(&is_group("r", by.len())).push(&format!(" group by {groups} having count(distinct r.p) >= "));
    sql.append(&number(*at_least)).push(&dialect.raise(into, &key, &quoted(counted_in)));
    dialect.finish(sql)
}

/// Three numbers of the disposable rows: groups that a survey lets into the target or that are there already, groups that
/// stay out, and rows that go uncounted, because their group stays out or they belong to none.
pub fn tally(dialect: &dyn Dialect, work: &Work, aggregate: &AggregateWork) -> Statement {
    let by = &aggregate.by;
    let groups = numbered("r.k", by.len()).join(", ");
    let named: Vec<_> = (0..by.len()).map(|i| format!("r.k{i} as k{i}")).collect();
    let first = dialect.column("o", &by[0].0);
    let is_group = is_group("s", by.len());
    let mut kept = Sql::new(format!("{is_group} and ({first} is not null or s.p >= "));
    kept.append(&number(aggregate.at_least)).push(")");
    let mut out = Sql::new(format!("{is_group} and {first} is null and s.p < "));
    out.append(&number(aggregate.at_least));
    let sum = |condition: &Sql, then: &str, otherwise: &str| {
        let mut sum = condition.clone();
        let text = format!("coalesce(sum(case when {} then {then} else {otherwise} end), 0)", sum.text);
        sum.text = dialect.shown(&text);
        sum
    };
    let mut sql = Sql::new("select ");
    sql.append(&Sql::join(&[sum(&kept, "1", "0"), sum(&out, "1", "0"), sum(&kept, "0", "s.n")], ", "));
    sql.push(&format!(" from (select {}, count(*) as n, count(distinct r.p) as p from (", named.join(", ")));
    sql.append(&rows(dialect, &work.table, "", aggregate, &work.disposable_rows(), false));
    sql.push(&format!(") as r group by {groups}) as s left join {} as o on ", dialect.table(&aggregate.into)));
    sql.push(&same_group(dialect, "o", aggregate, "s"));
    dialect.finish(sql)
}

/// For each total, how many disposable rows have a value that cannot be added exactly; `None` where there can be none.
pub fn doubtful(dialect: &dyn Dialect, work: &Work, aggregate: &AggregateWork) -> Option<Statement> {
    let row = dialect.row(&work.table);
    let count = |total: &AddedUp| {
        let column = total.summed.as_ref()?;
        let addable = total.arithmetic.addable(&dialect.column(&row, &column.name))?;
        Some(format!("coalesce(sum(case when {addable} then 0 else 1 end), 0)"))
    };
    let counts: Vec<_> = aggregate.totals.iter().map(count).collect();
    if counts.iter().all(Option::is_none) {
        return None;
    }
    let shown = counts.into_iter().map(|count| dialect.shown(&count.unwrap_or_else(|| "0".to_owned())));
    let mut sql = Sql::new(format!(
        "select {} from {} where ",
        shown.collect::<Vec<_>>().join(", "),
        dialect.target(&work.table)
    ));
    sql.append(&work.disposable_rows());
    Some(dialect.finish(sql))
}

/// Adds the rows with these locators, all of which are locked and about to go.
pub fn add_keys(dialect: &dyn Dialect, work: &Work, aggregate: &AggregateWork, keys: &[Vec<String>]) -> Statement {
    let condition = dialect.one_of(&dialect.row(&work.table), &work.locator(), keys);
    add(dialect, &work.table, "", aggregate, &condition)
}

/// Adds the disposable rows of a range; the transaction has to [see one moment](super::Connection::begin_still).
pub fn add_range(dialect: &dyn Dialect, work: &Work, aggregate: &AggregateWork, range: &Range) -> Statement {
    let condition = statements::in_range(dialect, work, range, work.disposable_rows());
    add(dialect, range.table(work), dialect.along_key(), aggregate, &condition)
}

/// Rows find their group by the comparison of the target's own columns, so that each finds one at most.
fn add(dialect: &dyn Dialect, table: &TableName, along: &str, aggregate: &AggregateWork, condition: &Sql) -> Statement {
    let AggregateWork { into, by, totals, .. } = aggregate;
    let key: Vec<_> = by.iter().map(|(name, _)| dialect.column("o", name)).collect();
    let named: Vec<_> = key.iter().enumerate().map(|(i, column)| format!("{column} as k{i}")).collect();
    let sums = totals.iter().enumerate().map(|(i, total)| match total.summed {
        Some(_) => format!("coalesce(sum(r.v{i}), 0) as s{i}"),
        None => format!("count(*) as s{i}"),
    });
    let sums: Vec<_> = sums.collect();
    let mut groups = Sql::new(format!("select {}, {} from (", named.join(", "), sums.join(", ")));
    groups.append(&rows(dialect, table, along, aggregate, condition, true));
    groups.push(&format!(") as r join {} as o on ", dialect.table(into)));
    groups.push(&same_group(dialect, "o", aggregate, "r")).push(&format!(" group by {}", key.join(", ")));
    let added = totals.iter().enumerate().map(|(i, total)| {
        let (column, old) = (dialect.quote(&total.into), dialect.column("g", &total.into));
        (column, total.arithmetic.total(&old, &format!("s.s{i}")))
    });
    let same = same_group(dialect, "g", aggregate, "s");
    dialect.finish(dialect.update_from(into, "g", &added.collect::<Vec<_>>(), &groups.nested(), "s", &same))
}

/// What an aggregate takes of the rows of a condition: their group (`k0`, …), and either their numbers (`v0`, …) or whose
/// they are (`p`).
fn rows(
    dialect: &dyn Dialect,
    table: &TableName,
    along: &str,
    aggregate: &AggregateWork,
    condition: &Sql,
    numbers: bool,
) -> Sql {
    let row = dialect.row(table);
    let mut list: Vec<Sql> = Vec::new();
    for (i, (_, group)) in aggregate.by.iter().enumerate() {
        let mut column = group.clone();
        column.push(&format!(" as k{i}"));
        list.push(column);
    }
    match numbers {
        true => list.extend(aggregate.totals.iter().enumerate().filter_map(|(i, total)| {
            let column = total.summed.as_ref()?;
            let term = total.arithmetic.term(&dialect.column(&row, &column.name), &column.codec.cast);
            Some(Sql::new(format!("{term} as v{i}")))
        })),
        false => list.push(Sql::new(format!("{} as p", dialect.column(&row, &aggregate.persons)))),
    }
    let mut sql = Sql::new("select ");
    sql.append(&Sql::join(&list, ", "));
    sql.push(&format!(" from {}{along} where ", dialect.target(table))).append(condition);
    sql
}

/// `prefix0`, `prefix1`, …
fn numbered(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|i| format!("{prefix}{i}")).collect()
}

fn is_group(row: &str, count: usize) -> String {
    let known: Vec<_> = (0..count).map(|i| format!("{row}.k{i} is not null")).collect();
    known.join(" and ")
}

/// The target's own column comes first: on SQLite its collation decides.
fn same_group(dialect: &dyn Dialect, target: &str, aggregate: &AggregateWork, rows: &str) -> String {
    let by = aggregate.by.iter().enumerate();
    let equal: Vec<_> = by.map(|(i, (name, _))| format!("{} = {rows}.k{i}", dialect.column(target, name))).collect();
    equal.join(" and ")
}

fn number(number: u64) -> Sql {
    Sql::bound(PLACEHOLDER.to_string(), Value::Integer(i64::try_from(number).unwrap_or(i64::MAX)))
}
