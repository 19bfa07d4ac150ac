//! Files that rows point at: identity documents, attachments, exports. They are erased with all their versions before the
//! row goes, for afterwards nothing tells any more where they lie.
//!
//! Where they lie is said in keys, which name one object each, and prefixes, below which everything goes. What is left of
//! them is listed, erased piece by piece, and listed again: only an empty list is an end. Where a place keeps what was erased
//! for some days (soft delete), the end is that nothing is kept any more.

pub mod azure_blob;
pub mod folder;
pub mod gcs;
pub mod s3;

use super::{Answer, Misfit, Named, RecipientSettings, State, Subject, hashing::sha256, template::Template};
use crate::{
    evidence::Grade,
    language::{
        format,
        shape::{Field, Shape},
    },
};
use jiff::Timestamp;
use std::{collections::BTreeSet, time::Duration};

/// Subjects under way at a time.
const AT_ONCE: usize = 8;

/// So often what was written meanwhile is erased, too.
const ROUNDS: usize = 3;

/// What should be gone and is still kept is looked at again after this.
const SOONEST: Duration = Duration::from_secs(6 * 60 * 60);

/// A person with more pieces below a prefix is more than one person.
const MOST: usize = 10_000;

const TEXT: &Shape = &Shape::Text(&format::TEXT);

/// What every kind of object storage says of its objects.
const KEYS: Field = Field::optional(
    "keys",
    "The keys of objects, one for each template. `{path}` may be a path with slashes; `{path?}` may be missing.",
    Shape::List { item: TEXT, least: 1, unique: true },
    "[\"identity/{document}\"]",
);
const PREFIXES: Field = Field::optional(
    "prefixes",
    "Whatever lies below goes. Each ends with `/` and holds an identifier, which is one whole piece between slashes \
          there.",
    Shape::List { item: TEXT, least: 1, unique: true },
    "[\"exports/{member}/\"]",
);

/// What a person's row points at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Pointer {
    /// One object.
    Key(String),
    /// All objects below; it ends with a slash.
    Prefix(String),
}

/// Something that is erased with one call: a version of an object, or a marker that hides it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Piece {
    key: String,
    version: Option<String>,
}

/// A place where objects lie. What it says instead of doing what it is asked is the answer about the person.
#[async_trait::async_trait]
trait Storage: Send + Sync {
    /// Whatever is left there, hidden or not, in the order in which it is to be erased. Whoever finds more than [`MOST`] may
    /// stop.
    async fn left(&self, pointer: &Pointer) -> Result<Vec<Piece>, Answer>;

    /// Erases one piece for good. One that is not there any more is as good.
    async fn erase(&self, piece: &Piece) -> Result<(), Answer>;

    /// Makes sure that a place where nothing was found is the right one.
    async fn is_there(&self) -> Result<(), Answer>;

    /// What was erased there, and is kept for some days all the same. By default, a place keeps nothing.
    async fn kept(&self, _pointer: &Pointer) -> Result<Option<Kept>, Answer> {
        Ok(None)
    }

    /// Tells the place from others in tickets, where something may be kept. It names nobody.
    fn place(&self) -> String {
        String::new()
    }
}

/// What was erased and can still be restored, for it was only marked as deleted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Kept {
    /// Until then; of several pieces, the last.
    until: Timestamp,
    /// Why, in words.
    reason: &'static str,
}

impl Kept {
    /// Erased, but not gone before a day. The ticket names place and time alone, for keys name persons: at that time
    /// deletion is asked for anew, with the person's identifiers.
    fn answer(&self, place: &str, now: Timestamp) -> Answer {
        let left = Duration::try_from(self.until.duration_since(now)).unwrap_or_default();
        let ticket = format!("{}/{}", of_place(place), self.until.as_second());
        let day = self.until.strftime("%Y-%m-%d");
        let reason = match left.is_zero() {
            false => format!("{} until {day}", self.reason),
            true => format!("{}, although its time was over on {day}", self.reason),
        };
        Answer::accepted(ticket, left.max(SOONEST)).waiting_for(reason)
    }
}

/// The beginning of a place's tickets.
fn of_place(place: &str) -> String {
    sha256(place).chars().take(16).collect()
}

/// What became of what was kept: that is seen when the person is asked about anew. A ticket of another place says nothing
/// about this one.
fn look_again(storage: &dyn Storage, tickets: &[String]) -> Vec<Answer> {
    let own = of_place(&storage.place());
    let answer = |ticket: &String| match ticket.split_once('/') {
        Some((place, _)) if place == own => Answer { state: State::Elapsed, grade: None, request_id: None },
        _ => Answer::forgotten("the files lay in another place when they were erased; they are looked for here"),
    };
    tickets.iter().map(answer).collect()
}

/// The templates of the settings.
struct Pointers {
    keys: Vec<Template>,
    prefixes: Vec<Template>,
}

