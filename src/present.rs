//! The present time, by this machine's clock.
//!
//! Debug builds take `SUNSET_PRESENT=2030-01-01T00:00:00Z` for it, so that tests can go through years to come. Release
//! builds have nothing of this.

use jiff::Timestamp;

/// What runs compare their `now` with: no run takes a later time for the present.
pub fn now() -> Timestamp {
    let pretended = cfg!(debug_assertions).then(|| std::env::var("SUNSET_PRESENT").ok()?.parse().ok()).flatten();
    pretended.unwrap_or_else(Timestamp::now)
}
