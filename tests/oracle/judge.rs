//! Runs a case and holds what came of it against what the rules mean.

use super::{
    bench::{Bench, Call, Picture},
    calendar,
    language::{Disposition, Missing},
    meaning::{Meaning, Mutant, Outlook},
    night,
    refusal::{self, Verdict},
    schema::{Case, Mark, State},
    value::Engine,
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
    let run = match night.killed_after {
        Some(after) => bench.killed_and_again(&words, Duration::from_millis(after)),
        None => bench.sunset(&words),
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
    if run.code != 0 {
        return failure("exit code", told(&words, &run));
    }
    if plan.code != 0 {
        return failure("exit code of the plan", told(&["plan"], &plan));
    }
    let gone = |place: (usize, i64)| !after[place.0].contains_key(&place.1);
    let ending = night::ending(case, outlooks, state, &gone);
    let difference = difference(case, state, &ending.state, &before, &after);
    let (plan, run) = (json(&plan)?, json(&run)?);
    if !difference.is_empty() {
        let counts = counted(&plan, &run);
        return failure("rows", format!("night {number}, {now}\n{}\n{counts}", difference.join("\n")));
    }
    counts(case, number, outlooks, &ending, &plan, &run)?;
    *state = ending.state;
    Ok(None)
}

/// Each row that is not as it should be.
fn difference(case: &Case, state: &State, right: &State, before: &Picture, after: &Picture) -> Vec<String> {
    let mut told = Vec::new();
    for (number, table) in case.tables.iter().enumerate().filter(|(_, table)| !table.hidden) {
        let marks: BTreeSet<i64> = before[number].keys().chain(after[number].keys()).copied().collect();
        let columns: Vec<usize> = (0..table.columns.len()).filter(|&column| !table.columns[column].hidden).collect();
        for mark in marks {
            let row = format!("{} {mark} {:?}", table.name, before[number].get(&mark));
            match (right[number].get(&mark), after[number].get(&mark)) {
                (None, None) => {}
                (Some(_), None) => told.push(format!("gone, and should have stayed: {row}")),
                (None, Some(_)) => told.push(format!("stayed, and should have gone: {row}")),
                (Some(values), Some(shown)) => {
                    for (place, &column) in columns.iter().enumerate() {
                        let same = state[number].get(&mark).is_some_and(|old| old[column] == values[column]);
                        let (kind, name) = (table.columns[column].kind, &table.columns[column].name);
                        let expected = if same {
                            before[number][&mark][place].clone()
                        } else {
                            values[column].printed(kind, case.engine)
                        };
                        if expected != shown[place] {
                            told.push(format!("{name} should be {expected:?} and is {:?}: {row}", shown[place]));
                        }
                    }
                }
            }
        }
    }
    told
}

/// Plan, run and interpreter count the same.
fn counts(
    case: &Case,
    number: usize,
    outlooks: &[Outlook],
    ending: &night::Ending,
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
        // where a trigger might change what the eraser reads, it goes first, and the others do not count its rows
        let left_to_eraser = taken_first(case, place, outlooks);
        let taken = |mark: &Mark| left_to_eraser.contains(mark);
        let due = outlook.due.len() - outlook.due.keys().filter(|mark| taken(mark)).count();
        let is_first = number(&counts["due"]) == outlook.due.len();
        if !is_first && number(&counts["due"]) != due {
            return wrong("due", format!("{} or {due}", outlook.due.len()));
        }
        let own = || outlook.due.iter().filter(|(mark, _)| is_first || !taken(mark)).map(|(_, fate)| fate);
        let ready = own().filter(|fate| !fate.stays() && fate.waits_for.is_empty()).count();
        let staying = number(&counts["held"]) + number(&counts["waiting"]);
        let at_once = own().filter(|fate| !fate.stays() && fate.waits_only_for_its_own()).count();
        if !(ready..=at_once).contains(&(number(&counts["due"]) - staying.min(number(&counts["due"])))) {
            return wrong("due without held and waiting", format!("{ready} to {at_once}"));
        }
        let missing = number(&counts["without_starting_point"]);
        let without_start = outlook.without_start.iter().filter(|mark| is_first || !taken(mark)).count();
        if rule.start.missing == Missing::Report && missing != without_start {
            return wrong("without_starting_point", without_start.to_string());
        }
        let (least, most) = ending.disposed[place];
        let disposed = number(&done["disposed"]);
        if case.nights[0].killed_after.is_none() && !(least..=most).contains(&disposed) {
            return wrong("disposed", format!("{least} to {most}"));
        }
    }
    Ok(())
}

/// The rows of a rule that another rule erases tonight, if triggers fire where this one updates.
fn taken_first(case: &Case, place: usize, outlooks: &[Outlook]) -> BTreeSet<Mark> {
    let rule = &case.rules[place];
    let fires = case.engine == Engine::Postgres && case.tables[rule.table].trigger;
    if !fires || matches!(rule.disposition, Disposition::Erase) {
        return BTreeSet::new();
    }
    let erasers = case.rules.iter().zip(outlooks);
    let erasers =
        erasers.filter(|(other, _)| other.table == rule.table && matches!(other.disposition, Disposition::Erase));
    erasers
        .flat_map(|(_, outlook)| outlook.due.iter().filter(|(_, fate)| !fate.stays()).map(|(mark, _)| *mark))
        .collect()
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
