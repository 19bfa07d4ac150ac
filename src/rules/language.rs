//! The language of rule files: every key, what it means, and what may stand there.

use crate::{
    diagnostic::Code,
    language::{
        format,
        shape::{Bounds, Field, MapShape, Shape, Word},
    },
};

mod aggregate;
mod assertion;
mod k_anonymity;

/// A file of `rules/`.
pub static RULE_FILE: Shape = Shape::Map(&CATEGORY);

pub(crate) const fn at_least(least: f64, code: Code) -> Bounds {
    Bounds { least: Some(least), most: None, above: false, code }
}

pub(crate) const fn within(least: f64, most: f64, code: Code) -> Bounds {
    Bounds { most: Some(most), ..at_least(least, code) }
}

pub(crate) const TEXT: Shape = Shape::Text(&format::TEXT);
pub(crate) const PERIOD: Shape = Shape::Text(&format::PERIOD);
const ANY_NUMBER: Bounds = Bounds { least: None, most: None, above: false, code: Code::BadTechnique };

static CATEGORY: MapShape = MapShape::new(
    "a rule file",
    &[
        Field::required(
            "category",
            "The data category's id, unique in the job.",
            Shape::Text(&format::NAME),
            "customer_core",
        ),
        Field::optional(
            "title",
            "What people call it: a text (English), or one per language.",
            Shape::Either(&[TEXT, Shape::Named { key: &format::LANGUAGE, value: &TEXT }]),
            "{en: Contract holders, ja: 契約者情報}",
        ),
        Field::optional("owner", "Who answers for the category.", TEXT, "privacy@example.com"),
        Field::optional(
            "data_categories",
            "What sorts of data it holds, as keys of the fideslang taxonomy.",
            Shape::List { item: &Shape::Text(&format::DATA_CATEGORY), least: 1, unique: true },
            "[user.name, user.contact.email]",
        ),
        Field::optional(
            "rules",
            "One for each table that the category lives in.",
            Shape::List { item: &Shape::Map(&RULE), least: 1, unique: false },
            "[{id: lapsed-customers, …}]",
        ),
        Field::optional(
            "assertions",
            "What has to hold and no rule can bring about (see [assertions.md](assertions.md)).",
            Shape::List { item: &Shape::Map(&assertion::ASSERTION), least: 1, unique: false },
            "[{id: no-card-numbers, …}]",
        ),
    ],
)
.groups(&[&["rules"], &["assertions"], &["rules", "assertions"]]);

