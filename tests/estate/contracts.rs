//! The contract and billing database.

use super::{
    Company, Somebody,
    calendar::{days, fiscal_year_end, last_due, months, next, years, years_and_months},
    names,
    random::Random,
    sink::{Cell, Sink, row},
};
use jiff::{ToSpan, civil::Date};
use std::collections::BTreeMap;

const SCHEMA: &str = include_str!("schema/contracts.postgresql.sql");

/// Parents before children.
const TABLES: &[&str] = &[
    "plans",
    "customers",
    "delivery_addresses",
    "contracts",
    "contract_documents",
    "contract_changes",
    "identity_verifications",
    "identity_images",
    "invoices",
    "invoice_lines",
    "ledger_entries",
    "payment_methods",
    "arrears",
    "arrears_contacts",
    "devices",
    "device_rentals",
    "line_investigations",
    "connection_logs",
    "usage_records",
    "misuse_cases",
    "provision_records",
    "joint_use_shares",
    "security_logs",
    "backups",
];

const PLANS: [(&str, &str, u32); 4] = [
    ("light", "ライトプラン 20GB", 2480),
    ("standard", "スタンダードプラン 50GB", 3280),
    ("unlimited", "使い放題プラン", 3980),
    ("business", "法人プラン", 4980),
];

/// Most have no flaw; each of these keeps a rule from acting, or makes it report.
#[derive(Clone, Copy, PartialEq)]
enum Flaw {
    None,
    /// The contract is over, and the router never came back.
    RouterKept,
    /// The contract is over, and money is owed.
    OpenClaim,
    /// All was settled, and then a charge was booked late.
    LateCharge,
}

/// What becomes of one customer.
struct Life {
    joined: Date,
    /// Beginning and end of each contract; no end where it runs.
    contracts: Vec<(Date, Option<Date>)>,
    flaw: Flaw,
    /// Days between the last contract's end and the day on which all is settled.
    aftermath: u32,
    /// Instead of some day after the beginning.
    verified_on: Option<Date>,
    /// A claim that was settled on this day.
    settled_on: Option<Date>,
}

impl Life {
    fn simple(joined: Date, ended: Option<Date>) -> Self {
        Self {
            joined,
            contracts: vec![(joined, ended)],
            flaw: Flaw::None,
            aftermath: 0,
            verified_on: None,
            settled_on: None,
        }
    }
}

struct Office<'a> {
    company: &'a Company,
    sink: Sink,
    random: Random,
    people: u32,
    devices: Vec<i64>,
}

pub async fn fill(company: &Company, url: &str) -> sqlx::Result<BTreeMap<&'static str, u64>> {
    let mut sink = Sink::open(url, TABLES).await?;
    sink.script(SCHEMA).await?;
    sink.script(&partitions(company)).await?;
    for (code, name, yen) in PLANS {
        sink.put("plans", &row![code, name, yen]);
    }
    let mut office = Office { company, sink, random: company.random(1), people: 0, devices: Vec::new() };
    for _ in 0..company.customers {
        let life = office.some_life();
        office.customer(&life);
        office.sink.breathe().await?;
    }
    office.boundaries();
    office.sink.flush().await?;
    office.others().await?;
    office.sink.finish().await
}

/// A partition a month as far as there is much, and one for all that is later.
fn partitions(company: &Company) -> String {
    let first = (company.today - 8.months()).first_of_month();
    let mut sql = String::new();
    for (table, zone) in [("connection_logs", " 00:00:00+09"), ("usage_records", "")] {
        let mut from = first;
        sql += &format!(
            "create table {table}_before partition of {table} for values from (minvalue) to ('{from}{zone}');\n"
        );
        for _ in 0..12 {
            let to = from + 1.month();
            let name = from.strftime("%Y_%m");
            sql += &format!(
                "create table {table}_{name} partition of {table} for values from ('{from}{zone}') to ('{to}{zone}');\n"
            );
            from = to;
        }
        sql += &format!(
            "create table {table}_later partition of {table} for values from ('{from}{zone}') to (maxvalue);\n"
        );
    }
    sql
}

