//! What resolving one rule has come to so far: each part of a rule adds to it in a file of its own.

use super::{indexes::MissingIndex, surroundings::Surroundings};
use crate::{catalog::TableName, clock::PointKind, diagnostic::Diagnostic, rules::Rule};

pub(super) struct Resolver<'a, 'b> {
    pub(super) rule: &'a Rule,
    pub(super) around: &'a Surroundings<'a>,
    pub(super) found: &'b mut Vec<Diagnostic>,
    pub(super) missing_indexes: Vec<MissingIndex>,
    /// Columns of other tables that the rule's own changes read.
    pub(super) looked_at: Vec<(TableName, Vec<String>)>,
    pub(super) epoch: Option<EpochColumn>,
}

impl Resolver<'_, '_> {
    /// Collects the diagnostic of a failed step.
    pub(super) fn keep<T>(&mut self, result: Result<T, Diagnostic>) -> Option<T> {
        result.map_err(|diagnostic| self.found.push(diagnostic)).ok()
    }
}

/// A column that counts time from 1970 and says when a rule's periods begin.
#[derive(Clone, Debug)]
pub struct EpochColumn {
    pub table: TableName,
    pub column: String,
    pub kind: PointKind,
}

impl EpochColumn {
    /// What stands against the unit, if all values of the column lie in January 1970 or after 2100: its greatest value, its
    /// least, and its least above 0.
    pub fn misfit(&self, [most, least, positive]: [Option<f64>; 3]) -> Option<(&'static str, &'static str)> {
        // seconds
        const FEBRUARY_1970: f64 = 2_678_400.0;
        const YEAR_2101: f64 = 4_133_980_800.0;
        let unit = if self.kind == PointKind::EpochMilliseconds { 1000.0 } else { 1.0 };
        if least? < 0.0 {
            return None;
        }
        if most? < FEBRUARY_1970 * unit {
            let help = "it seems to count a greater unit: try `as: epoch_seconds`";
            return positive.map(|_| ("in January 1970", help));
        }
        let help = "it seems to count a smaller unit: try `as: epoch_milliseconds`";
        (positive? >= YEAR_2101 * unit).then_some(("after the year 2100", help))
    }
}
