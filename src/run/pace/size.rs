//! Batch sizes: grow and shrink towards a target time, so that a statement holds its locks only briefly.

use std::time::Duration;

/// The size of the next batch, in whatever unit the walk counts (rows, keys or blocks).
#[derive(Clone, Debug)]
pub struct Size {
    current: f64,
    most: f64,
    target: Duration,
    /// What batches aim at for the time being.
    aim: Duration,
    /// How many times as large the next batch may be.
    growth: f64,
    /// Others do not make batches smaller than this.
    least: f64,
}

/// Batches grow fast until somebody has waited for one.
const FAST: f64 = 8.0;

/// And slowly from then on: so that one of some fourteen has somebody wait for it.
const SLOW: f64 = 1.05;

impl Size {
    /// Starts small: the first batch is a probe.
    pub fn new(first: u64, most: u64, target: Duration) -> Self {
        let (first, most) = (as_f64(first.max(1)), as_f64(most.max(1)));
        Self {
            current: first.min(most),
            most,
            target,
            aim: target,
            growth: FAST,
            least: (first / 4.0).max(1.0).min(most),
        }
    }

    pub fn current(&self) -> u64 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 1 and `most`")]
        let size = self.current as u64;
        size.max(1)
    }

    /// A batch of this size took this long.
    pub fn took(&mut self, size: u64, elapsed: Duration) {
        let ratio = self.aim.as_secs_f64() / elapsed.as_secs_f64().max(0.000_1);
        // what has become smaller for other reasons grows fast again
        let growth = if self.current < self.least { FAST } else { self.growth };
        // one that was cut short tells nothing of longer ones, and they would be long in coming
        if growth < FAST && as_f64(size) < self.current.floor() && ratio > 1.0 {
            return;
        }
        self.current = (as_f64(size) * ratio.clamp(0.5, growth)).clamp(1.0, self.most);
    }

    /// A batch of this size changed `rows` rows, of which `limit` may be in one batch: those after it are shorter in
    /// proportion.
    pub fn limit(&mut self, size: u64, rows: u64, limit: u64) {
        let fits = as_f64(size) * as_f64(limit) / as_f64(rows.max(1));
        self.most = self.most.min(fits.min(as_f64(size) - 1.0).floor()).max(1.0);
        self.current = self.current.min(self.most);
    }

    /// Somebody waited for a batch: the next ones are half as large, and grow slowly.
    pub fn crowded(&mut self) {
        self.growth = SLOW;
        self.current = (self.current / 2.0).max(self.least.min(self.current));
    }

    /// Batches shall take no longer than this for the time being.
    pub fn aim_at(&mut self, most: Option<Duration>) {
        self.aim = most.map_or(self.target, |most| most.min(self.target));
    }

    /// A batch of the current size failed for reasons that smaller ones avoid.
    pub fn shrink(&mut self) {
        self.current = (self.current / 4.0).max(1.0);
    }
}

/// How long to wait before the `attempt`th retry, counted from 1: 50 ms, 100 ms, … up to 2 s.
pub fn pause(attempt: u32) -> Duration {
    Duration::from_millis((50_u64 << attempt.saturating_sub(1).min(10)).min(2000))
}

#[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^53")]
fn as_f64(size: u64) -> f64 {
    size as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_follow_the_target_and_keep_their_bounds() {
        let mut size = Size::new(1000, 10_000, Duration::from_millis(50));
        size.took(1000, Duration::from_millis(1));
        assert_eq!(size.current(), 8000, "never more than eight times as much");
        size.took(2000, Duration::from_millis(40));
        assert_eq!(size.current(), 2500);
        for _ in 0..10 {
            size.took(size.current(), Duration::from_millis(1));
        }
        assert_eq!(size.current(), 10_000, "never above the most");
        size.took(10_000, Duration::from_secs(10));
        assert_eq!(size.current(), 5000, "never less than halved");
        for _ in 0..20 {
            size.shrink();
        }
        assert_eq!(size.current(), 1);
    }

    #[test]
    fn who_waits_makes_batches_smaller() {
        let mut size = Size::new(1000, 10_000, Duration::from_millis(50));
        size.took(1000, Duration::from_millis(5));
        assert_eq!(size.current(), 8000);
        size.crowded();
        assert_eq!(size.current(), 4000);
        size.took(4000, Duration::from_millis(5));
        assert_eq!(size.current(), 4200, "it grows slowly from then on");
        for _ in 0..20 {
            size.crowded();
        }
        assert_eq!(size.current(), 250, "but others do not bring a run to a stand");
        size.aim_at(Some(Duration::from_millis(10)));
        size.took(250, Duration::from_millis(20));
        assert_eq!(size.current(), 125);
    }

    #[test]
    fn pauses_grow_and_end() {
        assert_eq!(pause(1), Duration::from_millis(50));
        assert_eq!(pause(3), Duration::from_millis(200));
        assert_eq!(pause(60), Duration::from_secs(2));
    }
}
