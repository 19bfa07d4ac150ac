//! Runs a case and holds what came of it against what the rules mean.

use super::{
    bench::{Bench, Call, Picture},
    calendar,
    language::{Disposition, Missing},
    meaning::{Fate, Meaning, Mutant, Outlook},
    night,
    refusal::{self, Verdict},
    schema::{Case, Edit, Mark, State},
};
use serde_json::Value as Json;
use std::{collections::BTreeSet, time::Duration};

/// How a case ended where nothing was wrong.
#[derive(Debug, PartialEq)]
pub enum Ending {
    CarriedOut,
    Refused,
}

#[derive(Clone, Debug)]
pub struct Failure {
    /// The same for failures of one sort, so that a smaller case still shows what the larger one did.
    pub sort: &'static str,
    pub message: String,
}

fn failure<T>(sort: &'static str, message: impl Into<String>) -> Result<T, Failure> {
    Err(Failure { sort, message: message.into() })
}

/// Runs all nights of a case.
pub fn judge(bench: &mut Bench, case: &Case, mutant: Option<Mutant>) -> Result<Ending, Failure> {
    if let Err(error) = bench.set_up(case) {
        return failure("the case cannot be made", error);
    }
    let meaning = Meaning { case, mutant };
    let mut state = case.rows.clone();
    let mut last: Option<Vec<Outlook>> = None;
    for number in 0..case.nights.len() {
        let edits = night::edited(case, &mut state, &case.nights[number].edits);
        if let Err(error) = bench.edit(case, &edits) {
            return failure("the case cannot be made", error);
        }
        holds(bench, case, &state, number)?;
        let before = match bench.agrees(case, &state) {
            Ok(picture) => picture,
            Err(message) => return failure("the case cannot be made", message),
        };
        let outlooks = meaning.of_night(&state, number);
        let mut verdict = refusal::verdict(case);
        verdict.may.extend(refusal::lost(case, &state, number));
        let lost = last.is_some_and(|last| refusal::may_have_lost_starts(&last, &outlooks));
        if let Some(ending) = one_night(bench, case, number, (&verdict, lost), &outlooks, &mut state, before)? {
            return Ok(ending);
        }
        last = Some(outlooks);
    }
    Ok(Ending::CarriedOut)
}

fn holds(bench: &mut Bench, case: &Case, state: &State, night: usize) -> Result<(), Failure> {
    for hold in case.holds.iter().filter(|hold| hold.night == night) {
        let Some(words) = case.hold(hold, state) else { continue };
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let call = bench.sunset(&words);
        if call.code != 0 {
            return failure("a hold is not taken", told(&words, &call));
        }
    }
    Ok(())
}

fn one_night(
    bench: &mut Bench,
    case: &Case,
    number: usize,
    (verdict, lost): (&Verdict, bool),
    outlooks: &[Outlook],
    state: &mut State,
    before: Picture,
) -> Result<Option<Ending>, Failure> {
    let night = &case.nights[number];
    let now = calendar::written(night.now);
    let plan = bench.sunset(&["plan", "--now", &now, "--format", "json"]);
    let words = ["run", "--now", &now, "--format", "json"];
    let mut met = None;
    let run = match (&night.rival, night.killed_after) {
        (Some(rival), _) => {
            let (run, landed) = bench.met_by(&words, rival.moment, case.edit(&rival.edit));
            met = landed.filter(|landed| *landed).map(|_| rival);
            run
        }
        (None, Some(after)) => bench.killed_and_again(&words, Duration::from_millis(after)),
        (None, None) => bench.sunset(&words),
    };
    let after = bench.picture(case);
    if matches!(run.code, 2 | 3) {
        if after != before {
            return failure("refused, and something was changed", told(&words, &run));
        }
        if verdict.may.is_empty() && verdict.must.is_empty() {
            return failure("refused", told(&words, &run));
        }
        if !matches!(plan.code, 2 | 3) && !plan.out.contains("\"refusals\": [\n") {
            return failure("the run is refused and the plan is not", told(&words, &run));
        }
        return Ok(Some(Ending::Refused));
    }
    if !verdict.must.is_empty() {
        return failure("not refused", format!("{:?}\n{}", verdict.must, told(&words, &run)));
    }
    if run.code == 4 && lost && run.out.contains("W0612") {
        // Rows without starting point are more than at the last run, which is for a person to look at.
        return Ok(Some(Ending::Refused));
    }
    // What another transaction made due after the rows had been gone through, waits for the next night.
    let is_late = met.is_some() && run.code == 75 && run.out.contains("became due while the run was at work");
    if run.code != 0 && !is_late {
        return failure("exit code", told(&words, &run));
    }
    if plan.code != 0 {
        return failure("exit code of the plan", told(&["plan"], &plan));
    }
    let gone = |place: (usize, i64)| !after[place.0].contains_key(&place.1);
    let ending = night::ending(case, outlooks, state, &gone);
    let mut rights = vec![ending.state.clone()];
    if let Some(rival) = met {
        // The other transaction came after all that the run did, or before it.
        let edit = std::slice::from_ref(&rival.edit);
        if night::edited(case, &mut rights[0], edit).is_empty() {
            // Afterwards it would have found no row, or nothing to reference: so it came before.
            rights.clear();
        }
        let mut earlier = state.clone();
        night::edited(case, &mut earlier, edit);
        let met = Meaning { case, mutant: None }.of_night(&earlier, number);
        rights.push(night::ending(case, &met, &earlier, &gone).state);
        rights.extend(between(case, (outlooks, &met), state, edit, &gone));
    }
    // What the other transaction wrote is not printed as it was written.
    let foreign = |table, mark, column| match night.rival.as_ref().map(|rival| &rival.edit) {
        Some(Edit::Set { table: other, mark: its, column: written, .. }) => {
            (*other, *its, *written) == (table, mark, column)
        }
        Some(Edit::Insert { .. }) => !state[table].contains_key(&mark),
        Some(Edit::Delete { .. }) | None => false,
    };
    let foreign =
        |table, mark, column| foreign(table, mark, column) || ending.contested.contains(&(table, mark, column));
    let difference = difference(case, (state, &rights), &before, &after, &foreign);
    let (plan, run) = (json(&plan)?, json(&run)?);
    if !difference.is_empty() {
        let counts = counted(&plan, &run);
        return failure("rows", format!("night {number}, {now}\n{}\n{counts}", difference.join("\n")));
    }
    counts(case, number, outlooks, (&ending, night.rival.is_some()), &plan, &run)?;
    *state = ending.state;
    Ok(None)
}

