//! `sunset request letter`: the answer to the person, in Japanese or English, as text and as HTML.
//!
//! What it says comes from the store and from the databases as they are now; a value that is missing stops it.

use super::{plan, request};
use crate::{
    cli::{Global, LetterLanguage, RequestLetterArgs},
    clock,
    commands::{Stop, console::Console, job as loading},
    file,
    job::Job,
    outcome::Outcome,
    rules::{RequestKind, Rule},
    store::{PersonRequest, RequestOutcome, Staying},
};
use anyhow::Context as _;
use askama::Template;
use jiff::{Timestamp, civil::Date};
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
    let is_served = request.served.values().any(|served| served.rows > 0);
    if let Some(closing) =
        request.closing.as_ref().filter(|closing| closing.outcome != RequestOutcome::Refused && !is_served)
    {
        let outcome = closing.outcome.word();
        return Err(Stop::refused(format!(
            "request {} is closed as {outcome}, and no run did anything for it: what was done by hand is known to nobody here",
            request.id
        )));
    }
    let stays = match &request.closing {
        None if !request.is_gone() => match plan::outlook(job, &request, now, console).await? {
            Ok(outlook) => outlook.stays,
            Err(stop) => return Ok(stop),
        },
        _ => request.stays.clone(),
    };
    let letter = Letter::of(job, &request, &stays, args.language, clock::today(now, &job.settings.time_zone))?;
    let Some(directory) = &args.out else {
        console.print(&letter.text())?;
        return Ok(Outcome::Done);
    };
    file::create_directory(directory).with_context(|| format!("{} cannot be made", directory.display()))?;
    let name = format!("request-{}-{}", request.id, letter.lang);
    for (ending, text) in [("txt", letter.text()), ("html", letter.render()?)] {
        let path = directory.join(format!("{name}.{ending}"));
        file::write(&path, text.as_bytes())
            .with_context(|| format!("the letter cannot be written to {}", path.display()))?;
        console.note(&format!("written: {}", path.display()));
    }
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
        stays: &[Staying],
        language: LetterLanguage,
        today: Date,
    ) -> anyhow::Result<Self> {
        let words = Words { language, job };
        let from = words.by_language(&job.settings.requests.from).ok_or_else(|| {
            Stop::invalid("who answers? `requests.from` in sunset.yaml has the company and its desk, by language")
        })?;
        let is_done = request.served.values().any(|served| served.rows > 0);
        // nothing could go, and that is an answer too
        let is_of_rules = matches!(request.kind, RequestKind::Erasure | RequestKind::Cease);
        let is_decided = is_done || is_of_rules && request.complete_at.is_some();
        let refused = request.closing.as_ref().filter(|closing| closing.outcome == RequestOutcome::Refused);
        let (mut paragraphs, mut parts) = (Vec::new(), Vec::new());
        let title = match (refused, is_done) {
            (Some(_), _) => words.decision(),
            (None, false) if is_decided => words.decision(),
            (None, true) => words.title(request.kind),
            (None, false) => words.choose("受付のお知らせ", "We have received your request"),
        };
        match (refused, is_done) {
            (Some(closing), _) => paragraphs.push(words.refusal(request, &closing.reason)),
            (None, true) => {
                paragraphs.push(words.opening(request));
                parts.extend(words.done(request));
                parts.extend(words.recipients(request));
            }
            (None, false) if is_decided => paragraphs.push(words.nothing(request)),
            (None, false) => paragraphs.push(words.receipt(request)),
        }
        if refused.is_some() || is_decided {
            parts.extend(words.open(request));
            parts.extend(words.stays(request, stays)?);
            parts.extend(words.backups(today));
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

    fn by_language(&self, texts: &BTreeMap<String, String>) -> Option<String> {
        let own = if self.language == LetterLanguage::Ja { "ja" } else { "en" };
        texts.get(own).or_else(|| texts.values().next()).cloned()
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

    fn title(&self, kind: RequestKind) -> String {
        match kind {
            RequestKind::Cease => self.choose("保有個人データの利用停止のお知らせ", "We have stopped using your data"),
            _ => self.choose("保有個人データの消去のお知らせ", "We have erased your data"),
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
                "{received}に受け付けました{kind}のご請求について確認しましたところ、現時点で措置の対象となる情報はありませんでした                 (個人情報保護法第35条第7項、第36条)。"
            ),
            LetterLanguage::En => format!(
                "We have looked into your request for {kind}, which we received on {received}: we hold nothing that it can be                  done for at present (APPI Art. 35(7), Art. 36)."
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

    /// What a rule's rows are called; its id where nobody has called them anything.
    fn category(&self, rule: &str) -> String {
        let category = self.rule(rule).map(|rule| rule.category.clone()).unwrap_or_default();
        let title = self.job.files.iter().find(|file| file.category.id == category);
        let title = title.and_then(|file| self.by_language(&file.category.title));
        title.unwrap_or(if category.is_empty() { rule.to_owned() } else { category })
    }

    fn done(&self, request: &PersonRequest) -> Option<(String, Vec<String>)> {
        let served = request.served.iter().filter(|(_, served)| served.rows > 0);
        let points: Vec<_> = served
            .map(|(rule, served)| {
                let category = self.category(rule);
                let how = match self.rule(rule).map(|rule| rule.disposition.to_string()).as_deref() {
                    Some("anonymize") => self.choose("匿名化", "anonymised"),
                    Some("pseudonymize") => self.choose("仮名化", "pseudonymised"),
                    Some("unlink") => self.choose("関連付けの解除", "unlinked from you"),
                    _ => self.choose("行の削除", "rows deleted from the live databases"),
                };
                let at = served.at.map(|at| self.moment(at)).unwrap_or_default();
                match self.language {
                    LetterLanguage::Ja => format!("{category}:{}件({how}、{at})", served.rows),
                    LetterLanguage::En => format!("{category}: {} ({how}, {at})", rows(served.rows)),
                }
            })
            .collect();
        let mut points = points;
        if let Some(at) = request.complete_at {
            let at = self.moment(at);
            points.push(match self.language {
                LetterLanguage::Ja => format!("{at}に照会し、該当する行がないことを確認しました"),
                LetterLanguage::En => format!("a query on {at} found none of them left"),
            });
        }
        (!points.is_empty()).then(|| (self.choose("消去等を行った情報", "What we have done"), points))
    }

    /// Whom the rules ask that did something. Nothing here knows what each of them answered for this person, so nobody is said
    /// to have erased anything.
    fn recipients(&self, request: &PersonRequest) -> Option<(String, Vec<String>)> {
        let mut points = Vec::new();
        for (rule, _) in request.served.iter().filter(|(_, served)| served.rows > 0) {
            for recipient in self.rule(rule).iter().flat_map(|rule| &rule.recipients) {
                let state = self.choose("依頼の対象", "among those who are asked");
                points.push(format!("{} — {} — {state}", recipient.name, self.category(rule)));
            }
        }
        points.sort();
        points.dedup();
        (!points.is_empty()).then(|| (self.choose("委託先・提供先等", "Entrustees and recipients"), points))
    }

    /// What could go and has not.
    fn open(&self, request: &PersonRequest) -> Option<(String, Vec<String>)> {
        let left = request.served.iter().filter(|(_, served)| served.left > 0);
        let points: Vec<_> = left
            .map(|(rule, served)| match self.language {
                LetterLanguage::Ja => format!("{}:{}件は手続き中です", self.category(rule), served.left),
                LetterLanguage::En => format!("{}: {} not through yet", self.category(rule), rows(served.left)),
            })
            .collect();
        (!points.is_empty()).then(|| (self.choose("手続き中の情報", "What is still open"), points))
    }

    fn stays(&self, request: &PersonRequest, stays: &[Staying]) -> anyhow::Result<Option<(String, Vec<String>)>> {
        let mut points = Vec::new();
        for staying in stays.iter().filter(|staying| staying.rows > 0) {
            if !staying.unclear.is_empty() {
                let category = staying.rule.as_deref().map(|rule| self.category(rule)).unwrap_or_default();
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
            let Some(rule) = staying.rule.as_deref() else {
                return Err(Stop::refused(format!(
                    "the letter cannot say until when {} rows of {} stay: no rule governs them",
                    staying.rows, staying.table
                )));
            };
            let why = self.rule(rule).and_then(|rule| {
                let reason = self.by_language(&rule.on_request.reason);
                reason.or_else(|| rule.legal_basis.clone())
            });
            if self.rule(rule).is_some_and(|rule| rule.answers(request.kind)) {
                let needed = self.choose("保存を続ける他の情報に必要なため", "needed for what we keep");
                points.push(match self.language {
                    LetterLanguage::Ja => format!("{}:{needed}", self.category(rule)),
                    LetterLanguage::En => format!("{}: {needed}", self.category(rule)),
                });
                continue;
            }
            let why = why.ok_or_else(|| {
                Stop::refused(format!(
                    "the letter cannot say why rows of {} stay: rule `{rule}` has no `on_request.reason` and no `legal_basis`",
                    staying.table
                ))
            })?;
            let category = self.category(rule);
            let then = match self.rule(rule).map(|rule| rule.disposition.to_string()).as_deref() {
                Some("anonymize") => self.choose("匿名化", "anonymised"),
                Some("pseudonymize") => self.choose("仮名化", "pseudonymised"),
                _ => self.choose("消去", "erased"),
            };
            points.push(match (staying.until.map(|until| self.day(until)), self.language) {
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
        Ok((!points.is_empty()).then(|| (self.choose("保存を続ける情報", "What we keep"), points)))
    }

    fn backups(&self, today: Date) -> Option<(String, Vec<String>)> {
        let until = self.day(self.job.settings.requests.backups?.after_day(today));
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
