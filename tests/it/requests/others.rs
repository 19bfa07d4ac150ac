//! Rows in which somebody else has a part that is easily overlooked: they stay, and a run says whose they may be or why nobody
//! can tell.

use super::safety::{asked, opened, small};
use crate::support::bench::{Bench, on_every_engine};
use sunset::catalog::Engine;

const NOW: &str = "retention_period: 5 years, disposition: erase, on_request: now";
const TWO: &str = "insert into customers values (1, '090-1', '2026-06-01', null), (2, '090-2', '2026-06-01', null);";
const MEMBER: &str = "}\n  member: {home: core.members, identifiers: {mail: {column: mail, as: text}}";

fn home() -> String {
    format!(
        "- {{id: customers, table: core.customers, starting_point: left_on, {NOW}, dependents: {{core.customers: unlink}}}}\n"
    )
}

fn rule(table: &str, more: &str) -> String {
    format!("- {{id: {table}, table: core.{table}, starting_point: d, {NOW}{more}}}\n")
}

async fn ids(core: &Bench, table: &str) -> String {
    core.list(&format!("select id from {table} order by id")).await
}

/// By one link the ticket is the one's, by the other it is the other's.
async fn two_links_compare_one_column(core: Bench) {
    let links = ", links: {core.tickets: [{requester: phone}, {requester: {column: second, as: text}}]}";
    let tables = "alter table customers add column second {text}; insert into customers values
         (1, '090-1', '2026-06-01', null, '090-2'), (2, '090-2', '2026-06-01', null, 'z');
         create table tickets (id {int} primary key, requester {text}, d {date});
         insert into tickets values (1, '090-2', '2026-06-01'), (2, '090-1', '2026-06-01')";
    let core = small(core, links, tables, &rule("tickets", "")).await;
    asked(&core, "1");
    assert_eq!(ids(&core, "tickets").await, "1");
}

/// What one subject does not take for theirs may be another one's.
async fn what_is_not_theirs_is_somebody_elses(core: Bench) {
    let links = format!(
        ", not_theirs: [core.tickets],\n   links: {{core.tickets: [{{requester: phone}}, {{assignee: phone}}], core.messages: \
         {{sender: phone}}}}{MEMBER}"
    );
    let tables = format!(
        "{TWO} create table members (id {{int}} primary key, mail {{text}}); insert into members values (7, 'm');
         create table tickets (id {{int}} primary key, requester {{text}}, assignee {{text}}, member_id {{int}}, d {{date}},
             foreign key (member_id) references members (id));
         create table messages (id {{int}} primary key, ticket_id {{int}}, sender {{text}}, d {{date}},
             foreign key (ticket_id) references tickets (id));
         insert into tickets values (1, '090-1', '090-2', null, '2026-06-01'), (2, '090-1', null, 7, '2026-06-01'),
             (3, '090-1', null, null, '2026-06-01'), (4, null, null, 7, '2026-06-01');
         insert into messages values (1, 4, '090-1', '2026-06-01'), (2, null, '090-1', '2026-06-01')"
    );
    let rules = rule("tickets", ", dependents: {core.messages: keep}") + &rule("messages", "");
    let core = small(core, &links, &tables, &rules).await;
    asked(&core, "1");
    assert_eq!((ids(&core, "tickets").await, ids(&core, "messages").await), ("1 2 4".to_owned(), "1".to_owned()));
}

/// Settings of another subject that the schema does not fit any more tell of nobody whose a row is.
async fn what_another_subject_means_has_to_be_there(core: Bench) {
    let links = format!(", links: {{core.calls: {{caller: phone}}}}{MEMBER}, links: {{core.calls: {{mail: mail}}}}");
    let tables = format!(
        "{TWO} create table members (id {{int}} primary key, mail {{text}}); insert into members values (7, 'm');
         create table calls (id {{int}} primary key, caller {{text}}, address {{text}}, d {{date}});
         insert into calls values (1, '090-1', 'm', '2026-06-01'), (2, '090-1', null, '2026-06-01')"
    );
    let core = small(core, &links, &tables, &rule("calls", "")).await;
    let id = opened(&core, "erasure", "1");
    let approve = core.sunset(&["request", "approve", &id, "--by", "officer", "--now", core.now]);
    assert!(approve.code != 0 && approve.err.contains("has no column `mail`"), "{}", approve.err);
    core.sunset(&["run", "--now", core.now]);
    assert_eq!(ids(&core, "calls").await, "1 2");
}

/// Rows of home tables are persons, whoever has their values.
async fn a_link_to_a_home_table_takes_nobody(core: Bench) {
    let links = format!(", links: {{core.members: {{mail: phone}}}}{MEMBER}");
    let tables = format!(
        "{TWO} create table members (id {{int}} primary key, mail {{text}}, d {{date}}); insert into members values (7, '090-1', '2026-06-01')"
    );
    let core = small(core, &links, &tables, &rule("members", "")).await;
    asked(&core, "1");
    assert_eq!(ids(&core, "members").await, "7");
}

