//! What went wrong in the store, in words that hold none of its values.

use crate::outcome::Outcome;
use sqlx::error::DatabaseError;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing was ever kept there.
    #[error("there is no store at {0} yet: the first `sunset run` makes it")]
    Absent(String),
    /// A newer program made its tables.
    #[error("the store has tables of version {found}, this program knows {known}: use the newer sunset that made them")]
    Newer { found: i64, known: i64 },
    /// An older program made its tables, and the command may not change them.
    #[error("the store has tables of version {found}, this program needs {known}: the next `sunset run` converts them")]
    Older { found: i64, known: i64 },
    /// The URL cannot be read, or user, password, TLS or database name are wrong.
    #[error("the store refuses the connection: {0}")]
    Refused(String),
    /// The server or file cannot be reached, or the connection broke.
    #[error("the store cannot be reached: {0}")]
    Unreachable(String),
    /// Somebody else kept it locked for too long.
    #[error("the store is busy: {0}")]
    Busy(String),
    /// Its disk is full.
    #[error("the store has no room: {0}")]
    Full(String),
    /// It holds something that Sunset never writes.
    #[error("the store is damaged: {0}")]
    Damaged(String),
    #[error("the store failed: {0}")]
    Failed(String),
}

impl Error {
    /// What a command that fails with this comes to.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Absent(_) | Self::Newer { .. } | Self::Older { .. } | Self::Refused(_) => Outcome::Invalid,
            Self::Unreachable(_) | Self::Busy(_) | Self::Full(_) => Outcome::Temporary,
            Self::Damaged(_) => Outcome::Refused,
            Self::Failed(_) => Outcome::Unexpected,
        }
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(error) => from_database(&*error),
            sqlx::Error::Io(error) => Self::Unreachable(error.to_string()),
            sqlx::Error::WorkerCrashed => Self::Unreachable("the connection broke".into()),
            // These may quote the URL, so the cause stays out.
            sqlx::Error::Configuration(_) => Self::Refused("its URL cannot be read".into()),
            sqlx::Error::Tls(error) => Self::Refused(format!("TLS: {error}")),
            sqlx::Error::ColumnDecode { index, .. } => {
                Self::Damaged(format!("column {index} holds an unexpected type"))
            }
            sqlx::Error::Protocol(_) => Self::Unreachable("the server broke the protocol".into()),
            _ => Self::Failed("the driver gave up".into()),
        }
    }
}

/// The server's own words may quote values: the code, the constraint and, for failures that know no values yet, the
/// message.
fn from_database(error: &dyn DatabaseError) -> Error {
    let code = error.code().unwrap_or_default();
    let named = match error.constraint() {
        Some(constraint) => format!("error {code} at {constraint}"),
        None => format!("error {code}"),
    };
    match &*code {
        // PostgreSQL: authentication, unknown database. SQLite: cannot open, read-only, not a database.
        "28000" | "28P01" | "3D000" => Error::Refused(format!("{} ({code})", error.message())),
        "14" => Error::Refused("the file cannot be opened (14)".into()),
        "8" => Error::Refused("the file is read-only (8)".into()),
        "26" => Error::Refused("the file is no SQLite database (26)".into()),
        "11" => Error::Damaged("the file is no longer a sound SQLite database (11)".into()),
        "13" | "53100" => Error::Full(format!("its disk is full ({code})")),
        "42501" => Error::Refused(format!("{named}: its user lacks a privilege")),
        "55P03" | "40001" | "40P01" => Error::Busy(named),
        // SQLite: reading and writing, busy and locked, with their extended codes.
        code if matches!(code.parse::<u32>(), Ok(number) if number & 0xff == 10) => {
            Error::Unreachable(format!("its file cannot be read or written ({code}); its disk may be full"))
        }
        code if matches!(code.parse::<u32>(), Ok(number) if matches!(number & 0xff, 5 | 6)) => Error::Busy(named),
        code if code.starts_with("08") || code.starts_with("57P") || code == "53300" => Error::Unreachable(named),
        _ => Error::Failed(named),
    }
}
