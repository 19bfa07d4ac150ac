//! What becomes of the rows that reference a disposed row: erased, kept, unlinked, anonymized; over several levels,
//! composite keys, two ways to one parent, and to itself.

use super::fates_come_true;
use crate::support::bench::{Bench, on_every_engine};
use sunset::catalog::Engine;

const CUSTOMERS: &str = "create table customers (id {int} primary key, left_on {date}, name {text}, fate {text});
     insert into customers values (1, '2001-01-01', 'Hanako', 'goes'), (2, '2025-01-01', 'Taro', 'stays'),
       (3, '2001-01-01', 'Jiro', 'goes');";

fn erase_customers(bench: &Bench, dependents: &str) {
    bench.rules(&format!(
        "
- id: customers
  table: core.customers
  starting_point: left_on
  retention_period: 5 years
  disposition: erase
  dependents: {dependents}"
    ));
}

async fn three_levels_are_erased(bench: Bench) {
    bench.settings("time_zone: Asia/Tokyo\npace: {batch_rows: 1}");
    bench.script(CUSTOMERS).await;
    bench
        .script(
            "create table orders (id {int} primary key, customer_id {int} not null, fate {text},
               foreign key (customer_id) references customers (id));
             create table items (id {int} primary key, order_id {int} not null, fate {text},
               foreign key (order_id) references orders (id));
             create table notes (item_id {int} not null, body {text}, fate {text},
               foreign key (item_id) references items (id));
             insert into orders values (10, 1, 'goes'), (11, 1, 'goes'), (20, 2, 'stays'), (30, 3, 'goes');
             insert into items values (100, 10, 'goes'), (101, 10, 'goes'), (110, 11, 'goes'), (200, 20, 'stays');
             insert into notes values (100, 'a', 'goes'), (100, 'b', 'goes'), (200, 'c', 'stays')",
        )
        .await;
    erase_customers(&bench, "{core.orders: erase, core.items: erase, core.notes: erase}");
    let report = fates_come_true(&bench, &["customers", "orders", "items", "notes"]).await;
    assert_eq!(report.line("customers"), "done 2");
    let along = ["orders", "items", "notes"].map(|table| report.along("customers", table));
    assert_eq!(along, [3, 3, 2]);
    // a table without primary key has no names for its rows; the others are in the ledger
    assert_eq!(bench.proven("core.orders", &["10"]), 1);
    assert_eq!(bench.proven("core.items", &["110"]), 1);
    assert_eq!(bench.proven("core.items", &["200"]), 0);
}

async fn kept_dependents_hold_a_row_back(bench: Bench) {
    bench.script(CUSTOMERS).await;
    bench
        .script(
            "create table orders (id {int} primary key, ordered_on {date}, customer_id {int},
               foreign key (customer_id) references customers (id));
             insert into orders values (1, '2001-01-01', 1), (2, '2024-01-01', 1), (3, '2001-01-01', 3)",
        )
        .await;
    bench.rules(
        "
- {id: customers, table: core.customers, starting_point: left_on, retention_period: 5 years, disposition: erase,
   dependents: {core.orders: keep}}
- {id: orders, table: core.orders, starting_point: ordered_on, retention_period: 5 years, disposition: erase}",
    );
    let report = bench.run_to_the_end();
    // the orders' own rule runs first, so that the third customer goes in the same night
    assert_eq!(report.line("orders"), "done 2");
    assert_eq!(report.line("customers"), "explained_rest 1 needed_by_kept_dependents=1");
    assert_eq!(bench.list("select id from customers order by id").await, "1 2");
    assert_eq!(bench.list("select id from orders").await, "2");
}

async fn links_are_cut(bench: Bench) {
    bench.script(CUSTOMERS).await;
    bench
        .script(
            "create table orders (id {int} primary key, customer_id {int}, payer_id {int}, total {int},
               foreign key (customer_id) references customers (id), foreign key (payer_id) references customers (id));
             insert into orders values (1, 1, 1, 10), (2, 1, 2, 20), (3, 2, 3, 30), (4, 2, 2, 40), (5, null, null, 50)",
        )
        .await;
    erase_customers(&bench, "{core.orders: [{by: customer_id, unlink: true}, {by: payer_id, unlink: true}]}");
    let report = bench.run_to_the_end();
    assert_eq!(bench.list("select id from customers").await, "2");
    let after = bench.lines("select id, customer_id, payer_id, total from orders order by id").await;
    assert_eq!(after, ["1|NULL|NULL|10", "2|NULL|2|20", "3|2|NULL|30", "4|2|2|40", "5|NULL|NULL|50"]);
    assert_eq!(report.line("customers"), "done 2");
}