impl Office<'_> {
    fn some_life(&mut self) -> Life {
        let (today, until) = (self.company.today, self.company.until);
        let random = &mut self.random;
        let begin = today - 11.years();
        // the company grew: more joined lately
        let joined = Company::day(random, begin, today).max(Company::day(random, begin, today));
        let mut contracts = Vec::new();
        let mut from = joined;
        for _ in 0..=random.skewed(4) {
            let to = Company::day(random, from + 31.days(), from + 5.years());
            contracts.push((from, (to <= until).then_some(to)));
            if to > today {
                break;
            }
            from = (to + i64::from(random.below(300)).days()).min(today);
        }
        let flaw = match random.below(100) {
            0..3 => Flaw::RouterKept,
            3..7 => Flaw::OpenClaim,
            7..9 => Flaw::LateCharge,
            _ => Flaw::None,
        };
        let aftermath = random.skewed(40);
        let settled_on = random.percent(8).then(|| Company::day(random, joined + 31.days(), joined + 4.years()));
        Life { joined, contracts, flaw, aftermath, verified_on: None, settled_on }
    }

    fn customer(&mut self, life: &Life) {
        self.people += 1;
        let number = self.people;
        let who = Somebody::new(self.company.seed, number);
        let id = self.sink.id("customers");
        let over = life.contracts.iter().map(|(_, ended)| *ended).collect::<Option<Vec<_>>>();
        let last_end = over.and_then(|ends| ends.into_iter().max());
        let flaw = if last_end.is_some() { life.flaw } else { Flaw::None };
        let settled = last_end
            .map(|end| (end + i64::from(life.aftermath).days()).max(life.settled_on.unwrap_or(end)))
            .filter(|_| matches!(flaw, Flaw::None | Flaw::LateCharge));
        let balance = match flaw {
            Flaw::OpenClaim => 3280 * i64::from(self.random.between(1, 6)),
            Flaw::LateCharge => 550,
            Flaw::None | Flaw::RouterKept => 0,
        };
        let customer_no = format!("MP{number:08}");
        let stripe = self.random.percent(75);
        let stripe_id = format!("cus_{}", who.member_hash);
        self.sink.put(
            "customers",
            &row![
                id,
                customer_no.as_str(),
                who.family.as_str(),
                who.given.as_str(),
                who.family_kana.as_str(),
                who.given_kana.as_str(),
                (!self.random.percent(2)).then_some(who.email.as_str()),
                (!self.random.percent(3)).then_some(who.phone.as_str()),
                (!self.random.percent(1)).then_some(who.birth_date),
                (!self.random.percent(10)).then_some(who.person.gender),
                who.address.postal_code.as_str(),
                who.address.prefecture,
                who.address.city,
                who.address.street.as_str(),
                who.address.building.as_deref(),
                who.member_hash.as_str(),
                stripe.then_some(stripe_id.as_str()),
                if last_end.is_some() { "closed" } else { "active" },
                balance,
                u32::try_from(life.contracts.len()).unwrap(),
                life.joined,
                settled,
            ],
        );
        let address = self.sink.id("delivery_addresses");
        let phone = self.random.percent(80).then_some(who.phone.as_str());
        self.sink.put(
            "delivery_addresses",
            &row![address, id, who.name(), who.address.postal_code.as_str(), who.address.line(), phone],
        );
        // whoever got a late charge has nothing left at the payment provider, nor in the group
        if flaw != Flaw::LateCharge {
            let method = self.sink.id("payment_methods");
            let provider = if stripe { "stripe" } else { "paypal" };
            let token = (!stripe).then(|| format!("tok{}", who.member_hash));
            let registered = Cell::Instant(Company::time(&mut self.random, life.joined));
            let stripe_id = stripe.then_some(stripe_id.as_str());
            self.sink.put(
                "payment_methods",
                &[method.into(), id.into(), provider.into(), stripe_id.into(), token.into(), registered],
            );
            if self.random.percent(30) {
                let share = self.sink.id("joint_use_shares");
                let affiliate = self.random.percent(40).then(|| format!("AF{number:08}"));
                self.sink.put(
                    "joint_use_shares",
                    &row![share, id, format!("BJ{number:08}"), affiliate, "氏名・住所・電話番号", life.joined],
                );
            }
        }
        for (at, (started, ended)) in life.contracts.iter().enumerate() {
            let last = at + 1 == life.contracts.len();
            self.contract(&who, id, &customer_no, number, life, *started, *ended, if last { flaw } else { Flaw::None });
        }
    }

    #[expect(clippy::too_many_arguments, reason = "all of them are one contract's facts, from one place")]
    fn contract(
        &mut self,
        who: &Somebody,
        customer: i64,
        customer_no: &str,
        number: u32,
        life: &Life,
        started: Date,
        ended: Option<Date>,
        flaw: Flaw,
    ) {
        let company = self.company;
        let id = self.sink.id("contracts");
        let plan = self.random.pick(&PLANS);
        let reason = ended.map(|_| self.random.pick(&["解約", "期間満了", "強制解約"]));
        let line_type = if self.random.percent(5) { "voice_050" } else { "data" };
        let contract_no = format!("C{id:09}");
        self.sink
            .put("contracts", &row![id, customer, contract_no.as_str(), plan.0, line_type, started, ended, reason]);

        for kind in ["application_form", "terms_notice"] {
            let document = self.sink.id("contract_documents");
            let name = format!("{contract_no}-{kind}.pdf");
            let scan = format!("%PDF {}", who.name()).into_bytes();
            self.sink.put("contract_documents", &row![document, id, kind, name, scan, started]);
        }
        for _ in 0..self.random.skewed(4) {
            let change = self.sink.id("contract_changes");
            let on = Company::day(&mut self.random, started, ended.unwrap_or(company.today).max(started));
            let kind = self.random.pick(&["プラン変更", "住所変更", "名義変更", "一時停止"]);
            let note = self.random.percent(40).then(|| format!("{}様より電話", who.family));
            self.sink.put("contract_changes", &row![change, id, on, kind, note]);
        }

        let verification = self.sink.id("identity_verifications");
        let verified = life.verified_on.unwrap_or(started + i64::from(self.random.below(4)).days());
        let unfinished = life.verified_on.is_none() && self.random.percent(2);
        let verified = (!unfinished).then(|| {
            Cell::Instant(match life.verified_on {
                // the first and the last moment of a day in Tokyo, to see where it ends
                Some(day) if self.random.percent(50) => day.at(0, 0, 0, 0),
                Some(day) => day.at(23, 59, 59, 0),
                None => Company::time(&mut self.random, verified),
            })
        });
        let document = self.random.pick(&["driving_licence", "driving_licence", "my_number_card", "passport"]);
        self.sink.put(
            "identity_verifications",
            &[
                verification.into(),
                id.into(),
                "eKYC".into(),
                document.into(),
                who.name().into(),
                who.address.line().into(),
                who.birth_date.into(),
                verified.unwrap_or(Cell::Null),
            ],
        );
        for side in ["front", "face"] {
            let image = self.sink.id("identity_images");
            let uploaded = Cell::Instant(Company::time(&mut self.random, started));
            let bytes = format!("JFIF{verification}{side}").into_bytes();
            self.sink.put("identity_images", &[image.into(), verification.into(), side.into(), bytes.into(), uploaded]);
        }

        // bills, each with its entries in the books
        let mut month = started.first_of_month() + 1.month();
        while month <= ended.unwrap_or(company.until) {
            self.invoice(who, Some(customer), Some(id), customer_no, plan.2, month + 4.days());
            month += company.billed_every.months();
        }

        self.rental(who, Some(customer), Some(id), started, ended, flaw);

        let settled_on = life.settled_on.filter(|_| flaw == Flaw::None && started == life.joined);
        if flaw == Flaw::OpenClaim || settled_on.is_some() {
            let claim = self.sink.id("arrears");
            let case = (!self.random.percent(25)).then(|| format!("DC-{claim:07}"));
            let status = match settled_on {
                None => "open",
                Some(_) if self.random.percent(15) => "prescribed",
                Some(_) => "settled",
            };
            let opened = settled_on.or(ended).unwrap_or(started) - 60.days();
            let (name, line) = (who.name(), who.address.line());
            let phone = who.phone.as_str();
            self.sink.put(
                "arrears",
                &row![claim, customer, id, case, name, line, phone, 3280_u32, status, opened, settled_on],
            );
            for _ in 0..self.random.between(1, 3) {
                let contact = self.sink.id("arrears_contacts");
                let at = Cell::Instant(Company::time(&mut self.random, opened));
                let channel = self.random.pick(&["letter", "phone", "mail"]);
                self.sink.put("arrears_contacts", &[contact.into(), claim.into(), at, channel.into(), Cell::Null]);
            }
        }
        if self.random.percent(2) {
            let closed = self.random.percent(80).then(|| Company::day(&mut self.random, started, company.today));
            self.misuse(Some((customer, id)), who.name(), closed);
        }
        self.usage(&contract_no, number, started, ended);
    }

    fn invoice(
        &mut self,
        who: &Somebody,
        customer: Option<i64>,
        contract: Option<i64>,
        customer_no: &str,
        yen: u32,
        issued: Date,
    ) {
        let id = self.sink.id("invoices");
        let invoice_no = format!("INV-{id:09}");
        let total = yen + yen / 10;
        let kind = if self.random.percent(10) { "receipt" } else { "invoice" };
        let (name, line) = (who.name(), who.address.line());
        self.sink.put(
            "invoices",
            &row![id, customer, contract, invoice_no.as_str(), kind, name, line, total, yen / 10, issued],
        );
        let extra = self.random.percent(30);
        let lines = [("基本料金", yen), ("オプション料金", 550)];
        for ((description, amount), at) in lines.into_iter().zip(1_u32..).take(1 + usize::from(extra)) {
            let line = self.sink.id("invoice_lines");
            self.sink.put("invoice_lines", &row![line, id, at, description, amount]);
        }
        for account in ["receivables", "sales"] {
            let entry = self.sink.id("ledger_entries");
            let code = customer.map(|_| customer_no);
            let name = customer.map(|_| who.name());
            let none: Option<Date> = None;
            self.sink.put(
                "ledger_entries",
                &row![entry, customer, code, name, account, invoice_no.as_str(), total, issued, none],
            );
        }
    }

    fn rental(
        &mut self,
        who: &Somebody,
        customer: Option<i64>,
        contract: Option<i64>,
        started: Date,
        ended: Option<Date>,
        flaw: Flaw,
    ) {
        // a router that came back goes out again
        let device = match self.devices.pop() {
            Some(device) if self.random.percent(60) => device,
            _ => {
                let id = self.sink.id("devices");
                let (imei, serial) = (names::imei(u32::try_from(id).unwrap()), format!("SN{id:08}"));
                let model = self.random.pick(&["MR-100", "MR-200", "HomeStation 5"]);
                self.sink.put("devices", &row![id, imei, serial, model, started - 90.days()]);
                id
            }
        };
        let id = self.sink.id("device_rentals");
        let (status, returned) = match (ended, flaw) {
            (None, _) => ("in_use", None),
            (Some(_), Flaw::RouterKept) => ("not_returned", None),
            (Some(ended), _) => ("returned", Some(ended)),
        };
        if returned.is_some() {
            self.devices.push(device);
        }
        let tracking = Some(format!("{:04}-{:04}-{:04}", id / 10_000, id % 10_000, self.random.below(10_000)));
        let phone = Some(who.phone.as_str()).filter(|_| !self.random.percent(5));
        self.sink
            .put("device_rentals", &row![id, device, customer, contract, phone, tracking, status, started, returned]);
    }

    /// Most lines are used a little, a few very much; some records come from lines that billing does not know.
    fn usage(&mut self, contract_no: &str, number: u32, started: Date, ended: Option<Date>) {
        let company = self.company;
        let begin = (company.today - i64::from(company.days_of_usage).days()).max(started);
        let mut day = begin;
        let line = format!("020-{:04}-{:04}", number / 10_000 % 10_000, number % 10_000);
        let imei = names::imei(number);
        while day <= ended.unwrap_or(company.today).min(company.today) {
            let id = self.sink.id("usage_records");
            let known = if self.random.percent(2) { format!("C9{number:08}") } else { contract_no.to_owned() };
            let prefecture = (!self.random.percent(10)).then(|| names::address(&mut self.random).prefecture);
            let down = self.random.skewed(8000);
            self.sink.put("usage_records", &row![id, day, known, line.as_str(), prefecture, down / 9, down]);
            for _ in 0..self.random.skewed(company.connections_a_day * 4 + 1) {
                let at = Company::time(&mut self.random, day);
                self.connection(at, Some(line.as_str()), Some(imei.as_str()));
            }
            day = next(day);
        }
    }

    fn connection(&mut self, at: jiff::civil::DateTime, line: Option<&str>, imei: Option<&str>) {
        let id = self.sink.id("connection_logs");
        let source = names::ip_address(&mut self.random);
        let (cell, seconds) = (format!("440-10-{:05}", self.random.below(100_000)), self.random.skewed(7200));
        self.sink.put(
            "connection_logs",
            &[id.into(), Cell::Instant(at), line.into(), imei.into(), source.into(), cell.into(), seconds.into()],
        );
    }

    fn misuse(&mut self, of: Option<(i64, i64)>, suspect: String, closed: Option<Date>) {
        for claim in [false, true] {
            let id = self.sink.id("misuse_cases");
            let opened = closed.unwrap_or(self.company.today) - 40.days();
            let (customer, contract) = (of.map(|of| of.0), of.map(|of| of.1));
            let (case, facts) = (format!("MU-{id:06}"), "名義貸しの疑い");
            self.sink.put(
                "misuse_cases",
                &row![id, customer, contract, case, suspect.as_str(), facts, claim, opened, closed],
            );
        }
    }

    /// Rows around every cut-off.
    fn boundaries(&mut self) {
        let company = self.company;
        // R01, R05, R07, R29; R04 with and without its switches; R09
        for period in [years(5), months(11), years(3), days(0)] {
            for day in Company::around(&company.asked_nights, period) {
                let life = Life::simple(day - 2.years(), Some(day));
                self.customer(&life);
            }
        }
        // R03 and R11, of people who are still customers
        for day in Company::around(&company.asked_nights, days(0)) {
            let mut life = Life::simple(day - 1.year(), None);
            (life.verified_on, life.settled_on) = (Some(day), Some(day));
            self.customer(&life);
        }
        let nobody = Somebody::new(company.seed, 4_000_000_000);
        for day in Company::around(&company.nights, months(6)) {
            self.rental(&nobody, None, None, day - 90.days(), Some(day), Flaw::None);
        }
        for at in Company::moments_around(&company.nights, months(5)) {
            self.connection(at, None, None);
        }
        for night in company.nights.clone() {
            // the last day of the last month that is due, and the first of the next
            let closed = last_due(night, months(3));
            let last =
                if closed == closed.last_of_month() { closed } else { closed.first_of_month().yesterday().unwrap() };
            for day in [last, next(last)] {
                let id = self.sink.id("usage_records");
                let none: Option<&str> = None;
                self.sink.put("usage_records", &row![id, day, none, "020-0000-0000", none, 1_u32, 1_u32]);
            }
        }
        for period in [years(2), years_and_months(4, 11)] {
            for day in Company::around(&company.nights, period) {
                self.misuse(None, nobody.name(), Some(day));
            }
        }
        for (form, period) in [("contract_document", years(1)), ("bulk", years(3)), ("each_time", years(3))] {
            for day in Company::around(&company.nights, period) {
                // the other date is far off: only the right one counts
                let (made, last) =
                    if form == "each_time" { (day, next(company.until)) } else { (day - 4.years(), day) };
                self.provision(form, made, last);
            }
        }
        for at in Company::moments_around(&company.nights, years(1)) {
            self.security_log(at);
        }
        for at in Company::moments_around(&company.nights, months(3)) {
            self.investigation(Some(at));
        }
        // the first and the last days of every fiscal year
        let mut end = fiscal_year_end(company.today - 12.years(), company.fiscal_year_end);
        while end <= company.until {
            for day in [end.yesterday().unwrap(), end, next(end)] {
                self.invoice(&nobody, None, None, "", 3280, day);
            }
            end = fiscal_year_end(next(end), company.fiscal_year_end);
        }
    }

    fn provision(&mut self, form: &str, made: Date, last: Date) {
        let id = self.sink.id("provision_records");
        let party = self.random.pick(&["債権回収会社", "提携企業", "警察署（照会）"]);
        let name = Somebody::new(self.company.seed, self.random.below(self.people) + 1).name();
        let ground = if party == "警察署（照会）" { "27条1項1号" } else { "本人の同意" };
        self.sink.put("provision_records", &row![id, form, party, ground, name, "氏名・電話番号", made, last]);
    }

    fn security_log(&mut self, at: jiff::civil::DateTime) {
        let id = self.sink.id("security_logs");
        let actor = format!("staff{:03}", self.random.skewed(60));
        let action = self.random.pick(&["login", "view_customer", "export", "change_rights"]);
        let source = names::ip_address(&mut self.random);
        self.sink.put("security_logs", &[id.into(), Cell::Instant(at), actor.into(), action.into(), source.into()]);
    }

    /// One a week, destroyed when the sixth after it was taken.
    fn backups(&mut self) {
        let today = self.company.today;
        for week in 0..60 {
            let (id, taken) = (self.sink.id("backups"), today - (7 * week).days());
            let destroyed = (week >= 5).then(|| taken + 35.days());
            self.sink.put("backups", &row![id, "object storage, Osaka", taken, destroyed]);
        }
    }

    fn investigation(&mut self, closed: Option<jiff::civil::DateTime>) {
        let id = self.sink.id("line_investigations");
        let carrier = self.random.pick(&["通信会社A", "通信会社B"]);
        let (case, theirs) = (format!("LI-{id:06}"), (!self.random.percent(20)).then(|| format!("CR{id:06}")));
        let imei = names::imei(u32::try_from(id).unwrap() + 5_000_000);
        let opened = closed.unwrap_or(self.company.today.at(9, 0, 0, 0)) - 72.hours();
        self.sink.put(
            "line_investigations",
            &[
                id.into(),
                case.into(),
                carrier.into(),
                theirs.into(),
                imei.into(),
                format!("020-0000-{:04}", id % 10_000).into(),
                "電波状況の調査".into(),
                Cell::Instant(opened),
                closed.map_or(Cell::Null, Cell::Instant),
            ],
        );
    }

    /// What no customer's life brings with it.
    async fn others(&mut self) -> sqlx::Result<()> {
        let (today, until, many) = (self.company.today, self.company.until, self.company.customers);
        self.backups();
        for _ in 0..many / 20 {
            let day = Company::day(&mut self.random, today - 2.years(), until);
            let closed = (!self.random.percent(15)).then(|| Company::time(&mut self.random, day));
            self.investigation(closed);
        }
        for _ in 0..many / 2 {
            let day = Company::day(&mut self.random, today - 2.years(), until);
            let at = Company::time(&mut self.random, day);
            self.security_log(at);
            self.sink.breathe().await?;
        }
        for _ in 0..many / 8 {
            let form = self.random.pick(&["each_time", "bulk", "contract_document"]);
            let made = Company::day(&mut self.random, today - 5.years(), until);
            let last = made + i64::from(self.random.skewed(400)).days();
            self.provision(form, made, last);
        }
        Ok(())
    }
}
