//! The recipients, and what each still has to do.

use super::{Badge, Facts, Frame, Moment, Page, count};
use crate::standing::{Snapshot, Waiting};
use askama::Template;

#[derive(Template)]
#[template(path = "recipients.html")]
struct Recipients {
    frame: Frame,
    recipients: Vec<Row>,
    notices: Vec<Notice>,
}

struct Row {
    name: String,
    kind: &'static str,
    asked: String,
    confirmed: String,
    pending: String,
    open: Badge,
    oldest: Option<Moment>,
    waiting: String,
    late: Badge,
}

struct Notice {
    recipient: String,
    id: String,
    persons: String,
    open: String,
    sent: Moment,
    due: Moment,
    late: bool,
    reminded: Option<Moment>,
}

pub(super) fn page(facts: &Facts<'_>) -> Result<String, askama::Error> {
    let rows = |snapshot: &Snapshot| {
        let settings = facts.state.job.settings.recipients.values();
        settings.map(|recipient| row(facts, snapshot, &recipient.name, recipient.kind.name)).collect()
    };
    let page = Recipients {
        frame: Frame::new(Page::Recipients, facts),
        recipients: facts.snapshot.map(rows).unwrap_or_default(),
        notices: facts.snapshot.map(|snapshot| notices(facts, snapshot)).unwrap_or_default(),
    };
    page.render()
}

fn row(facts: &Facts<'_>, snapshot: &Snapshot, name: &str, kind: &'static str) -> Row {
    let standing = snapshot.standing.recipients.get(name);
    let backlog = snapshot.backlogs.iter().find(|backlog| backlog.recipient == name);
    let persons = |states: &[&str]| -> u64 {
        let known = snapshot.recipients.iter().filter(|known| known.recipient == name);
        known
            .filter(|known| states.is_empty() || states.contains(&known.state.as_str()))
            .map(|known| known.persons)
            .sum()
    };
    let of_rules = |rows: fn(&Waiting) -> u64| -> u64 {
        let waiting = |id: &str| standing?.waiting.get(id).map(rows);
        facts.state.job.rules().filter_map(|rule| waiting(&rule.id)).sum()
    };
    let (open, late) = (backlog.map_or(0, |backlog| backlog.open), of_rules(|waiting| waiting.past_deadline));
    Row {
        name: name.to_owned(),
        kind,
        asked: count(persons(&[])),
        confirmed: count(persons(&["confirmed", "gone"])),
        pending: count(backlog.map_or(0, |backlog| backlog.pending)),
        open: Badge { class: if open > 0 { "warn" } else { "plain" }, text: count(open) },
        oldest: backlog.and_then(|backlog| backlog.oldest).map(|at| facts.moment(at)),
        waiting: count(of_rules(|waiting| waiting.rows)),
        late: Badge { class: if late > 0 { "bad" } else { "plain" }, text: count(late) },
    }
}

/// Those that nobody has confirmed.
fn notices(facts: &Facts<'_>, snapshot: &Snapshot) -> Vec<Notice> {
    let open = snapshot.notices.iter().filter(|notice| notice.open > 0);
    open.map(|notice| Notice {
        recipient: notice.recipient.clone(),
        id: notice.id.clone(),
        persons: count(notice.persons),
        open: count(notice.open),
        sent: facts.moment(notice.sent_at),
        due: facts.moment(notice.due_at),
        late: notice.due_at < facts.now,
        reminded: notice.reminded_at.map(|at| facts.moment(at)),
    })
    .collect()
}
