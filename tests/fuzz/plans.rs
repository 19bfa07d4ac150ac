//! Plans that a person reviewed: a file that differs in one byte from the one that was signed does not run.

use super::{Target, kind};
use sunset::{evidence::checkpoint::VerificationKey, plan::reviewed};

pub static TARGET: Target = Target {
    name: "plans",
    check,
    seeds: &[],
    words: &[
        "\"digest\": \"",
        "\"signature\": \"",
        "\"format\": 1",
        "\"now\": \"2026-11-22T00:00:00Z\"",
        "\"sql\": \"delete from t\"",
        "null",
        "true",
        "1e999",
        "-0",
        "0.1",
        "\\u0000",
        "\\ud800",
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\n",
        " ",
        "\"steps\": []",
    ],
};

/// A plan as it was signed, and the key that signed it.
pub const SIGNED: &str = include_str!("../../fuzz/corpus/plans/signed.json");
pub const KEY: &str = include_str!("../../fuzz/corpus/key.pub");

pub fn key() -> VerificationKey {
    KEY.trim().parse().expect("a public key")
}

fn check(input: &[u8]) -> String {
    let Ok(text) = std::str::from_utf8(input) else { return "not UTF-8".to_owned() };
    match reviewed::read(text, "plan.json", &[key()]) {
        Ok(_) => {
            assert_eq!(text, SIGNED, "a plan that was edited is taken for the one that was signed");
            "read".to_owned()
        }
        Err(error) => kind(&error.to_string()),
    }
}
