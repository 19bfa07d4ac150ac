//! Rate limits: never over, and hardly under.
//!
//! A limit over a short time is kept by distance: calls start so far apart that no window of its length can hold more. A
//! limit over a long time (a day's quota) may be used up at once; when it is, the next call is not waited for.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// So many calls in any window of this length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    pub calls: u32,
    pub per: Duration,
}

impl Rate {
    pub const fn per_second(calls: u32) -> Self {
        Self { calls, per: Duration::from_secs(1) }
    }

    pub const fn per_minute(calls: u32) -> Self {
        Self { calls, per: Duration::from_secs(60) }
    }

    pub const fn per_hour(calls: u32) -> Self {
        Self { calls, per: Duration::from_secs(60 * 60) }
    }

    pub const fn per_day(calls: u32) -> Self {
        Self { calls, per: Duration::from_secs(24 * 60 * 60) }
    }
}

/// Limits over more than this are quotas.
const LONGEST_SPACED: Duration = Duration::from_secs(60 * 60);

/// Nobody waits longer for a turn.
const LONGEST_WAIT: Duration = Duration::from_secs(120);

/// Sleeps wake late, some later than others, and packets overtake each other: calls are this much further apart than the
/// limit demands, in thousandths.
const SLACK: u32 = 20;

/// Gives out turns.
#[derive(Debug)]
pub struct Limiter {
    state: Mutex<Turns>,
}

#[derive(Debug)]
struct Turns {
    /// Between two calls.
    distance: Duration,
    next: Option<Instant>,
    quotas: Vec<(Rate, VecDeque<Instant>)>,
    /// The vendor asked for a rest until then.
    rest: Option<Instant>,
}

impl Limiter {
    pub fn new(rates: &[Rate]) -> Self {
        let spaced = rates.iter().filter(|rate| rate.per <= LONGEST_SPACED);
        let distance = spaced.map(|rate| rate.per * (1000 + SLACK) / 1000 / rate.calls.max(1)).max();
        let quotas = rates.iter().filter(|rate| rate.per > LONGEST_SPACED).map(|rate| (*rate, VecDeque::new()));
        let quotas = quotas.collect();
        let state = Turns { distance: distance.unwrap_or_default(), next: None, quotas, rest: None };
        Self { state: Mutex::new(state) }
    }

    /// Waits for a turn.
    ///
    /// # Errors
    /// It is further away than anybody waits: how far.
    pub async fn turn(&self) -> Result<(), Duration> {
        let at = self.state.lock().unwrap_or_else(PoisonError::into_inner).take(Instant::now())?;
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

impl Turns {
    fn take(&mut self, now: Instant) -> Result<Instant, Duration> {
        let mut at = now.max(self.next.unwrap_or(now)).max(self.rest.unwrap_or(now));
        for (rate, taken) in &mut self.quotas {
            while taken.front().is_some_and(|first| *first + rate.per <= at) {
                taken.pop_front();
            }
            if taken.len() >= rate.calls as usize
                && let Some(first) = taken.front()
            {
                at = at.max(*first + rate.per);
            }
        }
        if at - now > LONGEST_WAIT {
            return Err(at - now);
        }
        self.quotas.iter_mut().for_each(|(_, taken)| taken.push_back(at));
        self.next = Some(at + self.distance);
        Ok(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn times(rates: &[Rate], turns: usize) -> Vec<Duration> {
        let limiter = Limiter::new(rates);
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
    async fn a_quota_is_used_up_at_once_and_nobody_waits_for_tomorrow() {
        let limiter = Limiter::new(&[Rate::per_day(3)]);
        for _ in 0..3 {
            limiter.turn().await.unwrap();
        }
        let wait = limiter.turn().await.unwrap_err();
        assert!(wait > Duration::from_secs(86_000), "{wait:?}");
        tokio::time::advance(wait).await;
        limiter.turn().await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_rest_is_kept() {
        let limiter = Limiter::new(&[]);
        limiter.rest(Duration::from_secs(30));
        let begin = Instant::now();
        limiter.turn().await.unwrap();
        assert!(begin.elapsed() >= Duration::from_secs(30));
        limiter.rest(Duration::from_secs(3600));
        limiter.turn().await.unwrap_err();
    }
}
