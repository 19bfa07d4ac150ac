//! Anchors: places outside the house that keep the ledger's checkpoints, so that a ledger cannot be cut back, replaced or
//! written anew without anybody noticing.
//!
//! A run compares its ledger with what the anchors keep before it does anything ([`Anchors::compare`]), and hands them its
//! checkpoint at its end ([`Anchors::send`]). `sunset ledger verify` compares with all that they keep ([`Anchors::kept`]).
//! There are two sorts: a [`Keeper`] gives back what it got, a [`Witness`] says only how many entries it has seen, and
//! signs that nothing contradicts them.

mod bucket;
mod folder;
mod repository;
mod witness;

use crate::{
    evidence::checkpoint::{Checkpoint, SignedCheckpoint, VerificationKey},
    ledger::{Ledger, history::root_of},
    outcome::{Outcome, Stop},
    settings::{AnchorPlace, AnchorSettings, Settings},
    store::Store,
};
use async_trait::async_trait;
use serde::Serialize;
use witness::Witness;

/// All anchors of a job.
pub struct Anchors {
    all: Vec<Anchor>,
}

struct Anchor {
    /// In `sunset.yaml`.
    name: String,
    /// Which place it is, whatever its name.
    identity: String,
    place: Place,
}

enum Place {
    Keeper(Box<dyn Keeper>),
    Witness(Box<Witness>),
}

/// A place that keeps each checkpoint under its size and gives it back.
#[async_trait]
trait Keeper: Send + Sync {
    /// The sizes of the checkpoints that it has, in order.
    async fn sizes(&self) -> Result<Vec<u64>, Failure>;
    /// The checkpoint of this size, in every version that it has.
    async fn notes(&self, size: u64) -> Result<Vec<String>, Failure>;
    /// Keeps a checkpoint. One that is there already is not overwritten.
    async fn keep(&self, size: u64, note: &str) -> Result<(), Failure>;
}

/// Why an anchor could not do what was asked; the text says what it said, and names no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum Failure {
    /// It may work when tried again.
    #[error("{0}")]
    Temporary(String),
    /// Settings or credentials are wrong.
    #[error("{0}")]
    Invalid(String),
    /// What it keeps is not the beginning of this ledger.
    #[error("{0}")]
    Contradicts(String),
}

impl Failure {
    fn outcome(&self) -> Outcome {
        match self {
            Self::Temporary(_) => Outcome::Temporary,
            Self::Invalid(_) => Outcome::Invalid,
            Self::Contradicts(_) => Outcome::Refused,
        }
    }
}

/// What became of handing a checkpoint to one anchor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sent {
    /// Its name in `sunset.yaml`.
    pub anchor: String,
    /// The number of entries that the checkpoint covers.
    pub size: u64,
    /// Why it did not take it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    #[serde(skip)]
    pub outcome: Outcome,
}

/// A checkpoint that an anchor keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    pub anchor: String,
    pub note: String,
}

/// What a person can do about a ledger that is not the one that was anchored.
const WAY_OUT: &str = "put the newest copy of the store back; where none is left, see docs/anchors.md";

impl Anchors {
    /// # Errors
    /// An anchor's URL cannot be used.
    pub fn open(settings: &Settings) -> anyhow::Result<Self> {
        let open = |anchor: &AnchorSettings| {
            let place = match &anchor.place {
                AnchorPlace::Folder(path) => Place::Keeper(Box::new(folder::Folder::new(path, &settings.name))),
                AnchorPlace::Bucket(bucket) => {
                    Place::Keeper(Box::new(bucket::Bucket::open(bucket, &settings.name).map_err(|reason| {
                        Stop::invalid(format!("anchor `{}` of sunset.yaml: {reason}", anchor.name))
                    })?))
                }
                AnchorPlace::Witness { url, key } => {
                    let witness = Witness::open(url, key).map_err(|reason| {
                        Stop::invalid(format!("anchor `{}` of sunset.yaml: {reason}", anchor.name))
                    })?;
                    Place::Witness(Box::new(witness))
                }
                AnchorPlace::Repository { url, branch } => {
                    Place::Keeper(Box::new(repository::Repository::new(url, branch, &settings.name)))
                }
            };
            Ok(Anchor { name: anchor.name.clone(), identity: anchor.identity(), place })
        };
        Ok(Self { all: settings.anchors.iter().map(open).collect::<anyhow::Result<_>>()? })
    }

