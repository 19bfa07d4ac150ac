//! Pagila on PostgreSQL and Sakila on MariaDB, the sample databases of a video rental, from rule to ledger. What should
//! go is counted beforehand, and what went afterwards, by SQL written here.
//!
//! The dumps are not part of the repository: without `SUNSET_TEST_SHARED_DATA` these tests say that they are skipped.

use crate::{
    server::Scratch,
    support::{
        bench::Bench,
        servers::{TestDatabase, fresh_mysql, fresh_postgres, shared_data},
    },
};
use std::sync::Arc;
use sunset::catalog::Engine;

/// A job on a database that the dump was loaded into.
fn bench(engine: Engine, database: &TestDatabase) -> Bench {
    let mut bench = Bench::on(Arc::new(Scratch::existing(engine, database.url())), "video-rental");
    bench.now = "2026-07-01";
    bench.settings("time_zone: Asia/Tokyo\npace: {batch_rows: 500}");
    bench
}

/// Rentals that came back more than four years ago, with the payments for them.
const RENTALS: &str = "
- id: rentals
  purpose: rental contracts
  table: core.rental
  starting_point: {column: return_date, event: returned}
  retention_period: 4 years
  regular_deletion_period: 4 years 3 months
  disposition: erase
  dependents:";

/// Customers who left, and where they live.
const CUSTOMERS: &str = "
- id: customers
  table: core.customer
  starting_point: create_date
  retention_period: 1 year
  where: {active: 0}
  disposition: anonymize
  columns:
    first_name: {replace: left}
    last_name: mask
    email: {replace: \"customer-{key}@invalid.example\"}
  dependents: DEPENDENTS";

/// Counts before and after; rows of the tables that no rule names.
async fn counts(bench: &Bench, tables: &[&str]) -> Vec<u64> {
    let mut counts = Vec::new();
    for table in tables {
        counts.push(bench.count(&format!("select count(*) from {table}")).await);
    }
    counts
}

const UNTOUCHED: [&str; 6] = ["film", "actor", "inventory", "staff", "store", "film_actor"];

#[tokio::test]
async fn pagila() {
    let Some(dump) = shared_data("pagila.sql") else { return };
    let Some(database) = fresh_postgres("video").await else { return };
    database.load_sql(&dump);
    let bench = bench(Engine::Postgres, &database);
    // the foreign keys of the payments are declared on six of their seven partitions; the table is one all the same
    let customers = CUSTOMERS.replace("DEPENDENTS", "{core.rental: keep, core.payment: keep}");
    bench.rules(&format!("{RENTALS} {{core.payment: erase}}{customers}"));

    // days in Tokyo: due is what came back through 2022-06-30
    let due = "return_date < '2022-07-01 00:00:00+09'";
    let rentals = bench.count(&format!("select count(*) from rental where {due}")).await;
    let paid = format!("select count(*) from payment where rental_id in (select rental_id from rental where {due})");
    let payments = bench.count(&paid).await;
    let all = counts(&bench, &["rental", "payment"]).await;
    let open = bench.count("select count(*) from rental where return_date is null").await;
    let untouched = counts(&bench, &UNTOUCHED).await;
    let revenue =
        format!("select sum(amount) from payment where rental_id not in (select rental_id from rental where {due})");
    let revenue_before = bench.list(&revenue).await;
    let active = bench.lines("select * from customer where active = 1 order by customer_id").await;
    assert!(rentals > 1000 && payments > 1000 && rentals < all[0], "{rentals} {payments} {all:?}");

    let plan = bench.plan();
    let step = plan["steps"].as_array().unwrap().iter().find(|step| step["rule"] == "rentals").unwrap();
    assert_eq!(step["counts"]["due"], rentals);
    assert_eq!(
        step["counts"]["overdue"],
        bench.count("select count(*) from rental where return_date < '2022-04-01 00:00:00+09'").await
    );
    let report = bench.run_to_the_end();
    assert_eq!(report.line("rentals"), format!("explained_rest {rentals} without_starting_point={open}"));
    assert_eq!(counts(&bench, &["rental", "payment"]).await, [all[0] - rentals, all[1] - payments]);
    assert_eq!(bench.count(&format!("select count(*) from rental where {due}")).await, 0);
    assert_eq!(bench.list("select sum(amount) from payment").await, revenue_before);
    assert_eq!(bench.evidence().committed_dependents(), payments);
    customers_are_anonymized(&bench, &active, 15).await;
    assert_eq!(report.line("customers"), "done 15");
    assert_eq!(counts(&bench, &UNTOUCHED).await, untouched);
}

/// Its payments are partitioned by month, in UTC; the job counts in Tokyo's days.
#[tokio::test]
async fn pagilas_partitions() {
    let Some(dump) = shared_data("pagila.sql") else { return };
    let Some(database) = fresh_postgres("payments").await else { return };
    database.load_sql(&dump);
    let mut bench = bench(Engine::Postgres, &database);
    bench.now = "2026-05-01";
    bench.rules(
        "- {id: payments, table: core.payment, starting_point: {column: payment_date, event: paid},
   retention_period: 4 years, disposition: erase, partitions: drop, evidence: rows}",
    );
    let due = bench.count("select count(*) from payment where payment_date < '2022-05-01 00:00+09'").await;
    let all = bench.count("select count(*) from payment").await;
    let months = ["01", "02", "03"];
    let mut expected = Vec::new();
    for month in months {
        expected.push((
            format!("payment_p2022_{month}"),
            bench.count(&format!("select count(*) from payment_p2022_{month}")).await,
        ));
    }
    let whole: u64 = expected.iter().map(|(_, rows)| rows).sum();
    assert!(whole > 0 && whole < due && due < all, "{expected:?} {due} {all}");
    // keys as sessions of Sunset have them: in UTC
    let key = |month: &str| {
        format!(
            "select (payment_date at time zone 'UTC')::text || '+00;' || payment_id from payment_p2022_{month}
             order by payment_id limit 1"
        )
    };
    let keys = [bench.lines(&key("02")).await, bench.lines(&key("07")).await].concat();
    let sums = "select sum(amount) from payment where payment_date >= '2022-05-01 00:00+09'";
    let sum = bench.list(sums).await;

    let plan = bench.plan();
    let planned = plan["steps"][0]["partitions"]["whole"].as_array().unwrap();
    let planned: Vec<_> = planned
        .iter()
        .map(|partition| (partition["name"].as_str().unwrap().to_owned(), partition["rows"].as_u64().unwrap()))
        .collect();
    // the last hours of April in UTC are May in Tokyo
    assert_eq!(planned, expected);
    let report = bench.run_to_the_end();
    assert_eq!(report.line("payments"), format!("done {due}"));
    assert_eq!(report.rule("payments")["partitions"].as_array().unwrap().len(), 3);
    assert_eq!(bench.count("select count(*) from payment").await, all - due);
    assert_eq!(bench.list(sums).await, sum);
    assert_eq!(bench.count("select count(*) from pg_inherits where inhparent = 'payment'::regclass").await, 4);
    assert_eq!(bench.evidence().committed_rows(), due);
    for (key, proofs) in keys.iter().zip([1, 0]) {
        let (day, id) = key.split_once(';').unwrap();
        assert_eq!(bench.proven("core.payment", &[day, id]), proofs, "{key}");
    }
    assert_eq!(keys.len(), 2);
}