async fn dependents_are_anonymized(bench: Bench) {
    bench.script(CUSTOMERS).await;
    bench
        .script(
            "create table addresses (id {int} primary key, customer_id {int}, street {text}, city {text},
               foreign key (customer_id) references customers (id));
             insert into addresses values (1, 1, 'Udagawacho 1', 'Tokyo'), (2, 2, 'Umeda 2', 'Osaka'),
               (3, 3, null, 'Kyoto')",
        )
        .await;
    bench.rules(
        "
- id: customers
  table: core.customers
  starting_point: left_on
  retention_period: 5 years
  disposition: anonymize
  columns: {name: suppress}
  dependents: {core.addresses: {anonymize: {street: suppress, city: {replace: gone}}}}",
    );
    bench.run_to_the_end();
    assert_eq!(bench.lines("select id, name from customers order by id").await, ["1|NULL", "2|Taro", "3|NULL"]);
    let after = bench.lines("select id, customer_id, street, city from addresses order by id").await;
    assert_eq!(after, ["1|1|NULL|gone", "2|2|Umeda 2|Osaka", "3|3|NULL|gone"]);
}

/// Erased parents leave dependents without name and without link.
async fn dependents_are_anonymized_and_unlinked(bench: Bench) {
    bench.script(CUSTOMERS).await;
    bench
        .script(
            "create table orders (id {int} primary key, customer_id {int}, recipient {text},
               foreign key (customer_id) references customers (id));
             insert into orders values (1, 1, 'Hanako'), (2, 2, 'Taro')",
        )
        .await;
    erase_customers(&bench, "{core.orders: {anonymize: {customer_id: suppress, recipient: suppress}}}");
    bench.run_to_the_end();
    assert_eq!(bench.list("select id from customers").await, "2");
    assert_eq!(bench.lines("select * from orders order by id").await, ["1|NULL|NULL", "2|2|Taro"]);
}

async fn composite_foreign_keys(bench: Bench) {
    bench.settings("time_zone: Asia/Tokyo\npace: {batch_rows: 1}");
    bench
        .script(
            "create table contracts (shop {int}, code {text}, left_on {date}, fate {text}, primary key (shop, code));
             create table parts (id {int} primary key, shop {int}, code {text}, fate {text},
               foreign key (shop, code) references contracts (shop, code));
             create table labels (id {int} primary key, part_id {int}, shop {int} not null, code {text}, fate {text},
               foreign key (part_id) references parts (id), foreign key (shop, code) references contracts (shop, code));
             insert into contracts values (1, 'a', '2001-01-01', 'goes'), (1, 'b', '2025-01-01', 'stays'),
               (2, 'a', '2025-01-01', 'stays'), (2, 'b', '2001-01-01', 'goes');
             insert into parts values (1, 1, 'a', 'goes'), (2, 1, 'b', 'stays'), (3, 2, 'a', 'stays'), (4, 2, 'b', 'goes'),
               (5, 2, null, 'stays'), (6, null, 'a', 'stays');
             insert into labels values (1, 1, 1, 'b', 'goes'), (2, 3, 2, 'b', 'goes'), (3, 3, 2, 'a', 'stays')",
        )
        .await;
    bench.rules(
        "
- {id: contracts, table: core.contracts, starting_point: left_on, retention_period: 5 years, disposition: erase,
   dependents: {core.parts: erase, core.labels: [{by: part_id, erase: true}, {by: [shop, code], erase: true}]}}",
    );
    let report = fates_come_true(&bench, &["contracts", "parts", "labels"]).await;
    assert_eq!([report.along("contracts", "parts"), report.along("contracts", "labels")], [2, 2]);
}

