//! Starting points that are numbers or texts: what tells no time, which unit is meant, and times of related rows.

use super::{
    fates_come_true,
    starting_points::{points, rule},
};
use crate::support::bench::{Bench, on_every_engine};
use sunset::catalog::Engine;

async fn epoch_seconds_in_which_zero_is_a_time(bench: Bench) {
    let rows = [("1637506799", "goes"), ("1637506800", "stays"), ("0", "goes"), ("null", "stays")];
    let report = points(&bench, "{bigint}", "as: epoch_seconds, zero: epoch", &rows).await;
    assert_eq!(report.line("t"), "explained_rest 2 without_starting_point=1");
}

/// What stands for no time in a column of floating-point numbers.
async fn epoch_seconds_that_are_infinite(bench: Bench) {
    let mut rows = vec![("1637506799.5e0", "goes"), ("1637506800e0", "stays"), ("0e0", "stays"), ("-1e15", "stays")];
    match bench.engine {
        Engine::Postgres => rows.extend([("'infinity'", "stays"), ("'-infinity'", "stays"), ("'nan'", "stays")]),
        Engine::Mysql => {}
        Engine::Sqlite => rows.extend([("9e999", "stays"), ("-9e999", "stays"), ("'soon'", "stays")]),
    }
    let unknown = rows.len() - 2;
    let report = points(&bench, "{float}", "as: epoch_seconds", &rows).await;
    assert_eq!(report.line("t"), format!("explained_rest 1 without_starting_point={unknown}"));
}

/// A column that counts another unit than its rule says is refused, be it of the table itself or of a related one.
async fn epochs_in_the_wrong_unit(bench: Bench) {
    for (encoding, values, refused) in [
        ("epoch_milliseconds", "(1, 1637506799), (2, 0), (3, 1500000000)", true),
        ("epoch_seconds", "(1, 1637506799000), (2, 0), (3, 1500000000000)", true),
        ("epoch_seconds", "(1, 0)", false),
        ("epoch_seconds", "(1, 1637506799000), (2, 1500000000)", false),
        ("epoch_milliseconds", "(1, 1500000000), (2, -86400000)", false),
    ] {
        bench
            .script(&format!(
                "create table t (id {{int}} primary key, start_at {{bigint}}); insert into t values {values};
                 create table p (id {{int}} primary key); insert into p values (1)"
            ))
            .await;
        for start in ["{column: start_at, as: ENCODING}", "{latest: core.t.start_at, through: id, as: ENCODING}"] {
            let table = if start.contains("latest") { "p" } else { "t" };
            bench.rules(&format!(
                "- {{id: p, table: core.{table}, starting_point: {}, retention_period: 5 years, disposition: erase}}",
                start.replace("ENCODING", encoding)
            ));
            let call = bench.sunset(&["validate"]);
            assert_eq!(call.code, if refused { 2 } else { 0 }, "{encoding} {values}: {}", call.err);
            let call = bench.sunset(&["plan"]);
            assert_eq!(call.code == 2, refused, "{encoding} {values}: {} {}", call.code, call.err);
        }
        bench.script("drop table t; drop table p").await;
    }
}

/// The word that says what 0 means stands where numbers tell time, and nowhere else.
async fn zero_means_nothing_elsewhere(bench: Bench) {
    bench.script("create table t (id {int} primary key, start_at {date})").await;
    rule(&bench, "{column: start_at, zero: epoch}", "5 years");
    bench.sunset(&["validate"]).expect(2);
}

