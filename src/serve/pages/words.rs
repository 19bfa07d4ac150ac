//! What the pages say, in English and Japanese. Names of rules, tables and recipients stay as they are.

use crate::{ledger::RuleResult, outcome::Outcome, output};
use jiff::{SignedDuration, Timestamp};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    English,
    Japanese,
}

impl Language {
    /// What `?lang=` asks for; otherwise what the browser likes best, English where it likes neither.
    pub fn choose(query: Option<&str>, accept_language: Option<&str>) -> Self {
        let known = |tag: &str| match tag.trim().split('-').next().unwrap_or_default().to_ascii_lowercase().as_str() {
            "en" => Some(Self::English),
            "ja" => Some(Self::Japanese),
            _ => None,
        };
        let asked = query.into_iter().flat_map(|query| query.split('&')).find_map(|pair| pair.strip_prefix("lang="));
        if let Some(language) = asked.and_then(known) {
            return language;
        }
        let mut best = (0.0, Self::English);
        for part in accept_language.unwrap_or_default().split(',') {
            let (tag, quality) = part.split_once(';').unwrap_or((part, "q=1"));
            let quality: f32 = quality.trim().strip_prefix("q=").and_then(|q| q.trim().parse().ok()).unwrap_or(0.0);
            if let Some(language) = known(tag)
                && quality > best.0
            {
                best = (quality, language);
            }
        }
        best.1
    }

