//! The demo: a job directory with an invented company in it, on which everything can be tried.
//!
//! The rules are those of `jobs/demo` in the repository, the keys are made on the spot, and the database is new.

mod company;
mod names;
mod random;
mod rows;

pub use company::Story;

use crate::{
    evidence::keys::{Key, KeyKind},
    file,
};
use anyhow::Context as _;
use jiff::civil::Date;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, sqlite::SqliteConnectOptions};
use std::path::Path;

/// The company's database, in the job directory.
pub const DATABASE: &str = "core.db";

macro_rules! job_files {
    ($($path:literal),* $(,)?) => {
        /// The files of `jobs/demo`: path and text.
        pub const JOB_FILES: &[(&str, &str)] = &[$(($path, include_str!(concat!("../../jobs/demo/", $path)))),*];
    };
}

job_files![
    "sunset.yaml",
    "rules/applications.yaml",
    "rules/billing.yaml",
    "rules/communications.yaml",
    "rules/contracts.yaml",
    "rules/customers.yaml",
    "rules/devices.yaml",
    "rules/identity.yaml",
    "rules/inquiries.yaml",
];

/// Where the job's settings look for the stand-ins of its recipients.
pub const SANDBOX: &str = "127.0.0.1:8421";

/// Writes settings, rules and new keys into an empty directory; recipients are looked for at `sandbox`.
///
/// # Errors
/// Something cannot be written.
pub fn lay_out(directory: &Path, sandbox: &str) -> anyhow::Result<()> {
    for subdirectory in ["rules", "keys"] {
        let path = directory.join(subdirectory);
        file::create_directory(&path).with_context(|| format!("{} cannot be made", path.display()))?;
    }
    let cannot_be_written = |path: &Path| format!("{} cannot be written", path.display());
    for (path, text) in JOB_FILES {
        let path = directory.join(path);
        file::write(&path, text.replace(SANDBOX, sandbox).as_bytes()).with_context(|| cannot_be_written(&path))?;
    }
    for kind in [KeyKind::Tag, KeyKind::Signing, KeyKind::Pseudonym] {
        let path = directory.join(format!("keys/{}.key", kind.name()));
        Key::generate(kind)?.write(&path).with_context(|| cannot_be_written(&path))?;
    }
    // a stand-in believes every token of the right form
    let token = directory.join("keys/meta.token");
    file::write(&token, b"EAAsandbox\n").with_context(|| cannot_be_written(&token))?;
    Ok(())
}

/// Makes the database of a company of so many customers, as it stands on the day `today`.
///
/// # Errors
/// The database cannot be written.
pub async fn found_company(directory: &Path, customers: u32, today: Date) -> anyhow::Result<()> {
    let path = directory.join(DATABASE);
    company::create(&path, customers, today).await.with_context(|| format!("{} cannot be filled", path.display()))
}

/// What there is to see of the company from outside, before a run and after it.
pub struct Snapshot {
    /// Tables and their numbers of rows.
    pub rows: Vec<(&'static str, i64)>,
    /// One customer, column by column.
    pub customer: Vec<(&'static str, Option<String>)>,
    /// Rows of the customer who is suing, by table.
    pub evidence: Vec<(&'static str, i64)>,
}

/// Looks at the company's tables, and at the customer with this id.
///
/// # Errors
/// The database cannot be read.
pub async fn look_at(directory: &Path, customer: u32) -> anyhow::Result<Snapshot> {
    let options = SqliteConnectOptions::new().filename(directory.join(DATABASE)).read_only(true);
    let mut connection = options.disable_statement_logging().connect().await?;
    let mut rows = Vec::with_capacity(company::TABLES.len());
    for table in company::TABLES {
        let sql = format!("select count(*) from {table}");
        rows.push((*table, sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut connection).await?));
    }
    let mut values = Vec::with_capacity(SHOWN_COLUMNS.len());
    for column in SHOWN_COLUMNS {
        let sql = format!("select cast({column} as text) from customers where id = ?");
        let value = sqlx::query_scalar(AssertSqlSafe(sql)).bind(customer).fetch_optional(&mut connection).await?;
        values.push((*column, value.flatten()));
    }
    let suing = Story::Lawsuit.customer_id();
    let mut evidence = Vec::with_capacity(EVIDENCE.len());
    for (what, condition) in EVIDENCE {
        let sql = format!("select count(*) from {condition}");
        evidence.push((*what, sqlx::query_scalar(AssertSqlSafe(sql)).bind(suing).fetch_one(&mut connection).await?));
    }
    connection.close().await?;
    Ok(Snapshot { rows, customer: values, evidence })
}

/// What belongs to the customer who is suing: the tables, and their rows of the customer with a number.
const EVIDENCE: &[(&str, &str)] = &[
    ("contracts", "contracts where customer_id = ?"),
    ("contract_changes", "contract_changes where contract_id in (select id from contracts where customer_id = ?)"),
    ("invoices", "invoices where customer_id = ?"),
    ("invoice_lines", "invoice_lines where invoice_id in (select id from invoices where customer_id = ?)"),
    ("addresses", "addresses where customer_id = ?"),
];

/// The columns of a customer that the demo shows.
const SHOWN_COLUMNS: &[&str] = &[
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
    "joined_on",
    "closed_on",
];
