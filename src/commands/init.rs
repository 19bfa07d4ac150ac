//! `sunset init`: drafts a job from a live database. Reads the schema, never a row.

use super::{Stop, console::Console};
use crate::{
    cli::{Global, InitArgs},
    diagnostic::{Severity, Sources},
    draft::{self, Draft},
    file,
    job::{RULES_DIRECTORY, SETTINGS_FILE},
    language::format,
    outcome::Outcome,
    output::Format,
    plan,
    settings::{self, Variable},
};
use anyhow::Context as _;
use std::{io::Write as _, path::Path};

pub async fn run(global: &Global, args: &InitArgs, console: &mut Console) -> anyhow::Result<Outcome> {
    if let Err(fault) = (format::NAME.check)(&args.name) {
        return Err(Stop::invalid(format!("--name: {}; take small letters and digits, such as core", fault.problem)));
    }
    let directory = std::path::absolute(&global.jobs)?;
    refuse_existing(&directory, [SETTINGS_FILE.to_owned()])?;
    let catalog = catalog(&directory, args, console).await?;
    let draft = draft::draft(&catalog, &args.name);
    let rule_file = |name: &str| format!("{RULES_DIRECTORY}/{name}.yaml");
    let mut files = vec![(SETTINGS_FILE.to_owned(), settings_text(&directory, &args.name, &draft))];
    files.extend(draft.files.iter().map(|file| (rule_file(&file.name), file.text.clone())));
    refuse_existing(&directory, files.iter().map(|(file, _)| file.clone()))?;
    for (file, text) in &files {
        write(&directory.join(file), text)?;
    }

    let written: Vec<_> = files.iter().map(|(file, _)| global.jobs.join(file).display().to_string()).collect();
    match global.format {
        Format::Json => {
            let rules: Vec<_> = draft
                .files
                .iter()
                .map(|file| serde_json::json!({"file": rule_file(&file.name), "table": file.table}))
                .collect();
            let left_out: Vec<_> =
                draft.left_out.iter().map(|(table, why)| serde_json::json!({"table": table, "why": why})).collect();
            let value = serde_json::json!({
                "files": written, "rules": rules, "left_out": left_out, "others": draft.others,
            });
            console.print(&(serde_json::to_string_pretty(&value)? + "\n"))?;
        }
        Format::Text | Format::Markdown | Format::Sarif => console.print(&(written.join("\n") + "\n"))?,
    }
    console.note(&summary(global, args, &draft));
    Ok(Outcome::Done)
}

/// What is there was written by somebody and stays.
fn refuse_existing(directory: &Path, files: impl IntoIterator<Item = String>) -> anyhow::Result<()> {
    match files.into_iter().find(|file| directory.join(file).exists()) {
        Some(file) => Err(Stop::refused(format!(
            "{} is there already, and init overwrites nothing: name a new directory with --jobs",
            directory.join(file).display()
        ))),
        None => Ok(()),
    }
}

/// The schema behind `--url`, reached as the drafted settings would reach it.
async fn catalog(directory: &Path, args: &InitArgs, console: &mut Console) -> anyhow::Result<crate::catalog::Catalog> {
    let url = absolute(&args.url)?;
    let source = format!("name: init\ntime_zone: UTC\ndatabases: {{{}: \"${{URL}}\"}}\n", args.name);
    let lookup = |_: &Variable| Some(url.clone());
    let mut found = Vec::new();
    let settings = settings::parse(directory, "--url", &source, &lookup, Severity::Error, &mut found);
    let database = settings.as_ref().and_then(|settings| settings.databases.get(&args.name));
    let (Some(settings), Some(database)) = (&settings, database) else {
        let sources = Sources::from([("--url".to_owned(), source)]);
        console.diagnostics(&found, &sources)?;
        return Err(Stop::invalid("the URL cannot be used"));
    };
    let open = plan::open_database(database, &settings.pace).await?;
    let plan::OpenDatabase { connection, catalog, .. } = open;
    connection.close().await;
    Ok(catalog)
}

/// A relative SQLite path starts where the command is typed, and not at the job directory.
fn absolute(url: &str) -> anyhow::Result<String> {
    match url.strip_prefix("sqlite:") {
        Some(path) if !path.starts_with("//") && !path.is_empty() && !path.starts_with(':') => {
            Ok(format!("sqlite:{}", std::path::absolute(path)?.display()))
        }
        _ => Ok(url.to_owned()),
    }
}

fn settings_text(directory: &Path, database: &str, draft: &Draft) -> String {
    let name =
        directory.file_name().and_then(|name| name.to_str()).filter(|name| (format::JOB_NAME.check)(name).is_ok());
    let zone = jiff::tz::TimeZone::system();
    draft::settings(name.unwrap_or(database), zone.iana_name().unwrap_or("UTC"), database, draft)
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let describe = || format!("{} cannot be written", path.display());
    if let Some(parent) = path.parent() {
        file::create_directory(parent).with_context(describe)?;
    }
    let mut file = file::create_new(path).with_context(describe)?;
    file.write_all(text.as_bytes()).with_context(describe)
}

fn summary(global: &Global, args: &InitArgs, draft: &Draft) -> String {
    let (rules, left_out, others) = (draft.files.len(), draft.left_out.len(), draft.others.len());
    let jobs = global.jobs.display();
    let variable = draft::variable(&args.name);
    format!(
        "looked at {} tables: {rules} look personal and have a rule file, {left_out} others need a look (sunset.yaml \
         says why), {others} seem to tell of nobody\n\
         next:\n\
         1. read each rule file, fill in starting_point and retention_period, delete the file if it is not needed\n\
         2. export {variable}='…' with the URL that you gave here\n\
         3. sunset --jobs {jobs} validate, then plan\n\
         4. sunset --jobs {jobs} keys new --out {jobs}/keys, before the first run\n\
         column names are all that was looked at: tables whose names say nothing may hold personal data too",
        rules + left_out + others,
    )
}