static RULE: MapShape = MapShape::new(
    "a rule",
    &[
        Field::required(
            "id",
            "Unique in the job; stands in plans, reports and the ledger.",
            Shape::Text(&format::NAME),
            "lapsed-customers",
        ),
        Field::optional("purpose", "What the data was collected for.", TEXT, "contract management"),
        Field::optional(
            "legal_basis",
            "Why it is kept that long, for the reader of a report.",
            TEXT,
            "Civil Code Art. 166 (claims lapse after 5 years)",
        ),
        Field::required(
            "table",
            "`database.table`, or `database.schema.table`; the database's name is the one in `sunset.yaml`.",
            Shape::Text(&format::TABLE),
            "core.customers",
        ),
        Field::optional(
            "covers",
            "Which rows, where other tables inherit from the table (PostgreSQL). Without it such a rule is refused.",
            Shape::Words(COVERS),
            "only",
        ),
        Field::required(
            "starting_point",
            "When a row's time begins: a column of the table, or more about it.",
            Shape::Either(&[Shape::Text(&format::COLUMN), Shape::Map(&STARTING_POINT)]),
            "contract_ended_on",
        ),
        Field::required(
            "retention_period",
            "How long a row must be kept. It is due when this is over.",
            Shape::Either(&[PERIOD, Shape::Map(&PERIOD_CHOICE)]),
            "5 years",
        ),
        Field::optional(
            "regular_deletion_period",
            "By when a row must be gone. It is overdue when this is over. Never shorter than the retention period.",
            Shape::Either(&[PERIOD, Shape::Map(&PERIOD_CHOICE)]),
            "5 years 3 months",
        ),
        Field::optional(
            "where",
            "Only these rows: a map of columns and values that all hold, or one boolean SQL expression. `column: [a, b]` \
             means one of them, `column: null` no value.",
            WHERE,
            "{status: [closed, cancelled]}",
        ),
        Field::required("disposition", "What becomes of a row that is due.", Shape::Words(DISPOSITIONS), "anonymize"),
        Field::optional(
            "columns",
            "What becomes of each column (`anonymize`, `pseudonymize`), or the names of the columns that become null \
             (`unlink`). `erase` has none.",
            Shape::Either(&[
                Shape::Named { key: &format::COLUMN, value: &TECHNIQUE },
                Shape::List { item: &Shape::Text(&format::COLUMN), least: 1, unique: true },
            ]),
            "{full_name: suppress, birth_date: {generalize: year}}",
        ),
        Field::optional(
            "marker",
            "The column that tells a row already done. Needed by `hash` and \
             `tokenize`, which would otherwise be done again every night.",
            Shape::Text(&format::COLUMN),
            "pseudonymized_at",
        ),
        k_anonymity::K_ANONYMITY,
        Field::optional(
            "dependents",
            "What becomes of the rows that reference a disposed row. Every foreign key that points here must be named: by its \
             table, or where several lead from there to rows that the rule changes, each by its columns. `keep` by table holds \
             for all of them.",
            Shape::Named {
                key: &format::TABLE,
                value: &Shape::Either(&[
                    Shape::Words(DEPENDENTS),
                    Shape::Map(&DEPENDENT),
                    Shape::List { item: &Shape::Map(&DEPENDENT_BY_KEY), least: 1, unique: true },
                ]),
            },
            "{core.addresses: erase, core.orders: keep}",
        ),
        Field::optional(
            "recipients",
            "Third parties that got a copy and delete it before the row changes: by their names in `sunset.yaml`, the columns \
             that hold their identifiers.",
            RECIPIENTS,
            "[{stripe: {customer: stripe_customer_id, require: E1, deadline: 30 days}}]",
        ),
        Field::optional(
            "limits",
            "Guard rails: over one of them nothing is touched; they bind the run too, whatever has become due since it was \
             planned.",
            Shape::Map(&LIMITS),
            "{max_rows: 50000, max_share: 5%}",
        ),
        Field::optional(
            "partitions",
            "What becomes of a partition that lies wholly before the cut-off and of which every row is to go (`erase` only).",
            Shape::Words(PARTITIONS),
            "drop",
        ),
        Field::optional(
            "after",
            "What is done about the bytes of rows that went, once they did; nothing by default. docs/erasure.md has what \
             is left where, and until when.",
            Shape::Words(AFTER),
            "vacuum",
        ),
        Field::optional(
            "aggregate",
            "What is kept of the rows: totals of groups, in a table of their own, written in the transaction that erases the \
             rows (`erase` only; see [aggregate.md](aggregate.md)).",
            Shape::Map(&aggregate::AGGREGATE),
            "{into: core.usage_monthly, by: {month: {month: used_on}}, …}",
        ),
        Field::optional("evidence", "What the ledger keeps of the rows that went.", Shape::Words(EVIDENCE), "rows"),
        Field::optional(
            "schedule",
            "When to run it, as a five-field cron expression; the job's by default.",
            Shape::Text(&format::SCHEDULE),
            "30 2 * * *",
        ),
        Field::optional(
            "on_request",
            "What becomes of rows whose person asks for erasure before they are due (see [requests.md](requests.md)): a word, or \
             more about it.",
            Shape::Either(&[Shape::Words(ACTS), Shape::Map(&ON_REQUEST)]),
            "now",
        ),
        Field::optional(
            "tags",
            "Words to choose rules by: `sunset run --tag nightly`.",
            Shape::List { item: &Shape::Text(&format::NAME), least: 1, unique: true },
            "[nightly, heavy]",
        ),
    ],
);

