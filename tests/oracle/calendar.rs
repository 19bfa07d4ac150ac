//! Days, months and clocks, by counting.
//!
//! A day is the number of days since 1 January 1970; a moment is a number of microseconds since it began in UTC. Every
//! conversion counts years and months one after the other, which is slow and needs no formula.

/// Days since 1970-01-01.
pub type Day = i64;
/// Microseconds since 1970-01-01T00:00:00Z, or since that midnight by a clock on the wall.
pub type Moment = i64;

pub const SECOND: i64 = 1_000_000;
pub const DAY: i64 = 86_400 * SECOND;

pub fn leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

pub fn length(year: i64, month: i64) -> i64 {
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        _ if leap(year) => 29,
        _ => 28,
    }
}

fn year_length(year: i64) -> i64 {
    if leap(year) { 366 } else { 365 }
}

/// The day of a date that exists.
pub fn day(year: i64, month: i64, of_month: i64) -> Day {
    let mut days = 0;
    for earlier in 1970..year {
        days += year_length(earlier);
    }
    for later in year..1970 {
        days -= year_length(later);
    }
    for earlier in 1..month {
        days += length(year, earlier);
    }
    days + of_month - 1
}

/// Year, month and day of the month.
pub fn date(day: Day) -> (i64, i64, i64) {
    let (mut year, mut rest) = (1970, day);
    while rest < 0 {
        year -= 1;
        rest += year_length(year);
    }
    while rest >= year_length(year) {
        rest -= year_length(year);
        year += 1;
    }
    let mut month = 1;
    while rest >= length(year, month) {
        rest -= length(year, month);
        month += 1;
    }
    (year, month, rest + 1)
}

pub fn written(day: Day) -> String {
    let (year, month, of_month) = date(day);
    format!("{year:04}-{month:02}-{of_month:02}")
}

/// `2026-11-22 02:30:00`, with as much of a fraction as there is.
pub fn written_moment(moment: Moment, between: char) -> String {
    let (day, rest) = (moment.div_euclid(DAY), moment.rem_euclid(DAY));
    let (seconds, micros) = (rest / SECOND, rest % SECOND);
    let fraction = if micros == 0 { String::new() } else { format!(".{micros:06}") };
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{}{between}{hour:02}:{minute:02}:{second:02}{fraction}", written(day))
}

/// A length of time that rules write: months or days, never both.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Period {
    Days(i64),
    Months(i64),
}

impl Period {
    pub fn words(self) -> String {
        match self {
            Period::Days(1) => "1 day".into(),
            Period::Days(days) => format!("{days} days"),
            Period::Months(months) => {
                let (years, months) = (months / 12, months % 12);
                let part = |count: i64, unit: &str| match count {
                    0 => None,
                    1 => Some(format!("1 {unit}")),
                    _ => Some(format!("{count} {unit}s")),
                };
                let parts: Vec<String> = [part(years, "year"), part(months, "month")].into_iter().flatten().collect();
                parts.join(" ")
            }
        }
    }

    /// Roughly, to tell which of two is longer.
    pub fn about(self) -> i64 {
        match self {
            Period::Days(days) => days,
            Period::Months(months) => months * 365 / 12,
        }
    }

    /// The first day on which the period is over that something on `start` set going. That day itself is not counted;
    /// months end with the day before the corresponding day, or with the month's last day where there is none.
    pub fn over(self, start: Day) -> Day {
        let first = start + 1;
        match self {
            Period::Days(days) => first + days,
            Period::Months(months) => {
                let (mut year, mut month, of_month) = date(first);
                for _ in 0..months {
                    month += 1;
                    if month > 12 {
                        month = 1;
                        year += 1;
                    }
                }
                if of_month <= length(year, month) {
                    day(year, month, of_month)
                } else {
                    day(year, month, length(year, month)) + 1
                }
            }
        }
    }
}

/// The zones that the tests know, each with the offsets that it has had since 1990 or so.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Zone {
    Utc,
    Tokyo,
    /// Daylight saving time from the last Sunday of March to the last one of October, at 01:00 UTC.
    Paris,
}

impl Zone {
    pub fn name(self) -> &'static str {
        match self {
            Zone::Utc => "UTC",
            Zone::Tokyo => "Asia/Tokyo",
            Zone::Paris => "Europe/Paris",
        }
    }

    /// How far its clocks are ahead at a moment, in hours.
    fn ahead(self, moment: Moment) -> i64 {
        match self {
            Zone::Utc => 0,
            Zone::Tokyo => 9,
            Zone::Paris => {
                let (year, _, _) = date(moment.div_euclid(DAY));
                let changes = |month| last_sunday(year, month) * DAY + 3600 * SECOND;
                if moment >= changes(3) && moment < changes(10) { 2 } else { 1 }
            }
        }
    }

    /// The day that its calendar shows.
    pub fn day_of(self, moment: Moment) -> Day {
        self.wall_of(moment).div_euclid(DAY)
    }

    /// What a clock on the wall shows.
    pub fn wall_of(self, moment: Moment) -> Moment {
        moment + self.ahead(moment) * 3600 * SECOND
    }

    /// The moment at which a clock on the wall shows this. Where it shows it twice, the first one; where it never
    /// does, the one that it would be by the offset before.
    pub fn moment_of(self, wall: Moment) -> Moment {
        // The later offset gives the earlier moment, so it is tried first.
        for ahead in [9, 2, 1, 0] {
            let moment = wall - ahead * 3600 * SECOND;
            if self.ahead(moment) == ahead {
                return moment;
            }
        }
        wall - 3600 * SECOND
    }
}

