//! Subjects and holds on persons, over three databases of three engines: what is about a held person stays in each of them,
//! however it is spelled there, and nothing else does.

use crate::{
    server::{Scratch, Server},
    support::bench::{Bench, Call, on_every_engine},
};
use std::{fs, io::Write as _, process::Stdio, sync::Arc};
use sunset::catalog::Engine;

mod changes;
mod diagnostics;
mod names;
mod odd;
mod recipients;
mod spellings;
mod uses;

/// Who the data of the three databases is about.
pub const SUBJECTS: &str = "
subjects:
  customer:
    home: core.customers
    identifiers:
      email: email
      phone: {column: phone, as: phone}
      number: {column: customer_no, as: text}
    links:
      web.marketing_profiles: {member_hash: member_hash}
      helpdesk.tickets: {requester_email: {column: email, as: email}}
    not_theirs: [core.plans]
    country_calling_code: \"81\"
";

const RULES: &str = "
- {id: customers, table: core.customers, starting_point: left_on, retention_period: 5 years, disposition: erase,
   dependents: {core.contracts: erase, core.plans: keep}}
- {id: profiles, table: web.marketing_profiles, starting_point: seen_on, retention_period: 1 year, disposition: erase,
   dependents: {web.profile_events: keep}}
- {id: events, table: web.profile_events, starting_point: happened_on, retention_period: 6 months, disposition: erase}
- {id: tickets, table: helpdesk.tickets, starting_point: closed_on, retention_period: 3 years, disposition: erase,
   dependents: {helpdesk.messages: erase}}
";

/// Three databases of one company. The first one has the customers.
pub struct Company {
    pub core: Bench,
    pub web: Bench,
    pub helpdesk: Bench,
}

impl Company {
    /// The other two databases are on the other two engines.
    pub async fn of(core: Bench) -> Self {
        let (second, third) = match core.engine {
            Engine::Postgres => (Server::Mariadb, Server::Sqlite),
            Engine::Mysql => (Server::Sqlite, Server::Postgres),
            Engine::Sqlite => (Server::Postgres, Server::Mariadb),
        };
        let mut core = core;
        let web = Bench::on(Arc::new(Scratch::at(second).await), "web");
        let helpdesk = Bench::on(Arc::new(Scratch::at(third).await), "helpdesk");
        core.variables.push(("WEB_URL", web.database.url.clone()));
        core.variables.push(("HELPDESK_URL", helpdesk.database.url.clone()));
        let company = Self { core, web, helpdesk };
        company.settings(SUBJECTS);
        company
    }

    /// Writes `sunset.yaml`.
    pub fn settings(&self, more: &str) {
        self.core.settings(&format!("time_zone: Asia/Tokyo\n{more}"));
        let path = self.core.path("sunset.yaml");
        let text = fs::read_to_string(&path).unwrap();
        let others = "databases: {web: \"${WEB_URL}\", helpdesk: \"${HELPDESK_URL}\", core";
        fs::write(&path, text.replace("databases: {core", others)).unwrap();
    }

    /// Persons 1, 2 and 3, with rows in all databases. Number 1 is Taro, whose rows are spelled in several ways.
    pub async fn fill(&self) {
        self.core
            .script(
                "create table customers (id {int} primary key, email {text}, phone {text}, member_hash {text}, customer_no {text},
                   left_on {date});
                 create table plans (id {int} primary key, created_by {int}, foreign key (created_by) references customers (id));
                 create table contracts (id {int} primary key, customer_id {int}, plan_id {int},
                   foreign key (customer_id) references customers (id), foreign key (plan_id) references plans (id));
                 insert into customers values
                   (1, 'Taro.Yamada@Example.com', '090-1234-5678', 'aa11', 'C-001', '2001-01-01'),
                   (2, 'hanako@example.com', '03-4405-7597', 'bb22', 'C-002', '2001-01-01'),
                   (3, null, null, null, 'C-003', '2001-01-01');
                 insert into plans values (1, 1);
                 insert into contracts values (10, 1, null), (11, 1, 1), (20, 2, 1), (30, 3, null)",
            )
            .await;
        self.web
            .script(
                "create table marketing_profiles (id {int} primary key, member_hash {text}, seen_on {date});
                 create table profile_events (id {int} primary key, profile_id {int}, happened_on {date},
                   foreign key (profile_id) references marketing_profiles (id));
                 insert into marketing_profiles values (1, 'aa11', '2001-01-01'), (2, 'bb22', '2001-01-01'), (3, null, '2001-01-01'),
                   (4, ' aa11 ', '2001-01-01'), (5, '', '2001-01-01');
                 insert into profile_events values (10, 1, '2001-01-01'), (20, 2, '2001-01-01'), (40, 4, '2001-01-01')",
            )
            .await;
        self.helpdesk
            .script(
                "create table tickets (id {int} primary key, requester_email {text}, closed_on {date});
                 create table messages (id {int} primary key, ticket_id {int},
                   foreign key (ticket_id) references tickets (id));
                 insert into tickets values (1, 'taro.yamada@example.com', '2001-01-01'), (2, 'hanako@example.com', '2001-01-01'),
                   (3, ' TARO.YAMADA@EXAMPLE.COM', '2001-01-01'), (4, 'ｔａｒｏ.Yamada＠example.com', '2001-01-01'),
                   (5, 'taro@example.com', '2001-01-01'), (6, null, '2001-01-01');
                 insert into messages values (10, 1), (20, 2), (30, 3), (50, 5)",
            )
            .await;
        self.core.rules(RULES);
    }

    /// What is left, in all databases.
    pub async fn left(&self) -> String {
        let mut all = Vec::new();
        for (bench, tables) in [
            (&self.core, &["customers", "contracts", "plans"][..]),
            (&self.web, &["marketing_profiles", "profile_events"]),
            (&self.helpdesk, &["tickets", "messages"]),
        ] {
            for table in tables {
                let ids = bench.list(&format!("select id from {table} order by id")).await;
                all.push(format!("{table} {ids}").trim().to_owned());
            }
        }
        all.join(" | ")
    }

    /// Adds a hold on a person and gives its number.
    pub fn hold(&self, who: &[&str]) -> String {
        self.add(who).expect(0).out.trim().to_owned()
    }

    pub fn add(&self, who: &[&str]) -> Call {
        self.core.sunset(&[&HOLD[..], who].concat())
    }

    /// The same, with this on standard input.
    pub fn add_reading(&self, who: &[&str], input: &str) -> Call {
        let mut command = self.core.command(&[&HOLD[..], who].concat());
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        Call::of(child)
    }

    pub fn run(&self, arguments: &[&str]) -> Call {
        self.core.sunset(&[&["run", "--now", self.core.now][..], arguments].concat())
    }
}

