//! Identifiers in the forms that frameworks for deletion requests exchange: as they are, or as a digest.
//!
//! Neither OpenDSR 2.0 nor the Data Deletion Request Framework says how a text is normalized before it is hashed. What is
//! done here is what the ad networks ask for: white space around it goes, and mail addresses are written small.

use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256};

/// The text in this format: `sha256`, `sha1` and `md5` in small hexadecimal digits; every other format leaves it as it is.
/// A text that is such a digest already is not hashed again.
pub fn formatted(name: &str, format: &str, text: &str) -> String {
    let text = text.trim();
    let digits = match format {
        "sha256" => 64,
        "sha1" => 40,
        "md5" => 32,
        _ => return text.to_owned(),
    };
    if text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit()) && !is_device(name) {
        return text.to_ascii_lowercase();
    }
    let text = if name == "email" { text.to_lowercase() } else { text.to_owned() };
    match format {
        "sha256" => hex::encode(Sha256::digest(text)),
        "sha1" => hex::encode(Sha1::digest(text)),
        _ => hex::encode(Md5::digest(text)),
    }
}

/// What people write where they know nobody. Such a text names no person, and a recipient that does not know it proves
/// nothing.
pub fn is_placeholder(text: &str) -> bool {
    const PLACEHOLDERS: &[&str] = &[
        "n/a",
        "n.a.",
        "#n/a",
        "none",
        "null",
        "nil",
        "undefined",
        "unknown",
        "(null)",
        "(none)",
        "<null>",
        "tbd",
        "なし",
        "無し",
        "不明",
        "未登録",
        "未設定",
        "該当なし",
        ".",
        "..",
        "…",
    ];
    let text = text.trim().to_lowercase();
    // strokes in an empty field; other signs may be a name
    PLACEHOLDERS.contains(&text.as_str()) || text.chars().all(|c| "-–—ー－_?？*＊#/・ \u{3000}".contains(c))
}

/// Device ids are hexadecimal digits themselves.
fn is_device(name: &str) -> bool {
    name != "email" && name.ends_with("_id")
}

/// What the vendors' own libraries make of identifiers; `tests/vectors/generate` writes it.
#[cfg(test)]
pub mod vectors {
    pub struct Vector {
        pub field: String,
        pub calling_code: Option<String>,
        pub text: String,
        /// None where the library refuses the text.
        pub wanted: Option<String>,
    }

    pub fn of(library: &str) -> impl Iterator<Item = Vector> {
        type Line = (String, String, Option<String>, String, Option<String>);
        let lines = include_str!("../../tests/vectors/identifiers.jsonl").lines();
        let lines = lines.map(|line| serde_json::from_str::<Line>(line).unwrap());
        lines.filter(move |line| line.0 == library).map(|(_, field, calling_code, text, wanted)| Vector {
            field,
            calling_code,
            text,
            wanted,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By `printf %s taro@example.com | sha256sum` and so on.
    #[test]
    fn digests_are_those_of_other_tools() {
        let digest = |format| formatted("email", format, " Taro@Example.com\n");
        assert_eq!(digest("sha256"), "3df36ef44a86ba6433126b5899410e5cd481163a0f05fa83eef3edf60abe58ac");
        assert_eq!(digest("sha1"), "1e0cd865f9b7148086c8d1a9d85c646e52fba864");
        assert_eq!(digest("md5"), "258fe44af56b618ac3b0f9618c70d048");
        assert_eq!(digest("raw"), "Taro@Example.com");
    }

    #[test]
    fn what_people_write_where_they_know_nobody_is_told() {
        for nobody in ["n/a", " N/A ", "-", "--", "?", ".", "..", "NULL", "不明", "…", ""] {
            assert!(is_placeholder(nobody), "{nobody}");
        }
        for somebody in ["a", "0", "山田", "nana", "cus_1", "none@example.com", "-1", "...", "%2e"] {
            assert!(!is_placeholder(somebody), "{somebody}");
        }
    }

    #[test]
    fn a_digest_is_not_hashed_again_and_a_device_id_is() {
        let digest = formatted("email", "sha256", "taro@example.com");
        assert_eq!(formatted("email", "sha256", &digest.to_uppercase()), digest);
        let device = "0123456789abcdef0123456789abcdef";
        assert_ne!(formatted("android_advertising_id", "md5", device), device);
    }
}
