//! Catalogs: one zoo of a schema per engine, and what each reports of it.

use crate::server::{Scratch, server, settings};
use std::fmt::Write;
use sunset::{
    catalog::{Catalog, Engine, Table},
    database::{Database, open},
    settings::Pace,
};

async fn read(database: &dyn Database) -> Catalog {
    let mut connection = database.connect().await.unwrap();
    let catalog = database.catalog(&mut *connection).await.unwrap();
    connection.close().await;
    catalog
}

/// All that a catalog says of a table but the estimate, a line for each thing.
fn describe(catalog: &Catalog, schema: &str, name: &str) -> String {
    let table = catalog.table(Some(schema), name).unwrap_or_else(|| panic!("{schema}.{name} is not in the catalog"));
    let Table { kind, columns, primary_key, foreign_keys, indexes, triggers, partitions, partition_of, .. } = table;
    let mut out = format!("{kind:?} key {primary_key:?}");
    if let Some(root) = partition_of {
        write!(out, " partition of {root}").unwrap();
    }
    if table.row_security {
        out.push_str(" row security");
    }
    if let Some(rowid) = &table.rowid {
        write!(out, " {rowid}").unwrap();
    }
    out.push('\n');
    for column in columns {
        write!(out, "  {} `{}` {:?}", column.name, column.sql_type, column.kind).unwrap();
        for (flag, word) in
            [(column.nullable, " null"), (column.generated, " generated"), (column.has_default, " default")]
        {
            out.push_str(if flag { word } else { "" });
        }
        if let Some(length) = column.max_length {
            write!(out, " {length}").unwrap();
        }
        if !column.words.is_empty() {
            write!(out, " {:?}", column.words).unwrap();
        }
        out.push('\n');
    }
    for key in foreign_keys {
        let sunset::catalog::ForeignKey {
            name,
            columns,
            references,
            referenced_columns,
            target,
            on_delete,
            on_update: _,
            match_full,
        } = key;
        write!(out, "  key {name}: {columns:?} -> {references} {referenced_columns:?} {on_delete:?}").unwrap();
        if target != references {
            write!(out, " at {target}").unwrap();
        }
        writeln!(out, "{}", if *match_full { " match full" } else { "" }).unwrap();
    }
    for index in indexes {
        let unique = if index.unique { "unique" } else { "index" };
        let partial = if index.partial { " partial" } else { "" };
        writeln!(out, "  {unique} {} {:?}{partial}", index.name, index.columns).unwrap();
    }
    for trigger in triggers {
        let delete = if trigger.on_delete { " delete" } else { "" };
        let update = if trigger.on_update { " update" } else { "" };
        writeln!(out, "  trigger {}{delete}{update}", trigger.name).unwrap();
    }
    for partition in partitions {
        writeln!(out, "  partition {partition}").unwrap();
    }
    out
}

#[track_caller]
fn assert_table(catalog: &Catalog, schema: &str, name: &str, expected: &[&str]) {
    let found = describe(catalog, schema, name);
    let expected: String = expected.iter().map(|line| format!("{line}\n")).collect();
    assert!(found == expected, "{schema}.{name} is\n{found}and not\n{expected}");
}

const POSTGRES: &str = r#"
create schema "Müll ""東京"" ı";
create domain plz as varchar(5) default '100';
create domain "bıgınt" as bigint not null;
create domain "strict plz" as plz not null check (value <> '');
create type mood as enum ('so lala', 'b''c', 'あ');
create domain feeling as mood;
create type pair as (a int, b int);

create table "Müll ""東京"" ı"."Kunden 'x'" (
    "Id" bigint generated always as identity,
    region char(2),
    name varchar(40) not null,
    code plz,
    code2 "strict plz",
    big "bıgınt",
    mood mood,
    feeling feeling,
    twice int generated always as (1 + 1) stored,
    amount numeric(5,2), price real, born date, seen timestamp(3), at timestamptz, clock time, "uuid" uuid, ip inet,
    doc jsonb, raw bytea, ok boolean, tags text[], pair pair, "select" "char",
    primary key (region, "Id"),
    unique (name) include (code)
);
create index on "Müll ""東京"" ı"."Kunden 'x'" (lower(name), born);
create unique index partly on "Müll ""東京"" ı"."Kunden 'x'" (code) where ok;
create index words on "Müll ""東京"" ı"."Kunden 'x'" using gin (tags);

