//! Guard rails: over one of them nothing is touched, and the exit code says that a person must decide.

use crate::support::bench::{Bench, on_every_engine};

async fn company(bench: &Bench) {
    bench
        .script(
            "create table customers (id {int} primary key, left_on {date});
             create table orders (id {int} primary key, customer_id {int},
               foreign key (customer_id) references customers (id));
             create table visits (id {int} primary key, seen_on {date});
             insert into customers values (1, '2001-01-01'), (2, '2001-01-01'), (3, '2001-01-01'), (4, '2025-01-01');
             insert into orders values (1, 1), (2, 1), (3, 2), (4, 4);
             insert into visits values (1, '2001-01-01'), (2, '2025-01-01'), (3, '2025-01-01')",
        )
        .await;
}

fn rules(bench: &Bench, limits: &str) {
    bench.rules(&format!(
        "
- id: customers
  table: core.customers
  starting_point: left_on
  retention_period: 5 years
  disposition: erase
  dependents: {{core.orders: erase}}
{limits}
- {{id: visits, table: core.visits, starting_point: seen_on, retention_period: 5 years, disposition: erase}}"
    ));
}

/// Rows of all tables.
async fn rows(bench: &Bench) -> [u64; 3] {
    let mut rows = [0; 3];
    for (i, table) in ["customers", "orders", "visits"].into_iter().enumerate() {
        rows[i] = bench.count(&format!("select count(*) from {table}")).await;
    }
    rows
}

async fn a_rule_over_its_limit_is_refused(bench: Bench) {
    company(&bench).await;
    for limits in ["{max_rows: 2}", "{max_share: 74.9%}"] {
        rules(&bench, &format!("  limits: {limits}"));
        let report = bench.run(3);
        assert_eq!(report.line("customers"), "refused 0 over_limits=3");
        assert_eq!(rows(&bench).await[..2], [4, 4], "{limits}");
    }
    // the other rule was carried out
    assert_eq!(rows(&bench).await[2], 2);
    assert_eq!(bench.evidence().events("refusal").len(), 2);
    rules(&bench, "  limits: {max_rows: 3, max_share: 75%}");
    assert_eq!(bench.run_to_the_end().line("customers"), "done 3");
    assert_eq!(rows(&bench).await, [1, 1, 2]);
}

/// The run's own limit counts dependents, and refuses all rules together.
async fn a_run_over_its_limit_is_refused(bench: Bench) {
    company(&bench).await;
    rules(&bench, "");
    bench.settings("time_zone: Asia/Tokyo\nlimits: {max_rows: 6}");
    let report = bench.run(3);
    assert_eq!(
        [report.line("customers"), report.line("visits")],
        ["refused 0 over_limits=3", "refused 0 over_limits=1"]
    );
    assert_eq!(rows(&bench).await, [4, 4, 3]);
    bench.settings("time_zone: Asia/Tokyo\nlimits: {max_rows: 7}");
    bench.run_to_the_end();
    assert_eq!(rows(&bench).await, [1, 1, 2]);
}

/// The run's share is each rule's own where it has none.
async fn a_share_for_all_rules(bench: Bench) {
    company(&bench).await;
    rules(&bench, "");
    bench.settings("time_zone: Asia/Tokyo\nlimits: {max_share: 50%}");
    let report = bench.run(3);
    assert_eq!([report.line("customers"), report.line("visits")], ["refused 0 over_limits=3", "done 1"]);
    assert_eq!(rows(&bench).await, [4, 4, 2]);
    rules(&bench, "  limits: {max_share: 80%}");
    bench.run_to_the_end();
    assert_eq!(rows(&bench).await, [1, 1, 2]);
}

/// Held rows are not to be disposed of, so they do not count against a limit.
async fn held_rows_do_not_count(bench: Bench) {
    company(&bench).await;
    rules(&bench, "  limits: {max_rows: 2}");
    let hold = ["hold", "add", "--table", "core.customers", "--key", "1", "--matter", "m", "--reason", "r"];
    bench.sunset(&[&hold[..], &["--owner", "o", "--review", "2027-01-01"]].concat()).expect(0);
    assert_eq!(bench.run_to_the_end().line("customers"), "explained_rest 2 held=1");
}

on_every_engine!(
    a_rule_over_its_limit_is_refused,
    a_run_over_its_limit_is_refused,
    a_share_for_all_rules,
    held_rows_do_not_count,
);
