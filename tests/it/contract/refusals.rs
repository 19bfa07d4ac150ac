//! Rules that do not fit their database: exit code 2, a diagnostic that says why, and nothing is touched.

use crate::support::bench::{Bench, on_every_engine};

/// A company with a good rule beside which each bad one is tried.
async fn company(bench: &Bench) {
    bench
        .script(
            "create table customers (id {int} primary key, left_on {date}, name {text} not null, email {text} unique,
               status {text}, age {int});
             create table orders (id {int} primary key, customer_id {int} not null,
               foreign key (customer_id) references customers (id));
             create table keyless (left_on {date}, name {text});
             create table good (id {int} primary key, left_on {date});
             insert into customers values (1, '2001-01-01', 'Hanako', 'h', 'x', 3);
             insert into keyless values ('2001-01-01', 'Hanako');
             insert into good values (1, '2001-01-01')",
        )
        .await;
    bench.script("create view old_customers as select * from customers").await;
    bench.rule_file(
        "good",
        "- {id: good, table: core.good, starting_point: left_on, retention_period: 5 years, disposition: erase}",
    );
}

async fn bad_rules_are_refused(bench: Bench) {
    company(&bench).await;
    let rule = |text: &str| format!("- {{id: bad, retention_period: 5 years, {text}}}");
    let keyless = "table: core.keyless, starting_point: left_on, disposition: erase";
    let customers = "table: core.customers, starting_point: left_on";
    let kept = "dependents: {core.orders: keep}";
    let mut codes = Vec::new();
    for text in [
        keyless.to_owned(),
        "table: core.old_customers, starting_point: left_on, disposition: erase".to_owned(),
        "table: core.nobody, starting_point: left_on, disposition: erase".to_owned(),
        format!("table: core.customers, starting_point: lost_on, disposition: erase, {kept}"),
        format!("table: core.customers, starting_point: age, disposition: erase, {kept}"),
        format!("table: core.customers, starting_point: status, disposition: erase, {kept}"),
        format!("{customers}, disposition: erase"),
        format!("{customers}, disposition: erase, dependents: {{core.orders: unlink}}"),
        format!("{customers}, disposition: erase, dependents: {{core.orders: erase, core.good: erase}}"),
        format!("{customers}, disposition: anonymize, columns: {{name: suppress}}, {kept}"),
        format!("{customers}, disposition: anonymize, columns: {{nme: suppress}}, {kept}"),
        format!("{customers}, disposition: anonymize, columns: {{email: {{replace: x}}}}, {kept}"),
        format!("{customers}, disposition: anonymize, columns: {{id: suppress}}, {kept}"),
        format!("{customers}, disposition: anonymize, columns: {{name: {{generalize: year}}}}, {kept}"),
        format!("{customers}, disposition: erase, where: {{stat: x}}, {kept}"),
        format!("{customers}, disposition: erase, where: {{age: many}}, {kept}"),
        format!("{customers}, disposition: erase, where: \"stat = 'x'\", {kept}"),
        format!("{customers}, disposition: erase, where: \"exists (select 1 from orders)\", {kept}"),
        format!("{customers}, disposition: pseudonymize, columns: {{name: hash}}, marker: nobody, {kept}"),
        format!("{customers}, disposition: pseudonymize, columns: {{name: hash}}, marker: status, {kept}"),
    ] {
        bench.rules(&rule(&text));
        let found: Vec<_> = bench.refused().into_iter().collect();
        codes.push(format!("{text}: {}", found.join(" ")));
    }
    assert_eq!(bench.count("select count(*) from customers").await, 1);
    assert_eq!(bench.count("select count(*) from good").await, 1, "a good rule ran beside a bad one");
    assert_eq!(bench.list("select name from customers").await, "Hanako");
    // the same codes on every engine
    insta::assert_snapshot!("refusals", codes.join("\n"));
}

async fn an_unknown_database_is_refused(bench: Bench) {
    company(&bench).await;
    bench.rules("- {id: bad, table: other.t, starting_point: x, retention_period: 5 years, disposition: erase}");
    assert_eq!(bench.refused().len(), 1);
}

async fn columns_that_the_database_computes(bench: Bench) {
    let generated = "generated always as (upper(name)) stored";
    bench
        .script(&format!(
            "create table people (id {{int}} primary key, left_on {{date}}, name {{text}}, shouted {{text}} {generated},
               foreign_key {{int}});
             insert into people (id, left_on, name) values (1, '2001-01-01', 'Hanako')"
        ))
        .await;
    let rule = |columns: &str| {
        format!(
            "- {{id: people, table: core.people, starting_point: left_on, retention_period: 5 years,
                disposition: anonymize, columns: {columns}}}"
        )
    };
    bench.rules(&rule("{shouted: suppress}"));
    bench.refused();
    bench.rules(&rule("{name: suppress}"));
    bench.run_to_the_end();
    assert_eq!(bench.lines("select name, shouted from people").await, ["NULL|NULL"]);
}

on_every_engine!(bad_rules_are_refused, an_unknown_database_is_refused, columns_that_the_database_computes);
