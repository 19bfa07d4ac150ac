//! How the job stands: what the last plan or run saw of each rule, and sums over all runs.
//!
//! Metrics, pages and `sunset status` are made of this, so that nobody counts rows only to look at them. A run adds
//! itself at its end and a plan its counts; the store keeps the whole as one document. It holds numbers, times and the
//! names of rules, databases and recipients; nothing of any row.

use crate::{
    evidence::Attestation,
    ledger::{self, AssertionResult, RuleResult},
    outcome::Outcome,
    plan::{Before, Starts},
    settings::StoreSettings,
    store::{self, Backlog, Pause, PersonRequest, RecipientCount, Store, StoredNotice},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};

/// So many runs are remembered.
const RUNS: usize = 20;

/// Bounds of [`Durations`], in milliseconds: batches aim at 50 ms by default, and a statement may take 30 s.
pub const BOUNDS: [u64; 12] = [5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000];

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Standing {
    /// When the sums began.
    pub since: Option<Timestamp>,
    pub rules: BTreeMap<String, RuleStanding>,
    pub recipients: BTreeMap<String, RecipientStanding>,
    pub assertions: BTreeMap<String, AssertionStanding>,
    /// How long batches took, by database.
    pub batches: BTreeMap<String, Durations>,
    /// Newest first.
    pub runs: Vec<RunStanding>,
    /// By rule, since when a server has known its schedule.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub schedules: BTreeMap<String, KnownSchedule>,
}

/// A schedule that a server has taken over: what comes after `since` and is missed has to be caught up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownSchedule {
    pub schedule: String,
    pub since: Timestamp,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RuleStanding {
    /// What was counted last; `None` when nobody could.
    pub counted: Option<Counted>,
    /// The last run that the rule took part in.
    pub last: Option<LastRun>,
    /// When the last run ended that went well for the rule.
    pub succeeded_at: Option<Timestamp>,
    /// When the last run began that came to an end about the rule, be it a bad one: what another try may mend does not
    /// count.
    pub served_at: Option<Timestamp>,
    /// Rows of the rule's own table, by disposition, over all runs.
    pub disposed: BTreeMap<String, u64>,
    /// Runs that did not end well, by result.
    pub failures: BTreeMap<RuleResult, u64>,
    /// Rows with and without a starting point after the last run that lost none of them, where they were counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub starts: Option<Starts>,
}

/// Rows of a rule, as they were counted last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    pub at: Timestamp,
    /// Past the retention period and still there; held ones are left out.
    pub due: u64,
    /// Of these, past the regular deletion period; `None` where the rule has none.
    pub overdue: Option<u64>,
    /// Due rows that a hold keeps.
    pub held: u64,
    /// Due rows that a guard rail keeps.
    pub refused: u64,
    /// Since when the row with the earliest starting point is overdue, if there is one and its time can be read.
    pub overdue_since: Option<Timestamp>,
}

/// How a rule fared in a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastRun {
    pub run: String,
    pub started_at: Timestamp,
    pub result: RuleResult,
    pub disposed: u64,
    /// Why it ended as it did, where that needs words.
    pub message: Option<String>,
}

/// How an assertion stood when a plan or run last looked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssertionStanding {
    pub at: Timestamp,
    pub result: AssertionResult,
    pub found: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RecipientStanding {
    /// Persons that it was asked about, by its answer, over all runs.
    pub calls: BTreeMap<String, u64>,
    /// By rule, what the last run left waiting for it.
    pub waiting: BTreeMap<String, Waiting>,
}

/// Rows that stay because of a recipient.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    pub rows: u64,
    /// Of those, past the rule's deadline.
    pub past_deadline: u64,
}

/// A run of the job, or several processes that made one run of it together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunStanding {
    /// Its id in the ledger; of several the first that ended.
    pub run: String,
    pub started_at: Timestamp,
    pub ended_at: Timestamp,
    pub outcome: Outcome,
    pub disposed: u64,
    /// How many rules took part.
    pub rules: u64,
    /// Why there is no report.
    pub message: Option<String>,
    /// Where the run was told that it belongs to one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<Group>,
}

/// Processes that share a night's work, on whatever machine, tries that failed among them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    pub name: String,
    /// Those that have ended, by their ids in the ledger.
    pub processes: BTreeMap<String, Process>,
    /// Rows that processes have committed which came to no report, or have not yet: by process and rule, as the ledger
    /// tells.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unreported: BTreeMap<String, BTreeMap<String, u64>>,
}

