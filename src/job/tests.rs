use super::*;
use crate::diagnostic::{render_json, render_sarif, render_text};

fn directory(files: &[(&str, &str)]) -> tempfile::TempDir {
    let directory = tempfile::Builder::new().prefix("job").tempdir().expect("a directory");
    for (path, text) in files {
        let path = directory.path().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(path, text).expect("a file");
    }
    directory
}

const RULE: &str = "category: a\nrules:\n  - id: r\n    table: core.t\n    starting_point: c\n    retention_period: 1 year\n    \
                    disposition: erase\n";

#[test]
fn reads_a_job() {
    let settings = "time_zone: UTC\ndatabases: {core: \"sqlite:${file:name}\"}\n";
    let hidden = ("rules/.a.yaml.swp", "}{");
    let directory = directory(&[
        ("sunset.yaml", settings),
        ("name", "core.db\r\n"),
        ("rules/a.yml", RULE),
        hidden,
        ("rules/README.md", "}"),
    ]);
    let job = load(directory.path(), Severity::Error).expect("a job");
    assert_eq!(job.diagnostics, []);
    assert_eq!(job.rules().map(|rule| rule.id.as_str()).collect::<Vec<_>>(), ["r"]);
    assert_eq!(job.rules().next().map(|rule| rule.category.as_str()), Some("a"));
}

#[test]
fn a_recipient_that_does_less_than_its_settings_say_is_told_of() {
    let http = |more: &str| {
        format!(
            "{{kind: http, url: \"https://crm.example.com\", delete: {{method: DELETE, path: \"/p/{{email}}\"{more}}}, grade: E1}}"
        )
    };
    let tested = http(", confirmed: {pointer: /deleted, is: [true]}");
    let settings = format!(
        "time_zone: UTC\ndatabases: {{core: \"sqlite:x\"}}\nrecipients:\n  crm: {}\n  tested: {tested}\n  meta: {{access_token: \
         \"${{file:token}}\", ad_account: act_1, api_version: v19.0}}\n",
        http("")
    );
    let directory = directory(&[("sunset.yaml", &settings), ("rules/a.yaml", RULE), ("token", "EAA")]);
    let job = load(directory.path(), Severity::Error).expect("a job");
    let remarks = job.remarks(jiff::civil::date(2026, 12, 1));
    let told: Vec<_> = remarks.iter().map(|remark| remark.message.as_str()).collect();
    assert_eq!(
        told,
        [
            "recipient `crm`: success counts as E2, for nothing of the reply is looked at: any server may answer 200",
            "recipient `meta`: `v19.0` of Meta's Graph API is older than `v26.0`, which Sunset was written against",
        ]
    );
    assert!(remarks.iter().all(|remark| remark.severity == Severity::Warning && remark.code == Code::RecipientRemark));
}

#[test]
fn tells_the_mistakes_of_all_files_at_once() {
    let settings = "time_zone: UTC\ndatabases: {core: \"sqlite:x\", spare: \"sqlite:y\"}\nparameter: {}\n";
    let broken = RULE.replace("core.t", "cor.t");
    let directory = directory(&[("sunset.yaml", settings), ("rules/a.yaml", RULE), ("rules/b.yaml", "a: [")]);
    let error = load(directory.path(), Severity::Error).expect_err("no job");
    assert_eq!(error.to_string(), "the job directory cannot be used: 2 errors");
    let settings = "time_zone: UTC\ndatabases: {core: \"sqlite:x\"}\nparameters: {law: true}\n";
    let condition =
        RULE.replace("    disposition", "    where: \"`a` = 1\"\n    disposition").replace("id: r", "id: s");
    for (path, text) in [("sunset.yaml", settings), ("rules/b.yaml", &broken), ("rules/c.yaml", &condition)] {
        fs::write(directory.path().join(path), text).expect("a file");
    }
    let job = load(directory.path(), Severity::Error).expect("a job");
    assert!(job.has_errors());
    assert_eq!(job.rules().map(|rule| rule.id.as_str()).collect::<Vec<_>>(), ["r", "s"]);
    insta::assert_snapshot!(render_text(&job.diagnostics, &job.sources, false));
}

