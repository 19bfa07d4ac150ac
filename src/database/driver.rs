//! One connection, the same code for three engines: binds values, reads every column as text, maps errors.

use super::{Connection, Error, ErrorKind, NamedRow, Row};
use crate::sql::{Statement, Value};
use async_trait::async_trait;
use futures_util::TryStreamExt;
use sqlx::{
    Arguments as _, AssertSqlSafe, ColumnIndex, Connection as _, Decode, Either, Encode, Executor, IntoArguments,
    MySql, Postgres, Row as _, Sqlite, Type, TypeInfo as _, database::HasStatementCache, error::BoxDynError,
};

/// Longer statements are not kept prepared: their lists of keys make nearly each of them different.
pub(super) const PREPARED_LENGTH: usize = 4096;

/// What the engines do not have in common.
pub(super) trait Driver: sqlx::Database + HasStatementCache {
    const BEGIN: &'static str;
    /// All statements of the transaction see the rows as its first one does.
    const BEGIN_STILL: &'static str = Self::BEGIN;

    fn bind_texts(arguments: &mut Self::Arguments, texts: &[Option<String>]) -> Result<(), BoxDynError>;

    /// The server sends such a column as the characters of its text. (Decoding is unchecked after this.)
    fn is_text(column: &Self::TypeInfo) -> bool;

    fn affected(result: &Self::QueryResult) -> u64;

    /// The server prepares every statement that can be executed.
    const PREPARES_ALL: bool = true;

    /// A rollback failed only because there is no transaction any more.
    fn has_ended(_error: &sqlx::Error) -> bool {
        false
    }
}

impl Driver for Postgres {
    const BEGIN: &'static str = "begin";
    const BEGIN_STILL: &'static str = "begin isolation level repeatable read";

    fn bind_texts(arguments: &mut Self::Arguments, texts: &[Option<String>]) -> Result<(), BoxDynError> {
        arguments.add(texts)
    }

    fn is_text(column: &Self::TypeInfo) -> bool {
        <str as Type<Self>>::compatible(column)
    }

    fn affected(result: &Self::QueryResult) -> u64 {
        result.rows_affected()
    }
}

impl Driver for MySql {
    const BEGIN: &'static str = "start transaction";
    /// MySQL: not `lock tables`.
    const PREPARES_ALL: bool = false;

    fn bind_texts(_: &mut Self::Arguments, _: &[Option<String>]) -> Result<(), BoxDynError> {
        Err("MySQL has no arrays".into())
    }

    /// Expressions over bytes or of mixed collations arrive as `VARBINARY` or `BLOB`, UUID and INET6 as `BINARY`:
    /// text all the same. The binary protocol sends these here, and only these, in another form.
    fn is_text(column: &Self::TypeInfo) -> bool {
        let name = column.name();
        !["INT", "FLOAT", "DOUBLE", "DATE", "TIME", "YEAR", "BIT", "BOOLEAN", "GEOMETRY"]
            .iter()
            .any(|binary| name.contains(binary))
    }

    fn affected(result: &Self::QueryResult) -> u64 {
        result.rows_affected()
    }
}

impl Driver for Sqlite {
    const BEGIN: &'static str = "begin immediate";

    fn bind_texts(_: &mut Self::Arguments, _: &[Option<String>]) -> Result<(), BoxDynError> {
        Err("SQLite has no arrays".into())
    }

    /// Columns have no types; SQLite hands out any number as text.
    fn is_text(_: &Self::TypeInfo) -> bool {
        true
    }

    fn affected(result: &Self::QueryResult) -> u64 {
        result.rows_affected()
    }

    fn has_ended(error: &sqlx::Error) -> bool {
        error.as_database_error().is_some_and(|error| error.message().contains("no transaction is active"))
    }
}

/// A connection of one engine.
pub(super) struct Session<DB: Driver>(pub(super) DB::Connection);

