//! `http`: a vendor that is described in `sunset.yaml` alone.

use super::{Facts, Grade, Identifiers, Kind, OpenError};

pub static KIND: Kind = Kind {
    name: "http",
    doc: "Any other recipient that is asked over HTTP, described here.",
    settings: &[],
    identifiers: Identifiers::OfSettings(|_| Vec::new()),
    check: |_| Ok(()),
    facts: |_| Facts { batch: 1, calls: 1, rates: Vec::new(), grade: Grade::E1, deleted: "", kept: "", sources: &[] },
    open: |settings, _| Err(OpenError { recipient: settings.name.clone(), reason: "not yet".to_owned() }),
};
