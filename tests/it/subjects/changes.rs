//! What may change under a hold on a person: nothing goes, and somebody is told what to do.

use super::{Company, SUBJECTS, TAROS};
use crate::support::{
    bench::{Bench, on_every_engine},
    stopped::changed_at,
};

/// The run is refused, in all databases, and nothing of it goes.
async fn refused(company: &Company, why: &str) {
    let before = company.left().await;
    for arguments in [&[][..], &["--rule", "profiles"], &["--rule", "tickets"]] {
        let call = company.run(arguments).expect(3);
        let said = format!("{}{}", call.out, call.err);
        assert!(said.contains(why), "{why}: {said}");
        assert!(said.contains("hold move 1 --subject customer"), "{said}");
        assert!(!said.to_lowercase().contains("taro"), "{said}");
    }
    assert_eq!(company.left().await, before);
}

async fn a_home_row_that_is_gone_or_has_another_key_refuses_all(core: Bench) {
    let company = Company::of(core).await;
    company.fill().await;
    company.hold(&["--key", "2"]);
    company
        .core
        .script(
            "update contracts set customer_id = null where customer_id = 2; update customers set id = 9 where id = 2",
        )
        .await;
    refused(&company, "customers has no row with its key any more").await;
    let moved = ["hold", "move", "1", "--subject", "customer", "--key", "9", "--owner", "legal@example.com"];
    company.core.sunset(&moved).expect(0);
    company.run(&[]).expect(0);
    let left = company.left().await;
    assert!(left.contains("customers 1 9 ") && left.contains("tickets 2 | messages 20"), "{left}");
}

async fn a_subject_that_is_gone_or_reaches_less_refuses_all(core: Bench) {
    let company = Company::of(core).await;
    company.fill().await;
    company.hold(&["--key", "1"]);
    company.settings("");
    refused(&company, "its subject `customer` is not in sunset.yaml").await;
    company.settings(&SUBJECTS.replace("      web.marketing_profiles: {member_hash: member_hash}\n", ""));
    refused(&company, "`links` of `customer` does not have web.marketing_profiles").await;
    company.settings(&SUBJECTS.replace("{column: email, as: email}}", "phone}"));
    refused(&company, "`links` of `customer` does not have helpdesk.tickets").await;
    company.settings(&SUBJECTS.replace("home: core.customers", "home: core.contracts"));
    refused(&company, "hold 1 (2026-wa-7) on a person (customer)").await;
    company.settings(SUBJECTS);
    company.run(&[]).expect(0);
    assert_eq!(company.left().await, TAROS);
}

/// Rows with the old address would go without anybody having said so.
async fn a_linked_value_that_changed_refuses_all(core: Bench) {
    let company = Company::of(core).await;
    company.fill().await;
    company.hold(&["--key", "1"]);
    // another spelling of the same is no change
    company.core.script("update customers set email = ' taro.YAMADA@example.com' where id = 1").await;
    company.core.sunset(&["plan", "--now", company.core.now]).expect(0);
    company.core.script("update customers set email = 'new@example.com' where id = 1").await;
    refused(&company, "what links helpdesk.tickets (requester_email = email (email)) has changed").await;
    company.helpdesk.script("insert into tickets values (7, 'New@example.com', '2001-01-01')").await;
    let moved = ["hold", "move", "1", "--subject", "customer", "--owner", "legal@example.com"];
    company.core.sunset(&moved).expect(0);
    company.run(&[]).expect(0);
    let left = company.left().await;
    assert!(left.ends_with("tickets 7 | messages"), "{left}");
}

/// The batch that was in hand when the value changed is undone, and nothing follows it.
async fn a_value_that_changes_during_a_run_stops_it(core: Bench) {
    let company = Company::of(core).await;
    company.fill().await;
    company.hold(&["--key", "1"]);
    let run = ["run", "--now", company.core.now, "--rule", "tickets"];
    let call = changed_at(
        &company.core,
        "before_intent",
        &run,
        "update customers set email = 'hanako@example.com' where id = 1",
    )
    .await;
    assert_ne!(call.code, 0, "{call:?}");
    let said = format!("{}{}", call.out, call.err);
    assert!(said.contains("what links the rows of a person under a hold was changed meanwhile"), "{said}");
    let left = company.left().await;
    assert!(left.ends_with("tickets 1 2 3 4 5 6 | messages 10 20 30 50"), "{left}");
    assert!(company.core.evidence().is_settled());
}

/// A person without a value is linked to no row without one.
async fn no_value_links_nothing(core: Bench) {
    let company = Company::of(core).await;
    company.fill().await;
    company.hold(&["--key", "3"]);
    company.run(&[]).expect(0);
    let left = company.left().await;
    assert!(left.contains("contracts 30 ") || left.contains("contracts 10 11 30 "), "{left}");
    assert!(left.ends_with("marketing_profiles | profile_events | tickets | messages"), "{left}");
    // the value comes later: then somebody looks at it
    company.core.script("update customers set email = 'late@example.com' where id = 3").await;
    refused(&company, "has changed").await;
}

