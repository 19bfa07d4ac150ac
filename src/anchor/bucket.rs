//! A bucket of Amazon S3, or of what speaks its language: one object for each checkpoint, under
//! `<prefix><origin>/<size>.checkpoint`.
//!
//! All versions are read, those behind a delete marker too: in a bucket with object lock nobody can take one away, and
//! somebody who writes another version over it does not hide it.

use super::{
    Failure, Keeper, agree,
    folder::{file_name, size_of},
};
use crate::{
    clock::period::Period,
    http, present,
    s3::{self, VersionList},
    settings::BucketSettings,
};
use async_trait::async_trait;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use jiff::tz::TimeZone;
use md5::Md5;
use reqwest::{RequestBuilder, StatusCode};
use rusty_s3::Method;
use sha2::{Digest as _, Sha256};
use std::{collections::BTreeMap, time::Duration};

const TIMEOUT: Duration = Duration::from_secs(60);

/// So many versions are asked for at a time: the most that there are.
const ON_A_PAGE: usize = 1000;

/// No answer is longer, in bytes: a list has up to 1000 versions.
const LONGEST_ANSWER: usize = 4 * 1024 * 1024;

pub(super) struct Bucket {
    bucket: s3::Bucket,
    /// What the keys of this ledger's checkpoints begin with.
    prefix: String,
    lock_for: Option<Period>,
    client: reqwest::Client,
}

impl Bucket {
    /// # Errors
    /// The endpoint cannot be used, in words.
    pub fn open(settings: &BucketSettings, origin: &str) -> Result<Self, String> {
        let BucketSettings { name, region, endpoint, prefix, credentials, lock_for } = settings;
        let bucket = s3::Bucket::new(name, region, endpoint.as_ref(), credentials.clone())?;
        let client = http::client(bucket.url(), true, TIMEOUT)?;
        Ok(Self { bucket, prefix: format!("{prefix}{origin}/"), lock_for: *lock_for, client })
    }

    /// All versions of the objects whose keys begin with this, by size and id.
    async fn versions(&self, prefix: &str) -> Result<Vec<(u64, Option<String>)>, Failure> {
        let mut all = Vec::new();
        let mut after = None;
        loop {
            let url = self.bucket.versions_url(prefix, after.as_ref(), ON_A_PAGE);
            let (status, answer) = answer(self.client.get(url)).await?;
            if status != StatusCode::OK {
                return Err(refused(status, &answer));
            }
            let listed = VersionList::read(&answer)
                .ok_or_else(|| Failure::Temporary("its list of versions cannot be read".to_owned()))?;
            after = listed.next();
            for version in listed.versions {
                let Some(size) = version.key.strip_prefix(self.prefix.as_str()).and_then(size_of) else { continue };
                // a bucket that never had versions calls the only one so
                all.push((size, version.version_id.filter(|id| id != "null")));
            }
            if after.is_none() {
                return Ok(all);
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
            let url = self.bucket.signed(Method::Get, self.bucket.object_url(&key), &query, &BTreeMap::new());
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
        let url = self.bucket.signed(Method::Put, self.bucket.object_url(&key), &BTreeMap::new(), &headers);
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
    let said = format!("it answered {} {}", status.as_u16(), s3::error_code(answer).unwrap_or("without a code"));
    match status.as_u16() {
        400 | 401 | 403 | 404 | 501 => Failure::Invalid(said),
        _ => Failure::Temporary(said),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_say_the_code_and_nothing_else() {
        let answer = "<Error><Code>AccessDenied</Code><Message>secret</Message></Error>";
        assert_eq!(refused(StatusCode::FORBIDDEN, answer), Failure::Invalid("it answered 403 AccessDenied".to_owned()));
        let down = refused(StatusCode::SERVICE_UNAVAILABLE, "<html>hunter2</html>");
        assert_eq!(down, Failure::Temporary("it answered 503 without a code".to_owned()));
    }
}
