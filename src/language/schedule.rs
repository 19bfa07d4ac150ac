//! Schedules: five-field cron expressions with the meaning that a Kubernetes CronJob gives them, and the moments that they
//! name in a time zone whose clocks change.
//!
//! The hour's field decides what a change of the clocks means. A schedule for certain hours (`30 2`, `0,30 2,14`, `*/30 1-5`)
//! names times of day, each of which comes once a day: at the first moment at which the wall clock has reached or passed it. One
//! for every hour or every so many (`*`, `*/2`) names what the wall clock shows, as often as it shows it.

use crate::language::shape::Fault;
use jiff::{
    Timestamp,
    civil::{Date, date, time},
    tz::{AmbiguousOffset, TimeZone},
};

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

/// When something runs: what a schedule's text says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    minutes: Field,
    hours: Field,
    days: Field,
    months: Field,
    weekdays: Field,
}

/// The numbers that one field names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Field {
    /// A bit for each number.
    numbers: u64,
    /// It says `*` somewhere, with a step or without.
    star: bool,
    /// It says `*` without a step: it asks for nothing.
    open: bool,
}

/// No schedule that comes at all stays away for longer: 29 February, around a year 2100.
const LONGEST_WAIT: i64 = 8 * 366;

/// A day's moments lie on no day that is further away by the wall clock: Apia has left out a whole one.
const MARGIN: i64 = 2;

/// Reads a schedule. Minute, hour, day of the month, month, day of the week (0 is Sunday); when both days are given, one
/// of them is enough.
///
/// # Errors
///
/// What a CronJob would not take: other numbers of fields, numbers outside a field's range, `@daily`, `L`, `W`, `#`. And
/// what never comes, such as 30 February.
pub fn parse(text: &str) -> Result<Schedule, Fault> {
    let fields: Vec<_> = text.split(SPACE).filter(|field| !field.is_empty()).collect();
    if fields.len() != COLUMNS.len() {
        let problem = format!("a schedule has five fields, this has {}", fields.len());
        return Err(Fault::new(problem).help("minute, hour, day of the month, month, day of the week: `30 2 * * *`"));
    }
    let mut read = [Field { numbers: 0, star: false, open: false }; COLUMNS.len()];
    for ((field, column), read) in fields.iter().zip(&COLUMNS).zip(&mut read) {
        *read = read_field(field, column).map_err(|fault| {
            let start = field.as_ptr().addr() - text.as_ptr().addr();
            Fault { range: Some(start..start + field.len()), ..fault }
        })?;
    }
    let [minutes, hours, days, months, weekdays] = read;
    let schedule = Schedule { minutes, hours, days, months, weekdays };
    let year = date(2024, 1, 1);
    let comes = (0..=LONGEST_WAIT).filter_map(|later| shifted(year, later)).any(|day| schedule.names_day(day));
    match comes {
        true => Ok(schedule),
        false => Err(Fault::new("the schedule never comes").help("look at the day of the month and the month")),
    }
}

impl Schedule {
    /// The first moment after `after` that the schedule names, by the wall clock of `zone`.
    pub fn next(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        self.nearest(after, zone, 1, |moments| moments.filter(|moment| *moment > after).min(), Ord::min)
    }

    /// The last such moment that is not after `until`.
    pub fn last(&self, until: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        self.nearest(until, zone, -1, |moments| moments.filter(|moment| *moment <= until).max(), Ord::max)
    }

    /// Looks day by day into one direction. What is found on one day may lie behind what the days next to it have.
    fn nearest(
        &self,
        from: Timestamp,
        zone: &TimeZone,
        step: i64,
        of_day: impl Fn(&mut dyn Iterator<Item = Timestamp>) -> Option<Timestamp>,
        choose: impl Fn(Timestamp, Timestamp) -> Timestamp,
    ) -> Option<Timestamp> {
        let today = zone.to_datetime(from).date();
        let mut found = None;
        let mut end = LONGEST_WAIT + MARGIN;
        let mut away = -MARGIN;
        while away <= end {
            if let Some(day) = shifted(today, away * step)
                && self.names_day(day)
                && let Some(moment) = of_day(&mut self.moments(day, zone))
            {
                found = Some(found.map_or(moment, |other| choose(other, moment)));
                end = end.min(away + MARGIN);
            }
            away += 1;
        }
        found
    }

