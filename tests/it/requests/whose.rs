//! Whose a row is, when somebody asks: only rows of which it is certain go, whoever else has a part in them.

use super::safety::{asked, opened, small};
use crate::support::{
    bench::{Bench, on_every_engine},
    stopped::changed_at,
};
use std::fs;
use sunset::catalog::Engine;

const DUE_IN_YEARS: &str = "starting_point: d, retention_period: 5 years, disposition: erase, on_request: now";

/// Customers 1 and 2, and calls that are linked by what they are called from.
async fn calls(core: Bench, of_customers: [&str; 2], caller: &str, calls: &str) -> Bench {
    let [one, two] = of_customers;
    small(
        core,
        ", links: {core.calls: {caller: phone}}",
        &format!(
            "insert into customers values (1, '{one}', '2026-01-01', null), (2, '{two}', '2026-01-01', null);
             create table calls (id {{int}} primary key, caller {caller}, d {{date}}); insert into calls values {calls}"
        ),
        &format!("- {{id: calls, table: core.calls, {DUE_IN_YEARS}}}\n"),
    )
    .await
}

fn open(core: &Bench, key: &str) -> String {
    opened(core, "erasure", key)
}

fn approve(core: &Bench, id: &str) {
    core.sunset(&["request", "approve", id, "--by", "officer", "--now", core.now]).expect(0);
}

/// What the linked column takes for equal, and the home column does not.
async fn a_link_that_sees_two_values_as_one_links_nobody(core: Bench) {
    let caller = match core.engine {
        Engine::Postgres => {
            core.script("create collation small (provider = icu, locale = 'und-u-ks-level2', deterministic = false)")
                .await;
            "text collate small"
        }
        Engine::Mysql => "varchar(50) collate utf8mb4_general_ci",
        Engine::Sqlite => "text collate nocase",
    };
    let core = calls(core, ["aBcD", "AbCd"], caller, "(1, 'aBcD', '2026-01-01'), (2, 'AbCd', '2026-01-01')").await;
    core.script_for("", "alter table customers modify phone varchar(50) collate utf8mb4_bin", "").await;
    asked(&core, "1");
    assert_eq!(core.list("select id from calls order by id").await, "1 2");
}

#[tokio::test]
async fn a_uuid_that_two_persons_write_is_of_neither() {
    let core = Bench::new(Engine::Postgres).await;
    let persons = ["550e8400-e29b-41d4-a716-446655440000", "550E8400E29B41D4A716446655440000"];
    let core = calls(core, persons, "uuid", "(1, '550e8400-e29b-41d4-a716-446655440000', '2026-01-01')").await;
    asked(&core, "1");
    assert_eq!(core.list("select id from calls order by id").await, "1");
}

/// What rules write into columns that link is anybody's.
async fn what_a_rule_has_written_links_nobody(core: Bench) {
    let core = calls(core, ["gone", "090-2"], "{text}", "(1, 'gone', '2026-01-01'), (2, '090-2', '2026-01-01')").await;
    let rules = |masks: &str| {
        format!(
            "- {{id: calls, table: core.calls, {DUE_IN_YEARS}}}
- {{id: masks, {masks}, retention_period: 10 years, disposition: anonymize, on_request: now}}\n"
        )
    };
    for masks in [
        "table: core.calls, starting_point: d, columns: {caller: {replace: Gone}}",
        "table: core.customers, starting_point: left_on, columns: {phone: {replace: gone}},
   dependents: {core.customers: keep}",
    ] {
        core.rules(&rules(masks));
        let id = open(&core, "1");
        let plan = core.sunset(&["request", "plan", &id, "--now", core.now]).expect(0).out;
        assert!(plan.contains("a rule writes such values into"), "{masks}: {plan}");
        core.sunset(&["request", "close", &id, "--outcome", "withdrawn", "--by", "desk", "--reason", "r"]).expect(0);
    }
    core.rules(&rules("table: core.calls, starting_point: d, columns: {caller: {replace: other}}"));
    asked(&core, "1");
    assert_eq!(core.list("select id from calls order by id").await, "2");
}

