//! A bucket of Amazon S3, or of what speaks its language: one object for each checkpoint, under
//! `<prefix><origin>/<size>.checkpoint`.
//!
//! All versions are read, those behind a delete marker too: in a bucket with object lock nobody can take one away, and
//! somebody who writes another version over it does not hide it.

use super::{
    Failure, Keeper, agree,
    folder::{file_name, size_of},
};
use crate::{http, present, rules::Period, settings::BucketSettings};
use async_trait::async_trait;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use jiff::{Timestamp, tz::TimeZone};
use md5::Md5;
use reqwest::{RequestBuilder, StatusCode, Url};
use rusty_s3::{Method, UrlStyle, signing::sign};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use std::{collections::BTreeMap, time::Duration};

const TIMEOUT: Duration = Duration::from_secs(60);

/// A signed URL is good for so many seconds; it is used at once.
const SIGNED_FOR: u64 = 300;

/// No answer is longer, in bytes: a list has up to 1000 versions.
const LONGEST_ANSWER: usize = 4 * 1024 * 1024;

pub(super) struct Bucket {
    bucket: rusty_s3::Bucket,
    /// What the keys of this ledger's checkpoints begin with.
    prefix: String,
    access_key_id: SecretString,
    secret_access_key: SecretString,
    session_token: Option<SecretString>,
    lock_for: Option<Period>,
    client: reqwest::Client,
}

/// The answer to [ListObjectVersions], as far as it is needed.
///
/// [ListObjectVersions]: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Versions {
    #[serde(default, rename = "Version")]
    versions: Vec<Version>,
    is_truncated: Option<bool>,
    next_key_marker: Option<String>,
    next_version_id_marker: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Version {
    key: String,
    version_id: Option<String>,
}

impl Bucket {
    /// # Errors
    /// The endpoint cannot be used, in words.
    pub fn open(settings: &BucketSettings, origin: &str) -> Result<Self, String> {
        let BucketSettings { name, region, endpoint, prefix, .. } = settings.clone();
        let (endpoint, style) = match endpoint {
            Some(endpoint) => (endpoint, UrlStyle::Path),
            None => {
                let endpoint = Url::parse(&format!("https://s3.{region}.amazonaws.com"));
                (endpoint.map_err(|error| error.to_string())?, UrlStyle::VirtualHost)
            }
        };
        let client = http::client(&endpoint, true, TIMEOUT)?;
        let bucket = rusty_s3::Bucket::new(endpoint, style, name, region).map_err(|error| error.to_string())?;
        Ok(Self {
            bucket,
            prefix: format!("{prefix}{origin}/"),
            access_key_id: settings.access_key_id.clone(),
            secret_access_key: settings.secret_access_key.clone(),
            session_token: settings.session_token.clone(),
            lock_for: settings.lock_for,
            client,
        })
    }

    /// The URL of a request, signed for the next minutes.
    fn signed(&self, method: Method, url: Url, query: &BTreeMap<&str, &str>, headers: &BTreeMap<&str, String>) -> Url {
        let (query, headers) = (query.iter().map(|(k, v)| (*k, *v)), headers.iter().map(|(k, v)| (*k, v.as_str())));
        let token = self.session_token.as_ref().map(ExposeSecret::expose_secret);
        let (id, secret) = (self.access_key_id.expose_secret(), self.secret_access_key.expose_secret());
        sign(&Timestamp::now(), method, url, id, secret, token, self.bucket.region(), SIGNED_FOR, query, headers)
    }

    /// All versions of the objects whose keys begin with this, by size and id.
    async fn versions(&self, prefix: &str) -> Result<Vec<(u64, Option<String>)>, Failure> {
        let mut all = Vec::new();
        let (mut key, mut id) = (String::new(), String::new());
        loop {
            let mut query = BTreeMap::from([("prefix", prefix), ("versions", "")]);
            if !key.is_empty() {
                query.insert("key-marker", &key);
            }
            if !id.is_empty() {
                query.insert("version-id-marker", &id);
            }
            let url = self.signed(Method::Get, self.bucket.base_url().clone(), &query, &BTreeMap::new());
            let (status, answer) = answer(self.client.get(url)).await?;
            if status != StatusCode::OK {
                return Err(refused(status, &answer));
            }
            let listed: Versions = quick_xml::de::from_str(&answer)
                .map_err(|_| Failure::Temporary("its list of versions cannot be read".to_owned()))?;
            for version in listed.versions {
                let Some(size) = version.key.strip_prefix(self.prefix.as_str()).and_then(size_of) else { continue };
                // a bucket that never had versions calls the only one so
                all.push((size, version.version_id.filter(|id| id != "null")));
            }
            match (listed.is_truncated, listed.next_key_marker) {
                (Some(true), Some(next)) => (key, id) = (next, listed.next_version_id_marker.unwrap_or_default()),
                _ => return Ok(all),
            }
        }
    }
}

