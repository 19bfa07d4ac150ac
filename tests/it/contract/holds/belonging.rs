//! What belongs to a held row stays with it, under every rule and every disposition.

use super::hold;
use crate::support::bench::{Bench, on_every_engine};

/// A person, what references it directly, and what references that, each with a rule of its own.
async fn what_belongs_to_a_held_row_stays(bench: Bench) {
    bench
        .script(
            "create table person (id {int} primary key, ended {date});
             create table contract (region {int}, number {int}, buyer {int}, payer {int}, ended {date},
               primary key (region, number),
               foreign key (buyer) references person (id), foreign key (payer) references person (id));
             create table invoice (id {int} primary key, region {int}, number {int}, ended {date},
               foreign key (region, number) references contract (region, number));
             create table line (id {int} primary key, invoice {int}, ended {date},
               foreign key (invoice) references invoice (id));
             insert into person values (1, '2026-01-01'), (2, '2026-01-01');
             insert into contract values (1, 1, 1, 2, '2001-01-01'), (1, 2, 2, 1, '2001-01-01'),
               (2, 1, 2, 2, '2001-01-01'), (2, 2, null, null, '2001-01-01');
             insert into invoice values (11, 1, 1, '2001-01-01'), (12, 1, 2, '2001-01-01'), (21, 2, 1, '2001-01-01'),
               (22, 2, 2, '2001-01-01'), (99, null, null, '2001-01-01');
             insert into line values (110, 11, '2001-01-01'), (120, 12, '2001-01-01'), (210, 21, '2001-01-01'),
               (990, 99, '2001-01-01'), (991, null, '2001-01-01')",
        )
        .await;
    let rules = |disposition: &str| {
        bench.rules(&format!(
            "
- {{id: contracts, table: core.contract, starting_point: ended, retention_period: 1 year, disposition: erase,
   dependents: {{core.invoice: keep}}}}
- {{id: invoices, table: core.invoice, starting_point: ended, retention_period: 1 year, disposition: erase,
   dependents: {{core.line: keep}}}}
- {{id: lines, table: core.line, starting_point: ended, retention_period: 1 year, {disposition}}}"
        ));
    };
    rules("disposition: unlink, columns: [invoice]");
    let id = hold(&bench, "core.person", &["--key", "1"]);
    let report = bench.run(0);
    // the links are not cut either: 110 and 120 still say what they belong to
    assert_eq!(bench.list("select id from line where invoice is null order by id").await, "210 990 991");
    assert_eq!(bench.list("select id from line where invoice is not null order by id").await, "110 120");
    let held = &report.rule("lines")["held_by"][0];
    assert_eq!((held["hold"].to_string(), held["rows"].as_u64()), (id.clone(), Some(2)));
    rules("disposition: erase");
    let plan = bench.plan();
    let step = |rule: &str| plan["steps"].as_array().unwrap().iter().find(|step| step["rule"] == rule).unwrap().clone();
    assert_eq!(step("lines")["counts"]["held"], 2);
    assert_eq!(step("lines")["held_by"][0]["matter"], "2026-17");
    assert!(step("contracts")["holds"][0].as_str().unwrap().contains("(2026-17) on "));
    bench.run_to_the_end();
    assert_eq!(bench.list("select id from line order by id").await, "110 120");
    assert_eq!(bench.list("select id from invoice order by id").await, "11 12");
    assert_eq!(bench.list("select number from contract order by region, number").await, "1 2");

    let why = bench.sunset(&["why", "--now", bench.now, "core.line", "110"]).expect(0).out;
    assert!(why.contains("(2026-17): it belongs to a held row of"), "{why}");
    let json = bench.sunset(&["why", "--now", bench.now, "--format", "json", "core.line", "110"]).expect(0).out;
    assert!(json.contains("\"how\": \"belongs\""), "{json}");
    let why = bench.sunset(&["why", "--now", bench.now, "core.person", "1"]).expect(0).out;
    assert!(why.contains(&format!("hold            {id} (2026-17)")), "{why}");

    bench.sunset(&["hold", "release", &id, "--reason", "settled", "--owner", "o"]).expect(0);
    bench.run_to_the_end();
    assert_eq!(bench.count("select count(*) from line").await, 0);
    assert_eq!(bench.count("select count(*) from contract").await, 0);
}