#[test]
fn nothing_is_shown_of_a_file_that_is_none_of_ours() {
    let settings = "time_zone: UTC\ndatabases: {core: \"sqlite:x\"}\n";
    let key = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDcanary\n-----END PRIVATE KEY-----\n";
    let account = "{\"type\": \"service_account\", \"private_key\": \"canary\"}";
    let (netrc, secret) = ("machine example.com login a password canary\n", "user: canary\npassword: [canary\n");
    let outside = directory(&[("key.pem", RULE)]);
    for text in [key, account, netrc, secret, "canary: 1\n", "- canary\n", "\"canary"] {
        let here = directory(&[("sunset.yaml", settings), ("rules/a.yaml", text)]);
        let job = load(here.path(), Severity::Error).expect("a job");
        assert_eq!(job.diagnostics[0].code, Code::Foreign, "{text}");
        let rendered = [
            render_text(&job.diagnostics, &job.sources, false),
            render_json(&job.diagnostics, &job.sources),
            render_sarif(&job.diagnostics, &job.sources),
        ];
        assert!(rendered.iter().all(|shown| !shown.contains("canary")), "{text}");
        let there = directory(&[("sunset.yaml", text), ("rules/a.yaml", RULE)]);
        let unusable = load(there.path(), Severity::Error).expect_err("no job");
        assert!(!render_text(&unusable.diagnostics, &unusable.sources, false).contains("canary"), "{text}");
    }
    for text in ["category: [\n", "rules : {", "\u{feff}{\"category\": 1}", "# nothing\n---\n", "'rules': 1"] {
        let here = directory(&[("sunset.yaml", settings), ("rules/a.yaml", text)]);
        let job = load(here.path(), Severity::Error).expect("a job");
        assert!(job.diagnostics.iter().all(|diagnostic| diagnostic.code != Code::Foreign), "{text}");
    }
    // What a link reaches outside the directory is not even looked at.
    let here = directory(&[("sunset.yaml", settings), ("rules/b.yaml", RULE)]);
    std::os::unix::fs::symlink(outside.path().join("key.pem"), here.path().join("rules/a.yaml")).expect("a link");
    let job = load(here.path(), Severity::Error).expect("a job");
    let text = render_text(&job.diagnostics, &job.sources, false);
    assert!(text.contains("rules/a.yaml is not read: it is a link to something outside the job directory"), "{text}");
    assert_eq!(job.rules().count(), 1);
}

#[test]
fn a_file_that_is_too_long_is_refused_at_once() {
    let long = format!("{RULE}#{}\n", "x".repeat(10 << 20));
    let here = directory(&[("sunset.yaml", "time_zone: UTC\n"), ("rules/a.yaml", &long)]);
    let unusable = load(here.path(), Severity::Error).expect_err("no job");
    let text = render_text(&unusable.diagnostics, &unusable.sources, false);
    assert!(text.contains("rules/a.yaml cannot be read: it is longer than 4194304 bytes"), "{text}");
}

#[test]
fn tells_what_is_not_there() {
    let empty = directory(&[]);
    let error = load(empty.path(), Severity::Error).expect_err("no job");
    let codes: Vec<_> = error.diagnostics.iter().map(|diagnostic| diagnostic.code).collect();
    assert_eq!(codes, [Code::Unreadable, Code::Unreadable]);
    let empty =
        directory(&[("sunset.yaml", "time_zone: UTC\ndatabases: {core: \"sqlite:x\"}\n"), ("rules/README.md", "")]);
    let job = load(empty.path(), Severity::Error).expect("a job");
    assert_eq!(job.diagnostics[0].message, "there is no rule file in rules/");
}
