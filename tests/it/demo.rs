//! The demo from end to end, judged by SQL written by hand: its cut-offs are literal dates, worked out on paper for one
//! day, and none of Sunset's own predicates.

use jiff::civil::date;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Row as _, SqliteConnection, sqlite::SqliteConnectOptions};
use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

const NOW: &str = "2026-11-22T02:30:00+09:00";

const CUSTOMERS: u32 = 500;

fn sunset(directory: &Path, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sunset"));
    command.env("SUNSET_PRESENT", "2099-01-01T00:00:00Z");
    command.env("SUNSET_LOG", "sunset=debug").args(["--jobs".as_ref(), directory.as_os_str()]).args(words);
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[track_caller]
fn succeeds(output: Output) -> String {
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// The company as it was and, as `after`, as it became.
async fn both(before: &Path, after: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(before.join("core.db"));
    let mut connection = options.disable_statement_logging().connect().await.unwrap();
    let after = after.join("core.db").display().to_string();
    sqlx::query("attach ? as after").bind(after).execute(&mut connection).await.unwrap();
    connection
}

async fn number(connection: &mut SqliteConnection, sql: &str) -> i64 {
    sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(connection).await.unwrap_or_else(|error| panic!("{error}: {sql}"))
}

/// One rule as the law's reader would put it.
struct Expected {
    table: &'static str,
    /// Rows of the company as it was that have to go or to change.
    due: &'static str,
    erased: bool,
    /// What the change must leave alone in rows that are not due.
    untouched: &'static str,
}

/// For 2026-11-22 in Tokyo. Contracts that an arrears row still needs stay, and so do the customer with number 1 and what
/// belongs to that customer, directly or over a contract.
const EXPECTED: &[Expected] = &[
    Expected {
        table: "customers",
        due: "status = 'closed' and balance_yen = 0 and closed_on <= '2021-11-21' and id <> 1",
        erased: false,
        untouched: "*",
    },
    Expected {
        table: "applications",
        // 2026-10-23 in Tokyo begins at 15:00 UTC of the day before
        due: "status in ('abandoned', 'declined') and last_activity_at < unixepoch('2026-10-22 15:00:00')",
        erased: true,
        untouched: "*",
    },
    Expected {
        table: "identity_checks",
        due: "(contract_id in (select c.id from main.contracts c where c.ended_on <= '2026-10-22')) and not coalesce(contract_id in (select id from main.contracts where customer_id = 1), 0)",
        erased: true,
        untouched: "*",
    },
    Expected {
        table: "contracts",
        due: "(ended_on <= '2021-11-21' and not exists (select 1 from main.arrears a where a.contract_id = t.id
              and not (a.status in ('settled', 'prescribed') and a.settled_on <= '2026-11-21'))) and not coalesce(t.customer_id = 1, 0)",
        erased: true,
        untouched: "*",
    },
    Expected {
        table: "invoices",
        // the fiscal year to March 2018 was to be filed by May 2018; the one to March 2019 was a loss
        due: "(issued_on <= '2018-03-31') and not coalesce((t.customer_id is 1 or t.contract_id in (select id from main.contracts where customer_id = 1)), 0)",
        erased: true,
        untouched: "id, customer_id, addressee, address, total_yen, issued_on",
    },
    Expected {
        table: "journal_entries",
        due: "account <> 'fees' and booked_on <= '2021-03-31'",
        erased: false,
        untouched: "*",
    },
    Expected { table: "arrears", due: "(status <> 'open' and settled_on <= '2026-11-21') and not coalesce(contract_id in (select id from main.contracts where customer_id = 1), 0)", erased: true, untouched: "*" },
    Expected {
        table: "rentals",
        due: "(status = 'returned' and returned_on <= '2026-05-21') and not coalesce((t.customer_id is 1 or t.contract_id in (select id from main.contracts where customer_id = 1)), 0)",
        erased: false,
        untouched: "id, device_id, customer_id, line_number, status, shipped_on, returned_on",
    },
    Expected {
        table: "inquiries",
        due: "(status = 'answered' and (select max(m.sent_at) from main.inquiry_messages m where m.inquiry_id = t.id)
              < '2024-11-22') and not coalesce(t.customer_id is 1, 0)",
        erased: true,
        untouched: "*",
    },
    Expected {
        table: "connection_logs",
        // 2026-05-22 in Tokyo begins at 15:00 UTC of the day before
        due: "connected_at < '2026-05-21 15:00:00'",
        erased: true,
        untouched: "*",
    },
    Expected {
        table: "mail_log",
        due: "(sent_at < '2025-10-22' and kind <> 'consent' and (opened_at is not null or bounced = 0)) and not coalesce(t.customer_id is 1, 0)",
        erased: false,
        untouched: "*",
    },
];

