//! Several rules on one life: what one of them needs no other destroys, over the years and within a run.

use crate::support::bench::{Bench, on_every_engine};
use std::collections::BTreeSet;

const DESTROYS: &str = "E0320";
const CIRCLE: &str = "E0321";
const OVERLAP: &str = "E0312";

/// People, what they ordered, and what tells of them elsewhere.
async fn company(bench: &Bench) {
    bench
        .script(
            "create table customers (id {int} primary key, name {text}, status {text}, born {date}, ended {date}, created {date},
               kept {date}, done {boolean}, note {text});
             create table orders (id {int} primary key, customer {int}, delivered {date}, customer_ended {date}, total {int},
               foreign key (customer) references customers (id));
             create table visits (id {int} primary key, customer {int}, seen {date});
             insert into customers values (1, 'Hanako', 'closed', '1980-05-05', '2018-01-01', '2017-01-01', null, null, 'x'),
               (2, 'Taro', 'open', '1981-05-05', '2026-06-01', '2026-01-01', null, null, 'y');
             insert into orders values (10, 1, '2018-01-01', null, 5), (20, 2, '2026-06-01', null, 6);
             insert into visits values (100, 1, '2018-01-01'), (200, 2, '2026-06-01')",
        )
        .await;
}

/// A rule in one line; `more` holds the rest of it.
fn rule(id: &str, table: &str, start: &str, period: &str, more: &str) -> String {
    format!("- {{id: {id}, table: core.{table}, starting_point: {start}, retention_period: {period}, {more}}}\n")
}

const KEEP: &str = "dependents: {core.orders: keep}";

/// `rules` are refused with this code in one message that names both rules; nothing is touched.
fn refused(bench: &Bench, code: &str, rules: &[String]) {
    bench.rules(&rules.concat());
    assert_eq!(bench.refused(), BTreeSet::from([code.to_owned()]), "{rules:?}");
    let call = bench.sunset(&["plan", "--now", bench.now, "--format", "json"]);
    let names: Vec<_> = ["first", "second"].iter().map(|name| format!("`{name}`")).collect();
    let told =
        call.out.lines().any(|line| names.iter().all(|name| line.contains(name.as_str())) && line.contains(code));
    assert!(told, "{call:?}");
    let text = bench.sunset(&["validate"]).err;
    assert!(text.contains("help: "), "{text}");
}

/// What a shorter period takes away from a longer one, in every way in which a rule reads.
async fn shorter_periods_destroy_nothing_that_longer_ones_need(bench: Bench) {
    company(&bench).await;
    let short =
        |more: &str| rule("first", "customers", "ended", "1 year", &format!("disposition: anonymize, {more}, {KEEP}"));
    let long = |more: &str| rule("second", "customers", "ended", "5 years", &format!("{more}, {KEEP}"));
    let erase = long("disposition: erase");
    let blank = "disposition: anonymize, columns: {note: suppress}";
    for (ours, theirs) in [
        ("columns: {ended: suppress}", erase.clone()),
        ("columns: {ended: {generalize: year}}", erase.clone()),
        ("columns: {name: suppress, ended: {generalize: decade}}", long(blank)),
        ("columns: {status: {replace: gone}}", long("where: {status: closed}, disposition: erase")),
        ("columns: {status: suppress}", long("where: {status: null}, disposition: erase")),
        ("columns: {status: suppress}", long("where: \"status = 'closed'\", disposition: erase")),
        ("columns: {born: {generalize: year}}", long("where: {born: {less_than: 1980-06-01}}, disposition: erase")),
        (
            "columns: {ended: suppress}",
            rule(
                "second",
                "visits",
                "{latest: core.customers.ended, through: customer}",
                "5 years",
                "disposition: erase",
            ),
        ),
    ] {
        refused(&bench, DESTROYS, &[short(ours), theirs]);
    }
    let gone = rule("first", "customers", "ended", "1 year", "disposition: erase, dependents: {core.orders: unlink}");
    let orders = |period: &str| {
        rule("second", "orders", "{latest: core.customers.ended, through: customer}", period, "disposition: erase")
    };
    refused(&bench, DESTROYS, &[gone.clone(), orders("7 years")]);
    let visits =
        rule("second", "visits", "{latest: core.customers.ended, through: customer}", "7 years", "disposition: erase");
    refused(&bench, DESTROYS, &[gone, visits]);
    let cut = rule("first", "visits", "seen", "1 year", "disposition: unlink, columns: [customer]");
    let visits =
        rule("second", "visits", "{latest: core.customers.ended, through: customer}", "7 years", "disposition: erase");
    refused(&bench, DESTROYS, &[cut, visits]);
    // one marker for two rules
    let marked = |id: &str, period: &str, column: &str| {
        let more = format!("disposition: pseudonymize, marker: done, columns: {{{column}: tokenize}}, {KEEP}");
        rule(id, "customers", "ended", period, &more)
    };
    refused(&bench, DESTROYS, &[marked("first", "1 year", "name"), marked("second", "2 years", "note")]);
}

