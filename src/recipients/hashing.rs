//! Identifiers as audiences for advertisements know them: normalized, and as SHA-256 in small hexadecimal digits.
//!
//! A company may keep digests instead of addresses and numbers. No e-mail address, phone number or advertising id looks like 64
//! hexadecimal digits, so [`hashed`] takes such a text for the digest that was uploaded and does not hash it a second time: the
//! digest of a digest is in no audience, and nobody would notice.

use sha2::{Digest as _, Sha256};

/// SHA-256 in small hexadecimal digits.
pub fn sha256(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}

/// What is sent of an identifier: its digest, if it is one already, or that of its normalized form; `None` where `normalized`
/// finds none.
pub fn hashed(text: &str, normalized: impl FnOnce(&str) -> Option<String>) -> Option<String> {
    digest(text).or_else(|| normalized(text).map(|text| sha256(&text)))
}

/// A text that is SHA-256 in hexadecimal digits, in small ones.
pub fn digest(text: &str) -> Option<String> {
    let text = text.trim();
    (text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| text.to_ascii_lowercase())
}

/// An e-mail address without space around it, in small letters; `None` for what is none, such as `n/a`.
pub fn address(text: &str) -> Option<String> {
    let text = text.trim().to_lowercase();
    let (user, domain) = text.split_once('@')?;
    let is_address =
        !text.contains(char::is_whitespace) && !domain.contains('@') && !user.is_empty() && !domain.is_empty();
    is_address.then_some(text)
}

/// A device's advertising id in small letters; `None` for what is none, and for the zeroes that a device gives whose owner wants
/// no tracking: many have the same.
pub fn advertising_id(text: &str) -> Option<String> {
    let text = text.trim().to_ascii_lowercase();
    let lengths: Vec<_> = text.split('-').map(str::len).collect();
    let digits = || text.bytes().filter(|byte| *byte != b'-');
    let is_id = lengths == [8, 4, 4, 4, 12] && digits().all(|byte| byte.is_ascii_hexdigit());
    (is_id && digits().any(|byte| byte != b'0')).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By `printf %s taro@example.com | sha256sum`.
    const TARO: &str = "3df36ef44a86ba6433126b5899410e5cd481163a0f05fa83eef3edf60abe58ac";

    #[test]
    fn an_address_is_hashed_once() {
        for text in [" Taro@Example.com\n", TARO, &format!(" {} ", TARO.to_uppercase())] {
            assert_eq!(hashed(text, address).as_deref(), Some(TARO), "{text}");
        }
        let digits = &TARO[1..];
        assert_eq!(hashed(digits, address), None, "63 digits are neither");
        assert_eq!(digest(&format!("g{digits}")), None);
    }

    #[test]
    fn what_is_no_address_names_nobody() {
        for text in
            ["", " ", "n/a", "-", "taro", "@", "taro@", "@example.com", "a@b@c", "a b@example.com", "a\u{3000}@b"]
        {
            assert_eq!(address(text), None, "{text}");
        }
        assert_eq!(address("Ä.B+c@Example.JP").as_deref(), Some("ä.b+c@example.jp"));
    }

    #[test]
    fn an_advertising_id_has_its_form_and_is_somebodys() {
        let id = "38400000-8CF0-11BD-B23E-10B96E40000D";
        assert_eq!(advertising_id(id), Some(id.to_lowercase()));
        for text in
            ["", "abc", "00000000-0000-0000-0000-000000000000", &id[1..], &id.replace('-', ""), &id.replace('8', "x")]
        {
            assert_eq!(advertising_id(text), None, "{text}");
        }
    }
}
