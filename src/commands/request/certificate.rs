//! `sunset request certificate`: what a request had erased, on one page in Japanese and English, for whoever wants a proof (消去証明書).
//!
//! What was done comes from the ledger, which has to be sound, and what is left from the databases. Nothing on it names the
//! person. It claims what the ledger claims: rows in live databases.

use super::{
    account::{Account, account, write},
    request,
};
use crate::{
    cli::{Global, RequestCertificateArgs},
    clock,
    commands::{Stop, console::Console, job as loading},
    evidence::keys::Keys,
    job::Job,
    ledger::{
        request_history::{DoneBy, KnownRun},
        verify::{Verifier, verify_store},
    },
    outcome::Outcome,
    rules::{RequestKind, Rule},
    store::{PersonRequest, Store, StoredCheckpoint},
};
use askama::Template;
use jiff::{Timestamp, ToSpan as _, civil::Date};
use std::collections::BTreeSet;

pub(super) async fn run(
    global: &Global,
    job: &Job,
    args: &RequestCertificateArgs,
    console: &mut Console,
) -> anyhow::Result<Outcome> {
    let now = loading::now(global, job)?;
    let request = request(job, args.id).await?;
    if matches!(request.kind, RequestKind::Disclosure | RequestKind::Correction) {
        return Err(Stop::invalid(format!(
            "certificates are about erasure and an end of use; request {} is about {}",
            request.id,
            request.kind.word()
        )));
    }
    let checkpoint = verified(job).await?;
    let account = match account(job, &request, now, console).await? {
        Ok(account) => account,
        Err(stop) => return Ok(stop),
    };
    if !account.history.is_done() {
        return Err(Stop::refused(format!(
            "no run has done anything for request {}, so there is nothing to certify",
            request.id
        )));
    }
    let today = clock::today(now, &job.settings.time_zone);
    let page = Certificate::of(job, &request, &account, &checkpoint, today);
    let Some(directory) = &args.out else {
        console.print(&page.text())?;
        return Ok(Outcome::Done);
    };
    write(directory, &format!("certificate-{}", request.id), (&page.text(), &page.render()?), console)?;
    Ok(Outcome::Done)
}

/// The newest checkpoint of a ledger that is sound.
///
/// # Errors
/// It is not sound, or nothing of it is signed.
async fn verified(job: &Job) -> anyhow::Result<StoredCheckpoint> {
    let keys = Keys::parse(&job.settings.keys)?;
    let mut store = Store::open_existing(&job.settings.store).await?;
    let trusted = keys.trusted(&job.settings.name);
    let report = verify_store(&mut store, Verifier::new(trusted, Vec::new()), &keys.tag).await?;
    let checkpoint = store.last_checkpoint().await?;
    store.close().await?;
    checkpoint.filter(|_| report.is_sound()).ok_or_else(|| {
        Stop::refused(
            "the ledger is not sound, so nothing is certified from it: `sunset ledger verify` tells what is wrong",
        )
    })
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

fn method(disposition: &str) -> &'static str {
    match disposition {
        "anonymize" => "匿名化(行は残る) / anonymised; the rows remain",
        "pseudonymize" => "仮名化(行は残る、消去ではない) / pseudonymised; the rows remain, this is not erasure",
        "unlink" => "関連付けの解除(行は残る) / unlinked; the rows remain",
        _ => "行の削除 / rows deleted from the live database",
    }
}

/// What the page certifies: erasure only where a row was erased.
fn title(kind: RequestKind, has_erased: bool) -> &'static str {
    match kind {
        RequestKind::Cease => "個人データ利用停止等証明書 / Certificate of an end of use of personal data",
        _ if has_erased => "個人データ消去証明書 / Certificate of erasure of personal data",
        _ => "個人データ措置証明書 / Certificate of what was done with personal data",
    }
}

/// What a rule did, as a line of the scope.
fn in_scope(job: &Job, done: &DoneBy) -> String {
    let along: u64 = done.along.values().sum();
    let tables = done.along.keys().cloned().collect::<Vec<_>>().join(", ");
    let along = match (along, done.is_shared) {
        (0, _) => String::new(),
        (along, false) => format!(" · 付随 / along with them: {} ({tables})", rows(along)),
        (along, true) => {
            let all = rows(along);
            format!(
                " · 付随(同時に処理した他の請求分を含む) / along, other requests of the same batches included: {all} ({tables})"
            )
        }
    };
    format!("{} · {} · {}{along}", category(job, &done.category), done.table, rows(done.rows))
}

