//! The words of recipes: files that describe a vendor for `http` recipients.

use crate::{
    diagnostic::Code,
    language::{
        format,
        shape::{Field, MapShape, Shape, Word},
    },
    rules::language::{TEXT, within},
};

/// A file in `recipes/`.
pub static RECIPE: Shape = Shape::Map(&FILE);

static FILE: MapShape = MapShape::new(
    "a recipe",
    &[
        Field::required("recipe", "Its name, which is the file's too.", Shape::Text(&format::NAME), "intercom"),
        Field::required("vendor", "Who it is about.", TEXT, "Intercom"),
        Field::required(
            "sources",
            "Where it was read.",
            Shape::List { item: &TEXT, least: 1, unique: true },
            "[https://developers.intercom.com]",
        ),
        Field::required(
            "checked",
            "How it was checked, and what nobody could check.",
            TEXT,
            "Tried with a test account.",
        ),
        Field::required("deleted", "What goes.", TEXT, "The contact."),
        Field::required("kept", "What stays, and how long.", TEXT, "It can be restored for seven days."),
        Field::required("settings", "What the company sets itself.", TEXT, "`auth.bearer`: an access token."),
        Field::required(
            "http",
            "The keys of an `http` recipient.",
            Shape::Any,
            "{url: https://api.intercom.io, delete: …}",
        ),
        Field::required(
            "examples",
            "Who is asked about, and what comes of it; `sunset recipes test` plays them.",
            Shape::List { item: &Shape::Map(&EXAMPLE), least: 1, unique: false },
            "[{people: [{customer: c-1}], calls: […], answers: [confirmed]}]",
        ),
    ],
);

static EXAMPLE: MapShape = MapShape::new(
    "an example of a recipe",
    &[
        Field::optional(
            "with",
            "Values of the setting `with`.",
            Shape::Named { key: &format::TEXT, value: &TEXT },
            "{list: a1}",
        ),
        Field::required(
            "people",
            "The identifiers of each person, by name.",
            Shape::List { item: &Shape::Named { key: &format::TEXT, value: &TEXT }, least: 1, unique: false },
            "[{customer: c-1}]",
        ),
        CALLS,
        Field::required(
            "answers",
            "What is answered about each person.",
            Shape::List { item: &ANSWER, least: 1, unique: false },
            "[confirmed]",
        ),
        Field::optional(
            "polls",
            "Looks at the work of the first person, one after the other.",
            Shape::List { item: &Shape::Map(&POLL), least: 1, unique: false },
            "[{calls: […], answer: confirmed}]",
        ),
    ],
);

const CALLS: Field = Field::required(
    "calls",
    "The calls that have to be made, in order.",
    CALL_LIST,
    "[{method: DELETE, path: /contacts/1, reply: {status: 200}}]",
);

const CALL_LIST: Shape = Shape::List { item: &Shape::Map(&CALL), least: 0, unique: false };

static POLL: MapShape = MapShape::new(
    "a poll of an example",
    &[CALLS, Field::required("answer", "What is answered.", ANSWER, "confirmed")],
);

const ANSWER: Shape = Shape::Words(&[
    Word { word: "confirmed", doc: "it is done, or asked for where there is no more to learn" },
    Word { word: "gone", doc: "there was nobody" },
    Word { word: "accepted", doc: "the recipient works on it" },
    Word { word: "not_possible", doc: "nobody can ask about this person" },
    Word { word: "refused", doc: "it would be refused again" },
    Word { word: "unreachable", doc: "nobody knows: it is asked again" },
    Word { word: "forgotten", doc: "the recipient knows nothing of the work any more" },
]);

static CALL: MapShape = MapShape::new(
    "a call of an example",
    &[
        Field::required("method", "The HTTP method.", TEXT, "DELETE"),
        Field::required("path", "With its parameters, as they are sent.", TEXT, "/contacts/1"),
        Field::optional(
            "headers",
            "Headers that have to be there.",
            Shape::Named { key: &format::TEXT, value: &TEXT },
            "{revision: \"1\"}",
        ),
        Field::optional("json", "The body; anything where it is not said.", Shape::Any, "{id: 1}"),
        Field::optional(
            "form",
            "The body as a form.",
            Shape::Named { key: &format::TEXT, value: &TEXT },
            "{id: \"1\"}",
        ),
        Field::optional("text", "The body as text.", TEXT, "<id>1</id>"),
        Field::required("reply", "What is answered.", Shape::Map(&REPLY), "{status: 204}"),
    ],
);

static REPLY: MapShape = MapShape::new(
    "a reply of an example",
    &[
        Field::required("status", "The HTTP status.", Shape::Integer(within(200.0, 599.0, Code::BadLimit)), "204"),
        Field::optional("json", "The body; none where it is not said.", Shape::Any, "{deleted: true}"),
    ],
);
