//! Connections: values there and back, streams, transactions, locks, and what each failure is called.

use crate::server::{ENGINES, Scratch, impatient, row, settings, statement, text};
use std::time::{Duration, Instant};
use sunset::{
    catalog::Engine,
    database::{Connection, ErrorKind, open},
    settings::Pace,
    sql::{Statement, Value},
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
        let (mut rows, mut sum) = (0u64, 0u64);
        connection
            .stream(&Statement::new(sql), &mut |row| {
                rows += 1;
                sum += row[0].as_ref().unwrap().parse::<u64>().unwrap();
            })
            .await
            .unwrap();
        assert_eq!((rows, sum), (1_000_000, 500_000_500_000), "{engine}");
    }
}

#[tokio::test]
async fn transactions_begin_commit_and_roll_back() {
    for engine in ENGINES {
        let scratch = Scratch::new(engine).await;
        scratch.script("create table t (a int primary key)").await;
        let mut connection = scratch.connect().await;
        connection.begin().await.unwrap();
        assert_eq!(run(&mut *connection, "insert into t values (1), (2)").await.unwrap(), 2);
        connection.rollback().await.unwrap();
        // A second time, and after the server has ended the transaction by itself, it does nothing.
        connection.rollback().await.unwrap();
        connection.begin().await.unwrap();
        run(&mut *connection, "insert into t values (3)").await.unwrap();
        connection.commit().await.unwrap();
        assert_eq!(run(&mut *connection, "delete from t").await.unwrap(), 1, "{engine}");
        connection.close().await;
    }
}

#[tokio::test]
async fn sessions_are_set_up() {
    let scratch = Scratch::new(Engine::Postgres).await;
    let mut connection = scratch.paced(&impatient()).connect().await.unwrap();
    let names = [
        "application_name",
        "TimeZone",
        "statement_timeout",
        "lock_timeout",
        "idle_in_transaction_session_timeout",
        "transaction_isolation",
        "standard_conforming_strings",
        "plan_cache_mode",
        "client_min_messages",
    ];
    let sql = format!("select {}", names.map(|name| format!("current_setting('{name}')")).join(", "));
    let expected = row(["sunset", "UTC", "1s", "400ms", "1min", "read committed", "on", "force_custom_plan", "error"]);
    assert_eq!(connection.fetch(&statement(&sql, [])).await.unwrap(), [expected]);

    let scratch = Scratch::new(Engine::Mysql).await;
    let mut connection = scratch.paced(&impatient()).connect().await.unwrap();
    let sql = "select 'a\\nb' || '\"', cast(@@time_zone as char), cast(@@tx_isolation as char), \
               cast(@@innodb_lock_wait_timeout as char), cast(@@lock_wait_timeout as char), \
               cast(@@max_statement_time as char), cast(@@foreign_key_checks as char), @@character_set_client";
    let expected = row(["a\\nb\"", "+00:00", "READ-COMMITTED", "1", "1", "1.000000", "ON", "utf8mb4"]);
    assert_eq!(connection.fetch(&Statement::new(sql)).await.unwrap(), [expected]);

    let scratch = Scratch::new(Engine::Sqlite).await;
    let mut connection = scratch.paced(&impatient()).connect().await.unwrap();
    for (pragma, expected) in [("foreign_keys", "1"), ("secure_delete", "1"), ("busy_timeout", "400")] {
        let sql = format!("pragma {pragma}");
        assert_eq!(connection.fetch(&statement(&sql, [])).await.unwrap(), [row([expected])], "{pragma}");
    }
}

/// A table that takes minutes to count is not one whose batches may take minutes.
#[tokio::test]
async fn counts_have_a_limit_of_their_own() {
    let limits =
        Pace { statement_timeout: Duration::from_secs(1), count_timeout: Duration::from_secs(7), ..impatient() };
    let shown = [
        (Engine::Postgres, "select current_setting('statement_timeout')", "1s", "7s"),
        (Engine::Mysql, "select cast(@@max_statement_time as char)", "1.000000", "7.000000"),
    ];
    for (engine, sql, statement, count) in shown {
        let scratch = Scratch::new(engine).await;
        let database = scratch.paced(&limits);
        for (mut connection, expected) in
            [(database.connect().await.unwrap(), statement), (database.connect_to_count().await.unwrap(), count)]
        {
            assert_eq!(connection.fetch(&Statement::new(sql)).await.unwrap(), [row([expected])], "{engine}");
        }
    }
}

