//! Sakura Router Rental, an invented company of any size: who rented what, what was billed, what was written.
//!
//! Everything lies relative to one day, so that there are rows on both sides of each rule's cut-off whenever the demo
//! runs, and comes from one seed: the same day gives the same rows.

use super::{
    names::{self, Address, Person},
    random::Random,
    rows::{Rows, Value},
};
use crate::file;
use jiff::{
    Span, ToSpan as _,
    civil::{Date, DateTime},
};
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};
use std::path::Path;

const SCHEMA: &str = include_str!("schema.sql");

/// The company is so old.
const YEARS: i32 = 13;

/// All tables of the schema.
pub const TABLES: &[&str] = &[
    "customers",
    "addresses",
    "applications",
    "application_documents",
    "contracts",
    "contract_changes",
    "identity_checks",
    "devices",
    "rentals",
    "invoices",
    "invoice_lines",
    "journal_entries",
    "arrears",
    "arrears_letters",
    "inquiries",
    "inquiry_messages",
    "connection_logs",
    "mail_log",
];

const PLANS: &[(&str, u32)] = &[("light 20 GB", 1_980), ("standard 100 GB", 3_480), ("unlimited", 4_480)];

const MODELS: &[&str] = &["SR-100", "SR-200", "SR-300 5G"];

const SUBJECTS: &[&str] = &[
    "返却先について",
    "接続できません",
    "請求金額について",
    "解約したい",
    "住所変更",
    "バッテリーの交換",
    "領収書の再発行",
];

/// The first customers are made by hand: one on each side of the cut-off, and those that have a story.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Story {
    /// Left six years ago, and is suing.
    Lawsuit,
    /// Left five years and a day ago: due since today.
    DueToday,
    /// Left five years ago: due tomorrow.
    DueTomorrow,
    /// Rents a router at present.
    Renting,
    /// Left and kept the router.
    RouterMissing,
    /// Left and never paid.
    InDebt,
    /// Left and had their time.
    LongGone,
}

const STORIES: [Story; 7] = [
    Story::Lawsuit,
    Story::DueToday,
    Story::DueTomorrow,
    Story::Renting,
    Story::RouterMissing,
    Story::InDebt,
    Story::LongGone,
];

impl Story {
    /// Of the customer with this story.
    pub fn customer_id(self) -> u32 {
        STORIES.into_iter().zip(1..).find(|(story, _)| *story == self).map_or(0, |(_, id)| id)
    }
}

/// Spans of so many days or seconds, as the generator counts them.
fn days(count: u32) -> Span {
    i64::from(count).days()
}

fn seconds(count: u32) -> Span {
    i64::from(count).seconds()
}

/// How many days lie between two; 0 when `last` is before `first`.
fn days_between(first: Date, last: Date) -> u32 {
    first.until(last).map_or(0, |span| span.get_days()).max(0).unsigned_abs()
}

/// Fills a new database.
///
/// # Errors
/// The file cannot be written.
pub async fn create(path: &Path, customers: u32, today: Date) -> sqlx::Result<()> {
    file::append(path).map_err(sqlx::Error::Io)?;
    let options = SqliteConnectOptions::new().filename(path);
    // nobody misses a half-made demo: the disk is not waited for, and parents need not come before their children
    let options = options.foreign_keys(false).pragma("synchronous", "off").pragma("journal_mode", "off");
    // what every writer of personal data should set: pages that split would leave copies of rows behind
    let options = options.pragma("secure_delete", "on");
    let mut connection = options.disable_statement_logging().connect().await?;
    // indexes at the end are cheaper than indexes that grow
    let statements = SCHEMA.split(";\n").map(str::trim).filter(|statement| !statement.is_empty());
    let (indexes, tables): (Vec<_>, Vec<_>) = statements.partition(|statement| statement.starts_with("create index"));
    for statement in tables {
        sqlx::query(statement).execute(&mut connection).await?;
    }
    sqlx::query("begin").execute(&mut connection).await?;
    let mut company = Company::new(today);
    for number in 0..customers {
        company.customer(STORIES.get(number as usize).copied());
        company.insert(&mut connection, false).await?;
    }
    for _ in 0..customers / 3 {
        company.application();
        company.insert(&mut connection, false).await?;
    }
    company.insert(&mut connection, true).await?;
    for statement in indexes {
        sqlx::query(statement).execute(&mut connection).await?;
    }
    // Statistics tell plans how big the tables are. Their samples are copies of values, e-mail addresses among them,
    // that no rule would find.
    let statistics = ["pragma analysis_limit = 1000", "analyze", "drop table if exists sqlite_stat4"];
    for statement in statistics.into_iter().chain(["commit", "pragma journal_mode = delete"]) {
        sqlx::query(statement).execute(&mut connection).await?;
    }
    connection.close().await
}