/// Values that nothing but the company's own database may ever hold.
async fn personal_values(connection: &mut SqliteConnection) -> Vec<String> {
    let sql = "select email from main.customers union select phone from main.customers
        union select name_kana from main.customers union select full_name from main.customers
        union select email from main.applications union select phone from main.applications
        union select line_number from main.rentals union select document_number from main.identity_checks
        union select recipient from main.mail_log union select ip_address from main.connection_logs";
    let rows = sqlx::query(sql).fetch_all(connection).await.unwrap();
    rows.iter().filter_map(|row| row.get::<Option<String>, _>(0)).collect()
}

#[track_caller]
fn holds_none_of(values: &[String], name: &str, bytes: &[u8]) {
    assert!(bytes.len() > 1_000, "{name} is too short to tell anything");
    let text = text(bytes);
    // one pass over the text for all values would be faster, and less plain
    for value in values {
        assert!(!text.contains(value.as_str()), "{name} holds {value}");
    }
}

#[tokio::test]
async fn the_demo_does_what_its_rules_say_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let (before, after) = (directory.path().join("before"), directory.path().join("after"));
    fs::create_dir(&before).unwrap();
    sunset::demo::lay_out(&before, sunset::demo::SANDBOX).unwrap();
    sunset::demo::found_company(&before, CUSTOMERS, date(2026, 11, 22)).await.unwrap();
    let plan = before.join("plan.json");
    succeeds(sunset(&before, &["--now", NOW, "plan", "--brief", "--out", plan.to_str().unwrap()]));

    let customers = CUSTOMERS.to_string();
    let words = ["--now", NOW, "demo", "--dir", after.to_str().unwrap(), "--customers", &customers];
    let demo = sunset(directory.path(), &words);
    let log = demo.stderr.clone();
    let shown = succeeds(demo);
    assert!(shown.contains("What is left"), "{shown}");
    assert!(!text(&log).contains("warning"), "good examples warn of nothing:\n{}", text(&log));

    let connection = &mut both(&before, &after).await;
    for check in ["pragma main.foreign_key_check", "pragma after.foreign_key_check"] {
        assert!(sqlx::query(check).fetch_all(&mut *connection).await.unwrap().is_empty(), "{check}");
    }
    for Expected { table, due, erased, untouched } in EXPECTED {
        let was_due = number(connection, &format!("select count(*) from main.{table} t where {due}")).await;
        let not_due = format!("select count(*) from main.{table} t where ({due}) is not true");
        assert!(was_due > 0 && number(connection, &not_due).await > 0, "{table}: one side of the cut-off is empty");
        let stayed = format!("after.{table} where id in (select t.id from main.{table} t where {due})");
        let stayed = number(connection, &format!("select count(*) from {stayed}")).await;
        assert_eq!(stayed, if *erased { 0 } else { was_due }, "{table}: due rows that are there");
        let touched = format!(
            "select count(*) from (select {untouched} from main.{table} t where ({due}) is not true \
             except select {untouched} from after.{table})"
        );
        assert_eq!(number(connection, &touched).await, 0, "{table}: rows that were not due are not as they were");
    }

    let wrong_customers =
        "select count(*) from after.customers a join main.customers t using (id) where t.status = 'closed'
        and t.balance_yen = 0 and t.closed_on <= '2021-11-21' and id <> 1 and not (
        a.full_name is null and a.name_kana is null and a.gender is null
        and a.email is iif(t.email is null, null, 'erased-' || id || '@invalid.example')
        and a.phone is iif(t.phone is null, null, substr(t.phone, 1, 3) || substr('**********', 1, length(t.phone) - 3))
        and a.birth_date is iif(t.birth_date is null, null, substr(t.birth_date, 1, 3) || '0-01-01')
        and a.postal_code = substr(t.postal_code, 1, 3) and a.sales_region = t.sales_region
        and a.monthly_gb = t.monthly_gb / 25 * 25 and a.rental_count = min(t.rental_count, 3)
        and a.joined_on = substr(t.joined_on, 1, 7) || '-01' and a.closed_on = t.closed_on)";
    assert_eq!(number(connection, wrong_customers).await, 0);
    let wrong_messages = "select count(*) from after.inquiry_messages a join main.inquiry_messages t using (id)
        where iif(t.sent_at < '2025-11-22' and t.inquiry_id not in (select id from main.inquiries where customer_id is 1),
            a.body is not iif(t.body is null, null, '（本文は消去済みです）') or a.attachment is not null,
            a.body is not t.body or a.attachment is not t.attachment)";
    assert_eq!(number(connection, wrong_messages).await, 0);
    let wrong_journal = "select count(*) from after.journal_entries a join main.journal_entries t using (id)
        where t.account <> 'fees' and t.booked_on <= '2021-03-31' and not (a.counterparty is null
        and a.customer_code glob 'cus_' || replace(hex(zeroblob(8)), '0', '[0-9a-f]') and a.pseudonymized_at is not null)";
    assert_eq!(number(connection, wrong_journal).await, 0);
    let tokens = "select count(distinct t.customer_code) - count(distinct a.customer_code)
        from after.journal_entries a join main.journal_entries t using (id) where a.customer_code glob 'cus_*'";
    assert_eq!(number(connection, tokens).await, 0, "equal customers have equal tokens, others have others");
    let wrong_rentals = "select count(*) from after.rentals a join main.rentals t using (id)
        where t.status = 'returned' and t.returned_on <= '2026-05-21' and t.customer_id is not 1
        and (a.customer_id is not null or a.contract_id is not null or a.line_number is not null)";
    assert_eq!(number(connection, wrong_rentals).await, 0);
    let wrong_mails = "select count(*) from after.mail_log where sent_at < '2025-10-22' and kind <> 'consent'
        and customer_id is not 1 and (opened_at is not null or bounced = 0) and (customer_id is not null or ip_address is not null
        or recipient <> 'erased@invalid.example' or opened_at not glob '????-??-01 00:00:00')";
    assert_eq!(number(connection, wrong_mails).await, 0);
    for (table, parent, key) in [
        ("addresses", "customers", "customer_id"),
        ("application_documents", "applications", "application_id"),
        ("contract_changes", "contracts", "contract_id"),
        ("invoice_lines", "invoices", "invoice_id"),
        ("arrears_letters", "arrears", "arrears_id"),
        ("inquiry_messages", "inquiries", "inquiry_id"),
    ] {
        let Expected { due, .. } = EXPECTED.iter().find(|expected| expected.table == parent).unwrap();
        let gone = format!("{key} in (select t.id from main.{parent} t where {due})");
        let gone = format!("select count(*) from main.{table} where {gone}");
        let (was, is) = (format!("select count(*) from main.{table}"), format!("select count(*) from after.{table}"));
        let (gone, was, is) =
            (number(connection, &gone).await, number(connection, &was).await, number(connection, &is).await);
        assert_eq!(is, was - gone, "{table}: exactly the rows of disposed {parent} went along");
    }

    // the customer under a hold, and the evidence
    let contracts = "(select id from main.contracts where customer_id = 1)";
    let invoices = format!("(select id from main.invoices where customer_id = 1 or contract_id in {contracts})");
    for (table, of_the_customer) in [
        ("customers", "id = 1".to_owned()),
        ("addresses", "customer_id = 1".to_owned()),
        ("contracts", "customer_id = 1".to_owned()),
        ("contract_changes", format!("contract_id in {contracts}")),
        ("identity_checks", format!("contract_id in {contracts}")),
        ("rentals", format!("customer_id = 1 or contract_id in {contracts}")),
        ("invoices", format!("id in {invoices}")),
        ("invoice_lines", format!("invoice_id in {invoices}")),
        ("arrears", format!("contract_id in {contracts}")),
        ("inquiries", "customer_id = 1".to_owned()),
        ("mail_log", "customer_id = 1".to_owned()),
    ] {
        let lost = format!(
            "select count(*) from (select * from main.{table} where {of_the_customer} except select * from after.{table})"
        );
        assert_eq!(number(connection, &lost).await, 0, "{table}: of the customer under a hold");
    }
    let evidence = format!("select count(*) from main.contracts where id in {contracts} and ended_on <= '2021-11-21'");
    assert!(number(connection, &evidence).await > 0, "the hold keeps nothing that the rules would have taken");
    assert_eq!(
        number(connection, "select count(*) from main.customers where id = 1 and closed_on < '2021-01-01'").await,
        1
    );

    let values = personal_values(connection).await;
    assert!(values.len() > 1_000);
    let export = succeeds(sunset(&after, &["ledger", "export"]));
    holds_none_of(&values, "the ledger's export", export.as_bytes());
    holds_none_of(&values, "the log", &log);
    assert!(text(&log).contains("rule finished"));
    holds_none_of(&values, "the plan", &fs::read(&plan).unwrap());
    for entry in fs::read_dir(after.join("state")).unwrap() {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        if !bytes.is_empty() {
            holds_none_of(&values, "the store", &bytes);
        }
    }
    // not even in the pages that the erased rows have left
    let erased = "select t.email from main.applications t where t.email is not null
            and not exists (select 1 from after.applications a where a.id = t.id)
        union all select t.email from main.customers t join after.customers a using (id) where t.email <> a.email
            and not exists (select 1 from after.mail_log m where m.recipient = t.email)
            and not exists (select 1 from after.inquiry_messages m where m.body like '%' || t.email || '%')";
    let erased: Vec<String> = sqlx::query_scalar(erased).fetch_all(&mut *connection).await.unwrap();
    assert!(erased.len() > 30);
    holds_none_of(&erased, "the company's database", &fs::read(after.join("core.db")).unwrap());

    let again = succeeds(sunset(&after, &["--now", NOW, "--format", "json", "run"]));
    let report: serde_json::Value = serde_json::from_str(&again).unwrap();
    assert_eq!((&report["disposed"], &report["outcome"]), (&0.into(), &"done".into()), "{again}");
    assert!(succeeds(sunset(&after, &["ledger", "verify"])).contains("sound"));
}

