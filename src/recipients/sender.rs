//! In whose name recipients are written to.

use crate::{
    ledger::{Keys, keys::SigningKey},
    settings::Settings,
};
use jiff::tz::TimeZone;
use std::path::PathBuf;

/// The job, as letters name and sign it.
#[derive(Clone, Debug)]
pub struct Sender {
    pub job: String,
    /// Where relative paths start.
    pub directory: PathBuf,
    /// For days.
    pub time_zone: TimeZone,
    /// None where the job has none: then nothing can be signed.
    pub signing_key: Option<SigningKey>,
}

impl Sender {
    pub fn new(settings: &Settings, keys: &Keys) -> Self {
        Self {
            job: settings.name.clone(),
            directory: settings.directory.clone(),
            time_zone: settings.time_zone.clone(),
            signing_key: keys.signing.first().cloned(),
        }
    }
}
