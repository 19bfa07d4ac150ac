//! The words of `http` recipients and of recipes.

use crate::{
    diagnostic::Code,
    language::{
        format,
        shape::{Bounds, Field, MapShape, Shape, Word},
    },
};

const TEXTS: Shape = Shape::Named { key: &format::TEXT, value: &Shape::Text(&format::SETTING) };
const STATUSES: Shape = Shape::List {
    item: &Shape::Integer(Bounds { least: Some(200.0), most: Some(599.0), above: false, code: Code::BadLimit }),
    least: 1,
    unique: true,
};
const ANY: Bounds = Bounds { least: None, most: None, above: false, code: Code::BadLimit };
const POINTER: Shape = Shape::Text(&format::POINTER);

const fn up_to(most: f64) -> Shape {
    Shape::Integer(Bounds { least: Some(1.0), most: Some(most), above: false, code: Code::BadLimit })
}

/// One call, or several.
const DELETES: Shape =
    Shape::Either(&[Shape::Map(&DELETE), Shape::List { item: &Shape::Map(&DELETE), least: 1, unique: false }]);

/// One test, or several.
const TESTS: Shape =
    Shape::Either(&[Shape::Map(&TEST), Shape::List { item: &Shape::Map(&TEST), least: 1, unique: true }]);

pub(super) const SETTINGS: &[Field] = &[
    Field::optional(
        "recipe",
        "A description of this vendor that comes with Sunset (`sunset recipes` lists them), or one of the company's own, \
         `recipes/NAME.yaml` in the job directory. What stands here goes before it.",
        Shape::Text(&format::NAME),
        "intercom",
    ),
    Field::optional("with", "Values for templates that are no identifiers, by name.", TEXTS, "{list: a1b2c3d4e5}"),
    Field::optional(
        "look_up",
        "A call that finds the vendor's own name for the person, for the calls after it.",
        Shape::Map(&LOOK_UP),
        "{method: GET, path: /v1/people, query: {email: \"{email}\"}, list: /data, …}",
    ),
    Field::optional(
        "delete",
        "The call for one person, or the calls, one after the other. What a call finds gone already is no reason to leave out \
         the next one.",
        DELETES,
        "{method: DELETE, path: \"/v1/people/{email}\", gone: [404]}",
    ),
    Field::optional(
        "batch",
        "The most persons in one call; `each` in the call's body stands for them. A batch that is refused is asked in halves, \
         so that one person does not keep the others.",
        up_to(10_000.0),
        "100",
    ),
    Field::optional(
        "poll",
        "How to learn the end of accepted work.",
        Shape::Map(&POLL),
        "{path: \"/v1/jobs/{ticket}\", …}",
    ),
    Field::optional("auth", "How to prove who calls.", Shape::Map(&AUTH), "{bearer: \"${CRM_TOKEN}\"}"),
    Field::optional(
        "hmac_key",
        "The key of the filter `hmac_sha256`.",
        Shape::Text(&format::KEY),
        "\"${CRM_HMAC_KEY}\"",
    ),
    Field::optional("headers", "Sent with every call.", TEXTS, "{X-Tenant: \"1234\"}"),
    Field::optional(
        "check",
        "A path that a GET can prove the credentials with.",
        Shape::Text(&format::SETTING),
        "/v1/me",
    ),
    Field::optional(
        "grade",
        "The evidence that success is: `E1` where its reply reports the end, `E2` (the default) where it accepts the request. \
         `E1` needs `confirmed`, a test of the reply's body; without it, success is `E2`, for any server may answer 200.",
        Shape::Words(&[
            Word { word: "E1", doc: "the reply, as `confirmed` tests it, says that the data are gone" },
            Word { word: "E2", doc: "success means that the request was accepted" },
        ]),
        "E1",
    ),
    Field::optional("at_once", "Calls under way at a time; 32 by default.", up_to(256.0), "4"),
];

const METHOD: Shape = Shape::Words(&[
    Word { word: "DELETE", doc: "DELETE" },
    Word { word: "POST", doc: "POST" },
    Word { word: "PUT", doc: "PUT" },
    Word { word: "PATCH", doc: "PATCH" },
    Word { word: "GET", doc: "GET" },
]);

