//! Tables that are reached under several names, or have other names than when the hold was added.

use super::HOLD;
use crate::{
    server::{Scratch, Server},
    support::bench::{Bench, on_every_engine},
};
use std::{fs, sync::Arc, time::Duration};
use sunset::catalog::Engine;
use url::Url;

/// `sunset.yaml` with a second database.
fn settings(bench: &Bench, other: &str, more: &str) {
    bench.settings(&format!("time_zone: Asia/Tokyo\n{more}"));
    let path = bench.path("sunset.yaml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("databases: {core", &format!("databases: {{web: \"${{{other}}}\", core"))).unwrap();
}

fn rule(table: &str) -> String {
    let id = table.replace('.', "-");
    format!("- {{id: {id}, table: {table}, starting_point: day, retention_period: 1 year, disposition: erase}}\n")
}

fn hold(bench: &Bench) -> String {
    bench.sunset(&[&HOLD[..], &["--key", "1"]].concat()).expect(0).err
}

const ON_A_ROW: [&str; 14] = [
    "hold",
    "add",
    "--table",
    "core.customers",
    "--key",
    "1",
    "--matter",
    "m",
    "--reason",
    "r",
    "--owner",
    "o",
    "--review",
    "2027-01-01",
];

/// Holds on persons and on rows, seen from rules that call the database otherwise.
async fn a_database_under_two_names_is_one(bench: Bench) {
    bench
        .script(
            "create table customers (id {int} primary key, email {text});
             create table profiles (id {int} primary key, customer {int}, day {date},
               foreign key (customer) references customers (id));
             create table tickets (id {int} primary key, mail {text}, day {date});
             insert into customers values (1, 'taro@example.com'), (2, 'hanako@example.com');
             insert into profiles values (1, 1, '2001-01-01'), (2, 2, '2001-01-01');
             insert into tickets values (1, 'taro@example.com', '2001-01-01'), (2, 'hanako@example.com', '2001-01-01')",
        )
        .await;
    let links = "links: {core.tickets: {mail: {column: email, as: email}}}";
    settings(&bench, "BENCH_URL", &format!("subjects: {{customer: {{home: core.customers, {links}}}}}"));
    bench.rules(&(rule("web.profiles") + &rule("web.tickets")));
    hold(&bench);
    bench.sunset(&["run", "--now", bench.now]).expect(0);
    assert_eq!(bench.list("select id from profiles").await, "1");
    assert_eq!(bench.list("select id from tickets").await, "1");

    bench.sunset(&["hold", "release", "1", "--reason", "r", "--owner", "o"]).expect(0);
    bench.sunset(&ON_A_ROW).expect(0);
    bench.sunset(&["run", "--now", bench.now]).expect(0);
    assert_eq!(bench.list("select id from profiles").await, "1");
    assert_eq!(bench.list("select id from tickets").await, "");
}

/// MariaDB's schemas are databases of one server: keys and rules lead from one to another.
#[tokio::test]
async fn schemas_of_one_server_are_seen_from_each_other() {
    let mut core = Bench::at(Server::Mariadb).await;
    let web = Bench::on(Arc::new(Scratch::at(Server::Mariadb).await), "web");
    core.variables.push(("WEB_URL", web.database.url.clone()));
    core.script(
        "create table customers (id {int} primary key, email {text}, day {date});
         insert into customers values (1, 'taro@example.com', '2001-01-01'), (2, 'hanako@example.com', '2001-01-01')",
    )
    .await;
    let name = &core.database.name;
    web.script(&format!(
        "create table contracts (id {{int}} primary key, customer {{int}}, day {{date}},
           foreign key (customer) references {name}.customers (id));
         create table tickets (id {{int}} primary key, mail {{text}}, customer {{int}}, day {{date}},
           foreign key (customer) references {name}.customers (id));
         insert into contracts values (1, 1, '2001-01-01');
         insert into tickets values (1, 'taro@example.com', 2, '2001-01-01')"
    ))
    .await;
    let links = "links: {web.tickets: {mail: {column: email, as: email}}}";
    settings(&core, "WEB_URL", &format!("subjects: {{customer: {{home: core.customers, {links}}}}}"));
    let along = format!("dependents: {{core.{0}.tickets: erase, core.{0}.contracts: erase}}}}", web.database.name);
    core.rules(&(rule("web.contracts") + &rule("core.customers").replace("erase}", &format!("erase, {along}"))));
    hold(&core);
    core.sunset(&["run", "--now", core.now]).expect(0);
    assert_eq!(web.list("select id from contracts").await, "1");
    assert_eq!(web.list("select id from tickets").await, "1");
    // the ticket's customer stays with it
    assert_eq!(core.list("select id from customers order by id").await, "1 2");
    // this rule alone, without any database of the hold's own name
    core.sunset(&["run", "--now", core.now, "--rule", "web-contracts"]).expect(0);
    assert_eq!(web.list("select id from contracts").await, "1");
    // dropped first, since keys lead out of it
    web.script("drop table contracts; drop table tickets").await;
}