create table child (
    id int primary key, region char(2), kid bigint, parent int references child on delete set null,
    a int references child on delete restrict, b int default 1 references child on delete set default,
    c int references child on delete cascade,
    constraint "to 東京" foreign key (kid, region) references "Müll ""東京"" ı"."Kunden 'x'" ("Id", region)
);

create table events (id bigint, at date not null, kind int not null, who int, primary key (id, at, kind)) partition by range (at);
create table events_2024 partition of events for values from ('2024-01-01') to ('2025-01-01') partition by list (kind);
create table events_2024_a partition of events_2024 for values in (1);
create table events_2024_b partition of events_2024 default;
create table events_rest partition of events default;
alter table events_2024_a add constraint a_who foreign key (who) references child on delete cascade;
alter table events_rest add constraint rest_who foreign key (who) references child on delete cascade;
create table notes (event bigint, at date, kind int, foreign key (event, at, kind) references events on delete cascade);
create table comments (who int references child on delete set null) partition by hash (who);
create table comments_0 partition of comments for values with (modulus 1, remainder 0);

create function nothing() returns trigger language plpgsql as 'begin return null; end';
create trigger on_both after delete or update on child for each row execute function nothing();
create trigger on_insert before insert on child for each statement execute function nothing();
create trigger asleep after delete on child for each row execute function nothing();
alter table child disable trigger asleep;
create trigger everywhere after delete on events for each row execute function nothing();
create trigger there after update on events_rest for each row execute function nothing();
create rule shy as on delete to notes do instead nothing;

create table guarded (id int primary key);
alter table guarded enable row level security;
create table open (id int primary key);
create view looking as select id from child;
create materialized view kept as select id from child;
create unlogged table "naïve" (a text);
create temporary table hidden (a int);
"#;

