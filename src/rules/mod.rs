//! The rule language, pure: what a file may say, where each value stands in the text, and what it means.
//!
//! Nothing here reads a file, a clock, an environment variable or a database.

mod aggregate;
mod assertion;
pub mod condition;
mod k_anonymity;
pub mod language;
pub mod parse;
pub mod rule;

pub use aggregate::{Aggregate, CalendarUnit, GroupedBy, SmallestGroup, Total};
pub use assertion::{Assertion, Check, NoCardNumbers, NoRows, RetentionAt};
pub use k_anonymity::{AtLast, KAnonymity};
pub(crate) use parse::{At, by_language, condition_of, limits, period};
pub use parse::{check_together, parse};
pub use rule::*;

/// The reference page of rule files, `docs/rules.md`.
pub fn rules_page() -> String {
    let introduction = "A file of `rules/` describes one data category and the rules for the tables that it lives in. \
                        `sunset schema` prints the same as JSON Schema, for editors. Rule files hold no variables and no \
                        secrets.\n\n\
                        Files that end in `.yaml` or `.yml` are read. What looks like a rule file and is none is an error, so \
                        that no rule is passed over in silence: other endings (`.YAML`, `.json`, `.yaml.bak`, `.yaml~`), \
                        hidden files that end in `.yaml`, folders, links to nowhere. Only hidden entries (`.gitkeep`, an \
                        editor's swap file, what Kubernetes keeps beside a ConfigMap's files), `*.md` and `lost+found` may \
                        lie there too.";
    crate::language::reference::reference(&language::RULE_FILE, "Rule files", "src/rules/language.rs", introduction)
}
