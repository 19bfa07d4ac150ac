//! How a job stands, as metrics: for Prometheus, its Pushgateway and text files, and for OTLP.
//!
//! Every number comes from the store, so a run of seconds gives the same as a server, and counters go on where the run
//! before ended. Labels are names of the job's own rules, databases and recipients, and words of this program.

mod otlp;

pub use otlp::otlp;

use crate::{
    clock,
    job::Job,
    ledger::{AssertionResult, RuleResult},
    plan::last_day,
    rules::{Check, RequestKind},
    standing::{BOUNDS, Durations, RuleStanding, Snapshot},
};
use jiff::{Timestamp, civil::Date};
use std::{collections::BTreeMap, fmt::Write as _};

/// The media type of [`prometheus`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Metrics of one name.
#[derive(Clone, Debug)]
pub struct Family {
    pub name: &'static str,
    pub help: &'static str,
    pub kind: Kind,
    pub samples: Vec<Sample>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

#[derive(Clone, Debug)]
pub struct Sample {
    pub labels: Vec<(&'static str, String)>,
    pub value: Value,
}

#[derive(Clone, Debug)]
pub enum Value {
    Whole(u64),
    Seconds(f64),
    Durations(Durations),
}

impl Family {
    pub fn new(name: &'static str, kind: Kind, help: &'static str) -> Self {
        Self { name, help, kind, samples: Vec::new() }
    }

