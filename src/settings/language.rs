//! The language of `sunset.yaml`: every key, what it means, and what may stand there.

use crate::{
    diagnostic::Code,
    language::{
        format,
        shape::{Bounds, Field, MapShape, Shape, Word},
    },
    recipients::language::RECIPIENT,
    rules::language::{LIMITS, PERIOD, TEXT, within, word},
};

mod anchor;
mod subject;

/// `sunset.yaml`.
pub static SETTINGS: Shape = Shape::Map(&JOB);

static JOB: MapShape = MapShape::new(
    "sunset.yaml",
    &[
        Field::optional(
            "name",
            "The job's name, which the ledger and the locks carry; by default that of the directory.",
            Shape::Text(&format::JOB_NAME),
            "demo",
        ),
        Field::required(
            "time_zone",
            "The zone whose calendar decides when a day is over.",
            Shape::Text(&format::TIME_ZONE),
            "Asia/Tokyo",
        ),
        Field::required(
            "databases",
            "By the names that rules use: the URL, or more about it.",
            Shape::Named {
                key: &format::NAME,
                value: &Shape::Either(&[Shape::Text(&format::URL), Shape::Map(&DATABASE)]),
            },
            "{core: \"${CORE_URL}\"}",
        ),
        Field::optional(
            "parameters",
            "Facts that no row knows: `true` or `false`, or a list of the last days of fiscal years (empty: none), which switch periods; or a day of the year (`MM-DD`), on which fiscal years end.",
            Shape::Named {
                key: &format::NAME,
                value: &Shape::Either(&[Shape::Boolean, Shape::Text(&format::MONTH_DAY), DAYS]),
            },
            "{data_sim_law: false, loss_fiscal_years: [2024-03-31], fiscal_year_end: 03-31}",
        ),
        Field::optional("limits", "Guard rails for a whole run.", Shape::Map(&LIMITS), "{max_rows: 500000}"),
        Field::optional(
            "retired",
            "Rules that are gone on purpose, by their ids. Any other rule that was in a run and is in no file any more is \
             named in plans, reports and the status.",
            Shape::List { item: &Shape::Text(&format::NAME), least: 1, unique: true },
            "[closed-branch-visitors]",
        ),
        Field::optional("pace", "How gently to work.", Shape::Map(&PACE), "{batch_target: 50 ms}"),
        Field::optional(
            "store",
            "Where ledger, holds and row tags are kept; `state/sunset.db` in the job directory by default.",
            Shape::Map(&STORE),
            "{path: state/sunset.db}",
        ),
        Field::optional(
            "anchor",
            "Places outside that keep each checkpoint of the ledger, by name (see [anchors.md](anchors.md)). A name that is a \
             kind's own means that kind; others give their `kind`.",
            Shape::Kinds(&anchor::ANCHOR),
            "{folder: {path: /mnt/write-once/sunset}}",
        ),
        Field::optional(
            "keys",
            "The keys of ledger and pseudonyms, from variables or files.",
            Shape::Map(&KEYS),
            "{tag: \"${SUNSET_TAG_KEY}\"}",
        ),
        Field::optional(
            "schedule",
            "When to run rules that have no schedule of their own, as a five-field cron expression.",
            Shape::Text(&format::SCHEDULE),
            "30 2 * * *",
        ),
        Field::optional("serve", "How `sunset serve` keeps the schedules.", Shape::Map(&SERVE), "{catch_up: 1 h}"),
        Field::optional(
            "recipients",
            "Third parties that got a copy, by the names that rules use. A name that is a kind's own means that kind; others \
             give their `kind`.",
            Shape::Kinds(&RECIPIENT),
            "{stripe: {api_key: \"${STRIPE_KEY}\"}}",
        ),
        Field::optional(
            "subjects",
            "Who the data is about, by names: what says that rows of several databases are about one person (see \
             [subjects.md](subjects.md)).",
            Shape::Named { key: &format::NAME, value: &Shape::Map(&subject::SUBJECT) },
            "{customer: {home: core.customers}}",
        ),
        Field::optional(
            "requests",
            "When requests of persons have to be answered (see [requests.md](requests.md)).",
            Shape::Map(&REQUESTS),
            "{deadline: 1 month, warn_after: 2 weeks}",
        ),
        Field::optional(
            "accepted_gaps",
            "What `sunset coverage` finds and somebody answers for (see [coverage.md](coverage.md)).",
            Shape::List { item: &Shape::Map(&ACCEPTED_GAP), least: 0, unique: false },
            "[{table: core.routers, columns: [imei], reason: a device in the warehouse, owner: privacy@example.com}]",
        ),
    ],
);