    pub fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Japanese => "ja",
        }
    }

    /// The other one.
    pub fn other(self) -> Self {
        match self {
            Self::English => Self::Japanese,
            Self::Japanese => Self::English,
        }
    }

    /// Its own name.
    pub fn name(self) -> &'static str {
        match self {
            Self::English => "English",
            Self::Japanese => "日本語",
        }
    }

    pub fn words(self) -> &'static Words {
        match self {
            Self::English => &ENGLISH,
            Self::Japanese => &JAPANESE,
        }
    }

    /// How far two times are apart, in one unit: `3 hours`.
    fn distance(self, duration: SignedDuration) -> String {
        let seconds = duration.unsigned_abs().as_secs();
        let (number, unit) = match seconds {
            0..120 => (seconds, 0),
            120..7200 => (seconds / 60, 1),
            7200..172_800 => (seconds / 3600, 2),
            _ => (seconds / 86_400, 3),
        };
        match self {
            Self::English => {
                let unit = ["second", "minute", "hour", "day"][unit];
                format!("{} {unit}{}", output::count(number), if number == 1 { "" } else { "s" })
            }
            Self::Japanese => format!("{}{}", output::count(number), ["秒", "分", "時間", "日"][unit]),
        }
    }

    /// `3 hours ago`, `in 5 minutes`.
    pub fn relative(self, at: Timestamp, now: Timestamp) -> String {
        let apart = now.duration_since(at);
        let distance = self.distance(apart);
        match (self, apart.is_negative()) {
            (Self::English, false) => format!("{distance} ago"),
            (Self::English, true) => format!("in {distance}"),
            (Self::Japanese, false) => format!("{distance}前"),
            (Self::Japanese, true) => format!("{distance}後"),
        }
    }

    /// A length of time: `3 hours`.
    pub fn length(self, duration: SignedDuration) -> String {
        match duration.unsigned_abs().as_millis() {
            milliseconds @ 0..10_000 => {
                let tenths = milliseconds / 100;
                let unit = if self == Self::English { " s" } else { "秒" };
                format!("{}.{}{unit}", tenths / 10, tenths % 10)
            }
            _ => self.distance(duration),
        }
    }

    pub fn result(self, result: RuleResult) -> &'static str {
        match (self, result) {
            (Self::English, result) => output::result(result),
            (Self::Japanese, RuleResult::Done) => "完了",
            (Self::Japanese, RuleResult::NothingDue) => "対象なし",
            (Self::Japanese, RuleResult::ExplainedRest) => "完了（理由のある残りあり）",
            (Self::Japanese, RuleResult::Refused) => "拒否",
            (Self::Japanese, RuleResult::Failed) => "失敗",
            (Self::Japanese, RuleResult::Temporary) => "再試行待ち",
            (Self::Japanese, RuleResult::Backlog) => "時間切れ・残りあり",
        }
    }

    pub fn outcome(self, outcome: Outcome) -> &'static str {
        match (self, outcome) {
            (Self::English, Outcome::Done) => "done",
            (Self::English, Outcome::Backlog) => "time was up",
            (Self::English, Outcome::Temporary) => "try again",
            (Self::English, Outcome::Failed) => "rules failed",
            (Self::English, Outcome::Refused) => "refused",
            (Self::English, Outcome::Invalid) => "rules or settings wrong",
            (Self::English, Outcome::Found) => "gaps found",
            (Self::English, Outcome::Unexpected) => "broke down",
            (Self::Japanese, Outcome::Done) => "完了",
            (Self::Japanese, Outcome::Backlog) => "時間切れ・残りあり",
            (Self::Japanese, Outcome::Temporary) => "再試行待ち",
            (Self::Japanese, Outcome::Failed) => "一部のルールが失敗",
            (Self::Japanese, Outcome::Refused) => "拒否",
            (Self::Japanese, Outcome::Invalid) => "ルールまたは設定の誤り",
            (Self::Japanese, Outcome::Found) => "要確認",
            (Self::Japanese, Outcome::Unexpected) => "異常終了",
        }
    }

    pub fn disposition(self, disposition: &str) -> String {
        let word = match (self, disposition) {
            (Self::Japanese, "erase") => "消去",
            (Self::Japanese, "anonymize") => "匿名化",
            (Self::Japanese, "pseudonymize") => "仮名化",
            (Self::Japanese, "unlink") => "関連付けの解除",
            (_, other) => other,
        };
        word.to_owned()
    }

    /// `rule a: 3 rows are overdue`.
    pub fn overdue(self, rule: &str, rows: u64) -> String {
        let rows = output::count(rows);
        match self {
            Self::English => format!("Rule {rule}: {rows} rows are overdue."),
            Self::Japanese => format!("ルール {rule}：{rows} 件が消去期限を過ぎています。"),
        }
    }

    pub fn last_run_was(self, rule: &str, result: RuleResult) -> String {
        let result = self.result(result);
        match self {
            Self::English => format!("Rule {rule}: its last run ended with “{result}”."),
            Self::Japanese => format!("ルール {rule}：直近の実行結果は「{result}」です。"),
        }
    }

    pub fn missed(self, rule: &str, time: &str) -> String {
        match self {
            Self::English => format!("Rule {rule}: the run of {time} was missed, and it was too late to catch it up."),
            Self::Japanese => {
                format!("ルール {rule}：{time} の実行を逃し、追いかけ実行の期限も過ぎました。")
            }
        }
    }

    pub fn past_deadline(self, recipient: &str, rows: u64) -> String {
        let rows = output::count(rows);
        match self {
            Self::English => format!("Recipient {recipient}: {rows} rows wait for it past their deadline."),
            Self::Japanese => format!("提供先 {recipient}：{rows} 件が期限を過ぎても回答待ちです。"),
        }
    }

    pub fn notice_overdue(self, recipient: &str, notice: &str) -> String {
        match self {
            Self::English => format!("Recipient {recipient}: notice {notice} should have been confirmed by now."),
            Self::Japanese => format!("提供先 {recipient}：通知 {notice} の確認期限が過ぎています。"),
        }
    }

    pub fn cut_off(self, batches: u64) -> String {
        match self {
            Self::English => format!("{batches} batches were cut off; the next run settles them."),
            Self::Japanese => format!("中断されたバッチが {batches} 件あります。次回の実行で解決されます。"),
        }
    }

    pub fn paused(self, by: &str, since: &str, until: Option<&str>, reason: Option<&str>) -> String {
        match self {
            Self::English => {
                let until = until.map(|until| format!(" until {until}")).unwrap_or_default();
                let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
                format!("Paused by {by} since {since}{until}{reason}")
            }
            Self::Japanese => {
                let until = until.map(|until| format!("、{until} まで")).unwrap_or_default();
                let reason = reason.map(|reason| format!("（{reason}）")).unwrap_or_default();
                format!("{by} が {since} から一時停止中です{until}{reason}")
            }
        }
    }

    /// `12 rules`.
    pub fn rules(self, number: usize) -> String {
        match self {
            Self::English => format!("{number} rules"),
            Self::Japanese => format!("{number} ルール"),
        }
    }

    pub fn running(self, rules: &str) -> String {
        match self {
            Self::English => format!("Running now: {rules}"),
            Self::Japanese => format!("実行中：{rules}"),
        }
    }

    /// `rule a, 200 of 1,000 rows`.
    pub fn progress(self, rule: &str, done: u64, rows: u64) -> String {
        let (done, rows) = (output::count(done), output::count(rows));
        match self {
            Self::English => format!("at rule {rule}, {done} of {rows} rows"),
            Self::Japanese => format!("ルール {rule} を処理中、{rows} 件中 {done} 件"),
        }
    }
}

