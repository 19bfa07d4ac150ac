//! Turns: the connections of a step ask before each batch, and wait for what has to be waited for.

use super::{Answer, Failure, Progress, Settings, Slot, Turn, words};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How often whoever waits looks again. Throttles keep their answers for longer.
const LOOK: Duration = Duration::from_millis(250);

/// A wait that takes longer is shown beside the progress.
const SHOWN: Duration = Duration::from_secs(1);

/// A long wait is told again after so long.
const TOLD_AGAIN: Duration = Duration::from_secs(5 * 60);

/// The pace of one step, which its connections share.
pub struct StepPace<'a> {
    rule: &'a str,
    /// With what the step's database has of its own.
    pub settings: Settings,
    slots: Vec<Arc<Slot>>,
    stop: &'a CancellationToken,
    progress: &'a dyn Progress,
    waits: Mutex<Waits>,
}

#[derive(Default)]
struct Waits {
    /// Connections that take turns now, and the most that ever did.
    turns: usize,
    most_turns: usize,
    /// By throttle: the time during which anybody waited; for steady ones, that of all connections together.
    waited: BTreeMap<&'static str, Duration>,
    steadily: BTreeMap<&'static str, Duration>,
    /// Who waits now, since when the first of them, and when that was last told, by throttle.
    waiting: BTreeMap<&'static str, (usize, Instant, Instant)>,
}

/// What one connection asks before each of its batches.
pub struct Turns<'p, 'a> {
    pace: &'p StepPace<'a>,
    turn: Turn,
    began: Option<Instant>,
    /// What the next batch waits for.
    wait: Option<Wait<'p, 'a>>,
}

impl<'a> StepPace<'a> {
    pub(super) fn new(
        rule: &'a str,
        settings: Settings,
        slots: Vec<Arc<Slot>>,
        stop: &'a CancellationToken,
        progress: &'a dyn Progress,
    ) -> Self {
        Self { rule, settings, slots, stop, progress, waits: Mutex::default() }
    }

    /// For one connection, as long as it changes rows.
    pub fn turns(&self) -> Turns<'_, 'a> {
        let mut waits = self.waits();
        waits.turns += 1;
        waits.most_turns = waits.most_turns.max(waits.turns);
        drop(waits);
        Turns { pace: self, turn: Turn::default(), began: None, wait: None }
    }

    /// A batch has changed so many rows.
    pub async fn note(&self, rows: u64) {
        // the others may be waiting for a server's answer just now
        for slot in self.slots.iter().filter(|slot| slot.is_steady) {
            slot.asked.lock().await.throttle.note(rows);
        }
    }

    /// A connection has rested so long for a reason that no throttle knows.
    pub fn rested(&self, name: &'static str, long: Duration) {
        *self.waits().steadily.entry(name).or_default() += long;
    }

    /// How many milliseconds batches have waited, by throttle. Where each connection has waits of its own, the average.
    pub fn waited(&self) -> BTreeMap<String, u64> {
        let waits = self.waits();
        let turns = u32::try_from(waits.most_turns.max(1)).unwrap_or(u32::MAX);
        let steadily = waits.steadily.iter().map(|(name, waited)| (name, *waited / turns));
        let milliseconds = |waited: Duration| u64::try_from(waited.as_millis()).unwrap_or(u64::MAX);
        let all = waits.waited.iter().map(|(name, waited)| (name, *waited)).chain(steadily);
        all.map(|(name, waited)| ((*name).to_owned(), milliseconds(waited))).collect()
    }

