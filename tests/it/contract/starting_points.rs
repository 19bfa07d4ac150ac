//! When a row is due: every way to store a starting point, to the microsecond; anchors, switches, missing values.

use super::fates_come_true;
use crate::support::bench::{Bench, Report, on_every_engine};
use sunset::catalog::Engine;

/// A table `t` with these starting points (SQL literals) and fates, under one rule with a period of five years.
pub(super) async fn points(bench: &Bench, column: &str, starting_point: &str, rows: &[(&str, &str)]) -> Report {
    rule(bench, &format!("{{column: start_at, {starting_point}}}"), "5 years");
    fill(bench, column, rows).await;
    fates_come_true(bench, &["t"]).await
}

async fn fill(bench: &Bench, column: &str, rows: &[(&str, &str)]) {
    bench.script(&format!("create table t (id {{int}} primary key, start_at {column}, fate {{text}})")).await;
    for (id, (start, fate)) in rows.iter().enumerate() {
        bench.script(&format!("insert into t values ({id}, {start}, '{fate}')")).await;
    }
}

pub(super) fn rule(bench: &Bench, starting_point: &str, period: &str) {
    bench.rules(&format!(
        "- {{id: t, table: core.t, starting_point: {starting_point}, retention_period: {period}, disposition: erase}}"
    ));
}

async fn dates(bench: Bench) {
    let mut rows = vec![
        ("'2021-11-21'", "goes"),
        ("'2021-11-22'", "stays"),
        ("'2021-11-20'", "goes"),
        ("'1900-02-28'", "goes"),
        ("'9999-12-31'", "stays"),
        ("null", "stays"),
    ];
    let mut unknown = 1;
    match bench.engine {
        Engine::Postgres => {
            rows.extend([("'infinity'", "stays"), ("'-infinity'", "stays"), ("'0044-03-15 BC'", "goes")]);
            unknown += 2;
        }
        Engine::Mysql => {
            rows.extend([("'0000-00-00'", "stays"), ("'2021-00-00'", "stays"), ("'2021-11-00'", "stays")]);
            // zero months and days are kept, but looking for them would read the whole table
            unknown += 1;
        }
        Engine::Sqlite => {
            // nothing keeps such values out of a column that is called a date
            rows.extend([("'soon'", "stays"), ("''", "stays"), ("'21.11.2001'", "stays"), ("'2001/11/21'", "stays")]);
            rows.extend([("20011121", "stays"), ("x'00'", "stays"), ("'2001-13-01'", "stays")]);
            unknown += 7;
        }
    }
    let report = points(&bench, "{date}", "event: over", &rows).await;
    assert!(report.line("t").ends_with(&format!("without_starting_point={unknown}")), "{report:?}");
}

async fn timestamps_in_the_jobs_zone(bench: Bench) {
    let mut rows = vec![
        ("'2021-11-21 23:59:59.999999'", "goes"),
        ("'2021-11-21 23:59:59'", "goes"),
        ("'2021-11-22 00:00:00'", "stays"),
        ("'2021-11-22 00:00:00.000001'", "stays"),
        ("null", "stays"),
    ];
    match bench.engine {
        Engine::Postgres => rows.extend([("'infinity'", "stays"), ("'-infinity'", "stays")]),
        Engine::Mysql => rows.extend([("'0000-00-00 00:00:00'", "stays"), ("'2021-00-00 12:00:00'", "stays")]),
        Engine::Sqlite => rows.extend([("'2021-11-21T23:59:59'", "goes"), ("'2021-11-22T00:00'", "stays")]),
    }
    points(&bench, "{timestamp}", "event: over", &rows).await;
}

/// The day is over in Tokyo when it is ten in the morning in New York.
async fn timestamps_in_another_zone(bench: Bench) {
    let rows = [
        ("'2021-11-21 09:59:59.999999'", "goes"),
        ("'2021-11-21 09:59:59'", "goes"),
        ("'2021-11-21 10:00:00'", "stays"),
        ("'2021-11-21 10:00:00.000001'", "stays"),
    ];
    points(&bench, "{timestamp}", "zone: America/New_York", &rows).await;
}

