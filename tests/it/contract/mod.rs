//! The contract of the main path, the same on every engine: what is due goes, nothing else is touched, and the program
//! says what it did.
//!
//! Most tables carry what should become of each row in a column `fate` (`goes` or `stays`), which no rule looks at.

use crate::support::bench::{Bench, Report};

mod bounds;
mod codecs;
mod conditions;
mod dependents;
mod dispositions;
mod evidence;
mod holds;
mod indexes;
mod interplay;
mod keys;
mod limits;
mod names;
mod points_of_any_type;
mod present;
mod refusals;
mod rehearsal;
mod reports;
mod results;
mod starting_points;
mod strides;
mod techniques;
mod unusual_keys;

/// Runs to the end; exactly the rows whose fate is to stay are there afterwards, and the report counts the others.
async fn fates_come_true(bench: &Bench, tables: &[&str]) -> Report {
    let (mut before, mut gone) = (Vec::new(), 0);
    for table in tables {
        before.push(bench.lines(&format!("select * from {table} where fate = 'stays'")).await);
        gone += bench.count(&format!("select count(*) from {table} where fate = 'goes'")).await;
    }
    assert!(gone > 0 && before.iter().all(|rows| !rows.is_empty()), "the case proves nothing");
    let report = bench.run_to_the_end();
    for (table, before) in tables.iter().zip(&mut before) {
        let mut after = bench.lines(&format!("select * from {table}")).await;
        before.sort();
        after.sort();
        let wrong = |these: &[String], those: &[String]| -> Vec<_> {
            these.iter().filter(|row| !those.contains(row)).cloned().collect()
        };
        let (lost, left) = (wrong(before, &after), wrong(&after, before));
        assert!(
            lost.is_empty() && left.is_empty(),
            "{table}: gone, but due to stay: {lost:?}; there, but due to go: {left:?}"
        );
    }
    assert_eq!(report.disposed_with_dependents(), gone);
    report
}