/// Rotation: the old table has another name, and a new one has its own.
async fn a_linked_table_is_found_under_its_new_name(bench: Bench) {
    bench
        .script(
            "create table customers (id {int} primary key, email {text});
             create table tickets (id {int} primary key, mail {text}, day {date});
             insert into customers values (1, 'taro@example.com');
             insert into tickets values (1, 'taro@example.com', '2001-01-01'), (2, 'hanako@example.com', '2001-01-01')",
        )
        .await;
    let links = "links: {core.tickets: {mail: {column: email, as: email}}}";
    bench.settings(&format!("time_zone: Asia/Tokyo\nsubjects: {{customer: {{home: core.customers, {links}}}}}"));
    bench.rules(&rule("core.tickets"));
    hold(&bench);
    // MariaDB tells tables by the second in which they were made
    tokio::time::sleep(Duration::from_millis(1100)).await;
    bench
        .script(
            "alter table tickets rename to tickets_2025;
             create table tickets (id {int} primary key, mail {text}, day {date});
             insert into tickets values (3, 'hanako@example.com', '2001-01-01')",
        )
        .await;
    bench.rules(&(rule("core.tickets") + &rule("core.tickets_2025")));
    let plan = bench.sunset(&["plan", "--now", bench.now]);
    let call = bench.sunset(&["run", "--now", bench.now]);
    let said = [plan.out, plan.err, call.out, call.err].concat();
    match bench.engine {
        Engine::Postgres => {
            assert_eq!(call.code, 0, "{said}");
            assert!(said.contains("the hold is applied to both"), "{said}");
            assert_eq!(bench.list("select id from tickets_2025").await, "1");
            assert_eq!(bench.list("select id from tickets").await, "");
        }
        _ => {
            assert_eq!(call.code, 3, "{said}");
            assert!(said.contains("may be another table than the one that was linked"), "{said}");
            assert_eq!(bench.list("select id from tickets_2025 order by id").await, "1 2");
            assert_eq!(bench.list("select id from tickets").await, "3");
        }
    }
}

#[tokio::test]
async fn a_linked_column_or_partition_that_leaves_keeps_its_rows() {
    let bench = Bench::new(Engine::Postgres).await;
    bench
        .script(
            "create table customers (id int primary key, email text); insert into customers values (1, 'taro@example.com');
             create table tickets (id int primary key, mail text, day date);
             insert into tickets values (1, 'taro@example.com', '2001-01-01');
             create table calls (id int, mail text, day date, primary key (id, day)) partition by range (day);
             create table calls_2001 partition of calls for values from ('2001-01-01') to ('2002-01-01');
             insert into calls values (1, 'taro@example.com', '2001-02-01')",
        )
        .await;
    let link = "{mail: {column: email, as: email}}";
    bench.settings(&format!(
        "time_zone: Asia/Tokyo\nsubjects: {{customer: {{home: core.customers, links: {{core.tickets: {link}, core.calls: {link}}}}}}}"
    ));
    bench.rules(&(rule("core.tickets") + &rule("core.calls")));
    hold(&bench);
    bench.script("alter table tickets rename mail to old_mail; alter table tickets add mail text").await;
    bench.sunset(&["run", "--now", bench.now]).expect(0);
    assert_eq!(bench.list("select id from tickets").await, "1");

    bench.script("alter table calls detach partition calls_2001").await;
    bench.rules(&(rule("core.tickets") + &rule("core.calls") + &rule("core.calls_2001")));
    let call = bench.sunset(&["run", "--now", bench.now]).expect(3);
    assert!(format!("{}{}", call.out, call.err).contains("rows were taken out of it"), "{call:?}");
    assert_eq!(bench.list("select id from calls_2001").await, "1");
}