/// Only the row itself, where that is asked for.
async fn a_hold_can_be_on_the_row_alone(bench: Bench) {
    bench
        .script(
            "create table person (id {int} primary key, ended {date});
             create table visit (id {int} primary key, person {int}, ended {date},
               foreign key (person) references person (id));
             insert into person values (1, '2001-01-01'), (2, '2001-01-01');
             insert into visit values (10, 1, '2001-01-01'), (20, 2, '2001-01-01'), (21, 2, '2026-01-01')",
        )
        .await;
    bench.rules(
        "
- {id: people, table: core.person, starting_point: ended, retention_period: 1 year, disposition: erase,
   dependents: {core.visit: unlink}}
- {id: visits, table: core.visit, starting_point: ended, retention_period: 1 year, disposition: erase}",
    );
    hold(&bench, "core.person", &["--key", "1", "--only-row"]);
    hold(&bench, "core.visit", &["--key", "21", "--only-row"]);
    let listed = bench.sunset(&["hold", "list", "--format", "json"]).expect(0).out;
    assert!(listed.contains("\"only_row\": true"), "{listed}");
    assert!(bench.sunset(&["ledger", "export"]).expect(0).out.contains(r#""only_row":true"#));
    bench.run_to_the_end();
    // a row alone still keeps the row whose end would cut its link
    assert_eq!(bench.list("select id from person order by id").await, "1 2");
    assert_eq!(bench.list("select id from visit").await, "21");
}

/// A hold on a condition, and rows that come to belong to one that meets it.
async fn conditions_hold_what_belongs(bench: Bench) {
    bench
        .script(
            "create table person (id {int} primary key, status {text});
             create table visit (id {int} primary key, person {int}, ended {date},
               foreign key (person) references person (id));
             insert into person values (1, 'sued'), (2, null), (3, 'plain');
             insert into visit values (10, 1, '2001-01-01'), (20, 2, '2001-01-01'), (30, 3, '2001-01-01'),
               (99, null, '2001-01-01')",
        )
        .await;
    bench.rules(
        "- {id: visits, table: core.visit, starting_point: ended, retention_period: 1 year, disposition: erase}",
    );
    hold(&bench, "core.person", &["--where", "status = 'sued'"]);
    bench.script("update person set status = 'sued' where id = 3").await;
    bench.run_to_the_end();
    assert_eq!(bench.list("select id from visit order by id").await, "10 30");
}

/// Tables whose keys lead back to themselves, over many levels and in circles.
async fn circles_are_gone_through_to_their_end(bench: Bench) {
    bench
        .script(
            "create table post (id {int} primary key, parent {int}, ended {date},
               foreign key (parent) references post (id))",
        )
        .await;
    let rows: Vec<String> = (1..=1500)
        .map(|id| format!("({id}, {}, '2001-01-01')", if id == 1 { "null".to_owned() } else { (id - 1).to_string() }))
        .collect();
    bench.script(&format!("insert into post values {}", rows.join(", "))).await;
    bench.script("create index post_parent on post (parent)").await;
    bench.script("insert into post values (2001, null, '2001-01-01'), (2002, 2001, '2001-01-01')").await;
    bench.rules(
        "
- {id: posts, table: core.post, starting_point: ended, retention_period: 1 year, disposition: erase,
   dependents: {core.post: unlink}}",
    );
    hold(&bench, "core.post", &["--key", "3"]);
    bench.run(0);
    // 1 and 2 are what 3 belongs to: 2 stays since 3 would lose its link, 1 does not
    assert_eq!(bench.count("select count(*) from post where id between 3 and 1500").await, 1498);
    assert_eq!(bench.list("select id from post where id not between 3 and 1500 order by id").await, "2");
}

/// Two tables that reference each other.
async fn two_tables_may_form_a_circle(bench: Bench) {
    bench
        .script_for(
            "create table a (id integer primary key, code varchar(9) unique, of_b varchar(7), ended date, note text);
             create table b (id varchar(7) primary key, of_a varchar(9) references a (code), ended date, note text);
             alter table a add foreign key (of_b) references b (id)",
            "create table a (id integer primary key, code varchar(9) unique, of_b varchar(7), ended date, note text);
             create table b (id varchar(7) primary key, of_a varchar(9), ended date, note text,
               foreign key (of_a) references a (code));
             alter table a add foreign key (of_b) references b (id)",
            "create table a (id integer primary key, code varchar(9) unique, of_b varchar(7) references b (id), ended date,
               note text);
             create table b (id varchar(7) primary key, of_a varchar(9) references a (code), ended date, note text)",
        )
        .await;
    bench
        .script(
            "insert into a (id, code, ended, note) values (1, 'c1', '2001-01-01', 'x'), (2, 'c2', '2001-01-01', 'x'),
               (3, null, '2001-01-01', 'x'), (4, 'c4', '2001-01-01', 'x');
             insert into b values ('b1', 'c1', '2001-01-01', 'x'), ('b2', 'c2', '2001-01-01', 'x'),
               ('b4', 'c4', '2001-01-01', 'x');
             update a set of_b = 'b1' where id in (2, 3); update a set of_b = 'b4' where id in (1, 4)",
        )
        .await;
    // 4 and b4 go round in a circle, 1 belongs to it; 2 and 3 belong to 1 over b1
    bench.rules(
        "
- {id: as, table: core.a, starting_point: ended, retention_period: 1 year, disposition: anonymize,
   columns: {note: suppress}, dependents: {core.b: keep}}
- {id: bs, table: core.b, starting_point: ended, retention_period: 1 year, disposition: anonymize,
   columns: {note: suppress}, dependents: {core.a: keep}}",
    );
    let id = hold(&bench, "core.a", &["--key", "1"]);
    bench.run_to_the_end();
    assert_eq!(bench.list("select id from a where note is not null order by id").await, "1 2 3");
    assert_eq!(bench.list("select id from b where note is not null order by id").await, "b1 b2");
    bench.script("update a set note = 'x'; update b set note = 'x'").await;
    bench.sunset(&["hold", "release", &id, "--reason", "r", "--owner", "o"]).expect(0);
    hold(&bench, "core.b", &["--where", "id = 'b4'"]);
    bench.run_to_the_end();
    assert_eq!(bench.list("select id from a where note is not null order by id").await, "1 2 3 4");
    assert_eq!(bench.list("select id from b where note is not null order by id").await, "b1 b2 b4");
}

