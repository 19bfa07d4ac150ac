//! So many calls in so much time, as settings and vendors say it.

use std::time::Duration;

/// So many calls in any window of this length; or, if that is a day, between two midnights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    pub calls: u32,
    pub per: Duration,
    /// Whose midnight, where the vendor says so; an IANA name.
    pub zone: Option<&'static str>,
}

impl Rate {
    pub const fn new(calls: u32, per: Duration) -> Self {
        Self { calls, per, zone: None }
    }

    pub const fn per_second(calls: u32) -> Self {
        Self::new(calls, Duration::from_secs(1))
    }

    pub const fn per_minute(calls: u32) -> Self {
        Self::new(calls, Duration::from_secs(60))
    }

    pub const fn per_hour(calls: u32) -> Self {
        Self::new(calls, Duration::from_secs(60 * 60))
    }

    pub const fn per_day(calls: u32) -> Self {
        Self::new(calls, Duration::from_secs(24 * 60 * 60))
    }

    /// This rate for days that begin at midnight in a time zone.
    #[must_use]
    pub const fn in_zone(self, zone: &'static str) -> Self {
        Self { zone: Some(zone), ..self }
    }

    /// It is over a day, and may be used up at once.
    pub fn is_quota(&self) -> bool {
        self.per > LONGEST_SPACED
    }
}

/// Limits over more than this are quotas.
const LONGEST_SPACED: Duration = Duration::from_secs(60 * 60);
