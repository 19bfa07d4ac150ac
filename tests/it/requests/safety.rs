//! What a request never takes: rows of somebody else, rows that a rule keeps, and the home row before the others.

use super::{RULES, approve, carries_out, company, open};
use crate::{
    subjects::{Company, SUBJECTS},
    support::bench::{Bench, on_every_engine},
};
use sunset::catalog::Engine;

fn ask(company: &Company, who: &[&str]) -> String {
    let id = open(company, "erasure", who);
    approve(company, &id);
    id
}

/// One table of customers, with whatever else a test needs.
pub async fn small(mut core: Bench, subject: &str, tables: &str, rules: &str) -> Bench {
    carries_out(&mut core);
    core.settings(&format!("time_zone: Asia/Tokyo\nsubjects:\n  customer: {{home: core.customers, identifiers: {{phone: {{column: phone, as: text}}}}{subject}}}\n"));
    core.script("create table customers (id {int} primary key, phone {text}, left_on {date}, referred_by {int}, foreign key (referred_by) references customers (id))").await;
    core.script(tables).await;
    core.rules(rules);
    core
}

/// Opens a request of that kind of the customer with the key, and gives its number.
pub fn opened(core: &Bench, kind: &str, key: &str) -> String {
    let request = ["request", "open", "--kind", kind, "--subject", "customer", "--received", "2026-11-20"];
    let identified = ["--reference", "R", "--identified-by", "desk", "--identified-how", "called back"];
    let who = ["--now", core.now, "--key", key];
    core.sunset(&[&request[..], &identified, &who].concat()).expect(0).out.trim().to_owned()
}

pub fn asked(core: &Bench, key: &str) {
    let id = opened(core, "erasure", key);
    core.sunset(&["request", "approve", &id, "--by", "officer", "--now", core.now]).expect(0);
    core.sunset(&["run", "--now", core.now]);
}

const CUSTOMERS: &str = "insert into customers values (1, '090-1', '2026-01-01', null), (2, '090-2', '2026-01-01', 1), (3, '090-1', '2026-01-01', 1)";

/// A friend who was referred, and what is theirs, is nobody's to have erased; neither is what two people share.
async fn rows_of_somebody_else_stay(core: Bench) {
    let core = small(
        core,
        "",
        &format!(
            "{CUSTOMERS};
             create table messages (id {{int}} primary key, sender {{int}}, receiver {{int}}, answers {{int}}, sent_on {{date}},
               foreign key (sender) references customers (id), foreign key (receiver) references customers (id),
               foreign key (answers) references messages (id));
             create table attachments (id {{int}} primary key, message_id {{int}}, added_on {{date}},
               foreign key (message_id) references messages (id));
             insert into messages values (1, 1, 1, null, '2026-01-01'), (2, 1, 2, null, '2026-01-01'), (3, 2, 2, 1, '2026-01-01'),
               (4, 1, null, 3, '2026-01-01'), (5, 2, null, null, '2026-01-01'), (6, null, null, null, '2026-01-01');
             insert into attachments values (1, 1, '2026-01-01'), (2, 2, '2026-01-01'), (4, 4, '2026-01-01'), (5, 5, '2026-01-01')"
        ),
        "
- {id: customers, table: core.customers, starting_point: left_on, retention_period: 5 years, disposition: erase, on_request: now,
   dependents: {core.customers: unlink, core.messages: keep}}
- {id: messages, table: core.messages, starting_point: sent_on, retention_period: 5 years, disposition: erase, on_request: now,
   dependents: {core.messages: unlink, core.attachments: keep}}
- {id: attachments, table: core.attachments, starting_point: added_on, retention_period: 5 years, disposition: erase, on_request: now}
",
    )
    .await;
    asked(&core, "1");
    assert_eq!(core.list("select id from attachments order by id").await, "2 5");
    assert_eq!(core.list("select id from messages order by id").await, "2 3 5 6");
    assert_eq!(core.list("select id from customers order by id").await, "1 2 3", "message 2 still needs them");
}