static REQUESTS: MapShape = MapShape::new(
    "`requests`",
    &[
        Field::optional(
            "deadline",
            "How long after it was received a request may stay open; 1 month by default. After that `sunset status` and each \
             run end with 4.",
            PERIOD,
            "30 days",
        ),
        Field::optional(
            "warn_after",
            "How long after it was received an open request is warned of; 2 weeks by default.",
            PERIOD,
            "2 weeks",
        ),
        Field::optional(
            "from",
            "Who answers: the company and its desk, as letters to persons have it. A text (English), or one per language.",
            Shape::Either(&[TEXT, Shape::Named { key: &format::LANGUAGE, value: &TEXT }]),
            "{en: \"Example K.K., privacy desk\", ja: \"株式会社Example お問い合わせ窓口\"}",
        ),
        Field::optional(
            "withheld",
            "Columns whose values a disclosure leaves out, such as the digest of a password.",
            Shape::List { item: &Shape::Text(&format::RELATED_COLUMN), least: 1, unique: true },
            "[core.customers.password_hash]",
        ),
        Field::optional(
            "backups",
            "How long backups of the databases are kept, for letters to say until when copies in them expire.",
            PERIOD,
            "35 days",
        ),
    ],
);

static ACCEPTED_GAP: MapShape = MapShape::new(
    "an accepted gap",
    &[
        Field::optional("table", "A table that no rule governs, or not all of it.", Shape::Text(&format::TABLE), "core.routers"),
        Field::optional("columns",
            "Its columns that look personal, each by its name, so that one that is added later is a new gap. Without them, \
             the table may reference people and have no personal column of its own.",
            Shape::List { item: &Shape::Text(&format::COLUMN), least: 1, unique: true },
            "[imei]",
        ),
        Field::optional("recipient", "A recipient that no rule names.", Shape::Text(&format::NAME), "jdca"),
        Field::required("reason", "Why no rule is needed.", TEXT, "a device in the warehouse tells of nobody"),
        Field::required("owner", "Who answers for it.", TEXT, "privacy@example.com"),
        Field::optional("until",
            "The last day on which it is accepted; then somebody has to look at it again.",
            Shape::Text(&format::DATE),
            "2027-03-31",
        ),
    ],
)
.groups(&[&["table"], &["table", "columns"], &["recipient"]]);

static DATABASE: MapShape = MapShape::new(
    "a database",
    &[
        Field::required(
            "url",
            "`postgres://…`, `mysql://…`, `mariadb://…` or `sqlite:path`, with passwords from variables only: \
             `postgres://sunset:${CORE_PASSWORD}@db.example.com/core`. A relative SQLite path starts at the job directory.",
            Shape::Text(&format::URL),
            "\"${CORE_URL}\"",
        ),
        Field::optional(
            "allow_plaintext",
            "Connect to another machine without TLS; `false` by default.",
            Shape::Boolean,
            "false",
        ),
        Field::optional(
            "search_path",
            "PostgreSQL: schemas in which triggers, and SQL in rules, look up names without one. Sunset's sessions know the \
             server's own names alone, so that nobody else's functions stand in for them (see [engines.md](engines.md)).",
            Shape::List { item: &TEXT, least: 0, unique: true },
            "[app]",
        ),
        Field::optional(
            "replicas",
            "Copies of it that a run does not leave behind (see [pace.md](pace.md)), by name: the URL, or more about it.",
            Shape::Named {
                key: &format::NAME,
                value: &Shape::Either(&[Shape::Text(&format::URL), Shape::Map(&REPLICA)]),
            },
            "{reports: \"${REPORTS_URL}\"}",
        ),
        Field::optional(
            "pace",
            "How gently to work on it, where that differs from the job's `pace`.",
            Shape::Map(&DATABASE_PACE),
            "{rows_per_second: 20000}",
        ),
    ],
);

static REPLICA: MapShape = MapShape::new(
    "a replica",
    &[
        Field::optional("url", "Where the replica itself is asked.", Shape::Text(&format::URL), "\"${REPORTS_URL}\""),
        Field::optional(
            "allow_plaintext",
            "Connect to another machine without TLS; `false` by default.",
            Shape::Boolean,
            "false",
        ),
        Field::optional(
            "standby",
            "PostgreSQL: the `application_name` of a standby, about which the primary is asked.",
            TEXT,
            "tokyo_2",
        ),
    ],
)
.groups(&[&["url"], &["url", "allow_plaintext"], &["standby"]]);

