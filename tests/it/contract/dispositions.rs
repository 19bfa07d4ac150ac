//! What becomes of a row: every technique at least once, and that a second run has nothing left to do.

use crate::support::bench::{Bench, on_every_engine};
use sunset::catalog::Engine;

/// Values before and after, row by row; rows 1 and 2 are due, row 3 is not.
async fn anonymize(bench: Bench) {
    // MariaDB keeps both sorts in one type; SQLite has no functions for addresses and masks them
    let (address, technique, masked) = match bench.engine {
        Engine::Postgres => ("203.0.113.77", "{generalize: {ip_prefix: {v4: 24, v6: 48}}}", "203.0.113.0"),
        Engine::Mysql => ("2001:db8:1:2::77", "{generalize: {ip_prefix: {v4: 24, v6: 48}}}", "2001:db8:1::"),
        Engine::Sqlite => ("203.0.113.77", "{mask: {keep_first: 3}}", "203*********"),
    };
    bench
        .script(
            "create table people (id {int} primary key, left_on {date}, name {text}, email {text}, phone {text},
               card {text}, born {date}, seen_at {timestamp}, joined {date}, income {numeric}, age {int}, children {int},
               address {inet}, postal_code {text}, note {text})",
        )
        .await;
    for (id, left) in [(1, "2021-11-21"), (2, "2001-01-01"), (3, "2021-11-22")] {
        bench
            .script(&format!(
                "insert into people values ({id}, '{left}', '山田 花子', 'hanako{id}@example.com', '+81 90-1234-5678',
                   '4111111111111111', '1987-06-05', '2019-08-07 06:05:04', '1999-12-31', 123456.789, 97, 0, '{address}',
                   '150-0041', 'likes 猫 & “quotes”')"
            ))
            .await;
    }
    bench.rules(
        &r#"
- id: people
  table: core.people
  starting_point: left_on
  retention_period: 5 years
  disposition: anonymize
  columns:
    name: suppress
    email: {replace: "erased-{key}@invalid.example"}
    phone: mask
    card: {mask: {keep_first: 2, keep_last: 4}}
    born: {generalize: year}
    seen_at: {generalize: month}
    joined: {generalize: decade}
    income: {generalize: {bucket: 10000}}
    age: {top_code: 90}
    children: {bottom_code: 1}
    address: ADDRESS
    postal_code: {generalize: {postal_code: 3}}
    note: {truncate: 7}"#
            .replace("ADDRESS", technique),
    );
    let untouched = bench.lines("select * from people where id = 3").await;
    let report = bench.run_to_the_end();
    assert_eq!(report.line("people"), "done 2");
    assert_eq!(bench.lines("select * from people where id = 3").await, untouched);
    let after = bench
        .lines("select id, name, email, phone, card, age, children, postal_code, note from people where id < 3 order by id")
        .await;
    let expected = |id: u8| {
        let (phone, card) = ("*".repeat(16), format!("41{}1111", "*".repeat(10)));
        format!("{id}|NULL|erased-{id}@invalid.example|{phone}|{card}|90|1|150|likes 猫")
    };
    assert_eq!(after, [expected(1), expected(2)]);
    let typed = "select count(*) from people where id < 3 and born = '1987-01-01' and joined = '1990-01-01'
                 and income = 120000 and seen_at >= '2019-08-01' and seen_at < '2019-08-02'";
    assert_eq!(bench.count(typed).await, 2);
    let address = bench.list("select address from people where id = 1").await;
    assert_eq!(address.split('/').next(), Some(masked));
}

/// Rows that were anonymized by hand before are not counted as work.
async fn only_what_is_left_to_do(bench: Bench) {
    bench
        .script(
            "create table people (id {int} primary key, left_on {date}, name {text}, city {text});
             insert into people values (1, '2001-01-01', null, 'x'), (2, '2001-01-01', 'Hanako', 'x'),
               (3, '2001-01-01', null, 'Tokyo'), (4, '2001-01-01', null, null)",
        )
        .await;
    bench.rules(
        "
- {id: people, table: core.people, starting_point: left_on, retention_period: 5 years, disposition: anonymize,
   columns: {name: suppress, city: {replace: x}}}",
    );
    assert_eq!(bench.run_to_the_end().line("people"), "done 2");
    assert_eq!(
        bench.lines("select name, city from people order by id").await,
        ["NULL|x", "NULL|x", "NULL|x", "NULL|NULL"]
    );
}

