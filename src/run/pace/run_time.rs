//! `run_time` and `--for`: so long after it began, a run begins no batch any more. Planning is part of it.

use super::{Answer, Failure, Setup, Throttle, Turn, words};
use async_trait::async_trait;
use std::time::Duration;
use tokio::time::Instant;

struct RunTime {
    began: Instant,
    most: Duration,
}

pub(super) fn open(setup: &Setup<'_>) -> Option<Box<dyn Throttle>> {
    Some(Box::new(RunTime { began: setup.began, most: setup.pace.run_time? }))
}

#[async_trait]
impl Throttle for RunTime {
    fn name(&self) -> &'static str {
        "run_time"
    }

    fn interval(&self) -> Duration {
        Duration::ZERO
    }

    async fn ask(&mut self, _: &Turn) -> Result<Answer, Failure> {
        if self.began.elapsed() < self.most {
            return Ok(Answer::Go);
        }
        Ok(Answer::TimeIsUp(format!("the run has used its time of {}", words(self.most))))
    }
}
