//! Recipients in rules and settings: what is said about mistakes.

use std::fs;
use sunset::{
    diagnostic::{Severity, render_text},
    job,
};

const RULE: &str = "category: a\nrules:\n  - {id: a, table: core.t, starting_point: c, retention_period: 1 year, disposition: erase, \
                    recipients: RECIPIENTS}\n";

fn said(settings: &str, recipients: &str) -> String {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("rules")).unwrap();
    let settings = format!("name: demo\ntime_zone: UTC\ndatabases: {{core: \"sqlite:x\"}}\nrecipients: {settings}\n");
    fs::write(directory.path().join("sunset.yaml"), settings).unwrap();
    fs::write(directory.path().join("rules/a.yaml"), RULE.replace("RECIPIENTS", recipients)).unwrap();
    match job::load(directory.path(), Severity::Warning) {
        Ok(job) => render_text(&job.diagnostics, &job.sources, false),
        Err(job) => render_text(&job.diagnostics, &job.sources, false),
    }
}

#[test]
fn rules_are_checked_against_the_recipients_of_the_settings() {
    let settings = "{stripe: {api_key: \"${SUNSET_NOWHERE}\"}, recaptcha: {kind: none, reason: nobody}, unused: {kind: none, reason: x}, \
                    crm: {kind: http, url: \"https://crm.example.com\", delete: {method: DELETE, path: \"/p/{email}/{phone|digits}\"}}}";
    let recipients = "[{strip: {customer: c}}, {stripe: {custommer: c}}, {stripe: {require: E1}}, {recaptcha: {require: E2, email: e}}, {crm: \
                      {email: e, require: E1, deadline: 30 days}}, {crm: {email: e, phone: p, require: E3, deadline: 1 month}}]";
    insta::assert_snapshot!(said(settings, recipients));
}

#[test]
fn settings_of_recipients_are_checked_and_show_no_secret() {
    let settings = "{stripe: {api_key: sk_hunter2, mode: redact, timeout: 5}, strip: {api_key: \"${X}\"}, other: {kind: http2}, shop: {kind: \
                    stripe, api_key: \"${SUNSET_NOWHERE}\", url: \"http://stripe.example.com\", rate: 5/s}, none: {kind: stripe}, a: {kind: http, url: \
                    \"https://a.example.com\", delete: {method: DELETE, path: /all}}, b: {kind: http, delete: {method: DELETE, path: \"/{id}\"}}, c: \
                    {kind: http, url: \"https://c.example.com\", auth: {bearer: hunter2}, delete: {method: POST, path: \"/{id}\", json: {id: \"{Id}\"}}}, \
                    d: {kind: http, url: \"https://d.example.com\", delete: {method: POST, path: \"/{id}\", json: {id: \"{Id}\"}}}}";
    let said = said(settings, "[{none: {}}]");
    assert!(!said.contains("hunter2"), "{said}");
    insta::assert_snapshot!(said);
}