/// A phone that two customers have tells of neither.
async fn values_that_two_people_share_link_nothing(core: Bench) {
    let core = small(
        core,
        ", links: {core.calls: {caller: phone}}",
        &format!(
            "{CUSTOMERS}; create table calls (id {{int}} primary key, caller {{text}}, called_on {{date}});
             insert into calls values (1, '090-1', '2026-01-01'), (2, '090-2', '2026-01-01'), (3, null, '2026-01-01'), (4, '', '2026-01-01')"
        ),
        "
- {id: calls, table: core.calls, starting_point: called_on, retention_period: 5 years, disposition: erase, on_request: now}
",
    )
    .await;
    asked(&core, "1");
    assert_eq!(core.list("select id from calls order by id").await, "1 2 3 4");
    let plan = core.sunset(&["request", "plan", "1", "--now", core.now]).expect(0).out;
    assert!(plan.contains("finds stay: somebody else has such a value too"), "{plan}");
    asked(&core, "2");
    assert_eq!(core.list("select id from calls order by id").await, "1 3 4");
}

/// Another rule of the table, a condition, and a dependent's own rule keep what they keep.
async fn what_other_rules_keep_stays(core: Bench) {
    let core = small(
        core,
        "",
        &format!(
            "{CUSTOMERS};
             create table orders (id {{int}} primary key, customer_id {{int}}, state {{text}}, paid {{int}}, note {{text}}, ordered_on {{date}},
               foreign key (customer_id) references customers (id));
             create table invoices (id {{int}} primary key, order_id {{int}}, issued_on {{date}}, foreign key (order_id) references orders (id));
             insert into orders values (1, 1, 'done', 1, 'n', '2026-01-01'), (2, 1, 'done', 0, 'n', '2026-01-01'),
               (3, 1, 'open', 1, 'n', '2026-01-01'), (4, 1, 'done', 1, 'n', '2026-01-01'), (5, 2, 'done', 1, 'n', '2026-01-01'),
               (6, 1, 'done', 1, 'n', '2001-01-01');
             insert into invoices values (4, 4, '2026-01-01')"
        ),
        "
- {id: orders, table: core.orders, starting_point: ordered_on, retention_period: 30 years, disposition: erase,
   where: {state: done}, on_request: {act: now, where: {paid: 1}}, dependents: {core.invoices: keep}}
",
    )
    .await;
    // the words of a rule that takes invoices along, whose own rule keeps them
    let orders = |dependents: &str| {
        format!(
            "
- {{id: orders, table: core.orders, starting_point: ordered_on, retention_period: 30 years, disposition: erase,
   where: {{state: done}}, on_request: {{act: now, where: {{paid: 1}}}}, dependents: {{core.invoices: {dependents}}}}}
- {{id: invoices, table: core.invoices, starting_point: {{latest: core.orders.ordered_on, through: order_id}}, retention_period: 30 years,
   disposition: erase}}
"
        )
    };
    core.rules(&orders("keep"));
    asked(&core, "1");
    assert_eq!(core.list("select id from orders order by id").await, "2 3 4 5", "unpaid, open, invoiced, another's");
    assert_eq!(core.list("select id from invoices").await, "4");
    // a rule that empties a column on its day keeps the row that long
    core.rules(&format!(
        "{}- {{id: notes, table: core.orders, starting_point: ordered_on, retention_period: 3 years, disposition: anonymize, columns: {{note: suppress}},
   dependents: {{core.invoices: keep}}}}\n",
        orders("keep")
    ));
    core.script("insert into orders values (7, 1, 'done', 1, 'n', '2026-01-01'), (8, 1, 'done', 1, 'n', '2020-01-01')")
        .await;
    // the night that empties the note of the old row takes the row as well
    core.sunset(&["run", "--now", core.now]);
    assert_eq!(core.list("select id from orders order by id").await, "2 3 4 5 7");
}

