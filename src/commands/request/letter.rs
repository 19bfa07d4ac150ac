//! `sunset request letter`: the answer to the person, in Japanese or English, as text and as HTML.
//!
//! What it says comes from the store and from the databases as they are now; a value that is missing stops it.

use super::{
    account::{Account, account, write},
    request,
};
use crate::{
    catalog::TablePath,
    cli::{Global, LetterLanguage, RequestLetterArgs},
    clock,
    commands::{Stop, console::Console, job as loading},
    job::Job,
    ledger::request_history::DoneBy,
    outcome::Outcome,
    rules::{Disposition, RequestKind, Rule},
    store::{PersonRequest, RequestOutcome},
};
use askama::Template;
use jiff::{Timestamp, ToSpan as _, civil::Date};
use std::collections::BTreeMap;

pub(super) async fn run(
    global: &Global,
    job: &Job,
    args: &RequestLetterArgs,
    console: &mut Console,
) -> anyhow::Result<Outcome> {
    let now = loading::now(global, job)?;
    let request = request(job, args.id).await?;
    if matches!(request.kind, RequestKind::Disclosure | RequestKind::Correction) {
        return Err(Stop::invalid(format!(
            "letters are about erasure and an end of use; request {} is about {}",
            request.id,
            request.kind.word()
        )));
    }
    let account = match account(job, &request, now, console).await? {
        Ok(account) => account,
        Err(stop) => return Ok(stop),
    };
    if let Some(closing) = request.closing.as_ref().filter(|closing| closing.outcome != RequestOutcome::Refused)
        && !account.history.is_done()
    {
        let outcome = closing.outcome.word();
        return Err(Stop::refused(format!(
            "request {} is closed as {outcome}, and no run did anything for it: what was done by hand is known to nobody here",
            request.id
        )));
    }
    let today = clock::today(now, &job.settings.time_zone);
    let letter = Letter::of(job, &request, &account, args.language, today)?;
    let Some(directory) = &args.out else {
        console.print(&letter.text())?;
        return Ok(Outcome::Done);
    };
    let name = format!("request-{}-{}", request.id, letter.lang);
    write(directory, &name, (&letter.text(), &letter.render()?), console)?;
    Ok(Outcome::Done)
}

fn rows(number: u64) -> String {
    if number == 1 { "1 row".to_owned() } else { format!("{number} rows") }
}

/// A letter, ready to be printed.
#[derive(Template)]
#[template(path = "letter.html")]
struct Letter {
    lang: &'static str,
    title: String,
    date: String,
    reference: String,
    from: String,
    paragraphs: Vec<String>,
    /// Each with its lines.
    parts: Vec<(String, Vec<String>)>,
    close: String,
}

/// The words of a letter.
struct Words<'a> {
    language: LetterLanguage,
    job: &'a Job,
}

impl Letter {
    fn of(
        job: &Job,
        request: &PersonRequest,
        account: &Account,
        language: LetterLanguage,
        today: Date,
    ) -> anyhow::Result<Self> {
        let words = Words { language, job };
        let from = &job.settings.requests.from;
        let from = words.by_language(from, "`requests.from` in sunset.yaml")?.ok_or_else(|| {
            Stop::invalid("who answers? `requests.from` in sunset.yaml has the company and its desk, by language")
        })?;
        let is_done = account.history.is_done();
        // nothing could go, and that is an answer too
        let is_decided = is_done || account.complete_at.is_some();
        let refused = request.closing.as_ref().filter(|closing| closing.outcome == RequestOutcome::Refused);
        let (mut paragraphs, mut parts) = (Vec::new(), Vec::new());
        let title = match (refused, is_done) {
            (Some(_), _) => words.decision(),
            (None, false) if is_decided => words.decision(),
            (None, true) => words.title(request.kind, account.history.has_erased()),
            (None, false) => words.choose("受付のお知らせ", "We have received your request"),
        };
        match (refused, is_done) {
            (Some(closing), true) => paragraphs.push(words.refusal_of_the_rest(request, &closing.reason)),
            (Some(closing), false) => paragraphs.push(words.refusal(request, &closing.reason)),
            (None, true) => paragraphs.push(words.opening(request)),
            (None, false) if is_decided => paragraphs.push(words.nothing(request)),
            (None, false) => paragraphs.push(words.receipt(request)),
        }
        if is_done {
            parts.extend(words.done(account)?);
            parts.extend(words.recipients(request, account)?);
        }
        if refused.is_none() && is_decided {
            parts.extend(words.open(account)?);
        }
        if refused.is_some() || is_decided {
            parts.extend(words.stays(request, account)?);
            parts.extend(words.backups(account));
        }
        Ok(Self {
            lang: match language {
                LetterLanguage::Ja => "ja",
                LetterLanguage::En => "en",
            },
            title,
            date: words.day(today),
            reference: request.reference.clone(),
            from,
            paragraphs,
            parts,
            close: words.choose(
                "ご不明な点は、整理番号を添えて上記窓口までご連絡ください。",
                "Please quote the reference when you contact us. 日本語を正文とします / The Japanese text prevails.",
            ),
        })
    }

