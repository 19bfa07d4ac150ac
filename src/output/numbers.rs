//! Numbers for people.

use crate::{database::groups::GroupCounts, plan::Groups};
use std::fmt::Write as _;

/// With commas: `1,234,567`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `–` for what is not known or does not apply.
pub fn count_or_dash(number: Option<u64>) -> String {
    number.map_or_else(|| "–".to_owned(), count)
}

/// A duration to its first useful unit: `0.3 s`, `2 min 5 s`, `1 h 20 min`.
pub fn seconds(seconds: f64) -> String {
    if seconds < 60.0 {
        return format!("{seconds:.1} s");
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a duration in whole seconds")]
    let whole = seconds.round() as u64;
    match (whole / 3600, whole % 3600 / 60, whole % 60) {
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

/// `1 person`, `1,234 persons`.
pub fn persons(number: u64) -> String {
    match number {
        1 => "1 person".to_owned(),
        number => format!("{} persons", count(number)),
    }
}

/// `12 groups; 3 more have fewer than 10 persons and are left out; 25 rows go uncounted`.
pub(super) fn group_counts(groups: &Groups, at_least: u64) -> String {
    let mut text = format!("{} groups", count(groups.kept));
    if groups.suppressed > 0 {
        let _ = write!(text, "; {} more have fewer than {at_least} persons and are left out", count(groups.suppressed));
    }
    if groups.rows_left_out > 0 {
        let _ = write!(text, "; {} rows go uncounted", count(groups.rows_left_out));
    }
    text
}

/// `30 rows in 4 groups, the smallest of 2; 1 group is too small (2 rows)`.
pub(super) fn small_groups(groups: &GroupCounts) -> String {
    let GroupCounts { rows, groups, smallest, below, rows_below, held_below } = groups;
    if *groups == 0 {
        return "none".to_owned();
    }
    let many =
        |number: u64, one: &str, more: &str| format!("{} {}", count(number), if number == 1 { one } else { more });
    let mut text = many(*rows, "row", "rows");
    let _ = write!(text, " in {}, the smallest of {}; ", many(*groups, "group", "groups"), count(*smallest));
    match below {
        0 => text.push_str("none is too small"),
        _ => {
            let small = many(*below, "group is too small", "groups are too small");
            let _ = write!(text, "{small} ({})", many(*rows_below, "row", "rows"));
        }
    }
    if *held_below > 0 {
        let _ = write!(text, ", {} held", count(*held_below));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_three() {
        assert_eq!([0, 12, 999, 1000, 1_234_567].map(count), ["0", "12", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn durations_keep_two_units_at_most() {
        assert_eq!([0.04, 59.94, 125.0, 4800.0].map(seconds), ["0.0 s", "59.9 s", "2 min 5 s", "1 h 20 min"]);
    }
}
