//! The gate behind an anonymizing rule: its rows are counted by their quasi-identifiers, and those of groups that are too
//! small are suppressed further, or erased.
//!
//! Each measure is work like any other: the same batches, announced in the ledger before they commit, at the same pace, with
//! the whole predicate in each changing statement. What is read page by page is only which rows lie in small groups.

use super::{
    Failure, RuleReport, Surroundings,
    batch::Batches,
    book::Book,
    outward,
    report::{KAnonymityReport, MeasureReport},
    schema::SchemaWatch,
    verify, walk,
    worker::Workers,
};
use crate::{
    catalog::TableName,
    database::groups::GroupCounts,
    failpoint,
    ledger::{self, Event, Ledger, RuleResult},
    plan::{self, Gate, Measure, OpenDatabase, PreparedStep, Step, Walk},
    rules::{AtLast, Disposition, Limits},
};
use std::{collections::BTreeMap, sync::atomic::AtomicBool};

/// Why rows of groups that are too small stay.
const HELD: &str = "held_in_small_groups";
const LEFT: &str = "in_small_groups";

/// So many pages may be read of which no row changes: others were faster, but not for ever.
const FRUITLESS: u32 = 5;

/// The rule is about to change rows: its groups have to be counted anew, by the next run if this one does not come to it.
pub(super) async fn reopen(ready: &PreparedStep, ledger: &mut Ledger) -> Result<(), Failure> {
    match ready.gate {
        Some(_) => Ok(ledger.store().reopen_gate(&ready.rule.id).await.map_err(ledger::Error::from)?),
        None => Ok(()),
    }
}

/// Nothing was due, and the plan found no group that something could be done about: that is the count after the work.
pub(super) fn stands(step: &Step, report: &mut RuleReport) -> Option<Event> {
    let groups = step.k_anonymity.as_ref()?.groups.clone()?;
    report.k_anonymity = Some(KAnonymityReport::new(step.k_anonymity.as_ref()?.k, groups));
    Some(conclude(step, report))
}

/// Remembers that all groups are large enough, where they are.
pub(super) async fn note(
    around: &Surroundings<'_>,
    ready: &PreparedStep,
    report: &RuleReport,
    ledger: &mut Ledger,
) -> Result<(), ledger::Error> {
    let Some(gate) = ready.gate.as_ref().filter(|_| is_passed(report)) else { return Ok(()) };
    Ok(ledger.store().gate_passed(&report.rule, &gate.terms, around.now).await?)
}

fn is_passed(report: &RuleReport) -> bool {
    report.k_anonymity.as_ref().is_some_and(|gate| gate.after.as_ref().is_some_and(|after| after.rows_below == 0))
}

/// Counts the groups, takes the rule's measures about those that are too small, and counts again. The step has announced so
/// many batches before.
#[expect(clippy::too_many_arguments, reason = "a step with all that it works with")]
pub(super) async fn keep(
    around: &Surroundings<'_>,
    step: &Step,
    ready: &PreparedStep,
    schema: &SchemaWatch<'_>,
    workers: &mut Workers<'_>,
    batches: u64,
    ledger: &mut Ledger,
    report: &mut RuleReport,
) -> Result<(), Failure> {
    let (Some(gate), Some(planned)) = (&ready.gate, &step.k_anonymity) else { return Ok(()) };
    let database = schema.database;
    failpoint::reach("before_groups");
    let before = count(gate, database).await?;
    report.k_anonymity = Some(KAnonymityReport::new(planned.k, before.clone()));
    let ended = match before.free_below() {
        0 => Ok(()),
        _ => match judge(around, step, database, &before).await {
            Ok(()) => {
                let of = Subject { around, step, ready, database, schema, gate };
                of.measures(before, workers, ledger, batches, report).await
            }
            Err(refused) => Err(refused),
        },
    };
    let concluded = conclude(step, report);
    ledger.append(vec![concluded], &[]).await?;
    ended?;
    failpoint::reach("after_groups");
    if report.k_anonymity.as_ref().is_some_and(|gate| gate.changed() > 0) {
        // what was coarsened further must be at rest for the rule itself
        let due = report.counts.as_ref().map_or(0, plan::Counts::disposable);
        let again = verify::count(database, &ready.work, &step.counts).await?.disposable();
        if again > due {
            report.result = RuleResult::Failed;
            report.add_message(format!("{} rows would be changed again every night", again - due));
        }
    }
    note(around, ready, report, ledger).await?;
    Ok(())
}

