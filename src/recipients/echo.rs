//! Texts of others that repeat ours, in whatever form: in other letters, escaped, encoded, or as a digest.

use aho_corasick::{AhoCorasick, MatchKind};
use base64::{
    Engine as _,
    alphabet::{STANDARD, URL_SAFE},
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest as _, Sha256, Sha512};
use std::{cell::OnceCell, collections::HashSet};

/// What stands where a text repeated ours.
pub(super) const REDACTED: &str = "[redacted]";

/// What is shorter is looked for as a word alone: `12` is in many numbers.
const SHORTEST_PART: usize = 6;

/// What is shorter is not looked for in what was decoded: noise holds every short text.
const SHORTEST_DECODED: usize = 4;

/// What is shorter may be part of a ticket by accident.
const SHORTEST_IN_TICKET: usize = 8;

/// Encodings that lie in one another are undone so often.
const LAYERS: usize = 3;

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_allow_trailing_bits(true)
    .with_decode_padding_mode(DecodePaddingMode::Indifferent);

/// Texts that must not be repeated.
pub(super) struct Echo {
    texts: Vec<String>,
    finder: OnceCell<Option<AhoCorasick>>,
    digests: OnceCell<HashSet<Vec<u8>>>,
}

/// A text as it came, or with one layer of encoding undone.
struct View {
    text: String,
    /// Base64 or hexadecimal digits were undone, so that there may be noise in it.
    is_noisy: bool,
}

impl Echo {
    pub fn of<'a>(texts: impl Iterator<Item = &'a str>) -> Self {
        let texts: HashSet<String> = texts.map(normal).filter(|text| !text.is_empty()).collect();
        Self { texts: texts.into_iter().collect(), finder: OnceCell::new(), digests: OnceCell::new() }
    }

    /// The text with every word taken out that repeats one of ours.
    pub fn redact(&self, text: &str) -> String {
        if !self.is_in(text) {
            return text.to_owned();
        }
        let words = text.split(' ').map(|word| if self.is_in(word) { REDACTED } else { word });
        let redacted = words.collect::<Vec<_>>().join(" ");
        // What spans several words is in none of them.
        if self.is_in(&redacted) { REDACTED.to_owned() } else { redacted }
    }

    /// The text repeats one of ours.
    pub fn is_in(&self, text: &str) -> bool {
        self.is_repeated(text, 1) || self.has_digest(text)
    }

    /// The text repeats one of ours that is long enough not to be there by accident.
    pub fn is_plainly_in(&self, text: &str) -> bool {
        self.is_repeated(text, SHORTEST_IN_TICKET) || self.has_digest(text)
    }

    fn is_repeated(&self, text: &str, shortest: usize) -> bool {
        let finder = self.finder.get_or_init(|| {
            // A phone number is one however it is grouped.
            let grouped = self.texts.iter().map(|text| ungrouped(text)).filter(|text| is_number(text));
            let all: HashSet<String> = self.texts.iter().cloned().chain(grouped).collect();
            AhoCorasick::builder().match_kind(MatchKind::Standard).build(all).ok()
        });
        let Some(finder) = finder else { return true };
        let found = |view: &View, text: &str| {
            finder.find_overlapping_iter(text).any(|found| {
                let length = found.end() - found.start();
                let stands_alone = || {
                    let before = text[..found.start()].chars().next_back();
                    let after = text[found.end()..].chars().next();
                    !before.into_iter().chain(after).any(char::is_alphanumeric)
                };
                length >= shortest
                    && (length >= SHORTEST_DECODED || !view.is_noisy)
                    && (length >= SHORTEST_PART || stands_alone())
            })
        };
        views(text).iter().any(|view| {
            let (normal, ungrouped) = (normal(&view.text), ungrouped(&view.text));
            found(view, &normal)
                || ungrouped != normal && found(&View { text: String::new(), is_noisy: true }, &ungrouped)
        })
    }

    /// The text holds a digest of one of ours, as recipients are sent them.
    fn has_digest(&self, text: &str) -> bool {
        const LENGTHS: [usize; 4] = [16, 20, 32, 64];
        let digits = hex_digits(text).map(|digits| hex::decode(digits).ok());
        // Two of the letters of base64 stand between words as well.
        let parts = words(text).flat_map(|word| word.split(['-', '_'])).map(lenient);
        let candidates = digits.chain(words(text).map(lenient)).chain(parts).flatten();
        let candidates: Vec<_> = candidates.filter(|bytes| LENGTHS.contains(&bytes.len())).collect();
        if candidates.is_empty() {
            return false;
        }
        let digests = self.digests.get_or_init(|| self.texts.iter().flat_map(|text| digests_of(text)).collect());
        candidates.iter().any(|bytes| digests.contains(bytes))
    }
}

