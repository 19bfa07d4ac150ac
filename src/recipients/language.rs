//! What `sunset.yaml` may say of a recipient of each kind, and what a recipe may say.

use super::{KINDS, Kind};
use crate::{
    language::{
        format,
        shape::{Field, Kinds, MapShape, Shape, Word},
    },
    rules::language::PERIOD,
};
use std::sync::LazyLock;

mod recipe;

pub use recipe::RECIPE;

/// Keys that every recipient has in `sunset.yaml`.
const COMMON: [Field; 5] = [
    Field::optional(
        "url",
        "Another base URL than the vendor's: `https`, or `http` on loopback.",
        Shape::Text(&format::RECIPIENT_URL),
        "http://127.0.0.1:8420/stripe",
    ),
    Field::optional(
        "timeout",
        "For one attempt of one call; `30 s` by default.",
        Shape::Text(&format::DURATION),
        "30 s",
    ),
    Field::optional("rate", "Fewer calls than the vendor allows.", Shape::Text(&format::RATE), "10 per second"),
    Field::optional(
        "valid_for",
        "How long an answer counts while the row that it was for stays; `90 days` by default. Then the person is asked about \
         anew.",
        PERIOD,
        "30 days",
    ),
    Field::optional(
        "max_gone",
        "The largest share of a rule's persons in one run whom the recipient may say not to know any more, over at least 20 \
         persons; `20 %` by default. With more, or when it knows nobody, the rule stops: credentials or column may be wrong.",
        Shape::Text(&format::SHARE),
        "20 %",
    ),
];

/// The keys of a recipient of this kind.
pub fn recipient_of_kind(kind: &str) -> Option<&'static MapShape> {
    (RECIPIENT.all)().iter().find_map(|(name, map)| (*name == kind).then_some(map))
}

/// A recipient in `sunset.yaml`.
pub static RECIPIENT: Kinds = Kinds {
    what: "a recipient",
    // Made once: the registry's kinds, each with the common keys.
    all: || {
        static ALL: LazyLock<Vec<(&'static str, MapShape)>> = LazyLock::new(|| {
            let shape = |kind: &&'static Kind| {
                let words: &'static [Word] = Box::leak(Box::new([Word { word: kind.name, doc: kind.doc }]));
                let own = Field::optional(Kinds::KEY, kind.doc, Shape::Words(words), kind.name);
                let fields: Vec<_> = [own].iter().chain(kind.settings).chain(&COMMON).copied().collect();
                let what: &'static str = Box::leak(format!("a `{}` recipient", kind.name).into_boxed_str());
                (kind.name, MapShape::new(what, Box::leak(fields.into_boxed_slice())))
            };
            KINDS.iter().map(shape).collect()
        });
        &ALL
    },
};
