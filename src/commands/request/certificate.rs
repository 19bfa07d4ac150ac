//! `sunset request certificate`: what a request had erased, on one page in Japanese and English, for whoever wants a proof (消去証明書).
//!
//! Everything on it comes from the ledger, the rules and the settings, and nothing on it names the person. It claims what the
//! ledger claims: rows in live databases.

use super::request;
use crate::{
    cli::{Global, RequestCertificateArgs},
    clock,
    commands::{Stop, console::Console, job as loading},
    file,
    job::Job,
    ledger::{Entry, Event},
    outcome::Outcome,
    rules::{Disposition, Rule},
    store::{PersonRequest, Store, StoredCheckpoint},
};
use anyhow::Context as _;
use askama::Template;
use jiff::{Timestamp, civil::Date};
use std::collections::{BTreeMap, BTreeSet};

/// How many entries are read at once.
const PAGE: u32 = 1_000;

pub(super) async fn run(
    global: &Global,
    job: &Job,
    args: &RequestCertificateArgs,
    console: &mut Console,
) -> anyhow::Result<Outcome> {
    let request = request(job, args.id).await?;
    if request.served.values().all(|served| served.rows == 0) {
        return Err(Stop::refused(format!(
            "no run has done anything for request {}, so there is nothing to certify",
            request.id
        )));
    }
    let today = clock::today(loading::now(global, job)?, &job.settings.time_zone);
    let mut store = Store::open_existing(&job.settings.store).await?;
    let written = Written::read(&mut store, request.id).await?;
    let checkpoint = store.last_checkpoint().await?;
    store.close().await?;
    let page = Certificate::of(job, &request, &written, checkpoint.as_ref(), today);
    let Some(directory) = &args.out else {
        console.print(&page.text())?;
        return Ok(Outcome::Done);
    };
    file::create_directory(directory).with_context(|| format!("{} cannot be made", directory.display()))?;
    for (ending, text) in [("txt", page.text()), ("html", page.render()?)] {
        let path = directory.join(format!("certificate-{}.{ending}", request.id));
        file::write(&path, text.as_bytes())
            .with_context(|| format!("the certificate cannot be written to {}", path.display()))?;
        console.note(&format!("written: {}", path.display()));
    }
    Ok(Outcome::Done)
}

/// What the ledger has about a request.
#[derive(Default)]
struct Written {
    /// Numbers of the entries.
    entries: Vec<u64>,
    approved: Vec<(Timestamp, String)>,
    /// Each time that a run did something: when, which run, and rows by rule.
    served: Vec<(Timestamp, String, BTreeMap<String, u64>)>,
    /// Program's version and digest of the plan, by run.
    runs: BTreeMap<String, (String, String)>,
}

impl Written {
    async fn read(store: &mut Store, id: u64) -> anyhow::Result<Self> {
        let mut written = Self::default();
        let mut after = 0;
        loop {
            let page = store.entries_after(after, PAGE).await?;
            let Some((last, _)) = page.last() else { return Ok(written) };
            after = *last;
            // reading each entry in full would take long
            let is_about = |line: &str| line.contains("\"request\"") || line.contains("\"run_started\"");
            for (seq, line) in page.iter().filter(|(_, line)| is_about(line)) {
                let entry = Entry::parse(line)
                    .map_err(|_| Stop::invalid(format!("entry {seq} of the ledger cannot be read")))?;
                written.take(*seq, entry, id);
            }
        }
    }

    fn take(&mut self, seq: u64, entry: Entry, id: u64) {
        match entry.event {
            Event::RunStarted { version, plan_digest, .. } => {
                self.runs.insert(entry.run, (version, plan_digest));
                return;
            }
            Event::RequestApproved { request, by, .. } if request == id => self.approved.push((entry.at, by)),
            Event::RequestServed { request, disposed, .. } if request == id => {
                if !disposed.is_empty() {
                    self.served.push((entry.at, entry.run, disposed));
                }
            }
            Event::RequestOpened { request, .. } | Event::RequestClosed { request, .. } if request == id => {}
            _ => return,
        }
        self.entries.push(seq);
    }
}

/// One field: what it is called in both languages, and its lines.
struct Field {
    ja: &'static str,
    en: &'static str,
    lines: Vec<String>,
}

#[derive(Template)]
#[template(path = "certificate.html")]
struct Certificate {
    title: String,
    fields: Vec<Field>,
}

/// Rows, in both languages.
fn rows(number: u64) -> String {
    format!("{number}件 / {number} {}", if number == 1 { "row" } else { "rows" })
}

fn method(disposition: Disposition) -> &'static str {
    match disposition {
        Disposition::Erase => "行の削除 / rows deleted from the live database",
        Disposition::Anonymize => "匿名化(行は残る) / anonymised; the rows remain",
        Disposition::Pseudonymize => {
            "仮名化(行は残る、消去ではない) / pseudonymised; the rows remain, this is not erasure"
        }
        Disposition::Unlink => "関連付けの解除(行は残る) / unlinked; the rows remain",
    }
}

