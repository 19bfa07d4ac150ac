//! A plan as text: a table of all rules, then each rule in words.

use super::{
    PlanStyle, assertions,
    numbers::{count, count_or_dash, group_counts, persons, seconds, small_groups},
    report, table,
};
use crate::{
    plan::{
        PartitionByRows, Persons, Plan, PlannedAggregate, PlannedMembers, PlannedPartition, PlannedRecipient,
        PlannedStatement, SetAside, Step, name_of,
    },
    rules::{AtLast, Partitions},
    run::Traces,
};
use std::{collections::BTreeMap, fmt::Write as _};

pub(super) const HEAD: [&str; 10] =
    ["rule", "disposition", "table", "due", "overdue", "held", "waiting", "no start", "along", "takes"];

pub(super) fn row(step: &Step) -> Vec<String> {
    let along: u64 = step.dependents.iter().filter_map(|dependent| dependent.rows).sum();
    vec![
        step.rule.clone(),
        step.disposition.to_string(),
        format!("{}.{}", step.database, step.table.name),
        count(step.counts.due),
        count_or_dash(step.counts.overdue),
        count(step.counts.held),
        count(step.counts.waiting),
        count_or_dash(step.counts.without_starting_point),
        count(along),
        seconds(step.estimated_seconds),
    ]
}

/// `2026-11-22 02:30 Asia/Tokyo`.
pub(super) fn time(plan: &Plan) -> String {
    match plan.now.in_tz(&plan.time_zone) {
        Ok(zoned) => format!("{} {}", zoned.strftime("%Y-%m-%d %H:%M"), plan.time_zone),
        Err(_) => plan.now.to_string(),
    }
}

pub(super) fn text(plan: &Plan, style: PlanStyle) -> String {
    let mut out = format!("plan of job {} for {}\n\n", plan.job, time(plan));
    if plan.steps.is_empty() && plan.unplanned.is_empty() {
        out.push_str("no rules\n");
    } else if !plan.steps.is_empty() {
        out.push_str(&table(&HEAD, plan.steps.iter().map(row).collect()));
    }
    for step in plan.steps.iter().filter(|_| !style.brief) {
        out.push('\n');
        describe(&mut out, step, style);
    }
    if !plan.pace.is_empty() {
        out.push('\n');
    }
    for line in &plan.pace {
        let _ = writeln!(out, "pace: {line}");
    }
    if !plan.assertions.is_empty() {
        out.push('\n');
    }
    for line in assertions::lines(&plan.assertions) {
        let _ = writeln!(out, "assertion {line}");
    }
    for line in report::planned_requests(&plan.requests).chain(report::gone_rules(&plan.gone_rules)) {
        let _ = writeln!(out, "\n{line}");
    }
    for unplanned in &plan.unplanned {
        let _ = writeln!(out, "\nnot planned: {} ({})", unplanned.rules.join(", "), unplanned.reason);
    }
    for refusal in &plan.refusals {
        let _ = writeln!(out, "\nrefused: {refusal}");
    }
    if !style.brief {
        for line in report::traces(&traces(plan), "what would be left of rows that go") {
            let _ = writeln!(out, "{line}");
        }
    }
    let _ = writeln!(out, "\n{}", summary(plan));
    out
}

/// Where bytes would be of the rows that go.
pub(super) fn traces(plan: &Plan) -> Vec<Traces> {
    let going = plan.steps.iter().filter(|step| step.counts.disposable() > 0);
    Traces::of(going.filter_map(|step| {
        Some((step.rule.as_str(), step.database.as_str(), plan.databases.get(&step.database)?, step.after))
    }))
}

