//! Windows of the day: when a run may work, on the wall clock of the job's time zone.

use jiff::{
    Timestamp,
    civil::{Date, Time},
    tz::{AmbiguousOffset, TimeZone},
};
use std::{fmt, time::Duration};

/// From a time of day up to another one, over midnight where the second is not later. Where the clock is put forward,
/// the part that it skips is not there; where it is put back, a time that comes twice is the first one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    from: Time,
    /// Not included; midnight is the day's end.
    to: Time,
}

/// How a window stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Open { until: Timestamp },
    Closed { opens: Timestamp },
}

impl Window {
    /// Reads `02:00-05:00`; `24:00` is the day's end. None for anything else, and for a window without length.
    pub fn parse(text: &str) -> Option<Self> {
        let (from, to) = text.split_once('-')?;
        let window = Self { from: time(from)?, to: if to == "24:00" { Time::midnight() } else { time(to)? } };
        (window.from != window.to || to == "24:00").then_some(window)
    }

    /// Whether `now` lies inside, and when that changes.
    pub fn at(&self, now: Timestamp, zone: &TimeZone) -> Standing {
        let today = now.to_zoned(zone.clone()).date();
        let mut day = today.yesterday().unwrap_or(today);
        // not the next day alone: a window may fall into the hours that the clock skips
        for _ in 0..5 {
            let next = day.tomorrow().unwrap_or(day);
            let (opens, closes) = (self.opens(day, zone), self.closes(day, next, zone));
            if opens <= now && now < closes {
                return Standing::Open { until: closes };
            }
            if now < opens && opens < closes {
                return Standing::Closed { opens };
            }
            day = next;
        }
        Standing::Closed { opens: Timestamp::MAX }
    }

    /// On days on which nobody moves the clock.
    pub fn length(&self) -> Duration {
        let seconds = |time: Time| u64::try_from(time.duration_since(Time::midnight()).as_secs()).unwrap_or(0);
        const DAY: u64 = 24 * 60 * 60;
        Duration::from_secs(match (seconds(self.to) + DAY - seconds(self.from)) % DAY {
            0 => DAY,
            length => length,
        })
    }

    fn opens(&self, day: Date, zone: &TimeZone) -> Timestamp {
        moment(day, self.from, zone)
    }

    fn closes(&self, day: Date, next: Date, zone: &TimeZone) -> Timestamp {
        moment(if self.to > self.from { day } else { next }, self.to, zone)
    }
}

/// `02:00-05:00`.
impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let (from, to) = (self.from.strftime("%H:%M"), self.to.strftime("%H:%M").to_string());
        let to = if self.to == Time::midnight() { "24:00" } else { &to };
        write!(f, "{from}-{to}")
    }
}

/// `02:00`.
fn time(text: &str) -> Option<Time> {
    let (hour, minute) = text.split_once(':')?;
    let two = |digits: &str| {
        let fits = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse::<i8>().ok().filter(|_| fits)
    };
    Time::new(two(hour)?, two(minute)?, 0, 0).ok()
}

