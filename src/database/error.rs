//! What went wrong in a database, in words that hold no row's values.
//!
//! Servers quote values in their messages (`Duplicate entry 'hanako@example.com' for key …`), so a message here is
//! made of the error's code, our own words for it, and the names of constraint, table and column. Only two sorts of
//! server text pass, because no value can be in them: names that stand at a known place of a known message, and what
//! PostgreSQL's parser says about a statement that Sunset wrote (its values are bound, the parser never sees them).

use super::names;
use crate::outcome::Outcome;
use sqlx::{
    mysql::MySqlDatabaseError,
    postgres::{PgDatabaseError, PgErrorPosition},
    sqlite::SqliteError,
};
use std::{fmt::Display, io};

/// What a failed statement means for the batch that sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// Deadlock, serialization failure, busy: try the same transaction again.
    Transient,
    /// Somebody else has a lock, and has not let go of it in time: try again without those rows, or later.
    Locked,
    /// The server ended the statement because it took too long: try again with fewer rows.
    StatementTimeout,
    /// The server cannot be reached, or the connection broke: try again later.
    Unreachable,
    /// User, password, TLS or database name are wrong: trying again will not help.
    Refused,
    /// The user lacks a privilege.
    Privilege,
    /// The server's disk, or a limit of the database's size, has no room: try again when there is some.
    Full,
    /// A constraint (foreign key, unique, not null, check, length, a trigger's objection) stands against the change.
    Constraint,
    /// Anything else.
    Other,
}

impl ErrorKind {
    /// What a command that fails with this comes to.
    pub fn outcome(self) -> Outcome {
        match self {
            Self::Transient | Self::Locked | Self::StatementTimeout | Self::Unreachable | Self::Full => {
                Outcome::Temporary
            }
            Self::Refused | Self::Privilege => Outcome::Invalid,
            Self::Constraint | Self::Other => Outcome::Unexpected,
        }
    }
}

/// A database error. Servers quote row values in their messages, so the message is made of the error's code and the
/// names of constraint, table and column, never of the server's free text.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    pub kind: ErrorKind,
    /// Lowercase, for example `foreign key "orders_customer_id_fkey" of table "orders" stands against it (23503)`.
    pub message: String,
}

impl Error {
    /// An error in our own words. `message` must not hold row values or secrets.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// Says first where it happened.
    pub(super) fn at(self, place: impl Display) -> Self {
        Self { kind: self.kind, message: format!("{place}: {}", self.message) }
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        use ErrorKind::*;
        match error {
            sqlx::Error::Database(error) => {
                if let Some(error) = error.try_downcast_ref::<PgDatabaseError>() {
                    postgres(error)
                } else if let Some(error) = error.try_downcast_ref::<MySqlDatabaseError>() {
                    mysql(error.number(), error.message())
                } else if let Some(error) = error.try_downcast_ref::<SqliteError>() {
                    let code = sqlx::error::DatabaseError::code(error).and_then(|code| code.parse().ok());
                    sqlite(code.unwrap_or_default(), sqlx::error::DatabaseError::message(error))
                } else {
                    Self::new(Other, "the database reported an error that Sunset does not know")
                }
            }
            // How a certificate that does not check out arrives.
            sqlx::Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => {
                Self::new(Refused, format!("no TLS connection: {error}"))
            }
            sqlx::Error::Io(error) => Self::new(Unreachable, format!("no connection: {error}")),
            // TLS texts come from this process, not from the server.
            sqlx::Error::Tls(error) => Self::new(Refused, format!("no TLS connection: {error}")),
            sqlx::Error::WorkerCrashed => Self::new(Unreachable, "the connection broke"),
            // The driver says so, not the server: MySQL's sha2 passwords go through TLS or not at all.
            sqlx::Error::Configuration(error) if error.to_string().contains("mysql-rsa") => {
                Self::new(Refused, "this user's password needs TLS to be sent: set ssl-mode=VERIFY_IDENTITY")
            }
            sqlx::Error::Configuration(_) | sqlx::Error::InvalidArgument(_) => {
                Self::new(Refused, "the connection settings are not valid")
            }
            // The reason quotes bytes of the value: the column's position says enough.
            sqlx::Error::ColumnDecode { index, .. } => Self::new(
                Other,
                format!("column {index} of the result is not UTF-8 text: select it as hexadecimal digits"),
            ),
            sqlx::Error::Decode(_) => Self::new(Other, "a value of the result cannot be read as text"),
            sqlx::Error::Encode(_) => Self::new(Other, "a value cannot be sent to this database"),
            sqlx::Error::Protocol(_) => Self::new(Other, "the server answered in an unexpected way"),
            _ => Self::new(Other, "the database driver failed"),
        }
    }
}

