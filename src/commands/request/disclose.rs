//! `sunset request disclose`: all that is held about a person, as files for them.
//!
//! Rows that are about somebody else as well are left out and counted. Nothing of the data reaches the store or the ledger: they
//! have numbers of rows and a digest.

use super::{ledger, request};
use crate::{
    cli::{Global, LetterLanguage, RequestDiscloseArgs},
    clock,
    commands::{Stop, console::Console, job as loading},
    database::{KeyColumn, Row, statements},
    evidence::keys::Keys,
    file,
    job::Job,
    ledger::{Disclosed as Noted, person_of},
    outcome::Outcome,
    output,
    plan::{self, DisclosedTable, OpenDatabase},
    rules::{RequestKind, Rule},
    run::planned_request,
};
use anyhow::Context as _;
use askama::Template;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use std::{collections::BTreeMap, fs::File, io::Write as _, path::Path};

/// Rows of a table that stand on the page; the other files have all of them.
const ROWS_ON_THE_PAGE: usize = 1000;

pub(super) async fn run(
    global: &Global,
    job: &Job,
    args: &RequestDiscloseArgs,
    console: &mut Console,
) -> anyhow::Result<Outcome> {
    let now = loading::now(global, job)?;
    let request = request(job, args.id).await?;
    if request.kind != RequestKind::Disclosure {
        let kind = request.kind.word();
        return Err(Stop::invalid(format!("request {} is about {kind}, and not about disclosure", request.id)));
    }
    if request.approval.is_none() {
        return Err(Stop::refused(format!("nobody has approved request {}: `sunset request approve`", request.id)));
    }
    let keys = Keys::parse(&job.settings.keys)?;
    let key = person_of(&request, &keys.tag)
        .ok_or_else(|| Stop::refused(format!("request {} is closed, or its tag key is missing", request.id)))?;
    let asked = planned_request(key, request.clone())
        .ok_or_else(|| Stop::invalid(format!("request {} names no table", request.id)))?;
    let mut found =
        plan::disclosed(job, &asked).await?.map_err(|why| Stop::temporary(format!("nothing is disclosed: {why}")))?;
    if args.out.exists() {
        return Err(Stop::invalid(format!("{} is there already: name a new directory", args.out.display())));
    }
    check_withheld(job, &found.databases)?;
    file::create_directory(&args.out).with_context(|| format!("{} cannot be made", args.out.display()))?;
    let mut writer = Disclosure::new(&args.out, job, args.language)?;
    for table in &found.tables {
        let open = found.databases.get_mut(&table.database).context("the table's database is open")?;
        writer.table(table, open).await?;
    }
    writer.page.shared = found.shared.iter().map(|(table, _)| table.clone()).collect();
    writer.page.reference.clone_from(&request.reference);
    writer.page.date = clock::today(now, &job.settings.time_zone).to_string();
    let noted = writer.finish()?;
    let (rows, left_out): (u64, u64) = (noted.rows.values().sum(), noted.left_out.values().sum());
    let mut ledger = ledger(job).await?;
    ledger.disclose_request(request.id, noted).await?;
    ledger.into_store().close().await?;
    console.note(&format!("{} rows are written to {}", output::count(rows), args.out.display()));
    if left_out > 0 {
        console.note(&format!("{} rows are about somebody else as well, and left out", output::count(left_out)));
    }
    for (table, why) in &found.shared {
        console.note(&format!("rows of {table} that a link finds are left out: {why}"));
    }
    Ok(Outcome::Done)
}

/// What is to be withheld would be shown if its name were wrong.
fn check_withheld(job: &Job, databases: &BTreeMap<String, OpenDatabase>) -> anyhow::Result<()> {
    for withheld in &job.settings.requests.withheld {
        let Some(open) = databases.get(&withheld.table.database) else { continue };
        let table = open.catalog.table(withheld.table.schema.as_deref(), &withheld.table.table);
        if !table
            .is_some_and(|table| table.columns.iter().any(|column| column.name.eq_ignore_ascii_case(&withheld.column)))
        {
            let (table, column) = (&withheld.table, &withheld.column);
            return Err(Stop::invalid(format!(
                "`requests.withheld` in sunset.yaml names {table}.{column}, which is not there"
            )));
        }
    }
    Ok(())
}

