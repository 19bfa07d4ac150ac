//! The first page: what needs attention, and what is due in each data category.

use super::{Badge, Facts, Frame, Moment, Page, count};
use crate::{
    ledger::RuleResult,
    rules::Rule,
    serve::agenda::Why,
    standing::{Counted, RuleStanding, Snapshot},
};
use askama::Template;
use jiff::Timestamp;

#[derive(Template)]
#[template(path = "overview.html")]
struct Overview {
    frame: Frame,
    fault: Option<(Moment, String)>,
    attention: Vec<String>,
    running: Vec<(String, Moment, Option<String>)>,
    next: Option<(Moment, String)>,
    last: Option<(Moment, Badge)>,
    totals: Totals,
    categories: Vec<Category>,
}

struct Totals {
    due: String,
    overdue: String,
    held: String,
}

/// What is known of all rules of a category together.
struct Category {
    id: String,
    title: String,
    rules: usize,
    due: String,
    overdue: Badge,
    held: String,
    oldest: String,
    /// The oldest count; `None` where a rule has not been counted.
    counted: Option<Moment>,
}

pub(super) fn page(facts: &Facts<'_>) -> Result<String, askama::Error> {
    let words = facts.language.words();
    let next = facts.state.next.values().filter_map(|(_, next)| *next).min();
    let running = facts.state.running.iter().map(|running| {
        let step = running.step().map(|step| facts.language.progress(&step.rule, step.done, step.rows));
        (facts.language.running(&running.rules.join(", ")), facts.moment(running.since), step)
    });
    let last = facts.snapshot.and_then(|snapshot| snapshot.standing.runs.first());
    let all: Vec<_> = facts.state.job.rules().filter_map(|rule| Some(standing(facts, rule)?.counted)).collect();
    let total = |rows: fn(&Counted) -> u64| match all.iter().any(Option::is_some) {
        true => count(all.iter().flatten().map(rows).sum()),
        false => words.none.to_owned(),
    };
    let overview = Overview {
        frame: Frame::new(Page::Overview, facts),
        fault: facts.state.fault.as_ref().map(|fault| (facts.moment(fault.since), fault.text.clone())),
        attention: attention(facts),
        running: running.collect(),
        next: next.map(|at| (facts.moment(at), rules_at(facts, at))),
        last: last.map(|run| (facts.moment(run.ended_at), facts.outcome(run.outcome))),
        totals: Totals {
            due: total(|counted| counted.due),
            overdue: total(|counted| counted.overdue.unwrap_or(0)),
            held: total(|counted| counted.held),
        },
        categories: facts.state.job.files.iter().map(|file| category(facts, &file.category.id)).collect(),
    };
    overview.render()
}

fn standing<'a>(facts: &'a Facts<'_>, rule: &Rule) -> Option<&'a RuleStanding> {
    facts.snapshot?.standing.rules.get(&rule.id)
}

/// How many rules come at this time, or which one.
fn rules_at(facts: &Facts<'_>, at: Timestamp) -> String {
    let next = facts.state.next.iter().filter(|(_, (_, next))| *next == Some(at));
    match next.map(|(rule, _)| rule.as_str()).collect::<Vec<_>>().as_slice() {
        [rule] => (*rule).to_owned(),
        rules => facts.language.rules(rules.len()),
    }
}

fn category(facts: &Facts<'_>, id: &str) -> Category {
    let words = facts.language.words();
    let rules: Vec<_> = facts.state.job.rules().filter(|rule| rule.category == id).collect();
    let counts: Vec<_> = rules.iter().map(|rule| standing(facts, rule).and_then(|standing| standing.counted)).collect();
    let known: Vec<&Counted> = counts.iter().flatten().collect();
    let sum = |rows: fn(&Counted) -> u64| match known.is_empty() {
        true => words.none.to_owned(),
        false => count(known.iter().map(|counted| rows(counted)).sum()),
    };
    let overdue: u64 = known.iter().filter_map(|counted| counted.overdue).sum();
    let oldest = known.iter().filter_map(|counted| counted.overdue_since).min();
    let complete = !known.is_empty() && known.len() == rules.len();
    Category {
        id: id.to_owned(),
        title: facts.category(id),
        rules: rules.len(),
        due: sum(|counted| counted.due),
        overdue: Badge {
            class: if overdue > 0 { "bad" } else { "plain" },
            text: sum(|counted| counted.overdue.unwrap_or(0)),
        },
        held: sum(|counted| counted.held),
        oldest: oldest
            .map_or_else(|| words.none.to_owned(), |since| facts.language.length(facts.now.duration_since(since))),
        counted: known.iter().map(|counted| counted.at).min().filter(|_| complete).map(|at| facts.moment(at)),
    }
}

/// What a person should look at, worst first.
fn attention(facts: &Facts<'_>) -> Vec<String> {
    let language = facts.language;
    let Some(snapshot) = facts.snapshot else { return Vec::new() };
    let paused = snapshot.pause.as_ref().filter(|pause| pause.is_in_force(facts.now)).map(|pause| {
        let until = pause.until.map(|until| facts.moment(until).shown);
        language.paused(&pause.by, &facts.moment(pause.since).shown, until.as_deref(), pause.reason.as_deref())
    });
    let (mut overdue, mut failed, mut missed) = (Vec::new(), Vec::new(), Vec::new());
    for rule in facts.state.job.rules() {
        let standing = snapshot.standing.rules.get(&rule.id);
        if let Some(rows) = standing.and_then(|standing| standing.counted?.overdue).filter(|rows| *rows > 0) {
            overdue.push(language.overdue(&rule.id, rows));
        }
        let last = standing.and_then(|standing| standing.last.as_ref());
        if let Some(last) = last
            && matches!(last.result, RuleResult::Failed | RuleResult::Refused | RuleResult::Temporary)
        {
            failed.push(language.last_run_was(&rule.id, last.result));
        }
        if let Some(skip) = facts.state.last_skips.get(&rule.id)
            && skip.why != Why::Running
            && last.is_none_or(|last| last.started_at < skip.scheduled)
        {
            missed.push(language.missed(&rule.id, &facts.moment(skip.scheduled).shown));
        }
    }
    [paused.into_iter().collect(), overdue, failed, missed, recipients(facts, snapshot)].concat()
}

fn recipients(facts: &Facts<'_>, snapshot: &Snapshot) -> Vec<String> {
    let language = facts.language;
    let mut found = Vec::new();
    for (name, standing) in &snapshot.standing.recipients {
        let of_rules = facts.state.job.rules().filter_map(|rule| standing.waiting.get(&rule.id));
        let late: u64 = of_rules.map(|waiting| waiting.past_deadline).sum();
        if late > 0 {
            found.push(language.past_deadline(name, late));
        }
    }
    let late = snapshot.notices.iter().filter(|notice| notice.open > 0 && notice.due_at < facts.now);
    found.extend(late.map(|notice| language.notice_overdue(&notice.recipient, &notice.id)));
    if snapshot.open_intents > 0 && facts.state.running.is_empty() {
        found.push(language.cut_off(snapshot.open_intents));
    }
    found
}