/// A composite link is cut by the columns of it that may be null.
async fn composite_links_are_cut(bench: Bench) {
    bench
        .script(
            "create table contracts (shop {int}, code {text}, left_on {date}, primary key (shop, code));
             create table parts (id {int} primary key, shop {int} not null, code {text},
               foreign key (shop, code) references contracts (shop, code));
             insert into contracts values (1, 'a', '2001-01-01'), (1, 'b', '2025-01-01');
             insert into parts values (1, 1, 'a'), (2, 1, 'b')",
        )
        .await;
    bench.rules(
        "
- {id: contracts, table: core.contracts, starting_point: left_on, retention_period: 5 years, disposition: erase,
   dependents: {core.parts: unlink}}",
    );
    bench.run_to_the_end();
    assert_eq!(bench.list("select code from contracts").await, "b");
    assert_eq!(bench.lines("select * from parts order by id").await, ["1|1|NULL", "2|1|b"]);
}

const STAFF: &str = "create table staff (id {int} primary key, left_on {date}, manager_id {int}, fate {text},
       foreign key (manager_id) references staff (id));";

async fn a_table_that_references_itself_is_unlinked(bench: Bench) {
    bench.script(STAFF).await;
    bench
        .script(
            "insert into staff values (1, '2001-01-01', null, 'goes');
             insert into staff values (2, '2025-01-01', 1, 'stays'), (3, '2001-01-01', 1, 'goes');
             insert into staff values (4, '2025-01-01', 3, 'stays'), (5, '2025-01-01', 2, 'stays');
             update staff set manager_id = 3 where id = 1",
        )
        .await;
    bench.rules(
        "
- {id: staff, table: core.staff, starting_point: left_on, retention_period: 5 years, disposition: erase,
   dependents: {core.staff: unlink}}",
    );
    assert_eq!(bench.run_to_the_end().line("staff"), "done 2");
    assert_eq!(bench.lines("select id, manager_id from staff order by id").await, ["2|NULL", "4|NULL", "5|2"]);
}

/// A chain of rows, each kept for the next one's sake: they go from its end, all of them in one run.
async fn a_table_that_references_itself_is_kept(bench: Bench) {
    bench.script(STAFF).await;
    for id in 1..=8 {
        let manager = if id == 1 { "null".to_owned() } else { (id - 1).to_string() };
        bench.script(&format!("insert into staff values ({id}, '2001-01-01', {manager}, 'goes')")).await;
    }
    bench
        .script(
            "insert into staff values (20, '2001-01-01', null, 'stays'), (21, '2025-01-01', 20, 'stays'),
               (22, '2025-01-01', null, 'stays')",
        )
        .await;
    bench.rules(
        "
- {id: staff, table: core.staff, starting_point: left_on, retention_period: 5 years, disposition: erase,
   dependents: {core.staff: keep}}",
    );
    let report = fates_come_true(&bench, &["staff"]).await;
    assert_eq!(report.line("staff"), "explained_rest 8 needed_by_kept_dependents=1");
}

/// A row that only itself references waits for nothing; one with an answer waits for that.
async fn a_row_does_not_wait_for_itself(bench: Bench) {
    bench
        .script(
            "create table notes (id {int} primary key, root {int}, made {date}, fate {text},
               foreign key (root) references notes (id));
             insert into notes values (1, 1, '2001-01-01', 'goes'), (2, 2, '2001-01-01', 'stays'),
               (3, 2, '2025-01-01', 'stays'), (4, 1, '2001-01-01', 'goes'), (5, null, '2001-01-01', 'goes')",
        )
        .await;
    bench.rules(
        "
- {id: notes, table: core.notes, starting_point: made, retention_period: 5 years, disposition: erase,
   dependents: {core.notes: keep}}",
    );
    let report = fates_come_true(&bench, &["notes"]).await;
    assert_eq!(report.line("notes"), "explained_rest 3 needed_by_kept_dependents=1");
}

