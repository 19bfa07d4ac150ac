//! `sunset keys`: make, list and destroy keys.

use crate::{
    anchor::Anchors,
    cli::KeysCommand,
    evidence::keys::{Key, KeyKind, Keys},
    file,
    ledger::Ledger,
    outcome::Outcome,
    output::Format,
    settings::Settings,
    store::{self, KeyStatus, Store, StoredKey},
};
use anyhow::{Context, bail};
use jiff::Timestamp;
use serde::Serialize;
use std::{io::Write, path::Path, sync::Arc};

/// Runs `sunset keys …`. Knows the formats text and JSON. `settings` may be absent for `new` alone: the settings of a new
/// job cannot be read before its keys exist.
///
/// # Errors
/// A file cannot be written or exists already; keys, store or ledger refuse.
pub async fn run(
    command: &KeysCommand,
    settings: Option<&Settings>,
    format: Format,
    out: &mut dyn Write,
) -> anyhow::Result<Outcome> {
    match (command, settings) {
        (KeysCommand::New { out: directory, kind }, _) => new(directory, kind, out)?,
        (KeysCommand::List, Some(settings)) => list(settings, format, out).await?,
        (KeysCommand::Destroy { id, reason, owner }, Some(settings)) => {
            destroy(settings, id, reason, owner, out).await?;
        }
        (_, None) => bail!("this needs the job's settings: name its directory with --jobs"),
    }
    Ok(Outcome::Done)
}

fn new(directory: &Path, kinds: &[KeyKind], out: &mut dyn Write) -> anyhow::Result<()> {
    let all = [KeyKind::Tag, KeyKind::Signing, KeyKind::Pseudonym];
    let kinds: Vec<KeyKind> = all.into_iter().filter(|kind| kinds.is_empty() || kinds.contains(kind)).collect();
    let describe = || directory.display().to_string();
    file::create_directory(directory).with_context(describe)?;
    let directory = directory.canonicalize().with_context(describe)?;
    let mut lines = String::from("keys:\n");
    for kind in kinds {
        let key = Key::generate(kind)?;
        // The id in the name keeps an older key's file from being written over.
        let path = directory.join(format!("{}-{}.key", kind.name(), key.id()));
        key.write(&path).with_context(|| path.display().to_string())?;
        writeln!(out, "wrote {} key {} to {}", kind.name(), key.id(), path.display())?;
        lines += &match kind {
            KeyKind::Pseudonym => format!("  pseudonym: ${{file:{}}}\n", path.display()),
            KeyKind::Tag | KeyKind::Signing => format!("  {}:\n    - ${{file:{}}}\n", kind.name(), path.display()),
        };
    }
    writeln!(out, "\nput this into sunset.yaml, new keys before older ones:\n\n{lines}")?;
    writeln!(
        out,
        "keep copies of these files apart from the databases' backups; `sunset keys list` shows public keys"
    )?;
    Ok(())
}

/// A key as `keys list` shows it.
#[derive(Serialize)]
struct Listed {
    kind: &'static str,
    id: String,
    state: State,
    /// What others need to verify signatures.
    #[serde(skip_serializing_if = "Option::is_none")]
    public_key: Option<String>,
}

#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    InUse,
    Older,
    /// The ledger knows it; the settings do not have it.
    NotConfigured,
    Destroyed(Timestamp),
}

async fn list(settings: &Settings, format: Format, out: &mut dyn Write) -> anyhow::Result<()> {
    let keys = Keys::parse(&settings.keys)?;
    let known = match Store::open_existing(&settings.store).await {
        Ok(mut store) => store.known_keys().await?,
        Err(store::Error::Absent(_)) => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    let rows = rows(&settings.name, &keys, &known);
    if format == Format::Json {
        serde_json::to_writer_pretty(&mut *out, &rows)?;
        writeln!(out)?;
        return Ok(());
    }
    for Listed { kind, id, state, public_key } in rows {
        let state = match state {
            State::InUse => "in use".to_owned(),
            State::Older => "older".to_owned(),
            State::NotConfigured => "not in sunset.yaml".to_owned(),
            State::Destroyed(at) => format!("destroyed {at:.0}"),
        };
        writeln!(out, "{kind:9}  {id}  {state:18}  {}", public_key.unwrap_or_default().trim_end())?;
    }
    Ok(())
}

fn rows(origin: &str, keys: &Keys, known: &[StoredKey]) -> Vec<Listed> {
    let state = |index| if index == 0 { State::InUse } else { State::Older };
    let mut rows: Vec<Listed> = Vec::new();
    for (key, index) in keys.tag.iter().zip(0..) {
        rows.push(Listed { kind: "tag", id: key.id().to_owned(), state: state(index), public_key: None });
    }
    for (key, index) in keys.signing.iter().zip(0..) {
        let public_key = Some(key.verification_key(origin).to_string());
        rows.push(Listed { kind: "signing", id: key.id().to_owned(), state: state(index), public_key });
    }
    if let Some(key) = &keys.pseudonym {
        rows.push(Listed { kind: "pseudonym", id: key.id().to_owned(), state: State::InUse, public_key: None });
    }
    for key in known {
        let listed = rows.iter_mut().find(|row| row.kind == key.kind && row.id == key.id);
        match (listed, key.status) {
            (Some(row), KeyStatus::Destroyed(at)) => row.state = State::Destroyed(at),
            (Some(_), KeyStatus::InUse) => {}
            (None, status) => rows.push(Listed {
                kind: if key.kind == "tag" { "tag" } else { "signing" },
                id: key.id.clone(),
                state: if let KeyStatus::Destroyed(at) = status { State::Destroyed(at) } else { State::NotConfigured },
                public_key: key.public_key.clone(),
            }),
        }
    }
    rows
}

async fn destroy(settings: &Settings, id: &str, reason: &str, owner: &str, out: &mut dyn Write) -> anyhow::Result<()> {
    let keys = Keys::parse(&settings.keys)?;
    if keys.tag.first().is_some_and(|key| key.id() == id) {
        bail!(
            "tag key {id} is in use: make another with `sunset keys new --kind tag`, put it before this one in \
             sunset.yaml, then destroy this one"
        );
    }
    let store = Store::open_existing(&settings.store).await?;
    let mut ledger = Ledger::open(store, keys, &settings.name, Arc::new(Timestamp::now)).await?;
    ledger.destroy_tag_key(id, reason, owner).await?;
    ledger.checkpoint().await?;
    // what an anchor does not take now goes with the next run's checkpoint
    Anchors::open(settings)?.send_newest(&mut ledger).await?;
    writeln!(
        out,
        "the ledger says that tag key {id} is destroyed, and refuses to open with it from now on.\n\
         Now make it true:\n\
         1. take the key out of keys.tag in sunset.yaml\n\
         2. delete the file or secret that held it, wherever that is kept: {id} stands in the text\n\
         3. delete its copies and let their backups expire"
    )?;
    Ok(())
}
