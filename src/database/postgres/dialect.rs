//! PostgreSQL's SQL.

use super::{Postgres, codec, facts, maintenance};
use crate::{
    catalog::{Codec, Engine, Table, TableKind, TableName, Values},
    clock::PointKind,
    database::{
        Dialect, FactScope, KeyColumn, Privilege, Recursion, Removal,
        dialect::{DIGITS, Lock, epoch_range, iso_pattern, not_among, quoted},
        maintenance::{MaintenanceStep, Remains},
        statements::Stride,
    },
    rules::{After, CalendarUnit},
    sql::{PLACEHOLDER, Sql, Statement, Value},
};

use jiff::{
    civil::{Date, DateTime},
    tz::TimeZone,
};
use std::time::Duration;

impl Dialect for Postgres {
    fn engine(&self) -> Engine {
        Engine::Postgres
    }

    fn facts(&self, scope: &FactScope<'_>) -> Statement {
        facts::facts(scope)
    }

    /// The server keeps the counts for a moment after a transaction: only differences within one tell something.
    fn rows_changed(&self) -> Option<Statement> {
        Some(Statement::new(
            "select schemaname::text, relname::text, (n_tup_upd + n_tup_del)::text from pg_stat_xact_user_tables
             where n_tup_upd + n_tup_del > 0",
        ))
    }

    /// Its plan does not depend on which tables are asked about, and takes longer to make than to execute.
    fn reads_facts_often(&self) -> Option<Statement> {
        Some(Statement::new("select set_config('plan_cache_mode', 'force_generic_plan', false)"))
    }

