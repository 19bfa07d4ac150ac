//! A rule's starting point as SQL: where it stands, how it is stored, when it is past.

use super::{
    find::{find_column, find_table},
    indexes,
};
use crate::{
    catalog::{Column, ColumnKind, Engine, Table, TableName},
    clock::{
        Cutoffs, DueDays, PointKind,
        starting_point::{Encoding, Pick, Source, Zero},
    },
    database::{KeyColumn, statements},
    diagnostic::{Code, Diagnostic, Place},
    plan::{
        path::path_between,
        resolver::{EpochColumn, Resolver},
    },
    rules::StartingPoint,
    sql::{Sql, Value},
};
use jiff::tz::TimeZone;

impl Resolver<'_, '_> {
    /// The starting point as SQL, how it is stored, and its column if it is one of the table itself. Columns of another
    /// table go to `looked_at`.
    pub(super) fn starting_point(
        &mut self,
        table: &Table,
        row: &str,
        looked_at: &mut Vec<(TableName, Vec<String>)>,
    ) -> Option<(Sql, PointKind, Option<KeyColumn>)> {
        let start = &self.rule.starting_point;
        let place = self.rule.place.key("starting_point");
        match &start.source {
            Source::Column(name) => {
                let column = self.keep(find_column(table, name, place.key("column")))?;
                let kind = self.point_kind(column, start.encoding, place.key("column"))?;
                let value = Sql::new(self.around.dialect.column(row, name));
                self.counts_from_1970(table, column, kind);
                Some((value, kind, Some(KeyColumn::from(column))))
            }
            Source::Related { pick, table: path, column: name, through } => {
                let place = place.key(match pick {
                    Pick::Latest => "latest",
                    Pick::Earliest => "earliest",
                });
                if path.database != self.rule.table.database {
                    let message = format!("`{path}` lies in another database than `{}`", self.rule.table);
                    self.found.push(Diagnostic::error(Code::UnknownTable, place, message));
                    return None;
                }
                let related = self.keep(find_table(self.around.catalog, path, place.clone()))?;
                let column = self.keep(find_column(related, name, place.clone()))?;
                let kind = self.point_kind(column, start.encoding, place);
                let through_place = self.rule.place.key("starting_point").key("through");
                let way = self.keep(path_between(table, related, through, through_place))?;
                let theirs: Vec<_> = way.theirs.iter().map(|column| column.name.clone()).collect();
                looked_at.push((related.name.clone(), [&theirs[..], std::slice::from_ref(name)].concat()));
                let why = "the related rows of each row are looked for in the whole table";
                if let Some(missing) = indexes::missing(self.around, related, &theirs, why) {
                    let message = format!("no index of `{path}` serves `{through}`");
                    let place = self.rule.place.key("starting_point").key("through");
                    self.found.push(missing.warning(Code::NoDependentIndex, place, message));
                    self.missing_indexes.push(missing);
                }
                let latest = *pick == Pick::Latest;
                let (dialect, kind) = (self.around.dialect, kind?);
                let theirs = statements::alias(&table.name, "r");
                let told = self.told(&Sql::new(dialect.column(&theirs, name)), kind);
                let value =
                    statements::related_point(dialect, &table.name, &related.name, &theirs, &way, &told, latest);
                self.counts_from_1970(related, column, kind);
                Some((value, kind, None))
            }
        }
    }

    fn point_kind(&mut self, column: &Column, encoding: Option<Encoding>, place: Place) -> Option<PointKind> {
        if start_zero_without_number(&self.rule.starting_point) {
            let message = "`zero` says what the number 0 means, and this starting point is no number".to_owned();
            let place = self.rule.place.key("starting_point").key("zero");
            self.found.push(Diagnostic::error(Code::StartingPointType, place, message).help("leave `zero` out"));
        }
        let kind = match (self.around.catalog.engine, column.kind, encoding) {
            // SQLite has no types for time: the declared one tells what is meant, `as` what is stored
            (Engine::Sqlite, ColumnKind::Date | ColumnKind::DateTime, None) => Some(PointKind::IsoText),
            (Engine::Sqlite, _, Some(encoding)) => Some(match encoding {
                Encoding::EpochSeconds => PointKind::EpochSeconds,
                Encoding::EpochMilliseconds => PointKind::EpochMilliseconds,
                Encoding::IsoText => PointKind::IsoText,
                Encoding::IsoTextWithOffset => PointKind::IsoTextWithOffset,
            }),
            (_, kind, encoding) => PointKind::of(kind, encoding),
        };
        if kind.is_none() {
            let (label, help) = match (column.kind, encoding) {
                (ColumnKind::Integer | ColumnKind::Decimal | ColumnKind::Float, None) => {
                    ("a number", "if it counts time, add `as: epoch_seconds` or `as: epoch_milliseconds`".to_owned())
                }
                (ColumnKind::Text, None) => {
                    ("a text", "if it holds dates, add `as: iso_text` or `as: iso_text_with_offset`".to_owned())
                }
                (ColumnKind::Date | ColumnKind::DateTime | ColumnKind::Instant, Some(_)) => {
                    ("tells time by itself", "leave `as` out".to_owned())
                }
                _ => ("not a point in time", "take a date, a timestamp, an epoch number or an ISO text".to_owned()),
            };
            let message = format!("starting point `{}` has the type {}", column.name, column.sql_type);
            self.found.push(Diagnostic::error(Code::StartingPointType, place, message).label(label).help(help));
        }
        kind
    }

    fn counts_from_1970(&mut self, table: &Table, column: &Column, kind: PointKind) {
        if is_epoch(kind) {
            let column = column.name.clone();
            self.epoch = Some(EpochColumn { table: table.name.clone(), column, kind });
        }
    }

