//! Azure Blob Storage.
//!
//! A DELETE of a blob takes its snapshots along (`x-ms-delete-snapshots: include`). Where the account keeps versions it only makes
//! a previous version of the blob, so that all versions are listed, and each is deleted by its id, after the blob
//! (<https://learn.microsoft.com/rest/api/storageservices/delete-blob>). Where the account has soft delete, all of that is kept for 1
//! to 365 days and is listed as deleted; the row waits until it is not. Versions and snapshots, and no blobs, can be erased
//! before with `deletetype=permanent`, where the account allows it and the settings ask for it.
//!
//! Calls are signed with the account's key (Shared Key, as azure-storage-blob 12.31.1 does it), or bring a shared access
//! signature, or a token of an application.
//!
//! An account with a hierarchical namespace lists what soft delete keeps elsewhere, and a list that does not show it would be
//! no proof. So the account's properties are read once, and such an account is refused.
//!
//! Not confirmed by any documentation, from memory alone **[memory]**: how `RemainingRetentionDays` is rounded (what is still kept on
//! that day is looked at again), what an account answers that does not allow permanent deletion, that an application's token may
//! read the account's properties, and whether a dot at the end of a name's piece is kept (such names are not asked for).

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
        RecipientSettings, State, Subject,
        client::{Auth, Body, Call, Client, Conduct, Failure, Reply, Signer, in_order, segment},
        no_remarks,
        retry::usual,
        token::{FormGrant, Tokens},
    },
    s3::error_code,
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::{Timestamp, ToSpan as _, fmt::rfc2822::DateTimeParser};
use reqwest::{Method, Url};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use sha2::Sha256;
use std::{collections::BTreeSet, sync::Arc};
use tokio::sync::OnceCell;

/// Of the interface; permanent deletion is in it since 2020-02-10.
const VERSION: &str = "2023-11-03";

/// Blobs on a page: their list stays well below the longest reply.
const ON_A_PAGE: usize = 250;

const SCOPE: &str = "https://storage.azure.com/.default";

pub static KIND: Kind = Kind {
    name: "azure_blob",
    doc: "Blobs in a container of Azure Blob Storage: files that rows point at go with all their versions and snapshots, and the \
          row waits until soft delete keeps none of them any more.",
    settings: &[
        Field::required(
            "account",
            "The storage account's name. Its blobs are at `https://ACCOUNT.blob.core.windows.net`, or at `url`.",
            Shape::Text(&format::TEXT),
            "examplestore",
        ),
        Field::required("container", "The container's name.", Shape::Text(&format::TEXT), "uploads"),
        KEYS,
        PREFIXES,
        Field::optional(
            "key",
            "One of the account's keys, from a variable or file. It may do everything in the account.",
            Shape::Text(&format::KEY),
            "\"${UPLOADS_KEY}\"",
        ),
        Field::optional(
            "sas",
            "Instead of a key: a shared access signature for the container that may read (the account's \
                  properties, alone), list, delete, and delete versions (`rldx`; with `permanent` also `y`).",
            Shape::Text(&format::KEY),
            "\"${UPLOADS_SAS}\"",
        ),
        Field::optional(
            "tenant",
            "Instead of a key: the directory of an application that is a Storage Blob Data Owner of the container.",
            Shape::Text(&format::SETTING),
            "72f988bf-86f1-41af-91ab-2d7cd011db47",
        ),
        Field::optional(
            "client_id",
            "The application's id.",
            Shape::Text(&format::SETTING),
            "00001111-aaaa-2222-bbbb-3333cccc4444",
        ),
        Field::optional(
            "client_secret",
            "The application's secret, from a variable or file.",
            Shape::Text(&format::KEY),
            "\"${UPLOADS_CLIENT_SECRET}\"",
        ),
        Field::optional(
            "token_url",
            "Where tokens are given, instead of Microsoft's own place.",
            Shape::Text(&format::SETTING),
            "https://login.microsoftonline.com/TENANT/oauth2/v2.0/token",
        ),
        Field::optional(
            "permanent",
            "Erase also what soft delete keeps, as far as Azure can: versions and snapshots, where the account allows permanent \
                  deletion. A blob without versions stays until its day.",
            Shape::Boolean,
            "true",
        ),
    ],
    identifiers: Identifiers::OfPlaces(|settings| {
        Pointers::read(settings).map_or_else(|_| Vec::new(), |pointers| pointers.identifiers())
    }),
    check,
    facts: |settings| Facts {
        batch: 1,
        calls: 3,
        rates: settings.rates(&[]),
        grade: Grade::E1,
        deleted: "the blobs that the row points at with all their versions and snapshots, also what soft delete keeps of them, once it \
                  keeps it no longer",
        kept: "copies in other containers, replicas, blocks that were never committed (for a week), restore points, inventories, \
               the change feed, access logs",
        sources: &[
            "https://learn.microsoft.com/rest/api/storageservices/list-blobs",
            "https://learn.microsoft.com/rest/api/storageservices/delete-blob",
            "https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key",
        ],
    },
    remarks: no_remarks,
    open: |settings, plumbing| Ok(Box::new(AzureBlob::open(settings, plumbing)?)),
    #[cfg(feature = "demo")]
    stand_in: Some(&stand_in::STAND_IN),
};