/// A row over which others belong to the person is out of the user's sight.
#[tokio::test]
async fn row_security_between_refuses_the_rule() {
    let bench = Bench::new(Engine::Postgres).await;
    let user = format!("{}_user", bench.database.name);
    bench
        .script(&format!(
            "create table customers (id int primary key); insert into customers values (1);
             create table contracts (id int primary key, customer int references customers, tenant int);
             insert into contracts values (1, 1, 7);
             create table lines (id int primary key, contract int references contracts, day date);
             insert into lines values (1, 1, '2001-01-01');
             create role {user} login password 'x'; grant all on all tables in schema public to {user};
             grant all on schema public to {user};
             alter table contracts enable row level security; create policy p on contracts using (tenant = 8)"
        ))
        .await;
    bench.settings("time_zone: Asia/Tokyo\nsubjects: {customer: {home: core.customers}}");
    bench.rules(&rule("core.lines"));
    let mut url = Url::parse(&bench.database.url).unwrap();
    url.set_username(&user).unwrap();
    url.set_password(Some("x")).unwrap();
    let as_user = |arguments: &[&str]| bench.sunset_with(arguments, &[("BENCH_URL", url.as_str())]);
    as_user(&["validate"]).expect(0);
    hold(&bench);
    for command in [&["validate"][..], &["run", "--now", bench.now]] {
        let call = as_user(command);
        let said = format!("{}{}", call.out, call.err);
        assert!(said.contains("row security hides rows of `public.contracts`"), "{said}");
    }
    assert_eq!(bench.list("select id from lines").await, "1");
    bench.script(&format!("drop owned by {user}; drop role {user}")).await;
}

/// No rule reads the table whose rows a trigger takes.
async fn a_trigger_takes_no_held_row(bench: Bench) {
    bench
        .script(
            "create table customers (id {int} primary key, email {text});
             create table tickets (id {int} primary key, mail {text});
             create table sessions (id {int} primary key, mail {text}, day {date});
             insert into customers values (1, 'taro@example.com');
             insert into tickets values (1, 'taro@example.com'), (2, 'hanako@example.com');
             insert into sessions values (1, 'taro@example.com', '2001-01-01')",
        )
        .await;
    let delete = "delete from tickets where mail = old.mail";
    bench
        .script_for(
            &format!(
                "create function f() returns trigger language plpgsql as 'begin {delete}; return null; end';
                 create trigger t after delete on sessions for each row execute function f()"
            ),
            &format!("create trigger t after delete on sessions for each row {delete}"),
            &format!("create trigger t after delete on sessions for each row begin {delete}; end"),
        )
        .await;
    let links = "links: {core.tickets: {mail: {column: email, as: email}}}";
    bench.settings(&format!("time_zone: Asia/Tokyo\nsubjects: {{customer: {{home: core.customers, {links}}}}}"));
    bench.rules(&rule("core.sessions"));
    hold(&bench);
    let call = bench.sunset(&["run", "--now", bench.now]).expect(4);
    let said = format!("{}{}", call.out, call.err);
    assert!(said.contains("that are under a hold (1 in the first batch)"), "{said}");
    assert_eq!(bench.list("select id from tickets order by id").await, "1 2");
    // without the hold it is the trigger's business
    bench.sunset(&["hold", "release", "1", "--reason", "r", "--owner", "o"]).expect(0);
    bench.sunset(&["run", "--now", bench.now]).expect(0);
    assert_eq!(bench.list("select id from tickets order by id").await, "2");
}

on_every_engine!(
    a_trigger_takes_no_held_row,
    a_database_under_two_names_is_one,
    a_linked_table_is_found_under_its_new_name
);