/// The same over another table: a customer's last order is one of the customer's own.
async fn a_row_does_not_wait_for_itself_over_others(bench: Bench) {
    bench.script(CUSTOMERS).await;
    bench
        .script(
            "create table orders (id {int} primary key, customer_id {int}, fate {text},
               foreign key (customer_id) references customers (id));
             alter table customers add column last_order {int} references orders (id)",
        )
        .await;
    if bench.engine == Engine::Mysql {
        // inline references are words there
        bench.script("alter table customers add foreign key (last_order) references orders (id)").await;
    }
    bench
        .script(
            "insert into orders values (10, 1, 'goes'), (11, 1, 'goes'), (20, 2, 'stays'), (30, 3, 'stays');
             insert into customers values (4, '2025-01-01', 'Saburo', 'stays', 30);
             update customers set last_order = 11 where id = 1; update customers set fate = 'stays' where id = 3",
        )
        .await;
    erase_customers(&bench, "{core.orders: erase, core.customers: keep}");
    let report = fates_come_true(&bench, &["customers", "orders"]).await;
    assert_eq!(report.line("customers"), "explained_rest 1 needed_by_kept_dependents=1");
    assert_eq!((report.along("customers", "orders"), report.along("customers", "customers")), (2, 0));
}

const TWO_KEYS: &str = "create table orders (id {int} primary key, buyer {int}, friend {int}, fate {text},
       constraint of_buyer foreign key (buyer) references customers (id),
       constraint of_friend foreign key (friend) references customers (id));
     insert into orders values (10, 2, 1, 'stays'), (11, 1, 2, 'goes'), (12, 1, 1, 'goes'), (13, 2, 2, 'stays')";

/// Where a table references the rows by two keys, nobody has said by which of them its rows go.
async fn several_keys_are_named_one_by_one(bench: Bench) {
    bench.script(CUSTOMERS).await;
    bench.script(TWO_KEYS).await;
    for vague in [
        "{core.orders: erase}",
        "{core.orders: unlink}",
        "{core.orders: {anonymize: {buyer: suppress, friend: suppress}}}",
        "{core.orders: {by: buyer, erase: true}}",
    ] {
        erase_customers(&bench, vague);
        assert_eq!(bench.refused(), ["E0406".to_owned()].into(), "{vague}");
    }
    erase_customers(
        &bench,
        "{core.orders: [{by: buyer, erase: true}, {by: seller, keep: true}, {by: friend, keep: true}]}",
    );
    assert_eq!(bench.refused(), ["E0407".to_owned()].into());
    assert_eq!(bench.count("select count(*) from orders").await, 4);

    erase_customers(&bench, "{core.orders: [{by: buyer, erase: true}, {by: friend, unlink: true}]}");
    assert_eq!(bench.run_to_the_end().line("customers"), "done 2");
    assert_eq!(bench.lines("select id, buyer, friend from orders order by id").await, ["10|2|NULL", "13|2|2"]);
}

/// A row that one key says to keep keeps its parent, which keeps what goes by the other.
async fn a_key_that_keeps_wins(bench: Bench) {
    bench.script(CUSTOMERS).await;
    bench.script(TWO_KEYS).await;
    erase_customers(&bench, "{core.orders: [{by: buyer, erase: true}, {by: friend, keep: true}]}");
    let report = bench.run_to_the_end();
    assert_eq!(report.line("customers"), "explained_rest 1 needed_by_kept_dependents=1");
    assert_eq!(bench.list("select id from orders order by id").await, "10 11 12 13");
    // by table alone, `keep` holds for all keys
    erase_customers(&bench, "{core.orders: keep}");
    bench.run_to_the_end();
    assert_eq!(bench.list("select id from customers order by id").await, "1 2");
    assert_eq!(bench.list("select id from orders order by id").await, "10 11 12 13");
}

