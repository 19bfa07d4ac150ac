//! All rules, with when they come next and what their last run came to.

use super::{Badge, Facts, Frame, Moment, Page, count};
use crate::{rules::Rule, serve::agenda::Why};
use askama::Template;

#[derive(Template)]
#[template(path = "rules.html")]
struct Rules {
    frame: Frame,
    rules: Vec<Row>,
}

struct Row {
    id: String,
    category: String,
    table: String,
    disposition: String,
    /// Five fields.
    schedule: Option<String>,
    next: Option<Moment>,
    last: Option<(Moment, Badge)>,
    message: Option<String>,
    /// When it did not begin although its time had come, newer than the last run; and why.
    skipped: Option<(Moment, &'static str)>,
    disposed: String,
    in_all: String,
    due: String,
    overdue: Badge,
    held: String,
    counted: Option<Moment>,
}

pub(super) fn page(facts: &Facts<'_>) -> Result<String, askama::Error> {
    let rules = facts.state.job.rules().map(|rule| row(facts, rule)).collect();
    Rules { frame: Frame::new(Page::Rules, facts), rules }.render()
}

fn row(facts: &Facts<'_>, rule: &Rule) -> Row {
    let words = facts.language.words();
    let standing = facts.snapshot.and_then(|snapshot| snapshot.standing.rules.get(&rule.id));
    let counted = standing.and_then(|standing| standing.counted);
    let last = standing.and_then(|standing| standing.last.as_ref());
    let scheduled = facts.state.next.get(&rule.id);
    let number = |rows: Option<u64>| rows.map_or_else(|| words.none.to_owned(), count);
    let skip = facts.state.last_skips.get(&rule.id);
    let skip = skip.filter(|skip| last.is_none_or(|last| last.started_at < skip.scheduled));
    let overdue = counted.and_then(|counted| counted.overdue);
    Row {
        id: rule.id.clone(),
        category: facts.category(&rule.category),
        table: rule.table.to_string(),
        disposition: facts.language.disposition(&rule.disposition.to_string()),
        schedule: scheduled.map(|(text, _)| text.clone()),
        next: scheduled.and_then(|(_, next)| *next).map(|at| facts.moment(at)),
        last: last.map(|last| (facts.moment(last.started_at), facts.result(last.result))),
        message: last.and_then(|last| last.message.clone()),
        skipped: skip.map(|skip| {
            let why = match skip.why {
                Why::Running => words.why_skipped_running,
                Why::Missed => words.why_skipped_missed,
                Why::Closed => words.why_skipped_closed,
            };
            (facts.moment(skip.scheduled), why)
        }),
        disposed: number(last.map(|last| last.disposed)),
        in_all: number(standing.map(|standing| standing.disposed.values().sum())),
        due: number(counted.map(|counted| counted.due)),
        overdue: Badge { class: if overdue > Some(0) { "bad" } else { "plain" }, text: number(overdue) },
        held: number(counted.map(|counted| counted.held)),
        counted: counted.map(|counted| facts.moment(counted.at)),
    }
}
