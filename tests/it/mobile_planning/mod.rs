//! The rule pack of jobs/mobile-planning on the company of tests/estate: one night, and ten years.
//!
//! `SUNSET_ESTATE_SEED`, `SUNSET_ESTATE_CUSTOMERS`, `SUNSET_ESTATE_MONTHS` and `SUNSET_ESTATE_FISCAL_YEAR_END` (`MM-DD`)
//! make another company, or fewer months of it. `SUNSET_ESTATE_IDENTITY` turns on one of the pack's laws on identity records:
//! `voice_or_050_service` or `data_sim_identity_law`.

mod heard;
mod promises;

use crate::{
    estate::{
        self, Company, Places,
        calendar::{Period, days, ends_on, fiscal_year_end, last_due, months, next},
    },
    recipients::run::sandbox,
    server::Scratch,
    support::{bench::Call, random::variable},
};
use jiff::{
    ToSpan,
    civil::{Date, date},
    tz::TimeZone,
};
use promises::{PROMISES, Patience, Place};
use serde_json::{Value as Json, json};
use sqlx::{
    AssertSqlSafe, Connection as _, Executor as _, MySqlConnection, PgConnection, Row as _, SqliteConnection, raw_sql,
};
use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};
use sunset::{catalog::Engine, sandbox::Sandbox};

/// The last day of a month, whose periods are the hardest to count.
const TODAY: Date = date(2026, 11, 30);

/// From so many customers on, groups are large enough for totals.
const LARGE: u32 = 200;

/// Loss years, by how long before [`TODAY`] they ended: among the invoices that would have been due.
const LOSSES: [i32; 2] = [8, 5];

/// The recipients that have a stand-in, and its name.
const STAND_INS: [(&str, &str); 10] = [
    ("stripe", "stripe"),
    ("stripe_redaction", "stripe"),
    ("paypal", "paypal"),
    ("google_ads", "google_ads"),
    ("yahoo_japan_ads", "yahoo_japan_ads"),
    ("meta", "meta"),
    ("criteo", "criteo"),
    ("x_ads", "x_ads"),
    ("google_analytics", "google_analytics"),
    ("mouseflow", "mouseflow"),
];

struct Rehearsal {
    company: Company,
    contracts: Scratch,
    web: Scratch,
    /// MariaDB keeps the tables as they were in a database of their own.
    web_before: Scratch,
    support: Scratch,
    postgres: PgConnection,
    mariadb: MySqlConnection,
    sqlite: SqliteConnection,
    sandbox: Sandbox,
    directory: tempfile::TempDir,
    /// What is under a hold: table, rows as SQL, number of the hold.
    holds: Vec<(&'static str, String, String)>,
}

/// The parameter that a law on identity records turns on, if any.
fn identity_switch() -> Option<String> {
    std::env::var("SUNSET_ESTATE_IDENTITY").ok()
}

fn fiscal_year() -> (i8, i8) {
    let text = std::env::var("SUNSET_ESTATE_FISCAL_YEAR_END").unwrap_or("03-31".to_owned());
    let (month, day) = text.split_once('-').unwrap();
    (month.parse().unwrap(), day.parse().unwrap())
}

impl Rehearsal {
    async fn new(company: Company) -> Self {
        let (contracts, web, web_before, support) = (
            Scratch::new(Engine::Postgres).await,
            Scratch::new(Engine::Mysql).await,
            Scratch::new(Engine::Mysql).await,
            Scratch::new(Engine::Sqlite).await,
        );
        let (a, b, c) = (contracts.url.clone(), web.url.clone(), support.url.clone());
        estate::found(&company, &Places { contracts: a, web: b, support: c }).await.unwrap();

        let mut postgres = PgConnection::connect(&contracts.url).await.unwrap();
        let tables = "select relname from pg_class where relkind in ('r', 'p') and not relispartition
                      and relnamespace = 'public'::regnamespace";
        let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(&mut postgres).await.unwrap();
        let copies: String =
            // with their keys: what is searched for card numbers is paged by them
            tables
                .iter()
                .map(|table| {
                    format!(
                        "create table before.{table} (like public.{table} including indexes); insert into before.{table} \
                         table public.{table};"
                    )
                })
                .collect();
        let sql = format!("create schema before; {copies} analyze");
        postgres.execute(raw_sql(AssertSqlSafe(sql))).await.unwrap();

        let mut mariadb = MySqlConnection::connect(&web.url).await.unwrap();
        let tables: Vec<String> = sqlx::query_scalar("show tables").fetch_all(&mut mariadb).await.unwrap();
        // totals are made by the rules
        for table in tables.into_iter().filter(|table| !table.ends_with("_totals")) {
            let to = &web_before.name;
            let copy = format!("create table {to}.{table} (primary key (id)) as select * from {table}");
            mariadb.execute(raw_sql(AssertSqlSafe(copy))).await.unwrap();
        }

        let directory = tempfile::tempdir().unwrap();
        let copy = directory.path().join("before.db");
        fs::copy(support.url.strip_prefix("sqlite:").unwrap(), &copy).unwrap();
        let mut sqlite = SqliteConnection::connect(&support.url).await.unwrap();
        let attach = format!("attach '{}' as before", copy.display());
        sqlite.execute(raw_sql(AssertSqlSafe(attach))).await.unwrap();

        let sandbox = sandbox().await;
        sandbox.listen();
        let mut rehearsal = Self {
            company,
            contracts,
            web,
            web_before,
            support,
            postgres,
            mariadb,
            sqlite,
            sandbox,
            directory,
            holds: Vec::new(),
        };
        rehearsal.job();
        rehearsal.seed_vendors().await;
        rehearsal
    }

