//! Phone numbers as databases hold them, for vendors that want them with their country (ITU-T E.164).
//!
//! Which digits are a trunk prefix, and how long numbers of a country are, is known to Google's libphonenumber, in its port
//! `rlibphonenumber`. What is done here comes before it: Japanese databases hold digits of full width, and a field may
//! hold more than one number, an extension or words, which name nobody for certain.

use super::{Answer, Misfit, RecipientSettings, Subject, google};
use crate::language::{
    format,
    shape::{Field, Shape},
};
use rlibphonenumber::{PHONE_NUMBER_UTIL, PhoneNumberFormat};

/// What a text is as a phone number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phone {
    /// Digits with the country's calling code, without `+`.
    Number(String),
    /// It begins with 0, as no international number does, and no calling code is known: it names nobody, or somebody else.
    National,
    /// It is no phone number: it has letters, or no country has numbers of its length.
    Nothing,
}

impl Phone {
    pub fn number(self) -> Option<String> {
        if let Self::Number(number) = self { Some(number) } else { None }
    }
}

/// Completes a number.
///
/// What begins with `+` or `00` has its country. Anything else is taken for a number of `country` (digits, such as `81`),
/// whose own trunk prefix goes; without `country`, it is taken for complete, unless it begins with 0. Whether somebody has
/// the number, or could have it, is not asked.
pub fn international(text: &str, country: Option<&str>) -> Phone {
    let Some((has_plus, digits)) = dialled(text) else { return Phone::Nothing };
    let complete = if has_plus { Some(digits.as_str()) } else { digits.strip_prefix("00") };
    let number = match (complete, country) {
        (Some(number), _) => e164(&format!("+{number}"), None),
        (None, Some(country)) => e164(&digits, Some(country)),
        (None, None) if digits.starts_with('0') => return Phone::National,
        (None, None) => e164(&format!("+{digits}"), None),
    };
    number.map_or(Phone::Nothing, Phone::Number)
}

/// The digits in which the number of a text is written: with its country, after what is dialled before countries, and as it
/// is dialled at home. `None` where the text is no number, or one of an unknown country.
pub fn spellings(text: &str, country: &str) -> Option<Vec<String>> {
    let number = international(text, Some(country)).number()?;
    let parsed = PHONE_NUMBER_UTIL.parse(format!("+{number}"), None).ok()?;
    let code = parsed.country_code.to_string();
    let national = number.strip_prefix(&code)?;
    let dialled = PHONE_NUMBER_UTIL.format(&parsed, PhoneNumberFormat::National);
    let dialled: String = dialled.chars().filter_map(digit).collect();
    // `+81 (0)90 …` has the digits of both
    let mut after_code = vec![format!("0{national}"), dialled.clone()];
    // libphonenumber takes `+54 … 15 …` for the number of today, which has a 9 instead
    after_code.extend(dialled.strip_prefix('0').map(str::to_owned));
    let is_same = |text: &str, home: Option<&str>| e164(text, home).as_ref() == Some(&number);
    // another one may have these digits
    after_code.retain(|digits| is_same(&format!("+{code}{digits}"), None));
    if code == MEXICO {
        // mobile numbers had a 1 before their ten digits until 2019
        after_code.extend((national.len() == 10).then(|| format!("1{national}")));
        after_code.extend(national.strip_prefix('1').filter(|rest| rest.len() == 10).map(str::to_owned));
    }
    let mut all: Vec<String> = Vec::new();
    for before in ["", "00", "010", "011"] {
        all.push(format!("{before}{number}"));
        all.extend(after_code.iter().map(|digits| format!("{before}{code}{digits}")));
    }
    if code == country {
        let with_zero = Some(format!("0{national}")).filter(|digits| is_same(digits, Some(country)));
        all.extend(with_zero.into_iter().chain([dialled, national.to_owned()]));
        // Brazil dials the number of a carrier before that of the place
        let carriers = (11..=99).filter(|_| code == BRAZIL);
        let carried = carriers.map(|carrier| format!("0{carrier}{national}"));
        all.extend(carried.filter(|digits| is_same(digits, Some(country))));
    }
    all.sort();
    all.dedup();
    Some(all)
}

const BRAZIL: &str = "55";
const MEXICO: &str = "52";

/// The country of this calling code, the largest where several share it.
fn region(code: &str) -> Option<rlibphonenumber::Region> {
    let digits = code.bytes().all(|byte| byte.is_ascii_digit());
    PHONE_NUMBER_UTIL.get_region_for_country_code(code.parse().ok().filter(|_| digits)?)
}

/// The digits with the country's, where a number of that country may have this length.
fn e164(text: &str, country: Option<&str>) -> Option<String> {
    let region = match country {
        Some(code) => Some(region(code)?),
        None => None,
    };
    let number = PHONE_NUMBER_UTIL.parse(text, region).ok()?;
    if !PHONE_NUMBER_UTIL.is_possible_number(&number) {
        return None;
    }
    let text = PHONE_NUMBER_UTIL.format(&number, PhoneNumberFormat::E164);
    text.strip_prefix('+').map(str::to_owned)
}

/// Whether a `+` comes first, and the digits after it; `None` where there is anything that does not group digits.
fn dialled(text: &str) -> Option<(bool, String)> {
    let text = text.trim();
    let text = text.strip_prefix("tel:").unwrap_or(text).trim_start();
    let rest = text.strip_prefix(['+', '＋']);
    let mut digits = String::new();
    for letter in rest.unwrap_or(text).chars() {
        match digit(letter) {
            Some(digit) => digits.push(digit),
            None if letter.is_whitespace() || "-()./·‐‑‒–—―−ー－ｰ（）．・".contains(letter) => {}
            // marks that spreadsheets leave beside a number are not seen
            None if "\u{200b}\u{200e}\u{200f}\u{202a}\u{202c}\u{feff}".contains(letter) => {}
            None => return None,
        }
    }
    (!digits.is_empty()).then_some((rest.is_some(), digits))
}