/// Somebody comes to share a value after the plan was made, or the person's value is another one.
async fn what_changes_after_the_plan_is_seen(core: Bench) {
    let core =
        calls(core, ["090-1", "090-2"], "{text}", "(1, '090-1', '2026-01-01'), (2, '090-2', '2026-01-01')").await;
    let id = open(&core, "1");
    approve(&core, &id);
    let change = "insert into customers values (3, '0901', '2026-01-01', null), (4, '090-1', '2026-01-01', null);
                  insert into calls values (4, '090-1', '2026-01-01')";
    let run = ["run", "--now", core.now];
    let stopped = changed_at(&core, "before_lease", &run, change).await;
    assert_eq!(stopped.code, 75, "{}", stopped.err);
    assert_eq!(core.list("select id from calls order by id").await, "1 2 4");
    core.sunset(&run);
    assert_eq!(core.list("select id from calls order by id").await, "1 2 4");
    // the home row waits: whoever approved it did not know
    let due = DUE_IN_YEARS.replace(": d,", ": left_on,");
    let home = format!("- {{id: customers, table: core.customers, {due}, dependents: {{core.customers: unlink}}}}\n");
    core.rules(&format!("- {{id: calls, table: core.calls, {DUE_IN_YEARS}}}\n{home}"));
    let waits = core.sunset(&run);
    assert!(waits.out.contains("waits until somebody approves the request with that"), "{}", waits.out);
    assert_eq!(core.list("select id from customers order by id").await, "1 2 3 4");
    approve(&core, &id);
    core.sunset(&run).expect(0);
    assert_eq!(core.list("select id from customers order by id").await, "2 3 4");
}

/// A request that is withdrawn while its step is at work takes no further batch.
async fn a_request_that_is_withdrawn_is_served_no_further(core: Bench) {
    let core = calls(core, ["090-1", "090-2"], "{text}", "(0, '090-2', '2026-01-01')").await;
    let rows: Vec<_> = (1..=60).map(|id| format!("({id}, '090-1', '2026-01-01')")).collect();
    core.script(&format!("insert into calls values {}", rows.join(", "))).await;
    let id = open(&core, "1");
    approve(&core, &id);
    let text = fs::read_to_string(core.path("sunset.yaml")).unwrap();
    fs::write(core.path("sunset.yaml"), format!("{text}\npace: {{batch_rows: 10}}\n")).unwrap();
    let file = core.path("stopped");
    let stop = format!("after_commit:{}", file.display());
    let run = core.command(&["run", "--now", core.now]).env("SUNSET_STOP", stop).spawn().unwrap();
    crate::support::stopped::until(async || file.exists()).await;
    core.sunset(&["request", "close", &id, "--outcome", "withdrawn", "--by", "desk", "--reason", "r"]).expect(0);
    fs::remove_file(&file).unwrap();
    let run = tokio::task::spawn_blocking(move || crate::support::bench::Call::of(run)).await.unwrap();
    assert_eq!(run.code, 75, "{}{}", run.out, run.err);
    let left = core.count("select count(*) from calls").await;
    assert!(left > 30, "{left} calls are left");
}