/// When the wall clock shows this for the first time; where it skips it, when it skips.
fn moment(day: Date, time: Time, zone: &TimeZone) -> Timestamp {
    let wall = day.to_datetime(time);
    let at = |offset: jiff::tz::Offset| offset.to_timestamp(wall).unwrap_or(Timestamp::MAX);
    match zone.to_ambiguous_timestamp(wall).offset() {
        AmbiguousOffset::Unambiguous { offset } => at(offset),
        AmbiguousOffset::Fold { before, .. } => at(before),
        AmbiguousOffset::Gap { after, before } => {
            zone.following(at(after)).next().map_or(at(before), |transition| transition.timestamp())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn zone(name: &str) -> TimeZone {
        TimeZone::get(name).unwrap()
    }

    fn standing(window: &str, zone_name: &str, now: &str) -> String {
        let zone = zone(zone_name);
        let show = |time: Timestamp| time.to_zoned(zone.clone()).strftime("%m-%d %H:%M %z").to_string();
        match Window::parse(window).unwrap().at(now.parse().unwrap(), &zone) {
            Standing::Open { until } => format!("open until {}", show(until)),
            Standing::Closed { opens } => format!("closed until {}", show(opens)),
        }
    }

    #[test]
    fn windows_are_read_strictly() {
        for text in ["02:00-05:00", "22:00-04:30", "00:00-24:00", "12:00-24:00"] {
            assert_eq!(Window::parse(text).unwrap().to_string(), text);
        }
        for text in ["2:00-05:00", "02:00", "02:00-02:00", "24:00-05:00", "02:00-25:00", "02:00–05:00", "+2:00-05:00"]
        {
            assert_eq!(Window::parse(text), None, "{text}");
        }
        let minutes = |text: &str| Window::parse(text).unwrap().length().as_secs() / 60;
        assert_eq!(["02:00-05:00", "22:00-04:30", "00:00-24:00"].map(minutes), [180, 390, 1440]);
    }

    #[test]
    fn a_window_opens_and_closes() {
        let tokyo = |now| standing("02:00-05:00", "Asia/Tokyo", now);
        assert_eq!(tokyo("2026-11-22T01:59:59+09:00"), "closed until 11-22 02:00 +0900");
        assert_eq!(tokyo("2026-11-22T02:00:00+09:00"), "open until 11-22 05:00 +0900");
        assert_eq!(tokyo("2026-11-22T05:00:00+09:00"), "closed until 11-23 02:00 +0900");
        let night = |now| standing("22:00-04:30", "Asia/Tokyo", now);
        assert_eq!(night("2026-11-22T23:00:00+09:00"), "open until 11-23 04:30 +0900");
        assert_eq!(night("2026-11-23T04:29:59+09:00"), "open until 11-23 04:30 +0900");
        assert_eq!(night("2026-11-23T04:30:00+09:00"), "closed until 11-23 22:00 +0900");
        assert_eq!(standing("22:00-24:00", "Asia/Tokyo", "2026-11-22T23:59:59+09:00"), "open until 11-23 00:00 +0900");
    }

    #[test]
    fn hours_that_the_clock_skips_are_not_there() {
        // in New York 02:00 to 03:00 on 2026-03-08
        let new_york = |window, now| standing(window, "America/New_York", now);
        assert_eq!(new_york("02:30-05:00", "2026-03-08T01:00:00-05:00"), "closed until 03-08 03:00 -0400");
        assert_eq!(new_york("01:00-02:30", "2026-03-08T01:30:00-05:00"), "open until 03-08 03:00 -0400");
        assert_eq!(new_york("01:00-02:30", "2026-03-08T03:00:00-04:00"), "closed until 03-09 01:00 -0400");
        assert_eq!(new_york("02:15-02:45", "2026-03-08T01:30:00-05:00"), "closed until 03-09 02:15 -0400");
        // in Apia the whole of 2011-12-30
        assert_eq!(
            standing("02:00-05:00", "Pacific/Apia", "2011-12-29T12:00:00-10:00"),
            "closed until 12-31 02:00 +1400"
        );
    }

    #[test]
    fn hours_that_come_twice_count_once() {
        // in New York 01:00 to 02:00 on 2026-11-01
        let new_york = |window, now| standing(window, "America/New_York", now);
        assert_eq!(new_york("00:30-01:30", "2026-11-01T01:00:00-04:00"), "open until 11-01 01:30 -0400");
        assert_eq!(new_york("00:30-01:30", "2026-11-01T01:15:00-05:00"), "closed until 11-02 00:30 -0500");
        assert_eq!(new_york("01:30-04:00", "2026-11-01T01:15:00-05:00"), "open until 11-01 04:00 -0500");
    }

    proptest! {
        /// The wall clock decides, but for hours that come twice.
        #[test]
        fn the_wall_clock_decides(
            seconds in 1_262_304_000_i64..1_893_456_000,
            name in prop::sample::select(vec!["Asia/Tokyo", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "UTC"]),
            (from, to) in (0_i8..48, 0_i8..48).prop_filter("a length", |(from, to)| from != to),
        ) {
            let zone = zone(name);
            let now = Timestamp::from_second(seconds).unwrap();
            let half = |half: i8| Time::constant(half / 2, half % 2 * 30, 0, 0);
            let window = Window { from: half(from), to: half(to) };
            let wall = now.to_zoned(zone.clone());
            let inside = if from < to {
                (window.from..window.to).contains(&wall.time())
            } else {
                wall.time() >= window.from || wall.time() < window.to
            };
            let twice = |hours: i64| {
                let then = Timestamp::from_second(seconds + hours * 3600).unwrap().to_zoned(zone.clone()).datetime();
                matches!(zone.to_ambiguous_timestamp(then).offset(), AmbiguousOffset::Fold { .. })
            };
            prop_assume!(!(-2..=2).any(twice));
            match window.at(now, &zone) {
                Standing::Open { until } => {
                    prop_assert!(inside);
                    prop_assert!(now < until && until.duration_since(now).as_hours() < 26);
                }
                Standing::Closed { opens } => {
                    prop_assert!(!inside);
                    prop_assert!(now < opens && opens.duration_since(now).as_hours() < 50);
                    let at_once = matches!(window.at(opens, &zone), Standing::Open { .. });
                    prop_assert!(at_once);
                }
            }
        }
    }
}
