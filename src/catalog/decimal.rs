//! Exact decimal numbers of any length, as literals are written: comparing, and rounding down.

use std::{cmp::Ordering, fmt};

/// More places than this on either side of the point are nobody's number.
const MOST_PLACES: i64 = 2000;

/// A number as its decimal digits: `digits` times ten to the power of `exponent`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decimal {
    negative: bool,
    /// Without zeros at either end; empty for zero.
    digits: Vec<u8>,
    exponent: i64,
}

impl Decimal {
    /// Reads `-12`, `0.50` or `1.5e-7`; nothing else, no blanks.
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, unsigned) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.len() + fraction.len() == 0 || !all_digits(whole) || !all_digits(fraction) {
            return None;
        }
        let digits = whole.bytes().chain(fraction.bytes()).map(|byte| byte - b'0').collect();
        let places = i64::try_from(fraction.len()).ok()?;
        if exponent.abs() > MOST_PLACES || i64::try_from(mantissa.len()).ok()? > MOST_PLACES {
            return None;
        }
        Some(Self::new(negative, digits, exponent - places))
    }

    fn new(negative: bool, mut digits: Vec<u8>, mut exponent: i64) -> Self {
        while digits.last() == Some(&0) {
            digits.pop();
            exponent += 1;
        }
        let zeros = digits.iter().take_while(|digit| **digit == 0).count();
        digits.drain(..zeros);
        if digits.is_empty() {
            return Self { negative: false, digits, exponent: 0 };
        }
        Self { negative, digits, exponent }
    }

    /// The whole number that it is.
    pub fn whole(&self) -> Option<i128> {
        if self.exponent < 0 || self.exponent > 38 {
            return None;
        }
        self.to_string().parse().ok()
    }

    /// The greatest number with so many decimal places that is not above it. Negative places round to tens, hundreds, ….
    #[must_use]
    pub fn floor(&self, places: i64) -> Self {
        let dropped = usize::try_from(-places - self.exponent).unwrap_or(0);
        if dropped == 0 {
            return self.clone();
        }
        let kept = self.digits.len().saturating_sub(dropped);
        let mut digits = self.digits[..kept].to_vec();
        if self.negative {
            // away from zero
            match digits.iter().rposition(|digit| *digit < 9) {
                Some(last) => {
                    digits[last] += 1;
                    digits[last + 1..].fill(0);
                }
                None => digits = std::iter::once(1).chain(digits.iter().map(|_| 0)).collect(),
            }
        }
        Self::new(self.negative, digits, -places)
    }

    /// Digits before the point; fewer than none for zeros behind it.
    pub fn magnitude(&self) -> i64 {
        i64::try_from(self.digits.len()).unwrap_or(i64::MAX).saturating_add(self.exponent)
    }
}

impl From<i64> for Decimal {
    fn from(number: i64) -> Self {
        let digits = number.unsigned_abs().to_string().bytes().map(|byte| byte - b'0').collect();
        Self::new(number < 0, digits, 0)
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        let sign = |number: &Self| match (number.digits.is_empty(), number.negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        };
        let absolute = || {
            // digits without trailing zeros compare like words
            (self.magnitude()).cmp(&other.magnitude()).then_with(|| self.digits.cmp(&other.digits))
        };
        sign(self).cmp(&sign(other)).then_with(|| match sign(self) {
            0 => Ordering::Equal,
            1 => absolute(),
            _ => absolute().reverse(),
        })
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Decimal {
    /// Without an exponent.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        if self.digits.is_empty() {
            return f.write_str("0");
        }
        let mut text: String = self.digits.iter().map(|digit| char::from(b'0' + digit)).collect();
        if let Ok(zeros) = usize::try_from(self.exponent) {
            text.push_str(&"0".repeat(zeros));
        } else {
            let places = usize::try_from(-self.exponent).unwrap_or(0);
            if text.len() <= places {
                text.insert_str(0, &"0".repeat(places + 1 - text.len()));
            }
            text.insert(text.len() - places, '.');
        }
        write!(f, "{}{text}", if self.negative { "-" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::Decimal;

    fn decimal(text: &str) -> Decimal {
        Decimal::parse(text).unwrap()
    }

    #[test]
    fn numbers_are_read_and_written() {
        for (text, written) in [
            ("0", "0"),
            ("-0.00", "0"),
            ("007", "7"),
            ("1.50", "1.5"),
            (".5", "0.5"),
            ("-12e3", "-12000"),
            ("15e-4", "0.0015"),
            ("18446744073709551616", "18446744073709551616"),
        ] {
            assert_eq!(decimal(text).to_string(), written, "{text}");
        }
        for text in ["", "-", ".", "1e", "1 ", "0x10", "1_000", "nan", "inf", "１", "1e99999"] {
            assert_eq!(Decimal::parse(text), None, "{text}");
        }
    }

    #[test]
    fn numbers_are_rounded_down() {
        for (text, places, floor) in [
            ("0.005", 2, "0"),
            ("-0.005", 2, "-0.01"),
            ("-0.995", 2, "-1"),
            ("9.999", 0, "9"),
            ("-9.999", 0, "-10"),
            ("1234", -2, "1200"),
            ("-1234", -2, "-1300"),
            ("-3", -2, "-100"),
            ("1.5", 3, "1.5"),
        ] {
            assert_eq!(decimal(text).floor(places), decimal(floor), "{text} at {places}");
        }
    }

    proptest::proptest! {
        #[test]
        fn numbers_compare_as_integers_do(a in -1_000_000_i64..1_000_000, b in -1_000_000_i64..1_000_000) {
            // thousandths
            let text = |n: i64| format!("{}{}.{:03}", if n < 0 { "-" } else { "" }, n.abs() / 1000, n.abs() % 1000);
            proptest::prop_assert_eq!(decimal(&text(a)).cmp(&decimal(&text(b))), a.cmp(&b));
            let floor = decimal(&text(a)).floor(1);
            proptest::prop_assert_eq!(floor, decimal(&text(a.div_euclid(100) * 100)));
        }
    }
}