    /// A copy of the pack as it is, but for addresses, guard rails (the company gains no rows in ten years, so shares of
    /// its tables grow), and the facts that the test varies.
    fn job(&self) {
        let pack = Path::new(env!("CARGO_MANIFEST_DIR")).join("jobs/mobile-planning");
        let job = self.directory.path().join("job");
        fs::create_dir_all(job.join("rules")).unwrap();
        fs::create_dir_all(self.folder()).unwrap();
        for rule in fs::read_dir(pack.join("rules")).unwrap() {
            let rule = rule.unwrap();
            fs::copy(rule.path(), job.join("rules").join(rule.file_name())).unwrap();
        }
        let mut settings = fs::read_to_string(pack.join("sunset.yaml")).unwrap();
        let mut replace = |old: &str, new: &str| {
            assert_eq!(settings.matches(old).count(), 1, "{old} in the pack's settings");
            settings = settings.replace(old, new);
        };
        let (month, day) = self.company.fiscal_year_end;
        replace("fiscal_year_end: 03-31", &format!("fiscal_year_end: {month:02}-{day:02}"));
        let losses: Vec<_> = self.loss_years().iter().map(Date::to_string).collect();
        replace("loss_fiscal_years: []", &format!("loss_fiscal_years: [{}]", losses.join(", ")));
        replace("max_share: 98%", "max_share: 100%");
        if let Some(switch) = identity_switch() {
            replace(&format!("{switch}: false"), &format!("{switch}: true"));
        }
        for (recipient, vendor) in STAND_INS {
            let url = self.sandbox.url(vendor);
            let mut lines = format!("\n    url: {url}");
            match vendor {
                "google_ads" | "google_analytics" => write!(lines, "\n    token_url: {url}/token").unwrap(),
                "yahoo_japan_ads" => write!(lines, "\n    token_url: {url}/oauth/v1/token").unwrap(),
                _ => {}
            }
            let at = settings.find(&format!("\n  {recipient}:")).unwrap() + 1;
            let end = at + settings[at..].find('\n').unwrap();
            settings.insert_str(end, &lines);
        }
        fs::write(job.join("sunset.yaml"), settings).unwrap();
        let keys = self.directory.path().join("keys");
        self.sunset(&["keys", "new", "--out", keys.to_str().unwrap()]).expect(0);
    }

    fn folder(&self) -> PathBuf {
        self.directory.path().join("notices")
    }