    /// No place at all.
    pub fn none() -> Self {
        Self { all: Vec::new() }
    }

    /// Compares the ledger with what each anchor keeps.
    ///
    /// # Errors
    /// The ledger is not a continuation of what an anchor keeps, or an anchor has lost what it had taken: a person must
    /// decide. An anchor cannot be asked: nothing can be told, and later it may be.
    pub async fn compare(&self, ledger: &mut Ledger) -> anyhow::Result<()> {
        for anchor in &self.all {
            if let Err(failure) = anchor.compare(ledger).await? {
                return Err(anchor.stop(&failure).into());
            }
        }
        Ok(())
    }

    /// Hands each anchor the ledger's newest checkpoint. What fails is logged, and made up for by the next checkpoint.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn send_newest(&self, ledger: &mut Ledger) -> anyhow::Result<Vec<Sent>> {
        let mut all = Vec::new();
        if self.all.is_empty() {
            return Ok(all);
        }
        let signed = &ledger.checkpoint().await?;
        for anchor in &self.all {
            let size = signed.checkpoint.size;
            let (mut message, mut outcome) = (None, Outcome::Done);
            if let Err(failure) = anchor.send(ledger, signed).await? {
                let stop = anchor.stop(&failure);
                tracing::error!(anchor = anchor.name, reason = stop.message, "an anchor did not take the checkpoint");
                (message, outcome) = (Some(stop.message), stop.outcome);
            }
            all.push(Sent { anchor: anchor.name.clone(), size, message, outcome });
        }
        Ok(all)
    }

    /// Everything that the anchors keep of this ledger. A witness is shown the ledger's newest checkpoint instead, and
    /// what it says of it is told with the others that could not be asked or contradict.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn kept(&self, store: &mut Store) -> anyhow::Result<(Vec<Kept>, Vec<Stop>)> {
        let (mut kept, mut stops) = (Vec::new(), Vec::new());
        for anchor in &self.all {
            let told = match &anchor.place {
                Place::Keeper(keeper) => all_notes(keeper.as_ref()).await.map(|notes| {
                    kept.extend(notes.into_iter().map(|note| Kept { anchor: anchor.name.clone(), note }));
                }),
                Place::Witness(witness) => match store.last_checkpoint().await? {
                    Some(last) => witness.show(store, last.size, &last.note, last.size).await?.map(drop),
                    None => Ok(()),
                },
            };
            stops.extend(told.err().map(|failure| anchor.stop(&failure)));
        }
        Ok((kept, stops))
    }
}

/// What a place has under this size already is this very checkpoint.
fn agree(kept: &[String], size: u64, note: &str) -> Result<(), Failure> {
    match kept.iter().all(|kept| kept == note) {
        true => Ok(()),
        false => Err(Failure::Contradicts(format!("it keeps another checkpoint of {size} entries already"))),
    }
}

async fn all_notes(keeper: &dyn Keeper) -> Result<Vec<String>, Failure> {
    let mut all = Vec::new();
    for size in keeper.sizes().await? {
        all.extend(keeper.notes(size).await?);
    }
    Ok(all)
}

impl Anchor {
    fn stop(&self, failure: &Failure) -> Stop {
        Stop { outcome: failure.outcome(), message: format!("anchor `{}`: {failure}", self.name) }
    }