/// What one process of a group saw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    pub outcome: Outcome,
    /// By rule; empty where it came to no report.
    pub rules: BTreeMap<String, Share>,
}

/// One process's part in a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    pub outcome: Outcome,
    pub disposed: u64,
}

impl Group {
    /// What the group came to so far. A rule is as well as the best of them left it: each counts at its end what is
    /// still due, whoever did the rest, and who could not work at a rule because another one was has nothing to say of it.
    pub fn outcome(&self) -> Outcome {
        let mut best: BTreeMap<&str, Outcome> = BTreeMap::new();
        for (rule, share) in self.processes.values().flat_map(|process| &process.rules) {
            let known = best.entry(rule).or_insert(share.outcome);
            *known = (*known).min(share.outcome);
        }
        let worst = || self.processes.values().map(|process| process.outcome).max();
        best.into_values().max().or_else(worst).unwrap_or_default()
    }

    /// Rows that a rule disposed of, all processes together.
    pub fn disposed(&self) -> BTreeMap<&str, u64> {
        let mut sums = BTreeMap::new();
        let shares = self.processes.values().flat_map(|process| &process.rules);
        let reported = shares.map(|(rule, share)| (rule, share.disposed));
        let unreported = self.unreported.values().flatten().map(|(rule, rows)| (rule, *rows));
        for (rule, disposed) in reported.chain(unreported) {
            *sums.entry(rule.as_str()).or_default() += disposed;
        }
        sums
    }

    /// A run of the group, whatever became of it.
    pub fn has(&self, run: &str) -> bool {
        self.processes.contains_key(run) || self.unreported.contains_key(run)
    }

    /// The process came to a report.
    pub fn is_reported(&self, run: &str) -> bool {
        self.processes.get(run).is_some_and(|process| !process.rules.is_empty())
    }

    /// Takes in what another process of the group knows.
    fn join(&mut self, other: Self) {
        self.processes.extend(other.processes);
        self.unreported.extend(other.unreported);
        let reported: Vec<_> = self.unreported.keys().filter(|run| self.is_reported(run)).cloned().collect();
        for run in reported {
            self.unreported.remove(&run);
        }
    }
}

impl RunStanding {
    /// Takes in another process of the same group.
    fn join(&mut self, other: Self) {
        let (Some(group), Some(others)) = (&mut self.group, other.group) else { return };
        group.join(others);
        self.outcome = group.outcome();
        self.disposed = group.disposed().values().sum();
        self.started_at = self.started_at.min(other.started_at);
        self.ended_at = self.ended_at.max(other.ended_at);
        self.rules = self.rules.max(other.rules);
        self.message = other.message.filter(|_| self.outcome == other.outcome);
    }
}

/// How long things took: a histogram.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Durations {
    /// How many took up to each of the [`BOUNDS`] and longer than the one before; the last took longer than all.
    counts: [u64; BOUNDS.len() + 1],
    microseconds: u64,
}

impl Durations {
    pub fn add(&mut self, duration: Duration) {
        let fits = |bound: &u64| duration <= Duration::from_millis(*bound);
        let index = BOUNDS.iter().position(fits).unwrap_or(BOUNDS.len());
        self.counts[index] += 1;
        self.microseconds = self.microseconds.saturating_add(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX));
    }

    pub fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
        self.microseconds = self.microseconds.saturating_add(other.microseconds);
    }

    /// One for each of the [`BOUNDS`], and one for what took longer.
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// Of all together.
    pub fn total(&self) -> Duration {
        Duration::from_micros(self.microseconds)
    }
}

