//! When to try again: backoff with jitter, and what the reply itself says.

use super::client::Reply;
use jiff::{Timestamp, fmt::rfc2822::DateTimeParser};
use std::time::Duration;

/// What a reply means for the next attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The reply is what there is to know, good or bad: the vendor's file reads it.
    Final,
    /// Another attempt may succeed: after this time, or after the usual pause.
    Retry { after: Option<Duration> },
    /// The token is no longer good: once more with a new one.
    Refresh,
}

/// A vendor that asks to be left alone for longer is asked again after this all the same: a reply that is wrong, or another's,
/// silences no recipient for good.
pub const LONGEST_REST: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// How often, and how long between.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    /// Attempts in all.
    pub attempts: u32,
    pub first: Duration,
    pub longest: Duration,
    /// A vendor that asks for a longer pause is left alone: the answer is "unreachable, again after".
    pub patience: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            attempts: 4,
            first: Duration::from_millis(500),
            longest: Duration::from_secs(8),
            patience: Duration::from_secs(60),
        }
    }
}

impl Backoff {
    /// The pause after this attempt (1 for the first): twice as long each time, between half and all of it by chance,
    /// so that calls that failed together do not come back together.
    pub fn pause(&self, attempt: u32) -> Duration {
        let doubled = self.first.saturating_mul(1 << attempt.saturating_sub(1).min(16)).min(self.longest);
        let chance = getrandom::u32().unwrap_or(u32::MAX / 2);
        doubled / 2 + (doubled / 2).mul_f64(f64::from(chance) / f64::from(u32::MAX))
    }
}

/// What most vendors mean: 401 may be the token; 408, 425, 429 and 5xx pass; everything else is final.
pub fn usual(reply: &Reply) -> Verdict {
    match reply.status {
        401 => Verdict::Refresh,
        408 | 425 | 429 | 500..=599 => Verdict::Retry { after: retry_after(reply) },
        _ => Verdict::Final,
    }
}

/// The header `Retry-After`: seconds, or a date (RFC 9110); [`LONGEST_REST`] at most.
pub fn retry_after(reply: &Reply) -> Option<Duration> {
    Some(parse_retry_after(reply.header("retry-after")?, Timestamp::now())?.min(LONGEST_REST))
}

fn parse_retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    // HTTP writes GMT where mail writes an offset.
    let text = text.strip_suffix("GMT").map_or_else(|| text.to_owned(), |date| format!("{date}+0000"));
    let date = DateTimeParser::new().parse_timestamp(&text).ok()?;
    Some(Duration::try_from(date.duration_since(now)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_seconds_and_dates() {
        let now: Timestamp = "2026-11-22T02:30:00Z".parse().unwrap();
        let parse = |text| parse_retry_after(text, now).map(|after| after.as_secs());
        assert_eq!(parse("120"), Some(120));
        assert_eq!(parse("Sun, 22 Nov 2026 02:31:30 GMT"), Some(90));
        assert_eq!(parse("Sun, 22 Nov 2026 02:00:00 GMT"), Some(0));
        assert_eq!(parse("soon"), None);
        assert_eq!(parse("-5"), None);
    }

    #[test]
    fn pauses_grow_and_stay_within_bounds() {
        let backoff = Backoff::default();
        for attempt in 1..40 {
            let whole = backoff.first.saturating_mul(1 << (attempt - 1).min(10)).min(backoff.longest);
            let pause = backoff.pause(attempt);
            assert!(pause >= whole / 2 && pause <= whole, "{attempt}: {pause:?}");
        }
    }
}
