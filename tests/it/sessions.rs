//! Sessions that others have a hand in: functions of other roles, and poolers that lend one session to many.

use crate::{server::Scratch, support::bench::Bench};
use sqlx::{ConnectOptions as _, postgres::PgConnectOptions};
use std::{
    fs,
    io::Write as _,
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    str::FromStr as _,
    sync::Arc,
    time::Duration,
};
use sunset::catalog::Engine;

/// What rules of this file act on: no row is due but the one that says so.
const RULES: &str = "
- id: by_text
  table: core.t
  starting_point: {column: at, as: iso_text}
  retention_period: 5 years
  disposition: erase
  where: {state: closed, code: {not: [kept, also]}}";

async fn rows(bench: &Bench) {
    bench
        .script(
            "create table t (id {int} primary key, at varchar(30), state varchar(10), code char(10), fate {text});
             insert into t values (1, '2001-01-01', 'closed', 'x', 'goes'), (2, '2025-01-01', 'closed', 'x', 'stays'),
             (3, '2001-01-01', 'open', 'x', 'stays'), (4, '2001-01-01', 'closed', 'kept', 'stays')",
        )
        .await;
    bench.rules(RULES);
}

/// A role that may create in `public` makes the server's functions and operators say what it likes, for the very types
/// of the columns: rules mean what they meant.
#[tokio::test]
async fn functions_of_others_do_not_decide() {
    let bench = Bench::new(Engine::Postgres).await;
    rows(&bench).await;
    bench
        .script(
            r#"do $$ begin create role sunset_it_ordinary; exception when others then null; end $$;
               grant create, usage on schema public to sunset_it_ordinary; set role sunset_it_ordinary;
               create function public.yes(varchar, text) returns boolean immutable language sql as 'select true';
               create function public.yes(varchar, varchar) returns boolean immutable language sql as 'select true';
               create function public.yes(bpchar, text) returns boolean immutable language sql as 'select true';
               create function public.yes(integer, bigint) returns boolean immutable language sql as 'select true';
               create function public.old(varchar, text) returns text immutable language sql as $f$select '2001-01-01'::text$f$;
               create function public.lower(varchar) returns text immutable language sql as $f$select '2001-01-01'::text$f$;
               create function public.left(varchar, int) returns text immutable language sql as $f$select '2001-01-01'::text$f$;
               create function public.length(varchar) returns int immutable language sql as 'select 10';
               create function public.replace(varchar, text, text) returns text immutable language sql as $f$select '2001'::text$f$;
               create function public.to_timestamp(text) returns timestamptz immutable language sql as $f$select now() + interval '9 years'$f$;
               create function public.max(text, text) returns text immutable language sql as 'select $1';
               create function public.clock_timestamp() returns timestamptz language sql as $f$select pg_catalog.now() + interval '90 years'$f$;
               create operator public.= (function = public.yes, leftarg = varchar, rightarg = text);
               create operator public.= (function = public.yes, leftarg = varchar, rightarg = varchar);
               create operator public.= (function = public.yes, leftarg = bpchar, rightarg = text);
               create operator public.< (function = public.yes, leftarg = varchar, rightarg = text);
               create operator public.<= (function = public.yes, leftarg = varchar, rightarg = text);
               create operator public.>= (function = public.yes, leftarg = varchar, rightarg = text);
               create operator public.<> (function = public.yes, leftarg = varchar, rightarg = text);
               create operator public.<> (function = public.yes, leftarg = bpchar, rightarg = text);
               create operator public.~ (function = public.yes, leftarg = varchar, rightarg = text);
               create operator public.|| (function = public.old, leftarg = varchar, rightarg = text);
               create operator public.> (function = public.yes, leftarg = integer, rightarg = bigint);
               create operator public.<= (function = public.yes, leftarg = integer, rightarg = bigint)"#,
        )
        .await;
    let plan = bench.plan();
    assert_eq!(plan["steps"][0]["counts"]["due"], 1, "{plan:#}");
    assert_eq!(bench.run(0).disposed(), 1);
    assert_eq!(bench.list("select id from t order by id").await, "2 3 4");
    bench.sunset(&["coverage"]);
    bench.script("revoke all on schema public from sunset_it_ordinary").await;
}

