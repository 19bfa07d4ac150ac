//! Two rules that claim the same rows: each row must have one fate.
//!
//! Rules of one table may follow each other in a row's life (unlink after six months, erase after five years). They
//! overlap when both would do the same to the same row: both erase, or both change the same column. Whether their
//! conditions can hold together is decided on paper where they are written as data, and by asking the database where
//! one is SQL.

use crate::{
    diagnostic::{Code, Diagnostic},
    rules::{Condition, Disposition, Literal, Match, Rule},
};

/// Whether two rules claim the same rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overlap {
    No,
    Yes,
    /// Their conditions have to be tried on the rows.
    Ask,
}

/// What paper says of two rules.
pub fn overlap(a: &Rule, b: &Rule) -> Overlap {
    if a.table != b.table || !same_fate(a, b) {
        return Overlap::No;
    }
    match (&a.condition, &b.condition) {
        (Some(Condition::Data(a)), Some(Condition::Data(b))) if disjoint(a, b) => Overlap::No,
        (Some(Condition::Sql(a)), Some(Condition::Sql(b))) if a != b => Overlap::Ask,
        (Some(Condition::Sql(_)), Some(Condition::Data(_))) | (Some(Condition::Data(_)), Some(Condition::Sql(_))) => {
            Overlap::Ask
        }
        _ => Overlap::Yes,
    }
}

fn same_fate(a: &Rule, b: &Rule) -> bool {
    match (a.disposition == Disposition::Erase, b.disposition == Disposition::Erase) {
        (true, true) => true,
        (false, false) => a.columns.iter().any(|(name, _)| b.columns.iter().any(|(other, _)| other == name)),
        _ => false,
    }
}

/// Some column may have no value that both accept.
fn disjoint(a: &[(String, Match)], b: &[(String, Match)]) -> bool {
    a.iter().any(|(column, test)| b.iter().any(|(other, against)| other == column && exclude(test, against)))
}

fn exclude(a: &Match, b: &Match) -> bool {
    match (a, b) {
        (Match::In(a), Match::In(b)) => !a.iter().any(|value| b.contains(value)),
        (Match::In(values), Match::NotIn(others)) | (Match::NotIn(others), Match::In(values)) => {
            values.iter().all(|value| others.contains(value))
        }
        (Match::LessThan(low), Match::AtLeast(high)) | (Match::AtLeast(high), Match::LessThan(low)) => {
            number(low).zip(number(high)).is_some_and(|(low, high)| low <= high)
        }
        (Match::AtMost(low), Match::MoreThan(high)) | (Match::MoreThan(high), Match::AtMost(low)) => {
            number(low).zip(number(high)).is_some_and(|(low, high)| low <= high)
        }
        _ => false,
    }
}

fn number(literal: &Literal) -> Option<f64> {
    match literal {
        Literal::Number(text) => text.parse().ok(),
        _ => None,
    }
}

/// The diagnostic for two rules that do overlap; it stands at the second.
pub fn diagnostic(a: &Rule, b: &Rule) -> Diagnostic {
    let message = format!("rules `{}` and `{}` claim the same rows of `{}`", a.id, b.id, b.table);
    Diagnostic::error(Code::OverlappingRules, b.place.key("table"), message)
        .label(format!("also the table of `{}` ({})", a.id, a.place.file))
        .help("give each a `where` that excludes the other, for example on different values of one column")
}

/// All pairs of rules that overlap on paper.
pub fn check<'a>(rules: impl IntoIterator<Item = &'a Rule>) -> Vec<Diagnostic> {
    let rules: Vec<_> = rules.into_iter().collect();
    let pairs = rules.iter().enumerate().flat_map(|(i, a)| rules[i + 1..].iter().map(move |b| (*a, *b)));
    pairs.filter(|(a, b)| overlap(a, b) == Overlap::Yes).map(|(a, b)| diagnostic(a, b)).collect()
}