    /// Stripe refuses to redact customers that it does not know, and Mouseflow has what was recorded.
    async fn seed_vendors(&mut self) {
        let customers = self
            .rows(Place::Contracts, "select stripe_customer_id from customers where stripe_customer_id is not null")
            .await;
        let customers: Vec<_> = customers.into_iter().flatten().collect();
        self.sandbox.seed("stripe", &json!({"customers": customers}));
        let tokens =
            "select paypal_payment_token, customer_id from payment_methods where paypal_payment_token is not null";
        let tokens = self.rows(Place::Contracts, tokens).await;
        let tokens: Json =
            tokens.into_iter().map(|row| (row[0].clone(), Json::from(format!("customer_{}", row[1])))).collect();
        self.sandbox.seed("paypal", &json!({"payment_tokens": tokens}));
        let visitors = self.rows(Place::Web, "select visitor_id from session_recordings").await;
        let recordings: Json = visitors
            .into_iter()
            .flatten()
            .map(|visitor| (format!("rec-{visitor}"), json!({"visitor": visitor})))
            .collect();
        self.sandbox.seed("mouseflow", &json!({"recordings": {"site": recordings}}));
        self.sandbox.seed("yahoo_japan_ads", &json!({"lists": [{"id": 1, "name": "Members", "duration": 13}]}));
    }

    fn sunset(&self, arguments: &[&str]) -> Call {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sunset"));
        command.arg("--jobs").arg(self.directory.path().join("job")).args(arguments);
        let example = include_str!("../../../jobs/mobile-planning/example.env");
        for line in example.lines().filter(|line| !line.starts_with('#')) {
            if let Some((name, value)) = line.split_once('=') {
                command.env(name, value);
            }
        }
        let keys = self.directory.path().join("keys");
        for entry in fs::read_dir(keys).into_iter().flatten() {
            let path = entry.unwrap().path();
            let kind = path.file_name().unwrap().to_str().unwrap().split('-').next().unwrap().to_uppercase();
            command.env(format!("SUNSET_{kind}_KEY"), fs::read_to_string(&path).unwrap().trim());
        }
        command.env("CONTRACTS_URL", &self.contracts.url).env("WEB_URL", &self.web.url);
        command.env("SUPPORT_URL", &self.support.url).env("NOTICE_FOLDER", self.folder());
        command.env("SUNSET_STORE", self.directory.path().join("sunset.db")).env("SUNSET_LOG", "error");
        // the nights go through years to come
        command.env("SUNSET_PRESENT", "2099-01-01T00:00:00Z");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Call::of(command.spawn().unwrap())
    }

    /// One night. What waits for a recipient is no failure of the night, but what is past its deadline is told by its code.
    fn night(&self, night: Date) -> Json {
        let now = format!("{night}T02:30:00+09:00");
        let call = self.sunset(&["--format", "json", "run", "--now", &now]);
        assert!([0, 4].contains(&call.code), "{night}: {call:?}");
        let report: Json = serde_json::from_str(&call.out).unwrap_or_else(|error| panic!("{error}: {call:?}"));
        for rule in report["rules"].as_array().unwrap() {
            let past_deadline = rule["recipients"].as_object().is_some_and(|all| !all.is_empty());
            let failed = rule["result"] == "failed" || rule["result"] == "refused";
            assert!(!failed || past_deadline, "{night}: {rule:#}");
        }
        report
    }

    /// The letters, or those of them that nobody has confirmed.
    fn notices(&self, all: bool) -> Vec<Json> {
        let mut arguments = vec!["--format", "json", "confirm", "--list"];
        if all {
            arguments.push("--all");
        }
        serde_json::from_str(&self.sunset(&arguments).expect(0).out).unwrap()
    }

    /// How many persons a recipient has still to confirm.
    fn waiting(&self, recipient: &str) -> u64 {
        let of = |notice: &&Json| notice["recipient"] == recipient;
        self.notices(false).iter().filter(of).map(|notice| notice["open"].as_u64().unwrap()).sum()
    }

    /// A person files the answers to all letters of a recipient that matters.
    fn confirm(&self) {
        for notice in self.notices(false) {
            let (recipient, id) = (notice["recipient"].as_str().unwrap(), notice["id"].as_str().unwrap());
            // E4 is enough for these: nobody waits for their answer
            if ["carriers", "partner_companies"].contains(&recipient) {
                continue;
            }
            let by = ["--all", "--by", "privacy officer", "--evidence", "certificate"];
            self.sunset(&[&["confirm", recipient, "--notice", id][..], &by].concat()).expect(0);
        }
    }