const DAYS: Shape = Shape::List { item: &Shape::Text(&format::DATE), least: 0, unique: true };

static PACE: MapShape = MapShape::new(
    "a pace",
    &[
        Field::optional(
            "batch_target",
            "What a batch's changing statement should take; `50 ms` by default.",
            Shape::Text(&format::DURATION),
            "50 ms",
        ),
        Field::optional(
            "workers",
            "How many workers a rule has in each process that is at it, 1 by default; SQLite has one. A worker keeps two \
             connections busy.",
            Shape::Integer(within(1.0, 64.0, Code::BadLimit)),
            "1",
        ),
        Field::optional(
            "batch_rows",
            "No batch has more rows; 50000 by default.",
            Shape::Integer(within(1.0, 10_000_000.0, Code::BadLimit)),
            "50000",
        ),
        Field::optional(
            "statement_timeout",
            "The server ends a statement that takes longer; `30 s` by default.",
            Shape::Text(&format::DURATION),
            "30 s",
        ),
        Field::optional(
            "count_timeout",
            "The server ends a count, which a plan makes and a run afterwards, that takes longer; `1 h` by default.",
            Shape::Text(&format::DURATION),
            "1 h",
        ),
        Field::optional(
            "lock_timeout",
            "The server ends a wait for a lock that takes longer; `5 s` by default.",
            Shape::Text(&format::DURATION),
            "5 s",
        ),
        Field::optional(
            "retries",
            "How often a batch is tried again after a deadlock, a serialization failure or a lock time-out; 5 by default.",
            Shape::Integer(within(0.0, 1000.0, Code::BadLimit)),
            "5",
        ),
        Field::optional(
            "max_clock_skew",
            "A run is refused when a database's clock differs by more; `60 s` by default.",
            Shape::Text(&format::DURATION),
            "60 s",
        ),
        PACE_WINDOW,
        Field::optional(
            "run_time",
            "So long after it began, a run begins no batch any more; `run --for` overrides it. No limit by default.",
            Shape::Text(&format::DURATION),
            "2 h",
        ),
        Field::optional(
            "when_time_is_up",
            "What a run comes to that leaves work because its window or its time is over, or somebody paused it.",
            Shape::Words(WHEN_TIME_IS_UP),
            "succeed",
        ),
        Field::optional(
            "max_wait",
            "A batch that has to wait longer, for anything but its window and its own rate, ends the rule; `1 h` by default.",
            Shape::Text(&format::DURATION),
            "1 h",
        ),
        Field::optional(
            "pause_file",
            "While this file is there, no batch begins; its first line is the reason. A relative path starts at the job \
             directory.",
            Shape::Text(&format::PATH),
            "pause",
        ),
        PACE_MAX_LAG,
        PACE_UNREACHABLE_REPLICA,
        PACE_ROWS_PER_SECOND,
        PACE_DUTY_CYCLE,
        PACE_DUTY_CYCLE_BESIDE_WRITERS,
        PACE_YIELD_TO,
    ],
);

static SERVE: MapShape = MapShape::new(
    "a server's schedule",
    &[
        Field::optional(
            "catch_up",
            "How long after its time a run may begin: one that was missed, because nothing ran or the machine slept, is caught \
             up once within it, and one that failed for a reason that may pass is tried again within it; `1 h` by default, at \
             least 10 s.",
            Shape::Text(&format::DURATION),
            "1 h",
        ),
        Field::optional(
            "jitter",
            "Everything begins up to so long after its time, always the same for a job: jobs that share a server do not begin \
             at once. None by default.",
            Shape::Text(&format::DURATION),
            "5 min",
        ),
    ],
);

static DATABASE_PACE: MapShape = MapShape::new(
    "a database's pace",
    &[
        PACE_WINDOW,
        PACE_MAX_LAG,
        PACE_UNREACHABLE_REPLICA,
        Field::optional(
            "load",
            "A number that the database tells, and how high it may be for a batch to begin.",
            Shape::Map(&LOAD),
            "{query: \"show global status like 'Threads_running'\", most: 40}",
        ),
        PACE_ROWS_PER_SECOND,
        PACE_DUTY_CYCLE,
        PACE_DUTY_CYCLE_BESIDE_WRITERS,
        PACE_YIELD_TO,
    ],
);