#[tokio::test]
async fn postgres_zoo() {
    let scratch = Scratch::new(Engine::Postgres).await;
    scratch.script(POSTGRES).await;
    let catalog = read(&*scratch.database()).await;
    assert_eq!((catalog.engine, catalog.default_schema.as_str()), (Engine::Postgres, "public"));
    assert!(catalog.version.starts_with("PostgreSQL 1"), "{}", catalog.version);
    let strange = "Müll \"東京\" ı";
    assert_table(
        &catalog,
        strange,
        "Kunden 'x'",
        &[
            "Plain key [\"region\", \"Id\"]",
            "  Id `bigint` Integer default",
            "  region `character(2)` Text 2",
            "  name `character varying(40)` Text 40",
            "  code `plz` Text null default 5",
            "  code2 `\"strict plz\"` Text default 5",
            "  big `\"bıgınt\"` Integer",
            "  mood `mood` Enumeration null [\"so lala\", \"b'c\", \"あ\"]",
            "  feeling `feeling` Enumeration null [\"so lala\", \"b'c\", \"あ\"]",
            "  twice `integer` Integer null generated",
            "  amount `numeric(5,2)` Decimal null",
            "  price `real` Float null",
            "  born `date` Date null",
            "  seen `timestamp(3) without time zone` DateTime null",
            "  at `timestamp with time zone` Instant null",
            "  clock `time without time zone` Time null",
            "  uuid `uuid` Uuid null",
            "  ip `inet` Inet null",
            "  doc `jsonb` Json null",
            "  raw `bytea` Bytes null",
            "  ok `boolean` Boolean null",
            "  tags `text[]` Other null",
            "  pair `pair` Other null",
            "  select `\"char\"` Text null",
            "  index Kunden 'x'_lower_born_idx [\"\", \"born\"]",
            "  unique Kunden 'x'_name_code_key [\"name\"]",
            "  unique Kunden 'x'_pkey [\"region\", \"Id\"]",
            "  unique partly [\"code\"] partial",
        ],
    );
    assert_table(
        &catalog,
        "public",
        "child",
        &[
            "Plain key [\"id\"]",
            "  id `integer` Integer",
            "  region `character(2)` Text null 2",
            "  kid `bigint` Integer null",
            "  parent `integer` Integer null",
            "  a `integer` Integer null",
            "  b `integer` Integer null default",
            "  c `integer` Integer null",
            "  key child_a_fkey: [\"a\"] -> public.child [\"id\"] Restrict",
            "  key child_b_fkey: [\"b\"] -> public.child [\"id\"] SetDefault",
            "  key child_c_fkey: [\"c\"] -> public.child [\"id\"] Cascade",
            "  key child_parent_fkey: [\"parent\"] -> public.child [\"id\"] SetNull",
            "  key to 東京: [\"kid\", \"region\"] -> Müll \"東京\" ı.Kunden 'x' [\"Id\", \"region\"] NoAction",
            "  unique child_pkey [\"id\"]",
            "  trigger on_both delete update",
            "  trigger on_insert",
        ],
    );
    let columns =
        ["  id `bigint` Integer", "  at `date` Date", "  kind `integer` Integer", "  who `integer` Integer null"];
    let head = |first| [&[first], &columns[..]].concat();
    assert_table(
        &catalog,
        "public",
        "events",
        &[
            &head("Partitioned key [\"id\", \"at\", \"kind\"]")[..],
            &[
                // Declared twice, on two partitions, with the same meaning.
                "  key a_who: [\"who\"] -> public.child [\"id\"] Cascade",
                "  unique events_pkey [\"id\", \"at\", \"kind\"]",
                "  trigger everywhere delete",
                "  trigger there update",
                "  partition public.events_2024_a",
                "  partition public.events_2024_b",
                "  partition public.events_rest",
            ],
        ]
        .concat(),
    );
    assert_table(
        &catalog,
        "public",
        "events_2024",
        &[
            &head("Partitioned key [\"id\", \"at\", \"kind\"] partition of public.events")[..],
            &[
                "  unique events_2024_pkey [\"id\", \"at\", \"kind\"]",
                "  partition public.events_2024_a",
                "  partition public.events_2024_b",
            ],
        ]
        .concat(),
    );
    assert_table(
        &catalog,
        "public",
        "events_rest",
        &[
            &head("Plain key [\"id\", \"at\", \"kind\"] partition of public.events")[..],
            &[
                "  key rest_who: [\"who\"] -> public.child [\"id\"] Cascade",
                "  unique events_rest_pkey [\"id\", \"at\", \"kind\"]",
                "  trigger there update",
            ],
        ]
        .concat(),
    );
    assert_table(
        &catalog,
        "public",
        "notes",
        &[
            "Plain key []",
            "  event `bigint` Integer null",
            "  at `date` Date null",
            "  kind `integer` Integer null",
            "  key notes_event_at_kind_fkey: [\"event\", \"at\", \"kind\"] -> public.events [\"id\", \"at\", \"kind\"] Cascade",
            "  trigger shy delete",
        ],
    );
    assert_table(
        &catalog,
        "public",
        "comments",
        &[
            "Partitioned key []",
            "  who `integer` Integer null",
            "  key comments_who_fkey: [\"who\"] -> public.child [\"id\"] SetNull",
            "  partition public.comments_0",
        ],
    );
    assert_table(&catalog, "public", "looking", &["View key []", "  id `integer` Integer null"]);
    assert_table(&catalog, "public", "kept", &["View key []", "  id `integer` Integer null"]);
    assert!(catalog.table(None, "hidden").is_none());
    assert!(catalog.tables.is_sorted_by(|a, b| a.name < b.name));

    // Who references child, each once: itself four times, the two partitioned tables through their roots.
    let child = catalog.table(None, "child").unwrap().name.clone();
    let referencing: Vec<_> =
        catalog.referencing(&child).map(|(table, key)| format!("{} {}", table.name.name, key.name)).collect();
    assert_eq!(
        referencing,
        [
            "child child_a_fkey",
            "child child_b_fkey",
            "child child_c_fkey",
            "child child_parent_fkey",
            "comments comments_who_fkey",
            "events a_who",
        ]
    );
}

#[tokio::test]
async fn postgres_row_security_is_that_of_the_user() {
    let scratch = Scratch::new(Engine::Postgres).await;
    scratch.script(POSTGRES).await;
    // The owner, a superuser, sees every row.
    assert!(!read(&*scratch.database()).await.table(None, "guarded").unwrap().row_security);
    let role = format!("{}_guest", scratch.name);
    scratch
        .script(&format!(
            "create role {role} login password 'geheim'; grant select on all tables in schema public to {role}"
        ))
        .await;
    let (_, host) = scratch.url.rsplit_once('@').unwrap();
    let guest =
        open(&settings(Engine::Postgres, &format!("postgres://{role}:geheim@{host}")), &Pace::default()).unwrap();
    let catalog = read(&*guest).await;
    scratch.script(&format!("drop owned by {role}; drop role {role}")).await;
    assert!(catalog.table(None, "guarded").unwrap().row_security);
    assert!(!catalog.table(None, "open").unwrap().row_security);
    // Privileges hide nothing that planning must know.
    assert_eq!(catalog.table(None, "child").unwrap().foreign_keys.len(), 5);
}

