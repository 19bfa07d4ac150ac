//! Checkpoints: the ledger's size and root, signed, in a form that other tools read too.
//!
//! The text is a C2SP tlog-checkpoint (<https://c2sp.org/tlog-checkpoint>), signed as a C2SP signed-note
//! (<https://c2sp.org/signed-note>) with Ed25519, as Go's `sumdb/note` does it:
//!
//! ```text
//! demo
//! 42
//! 47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=
//! time 2026-11-22T02:30:00.000000Z
//!
//! — demo base64(key hash, signature)
//! ```

use crate::evidence::{
    keys::SigningKey,
    merkle::{Hash, Tree},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use ed25519_dalek::{Signature, VerifyingKey};
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use std::{fmt, str::FromStr};

/// What a signature vouches for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Whose ledger it is: the job's name.
    pub origin: String,
    /// The number of entries.
    pub size: u64,
    /// The Merkle root over the lines of these entries.
    pub root: Hash,
    /// When it was signed, by the signer's clock.
    pub at: Timestamp,
}

/// A checkpoint with its signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedCheckpoint {
    pub checkpoint: Checkpoint,
    /// The signed text.
    pub note: String,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    #[error("it is not a checkpoint: {0}")]
    Form(&'static str),
    #[error("none of the trusted keys signed it; it names the keys {0}")]
    Untrusted(String),
    #[error("the signature of key {0} is wrong: the text was changed or the key is another")]
    Signature(String),
}

impl Checkpoint {
    /// A checkpoint of this tree.
    pub fn new(origin: &str, tree: &Tree, at: Timestamp) -> Self {
        Self { origin: origin.to_owned(), size: tree.size(), root: tree.root(), at }
    }

    /// The text that is signed.
    fn body(&self) -> String {
        let root = BASE64_STANDARD.encode(self.root);
        format!("{}\n{}\n{root}\ntime {:.6}\n", self.origin, self.size, self.at)
    }

    pub fn sign(self, key: &SigningKey) -> SignedCheckpoint {
        let note = sign_note(&self.origin, &self.body(), key);
        SignedCheckpoint { checkpoint: self, note }
    }

    /// Reads a note whose signatures are right.
    ///
    /// # Errors
    /// They are not, or its text is not a checkpoint.
    pub fn verify(note: &str, trusted: &[VerificationKey]) -> Result<Self, CheckpointError> {
        let signed = verify_note(note, trusted);
        let checkpoint = parse(split(note)?.0);
        // What is wrong with a text that somebody signed says more than who signed it.
        match signed {
            Err(error @ CheckpointError::Untrusted(_)) => checkpoint.and(Err(error)),
            signed => signed.and(checkpoint),
        }
    }
}

/// Checks a note's signatures: at least one by a trusted key, and every one by a trusted key right. Signatures by other
/// keys, those of witnesses for example, are passed over, as the specification wants it.
///
/// # Errors
/// None of these keys signed it, or the text is not the one that they signed.
pub fn verify_note(note: &str, trusted: &[VerificationKey]) -> Result<(), CheckpointError> {
    let (body, signatures) = split(note)?;
    let (mut signed, mut named) = (false, Vec::new());
    for line in signatures.lines() {
        let (name, hash, signature) = signature_line(line)?;
        let label = format!("{name}+{}", hex::encode(hash));
        if let Some(key) = trusted.iter().find(|key| key.name == name && key.hash == hash) {
            let signature =
                Signature::from_slice(&signature).map_err(|_| CheckpointError::Form("a signature has not 64 bytes"))?;
            key.key
                .verify_strict(body.as_bytes(), &signature)
                .map_err(|_| CheckpointError::Signature(label.clone()))?;
            signed = true;
        }
        named.push(label);
    }
    if signed { Ok(()) } else { Err(CheckpointError::Untrusted(named.join(", "))) }
}

/// A text of whole lines, none of them empty, with its signature behind it (C2SP signed-note), under the name `origin`.
pub fn sign_note(origin: &str, body: &str, key: &SigningKey) -> String {
    let public = key.verification_key(origin);
    let signature = [&public.hash[..], &key.sign(body.as_bytes())].concat();
    format!("{body}\n\u{2014} {} {}\n", public.name, BASE64_STANDARD.encode(signature))
}

