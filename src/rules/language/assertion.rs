//! The words of assertions.

use super::{PERIOD, TEXT, WHERE, within};
use crate::{
    diagnostic::Code,
    language::{
        format,
        shape::{Field, MapShape, Shape},
    },
};

pub(super) static ASSERTION: MapShape = MapShape::new(
    "an assertion",
    &[
        Field::required(
            "id",
            "Unique among the job's rules and assertions; stands in plans, reports and the ledger.",
            Shape::Text(&format::NAME),
            "no-card-numbers",
        ),
        Field::required("statement", "What holds, in words.", TEXT, "Google Analytics keeps event data for two months"),
        Field::optional(
            "legal_basis",
            "Why it has to hold, for the reader of a report.",
            TEXT,
            "PCI DSS v4.0.1 requirement 3.2.1",
        ),
        Field::optional(
            "no_rows",
            "A table has no such row.",
            Shape::Map(&NO_ROWS),
            "{table: core.orders, where: {card_number: {not: null}}}",
        ),
        Field::optional(
            "no_card_numbers",
            "The columns of a database hold no card numbers.",
            Shape::Map(&NO_CARD_NUMBERS),
            "{database: core}",
        ),
        Field::optional(
            "retention_at",
            "A recipient keeps data no longer, by its own settings (`google_analytics`).",
            Shape::Map(&RETENTION_AT),
            "{recipient: google_analytics, at_most: 2 months}",
        ),
        Field::optional(
            "attested_every",
            "A person says that it holds (`sunset attest`), and says it again before this is over.",
            PERIOD,
            "3 months",
        ),
    ],
)
.groups(&[&["no_rows"], &["no_card_numbers"], &["retention_at"], &["attested_every"]]);

static NO_ROWS: MapShape = MapShape::new(
    "`no_rows`",
    &[
        Field::required(
            "table",
            "`database.table`, or `database.schema.table`.",
            Shape::Text(&format::TABLE),
            "core.backups",
        ),
        Field::optional("where", "Such rows, written as a rule's `where`.", WHERE, "{deleted: false}"),
        Field::optional(
            "older_than",
            "Of these, those whose date or timestamp lies so far back.",
            Shape::Named { key: &format::COLUMN, value: &PERIOD },
            "{taken_on: 35 days}",
        ),
    ],
)
.groups(&[&["where"], &["older_than"], &["where", "older_than"]]);

static RETENTION_AT: MapShape = MapShape::new(
    "`retention_at`",
    &[
        Field::required("recipient", "Its name in `sunset.yaml`.", Shape::Text(&format::NAME), "google_analytics"),
        Field::required("at_most", "No kind of data is kept for longer.", PERIOD, "2 months"),
    ],
);

static NO_CARD_NUMBERS: MapShape = MapShape::new(
    "`no_card_numbers`",
    &[
        Field::required("database", "Its name in `sunset.yaml`.", Shape::Text(&format::NAME), "core"),
        Field::optional(
            "tables",
            "Only these tables; all that hold rows by default.",
            Shape::List { item: &Shape::Text(&format::TABLE), least: 1, unique: true },
            "[core.inquiries]",
        ),
        Field::optional(
            "except",
            "Columns whose numbers only look like those of cards.",
            Shape::List { item: &Shape::Text(&format::RELATED_COLUMN), least: 1, unique: true },
            "[core.parcels.tracking_number]",
        ),
        Field::optional(
            "rows",
            "Of each table so many rows at most, the highest keys first; 100000 by default.",
            Shape::Integer(within(1.0, 1_000_000_000.0, Code::BadLimit)),
            "100000",
        ),
        Field::optional(
            "time",
            "For all tables together; then it ends, and says what it did not see. `1 min` by default.",
            Shape::Text(&format::DURATION),
            "1 min",
        ),
    ],
);