fn check(settings: &RecipientSettings) -> Result<(), Misfit> {
    let options = &settings.options;
    let misfit = |at, problem: &str, help: &str| {
        Err(Misfit { at: vec![at], problem: problem.to_owned(), help: help.to_owned() })
    };
    let account = options.text("account").unwrap_or_default();
    if account.is_empty() || !account.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()) {
        return misfit("account", "no account has this name", "small letters and digits");
    }
    let container = options.text("container").unwrap_or_default();
    let name = container.strip_prefix('$').unwrap_or(container);
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if name.is_empty() || !name.bytes().all(fits) {
        return misfit("container", "no container has this name", "small letters, digits and `-`");
    }
    let given = |keys: &[&str]| keys.iter().filter(|key| options.node(key).is_some()).count();
    let help = "give `key`, or `sas`, or `tenant`, `client_id` and `client_secret`";
    match (given(&["key"]) + given(&["sas"]), given(&["tenant", "client_id", "client_secret"])) {
        (1, 0) | (0, 3) => {}
        (0, 0) => return misfit("key", "nothing proves who calls", help),
        (0, _) => return misfit("client_id", "an application takes `tenant`, `client_id` and `client_secret`", help),
        _ => return misfit("key", "there is more than one proof of who calls", help),
    }
    Pointers::read(settings).map(drop)
}

struct AzureBlob {
    blobs: Blobs,
    pointers: Pointers,
}

struct Blobs {
    client: Client,
    container: String,
    access: Access,
    permanent: bool,
    /// Whether the account has a hierarchical namespace, once it was asked.
    hierarchical: OnceCell<bool>,
}

enum Access {
    /// Shared Key.
    Key {
        account: String,
        key: Arc<SecretString>,
    },
    /// Shared access signature: the parameters as they were given.
    Signature(SecretString),
    Tokens(Arc<Tokens>),
}