    /// Adds a sample.
    #[must_use]
    pub fn with<const N: usize>(mut self, labels: [(&'static str, &str); N], value: Value) -> Self {
        let labels = labels.into_iter().map(|(name, value)| (name, value.to_owned())).collect();
        self.samples.push(Sample { labels, value });
        self
    }

    /// Adds a sample where there is a value.
    #[must_use]
    pub fn with_some<const N: usize>(self, labels: [(&'static str, &str); N], value: Option<Value>) -> Self {
        match value {
            Some(value) => self.with(labels, value),
            None => self,
        }
    }
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Whole(value)
    }
}

impl From<Timestamp> for Value {
    #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 are far below 2^53")]
    fn from(value: Timestamp) -> Self {
        Self::Seconds(value.as_millisecond() as f64 / 1000.0)
    }
}

/// All metrics of a job. Rules, databases and recipients that it no longer names are left out.
pub fn families(job: &Job, snapshot: &Snapshot, now: Timestamp) -> Vec<Family> {
    let mut families = rules(job, snapshot, now);
    families.extend(recipients(job, snapshot));
    families.extend(assertions(job, snapshot, now));
    families.extend(requests(job, snapshot, now));
    families.extend(runs(job, snapshot, now));
    families
}

/// What persons have asked for; nothing of a job without subjects.
fn requests(job: &Job, snapshot: &Snapshot, now: Timestamp) -> Vec<Family> {
    if job.settings.subjects.is_empty() {
        return Vec::new();
    }
    let today = clock::today(now, &job.settings.time_zone);
    let mut open = Family::new(
        "sunset_person_requests_open",
        Kind::Gauge,
        "Requests of persons that nobody has closed, by what they ask for.",
    );
    let mut overdue =
        Family::new("sunset_person_requests_overdue", Kind::Gauge, "Of these, requests that are past their deadline.");
    for kind in [RequestKind::Erasure, RequestKind::Cease, RequestKind::Disclosure, RequestKind::Correction] {
        let own = || snapshot.requests.iter().filter(|request| request.kind == kind);
        open = open.with([("kind", kind.word())], (own().count() as u64).into());
        overdue = overdue.with([("kind", kind.word())], (own().filter(|own| own.due < today).count() as u64).into());
    }
    vec![open, overdue]
}

fn rules(job: &Job, snapshot: &Snapshot, now: Timestamp) -> Vec<Family> {
    use Kind::{Counter, Gauge};
    let none = RuleStanding::default();
    let rules: Vec<_> = job
        .rules()
        .map(|rule| (rule.id.as_str(), rule, snapshot.standing.rules.get(&rule.id).unwrap_or(&none)))
        .collect();
    let gauge = |name, help, value: &dyn Fn(&RuleStanding) -> Option<Value>| {
        let family = Family::new(name, Gauge, help);
        rules.iter().fold(family, |family, (id, _, standing)| family.with_some([("rule", *id)], value(standing)))
    };
    let counted = |name, help, value: fn(&crate::standing::Counted) -> Option<u64>| {
        gauge(name, help, &|standing| Some(value(standing.counted.as_ref()?)?.into()))
    };
    let mut families = vec![
        counted(
            "sunset_rule_due_rows",
            "Rows past the retention period that are still there, held ones left out, when a plan or run last counted.",
            |counted| Some(counted.due),
        ),
        counted(
            "sunset_rule_overdue_rows",
            "Of the due rows, those past the regular deletion period. Rules without such a period have none.",
            |counted| counted.overdue,
        ),
        gauge(
            "sunset_rule_oldest_overdue_seconds",
            "How long the row with the earliest starting point is overdue; 0 when no row is.",
            &|standing| {
                let counted = standing.counted?;
                match (counted.overdue?, counted.overdue_since) {
                    (0, _) => Some(Value::Seconds(0.0)),
                    (_, since) => Some(Value::Seconds(now.duration_since(since?).as_secs_f64().max(0.0))),
                }
            },
        ),
        counted("sunset_rule_held_rows", "Due rows that a hold keeps.", |counted| Some(counted.held)),
        counted("sunset_rule_refused_rows", "Due rows that a guard rail keeps.", |counted| Some(counted.refused)),
        gauge(
            "sunset_rule_counted_timestamp_seconds",
            "When the rule's rows were last counted, as seconds since 1970.",
            &|standing| Some(standing.counted?.at.into()),
        ),
        gauge(
            "sunset_last_success_timestamp_seconds",
            "When a run last ended well for the rule, as seconds since 1970.",
            &|standing| Some(standing.succeeded_at?.into()),
        ),
    ];
    let mut disposed =
        Family::new("sunset_rows_disposed_total", Counter, "Rows of the rules' own tables, disposed of.");
    let mut failures = Family::new(
        "sunset_rule_failures_total",
        Counter,
        "Runs that did not end well for the rule: refused by a guard rail, failed, or temporary (the next try may help).",
    );
    for (id, rule, standing) in &rules {
        let mut rows = BTreeMap::from([(rule.disposition.to_string(), 0)]);
        rows.extend(standing.disposed.clone());
        for (disposition, rows) in rows {
            disposed = disposed.with([("rule", *id), ("disposition", &disposition)], rows.into());
        }
        for result in [RuleResult::Failed, RuleResult::Refused, RuleResult::Temporary] {
            let runs = standing.failures.get(&result).copied().unwrap_or(0);
            failures = failures.with([("rule", *id), ("result", word(result))], runs.into());
        }
    }
    families.extend([disposed, failures]);
    families
}

fn recipients(job: &Job, snapshot: &Snapshot) -> Vec<Family> {
    use Kind::{Counter, Gauge};
    let mut calls = Family::new(
        "sunset_recipient_calls_total",
        Counter,
        "Persons that the recipient was asked about, by its answer; who is asked about again counts again.",
    );
    let mut pending = Family::new(
        "sunset_recipient_pending",
        Gauge,
        "Persons whose deletion the recipient has accepted and not yet finished.",
    );
    let mut waiting = Family::new(
        "sunset_recipient_waiting_rows",
        Gauge,
        "Due rows that stay because of the recipient, when a run last looked.",
    );
    let mut late = Family::new(
        "sunset_recipient_past_deadline",
        Gauge,
        "Of the rows that stay because of the recipient, those past their rule's deadline for it.",
    );
    for name in job.settings.recipients.keys() {
        let standing = snapshot.standing.recipients.get(name);
        for outcome in ["confirmed", "gone", "accepted", "not_possible", "refused", "unreachable"] {
            let persons = standing.and_then(|standing| standing.calls.get(outcome)).copied().unwrap_or(0);
            calls = calls.with([("recipient", name), ("outcome", outcome)], persons.into());
        }
        let backlog = snapshot.backlogs.iter().find(|backlog| backlog.recipient == *name);
        pending = pending.with([("recipient", name)], backlog.map_or(0, |backlog| backlog.pending).into());
        let of_rules = |rows: fn(&crate::standing::Waiting) -> u64| {
            let waiting = |id: &str| standing?.waiting.get(id).map(rows);
            job.rules().filter_map(|rule| waiting(&rule.id)).sum::<u64>()
        };
        waiting = waiting.with([("recipient", name)], of_rules(|waiting| waiting.rows).into());
        late = late.with([("recipient", name)], of_rules(|waiting| waiting.past_deadline).into());
    }
    vec![calls, pending, waiting, late]
}

fn assertions(job: &Job, snapshot: &Snapshot, now: Timestamp) -> Vec<Family> {
    let mut holds = Family::new(
        "sunset_assertion_holds",
        Kind::Gauge,
        "Whether the assertion held when a plan or run last looked, or is attested: 1 or 0.",
    );
    let mut checked = Family::new(
        "sunset_assertion_checked_timestamp_seconds",
        Kind::Gauge,
        "When a plan or run last looked, as seconds since 1970.",
    );
    let mut ends = Family::new(
        "sunset_attestation_end_timestamp_seconds",
        Kind::Gauge,
        "When the attestation of an assertion ends, as seconds since 1970.",
    );
    let zone = &job.settings.time_zone;
    for assertion in job.assertions() {
        let (id, standing) = ([("assertion", assertion.id.as_str())], snapshot.standing.assertions.get(&assertion.id));
        let held = standing.map(|standing| standing.result == AssertionResult::Holds);
        let held = match assertion.check {
            Check::AttestedEvery(every) => {
                let last = snapshot.attestations.get(&assertion.id).map(|said| last_day(said, every));
                let end = last.map(|last| clock::start_of_day(last.tomorrow().unwrap_or(Date::MAX), zone));
                ends = ends.with_some(id, end.map(Value::from));
                Some(end.is_some_and(|end| now < end))
            }
            Check::NoRows(_) | Check::NoCardNumbers(_) | Check::RetentionAt(_) => held,
        };
        holds = holds.with_some(id, held.map(|held| u64::from(held).into()));
        checked = checked.with_some(id, standing.map(|standing| standing.at.into()));
    }
    vec![holds, checked, ends]
}

fn runs(job: &Job, snapshot: &Snapshot, now: Timestamp) -> Vec<Family> {
    use Kind::{Gauge, Histogram};
    let mut batches = Family::new(
        "sunset_batch_duration_seconds",
        Histogram,
        "How long batches took, from their first lock to the commit.",
    );
    for database in job.settings.databases.keys() {
        let durations = snapshot.standing.batches.get(database).cloned().unwrap_or_default();
        batches = batches.with([("database", database)], Value::Durations(durations));
    }
    let last = snapshot.standing.runs.first();
    let gauge = |name, help, value: Option<Value>| Family::new(name, Gauge, help).with_some([], value);
    vec![
        gauge(
            "sunset_run_duration_seconds",
            "How long the last run took.",
            last.map(|run| Value::Seconds(run.ended_at.duration_since(run.started_at).as_secs_f64().max(0.0))),
        ),
        batches,
        gauge(
            "sunset_last_run_timestamp_seconds",
            "When the last run ended, however it did, as seconds since 1970.",
            last.map(|run| run.ended_at.into()),
        ),
        gauge(
            "sunset_last_run_exit_code",
            "What the last run ended with: 0 done, 1 unexpected, 2 rules or settings wrong, 3 refused, 4 rules failed, 75 \
             temporary.",
            last.map(|run| u64::from(run.outcome.code()).into()),
        ),
        gauge(
            "sunset_paused",
            "Whether somebody has paused the job: 1 or 0.",
            Some(u64::from(snapshot.pause.as_ref().is_some_and(|pause| pause.is_in_force(now))).into()),
        ),
        gauge(
            "sunset_ledger_head_sequence",
            "The number of the ledger's last entry.",
            Some(snapshot.ledger.sequence.into()),
        ),
        Family::new("sunset_build_info", Gauge, "The program's version; always 1.")
            .with([("version", env!("CARGO_PKG_VERSION"))], 1.into()),
    ]
}

fn word(result: RuleResult) -> &'static str {
    match result {
        RuleResult::Done => "done",
        RuleResult::NothingDue => "nothing_due",
        RuleResult::ExplainedRest => "explained_rest",
        RuleResult::Refused => "refused",
        RuleResult::Failed => "failed",
        RuleResult::Temporary => "temporary",
        RuleResult::Backlog => "backlog",
    }
}

/// Prometheus' text format, version 0.0.4. Families without samples are left out.
pub fn prometheus(families: &[Family]) -> String {
    let mut out = String::new();
    for Family { name, help, kind, samples } in families.iter().filter(|family| !family.samples.is_empty()) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for sample in samples {
            match &sample.value {
                Value::Whole(value) => line(&mut out, name, &sample.labels, None, value),
                Value::Seconds(value) => line(&mut out, name, &sample.labels, None, value),
                Value::Durations(durations) => histogram(&mut out, name, &sample.labels, durations),
            }
        }
    }
    out
}

fn histogram(out: &mut String, name: &str, labels: &[(&'static str, String)], durations: &Durations) {
    let bounds = BOUNDS.iter().map(|bound| seconds(*bound).to_string()).chain(["+Inf".to_owned()]);
    let mut sum = 0;
    let bucket = format!("{name}_bucket");
    for (bound, count) in bounds.zip(durations.counts()) {
        sum += count;
        line(out, &bucket, labels, Some(bound), &sum);
    }
    line(out, &format!("{name}_sum"), labels, None, &durations.total().as_secs_f64());
    line(out, &format!("{name}_count"), labels, None, &sum);
}

fn line(
    out: &mut String,
    name: &str,
    labels: &[(&'static str, String)],
    bound: Option<String>,
    value: &dyn std::fmt::Display,
) {
    let escaped = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let all = labels.iter().map(|(name, value)| (*name, value.as_str())).chain(bound.as_deref().map(|b| ("le", b)));
    let all: Vec<_> = all.map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
    let all = if all.is_empty() { String::new() } else { format!("{{{}}}", all.join(",")) };
    let _ = writeln!(out, "{name}{all} {value}");
}

#[expect(clippy::cast_precision_loss, reason = "a handful of small numbers")]
fn seconds(milliseconds: u64) -> f64 {
    milliseconds as f64 / 1000.0
}