    async fn rows(&mut self, place: Place, sql: &str) -> Vec<Vec<String>> {
        let raw = raw_sql(AssertSqlSafe(sql.to_owned()));
        macro_rules! texts {
            ($connection:expr) => {
                $connection
                    .fetch_all(raw)
                    .await
                    .unwrap_or_else(|error| panic!("{error}: {sql}"))
                    .iter()
                    .map(|row| {
                        (0..row.len())
                            .map(|at| row.get_unchecked::<Option<String>, _>(at).unwrap_or("NULL".to_owned()))
                            .collect()
                    })
                    .collect()
            };
        }
        match place {
            Place::Contracts => texts!(self.postgres),
            Place::Web => texts!(self.mariadb),
            Place::Support => texts!(self.sqlite),
        }
    }

    async fn count(&mut self, place: Place, sql: &str) -> u64 {
        self.rows(place, sql).await[0][0].parse().unwrap()
    }

    /// The tables as they were, where this engine keeps them.
    fn qualified(&self, place: Place, sql: &str) -> String {
        match place {
            Place::Web => sql.replace("before.", &format!("{}.", self.web_before.name)),
            Place::Contracts | Place::Support => sql.to_owned(),
        }
    }

    /// The last days of the years that ended with a loss.
    fn loss_years(&self) -> Vec<Date> {
        let before = |years: &i32| fiscal_year_end(TODAY - years.years(), self.company.fiscal_year_end);
        LOSSES.iter().map(before).collect()
    }

    /// The words in braces for one night: see [`promises`].
    fn literal(&self, words: &str, night: Date) -> String {
        let year_end = self.company.fiscal_year_end;
        match words.split_once(' ') {
            // the law on identity records is a switch
            None if words == "identity" => {
                last_due(night, period(if identity_switch().is_some() { "3y" } else { "11m" })).to_string()
            }
            None => last_due(night, period(words)).to_string(),
            Some(("next", of)) => next(last_due(night, period(of))).to_string(),
            Some(("epoch", of)) => {
                let midnight = next(last_due(night, period(of))).at(0, 0, 0, 0);
                let tokyo = TimeZone::get("Asia/Tokyo").unwrap();
                midnight.to_zoned(tokyo).unwrap().timestamp().as_second().to_string()
            }
            Some(("month", of)) => {
                let last = last_due(night, period(of));
                if last == last.last_of_month() { last } else { last.first_of_month().yesterday().unwrap() }.to_string()
            }
            Some(("fy", of)) => last_fiscal_year_due(night, year_end, period(of)).to_string(),
            Some(("loss", column)) => {
                let years = self.loss_years().into_iter().map(|last| {
                    let first = next(fiscal_year_end(last - 370.days(), year_end));
                    format!("{column} between '{first}' and '{last}'")
                });
                years.collect::<Vec<_>>().join(" or ")
            }
            Some(("held", table)) => {
                let held = self.holds.iter().filter(|(of, ..)| *of == table).map(|(_, rows, _)| rows.as_str());
                let held: Vec<_> = held.collect();
                if held.is_empty() { "-1".to_owned() } else { held.join(", ") }
            }
            Some(_) => panic!("{{{words}}} is no literal"),
        }
    }

    fn on(&self, place: Place, sql: &str, night: Date) -> String {
        let (mut text, mut rest) = (String::new(), sql);
        // the quantifiers of regular expressions are in braces too
        while let Some((head, tail)) = rest.split_once('{') {
            let (words, after) = tail.split_once('}').unwrap();
            text += head;
            match words.parse::<u32>() {
                Ok(_) => write!(text, "{{{words}}}").unwrap(),
                Err(_) => text += &self.literal(words, night),
            }
            rest = after;
        }
        self.qualified(place, &(text + rest))
    }