/// Two days that have nothing to do with each other are in no order.
async fn different_starting_points_are_in_no_order(bench: Bench) {
    company(&bench).await;
    let blank = |column: &str| {
        let more = format!("disposition: anonymize, columns: {{{column}: suppress}}, {KEEP}");
        rule("first", "customers", "created", "5 years", &more)
    };
    let gone = rule(
        "second",
        "customers",
        "ended",
        "1 year",
        &format!("where: {{status: closed}}, disposition: erase, {KEEP}"),
    );
    refused(&bench, DESTROYS, &[blank("status"), gone.clone()]);
    refused(&bench, DESTROYS, &[blank("ended"), gone.clone()]);
    bench.rules(&[blank("name"), gone].concat());
    bench.run(0);
    assert_eq!(
        bench.list("select id from customers order by 1").await,
        "1 2",
        "orders are kept, and so are their customers"
    );
}

/// What changes nothing for the other rule, or comes after it, or is about other rows, is no conflict.
async fn harmless_changes_are_carried_out(bench: Bench) {
    company(&bench).await;
    let short =
        |more: &str| rule("first", "customers", "ended", "1 year", &format!("disposition: anonymize, {more}, {KEEP}"));
    let long = |start: &str, more: &str| rule("second", "customers", start, "5 years", &format!("{more}, {KEEP}"));
    let year_end = "{column: ended, counted_from: calendar_year_end}";
    let erase = "disposition: erase";
    for rules in [
        [short("columns: {name: suppress}"), long("ended", erase)],
        [short("columns: {ended: {generalize: year}}"), long(year_end, erase)],
        [short("columns: {ended: {generalize: month}}"), long(year_end, erase)],
        [
            short("columns: {born: {generalize: year}}"),
            long("ended", "where: {born: {less_than: 1990-01-01}}, disposition: erase"),
        ],
        [
            short("columns: {status: {replace: gone}}"),
            long("ended", "where: {status: {not: null}}, disposition: erase"),
        ],
        [
            short("where: {status: closed}, columns: {status: {replace: gone}}"),
            long("ended", "where: {status: [closed, gone]}, disposition: erase"),
        ],
        [
            short("where: {status: open}, columns: {ended: suppress}"),
            long("ended", "where: {status: closed}, disposition: erase"),
        ],
        [
            short("where: \"status = 'open'\", columns: {ended: suppress}"),
            long("ended", "where: \"status = 'closed'\", disposition: erase"),
        ],
        [short("columns: {kept: {copy: ended}, ended: suppress}"), long("{column: kept, missing: ignore}", erase)],
    ] {
        bench.rules(&rules.concat());
        bench.sunset(&["validate"]).expect(0);
    }
    // the eraser's time is over first
    let gone = rule("first", "customers", "ended", "1 year", &format!("disposition: erase, {KEEP}"));
    let late = rule(
        "second",
        "customers",
        "ended",
        "2 years",
        &format!("disposition: anonymize, columns: {{note: suppress}}, {KEEP}"),
    );
    bench.rules(&[gone, late].concat());
    bench.sunset(&["validate"]).expect(0);
    let blank = rule(
        "second",
        "customers",
        "ended",
        "1 year",
        &format!("disposition: anonymize, columns: {{ended: suppress}}, {KEEP}"),
    );
    let gone = rule("first", "customers", "ended", "1 year", "disposition: erase, dependents: {core.orders: erase}");
    bench.rules(&[blank, gone].concat());
    bench.run(0);
    assert_eq!(bench.list("select id from customers").await, "2");
}

