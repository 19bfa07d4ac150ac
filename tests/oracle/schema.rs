//! Tables, rows and nights of one case.

use super::{
    calendar::{Day, Zone},
    language::{Hold, KeyOf, Rule},
    value::{Engine, Kind, Value},
};
use std::collections::BTreeMap;

/// Everything that a case is: what stands in the database, what the rules say, and what happens in between.
#[derive(Clone, Debug)]
pub struct Case {
    pub engine: Engine,
    pub zone: Zone,
    pub tables: Vec<Table>,
    pub rows: State,
    pub rules: Vec<Rule>,
    pub holds: Vec<Hold>,
    pub nights: Vec<Night>,
    /// How many files the rules stand in, and in which order rows are inserted.
    pub files: usize,
    pub backwards: bool,
    pub workers: u32,
}

#[derive(Clone, Debug)]
pub struct Table {
    pub name: String,
    pub columns: Vec<Column>,
    /// The columns of the primary key.
    pub key: Vec<usize>,
    pub foreign: Vec<Foreign>,
    /// By the column that partitions are made of (PostgreSQL).
    pub partitioned: Option<usize>,
    /// SQLite.
    pub without_rowid: bool,
    pub indexes: Vec<usize>,
    /// A trigger writes into a table of its own.
    pub trigger: bool,
    /// Left out, because nothing needs it, to make a counterexample smaller.
    pub hidden: bool,
}

#[derive(Clone, Debug)]
pub struct Column {
    pub name: String,
    pub kind: Kind,
    pub not_null: bool,
    pub unique: bool,
    pub hidden: bool,
}

/// A foreign key.
#[derive(Clone, Debug)]
pub struct Foreign {
    pub columns: Vec<usize>,
    pub table: usize,
    /// The columns that it leads to.
    pub to: Vec<usize>,
    pub on_delete: &'static str,
    /// False for one that is only meant: no constraint says so.
    pub declared: bool,
    pub hidden: bool,
}

/// Column 0 of each table: which row it is. No rule looks at it.
pub const MARK: usize = 0;
pub type Mark = i64;
pub type Row = Vec<Value>;
/// The rows of each table, by their marks.
pub type State = Vec<BTreeMap<Mark, Row>>;

#[derive(Clone, Debug)]
pub struct Night {
    pub now: Day,
    /// What changes before it.
    pub edits: Vec<Edit>,
    /// The first run is killed so many milliseconds after it began.
    pub killed_after: Option<u64>,
    /// What somebody else does while it runs.
    pub rival: Option<Rival>,
}

/// A transaction of the company's that meets the run.
#[derive(Clone, Debug)]
pub struct Rival {
    /// Where the run stops until the transaction has committed or waits for one of the run's locks.
    pub moment: &'static str,
    pub edit: Edit,
}

#[derive(Clone, Debug)]
pub enum Edit {
    Insert { table: usize, row: Row },
    Set { table: usize, mark: Mark, column: usize, value: Value },
    Delete { table: usize, mark: Mark },
}

impl Case {
    pub fn foreign(&self, key: KeyOf) -> &Foreign {
        &self.tables[key.table].foreign[key.number]
    }

    /// The keys that lead to a table.
    pub fn keys_to(&self, table: usize) -> Vec<KeyOf> {
        let mut keys = Vec::new();
        for (from, other) in self.tables.iter().enumerate() {
            for (number, foreign) in other.foreign.iter().enumerate() {
                if foreign.table == table && foreign.declared && !foreign.hidden {
                    keys.push(KeyOf { table: from, number });
                }
            }
        }
        keys
    }

    /// Whether a row references another one over a key: no part is null, and each is alike to the referenced column.
    pub fn references(&self, key: KeyOf, from: &Row, to: &Row) -> bool {
        let foreign = self.foreign(key);
        foreign.columns.iter().zip(&foreign.to).all(|(&own, &theirs)| {
            let kind = self.tables[foreign.table].columns[theirs].kind;
            kind.alike(self.engine, &from[own], &to[theirs])
        })
    }
}