    /// Zero is no time, unless the rule says so.
    fn without_zero(&self, kind: PointKind) -> bool {
        is_epoch(kind) && self.rule.starting_point.zero == Zero::Never
    }

    /// Time is told by a row of another table, and a value that tells none has become null.
    fn is_related(&self) -> bool {
        matches!(self.rule.starting_point.source, Source::Related { .. })
    }

    /// [`Dialect::told`](crate::database::Dialect::told), by the rule's own words.
    fn told(&self, point: &Sql, kind: PointKind) -> Sql {
        let told = self.around.dialect.told(point, kind);
        match self.without_zero(kind) {
            true => told.inside(|told| format!("nullif({told}, 0)")),
            false => told,
        }
    }

    /// The starting point is there and tells a time.
    pub(super) fn readable(&self, point: &Sql, kind: PointKind) -> Sql {
        if self.is_related() {
            return point.clone().inside(|point| format!("{point} is not null"));
        }
        let readable = self.around.dialect.readable(point, kind);
        match self.without_zero(kind) {
            true => Sql::join([&readable, &point.clone().inside(|point| format!("{point} <> 0"))], " and "),
            false => readable,
        }
    }

    /// It is not there, or tells no time.
    pub(super) fn unreadable(&self, point: &Sql, kind: PointKind) -> Sql {
        if self.is_related() {
            return point.clone().inside(|point| format!("{point} is null"));
        }
        self.or_zero(self.around.dialect.unreadable(point, kind), point, kind)
    }

    /// There is no starting point that can be read, as far as an index can tell.
    pub(super) fn plainly_unreadable(&self, point: &Sql, kind: PointKind) -> Sql {
        if self.is_related() {
            return self.unreadable(point, kind);
        }
        self.or_zero(self.around.dialect.plainly_unreadable(point, kind), point, kind)
    }

    fn or_zero(&self, unreadable: Sql, point: &Sql, kind: PointKind) -> Sql {
        match self.without_zero(kind) {
            true => Sql::join([&unreadable, &point.clone().inside(|point| format!("{point} = 0"))], " or ").nested(),
            false => unreadable,
        }
    }

    /// The starting point can be read and lies in one of the ranges.
    pub(super) fn past(&self, point: &Sql, kind: PointKind, days: &DueDays) -> Sql {
        let ranges = self.plainly_past(point, kind, days);
        if self.is_related() {
            // null lies in no range
            return ranges.nested();
        }
        Sql::join(&[ranges, self.readable(point, kind)], " and ").nested()
    }

    /// It lies in one of the ranges, provided that it can be read.
    pub(super) fn plainly_past(&self, point: &Sql, kind: PointKind, days: &DueDays) -> Sql {
        let dialect = self.around.dialect;
        let job_zone = &self.around.settings.time_zone;
        let column_zone = self.rule.starting_point.zone.as_ref().and_then(|name| TimeZone::get(name).ok());
        let Cutoffs { ranges } = days.cutoffs(kind, job_zone, column_zone.as_ref().unwrap_or(job_zone));
        let alternatives: Vec<_> = ranges
            .iter()
            .map(|range| {
                let mut sql = Sql::default();
                let bounds = [range.from.as_ref().map(|from| (">=", from)), Some(("<", &range.before))];
                for (operator, bound) in bounds.into_iter().flatten() {
                    let by_time = bound.contains(' ');
                    sql.push(if sql.text.is_empty() { "" } else { " and " });
                    match self.is_related() && kind == PointKind::IsoText {
                        true => sql.append(point),
                        false => sql.append(&dialect.comparable(point, kind, by_time)),
                    };
                    sql.append(&Sql::bound(format!(" {operator} {}", dialect.bound(kind)), Value::Text(bound.clone())));
                }
                sql
            })
            .collect();
        if alternatives.is_empty() {
            return Sql::new("1 = 0");
        }
        let ranges = Sql::join(&alternatives, " or ");
        if alternatives.len() > 1 { ranges.nested() } else { ranges }
    }

    pub(super) fn starting_point_words(&self) -> String {
        let start = &self.rule.starting_point;
        let source = match &start.source {
            Source::Column(name) => name.clone(),
            Source::Related { pick, table, column, .. } => {
                let pick = if *pick == Pick::Latest { "latest" } else { "earliest" };
                format!("{pick} {table}.{column}")
            }
        };
        match &start.event {
            Some(event) => format!("{source} ({event})"),
            None => source,
        }
    }

    pub(super) fn warn_without_index(&mut self, table: &Table, column: Option<&KeyColumn>, kind: PointKind) {
        // no index on the column knows the order of times with an offset
        let Some(column) = column.filter(|_| kind != PointKind::IsoTextWithOffset) else { return };
        let why = match table.partitions.is_empty() {
            true => "a night with nothing due reads the whole table",
            false => "a night with nothing due reads whole partitions",
        };
        let (columns, bytewise) = (std::slice::from_ref(&column.name), kind == PointKind::IsoText);
        let Some(missing) = indexes::missing_for(self.around, table, columns, bytewise, why) else { return };
        let message = format!("no index of `{}` serves the starting point `{}`", self.rule.table, column.name);
        let place = self.rule.place.key("starting_point");
        self.found.push(missing.warning(Code::NoIndex, place, message));
        self.missing_indexes.push(missing);
    }
}

fn is_epoch(kind: PointKind) -> bool {
    matches!(kind, PointKind::EpochSeconds | PointKind::EpochMilliseconds)
}

fn start_zero_without_number(start: &StartingPoint) -> bool {
    let counted = matches!(start.encoding, Some(Encoding::EpochSeconds | Encoding::EpochMilliseconds));
    start.zero != Zero::default() && !counted
}
