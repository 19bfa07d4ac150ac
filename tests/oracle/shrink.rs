//! Makes a case that fails smaller, as long as it fails in the same way.

use super::{
    language::{Condition, Held, Missing, Source, Through},
    night::is_sound,
    schema::{Case, MARK},
    value::Value,
};
use std::collections::BTreeSet;

/// Takes a step that makes a case smaller.
type With<'a> = dyn FnMut(&dyn Fn(&mut Case)) + 'a;

/// Tries smaller cases until none fails any more, or `attempts` are used up.
pub fn smallest(case: Case, mut attempts: u64, fails: &mut dyn FnMut(&Case) -> bool) -> Case {
    let mut smallest = case;
    loop {
        let mut smaller = false;
        // After one that fails, the same place of the new list is tried, as those before it did not help.
        let mut at = 0;
        while let Some(candidate) = candidates(&smallest).into_iter().nth(at) {
            if attempts == 0 {
                return smallest;
            }
            attempts -= 1;
            if is_sound(&candidate, &candidate.rows) && fails(&candidate) {
                smallest = candidate;
                smaller = true;
            } else {
                at += 1;
            }
        }
        if !smaller {
            return smallest;
        }
    }
}

/// Everything that is one step smaller, the largest steps first.
fn candidates(case: &Case) -> Vec<Case> {
    let mut found = Vec::new();
    let mut with = |change: &dyn Fn(&mut Case)| {
        let mut smaller = case.clone();
        change(&mut smaller);
        found.push(smaller);
    };
    for rule in 0..case.rules.len() {
        if case.rules.len() > 1 {
            with(&|case| drop(case.rules.remove(rule)));
        }
    }
    for hold in 0..case.holds.len() {
        with(&|case| drop(case.holds.remove(hold)));
    }
    if case.nights.len() > 1 {
        with(&|case| {
            case.nights.pop();
            let nights = case.nights.len();
            case.holds.retain(|hold| hold.night < nights);
        });
        with(&|case| {
            case.nights.remove(0);
            for hold in &mut case.holds {
                hold.night = hold.night.saturating_sub(1);
            }
        });
    }
    for night in 0..case.nights.len() {
        if case.nights[night].killed_after.is_some() {
            with(&|case| case.nights[night].killed_after = None);
        }
        if case.nights[night].rival.is_some() {
            with(&|case| case.nights[night].rival = None);
        }
        for edit in 0..case.nights[night].edits.len() {
            with(&|case| drop(case.nights[night].edits.remove(edit)));
        }
    }
    for table in 0..case.tables.len() {
        if !case.tables[table].hidden && !is_used(case, table) {
            with(&|case| {
                case.tables[table].hidden = true;
                case.rows[table].clear();
            });
        }
        let marks: Vec<i64> = case.rows[table].keys().copied().collect();
        if marks.len() > 3 {
            for half in [&marks[..marks.len() / 2], &marks[marks.len() / 2..]] {
                with(&|case| case.rows[table].retain(|mark, _| !half.contains(mark)));
            }
        }
        for mark in marks {
            with(&|case| drop(case.rows[table].remove(&mark)));
        }
    }
    for table in 0..case.tables.len() {
        smaller_table(case, table, &mut with);
    }
    for rule in 0..case.rules.len() {
        smaller_rule(case, rule, &mut with);
    }
    if case.workers > 1 {
        with(&|case| case.workers = 1);
    }
    if case.files > 1 {
        with(&|case| case.files = 1);
    }
    if case.backwards {
        with(&|case| case.backwards = false);
    }
    found
}

fn smaller_table(case: &Case, table: usize, with: &mut With) {
    let own = &case.tables[table];
    if own.without_rowid {
        with(&|case| case.tables[table].without_rowid = false);
    }
    for index in 0..own.indexes.len() {
        with(&|case| {
            case.tables[table].indexes.remove(index);
        });
    }
    for key in (0..own.foreign.len()).filter(|&key| !own.foreign[key].hidden) {
        with(&|case| {
            case.tables[table].foreign[key].hidden = true;
            for rule in &mut case.rules {
                rule.dependents.retain(|(named, _)| named.table != table || named.number != key);
            }
        });
    }
    let used = used_columns(case, table);
    for column in 0..own.columns.len() {
        if !own.columns[column].hidden && !used.contains(&column) {
            with(&|case| case.tables[table].columns[column].hidden = true);
        }
    }
}