struct Company {
    random: Random,
    today: Date,
    customers: Rows,
    addresses: Rows,
    applications: Rows,
    application_documents: Rows,
    contracts: Rows,
    contract_changes: Rows,
    identity_checks: Rows,
    devices: Rows,
    rentals: Rows,
    invoices: Rows,
    invoice_lines: Rows,
    journal_entries: Rows,
    arrears: Rows,
    arrears_letters: Rows,
    inquiries: Rows,
    inquiry_messages: Rows,
    connection_logs: Rows,
    mail_log: Rows,
}

/// A customer while the rows around are being made.
struct Customer {
    id: u32,
    person: Person,
    address: Address,
    email: Option<String>,
    phone: Option<String>,
    story: Option<Story>,
}

/// When a contract ran, and what came of it.
struct Term {
    started: Date,
    ended: Option<Date>,
    returned: Option<Date>,
    /// When everything was paid; `None` while something is open.
    settled: Option<Date>,
}

impl Company {
    fn new(today: Date) -> Self {
        Self {
            random: Random::new(0x53_55_4E_53_45_54),
            today,
            customers: Rows::new(
                "customers",
                &[
                    "full_name",
                    "name_kana",
                    "email",
                    "phone",
                    "birth_date",
                    "gender",
                    "postal_code",
                    "sales_region",
                    "monthly_gb",
                    "rental_count",
                    "balance_yen",
                    "status",
                    "joined_on",
                    "closed_on",
                ],
            ),
            addresses: Rows::new(
                "addresses",
                &["customer_id", "kind", "postal_code", "prefecture", "city", "street", "building"],
            ),
            applications: Rows::new(
                "applications",
                &["applicant_name", "email", "phone", "status", "last_activity_at"],
            ),
            application_documents: Rows::new("application_documents", &["application_id", "kind", "scan"]),
            contracts: Rows::new("contracts", &["customer_id", "plan", "signed_by", "started_on", "ended_on"]),
            contract_changes: Rows::new("contract_changes", &["contract_id", "changed_on", "change"]),
            identity_checks: Rows::new(
                "identity_checks",
                &["contract_id", "document", "document_number", "holder_name"],
            ),
            devices: Rows::new("devices", &["imei", "model", "bought_on"]),
            rentals: Rows::new(
                "rentals",
                &["device_id", "customer_id", "contract_id", "line_number", "status", "shipped_on", "returned_on"],
            ),
            invoices: Rows::new(
                "invoices",
                &["customer_id", "contract_id", "addressee", "address", "total_yen", "issued_on"],
            ),
            invoice_lines: Rows::new("invoice_lines", &["invoice_id", "description", "amount_yen"]),
            journal_entries: Rows::new(
                "journal_entries",
                &["booked_on", "account", "customer_code", "counterparty", "amount_yen", "pseudonymized_at"],
            ),
            arrears: Rows::new(
                "arrears",
                &["contract_id", "debtor_name", "debtor_phone", "amount_yen", "status", "opened_on", "settled_on"],
            ),
            arrears_letters: Rows::new("arrears_letters", &["arrears_id", "sent_on", "letter"]),
            inquiries: Rows::new("inquiries", &["customer_id", "channel", "subject", "status"]),
            inquiry_messages: Rows::new("inquiry_messages", &["inquiry_id", "sent_at", "body", "attachment"]),
            connection_logs: Rows::new("connection_logs", &["line_number", "ip_address", "connected_at", "kilobytes"]),
            mail_log: Rows::new(
                "mail_log",
                &["customer_id", "recipient", "kind", "bounced", "sent_at", "opened_at", "ip_address"],
            ),
        }
    }