/// What the limits of the rule and of the job say.
async fn judge(
    around: &Surroundings<'_>,
    step: &Step,
    database: &OpenDatabase,
    groups: &GroupCounts,
) -> Result<(), Failure> {
    let total = match step.limits.max_share_percent {
        Some(_) => verify::total(database, &step.table).await?,
        None => step.counts.table_rows,
    };
    // what a whole run may change, no rule may change either
    let most = [step.limits.max_rows, around.job.settings.limits.max_rows];
    let limits = Limits { max_rows: most.into_iter().flatten().min(), ..step.limits };
    plan::gate_refusal(&limits, groups, total).map_or(Ok(()), |refusal| Err(Failure::Refused(refusal)))
}

async fn count(gate: &Gate, database: &OpenDatabase) -> Result<GroupCounts, Failure> {
    let mut connection = database.database.connect_to_count().await?;
    let counted = gate.count(connection.as_mut(), database.dialect).await?;
    connection.close().await;
    Ok(counted)
}

/// What came of it, for the ledger; the report's result follows from it.
fn conclude(step: &Step, report: &mut RuleReport) -> Event {
    let planned = step.k_anonymity.as_ref();
    let gate = report.k_anonymity.clone().unwrap_or_default();
    let last = gate.last();
    let (held, left) = (last.held_below.min(last.rows_below), last.free_below());
    let mut stay = |reason: &str, rows: u64| {
        if rows > 0 {
            report.remaining.insert(reason.to_owned(), rows);
        }
    };
    stay(HELD, held);
    stay(LEFT, left);
    if left > 0 {
        report.result = RuleResult::Failed;
        report.add_message(format!("{left} anonymized rows are in groups that are too small (k is {})", gate.k));
    } else if held > 0 && matches!(report.result, RuleResult::Done | RuleResult::NothingDue) {
        report.result = RuleResult::ExplainedRest;
    }
    let sum = |disposition: Disposition| -> BTreeMap<String, u64> {
        let measures = gate.measures.iter().filter(|measure| measure.disposition == disposition && measure.rows > 0);
        measures.map(|measure| (measure.what.clone(), measure.rows)).collect()
    };
    Event::KAnonymity {
        rule: step.rule.clone(),
        quasi_identifiers: planned.map(|planned| planned.quasi_identifiers.clone()).unwrap_or_default(),
        k: gate.k,
        l_diversity: planned.map(|planned| planned.l_diversity.clone()).unwrap_or_default(),
        smallest_before: gate.before.smallest,
        below_before: gate.before.below,
        rows_below_before: gate.before.rows_below,
        suppressed: sum(Disposition::Anonymize),
        erased: sum(Disposition::Erase).values().sum(),
        rows: last.rows,
        groups: last.groups,
        smallest: last.smallest,
        below: last.below,
        rows_below: last.rows_below,
        held,
        ok: left == 0 && gate.after.is_some(),
    }
}

/// One rule's gate, with what it takes to act on it.
struct Subject<'a> {
    around: &'a Surroundings<'a>,
    step: &'a Step,
    ready: &'a PreparedStep,
    database: &'a OpenDatabase,
    schema: &'a SchemaWatch<'a>,
    gate: &'a Gate,
}

