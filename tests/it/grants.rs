//! `sunset grants`, tried out: a user with exactly these privileges can do everything, and with one fewer it cannot.

use crate::{
    server::{Scratch, execute, server},
    support::command::{Called, sunset},
};
use std::{fmt::Write as _, fs, path::Path};
use sunset::catalog::Engine;
use url::Url;

/// One rule for each way of touching a table. `{schema}` is where the tables are.
const RULES: &str = r#"
category: all
rules:
  - id: members
    table: core.{schema}members
    starting_point: left_on
    retention_period: 1 year
    disposition: erase
    dependents:
      core.{schema}addresses: erase
      core.{schema}address_notes: erase
      core.{schema}orders: keep
      core.{schema}visits: unlink
      core.{schema}reviews: {anonymize: {member_id: suppress, author: {replace: "-"}}}
  - id: people
    table: core.{schema}people
    starting_point: {latest: core.{schema}contracts.ended_on, through: person_id}
    retention_period: 1 year
    disposition: anonymize
    columns: {full_name: {replace: "-"}, email: suppress}
    dependents: {core.{schema}contracts: keep}
  - id: patients
    table: core.{schema}patients
    starting_point: left_on
    retention_period: 1 year
    disposition: anonymize
    columns: {full_name: suppress}
    dependents: {core.{schema}beds: unlink}
    k_anonymity: {quasi_identifiers: [town], k: 2, l_diversity: {illness: 2}, then: [{town: {truncate: 1}}]}
  - id: events
    table: core.{schema}events
    starting_point: happened_on
    retention_period: 1 year
    disposition: erase
  - id: usages
    table: core.{schema}usages
    starting_point: used_on
    retention_period: 1 year
    disposition: erase
    aggregate:
      into: core.{schema}totals
      by: {year: {year: used_on}}
      totals: {usages: count}
      smallest_group: {persons: person, at_least: 2, counted_in: persons}
  - id: sessions
    table: core.{schema}sessions
    starting_point: ended_on
    retention_period: 1 year
    disposition: erase
  - id: tickets
    table: core.{schema}tickets
    starting_point: closed_on
    retention_period: 1 year
    disposition: unlink
    columns: [person]
  - id: devices
    table: core.{schema}devices
    starting_point: seen_on
    retention_period: 1 year
    disposition: pseudonymize
    columns: {imei: hash}
    marker: done
"#;

const TABLES: &str = "
create table members (id int primary key, name varchar(40), left_on date);
create table addresses (id int primary key, member_id int not null, street varchar(40), foreign key (member_id) references members (id));
create table address_notes (id int primary key, address_id int not null, note varchar(40), foreign key (address_id) references addresses (id));
create table orders (id int primary key, member_id int, goods varchar(40), foreign key (member_id) references members (id));
create table visits (id int primary key, member_id int, page varchar(40), foreign key (member_id) references members (id));
create table reviews (id int primary key, member_id int, author varchar(40), foreign key (member_id) references members (id));
create table people (id int primary key, full_name varchar(40) not null, email varchar(40), card varchar(40));
create table contracts (id int primary key, person_id int not null, ended_on date, price int, foreign key (person_id) references people (id));
create table patients (id int primary key, left_on date, full_name varchar(40), town varchar(40), illness varchar(40));
create table beds (id int primary key, patient_id int, foreign key (patient_id) references patients (id));
create table events (id int, happened_on date not null, what varchar(40), primary key (id, happened_on)) {partitioned};
create table usages (id int primary key, used_on date, person int);
create table totals (year date primary key, usages int not null, persons int not null, note varchar(40));
create table sessions (id int primary key, ended_on date, address varchar(40));
create index sessions_ended on sessions (ended_on);
create table tickets (id int primary key, closed_on date, person varchar(40));
create table devices (id int primary key, seen_on date, imei varchar(64), done boolean);
{more}
";

/// In the order in which they can be emptied.
const NAMES: [&str; 16] = [
    "address_notes",
    "addresses",
    "orders",
    "visits",
    "reviews",
    "members",
    "contracts",
    "people",
    "beds",
    "patients",
    "events",
    "usages",
    "totals",
    "sessions",
    "tickets",
    "devices",
];