#[tokio::test]
async fn sakila() {
    let Some(schema) = shared_data("sakila-schema.sql") else { return };
    let Some(data) = shared_data("sakila-data.sql") else { return };
    let Some(database) = fresh_mysql("video").await else { return };
    database.load_sql(&schema);
    database.load_sql(&data);
    let mut bench = bench(Engine::Mysql, &database);
    // its rentals are of 2005 and 2006
    bench.now = "2009-07-16";
    let customers = CUSTOMERS.replace("DEPENDENTS", "{core.rental: keep, core.payment: keep}");
    bench.rules(&format!("{RENTALS} {{core.payment: erase}}{customers}"));

    let due = "return_date < '2005-07-16'";
    let rentals = bench.count(&format!("select count(*) from rental where {due}")).await;
    let paid = format!("select count(*) from payment where rental_id in (select rental_id from rental where {due})");
    let payments = bench.count(&paid).await;
    let all = counts(&bench, &["rental", "payment"]).await;
    let open = bench.count("select count(*) from rental where return_date is null").await;
    let unrelated = bench.count("select count(*) from payment where rental_id is null").await;
    let untouched = counts(&bench, &UNTOUCHED).await;
    let active = bench.lines("select * from customer where active = 1 order by customer_id").await;
    assert!(rentals > 1000 && payments > 1000 && rentals < all[0], "{rentals} {payments} {all:?}");

    let report = bench.run_to_the_end();
    assert_eq!(report.line("rentals"), format!("explained_rest {rentals} without_starting_point={open}"));
    assert_eq!(report.along("rentals", "payment"), payments);
    assert_eq!(counts(&bench, &["rental", "payment"]).await, [all[0] - rentals, all[1] - payments]);
    // the foreign key would have set these to null, had the payments not gone first
    assert_eq!(bench.count("select count(*) from payment where rental_id is null").await, unrelated);
    customers_are_anonymized(&bench, &active, 15).await;
    assert_eq!(counts(&bench, &UNTOUCHED).await, untouched);
}

async fn customers_are_anonymized(bench: &Bench, active: &[String], left: u64) {
    let done = "select count(*) from customer where active = 0 and first_name = 'left' and last_name not like '%A%'
                and email like 'customer-%@invalid.example'";
    assert_eq!(bench.count(done).await, left);
    assert_eq!(bench.count("select count(distinct email) from customer where active = 0").await, left);
    assert_eq!(bench.lines("select * from customer where active = 1 order by customer_id").await, active);
}