/// Related texts are compared as the times that they tell: the greatest letters are not the latest time.
async fn related_texts(bench: Bench) {
    bench
        .script(
            "create table c (id {int} primary key, fate {text});
             create table k (id {int} primary key, c {int}, told_at {text});
             create table f (id {int} primary key, fate {text});
             create table l (id {int} primary key, f {int}, told_at {text});
             insert into c values (1, 'stays'), (2, 'goes'), (3, 'stays'), (4, 'stays'), (5, 'goes'), (6, 'stays');
             insert into k values
               (1, 1, '2021-11-22T01:00:00+14:00'), (2, 1, '2021-11-21T20:00:00Z'),
               (3, 2, '2021-11-22T04:59:59+14:00'), (4, 2, '2021-11-21T09:59:59-05:00'), (5, 2, '2001-01-01T00:00Z'),
               (6, 3, '2001-01-01T00:00:00Z'), (7, 3, ''),
               (8, 4, '2001-01-01T00:00:00Z'), (9, 4, 'soon'),
               (10, 5, '2021-11-21T14:59:58.9Z'), (11, 5, '2021-11-21 23:59+0900'),
               (12, 6, '2001-01-01T00:00:00Z'), (13, 6, null);
             insert into f values (1, 'goes'), (2, 'stays'), (3, 'stays'), (4, 'goes');
             insert into l values
               (1, 1, '2021-11-22T01:00:00+14:00'), (2, 1, '2022-11-21T20:00:00Z'),
               (3, 2, '2021-11-22T05:00:00+14:00'), (4, 2, '2021-11-21T10:00:00-05:00'),
               (5, 3, 'soon'), (6, 3, ''),
               (7, 4, ''), (8, 4, '2001-01-01T00:00:00Z')",
        )
        .await;
    bench.rules(
        "
- {id: c, table: core.c, retention_period: 5 years, disposition: erase,
   starting_point: {latest: core.k.told_at, through: c, as: iso_text_with_offset}}
- {id: f, table: core.f, retention_period: 5 years, disposition: erase,
   starting_point: {earliest: core.l.told_at, through: f, as: iso_text_with_offset}}",
    );
    let report = fates_come_true(&bench, &["c", "f"]).await;
    assert_eq!(report.line("c"), "explained_rest 2 without_starting_point=3");
    assert_eq!(report.line("f"), "explained_rest 2 without_starting_point=1");
    // without offset, in a zone of their own
    bench
        .script(
            "create table d (id {int} primary key, fate {text});
             create table m (id {int} primary key, d {int}, told_at {text});
             insert into d values (1, 'goes'), (2, 'stays'), (3, 'stays'), (4, 'stays'), (5, 'goes');
             insert into m values (1, 1, '2021-11-21T09:59'), (2, 1, '2021-11-21 09:58:59.5'), (3, 1, '2021-11-21'),
               (4, 2, '2021-11-21 10:00'), (5, 2, '2021-11-21T09:00:00'), (6, 3, '2001-01-01'), (7, 3, ''),
               (8, 4, '2001-01-01'), (9, 4, '2021-11-22'), (10, 5, '2021-11-21')",
        )
        .await;
    bench.rules(
        "
- {id: d, table: core.d, retention_period: 5 years, disposition: erase,
   starting_point: {latest: core.m.told_at, through: d, as: iso_text, zone: America/New_York}}",
    );
    fates_come_true(&bench, &["d"]).await;
}

/// A text that tells no time stops nobody: neither where rows are changed, nor where they go.
async fn texts_that_tell_no_time_stop_nobody(bench: Bench) {
    for table in ["masked", "erased"] {
        bench
            .script(&format!(
                "create table {table} (id {{int}} primary key, told_at {{text}}, name {{text}}, fate {{text}});
                 insert into {table} values (1, 'never', 'x', 'stays'), (2, '', 'x', 'stays'), (3, null, 'x', 'stays'),
                   (4, '2000-02-29T18:59:59-05:00', 'x', 'goes'), (5, '2000-13-29T18:59:59-05:00', 'x', 'stays')"
            ))
            .await;
    }
    bench.rules(
        "
- {id: masked, table: core.masked, starting_point: {column: told_at, as: iso_text_with_offset},
   retention_period: 1 month, disposition: anonymize, columns: {name: suppress}}
- {id: erased, table: core.erased, starting_point: {column: told_at, as: iso_text_with_offset},
   retention_period: 1 month, disposition: erase}",
    );
    bench.sunset(&["run"]).expect(0);
    assert_eq!(bench.lines("select id from masked where name is null").await, ["4"]);
    assert_eq!(bench.count("select count(*) from erased").await, 4);
}

/// What is no time in a row is none in a related row either.
async fn related_rows_that_tell_no_time(bench: Bench) {
    bench
        .script(
            "create table c (id {int} primary key, fate {text});
             create table e (id {int} primary key, fate {text});
             create table k (id {int} primary key, c {int}, ended_on {date}, told_at {bigint});
             insert into c values (1, 'stays'), (2, 'goes'), (3, 'stays'), (4, 'stays');
             insert into e values (1, 'goes'), (2, 'goes'), (3, 'goes'), (4, 'stays');
             insert into k values (1, 1, '2001-01-01', 0), (3, 2, '2001-01-01', 1000000000),
               (4, 3, '2001-01-01', 1000000000), (6, 4, '2026-01-01', 0)",
        )
        .await;
    let none: &[&str] = match bench.engine {
        Engine::Postgres => &["'infinity'", "'-infinity'"],
        Engine::Mysql => &["'0000-00-00'", "'2001-00-00'"],
        Engine::Sqlite => &["''", "'2001-02-30'"],
    };
    for (i, none) in none.iter().enumerate() {
        let (id, c) = (100 + i, 1 + 2 * i);
        bench.script(&format!("insert into k values ({id}, {c}, {none}, 1000000000)")).await;
    }
    bench.rules(
        "
- {id: c, table: core.c, starting_point: {latest: core.k.ended_on, through: c}, retention_period: 5 years,
   disposition: erase}
- {id: e, table: core.e, starting_point: {earliest: core.k.told_at, through: c, as: epoch_seconds},
   retention_period: 5 years, disposition: erase}",
    );
    let report = fates_come_true(&bench, &["c", "e"]).await;
    assert_eq!(report.line("c"), "explained_rest 1 without_starting_point=2");
    assert_eq!(report.line("e"), "explained_rest 3 without_starting_point=1");
}

on_every_engine!(
    epoch_seconds_in_which_zero_is_a_time,
    epoch_seconds_that_are_infinite,
    epochs_in_the_wrong_unit,
    zero_means_nothing_elsewhere,
    related_texts,
    texts_that_tell_no_time_stop_nobody,
    related_rows_that_tell_no_time,
);