async fn points_in_time(bench: Bench) {
    let (starting_point, rows) = match bench.engine {
        Engine::Postgres => (
            "event: over",
            vec![
                ("'2021-11-21 14:59:59.999999+00'", "goes"),
                ("'2021-11-21 23:59:59+09'", "goes"),
                ("'2021-11-21 15:00:00+00'", "stays"),
                ("'2021-11-21 10:00:00-05'", "stays"),
                ("'infinity'", "stays"),
                ("'-infinity'", "stays"),
                ("null", "stays"),
            ],
        ),
        Engine::Mysql => (
            "event: over",
            vec![
                ("'2021-11-21 14:59:59.999999'", "goes"),
                ("'1970-01-01 00:00:01'", "goes"),
                ("'2021-11-21 15:00:00'", "stays"),
                ("'2021-11-21 15:00:00.000001'", "stays"),
                ("'0000-00-00 00:00:00'", "stays"),
                ("null", "stays"),
            ],
        ),
        Engine::Sqlite => return,
    };
    points(&bench, "{timestamptz}", starting_point, &rows).await;
}

/// Midnight in New York before and after the clocks change, in autumn and in spring.
async fn days_on_which_clocks_change(mut bench: Bench) {
    bench.settings("time_zone: America/New_York");
    let (starting_point, literal): (_, fn(&str) -> String) = match bench.engine {
        Engine::Postgres => ("start_at", |time| format!("'{time}+00'")),
        Engine::Mysql => ("start_at", |time| format!("'{time}'")),
        Engine::Sqlite => ("{column: start_at, as: iso_text_with_offset}", |time| format!("'{time}Z'")),
    };
    rule(&bench, starting_point, "1 year");
    fill(&bench, "{timestamptz}", &[]).await;
    for (now, before, at) in [
        ("2022-11-07", "2021-11-07 03:59:59.999999", "2021-11-07 04:00:00"),
        ("2022-11-08", "2021-11-08 04:59:59.999999", "2021-11-08 05:00:00"),
        ("2022-03-14", "2021-03-14 04:59:59.999999", "2021-03-14 05:00:00"),
        ("2022-03-15", "2021-03-15 03:59:59.999999", "2021-03-15 04:00:00"),
    ] {
        let (before, at) = (literal(before), literal(at));
        bench.script(&format!("delete from t; insert into t values (1, {before}, 'goes'), (2, {at}, 'stays')")).await;
        bench.now = now;
        fates_come_true(&bench, &["t"]).await;
    }
}

async fn epoch_seconds(bench: Bench) {
    let rows = [
        ("1637506799", "goes"), // 2021-11-21 23:59:59 in Tokyo
        ("1637506800", "stays"),
        // `never`, as many applications write it
        ("0", "stays"),
        ("1", "goes"),
        ("-86400", "goes"),
        ("null", "stays"),
    ];
    points(&bench, "{bigint}", "as: epoch_seconds", &rows).await;
}

async fn epoch_seconds_with_a_fraction(bench: Bench) {
    let rows = [("1637506799.999", "goes"), ("1637506800.000", "stays"), ("1637506800.001", "stays")];
    points(&bench, "{numeric}", "as: epoch_seconds", &rows).await;
}

async fn epoch_milliseconds(bench: Bench) {
    let mut rows = vec![("1637506799999", "goes"), ("1637506800000", "stays"), ("-1", "goes"), ("null", "stays")];
    if bench.engine == Engine::Sqlite {
        rows.extend([("'soon'", "stays"), ("'2001-01-01'", "stays"), ("x'00'", "stays")]);
    }
    points(&bench, "{bigint}", "as: epoch_milliseconds", &rows).await;
}

/// What no calendar knows: such rows are reported, they neither go nor keep others from going.
const GARBAGE: [(&str, &str); 9] = [
    ("'soon'", "stays"),
    ("''", "stays"),
    ("'21.11.2001'", "stays"),
    ("'2001/11/21'", "stays"),
    ("'2001-13-01'", "stays"),
    ("'2001-11-32'", "stays"),
    ("'20011121'", "stays"),
    ("'2001-11-21 or so'", "stays"),
    ("null", "stays"),
];

async fn iso_texts(bench: Bench) {
    let mut rows = vec![
        ("'2021-11-21'", "goes"),
        ("'2021-11-21T23:59:59'", "goes"),
        ("'2021-11-21 23:59:59.999999'", "goes"),
        ("'2021-11-21 23:59'", "goes"),
        ("'2021-11-22'", "stays"),
        ("'2021-11-22T00:00:00'", "stays"),
        ("'2021-11-22 00:00:00'", "stays"),
        ("'2001-01-01T00:00:00Z'", "stays"),
    ];
    rows.extend(GARBAGE);
    let report = points(&bench, "{text}", "as: iso_text", &rows).await;
    assert_eq!(report.line("t"), "explained_rest 4 without_starting_point=10");
}

