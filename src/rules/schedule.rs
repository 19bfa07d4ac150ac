//! Schedules: five-field cron expressions with the meaning that a Kubernetes CronJob gives them.

use super::shape::Fault;
use croner::{
    Cron,
    parser::{CronParser, Seconds, Year},
};
use jiff::{Timestamp, civil::date, tz::TimeZone};

/// One field: its name, the least and greatest number, and the names that may stand for numbers.
struct Column {
    what: &'static str,
    least: u8,
    most: u8,
    names: &'static [&'static str],
}

const COLUMNS: [Column; 5] = [
    Column { what: "minute", least: 0, most: 59, names: &[] },
    Column { what: "hour", least: 0, most: 23, names: &[] },
    Column { what: "day of the month", least: 1, most: 31, names: &[] },
    Column {
        what: "month",
        least: 1,
        most: 12,
        names: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
    },
    Column { what: "day of the week", least: 0, most: 6, names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"] },
];

/// Reads a schedule. Minute, hour, day of the month, month, day of the week (0 is Sunday); when both days are given, one
/// of them is enough.
///
/// # Errors
///
/// What a CronJob would not take: other numbers of fields, numbers outside a field's range, `@daily`, `L`, `W`, `#`. And
/// what never comes, such as 30 February.
pub fn parse(text: &str) -> Result<Cron, Fault> {
    let fields: Vec<_> = text.split(SPACE).filter(|field| !field.is_empty()).collect();
    if fields.len() != COLUMNS.len() {
        let problem = format!("a schedule has five fields, this has {}", fields.len());
        return Err(Fault::new(problem).help("minute, hour, day of the month, month, day of the week: `30 2 * * *`"));
    }
    for (field, column) in fields.iter().zip(&COLUMNS) {
        check_field(field, column).map_err(|fault| {
            let start = field.as_ptr().addr() - text.as_ptr().addr();
            Fault { range: Some(start..start + field.len()), ..fault }
        })?;
    }
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    let cron = parser.parse(text).map_err(|error| Fault::new(error.to_string()))?;
    let start = date(2024, 1, 1).at(0, 0, 0, 0).to_zoned(jiff::tz::TimeZone::UTC);
    match start.map(|start| cron.find_next_occurrence(&start, true)) {
        Ok(Ok(_)) => Ok(cron),
        _ => Err(Fault::new("the schedule never comes").help("look at the day of the month and the month")),
    }
}

/// The first moment after `after` that the schedule names, by the wall clock of `zone`. A time of day that a change of
/// the clocks skips comes when they have changed; one that comes twice counts the first time. Schedules that name every
/// hour, or every so many, go on through both.
pub fn next(cron: &Cron, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    let found = cron.find_next_occurrence(&after.to_zoned(zone.clone()), false).ok()?;
    Some(found.timestamp())
}

/// The last such moment that is not after `until`.
pub fn last(cron: &Cron, until: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    let found = cron.find_previous_occurrence(&until.to_zoned(zone.clone()), true).ok()?;
    Some(found.timestamp())
}

const SPACE: [char; 2] = [' ', '\t'];

fn check_field(field: &str, column: &Column) -> Result<(), Fault> {
    let Column { what, least, most, names } = column;
    let help = || match names.first() {
        Some(name) => format!("the {what} is {least} to {most}, a name such as `{name}`, a range, a list, or `*`"),
        None => format!("the {what} is {least} to {most}, a range, a list, or `*`"),
    };
    let article = if *what == "hour" { "an" } else { "a" };
    let wrong = |part: &str| Fault::new(format!("`{part}` is not {article} {what}")).help(help());
    let number = |part: &str| -> Result<u8, Fault> {
        let name = names.iter().position(|name| part.eq_ignore_ascii_case(name));
        let name = name.and_then(|index| u8::try_from(index).ok()).map(|index| index + least);
        let digits = (1..=2).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
        let number = name.or_else(|| part.parse().ok().filter(|_| digits));
        number.filter(|number| (least..=most).contains(&number)).ok_or_else(|| wrong(part))
    };
    for item in field.split(',') {
        let (range, step) = item.split_once('/').map_or((item, None), |(range, step)| (range, Some(step)));
        if range != "*" {
            let (from, to) = range.split_once('-').map_or((range, None), |(from, to)| (from, Some(to)));
            let from = number(from)?;
            match to.map(number).transpose()? {
                Some(to) if to < from => return Err(Fault::new(format!("`{range}` runs backwards")).help(help())),
                Some(_) => {}
                None if step.is_some() => {
                    return Err(wrong(item).help(format!("write a range before the step, such as `{from}-{most}/5`")));
                }
                None => {}
            }
        }
        if let Some(step) = step {
            let digits = (1..=2).contains(&step.len()) && step.bytes().all(|byte| byte.is_ascii_digit());
            if !digits || step.bytes().all(|byte| byte == b'0') || step.parse::<u8>().is_ok_and(|step| step > *most) {
                return Err(wrong(item).help(format!("a step is 1 to {most}")));
            }
        }
    }
    Ok(())
}

/// A regular expression (ECMA 262) of what can be a schedule, for JSON Schema. It lets ranges that run backwards pass.
pub fn pattern() -> String {
    let columns = COLUMNS.iter().map(|column| {
        let numbers = (column.least..=column.most)
            .map(|number| if number < 10 { format!("0?{number}") } else { number.to_string() });
        let letters =
            |name: &&str| -> String { name.chars().map(|c| format!("[{}{c}]", c.to_ascii_uppercase())).collect() };
        let one =
            format!("(?:{})", numbers.rev().chain(column.names.iter().map(letters)).collect::<Vec<_>>().join("|"));
        let step = (1..=column.most).rev().map(|step| if step < 10 { format!("0?{step}") } else { step.to_string() });
        let step = format!("/(?:{})", step.collect::<Vec<_>>().join("|"));
        let item = format!("(?:\\*(?:{step})?|{one}-{one}(?:{step})?|{one})");
        format!("{item}(?:,{item})*")
    });
    format!("^[ \\t]*{}[ \\t]*$", columns.collect::<Vec<_>>().join("[ \\t]+"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_a_cronjob_takes() {
        for text in [
            "30 2 * * *",
            "*/15 0-6,22 1,15 JAN-mar mon-FRI",
            "0 0 29 2 *",
            "0  0 * *\t0",
            "05 00 01 01 6",
            "0-30/10 * * * *",
        ] {
            parse(text).unwrap_or_else(|fault| panic!("{text}: {fault:?}"));
        }
    }

    #[test]
    fn refuses_the_rest() {
        let problem = |text: &str| parse(text).expect_err(text).problem;
        assert_eq!(problem("0 30 2 * * *"), "a schedule has five fields, this has 6");
        assert_eq!(problem("@daily"), "a schedule has five fields, this has 1");
        assert_eq!(problem("60 2 * * *"), "`60` is not a minute");
        assert_eq!(problem("0 2 L * *"), "`L` is not a day of the month");
        assert_eq!(problem("0 2 * * 7"), "`7` is not a day of the week");
        assert_eq!(problem("0 2 * * mon#1"), "`mon#1` is not a day of the week");
        assert_eq!(problem("0 5-1 * * *"), "`5-1` runs backwards");
        assert_eq!(problem("0 2 30 2 *"), "the schedule never comes");
        assert_eq!(problem("*/0 2 * * *"), "`*/0` is not a minute");
        assert_eq!(problem("5/15 2 * * *"), "`5/15` is not a minute");
        assert_eq!(parse("0 25 * * *").expect_err("hour").range, Some(2..4));
    }

    /// The moments after `from`, as wall clock times with their offset.
    fn moments(text: &str, zone: &str, from: &str, number: usize) -> Vec<String> {
        let (cron, zone) = (parse(text).unwrap(), TimeZone::get(zone).unwrap());
        let mut at: Timestamp = from.parse().unwrap();
        let mut moment = || {
            at = next(&cron, at, &zone).unwrap();
            at.to_zoned(zone.clone()).strftime("%m-%d %H:%M %:z").to_string()
        };
        (0..number).map(|_| moment()).collect()
    }

    #[test]
    fn a_time_of_day_comes_once_a_day_when_the_clocks_change() {
        // Paris: 2026-03-29 02:00 is 03:00, 2026-10-25 03:00 is 02:00
        assert_eq!(
            moments("30 2 * * *", "Europe/Paris", "2026-03-27T12:00:00Z", 4),
            ["03-28 02:30 +01:00", "03-29 03:00 +02:00", "03-30 02:30 +02:00", "03-31 02:30 +02:00"]
        );
        assert_eq!(
            moments("30 2 * * *", "Europe/Paris", "2026-10-23T12:00:00Z", 4),
            ["10-24 02:30 +02:00", "10-25 02:30 +02:00", "10-26 02:30 +01:00", "10-27 02:30 +01:00"]
        );
        assert_eq!(
            moments("30 9 * * *", "Europe/Paris", "2026-10-24T00:00:00Z", 3),
            ["10-24 09:30 +02:00", "10-25 09:30 +01:00", "10-26 09:30 +01:00"]
        );
        // half an hour, in Lord Howe
        assert_eq!(
            moments("15 2 * * *", "Australia/Lord_Howe", "2026-10-02T00:00:00Z", 3),
            ["10-03 02:15 +10:30", "10-04 02:30 +11:00", "10-05 02:15 +11:00"]
        );
    }

    #[test]
    fn every_quarter_of_an_hour_goes_on_when_the_clocks_change() {
        let spring = moments("*/30 * * * *", "America/New_York", "2026-03-08T06:29:00Z", 4);
        assert_eq!(spring, ["03-08 01:30 -05:00", "03-08 03:00 -04:00", "03-08 03:30 -04:00", "03-08 04:00 -04:00"]);
        let autumn = moments("*/30 * * * *", "America/New_York", "2026-11-01T04:59:00Z", 6);
        let expected = ["01:00 -04:00", "01:30 -04:00", "01:00 -05:00", "01:30 -05:00", "02:00 -05:00", "02:30 -05:00"];
        assert_eq!(autumn, expected.map(|time| format!("11-01 {time}")));
    }

    #[test]
    fn one_of_both_days_is_enough() {
        // Friday the 13th would be AND; Kubernetes means OR
        assert_eq!(
            moments("0 0 13 * fri", "UTC", "2026-11-10T00:00:00Z", 4),
            ["11-13 00:00 +00:00", "11-20 00:00 +00:00", "11-27 00:00 +00:00", "12-04 00:00 +00:00"]
        );
        assert_eq!(moments("0 0 13 * fri", "UTC", "2026-12-05T00:00:00Z", 2)[1], "12-13 00:00 +00:00");
    }

    proptest! {
        /// Around both changes of the clocks, looking back finds what looking forward has found.
        #[test]
        fn last_and_next_agree(
            day in 0_i64..730, minute in 0_i64..1440, choice in 0_usize..6, zone in 0_usize..4,
        ) {
            let texts = ["30 2 * * *", "0 0 * * *", "*/15 * * * *", "15 1-3 * * 0", "59 23 29 2 *", "30 1,2,3 * 3,10,11 *"];
            let zones = ["Europe/Paris", "America/New_York", "Australia/Lord_Howe", "Asia/Tokyo"];
            let (cron, zone) = (parse(texts[choice]).unwrap(), TimeZone::get(zones[zone]).unwrap());
            let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
            let at = start + jiff::SignedDuration::from_mins(day * 1440 + minute);
            let found = next(&cron, at, &zone).unwrap();
            prop_assert!(found > at);
            prop_assert_eq!(last(&cron, found, &zone), Some(found));
            let before = last(&cron, at, &zone).unwrap();
            prop_assert!(before <= at);
            prop_assert_eq!(next(&cron, before, &zone), Some(found), "after {}", before);
        }

        #[test]
        fn never_panics(text in any::<String>(), close in "[0-9*/, \\-A-Za-z?#@]{0,24}") {
            let _ = parse(&text);
            let _ = parse(&close);
        }
    }
}