static ACTS: &[Word] = &[
    word(
        "now",
        "They go with the next run that an approved request is part of. What must outlive them says so itself.",
    ),
    word("when_due", "They wait for their day: the retention period is a duty to keep. The default."),
];

static REQUEST_KINDS: &[Word] = &[
    word("erasure", "A person asks that their data be erased. The default."),
    word("cease", "A person asks that their data not be used any more."),
];

static ON_REQUEST: MapShape = MapShape::new(
    "`on_request`",
    &[
        Field::required("act", "When they go.", Shape::Words(ACTS), "now"),
        Field::optional(
            "where",
            "Only rows of the rule that meet this condition as well go now; the others wait for their day.",
            WHERE,
            "{balance: 0}",
        ),
        Field::optional(
            "kinds",
            "The kinds of requests that they go on.",
            Shape::List { item: &Shape::Words(REQUEST_KINDS), least: 1, unique: true },
            "[erasure, cease]",
        ),
        Field::optional(
            "reason",
            "Why rows stay, or may go: it is what the person is told. A text (English), or one per language.",
            Shape::Either(&[TEXT, Shape::Named { key: &format::LANGUAGE, value: &TEXT }]),
            "{en: Books are kept for ten years (Companies Act), ja: 会計帳簿は10年間保存します(会社法432条)}",
        ),
    ],
);

/// Which rows: `where`.
pub const WHERE: Shape = Shape::Either(&[
    Shape::Text(&format::CONDITION),
    Shape::Named {
        key: &format::COLUMN,
        value: &Shape::Either(&[VALUE, NUMBER, Shape::Boolean, Shape::Null, VALUES, Shape::Map(&COMPARISON)]),
    },
]);

static PARTITIONS: &[Word] = &[
    word("rows", "Its rows go one by one, as everywhere. The default."),
    word(
        "drop",
        "It is removed with all its rows at once. That changes the schema, takes more than the right to delete rows, and \
         fires no trigger; see docs/partitions.md.",
    ),
    word("truncate", "It is emptied at once, and stays for new rows."),
];

static AFTER: &[Word] = &[
    word(
        "vacuum",
        "The engine's own cleaning, which stops nobody: `vacuum (analyze)` on PostgreSQL; on MariaDB and MySQL, waiting for \
         purge; on SQLite, `incremental_vacuum` and a checkpoint that truncates the write-ahead log.",
    ),
    word(
        "rewrite",
        "The table is written anew without them: `vacuum (full, analyze)`, which locks it for as long as it takes; `optimize \
         table`; `vacuum` and a checkpoint.",
    ),
];

static EVIDENCE: &[Word] = &[
    word(
        "rows",
        "A keyed tag of each row: `sunset ledger prove` can tell of any row whether it was disposed of. The default.",
    ),
    word("counts", "How many rows each batch had, and nothing of any row: no row can be proven by itself."),
];