#[tokio::test]
async fn estimates_come_from_the_server() {
    let scratch = Scratch::new(Engine::Postgres).await;
    scratch.script(POSTGRES).await;
    scratch
        .script(
            "insert into events select i, date '2024-01-01' + i % 600, i % 3 from generate_series(1, 3000) i; analyze;
             create table fresh (a int)",
        )
        .await;
    let catalog = read(&*scratch.database()).await;
    let rows = |name| catalog.table(None, name).unwrap().estimated_rows;
    assert_eq!(rows("events"), 3000, "each row of the leaves once");
    assert_eq!(rows("events_2024_a") + rows("events_2024_b") + rows("events_rest"), 3000);
    assert_eq!(rows("fresh"), 0);

    let scratch = Scratch::new(Engine::Sqlite).await;
    scratch
        .script(
            "create table a (x integer primary key); create table b (x text); create table \"c'\"\"\" (x text);
             insert into a values (1), (2), (70); insert into b values (1), (2); analyze;
             insert into \"c'\"\"\" values (1), (2); update \"c'\"\"\" set rowid = 7 where x = 2; create table w (x text primary key) without rowid;",
        )
        .await;
    let catalog = read(&*scratch.database()).await;
    let rows = |name| catalog.table(None, name).unwrap().estimated_rows;
    // Twice from statistics, then from the greatest row id, then unknown.
    assert_eq!([rows("a"), rows("b"), rows("c'\""), rows("w")], [3, 2, 7, 0]);
}

const MYSQL: &str = r#"
create table `Kunden ``x`` ı 東京` (
    id bigint unsigned auto_increment,
    region char(2) character set latin1 not null,
    name varchar(40) not null default 'a',
    born date, seen datetime(3), at timestamp null, clock time, yr year,
    amount decimal(5,2) unsigned, price double, flag tinyint(1), bits bit(4),
    mood enum('so lala','b''c','a\\b','あ') not null, tags set('x','y'),
    doc json, uid uuid, ip inet6, raw varbinary(16), big longblob, txt text,
    twice int as (1 + 1) virtual, thrice int as (1 + 2) stored,
    dflt varchar(36) default (uuid()),
    primary key (region, id), unique key by_name (name(10)), key (id), key pair (born, seen), fulltext (txt)
) character set utf8mb4;
create table child (
    id int primary key, region char(2) character set latin1, kid bigint unsigned,
    parent int, a int, b int, c int,
    constraint p foreign key (parent) references child (id) on delete set null,
    constraint a foreign key (a) references child (id) on delete restrict,
    constraint c foreign key (c) references child (id) on delete cascade,
    constraint `to 東京` foreign key (region, kid) references `Kunden ``x`` ı 東京` (region, id) on delete no action
);
create table parted (id int primary key) partition by hash (id) partitions 3;
create trigger on_delete before delete on child for each row set @x = 1;
create trigger on_update after update on child for each row set @x = 1;
create trigger on_insert after insert on child for each row set @x = 1;
create view looking as select id, name from `Kunden ``x`` ı 東京`;
create table versioned (id int primary key) with system versioning;
"#;