impl AzureBlob {
    fn open(settings: &RecipientSettings, plumbing: &Plumbing) -> Result<Self, OpenError> {
        let wrong = |reason: String| OpenError { recipient: settings.name.clone(), reason };
        let options = &settings.options;
        let text = |key: &str| options.text(key).ok_or_else(|| wrong(format!("there is no `{key}`")));
        let account = text("account")?.to_owned();
        let access = if let Some(key) = options.secret("key") {
            if BASE64_STANDARD.decode(key.expose_secret().trim()).is_err() {
                return Err(wrong("`key` is not an account's key, which is base64".to_owned()));
            }
            Access::Key { account: account.clone(), key: Arc::new(key) }
        } else if let Some(sas) = options.secret("sas") {
            let text = sas.expose_secret().trim().trim_start_matches('?');
            let is_one = text.split('&').any(|pair| pair.starts_with("sig=")) && !text.contains(['#', ' ']);
            if !is_one {
                return Err(wrong("`sas` is not a shared access signature, which has `sig=…` in it".to_owned()));
            }
            Access::Signature(text.to_owned().into())
        } else {
            let secret =
                options.secret("client_secret").ok_or_else(|| wrong("there is no `client_secret`".to_owned()))?;
            let url = match options.text("token_url") {
                Some(url) => url.to_owned(),
                None => format!("https://login.microsoftonline.com/{}/oauth2/v2.0/token", segment(text("tenant")?)),
            };
            let pair = |name: &str, value: SecretString| (name.to_owned(), value);
            let form = vec![
                pair("grant_type", "client_credentials".to_owned().into()),
                pair("client_id", text("client_id")?.to_owned().into()),
                pair("client_secret", secret),
                pair("scope", SCOPE.to_owned().into()),
            ];
            Access::Tokens(Arc::new(Tokens::new(FormGrant { url, basic: None, form })))
        };
        let base = format!("https://{account}.blob.core.windows.net");
        let blobs = Blobs {
            client: plumbing.client(settings, &Conduct { base: &base, rates: &[], judge: usual })?,
            container: text("container")?.to_owned(),
            access,
            permanent: options.flag("permanent"),
            hierarchical: OnceCell::new(),
        };
        let pointers = Pointers::read(settings).map_err(|misfit| wrong(misfit.problem))?;
        Ok(Self { blobs, pointers })
    }
}

#[async_trait::async_trait]
impl Recipient for AzureBlob {
    async fn delete(&self, subjects: &[Subject]) -> Vec<Answer> {
        let all = subjects.iter().map(|subject| erase(&self.blobs, &self.pointers, subject));
        in_order(all.collect(), super::AT_ONCE).await
    }

    async fn poll(&self, tickets: &[String]) -> Vec<Answer> {
        look_again(&self.blobs, tickets)
    }

    async fn check(&self) -> Result<Checked, CheckError> {
        let told = |failure: Failure| CheckError { reason: failure.reason, temporary: !failure.lasting };
        let reply = self.blobs.send(&Method::GET, "list blobs", &self.blobs.list_path("", 1, None), &[]).await;
        let reply = reply.map_err(told)?;
        if self.blobs.page_of(&reply, "").is_none() {
            return Err(CheckError { reason: words_of(&reply), temporary: reply.is_success() });
        }
        match self.blobs.is_flat().await {
            Ok(()) => {
                Ok(Checked::Unproven { reason: "that blobs may be deleted there shows with the first one".into() })
            }
            Err(answer) => {
                let reason = answer.state.reason().unwrap_or_default().to_owned();
                Err(CheckError { reason, temporary: matches!(answer.state, State::Unreachable { .. }) })
            }
        }
    }
}

