//! Plans and run reports as people and machines read them. Data in, text out; nothing here acts.

mod assertions;
mod coverage;
mod forecast;
mod markdown;
pub mod metrics;
mod numbers;
mod plan;
mod report;
mod timeline;

pub use forecast::forecast;
pub use numbers::{count, persons, seconds};
pub use report::{gone_rules, result};

use crate::{
    plan::{Coverage, Plan, Timeline},
    run::RunReport,
};
use clap::ValueEnum;

/// The forms in which commands answer; each says which it knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Text,
    Json,
    Markdown,
    Sarif,
}

/// How a plan is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlanStyle {
    /// Show the table of all rules and not each rule in words.
    pub brief: bool,
    /// Show the exact statements.
    pub sql: bool,
    /// Show the server's own plan.
    pub explain: bool,
}

/// A plan in the asked format.
///
/// # Errors
/// The format is not one that plans know, in words.
pub fn plan(plan: &Plan, format: Format, style: PlanStyle) -> anyhow::Result<String> {
    match format {
        Format::Text => Ok(plan::text(plan, style)),
        Format::Json => Ok(serde_json::to_string_pretty(plan)? + "\n"),
        Format::Markdown => Ok(markdown::plan(plan, style)),
        Format::Sarif => anyhow::bail!("a plan can be shown as text, json or markdown"),
    }
}

/// The lives of categories, in the asked format.
///
/// # Errors
/// The format is not one that timelines know, in words.
pub fn timeline(timeline: &Timeline, format: Format) -> anyhow::Result<String> {
    match format {
        Format::Text => Ok(timeline::text(timeline)),
        Format::Json => Ok(serde_json::to_string_pretty(timeline)? + "\n"),
        Format::Markdown | Format::Sarif => anyhow::bail!("a timeline can be shown as text or json"),
    }
}

/// What no rule governs, in the asked format.
///
/// # Errors
/// The format is SARIF, which is made of diagnostics.
pub fn coverage(coverage: &Coverage, format: Format) -> anyhow::Result<String> {
    match format {
        Format::Text => Ok(coverage::text(coverage)),
        Format::Json => Ok(serde_json::to_string_pretty(coverage)? + "\n"),
        Format::Markdown => Ok(coverage::as_markdown(coverage)),
        Format::Sarif => anyhow::bail!("coverage as SARIF is made of its diagnostics"),
    }
}

/// A run's report in the asked format.
///
/// # Errors
/// The format is not one that reports know, in words.
pub fn report(report: &RunReport, format: Format) -> anyhow::Result<String> {
    match format {
        Format::Text => Ok(report::text(report)),
        Format::Json => Ok(serde_json::to_string_pretty(report)? + "\n"),
        Format::Markdown => Ok(markdown::report(report)),
        Format::Sarif => anyhow::bail!("a report can be shown as text, json or markdown"),
    }
}

/// A table without lines but one under its head, numbers to the right.
pub fn table(head: &[&str], rows: Vec<Vec<String>>) -> String {
    use comfy_table::{CellAlignment, Table, presets};
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(head.to_vec());
    for row in rows {
        table.add_row(row);
    }
    let numbers: Vec<_> = (0..head.len())
        .filter(|&column| {
            table.row_iter().all(|row| {
                row.cell_iter().nth(column).is_none_or(|cell| {
                    let content = cell.content();
                    content.chars().all(|c| c.is_ascii_digit() || ",.–- s".contains(c))
                })
            })
        })
        .collect();
    for column in numbers {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}