/// Rules that are due on the same day: who reads goes first, whatever the ids say, and each does what was planned.
async fn who_reads_goes_first(bench: Bench) {
    company(&bench).await;
    let related = "{latest: core.visits.seen, through: customer}";
    let rules = [
        rule("a-visits", "visits", "seen", "1 year", "disposition: erase"),
        rule(
            "b-names",
            "customers",
            related,
            "1 year",
            &format!("disposition: anonymize, columns: {{name: suppress}}, {KEEP}"),
        ),
    ];
    bench.rules(&rules.concat());
    let plan = bench.plan();
    let order: Vec<_> = plan["steps"].as_array().unwrap().iter().map(|step| step["rule"].as_str().unwrap()).collect();
    assert_eq!(order, ["b-names", "a-visits"]);
    // alone it would destroy what the other one needs
    let alone = bench.sunset(&["run", "--now", bench.now, "--rule", "a-visits"]).expect(3);
    assert!(alone.out.contains("b-names") || alone.err.contains("b-names"), "{alone:?}");
    assert_eq!(bench.list("select id from visits order by 1").await, "100 200");
    let report = bench.run(0);
    for id in ["a-visits", "b-names"] {
        assert_eq!(report.rule(id)["disposed"], 1, "{report:?}");
    }
    assert_eq!(bench.list("select id from customers where name is null").await, "1");
    assert_eq!(bench.list("select id from visits").await, "200");
}

/// Each of two rules reads what the other one writes.
async fn circles_are_refused(bench: Bench) {
    company(&bench).await;
    let more = |column: &str| format!("disposition: anonymize, columns: {{{column}: {{generalize: month}}}}, {KEEP}");
    let month_end = |column: &str| format!("{{column: {column}, counted_from: month_end}}");
    refused(
        &bench,
        CIRCLE,
        &[
            rule("first", "customers", &month_end("ended"), "1 year", &more("created")),
            rule("second", "customers", &month_end("created"), "1 year", &more("ended")),
        ],
    );
}

/// The customer waits until its orders are gone, and then nothing tells when its time began.
async fn kept_dependents_that_tell_the_time_are_refused(bench: Bench) {
    company(&bench).await;
    refused(
        &bench,
        CIRCLE,
        &[
            rule(
                "first",
                "customers",
                "{latest: core.orders.delivered, through: customer}",
                "1 year",
                &format!("disposition: erase, {KEEP}"),
            ),
            rule("second", "orders", "delivered", "5 years", "disposition: erase"),
        ],
    );
}

/// A rule keeps a value that it empties, and another one counts from it, years later.
async fn copied_values_outlive_what_they_are_copied_from(mut bench: Bench) {
    company(&bench).await;
    let rules = [
        rule(
            "customers",
            "customers",
            "ended",
            "1 year",
            "disposition: erase, dependents: {core.orders: {anonymize: {customer: suppress, customer_ended: {copy: {latest: \
             core.customers.ended, through: customer}}}}}",
        ),
        rule("orders", "orders", "{column: customer_ended, missing: ignore}", "7 years", "disposition: erase"),
    ];
    bench.rules(&rules.concat());
    bench.now = "2020-11-22";
    bench.run_to_the_end();
    let orders = "select id, customer, cast(customer_ended as char(10)) from orders order by id";
    assert_eq!(bench.list("select id from customers").await, "2");
    assert_eq!(bench.list(orders).await, "10|NULL|2018-01-01 20|2|NULL");
    bench.now = "2025-01-01";
    assert_eq!(bench.run(0).rule("orders")["disposed"], 0);
    bench.now = "2025-01-03";
    bench.run_to_the_end();
    assert_eq!(bench.list("select id from orders").await, "20");
}

/// The same in one row, where the engine may assign from left to right; and what was copied once is not lost.
async fn values_are_copied_before_they_are_emptied(mut bench: Bench) {
    company(&bench).await;
    let trim = "disposition: anonymize, columns: {ended: suppress, name: suppress, kept: {copy: ended}}";
    bench.rules(
        &[
            rule("trim", "customers", "ended", "1 year", &format!("{trim}, {KEEP}")),
            rule(
                "gone",
                "customers",
                "{column: kept, missing: ignore}",
                "5 years",
                "disposition: erase, dependents: {core.orders: erase}",
            ),
        ]
        .concat(),
    );
    bench.now = "2020-11-22";
    bench.run_to_the_end();
    let all = "select id, name, ended, cast(kept as char(10)) from customers where id = 1";
    assert_eq!(bench.list(all).await, "1|NULL|NULL|2018-01-01");
    // somebody writes the name again: the row has no starting point any more, and keeps what was copied
    bench.script("update customers set name = 'again' where id = 1").await;
    bench.run(0);
    assert_eq!(bench.list("select cast(kept as char(10)) from customers where id = 1").await, "2018-01-01");
    bench.now = "2023-01-03";
    bench.run_to_the_end();
    assert_eq!(bench.list("select id from customers").await, "2");
}