const PATH: Field = Field::required(
    "path",
    "From the base URL; identifiers are escaped.",
    Shape::Text(&format::SETTING),
    "/v1/people/{email}",
);
const QUERY: Field = Field::optional("query", "Parameters behind the path.", TEXTS, "{email: \"{email}\"}");
const HEADERS: Field = Field::optional("headers", "Of this call.", TEXTS, "{Idempotency-Key: \"{reference}\"}");
const JSON: Field = Field::optional(
    "json",
    "The body as JSON. `{each: …}` alone in a map is a list with one item for each person of a batch. What holds an \
     identifier that may be missing (`{email?}`) is left out where it is.",
    Shape::Any,
    "{email: \"{email}\"}",
);
const FORM: Field = Field::optional("form", "The body as a form.", TEXTS, "{email: \"{email}\"}");
const TEXT: Field = Field::optional(
    "text",
    "The body as text of another sort, such as XML.",
    Shape::Map(&BODY_TEXT),
    "{type: application/xml, text: \"<id>{customer}</id>\", escape: xml}",
);
const FILE: Field = Field::optional(
    "file",
    "The body as an upload of a file (multipart) with one line for each person.",
    Shape::Map(&FILE_UPLOAD),
    "{field: file, name: ids.csv, line: \"{email|sha256}\"}",
);
const SUCCESS: Field =
    Field::optional("success", "Statuses that mean success; all of 200 to 299 by default.", STATUSES, "[200, 204]");
const GONE: Field = Field::optional(
    "gone",
    "Statuses that mean that there was nobody, where the body is JSON or empty; none by default.",
    STATUSES,
    "[404, 410]",
);
const RETRY: Field = Field::optional(
    "retry",
    "Statuses after which the same call is tried again, beside 408, 425, 429 and 500 to 599.",
    STATUSES,
    "[409]",
);
const NOBODY: Field = Field::optional(
    "nobody",
    "There was nobody if the reply, whatever its status, holds one of these.",
    TESTS,
    "{pointer: /error, is: [unknown_user]}",
);
const REFUSED: Field = Field::optional(
    "refused",
    "The request was refused if the reply, whatever its status, holds one of these: for vendors that answer 200 with an error.",
    TESTS,
    "{pointer: /errors, empty: false}",
);
const LIST: Field = Field::optional(
    "list",
    "Where the reply has a list of entries, as a JSON pointer; `\"\"` where the whole reply is one.",
    Shape::Text(&format::LIST_POINTER),
    "/data",
);
const WHERE: Field = Field::optional(
    "where",
    "Which entries of `list` are meant: those that hold all of these. A vendor that does not know a parameter gives everybody.",
    TESTS,
    "{pointer: /email, equals: \"{email}\"}",
);

static DELETE: MapShape = MapShape::new(
    "a call of an `http` recipient",
    &[
        Field::required("method", "The HTTP method.", METHOD, "DELETE"),
        PATH,
        QUERY,
        HEADERS,
        JSON,
        FORM,
        TEXT,
        FILE,
        SUCCESS,
        GONE,
        RETRY,
        Field::optional("confirmed", "Success only if the reply holds all of these.", TESTS, "{pointer: /deleted, is: [true]}"),
        NOBODY,
        REFUSED,
        Field::optional("ticket",
            "Where the reply names the accepted work, as a JSON pointer. `poll` asks about it; without `poll`, it is the \
             request's name in the ledger.",
            POINTER,
            "/job/id",
        ),
        Field::optional("request_id",
            "The header that names the call, for the ledger.",
            Shape::Text(&format::TEXT),
            "x-request-id",
        ),
    ],
)
.groups(BODIES);

const BODIES: &[&[&str]] = &[&[], &["json"], &["form"], &["text"], &["file"]];

static LOOK_UP: MapShape = MapShape::new(
    "a look-up of an `http` recipient",
    &[
        Field::required("method", "The HTTP method.", METHOD, "GET"),
        PATH,
        QUERY,
        HEADERS,
        JSON,
        FORM,
        TEXT,
        SUCCESS,
        GONE,
        RETRY,
        NOBODY,
        REFUSED,
        LIST,
        WHERE,
        Field::required("take",
            "What later calls know as `{name}`: by name, where it stands in the entry, or in the reply where there is no `list`.",
            Shape::Named { key: &format::IDENTIFIER, value: &POINTER },
            "{contact: /id}",
        ),
        Field::optional("most",
            "More entries than this are no person: nothing is deleted. 1 by default.",
            up_to(1000.0),
            "5",
        ),
        Field::optional("next", "Where the reply tells how to get the next page.", Shape::Map(&NEXT), "{pointer: /next, query: cursor}"),
    ],
)
.groups(&[&[], &["json"], &["form"], &["text"]]);