/// What is right where the other transaction came after some rules and before the others.
fn between(
    case: &Case,
    (before, after): (&[Outlook], &[Outlook]),
    state: &State,
    edit: &[Edit],
    gone: &dyn Fn((usize, i64)) -> bool,
) -> Vec<State> {
    let some = |outlooks: &[Outlook], are_in: &dyn Fn(usize) -> bool| -> Vec<Outlook> {
        let of = |(rule, outlook): (usize, &Outlook)| if are_in(rule) { outlook.clone() } else { Outlook::default() };
        outlooks.iter().enumerate().map(of).collect()
    };
    let sets = 1..(1_usize << case.rules.len()) - 1;
    sets.map(|set| {
        let is_early = |rule: usize| set & (1 << rule) != 0;
        let mut state = night::ending(case, &some(before, &is_early), state, gone).state;
        night::edited(case, &mut state, edit);
        night::ending(case, &some(after, &|rule| !is_early(rule)), &state, gone).state
    })
    .collect()
}

/// Each row that is not as it should be, by any of the states that are right.
fn difference(
    case: &Case,
    (state, rights): (&State, &[State]),
    before: &Picture,
    after: &Picture,
    foreign: &dyn Fn(usize, Mark, usize) -> bool,
) -> Vec<String> {
    let mut told = Vec::new();
    for number in (0..case.tables.len()).filter(|&number| !case.tables[number].hidden) {
        let marks: BTreeSet<i64> = before[number].keys().chain(after[number].keys()).copied().collect();
        for mark in marks {
            let wrong: Vec<Vec<String>> = rights
                .iter()
                .map(|right| misfit(case, (number, mark), (state, right), before, after, foreign))
                .collect();
            if wrong.iter().all(|wrong| !wrong.is_empty()) {
                told.extend(wrong.into_iter().flatten());
            }
        }
    }
    told
}

/// What is wrong with one row.
fn misfit(
    case: &Case,
    (number, mark): (usize, Mark),
    (state, right): (&State, &State),
    before: &Picture,
    after: &Picture,
    foreign: &dyn Fn(usize, Mark, usize) -> bool,
) -> Vec<String> {
    let table = &case.tables[number];
    let row = format!("{} {mark} {:?}", table.name, before[number].get(&mark));
    let (values, shown) = match (right[number].get(&mark), after[number].get(&mark)) {
        (None, None) => return Vec::new(),
        (Some(_), None) => return vec![format!("gone, and should have stayed: {row}")],
        (None, Some(_)) => return vec![format!("stayed, and should have gone: {row}")],
        (Some(values), Some(shown)) => (values, shown),
    };
    let mut told = Vec::new();
    let columns = (0..table.columns.len()).filter(|&column| !table.columns[column].hidden);
    for (place, column) in columns.enumerate().filter(|(_, column)| !foreign(number, mark, *column)) {
        let old = state[number].get(&mark).filter(|old| old[column] == values[column]);
        let (kind, name) = (table.columns[column].kind, &table.columns[column].name);
        let expected = match old {
            Some(_) => before[number][&mark][place].clone(),
            None => values[column].printed(kind, case.engine),
        };
        if expected != shown[place] {
            told.push(format!("{name} should be {expected:?} and is {:?}: {row}", shown[place]));
        }
    }
    told
}

