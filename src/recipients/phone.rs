//! Phone numbers as databases hold them, for vendors that want them with their country.

/// A number's digits with its country's calling code, without `+`; `None` where there is no digit.
///
/// What begins with `+` or `00` has its country. Anything else is taken for a number of `country` (digits, such as `81`),
/// whose own leading zeros go; without `country`, it is taken for complete.
pub fn international(text: &str, country: Option<&str>) -> Option<String> {
    let text = text.trim();
    let digits: String = text.chars().filter_map(digit).collect();
    let own = digits.trim_start_matches('0');
    if own.is_empty() {
        return None;
    }
    let complete = text.starts_with(['+', '＋']) || digits.starts_with("00");
    Some(match country {
        Some(country) if !complete => format!("{country}{own}"),
        _ => own.to_owned(),
    })
}

/// Japanese databases hold digits of full width, too.
fn digit(c: char) -> Option<char> {
    let value = c.to_digit(10).or_else(|| u32::from(c).checked_sub(u32::from('０')).filter(|value| *value < 10))?;
    char::from_digit(value, 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_gets_its_country() {
        for (text, country, wanted) in [
            ("+81 90-1234-5678", None, "819012345678"),
            ("+81 90-1234-5678", Some("49"), "819012345678"),
            ("0081 (90) 1234 5678", Some("49"), "819012345678"),
            ("090-1234-5678", Some("81"), "819012345678"),
            ("9012345678", Some("81"), "819012345678"),
            ("090-1234-5678", None, "9012345678"),
            ("＋８１９０１２３４５６７８", Some("49"), "819012345678"),
            (" 1 (555) 987-6543 ", None, "15559876543"),
        ] {
            assert_eq!(international(text, country).as_deref(), Some(wanted), "{text}");
        }
        for nothing in ["", "-", "000", "call me"] {
            assert_eq!(international(nothing, Some("81")), None, "{nothing}");
        }
    }
}
