//! `duty_cycle`: the share of its time that a connection works. (gh-ost's nice ratio, as a share.)

use super::{Answer, Failure, Setup, Throttle, Turn};
use async_trait::async_trait;
use std::time::Duration;
use tokio::time::Instant;

struct DutyCycle {
    percent: f64,
}

pub(super) fn open(setup: &Setup<'_>) -> Option<Box<dyn Throttle>> {
    let percent = setup.pace.duty_percent.filter(|percent| *percent < 100.0)?;
    Some(Box::new(DutyCycle { percent }))
}

#[async_trait]
impl Throttle for DutyCycle {
    fn name(&self) -> &'static str {
        "duty_cycle"
    }

    /// Each connection has a rest of its own.
    fn interval(&self) -> Duration {
        Duration::ZERO
    }

    fn is_steady(&self) -> bool {
        true
    }

    async fn ask(&mut self, turn: &Turn) -> Result<Answer, Failure> {
        let Some((ended, took)) = turn.last else { return Ok(Answer::Go) };
        let rested = ended + took.mul_f64((100.0 - self.percent) / self.percent);
        Ok(match rested > Instant::now() {
            true => Answer::Wait { reason: format!("works {} % of the time", self.percent), until: Some(rested) },
            false => Answer::Go,
        })
    }
}
