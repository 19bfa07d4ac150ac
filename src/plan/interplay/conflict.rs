//! Pairs of rules of which one destroys what the other still needs, and in which order the others go.

use super::{
    harm::{Harm, harm},
    life::{How, Life, Need, What, Write},
    names::Names,
    timing::{Before, Calendar, Example, Linked, before},
};
use crate::{
    anonymize::Technique,
    clock::starting_point::{Pick, Source},
    diagnostic::{Code, Diagnostic},
    plan::overlap::{Overlap, conditions},
    rules::{Dependent, Disposition, RequestKind},
};

/// A rule writes what another one needs, and may do so before it acts.
#[derive(Clone, Debug)]
pub struct Conflict {
    /// Positions in the list of lives, of writes and of needs.
    pub writer: usize,
    pub write: usize,
    pub reader: usize,
    pub need: usize,
    pub example: Option<Example>,
    /// Whether there is a row that both are about.
    pub meet: Overlap,
    /// By their days it is well: the writer acts before when a person asks for it.
    pub on_request: bool,
}

/// A rule has to go before another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Precedence {
    pub first: usize,
    pub then: usize,
    pub because: Because,
}

/// Why, the weightiest last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Because {
    /// The second erases what the first would have changed: the plan counts both.
    Counted,
    /// The second changes rows of which a trigger may change what the first reads.
    Trigger,
    /// The second writes what the first reads, and that changes nothing for it.
    Read,
    /// The second destroys what the first needs.
    Needed,
}

/// What rules have to do with each other.
#[derive(Clone, Debug, Default)]
pub struct Interplay {
    pub conflicts: Vec<Conflict>,
    pub order: Vec<Precedence>,
}

/// Holds all pairs of lives against each other. `certain`: only what the files alone can tell counts.
pub fn interplay(lives: &[Life], names: &dyn Names, calendar: &Calendar, certain: bool) -> Interplay {
    let mut found = Interplay::default();
    for (w, writer) in lives.iter().enumerate() {
        for (r, reader) in lives.iter().enumerate() {
            if w != r {
                pair(&mut found, (w, writer), (r, reader), names, calendar, certain);
            }
        }
    }
    found
}

fn pair(
    found: &mut Interplay,
    (w, writer): (usize, &Life),
    (r, reader): (usize, &Life),
    names: &dyn Names,
    calendar: &Calendar,
    certain: bool,
) {
    let both_erase = [writer, reader].iter().all(|life| life.rule.disposition == Disposition::Erase);
    let mut conflicts: Vec<Conflict> = Vec::new();
    for (i, write) in writer.writes.iter().enumerate() {
        if certain && !is_plain(write, writer, reader, names) {
            continue;
        }
        for (j, need) in reader.needs.iter().enumerate() {
            let harm = harm(writer, write, reader, need, calendar);
            if harm == Harm::None || kept(writer, write, reader, need, names) {
                continue;
            }
            let meet = meet(writer, write, reader, need, names);
            // what moves a row into the other's condition is to be seen in the next run
            let moves = matches!(need.what, What::Where(_) | What::WhereSql);
            if meet == Overlap::No && !moves {
                continue;
            }
            // both would erase the row: that is an overlap
            if both_erase && write.column.is_none() && !write.along && !need.related {
                continue;
            }
            let because = if harm == Harm::Order { Because::Read } else { Because::Needed };
            found.order.push(Precedence { first: r, then: w, because });
            if harm == Harm::Order || meet == Overlap::No {
                continue;
            }
            let mut before = before(writer, reader, linked(writer, write, reader, need), calendar);
            if before == Before::Never && harm == Harm::DestroyedAtAnyTime {
                before = Before::Anywhere;
            }
            let on_request = before == Before::Never && asked_first(writer, write, (reader, need), names);
            let example = match before {
                Before::Never if on_request => None,
                Before::Never => continue,
                Before::Here(example) => Some(example),
                Before::Anywhere => None,
            };
            conflicts.push(Conflict { writer: w, write: i, reader: r, need: j, example, meet, on_request });
        }
        let same_rows = writer.table == reader.table && !names.apart(&writer.rule.table, &reader.rule.table);
        if same_rows && write.how == How::Erase && !write.along && !both_erase {
            let meet = conditions(writer.rule.condition.as_ref(), reader.rule.condition.as_ref(), &|name| {
                names.fold(&writer.rule.table, name)
            });
            if meet != Overlap::No {
                found.order.push(Precedence { first: r, then: w, because: Because::Counted });
            }
        }
    }
    let touched = |need: &Need| {
        let changed = |write: &&Write| write.table == need.table && write.column.is_some();
        need.column.is_some()
            && writer.writes.iter().any(|write| changed(&write))
            && names.has_update_trigger(&need.table)
    };
    if reader.needs.iter().any(touched) {
        found.order.push(Precedence { first: r, then: w, because: Because::Trigger });
    }
    // each pair is told once, by what needs no database where there is that
    let sure = conflicts.iter().position(|conflict| conflict.meet == Overlap::Yes);
    match sure {
        Some(first) => found.conflicts.push(conflicts.swap_remove(first)),
        None => found.conflicts.extend(conflicts),
    }
}