async fn copies_that_cannot_be_are_refused(bench: Bench) {
    company(&bench).await;
    let copy = |columns: &str| {
        rule("a", "customers", "ended", "1 year", &format!("disposition: anonymize, columns: {{{columns}}}, {KEEP}"))
    };
    let is = |columns: &str, code: &str| {
        bench.rules(&copy(columns));
        assert_eq!(bench.refused(), BTreeSet::from([code.to_owned()]), "{columns}");
    };
    is("kept: {copy: ended}", "E0307");
    is("ended: suppress, kept: {copy: nobody}", "E0403");
    is("status: suppress, kept: {copy: status}", "E0504");
    is("name: suppress, kept: {copy: {latest: core.nobody.seen, through: customer}}", "E0402");
    is("name: suppress, kept: {copy: {latest: core.visits.seen, through: nobody}}", "E0409");
}

/// Three rules in a row: each pair is looked at.
async fn three_in_a_row(mut bench: Bench) {
    company(&bench).await;
    let rules = |start: &str| {
        [
            rule(
                "a",
                "customers",
                "ended",
                "1 year",
                &format!("disposition: anonymize, columns: {{name: suppress}}, {KEEP}"),
            ),
            rule(
                "first",
                "customers",
                "ended",
                "3 years",
                &format!("disposition: anonymize, columns: {{note: suppress, ended: {{generalize: year}}}}, {KEEP}"),
            ),
            rule("second", "customers", start, "5 years", "disposition: erase, dependents: {core.orders: erase}"),
        ]
    };
    refused(&bench, DESTROYS, &rules("ended"));
    bench.rules(&rules("{column: ended, counted_from: calendar_year_end}").concat());
    for (now, left) in [("2020-01-01", "1 2"), ("2022-01-01", "1 2"), ("2023-12-31", "1 2"), ("2024-01-01", "2")] {
        bench.now = now;
        bench.run_to_the_end();
        assert_eq!(bench.list("select id from customers order by 1").await, left, "{now}");
    }
}

/// Two rules of one table, however it and its values are spelled.
async fn overlaps_are_found_behind_spellings(bench: Bench) {
    company(&bench).await;
    let erase = |id: &str, table: &str, period: &str, condition: &str| {
        rule(id, table, "ended", period, &format!("{condition}disposition: erase, {KEEP}"))
    };
    let schema = match bench.engine {
        sunset::catalog::Engine::Postgres => "public.customers".to_owned(),
        sunset::catalog::Engine::Sqlite => "main.customers".to_owned(),
        sunset::catalog::Engine::Mysql => format!("{}.customers", bench.list("select database()").await),
    };
    let two = [erase("first", "customers", "1 year", ""), erase("second", &schema, "10 years", "")];
    refused(&bench, OVERLAP, &two);
    let words = |a: &str, b: &str| {
        [
            erase("first", "customers", "1 year", &format!("where: {{{a}}}, ")),
            erase("second", &schema, "10 years", &format!("where: {{{b}}}, ")),
        ]
    };
    refused(&bench, OVERLAP, &words("status: [closed, x]", "status: [y, closed]"));
    refused(&bench, OVERLAP, &words("id: [1, 7]", "id: {at_most: 1}"));
    bench.rules(&words("status: closed", "status: open").concat());
    bench.sunset(&["validate"]).expect(0);
    if bench.engine == sunset::catalog::Engine::Mysql {
        refused(&bench, OVERLAP, &words("status: closed", "status: CLOSED"));
    }
}

/// Another entry of the settings with the same URL is the same database.
async fn one_database_under_two_names(bench: Bench) {
    company(&bench).await;
    let settings = std::fs::read_to_string(bench.path("sunset.yaml")).unwrap();
    let spare = settings.replace("databases: {", "databases: {spare: {url: \"${BENCH_URL}\"}, ");
    assert_ne!(settings, spare);
    std::fs::write(bench.path("sunset.yaml"), spare).unwrap();
    let spare = rule("second", "visits", "seen", "10 years", "disposition: erase").replace("core.", "spare.");
    refused(&bench, OVERLAP, &[rule("first", "visits", "seen", "1 year", "disposition: erase"), spare]);
    let spare = rule("second", "visits", "seen", "10 years", "disposition: erase").replace("core.", "spare.");
    let blank = rule(
        "first",
        "visits",
        "seen",
        "1 year",
        "disposition: anonymize, columns: {customer: suppress, seen: suppress}",
    );
    refused(&bench, DESTROYS, &[blank, spare]);
}