/// Puts the rows back, of which a run leaves what `LEFT` tells.
fn rows(prefix: &str) -> String {
    let mut sql = String::new();
    for name in NAMES {
        writeln!(sql, "delete from {prefix}{name};").unwrap();
    }
    let old = "'2019-04-01'";
    let mut insert =
        |table: &str, values: String| writeln!(sql, "insert into {prefix}{table} values {values};").unwrap();
    insert("members", format!("(1, 'a', {old}), (2, 'b', {old}), (3, 'c', null)"));
    insert("addresses", "(1, 1, 's'), (2, 3, 't')".to_owned());
    insert("address_notes", "(1, 1, 'n'), (2, 2, 'n')".to_owned());
    insert("orders", "(1, 3, 'g')".to_owned());
    insert("visits", "(1, 1, 'p')".to_owned());
    insert("reviews", "(1, 2, 'a')".to_owned());
    insert("people", "(1, 'a', 'a@example.com', 'x'), (2, 'b', 'b@example.com', 'y')".to_owned());
    insert("contracts", format!("(1, 1, {old}, 7), (2, 2, null, 8)"));
    let patient = |id, town, illness| format!("({id}, {old}, 'a', '{town}', '{illness}')");
    insert("patients", [patient(1, "ab", "x"), patient(2, "ac", "y"), patient(3, "b", "x")].join(", "));
    insert("beds", "(1, 1), (2, 3)".to_owned());
    insert("events", format!("(1, {old}, 'w'), (2, '2021-04-01', 'w'), (3, '2100-01-01', 'w')"));
    insert("usages", format!("(1, {old}, 1), (2, {old}, 2), (3, '2100-01-01', 1)"));
    let sessions: Vec<_> =
        (1..=200).map(|id| format!("({id}, '{}-04-01', 'x')", if id == 77 { 2019 } else { 2100 })).collect();
    insert("sessions", sessions.join(", "));
    insert("tickets", format!("(1, {old}, 'a'), (2, null, 'b')"));
    insert("devices", format!("(1, {old}, '356938035643809', false), (2, null, '1', false)"));
    sql
}

/// What is left of these rows, by what it asks of each table.
const LEFT: [(&str, &str); 13] = [
    ("select count(*) from {prefix}members", "1"),
    ("select count(*) from {prefix}addresses", "1"),
    ("select count(*) from {prefix}address_notes", "1"),
    ("select count(*) from {prefix}visits where member_id is null", "1"),
    ("select count(*) from {prefix}reviews where member_id is null and author = '-'", "1"),
    ("select count(*) from {prefix}people where full_name = '-' and email is null", "1"),
    ("select count(*) from {prefix}patients where full_name is null and town = 'a'", "2"),
    ("select count(*) from {prefix}patients", "2"),
    ("select count(*) from {prefix}events", "1"),
    ("select count(*) from {prefix}usages", "1"),
    ("select count(*) from {prefix}totals where usages = 2 and persons = 2", "1"),
    ("select count(*) from {prefix}sessions", "199"),
    ("select count(*) from {prefix}devices where done", "1"),
];

/// A database user that may do nothing; dropped after its database, which holds its privileges.
struct User {
    engine: Engine,
    name: String,
}

const PASSWORD: &str = "only-for-this-test";

impl User {
    async fn new(engine: Engine) -> Self {
        // capitals and a sign, so that it needs its quotes
        let name = format!("Sunset-it {}", std::process::id());
        let user = Self { engine, name };
        let sql = match engine {
            Engine::Postgres => format!("create role {} login password '{PASSWORD}'", user.quoted()),
            _ => format!("create user {} identified by '{PASSWORD}'", user.quoted()),
        };
        execute(engine, &server(engine), &sql).await;
        user
    }

    fn quoted(&self) -> String {
        if self.engine == Engine::Postgres { format!("\"{}\"", self.name) } else { format!("'{}'@'%'", self.name) }
    }

    fn url(&self, scratch: &Scratch) -> String {
        let mut url = Url::parse(&scratch.url).unwrap();
        url.set_username(&self.name).unwrap();
        url.set_password(Some(PASSWORD)).unwrap();
        url.to_string()
    }
}

impl Drop for User {
    fn drop(&mut self) {
        let (engine, kind) = (self.engine, if self.engine == Engine::Postgres { "role" } else { "user" });
        let sql = format!("drop {kind} {}", self.quoted());
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(execute(engine, &server(engine), &sql));
        });
        let _ = dropping.join();
    }
}

fn write_job(jobs: &Path, schema: &str) {
    let printed = sunset(jobs, "", &["keys", "new", "--out", jobs.join("keys").to_str().unwrap()]).done();
    let keys = printed.split_once("keys:\n").unwrap().1.split_once("\n\n").unwrap().0;
    let settings = format!("name: it\ntime_zone: UTC\ndatabases: {{core: \"${{CORE_URL}}\"}}\nkeys:\n{keys}\n");
    fs::write(jobs.join("sunset.yaml"), settings).unwrap();
    fs::create_dir(jobs.join("rules")).unwrap();
    fs::write(jobs.join("rules/all.yaml"), RULES.replace("{schema}", schema)).unwrap();
}