fn last_sunday(year: i64, month: i64) -> Day {
    let mut day = day(year, month, length(year, month));
    // 1 January 1970 was a Thursday.
    while (day + 4).rem_euclid(7) != 0 {
        day -= 1;
    }
    day
}

/// What a text says about time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Told {
    Day(Day),
    /// By a clock on the wall.
    Wall(Moment),
    Instant(Moment),
}

/// Reads `2026-11-22`, `2026-11-22 02:30`, `2026-11-22T02:30:00.5`, and with `offset` those that end in `Z` or
/// `+09:00`. Anything else tells nothing.
pub fn read(text: &str, offset: bool) -> Option<Told> {
    let mut rest = Reader(text.as_bytes());
    let (year, _, month, _, of_month) =
        (rest.digits(4)?, rest.word(b"-")?, rest.digits(2)?, rest.word(b"-")?, rest.digits(2)?);
    if year < 1 || !(1..=12).contains(&month) || of_month < 1 || of_month > length(year, month) {
        return None;
    }
    let day = day(year, month, of_month);
    if rest.0.is_empty() {
        return if offset { None } else { Some(Told::Day(day)) };
    }
    rest.word(b" T")?;
    let (hour, _, minute) = (rest.digits(2)?, rest.word(b":")?, rest.digits(2)?);
    let mut micros = 0;
    let mut second = 0;
    let mut seconds = false;
    if rest.word(b":").is_some() {
        seconds = true;
        second = rest.digits(2)?;
        if rest.word(b".").is_some() {
            let mut unit = SECOND / 10;
            micros = rest.digits(1)? * unit;
            while let Some(digit) = rest.digits(1) {
                unit /= 10;
                micros += digit * unit;
            }
        }
    }
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let wall = day * DAY + (hour * 3600 + minute * 60 + second) * SECOND + micros;
    if !offset {
        return rest.0.is_empty().then_some(Told::Wall(wall));
    }
    if !seconds {
        return None;
    }
    if rest.word(b"Z").is_some() {
        return rest.0.is_empty().then_some(Told::Instant(wall));
    }
    let sign = if rest.word(b"+").is_some() { 1 } else { rest.word(b"-").map(|()| -1)? };
    let hours = rest.digits(2)?;
    let _ = rest.word(b":");
    let minutes = rest.digits(2)?;
    let ahead = sign * (hours * 3600 + minutes * 60) * SECOND;
    (rest.0.is_empty() && hours < 24 && minutes < 60).then_some(Told::Instant(wall - ahead))
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn digits(&mut self, count: usize) -> Option<i64> {
        let mut number = 0;
        if self.0.len() < count {
            return None;
        }
        for &byte in &self.0[..count] {
            if !byte.is_ascii_digit() {
                return None;
            }
            number = number * 10 + i64::from(byte - b'0');
        }
        self.0 = &self.0[count..];
        Some(number)
    }

    /// One of these characters.
    fn word(&mut self, of: &[u8]) -> Option<()> {
        if !of.contains(self.0.first()?) {
            return None;
        }
        self.0 = &self.0[1..];
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_dates_are_each_others_inverse() {
        for number in [-800_000, -1, 0, 58, 59, 60, 365, 789, 10_957, 11_016, 20_000, 40_000] {
            let (year, month, of_month) = date(number);
            assert_eq!(day(year, month, of_month), number);
        }
        assert_eq!(written(day(2000, 2, 29)), "2000-02-29");
        assert_eq!(day(2000, 3, 1) - day(2000, 2, 28), 2);
        assert_eq!(day(2100, 3, 1) - day(2100, 2, 28), 1);
    }

    /// Worked out on paper, from articles 140 to 143 of the Civil Code.
    #[test]
    fn periods_end_as_the_law_counts() {
        let over = |start: (i64, i64, i64), period: Period| written(period.over(day(start.0, start.1, start.2)));
        assert_eq!(over((2025, 11, 21), Period::Months(12)), "2026-11-22");
        assert_eq!(over((2024, 2, 28), Period::Months(12)), "2025-03-01");
        assert_eq!(over((2024, 2, 29), Period::Months(12)), "2025-03-01");
        assert_eq!(over((2023, 2, 28), Period::Months(12)), "2024-03-01");
        assert_eq!(over((2026, 1, 30), Period::Months(1)), "2026-03-01");
        assert_eq!(over((2026, 1, 29), Period::Months(1)), "2026-03-01");
        assert_eq!(over((2026, 1, 27), Period::Months(1)), "2026-02-28");
        assert_eq!(over((2026, 1, 31), Period::Days(30)), "2026-03-03");
    }

    #[test]
    fn clocks_change_in_paris() {
        let wall = |text: &str| match read(text, false) {
            Some(Told::Wall(wall)) => wall,
            told => panic!("{told:?}"),
        };
        let utc = |text: &str| written_moment(Zone::Paris.moment_of(wall(text)), ' ');
        assert_eq!(utc("2026-03-29 01:59:59"), "2026-03-29 00:59:59");
        assert_eq!(utc("2026-03-29 03:00"), "2026-03-29 01:00:00");
        assert_eq!(utc("2026-10-25T02:30:00"), "2026-10-25 00:30:00");
        assert_eq!(utc("2026-10-25T03:00:00"), "2026-10-25 02:00:00");
        assert_eq!(written(Zone::Tokyo.day_of(wall("2026-11-21 15:00"))), "2026-11-22");
    }
}