#[tokio::test]
async fn clocks_tell_the_time() {
    for engine in ENGINES {
        let scratch = Scratch::new(engine).await;
        let mut connection = scratch.connect().await;
        let clock = scratch.database().clock(&mut *connection).await.unwrap();
        let skew = clock.duration_since(jiff::Timestamp::now()).abs();
        assert!(skew < jiff::SignedDuration::from_secs(5), "{engine}: {skew:?}");
    }
}

#[tokio::test]
async fn a_lock_lives_as_long_as_its_connection() {
    for engine in ENGINES {
        let scratch = Scratch::new(engine).await;
        let database = scratch.database();
        let mut first = scratch.connect().await;
        let mut second = scratch.connect().await;
        for name in ["job/core/lapsed-customers".to_owned(), "長い名前".repeat(40)] {
            let guard = database.try_lock(&mut *first, &name).await.unwrap();
            assert!(guard.is_some(), "{engine}");
            assert!(database.try_lock(&mut *second, &name).await.unwrap().is_none(), "{engine}");
            assert!(database.try_lock(&mut *second, &format!("{name}2")).await.unwrap().is_some(), "{engine}");
            // Dropped without a word, as when the process dies.
            drop((guard, first));
            let start = Instant::now();
            while database.try_lock(&mut *second, &name).await.unwrap().is_none() {
                assert!(start.elapsed() < Duration::from_secs(5), "{engine} keeps the lock of a lost connection");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            first = scratch.connect().await;
        }
    }
}

#[tokio::test]
async fn locks_of_two_databases_are_apart() {
    for engine in ENGINES {
        let (one, two) = (Scratch::new(engine).await, Scratch::new(engine).await);
        let (mut first, mut second) = (one.connect().await, two.connect().await);
        let a = one.database().try_lock(&mut *first, "rule").await.unwrap();
        let b = two.database().try_lock(&mut *second, "rule").await.unwrap();
        assert!(a.is_some() && b.is_some(), "{engine}");
    }
}

#[tokio::test]
async fn a_database_in_memory_has_no_lock() {
    let database = open(&settings(Engine::Sqlite, "sqlite::memory:"), &Pace::default()).unwrap();
    let mut connection = database.connect().await.unwrap();
    let error = database.try_lock(&mut *connection, "rule").await.unwrap_err();
    assert_eq!(error.message, "a database in memory cannot be locked: use a file");
}

/// Two transactions update two rows in opposite order: one of them must fail as transient.
async fn provoke_deadlock(scratch: &Scratch) -> Option<ErrorKind> {
    scratch.script("create table d (a int primary key, b int); insert into d values (1, 0), (2, 0)").await;
    let (mut first, mut second) = (scratch.connect().await, scratch.connect().await);
    first.begin().await.unwrap();
    second.begin().await.unwrap();
    run(&mut *first, "update d set b = 1 where a = 1").await.unwrap();
    run(&mut *second, "update d set b = 1 where a = 2").await.unwrap();
    let (one, two) = tokio::join!(
        run(&mut *first, "update d set b = 1 where a = 2"),
        run(&mut *second, "update d set b = 1 where a = 1")
    );
    first.rollback().await.unwrap();
    second.rollback().await.unwrap();
    one.err().or(two.err()).map(|error| error.kind)
}

#[tokio::test]
async fn waiting_too_long_is_transient() {
    for engine in ENGINES {
        let scratch = Scratch::new(engine).await;
        scratch.script("create table t (a int primary key, b int); insert into t values (1, 0)").await;
        let (mut first, mut second) = (scratch.connect().await, scratch.paced(&impatient()).connect().await.unwrap());
        first.begin().await.unwrap();
        run(&mut *first, "update t set b = 1").await.unwrap();
        let start = Instant::now();
        // MySQL waits whole seconds for locks, so its statements must be let run longer.
        let error = match engine {
            Engine::Sqlite => second.begin().await.unwrap_err(),
            Engine::Mysql => {
                run(&mut *second, "set session max_statement_time = 30").await.unwrap();
                run(&mut *second, "update t set b = 2").await.unwrap_err()
            }
            Engine::Postgres => run(&mut *second, "update t set b = 2").await.unwrap_err(),
        };
        let kind = if engine == Engine::Sqlite { ErrorKind::Transient } else { ErrorKind::Locked };
        assert_eq!(error.kind, kind, "{engine}: {error}");
        assert!(start.elapsed() < Duration::from_secs(3), "{engine} waited {:?}", start.elapsed());
        second.rollback().await.unwrap();
    }
    for engine in [Engine::Postgres, Engine::Mysql] {
        assert_eq!(provoke_deadlock(&Scratch::new(engine).await).await, Some(ErrorKind::Transient), "{engine}");
    }
}

#[tokio::test]
async fn the_server_ends_statements_that_take_too_long() {
    for (engine, sql) in [
        (Engine::Postgres, "select pg_sleep(10)::text"),
        (Engine::Mysql, "select cast(sum(a.seq & b.seq) as char) from seq_1_to_100000 a join seq_1_to_100000 b"),
    ] {
        let scratch = Scratch::new(engine).await;
        let mut connection = scratch.paced(&impatient()).connect().await.unwrap();
        let start = Instant::now();
        let error = run(&mut *connection, sql).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::StatementTimeout, "{engine}: {error}");
        assert!(start.elapsed() < Duration::from_secs(5), "{engine}");
        run(&mut *connection, "select 'still here'").await.unwrap();
    }
}