    /// The outer error is the store's, the inner one the anchor's.
    async fn compare(&self, ledger: &mut Ledger) -> anyhow::Result<Result<(), Failure>> {
        match &self.place {
            Place::Keeper(keeper) => {
                let newest = async {
                    let Some(size) = keeper.sizes().await?.pop() else { return Ok((0, Vec::new())) };
                    Ok((size, keeper.notes(size).await?))
                };
                let (size, notes) = match newest.await {
                    Ok(newest) => newest,
                    Err(failure) => return Ok(Err(failure)),
                };
                if let Some(taken) = ledger.store().anchored(&self.identity).await?.filter(|taken| taken.size > size) {
                    return Ok(Err(Failure::Contradicts(format!(
                        "it took a checkpoint of {} entries on {:.0} and has none of them any more: somebody removed it, or \
                         this is another place; see docs/anchors.md",
                        taken.size, taken.at
                    ))));
                }
                for note in notes {
                    let (trusted, origin) = (ledger.trusted().to_vec(), ledger.origin().to_owned());
                    if let Err(failure) = check(ledger.store(), &trusted, &origin, size, &note).await? {
                        return Ok(Err(failure));
                    }
                }
                Ok(Ok(()))
            }
            Place::Witness(witness) => {
                if ledger.store().last_checkpoint().await?.is_none() {
                    // a witness tells what it has seen to those alone who have something signed to show
                    ledger.append(Vec::new(), &[]).await?;
                    ledger.checkpoint().await?;
                }
                match ledger.store().last_checkpoint().await? {
                    Some(last) => Ok(witness.show(ledger.store(), last.size, &last.note, last.size).await?.map(drop)),
                    None => Ok(Ok(())),
                }
            }
        }
    }

    async fn send(&self, ledger: &mut Ledger, signed: &SignedCheckpoint) -> anyhow::Result<Result<(), Failure>> {
        let SignedCheckpoint { checkpoint: Checkpoint { size, .. }, note } = signed;
        let taken = match &self.place {
            Place::Keeper(keeper) => keeper.keep(*size, note).await.map(|()| note.clone()),
            Place::Witness(witness) => {
                let before = ledger.store().anchored(&self.identity).await?.map_or(0, |taken| taken.size);
                witness.show(ledger.store(), *size, note, before).await?.map(|line| format!("{note}{line}\n"))
            }
        };
        let note = match taken {
            Ok(note) => note,
            Err(failure) => return Ok(Err(failure)),
        };
        let at = (ledger.clock())();
        ledger.store().remember_anchored(&self.identity, *size, &note, at).await?;
        Ok(Ok(()))
    }
}

/// Compares the ledger with one checkpoint that is kept elsewhere under this size.
async fn check(
    store: &mut Store,
    trusted: &[VerificationKey],
    origin: &str,
    size: u64,
    note: &str,
) -> anyhow::Result<Result<(), Failure>> {
    let contradicts = |message: String| Ok(Err(Failure::Contradicts(message)));
    let kept = match Checkpoint::verify(note, trusted) {
        Ok(kept) if kept.origin == origin && kept.size == size => kept,
        Ok(_) => return contradicts(format!("what it keeps under {size} is another checkpoint")),
        Err(error) => {
            return contradicts(format!(
                "what it keeps under {size} cannot be used: {error}; name the key that signed it in sunset.yaml under keys.signing"
            ));
        }
    };
    let entries = store.last_entry().await?.map_or(0, |(seq, _)| seq);
    if kept.size > entries {
        return contradicts(format!(
            "it keeps a checkpoint of {size} entries, signed on {:.0}, and the ledger has {entries}: the store is an older \
             copy, or another one; {WAY_OUT}",
            kept.at
        ));
    }
    // the newest checkpoint was compared with its tree when the ledger was opened
    let last = store.last_checkpoint().await?.filter(|last| last.size == size && last.note == note);
    if last.is_none() && root_of(store, size).await? != Some(kept.root) {
        return contradicts(format!(
            "its checkpoint of {size} entries, signed on {:.0}, has another root than this ledger's first {size} entries: \
             this is a second history; {WAY_OUT}",
            kept.at
        ));
    }
    Ok(Ok(()))
}