/// The one's order leads to an item of the other's order.
async fn a_circle_leads_to_somebody_else(core: Bench) {
    // SQLite adds no key to a table that is there
    let (inline, added) = match core.engine {
        Engine::Sqlite => (" references orders (id)", ""),
        _ => ("", "alter table items add foreign key (order_id) references orders (id);"),
    };
    let tables = format!(
        "{TWO} create table items (id {{int}} primary key, order_id {{int}}{inline}, sender {{text}}, d {{date}});
         create table orders (id {{int}} primary key, customer_id {{int}}, last_item {{int}}, d {{date}},
             foreign key (customer_id) references customers (id), foreign key (last_item) references items (id)); {added}
         insert into items values (7, null, '090-1', '2026-06-01'), (8, null, '090-1', '2026-06-01');
         insert into orders values (1, 1, 7, '2026-06-01'), (2, 2, 7, '2026-06-01'), (3, 1, 8, '2026-06-01');
         update items set order_id = 2 where id = 7; update items set order_id = 3 where id = 8"
    );
    let rules = rule("orders", ", dependents: {core.items: unlink}");
    let core = small(core, ", links: {core.items: {sender: phone}}", &tables, &rules).await;
    asked(&core, "1");
    assert_eq!(ids(&core, "orders").await, "1 2");
}

/// A row waits for what stays a while: the home row waits with it, or nobody would find it later.
async fn the_home_row_waits_for_rows_that_wait(core: Bench) {
    let tables = format!(
        "{TWO} create table tickets (id {{int}} primary key, requester {{text}}, d {{date}});
         create table messages (id {{int}} primary key, ticket_id {{int}}, d {{date}}, foreign key (ticket_id) references tickets (id));
         insert into tickets values (1, '090-1', '2026-06-01'); insert into messages values (1, 1, '2026-06-01')"
    );
    let messages =
        "- {id: messages, table: core.messages, starting_point: d, retention_period: 1 year, disposition: erase}\n";
    let rules = home() + &rule("tickets", ", dependents: {core.messages: keep}") + messages;
    let core = small(core, ", links: {core.tickets: {requester: phone}}", &tables, &rules).await;
    asked(&core, "1");
    assert_eq!((ids(&core, "tickets").await, ids(&core, "customers").await), ("1".to_owned(), "1 2".to_owned()));
    let shown = core.sunset(&["request", "show", "1", "--now", core.now]).expect(0).out;
    assert!(shown.contains("approved"), "{shown}");
    core.script("update messages set d = '2020-01-01'").await;
    core.sunset(&["run", "--now", core.now]);
    core.sunset(&["run", "--now", core.now]).expect(0);
    assert_eq!((ids(&core, "tickets").await, ids(&core, "customers").await), (String::new(), "2".to_owned()));
}

/// What is found over rows that a rule unlinks goes first.
async fn what_is_below_an_unlinked_row_is_not_lost(core: Bench) {
    let tables = format!(
        "{TWO} create table orders (id {{int}} primary key, customer_id {{int}}, d {{date}},
             foreign key (customer_id) references customers (id));
         create table items (id {{int}} primary key, order_id {{int}}, d {{date}}, foreign key (order_id) references orders (id));
         create table notes (id {{int}} primary key, item_id {{int}}, d {{date}}, foreign key (item_id) references items (id));
         insert into orders values (1, 1, '2026-06-01'); insert into items values (1, 1, '2026-06-01');
         insert into notes values (1, 1, '2026-06-01')"
    );
    let rules = rule("orders", ", dependents: {core.items: unlink}") + &rule("notes", "");
    let core = small(core, "", &tables, &rules).await;
    asked(&core, "1");
    assert_eq!((ids(&core, "orders").await, ids(&core, "notes").await), (String::new(), String::new()));
}

/// Rows that somebody else moved, or took away, did not go for the request.
async fn only_what_a_batch_took_counts(core: Bench) {
    let tables = format!(
        "{TWO} create table orders (id {{int}} primary key, customer_id {{int}}, d {{date}},
             foreign key (customer_id) references customers (id));
         create table items (id {{int}} primary key, order_id {{int}}, d {{date}}, foreign key (order_id) references orders (id));
         insert into orders values (1, 1, '2026-06-01'), (2, 1, '2026-06-01'), (3, 1, '2026-06-01');
         insert into items values (1, 1, '2026-06-01'), (3, 3, '2026-06-01')"
    );
    let core = small(core, "", &tables, &rule("orders", ", dependents: {core.items: keep}")).await;
    asked(&core, "1");
    core.script("update orders set customer_id = 2 where id = 1; delete from items where id = 3; delete from orders where id = 3").await;
    core.sunset(&["run", "--now", core.now]).expect(0);
    let shown = core.sunset(&["request", "show", "1", "--now", core.now]).expect(0).out;
    assert!(shown.contains("rule orders: 1 rows done, 0 left"), "{shown}");
}

