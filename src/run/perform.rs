//! One run of a job, from opening the ledger to the report: what `sunset run` and `sunset serve` have in common.

use super::{
    Progress, Recipients, RunReport, allowance::RunAllowance, execute, home_rows_in, note, note::Together, rehearsal,
    rehearsal::Stage, requests_in, restored, retentions,
};
use crate::{
    anchor::Anchors,
    catalog::TableName,
    database,
    diagnostic::{Diagnostic, summary},
    evidence::{
        Attestation,
        keys::{KeyError, Keys},
    },
    job::Job,
    ledger::{self, Clock, Ledger},
    outcome::{Outcome, Stop},
    plan::{self, Hold, HoldScope, Options, Plan, Prepared, Said, SubjectThen},
    present,
    rules::id_in_file,
    standing::Standing,
    store::{self, HoldTarget, Store},
};
use anyhow::Context as _;
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use tokio_util::sync::CancellationToken;

/// What is to be run, and when that is.
pub struct Request {
    /// Only these rules, and those that bear one of `tags`; all of them when both are empty.
    pub rules: Vec<String>,
    pub tags: Vec<String>,
    /// What the processes call themselves that share a night's work with this one.
    pub group: Option<String>,
    /// Look also whether the assertions hold.
    pub assertions: bool,
    /// Only what this person's request asks for.
    pub person: Option<u64>,
    /// Exactly this plan, and no more of it.
    pub reviewed: Option<Plan>,
    /// What the run takes for the present time.
    pub now: Timestamp,
    /// Where the ledger's entries take their time from.
    pub clock: Clock,
    /// Nothing is changed.
    pub rehearsal: bool,
}

/// What planning a run asks the job's store about.
#[derive(Default)]
pub(super) struct Known {
    holds: Vec<Hold>,
    attested: BTreeMap<String, Attestation>,
    passed: BTreeMap<String, plan::Passed>,
    pub before: plan::Before,
    requests: Vec<plan::Request>,
}

impl Known {
    pub async fn read(store: &mut Store, keys: &Keys) -> anyhow::Result<Self> {
        let passed = store.passed_gates().await?;
        let passed = passed.into_iter().map(|(rule, (terms, at))| (rule, plan::Passed { terms, at })).collect();
        let (mut holds, attested) = (holds_in(store).await?, store.attestations().await?);
        let requests = requests_in(store, &keys.tag).await?;
        holds.extend(home_rows_in(store, &keys.tag).await?);
        // before databases are asked where they stand: another run may note a later place meanwhile
        let positions = ledger::positions::read(store).await?;
        let before = plan::Before { positions, ..Standing::read(store).await?.before() };
        Ok(Self { holds, attested, passed, before, requests })
    }
}

/// What came of it.
pub enum Performed {
    Report(Box<RunReport>),
    /// The rules do not fit the live schemas: nothing was touched.
    Invalid(Vec<Diagnostic>),
}

/// Runs what is asked for, and notes in the store how the job stands then, whatever the end.
///
/// # Errors
/// The ledger, the store or all databases cannot be used; a guard rail refuses the whole run; or keys are missing.
/// [`outcome_of`] tells what that means.
pub async fn perform(
    job: &Job,
    request: Request,
    stop: &CancellationToken,
    progress: &dyn Progress,
) -> anyhow::Result<Performed> {
    if request.rehearsal {
        tracing::warn!("a rehearsal: nothing is changed");
        let stage = Stage::set(job).await?;
        return perform_at(&stage.job, request, Some(&stage.known), stop, progress).await;
    }
    check_present(job, request.now)?;
    perform_at(job, request, None, stop, progress).await
}

