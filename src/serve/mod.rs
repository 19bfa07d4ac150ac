//! `sunset serve`: a long-running worker where no CronJob is. It runs rules by their schedules, reads changed rule files,
//! and answers over HTTP with health, metrics and pages.

pub mod agenda;
pub mod board;
pub mod clock;
pub mod runner;
pub mod scheduler;
