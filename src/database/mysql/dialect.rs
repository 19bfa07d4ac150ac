//! The SQL of MySQL and MariaDB.

use super::{Mysql, codec, facts, maintenance, partitions};
use crate::{
    catalog::{Codec, Collation, Column, ColumnKind, Engine, Table, TableName},
    clock::PointKind,
    database::{
        Dialect, FactScope, KeyColumn, Privilege, Recursion, Removal,
        dialect::{DIGITS, Lock, epoch_range, iso_pattern, not_among, quoted},
        maintenance::{MaintenanceStep, Remains},
    },
    rules::{After, CalendarUnit, condition::Expression},
    sql::{PLACEHOLDER, Sql, Statement, Value},
};
use jiff::{Timestamp, tz::TimeZone};
use std::time::Duration;

/// What a `timestamp` can hold.
const FIRST_TIMESTAMP: Timestamp = Timestamp::UNIX_EPOCH;
const LAST_TIMESTAMP: Timestamp = Timestamp::constant(1 << 31, 0);

impl Dialect for Mysql {
    fn engine(&self) -> Engine {
        Engine::Mysql
    }

    fn facts(&self, scope: &FactScope<'_>) -> Statement {
        facts::facts(scope)
    }

    fn routines(&self) -> Option<Statement> {
        let sql = "select distinct cast(routine_name as char) from information_schema.routines where routine_schema = database()";
        Some(Statement::new(sql))
    }

    fn one_moment(&self) -> Option<Statement> {
        Some(Statement::new("set transaction isolation level repeatable read"))
    }

