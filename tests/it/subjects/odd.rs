//! Names, keys and shapes of schemas that nobody expects.

use super::{Company, HOLD};
use crate::support::bench::{Bench, on_every_engine};
use sunset::catalog::Engine;

/// Keys of two columns, reserved words, quotes and signs of patterns, and tables whose rows lead to rows of their own.
async fn odd_schemas(core: Bench) {
    let company = Company::of(core).await;
    company
        .core
        .script(
            "create table \"order\" (\"group\" {int}, \"select\" {text}, \"from\" {text}, \"where\" {text}, left_on {date},
               primary key (\"group\", \"select\"));
             insert into \"order\" values (1, 'a''b%', 'it''s 100%', 'X_Y@Example.com', '2001-01-01'),
               (1, 'a''b_', 'it''s 1000', 'xzy@example.com', '2001-01-01'), (2, 'a''b%', null, null, '2001-01-01')",
        )
        .await;
    for bench in [&company.web, &company.helpdesk] {
        bench
            .script(
                "create table \"table\" (id {int} primary key, \"Left\" {text}, \"to\" {text}, parent {int}, day {date},
                   foreign key (parent) references \"table\" (id));
                 insert into \"table\" values (1, 'it''s 100%', 'x_y@EXAMPLE.com', null, '2001-01-01'),
                   (2, 'other', null, 1, '2001-01-01'), (3, null, null, 2, '2001-01-01'),
                   (4, 'it''s 100%', 'xzy@example.com', null, '2001-01-01'), (5, null, null, 4, '2001-01-01'),
                   (6, 'it''s 1000', 'x_y@example.com', null, '2001-01-01')",
            )
            .await;
    }
    company.settings(
        "subjects:
  customer:
    home: core.order
    identifiers: {number: {column: from, as: text}, email: where}
    links:
      web.table: {Left: from, to: {column: where, as: email}}
      helpdesk.table: [{Left: from}, {to: {column: where, as: email}}]",
    );
    company.core.rules(
        "
- {id: orders, table: core.order, starting_point: left_on, retention_period: 1 year, disposition: erase}
- {id: web, table: web.table, starting_point: day, retention_period: 1 year, disposition: erase, dependents: {web.table: keep}}
- {id: helpdesk, table: helpdesk.table, starting_point: day, retention_period: 1 year, disposition: erase,
   dependents: {helpdesk.table: keep}}",
    );
    let added = company.core.sunset(&[&HOLD[..], &["--find", "number=it's 100%"]].concat()).expect(0);
    assert!(!added.err.contains("100%"), "{}", added.err);
    // as often as it takes: a row goes when those that refer to it have gone
    for _ in 0..4 {
        company.run(&[]);
    }
    let kept = company.core.lines("select \"group\", \"select\" from \"order\"").await;
    assert_eq!(kept, ["1|a'b%"]);
    // in one database both columns have to be equal, in the other one of them
    assert_eq!(company.web.list("select id from \"table\" order by id").await, "1 2 3");
    assert_eq!(company.helpdesk.list("select id from \"table\" order by id").await, "1 2 3 4 5 6");

    let by_key = ["why", "--subject", "customer", "--key", "1", "--key", "a'b%"];
    let life = company.core.sunset(&by_key).expect(0).out;
    for words in [".table: 3 rows", ".table: 6 rows", ".order: 1 row"] {
        assert!(life.contains(words), "{life}");
    }
}

/// A table of the same name in another schema is another table.
#[tokio::test]
async fn schemas_are_told_apart() {
    let company = Company::of(Bench::new(Engine::Postgres).await).await;
    company
        .core
        .script(
            "create schema crm; create table people (id integer primary key, email text, day date);
             create table notes (id integer primary key, email text, day date);
             create table crm.notes (id integer primary key, email text, day date);
             insert into people values (1, 'a@example.com', '2001-01-01');
             insert into notes values (1, 'A@example.com', '2001-01-01'); insert into crm.notes select * from notes",
        )
        .await;
    company.settings("subjects:\n  customer: {home: core.people, identifiers: {email: email}, links: {core.crm.notes: {email: email}}}");
    company.core.rules(
        "
- {id: notes, table: core.notes, starting_point: day, retention_period: 1 year, disposition: erase}
- {id: crm, table: core.crm.notes, starting_point: day, retention_period: 1 year, disposition: erase}",
    );
    company.hold(&["--find", "email=a@EXAMPLE.com"]);
    company.run(&[]).expect(0);
    assert_eq!(company.core.list("select count(*) from notes").await, "0");
    assert_eq!(company.core.list("select count(*) from crm.notes").await, "1");
}

/// Texts of another character set and collation, and one that takes letters of any size for equal.
#[tokio::test]
async fn collations_of_mariadb_make_no_difference() {
    let company = Company::of(Bench::new(Engine::Sqlite).await).await;
    assert_eq!(company.helpdesk.engine, Engine::Mysql);
    company.core.script("create table people (id integer primary key, email text, code text); insert into people values (1, 'Jörg@Example.com', 'Ab')").await;
    company
        .helpdesk
        .script(
            "create table notes (id int primary key, email varchar(50) character set latin1 collate latin1_german1_ci,
               code varchar(10) collate utf8mb4_general_ci, raw varchar(10) collate utf8mb4_bin, day date);
             insert into notes values (1, 'JÖRG@example.com', 'x', 'x', '2001-01-01'), (2, 'jorg@example.com', 'x', 'x', '2001-01-01'),
               (3, 'x', 'aB', 'x', '2001-01-01'), (4, 'x', 'x', 'Ab', '2001-01-01'), (5, 'x', 'x', 'aB', '2001-01-01')",
        )
        .await;
    company.settings("subjects:\n  customer: {home: core.people, links: {helpdesk.notes: [{email: {column: email, as: email}}, {code: code}, {raw: code}]}}");
    company.core.rules(
        "- {id: notes, table: helpdesk.notes, starting_point: day, retention_period: 1 year, disposition: erase}",
    );
    company.hold(&["--key", "1"]);
    company.run(&[]).expect(0);
    assert_eq!(company.helpdesk.list("select id from notes order by id").await, "1 3 4");
}

on_every_engine!(odd_schemas);