impl Standing {
    /// As the store has it; empty before the first plan or run.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn read(store: &mut Store) -> Result<Self, store::Error> {
        let Some(document) = store.standing().await? else { return Ok(Self::default()) };
        serde_json::from_str(&document)
            .map_err(|_| store::Error::Damaged("the standing of the job cannot be read".to_owned()))
    }

    /// What planning asks of earlier runs.
    pub fn before(&self) -> Before {
        let rules = || self.rules.iter();
        let disposed = |rule: &RuleStanding| rule.disposed.values().any(|rows| *rows > 0);
        Before {
            disposed: rules().filter(|(_, rule)| disposed(rule)).map(|(id, _)| id.clone()).collect(),
            starts: rules().filter_map(|(id, rule)| Some((id.clone(), rule.starts?))).collect(),
            ran: rules().filter(|(_, rule)| rule.last.is_some()).map(|(id, _)| id.clone()).collect(),
            ..Before::default()
        }
    }

    /// Adds a run, to its group where that is known.
    pub fn add_run(&mut self, mut run: RunStanding) {
        if let Some(group) = &run.group {
            run.disposed = group.disposed().values().sum();
        }
        let name = |run: &RunStanding| run.group.as_ref().map(|group| group.name.clone());
        let group = name(&run);
        match self.runs.iter_mut().find(|known| group.is_some() && name(known) == group) {
            Some(known) => known.join(run),
            None => self.runs.insert(0, run),
        }
    }

    /// A group, as far as its processes have ended.
    pub fn group(&self, name: &str) -> Option<&RunStanding> {
        self.runs.iter().find(|run| run.group.as_ref().is_some_and(|group| group.name == name))
    }

    /// Takes over the schedules that a server works by, in place of all others. Gives since when each has been known.
    pub fn take_schedules(
        &mut self,
        schedules: &BTreeMap<String, String>,
        now: Timestamp,
    ) -> BTreeMap<String, Timestamp> {
        let old = std::mem::take(&mut self.schedules);
        for (rule, schedule) in schedules {
            let known = old.get(rule).filter(|known| known.schedule == *schedule && known.since <= now);
            let new = || KnownSchedule { schedule: schedule.clone(), since: now };
            self.schedules.insert(rule.clone(), known.cloned().unwrap_or_else(new));
        }
        self.schedules.iter().map(|(rule, known)| (rule.clone(), known.since)).collect()
    }

    /// Changes what the store has; others who change it at the same time wait.
    ///
    /// # Errors
    /// The store cannot be read or written.
    pub async fn change(store: &mut Store, now: Timestamp, edit: impl FnOnce(&mut Self)) -> Result<(), store::Error> {
        store.begin().await?;
        let changed = async {
            let mut standing = Self::read(store).await?;
            edit(&mut standing);
            standing.since.get_or_insert(now);
            standing.runs.truncate(RUNS);
            let document = serde_json::to_string(&standing)
                .map_err(|_| store::Error::Failed("the standing of the job cannot be written".to_owned()))?;
            store.keep_standing(document).await
        };
        match changed.await {
            Ok(()) => store.commit().await,
            Err(error) => {
                // the first error tells more
                let _ = store.rollback().await;
                Err(error)
            }
        }
    }
}

/// Everything that the store tells about a job without reading its ledger.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    pub standing: Standing,
    pub ledger: LedgerHead,
    /// Persons by recipient and state.
    pub recipients: Vec<RecipientCount>,
    pub backlogs: Vec<Backlog>,
    /// Deletion notices, oldest first.
    pub notices: Vec<StoredNotice>,
    /// Batches of which nobody knows yet whether they were committed.
    pub open_intents: u64,
    /// Holds in force.
    pub holds: u64,
    /// What persons have asked for and nobody has closed.
    pub requests: Vec<PersonRequest>,
    /// What people have attested, by assertion.
    pub attestations: BTreeMap<String, Attestation>,
    /// The last pause of the job, where nobody has ended it; it may have ended by itself.
    pub pause: Option<Pause>,
}

/// Where the ledger ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LedgerHead {
    /// The number of the last entry; 0 before the first.
    pub sequence: u64,
    /// Its hash, in hexadecimal.
    pub hash: Option<String>,
    /// When it was written.
    pub at: Option<Timestamp>,
    /// Entries that the newest checkpoint covers.
    pub signed: u64,
}

impl Snapshot {
    /// What a store has that exists already.
    ///
    /// # Errors
    /// There is no store, or it cannot be read.
    pub async fn of(settings: &StoreSettings) -> Result<Self, store::Error> {
        let mut store = Store::open_existing(settings).await?;
        let snapshot = Self::read(&mut store).await;
        store.close().await?;
        snapshot
    }

