//! From what each rule means to what is in the tables after a night.

use super::{
    language::Disposition,
    meaning::{Change, Outlook, Place},
    schema::{Case, Mark, Row, State},
    value::Value,
};
use std::collections::{BTreeMap, BTreeSet};

/// A row under a rule: the rule's number and the row's mark.
type Choice = (usize, Mark);

#[derive(Debug)]
pub struct Ending {
    pub state: State,
    /// Of each rule, how many of its own rows it disposes of: at least and at most. They differ where two rules come
    /// to the same row, which the first one to come counts.
    pub disposed: Vec<(usize, usize)>,
    /// What two rules write: the one writes over what the other has written, and which comes first nothing says.
    pub contested: BTreeSet<(usize, Mark, usize)>,
}

/// What is right after the night. A row that waits only for rows that go tonight may go as well or wait until the next
/// night: `is_gone` tells of those what has become of them.
pub fn ending(case: &Case, outlooks: &[Outlook], before: &State, is_gone: &dyn Fn(Place) -> bool) -> Ending {
    let mut chosen: BTreeSet<Choice> = BTreeSet::new();
    for (rule, outlook) in outlooks.iter().enumerate() {
        for (mark, fate) in &outlook.due {
            if !fate.stays() && fate.waits_for.is_empty() {
                chosen.insert((rule, *mark));
            }
        }
    }
    // Those that wait for nothing but what goes tonight, one after the other.
    let mut possible = chosen.clone();
    loop {
        let changes = changes(outlooks, &possible);
        let mut more = Vec::new();
        for (rule, outlook) in outlooks.iter().enumerate() {
            for (mark, fate) in &outlook.due {
                let relieved = fate.waits_for.iter().all(|(child, key)| {
                    let columns = &case.foreign(*key).columns;
                    changes.iter().chain(&fate.changes).any(|change| match change {
                        Change::Erase(place) => place == child,
                        Change::Set(place, column, value) => {
                            place == child && columns.contains(column) && *value == Value::Null
                        }
                    })
                });
                if !fate.stays() && relieved && !possible.contains(&(rule, *mark)) {
                    more.push((rule, *mark));
                }
            }
        }
        if more.is_empty() {
            break;
        }
        possible.extend(more);
    }
    for &(rule, mark) in &possible {
        let own = (case.rules[rule].table, mark);
        if matches!(case.rules[rule].disposition, Disposition::Erase) && is_gone(own) {
            chosen.insert((rule, mark));
        }
    }
    let mut state = before.clone();
    let mut written: BTreeMap<(usize, Mark, usize), usize> = BTreeMap::new();
    let mut contested = BTreeSet::new();
    for (rule, mark) in &chosen {
        for change in &outlooks[*rule].due[mark].changes {
            if let Change::Set((table, mark), column, _) = change {
                let cell = (*table, *mark, *column);
                if written.insert(cell, *rule).is_some_and(|other| other != *rule) {
                    contested.insert(cell);
                }
            }
        }
    }
    for change in changes(outlooks, &chosen) {
        match change {
            Change::Erase((table, mark)) => drop(state[table].remove(&mark)),
            Change::Set((table, mark), column, value) => {
                if let Some(row) = state[table].get_mut(&mark) {
                    row[column] = value;
                }
            }
        }
    }
    Ending { state, disposed: disposed(case, outlooks, &chosen), contested }
}

fn changes(outlooks: &[Outlook], chosen: &BTreeSet<Choice>) -> Vec<Change> {
    chosen.iter().flat_map(|(rule, mark)| outlooks[*rule].due[mark].changes.clone()).collect()
}

fn disposed(case: &Case, outlooks: &[Outlook], chosen: &BTreeSet<Choice>) -> Vec<(usize, usize)> {
    (0..case.rules.len())
        .map(|rule| {
            let own: Vec<Mark> = chosen.iter().filter(|(of, _)| *of == rule).map(|(_, mark)| *mark).collect();
            // What another row's disposal, or another rule, changes as well may be counted there.
            let contested = |mark: &&Mark| {
                let place = (case.rules[rule].table, **mark);
                let along = |choice: &Choice| {
                    outlooks[choice.0].due[&choice.1].changes.iter().any(|change| match change {
                        Change::Erase(other) | Change::Set(other, _, _) => *other == place,
                    })
                };
                chosen.iter().filter(|choice| **choice != (rule, **mark)).any(along)
            };
            (own.iter().filter(|mark| !contested(mark)).count(), own.len())
        })
        .collect()
}

/// The changes of an application before a night, as far as the rows allow them; gives those that were made.
pub fn edited(case: &Case, state: &mut State, edits: &[super::schema::Edit]) -> Vec<super::schema::Edit> {
    use super::schema::{Edit, MARK};
    let mut made = Vec::new();
    for edit in edits {
        let mut next = state.clone();
        let fits = match edit {
            Edit::Insert { table, row } => {
                let Value::Int(mark) = row[MARK] else { panic!("a row without mark") };
                next[*table].insert(i64::try_from(mark).unwrap(), row.clone()).is_none()
            }
            Edit::Set { table, mark, column, value } => next[*table].get_mut(mark).is_some_and(|row| {
                row[*column] = value.clone();
                true
            }),
            Edit::Delete { table, mark } => next[*table].remove(mark).is_some(),
        };
        if fits && is_sound(case, &next) {
            *state = next;
            made.push(edit.clone());
        }
    }
    made
}

/// Whether keys are unique and every foreign key leads somewhere.
pub fn is_sound(case: &Case, state: &State) -> bool {
    for (number, table) in case.tables.iter().enumerate() {
        let rows: Vec<&Row> = state[number].values().collect();
        let alike = |columns: &[usize], left: &Row, right: &Row| {
            columns.iter().all(|&column| table.columns[column].kind.alike(case.engine, &left[column], &right[column]))
        };
        let singles =
            table.columns.iter().enumerate().filter(|(_, column)| column.unique).map(|(column, _)| vec![column]);
        for columns in singles.chain([table.key.clone()]) {
            for (place, left) in rows.iter().enumerate() {
                if rows[place + 1..].iter().any(|right| alike(&columns, left, right)) {
                    return false;
                }
            }
        }
        for (key, foreign) in
            table.foreign.iter().enumerate().filter(|(_, foreign)| foreign.declared && !foreign.hidden)
        {
            let key = super::language::KeyOf { table: number, number: key };
            for row in &rows {
                let leads = foreign.columns.iter().all(|&column| row[column] != Value::Null);
                if leads && !state[foreign.table].values().any(|to| case.references(key, row, to)) {
                    return false;
                }
            }
        }
    }
    true
}