    /// Days of the month and of the week: one is enough where both ask for something.
    fn names_day(&self, day: Date) -> bool {
        let by_month = self.days.has(day.day().unsigned_abs());
        let by_week = self.weekdays.has(day.weekday().to_sunday_zero_offset().unsigned_abs());
        let day_is_right = match self.days.open || self.weekdays.open {
            true => by_month && by_week,
            false => by_month || by_week,
        };
        day_is_right && self.months.has(day.month().unsigned_abs())
    }

    /// What a day has, in no order; a moment can come twice.
    fn moments(&self, day: Date, zone: &TimeZone) -> impl Iterator<Item = Timestamp> {
        let minutes = (0..60).filter(|minute| self.minutes.has(*minute));
        let times =
            minutes.flat_map(|minute| (0..24).filter(|hour| self.hours.has(*hour)).map(move |hour| (hour, minute)));
        let goes_by_the_wall = self.goes_by_the_wall();
        times.flat_map(move |(hour, minute)| {
            let wall = day.to_datetime(time(hour.cast_signed(), minute.cast_signed(), 0, 0));
            let at = |offset: jiff::tz::Offset| offset.to_timestamp(wall).ok();
            match zone.to_ambiguous_timestamp(wall).offset() {
                AmbiguousOffset::Unambiguous { offset } => [at(offset), None],
                // the first time counts, unless every one does
                AmbiguousOffset::Fold { before, after } => [at(before), at(after).filter(|_| goes_by_the_wall)],
                AmbiguousOffset::Gap { .. } if goes_by_the_wall => [None, None],
                // this lies so far behind the change as the time lies behind the beginning of what is left out
                AmbiguousOffset::Gap { before, .. } => [at(before).and_then(|late| change_before(late, zone)), None],
            }
            .into_iter()
            .flatten()
        })
    }

    /// It names hours by the dozen, not times of day.
    fn goes_by_the_wall(&self) -> bool {
        self.hours.star || (0..24).all(|hour| self.hours.has(hour))
    }
}

impl Field {
    fn has(self, number: u8) -> bool {
        self.numbers >> number & 1 == 1
    }
}

/// When the clocks changed last, at this moment.
fn change_before(at: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    let now = zone.to_offset(at);
    zone.preceding(at.checked_add(jiff::SignedDuration::from_nanos(1)).ok()?).map(|change| change.timestamp()).find(
        |change| change.checked_sub(jiff::SignedDuration::from_nanos(1)).is_ok_and(|old| zone.to_offset(old) != now),
    )
}

fn shifted(day: Date, days: i64) -> Option<Date> {
    day.checked_add(jiff::Span::new().try_days(days).ok()?).ok()
}

const SPACE: [char; 2] = [' ', '\t'];

