//! One connection to whichever engine, for statements written by hand.

use sqlx::{AssertSqlSafe, Connection as _, Executor as _, MySqlConnection, PgConnection, SqliteConnection};

pub type Error = Box<dyn std::error::Error>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    Postgres,
    Mysql,
    Sqlite,
}

pub enum Connection {
    Postgres(PgConnection),
    Mysql(MySqlConnection),
    Sqlite(SqliteConnection),
}

impl Connection {
    pub async fn open(engine: Engine, url: &str) -> Result<Self, Error> {
        Ok(match engine {
            Engine::Postgres => Self::Postgres(PgConnection::connect(url).await?),
            Engine::Mysql => Self::Mysql(MySqlConnection::connect(url).await?),
            Engine::Sqlite => Self::Sqlite(SqliteConnection::connect(&format!("{url}?mode=rwc")).await?),
        })
    }

    /// Statements without results, one after the other; gives the rows that the last one changed.
    pub async fn execute(&mut self, statements: &[String]) -> Result<u64, Error> {
        let mut changed = 0;
        for sql in statements {
            let sql = AssertSqlSafe(sql.clone());
            changed = match self {
                Self::Postgres(connection) => connection.execute(sql).await?.rows_affected(),
                Self::Mysql(connection) => connection.execute(sql).await?.rows_affected(),
                Self::Sqlite(connection) => connection.execute(sql).await?.rows_affected(),
            };
        }
        Ok(changed)
    }

    /// One number.
    pub async fn number(&mut self, sql: &str) -> Result<i64, Error> {
        let sql = AssertSqlSafe(sql.to_owned());
        let (number,): (Option<i64>,) = match self {
            Self::Postgres(connection) => sqlx::query_as(sql).fetch_one(connection).await?,
            Self::Mysql(connection) => sqlx::query_as(sql).fetch_one(connection).await?,
            Self::Sqlite(connection) => sqlx::query_as(sql).fetch_one(connection).await?,
        };
        Ok(number.unwrap_or(-1))
    }
}