    fn whereabouts(&self) -> &'static str {
        "show global variables where variable_name in ('hostname', 'port', 'datadir', 'server_id', 'server_uuid', \
         'server_uid')"
    }

    fn quote(&self, identifier: &str) -> String {
        quoted(identifier, '`')
    }

    /// Sessions run with `NO_BACKSLASH_ESCAPES`, so doubling the quote is all there is to do.
    fn literal(&self, text: &str) -> String {
        quoted(text, '\'')
    }

    fn placeholder(&self, _number: usize) -> String {
        "?".to_owned()
    }

    /// Inside of a function, since MariaDB rounds `0.005` to the column's two decimals where it looks a value up in an
    /// index: a row with `0.01` would meet `amount = 0.005`.
    fn condition(&self, expression: &Expression, row: &str) -> Sql {
        let condition = expression.render(&|name| self.quote(name), &|text| self.literal(text), row);
        Sql::new(format!("coalesce({condition})"))
    }

    /// A delete of one table takes no alias in MariaDB before 11.6: rows go by the table's own name.
    fn row(&self, table: &TableName) -> String {
        self.quote(&table.name)
    }

    fn target(&self, table: &TableName) -> String {
        self.table(table)
    }

    fn text(&self, expression: &str, column: &KeyColumn) -> String {
        codec::text(&column.codec, expression)
    }

    fn as_identifier(&self, text: &str) -> String {
        format!("cast(lower(trim(convert({text} using utf8mb4))) as binary)")
    }

    fn key_text(&self, expression: &str, column: &KeyColumn) -> String {
        codec::key_text(&column.codec, expression)
    }

    fn has_digits(&self, text: &str) -> String {
        let digit = format!("0-9{DIGITS}");
        format!("{text} regexp '[{digit}]([^{digit}]{{0,6}}[{digit}]){{12}}'")
    }

    fn shown(&self, expression: &str) -> String {
        format!("cast({expression} as char)")
    }

    fn bind(&self, codec: &Codec, text: &str) -> Sql {
        codec::bind(codec, text, self.mariadb)
    }

    fn new_value(&self, codec: &Codec, text: String) -> Sql {
        codec::new_value(codec, text, self.mariadb)
    }

    /// A list of values, or of conjunctions: both MySQL's and MariaDB's range optimizer see single rows in it.
    fn listed(&self, names: &[String], codecs: &[&Codec], keys: &[Vec<String>]) -> Sql {
        if let ([name], [codec]) = (names, codecs) {
            let values: Vec<_> = keys.iter().flatten().map(|text| self.bind(codec, text)).collect();
            let mut sql = Sql::new(format!("{name} in ("));
            sql.append(&Sql::join(&values, ", ")).push(")");
            return sql;
        }
        let equal = |((name, codec), text): ((&String, &&Codec), &String)| {
            let mut sql = Sql::new(format!("{name} = "));
            sql.append(&self.bind(codec, text));
            sql
        };
        let row = |key: &Vec<String>| {
            let terms: Vec<_> = names.iter().zip(codecs).zip(key).map(equal).collect();
            Sql::join(&terms, " and ").nested()
        };
        Sql::join(&keys.iter().map(row).collect::<Vec<_>>(), " or ").nested()
    }

    /// Foreign keys of texts have one collation on both sides; other columns that lead to rows may not.
    fn referring(&self, column: &str, codec: &Codec, referenced: &Codec) -> String {
        match (&codec.collation, &referenced.collation) {
            (Some(own), Some(Collation { name, character_set: Some(characters), .. })) if own.name != *name => {
                format!("convert({column} using {characters}) collate {name}")
            }
            _ => column.to_owned(),
        }
    }

    fn beyond(&self, row: &str, columns: &[KeyColumn], key: &[String], or_at: bool) -> Sql {
        self.ordered(row, columns, key, '>', or_at)
    }

    fn through(&self, row: &str, columns: &[KeyColumn], key: &[String]) -> Sql {
        self.ordered(row, columns, key, '<', true)
    }

    /// MySQL reads the whole table for a long list, locks what it reads, and waits for what others have locked. MariaDB knows
    /// no such hint, and does not wait.
    fn by_primary_key(&self, table: &TableName) -> String {
        if self.mariadb { String::new() } else { format!(" /*+ INDEX({} PRIMARY) */", self.quote(&table.name)) }
    }

    fn along_primary_key(&self) -> String {
        self.along_index("PRIMARY")
    }

    fn along_index(&self, index: &str) -> String {
        format!(" force index ({})", self.quote(index))
    }

    /// In whole seconds. MariaDB takes none for not waiting at all; MySQL waits for one at least.
    fn wait_for_rows(&self, longest: Duration) -> Option<Statement> {
        let seconds = match (longest.as_secs(), longest.subsec_nanos()) {
            (0, _) => u64::from(!self.mariadb),
            (seconds, 0) => seconds,
            (seconds, _) => seconds + 1,
        };
        Some(Statement::new(format!("set session innodb_lock_wait_timeout = {seconds}")))
    }

    fn session_number(&self) -> Option<Statement> {
        Some(Statement::new("select cast(connection_id() as char)"))
    }

    /// To users with the privilege `process`, and on MySQL `select` on `performance_schema`. MariaDB shows what it saw up to
    /// a tenth of a second ago.
    fn other_writers(&self, own: &[i64]) -> Option<Statement> {
        let waiting = match self.mariadb {
            true => {
                "information_schema.innodb_lock_waits w \
                 join information_schema.innodb_trx b on b.trx_id = w.blocking_trx_id \
                 where b.trx_mysql_thread_id = connection_id()"
            }
            false => {
                "performance_schema.data_lock_waits w \
                 join performance_schema.threads t on t.thread_id = w.blocking_thread_id \
                 where t.processlist_id = connection_id()"
            }
        };
        let mut sql = Sql::new(format!(
            "select cast((select count(*) from {waiting}) as char), cast((select count(*) from information_schema.innodb_trx t \
             join information_schema.processlist p on p.id = t.trx_mysql_thread_id and p.db = database() \
             where t.trx_rows_modified > 0"
        ));
        sql.append(&not_among("t.trx_mysql_thread_id", own)).push(") as char)");
        Some(self.finish(sql))
    }

    fn lock_rows(&self, lock: Lock) -> &'static str {
        match lock {
            Lock::Waiting => " for update",
            Lock::AtOnce => " for update nowait",
            Lock::Free => " for update skip locked",
        }
    }

    /// MariaDB's `skip locked` fails (with 1180) in a session that does not wait at all.
    fn locking(&self, select: Sql, lock: Lock) -> Sql {
        let mut sql = Sql::default();
        if self.mariadb && lock == Lock::Free {
            sql.push("set statement innodb_lock_wait_timeout = 1 for ");
        }
        sql.append(&select).push(self.lock_rows(lock));
        sql
    }

    /// MySQL lets no change read its own table elsewhere (1093), but for what it has put aside; the limit has it do so.
    fn in_change(&self, table: &TableName, key: &[KeyColumn], condition: &Sql) -> Sql {
        let own = self.table(table);
        if self.mariadb || key.is_empty() || !condition.text.contains(&own) {
            return condition.clone();
        }
        let key: Vec<_> = key.iter().map(|column| self.column(&self.row(table), &column.name)).collect();
        let key = key.join(", ");
        let mut sql = Sql::new(format!("({key}) in (select * from (select {key} from {own} where "));
        sql.append(condition).push(&format!(" limit {}) as still)", u64::MAX));
        sql
    }

    /// MariaDB knows `delete … returning`; MySQL knows none.
    /// And a change makes no join of `in (select …)`: it reads the whole table.
    fn locks_what_it_reads(&self) -> bool {
        true
    }

    fn returns(&self, erase: bool) -> bool {
        self.mariadb && erase
    }

    fn comparable(&self, point: &Sql, kind: PointKind, by_time: bool) -> Sql {
        let mut sql = point.clone();
        match kind {
            PointKind::IsoText if by_time => return point.clone().inside(to_the_second),
            // what another condition of the same `and` has ruled out is cast all the same, and fails a change of rows
            PointKind::IsoTextWithOffset => {
                sql = Sql::new("(case when ");
                sql.append(&self.readable(point, kind)).push(" then ").append(&self.utc(point)).push(" end)");
            }
            _ => {}
        }
        sql
    }

    fn bound(&self, kind: PointKind) -> String {
        match kind {
            PointKind::Date => format!("cast({PLACEHOLDER} as date)"),
            PointKind::DateTime | PointKind::Instant | PointKind::IsoTextWithOffset => {
                format!("cast({PLACEHOLDER} as datetime(6))")
            }
            PointKind::EpochSeconds | PointKind::EpochMilliseconds => format!("cast({PLACEHOLDER} as signed)"),
            PointKind::IsoText => PLACEHOLDER.to_string(),
        }
    }

    fn readable(&self, point: &Sql, kind: PointKind) -> Sql {
        let mut sql = point.clone();
        sql.text = match kind {
            // older tables hold '0000-00-00', and '2021-11-00' for a day that nobody knows
            PointKind::Date | PointKind::DateTime => {
                format!("{0} >= '0001-01-01' and month({0}) > 0 and dayofmonth({0}) > 0", point.text)
            }
            PointKind::Instant => format!("{} >= '1970-01-01 00:00:01'", point.text),
            PointKind::EpochSeconds | PointKind::EpochMilliseconds => {
                format!("{} >= {}", point.text, epoch_range(kind).0)
            }
            PointKind::IsoText => format!("{} regexp {}", point.text, iso_pattern(false)),
            PointKind::IsoTextWithOffset => format!("{} regexp {}", point.text, iso_pattern(true)),
        };
        sql
    }

    fn unreadable(&self, point: &Sql, kind: PointKind) -> Sql {
        let test = match kind {
            // a zero month or day is not looked for: that would read the whole table every night
            PointKind::Date | PointKind::DateTime => " < '0001-01-01'".to_owned(),
            PointKind::Instant => " < '1970-01-01 00:00:01'".to_owned(),
            PointKind::EpochSeconds | PointKind::EpochMilliseconds => {
                let (first, last) = epoch_range(kind);
                return point
                    .clone()
                    .inside(|point| format!("({point} is null or {point} < {first} or {point} > {last})"));
            }
            PointKind::IsoText | PointKind::IsoTextWithOffset => return self.readable(point, kind).negated(),
        };
        let mut sql = Sql::default();
        sql.push("(").append(point).push(" is null or ").append(point).push(&test).push(")");
        sql
    }

    fn told(&self, point: &Sql, kind: PointKind) -> Sql {
        let mut told = match kind {
            PointKind::IsoText => point.clone().inside(to_the_second),
            PointKind::IsoTextWithOffset => {
                self.utc(point).inside(|utc| format!("concat(date_format({utc}, '%Y-%m-%d %H:%i:%s'), 'Z')"))
            }
            PointKind::EpochSeconds | PointKind::EpochMilliseconds => {
                let (first, last) = epoch_range(kind);
                return point
                    .clone()
                    .inside(|point| format!("case when {point} between {first} and {last} then {point} end"));
            }
            _ => point.clone(),
        };
        told.text.insert_str(0, " then ");
        let mut sql = Sql::new("case when ");
        let copies = self.readable(point, kind).text;
        sql.append(&point.clone().inside(|_| copies)).append(&told).push(" end");
        sql
    }

    fn point_shown(&self, point: &Sql, kind: PointKind) -> Sql {
        let mut sql = point.clone();
        sql.text = match kind {
            PointKind::EpochSeconds => format!("cast(from_unixtime({}) as char)", point.text),
            PointKind::EpochMilliseconds => format!("cast(from_unixtime({} / 1000) as char)", point.text),
            _ => format!("cast({} as char)", point.text),
        };
        sql
    }

    fn maintenance(&self, after: After, tables: &[TableName], _root: Option<&TableName>) -> Vec<MaintenanceStep> {
        maintenance::steps(after, tables)
    }

    fn unlimited(&self) -> Option<Statement> {
        Some(maintenance::unlimited(self.mariadb))
    }

    fn remains(&self, after: Option<After>) -> Vec<Remains> {
        maintenance::left(after)
    }

    fn removal(&self) -> Option<Removal> {
        Some(Removal::Exchanged)
    }

    /// Of long texts only the beginning is indexed.
    fn create_index(&self, table: &Table, columns: &[String], _bytewise: bool) -> String {
        const PREFIX: u32 = 32;
        let long = |column: &Column| matches!(column.kind, ColumnKind::Text) && column.sql_type.ends_with("text");
        let column = |name: &String| match table.column(name).is_some_and(long) {
            true => format!("{}({PREFIX})", self.quote(name)),
            false => self.quote(name),
        };
        let columns: Vec<_> = columns.iter().map(column).collect();
        format!(
            "alter table {} add index ({}), algorithm = inplace, lock = none",
            self.table(&table.name),
            columns.join(", ")
        )
    }

    /// A statement takes 65,535 values; beyond some thousands the range optimizer gives up and reads everything.
    fn most_keys(&self, columns: &[KeyColumn]) -> Option<u64> {
        Some(2000 / columns.len().max(1) as u64)
    }

    /// A session needs no privilege, and `for update` none beside those to delete or update (MySQL asks for one of them,
    /// MariaDB for neither). `references` is what shows all columns and foreign keys of a schema: with `select` on a
    /// parent alone its foreign keys stay hidden, and a cascade would go unseen.
    fn grant(&self, privilege: &Privilege, user: &str, _database: &str) -> Option<String> {
        let columns = |names: &std::collections::BTreeSet<String>| {
            names.iter().map(|name| self.quote(name)).collect::<Vec<_>>().join(", ")
        };
        let (what, on) = match privilege {
            Privilege::Connect
            | Privilege::Lock(..)
            | Privilege::Truncate(_)
            | Privilege::Maintain(_)
            | Privilege::Own { .. } => return None,
            Privilege::Optimize(table) => ("insert".to_owned(), self.table(table)),
            Privilege::Schema(schema) => ("references".to_owned(), self.tables_of(schema)),
            Privilege::LockTables(schema) => ("lock tables".to_owned(), self.tables_of(schema)),
            Privilege::Exchange(table) => (partitions::ON_TABLE.join(", "), self.table(table)),
            Privilege::Aside(table) => (partitions::ON_ASIDE.join(", "), self.table(table)),
            Privilege::Select(table) => ("select".to_owned(), self.table(table)),
            Privilege::SelectColumns(table, names) => (format!("select ({})", columns(names)), self.table(table)),
            Privilege::Insert(table, names) => (format!("insert ({})", columns(names)), self.table(table)),
            Privilege::Delete(table) => ("delete".to_owned(), self.table(table)),
            Privilege::Update(table, names) => (format!("update ({})", columns(names)), self.table(table)),
        };
        Some(format!("grant {what} on {on} to {};", self.account(user)))
    }

    fn first_day(&self, value: &str, kind: PointKind, unit: CalendarUnit, zone: &TimeZone) -> Option<Sql> {
        let readable = self.readable(&Sql::new(value), kind).text;
        let format = match unit {
            CalendarUnit::Year => "%Y-01-01",
            CalendarUnit::Month => "%Y-%m-01",
            CalendarUnit::Day => "%Y-%m-%d",
        };
        let local = match kind {
            PointKind::Date | PointKind::DateTime => Sql::new(value),
            PointKind::Instant => self.local(value, zone),
            PointKind::EpochSeconds
            | PointKind::EpochMilliseconds
            | PointKind::IsoText
            | PointKind::IsoTextWithOffset => return None,
        };
        let mut sql = Sql::new(format!("(case when {readable} then cast(date_format("));
        sql.append(&local).push(&format!(", '{format}') as date) end)"));
        Some(sql)
    }

    /// `values` names the new row in MariaDB and in every MySQL, which prefers an alias by now.
    fn raise(&self, _table: &TableName, _key: &[String], column: &str) -> String {
        format!(" on duplicate key update {column} = greatest(coalesce({column}, 0), values({column}))")
    }

    fn update_from(
        &self,
        table: &TableName,
        row: &str,
        columns: &[(String, String)],
        source: &Sql,
        other: &str,
        on: &str,
    ) -> Sql {
        let columns: Vec<_> = columns.iter().map(|(column, value)| format!("{row}.{column} = {value}")).collect();
        let mut sql = Sql::new(format!("update {} as {row} join ", self.table(table)));
        sql.append(source).push(&format!(" as {other} on {on} set {}", columns.join(", ")));
        sql
    }

    fn recursion(&self) -> Recursion {
        if self.mariadb { Recursion::Joined } else { Recursion::Lateral }
    }

    fn table_identity(&self, table: &TableName) -> Statement {
        let sql = format!(
            "select cast(create_time as char) from information_schema.tables \
             where table_schema = {PLACEHOLDER} and table_name = {PLACEHOLDER}"
        );
        let args = vec![Value::Text(table.schema.clone()), Value::Text(table.name.clone())];
        self.finish(Sql { text: sql, args })
    }

    fn explain(&self, statement: &Statement) -> Statement {
        Statement { sql: format!("explain format=json {}", statement.sql), args: statement.args.clone() }
    }
}