static NEXT: MapShape = MapShape::new(
    "a next page",
    &[
        Field::required(
            "pointer",
            "Where the reply names it; absent or empty on the last page.",
            POINTER,
            "/paging/next",
        ),
        Field::required("query", "The parameter that takes it.", Shape::Text(&format::TEXT), "cursor"),
    ],
);

static BODY_TEXT: MapShape = MapShape::new(
    "a body of text",
    &[
        Field::required("type", "Its content type.", Shape::Text(&format::TEXT), "application/xml"),
        Field::required("text", "The text.", Shape::Text(&format::SETTING), "<id>{customer}</id>"),
        Field::optional(
            "escape",
            "How identifiers are put in; as they are by default.",
            Shape::Words(&[
                Word { word: "xml", doc: "with XML's entities" },
                Word { word: "json", doc: "as inside of a JSON text" },
            ]),
            "xml",
        ),
    ],
);

static FILE_UPLOAD: MapShape = MapShape::new(
    "an upload of a file",
    &[
        Field::required("field", "The form's field.", Shape::Text(&format::TEXT), "file"),
        Field::required("name", "The file's name.", Shape::Text(&format::TEXT), "ids.csv"),
        Field::optional("type", "Its content type; `text/csv` by default.", Shape::Text(&format::TEXT), "text/plain"),
        Field::optional("head", "The first line.", Shape::Text(&format::SETTING), "email"),
        Field::required("line", "The line of one person.", Shape::Text(&format::SETTING), "{email|trim|lower|sha256}"),
        Field::optional("form", "Further fields of the form.", TEXTS, "{action: REMOVE}"),
    ],
);

static TEST: MapShape = MapShape::new(
    "a test of a reply",
    &[
        Field::required("pointer", "Where to look, as a JSON pointer (RFC 6901).", POINTER, "/status"),
        Field::optional("is", "One of these must stand there.", VALUES, "[deleted]"),
        Field::optional("is_not", "Something else than these must stand there.", VALUES, "[failed]"),
        Field::optional("absent", "`true`: nothing stands there; `false`: something does.", Shape::Boolean, "true"),
        Field::optional(
            "empty",
            "`true`: nothing, null, or an empty text, list or map stands there; `false`: something else.",
            Shape::Boolean,
            "false",
        ),
        Field::optional(
            "equals",
            "This text must stand there, or a number that reads so.",
            Shape::Text(&format::SETTING),
            "\"{email}\"",
        ),
        Field::optional("at_least", "A number that is not less must stand there.", Shape::Number(ANY), "1"),
        Field::optional("at_most", "A number that is not more must stand there.", Shape::Number(ANY), "0"),
    ],
)
.count(2, 2);

const VALUES: Shape = Shape::List {
    item: &Shape::Either(&[Shape::Boolean, Shape::Number(ANY), Shape::Null, Shape::Text(&format::TEXT)]),
    least: 1,
    unique: true,
};

static POLL: MapShape = MapShape::new(
    "a poll of an `http` recipient",
    &[
        Field::optional("method", "The HTTP method; GET by default.", METHOD, "POST"),
        Field::required("path", "From the base URL.", Shape::Text(&format::SETTING), "/v1/jobs/{ticket}"),
        QUERY,
        HEADERS,
        JSON,
        FORM,
        LIST,
        Field::optional(
            "where",
            "Which entry of `list` is the ticket's: the one that holds all of these.",
            TESTS,
            "{pointer: /id, equals: \"{ticket}\"}",
        ),
        Field::required(
            "done",
            "The data are gone if the reply, or the entry, holds all of these.",
            TESTS,
            "{pointer: /status, is: [done]}",
        ),
        Field::optional(
            "failed",
            "The request was refused if the reply, or the entry, holds one of these.",
            TESTS,
            "{pointer: /status, is: [failed]}",
        ),
        Field::optional("every", "Between two looks; `10 min` by default.", Shape::Text(&format::DURATION), "10 min"),
    ],
)
.groups(&[&[], &["json"], &["form"]]);

