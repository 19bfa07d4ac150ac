//! Amazon S3, and whatever speaks its language: signed URLs and lists of versions. Anchors keep checkpoints there, and the
//! recipient `s3` erases objects.

use jiff::Timestamp;
use reqwest::Url;
use rusty_s3::{Method, UrlStyle, signing::sign};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use std::collections::BTreeMap;

/// A signed URL is good for so many seconds: for the attempts of one call.
const SIGNED_FOR: u64 = 900;

/// Who asks.
#[derive(Clone, Debug)]
pub struct Credentials {
    pub access_key_id: SecretString,
    pub secret_access_key: SecretString,
    /// Of credentials that last for some hours.
    pub session_token: Option<SecretString>,
}

/// A bucket and who asks for its objects.
#[derive(Clone, Debug)]
pub struct Bucket {
    bucket: rusty_s3::Bucket,
    credentials: Credentials,
}

/// The answer to [ListObjectVersions], as far as it is needed.
///
/// [ListObjectVersions]: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct VersionList {
    /// What was asked for, as the server understood it.
    pub prefix: Option<String>,
    #[serde(default, rename = "Version")]
    pub versions: Vec<Version>,
    #[serde(default, rename = "DeleteMarker")]
    pub markers: Vec<Version>,
    pub is_truncated: Option<bool>,
    pub next_key_marker: Option<String>,
    pub next_version_id_marker: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Version {
    pub key: String,
    /// `null` where the bucket had no versions when the object was written.
    pub version_id: Option<String>,
}

impl Bucket {
    /// Without an endpoint it is one of Amazon's.
    ///
    /// # Errors
    /// The endpoint cannot be used, in words.
    pub fn new(name: &str, region: &str, endpoint: Option<&Url>, credentials: Credentials) -> Result<Self, String> {
        let (endpoint, style) = match endpoint {
            Some(endpoint) => (endpoint.clone(), UrlStyle::Path),
            None => {
                let endpoint = Url::parse(&format!("https://s3.{region}.amazonaws.com"));
                (endpoint.map_err(|error| error.to_string())?, UrlStyle::VirtualHost)
            }
        };
        let bucket = rusty_s3::Bucket::new(endpoint, style, name.to_owned(), region.to_owned());
        Ok(Self { bucket: bucket.map_err(|error| error.to_string())?, credentials })
    }

    pub fn url(&self) -> &Url {
        self.bucket.base_url()
    }

    /// A segment `.` or `..` of the key does not survive: whoever asks for such an object asks for another one.
    pub fn object_url(&self, key: &str) -> Url {
        self.bucket.object_url(key)
    }

    /// The URL of a request, signed for the next minutes. The headers have to be sent as they are here.
    pub fn signed(
        &self,
        method: Method,
        url: Url,
        query: &BTreeMap<&str, &str>,
        headers: &BTreeMap<&str, String>,
    ) -> Url {
        let (query, headers) = (query.iter().map(|(k, v)| (*k, *v)), headers.iter().map(|(k, v)| (*k, v.as_str())));
        let Credentials { access_key_id, secret_access_key, session_token } = &self.credentials;
        let token = session_token.as_ref().map(ExposeSecret::expose_secret);
        let (id, secret) = (access_key_id.expose_secret(), secret_access_key.expose_secret());
        sign(&Timestamp::now(), method, url, id, secret, token, self.bucket.region(), SIGNED_FOR, query, headers)
    }

    /// The URL of the list of all versions of the objects whose keys begin with `prefix`, from after `after` on.
    pub fn versions_url(&self, prefix: &str, after: Option<&Version>, most: usize) -> Url {
        let most = most.to_string();
        let mut query = BTreeMap::from([("prefix", prefix), ("versions", ""), ("max-keys", most.as_str())]);
        if let Some(after) = after {
            query.insert("key-marker", &after.key);
            if let Some(id) = &after.version_id {
                query.insert("version-id-marker", id);
            }
        }
        self.signed(Method::Get, self.url().clone(), &query, &BTreeMap::new())
    }
}

impl VersionList {
    /// `None` where the answer is no such list.
    pub fn read(answer: &str) -> Option<Self> {
        let root = answer.contains("<ListVersionsResult");
        root.then(|| quick_xml::de::from_str(answer).ok()).flatten()
    }

    /// Where the next page begins; `None` for the last one.
    pub fn next(&self) -> Option<Version> {
        let key = self.next_key_marker.clone().filter(|_| self.is_truncated == Some(true))?;
        Some(Version { key, version_id: self.next_version_id_marker.clone().filter(|id| !id.is_empty()) })
    }
}

/// The code of an error, which is S3's own word. Nothing else of such an answer is to be shown.
pub fn error_code(answer: &str) -> Option<&str> {
    let code = answer.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>")).map(|(code, _)| code);
    code.filter(|code| code.len() <= 64 && !code.is_empty() && code.bytes().all(|byte| byte.is_ascii_alphanumeric()))
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
                 <Version><Key>b &amp; c</Key><VersionId>null</VersionId><Owner><ID>x</ID></Owner></Version>\
                 <NextKeyMarker>b</NextKeyMarker></ListVersionsResult>"
            )
        };
        for attributes in ["", " xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"", " xmlns=\"urn:other\""] {
            let read = VersionList::read(&list(attributes)).unwrap();
            let keys: Vec<_> = read.versions.iter().map(|version| version.key.as_str()).collect();
            assert_eq!(keys, ["a", "b & c"]);
            assert_eq!(read.markers, [Version { key: "a".to_owned(), version_id: Some("2".to_owned()) }]);
            assert_eq!(read.next(), Some(Version { key: "b".to_owned(), version_id: None }));
        }
        let empty = VersionList::read("<ListVersionsResult></ListVersionsResult>").unwrap();
        assert!(empty.versions.is_empty() && empty.next().is_none());
        for other in ["", "<html></html>", "<Error><Code>NoSuchBucket</Code></Error>", "<ListBucketResult/>"] {
            assert!(VersionList::read(other).is_none(), "{other}");
        }
    }

    #[test]
    fn codes_alone_are_read_from_errors() {
        assert_eq!(error_code("<Error><Code>AccessDenied</Code><Message>x</Message></Error>"), Some("AccessDenied"));
        assert_eq!(error_code("<html>hunter2</html>"), None);
        assert_eq!(error_code("<Code>taro@example.jp</Code>"), None);
    }
}