impl Subject<'_> {
    async fn measures(
        &self,
        mut groups: GroupCounts,
        workers: &mut Workers<'_>,
        ledger: &mut Ledger,
        mut batches: u64,
        report: &mut RuleReport,
    ) -> Result<(), Failure> {
        self.around.progress.begin(&self.step.rule, groups.free_below());
        for measure in &self.gate.measures {
            if groups.free_below() == 0 {
                break;
            }
            let ended = self.measure(measure, workers, ledger, &mut batches, report).await;
            if ended.is_err() {
                // how far it came is worth a count; the failure tells more than why that fails
                if let (Ok(groups), Some(gate)) = (count(self.gate, self.database).await, &mut report.k_anonymity) {
                    gate.after = Some(groups);
                }
                return ended;
            }
            failpoint::reach("after_measure");
            groups = count(self.gate, self.database).await?;
            if let Some(gate) = &mut report.k_anonymity {
                gate.after = Some(groups.clone());
            }
        }
        let must_end = self.ready.rule.k_anonymity.as_ref().is_some_and(|gate| gate.at_last != AtLast::Fail);
        match groups.free_below() {
            left if left > 0 && must_end => Err(Failure::Restless { left }),
            _ => Ok(()),
        }
    }

    /// Takes one measure about all rows of groups that are too small when it begins.
    async fn measure(
        &self,
        measure: &Measure,
        workers: &mut Workers<'_>,
        ledger: &mut Ledger,
        batches: &mut u64,
        report: &mut RuleReport,
    ) -> Result<(), Failure> {
        let Self { around, database, .. } = self;
        let step = Step { disposition: measure.disposition, ..self.step.clone() };
        let ready = PreparedStep { work: measure.work.clone(), walk: Walk::Keys, ..self.ready.clone() };
        let pace = around.pace.of(&step, &ready.work, around.stop, around.progress);
        let made = Batches::new(around, &step, &ready, database.dialect);
        let book = Book::new(around, &step, &measure.work, pace, self.schema, ledger, *batches);
        let book = book.for_groups(&measure.label);
        let ended = self.pages(measure, &made, workers, &book).await;
        let flushed = book.flush().await;
        let (rows, dependents) = book.changed().await;
        *batches = book.announced().await;
        for (throttle, milliseconds) in book.pace.waited() {
            *report.waited.entry(throttle).or_default() += milliseconds;
        }
        report.disposed += rows;
        for (table, rows) in dependents {
            *report.dependents.entry(table).or_default() += rows;
        }
        if let Some(gate) = &mut report.k_anonymity {
            gate.measures.push(MeasureReport { what: measure.label.clone(), disposition: measure.disposition, rows });
        }
        tracing::info!(rule = step.rule, measure = measure.label, rows, "rows of groups that are too small");
        ended.and(flushed)
    }

    /// Page after page, until no row is left of which the measure would change something.
    async fn pages(
        &self,
        measure: &Measure,
        batches: &Batches<'_>,
        workers: &mut Workers<'_>,
        book: &Book<'_>,
    ) -> Result<(), Failure> {
        let statement = measure.page(self.gate, batches.selection(), self.database.dialect);
        let mut size = walk::first_size(batches, &book.pace.settings);
        let mut turns = book.pace.turns();
        let (alone, mut fruitless) = (AtomicBool::new(false), 0);
        let worker = &mut workers.all[0];
        loop {
            walk::wait(std::slice::from_mut(worker), book, &mut turns, &alone).await?;
            let mut connection = self.database.database.connect_to_count().await?;
            let rows = connection.fetch(&statement).await?;
            connection.close().await;
            if rows.is_empty() {
                return Ok(());
            }
            let chosen: Vec<_> = rows.iter().collect();
            let stayed = outward::change(self.around, batches, worker, book, &chosen, &mut size, &mut turns).await?;
            fruitless = if stayed < rows.len() as u64 { 0 } else { fruitless + 1 };
            if fruitless == FRUITLESS {
                return Err(Failure::Restless { left: stayed });
            }
        }
    }
}

/// The tables of the rows that go, for the cleaning afterwards.
pub(super) fn tables(ready: &PreparedStep) -> impl Iterator<Item = &TableName> {
    let measures = ready.gate.iter().flat_map(|gate| &gate.measures);
    measures.flat_map(|measure| measure.work.dependents.iter().map(|dependent| &dependent.table))
}