impl Certificate {
    fn of(job: &Job, request: &PersonRequest, account: &Account, checkpoint: &StoredCheckpoint, today: Date) -> Self {
        let history = &account.history;
        let day = |at: Timestamp| clock::today(at, &job.settings.time_zone);
        let rule = |id: &str| -> Option<&Rule> { job.rules().find(|rule| rule.id == id) };
        let done = history.by_rule();
        let scope = done.iter().map(|(_, done)| in_scope(job, done));
        let basis = done.iter().map(|(id, done)| {
            let legal = if done.legal_basis.is_empty() { String::new() } else { format!(" · {}", done.legal_basis) };
            format!("{id}: 本人の請求 / at the person's request (APPI Art. 35){legal}")
        });
        let methods = done.iter().map(|(id, done)| format!("{id}: {}", method(&done.disposition)));
        let times = history.done.iter().map(|done| {
            let all: u64 = done.rules.values().map(|rule| rule.rows).sum();
            let run = |run: &String| {
                let version = history.runs.get(run).map_or("", |known| known.version.as_str());
                format!("Sunset {version} · run {run}")
            };
            let runs = done.runs.iter().map(run).collect::<Vec<_>>().join(" · ");
            format!("{} · {} · {runs}", done.at.strftime("%Y-%m-%dT%H:%M:%SZ"), rows(all))
        });
        let plans: BTreeSet<_> = history.runs.values().map(|KnownRun { plan_digest, .. }| plan_digest).collect();
        let plans = plans.into_iter().map(|digest| format!("plan {digest}"));
        let approved = history.approved.iter().map(|(at, by)| format!("{by} · {}", day(*at)));
        let is_over = account.complete_at.map(|at| {
            format!("{}に照会、該当行なし / a query on {} found no row left that goes before its day", day(at), day(at))
        });
        let left = account.open.iter().map(|(id, left)| format!("{id}: 残存 {} / left", rows(*left)));
        let waiting =
            request.served.keys().filter_map(|id| Some((id, request.waits(id))).filter(|(_, rows)| *rows > 0));
        let waiting =
            waiting.map(|(id, number)| format!("{id}: 残存 {} / left: what depends on them is kept", rows(number)));
        let seen = account.seen.map(|seen| format!(" ({seen}現在 / as of {seen})")).unwrap_or_default();
        let stays = account.stays.iter().filter(|staying| staying.rows > 0).map(|staying| {
            // they are due on the day after the last one of their period
            let until = staying.until.and_then(|until| until.checked_sub(1.day()).ok());
            let until = until.map(|until| format!(" · {until}まで / until {until}")).unwrap_or_default();
            let rule = staying.rule.as_deref().unwrap_or("–");
            format!("保存 / kept{seen}: {} · {} · {rule}{until}", staying.table, rows(staying.rows))
        });
        let mut asked = BTreeSet::new();
        for id in request.served.keys() {
            let open = account.open.contains_key(id);
            asked.extend(rule(id).into_iter().flat_map(|rule| &rule.recipients).map(|one| (&one.name, open)));
        }
        let asked = asked.into_iter().map(|(name, is_open)| match is_open {
            true => {
                format!("{name}: 依頼の対象、回答待ちの行あり / among those who are asked; rows wait for an answer")
            }
            false => format!(
                "{name}: 依頼の対象(回答は台帳に記録) / among those who are asked; the answers stand in the ledger"
            ),
        });
        let backups = job.settings.requests.backups.zip(history.last_at()).map(|(backups, last)| {
            let until = backups.after_day(day(last));
            format!("上記の行の最終廃棄予定 / the last copy of these rows expires: {until}")
        });
        let uncovered = "対象外:バックアップ、複製、データベースのログ、媒体 / not covered: backups, replicas, logs of the database, media";
        let (root, origin) = {
            let mut lines = checkpoint.note.lines();
            let origin = lines.next().unwrap_or_default().to_owned();
            (lines.nth(1).unwrap_or_default().to_owned(), origin)
        };
        let (signed, unsigned): (Vec<u64>, Vec<u64>) =
            history.entries.iter().partition(|entry| **entry <= checkpoint.size);
        let mut ledger = vec![
            format!("{origin} · エントリ / entries {}", numbers(&signed)),
            format!("署名済みチェックポイント / signed checkpoint: {} · root {root}", checkpoint.size),
            "検証 / verify: sunset ledger verify --key … · sunset ledger prove TABLE KEY".to_owned(),
        ];
        if !unsigned.is_empty() {
            let numbers = numbers(&unsigned);
            ledger.push(format!("次の実行で署名 / signed with the next run: エントリ / entries {numbers}"));
        }
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
            field("記録日時・ソフトウェア・実行番号", "Recorded at, software, run", times.collect()),
            field("承認者・計画のハッシュ値", "Approved by, plan digest", approved.chain(plans).collect()),
            field("検証", "Verification", is_over.into_iter().chain(left).chain(waiting).chain(stays).collect()),
            field("委託先・提供先等", "Entrustees, recipients", asked.collect()),
            field(
                "バックアップ・対象外",
                "Backups, not covered",
                backups.into_iter().chain([uncovered.to_owned()]).collect(),
            ),
            field("台帳", "Ledger", ledger),
            field(
                "発行者・署名",
                "Issuer, signature",
                from.chain(["責任者 / responsible: ____________________".to_owned()]).collect(),
            ),
        ];
        let title = title(request.kind, history.has_erased()).to_owned();
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

/// What a category's rows are called, in both languages.
fn category(job: &Job, id: &str) -> String {
    let file = job.files.iter().find(|file| file.category.id == id);
    let titles: BTreeSet<_> = file.into_iter().flat_map(|file| file.category.title.values().cloned()).collect();
    if titles.is_empty() { id.to_owned() } else { titles.into_iter().collect::<Vec<_>>().join(" / ") }
}

fn numbers(all: &[u64]) -> String {
    all.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")
}