    fn tables(&mut self) -> [&mut Rows; 18] {
        [
            &mut self.customers,
            &mut self.addresses,
            &mut self.applications,
            &mut self.application_documents,
            &mut self.contracts,
            &mut self.contract_changes,
            &mut self.identity_checks,
            &mut self.devices,
            &mut self.rentals,
            &mut self.invoices,
            &mut self.invoice_lines,
            &mut self.journal_entries,
            &mut self.arrears,
            &mut self.arrears_letters,
            &mut self.inquiries,
            &mut self.inquiry_messages,
            &mut self.connection_logs,
            &mut self.mail_log,
        ]
    }

    async fn insert(&mut self, connection: &mut SqliteConnection, last: bool) -> sqlx::Result<()> {
        for rows in self.tables() {
            rows.insert(connection, last).await?;
        }
        Ok(())
    }

    fn days_ago(&self, count: u32) -> Date {
        self.today.saturating_sub(days(count))
    }

    fn time_on(&mut self, date: Date) -> DateTime {
        date.at(0, 0, 0, 0).saturating_add(seconds(self.random.below(24 * 60 * 60)))
    }

    /// A customer with everything that hangs on one.
    fn customer(&mut self, story: Option<Story>) {
        let person = names::person(&mut self.random);
        let address = names::address(&mut self.random);
        let id = self.customers.count + 1;
        let email = self.random.percent(94).then(|| person.email(id, &mut self.random));
        let phone = match self.random.below(20) {
            0 => None,
            1..4 => Some(address.landline(&mut self.random)),
            _ => Some(names::mobile(&mut self.random)),
        };
        let customer = Customer { id, person, address, email, phone, story };
        let terms = self.terms(story);
        let rental_count = u32::try_from(terms.len()).unwrap_or(1) + self.random.skewed(9);
        let balance = self.balance(story, &terms);
        self.customer_row(&customer, &terms, rental_count, balance);
        self.address_rows(&customer);
        for term in &terms {
            self.contract(&customer, term);
        }
        self.inquiries(&customer, terms[0].started);
        self.mails(&customer, terms[0].started);
    }

    /// One to three contracts, one after the other.
    fn terms(&mut self, story: Option<Story>) -> Vec<Term> {
        let age = YEARS.unsigned_abs() * 365;
        let ends_ago = match story {
            Some(Story::Lawsuit) => Some(self.today.saturating_sub(6.years())),
            Some(Story::DueToday) => Some(self.today.saturating_sub(5.years()).saturating_sub(1.days())),
            Some(Story::DueTomorrow) => Some(self.today.saturating_sub(5.years())),
            Some(Story::RouterMissing) => Some(self.today.saturating_sub(3.years())),
            Some(Story::InDebt | Story::LongGone) => Some(self.today.saturating_sub(7.years())),
            Some(Story::Renting) | None => None,
        };
        if let Some(end) = ends_ago {
            let router_missing = story == Some(Story::RouterMissing);
            let in_debt = story == Some(Story::InDebt);
            return vec![Term {
                started: end.saturating_sub(2.years()),
                ended: Some(end.saturating_sub(10.days())),
                returned: (!router_missing).then(|| end.saturating_sub(3.days())),
                settled: (!in_debt).then_some(end),
            }];
        }
        // the company grows: later beginnings are more likely
        let ago = self.random.below(age).min(self.random.below(age));
        let mut started = if story.is_some() { self.today.saturating_sub(2.years()) } else { self.days_ago(ago) };
        let mut terms = Vec::new();
        loop {
            let length = 14 + self.random.below(200) + self.random.skewed(1_600);
            let ended = started.saturating_add(days(length));
            if ended >= self.today || story == Some(Story::Renting) {
                terms.push(Term { started, ended: None, returned: None, settled: None });
                return terms;
            }
            let returned = ended.saturating_add(days(self.random.between(1, 12)));
            let settled = returned.saturating_add(days(self.random.skewed(60)));
            terms.push(Term {
                started,
                ended: Some(ended),
                returned: (returned < self.today && !self.random.percent(3)).then_some(returned),
                settled: (settled < self.today && !self.random.percent(2)).then_some(settled),
            });
            started = settled.saturating_add(days(self.random.between(20, 500)));
            if terms.len() == 3 || started >= self.today || !self.random.percent(25) {
                return terms;
            }
        }
    }

