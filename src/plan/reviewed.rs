//! A plan as a file that a person reviews. What was read is what runs: the digest covers all of the file, and a key of the
//! job signs the digest, so that nobody else can change the file and write a new digest into it.

use super::{FORMAT, Plan, digest};
use crate::{
    evidence::{
        checkpoint::{CheckpointError, VerificationKey, sign_note, verify_note},
        keys::SigningKey,
    },
    outcome::Stop,
};
use serde_json::Value;

/// The keys of the file that the digest does not cover.
const DIGEST: &str = "digest";
const SIGNATURE: &str = "signature";

/// The text of the file. Without a key it can be read and not be run.
///
/// # Errors
/// The plan cannot be written as JSON.
pub fn write(plan: &Plan, key: Option<&SigningKey>) -> anyhow::Result<String> {
    let mut value = serde_json::to_value(plan)?;
    if let Some(key) = key {
        let body = signed_text(&plan.digest);
        let note = sign_note(&plan.job, &body, key);
        value[SIGNATURE] = note[body.len()..].trim().into();
    }
    text_of(&value)
}

fn text_of(value: &Value) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(value)? + "\n")
}

/// Reads the file, if one of the job's keys signed it as it is.
///
/// # Errors
/// It is no plan of this version, or was changed, or no key that is trusted signed it: a [`Stop`].
pub fn read(text: &str, file: &str, trusted: &[VerificationKey]) -> anyhow::Result<Plan> {
    let not_a_plan = |error| Stop::invalid(format!("{file} is not a plan of this version: {error}"));
    let mut value: Value = serde_json::from_str(text).map_err(not_a_plan)?;
    // A key that stands twice shows the reader the first value and means the last one.
    let is_as_written = text_of(&value)? == text;
    let signature = value.as_object_mut().and_then(|plan| plan.remove(SIGNATURE));
    // What no field takes is covered too: the digest is that of the text, and not only of what was understood.
    let found = digest_of(value.clone())?;
    let plan: Plan = serde_json::from_value(value).map_err(not_a_plan)?;
    if plan.format != FORMAT {
        return Err(Stop::invalid(format!("{file} has plan format {}, this version knows {FORMAT}", plan.format)));
    }
    if found != plan.digest {
        return Err(Stop::refused(format!("{file} was changed after it was made: its digest does not fit")));
    }
    if !is_as_written {
        return Err(Stop::refused(format!(
            "{file} was changed after it was made: it says the same in other characters than Sunset writes; take the file as it \
             was made"
        )));
    }
    let Some(signature) = signature else {
        return Err(Stop::refused(format!(
            "{file} is not signed, so nobody can tell whether it is as it was made: make the plan where the settings have \
             the job's signing key (`keys.signing`)"
        )));
    };
    let note = format!("{}\n{}\n", signed_text(&found), signature.as_str().unwrap_or_default());
    verify_note(&note, trusted).map_err(|error: CheckpointError| {
        Stop::refused(format!("{file} may have been changed after it was made: {error}; make a new plan and review it"))
    })?;
    Ok(plan)
}

/// SHA-256 over the canonical form of everything but the digest itself.
pub(super) fn digest_of(mut plan: Value) -> anyhow::Result<String> {
    if let Some(fields) = plan.as_object_mut() {
        fields.remove(DIGEST);
    }
    digest(&plan)
}

/// Differs from the text of every checkpoint, which has four lines.
fn signed_text(digest: &str) -> String {
    format!("sunset plan\n{digest}\n")
}