on_every_engine!(
    shorter_periods_destroy_nothing_that_longer_ones_need,
    different_starting_points_are_in_no_order,
    harmless_changes_are_carried_out,
    who_reads_goes_first,
    circles_are_refused,
    kept_dependents_that_tell_the_time_are_refused,
    copied_values_outlive_what_they_are_copied_from,
    values_are_copied_before_they_are_emptied,
    copies_that_cannot_be_are_refused,
    three_in_a_row,
    overlaps_are_found_behind_spellings,
    one_database_under_two_names,
);

/// The database itself writes the present into a column from which a later rule counts.
async fn the_present_is_not_written_by_the_database(bench: Bench) {
    let touched = match bench.engine {
        sunset::catalog::Engine::Mysql => "datetime not null default current_timestamp on update current_timestamp",
        _ => "{timestamp} not null",
    };
    let rows = "(1, 'A', '2020-01-01 00:00:00', null), (2, 'B', '2026-06-01 00:00:00', null), (3, 'C', '2000-01-01 00:00:00', null)";
    bench
        .script(&format!(
            "create table t (id {{int}} primary key, name {{text}}, touched {touched}, other {{text}});
             create table child (id {{int}} primary key, t {{int}}, name {{text}}, touched {touched}, foreign key (t) references t(id));
             insert into t values {rows}; insert into child (id, t, name, touched) values (10, 1, 'A', '2020-01-01 00:00:00')"
        ))
        .await;
    let blank =
        "disposition: anonymize, columns: {name: suppress}, dependents: {core.child: {anonymize: {name: suppress}}}";
    let rules = [
        rule("blank", "t", "touched", "1 year", blank),
        rule("gone", "t", "touched", "10 years", "disposition: erase, dependents: {core.child: unlink}"),
    ];
    bench.rules(&rules.concat());
    match bench.engine {
        sunset::catalog::Engine::Mysql => {
            bench.run_to_the_end();
            assert_eq!(bench.list("select id from t where name is null").await, "1");
            assert_eq!(bench.count("select count(*) from t where touched < '2020-01-02'").await, 1);
            assert_eq!(
                bench.count("select count(*) from child where name is null and touched < '2020-01-02'").await,
                1
            );
            bench
                .script("create trigger touch before update on t for each row set new.touched = '2026-11-22 00:00:00'")
                .await;
        }
        sunset::catalog::Engine::Postgres => {
            bench
                .script(
                    "create function touch() returns trigger language plpgsql as $$ begin new.touched := now(); return new; \
                     end $$; create trigger touch before update on t for each row execute function touch()",
                )
                .await;
        }
        sunset::catalog::Engine::Sqlite => {
            bench
                .script(
                    "create trigger touch after update of name on t begin update t set touched = '2026-11-22 00:00:00' where \
                     id = new.id; end",
                )
                .await;
        }
    }
    bench.script("insert into t values (4, 'D', '2021-01-01 00:00:00', null)").await;
    let left = "select id, name from t where id in (1, 4) order by id";
    let before = bench.list(left).await;
    let report = bench.run(4);
    let message = report.rule("blank")["message"].as_str().unwrap();
    assert!(message.contains("touch") && message.contains("touched"), "{message}");
    assert_eq!(bench.list(left).await, before, "the batch is undone");
    assert_eq!(bench.count("select count(*) from t where id = 3").await, 0, "the eraser went first");
}

on_every_engine!(the_present_is_not_written_by_the_database);