    fn balance(&mut self, story: Option<Story>, terms: &[Term]) -> u32 {
        match terms.iter().any(|term| term.ended.is_some() && term.settled.is_none()) {
            true if story == Some(Story::InDebt) => 31_320,
            true => self.random.between(2, 40) * 990,
            false => 0,
        }
    }

    fn customer_row(&mut self, customer: &Customer, terms: &[Term], rental_count: u32, balance: u32) {
        let open = terms.iter().any(|term| term.ended.is_none());
        let all_back = terms.iter().all(|term| term.returned.is_some());
        let last = terms.iter().filter_map(|term| term.settled.or(term.returned).or(term.ended)).max();
        let closed_on = last.filter(|_| !open && all_back);
        let age = 18 * 365 + self.random.below(65 * 365);
        let Customer { person, address, email, phone, .. } = customer;
        let gender = self.random.percent(80).then_some(person.gender);
        let birth_date = self.random.percent(92).then(|| self.days_ago(age));
        self.customers.add([
            person.full_name.clone().into(),
            person.kana.clone().into(),
            email.clone().into(),
            phone.clone().into(),
            birth_date.into(),
            gender.into(),
            address.postal_code.clone().into(),
            address.sales_region().into(),
            (self.random.skewed(300) + 1).into(),
            rental_count.into(),
            balance.into(),
            if open { "active" } else { "closed" }.into(),
            terms[0].started.into(),
            closed_on.into(),
        ]);
    }

    fn address_rows(&mut self, customer: &Customer) {
        self.address_row(customer.id, "home", &customer.address);
        if self.random.percent(20) {
            let shipping = names::address(&mut self.random);
            self.address_row(customer.id, "shipping", &shipping);
        }
    }

    fn address_row(&mut self, customer: u32, kind: &'static str, address: &Address) {
        self.addresses.add([
            customer.into(),
            kind.into(),
            address.postal_code.clone().into(),
            address.prefecture.into(),
            address.city.into(),
            address.street.clone().into(),
            address.building.clone().into(),
        ]);
    }

    fn contract(&mut self, customer: &Customer, term: &Term) {
        let (plan, fee) = self.random.pick(PLANS);
        let name = || customer.person.full_name.clone();
        let contract = self.contracts.add([
            customer.id.into(),
            plan.into(),
            name().into(),
            term.started.into(),
            term.ended.into(),
        ]);
        let until = term.ended.unwrap_or(self.today);
        for _ in 0..self.random.skewed(3) {
            let change = self.random.pick(&["plan changed", "address changed", "suspended", "payment method changed"]);
            let changed_on = self.within(term.started, until);
            self.contract_changes.add([contract.into(), changed_on.into(), change.into()]);
        }
        let document = self.random.pick(&["driving_licence", "residence_card", "passport"]);
        let document_number = format!("{:012}", u64::from(self.random.below(1_000_000_000)) * 7);
        self.identity_checks.add([contract.into(), document.into(), document_number.into(), name().into()]);
        self.rental(customer, term, contract);
        self.bills(customer, term, contract, fee);
        if self.random.percent(6) || customer.story == Some(Story::InDebt) {
            self.arrears(customer, term, contract, fee);
        }
    }

    /// A day from `first` to `last`.
    fn within(&mut self, first: Date, last: Date) -> Date {
        first.saturating_add(days(self.random.below(days_between(first, last) + 1)))
    }

