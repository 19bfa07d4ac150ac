//! Sealed texts: what the store keeps for a while and nobody may read there, such as a position that names a row's key.
//!
//! ChaCha20-Poly1305 (RFC 8439) with a random nonce in front; the key is HMAC-SHA-256 of a fixed text, made with the tag
//! key. A text that was sealed with another key opens as nothing.

use crate::evidence::tag::TagKey;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

/// Seals and opens.
pub struct Seal(LessSafeKey);

/// The system gives no random numbers.
#[derive(Debug, thiserror::Error)]
#[error("nothing can be sealed: the system gives no random numbers")]
pub struct SealError;

impl Seal {
    /// Fails only where the algorithm does not take 32 bytes, which it does.
    pub fn new(key: &TagKey) -> Result<Self, SealError> {
        Self::of(key, "sunset positions v1")
    }

    /// For the keys of persons who have asked for something.
    pub fn of_persons(key: &TagKey) -> Result<Self, SealError> {
        Self::of(key, "sunset persons v1")
    }

    fn of(key: &TagKey, purpose: &str) -> Result<Self, SealError> {
        let key = UnboundKey::new(&CHACHA20_POLY1305, &key.derive(purpose)).map_err(|_| SealError)?;
        Ok(Self(LessSafeKey::new(key)))
    }

    pub fn seal(&self, text: &str) -> Result<Vec<u8>, SealError> {
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).map_err(|_| SealError)?;
        let mut sealed = text.as_bytes().to_vec();
        let unique = Nonce::assume_unique_for_key(nonce);
        self.0.seal_in_place_append_tag(unique, Aad::empty(), &mut sealed).map_err(|_| SealError)?;
        Ok([&nonce[..], &sealed].concat())
    }

    /// The text, or nothing where another key sealed it or somebody changed it.
    pub fn open(&self, sealed: &[u8]) -> Option<String> {
        let (nonce, text) = sealed.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut text = text.to_vec();
        let opened = self.0.open_in_place(nonce, Aad::empty(), &mut text).ok()?;
        String::from_utf8(opened.to_vec()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_key_opens_what_was_sealed() {
        let seal = |secret| Seal::new(&TagKey::new("00000000".into(), &[secret; 32])).unwrap();
        let sealed = seal(1).seal("taro@example.jp").unwrap();
        assert_ne!(sealed, seal(1).seal("taro@example.jp").unwrap());
        assert!(!String::from_utf8_lossy(&sealed).contains("taro"));
        assert_eq!(seal(1).open(&sealed).as_deref(), Some("taro@example.jp"));
        assert_eq!(seal(2).open(&sealed), None);
        let mut changed = sealed;
        *changed.last_mut().unwrap() ^= 1;
        assert_eq!(seal(1).open(&changed), None);
        assert_eq!(seal(1).open(b"short"), None);
    }
}