/// The setting that names the calling code of numbers without one.
pub const fn setting(example: &'static str) -> Field {
    Field::optional(
        COUNTRY,
        "The calling code of phone numbers that have none; without it, they are taken for complete, and refused where they begin with 0.",
        Shape::Text(&format::SETTING),
        example,
    )
}

/// As [`setting`] calls it.
pub const COUNTRY: &str = "country_calling_code";

/// What stands in the settings as [`setting`].
///
/// # Errors
/// It is no calling code; `example` is one.
pub fn country(settings: &RecipientSettings, example: &str) -> Result<Option<String>, Misfit> {
    calling_code(settings, COUNTRY, example)
}

/// The calling code that stands in the settings under this key, as a number or a text.
///
/// # Errors
/// It is none; `example` is one.
pub fn calling_code(settings: &RecipientSettings, key: &'static str, example: &str) -> Result<Option<String>, Misfit> {
    let Some(node) = settings.options.node(key) else { return Ok(None) };
    let code = google::digits_of(node).filter(|code| is_calling_code(code));
    let misfit = || Misfit {
        at: vec![key],
        problem: "this is no calling code of a country".to_owned(),
        help: format!("digits alone, such as `{example}`"),
    };
    code.map(Some).ok_or_else(misfit)
}

/// A country has this calling code.
pub fn is_calling_code(code: &str) -> bool {
    region(code).is_some()
}

/// The refusal of a person whose `phone` is of an unknown country; `setting` would name the country.
pub fn refused(subject: &Subject, country: Option<&str>, setting: &str) -> Option<Answer> {
    let is_national = international(subject.get("phone")?, country) == Phone::National;
    is_national.then(|| Answer::refused(format!("not asked: the phone number has no calling code; set `{setting}`")))
}

/// Of full width, too.
fn digit(letter: char) -> Option<char> {
    let value =
        letter.to_digit(10).or_else(|| u32::from(letter).checked_sub(u32::from('０')).filter(|value| *value < 10))?;
    char::from_digit(value, 10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipients::identity::vectors;

    #[test]
    fn a_number_gets_its_country() {
        for (text, country, wanted) in [
            ("+81 90-1234-5678", None, "819012345678"),
            ("+81 90-1234-5678", Some("49"), "819012345678"),
            ("+81 (0)90-1234-5678", None, "819012345678"),
            ("0081 (90) 1234 5678", Some("49"), "819012345678"),
            ("010-81-90-1234-5678", Some("81"), "819012345678"),
            ("81-90-1234-5678", Some("81"), "819012345678"),
            ("090-1234-5678", Some("81"), "819012345678"),
            ("9012345678", Some("81"), "819012345678"),
            ("tel:090-1234-5678", Some("81"), "819012345678"),
            ("\u{202a}090‑1234‑5678\u{202c}", Some("81"), "819012345678"),
            ("＋８１９０１２３４５６７８", Some("49"), "819012345678"),
            (" 1 (555) 987-6543 ", None, "15559876543"),
            // Italy's numbers keep their 0, and Russia's begin with 8 at home
            ("06 1234 5678", Some("39"), "390612345678"),
            ("8 (912) 345-67-89", Some("7"), "79123456789"),
        ] {
            assert_eq!(international(text, country), Phone::Number(wanted.to_owned()), "{text}");
        }
        for nothing in [
            "",
            "-",
            "000",
            "call me",
            "+1",
            "+1234567890123456",
            "12345",
            "090-1234-5678 内線 5",
            "090-1234-5678 x5",
            "090-1234-5678, 03-1234-5678",
            "090-1234-5678/080-1234-5678",
            "1-800-FLOWERS",
            "090+1234+5678",
        ] {
            assert_eq!(international(nothing, Some("81")), Phone::Nothing, "{nothing}");
        }
        for national in ["090-1234-5678", "０９０１２３４５６７８", "(03) 4405 7597"] {
            assert_eq!(international(national, None), Phone::National, "{national}");
        }
        for vector in vectors::of("phonenumbers") {
            let number = international(&vector.text, vector.calling_code.as_deref());
            assert_eq!(number, vector.wanted.map_or(Phone::Nothing, Phone::Number), "{}", vector.text);
        }
        for (text, country, spelled) in [
            ("+44 20 7946 0958", "81", "4402079460958"),
            ("06 20 123 4567", "36", "06201234567"),
            ("+52 55 1234 5678", "52", "5215512345678"),
            ("+54 9 11 1234-5678", "54", "54111512345678"),
            ("(11) 96123-4567", "55", "02111961234567"),
        ] {
            let all = spellings(text, country).unwrap();
            assert!(all.contains(&spelled.to_owned()), "{text}: {all:?}");
        }
        // an Italian number with a zero is another one
        let mobile = spellings("+39 347 123 4567", "39").unwrap();
        assert!(!mobile.contains(&"3903471234567".to_owned()), "{mobile:?}");
        assert!(["81", "1", "39", "998"].iter().all(|code| is_calling_code(code)));
        assert!(["0", "", "999", "x", "+81", "12345"].iter().all(|code| !is_calling_code(code)), "no country has it");
    }
}