/// Tables that reach the held one over so many ways that each cannot be written out.
async fn many_ways_lead_to_a_held_row(bench: Bench) {
    let tables = 10;
    for table in 0..tables {
        let columns: String = (0..table).map(|to| format!(", r{to} {{int}}")).collect();
        let keys: String = (0..table).map(|to| format!(", foreign key (r{to}) references t{to} (id)")).collect();
        bench
            .script(&format!(
                "create table t{table} (id {{int}} primary key, ended {{date}}, note {{text}}{columns}{keys})"
            ))
            .await;
        // row 1 leads to row 1 of the table before alone, row 2 nowhere
        let first: String = (0..table).map(|to| if to + 1 == table { ", 1" } else { ", null" }).collect();
        let second: String = (0..table).map(|_| ", null").collect();
        bench
            .script(&format!(
                "insert into t{table} values (1, '2001-01-01', 'x'{first}), (2, '2001-01-01', 'x'{second})"
            ))
            .await;
    }
    let rules: String = (0..tables)
        .map(|table| {
            let dependents: Vec<_> = (table + 1..tables).map(|from| format!("core.t{from}: keep")).collect();
            let dependents = match dependents.as_slice() {
                [] => String::new(),
                all => format!(", dependents: {{{}}}", all.join(", ")),
            };
            format!(
                "- {{id: t{table}, table: core.t{table}, starting_point: ended, retention_period: 1 year, \
                 disposition: anonymize, columns: {{note: suppress}}{dependents}}}\n"
            )
        })
        .collect();
    bench.rules(&rules);
    hold(&bench, "core.t0", &["--key", "1"]);
    bench.run_to_the_end();
    for table in 0..tables {
        assert_eq!(bench.list(&format!("select id from t{table} where note is not null")).await, "1", "t{table}");
    }
}