/// Two keys of one table, of which one leads over another table.
async fn keys_at_several_levels_are_named_one_by_one(bench: Bench) {
    bench.script(CUSTOMERS).await;
    bench
        .script(
            "create table orders (id {int} primary key, customer_id {int}, fate {text},
               foreign key (customer_id) references customers (id));
             create table payments (id {int} primary key, order_id {int}, payer {int}, fate {text},
               foreign key (order_id) references orders (id), foreign key (payer) references customers (id));
             insert into orders values (10, 1, 'goes'), (20, 2, 'stays'), (30, 3, 'goes');
             insert into payments values (100, 10, 1, 'goes'), (101, 10, 2, 'goes'), (200, 20, 1, 'stays'),
               (201, 20, null, 'stays'), (300, null, 3, 'stays')",
        )
        .await;
    erase_customers(&bench, "{core.orders: erase, core.payments: erase}");
    assert_eq!(bench.refused(), ["E0406".to_owned()].into());
    erase_customers(
        &bench,
        "{core.orders: erase, core.payments: [{by: order_id, erase: true}, {by: payer, unlink: true}]}",
    );
    let report = bench.run_to_the_end();
    // two customers, two orders, two payments, and two more whose payer is unlinked
    assert_eq!(report.disposed_with_dependents(), 8);
    assert_eq!(bench.list("select id from customers where fate = 'goes'").await, "");
    assert_eq!(bench.list("select id from orders").await, "20");
    let after = bench.lines("select id, order_id, payer from payments order by id").await;
    assert_eq!(after, ["200|20|NULL", "201|20|NULL", "300|NULL|NULL"]);
}

/// A dependent with a rule of its own that may keep it for longer stays, or the rule says that it means it.
async fn a_rule_of_its_own_may_keep_a_dependent(bench: Bench) {
    bench.script(CUSTOMERS).await;
    bench
        .script(
            "create table invoices (id {int} primary key, customer_id {int}, issued {date}, paid {int},
               foreign key (customer_id) references customers (id));
             insert into invoices values (1, 1, '2025-01-01', 1), (2, 3, '2001-01-01', 1)",
        )
        .await;
    let rules = |own: &str, dependents: &str| {
        bench.rules(&format!(
            "
- {{id: invoices, table: core.invoices, disposition: erase, {own}}}
- {{id: customers, table: core.customers, starting_point: left_on, retention_period: 5 years, disposition: erase,
   dependents: {dependents}}}"
        ));
    };
    let of_customer = "starting_point: {latest: core.customers.left_on, through: customer_id}";
    for own in [
        "starting_point: issued, retention_period: 10 years",
        "starting_point: issued, retention_period: 1 year",
        &format!("{of_customer}, retention_period: 5 years 1 day"),
        &format!("{of_customer}, retention_period: 1 year, where: {{paid: 1}}"),
        "starting_point: {latest: core.customers.left_on, through: customer_id, counted_from: calendar_year_end},
   retention_period: 5 years",
    ] {
        rules(own, "{core.invoices: erase}");
        assert_eq!(bench.refused(), ["E0322".to_owned()].into(), "{own}");
    }
    rules("starting_point: issued, retention_period: 10 years", "{core.invoices: {erase: true, overrides: [invoice]}}");
    assert_eq!(bench.refused(), ["E0106".to_owned(), "E0322".to_owned()].into());
    // over whenever the customer's is
    rules(&format!("{of_customer}, retention_period: 4 years 11 months"), "{core.invoices: erase}");
    bench.plan();
    rules("starting_point: issued, retention_period: 10 years", "{core.invoices: keep}");
    bench.run(0);
    assert_eq!(bench.list("select id from invoices order by id").await, "1");
    assert_eq!(bench.list("select id from customers order by id").await, "1 2");
    rules(
        "starting_point: issued, retention_period: 10 years",
        "{core.invoices: {erase: true, overrides: [invoices]}}",
    );
    bench.run(0);
    assert_eq!(bench.list("select id from customers order by id").await, "2");
    assert_eq!(bench.count("select count(*) from invoices").await, 0);
}

