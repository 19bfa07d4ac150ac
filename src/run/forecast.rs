//! Backlog: work that a run left for want of time, and when that clears at its pace.

use crate::{
    clock::window::Standing,
    language::schedule,
    settings::{Pace, Settings},
};
use jiff::{Timestamp, ToSpan as _, civil::Date};
use serde::Serialize;
use std::{collections::BTreeMap, time::Duration};

/// Nobody plans further ahead, in runs.
const FORESIGHT: u64 = 1000;

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Forecast {
    /// Due rows that the run did not come to.
    pub rows: u64,
    pub rules: BTreeMap<String, Behind>,
    /// After so many more runs nothing is left, at this run's pace. What becomes due meanwhile is not counted. `None`
    /// where the run did nothing that tells its pace, or far too many are needed.
    pub runs: Option<u64>,
    /// The day of the last of these, where schedule or window tell when runs are.
    pub clears_on: Option<Date>,
}

/// A rule's part of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Behind {
    pub rows: u64,
    /// What this run disposed of, in its waits as well as in its work; `None` where that is nothing.
    pub rows_per_second: Option<f64>,
}

/// What a run did for one rule.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    pub rule: &'a str,
    /// Due rows that it did not come to.
    pub left: u64,
    pub disposed: u64,
    pub took: Duration,
}

impl Forecast {
    /// What a run left, seen at `now`; `None` where that is nothing.
    pub fn of(rules: &[Progress<'_>], settings: &Settings, now: Timestamp) -> Option<Self> {
        let rows = rules.iter().map(|rule| rule.left).sum();
        if rows == 0 {
            return None;
        }
        let runs = runs(rules, &settings.pace).filter(|runs| *runs <= FORESIGHT);
        let behind = rules.iter().filter(|rule| rule.left > 0).map(|rule| {
            let behind = Behind { rows: rule.left, rows_per_second: rate(rule.disposed, rule.took) };
            (rule.rule.to_owned(), behind)
        });
        let clears_on = runs.and_then(|runs| nth_run(runs, settings, now));
        Some(Self { rows, rules: behind.collect(), runs, clears_on })
    }
}

/// How many runs of the same length as this one clear what is left. Rules that did nothing are taken to be as fast as the
/// others were together.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a forecast")]
fn runs(rules: &[Progress<'_>], pace: &Pace) -> Option<u64> {
    let worked = rules.iter().filter(|rule| rule.disposed > 0);
    let (disposed, took) =
        worked.fold((0, Duration::ZERO), |(disposed, took), rule| (disposed + rule.disposed, took + rule.took));
    let overall = rate(disposed, took)?;
    let needs = |rule: &Progress<'_>| rule.left as f64 / rate(rule.disposed, rule.took).unwrap_or(overall);
    let needed: f64 = rules.iter().map(needs).sum();
    let window = pace.window.map(|window| window.length());
    let a_run = pace.run_time.into_iter().chain(window).min().unwrap_or(took);
    Some((needed / a_run.as_secs_f64()).ceil().max(1.0) as u64)
}

#[expect(clippy::cast_precision_loss, reason = "a forecast")]
fn rate(disposed: u64, took: Duration) -> Option<f64> {
    (disposed > 0 && !took.is_zero()).then(|| disposed as f64 / took.as_secs_f64())
}

/// The day of the nth run from now on: by the schedule, or one in each window.
fn nth_run(n: u64, settings: &Settings, now: Timestamp) -> Option<Date> {
    let zone = &settings.time_zone;
    if let Some(schedule) = &settings.schedule {
        let schedule = schedule::parse(schedule).ok()?;
        let mut at = now;
        for _ in 0..n {
            at = schedule.next(at, zone)?;
        }
        return Some(at.to_zoned(zone.clone()).date());
    }
    let window = settings.pace.window?;
    let opens = match window.at(now, zone) {
        Standing::Closed { opens } => opens,
        Standing::Open { until } => match window.at(until, zone) {
            Standing::Closed { opens } => opens,
            Standing::Open { .. } => until,
        },
    };
    let days = i64::try_from(n).ok()? - 1;
    opens.to_zoned(zone.clone()).date().checked_add(days.days()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{diagnostic::Severity, settings};
    use std::path::Path;

    fn settings(yaml: &str) -> Settings {
        let text = format!("time_zone: Asia/Tokyo\ndatabases: {{core: \"sqlite:x\"}}\n{yaml}");
        let mut found = Vec::new();
        let parsed = settings::parse(Path::new("/jobs/demo"), "f", &text, &|_| None, Severity::Error, &mut found);
        parsed.unwrap_or_else(|| panic!("{found:?}"))
    }

    fn progress(rule: &str, left: u64, disposed: u64, seconds: u64) -> Progress<'_> {
        Progress { rule, left, disposed, took: Duration::from_secs(seconds) }
    }

    fn forecast(rules: &[Progress<'_>], yaml: &str) -> Option<(u64, Option<u64>, Option<String>)> {
        let now = "2026-11-22T05:00:00+09:00".parse().unwrap();
        let backlog = Forecast::of(rules, &settings(yaml), now)?;
        Some((backlog.rows, backlog.runs, backlog.clears_on.map(|day| day.to_string())))
    }

    #[test]
    fn nothing_left_is_no_backlog() {
        assert_eq!(forecast(&[progress("a", 0, 100, 10)], ""), None);
        assert_eq!(forecast(&[], ""), None);
    }

    #[test]
    fn runs_like_this_one_are_counted() {
        // 100 rows a second; 1,000 seconds' worth is left
        let rules = [progress("a", 100_000, 10_000, 100)];
        assert_eq!(forecast(&rules, ""), Some((100_000, Some(10), None)));
        assert_eq!(forecast(&rules, "pace: {run_time: 5 min}"), Some((100_000, Some(4), None)));
        // the shorter of both, and one window a day
        let both = "pace: {run_time: 2 h, window: \"02:00-02:10\"}";
        assert_eq!(forecast(&rules, both), Some((100_000, Some(2), Some("2026-11-24".to_owned()))));
        // a schedule tells more: Mondays and Thursdays
        let schedule = format!("{both}\nschedule: 0 2 * * 1,4");
        assert_eq!(forecast(&rules, &schedule), Some((100_000, Some(2), Some("2026-11-26".to_owned()))));
        assert_eq!(forecast(&[progress("a", 1, 10_000, 100)], ""), Some((1, Some(1), None)));
    }

    #[test]
    fn rules_that_were_not_come_to_are_as_fast_as_the_others() {
        let rules = [progress("a", 0, 10_000, 100), progress("b", 20_000, 0, 0)];
        assert_eq!(forecast(&rules, "pace: {run_time: 100 s}"), Some((20_000, Some(2), None)));
        // each at its own rate where it has one: 100 s and 1,000 s
        let rules = [progress("a", 10_000, 10_000, 100), progress("b", 10_000, 1_000, 100)];
        assert_eq!(forecast(&rules, "pace: {run_time: 100 s}"), Some((20_000, Some(11), None)));
    }

    #[test]
    fn what_nothing_tells_is_left_open() {
        assert_eq!(forecast(&[progress("a", 100, 0, 5)], ""), Some((100, None, None)));
        let slow = [progress("a", 100_000_000, 1, 10)];
        assert_eq!(forecast(&slow, "pace: {run_time: 10 s}"), Some((100_000_000, None, None)));
    }
}