    /// Holds all promises against the tables. `asked`: the night of which letters have been confirmed; `polled`: of
    /// which recipients that work on it had time to end; `night`: the last one.
    async fn judge(&mut self, polled: Date, asked: Date, night: Date) -> Vec<String> {
        let mut broken = Vec::new();
        for promise in PROMISES {
            let (place, table) = (promise.place, promise.table);
            let over = match promise.patience {
                Patience::None => night,
                Patience::Confirmed => asked,
                Patience::Polled => polled,
            };
            let late = match promise.becomes {
                None => format!(
                    "select count(*) from {table} t where ({}) and ({}) is not true",
                    promise.due, promise.stays
                ),
                Some(becomes) => format!(
                    "select count(*) from before.{table} t join {table} a on a.id = t.id
                     where ({}) and ({}) is not true and ({becomes}) is not true",
                    promise.due, promise.stays
                ),
            };
            let others = if promise.becomes.is_some() { promise.stays } else { "false" };
            let early = format!(
                "select count(*) from (select {columns} from before.{table} t where (({}) or ({others})) is not true
                 except select {columns} from {table}) x",
                promise.due,
                columns = promise.untouched
            );
            for (what, sql, night) in [("late", late, over), ("early, or not as they were", early, night)] {
                let sql = self.on(place, &sql, night);
                let rows = self.count(place, &sql).await;
                if rows > 0 {
                    broken.push(format!("{night}: {rows} rows of {table} are {what}: {sql}"));
                }
            }
        }
        broken
    }

    /// Puts rows under holds: one of each engine by its key, and all invoices of a customer who is in court.
    async fn hold(&mut self) {
        let former = "status = 'closed' and balance_yen = 0";
        for (place, table, sql) in [
            (
                Place::Contracts,
                "customers",
                format!(
                    "select min(id) from customers where {former} and relationship_ended_on < '{}'",
                    TODAY - 4.years()
                ),
            ),
            (Place::Web, "applications", "select min(id) from applications where status = 'abandoned'".to_owned()),
            (
                Place::Support,
                "tickets",
                "select min(id) from tickets where status = 'closed' and closed_at is not null".to_owned(),
            ),
            (
                Place::Contracts,
                "invoices",
                format!("select min(customer_id) from invoices where issued_on < '{}'", TODAY - 6.years()),
            ),
        ] {
            let key = self.rows(place, &sql).await[0][0].clone();
            assert_ne!(key, "NULL", "nobody to hold in {table}");
            let database = match place {
                Place::Contracts => "contracts",
                Place::Web => "web",
                Place::Support => "support",
            };
            let (table_path, condition) = (format!("{database}.{table}"), format!("customer_id = {key}"));
            let what = if table == "invoices" { ["--where", condition.as_str()] } else { ["--key", key.as_str()] };
            let mut arguments =
                vec!["hold", "add", "--table", &table_path, "--matter", "2026-17", "--reason", "lawsuit"];
            arguments.extend(["--owner", "legal@mobile-planning.example.jp", "--review", "2027-01-01"]);
            // the promises know which rows are held by themselves, and not what belongs to them
            arguments.push("--only-row");
            arguments.extend(what);
            let number = self.sunset(&arguments).expect(0).out.trim().to_owned();
            self.holds.push((table, key, number));
        }
    }

