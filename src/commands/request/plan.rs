//! `sunset request plan`: what would go for a request now, and what stays, why and until when.

use super::request;
use crate::{
    cli::Global,
    commands::{
        Stop,
        console::Console,
        job as loading,
        person::subject_of,
        why::person::{Life, life},
    },
    evidence::keys::Keys,
    job::Job,
    ledger::person_of,
    outcome::Outcome,
    output::{self, Format},
    plan::{self, OF_REQUESTS, Options, Plan, PlannedRequest, name_of},
    rules::{Disposition, Rule, id_in_file},
    run::planned_request,
    store::{PersonRequest, Staying},
};
use jiff::Timestamp;
use std::{collections::BTreeMap, fmt::Write as _};

pub(super) async fn run(global: &Global, job: &Job, id: u64, console: &mut Console) -> anyhow::Result<Outcome> {
    let now = loading::now(global, job)?;
    let request = request(job, id).await?;
    let outlook = match outlook(job, &request, now, console).await? {
        Ok(outlook) => outlook,
        Err(stop) => return Ok(stop),
    };
    match global.format {
        Format::Json => {
            let mut life = serde_json::to_value(&outlook.life)?;
            life.as_object_mut().map(|life| life.remove("key"));
            let value = serde_json::json!({
                "request": outlook.planned, "steps": outlook.plan.steps, "stays": outlook.stays, "life": life,
            });
            console.print(&(serde_json::to_string_pretty(&value)? + "\n"))?;
        }
        Format::Text | Format::Markdown | Format::Sarif => console.print(&text(job, &request, &outlook))?,
    }
    Ok(outlook.outcome)
}

/// What a request comes to.
pub(super) struct Outlook {
    pub plan: Plan,
    pub planned: PlannedRequest,
    pub life: Life,
    pub stays: Vec<Staying>,
    /// Why nobody can tell which rows are the person's.
    pub unclear: Option<String>,
    pub outcome: Outcome,
}

/// Looks at all that the person has; inside, the end of the command where the rules do not fit.
pub(super) async fn outlook(
    job: &Job,
    request: &PersonRequest,
    now: Timestamp,
    console: &mut Console,
) -> anyhow::Result<Result<Outlook, Outcome>> {
    let keys = Keys::parse(&job.settings.keys)?;
    let Some(key) = person_of(request, &keys.tag) else {
        return Err(Stop::refused(match &request.closing {
            Some(closing) => format!("request {} is closed since {}: its person is forgotten", request.id, closing.at),
            None => format!("none of `keys.tag` opens request {}: put back the key {}", request.id, request.tag_key),
        }));
    };
    let subject = subject_of(job, &request.subject)?;
    // whatever was found before, all of it is looked at
    let unfinished = PersonRequest { complete_at: None, ..request.clone() };
    let Some(asked) = planned_request(key.clone(), unfinished) else {
        return Err(Stop::invalid(format!("request {} names no table", request.id)));
    };
    let table = asked.table.clone();
    let options = Options {
        pseudonym_key: keys.pseudonym.as_ref().map(|key| key.secret().to_vec()),
        answers: loading::answers(job, &keys, now).await?,
        requests: vec![asked],
        on_request_only: true,
        ..Options::default()
    };
    let holds = loading::holds(job).await?;
    let prepared = match plan::prepare(job, &holds, now, &options).await? {
        Ok(prepared) => prepared,
        Err(found) => {
            console.diagnostics(&found, &job.sources)?;
            return Ok(Err(Outcome::Invalid));
        }
    };
    let planned = prepared.plan.requests.first().cloned().unwrap_or(PlannedRequest {
        request: request.id,
        reference: request.reference.clone(),
        kind: request.kind,
        rows: BTreeMap::new(),
        unclear: BTreeMap::new(),
        obstacles: Vec::new(),
    });
    let (life, outcome) = match life(job, subject, (&table, key), now, console).await? {
        Ok(told) => told,
        Err(stop) => return Ok(Err(stop)),
    };
    let stays = stays(&life, &planned, request);
    let unclear = prepared.requested.unclear.get(&request.id).cloned();
    Ok(Ok(Outlook { plan: prepared.plan, planned, life, stays, unclear, outcome }))
}