static STARTING_POINT: MapShape = MapShape::new(
    "a starting point",
    &[
        Field::optional("column",
            "A date, a timestamp with or without zone, or a number or text (see `as`).",
            Shape::Text(&format::COLUMN),
            "contract_ended_on",
        ),
        Field::optional("latest",
            "The latest value among the related rows of another table. A related row without a value means that the time \
             has not begun.",
            Shape::Text(&format::RELATED_COLUMN),
            "core.orders.delivered_on",
        ),
        Field::optional("earliest",
            "The earliest value among the related rows of another table.",
            Shape::Text(&format::RELATED_COLUMN),
            "core.orders.ordered_on",
        ),
        Field::optional("through", "The other table's column that references this table.", Shape::Text(&format::COLUMN), "customer_id"),
        Field::optional("event", "What happened then, in words, for reports.", TEXT, "contract ended"),
        Field::optional("as", "How the column holds time, where its type does not tell.", Shape::Words(ENCODINGS), "epoch_seconds"),
        Field::optional("zero", "What 0 means in a column that counts time from 1970.", Shape::Words(ZEROS), "epoch"),
        Field::optional("zone", "The zone of times without one; the job's by default.", Shape::Text(&format::TIME_ZONE), "Asia/Tokyo"),
        Field::optional("counted_from",
            "From which day on the period runs; by default the day itself.",
            Shape::Either(&[Shape::Words(ANCHORS), Shape::Map(&COUNTED_FROM)]),
            "{fiscal_year_end: 03-31, plus: 2 months}",
        ),
        Field::optional("missing", "What is done with rows that have no starting point.", Shape::Words(MISSING), "report"),
    ],
)
.groups(&[&["column"], &["latest", "through"], &["earliest", "through"]]);

static COUNTED_FROM: MapShape = MapShape::new(
    "`counted_from`",
    &[
        Field::optional("calendar_year_end", "31 December of the year that the day lies in.", Shape::True, "true"),
        Field::optional("month_end", "The last day of the month that the day lies in.", Shape::True, "true"),
        Field::optional("fiscal_year_end",
            "The last day of the fiscal year that the day lies in, as `MM-DD` or a parameter of `sunset.yaml`. 02-28 and 02-29 both mean February's last day.",
            Shape::Text(&format::FISCAL_YEAR_END),
            "03-31",
        ),
        Field::optional("plus", "A period on top.", PERIOD, "2 months"),
    ],
)
.groups(&[&[], &["calendar_year_end"], &["month_end"], &["fiscal_year_end"]]);

static PERIOD_CHOICE: MapShape = MapShape::new(
    "a choice of periods",
    &[
        Field::required("default", "Where no switch is on.", PERIOD, "7 years"),
        Field::required(
            "when",
            "Other periods, each while a switch is on; the first one that is on wins.",
            Shape::List { item: &Shape::Map(&PERIOD_WHEN), least: 1, unique: false },
            "[{if: data_sim_law, use: 10 years}]",
        ),
    ],
);

static PERIOD_WHEN: MapShape = MapShape::new(
    "a switched period",
    &[
        Field::required(
            "if",
            "A parameter of `sunset.yaml` that is true, or fiscal years.",
            Shape::Either(&[Shape::Text(&format::NAME), Shape::Map(&SWITCH)]),
            "data_sim_law",
        ),
        Field::required("use", "The period in that case.", PERIOD, "10 years"),
    ],
);

static SWITCH: MapShape = MapShape::new(
    "a switch",
    &[Field::required(
        "fiscal_year_ending_in",
        "The starting point lies in a fiscal year whose last day this parameter lists.",
        Shape::Text(&format::NAME),
        "loss_fiscal_years",
    )],
);

const VALUE: Shape = Shape::Text(&format::VALUE);
const NUMBER: Shape = Shape::Number(ANY_NUMBER);
const VALUES: Shape =
    Shape::List { item: &Shape::Either(&[VALUE, NUMBER, Shape::Boolean, Shape::Null]), least: 1, unique: false };
const ORDERED: Shape = Shape::Either(&[VALUE, NUMBER]);

static COMPARISON: MapShape = MapShape::new(
    "a comparison",
    &[
        Field::optional(
            "not",
            "None of these values; rows without a value are not among them. `not: null` means that there is a value.",
            Shape::Either(&[VALUE, NUMBER, Shape::Boolean, Shape::Null, VALUES]),
            "[open, disputed]",
        ),
        Field::optional("less_than", "Below this number or text.", ORDERED, "100"),
        Field::optional("at_most", "Not above this number or text.", ORDERED, "100"),
        Field::optional("more_than", "Above this number or text.", ORDERED, "0"),
        Field::optional("at_least", "Not below this number or text.", ORDERED, "1"),
    ],
)
.count(1, usize::MAX);

