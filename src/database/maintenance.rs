//! What is left of rows that went, and the steps that make it go. Erasing a row makes it unreachable by SQL; its bytes have
//! a life of their own. `docs/erasure.md` has what was measured.

use super::Row;
use crate::sql::Statement;
use std::time::Duration;

/// One step of the cleaning that a rule asks for with `after`.
#[derive(Clone, Debug)]
pub struct MaintenanceStep {
    pub statement: Statement,
    /// Why the step is not through, judged by what the server answers.
    pub judge: fn(&[Row]) -> Option<String>,
    /// Asked again for so long until it is through: the server does the work in its own time.
    pub patience: Duration,
    /// What follows makes no sense while it is not through.
    pub required: bool,
}

impl MaintenanceStep {
    /// A statement that is through when it ends.
    pub fn new(sql: impl Into<String>) -> Self {
        Self::judged(Statement::new(sql), |_| None)
    }

    /// A statement whose answer tells.
    pub fn judged(statement: Statement, judge: fn(&[Row]) -> Option<String>) -> Self {
        Self { statement, judge, patience: Duration::ZERO, required: false }
    }
}

/// Bytes of rows that went are still here, until something happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Remains {
    pub place: &'static str,
    pub until: &'static str,
}

/// [`Remains`] in few characters.
pub(super) const fn remains(place: &'static str, until: &'static str) -> Remains {
    Remains { place, until }
}

/// What is left everywhere, whatever the server.
pub(super) const ELSEWHERE: Remains =
    remains("backups, dumps and snapshots of disks", "they expire, which is not Sunset's doing");
