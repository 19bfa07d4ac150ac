//! The rule language, as far as the tests write it: what docs/rules.md says, as data.

use super::{
    calendar::{Period, Zone},
    value::Value,
};

#[derive(Clone, Debug)]
pub struct Rule {
    pub id: String,
    pub table: usize,
    pub start: Start,
    pub period: Period,
    pub condition: Condition,
    pub disposition: Disposition,
    /// By the key that leads to a row that is disposed of.
    pub dependents: Vec<(KeyOf, Action)>,
    pub max_rows: Option<u64>,
}

/// A foreign key: its table and its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyOf {
    pub table: usize,
    pub number: usize,
}

#[derive(Clone, Debug)]
pub struct Start {
    pub source: Source,
    pub reading: Option<As>,
    pub zone: Option<Zone>,
    pub counted_from: Option<CountedFrom>,
    pub missing: Missing,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Source {
    Column(usize),
    Related { table: usize, column: usize, through: Through, latest: bool },
}

/// The column that ties a row to the related rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Through {
    /// A column of the other table, which holds this table's key.
    Theirs(usize),
    /// A column of this table, which holds the other table's key.
    Ours(usize),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum As {
    EpochSeconds,
    EpochMilliseconds,
    IsoText,
    IsoTextWithOffset,
}

#[expect(clippy::enum_variant_names, reason = "the words of the rule language")]
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum CountedFrom {
    MonthEnd,
    CalendarYearEnd,
    FiscalYearEnd { month: i64, day: i64, plus: Option<Period> },
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Missing {
    Report,
    Ignore,
    Due,
}

#[derive(Clone, Debug)]
pub enum Condition {
    /// A map of columns: all of them hold.
    Map(Vec<(usize, Test)>),
    Sql(Expression),
}

#[derive(Clone, Debug)]
pub enum Test {
    /// One of these; null among them means no value.
    OneOf(Vec<Literal>),
    /// None of these, and a value.
    Not(Vec<Literal>),
    Compare(Comparison, Literal),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Comparison {
    LessThan,
    AtMost,
    MoreThan,
    AtLeast,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    Null,
    /// As it is written.
    Number(String),
    Bool(bool),
    Text(String),
}

#[derive(Clone, Debug)]
pub enum Expression {
    And(Box<Expression>, Box<Expression>),
    Or(Box<Expression>, Box<Expression>),
    Not(Box<Expression>),
    IsNull(usize),
    Equals(usize, Literal),
    Compare(usize, Comparison, Literal),
    In(usize, Vec<Literal>),
}

#[derive(Clone, Debug)]
pub enum Disposition {
    Erase,
    Anonymize(Vec<(usize, Technique)>),
    Unlink(Vec<usize>),
}

#[derive(Clone, Debug)]
pub enum Action {
    Erase,
    Keep,
    Unlink,
    Anonymize(Vec<(usize, Technique)>),
}

#[derive(Clone, Debug)]
pub enum Technique {
    Suppress,
    /// The text, in which `{key}` stands for the row's key; or the value itself.
    Replace(Value),
    Mask {
        first: usize,
        last: usize,
    },
    Month,
    Year,
    Decade,
    Bucket(i128),
    PostalCode(usize),
    Truncate(usize),
    TopCode(i128),
    BottomCode(i128),
}

#[derive(Clone, Debug)]
pub struct Hold {
    pub table: usize,
    pub what: Held,
    /// The night before which it is put.
    pub night: usize,
}

#[derive(Clone, Debug)]
pub enum Held {
    /// The row with this mark, named by its key.
    Row(i64),
    Condition(Expression),
}
