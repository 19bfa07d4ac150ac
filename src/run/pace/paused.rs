//! `sunset pause`: while the job is paused, no batch begins, on whatever machine a run is.

use super::{Answer, Failure, Setup, Throttle, Turn};
use crate::{
    ledger::Clock,
    settings::StoreSettings,
    store::{self, Pause, Store},
};
use async_trait::async_trait;
use jiff::{Timestamp, tz::TimeZone};

struct Paused {
    settings: StoreSettings,
    /// Of its own: the run writes its ledger over another connection.
    store: Option<Store>,
    zone: TimeZone,
    clock: Clock,
}

pub(super) fn open(setup: &Setup<'_>) -> Option<Box<dyn Throttle>> {
    let (zone, clock) = (setup.zone.clone(), setup.clock.clone());
    Some(Box::new(Paused { settings: setup.store?.clone(), store: None, zone, clock }))
}

impl Paused {
    async fn pause(&mut self, now: Timestamp) -> Result<Option<Pause>, store::Error> {
        // taken out, so that a question that is given up half-way leaves no answer for the next one
        let mut store = match self.store.take() {
            Some(store) => store,
            None => Store::open_existing(&self.settings).await?,
        };
        let pause = store.pause(now).await?;
        self.store = Some(store);
        Ok(pause)
    }
}

#[async_trait]
impl Throttle for Paused {
    fn name(&self) -> &'static str {
        "pause"
    }

    /// Somebody wants it so.
    fn impatience(&self, reason: String) -> Failure {
        Failure::TimeIsUp(reason)
    }

    async fn ask(&mut self, _: &Turn) -> Result<Answer, Failure> {
        let reason = match self.pause((self.clock)()).await {
            Ok(None) => return Ok(Answer::Go),
            Ok(Some(pause)) => words(&pause, &self.zone),
            Err(error) => format!("it is not known whether the job is paused: {error}"),
        };
        Ok(Answer::Wait { reason, until: None })
    }
}

/// `the job is paused by hanako until 2026-11-22 06:00 JST: index rebuild`.
fn words(pause: &Pause, zone: &TimeZone) -> String {
    let until =
        pause.until.map(|until| format!(" until {}", until.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M %Z")));
    let reason = pause.reason.as_ref().map(|reason| format!(": {reason}"));
    format!("the job is paused by {}{}{}", pause.by, until.unwrap_or_default(), reason.unwrap_or_default())
}