/// A rule that empties what rows are found by leaves those alone whose person has a request open, be it approved or not.
async fn what_links_stays_while_a_request_is_open(core: Bench) {
    let tables = format!(
        "{TWO} create table calls (id {{int}} primary key, caller {{text}}, d {{date}});
         insert into calls values (1, '090-1', '2015-01-01'), (2, '090-2', '2015-01-01')"
    );
    let empties = |more: &str| {
        format!(
            "- {{id: empties, table: core.calls, starting_point: d, retention_period: 5 years, disposition: anonymize,
   columns: {{caller: suppress}}{more}}}\n- {{id: calls, table: core.calls, starting_point: d, retention_period: 30 years,
   disposition: erase, on_request: now}}\n"
        )
    };
    let core = small(core, ", links: {core.calls: {caller: phone}}", &tables, &empties("")).await;
    let open = |kind: &str| opened(&core, kind, "1");
    let approve = |id: &str| core.sunset(&["request", "approve", id, "--by", "officer", "--now", core.now]).expect(0);
    let callers = async || core.list("select coalesce(caller, 'none') from calls order by id").await;
    let erasure = open("erasure");
    core.sunset(&["run", "--now", core.now]).expect(0);
    assert_eq!(callers().await, "090-1 none");
    core.rules(&empties(", on_request: {act: now, kinds: [cease]}"));
    approve(&open("cease"));
    core.sunset(&["run", "--now", core.now]);
    assert_eq!(callers().await, "090-1 none");
    approve(&erasure);
    core.sunset(&["run", "--now", core.now]);
    assert_eq!(ids(&core, "calls").await, "2");
}

/// MariaDB: a key to a column that several rows may have means all of them.
#[tokio::test]
async fn a_key_to_several_rows_is_of_nobody() {
    let tables = "alter table customers add column code varchar(50), add index (code);
        insert into customers values (1, '090-1', '2026-06-01', null, 'x'), (2, '090-2', '2026-06-01', null, 'x');
        create table orders (id int primary key, code varchar(50), d date, foreign key (code) references customers (code));
        insert into orders values (1, 'x', '2026-06-01')";
    let core = small(Bench::new(Engine::Mysql).await, "", tables, &rule("orders", "")).await;
    asked(&core, "1");
    assert_eq!(ids(&core, "orders").await, "1");
}

/// PostgreSQL: rows of an heir are rows of the table that is linked.
#[tokio::test]
async fn rows_of_an_heir_are_of_the_linked_table_too() {
    let tables = format!(
        "{TWO} create table messages (id int, sender text, d date); create table messages_old (customer_id int references customers (id),
             primary key (id)) inherits (messages);
         insert into messages_old values (1, '090-2', '2026-06-01', 1), (2, '090-1', '2026-06-01', 1)"
    );
    let rules = rule("messages_old", "");
    let links = ", links: {core.messages: {sender: phone}}";
    let core = small(Bench::new(Engine::Postgres).await, links, &tables, &rules).await;
    asked(&core, "1");
    assert_eq!(ids(&core, "messages_old").await, "1 2");
}

/// What a link names is a view: whose the rows of its tables are cannot be told.
async fn a_view_tells_of_nobody(core: Bench) {
    let links = format!(", links: {{core.calls: {{caller: phone}}}}{MEMBER}, links: {{core.seen: {{address: mail}}}}");
    let tables = format!(
        "{TWO} create table members (id {{int}} primary key, mail {{text}}); insert into members values (7, 'm');
         create table calls (id {{int}} primary key, caller {{text}}, address {{text}}, d {{date}});
         insert into calls values (1, '090-1', 'm', '2026-06-01'); create view seen as select * from calls"
    );
    let core = small(core, &links, &tables, &rule("calls", "")).await;
    let id = opened(&core, "erasure", "1");
    assert_ne!(core.sunset(&["request", "approve", &id, "--by", "officer", "--now", core.now]).code, 0);
    core.sunset(&["run", "--now", core.now]);
    assert_eq!(ids(&core, "calls").await, "1");
}

on_every_engine!(
    two_links_compare_one_column,
    what_is_not_theirs_is_somebody_elses,
    what_another_subject_means_has_to_be_there,
    a_link_to_a_home_table_takes_nobody,
    a_circle_leads_to_somebody_else,
    the_home_row_waits_for_rows_that_wait,
    what_is_below_an_unlinked_row_is_not_lost,
    only_what_a_batch_took_counts,
    what_links_stays_while_a_request_is_open,
    a_view_tells_of_nobody,
);