fn summary(plan: &Plan) -> String {
    let rows: u64 = plan.steps.iter().map(|step| step.counts.disposable()).sum();
    let along: u64 = plan.steps.iter().flat_map(|step| &step.dependents).filter_map(|d| d.rows).sum();
    let refused = plan.steps.iter().filter(|step| !step.refusals.is_empty()).count();
    let unplanned: usize = plan.unplanned.iter().map(|unplanned| unplanned.rules.len()).sum();
    let mut text = match (rows, along) {
        (0, _) if unplanned > 0 => "0 rows to dispose of under the rules that could be planned".to_owned(),
        (0, _) => "nothing to do".to_owned(),
        (rows, 0) => format!("{} rows to dispose of", count(rows)),
        (rows, along) => format!("{} rows to dispose of, {} dependents go along", count(rows), count(along)),
    };
    if refused > 0 {
        let _ = write!(text, "; {refused} of {} rules refused by a guard rail", plan.steps.len());
    }
    if unplanned > 0 {
        let _ = write!(text, "; what is due under {unplanned} others is not known");
    }
    let _ = write!(text, "\ndigest {}", plan.digest);
    text
}

/// Holds that can concern the step, with the number of due rows that each of them keeps.
pub(super) fn holds(step: &Step) -> Vec<String> {
    let keeps = |name: &String| step.held_by.iter().find(|held| name.starts_with(&name_of(held.hold, &held.matter)));
    let words = |name: &String| match keeps(name) {
        Some(held) if held.rows == 1 => format!("{name}: keeps 1 due row"),
        Some(held) => format!("{name}: keeps {} due rows", count(held.rows)),
        None => name.clone(),
    };
    step.holds.iter().map(words).collect()
}

fn describe(out: &mut String, step: &Step, style: PlanStyle) {
    let mut line = |name: &str, text: &str| {
        let _ = writeln!(out, "  {name:<14}{text}");
    };
    let title = format!("{}: {} rows of {}", step.rule, step.disposition, step.full_table());
    line_title(&mut line, &title);
    line("starts", &step.cut_off.starting_point);
    line("cut-off", &step.cut_off.words);
    line("due", &due(step));
    if let Some(oldest) = &step.counts.oldest_due {
        line("oldest due", oldest);
    }
    for (column, technique) in &step.techniques {
        line("column", &format!("{column}: {technique}"));
    }
    for dependent in &step.dependents {
        let what = match dependent.rows {
            Some(rows) => format!("{}: {} {} rows", dependent.table, dependent.action, count(rows)),
            None => format!("{}: kept", dependent.table),
        };
        line("along", &format!("{what} (through {})", dependent.through));
    }
    for recipient in &step.recipients {
        line("asked first", &asked(recipient));
        line("", &sent(recipient));
        if let Some(members) = &recipient.members {
            line("", &stay(members));
        }
    }
    for (i, text) in k_anonymity(step).iter().enumerate() {
        line(if i == 0 { "k-anonymity" } else { "" }, text);
    }
    for hold in holds(step) {
        line("hold", &hold);
    }
    for (number, text) in step.aggregate.iter().flat_map(|planned| added_up(planned, &step.database)).enumerate() {
        line(if number == 0 { "added up" } else { "" }, &text);
    }
    line("found by", &found_by(step));
    for text in partitions(step) {
        line("partitions", &text);
    }
    for missing in &step.missing_indexes {
        line("index", &format!("{} would help: {}", missing.sql, missing.why));
    }
    if let Some(legal_basis) = &step.legal_basis {
        line("legal basis", legal_basis);
    }
    for warning in &step.warnings {
        line("warning", warning);
    }
    for refusal in &step.refusals {
        line("refused", refusal);
    }
    for sample in &step.samples {
        for (i, (column, (before, after))) in sample.columns.iter().enumerate() {
            let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "null".to_owned());
            let name = if i == 0 { "example" } else { "" };
            line(name, &format!("{column}: {} → {}", shown(before), shown(after)));
        }
    }
    if style.explain {
        for explained in &step.access.explain {
            line("explain", explained);
        }
    }
    if style.sql {
        for (purpose, statements) in partition_statements(step) {
            line("sql", &format!("-- {purpose}"));
            statements.iter().for_each(|sql| line("", sql));
        }
        for PlannedStatement { purpose, sql, values } in &step.statements {
            line("sql", &format!("-- {purpose}"));
            line("", sql);
            if !values.is_empty() {
                line("", &format!("-- with {}", values.join(", ")));
            }
        }
    }
}

