//! Phone numbers as databases hold them, for vendors that want them with their country.

use super::{Answer, Misfit, RecipientSettings, Subject};
use crate::rules::{
    format,
    shape::{Field, Shape},
};

/// What a text is as a phone number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phone {
    /// Digits with the country's calling code, without `+`.
    Number(String),
    /// It begins with 0, as no international number does, and no calling code is known: it names nobody, or somebody else.
    National,
    /// It is too short or too long for a phone number.
    Nothing,
}

/// The digits of an international number (ITU-T E.164).
const DIGITS: std::ops::RangeInclusive<usize> = 5..=15;

impl Phone {
    pub fn number(self) -> Option<String> {
        if let Self::Number(number) = self { Some(number) } else { None }
    }
}

/// Completes a number.
///
/// What begins with `+` or `00` has its country. Anything else is taken for a number of `country` (digits, such as `81`),
/// whose own leading zeros go; without `country`, it is taken for complete, unless it begins with 0.
pub fn international(text: &str, country: Option<&str>) -> Phone {
    let text = text.trim();
    let digits: String = text.chars().filter_map(digit).collect();
    let own = digits.trim_start_matches('0');
    let complete = text.starts_with(['+', '＋']) || digits.starts_with("00");
    let number = match country {
        _ if own.is_empty() => return Phone::Nothing,
        Some(country) if !complete => format!("{country}{own}"),
        None if !complete && digits.starts_with('0') => return Phone::National,
        _ => own.to_owned(),
    };
    if DIGITS.contains(&number.len()) { Phone::Number(number) } else { Phone::Nothing }
}

/// The setting that names the calling code of numbers without one.
pub const fn setting(example: &'static str) -> Field {
    Field {
        name: COUNTRY,
        required: false,
        doc: "The calling code of phone numbers that have none; without it, such numbers are taken for complete.",
        shape: Shape::Text(&format::SETTING),
        example,
    }
}

/// As [`setting`] calls it.
pub const COUNTRY: &str = "country_calling_code";

/// What stands in the settings.
///
/// # Errors
/// It is no calling code; `example` is one.
pub fn country(settings: &RecipientSettings, example: &str) -> Result<Option<String>, Misfit> {
    match settings.options.text(COUNTRY) {
        None => Ok(None),
        Some(code) if matches!(code.len(), 1..=3) && code.bytes().all(|byte| byte.is_ascii_digit()) => {
            Ok(Some(code.to_owned()))
        }
        Some(_) => Err(Misfit {
            at: vec![COUNTRY],
            problem: "this is no calling code".to_owned(),
            help: format!("one to three digits, such as `{example}`"),
        }),
    }
}

/// The refusal of a person whose `phone` is of an unknown country; `setting` would name the country.
pub fn refused(subject: &Subject, country: Option<&str>, setting: &str) -> Option<Answer> {
    let is_national = international(subject.get("phone")?, country) == Phone::National;
    is_national.then(|| Answer::refused(format!("not asked: the phone number has no calling code; set `{setting}`")))
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
            ("＋８１９０１２３４５６７８", Some("49"), "819012345678"),
            (" 1 (555) 987-6543 ", None, "15559876543"),
        ] {
            assert_eq!(international(text, country), Phone::Number(wanted.to_owned()), "{text}");
        }
        for nothing in ["", "-", "000", "call me", "+1", "+1234567890123456"] {
            assert_eq!(international(nothing, Some("81")), Phone::Nothing, "{nothing}");
        }
        for national in ["090-1234-5678", "０９０１２３４５６７８", "(03) 4405 7597"] {
            assert_eq!(international(national, None), Phone::National, "{national}");
        }
    }
}