fn smaller_rule(case: &Case, number: usize, with: &mut With) {
    let rule = &case.rules[number];
    match &rule.condition {
        Condition::Map(tests) => {
            for test in 0..tests.len() {
                with(&|case| {
                    if let Condition::Map(tests) = &mut case.rules[number].condition {
                        tests.remove(test);
                    }
                });
            }
        }
        Condition::Sql(_) => with(&|case| case.rules[number].condition = Condition::Map(Vec::new())),
    }
    if rule.start.counted_from.is_some() {
        with(&|case| case.rules[number].start.counted_from = None);
    }
    if rule.start.zone.is_some() {
        with(&|case| case.rules[number].start.zone = None);
    }
    if rule.start.missing != Missing::Report {
        with(&|case| case.rules[number].start.missing = Missing::Report);
    }
    if let super::language::Disposition::Anonymize(columns) = &rule.disposition {
        for column in 0..columns.len() {
            if columns.len() > 1 {
                with(&|case| {
                    if let super::language::Disposition::Anonymize(columns) = &mut case.rules[number].disposition {
                        columns.remove(column);
                    }
                });
            }
        }
    }
}

/// Whether a rule, a hold or another table's key needs the table.
fn is_used(case: &Case, table: usize) -> bool {
    let by_rule = case.rules.iter().any(|rule| {
        let related = matches!(rule.start.source, Source::Related { table: other, .. } if other == table);
        rule.table == table || related || rule.dependents.iter().any(|(key, _)| key.table == table)
    });
    let by_key = case.tables.iter().enumerate().any(|(number, other)| {
        let leads = other.foreign.iter().any(|foreign| foreign.table == table && !foreign.hidden);
        number != table && leads && !other.hidden
    });
    by_rule || by_key || case.holds.iter().any(|hold| hold.table == table)
}

fn used_columns(case: &Case, table: usize) -> BTreeSet<usize> {
    let own = &case.tables[table];
    let mut used: BTreeSet<usize> = own.key.iter().copied().collect();
    used.insert(MARK);
    used.extend(own.foreign.iter().filter(|foreign| !foreign.hidden).flat_map(|foreign| foreign.columns.clone()));
    for other in &case.tables {
        let leading = other.foreign.iter().filter(|foreign| foreign.table == table && !foreign.hidden);
        used.extend(leading.flat_map(|foreign| foreign.to.clone()));
    }
    for rule in &case.rules {
        if rule.table == table {
            used.extend(rule.condition.columns());
            match &rule.disposition {
                super::language::Disposition::Erase => {}
                super::language::Disposition::Anonymize(columns) => {
                    used.extend(columns.iter().map(|(column, _)| *column));
                }
                super::language::Disposition::Unlink(columns) => used.extend(columns),
            }
        }
        match rule.start.source {
            Source::Column(column) if rule.table == table => drop(used.insert(column)),
            Source::Column(_) => {}
            Source::Related { table: other, column, through, .. } => {
                if other == table {
                    used.insert(column);
                }
                match through {
                    Through::Theirs(column) if other == table => drop(used.insert(column)),
                    Through::Ours(column) if rule.table == table => drop(used.insert(column)),
                    Through::Theirs(_) | Through::Ours(_) => {}
                }
            }
        }
        for (key, action) in &rule.dependents {
            if let (true, super::language::Action::Anonymize(columns)) = (key.table == table, action) {
                used.extend(columns.iter().map(|(column, _)| *column));
            }
        }
    }
    for hold in case.holds.iter().filter(|hold| hold.table == table) {
        if let Held::Condition(condition) = &hold.what {
            used.extend(condition.columns());
        }
    }
    let edits =
        case.nights.iter().flat_map(|night| night.edits.iter().chain(night.rival.iter().map(|rival| &rival.edit)));
    for edit in edits {
        match edit {
            super::schema::Edit::Set { table: other, column, .. } if *other == table => drop(used.insert(*column)),
            super::schema::Edit::Insert { table: other, row } if *other == table => {
                used.extend(
                    row.iter().enumerate().filter(|(_, value)| **value != Value::Null).map(|(column, _)| column),
                );
            }
            _ => {}
        }
    }
    used
}
