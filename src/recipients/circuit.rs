//! The circuit breaker: a recipient that is down is not asked thousands of times.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// So many calls in a row without an answer open it.
const FAILURES: u32 = 5;

/// It stays open for so long; then one call tries.
const PAUSE: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub struct Circuit {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    open_until: Option<Instant>,
}

impl Circuit {
    /// Whether a call may be made.
    ///
    /// # Errors
    /// Not now: when.
    pub fn admit(&self) -> Result<(), Duration> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        match state.open_until {
            Some(until) if now < until => Err(until - now),
            Some(_) => {
                // This call tries; the others wait for what it finds.
                state.open_until = Some(now + PAUSE);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Somebody answered, whatever it was.
    pub fn answered(&self) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = State::default();
    }

    /// Nobody answered.
    pub fn failed(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.failures = state.failures.saturating_add(1);
        if state.failures >= FAILURES {
            state.open_until = Some(Instant::now() + PAUSE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn opens_after_failures_in_a_row_and_tries_with_one_call() {
        let circuit = Circuit::default();
        for _ in 1..FAILURES {
            circuit.failed();
        }
        circuit.answered();
        for _ in 0..FAILURES {
            circuit.admit().unwrap();
            circuit.failed();
        }
        assert!(circuit.admit().unwrap_err() <= PAUSE);
        tokio::time::advance(PAUSE).await;
        circuit.admit().unwrap();
        circuit.admit().unwrap_err();
        circuit.answered();
        circuit.admit().unwrap();
    }
}
