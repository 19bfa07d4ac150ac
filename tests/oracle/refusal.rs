//! Whether the program may refuse the rules of a case, or has to.

use super::{
    language::{Action, As, Condition, Disposition, Held, Rule, Source, Technique, Through},
    meaning::Outlook,
    schema::{Case, State},
    value::{Kind, Value},
};
use crate::oracle::calendar::{DAY, SECOND, day};
use std::collections::BTreeSet;

#[derive(Debug, Default)]
pub struct Verdict {
    /// Why a refusal is right as well.
    pub may: Vec<String>,
    /// Why nothing else is right.
    pub must: Vec<String>,
}

/// SQLite's columns without a type may be refused as such.
pub const UNTYPED: &str = "column without a type";

type Cell = (usize, usize);

pub fn verdict(case: &Case) -> Verdict {
    let mut verdict = Verdict::default();
    for (number, rule) in case.rules.iter().enumerate() {
        alone(case, rule, &mut verdict);
        for other in &case.rules[..number] {
            for (one, two) in [(rule, other), (other, rule)] {
                together(case, one, two, &mut verdict);
            }
        }
    }
    for hold in &case.holds {
        if let Held::Condition(condition) = &hold.what {
            let reads: BTreeSet<Cell> = condition.columns().into_iter().map(|column| (hold.table, column)).collect();
            for rule in &case.rules {
                if writes(case, rule).iter().any(|cell| reads.contains(cell)) {
                    verdict.may.push(format!("{} writes what a hold reads", rule.id));
                }
            }
        }
    }
    verdict
}

/// Holds on rows that an application has erased: nobody knows what they hold now.
pub fn lost(case: &Case, state: &State, night: usize) -> Vec<String> {
    let holds = case.holds.iter().filter(|hold| hold.night <= night);
    let gone = holds.filter(|hold| matches!(hold.what, Held::Row(mark) if !state[hold.table].contains_key(&mark)));
    gone.map(|hold| format!("the held row of {} is gone", case.tables[hold.table].name)).collect()
}

/// Whether more rows have no starting point than at the last run.
pub fn may_have_lost_starts(last: &[Outlook], now: &[Outlook]) -> bool {
    last.iter().zip(now).any(|(last, now)| now.without_start.iter().any(|mark| !last.without_start.contains(mark)))
}

/// The columns that a rule looks at, but for the keys of its dependents.
pub fn reads(rule: &Rule) -> BTreeSet<Cell> {
    let mut cells: BTreeSet<Cell> = rule.condition.columns().into_iter().map(|column| (rule.table, column)).collect();
    match rule.start.source {
        Source::Column(column) => drop(cells.insert((rule.table, column))),
        Source::Related { table, column, through, .. } => {
            cells.insert((table, column));
            cells.insert(match through {
                Through::Theirs(column) => (table, column),
                Through::Ours(column) => (rule.table, column),
            });
        }
    }
    cells
}

/// The columns that a rule changes, in its rows and in their dependents.
pub fn writes(case: &Case, rule: &Rule) -> BTreeSet<Cell> {
    let mut cells = BTreeSet::new();
    match &rule.disposition {
        Disposition::Erase => {}
        Disposition::Anonymize(columns) => cells.extend(columns.iter().map(|(column, _)| (rule.table, *column))),
        Disposition::Unlink(columns) => cells.extend(columns.iter().map(|column| (rule.table, *column))),
    }
    for (key, action) in &rule.dependents {
        match action {
            Action::Erase | Action::Keep => {}
            Action::Unlink => cells.extend(case.foreign(*key).columns.iter().map(|column| (key.table, *column))),
            Action::Anonymize(columns) => cells.extend(columns.iter().map(|(column, _)| (key.table, *column))),
        }
    }
    cells
}

/// The tables of which a rule erases rows.
fn erases(rule: &Rule) -> BTreeSet<usize> {
    let mut tables = BTreeSet::new();
    if matches!(rule.disposition, Disposition::Erase) {
        tables.insert(rule.table);
    }
    for (key, action) in &rule.dependents {
        if matches!(action, Action::Erase) {
            tables.insert(key.table);
        }
    }
    tables
}

