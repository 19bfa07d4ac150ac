//! Everything that disposes of rows, and everything that tells of them, knows of persons under a hold.

use super::Company;
use crate::support::bench::{Bench, on_every_engine};
use sunset::catalog::Engine;

const EVENTS: &str = "subjects:\n  customer: {home: core.people, identifiers: {email: email}, links: {core.events: {email: \
                      {column: email, as: email}}}}";

/// Two of four years of visits are Taro's.
async fn visits(company: &Company) {
    company.core.script("create table people (id {int} primary key, email {text}); insert into people values (1, 'Taro@Example.com')").await;
    company
        .core
        .script_for(
            "create table events (id int not null, at_day date not null, email text, primary key (id, at_day)) partition by range (at_day);
             create table p2001 partition of events for values from ('2001-01-01') to ('2002-01-01');
             create table p2002 partition of events for values from ('2002-01-01') to ('2003-01-01');
             create table p2003 partition of events for values from ('2003-01-01') to ('2004-01-01')",
            "create table events (id int not null, at_day date not null, email varchar(190), primary key (id, at_day))
               partition by range columns (at_day) (partition p2001 values less than ('2002-01-01'),
                 partition p2002 values less than ('2003-01-01'), partition p2003 values less than ('2004-01-01'))",
            "create table events (id integer not null, at_day date not null, email text, primary key (id, at_day))",
        )
        .await;
    company
        .core
        .script(
            "insert into events values (1, '2001-02-01', 'taro@EXAMPLE.com'), (2, '2001-02-02', 'x@example.com'),
               (3, '2002-02-01', 'x@example.com'), (4, '2002-02-02', 'y@example.com'), (5, '2003-02-02', ' TARO@example.com ')",
        )
        .await;
    company.settings(EVENTS);
}

async fn whole_partitions_with_rows_of_a_held_person_stay(core: Bench) {
    if core.engine == Engine::Sqlite {
        return;
    }
    let company = Company::of(core).await;
    visits(&company).await;
    company.core.rules("- {id: events, table: core.events, starting_point: at_day, retention_period: 1 year, disposition: erase, partitions: drop}");
    company.hold(&["--key", "1"]);
    let report = company.core.run(0);
    assert_eq!(report.rule("events")["partitions"].as_array().unwrap().len(), 1, "{report:?}");
    assert_eq!(company.core.list("select id from events order by id").await, "1 5");
}

/// A home table that loses a partition while a person of it is under a hold: its row is looked up in between.
async fn the_home_may_be_partitioned(core: Bench) {
    if core.engine == Engine::Sqlite {
        return;
    }
    let company = Company::of(core).await;
    visits(&company).await;
    company.settings("subjects:\n  customer: {home: core.events, identifiers: {email: email}}");
    company.core.rules("- {id: events, table: core.events, starting_point: at_day, retention_period: 1 year, disposition: erase, partitions: drop}");
    company.hold(&["--find", "email=y@example.com"]);
    let report = company.core.run(0);
    assert!(!report.rule("events")["partitions"].as_array().unwrap().is_empty(), "{report:?}");
    assert_eq!(company.core.list("select id from events order by id").await, "4");
}

async fn rows_of_a_held_person_are_not_added_up(core: Bench) {
    let company = Company::of(core).await;
    visits(&company).await;
    company
        .core
        .script(
            "create table totals (year {date} not null primary key, visits {bigint} not null, persons {int} not null)",
        )
        .await;
    company.core.rules(
        "
- id: events
  table: core.events
  starting_point: at_day
  retention_period: 1 year
  disposition: erase
  aggregate: {into: core.totals, by: {year: {year: at_day}}, totals: {visits: count},
    smallest_group: {persons: id, at_least: 2, counted_in: persons}}",
    );
    company.hold(&["--key", "1"]);
    company.run(&[]).expect(0);
    assert_eq!(company.core.list("select id from events order by id").await, "1 5");
    // one other visit of 2001 is too few
    assert_eq!(company.core.list("select visits from totals order by year").await, "2");
}

