//! Periods: `5 years`, `18 months`, `90 days`, `P5Y3M`.

use jiff::{Span, Timestamp, civil::Date, tz::TimeZone};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A length of calendar time of at least zero days. Years and months stay calendar units; weeks are days.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String")]
#[serde(try_from = "String")]
pub struct Period {
    pub years: u16,
    pub months: u16,
    pub days: u32,
}

/// Why a text is not a period, with what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct PeriodError {
    /// For example "`6m` is ambiguous".
    pub problem: String,
    /// For example "write `6 months`; units below a day are not supported".
    pub help: String,
}

impl Period {
    pub const fn of_days(days: u32) -> Self {
        Self { years: 0, months: 0, days }
    }

    /// The moment that lies this long before another, by the calendar of a time zone.
    pub fn before(self, moment: Timestamp, zone: &TimeZone) -> Timestamp {
        let span = self.span().and_then(|span| moment.to_zoned(zone.clone()).checked_sub(span));
        span.map_or(Timestamp::MIN, |before| before.timestamp())
    }

    /// The moment that lies this long after another, by the calendar of a time zone.
    pub fn after(self, moment: Timestamp, zone: &TimeZone) -> Timestamp {
        let span = self.span().and_then(|span| moment.to_zoned(zone.clone()).checked_add(span));
        span.map_or(Timestamp::MAX, |after| after.timestamp())
    }

    /// The day that lies this long after another.
    pub fn after_day(self, day: Date) -> Date {
        self.span().ok().and_then(|span| day.checked_add(span).ok()).unwrap_or(Date::MAX)
    }

    fn span(self) -> Result<Span, jiff::Error> {
        Span::new().try_years(self.years)?.try_months(self.months)?.try_days(self.days)
    }
}

impl fmt::Display for Period {
    /// In words: `5 years 3 months`, `0 days`.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let unit = |count: u32, name: &str| match count {
            0 => None,
            1 => Some(format!("1 {name}")),
            _ => Some(format!("{count} {name}s")),
        };
        let parts = [unit(self.years.into(), "year"), unit(self.months.into(), "month"), unit(self.days, "day")];
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        f.write_str(if parts.is_empty() { "0 days" } else { "" })?;
        f.write_str(&parts.join(" "))
    }
}

impl From<Period> for String {
    fn from(period: Period) -> Self {
        period.to_string()
    }
}

impl TryFrom<String> for Period {
    type Error = PeriodError;

    fn try_from(text: String) -> Result<Self, PeriodError> {
        text.parse()
    }
}

/// A calendar unit and how it may be written, in any case of letters. The first word is the one shown.
struct Unit {
    words: &'static [&'static str],
    /// Its letter in ISO 8601.
    letter: char,
    /// The most digits its count may have, so that every sum stays in range.
    digits: usize,
}

/// From the largest to the smallest. `m` is missing on purpose: it could be minutes.
const UNITS: [Unit; 4] = [
    Unit { words: &["years", "year", "yrs", "yr", "y"], letter: 'Y', digits: 4 },
    Unit { words: &["months", "month", "mos", "mo"], letter: 'M', digits: 4 },
    Unit { words: &["weeks", "week", "wks", "wk", "w"], letter: 'W', digits: 4 },
    Unit { words: &["days", "day", "d"], letter: 'D', digits: 5 },
];

/// The greatest number of days.
const MOST_DAYS: u32 = 99_999;

/// Units that a period cannot have.
const TOO_SMALL: &[&str] = &[
    "h", "hr", "hrs", "hour", "hours", "min", "mins", "minute", "minutes", "s", "sec", "secs", "second", "seconds",
    "ms", "us", "ns",
];

const SPACE: [char; 4] = [' ', '\t', '\r', '\n'];

impl Period {
    /// A regular expression (ECMA 262) of the texts that can be read as a period, for JSON Schema.
    pub fn pattern() -> String {
        const SPACE: &str = "[ \\t\\r\\n]*";
        let letters = |word: &str| -> String {
            let either_case = |c: char| format!("[{}{}]", c.to_ascii_uppercase(), c.to_ascii_lowercase());
            word.chars().map(either_case).collect()
        };
        let and = letters("and");
        let words = UNITS.iter().map(|Unit { words, digits, .. }| {
            let words: Vec<_> = words.iter().copied().map(letters).collect();
            let words = words.join("|");
            let separator = format!("(?:(?:,|{and}(?![A-Za-z])){SPACE}(?=[0-9]))?");
            format!("(?:[0-9]{{1,{digits}}}{SPACE}(?:{words})(?![A-Za-z]){SPACE}{separator})?")
        });
        let letter = |unit: &Unit| format!("(?:[0-9]{{1,{}}}{})?", unit.digits, letters(&unit.letter.to_string()));
        let (words, iso): (String, String) = (words.collect(), UNITS.iter().map(letter).collect());
        format!("^{SPACE}(?:(?=[0-9]){words}|[Pp](?=[0-9]){iso}{SPACE})$")
    }
}