/// The signed text with its last line break, and the signature lines.
pub(super) fn split(note: &str) -> Result<(&str, &str), CheckpointError> {
    let end = note.rfind("\n\n").ok_or(CheckpointError::Form("no empty line stands before the signatures"))?;
    let (body, signatures) = (&note[..=end], &note[end + 2..]);
    if signatures.is_empty() || !signatures.ends_with('\n') {
        return Err(CheckpointError::Form("it does not end with a signature line"));
    }
    Ok((body, signatures))
}

/// The name, the key's hash and the signature of a line.
pub(super) fn signature_line(line: &str) -> Result<(&str, [u8; 4], Vec<u8>), CheckpointError> {
    let malformed = CheckpointError::Form("a signature line cannot be read");
    let Some((name, encoded)) = line.strip_prefix("\u{2014} ").and_then(|rest| rest.split_once(' ')) else {
        return Err(malformed);
    };
    match BASE64_STANDARD.decode(encoded).as_deref().map(<[u8]>::split_first_chunk) {
        Ok(Some((hash, signature))) => Ok((name, *hash, signature.to_vec())),
        _ => Err(malformed),
    }
}

/// Reads the signed text; every byte of it means something, so writing it again must give the same.
fn parse(body: &str) -> Result<Checkpoint, CheckpointError> {
    let lines: Vec<&str> = body.lines().collect();
    let [origin, size, root, time] = lines[..] else {
        return Err(CheckpointError::Form("its text has not four lines"));
    };
    let checkpoint = Checkpoint {
        origin: origin.to_owned(),
        size: size.parse().map_err(|_| CheckpointError::Form("its size is not a number"))?,
        root: BASE64_STANDARD
            .decode(root)
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or(CheckpointError::Form("its root is not 32 bytes in base64"))?,
        at: time
            .strip_prefix("time ")
            .and_then(|time| time.parse().ok())
            .ok_or(CheckpointError::Form("its fourth line is not its time"))?,
    };
    if checkpoint.body() == body { Ok(checkpoint) } else { Err(CheckpointError::Form("it is written in another way")) }
}

/// A public key that checks signatures, in the form of Go's `sumdb/note`: `name+hash+base64`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerificationKey {
    /// Whose key it is: the ledger's origin.
    pub name: String,
    hash: [u8; 4],
    key: VerifyingKey,
}

/// The type of a log's key, in its text and in the hash that names it.
const LOG: u8 = 0x01;

/// The hash that names a key of this type.
pub(super) fn key_hash(kind: u8, name: &str, key: &VerifyingKey) -> [u8; 4] {
    let hash = Sha256::new().chain_update(name).chain_update([b'\n', kind]).chain_update(key.as_bytes()).finalize();
    let mut short = [0; 4];
    short.copy_from_slice(&hash[..4]);
    short
}

/// A key's text: `name+hash+base64`.
pub(super) fn key_text(kind: u8, name: &str, key: &VerifyingKey) -> String {
    let encoded = BASE64_STANDARD.encode([&[kind], &key.as_bytes()[..]].concat());
    format!("{name}+{}+{encoded}", hex::encode(key_hash(kind, name, key)))
}

/// Reads the text of a key of this type. The hash in its middle guards against typing errors.
pub(super) fn read_key(kind: u8, text: &str) -> Result<(&str, VerifyingKey), VerificationKeyError> {
    let mut parts = text.splitn(3, '+');
    let (Some(name), Some(_), Some(encoded)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(VerificationKeyError);
    };
    let bytes = BASE64_STANDARD.decode(encoded).map_err(|_| VerificationKeyError)?;
    let Some((found, bytes)) = bytes.split_first() else { return Err(VerificationKeyError) };
    let bytes = bytes.try_into().map_err(|_| VerificationKeyError)?;
    let key = VerifyingKey::from_bytes(bytes).map_err(|_| VerificationKeyError)?;
    if *found == kind && key_text(kind, name, &key) == text { Ok((name, key)) } else { Err(VerificationKeyError) }
}

