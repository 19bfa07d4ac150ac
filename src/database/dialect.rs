//! What differs between the engines' SQL, as text: quoting, casts, key lists, ranges. No input or output.

use super::{
    FactScope, KeyColumn, Privilege, Recursion, Removal,
    maintenance::{MaintenanceStep, Remains},
    statements::Stride,
};
use crate::{
    catalog::{Codec, Engine, Operand, Table, TableName},
    clock::PointKind,
    rules::{After, CalendarUnit, condition::Expression},
    sql::{PLACEHOLDER, Sql, Statement, Value},
};
use jiff::tz::TimeZone;
use std::time::Duration;

/// Decimal digits of other scripts than ASCII's, as ranges of a bracket expression: Arabic, Persian, Devanagari, full width,
/// mathematical.
pub(super) const DIGITS: &str = "٠-٩۰-۹०-९０-９𝟎-𝟿";

/// What a select that locks its rows does about one that somebody else has locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lock {
    /// It waits, as long as the session may.
    Waiting,
    /// It fails, and locks nothing.
    AtOnce,
    /// It leaves the row out.
    Free,
}

impl Lock {
    /// For what goes along with rows that were locked so: of that nothing can be left out.
    pub fn along(self) -> Self {
        if self == Self::Free { Self::AtOnce } else { self }
    }
}

/// ` and … not in (…)`, for numbers of sessions.
pub(super) fn not_among(expression: &str, numbers: &[i64]) -> Sql {
    if numbers.is_empty() {
        return Sql::default();
    }
    let numbers: Vec<_> = numbers.iter().map(|n| Sql::bound(PLACEHOLDER.to_string(), Value::Integer(*n))).collect();
    let mut sql = Sql::new(format!(" and {expression} not in ("));
    sql.append(&Sql::join(&numbers, ", ")).push(")");
    sql
}

/// One engine's SQL.
pub trait Dialect: std::fmt::Debug + Send + Sync {
    fn engine(&self) -> Engine;

    /// What the server tells that no other server tells too; on engines whose schemas are not databases, of the database.
    fn whereabouts(&self) -> &'static str;

    /// An identifier, quoted.
    fn quote(&self, identifier: &str) -> String;

    /// A text literal. For conditions, whose types only the server knows; everything else is bound.
    fn literal(&self, text: &str) -> String;

    /// The `number`th placeholder, counted from 1.
    fn placeholder(&self, number: usize) -> String;

    /// The name by which a statement calls the rows of the table that it is about.
    fn row(&self, table: &TableName) -> String;

    /// The table with that name given to it, as it stands after `from` and `update`.
    fn target(&self, table: &TableName) -> String;