#[tokio::test]
async fn messages_name_what_stands_in_the_way_but_no_value() {
    const SECRET: &str = "hanako' for key 'x";
    let expected = [
        [
            "unique constraint \"people_email_key\" of table \"people\" stands against it (23505)",
            "foreign key \"pets_owner_fkey\" of table \"pets\" stands against it (23503)",
            "null is not allowed, column \"email\", of table \"people\" (23502)",
            "check constraint \"short\" of table \"people\" stands against it (23514)",
            "the value is too long for its column (22001)",
        ],
        [
            "unique key \"people_email_key\" stands against it (1062)",
            "foreign key \"pets_owner_fkey\" stands against it (1451)",
            "null is not allowed, column \"email\" (1048)",
            "check constraint \"short\" stands against it (4025)",
            "the value is too long, column \"email\" (1406)",
        ],
        [
            "unique constraint stands against it: people.email (2067)",
            "a foreign key stands against it (787)",
            "null is not allowed: people.email (1299)",
            "check constraint stands against it: short (275)",
            "",
        ],
    ];
    for (engine, expected) in ENGINES.into_iter().zip(expected) {
        let scratch = Scratch::new(engine).await;
        scratch
            .script(
                "create table people (id int primary key, email varchar(20) not null, born date,
                     constraint people_email_key unique (email), constraint short check (email <> 'no'));
                 create table pets (id int primary key, owner int not null,
                     constraint pets_owner_fkey foreign key (owner) references people (id));
                 insert into people values (1, 'hanako'' for key ''x', null); insert into pets values (1, 1)",
            )
            .await;
        let mut connection = scratch.connect().await;
        // MySQL's messages show the names that a catalog has
        scratch.database().catalog(&mut *connection).await.unwrap();
        let parameter = if engine == Engine::Postgres { "$1" } else { "?" };
        let insert = format!("insert into people (id, email) values (2, {parameter})");
        let long = "hanako".repeat(10);
        let statements = [
            statement(&insert, [text(SECRET)]),
            Statement::new("delete from people where id = 1"),
            statement(&insert, [Value::Null]),
            statement(&insert, [text("no")]),
            statement(&insert, [text(&long)]),
        ];
        for (statement, expected) in statements.iter().zip(expected).filter(|(_, expected)| !expected.is_empty()) {
            let error = connection.execute(statement).await.unwrap_err();
            assert_eq!((error.kind, error.message.as_str()), (ErrorKind::Constraint, expected), "{engine}");
            assert!(!format!("{error:?} {error}").contains("hanako"), "{error:?}");
        }
        // Values that cannot be cast are quoted by the servers too.
        let cast = match engine {
            Engine::Postgres => statement("select $1::text::date::text", [text("hanako")]),
            Engine::Mysql => statement("update people set born = ?", [text("hanako")]),
            Engine::Sqlite => statement("select json(?)", [text("hanako")]),
        };
        let error = connection.fetch(&cast).await.unwrap_err();
        assert!(!format!("{error:?}").contains("hanako"), "{error:?}");
        // A name that no catalog has is told where the server vouches for it: on MySQL it may be a trigger's text.
        let error = run(&mut *connection, "delete from people where emial = 1").await.unwrap_err();
        let is_told = error.message.contains("emial");
        assert_eq!((error.kind, is_told), (ErrorKind::Other, engine != Engine::Mysql), "{error}");
    }
}

