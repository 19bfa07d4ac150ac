//! `sunset init`: what is drafted cannot run, and does after the two decisions that it asks for.

use crate::{
    server::{ENGINES, Scratch},
    support::{
        command::sunset,
        servers::{fresh_mysql, fresh_postgres, shared_data},
    },
};
use std::{fs, path::Path};
use sunset::catalog::Engine;

/// Drafts a job, sees it refused, makes the obvious edit in each file, and sees it accepted by the live database.
fn draft_and_fill_in(jobs: &Path, url: &str) -> Vec<String> {
    let printed = sunset(jobs, url, &["init", "--url", url]).done();
    let files: Vec<String> = printed.lines().filter(|file| !file.ends_with("sunset.yaml")).map(str::to_owned).collect();
    assert!(jobs.join("sunset.yaml").is_file() && !files.is_empty(), "{printed}");

    let refused = sunset(jobs, url, &["validate"]);
    assert_eq!(refused.code, 2, "{}", refused.err);
    let empty = refused.err.matches("found nothing").count();
    assert_eq!(empty, 2 * files.len(), "each file lacks two values, and nothing else is wrong:\n{}", refused.err);
    assert!(refused.err.contains(&format!("{empty} errors")), "{}", refused.err);
    assert_eq!(sunset(jobs, url, &["plan"]).code, 2);

    for file in &files {
        let text = fs::read_to_string(file).unwrap();
        let candidate = text.lines().find_map(|line| line.strip_prefix("    #   ")).unwrap_or_else(|| panic!("{text}"));
        let (candidate, _) = candidate.split_once("  # ").unwrap();
        let filled = text
            .replace("    starting_point:\n", &format!("    starting_point: {candidate}\n"))
            .replace("    retention_period:\n", "    retention_period: 5 years\n")
            .replace("    # regular_deletion_period:\n", "    regular_deletion_period: 5 years 3 months\n");
        fs::write(file, filled).unwrap();
    }
    let valid = sunset(jobs, url, &["validate"]);
    assert_eq!(valid.code, 0, "{}", valid.err);
    sunset(jobs, url, &["plan"]).done();

    take_subjects(jobs);
    let valid = sunset(jobs, url, &["validate"]);
    assert_eq!(valid.code, 0, "{}\n{}", valid.err, read(jobs, "sunset.yaml"));

    let again = sunset(jobs, url, &["init", "--url", url]);
    assert_eq!(again.code, 3, "what is there stays: {}", again.err);
    files
}

/// Takes the marks of the comment away in which subjects are proposed.
fn take_subjects(jobs: &Path) {
    let mut inside = false;
    let text = read(jobs, "sunset.yaml");
    let lines = text.lines().map(|line| {
        inside = line == "# subjects:" || inside && line.starts_with("#  ");
        if inside { &line[2..] } else { line }
    });
    let taken = lines.collect::<Vec<_>>().join("\n") + "\n";
    let taken = taken.replace("country_calling_code:  #", "country_calling_code: \"81\"  #");
    assert!(taken.contains("\nsubjects:\n  "), "{text}");
    fs::write(jobs.join("sunset.yaml"), taken).unwrap();
}