impl Pointers {
    fn read(settings: &RecipientSettings) -> Result<Self, Misfit> {
        let misfit =
            |at: &'static str, problem: String, help: &str| Misfit { at: vec![at], problem, help: help.to_owned() };
        let read = |name: &'static str| -> Result<Vec<(Template, &str)>, Misfit> {
            let texts = settings.options.texts(name).into_iter();
            let read = texts.map(|text| match Template::parse(text) {
                Ok(template) => Ok((template, text)),
                Err(problem) => Err(misfit(name, problem, "for example `{document}`")),
            });
            read.collect()
        };
        let (keys, prefixes) = (read("keys")?, read("prefixes")?);
        if keys.is_empty() && prefixes.is_empty() {
            let help = "say which objects a row points at, for example `keys: [\"identity/{document}\"]`";
            return Err(Misfit {
                at: Vec::new(),
                problem: "there is neither `keys` nor `prefixes`".into(),
                help: help.into(),
            });
        }
        if let Some((_, text)) = keys.iter().find(|(_, text)| text.ends_with('/')) {
            let problem = format!("`{text}` ends with `/`, which no file's name does");
            return Err(misfit("keys", problem, "if everything below is meant, write it under `prefixes`"));
        }
        for (name, templates) in [("keys", &keys), ("prefixes", &prefixes)] {
            let everybodys = templates.iter().find(|(template, _)| template.names().next().is_none());
            if let Some((_, text)) = everybodys {
                let problem = format!("`{text}` holds no identifier: everybody's would go");
                return Err(misfit(name, problem, "for example `exports/{member}/`"));
            }
        }
        if let Some((_, text)) = prefixes.iter().find(|(_, text)| !text.ends_with('/')) {
            let problem =
                format!("`{text}` does not end with `/`: what belongs to member 12 begins with member 1, too");
            return Err(misfit("prefixes", problem, "end it with `/`, or name whole objects under `keys`"));
        }
        let alone = |templates: Vec<(Template, &str)>| templates.into_iter().map(|(template, _)| template).collect();
        Ok(Self { keys: alone(keys), prefixes: alone(prefixes) })
    }

    /// The identifiers of each place.
    fn identifiers(&self) -> Vec<Vec<Named>> {
        let named = |(name, optional): (&str, bool)| Named { name: name.to_owned(), required: !optional };
        self.keys.iter().chain(&self.prefixes).map(|template| template.values().map(named).collect()).collect()
    }

    /// What a person's row points at; an answer where that cannot be said.
    fn of(&self, subject: &Subject) -> Result<BTreeSet<Pointer>, Answer> {
        let keys =
            self.keys.iter().map(|template| (template, path as fn(&str) -> String, Pointer::Key as fn(String) -> _));
        let prefixes = self.prefixes.iter().map(|template| (template, one_piece as _, Pointer::Prefix as _));
        let mut pointers = BTreeSet::new();
        for (template, escape, pointer) in keys.chain(prefixes) {
            let text = template.complete(|name| subject.get(name), escape).map_err(|_| {
                Answer::not_possible("the row lacks an identifier without which the place of its files is unknown")
            })?;
            let Some(text) = text else { continue };
            if text.contains(UNUSABLE) || text.split('/').any(|piece| matches!(piece, "." | "..")) {
                let reason = "not asked: an identifier cannot stand in a file's place, since it would lead elsewhere";
                return Err(Answer::refused(reason));
            }
            pointers.insert(pointer(text));
        }
        Ok(pointers)
    }
}

/// Stands for an identifier that would lead elsewhere: no key holds it.
const UNUSABLE: char = '\0';

/// One piece between slashes.
fn one_piece(text: &str) -> String {
    let usable = !text.contains('/') && is_path(text);
    if usable { text.to_owned() } else { UNUSABLE.to_string() }
}

/// Pieces between slashes.
fn path(text: &str) -> String {
    if is_path(text) { text.to_owned() } else { UNUSABLE.to_string() }
}

fn is_path(text: &str) -> bool {
    let leads_on = |piece: &str| !matches!(piece, "" | "." | "..");
    text.split('/').all(leads_on) && !text.chars().any(char::is_control) && !text.contains('\\')
}

/// Erases all that a person's row points at.
async fn erase(storage: &dyn Storage, pointers: &Pointers, subject: &Subject) -> Answer {
    match erase_all(storage, pointers, subject).await {
        Ok(answer) | Err(answer) => answer,
    }
}

async fn erase_all(storage: &dyn Storage, pointers: &Pointers, subject: &Subject) -> Result<Answer, Answer> {
    let pointers = pointers.of(subject)?;
    let mut erased = false;
    for _ in 0..=ROUNDS {
        let mut left: Vec<Piece> = Vec::new();
        for pointer in &pointers {
            left.extend(storage.left(pointer).await?);
            if left.len() > MOST {
                let reason = format!("more than {MOST} files and versions lie there: is the prefix one person's?");
                return Err(Answer::refused(reason));
            }
        }
        if left.is_empty() {
            let mut kept = None;
            for pointer in &pointers {
                kept = kept.max(storage.kept(pointer).await?);
            }
            if let Some(kept) = kept {
                return Ok(kept.answer(&storage.place(), Timestamp::now()));
            }
        }
        if left.is_empty() && !erased {
            storage.is_there().await?;
            return Ok(Answer::gone(Grade::E1));
        }
        if left.is_empty() {
            return Ok(Answer::confirmed(Grade::E1));
        }
        for piece in &left {
            storage.erase(piece).await?;
        }
        erased = true;
    }
    Err(Answer::unreachable("files are written there as fast as they are erased", None))
}
