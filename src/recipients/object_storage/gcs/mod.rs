//! Google Cloud Storage.
//!
//! An object has generations: `versions=true` lists them, live and noncurrent, and each is deleted by its number. Soft delete is on
//! by default, for seven days: a deleted generation stays restorable until its `hardDeleteTime`, and nobody can purge it before
//! (<https://docs.cloud.google.com/storage/docs/soft-delete>). So after the deletion the soft-deleted generations are listed, too; only
//! when that list is empty as well, nothing is left. A bucket's hard deletions can be paused, so that the time itself is no
//! proof (<https://docs.cloud.google.com/storage/docs/pause-hard-deletions>).
//!
//! A refusal (403) is looked into, since it may be a hold, a retention or a missing permission. That a bucket is not there is
//! seen from the lists: they are the bucket's.
//!
//! Sources: Google's discovery document `storage:v1`, revision 20261009, and its own testbench
//! (<https://github.com/googleapis/storage-testbench>). The testbench lists no soft-deleted objects of a bucket without soft delete and
//! answers 400; what Google answers there is **[memory]**: an empty list. Both are understood.

#[cfg(feature = "demo")]
mod stand_in;

use super::{KEYS, Kept, MOST, PREFIXES, Piece, Pointer, Pointers, Storage, erase, look_again};
use crate::{
    evidence::Grade,
    language::{
        format,
        shape::{Field, Shape},
    },
    recipients::{
        Answer, CheckError, Checked, Facts, Identifiers, Kind, Misfit, OpenError, Plumbing, Recipient,
        RecipientSettings, Subject,
        client::{Auth, Call, Client, Conduct, Failure, Reply, in_order, segment},
        google, no_remarks,
        token::Tokens,
    },
};
use jiff::Timestamp;
use serde_json::Value;
use std::sync::Arc;

const BASE: &str = "https://storage.googleapis.com";

const SCOPE: &str = "https://www.googleapis.com/auth/devstorage.read_write";

/// Generations on a page: their list stays well below the longest reply.
const ON_A_PAGE: &str = "250";

/// What is read of a list. Everything else, such as an object's own metadata, may be long.
const FIELDS: &str = "kind,nextPageToken,items(name,generation,hardDeleteTime)";

pub static KIND: Kind = Kind {
    name: "gcs",
    doc: "Objects in a bucket of Google Cloud Storage: files that rows point at go with all their generations, and the row waits \
          until soft delete keeps none of them any more.",
    settings: &[
        Field::required(
            "bucket",
            "The bucket's name. Whoever the credentials are of may `storage.objects.list` and `storage.objects.delete` there, \
                  and, to explain refusals, `storage.objects.get`.",
            Shape::Text(&format::TEXT),
            "uploads",
        ),
        KEYS,
        PREFIXES,
        google::SERVICE_ACCOUNT,
        google::CLIENT_ID,
        google::CLIENT_SECRET,
        google::REFRESH_TOKEN,
        google::TOKEN_URL_FIELD,
    ],
    identifiers: Identifiers::OfPlaces(|settings| {
        Pointers::read(settings).map_or_else(|_| Vec::new(), |pointers| pointers.identifiers())
    }),
    check: |settings| {
        let name = settings.options.text("bucket").unwrap_or_default();
        if name.contains(|c: char| !(c.is_ascii_alphanumeric() || ".-_".contains(c))) || name.starts_with('.') {
            let help = "small letters, digits, `-`, `_` and `.`";
            return Err(Misfit { at: vec!["bucket"], problem: "no bucket has this name".into(), help: help.into() });
        }
        google::check_credentials(settings)?;
        Pointers::read(settings).map(drop)
    },
    facts: |settings| Facts {
        batch: 1,
        calls: 4,
        rates: settings.rates(&[]),
        grade: Grade::E1,
        deleted: "all generations of the objects that the row points at, also those that soft delete keeps, once it keeps them no \
                  longer",
        kept: "copies in other buckets, uploads that were never finished, names of folders and managed folders, backups, \
               inventories, access logs",
        sources: &[
            "https://docs.cloud.google.com/storage/docs/json_api/v1",
            "https://docs.cloud.google.com/storage/docs/soft-delete",
            "https://docs.cloud.google.com/storage/docs/object-holds",
        ],
    },
    remarks: no_remarks,
    open: |settings, plumbing| Ok(Box::new(Gcs::open(settings, plumbing)?)),
    #[cfg(feature = "demo")]
    stand_in: Some(&stand_in::STAND_IN),
};

struct Gcs {
    objects: Objects,
    pointers: Pointers,
}

struct Objects {
    client: Client,
    tokens: Arc<Tokens>,
    bucket: String,
}

