//! Changed rules and settings take effect while the server runs, if they are good; if not, those from before stay, and
//! the pages show what is wrong.

use super::{
    board::{Board, Fault},
    clock::Clock,
    thread,
};
use crate::{
    diagnostic::{Diagnostic, Severity, render_text},
    evidence::keys::Keys,
    file,
    job::{self, Job, RULES_DIRECTORY, SETTINGS_FILE},
    ledger::{self, Ledger},
    outcome::Outcome,
    plan::{self, Options},
    run::{holds_in, outcome_of},
    store::Store,
};
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{signal::unix::Signal, sync::watch, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

/// How often the files are looked at. Kubernetes takes a minute to bring changed ones; notifications of the file system
/// miss its way of doing that, which is to replace a symbolic link.
const EVERY: Duration = Duration::from_secs(5);

/// A digest of everything that a job is read from: settings, rules, and the secret files that settings name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    pub fn of(directory: &Path) -> Self {
        let mut hash = Sha256::new();
        let mut add = |name: &Path, bytes: Option<Vec<u8>>| {
            let name = name.to_string_lossy();
            for part in [name.as_bytes(), &[u8::from(bytes.is_some())], bytes.as_deref().unwrap_or_default()] {
                hash.update((part.len() as u64).to_be_bytes());
                hash.update(part);
            }
        };
        let settings = file::read(&directory.join(SETTINGS_FILE), file::LONGEST_YAML).ok();
        let text = settings.as_deref().map(String::from_utf8_lossy).unwrap_or_default().into_owned();
        add(Path::new(SETTINGS_FILE), settings);
        let secrets = text.split("${file:").skip(1).filter_map(|rest| rest.split_once('}')).map(|(path, _)| path);
        let entries = fs::read_dir(directory.join(RULES_DIRECTORY)).into_iter().flatten().flatten();
        let rules = entries.map(|entry| entry.path()).filter(|path| path.extension().is_some());
        let files: BTreeSet<PathBuf> = secrets.map(|path| directory.join(path)).chain(rules).collect();
        for path in files {
            let bytes = file::read(&path, file::LONGEST_YAML).ok();
            add(&path, bytes);
        }
        Self(hash.finalize().into())
    }
}

/// Why a job cannot be served.
#[derive(Clone, Debug)]
pub struct Unfit {
    /// For people.
    pub text: String,
    pub outcome: Outcome,
}

impl Unfit {
    fn invalid(text: String) -> Self {
        Self { text, outcome: Outcome::Invalid }
    }
}

/// Reads a job and [checks](check) it.
///
/// # Errors
/// Files, keys or settings are wrong, rules do not fit, or the digest is not the expected one.
pub async fn read(directory: PathBuf, digest: Option<String>, now: Timestamp) -> Result<Arc<Job>, Unfit> {
    let loaded = tokio::task::spawn_blocking(move || job::load(&directory, Severity::Error)).await;
    match loaded {
        Ok(Ok(job)) => check(job, digest, now).await,
        Ok(Err(unusable)) => Err(Unfit::invalid(render_text(&unusable.diagnostics, &unusable.sources, false))),
        Err(panic) => Err(Unfit { text: panic.to_string(), outcome: Outcome::Unexpected }),
    }
}

/// Holds a job against its store and its databases, as far as these can be reached: who is away may come back before the
/// next run.
///
/// # Errors
/// As [`read`].
pub async fn check(job: Job, digest: Option<String>, now: Timestamp) -> Result<Arc<Job>, Unfit> {
    let checked = thread::on_its_own(move || async move {
        let mut found = job.diagnostics.clone();
        found.extend(plan::check_together(&job));
        refuse(&job, &found)?;
        if let Some(expected) = digest.filter(|expected| !expected.eq_ignore_ascii_case(&job.digest())) {
            let text =
                format!("settings and rules have the digest {}, --rules-digest expects {expected}", job.digest());
            return Err(Unfit { text, outcome: Outcome::Refused });
        }
        match against_world(&job, now).await {
            Ok(found) => refuse(&job, &found)?,
            Err(error) if outcome_of(&error) == Outcome::Temporary => {
                tracing::warn!(reason = format!("{error:#}"), "not everything can be checked now");
            }
            Err(error) => return Err(Unfit { text: format!("{error:#}"), outcome: outcome_of(&error) }),
        }
        Ok(Arc::new(job))
    });
    checked.await.unwrap_or_else(|panic| Err(Unfit { text: panic.to_string(), outcome: Outcome::Unexpected }))
}

