//! Whether there is a row that two rules are about, where only the database can say.

use super::{conflict::Conflict, life::Life, names::Live};
use crate::{
    catalog::{Table, TableName},
    database::{KeyColumn, statements},
    plan::{condition, open::OpenDatabase},
    rules::Rule,
    sql::{Sql, Statement},
};
use std::collections::BTreeMap;

/// A step from a row to those of another table.
struct Hop {
    /// Columns here and there.
    pairs: Vec<(KeyColumn, KeyColumn)>,
    to: TableName,
}

/// The statement that has a row when one row of a table meets the conditions of both rules; `None` where one of these does
/// not fit, which is told elsewhere.
pub fn one_row(databases: &BTreeMap<String, OpenDatabase>, a: &Rule, b: &Rule) -> Option<Statement> {
    let names = Live(databases);
    let open = databases.get(&a.table.database)?;
    let (first, second) = (names.found(&a.table)?, names.found(&b.table)?);
    // of a table and its partition, the partition
    let table = if first.partition_of.is_some() { first } else { second };
    let open = if table.partition_of.is_some() || open.catalog.get(&table.name).is_some() {
        open
    } else {
        databases.get(&b.table.database)?
    };
    let row = open.dialect.row(&table.name);
    let (first, second) = (on(open, table, &row, a)?, on(open, table, &row, b)?);
    Some(statements::overlap(open.dialect, &table.name, &first, &second))
}

/// The statement that has a row when a row of the reader depends on one of the writer.
pub fn meeting(databases: &BTreeMap<String, OpenDatabase>, conflict: &Conflict, lives: &[Life]) -> Option<Statement> {
    let (writer, reader) = (&lives[conflict.writer], &lives[conflict.reader]);
    let write = &writer.writes[conflict.write];
    let related = Some(&reader.needs[conflict.need]).filter(|need| need.related);
    if !write.along && related.is_none() {
        return one_row(databases, writer.rule, reader.rule);
    }
    let names = Live(databases);
    let open = databases.get(&reader.rule.table.database)?;
    let dialect = open.dialect;
    let table = names.found(&reader.rule.table)?;
    let mut hops = Vec::new();
    if let Some(need) = related {
        let pairs = need.path.iter().map(|(theirs, ours)| (ours.clone(), theirs.clone())).collect();
        let to = TableName { schema: need.table.schema.clone(), name: need.table.name.clone() };
        hops.push(Hop { pairs, to });
    }
    for link in &write.links {
        let pairs = link.columns.iter().cloned().zip(link.referenced.iter().cloned()).collect();
        hops.push(Hop { pairs, to: link.to.clone() });
    }
    let target = names.found(&writer.rule.table)?;
    let row = dialect.row(&table.name);
    let last = |row: &str| on(open, target, row, writer.rule);
    let mut condition = on(open, table, &row, reader.rule)?;
    condition.push(" and ").append(&reached(open, &row, &hops, 1, &last)?);
    Some(dialect.finish(statements::some_row(dialect, &table.name, &condition)))
}

/// Some row lies behind the hops for which `last` holds.
fn reached(
    open: &OpenDatabase,
    row: &str,
    hops: &[Hop],
    level: usize,
    last: &dyn Fn(&str) -> Option<Sql>,
) -> Option<Sql> {
    let Some((hop, rest)) = hops.split_first() else { return last(row) };
    let alias = format!("m{level}");
    let dialect = open.dialect;
    let on: Vec<_> = hop
        .pairs
        .iter()
        .map(|(here, there)| format!("{} = {}", dialect.column(row, &here.name), dialect.column(&alias, &there.name)))
        .collect();
    let mut sql =
        Sql::new(format!("exists (select 1 from {} as {alias} where {}", dialect.table(&hop.to), on.join(" and ")));
    sql.push(" and ").append(&reached(open, &alias, rest, level + 1, last)?).push(")");
    Some(sql)
}

/// The rule's own condition on a row.
fn on(open: &OpenDatabase, table: &Table, row: &str, rule: &Rule) -> Option<Sql> {
    match &rule.condition {
        None => Some(Sql::all([])),
        Some(condition) => {
            condition::on_rows(open.dialect, table, row, condition, &rule.place.key("where"), &mut Vec::new())
                .map(Sql::nested)
        }
    }
}
