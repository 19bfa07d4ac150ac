//! Exported ledgers: what verification calls sound is, up to its last valid checkpoint, byte for byte what was written.

use super::{Target, kind, plans::key};
use std::collections::BTreeSet;
use sunset::ledger::{
    Entry,
    verify::{ExternalNote, Report, Verifier, verify_lines},
};

pub static TARGET: Target = Target {
    name: "ledgers",
    check,
    seeds: &[],
    words: &[
        "\n",
        "\r\n",
        "{\"checkpoint\":\"",
        "{\"intent\":",
        "{\"format\":",
        "\"previous\":\"",
        "\"seq\":",
        "\"at\":\"",
        "\"result\":\"committed\"",
        "\"result\":\"rolled_back\"",
        "\"rows\":",
        "\"tags\":\"",
        "null",
        "18446744073709551615",
        "-1",
        "1e3",
        "\\u0000",
        "\\n",
        "— ",
        "\\u2014 ",
        ",",
        "}",
        "{",
        "\"",
        " ",
        "\u{feff}",
        "AAAA",
        "=",
    ],
};

/// A ledger with several runs, signed with the key of the plans.
pub const SOUND: &str = include_str!("../../fuzz/corpus/ledgers/sound.jsonl");

fn check(input: &[u8]) -> String {
    let report = verify(input, true);
    if report.is_sound() {
        let covered = report.covered.as_ref().expect("a sound ledger has a checkpoint");
        let vouched = up_to(covered.size);
        assert!(
            input.starts_with(vouched.as_bytes()),
            "{} entries were changed, and the ledger is called sound: {report:?}",
            covered.size
        );
    }
    // whoever has no key learns that from the report
    verify(input, false);
    for line in String::from_utf8_lossy(input).lines() {
        again(line);
    }
    let problems: BTreeSet<_> = report.problems.iter().map(|problem| kind(&problem.message)).collect();
    format!("{problems:?}")
}

fn verify(input: &[u8], with_key: bool) -> Report {
    let trusted = if with_key { vec![key()] } else { Vec::new() };
    let notes = vec![ExternalNote { kept: "elsewhere".to_owned(), note: String::from_utf8_lossy(input).into_owned() }];
    let notes = if with_key { Vec::new() } else { notes };
    verify_lines(input, Verifier::new(trusted, notes)).expect("bytes can be read")
}

/// The ledger up to the checkpoint of this many entries.
fn up_to(size: u64) -> &'static str {
    let mut entries = 0;
    let mut end = 0;
    for line in SOUND.split_inclusive('\n') {
        end += line.len();
        if line.starts_with("{\"checkpoint\":") && entries == size {
            return &SOUND[..end];
        }
        let is_entry =
            !["{\"checkpoint\":", "{\"intent\":", "{\"format\":"].iter().any(|start| line.starts_with(start));
        entries += u64::from(is_entry);
    }
    panic!("nobody has signed {size} entries")
}

/// An entry that can be read means the same after it was written.
fn again(line: &str) {
    if let Ok(entry) = Entry::parse(line)
        && let Ok(written) = entry.line()
    {
        assert_eq!(Entry::parse(&written).ok(), Some(entry), "{line}");
    }
}