fn read_field(field: &str, column: &Column) -> Result<Field, Fault> {
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
    let mut read = Field { numbers: 0, star: false, open: false };
    for item in field.split(',') {
        let (range, step) = item.split_once('/').map_or((item, None), |(range, step)| (range, Some(step)));
        let (mut from, mut to) = (*least, *most);
        if range != "*" {
            let (first, last) = range.split_once('-').map_or((range, None), |(from, to)| (from, Some(to)));
            from = number(first)?;
            to = match last.map(number).transpose()? {
                Some(to) if to < from => return Err(Fault::new(format!("`{range}` runs backwards")).help(help())),
                Some(to) => to,
                None if step.is_some() => {
                    return Err(wrong(item).help(format!("write a range before the step, such as `{first}-{most}/5`")));
                }
                None => from,
            };
        }
        let step = match step {
            None => 1,
            Some(step) => {
                let digits = (1..=2).contains(&step.len()) && step.bytes().all(|byte| byte.is_ascii_digit());
                let step = step.parse::<u8>().ok().filter(|step| digits && (1..=*most).contains(step));
                step.ok_or_else(|| wrong(item).help(format!("a step is 1 to {most}")))?
            }
        };
        read.star |= range == "*";
        read.open |= range == "*" && step == 1;
        read.numbers |= (from..=to).step_by(usize::from(step)).fold(0, |numbers, number| numbers | 1 << number);
    }
    Ok(read)
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
        let (schedule, zone) = (parse(text).unwrap(), TimeZone::get(zone).unwrap());
        let mut at: Timestamp = from.parse().unwrap();
        let mut moment = || {
            at = schedule.next(at, &zone).unwrap();
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

    #[test]
    fn lists_ranges_and_steps_name_times_of_day() {
        let spring = |text| moments(text, "Europe/Paris", "2026-03-29T00:30:00Z", 3);
        assert_eq!(spring("30 2,14 * * *"), ["03-29 03:00 +02:00", "03-29 14:30 +02:00", "03-30 02:30 +02:00"]);
        assert_eq!(spring("0,30 2 * * *"), ["03-29 03:00 +02:00", "03-30 02:00 +02:00", "03-30 02:30 +02:00"]);
        assert_eq!(spring("*/30 2 * * *"), ["03-29 03:00 +02:00", "03-30 02:00 +02:00", "03-30 02:30 +02:00"]);
        assert_eq!(spring("0 1-5 * * *"), ["03-29 03:00 +02:00", "03-29 04:00 +02:00", "03-29 05:00 +02:00"]);
        assert_eq!(spring("30 1-3 * * *"), ["03-29 03:00 +02:00", "03-29 03:30 +02:00", "03-30 01:30 +02:00"]);
        assert_eq!(spring("15 */2 * * *"), ["03-29 04:15 +02:00", "03-29 06:15 +02:00", "03-29 08:15 +02:00"]);
        let autumn = |text| moments(text, "Europe/Paris", "2026-10-25T00:10:00Z", 3);
        assert_eq!(autumn("30 2,14 * * *"), ["10-25 02:30 +02:00", "10-25 14:30 +01:00", "10-26 02:30 +01:00"]);
        assert_eq!(autumn("0,30 2 * * *"), ["10-25 02:30 +02:00", "10-26 02:00 +01:00", "10-26 02:30 +01:00"]);
        assert_eq!(autumn("*/30 2 * * *"), ["10-25 02:30 +02:00", "10-26 02:00 +01:00", "10-26 02:30 +01:00"]);
        assert_eq!(autumn("0 1-5 * * *"), ["10-25 03:00 +01:00", "10-25 04:00 +01:00", "10-25 05:00 +01:00"]);
        assert_eq!(autumn("15 */2 * * *"), ["10-25 02:15 +02:00", "10-25 02:15 +01:00", "10-25 04:15 +01:00"]);
        assert_eq!(autumn("15 0-23 * * *"), ["10-25 02:15 +02:00", "10-25 02:15 +01:00", "10-25 03:15 +01:00"]);
    }

    #[test]
    fn clocks_change_at_midnight_by_two_hours_and_by_a_day() {
        assert_eq!(moments("0 0 * * *", "Africa/Cairo", "2026-04-23T10:00:00Z", 1), ["04-24 01:00 +03:00"]);
        let troll = moments("30 1,2 * * *", "Antarctica/Troll", "2026-03-29T00:00:00Z", 3);
        assert_eq!(troll, ["03-29 03:00 +02:00", "03-30 01:30 +02:00", "03-30 02:30 +02:00"]);
        // 30 December 2011 was left out
        let apia = moments("30 2 * * *", "Pacific/Apia", "2011-12-29T13:00:00Z", 3);
        assert_eq!(apia, ["12-31 00:00 +14:00", "12-31 02:30 +14:00", "01-01 02:30 +14:00"]);
    }

    #[test]
    fn a_step_of_days_asks_for_days() {
        // as the library of Kubernetes has it: `*/2` is no `*`
        let moments = moments("0 0 */10 * mon", "UTC", "2026-11-01T12:00:00Z", 4);
        assert_eq!(moments, ["11-02 00:00 +00:00", "11-09 00:00 +00:00", "11-11 00:00 +00:00", "11-16 00:00 +00:00"]);
    }

    /// The table of docs/serve.md once more, minute by minute: the wall clock passes a time of day where it first shows that time
    /// or a later one. `None`: not within these hours.
    fn slowly(text: &str, after: Timestamp, zone: &TimeZone, hours: i64) -> Option<Timestamp> {
        let fields: Vec<&str> = text.split(' ').collect();
        let names = |field: &str, number: i8| {
            field.split(',').any(|item| {
                let (range, step) = item.split_once('/').unwrap_or((item, "1"));
                let (from, to) = match range {
                    "*" => (0, 59),
                    range => range.split_once('-').map_or_else(
                        || (range.parse().unwrap(), range.parse().unwrap()),
                        |(from, to)| (from.parse().unwrap(), to.parse().unwrap()),
                    ),
                };
                (from..=to).contains(&number) && (number - from) % step.parse::<i8>().unwrap() == 0
            })
        };
        let named = |wall: jiff::civil::DateTime| names(fields[0], wall.minute()) && names(fields[1], wall.hour());
        let minute = jiff::SignedDuration::from_mins(1);
        // long enough before for every time that may come twice
        let mut at = after - jiff::SignedDuration::from_hours(30);
        let mut highest = zone.to_datetime(at);
        while at <= after + jiff::SignedDuration::from_hours(hours) {
            at += minute;
            let wall = zone.to_datetime(at);
            let mut comes = fields[1].starts_with('*') && named(wall);
            while highest < wall {
                highest += minute;
                comes |= !fields[1].starts_with('*') && named(highest);
            }
            if comes && at > after {
                return Some(at);
            }
        }
        None
    }

    const CHANGES: [(&str, &str); 12] = [
        ("Europe/Paris", "2026-03-29T01:00:00Z"),
        ("Europe/Paris", "2026-10-25T01:00:00Z"),
        ("America/New_York", "2026-03-08T07:00:00Z"),
        ("America/New_York", "2026-11-01T06:00:00Z"),
        ("Australia/Lord_Howe", "2026-10-03T15:30:00Z"),
        ("Australia/Lord_Howe", "2026-04-04T15:00:00Z"),
        ("Africa/Cairo", "2026-04-23T22:00:00Z"),
        ("Africa/Cairo", "2026-10-29T21:00:00Z"),
        ("Antarctica/Troll", "2026-03-29T01:00:00Z"),
        ("Antarctica/Troll", "2026-10-25T01:00:00Z"),
        ("Pacific/Apia", "2011-12-30T10:00:00Z"),
        ("Asia/Tokyo", "2026-10-25T01:00:00Z"),
    ];

    fn items(most: u8) -> impl Strategy<Value = String> {
        let item = prop_oneof![
            4 => (0..=most).prop_map(|number| number.to_string()),
            1 => Just("*".to_owned()),
            1 => (2..=most).prop_map(|step| format!("*/{step}")),
            2 => (0..=most, 0..=most).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b))),
            1 => (0..=most, 0..=most, 1..=most).prop_map(|(a, b, step)| format!("{}-{}/{step}", a.min(b), a.max(b))),
        ];
        proptest::collection::vec(item, 1..4).prop_map(|items| items.join(","))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        #[test]
        fn what_a_slow_walk_finds(
            minutes in items(59),
            hours in items(23).prop_filter("`*` decides where it stands first", |hours| {
                hours.starts_with('*') == hours.contains('*') && (hours.starts_with('*') || !covers_all(hours))
            }),
            (zone, change) in proptest::sample::select(CHANGES.as_slice()),
            before in -240_i64..1800,
        ) {
            let text = format!("{minutes} {hours} * * *");
            let (schedule, zone) = (parse(&text).unwrap(), TimeZone::get(zone).unwrap());
            let after = change.parse::<Timestamp>().unwrap() - jiff::SignedDuration::from_mins(before);
            let found = schedule.next(after, &zone).unwrap();
            prop_assert_eq!(slowly(&text, after, &zone, 50), Some(found), "{} after {}", text, after);
        }
    }

    fn covers_all(hours: &str) -> bool {
        parse(&format!("0 {hours} * * *")).unwrap().hours.numbers.count_ones() == 24
    }

    proptest! {
        /// Around both changes of the clocks, looking back finds what looking forward has found.
        #[test]
        fn last_and_next_agree(
            day in 0_i64..730, minute in 0_i64..1440, choice in 0_usize..8, zone in 0_usize..5,
        ) {
            let texts = [
                "30 2 * * *", "0 0 * * *", "*/15 * * * *", "15 1-3 * * 0", "59 23 29 2 *", "30 1,2,3 * 3,10,11 *",
                "*/30 2,14 * * *", "15 */2 * * *",
            ];
            let zones = ["Europe/Paris", "America/New_York", "Australia/Lord_Howe", "Asia/Tokyo", "Africa/Cairo"];
            let (schedule, zone) = (parse(texts[choice]).unwrap(), TimeZone::get(zones[zone]).unwrap());
            let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
            let at = start + jiff::SignedDuration::from_mins(day * 1440 + minute);
            let found = schedule.next(at, &zone).unwrap();
            prop_assert!(found > at);
            prop_assert_eq!(schedule.last(found, &zone), Some(found));
            let before = schedule.last(at, &zone).unwrap();
            prop_assert!(before <= at);
            prop_assert_eq!(schedule.next(before, &zone), Some(found), "after {}", before);
        }

        #[test]
        fn never_panics(text in any::<String>(), close in "[0-9*/, \\-A-Za-z?#@]{0,24}") {
            let _ = parse(&text);
            let _ = parse(&close);
        }
    }
}