/// What no foreign key says, but a rule looks through.
async fn undeclared_references_count(bench: Bench) {
    bench
        .script(
            "create table person (id {int} primary key, ended {date});
             create table visit (id {int} primary key, person {int}, ended {date});
             create table card (person {int} primary key, ended {date}, note {text});
             insert into person values (1, '2001-01-01'), (2, '2001-01-01'), (3, '2001-01-01');
             insert into visit values (10, 1, '2001-01-01'), (20, 2, '2001-01-01'), (30, 3, '2001-01-01');
             insert into card values (1, '2001-01-01', 'x'), (2, '2001-01-01', 'x')",
        )
        .await;
    let rule = |id: &str, table: &str| {
        bench.rules(&format!(
            "- {{id: {id}, table: core.{table}, starting_point: ended, retention_period: 1 year, disposition: erase}}"
        ));
    };
    rule("people", "person");
    hold(&bench, "core.person", &["--key", "1"]);
    bench.rules(
        "
- {id: cards, table: core.card, starting_point: {latest: core.person.ended, through: person},
   retention_period: 1 year, disposition: erase}",
    );
    bench.run(0);
    assert_eq!(bench.list("select person from card order by person").await, "1");
    // what it belongs to would be gone, and nobody could tell any more whose it is
    hold(&bench, "core.visit", &["--key", "30"]);
    bench.rules(
        "
- {id: people, table: core.person, starting_point: {latest: core.visit.ended, through: person},
   retention_period: 1 year, disposition: erase}
- {id: visits, table: core.visit, starting_point: ended, retention_period: 2 years, disposition: erase}",
    );
    bench.run(0);
    assert_eq!(bench.list("select id from visit order by id").await, "10 30");
    let people = bench.list("select id from person order by id").await;
    assert!(["1 3", "1 2 3"].contains(&people.as_str()), "{people}");
}

/// A row that would go along belongs to a held one, by another key than the one over which it goes along.
async fn dependents_that_belong_to_a_held_row_keep_their_parent(bench: Bench) {
    bench
        .script(
            "create table product (id {int} primary key);
             create table orders (id {int} primary key, ended {date});
             create table item (id {int} primary key, orders {int}, product {int},
               foreign key (orders) references orders (id), foreign key (product) references product (id));
             create table note (id {int} primary key, item {int}, foreign key (item) references item (id));
             insert into product values (1), (2);
             insert into orders values (10, '2001-01-01'), (20, '2001-01-01'), (30, '2001-01-01');
             insert into item values (100, 10, 1), (101, 10, 2), (200, 20, 2), (300, 30, null);
             insert into note values (1000, 100), (2000, 200), (3000, 300)",
        )
        .await;
    bench.rules(
        "
- {id: orders, table: core.orders, starting_point: ended, retention_period: 1 year, disposition: erase,
   dependents: {core.item: erase, core.note: erase}}",
    );
    hold(&bench, "core.product", &["--key", "1"]);
    let report = bench.run_to_the_end();
    assert_eq!(report.line("orders"), "explained_rest 2 held=1");
    assert_eq!(bench.list("select id from item order by id").await, "100 101");
    let why = bench.sunset(&["why", "--now", bench.now, "core.orders", "10"]).expect(0).out;
    assert!(why.contains("a row that depends on it is held"), "{why}");
}

/// The link to a held row is not cut from the other end.
async fn a_column_that_held_rows_reference_stays(bench: Bench) {
    bench
        .script(
            "create table person (id {int} primary key, code {text} unique, ended {date});
             create table visit (id {int} primary key, code {text}, ended {date}, foreign key (code) references person (code));
             insert into person values (1, 'a', '2001-01-01'), (2, 'b', '2001-01-01'), (3, 'c', '2001-01-01');
             insert into visit values (10, 'a', '2026-01-01')",
        )
        .await;
    bench.rules(
        "
- {id: people, table: core.person, starting_point: ended, retention_period: 1 year, disposition: anonymize,
   columns: {code: suppress}, dependents: {core.visit: keep}}",
    );
    hold(&bench, "core.visit", &["--key", "10"]);
    let run = bench.sunset(&["run", "--now", bench.now]);
    assert_eq!(bench.list("select code from person where id = 1").await, "a", "{run:?}");
    assert_eq!(bench.list("select code from visit").await, "a");
    if run.code == 0 {
        assert_eq!(bench.count("select count(*) from person where code is null").await, 2);
    }
}

on_every_engine!(
    what_belongs_to_a_held_row_stays,
    a_hold_can_be_on_the_row_alone,
    conditions_hold_what_belongs,
    circles_are_gone_through_to_their_end,
    two_tables_may_form_a_circle,
    many_ways_lead_to_a_held_row,
    undeclared_references_count,
    dependents_that_belong_to_a_held_row_keep_their_parent,
    a_column_that_held_rows_reference_stays,
);
