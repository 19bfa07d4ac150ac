//! Daily quotas: what one run has used of a day is not there for the next run of that day.
//!
//! A day begins at midnight where the vendor counts, or, where nothing is known of that, in the job's time zone.

use crate::language::rate::Rate;
use async_trait::async_trait;
use jiff::{Timestamp, ToSpan as _, tz::TimeZone};
use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};
use tokio::{sync::Mutex, time::Instant};

/// So many calls a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    pub calls: u32,
    /// Whose midnight; an IANA name.
    pub zone: Option<&'static str>,
}

/// A day of a quota: from its first moment to the next day's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Day {
    pub begins: Timestamp,
    pub ends: Timestamp,
}

impl Quota {
    /// The strictest among these rates; none where none is over a day.
    pub fn of(rates: &[Rate]) -> Option<Self> {
        let daily = rates.iter().filter(|rate| rate.is_quota());
        let zone = daily.clone().find_map(|rate| rate.zone);
        daily.map(|rate| rate.calls).min().map(|calls| Self { calls, zone })
    }

    /// The day that `now` lies in.
    pub fn day(&self, now: Timestamp, job: &TimeZone) -> Day {
        let zone = self.zone.and_then(|name| TimeZone::get(name).ok());
        let now = now.to_zoned(zone.unwrap_or_else(|| job.clone()));
        let next = now.checked_add(1.day()).and_then(|next| next.start_of_day());
        Day {
            begins: now.start_of_day().map_or(now.timestamp(), |begin| begin.timestamp()),
            ends: next.map_or(Timestamp::MAX, |next| next.timestamp()),
        }
    }
}

/// The day's calls are used up, or nobody can count them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spent {
    pub reason: String,
    pub again_after: Option<Duration>,
}

impl Spent {
    pub fn new(quota: &Quota, day: &Day, now: Timestamp) -> Self {
        let reason = format!("its {} calls of this day are used up; the next day begins at {}", quota.calls, day.ends);
        Self { reason, again_after: Duration::try_from(day.ends.duration_since(now)).ok() }
    }
}

/// Counts calls, and keeps pauses that recipients ask for.
#[async_trait]
pub trait Quotas: fmt::Debug + Send + Sync {
    /// Takes one call of a recipient's quota.
    ///
    /// # Errors
    /// None is left, or they cannot be counted: then no call may be made.
    async fn take(&self, recipient: &str, quota: &Quota) -> Result<(), Spent>;

    /// For how long a recipient has asked, in an earlier run, not to be called.
    async fn rest(&self, _recipient: &str) -> Option<Duration> {
        None
    }

    /// Keeps for later runs that a recipient has asked not to be called for so long.
    async fn keep_rest(&self, _recipient: &str, _pause: Duration) {}
}

/// A present time that goes on from a given one: a run may be over midnight.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    at: Timestamp,
    since: Instant,
}

impl Clock {
    pub fn from(at: Timestamp) -> Self {
        Self { at, since: Instant::now() }
    }

    pub fn now(&self) -> Timestamp {
        self.at.checked_add(self.since.elapsed()).unwrap_or(self.at)
    }
}

/// Counts in this process alone: for checks of credentials, which call little.
#[derive(Debug)]
pub struct InProcess {
    clock: Clock,
    taken: Mutex<BTreeMap<(String, Timestamp), u32>>,
}

impl InProcess {
    pub fn new() -> Arc<Self> {
        Arc::new(Self { clock: Clock::from(Timestamp::now()), taken: Mutex::default() })
    }
}

#[async_trait]
impl Quotas for InProcess {
    async fn take(&self, recipient: &str, quota: &Quota) -> Result<(), Spent> {
        let now = self.clock.now();
        let day = quota.day(now, &TimeZone::UTC);
        let mut taken = self.taken.lock().await;
        let taken = taken.entry((recipient.to_owned(), day.begins)).or_default();
        if *taken >= quota.calls {
            return Err(Spent::new(quota, &day, now));
        }
        *taken += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_the_vendors_and_may_have_an_hour_more() {
        let quota = Quota { calls: 500, zone: Some("America/Los_Angeles") };
        let day = |now: &str| {
            let Day { begins, ends } = quota.day(now.parse().unwrap(), &TimeZone::UTC);
            (begins.to_string(), ends.to_string())
        };
        let utc = |begins: &str, ends: &str| (begins.to_owned(), ends.to_owned());
        assert_eq!(day("2026-11-22T02:30:00+09:00"), utc("2026-11-21T08:00:00Z", "2026-11-22T08:00:00Z"));
        assert_eq!(day("2026-11-22T17:00:00+09:00"), utc("2026-11-22T08:00:00Z", "2026-11-23T08:00:00Z"));
        // The clocks go back.
        assert_eq!(day("2026-11-01T12:00:00Z"), utc("2026-11-01T07:00:00Z", "2026-11-02T08:00:00Z"));
        let tokyo = Quota { calls: 1, zone: None };
        let zone = TimeZone::get("Asia/Tokyo").unwrap();
        assert_eq!(tokyo.day("2026-11-22T14:59:59Z".parse().unwrap(), &zone).ends.to_string(), "2026-11-22T15:00:00Z");
    }

    #[test]
    fn the_strictest_limit_over_a_day_is_the_quota() {
        assert_eq!(Quota::of(&[Rate::per_minute(3), Rate::per_hour(9)]), None);
        let rates = [Rate::per_day(500).in_zone("America/Los_Angeles"), Rate::per_day(40)];
        assert_eq!(Quota::of(&rates), Some(Quota { calls: 40, zone: Some("America/Los_Angeles") }));
    }

    #[tokio::test(start_paused = true)]
    async fn a_days_calls_are_used_up_at_once_and_are_there_again_the_next_day() {
        let quotas = InProcess::new();
        let quota = Quota { calls: 3, zone: None };
        for _ in 0..3 {
            quotas.take("shop", &quota).await.unwrap();
        }
        quotas.take("other", &quota).await.unwrap();
        let spent = quotas.take("shop", &quota).await.unwrap_err();
        assert!(spent.reason.starts_with("its 3 calls of this day are used up"), "{spent:?}");
        tokio::time::advance(spent.again_after.unwrap()).await;
        quotas.take("shop", &quota).await.unwrap();
    }
}
