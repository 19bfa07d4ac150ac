//! Connections: values there and back, streams, transactions, locks, and what each failure is called.

use crate::server::{ENGINES, Scratch, row, statement, text};
use std::time::{Duration, Instant};
use sunset::{
    catalog::Engine,
    database::{Connection, ErrorKind, Statement, Value, open},
    settings::Pace,
};

async fn run(connection: &mut dyn Connection, sql: &str) -> Result<u64, sunset::database::Error> {
    connection.execute(&Statement::new(sql)).await
}

#[tokio::test]
async fn values_come_back_as_they_went() {
    for engine in ENGINES {
        let scratch = Scratch::new(engine).await;
        let mut connection = scratch.connect().await;
        let (sql, bytes) = match engine {
            Engine::Postgres => ("select $1::text, $2::text, $3::bigint::text, encode($4, 'hex')", "00ff"),
            Engine::Mysql => ("select cast(? as char), cast(? as char), cast(? as char), hex(?)", "00FF"),
            Engine::Sqlite => ("select ?, ?, cast(? as text), hex(?)", "00FF"),
        };
        let args = [text("東京 'ı' \\ \"€\" 🌇"), Value::Null, Value::Integer(i64::MIN), Value::Bytes(vec![0, 255])];
        let rows = connection.fetch(&statement(sql, args)).await.unwrap();
        let expected =
            vec![Some("東京 'ı' \\ \"€\" 🌇".to_owned()), None, Some(i64::MIN.to_string()), Some(bytes.to_owned())];
        assert_eq!(rows, [expected], "{engine}");
        connection.close().await;
    }
}

#[tokio::test]
async fn keys_of_every_type_round_trip_as_text() {
    let scratch = Scratch::new(Engine::Postgres).await;
    let mut connection = scratch.connect().await;
    let keys = [
        ("uuid", "00000000-0000-0000-0000-00000000000a"),
        ("bigint", "9007199254740993"),
        ("numeric(20,2)", "123456789012345678.50"),
        ("text", "a'b\\c"),
        ("bytea", "\\x00ff"),
        ("timestamptz", "2026-01-01 00:00:00.123456+00"),
        ("date", "2024-02-29"),
        ("inet", "192.168.0.1/24"),
        ("boolean", "true"),
        ("interval", "1 mon 2 days"),
    ];
    for (sql_type, key) in keys {
        let sql = format!(
            "select ($1::text::{sql_type})::text, k::text from (select $1::text::{sql_type} k) t where k = $1::text::{sql_type}"
        );
        assert_eq!(connection.fetch(&statement(&sql, [text(key)])).await.unwrap(), [row([key, key])], "{sql_type}");
    }
    let texts = Value::Texts(vec![Some("1".into()), None, Some("{\"a,b\"}".into())]);
    let rows = connection.fetch(&statement("select unnest($1::text[])", [texts])).await.unwrap();
    assert_eq!(rows, [vec![Some("1".into())], vec![None], vec![Some("{\"a,b\"}".into())]]);

    let scratch = Scratch::new(Engine::Mysql).await;
    scratch
        .script(
            "create table k (a bigint unsigned, b decimal(20,2), c datetime(6), d timestamp(6) null, e date, f uuid, \
             g varbinary(8), h varchar(20), i inet6, j year, l bit(8), m json, n enum('あ','b'), o double, p char(4))",
        )
        .await;
    let mut connection = scratch.connect().await;
    let insert = "insert into k values (cast(? as unsigned), ?, ?, ?, ?, ?, unhex(?), ?, ?, ?, b'101', ?, ?, ?, ?)";
    let values = [
        "18446744073709551615",
        "123456789012345678.50",
        "2026-01-01 12:00:00.123456",
        "2026-01-01 00:00:00.000001",
        "2024-02-29",
        "00000000-0000-0000-0000-00000000000a",
        "00FF",
        "a'b\\c",
        "::1",
        "2026",
        "{\"a\": 1}",
        "あ",
        "0.1",
        "abc",
    ];
    connection.execute(&statement(insert, values.map(text))).await.unwrap();
    let select = "select cast(a as char), cast(b as char), cast(c as char), cast(d as char), cast(e as char), \
                  cast(f as char), hex(g), cast(h as char), cast(i as char), cast(j as char), cast(m as char), \
                  cast(n as char), cast(o as char), cast(p as char) from k";
    assert_eq!(connection.fetch(&Statement::new(select)).await.unwrap(), [row(values)]);
    // Without a cast the characters of text types and of text-like types arrive too.
    let bare = connection.fetch(&Statement::new("select b, f, h, i, m, n, p from k")).await.unwrap();
    assert_eq!(bare[0][1].as_deref(), Some(values[5]));
    // Nothing is ever decoded from another type's bytes.
    let error = connection.fetch(&Statement::new("select a from k")).await.unwrap_err();
    assert_eq!(error.message, "column 1 of the result is BIGINT UNSIGNED, not text: add a cast to the statement");
    let error = connection.fetch(&Statement::new("select g from k")).await.unwrap_err();
    assert!(error.message.contains("not UTF-8"), "{error}");
    // The connection is still in step.
    assert_eq!(connection.fetch(&Statement::new("select 'x'")).await.unwrap(), [row(["x"])]);
}

#[tokio::test]
async fn a_result_that_is_not_text_is_refused() {
    let scratch = Scratch::new(Engine::Postgres).await;
    let mut connection = scratch.connect().await;
    let error = connection.fetch(&Statement::new("select 'a', i from generate_series(1, 1000) i")).await.unwrap_err();
    assert_eq!(error.message, "column 2 of the result is INT4, not text: add a cast to the statement");
    assert_eq!(connection.fetch(&Statement::new("select 'x'")).await.unwrap(), [row(["x"])]);
}

#[tokio::test]
async fn long_results_stream() {
    for engine in ENGINES {
        let scratch = Scratch::new(engine).await;
        let mut connection = scratch.connect().await;
        let sql = match engine {
            Engine::Postgres => "select i::text from generate_series(1, 1000000) i",
            Engine::Mysql => "select cast(seq as char) from seq_1_to_1000000",
            Engine::Sqlite => {
                "with recursive n(i) as (select 1 union all select i + 1 from n where i < 1000000) \
                 select cast(i as text) from n"
            }
        };
        let (mut rows, mut sum, start) = (0u64, 0u64, Instant::now());
        connection
            .stream(&Statement::new(sql), &mut |row| {
                rows += 1;
                sum += row[0].as_ref().unwrap().parse::<u64>().unwrap();
            })
            .await
            .unwrap();
        println!("{engine}: {:.0} rows/s", rows as f64 / start.elapsed().as_secs_f64());
        assert_eq!((rows, sum), (1_000_000, 500_000_500_000), "{engine}");
    }
}