impl Gcs {
    fn open(settings: &RecipientSettings, plumbing: &Plumbing) -> Result<Self, OpenError> {
        let wrong = |reason: String| OpenError { recipient: settings.name.clone(), reason };
        let bucket = settings.options.text("bucket").ok_or_else(|| wrong("there is no `bucket`".to_owned()))?;
        let objects = Objects {
            client: plumbing.client(settings, &Conduct { base: BASE, rates: &[], judge: google::judge })?,
            tokens: google::tokens(settings, plumbing, SCOPE)?,
            bucket: bucket.to_owned(),
        };
        let pointers = Pointers::read(settings).map_err(|misfit| wrong(misfit.problem))?;
        Ok(Self { objects, pointers })
    }
}

#[async_trait::async_trait]
impl Recipient for Gcs {
    async fn delete(&self, subjects: &[Subject]) -> Vec<Answer> {
        let all = subjects.iter().map(|subject| erase(&self.objects, &self.pointers, subject));
        in_order(all.collect(), super::AT_ONCE).await
    }

    async fn poll(&self, tickets: &[String]) -> Vec<Answer> {
        look_again(&self.objects, tickets)
    }

    async fn check(&self) -> Result<Checked, CheckError> {
        let call = self.objects.list("", Which::Generations).query("maxResults", "1");
        let reply = self.objects.send(call).await.map_err(google::check_failed)?;
        match page_of(&reply) {
            Some(_) => {
                Ok(Checked::Unproven { reason: "that objects may be deleted there shows with the first one".into() })
            }
            None => Err(CheckError { reason: words_of(&reply), temporary: reply.is_success() }),
        }
    }
}

/// Which generations a list is of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    /// Live and noncurrent.
    Generations,
    SoftDeleted,
}

/// One generation of a list.
struct Generation {
    number: String,
    key: String,
    gone_at: Option<Timestamp>,
}

#[async_trait::async_trait]
impl Storage for Objects {
    async fn left(&self, pointer: &Pointer) -> Result<Vec<Piece>, Answer> {
        let found = self.all(pointer, Which::Generations).await?;
        Ok(found.into_iter().map(|found| Piece { key: found.key, version: Some(found.number) }).collect())
    }

    async fn erase(&self, piece: &Piece) -> Result<(), Answer> {
        let reply = self.send(self.object(Call::delete, "delete a generation", piece)).await?;
        match reply.status {
            200..=299 => Ok(()),
            // Somebody else was faster, or the bucket is gone: the next list tells.
            404 if is_error(&reply) => Ok(()),
            403 => Err(self.why_not(piece, &reply).await),
            _ => Err(refusal(&reply)),
        }
    }

    /// A bucket that is not there says so to its lists.
    async fn is_there(&self) -> Result<(), Answer> {
        Ok(())
    }

    async fn kept(&self, pointer: &Pointer) -> Result<Option<Kept>, Answer> {
        let found = self.all(pointer, Which::SoftDeleted).await?;
        if found.len() > MOST {
            return Err(Answer::refused(format!(
                "soft delete keeps more than {MOST} files there: is the prefix one person's?"
            )));
        }
        let mut kept = None;
        for found in found {
            let until = found.gone_at.ok_or_else(|| {
                Answer::unreachable("its list of soft-deleted files does not say when they are gone", None)
            })?;
            kept = kept.max(Some(Kept { until, reason: "erased, but the bucket's soft delete keeps it" }));
        }
        Ok(kept)
    }

    fn place(&self) -> String {
        format!("{}/{}", self.client.base(), self.bucket)
    }
}

impl Objects {
    async fn send(&self, call: Call) -> Result<Reply, Failure> {
        self.client.send(&call.auth(Auth::Tokens(self.tokens.clone()))).await
    }

    fn list(&self, prefix: &str, which: Which) -> Call {
        let (operation, flag) = match which {
            Which::Generations => ("list generations", "versions"),
            Which::SoftDeleted => ("list soft-deleted generations", "softDeleted"),
        };
        let call = Call::get(operation, format!("/storage/v1/b/{}/o", segment(&self.bucket)));
        call.query("prefix", prefix).query(flag, "true").query("fields", FIELDS)
    }

