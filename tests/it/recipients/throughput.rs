//! How fast: measured and printed, not asserted, for machines differ.

use super::{plumbing, secret_settings, subject};
use std::time::Instant;
use sunset::{
    recipients::{self, State},
    sandbox::Sandbox,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn single_calls_a_second() {
    let sandbox = Sandbox::start(0, false).await.unwrap();
    let yaml = format!(
        "{{kind: http, url: \"{}\", auth: {{bearer: \"${{X}}\"}}, delete: {{method: DELETE, path: \"/v1/people/{{email}}\"}}}}",
        sandbox.url("crm")
    );
    let crm = recipients::open(&secret_settings(&yaml, "crm_1"), &plumbing()).unwrap();
    let people: Vec<_> = (0..2000).map(|n| subject(&[("email", &format!("{n}@example.com"))])).collect();
    let begin = Instant::now();
    let answers = crm.delete(&people).await;
    let took = begin.elapsed();
    assert!(answers.iter().all(|answer| answer.state == State::Confirmed));
    println!("{:.0} calls a second", 2000.0 / took.as_secs_f64());
}