/// `name` in double quotes, one line, whatever it holds.
fn quoted(name: &str) -> String {
    format!("{name:?}")
}

/// The files of PostgreSQL's source whose errors name constraints, columns and tables. What functions raise comes from
/// others.
const NAMING: [&str; 7] =
    ["ri_triggers.c", "nbtinsert.c", "execMain.c", "execIndexing.c", "domains.c", "execExprInterp.c", "tablecmds.c"];

fn postgres(error: &PgDatabaseError) -> Error {
    let code = error.code();
    let (kind, words) = postgres_code(code);
    // A function may raise an error with any text for a name.
    let file = error.file().and_then(|file| file.rsplit('/').next());
    let is_own = file.is_some_and(|file| NAMING.contains(&file));
    let own = |name: Option<&'_ str>| name.filter(|_| is_own).map(str::to_owned);
    let (constraint, column, table) = (own(error.constraint()), own(error.column()), own(error.table()));
    let place = [("constraint", &constraint), ("column", &column), ("of table", &table)];
    let mut message = match (kind, &constraint) {
        (ErrorKind::Constraint, Some(constraint)) => {
            let table = table.as_ref().map(|table| format!(" of table {}", quoted(table))).unwrap_or_default();
            format!("{words} {}{table} stands against it", quoted(constraint))
        }
        _ => place.into_iter().fold(words.to_owned(), |message, (word, name)| match name {
            Some(name) => format!("{message}, {word} {}", quoted(name)),
            None => message,
        }),
    };
    // Class 42 at a position of our own text, outside any function: the parser speaks, and it has seen no row.
    if code.starts_with("42")
        && code != "42501"
        && error.r#where().is_none()
        && let Some(PgErrorPosition::Original(position)) = error.position()
    {
        message = format!("{message}: {} at character {position}", error.message());
    }
    if matches!(code, "42P01" | "42883" | "42704") && error.r#where().is_some() {
        message = format!(
            "{message}, says a function or trigger of the database: give it a search_path of its own, or name its schemas \
             in `search_path` of the database (docs/engines.md)"
        );
    }
    Error::new(kind, format!("{message} ({code})"))
}

fn postgres_code(code: &str) -> (ErrorKind, &'static str) {
    use ErrorKind::*;
    match code {
        "40001" => (Transient, "serialization failure"),
        "40P01" => (Transient, "deadlock"),
        "55P03" => (Locked, "waited too long for a lock"),
        "57014" => (StatementTimeout, "the statement took too long"),
        "42501" => (Privilege, "privilege missing"),
        "25006" => (Privilege, "the server is read-only"),
        "28P01" => (Refused, "wrong user or password"),
        "3D000" => (Refused, "there is no such database"),
        "23502" => (Constraint, "null is not allowed"),
        "23503" => (Constraint, "foreign key"),
        "23505" => (Constraint, "unique constraint"),
        "23514" => (Constraint, "check constraint"),
        "23P01" => (Constraint, "exclusion constraint"),
        "22001" => (Constraint, "the value is too long for its column"),
        "22003" => (Constraint, "the number is out of range for its column"),
        "44000" => (Constraint, "a view's check option stands against it"),
        "P0001" => (Constraint, "a trigger or function objected"),
        "25P03" => (Unreachable, "the server closed a transaction that stood idle"),
        "40003" => (Unreachable, "it is unknown whether the statement completed"),
        "53300" => (Unreachable, "the server has too many connections"),
        "57P01" => (Unreachable, "the server ended the connection"),
        "57P02" | "57P03" | "57P05" => (Unreachable, "the server is starting, stopping or closed the session"),
        "53100" => (Full, "the server's disk is full"),
        "25P02" => (Other, "an earlier statement of this transaction failed"),
        "42P01" => (Other, "there is no such table"),
        "42703" => (Other, "there is no such column"),
        "42883" => (Other, "there is no such function or operator"),
        "42601" => (Other, "syntax error"),
        "22P02" | "22007" | "22008" => (Other, "a value cannot be cast to the column's type"),
        _ => match code.get(..2).unwrap_or_default() {
            "08" => (Unreachable, "the connection failed"),
            "22" => (Other, "a value does not fit the expression"),
            "23" => (Constraint, "constraint"),
            "28" => (Refused, "the server does not let this user in: see its pg_hba.conf, and sslmode in the URL"),
            "42" => (Other, "the statement is not valid here"),
            "53" => (Other, "the server is out of a resource"),
            _ => (Other, "the server refused the statement"),
        },
    }
}

