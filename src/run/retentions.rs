//! Asks recipients how long they keep data by their own settings, for the assertions that want to know.

use super::outward::sender;
use crate::{
    evidence::keys::Keys,
    job::Job,
    plan::Retentions,
    recipients::{self, CheckError, Plumbing},
    rules::Check,
};
use std::collections::{BTreeMap, BTreeSet};

/// By recipient, of those that the job's assertions name. Whoever cannot be asked is in it with the reason.
pub async fn retentions(job: &Job, keys: &Keys) -> Retentions {
    let named = job.assertions().filter_map(|assertion| match &assertion.check {
        Check::RetentionAt(at) => Some(at.recipient.as_str()),
        Check::NoRows(_) | Check::NoCardNumbers(_) | Check::AttestedEvery(_) => None,
    });
    let named: BTreeSet<_> = named.collect();
    let mut told = BTreeMap::new();
    if named.is_empty() {
        return told;
    }
    let plumbing = Plumbing::new().map(|plumbing| plumbing.of(sender(&job.settings, keys)));
    for settings in named.into_iter().filter_map(|name| job.settings.recipients.get(name)) {
        let fails = |reason: String| CheckError { reason, temporary: false };
        let opened = match &plumbing {
            Ok(plumbing) => recipients::open(settings, plumbing).map_err(|error| fails(error.to_string())),
            Err(reason) => Err(fails(reason.clone())),
        };
        let answer = match opened {
            Ok(recipient) => recipient.retention().await,
            Err(error) => Err(error),
        };
        told.insert(settings.name.clone(), answer);
    }
    told
}
