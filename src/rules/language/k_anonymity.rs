//! What a rule says of the groups that its anonymized rows form.

use super::{TECHNIQUE, at_least, within, word};
use crate::{
    diagnostic::Code,
    language::{
        format,
        shape::{Field, MapShape, Shape, Word},
    },
};

pub(super) const K_ANONYMITY: Field = Field::optional(
    "k_anonymity",
    "What is counted after `anonymize`: no group of rows that share the same quasi-identifiers may be smaller than k. \
     docs/k-anonymity.md has what that says and what it does not.",
    Shape::Map(&GATE),
    "{quasi_identifiers: [birth_date, gender, postal_code], k: 10, then: [{postal_code: suppress}]}",
);

static GATE: MapShape = MapShape::new(
    "`k_anonymity`",
    &[
        Field::required(
            "quasi_identifiers",
            "The columns that together could tell who a row is about. No value counts as a value of its own.",
            Shape::List { item: &Shape::Text(&format::COLUMN), least: 1, unique: true },
            "[birth_date, gender, postal_code]",
        ),
        Field::required(
            "k",
            "So many rows a group has at least.",
            Shape::Integer(within(2.0, 1_000_000.0, Code::BadLimit)),
            "10",
        ),
        Field::optional(
            "l_diversity",
            "So many different values each group has at least in a sensitive column; rows without a value count for none.",
            Shape::Named { key: &format::COLUMN, value: &Shape::Integer(at_least(2.0, Code::BadLimit)) },
            "{arrears_flag: 2}",
        ),
        Field::optional(
            "then",
            "What becomes of rows in groups that are too small: one item after the other, until none is. Each names \
             quasi-identifiers and coarser techniques than those of `columns`.",
            Shape::List { item: &Shape::Named { key: &format::COLUMN, value: &TECHNIQUE }, least: 1, unique: true },
            "[{postal_code: suppress}, {birth_date: suppress}]",
        ),
        Field::optional(
            "at_last",
            "What becomes of rows that are in too small a group all the same.",
            Shape::Words(AT_LAST),
            "erase",
        ),
    ],
);

static AT_LAST: &[Word] = &[
    word("erase", "They are erased, with their dependents as the rule names them. The default."),
    word("suppress", "Every quasi-identifier of theirs is removed; rows without any are not counted."),
    word("fail", "They stay, and the rule fails."),
];