/// Whatever other rules are about the same rows, by any name, stands against it.
async fn rules_of_the_same_rows_under_other_names_are_honoured(core: Bench) {
    let core = calls(core, ["090-1", "090-2"], "{text}", "(1, '090-1', '2026-01-01')").await;
    let path = core.path("sunset.yaml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("databases: {core", "databases: {again: \"${BENCH_URL}\", core")).unwrap();
    core.rules(&format!(
        "- {{id: calls, table: core.calls, {DUE_IN_YEARS}}}
- {{id: books, table: again.calls, starting_point: d, retention_period: 10 years, disposition: erase}}\n"
    ));
    let id = open(&core, "1");
    let plan = core.sunset(&["request", "plan", &id, "--now", core.now]);
    if plan.code == 0 {
        assert!(
            plan.out.contains("rule calls is not carried out: rule books is about rows of the same table"),
            "{}",
            plan.out
        );
    }
    core.sunset(&["request", "approve", &id, "--by", "officer", "--now", core.now]);
    core.sunset(&["run", "--now", core.now]);
    assert_eq!(core.list("select id from calls order by id").await, "1");
}

#[tokio::test]
async fn rules_of_parts_and_heirs_are_honoured() {
    for (tables, kept) in [
        (
            "create table calls (id int, caller text, d date, primary key (id, d)) partition by range (d);
             create table calls_2026 partition of calls for values from ('2026-01-01') to ('2027-01-01')",
            "core.calls_2026",
        ),
        (
            "create table calls (id int primary key, caller text, d date);
             create table calls_2026 (primary key (id)) inherits (calls)",
            "core.calls_2026",
        ),
    ] {
        let core = small(
            Bench::new(Engine::Postgres).await,
            ", links: {core.calls: {caller: phone}}",
            &format!(
                "insert into customers values (1, '090-1', '2026-01-01', null), (2, '090-2', '2026-01-01', null); {tables};
                 insert into calls_2026 values (1, '090-1', '2026-01-01'), (2, '090-2', '2026-01-01')"
            ),
            "",
        )
        .await;
        let covers = if tables.contains("inherits") { ", covers: tree" } else { "" };
        core.rules(&format!(
            "- {{id: calls, table: core.calls, {DUE_IN_YEARS}{covers}}}
- {{id: books, table: {kept}, starting_point: d, retention_period: 10 years, disposition: erase}}\n"
        ));
        let id = open(&core, "1");
        core.sunset(&["request", "approve", &id, "--by", "officer", "--now", core.now]);
        core.sunset(&["run", "--now", core.now]);
        assert_eq!(core.list("select id from calls order by id").await, "1 2", "{tables}");
    }
}

/// What goes along has to be theirs, and a dependent with a rule of its own waits for that, however it is spelled.
async fn what_goes_along_is_theirs_alone(core: Bench) {
    let schema = match core.engine {
        Engine::Postgres => "public".to_owned(),
        Engine::Mysql => core.database.url.rsplit('/').next().unwrap().split('?').next().unwrap().to_owned(),
        Engine::Sqlite => "main".to_owned(),
    };
    let core = small(
        core,
        "",
        "insert into customers values (1, '090-1', '2026-01-01', null), (2, '090-2', '2026-01-01', null);
         create table orders (id {int} primary key, customer_id {int}, d {date}, foreign key (customer_id) references customers (id));
         create table items (id {int} primary key, order_id {int}, seller_id {int}, d {date},
           foreign key (order_id) references orders (id), foreign key (seller_id) references customers (id));
         insert into orders values (1, 1, '2026-01-01'), (2, 1, '2026-01-01'), (3, 2, '2026-01-01');
         insert into items values (1, 1, null, '2026-01-01'), (2, 2, 2, '2026-01-01'), (3, 3, null, '2026-01-01')",
        "",
    )
    .await;
    let orders = format!("- {{id: orders, table: core.orders, {DUE_IN_YEARS}, dependents: {{core.items: erase}}}}\n");
    core.rules(&format!(
        "{orders}- {{id: items, table: core.{schema}.items, starting_point: d, retention_period: 10 years, disposition: erase}}\n"
    ));
    let id = open(&core, "1");
    let approved = core.sunset(&["request", "approve", &id, "--by", "officer", "--now", core.now]);
    core.sunset(&["run", "--now", core.now]);
    assert_eq!(core.list("select id from orders order by id").await, "1 2 3");
    core.rules(&orders);
    if approved.code != 0 {
        approve(&core, &id);
    }
    core.sunset(&["run", "--now", core.now]);
    assert_eq!(core.list("select id from orders order by id").await, "2 3", "item 2 is of another customer as well");
    assert_eq!(core.list("select id from items order by id").await, "2 3");
}

/// The home row of an open request stays whatever takes it: also as a dependent, before anybody approved it, and where nobody can
/// tell who asks.
async fn the_home_row_of_an_open_request_stays(core: Bench) {
    let core = small(
        core,
        "",
        "create table households (id {int} primary key, d {date});
         alter table customers add column household {int} references households (id);
         insert into households values (1, '2001-01-01'), (2, '2001-01-01'), (3, '2001-01-01');
         insert into customers values (1, '090-1', '2001-01-01', null, 1), (2, '090-2', '2001-01-01', null, 2),
           (3, '090-3', '2026-01-01', null, 3)",
        "",
    )
    .await;
    core.script_for("", "alter table customers add foreign key (household) references households (id)", "").await;
    core.rules(
        "- {id: households, table: core.households, starting_point: d, retention_period: 5 years, disposition: erase,
   dependents: {core.customers: [{by: household, erase: true}, {by: referred_by, unlink: true}]}}\n",
    );
    let id = open(&core, "1");
    let run = core.sunset(&["run", "--now", core.now]);
    assert!(run.out.contains("request 1"), "{}", run.out);
    assert_eq!(core.list("select id from customers order by id").await, "1");
    let why = core.sunset(&["why", "core.households", "1", "--now", core.now]).out;
    assert!(why.contains("request 1"), "{why}");
    // another key opens nothing, and nobody can tell whose row it is
    let made = core.sunset(&["keys", "new", "--out", core.path("fresh").to_str().unwrap()]).expect(0).out;
    let line = |text: &str| {
        text.lines().find(|line| line.trim_start().contains("${file:") && line.contains("/tag-")).unwrap().to_owned()
    };
    let path = core.path("sunset.yaml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace(&line(&text), &line(&made))).unwrap();
    let refused = core.sunset(&["run", "--now", core.now]);
    assert_eq!(refused.code, 3, "{}{}", refused.out, refused.err);
    assert!(refused.out.contains("none of `keys.tag` opens it"), "{}", refused.out);
    fs::write(&path, &text).unwrap();
    core.sunset(&["request", "close", &id, "--outcome", "withdrawn", "--by", "desk", "--reason", "r"]).expect(0);
    core.sunset(&["run", "--now", core.now]).expect(0);
    assert_eq!(core.list("select id from customers order by id").await, "");
}

/// Persons of any subject count as somebody else, by key and by link, whether anybody asked for them or not.
async fn a_row_of_another_subject_too_is_nobodys(core: Bench) {
    let core = small(
        core,
        ", links: {core.orders: {buyer: phone}}}\n  clerk: {home: core.staff, identifiers: {number: {column: number, as: text}}, links: {core.orders: {clerk: number}}",
        "insert into customers values (1, '090-1', '2026-01-01', null), (2, '090-2', '2026-01-01', null);
         create table staff (id {int} primary key, number {text}); insert into staff values (7, 'S7'), (8, 'S8');
         create table orders (id {int} primary key, customer_id {int}, staff_id {int}, buyer {text}, clerk {text}, d {date},
           foreign key (customer_id) references customers (id), foreign key (staff_id) references staff (id));
         insert into orders values (1, 1, 7, null, null, '2026-01-01'), (2, 1, null, null, 'S7', '2026-01-01'),
           (3, 1, null, '090-2', '', '2026-01-01'), (4, 1, null, ' ', ' ', '2026-01-01'), (5, null, null, '090-1', null, '2026-01-01'),
           (6, 2, null, '090-1', null, '2026-01-01')",
        &format!("- {{id: orders, table: core.orders, {DUE_IN_YEARS}}}\n"),
    )
    .await;
    asked(&core, "1");
    assert_eq!(core.list("select id from orders order by id").await, "1 2 3 6");
}

/// What a row references may be somebody else's, also where nothing of the person's could be there, or where keys form a circle.
async fn a_row_in_somebody_elses_account_stays(core: Bench) {
    let core = small(
        core,
        ", links: {core.accounts: {fax: phone}, core.tickets: {caller: phone}}",
        "insert into customers values (1, '090-1', '2026-01-01', null), (2, '090-2', '2026-01-01', null);
         create table accounts (id {int} primary key, fax {text}, owner {int}, last_ticket {int},
           foreign key (owner) references customers (id));
         create table tickets (id {int} primary key, caller {text}, account_id {int}, d {date},
           foreign key (account_id) references accounts (id));
         insert into accounts values (1, '090-2', null, null), (2, null, null, null), (3, null, 2, null), (4, null, 1, null);
         insert into tickets values (1, '090-1', 1, '2026-01-01'), (2, '090-1', 2, '2026-01-01'), (3, '090-1', 3, '2026-01-01'),
           (4, '090-1', 4, '2026-01-01'), (5, '090-1', null, '2026-01-01'), (6, '090-2', null, '2026-01-01')",
        &format!("- {{id: tickets, table: core.tickets, {DUE_IN_YEARS}}}\n"),
    )
    .await;
    if core.engine != Engine::Sqlite {
        core.script("alter table accounts add foreign key (last_ticket) references tickets (id)").await;
        core.rules(&format!(
            "- {{id: tickets, table: core.tickets, {DUE_IN_YEARS}, dependents: {{core.accounts: unlink}}}}\n"
        ));
    }
    asked(&core, "1");
    let left = core.list("select id from tickets order by id").await;
    // on a circle nothing comes to be theirs over the key, and this one is theirs by the link alone
    assert_eq!(left, "1 2 3 6");
}

/// Rules that empty what rows are found by wait for those that erase the rows, on request and on their day; a dependent that would
/// be unlinked goes first by its own rule.
async fn what_rows_are_found_by_is_changed_last(core: Bench) {
    stripped(core, ", on_request: now", "2").await;
}

/// The same on its day: what is not due for it stays for it.
async fn what_rows_are_found_by_is_changed_on_its_day(core: Bench) {
    stripped(core, "", "2 3").await;
}

async fn stripped(core: Bench, on_request: &str, calls: &str) {
    let core = small(
        core,
        ", links: {core.calls: {caller: phone}}",
        "insert into customers values (1, '090-1', '2026-01-01', null), (2, '090-2', '2026-01-01', null);
         create table calls (id {int} primary key, caller {text}, d {date});
         create table notes (id {int} primary key, call_id {int}, d {date}, foreign key (call_id) references calls (id));
         insert into calls values (1, '090-1', '2024-01-01'), (2, '090-2', '2024-01-01'), (3, '090-1', '2026-01-01');
         insert into notes values (1, 1, '2026-01-01'), (2, 2, '2026-01-01')",
        "",
    )
    .await;
    core.rules(&format!(
        "- {{id: strip, table: core.calls, starting_point: d, retention_period: 1 year, disposition: anonymize,
   columns: {{caller: suppress}}, dependents: {{core.notes: keep}}{on_request}}}
- {{id: calls, table: core.calls, {DUE_IN_YEARS}, dependents: {{core.notes: unlink}}}}
- {{id: notes, table: core.notes, {DUE_IN_YEARS}}}
- {{id: customers, table: core.customers, {}, dependents: {{core.customers: unlink}}}}\n",
        DUE_IN_YEARS.replace(": d,", ": left_on,")
    ));
    asked(&core, "1");
    assert_eq!(core.list("select id from calls order by id").await, calls);
    assert_eq!(core.list("select id from notes order by id").await, "2");
    assert_eq!(core.list("select id from customers order by id").await, "2");
}

