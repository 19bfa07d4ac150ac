//! Amazon S3, and whatever speaks its language (MinIO, Ceph, R2).
//!
//! A DELETE without a version's id only hides an object behind a marker, so all versions and markers are listed
//! (`ListObjectVersions`) and each is deleted by its id: the versions first, since an object whose marker goes first is
//! visible again. A refusal (403) is looked into, for S3 says the same to somebody who may not delete and to somebody who
//! wants to delete what is locked (`GetObjectRetention`, `GetObjectLegalHold`, or the headers of `HeadObject`); MFA delete needs a device and is for people.
//!
//! Source: S3's API model 2006-03-01 (<https://docs.aws.amazon.com/AmazonS3/latest/API/>).

use super::{KEYS, MOST, PREFIXES, Piece, Pointer, Pointers, Storage, erase};
use crate::{
    evidence::Grade,
    language::{
        format,
        shape::{Field, Shape},
    },
    recipients::{
        Answer, CheckError, Checked, Facts, Identifiers, Kind, Misfit, OpenError, Plumbing, Recipient,
        RecipientSettings, Subject,
        client::{Call, Client, Conduct, Failure, Reply, in_order},
        no_remarks,
        retry::usual,
    },
    s3::{Bucket, Credentials, VersionList, error_code},
};
use reqwest::Url;
use rusty_s3::Method;
use std::collections::BTreeMap;

/// Versions on a page: their list stays well below the longest reply.
const ON_A_PAGE: usize = 250;

pub static KIND: Kind = Kind {
    name: "s3",
    doc: "Objects in a bucket of Amazon S3, or of what speaks its language (then `url` is its endpoint): files that rows point \
          at go with all their versions.",
    settings: &[
        Field::required("bucket", "The bucket's name.", Shape::Text(&format::TEXT), "uploads"),
        Field::required("region", "Where the bucket is.", Shape::Text(&format::TEXT), "ap-northeast-1"),
        Field::required(
            "access_key_id",
            "Whose key it is. It may `s3:ListBucketVersions`, `s3:DeleteObjectVersion`, and, to explain refusals, \
                  `s3:GetBucketVersioning`, `s3:GetObjectRetention` and `s3:GetObjectLegalHold`.",
            Shape::Text(&format::KEY),
            "\"${UPLOADS_ID}\"",
        ),
        Field::required("secret_access_key", "The key.", Shape::Text(&format::KEY), "\"${UPLOADS_SECRET}\""),
        Field::optional(
            "session_token",
            "Of credentials that last for some hours.",
            Shape::Text(&format::KEY),
            "\"${UPLOADS_TOKEN}\"",
        ),
        KEYS,
        PREFIXES,
        Field::optional(
            "bypass_governance",
            "Erase also what is locked in governance mode; needs `s3:BypassGovernanceRetention`. A lock in compliance \
                  mode and a legal hold stay what they are.",
            Shape::Boolean,
            "true",
        ),
    ],
    identifiers: Identifiers::OfPlaces(|settings| {
        Pointers::read(settings).map_or_else(|_| Vec::new(), |pointers| pointers.identifiers())
    }),
    check: |settings| {
        let name = settings.options.text("bucket").unwrap_or_default();
        if name.contains(|c: char| !(c.is_ascii_alphanumeric() || ".-_".contains(c))) || name.starts_with('.') {
            let help = "small letters, digits, `-` and `.`";
            return Err(Misfit { at: vec!["bucket"], problem: "no bucket has this name".into(), help: help.into() });
        }
        Pointers::read(settings).map(drop)
    },
    facts: |settings| Facts {
        batch: 1,
        calls: 3,
        rates: settings.rates(&[]),
        grade: Grade::E1,
        deleted: "all versions and delete markers of the objects that the row points at",
        kept: "replicas in other buckets, uploads in parts that were never finished, backups, inventories, access logs",
        sources: &["https://docs.aws.amazon.com/AmazonS3/latest/API/"],
    },
    remarks: no_remarks,
    open: |settings, plumbing| Ok(Box::new(S3::open(settings, plumbing)?)),
    #[cfg(feature = "demo")]
    stand_in: None,
};

struct S3 {
    objects: Objects,
    pointers: Pointers,
}

struct Objects {
    client: Client,
    bucket: Bucket,
    bypass_governance: bool,
}