static AUTH: MapShape = MapShape::new(
    "credentials of an `http` recipient",
    &[
        Field::optional(
            "bearer",
            "A token in the header `Authorization`.",
            Shape::Text(&format::KEY),
            "\"${CRM_TOKEN}\"",
        ),
        Field::optional(
            "basic",
            "User and password.",
            Shape::Map(&BASIC),
            "{user: sunset, password: \"${CRM_PASSWORD}\"}",
        ),
        Field::optional(
            "header",
            "A key in a header of its own.",
            Shape::Map(&HEADER),
            "{name: X-Api-Key, value: \"${CRM_KEY}\"}",
        ),
        Field::optional(
            "oauth",
            "A token that is fetched: by client credentials, or by a refresh token.",
            Shape::Map(&OAUTH),
            "{token_url: /oauth/token, …}",
        ),
        Field::optional(
            "jwt",
            "A token that is fetched with a signed assertion (RFC 7523).",
            Shape::Map(&JWT),
            "{token_url: /oauth/token, issuer: sunset, key: \"${CRM_PRIVATE_KEY}\"}",
        ),
        Field::optional(
            "signature",
            "Each request is signed with HMAC-SHA-256.",
            Shape::Map(&SIGNATURE),
            "{header: X-Signature, key: \"${CRM_KEY}\", text: \"{method}\\n{target}\\n{body}\"}",
        ),
    ],
)
.count(1, 1);

static BASIC: MapShape = MapShape::new(
    "user and password",
    &[
        Field::required("user", "The user.", Shape::Text(&format::SETTING), "sunset"),
        Field::required("password", "The password.", Shape::Text(&format::KEY), "\"${CRM_PASSWORD}\""),
    ],
);

static HEADER: MapShape = MapShape::new(
    "a header with a key",
    &[
        Field::required("name", "The header.", Shape::Text(&format::TEXT), "X-Api-Key"),
        Field::required("value", "The key.", Shape::Text(&format::KEY), "\"${CRM_KEY}\""),
        Field::optional("prefix", "What stands before the key.", Shape::Text(&format::TEXT), "Klaviyo-API-Key "),
    ],
);

static OAUTH: MapShape = MapShape::new(
    "an OAuth token",
    &[
        Field::required(
            "token_url",
            "Absolute, or a path from the base URL.",
            Shape::Text(&format::SETTING),
            "/oauth/token",
        ),
        Field::required("client_id", "Of the client.", Shape::Text(&format::SETTING), "sunset"),
        Field::required("client_secret", "Of the client.", Shape::Text(&format::KEY), "\"${CRM_SECRET}\""),
        Field::optional(
            "refresh_token",
            "Asks with this instead of with the client's credentials alone.",
            Shape::Text(&format::KEY),
            "\"${CRM_REFRESH_TOKEN}\"",
        ),
        Field::optional(
            "in_form",
            "The client's credentials stand in the form, not in a header.",
            Shape::Boolean,
            "true",
        ),
        Field::optional("scope", "What is asked for.", Shape::Text(&format::SETTING), "people.delete"),
    ],
);

static JWT: MapShape = MapShape::new(
    "an OAuth token by assertion",
    &[
        Field::required(
            "token_url",
            "Absolute, or a path from the base URL.",
            Shape::Text(&format::SETTING),
            "/oauth/token",
        ),
        Field::required("issuer", "Who asks (`iss`).", Shape::Text(&format::SETTING), "sunset"),
        Field::optional("subject", "For whom (`sub`).", Shape::Text(&format::SETTING), "admin@example.com"),
        Field::optional(
            "audience",
            "Whom it is for (`aud`); the token's URL by default.",
            Shape::Text(&format::SETTING),
            "https://login.example.com",
        ),
        Field::optional("scope", "What is asked for.", Shape::Text(&format::SETTING), "people.delete"),
        Field::optional("key_id", "The key's name (`kid`).", Shape::Text(&format::SETTING), "abc123"),
        Field::required(
            "key",
            "The RSA private key, in PEM (PKCS #8); it signs with RS256.",
            Shape::Text(&format::KEY),
            "\"${file:keys/crm.pem}\"",
        ),
    ],
);

static SIGNATURE: MapShape = MapShape::new(
    "a signature over each request",
    &[
        Field::required("header", "The header that takes it.", Shape::Text(&format::TEXT), "X-Signature"),
        Field::required("key", "The key.", Shape::Text(&format::KEY), "\"${CRM_KEY}\""),
        Field::required(
            "text",
            "What is signed: `{method}`, `{target}` (path and query), `{body}`, `{body_sha256}`, `{time}` (seconds since 1970).",
            Shape::Text(&format::SETTING),
            "\"{method}\\n{target}\\n{body}\"",
        ),
        Field::optional("prefix", "What stands before the signature.", Shape::Text(&format::TEXT), "sha256="),
        Field::optional("time_header", "The header that takes the time.", Shape::Text(&format::TEXT), "X-Timestamp"),
        Field::optional(
            "encoding",
            "How the signature is written; `hex` by default.",
            Shape::Words(&[
                Word { word: "hex", doc: "small hexadecimal digits" },
                Word { word: "base64", doc: "Base 64" },
            ]),
            "base64",
        ),
    ],
);