impl std::str::FromStr for Period {
    type Err = PeriodError;

    fn from_str(text: &str) -> Result<Self, PeriodError> {
        let mut text = text.trim_matches(SPACE);
        if text.is_empty() {
            return Err(error("the period is empty", None));
        }
        if text.starts_with(['-', '+', '−']) {
            return Err(error(format!("`{text}` has a sign"), Some("a period is a length of time, at least `0 days`")));
        }
        let iso = text.strip_prefix(['P', 'p']);
        if let Some(rest) = iso {
            text = rest;
        }
        let mut counts = [None; UNITS.len()];
        while !text.is_empty() {
            let (count, unit, rest) = part(text, iso.is_some())?;
            if counts[unit..].iter().any(Option::is_some) {
                let problem = format!("`{} {}` stands in the wrong place", count, UNITS[unit].words[0]);
                return Err(error(problem, Some("name each unit once, years before months before weeks before days")));
            }
            counts[unit] = Some(count);
            text = if iso.is_some() { rest } else { separator(rest)? };
        }
        if counts.iter().all(Option::is_none) {
            return Err(error("`P` alone is not a period", None));
        }
        let [years, months, weeks, days] = counts.map(Option::unwrap_or_default);
        let days = weeks * 7 + days;
        if days > MOST_DAYS {
            return Err(error(format!("{days} days are too many"), Some("count in years or months")));
        }
        let small = |count: u32| u16::try_from(count).unwrap_or(u16::MAX);
        Ok(Self { years: small(years), months: small(months), days })
    }
}

/// A count with its unit, the unit as an index of [`UNITS`], and the rest of the text.
fn part(text: &str, iso: bool) -> Result<(u32, usize, &str), PeriodError> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    if digits.is_empty() {
        let (hours, ago) = (iso && text.starts_with(['T', 't']), text.to_ascii_lowercase().starts_with("ago"));
        return Err(match () {
            () if hours => error("a period has no unit below a day", Some("end it with days, such as `P30D`")),
            () if ago => error("a period has no direction", Some("leave out `ago`")),
            () => error(format!("expected a number, found `{}`", word_of(text)), None),
        });
    }
    if rest.starts_with(['.', ',']) && rest[1..].starts_with(|c: char| c.is_ascii_digit()) {
        let problem = format!("`{digits}{}` is a fraction", word_of(rest));
        return Err(error(problem, Some("use a smaller unit: `18 months` instead of `1.5 years`")));
    }
    let rest = if iso { rest } else { rest.trim_start_matches(SPACE) };
    let end = if iso { rest.chars().next().map_or(0, char::len_utf8) } else { letters_of(rest) };
    let (word, rest) = rest.split_at(end);
    let lower = word.to_lowercase();
    let found = UNITS.iter().position(|unit| match iso {
        true => unit.letter.eq_ignore_ascii_case(&word.chars().next().unwrap_or(' ')),
        false => unit.words.contains(&lower.as_str()),
    });
    let Some(unit) = found else {
        return Err(match lower.as_str() {
            "" => {
                error(format!("`{digits}` has no unit"), Some("write for example `5 years`, `18 months` or `90 days`"))
            }
            "m" => {
                let help = format!("write `{digits} months`; units below a day are not supported");
                error(format!("`{digits}{word}` is ambiguous: minutes or months"), Some(&help))
            }
            small if TOO_SMALL.contains(&small) => {
                error(format!("`{word}` is a unit below a day"), Some("periods count in days, weeks, months and years"))
            }
            _ => error(format!("`{word}` is not a unit"), Some("the units are years, months, weeks and days")),
        });
    };
    match digits.parse() {
        Ok(count) if digits.len() <= UNITS[unit].digits => Ok((count, unit, rest)),
        _ => Err(error(format!("`{digits} {}` is too long", UNITS[unit].words[0]), None)),
    }
}

/// Skips what stands between two parts: space, a comma or `and`.
fn separator(rest: &str) -> Result<&str, PeriodError> {
    let rest = rest.trim_start_matches(SPACE);
    let joined = match rest.strip_prefix(',') {
        Some(after) => Some(after),
        None if rest[..letters_of(rest)].eq_ignore_ascii_case("and") => Some(&rest["and".len()..]),
        None => None,
    };
    match joined.map(|after| after.trim_start_matches(SPACE)) {
        Some(after) if !after.starts_with(|c: char| c.is_ascii_digit()) => {
            Err(error(format!("expected a number after `{}`", word_of(rest)), None))
        }
        Some(after) => Ok(after),
        None => Ok(rest),
    }
}

fn letters_of(text: &str) -> usize {
    text.find(|c: char| !c.is_alphabetic()).unwrap_or(text.len())
}