impl VerificationKey {
    pub(super) fn new(name: &str, key: VerifyingKey) -> Self {
        Self { name: name.to_owned(), hash: key_hash(LOG, name, &key), key }
    }
}

impl fmt::Display for VerificationKey {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&key_text(LOG, &self.name, &self.key))
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is not a public key as `sunset keys list` prints it (name+hash+base64)")]
pub struct VerificationKeyError;

impl FromStr for VerificationKey {
    type Err = VerificationKeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, key) = read_key(LOG, text)?;
        Ok(Self::new(name, key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::keys::{Key, KeyKind, KeySettings, Keys};
    use proptest::prelude::*;

    fn key() -> SigningKey {
        let signing = vec![Key::generate(KeyKind::Signing).unwrap().text()];
        Keys::parse(&KeySettings { signing, ..KeySettings::default() }).unwrap().signing.remove(0)
    }

    fn checkpoint() -> Checkpoint {
        let mut tree = Tree::default();
        tree.push([1; 32]);
        tree.push([2; 32]);
        Checkpoint::new("demo", &tree, "2026-11-22T02:30:00Z".parse().unwrap())
    }

    /// The example of Go's package golang.org/x/mod/sumdb/note.
    #[test]
    fn keys_and_signatures_of_go_are_understood() {
        let key: VerificationKey =
            "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW".parse().unwrap();
        let note = "If you think cryptography is the answer to your problem,\n\
                    then you don't know what your problem is.\n\n\
                    \u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
        let (body, signatures) = split(note).unwrap();
        let (name, hash, signature) = signature_line(signatures.trim_end()).unwrap();
        assert_eq!((name, hash), ("PeterNeumann", key.hash));
        key.key.verify_strict(body.as_bytes(), &Signature::from_slice(&signature).unwrap()).unwrap();
        // The signature was right, but the text is not a checkpoint.
        assert_eq!(Checkpoint::verify(note, &[key]), Err(CheckpointError::Form("its text has not four lines")));
    }

    #[test]
    fn any_of_several_trusted_keys_will_do() {
        let (old, new) = (key(), key());
        let note = checkpoint().sign(&old).note;
        let trusted = [new.verification_key("demo"), old.verification_key("demo")];
        assert_eq!(Checkpoint::verify(&note, &trusted), Ok(checkpoint()));
        let message = Checkpoint::verify(&note, &trusted[..1]).unwrap_err().to_string();
        assert!(message.starts_with("none of the trusted keys signed it; it names the keys demo+"), "{message}");
    }

    #[test]
    fn a_witness_may_sign_too() {
        let (ours, witness) = (key(), key());
        let note = checkpoint().sign(&ours).note;
        let second = checkpoint().sign(&witness).note;
        let both = format!("{note}{}\n", second.lines().last().unwrap());
        assert_eq!(Checkpoint::verify(&both, &[ours.verification_key("demo")]), Ok(checkpoint()));
    }

    #[test]
    fn the_time_has_microseconds_always() {
        let note = checkpoint().sign(&key()).note;
        assert!(note.contains("\ntime 2026-11-22T02:30:00.000000Z\n"), "{note}");
    }

    proptest! {
        #[test]
        fn any_changed_byte_is_noticed(place in 0_usize..300, bit in 0_u8..8) {
            let key = key();
            let mut note = checkpoint().sign(&key).note.into_bytes();
            let place = place % note.len();
            note[place] ^= 1 << bit;
            if let Ok(note) = String::from_utf8(note) {
                Checkpoint::verify(&note, &[key.verification_key("demo")]).unwrap_err();
            }
        }
    }

    #[test]
    fn a_public_key_is_read_as_it_is_written() {
        let key = key().verification_key("demo");
        assert_eq!(key.to_string().parse(), Ok(key.clone()));
        assert_eq!(key.to_string().replace("demo", "other").parse::<VerificationKey>(), Err(VerificationKeyError));
    }
}