/// A partition's rows are referenced by the keys of the whole table, and only they go by them.
async fn partitions_are_referenced_by_the_keys_of_their_table(bench: Bench) {
    if bench.engine != Engine::Postgres {
        return;
    }
    bench
        .script(
            "create table events (id int, ended date, fate text, primary key (id, ended)) partition by range (ended);
             create table events_2000 partition of events for values from ('2000-01-01') to ('2001-01-01');
             create table events_2001 partition of events for values from ('2001-01-01') to ('2002-01-01');
             create table invoices (id int primary key, event int, at date, fate text,
               foreign key (event, at) references events (id, ended) on delete cascade);
             create table notes (id int primary key, event int, at date,
               foreign key (event, at) references events_2001 (id, ended) on delete cascade);
             insert into events values (1, '2000-02-02', 'stays'), (2, '2000-02-02', 'goes'), (1, '2001-02-02', 'stays');
             insert into invoices values (7, 1, '2000-02-02', 'stays'), (8, 1, '2001-02-02', 'stays');
             insert into notes values (9, 1, '2001-02-02')",
        )
        .await;
    let rules = |table: &str, dependents: &str| {
        bench.rules(&format!(
            "
- {{id: events, table: core.{table}, starting_point: ended, retention_period: 1 year, disposition: erase,
   dependents: {dependents}}}"
        ));
    };
    // nothing at all is named; notes reference another partition
    bench.rules(
        "- {id: events, table: core.events_2000, starting_point: ended, retention_period: 1 year, disposition: erase}",
    );
    assert_eq!(bench.refused(), ["E0406".to_owned()].into());
    rules("events_2000", "{core.invoices: keep}");
    fates_come_true(&bench, &["events", "invoices"]).await;
    rules("events_2000", "{core.invoices: erase}");
    bench.run_to_the_end();
    assert_eq!(bench.list("select id from invoices").await, "8");
    assert_eq!(bench.list("select ended from events").await, "2001-02-02");
    rules("events", "{core.invoices: erase, core.notes: keep}");
    bench.run_to_the_end();
    assert_eq!(bench.list("select id from events").await, "1");
    assert_eq!(bench.list("select id from notes").await, "9");
}

/// Statements on a table reach the rows of those that inherit from it, which have keys of their own.
async fn a_rule_says_whether_it_covers_tables_that_inherit(bench: Bench) {
    if bench.engine != Engine::Postgres {
        return;
    }
    bench
        .script(
            "create table events (id int primary key, ended date not null, fate text);
             create table payments (primary key (id), amount int) inherits (events);
             create table refunds (primary key (id)) inherits (payments);
             create table receipts (id int primary key, payment int references payments (id) on delete cascade);
             insert into events values (1, '2000-01-01', 'goes');
             insert into payments values (1, '2000-01-01', 'stays', 100), (2, '2000-01-01', 'stays', 100);
             insert into refunds values (3, '2000-01-01', 'stays', 100), (4, '2025-12-31', 'stays', 100);
             insert into receipts values (1, 2)",
        )
        .await;
    let rules = |table: &str, more: &str| {
        bench.rules(&format!(
            "
- {{id: events, table: core.{table}, starting_point: ended, retention_period: 1 year, disposition: erase{more}}}"
        ));
    };
    rules("events", "");
    assert_eq!(bench.refused(), ["E0411".to_owned()].into());
    rules("events", ", covers: tree");
    assert_eq!(bench.refused(), ["E0406".to_owned()].into());
    rules("events", ", covers: tree, dependents: {core.receipts: erase}");
    assert_eq!(bench.refused(), ["E0407".to_owned()].into());
    rules("events", ", covers: only");
    let report = fates_come_true(&bench, &["events"]).await;
    assert_eq!(report.line("events"), "done 1");
    rules("events", ", covers: tree, dependents: {core.receipts: keep}");
    let report = bench.run_to_the_end();
    assert_eq!(report.line("events"), "explained_rest 2 needed_by_kept_dependents=1");
    assert_eq!(bench.list("select id from events order by id").await, "2 4");
}

/// A table that is kept is looked at, and what a user does not see there would go with its parent.
async fn kept_tables_are_seen_whole(bench: Bench) {
    if bench.engine != Engine::Mysql {
        return;
    }
    // a table of another schema, which references one that references this schema's
    bench.script(CUSTOMERS).await;
    let other = format!("{}_o", bench.list("select database()").await);
    let here = bench.list("select database()").await;
    bench
        .script(&format!(
            "create database {other};
             create table {other}.orders (id int primary key, customer_id int,
               foreign key (customer_id) references {here}.customers (id) on delete cascade);
             create table {other}.items (id int primary key, order_id int,
               foreign key (order_id) references {other}.orders (id) on delete cascade);
             insert into {other}.orders values (10, 1); insert into {other}.items values (100, 10)"
        ))
        .await;
    erase_customers(&bench, &format!("{{core.{other}.orders: erase}}"));
    let refused = bench.refused();
    erase_customers(&bench, &format!("{{core.{other}.orders: erase, core.{other}.items: keep}}"));
    let report = bench.run_to_the_end();
    let left = bench.list("select id from customers order by id").await;
    bench.script(&format!("drop database {other}")).await;
    assert_eq!(refused, ["E0406".to_owned()].into());
    assert_eq!(report.line("customers"), "explained_rest 1 needed_by_kept_dependents=1");
    assert_eq!(left, "1 2");
}

