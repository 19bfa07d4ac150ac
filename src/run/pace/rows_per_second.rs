//! `rows_per_second`: not more rows than this, on the average, on all connections together.

use super::{Answer, Failure, Setup, Throttle, Turn};
use async_trait::async_trait;
use std::time::Duration;
use tokio::time::Instant;

struct RowsPerSecond {
    rows: u32,
    /// When all that was changed is paid for.
    paid: Instant,
}

pub(super) fn open(setup: &Setup<'_>) -> Option<Box<dyn Throttle>> {
    let rows = setup.pace.rows_per_second?;
    Some(Box::new(RowsPerSecond { rows, paid: Instant::now() }))
}

#[async_trait]
impl Throttle for RowsPerSecond {
    fn name(&self) -> &'static str {
        "rows_per_second"
    }

    fn interval(&self) -> Duration {
        Duration::ZERO
    }

    fn is_steady(&self) -> bool {
        true
    }

    /// What was not used within a second is lost: a run that could not go on for an hour does not make up for it in a
    /// burst.
    fn note(&mut self, rows: u64) {
        const KEPT: Duration = Duration::from_secs(1);
        let now = Instant::now();
        let kept = now.checked_sub(KEPT).unwrap_or(now);
        #[expect(clippy::cast_precision_loss, reason = "rows of a batch")]
        let costs = Duration::from_secs_f64(rows as f64 / f64::from(self.rows));
        self.paid = self.paid.max(kept) + costs;
    }

    async fn ask(&mut self, _: &Turn) -> Result<Answer, Failure> {
        Ok(match self.paid > Instant::now() {
            true => Answer::Wait { reason: format!("at most {} rows a second", self.rows), until: Some(self.paid) },
            false => Answer::Go,
        })
    }
}
