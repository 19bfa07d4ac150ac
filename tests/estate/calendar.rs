//! Periods as the Japanese Civil Code counts them (Arts. 140, 141, 143), written a second time: what Sunset does is judged
//! by this and by no code of its own.

use jiff::{ToSpan, civil::Date};

#[derive(Clone, Copy, Debug)]
pub struct Period {
    months: i32,
    days: i32,
}

pub const fn days(days: i32) -> Period {
    Period { months: 0, days }
}

pub const fn months(months: i32) -> Period {
    Period { months, days: 0 }
}

pub const fn years(years: i32) -> Period {
    months(12 * years)
}

pub const fn years_and_months(years: i32, more: i32) -> Period {
    months(12 * years + more)
}

pub fn next(day: Date) -> Date {
    day.tomorrow().unwrap()
}

/// The last day of the period whose first, uncounted day is `start`.
pub fn ends_on(start: Date, period: Period) -> Date {
    if period.months == 0 {
        return start + period.days.days();
    }
    // counted from the next day on, up to the eve of the corresponding day, or to the month's end where there is none
    let first = next(start);
    let month = first.first_of_month() + period.months.months();
    match first.day() <= month.days_in_month() {
        true => month + (i32::from(first.day()) - 2).days(),
        false => month.last_of_month(),
    }
}

/// The last starting day whose period is over when the day `night` begins.
pub fn last_due(night: Date, period: Period) -> Date {
    let mut start = night - period.months.months() - period.days.days() + 4.days();
    while ends_on(start, period) >= night {
        start = start.yesterday().unwrap();
    }
    start
}

/// The last day of the fiscal year that `day` lies in. February's last days both mean the month's end.
pub fn fiscal_year_end(day: Date, (month, last): (i8, i8)) -> Date {
    let in_year = |year: i16| {
        let first = Date::constant(year, month, 1);
        if month == 2 && last >= 28 { first.last_of_month() } else { Date::constant(year, month, last) }
    };
    let this = in_year(day.year());
    if day <= this { this } else { in_year(day.year() + 1) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    /// Worked out on paper.
    #[test]
    fn periods_end_as_the_civil_code_says() {
        for (start, period, end) in [
            (date(2026, 11, 22), days(0), date(2026, 11, 22)),
            (date(2026, 11, 22), days(30), date(2026, 12, 22)),
            (date(2021, 11, 22), years(5), date(2026, 11, 22)),
            (date(2023, 2, 28), years(1), date(2024, 2, 29)), // counted from the first of March
            (date(2024, 2, 29), years(1), date(2025, 2, 28)),
            (date(2024, 2, 28), years(1), date(2025, 2, 28)), // there is no 29th
            (date(2026, 1, 30), months(1), date(2026, 2, 28)), // there is no 31st
            (date(2026, 4, 30), months(1), date(2026, 5, 31)),
            (date(2026, 3, 31), months(2), date(2026, 5, 31)),
        ] {
            assert_eq!(ends_on(start, period), end, "{start} {period:?}");
        }
        assert_eq!(last_due(date(2026, 11, 22), years(5)), date(2021, 11, 21));
        assert_eq!(last_due(date(2026, 3, 1), months(1)), date(2026, 1, 31));
        assert_eq!(last_due(date(2026, 11, 22), days(0)), date(2026, 11, 21));
    }

    #[test]
    fn fiscal_years_end_where_they_should() {
        assert_eq!(fiscal_year_end(date(2026, 3, 31), (3, 31)), date(2026, 3, 31));
        assert_eq!(fiscal_year_end(date(2026, 4, 1), (3, 31)), date(2027, 3, 31));
        assert_eq!(fiscal_year_end(date(2027, 3, 1), (2, 28)), date(2028, 2, 29));
    }
}