/// Links are values of the home row: it goes when nothing is left that they lead to, also if its day has come.
async fn the_home_row_goes_last(core: Bench) {
    let company = company(core).await;
    ask(&company, &["--key", "2"]);
    company.core.script("update customers set left_on = '2001-01-01' where id = 2").await;
    let nowhere = match company.helpdesk.engine {
        Engine::Postgres => "postgres://nobody@127.0.0.1:1/none",
        Engine::Mysql => "mysql://nobody@127.0.0.1:1/none",
        Engine::Sqlite => "sqlite:/nowhere/none.db",
    };
    let run = ["run", "--now", company.core.now];
    company.core.sunset_with(&run, &[("HELPDESK_URL", nowhere)]);
    assert_eq!(
        company.left().await,
        "customers 1 2 3 | contracts 10 11 20 30 | plans 1 | marketing_profiles 1 3 4 5 | profile_events 10 40 \
         | tickets 1 2 3 4 5 6 | messages 10 20 30 50"
    );
    // one rule alone takes no home row either
    company.core.sunset(&[&run[..], &["--rule", "customers"]].concat()).expect(0);
    assert_eq!(company.core.list("select id from customers order by id").await, "1 2 3");
    company.run(&[]).expect(0);
    assert_eq!(
        company.left().await,
        "customers 1 3 | contracts 10 11 30 | plans 1 | marketing_profiles 1 3 4 5 | profile_events 10 40 | tickets 1 3 4 5 6 \
         | messages 10 30 50"
    );
}

/// Wherever a run is cut off, the next one takes what is left, and nothing else.
async fn a_run_that_is_cut_off_is_taken_up(core: Bench) {
    let company = company(core).await;
    ask(&company, &["--key", "2"]);
    let run = ["run", "--now", company.core.now];
    for number in 1..=6 {
        for moment in ["after_intent", "after_commit"] {
            let point = format!("{moment}:{number}");
            company.core.sunset_with(&run, &[("SUNSET_FAILPOINT", point.as_str())]);
            let left = company.left().await;
            let is_there = left.contains("customers 1 2 3");
            assert!(is_there || !left.contains("tickets 1 2 3"), "{point}: {left}");
        }
    }
    company.run(&[]).expect(0);
    assert_eq!(
        company.left().await,
        "customers 1 3 | contracts 10 11 30 | plans 1 | marketing_profiles 1 3 4 5 | profile_events 10 40 | tickets 1 3 4 5 6 \
         | messages 10 30 50"
    );
    let evidence = company.core.evidence();
    assert!(evidence.is_settled());
    assert_eq!(evidence.committed_rows(), 4);
    let listed = company.core.sunset(&["request", "list", "--now", company.core.now]).expect(0).out;
    assert!(listed.contains("carried out"), "{listed}");
    let shown = company.core.sunset(&["request", "list", "--format", "json", "--now", company.core.now]).expect(0).out;
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    let served = ["customers", "profiles", "events", "tickets"].map(|rule| shown[0]["served"][rule]["rows"].as_u64());
    assert_eq!(served, [Some(1); 4], "{shown:#}");
}

/// Somebody who asks that their data not be used is served by the rules that say so.
async fn an_end_of_use_is_served_by_its_rules(core: Bench) {
    let company = company(core).await;
    let rules = RULES.replace("on_request: {act: now}", "on_request: {act: now, kinds: [cease, erasure]}");
    company.core.rules(&rules);
    company.settings(SUBJECTS);
    let id = open(&company, "cease", &["--key", "2"]);
    approve(&company, &id);
    company.run(&[]).expect(0);
    let left = company.left().await;
    assert_eq!(left, super::NOT_DUE.replace("profile_events 10 20 40", "profile_events 10 40"));
}

on_every_engine!(
    rows_of_somebody_else_stay,
    values_that_two_people_share_link_nothing,
    what_other_rules_keep_stays,
    the_home_row_goes_last,
    a_run_that_is_cut_off_is_taken_up,
    an_end_of_use_is_served_by_its_rules,
);
