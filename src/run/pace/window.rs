//! `window`: batches begin only in these hours. The hours are real ones, whatever `--now` says.

use super::{Answer, Failure, Setup, Throttle, Turn};
use crate::{
    clock::window::{Standing, Window},
    ledger::Clock,
};
use async_trait::async_trait;
use jiff::tz::TimeZone;
use std::time::Duration;
use tokio::time::Instant;

struct Hours {
    window: Window,
    zone: TimeZone,
    clock: Clock,
    /// A window that opens sooner is waited for.
    max_wait: Duration,
}

pub(super) fn open(setup: &Setup<'_>) -> Option<Box<dyn Throttle>> {
    let (zone, clock) = (setup.zone.clone(), setup.clock.clone());
    Some(Box::new(Hours { window: setup.pace.window?, zone, clock, max_wait: setup.pace.max_wait }))
}

#[async_trait]
impl Throttle for Hours {
    fn name(&self) -> &'static str {
        "window"
    }

    fn interval(&self) -> Duration {
        Duration::ZERO
    }

    async fn ask(&mut self, _: &Turn) -> Result<Answer, Failure> {
        let now = (self.clock)();
        let Standing::Closed { opens } = self.window.at(now, &self.zone) else { return Ok(Answer::Go) };
        let wait = Duration::try_from(opens.duration_since(now)).unwrap_or_default();
        let opens = opens.to_zoned(self.zone.clone()).strftime("%Y-%m-%d %H:%M %Z");
        let reason = format!("the run window {} is closed until {opens}", self.window);
        Ok(match wait < self.max_wait {
            true => Answer::Wait { reason, until: Some(Instant::now() + wait) },
            false => Answer::TimeIsUp(reason),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    async fn asked(now: &'static str) -> Answer {
        let clock: Clock = Arc::new(move || now.parse().unwrap());
        let (window, zone) = (Window::parse("02:00-05:00").unwrap(), TimeZone::get("Asia/Tokyo").unwrap());
        let mut hours = Hours { window, zone, clock, max_wait: Duration::from_secs(600) };
        hours.ask(&Turn::default()).await.unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_window_that_opens_soon_is_waited_for() {
        assert_eq!(asked("2026-11-22T02:00:00+09:00").await, Answer::Go);
        assert_eq!(asked("2026-11-22T04:59:59+09:00").await, Answer::Go);
        let reason = "the run window 02:00-05:00 is closed until 2026-11-22 02:00 JST".to_owned();
        let until = Some(Instant::now() + Duration::from_secs(300));
        assert_eq!(asked("2026-11-22T01:55:00+09:00").await, Answer::Wait { reason: reason.clone(), until });
        assert_eq!(asked("2026-11-22T01:50:00+09:00").await, Answer::TimeIsUp(reason));
        let reason = "the run window 02:00-05:00 is closed until 2026-11-23 02:00 JST".to_owned();
        assert_eq!(asked("2026-11-22T05:00:00+09:00").await, Answer::TimeIsUp(reason));
    }
}
