//! Batch sizes: grow and shrink towards a target time, so that a statement holds its locks only briefly.

use std::time::Duration;

/// The size of the next batch, in whatever unit the walk counts (rows, keys or blocks).
#[derive(Clone, Debug)]
pub struct Size {
    current: f64,
    most: f64,
    target: Duration,
}

impl Size {
    /// Starts small: the first batch is a probe.
    pub fn new(first: u64, most: u64, target: Duration) -> Self {
        let (first, most) = (as_f64(first.max(1)), as_f64(most.max(1)));
        Self { current: first.min(most), most, target }
    }

    pub fn current(&self) -> u64 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 1 and `most`")]
        let size = self.current as u64;
        size.max(1)
    }

    /// A batch of this size took this long.
    pub fn took(&mut self, size: u64, elapsed: Duration) {
        let ratio = self.target.as_secs_f64() / elapsed.as_secs_f64().max(0.000_1);
        self.current = (as_f64(size) * ratio.clamp(0.5, 8.0)).clamp(1.0, self.most);
    }

    /// A batch of this size changed `rows` rows, of which `limit` may be in one batch: those after it are shorter in
    /// proportion.
    pub fn limit(&mut self, size: u64, rows: u64, limit: u64) {
        let fits = as_f64(size) * as_f64(limit) / as_f64(rows.max(1));
        self.most = self.most.min(fits.min(as_f64(size) - 1.0).floor()).max(1.0);
        self.current = self.current.min(self.most);
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
    fn pauses_grow_and_end() {
        assert_eq!(pause(1), Duration::from_millis(50));
        assert_eq!(pause(3), Duration::from_millis(200));
        assert_eq!(pause(60), Duration::from_secs(2));
    }
}
