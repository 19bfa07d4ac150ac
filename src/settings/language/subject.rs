//! The words of `subjects` in `sunset.yaml`.

use super::TEXT;
use crate::language::{
    format,
    shape::{Field, MapShape, Shape, Word},
};

const FORMS: &[Word] = &[
    Word { word: "text", doc: "The characters themselves, without blanks around them." },
    Word { word: "email", doc: "An e-mail address: capitals and characters of full width make no difference." },
    Word {
        word: "phone",
        doc: "A phone number: signs between digits, and whether and how the country is written, make no difference. Needs \
              `country_calling_code`.",
    },
    Word { word: "number", doc: "A whole number: leading zeros make no difference." },
];

static IDENTIFIER: MapShape = MapShape::new(
    "an identifier",
    &[
        Field::required("column", "A column of the home table.", Shape::Text(&format::COLUMN), "email"),
        Field::optional(
            "as",
            "The form in which values are compared. By default that of the identifier with the same column, or else `text`.",
            Shape::Words(FORMS),
            "email",
        ),
    ],
);

/// The other table's columns, each with ours.
const COLUMNS: Shape = Shape::Named {
    key: &format::COLUMN,
    value: &Shape::Either(&[Shape::Text(&format::COLUMN), Shape::Map(&IDENTIFIER)]),
};

pub static SUBJECT: MapShape = MapShape::new(
    "a subject",
    &[
        Field::required(
            "home",
            "The table with one row for each person. Its primary key is the person's key.",
            Shape::Text(&format::TABLE),
            "core.customers",
        ),
        Field::optional(
            "title",
            "What people call them: a text (English), or one per language.",
            Shape::Either(&[TEXT, Shape::Named { key: &format::LANGUAGE, value: &TEXT }]),
            "{en: Contract holders, ja: 契約者}",
        ),
        Field::optional(
            "identifiers",
            "How somebody is named, by names: a column of the home table, or the column and its form. A column alone under the \
             name of a form (`email`, `phone`) has that form, any other is `text`.",
            Shape::Named {
                key: &format::NAME,
                value: &Shape::Either(&[Shape::Text(&format::COLUMN), Shape::Map(&IDENTIFIER)]),
            },
            "{email: email, number: {column: customer_no, as: text}}",
        ),
        Field::optional(
            "links",
            "Tables with rows about the same person that no foreign key leads to: their column, and the column of the home table \
             with the same value, or that column and the form in which both are compared. Of several columns, all have to be \
             equal. A list of such maps: one of them is enough.",
            Shape::Named {
                key: &format::TABLE,
                value: &Shape::Either(&[COLUMNS, Shape::List { item: &COLUMNS, least: 1, unique: true }]),
            },
            "{helpdesk.tickets: {requester_email: {column: email, as: email}}}",
        ),
        Field::optional(
            "not_theirs",
            "Tables whose rows are nobody's, although a foreign key leads from them to a row of the person: the way over \
             foreign keys ends there.",
            Shape::List { item: &Shape::Text(&format::TABLE), least: 1, unique: true },
            "[core.plans]",
        ),
        Field::optional(
            "country_calling_code",
            "The calling code of phone numbers that have none, as digits.",
            Shape::Text(&format::CALLING_CODE),
            "\"81\"",
        ),
    ],
);