impl S3 {
    fn open(settings: &RecipientSettings, plumbing: &Plumbing) -> Result<Self, OpenError> {
        let wrong = |reason: String| OpenError { recipient: settings.name.clone(), reason };
        let options = &settings.options;
        let text = |key: &str| options.text(key).ok_or_else(|| wrong(format!("there is no `{key}`")));
        let secret = |key: &str| options.secret(key).ok_or_else(|| wrong(format!("there is no `{key}`")));
        let credentials = Credentials {
            access_key_id: secret("access_key_id")?,
            secret_access_key: secret("secret_access_key")?,
            session_token: options.secret("session_token"),
        };
        let endpoint = settings.url.as_deref().map(Url::parse).transpose();
        let endpoint = endpoint.map_err(|_| wrong("`url` cannot be read".to_owned()))?;
        let bucket = Bucket::new(text("bucket")?, text("region")?, endpoint.as_ref(), credentials).map_err(wrong)?;
        let pointers = Pointers::read(settings).map_err(|misfit| wrong(misfit.problem))?;
        let conduct = Conduct { base: bucket.url().as_str(), rates: &[], judge: usual };
        let client = plumbing.client(settings, &conduct)?;
        let objects = Objects { client, bucket, bypass_governance: options.flag("bypass_governance") };
        Ok(Self { objects, pointers })
    }
}

#[async_trait::async_trait]
impl Recipient for S3 {
    async fn delete(&self, subjects: &[Subject]) -> Vec<Answer> {
        let all = subjects.iter().map(|subject| erase(&self.objects, &self.pointers, subject));
        in_order(all.collect(), super::AT_ONCE).await
    }

    async fn check(&self) -> Result<Checked, CheckError> {
        let told = |failure: Failure| CheckError { reason: failure.reason, temporary: !failure.lasting };
        let reply = self.objects.send(list("list versions", self.objects.bucket.versions_url("", None, 1))).await;
        let reply = reply.map_err(told)?;
        if VersionList::read(&body(&reply)).is_none() || !reply.is_success() {
            return Err(CheckError { reason: words_of(&reply), temporary: false });
        }
        match self.objects.needs_device().await.map_err(told)? {
            true => Err(CheckError { reason: NEEDS_DEVICE.to_owned(), temporary: false }),
            false => Ok(Checked::Proven),
        }
    }
}

#[async_trait::async_trait]
impl Storage for Objects {
    async fn left(&self, pointer: &Pointer) -> Result<Vec<Piece>, Answer> {
        let (prefix, exact) = match pointer {
            Pointer::Key(key) => (key, true),
            Pointer::Prefix(prefix) => (prefix, false),
        };
        let (mut versions, mut markers) = (Vec::new(), Vec::new());
        let mut after = None;
        for _ in 0..=MOST {
            let url = self.bucket.versions_url(prefix, after.as_ref(), ON_A_PAGE);
            let reply = self.send(list("list versions", url)).await?;
            let listed = VersionList::read(&body(&reply)).filter(|_| reply.is_success());
            let Some(listed) = listed else { return Err(refusal(&reply)) };
            if listed.prefix.as_ref().is_some_and(|answered| answered != prefix) {
                return Err(Answer::refused("its list is of other files than those that were asked for"));
            }
            let next = listed.next();
            // Keys come in their order, so those that only begin like this one come after it.
            let is_over = exact && listed.versions.iter().chain(&listed.markers).any(|version| version.key != *prefix);
            let ours = |key: &str| if exact { key == prefix } else { key.starts_with(prefix.as_str()) };
            let piece = |(key, version)| Piece { key, version };
            versions.extend(listed.versions.into_iter().filter(|v| ours(&v.key)).map(|v| piece((v.key, v.version_id))));
            markers.extend(listed.markers.into_iter().filter(|v| ours(&v.key)).map(|v| piece((v.key, v.version_id))));
            if next.is_none() || is_over || versions.len() + markers.len() > MOST {
                versions.append(&mut markers);
                return Ok(versions);
            }
            if next == after {
                break;
            }
            after = next;
        }
        Err(Answer::refused("its list of versions never ends"))
    }

    async fn erase(&self, piece: &Piece) -> Result<(), Answer> {
        let version = piece.version.as_deref().unwrap_or("null");
        let query = BTreeMap::from([("versionId", version)]);
        let mut headers = BTreeMap::new();
        if self.bypass_governance {
            headers.insert("x-amz-bypass-governance-retention", "true".to_owned());
        }
        let url = self.bucket.signed(Method::Delete, self.bucket.object_url(&piece.key), &query, &headers);
        let call = headers
            .into_iter()
            .fold(Call::delete("delete a version", url), |call, (name, value)| call.header(name, value));
        let reply = self.send(call).await?;
        let answer = body(&reply);
        match (reply.status, error_code(&answer)) {
            (200..=299, _) | (404, Some("NoSuchVersion" | "NoSuchKey")) => Ok(()),
            (403, _) | (_, Some("AccessDenied")) => Err(self.why_not(piece, &reply).await),
            _ => Err(refusal(&reply)),
        }
    }