#[tokio::test]
async fn what_a_trigger_prints_stays_in_the_server() {
    let scratch = Scratch::new(Engine::Postgres).await;
    scratch
        .script(
            "create table t (a text); insert into t values ('hanako');
             create function no() returns trigger language plpgsql as
             'begin execute format(''select %I'', old.a); return old; end';
             create trigger no before delete on t for each row execute function no()",
        )
        .await;
    let mut connection = scratch.connect().await;
    // The function's own statement fails on a name that is made of a row's value.
    let error = run(&mut *connection, "delete from t").await.unwrap_err();
    assert_eq!(error.message, "there is no such column (42703)");
    scratch.script("create or replace function no() returns trigger language plpgsql as 'begin raise exception ''%'', old.a; end'").await;
    let error = run(&mut *connection, "delete from t").await.unwrap_err();
    assert_eq!((error.kind, error.message.as_str()), (ErrorKind::Constraint, "a trigger or function objected (P0001)"));
}

#[tokio::test]
async fn privileges_are_named() {
    for engine in [Engine::Postgres, Engine::Mysql] {
        let scratch = Scratch::new(engine).await;
        let user = format!("{}_u", scratch.name);
        let (create, drop) = match engine {
            Engine::Postgres => (
                format!(
                    "create table t (a int); create role {user} login password 'geheim'; grant select on t to {user}"
                ),
                format!("drop owned by {user}; drop role {user}"),
            ),
            _ => (
                format!(
                    "create table t (a int); create user {user} identified by 'geheim'; grant select on t to {user}"
                ),
                format!("drop user {user}"),
            ),
        };
        scratch.script(&create).await;
        let (scheme, rest) = scratch.url.split_once("://").unwrap();
        let url = format!("{scheme}://{user}:geheim@{}", rest.rsplit_once('@').unwrap().1);
        let mut connection = open(&settings(engine, &url), &Pace::default()).unwrap().connect().await.unwrap();
        let error = run(&mut *connection, "delete from t").await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Privilege, "{engine}: {error}");
        assert!(!error.message.contains(&user), "{error}");

        // The same user with a wrong password, then a database that is not there.
        let wrong = url.replace("geheim", "falsch");
        let error = open(&settings(engine, &wrong), &Pace::default()).unwrap().connect().await.err().unwrap();
        assert_eq!(error.kind, ErrorKind::Refused, "{engine}: {error}");
        assert!(error.message.contains(&format!("/{}", scratch.name)), "says where: {error}");
        assert!(!error.message.contains("falsch") && !error.message.contains(&user), "{error}");
        let absent = scratch.url.replace(&scratch.name, "not_there");
        let error = open(&settings(engine, &absent), &Pace::default()).unwrap().connect().await.err().unwrap();
        assert_eq!(error.kind, ErrorKind::Refused, "{engine}: {error}");
        connection.close().await;
        scratch.script(&drop).await;
    }
}

#[tokio::test]
async fn a_closed_port_is_unreachable() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    for (engine, scheme) in [(Engine::Postgres, "postgres"), (Engine::Mysql, "mysql"), (Engine::Mysql, "mariadb")] {
        let url = format!("{scheme}://u:geheim@127.0.0.1:{port}/db");
        let error = open(&settings(engine, &url), &Pace::default()).unwrap().connect().await.err().unwrap();
        assert_eq!(error.kind, ErrorKind::Unreachable, "{error}");
        let expected = format!("127.0.0.1:{port}/db: no connection: Connection refused");
        assert!(error.message.starts_with(&expected), "{error}");
    }
}

#[tokio::test]
async fn a_missing_file_is_not_created() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("none.db");
    let database = open(&settings(Engine::Sqlite, &format!("sqlite:{}", path.display())), &Pace::default()).unwrap();
    let error = database.connect().await.err().unwrap();
    assert_eq!(error.kind, ErrorKind::Refused);
    assert!(error.message.starts_with("there is no database file /"), "{error}");
    assert!(!path.exists());

    std::fs::write(&path, "not a database, but quite long enough to look like one to somebody".repeat(20)).unwrap();
    let error = match database.connect().await {
        Ok(mut connection) => database.catalog(&mut *connection).await.unwrap_err(),
        Err(error) => error,
    };
    assert_eq!(error.kind, ErrorKind::Refused, "{error}");
}

#[tokio::test]
async fn a_killed_connection_is_unreachable() {
    for engine in [Engine::Postgres, Engine::Mysql] {
        let scratch = Scratch::new(engine).await;
        let mut connection = scratch.connect().await;
        let (own, kill) = match engine {
            Engine::Postgres => ("select pg_backend_pid()::text", "select pg_terminate_backend(ID)"),
            _ => ("select cast(connection_id() as char)", "kill ID"),
        };
        let id = connection.fetch(&Statement::new(own)).await.unwrap()[0][0].clone().unwrap();
        scratch.script(&kill.replace("ID", &id)).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        let error = connection.fetch(&Statement::new("select 'x'")).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unreachable, "{engine}: {error}");
        // The rollback that follows every failure fails in the same way, and quickly.
        assert_eq!(connection.rollback().await.unwrap_err().kind, ErrorKind::Unreachable, "{engine}");
    }
}

