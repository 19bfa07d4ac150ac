//! The groups that anonymized rows form by their quasi-identifiers, and the statements that ask for those that are too
//! small. Pure: no server is asked.

use super::{Dialect, Error, ErrorKind, Row, Work, statements::KeySelection};
use crate::{
    catalog::TableName,
    sql::{Sql, Statement},
};
use serde::{Deserialize, Serialize};

/// The groups of one rule's rows.
#[derive(Clone, Debug)]
pub struct GroupsWork {
    pub table: TableName,
    /// The rows that are counted: due, governed by the rule, and done, held ones included.
    pub population: Sql,
    /// A hold suspends what would be done with them.
    pub held: Option<Sql>,
    /// What rows of one group share, in SQL that tells all values apart, whatever the collation.
    pub by: Vec<String>,
    /// So many rows a group has at least.
    pub k: u64,
    pub diverse: Vec<Diverse>,
    /// Rows without any quasi-identifier, as a condition, where these are not counted: nothing tells them apart.
    pub bare: Option<String>,
}

/// A sensitive column.
#[derive(Clone, Debug)]
pub struct Diverse {
    pub value: String,
    /// So many different values a group has at least.
    pub least: u64,
}

impl GroupsWork {
    /// A group with these counts is too small.
    fn too_small(&self) -> String {
        let mut terms = vec![format!("members < {}", self.k)];
        terms.extend(self.diverse.iter().enumerate().map(|(i, diverse)| format!("values{i} < {}", diverse.least)));
        match self.bare {
            Some(_) => format!("(bare = 0 and ({}))", terms.join(" or ")),
            None => format!("({})", terms.join(" or ")),
        }
    }
}

/// The groups at one moment. Numbers alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupCounts {
    pub rows: u64,
    pub groups: u64,
    /// Rows of the smallest group; 0 where there is none.
    pub smallest: u64,
    /// Groups that are too small, or have too few different values.
    pub below: u64,
    pub rows_below: u64,
    /// Of those, the held ones.
    pub held_below: u64,
}

impl GroupCounts {
    /// Rows of too small groups that may be changed.
    pub fn free_below(&self) -> u64 {
        self.rows_below.saturating_sub(self.held_below)
    }

    /// Of the row that [`count`] asks for.
    ///
    /// # Errors
    /// It is not there: then nobody knows how large the groups are.
    pub fn read(rows: &[Row]) -> Result<Self, Error> {
        let row = rows.first().map(Vec::as_slice).unwrap_or_default();
        let numbers: Option<Vec<u64>> = row.iter().map(|number| number.as_deref()?.parse().ok()).collect();
        match numbers.as_deref() {
            Some(&[rows, groups, smallest, below, rows_below, held_below]) => {
                Ok(Self { rows, groups, smallest, below, rows_below, held_below })
            }
            _ => Err(Error::new(ErrorKind::Other, "the server's count of the groups cannot be read")),
        }
    }
}

/// One row: rows, groups, the smallest group's rows; of the groups that are too small their number, their rows, and of these
/// the held ones.
pub fn count(dialect: &dyn Dialect, work: &GroupsWork) -> Statement {
    let small = work.too_small();
    let sum = |value: &str| format!("coalesce(sum(case when {small} then {value} else 0 end), 0)");
    let columns = [
        "coalesce(sum(members), 0)".to_owned(),
        "count(*)".to_owned(),
        match work.bare {
            Some(_) => "coalesce(min(case when bare = 0 then members end), 0)".to_owned(),
            None => "coalesce(min(members), 0)".to_owned(),
        },
        sum("1"),
        sum("members"),
        sum("held"),
    ];
    let columns: Vec<_> = columns.iter().map(|column| dialect.shown(column)).collect();
    let mut sql = Sql::new(format!("select {} from (select count(*) as members, ", columns.join(", ")));
    match &work.held {
        Some(held) => sql.push("sum(case when ").append(held).push(" then 1 else 0 end) as held"),
        None => sql.push("0 as held"),
    };
    if let Some(bare) = &work.bare {
        sql.push(&format!(", max(case when {bare} then 1 else 0 end) as bare"));
    }
    for (i, diverse) in work.diverse.iter().enumerate() {
        sql.push(&format!(", count(distinct {}) as values{i}", diverse.value));
    }
    sql.push(&format!(" from {} where ", dialect.target(&work.table))).append(&work.population);
    sql.push(&format!(" group by {}) as grouped", work.by.join(", ")));
    dialect.finish(sql)
}

