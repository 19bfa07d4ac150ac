//! What went wrong in a database, in words that hold no row's values.

/// What a failed statement means for the batch that sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// Deadlock, serialization failure, lock time-out, busy: try the same transaction again.
    Transient,
    /// The server ended the statement because it took too long: try again with fewer rows.
    StatementTimeout,
    /// The server cannot be reached, or the connection broke: try again later.
    Unreachable,
    /// User, password, TLS or database name are wrong: trying again will not help.
    Refused,
    /// The user lacks a privilege.
    Privilege,
    /// A constraint (foreign key, unique, not null, check) stands against the change.
    Constraint,
    /// Anything else.
    Other,
}

/// A database error. Servers quote row values in their messages, so the message is made of the error's code and the
/// names of constraint, table and column, never of the server's free text.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    pub kind: ErrorKind,
    /// Lowercase, for example `foreign key orders_customer_id_fkey stands against it (23503)`.
    pub message: String,
}