    /// The first throttle that lets no batch begin.
    async fn refusal(&self, turn: &Turn) -> Result<Option<Refusal<'_>>, Failure> {
        for slot in &self.slots {
            let mut asked = slot.asked.lock().await;
            match asked.answer(turn).await? {
                Answer::Go => {}
                Answer::Wait { reason, until } => {
                    let (name, is_given_up) = (asked.throttle.name(), asked.is_given_up);
                    return Ok(Some(Refusal { slot, name, is_given_up, reason, until }));
                }
                Answer::TimeIsUp(reason) => return Err(Failure::TimeIsUp(reason)),
                Answer::Stop(reason) => return Err(Failure::Throttled(reason)),
            }
        }
        Ok(None)
    }

    fn waits(&self) -> MutexGuard<'_, Waits> {
        self.waits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turns<'_, '_> {
    /// Waits until a batch may begin, which the caller then does at once; false when `over` is or becomes true: another
    /// connection has come to the end. To be called without an open transaction.
    ///
    /// # Errors
    /// Somebody asked the run to stop, time is up, or this has waited for too long.
    pub(crate) async fn next(&mut self, over: &AtomicBool) -> Result<bool, Failure> {
        self.next_within(over, Duration::MAX).await.map(|may| may == Some(true))
    }

    /// Waits for a turn, no longer than about `patience`: `None` when it is not known then. The next call goes on waiting.
    ///
    /// # Errors
    /// As [`Self::next`].
    pub(crate) async fn next_within(&mut self, over: &AtomicBool, patience: Duration) -> Result<Option<bool>, Failure> {
        self.ended();
        let stop = self.pace.stop;
        let waited = tokio::select! {
            biased;
            () = stop.cancelled() => Err(Failure::Interrupted),
            waited = self.wait(over, patience) => waited,
        };
        if !matches!(waited, Ok(false)) {
            self.wait = None;
        }
        if !waited? {
            return Ok(None);
        }
        self.began = Some(Instant::now());
        Ok(Some(!over.load(Ordering::Relaxed)))
    }

    /// Waits until work that is no batch may begin, no longer than about `patience`.
    ///
    /// # Errors
    /// As [`Self::next`].
    pub(crate) async fn ready_within(
        &mut self,
        over: &AtomicBool,
        patience: Duration,
    ) -> Result<Option<bool>, Failure> {
        let ready = self.next_within(over, patience).await;
        self.began = None;
        ready
    }

    /// The batch has ended. [`Turns::next`] says so, too, if nobody has.
    pub fn ended(&mut self) {
        if let Some(began) = self.began.take() {
            self.turn.last = Some((Instant::now(), began.elapsed()));
        }
    }

    /// False when patience ends first.
    async fn wait(&mut self, over: &AtomicBool, patience: Duration) -> Result<bool, Failure> {
        let (pace, began) = (self.pace, Instant::now());
        while !over.load(Ordering::Relaxed) {
            let Some(refusal) = pace.refusal(&self.turn).await? else { break };
            // the time goes to what is waited for now
            if self.wait.as_ref().is_none_or(|wait| wait.name != refusal.name) {
                self.wait = None;
                self.wait = Some(Wait::begin(pace, &refusal));
            }
            if let Some(wait) = &self.wait {
                let waited = wait.since.elapsed();
                if !refusal.slot.is_steady && (waited >= pace.settings.max_wait || refusal.is_given_up) {
                    return Err(refusal.give_up(waited).await);
                }
                wait.show(&refusal);
            }
            if began.elapsed() >= patience {
                return Ok(false);
            }
            let now = Instant::now();
            let pause = refusal.until.map_or(LOOK, |until| until.saturating_duration_since(now).min(LOOK));
            tokio::time::sleep(pause).await;
        }
        Ok(true)
    }
}

impl Drop for Turns<'_, '_> {
    fn drop(&mut self) {
        self.pace.waits().turns -= 1;
    }
}

/// A throttle that lets no batch begin.
struct Refusal<'s> {
    slot: &'s Slot,
    name: &'static str,
    is_given_up: bool,
    reason: String,
    until: Option<Instant>,
}

impl Refusal<'_> {
    async fn give_up(self, waited: Duration) -> Failure {
        let mut asked = self.slot.asked.lock().await;
        let reason = match asked.is_given_up {
            true => self.reason,
            false => format!("{} (waited {}, which is all that max_wait allows)", self.reason, words(waited)),
        };
        asked.is_given_up = true;
        asked.throttle.impatience(reason)
    }
}

/// One connection waits for one throttle, until this is dropped.
struct Wait<'p, 'a> {
    pace: &'p StepPace<'a>,
    name: &'static str,
    is_steady: bool,
    since: Instant,
}

impl<'p, 'a> Wait<'p, 'a> {
    fn begin(pace: &'p StepPace<'a>, refusal: &Refusal<'_>) -> Self {
        let since = Instant::now();
        let waits = &mut pace.waits();
        let (waiting, ..) = waits.waiting.entry(refusal.name).or_insert((0, since, since));
        *waiting += 1;
        if *waiting == 1 && !refusal.slot.is_steady {
            tracing::info!(rule = pace.rule, throttle = refusal.name, reason = refusal.reason, "waiting");
        }
        Self { pace, name: refusal.name, is_steady: refusal.slot.is_steady, since }
    }

    /// To whoever looks on, and now and then to the log.
    fn show(&self, refusal: &Refusal<'_>) {
        let (waited, reason) = (self.since.elapsed(), refusal.reason.as_str());
        if waited >= SHOWN {
            self.pace.progress.wait(reason, waited);
        }
        let mut waits = self.pace.waits();
        if let Some((_, since, told)) = waits.waiting.get_mut(self.name)
            && !self.is_steady
            && told.elapsed() >= TOLD_AGAIN
        {
            *told = Instant::now();
            let seconds = since.elapsed().as_secs();
            tracing::info!(rule = self.pace.rule, throttle = self.name, reason, seconds, "still waiting");
        }
    }
}

impl Drop for Wait<'_, '_> {
    fn drop(&mut self) {
        let waits = &mut self.pace.waits();
        if let Some((waiting, since, _)) = waits.waiting.get_mut(self.name) {
            *waiting -= 1;
            if *waiting == 0 {
                let waited = since.elapsed();
                waits.waiting.remove(self.name);
                if !self.is_steady {
                    *waits.waited.entry(self.name).or_default() += waited;
                    let seconds = waited.as_secs_f64();
                    tracing::info!(rule = self.pace.rule, throttle = self.name, seconds, "waiting is over");
                }
            }
        }
        if self.is_steady {
            *waits.steadily.entry(self.name).or_default() += self.since.elapsed();
        }
        self.pace.progress.go_on();
    }
}