/// The answer to [List Blobs], as far as it is needed.
///
/// [List Blobs]: https://learn.microsoft.com/rest/api/storageservices/list-blobs
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct BlobList {
    #[serde(rename = "@ContainerName")]
    container_name: Option<String>,
    prefix: Option<Name>,
    #[serde(default)]
    blobs: BlobItems,
    next_marker: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct BlobItems {
    #[serde(default)]
    blob: Vec<Blob>,
}

/// A blob, one of its versions, or a snapshot.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Blob {
    name: Name,
    #[serde(default)]
    deleted: bool,
    snapshot: Option<String>,
    version_id: Option<String>,
    #[serde(default)]
    is_current_version: bool,
    properties: Option<Properties>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Properties {
    remaining_retention_days: Option<i64>,
}

/// A name that XML cannot hold is percent-encoded.
#[derive(Debug, Default, Deserialize)]
struct Name {
    #[serde(rename = "@Encoded", default)]
    encoded: bool,
    #[serde(rename = "$text", default)]
    text: String,
}

impl Name {
    fn plain(&self) -> String {
        if !self.encoded {
            return self.text.clone();
        }
        // What a query's value may hold needs no more than its percent signs.
        let escaped = self.text.replace('+', "%2B").replace('&', "%26").replace('#', "%23");
        let url = Url::parse(&format!("https://localhost/?n={escaped}"));
        let value = url.ok().and_then(|url| url.query_pairs().next().map(|(_, value)| value.into_owned()));
        value.unwrap_or_else(|| self.text.clone())
    }
}

impl Blob {
    /// What names it among those of the same name; `None` for the blob itself.
    fn version(&self) -> Option<String> {
        let query = |name: &str, value: &String| format!("{name}={}", segment(value));
        let snapshot = self.snapshot.as_ref().map(|snapshot| query("snapshot", snapshot));
        snapshot.or_else(|| self.version_id.as_ref().map(|version| query("versionid", version)))
    }

    /// It is the blob itself: a version's id may stand beside it.
    fn is_base(&self) -> bool {
        self.snapshot.is_none() && (self.version_id.is_none() || self.is_current_version)
    }
}

/// A piece's version is the part of the query that names it; with this behind, it is erased from what soft delete keeps.
const PERMANENT: &str = "&deletetype=permanent";

#[async_trait::async_trait]
impl Storage for Blobs {
    async fn left(&self, pointer: &Pointer) -> Result<Vec<Piece>, Answer> {
        let (mut blobs, mut versions) = (Vec::new(), Vec::new());
        let found = self.all(pointer).await?;
        let bases: BTreeSet<String> =
            found.iter().filter(|blob| !blob.deleted && blob.is_base()).map(|blob| blob.name.plain()).collect();
        for blob in found {
            let (key, version) = (blob.name.plain(), blob.version());
            match (blob.deleted, version) {
                // Its snapshots go along with a blob.
                (false, Some(_)) if blob.snapshot.is_some() && bases.contains(&key) => {}
                (false, version) => {
                    if blob.is_base() {
                        blobs.push(Piece { key: key.clone(), version: None });
                    }
                    // Once the blob is deleted, its version is a previous one.
                    versions.extend(version.map(|version| Piece { key, version: Some(version) }));
                }
                (true, Some(version)) if self.permanent => {
                    versions.push(Piece { key, version: Some(version + PERMANENT) });
                }
                (true, _) => {}
            }
        }
        blobs.append(&mut versions);
        Ok(blobs)
    }

    async fn erase(&self, piece: &Piece) -> Result<(), Answer> {
        let (path, headers) = match &piece.version {
            Some(version) => (format!("{}?{version}", self.path(&piece.key)), &[][..]),
            None => (self.path(&piece.key), &[("x-ms-delete-snapshots", "include")][..]),
        };
        let reply = self.send(&Method::DELETE, "delete a blob", &path, headers).await?;
        match (reply.status, code_of(&reply).as_deref()) {
            (200..=299, _) | (404, Some("BlobNotFound")) => Ok(()),
            (409, Some(code)) if code.starts_with("BlobImmutable") => Err(self.why_not(piece, code).await),
            (409 | 412, Some("LeaseIdMissing" | "LeaseIdMismatchWithBlobOperation")) => {
                Err(Answer::refused("a file is leased: it stays until whoever holds the lease gives it up"))
            }
            (status @ 400..=499, code)
                if piece.version.as_ref().is_some_and(|version| version.ends_with(PERMANENT)) =>
            {
                Err(Answer::refused(format!(
                    "what soft delete keeps cannot be erased (HTTP {status} {}): allow permanent deletion in the account and to \
                     the credentials, or leave `permanent` out",
                    code.unwrap_or("without a code")
                )))
            }
            _ => Err(refusal(&reply)),
        }
    }

    /// A container that is not there says so to its list.
    async fn is_there(&self) -> Result<(), Answer> {
        Ok(())
    }

    async fn kept(&self, pointer: &Pointer) -> Result<Option<Kept>, Answer> {
        self.is_flat().await?;
        let now = Timestamp::now();
        let mut kept = None;
        for blob in self.all(pointer).await?.iter().filter(|blob| blob.deleted) {
            let days = blob.properties.as_ref().and_then(|properties| properties.remaining_retention_days);
            let hours = days.and_then(|days| days.max(1).checked_mul(24));
            let until = hours
                .and_then(|hours| now.checked_add(hours.hours()).ok())
                .ok_or_else(|| Answer::unreachable("its list does not say how long a deleted file is kept", None))?;
            kept = kept.max(Some(Kept { until, reason: "erased, but the account's soft delete keeps it" }));
        }
        Ok(kept)
    }

    fn place(&self) -> String {
        format!("{}/{}", self.client.base(), self.container)
    }
}

impl Blobs {
    /// The path is below the base URL and brings its query; the headers are of the kind that is signed.
    async fn send(
        &self,
        method: &Method,
        operation: &'static str,
        path: &str,
        headers: &[(&'static str, &'static str)],
    ) -> Result<Reply, Failure> {
        let separator = if path.contains('?') { '&' } else { '?' };
        let url = match &self.access {
            Access::Signature(sas) => format!("{path}{separator}{}", sas.expose_secret()),
            Access::Key { .. } | Access::Tokens(_) => path.to_owned(),
        };
        let mut headers = headers.to_vec();
        headers.push(("x-ms-version", VERSION));
        let call = Call::new(operation, method.clone(), url);
        let call = match &self.access {
            Access::Key { account, key } => {
                let signer = SharedKey { account: account.clone(), key: key.clone(), headers };
                call.auth(Auth::Signed(Arc::new(signer)))
            }
            Access::Signature(_) => with(call, headers),
            Access::Tokens(tokens) => with(call, headers).auth(Auth::Tokens(tokens.clone())),
        };
        self.client.send(&call).await
    }

    fn path(&self, key: &str) -> String {
        // An empty piece is part of some names, and an empty segment arrives as one.
        let piece = |piece: &str| if piece.is_empty() { String::new() } else { segment(piece) };
        let pieces: Vec<_> = key.split('/').map(piece).collect();
        format!("/{}/{}", segment(&self.container), pieces.join("/"))
    }

    fn list_path(&self, prefix: &str, most: usize, after: Option<&str>) -> String {
        let mut path = format!(
            "/{}?restype=container&comp=list&include=snapshots%2Cversions%2Cdeleted&maxresults={most}",
            segment(&self.container)
        );
        for (name, value) in [("prefix", prefix), ("marker", after.unwrap_or_default())] {
            if !value.is_empty() {
                path = format!("{path}&{name}={}", segment(value));
            }
        }
        path
    }

    /// A list of this container and prefix. Names are read as they are, so blanks in them count.
    fn page_of(&self, reply: &Reply, prefix: &str) -> Option<BlobList> {
        let text = std::str::from_utf8(&reply.body).ok().filter(|_| reply.is_success())?;
        let text = text.trim_start_matches('\u{feff}');
        let list: BlobList =
            text.contains("<EnumerationResults").then(|| quick_xml::de::from_str(text).ok()).flatten()?;
        let is_ours = list.container_name.as_deref() == Some(self.container.as_str())
            && list.prefix.as_ref().map(Name::plain).unwrap_or_default() == prefix;
        is_ours.then_some(list)
    }

    /// Everything that a pointer names, deleted or not, or more than [`MOST`].
    async fn all(&self, pointer: &Pointer) -> Result<Vec<Blob>, Answer> {
        let (prefix, exact) = match pointer {
            Pointer::Key(key) => (key, true),
            Pointer::Prefix(prefix) => (prefix, false),
        };
        if prefix.split('/').any(|piece| piece.ends_with('.')) {
            return Err(Answer::refused(
                "not asked: an identifier ends with a dot, and Azure may know the file without it",
            ));
        }
        let mut found: Vec<Blob> = Vec::new();
        let mut after: Option<String> = None;
        for _ in 0..=MOST {
            let path = self.list_path(prefix, ON_A_PAGE, after.as_deref());
            let reply = self.send(&Method::GET, "list blobs", &path, &[]).await?;
            let Some(page) = self.page_of(&reply, prefix) else { return Err(refusal(&reply)) };
            let mut is_over = false;
            for blob in page.blobs.blob {
                let name = blob.name.plain();
                if !name.starts_with(prefix.as_str()) {
                    return Err(Answer::refused("its list is of other files than those that were asked for"));
                }
                match exact && name != *prefix {
                    // Names come in their order, so those that only begin like this one come after it.
                    true => is_over = true,
                    false => found.push(blob),
                }
            }
            let next = page.next_marker.filter(|marker| !marker.is_empty());
            if next.is_none() || is_over || found.len() > MOST {
                return Ok(found);
            }
            if next == after {
                break;
            }
            after = next;
        }
        Err(Answer::refused("its list of blobs never ends"))
    }

    /// The account has no hierarchical namespace, whose lists would not show what soft delete keeps.
    async fn is_flat(&self) -> Result<(), Answer> {
        let ask = async || -> Result<bool, Answer> {
            // A signature for a container can ask there alone.
            let place = match self.access {
                Access::Signature(_) => segment(&self.container),
                Access::Key { .. } | Access::Tokens(_) => String::new(),
            };
            let path = format!("/{place}?restype=account&comp=properties");
            let reply = self.send(&Method::GET, "look at the account", &path, &[]).await?;
            match (reply.is_success(), reply.header("x-ms-is-hns-enabled")) {
                (true, Some("true")) => Ok(true),
                (true, Some("false")) => Ok(false),
                (true, _) => Err(Answer::refused("the account does not say whether it has a hierarchical namespace")),
                (false, _) => {
                    let said = words_of(&reply);
                    let reason =
                        format!("what kind of account it is cannot be read, without which nothing is proven: {said}");
                    Err(Answer::refused(reason))
                }
            }
        };
        match self.hierarchical.get_or_try_init(ask).await? {
            false => Ok(()),
            true => Err(Answer::refused(
                "the account has a hierarchical namespace, where files that soft delete keeps cannot be seen: not supported",
            )),
        }
    }

    /// Why a policy keeps a blob, and until when.
    async fn why_not(&self, piece: &Piece, code: &str) -> Answer {
        const HELD: &str = "a legal hold lies on a file: it stays until somebody takes the hold away";
        let version = piece.version.as_deref().map(|version| version.trim_end_matches(PERMANENT));
        let path =
            version.map_or_else(|| self.path(&piece.key), |version| format!("{}?{version}", self.path(&piece.key)));
        let reply = self.send(&Method::HEAD, "look at a lock", &path, &[]).await.ok().filter(Reply::is_success);
        let header = |name: &str| reply.as_ref().and_then(|reply| reply.header(name));
        if code == "BlobImmutableDueToLegalHold" || header("x-ms-legal-hold") == Some("true") {
            return Answer::refused(HELD);
        }
        let until = header("x-ms-immutability-policy-until-date").and_then(time_of);
        let Some(until) = until.map(|until| until.strftime("%Y-%m-%d")) else {
            let reason = "a policy of the container keeps a file, and Azure does not say until when: look at the container's policies";
            return Answer::refused(reason);
        };
        let is_unlocked =
            header("x-ms-immutability-policy-mode").is_some_and(|mode| mode.eq_ignore_ascii_case("unlocked"));
        Answer::refused(match is_unlocked {
            true => format!(
                "a policy keeps a file until {until}: wait, or let somebody take the policy away, which is not locked"
            ),
            false => format!("a file is locked until {until}, and nobody can delete it before"),
        })
    }
}

fn with(call: Call, headers: Vec<(&'static str, &'static str)>) -> Call {
    headers.into_iter().fold(call, |call, (name, value)| call.header(name, value.to_owned()))
}

/// Signs a call without a body with an account's key
/// (<https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key>).
struct SharedKey {
    account: String,
    /// In base64.
    key: Arc<SecretString>,
    /// Those that begin with `x-ms-`, but for the date.
    headers: Vec<(&'static str, &'static str)>,
}

impl Signer for SharedKey {
    fn sign(&self, method: &str, url: &Url, _: &Body) -> Vec<(String, SecretString)> {
        let date = Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let mut headers = vec![("authorization".to_owned(), self.authorization(method, url, &date).into())];
        headers.push(("x-ms-date".to_owned(), date.into()));
        headers.extend(self.headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned().into())));
        headers
    }
}

