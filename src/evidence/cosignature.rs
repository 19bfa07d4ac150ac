//! Cosignatures of witnesses: somebody else saw this checkpoint, at that time, and no other one that contradicts it.
//!
//! The format is C2SP tlog-cosignature (<https://c2sp.org/tlog-cosignature>) with Ed25519. A line reads as that of any
//! signed note; its key has the type 0x04, and what is signed is `cosignature/v1`, the time in seconds since 1970 and the
//! checkpoint's text.

use crate::evidence::checkpoint::{
    CheckpointError, VerificationKeyError, key_hash, key_text, read_key, signature_line, split,
};
use ed25519_dalek::{Signature, VerifyingKey};
use jiff::Timestamp;
use std::{fmt, str::FromStr};

/// The type of a cosigner's key, in its text and in the hash that names it.
const KIND: u8 = 0x04;

/// A witness's public key, in its own text: `name+hash+base64`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CosignerKey {
    pub name: String,
    hash: [u8; 4],
    key: VerifyingKey,
}

impl CosignerKey {
    /// Finds this key's cosignature of a signed checkpoint among signature lines, and gives its line and its time. Lines of
    /// other keys are passed over, as the specification wants it.
    ///
    /// # Errors
    /// There is no such line, or its signature is wrong.
    pub fn find(&self, note: &str, lines: &str) -> Result<(String, Timestamp), CheckpointError> {
        let (body, _) = split(note)?;
        for line in lines.lines() {
            let Ok((name, hash, bytes)) = signature_line(line) else { continue };
            if name != self.name || hash != self.hash {
                continue;
            }
            let label = format!("{name}+{}", hex::encode(hash));
            let wrong = || CheckpointError::Signature(label.clone());
            let (seconds, signature) = bytes.split_first_chunk::<8>().ok_or_else(wrong)?;
            let seconds = u64::from_be_bytes(*seconds);
            let signature = Signature::from_slice(signature).map_err(|_| wrong())?;
            let message = format!("cosignature/v1\ntime {seconds}\n{body}");
            self.key.verify_strict(message.as_bytes(), &signature).map_err(|_| wrong())?;
            let at = i64::try_from(seconds).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
            return Ok((line.to_owned(), at.ok_or_else(wrong)?));
        }
        Err(CheckpointError::Untrusted(format!("none of {}", self.name)))
    }
}

impl fmt::Display for CosignerKey {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&key_text(KIND, &self.name, &self.key))
    }
}

impl FromStr for CosignerKey {
    type Err = VerificationKeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, key) = read_key(KIND, text)?;
        Ok(Self { name: name.to_owned(), hash: key_hash(KIND, name, &key), key })
    }
}