/// Rows that are there when all is done.
fn stays(life: &Life, planned: &PlannedRequest, request: &PersonRequest) -> Vec<Staying> {
    let mut stays = Vec::new();
    // rows that wait for what stays do not go
    let going = |rule: &String| planned.rows.get(rule).map_or(0, |rows| rows.saturating_sub(request.waits(rule)));
    let all = || life.tables.iter().flat_map(|table| &table.rules);
    for table in &life.tables {
        let erased = table.rules.iter().filter(|of| of.disposition == Disposition::Erase);
        let gone: u64 = erased.map(|of| going(&of.rule)).sum();
        let rows = table.rows.saturating_sub(gone);
        // what no rule governs goes along with what it belongs to
        let goes_along = table.rules.is_empty() && table.along_with.iter().any(|rule| going(rule) > 0);
        if rows == 0 || goes_along {
            continue;
        }
        let holds = table.holds.iter().filter(|concern| concern.hold != OF_REQUESTS);
        let own = table.rules.iter().max_by_key(|of| of.last_due);
        let along = || all().filter(|of| table.along_with.contains(&of.rule)).max_by_key(|of| of.last_due);
        let last = own.or_else(along);
        stays.push(Staying {
            table: table.table.clone(),
            rows,
            rule: last.map(|of| of.rule.clone()),
            until: last.and_then(|of| of.last_due),
            holds: holds.map(|concern| concern.matter.clone()).collect(),
            unclear: planned.unclear.get(&table.table).cloned().unwrap_or_default(),
        });
    }
    let is_told = |table: &String| stays.iter().any(|staying: &Staying| staying.table == *table);
    let others: Vec<_> = planned.unclear.iter().filter(|(table, _)| !is_told(table)).collect();
    stays.extend(others.into_iter().map(|(table, unclear)| Staying {
        table: table.clone(),
        rows: 0,
        rule: None,
        until: None,
        holds: Vec::new(),
        unclear: unclear.clone(),
    }));
    stays
}

fn rows(number: u64) -> String {
    if number == 1 { "1 row".to_owned() } else { format!("{} rows", output::count(number)) }
}

fn text(job: &Job, request: &PersonRequest, outlook: &Outlook) -> String {
    let mut out = String::new();
    let PersonRequest { id, kind, subject, received, due, reference, .. } = request;
    let _ = writeln!(
        out,
        "request {id}: {} of a {subject}, {reference}, received {received}, to be answered by {due}",
        kind.word()
    );
    for obstacle in &outlook.planned.obstacles {
        let _ = writeln!(out, "  {obstacle}");
    }
    for (name, why) in &outlook.life.unavailable {
        let _ = writeln!(out, "  database {name} is not available, so nobody can tell what it has: {why}");
    }
    let rule_of = |id: &str| -> Option<&Rule> { job.rules().find(|rule| rule.id == id) };
    let _ = writeln!(out, "\nnow:");
    for (rule, number) in &outlook.planned.rows {
        let step = outlook.plan.steps.iter().find(|step| id_in_file(&step.rule) == rule);
        let disposition = rule_of(rule).map(|rule| rule.disposition.to_string()).unwrap_or_default();
        let table = step.map(crate::plan::Step::full_table).unwrap_or_default();
        let _ = writeln!(out, "  {table}: {} ({disposition}, rule {rule})", rows(*number));
        let Some(step) = step else { continue };
        let names: Vec<_> = step.recipients.iter().map(|recipient| recipient.name.as_str()).collect();
        if !names.is_empty() {
            let _ = writeln!(out, "    asked first: {}", names.join(", "));
        }
        for held in &step.held_by {
            let by = if held.hold == OF_REQUESTS { "" } else { "hold " };
            let _ = writeln!(out, "    {} stay by {by}{}", rows(held.rows), name_of(held.hold, &held.matter));
        }
        if step.counts.waiting > 0 {
            let _ = writeln!(out, "    {} wait for dependents that stay", rows(step.counts.waiting));
        }
        for refusal in &step.refusals {
            let _ = writeln!(out, "    REFUSED: {refusal}");
        }
    }
    if outlook.planned.rows.is_empty() {
        let _ = writeln!(out, "  nothing");
    }
    let _ = writeln!(out, "\nstays:");
    for staying in &outlook.stays {
        if staying.rows == 0 {
            // what stands against it is told above
            continue;
        }
        let _ = write!(out, "  {}: {}", staying.table, rows(staying.rows));
        match (&staying.rule, staying.until) {
            (Some(rule), Some(until)) => {
                let _ = write!(out, ", due from {until} (rule {rule})");
            }
            (Some(rule), None) => {
                let _ = write!(out, " (rule {rule})");
            }
            (None, _) => {
                let _ = write!(out, ", and no rule tells until when");
            }
        }
        let _ = writeln!(out);
        let rule = staying.rule.as_deref().and_then(rule_of);
        if let Some(why) = rule.and_then(|rule| rule.on_request.reason.get("en").or(rule.legal_basis.as_ref())) {
            let _ = writeln!(out, "    {why}");
        }
        for matter in &staying.holds {
            let _ = writeln!(out, "    a hold keeps some of them ({matter})");
        }
    }
    if outlook.stays.is_empty() {
        let _ = writeln!(out, "  nothing");
    }
    out
}