/// A person can ask for what the writer does before the reader is through. A row that both are about waits for the reader then,
/// and so does what goes along, but for what is unlinked.
fn asked_first(writer: &Life, write: &Write, (reader, need): (&Life, &Need), names: &dyn Names) -> bool {
    let is_unlinked = || writer.fates_of(&write.table, names).iter().any(|fate| matches!(fate, Dependent::Unlink));
    let waits = if write.along { !is_unlinked() } else { !need.related };
    let kinds = [RequestKind::Erasure, RequestKind::Cease];
    !waits && kinds.iter().any(|kind| writer.rule.answers(*kind) && !reader.rule.answers_at_once(*kind))
}

/// What the files alone can tell of: rows of the rule's own table, and no foreign key that may say otherwise.
fn is_plain(write: &Write, writer: &Life, reader: &Life, names: &dyn Names) -> bool {
    !write.along && writer.fates_of(&reader.table, names).is_empty()
}

/// A foreign key keeps the rows that tell the reader's starting point for as long as there are rows of the reader, or lets
/// these go with them.
fn kept(writer: &Life, write: &Write, reader: &Life, need: &Need, names: &dyn Names) -> bool {
    if !matches!(need.what, What::Telling) || write.column.is_some() {
        return false;
    }
    let fates = writer.fates_of(&reader.table, names);
    !fates.is_empty()
        && fates.iter().all(|fate| matches!(fate, Dependent::Keep | Dependent::Erase))
        && names.is_key(&reader.rule.table, &need.table, &need.path)
}

/// How the rows are connected that are written and needed.
fn linked(writer: &Life, write: &Write, reader: &Life, need: &Need) -> Linked {
    let by_start = || {
        let path = &reader.start.path;
        write.links.len() == 1
            && write.links[0].columns.len() == path.len()
            && write.links[0]
                .columns
                .iter()
                .all(|column| path.iter().any(|(_, ours)| ours.name.eq_ignore_ascii_case(&column.name)))
    };
    match (write.along, need.related) {
        (false, false) => Linked::OneRow,
        (false, true) => Linked::Telling,
        // the row goes along, and its own starting point is a column of the one that it goes along with
        (true, false) if reader.start.pick.is_some() && by_start() => Linked::Along,
        // rows that tell when the writer's time begins go along with it
        (true, false) if writer.start.pick.is_some() && reader.start.pick.is_none() => {
            let path = &writer.start.path;
            let same = write.links.len() == 1
                && write.links[0].columns.len() == path.len()
                && write.links[0]
                    .columns
                    .iter()
                    .all(|column| path.iter().any(|(theirs, _)| theirs.name.eq_ignore_ascii_case(&column.name)));
            if same { Linked::Along } else { Linked::Otherwise }
        }
        (true, _) => Linked::Otherwise,
    }
}

/// Whether a row may be concerned, as far as conditions on one table tell.
fn meet(writer: &Life, write: &Write, reader: &Life, need: &Need, names: &dyn Names) -> Overlap {
    let (ours, theirs) = (writer.rule.condition.as_ref(), reader.rule.condition.as_ref());
    if !write.along && !need.related {
        if names.apart(&writer.rule.table, &reader.rule.table) {
            return Overlap::No;
        }
        return conditions(ours, theirs, &|name| names.fold(&writer.rule.table, name));
    }
    if ours.is_none() && theirs.is_none() { Overlap::Yes } else { Overlap::Ask }
}

impl Conflict {
    /// What to tell about it.
    pub fn diagnostic(&self, lives: &[Life]) -> Diagnostic {
        let (writer, reader) = (&lives[self.writer], &lives[self.reader]);
        let write = &writer.writes[self.write];
        let (ours, theirs) = (&writer.rule.id, &reader.rule.id);
        let need = &reader.needs[self.need];
        let message = format!("rule `{ours}` destroys what rule `{theirs}` still needs");
        let here = format!("`{ours}` {}{}", act(write), self.when(true));
        let there = format!("`{theirs}` {}{}", use_of(need, reader), self.when(false));
        Diagnostic::error(Code::RuleDestroys, write.place.clone(), message)
            .label(here)
            .also(need.place.clone(), there)
            .help(ways_out(writer, write, reader, need))
    }