/// An extension's operators are believed where nobody else can make any; else its columns are not compared.
#[tokio::test]
async fn operators_of_extensions_are_found_where_nobody_else_makes_any() {
    let bench = Bench::new(Engine::Postgres).await;
    bench
        .script(
            "create extension citext;
             create table t (id citext primary key, at date, state citext);
             insert into t values ('a', '2001-01-01', 'Closed'), ('b', '2001-01-01', 'open')",
        )
        .await;
    bench.rules(
        "- {id: t, table: core.t, starting_point: at, retention_period: 5 years, disposition: erase, where: {state: closed}}",
    );
    bench
        .script(
            "do $$ begin create role sunset_it_ordinary; exception when others then null; end $$;
             grant create on schema public to sunset_it_ordinary",
        )
        .await;
    let call = bench.sunset(&["plan", "--now", bench.now]).expect(2);
    assert!(call.err.contains("search_path") || call.out.contains("search_path"), "{call:?}");
    bench.settings_on("time_zone: Asia/Tokyo", "search_path: [public]");
    assert_eq!(bench.run(0).disposed(), 1);
    assert_eq!(bench.list("select id from t").await, "b");
    bench
        .script(
            "insert into t values ('c', '2001-01-01', 'CLOSED'); revoke all on schema public from sunset_it_ordinary",
        )
        .await;
    bench.settings("time_zone: Asia/Tokyo");
    assert_eq!(bench.run(0).disposed(), 1);
    assert_eq!(bench.list("select id from t").await, "b");
}

/// A trigger that writes to a table without naming its schema finds it where the settings say.
#[tokio::test]
async fn triggers_find_tables_where_the_settings_say() {
    let bench = Bench::new(Engine::Postgres).await;
    rows(&bench).await;
    bench
        .script(
            "create table audit (id integer);
             create function noted() returns trigger language plpgsql as
             'begin insert into audit values (old.id); return old; end';
             create trigger noted before delete on t for each row execute function noted()",
        )
        .await;
    bench
        .script(
            "do $$ begin create role sunset_it_ordinary; exception when others then null; end $$;
             grant create on schema public to sunset_it_ordinary",
        )
        .await;
    let call = bench.sunset(&["run", "--now", bench.now]);
    assert_eq!(call.code, 4, "{call:?}");
    assert!(call.out.contains("search_path"), "{call:?}");
    assert_eq!(bench.count("select count(*) from t").await, 4, "a batch is whole or not at all");
    bench.settings_on("time_zone: Asia/Tokyo", "search_path: [public]");
    bench.run(0);
    assert_eq!(bench.list("select id from audit").await, "1");
    // nor need they say it where nobody else can make anything
    bench.script("insert into t values (5, '2001-01-01', 'closed', 'x'); revoke all on schema public from sunset_it_ordinary").await;
    bench.settings("time_zone: Asia/Tokyo");
    bench.run(0);
    assert_eq!(bench.list("select id from audit order by id").await, "1 5");
}

/// A `pgbouncer` before the server under test, on a port of its own.
struct Pooler {
    process: Child,
    port: u16,
    _directory: tempfile::TempDir,
}