pub(crate) const fn word(word: &'static str, doc: &'static str) -> Word {
    Word { word, doc }
}

static DISPOSITIONS: &[Word] = &[
    word("erase", "The row goes."),
    word("anonymize", "The row stays and no longer relates to a person."),
    word("pseudonymize", "The row stays; whoever has the key can relate it."),
    word("unlink", "The row stays and its link to a person goes: the named columns become null."),
];

static COVERS: &[Word] = &[
    word("only", "The rows of the table itself."),
    word(
        "tree",
        "The rows of all tables that inherit from it, too. The foreign keys of all of them are named under `dependents`, and \
         kept: a key's value does not tell which of the tables holds the row.",
    ),
];

static DEPENDENTS: &[Word] = &[
    word("erase", "They go in the same transaction."),
    word("keep", "They stay; with `erase`, the referenced row waits until none is left."),
    word("unlink", "Their referencing columns become null."),
];

const KEY: Shape = Shape::Either(&[
    Shape::Text(&format::COLUMN),
    Shape::List { item: &Shape::Text(&format::COLUMN), least: 1, unique: true },
]);
const BY: Field = Field::optional(
    "by",
    "The foreign key that is meant: its column, its columns, or its name. A row goes along by this key alone.",
    KEY,
    "buyer_id",
);
const ERASE: Field = Field::optional("erase", "They go in the same transaction.", Shape::True, "true");
const KEEP: Field = Field::optional(
    "keep",
    "They stay; with `erase`, the referenced row waits until none is left.",
    Shape::True,
    "true",
);
const UNLINK: Field = Field::optional("unlink", "Their referencing columns become null.", Shape::True, "true");
const ANONYMIZE: Field = Field::optional(
    "anonymize",
    "These columns of theirs are anonymized in the same transaction.",
    Shape::Named { key: &format::COLUMN, value: &TECHNIQUE },
    "{recipient_name: suppress}",
);
const RULES: Shape = Shape::List { item: &Shape::Text(&format::NAME), least: 1, unique: true };
const OVERRIDES: Field = Field::optional(
    "overrides",
    "Rules of that table which may keep its rows for longer: here they go all the same. Without it such a rule refuses the \
     plan.",
    RULES,
    "[invoices]",
);
const FATES: &[&[&str]] = &[&["erase"], &["keep"], &["unlink"], &["anonymize"]];

static DEPENDENT: MapShape =
    MapShape::new("a dependent", &[BY, ERASE, KEEP, UNLINK, ANONYMIZE, OVERRIDES]).groups(FATES);

/// One of several keys that lead from a table.
static DEPENDENT_BY_KEY: MapShape = MapShape::new(
    "a dependent by its key",
    &[Field { required: true, ..BY }, ERASE, KEEP, UNLINK, ANONYMIZE, OVERRIDES],
)
.groups(FATES);

static ENCODINGS: &[Word] = &[
    word("epoch_seconds", "Seconds since 1970-01-01T00:00:00Z."),
    word("epoch_milliseconds", "Milliseconds since 1970-01-01T00:00:00Z."),
    word("iso_text", "`2026-11-22`, `2026-11-22 02:30:00` or `2026-11-22T02:30:00`, in the starting point's zone."),
    word("iso_text_with_offset", "The same with `Z` or an offset such as `+09:00`."),
];

static ANCHORS: &[Word] = &[
    word("calendar_year_end", "31 December of the year that the day lies in."),
    word("month_end", "The last day of the month that the day lies in."),
];

static ZEROS: &[Word] = &[
    word("never", "The row has no starting point, as with null. The default."),
    word("epoch", "The moment 1970-01-01T00:00:00Z."),
];