impl Mysql {
    /// Every table of a schema. Here, and only here, a schema's name is a pattern.
    fn tables_of(&self, schema: &str) -> String {
        let pattern = schema.replace('\\', "\\\\").replace('_', "\\_").replace('%', "\\%");
        format!("{}.*", self.quote(&pattern))
    }

    /// `name`, `name@host` or `'name'@'host'`. Backticks mean the same in every SQL mode.
    fn account(&self, user: &str) -> String {
        let quoted = user.strip_prefix('\'').and_then(|user| user.strip_suffix('\''));
        let (name, host) =
            quoted.and_then(|user| user.split_once("'@'")).or_else(|| user.rsplit_once('@')).unwrap_or((user, "%"));
        format!("{}@{}", self.quote(name), self.quote(host))
    }

    /// A `timestamp`, which sessions see in UTC, in another zone. The server's own tables of zones are empty on many
    /// machines, and what it cannot convert becomes null: so the offsets come from here.
    fn local(&self, value: &str, zone: &TimeZone) -> Sql {
        let mut offset = zone.to_offset(FIRST_TIMESTAMP);
        let mut earlier = Sql::default();
        for change in zone.following(FIRST_TIMESTAMP).take_while(|change| change.timestamp() < LAST_TIMESTAMP) {
            if change.offset() != offset {
                let until = TimeZone::UTC.to_datetime(change.timestamp()).strftime("%Y-%m-%d %H:%M:%S").to_string();
                let text = format!(" when {value} < {} then {}", self.bound(PointKind::Instant), offset.seconds());
                earlier.append(&Sql::bound(text, Value::Text(until)));
                offset = change.offset();
            }
        }
        let mut sql = Sql::new(format!("{value} + interval "));
        match earlier.text.is_empty() {
            true => sql.push(&offset.seconds().to_string()),
            false => sql.push("(case").append(&earlier).push(&format!(" else {} end)", offset.seconds())),
        };
        sql.push(" second");
        sql
    }