    /// What stands after the table's name to keep a walk along the key from straying to another index.
    fn along_key(&self) -> &'static str {
        ""
    }

    /// What stands after the table's name to have its rows read by this index alone.
    fn along_index(&self, _index: &str) -> String {
        String::new()
    }

    /// What stands after the table's name to have rows with known primary keys read by these alone.
    fn along_primary_key(&self) -> String {
        String::new()
    }

    /// What stands after `delete` and `update` to have rows with known primary keys found by these alone.
    fn by_primary_key(&self, _table: &TableName) -> String {
        String::new()
    }

    /// A value as text, as people and recipients read it.
    fn text(&self, expression: &str, column: &KeyColumn) -> String;

    /// A text in a form in which spellings of one identifier are equal, whatever the collations of their columns are.
    fn as_identifier(&self, text: &str) -> String {
        format!("lower(trim({text}))")
    }

    /// A value as text that names it exactly: [`Dialect::bind`] finds the same value again.
    fn key_text(&self, expression: &str, column: &KeyColumn) -> String {
        self.text(expression, column)
    }

    /// The text has so many digits, each with few signs between, that a card number may be in it; or more.
    fn has_digits(&self, text: &str) -> String;

    /// Anything the server computes, as text.
    fn shown(&self, expression: &str) -> String;

    /// The value that [`Dialect::key_text`] printed, to compare the column with.
    fn bind(&self, codec: &Codec, text: &str) -> Sql;

    /// A text that was computed for the column, to be stored in it.
    fn new_value(&self, codec: &Codec, text: String) -> Sql;

    /// The column compares so with a value; `operator` is one of `<`, `<=`, `>` and `>=`. Where the column holds something
    /// that cannot be told to compare so, the condition does not hold.
    fn compare(&self, column: &str, codec: &Codec, operator: &str, operand: &Operand) -> Sql {
        let mut sql = Sql::new(format!("{} {operator} ", self.compared(column, codec)));
        sql.append(&self.bind(codec, &operand.text));
        sql
    }

    /// The column as it stands beside literals.
    fn compared(&self, column: &str, _codec: &Codec) -> String {
        column.to_owned()
    }

    /// The column holds one of these values, of which there is at least one.
    fn among(&self, column: &str, codec: &Codec, operands: &[Operand]) -> Sql {
        let values: Vec<_> = operands.iter().map(|operand| self.bind(codec, &operand.text)).collect();
        let mut sql = Sql::new(format!("{} in (", self.compared(column, codec)));
        sql.append(&Sql::join(&values, ", ")).push(")");
        sql
    }

    /// The column holds a value, and certainly none of these.
    fn not_among(&self, column: &str, codec: &Codec, operands: &[Operand]) -> Sql {
        // a row without a value is in doubt, and rows in doubt stay
        let there = Sql::new(format!("{column} is not null"));
        if operands.is_empty() {
            return there;
        }
        let mut sql = self.among(column, codec, operands);
        let end = self.compared(column, codec).len();
        sql.text.replace_range(end..end + " in".len(), " not in");
        Sql::join([&sql, &there], " and ")
    }

    /// A column of numbers holds this truth: nothing but 1 and 0 is one.
    fn truth(&self, column: &str, value: bool) -> Sql {
        Sql::new(format!("{column} = {}", u8::from(value)))
    }

    /// The columns (of `row`) equal one of these keys.
    fn one_of(&self, row: &str, columns: &[KeyColumn], keys: &[Vec<String>]) -> Sql {
        let names: Vec<_> = columns.iter().map(|column| self.column(row, &column.name)).collect();
        let codecs: Vec<_> = columns.iter().map(|column| &column.codec).collect();
        self.listed(&names, &codecs, keys)
    }

    /// These expressions equal one of the keys, which are printed and compared as the codecs say.
    fn listed(&self, names: &[String], codecs: &[&Codec], keys: &[Vec<String>]) -> Sql;

    /// The columns, compared from the first to the last, lie after this key (or at it).
    fn beyond(&self, row: &str, columns: &[KeyColumn], key: &[String], or_at: bool) -> Sql {
        self.side(row, columns, if or_at { ">=" } else { ">" }, key)
    }

    /// The columns, compared from the first to the last, lie before this key or at it.
    fn through(&self, row: &str, columns: &[KeyColumn], key: &[String]) -> Sql {
        self.side(row, columns, "<=", key)
    }

    /// The columns, compared from the first to the last, lie on one side of a key.
    fn side(&self, row: &str, columns: &[KeyColumn], operator: &str, key: &[String]) -> Sql {
        let names: Vec<_> = columns.iter().map(|column| self.column(row, &column.name)).collect();
        let values: Vec<_> = columns.iter().zip(key).map(|(column, text)| self.bind(&column.codec, text)).collect();
        let mut sql = Sql::new(format!("({}) {operator} (", names.join(", ")));
        sql.append(&Sql::join(&values, ", ")).push(")");
        sql
    }

    /// A column, such as one of a foreign key, in a form in which it compares by the rules of the column that it refers to.
    fn referring(&self, column: &str, _codec: &Codec, _referenced: &Codec) -> String {
        column.to_owned()
    }

    /// The columns of the row `child` hold the values of the referenced columns of the row `parent`, by the rules of the
    /// referenced columns: as foreign keys compare.
    fn refers(&self, child: &str, columns: &[KeyColumn], parent: &str, referenced: &[KeyColumn]) -> String {
        let equal = |(column, other): (&KeyColumn, &KeyColumn)| {
            let here = self.referring(&self.column(child, &column.name), &column.codec, &other.codec);
            self.equals_referenced(&here, &self.column(parent, &other.name))
        };
        columns.iter().zip(referenced).map(equal).collect::<Vec<_>>().join(" and ")
    }

    /// Which side decides how two columns compare differs between the engines.
    fn equals_referenced(&self, referring: &str, referenced: &str) -> String {
        format!("{referring} = {referenced}")
    }

    /// The columns of the row `child` hold one of these keys of the referenced columns, by the rules of these.
    fn refers_to_one_of(
        &self,
        child: &str,
        columns: &[KeyColumn],
        referenced: &[KeyColumn],
        keys: &[Vec<String>],
    ) -> Sql {
        let names: Vec<_> = columns
            .iter()
            .zip(referenced)
            .map(|(column, other)| self.referring(&self.column(child, &column.name), &column.codec, &other.codec))
            .collect();
        let codecs: Vec<_> = referenced.iter().map(|column| &column.codec).collect();
        self.listed(&names, &codecs, keys)
    }

    /// What a select adds to keep its rows from changing until the transaction ends; nothing where one writer keeps out all
    /// others.
    fn lock_rows(&self, lock: Lock) -> &'static str;

    /// A select that keeps its rows from changing until the transaction ends.
    fn locking(&self, mut select: Sql, lock: Lock) -> Sql {
        select.push(self.lock_rows(lock));
        select
    }

    /// The texts of all rows as one JSON array of arrays, where handing over row by row would cost as much as the change
    /// itself. `texts` are the columns as [`Dialect::key_text`] makes them.
    fn packed(&self, _texts: &[String], _columns: &[KeyColumn]) -> Option<String> {
        None
    }

    /// Rewrites a condition into a form that the engine takes in a statement that changes rows of this table.
    fn in_change(&self, _table: &TableName, _key: &[KeyColumn], condition: &Sql) -> Sql {
        condition.clone()
    }

    /// Whatever a statement that locks or changes rows reads on its way to them is locked too, and so are rows that others
    /// have locked in its way: it had better know the rows by their keys.
    fn locks_what_it_reads(&self) -> bool {
        false
    }

    /// `delete … returning` and `update … returning` are understood.
    fn returns(&self, erase: bool) -> bool;

    /// The starting point in the form in which it is compared, with a time of day or only a date.
    fn comparable(&self, point: &Sql, kind: PointKind, by_time: bool) -> Sql;

    /// One placeholder for a bound of this kind, cast.
    fn bound(&self, kind: PointKind) -> String;

    /// Rewrites a condition for statements that hold it against every row, so that bounds are worked out once and not for each row.
    fn worked_out_once(&self, condition: Sql) -> Sql {
        condition
    }

    /// The value is there and tells a time.
    fn readable(&self, point: &Sql, kind: PointKind) -> Sql;

    /// To tell whether a value can be read costs much more than to compare it.
    fn reads_dearly(&self, _kind: PointKind) -> bool {
        false
    }

    /// The value is not there or tells no time: where it can be, in words that an index serves.
    fn unreadable(&self, point: &Sql, kind: PointKind) -> Sql {
        self.readable(point, kind).negated()
    }

    /// The value is not there or tells no time, as far as an index on it can tell. Nights with nothing due ask this much cheaper
    /// question.
    fn plainly_unreadable(&self, point: &Sql, kind: PointKind) -> Sql {
        self.unreadable(point, kind)
    }

    /// The value in one form, so that the greatest of several is the latest: it is stored alike, can be read as the value
    /// itself, and is null where the value tells no time.
    fn told(&self, point: &Sql, kind: PointKind) -> Sql {
        let mut sql = Sql::new("case when ");
        sql.append(&self.readable(point, kind)).push(" then ").append(point).push(" end");
        sql
    }

    /// The value as text for people.
    fn point_shown(&self, point: &Sql, kind: PointKind) -> Sql;

    /// How the server would find the rows of this statement.
    fn explain(&self, statement: &Statement) -> Statement;

    /// The greatest number of keys that one statement may list, where there is one.
    fn most_keys(&self, _columns: &[KeyColumn]) -> Option<u64> {
        None
    }

    /// The statement that makes an index on these columns, without stopping the table's writers where that can be;
    /// `bytewise` with texts in the order of their bytes, whatever the column's own.
    fn create_index(&self, table: &Table, columns: &[String], bytewise: bool) -> String;

    /// One number: the heap blocks of a table, for engines whose rows can be walked by them.
    fn blocks(&self, _table: &TableName) -> Option<Statement> {
        None
    }

    /// What cleans up after rows that went from these tables. `root` is the partitioned table that they belong to.
    fn maintenance(&self, after: After, tables: &[TableName], root: Option<&TableName>) -> Vec<MaintenanceStep>;

    /// Has the session wait so long, at most, for rows that others have locked; as near to that as the server can.
    fn wait_for_rows(&self, _longest: Duration) -> Option<Statement> {
        None
    }

    /// One number: the server's for this session.
    fn session_number(&self) -> Option<Statement> {
        None
    }

    /// Two numbers: sessions that wait for what this one has locked, and those of the same database in a transaction that has
    /// written; of the latter, not those with these numbers.
    fn other_writers(&self, _own: &[i64]) -> Option<Statement> {
        None
    }

    /// One text that is another one when others have written in between, for engines where they cannot be seen at it.
    fn written_by_others(&self) -> Option<Statement> {
        None
    }

    /// One number: other sessions that have locked one of these tables in a way in which no row of it can be changed; for
    /// engines where such a lock would else be taken for one of rows.
    fn table_locks(&self, _tables: &[&TableName]) -> Option<Statement> {
        None
    }

    /// Lifts the session's limit on statements.
    fn unlimited(&self) -> Option<Statement> {
        None
    }

    /// Does what the server would do at the commit: checks and triggers that wait for it.
    fn deferred(&self) -> Option<Statement> {
        None
    }

    /// Before a transaction: all its statements shall see the rows as its first one does. `None` where
    /// [`begin_still`](super::Connection::begin_still) is enough.
    fn one_moment(&self) -> Option<Statement> {
        None
    }

    /// Names of those of these tables that the user may not clean up.
    fn not_maintained(&self, _tables: &[TableName]) -> Option<Statement> {
        None
    }

    /// The partitions that hold rows of a condition, where partitions are tables: schema and name.
    fn holding(&self, _table: &TableName, _condition: &Sql) -> Option<Statement> {
        None
    }

    /// Where bytes of rows that went still are, with or without that cleaning.
    fn remains(&self, after: Option<After>) -> Vec<Remains>;

    /// How a whole partition goes, where the engine has partitions.
    fn removal(&self) -> Option<Removal> {
        None
    }

    /// The row belongs to this share of all rows. `column` is the first of its key. Only for engines with blocks.
    fn in_stride(&self, _column: &str, _key: &KeyColumn, _stride: Stride) -> Sql {
        Sql::new("true")
    }

    /// One text: the server's name for the open transaction, where it has one that outlives it.
    fn transaction_id(&self) -> Option<Statement> {
        None
    }

    /// One text: whose transactions those names are. Another server has another one, and so has the same server after it
    /// was brought back to an earlier moment, from which it goes on and gives the same names anew. `None` where transactions
    /// have no names.
    fn history(&self) -> Option<Statement> {
        None
    }

    /// One text: what became of the transaction of that name: `committed`, `aborted`, anything else.
    fn transaction_status(&self, _id: &str) -> Option<Statement> {
        None
    }

    /// The first day of the year or month that a time lies in, or its day, as a date; null where the value tells no time.
    /// Points in time are told in `zone`, others as they are written. `None` for kinds that this engine cannot do it with.
    fn first_day(&self, value: &str, kind: PointKind, unit: CalendarUnit, zone: &TimeZone) -> Option<Sql>;

    /// What an insert adds so that, where a row with this key is there already, its `column` is raised to the new value if
    /// that is greater, and nothing else done.
    fn raise(&self, table: &TableName, key: &[String], column: &str) -> String {
        let old = format!("{}.{column}", self.quote(&table.name));
        format!(
            " on conflict ({}) do update set {column} = excluded.{column} where coalesce({old}, 0) < excluded.{column}",
            key.join(", ")
        )
    }

    /// Sets columns of the rows of `table`, called `row`, that match a row of `source`, called `other`.
    fn update_from(
        &self,
        table: &TableName,
        row: &str,
        columns: &[(String, String)],
        source: &Sql,
        other: &str,
        on: &str,
    ) -> Sql {
        let columns: Vec<_> = columns.iter().map(|(column, value)| format!("{column} = {value}")).collect();
        let mut sql = Sql::new(format!("update {} as {row} set {} from ", self.table(table), columns.join(", ")));
        sql.append(source).push(&format!(" as {other} where {on}"));
        sql
    }

    /// The statement that gives a privilege to a user; `None` where the engine knows no such privilege. `database` is
    /// the database's name on its server.
    fn grant(&self, _privilege: &Privilege, _user: &str, _database: &str) -> Option<String> {
        None
    }

    /// A row when this owner of a table may have his code run in Sunset's sessions: he is the user himself, or the database
    /// is his. `None` where nobody's triggers run with the rights of who changes the table.
    fn trusts(&self, _owner: &str) -> Option<Statement> {
        None
    }

    /// How a recursive query is written that has several ways to go on.
    fn recursion(&self) -> Recursion {
        Recursion::Terms
    }

    /// One text: what tells this database from every other one, restored copies included, where tables and columns keep
    /// numbers of their own whatever they are called.
    fn database_identity(&self) -> Option<Statement> {
        None
    }

    /// One text, which changes when the table is made anew. Where [`Dialect::database_identity`] is known, it stays the
    /// same for as long as the table is there; elsewhere a rebuild may change it too.
    fn table_identity(&self, table: &TableName) -> Statement;

    /// Schema and name of the table with that identity; no row when there is none.
    fn table_with_identity(&self, _identity: &str) -> Option<Statement> {
        None
    }

    /// Name and identity of each column of a table, where columns keep one.
    fn column_identities(&self, _table: &TableName) -> Option<Statement> {
        None
    }

    /// Kind, schema, table, name and definition of what plans rely on in the schema.
    fn facts(&self, scope: &FactScope<'_>) -> Statement;

    /// One text, which changes whenever anything in the schema does; for engines on which it costs nothing to ask.
    fn schema_version(&self) -> Option<Statement> {
        None
    }

    /// Schema and name of each table with the number of rows that the session has changed or erased in it; for engines that
    /// count the rows of an open transaction.
    fn rows_changed(&self) -> Option<Statement> {
        None
    }

    /// Names of the routines that the texts of triggers may call; for engines whose triggers are known by their texts.
    fn routines(&self) -> Option<Statement> {
        None
    }

    /// In a session of its own, before it reads the same facts again and again.
    fn reads_facts_often(&self) -> Option<Statement> {
        None
    }

    /// Schema and name of each table that inherits from another one, partitions left out, and of that one.
    fn inheritance(&self) -> Option<Statement> {
        None
    }

    /// The table has a column of that name, as the engine compares names.
    fn has_column(&self, table: &Table, name: &str) -> bool {
        match self.engine() {
            Engine::Postgres => table.column(name).is_some(),
            Engine::Mysql | Engine::Sqlite => {
                table.columns.iter().any(|c| c.name.to_lowercase() == name.to_lowercase())
            }
        }
    }

    /// A condition that somebody wrote, on rows called `row`.
    fn condition(&self, expression: &Expression, row: &str) -> Sql {
        Sql::new(expression.render(&|name| self.quote(name), &|text| self.literal(text), row)).nested()
    }

    /// Makes a statement of a piece of SQL.
    fn finish(&self, sql: Sql) -> Statement {
        sql.finish(|number| self.placeholder(number))
    }

    /// `row.column`, quoted; `row` is quoted already, or empty.
    fn column(&self, row: &str, name: &str) -> String {
        let dot = if row.is_empty() { "" } else { "." };
        format!("{row}{dot}{}", self.quote(name))
    }

    /// `schema.table`, quoted.
    fn table(&self, table: &TableName) -> String {
        format!("{}.{}", self.quote(&table.schema), self.quote(&table.name))
    }
}

