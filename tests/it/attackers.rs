//! Others with rights of their own in the database: what they make under the names that Sunset's SQL uses decides nothing.
//! For PostgreSQL, `sessions` has the same.

use crate::{
    server::execute,
    support::{bench::Bench, replicas::Pair},
};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, MySqlConnection, raw_sql};
use sunset::catalog::Engine;

/// A parent whose rows go with those that refer to them, a table with text and dates as text, and a hold on some rows.
async fn company(bench: &Bench) {
    bench
        .script(
            "create table leads (id {int} primary key, met_on {date}, state char(10));
             create table calls (id {int} primary key, lead {int} not null,
               foreign key (lead) references leads (id) on delete cascade);
             create index calls_lead on calls (lead);
             create table visits (id {int} primary key, seen varchar(30), state varchar(10), code char(10));
             insert into leads values (1, '2001-01-01', 'x'), (2, '2001-01-01', 'x'), (3, '2025-01-01', 'x'),
               (4, '2001-01-01', 'x'), (5, '2001-01-01', 'x'), (6, '2001-01-01', 'x');
             insert into calls values (1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (6, 6);
             insert into visits values (1, '2001-01-01', 'closed', 'x'), (2, '2025-01-01', 'closed', 'x'),
               (3, '2001-01-01', 'open', 'x'), (4, '2001-01-01', 'closed', 'kept'), (5, null, 'closed', 'x')",
        )
        .await;
    bench.rules(RULES);
    for key in ["4", "5", "6"] {
        let hold =
            ["hold", "add", "--table", "core.leads", "--key", key, "--matter", key, "--reason", "x", "--owner", "y"];
        bench.sunset(&[hold.as_slice(), &["--review", "2030-01-01"]].concat()).expect(0);
    }
}

const RULES: &str = "
- {id: leads, table: core.leads, starting_point: met_on, retention_period: 5 years, disposition: erase,
   dependents: {core.calls: erase}}
- {id: visits, table: core.visits, starting_point: {column: seen, as: iso_text}, retention_period: 5 years,
   disposition: erase, where: {state: closed, code: {not: [kept, also]}}}";

/// The run takes what is due and not held, and nothing else.
async fn only_what_is_due_goes(bench: &Bench) {
    let report = bench.sunset(&["run", "--now", bench.now]);
    assert_eq!(bench.list("select id from leads order by id").await, "3 4 5 6", "{report:?}");
    assert_eq!(bench.list("select id from calls order by id").await, "3 4 5 6", "{report:?}");
    assert_eq!(bench.list("select id from visits order by id").await, "2 3 4 5", "{report:?}");
    assert_eq!(report.code, 0, "{report:?}");
    assert!(bench.evidence().is_settled());
}

/// A foreign key that no rule names is seen, whatever hides it.
fn the_foreign_key_is_seen(bench: &Bench) {
    bench.rules(&RULES.replace("   dependents: {core.calls: erase}}", "   limits: {max_rows: 100}}"));
    let refused = bench.sunset(&["run", "--now", bench.now]).expect(2);
    assert!(refused.err.contains("E0406"), "{refused:?}");
    bench.rules(RULES);
}

/// Tables, views and full-text indexes of a SQLite file that bear the names of the pragmas and functions that are asked.
#[tokio::test]
async fn names_of_pragmas_in_a_sqlite_file() {
    let bench = Bench::new(Engine::Sqlite).await;
    company(&bench).await;
    bench
        .script(
            r#"create view pragma_table_list as
                 select 'main' as schema, 'visits' as name, 'table' as type, 4 as ncol, 0 as wr, 0 as strict;
               create virtual table pragma_table_xinfo using fts5(cid, name, type, "notnull", dflt_value, pk, hidden);
               create virtual table pragma_foreign_key_list using fts5(
                 id, seq, "table", "from", "to", on_update, on_delete, "match");
               create virtual table pragma_index_list using fts5(seq, name, "unique", origin, partial);
               create virtual table pragma_index_xinfo using fts5(seqno, cid, name, "desc", coll, "key");
               create table pragma_schema_version (schema_version);
               insert into pragma_schema_version values (1);
               create table pragma_database_list (seq, name, file);
               insert into pragma_database_list values (0, 'main', '/nowhere');
               create virtual table json_each using fts4(key, value);
               insert into json_each values (0, '[1]'), (1, '[2]'), (2, '[3]'), (3, '[4]');
               create virtual table json_tree using fts4(key, value)"#,
        )
        .await;
    the_foreign_key_is_seen(&bench);
    only_what_is_due_goes(&bench).await;
}

/// What a SQLite file may hold that its library cannot carry out fails by name, and takes no row along.
#[tokio::test]
async fn what_a_sqlite_file_cannot_carry_out() {
    let bench = Bench::new(Engine::Sqlite).await;
    bench
        .script(
            "create table t (id integer primary key, at date, name text);
             insert into t values (1, '2001-01-01', 'a'), (2, '2025-01-01', 'b');
             create view v as select id, at, name from t;
             create trigger v_goes instead of delete on v begin delete from t; end",
        )
        .await;
    let rule = |table: &str, what: &str| {
        format!("- {{id: r, table: core.{table}, starting_point: at, retention_period: 5 years, {what}}}")
    };
    // a view is no table
    bench.rules(&rule("v", "disposition: erase"));
    bench.sunset(&["run", "--now", bench.now]).expect(2);
    // triggers with functions that reach outside, or that nobody has
    for (call, ends) in [("load_extension('/tmp/evil.so')", [4, 75]), ("no_such_function(1)", [4, 75])] {
        bench.script(&format!("create trigger evil after delete on t begin select {call}; end")).await;
        bench.rules(&rule("t", "disposition: erase"));
        let call = bench.sunset(&["run", "--now", bench.now]);
        assert!(ends.contains(&call.code), "{call:?}");
        bench.script("drop trigger evil").await;
    }
    // a check and a collation that were written by another program
    bench
        .script(
            "pragma writable_schema = on;
             update sqlite_schema set sql = 'CREATE TABLE t (id integer primary key, at date, name text collate nowhere
               check (no_such_function(name)))' where name = 't';
             pragma writable_schema = off",
        )
        .await;
    bench.rules(&rule("t", "disposition: anonymize, columns: {name: suppress}"));
    let call = bench.sunset(&["run", "--now", bench.now]);
    assert!([2, 4, 75].contains(&call.code), "{call:?}");
    assert_eq!(bench.list("select name from t order by id").await, "a b");
}