impl SharedKey {
    fn authorization(&self, method: &str, url: &Url, date: &str) -> String {
        let mut headers: Vec<_> = self.headers.clone();
        headers.push(("x-ms-date", date));
        headers.sort_unstable();
        let headers: String = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let mut query: Vec<_> =
            url.query_pairs().map(|(name, value)| (name.to_lowercase(), value.into_owned())).collect();
        query.sort_unstable();
        let query: String = query.iter().map(|(name, value)| format!("\n{name}:{value}")).collect();
        // Eleven standard headers, none of which such a call has.
        let text = format!("{method}\n{}{headers}/{}{}{query}", "\n".repeat(11), self.account, url.path());
        let key = BASE64_STANDARD.decode(self.key.expose_secret().trim()).unwrap_or_default();
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&key) else { return String::new() };
        mac.update(text.as_bytes());
        format!("SharedKey {}:{}", self.account, BASE64_STANDARD.encode(mac.finalize().into_bytes()))
    }
}

/// A time as HTTP's headers write it.
fn time_of(text: &str) -> Option<Timestamp> {
    let text = text.trim().strip_suffix("GMT").map_or_else(|| text.to_owned(), |date| format!("{date}+0000"));
    DateTimeParser::new().parse_timestamp(&text).ok()
}

/// Azure's own word for an error; nothing else of such an answer is to be shown.
fn code_of(reply: &Reply) -> Option<String> {
    let plain = |code: &&str| code.len() <= 64 && !code.is_empty() && code.bytes().all(|b| b.is_ascii_alphanumeric());
    let body = String::from_utf8_lossy(&reply.body);
    reply.header("x-ms-error-code").filter(plain).or_else(|| error_code(&body)).map(str::to_owned)
}

fn refusal(reply: &Reply) -> Answer {
    if reply.is_success() {
        return Answer::unreachable(format!("HTTP {} with an answer that cannot be read", reply.status), None);
    }
    Answer::refused(words_of(reply))
}

fn words_of(reply: &Reply) -> String {
    let code = code_of(reply);
    match (reply.status, code.as_deref()) {
        (404, Some("ContainerNotFound")) => "there is no such container".to_owned(),
        (401 | 403, Some("AuthenticationFailed" | "InvalidAuthenticationInfo" | "NoAuthenticationInformation")) => {
            "it does not accept the credentials".to_owned()
        }
        (403, Some(code)) => {
            format!(
                "the credentials may not do this (HTTP 403 {code}): they have to list and delete blobs and versions"
            )
        }
        (status, Some(code)) => format!("HTTP {status} {code}"),
        (status, None) => format!("HTTP {status} without Azure's code: is `url` the account's?"),
    }
}

#[cfg(test)]
mod tests;