const PACE_WINDOW: Field = Field::optional(
    "window",
    "Batches begin only in these hours, in the job's time zone; always by default.",
    Shape::Text(&format::WINDOW),
    "02:00-05:00",
);

const PACE_MAX_LAG: Field = Field::optional(
    "max_lag",
    "No batch begins while a replica is further behind; `5 s` by default.",
    Shape::Text(&format::DURATION),
    "5 s",
);

const PACE_UNREACHABLE_REPLICA: Field = Field::optional(
    "unreachable_replica",
    "What becomes of a run while a replica does not say how far it is.",
    Shape::Words(UNREACHABLE_REPLICA),
    "pause",
);

const PACE_ROWS_PER_SECOND: Field = Field::optional(
    "rows_per_second",
    "Not more rows of the rules' tables than this, on the average; as fast as it goes by default. No batch has more than \
     a second's worth.",
    Shape::Integer(within(1.0, 10_000_000.0, Code::BadLimit)),
    "20000",
);

const PACE_DUTY_CYCLE: Field = Field::optional(
    "duty_cycle",
    "The share of its time that each connection works; `100%` by default.",
    Shape::Text(&format::SHARE),
    "50%",
);

const PACE_DUTY_CYCLE_BESIDE_WRITERS: Field = Field::optional(
    "duty_cycle_beside_writers",
    "The same while others write to the same database, in short batches; `50%` by default. With `100%` nobody is minded who \
     does not wait for a batch.",
    Shape::Text(&format::SHARE),
    "25%",
);

const PACE_YIELD_TO: Field = Field::optional(
    "yield_to",
    "What goes first: no batch begins while the server is at it. Nothing by default.",
    SOME_ACTIVITIES,
    "[vacuum, backup]",
);

const SOME_ACTIVITIES: Shape = Shape::List { item: &Shape::Words(ACTIVITIES), least: 0, unique: true };

static WHEN_TIME_IS_UP: &[Word] = &[
    word("succeed", "It ends with exit code 0 and tells its backlog. The default."),
    word("fail", "It ends with exit code 4."),
];

static UNREACHABLE_REPLICA: &[Word] = &[
    word("pause", "It waits, up to `max_wait`. The default."),
    word("ignore", "It goes on, and asks again from time to time."),
];

static ACTIVITIES: &[Word] = &[
    word("vacuum", "A vacuum of the very table, by hand or automatic (PostgreSQL)."),
    word("backup", "A backup of the server, as far as it can be seen (PostgreSQL, MySQL and MariaDB)."),
];

static LOAD: MapShape = MapShape::new(
    "a load",
    &[
        Field::required(
            "query",
            "One statement that reads; the last column of its only row is the number.",
            Shape::Text(&format::QUERY),
            "show global status like 'Threads_running'",
        ),
        Field::required("most", "No batch begins while the number is above.", Shape::Number(ANY_LOAD), "40"),
        Field::optional("stop_above", "Above this, the rule ends at once.", Shape::Number(ANY_LOAD), "200"),
    ],
);

const ANY_LOAD: Bounds = Bounds { least: None, most: None, above: false, code: Code::BadPace };

static STORE: MapShape = MapShape::new(
    "a store",
    &[
        Field::optional(
            "path",
            "A SQLite file; a relative path starts at the job directory.",
            Shape::Text(&format::PATH),
            "state/sunset.db",
        ),
        Field::optional(
            "url",
            "A PostgreSQL database, for more than one machine.",
            Shape::Text(&format::URL),
            "\"${STORE_URL}\"",
        ),
    ],
)
.groups(&[&["path"], &["url"]]);

const SEVERAL_KEYS: Shape = Shape::Either(&[
    Shape::Text(&format::KEY),
    Shape::List { item: &Shape::Text(&format::KEY), least: 1, unique: true },
]);

static KEYS: MapShape = MapShape::new(
    "keys",
    &[
        Field::optional(
            "tag",
            "Row tags in the ledger. The first one is in use, others are older ones.",
            SEVERAL_KEYS,
            "\"${file:/run/secrets/sunset/tag.key}\"",
        ),
        Field::optional(
            "signing",
            "Checkpoints. The first one is in use, others are older ones.",
            SEVERAL_KEYS,
            "\"${file:/run/secrets/sunset/signing.key}\"",
        ),
        Field::optional(
            "pseudonym",
            "For `hash` and `tokenize`.",
            Shape::Text(&format::KEY),
            "\"${file:/run/secrets/sunset/pseudonym.key}\"",
        ),
    ],
);