impl Pooler {
    /// `None`, aloud, where there is none.
    fn start(mode: &str, server: &str) -> Option<Self> {
        let program = ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer"].into_iter().find(|path| Path::new(path).exists());
        let Some(program) = program else {
            let _ = writeln!(std::io::stderr(), "skipped: no pgbouncer here; tests/tools installs it");
            return None;
        };
        let (user_and_host, _) = server.trim_start_matches("postgres://").split_once('/').unwrap();
        let (user, host) = user_and_host.split_once('@').unwrap();
        let (host, port_of_server) = host.split_once(':').unwrap();
        let (user, password) = user.split_once(':').unwrap_or((user, ""));
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("pgbouncer.ini");
        let text = format!(
            "[databases]\n* = host={host} port={port_of_server} user={user} password={password}\n[pgbouncer]\n\
             listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\npool_mode = {mode}\n"
        );
        fs::write(&file, text).unwrap();
        let mut command = Command::new(program);
        // it refuses to be root
        let id = Command::new("id").arg("-u").output().unwrap().stdout;
        if id.starts_with(b"0\n") {
            use std::os::unix::fs::PermissionsExt as _;
            fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
            command.args(["-u", "nobody"]);
        }
        let process = command.arg("-q").arg(&file).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let pooler = Self { process, port, _directory: directory };
        for _ in 0..200 {
            if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Some(pooler);
            }
            std::thread::sleep(Duration::from_millis(25));
        }
        panic!("pgbouncer does not come up");
    }

    fn url(&self, database: &Scratch) -> String {
        let (_, name) = database.url.rsplit_once('/').unwrap();
        format!("postgres://sunset@127.0.0.1:{}/{name}", self.port)
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What a session has that Sunset could have left in it.
const LEFT: &str = "select string_agg(name || '=' || setting, ' ' order by name) from pg_settings where name in
    ('default_transaction_read_only', 'statement_timeout', 'lock_timeout', 'search_path', 'jit', 'plan_cache_mode',
     'client_min_messages', 'idle_in_transaction_session_timeout', 'bytea_output', 'row_security', 'synchronous_commit')
    union all select count(*)::text || ' locks' from pg_locks where locktype = 'advisory'
    and database = (select oid from pg_database where datname = current_database())";

/// What the session has that a client gets of the pooler.
async fn left(url: &str) -> Vec<Option<String>> {
    let options = PgConnectOptions::from_str(url).unwrap().extra_float_digits(None);
    let mut connection = options.connect().await.unwrap();
    let rows: Vec<(Option<String>,)> = sqlx::query_as(LEFT).persistent(false).fetch_all(&mut connection).await.unwrap();
    rows.into_iter().map(|row| row.0).collect()
}

/// Behind a pooler that lends each transaction another session, no command leaves anything in a session of others, and
/// each is refused.
#[tokio::test]
async fn sessions_that_others_use_are_left_alone() {
    let bench = Bench::new(Engine::Postgres).await;
    rows(&bench).await;
    for mode in ["transaction", "statement"] {
        let Some(pooler) = Pooler::start(mode, &bench.database.url) else { return };
        let url = pooler.url(&bench.database);
        let other = Bench::on(Arc::new(Scratch::existing(Engine::Postgres, &url)), "other");
        other.rules(RULES);
        // another application, whose sessions the pool lends on
        let before = left(&url).await;
        for arguments in [
            &["plan", "--now", "2026-11-22"][..],
            &["validate"],
            &["coverage"],
            &["run", "--now", "2026-11-22"],
            &["grants", "--user", "sunset"],
        ] {
            let call = other.sunset(arguments);
            assert!([0, 2].contains(&call.code), "{arguments:?} {call:?}");
            if ["plan", "run"].contains(&arguments[0]) {
                assert_eq!(call.code, 2, "{mode}: {call:?}");
                assert!(call.err.contains("pgbouncer") || call.out.contains("pgbouncer"), "{call:?}");
            }
            assert_eq!(left(&url).await, before, "{mode}: {arguments:?}");
        }
    }
    assert_eq!(bench.count("select count(*) from t").await, 4);
}

/// A pool that keeps a session for each client serves as the server itself does, with pgbouncer's own defaults.
#[tokio::test]
async fn a_pool_of_whole_sessions_serves() {
    let bench = Bench::new(Engine::Postgres).await;
    rows(&bench).await;
    let Some(pooler) = Pooler::start("session", &bench.database.url) else { return };
    let url = pooler.url(&bench.database);
    let mut other = Bench::on(Arc::new(Scratch::existing(Engine::Postgres, &url)), "other");
    other.rules(RULES);
    let before = left(&url).await;
    other.plan();
    assert_eq!(other.run(0).disposed(), 1);
    assert_eq!(bench.list("select id from t order by id").await, "2 3 4");
    assert_eq!(left(&url).await, before);
    // the store as well
    let store = Scratch::new(Engine::Postgres).await;
    other.variables = vec![("STORE_URL", pooler.url(&store))];
    other.settings("time_zone: Asia/Tokyo\nstore: {url: \"${STORE_URL}\"}");
    other.run(0);
}

/// The store sets its search path and takes locks: behind a pooler that lends sessions on, it is refused before that.
#[tokio::test]
async fn the_store_is_not_kept_in_sessions_of_others() {
    let bench = Bench::new(Engine::Sqlite).await;
    bench.script("create table t (id integer primary key, at date); insert into t values (1, '2001-01-01')").await;
    bench.rules("- {id: t, table: core.t, starting_point: at, retention_period: 5 years, disposition: erase}");
    let store = Scratch::new(Engine::Postgres).await;
    for mode in ["transaction", "statement"] {
        let Some(pooler) = Pooler::start(mode, &store.url) else { return };
        let url = pooler.url(&store);
        let mut bench = Bench::on(Arc::clone(&bench.database), "other");
        bench.rules("- {id: t, table: core.t, starting_point: at, retention_period: 5 years, disposition: erase}");
        bench.variables = vec![("STORE_URL", url.clone())];
        bench.settings("time_zone: Asia/Tokyo\nstore: {url: \"${STORE_URL}\"}");
        let before = left(&url).await;
        for arguments in [&["run", "--now", "2026-11-22"][..], &["plan", "--now", "2026-11-22"], &["ledger", "verify"]]
        {
            let call = bench.sunset(arguments).expect(2);
            assert!(call.err.contains("pgbouncer"), "{mode}: {call:?}");
            assert_eq!(left(&url).await, before, "{mode}: {arguments:?}");
        }
        assert_eq!(bench.count("select count(*) from t").await, 1);
    }
}

/// A rule's table without a schema is not looked for in a schema that is called like Sunset's user, be it the store's or
/// one that another role made; where the server's administrators made one, it is.
#[tokio::test]
async fn a_schema_with_the_users_name_is_not_believed() {
    const USER: &str = "sunset_it_named";
    let bench = Bench::new(Engine::Postgres).await;
    bench
        .script(&format!(
            "do $$ begin create role sunset_it_ordinary; exception when others then null; end $$;
             do $$ begin create role {USER} login password 'named'; exception when others then null; end $$;
             create table t (id integer primary key, at date);
             insert into t values (1, '2001-01-01'), (2, '2025-01-01');
             grant all on t to {USER}; grant create on database {} to sunset_it_ordinary, {USER};
             set role sunset_it_ordinary; create schema {USER};
             create table {USER}.t (id integer primary key, at date); insert into {USER}.t values (7, '2001-01-01');
             grant all on schema {USER} to {USER}; grant all on {USER}.t to {USER}",
            bench.database.name
        ))
        .await;
    let (_, host) = bench.database.url.rsplit_once('@').unwrap();
    let url = format!("postgres://{USER}:named@{host}");
    let mut other = Bench::on(Arc::new(Scratch::existing(Engine::Postgres, &url)), "other");
    let rule = "- {id: t, table: core.t, starting_point: at, retention_period: 5 years, disposition: erase}";
    other.rules(rule);
    assert_eq!(other.run(0).disposed(), 1);
    assert_eq!(bench.list("select id from public.t order by id").await, "2");
    assert_eq!(bench.list(&format!("select id from {USER}.t")).await, "7");
    // the user's own, such as the store's
    bench.script(&format!("drop schema {USER} cascade; create schema {USER} authorization {USER}")).await;
    bench.script(&format!("set role {USER}; create table {USER}.t (id integer primary key, at date)")).await;
    other.variables = vec![("STORE_URL", url.clone())];
    other.settings("time_zone: Asia/Tokyo\nstore: {url: \"${STORE_URL}\"}");
    for id in [8, 9] {
        bench.script(&format!("insert into public.t values ({id}, '2001-01-01')")).await;
        assert_eq!(other.run(0).disposed(), 1);
    }
    assert_eq!(bench.list("select id from public.t order by id").await, "2");
    // an administrator's
    bench.script(&format!("alter schema {USER} owner to postgres; grant usage on schema {USER} to {USER}")).await;
    bench.script(&format!("insert into {USER}.t values (10, '2001-01-01')")).await;
    assert_eq!(other.run(0).disposed(), 1);
    assert_eq!(bench.count(&format!("select count(*) from {USER}.t")).await, 0);
    bench
        .script(&format!(
            "drop schema {USER} cascade; drop schema if exists sunset cascade; drop owned by {USER}; drop role {USER};
             revoke all on database {} from sunset_it_ordinary",
            bench.database.name
        ))
        .await;
}