/// Another request of the same person takes nothing that the first one needs.
async fn an_end_of_use_leaves_what_an_erasure_needs(core: Bench) {
    let core = calls(core, ["090-1", "090-2"], "{text}", "(1, '090-1', '2026-01-01')").await;
    core.rules(&format!(
        "- {{id: calls, table: core.calls, {DUE_IN_YEARS}}}
- {{id: stop, table: core.customers, starting_point: left_on, retention_period: 9 years, disposition: anonymize,
   columns: {{phone: suppress}}, dependents: {{core.customers: keep}}, on_request: {{act: now, kinds: [cease]}}}}\n"
    ));
    let erasure = open(&core, "1");
    let cease =
        ["request", "open", "--kind", "cease", "--subject", "customer", "--received", "2026-11-20", "--reference", "C"];
    let identified = ["--identified-by", "desk", "--identified-how", "called back", "--now", core.now, "--key", "1"];
    let cease = core.sunset(&[&cease[..], &identified].concat()).expect(0).out.trim().to_owned();
    approve(&core, &cease);
    core.sunset(&["run", "--now", core.now]);
    assert_eq!(core.list("select phone from customers order by id").await, "090-1 090-2");
    approve(&core, &erasure);
    core.sunset(&["run", "--now", core.now]);
    assert_eq!(core.count("select count(*) from calls").await, 0);
    core.sunset(&["request", "close", &erasure, "--outcome", "done", "--by", "desk", "--reason", "r"]).expect(0);
    core.sunset(&["run", "--now", core.now]);
    assert_eq!(core.list("select coalesce(phone, 'none') from customers order by id").await, "none 090-2");
}