    fn rental(&mut self, customer: &Customer, term: &Term, contract: u32) {
        // routers are rented again and again: two out of five rentals need a new one
        let device = if self.devices.count < 10 || self.random.percent(40) {
            let number = self.devices.count + 1;
            let bought_on = term.started.saturating_sub(days(self.random.between(5, 300)));
            self.devices.add([names::imei(number).into(), self.random.pick(MODELS).into(), bought_on.into()])
        } else {
            self.random.between(1, self.devices.count)
        };
        let line = names::mobile(&mut self.random);
        let status = match (term.ended, term.returned) {
            (None, _) => "in_use",
            (Some(_), Some(_)) => "returned",
            (Some(_), None) => "not_returned",
        };
        self.rentals.add([
            device.into(),
            customer.id.into(),
            contract.into(),
            line.clone().into(),
            status.into(),
            term.started.into(),
            term.returned.into(),
        ]);
        // the gateway keeps logs of somewhat more than a year, and not all of them are in this sample
        let first = self.days_ago(430).max(term.started);
        let last = term.ended.unwrap_or(self.today);
        if first < last {
            for _ in 0..self.random.skewed(days_between(first, last) / 10 + 2) {
                let day = self.within(first, last);
                let connected_at = self.time_on(day);
                let kilobytes = self.random.skewed(4_000_000);
                let ip_address = names::ip_address(&mut self.random);
                self.connection_logs.add([
                    line.clone().into(),
                    ip_address.into(),
                    connected_at.into(),
                    kilobytes.into(),
                ]);
            }
        }
    }

    /// An invoice each half year, and the journal's entries for it.
    fn bills(&mut self, customer: &Customer, term: &Term, contract: u32, fee: u32) {
        let until = term.ended.unwrap_or(self.today);
        let mut issued_on = term.started.saturating_add(days(self.random.between(5, 30)));
        while issued_on < until {
            let months = self.random.between(1, 6);
            let extra = self.random.percent(30).then(|| self.random.between(1, 20) * 110);
            let total = months * fee + extra.unwrap_or(0);
            let invoice = self.invoices.add([
                customer.id.into(),
                contract.into(),
                format!("{} 様", customer.person.full_name).into(),
                customer.address.line().into(),
                total.into(),
                issued_on.into(),
            ]);
            let description = format!("Wi-Fi ルーターレンタル料 {months} か月");
            self.invoice_lines.add([invoice.into(), description.into(), (months * fee).into()]);
            if let Some(extra) = extra {
                self.invoice_lines.add([invoice.into(), "安心補償オプション".into(), extra.into()]);
            }
            let account = self.random.pick(&["sales", "sales", "receivables", "fees"]);
            let is_fee = account == "fees";
            let code = if is_fee { "internal".to_owned() } else { format!("SR-{:07}", customer.id) };
            let counterparty = (!is_fee).then(|| customer.person.full_name.clone());
            self.journal_entries.add([
                issued_on.into(),
                account.into(),
                code.into(),
                counterparty.into(),
                total.into(),
                Value::Null,
            ]);
            issued_on = issued_on.saturating_add(days(150 + self.random.below(60)));
        }
    }

    fn arrears(&mut self, customer: &Customer, term: &Term, contract: u32, fee: u32) {
        let opened_on = term.ended.unwrap_or(self.today).saturating_sub(20.days()).max(term.started);
        let settled_on = opened_on.saturating_add(days(self.random.between(10, 400)));
        let open = customer.story == Some(Story::InDebt) || settled_on >= self.today || self.random.percent(15);
        let status = match (open, self.random.percent(10)) {
            (true, _) => "open",
            (false, true) => "prescribed",
            (false, false) => "settled",
        };
        let amount = self.random.between(1, 9) * fee;
        let arrears = self.arrears.add([
            contract.into(),
            customer.person.full_name.clone().into(),
            customer.phone.clone().into(),
            amount.into(),
            status.into(),
            opened_on.into(),
            (!open).then_some(settled_on).into(),
        ]);
        for number in 0..self.random.between(1, 3) {
            let sent_on = opened_on.saturating_add(days(14 * (number + 1))).min(self.today);
            let letter = format!("{} 様 お支払いのお願い（{} 回目）", customer.person.full_name, number + 1);
            self.arrears_letters.add([arrears.into(), sent_on.into(), letter.into()]);
        }
    }