fn statements(jobs: &Path, url: &str, user: &str) -> Vec<String> {
    let printed = sunset(jobs, url, &["grants", "--user", user, "--format", "json"]).done();
    let value: serde_json::Value = serde_json::from_str(&printed).unwrap();
    let grants = value[0]["grants"].as_array().unwrap();
    grants.iter().map(|grant| grant["statement"].as_str().unwrap().to_owned()).collect()
}

fn revoke(grant: &str) -> String {
    grant.replacen("grant ", "revoke ", 1).replacen(" to ", " from ", 1)
}

async fn count(scratch: &Scratch, sql: &str) -> String {
    let mut connection = scratch.connect().await;
    let shown = sunset::database::dialect(scratch.engine, "").shown("count(*)");
    let sql = sql.replacen("count(*)", &shown, 1);
    let rows = connection.fetch(&sunset::sql::Statement::new(sql)).await.unwrap();
    rows[0][0].clone().unwrap()
}

/// Every privilege is granted and suffices; each one is needed.
async fn exactly_what_is_needed(engine: Engine, schema: &str, prefix: &str, setup: &str) -> (Vec<String>, Called) {
    let user = User::new(engine).await;
    let scratch = Scratch::new(engine).await;
    scratch.script(&setup.replace("{name}", &scratch.name)).await;
    let directory = tempfile::tempdir().unwrap();
    let jobs = directory.path();
    write_job(jobs, schema);
    let argument = if engine == Engine::Postgres { user.name.clone() } else { user.quoted() };
    let grants = statements(jobs, &scratch.url, &argument);
    let readable = sunset(jobs, &scratch.url, &["grants", "--user", &argument]);
    scratch.script(&rows(prefix)).await;
    let analyze = if engine == Engine::Postgres { "analyze" } else { "analyze table sessions" };
    scratch.script(analyze).await;
    let url = user.url(&scratch);
    assert_ne!(sunset(jobs, &url, &["plan"]).code, 0, "the user may do nothing yet");

    // the readable form is SQL as it stands
    scratch.script(&readable.out).await;
    let valid = sunset(jobs, &url, &["validate"]);
    assert_eq!(valid.code, 0, "{}", valid.err);
    sunset(jobs, &url, &["plan", "--sample", "2"]).done();
    let ran = sunset(jobs, &url, &["run"]);
    assert_eq!(ran.code, 0, "{}\n{}\n{}", readable.out, ran.out, ran.err);
    for (sql, left) in LEFT {
        assert_eq!(count(&scratch, &sql.replace("{prefix}", prefix)).await, left, "{sql}");
    }
    assert_eq!(sunset(jobs, &url, &["run"]).code, 0, "nothing is left to do");

    let mut superfluous = Vec::new();
    for grant in &grants {
        scratch.script(&rows(prefix)).await;
        scratch.script(&revoke(grant)).await;
        if sunset(jobs, &url, &["run"]).code == 0 {
            superfluous.push(grant.clone());
        }
        scratch.script(grant).await;
    }
    assert_eq!(superfluous, Vec::<String>::new(), "of\n{}", readable.out);
    scratch.script(&rows(prefix)).await;
    let again = sunset(jobs, &url, &["run"]);
    assert_eq!(again.code, 0, "all is granted again: {}", again.err);
    (grants, readable)
}