    /// What is held is as it was.
    async fn holds_hold(&mut self, night: Date) {
        for (table, key, _) in self.holds.clone() {
            let (place, columns, condition) = match table {
                "customers" => (Place::Contracts, "*", format!("id = {key}")),
                "applications" => (Place::Web, "*", format!("id = {key}")),
                "tickets" => (Place::Support, "*", format!("id = {key}")),
                _ => (Place::Contracts, "*", format!("customer_id = {key}")),
            };
            let sql = format!(
                "select count(*) from (select {columns} from before.{table} where {condition}
                 except select {columns} from {table}) x"
            );
            let sql = self.qualified(place, &sql);
            assert_eq!(self.count(place, &sql).await, 0, "{night}: {table} {key} is held and not as it was");
        }
    }

    fn release(&mut self) {
        for (_, _, number) in std::mem::take(&mut self.holds) {
            let why = ["--reason", "settled", "--owner", "legal@mobile-planning.example.jp"];
            self.sunset(&[&["hold", "release", &number][..], &why].concat()).expect(0);
        }
    }

    /// Logs that come years late, as those of a gateway that was found in a cupboard.
    async fn late_arrivals(&mut self, night: Date, number: usize) {
        let (id, old) = (900_000_000 + number, night - 3.years());
        let postgres = format!(
            "insert into connection_logs values ({id}, '{old} 12:00+09', null, null, null, null, 1);
             insert into usage_records values ({id}, '{old}', 'C999999999', '020-0000-0000', null, 1, 1)"
        );
        self.postgres.execute(raw_sql(AssertSqlSafe(postgres))).await.unwrap();
        let mariadb = format!(
            "insert into web_events values ({id}, 'late', null, '{old} 12:00:00', '/', null, null, null);
             insert into bot_scores values ({id}, 'order', '192.0.2.1', 0.5, 1600000000)"
        );
        self.mariadb.execute(raw_sql(AssertSqlSafe(mariadb))).await.unwrap();
    }

    /// The pack governs all of the estate; what is added later is found. The copies of the tables are not the estate's.
    async fn coverage(&mut self) {
        let gaps = |rehearsal: &Self| -> Vec<String> {
            let found = rehearsal.sunset(&["--format", "json", "coverage"]).expect(1).out;
            let found: Json = serde_json::from_str(&found).unwrap();
            let gaps = found["gaps"].as_array().unwrap().iter().map(Json::to_string);
            gaps.filter(|gap| !gap.contains("contracts.before.")).collect()
        };
        assert_eq!(gaps(self), [""; 0]);
        let add = "alter table customers add line_user_id text;
                   create table loyalty_members (id bigint primary key, customer_id bigint references customers, email text)";
        self.postgres.execute(raw_sql(add)).await.unwrap();
        let found = gaps(self);
        let names = |name: &str| found.iter().any(|gap| gap.contains(name));
        assert!(found.len() == 2 && names("line_user_id") && names("contracts.loyalty_members"), "{found:#?}");
        let drop = "alter table customers drop line_user_id; drop table loyalty_members";
        self.postgres.execute(raw_sql(drop)).await.unwrap();
    }

    /// Which assertions hold, and which wait for a person.
    fn assertions(&self, report: &Json) -> (Vec<String>, Vec<String>) {
        let all = report["assertions"].as_array().unwrap();
        let of = |result: &str| {
            let found = all.iter().filter(|one| one["result"] == result);
            let mut ids: Vec<_> = found.map(|one| one["assertion"].as_str().unwrap().to_owned()).collect();
            ids.sort();
            ids
        };
        (of("holds"), of("unattested"))
    }

    /// Of what has gone, the totals of groups of ten persons or more are there, and no others.
    async fn totals(&mut self, night: Date) {
        for (place, kept, made) in [
            (
                Place::Contracts,
                "select month::text, prefecture, records::text, upload_mb::text, download_mb::text, contracts::text
                 from usage_totals order by month, prefecture collate \"C\"",
                "select date_trunc('month', t.used_on)::date::text, t.prefecture, count(*)::text, sum(t.upload_mb)::text,
                     sum(t.download_mb)::text, count(distinct t.contract_no)::text
                 from before.usage_records t where t.used_on <= '{month 3m}' and t.prefecture is not null
                 group by date_trunc('month', t.used_on), t.prefecture having count(distinct t.contract_no) >= 10
                 order by 1, t.prefecture collate \"C\"",
            ),
            (
                Place::Web,
                "select cast(month as char), access_route, cast(events as char), cast(visitors as char)
                 from web_totals order by month, access_route",
                "select date_format(t.occurred_at, '%Y-%m-01'), t.access_route, cast(count(*) as char),
                     cast(count(distinct t.visitor_id) as char)
                 from before.web_events t where date(t.occurred_at) <= '{month 11m}' and t.access_route is not null
                 group by 1, 2 having count(distinct t.visitor_id) >= 10 order by 1, 2",
            ),
        ] {
            let made = self.on(place, made, night);
            let (kept, made) = (self.rows(place, kept).await, self.rows(place, &made).await);
            assert!(self.company.customers < LARGE || !made.is_empty(), "no group of {place:?} is large enough: {kept:?}");
            assert_eq!(kept, made);
        }
    }

    /// A person looks at the settings of others and says so.
    fn attest(&self, assertions: &[String]) {
        assert!(!assertions.is_empty());
        let now = format!("{TODAY}T09:00:00+09:00");
        for assertion in assertions {
            let said = ["--by", "privacy officer", "--evidence", "looked at the settings"];
            self.sunset(&[&["attest", assertion, "--now", &now][..], &said].concat()).expect(0);
        }
    }

    /// All assertions hold, until a card number and an old backup are found and attestations are out of date.
    async fn broken_promises(&mut self, night: Date) {
        let report = self.night(night);
        let (holds, _) = self.assertions(&report);
        assert_eq!(holds.len(), report["assertions"].as_array().unwrap().len(), "{:#}", report["assertions"]);
        let plant = "insert into inquiry_texts select max(id) + 1, min(inquiry_id), max(sent_at), 'カード番号は 4111 1111 1111 1111 です' from inquiry_texts";
        self.mariadb.execute(raw_sql(plant)).await.unwrap();
        self.sandbox.seed("google_analytics", &json!({"retention": {"eventDataRetention": "FOURTEEN_MONTHS"}}));
        self.postgres.execute(raw_sql("update backups set destroyed_on = null where id = 7")).await.unwrap();
        let report = self.night(night + 4.months());
        let (holds, _) = self.assertions(&report);
        assert_eq!(
            holds,
            ["d20-no-sns-identifiers", "r08-no-card-numbers-contracts", "r08-no-card-numbers-support"],
            "{:#}",
            report["assertions"]
        );
        assert!(!report.to_string().contains("4111"), "{report:#}");
    }

    /// The policy says that card numbers are not stored, and nobody may have added them.
    async fn no_card_number_is_stored(&mut self) {
        let postgres = "select table_name || '.' || column_name from information_schema.columns
                        where table_schema = 'public' and data_type in ('text', 'character varying')";
        let mariadb = "select concat(table_name, '.', column_name) from information_schema.columns
                       where table_schema = database() and data_type in ('varchar', 'char', 'text', 'longtext')";
        for (place, columns, operator) in [(Place::Contracts, postgres, "~"), (Place::Web, mariadb, "rlike")] {
            for column in self.rows(place, columns).await {
                let (table, column) = column[0].split_once('.').unwrap();
                // a whole word of 15 or 16 digits, as cards have; the estate's own numbers are shorter or longer
                let card = "(^|[^0-9a-f])[3-6][0-9]{3}[ -]?[0-9]{4}[ -]?[0-9]{4}[ -]?[0-9]{3,4}($|[^0-9a-f])";
                let sql = format!("select count(*) from {table} where {column} {operator} '{card}'");
                assert_eq!(self.count(place, &sql).await, 0, "{table}.{column} looks like card numbers");
            }
        }
    }
}