fn normal(text: &str) -> String {
    text.trim().to_lowercase()
}

/// Without the signs that group a number's digits.
fn ungrouped(text: &str) -> String {
    text.chars().filter(|c| !matches!(c, ' ' | '-' | '(' | ')' | '.' | '/' | '+')).collect()
}

fn is_number(text: &str) -> bool {
    text.len() >= 9 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Of the text in the forms in which vendors want it digested.
fn digests_of(text: &str) -> Vec<Vec<u8>> {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let compact: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let mut forms = vec![text.to_owned(), text.to_uppercase(), compact];
    if digits.len() > 6 {
        forms.extend([format!("+{digits}"), digits]);
    }
    let all = |form: &String| {
        [
            Sha256::digest(form).to_vec(),
            Sha512::digest(form).to_vec(),
            Sha1::digest(form).to_vec(),
            Md5::digest(form).to_vec(),
        ]
    };
    forms.iter().flat_map(all).collect()
}

/// The text, and what it is with encodings undone.
fn views(text: &str) -> Vec<View> {
    let mut all = vec![View { text: text.to_owned(), is_noisy: false }];
    let mut first = 0;
    for _ in 0..LAYERS {
        let end = all.len();
        for at in first..end {
            let View { text, is_noisy } = &all[at];
            let undone = [
                (percent_decoded(text), false),
                (unescaped(text), false),
                (decoded(hex_digits(text), |digits| hex::decode(&digits[..digits.len() & !1]).ok()), true),
                (decoded(words(text), lenient), true),
                // A prefix may have moved what was encoded by some letters.
                (decoded(words(text), |word| lenient(word.get(1..)?)), true),
                (decoded(words(text), |word| lenient(word.get(2..)?)), true),
                (decoded(words(text), |word| lenient(word.get(3..)?)), true),
            ];
            let is_noisy = *is_noisy;
            for (text, makes_noise) in undone {
                if all.iter().all(|view| view.text != text) {
                    all.push(View { text, is_noisy: is_noisy || makes_noise });
                }
            }
        }
        first = end;
    }
    all
}

/// The longest runs of letters that base64 is written in.
fn words(text: &str) -> impl Iterator<Item = &str> {
    const SHORTEST: usize = 5;
    let is_letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '-' | '_');
    text.split(move |c| !is_letter(c)).filter(|word| word.len() >= SHORTEST)
}

/// The longest runs of hexadecimal digits.
fn hex_digits(text: &str) -> impl Iterator<Item = &str> {
    const SHORTEST: usize = 8;
    text.split(|c: char| !c.is_ascii_hexdigit()).filter(|digits| digits.len() >= SHORTEST)
}

/// What was encoded in these words.
fn decoded<'a>(words: impl Iterator<Item = &'a str>, decode: impl Fn(&str) -> Option<Vec<u8>>) -> String {
    let decoded = words.filter_map(|word| Some(String::from_utf8_lossy(&decode(word)?).into_owned()));
    decoded.collect::<Vec<_>>().join("\n")
}

/// Base64 of both alphabets, however it ends.
fn lenient(word: &str) -> Option<Vec<u8>> {
    let alphabet = if word.contains(['-', '_']) { URL_SAFE } else { STANDARD };
    let engine = GeneralPurpose::new(&alphabet, LENIENT);
    let whole = if word.len() % 4 == 1 { &word[..word.len() - 1] } else { word };
    engine.decode(whole).ok()
}

fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut decoded, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while at < bytes.len() {
        let byte = text.get(at + 1..at + 3).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (bytes[at], byte) {
            (b'%' | b'=', Some(byte)) => {
                decoded.push(byte);
                at += 2;
            }
            (b'+', _) => decoded.push(b' '),
            (byte, _) => decoded.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// `\\u0040`, `\\x40` and `&#64;` as the letters that they stand for; other backslashes are left out.
fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let escape = match c {
            '\\' => [("\\u", 4), ("\\x", 2)].into_iter().find_map(|(mark, count)| {
                let digits = rest.strip_prefix(mark)?.get(..count)?;
                Some((u32::from_str_radix(digits, 16).ok()?, mark.len() + count))
            }),
            '&' => rest.split_once(';').and_then(|(entity, _)| {
                let code = match entity.strip_prefix("&#x").or_else(|| entity.strip_prefix("&#X")) {
                    Some(digits) => u32::from_str_radix(digits, 16).ok()?,
                    None => entity.strip_prefix("&#")?.parse().ok()?,
                };
                Some((code, entity.len() + 1))
            }),
            _ => None,
        };
        match escape.and_then(|(code, length)| Some((char::from_u32(code)?, length))) {
            Some((letter, length)) => {
                plain.push(letter);
                rest = &rest[length..];
            }
            None => {
                if c != '\\' {
                    plain.push(c);
                }
                rest = &rest[c.len_utf8()..];
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
    use proptest::prelude::*;

    fn echo(texts: &[&str]) -> Echo {
        Echo::of(texts.iter().copied())
    }

    /// The ways in which a vendor may repeat a text.
    fn forms(text: &str) -> Vec<String> {
        let percent = |text: &str| text.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
        let json: String = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
        vec![
            text.to_owned(),
            text.to_uppercase(),
            text.to_lowercase(),
            percent(text),
            percent(&percent(text)),
            crate::recipients::client::segment(text),
            text.replace(' ', "+"),
            json,
            serde_json::to_string(text).unwrap(),
            text.replace('@', "&#64;"),
            BASE64_STANDARD.encode(text),
            BASE64_URL_SAFE_NO_PAD.encode(text),
            format!("ab{}", BASE64_STANDARD.encode(text)),
            BASE64_STANDARD.encode(format!("x={text}")),
            percent(&BASE64_STANDARD.encode(text)),
            hex::encode(text),
            hex::encode_upper(text),
            hex::encode(Sha256::digest(text)),
            hex::encode_upper(Sha256::digest(text.to_lowercase())),
            hex::encode(Sha1::digest(text.to_lowercase())),
            hex::encode(Md5::digest(text.to_lowercase())),
            BASE64_STANDARD.encode(Sha256::digest(text.to_lowercase())),
        ]
    }

    #[test]
    fn every_form_is_found() {
        for text in ["hanako@example.com", "sk_live_51H8canary", "山田 花子", "cus_NffrFeUfNV2Hib", "Hanako Yamada"]
        {
            let echo = echo(&["other@example.com", text]);
            // A digest of letters in another case is one of the text as it was sent, or in small letters.
            for form in forms(&text.to_lowercase()).into_iter().chain(forms(text).into_iter().take(17)) {
                for around in
                    [form.clone(), format!("HTTP 400, code {form}, no"), format!("x:{form}:y"), format!("({form})")]
                {
                    let redacted = echo.redact(&around);
                    assert!(redacted.contains(REDACTED) && !redacted.contains(&form), "{text}: {around}: {redacted}");
                }
                assert!(echo.is_in(&format!("req-{form}")) || form.len() < 10, "{text}: {form}");
            }
        }
        let phone = echo(&["+81 90-1234-5678"]);
        for form in ["819012345678", "+819012345678", "81-9012345678", "81 90 1234 5678"] {
            assert!(phone.is_in(form), "{form}");
        }
        assert!(phone.is_in(&hex::encode(Sha256::digest("819012345678"))));
        assert!(phone.is_in(&hex::encode(Sha256::digest("+819012345678"))));
    }

    #[test]
    fn what_repeats_nothing_stays() {
        let echo = echo(&["hanako@example.com", "12", "cus_NffrFeUfNV2Hib", "ab"]);
        for text in [
            "HTTP 400, INVALID_ARGUMENT",
            "HTTP 412",
            "req_Qy8cLzmp5LVtTk",
            "f3759aac-f476-4663-9471-d332dff55993",
            "the credentials are refused (HTTP 401)",
            "x12y about",
            "",
        ] {
            assert_eq!(echo.redact(text), text);
            assert!(!echo.is_plainly_in(text));
        }
        assert_eq!(echo.redact("customer 12 is unknown"), "customer [redacted] is unknown");
        assert!(!echo.is_plainly_in("job 12"));
        assert!(echo.is_plainly_in("job/cus_NffrFeUfNV2Hib"));
    }

    proptest! {
        #[test]
        fn any_text_is_looked_at(text in "\\PC{0,40}", other in "[%&#x;\\\\u0-9a-f+/=@ ]{0,60}") {
            let echo = echo(&[&text]);
            let _ = echo.redact(&other);
            if !text.trim().is_empty() {
                prop_assert_ne!(echo.redact(&text), text.clone());
                let around = format!("({text})");
                prop_assert!(echo.is_in(&around));
            }
        }
    }
}
