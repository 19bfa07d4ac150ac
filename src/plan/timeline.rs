//! A category's life: which rule acts on which table when, for rows whose time begins on one day. Files and settings tell;
//! no database is asked.

use crate::{
    clock::{
        self,
        starting_point::{Pick, Source},
    },
    rules::{Dependent, Disposition, Rule, RuleDependent, RuleFile},
    settings::Settings,
};
use jiff::civil::Date;
use serde::Serialize;
use std::collections::BTreeMap;

/// What becomes of all categories.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Timeline {
    /// The day on which the time of every row begins.
    pub starting_day: Date,
    pub time_zone: String,
    pub categories: Vec<CategoryLife>,
}

/// What becomes of one category.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CategoryLife {
    pub category: String,
    /// By language.
    pub title: BTreeMap<String, String>,
    /// In the order of their days.
    pub acts: Vec<Act>,
}

/// What one rule does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Act {
    /// The first day on which it may act.
    pub due: Date,
    /// The first day on which it is late.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overdue: Option<Date>,
    pub rule: String,
    /// As the rule writes it.
    pub table: String,
    pub disposition: Disposition,
    /// Which day counts, in words.
    pub starting_point: String,
    pub retention_period: String,
    /// It is about rows of a condition alone.
    pub conditional: bool,
    /// What becomes of columns, in words.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub columns: BTreeMap<String, String>,
    /// What becomes of the rows that reference a disposed row, by table.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub dependents: BTreeMap<String, String>,
    /// Who deletes a copy first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub recipients: Vec<String>,
}

/// The lives of the categories in these files, as far as `chosen` rules are concerned.
pub fn timeline<'a>(
    files: impl IntoIterator<Item = &'a RuleFile>,
    chosen: &dyn Fn(&Rule) -> bool,
    settings: &Settings,
    starting_day: Date,
) -> Timeline {
    let life = |file: &RuleFile| {
        let rules = file.rules.iter().filter(|rule| chosen(rule));
        let mut acts: Vec<_> = rules.map(|rule| act(rule, settings, starting_day)).collect();
        acts.sort_by(|a, b| (a.due, &a.rule).cmp(&(b.due, &b.rule)));
        let (category, title) = (file.category.id.clone(), file.category.title.clone());
        (!acts.is_empty()).then_some(CategoryLife { category, title, acts })
    };
    let time_zone = settings.time_zone.iana_name().unwrap_or("UTC").to_owned();
    Timeline { starting_day, time_zone, categories: files.into_iter().filter_map(life).collect() }
}

fn act(rule: &Rule, settings: &Settings, starting_day: Date) -> Act {
    let (point, deletion) = (&rule.starting_point, rule.regular_deletion_period.as_ref());
    let until = clock::until(starting_day, &point.counted_from, &rule.retention_period, deletion, &settings.parameters);
    let period = clock::period_on(starting_day, &rule.retention_period, &settings.parameters);
    let starting_point = match &point.source {
        Source::Column(column) => column.clone(),
        Source::Related { pick: Pick::Latest, table, column, .. } => format!("latest {table}.{column}"),
        Source::Related { pick: Pick::Earliest, table, column, .. } => format!("earliest {table}.{column}"),
    };
    let fate = |dependent: &Dependent| match dependent {
        Dependent::Erase => "erase".to_owned(),
        Dependent::Keep => "keep".to_owned(),
        Dependent::Unlink => "unlink".to_owned(),
        Dependent::Anonymize(columns) => {
            let columns: Vec<_> = columns.iter().map(|(name, how)| format!("{name}: {}", how.label())).collect();
            format!("anonymize ({})", columns.join(", "))
        }
    };
    Act {
        due: until.due,
        overdue: until.overdue,
        rule: rule.id.clone(),
        table: rule.table.to_string(),
        disposition: rule.disposition,
        starting_point,
        retention_period: period.to_string(),
        conditional: rule.condition.is_some(),
        columns: rule.columns.iter().map(|(name, technique)| (name.clone(), technique.label())).collect(),
        dependents: rule.dependents.iter().map(|named| (words(named), fate(&named.fate))).collect(),
        recipients: rule.recipients.iter().map(|recipient| recipient.name.clone()).collect(),
    }
}

/// The table, and the key where the rule names one.
fn words(dependent: &RuleDependent) -> String {
    match dependent.by.is_empty() {
        true => dependent.table.to_string(),
        false => format!("{} by {}", dependent.table, dependent.by.join(", ")),
    }
}
