//! An independent judge of what rules mean.
//!
//! The rule language is written here a second time, for one row at a time, slowly and obviously, from `docs/` and not from
//! `src/`, with which it shares no code: dates by counting days ([`calendar`]), values and how columns compare them
//! ([`value`], [`condition`]), techniques ([`techniques`]), and what becomes of each row on a night ([`meaning`],
//! [`night`]). A generator makes schemas, rows, rules, holds and nights ([`generate`]); the real program runs on them;
//! and every row has to end as the interpreter says, with the same counts in plan and report ([`judge`]). The program may
//! refuse a case only where [`refusal`] says so. What differs is made as small as it gets ([`shrink`]) and printed.
//!
//! `SUNSET_TEST_CASES=20000 tests/run oracle` runs that many cases on each engine; `SUNSET_TEST_SEED` makes others, and
//! `SUNSET_TEST_CASE=17` runs only that one.

mod bench;
mod calendar;
mod cases;
mod condition;
mod generate;
mod judge;
mod language;
mod meaning;
mod night;
mod refusal;
mod schema;
mod shrink;
mod techniques;
mod value;
mod variants;
mod write;

use crate::{
    server::Server,
    support::{random::variable, servers::say},
};
use bench::Bench;
use generate::Features;
use judge::Ending;
use meaning::{Meaning, Mutant};
use schema::Case;
use std::time::Instant;
use value::Engine;

/// `SUNSET_TEST_FEATURES=-by_key` leaves one out, to find what a difference comes from.
fn features() -> Features {
    let mut features = generate::ALL;
    for word in std::env::var("SUNSET_TEST_FEATURES").unwrap_or_default().split(',').filter(|word| !word.is_empty()) {
        if word == "all" {
            continue;
        }
        let (name, on) = word.strip_prefix('-').map_or((word, true), |name| (name, false));
        *match name {
            "holds_spread" => &mut features.holds_spread,
            "by_key" => &mut features.by_key,
            "epoch_zero" => &mut features.epoch_zero,
            "short_texts" => &mut features.short_texts,
            "related_hostile" => &mut features.related_hostile,
            "conflicts" => &mut features.conflicts,
            "hostile_kinds" => &mut features.hostile_kinds,
            "dates_in_conditions" => &mut features.dates_in_conditions,
            "self_references" => &mut features.self_references,
            "unreadable_offsets" => &mut features.unreadable_offsets,
            "partitions" => &mut features.partitions,
            "uuids" => &mut features.uuids,
            "kills" => &mut features.kills,
            "rivals" => &mut features.rivals,
            other => panic!("there is no feature {other}"),
        } = on;
    }
    features
}

/// How many differences are shown before a test gives up, and how many smaller cases are tried for each.
const SHOWN: u64 = 6;
const SHRINKS: u64 = 300;

fn run(server: Server, cases: u64) {
    let cases = variable("SUNSET_TEST_CASES", cases);
    let only = variable("SUNSET_TEST_CASE", u64::MAX);
    let first = variable("SUNSET_TEST_FIRST", 0);
    let mut bench = Bench::at(server);
    let engine = bench.engine;
    let mut features = features();
    features.uuids &= server != Server::Mysql9;
    let begun = Instant::now();
    let (mut carried_out, mut refused, mut failures) = (0, 0, Vec::new());
    let numbers = if only == u64::MAX { first..first + cases } else { only..only + 1 };
    for number in numbers {
        let case = generate::case(engine, number, features);
        if case.rules.is_empty() {
            continue;
        }
        match judge::judge(&mut bench, &case, None) {
            Ok(Ending::CarriedOut) => carried_out += 1,
            Ok(Ending::Refused) => refused += 1,
            Err(failure) => {
                let text = shown(&mut bench, case, number, &failure);
                say(&text);
                failures.push(text);
                if failures.len() as u64 == variable("SUNSET_TEST_SHOWN", SHOWN) {
                    break;
                }
            }
        }
    }
    let took = begun.elapsed().as_secs();
    say(&format!("{server:?}: {carried_out} cases carried out, {refused} refused, {} wrong, {took} s", failures.len()));
    assert!(failures.is_empty(), "{} cases went wrong; the first one:\n{}", failures.len(), failures[0]);
    assert!(only != u64::MAX || carried_out * 10 >= (carried_out + refused) * 6, "too many cases were refused");
}

