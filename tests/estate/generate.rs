//! Makes the invented company of `tests/estate` on three empty databases.
//!
//! ```text
//! cargo run --release --example estate -- --contracts postgres://… --web mysql://… --support sqlite:support.db --customers 2000
//! ```

#![expect(clippy::unwrap_used, reason = "a tool of the developers: where it cannot go on, it should say where")]
#![expect(clippy::print_stdout, reason = "it tells what it made")]

#[path = "mod.rs"]
mod estate;

use clap::Parser;
use estate::{Company, Places};
use jiff::{Zoned, civil::Date};
use std::time::Instant;

/// Make the invented company of the rule pack jobs/mobile-planning.
#[derive(Parser)]
struct Args {
    /// PostgreSQL database, empty
    #[arg(long, env = "CONTRACTS_URL", hide_env_values = true)]
    contracts: String,
    /// MariaDB database, empty
    #[arg(long, env = "WEB_URL", hide_env_values = true)]
    web: String,
    /// SQLite database, empty or not there
    #[arg(long, env = "SUPPORT_URL", hide_env_values = true)]
    support: String,
    /// Each has about 400 rows
    #[arg(long, default_value_t = 1000)]
    customers: u32,
    /// The same seed makes the same company
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The day as of which it is
    #[arg(long)]
    today: Option<Date>,
    /// The last day of fiscal years, MM-DD
    #[arg(long, default_value = "03-31")]
    fiscal_year_end: String,
}

#[tokio::main]
async fn main() {
    let args = Args::parse();
    let today = args.today.unwrap_or_else(|| Zoned::now().date());
    let mut company = Company::new(args.seed, args.customers, today);
    let (month, day) = args.fiscal_year_end.split_once('-').unwrap();
    company.fiscal_year_end = (month.parse().unwrap(), day.parse().unwrap());
    let support = match args.support.contains("mode=") {
        true => args.support,
        false => format!("{}?mode=rwc", args.support),
    };
    let places = Places { contracts: args.contracts, web: args.web, support };
    let began = Instant::now();
    let rows = estate::found(&company, &places).await.unwrap();
    for (table, rows) in &rows {
        println!("{rows:>12}  {table}");
    }
    let all: u64 = rows.values().sum();
    println!("{all:>12}  rows in {:.1} s", began.elapsed().as_secs_f64());
}
