//! Holds: what is held stays whatever its rule says, and goes when it is released.

use crate::support::bench::{Bench, Call, on_every_engine};
use sunset::catalog::Engine;

mod belonging;
mod closure;
mod identity;
mod partitions;

async fn company(bench: &Bench) {
    bench
        .script(
            "create table customers (id {int} primary key, left_on {date}, status {text});
             create table orders (shop {int}, number {text}, customer_id {int}, primary key (shop, number),
               foreign key (customer_id) references customers (id));
             insert into customers values (1, '2001-01-01', 'plain'), (2, '2001-01-01', 'sued'), (3, '2001-01-01', null),
               (4, '2001-01-01', 'plain'), (5, '2001-01-01', 'sued');
             insert into orders values (1, 'a''b', 3), (1, '退会', 4), (2, 'c', 4)",
        )
        .await;
    bench.rules(
        "
- {id: customers, table: core.customers, starting_point: left_on, retention_period: 5 years, disposition: erase,
   dependents: {core.orders: erase}}",
    );
}

/// Adds a hold and gives its number.
fn hold(bench: &Bench, table: &str, what: &[&str]) -> String {
    add(bench, table, what).expect(0).out.trim().to_owned()
}

/// The same, whatever comes of it.
fn add(bench: &Bench, table: &str, what: &[&str]) -> Call {
    let mut arguments = vec!["hold", "add", "--table", table, "--matter", "2026-17", "--reason", "lawsuit"];
    arguments.extend(["--owner", "legal@example.com", "--review", "2027-01-01"]);
    arguments.extend(what);
    bench.sunset(&arguments)
}

async fn held_rows_stay(bench: Bench) {
    company(&bench).await;
    let by_key = hold(&bench, "core.customers", &["--key", "1"]);
    let by_condition = hold(&bench, "core.customers", &["--where", "status = 'sued'"]);
    let by_dependent = hold(&bench, "core.orders", &["--key", "1", "--key", "退会"]);
    let report = bench.run_to_the_end();
    assert_eq!(report.line("customers"), "explained_rest 1 held=4");
    assert_eq!(bench.list("select id from customers order by id").await, "1 2 4 5");
    assert_eq!(bench.list("select number from orders order by number").await, "c 退会");

    bench.sunset(&["hold", "release", &by_key, "--reason", "settled", "--owner", "legal@example.com"]).expect(0);
    bench.sunset(&["hold", "release", &by_dependent, "--reason", "settled", "--owner", "legal@example.com"]).expect(0);
    assert_eq!(bench.run_to_the_end().line("customers"), "explained_rest 2 held=2");
    assert_eq!(bench.list("select id from customers order by id").await, "2 5");
    assert_eq!(bench.count("select count(*) from orders").await, 0);

    bench.sunset(&["hold", "release", &by_condition, "--reason", "settled", "--owner", "legal@example.com"]).expect(0);
    assert_eq!(bench.run_to_the_end().line("customers"), "done 2");
    assert_eq!(bench.count("select count(*) from customers").await, 0);
}

/// A dependent's hold by condition, two levels below the rule's table.
async fn holds_reach_up(bench: Bench) {
    company(&bench).await;
    bench
        .script(
            "create table items (id {int} primary key, shop {int}, number {text}, kind {text},
               foreign key (shop, number) references orders (shop, number));
             insert into items values (1, 1, 'a''b', 'plain'), (2, 2, 'c', 'evidence')",
        )
        .await;
    bench.rules(
        "
- {id: customers, table: core.customers, starting_point: left_on, retention_period: 5 years, disposition: erase,
   dependents: {core.orders: erase, core.items: erase}}",
    );
    hold(&bench, "core.items", &["--where", "kind = 'evidence'"]);
    assert_eq!(bench.run_to_the_end().line("customers"), "explained_rest 4 held=1");
    assert_eq!(bench.list("select id from customers").await, "4");
    assert_eq!(bench.list("select id from items").await, "2");
    assert_eq!(bench.count("select count(*) from orders").await, 2);
}

/// A hold that cannot be meant is refused, and the ledger names no row.
async fn holds_are_checked(bench: Bench) {
    company(&bench).await;
    bench.script("create view seen as select * from customers").await;
    let add = |table: &str, what: &[&str]| add(&bench, table, what).code;
    assert_eq!(add("core.seen", &["--where", "id = 1"]), 2);
    for never in [
        "status = null",
        "status = 'plain' and status = 'sued'",
        "status is null and status = 'sued'",
        "id > 5 and id < 3",
        "status in (null)",
        "nowhere.id = 1",
    ] {
        assert_eq!(add("core.customers", &["--where", never]), 2, "{never}");
    }
    if bench.engine != Engine::Sqlite {
        for never in ["id = 'one'", "id = 1.5", "id = 99999999999", "left_on = 'soon'"] {
            assert_eq!(add("core.customers", &["--where", never]), 2, "{never}");
        }
        assert_eq!(add("core.customers", &["--key", "one"]), 2);
    }
    let later = super::holds::add(&bench, "core.customers", &["--where", "status = 'appealed'"]).expect(0);
    assert!(later.err.contains("no row"), "{later:?}");
    assert_eq!(add("core.customers", &["--key", "99"]), 2);
    assert_eq!(add("core.customers", &["--key", "1", "--key", "2"]), 2);
    assert_eq!(add("core.customers", &["--where", "unknown = 1"]), 2);
    assert_eq!(add("core.customers", &["--where", "id in (select 1)"]), 2);
    assert_eq!(add("core.nowhere", &["--key", "1"]), 2);
    assert_eq!(add("core.orders", &["--key", "1", "--key", "a'b"]), 0);
    let export = bench.sunset(&["ledger", "export"]).expect(0).out;
    assert!(export.contains("hold_added") && !export.contains("a'b"), "{export}");
}

on_every_engine!(held_rows_stay, holds_reach_up, holds_are_checked);
