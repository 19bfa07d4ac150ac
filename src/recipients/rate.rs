//! Rate limits: never over, and hardly under.
//!
//! A limit over a short time is kept by distance: calls start so far apart that no window of its length can hold more. A
//! limit over a day may be used up at once, by this run or an earlier one ([`super::quota`]); when it is, the next call
//! is not waited for.

use super::quota::{Quota, Quotas};
use crate::language::rate::Rate;
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{sync::OnceCell, time::Instant};

/// Nobody waits longer for a turn.
const LONGEST_WAIT: Duration = Duration::from_secs(120);

/// Sleeps wake late, some later than others, and packets overtake each other: calls are this much further apart than the
/// limit demands, in thousandths.
const SLACK: u32 = 20;

/// Gives out turns.
#[derive(Debug)]
pub struct Limiter {
    recipient: String,
    quota: Option<Quota>,
    quotas: Arc<dyn Quotas>,
    /// What an earlier run was asked to wait has been read.
    recalled: OnceCell<()>,
    state: Mutex<Turns>,
}

#[derive(Debug, Default)]
struct Turns {
    /// Between two calls.
    distance: Duration,
    next: Option<Instant>,
    /// The vendor asked for a rest until then.
    rest: Option<Instant>,
}

/// Why there is no turn now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    pub reason: String,
    pub after: Option<Duration>,
}

impl Limiter {
    /// `quotas` counts the calls of a day.
    pub fn new(recipient: &str, rates: &[Rate], quotas: Arc<dyn Quotas>) -> Self {
        let spaced = rates.iter().filter(|rate| !rate.is_quota());
        let distance = spaced.map(|rate| rate.per * (1000 + SLACK) / 1000 / rate.calls.max(1)).max();
        let state = Mutex::new(Turns { distance: distance.unwrap_or_default(), ..Turns::default() });
        let (quota, recalled) = (Quota::of(rates), OnceCell::new());
        Self { recipient: recipient.to_owned(), quota, quotas, recalled, state }
    }

    /// Waits for a turn.
    ///
    /// # Errors
    /// It is further away than anybody waits.
    pub async fn turn(&self) -> Result<(), Wait> {
        let recall = async || {
            if let Some(pause) = self.quotas.rest(&self.recipient).await {
                self.rest(pause);
            }
        };
        self.recalled.get_or_init(recall).await;
        let at = self.state.lock().unwrap_or_else(PoisonError::into_inner).take(Instant::now());
        let at = at.map_err(|wait| Wait { reason: "its limit is used up".to_owned(), after: Some(wait) })?;
        if let Some(quota) = &self.quota {
            let taken = self.quotas.take(&self.recipient, quota).await;
            taken.map_err(|spent| Wait { reason: spent.reason, after: spent.again_after })?;
        }
        tokio::time::sleep_until(at).await;
        Ok(())
    }

    /// The vendor wants to be left alone for so long: no turn begins before.
    pub fn rest(&self, pause: Duration) {
        let until = Instant::now() + pause;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.rest = Some(state.rest.map_or(until, |rest| rest.max(until)));
    }
}

impl Limiter {
    /// Later runs leave it alone, too.
    pub async fn keep_rest(&self, pause: Duration) {
        self.quotas.keep_rest(&self.recipient, pause).await;
    }
}

impl Turns {
    fn take(&mut self, now: Instant) -> Result<Instant, Duration> {
        let at = now.max(self.next.unwrap_or(now)).max(self.rest.unwrap_or(now));
        if at - now > LONGEST_WAIT {
            return Err(at - now);
        }
        self.next = Some(at + self.distance);
        Ok(at)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::quota::InProcess, *};

    fn limiter(rates: &[Rate]) -> Limiter {
        Limiter::new("shop", rates, InProcess::new())
    }

    async fn times(rates: &[Rate], turns: usize) -> Vec<Duration> {
        let limiter = limiter(rates);
        let begin = Instant::now();
        let mut times = Vec::new();
        while times.len() < turns && limiter.turn().await.is_ok() {
            times.push(begin.elapsed());
        }
        times
    }

    fn most_in_a_window(times: &[Duration], length: Duration) -> usize {
        (0..times.len()).map(|first| times[first..].partition_point(|at| *at < times[first] + length)).max().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn is_never_over_and_within_five_percent() {
        for calls in [1_u32, 7, 25, 100, 900] {
            let times = times(&[Rate::per_second(calls)], calls as usize * 10).await;
            assert!(most_in_a_window(&times, Duration::from_secs(1)) <= calls as usize, "{calls}");
            let reached = f64::from(calls * 10 - 1) / times.last().unwrap().as_secs_f64();
            assert!(reached >= f64::from(calls) * 0.95, "{calls}: {reached}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_strictest_limit_counts() {
        let times = times(&[Rate::per_second(25), Rate::per_minute(60)], 120).await;
        assert!(most_in_a_window(&times, Duration::from_secs(60)) <= 60);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_tomorrow() {
        let limiter = limiter(&[Rate::per_day(3)]);
        for _ in 0..3 {
            limiter.turn().await.unwrap();
        }
        let wait = limiter.turn().await.unwrap_err();
        tokio::time::advance(wait.after.unwrap()).await;
        limiter.turn().await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_rest_is_kept() {
        let limiter = limiter(&[]);
        limiter.rest(Duration::from_secs(30));
        let begin = Instant::now();
        limiter.turn().await.unwrap();
        assert!(begin.elapsed() >= Duration::from_secs(30));
        limiter.rest(Duration::from_secs(3600));
        limiter.turn().await.unwrap_err();
    }
}