    /// A quarter of the customers write, some of them often.
    fn inquiries(&mut self, customer: &Customer, joined: Date) {
        if !self.random.percent(25) {
            return;
        }
        for _ in 0..=self.random.skewed(5) {
            let subject = self.random.pick(SUBJECTS);
            let channel = self.random.pick(&["form", "form", "phone", "chat"]);
            let mut day = self.within(joined, self.today);
            let answered = day < self.days_ago(30) && !self.random.percent(2);
            let status = if answered { "answered" } else { "open" };
            let inquiry = self.inquiries.add([customer.id.into(), channel.into(), subject.into(), status.into()]);
            for number in 0..=self.random.below(3) {
                let sent_at = self.time_on(day);
                let body = self.body(customer, subject, number);
                let attachment = self.random.percent(8).then(|| format!("{}_免許証.jpg", customer.person.full_name));
                self.inquiry_messages.add([inquiry.into(), sent_at.into(), body.into(), attachment.into()]);
                day = day.saturating_add(days(self.random.between(1, 9))).min(self.today);
            }
        }
    }

    /// Free text, in which people tell more than they were asked.
    fn body(&mut self, customer: &Customer, subject: &str, number: u32) -> String {
        let Customer { person, address, email, phone, .. } = customer;
        let name = &person.full_name;
        if number % 2 == 1 {
            return format!("{name} 様 お問い合わせありがとうございます。「{subject}」の件、確認いたしました。");
        }
        match (self.random.below(3), phone, email) {
            (0, Some(phone), _) => {
                format!("お世話になっております。{name}です。{subject}、{phone} までお電話ください。")
            }
            (1, _, Some(email)) => format!("{name}と申します。{subject}、{email} までご連絡をお願いします。"),
            _ => format!("{name}です。引っ越したので {} に届けてください。{subject}。", address.line()),
        }
    }

    fn mails(&mut self, customer: &Customer, joined: Date) {
        let Some(email) = &customer.email else { return };
        let first = self.today.saturating_sub(3.years()).max(joined);
        for number in 0..self.random.skewed(9) {
            let day = self.within(first, self.today);
            let sent_at = self.time_on(day);
            let kind =
                if number == 0 { "consent" } else { self.random.pick(&["newsletter", "newsletter", "reminder"]) };
            let bounced = self.random.percent(4);
            let opened = !bounced && self.random.percent(45);
            let opened_at = opened.then(|| sent_at.saturating_add(seconds(self.random.between(60, 90_000))));
            let ip_address = opened.then(|| names::ip_address(&mut self.random));
            self.mail_log.add([
                customer.id.into(),
                email.clone().into(),
                kind.into(),
                u32::from(bounced).into(),
                sent_at.into(),
                opened_at.into(),
                ip_address.into(),
            ]);
        }
    }

    /// Somebody who began to order; a third of them became customers under another number.
    fn application(&mut self) {
        let person = names::person(&mut self.random);
        let number = 10_000_000 + self.applications.count;
        let email = self.random.percent(90).then(|| person.email(number, &mut self.random));
        let phone = self.random.percent(60).then(|| names::mobile(&mut self.random));
        let age = self.random.below(400);
        let status = match (age, self.random.below(10)) {
            (0..7, _) => "submitted",
            (_, 0..4) => "accepted",
            (_, 4..6) => "declined",
            _ => "abandoned",
        };
        let since_1970 = self.days_ago(age).at(0, 0, 0, 0).duration_since(DateTime::constant(1970, 1, 1, 0, 0, 0, 0));
        let last_activity_at = since_1970.as_secs() + i64::from(self.random.below(86_400));
        let application = self.applications.add([
            person.full_name.clone().into(),
            email.into(),
            phone.into(),
            status.into(),
            last_activity_at.into(),
        ]);
        for _ in 0..self.random.below(3) {
            let kind = self.random.pick(&["driving_licence", "residence_card", "consent_of_parent"]);
            let scan = format!("scans/{application:07}/{}.jpg", person.full_name);
            self.application_documents.add([application.into(), kind.into(), scan.into()]);
        }
    }
}