/// What a rule changes of its own rows the database must not carry on to rows that it keeps.
async fn referenced_values_are_not_carried_on(bench: Bench) {
    for (action, codes) in [("on update cascade", vec!["E0507"]), ("on update set null", vec!["E0507"]), ("", vec![])] {
        bench.script("drop table if exists cards; drop table if exists members").await;
        bench
            .script(&format!(
                "create table members (id {{int}} primary key, left_on {{date}}, mail varchar(50) unique);
                 create table cards (id {{int}} primary key, mail varchar(50),
                   foreign key (mail) references members (mail) {action});
                 insert into members values (1, '2001-01-01', 'a'); insert into cards values (1, 'a')"
            ))
            .await;
        bench.rules(
            "
- {id: members, table: core.members, starting_point: left_on, retention_period: 5 years, disposition: anonymize,
   columns: {mail: suppress}, dependents: {core.cards: keep}}",
        );
        match codes.is_empty() {
            false => assert_eq!(bench.refused(), codes.into_iter().map(str::to_owned).collect(), "{action}"),
            // the database stands against it, aloud
            true => drop(bench.run(4)),
        }
        assert_eq!(bench.list("select mail from cards").await, "a");
    }
}

/// A composite key that is to be null as a whole is not cut in half.
async fn full_matches_are_not_cut_in_half(bench: Bench) {
    if bench.engine != Engine::Postgres {
        return;
    }
    bench
        .script(
            "create table contracts (shop int, code text, left_on date, primary key (shop, code));
             create table parts (id int primary key, shop int not null, code text,
               foreign key (shop, code) references contracts (shop, code) match full)",
        )
        .await;
    bench.rules(
        "
- {id: contracts, table: core.contracts, starting_point: left_on, retention_period: 5 years, disposition: erase,
   dependents: {core.parts: unlink}}",
    );
    assert_eq!(bench.refused(), ["E0501".to_owned()].into());
}

/// The foreign key would cascade by itself; what goes is named and counted all the same.
async fn cascades_are_counted(bench: Bench) {
    bench.script(CUSTOMERS).await;
    bench
        .script(
            "create table orders (id {int} primary key, customer_id {int}, fate {text},
               foreign key (customer_id) references customers (id) on delete cascade);
             insert into orders values (1, 1, 'goes'), (2, 2, 'stays')",
        )
        .await;
    erase_customers(&bench, "{core.orders: erase}");
    let report = fates_come_true(&bench, &["customers", "orders"]).await;
    assert_eq!(report.along("customers", "orders"), 1);
}

on_every_engine!(
    three_levels_are_erased,
    kept_dependents_hold_a_row_back,
    links_are_cut,
    dependents_are_anonymized,
    dependents_are_anonymized_and_unlinked,
    composite_foreign_keys,
    composite_links_are_cut,
    a_table_that_references_itself_is_unlinked,
    a_table_that_references_itself_is_kept,
    a_row_does_not_wait_for_itself,
    a_row_does_not_wait_for_itself_over_others,
    several_keys_are_named_one_by_one,
    a_key_that_keeps_wins,
    keys_at_several_levels_are_named_one_by_one,
    a_rule_of_its_own_may_keep_a_dependent,
    partitions_are_referenced_by_the_keys_of_their_table,
    a_rule_says_whether_it_covers_tables_that_inherit,
    kept_tables_are_seen_whole,
    referenced_values_are_not_carried_on,
    full_matches_are_not_cut_in_half,
    cascades_are_counted,
);
