//! `sunset confirm`: records that a recipient confirmed a deletion notice in writing, and lists the notices.

use super::{Stop, console::Console, job as loading};
use crate::{
    cli::{ConfirmArgs, Global},
    clock,
    evidence::{
        keys::Keys,
        tag::{Tag, TagKey},
    },
    file,
    job::Job,
    ledger::{Confirmation, Ledger},
    outcome::Outcome,
    output::{self, Format},
    recipients::notice,
    store::{self, Store, StoredNotice},
};
use anyhow::Context as _;
use jiff::{Timestamp, civil::Date};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

/// A notice that is due within so many days is shown as due.
const SOON: i32 = 7;

/// So many wrong lines of a file are named.
const MOST_LINES: usize = 10;

pub async fn run(global: &Global, args: &ConfirmArgs, console: &mut Console) -> anyhow::Result<Outcome> {
    let job = loading::load(global, console)?;
    if args.list {
        return list(global, &job, args, console).await;
    }
    let [Some(recipient), Some(id), Some(by), Some(evidence)] =
        [&args.recipient, &args.notice, &args.by, &args.evidence]
    else {
        return Err(Stop::invalid("name the recipient, --notice, --by and --evidence, or ask for --list"));
    };
    if [by, evidence].into_iter().any(|text| text.trim().is_empty()) {
        return Err(Stop::invalid("--by and --evidence say who and what; they are empty"));
    }
    let document = match &args.document {
        None => None,
        Some(path) => Some(Sha256::digest(read(path)?).into()),
    };
    let keys = Keys::parse(&job.settings.keys)?;
    let tag_keys = keys.tag.clone();
    let mut ledger =
        Ledger::open(Store::open(&job.settings.store).await?, keys, &job.settings.name, Arc::new(Timestamp::now))
            .await?;
    let tags = match &args.references {
        None => None,
        Some(path) => {
            let persons = ledger.store().persons_of_notice(recipient, id).await?;
            if persons.is_empty() {
                let message =
                    format!("`{recipient}` got no notice {id}: `sunset confirm --list` shows those that went out");
                return Err(Stop::invalid(message));
            }
            Some(references(recipient, path, &persons, &tag_keys)?)
        }
    };
    let confirmation = Confirmation { recipient, notice: id, tags: tags.as_deref(), by, evidence, document };
    let (confirmed, open) = ledger.confirm_notice(&confirmation).await?;
    ledger.into_store().close().await?;
    match global.format {
        Format::Json => {
            let report = serde_json::json!({
                "recipient": recipient,
                "notice": id,
                "confirmed": confirmed,
                "open": open,
                "document": document.map(|hash: [u8; 32]| hex::encode(hash)),
            });
            console.print(&format!("{report:#}\n"))?;
        }
        Format::Text | Format::Markdown | Format::Sarif => {
            let rest = match open {
                0 => "nobody is left open".to_owned(),
                _ => format!("{} still open", output::count(open)),
            };
            let persons = output::persons(confirmed);
            console.print(&format!("notice {id}: {persons} confirmed by `{recipient}` (E3), {rest}\n"))?;
        }
    }
    Ok(Outcome::Done)
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    file::read(path, file::LONGEST_DOCUMENT).with_context(|| format!("{} cannot be read", path.display()))
}

/// The persons that a file names, one in each line: by our reference, in the first column as the notice had it, or by
/// the one identifier that the notice had.
fn references(
    recipient: &str,
    path: &Path,
    persons: &BTreeMap<Tag, bool>,
    keys: &[TagKey],
) -> anyhow::Result<Vec<Tag>> {
    let bytes = read(path)?;
    let text =
        String::from_utf8(bytes).map_err(|_| Stop::invalid(format!("{} is not text in UTF-8", path.display())))?;
    let (mut tags, mut wrong) = (BTreeSet::new(), Vec::new());
    for (line, number) in text.trim_start_matches('\u{feff}').lines().zip(1_u64..) {
        let reference = line.split([',', ';', '\t']).next().unwrap_or_default().trim().trim_matches('"');
        if reference.is_empty() || reference == notice::letter::OUR_REFERENCE {
            continue;
        }
        match tag(recipient, reference, persons, keys) {
            Some(tag) => drop(tags.insert(tag)),
            None => wrong.push(number.to_string()),
        }
    }
    if !wrong.is_empty() {
        let more = wrong.len().saturating_sub(MOST_LINES);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        wrong.truncate(MOST_LINES);
        let message = format!("{}: nobody of this notice stands in line {}{more}", path.display(), wrong.join(", "));
        return Err(Stop::invalid(message));
    }
    if tags.is_empty() {
        return Err(Stop::invalid(format!("{} names nobody", path.display())));
    }
    Ok(tags.into_iter().collect())
}

