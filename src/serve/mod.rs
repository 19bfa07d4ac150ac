//! `sunset serve`: a long-running worker where no CronJob is. It runs rules by their schedules, takes over changed files,
//! and answers over HTTP with health, metrics and pages.
//!
//! [`agenda`] knows what is due when, [`clock`] waits, [`scheduler`] brings both together and lets the [`runner`] run;
//! [`reload`] watches the files; [`board`] is what the server knows of itself, and [`http`] shows it.

pub mod access;
pub mod agenda;
pub mod board;
pub mod clock;
pub mod http;
pub mod pages;
pub mod reload;
pub mod runner;
pub mod scheduler;
mod thread;

use crate::{job::Job, ledger, outcome::Outcome, push::Targets, signals::Signals};
use access::Access;
use anyhow::Context as _;
use board::Board;
use clock::{Clock, SystemClock};
use http::{Server, Snapshots};
use jiff::{SignedDuration, Timestamp};
use reload::{Fingerprint, Reloader};
use runner::Disposer;
use scheduler::Scheduler;
use std::{path::PathBuf, sync::Arc, time::Duration};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::watch,
};
use tokio_util::sync::CancellationToken;

/// What a server is started with.
pub struct Start {
    pub directory: PathBuf,
    /// What the digest of the job's files must be.
    pub digest: Option<String>,
    /// Of the files that `job` was read from.
    pub fingerprint: Fingerprint,
    pub job: Arc<Job>,
    pub listener: TcpListener,
    pub access: Access,
    pub signals: Signals,
    /// How far its clock is ahead of the machine's.
    pub ahead: SignedDuration,
    /// After a signal to stop, runs have so long to finish what they are at.
    pub drain: Duration,
    pub targets: Targets,
}

/// Serves until a signal ends it: SIGTERM or SIGINT lets runs finish their open batches; another one ends at once.
///
/// # Errors
/// Signals or the scheduler cannot be set up.
pub async fn serve(start: Start) -> anyhow::Result<Outcome> {
    let mut signals = start.signals;
    let hangup = signal(SignalKind::hangup())?;
    let clock: Arc<dyn Clock> =
        Arc::new(SystemClock::start(start.ahead).await.context("the scheduler does not start")?);
    let board = Arc::new(Board::new(start.job.clone(), clock.now()));
    let (jobs, changed) = watch::channel(start.job.clone());
    let (draining, over) = (CancellationToken::new(), CancellationToken::new());

    let entries: ledger::Clock = Arc::new(Timestamp::now);
    let disposer = Arc::new(Disposer { clock: entries, targets: start.targets });
    let scheduler = Scheduler::new(clock.clone(), disposer, board.clone(), draining.clone()).await;
    let mut scheduler = tokio::spawn(scheduler.run(changed));
    let snapshots = Snapshots::default();
    let server = Arc::new(Server { board: board.clone(), clock: clock.clone(), access: start.access, snapshots });
    let server = tokio::spawn(server.run(start.listener, over.clone()));
    let reloader = Reloader {
        directory: start.directory,
        digest: start.digest,
        known: start.fingerprint,
        board: board.clone(),
        jobs,
        clock,
    };
    let reloader = tokio::spawn(reloader.run(hangup, draining.clone()));

    let outcome = tokio::select! {
        // it only ends when it is told to
        ended = &mut scheduler => {
            tracing::error!(reason = ended.err().map(|error| error.to_string()), "the scheduler broke down");
            Outcome::Unexpected
        }
        () = signals.next() => {
            let runs = board.read().running.len();
            tracing::warn!(runs, seconds = start.drain.as_secs(), "asked to stop; open batches are finished first");
            draining.cancel();
            tokio::select! {
                _ = &mut scheduler => Outcome::Done,
                () = tokio::time::sleep(start.drain) => {
                    tracing::error!("runs did not come to an end in time; the next start settles what is cut off");
                    Outcome::Temporary
                }
                () = signals.next() => {
                    tracing::error!("asked to stop again; the next start settles what is cut off");
                    Outcome::Temporary
                }
            }
        }
    };
    over.cancel();
    let _ = server.await;
    reloader.abort();
    Ok(outcome)
}