    fn whereabouts(&self) -> &'static str {
        "select pg_postmaster_start_time()::text, current_database()::text"
    }

    fn quote(&self, identifier: &str) -> String {
        quoted(identifier, '"')
    }

    fn literal(&self, text: &str) -> String {
        quoted(text, '\'')
    }

    fn placeholder(&self, number: usize) -> String {
        format!("${number}")
    }

    fn row(&self, _table: &TableName) -> String {
        "t".to_owned()
    }

    fn target(&self, table: &TableName) -> String {
        format!("{} as t", self.table(table))
    }

    fn text(&self, expression: &str, _column: &KeyColumn) -> String {
        format!("{expression}::text")
    }

    fn has_digits(&self, text: &str) -> String {
        let digit = format!("0-9{DIGITS}");
        format!("{text} ~ '[{digit}]([^{digit}]{{0,6}}[{digit}]){{12}}'")
    }

    fn shown(&self, expression: &str) -> String {
        format!("({expression})::text")
    }

    fn bind(&self, codec: &Codec, text: &str) -> Sql {
        codec::bind(codec, text)
    }

    /// The operators of enumerations do not take domains over them.
    fn compared(&self, column: &str, codec: &Codec) -> String {
        match codec.values {
            Values::Words { .. } => format!("{column}::{}", codec.cast),
            _ => column.to_owned(),
        }
    }

    fn new_value(&self, codec: &Codec, text: String) -> Sql {
        Sql::bound(format!("{PLACEHOLDER}{}", codec::cast(codec)), Value::Text(text))
    }

    fn listed(&self, names: &[String], codecs: &[&Codec], keys: &[Vec<String>]) -> Sql {
        let arrays: Vec<_> = codecs.iter().map(|codec| format!("{PLACEHOLDER}{}", codec::array_cast(codec))).collect();
        let args =
            (0..names.len()).map(|i| Value::Texts(keys.iter().map(|key| key.get(i).cloned()).collect())).collect();
        let text = match names {
            // an array of arrays falls apart into their elements
            _ if codecs.iter().any(|codec| codec.cast.ends_with("[]")) => {
                let texts = vec![format!("{PLACEHOLDER}::text[]"); names.len()].join(", ");
                let columns: Vec<_> = (0..names.len()).map(|i| format!("k{i}")).collect();
                let values: Vec<_> =
                    columns.iter().zip(codecs).map(|(column, codec)| format!("{column}::{}", codec.cast)).collect();
                let (names, columns) = (names.join(", "), columns.join(", "));
                format!("({names}) in (select {} from unnest({texts}) as k({columns}))", values.join(", "))
            }
            [name] => format!("{name} = any({})", arrays.join(", ")),
            _ => format!("({}) in (select * from unnest({}))", names.join(", "), arrays.join(", ")),
        };
        Sql { text, args }
    }

    fn referring(&self, column: &str, codec: &Codec, referenced: &Codec) -> String {
        codec::referring(column, codec, referenced)
    }

    fn wait_for_rows(&self, longest: Duration) -> Option<Statement> {
        Some(Statement::new(format!("set lock_timeout = {}", longest.as_millis())))
    }

    fn table_locks(&self, tables: &[&TableName]) -> Option<Statement> {
        let texts = tables.iter().map(|table| Some(self.table(table))).collect();
        let mut sql = Sql::new(
            "select count(*)::text from pg_locks where granted and pid <> pg_backend_pid() \
             and mode in ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock') \
             and relation in (select to_regclass(name)::oid from unnest(",
        );
        sql.append(&Sql::bound(format!("{PLACEHOLDER}::text[]"), Value::Texts(texts))).push(") name)");
        Some(self.finish(sql))
    }

    fn session_number(&self) -> Option<Statement> {
        Some(Statement::new("select pg_backend_pid()::text"))
    }

    /// From `pg_locks`, which shows everybody's: each transaction that has written holds a lock on its own number.
    fn other_writers(&self, own: &[i64]) -> Option<Statement> {
        let mut sql = Sql::new(
            "select (select count(*) from pg_locks where not granted and pg_backend_pid() = any(pg_blocking_pids(pid)))::text, \
             (select count(*) from pg_locks l join pg_stat_activity a on a.pid = l.pid and a.datname = current_database() \
             where l.granted and l.locktype = 'transactionid' and l.mode = 'ExclusiveLock'",
        );
        sql.append(&not_among("l.pid", own)).push(")::text");
        Some(self.finish(sql))
    }

    fn lock_rows(&self, lock: Lock) -> &'static str {
        match lock {
            Lock::Waiting => " for update of t",
            Lock::AtOnce => " for update of t nowait",
            Lock::Free => " for update of t skip locked",
        }
    }

    /// Fetching each row once more for `returning` costs half of the deletion; a list read beforehand, a quarter. Texts of
    /// these kinds hold nothing that JSON would escape, so that their quotes can stand in what separates the rows: each
    /// concatenation less in a row counts.
    fn packed(&self, texts: &[String], columns: &[KeyColumn]) -> Option<String> {
        let plain = |column: &KeyColumn| {
            matches!(column.codec.values, Values::Integer { .. } | Values::Decimal { .. } | Values::Uuid)
        };
        if columns.iter().all(plain) {
            let row = texts.join(r#" || '","' || "#);
            return Some(format!(r#"'[["' || string_agg({row}, '"],["') || '"]]'"#));
        }
        let row: Vec<_> = texts.iter().map(|text| format!("to_json({text})::text")).collect();
        Some(format!("'[[' || string_agg({}, '],[') || ']]'", row.join(" || ',' || ")))
    }

    fn returns(&self, _erase: bool) -> bool {
        true
    }

    fn comparable(&self, point: &Sql, kind: PointKind, by_time: bool) -> Sql {
        let mut sql = point.clone();
        match kind {
            PointKind::IsoText if by_time => {
                return point.clone().inside(|text| format!("{} collate \"C\"", to_the_second(text)));
            }
            PointKind::IsoText => sql.text = format!("{} collate \"C\"", point.text),
            PointKind::IsoTextWithOffset => {
                let pattern = iso_pattern(true);
                sql.text = format!("(case when {0} ~ {pattern} then {0}::timestamptz end)", point.text);
                sql.args.extend(point.args.iter().cloned());
            }
            _ => {}
        }
        sql
    }

    fn bound(&self, kind: PointKind) -> String {
        let name = match kind {
            PointKind::Date => "date",
            PointKind::DateTime => "timestamp",
            PointKind::Instant | PointKind::IsoTextWithOffset => "timestamptz",
            PointKind::EpochSeconds | PointKind::EpochMilliseconds => "bigint",
            PointKind::IsoText => return format!("{PLACEHOLDER}::text"),
        };
        format!("{PLACEHOLDER}::text::{name}")
    }

    /// A cast from text to a time depends on the session, so PostgreSQL repeats it for each row. Counted from 1970 the
    /// same bound is a constant.
    fn worked_out_once(&self, condition: Sql) -> Sql {
        let mut parts = condition.text.split(PLACEHOLDER);
        let mut once = Sql::new(parts.next().unwrap_or_default());
        for (part, value) in parts.zip(condition.args) {
            let constant = ["timestamptz", "timestamp", "date"].into_iter().find_map(|name| {
                let rest = part.strip_prefix("::text::")?.strip_prefix(name)?;
                // `timestamp without time zone`, `timestamp(3)` and `date[]` are types of other names
                if rest.starts_with(|c: char| c.is_alphanumeric() || "_([".contains(c)) || rest.starts_with(" with") {
                    return None;
                }
                let Value::Text(bound) = &value else { return None };
                Some((counted_from_1970(name, bound)?, rest))
            });
            match constant {
                Some((constant, rest)) => once.append(&constant).push(rest),
                None => once.append(&Sql::bound(PLACEHOLDER.to_string(), value)).push(part),
            };
        }
        once
    }

    fn readable(&self, point: &Sql, kind: PointKind) -> Sql {
        let mut sql = point.clone();
        sql.text = match kind {
            // -infinity lies before every cut-off. Not `>`: for a bound below all values the planner looks up the lowest
            // one in the index, past all dead entries, which takes milliseconds for each batch.
            PointKind::Date | PointKind::DateTime | PointKind::Instant => format!("{} <> '-infinity'", point.text),
            PointKind::EpochSeconds | PointKind::EpochMilliseconds => {
                format!("{} >= {}", point.text, epoch_range(kind).0)
            }
            PointKind::IsoText => format!("{} ~ {}", point.text, iso_pattern(false)),
            PointKind::IsoTextWithOffset => format!("{} ~ {}", point.text, iso_pattern(true)),
        };
        sql
    }

    fn unreadable(&self, point: &Sql, kind: PointKind) -> Sql {
        let test = match kind {
            PointKind::Date | PointKind::DateTime | PointKind::Instant => " in ('-infinity', 'infinity')".to_owned(),
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
        let wrap = |point: &str| match kind {
            PointKind::Date | PointKind::DateTime | PointKind::Instant => {
                format!("case when {point} not in ('-infinity', 'infinity') then {point} end")
            }
            PointKind::EpochSeconds | PointKind::EpochMilliseconds => {
                let (first, last) = epoch_range(kind);
                format!("case when {point} between {first} and {last} then {point} end")
            }
            PointKind::IsoText => {
                format!("(case when {point} ~ {} then {} end) collate \"C\"", iso_pattern(false), to_the_second(point))
            }
            PointKind::IsoTextWithOffset => format!(
                "(case when {point} ~ {} then to_char({point}::timestamptz at time zone 'UTC', \
                 'YYYY-MM-DD HH24:MI:SS\"Z\"') end) collate \"C\"",
                iso_pattern(true)
            ),
        };
        point.clone().inside(wrap)
    }

    fn point_shown(&self, point: &Sql, kind: PointKind) -> Sql {
        let mut sql = point.clone();
        sql.text = match kind {
            PointKind::EpochSeconds => format!("(to_timestamp({})::timestamp)::text", point.text),
            PointKind::EpochMilliseconds => format!("(to_timestamp({} / 1000.0)::timestamp)::text", point.text),
            _ => format!("{}::text", point.text),
        };
        sql
    }

    /// An index of a partitioned table cannot be made concurrently.
    fn create_index(&self, table: &Table, columns: &[String], bytewise: bool) -> String {
        let how = if table.kind == TableKind::Partitioned { "" } else { " concurrently" };
        let order = if bytewise { " collate \"C\"" } else { "" };
        let columns: Vec<_> = columns.iter().map(|column| self.quote(column) + order).collect();
        format!("create index{how} on {} ({})", self.table(&table.name), columns.join(", "))
    }

    fn in_stride(&self, column: &str, key: &KeyColumn, stride: Stride) -> Sql {
        let number = match codec::has_bits(&key.codec) {
            true => column.to_owned(),
            false => format!("hashtext({column}::text)"),
        };
        let args = [stride.of - 1, stride.nth].map(|number| Value::Integer(number.into()));
        let text = format!("({number} & {PLACEHOLDER}::bigint::int) = {PLACEHOLDER}::bigint::int");
        Sql { text, args: args.into() }
    }

    fn blocks(&self, table: &TableName) -> Option<Statement> {
        let sql = format!(
            "select (pg_relation_size({PLACEHOLDER}::text::regclass) / current_setting('block_size')::bigint)::text"
        );
        Some(self.finish(Sql::bound(sql, Value::Text(self.table(table)))))
    }

    fn maintenance(&self, after: After, tables: &[TableName], root: Option<&TableName>) -> Vec<MaintenanceStep> {
        maintenance::steps(after, tables, root)
    }

    fn unlimited(&self) -> Option<Statement> {
        Some(maintenance::unlimited())
    }

    fn deferred(&self) -> Option<Statement> {
        Some(Statement::new("set constraints all immediate"))
    }

    fn not_maintained(&self, tables: &[TableName]) -> Option<Statement> {
        Some(maintenance::not_allowed(tables))
    }

    fn holding(&self, table: &TableName, condition: &Sql) -> Option<Statement> {
        Some(maintenance::holding(table, condition))
    }

    fn remains(&self, after: Option<After>) -> Vec<Remains> {
        maintenance::left(after)
    }

    fn removal(&self) -> Option<Removal> {
        Some(Removal::Transactional)
    }

    fn transaction_id(&self) -> Option<Statement> {
        Some(Statement::new("select pg_current_xact_id()::text"))
    }

    /// The cluster and its timeline. Names are 64 bits long, so that the epoch is part of them.
    fn history(&self) -> Option<Statement> {
        let sql = "select system_identifier::text || '/' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8) \
                   from pg_control_system()";
        Some(Statement::new(sql))
    }

    fn trusts(&self, owner: &str) -> Option<Statement> {
        let sql = format!(
            "select '1'::text where {PLACEHOLDER}::text in (current_user::text, (select pg_get_userbyid(datdba)::text \
             from pg_database where datname = current_database()))"
        );
        Some(self.finish(Sql::bound(sql, Value::Text(owner.to_owned()))))
    }

    fn transaction_status(&self, id: &str) -> Option<Statement> {
        let sql = format!("select pg_xact_status({PLACEHOLDER}::text::xid8)");
        Some(self.finish(Sql::bound(sql, Value::Text(id.to_owned()))))
    }

    /// A user written as MySQL writes them, `'name'@'host'`, is meant without the host.
    fn grant(&self, privilege: &Privilege, user: &str, database: &str) -> Option<String> {
        let columns = |columns: &mut dyn Iterator<Item = &String>| {
            columns.map(|column| self.quote(column)).collect::<Vec<_>>().join(", ")
        };
        let (what, on) = match privilege {
            Privilege::Connect => ("connect".to_owned(), format!("database {}", self.quote(database))),
            Privilege::Schema(schema) => ("usage".to_owned(), format!("schema {}", self.quote(schema))),
            Privilege::Select(table) => ("select".to_owned(), self.table(table)),
            Privilege::SelectColumns(table, names) => {
                (format!("select ({})", columns(&mut names.iter())), self.table(table))
            }
            Privilege::Insert(table, names) => (format!("insert ({})", columns(&mut names.iter())), self.table(table)),
            Privilege::Delete(table) => ("delete".to_owned(), self.table(table)),
            Privilege::Maintain(table) => ("maintain".to_owned(), self.table(table)),
            Privilege::Truncate(table) => ("truncate".to_owned(), self.table(table)),
            Privilege::Own { owner, superuser: false } => (self.quote(owner), String::new()),
            Privilege::Own { superuser: true, .. }
            | Privilege::Optimize(_)
            | Privilege::Exchange(_)
            | Privilege::Aside(_)
            | Privilege::LockTables(_) => return None,
            Privilege::Update(table, names) => (format!("update ({})", columns(&mut names.iter())), self.table(table)),
            // `for update` asks for the right to update at least one column
            Privilege::Lock(table, column) => (format!("update ({})", self.quote(column)), self.table(table)),
        };
        let name = user.strip_prefix('\'').and_then(|user| user.split_once("'@'")).map_or(user, |(name, _)| name);
        let on = if on.is_empty() { on } else { format!(" on {on}") };
        Some(format!("grant {what}{on} to {};", self.quote(name)))
    }

    fn first_day(&self, value: &str, kind: PointKind, unit: CalendarUnit, zone: &TimeZone) -> Option<Sql> {
        let day = |time: &str| format!("date_trunc('{}', {time})::date", unit.word());
        match kind {
            PointKind::Date => Some(Sql::new(day(&format!("{value}::timestamp")))),
            PointKind::DateTime => Some(Sql::new(day(value))),
            PointKind::Instant => {
                let zone = Value::Text(zone.iana_name().unwrap_or("UTC").to_owned());
                Some(Sql::bound(day(&format!("{value} at time zone {PLACEHOLDER}::text")), zone))
            }
            PointKind::EpochSeconds
            | PointKind::EpochMilliseconds
            | PointKind::IsoText
            | PointKind::IsoTextWithOffset => None,
        }
    }

    fn recursion(&self) -> Recursion {
        Recursion::Lateral
    }

    /// The cluster, which a restored dump does not share, and the database in it.
    fn database_identity(&self) -> Option<Statement> {
        Some(database_identity())
    }

    fn table_identity(&self, table: &TableName) -> Statement {
        let sql = format!("select {PLACEHOLDER}::text::regclass::oid::text");
        self.finish(Sql::bound(sql, Value::Text(self.table(table))))
    }

    fn table_with_identity(&self, identity: &str) -> Option<Statement> {
        let sql = format!(
            "select n.nspname::text, c.relname::text from pg_class c join pg_namespace n on n.oid = c.relnamespace \
             where c.oid = {PLACEHOLDER}::text::oid and c.relkind in ('r', 'p')"
        );
        Some(self.finish(Sql::bound(sql, Value::Text(identity.to_owned()))))
    }

    fn column_identities(&self, table: &TableName) -> Option<Statement> {
        let sql = format!(
            "select attname::text, attnum::text from pg_attribute \
             where attrelid = {PLACEHOLDER}::text::regclass and attnum > 0 and not attisdropped"
        );
        Some(self.finish(Sql::bound(sql, Value::Text(self.table(table)))))
    }

    fn inheritance(&self) -> Option<Statement> {
        let sql = "with recursive below as (
                select inhrelid, inhparent from pg_inherits
                union select i.inhrelid, b.inhparent from pg_inherits i join below b on i.inhparent = b.inhrelid)
            select n.nspname::text, c.relname::text, pn.nspname::text, p.relname::text from below
            join pg_class c on c.oid = inhrelid and c.relkind = 'r' and not c.relispartition
            join pg_namespace n on n.oid = c.relnamespace
            join pg_class p on p.oid = inhparent join pg_namespace pn on pn.oid = p.relnamespace
            order by 1, 2, 3, 4";
        Some(Statement::new(sql))
    }

    fn explain(&self, statement: &Statement) -> Statement {
        Statement { sql: format!("explain (costs off) {}", statement.sql), args: statement.args.clone() }
    }
}

/// The cluster and the number of the database in it.
pub(super) fn database_identity() -> Statement {
    Statement::new(
        "select system_identifier::text || '/' || d.oid::text from pg_control_system(), pg_database d \
         where d.datname = current_database()",
    )
}

/// A text that tells a day or a time without offset, always as `2026-11-22 15:00:00`.
fn to_the_second(text: &str) -> String {
    format!("replace(left({text} || substr(' 00:00:00', length({text}) - 9), 19), 'T', ' ')")
}

/// A bound (in UTC, where it has a zone) as an expression that PostgreSQL can work out at planning.
fn counted_from_1970(name: &str, bound: &str) -> Option<Sql> {
    let time: DateTime = bound.parse().ok().or_else(|| bound.parse::<Date>().ok().map(DateTime::from))?;
    let seconds = time.to_zoned(TimeZone::UTC).ok()?.timestamp().as_second();
    let (text, number) = match name {
        "timestamptz" => (format!("to_timestamp({PLACEHOLDER}::text::float8)"), seconds),
        "timestamp" => (format!("(to_timestamp({PLACEHOLDER}::text::float8) at time zone 'UTC')"), seconds),
        _ => (format!("(date '1970-01-01' + {PLACEHOLDER}::text::int)"), seconds.div_euclid(86_400)),
    };
    Some(Sql::bound(text, Value::Text(number.to_string())))
}
