//! The web and marketing database. People with a low number are customers, and have the same name and member hash there.

use super::{
    Company, Somebody,
    calendar::{days, months, next, years, years_and_months},
    names,
    random::Random,
    sink::{Sink, row},
};
use jiff::{
    ToSpan,
    civil::{Date, DateTime},
    tz::TimeZone,
};
use std::collections::BTreeMap;

const SCHEMA: &str = include_str!("schema/web.mariadb.sql");

/// Parents before children.
const TABLES: &[&str] = &[
    "applications",
    "application_documents",
    "marketing_profiles",
    "email_deliveries",
    "web_events",
    "ad_views",
    "outcome_identifiers",
    "affiliate_returns",
    "session_recordings",
    "analytics_identifiers",
    "bot_scores",
    "campaigns",
    "prize_entries",
    "survey_answers",
    "inquiries",
    "inquiry_texts",
    "mail_consents",
    "suppression_entries",
];

const ROUTES: [&str; 6] = ["google/cpc", "yahoo/cpc", "affiliate/a8", "direct", "line/social", "mail/newsletter"];

struct Site<'a> {
    company: &'a Company,
    sink: Sink,
    random: Random,
    people: u32,
}

pub async fn fill(company: &Company, url: &str) -> sqlx::Result<BTreeMap<&'static str, u64>> {
    let mut sink = Sink::open(url, TABLES).await?;
    sink.script(SCHEMA).await?;
    let mut site = Site { company, sink, random: company.random(2), people: 0 };
    for _ in 0..company.customers {
        site.visitor();
        site.sink.breathe().await?;
    }
    site.campaigns();
    // people who are there for the sake of a night have numbers that no customer has
    site.people = 500_000_000;
    site.boundaries();
    site.sink.finish().await
}

