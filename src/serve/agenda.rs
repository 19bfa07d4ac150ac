//! Which rules are to run when: pure, with the present time as an argument.
//!
//! Rules whose time comes together run together, so that their order by foreign keys holds. Several times that passed
//! meanwhile count as one. A time that passed while the rule was still running is skipped; one that passed while nobody
//! was there is caught up, but only for so long and only while its run window is open; and what failed for a reason that may pass is tried again within the
//! same time.

use crate::{
    clock::window::{Standing, Window},
    language::schedule::{self, Schedule},
    settings::{ServeSettings, Settings},
};
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// How late a rule may begin without being caught up: whoever waits for a moment does not hit it.
const PUNCTUAL: SignedDuration = SignedDuration::from_secs(10);

/// The pause before the first further try; each one after it is twice as long.
const PAUSE: SignedDuration = SignedDuration::from_mins(1);

/// When each rule comes next, and what has been dealt with.
#[derive(Debug)]
pub struct Agenda {
    zone: TimeZone,
    /// How long after its time a rule may begin.
    catch_up: SignedDuration,
    /// So long after the schedule's moment everything begins.
    delay: SignedDuration,
    turns: BTreeMap<String, Turn>,
}

#[derive(Debug)]
struct Turn {
    text: String,
    schedule: Schedule,
    /// Every moment up to here has been dealt with, or came before anybody knew the rule.
    dealt: Timestamp,
    again: Option<Again>,
    /// Batches begin in these hours alone.
    window: Option<Window>,
}

/// A rule as far as its schedule is concerned.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    pub rule: &'a str,
    /// Its own; the job's counts where it has none.
    pub schedule: Option<&'a str>,
    /// When its batches may begin.
    pub window: Option<Window>,
}

/// A further try.
#[derive(Clone, Copy, Debug)]
struct Again {
    at: Timestamp,
    scheduled: Timestamp,
    attempt: u32,
}

/// A rule that is to begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    pub rule: String,
    /// When it should.
    pub scheduled: Timestamp,
    /// 0 for the first try.
    pub attempt: u32,
}

/// A rule that does not begin although its time has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skip {
    pub rule: String,
    pub scheduled: Timestamp,
    pub why: Why,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// Its run before is still going.
    Running,
    /// It is too late to catch it up.
    Missed,
    /// It is late, and no batch may begin at this hour.
    Closed,
}

impl Why {
    /// The word for log and metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Missed => "missed",
            Self::Closed => "closed",
        }
    }
}

/// What [`Agenda::take`] found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Taken {
    pub start: Vec<Start>,
    pub skip: Vec<Skip>,
}

