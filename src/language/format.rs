//! Kinds of text: each with its check, and the regular expression that tells an editor the same.

use crate::{
    clock::{period::Period, window::Window},
    diagnostic::Code,
    language::{
        rate::Rate,
        schedule,
        shape::{Fault, Format, Pattern},
    },
};

use jiff::{civil::Date, tz::TimeZone};
use std::time::Duration;

/// Free text. YAML takes `no` for text and `2024` for a number, so the type is what mostly goes wrong here.
pub static TEXT: Format = Format {
    what: "text",
    pattern: Pattern::Fixed("[^ \\t\\r\\n]"),
    example: "contract management",
    code: Code::WrongType,
    check: |text| if text.trim().is_empty() { Err(Fault::new("the text is empty")) } else { Ok(()) },
    secret: false,
};

pub static NAME: Format = Format {
    what: "a name",
    pattern: Pattern::Fixed("^[a-z][a-z0-9]*(?:[-_][a-z0-9]+)*$"),
    example: "lapsed-customers",
    code: Code::BadName,
    check: |text| match is_name(text) {
        true => Ok(()),
        false => Err(Fault::new(format!("`{text}` cannot be a name"))
            .help("small letters and digits, beginning with a letter, words joined by `-` or `_`")),
    },
    secret: false,
};

pub static JOB_NAME: Format = Format {
    what: "a job's name",
    pattern: Pattern::Fixed("^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"),
    example: "demo",
    code: Code::BadName,
    check: |text| {
        let first = text.starts_with(|c: char| c.is_ascii_alphanumeric());
        let all = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        if first && all && text.len() <= 64 {
            Ok(())
        } else {
            Err(Fault::new("this cannot be a job's name")
                .help("up to 64 letters, digits, `.`, `_` and `-`, beginning with a letter or digit"))
        }
    },
    secret: false,
};

/// Also the names that databases give: nearly anything.
pub static COLUMN: Format = Format {
    what: "a column's name",
    pattern: Pattern::Fixed("^[^\\u0000-\\u001F\\u007F]{1,128}$"),
    example: "contract_ended_on",
    code: Code::BadName,
    check: |text| match text {
        "" => Err(Fault::new("the column's name is empty")),
        text if text.chars().count() > 128 || text.bytes().any(|byte| byte.is_ascii_control()) => {
            Err(Fault::new("this cannot be a column's name"))
        }
        _ => Ok(()),
    },
    secret: false,
};

pub static TABLE: Format = Format {
    what: "a table (`database.table` or `database.schema.table`)",
    pattern: Pattern::Fixed("^[a-z][a-z0-9]*(?:[-_][a-z0-9]+)*(?:\\.[^.\"'`\\[\\]\\u0000-\\u001F\\u007F]+){1,2}$"),
    example: "core.customers",
    code: Code::BadName,
    check: |text| path(text, 1, 2, "database.table"),
    secret: false,
};

pub static RELATED_COLUMN: Format = Format {
    what: "a column of another table (`database.table.column` or `database.schema.table.column`)",
    pattern: Pattern::Fixed("^[a-z][a-z0-9]*(?:[-_][a-z0-9]+)*(?:\\.[^.\"'`\\[\\]\\u0000-\\u001F\\u007F]+){2,3}$"),
    example: "core.orders.delivered_on",
    code: Code::BadName,
    check: |text| path(text, 2, 3, "database.table.column"),
    secret: false,
};

pub static DATA_CATEGORY: Format = Format {
    what: "a key of the fideslang taxonomy",
    pattern: Pattern::Fixed("^[a-z0-9_]+(?:\\.[a-z0-9_]+)*$"),
    example: "user.contact.email",
    code: Code::BadName,
    check: |text| {
        let small = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        if text.split('.').all(|part| !part.is_empty() && part.bytes().all(small)) {
            Ok(())
        } else {
            Err(Fault::new(format!("`{text}` cannot be a data category")))
        }
    },
    secret: false,
};

pub static CALLING_CODE: Format = Format {
    what: "a country's calling code",
    pattern: Pattern::Fixed("^[1-9][0-9]{0,2}$"),
    example: "81",
    code: Code::BadName,
    check: |text| match text.len() <= 3
        && !text.starts_with('0')
        && text.parse::<u16>().is_ok()
        && !text.starts_with('+')
    {
        true => Ok(()),
        false => Err(Fault::new(format!("`{text}` cannot be a calling code")).help("digits alone, such as `\"81\"`")),
    },
    secret: false,
};

