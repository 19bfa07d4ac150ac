//! Moments at which a debug build can be made to die or to wait, so that tests can see what the next run makes of it, or
//! what it makes of others that come between.
//!
//! `SUNSET_FAILPOINT=after_intent:2` ends the process, as a power cut would, when it reaches that moment for the second
//! time. `SUNSET_STOP=after_keys:/path` makes the file when it reaches that moment for the first time, and goes on when
//! the file is gone. Release builds have nothing of this.

use std::{
    env,
    path::PathBuf,
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// All moments, in the order in which a run comes to them.
pub const MOMENTS: &[&str] = &[
    "before_recovery",
    "after_recovery",
    "before_lease",
    "after_lease",
    "before_call",
    "after_call",
    "after_answer",
    "before_statement",
    "after_statement",
    "before_intent",
    "after_intent",
    "after_commit",
    "before_outcome",
    "after_outcome",
    "before_checkpoint",
    "after_checkpoint",
];

/// Moments of a run that removes a whole partition.
pub const PARTITION_MOMENTS: &[&str] = &[
    "before_partition_recovery",
    "partition_locked",
    "partition_exchanged",
    "partition_announced",
    "partition_removed",
    "partition_committed",
    "before_partition_outcome",
    "partition_returns",
    "partition_returned",
];

/// Moments of a run that adds rows up before they go.
pub const AGGREGATE_MOMENTS: &[&str] = &["before_survey", "after_survey", "before_totals", "after_totals"];

/// Moments of a run that counts the groups of anonymized rows.
pub const GROUP_MOMENTS: &[&str] = &["before_groups", "after_measure", "after_groups"];

/// Moments of a batch that locks and changes rows together with their dependents.
pub const DEPENDENT_MOMENTS: &[&str] =
    &["before_keys", "after_keys", "dependents_locked", "asked_again", "dependents_changed"];

/// The process is at this moment, one of the lists above.
pub fn reach(moment: &'static str) {
    let all = [MOMENTS, PARTITION_MOMENTS, AGGREGATE_MOMENTS, GROUP_MOMENTS, DEPENDENT_MOMENTS];
    debug_assert!(all.iter().any(|moments| moments.contains(&moment)), "{moment} is not listed");
    if cfg!(debug_assertions) {
        die_at(moment);
        stop_at(moment);
    }
}

fn stop_at(moment: &str) {
    /// The moment, and the file; taken when it has been passed.
    static ARMED: OnceLock<Mutex<Option<(String, PathBuf)>>> = OnceLock::new();
    let armed = ARMED.get_or_init(|| {
        let text = env::var("SUNSET_STOP").ok();
        let armed = text.and_then(|text| text.split_once(':').map(|(moment, file)| (moment.to_owned(), file.into())));
        Mutex::new(armed)
    });
    let mut armed = armed.lock().unwrap_or_else(PoisonError::into_inner);
    let Some((_, file)) = armed.take_if(|armed| armed.0 == moment) else { return };
    let made = std::fs::write(&file, "");
    while made.is_ok() && file.exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn die_at(moment: &str) {
    /// The moment, and how often it is still to be passed.
    static ARMED: OnceLock<Option<(String, AtomicU64)>> = OnceLock::new();
    let armed = ARMED.get_or_init(|| {
        let text = env::var("SUNSET_FAILPOINT").ok()?;
        let (moment, times) = text.split_once(':')?;
        Some((moment.to_owned(), AtomicU64::new(times.parse().ok()?)))
    });
    if let Some((wanted, times)) = armed
        && wanted == moment
        && times.fetch_sub(1, Ordering::Relaxed) == 1
    {
        std::process::abort();
    }
}