impl Certificate {
    fn of(
        job: &Job,
        request: &PersonRequest,
        written: &Written,
        checkpoint: Option<&StoredCheckpoint>,
        today: Date,
    ) -> Self {
        let day = |at: Timestamp| clock::today(at, &job.settings.time_zone);
        let rule = |id: &str| -> Option<&Rule> { job.rules().find(|rule| rule.id == id) };
        let done = || request.served.iter().filter(|(_, served)| served.rows > 0);
        let scope = done().map(|(id, served)| {
            let table = rule(id).map(|rule| rule.table.to_string()).unwrap_or_default();
            format!("{} · {table} · {}", category(job, id), rows(served.rows))
        });
        let basis = done().map(|(id, _)| {
            let legal =
                rule(id).and_then(|rule| rule.legal_basis.clone()).map(|text| format!(" · {text}")).unwrap_or_default();
            format!("{id}: 本人の請求 / at the person's request (APPI Art. 35){legal}")
        });
        let methods = done().filter_map(|(id, _)| Some(format!("{id}: {}", method(rule(id)?.disposition))));
        let times = written.served.iter().map(|(at, run, disposed)| {
            let version = written.runs.get(run).map_or("", |(version, _)| version.as_str());
            let rows: u64 = disposed.values().sum();
            format!("{} · {} · Sunset {version} · run {run}", at.strftime("%Y-%m-%dT%H:%M:%SZ"), self::rows(rows))
        });
        let runs: BTreeSet<_> = written.served.iter().map(|(_, run, _)| run).collect();
        let plans = runs.iter().filter_map(|run| Some(format!("plan {}", written.runs.get(*run)?.1)));
        let approved = written.approved.iter().map(|(at, by)| format!("{by} · {}", day(*at)));
        let is_over = request.complete_at.map(|at| {
            format!("{}に照会、該当行なし / a query on {} found no row left that goes before its day", day(at), day(at))
        });
        let left = request
            .served
            .iter()
            .filter(|(_, served)| served.left + served.waiting > 0)
            .map(|(id, served)| format!("{id}: 残存 {} / left", rows(served.left + served.waiting)));
        let stays = request.stays.iter().filter(|staying| staying.rows > 0).map(|staying| {
            let until = staying.until.map(|until| format!(" · {until}まで / until {until}")).unwrap_or_default();
            let rule = staying.rule.as_deref().unwrap_or("–");
            format!("保存 / kept: {} · {} · {rule}{until}", staying.table, rows(staying.rows))
        });
        let asked: BTreeSet<_> = done()
            .flat_map(|(id, _)| rule(id).into_iter().flat_map(|rule| &rule.recipients))
            .map(|one| &one.name)
            .collect();
        let asked = asked.into_iter().map(|name| {
            format!("{name}: 依頼の対象(回答は台帳に記録) / among those who are asked; the answers stand in the ledger")
        });
        let backups = job.settings.requests.backups.map(|backups| {
            let until = backups.after_day(request.complete_at.map_or(today, day));
            format!("最終廃棄予定 / the last copy expires: {until}")
        });
        let uncovered = "対象外:バックアップ、複製、データベースのログ、媒体 / not covered: backups, replicas, logs of the database, media";
        let ledger = checkpoint.map(|checkpoint| {
            let root = checkpoint.note.lines().nth(2).unwrap_or_default().to_owned();
            let origin = checkpoint.note.lines().next().unwrap_or_default();
            vec![
                format!("{origin} · エントリ / entries {}", numbers(&written.entries)),
                format!("署名済みチェックポイント / signed checkpoint: {} · root {root}", checkpoint.size),
                "検証 / verify: sunset ledger verify --key … · sunset ledger prove TABLE KEY".to_owned(),
            ]
        });
        let from = job.settings.requests.from.values().cloned();
        let field = |ja, en, lines: Vec<String>| Field { ja, en, lines };
        let fields = vec![
            field("番号・発行日", "No., issued", vec![format!("{}-{} · {today}", job.settings.name, request.id)]),
            field(
                "整理番号・受付日",
                "Reference, received",
                vec![format!("{} · {}", request.reference, request.received)],
            ),
            field("対象", "Scope", scope.collect()),
            field("根拠", "Basis", basis.collect()),
            field("方法", "Method", methods.collect()),
            field("実施日時・ソフトウェア・実行番号", "Time, software, run", times.collect()),
            field("承認者・計画のハッシュ値", "Approved by, plan digest", approved.chain(plans).collect()),
            field("検証", "Verification", is_over.into_iter().chain(left).chain(stays).collect()),
            field("委託先・提供先等", "Entrustees, recipients", asked.collect()),
            field(
                "バックアップ・対象外",
                "Backups, not covered",
                backups.into_iter().chain([uncovered.to_owned()]).collect(),
            ),
            field("台帳", "Ledger", ledger.unwrap_or_default()),
            field(
                "発行者・署名",
                "Issuer, signature",
                from.chain(["責任者 / responsible: ____________________".to_owned()]).collect(),
            ),
        ];
        let title = "個人データ消去証明書 / Certificate of erasure of personal data".to_owned();
        Self { title, fields: fields.into_iter().filter(|field| !field.lines.is_empty()).collect() }
    }

    fn text(&self) -> String {
        let fields = self.fields.iter().enumerate().map(|(number, field)| {
            let lines: String = field.lines.iter().map(|line| format!("   {line}\n")).collect();
            format!("{}. {} / {}\n{lines}", number + 1, field.ja, field.en)
        });
        format!("{}\n\n{}", self.title, fields.collect::<Vec<_>>().join("\n"))
    }
}

/// What the rule's rows are called, in both languages.
fn category(job: &Job, rule: &str) -> String {
    let file = job.files.iter().find(|file| file.rules.iter().any(|own| own.id == rule));
    let titles: BTreeSet<_> = file.into_iter().flat_map(|file| file.category.title.values().cloned()).collect();
    let id = file.map_or_else(|| rule.to_owned(), |file| file.category.id.clone());
    if titles.is_empty() { id } else { titles.into_iter().collect::<Vec<_>>().join(" / ") }
}

fn numbers(all: &[u64]) -> String {
    all.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")
}