    /// Row comparison spelled out, because only that form is served by an index here.
    fn ordered(&self, row: &str, columns: &[KeyColumn], key: &[String], operator: char, or_at: bool) -> Sql {
        let mut alternatives = Vec::new();
        for last in 0..columns.len() {
            let mut terms = Vec::new();
            for (i, column) in columns[..=last].iter().enumerate() {
                let at_end = or_at && last == columns.len() - 1;
                let sign = match (i == last, at_end) {
                    (false, _) => "=".to_owned(),
                    (true, false) => operator.to_string(),
                    (true, true) => format!("{operator}="),
                };
                let mut term = Sql::new(format!("{} {sign} ", self.column(row, &column.name)));
                term.append(&self.bind(&column.codec, &key[i]));
                terms.push(term);
            }
            alternatives.push(Sql::join(&terms, " and ").nested());
        }
        if alternatives.len() == 1 { alternatives.remove(0) } else { Sql::join(&alternatives, " or ").nested() }
    }

    /// ISO text with `Z` or an offset, as a UTC datetime.
    fn utc(&self, point: &Sql) -> Sql {
        let value = &point.text;
        // the seconds may be left out, and a fraction of them counts for nothing
        let local = format!(
            "cast(concat(replace(left({value}, 16), 'T', ' '), case when substr({value}, 17, 1) = ':' \
             then substr({value}, 17, 3) else ':00' end) as datetime)"
        );
        let text = format!(
            "(case when {value} regexp '[+-][0-9]{{2}}:?[0-9]{{2}}$' then timestampadd(minute, \
             -(case substr({value}, -6, 1) when '-' then -1 when '+' then 1 \
             else (case substr({value}, -5, 1) when '-' then -1 else 1 end) end) * \
             (case when substr({value}, -3, 1) = ':' \
             then cast(substr({value}, -5, 2) as signed) * 60 + cast(right({value}, 2) as signed) \
             else cast(substr({value}, -4, 2) as signed) * 60 + cast(right({value}, 2) as signed) end), {local}) \
             else {local} end)"
        );
        let copies = text.matches(value.as_str()).count();
        Sql { text, args: point.args.iter().cloned().cycle().take(point.args.len() * copies).collect() }
    }
}

/// A text that tells a day or a time without offset, always as `2026-11-22 15:00:00`.
fn to_the_second(text: &str) -> String {
    format!("replace(left(concat({text}, substr(' 00:00:00', char_length({text}) - 9)), 19), 'T', ' ')")
}