async fn iso_texts_in_another_zone(bench: Bench) {
    let rows = [
        ("'2021-11-21'", "goes"),
        ("'2021-11-21T09:59:59'", "goes"),
        ("'2021-11-21 09:59:59.999999'", "goes"),
        ("'2021-11-21T10:00:00'", "stays"),
        ("'2021-11-21 10:00:00.000001'", "stays"),
        // a minute alone means its first second
        ("'2021-11-21 09:59'", "goes"),
        ("'2021-11-21T09:59'", "goes"),
        ("'2021-11-21 10:00'", "stays"),
        ("'2021-11-21T10:00'", "stays"),
        ("'2021-11-22'", "stays"),
    ];
    points(&bench, "{text}", "as: iso_text, zone: America/New_York", &rows).await;
}

async fn iso_texts_with_offset(bench: Bench) {
    let mut rows = vec![
        ("'2021-11-21T14:59:59Z'", "goes"),
        ("'2021-11-21T15:00:00Z'", "stays"),
        ("'2021-11-21T23:59:59+09:00'", "goes"),
        ("'2021-11-21T23:59:59.999999+09:00'", "goes"),
        ("'2021-11-22T00:00:00+09:00'", "stays"),
        ("'2021-11-22T00:00:00.000001+09:00'", "stays"),
        ("'2021-11-21 09:59:59-05:00'", "goes"),
        ("'2021-11-21 10:00:00-05:00'", "stays"),
        ("'2021-11-21T23:59:59+0900'", "goes"),
        ("'2021-11-22T00:00:00+0900'", "stays"),
        ("'2021-11-21T20:29:59+05:30'", "goes"),
        ("'2021-11-21T20:30:00+05:30'", "stays"),
        ("'2021-11-22T04:59+14:00'", "goes"),
        ("'2021-11-22T05:00+14:00'", "stays"),
        ("'2021-11-21T14:59Z'", "goes"),
        ("'2021-11-21 15:00Z'", "stays"),
    ];
    rows.extend(GARBAGE);
    rows.extend([("'2001-02-30T00:00:00Z'", "stays"), ("'2001-01-01T99:00:00Z'", "stays")]);
    rows.push(("'2001-01-01T00:00:00'", "stays"));
    let report = points(&bench, "{text}", "as: iso_text_with_offset", &rows).await;
    assert_eq!(report.line("t"), "explained_rest 8 without_starting_point=12");
}

async fn fiscal_years(mut bench: Bench) {
    let starting_point = "{column: start_at, counted_from: {fiscal_year_end: 03-31, plus: 2 months}}";
    rule(&bench, starting_point, "7 years");
    fill(&bench, "{date}", &[]).await;
    // the fiscal year that ended on 2019-03-31 is counted from 2019-05-31, for seven years
    let rows = "delete from t; insert into t values (1, '2018-03-31', 'goes'), (2, '2018-04-01', 'FATE'),
                (3, '2019-03-31', 'FATE'), (4, '2019-04-01', 'stays')";
    for (now, fate) in [("2026-05-31", "stays"), ("2026-06-01", "goes")] {
        bench.now = now;
        bench.script(&rows.replace("FATE", fate)).await;
        fates_come_true(&bench, &["t"]).await;
    }
}

/// In the fiscal year with a loss the period is longer than before and after: what is due is not one range.
async fn fiscal_years_with_a_loss(bench: Bench) {
    bench.settings("time_zone: Asia/Tokyo\nparameters: {loss_fiscal_years: [2018-03-31], law: true, other_law: false}");
    let period = "{default: 7 years, when: [{if: other_law, use: 1 year},
                   {if: {fiscal_year_ending_in: loss_fiscal_years}, use: 10 years}]}";
    let starting_point = "{column: start_at, counted_from: {fiscal_year_end: 03-31, plus: 2 months}}";
    rule(&bench, starting_point, period);
    let rows = [
        ("'2017-03-31'", "goes"),
        ("'2017-04-01'", "stays"),
        ("'2018-03-31'", "stays"),
        ("'2018-04-01'", "goes"),
        ("'2019-03-31'", "goes"),
        ("'2019-04-01'", "stays"),
        ("'1999-01-01'", "goes"),
    ];
    fill(&bench, "{timestamp}", &rows).await;
    fates_come_true(&bench, &["t"]).await;
}