/// Links and rules may call the database otherwise.
async fn another_name_of_the_database_is_the_same_database(core: Bench) {
    let core =
        calls(core, ["090-1", "090-2"], "{text}", "(1, '090-1', '2026-01-01'), (2, '090-2', '2026-01-01')").await;
    let path = core.path("sunset.yaml");
    let text = fs::read_to_string(&path).unwrap();
    let text = text
        .replace("databases: {core", "databases: {again: \"${BENCH_URL}\", core")
        .replace("{core.calls:", "{again.calls:");
    fs::write(&path, text).unwrap();
    core.rules(&format!(
        "- {{id: calls, table: core.calls, {DUE_IN_YEARS}}}
- {{id: customers, table: core.customers, {}, dependents: {{core.customers: unlink}}}}\n",
        DUE_IN_YEARS.replace(": d,", ": left_on,")
    ));
    asked(&core, "1");
    assert_eq!(core.list("select id from calls order by id").await, "2");
    assert_eq!(core.list("select id from customers order by id").await, "2");
}

/// A plan that was reviewed is executed with the requests that it knew, and a rehearsal shows their steps.
async fn plans_and_rehearsals_have_requests(core: Bench) {
    let core =
        calls(core, ["090-1", "090-2"], "{text}", "(1, '090-1', '2026-01-01'), (2, '090-2', '2001-01-01')").await;
    core.rules(&format!(
        "- {{id: calls, table: core.calls, {DUE_IN_YEARS}}}
- {{id: customers, table: core.customers, {}, dependents: {{core.customers: unlink}}}}\n",
        DUE_IN_YEARS.replace(": d,", ": left_on,")
    ));
    let (early, late) = (core.path("early.json"), core.path("late.json"));
    let plan = |out: &std::path::Path| core.sunset(&["plan", "--out", out.to_str().unwrap(), "--now", core.now]);
    let id = open(&core, "1");
    plan(&early).expect(0);
    approve(&core, &id);
    plan(&late).expect(0);
    let rehearsal = core.sunset(&["run", "--rehearsal", "--now", core.now]);
    for rule in ["calls@request", "customers@request"] {
        assert!(rehearsal.out.contains(rule), "{}{}", rehearsal.out, rehearsal.err);
    }
    assert_eq!(core.list("select id from customers order by id").await, "1 2");
    core.sunset(&["run", "--plan", early.to_str().unwrap()]).expect(0);
    assert_eq!(core.list("select id from calls order by id").await, "1", "it knew of no request");
    assert_eq!(core.list("select id from customers order by id").await, "1 2");
    plan(&late).expect(0);
    core.sunset(&["run", "--plan", late.to_str().unwrap()]).expect(0);
    assert_eq!(core.list("select id from calls order by id").await, "");
    assert_eq!(core.list("select id from customers order by id").await, "2");
}

on_every_engine!(
    a_link_that_sees_two_values_as_one_links_nobody,
    what_a_rule_has_written_links_nobody,
    what_changes_after_the_plan_is_seen,
    a_request_that_is_withdrawn_is_served_no_further,
    rules_of_the_same_rows_under_other_names_are_honoured,
    what_goes_along_is_theirs_alone,
    the_home_row_of_an_open_request_stays,
    a_row_of_another_subject_too_is_nobodys,
    a_row_in_somebody_elses_account_stays,
    what_rows_are_found_by_is_changed_last,
    what_rows_are_found_by_is_changed_on_its_day,
    an_end_of_use_leaves_what_an_erasure_needs,
    another_name_of_the_database_is_the_same_database,
    plans_and_rehearsals_have_requests,
);
