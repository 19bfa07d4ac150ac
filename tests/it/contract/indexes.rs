//! Indexes that are not there: the plan gives the statements that make them, and they help.

use crate::support::bench::{Bench, on_every_engine};
use serde_json::Value as Json;
use sunset::catalog::Engine;

async fn big_tables(bench: &Bench) {
    bench
        .script(
            "create table visits (id {int} primary key, seen_on {date});
             create table notes (id {int} primary key, written_at varchar(40));
             create table customers (id {int} primary key, left_on {date});
             create table orders (id {int} primary key, customer_id {int} not null,
               foreign key (customer_id) references customers (id));
             create table letters (id {int} primary key, customer_id {int} not null,
               foreign key (customer_id) references customers (id));
             create table people (id {int} primary key, name {text});
             create table contracts (id {int} primary key, person_id {int}, ended_on {date});
             create table few (id {int} primary key, seen_on {date});
             insert into few values (1, '2001-01-01'), (2, '2025-01-01')",
        )
        .await;
    let numbers = match bench.engine {
        Engine::Postgres => "(select i from generate_series(1, 20000) i) n",
        Engine::Mysql => {
            "(select i from json_table(concat('[', repeat('0,', 19999), '0]'), '$[*]' columns (i for ordinality)) j) n"
        }
        Engine::Sqlite => {
            "(with recursive n (i) as (select 1 union all select i + 1 from n where i < 20000) select i from n) n"
        }
    };
    let mut script = String::new();
    for (table, columns) in [
        ("visits", "i, '2025-01-01'"),
        ("notes", "i, '2025-01-01'"),
        ("customers", "i, '2025-01-01'"),
        ("orders", "i, i"),
        ("letters", "i, i"),
        ("contracts", "i, i, '2025-01-01'"),
    ] {
        let columns = match bench.engine {
            Engine::Postgres => columns.replace("'2025-01-01'", "date '2025-01-01'"),
            _ => columns.to_owned(),
        };
        script += &format!("insert into {table} select {columns} from {numbers};");
    }
    bench.script(&script).await;
    // few, because each of them has the other table read as a whole
    bench.script("insert into people values (1, 'Hanako'), (2, 'Taro')").await;
    let tables = "visits, notes, customers, orders, letters, people, contracts, few";
    bench.script_for("analyze", &format!("analyze table {tables}"), "analyze").await;
    bench.rules(
        "
- {id: visits, table: core.visits, starting_point: seen_on, retention_period: 5 years, disposition: erase}
- {id: notes, table: core.notes, starting_point: {column: written_at, as: iso_text}, retention_period: 5 years,
   disposition: erase}
- {id: customers, table: core.customers, starting_point: left_on, retention_period: 5 years, disposition: erase,
   dependents: {core.orders: erase, core.letters: keep}}
- {id: people, table: core.people, retention_period: 5 years, disposition: erase,
   starting_point: {latest: core.contracts.ended_on, through: person_id}}
- {id: few, table: core.few, starting_point: seen_on, retention_period: 5 years, disposition: erase}",
    );
}

/// `table (columns)` of every index that the plan would have.
fn missing(plan: &Json) -> Vec<String> {
    let steps = plan["steps"].as_array().unwrap();
    let missing = steps.iter().filter_map(|step| step["missing_indexes"].as_array()).flatten();
    let mut names: Vec<_> = missing
        .map(|index| {
            let columns: Vec<_> = index["columns"].as_array().unwrap().iter().filter_map(Json::as_str).collect();
            format!("{} ({})", index["table"]["name"].as_str().unwrap(), columns.join(", "))
        })
        .collect();
    names.sort();
    names
}

async fn the_plan_names_missing_indexes(bench: Bench) {
    big_tables(&bench).await;
    let plan = bench.plan();
    let mut expected = vec!["contracts (person_id)", "customers (left_on)"];
    // MariaDB makes the indexes of foreign keys itself
    if bench.engine != Engine::Mysql {
        expected.push("letters (customer_id)");
    }
    expected.push("notes (written_at)");
    if bench.engine != Engine::Mysql {
        expected.push("orders (customer_id)");
    }
    expected.push("visits (seen_on)");
    assert_eq!(missing(&plan), expected);
    let shown = bench.sunset(&["plan", "--now", bench.now]).expect(0);
    assert!(shown.out.contains("would help: a night with nothing due reads the whole table"), "{}", shown.out);
    let checked = bench.sunset(&["validate"]).expect(0);
    assert!(format!("{}{}", checked.out, checked.err).contains("would end that"), "{checked:?}");

    let steps = plan["steps"].as_array().unwrap();
    for index in steps.iter().filter_map(|step| step["missing_indexes"].as_array()).flatten() {
        // as it is printed
        let sql = index["sql"].as_str().unwrap();
        assert!(bench.try_script(sql).await, "{sql}");
    }
    let plan = bench.plan();
    assert_eq!(missing(&plan), [""; 0]);
    for rule in ["visits", "notes", "customers"] {
        let step = plan["steps"].as_array().unwrap().iter().find(|step| step["rule"] == rule).unwrap();
        assert!(step["access"]["used"].is_string(), "{rule}: {}", step["access"]);
    }
}

on_every_engine!(the_plan_names_missing_indexes);