/// What the subject says of the person is what it said when the hold was added.
async fn a_subject_that_says_something_else_refuses_all(core: Bench) {
    let company = Company::of(core).await;
    company.fill().await;
    company.core.script("alter table contracts add column phone {text}").await;
    let phones =
        SUBJECTS.replace("    not_theirs", "      core.contracts: {phone: {column: phone, as: phone}}\n    not_theirs");
    company.settings(&phones);
    company.hold(&["--key", "1"]);
    company.settings(&phones.replace("\"81\"", "\"1\""));
    refused(&company, "`country_calling_code` of `customer` is another one").await;
    // nobody would notice that the value of a new link changes
    let added = phones.replace("    not_theirs", "      core.plans: {id: customer_no}\n    not_theirs");
    company.settings(&added);
    refused(&company, "`links` of `customer` has core.plans with id = customer_no (text) now").await;
    let moved = ["hold", "move", "1", "--subject", "customer", "--owner", "legal@example.com"];
    company.core.sunset(&moved).expect(0);
    company.run(&[]).expect(0);
    assert_eq!(company.left().await, TAROS);
}

/// Nought is a value, and none is none.
async fn nought_that_becomes_no_value_refuses_all(core: Bench) {
    let company = Company::of(core).await;
    company.fill().await;
    company.core.script("alter table customers add column no {int}; alter table contracts add column no {int}").await;
    company.core.script("update customers set no = 0 where id = 1").await;
    let link = "      core.contracts: {no: {column: no, as: number}}\n    not_theirs";
    company.settings(&SUBJECTS.replace("    not_theirs", link));
    company.hold(&["--key", "1"]);
    company.core.sunset(&["plan", "--now", company.core.now]).expect(0);
    company.core.script("update customers set no = null where id = 1").await;
    refused(&company, "what links core.contracts (no = no (number)) has changed").await;
}

/// Rows that were the person's when the hold was added stay theirs for it.
async fn what_is_not_theirs_later_stays_until_the_hold_is_moved(core: Bench) {
    let company = Company::of(core).await;
    company.fill().await;
    company.hold(&["--key", "1"]);
    company.settings(&SUBJECTS.replace("[core.plans]", "[core.plans, web.profile_events]"));
    let call = company.core.sunset(&["plan", "--now", company.core.now]).expect(0);
    let said = format!("{}{}", call.out, call.err);
    company.run(&[]).expect(0);
    assert!(
        said.contains("web.profile_events came into `not_theirs` of `customer` after the hold was added"),
        "{said}"
    );
    assert_eq!(company.left().await, TAROS);
    let moved = ["hold", "move", "1", "--subject", "customer", "--owner", "legal@example.com"];
    company.core.sunset(&moved).expect(0);
    company.run(&[]).expect(0);
    assert_eq!(company.left().await, TAROS.replace("profile_events 10 40", "profile_events"));
}

/// A key names somebody in one table alone.
async fn a_hold_on_something_else_tells_nobody_who_is_meant(core: Bench) {
    let company = Company::of(core).await;
    company.fill().await;
    let on_a_contract =
        ["hold", "add", "--table", "core.contracts", "--key", "10", "--matter", "m", "--reason", "r", "--owner", "o"];
    company.core.sunset(&[&on_a_contract[..], &["--review", "2027-01-01"]].concat()).expect(0);
    company.core.script("insert into customers (id) values (10)").await;
    let moved = ["hold", "move", "1", "--subject", "customer", "--owner", "legal@example.com"];
    let call = company.core.sunset(&moved).expect(2);
    assert!(call.err.contains("name the person with --key, --find or --find-file"), "{call:?}");
    company.core.sunset(&[&moved[..], &["--key", "1"]].concat()).expect(0);
    // the same person of the same table
    let other = format!("{SUBJECTS}  member: {{home: core.plans}}\n");
    company.settings(&other);
    let as_member = ["hold", "move", "2", "--subject", "member", "--owner", "legal@example.com"];
    assert!(company.core.sunset(&as_member).expect(2).err.contains("name the person"), "a plan is not a customer");
    company.core.sunset(&["hold", "move", "2", "--subject", "customer", "--owner", "o"]).expect(0);
}

/// The reason of rows that stay is the hold, and no limit that nobody has set.
async fn rows_held_back_by_a_lost_hold_are_counted_as_such(core: Bench) {
    let company = Company::of(core).await;
    company.fill().await;
    company.hold(&["--key", "3"]);
    company.core.script("delete from contracts where id = 30; delete from customers where id = 3").await;
    company.run(&["--rule", "tickets"]).expect(3);
    let ledger = company.core.sunset(&["ledger", "export"]).expect(0).out;
    assert!(ledger.contains("\"held_back_by_lost_hold\":6") && !ledger.contains("over_limits"), "{ledger}");
}

on_every_engine!(
    a_subject_that_says_something_else_refuses_all,
    nought_that_becomes_no_value_refuses_all,
    what_is_not_theirs_later_stays_until_the_hold_is_moved,
    a_hold_on_something_else_tells_nobody_who_is_meant,
    rows_held_back_by_a_lost_hold_are_counted_as_such,
    a_home_row_that_is_gone_or_has_another_key_refuses_all,
    a_subject_that_is_gone_or_reaches_less_refuses_all,
    a_linked_value_that_changed_refuses_all,
    a_value_that_changes_during_a_run_stops_it,
    no_value_links_nothing,
);
