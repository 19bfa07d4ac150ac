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

on_every_engine!(
    a_home_row_that_is_gone_or_has_another_key_refuses_all,
    a_subject_that_is_gone_or_reaches_less_refuses_all,
    a_linked_value_that_changed_refuses_all,
    a_value_that_changes_during_a_run_stops_it,
    no_value_links_nothing,
);