fn arguments<DB: Driver>(values: &[Value]) -> Result<DB::Arguments, Error>
where
    for<'v> &'v str: Encode<'v, DB> + Type<DB>,
    for<'v> &'v [u8]: Encode<'v, DB> + Type<DB>,
    for<'v> Option<String>: Encode<'v, DB> + Type<DB>,
    for<'v> i64: Encode<'v, DB> + Type<DB>,
{
    let mut arguments = DB::Arguments::default();
    for value in values {
        bind::<DB>(&mut arguments, value).map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}

fn bind<DB: Driver>(arguments: &mut DB::Arguments, value: &Value) -> Result<(), BoxDynError>
where
    for<'v> &'v str: Encode<'v, DB> + Type<DB>,
    for<'v> &'v [u8]: Encode<'v, DB> + Type<DB>,
    for<'v> Option<String>: Encode<'v, DB> + Type<DB>,
    for<'v> i64: Encode<'v, DB> + Type<DB>,
{
    match value {
        Value::Null => arguments.add(None::<String>),
        Value::Text(text) => arguments.add(text.as_str()),
        Value::Texts(texts) => DB::bind_texts(arguments, texts),
        Value::Integer(integer) => arguments.add(*integer),
        Value::Bytes(bytes) => arguments.add(bytes.as_slice()),
        Value::Hidden(value) => bind::<DB>(arguments, value),
    }
}

/// The only place where SQL that was put together at run time is declared safe: its text comes from the dialects and
/// catalogs, with quoted identifiers; values are bound.
fn query<DB: Driver>(statement: &Statement, arguments: DB::Arguments) -> sqlx::query::Query<'static, DB, DB::Arguments>
where
    DB::Arguments: IntoArguments<DB>,
{
    sqlx::query_with(AssertSqlSafe(statement.sql.clone()), arguments).persistent(statement.sql.len() <= PREPARED_LENGTH)
}

#[async_trait]
impl<DB> Connection for Session<DB>
where
    DB: Driver,
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
    DB::Arguments: IntoArguments<DB>,
    for<'v> &'v str: Encode<'v, DB> + Type<DB>,
    for<'v> &'v [u8]: Encode<'v, DB> + Type<DB>,
    for<'v> Option<String>: Encode<'v, DB> + Decode<'v, DB> + Type<DB>,
    for<'v> i64: Encode<'v, DB> + Type<DB>,
    usize: ColumnIndex<DB::Row>,
{
    async fn fetch(&mut self, statement: &Statement) -> Result<Vec<Row>, Error> {
        let mut rows = Vec::new();
        self.stream(statement, &mut |row| rows.push(row)).await?;
        Ok(rows)
    }

    async fn stream(&mut self, statement: &Statement, each: &mut (dyn FnMut(Row) + Send)) -> Result<(), Error> {
        let arguments = arguments::<DB>(&statement.args)?;
        let mut results = (&mut self.0).fetch_many(query::<DB>(statement, arguments));
        let mut checked = false;
        while let Some(result) = results.try_next().await? {
            let Either::Right(row) = result else { continue };
            if !checked {
                check_columns::<DB>(&row)?;
                checked = true;
            }
            let mut texts = Row::with_capacity(row.len());
            for index in 0..row.len() {
                texts.push(row.try_get_unchecked(index)?);
            }
            each(texts);
        }
        Ok(())
    }

    async fn named(&mut self, sql: &str) -> Result<Vec<NamedRow>, Error> {
        use sqlx::Column as _;
        // Statements without parameters come back in the servers' text form, whatever their types.
        let rows = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).fetch_all(&mut self.0).await?;
        let mut named = Vec::with_capacity(rows.len());
        for row in rows {
            let mut cells = NamedRow::with_capacity(row.len());
            for (index, column) in row.columns().iter().enumerate() {
                cells.push((column.name().to_owned(), row.try_get_unchecked(index)?));
            }
            named.push(cells);
        }
        Ok(named)
    }

    async fn execute(&mut self, statement: &Statement) -> Result<u64, Error> {
        if statement.args.is_empty() && !DB::PREPARES_ALL {
            let result = (&mut self.0).execute(sqlx::raw_sql(AssertSqlSafe(statement.sql.clone()))).await?;
            return Ok(DB::affected(&result));
        }
        let arguments = arguments::<DB>(&statement.args)?;
        let result = (&mut self.0).execute(query::<DB>(statement, arguments)).await?;
        Ok(DB::affected(&result))
    }

    async fn begin(&mut self) -> Result<(), Error> {
        (&mut self.0).execute(DB::BEGIN).await?;
        Ok(())
    }

    async fn begin_still(&mut self) -> Result<(), Error> {
        (&mut self.0).execute(DB::BEGIN_STILL).await?;
        Ok(())
    }

    async fn commit(&mut self) -> Result<(), Error> {
        match (&mut self.0).execute("commit").await {
            Ok(_) => Ok(()),
            Err(sqlx::Error::Database(error)) => {
                // SQLite keeps a transaction open that it could not commit for want of a lock: it must not be committed
                // by whatever comes next, since the caller will say that it was rolled back.
                let undone = self.rollback().await;
                undone.map_err(|error| Error::new(ErrorKind::Unreachable, error.message))?;
                Err(sqlx::Error::Database(error).into())
            }
            // no word of the server: whether it has committed is not known
            Err(error) => Err(Error::new(ErrorKind::Unreachable, Error::from(error).message)),
        }
    }

    async fn rollback(&mut self) -> Result<(), Error> {
        match (&mut self.0).execute("rollback").await {
            Err(error) if !DB::has_ended(&error) => Err(error.into()),
            _ => Ok(()),
        }
    }

    async fn close(self: Box<Self>) {
        // The server notices a lost connection by itself; there is nothing left to do about a failed goodbye.
        let _ = self.0.close().await;
    }
}

/// Fails for the first column that the server does not send as text.
fn check_columns<DB: Driver>(row: &DB::Row) -> Result<(), Error> {
    use sqlx::Column as _;
    match row.columns().iter().position(|column| !DB::is_text(column.type_info())) {
        None => Ok(()),
        Some(index) => {
            let name = row.columns()[index].type_info().name();
            let message =
                format!("column {} of the result is {name}, not text: add a cast to the statement", index + 1);
            Err(Error::new(ErrorKind::Other, message))
        }
    }
}