macro_rules! words {
    ($($name:ident: $english:literal, $japanese:literal;)*) => {
        /// A text in each language.
        pub struct Words { $(pub $name: &'static str,)* }
        static ENGLISH: Words = Words { $($name: $english,)* };
        static JAPANESE: Words = Words { $($name: $japanese,)* };
    };
}

words! {
    overview: "Overview", "概要";
    rules: "Rules", "ルール";
    recipients: "Recipients", "提供先";
    ledger: "Ledger", "台帳";
    pages: "Pages", "ページ";
    skip_to_content: "Skip to the content", "本文へ移動";
    in_language: "Read in", "表示言語";
    read_only: "These pages only show. They hold no personal data.", "このページは表示専用です。個人データは含まれません。";
    version: "Sunset", "Sunset";
    job: "Job", "ジョブ";
    time_zone: "Time zone", "タイムゾーン";
    loaded: "Rules read", "ルールの読込";
    shown: "As of", "表示時刻";
    none: "–", "–";

    due: "Due", "消去対象";
    overdue: "Overdue", "消去期限超過";
    held: "On hold", "消去停止中";
    refused: "Refused", "拒否";
    next_run: "Next run", "次回の実行";
    last_run: "Last run", "直近の実行";
    nothing_scheduled: "Nothing is scheduled", "予定はありません";
    no_run_yet: "No run yet", "まだ実行されていません";
    due_hint: "rows past their retention period", "保存期間が満了した行";
    overdue_hint: "rows past their regular deletion period", "消去期限を過ぎた行";
    held_hint: "rows kept by a hold", "消去停止により残している行";

    attention: "What needs attention", "要対応";
    all_well: "Nothing needs attention.", "対応が必要な事項はありません。";
    files_fault: "Files changed, and what they say cannot be used. The rules from before stay in force.",
        "ファイルが変更されましたが、内容に誤りがあります。以前のルールが引き続き有効です。";
    since: "since", "検出：";
    show_details: "What is wrong", "誤りの内容";
    store_fault: "The store cannot be read, so nothing can be said about rows, runs and recipients.",
        "ストアを読み取れないため、行・実行・提供先の状況を表示できません。";
    draining: "This server was asked to stop. Nothing new begins.", "停止要求を受けました。新しい実行は開始されません。";

    categories: "What is due, by data category", "データ種別ごとの消去対象";
    category: "Data category", "データ種別";
    number_of_rules: "Rules", "ルール数";
    oldest_overdue: "Overdue for", "最長の超過期間";
    counted: "Counted", "集計時刻";
    never_counted: "not counted yet", "未集計";
    counted_hint: "Rows are counted by plans and runs, not by this page: the numbers are as old as they say.",
        "件数は計画または実行の際に集計されたものです。このページを開いても再集計されません。";

    rule: "Rule", "ルール";
    table: "Table", "テーブル";
    disposition: "Disposition", "処分方法";
    schedule: "Schedule", "スケジュール";
    no_schedule: "no schedule", "スケジュールなし";
    last_result: "Result", "結果";
    disposed: "Disposed of", "処分した行";
    disposed_in_all: "in all", "累計";
    rules_caption: "Rules with their next and last run", "ルールと次回・直近の実行";
    never_ran: "never", "未実行";
    skipped: "skipped", "省略";
    why_skipped_running: "still running", "前回が実行中";
    why_skipped_closed: "the run window was closed", "実行時間帯の外";
    why_skipped_missed: "missed", "実行漏れ";

    recipients_caption: "Recipients and what they still have to do", "提供先と未処理の依頼";
    recipient: "Recipient", "提供先";
    kind: "Kind", "種別";
    asked: "Asked about", "依頼した人数";
    confirmed: "Deleted or unknown", "消去済み・該当なし";
    pending: "Accepted, not finished", "受付済み・処理中";
    open: "Refused or unreachable", "拒否・応答なし";
    waiting: "Rows that wait", "回答待ちの行";
    past_deadline_head: "Past deadline", "回答期限超過";
    oldest: "Oldest request", "最も古い依頼";
    no_recipients: "This job has no recipients.", "このジョブに提供先はありません。";
    persons_hint: "Persons are counted, never named.", "人数のみを表示し、個人を特定する情報は表示しません。";
    notices_caption: "Deletion notices that await a confirmation", "確認待ちの削除通知";
    notice: "Notice", "通知";
    persons: "Persons", "人数";
    open_persons: "Unconfirmed", "未確認";
    sent: "Sent", "送付日時";
    due_by: "Confirm by", "確認期限";
    reminded: "Reminded", "督促日時";

    head: "Head of the ledger", "台帳の先頭";
    entries: "Entries", "エントリ数";
    hash: "Hash of the last entry", "最終エントリのハッシュ";
    written: "Last entry written", "最終エントリの記録時刻";
    signed: "Signed by a checkpoint", "署名済みのエントリ";
    unsigned: "Not yet signed", "未署名のエントリ";
    open_batches: "Batches cut off", "中断されたバッチ";
    holds: "Holds in force", "有効な消去停止";
    empty_ledger: "The ledger is empty: nothing has run yet.", "台帳は空です。まだ実行されていません。";
    verify_hint: "This page does not verify the ledger; the command “sunset ledger verify” does.",
        "このページは台帳を検証しません。検証にはコマンド「sunset ledger verify」を使います。";
    runs_caption: "The last runs, newest first", "直近の実行（新しい順）";
    run: "Run", "実行";
    started: "Began", "開始";
    took: "Took", "所要時間";
    outcome: "Outcome", "結果";

    not_found: "There is no such page.", "ページが見つかりません。";
    unauthorized: "A token is needed.", "トークンが必要です。";
    unauthorized_hint: "Send it as a bearer token. A browser may give it as the password, with any user name.",
        "ベアラートークンとして送信してください。ブラウザではパスワード欄に入力します（ユーザー名は任意）。";
    wrong_host: "This server answers under the name of its own machine alone.", "このサーバーは自身のホスト名でのみ応答します。";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chooses_a_language() {
        let choose = |query, accept| Language::choose(query, accept).tag();
        assert_eq!(choose(None, None), "en");
        assert_eq!(choose(None, Some("ja")), "ja");
        assert_eq!(choose(None, Some("de-DE,de;q=0.9,ja;q=0.8,en;q=0.7")), "ja");
        assert_eq!(choose(None, Some("en-GB,ja;q=0.9")), "en");
        assert_eq!(choose(None, Some("ja-JP;q=0.3, en;q=0.5")), "en");
        assert_eq!(choose(None, Some("en;q=0,ja;q=0.1")), "ja");
        assert_eq!(choose(None, Some("fr,*;q=0.5")), "en");
        assert_eq!(choose(Some("lang=ja"), Some("en")), "ja");
        assert_eq!(choose(Some("x=1&lang=en"), Some("ja")), "en");
        assert_eq!(choose(Some("lang=tlh"), Some("ja")), "ja");
    }

    #[test]
    fn tells_how_long_ago() {
        let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        let at = |time: &str| -> Timestamp { time.parse().unwrap() };
        let english = |time| Language::English.relative(at(time), now);
        assert_eq!(english("2026-11-22T11:59:59Z"), "1 second ago");
        assert_eq!(english("2026-11-22T10:00:01Z"), "119 minutes ago");
        assert_eq!(english("2026-11-22T09:30:00Z"), "2 hours ago");
        assert_eq!(english("2026-11-22T12:05:00Z"), "in 5 minutes");
        assert_eq!(Language::Japanese.relative(at("2026-11-19T12:00:00Z"), now), "3日前");
        assert_eq!(Language::Japanese.relative(at("2026-11-22T15:00:00Z"), now), "3時間後");
        assert_eq!(Language::English.length(SignedDuration::from_millis(2340)), "2.3 s");
        assert_eq!(Language::Japanese.length(SignedDuration::from_secs(600)), "10分");
    }
}