    /// # Errors
    /// The store cannot be read.
    pub async fn read(store: &mut Store) -> Result<Self, store::Error> {
        let mut head = LedgerHead::default();
        if let Some((sequence, line)) = store.last_entry().await? {
            head.sequence = sequence;
            head.hash = Some(hex::encode(ledger::entry::hash(&line)));
            head.at = ledger::Entry::parse(&line).ok().map(|entry| entry.at);
        }
        head.signed = store.last_checkpoint().await?.map_or(0, |checkpoint| checkpoint.size);
        Ok(Self {
            standing: Standing::read(store).await?,
            ledger: head,
            recipients: store.recipient_counts().await?,
            backlogs: store.backlogs().await?,
            notices: store.notices().await?,
            open_intents: store.open_intents().await?.len() as u64,
            holds: store.holds_mark().await?.0,
            requests: store.open_requests().await?,
            attestations: store.attestations().await?,
            pause: store.last_pause().await?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_fall_into_their_bounds() {
        let mut durations = Durations::default();
        for milliseconds in [0, 5, 6, 30_000, 30_001] {
            durations.add(Duration::from_millis(milliseconds));
        }
        let mut twice = durations.clone();
        twice.merge(&durations);
        assert_eq!(durations.counts(), [2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1]);
        assert_eq!(twice.counts().iter().sum::<u64>(), 10);
        assert_eq!(twice.total(), Duration::from_millis(2 * 60_012));
    }

    fn of_a_group(run: &str, at: i64, rules: &[(&str, Outcome, u64)]) -> RunStanding {
        let share = |(rule, outcome, disposed): &(&str, Outcome, u64)| {
            ((*rule).to_owned(), Share { outcome: *outcome, disposed: *disposed })
        };
        let outcome = rules.iter().map(|rule| rule.1).max().unwrap_or(Outcome::Temporary);
        let process = Process { outcome, rules: rules.iter().map(share).collect() };
        RunStanding {
            run: run.to_owned(),
            started_at: Timestamp::from_second(at).unwrap(),
            ended_at: Timestamp::from_second(at + 10).unwrap(),
            outcome,
            disposed: rules.iter().map(|rule| rule.2).sum(),
            rules: rules.len() as u64,
            message: rules.is_empty().then(|| "the store did not answer".to_owned()),
            group: Some(Group {
                name: "night".to_owned(),
                processes: BTreeMap::from([(run.to_owned(), process)]),
                unreported: BTreeMap::new(),
            }),
        }
    }

    #[test]
    fn what_the_dead_have_committed_counts() {
        use Outcome::Done;
        let mut standing = Standing::default();
        let mut first = of_a_group("a", 100, &[("logs", Done, 5)]);
        let dead = BTreeMap::from([("logs".to_owned(), 3)]);
        let unreported = BTreeMap::from([("b".to_owned(), dead.clone()), ("c".to_owned(), dead)]);
        first.group.as_mut().unwrap().unreported = unreported;
        standing.add_run(first);
        let night = |standing: &Standing| standing.group("night").unwrap().clone();
        assert_eq!(night(&standing).disposed, 11);
        // one of them was only slow
        standing.add_run(of_a_group("c", 100, &[("logs", Done, 7)]));
        assert_eq!(night(&standing).disposed, 15);
        // and one came to no report
        standing.add_run(of_a_group("b", 100, &[]));
        assert_eq!(night(&standing).disposed, 15);
        assert_eq!(night(&standing).outcome, Done);
    }

    #[test]
    fn processes_of_a_group_are_one_run() {
        use Outcome::{Done, Failed, Temporary};
        let mut standing = Standing::default();
        standing.add_run(of_a_group("a", 100, &[]));
        assert_eq!(standing.group("night").unwrap().outcome, Temporary, "it is all that is known");
        standing.add_run(of_a_group("b", 90, &[("logs", Done, 5), ("customers", Temporary, 0)]));
        standing.add_run(RunStanding { group: None, ..of_a_group("x", 200, &[("logs", Failed, 1)]) });
        assert_eq!(standing.group("night").unwrap().outcome, Temporary, "nobody has done the customers yet");
        standing.add_run(of_a_group("c", 105, &[("logs", Done, 7), ("customers", Done, 3)]));
        let night = standing.group("night").unwrap();
        assert_eq!(standing.runs.len(), 2);
        assert_eq!((night.outcome, night.disposed, night.rules, night.message.as_deref()), (Done, 15, 2, None));
        assert_eq!((night.started_at.as_second(), night.ended_at.as_second()), (90, 115));
        let group = night.group.as_ref().unwrap();
        assert_eq!(group.disposed(), BTreeMap::from([("logs", 12), ("customers", 3)]));
        assert_eq!(group.processes.len(), 3);
        standing.add_run(of_a_group("d", 120, &[("logs", Done, 0), ("prizes", Failed, 0)]));
        assert_eq!(standing.group("night").unwrap().outcome, Failed);
        assert!(standing.group("day").is_none());
    }

    #[test]
    fn a_document_of_an_older_program_can_be_read() {
        let standing: Standing = serde_json::from_str(r#"{"rules": {"a": {"disposed": {"erase": 3}}}}"#).unwrap();
        assert_eq!(standing.rules["a"].disposed["erase"], 3);
        let text = serde_json::to_string(&standing).unwrap();
        assert_eq!(serde_json::from_str::<Standing>(&text).unwrap(), standing);
    }
}
