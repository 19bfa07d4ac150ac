//! What is to be done with the rows of one table, as pieces of SQL: the executable side of a plan's step.

use super::{AggregateWork, Dialect, Lock};
use crate::{
    catalog::{Codec, Column, TableName},
    clock::{PointKind, period::Period},
    evidence::{Evidence, Grade},
    rules::Disposition,
    sql::Sql,
};
use std::{collections::BTreeSet, sync::Arc};

/// One rule on one table.
#[derive(Clone, Debug)]
pub struct Work {
    pub table: TableName,
    /// The primary key.
    pub key: Vec<KeyColumn>,
    /// SQLite: the name of the row id, where the table has one.
    pub rowid: Option<String>,
    /// PostgreSQL: the tables that hold the rows: the leaf partitions, or the table itself.
    pub leaves: Vec<TableName>,
    /// The starting point and the column that holds it, when it is one of the table itself.
    pub point: Point,
    pub point_column: Option<KeyColumn>,
    /// The rule's own condition, apart from time.
    pub condition: Option<Sql>,
    /// It has not been carried out on the row: a column is not at its fixpoint, or the marker is not set.
    pub undone: Option<Sql>,
    /// The retention period is over.
    pub due: Sql,
    /// The retention period is over, asked of values that are known to be readable, where that costs much less. It holds for every
    /// due row.
    pub plainly_due: Option<Sql>,
    /// The regular deletion period is over.
    pub overdue: Option<Sql>,
    /// There is no starting point that can be read.
    pub unreadable: Sql,
    /// There is no starting point, where the rule reports such rows; `None` when it ignores them or takes them as due.
    pub missing: Option<Sql>,
    /// There is no starting point, as far as an index can tell.
    pub plainly_missing: Option<Sql>,
    /// A hold suspends it, or a dependent of it that would go too.
    pub held: Option<Sql>,
    /// A kept dependent still needs it.
    pub waiting: Option<Sql>,
    /// Who deletes a copy before the row changes, in the order of the rule.
    pub recipients: Vec<RecipientWork>,
    pub change: Change,
    /// Where rows are added up before they go.
    pub aggregate: Option<AggregateWork>,
    /// What the ledger keeps of the rows.
    pub evidence: Evidence,
    /// Deepest first: nothing is changed before what references it.
    pub dependents: Vec<DependentWork>,
    /// What must be the same after a change, where triggers fire.
    pub watched: Option<Watched>,
    /// What has to be locked beside the rows, so that nobody comes to reference them.
    pub guards: Vec<Guard>,
}

/// Columns that rules read and that triggers of the table must leave alone.
#[derive(Clone, Debug)]
pub struct Watched {
    pub triggers: Vec<String>,
    pub columns: Vec<KeyColumn>,
}

/// An index by which rows are referenced and that is not their primary key. InnoDB locks a row that is being referenced
/// in this index alone, where a lock on the row by its primary key is not seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guard {
    pub table: TableName,
    /// From the table to the rule's own; none when it is that.
    pub links: Vec<Link>,
    /// The columns that are referenced.
    pub columns: Vec<KeyColumn>,
    pub index: String,
}

/// Whom to ask before a row changes, and how that one knows the person.
#[derive(Clone, Debug)]
pub struct RecipientWork {
    /// Its name in the settings.
    pub name: String,
    /// Identifier to the column of the rule's table that holds it.
    pub identifiers: Vec<(String, KeyColumn)>,
    /// A row may change when the evidence is at least this.
    pub required: Grade,
    /// How long after the first request it may take.
    pub deadline: Option<Period>,
    /// Where a person may still be needed; empty where the rule asks all the same.
    pub uses: Vec<Use>,
}

/// A table that may hold a person's identifiers in rows that stay: the rule's own, and those of other rules that ask the
/// same recipient.
#[derive(Clone, Debug)]
pub struct Use {
    /// The identifiers that are compared, all of them together.
    pub identifiers: Vec<String>,
    /// Where the rule's own table holds them.
    pub own: Vec<KeyColumn>,
    pub table: TableName,
    /// Where that table holds them.
    pub columns: Vec<KeyColumn>,
    /// Rows that need nobody's copy any more: those that a rule disposes of, and those that it has disposed of.
    pub free: Vec<Sql>,
}