fn mysql(number: u16, text: &str) -> Error {
    use ErrorKind::*;
    let (kind, words, name) = match number {
        1205 => (Locked, "waited too long for a lock", None),
        3572 => (Locked, "somebody else has locked a row", None),
        1213 => (Transient, "deadlock", None),
        1020 => (Transient, "the row changed since it was read", None),
        1969 | 3024 => (StatementTimeout, "the statement took too long", None),
        // KILL QUERY. Somebody wanted this statement to end.
        1317 => (StatementTimeout, "the statement was interrupted", None),
        1045 | 1698 | 1862 | 1820 => (Refused, "wrong user or password", None),
        1044 => (Refused, "the server does not let this user into the database", None),
        1049 => (Refused, "there is no such database", None),
        1251 | 2054 | 2059 | 2061 => (Refused, "user and server disagree on the way of authentication: use TLS", None),
        1129 | 1130 => (Refused, "the server does not accept connections from this host", None),
        1040 | 1203 | 1226 => (Unreachable, "the server has too many connections", None),
        1053 | 1077 | 1079 | 1152..=1161 | 1927 | 3169 | 4031 => (Unreachable, "the server ended the connection", None),
        1142 => (Privilege, "privilege missing", after_last(text, " for table ")),
        1143 => (Privilege, "privilege missing", after_last(text, " for column ")),
        1227 | 1370 => (Privilege, "privilege missing", None),
        1290 | 1792 | 1836 => (Privilege, "the server is read-only", None),
        1062 | 1586 | 1022 | 1169 => (Constraint, "unique key", duplicate_key(text)),
        1451 | 1452 => (Constraint, "foreign key", between(text, "CONSTRAINT `", "` FOREIGN KEY")),
        1216 | 1217 => (Constraint, "foreign key", None),
        4025 => (Constraint, "check constraint", between(text, "CONSTRAINT `", "` failed for ")),
        3819 => (Constraint, "check constraint", between(text, "constraint '", "' is violated")),
        1048 => (Constraint, "null is not allowed, column", between(text, "Column '", "' cannot be null")),
        1364 => (Constraint, "a value is missing, column", between(text, "Field '", "' doesn't have")),
        1406 => (Constraint, "the value is too long, column", between(text, "for column '", "' at row")),
        1264 => (Constraint, "the number is out of range, column", between(text, "for column '", "' at row")),
        1292 | 1366 => (Constraint, "the value is not valid, column", incorrect_value(text)),
        1265 => (Constraint, "the value is not valid, column", between(text, "for column '", "' at row")),
        1644 => (Constraint, "a trigger objected", None),
        1054 => (Other, "there is no such column:", between(text, "Unknown column '", "' in ")),
        1146 => (Other, "there is no such table:", between(text, "Table '", "' doesn't exist")),
        1064 => (Other, "syntax error", None),
        1114 | 1021 => (Full, "the server's disk or table is full", None),
        // ENOSPC, as the storage engine reports it.
        1030 | 1026 if text.contains("error 28") || text.contains("errno: 28") => {
            (Full, "the server's disk is full", None)
        }
        1665 => (Other, "binlog_format is STATEMENT, which cannot record this: set it to ROW or MIXED", None),
        2000..=2999 => (Refused, "the connection failed", None),
        _ => (Other, "the server refused the statement", None),
    };
    let name = name.map(|name| name.replace("`.`", ".")).filter(|name| names::are_known(name));
    let words = if name.is_none() { words.trim_end_matches(", column").trim_end_matches(':') } else { words };
    let name = name.map(|name| format!(" {}", quoted(&name))).unwrap_or_default();
    let verb = if matches!(number, 1062 | 1586 | 1022 | 1169 | 1451 | 1452 | 1216 | 1217 | 4025 | 3819) {
        " stands against it"
    } else {
        ""
    };
    Error::new(kind, format!("{words}{name}{verb} ({number})"))
}