fn alone(case: &Case, rule: &Rule, verdict: &mut Verdict) {
    // Every key that leads to a row that is changed has to be named.
    let mut changed = vec![rule.table];
    let mut at = 0;
    while at < changed.len() {
        for key in case.keys_to(changed[at]) {
            match rule.dependents.iter().find(|(named, _)| *named == key) {
                None => {
                    verdict.must.push(format!("{} does not name a key of {}", rule.id, case.tables[key.table].name));
                }
                Some((_, Action::Erase)) if changed.contains(&key.table) => {
                    verdict.may.push(format!("{} erases in a circle", rule.id));
                }
                Some((_, Action::Erase)) => changed.push(key.table),
                Some(_) => {}
            }
        }
        at += 1;
    }
    let (table, column) = match rule.start.source {
        Source::Column(column) => (rule.table, column),
        Source::Related { table, column, .. } => (table, column),
    };
    if rule.start.reading.is_some_and(|reading| matches!(reading, As::EpochSeconds | As::EpochMilliseconds)) {
        let unit = if rule.start.reading == Some(As::EpochSeconds) { SECOND } else { 1000 };
        let wrong = |number: i128| {
            let moment = number * i128::from(unit);
            let january = moment >= 0 && moment < i128::from(31 * DAY);
            january || moment > i128::from(day(2100, 1, 1) * DAY)
        };
        let rows = case.rows.get(table).into_iter().flat_map(|rows| rows.values());
        let numbers = rows.filter_map(|row| if let Value::Int(number) = row[column] { Some(number) } else { None });
        let numbers: Vec<i128> = numbers.collect();
        if !numbers.is_empty() && numbers.into_iter().all(wrong) {
            verdict.may.push(format!("{} may have the wrong unit", rule.id));
        }
    }
    for cell in reads(rule) {
        if case.tables[cell.0].columns[cell.1].kind == Kind::Untyped {
            verdict.may.push(format!("{} looks at a {UNTYPED}", rule.id));
        }
    }
    if writes(case, rule).iter().any(|cell| reads(rule).contains(cell)) {
        verdict.may.push(format!("{} changes what it looks at", rule.id));
    }
}

fn together(case: &Case, one: &Rule, two: &Rule, verdict: &mut Verdict) {
    let pair = format!("{} and {}", one.id, two.id);
    let written = writes(case, one);
    if written.iter().any(|cell| reads(two).contains(cell)) {
        verdict.may.push(format!("{pair}: the first writes what the second reads"));
    }
    if written.iter().any(|cell| writes(case, two).contains(cell)) {
        verdict.may.push(format!("{pair}: both write the same column"));
    }
    if let Source::Related { table, .. } = two.start.source
        && erases(one).contains(&table)
    {
        verdict.may.push(format!("{pair}: the first erases rows that tell the second's time"));
    }
    // What goes along has a rule of its own.
    for (key, action) in &one.dependents {
        if matches!(action, Action::Erase) && key.table == two.table {
            verdict.may.push(format!("{pair}: the first takes along what the second governs"));
        }
    }
    // The plainest of all: the same start, nothing that tells rows apart, and the shorter rule destroys it.
    let plain = |rule: &Rule| matches!(&rule.condition, Condition::Map(tests) if tests.is_empty());
    if let (Source::Column(start), Disposition::Anonymize(columns), Disposition::Erase) =
        (two.start.source, &one.disposition, &two.disposition)
    {
        let destroys = columns.iter().any(|(column, technique)| {
            *column == start && matches!(technique, Technique::Suppress | Technique::Replace(_) | Technique::Year)
        });
        let same = one.table == two.table && one.start.source == two.start.source;
        if same && destroys && plain(one) && plain(two) && one.period.about() < two.period.about() {
            verdict.must.push(format!("{pair}: the first destroys the second's starting point years before"));
        }
    }
}