/// Those who stay with a recipient whose list is made anew: a table, read page by page.
#[derive(Clone, Debug)]
pub struct MembersWork {
    pub database: String,
    pub dialect: &'static dyn Dialect,
    pub table: TableName,
    /// The server's estimate.
    pub table_rows: u64,
    /// The primary key.
    pub key: Vec<KeyColumn>,
    /// Identifier to the column that holds it.
    pub columns: Vec<(String, KeyColumn)>,
    /// Columns that the condition names.
    pub looked_at: Vec<String>,
    /// The identifiers by which rules ask the recipient about a person: persons are remembered by all of them together.
    pub known_as: BTreeSet<BTreeSet<String>>,
    /// Only these rows.
    pub condition: Option<Sql>,
}

/// What happens to a row.
#[derive(Clone, Debug)]
pub enum Change {
    Erase,
    /// Columns with their new values.
    Update(Vec<(String, Sql)>),
    /// The engine cannot compute some of the values: they are read, computed here and written back. Columns with
    /// values in SQL come in `sql` as above.
    Compute {
        computed: Vec<Computed>,
        sql: Vec<(String, Sql)>,
    },
}

/// From the old value to the new one.
pub type Function = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// A column whose new value is computed outside the database.
#[derive(Clone)]
pub struct Computed {
    pub column: KeyColumn,
    /// `None` becomes null.
    pub function: Function,
}

impl std::fmt::Debug for Computed {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.debug_struct("Computed").field("column", &self.column.name).finish_non_exhaustive()
    }
}

/// Rows of another table that are changed in the same transaction, before the rows that they reference.
#[derive(Clone, Debug)]
pub struct DependentWork {
    pub table: TableName,
    /// The primary key; empty when there is none, or when counts are all the evidence: such rows leave no tags.
    pub key: Vec<KeyColumn>,
    /// From the dependent to the rule's own table: `links[0]` is a foreign key of the dependent, the last one points at
    /// the rule's table.
    pub links: Vec<Link>,
    /// What the rule calls it.
    pub disposition: Disposition,
    pub change: Change,
    /// For `Update`: not yet carried out on it.
    pub undone: Option<Sql>,
    /// It is the rule's rows themselves, which lose their link to themselves before they go: nothing that goes along.
    pub own: bool,
}

impl DependentWork {
    /// Its rows are looked up first, and then locked and changed by their own keys: where they lead to the rule's rows over
    /// a third table, where others are known to have locked some, and where they have to be read first all the same.
    pub fn goes_by_name(&self, dialect: &dyn Dialect, lock: Lock) -> bool {
        let (far, read_first) = (self.links.len() > 1, !dialect.returns(matches!(self.change, Change::Erase)));
        !self.key.is_empty() && dialect.locks_what_it_reads() && (far || read_first || lock == Lock::Free)
    }

    /// The columns of the rule's own table that the chain leads to.
    pub fn referenced(&self) -> &[KeyColumn] {
        self.links.last().map_or(&[], |link| &link.referenced)
    }
}

/// One foreign key between two tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    pub from: TableName,
    pub columns: Vec<KeyColumn>,
    pub to: TableName,
    pub referenced: Vec<KeyColumn>,
}

/// A column whose values are compared, bound or read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyColumn {
    pub name: String,
    pub codec: Codec,
}

impl From<&Column> for KeyColumn {
    fn from(column: &Column) -> Self {
        Self { name: column.name.clone(), codec: column.codec.clone() }
    }
}

/// A starting point in SQL.
#[derive(Clone, Debug)]
pub struct Point {
    /// The value as it is stored.
    pub value: Sql,
    /// How it is stored.
    pub kind: PointKind,
    /// It stands in rows of another table.
    pub related: bool,
}