/// `stripe: 12 persons in 12 calls, at least 1.0 s; evidence E1 or better; 3 rows past its deadline of 30 days`.
pub(super) fn asked(recipient: &PlannedRecipient) -> String {
    let PlannedRecipient { name, kind, require, deadline, late, calls, seconds: least, .. } = recipient;
    if recipient.sends.is_empty() {
        return format!("{name}: nobody, it holds nothing that a request could name; evidence {require}");
    }
    let of_kind = if name == kind { String::new() } else { format!(" ({kind})") };
    #[expect(clippy::cast_precision_loss, reason = "a duration")]
    let least =
        if *least > 0 { format!(", at least {} by its rate limit", seconds(*least as f64)) } else { String::new() };
    let days = match &recipient.quota {
        Some(quota) if quota.days > 1 => {
            format!(", at least {} nights at {} calls a day", count(quota.days), count(quota.calls.into()))
        }
        _ => String::new(),
    };
    let whom = match &recipient.persons {
        Some(Persons { to_ask, .. }) => persons(*to_ask),
        None => format!("up to {}", persons(recipient.subjects)),
    };
    let calls = if *calls == 1 { "1 call".to_owned() } else { format!("{} calls", count(*calls)) };
    let mut text = format!("{name}{of_kind}: {whom} in {calls}{least}{days}; evidence {require} or better");
    if let Some(Persons { served, waiting, shared, .. }) = &recipient.persons {
        let known = [(*served, "asked and served"), (*waiting, "asked and waited for")];
        for (number, what) in known.into_iter().filter(|(number, _)| *number > 0) {
            let _ = write!(text, "; {} {what} before", persons(number));
        }
        if *shared > 0 {
            let _ =
                write!(text, "; {} not asked about, since rows that stay have the same identifiers", persons(*shared));
        }
    }
    match (deadline, late) {
        (Some(deadline), Some(late)) if *late > 0 => {
            let _ = write!(text, "; {} rows past its deadline of {deadline}", count(*late));
        }
        (Some(deadline), _) => {
            let _ = write!(text, "; deadline {deadline}");
        }
        (None, _) => {}
    }
    text
}

/// What leaves the house, what goes, what stays.
pub(super) fn sent(recipient: &PlannedRecipient) -> String {
    let sends: Vec<_> = recipient.sends.iter().map(|(name, column)| format!("{name} (column {column})")).collect();
    if sends.is_empty() {
        return format!("gets nothing; keeps {}", recipient.keeps);
    }
    format!("gets {}; deletes {}; keeps {}", sends.join(", "), recipient.deletes, recipient.keeps)
}

/// `gets, too, all who stay: email (column email) of core.public.customers, of about 10,000 rows`.
pub(super) fn stay(members: &PlannedMembers) -> String {
    let columns: Vec<_> = members.columns.iter().map(|(name, column)| format!("{name} (column {column})")).collect();
    let rows = count(members.table_rows);
    format!("gets, too, all who stay: {} of {}, which has about {rows} rows", columns.join(", "), members.table)
}

fn line_title(line: &mut impl FnMut(&str, &str), title: &str) {
    line(title, "");
}

/// `1,234 of about 10,000 rows; 12 overdue, 3 held, 5 waiting for kept dependents, 7 without starting point`.
pub(super) fn due(step: &Step) -> String {
    let counts = &step.counts;
    let about = if counts.table_rows_exact { "" } else { "about " };
    let mut text = format!("{} of {about}{} rows", count(counts.due), count(counts.table_rows));
    let parts = [
        (counts.overdue.unwrap_or(0), "overdue"),
        (counts.held, "held"),
        (counts.waiting, "waiting for kept dependents"),
        (counts.without_starting_point.unwrap_or(0), "without starting point"),
    ];
    let parts: Vec<_> =
        parts.iter().filter(|(rows, _)| *rows > 0).map(|(rows, name)| format!("{} {name}", count(*rows))).collect();
    if !parts.is_empty() {
        let _ = write!(text, "; {}", parts.join(", "));
    }
    text
}