impl Agenda {
    /// Of rules and their schedules. `dealt` is until when all is dealt with: a run about the rule began then that came to an
    /// end, or, as long as there is none, a server took over its schedule. What came after it and before `now` may have to be
    /// caught up. A rule of which nobody knows anything has missed nothing.
    pub fn new<'a>(
        settings: &Settings,
        rules: impl IntoIterator<Item = Entry<'a>>,
        dealt: &BTreeMap<String, Timestamp>,
        now: Timestamp,
    ) -> Self {
        let ServeSettings { catch_up, jitter } = settings.serve;
        let mut agenda = Self {
            zone: settings.time_zone.clone(),
            catch_up: SignedDuration::try_from(catch_up).unwrap_or(SignedDuration::MAX).max(PUNCTUAL),
            delay: delay(&settings.name, jitter),
            turns: BTreeMap::new(),
        };
        for Entry { rule, schedule, window } in rules {
            // checked when the rules were read
            let Some(text) = schedule.or(settings.schedule.as_deref()) else { continue };
            let Ok(schedule) = schedule::parse(text) else { continue };
            let dealt = dealt.get(rule).copied().filter(|dealt| *dealt <= now).unwrap_or(now);
            let turn = Turn { text: text.to_owned(), schedule, dealt, again: None, window };
            agenda.turns.insert(rule.to_owned(), turn);
        }
        agenda
    }

    /// Takes over changed rules: those whose schedule is as it was lose nothing, the others begin anew.
    pub fn replace(&mut self, new: Self) {
        let old = std::mem::replace(self, new);
        let same = (&old.zone, old.delay) == (&self.zone, self.delay);
        for (rule, turn) in old.turns {
            if let Some(known) = self.turns.get_mut(&rule)
                && same
                && known.text == turn.text
            {
                *known = Turn { window: known.window, ..turn };
            }
        }
    }

    /// When somebody should look again.
    pub fn next(&self) -> Option<Timestamp> {
        self.turns.values().filter_map(|turn| self.next_of_turn(turn)).min()
    }

    /// When the rule comes next; `None` where it has no schedule.
    pub fn next_of(&self, rule: &str) -> Option<Timestamp> {
        self.next_of_turn(self.turns.get(rule)?)
    }

    /// All rules that have a schedule, with its text.
    pub fn schedules(&self) -> BTreeMap<String, String> {
        self.turns.iter().map(|(rule, turn)| (rule.clone(), turn.text.clone())).collect()
    }

    /// The rule's schedule.
    pub fn schedule_of(&self, rule: &str) -> Option<&str> {
        self.turns.get(rule).map(|turn| turn.text.as_str())
    }

    fn next_of_turn(&self, turn: &Turn) -> Option<Timestamp> {
        let next = turn.schedule.next(turn.dealt.checked_sub(self.delay).ok()?, &self.zone);
        let next = next.and_then(|next| next.checked_add(self.delay).ok());
        turn.again.map(|again| again.at).into_iter().chain(next).min()
    }

    /// Others served these rules too: what came before is dealt with.
    pub fn note_served(&mut self, served: &BTreeMap<String, Timestamp>, now: Timestamp) {
        for (rule, at) in served.iter().filter(|(_, at)| **at <= now) {
            if let Some(turn) = self.turns.get_mut(rule) {
                turn.dealt = turn.dealt.max(*at);
                turn.again = turn.again.filter(|again| again.scheduled > *at);
            }
        }
    }

    /// Takes everything whose time has come, `running` rules left out: each moment once.
    pub fn take(&mut self, now: Timestamp, running: &BTreeSet<String>) -> Taken {
        let mut taken = Taken::default();
        for (rule, turn) in &mut self.turns {
            let found = now.checked_sub(self.delay).ok().and_then(|until| turn.schedule.last(until, &self.zone));
            let found = found.and_then(|found| found.checked_add(self.delay).ok()).filter(|found| *found > turn.dealt);
            let again = turn.again.filter(|again| again.at <= now);
            let (scheduled, attempt) = match (found, again) {
                (Some(found), _) => (found, 0),
                (None, Some(again)) => (again.scheduled, again.attempt),
                (None, None) => continue,
            };
            turn.dealt = turn.dealt.max(scheduled);
            turn.again = None;
            let skip = |why| Skip { rule: rule.clone(), scheduled, why };
            let late = now.duration_since(scheduled);
            let closed =
                turn.window.is_some_and(|window| matches!(window.at(now, &self.zone), Standing::Closed { .. }));
            if running.contains(rule) {
                taken.skip.push(skip(Why::Running));
            } else if late > self.catch_up {
                taken.skip.push(skip(Why::Missed));
            } else if late > PUNCTUAL && closed {
                // one that is punctual waits for its window by itself, or says that its schedule and its window do not fit
                taken.skip.push(skip(Why::Closed));
            } else {
                taken.start.push(Start { rule: rule.clone(), scheduled, attempt });
            }
        }
        taken
    }

    /// A rule's run ended at `now` in a way that another try may mend. Tells when that is; `None` where it would be too
    /// late.
    pub fn try_again(&mut self, start: &Start, now: Timestamp) -> Option<Timestamp> {
        let turn = self.turns.get_mut(&start.rule)?;
        let pause = PAUSE.checked_mul(2_i32.checked_pow(start.attempt)?)?;
        let at = now.checked_add(pause).ok()?;
        let last = start.scheduled.checked_add(self.catch_up).ok()?;
        let again = Again { at, scheduled: start.scheduled, attempt: start.attempt + 1 };
        turn.again = (at <= last).then_some(again);
        turn.again.map(|again| again.at)
    }
}

/// Between nothing and `jitter`, always the same for a job: jobs that share a schedule do not begin at once.
fn delay(job: &str, jitter: std::time::Duration) -> SignedDuration {
    let hash = Sha256::digest(job);
    let number = hash.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte));
    let seconds = number % (jitter.as_secs() + 1);
    SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(0))
}
