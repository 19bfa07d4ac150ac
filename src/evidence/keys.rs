//! Keys: their text form, their ids, and the set that a job uses.
//!
//! A key is written as `sunset-<kind>-key:1:<id>:<base64 of 32 bytes>`. The id is not secret: eight hexadecimal digits
//! of a SHA-256 over the public part (signing) or over the kind and the secret (others).

use super::{checkpoint::VerificationKey, tag::TagKey};
use crate::file;
use clap::ValueEnum;

use base64::{Engine, prelude::BASE64_STANDARD};
use ed25519_dalek::{Signer, SigningKey as Ed25519};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use std::{fmt, io::Write as _, path::Path};
use zeroize::Zeroizing;

/// The keys of ledger and pseudonyms. The first of each list is in use, the others are older ones.
#[derive(Clone, Debug, Default)]
pub struct KeySettings {
    /// Each a text as `sunset keys` writes it.
    pub tag: Vec<SecretString>,
    pub signing: Vec<SecretString>,
    /// For `hash` and `tokenize`.
    pub pseudonym: Option<SecretString>,
}

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum KeyKind {
    Tag,
    Signing,
    Pseudonym,
}

/// What is wrong with a key's text. Never quotes it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("{0} is not a key as `sunset keys new` writes it")]
    Form(String),
    #[error("{place} is a {found} key, but a {wanted} key belongs there")]
    Kind { place: String, found: &'static str, wanted: &'static str },
    #[error("{0} has an id that is not its own: the text was changed or cut off")]
    Id(String),
    #[error("{0} stands there twice")]
    Twice(String),
    #[error("the system gives no random bytes")]
    Random,
}

impl KeyKind {
    /// As it stands in the text.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tag => "tag",
            Self::Signing => "signing",
            Self::Pseudonym => "pseudonym",
        }
    }
}

/// One key with its secret.
pub struct Key {
    pub kind: KeyKind,
    secret: Zeroizing<[u8; 32]>,
}

impl Key {
    /// A new key from the system's random generator.
    ///
    /// # Errors
    /// [`KeyError::Random`] when the system has none.
    pub fn generate(kind: KeyKind) -> Result<Self, KeyError> {
        let mut secret = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *secret).map_err(|_| KeyError::Random)?;
        Ok(Self { kind, secret })
    }

    /// Reads a key's text; `place` names it in errors, for example `keys.tag[0]`.
    pub fn parse(text: &SecretString, place: &str) -> Result<Self, KeyError> {
        let malformed = || KeyError::Form(place.to_owned());
        let mut parts = text.expose_secret().trim().split(':');
        let kind = match parts.next() {
            Some("sunset-tag-key") => KeyKind::Tag,
            Some("sunset-signing-key") => KeyKind::Signing,
            Some("sunset-pseudonym-key") => KeyKind::Pseudonym,
            _ => return Err(malformed()),
        };
        let (Some("1"), Some(id), Some(encoded), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(malformed());
        };
        let bytes = Zeroizing::new(BASE64_STANDARD.decode(encoded).map_err(|_| malformed())?);
        let secret = Zeroizing::new(<[u8; 32]>::try_from(bytes.as_slice()).map_err(|_| malformed())?);
        let key = Self { kind, secret };
        if key.id() == id { Ok(key) } else { Err(KeyError::Id(place.to_owned())) }
    }

    /// The text that [`Key::parse`] reads. Secret.
    pub fn text(&self) -> SecretString {
        let encoded = Zeroizing::new(BASE64_STANDARD.encode(*self.secret));
        format!("sunset-{}-key:1:{}:{}", self.kind.name(), self.id(), *encoded).into()
    }

    /// Writes a new file that nobody else can read.
    ///
    /// # Errors
    /// The file exists already, or cannot be written.
    pub fn write(&self, path: &Path) -> std::io::Result<()> {
        let mut file = file::create_new(path)?;
        writeln!(file, "{}", self.text().expose_secret())?;
        file.sync_all()
    }

    /// Eight hexadecimal digits.
    pub fn id(&self) -> String {
        let hash = match self.kind {
            KeyKind::Signing => Sha256::digest(Ed25519::from_bytes(&self.secret).verifying_key().as_bytes()),
            KeyKind::Tag | KeyKind::Pseudonym => Sha256::new()
                .chain_update(format!("sunset-{}-key id\n", self.kind.name()))
                .chain_update(*self.secret)
                .finalize(),
        };
        hex::encode(&hash[..4])
    }
}

/// No secrets.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Key").field("kind", &self.kind).field("id", &self.id()).finish_non_exhaustive()
    }
}

/// Signs checkpoints (Ed25519, RFC 8032).
#[derive(Clone)]
pub struct SigningKey {
    id: String,
    key: Ed25519,
}

impl SigningKey {
    /// Eight hexadecimal digits.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The public part, under the name that signatures carry: the ledger's origin.
    pub fn verification_key(&self, origin: &str) -> VerificationKey {
        VerificationKey::new(origin, self.key.verifying_key())
    }

    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.key.sign(message).to_bytes()
    }
}

