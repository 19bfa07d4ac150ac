//! Numbers for people.

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
