//! The same case in other words: what must not make a difference makes none.

use super::{
    bench::Bench,
    calendar,
    judge::{Ending, Failure, judge},
    language::{Action, Disposition},
    schema::{Case, Edit},
    value::{Engine, Kind, Value},
};

/// Each with what is different about it.
pub fn of(case: &Case) -> Vec<(&'static str, Case)> {
    let with = |change: &dyn Fn(&mut Case)| {
        let mut variant = case.clone();
        change(&mut variant);
        variant
    };
    vec![
        (
            "other ids, in the opposite order",
            with(&|case| {
                let count = case.rules.len();
                for (place, rule) in case.rules.iter_mut().enumerate() {
                    rule.id = format!("rule-{}", count - place);
                }
            }),
        ),
        (
            "other files, in the opposite order",
            with(&|case| {
                case.rules.reverse();
                case.files = if case.files == 1 { 3 } else { 1 };
            }),
        ),
        ("rows inserted in the opposite order", with(&|case| case.backwards = !case.backwards)),
        ("another number of workers", with(&|case| case.workers = if case.workers == 1 { 4 } else { 1 })),
        ("a kill in between", with(&|case| case.nights[0].killed_after = Some(40))),
        (
            "two runs a night",
            with(&|case| {
                let mut nights = Vec::new();
                for night in &case.nights {
                    nights.push(night.clone());
                    let mut again = night.clone();
                    again.edits.clear();
                    again.killed_after = None;
                    again.rival = None;
                    nights.push(again);
                }
                case.nights = nights;
                for hold in &mut case.holds {
                    hold.night *= 2;
                }
            }),
        ),
    ]
}

/// Whether rows may wait for others that go in the same night, so that they go a night earlier or later.
pub fn may_wait(case: &Case) -> bool {
    case.rules.iter().any(|rule| {
        let keeps = rule.dependents.iter().any(|(_, action)| matches!(action, Action::Keep));
        keeps && matches!(rule.disposition, Disposition::Erase)
    })
}

/// The rows that are left of each table.
pub fn left(bench: &mut Bench, case: &Case) -> Vec<Vec<i64>> {
    bench.picture(case).into_iter().map(|rows| rows.into_keys().collect()).collect()
}

/// Runs a case and all its variants, which have to end alike.
pub fn compare(bench: &mut Bench, case: &Case) -> Result<(), (Case, Failure)> {
    let mut ends = Vec::new();
    for (what, variant) in [("the case itself", case.clone())].into_iter().chain(of(case)) {
        match judge(bench, &variant, None) {
            Ok(Ending::CarriedOut) => ends.push((what, bench.picture(&variant))),
            Ok(Ending::Refused) => return Ok(()),
            Err(mut failure) => {
                failure.message = format!("{what}: {}", failure.message);
                return Err((variant, failure));
            }
        }
    }
    for (what, end) in &ends[1..] {
        if !may_wait(case) && *end != ends[0].1 {
            let message = format!("{what}: ends otherwise");
            return Err((case.clone(), Failure { sort: "variants", message }));
        }
    }
    Ok(())
}

/// The same case on another engine; `case` is made for PostgreSQL, of what means the same everywhere.
pub fn ported(case: &Case, engine: Engine) -> Case {
    let mut ported = case.clone();
    ported.engine = engine;
    if engine != Engine::Sqlite {
        return ported;
    }
    for (table, rows) in ported.rows.iter_mut().enumerate() {
        for row in rows.values_mut() {
            for (column, value) in row.iter_mut().enumerate() {
                in_sqlite(case.tables[table].columns[column].kind, value);
            }
        }
    }
    for edit in ported.nights.iter_mut().flat_map(|night| &mut night.edits) {
        match edit {
            Edit::Insert { table, row } => {
                for (column, value) in row.iter_mut().enumerate() {
                    in_sqlite(case.tables[*table].columns[column].kind, value);
                }
            }
            Edit::Set { table, column, value, .. } => in_sqlite(case.tables[*table].columns[*column].kind, value),
            Edit::Delete { .. } => {}
        }
    }
    ported
}

/// SQLite keeps days and times as texts, and decimals as floats.
fn in_sqlite(kind: Kind, value: &mut Value) {
    let kept = match (kind, &value) {
        (_, Value::Day(day)) => Value::Text(calendar::written(*day)),
        (_, Value::Wall(moment)) => Value::Text(calendar::written_moment(*moment, ' ')),
        (Kind::Decimal, Value::Decimal(hundredths)) => Value::Real(super::value::decimal(*hundredths).parse().unwrap()),
        _ => return,
    };
    *value = kept;
}
