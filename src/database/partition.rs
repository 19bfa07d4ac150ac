//! Partitions: what an engine tells of them, and the statements by which a whole one goes.
//!
//! On PostgreSQL a change of the schema is part of a transaction, so a partition is locked, read and removed in one. On
//! MySQL it is not, and a partition cannot be locked without its table: there the rows of a partition change places with
//! an empty table first, and are read where nobody else comes.

use super::{Dialect, KeyColumn, Work, statements::KeySelection};
use crate::{
    catalog::{Table, TableName},
    clock::{Cutoffs, PointKind},
    rules::Partitions,
    sql::{PLACEHOLDER, Sql, Statement, Value},
};

/// How a table is partitioned, as far as whole partitions may go.
#[derive(Clone, Debug, Default)]
pub struct Partitioning {
    /// Why none of them can go whole, whatever their rows: each in words.
    pub obstacles: Vec<String>,
    /// Those whose own bound is a range of the starting point's column, parents before their children.
    pub partitions: Vec<Partition>,
}

/// One partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// PostgreSQL: the table that it is. MySQL: its name, in the table's schema.
    pub name: TableName,
    /// The partitioned table that it belongs to.
    pub parent: TableName,
    /// PostgreSQL: the tables that hold its rows, itself or those below it.
    pub leaves: Vec<TableName>,
    /// As the server writes it.
    pub bound: String,
    /// Every value of its range is past the retention period.
    pub past: bool,
    /// No partition beside it lies higher: new rows may be meant for it.
    pub last: bool,
    /// Why it cannot go whole, whatever its rows.
    pub obstacle: Option<String>,
}

/// What is asked of a table's partitions.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    pub table: &'a Table,
    /// The column that holds the starting point.
    pub column: &'a KeyColumn,
    pub kind: PointKind,
    /// Which of its values are past the retention period.
    pub past: &'a Cutoffs,
    pub how: Partitions,
}

/// How a whole partition goes on an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// It is a table of its own, locked, read and removed in one transaction: see [`super::transactional`].
    Transactional,
    /// It changes places with an empty table, which is read and emptied: see [`super::exchanged`].
    Exchanged,
}

/// The tables where rows of a partition stand while it is decided what becomes of them, and on their way back.
pub fn aside_names(table: &TableName) -> [TableName; 2] {
    let digest = hex::encode(&super::digest(&table.to_string())[..6]);
    ["out", "back"].map(|way| TableName { schema: table.schema.clone(), name: format!("sunset_{way}_{digest}") })
}

/// Where rows are read: a partition, or the table that they stand in meanwhile, called as the rule's conditions call the
/// rule's table.
pub fn source(dialect: &dyn Dialect, work: &Work, place: &TableName) -> String {
    format!("{} as {}", dialect.table(place), dialect.row(&work.table))
}

/// Two numbers: all rows, and the disposable ones.
pub fn tally(dialect: &dyn Dialect, work: &Work, source: &str) -> Statement {
    let mut sql = Sql::new(format!("select {}, ", dialect.shown("count(*)")));
    sql.append(&number_of(dialect, work.disposable_rows())).push(&format!(" from {source}"));
    dialect.finish(sql)
}

fn number_of(dialect: &dyn Dialect, rows: Sql) -> Sql {
    rows.inside(|rows| dialect.shown(&format!("coalesce(sum(case when {rows} then 1 else 0 end), 0)")))
}

/// A part of a place that is read whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Page {
    /// PostgreSQL: heap blocks, the end excluded.
    Blocks {
        from: u64,
        to: u64,
    },
    /// After the first key, up to and including the second.
    Keys {
        after: Option<Vec<String>>,
        through: Option<Vec<String>>,
    },
    All,
}

impl Page {
    fn condition(&self, dialect: &dyn Dialect, work: &Work) -> Sql {
        let row = dialect.row(&work.table);
        match self {
            Self::All => Sql::all([]),
            Self::Blocks { from, to } => {
                let text = format!("{row}.ctid >= {PLACEHOLDER}::text::tid and {row}.ctid < {PLACEHOLDER}::text::tid");
                Sql { text, args: vec![Value::Text(format!("({from},0)")), Value::Text(format!("({to},0)"))] }
            }
            Self::Keys { after, through } => {
                let after = after.as_ref().map(|after| dialect.beyond(&row, &work.key, after, false));
                let through = through.as_ref().map(|through| dialect.through(&row, &work.key, through));
                Sql::all(after.iter().chain(&through))
            }
        }
    }
}

/// What tells the rows of a page.
pub enum PageStatement {
    /// One row: all keys of disposable rows as one JSON text, and the number of all rows.
    Packed(Statement),
    /// For each row its key, and `1` or `0`: whether it is disposable.
    Keys(Statement),
    /// One row: the number of all rows, and of the disposable ones.
    Counts(Statement),
}

/// The rows of a page: their keys where they are evidence, and whether all of them are disposable.
pub fn page(dialect: &dyn Dialect, work: &Work, source: &str, page: &Page) -> PageStatement {
    let row = dialect.row(&work.table);
    let condition = page.condition(dialect, work);
    let disposable = dialect.worked_out_once(work.disposable_rows());
    let from = |mut list: Sql| {
        list.push(&format!(" from {source} where ")).append(&condition);
        dialect.finish(list)
    };
    let mut list = Sql::new("select ");
    if !work.evidence.is_rows() {
        list.push(&dialect.shown("count(*)")).push(", ").append(&number_of(dialect, disposable));
        return PageStatement::Counts(from(list));
    }
    let mut texts = KeySelection::names(&work.key).texts(dialect, &row);
    let first = format!("case when {} then {} end", disposable.text, texts[0]);
    if let Some(packed) = dialect.packed(&[std::slice::from_ref(&first), &texts[1..]].concat(), &work.key) {
        // a key whose first part is null is left out of the list
        list.append(&Sql { text: packed, args: disposable.args }).push(", ").push(&dialect.shown("count(*)"));
        return PageStatement::Packed(from(list));
    }
    texts.push(String::new());
    list.push(&texts.join(", "));
    list.append(&disposable.inside(|rows| dialect.shown(&format!("case when {rows} then 1 else 0 end"))));
    PageStatement::Keys(from(list))
}

/// The key of the row so many rows after a key; no row when fewer are left.
pub fn boundary(dialect: &dyn Dialect, work: &Work, source: &str, after: Option<&[String]>, rows: u64) -> Statement {
    let row = dialect.row(&work.table);
    let page = Page::Keys { after: after.map(<[String]>::to_vec), through: None };
    let texts = KeySelection::names(&work.key).texts(dialect, &row).join(", ");
    let order: Vec<_> = work.key.iter().map(|column| dialect.column(&row, &column.name)).collect();
    let mut sql = Sql::new(format!("select {texts} from {source} where "));
    sql.append(&page.condition(dialect, work));
    sql.push(&format!(" order by {} limit 1 offset {}", order.join(", "), rows.saturating_sub(1)));
    dialect.finish(sql)
}