/// Days that the calendar has, as a regular expression.
const DAY: &str = "(?!0000)([0-9]{4}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)\
                   |02-(0[1-9]|1[0-9]|2[0-8]))|([0-9]{2}(0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)-02-29)";

/// Text that tells a time, as a literal: what it matches can be cast.
pub(super) fn iso_pattern(with_offset: bool) -> String {
    const HOUR: &str = "[T ]([01][0-9]|2[0-3]):[0-5][0-9]";
    const SECOND: &str = ":[0-5][0-9]([.][0-9]+)?";
    match with_offset {
        true => format!("'^({DAY}){HOUR}({SECOND})?([Zz]|[+-](0[0-9]|1[0-5]):?[0-5][0-9])$'"),
        false => format!("'^({DAY})({HOUR}({SECOND})?)?$'"),
    }
}

/// What a column that counts time from 1970 can mean: the years 1 to 9999. A floating-point number may be infinite, and
/// infinity tells no time.
pub(super) fn epoch_range(kind: PointKind) -> (i64, i64) {
    const SECONDS: (i64, i64) = (-62_135_596_800, 253_402_300_799);
    match kind {
        PointKind::EpochMilliseconds => (SECONDS.0 * 1000, SECONDS.1 * 1000 + 999),
        _ => SECONDS,
    }
}

/// `quote` doubled inside, and around.
pub(super) fn quoted(text: &str, quote: char) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push(quote);
    for character in text.chars() {
        if character == quote {
            quoted.push(quote);
        }
        quoted.push(character);
    }
    quoted.push(quote);
    quoted
}