    fn object(&self, method: fn(&'static str, String) -> Call, operation: &'static str, piece: &Piece) -> Call {
        let path = format!("/storage/v1/b/{}/o/{}", segment(&self.bucket), segment(&piece.key));
        method(operation, path).query("generation", piece.version.clone().unwrap_or_default())
    }

    /// All generations of a sort that a pointer names, or more than [`MOST`].
    async fn all(&self, pointer: &Pointer, which: Which) -> Result<Vec<Generation>, Answer> {
        let (prefix, exact) = match pointer {
            Pointer::Key(key) => (key, true),
            Pointer::Prefix(prefix) => (prefix, false),
        };
        let mut found: Vec<Generation> = Vec::new();
        let mut after: Option<String> = None;
        for _ in 0..=MOST {
            let mut call = self.list(prefix, which).query("maxResults", ON_A_PAGE);
            if let Some(token) = &after {
                call = call.query("pageToken", token);
            }
            let reply = self.send(call).await?;
            let Some(page) = page_of(&reply) else {
                if which == Which::SoftDeleted && reply.status == 400 && self.keeps_nothing().await? {
                    return Ok(Vec::new());
                }
                return Err(refusal(&reply));
            };
            let mut is_over = false;
            for item in google::array(&page["items"]) {
                let read = generation(item).filter(|read| read.key.starts_with(prefix.as_str()));
                let Some(read) = read else {
                    return Err(Answer::refused("its list is of other files than those that were asked for"));
                };
                match exact && read.key != *prefix {
                    // Names come in their order, so those that only begin like this one come after it.
                    true => is_over = true,
                    false => found.push(read),
                }
            }
            let next = page["nextPageToken"].as_str().filter(|token| !token.is_empty()).map(str::to_owned);
            if next.is_none() || is_over || found.len() > MOST {
                return Ok(found);
            }
            if next == after {
                break;
            }
            after = next;
        }
        Err(Answer::refused("its list of generations never ends"))
    }

    /// The bucket has no soft delete at all.
    async fn keeps_nothing(&self) -> Result<bool, Answer> {
        let call = Call::get("look at the soft delete", format!("/storage/v1/b/{}", segment(&self.bucket)));
        let reply = self.send(call.query("fields", "kind,name,softDeletePolicy")).await?;
        let body = reply.json().unwrap_or_default();
        let policy = &body["softDeletePolicy"];
        let is_ours = reply.is_success() && body["kind"] == "storage#bucket" && body["name"] == self.bucket.as_str();
        Ok(is_ours && (policy.is_null() || policy["retentionDurationSeconds"] == "0"))
    }

    /// Why a generation may not be deleted.
    async fn why_not(&self, piece: &Piece, refused: &Reply) -> Answer {
        let call = self.object(Call::get, "look at a lock", piece);
        let call =
            call.query("fields", "name,generation,temporaryHold,eventBasedHold,retentionExpirationTime,retention");
        let found = self.send(call).await.ok().filter(Reply::is_success).and_then(|reply| reply.json());
        let found = found.unwrap_or_default();
        if found["name"] != piece.key.as_str() || found["generation"].as_str() != piece.version.as_deref() {
            return refusal(refused);
        }
        if found["temporaryHold"] == true {
            return Answer::refused("a temporary hold lies on a file: it stays until somebody takes the hold away");
        }
        if found["eventBasedHold"] == true {
            return Answer::refused("an event-based hold lies on a file: it stays until somebody takes the hold away");
        }
        let now = Timestamp::now();
        let day = |time: &Value| time_of(time).filter(|until| *until > now).map(|until| until.strftime("%Y-%m-%d"));
        let retention = &found["retention"];
        if let Some(until) = day(&retention["retainUntilTime"]) {
            return Answer::refused(match retention["mode"].as_str() {
                Some("Unlocked") => format!(
                    "a file's retention lasts until {until}: wait, or let somebody who may override it take it away"
                ),
                _ => format!("a file is locked until {until}, and nobody can delete it before"),
            });
        }
        if let Some(until) = day(&found["retentionExpirationTime"]) {
            let reason = format!("the bucket's retention policy keeps a file until {until}");
            return Answer::refused(reason);
        }
        refusal(refused)
    }
}

/// A list that is one of this API; a body that is none says nothing of what is left.
fn page_of(reply: &Reply) -> Option<Value> {
    let page = reply.json().filter(|_| reply.is_success())?;
    let is_list = page["kind"] == "storage#objects" && (page["items"].is_null() || page["items"].is_array());
    is_list.then_some(page)
}

fn generation(item: &Value) -> Option<Generation> {
    let number = item["generation"].as_str().filter(|number| google::is_plain(number))?;
    let key = item["name"].as_str()?;
    Some(Generation { number: number.to_owned(), key: key.to_owned(), gone_at: time_of(&item["hardDeleteTime"]) })
}

fn time_of(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

/// An error in this API's own form.
fn is_error(reply: &Reply) -> bool {
    reply.json().is_some_and(|body| body["error"].is_object())
}

fn refusal(reply: &Reply) -> Answer {
    match reply.status {
        404 | 403 if is_error(reply) => Answer::refused(words_of(reply)),
        _ => google::refusal(reply),
    }
}

fn words_of(reply: &Reply) -> String {
    match reply.status {
        200..=299 => format!("HTTP {} with an answer that cannot be read", reply.status),
        404 if is_error(reply) => "there is no such bucket".to_owned(),
        404 => "HTTP 404 that is not of this API: look at `url`".to_owned(),
        403 => format!("{}: it has to list and delete objects", google::words_of(reply)),
        _ => google::words_of(reply),
    }
}