/// No secrets.
impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("SigningKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Turns identifiers into pseudonyms.
#[derive(Clone)]
pub struct PseudonymKey {
    id: String,
    secret: Zeroizing<[u8; 32]>,
}

impl PseudonymKey {
    /// Eight hexadecimal digits.
    pub fn id(&self) -> &str {
        &self.id
    }

    pub fn secret(&self) -> &[u8; 32] {
        &self.secret
    }
}

/// No secrets.
impl fmt::Debug for PseudonymKey {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("PseudonymKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The keys of a job. The first of each list is in use, the others are older ones.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    pub tag: Vec<TagKey>,
    pub signing: Vec<SigningKey>,
    /// Public parts of older signing keys whose secrets are gone.
    pub verification: Vec<VerificationKey>,
    pub pseudonym: Option<PseudonymKey>,
}

impl Keys {
    /// Reads the keys of the settings. Whether the ledger knows one of them as destroyed is told by
    /// [`super::Ledger::open`].
    ///
    /// # Errors
    /// The first [`KeyError`], with the key's place in the settings and nothing of its text.
    pub fn parse(settings: &KeySettings) -> Result<Self, KeyError> {
        let mut keys = Self::default();
        for (text, index) in settings.tag.iter().zip(0..) {
            let place = format!("keys.tag[{index}]");
            let key = expect(text, KeyKind::Tag, &place)?;
            if keys.tag.iter().any(|other| other.id() == key.id()) {
                return Err(KeyError::Twice(place));
            }
            keys.tag.push(TagKey::new(key.id(), &key.secret));
        }
        for (text, index) in settings.signing.iter().zip(0..) {
            let place = format!("keys.signing[{index}]");
            // Behind the key in use, a public key is enough: nothing is signed with an older one.
            if index > 0
                && let Ok(key) = text.expose_secret().trim().parse()
            {
                keys.verification.push(key);
                continue;
            }
            let key = expect(text, KeyKind::Signing, &place)?;
            if keys.signing.iter().any(|other| other.id == key.id()) {
                return Err(KeyError::Twice(place));
            }
            keys.signing.push(SigningKey { id: key.id(), key: Ed25519::from_bytes(&key.secret) });
        }
        if let Some(text) = &settings.pseudonym {
            let key = expect(text, KeyKind::Pseudonym, "keys.pseudonym")?;
            keys.pseudonym = Some(PseudonymKey { id: key.id(), secret: key.secret });
        }
        Ok(keys)
    }

    /// Public keys whose checkpoints are trusted, under the ledger's origin.
    pub fn trusted(&self, origin: &str) -> Vec<VerificationKey> {
        let own = self.signing.iter().map(|key| key.verification_key(origin));
        own.chain(self.verification.iter().cloned()).collect()
    }
}

fn expect(text: &SecretString, wanted: KeyKind, place: &str) -> Result<Key, KeyError> {
    let key = Key::parse(text, place)?;
    if key.kind == wanted {
        Ok(key)
    } else {
        Err(KeyError::Kind { place: place.to_owned(), found: key.kind.name(), wanted: wanted.name() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [KeyKind; 3] = [KeyKind::Tag, KeyKind::Signing, KeyKind::Pseudonym];

    #[test]
    fn a_key_is_read_as_it_was_written() {
        for kind in KINDS {
            let key = Key::generate(kind).unwrap();
            let read = Key::parse(&key.text(), "keys").unwrap();
            assert_eq!((read.kind, read.id(), *read.secret), (kind, key.id(), *key.secret));
        }
    }

    #[test]
    fn a_damaged_key_is_refused_without_a_word_of_it() {
        for kind in KINDS {
            let text = Key::generate(kind).unwrap().text();
            let text = text.expose_secret();
            for place in 0..text.len() {
                let mut damaged = text.as_bytes().to_vec();
                damaged[place] = if damaged[place] == b'A' { b'B' } else { b'A' };
                let damaged = SecretString::from(String::from_utf8(damaged).unwrap());
                let message = Key::parse(&damaged, "keys.tag[0]").unwrap_err().to_string();
                assert!(message.starts_with("keys.tag[0] "), "{message}");
                assert!(!message.contains(&text[30..]));
            }
            for length in 0..text.len() {
                Key::parse(&text[..length].to_owned().into(), "x").unwrap_err();
            }
        }
    }

    #[test]
    fn each_list_takes_its_own_kind_and_no_key_twice() {
        let text = |kind| Key::generate(kind).unwrap().text();
        let tag = text(KeyKind::Tag);
        let settings = KeySettings { tag: vec![text(KeyKind::Signing)], ..KeySettings::default() };
        let message = Keys::parse(&settings).unwrap_err().to_string();
        assert_eq!(message, "keys.tag[0] is a signing key, but a tag key belongs there");
        let settings = KeySettings { tag: vec![tag.clone(), tag], ..KeySettings::default() };
        assert_eq!(Keys::parse(&settings).unwrap_err().to_string(), "keys.tag[1] stands there twice");
    }

    #[test]
    fn debug_shows_no_secret() {
        let settings = KeySettings {
            tag: vec![Key::generate(KeyKind::Tag).unwrap().text()],
            signing: vec![Key::generate(KeyKind::Signing).unwrap().text()],
            pseudonym: Some(Key::generate(KeyKind::Pseudonym).unwrap().text()),
        };
        let keys = Keys::parse(&settings).unwrap();
        let ids = (keys.tag[0].id(), keys.signing[0].id(), keys.pseudonym.as_ref().unwrap().id());
        assert_eq!(
            format!("{keys:?}"),
            format!(
                "Keys {{ tag: [TagKey {{ id: {:?}, .. }}], signing: [SigningKey {{ id: {:?}, .. }}], \
                 verification: [], pseudonym: Some(PseudonymKey {{ id: {:?}, .. }}) }}",
                ids.0, ids.1, ids.2
            )
        );
    }
}