/// Files in the making.
struct Disclosure<'a> {
    directory: &'a Path,
    job: &'a Job,
    language: LetterLanguage,
    json: Hashed,
    is_first: bool,
    noted: Noted,
    /// Of each file.
    digests: BTreeMap<String, String>,
    page: Page,
}

/// A file, with the digest of what was written.
struct Hashed {
    file: std::io::BufWriter<File>,
    hash: Sha256,
}

impl Hashed {
    fn new(path: &Path) -> anyhow::Result<Self> {
        let file = file::create_new(path).with_context(|| format!("{} cannot be written", path.display()))?;
        Ok(Self { file: std::io::BufWriter::new(file), hash: Sha256::new() })
    }

    fn finish(mut self) -> std::io::Result<String> {
        self.file.flush()?;
        self.file.get_ref().sync_all()?;
        Ok(hex::encode(self.hash.finalize()))
    }
}

impl std::io::Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

/// What the rules say of a table's data.
#[derive(Clone, Debug, Serialize)]
struct About {
    rule: String,
    category: String,
    purpose: Option<String>,
    legal_basis: Option<String>,
    /// How long it is kept, and what becomes of it then.
    retention_period: String,
    disposition: String,
    recipients: Vec<String>,
}

/// One table as it stands on the page.
#[derive(Debug)]
struct OnThePage {
    name: String,
    about: Vec<About>,
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
    all: u64,
    left_out: u64,
    /// Columns that are not shown.
    withheld: usize,
}

#[derive(Template)]
#[template(path = "disclosure.html")]
struct Page {
    lang: &'static str,
    title: &'static str,
    date: String,
    reference: String,
    from: String,
    tables: Vec<OnThePage>,
    shared: Vec<String>,
}

impl<'a> Disclosure<'a> {
    fn new(directory: &'a Path, job: &'a Job, language: LetterLanguage) -> anyhow::Result<Self> {
        let (lang, title) = match language {
            LetterLanguage::Ja => ("ja", "保有個人データの開示"),
            LetterLanguage::En => ("en", "What we hold about you"),
        };
        let from = &job.settings.requests.from;
        let from = from.get(lang).or_else(|| from.values().next()).cloned().unwrap_or_default();
        let mut json = Hashed::new(&directory.join("disclosure.json"))?;
        json.write_all(b"{\"tables\": [")?;
        let page = Page {
            lang,
            title,
            date: String::new(),
            reference: String::new(),
            from,
            tables: Vec::new(),
            shared: Vec::new(),
        };
        let (noted, digests) = (Noted::default(), BTreeMap::new());
        Ok(Self { directory, job, language, json, is_first: true, noted, digests, page })
    }