#[tokio::test]
async fn mysql_zoo() {
    let scratch = Scratch::new(Engine::Mysql).await;
    scratch.script(MYSQL).await;
    let elsewhere = Scratch::new(Engine::Mysql).await;
    elsewhere
        .script(&format!(
            "create table stranger (id int primary key, who int, constraint far foreign key (who) references {}.child (id));
             create table unrelated (id int primary key)",
            scratch.name
        ))
        .await;
    let catalog = read(&*scratch.database()).await;
    let schema = scratch.name.as_str();
    assert_eq!((catalog.engine, catalog.default_schema.as_str()), (Engine::Mysql, schema));
    assert_table(
        &catalog,
        schema,
        "Kunden `x` ı 東京",
        &[
            "Plain key [\"region\", \"id\"]",
            "  id `bigint(20) unsigned` Integer default",
            "  region `char(2)` Text 2",
            "  name `varchar(40)` Text default 40",
            "  born `date` Date null",
            "  seen `datetime(3)` DateTime null",
            "  at `timestamp` Instant null",
            "  clock `time` Time null",
            "  yr `year(4)` Integer null",
            "  amount `decimal(5,2) unsigned` Decimal null",
            "  price `double` Float null",
            "  flag `tinyint(1)` Integer null",
            "  bits `bit(4)` Other null",
            "  mood `enum('so lala','b''c','a\\\\b','あ')` Enumeration [\"so lala\", \"b'c\", \"a\\\\b\", \"あ\"]",
            "  tags `set('x','y')` Other null [\"x\", \"y\"]",
            "  doc `longtext` Json null 4294967295",
            "  uid `uuid` Uuid null",
            "  ip `inet6` Inet null",
            "  raw `varbinary(16)` Bytes null 16",
            "  big `longblob` Bytes null 4294967295",
            "  txt `text` Text null 65535",
            "  twice `int(11)` Integer null generated",
            "  thrice `int(11)` Integer null generated",
            "  dflt `varchar(36)` Text null default 36",
            "  unique PRIMARY [\"region\", \"id\"]",
            "  unique by_name [\"name\"]",
            "  index id [\"id\"]",
            "  index pair [\"born\", \"seen\"]",
        ],
    );
    let found = describe(&catalog, schema, "child");
    let keys: Vec<&str> =
        found.lines().filter(|line| line.starts_with("  key") || line.starts_with("  trigger")).collect();
    assert_eq!(
        keys,
        [
            format!("  key a: [\"a\"] -> {schema}.child [\"id\"] Restrict"),
            format!("  key c: [\"c\"] -> {schema}.child [\"id\"] Cascade"),
            format!("  key p: [\"parent\"] -> {schema}.child [\"id\"] SetNull"),
            format!("  key to 東京: [\"region\", \"kid\"] -> {schema}.Kunden `x` ı 東京 [\"region\", \"id\"] NoAction"),
            "  trigger on_delete delete".into(),
            "  trigger on_insert".into(),
            "  trigger on_update update".into(),
        ]
    );
    assert_table(
        &catalog,
        schema,
        "parted",
        &["Plain key [\"id\"]", "  id `int(11)` Integer", "  unique PRIMARY [\"id\"]"],
    );
    assert!(describe(&catalog, schema, "looking").starts_with("View key []\n  id `bigint(20) unsigned` Integer"));
    assert!(describe(&catalog, schema, "versioned").starts_with("Plain key [\"id\"]"));
    // A table of another database is there when it points here, and only then.
    assert!(
        describe(&catalog, &elsewhere.name, "stranger")
            .contains(&format!("key far: [\"who\"] -> {schema}.child [\"id\"]"))
    );
    assert!(catalog.table(Some(&elsewhere.name), "unrelated").is_none());
    let child = catalog.table(None, "child").unwrap().name.clone();
    assert_eq!(catalog.referencing(&child).filter(|(table, _)| table.name.schema != schema).count(), 1);
    drop(elsewhere);
}

#[test]
fn the_servers_under_test_are_named() {
    assert!(server(Engine::Postgres).starts_with("postgres"));
    assert!(server(Engine::Mysql).starts_with('m'));
}

const SQLITE: &str = r#"
create table "Kunden ""x"" ı 東京" (
    id integer primary key, name varchar(40) not null, born DATE, seen DateTime, at timestamp, n decimal(5,2),
    price real, raw blob, anything, flag boolean, doc json, uid uuid, "select" text, point POINT, odd STRANGE,
    twice int generated always as (1 + 1), thrice int as (1 + 2) stored,
    unique (name, born)
);
create unique index partly on "Kunden ""x"" ı 東京" (uid) where flag;
create index expr on "Kunden ""x"" ı 東京" (lower(name), born);
create table pairs (a text, b int, rowid text, c unique, primary key (b, a));
create table slim (a text, b int, primary key (b, a)) without rowid;
create table backwards (id integer primary key desc, Oid text);
create table "taken" (rowid, _rowid_, oid);
create table child (
    id integer primary key,
    parent int references child on delete set null,
    x int references "KUNDEN ""x"" ı 東京" (ID) on delete cascade,
    a text, b int,
    foreign key (b, a) references Pairs on delete restrict,
    foreign key (a) references nowhere (z) deferrable initially deferred
);
create trigger "a ""delete""" before delete on child begin select 1; end;
create trigger [on update] update of parent on CHILD begin select 1; end;
create trigger on_insert after insert on child begin select 1; end;
create view looking as select id from child;
create trigger instead instead of delete on looking begin select 1; end;
create virtual table texts using fts5(body);
"#;