async fn pseudonymize(bench: Bench) {
    for (table, marker, unmarked) in
        [("flags", "{boolean}", "false"), ("numbers", "{int}", "0"), ("times", "{timestamp}", "null")]
    {
        bench
            .script(&format!(
                "create table {table} (id {{int}} primary key, left_on {{date}}, email {{text}}, customer {{text}},
                   done {marker});
                 insert into {table} values (1, '2001-01-01', 'hanako@example.com', 'c-1', {unmarked}),
                   (2, '2001-01-01', 'taro@example.com', 'c-1', null), (3, '2001-01-01', 'hanako@example.com', null, null),
                   (4, '2025-01-01', 'jiro@example.com', 'c-1', {unmarked})"
            ))
            .await;
    }
    let rule = |table: &str| {
        format!(
            "- {{id: {table}, table: core.{table}, starting_point: left_on, retention_period: 5 years,
                disposition: pseudonymize, marker: done,
                columns: {{email: hash, customer: {{tokenize: {{prefix: cus_, length: 12}}}}}}}}\n"
        )
    };
    bench.rules(&["flags", "numbers", "times"].map(rule).concat());
    let report = bench.run_to_the_end();
    for table in ["flags", "numbers", "times"] {
        assert_eq!(report.line(table), "done 3");
        let rows = bench.rows(&format!("select email, customer from {table} order by id")).await;
        assert_eq!(rows[0][0], rows[2][0], "equal values get equal pseudonyms");
        assert_ne!(rows[0][0], rows[1][0]);
        assert!(rows[0][0].len() == 64 && rows[0][0].bytes().all(|byte| byte.is_ascii_hexdigit()), "{rows:?}");
        assert_eq!(rows[0][1], rows[1][1]);
        assert!(rows[0][1].starts_with("cus_") && rows[0][1].len() == 16, "{rows:?}");
        assert_eq!(rows[2][1], "NULL");
        assert_eq!(rows[3], ["jiro@example.com", "c-1"]);
        assert_eq!(
            bench.count(&format!("select count(*) from {table} where done is null")).await,
            u64::from(table == "times")
        );
    }
}

/// A key of its own makes other pseudonyms; without the key nobody can relate them.
async fn pseudonyms_depend_on_the_key(bench: Bench) {
    let other = Bench::new(bench.engine).await;
    let mut pseudonyms = Vec::new();
    for bench in [&bench, &other] {
        bench
            .script(
                "create table people (id {int} primary key, left_on {date}, email {text}, done {int});
                 insert into people values (1, '2001-01-01', 'hanako@example.com', null)",
            )
            .await;
        bench.rules(
            "
- {id: people, table: core.people, starting_point: left_on, retention_period: 5 years, disposition: pseudonymize,
   marker: done, columns: {email: hash}}",
        );
        bench.run_to_the_end();
        pseudonyms.push(bench.list("select email from people").await);
    }
    assert_ne!(pseudonyms[0], pseudonyms[1]);
}

async fn unlink(bench: Bench) {
    bench
        .script(
            "create table customers (id {int} primary key, name {text});
             create table orders (id {int} primary key, ordered_on {date}, total {int}, customer_id {int},
               foreign key (customer_id) references customers (id));
             insert into customers values (1, 'Hanako');
             insert into orders values (1, '2001-01-01', 10, 1), (2, '2025-01-01', 20, 1), (3, '2001-01-01', 30, null)",
        )
        .await;
    bench.rules(
        "
- {id: orders, table: core.orders, starting_point: ordered_on, retention_period: 5 years, disposition: unlink,
   columns: [customer_id]}",
    );
    assert_eq!(bench.run_to_the_end().line("orders"), "done 1");
    let after = bench.lines("select id, total, customer_id from orders order by id").await;
    assert_eq!(after, ["1|10|NULL", "2|20|1", "3|30|NULL"]);
}

/// Unlinked after a while, erased after longer: two rules follow each other in a row's life.
async fn one_rule_after_another(bench: Bench) {
    bench
        .script(
            "create table visits (id {int} primary key, seen_on {date}, person {int});
             insert into visits values (1, '2019-01-01', 7), (2, '2024-01-01', 7), (3, '2026-11-01', 7)",
        )
        .await;
    bench.rules(
        "
- {id: forget-who, table: core.visits, starting_point: seen_on, retention_period: 6 months, disposition: unlink,
   columns: [person]}
- {id: forget-that, table: core.visits, starting_point: seen_on, retention_period: 5 years, disposition: erase}",
    );
    bench.run_to_the_end();
    assert_eq!(bench.lines("select id, person from visits order by id").await, ["2|NULL", "3|7"]);
}

on_every_engine!(
    anonymize,
    only_what_is_left_to_do,
    pseudonymize,
    pseudonyms_depend_on_the_key,
    unlink,
    one_rule_after_another,
);