    /// Words for the days of the example.
    fn when(&self, writing: bool) -> String {
        match &self.example {
            Some(Example { start, writer, .. }) if writing => {
                format!(", on {writer} where the time begins on {start}")
            }
            Some(Example { reader, .. }) => format!(", not before {reader}"),
            None if self.on_request && writing => ", as soon as a person asks for it (`on_request: now`)".to_owned(),
            None if self.on_request => ", not before its day".to_owned(),
            None if writing => String::new(),
            None => ", which may be later: the two do not count from the same day".to_owned(),
        }
    }
}

fn full(table: &super::names::TableId, column: Option<&str>) -> String {
    match column {
        Some(column) => format!("`{}.{column}`", table.name),
        None => format!("rows of `{}`", table.name),
    }
}

/// What a write does, in words.
fn act(write: &Write) -> String {
    let what = full(&write.table, write.column.as_deref());
    let along = if write.along { " along" } else { "" };
    match &write.how {
        How::Erase | How::EraseFew => format!("erases {what}{along}"),
        How::Change(Technique::Suppress) => format!("empties {what}{along}"),
        How::Change(technique) => format!("changes {what}{along} ({})", technique.label()),
        How::Mark => format!("marks rows in {what}"),
        How::Total => format!("adds to {what}"),
    }
}

/// What a need is for, in words.
fn use_of(need: &Need, reader: &Life) -> String {
    let what = full(&need.table, need.column.as_deref());
    match &need.what {
        What::Start => format!("counts from {what}"),
        What::Telling => format!("counts from {what}"),
        What::Through => format!("finds its starting point over {what}"),
        What::Where(_) | What::WhereSql => format!("asks for {what}"),
        What::Identifier { recipient, .. } => format!("has `{recipient}` asked by {what}"),
        What::Copied => format!("keeps the value of {what}"),
        What::Marker => format!("tells by {what} which rows are done"),
        What::Group(_) | What::Sum => {
            let into = reader.rule.aggregate.as_ref().map(|aggregate| aggregate.into.to_string()).unwrap_or_default();
            format!("adds {what} up in `{into}`")
        }
    }
}

/// What can be written instead.
fn ways_out(writer: &Life, write: &Write, reader: &Life, need: &Need) -> String {
    let (ours, theirs) = (&writer.rule.id, &reader.rule.id);
    let column = need.column.as_deref().unwrap_or_default();
    let first = format!("give `{theirs}` the shorter period on the same starting point");
    match &need.what {
        What::Identifier { recipient, identifier } if !write.along => format!(
            "ask the recipient before: `recipients: [{{{recipient}: {{{identifier}: {column}}}}}]` in `{ours}`; or leave \
             `{column}` to `{theirs}`"
        ),
        What::Identifier { recipient, .. } => format!(
            "keep the row until `{recipient}` was asked: name its table `keep` under `dependents` of `{ours}`; or {first}"
        ),
        What::Marker => "take a marker column of its own for each rule".to_owned(),
        What::Start | What::Telling | What::Through => {
            let copied = match &reader.rule.starting_point.source {
                Source::Column(column) => format!("{{copy: {column}}}"),
                Source::Related { pick, table, column, through } => {
                    let pick = if *pick == Pick::Latest { "latest" } else { "earliest" };
                    format!("{{copy: {{{pick}: {table}.{column}, through: {through}}}}}")
                }
            };
            let place = match (write.along || need.related, writer.rule.disposition) {
                (true, _) => {
                    format!("`{}: {{anonymize: {{…, kept: {copied}}}}}` under `dependents`", reader.rule.table)
                }
                (false, Disposition::Unlink) => {
                    format!("`disposition: anonymize` with `columns: {{{column}: suppress, kept: {copied}}}`")
                }
                (false, _) => format!("`kept: {copied}` under `columns`"),
            };
            format!(
                "keep the value in a column of `{}`, from which `{theirs}` counts: {place} of `{ours}`; or count from \
                 another column; or {first}",
                reader.rule.table
            )
        }
        What::Where(_) | What::WhereSql => format!(
            "leave `{column}` as it is; or keep its value in a column that `{theirs}` asks for instead: `kept: {{copy: \
             {column}}}` in `{ours}`; or give each a `where` that excludes the other"
        ),
        What::Group(_) | What::Sum => format!("leave `{column}` as it is until `{theirs}` has added it up; or {first}"),
        What::Copied => format!("leave `{column}` as it is until `{theirs}` has copied it; or {first}"),
    }
}