fn read(jobs: &Path, file: &str) -> String {
    fs::read_to_string(jobs.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

#[track_caller]
fn assert_has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
}

/// Names and columns that are hard to draft for. `{time}` stands for the engine's timestamp, `{bytes}` for its bytes.
const SCHEMA: &str = r"
create table customers (
    id bigint primary key,
    email varchar(20) not null unique,
    full_name varchar(60) not null,
    phone varchar(30),
    birth_date date not null,
    zip varchar(8),
    client_ip varchar(45) not null,
    photo {bytes} not null,
    passport {bytes} not null,
    comments varchar(500),
    created_at {time} not null,
    closed_at {time}
);
create table orders (
    id bigint primary key,
    customer_id bigint not null references customers (id),
    delivered_on date
);
create table addresses (
    id bigint primary key,
    customer_id bigint references customers (id) on delete cascade,
    street varchar(100) not null,
    left_on date
);
create table visitors (cookie varchar(40), seen_at {time});
create table products (id bigint primary key, name varchar(60) not null, created_at {time});
create view customer_list as select id, email from customers;
";

const JAPANESE: &str = r"
create table {q}会員{q} (
    {q}番号{q} bigint primary key,
    {q}氏名{q} varchar(40) not null,
    {q}フリガナ{q} varchar(40),
    {q}住所{q} varchar(200),
    {q}電話番号{q} varchar(20) not null,
    {q}生年月日{q} date,
    {q}メールアドレス{q} varchar(100),
    {q}備考{q} varchar(200),
    {q}登録日{q} date not null,
    {q}退会日{q} date
);
create table {q}no: 1{q} (id bigint primary key, {q}e-mail #1{q} varchar(100), {q}on{q} date);
";

fn sql(engine: Engine) -> String {
    let (time, bytes, quote) = match engine {
        Engine::Postgres => ("timestamptz", "bytea", "\""),
        Engine::Mysql => ("datetime", "varbinary(9)", "`"),
        Engine::Sqlite => ("timestamp", "blob", "\""),
    };
    let mut sql = format!("{SCHEMA}{JAPANESE}").replace("{time}", time).replace("{bytes}", bytes).replace("{q}", quote);
    if engine == Engine::Mysql {
        // MariaDB ignores nothing here, but MySQL passes over references of columns: say it for the table
        sql = sql
            .replace(" references customers (id),", ", foreign key (customer_id) references customers (id),")
            .replace(
                " references customers (id) on delete cascade,",
                ", foreign key (customer_id) references customers (id) on delete cascade,",
            );
    }
    sql
}

#[tokio::test]
async fn drafts_become_valid_by_two_decisions_each() {
    for engine in ENGINES {
        let scratch = Scratch::new(engine).await;
        scratch.script(&sql(engine)).await;
        let directory = tempfile::tempdir().unwrap();
        let jobs = directory.path().join("jobs");
        let files = draft_and_fill_in(&jobs, &scratch.url);
        assert_eq!(files.len(), 4, "{engine}: {files:?}");

        let customers = read(&jobs, "rules/customers.yaml");
        assert_has(
            &customers,
            &[
                "    starting_point: closed_at\n",
                "{latest: core.addresses.left_on, through: customer_id}",
                "      full_name: {replace: erased}",
                "      phone: suppress",
                "      birth_date: {generalize: year}",
                "      zip: {generalize: {postal_code: 3}}",
                "      # photo stays as it is",
                "      # passport stays as it is",
                "      # comments: suppress",
                "      core.addresses: keep  # by customer_id; it looks personal itself; or erase, or unlink",
                "      core.orders: keep  # by customer_id; or erase\n",
            ],
        );
        assert!(customers.find("#   closed_at") < customers.find("#   created_at"), "{customers}");
        let ip =
            if engine == Engine::Mysql { "{generalize: {ip_prefix: {v4: 16, v6: 32}}}" } else { "{replace: erased}" };
        assert_has(&customers, &[&format!("      client_ip: {ip}")]);

        let table = read(&jobs, "rules/table.yaml");
        assert_has(
            &table,
            &[
                "table: core.会員\n",
                "    starting_point: 退会日\n",
                "      氏名: {replace: erased}",
                "      生年月日: {generalize: year}",
                "      # 備考: suppress",
            ],
        );
        assert_has(&read(&jobs, "rules/no_1.yaml"), &["table: \"core.no: 1\"\n", "      \"e-mail #1\": {replace:"]);

        let settings = read(&jobs, "sunset.yaml");
        assert_has(
            &settings,
            &[
                "time_zone: Asia/Tokyo\n",
                "\n  customer:\n    home: core.customers  # one row for each person?\n    identifiers:\n      \
                 email: {column: email, as: email}\n      phone: {column: phone, as: phone}\n",
                "      \"core.no: 1\": {\"e-mail #1\": {column: email, as: email}}\n",
                "core.visitors: it looks personal and has no primary key",
                "core.customer_list: it looks personal; it is a view",
                "core.orders: no column looks personal, but its rows reference core.customers",
                "#   core.products\n",
            ],
        );
        assert!(!settings.contains(&scratch.url), "a URL may hold a password");
    }
}

#[tokio::test]
async fn a_file_that_is_there_is_not_written_over() {
    let scratch = Scratch::new(Engine::Sqlite).await;
    scratch.script(&sql(Engine::Sqlite)).await;
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("rules")).unwrap();
    fs::write(directory.path().join("rules/customers.yaml"), "mine").unwrap();
    let refused = sunset(directory.path(), "", &["init", "--url", &scratch.url]);
    assert_eq!(refused.code, 3, "{}", refused.err);
    assert!(refused.err.contains("rules/customers.yaml is there already"), "{}", refused.err);
    assert_eq!(read(directory.path(), "rules/customers.yaml"), "mine");
    assert!(!directory.path().join("sunset.yaml").exists(), "all or nothing");

    let refused = sunset(directory.path(), "", &["init", "--url", "oracle://u:secret@h/d"]);
    assert_eq!(refused.code, 2);
    assert!(refused.err.contains("of no kind that Sunset knows") && !refused.err.contains("secret"), "{}", refused.err);
}

#[tokio::test]
async fn pagila_can_be_drafted() {
    let Some(dump) = shared_data("pagila.sql") else { return };
    let Some(database) = fresh_postgres("init").await else { return };
    database.load_sql(&dump);
    let directory = tempfile::tempdir().unwrap();
    let files = draft_and_fill_in(directory.path(), database.url());
    assert_eq!(files.len(), 4, "{files:?}");
    let settings = read(directory.path(), "sunset.yaml");
    assert!(!settings.contains("payment_p2022"), "partitions are part of their table: {settings}");
    assert_has(&settings, &["  customer:\n    home: core.customer  #", "  staff:\n    home: core.staff  #"]);
    assert!(!settings.contains("home: core.address"), "a place is nobody: {settings}");
}

#[tokio::test]
async fn sakila_can_be_drafted() {
    let (Some(schema), Some(data)) = (shared_data("sakila-schema.sql"), shared_data("sakila-data.sql")) else { return };
    let Some(database) = fresh_mysql("init").await else { return };
    database.load_sql(&schema);
    database.load_sql(&data);
    let directory = tempfile::tempdir().unwrap();
    let files = draft_and_fill_in(directory.path(), database.url());
    assert_eq!(files.len(), 4, "{files:?}");
}