fn refuse(job: &Job, found: &[Diagnostic]) -> Result<(), Unfit> {
    match found.iter().any(|diagnostic| diagnostic.severity == Severity::Error) {
        true => Err(Unfit::invalid(render_text(found, &job.sources, false))),
        false => Ok(()),
    }
}

/// Opens the ledger, which makes the store where there is none, and looks at the schemas.
async fn against_world(job: &Job, now: Timestamp) -> anyhow::Result<Vec<Diagnostic>> {
    let store = Store::open(&job.settings.store).await?;
    let clock: ledger::Clock = Arc::new(Timestamp::now);
    let keys = Keys::parse(&job.settings.keys)?;
    let pseudonym_key = keys.pseudonym.as_ref().map(|key| key.secret().to_vec());
    let mut store = Ledger::open(store, keys, &job.settings.name, clock).await?.into_store();
    let holds = holds_in(&mut store).await?;
    store.close().await?;
    let options = Options { pseudonym_key, ..Options::default() };
    let checked = plan::check(job, &holds, now, &options).await?;
    for (database, unavailable) in checked.unavailable {
        tracing::warn!(database, reason = unavailable.reason, "the rules of this database are not checked");
    }
    Ok(checked.diagnostics)
}

/// Watches the files of a job.
pub struct Reloader {
    pub directory: PathBuf,
    /// What the files' digest must be.
    pub digest: Option<String>,
    /// Of the files that are in force.
    pub known: Fingerprint,
    pub board: Arc<Board>,
    pub jobs: watch::Sender<Arc<Job>>,
    pub clock: Arc<dyn Clock>,
}

impl Reloader {
    /// Watches until it is told to stop. Looks at once when `hangup` comes.
    pub async fn run(mut self, mut hangup: Signal, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let asked = tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => false,
                Some(()) = hangup.recv() => true,
            };
            let seen = self.fingerprint().await;
            if seen != self.known || asked {
                self.reload(seen).await;
            }
        }
    }

    async fn fingerprint(&self) -> Fingerprint {
        let directory = self.directory.clone();
        let looked = tokio::task::spawn_blocking(move || Fingerprint::of(&directory)).await;
        looked.unwrap_or(self.known)
    }

    async fn reload(&mut self, seen: Fingerprint) {
        let read = read(self.directory.clone(), self.digest.clone(), self.clock.now()).await;
        if self.fingerprint().await != seen {
            // somebody is still writing: next time
            return;
        }
        self.known = seen;
        let now = self.clock.now();
        match read {
            Ok(job) => {
                tracing::info!(digest = job.digest(), rules = job.rules().count(), "rules and settings read anew");
                self.board.change(|state| {
                    state.job = job.clone();
                    state.loaded_at = now;
                    state.fault = None;
                });
                self.jobs.send_replace(job);
            }
            Err(unfit) => {
                tracing::error!(
                    reason = unfit.text,
                    "changed rules or settings cannot be used; those from before stay in force"
                );
                self.board.change(|state| state.fault = Some(Fault { since: now, text: unfit.text }));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_sees_settings_rules_and_secrets() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let mut before = Fingerprint::of(directory.path());
        let mut changed = || {
            let now = Fingerprint::of(directory.path());
            std::mem::replace(&mut before, now) != now
        };
        assert!(!changed());
        write("sunset.yaml", "keys: {tag: \"${file:keys/tag}\", signing: \"${file:/nowhere}\"}");
        assert!(changed() && !changed());
        write("keys/tag", "one");
        assert!(changed());
        write("keys/tag", "two");
        assert!(changed());
        write("keys/other", "of no concern");
        assert!(!changed());
        write("rules/a.yaml", "a");
        assert!(changed());
        fs::rename(directory.path().join("rules/a.yaml"), directory.path().join("rules/b.yaml")).unwrap();
        assert!(changed());
        fs::remove_file(directory.path().join("rules/b.yaml")).unwrap();
        assert!(changed() && !changed());
    }
}