#[async_trait]
impl Keeper for Bucket {
    async fn sizes(&self) -> Result<Vec<u64>, Failure> {
        let mut sizes: Vec<u64> = self.versions(&self.prefix).await?.into_iter().map(|(size, _)| size).collect();
        sizes.sort_unstable();
        sizes.dedup();
        Ok(sizes)
    }

    async fn notes(&self, size: u64) -> Result<Vec<String>, Failure> {
        let key = format!("{}{}", self.prefix, file_name(size));
        let mut notes = Vec::new();
        for (_, id) in self.versions(&key).await? {
            let query = id.iter().map(|id| ("versionId", id.as_str())).collect();
            let url = self.signed(Method::Get, self.bucket.object_url(&key), &query, &BTreeMap::new());
            match answer(self.client.get(url)).await? {
                (StatusCode::OK, note) => notes.push(note),
                (status, answer) => return Err(refused(status, &answer)),
            }
        }
        Ok(notes)
    }

    async fn keep(&self, size: u64, note: &str) -> Result<(), Failure> {
        let kept = self.notes(size).await?;
        if !kept.is_empty() {
            return agree(&kept, size, note);
        }
        let mut headers = BTreeMap::from([
            ("content-type", "text/plain; charset=utf-8".to_owned()),
            ("if-none-match", "*".to_owned()),
            // A bucket with object lock wants a digest: the old one by all means, the new one where it is known.
            ("content-md5", BASE64_STANDARD.encode(Md5::digest(note))),
            ("x-amz-checksum-sha256", BASE64_STANDARD.encode(Sha256::digest(note))),
        ]);
        if let Some(period) = self.lock_for {
            headers.insert("x-amz-object-lock-mode", "COMPLIANCE".to_owned());
            let until = period.after(present::now(), &TimeZone::UTC);
            headers.insert("x-amz-object-lock-retain-until-date", until.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
        }
        let key = format!("{}{}", self.prefix, file_name(size));
        let url = self.signed(Method::Put, self.bucket.object_url(&key), &BTreeMap::new(), &headers);
        let request = headers.iter().fold(self.client.put(url), |request, (name, value)| request.header(*name, value));
        match answer(request.body(note.to_owned())).await? {
            (status, _) if status.is_success() => Ok(()),
            // another process of the same job was first
            (StatusCode::PRECONDITION_FAILED | StatusCode::CONFLICT, _) => match self.notes(size).await?.as_slice() {
                [] => Err(Failure::Temporary("another checkpoint is written at the same time".to_owned())),
                kept => agree(kept, size, note),
            },
            (status, answer) => Err(refused(status, &answer)),
        }
    }
}

async fn answer(request: RequestBuilder) -> Result<(StatusCode, String), Failure> {
    http::answer(request, LONGEST_ANSWER).await.map_err(Failure::Temporary)
}

/// What a refusal means. The code is S3's own word; nothing else of the answer is shown.
fn refused(status: StatusCode, answer: &str) -> Failure {
    let code = answer.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>")).map(|(code, _)| code);
    let code = code.filter(|code| code.len() <= 64 && code.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    let said = format!("it answered {} {}", status.as_u16(), code.unwrap_or("without a code"));
    match status.as_u16() {
        400 | 401 | 403 | 404 | 501 => Failure::Invalid(said),
        _ => Failure::Temporary(said),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As vendors write it: with and without a namespace, versions and delete markers mixed, pages.
    #[test]
    fn lists_of_versions_are_read() {
        let list = |attributes: &str| {
            format!(
                "<?xml version=\"1.0\"?><ListVersionsResult{attributes}><Name>b</Name><IsTruncated>true</IsTruncated>\
                 <Version><Key>a</Key><VersionId>1</VersionId><IsLatest>false</IsLatest></Version>\
                 <DeleteMarker><Key>a</Key><VersionId>2</VersionId></DeleteMarker>\
                 <Version><Key>b</Key><VersionId>null</VersionId><Owner><ID>x</ID></Owner></Version>\
                 <NextKeyMarker>b</NextKeyMarker></ListVersionsResult>"
            )
        };
        for attributes in ["", " xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"", " xmlns=\"urn:other\""] {
            let read: Versions = quick_xml::de::from_str(&list(attributes)).unwrap();
            let keys: Vec<_> = read.versions.iter().map(|version| version.key.as_str()).collect();
            assert_eq!(keys, ["a", "b"]);
            assert_eq!((read.is_truncated, read.next_key_marker.as_deref()), (Some(true), Some("b")));
        }
        let empty: Versions = quick_xml::de::from_str("<ListVersionsResult></ListVersionsResult>").unwrap();
        assert!(empty.versions.is_empty() && empty.is_truncated.is_none());
    }

    #[test]
    fn refusals_say_the_code_and_nothing_else() {
        let answer = "<Error><Code>AccessDenied</Code><Message>secret</Message></Error>";
        assert_eq!(refused(StatusCode::FORBIDDEN, answer), Failure::Invalid("it answered 403 AccessDenied".to_owned()));
        let down = refused(StatusCode::SERVICE_UNAVAILABLE, "<html>hunter2</html>");
        assert_eq!(down, Failure::Temporary("it answered 503 without a code".to_owned()));
    }
}
