//! `aggregate`: what is kept of rows that are erased.

use super::{at_least, format, word};
use crate::{
    diagnostic::Code,
    language::shape::{Field, MapShape, Shape, Word},
};

const COLUMN: Shape = Shape::Text(&format::COLUMN);

pub static AGGREGATE: MapShape = MapShape::new(
    "an aggregate",
    &[
        Field::required(
            "into",
            "A table of the same database that its owner has made: a row for each group. The columns of `by` are its primary \
             key, or another unique key.",
            Shape::Text(&format::TABLE),
            "core.usage_monthly",
        ),
        Field::required(
            "by",
            "The target's columns that tell groups apart, each with the column of this table that it is taken from. A row \
             without a value in one of them belongs to no group.",
            Shape::Named { key: &format::COLUMN, value: &Shape::Either(&[COLUMN, Shape::Map(&CALENDAR)]) },
            "{month: {month: used_on}, plan: plan_code}",
        ),
        Field::required(
            "totals",
            "The target's columns that rows are added to: their number, or the sum of a column.",
            Shape::Named { key: &format::COLUMN, value: &Shape::Either(&[Shape::Words(COUNT), Shape::Map(&TOTAL)]) },
            "{days: count, megabytes: {sum: megabytes}}",
        ),
        Field::required(
            "smallest_group",
            "How many persons a group has at least: totals of fewer would tell of each of them.",
            Shape::Map(&SMALLEST_GROUP),
            "{persons: customer_id, at_least: 10, counted_in: persons}",
        ),
    ],
);

static CALENDAR: MapShape = MapShape::new(
    "a span of the calendar",
    &[
        Field::optional("year", "The first day of the year that this column's time lies in.", COLUMN, "used_on"),
        Field::optional("month", "The first day of the month that this column's time lies in.", COLUMN, "used_on"),
        Field::optional("day", "The day that this column's time lies in.", COLUMN, "used_on"),
    ],
)
.count(1, 1);

static COUNT: &[Word] = &[word("count", "How many rows went.")];

static TOTAL: MapShape = MapShape::new(
    "a total",
    &[Field::optional("sum", "The sum of this column; nothing for a null.", COLUMN, "megabytes")],
)
.count(1, 1);

static SMALLEST_GROUP: MapShape = MapShape::new(
    "a smallest group",
    &[
        Field::required(
            "persons",
            "The column of this table that tells persons apart; rows without a value count as nobody's.",
            COLUMN,
            "customer_id",
        ),
        Field::required(
            "at_least",
            "A group of fewer persons has no row in the target, and its rows go uncounted; at least 2.",
            Shape::Integer(at_least(2.0, Code::BadAggregate)),
            "10",
        ),
        Field::required("counted_in", "The target's column that keeps the number of persons.", COLUMN, "persons"),
    ],
);