fn word_of(text: &str) -> &str {
    text.split(SPACE).next().unwrap_or_default()
}

fn error(problem: impl Into<String>, help: Option<&str>) -> PeriodError {
    let help = help.unwrap_or("write for example `5 years`, `1 year 6 months`, `90 days` or `P5Y3M`").to_owned();
    PeriodError { problem: problem.into(), help }
}

/// A period, or another one while a switch is on. The first `when` whose switch is on wins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeriodChoice {
    pub default: Period,
    pub when: Vec<(Switch, Period)>,
}

/// A fact outside the rows that changes a period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Switch {
    /// A parameter that is true: it holds for all rows.
    Parameter(String),
    /// The row's starting point lies in one of the fiscal years whose last days the parameter lists.
    FiscalYearEndingIn(String),
}

/// A parameter of `sunset.yaml`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Parameter {
    Flag(bool),
    /// Last days of fiscal years.
    Days(Vec<Date>),
    /// The day of the year on which fiscal years end. The 29th of February is one.
    DayOfYear {
        month: i8,
        day: i8,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn period(years: u16, months: u16, days: u32) -> Period {
        Period { years, months, days }
    }

    #[test]
    fn reads_words_and_iso() {
        for (text, expected) in [
            ("5 years", period(5, 0, 0)),
            ("5 Years", period(5, 0, 0)),
            ("18 months", period(0, 18, 0)),
            ("18mo", period(0, 18, 0)),
            ("90 days", period(0, 0, 90)),
            ("90d", period(0, 0, 90)),
            ("2 weeks", period(0, 0, 14)),
            ("2w", period(0, 0, 14)),
            ("5y", period(5, 0, 0)),
            ("1y6mo", period(1, 6, 0)),
            ("1 year 6 months", period(1, 6, 0)),
            ("5 years, 3 months", period(5, 3, 0)),
            ("5 years and 3 months\n", period(5, 3, 0)),
            ("1 week 3 days", period(0, 0, 10)),
            ("0 days", period(0, 0, 0)),
            ("P0D", period(0, 0, 0)),
            ("P5Y3M", period(5, 3, 0)),
            ("p2w", period(0, 0, 14)),
            ("P1Y2M3W4D", period(1, 2, 25)),
        ] {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn refuses_the_rest_with_help() {
        let problem = |text: &str| text.parse::<Period>().expect_err(text).problem;
        assert_eq!(problem("6m"), "`6m` is ambiguous: minutes or months");
        assert_eq!(problem("6 M"), "`6M` is ambiguous: minutes or months");
        assert_eq!(
            "6m".parse::<Period>().expect_err("6m").help,
            "write `6 months`; units below a day are not supported"
        );
        assert_eq!(problem("36h"), "`h` is a unit below a day");
        assert_eq!(problem("PT36H"), "a period has no unit below a day");
        assert_eq!(problem("-3 days"), "`-3 days` has a sign");
        assert_eq!(problem("1.5 years"), "`1.5` is a fraction");
        assert_eq!(problem("P1,5Y"), "`1,5Y` is a fraction");
        assert_eq!(problem("3 days ago"), "a period has no direction");
        assert_eq!(problem("seven years"), "expected a number, found `seven`");
        assert_eq!(problem("7 yaers"), "`yaers` is not a unit");
        assert_eq!(problem("5"), "`5` has no unit");
        assert_eq!(problem(""), "the period is empty");
        assert_eq!(problem("P"), "`P` alone is not a period");
        assert_eq!(problem("3 months 5 years"), "`5 years` stands in the wrong place");
        assert_eq!(problem("1 year 2 years"), "`2 years` stands in the wrong place");
        assert_eq!(problem("99999999999999999999 years"), "`99999999999999999999 years` is too long");
        assert_eq!(problem("9999 weeks 99999 days"), "169992 days are too many");
        assert_eq!(problem("5 years,"), "expected a number after `,`");
    }

    fn periods() -> impl Strategy<Value = Period> {
        (0..=9999u16, 0..=9999u16, 0..=MOST_DAYS).prop_map(|(years, months, days)| period(years, months, days))
    }

    proptest! {
        #[test]
        fn what_is_shown_can_be_read(period in periods()) {
            prop_assert_eq!(period.to_string().parse(), Ok(period));
        }

        #[test]
        fn iso_can_be_read(period in periods()) {
            let Period { years, months, days } = period;
            prop_assert_eq!(format!("P{years}Y{months}M{days}D").parse(), Ok(period));
        }

        #[test]
        fn never_panics(text in any::<String>(), close in "[P0-9 .,+-]{0,4}[a-zA-Zé日 ,]{0,8}[0-9 ]{0,3}[a-z]{0,6}") {
            let _ = text.parse::<Period>();
            let _ = close.parse::<Period>();
        }
    }
}
