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
    /// Whose rows go whatever their age, where persons have asked for it.
    pub requested: Option<&'a Bound>,
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
    let (settings, catalog, dialect) = (&job.settings, &open.catalog, open.dialect);
    Surroundings { settings, catalog, dialect, holds, requested: None, now, pseudonym_key }
}