#[tokio::test]
async fn a_postgres_user_gets_what_it_needs_and_no_more() {
    let tables = TABLES.replace("{partitioned}", "partition by range (happened_on)").replace(
        "{more}",
        "create table events_2019 partition of events for values from ('2019-01-01') to ('2020-01-01');
         create table events_rest partition of events default;",
    );
    let setup = format!(
        "revoke all on database {{name}} from public; revoke all on schema public from public;
         create schema \"Crm\"; set search_path = \"Crm\"; {tables}"
    );
    let (grants, readable) = exactly_what_is_needed(Engine::Postgres, "Crm.", "\"Crm\".", &setup).await;
    let user = format!("\"Sunset-it {}\"", std::process::id());
    let expected = |rest: &str| grants.contains(&format!("grant {rest} to {user};"));
    for rest in [
        r#"select ("ended_on", "person_id") on "Crm"."contracts""#,
        r#"select ("member_id") on "Crm"."orders""#,
        r#"delete on "Crm"."events_2019""#,
        r#"update ("id") on "Crm"."members""#,
        r#"update ("done", "imei") on "Crm"."devices""#,
    ] {
        assert!(expected(rest), "{rest} is not in\n{}", readable.out);
    }
    assert!(!expected(r#"delete on "Crm"."events""#), "its partitions are walked:\n{}", readable.out);
    assert!(readable.out.contains("-- a new partition needs its own grants"), "{}", readable.out);
}

#[tokio::test]
async fn a_mysql_user_gets_what_it_needs_and_no_more() {
    let partitions = "partition by range columns (happened_on) (partition p2019 values less than ('2020-01-01'), \
                      partition rest values less than (maxvalue))";
    let setup = TABLES.replace("{partitioned}", partitions).replace("{more}", "");
    let (grants, readable) = exactly_what_is_needed(Engine::Mysql, "", "", &setup).await;
    assert!(!grants.iter().any(|grant| grant.contains("`id`")), "nothing changes keys:\n{}", readable.out);
    assert!(grants.iter().any(|grant| grant.contains("select (`ended_on`, `person_id`) on")), "{}", readable.out);
}

/// A rule whose partitions go whole, and whose bytes are cleaned up if `after` says how.
fn partitioned(how: &str, after: &str) -> String {
    let after = if after.is_empty() { String::new() } else { format!(", after: {after}") };
    format!(
        "category: all\nrules:\n  - {{id: events, table: core.events, starting_point: happened_on, retention_period: 1 \
         year, disposition: erase, partitions: {how}{after}}}\n"
    )
}

/// With one privilege fewer, rows go one by one and the plan says what is missing; with all of them, partitions go whole.
async fn partitions_take_more(engine: Engine, how: &str, after: &str) {
    let named = |what: &str| User { engine, name: format!("sunset_it_{what}_{how}_{}", std::process::id()) };
    let (user, owner) = (named("parts"), named("owner"));
    for user in [&user, &owner] {
        let words = if engine == Engine::Postgres { "create role" } else { "create user" };
        let password = if engine == Engine::Postgres { "login password" } else { "identified by" };
        execute(engine, &server(engine), &format!("{words} {} {password} '{PASSWORD}'", user.quoted())).await;
    }
    let scratch = Scratch::new(engine).await;
    let create =
        "create table events (id int, happened_on date not null, what varchar(40), primary key (id, happened_on))";
    let tables = match engine {
        Engine::Postgres => format!(
            "{create} partition by range (happened_on);
             create table p2019 partition of events for values from ('2019-01-01') to ('2020-01-01');
             create table rest partition of events for values from ('2020-01-01') to (maxvalue);
             alter table events owner to {0}; alter table p2019 owner to {0}; alter table rest owner to {0}",
            owner.quoted()
        ),
        _ => format!(
            "{create} partition by range columns (happened_on) (partition p2019 values less than ('2020-01-01'),
             partition rest values less than (maxvalue))"
        ),
    };
    scratch.script(&tables).await;
    let fill = "insert into events values (1, '2019-04-01', 'w'), (2, '2019-05-01', 'w'), (3, '2100-01-01', 'w')";
    scratch.script(fill).await;
    let directory = tempfile::tempdir().unwrap();
    let jobs = directory.path();
    write_job(jobs, "");
    fs::write(jobs.join("rules/all.yaml"), partitioned(how, after)).unwrap();
    let argument = if engine == Engine::Postgres { user.name.clone() } else { user.quoted() };
    let readable = sunset(jobs, &scratch.url, &["grants", "--user", &argument]).done();
    scratch.script(&readable).await;
    let url = user.url(&scratch);
    let plan = || -> serde_json::Value {
        serde_json::from_str(&sunset(jobs, &url, &["plan", "--format", "json"]).done()).unwrap()
    };
    let whole = |plan: &serde_json::Value| plan["steps"][0]["partitions"]["whole"].as_array().unwrap().len();
    assert_eq!(whole(&plan()), 1, "{readable}");
    let listed = sunset(jobs, &scratch.url, &["grants", "--user", &argument, "--format", "json"]).done();
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    let grants: Vec<_> = listed[0]["grants"].as_array().unwrap().iter().collect();
    let more = grants.iter().filter(|grant| grant["why"] == "let whole partitions go");
    let more: Vec<_> = more.map(|grant| grant["statement"].as_str().unwrap()).collect();
    assert!(!more.is_empty(), "{readable}");
    for grant in more {
        // of the two tables that stand aside, each has a grant, and one statement may be about another partition
        if grant.contains("\"rest\"") {
            continue;
        }
        scratch.script(&revoke(grant)).await;
        let plan = plan();
        assert_eq!(whole(&plan), 0, "without {grant}");
        assert!(plan["steps"][0]["partitions"].to_string().contains("see `sunset grants`"), "{plan}");
        scratch.script(grant).await;
    }
    let ran = sunset(jobs, &url, &["run", "--format", "json"]).done();
    let ran: serde_json::Value = serde_json::from_str(&ran).unwrap();
    assert_eq!(ran["rules"][0]["partitions"][0]["rows"], 2, "{ran}");
    assert_eq!(ran["rules"][0]["maintenance"]["complete"] == true, !after.is_empty(), "{ran}");
    assert_eq!(count(&scratch, "select count(*) from events").await, "1");

    if engine == Engine::Postgres && after.is_empty() {
        // whoever may empty a table may not vacuum it
        fs::write(jobs.join("rules/all.yaml"), partitioned(how, "vacuum")).unwrap();
        scratch.script(fill.split_once(", (3").unwrap().0).await;
        let plan = plan();
        assert!(plan["steps"][0]["warnings"].to_string().contains("may not vacuum"), "{plan}");
        let ran = sunset(jobs, &url, &["run"]);
        assert_eq!(ran.code, 4, "{ran:?}");
        assert_eq!(count(&scratch, "select count(*) from events").await, "1");
    }
}

#[tokio::test]
async fn partitions_that_are_dropped_take_more_on_postgres() {
    partitions_take_more(Engine::Postgres, "drop", "vacuum").await;
}

#[tokio::test]
async fn partitions_that_are_emptied_take_more_on_postgres() {
    partitions_take_more(Engine::Postgres, "truncate", "").await;
}

#[tokio::test]
async fn partitions_take_more_on_mysql() {
    partitions_take_more(Engine::Mysql, "drop", "rewrite").await;
}

/// MySQL hides foreign keys from users that may only read: a cascade would then go unseen.
#[tokio::test]
async fn a_mysql_user_sees_foreign_keys_of_tables_that_no_rule_names() {
    let user = User { engine: Engine::Mysql, name: format!("sunset_it_keys_{}", std::process::id()) };
    execute(user.engine, &server(user.engine), &format!("create user {} identified by '{PASSWORD}'", user.quoted()))
        .await;
    let scratch = Scratch::new(Engine::Mysql).await;
    scratch.script("create table sessions (id int primary key, ended_on date)").await;
    let directory = tempfile::tempdir().unwrap();
    let jobs = directory.path();
    write_job(jobs, "");
    let rule = "category: all\nrules:\n  - id: sessions\n    table: core.sessions\n    starting_point: ended_on\n    \
                retention_period: 1 year\n    disposition: erase\n";
    fs::write(jobs.join("rules/all.yaml"), rule).unwrap();
    let grants = sunset(jobs, &scratch.url, &["grants", "--user", &user.quoted()]).done();
    scratch.script(&grants).await;
    let url = user.url(&scratch);
    assert_eq!(sunset(jobs, &url, &["validate"]).code, 0);
    scratch
        .script(
            "create table later (id int primary key, session_id int, foreign key (session_id) references sessions (id) \
             on delete cascade)",
        )
        .await;
    let refused = sunset(jobs, &url, &["validate"]);
    assert_eq!(refused.code, 2, "{}", refused.err);
    assert!(refused.err.contains("E0406") && refused.err.contains("core.later"), "{}", refused.err);
}

#[tokio::test]
async fn sqlite_has_words_and_no_statements() {
    let scratch = Scratch::new(Engine::Sqlite).await;
    let setup = TABLES.replace("{partitioned}", "").replace("{more}", "");
    scratch.script(&setup).await;
    let directory = tempfile::tempdir().unwrap();
    write_job(directory.path(), "");
    let printed = sunset(directory.path(), &scratch.url, &["grants", "--user", "sunset"]).done();
    assert!(printed.lines().all(|line| line.is_empty() || line.starts_with("-- ")), "{printed}");
    assert!(printed.contains("directory"), "{printed}");
    let wrong = sunset(directory.path(), &scratch.url, &["grants", "--user", "sunset", "--database", "cor"]);
    assert_eq!(wrong.code, 2);
    assert!(wrong.err.contains("did you mean core?"), "{}", wrong.err);
}