    /// A bucket that is not there says so to its list.
    async fn is_there(&self) -> Result<(), Answer> {
        Ok(())
    }
}

const NEEDS_DEVICE: &str =
    "MFA delete is on: versions go only with the code of a device, so a person has to delete them";

impl Objects {
    async fn send(&self, call: Call) -> Result<Reply, Failure> {
        self.client.send(&call).await
    }

    /// Whether versions go only with the code of a device.
    async fn needs_device(&self) -> Result<bool, Failure> {
        let query = BTreeMap::from([("versioning", "")]);
        let url = self.bucket.signed(Method::Get, self.bucket.url().clone(), &query, &BTreeMap::new());
        let reply = self.send(list("look at the versioning", url)).await?;
        Ok(reply.is_success() && element(&body(&reply), "MfaDelete").as_deref() == Some("Enabled"))
    }

    /// Why a version may not be deleted.
    async fn why_not(&self, piece: &Piece, refused: &Reply) -> Answer {
        let version = piece.version.as_deref().unwrap_or("null");
        let ask = async |what: &'static str| {
            let query = BTreeMap::from([(what, ""), ("versionId", version)]);
            let url = self.bucket.signed(Method::Get, self.bucket.object_url(&piece.key), &query, &BTreeMap::new());
            let reply = self.send(list("look at a lock", url)).await.ok()?;
            reply.is_success().then(|| body(&reply))
        };
        if let Some(hold) = ask("legal-hold").await
            && element(&hold, "Status").as_deref() == Some("ON")
        {
            return Answer::refused("a legal hold lies on a file: it stays until somebody takes the hold away");
        }
        let told =
            ask("retention").await.and_then(|lock| element(&lock, "Mode").zip(element(&lock, "RetainUntilDate")));
        let lock = match told {
            Some(lock) => Some(lock),
            None => self.lock_in_head(piece).await,
        };
        if let Some((mode, until)) = lock
            && let Ok(until) = until.parse::<jiff::Timestamp>()
        {
            let until = until.strftime("%Y-%m-%d");
            return Answer::refused(match mode.as_str() {
                "GOVERNANCE" => format!(
                    "a file is locked in governance mode until {until}: wait, or set `bypass_governance` and allow \
                     `s3:BypassGovernanceRetention`"
                ),
                _ => format!("a file is locked until {until}, and nobody can delete it before"),
            });
        }
        if self.needs_device().await.unwrap_or(false) {
            return Answer::refused(NEEDS_DEVICE);
        }
        refusal(refused)
    }

    /// The lock's mode and end as a version's headers tell them, for whoever may read objects and not their locks.
    async fn lock_in_head(&self, piece: &Piece) -> Option<(String, String)> {
        let query = BTreeMap::from([("versionId", piece.version.as_deref().unwrap_or("null"))]);
        let url = self.bucket.signed(Method::Head, self.bucket.object_url(&piece.key), &query, &BTreeMap::new());
        let reply = self.send(Call::new("look at a lock", reqwest::Method::HEAD, url)).await.ok()?;
        let header = |name: &str| reply.header(name).map(str::to_owned);
        header("x-amz-object-lock-mode").zip(header("x-amz-object-lock-retain-until-date"))
    }
}

fn list(operation: &'static str, url: Url) -> Call {
    Call::get(operation, url)
}

fn body(reply: &Reply) -> String {
    String::from_utf8_lossy(&reply.body).into_owned()
}

/// The text of an element that occurs once.
fn element(xml: &str, name: &str) -> Option<String> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(text, _)| text.trim().to_owned())
}

fn refusal(reply: &Reply) -> Answer {
    if reply.is_success() {
        return Answer::unreachable(format!("HTTP {} with an answer that cannot be read", reply.status), None);
    }
    Answer::refused(words_of(reply))
}

fn words_of(reply: &Reply) -> String {
    let answer = body(reply);
    let code = error_code(&answer);
    match (reply.status, code) {
        (_, Some("NoSuchBucket")) => "there is no such bucket".to_owned(),
        (_, Some("InvalidAccessKeyId" | "SignatureDoesNotMatch")) => "it does not accept the access key".to_owned(),
        (301 | 307 | 400, Some("PermanentRedirect" | "AuthorizationHeaderMalformed")) => {
            "the bucket is in another region".to_owned()
        }
        (403, _) => "the access key may not do this (HTTP 403): it has to list and delete versions".to_owned(),
        (status, Some(code)) => format!("HTTP {status} {code}"),
        (status, None) => format!("HTTP {status} without S3's code: is `url` its endpoint?"),
    }
}
