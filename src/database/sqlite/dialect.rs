//! SQLite's SQL.

use super::{Sqlite, codec, facts, maintenance};
use crate::{
    catalog::{Codec, Engine, Operand, Table, TableName},
    clock::PointKind,
    database::{
        Dialect, FactScope, KeyColumn,
        dialect::{DIGITS, Lock, epoch_range, quoted},
        maintenance::{MaintenanceStep, Remains},
    },
    rules::{After, CalendarUnit},
    sql::{PLACEHOLDER, Sql, Statement, Value},
};
use jiff::tz::TimeZone;

const ISO: &str = "'[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*'";

/// The text begins with a day that the calendar has.
fn day(point: &Sql) -> String {
    format!("{0} glob {ISO} and date(substr({0}, 1, 10)) = substr({0}, 1, 10)", point.text)
}

/// Such a text always as `2026-11-22 15:00:00`.
fn to_the_second(text: &str) -> String {
    format!("replace(substr({text} || substr(' 00:00:00', length({text}) - 9), 1, 19), 'T', ' ')")
}

/// A text with `Z` or an offset as the time in UTC; an offset may lack its colon.
fn utc(text: &str) -> String {
    let with_colon = format!("substr({text}, 1, length({text}) - 2) || ':' || substr({text}, -2)");
    format!("datetime(case when {text} glob '*[-+][0-9][0-9][0-9][0-9]' then {with_colon} else {text} end)")
}

impl Dialect for Sqlite {
    fn engine(&self) -> Engine {
        Engine::Sqlite
    }

    fn facts(&self, scope: &FactScope<'_>) -> Statement {
        facts::facts(scope)
    }

    fn schema_version(&self) -> Option<Statement> {
        Some(facts::schema_version())
    }

