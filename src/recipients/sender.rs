//! In whose name recipients are written to.

use crate::evidence::keys::SigningKey;
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