/// Functions of a database that are called like the server's own, made by a user who may make functions there.
#[tokio::test]
async fn stored_functions_do_not_decide() {
    let bench = Bench::new(Engine::Mysql).await;
    company(&bench).await;
    let (name, user) =
        (&bench.database.name, format!("ordinary_{}", bench.database.name.trim_start_matches("sunset_it_")));
    let admin = crate::server::server(Engine::Mysql);
    let make = format!(
        "create user '{user}'@'%' identified by 'ordinary';
         grant create routine, alter routine, create view, create, trigger, select on `{name}`.* to '{user}'@'%'"
    );
    execute(Engine::Mysql, &admin, &make).await;
    let (_, host) = bench.database.url.rsplit_once('@').unwrap();
    let mut ordinary = MySqlConnection::connect(&format!("mysql://{user}:ordinary@{host}")).await.unwrap();
    let functions = [
        ("lower", "x text", "text", "'2001-01-01'"),
        ("substr", "x text, y int, z int", "text", "'2001-01-01'"),
        ("substring", "x text, y int, z int", "text", "'2001-01-01'"),
        ("concat", "x text, y text", "text", "'2001-01-01'"),
        ("coalesce", "x text, y text", "text", "'closed'"),
        ("greatest", "x text, y text", "text", "'closed'"),
        ("date_format", "x text, y text", "text", "'2001-01-01'"),
        ("char_length", "x text", "int", "10"),
        ("month", "x text", "int", "1"),
        ("dayofmonth", "x text", "int", "1"),
        ("from_unixtime", "x bigint", "text", "'2001-01-01'"),
        ("unix_timestamp", "x text", "bigint", "0"),
        ("sysdate", "x int", "datetime", "'2099-01-01'"),
        ("now", "", "datetime", "'2099-01-01'"),
        ("count", "x int", "int", "1"),
        ("max", "x int", "int", "1"),
        ("min", "x int", "int", "1"),
        ("cast", "x text", "text", "'2001-01-01'"),
        ("sha2", "x text, y int", "text", "''"),
        ("hex", "x text", "text", "''"),
        ("get_lock", "x text, y int", "int", "1"),
        ("nullif", "x text, y text", "text", "'2001-01-01'"),
    ];
    let mut made = 0;
    for (function, arguments, returns, body) in functions {
        let sql = format!(
            "create function `{name}`.`{function}` ({arguments}) returns {returns} deterministic return {body}"
        );
        made += usize::from(ordinary.execute(raw_sql(AssertSqlSafe(sql))).await.is_ok());
    }
    assert!(made > 15, "only {made} functions could be made");
    the_foreign_key_is_seen(&bench);
    only_what_is_due_goes(&bench).await;
    execute(Engine::Mysql, &admin, &format!("drop user '{user}'@'%'")).await;
}

/// What a server gives its sessions by default does not change what rules mean, and hides no hold and no foreign key.
#[tokio::test]
async fn defaults_of_a_server_do_not_decide() {
    let (pair, _turn) = Pair::of(Engine::Mysql).await;
    let bench = pair.bench().await;
    company(&bench).await;
    let changed = [
        (
            "sql_mode",
            "'ANSI_QUOTES,IGNORE_SPACE,PAD_CHAR_TO_FULL_LENGTH,HIGH_NOT_PRECEDENCE,NO_UNSIGNED_SUBTRACTION,\
             EMPTY_STRING_IS_NULL,NO_ZERO_DATE,NO_ZERO_IN_DATE'",
        ),
        ("sql_select_limit", "2"),
        ("completion_type", "'CHAIN'"),
        ("sql_safe_updates", "1"),
        ("collation_connection", "'latin1_bin'"),
        ("character_set_results", "'latin1'"),
        ("time_zone", "'-11:00'"),
        ("tx_isolation", "'SERIALIZABLE'"),
        ("div_precision_increment", "0"),
        ("group_concat_max_len", "4"),
        ("lc_time_names", "'ja_JP'"),
        ("max_sort_length", "8"),
    ];
    let before: Vec<_> = changed.iter().map(|(name, _)| format!("@old_{name} := @@global.{name}")).collect();
    let kept = bench.rows(&format!("select {}", before.join(", "))).await.remove(0);
    for (name, value) in changed {
        pair.on_primary(&format!("set global {name} = {value}")).await;
    }
    let seen = std::panic::AssertUnwindSafe(async {
        the_foreign_key_is_seen(&bench);
        bench.sunset(&["run", "--now", bench.now])
    });
    let report = futures_util::FutureExt::catch_unwind(seen).await;
    for ((name, _), value) in changed.iter().zip(kept) {
        let is_number = value.chars().all(|c| c.is_ascii_digit());
        let value = if is_number { value } else { format!("'{value}'") };
        pair.on_primary(&format!("set global {name} = {value}")).await;
    }
    let report = report.unwrap();
    assert_eq!(bench.list("select id from leads order by id").await, "3 4 5 6", "{report:?}");
    only_what_is_due_goes(&bench).await;
}