static MISSING: &[Word] = &[
    word("report", "They stay, and are counted and named in plan and report. The default."),
    word("ignore", "They stay, uncounted."),
    word("due", "They are due at once."),
];

static TECHNIQUE: Shape = Shape::Either(&[Shape::Words(BARE_TECHNIQUES), Shape::Map(&TECHNIQUES)]);

static BARE_TECHNIQUES: &[Word] = &[
    word("suppress", "Null."),
    word("mask", "Stars in place of all characters."),
    word("hash", "A keyed hash (HMAC-SHA-256) in hexadecimal. Pseudonymization only; needs a `marker`."),
    word("tokenize", "A token of 16 hexadecimal characters. Pseudonymization only; needs a `marker`."),
];

static TECHNIQUES: MapShape = MapShape::new(
    "a technique",
    &[
        Field::optional("replace",
            "A constant text; `{key}` in it stands for the row's primary key.",
            Shape::Text(&format::TEMPLATE),
            "\"erased-{key}@invalid.example\"",
        ),
        Field::optional("mask", "Stars in place of all characters but some.", Shape::Map(&MASK), "{keep_first: 3}"),
        Field::optional("generalize",
            "A coarser value.",
            Shape::Either(&[Shape::Words(GENERALIZED), Shape::Map(&GENERALIZE)]),
            "year",
        ),
        Field::optional("truncate",
            "The first so many characters only.",
            Shape::Integer(within(1.0, 65_535.0, Code::BadTechnique)),
            "10",
        ),
        Field::optional("top_code", "Numbers above become this one.", Shape::Number(ANY_NUMBER), "90"),
        Field::optional("bottom_code", "Numbers below become this one.", Shape::Number(ANY_NUMBER), "0"),
        Field::optional("tokenize",
            "A token of a fixed form, from a keyed hash. Pseudonymization only; needs a `marker`.",
            Shape::Map(&TOKENIZE),
            "{prefix: cus_, length: 16}",
        ),
        Field::optional("copy",
            "The value of another column of the row, or of related rows, is kept in this column, which is not in use for \
             anything else: for a rule that counts from it later. It removes nothing: what it is copied from becomes of \
             another technique, in the same transaction. Where there is no value, the column keeps its own. See \
             [rules-together.md](rules-together.md).",
            Shape::Either(&[Shape::Text(&format::COLUMN), Shape::Map(&COPIED)]),
            "contract_ended_on",
        ),
    ],
)
.count(1, 1);

static COPIED: MapShape = MapShape::new(
    "a copy",
    &[
        Field::optional(
            "latest",
            "The latest value among the related rows of another table; none while one of these has none.",
            Shape::Text(&format::RELATED_COLUMN),
            "core.customers.ended_on",
        ),
        Field::optional(
            "earliest",
            "The earliest value among the related rows of another table.",
            Shape::Text(&format::RELATED_COLUMN),
            "core.orders.ordered_on",
        ),
        Field::required(
            "through",
            "The column that leads to these rows, as in a starting point.",
            Shape::Text(&format::COLUMN),
            "customer_id",
        ),
    ],
)
.groups(&[&["latest", "through"], &["earliest", "through"]]);

static MASK: MapShape = MapShape::new(
    "a mask",
    &[
        Field::optional(
            "keep_first",
            "So many first characters stay.",
            Shape::Integer(within(0.0, 65_535.0, Code::BadTechnique)),
            "3",
        ),
        Field::optional(
            "keep_last",
            "So many last characters stay.",
            Shape::Integer(within(0.0, 65_535.0, Code::BadTechnique)),
            "0",
        ),
    ],
);

static GENERALIZED: &[Word] = &[
    word("month", "Dates: the month's first day."),
    word("year", "Dates: the year's first day."),
    word("decade", "Dates: the first day of the decade."),
];