#[tokio::test]
async fn sqlite_zoo() {
    let scratch = Scratch::new(Engine::Sqlite).await;
    scratch.script(SQLITE).await;
    let catalog = read(&*scratch.database()).await;
    assert_eq!((catalog.engine, catalog.default_schema.as_str()), (Engine::Sqlite, "main"));
    assert_table(
        &catalog,
        "main",
        "Kunden \"x\" ı 東京",
        &[
            "Plain key [\"id\"] rowid",
            "  id `INTEGER` Integer default",
            "  name `varchar(40)` Text",
            "  born `DATE` Date null",
            "  seen `DateTime` DateTime null",
            "  at `timestamp` DateTime null",
            "  n `decimal(5,2)` Decimal null",
            "  price `REAL` Float null",
            "  raw `BLOB` Bytes null",
            "  anything `` Other null",
            "  flag `boolean` Boolean null",
            "  doc `json` Json null",
            "  uid `uuid` Text null",
            "  select `TEXT` Text null",
            "  point `POINT` Integer null",
            "  odd `STRANGE` Other null",
            "  twice `INT` Integer null generated",
            "  thrice `INT` Integer null generated",
            "  index expr [\"\", \"born\"]",
            "  unique partly [\"uid\"] partial",
            "  unique rowid [\"id\"]",
            "  unique sqlite_autoindex_Kunden \"x\" ı 東京_1 [\"name\", \"born\"]",
        ],
    );
    assert_table(
        &catalog,
        "main",
        "pairs",
        &[
            "Plain key [\"b\", \"a\"] _rowid_",
            "  a `TEXT` Text null",
            "  b `INT` Integer null",
            "  rowid `TEXT` Text null",
            "  c `` Other null",
            "  unique sqlite_autoindex_pairs_1 [\"c\"]",
            "  unique sqlite_autoindex_pairs_2 [\"b\", \"a\"]",
        ],
    );
    assert_table(
        &catalog,
        "main",
        "slim",
        &[
            "Plain key [\"b\", \"a\"]",
            "  a `TEXT` Text",
            "  b `INT` Integer",
            "  unique sqlite_autoindex_slim_1 [\"b\", \"a\"]",
        ],
    );
    // `integer primary key desc` is, for the sake of old files, no alias of the row id.
    assert_table(
        &catalog,
        "main",
        "backwards",
        &[
            "Plain key [\"id\"] rowid",
            "  id `INTEGER` Integer null",
            "  Oid `TEXT` Text null",
            "  unique sqlite_autoindex_backwards_1 [\"id\"]",
        ],
    );
    assert!(describe(&catalog, "main", "taken").starts_with("Plain key []\n"));
    assert_table(
        &catalog,
        "main",
        "child",
        &[
            "Plain key [\"id\"] rowid",
            "  id `INTEGER` Integer default",
            "  parent `INT` Integer null",
            "  x `INT` Integer null",
            "  a `TEXT` Text null",
            "  b `INT` Integer null",
            "  key child_a_fkey: [\"a\"] -> main.nowhere [\"z\"] NoAction",
            "  key child_b_a_fkey: [\"b\", \"a\"] -> main.pairs [\"b\", \"a\"] Restrict",
            "  key child_parent_fkey: [\"parent\"] -> main.child [\"id\"] SetNull",
            "  key child_x_fkey: [\"x\"] -> main.Kunden \"x\" ı 東京 [\"id\"] Cascade",
            "  unique rowid [\"id\"]",
            "  trigger a \"delete\" delete",
            "  trigger on update update",
            "  trigger on_insert",
        ],
    );
    assert!(describe(&catalog, "main", "looking").starts_with("View key []\n  id `INTEGER`"));
    assert!(describe(&catalog, "main", "texts").starts_with("View"));
    assert!(describe(&catalog, "main", "texts_content").starts_with("View"));
    assert!(catalog.tables.iter().all(|table| !table.name.name.starts_with("sqlite_")));
}