fn period(text: &str) -> Period {
    let (years, rest) = text.split_once('y').unwrap_or(("0", text));
    if let Some(days_) = rest.strip_suffix('d') {
        return days(days_.parse().unwrap());
    }
    let more: i32 = rest.strip_suffix('m').map_or(0, |more| more.parse().unwrap());
    months(12 * years.parse::<i32>().unwrap() + more)
}

/// The last day of the last fiscal year whose filing deadline (two months) and then `period` are over at `night`.
fn last_fiscal_year_due(night: Date, year_end: (i8, i8), period: Period) -> Date {
    let over = |end: Date| ends_on(ends_on(end, months(2)), period) < night;
    let mut end = fiscal_year_end(night, year_end);
    while !over(end) {
        end = fiscal_year_end(end - 366.days(), year_end);
    }
    end
}

fn company(customers: u64) -> Company {
    let customers = u32::try_from(variable("SUNSET_ESTATE_CUSTOMERS", customers)).unwrap();
    let mut company = Company::new(variable("SUNSET_ESTATE_SEED", 1), customers, TODAY);
    company.fiscal_year_end = fiscal_year();
    company
}

#[test]
fn fiscal_years_fall_due_after_their_filing_deadlines() {
    // filed by 31 May 2019, and seven years from then
    assert_eq!(last_fiscal_year_due(date(2026, 6, 1), (3, 31), period("7y")), date(2019, 3, 31));
    assert_eq!(last_fiscal_year_due(date(2026, 5, 31), (3, 31), period("7y")), date(2018, 3, 31));
    assert_eq!(last_fiscal_year_due(date(2026, 5, 1), (2, 28), period("7y")), date(2019, 2, 28));
}