static GENERALIZE: MapShape = MapShape::new(
    "a generalization",
    &[
        Field::optional(
            "bucket",
            "Numbers: the greatest multiple of this one that is not above.",
            Shape::Number(Bounds { above: true, ..at_least(0.0, Code::BadTechnique) }),
            "10",
        ),
        Field::optional(
            "ip_prefix",
            "IP addresses: so many leading bits stay.",
            Shape::Map(&IP_PREFIX),
            "{v4: 24, v6: 48}",
        ),
        Field::optional(
            "postal_code",
            "Postal codes: so many leading characters stay.",
            Shape::Integer(within(1.0, 16.0, Code::BadTechnique)),
            "3",
        ),
    ],
)
.count(1, 1);

static IP_PREFIX: MapShape = MapShape::new(
    "a prefix",
    &[
        Field::required("v4", "Bits of an IPv4 address.", Shape::Integer(within(0.0, 32.0, Code::BadTechnique)), "24"),
        Field::required("v6", "Bits of an IPv6 address.", Shape::Integer(within(0.0, 128.0, Code::BadTechnique)), "48"),
    ],
);

static TOKENIZE: MapShape = MapShape::new(
    "a token",
    &[
        Field::optional("prefix", "What every token begins with.", TEXT, "cus_"),
        Field::optional(
            "length",
            "Hexadecimal characters after the prefix; 16 by default.",
            Shape::Integer(within(8.0, 64.0, Code::BadTechnique)),
            "16",
        ),
    ],
);

const RECIPIENTS: Shape = Shape::List {
    item: &Shape::Named { key: &format::NAME, value: &Shape::Map(&RULE_RECIPIENT) },
    least: 1,
    unique: false,
};

static RULE_RECIPIENT: MapShape = MapShape::new(
    "a rule's recipient",
    &[
        Field::optional("require",
            "The evidence that it must give before the row changes; the best that it can by default. A better grade is as \
             good.",
            Shape::Words(GRADES),
            "E1",
        ),
        Field::optional("deadline",
            "How long after it was first asked the recipient may take; then the row is shown as past its deadline.",
            PERIOD,
            "30 days",
        ),
        Field::optional("shared",
            "What to do where another row, which stays, has the same identifier; `wait` by default.",
            Shape::Words(SHARED),
            "ask",
        ),
    ],
)
.rest(&format::IDENTIFIER, &Shape::Text(&format::COLUMN));

const SHARED: &[Word] = &[
    Word { word: "wait", doc: "ask when the last row that has the identifier goes" },
    Word { word: "ask", doc: "ask all the same: the row that stays does without the copy" },
];

const GRADES: &[Word] = &[
    Word { word: "E1", doc: "its system reports that the data are gone" },
    Word { word: "E2", doc: "it has accepted the request" },
    Word { word: "E3", doc: "a person has confirmed it in writing" },
    Word { word: "E4", doc: "a notice was sent, without an answer" },
    Word { word: "E5", doc: "it holds nothing that a request could name" },
];

pub(crate) static LIMITS: MapShape = MapShape::new(
    "limits",
    &[
        Field::optional(
            "max_rows",
            "Not more rows than this.",
            Shape::Integer(within(1.0, 9_007_199_254_740_991.0, Code::BadLimit)),
            "50000",
        ),
        Field::optional(
            "max_share",
            "Not more than this share of the table's rows. Where neither it nor `max_rows` is set, a rule that has not \
             disposed of anything yet may take 80 % of a table of 100,000 rows or more; `run --plan` with a reviewed plan may \
             take what was reviewed.",
            Shape::Text(&format::SHARE),
            "5%",
        ),
        Field::optional(
            "lost_starts",
            "So many rows may have no starting point any more that had one at the rule's last run, such as contracts that go \
             on after all; 0 by default. With more of them the rule fails, after its work, until somebody has looked and says \
             here how many are all right. On tables of up to a million rows.",
            Shape::Integer(within(0.0, 9_007_199_254_740_991.0, Code::BadLimit)),
            "20",
        ),
    ],
);
