//! Stripe against `localstripe`, which nobody here wrote (PyPI; a tool under GPL-3.0, started as a program).
//!
//! It has no list of one customer's payment methods, so these are not detached here. It is installed into a directory of its own, and where that is impossible the test is skipped, aloud.

use super::{delete_one, open, subject};
use crate::support::python;
use std::process::Command;
use sunset::recipients::{Checked, State};

#[tokio::test]
async fn customers_are_deleted_at_a_server_that_nobody_here_wrote() {
    let Some(programs) = python::install("localstripe", &["localstripe==1.15.10"]) else { return };
    let port = python::free_port();
    let mut command = Command::new(programs.join("localstripe"));
    command.args(["--port", &port.to_string(), "--from-scratch"]).current_dir(&programs);
    let _server = python::start(&mut command, port).await;
    let url = format!("http://127.0.0.1:{port}");
    // makes the provider of TLS known, which the test's own client needs too
    let stripe = open(&format!("{{kind: stripe, api_key: \"${{X}}\", url: \"{url}\", cancel_subscriptions: true}}"));
    let http = reqwest::Client::new();
    let post = async |path: &str, form: &[(&str, &str)]| {
        let call = http.post(format!("{url}{path}")).bearer_auth("sk_test_1").form(form);
        call.send().await.unwrap().json::<serde_json::Value>().await.unwrap()
    };
    assert_eq!(stripe.check().await, Ok(Checked::Proven));
    let customer = post("/v1/customers", &[("email", "taro@example.com")]).await["id"].as_str().unwrap().to_owned();
    let plan =
        [("amount", "100"), ("currency", "jpy"), ("interval", "month"), ("id", "monthly"), ("product[name]", "x")];
    post("/v1/plans", &plan).await;
    let items = [("customer", customer.as_str()), ("items[0][plan]", "monthly"), ("trial_period_days", "30")];
    let subscription = post("/v1/subscriptions", &items).await["id"].as_str().unwrap().to_owned();

    let answer = delete_one(&*stripe, subject(&[("customer", &customer)])).await;
    assert_eq!(answer.state, State::Confirmed, "{answer:?}");
    let answer = delete_one(&*stripe, subject(&[("customer", &customer)])).await;
    // Its errors have no code, which Stripe's have: nobody says that the customer is gone.
    assert!(matches!(answer.state, State::Refused { .. }), "{answer:?}");
    let look = async |path: String| {
        let call = http.get(format!("{url}{path}")).bearer_auth("sk_test_1");
        let reply = call.send().await.unwrap();
        (reply.status().as_u16(), reply.json::<serde_json::Value>().await.unwrap())
    };
    assert_eq!(look(format!("/v1/customers/{customer}")).await.0, 404);
    assert_eq!(look(format!("/v1/subscriptions/{subscription}")).await.1["status"], "canceled");
}
