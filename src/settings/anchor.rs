//! `anchor` of `sunset.yaml`: places outside that keep the ledger's checkpoints.

use super::Reader;
use crate::{
    clock::period::Period, diagnostic::Code, evidence::cosignature::CosignerKey, language::format, rules::At,
    s3::Credentials,
};
use reqwest::Url;
use secrecy::{ExposeSecret as _, SecretString};
use std::path::PathBuf;

/// One place.
#[derive(Clone, Debug)]
pub struct AnchorSettings {
    /// Its name in `sunset.yaml`.
    pub name: String,
    pub place: AnchorPlace,
}

#[derive(Clone, Debug)]
pub enum AnchorPlace {
    Folder(PathBuf),
    Bucket(BucketSettings),
    /// A C2SP tlog-witness: its submission prefix and its key.
    Witness {
        url: Url,
        key: CosignerKey,
    },
    /// What `git` fetches from and pushes to, which may hold a password, and the branch.
    Repository {
        url: SecretString,
        branch: String,
    },
}

/// A bucket of Amazon S3, or of what speaks its language.
#[derive(Clone, Debug)]
pub struct BucketSettings {
    pub name: String,
    pub region: String,
    /// The endpoint of what is not Amazon S3.
    pub endpoint: Option<Url>,
    /// What keys begin with.
    pub prefix: String,
    pub credentials: Credentials,
    /// How long each object is locked in compliance mode.
    pub lock_for: Option<Period>,
}

impl Reader<'_> {
    pub(super) fn anchors(&mut self, at: Option<&At>) -> Vec<AnchorSettings> {
        let entries = at.into_iter().flat_map(At::entries);
        entries
            .filter_map(|(name, at)| Some(AnchorSettings { name: name.to_owned(), place: self.anchor(name, &at)? }))
            .collect()
    }

    /// `None` where something about it is wrong, which has been told.
    fn anchor(&mut self, name: &str, at: &At) -> Option<AnchorPlace> {
        let kind = match name {
            "folder" | "bucket" | "witness" | "repository" => name.to_owned(),
            _ => at.text_of("kind")?,
        };
        match kind.as_str() {
            "folder" => {
                let path = self.expand(&at.get("path")?, &format::PATH)?.text;
                Some(AnchorPlace::Folder(self.directory.join(path)))
            }
            "bucket" => Some(AnchorPlace::Bucket(self.bucket(at)?)),
            "witness" => {
                let (url, key) = (self.outside_url(&at.get("url")?), self.cosigner(&at.get("key")?));
                Some(AnchorPlace::Witness { url: url?, key: key? })
            }
            "repository" => {
                let url = self.expand(&at.get("url")?, &format::SETTING)?.text.into();
                let branch = at.text_of("branch").unwrap_or_else(|| "sunset".to_owned());
                if branch.starts_with('-')
                    || branch.contains(|c: char| !(c.is_ascii_alphanumeric() || "._/-".contains(c)))
                {
                    let place = at.get("branch").map_or_else(|| at.place.clone(), |at| at.place);
                    self.error(
                        Code::BadName,
                        place,
                        format!("`{branch}` is no branch's name"),
                        "letters, digits, `.`, `_`, `/`, `-`",
                    );
                    return None;
                }
                Some(AnchorPlace::Repository { url, branch })
            }
            _ => None,
        }
    }

    fn bucket(&mut self, at: &At) -> Option<BucketSettings> {
        let endpoint = match at.get("url") {
            Some(url) => Some(self.outside_url(&url)?),
            None => None,
        };
        let session_token = match at.get("session_token") {
            Some(token) => Some(self.key(&token)?),
            None => None,
        };
        let (id, secret) = (self.key(&at.get("access_key_id")?), self.key(&at.get("secret_access_key")?));
        Some(BucketSettings {
            name: at.text_of("bucket")?,
            region: at.text_of("region")?,
            endpoint,
            prefix: at.text_of("prefix").unwrap_or_default(),
            credentials: Credentials { access_key_id: id?, secret_access_key: secret?, session_token },
            lock_for: at.text_of("lock_for").and_then(|period| period.parse().ok()),
        })
    }

    fn outside_url(&mut self, at: &At) -> Option<Url> {
        let text = self.expand(at, &format::SETTING)?.text;
        let url = Url::parse(&text).ok().filter(|url| matches!(url.scheme(), "https" | "http") && url.host().is_some());
        if url.is_none() {
            self.error(
                Code::BadUrl,
                at.place.clone(),
                "this is no URL",
                "`https://…`, or `http://127.0.0.1:…` for what runs beside",
            );
        }
        url
    }

    fn cosigner(&mut self, at: &At) -> Option<CosignerKey> {
        let key = at.text()?.parse().ok();
        if key.is_none() {
            let help = "the witness gives it, as `name+hash+base64`; its type is a cosigner's (0x04)";
            self.error(Code::WrongType, at.place.clone(), "this is no witness's public key", help);
        }
        key
    }
}

impl AnchorSettings {
    /// Which place it is, without secrets: the same place has the same text, under whatever name.
    pub fn identity(&self) -> String {
        match &self.place {
            AnchorPlace::Folder(path) => format!("folder {}", path.display()),
            AnchorPlace::Bucket(bucket) => {
                let endpoint = bucket.endpoint.as_ref().map_or_else(|| bucket.region.clone(), Url::to_string);
                format!("bucket {}/{} at {endpoint}", bucket.name, bucket.prefix)
            }
            AnchorPlace::Witness { key, .. } => format!("witness {key}"),
            AnchorPlace::Repository { url, branch } => {
                // its password is no part of where it is
                let url = match Url::parse(url.expose_secret()) {
                    Ok(mut url) => {
                        let _ = url.set_password(None);
                        url.to_string()
                    }
                    Err(_) => url.expose_secret().to_owned(),
                };
                format!("branch {branch} of {url}")
            }
        }
    }
}
