//! Dependents that a rule of their own may keep for longer than the rule that takes them along.

use super::resolve::Resolved;
use crate::{
    catalog::{TableName, TablePath},
    clock::{
        period::{Period, PeriodChoice},
        starting_point::{CountedFrom, Pick, Source},
    },
    database::Link,
    diagnostic::{Code, Diagnostic},
    language::shape::nearest,
    plan::open::OpenDatabase,
    rules::{Dependent, Disposition, Missing, Rule, RuleDependent},
};
use std::collections::BTreeMap;

/// Every dependent that goes although one of `rules` may keep it, unless its entry says so.
pub fn check<'a>(
    rules: impl Iterator<Item = &'a Rule>,
    databases: &BTreeMap<String, OpenDatabase>,
    resolved: &[(&Rule, Resolved)],
) -> Vec<Diagnostic> {
    let rules: Vec<_> = rules.collect();
    let mut found = Vec::new();
    for (rule, resolved) in resolved {
        let Some(open) = databases.get(&rule.table.database) else { continue };
        let find = |path: &TablePath| open.catalog.table(path.schema.as_deref(), &path.table);
        let is_at = |other: &Rule, name: &TableName| {
            let table = find(&other.table).filter(|_| other.table.database == rule.table.database);
            table.is_some_and(|table| table.name == *name || table.partition_of.as_ref() == Some(name))
        };
        let mut told = Vec::new();
        for named in &resolved.dependents {
            let Some(work) = named.work.and_then(|index| resolved.work.dependents.get(index)) else { continue };
            let entry = &rule.dependents[named.entry];
            let own = rules.iter().filter(|other| other.id != rule.id && is_at(other, &named.table));
            for other in own.filter(|other| takes(&entry.fate, other) && !is_over(other, rule, &work.links, &find)) {
                if !entry.overrides.contains(&other.id) && !told.contains(&(named.entry, &other.id)) {
                    told.push((named.entry, &other.id));
                    found.push(diagnostic(rule, entry, other));
                }
            }
        }
        for entry in &rule.dependents {
            found.extend(unknown(entry, &rules));
        }
    }
    found
}

/// What becomes of a dependent is against what its own rule keeps it for.
fn takes(fate: &Dependent, own: &Rule) -> bool {
    match fate {
        Dependent::Erase => true,
        Dependent::Anonymize(columns) => {
            own.disposition != Disposition::Erase
                && own.columns.iter().any(|(name, _)| columns.iter().any(|(other, _)| other == name))
        }
        Dependent::Keep | Dependent::Unlink => false,
    }
}

/// Whenever the parent's time is over, so is the dependent's under its own rule, as far as the files can tell: both count
/// from the same column, and the dependent's period is no longer.
fn is_over<'t>(
    own: &Rule,
    parent: &Rule,
    links: &[Link],
    find: &impl Fn(&TablePath) -> Option<&'t crate::catalog::Table>,
) -> bool {
    // rows that the condition leaves out are kept for good
    let [link] = links else { return false };
    let [column] = link.columns.as_slice() else { return false };
    if own.condition.is_some() {
        return false;
    }
    let (theirs, ours) = (&own.starting_point, &parent.starting_point);
    let leads = |table: &TablePath, through: &str, to: &TableName| {
        find(table).is_some_and(|table| table.name == *to) && through == column.name
    };
    let same = match (&theirs.source, &ours.source) {
        (Source::Related { table, column, through, .. }, Source::Column(point)) => {
            column == point && leads(table, through, &link.to)
        }
        (Source::Column(point), Source::Related { pick: Pick::Latest, table, column, through }) => {
            column == point && leads(table, through, &link.from)
        }
        _ => false,
    };
    same && (theirs.encoding, &theirs.zone) == (ours.encoding, &ours.zone)
        && (ours.missing != Missing::Due || theirs.missing == Missing::Due)
        // every anchor lies on the day itself or after it
        && (theirs.counted_from == ours.counted_from || theirs.counted_from == CountedFrom::default())
        && no_longer(&own.retention_period, &parent.retention_period)
}

/// Whatever switches are on, the first period is not longer than the second.
fn no_longer(one: &PeriodChoice, other: &PeriodChoice) -> bool {
    let all = |choice: &PeriodChoice| -> Vec<Period> {
        choice.when.iter().map(|(_, period)| *period).chain([choice.default]).collect()
    };
    let months = |period: &Period| u32::from(period.years) * 12 + u32::from(period.months);
    let fits = |a: &Period, b: &Period| {
        let (longest, shortest) = (months(a) * 31 + a.days, months(b) * 28 + b.days);
        (months(a) <= months(b) && a.days <= b.days) || longest <= shortest
    };
    one == other || all(one).iter().all(|a| all(other).iter().all(|b| fits(a, b)))
}

fn diagnostic(rule: &Rule, entry: &RuleDependent, own: &Rule) -> Diagnostic {
    let message =
        format!("rule `{}` takes rows of `{}` along that rule `{}` may keep for longer", rule.id, entry.table, own.id);
    let help = format!(
        "name it `keep`: then rule `{}` waits for it; or, where they are to go all the same, write `overrides: [{}]` beside \
         what becomes of them",
        rule.id, own.id
    );
    Diagnostic::error(Code::OutlastingRule, entry.place.clone(), message)
        .label(format!("rule `{}` ({}) has a period of its own", own.id, own.place.file))
        .help(help)
}

/// A rule that is overruled and is not there.
fn unknown(entry: &RuleDependent, rules: &[&Rule]) -> Vec<Diagnostic> {
    let ids = || rules.iter().map(|rule| rule.id.as_str());
    let missing = entry.overrides.iter().enumerate().filter(|(_, id)| !ids().any(|known| known == id.as_str()));
    let error = |(index, id): (usize, &String)| {
        let place = entry.place.key("overrides").item(index);
        let error = Diagnostic::error(Code::UnknownWord, place, format!("there is no rule `{id}`"));
        match nearest(ids(), id) {
            Some(near) => error.help(format!("did you mean `{near}`?")),
            None => error,
        }
    };
    missing.map(error).collect()
}