    fn whereabouts(&self) -> &'static str {
        "select file from temp.pragma_database_list where name = 'main'"
    }

    fn quote(&self, identifier: &str) -> String {
        quoted(identifier, '"')
    }

    fn literal(&self, text: &str) -> String {
        quoted(text, '\'')
    }

    fn placeholder(&self, _number: usize) -> String {
        "?".to_owned()
    }

    fn row(&self, _table: &TableName) -> String {
        "t".to_owned()
    }

    fn along_key(&self) -> &'static str {
        " not indexed"
    }

    fn target(&self, table: &TableName) -> String {
        format!("{} as t", self.table(table))
    }

    /// Blobs have no text form of their own; everything else keeps its characters.
    fn text(&self, expression: &str, _column: &KeyColumn) -> String {
        format!(
            "(case typeof({expression}) when 'blob' then 'x' || hex({expression}) else cast({expression} as text) end)"
        )
    }

    /// There are no regular expressions, and more than one `*` takes long: a text with a digit in it and no shorter than a card
    /// number.
    fn has_digits(&self, text: &str) -> String {
        format!("length({text}) >= 13 and {text} glob '*[0-9{DIGITS}]*'")
    }

    fn shown(&self, expression: &str) -> String {
        format!("cast({expression} as text)")
    }

    fn key_text(&self, expression: &str, column: &KeyColumn) -> String {
        codec::key_text(&column.codec, expression)
    }

    fn bind(&self, codec: &Codec, text: &str) -> Sql {
        codec::bind(codec, text)
    }

    fn new_value(&self, codec: &Codec, text: String) -> Sql {
        codec::new_value(codec, text)
    }

    fn compare(&self, column: &str, codec: &Codec, operator: &str, operand: &Operand) -> Sql {
        codec::compare(column, codec, operator, operand)
    }

    fn among(&self, column: &str, codec: &Codec, operands: &[Operand]) -> Sql {
        codec::among(column, codec, operands)
    }

    fn not_among(&self, column: &str, codec: &Codec, operands: &[Operand]) -> Sql {
        codec::not_among(column, codec, operands)
    }

    fn truth(&self, column: &str, value: bool) -> Sql {
        codec::truth(column, value)
    }

    /// One JSON array of arrays, so that a statement is the same whatever the number of keys.
    fn listed(&self, names: &[String], codecs: &[&Codec], keys: &[Vec<String>]) -> Sql {
        let (mut fields, mut rows) = (Vec::new(), vec![Vec::new(); keys.len()]);
        for (position, codec) in codecs.iter().enumerate() {
            let (field, values) = codec::in_list(codec, position, keys);
            fields.push(field);
            rows.iter_mut().zip(values).for_each(|(row, value)| row.push(value));
        }
        let left = if names.len() == 1 { names.join("") } else { format!("({})", names.join(", ")) };
        let text = format!("{left} in (select {} from temp.json_each({PLACEHOLDER}))", fields.join(", "));
        Sql::bound(text, Value::Text(serde_json::json!(rows).to_string()))
    }

    fn referring(&self, column: &str, codec: &Codec, referenced: &Codec) -> String {
        codec::referring(column, codec, referenced)
    }

    /// The collation of the column that stands first is the one that counts.
    fn equals_referenced(&self, referring: &str, referenced: &str) -> String {
        format!("{referenced} = {referring}")
    }

    /// The transaction was begun as a writer: nobody else changes anything.
    /// Unchanged by what this connection writes.
    fn written_by_others(&self) -> Option<Statement> {
        Some(Statement::new("select cast(data_version as text) from pragma_data_version"))
    }

    fn lock_rows(&self, _: Lock) -> &'static str {
        ""
    }

    /// Each row that SQLite hands over wakes a thread.
    fn packed(&self, texts: &[String], _columns: &[KeyColumn]) -> Option<String> {
        Some(format!("json_group_array(json_array({}))", texts.join(", ")))
    }

    /// It knows `returning`, but cannot pack what it returns; reading a range before changing it costs less.
    fn returns(&self, _erase: bool) -> bool {
        false
    }

    fn comparable(&self, point: &Sql, kind: PointKind, by_time: bool) -> Sql {
        let mut sql = point.clone();
        match kind {
            PointKind::IsoTextWithOffset => sql.text = utc(&point.text),
            PointKind::IsoText if by_time => return point.clone().inside(to_the_second),
            _ => {}
        }
        sql
    }

    fn bound(&self, kind: PointKind) -> String {
        match kind {
            PointKind::EpochSeconds | PointKind::EpochMilliseconds => format!("cast({PLACEHOLDER} as integer)"),
            _ => PLACEHOLDER.to_string(),
        }
    }

    fn readable(&self, point: &Sql, kind: PointKind) -> Sql {
        let mut sql = point.clone();
        sql.text = match kind {
            PointKind::EpochSeconds | PointKind::EpochMilliseconds => {
                // every number sorts before every text
                format!("{0} >= {1} and {0} < ''", point.text, epoch_range(kind).0)
            }
            // SQLite takes 30 February for a day in March, and leaves a time zone out where it is to be there
            PointKind::IsoTextWithOffset => {
                format!(
                    "{} and substr({}, 11) glob '*[-+Zz]*' and {} is not null",
                    day(point),
                    point.text,
                    utc(&point.text)
                )
            }
            _ => codec::tells_time(&point.text),
        };
        sql
    }

    /// Functions cost more than the deletion itself, and a statement with one keeps a journal of its own.
    fn reads_dearly(&self, kind: PointKind) -> bool {
        kind == PointKind::IsoText
    }

    fn unreadable(&self, point: &Sql, kind: PointKind) -> Sql {
        match kind {
            PointKind::EpochSeconds | PointKind::EpochMilliseconds => {
                let (first, last) = epoch_range(kind);
                point.clone().inside(|point| format!("({point} is null or {point} < {first} or {point} > {last})"))
            }
            _ => self.readable(point, kind).negated(),
        }
    }

    /// Numbers sort before texts, and texts of digits before others; what else a text of digits may say, no index knows.
    fn plainly_unreadable(&self, point: &Sql, kind: PointKind) -> Sql {
        match kind {
            PointKind::EpochSeconds | PointKind::EpochMilliseconds => self.unreadable(point, kind),
            _ => {
                let mut sql = Sql::default();
                sql.push("(").append(point).push(" is null or ").append(point).push(" < '0' or ");
                sql.append(point).push(" >= ':')");
                sql
            }
        }
    }

    fn create_index(&self, table: &Table, columns: &[String], _bytewise: bool) -> String {
        let name = self.quote(&format!("{}_{}", table.name.name, columns.join("_")));
        let columns: Vec<_> = columns.iter().map(|column| self.quote(column)).collect();
        format!("create index {name} on {} ({})", self.quote(&table.name.name), columns.join(", "))
    }

    fn maintenance(&self, after: After, _tables: &[TableName], _root: Option<&TableName>) -> Vec<MaintenanceStep> {
        maintenance::steps(after)
    }

    fn remains(&self, after: Option<After>) -> Vec<Remains> {
        maintenance::left(after)
    }

    fn told(&self, point: &Sql, kind: PointKind) -> Sql {
        let readable = self.readable(point, kind).text;
        point.clone().inside(|point| match kind {
            PointKind::EpochSeconds | PointKind::EpochMilliseconds => {
                let (first, last) = epoch_range(kind);
                format!("case when {point} between {first} and {last} then {point} end")
            }
            PointKind::IsoTextWithOffset => format!("case when {readable} then {} || 'Z' end", utc(point)),
            _ => format!("case when {readable} then {} end", to_the_second(point)),
        })
    }

    fn point_shown(&self, point: &Sql, kind: PointKind) -> Sql {
        let mut sql = point.clone();
        sql.text = match kind {
            PointKind::EpochSeconds => format!("datetime({}, 'unixepoch')", point.text),
            PointKind::EpochMilliseconds => format!("datetime({} / 1000, 'unixepoch')", point.text),
            _ => format!("cast({} as text)", point.text),
        };
        sql
    }

    fn first_day(&self, value: &str, kind: PointKind, unit: CalendarUnit, _zone: &TimeZone) -> Option<Sql> {
        let day = match unit {
            CalendarUnit::Year => format!("substr({value}, 1, 4) || '-01-01'"),
            CalendarUnit::Month => format!("substr({value}, 1, 7) || '-01'"),
            CalendarUnit::Day => format!("substr({value}, 1, 10)"),
        };
        let readable = self.readable(&Sql::new(value), kind).text;
        (kind == PointKind::IsoText).then(|| Sql::new(format!("(case when {readable} then {day} end)")))
    }

    fn table_identity(&self, table: &TableName) -> Statement {
        let sql =
            format!("select cast(rootpage as text) from sqlite_schema where type = 'table' and name = {PLACEHOLDER}");
        self.finish(Sql::bound(sql, Value::Text(table.name.clone())))
    }

    fn explain(&self, statement: &Statement) -> Statement {
        Statement { sql: format!("explain query plan {}", statement.sql), args: statement.args.clone() }
    }
}