/// A failure's smallest case, with all that is needed to see it again.
fn shown(bench: &mut Bench, case: Case, number: u64, failure: &judge::Failure) -> String {
    let engine = case.engine;
    let mut last = failure.clone();
    let smallest = shrink::smallest(case, variable("SUNSET_TEST_SHRINKS", SHRINKS), &mut |smaller| match judge::judge(
        bench, smaller, None,
    ) {
        Err(found) if found.sort == failure.sort => {
            last = found;
            true
        }
        _ => false,
    });
    let seed = variable("SUNSET_TEST_SEED", 1);
    format!(
        "\n=== {engine:?}, SUNSET_TEST_SEED={seed} SUNSET_TEST_CASE={number}: {}\n{}--- {}\n",
        last.sort,
        smallest.told(),
        last.message
    )
}

#[test]
fn sqlite() {
    run(Server::Sqlite, 200);
}

#[test]
fn postgres() {
    run(Server::Postgres, 80);
}

#[test]
fn mariadb() {
    run(Server::Mariadb, 80);
}

#[test]
#[ignore = "needs PostgreSQL 18"]
fn postgres_18() {
    run(Server::Postgres18, 80);
}

#[test]
#[ignore = "needs MySQL 9"]
fn mysql_9() {
    run(Server::Mysql9, 80);
}

#[test]
#[ignore = "needs MariaDB 11"]
fn mariadb_11() {
    run(Server::Mariadb11, 80);
}

/// Other ids, other files, another order, more workers, a kill, two runs: the same end.
#[test]
fn variants_end_alike() {
    for (engine, cases) in [(Engine::Sqlite, 8), (Engine::Postgres, 3), (Engine::Maria, 3)] {
        let mut bench = Bench::new(engine);
        for number in 0..variable("SUNSET_TEST_CASES", cases) {
            let number = 2_000_000 + number;
            let case = generate::case(engine, number, Features { rivals: false, ..features() });
            if case.rules.is_empty() {
                continue;
            }
            if let Err((variant, failure)) = variants::compare(&mut bench, &case) {
                panic!("{}", shown(&mut bench, variant, number, &failure));
            }
        }
    }
}

/// The same rows and rules end alike on all engines.
#[test]
fn engines_end_alike() {
    let mut benches = [Engine::Postgres, Engine::Maria, Engine::Sqlite].map(Bench::new);
    for number in 0..variable("SUNSET_TEST_CASES", 15) {
        let number = 3_000_000 + number;
        let made = generate::case(
            Engine::Postgres,
            number,
            Features { portable: true, kills: false, rivals: false, ..features() },
        );
        if made.rules.is_empty() {
            continue;
        }
        let mut ends = Vec::new();
        for bench in &mut benches {
            let case = variants::ported(&made, bench.engine);
            match judge::judge(bench, &case, None) {
                Ok(ending) => ends.push((ending, variants::left(bench, &case))),
                Err(failure) => panic!("{}", shown(bench, case, number, &failure)),
            }
        }
        if !variants::may_wait(&made) {
            assert_eq!(ends[0], ends[1], "PostgreSQL and MariaDB end differently:\n{}", made.told());
            assert_eq!(ends[0], ends[2], "PostgreSQL and SQLite end differently:\n{}", made.told());
        }
    }
}

/// The comparison can fail: it finds each of these mistakes in the interpreter, before long.
#[test]
fn mistakes_are_noticed() {
    let mutants = [
        Mutant::DueOneDayEarly,
        Mutant::DueOneDayLate,
        Mutant::UnknownIsTrue,
        Mutant::HoldsAreIgnored,
        Mutant::KeptDependentsAreIgnored,
        Mutant::DependentsStay,
        Mutant::NoStartIsDue,
        Mutant::RelatedWithoutValueIsIgnored,
        Mutant::ConditionIsIgnored,
        Mutant::TechniqueKeepsOneMore,
    ];
    let mut bench = Bench::new(Engine::Sqlite);
    let spread = features().holds_spread.then_some(Mutant::HoldsDoNotSpread);
    for mutant in mutants.into_iter().chain(spread) {
        let alone = Features { rivals: false, ..features() };
        let mut cases = (0..2_000).map(|number| generate::case(Engine::Sqlite, 1_000_000 + number, alone));
        // Where the mistake would make a difference, the program need not be asked more often.
        let noticed = cases.find(|case| {
            !case.rules.is_empty() && differs(case, mutant) && judge::judge(&mut bench, case, Some(mutant)).is_err()
        });
        assert!(noticed.is_some(), "{mutant:?} is not noticed");
    }
}

/// Whether the first night ends differently with the mistake than without.
fn differs(case: &Case, mutant: Mutant) -> bool {
    let end = |mutant| {
        let outlooks = Meaning { case, mutant }.of_night(&case.rows, 0);
        night::ending(case, &outlooks, &case.rows, &|_| true).state
    };
    end(None) != end(Some(mutant))
}