fn tag(recipient: &str, reference: &str, persons: &BTreeMap<Tag, bool>, keys: &[TagKey]) -> Option<Tag> {
    let mut tag = Tag::default();
    if hex::decode_to_slice(reference, &mut tag).is_ok() && persons.contains_key(&tag) {
        return Some(tag);
    }
    let crate::recipients::Identifiers::Fixed { all, .. } = notice::KIND.identifiers else { return None };
    let names = all.iter().map(|identifier| identifier.name);
    let tags = names.flat_map(|name| {
        let identifiers = BTreeMap::from([(name.to_owned(), reference.to_owned())]);
        keys.iter().map(move |key| key.subject_tag(recipient, &identifiers))
    });
    tags.into_iter().find(|tag| persons.contains_key(tag))
}

/// How a notice stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Standing {
    Open,
    /// It is due soon.
    Due,
    Overdue,
    Confirmed,
}

#[derive(Debug, Serialize)]
struct Listed {
    #[serde(flatten)]
    notice: StoredNotice,
    /// The last day.
    due: Date,
    standing: Standing,
}

async fn list(global: &Global, job: &Job, args: &ConfirmArgs, console: &mut Console) -> anyhow::Result<Outcome> {
    let notices = match Store::open_existing(&job.settings.store).await {
        Ok(mut store) => {
            let notices = store.notices().await?;
            store.close().await?;
            notices
        }
        Err(store::Error::Absent(_)) => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    let zone = &job.settings.time_zone;
    let today = clock::today(loading::now(global, job)?, zone);
    let wanted = |notice: &StoredNotice| {
        (args.all || notice.open > 0) && args.recipient.as_ref().is_none_or(|name| *name == notice.recipient)
    };
    let listed: Vec<_> = notices
        .into_iter()
        .filter(wanted)
        .map(|notice| {
            let due = clock::today(notice.due_at, zone);
            Listed { standing: standing(&notice, due, today), due, notice }
        })
        .collect();
    match global.format {
        Format::Json => console.print(&(serde_json::to_string_pretty(&listed)? + "\n"))?,
        Format::Text | Format::Markdown | Format::Sarif if listed.is_empty() => console.print("no notices\n")?,
        Format::Text | Format::Markdown | Format::Sarif => {
            let day =
                |at: Option<Timestamp>| at.map_or_else(|| "–".to_owned(), |at| clock::today(at, zone).to_string());
            let rows = listed.iter().map(|Listed { notice, due, standing }| {
                vec![
                    notice.recipient.clone(),
                    notice.id.clone(),
                    day(Some(notice.sent_at)),
                    due.to_string(),
                    output::count(notice.persons),
                    output::count(notice.open),
                    format!("{standing:?}").to_lowercase(),
                    day(notice.reminded_at),
                ]
            });
            let head = ["recipient", "notice", "sent", "due", "persons", "open", "standing", "reminded"];
            console.print(&output::table(&head, rows.collect()))?;
        }
    }
    Ok(Outcome::Done)
}

fn standing(notice: &StoredNotice, due: Date, today: Date) -> Standing {
    if notice.open == 0 {
        Standing::Confirmed
    } else if today > due {
        Standing::Overdue
    } else if (due - today).get_days() <= SOON {
        Standing::Due
    } else {
        Standing::Open
    }
}
