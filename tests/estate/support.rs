//! The support tool's database.

use super::{
    Company, Somebody,
    calendar::{days, months, years, years_and_months},
    random::Random,
    sink::{Sink, row},
};
use jiff::{
    ToSpan,
    civil::{Date, DateTime},
};
use std::collections::BTreeMap;

const SCHEMA: &str = include_str!("schema/support.sqlite.sql");

/// Parents before children.
const TABLES: &[&str] = &["tickets", "ticket_messages", "rights_requests", "rights_request_proofs"];

struct Desk<'a> {
    company: &'a Company,
    sink: Sink,
    random: Random,
}

pub async fn fill(company: &Company, url: &str) -> sqlx::Result<BTreeMap<&'static str, u64>> {
    let mut sink = Sink::open(url, TABLES).await?;
    sink.script(SCHEMA).await?;
    let mut desk = Desk { company, sink, random: company.random(3) };
    let today = company.today;
    for _ in 0..company.customers {
        // a few call every week
        for _ in 0..desk.random.skewed(4) {
            let opened = Company::day(&mut desk.random, today - 3.years(), company.until);
            let at = Company::time(&mut desk.random, opened);
            let closed = desk.random.percent(92).then(|| at + i64::from(desk.random.skewed(1_000_000)).seconds());
            // closed by hand, and nobody noted when
            let forgotten = closed.is_none() && desk.random.percent(20);
            desk.ticket(at, closed, closed.is_some() || forgotten);
        }
        if desk.random.percent(2) {
            let received = Company::day(&mut desk.random, today - 4.years(), company.until);
            let closed = desk.random.percent(85).then(|| received + i64::from(desk.random.skewed(40)).days());
            desk.request(received, closed);
        }
        desk.sink.breathe().await?;
    }
    for period in [months(11), years_and_months(1, 11)] {
        for at in Company::moments_around(&company.nights, period) {
            desk.ticket(at - 50.hours(), Some(at), true);
        }
    }
    for period in [days(0), years(2)] {
        for day in Company::around(&company.nights, period) {
            desk.request(day - 20.days(), Some(day));
        }
    }
    desk.sink.finish().await
}

impl Desk<'_> {
    fn somebody(&mut self) -> (u32, Somebody) {
        let number = self.random.below(self.company.customers.max(1)) + 1;
        (number, Somebody::new(self.company.seed, number))
    }

    fn ticket(&mut self, opened: DateTime, closed: Option<DateTime>, over: bool) {
        let (number, who) = self.somebody();
        let id = self.sink.id("tickets");
        let customer = (!self.random.percent(25)).then(|| format!("MP{number:08}"));
        let email = self.random.percent(70).then_some(who.email.as_str());
        let phone = (!self.random.percent(20)).then_some(who.phone.as_str());
        let channel = self.random.pick(&["mail", "phone", "form"]);
        let status = if over { "closed" } else { "open" };
        self.sink.put(
            "tickets",
            &row![id, format!("T-{id:08}"), customer, who.name(), email, phone, channel, status, opened, closed],
        );
        for at in 0..self.random.between(1, 4) {
            let message = self.sink.id("ticket_messages");
            let author = if at % 2 == 0 { "customer" } else { "agent" };
            let body = match author {
                "customer" => format!("{}です。電話番号は{}です。ルーターが起動しません。", who.name(), who.phone),
                _ => format!("{}様、ご不便をおかけしております。", who.family),
            };
            let attachment = self.random.percent(10).then(|| format!("{}.jpg", who.given));
            let sent = opened + i64::from(at * 3600).seconds();
            self.sink.put("ticket_messages", &row![message, id, author, sent, body, attachment]);
        }
    }

    fn request(&mut self, received: Date, closed: Option<Date>) {
        let (_, who) = self.somebody();
        let id = self.sink.id("rights_requests");
        let article = self.random.pick(&["33", "34", "35"]);
        let outcome = closed.map(|_| self.random.pick(&["対応済み", "一部対応", "対応不要"]));
        self.sink.put(
            "rights_requests",
            &row![id, format!("RR-{id:06}"), who.name(), who.email.as_str(), article, received, closed, outcome],
        );
        let proof = self.sink.id("rights_request_proofs");
        let scan = format!("JFIF{id}").into_bytes();
        self.sink.put("rights_request_proofs", &row![proof, id, "運転免許証", scan]);
    }
}
