//! What a rule is resolved with: the schema, the holds, the settings and the present time.

use super::{holds::Bound, open::OpenDatabase};
use crate::{catalog::Catalog, database::Dialect, job::Job, settings::Settings};
use jiff::Timestamp;

/// What [`resolve_rule`] works with.
pub struct Surroundings<'a> {
    pub settings: &'a Settings,
    pub catalog: &'a Catalog,
    pub dialect: &'static dyn Dialect,
    pub holds: &'a Bound,
    pub now: Timestamp,
    /// The secret of keyed techniques, where the settings give one.
    pub pseudonym_key: Option<&'a [u8]>,
}

/// What rules are resolved with.
pub fn surroundings<'a>(
    job: &'a Job,
    open: &'a OpenDatabase,
    holds: &'a Bound,
    now: Timestamp,
    pseudonym_key: Option<&'a [u8]>,
) -> Surroundings<'a> {
    Surroundings { settings: &job.settings, catalog: &open.catalog, dialect: open.dialect, holds, now, pseudonym_key }
}