pub const HOLD: [&str; 12] = [
    "hold",
    "add",
    "--subject",
    "customer",
    "--matter",
    "2026-wa-7",
    "--reason",
    "a claim",
    "--owner",
    "legal@example.com",
    "--review",
    "2027-01-01",
];

/// All rows of person 1, and nobody else's. Customer 2 went, although their contract names a plan that person 1 made.
const TAROS: &str = "customers 1 | contracts 10 11 | plans 1 | marketing_profiles 1 4 | profile_events 10 40 | tickets 1 3 4 | messages 10 30";
/// A plan needs the customer who made it.
const PLANNED: &str =
    "customers 1 | contracts 10 11 | plans 1 | marketing_profiles | profile_events | tickets | messages";

async fn whatever_is_about_a_held_person_stays(core: Bench) {
    let company = Company::of(core).await;
    company.fill().await;
    // nothing personal in the list of processes, and another spelling than the stored one
    let added = company.add_reading(&["--find", "-"], "email=TARO.yamada＠example.com\nphone=+81 90 1234 5678\n");
    let added = added.expect(0);
    insta::assert_snapshot!("what_stays", plain(&company, &added.err));

    let plan = company.core.sunset(&["plan", "--now", company.core.now]).expect(0);
    let plan_json = company.core.plan();
    let held: Vec<_> = plan_json["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| format!("{} {}", step["rule"].as_str().unwrap(), step["counts"]["held"]))
        .collect();
    assert_eq!(sorted(held), ["customers 1", "events 2", "profiles 2", "tickets 3"]);

    let said: Vec<_> = plan.out.lines().filter(|line| line.contains("hold")).collect();
    insta::assert_snapshot!("plan", plain(&company, &said.join("\n")));
    company.run(&[]).expect(0);
    assert_eq!(company.left().await, TAROS);
    company.run(&[]).expect(0);
    assert_eq!(company.left().await, TAROS);

    // the store knows the key alone, and no output shows who it is
    let store = String::from_utf8_lossy(&fs::read(company.core.path("state/sunset.db")).unwrap()).to_lowercase();
    let ledger = company.core.sunset(&["ledger", "export"]).expect(0).out;
    for text in [&added.err, &added.out, &plan.out, &plan_json.to_string(), &store, &ledger] {
        let text = text.to_lowercase();
        for canary in ["taro", "aa11", "9012345678", "1234-5678", "c-001"] {
            assert!(!text.contains(canary), "{canary} is shown");
        }
    }
    company.core.evidence();

    let listed = company.core.sunset(&["hold", "list", "--now", "2026-11-22"]).expect(0).out;
    assert!(listed.contains("the person 1 (customer)"), "{listed}");
    let release = ["hold", "release", "1", "--reason", "settled", "--owner", "legal@example.com"];
    company.core.sunset(&release).expect(0);
    company.core.sunset(&["hold", "list", "--all"]).expect(0);
    company.run(&[]).expect(0);
    assert_eq!(company.left().await, PLANNED);
}

/// Without names of schemas, which differ between engines.
pub fn plain(company: &Company, text: &str) -> String {
    let mut text = text.replace("public.", "").replace("main.", "");
    for bench in [&company.core, &company.web, &company.helpdesk] {
        let name = bench.database.url.rsplit('/').next().unwrap();
        text = text.replace(&format!("{name}."), "");
    }
    text
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

/// Rules of the other databases alone are run: the home is opened and asked all the same.
async fn rules_of_other_databases_ask_the_home(core: Bench) {
    let company = Company::of(core).await;
    company.fill().await;
    company.hold(&["--key", "1"]);
    for rule in ["events", "profiles", "tickets"] {
        company.run(&["--rule", rule]).expect(0);
    }
    let left = company.left().await;
    assert!(left.ends_with("marketing_profiles 1 4 | profile_events 10 40 | tickets 1 3 4 | messages 10 30"), "{left}");
}

/// Nobody can tell whose rows are whose while the home cannot be asked.
async fn nothing_goes_while_the_home_is_down(core: Bench) {
    let mut company = Company::of(core).await;
    company.fill().await;
    company.hold(&["--key", "1"]);
    let before = company.left().await;
    let nowhere = match company.core.engine {
        Engine::Postgres => "postgres://nobody@127.0.0.1:1/nowhere",
        Engine::Mysql => "mysql://nobody@127.0.0.1:1/nowhere",
        Engine::Sqlite => "sqlite:/nowhere/core.db",
    };
    let path = company.core.path("sunset.yaml");
    let settings = fs::read_to_string(&path).unwrap();
    fs::write(&path, settings.replace("${BENCH_URL}", "${NOWHERE}")).unwrap();
    company.core.variables.push(("NOWHERE", nowhere.to_owned()));
    for rules in [&[][..], &["--rule", "profiles"], &["--rule", "tickets"], &["--rule", "events"]] {
        let call = company.run(rules);
        assert!([75, 1, 2].contains(&call.code), "{call:?}");
        let words = "whose database is not available, so nobody can tell which rows are theirs";
        assert!(format!("{}{}", call.out, call.err).contains(words), "{call:?}");
        assert_eq!(company.left().await, before);
    }
    fs::write(&path, settings).unwrap();
    company.run(&[]).expect(0);
    assert_eq!(company.left().await, TAROS);
}

/// A row of a linked table tells which hold keeps it.
async fn why_names_the_hold_on_the_person(core: Bench) {
    let company = Company::of(core).await;
    company.fill().await;
    company.hold(&["--key", "1"]);
    for (table, key, how) in [
        ("web.marketing_profiles", "4", "itself"),
        ("web.profile_events", "10", "belongs"),
        ("helpdesk.tickets", "3", "itself"),
        ("helpdesk.messages", "30", "belongs"),
        ("core.contracts", "11", "belongs"),
    ] {
        let call = company.core.sunset(&["why", table, key, "--format", "json"]).expect(0);
        let found: serde_json::Value = serde_json::from_str(&call.out).unwrap();
        let hold = &found["holds"][0];
        assert_eq!(
            (&hold["hold"], &hold["matter"], &hold["how"]),
            (&1.into(), &"2026-wa-7".into(), &how.into()),
            "{table}"
        );
    }
    for (table, key) in
        [("web.marketing_profiles", "2"), ("helpdesk.tickets", "5"), ("core.contracts", "20"), ("core.plans", "1")]
    {
        let call = company.core.sunset(&["why", table, key, "--format", "json"]).expect(0);
        let found: serde_json::Value = serde_json::from_str(&call.out).unwrap();
        assert_eq!(found["holds"], serde_json::json!([]), "{table} {key}");
    }
}

/// Who is meant has to be one person.
async fn only_one_person_can_be_meant(core: Bench) {
    let company = Company::of(core).await;
    company.fill().await;
    company
        .core
        .script("insert into customers values (4, 'HANAKO@example.com', '080-1111-2222', 'dd44', 'C-002', null)")
        .await;
    let refused = |who: &[&str]| company.add(who).expect(2).err;
    assert!(refused(&["--find", "email=hanako@example.com"]).contains("2 rows"));
    assert!(refused(&["--find", "email=nobody@example.com"]).contains("no row"));
    assert!(refused(&["--key", "99"]).contains("no row"));
    assert!(refused(&["--key", "x"]).contains("no row"));
    assert!(refused(&["--find", "fax=1"]).contains("it has `email`, `number`, `phone`"));
    assert!(refused(&["--find", "hanako@example.com"]).contains("identifier=value"));
    for call in [company.add(&["--find", "email=hanako@example.com"]), company.add(&["--find", "hanako@example.com"])] {
        assert!(!call.err.to_lowercase().contains("hanako"), "{}", call.err);
    }
    // together they name one
    let both = ["--find", "email=hanako@example.com", "--find", "phone=０８０１１１１２２２２"];
    company.hold(&both);
    company.core.sunset(&["hold", "release", "1", "--reason", "r", "--owner", "o"]).expect(0);
    fs::write(company.core.path("who"), "phone=+81 3-4405-7597\n\n").unwrap();
    company.hold(&["--find-file", company.core.path("who").to_str().unwrap()]);
    let listed = company.core.sunset(&["hold", "list"]).expect(0).out;
    assert!(listed.contains("the person 2 (customer)"), "{listed}");
}

on_every_engine!(
    whatever_is_about_a_held_person_stays,
    rules_of_other_databases_ask_the_home,
    nothing_goes_while_the_home_is_down,
    why_names_the_hold_on_the_person,
    only_one_person_can_be_meant,
);