/// Anonymized rows stay as they are, too.
async fn rows_of_a_held_person_are_not_anonymized(core: Bench) {
    let company = Company::of(core).await;
    visits(&company).await;
    company.core.rules(
        "- {id: events, table: core.events, starting_point: at_day, retention_period: 1 year, disposition: anonymize, columns: {email: suppress}}",
    );
    company.hold(&["--find", "email=taro@example.com"]);
    company.run(&[]).expect(0);
    assert_eq!(company.core.list("select id from events where email is not null order by id").await, "1 5");
}

/// What tells whose rows they are has to be readable.
async fn grants_name_what_is_read_for_persons(core: Bench) {
    let company = Company::of(core).await;
    company.fill().await;
    // no rule is about the home's database
    company.core.rules("- {id: tickets, table: helpdesk.tickets, starting_point: closed_on, retention_period: 3 years, disposition: erase, dependents: {helpdesk.messages: erase}}");
    let before = company.core.sunset(&["grants", "--user", "sunset"]).expect(0).out;
    company.hold(&["--key", "1"]);
    let after = company.core.sunset(&["grants", "--user", "sunset"]).expect(0).out;
    assert!(!before.contains("database core"), "{before}");
    let wanted = match company.core.engine {
        Engine::Postgres => "grant select (\"email\", \"id\", \"member_hash\") on \"public\".\"customers\"",
        Engine::Mysql => "grant select (`email`, `id`, `member_hash`) on `",
        Engine::Sqlite => "-- database core",
    };
    assert!(after.contains(wanted), "{after}");
}

async fn coverage_tells_what_no_subject_reaches(core: Bench) {
    let company = Company::of(core).await;
    company.fill().await;
    company.web.script("create table newsletter_readers (id {int} primary key, email {text}, full_name {text})").await;
    company.core.script("create table addresses (id {int} primary key, street {text}, email {text}, customer_id {int}, foreign key (customer_id) references customers (id))").await;
    let call = company.core.sunset(&["coverage", "--format", "json"]);
    let found: serde_json::Value = serde_json::from_str(&call.out).unwrap();
    assert_eq!(found["unreached"], serde_json::json!(["web.newsletter_readers"]), "{found}");
    let text = company.core.sunset(&["coverage"]).out;
    assert!(text.contains("no subject reaches: web.newsletter_readers"), "{text}");
}

/// A person's whole life on one page.
async fn why_tells_a_whole_life(core: Bench) {
    let company = Company::of(core).await;
    company.fill().await;
    company.hold(&["--key", "1"]);
    let why = ["why", "--subject", "customer", "--find", "email=TARO.yamada@example.com", "--now", "2026-11-22"];
    let call = company.core.sunset(&why).expect(0);
    insta::assert_snapshot!("life", super::plain(&company, &call.out));
    let json = company.core.sunset(&[&why[..], &["--format", "json"]].concat()).expect(0);
    let life: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    let tables = life["tables"].as_array().unwrap();
    assert_eq!(tables.iter().map(|table| table["rows"].as_u64().unwrap()).sum::<u64>(), 12, "{life}");
    assert!(tables.iter().all(|table| table["holds"][0]["hold"] == 1), "{life}");
    let due = tables.iter().find(|table| table["table"].as_str().unwrap().ends_with("tickets")).unwrap();
    assert_eq!(
        (&due["rules"][0]["due"], &due["rules"][0]["states"]["due"]),
        (&"2004-01-02".into(), &3.into()),
        "{due}"
    );
    for text in [call.out, json.out] {
        let text = text.to_lowercase();
        assert!(!text.contains("taro") && !text.contains("aa11"), "{text}");
    }
}

on_every_engine!(
    the_home_may_be_partitioned,
    whole_partitions_with_rows_of_a_held_person_stay,
    rows_of_a_held_person_are_not_added_up,
    rows_of_a_held_person_are_not_anonymized,
    grants_name_what_is_read_for_persons,
    coverage_tells_what_no_subject_reaches,
    why_tells_a_whole_life,
);