/// The whole pack over the whole company in its first night, and in those that follow until everybody has answered.
#[tokio::test]
async fn one_night() {
    let mut company = company(LARGE.into());
    (company.days_of_usage, company.billed_every) = (200, 3);
    let mut rehearsal = Rehearsal::new(company).await;
    let valid = rehearsal.sunset(&["validate"]).expect(0);
    let (warnings, last) = valid.err.trim().rsplit_once('\n').unwrap();
    assert_eq!((valid.out.trim(), last), ("", "43 rules are valid; they fit 3 databases"), "{valid:?}");
    // Nothing in the company's tables says that two people have not the same phone.
    let shared = warnings.matches("warning[W0614]").count();
    assert_eq!((shared, warnings.matches("warning[").count()), (5, 5), "{warnings}");
    rehearsal.coverage().await;
    rehearsal.hold().await;
    let first = rehearsal.night(TODAY);
    rehearsal.totals(TODAY).await;
    let (holds, open) = rehearsal.assertions(&first);
    assert_eq!(
        holds,
        [
            "r08-no-card-numbers-contracts",
            "r08-no-card-numbers-support",
            "r08-no-card-numbers-web",
            "r22-analytics-retention",
            "r31-no-old-backups"
        ],
        "{:#}",
        first["assertions"]
    );
    rehearsal.attest(&open);
    assert!(first["disposed"].as_u64().unwrap() > 1000, "{first:#}");
    let long_ago = TODAY - 100.years();
    assert_eq!(rehearsal.judge(long_ago, long_ago, TODAY).await, [""; 0]);
    rehearsal.confirm();
    // the nights that slow recipients need
    for days in 1..=3 {
        rehearsal.night(TODAY + days.days());
    }
    let last = TODAY + 3.days();
    assert_eq!(rehearsal.judge(TODAY, TODAY, last).await, [""; 0]);
    rehearsal.holds_hold(last).await;
    rehearsal.no_card_number_is_stored().await;
    rehearsal.broken_promises(last + 1.day()).await;
    assert!(rehearsal.sunset(&["ledger", "verify"]).expect(0).out.contains("sound"));
}

/// Ten years, month by month. The company has all its dates from the beginning, ten years ahead, so nothing but time
/// passes, and whoever leaves in 2031 leaves in 2031.
#[tokio::test]
async fn ten_years() {
    let steps = variable("SUNSET_ESTATE_MONTHS", 120);
    let nights: Vec<Date> = (0..=steps)
        .map(|step| (TODAY.first_of_month() + i64::try_from(step).unwrap().months()).last_of_month())
        .collect();
    let mut company = company(30);
    company.until = *nights.last().unwrap();
    (company.days_of_usage, company.billed_every) = (40, 6);
    company.asked_nights = nights.iter().copied().step_by(12).collect();
    company.nights.clone_from(&nights);
    let mut rehearsal = Rehearsal::new(company).await;
    rehearsal.hold().await;
    let long_ago = TODAY - 100.years();
    // from here on, nobody who was asked about before counts
    let mut released = 0;
    for (step, &night) in nights.iter().enumerate() {
        rehearsal.late_arrivals(night, step).await;
        rehearsal.night(night);
        let before =
            |steps: usize| step.checked_sub(steps).filter(|step| *step >= released).map_or(long_ago, |at| nights[at]);
        assert_eq!(rehearsal.judge(before(3), before(1), night).await, [""; 0]);
        rehearsal.holds_hold(night).await;
        rehearsal.confirm();
        if step == 60 {
            rehearsal.release();
            released = 61;
        }
    }
    // for those who were confirmed last
    rehearsal.night(next(*nights.last().unwrap()));
    rehearsal.everybody_was_asked_about_once().await;
    rehearsal.no_card_number_is_stored().await;
    assert!(rehearsal.sunset(&["ledger", "verify"]).expect(0).out.contains("sound"));
}