#[tokio::test]
async fn the_same_day_gives_the_same_company() {
    let directory = tempfile::tempdir().unwrap();
    let mut contents = Vec::new();
    for name in ["a", "b"] {
        let path = directory.path().join(name);
        fs::create_dir(&path).unwrap();
        sunset::demo::found_company(&path, 60, date(2028, 2, 29)).await.unwrap();
        contents.push(fs::read(path.join("core.db")).unwrap());
    }
    assert!(contents[0] == contents[1]);
}

#[test]
fn the_demo_fills_no_directory_that_has_something_in_it() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("thesis.txt"), "years of work").unwrap();
    let output = sunset(Path::new("."), &["demo", "--dir", directory.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("is not empty"));
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn the_binary_carries_every_file_of_the_job_directory() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("jobs/demo");
    let mut files = vec!["sunset.yaml".to_owned()];
    for entry in fs::read_dir(directory.join("rules")).unwrap() {
        files.push(format!("rules/{}", entry.unwrap().file_name().to_str().unwrap()));
    }
    let mut carried: Vec<_> = sunset::demo::JOB_FILES.iter().map(|(path, _)| (*path).to_owned()).collect();
    files.sort();
    carried.sort();
    assert_eq!(carried, files);
    succeeds(sunset(&directory, &["validate", "--offline"]));
}
