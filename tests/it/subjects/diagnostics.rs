//! What is said of subjects that cannot be.

use super::Company;
use crate::support::bench::Bench;
use sunset::catalog::Engine;

#[tokio::test]
async fn subjects_are_checked_without_databases() {
    let bench = Bench::new(Engine::Sqlite).await;
    bench.settings(
        "time_zone: UTC
subjects:
  customer:
    home: cor.customers
    identifiers: {email: {column: email, as: mail}, phone: phone}
    links:
      core.tickets: {requester: {column: email, as: email, form: x}}
      cor.customers: {a: b}
    not_theirs: [cor.customers, nowhere.plans]
  visitor: {hom: core.visitors}
  caller: {home: core.callers, country_calling_code: \"999\"}",
    );
    bench.rules("- {id: t, table: core.t, starting_point: day, retention_period: 1 year, disposition: erase}");
    let call = bench.sunset(&["validate", "--offline"]).expect(2);
    insta::assert_snapshot!("offline", call.err + &call.out);
}

#[tokio::test]
async fn subjects_are_held_against_the_schemas() {
    let company = Company::of(Bench::new(Engine::Postgres).await).await;
    company.fill().await;
    company
        .core
        .script(
            "create table nokey (a integer); create view seen as select * from customers; create table raw (day bytea)",
        )
        .await;
    company.settings(
        "subjects:
  customer:
    home: core.customers
    identifiers: {email: e_mail, hash: member_hash}
    links:
      web.marketing_profile: {member_hash: member_hash}
      web.profile_events: {profileid: id, happened_on: left_on}
      helpdesk.tickets: {closed_on: {column: email, as: email}}
      core.raw: {day: left_on}
      core.seen: {id: id}
    not_theirs: [core.plan]
  other: {home: core.nokey}",
    );
    let call = company.core.sunset(&["validate"]).expect(2);
    let name = company.web.database.url.rsplit('/').next().unwrap();
    insta::assert_snapshot!("connected", (call.err + &call.out).replace(name, "web"));
}
