//! Where the scheduler takes its time from, and who waits for it.

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

/// A clock that can be waited for.
#[async_trait]
pub trait Clock: Send + Sync + 'static {
    fn now(&self) -> Timestamp;

    /// Returns when it is `at` or later.
    async fn wait_until(&self, at: Timestamp);
}

/// The machine's clock, with tokio-cron-scheduler doing the waiting.
///
/// That one's own calendar is left alone: it freezes a zone's offset when a job is made, wants six fields, and takes
/// both days for necessary. It gets one-shots instead, one for each moment that somebody waits for. It looks at the
/// machine's clock twice a second, so that a machine that slept, or whose clock is set, wakes up in time.
pub struct SystemClock {
    scheduler: JobScheduler,
    /// How far this clock is ahead of the machine's: for rehearsals.
    ahead: SignedDuration,
}

/// Nobody waits longer in one go.
const LONGEST_WAIT: SignedDuration = SignedDuration::from_hours(24);

impl SystemClock {
    /// # Errors
    /// The scheduler does not start.
    pub async fn start(ahead: SignedDuration) -> Result<Self, JobSchedulerError> {
        let scheduler = JobScheduler::new().await?;
        scheduler.start().await?;
        Ok(Self { scheduler, ahead })
    }

    /// Waits for `wait` or a little longer.
    async fn sleep(&self, wait: Duration) -> Result<(), JobSchedulerError> {
        let (rings, rang) = oneshot::channel();
        let mut rings = Some(rings);
        // it counts whole seconds and cuts off the rest: never early
        let job = Job::new_one_shot_async(wait + Duration::from_secs(1), move |_, _| {
            let rings = rings.take();
            Box::pin(async move {
                if let Some(rings) = rings {
                    // nobody waits any more
                    let _ = rings.send(());
                }
            })
        })?;
        let (id, scheduler) = (self.scheduler.add(job).await?, self.scheduler.clone());
        let _disarm = OnDrop(move || {
            let scheduler = scheduler.clone();
            tokio::spawn(async move {
                // one that has rung is gone already
                let _ = scheduler.remove(&id).await;
            });
        });
        // an error means that the scheduler dropped the job: as good as a ring, for whoever looks at the clock then
        let _ = rang.await;
        Ok(())
    }
}

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now().saturating_add(self.ahead).unwrap_or_else(|_| Timestamp::now())
    }

    async fn wait_until(&self, at: Timestamp) {
        loop {
            let wait = at.duration_since(self.now()).min(LONGEST_WAIT);
            if !wait.is_positive() {
                return;
            }
            let wait = wait.unsigned_abs();
            if let Err(error) = self.sleep(wait).await {
                tracing::warn!(%error, "the scheduler does not take the time; waiting without it");
                tokio::time::sleep(wait).await;
            }
        }
    }
}

/// A one-shot goes when nobody waits for it any more.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[tokio::test]
    async fn waits_for_real_and_never_too_short() {
        let clock = SystemClock::start(SignedDuration::from_hours(1000)).await.unwrap();
        let (began, at) = (Instant::now(), clock.now() + SignedDuration::from_millis(700));
        clock.wait_until(clock.now()).await;
        assert!(began.elapsed() < Duration::from_millis(500), "what is past is not waited for");
        clock.wait_until(at).await;
        assert!(clock.now() >= at);
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn a_wait_that_is_given_up_leaves_others_alone() {
        let clock = SystemClock::start(SignedDuration::ZERO).await.unwrap();
        let given_up = tokio::time::timeout(
            Duration::from_millis(100),
            clock.wait_until(clock.now() + SignedDuration::from_hours(1)),
        );
        assert!(given_up.await.is_err());
        let at = clock.now() + SignedDuration::from_millis(300);
        tokio::time::timeout(Duration::from_secs(20), clock.wait_until(at)).await.unwrap();
    }
}