/// What stands between two marks of a message that holds nothing but names.
fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    rest.rsplit_once(after).map(|(name, _)| name)
}

/// What stands after the last mark of a message that ends with a name.
fn after_last<'a>(text: &'a str, mark: &str) -> Option<&'a str> {
    text.rsplit_once(mark).map(|(_, name)| name.trim_matches(['\'', '`']))
}

/// The key's name of `Duplicate entry '…' for key 'name'`. The entry may quote the words of the message itself, but it
/// comes first, so only what follows the last mark is taken.
fn duplicate_key(text: &str) -> Option<&str> {
    text.rsplit_once("' for key '")?.1.strip_suffix('\'')
}

/// The column of `Incorrect date value: '…' for column ``a``.``b``.``c`` at row 1`: after the value, so after the last
/// mark, and only if the message ends as the server ends it. (`Truncated incorrect …` ends with the value.)
fn incorrect_value(text: &str) -> Option<&str> {
    let (rest, row) = text.strip_prefix("Incorrect ")?.rsplit_once(" at row ")?;
    let (_, name) = rest.rsplit_once("' for column ")?;
    row.bytes().all(|byte| byte.is_ascii_digit()).then(|| name.trim_matches(['\'', '`']))
}

fn sqlite(code: i32, text: &str) -> Error {
    use ErrorKind::*;
    // The extended code's low byte is the primary code.
    let (kind, words, name) = match (code, code & 0xff) {
        (787, _) => (Constraint, "a foreign key stands against it", None),
        (1811, _) => (Constraint, "a trigger objected", None),
        (2067 | 1555 | 2579, _) => (Constraint, "unique constraint stands against it:", text.split_once(" failed: ")),
        (1299, _) => (Constraint, "null is not allowed:", text.split_once(" failed: ")),
        (275, _) => (Constraint, "check constraint stands against it:", text.split_once(" failed: ")),
        (_, 19) => (Constraint, "a constraint stands against it", None),
        (_, 5 | 6) => (Transient, "the database is locked by another connection", None),
        (_, 9) => (StatementTimeout, "the statement was interrupted", None),
        (_, 8) => (Privilege, "the database file is read-only", None),
        (_, 3 | 23) => (Privilege, "permission missing", None),
        (_, 14) => (Unreachable, "the database file cannot be opened", None),
        (_, 10) => (Unreachable, "the database file cannot be read or written", None),
        (_, 26) => (Refused, "the file is not a SQLite database", None),
        (_, 11) => (Other, "the database file is damaged", None),
        (_, 13) => (Full, "the disk is full, or the database has reached its largest size", None),
        // Sunset asks for it where a total would not be exact.
        (_, 1) if text == "integer overflow" => (Constraint, "the number is out of range, or has no exact total", None),
        // Only the parser says "no such".
        (_, 1) if text.starts_with("no such ") => (Other, "the statement is not valid here:", Some(("", text))),
        (_, 1) => (Other, "the statement failed", None),
        _ => (Other, "SQLite refused the statement", None),
    };
    let name = name.map(|(_, name)| format!(" {name}")).unwrap_or_default();
    Error::new(kind, format!("{words}{name} ({code})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mysql_messages_show_names_and_never_values() {
        let cases = [
            (1062, "Duplicate entry 'a@b' for key 'email'", "unique key \"email\" stands against it (1062)"),
            (
                1062,
                "Duplicate entry 'x' for key 'y' for key 'people.email'",
                "unique key \"people.email\" stands against it (1062)",
            ),
            (1062, "Duplicate entry 'cut off", "unique key stands against it (1062)"),
            (
                1292,
                "Incorrect date value: 'x' for column `a` at row 1' for column `d`.`t`.`born` at row 12",
                "the value is not valid, column \"d.t.born\" (1292)",
            ),
            (1292, "Incorrect datetime value: 'x' for column `a` at row 1'", "the value is not valid (1292)"),
            (1292, "Truncated incorrect DOUBLE value: 'x' for column `a` at row 1", "the value is not valid (1292)"),
            (
                1366,
                "Incorrect string value: '\\xE3' for column `d`.`t`.`c` at row 1",
                "the value is not valid, column \"d.t.c\" (1366)",
            ),
            (3819, "Check constraint 'short' is violated.", "check constraint \"short\" stands against it (3819)"),
            (1142, "DELETE command denied to user 'u'@'h' for table `d`.`t`", "privilege missing \"d.t\" (1142)"),
            (1644, "hanako@example.com is protected", "a trigger objected (1644)"),
            (9999, "hanako@example.com", "the server refused the statement (9999)"),
        ];
        names::learn_all(&["email", "people", "d", "t", "born", "c", "short"].map(str::to_owned));
        for (number, text, expected) in cases {
            assert_eq!(mysql(number, text).message, expected);
        }
        // A trigger may call anything a name.
        let forged = mysql(1062, "Duplicate entry 'x' for key 'people.hanako@example.com'");
        assert_eq!(forged.message, "unique key stands against it (1062)");
        let forged = mysql(1054, "Unknown column 'hanako' in 'where clause'");
        assert_eq!(forged.message, "there is no such column (1054)");
    }

    #[test]
    fn codes_say_what_to_do_next() {
        use ErrorKind::*;
        for (code, kind) in [
            ("40001", Transient),
            ("40P01", Transient),
            ("55P03", Locked),
            ("57014", StatementTimeout),
            ("08006", Unreachable),
            ("57P01", Unreachable),
            ("53300", Unreachable),
            ("28000", Refused),
            ("3D000", Refused),
            ("42501", Privilege),
            ("23505", Constraint),
            ("23ABC", Constraint),
            ("42P01", Other),
            ("", Other),
            ("é", Other),
        ] {
            assert_eq!(postgres_code(code).0, kind, "{code}");
        }
        for (number, kind) in [
            (1205, Locked),
            (1213, Transient),
            (1020, Transient),
            (1969, StatementTimeout),
            (3024, StatementTimeout),
            (1045, Refused),
            (1044, Refused),
            (1049, Refused),
            (1698, Refused),
            (2061, Refused),
            (1143, Privilege),
            (1370, Privilege),
            (1264, Constraint),
            (1927, Unreachable),
            (1064, Other),
        ] {
            assert_eq!(mysql(number, "").kind, kind, "{number}");
        }
        for (code, kind) in [
            (5, Transient),
            (6, Transient),
            (261, Transient),
            (517, Transient),
            (2067, Constraint),
            (19, Constraint),
            (8, Privilege),
            (1032, Privilege),
            (14, Unreachable),
            (26, Refused),
            (1, Other),
        ] {
            assert_eq!(sqlite(code, "").kind, kind, "{code}");
        }
    }

    #[test]
    fn a_bad_certificate_is_refused_and_not_tried_again() {
        let certificate = io::Error::new(io::ErrorKind::InvalidData, "invalid peer certificate: UnknownIssuer");
        let error = Error::from(sqlx::Error::Io(certificate));
        assert_eq!(error.kind, ErrorKind::Refused);
        assert_eq!(error.message, "no TLS connection: invalid peer certificate: UnknownIssuer");
    }
}