impl Site<'_> {
    fn somebody(&mut self) -> Somebody {
        self.people += 1;
        Somebody::new(self.company.seed, self.people)
    }

    /// A day that is more likely to be a recent one, up to the end of all that is made.
    fn lately(&mut self, back: i32) -> Date {
        let (today, until) = (self.company.today, self.company.until);
        let first = today - back.months();
        let days = u32::try_from((until - first).get_days()).unwrap_or(0);
        let back = if until > today { self.random.below(days + 1) } else { self.random.skewed(days + 1) };
        until - i64::from(back).days()
    }

    fn moment(&mut self, day: Date) -> DateTime {
        Company::time(&mut self.random, day)
    }

    /// Somebody who came by: an application, perhaps a profile, an inquiry, and what the site wrote down.
    fn visitor(&mut self) {
        let who = self.somebody();
        let day = self.lately(20);
        let status =
            self.random.pick(&["accepted", "accepted", "accepted", "abandoned", "declined", "draft", "under_review"]);
        let at = self.moment(day);
        let handed = (status == "accepted" && !self.random.percent(3)).then_some(next(day));
        self.application(&who, status, at, handed);
        if self.random.percent(60) {
            let given = self.lately(60);
            let active = given + i64::from(self.random.skewed(700)).days();
            let withdrawn = self.random.percent(20).then(|| given + i64::from(self.random.skewed(900)).days());
            self.profile(&who, given, active, withdrawn);
            self.consent(&who, given, withdrawn, Some(active));
        }
        if self.random.percent(30) {
            let received = self.lately(36);
            let closed = self.random.percent(90).then(|| received + i64::from(self.random.skewed(20)).days());
            let closed = closed.map(|day| self.moment(day));
            self.inquiry(&who, self.company.today.min(received).at(10, 0, 0, 0), closed, closed.is_some());
        }
        // a few look at everything, most at nearly nothing
        for _ in 0..self.random.skewed(self.company.days_of_usage / 2 + 2) {
            let day = self.lately(16);
            let at = self.moment(day);
            self.event(&who, at);
            if self.random.percent(40) {
                self.ad_view(&who, at);
            }
            if self.random.percent(5) {
                self.score(at);
            }
        }
        if self.random.percent(15) {
            let finalised = self.lately(8);
            let finalised = (!self.random.percent(8)).then_some(finalised);
            self.outcome(&who, finalised);
            self.returned(&who, finalised);
        }
        if self.random.percent(10) {
            let day = self.lately(2);
            let at = self.moment(day);
            self.recording(&who, at);
        }
        if self.random.percent(10) {
            let day = self.lately(3);
            self.browser(&who, day);
        }
    }

    fn application(&mut self, who: &Somebody, status: &str, at: DateTime, handed: Option<Date>) {
        let id = self.sink.id("applications");
        let known = !self.random.percent(15); // drafts are often half empty
        let some = |text: &str| known.then(|| text.to_owned());
        self.sink.put(
            "applications",
            &row![
                id,
                format!("AP{id:09}"),
                some(&who.family),
                some(&who.given),
                some(&who.family_kana),
                some(&who.given_kana),
                who.email.as_str(),
                some(&who.phone),
                known.then_some(who.birth_date),
                known.then_some(who.person.gender),
                who.address.postal_code.as_str(),
                some(&who.address.line()),
                status,
                at - 2.hours(),
                at,
                handed,
            ],
        );
        for kind in ["driving_licence_front", "driving_licence_back"] {
            if self.random.percent(40) {
                let document = self.sink.id("application_documents");
                self.sink.put("application_documents", &row![document, id, kind, format!("JFIF{id}").into_bytes()]);
            }
        }
    }

    fn profile(&mut self, who: &Somebody, given: Date, active: Date, withdrawn: Option<Date>) {
        let id = self.sink.id("marketing_profiles");
        let phone = (!self.random.percent(30)).then_some(who.phone.as_str());
        let interests = self.random.pick(&["旅行", "動画", "テレワーク", "ゲーム"]);
        self.sink.put(
            "marketing_profiles",
            &row![
                id,
                who.member_hash.as_str(),
                who.email.as_str(),
                phone,
                interests,
                "Wi-Fiルーター",
                given,
                withdrawn,
                active
            ],
        );
        for _ in 0..self.random.skewed(5) {
            let day = self.lately(16);
            let sent = self.moment(day);
            self.delivery(Some(id), sent);
        }
    }

    fn delivery(&mut self, profile: Option<i64>, sent: DateTime) {
        let id = self.sink.id("email_deliveries");
        let opened = self.random.percent(30).then(|| sent + i64::from(self.random.skewed(90_000)).seconds());
        let clicked = opened.filter(|_| self.random.percent(20));
        let address = opened.map(|_| names::ip_address(&mut self.random));
        let code = format!("NL{}", sent.strftime("%Y%m"));
        self.sink.put("email_deliveries", &row![id, profile, code, sent, opened, clicked, address]);
    }

    fn consent(&mut self, who: &Somebody, given: Date, withdrawn: Option<Date>, last: Option<Date>) {
        let id = self.sink.id("mail_consents");
        let last = last.map(|last| withdrawn.map_or(last, |withdrawn| last.min(withdrawn)));
        let none: Option<Date> = None;
        let given = given.at(12, 0, 0, 0);
        self.sink.put("mail_consents", &row![id, who.email.as_str(), "申込フォーム", given, withdrawn, last, none]);
        if let Some(withdrawn) = withdrawn {
            self.suppression(withdrawn, None);
        }
    }

    fn suppression(&mut self, added: Date, ended: Option<Date>) {
        let id = self.sink.id("suppression_entries");
        let hash: String = (0..8).map(|_| format!("{:08x}", self.random.below(u32::MAX))).collect();
        self.sink.put("suppression_entries", &row![id, hash, added, ended]);
    }

    fn inquiry(&mut self, who: &Somebody, received: DateTime, closed: Option<DateTime>, over: bool) {
        let id = self.sink.id("inquiries");
        let status = if over { "closed" } else { "open" };
        self.sink
            .put("inquiries", &row![id, who.name(), who.email.as_str(), who.phone.as_str(), status, received, closed]);
        for body in ["{}です。通信速度が遅く、困っています。", "{}です。住所が変わりました。"]
            .iter()
            .take(1 + self.random.below(2) as usize)
        {
            let text = self.sink.id("inquiry_texts");
            self.sink.put("inquiry_texts", &row![text, id, received, body.replace("{}", &who.name())]);
        }
    }

    fn event(&mut self, who: &Somebody, at: DateTime) {
        let id = self.sink.id("web_events");
        // some were signed in, some of those under a hash that no member has any more
        let member = match self.random.below(10) {
            0..3 => Some(who.member_hash.clone()),
            3 => Some(format!("{:024x}", self.random.below(u32::MAX))),
            _ => None,
        };
        let url = self.random.pick(&["/", "/plans", "/plans/unlimited", "/order", "/support/faq"]);
        let product = self.random.percent(40).then_some("MR-200");
        let (route, address) = (self.random.pick(&ROUTES), names::ip_address(&mut self.random));
        let visitor = format!("v{}", who.member_hash);
        self.sink.put("web_events", &row![id, visitor, member, at, url, route, product, address]);
    }

    fn ad_view(&mut self, who: &Somebody, at: DateTime) {
        let id = self.sink.id("ad_views");
        let platform = self.random.pick(&["google", "yahoo", "meta", "criteo", "x"]);
        self.sink.put("ad_views", &row![id, platform, format!("v{}", who.member_hash), "2026-spring", at]);
    }

    fn score(&mut self, at: DateTime) {
        let id = self.sink.id("bot_scores");
        let score = format!("0.{}", self.random.below(10));
        let seconds = at.to_zoned(TimeZone::get("Asia/Tokyo").unwrap()).unwrap().timestamp().as_second();
        let address = names::ip_address(&mut self.random);
        self.sink.put("bot_scores", &row![id, "order", address, score, seconds]);
    }

    fn outcome(&mut self, who: &Somebody, finalised: Option<Date>) {
        let id = self.sink.id("outcome_identifiers");
        let network = self.random.pick(&["A8.net", "ValueCommerce", "Accesstrade"]);
        let member = self.random.percent(80).then_some(who.member_hash.as_str());
        let sent = finalised.unwrap_or(self.company.today) - 45.days();
        self.sink.put(
            "outcome_identifiers",
            &row![
                id,
                network,
                format!("OD{id:09}"),
                format!("clk-{:08x}", self.random.below(u32::MAX)),
                member,
                self.random.between(10, 80) * 100,
                sent.at(15, 0, 0, 0),
                finalised,
            ],
        );
    }

    fn returned(&mut self, who: &Somebody, finalised: Option<Date>) {
        let id = self.sink.id("affiliate_returns");
        let theirs = (!self.random.percent(20)).then(|| format!("AG-{id:08}"));
        let agency = self.random.pick(&["代理店A", "代理店B"]);
        let (cookie, route) = (format!("ck{}", who.member_hash), self.random.pick(&ROUTES));
        let customer = self.random.percent(50).then(|| format!("MP{:08}", self.people));
        let at = finalised.unwrap_or(self.company.today) - 40.days();
        self.sink
            .put("affiliate_returns", &row![id, agency, theirs, cookie, route, customer, at.at(3, 0, 0, 0), finalised]);
    }

    fn recording(&mut self, who: &Somebody, at: DateTime) {
        let id = self.sink.id("session_recordings");
        let member = self.random.percent(30).then_some(who.member_hash.as_str());
        let visitor = format!("s{id:07}{:08x}", self.random.below(u32::MAX));
        self.sink.put("session_recordings", &row![id, visitor, member, at]);
    }

    fn browser(&mut self, who: &Somebody, seen: Date) {
        let id = self.sink.id("analytics_identifiers");
        let client = format!("{}.{id:010}", self.random.below(u32::MAX));
        let member = self.random.percent(30).then_some(who.member_hash.as_str());
        self.sink.put("analytics_identifiers", &row![id, client, member, seen]);
    }

    fn campaign(&mut self, ended: Date, delivered: Option<Date>, entries: u32) {
        let id = self.sink.id("campaigns");
        self.sink.put("campaigns", &row![id, format!("CP{id:06}"), "春の新生活キャンペーン", ended, delivered]);
        for _ in 0..entries {
            let number = self.random.below(self.company.customers.max(1)) + 1;
            let who = Somebody::new(self.company.seed, number);
            let entry = self.sink.id("prize_entries");
            let phone = (!self.random.percent(20)).then_some(who.phone.as_str());
            let (postal, line, won) = (who.address.postal_code.as_str(), who.address.line(), self.random.percent(5));
            self.sink.put("prize_entries", &row![entry, id, who.name(), postal, line, phone, won]);
            let answer = self.sink.id("survey_answers");
            let band = self.random.pick(&["10s", "20s", "30s", "40s", "50s", "60s"]);
            let email = self.random.percent(50).then_some(who.email.as_str());
            let remarks = self.random.percent(10).then(|| format!("{}です。応援しています。", who.family));
            self.sink.put("survey_answers", &row![answer, id, email, band, r#"{"q1": 4, "q2": "使い放題"}"#, remarks]);
        }
    }

    fn campaigns(&mut self) {
        for _ in 0..6 {
            let ended = self.lately(12);
            let delivered = (!self.random.percent(20)).then(|| ended + 40.days());
            self.campaign(ended, delivered, self.company.customers / 10 + 1);
        }
    }

    /// Rows around every cut-off.
    fn boundaries(&mut self) {
        let company = self.company;
        for at in Company::moments_around(&company.nights, days(60)) {
            let who = self.somebody();
            self.application(&who, "abandoned", at, None);
            let who = self.somebody();
            self.application(&who, "accepted", at - 24.hours(), Some(at.date()));
            // old, and still being looked at: it stays
            let who = self.somebody();
            self.application(&who, "under_review", at, None);
        }
        for day in Company::around(&company.asked_nights, days(14)) {
            let who = self.somebody();
            self.profile(&who, day - 1.year(), day, Some(day));
        }
        for day in Company::around(&company.asked_nights, years(2)) {
            let who = self.somebody();
            self.profile(&who, day - 1.year(), day, None);
        }
        for at in Company::moments_around(&company.nights, months(12)) {
            let who = self.somebody();
            self.delivery(None, at);
            self.event(&who, at);
            self.ad_view(&who, at);
        }
        for day in Company::around(&company.nights, months(3)) {
            let who = self.somebody();
            self.outcome(&who, Some(day));
            self.returned(&who, Some(day));
        }
        for at in Company::moments_around(&company.nights, days(14)) {
            let who = self.somebody();
            self.recording(&who, at);
            self.score(at);
        }
        for day in Company::around(&company.asked_nights, months(1)) {
            let who = self.somebody();
            self.browser(&who, day);
        }
        // 30 days for complaints, then 60: both count from the next day
        for day in Company::around(&company.nights, days(90)) {
            self.campaign(day - 40.days(), Some(day), 1);
        }
        for period in [months(11), years_and_months(1, 11)] {
            for at in Company::moments_around(&company.nights, period) {
                let who = self.somebody();
                self.inquiry(&who, at - 48.hours(), Some(at), true);
            }
        }
        for day in Company::around(&company.nights, days(0)) {
            let who = self.somebody();
            self.consent(&who, day - 1.year(), Some(day), Some(day));
        }
        for day in Company::around(&company.nights, years(3)) {
            let who = self.somebody();
            self.consent(&who, day - 1.year(), None, Some(day));
            self.suppression(day - 1.year(), Some(day));
        }
    }
}