async fn ends_of_months_and_years(bench: Bench) {
    bench
        .script(
            "create table months (id {int} primary key, start_at {date}, fate {text});
             create table years (id {int} primary key, start_at {date}, fate {text});
             insert into months values (1, '2026-09-30', 'goes'), (2, '2026-10-01', 'stays');
             insert into years values (1, '2024-12-31', 'goes'), (2, '2025-01-01', 'stays')",
        )
        .await;
    bench.rules(
        "
- {id: months, table: core.months, starting_point: {column: start_at, counted_from: month_end},
   retention_period: 1 month, disposition: erase}
- {id: years, table: core.years, starting_point: {column: start_at, counted_from: calendar_year_end},
   retention_period: 1 year, disposition: erase}",
    );
    fates_come_true(&bench, &["months", "years"]).await;
}

async fn missing_starting_points(bench: Bench) {
    let garbage = match bench.engine {
        Engine::Postgres => "'infinity'",
        Engine::Mysql => "'0000-00-00'",
        Engine::Sqlite => "'?'",
    };
    for (table, fate) in [("reported", "stays"), ("ignored", "stays"), ("taken", "goes")] {
        bench
            .script(&format!(
                "create table {table} (id {{int}} primary key, start_at {{date}}, fate {{text}});
                 insert into {table} values (1, '2001-01-01', 'goes'), (2, '2025-01-01', 'stays'),
                   (3, null, '{fate}'), (4, {garbage}, '{fate}')"
            ))
            .await;
    }
    let rule = |table: &str, missing: &str| {
        format!(
            "- {{id: {table}, table: core.{table}, starting_point: {{column: start_at, missing: {missing}}},
                retention_period: 5 years, disposition: erase}}\n"
        )
    };
    bench.rules(&(rule("reported", "report") + &rule("ignored", "ignore") + &rule("taken", "due")));
    let report = fates_come_true(&bench, &["reported", "ignored", "taken"]).await;
    assert_eq!(report.line("reported"), "explained_rest 1 without_starting_point=2");
    assert_eq!(report.line("ignored"), "done 1");
    assert_eq!(report.line("taken"), "done 3");
}

async fn starting_points_in_another_table(bench: Bench) {
    bench
        .script(
            "create table customers (id {int} primary key, fate {text});
             create table orders (id {int} primary key, customer_id {int}, delivered_on {date}, fate {text},
               foreign key (customer_id) references customers (id));
             create table first_seen (id {int} primary key, fate {text});
             create table visits (id {int} primary key, person {int}, seen_at {timestamp});
             insert into customers values (1, 'goes'), (2, 'stays'), (3, 'stays'), (4, 'stays');
             insert into orders values (1, 1, '2019-01-01', 'goes'), (2, 1, '2021-11-21', 'goes'),
               (3, 2, '2019-01-01', 'stays'), (4, 2, '2021-11-22', 'stays'),
               (5, 3, '2019-01-01', 'stays'), (6, 3, null, 'stays');
             insert into first_seen values (1, 'goes'), (2, 'stays'), (3, 'stays');
             insert into visits values (1, 1, '2026-01-01'), (2, 1, '2021-11-21 23:59:59'), (3, 1, null),
               (4, 2, '2021-11-22')",
        )
        .await;
    bench.rules(
        "
- id: customers
  table: core.customers
  starting_point: {latest: core.orders.delivered_on, through: customer_id}
  retention_period: 5 years
  disposition: erase
  dependents: {core.orders: erase}
- id: first-seen
  table: core.first_seen
  starting_point: {earliest: core.visits.seen_at, through: person}
  retention_period: 5 years
  disposition: erase",
    );
    let report = fates_come_true(&bench, &["customers", "orders", "first_seen"]).await;
    assert_eq!(report.line("customers"), "explained_rest 1 without_starting_point=2");
    assert_eq!(report.line("first-seen"), "explained_rest 1 without_starting_point=1");
}

on_every_engine!(
    dates,
    timestamps_in_the_jobs_zone,
    timestamps_in_another_zone,
    points_in_time,
    days_on_which_clocks_change,
    epoch_seconds,
    epoch_seconds_with_a_fraction,
    epoch_milliseconds,
    iso_texts,
    iso_texts_in_another_zone,
    iso_texts_with_offset,
    fiscal_years,
    fiscal_years_with_a_loss,
    ends_of_months_and_years,
    missing_starting_points,
    starting_points_in_another_table,
);
