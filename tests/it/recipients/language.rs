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
fn those_who_stay_are_named_in_the_settings() {
    let yahoo = |name: &str, more: &str| {
        format!(
            "\n  {name}:\n    kind: yahoo_japan_ads\n    client_id: x\n    client_secret: \"${{HOME}}\"\n    refresh_token: \
             \"${{HOME}}\"\n    account: 1\n    {more}"
        )
    };
    let rebuild =
        |name: &str, members: &str| yahoo(name, &format!("mode: rebuild\n    list: Members\n    members: {members}"));
    let broken = [
        yahoo("without", "mode: rebuild\n    list: Members"),
        yahoo("useless", "mode: expiry\n    period: 90 days\n    members: {table: core.t, columns: {email: e}}"),
        rebuild("no-rows", "{table: core.t, columns: {aaid: a}}"),
        rebuild("no-columns", "{table: core.t, where: {a: 1}}"),
        rebuild("two-statements", "{table: core.t, columns: {email: e}, where: a = 1; drop table t}"),
        rebuild("stranger", "{table: core.t, columns: {email: e}, where: other.a = 1}"),
        rebuild("variable", "{table: core.t, columns: {email: e}, where: \"a = '${HOME}'\"}"),
    ];
    insta::assert_snapshot!(said(&broken.concat(), "[{useless: {email: e}}]"));
    let misfits = [
        rebuild("unknown", "{table: cor.t, columns: {email: e, emial: m}}"),
        rebuild("other-engine", "{table: core.t, columns: {email: e}, where: \"a ilike 'b'\"}"),
        rebuild("fewer", "{table: core.t, columns: {email: e}}"),
    ];
    let recipients = "[{fewer: {email: e, phone: p}}, {unknown: {email: e}}, {other-engine: {email: e}}]";
    insta::assert_snapshot!(said(&misfits.concat(), recipients));
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
