//! A run that changes nothing, for whatever time: SQLite databases are copied and the copies worked on, on servers each batch
//! is rolled back. It has a ledger and keys of its own, which are thrown away, and asks no recipient.

use super::perform::Known;
use crate::{
    catalog::Engine,
    database::rehearsal::Rehearsed,
    evidence::keys::{Key, KeyKind, Keys},
    file,
    job::Job,
    plan::{OpenDatabase, Prepared, Walk},
    settings::StoreSettings,
    store::{self, Store},
};
use anyhow::Context as _;
use std::path::PathBuf;

/// Where the rehearsal takes place.
pub(super) struct Stage {
    /// The job with copies in the place of its databases, and another store.
    pub job: Job,
    /// What the job's own store knows.
    pub known: Known,
    _directory: Directory,
}

/// Nobody else may look into it, and it goes with the rehearsal: copies are as personal as what they were made of.
struct Directory(PathBuf);

impl Directory {
    fn new() -> anyhow::Result<Self> {
        let name = format!("sunset-rehearsal-{}-{}", std::process::id(), hex::encode(random()?));
        let path = std::env::temp_dir().join(name);
        let made = file::create_directory(&path);
        made.with_context(|| format!("{} cannot be made", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::error!(path = %self.0.display(), reason = %error, "the rehearsal's copies are still there: remove them");
        }
    }
}

fn random() -> anyhow::Result<[u8; 8]> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|_| anyhow::anyhow!("the system has no random numbers"))?;
    Ok(bytes)
}

impl Stage {
    /// Copies what has to be copied.
    ///
    /// # Errors
    /// A database or the store cannot be read, or the temporary directory has no room.
    pub async fn set(job: &Job) -> anyhow::Result<Self> {
        let known = match Store::open_existing(&job.settings.store).await {
            Ok(mut store) => {
                let mut known = Known::read(&mut store, &Keys::parse(&job.settings.keys)?).await?;
                // a copy has a history of its own
                known.before.positions.retain(|name, _| is_undone(job, name));
                store.close().await?;
                known
            }
            Err(store::Error::Absent(_)) => Known::default(),
            Err(error) => return Err(error.into()),
        };
        let directory = Directory::new()?;
        let mut job = job.clone();
        let pace = job.settings.pace.clone();
        for (number, settings) in job.settings.databases.values_mut().enumerate() {
            if settings.engine != Engine::Sqlite {
                continue;
            }
            let copy = directory.0.join(format!("{number}.db"));
            file::create_new(&copy)?;
            crate::database::copy(settings, &pace, &copy).await?;
            settings.url = format!("sqlite:{}", copy.display()).into();
        }
        job.settings.store = StoreSettings::Sqlite(directory.0.join("ledger.db"));
        // the others still tell who the persons of holds and requests are
        job.settings.keys.tag.insert(0, Key::generate(KeyKind::Tag)?.text());
        job.settings.keys.signing = vec![Key::generate(KeyKind::Signing)?.text()];
        Ok(Self { job, known, _directory: directory })
    }
}

/// The database is worked on itself, and each batch is undone.
fn is_undone(job: &Job, database: &str) -> bool {
    job.settings.databases.get(database).is_some_and(|settings| settings.engine != Engine::Sqlite)
}

/// Takes out of a plan what cannot be undone, and what would reach others. What that is, in words.
pub(super) fn rehearse(prepared: &mut Prepared) -> Vec<String> {
    let mut notes = Vec::new();
    for (step, ready) in prepared.plan.steps.iter_mut().zip(&mut prepared.steps) {
        let is_undone =
            prepared.databases.get(&step.database).is_some_and(|open| open.catalog.engine != Engine::Sqlite);
        let rule = step.rule.clone();
        let mut note = |words: String| notes.push(format!("{rule}: {words}"));
        let names: Vec<_> = step.recipients.iter().map(|recipient| recipient.name.as_str()).collect();
        if !names.is_empty() {
            note(format!("{} would be asked first; here they are taken to have confirmed", names.join(", ")));
        }
        step.recipients.clear();
        ready.work.recipients.clear();
        if let Some(after) = ready.rule.after.take() {
            note(format!("`after: {after}` is left out"));
        }
        if !is_undone {
            continue;
        }
        if !ready.partitions.is_empty() {
            let names: Vec<_> = ready.partitions.iter().map(|whole| whole.partition.name.to_string()).collect();
            note(format!("partitions {} would go whole; here their rows go one by one", names.join(", ")));
        }
        ready.partitions.clear();
        ready.set_aside = false;
        step.partitions = None;
        if ready.work.aggregate.take().is_some() {
            note("the totals are left out".to_owned());
        }
        step.aggregate = None;
        if ready.gate.take().is_some() {
            note("the groups of anonymized rows are not counted".to_owned());
        }
        step.k_anonymity = None;
        if matches!(ready.walk, Walk::StartingPoint(_)) {
            // it would find the rows that it has just put back
            ready.walk = Walk::Keys;
        }
    }
    let wrap = |(name, open): (String, OpenDatabase)| match open.catalog.engine {
        Engine::Sqlite => (name, open),
        Engine::Postgres | Engine::Mysql => {
            let rehearsed = Rehearsed { inner: open.database, dialect: open.dialect };
            (name, OpenDatabase { database: Box::new(rehearsed), ..open })
        }
    };
    prepared.databases = std::mem::take(&mut prepared.databases).into_iter().map(wrap).collect();
    prepared.members.clear();
    notes
}
