//! Checks on the tests' own tools: if these fail, look here before looking anywhere else.

use sqlx::{AssertSqlSafe, Connection, MySqlConnection, PgConnection};

use crate::support::servers::{fresh_mysql, fresh_postgres, shared_data};

#[tokio::test]
async fn a_postgres_database_is_there_until_its_guard_goes() {
    let Some(database) = fresh_postgres("guard").await else { return };
    let Some(other) = fresh_postgres("guard").await else { return };
    let mut connection = PgConnection::connect(database.url()).await.unwrap();
    let name: String = sqlx::query_scalar("select current_database()").fetch_one(&mut connection).await.unwrap();
    assert_eq!(name, database.name());
    sqlx::query("create role sunset_test_role").execute(&mut connection).await.unwrap();
    sqlx::query("drop role sunset_test_role").execute(&mut connection).await.unwrap();

    let name = database.name().to_owned();
    drop(database); // while `connection` is still open
    let mut connection = PgConnection::connect(other.url()).await.unwrap();
    let left: i64 = sqlx::query_scalar("select count(*) from pg_database where datname = $1")
        .bind(name)
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn a_mysql_database_is_there_until_its_guard_goes() {
    let Some(database) = fresh_mysql("guard").await else { return };
    let Some(other) = fresh_mysql("guard").await else { return };
    let mut connection = MySqlConnection::connect(database.url()).await.unwrap();
    let name: String = sqlx::query_scalar("select database()").fetch_one(&mut connection).await.unwrap();
    assert_eq!(name, database.name());
    let encoding: String =
        sqlx::query_scalar("select @@character_set_database").fetch_one(&mut connection).await.unwrap();
    assert_eq!(encoding, "utf8mb4");
    sqlx::query("set global long_query_time = 10").execute(&mut connection).await.unwrap();

    let name = database.name().to_owned();
    drop(database); // while `connection` is still open
    let mut connection = MySqlConnection::connect(other.url()).await.unwrap();
    let left: i64 = sqlx::query_scalar("select count(*) from information_schema.schemata where schema_name = ?")
        .bind(name)
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(left, 0);
}

/// Rows per table, as the dumps hold them.
const PAGILA: [(&str, i64); 15] = [
    ("actor", 200),
    ("address", 603),
    ("category", 16),
    ("city", 600),
    ("country", 109),
    ("customer", 599),
    ("film", 1_000),
    ("film_actor", 5_462),
    ("film_category", 1_000),
    ("inventory", 4_581),
    ("language", 6),
    ("payment", 16_049), // in seven partitions
    ("rental", 16_044),
    ("staff", 2),
    ("store", 2),
];

#[tokio::test]
async fn pagila_loads_complete() {
    let Some(dump) = shared_data("pagila.sql") else { return };
    let Some(database) = fresh_postgres("pagila").await else { return };
    database.load_sql(&dump);
    let mut connection = PgConnection::connect(database.url()).await.unwrap();
    for (table, rows) in PAGILA {
        let sql = AssertSqlSafe(format!("select count(*) from {table}"));
        let count: i64 = sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap();
        assert_eq!((table, count), (table, rows));
    }
}

#[tokio::test]
async fn sakila_loads_complete() {
    let Some(schema) = shared_data("sakila-schema.sql") else { return };
    let Some(data) = shared_data("sakila-data.sql") else { return };
    let Some(database) = fresh_mysql("sakila").await else { return };
    database.load_sql(&schema);
    database.load_sql(&data);
    let mut connection = MySqlConnection::connect(database.url()).await.unwrap();
    for (table, rows) in PAGILA {
        let sql = AssertSqlSafe(format!("select count(*) from {table}"));
        let count: i64 = sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap();
        assert_eq!((table, count), (table, rows));
    }
}