pub static LANGUAGE: Format = Format {
    what: "a language tag",
    pattern: Pattern::Fixed("^[a-z]{2,3}(?:-[A-Za-z0-9]{2,8})*$"),
    example: "ja",
    code: Code::BadName,
    check: |text| {
        let mut parts = text.split('-');
        let first = parts.next().unwrap_or_default();
        let fits = (2..=3).contains(&first.len())
            && first.bytes().all(|byte| byte.is_ascii_lowercase())
            && parts.all(|part| (2..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        if fits {
            Ok(())
        } else {
            Err(Fault::new(format!("`{text}` is not a language tag")).help("for example `en`, `ja`"))
        }
    },
    secret: false,
};

pub static PERIOD: Format = Format {
    what: "a period",
    pattern: Pattern::Made(Period::pattern),
    example: "5 years",
    code: Code::BadPeriod,
    check: |text| match text.parse::<Period>() {
        Ok(_) => Ok(()),
        Err(error) => Err(Fault::new(error.problem).help(error.help)),
    },
    secret: false,
};

pub static DATE: Format = Format {
    what: "a date",
    pattern: Pattern::Fixed(
        "^[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-9]))$",
    ),
    example: "2026-03-31",
    code: Code::BadDate,
    check: |text| match date(text) {
        Some(_) => Ok(()),
        None => Err(Fault::new(format!("`{text}` is not a date"))),
    },
    secret: false,
};

pub static MONTH_DAY: Format = Format {
    what: "a day of the year (`MM-DD`)",
    pattern: Pattern::Fixed(
        "^(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-9]))$",
    ),
    example: "03-31",
    code: Code::BadDate,
    check: |text| match month_day(text) {
        Some(_) => Ok(()),
        None => Err(Fault::new(format!("`{text}` is not a day of the year")).help("month and day, such as `03-31`")),
    },
    secret: false,
};

pub static FISCAL_YEAR_END: Format = Format {
    what: "a day of the year (`MM-DD`), or a parameter that is one",
    pattern: Pattern::Fixed(
        "^(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-9])|[a-z][a-z0-9]*(?:[-_][a-z0-9]+)*)$",
    ),
    example: "03-31",
    code: Code::BadDate,
    check: |text| match is_name(text) {
        true => Ok(()),
        false => (MONTH_DAY.check)(text),
    },
    secret: false,
};

pub static TIME_ZONE: Format =
    Format {
        what: "a time zone",
        pattern: Pattern::Fixed("^[A-Za-z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+)*$"),
        example: "Asia/Tokyo",
        code: Code::UnknownTimeZone,
        check: |text| {
            let fits = text.starts_with(|c: char| c.is_ascii_alphabetic())
                && text.split('/').all(|part| {
                    !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_+-".contains(&byte))
                });
            match fits && TimeZone::get(text).is_ok() {
                true => Ok(()),
                false => Err(Fault::new(format!("unknown time zone `{text}`"))
                    .help("an IANA name such as `Asia/Tokyo` or `UTC`")),
            }
        },
        secret: false,
    };

pub static SCHEDULE: Format = Format {
    what: "a five-field cron expression",
    pattern: Pattern::Made(schedule::pattern),
    example: "30 2 * * *",
    code: Code::BadSchedule,
    check: |text| schedule::parse(text).map(drop),
    secret: false,
};

pub static SHARE: Format = Format {
    what: "a share in percent",
    pattern: Pattern::Fixed("^(?!0+(?:\\.0+)? *%)(?:100(?:\\.0{1,6})?|[0-9]{1,2}(?:\\.[0-9]{1,6})?) *%$"),
    example: "5%",
    code: Code::BadLimit,
    check: |text| match percent(text) {
        Some(_) => Ok(()),
        None => {
            Err(Fault::new(format!("`{text}` is not a share")).help("above 0% and up to 100%, such as `5%` or `0.5%`"))
        }
    },
    secret: false,
};

pub static DURATION: Format = Format {
    what: "a duration",
    pattern: Pattern::Fixed("^[1-9][0-9]{0,5} *(?:ms|milliseconds?|s|secs?|seconds?|min|minutes?|h|hours?)$"),
    example: "30 s",
    code: Code::BadLimit,
    check: |text| match duration(text) {
        Some(_) => Ok(()),
        None => Err(Fault::new(format!("`{text}` is not a duration"))
            .help("a whole number above 0 with `ms`, `s`, `min` or `h`, such as `50 ms` or `30 s`")),
    },
    secret: false,
};

pub static WINDOW: Format = Format {
    what: "a window of the day",
    pattern: Pattern::Fixed("^(?:[01][0-9]|2[0-3]):[0-5][0-9]-(?:(?:[01][0-9]|2[0-3]):[0-5][0-9]|24:00)$"),
    example: "02:00-05:00",
    code: Code::BadPace,
    check: |text| match Window::parse(text) {
        Some(_) => Ok(()),
        None => Err(Fault::new(format!("`{text}` is not a window of the day"))
            .help("two different times of day, such as `02:00-05:00`, or `22:00-04:00` over midnight")),
    },
    secret: false,
};

/// Sent as it stands, in a session that cannot write.
pub static QUERY: Format = Format {
    what: "a query",
    pattern: Pattern::Fixed("[^ \\t\\r\\n]"),
    example: "show global status like 'Threads_running'",
    code: Code::BadPace,
    check: |text| if text.trim().is_empty() { Err(Fault::new("the query is empty")) } else { Ok(()) },
    secret: false,
};

pub static TEMPLATE: Format = Format {
    what: "a replacement text",
    pattern: Pattern::Fixed("^(?:[^{}]|\\{key\\})*$"),
    example: "erased-{key}@invalid.example",
    code: Code::BadTemplate,
    check: |text| {
        let mut from = 0;
        while let Some(at) = text[from..].find(['{', '}']).map(|at| at + from) {
            if !text[at..].starts_with("{key}") {
                let end = text[at..].find('}').map_or(text.len(), |end| at + end + 1);
                let problem = match &text[at..end] {
                    "}" => "`}` without `{`".to_owned(),
                    placeholder => format!("unknown placeholder `{placeholder}`"),
                };
                let help = Some("`{key}`, the row's primary key, is the only one".to_owned());
                return Err(Fault { problem, help, range: Some(at..end) });
            }
            from = at + "{key}".len();
        }
        Ok(())
    },
    secret: false,
};

pub static CONDITION: Format = Format {
    what: "a boolean SQL expression",
    pattern: Pattern::Fixed("[^ \\t\\r\\n]"),
    example: "status = 'closed'",
    code: Code::BadCondition,
    check: |text| if text.trim().is_empty() { Err(Fault::new("the condition is empty")) } else { Ok(()) },
    secret: false,
};

/// A value in a condition: any text at all.
pub static VALUE: Format = Format {
    what: "text",
    pattern: Pattern::Fixed(""),
    example: "closed",
    code: Code::BadCondition,
    check: |_| Ok(()),
    secret: false,
};

pub static URL: Format = Format {
    what: "a database's URL",
    pattern: Pattern::Fixed("[^ \\t\\r\\n]"),
    example: "${CORE_URL}",
    code: Code::BadUrl,
    check: |text| if text.trim().is_empty() { Err(Fault::new("the URL is empty")) } else { Ok(()) },
    secret: true,
};

pub static PATH: Format = Format {
    what: "a file's path",
    pattern: Pattern::Fixed("[^ \\t\\r\\n]"),
    example: "state/sunset.db",
    code: Code::BadUrl,
    check: |text| if text.trim().is_empty() { Err(Fault::new("the path is empty")) } else { Ok(()) },
    secret: true,
};

pub static KEY: Format = Format {
    what: "a key from a variable or a file",
    pattern: Pattern::Fixed("\\$\\{"),
    example: "${file:/run/secrets/sunset/tag.key}",
    code: Code::SecretInRules,
    check: |text| match text.contains("${") {
        true => Ok(()),
        false => Err(Fault::new("a key stands in the file")
            .help("put it into a variable or file, and `${NAME}` or `${file:/path}` here")),
    },
    secret: true,
};

pub static IDENTIFIER: Format = Format {
    what: "an identifier's name",
    pattern: Pattern::Fixed("^[a-z][a-z0-9]*(?:_[a-z0-9]+)*$"),
    example: "customer",
    code: Code::BadName,
    check: |text| match is_name(text) && !text.contains('-') {
        true => Ok(()),
        false => Err(Fault::new(format!("`{text}` cannot be an identifier's name"))
            .help("small letters and digits, beginning with a letter, words joined by `_`")),
    },
    secret: false,
};

pub static RECIPIENT_URL: Format = Format {
    what: "a recipient's URL",
    pattern: Pattern::Fixed("[^ \\t\\r\\n]"),
    example: "https://api.example.com",
    code: Code::BadUrl,
    check: |text| if text.trim().is_empty() { Err(Fault::new("the URL is empty")) } else { Ok(()) },
    secret: true,
};

/// Text that may hold variables, for what is neither a secret nor a decision over rows.
pub static SETTING: Format = Format {
    what: "text, perhaps with variables",
    pattern: Pattern::Fixed("[^ \\t\\r\\n]"),
    example: "1234567890",
    code: Code::WrongType,
    check: |text| if text.trim().is_empty() { Err(Fault::new("the text is empty")) } else { Ok(()) },
    secret: true,
};

pub static POINTER: Format = Format {
    what: "a JSON pointer",
    pattern: Pattern::Fixed("^(?:/(?:[^~/]|~[01])*)+$"),
    example: "/status",
    code: Code::BadName,
    check: |text| {
        let escaped = |part: &str| part.split('~').skip(1).all(|after| after.starts_with(['0', '1']));
        match text.strip_prefix('/') {
            Some(rest) if rest.split('/').all(escaped) => Ok(()),
            _ => Err(Fault::new(format!("`{text}` is not a JSON pointer")).help("for example `/status` (RFC 6901)")),
        }
    },
    secret: false,
};

/// Where a reply has a list: the whole reply may be one.
pub static LIST_POINTER: Format = Format {
    what: "a JSON pointer to a list",
    pattern: Pattern::Fixed("^(?:/(?:[^~/]|~[01])*)*$"),
    example: "/data",
    check: |text| if text.is_empty() { Ok(()) } else { (POINTER.check)(text) },
    code: Code::BadName,
    secret: false,
};

pub static RATE: Format = Format {
    what: "a rate",
    pattern: Pattern::Fixed("^[1-9][0-9]{0,5} per (?:second|minute|hour|day)$"),
    example: "10 per second",
    code: Code::BadLimit,
    check: |text| match rate(text) {
        Some(_) => Ok(()),
        None => Err(Fault::new(format!("`{text}` is not a rate"))
            .help("so many `per second`, `per minute`, `per hour` or `per day`")),
    },
    secret: false,
};

/// `10 per second`.
pub fn rate(text: &str) -> Option<Rate> {
    let (calls, unit) = text.split_once(" per ")?;
    let digits = !calls.starts_with('0') && calls.len() <= 6 && calls.bytes().all(|byte| byte.is_ascii_digit());
    let calls = calls.parse().ok().filter(|_| digits)?;
    Some(match unit {
        "second" => Rate::per_second(calls),
        "minute" => Rate::per_minute(calls),
        "hour" => Rate::per_hour(calls),
        "day" => Rate::per_day(calls),
        _ => return None,
    })
}

fn is_name(text: &str) -> bool {
    let small = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.split(['-', '_']).all(|part| !part.is_empty() && part.bytes().all(small))
}

/// A database's name and so many names behind it.
fn path(text: &str, least: usize, most: usize, form: &str) -> Result<(), Fault> {
    let parts: Vec<_> = text.split('.').collect();
    let (database, names) = parts.split_first().unwrap_or((&"", &[]));
    let wrong = |c: char| c.is_ascii_control() || "\"'`[]".contains(c);
    let problem = match () {
        () if !(least..=most).contains(&names.len()) => format!("`{text}` is not of the form `{form}`"),
        () if !is_name(database) => format!("`{database}` cannot be a database's name"),
        () if names.iter().any(|name| name.is_empty() || name.contains(wrong)) => {
            format!("`{text}` has an empty or quoted part")
        }
        () => return Ok(()),
    };
    Err(Fault::new(problem).help(format!("write `{form}`, with the database's name in sunset.yaml, without quotes")))
}

/// `2026-03-31`.
pub fn date(text: &str) -> Option<Date> {
    let digits = text.len() == 10
        && text.bytes().enumerate().all(|(index, byte)| match index {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    digits.then(|| text.parse().ok()).flatten()
}

/// Month and day of `03-31`. The 29th of February is one: it stands for the month's last day.
pub fn month_day(text: &str) -> Option<(i8, i8)> {
    let leap = date(&format!("2024-{text}"))?;
    Some((leap.month(), leap.day()))
}

/// Above 0, up to 100, of `5%`.
pub fn percent(text: &str) -> Option<f64> {
    let number = text.strip_suffix('%')?.trim_end_matches(' ');
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits =
        |text: &str, most: usize| (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    let value: f64 = number.parse().ok()?;
    let fits = digits(fraction, 6) && (digits(whole, 2) || whole == "100");
    (fits && value > 0.0 && value <= 100.0).then_some(value)
}

/// Of `50 ms`, `30 s`, `5 minutes`.
pub fn duration(text: &str) -> Option<Duration> {
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    let (digits, unit) = (&text[..end], text[end..].trim_start_matches(' '));
    if digits.is_empty() || digits.len() > 6 || digits.starts_with('0') {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    Some(match unit {
        "ms" | "millisecond" | "milliseconds" => Duration::from_millis(number),
        "s" | "sec" | "secs" | "second" | "seconds" => Duration::from_secs(number),
        "min" | "minute" | "minutes" => Duration::from_secs(number * 60),
        "h" | "hour" | "hours" => Duration::from_secs(number * 3600),
        _ => return None,
    })
}