#[test]
fn urls_are_checked_without_being_quoted() {
    let refuse = |engine, url: &str| {
        let error = open(&settings(engine, url), &Pace::default()).err().unwrap_or_else(|| panic!("{url} was taken"));
        assert_eq!(error.kind, ErrorKind::Refused, "{url}");
        assert!(error.message.starts_with("database core: "), "{error}");
        assert!(!error.message.contains("geheim"), "{error}");
        error.message
    };
    assert!(
        refuse(Engine::Postgres, "postgres://u:geheim@db.example/x?sslmod=require")
            .contains("these can be set: sslmode")
    );
    assert!(refuse(Engine::Postgres, "postgres://u:ge?geheim@db.example/x").contains("unknown parameter"));
    refuse(Engine::Postgres, "postgres://u:geheim@db.example:port/x");
    refuse(Engine::Postgres, "postgres://u:geheim@db.example/x?sslmode=geheim");
    refuse(Engine::Mysql, "mysql://u:geheim@db.example/x?charset=latin1");
    assert!(refuse(Engine::Mysql, "mysql://u:geheim@db.example").contains("host:3306/database"));
    refuse(Engine::Sqlite, "sqlite:x?cache=shared");
    for mode in ["disable", "allow", "prefer"] {
        let url = format!("postgres://u:geheim@db.example/x?sslmode={mode}");
        assert!(refuse(Engine::Postgres, &url).contains("allow_plaintext"));
        let mut settings = settings(Engine::Postgres, &url);
        settings.allow_plaintext = true;
        assert!(open(&settings, &Pace::default()).is_ok());
        assert!(!format!("{settings:?}").contains("geheim"));
    }
    for mode in ["DISABLED", "PREFERRED"] {
        assert!(
            refuse(Engine::Mysql, &format!("mariadb://u:geheim@10.0.0.1/x?ssl-mode={mode}"))
                .contains("VERIFY_IDENTITY")
        );
    }
    let take = |engine, url| open(&settings(engine, url), &Pace::default()).map(|_| ()).unwrap();
    take(Engine::Postgres, "postgres://u@db.example/x");
    take(Engine::Postgres, "postgres://u@db.example/x?sslmode=require");
    take(Engine::Postgres, "postgres://u@localhost/x?sslmode=disable");
    take(Engine::Postgres, "postgres://u@[::1]/x?sslmode=disable");
    take(Engine::Postgres, "postgres:///x?host=/run/postgresql&sslmode=disable");
    take(Engine::Mysql, "mysql://u@127.8.8.8/x?ssl-mode=DISABLED");
    take(Engine::Mysql, "mysql://u@db.example/x?ssl-mode=DISABLED&socket=/run/mysqld.sock");
}

/// TLS cannot be left out by saying nothing: a server that has none is refused, not talked to in the clear.
#[tokio::test]
async fn another_machine_is_reached_with_tls_or_not_at_all() {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 8];
        stream.read_exact(&mut request).unwrap();
        stream.write_all(b"N").unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        (request, rest)
    });
    // Another name of this machine, and not a loopback one to look at.
    let url = format!("postgres://u:geheim@0.0.0.0:{port}/x");
    let error = open(&settings(Engine::Postgres, &url), &Pace::default()).unwrap().connect().await.err().unwrap();
    assert_eq!(error.kind, ErrorKind::Refused, "{error}");
    assert!(error.message.contains("TLS"), "{error}");
    let (request, rest) = server.join().unwrap();
    assert_eq!(request, [0, 0, 0, 8, 4, 210, 22, 47], "a request for TLS");
    assert!(rest.is_empty(), "nothing after the refusal");
}

#[tokio::test]
async fn a_host_that_does_not_answer_is_given_up() {
    // Accepts, then says nothing.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("mysql://u:geheim@{}/x", listener.local_addr().unwrap());
    let start = Instant::now();
    let error = open(&settings(Engine::Mysql, &url), &Pace::default()).unwrap().connect().await.err().unwrap();
    assert_eq!(error.kind, ErrorKind::Unreachable);
    assert!(error.message.ends_with("no answer within 10 seconds"), "{error}");
    assert!(start.elapsed() < Duration::from_secs(15));
}