/// Plan, run and interpreter count the same.
fn counts(
    case: &Case,
    number: usize,
    outlooks: &[Outlook],
    (ending, is_met): (&night::Ending, bool),
    plan: &Json,
    run: &Json,
) -> Result<(), Failure> {
    for (place, rule) in case.rules.iter().enumerate() {
        let outlook = &outlooks[place];
        let of = |list: &Json| list.as_array().unwrap().iter().find(|part| part["rule"] == rule.id.as_str()).cloned();
        let (Some(step), Some(done)) = (of(&plan["steps"]), of(&run["rules"])) else {
            return failure("a rule is not told of", format!("{}: {}", rule.id, counted(plan, run)));
        };
        let wrong = |what: &str, expected: String| {
            failure(
                "counts",
                format!("night {number}, {}: {what} should be {expected}\n{}", rule.id, counted(plan, run)),
            )
        };
        let number = |value: &Json| usize::try_from(value.as_u64().unwrap_or(u64::MAX)).unwrap();
        let counts = &step["counts"];
        // Where a trigger might change what the eraser reads, it goes first, and the others do not count its rows.
        let (surely, perhaps) = taken_first(case, place, outlooks);
        let left_to_eraser = outlook.due.len().saturating_sub(number(&counts["due"]));
        let of_due = |taken: &BTreeSet<Mark>| outlook.due.keys().filter(|mark| taken.contains(mark)).count();
        if number(&counts["due"]) > outlook.due.len() || !(of_due(&surely)..=of_due(&perhaps)).contains(&left_to_eraser)
        {
            return wrong("due", format!("{} without {surely:?}, perhaps {perhaps:?}", outlook.due.len()));
        }
        let own = |taken: &BTreeSet<Mark>| {
            let own = outlook.due.iter().filter(|(mark, _)| !taken.contains(mark)).map(|(_, fate)| fate.clone());
            own.collect::<Vec<Fate>>()
        };
        let ready = own(&perhaps).iter().filter(|fate| !fate.stays() && fate.waits_for.is_empty()).count();
        let staying = number(&counts["held"]) + number(&counts["waiting"]);
        let at_once = own(&surely).iter().filter(|fate| !fate.stays() && fate.waits_only_for_its_own()).count();
        if !(ready..=at_once).contains(&(number(&counts["due"]) - staying.min(number(&counts["due"])))) {
            return wrong("due without held and waiting", format!("{ready} to {at_once}"));
        }
        let missing = number(&counts["without_starting_point"]);
        let without_start =
            |taken: &BTreeSet<Mark>| outlook.without_start.iter().filter(|mark| !taken.contains(mark)).count();
        let (fewest, most) = (without_start(&perhaps), without_start(&surely));
        if rule.start.missing == Missing::Report && !(fewest..=most).contains(&missing) {
            return wrong("without_starting_point", format!("{fewest} to {most}"));
        }
        let (least, most) = ending.disposed[place];
        let disposed = number(&done["disposed"]);
        if case.nights[0].killed_after.is_none() && !is_met && !(least..=most).contains(&disposed) {
            return wrong("disposed", format!("{least} to {most}"));
        }
    }
    Ok(())
}

/// The rows of a rule that are left to a rule which erases them tonight, if triggers fire where this one updates: those
/// that the other one is sure to erase, and those that it may.
fn taken_first(case: &Case, place: usize, outlooks: &[Outlook]) -> (BTreeSet<Mark>, BTreeSet<Mark>) {
    let rule = &case.rules[place];
    let (mut surely, mut perhaps) = (BTreeSet::new(), BTreeSet::new());
    if !case.tables[rule.table].trigger || matches!(rule.disposition, Disposition::Erase) {
        return (surely, perhaps);
    }
    for (other, outlook) in case.rules.iter().zip(outlooks) {
        if other.table != rule.table || !matches!(other.disposition, Disposition::Erase) {
            continue;
        }
        let reads = refusal::reads(other).iter().any(|cell| cell.0 == rule.table);
        for (mark, fate) in outlook.due.iter().filter(|(_, fate)| !fate.stays()) {
            perhaps.insert(*mark);
            if reads && fate.waits_for.is_empty() {
                surely.insert(*mark);
            }
        }
    }
    (surely, perhaps)
}

fn json(call: &Call) -> Result<Json, Failure> {
    serde_json::from_str(&call.out).or_else(|error| failure("no JSON", format!("{error}: {}", told(&[], call))))
}

fn counted(plan: &Json, run: &Json) -> String {
    let mut text = String::new();
    for step in plan["steps"].as_array().into_iter().flatten() {
        text += &format!("plan {} {}\n", step["rule"], step["counts"]);
    }
    for rule in run["rules"].as_array().into_iter().flatten() {
        let part = |name: &str| rule[name].to_string();
        let parts = ["rule", "result", "disposed", "dependents", "remaining", "message"].map(part);
        text += &format!("run {}\n", parts.join(" "));
    }
    text
}

fn told(words: &[&str], call: &Call) -> String {
    let cut = |text: &str| {
        let lines: Vec<&str> = text.lines().filter(|line| !line.contains(r#""level":"INFO""#)).collect();
        lines.join("\n").chars().take(3000).collect::<String>()
    };
    let out = if call.code == 0 || call.code == 4 { call.out.chars().take(1500).collect() } else { cut(&call.out) };
    format!("sunset {}: exit {}\n{out}\n{}", words.join(" "), call.code, cut(&call.err))
}
