//! `where`, as data and as SQL, against rows of which each knows its fate.

use super::fates_come_true;
use crate::support::bench::{Bench, on_every_engine};
use std::fmt::Write as _;

/// For each condition a table with one row for each combination of a few values, and nulls; all of them are old enough.
/// Beside each condition stands the test's own way to say which rows are meant.
async fn conditions(bench: &Bench, conditions: &[(String, &str)]) {
    let mut values = Vec::new();
    for status in ["'open'", "'closed'", "'Bob''s \\ 100%'", "''", "null"] {
        for (pieces, price) in [("0", "-1.5"), ("1", "10"), ("2", "10.01"), ("null", "null")] {
            for paid in ["true", "false", "null"] {
                values.push(format!("({}, '2001-01-01', {status}, {pieces}, {paid}, {price}, 'stays')", values.len()));
            }
        }
    }
    let values = values.join(", ");
    let (mut script, mut rules, mut tables) = (String::new(), String::new(), Vec::new());
    for (i, (condition, sql)) in conditions.iter().enumerate() {
        let _ = write!(
            script,
            "create table t{i} (id {{int}} primary key, ended_on {{date}}, status {{text}}, pieces {{int}},
               paid {{boolean}}, price {{numeric}}, fate {{text}});
             insert into t{i} values {values};
             update t{i} set fate = 'goes' where {sql};"
        );
        let _ = writeln!(
            rules,
            "- {{id: t{i}, table: core.t{i}, starting_point: ended_on, retention_period: 5 years, disposition: erase,
                where: {condition}}}"
        );
        tables.push(format!("t{i}"));
    }
    bench.script(&script).await;
    bench.rules(&rules);
    fates_come_true(bench, &tables.iter().map(String::as_str).collect::<Vec<_>>()).await;
}

async fn conditions_as_data(bench: Bench) {
    let written = [
        ("{status: open}", "status = 'open'"),
        ("{status: [open, closed]}", "status = 'open' or status = 'closed'"),
        ("{status: [open, null]}", "status = 'open' or status is null"),
        ("{status: null}", "status is null"),
        ("{status: {not: null}}", "status is not null"),
        // no status is none of these too
        ("{status: {not: open}}", "status <> 'open'"),
        ("{status: {not: [open, null]}}", "status <> 'open' and status is not null"),
        (r#"{status: "Bob's \\ 100%"}"#, r"status = 'Bob''s \ 100%'"),
        (r#"{status: ""}"#, "status = ''"),
        ("{pieces: {less_than: 2}}", "pieces = 0 or pieces = 1"),
        ("{pieces: {at_least: 1, at_most: 1}}", "pieces = 1"),
        ("{pieces: {more_than: 1}}", "pieces = 2"),
        ("{pieces: [0, 2], paid: true}", "(pieces = 0 or pieces = 2) and paid"),
        ("{paid: false}", "not paid"),
        ("{paid: {not: true}}", "not paid"),
        ("{paid: [true, null]}", "paid or paid is null"),
        ("{price: 10}", "price > 9.999 and price < 10.001"),
        ("{price: {more_than: 10}}", "price > 10.001"),
        ("{price: {less_than: 0}, status: closed}", "price < 0 and status = 'closed'"),
    ];
    conditions(&bench, &written.map(|(data, sql)| (data.to_owned(), sql))).await;
}

async fn conditions_as_sql(bench: Bench) {
    // a backslash is a backslash on every engine
    let odd = r"status = 'Bob''s \ 100%'";
    let written = [
        ("status = 'open'", "status = 'open'"),
        ("status in ('open', 'closed') and not paid", "(status = 'open' or status = 'closed') and not paid"),
        ("status is null or pieces between 1 and 2", "status is null or pieces = 1 or pieces = 2"),
        (odd, r"status = 'Bob''s \ 100%'"),
        ("status like 'Bob%' and price >= 10", "status like 'Bob%' and price > 9.999"),
        ("coalesce(status, 'open') <> 'open'", "status <> 'open'"),
        ("case when paid then pieces else 0 end = 2", "paid and pieces = 2"),
        ("t7.pieces + 1 > 2 or 1 = 0", "pieces = 2"),
        ("length(status) = 0", "status = ''"),
    ];
    // a text in YAML
    conditions(&bench, &written.map(|(text, sql)| (format!("{text:?}").replace("\\'", "'"), sql))).await;
}

/// A number between two values of the column is neither of them, also where an index holds the column's values.
async fn numbers_finer_than_the_column(bench: Bench) {
    let conditions = [
        ("d = 0.005", "none"),
        ("d in (0.005, 0.996)", "none"),
        ("d <= 0.005", "1"),
        ("d < 0.996", "1 2"),
        ("d between 0.004 and 0.005", "none"),
        ("d between 0.005 and 0.996", "2"),
        ("n = 1.5", "none"),
        ("n in (0.5, 1.5)", "none"),
        ("n < 1.5", "1"),
        ("n >= 1.5 and n <= 2.5", "2"),
        ("{d: {at_most: 0.005}}", "1"),
        ("{n: {at_most: 1.5}}", "1"),
        ("0.005 = d", "none"),
        ("d = 0.01 and n > 1.5", "2"),
    ];
    let (mut script, mut rules, mut tables) = (String::new(), String::new(), Vec::new());
    for (i, (condition, goes)) in conditions.iter().enumerate() {
        let _ = write!(
            script,
            "create table t{i} (id {{int}} primary key, ended_on {{date}}, d decimal(10, 2), n {{int}}, fate {{text}});
             insert into t{i} values (1, '2001-01-01', 0, 1, 'stays'), (2, '2001-01-01', 0.01, 2, 'stays'),
               (3, '2001-01-01', 1, 3, 'stays'), (4, '2001-01-01', null, null, 'stays');
             create index t{i}_d on t{i} (d);
             create index t{i}_n on t{i} (n);"
        );
        if *goes != "none" {
            let _ = write!(script, "update t{i} set fate = 'goes' where id in ({});", goes.replace(' ', ", "));
        }
        let condition = if condition.starts_with('{') { (*condition).to_owned() } else { format!("{condition:?}") };
        let _ = writeln!(
            rules,
            "- {{id: t{i}, table: core.t{i}, starting_point: ended_on, retention_period: 5 years, disposition: erase,
                where: {condition}}}"
        );
        tables.push(format!("t{i}"));
    }
    bench.script(&script).await;
    bench.rules(&rules);
    fates_come_true(&bench, &tables.iter().map(String::as_str).collect::<Vec<_>>()).await;
}

on_every_engine!(conditions_as_data, conditions_as_sql, numbers_finer_than_the_column);