/// `known` is what the job's store knows, where that is not the one that is written to.
async fn perform_at(
    job: &Job,
    request: Request,
    known: Option<&Known>,
    stop: &CancellationToken,
    progress: &dyn Progress,
) -> anyhow::Result<Performed> {
    let keys = Keys::parse(&job.settings.keys)?;
    let store = Store::open(&job.settings.store).await?;
    let clock = request.clock.clone();
    let mut ledger = Ledger::open(store, keys, &job.settings.name, clock.clone()).await?;
    let started_at = clock();
    let rules = request.rules.len();
    let group = request.group.clone();
    // whatever goes wrong from here on is noted in the store
    let mut performed = async {
        // a rehearsal's ledger is thrown away
        let anchors = if request.rehearsal { Anchors::none() } else { Anchors::open(&job.settings)? };
        anchors.compare(&mut ledger).await?;
        perform_on(job, request, known, &mut ledger, &anchors, stop, progress).await
    }
    .await;
    let times = note::Times { started_at, ended_at: clock() };
    let run = ledger.run().to_owned();
    let mut store = ledger.into_store();
    let together = match group {
        Some(name) => {
            let own = matches!(performed, Ok((Performed::Report(_), _))).then_some(run.as_str());
            match Together::of(&mut store, name, own).await {
                Ok(together) => Some(together),
                Err(error) => {
                    tracing::warn!(reason = %error, "the run is done, but cannot be shown with its group");
                    None
                }
            }
        }
        None => None,
    };
    let noted = match &mut performed {
        Ok((Performed::Report(report), Some(prepared))) => {
            note::run(&mut store, &job.settings, &prepared.steps, report, together, times).await
        }
        Ok((Performed::Report(_), None)) => Ok(()),
        Ok((Performed::Invalid(found), _)) => {
            note::failure(&mut store, &run, together, rules, Outcome::Invalid, summary(found), times).await
        }
        Err(error) => {
            let (outcome, message) = (outcome_of(error), format!("{error:#}"));
            note::failure(&mut store, &run, together, rules, outcome, message, times).await
        }
    };
    if let Err(error) = noted {
        tracing::warn!(reason = %error, "the run is done, but metrics and pages cannot show it");
    }
    let closed = store.close().await;
    let (performed, _) = performed?;
    closed?;
    Ok(performed)
}

async fn perform_on(
    job: &Job,
    request: Request,
    known: Option<&Known>,
    ledger: &mut Ledger,
    anchors: &Anchors,
    stop: &CancellationToken,
    progress: &dyn Progress,
) -> anyhow::Result<(Performed, Option<Prepared>)> {
    let Request { rules, tags, group, assertions, person, reviewed, now, rehearsal, .. } = request;
    let own;
    let known = match known {
        Some(known) => known,
        None => {
            own = Known::read(ledger.store(), &Keys::parse(&job.settings.keys)?).await?;
            &own
        }
    };
    let keys = Keys::parse(&job.settings.keys)?;
    let said = match assertions {
        true => {
            // a rehearsal asks nobody
            let retentions = if rehearsal { None } else { Some(retentions(job, &keys).await) };
            Some(Said { attested: known.attested.clone(), retentions })
        }
        false => None,
    };
    let pseudonym_key = keys.pseudonym.as_ref().map(|key| key.secret().to_vec());
    let rules = match &reviewed {
        Some(plan) => {
            let in_files: BTreeSet<_> = plan.steps.iter().map(|step| id_in_file(&step.rule).to_owned()).collect();
            in_files.into_iter().collect()
        }
        None => rules,
    };
    let takes_home_rows = reviewed.as_ref().map(|plan| plan.takes_home_rows);
    let steps = reviewed.iter().flat_map(|plan| &plan.steps);
    let walks = steps.map(|step| (step.rule.clone(), step.access.walk.clone())).collect();
    let passed = known.passed.clone();
    let before = Some(plan::Before { reviewed: reviewed.is_some(), ..known.before.clone() });
    let was_reviewed = |request: &plan::Request| {
        let planned = reviewed.iter().flat_map(|plan| &plan.requests).any(|planned| planned.request == request.id);
        reviewed.is_none() || planned
    };
    let is_asked = |request: &&plan::Request| person.is_none_or(|id| request.id == id) && was_reviewed(request);
    let requests: Vec<_> = known.requests.iter().filter(is_asked).cloned().collect();
    let on_request_only = person.is_some();
    let options = Options {
        rules,
        tags,
        walks,
        pseudonym_key,
        said,
        passed,
        before,
        requests,
        on_request_only,
        takes_home_rows,
        ..Options::default()
    };
    // Planning only reads, so it may be given up at any moment.
    let prepared = tokio::select! {
        prepared = plan::prepare(job, &known.holds, now, &options) => prepared?,
        () = stop.cancelled() => return Err(Stop::temporary("asked to stop before anything was begun; the next run does it")),
    };
    let mut prepared = match prepared {
        Ok(prepared) => prepared,
        Err(found) => return Ok((Performed::Invalid(found), None)),
    };
    restored::guard(&mut prepared, &known.before.positions, ledger).await?;
    check_clocks(job, &mut prepared).await?;
    if let Some(reviewed) = &reviewed {
        compare(reviewed, &prepared.plan)?;
    }
    let notes = match rehearsal {
        true => {
            prepared.holds = ledger.store().holds_mark().await?;
            Some(rehearsal::rehearse(&mut prepared))
        }
        false => None,
    };
    let recipients =
        Recipients::open(&job.settings, &keys, &prepared).map_err(|error| Stop::invalid(error.to_string()))?;
    let allowance = RunAllowance::new(job.settings.limits, reviewed.as_ref(), group.clone());
    let mut report = execute(job, &prepared, group, allowance, rehearsal, &recipients, ledger, stop, progress).await?;
    if notes.is_some() {
        // it vouches for a ledger that is thrown away
        report.checkpoint.clear();
        // nothing has gone whose bytes could be left
        report.traces.clear();
    }
    report.rehearsal = notes;
    report.anchored = anchors.send_newest(ledger).await?;
    let sent = report.anchored.iter().map(|sent| sent.outcome).max().unwrap_or_default();
    report.outcome = report.outcome.max(sent);
    Ok((Performed::Report(Box::new(report)), Some(prepared)))
}

