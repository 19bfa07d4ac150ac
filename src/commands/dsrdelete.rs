//! `sunset dsrdelete`: the document that the company publishes for recipients of kind `ddrf`, which find its keys there.

use super::{Stop, console::Console, job as loading};
use crate::{cli::Global, outcome::Outcome, recipients::ddrf};

/// The document, which is all of the command's output.
pub fn run(global: &Global, console: &mut Console) -> anyhow::Result<Outcome> {
    let job = loading::load(global, console)?;
    let document = ddrf::document(job.settings.recipients.values()).map_err(Stop::invalid)?;
    console.print(&format!("{document:#}\n"))?;
    Ok(Outcome::Done)
}