/// Files alone tell the days.
#[tokio::test]
async fn a_timeline_shows_each_category() {
    let bench = Bench::new(sunset::catalog::Engine::Sqlite).await;
    bench.rules(
        &[
            rule(
                "gone",
                "customers",
                "ended",
                "5 years",
                "regular_deletion_period: 5 years 3 months, disposition: erase, dependents: {core.orders: erase}",
            ),
            rule(
                "trim",
                "customers",
                "ended",
                "1 year",
                "where: {status: closed}, disposition: anonymize, columns: {name: suppress}",
            ),
        ]
        .concat(),
    );
    bench.rule_file(
        "orders",
        &rule(
            "orders",
            "orders",
            "{column: delivered, counted_from: calendar_year_end}",
            "7 years",
            "disposition: erase",
        ),
    );
    let text = bench.sunset(&["plan", "--timeline", "--starting", "2024-02-29"]).expect(0).out;
    insta::assert_snapshot!(text);
    let json = bench
        .sunset(&["plan", "--timeline", "--starting", "2024-02-29", "--rule", "trim", "--format", "json"])
        .expect(0);
    let json: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(json["starting_day"], "2024-02-29");
    assert_eq!(json["categories"].as_array().unwrap().len(), 1);
    assert_eq!(json["categories"][0]["acts"][0]["due"], "2025-03-01");
    assert_eq!(json["categories"][0]["acts"][0]["rule"], "trim");
    bench.sunset(&["plan", "--starting", "2024-02-29"]).expect(2);
    bench.sunset(&["plan", "--timeline", "--starting", "yesterday"]).expect(2);
}

/// Whoever empties what a recipient is asked by has to ask it himself.
async fn recipients_are_asked_before_they_cannot_be(bench: Bench) {
    company(&bench).await;
    bench.settings(
        "time_zone: Asia/Tokyo\nrecipients: {crm: {kind: http, url: \"http://127.0.0.1:1\", grade: E1, delete: {method: DELETE, \
         path: \"/people/{who}\", gone: [404]}}}",
    );
    let asks = |column: &str| format!("recipients: [{{crm: {{who: {column}}}}}]");
    let blank = |more: &str| {
        let more = format!("disposition: anonymize, columns: {{note: suppress}}, {KEEP}{more}");
        rule("first", "customers", "ended", "1 year", &more)
    };
    let gone =
        rule("second", "customers", "ended", "3 years", &format!("disposition: erase, {KEEP}, {}", asks("note")));
    refused(&bench, DESTROYS, &[blank(""), gone.clone()]);
    refused(&bench, DESTROYS, &[blank(&format!(", {}", asks("status"))), gone.clone()]);
    bench.rules(&[blank(&format!(", {}", asks("note"))), gone.clone()].concat());
    bench.sunset(&["validate"]).expect(0);
    // whose row is gone is not asked about either
    let early =
        |more: &str| rule("first", "customers", "created", "1 year", &format!("disposition: erase, {KEEP}{more}"));
    let trim = rule(
        "second",
        "customers",
        "ended",
        "3 years",
        &format!("disposition: anonymize, columns: {{name: suppress}}, {KEEP}, {}", asks("note")),
    );
    refused(&bench, DESTROYS, &[early(""), trim.clone()]);
    bench.rules(&[early(&format!(", {}", asks("note"))), trim].concat());
    bench.sunset(&["validate"]).expect(0);
    // rows that go along with others are nobody's to ask about
    let along = rule("first", "customers", "ended", "1 year", "disposition: erase, dependents: {core.orders: erase}");
    let orders =
        rule("second", "orders", "delivered", "3 years", "disposition: erase, recipients: [{crm: {who: total}}]");
    bench.rules(&[along, orders].concat());
    let told = bench.sunset(&["validate"]).expect(2).err;
    assert!(told.contains("E0320") && told.contains("`first`") && told.contains("`second`"), "{told}");
}

on_every_engine!(recipients_are_asked_before_they_cannot_be);

/// Rules that only change rows of a table with a trigger do not leave them to each other.
async fn a_harmless_trigger_stops_nobody(bench: Bench) {
    company(&bench).await;
    bench.script("create table heard (id {int})").await;
    bench
        .script_for(
            "create function hear() returns trigger language plpgsql as $$ begin insert into heard values (new.id); return new; \
             end $$; create trigger hear after update on customers for each row execute function hear()",
            "create trigger hear after update on customers for each row insert into heard values (new.id)",
            "create trigger hear after update on customers begin insert into heard values (new.id); end",
        )
        .await;
    let blank = |id: &str, start: &str, column: &str| {
        let more = format!("disposition: anonymize, columns: {{{column}: suppress}}, {KEEP}");
        rule(id, "customers", start, "1 year", &more)
    };
    bench.rules(&[blank("a", "ended", "name"), blank("b", "created", "note"), blank("c", "ended", "born")].concat());
    bench.run_to_the_end();
    assert_eq!(bench.list("select id from customers where name is null and note is null and born is null").await, "1");
    assert_eq!(bench.list("select id, count(*) from heard group by id").await, "1|3");
}

on_every_engine!(a_harmless_trigger_stops_nobody);
