//! Work that was left, in words.

use super::numbers::count;
use crate::run::{Behind, Forecast};

/// `12,000 due rows were not come to: customers 10,000 (at 120 rows a second), orders 2,000. At this pace 3 more runs clear
/// them, the last on 2026-11-25; what becomes due meanwhile is not counted.`
pub fn forecast(left: &Forecast) -> String {
    let rule = |(rule, behind): (&String, &Behind)| {
        let rate = behind.rows_per_second.map(|rate| format!(" (at {} rows a second)", rounded(rate)));
        format!("{rule} {}{}", count(behind.rows), rate.unwrap_or_default())
    };
    let rules: Vec<_> = left.rules.iter().map(rule).collect();
    let clears = match (left.runs, left.clears_on) {
        (Some(1), None) => "At this pace one more run clears them".to_owned(),
        (Some(1), Some(day)) => format!("At this pace one more run clears them, on {day}"),
        (Some(runs), None) => format!("At this pace {} more runs clear them", count(runs)),
        (Some(runs), Some(day)) => format!("At this pace {} more runs clear them, the last on {day}", count(runs)),
        (None, _) => return format!("{} due rows were not come to: {}.", count(left.rows), rules.join(", ")),
    };
    format!(
        "{} due rows were not come to: {}. {clears}; what becomes due meanwhile is not counted.",
        count(left.rows),
        rules.join(", ")
    )
}

/// Whole rows, or a fraction of one.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "rows a second")]
fn rounded(rate: f64) -> String {
    if rate < 10.0 { format!("{rate:.1}") } else { count(rate.round() as u64) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn a_backlog_has_its_forecast() {
        let behind = |rows, rows_per_second| Behind { rows, rows_per_second };
        let mut left = Forecast {
            rows: 12_000,
            rules: BTreeMap::from([
                ("customers".to_owned(), behind(10_000, Some(1234.5))),
                ("mails".to_owned(), behind(1000, Some(0.25))),
                ("orders".to_owned(), behind(1000, None)),
            ]),
            runs: Some(3),
            clears_on: Some(jiff::civil::date(2026, 11, 25)),
        };
        let rules = "12,000 due rows were not come to: customers 10,000 (at 1,235 rows a second), mails 1,000 (at 0.2 rows \
                     a second), orders 1,000.";
        assert_eq!(
            forecast(&left),
            format!(
                "{rules} At this pace 3 more runs clear them, the last on 2026-11-25; what becomes due meanwhile is not \
                 counted."
            )
        );
        left.runs = Some(1);
        left.clears_on = None;
        let words = "At this pace one more run clears them; what becomes due meanwhile is not counted.";
        assert_eq!(forecast(&left), format!("{rules} {words}"));
        left.runs = None;
        assert_eq!(forecast(&left), rules);
    }
}