    fn text(&self) -> String {
        let reference = if self.lang == "ja" { "整理番号" } else { "Reference" };
        let mut lines = vec![self.date.clone(), format!("{reference}: {}", self.reference), self.from.clone()];
        lines.push(String::new());
        lines.push(self.title.clone());
        lines.push(String::new());
        lines.extend(self.paragraphs.iter().cloned());
        for (number, (title, points)) in self.parts.iter().enumerate() {
            lines.push(String::new());
            lines.push(format!("{}. {title}", number + 1));
            lines.extend(points.iter().map(|point| format!("   - {point}")));
        }
        lines.push(String::new());
        lines.push(self.close.clone());
        lines.join("\n") + "\n"
    }
}

impl Words<'_> {
    fn choose(&self, ja: &str, en: &str) -> String {
        match self.language {
            LetterLanguage::Ja => ja,
            LetterLanguage::En => en,
        }
        .to_owned()
    }

    /// The text in the letter's language; none where there is none in any.
    ///
    /// # Errors
    /// There are texts, and none in this language.
    fn by_language(&self, texts: &BTreeMap<String, String>, what: &str) -> anyhow::Result<Option<String>> {
        let own = if self.language == LetterLanguage::Ja { "ja" } else { "en" };
        match texts.get(own) {
            None if !texts.is_empty() => Err(Stop::invalid(format!(
                "the letter cannot be written in this language: {what} has no text for `{own}`"
            ))),
            text => Ok(text.cloned()),
        }
    }

    fn day(&self, day: Date) -> String {
        match self.language {
            LetterLanguage::Ja => format!("{}年{}月{}日", day.year(), day.month(), day.day()),
            LetterLanguage::En => day.strftime("%-d %B %Y").to_string(),
        }
    }

    fn moment(&self, at: Timestamp) -> String {
        self.day(clock::today(at, &self.job.settings.time_zone))
    }

    fn kind(&self, kind: RequestKind) -> String {
        match kind {
            RequestKind::Erasure => self.choose("保有個人データの消去", "erasure"),
            RequestKind::Cease => self.choose("保有個人データの利用停止", "an end of use"),
            RequestKind::Disclosure => self.choose("保有個人データの開示", "disclosure"),
            RequestKind::Correction => self.choose("保有個人データの訂正等", "correction"),
        }
    }

    fn title(&self, kind: RequestKind, has_erased: bool) -> String {
        match kind {
            RequestKind::Cease => self.choose("保有個人データの利用停止のお知らせ", "We have stopped using your data"),
            _ if has_erased => self.choose("保有個人データの消去のお知らせ", "We have erased your data"),
            _ => self.choose("保有個人データに関する措置のお知らせ", "What we have done with your data"),
        }
    }

    fn receipt(&self, request: &PersonRequest) -> String {
        let (received, due, kind) = (self.day(request.received), self.day(request.due), self.kind(request.kind));
        match self.language {
            LetterLanguage::Ja => format!(
                "{received}に、{kind}のご請求(個人情報保護法第35条)を受け付けました。{due}までにご回答する予定です。これより遅れる\
                 見込みとなりましたら、あらためてご連絡いたします。本状は受付のご連絡であり、ご請求に応じることを決定したもの\
                 ではありません。"
            ),
            LetterLanguage::En => format!(
                "On {received} we received your request for {kind} (APPI Art. 35). We expect to answer by {due} and will tell \
                 you if it takes longer. This confirms receipt only; it is not yet a decision."
            ),
        }
    }

    fn opening(&self, request: &PersonRequest) -> String {
        let (received, kind) = (self.day(request.received), self.kind(request.kind));
        match self.language {
            LetterLanguage::Ja => format!(
                "{received}に受け付けました{kind}のご請求に基づき、次のとおり措置を行いましたので、ご通知いたします(個人情報保護法\
                 第35条第7項)。"
            ),
            LetterLanguage::En => format!(
                "On your request for {kind}, which we received on {received}, we have done the following (APPI Art. 35(7))."
            ),
        }
    }

    fn decision(&self) -> String {
        self.choose("ご請求に対する決定のお知らせ", "Our decision on your request")
    }

    /// There is nothing that may go before its day.
    fn nothing(&self, request: &PersonRequest) -> String {
        let (received, kind) = (self.day(request.received), self.kind(request.kind));
        match self.language {
            LetterLanguage::Ja => format!(
                "{received}に受け付けました{kind}のご請求について確認しましたところ、保存期間の満了前に措置を行うことのできる情報はあり\
                 ませんでした(個人情報保護法第35条第7項、第36条)。"
            ),
            LetterLanguage::En => format!(
                "We have looked into your request for {kind}, which we received on {received}: there is nothing for which it can \
                 be done before its retention period ends (APPI Art. 35(7), Art. 36)."
            ),
        }
    }

    /// Something was done before the request was refused.
    fn refusal_of_the_rest(&self, request: &PersonRequest, reason: &str) -> String {
        let (received, kind) = (self.day(request.received), self.kind(request.kind));
        match self.language {
            LetterLanguage::Ja => format!(
                "{received}に受け付けました{kind}のご請求について、次のとおり一部の措置を行い、その他の措置は行わないことといたしました\
                 ので、理由とともにご通知いたします(個人情報保護法第35条第7項、第36条)。理由:{reason}"
            ),
            LetterLanguage::En => format!(
                "On your request for {kind}, which we received on {received}, we have done what follows, and will not do the rest \
                 (APPI Art. 35(7), Art. 36). Reason: {reason}"
            ),
        }
    }

    fn refusal(&self, request: &PersonRequest, reason: &str) -> String {
        let (received, kind) = (self.day(request.received), self.kind(request.kind));
        match self.language {
            LetterLanguage::Ja => format!(
                "{received}に受け付けました{kind}のご請求について、ご請求の措置を行わないことといたしましたので、理由とともにご通知\
                 いたします(個人情報保護法第35条第7項、第36条)。理由:{reason}"
            ),
            LetterLanguage::En => format!(
                "We will not carry out the {kind} that you asked for in your request of {received} (APPI Art. 35(7), Art. 36). \
                 Reason: {reason}"
            ),
        }
    }

    fn rule(&self, id: &str) -> Option<&Rule> {
        self.job.rules().find(|rule| rule.id == id)
    }

    /// What a category's rows are called: its id where nobody has called them anything.
    fn title_of(&self, category: &str) -> anyhow::Result<String> {
        let file = self.job.files.iter().find(|file| file.category.id == category);
        let title =
            file.map(|file| self.by_language(&file.category.title, &format!("the title of category `{category}`")));
        Ok(title.transpose()?.flatten().unwrap_or_else(|| category.to_owned()))
    }

    /// What a rule's rows are called.
    fn category(&self, rule: &str) -> anyhow::Result<String> {
        self.title_of(self.rule(rule).map_or(rule, |known| known.category.as_str()))
    }

    /// By the ledger, which has each rule as it was then.
    fn done(&self, account: &Account) -> anyhow::Result<Option<(String, Vec<String>)>> {
        let mut points = Vec::new();
        for (id, done) in account.history.by_rule() {
            let category = if done.category.is_empty() { self.category(&id)? } else { self.title_of(&done.category)? };
            let how = match done.disposition.as_str() {
                "anonymize" => self.choose("匿名化", "anonymised"),
                "pseudonymize" => self.choose("仮名化", "pseudonymised"),
                "unlink" => self.choose("関連付けの解除", "unlinked from you"),
                _ => self.choose("行の削除", "rows deleted from the live databases"),
            };
            let last = account.history.done.iter().rev().find(|one| one.rules.contains_key(&id));
            let at = last.map(|one| self.moment(one.at)).unwrap_or_default();
            let along = self.along(&done);
            points.push(match self.language {
                LetterLanguage::Ja => format!("{category}:{}件({how}、{at}){along}", done.rows),
                LetterLanguage::En => format!("{category}: {} ({how}, {at}){along}", rows(done.rows)),
            });
        }
        if let Some(at) = account.complete_at {
            let at = self.moment(at);
            points.push(match self.language {
                LetterLanguage::Ja => format!("{at}に照会し、上記の措置の対象となる行が残っていないことを確認しました"),
                LetterLanguage::En => format!("a query on {at} found none left for which this was to be done"),
            });
        }
        Ok((!points.is_empty()).then(|| (self.choose("消去等を行った情報", "What we have done"), points)))
    }

    /// Rows of other tables that went with a rule's rows.
    fn along(&self, done: &DoneBy) -> String {
        let along: u64 = done.along.values().sum();
        match (along, done.is_shared, self.language) {
            (0, ..) => String::new(),
            (_, true, LetterLanguage::Ja) => "。これに付随する記録も同様です".to_owned(),
            (_, true, LetterLanguage::En) => ", with the records that belong to them".to_owned(),
            (_, false, LetterLanguage::Ja) => format!("。これに付随する記録{along}件も同様です"),
            (1, false, LetterLanguage::En) => ", with 1 row that belongs to them".to_owned(),
            (_, false, LetterLanguage::En) => format!(", with {} that belong to them", rows(along)),
        }
    }

    /// Whom the rules ask that did something, or could not do it yet. Nothing here knows what each of them answered for this
    /// person, so nobody is said to have erased anything.
    fn recipients(&self, request: &PersonRequest, account: &Account) -> anyhow::Result<Option<(String, Vec<String>)>> {
        let mut points = Vec::new();
        for rule in request.served.keys() {
            for recipient in self.rule(rule).iter().flat_map(|rule| &rule.recipients) {
                let state = match account.open.contains_key(rule) {
                    true => self.choose(
                        "依頼の対象(回答待ちの行があります)",
                        "among those who are asked; some rows wait for an answer",
                    ),
                    false => self.choose("依頼の対象", "among those who are asked"),
                };
                points.push(format!("{} — {} — {state}", recipient.name, self.category(rule)?));
            }
        }
        points.sort();
        points.dedup();
        Ok((!points.is_empty()).then(|| (self.choose("委託先・提供先等", "Entrustees and recipients"), points)))
    }

    /// What could go and has not.
    fn open(&self, account: &Account) -> anyhow::Result<Option<(String, Vec<String>)>> {
        let mut points = Vec::new();
        for (rule, number) in account.open.iter().filter(|(rule, _)| !self.is_held(rule, account)) {
            let category = self.category(rule)?;
            points.push(match self.language {
                LetterLanguage::Ja => format!("{category}:{number}件は手続き中です"),
                LetterLanguage::En => format!("{category}: {} not through yet", rows(*number)),
            });
        }
        Ok((!points.is_empty()).then(|| (self.choose("手続き中の情報", "What is still open"), points)))
    }

    /// A hold keeps rows of the rule's table.
    fn is_held(&self, rule: &str, account: &Account) -> bool {
        let table = self.rule(rule).map(|rule| &rule.table);
        account
            .stays
            .iter()
            .any(|staying| !staying.holds.is_empty() && table.is_some_and(|table| names(table, &staying.table)))
    }

    fn stays(&self, request: &PersonRequest, account: &Account) -> anyhow::Result<Option<(String, Vec<String>)>> {
        let mut points = Vec::new();
        let until_all_went = account.stays.iter().filter_map(|staying| staying.until).max();
        for staying in account.stays.iter().filter(|staying| staying.rows > 0) {
            let category = staying.rule.as_deref().map(|rule| self.category(rule)).transpose()?.unwrap_or_default();
            if !staying.unclear.is_empty() {
                points.push(match self.language {
                    LetterLanguage::Ja => {
                        format!("{category}:他の方の情報と区別できない記録があるため、そのまま保存しています")
                    }
                    LetterLanguage::En => {
                        format!("{category}: records that we cannot tell apart from those of somebody else")
                    }
                });
                continue;
            }
            if !staying.holds.is_empty() {
                points.push(match self.language {
                    LetterLanguage::Ja => {
                        format!("{category}:法的な手続又は義務のため、その必要がなくなるまで保存する記録があります")
                    }
                    LetterLanguage::En => {
                        format!("{category}: records that legal proceedings or duties need, kept until these end")
                    }
                });
            }
            let Some(id) = staying.rule.as_deref() else {
                return Err(Stop::refused(format!(
                    "the letter cannot say until when {} rows of {} stay: no rule governs them",
                    staying.rows, staying.table
                )));
            };
            let rule = self.rule(id);
            if rule.is_some_and(|rule| rule.answers(request.kind)) {
                // what was changed is told above, and so is what is not through yet
                let is_changed = rule.is_some_and(|rule| rule.disposition != Disposition::Erase);
                if is_changed || !staying.holds.is_empty() || account.open.contains_key(id) {
                    continue;
                }
                let until =
                    until_all_went.and_then(|until| until.checked_sub(1.day()).ok()).map(|until| self.day(until));
                points.push(match (until, self.language) {
                    (Some(until), LetterLanguage::Ja) => {
                        format!("{category}:保存を続ける他の情報に必要なため、遅くとも{until}まで保存します")
                    }
                    (None, LetterLanguage::Ja) => format!("{category}:保存を続ける他の情報に必要なため"),
                    (Some(until), LetterLanguage::En) => {
                        format!("{category}: needed for what we keep, until {until} at the latest")
                    }
                    (None, LetterLanguage::En) => format!("{category}: needed for what we keep"),
                });
                continue;
            }
            let reason = rule
                .map(|rule| self.by_language(&rule.on_request.reason, &format!("`on_request.reason` of rule `{id}`")));
            let why = reason.transpose()?.flatten().or_else(|| rule.and_then(|rule| rule.legal_basis.clone()));
            let why = why.ok_or_else(|| {
                Stop::refused(format!(
                    "the letter cannot say why rows of {} stay: rule `{id}` has no `on_request.reason` and no `legal_basis`",
                    staying.table
                ))
            })?;
            let then = match rule.map(|rule| rule.disposition) {
                Some(Disposition::Anonymize) => self.choose("匿名化", "anonymised"),
                Some(Disposition::Pseudonymize) => self.choose("仮名化", "pseudonymised"),
                _ => self.choose("消去", "erased"),
            };
            // they are due on the day after the last one of their period
            let last = staying.until.and_then(|until| until.checked_sub(1.day()).ok());
            points.push(match (last.map(|until| self.day(until)), self.language) {
                (Some(until), LetterLanguage::Ja) => {
                    format!(
                        "{category}:{why}。{until}まで保存し、その後{then}します。それまで当該目的以外には利用しません"
                    )
                }
                (None, LetterLanguage::Ja) => format!("{category}:{why}"),
                (Some(until), LetterLanguage::En) => {
                    format!("{category}: {why}. Kept until {until} for that purpose only, then {then}")
                }
                (None, LetterLanguage::En) => format!("{category}: {why}"),
            });
        }
        points.dedup();
        let title = match (account.seen.map(|seen| self.day(seen)), self.language) {
            (None, _) => self.choose("保存を続ける情報", "What we keep"),
            (Some(seen), LetterLanguage::Ja) => format!("保存を続ける情報({seen}現在)"),
            (Some(seen), LetterLanguage::En) => format!("What we keep (as of {seen})"),
        };
        Ok((!points.is_empty()).then_some((title, points)))
    }

    /// Copies of what went.
    fn backups(&self, account: &Account) -> Option<(String, Vec<String>)> {
        let last = clock::today(account.history.last_at()?, &self.job.settings.time_zone);
        let until = self.day(self.job.settings.requests.backups?.after_day(last));
        let point = match self.language {
            LetterLanguage::Ja => {
                format!("{until}までに順次廃棄されます。復旧以外には用いず、復旧した場合は再度消去します")
            }
            LetterLanguage::En => {
                format!(
                    "Backup copies expire by {until}; they serve recovery only, and after a recovery we erase again"
                )
            }
        };
        Some((self.choose("バックアップ", "Backups"), vec![point]))
    }
}

/// The path of a rule means the table: `database.schema.table`.
fn names(path: &TablePath, table: &str) -> bool {
    let mut parts = table.splitn(3, '.');
    let (database, schema, name) = (parts.next(), parts.next(), parts.next());
    database == Some(path.database.as_str())
        && name == Some(path.table.as_str())
        && path.schema.as_deref().is_none_or(|own| schema == Some(own))
}