pub(super) fn found_by(step: &Step) -> String {
    let access = &step.access;
    let how = match (&access.index, &access.used) {
        (_, Some(used)) => format!("index {used}"),
        (Some(index), None) => format!("reading the whole table (index {index} exists, the server prefers this)"),
        (None, None) => "reading the whole table (no index serves the starting point)".to_owned(),
    };
    format!("{how}; batches are {}", access.walk)
}

/// Where rows are added up, and of which groups.
pub(super) fn added_up(planned: &PlannedAggregate, database: &str) -> Vec<String> {
    let PlannedAggregate { into, by, totals, persons, at_least, counted_in, groups } = planned;
    let listed = |columns: &BTreeMap<String, String>| {
        let columns: Vec<_> = columns.iter().map(|(column, what)| format!("{column} ({what})")).collect();
        columns.join(", ")
    };
    let columns = format!("{}, {counted_in} (count of different {persons})", listed(totals));
    let target = format!("in {database}.{into}, by {}: {columns}", listed(by));
    vec![target, group_counts(groups, *at_least)]
}

/// What is counted after the work, and what is done about it: `birth_date, gender: 10 rows in each group`.
pub(super) fn k_anonymity(step: &Step) -> Vec<String> {
    let Some(gate) = &step.k_anonymity else { return Vec::new() };
    let different = gate.l_diversity.iter().map(|(column, least)| format!(", {least} different values of {column}"));
    let terms = format!(
        "{}: at least {} rows{} in each group",
        gate.quasi_identifiers.join(", "),
        count(gate.k),
        different.collect::<String>()
    );
    let last = match gate.at_last {
        AtLast::Erase => "rows in smaller groups at last: erased",
        AtLast::Suppress => "rows in smaller groups at last: every quasi-identifier removed",
        AtLast::Fail => "rows in smaller groups at last: stay, and the rule fails",
    };
    let then = gate.then.iter().map(|words| format!("rows in smaller groups: {words}"));
    let now = gate.groups.as_ref().map(|groups| format!("of rows that are done: {}", small_groups(groups)));
    std::iter::once(terms).chain(then).chain([last.to_owned()]).chain(now).collect()
}

/// What becomes of the table's partitions: `p2001 goes whole, 1,234 rows (FOR VALUES …): drop`.
pub(super) fn partitions(step: &Step) -> Vec<String> {
    let Some(planned) = &step.partitions else { return Vec::new() };
    let verb = if planned.how == Partitions::Truncate { "is emptied" } else { "goes" };
    let mut texts = Vec::new();
    for PlannedPartition { name, bound, rows, .. } in &planned.whole {
        texts.push(format!("{name} {verb} whole with {} rows ({bound})", count(*rows)));
    }
    for PartitionByRows { name, rows, why } in &planned.by_rows {
        let of = rows.map(|rows| format!(" of {} rows", count(rows))).unwrap_or_default();
        texts.push(format!("{name}{of} goes row by row: {why}"));
    }
    texts.extend(planned.obstacles.iter().map(|obstacle| format!("none goes whole: {obstacle}")));
    if let Some(SetAside { table, rows }) = &planned.set_aside {
        texts.push(format!("an earlier run left {} rows in {table}: a run decides about them first", count(*rows)));
    }
    texts
}

/// The statements by which whole partitions go, with what they are for.
pub(super) fn partition_statements(step: &Step) -> Vec<(String, &[String])> {
    let Some(planned) = &step.partitions else { return Vec::new() };
    let mut groups = vec![("before the first partition".to_owned(), planned.before.as_slice())];
    for partition in &planned.whole {
        groups.push((format!("let partition {} go", partition.name), &partition.statements));
    }
    groups.push(("after the last partition".to_owned(), &planned.after));
    groups.retain(|(_, statements)| !statements.is_empty());
    groups
}