/// Rows of too small groups of which a measure would change something, as the measure's selection has them.
pub fn page(
    dialect: &dyn Dialect,
    work: &GroupsWork,
    measure: &Work,
    pending: Option<&Sql>,
    selection: &KeySelection,
    limit: u64,
) -> Statement {
    let row = dialect.row(&work.table);
    let texts = selection.texts(dialect, &row);
    let named = |prefix: &str, number: usize| -> Vec<String> { (0..number).map(|i| format!("{prefix}{i}")).collect() };
    let (keys, groups) = (named("key", texts.len()), named("by", work.by.len()));
    let counted: Vec<_> = (0..work.diverse.len())
        .map(|i| format!(", count(first{i}) over (partition by {}) as values{i}", groups.join(", ")))
        .collect();
    let mut sql = Sql::new(format!("select {} from (select {}, ", keys.join(", "), keys.join(", ")));
    if work.bare.is_some() {
        sql.push("bare, ");
    }
    sql.push(&format!(
        "free, count(*) over (partition by {}) as members{} from (",
        groups.join(", "),
        counted.concat()
    ));
    let list: Vec<_> = texts.iter().zip(&keys).chain(work.by.iter().zip(&groups)).collect();
    let list: Vec<_> = list.into_iter().map(|(expression, name)| format!("{expression} as {name}")).collect();
    sql.push(&format!("select {}, case when ", list.join(", ")));
    let not_held = measure.held.clone().map(Sql::negated);
    sql.append(&Sql::all(pending.into_iter().chain(&not_held))).push(" then 1 else 0 end as free");
    if let Some(bare) = &work.bare {
        sql.push(&format!(", case when {bare} then 1 else 0 end as bare"));
    }
    for (i, Diverse { value, .. }) in work.diverse.iter().enumerate() {
        let by = work.by.join(", ");
        sql.push(&format!(
            ", case when {value} is not null and \
             row_number() over (partition by {by}, {value} order by {value}) = 1 then 1 end as first{i}"
        ));
    }
    sql.push(&format!(" from {} where ", dialect.target(&work.table))).append(&work.population);
    let order = keys.join(", ");
    sql.push(&format!(
        ") as grouped) as counted where free = 1 and {} order by {order} limit {limit}",
        work.too_small()
    ));
    dialect.finish(sql)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        catalog::{Codec, Engine},
        clock::PointKind,
        database::{Change, KeyColumn, Point, dialect},
        evidence::Evidence,
        sql::Value,
    };

    #[test]
    fn statements_of_each_engine() {
        for (engine, version) in [(Engine::Postgres, ""), (Engine::Mysql, "11.4.2-MariaDB"), (Engine::Sqlite, "")] {
            let dialect = dialect(engine, version);
            let table = TableName { schema: "public".to_owned(), name: "people".to_owned() };
            let row = dialect.row(&table);
            let here = |name: &str| dialect.column(&row, name);
            let held = Sql::bound(format!("{} = \u{1}", here("id")), Value::Text("7".to_owned()));
            let due = Sql::bound(format!("{} <= \u{1}", here("left_on")), Value::Text("2001-01-01".to_owned()));
            let measure = Work {
                table: table.clone(),
                key: vec![KeyColumn { name: "id".into(), codec: Codec::row_id() }],
                rowid: None,
                leaves: vec![table.clone()],
                point: Point { value: Sql::new(here("left_on")), kind: PointKind::Date, related: false },
                point_column: None,
                condition: None,
                undone: None,
                due: due.clone(),
                plainly_due: None,
                overdue: None,
                unreadable: Sql::default(),
                missing: None,
                plainly_missing: None,
                held: Some(held.clone()),
                waiting: None,
                recipients: Vec::new(),
                change: Change::Erase,
                evidence: Evidence::Rows,
                aggregate: None,
                dependents: Vec::new(),
                watched: None,
                guards: Vec::new(),
            };
            let pending = Sql::new(format!("{} is not null", here("town")));
            let work = GroupsWork {
                table,
                population: due,
                held: Some(held),
                by: vec![here("town"), here("born")],
                k: 10,
                diverse: vec![Diverse { value: here("arrears"), least: 2 }],
                bare: None,
            };
            let plain = GroupsWork { held: None, diverse: Vec::new(), ..work.clone() };
            let bare = Some(format!("{} is null and {} is null", here("town"), here("born")));
            let but_bare = GroupsWork { bare, ..plain.clone() };
            let selection = KeySelection::of(&measure);
            let shown = [
                count(dialect, &plain),
                count(dialect, &work),
                page(dialect, &work, &measure, Some(&pending), &selection, 100),
                page(dialect, &plain, &Work { held: None, ..measure.clone() }, None, &selection, 100),
                count(dialect, &but_bare),
                page(dialect, &but_bare, &Work { held: None, ..measure.clone() }, Some(&pending), &selection, 100),
            ];
            let shown = shown.map(|statement| {
                let values: Vec<_> = statement.args.iter().map(ToString::to_string).collect();
                format!("{}\n-- {}", statement.sql, values.join(", "))
            });
            insta::assert_snapshot!(engine.to_string(), shown.join("\n\n"));
        }
    }
}