    async fn table(&mut self, of: &DisclosedTable, open: &mut OpenDatabase) -> anyhow::Result<()> {
        let count = |condition| statements::count_where(open.dialect, &of.table.name, condition);
        let number = |rows: Vec<Row>| -> u64 {
            rows.into_iter().flatten().next().flatten().and_then(|text| text.parse().ok()).unwrap_or(0)
        };
        let (theirs, all) = (count(&of.theirs), count(&of.all));
        let theirs = number(open.connection.fetch(&theirs).await?);
        let all = number(open.connection.fetch(&all).await?);
        if all == 0 {
            return Ok(());
        }
        let name = format!("{}.{}", of.database, of.table.name);
        let left_out = all.saturating_sub(theirs);
        if left_out > 0 {
            self.noted.left_out.insert(name.clone(), left_out);
        }
        let columns: Vec<_> =
            of.table.columns.iter().filter(|column| !self.is_withheld(of, &column.name, open)).collect();
        let withheld = of.table.columns.len() - columns.len();
        let names: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
        let keys: Vec<_> = columns.iter().map(|column| KeyColumn::from(*column)).collect();
        let about = self.about(of, open);
        let file = format!("{}.csv", name.replace(['/', '\\'], "_"));
        let mut csv = csv::Writer::from_writer(Hashed::new(&self.directory.join(&file))?);
        csv.write_record(&names)?;
        let separator = if self.is_first { "" } else { ", " };
        self.is_first = false;
        let head = serde_json::json!({"table": name, "about": about, "left_out": left_out, "columns": names, "withheld_columns": withheld});
        let head = head.to_string();
        write!(self.json, "{separator}{}, \"rows\": [", head.strip_suffix('}').unwrap_or_default())?;
        let (mut rows, mut written, mut failed) = (Vec::new(), 0_u64, None);
        let json = &mut self.json;
        let mut each = |row: Row| {
            let texts: Vec<String> = row.iter().map(|value| value.clone().unwrap_or_default()).collect();
            let mut one = || -> anyhow::Result<()> {
                csv.write_record(&texts)?;
                if written > 0 {
                    json.write_all(b", ")?;
                }
                serde_json::to_writer(&mut *json, &row)?;
                Ok(())
            };
            if let Err(error) = one() {
                failed.get_or_insert(error);
            }
            written += 1;
            if rows.len() < ROWS_ON_THE_PAGE {
                rows.push(texts);
            }
        };
        let statement = statements::texts_where(open.dialect, &of.table.name, &keys, &of.theirs);
        open.connection.stream(&statement, &mut each).await?;
        if let Some(error) = failed {
            return Err(error);
        }
        self.json.write_all(b"]}")?;
        let csv = csv.into_inner().map_err(|error| anyhow::anyhow!("{file} cannot be written: {}", error.error()))?;
        self.digests.insert(file, csv.finish()?);
        self.noted.rows.insert(name.clone(), written);
        self.page.tables.push(OnThePage { name, about, columns: names, rows, all: written, left_out, withheld });
        Ok(())
    }

    fn is_withheld(&self, of: &DisclosedTable, column: &str, open: &OpenDatabase) -> bool {
        self.job.settings.requests.withheld.iter().any(|withheld| {
            let path = &withheld.table;
            let table = open.catalog.table(path.schema.as_deref(), &path.table);
            path.database == of.database
                && table.is_some_and(|table| table.name == of.table.name)
                && withheld.column.eq_ignore_ascii_case(column)
        })
    }

    /// What the rules of the table say.
    fn about(&self, of: &DisclosedTable, open: &OpenDatabase) -> Vec<About> {
        let governs = |rule: &&Rule| {
            let table = open.catalog.table(rule.table.schema.as_deref(), &rule.table.table);
            rule.table.database == of.database && table.is_some_and(|table| table.name == of.table.name)
        };
        let about = |rule: &Rule| {
            let category = self.job.files.iter().find(|file| file.category.id == rule.category);
            let titles = category.map(|file| &file.category.title);
            let own = if self.language == LetterLanguage::Ja { "ja" } else { "en" };
            let title = titles.and_then(|titles| titles.get(own).or_else(|| titles.values().next()));
            About {
                rule: rule.id.clone(),
                category: title.cloned().unwrap_or_else(|| rule.category.clone()),
                purpose: rule.purpose.clone(),
                legal_basis: rule.legal_basis.clone(),
                retention_period: rule.retention_period.default.to_string(),
                disposition: rule.disposition.to_string(),
                recipients: rule.recipients.iter().map(|recipient| recipient.name.clone()).collect(),
            }
        };
        self.job.rules().filter(governs).map(about).collect()
    }

    /// Writes the page and the list of digests.
    fn finish(mut self) -> anyhow::Result<Noted> {
        let shared = serde_json::to_string(&self.page.shared)?;
        write!(self.json, "], \"shared\": {shared}}}")?;
        self.digests.insert("disclosure.json".to_owned(), self.json.finish()?);
        let mut page = Hashed::new(&self.directory.join("index.html"))?;
        page.write_all(self.page.render()?.as_bytes())?;
        self.digests.insert("index.html".to_owned(), page.finish()?);
        let list: String = self.digests.iter().map(|(file, digest)| format!("{digest}  {file}\n")).collect();
        let mut sums = Hashed::new(&self.directory.join("SHA256SUMS"))?;
        sums.write_all(list.as_bytes())?;
        self.noted.digest = sums.finish()?;
        Ok(self.noted)
    }
}