/// What would be executed must be what was reviewed, and no more of it.
fn compare(reviewed: &Plan, fresh: &Plan) -> anyhow::Result<()> {
    for step in &fresh.steps {
        let known = reviewed.steps.iter().find(|other| other.rule == step.rule).map(|other| &other.schema);
        if known.is_some_and(|known| !known.is_empty() && *known != step.schema) {
            return Err(Stop::refused(format!(
                "the schema that rule `{}` relies on is not the one that was reviewed (a foreign key, a trigger, a rewrite \
                 rule, a primary key or row security of its tables changed since); make a new plan and review it",
                step.rule
            )));
        }
    }
    if reviewed.work_digest != fresh.work_digest {
        let differing: Vec<_> = reviewed
            .steps
            .iter()
            .filter(|step| {
                fresh.steps.iter().find(|other| other.rule == step.rule).is_none_or(|other| {
                    other.statements != step.statements || other.holds != step.holds || other.limits != step.limits
                })
            })
            .map(|step| step.rule.as_str())
            .collect();
        let what = match differing.as_slice() {
            [] => "settings or rule files".to_owned(),
            rules => format!("rules {}", rules.join(", ")),
        };
        return Err(Stop::refused(format!(
            "what would run is not what was reviewed: {what} changed since; make a new plan and review it"
        )));
    }
    for step in &fresh.steps {
        let whole = |step: &plan::Step| -> BTreeSet<String> {
            let planned = step.partitions.iter().flat_map(|planned| &planned.whole);
            planned.map(|partition| partition.name.clone()).collect()
        };
        let known = reviewed.steps.iter().find(|other| other.rule == step.rule).map(whole).unwrap_or_default();
        if let Some(partition) = whole(step).difference(&known).next() {
            return Err(Stop::refused(format!(
                "rule `{}` would remove partition {partition} as a whole, which was not reviewed; make a new plan and \
                 review it",
                step.rule
            )));
        }
    }
    for step in &reviewed.steps {
        let now = fresh.steps.iter().find(|other| other.rule == step.rule).map_or(0, |other| other.counts.disposable());
        if now > step.counts.disposable() {
            return Err(Stop::refused(format!(
                "rule `{}` would dispose of {now} rows, {} were reviewed; make a new plan and review it",
                step.rule,
                step.counts.disposable()
            )));
        }
    }
    Ok(())
}

