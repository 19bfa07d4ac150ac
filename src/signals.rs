//! Signals that ask the program to stop. They are listened for before anything else is done, so that whoever asks is heard
//! while the program still starts.

use crate::outcome::Outcome;
use std::io;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What a shell calls the end by SIGINT.
const INTERRUPTED: i32 = 130;

/// SIGTERM and SIGINT.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Listens from now on, inside a runtime.
    ///
    /// # Errors
    /// The system does not allow it.
    pub fn listen() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for the next one; one that came meanwhile counts.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Cancelled by the first one: the open batch is finished, nothing new is begun.
    pub fn into_token(mut self) -> CancellationToken {
        let stop = CancellationToken::new();
        let token = stop.clone();
        tokio::spawn(async move {
            self.next().await;
            tracing::warn!("asked to stop; the open batch is finished first");
            token.cancel();
        });
        stop
    }

    /// The first one ends the process at once: for commands that leave nothing half done.
    pub fn end_at_once(mut self) {
        tokio::spawn(async move {
            let code = tokio::select! {
                _ = self.terminate.recv() => i32::from(Outcome::Temporary.code()),
                _ = self.interrupt.recv() => INTERRUPTED,
            };
            std::process::exit(code)
        });
    }
}