/// Rows that fall due in the future stay until then, whatever day somebody gives.
///
/// # Errors
/// `now` lies further in the future than clocks may differ.
pub fn check_present(job: &Job, now: Timestamp) -> anyhow::Result<()> {
    let (present, most) = (present::now(), most_skew(job)?);
    if now.duration_since(present) <= most {
        return Ok(());
    }
    Err(Stop::refused(format!(
        "{now} lies in the future, it is {present:.0}: a run takes no future time for the present; `sunset plan --now` shows \
         what would be due then, and `sunset run --rehearsal` what a run would do"
    )))
}

fn most_skew(job: &Job) -> anyhow::Result<SignedDuration> {
    SignedDuration::try_from(job.settings.pace.max_clock_skew).context("max_clock_skew is too long")
}

/// A clock that is wrong deletes too early or too late.
async fn check_clocks(job: &Job, prepared: &mut Prepared) -> anyhow::Result<()> {
    let most = most_skew(job)?;
    for (name, open) in &mut prepared.databases {
        let theirs = open.database.clock(open.connection.as_mut()).await?;
        let skew = theirs.duration_since(Timestamp::now()).abs();
        if skew > most {
            return Err(Stop::refused(format!(
                "the clock of database {name} differs from this machine's by {} s, max_clock_skew allows {} s: \
                 set the wrong one right",
                skew.as_secs(),
                most.as_secs()
            )));
        }
    }
    Ok(())
}

/// The holds in force in an open store.
///
/// # Errors
/// The store cannot be read.
pub async fn holds_in(store: &mut Store) -> Result<Vec<Hold>, store::Error> {
    Ok(store.holds().await?.into_iter().filter_map(planned_hold).collect())
}

/// A stored hold as planning knows it; `None` once it is released.
pub fn planned_hold(stored: store::Hold) -> Option<Hold> {
    let mut parts = stored.table.splitn(3, '.');
    let (database, schema, name) = (parts.next()?, parts.next()?, parts.next()?);
    Some(Hold {
        id: stored.id,
        database: database.to_owned(),
        table: TableName { schema: schema.to_owned(), name: name.to_owned() },
        scope: match stored.target? {
            HoldTarget::Key(key) => HoldScope::Key(key),
            HoldTarget::Condition(condition) => HoldScope::Condition(condition),
            HoldTarget::Person { subject, key, links, not_theirs } => {
                HoldScope::Person { subject, key, then: Some(SubjectThen { links, not_theirs }) }
            }
        },
        matter: stored.matter,
        only_row: stored.only_row,
        binding: stored.binding,
    })
}

/// What an error means, by the first cause that knows.
pub fn outcome_of(error: &anyhow::Error) -> Outcome {
    error
        .chain()
        .find_map(|cause| {
            let stop = cause.downcast_ref::<Stop>().map(|stop| stop.outcome);
            let database = || cause.downcast_ref::<database::Error>().map(|error| error.kind.outcome());
            let ledger = || cause.downcast_ref::<ledger::Error>().map(ledger::Error::outcome);
            let store = || cause.downcast_ref::<store::Error>().map(store::Error::outcome);
            let key = || cause.downcast_ref::<KeyError>().map(|_| Outcome::Invalid);
            let file = || {
                use std::io::ErrorKind::{AlreadyExists, InvalidData, NotFound, PermissionDenied};
                let kind = cause.downcast_ref::<std::io::Error>()?.kind();
                matches!(kind, AlreadyExists | InvalidData | NotFound | PermissionDenied).then_some(Outcome::Invalid)
            };
            stop.or_else(database).or_else(ledger).or_else(store).or_else(key).or_else(file)
        })
        .unwrap_or(Outcome::Unexpected)
}
